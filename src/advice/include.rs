//! One of Asterisk's configuration files and all that it includes.

use std::collections::BinaryHeap;
use std::io;

use super::Files;
use super::conf::{Comments, Conf, Entry, Place, Section, Statement, statement, strip};
use crate::escape::Escaped;
use crate::glob::{glob_matches, is_glob};
use crate::limits::{
    ASTERISK_CONFIG_BYTES_MAX, ASTERISK_FILES_MAX, ASTERISK_HINDRANCES_MAX, ASTERISK_INCLUDES_DEEP_MAX,
    ASTERISK_KEPT_BYTES_MAX,
};

/// What became of a file.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is not there.
    Missing,
    /// What Asterisk makes of it, and what hinders us or Asterisk from reading all of it.
    Read(Conf, Vec<Hindrance>),
}

/// Why something was not read.
#[derive(Debug)]
pub(super) struct Hindrance {
    /// File, and line if there is one.
    pub(super) origin: String,
    pub(super) what: String,
    /// Asterisk does not take the file at all.
    pub(super) refused: bool,
}

/// Reads `name` in the directory `etc`.
pub(super) fn open(etc: &str, name: &str, files: &mut dyn Files) -> Opened {
    let mut loader = Loader {
        conf: Conf::default(),
        hindrances: Vec::new(),
        current: None,
        kept: 0,
        full: false,
        etc,
        files,
    };
    match loader.file(&in_directory(etc, name), 1) {
        Outcome::Missing => Opened::Missing,
        Outcome::Read | Outcome::Refused => Opened::Read(loader.conf, loader.hindrances),
    }
}

/// A path as Asterisk completes it.
pub(super) fn in_directory(directory: &str, name: &str) -> String {
    if name.starts_with('/') {
        return name.to_owned();
    }
    format!("{}/{name}", directory.trim_end_matches('/'))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Missing,
    Read,
    /// Asterisk stopped in it. In an included file it only loses the rest of that.
    Refused,
}

struct Loader<'f> {
    conf: Conf,
    hindrances: Vec<Hindrance>,
    /// The section begun last, in whatever file: where an included file goes on.
    current: Option<usize>,
    /// Memory that the sections take, in bytes.
    kept: usize,
    full: bool,
    etc: &'f str,
    files: &'f mut dyn Files,
}

