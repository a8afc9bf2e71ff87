//! `%(name)s`: the values of an [`Ini`], with their references resolved.
//!
//! `%(name)s` is looked up as if it stood in the section that is being resolved, wherever it is written;
//! `%(section/name)s` takes the raw value from another section (`default` for `[DEFAULT]`) and resolves it
//! here, too; `%(known/name)s` is the value below the one being defined; `%(__name__)s` is the section's
//! name; `%%` is a percent sign.

use super::ini::{DEFAULT, Entry, Ini, Line, Place, Wrong};
use crate::escape::Escaped;
use crate::limits::{INTERPOLATION_DEPTH_MAX, INTERPOLATIONS_MAX, VALUE_BYTES_MAX};

/// A resolved value, which knows where each part of it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    text: String,
    /// From this byte of the text on, it stands at this place; ascending.
    marks: Vec<(usize, Place)>,
    /// Where the value of the key itself begins.
    place: Place,
}

impl Value {
    /// A value that stands in no file.
    pub(super) fn built_in(text: &str) -> Value {
        Value {
            text: text.to_owned(),
            marks: Vec::new(),
            place: Place::BUILT_IN,
        }
    }

    /// The text; lines are separated by newlines.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the value of the key begins; of a built-in one, the first part that a file wrote.
    #[must_use]
    pub fn place(&self) -> Place {
        let written = self.marks.iter().map(|&(_, place)| place);
        let mut written = written.filter(|&place| place != Place::BUILT_IN);
        match self.place {
            Place::BUILT_IN => written.next().unwrap_or(Place::BUILT_IN),
            place => place,
        }
    }

    /// Whether nothing of the text is written in a file, though a file may refer to it.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.marks.iter().all(|&(_, place)| place == Place::BUILT_IN)
    }

    /// Where byte `at` of the text is written; a part from a built-in value counts as written where it is
    /// referred to, or where the value's first written part is.
    #[must_use]
    pub fn place_at(&self, at: usize) -> Place {
        let mark = self.marks.iter().rev().find(|&&(from, _)| from <= at);
        match mark {
            Some(&(from, place)) if place != Place::BUILT_IN => place.right(at - from),
            _ => self.place(),
        }
    }

    /// A mistake about `part`, which must be a slice of this value's text.
    #[must_use]
    pub fn wrong(&self, part: &str, what: impl Into<String>) -> Wrong {
        let at = (part.as_ptr() as usize)
            .checked_sub(self.text.as_ptr() as usize)
            .filter(|&at| at <= self.text.len())
            .unwrap_or(0);
        Wrong {
            place: self.place_at(at),
            length: part.len().max(1),
            what: what.into(),
        }
    }

    /// Puts `other` in place of the bytes `from..to`; every part keeps its place.
    pub(super) fn splice(&mut self, from: usize, to: usize, other: &Value) {
        let (at, behind) = (self.place_at(from), self.place_at(to));
        let end = from + other.text.len();
        let mut marks: Vec<(usize, Place)> = Vec::new();
        marks.extend(self.marks.iter().filter(|(mark, _)| *mark < from));
        marks.push((from, at));
        let inside = other.marks.iter().filter(|(_, place)| *place != Place::BUILT_IN);
        marks.extend(inside.map(|(mark, place)| (from + mark, *place)));
        marks.push((end, behind));
        let rest = self.marks.iter().filter(|(mark, _)| *mark > to);
        marks.extend(rest.map(|(mark, place)| (mark - to + end, *place)));
        self.marks = marks;
        if self.text.get(from..to).is_some() {
            self.text.replace_range(from..to, &other.text);
        }
    }

    /// The parts between blanks and newlines.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split_whitespace()
    }
}

/// One definition of a key: in a file, or built in.
enum Definition<'i> {
    Written(&'i Entry),
    BuiltIn(&'static str),
}

/// What is being resolved, in which section, and how much work it has been.
struct Resolver<'i> {
    ini: &'i Ini,
    section: &'i str,
    text: String,
    marks: Vec<(usize, Place)>,
    references: usize,
}

impl Ini {
    /// The value of `key` in `section`, or the one it inherits; `None` if there is none.
    ///
    /// # Errors
    /// A reference that leads nowhere, too deep or too far.
    pub fn resolve(&self, section: &str, key: &str) -> Result<Option<Value>, Wrong> {
        let mut resolver = Resolver {
            ini: self,
            section,
            text: String::new(),
            marks: Vec::new(),
            references: 0,
        };
        let Some(definition) = self.definition(section, key, 0) else {
            return Ok(None);
        };
        let place = match &definition {
            Definition::Written(entry) => entry.lines.first().map_or(entry.place, |line| line.place),
            Definition::BuiltIn(_) => Place::BUILT_IN,
        };
        resolver.definition(&definition, key, 0, 0)?;
        Ok(Some(Value {
            text: resolver.text,
            marks: resolver.marks,
            place,
        }))
    }

