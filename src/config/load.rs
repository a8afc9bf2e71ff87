//! From files to a configuration: includes, keys that nobody knows, the program's settings, the jails.

use core::fmt;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Error, Mistake, Mistakes, Origin, Warning};
use super::ini::{DEFAULT, Entry, Hash, Ini, Place, Wrong};
use super::interpolate::Value;
use super::settings::{self, Reads, SETTINGS, Scope, Setting};
use super::{Backend, Config, DBFILE_DEFAULT, Origins, jail, value};
use crate::escape::Escaped;
use crate::limits::{CONFIG_FILES_MAX, CONFIG_WARNINGS_MAX, FILES_MAX, JAILS_MAX};

/// fail2ban.conf's section; its keys may stand in jail.local, too.
const DEFINITION: &str = "Definition";
const INCLUDES: &str = "INCLUDES";
/// Sections that are no jails.
const OTHERS: [&str; 4] = [DEFINITION, INCLUDES, "Thread", "Init"];

/// A file as the caller reads it.
pub(super) type Read<'r> = &'r mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

pub(super) fn load(path: &Path, read: Read<'_>) -> Result<(Config, Vec<Warning>), Error> {
    let mut includes = Includes {
        ini: Ini::new(settings::built_in),
        opened: Vec::new(),
        absent: Vec::new(),
        read,
    };
    includes.open(path, None)?;
    let Includes { ini, absent, .. } = includes;
    let mut reading = Reading::new(&ini);
    for (place, name) in absent {
        reading.warn(
            Some(place),
            format!("{} does not exist and is left out", shown(&name)),
        );
    }
    reading.check_keys();
    let config = reading.config();
    let Reading {
        mistakes,
        mut warnings,
        untold,
        ..
    } = reading;
    if untold > 0 {
        warnings.push(Warning {
            origin: None,
            what: format!("and {untold} more warnings like these"),
        });
    }
    mistakes.result((config, warnings))
}

/// The files, while they are being opened.
struct Includes<'r> {
    ini: Ini,
    opened: Vec<PathBuf>,
    absent: Vec<(Place, String)>,
    read: Read<'r>,
}

impl Includes<'_> {
    /// Opens a file and what it includes, and layers them: `before`, the file itself, `after`.
    fn open(&mut self, path: &Path, included: Option<Wrong>) -> Result<(), Error> {
        // fail2ban reads a file once, too, however often it is included.
        if self.opened.iter().any(|opened| opened == path) {
            return Ok(());
        }
        let name = path.to_string_lossy().into_owned();
        let bytes = match (self.read)(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                return match included {
                    None => Err(Error::unread(&name, &error)),
                    // fail2ban says nothing; a paths file of another distribution is often missing.
                    Some(wrong) if error.kind() == io::ErrorKind::NotFound => {
                        self.absent.push((wrong.place, name));
                        Ok(())
                    }
                    Some(wrong) => Err(Error::from(self.ini.mistake(Wrong {
                        what: format!("cannot read {}: {error}", shown(&name)),
                        ..wrong
                    }))),
                };
            }
        };
        if self.opened.len() >= CONFIG_FILES_MAX {
            return Err(Error::one(format!(
                "more than {CONFIG_FILES_MAX} files include each other"
            )));
        }
        self.opened.push(path.to_owned());
        let added = self.ini.add(&name, bytes, Hash::Comment);
        let number = added.map_err(|wrong| Error::from(self.ini.mistake(wrong)))?;
        self.include(path, number, "before")?;
        self.ini.layer(number);
        self.include(path, number, "after")
    }

    fn include(&mut self, path: &Path, number: u16, key: &str) -> Result<(), Error> {
        let sections = self.ini.file(number).map_or(&[][..], |file| &file.sections);
        let section = sections.iter().find(|section| section.name == INCLUDES);
        let Some(entry) = section.and_then(|section| section.entry(key)) else {
            return Ok(());
        };
        for line in entry.lines.clone() {
            for name in line.text.split_whitespace() {
                let wrong = Wrong {
                    place: line.place,
                    length: line.text.len(),
                    what: String::new(),
                };
                let path = path.parent().unwrap_or(Path::new("")).join(name);
                self.open(&path, Some(wrong))?;
            }
        }
        Ok(())
    }
}

/// A configuration that is being read: what was wrong so far, and what is to be said.
#[derive(Debug)]
pub(super) struct Reading<'i> {
    pub(super) ini: &'i Ini,
    mistakes: Mistakes,
    warnings: Vec<Warning>,
    untold: usize,
    /// Where the values read so far are written.
    origins: Vec<(&'static str, Origin)>,
}