impl Loader<'_> {
    fn file(&mut self, path: &str, deep: usize) -> Outcome {
        if self.conf.files.len() >= ASTERISK_FILES_MAX || deep > ASTERISK_INCLUDES_DEEP_MAX {
            return self.unread(path, "too many files include each other");
        }
        let bytes = match self.files.read(path) {
            Ok(bytes) if bytes.len() <= ASTERISK_CONFIG_BYTES_MAX => bytes,
            Ok(_) => return self.unread(path, &format!("more than {ASTERISK_CONFIG_BYTES_MAX} bytes")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Outcome::Missing,
            Err(error) => return self.unread(path, &error.to_string()),
        };
        let file = self.conf.files.len();
        self.conf.files.push(self.shown(path));
        let mut section = self.current;
        let mut comments = Comments::default();
        for (line, number) in bytes.split(|&byte| byte == b'\n').zip(1..) {
            let place = Place { file, line: number };
            let Some(text) = comments.strip(line) else {
                continue;
            };
            if let Err(why) = self.line(&text, place, &mut section, deep) {
                let origin = self.conf.at(place);
                let outermost = deep == 1;
                let what = if outermost {
                    format!("Asterisk refuses this file: {why}")
                } else {
                    format!("Asterisk reads no further here: {why}")
                };
                self.hinder(origin, what, outermost);
                return Outcome::Refused;
            }
            if self.full {
                break;
            }
        }
        Outcome::Read
    }

    /// Does what a line says; the error is why Asterisk stops there.
    fn line(
        &mut self,
        text: &[u8],
        place: Place,
        section: &mut Option<usize>,
        deep: usize,
    ) -> Result<(), String> {
        match statement(text) {
            Statement::Nothing => {}
            Statement::Refused(why) => return Err(why.to_owned()),
            Statement::Header { name, options } => *section = Some(self.header(name, options, place)?),
            Statement::Include { path, required } => {
                if !self.include(path, deep) && required {
                    return Err(format!("{} does not exist", Escaped(path)));
                }
            }
            Statement::Exec => {
                let origin = self.conf.at(place);
                self.hinder(origin, "what #exec writes is not looked at".to_owned(), false);
            }
            Statement::Setting { name, value, append } => {
                let index = section.ok_or("a key outside of any section")?;
                self.set(index, name, value, append, place);
            }
        }
        Ok(())
    }

    /// Begins a section, or goes on with one: its index.
    fn header(&mut self, name: &[u8], options: &[u8], place: Place) -> Result<usize, String> {
        let mut index = self.conf.sections.len();
        let mut options = options.split(|&byte| byte == b',').map(strip);
        // In practice `+` stands alone or first.
        if options.clone().any(|option| option.starts_with(b"+")) {
            let known = self.find(name, false);
            index = known.ok_or_else(|| format!("no section [{}] to go on with", Escaped(name)))?;
        } else {
            self.keep(name.len() + size_of::<Section>());
            self.conf.sections.push(Section {
                name: name.to_vec(),
                template: false,
                place,
                entries: Vec::new(),
            });
        }
        self.current = Some(index);
        let inherited = options.try_for_each(|option| match option {
            [] | [b'+', ..] => Ok(()),
            b"!" => {
                if let Some(section) = self.conf.sections.get_mut(index) {
                    section.template = true;
                }
                Ok(())
            }
            base => self.inherit(index, base),
        });
        inherited.map(|()| index)
    }

    fn inherit(&mut self, index: usize, base: &[u8]) -> Result<(), String> {
        let known = self
            .find(base, true)
            .filter(|&found| found != index)
            .and_then(|found| self.conf.sections.get(found));
        let Some(section) = known else {
            return Err(format!("no section [{}] to inherit from", Escaped(base)));
        };
        let entries = section.entries.clone();
        let sizes = entries
            .iter()
            .map(|entry| entry.name.len() + entry.value.len() + ENTRY_BYTES);
        self.keep(sizes.sum());
        if let Some(section) = self.conf.sections.get_mut(index).filter(|_| !self.full) {
            section.entries.extend(entries);
        }
        Ok(())
    }

    /// The first section of a name.
    fn find(&self, name: &[u8], templates: bool) -> Option<usize> {
        let sections = &self.conf.sections;
        sections
            .iter()
            .position(|section| section.name.eq_ignore_ascii_case(name) && (templates || !section.template))
    }

    fn set(&mut self, index: usize, name: &[u8], value: &[u8], append: bool, place: Place) {
        self.keep(name.len() + value.len() + ENTRY_BYTES);
        let Some(section) = self.conf.sections.get_mut(index).filter(|_| !self.full) else {
            return;
        };
        let mut earlier = section.entries.iter_mut().filter(|_| append);
        if let Some(entry) = earlier.rfind(|entry| entry.name == name) {
            entry.value.extend_from_slice(value);
            entry.place = place;
            return;
        }
        section.entries.push(Entry {
            name: name.to_vec(),
            value: value.to_vec(),
            place,
        });
    }

    /// Counts memory; at the bound nothing more is kept.
    fn keep(&mut self, bytes: usize) {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > ASTERISK_KEPT_BYTES_MAX && !self.full {
            self.full = true;
            let origin = self.conf.files.last().cloned().unwrap_or_default();
            self.hinder(origin, "too large: the rest is not looked at".to_owned(), false);
        }
    }

    /// Whether there is such a file, or one that the pattern matches.
    fn include(&mut self, path: &[u8], deep: usize) -> bool {
        let path = in_directory(self.etc, &String::from_utf8_lossy(path));
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if !is_glob(name.as_bytes()) {
            return self.file(&path, deep + 1) != Outcome::Missing;
        }
        let mut names = self.files.names(directory);
        names.retain(|other| glob_matches(name.as_bytes(), other.as_bytes()));
        // In the order of glob(3); a heap is a small sort.
        let names = BinaryHeap::from(names).into_sorted_vec();
        names.iter().fold(false, |found, name| {
            let outcome = self.file(&in_directory(directory, name), deep + 1);
            outcome != Outcome::Missing || found
        })
    }

    fn unread(&mut self, path: &str, why: &str) -> Outcome {
        let origin = self.shown(path);
        self.hinder(origin, format!("cannot be read: {why}"), false);
        Outcome::Read
    }

    fn hinder(&mut self, origin: String, what: String, refused: bool) {
        if refused || self.hindrances.len() < ASTERISK_HINDRANCES_MAX {
            self.hindrances.push(Hindrance {
                origin,
                what,
                refused,
            });
        }
    }

    /// A path for people: without the directory that all files are in.
    fn shown(&self, path: &str) -> String {
        let directory = self.etc.trim_end_matches('/');
        let inside = path
            .strip_prefix(directory)
            .and_then(|rest| rest.strip_prefix('/'));
        Escaped(inside.unwrap_or(path).as_bytes()).to_string()
    }
}

/// What an entry takes beside its text.
const ENTRY_BYTES: usize = size_of::<Entry>();
