//! The keys: one line is the whole setting.
//!
//! What is built in lies below every file: the defaults of `[DEFAULT]` in the table, and the sections that
//! fail2ban's own jail.conf has for our filters, so that a jail.local of nothing but `enabled = true` works.

use crate::limits::{MAXBANS_MAX, MAXRETRY_MAX, RING_MAX, RING_MIN, SPAN_SECONDS_MAX, TRIED_MAX};
use Reads::{ByItself, Definition, Number, Otherwise, Seconds, SecondsOrForEver, Word, YesNo};

/// Where a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In a jail, or in `[DEFAULT]` for all jails.
    Jail,
    /// In `[DEFAULT]` or fail2ban.conf's `[Definition]`: there is one for the whole program.
    Program,
}

/// How a value is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reads {
    /// `true` or `false`.
    YesNo,
    /// A whole number within limits.
    Number(u32, u32),
    /// A span of time of at most so many seconds, at least 1.
    Seconds(u64),
    /// A span of time of at most so many seconds, at least 1, or `-1`, for ever.
    SecondsOrForEver(u64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// By its own reader, in `jail.rs`, `action.rs` or `load.rs`.
    ByItself,
    /// Only for other values to refer to.
    Definition,
    /// What we do is always the same. With these values it is what is meant, and nothing is said (`*`: with all);
    /// with others it is said what we do, and what to do.
    Otherwise(&'static [&'static str], &'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// The key.
    pub(super) name: &'static str,
    /// Where it may stand.
    pub(super) scope: Scope,
    /// The value in `[DEFAULT]` below all files.
    pub(super) default: Option<&'static str>,
    /// How it is read, and its range.
    pub(super) reads: Reads,
}

const fn jail(name: &'static str, default: &'static str, reads: Reads) -> Setting {
    Setting {
        name,
        scope: Scope::Jail,
        default: Some(default),
        reads,
    }
}

const fn program(name: &'static str, default: Option<&'static str>, reads: Reads) -> Setting {
    Setting {
        name,
        scope: Scope::Program,
        default,
        reads,
    }
}

const fn needed(name: &'static str) -> Setting {
    Setting {
        name,
        scope: Scope::Jail,
        default: None,
        reads: ByItself,
    }
}

