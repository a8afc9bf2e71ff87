//! One jail: which log, which filter, how many failures, for how long, and who is never banned.

use super::action::{self, Actions};
use super::filter::{self, Named};
use super::ini::{DEFAULT, Place};
use super::reading::{Reading, shown};
use super::{Feed, FilterName, Jail, Reach, UseDns, escalation, evidence, expressions, feed, ignore};
use crate::action::Role;
use crate::limits::{FILES_MAX, JAIL_NAME_BYTES_MAX};

/// Reads an enabled jail; `None` after a mistake, or if we have no such filter.
pub(super) fn jail(reading: &mut Reading<'_>, name: &str, place: Option<Place>) -> Option<Jail> {
    name_is_sound(reading, name, place)?;
    let named = filter::named(reading, name)?;
    let feed = feed::feed(reading, name, &named);
    let (logpaths, logpaths_guessed) = match &feed {
        Some(Feed::Files) => logpaths(reading, name, &named).unwrap_or_default(),
        Some(Feed::Journal(_) | Feed::Logread) | None => Default::default(),
    };
    let maxretry = reading.number(name, "maxretry");
    let findtime = reading.seconds(name, "findtime").flatten();
    let bantime = reading.seconds(name, "bantime");
    let bantime_unproven = escalation::optional_seconds(reading, name, "bantime.unproven");
    let escalation = escalation::escalation(reading, name);
    let evidence = evidence::evidence(reading, name);
    let ignore::Addresses { nets, names, .. } = ignore::addresses(reading, name);
    let ignorecommand = ignore::command(reading, name);
    let reach = match reading.word(name, "reach") {
        Some("all") => Reach::All,
        _ => Reach::Proof,
    };
    let own = [name, DEFAULT]
        .iter()
        .any(|section| reading.ini.is_written(section, "maxmatches"));
    let maxmatches = if own {
        reading.number(name, "maxmatches")
    } else {
        maxretry
    };
    let Actions { blocks, others } = action::actions(reading, name, bantime.flatten());
    let runs = others.iter().any(|action| action.role() == Role::Commands);
    if blocks.is_empty() && !runs {
        let what = format!("[{name}] has no firewall action: it bans, but nothing is blocked");
        reading.warn(place, what);
    }
    let reads = expressions::complete(reading, name, named, &blocks);
    let usedns = usedns(reading, name, reads.as_ref());
    let origins = reading.origins();
    let reads = reads?;
    Some(Jail {
        name: name.to_owned(),
        filter: reads.filter,
        own: reads.own,
        feed: feed?,
        logpaths,
        logpaths_guessed,
        maxretry: maxretry?,
        findtime: findtime?,
        bantime: bantime?,
        bantime_unproven,
        escalation,
        evidence: evidence?,
        ignoreip: nets,
        ignorenames: names,
        ignorecommand,
        usedns,
        blocks,
        reach,
        actions: others,
        maxmatches: maxmatches?,
        origins,
    })
}

impl Jail {
    /// Whether its bans reach less far if they are not proven. Where no line can be forged, all are.
    #[must_use]
    pub fn reaches_by_proof(&self) -> bool {
        let always_proven = match &self.filter {
            FilterName::Sshd(_) | FilterName::Dropbear => true,
            FilterName::Custom(definition) => definition.proof.is_proven(),
            FilterName::Asterisk | FilterName::Recidive => false,
        };
        let own_proven = self.own.as_ref().is_none_or(|own| own.proof.is_proven());
        self.reach == Reach::Proof && !(always_proven && own_proven)
    }
}

/// The name becomes part of a kernel set's name, of log lines and of commands.
fn name_is_sound(reading: &mut Reading<'_>, name: &str, place: Option<Place>) -> Option<()> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.len() <= JAIL_NAME_BYTES_MAX && name.bytes().all(sound) && !name.starts_with('-') {
        return Some(());
    }
    let what = format!(
        "\"{}\" cannot be a jail's name; use up to {JAIL_NAME_BYTES_MAX} letters, digits, dots, - and _",
        shown(name)
    );
    match place {
        Some(place) => reading.wrong(super::ini::Wrong {
            place,
            length: name.len(),
            what,
        }),
        None => reading.whole_wrong(&what),
    }
    None
}

/// The files and patterns of `logpath`, and whether they are only built in.
fn logpaths(reading: &mut Reading<'_>, section: &str, filter: &Named) -> Option<(Vec<String>, bool)> {
    // It reads no log: fail2ban's is not written here, and the guard knows its bans.
    if matches!(filter, Named::BuiltIn(FilterName::Recidive)) {
        return Some((Vec::new(), true));
    }
    let Some(value) = reading.value(section, "logpath") else {
        if reading.ini.resolve(section, "logpath").is_ok() {
            reading.whole_wrong(&format!(
                "[{section}] has no logpath; name the log files it reads"
            ));
        }
        return None;
    };
    let mut paths: Vec<String> = Vec::new();
    for word in value.words() {
        // fail2ban lets a path be followed by where to begin in it; we go on where we stopped.
        if matches!(word, "tail" | "head") && !paths.is_empty() {
            continue;
        }
        if !word.starts_with('/') {
            let what = format!(
                "logpath: \"{}\" is not a path from the root; begin it with /",
                shown(word)
            );
            reading.wrong(value.wrong(word, what));
            return None;
        }
        if matches!(filter, Named::BuiltIn(FilterName::Asterisk)) && word.ends_with("/full") {
            let what = "asterisk's full log holds debug output, which anyone can forge; \
                        name messages and security in logpath";
            reading.warn(Some(value.wrong(word, "").place), what.to_owned());
        }
        if !paths.iter().any(|path| path == word) {
            paths.push(word.to_owned());
        }
    }
    if paths.is_empty() || paths.len() > FILES_MAX {
        let what = format!("logpath: {} paths; name 1 to {FILES_MAX}", paths.len());
        reading.wrong(value.wrong(value.text(), what));
        return None;
    }
    let guessed = value.is_built_in();
    Some((paths, guessed))
}

/// `usedns`. Lines of our own filters hold no names.
fn usedns(reading: &mut Reading<'_>, section: &str, reads: Option<&expressions::Reads>) -> UseDns {
    let word = reading.word(section, "usedns");
    if !reads.is_some_and(expressions::Reads::finds_names) {
        return UseDns::No;
    }
    match word {
        Some("yes") => {
            let what = "usedns = yes: whoever owns a name in a line chooses whose address is banned; match addresses \
                with <ADDR>, or write usedns = warn";
            let place = reading.value(section, "usedns").map(|value| value.place());
            reading.warn(place, what.to_owned());
            UseDns::Yes
        }
        Some("warn") => UseDns::Warn,
        _ => UseDns::No,
    }
}
