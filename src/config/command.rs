//! An action of the user's own: `action.d/NAME.conf`, `NAME.local` over it, and the options that the jail gives.
//!
//! Looked for beside the jail's file and then in fail2ban's folder, as filters are.

use std::path::Path;
use std::rc::Rc;

use super::action::Call;
use super::include;
use super::ini::{Entry, Ini, Wrong};
use super::interpolate::Value;
use super::reading::{Reading, shown};
use super::tags::{DEFINITION, INIT, OfAction};
use super::{options, settings, value};
use crate::action::script::Script;
use crate::action::{Action, Commands, Does, Scripts};
use crate::limits::{COMMAND_SECONDS, COMMAND_SECONDS_MAX};

/// fail2ban's folder, the second place where actions are looked for.
const FAIL2BAN: &str = "/etc/fail2ban/action.d";

const FAMILIES: [&str; 2] = ["inet4", "inet6"];

/// Keys that mean something to us; others are values for tags.
const KEYS: [&str; 11] = [
    "actionstart",
    "actionstop",
    "actioncheck",
    "actionban",
    "actionunban",
    "actionflush",
    "actionrepair",
    "actionreban",
    "actionprolong",
    "actionstart_on_demand",
    "actname",
];

/// Files of actions have nothing below them.
fn nothing(_section: &str, _key: &str) -> Option<&'static str> {
    None
}

/// Says that a file of the name of an action that is built in is not read. The files that fail2ban brings are
/// meant for it.
pub(super) fn warn_of_file(reading: &mut Reading<'_>, value: &Value, name: &str) {
    let folder = include::beside(reading.ini, "action.d");
    let brought = folder == Path::new(FAIL2BAN);
    for extension in ["conf", "local"] {
        let path = folder.join(format!("{name}.{extension}"));
        if (extension == "local" || !brought) && (reading.read)(&path).is_ok() {
            let what = format!(
                "the built-in action {name} is used, not {}; to use the file, give it and the action another name",
                shown(&path.to_string_lossy())
            );
            reading.warn(Some(value.wrong(name, "").place), what);
        }
    }
}

/// Says that there is no such action.
pub(super) fn warn_of_absent(reading: &mut Reading<'_>, value: &Value, name: &str) {
    let folder = include::beside(reading.ini, "action.d");
    let what = if name.ends_with(".py") {
        format!(
            "action {}: Python programs of fail2ban's are not run; for mails write sendmail-whois-lines, for \
             another program an action.d file",
            shown(name)
        )
    } else {
        format!(
            "action {} is not run: there is no {}/{}.conf, nor one in {FAIL2BAN}",
            shown(name),
            shown(&folder.to_string_lossy()),
            shown(name)
        )
    };
    reading.warn(Some(value.wrong(name, "").place), what);
}

/// The action of this name; `None` if there is no such file, `Some(None)` after a mistake.
pub(super) fn file(
    reading: &mut Reading<'_>,
    section: &str,
    value: &Value,
    call: &Call<'_>,
) -> Option<Option<Action>> {
    if call.name.starts_with('.') {
        return None;
    }
    let folder = include::beside(reading.ini, "action.d");
    let second = Path::new(FAIL2BAN);
    let (mut ini, absent) = match include::find(&folder, second, call.name, nothing, &mut *reading.read) {
        Ok(found) => found?,
        Err(error) => {
            reading.wrong_file(&error);
            return Some(None);
        }
    };
    // Distributions include a .local of everything, for whoever wants to write one.
    for (place, name) in absent.into_iter().filter(|(_, name)| !name.ends_with(".local")) {
        let what = format!("{} does not exist and is left out", shown(&name));
        reading.warn_in(&ini, Some(place), what);
    }
    overlay(&mut ini, reading.ini, value, call);
    let mut given = vec![("name", section.to_owned()), ("actname", call.name.to_owned())];
    for key in ["port", "protocol", "chain"] {
        let text = reading.ini.resolve(section, key).ok().flatten();
        given.extend(text.map(|text| (key, text.text().to_owned())));
    }
    warn_of_keys(reading, &ini, call.name);
    let commands = commands(reading, &ini, &given);
    let action = commands.map(|commands| Action {
        name: call.name.to_owned(),
        does: Does::Run(Rc::new(commands)),
    });
    Some(action)
}

/// Puts the options of `action = NAME[…]` above what the files say; `key?family=inet6="…"` for one family.
fn overlay(ini: &mut Ini, jails: &Ini, value: &Value, call: &Call<'_>) {
    let mut both: Vec<Entry> = Vec::new();
    let mut single: [Vec<Entry>; 2] = Default::default();
    // Of an option that comes twice the last counts.
    for &(option, text) in call.options.iter().rev() {
        let (place, option, text) = match option.strip_suffix("?family") {
            None => (&mut both, option, text),
            Some(key) => {
                let family = FAMILIES.iter().zip(&mut single).find_map(|(name, entries)| {
                    let text = text.strip_prefix(name)?.trim_start().strip_prefix('=')?;
                    Some((entries, text.trim().trim_matches('"')))
                });
                let Some((entries, text)) = family else { continue };
                (entries, key, text)
            }
        };
        let mut entry = options::entry(value, option, text);
        // It is resolved already.
        for line in &mut entry.lines {
            line.text = line.text.replace('%', "%%");
        }
        place.push(entry);
    }
    ini.overlay(jails, value.place(), &[DEFINITION, INIT], &both);
    for (family, entries) in FAMILIES.iter().zip(&single) {
        let section = format!("{INIT}?family={family}");
        ini.overlay(jails, value.place(), &[&section], entries);
    }
}

