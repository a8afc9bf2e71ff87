//! The names that are followed and the open files behind them: which file is read, from where, for whom,
//! and when it is let go.
//!
//! `H` is whatever the caller reads a file with. The caller looks at the names and tells what it saw.
//!
//! A name stands for one file at a time, a file may have several names and is read once. When a file has lost
//! its last name (rotation, deletion) it is read on, because its writer still has it open: until the name's
//! new file holds something, which it does only after the writer has reopened, and for a quiet while
//! more. There are never more than `FILES_MAX` names and `FILES_MAX + OLD_FILES_MAX` files.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::io;
use std::path::{Path, PathBuf};

use super::cursor::{Cursor, Inode};
use super::report::{Counts, FileId, FileStatus, Notices, State, What};
use crate::limits::{FILES_MAX, OLD_FILES_MAX};
use crate::time::Mono;

/// Where to begin in a file that is there when its name is first looked at. A file that comes later is
/// read from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At its end.
    End,
    /// At its beginning.
    Beginning,
}

/// Everything that is followed.
#[derive(Debug)]
pub struct Table<H> {
    pub(super) names: Vec<Option<Name>>,
    pub(super) streams: Vec<Stream<H>>,
    /// Which stream has the first turn.
    pub(super) turn: usize,
    /// Files that were let go, for the caller to close.
    pub(super) gone: Vec<H>,
    told_too_many: bool,
    /// What the log should say.
    pub notices: Notices,
}

/// One followed name.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) path: PathBuf,
    /// Who wants it; nobody, if it is not followed any more.
    pub(super) readers: u32,
    start: Start,
    state: State,
    /// What it stands for, if that is open.
    pub(super) inode: Option<Inode>,
    /// What it stood for before that, as long as that is open.
    pub(super) previous: Option<Inode>,
    /// It has stood for a file: another one is a rotation.
    was_open: bool,
    pub(super) counts: Counts,
}

/// One open file.
#[derive(Debug)]
pub(super) struct Stream<H> {
    pub(super) inode: Inode,
    pub(super) handle: H,
    pub(super) cursor: Cursor,
    /// Something may be there to read.
    pub(super) ready: bool,
    /// The last try to read it failed: what is in it is still to come.
    pub(super) failed: bool,
    /// The name it is read under.
    pub(super) owner: FileId,
    /// Who reads it.
    pub(super) readers: u32,
    /// It has no name any more.
    pub(super) old: bool,
    /// When it is let go unless something comes; only if it is old.
    pub(super) until: Option<Mono>,
}

impl<H> Default for Table<H> {
    fn default() -> Table<H> {
        Table {
            names: Vec::new(),
            streams: Vec::new(),
            turn: 0,
            gone: Vec::new(),
            told_too_many: false,
            notices: Notices::default(),
        }
    }
}

impl<H> Table<H> {
    /// Begins to name anew what is wanted: what is not named before [`Table::settle`] is dropped. What could not be
    /// read is tried again, also if it has no name any more.
    pub fn want_nothing(&mut self) {
        for stream in &mut self.streams {
            stream.ready |= stream.failed;
        }
        self.told_too_many &= self.names().count() >= FILES_MAX;
        for name in self.names.iter_mut().flatten() {
            name.readers = 0;
        }
    }

