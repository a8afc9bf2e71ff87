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

/// Sources whose earlier bans are remembered, for `bantime.increment`; the one banned longest ago goes first.
pub const HISTORY_MAX: u32 = 16_384;

/// Changes handed to the kernel in one batch.
pub const CHANGES_PER_BATCH: usize = 1_024;

/// Longest jail name.
pub const JAIL_NAME_BYTES_MAX: usize = 64;

/// So much of a jail's name goes into names in the kernel: an ipset name holds 31 characters, of which
/// `sipguard-` and `6net` are ours.
pub const KERNEL_NAME_BYTES_MAX: usize = 18;

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

/// Bytes of one message, or one batch of messages, to the kernel. A socket takes 212,960 without
/// being asked for more.
pub const NETLINK_SEND_BYTES: usize = 48 * 1024;

/// Bytes of one datagram from the kernel: an answer repeats at most the message that it answers, and
/// a dump comes in pieces of at most this size when we read with such a buffer. Odd, because
/// datagrams are multiples of four bytes: one that fills the buffer was cut.
pub const NETLINK_RECEIVE_BYTES: usize = 16 * 1024 + 1;
const _: () = assert!(NETLINK_RECEIVE_BYTES % 2 == 1);

/// Room asked for in the kernel's queue of answers to us: one for each message of a batch, if all of
/// them fail, at about 1,300 bytes each. It takes memory only while answers wait.
pub const NETLINK_QUEUE_BYTES: usize = 1024 * 1024;

/// Changes in one transaction. A refreshed ban takes three messages of at most 128 bytes.
pub const CHANGES_PER_TRANSACTION: usize = 120;
const _: () = assert!(CHANGES_PER_TRANSACTION * 3 * 128 + 64 <= NETLINK_SEND_BYTES);
const _: () = assert!(CHANGES_PER_TRANSACTION * 3 * 1_300 <= NETLINK_QUEUE_BYTES);

/// How often a transaction is tried again without the changes that the kernel refused. One round
/// finds all of them unless its answers overflow the queue.
pub const TRANSACTION_ROUNDS: usize = 4;

/// Bytes of the largest ruleset: every jail with as many port ranges as it may have, for TCP and UDP.
pub const RULESET_BYTES_MAX: usize = 4 * 1024 * 1024;
const _: () = assert!(JAILS_MAX * (PORTS_MAX * 2 * 400 + 3_000) <= RULESET_BYTES_MAX);

/// Operations in the largest ruleset: per jail three sets, a chain, three rules, and one rule per port
/// range and protocol; and four for the table.
pub const RULESET_STEPS_MAX: u32 = 4_096;
const _: () = assert!(JAILS_MAX * (PORTS_MAX * 2 + 7) + 4 <= RULESET_STEPS_MAX as usize);

/// Reports of changes to nf_tables by others that are read before the other descriptors have their
/// turn.
pub const EVENTS_PER_TURN: usize = 64;

/// Time between two walks of the kernel over a set to free the elements that have timed out, in
/// milliseconds. They stop matching at once in any case. The kernel's default of one second costs a
/// router 11 million instructions per second with 100,000 bans.
pub const SET_GC_INTERVAL_MS: u32 = 60_000;

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

/// Expressions of one kind in one filter of the user's own. fail2ban's largest have some dozens.
pub const PATTERNS_PER_FILTER_MAX: usize = 128;

/// Longest expression, in bytes. fail2ban's longest, a list of user agents, has some 2,300.
pub const PATTERN_BYTES_MAX: usize = 8 * 1024;

/// Memory of one compiled expression, in bytes; all of fail2ban's fit into 96 KiB. It bounds the time that a line
/// takes, too: some hundred microseconds are usual, but the worst expression that fits, such as nested counted
/// repetitions, takes a second or two on a line of the longest kind.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 128 * 1024;

/// How deep groups may be nested in an expression: the reader of expressions calls itself for each.
pub const PATTERN_NEST_MAX: usize = 32;

/// Largest count in `{least,most}`, which is written out so many times.
pub const PATTERN_REPEAT_MAX: u32 = 1_000;

/// Texts looked for in a line before an expression is tried; with more, the expression is tried at once.
pub const PATTERN_LITERALS_MAX: usize = 8;

/// Size of one of Asterisk's configuration files, in bytes. FreePBX writes about 2 KB for each extension.
pub const ASTERISK_CONFIG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest line of Asterisk's configuration: `main/config.c` has a buffer of 8,192 bytes, with a NUL and the
/// newline in it, and skips longer ones.
pub const ASTERISK_LINE_BYTES_MAX: usize = 8_190;

/// Files that one of Asterisk's configuration files includes, over all levels. FreePBX's pjsip.conf has 20.
pub const ASTERISK_FILES_MAX: usize = 128;

/// How deep Asterisk's configuration files include each other (`MAX_INCLUDE_LEVEL`, `main/config.c`).
pub const ASTERISK_INCLUDES_DEEP_MAX: usize = 10;

/// Memory for the sections and keys of one of Asterisk's configurations, those that sections inherit among them,
/// in bytes. What is beyond is not looked at, and that is said. 2,000 extensions of FreePBX take 16 MB.
pub const ASTERISK_KEPT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Reasons given why parts of one of Asterisk's configurations were not read; more do not help.
pub const ASTERISK_HINDRANCES_MAX: usize = 8;