impl<'i> Reading<'i> {
    fn new(ini: &'i Ini) -> Reading<'i> {
        Reading {
            ini,
            mistakes: Mistakes::default(),
            warnings: Vec::new(),
            untold: 0,
            origins: Vec::new(),
        }
    }

    pub(super) fn wrong(&mut self, wrong: Wrong) {
        self.mistakes.push(self.ini.mistake(wrong));
    }

    pub(super) fn whole_wrong(&mut self, what: String) {
        self.mistakes.push(Mistake {
            origin: None,
            what,
            excerpt: None,
        });
    }

    /// The value, or the mistake noted.
    pub(super) fn right<T>(&mut self, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|wrong| self.wrong(wrong)).ok()
    }

    /// Says it once, however often it is found.
    pub(super) fn warn(&mut self, place: Option<Place>, what: String) {
        if self.warnings.iter().any(|warning| warning.what == what) {
            return;
        }
        if self.warnings.len() >= CONFIG_WARNINGS_MAX {
            self.untold += 1;
            return;
        }
        let origin = place.and_then(|place| self.ini.origin(place));
        self.warnings.push(Warning { origin, what });
    }

    /// The value of a key, resolved; its origin is remembered.
    pub(super) fn value(&mut self, section: &str, key: &'static str) -> Option<Value> {
        let resolved = self.ini.resolve(section, key).map_err(|wrong| Wrong {
            what: format!("{key}: {}", wrong.what),
            ..wrong
        });
        let value = self.right(resolved)??;
        let origin = self.ini.origin(value.place());
        if let Some(origin) = origin.filter(|_| self.origins.iter().all(|(name, _)| *name != key)) {
            self.origins.push((key, origin));
        }
        Some(value)
    }

    /// The origins of the values read since the last call.
    pub(super) fn origins(&mut self) -> Origins {
        Origins(core::mem::take(&mut self.origins))
    }

    /// The value of a key that the table knows how to read. After a mistake, which is noted, there is none.
    fn simple<T>(
        &mut self,
        section: &str,
        key: &'static str,
        read: impl FnOnce(&str, Reads) -> Result<T, String>,
    ) -> Option<T> {
        let setting = settings::find(key)?;
        let value = self.value(section, key)?;
        let result = read(value.text().trim(), setting.reads);
        self.right(result.map_err(|what| value.wrong(value.text(), format!("{key}: {what}"))))
    }

    pub(super) fn yes_no(&mut self, section: &str, key: &'static str) -> Option<bool> {
        self.simple(section, key, |text, _| {
            value::yes_no(text).ok_or_else(|| format!("\"{}\" is neither true nor false", shown(text)))
        })
    }

    pub(super) fn number(&mut self, section: &str, key: &'static str) -> Option<u32> {
        self.simple(section, key, |text, reads| {
            let Reads::Number(least, most) = reads else {
                return Err("is no number".to_owned());
            };
            let number = value::number(text).and_then(|number| u32::try_from(number).ok());
            number
                .filter(|number| (least..=most).contains(number))
                .ok_or_else(|| format!("\"{}\" is not a number from {least} to {most}", shown(text)))
        })
    }

    /// A span in seconds; `Some(None)` is for ever.
    pub(super) fn seconds(&mut self, section: &str, key: &'static str) -> Option<Option<u64>> {
        self.simple(section, key, |text, reads| {
            let (most, examples) = match reads {
                Reads::SecondsOrForEver(_) if text == "-1" => return Ok(None),
                Reads::SecondsOrForEver(most) => (most, "seconds, 10m, 2h, 7d or -1"),
                Reads::Seconds(most) => (most, "seconds, 10m, 2h or 7d"),
                Reads::YesNo
                | Reads::Number(..)
                | Reads::Word(_)
                | Reads::ByItself
                | Reads::Definition
                | Reads::NotYet(_) => return Err("is no time".to_owned()),
            };
            let fault = match value::seconds(text) {
                None => "not a time",
                Some(0) => "too short",
                Some(seconds) if seconds > most => "too long",
                Some(seconds) => return Ok(Some(seconds)),
            };
            Err(format!("\"{}\" is {fault}; use {examples}", shown(text)))
        })
    }

    fn word(&mut self, section: &str, key: &'static str) -> Option<&'static str> {
        self.simple(section, key, |text, reads| {
            let Reads::Word(words) = reads else {
                return Err("is no word".to_owned());
            };
            let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
            found
                .copied()
                .ok_or_else(|| format!("\"{}\" is none of {}", shown(text), words.join(", ")))
        })
    }
}

impl Reading<'_> {
    /// Notes every key that nobody knows, stands in the wrong section, or has no effect.
    fn check_keys(&mut self) {
        let ini = self.ini;
        let variables = references(ini);
        for section in ini.layers().rev().flat_map(|file| &file.sections) {
            if section.name == INCLUDES {
                continue;
            }
            let in_jail = section.name != DEFAULT && !OTHERS.contains(&section.name.as_str());
            for entry in &section.entries {
                match settings::find(&entry.key) {
                    Some(setting) if in_jail && setting.scope == Scope::Program => {
                        let what = format!("{}: there is one for all jails; put it in [DEFAULT]", entry.key);
                        self.wrong(at_key(entry, what));
                    }
                    Some(setting) => self.warn_if_without_effect(setting, entry),
                    None if settings::is_definition(&entry.key) || variables.contains(&entry.key) => {}
                    None => self.wrong(at_key(entry, unknown(&entry.key))),
                }
            }
        }
    }

