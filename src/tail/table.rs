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
use crate::limits::{DELETED_FILE_SECONDS, FILES_MAX, OLD_FILE_SECONDS, OLD_FILES_MAX};
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
    names: Vec<Option<Name>>,
    pub(super) streams: Vec<Stream<H>>,
    /// Which stream has the first turn.
    pub(super) turn: usize,
    /// Files that were let go, for the caller to close.
    gone: Vec<H>,
    told_too_many: bool,
    /// What the log should say.
    pub notices: Notices,
}

#[derive(Debug)]
struct Name {
    path: PathBuf,
    readers: u32,
    start: Start,
    state: State,
    /// What it stands for, if that is open.
    inode: Option<Inode>,
    /// What it stood for before that.
    previous: Option<Inode>,
    counts: Counts,
}

/// One open file.
#[derive(Debug)]
pub(super) struct Stream<H> {
    inode: Inode,
    pub(super) handle: H,
    pub(super) cursor: Cursor,
    /// Something may be there to read.
    pub(super) ready: bool,
    /// The name it is read under.
    pub(super) owner: FileId,
    /// Who reads it.
    pub(super) readers: u32,
    /// It has no name any more.
    old: bool,
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
    /// Begins to name anew what is wanted: what is not named before [`Table::settle`] is dropped.
    pub fn want_nothing(&mut self) {
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
        if name.inode != Some(inode) {
            name.previous = before;
        }
        let was_missing = core::mem::replace(&mut name.state, State::Open) != State::Open;
        name.inode = Some(inode);
        name.start = Start::Beginning;
        match before {
            Some(before) if before != inode => {
                name.counts.rotations += 1;
                self.notices.push(Some(&name.path), What::Rotated);
            }
            Some(_) if !was_missing => {}
            _ => self.notices.push(Some(&name.path), What::Opened(offset)),
        }
        true
    }