/// Lines of advice on Asterisk's configuration, far more than anybody reads.
pub const ASTERISK_ADVICE_MAX: usize = 256;
/// Bytes of our own log written at once: `PIPE_BUF`, so much a pipe takes that says it has room.
pub const LOG_PIECE_BYTES: usize = 4_096;

/// How long our own log waits for its reader before it loses lines, in milliseconds. A slow reader of a
/// storm of bans (journald, logread) loses nothing; one that has stopped holds the loop once for so long.
pub const LOG_WAIT_MS: u64 = 100;

/// How often we look whether our rules are in the kernel where nothing tells (ipset and iptables), in seconds.
pub const KERNEL_LOOK_SECONDS: u64 = 5;

/// After how many seconds rules that could not be made again are tried again.
pub const KERNEL_RETRY_SECONDS: u64 = 1;

/// How often at most we look which addresses, gateways and resolvers are our own, in seconds.
pub const OWN_LOOK_SECONDS: u64 = 5;

/// `sipguard test`: attempts that later lines may still join. A flood of one source and account needs a few; an
/// attempt with an id of its own needs one for ten seconds, so that 1,600 such attempts a second count exactly.
pub const ATTEMPTS_MAX: u32 = 16_384;

/// `sipguard test`: sources that are counted one by one. When there are more, those with the fewest attempts are let
/// go, and the summary says how many attempts a source may lack.
pub const SOURCES_MAX: usize = 16_384;

/// `sipguard test`: bytes of all read buffers together, shared by the files.
pub const REPLAY_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// `sipguard test`: largest read buffer of one file. Larger ones leave the processor's cache.
pub const REPLAY_FILE_BUFFER_BYTES: usize = 64 * 1024;
const _: () = assert!(REPLAY_FILE_BUFFER_BYTES <= REPLAY_BUFFER_BYTES);

/// `sipguard test`: files read together. Each holds an open descriptor, of which a process has 1,024.
pub const REPLAY_FILES_MAX: usize = 512;
const _: () = assert!(REPLAY_BUFFER_BYTES / REPLAY_FILES_MAX > LINE_BYTES_MAX);

/// `sipguard test`: bans that the summary lists.
pub const REPLAY_BANS_SHOWN: usize = 20;

/// `sipguard test`: sources that the summary lists.
pub const REPLAY_SOURCES_SHOWN: usize = 10;

/// Actions of one jail, the kernel's apart. fail2ban's longest shorthand has three.
pub const ACTIONS_MAX: usize = 16;

/// Bytes of one command of an action after its tags are replaced. fail2ban's longest, a report by mail, has 4,000.
pub const SCRIPT_BYTES_MAX: usize = 32 * 1024;

/// Recent failure lines kept for mails and commands, in bytes of text: enough for some hundred lines of Asterisk's.
pub const RECENT_BYTES: usize = 64 * 1024;

/// How many lines these bytes are divided into at most; every new line looks at the index once.
pub const RECENT_LINES_MAX: usize = 512;

/// So much of a line is kept: the address, what was tried and by whom stand at its beginning.
pub const RECENT_LINE_BYTES_MAX: usize = 512;
const _: () = assert!(RECENT_LINE_BYTES_MAX * 4 <= RECENT_BYTES);

/// Bytes of lines that go with one ban; the newest are kept.
pub const MATCHES_BYTES_MAX: usize = 8 * 1024;

/// Bytes of one message to the child: its fixed part, and lines.
pub const MESSAGE_BYTES_MAX: usize = MATCHES_BYTES_MAX + 128;

/// Notices that wait until the child takes them; more are counted and told as a number.
pub const NOTICES_WAITING_MAX: usize = 256;

/// Messages that the child has and has not finished: what is lost if it dies.
pub const NOTICES_UNDERWAY_MAX: usize = 32;

/// The same for one jail, so that a command that hangs delays the notices of its own jail only.
pub const NOTICES_UNDERWAY_PER_JAIL_MAX: usize = 8;

/// How long a command of an action may take, in seconds, if the action has no `timeout`.
pub const COMMAND_SECONDS: u64 = 30;

/// Largest `timeout` of an action, in seconds: fail2ban's default.
pub const COMMAND_SECONDS_MAX: u64 = 60;

/// How long whois may take, in seconds.
pub const WHOIS_SECONDS: u64 = 20;

/// So much of whois' answer is read, in bytes. The longest of the registries' have some 8,000.
pub const WHOIS_BYTES_MAX: usize = 16 * 1024;

/// So much of what a command says gets into our log, in bytes.
pub const COMMAND_OUTPUT_BYTES_MAX: usize = 1_024;

/// Mails of one action in a minute; further bans of that minute come in one mail.
pub const MAILS_PER_MINUTE: usize = 10;

/// Bans listed in such a mail; more are counted.
pub const DIGEST_BANS_MAX: usize = 1_000;

/// Longest line in a mail, in characters (RFC 5322 allows 998 bytes).
pub const MAIL_LINE_CHARACTERS_MAX: usize = 200;
const _: () = assert!(MAIL_LINE_CHARACTERS_MAX * 4 < 998);

/// How long the actions may take to stop when the guard does, in seconds.
pub const ACTIONS_STOP_SECONDS: u64 = 10;

/// Longest pause before a child that dies again and again is started again, in seconds.
pub const CHILD_PAUSE_SECONDS_MAX: u64 = 60;