/// Says which keys are never run, or look like a mistyped one.
fn warn_of_keys(reading: &mut Reading<'_>, ini: &Ini, name: &str) {
    let sections = ini.layers().flat_map(|file| &file.sections);
    let entries = sections
        .filter(|section| section.name.starts_with(DEFINITION))
        .flat_map(|section| &section.entries);
    for entry in entries.filter(|entry| entry.key.starts_with("action")) {
        let empty = entry.lines.iter().all(|line| line.text.is_empty());
        let what = match entry.key.as_str() {
            _ if empty => continue,
            "actionreban" => "actionban is run for every ban, with <restored>".to_owned(),
            "actionprolong" => "a ban is never prolonged".to_owned(),
            known if KEYS.contains(&known) || known.starts_with("action_") => continue,
            other => match settings::nearest(other, KEYS.into_iter()) {
                Some(near) => format!("there is no such key; did you mean {near}?"),
                None => continue,
            },
        };
        let what = format!(
            "action {}: {} is never run: {what}",
            shown(name),
            shown(&entry.key)
        );
        reading.warn_in(ini, Some(entry.place), what);
    }
}

fn commands(reading: &mut Reading<'_>, ini: &Ini, given: &[(&str, String)]) -> Option<Commands> {
    let [four, six] = FAMILIES.map(|family| {
        let of = OfAction { ini, family, given };
        Some(Scripts {
            start: script(reading, &of, "actionstart", false)?,
            stop: script(reading, &of, "actionstop", false)?,
            check: script(reading, &of, "actioncheck", false)?,
            ban: script(reading, &of, "actionban", true)?,
            unban: script(reading, &of, "actionunban", true)?,
            flush: script(reading, &of, "actionflush", false)?,
            repair: script(reading, &of, "actionrepair", false)?,
        })
    });
    let families = [four?, six?];
    let by_family = families.first() != families.last();
    let of = OfAction {
        ini,
        family: "inet4",
        given,
    };
    let on_demand = yes_no(reading, &of, "actionstart_on_demand")?;
    let norestored = yes_no(reading, &of, "norestored")?;
    let timeout = match text(reading, &of, "timeout")? {
        None => COMMAND_SECONDS,
        Some(value) => {
            let seconds =
                value::seconds(value.text()).filter(|seconds| (1..=COMMAND_SECONDS_MAX).contains(seconds));
            let what = format!("timeout: write 1 to {COMMAND_SECONDS_MAX} seconds");
            right(
                reading,
                ini,
                seconds.ok_or_else(|| value.wrong(value.text(), what)),
            )?
        }
    };
    Some(Commands {
        families,
        by_family,
        on_demand: on_demand.unwrap_or(by_family),
        norestored: norestored.unwrap_or(false),
        timeout,
    })
}

/// The value of a key, resolved; `None` after a mistake.
fn text(reading: &mut Reading<'_>, of: &OfAction<'_>, key: &str) -> Option<Option<Value>> {
    let resolved = of.resolve(key).map_err(|wrong| Wrong {
        what: format!("{key}: {}", wrong.what),
        ..wrong
    });
    let value = right(reading, of.ini, resolved)?;
    Some(value.filter(|value| !value.text().trim().is_empty()))
}

fn yes_no(reading: &mut Reading<'_>, of: &OfAction<'_>, key: &str) -> Option<Option<bool>> {
    let Some(value) = text(reading, of, key)? else {
        return Some(None);
    };
    let read = value::yes_no(value.text().trim());
    let what = format!("{key}: \"{}\" is neither true nor false", shown(value.text()));
    right(
        reading,
        of.ini,
        read.ok_or_else(|| value.wrong(value.text(), what)),
    )
    .map(Some)
}

/// The commands of a key; `of_ban` if the tags of a ban mean something in it.
fn script(reading: &mut Reading<'_>, of: &OfAction<'_>, key: &str, of_ban: bool) -> Option<Script> {
    let Some(value) = text(reading, of, key)? else {
        return Some(Script::default());
    };
    let script = Script::new(value.text()).map_err(|fault| {
        let part = value.text().get(fault.at..).unwrap_or_default();
        let part = part.get(..fault.length).unwrap_or(part);
        value.wrong(part, format!("{key}: {}", fault.what))
    });
    let script = right(reading, of.ini, script)?;
    let unknown = script.tags().find(|tag| !of_ban && !tag.is_of_the_box());
    let Some(tag) = unknown else { return Some(script) };
    let name = format!("<{}>", tag.name());
    let part = value
        .text()
        .find(&name)
        .and_then(|at| value.text().get(at..at + name.len()));
    let what = format!("{key}: {name} is known in actionban and actionunban only");
    reading.wrong_in(of.ini, value.wrong(part.unwrap_or(value.text()), what));
    None
}

/// The value, or the mistake noted.
fn right<T>(reading: &mut Reading<'_>, ini: &Ini, result: Result<T, Wrong>) -> Option<T> {
    result.map_err(|wrong| reading.wrong_in(ini, wrong)).ok()
}
