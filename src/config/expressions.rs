//! What a filter of the user's own consists of: `failregex`, `ignoreregex`, `prefregex`, `datepattern`,
//! `proof`; and what a jail adds to its filter.

use std::rc::Rc;

use super::filter::Named;
use super::ini::{Ini, Wrong};
use super::interpolate::Value;
use super::reading::{Reading, shown};
use super::{Block, FilterName, Protocol, tags};
use crate::filter::Proof;
use crate::filter::custom::{Dates, Definition, Pattern, Role, Weakness};
use crate::limits::PATTERNS_PER_FILTER_MAX;

/// What reads the lines of a jail.
pub(super) struct Reads {
    pub(super) filter: FilterName,
    /// The jail's own expressions beside a built-in filter.
    pub(super) own: Option<Rc<Definition>>,
}

impl Reads {
    /// Whether names can stand in its lines where addresses do.
    pub(super) fn finds_names(&self) -> bool {
        let custom = match &self.filter {
            FilterName::Custom(definition) => Some(definition),
            FilterName::Asterisk | FilterName::Sshd(_) | FilterName::Dropbear | FilterName::Recidive => None,
        };
        let mut all = custom.into_iter().chain(&self.own);
        all.any(|definition| definition.finds_names())
    }
}

/// Reads the expressions, of the filter and of the jail itself.
pub(super) fn complete(
    reading: &mut Reading<'_>,
    section: &str,
    named: Named,
    blocks: &[Block],
) -> Option<Reads> {
    let mut definition = Definition {
        name: section.to_owned(),
        prefix: None,
        fail: Vec::new(),
        ignore: Vec::new(),
        dates: Dates::any(),
        proof: proof_of(blocks),
    };
    let built_in = match named {
        Named::BuiltIn(filter) => Some(filter),
        Named::File { name, ini } => {
            definition.name = name;
            of_file(reading, &ini, &mut definition);
            None
        }
    };
    let ini = reading.ini;
    if let Some(value) = reading.value(section, "failregex") {
        let own = patterns(reading, ini, &value, Role::Fail);
        let parts = (section, definition.prefix.as_ref(), own.as_slice());
        warn_of_weakness(reading, ini, &value, parts);
        definition.fail.extend(own);
    }
    if let Some(value) = reading.value(section, "ignoreregex") {
        definition
            .ignore
            .extend(patterns(reading, ini, &value, Role::Ignore));
    }
    own_dates(reading, section, built_in.as_ref(), &mut definition);
    let Some(filter) = built_in else {
        if definition.fail.is_empty() {
            if reading.is_sound() {
                let what = format!("filter {} of [{section}] has no failregex", definition.name);
                reading.whole_wrong(&what);
            }
            return None;
        }
        let filter = FilterName::Custom(Rc::new(definition));
        return Some(Reads { filter, own: None });
    };
    let own = !definition.fail.is_empty() || !definition.ignore.is_empty();
    let own = own.then(|| Rc::new(definition));
    Some(Reads { filter, own })
}

/// The jail's own `datepattern`, which counts before the filter's.
fn own_dates(
    reading: &mut Reading<'_>,
    section: &str,
    built_in: Option<&FilterName>,
    definition: &mut Definition,
) {
    let value = reading.value(section, "datepattern");
    let Some(value) = value.filter(|value| !value.text().trim().is_empty()) else {
        return;
    };
    definition.dates = dates(reading, reading.ini, &value);
    if let Some(filter) = built_in {
        let name = filter.name();
        let what =
            format!("datepattern: the built-in filter {name} finds its dates by itself, in every layout");
        reading.warn(Some(value.place()), what);
    }
}

/// A line says nothing about spoofing. Where only TCP is guarded, the sender has answered before anything
/// was logged about it; otherwise one spoofed datagram could have caused the line.
fn proof_of(blocks: &[Block]) -> Proof {
    let tcp = !blocks.is_empty() && blocks.iter().all(|block| block.protocol == Protocol::Tcp);
    if tcp { Proof::Transport } else { Proof::Blind }
}

