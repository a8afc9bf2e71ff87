//! A configuration that is being read: its values by kind, what was wrong so far, and what is to be said.

use core::fmt;

use super::Origins;
use super::error::{Error, Mistake, Mistakes, Origin, Warning};
use super::include::Read;
use super::ini::{Ini, Place, Wrong};
use super::interpolate::Value;
use super::settings::{self, Reads};
use super::value;
use crate::escape::Escaped;
use crate::limits::CONFIG_WARNINGS_MAX;

/// A configuration that is being read: what was wrong so far, and what is to be said.
pub(super) struct Reading<'i> {
    /// The files.
    pub(super) ini: &'i Ini,
    /// Reads further files: filters.
    pub(super) read: Read<'i>,
    mistakes: Mistakes,
    warnings: Vec<Warning>,
    untold: usize,
    /// Where the values read so far are written.
    origins: Vec<(&'static str, Origin)>,
}

impl<'i> Reading<'i> {
    pub(super) fn new(ini: &'i Ini, read: Read<'i>) -> Reading<'i> {
        Reading {
            ini,
            read,
            mistakes: Mistakes::default(),
            warnings: Vec::new(),
            untold: 0,
            origins: Vec::new(),
        }
    }

    /// What came out: `config`, unless a mistake was noted.
    pub(super) fn result<T>(self, config: T) -> Result<(T, Vec<Warning>), Error> {
        let mut warnings = self.warnings;
        warnings.sort_by_key(|warning| {
            warning
                .origin
                .as_ref()
                .map(|origin| (origin.file.clone(), origin.line))
        });
        if self.untold > 0 {
            warnings.push(Warning {
                origin: None,
                what: format!("and {} more warnings like these", self.untold),
            });
        }
        self.mistakes.result((config, warnings))
    }

    /// Whether no mistake was noted so far.
    pub(super) fn is_sound(&self) -> bool {
        self.mistakes.is_empty()
    }

    pub(super) fn wrong(&mut self, wrong: Wrong) {
        self.mistakes.push(self.ini.mistake(wrong));
    }

    /// Notes a mistake in another file.
    pub(super) fn wrong_in(&mut self, ini: &Ini, wrong: Wrong) {
        self.mistakes.push(ini.mistake(wrong));
    }

    /// Notes what is wrong with another file.
    pub(super) fn wrong_file(&mut self, error: &Error) {
        error
            .mistakes()
            .cloned()
            .for_each(|mistake| self.mistakes.push(mistake));
    }

    /// Notes a mistake that is not at one place.
    pub(super) fn whole_wrong(&mut self, what: &str) {
        self.mistakes.push(Mistake {
            origin: None,
            what: format!("{}: {what}", shown(self.ini.main_name())),
            excerpt: None,
        });
    }

    /// The value, or the mistake noted.
    pub(super) fn right<T>(&mut self, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|wrong| self.wrong(wrong)).ok()
    }

    /// Says it once, however often it is found.
    pub(super) fn warn(&mut self, place: Option<Place>, what: String) {
        self.warn_in(self.ini, place, what);
    }

    /// Says something about another file.
    pub(super) fn warn_in(&mut self, ini: &Ini, place: Option<Place>, what: String) {
        if self.warnings.iter().any(|warning| warning.what == what) {
            return;
        }
        if self.warnings.len() >= CONFIG_WARNINGS_MAX {
            self.untold += 1;
            return;
        }
        let origin = place.and_then(|place| ini.origin(place));
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
                | Reads::Otherwise(..) => return Err("is no time".to_owned()),
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

    pub(super) fn word(&mut self, section: &str, key: &'static str) -> Option<&'static str> {
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
