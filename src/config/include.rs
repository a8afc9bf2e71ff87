//! `[INCLUDES]`: the files of a configuration, in layers.

use std::io;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::ini::{Hash, Ini, Place, Wrong};
use super::reading::shown;
use super::settings;
use crate::limits::CONFIG_FILES_MAX;

/// The section that names other files.
pub(super) const INCLUDES: &str = "INCLUDES";

/// A file as the caller reads it.
pub(super) type Read<'r> = &'r mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// Reads a file and all that it includes; also returns what is included and does not exist.
pub(super) fn open(path: &Path, read: Read<'_>) -> Result<(Ini, Vec<(Place, String)>), Error> {
    let mut includes = Includes {
        ini: Ini::new(settings::built_in),
        opened: Vec::new(),
        absent: Vec::new(),
        read,
    };
    includes.open(path, None)?;
    Ok((includes.ini, includes.absent))
}

/// The files, while they are being opened.
struct Includes<'r> {
    ini: Ini,
    opened: Vec<PathBuf>,
    absent: Vec<(Place, String)>,
    read: Read<'r>,
}

impl Includes<'_> {
    /// Opens a file and what it includes, and layers them: `before`, the file itself, `after`.
    fn open(&mut self, path: &Path, included: Option<Wrong>) -> Result<(), Error> {
        // fail2ban reads a file once, too, however often it is included.
        if self.opened.iter().any(|opened| opened == path) {
            return Ok(());
        }
        let name = path.to_string_lossy().into_owned();
        let bytes = match (self.read)(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                return match included {
                    None => Err(Error::unread(&name, &error)),
                    // fail2ban says nothing; a paths file of another distribution is often missing.
                    Some(wrong) if error.kind() == io::ErrorKind::NotFound => {
                        self.absent.push((wrong.place, name));
                        Ok(())
                    }
                    Some(wrong) => Err(Error::from(self.ini.mistake(Wrong {
                        what: format!("cannot read {}: {error}", shown(&name)),
                        ..wrong
                    }))),
                };
            }
        };
        if self.opened.len() >= CONFIG_FILES_MAX {
            return Err(Error::one(format!(
                "more than {CONFIG_FILES_MAX} files include each other"
            )));
        }
        self.opened.push(path.to_owned());
        let added = self.ini.add(&name, bytes, Hash::Comment);
        let number = added.map_err(|wrong| Error::from(self.ini.mistake(wrong)))?;
        self.include(path, number, "before")?;
        self.ini.layer(number);
        self.include(path, number, "after")
    }

    fn include(&mut self, path: &Path, number: u16, key: &str) -> Result<(), Error> {
        let sections = self.ini.file(number).map_or(&[][..], |file| &file.sections);
        let section = sections.iter().find(|section| section.name == INCLUDES);
        let Some(entry) = section.and_then(|section| section.entry(key)) else {
            return Ok(());
        };
        for line in entry.lines.clone() {
            for name in line.text.split_whitespace() {
                let wrong = Wrong {
                    place: line.place,
                    length: line.text.len(),
                    what: String::new(),
                };
                let path = path.parent().unwrap_or(Path::new("")).join(name);
                self.open(&path, Some(wrong))?;
            }
        }
        Ok(())
    }
}
