//! INI files in layers, with the place of everything in them.
//!
//! Files form layers: a later one overrides an earlier one key by key. Every value keeps its place.

use super::error::{Excerpt, Mistake, Origin};
use super::parse::parse;
use crate::limits::CONFIG_BYTES_MAX;

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
    pub(super) line: u32,
    /// Byte in the line, from 0.
    pub(super) byte: u32,
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
        // Windows editors put a byte order mark in front; fail2ban stumbles over it, which helps nobody.
        let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => rest.to_vec(),
            None => bytes,
        };
        let parsed = parse(&bytes, place, hash);
        if let Some(file) = self.files.last_mut() {
            file.bytes = bytes;
            file.sections = parsed?;
        }
        Ok(number)
    }

    /// Puts values that stand in a file of `other` above all files, as if each of `sections` had them.
    pub(super) fn overlay(&mut self, other: &Ini, place: Place, sections: &[&str], entries: &[Entry]) {
        let (name, bytes) = other
            .file(place.file)
            .map_or((String::new(), Vec::new()), |file| {
                (file.name.clone(), file.bytes.clone())
            });
        let number = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        let here = |place: Place| match place {
            Place::BUILT_IN => place,
            _ => Place {
                file: number,
                ..place
            },
        };
        let entry = |entry: &Entry| Entry {
            key: entry.key.clone(),
            place: here(entry.place),
            lines: entry
                .lines
                .iter()
                .map(|line| Line {
                    text: line.text.clone(),
                    place: here(line.place),
                })
                .collect(),
        };
        let section = |name: &&str| Section {
            name: (*name).to_owned(),
            place: here(place),
            entries: entries.iter().map(entry).collect(),
        };
        self.files.push(File {
            name,
            bytes,
            sections: sections.iter().map(section).collect(),
        });
        self.layer(number);
    }

    /// The name of the file that was opened first.
    pub(super) fn main_name(&self) -> &str {
        self.file(0).map_or("", |file| &file.name)
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