    fn warn_if_without_effect(&mut self, setting: &Setting, entry: &Entry) {
        let Reads::NotYet(unsaid) = setting.reads else {
            return;
        };
        let text = match entry.lines.as_slice() {
            [line] => line.text.as_str(),
            _ => "\n",
        };
        if !unsaid.iter().any(|unsaid| unsaid.eq_ignore_ascii_case(text)) {
            self.warn(Some(entry.place), format!("{} is not yet in force", entry.key));
        }
    }

    /// The program's settings and the enabled jails. Worth nothing if a mistake was noted.
    fn config(&mut self) -> Config {
        let firewall = match self.word(DEFINITION, "firewall") {
            Some("nftables") => Backend::Nftables,
            Some("ipset") => Backend::Ipset,
            _ => Backend::Auto,
        };
        let ring = self.number(DEFINITION, "ring").unwrap_or_default();
        let maxbans = self.number(DEFINITION, "maxbans").unwrap_or_default();
        let ipv6prefix = self.number(DEFINITION, "ipv6prefix").unwrap_or_default();
        let dbfile = self.dbfile();
        let mut config = Config {
            jails: Vec::new(),
            firewall,
            ring,
            maxbans,
            ipv6prefix: u8::try_from(ipv6prefix).unwrap_or(128),
            dbfile,
            origins: self.origins(),
        };
        self.jails(&mut config);
        config
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
        if !text.starts_with('/') || text.contains(['\n', '\0']) {
            let what = format!(
                "dbfile: \"{}\" is not a path from the root; begin it with /",
                shown(text)
            );
            self.wrong(value.wrong(value.text(), what));
        }
        Some(text.to_owned())
    }

    fn jails(&mut self, config: &mut Config) {
        let ini = self.ini;
        let mut names = ini.section_names();
        names.retain(|name| !OTHERS.contains(name));
        let places: Vec<Option<Place>> = names.iter().map(|name| ini.section_place(name)).collect();
        let mut enabled: Vec<(&str, Option<Place>)> = names.into_iter().zip(places).collect();
        if enabled.is_empty() && !ini.is_written(DEFAULT, "enabled") {
            let what = "no jail in this file: the built-in jail asterisk is in force".to_owned();
            self.warn(None, what);
            enabled.push(("asterisk", None));
        } else {
            enabled.retain(|(name, _)| self.yes_no(name, "enabled") == Some(true));
        }
        let _ = self.origins();
        if enabled.is_empty() {
            self.whole_wrong(
                "no jail is enabled; write enabled = true in a section, such as [asterisk]".to_owned(),
            );
        }
        if enabled.len() > JAILS_MAX {
            self.whole_wrong(format!(
                "{} jails are enabled; {JAILS_MAX} are the limit",
                enabled.len()
            ));
            return;
        }
        let some = !enabled.is_empty();
        let clean = self.mistakes.is_empty();
        for (name, place) in enabled {
            config.jails.extend(jail::jail(self, name, place));
        }
        if some && config.jails.is_empty() && clean && self.mistakes.is_empty() {
            self.whole_wrong("no enabled jail has a filter that is in force; enable [asterisk]".to_owned());
        }
        let paths: usize = config.jails.iter().map(|jail| jail.logpaths.len()).sum();
        if paths > FILES_MAX {
            self.whole_wrong(format!(
                "{paths} log files in all jails; {FILES_MAX} are the limit"
            ));
        }
        if let Some(jail) = config.jails.iter().find(|jail| jail.maxretry > config.ring) {
            let (ring, retries, name) = (config.ring, jail.maxretry, &jail.name);
            let what = format!("ring: {ring} is too small for the maxretry {retries} of [{name}]");
            self.whole_wrong(what);
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
        parts.filter_map(|part| part.split_once(")s").map(|(name, _)| name.to_lowercase()))
    });
    // `%(section/name)s` refers to `name`.
    names
        .map(|name| {
            name.rsplit_once('/')
                .map_or(name.clone(), |(_, key)| key.to_owned())
        })
        .collect()
}

/// Text of the file as a message shows it: escaped, and not longer than a person reads.
pub(super) fn shown(text: &str) -> impl fmt::Display + '_ {
    /// Longest piece of a file shown in a message, in bytes.
    const SHOWN: usize = 60;
    let end = (0..=SHOWN.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at));
    let (head, rest) = text.split_at_checked(end.unwrap_or(0)).unwrap_or((text, ""));
    Shown(head, !rest.is_empty())
}

struct Shown<'t>(&'t str, bool);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            Escaped(self.0.as_bytes()),
            if self.1 { "..." } else { "" }
        )
    }
}
