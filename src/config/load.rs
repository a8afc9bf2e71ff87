//! From files to a configuration: includes, keys that nobody knows, the program's settings, the jails.

use std::collections::BTreeSet;
use std::path::Path;

use super::error::{Error, Warning};
use super::include::{self, INCLUDES, Read};
use super::ini::{DEFAULT, Entry, Ini, Place, Wrong};
use super::interpolate::Value;
use super::reading::{Reading, shown};
use super::settings::{self, Reads, SETTINGS, Scope, Setting};
use super::{
    Backend, Config, DBFILE_DEFAULT, Feed, FilterName, Jail, LogLevel, OnStop, Protocol, ReadLogs,
    SOCKET_DEFAULT, jail,
};
use crate::limits::{FEEDS_MAX, FILES_MAX, JAILS_MAX, NAMES_MAX, RING_MIN, SOCKET_PATH_BYTES_MAX};

/// fail2ban.conf's section; its keys may stand in jail.local, too.
const DEFINITION: &str = "Definition";
/// Sections that are no jails.
const OTHERS: [&str; 4] = [DEFINITION, INCLUDES, "Thread", "Init"];

/// A jail's section, and where its name stands.
type Enabled<'i> = (&'i str, Option<Place>);

pub(super) fn load(path: &Path, read: Read<'_>) -> Result<(Config, Vec<Warning>), Error> {
    let (ini, absent) = include::open(path, &mut *read)?;
    let mut reading = Reading::new(&ini, read);
    for (place, name) in absent {
        reading.warn(
            Some(place),
            format!("{} does not exist and is left out", shown(&name)),
        );
    }
    let enabled = reading.enabled();
    reading.check_keys(&enabled);
    let config = reading.config(enabled);
    reading.result(config)
}

