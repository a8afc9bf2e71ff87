//! `filter = NAME[option=value]`: a built-in filter, or the user's own in `filter.d/NAME.conf`.
//!
//! It is looked for beside the jail's file and then in fail2ban's folder. `NAME.local` overrides `NAME.conf`.

use std::path::Path;

use super::include::{self, Opened, Read};
use super::ini::{DEFAULT, Entry, Ini, Wrong};
use super::interpolate::Value;
use super::reading::{Reading, shown};
use super::{FilterName, options, settings, tags};
use crate::filter::sshd;

/// fail2ban's folder, the second place where filters are looked for.
const FAIL2BAN: &str = "/etc/fail2ban/filter.d";

/// What filters find without fail2ban's common.conf: the name of the program, and the header of its syslog
/// lines without the date.
fn built_in(section: &str, key: &str) -> Option<&'static str> {
    match (section, key) {
        ("DEFAULT", "_daemon") => Some("\\S+"),
        ("DEFAULT", "__prefix_line") => {
            Some("\\s*(?:\\S+ )?(?:[a-z0-9]+\\.[a-z]+ )?(?:%(_daemon)s)(?:\\[\\d+\\])?:\\s+")
        }
        _ => None,
    }
}

/// Options of a filter, in the order in which they are written: name, value.
type Options<'v> = Vec<(&'v str, &'v str)>;

/// A filter that is there, before its expressions are read.
pub(super) enum Named {
    BuiltIn(FilterName),
    File { name: String, ini: Ini },
}

/// The filter that a jail names; `None` after a mistake, or if there is no such filter.
pub(super) fn named(reading: &mut Reading<'_>, section: &str) -> Option<Named> {
    let value = reading.value(section, "filter")?;
    let (name, given) = reading.right(call(&value))?;
    match name {
        "asterisk" => without_options(reading, section, &value, (name, &given), FilterName::Asterisk),
        "dropbear" => without_options(reading, section, &value, (name, &given), FilterName::Dropbear),
        "recidive" => Some(Named::BuiltIn(FilterName::Recidive)),
        "sshd" => {
            let mode = sshd_mode(reading, section, &value, &given)?;
            warn_of_file(reading, &value, name);
            Some(Named::BuiltIn(FilterName::Sshd(mode)))
        }
        _ => file(reading, section, &value, name, &given),
    }
}

/// `name[option=value, …]`, taken apart.
fn call(value: &Value) -> Result<(&str, Options<'_>), Wrong> {
    let text = value.text().trim();
    let (name, mut rest) = options::word(text, "._-");
    let mut given = Vec::new();
    while let Some(inside) = rest.trim_start().strip_prefix('[') {
        rest = options::list("filter", value, rest, inside, &mut given)?;
    }
    if name.is_empty() || name.starts_with('.') || !rest.trim().is_empty() {
        let what = format!(
            "filter: \"{}\" is not a filter's name; use name or name[option=value]",
            shown(text)
        );
        return Err(value.wrong(text, what));
    }
    Ok((name, given))
}

fn without_options(
    reading: &mut Reading<'_>,
    section: &str,
    value: &Value,
    (name, given): (&str, &[(&str, &str)]),
    filter: FilterName,
) -> Option<Named> {
    // The built-in value of the key hands the jail's mode to every filter, as fail2ban's does.
    let written = [section, DEFAULT]
        .iter()
        .any(|section| reading.ini.is_written(section, "filter"));
    let option = given.iter().find(|option| **option != ("mode", "normal"));
    if let Some((option, _)) = option.filter(|_| written) {
        let what = format!("filter {name} has no options; it knows every version and layout by itself");
        reading.warn(Some(value.wrong(option, "").place), what);
    }
    warn_of_file(reading, value, name);
    Some(Named::BuiltIn(filter))
}

/// `mode` as an option, else as the jail's key.
fn sshd_mode(
    reading: &mut Reading<'_>,
    section: &str,
    value: &Value,
    given: &[(&str, &str)],
) -> Option<sshd::Mode> {
    let option = given.iter().rev().find(|(option, _)| *option == "mode");
    let jails = match option {
        Some(_) => None,
        None => reading.value(section, "mode"),
    };
    let (whole, text) = match (option, &jails) {
        (Some((_, text)), _) => (value, *text),
        (None, Some(jails)) => (jails, jails.text().trim()),
        (None, None) => return Some(sshd::Mode::default()),
    };
    let what = || {
        format!(
            "mode: \"{}\" is none of normal, ddos, extra, aggressive",
            shown(text)
        )
    };
    reading.right(sshd::Mode::parse(text).ok_or_else(|| whole.wrong(text, what())))
}

/// Says that a file of the name of a built-in filter is not read. The files that fail2ban brings are meant
/// for it.
fn warn_of_file(reading: &mut Reading<'_>, value: &Value, name: &str) {
    let folder = include::beside(reading.ini, "filter.d");
    let brought = folder == Path::new(FAIL2BAN);
    for extension in ["conf", "local"] {
        let path = folder.join(format!("{name}.{extension}"));
        if (extension == "local" || !brought) && (reading.read)(&path).is_ok() {
            let what = format!(
                "the built-in filter {name} is used, not {}; \
                 to use the file, give it and filter = another name",
                shown(&path.to_string_lossy())
            );
            reading.warn(Some(value.place()), what);
        }
    }
}

fn file(
    reading: &mut Reading<'_>,
    section: &str,
    value: &Value,
    name: &str,
    given: &[(&str, &str)],
) -> Option<Named> {
    let folder = include::beside(reading.ini, "filter.d");
    let opened = find(&folder, name, &mut *reading.read);
    match opened {
        Ok(Some((mut ini, absent))) => {
            // Distributions include a .local of everything, for whoever wants to write one.
            for (place, name) in absent.into_iter().filter(|(_, name)| !name.ends_with(".local")) {
                let what = format!("{} does not exist and is left out", shown(&name));
                reading.warn_in(&ini, Some(place), what);
            }
            overlay(&mut ini, reading.ini, value, given);
            let name = name.to_owned();
            return Some(Named::File { name, ini });
        }
        Ok(None) => {}
        Err(error) => {
            reading.wrong_file(&error);
            return None;
        }
    }
    match settings::nearest(name, FilterName::BUILT_IN.into_iter()) {
        Some(near) => {
            let what = format!("filter: there is no \"{}\"; did you mean {near}?", shown(name));
            reading.wrong(value.wrong(name, what));
        }
        None => {
            let what = format!(
                "[{}] is not guarded: there is no {}/{}.conf, nor one in {FAIL2BAN}",
                shown(section),
                shown(&folder.to_string_lossy()),
                shown(name),
            );
            reading.warn(Some(value.place()), what);
        }
    }
    // What was read for a jail that is left out belongs to no jail.
    let _ = reading.origins();
    None
}

fn find(folder: &Path, name: &str, read: Read<'_>) -> Result<Option<Opened>, super::Error> {
    include::find(folder, Path::new(FAIL2BAN), name, built_in, read)
}

/// Puts the options of `filter = NAME[…]` above what the files say.
fn overlay(ini: &mut Ini, jails: &Ini, value: &Value, given: &[(&str, &str)]) {
    // Of an option that comes twice the last counts.
    let given = given.iter().rev();
    let entries: Vec<Entry> = given
        .map(|(option, text)| options::entry(value, option, text))
        .collect();
    ini.overlay(jails, value.place(), &[tags::DEFINITION, tags::INIT], &entries);
}