const fn otherwise(name: &'static str, unsaid: &'static [&'static str], what: &'static str) -> Setting {
    Setting {
        name,
        scope: Scope::Jail,
        default: None,
        reads: Otherwise(unsaid, what),
    }
}

const YES: &[&str] = &["true", "yes", "on", "1"];

/// Every key we know.
pub(super) const SETTINGS: &[Setting] = &[
    // Jails.
    jail("enabled", "false", YesNo),
    jail("filter", "%(__name__)s[mode=\"%(mode)s\"]", ByItself),
    // Of the filter: an option that fail2ban passes on.
    jail("mode", "normal", Definition),
    needed("logpath"),
    // Added to the filter's.
    jail("failregex", "", ByItself),
    jail("ignoreregex", "", ByItself),
    jail("maxretry", "5", Number(1, MAXRETRY_MAX)),
    jail("findtime", "10m", Seconds(SPAN_SECONDS_MAX)),
    jail("bantime", "10m", SecondsOrForEver(SPAN_SECONDS_MAX)),
    jail("ignoreip", "", ByItself),
    jail("port", "0:65535", ByItself),
    jail("protocol", "tcp", ByItself),
    jail("action", "%(action_)s", ByItself),
    // What actions are made of.
    jail("banaction", "iptables-multiport", Definition),
    jail("banaction_allports", "iptables-allports", Definition),
    jail("chain", "INPUT", Definition),
    jail(
        "action_",
        "%(banaction)s[name=%(__name__)s, port=\"%(port)s\", protocol=\"%(protocol)s\", chain=\"%(chain)s\"]",
        Definition,
    ),
    jail(
        "action_mw",
        "%(action_)s\n%(mta)s-whois[name=%(__name__)s]",
        Definition,
    ),
    jail(
        "action_mwl",
        "%(action_)s\n%(mta)s-whois-lines[name=%(__name__)s]",
        Definition,
    ),
    jail("action_xarf", "%(action_)s\nxarf-login-attack", Definition),
    jail(
        "action_cf_mwl",
        "cloudflare\n%(mta)s-whois-lines[name=%(__name__)s]",
        Definition,
    ),
    jail("action_blocklist_de", "blocklist_de", Definition),
    jail("action_abuseipdb", "abuseipdb", Definition),
    // Mail. Empty: as an action of fail2ban's has it.
    jail("mta", "sendmail", Definition),
    jail("destmail", "", ByItself),
    jail("destemail", "", ByItself),
    jail("sender", "", ByItself),
    jail("sendername", "", ByItself),
    jail("maxmatches", "%(maxretry)s", Number(0, MAXRETRY_MAX)),
    // The program.
    program("ring", Some("4096"), Number(RING_MIN, RING_MAX)),
    program("maxbans", Some("131072"), Number(1, MAXBANS_MAX)),
    program("ipv6prefix", Some("64"), Number(32, 128)),
    program("firewall", Some("auto"), Word(&["auto", "nftables", "ipset"])),
    program("user", Some(""), ByItself),
    program("readlogs", Some("auto"), Word(&["auto", "groups", "capability"])),
    program("dbfile", Some(super::DBFILE_DEFAULT), ByItself),
    program("notifyuser", Some("nobody"), ByItself),
    program("dbshort", None, ByItself),
    program("dbpurgeage", Some("1d"), SecondsOrForEver(SPAN_SECONDS_MAX)),
    program("onstop", Some("keep"), Word(&["keep", "remove"])),
    program(
        "dbmaxmatches",
        None,
        Otherwise(
            &["0"],
            "no log lines are stored; maxmatches of them are kept in memory, for mails and commands",
        ),
    ),
    program(
        "logtarget",
        None,
        Otherwise(
            &["stderr", "syslog", "systemd-journal", "sysout"],
            "no file of our own is written: the log is in the journal (journalctl -u sipguard), in syslog (sipguard \
             run --syslog), on OpenWrt in logread",
        ),
    ),
    program("loglevel", Some(""), ByItself),
    program(
        "syslogsocket",
        None,
        Otherwise(&["auto", "/dev/log"], "syslog is reached at /dev/log"),
    ),
    program("socket", Some(super::SOCKET_DEFAULT), ByItself),
    program(
        "pidfile",
        None,
        Otherwise(
            &[
                "none",
                "/var/run/fail2ban/fail2ban.pid",
                "/run/fail2ban/fail2ban.pid",
            ],
            "none is written: sipguard status tells the process, and its socket that there is one only",
        ),
    ),
    program(
        "allowipv6",
        None,
        Otherwise(
            &["auto", "yes", "on", "true", "1"],
            "IPv6 is always guarded as IPv4 is: an attacker who has it would use it",
        ),
    ),
    // There is one thread.
    program("stacksize", None, Otherwise(&["*"], "")),
    // Ours, for jails.
    jail("reach", "proof", Word(&["proof", "all"])),
    jail("bantime.unproven", "", Seconds(SPAN_SECONDS_MAX)),
    jail("counting", "evidence", Word(&["evidence", "plain"])),
    jail("maxretry.known", "150", Number(1, MAXRETRY_MAX)),
    jail("maxretry.phone", "35", Number(1, MAXRETRY_MAX)),
    jail("maxretry.challenge", "50", Number(1, MAXRETRY_MAX)),
    jail("maxretry.slow", "10", Number(2, TRIED_MAX as u32)),
    jail("bantime.forget", "half", Word(&["half", "all"])),
    jail("bannet", "warn", Word(&["off", "warn", "on"])),
    jail("bannet.members", "8", Number(2, TRIED_MAX as u32)),
    jail("floodrate", "200", Number(1, MAXBANS_MAX)),
    jail("findtime.slow", "1d", Seconds(SPAN_SECONDS_MAX)),
    // fail2ban's, for jails.
    jail("bantime.increment", "false", YesNo),
    jail("bantime.factor", "1", ByItself),
    jail("bantime.formula", "", ByItself),
    jail("bantime.multipliers", "", ByItself),
    jail("bantime.maxtime", "", Seconds(SPAN_SECONDS_MAX)),
    jail("bantime.rndtime", "", Seconds(SPAN_SECONDS_MAX)),
    jail("bantime.overalljails", "false", YesNo),
    jail("ignorecommand", "", ByItself),
    jail("ignorecache", "", ByItself),
    jail("usedns", "no", Word(&["no", "raw", "warn", "yes"])),
    jail("datepattern", "", ByItself),
    otherwise(
        "ignoreself",
        YES,
        "our own addresses are never banned all the same: one forged packet would cut us off",
    ),
    otherwise(
        "maxlines",
        &["1"],
        "lines are read one by one; match the one that has the address",
    ),
    jail("backend", "auto", ByItself),
    jail("journalmatch", "", ByItself),
    otherwise(
        "logencoding",
        &["auto", "utf-8", "utf8", "ascii", "us-ascii"],
        "lines are read as UTF-8, and what is not stands for one unknown character a byte",
    ),
    otherwise(
        "logtimezone",
        &[],
        "a line counts when it is written; for what was written before the start, set TZ for sipguard",
    ),
    otherwise(
        "prefregex",
        &[],
        "belongs into a filter: write filter.d/NAME.local with it, and filter = NAME",
    ),
    // A log that is not there is waited for.
    otherwise("systemd_if_nologs", &["*"], ""),
    otherwise("skip_if_nologs", &["*"], ""),
    otherwise(
        "blocktype",
        &["DROP", "drop"],
        "packets are dropped and not answered: the answer to a forged one would hit somebody else",
    ),
    otherwise(
        "returntype",
        &["RETURN"],
        "what is not banned goes on to every other rule",
    ),
    otherwise("tcpport", &[], "write the ports into port"),
    otherwise("udpport", &[], "write the ports into port, and protocol = udp"),
    jail("fail2ban_confpath", "/etc/fail2ban", Definition),
    jail(
        "ignorecommands_dir",
        "/etc/fail2ban/filter.d/ignorecommands",
        Definition,
    ),
    jail("name", "%(__name__)s", Definition),
    jail("fail2ban_agent", "sipguard", Definition),
    jail("fail2ban_version", "", Definition),
    jail("default_backend", "auto", Definition),
    jail("cfemail", "", Definition),
    jail("cfapikey", "", Definition),
    jail("cftoken", "", Definition),
    jail("blocklist_de_apikey", "", Definition),
    jail("knocking_url", "", Definition),
    // Names of fail2ban's paths files.
    jail("syslog_authpriv", SSH_LOGS, Definition),
    jail("sshd_log", "%(syslog_authpriv)s", Definition),
    jail("dropbear_log", "%(syslog_authpriv)s", Definition),
    jail("syslog_local0", "/var/log/messages", Definition),
    jail("syslog_daemon", "%(syslog_local0)s", Definition),
    jail("syslog_user", "%(syslog_local0)s", Definition),
    jail("syslog_backend", "auto", Definition),
    jail("sshd_backend", "auto", Definition),
    jail("dropbear_backend", "auto", Definition),
    jail("asterisk_log", ASTERISK_LOGS, Definition),
    jail("asterisk_backend", "auto", Definition),
];

/// Where Asterisk logs what a guard needs: names of its own `logger.conf` and of Debian's.
pub(super) const ASTERISK_LOGS: &str = "/var/log/asterisk/messages\n/var/log/asterisk/messages.log\n\
    /var/log/asterisk/security\n/var/log/asterisk/security.log";

/// Where syslog puts `authpriv` on Debian, on Fedora, and on OpenWrt with a log file.
const SSH_LOGS: &str = "/var/log/auth.log\n/var/log/secure";

/// The sections below every file: name, key, value. The numbers of jail.conf are not among them: there
/// `[asterisk]` has a `maxretry` of 10 since every attempt is logged twice; here it counts once.
const SECTIONS: &[(&str, &str, &str)] = &[
    ("asterisk", "port", SIP_PORTS),
    ("asterisk", "logpath", ASTERISK_LOGS),
    ("asterisk", "action_", SIP_ACTION),
    // What Debian's jail.conf had up to version 0.8, and what how-tos of its time wrote.
    ("asterisk-tcp", "filter", "asterisk"),
    ("asterisk-tcp", "port", SIP_PORTS),
    ("asterisk-tcp", "logpath", ASTERISK_LOGS),
    ("asterisk-udp", "filter", "asterisk"),
    ("asterisk-udp", "port", SIP_PORTS),
    ("asterisk-udp", "protocol", "udp"),
    ("asterisk-udp", "logpath", ASTERISK_LOGS),
    ("asterisk-iptables", "filter", "asterisk"),
    ("asterisk-iptables", "port", SIP_PORTS),
    ("asterisk-iptables", "logpath", ASTERISK_LOGS),
    ("asterisk-iptables", "action_", SIP_ACTION),
    ("sshd", "port", "ssh"),
    ("sshd", "logpath", "%(sshd_log)s"),
    ("ssh", "filter", "sshd"),
    ("ssh", "port", "ssh"),
    ("ssh", "logpath", "%(sshd_log)s"),
    ("ssh-iptables", "filter", "sshd"),
    ("ssh-iptables", "port", "ssh"),
    ("ssh-iptables", "logpath", "%(sshd_log)s"),
    ("dropbear", "port", "ssh"),
    ("dropbear", "logpath", "%(dropbear_log)s"),
];

const SIP_PORTS: &str = "5060,5061";
const SIP_ACTION: &str = "%(default/action_)s[protocol=\"tcp,udp\"]";

/// The built-in value of `key` in `section`.
pub(super) fn built_in(section: &str, key: &str) -> Option<&'static str> {
    if section == super::ini::DEFAULT {
        return find(key)?.default;
    }
    let found = SECTIONS
        .iter()
        .find(|&&(name, known, _)| name == section && known == key);
    found.map(|&(_, _, value)| value)
}

/// The setting of this name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// Whether a key of this name only names a value for others to refer to, as fail2ban's own files do.
pub(super) fn is_definition(name: &str) -> bool {
    name.starts_with("action_")
        || name.starts_with("syslog_")
        || name.ends_with("_log")
        || name.ends_with("_backend")
}

/// The name in `names` that `wrong` was probably meant to be.
pub(super) fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let limit = if wrong.len() < 5 { 1 } else { 2 };
    names
        .map(|name| (distance(wrong, name), name))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// How many bytes must be put in, taken out or changed to make `from` into `to` (Levenshtein's distance);
/// two neighbours that changed places are two. Names far apart in length are simply far.
fn distance(from: &str, to: &str) -> usize {
    if from.len().abs_diff(to.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.bytes().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let changed = diagonal + usize::from(a != b);
            diagonal = *cell;
            *cell = changed.min(diagonal + 1).min(left + 1);
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