impl<'i> Reading<'i> {
    /// The sections of the enabled jails, in the order of the files.
    fn enabled(&mut self) -> Vec<Enabled<'i>> {
        let ini = self.ini;
        let mut names = ini.section_names();
        names.retain(|name| !OTHERS.contains(name));
        if names.is_empty() && !ini.is_written(DEFAULT, "enabled") {
            self.warn(
                None,
                "no jail in this file: the built-in jail asterisk is in force".to_owned(),
            );
            return vec![("asterisk", None)];
        }
        names.retain(|name| self.yes_no(name, "enabled") == Some(true));
        let _ = self.origins();
        if names.is_empty() && self.is_sound() {
            self.whole_wrong("no jail is enabled; write enabled = true in a section, such as [asterisk]");
        }
        if names.len() > JAILS_MAX {
            let what = format!("{} jails are enabled; {JAILS_MAX} are the limit", names.len());
            self.whole_wrong(&what);
            names.clear();
        }
        names
            .into_iter()
            .map(|name| (name, ini.section_place(name)))
            .collect()
    }

    /// Notes every key that nobody knows, stands in the wrong section, or has no effect.
    fn check_keys(&mut self, enabled: &[Enabled<'_>]) {
        let ini = self.ini;
        let variables = references(ini);
        for section in ini.layers().rev().flat_map(|file| &file.sections) {
            if section.name == INCLUDES {
                continue;
            }
            let in_jail = section.name != DEFAULT && !OTHERS.contains(&section.name.as_str());
            let effective = !in_jail || enabled.iter().any(|(name, _)| *name == section.name);
            for entry in &section.entries {
                match settings::find(&entry.key) {
                    Some(setting) if in_jail && setting.scope == Scope::Program => {
                        let what = format!("{}: there is one for all jails; put it in [DEFAULT]", entry.key);
                        self.wrong(at_key(entry, what));
                    }
                    Some(setting) if effective => self.warn_if_without_effect(setting, entry),
                    Some(_) => {}
                    None if settings::is_definition(&entry.key) || variables.contains(&entry.key) => {}
                    None => self.wrong(at_key(entry, unknown(&entry.key))),
                }
            }
        }
    }

    fn warn_if_without_effect(&mut self, setting: &Setting, entry: &Entry) {
        let Reads::Otherwise(unsaid, what) = setting.reads else {
            return;
        };
        let text = match entry.lines.as_slice() {
            [line] => line.text.as_str(),
            _ => "\n",
        };
        // A value that is made of others would say no more.
        let is_meant = |unsaid: &&str| *unsaid == "*" || unsaid.eq_ignore_ascii_case(text);
        if !unsaid.iter().any(is_meant) && !text.is_empty() && !text.starts_with("%(") {
            self.warn(Some(entry.place), format!("{}: {what}", entry.key));
        }
    }

    /// The program's settings and the enabled jails. Worth nothing if a mistake was noted.
    fn config(&mut self, enabled: Vec<Enabled<'_>>) -> Config {
        let firewall = match self.word(DEFINITION, "firewall") {
            Some("nftables") => Backend::Nftables,
            Some("ipset") => Backend::Ipset,
            _ => Backend::Auto,
        };
        let ring = self.number(DEFINITION, "ring").unwrap_or_default();
        let maxbans = self.number(DEFINITION, "maxbans").unwrap_or_default();
        let ipv6prefix = self.number(DEFINITION, "ipv6prefix").unwrap_or_default();
        let dbfile = self.dbfile();
        let notifyuser = self.notifyuser().unwrap_or_default();
        let dbshort = self.dbshort();
        let dbpurgeage = self.seconds(DEFINITION, "dbpurgeage").unwrap_or_default();
        let onstop = match self.word(DEFINITION, "onstop") {
            Some("remove") => OnStop::Remove,
            _ => OnStop::Keep,
        };
        let socket = self.socket().unwrap_or_default();
        let user = self.user();
        let loglevel = self.loglevel();
        let readlogs = match self.word(DEFINITION, "readlogs") {
            Some("groups") => ReadLogs::Groups,
            Some("capability") => ReadLogs::Capability,
            _ => ReadLogs::Auto,
        };
        let mut config = Config {
            jails: Vec::new(),
            firewall,
            ring,
            maxbans,
            ipv6prefix: u8::try_from(ipv6prefix).unwrap_or(128),
            dbfile,
            notifyuser,
            dbshort,
            dbpurgeage,
            onstop,
            socket,
            user,
            loglevel,
            readlogs,
            origins: self.origins(),
        };
        self.jails(&mut config, enabled);
        config
    }

    fn user(&mut self) -> Option<String> {
        let value = self.value(DEFINITION, "user")?;
        let text = value.text().trim();
        if text.is_empty() {
            return None;
        }
        if text.contains([':', '\n', '\0', ' ']) {
            let what = format!("user: \"{}\" is not the name of one user", shown(text));
            self.wrong(value.wrong(value.text(), what));
        }
        Some(text.to_owned())
    }

    /// fail2ban's levels; what we call info, the bans, is a notice of its.
    fn loglevel(&mut self) -> Option<LogLevel> {
        let value = self.value(DEFINITION, "loglevel")?;
        let text = value.text().trim();
        Some(match text.to_ascii_lowercase().as_str() {
            "" => return None,
            "critical" | "error" => LogLevel::Error,
            "warning" | "warn" => LogLevel::Warning,
            "notice" | "info" => LogLevel::Info,
            "debug" | "heavydebug" | "tracedebug" | "trace" => LogLevel::Debug,
            _ => {
                let what = format!(
                    "loglevel: \"{}\" is none of CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG",
                    shown(text)
                );
                self.wrong(value.wrong(value.text(), what));
                return None;
            }
        })
    }

    fn dbfile(&mut self) -> Option<String> {
        let value = self.value(DEFINITION, "dbfile")?;
        let text = value.text().trim();
        if text.is_empty() || text.eq_ignore_ascii_case("none") || text == ":memory:" {
            return None;
        }
        if text.ends_with(".sqlite3") {
            let what =
                format!("dbfile: fail2ban's database is left alone; bans are kept in {DBFILE_DEFAULT}");
            self.warn(Some(value.place()), what);
            return Some(DBFILE_DEFAULT.to_owned());
        }
        self.expect_path("dbfile", &value);
        Some(text.to_owned())
    }

    fn dbshort(&mut self) -> Option<String> {
        let value = self.value(DEFINITION, "dbshort")?;
        let text = value.text().trim();
        if text.is_empty() || text.eq_ignore_ascii_case("none") {
            return None;
        }
        self.expect_path("dbshort", &value);
        Some(text.to_owned())
    }

    fn socket(&mut self) -> Option<String> {
        let value = self.value(DEFINITION, "socket")?;
        let text = value.text().trim();
        if text.ends_with("/fail2ban.sock") {
            let what = format!("socket: fail2ban's own is left alone; ours is {SOCKET_DEFAULT}");
            self.warn(Some(value.place()), what);
            return Some(SOCKET_DEFAULT.to_owned());
        }
        self.expect_path("socket", &value);
        if text.len() > SOCKET_PATH_BYTES_MAX {
            let what = format!("socket: the path of a socket has at most {SOCKET_PATH_BYTES_MAX} bytes");
            self.wrong(value.wrong(value.text(), what));
        }
        Some(text.to_owned())
    }

    fn expect_path(&mut self, key: &str, value: &Value) {
        let text = value.text().trim();
        if !text.starts_with('/') || text.contains(['\n', '\0']) {
            let what = format!(
                "{key}: \"{}\" is not a path from the root; begin it with /",
                shown(text)
            );
            self.wrong(value.wrong(value.text(), what));
        }
    }

    fn notifyuser(&mut self) -> Option<String> {
        let value = self.value(DEFINITION, "notifyuser")?;
        let name = value.text().trim();
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || name.starts_with('-') || !name.bytes().all(sound) {
            let what = format!("notifyuser: \"{}\" is not a user's name", shown(name));
            self.wrong(value.wrong(value.text(), what));
        }
        Some(name.to_owned())
    }

    fn jails(&mut self, config: &mut Config, enabled: Vec<Enabled<'_>>) {
        let sound = self.is_sound();
        for (name, place) in enabled {
            config.jails.extend(jail::jail(self, name, place));
        }
        if config.jails.is_empty() && sound && self.is_sound() {
            self.whole_wrong("no enabled jail has a filter that is in force; enable [asterisk]");
        }
        self.warn_of_tcp_only(&config.jails);
        let mut names: Vec<&String> = config.jails.iter().flat_map(|jail| &jail.ignorenames).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > NAMES_MAX {
            let what = format!(
                "ignoreip: {} names in all jails; {NAMES_MAX} are the limit",
                names.len()
            );
            self.whole_wrong(&what);
        }
        let paths: usize = config.jails.iter().map(|jail| jail.logpaths.len()).sum();
        if paths > FILES_MAX {
            self.whole_wrong(&format!(
                "{paths} log files in all jails; {FILES_MAX} are the limit"
            ));
        }
        let mut feeds: Vec<&Feed> = Vec::new();
        for jail in &config.jails {
            if jail.feed != Feed::Files && !feeds.contains(&&jail.feed) {
                feeds.push(&jail.feed);
            }
        }
        if feeds.len() > FEEDS_MAX {
            self.whole_wrong(&format!(
                "{} different parts of the journal; {FEEDS_MAX} are the limit",
                feeds.len()
            ));
        }
        let ring_is_read = config.ring >= RING_MIN;
        if let Some(jail) = config
            .jails
            .iter()
            .find(|jail| ring_is_read && jail.maxretry > config.ring)
        {
            let (ring, retries, name) = (config.ring, jail.maxretry, &jail.name);
            let what = format!("ring: {ring} is too small for the maxretry {retries} of [{name}]");
            self.whole_wrong(&what);
        }
    }
}

