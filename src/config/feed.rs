//! `backend` and `journalmatch`: where the lines of a jail come from.

use super::filter::Named;
use super::ini::{Ini, Wrong};
use super::interpolate::Value;
use super::reading::{Reading, shown};
use super::{Feed, FilterName, tags};
use crate::limits::{JOURNALMATCH_BYTES_MAX, JOURNALMATCH_TERMS_MAX};

/// What is read of the journal if nothing says. A message of a program of that name that is not root's counts for
/// nobody: every user may name a program sshd.
const SSHD: &str = "_COMM=sshd _UID=0 + _COMM=sshd-session _UID=0";
const DROPBEAR: &str = "_COMM=dropbear _UID=0";
const ASTERISK: &str = "_SYSTEMD_UNIT=asterisk.service";

/// Reads where the lines come from; `None` after a mistake.
pub(super) fn feed(reading: &mut Reading<'_>, section: &str, filter: &Named) -> Option<Feed> {
    if matches!(filter, Named::BuiltIn(FilterName::Recidive)) {
        return Some(Feed::Files);
    }
    let value = reading.value(section, "backend")?;
    let text = value.text().trim();
    let known = |word: &str| text.eq_ignore_ascii_case(word);
    // We follow files, with inotify; every one of these words asks for no more.
    let files = text.is_empty() || ["auto", "pyinotify", "gamin", "polling"].into_iter().any(known);
    if files || known("logread") {
        if reading.ini.is_written(section, "journalmatch") {
            let what = format!("[{section}] journalmatch has no effect without backend = systemd");
            reading.warn(reading.ini.section_place(section), what);
        }
        return Some(if files { Feed::Files } else { Feed::Logread });
    }
    if known("systemd") {
        return journal(reading, section, filter).map(Feed::Journal);
    }
    let what = if text.to_ascii_lowercase().starts_with("systemd[") {
        "backend: systemd has no options; the journal of this machine is read".to_owned()
    } else {
        format!("backend: \"{}\" is none of auto, systemd, logread", shown(text))
    };
    reading.wrong(value.wrong(value.text(), what));
    None
}

/// What of the journal is read: what the jail says, else its filter.
fn journal(reading: &mut Reading<'_>, section: &str, filter: &Named) -> Option<Vec<String>> {
    if let Some(value) = reading.value(section, "journalmatch") {
        if !value.text().trim().is_empty() {
            let terms = terms(&value);
            return reading.right(terms);
        }
    }
    let default = match filter {
        Named::BuiltIn(FilterName::Sshd(_)) => SSHD,
        Named::BuiltIn(FilterName::Dropbear) => DROPBEAR,
        Named::BuiltIn(_) => ASTERISK,
        Named::File { ini, .. } => return of_file(reading, section, ini),
    };
    reading.right(terms(&Value::built_in(default)))
}

/// The `journalmatch` of a filter of the user's own.
fn of_file(reading: &mut Reading<'_>, section: &str, ini: &Ini) -> Option<Vec<String>> {
    let found = tags::resolve(ini, "journalmatch").and_then(|value| match value {
        Some(value) if !value.text().trim().is_empty() => terms(&value).map(Some),
        Some(_) | None => Ok(None),
    });
    match found {
        Ok(Some(terms)) => Some(terms),
        Ok(None) => {
            reading.whole_wrong(&format!(
                "[{section}] has no journalmatch; write which messages of the journal it reads, such as \
                 journalmatch = _SYSTEMD_UNIT=NAME.service"
            ));
            None
        }
        Err(wrong) => {
            reading.wrong_in(ini, wrong);
            None
        }
    }
}

/// The words of a `journalmatch`, as journalctl(1) takes them: fields of one name are alternatives, those of several
/// names go together, and `+` stands between groups. In fail2ban a new line is a new group, too.
fn terms(value: &Value) -> Result<Vec<String>, Wrong> {
    let mut terms: Vec<String> = Vec::new();
    for line in value.text().split('\n') {
        let mut words = line.split_whitespace().peekable();
        if words.peek().is_some_and(|word| *word != "+") && terms.last().is_some_and(|last| last != "+") {
            terms.push("+".to_owned());
        }
        for word in words {
            if word != "+" && !is_match(word) {
                let what = format!(
                    "journalmatch: \"{}\" is no match; write FIELD=value, without quotes, and + between groups",
                    shown(word)
                );
                return Err(value.wrong(word, what));
            }
            terms.push(word.to_owned());
        }
    }
    let joined = ["+".to_owned(), "+".to_owned()];
    let stray = terms.first().is_some_and(|first| first == "+")
        || terms.last().is_some_and(|last| last == "+")
        || terms.windows(2).any(|pair| pair == joined);
    if stray {
        let at = value.text().find('+').unwrap_or(0);
        let plus = value.text().get(at..=at).unwrap_or_default();
        return Err(value.wrong(plus, "journalmatch: a + stands between two groups"));
    }
    let bytes: usize = terms.iter().map(|term| term.len() + 1).sum();
    if terms.len() > JOURNALMATCH_TERMS_MAX || bytes > JOURNALMATCH_BYTES_MAX {
        let what = format!("journalmatch: more than {JOURNALMATCH_TERMS_MAX} words");
        return Err(value.wrong(value.text(), what));
    }
    Ok(terms)
}

/// `FIELD=value`
pub(crate) fn is_match(word: &str) -> bool {
    let Some((field, value)) = word.split_once('=') else {
        return false;
    };
    let of_field = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let of_value = |byte: u8| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte);
    let begins = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    field.as_bytes().first().is_some_and(begins)
        && field.bytes().all(of_field)
        && !value.is_empty()
        && value.bytes().all(of_value)
}

impl Feed {
    /// A name for it: in the log, in `status` and in the state file, where no file's is like it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Feed::Files => "files".to_owned(),
            Feed::Journal(terms) => format!("journal: {}", terms.join(" ")),
            Feed::Logread => "logread".to_owned(),
        }
    }
}