    /// Takes an open file to be read under a name. What the name stands for is told by [`Table::saw`].
    pub fn open(&mut self, file: FileId, inode: Inode, handle: H, cursor: Cursor) {
        if self.streams.len() >= FILES_MAX + OLD_FILES_MAX {
            // Every name has at most one file, so that there is an old one.
            let old = self.streams.iter().position(|stream| stream.old);
            self.let_go(old.unwrap_or(0));
        }
        self.streams.push(Stream {
            inode,
            handle,
            cursor,
            ready: true,
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

    /// Draws the conclusions: to be called after the names were looked at and after files were read.
    pub fn settle(&mut self, now: Mono, is_unlinked: impl Fn(&H) -> bool) {
        for index in (0..self.streams.len()).rev() {
            if self.is_over(index, now, &is_unlinked) {
                self.let_go(index);
            }
        }
        for (file, slot) in (0..).map(FileId).zip(&mut self.names) {
            let owns = || self.streams.iter().any(|stream| stream.owner == file);
            if slot.as_ref().is_some_and(|name| name.readers == 0) && !owns() {
                *slot = None;
            }
        }
    }

    /// Whether old files are read, so that time and other files' growth matter.
    #[must_use]
    pub fn has_old(&self) -> bool {
        self.streams.iter().any(|stream| stream.old)
    }

    /// When [`Table::settle`] will let something go.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.streams
            .iter()
            .filter(|stream| !stream.ready)
            .filter_map(|stream| stream.until)
            .min()
    }

    /// Files that were let go.
    pub fn take_gone(&mut self) -> impl Iterator<Item = H> {
        self.gone.drain(..)
    }

    /// What is followed, for `status`.
    pub fn status(&self) -> impl Iterator<Item = FileStatus<'_>> {
        self.names().map(|(file, name)| FileStatus {
            file,
            path: &name.path,
            readers: name.readers,
            state: name.state,
            position: self
                .stream_of(name)
                .map(|stream| stream.cursor.position(stream.inode)),
            counts: name.counts,
        })
    }

    /// A file could not be read.
    pub(super) fn unreadable(&mut self, file: FileId, error: io::Error) {
        let Some(name) = self.names.get_mut(usize::from(file.0)).and_then(Option::as_mut) else {
            return;
        };
        let state = State::Unreadable(error.kind());
        if core::mem::replace(&mut name.state, state) != state {
            self.notices.push(Some(&name.path), What::Unreadable(error));
        }
    }

    /// Counts what has been read under a name.
    pub(super) fn count(&mut self, file: FileId, more: Counts) {
        let Some(name) = self.names.get_mut(usize::from(file.0)).and_then(Option::as_mut) else {
            return;
        };
        name.counts.lines += more.lines;
        name.counts.long_lines += more.long_lines;
        name.counts.unfinished_lines += more.unfinished_lines;
        name.counts.truncations += more.truncations;
        if more.truncations > 0 {
            self.notices.push(Some(&name.path), What::Truncated);
        }
    }

    /// Finds out who reads a stream and under which name, and whether it is to be let go.
    fn is_over(&mut self, index: usize, now: Mono, is_unlinked: &impl Fn(&H) -> bool) -> bool {
        let Some(stream) = self.streams.get(index) else {
            return false;
        };
        let inode = Some(stream.inode);
        let mut owner = stream.owner;
        let mut readers = 0;
        let mut named = None;
        for (file, name) in self.names().filter(|(_, name)| name.readers != 0) {
            if name.inode == inode {
                named = named.filter(|&other| other == owner).or(Some(file));
            }
            if name.inode == inode || name.previous == inode || file == owner {
                readers |= name.readers;
            }
        }
        let patience = match named {
            Some(file) => {
                owner = file;
                None
            }
            None => self.patience(index, stream, is_unlinked),
        };
        let Some(stream) = self.streams.get_mut(index) else {
            return false;
        };
        let deadline = patience.map(|seconds| now.plus_seconds(seconds));
        stream.until = deadline.map(|deadline| stream.until.map_or(deadline, |until| until.min(deadline)));
        stream.readers = readers;
        stream.owner = owner;
        stream.old = named.is_none();
        // Without readers its names are not followed any more.
        readers == 0 || (!stream.ready && stream.until.is_some_and(|until| until <= now))
    }

    /// How many quiet seconds an old file is kept; `None`: its writer will write to it until it reopens.
    fn patience(&self, index: usize, stream: &Stream<H>, is_unlinked: &impl Fn(&H) -> bool) -> Option<u64> {
        let is_written = |other: &Stream<H>| other.cursor.has_data();
        let later = self
            .streams
            .iter()
            .skip(index + 1)
            .filter(|other| other.owner == stream.owner);
        let current = self.name(stream.owner).and_then(|name| self.stream_of(name));
        if later.chain(current).any(is_written) {
            return Some(OLD_FILE_SECONDS);
        }
        is_unlinked(&stream.handle).then_some(DELETED_FILE_SECONDS)
    }

    fn let_go(&mut self, index: usize) {
        let stream = self.streams.remove(index);
        let owner = self
            .names
            .get_mut(usize::from(stream.owner.0))
            .and_then(Option::as_mut);
        if let Some(name) = owner.filter(|name| name.readers != 0 && stream.cursor.has_rest()) {
            name.counts.unfinished_lines += 1;
            self.notices.push(Some(&name.path), What::Unfinished);
        }
        self.gone.push(stream.handle);
    }

    fn stream_of(&self, name: &Name) -> Option<&Stream<H>> {
        self.streams
            .iter()
            .find(|stream| Some(stream.inode) == name.inode)
    }

    fn names(&self) -> impl Iterator<Item = (FileId, &Name)> {
        (0..)
            .map(FileId)
            .zip(&self.names)
            .filter_map(|(file, name)| Some((file, name.as_ref()?)))
    }

    fn name(&self, file: FileId) -> Option<&Name> {
        self.names.get(usize::from(file.0))?.as_ref()
    }

    fn name_mut(&mut self, file: FileId) -> Option<&mut Name> {
        self.names.get_mut(usize::from(file.0))?.as_mut()
    }
}
