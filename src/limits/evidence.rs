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

/// In a flood: packets a second of one source (IPv6: one /64) that the kernel takes at the jail's ports. A phone sends
/// less in a minute, a hundred phones behind one address some ten a second, and an unregistered trunk seven for a call.
pub const FLOOD_PACKETS_PER_SECOND: u32 = 30;

/// So many more at once: when the state of a line changes, every phone behind an address answers for every lamp.
pub const FLOOD_PACKETS_BURST: u32 = 60;

/// How long the kernel remembers a source that sends nothing, in seconds: then it might send a whole burst anyway.
/// Every forged source takes some 130 bytes for that time.
pub const FLOOD_SOURCE_SECONDS: u32 = 3;
const _: () = assert!(FLOOD_SOURCE_SECONDS * FLOOD_PACKETS_PER_SECOND > FLOOD_PACKETS_BURST);

/// Sources that the kernel remembers for that, in each family: some four megabytes, and more new ones in a second than
/// Asterisk can take. Beyond it nf_tables lets further ones pass, and xt_hashlimit drops them.
pub const FLOOD_SOURCES_MAX: u32 = 32_768;

/// Where SIP is spoken: UDP and TCP, TLS. At these ports sources are limited in a flood if a jail blocks all ports.
pub const SIP_PORTS: (u16, u16) = (5_060, 5_061);

/// How often it is looked whether a flood is over, in seconds, and tried again to limit sources in the kernel.
pub const FLOOD_LOOK_SECONDS: u64 = 5;

/// Bans whose reasons are remembered, to be shown by `status`: the latest, proven ones longest.
pub const REASONS_MAX: u32 = 1_024;
