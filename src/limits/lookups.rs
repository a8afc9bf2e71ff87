//! Bounds of what is looked up: names, and answers of `ignorecommand`.

/// Names in `ignoreip`, over all jails: each is looked up every few minutes.
pub const NAMES_MAX: usize = 64;

/// Addresses of one name that count; a pool of servers has some dozens.
pub const NAME_ADDRESSES_MAX: usize = 32;

/// Longest name, in bytes (RFC 1035 has 255 with the lengths of the labels).
pub const NAME_BYTES_MAX: usize = 253;

/// Bytes of what the child reports at once: a name and its addresses.
pub const REPORT_BYTES_MAX: usize = 1_024;
const _: () = assert!(8 + NAME_BYTES_MAX + NAME_ADDRESSES_MAX * 17 <= REPORT_BYTES_MAX);

/// Names that are looked up together: one whose server is silent must not delay the others.
pub const LOOKUPS_TOGETHER: usize = 4;

/// How long one lookup may take, in seconds: a resolver asks each server twice, for five seconds.
pub const LOOKUP_SECONDS: u64 = 20;

/// How often a name is looked up, in seconds: dynamic names live for one to five minutes.
pub const LOOKUP_EVERY_SECONDS: u64 = 300;

/// After how many seconds a lookup that failed is tried again; each further time twice as long.
pub const LOOKUP_RETRY_SECONDS: u64 = 10;

/// Size of a file of addresses (`ignoreip = file:/…`) is that of a configuration; so many lists may be named.
pub const IGNORE_FILES_MAX: usize = 8;

/// How long `ignorecommand` may take, in seconds.
pub const IGNORECOMMAND_SECONDS: u64 = 10;

/// How long a ban waits for the answer of `ignorecommand`, in seconds, those before it in the queue included.
pub const QUESTION_SECONDS: u64 = 20;

/// Bans that wait for an answer; one more is made at once. A question takes a process of its own, so that many more
/// could not be answered in time.
pub const QUESTIONS_MAX: usize = 256;

/// Most answers that `ignorecache` keeps for a jail; they are gone through one by one.
pub const IGNORECACHE_MAX: u32 = 4_096;

/// Names of logs (`usedns`) that wait to be looked up; lines with further names count for nobody, and are counted.
pub const LOG_NAMES_WAITING_MAX: usize = 64;

/// Addresses of names of logs that are kept: fail2ban keeps a thousand.
pub const LOG_NAMES_KEPT_MAX: usize = 256;

/// For how long, in seconds.
pub const LOG_NAMES_KEPT_SECONDS: u64 = 300;

/// What one child reports in one turn of the loop; the rest waits for the next.
pub const REPORTS_PER_TURN: usize = 128;

/// Lines with one name that count when its addresses are known; with more, most jails have banned it long before.
pub const LOG_NAME_LINES_MAX: u32 = 100;
