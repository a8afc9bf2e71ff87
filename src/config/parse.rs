//! The INI grammar of fail2ban's files: Python's configparser, as fail2ban sets it up.
//!
//! What the grammar is was found by trying Debian's fail2ban 1.0.2 (Python 3.11):
//! * `[section]` and `key = value` or `key: value`; keys are lower-cased, sections are not;
//! * a line that begins with `#` or `;`, after blanks, is a comment; so is ` ;` and what follows it in
//!   a value. ` #` in a value is text to fail2ban (a regular expression needs it), but see [`Hash`];
//! * a line indented more than its key continues the value; empty lines in between belong to the value,
//!   comments do not interrupt it;
//! * a key or a section that comes twice in a file is a mistake, but `[DEFAULT]` may come in pieces.
//!

use super::ini::{DEFAULT, Entry, Hash, Line, Place, Section, Wrong};
use crate::limits::CONFIG_KEYS_MAX;

/// The sections of a file; `place` is its first byte.
pub(super) fn parse(bytes: &[u8], place: Place, hash: Hash) -> Result<Vec<Section>, Wrong> {
    Parser::new(place, hash).parse(bytes)
}

/// The state of reading a file line by line.
struct Parser {
    place: Place,
    hash: Hash,
    sections: Vec<Section>,
    /// Whether the last key of the last section can be continued.
    open: bool,
    indent: usize,
    keys: usize,
}

impl Parser {
    fn new(place: Place, hash: Hash) -> Parser {
        Parser {
            place,
            hash,
            sections: Vec::new(),
            open: false,
            indent: 0,
            keys: 0,
        }
    }

    fn parse(mut self, bytes: &[u8]) -> Result<Vec<Section>, Wrong> {
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            self.place.line = u32::try_from(number).unwrap_or(u32::MAX);
            self.line(line)?;
        }
        for entry in self.sections.iter_mut().flat_map(|section| &mut section.entries) {
            while entry.lines.len() > 1 && entry.lines.last().is_some_and(|line| line.text.is_empty()) {
                entry.lines.pop();
            }
        }
        Ok(self.sections)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Wrong> {
        let (text, commented) = self.without_comment(line);
        // Comments may be in any encoding; what counts must be UTF-8.
        let text = core::str::from_utf8(text).map_err(|error| Wrong {
            place: self.place.right(error.valid_up_to()),
            length: 1,
            what: "this byte is not UTF-8; save the file as UTF-8".to_owned(),
        })?;
        let indent = text.len() - text.trim_start().len();
        let place = self.place.right(indent);
        let text = text.trim();
        if text.is_empty() {
            if !commented {
                self.continue_value("", place);
            }
            return Ok(());
        }
        if self.open && indent > self.indent {
            self.continue_value(text, place);
            return Ok(());
        }
        self.indent = indent;
        match section_name(text) {
            Some(name) => self.section(name, place.right(1)),
            None => self.entry(text, place),
        }
    }

    /// The line without its comment, and whether it had one.
    fn without_comment<'l>(&self, line: &'l [u8]) -> (&'l [u8], bool) {
        let valid = line.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let first = valid.len() - valid.trim_start().len();
        let at = line.iter().enumerate().position(|(at, &byte)| match byte {
            b';' => at == first || line.get(..at).is_some_and(ends_with_blank),
            b'#' if self.hash == Hash::Text => at == first,
            b'#' => at == first || line.get(..at).is_some_and(ends_with_blank),
            _ => false,
        });
        match at.and_then(|at| line.get(..at)) {
            Some(text) => (text, true),
            None => (line, false),
        }
    }

    fn continue_value(&mut self, text: &str, place: Place) {
        let last = self
            .sections
            .last_mut()
            .and_then(|section| section.entries.last_mut());
        if let (true, Some(entry)) = (self.open, last) {
            entry.lines.push(Line {
                text: text.to_owned(),
                place,
            });
        }
    }

    fn section(&mut self, name: &str, place: Place) -> Result<(), Wrong> {
        let mut sections = self.sections.iter().filter(|section| section.name != DEFAULT);
        if let Some(first) = sections.find(|section| section.name == name) {
            let line = first.place.line + 1;
            return Err(Wrong {
                place,
                length: name.len(),
                what: format!("this section is already at line {line}; make one of the two"),
            });
        }
        self.count(place)?;
        self.open = false;
        self.sections.push(Section {
            name: name.to_owned(),
            place,
            entries: Vec::new(),
        });
        Ok(())
    }

    /// Counts a key or a section.
    fn count(&mut self, place: Place) -> Result<(), Wrong> {
        self.keys += 1;
        if self.keys <= CONFIG_KEYS_MAX {
            return Ok(());
        }
        Err(Wrong {
            place,
            length: 1,
            what: format!("more than {CONFIG_KEYS_MAX} keys and sections; no configuration needs that many"),
        })
    }

    fn entry(&mut self, text: &str, place: Place) -> Result<(), Wrong> {
        let wrong = |what: String| Wrong {
            place,
            length: text.len(),
            what,
        };
        let Some((key, value)) = text
            .split_once(['=', ':'])
            .filter(|(key, _)| !key.trim().is_empty())
        else {
            let what =
                "this is neither a [section] nor key = value; a line that continues a value is indented";
            return Err(wrong(what.to_owned()));
        };
        let value_place = place.right(key.len() + 1 + value.len() - value.trim_start().len());
        let key = key.trim_end().to_ascii_lowercase();
        let length = key.len();
        self.count(place)?;
        let Some(section) = self.sections.last() else {
            let what = "a key before the first [section]; put [DEFAULT] above it";
            return Err(wrong(what.to_owned()));
        };
        // `[DEFAULT]` alone may come in several pieces.
        let mut pieces = self.sections.iter().filter(|piece| piece.name == section.name);
        if let Some(first) = pieces.find_map(|piece| piece.entry(&key)) {
            let line = first.place.line + 1;
            let what = format!("this key is already set at line {line}; remove one of the two");
            return Err(Wrong { place, length, what });
        }
        let Some(section) = self.sections.last_mut() else {
            return Ok(());
        };
        section.entries.push(Entry {
            key,
            place,
            lines: vec![Line {
                text: value.trim().to_owned(),
                place: value_place,
            }],
        });
        self.open = true;
        Ok(())
    }
}

/// Whether the last character is a blank, U+3000 as Japanese keyboards write it included. Looks at no more
/// than that character, so that a long line of semicolons takes no longer than another.
fn ends_with_blank(bytes: &[u8]) -> bool {
    (1..=3usize).any(|length| {
        let last = bytes.len().checked_sub(length).and_then(|from| bytes.get(from..));
        let last = last.and_then(|last| core::str::from_utf8(last).ok());
        last.is_some_and(|last| last.chars().count() == 1 && last.trim().is_empty())
    })
}

/// `name` of `[name]`, up to the last bracket as Python reads it.
fn section_name(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}