    /// The `rank`th of the definitions of `key` that hold in `section`, of which the first is in force: the
    /// section's before those of `[DEFAULT]`, a later file's before an earlier one's, and a file's before the
    /// built-in one.
    fn definition<'i>(&'i self, section: &str, key: &str, rank: usize) -> Option<Definition<'i>> {
        let inherited = if section == DEFAULT { None } else { Some(DEFAULT) };
        let names = core::iter::once(section).chain(inherited);
        let mut definitions = names.flat_map(|name| {
            let sections = self.layers().flat_map(|file| &file.sections);
            let written = sections
                .filter(move |section| section.name == name)
                .filter_map(move |section| section.entry(key))
                .map(Definition::Written);
            written.chain((self.base)(name, key).map(Definition::BuiltIn))
        });
        definitions.nth(rank)
    }
}

impl<'i> Resolver<'i> {
    /// Appends the value of `definition`, the `rank`th of `key`.
    fn definition(
        &mut self,
        definition: &Definition<'i>,
        key: &str,
        rank: usize,
        depth: usize,
    ) -> Result<(), Wrong> {
        match definition {
            Definition::BuiltIn(text) => self.line(text, Place::BUILT_IN, key, rank, depth),
            Definition::Written(entry) => {
                for (number, Line { text, place }) in entry.lines.iter().enumerate() {
                    if number > 0 {
                        self.push("\n", *place)?;
                    }
                    self.line(text, *place, key, rank, depth)?;
                }
                Ok(())
            }
        }
    }

    fn line(&mut self, text: &str, place: Place, key: &str, rank: usize, depth: usize) -> Result<(), Wrong> {
        let mut rest = text;
        loop {
            let at = text.len() - rest.len();
            let Some((plain, from)) = rest.split_once('%') else {
                return self.push(rest, right(place, at));
            };
            self.push(plain, right(place, at))?;
            let percent = right(place, at + plain.len());
            if let Some(after) = from.strip_prefix('%') {
                self.push("%", percent)?;
                rest = after;
            } else if let Some((name, after)) = reference(from) {
                self.reference(name, percent, key, rank, depth)?;
                rest = after;
            } else {
                let what = "a lone %; write %% for a percent sign, or %(name)s for another key's value";
                return Err(Wrong {
                    place: percent,
                    length: 1,
                    what: what.to_owned(),
                });
            }
        }
    }

    fn reference(
        &mut self,
        name: &str,
        place: Place,
        key: &str,
        rank: usize,
        depth: usize,
    ) -> Result<(), Wrong> {
        let wrong = |what: String| Wrong {
            place,
            length: name.len() + "%()s".len(),
            what,
        };
        self.references += 1;
        if depth >= INTERPOLATION_DEPTH_MAX || self.references > INTERPOLATIONS_MAX {
            return Err(wrong(format!(
                "%({})s refers to itself, or to too many others",
                Escaped(name.as_bytes())
            )));
        }
        if name == "__name__" {
            return self.push(self.section, place);
        }
        let ini = self.ini;
        let lower = name.to_ascii_lowercase();
        let (section, wanted, skipped) = match lower.split_once('/') {
            None => (self.section, lower.as_str(), 0),
            // Of its own key, what is below its own definition; of another key, what is below the topmost.
            Some(("known", wanted)) if wanted == key => (self.section, wanted, rank + 1),
            Some(("known", wanted)) => (self.section, wanted, usize::from(rank == 0)),
            Some(("default", wanted)) => (DEFAULT, wanted, 0),
            // Sections keep their case; the lower-cased name has the same length.
            Some((other, wanted)) => (name.get(..other.len()).unwrap_or(other), wanted, 0),
        };
        match ini.definition(section, wanted, skipped) {
            Some(definition) => self.definition(&definition, wanted, skipped, depth + 1),
            None => Err(wrong(format!(
                "there is no {} in [{}] or [DEFAULT]",
                Escaped(name.as_bytes()),
                Escaped(self.section.as_bytes())
            ))),
        }
    }

    fn push(&mut self, text: &str, place: Place) -> Result<(), Wrong> {
        if text.is_empty() {
            return Ok(());
        }
        if self.text.len() + text.len() > VALUE_BYTES_MAX {
            return Err(Wrong {
                place,
                length: 1,
                what: format!("the value gets longer than {VALUE_BYTES_MAX} bytes"),
            });
        }
        self.marks.push((self.text.len(), place));
        self.text.push_str(text);
        Ok(())
    }
}

/// `name` of `(name)s`, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('(')?.split_once(')')?;
    let after = after.strip_prefix('s')?;
    (!name.is_empty()).then_some((name, after))
}

fn right(place: Place, bytes: usize) -> Place {
    if place == Place::BUILT_IN {
        place
    } else {
        place.right(bytes)
    }
}
