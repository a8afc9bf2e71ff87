//! `[INCLUDES]`: the files of a configuration, in layers.

use std::io;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::ini::{Base, Hash, Ini, Place, Wrong};
use super::reading::shown;
use super::settings;
use crate::limits::CONFIG_FILES_MAX;

/// The section that names other files.
pub(super) const INCLUDES: &str = "INCLUDES";

/// A file as the caller reads it.
pub(super) type Read<'r> = &'r mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// The files, and what is included and does not exist.
pub(super) type Opened = (Ini, Vec<(Place, String)>);

/// Reads a file and all that it includes.
pub(super) fn open(path: &Path, read: Read<'_>) -> Result<Opened, Error> {
    let mut includes = Includes::new(Ini::new(settings::built_in), Hash::Comment, read);
    includes.open(path, None)?;
    Ok((includes.ini, includes.absent))
}

/// Reads the file `NAME.conf` and, above it, `NAME.local`, of which one is enough; `None` if there is
/// neither. What they include and does not stand beside them is looked for in the folder `second`.
pub(super) fn open_pair(
    stem: &Path,
    second: &Path,
    base: Base,
    read: Read<'_>,
) -> Result<Option<Opened>, Error> {
    let mut includes = Includes::new(Ini::new(base), Hash::Text, read);
    includes.second = Some(second.to_owned());
    let mut found = false;
    for extension in [".conf", ".local"] {
        let mut path = stem.as_os_str().to_owned();
        path.push(extension);
        match includes.open(Path::new(&path), None) {
            Ok(()) => found = true,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found.then_some((includes.ini, includes.absent)))
}

/// A folder beside the main file.
pub(super) fn beside(ini: &Ini, folder: &str) -> PathBuf {
    Path::new(ini.main_name())
        .parent()
        .unwrap_or(Path::new(""))
        .join(folder)
}

/// [`open_pair`] in the first of two folders that has it.
pub(super) fn find(
    folder: &Path,
    second: &Path,
    name: &str,
    base: Base,
    read: Read<'_>,
) -> Result<Option<Opened>, Error> {
    for folder in [folder, second] {
        let found = open_pair(&folder.join(name), second, base, &mut *read)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The files, while they are being opened.
struct Includes<'r> {
    ini: Ini,
    opened: Vec<PathBuf>,
    absent: Vec<(Place, String)>,
    hash: Hash,
    /// Where included files may stand, too.
    second: Option<PathBuf>,
    read: Read<'r>,
}

impl<'r> Includes<'r> {
    fn new(ini: Ini, hash: Hash, read: Read<'r>) -> Includes<'r> {
        Includes {
            ini,
            opened: Vec::new(),
            absent: Vec::new(),
            hash,
            second: None,
            read,
        }
    }
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
        let added = self.ini.add(&name, bytes, self.hash);
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
                let path = self.place_of(path, name);
                self.open(&path, Some(wrong))?;
            }
        }
        Ok(())
    }

    /// Where an included file stands: beside the file that names it, else in the second folder, if it is there.
    fn place_of(&mut self, from: &Path, name: &str) -> PathBuf {
        let beside = from.parent().unwrap_or(Path::new("")).join(name);
        let Some(second) = self.second.as_ref().map(|second| second.join(name)) else {
            return beside;
        };
        let absent = matches!((self.read)(&beside), Err(error) if error.kind() == io::ErrorKind::NotFound);
        if absent && (self.read)(&second).is_ok() {
            second
        } else {
            beside
        }
    }
}