    /// Wants a name to be read by these readers too. `None`: there are `FILES_MAX` names.
    pub fn want(&mut self, path: &Path, readers: u32, start: Start) -> Option<FileId> {
        if let Some(file) = self.find(path) {
            self.name_mut(file)?.readers |= readers;
            return Some(file);
        }
        let free = self
            .names
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.names.len());
        let file = FileId(u16::try_from(free).ok().filter(|_| free < FILES_MAX)?);
        if free == self.names.len() {
            self.names.push(None);
        }
        *self.names.get_mut(free)? = Some(Name {
            path: path.to_owned(),
            readers,
            start,
            state: State::Open,
            inode: None,
            previous: None,
            was_open: false,
            counts: Counts::default(),
        });
        Some(file)
    }

    /// A name found no place. It is said once until there is a place again.
    pub fn too_many(&mut self, path: &Path) {
        if !core::mem::replace(&mut self.told_too_many, true) {
            self.notices.push(Some(path), What::TooMany);
        }
    }

    /// The number of a name.
    #[must_use]
    pub fn find(&self, path: &Path) -> Option<FileId> {
        self.names()
            .find(|(_, name)| name.path == path)
            .map(|(file, _)| file)
    }

    /// All names and their paths.
    pub fn paths(&self) -> impl Iterator<Item = (FileId, &Path)> {
        self.names().map(|(file, name)| (file, name.path.as_path()))
    }

    /// The path of a name.
    #[must_use]
    pub fn path(&self, file: FileId) -> Option<&Path> {
        self.name(file).map(|name| name.path.as_path())
    }

    /// Whether a name stands for something, or a file is read that once had it.
    #[must_use]
    pub fn is_alive(&self, file: FileId) -> bool {
        self.name(file).is_some_and(|name| name.state != State::Missing)
            || self.streams.iter().any(|stream| stream.owner == file)
    }

    /// Where to begin in the file that a name stands for.
    #[must_use]
    pub fn start(&self, file: FileId) -> Start {
        self.name(file).map_or(Start::Beginning, |name| name.start)
    }

    /// The name stands for nothing that can be read.
    pub fn saw_no_file(&mut self, file: FileId, why: What) {
        let state = match &why {
            What::Refused(kind) => State::Refused(kind),
            What::Unreadable(error) => State::Unreadable(error.kind()),
            What::Missing
            | What::Opened(_)
            | What::Rotated
            | What::Truncated
            | What::Unfinished
            | What::WorldWritable
            | What::TooMany
            | What::TooManyOld
            | What::Overflow => State::Missing,
        };
        let Some(name) = self.names.get_mut(usize::from(file.0)).and_then(Option::as_mut) else {
            return;
        };
        if state == State::Missing {
            name.start = Start::Beginning;
        }
        name.previous = name.inode.take().or(name.previous);
        if core::mem::replace(&mut name.state, state) != state {
            self.notices.push(Some(&name.path), why);
        }
    }

    /// The name stands for this file. Returns false if the file is not open: the caller opens it.
    pub fn saw(&mut self, file: FileId, inode: Inode) -> bool {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.inode == inode) else {
            return false;
        };
        // What could not be read before may be readable; and reading once too often does no harm.
        stream.ready = true;
        let offset = stream.cursor.offset();
        let Some(name) = self.names.get_mut(usize::from(file.0)).and_then(Option::as_mut) else {
            return true;
        };
        let before = name.inode.or(name.previous);
        if name.inode == Some(inode) {
            return true;
        }
        name.previous = before;
        name.inode = Some(inode);
        name.start = Start::Beginning;
        name.state = State::Open;
        if core::mem::replace(&mut name.was_open, true) && before != Some(inode) {
            name.counts.rotations += 1;
            self.notices.push(Some(&name.path), What::Rotated);
        } else {
            self.notices.push(Some(&name.path), What::Opened(offset));
        }
        true
    }

    /// Takes an open file to be read under a name. What the name stands for is told by [`Table::saw`].
    pub fn open(&mut self, file: FileId, inode: Inode, handle: H, cursor: Cursor) {
        if self.streams.len() >= FILES_MAX + OLD_FILES_MAX {
            // There are fewer names than files, so that there is one without.
            let is_named =
                |stream: &Stream<H>| self.names().any(|(_, name)| name.inode == Some(stream.inode));
            if let Some(oldest) = self.streams.iter().position(|stream| !is_named(stream)) {
                self.notices
                    .push(self.path(file).map(Path::to_owned).as_deref(), What::TooManyOld);
                self.let_go(oldest);
            }
        }
        self.streams.push(Stream {
            inode,
            handle,
            cursor,
            ready: true,
            failed: false,
            owner: file,
            readers: 0,
            old: false,
            until: None,
        });
    }

    /// Something was written to a file. Returns whether it is one of ours.
    pub fn written(&mut self, is_it: impl Fn(&H) -> bool) -> bool {
        let stream = self.streams.iter_mut().find(|stream| is_it(&stream.handle));
        stream.map(|stream| stream.ready = true).is_some()
    }

    /// Anything may have been written.
    pub fn all_written(&mut self) {
        for stream in &mut self.streams {
            stream.ready = true;
        }
    }

    /// What is followed, for `status`.
    pub fn status(&self) -> impl Iterator<Item = FileStatus<'_>> {
        self.names().map(|(file, name)| FileStatus {
            file,
            path: &name.path,
            readers: name.readers,
            state: name.state,
            position: self
                .unread_of(file, name)
                .or(self.stream_of(name))
                .map(|stream| stream.cursor.position(stream.inode)),
            counts: name.counts,
        })
    }

    /// A file could not be read. That is over when it was read again.
    pub(super) fn unreadable(&mut self, file: FileId, error: io::Error) {
        let Some(name) = self.names.get_mut(usize::from(file.0)).and_then(Option::as_mut) else {
            return;
        };
        let state = State::Unreadable(error.kind());
        if core::mem::replace(&mut name.state, state) != state {
            self.notices.push(Some(&name.path), What::Unreadable(error));
        }
    }

    /// Counts what has been read under a name, from a file that is read up to `offset`.
    pub(super) fn count(&mut self, file: FileId, offset: u64, more: Counts) {
        let Some(name) = self.names.get_mut(usize::from(file.0)).and_then(Option::as_mut) else {
            return;
        };
        if matches!(name.state, State::Unreadable(_)) && name.inode.is_some() {
            name.state = State::Open;
            self.notices.push(Some(&name.path), What::Opened(offset));
        }
        name.counts.lines += more.lines;
        name.counts.long_lines += more.long_lines;
        name.counts.unfinished_lines += more.unfinished_lines;
        name.counts.truncations += more.truncations;
        if more.truncations > 0 {
            self.notices.push(Some(&name.path), What::Truncated);
        }
    }

    pub(super) fn stream_of(&self, name: &Name) -> Option<&Stream<H>> {
        self.streams
            .iter()
            .find(|stream| Some(stream.inode) == name.inode)
    }

    /// A rotated file that could not be read to its end, as long as nothing was read of its successor: reading goes on
    /// there after a restart.
    fn unread_of(&self, file: FileId, name: &Name) -> Option<&Stream<H>> {
        let begun = self
            .stream_of(name)
            .is_some_and(|stream| stream.cursor.has_data());
        let mut old = self
            .streams
            .iter()
            .filter(|stream| stream.old && stream.owner == file);
        old.find(|stream| stream.failed && !begun)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (FileId, &Name)> {
        (0..)
            .map(FileId)
            .zip(&self.names)
            .filter_map(|(file, name)| Some((file, name.as_ref()?)))
    }

    pub(super) fn name(&self, file: FileId) -> Option<&Name> {
        self.names.get(usize::from(file.0))?.as_ref()
    }

    fn name_mut(&mut self, file: FileId) -> Option<&mut Name> {
        self.names.get_mut(usize::from(file.0))?.as_mut()
    }
}
