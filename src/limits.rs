//! Every bound in the program, with the relations between them asserted at compile time.
#![forbid(unsafe_code)]

mod evidence;
mod lookups;

pub use evidence::*;
pub use lookups::*;

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
/// `sipguard-` and four letters as `6net` are ours.
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

/// Bytes of one datagram from the kernel that may repeat a long message of ours, or be a piece of a set's elements.
/// These pieces are as large as the room for them, up to 32 KiB (`SKB_WITH_OVERHEAD(32768)`); nf_tables walks the
/// set from its beginning for each. Odd, as above.
pub const NETLINK_ANSWER_BYTES: usize = NETLINK_SEND_BYTES + 1024 + 1;
const _: () = assert!(NETLINK_ANSWER_BYTES % 2 == 1);

/// How often a dump is asked for again because somebody changed nf_tables while it was read.
pub const DUMP_ROUNDS: usize = 10;

/// Room asked for in the kernel's queue of answers to us: one for each message of a batch, if all of
/// them fail, at about 1,300 bytes each. It takes memory only while answers wait.
pub const NETLINK_QUEUE_BYTES: usize = 1024 * 1024;

/// When many bans were lost, so many go to the kernel in the turn in which that is noticed.
pub const FIRST_CHANGES: usize = 128;
const _: () = assert!(FIRST_CHANGES <= CHANGES_PER_BATCH);

/// Changes in one batch on kernels up to Linux 6.11, where a change takes three times the room.
pub const OLD_CHANGES_PER_BATCH: usize = 320;
const _: () = assert!(OLD_CHANGES_PER_BATCH <= CHANGES_PER_BATCH);

/// Changes in one transaction of messages for each. A refreshed ban takes three messages of at most 128 bytes.
pub const CHANGES_PER_TRANSACTION: usize = 120;
const _: () = assert!(CHANGES_PER_TRANSACTION * 3 * 128 + 64 <= NETLINK_SEND_BYTES);
const _: () = assert!(CHANGES_PER_TRANSACTION * 3 * 1_300 <= NETLINK_QUEUE_BYTES);

/// Buckets of a new ipset, the kernel's default: it doubles them when they fill.
pub const IPSET_HASH_SIZE: u32 = 1_024;

/// An ipset that is full although we have fewer bans than it has room for, because others put something in it,
/// is made larger, up to so many times its size.
pub const IPSET_GROWTH_MAX: u32 = 4;

/// An ipset that has more elements than we have bans may hide that some are missing. At most every so many looks
/// all are compared: once a minute.
pub const IPSET_CLOSE_LOOKS: u32 = 12;

/// How often a transaction is tried again without the changes that the kernel refused. One round
/// finds all of them unless its answers overflow the queue.
pub const TRANSACTION_ROUNDS: usize = 4;

/// Bytes of the largest ruleset: every jail with as many port ranges as it may have, for TCP and UDP.
pub const RULESET_BYTES_MAX: usize = 4 * 1024 * 1024;
const _: () = assert!(JAILS_MAX * (PORTS_MAX * 4 * 400 + 11_000) + 2_000 <= RULESET_BYTES_MAX);

/// Operations in the largest ruleset: per jail nine sets, a chain, nine rules, and one rule per port
/// range and protocol; in a flood a chain, two sets, two rules and as many for ports again; and nine for the table.
pub const RULESET_STEPS_MAX: u32 = 8_192;
const _: () = assert!(JAILS_MAX * (PORTS_MAX * 4 + 24) + 9 <= RULESET_STEPS_MAX as usize);

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

/// How often we look whether our rules and bans are in the kernel where nothing tells (ipset and iptables), in
/// seconds; only while there are bans.
pub const KERNEL_LOOK_SECONDS: u64 = 5;

/// After how many seconds rules that could not be made again are tried again.
pub const KERNEL_RETRY_SECONDS: u64 = 1;

/// How often at most we look whether a ban is in force because its source was heard of, in seconds.
pub const DOUBT_SECONDS: u64 = 1;

/// How often we try whether the kernel has nf_tables or ipset by now, in seconds.
pub const KERNEL_ABSENT_SECONDS: u64 = 10;

