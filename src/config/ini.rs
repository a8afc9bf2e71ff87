//! The INI grammar of fail2ban's files: Python's configparser, as fail2ban sets it up.
//!
//! What the grammar is was found by trying Debian's fail2ban 1.0.2 (Python 3.11):
//! * `[section]` and `key = value` or `key: value`; keys are lower-cased, sections are not;
//! * a line that begins with `#` or `;`, after blanks, is a comment; so is ` ;` and what follows it in a value.
//!   ` #` in a value is text to fail2ban (a regular expression needs it), but see [`Hash`];
//! * a line indented more than its key continues the value; empty lines in between belong to the value,
//!   comments do not interrupt it;
//! * a key or a section that comes twice in a file is a mistake.
//!
//! Files form layers: a later one overrides an earlier one key by key. Every value keeps its place.

use super::error::{Excerpt, Mistake, Origin};
use crate::limits::{CONFIG_BYTES_MAX, CONFIG_KEYS_MAX};

/// The section whose values all others inherit.
pub const DEFAULT: &str = "DEFAULT";

/// What ` #` in a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// The beginning of a comment, as people expect it in jail.local, where no value can hold it.
    Comment,
    /// Text, as in filter.d and action.d.
    Text,
}

/// A place in a file of an [`Ini`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the file; [`Place::BUILT_IN`] has none.
    file: u16,
    /// Line, from 0.
    line: u32,
    /// Byte in the line, from 0.
    byte: u32,
}

impl Place {
    /// The place of values that stand in no file.
    pub const BUILT_IN: Place = Place {
        file: u16::MAX,
        line: 0,
        byte: 0,
    };

    /// `bytes` further on the same line.
    #[must_use]
    pub fn right(self, bytes: usize) -> Place {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Place {
            byte: self.byte.saturating_add(bytes),
            ..self
        }
    }
}

/// What is wrong, where, and how many bytes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where it begins.
    pub place: Place,
    /// How many bytes are meant.
    pub length: usize,
    /// What is wrong and what to do.
    pub what: String,
}

/// One line of a raw value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text, without comment and surrounding blanks.
    pub text: String,
    /// Where the text begins.
    pub place: Place,
}

/// A key and its raw value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key, lower-cased.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// The value, line by line; at least one line.
    pub lines: Vec<Line>,
}

/// A section of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The name between the brackets.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// The keys, in the order of the file.
    pub entries: Vec<Entry>,
}

impl Section {
    /// The value of `key` in this section of this file.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    name: String,
    bytes: Vec<u8>,
    /// The sections, in the order of the file.
    pub sections: Vec<Section>,
}

/// Built-in values, of the lowest layer: section and key to raw value.
pub type Base = fn(&str, &str) -> Option<&'static str>;

/// Configuration files, and built-in values below them.
#[derive(Clone, Debug)]
pub struct Ini {
    /// The order in which they were opened, which numbers them in a [`Place`].
    files: Vec<File>,
    /// Their order of precedence: a later one overrides an earlier one.
    order: Vec<u16>,
    pub(super) base: Base,
}

impl Ini {
    /// No file yet.
    #[must_use]
    pub fn new(base: Base) -> Ini {
        Ini {
            files: Vec::new(),
            order: Vec::new(),
            base,
        }
    }

