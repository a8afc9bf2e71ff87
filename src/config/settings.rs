//! The keys: one line is the whole setting.
//!
//! What is built in lies below every file: the defaults of `[DEFAULT]` in the table, and the sections that
//! fail2ban's own jail.conf has for our filters, so that a jail.local of nothing but `enabled = true` works.

use crate::limits::{MAXBANS_MAX, MAXRETRY_MAX, RING_MAX, RING_MIN, SPAN_SECONDS_MAX};
use Reads::{ByItself, Definition, NotYet, Number, Seconds, SecondsOrForEver, Word, YesNo};

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
    /// Not in force; with these values what we do anyway is what is meant, and nothing is said.
    NotYet(&'static [&'static str]),
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

const fn not_yet(name: &'static str, unsaid: &'static [&'static str]) -> Setting {
    Setting {
        name,
        scope: Scope::Jail,
        default: None,
        reads: NotYet(unsaid),
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
    program("dbmaxmatches", None, NotYet(&[])),
    program("logtarget", None, NotYet(&[])),
    program("loglevel", None, NotYet(&[])),
    program("syslogsocket", None, NotYet(&["auto"])),
    program("socket", Some(super::SOCKET_DEFAULT), ByItself),
    program("pidfile", None, NotYet(&[])),
    program("allowipv6", None, NotYet(&["auto", "yes", "on", "true", "1"])),
    program("stacksize", None, NotYet(&["0"])),
    // Ours, for jails.
    not_yet("bantime.unproven", &[]),
    // fail2ban's, for jails.
    jail("bantime.increment", "false", YesNo),
    jail("bantime.factor", "1", ByItself),
    jail("bantime.formula", "", ByItself),
    jail("bantime.multipliers", "", ByItself),
    jail("bantime.maxtime", "", Seconds(SPAN_SECONDS_MAX)),
    jail("bantime.rndtime", "", Seconds(SPAN_SECONDS_MAX)),
    jail("bantime.overalljails", "false", YesNo),
    not_yet("ignorecommand", &[""]),
    not_yet("ignorecache", &[""]),
    not_yet("ignoreself", YES),
    not_yet("maxlines", &[]),
    // We follow files, with inotify; every one of these words asks for no more.
    not_yet("backend", &["auto", "pyinotify", "gamin", "polling"]),
    // Names in a log are never resolved: whoever owns a name would choose who is banned.
    not_yet("usedns", &["no"]),
    not_yet("logencoding", &["auto", "utf-8"]),
    not_yet("logtimezone", &[]),
    not_yet("datepattern", &[]),
    not_yet("prefregex", &[]),
    not_yet("journalmatch", &[]),
    not_yet("systemd_if_nologs", &[]),
    not_yet("skip_if_nologs", &[]),
    not_yet("blocktype", &["DROP", "drop"]),
    not_yet("returntype", &["RETURN"]),
    not_yet("tcpport", &[]),
    not_yet("udpport", &[]),
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