/// How often at most we look which addresses, gateways and resolvers are our own, in seconds.
pub const OWN_LOOK_SECONDS: u64 = 5;

/// How long after the kernel has told of a change of addresses or routes we look, in seconds.
pub const OWN_SETTLE_SECONDS: u64 = 1;

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

/// Longest path of the control socket: `sun_path` (`linux/un.h`) holds 108 bytes, with a NUL.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Clients of the control socket at the same time; one more is told so.
pub const CLIENTS_MAX: usize = 8;

/// Longest request to the control socket. The longest one that means something, `ban` with every option, has
/// some 150 bytes.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;

/// How long a client of the control socket may take for its request, and then for each further part of the answer,
/// in seconds; and how long a client of ours waits for the guard.
pub const CLIENT_SECONDS: u32 = 10;

/// An answer is put together until it has so many bytes, and further when they have been read.
pub const ANSWER_BYTES: usize = 8 * 1024;

/// Longest piece of an answer that is put together at once: one file's line with a path of
/// [`ANSWER_PATH_BYTES_MAX`], every byte of it escaped, or our own addresses.
pub const ANSWER_PIECE_BYTES_MAX: usize = 8 * 1024;

/// So much of a file's path is shown; `PATH_MAX` would allow 4,096 bytes.
pub const ANSWER_PATH_BYTES_MAX: usize = 1_024;
const _: () = assert!(ANSWER_PATH_BYTES_MAX * 6 + 512 <= ANSWER_PIECE_BYTES_MAX);

/// So many ranges of our own addresses are shown.
pub const ANSWER_RANGES_MAX: usize = 32;
const _: () = assert!(ANSWER_RANGES_MAX * 90 + 1_024 <= ANSWER_PIECE_BYTES_MAX);

/// Longest answer that is not put together in pieces: that of a reload, with what is wrong in the configuration.
pub const ANSWER_TEXT_BYTES_MAX: usize = 64 * 1024;

/// Bytes given to one client of the control socket before the others, and the logs, have their turn: well below a
/// millisecond of work.
pub const ANSWER_BYTES_PER_TURN: usize = 32 * 1024;

/// Numbers of bans looked at for one piece of a list; most may be free, or of another jail.
pub const NUMBERS_PER_PIECE: u32 = 1_024;

/// Bans that `unban --all` lifts in one turn: one batch for the kernel.
pub const UNBANS_PER_TURN: u32 = CHANGES_PER_BATCH as u32;

/// Clients accepted in one turn, most of them only to be told that there are too many.
pub const ACCEPTS_PER_TURN: usize = 32;

/// How long no client is accepted when descriptors or memory for one are lacking, in seconds.
pub const ACCEPT_RETRY_SECONDS: u64 = 1;

/// Descriptors that the loop waits for: signals, logs, the kernel, the clock, our routes, the control socket and its
/// clients, and five children.
pub const DESCRIPTORS_MAX: usize = 20;
const _: () = assert!(CLIENTS_MAX + 11 <= DESCRIPTORS_MAX);

/// Longest answer that a client of ours reads: the largest table, listed as JSON.
pub const CLIENT_ANSWER_BYTES_MAX: u64 = 256 * MAXBANS_MAX as u64;
/// /etc/passwd and /etc/group: bytes of each that are read. A user of a directory service is not in them; thousands
/// of local ones are.
pub const ACCOUNT_FILE_BYTES_MAX: usize = 256 * 1024;

/// Files in the state directory that are handed to the user that the guard becomes: the store has a handful.
pub const STATE_FILES_MAX: usize = 64;
/// Bans of this many seconds and longer must outlive a reboot: they are on the medium before they are announced.
pub const LONG_BAN_SECONDS: u64 = 3_600;

/// What is new waits at most so long until it is written to the state file, in seconds: a burst is one write.
pub const STORE_FLUSH_SECONDS: u64 = 60;

/// Bytes that are collected before they are written early, and that are written and synced at once when a state file is
/// written anew: some milliseconds of a router's flash memory.
pub const STORE_SLICE_BYTES: usize = 64 * 1024;

/// A state file is not written anew while it is smaller than this, in bytes.
pub const STORE_REWRITE_BYTES_MIN: u64 = 64 * 1024;