/// Reads the values of a filter's file.
fn of_file(reading: &mut Reading<'_>, ini: &Ini, definition: &mut Definition) {
    let value = |reading: &mut Reading<'_>, key: &str| {
        let resolved = tags::resolve(ini, key);
        let resolved = resolved.map_err(|wrong| Wrong {
            what: format!("{key}: {}", wrong.what),
            ..wrong
        });
        match resolved {
            Ok(value) => value.filter(|value| !value.text().trim().is_empty()),
            Err(wrong) => {
                reading.wrong_in(ini, wrong);
                None
            }
        }
    };
    if let Some(value) = value(reading, "maxlines").filter(|value| value.text().trim() != "1") {
        let what =
            "maxlines: messages of several lines are not supported; match the line that has the address";
        reading.wrong_in(ini, value.wrong(value.text(), what));
    }
    if let Some(value) = value(reading, "proof") {
        match value.text().trim() {
            "blind" => definition.proof = Proof::Blind,
            "transport" => definition.proof = Proof::Transport,
            other => {
                let what = format!("proof: \"{}\" is neither blind nor transport", shown(other));
                reading.wrong_in(ini, value.wrong(value.text(), what));
            }
        }
    }
    if let Some(value) = value(reading, "datepattern") {
        definition.dates = dates(reading, ini, &value);
    }
    if let Some(value) = value(reading, "prefregex") {
        let mut found = patterns(reading, ini, &value, Role::Prefix).into_iter();
        definition.prefix = found.next();
        if found.next().is_some() {
            let what = "prefregex: there is one expression for all lines; join them with (?:…|…)";
            reading.wrong_in(ini, value.wrong(value.text(), what));
        }
    }
    if let Some(value) = value(reading, "failregex") {
        definition.fail = patterns(reading, ini, &value, Role::Fail);
        let name = format!("filter {}", definition.name);
        let parts = (
            name.as_str(),
            definition.prefix.as_ref(),
            definition.fail.as_slice(),
        );
        warn_of_weakness(reading, ini, &value, parts);
    }
    if let Some(value) = value(reading, "ignoreregex") {
        definition.ignore = patterns(reading, ini, &value, Role::Ignore);
    }
}

/// The expressions of a value: one a line.
fn patterns(reading: &mut Reading<'_>, ini: &Ini, value: &Value, role: Role) -> Vec<Pattern> {
    let key = match role {
        Role::Prefix => "prefregex",
        Role::Fail => "failregex",
        Role::Ignore => "ignoreregex",
    };
    let mut patterns = Vec::new();
    for line in value
        .text()
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if patterns.len() >= PATTERNS_PER_FILTER_MAX {
            let what = format!("{key}: more than {PATTERNS_PER_FILTER_MAX} expressions");
            reading.wrong_in(ini, value.wrong(line, what));
            break;
        }
        match Pattern::new(line, role) {
            Ok(pattern) => patterns.push(pattern),
            Err(fault) => {
                let part = line
                    .get(fault.at..)
                    .and_then(|rest| rest.get(..fault.length))
                    .unwrap_or(line);
                reading.wrong_in(ini, value.wrong(part, format!("{key}: {}", fault.what)));
            }
        }
    }
    patterns
}

fn dates(reading: &mut Reading<'_>, ini: &Ini, value: &Value) -> Dates {
    let mut dates = Dates::none();
    for line in value
        .text()
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if let Err(fault) = dates.add(line) {
            reading.wrong_in(ini, value.wrong(line, format!("datepattern: {}", fault.what)));
        }
    }
    dates
}

/// Says, once for each reason, which expressions let others choose who is banned, or never count.
fn warn_of_weakness(
    reading: &mut Reading<'_>,
    ini: &Ini,
    value: &Value,
    (name, prefix, fail): (&str, Option<&Pattern>, &[Pattern]),
) {
    let lines = || value.text().split('\n').map(str::trim);
    let place = |pattern: &Pattern| {
        let line = lines().find(|line| *line == pattern.source());
        line.map(|line| value.wrong(line, "").place)
    };
    let found_before = prefix.is_some_and(Pattern::has_address);
    let prefix_weak = |weakness| prefix.is_some_and(|prefix| prefix.weaknesses().contains(&weakness));
    let mut warn = |such: &dyn Fn(&Pattern) -> bool, what: &str| {
        let mut such = fail.iter().filter(|pattern| such(pattern));
        let Some(first) = such.next() else {
            return;
        };
        let more = match such.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let what = format!("{name}: failregex{more} {what}");
        reading.warn_in(ini, place(first), what);
    };
    for weakness in [Weakness::Unanchored, Weakness::Open] {
        let weak = |pattern: &Pattern| {
            pattern.has_address() && (pattern.weaknesses().contains(&weakness) || prefix_weak(weakness))
        };
        warn(&weak, weakness.advice());
    }
    let silent = |pattern: &Pattern| !pattern.has_address() && !found_before && !pattern.has_no_fail();
    warn(
        &silent,
        "has no <HOST> and never counts: lines are not tied together by <F-MLFID>",
    );
}
