//! From a path to what it stands for, watching everything on the way that could change the answer.
//!
//! Directories and links on the way are watched for their own removal or renaming. A directory is watched for
//! its entries only where an entry decides: the last one, and the one in which something is missing. So a busy
//! `/tmp` above the log directory (OpenWrt) wakes nobody. Everything is watched before it is looked at: what
//! changes in between is an event, and everything is looked at again.
//!
//! A file system mounted over a watched directory is not noticed: the kernel has no event for that.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::cursor::Inode;
use crate::glob::glob_matches;
use crate::limits::LINKS_MAX;
use crate::sys::file::{self, Kind};
use crate::sys::watch::{Watch, WatchId, Watcher};

/// What a path stands for, links followed.
#[derive(Debug)]
pub(super) enum Found {
    /// A regular file or a pipe, under this name without links.
    File(PathBuf, Inode),
    /// A directory, under this name without links.
    Directory(PathBuf),
    /// Something else: `a socket`.
    Other(&'static str),
    /// Nothing.
    Missing,
    /// The system did not say.
    Failed(io::Error),
}

/// The watches on the way to all followed names.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watches: Vec<Watch>,
    interests: Vec<(WatchId, Interest)>,
    /// Why something could not be watched; the first time.
    pub(super) failure: Option<io::Error>,
}

#[derive(Debug)]
enum Interest {
    Name(OsString),
    Glob(Vec<u8>),
}

impl Watches {
    /// Whether a change of this entry of a directory can change what a followed name stands for.
    pub(super) fn concerns(&self, watch: WatchId, entry: &[u8]) -> bool {
        self.interests.iter().any(|(id, interest)| {
            *id == watch
                && match interest {
                    Interest::Name(name) => name.as_encoded_bytes() == entry,
                    Interest::Glob(pattern) => glob_matches(pattern, entry),
                }
        })
    }

    /// Whether it is one of them.
    pub(super) fn contains(&self, watch: WatchId) -> bool {
        self.watches.iter().any(|other| other.id() == watch)
    }

    /// Ends those that these later ones do without.
    pub(super) fn end_unless_in(&self, later: &Watches, watcher: &Watcher) {
        for watch in self.watches.iter().filter(|watch| !later.watches.contains(watch)) {
            watcher.remove(*watch);
        }
    }

    /// Watches which entries of a directory match a pattern.
    pub(super) fn glob(&mut self, watcher: &Watcher, directory: &Path, pattern: &[u8]) {
        self.interest(watcher, directory, Interest::Glob(pattern.to_vec()));
    }

    /// Finds what an absolute path stands for. `directory`: the caller expects one.
    pub(super) fn walk(&mut self, watcher: &Watcher, path: &Path, directory: bool) -> Found {
        let mut rest: VecDeque<OsString> = components(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            let here = at.join(&name);
            let found = self.step(watcher, &at, &name, directory || !rest.is_empty());
            match found {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Missing,
                Err(error) => return Found::Failed(error),
                Ok(Kind::Link) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Found::Failed(io::Error::other("too many symbolic links"));
                    }
                    let target = match std::fs::read_link(&here) {
                        Ok(target) => target,
                        Err(error) => return Found::Failed(error),
                    };
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    for component in components(&target).into_iter().rev() {
                        rest.push_front(component);
                    }
                }
                Ok(Kind::Directory) => at = here,
                Ok(_) if !rest.is_empty() => {
                    self.interest(watcher, &at, Interest::Name(name));
                    return Found::Missing;
                }
                Ok(Kind::Regular(inode) | Kind::Pipe(inode)) => return Found::File(here, inode),
                Ok(Kind::Other(what)) => return Found::Other(what),
            }
        }
        Found::Directory(at)
    }

    /// Looks at one entry of a directory and watches it: the entry itself if it is `inner`, else (or if it is
    /// not there, or may not be watched because it may not be read) which entry has its name.
    fn step(&mut self, watcher: &Watcher, at: &Path, name: &OsStr, inner: bool) -> io::Result<Kind> {
        let here = at.join(name);
        if inner {
            let is_watched = match watcher.itself(&here) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => false,
                watch => self.add(watch).is_some(),
            };
            let known = file::kind(&here);
            if is_watched && known.is_ok() {
                return known;
            }
        }
        self.interest(watcher, at, Interest::Name(name.to_owned()));
        file::kind(&here)
    }

    fn interest(&mut self, watcher: &Watcher, directory: &Path, interest: Interest) {
        if let Some(watch) = self.add(watcher.entries(directory)) {
            self.interests.push((watch.id(), interest));
        }
    }

    fn add(&mut self, watch: io::Result<Watch>) -> Option<Watch> {
        match watch {
            Ok(watch) => {
                if !self.watches.contains(&watch) {
                    self.watches.push(watch);
                }
                Some(watch)
            }
            // Then the entry above it tells when it comes.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.failure.get_or_insert(error);
                None
            }
        }
    }
}

/// The parts of a path as the kernel walks them: `..` is a directory like any other.
fn components(path: &Path) -> VecDeque<OsString> {
    let parts = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.map(|part| part.as_os_str().to_owned()).collect()
}