/// Bytes that wait to be written to a new state file. All failures that are kept are in it at once.
pub const STORE_BACKLOG_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A state file that cannot be written is tried again after so many seconds.
pub const STORE_RETRY_SECONDS: u64 = 30;

/// Lines of a damaged state file that are set aside, in bytes.
pub const STORE_DAMAGED_BYTES_MAX: usize = 64 * 1024;

/// Failures without proof that are written between two commits; of proven ones twice as many. A flood of spoofed
/// addresses must not wear out the flash memory: what is beyond counts as long as the program runs, and is told.
pub const STORE_FAILURES_PER_COMMIT: u32 = 4_096;

/// Failures in a state file that is written anew: the whole ring by default. Of a larger one so many.
pub const STORE_FAILURES_MAX: u32 = 16_384;
const _: () = assert!(RING_DEFAULT <= STORE_FAILURES_MAX);
const _: () = assert!(STORE_FAILURES_MAX as usize * 400 < STORE_BACKLOG_BYTES_MAX);

/// Bytes of failures and positions that are held until their commit is read: more than are written between two.
pub const STORE_TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
const _: () = assert!(
    STORE_FAILURES_PER_COMMIT as usize * 2 * 400 + FILES_MAX * (LINE_BYTES_MAX + 1)
        < STORE_TRANSACTION_BYTES_MAX
);

/// Boots that one state file tells of. It is written anew long before, at [`STORE_BOOTS_REWRITE`].
pub const STORE_BOOTS_MAX: usize = 1_024;

/// A state file that tells of more boots than this is written anew.
pub const STORE_BOOTS_REWRITE: usize = 64;
const _: () = assert!(STORE_BOOTS_REWRITE < STORE_BOOTS_MAX);

/// A wall clock that is set within so many seconds of the boot tells how long the machine was away, even if it showed
/// a time that could be right: a Raspberry Pi boots with the time of its last shutdown.
pub const CLOCK_SETTLE_SECONDS: u64 = 3_600;

/// Earlier bans are not forgotten in the first hour after a start: the wall clock may still be wrong.
pub const HISTORY_REST_SECONDS: u64 = 3_600;

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

/// Places beside files that lines are read from: parts of the journal, and logd. Each is a process.
pub const FEEDS_MAX: usize = 8;

/// The number of the first feed among the files. Attempts are told apart by the last four bits of these numbers: the
/// first eight files and all feeds differ in them.
pub const FEEDS_FROM: usize = FILES_MAX + 8;
const _: () = assert!(FEEDS_FROM % 16 == 8 && FEEDS_MAX <= 8);

/// Numbers of files and feeds.
pub const LOGS_MAX: usize = FEEDS_FROM + FEEDS_MAX;

/// Words of one `journalmatch`.
pub const JOURNALMATCH_TERMS_MAX: usize = 32;
/// Bytes of one `journalmatch`.
pub const JOURNALMATCH_BYTES_MAX: usize = 1_024;

/// Bytes of one message between the guard and a child that reads the journal or logd. It holds a line of the longest
/// kind with what goes with it, and a dozen messages fit into a socket.
pub const FEED_MESSAGE_BYTES_MAX: usize = 16 * 1024;
const _: () = assert!(LINE_BYTES_MAX + 256 <= FEED_MESSAGE_BYTES_MAX);
const _: () = assert!(JOURNALMATCH_BYTES_MAX + 256 <= FEED_MESSAGE_BYTES_MAX);

/// Messages taken from one such child before everything else has its turn.
pub const FEED_MESSAGES_PER_TURN: usize = READ_BYTES_PER_TURN / FEED_MESSAGE_BYTES_MAX;

/// Bytes of a field of the journal that are kept, beside those of the message: names of hosts and programs.
pub const JOURNAL_FIELD_BYTES_MAX: usize = 256;

/// Longest pause before journalctl or logread is started again, in seconds.
pub const FEED_PAUSE_SECONDS_MAX: u64 = 60;

/// How long logread takes at most to print what logd has kept, in seconds: what comes later is new.
pub const LOGREAD_BACKLOG_SECONDS: u64 = 10;

/// Lines asked of logd when logread is started: more than its ring has, of whatever size.
pub const LOGREAD_LINES: u32 = 10_000_000;
