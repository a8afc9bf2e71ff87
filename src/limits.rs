//! Every bound in the program, with the relations between them asserted at compile time.
#![forbid(unsafe_code)]

/// Longest log line read, in bytes; longer ones are skipped and counted.
/// Asterisk cuts a message at 8,192 bytes (`LOGMSG_SIZE`, `main/logger.c`); a line cut there has
/// lost its newline and is glued to the next record, so nothing that long is trusted.
pub const LINE_BYTES_MAX: usize = 8_190;

/// Bytes read from a log file at once. Holds at least one whole line of the longest kind.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;
const _: () = assert!(LINE_BYTES_MAX < READ_BUFFER_BYTES);

/// Bytes taken from one log file before the others have their turn.
pub const READ_BYTES_PER_TURN: usize = 256 * 1024;
const _: () = assert!(READ_BUFFER_BYTES <= READ_BYTES_PER_TURN);

/// Log files followed at the same time, over all jails.
pub const FILES_MAX: usize = 32;

/// Jails in one configuration.
pub const JAILS_MAX: usize = 32;

/// Size of one configuration file, in bytes.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;

/// Entries in one jail's `ignoreip`.
pub const IGNOREIP_MAX: usize = 4_096;

/// Port ranges in one firewall action (iptables' multiport allows 15).
pub const PORTS_MAX: usize = 32;

/// `ring`: recent failures kept.
pub const RING_DEFAULT: u32 = 4_096;
/// Smallest `ring` that still lets one jail reach any sensible `maxretry`.
pub const RING_MIN: u32 = 64;
/// Largest `ring`: about 80 MB of memory.
pub const RING_MAX: u32 = 1 << 20;

/// `maxbans`: bans kept at the same time, over all jails.
pub const MAXBANS_DEFAULT: u32 = 131_072;
/// Largest `maxbans`.
pub const MAXBANS_MAX: u32 = 1 << 20;

/// Largest `maxretry`: a source may keep this many failures in the ring.
pub const MAXRETRY_MAX: u32 = 1_000;

/// Changes handed to the kernel in one batch.
pub const CHANGES_PER_BATCH: usize = 1_024;

/// Longest jail name: an ipset name holds 31 characters, of which `sipguard-` and one digit are ours.
pub const JAIL_NAME_BYTES_MAX: usize = 20;

/// Rotated or removed files that are still read until their writer has surely left them, over all names.
/// One rotation of every name leaves so many; beyond it the oldest is let go.
pub const OLD_FILES_MAX: usize = FILES_MAX;

/// Bytes before the reading position that must be found again at every read: else the file was truncated
/// and written again. Long enough for a whole line of Asterisk's, with its date.
pub const FINGERPRINT_BYTES: usize = 256;
const _: () = assert!(FINGERPRINT_BYTES + LINE_BYTES_MAX < READ_BUFFER_BYTES);

/// Bytes taken from all log files before the loop does something else: some milliseconds of work.
pub const READ_BYTES_PER_LOOP: usize = 1024 * 1024;
const _: () = assert!(READ_BYTES_PER_TURN <= READ_BYTES_PER_LOOP);

/// `logpath` entries over all jails.
pub const PATTERNS_MAX: usize = 64;

/// Names listed in one directory when a glob pattern is looked at; the rest is not seen.
pub const DIRECTORY_ENTRIES_MAX: usize = 16 * 1024;

/// Symbolic links followed on the way to one file (the kernel allows 40).
pub const LINKS_MAX: usize = 16;

/// Notices about log files waiting to be logged; more are counted and dropped.
pub const NOTICES_MAX: usize = 64;

/// A rotated file is still read until it was quiet for this long after its successor was first written:
/// the writer reopens all its files at once, but a second writer may be late.
pub const OLD_FILE_SECONDS: u64 = 60;

/// A deleted file without successor is still read until it was quiet for this long: its writer may have it
/// open. Held open it keeps its blocks, which are memory on a tmpfs.
pub const DELETED_FILE_SECONDS: u64 = 86_400;

/// What inotify cannot tell (no watch left, an I/O error) is tried again after this long.
pub const LOG_RETRY_SECONDS: u64 = 30;
