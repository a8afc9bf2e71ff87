//! One `logpath` of the configuration, and the directory it looks into.

use std::io;
use std::path::{Path, PathBuf};

use super::names;
use super::table::Start;
use crate::glob;
use crate::limits::{DIRECTORY_ENTRIES_MAX, PATTERNS_MAX};
use crate::sys::Fault;

/// One `logpath`.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) text: PathBuf,
    pub(super) directory: PathBuf,
    /// The last component, if it is a glob.
    pub(super) glob: Option<Vec<u8>>,
    pub(super) readers: u32,
    /// Where to begin in what is there at the first look.
    pub(super) start: Start,
}

impl Pattern {
    pub(super) fn new(text: &str, readers: u32, start: Start, count: usize) -> Result<Pattern, Fault> {
        let wrong = |why: &'static str| {
            let doing = format!("cannot follow {text}");
            Err(Fault::new(
                doing,
                io::Error::new(io::ErrorKind::InvalidInput, why),
            ))
        };
        let path = Path::new(text);
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return wrong("not the path of a file");
        };
        if !path.is_absolute() {
            return wrong("the path does not begin with /");
        }
        if glob::is_glob(directory.as_os_str().as_encoded_bytes()) {
            return wrong("only the last part of a path may be a pattern");
        }
        if count >= PATTERNS_MAX {
            return wrong("too many log paths");
        }
        Ok(Pattern {
            text: path.to_owned(),
            directory: directory.to_owned(),
            glob: glob::is_glob(name.as_encoded_bytes()).then(|| name.as_encoded_bytes().to_vec()),
            readers,
            start,
        })
    }

    pub(super) fn matches(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        path.parent() == Some(&self.directory)
            && self
                .glob
                .as_ref()
                .is_some_and(|glob| glob::glob_matches(glob, name))
    }

    /// The files and links that match, shorter names first: an old file's name is longer than its base.
    pub(super) fn list(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let files = entries.take(DIRECTORY_ENTRIES_MAX).filter(|entry| {
            entry
                .file_type()
                .is_ok_and(|kind| kind.is_file() || kind.is_symlink())
        });
        let mut paths: Vec<_> = files
            .map(|entry| entry.path())
            .filter(|path| self.matches(path))
            .collect();
        paths.sort_by_cached_key(|path| (path.as_os_str().len(), path.clone()));
        paths
    }
}

/// Whether a path is what log rotation calls an old file of another path in the same directory.
pub(super) fn is_rotation(base: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    base.parent() == path.parent() && names::is_rotation_of(&name(base), &name(path))
}