    /// Parses a file, which has no effect until it is layered. Returns its number.
    ///
    /// # Errors
    /// The first line that does not follow the grammar.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>, hash: Hash) -> Result<u16, Wrong> {
        let number = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        let place = Place {
            file: number,
            line: 0,
            byte: 0,
        };
        self.files.push(File {
            name: name.to_owned(),
            bytes: Vec::new(),
            sections: Vec::new(),
        });
        if bytes.len() > CONFIG_BYTES_MAX {
            return Err(Wrong {
                place,
                length: 1,
                what: format!(
                    "the file has {} bytes; {CONFIG_BYTES_MAX} are the limit",
                    bytes.len()
                ),
            });
        }
        let parsed = Parser::new(place, hash).parse(&bytes);
        if let Some(file) = self.files.last_mut() {
            file.bytes = bytes;
            file.sections = parsed?;
        }
        Ok(number)
    }

    /// Puts file `number` above those layered before it.
    pub fn layer(&mut self, number: u16) {
        self.order.push(number);
    }

    /// File `number`.
    #[must_use]
    pub fn file(&self, number: u16) -> Option<&File> {
        self.files.get(usize::from(number))
    }

    /// The files, the one that overrides the others first.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = &File> {
        self.order.iter().rev().filter_map(|&number| self.file(number))
    }

    /// The sections' names but `DEFAULT`, each once, in the order in which they are read.
    #[must_use]
    pub fn section_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for section in self.layers().rev().flat_map(|file| &file.sections) {
            if section.name != DEFAULT && !names.contains(&section.name.as_str()) {
                names.push(&section.name);
            }
        }
        names
    }

    /// Where the section's name stands, in the file that overrides the others.
    #[must_use]
    pub fn section_place(&self, name: &str) -> Option<Place> {
        let mut sections = self.layers().flat_map(|file| &file.sections);
        sections
            .find(|section| section.name == name)
            .map(|section| section.place)
    }

    /// Whether a file sets `key` in `section` itself.
    #[must_use]
    pub fn is_written(&self, section: &str, key: &str) -> bool {
        let mut sections = self.layers().flat_map(|file| &file.sections);
        sections.any(|found| found.name == section && found.entry(key).is_some())
    }

    /// Where `place` is, in the user's terms; `None` for a built-in value.
    #[must_use]
    pub fn origin(&self, place: Place) -> Option<Origin> {
        let file = self.file(place.file)?;
        let before = self.line(place).get(..place.byte as usize).unwrap_or_default();
        // Every byte but a continuation byte of UTF-8 begins a character.
        let characters = before.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        Some(Origin {
            file: file.name.clone(),
            line: place.line + 1,
            column: u32::try_from(characters).unwrap_or(u32::MAX).saturating_add(1),
        })
    }

    /// The mistake at its place, with the line it is in.
    #[must_use]
    pub fn mistake(&self, wrong: Wrong) -> Mistake {
        let origin = self.origin(wrong.place);
        let excerpt = origin
            .is_some()
            .then(|| Excerpt::new(self.line(wrong.place), wrong.place.byte as usize, wrong.length));
        Mistake {
            origin,
            what: wrong.what,
            excerpt: excerpt.filter(|_| self.file(wrong.place.file).is_some_and(|f| !f.bytes.is_empty())),
        }
    }

    fn line(&self, place: Place) -> &[u8] {
        let bytes = self.file(place.file).map_or(&[][..], |file| &file.bytes);
        let line = bytes
            .split(|&byte| byte == b'\n')
            .nth(place.line as usize)
            .unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }
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
        // Windows editors put a byte order mark in front; fail2ban stumbles over it, which helps nobody.
        let mark = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let bytes = bytes.get(mark..).unwrap_or_default();
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            self.place.line = u32::try_from(number).unwrap_or(u32::MAX);
            self.place.byte = if number == 0 { mark as u32 } else { 0 };
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
        let blank = |at: usize| {
            at.checked_sub(1)
                .and_then(|before| line.get(before))
                .is_none_or(u8::is_ascii_whitespace)
        };
        let first = line.trim_ascii_start().first();
        let at = line.iter().enumerate().position(|(at, &byte)| match byte {
            b';' => blank(at),
            b'#' => blank(at) && (self.hash == Hash::Comment || first == Some(&b'#')),
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
        if let Some(first) = self.sections.iter().find(|section| section.name == name) {
            let line = first.place.line + 1;
            return Err(Wrong {
                place,
                length: name.len(),
                what: format!("this section is already at line {line}; make one of the two"),
            });
        }
        self.open = false;
        self.sections.push(Section {
            name: name.to_owned(),
            place,
            entries: Vec::new(),
        });
        Ok(())
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
        let key = key.trim_end().to_lowercase();
        let length = key.len();
        let Some(section) = self.sections.last_mut() else {
            let what = "a key before the first [section]; put [DEFAULT] above it";
            return Err(wrong(what.to_owned()));
        };
        if let Some(first) = section.entry(&key) {
            let line = first.place.line + 1;
            let what = format!("this key is already set at line {line}; remove one of the two");
            return Err(Wrong { place, length, what });
        }
        self.keys += 1;
        if self.keys > CONFIG_KEYS_MAX {
            return Err(wrong(format!(
                "more than {CONFIG_KEYS_MAX} keys; no configuration needs that many"
            )));
        }
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

/// `name` of `[name]`, up to the last bracket as Python reads it.
fn section_name(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}
