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

/// Configuration files read together: jail.local and what its `[INCLUDES]` name, over all levels.
pub const CONFIG_FILES_MAX: usize = 16;

/// Keys in one configuration file. fail2ban's own jail.conf, which many copy to jail.local, has about 400.
pub const CONFIG_KEYS_MAX: usize = 4_096;

/// How deep `%(name)s` may refer to a value that refers to another: Python's configparser stops at 10, too.
pub const INTERPOLATION_DEPTH_MAX: usize = 10;

/// References resolved for one value; bounds the time that values which refer to each other can take.
pub const INTERPOLATIONS_MAX: usize = 1_024;

/// Longest value after interpolation, in bytes. Holds the longest `ignoreip` of addresses and networks.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
const _: () = assert!(CONFIG_BYTES_MAX <= VALUE_BYTES_MAX);

/// Mistakes of one configuration that are told at once; more do not help to mend it.
pub const CONFIG_MISTAKES_MAX: usize = 10;

/// Warnings of one configuration; more are left out, and how many is said.
pub const CONFIG_WARNINGS_MAX: usize = 64;

/// Longest `findtime`, `bantime` and other span, in seconds: ten years. Longer is `-1`, for ever.
pub const SPAN_SECONDS_MAX: u64 = 3_653 * 86_400;
