//! Bounds of what is remembered of sources, and what numbers it is weighed by.

/// Names of accounts and extensions that are told apart for one source, the latest. Who tries more is a scanner.
pub const TRIED_MAX: usize = 16;

/// Sources of which it is remembered over a day what they tried: some 200 bytes each. Those of proven evidence stay
/// longest.
pub const TRACES_MAX: u32 = 4_096;

/// Sources that are known for right passwords, each some 130 bytes; the one heard of longest ago goes first.
pub const KNOWN_MAX: u32 = 4_096;

/// For how long a source is known after its last right password, in seconds: a week.
pub const KNOWN_SECONDS: u64 = 7 * 86_400;

/// Accounts whose right passwords are counted by networks; the one heard of longest ago goes first.
pub const VOUCHERS_MAX: u32 = 4_096;

/// Networks that one account makes known within a day: a phone that roams has a few, a stolen account all of a botnet's.
pub const VOUCHED_MAX: u8 = 8;

/// Time between two attempts of a phone, at least, in seconds: phones wait 20 seconds and more after a refusal.
pub const PHONE_PACE_SECONDS: u64 = 15;

/// How far back the failures of a phone count, if findtime is longer, in seconds: what bounds a phone is its pace.
pub const PHONE_FINDTIME_SECONDS: u64 = 600;

/// Who has tried faster than a phone does is not taken for one for so many seconds.
pub const HASTY_SECONDS: u64 = 3_600;

/// Networks of which it is remembered which members were banned, each some 150 bytes.
pub const NETWORKS_MAX: u32 = 1_024;

/// For how long a member of a network counts after its ban began, in seconds: a day.
pub const MEMBER_SECONDS: u64 = 86_400;

/// Bans on forgeable evidence beyond `floodrate` that are made before they are taken for a flood of forged sources: a
/// botnet of thirty thousand hosts is banned at once.
pub const FLOOD_BURST: u32 = 32_768;

/// Bans whose reasons are remembered, to be shown by `status`: the latest, proven ones longest.
pub const REASONS_MAX: u32 = 1_024;