impl Reading<'_> {
    /// Says that a guard of SIP lets UDP through: fail2ban's default protocol is TCP.
    fn warn_of_tcp_only(&mut self, jails: &[Jail]) {
        let has = |jail: &Jail, tcp_only: bool| {
            let mut blocks = jail.blocks.iter();
            jail.filter == FilterName::Asterisk
                && blocks.any(|block| (block.protocol == Protocol::Tcp) == tcp_only)
        };
        if let Some(jail) = jails.iter().find(|jail| has(jail, true)) {
            if !jails.iter().any(|jail| has(jail, false)) {
                let what = "blocks TCP only, and SIP comes over UDP; write protocol = tcp,udp";
                self.warn(
                    self.ini.section_place(&jail.name),
                    format!("[{}] {what}", jail.name),
                );
            }
        }
    }
}

fn at_key(entry: &Entry, what: String) -> Wrong {
    Wrong {
        place: entry.place,
        length: entry.key.len(),
        what,
    }
}

fn unknown(key: &str) -> String {
    let name = shown(key);
    if key.contains('[') {
        return format!(
            "\"{name}\" looks like one more action; indent the line, so that it continues the list"
        );
    }
    let names = SETTINGS.iter().map(|setting| setting.name);
    match settings::nearest(key, names) {
        Some(near) => format!("there is no key \"{name}\"; did you mean {near}?"),
        None => format!("there is no key \"{name}\", and no value refers to it as %({name})s"),
    }
}

/// The keys that some value refers to, lower-cased: variables of the user.
fn references(ini: &Ini) -> BTreeSet<String> {
    let sections = ini.layers().flat_map(|file| &file.sections);
    let lines = sections
        .flat_map(|section| &section.entries)
        .flat_map(|entry| &entry.lines);
    let names = lines.flat_map(|line| {
        let parts = line.text.split("%(").skip(1);
        parts.filter_map(|part| part.split_once(")s").map(|(name, _)| name.to_ascii_lowercase()))
    });
    // `%(section/name)s` refers to `name`.
    names
        .map(|name| {
            name.rsplit_once('/')
                .map_or(name.clone(), |(_, key)| key.to_owned())
        })
        .collect()
}
