//! Follows log files over rotation, truncation, deletion and whatever else happens to their names.
//!
//! The rules are pure and stand in [`cursor`] (one file's bytes), [`table`] (names and files) and [`names`];
//! here and in `walk` is what touches the system. Nothing here knows what a line means.
//!
//! A named pipe (FIFO) given as a log, as syslogd's `|/path` writes to, is read like a file: whatever comes out of it
//! while nobody reads, its writers wait with or throw away, so that there is no place in it to go on at after a restart.
//! It is opened for reading only. That its writers go away ends nothing, and wakes nobody for more than once: then
//! inotify tells when somebody opens it again.
//!
//! All knowledge of change comes from inotify: without an event nothing is read, and while nothing is pending
//! there is no deadline. Network file systems, where other hosts' writes cause no event, are out of scope.

pub mod cursor;
mod logs;
#[cfg(test)]
mod model;
pub mod names;
mod pattern;
pub mod read;
pub mod report;
mod settle;
pub mod table;
mod walk;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

pub use cursor::{Cursor, Inode, Position};
pub use logs::Logs;
pub use report::{Counts, FileId, FileStatus, Line, Notice, State, What};
pub use table::{Start, Table};

use crate::limits::{DIRECTORY_ENTRIES_MAX, FILES_MAX, LOG_RETRY_SECONDS, READ_BUFFER_BYTES};
use crate::sys::Fault;
use crate::sys::file::{self, Kind, LogFile};
use crate::sys::group::Group;
use crate::sys::pages::Pages;
use crate::sys::watch::{Event, Watch, Watcher};
use crate::time::Mono;
use pattern::{Pattern, is_rotation};
use walk::{Found, Watches};

/// All followed log files.
#[derive(Debug)]
pub struct Tail {
    watcher: Watcher,
    watches: Watches,
    /// What shows that there is something to read: inotify, and the pipes that somebody writes to.
    awaited: Group,
    patterns: Vec<Pattern>,
    table: Table<Open>,
    /// Where files were read to before the last stop.
    remembered: Vec<(PathBuf, Position)>,
    buffer: Pages,
    /// When to look at the names again although no event came.
    retry: Option<Mono>,
    /// At the last look a file could not be watched because the kernel's limit is reached.
    no_watch_left: bool,
}

#[derive(Debug)]
struct Open {
    file: LogFile,
    watch: Watch,
    /// Of a pipe: whether it is among what is awaited.
    awaited: bool,
}

impl Tail {
    /// Nothing is followed yet.
    ///
    /// # Errors
    /// If there is no inotify instance to be had.
    pub fn new() -> Result<Tail, Fault> {
        let watcher = Watcher::new()?;
        let awaited = Group::new();
        let awaited = awaited.and_then(|awaited| awaited.add(&watcher).map(|()| awaited));
        Ok(Tail {
            awaited: awaited.map_err(|error| Fault::new("cannot wait for several files at once", error))?,
            watcher,
            watches: Watches::default(),
            patterns: Vec::new(),
            table: Table::default(),
            remembered: Vec::new(),
            buffer: Pages::new(READ_BUFFER_BYTES),
            retry: None,
            no_watch_left: false,
        })
    }

    /// Tells where a file was read to before the last stop, from the store. To be called before
    /// [`Tail::follow`]: reading goes on there, wherever `follow` would have begun, if the file still holds what
    /// it held; and if it was rotated meanwhile, first the rest of the old one is read.
    pub fn remember(&mut self, path: &Path, position: Position) {
        if self.remembered.len() < FILES_MAX {
            self.remembered.push((path.to_owned(), position));
        }
    }

    /// Follows a file or a glob pattern. `readers` has a bit for each reader (jail), and comes back with every
    /// [`Line`]. A pattern that is followed already keeps its position and gets these readers.
    ///
    /// A file that is missing or cannot be read is no fault but a [`Notice`]: it is waited for. Then
    /// [`Tail::read`]: what is there already causes no event.
    ///
    /// # Errors
    /// If the path is not absolute, has a glob character before its last component, is one too many, or the
    /// kernel's limit for inotify watches is reached. Then it is not followed.
    pub fn follow(&mut self, pattern: &str, readers: u32, start: Start, now: Mono) -> Result<(), Fault> {
        if let Some(known) = self
            .patterns
            .iter_mut()
            .find(|known| known.text == Path::new(pattern))
        {
            known.readers = readers;
            self.look(now);
            return Ok(());
        }
        self.patterns
            .push(Pattern::new(pattern, readers, start, self.patterns.len())?);
        match self.look(now) {
            Some(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.unfollow(pattern, now);
                Err(Fault::new(format!("cannot watch {pattern} with inotify"), error)
                    .hint("fs.inotify.max_user_watches may be too small"))
            }
            _ => Ok(()),
        }
    }

    /// Follows it no more. A file that another pattern wants too keeps its position: at a reload follow the
    /// new patterns before unfollowing the old ones.
    pub fn unfollow(&mut self, pattern: &str, now: Mono) {
        self.patterns.retain(|known| known.text != Path::new(pattern));
        self.look(now);
    }

    /// To be polled for reading; then [`Tail::wake`].
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.awaited.as_fd()
    }

    /// Takes the events. To be called when [`Tail::fd`] is readable or [`Tail::next_deadline`] has come;
    /// then [`Tail::read`].
    pub fn wake(&mut self, now: Mono) {
        let mut look = self.retry.is_some_and(|retry| retry <= now);
        let (table, watches) = (&mut self.table, &self.watches);
        for stream in table.streams.iter_mut().filter(|stream| stream.handle.awaited) {
            stream.ready = true;
        }
        self.watcher.drain(&mut |event| match event {
            Event::Written(id) => {
                table.written(|open| open.watch.id() == id);
            }
            Event::Entry(id, name) => look |= watches.concerns(id, name),
            Event::Itself(id) => look |= watches.contains(id),
            Event::Overflow => {
                look = true;
                table.all_written();
                table.notices.push(None, What::Overflow);
            }
        });
        if look {
            self.look(now);
        } else if self.table.has_old() {
            self.settle(now);
        }
    }

    /// Reads what is there, up to a budget for each file and for all, and gives every complete line once.
    /// Returns whether more is waiting: the caller comes back without waiting for events.
    pub fn read(&mut self, now: Mono, each: &mut dyn FnMut(Line<'_>)) -> bool {
        let mut read_at = |open: &Open, buffer: &mut [u8], offset: u64| open.file.read_at(buffer, offset);
        let left = self.table.read(&mut self.buffer, &mut read_at, each);
        self.await_pipes();
        if left.failed {
            self.retry_later(now);
        }
        if self.table.has_old() {
            self.settle(now);
        }
        left.more
    }

    /// When [`Tail::wake`] is to be called although no event came. `None` while nothing is pending.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        [self.retry, self.table.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Every followed name.
    pub fn files(&self) -> impl Iterator<Item = FileStatus<'_>> {
        self.table.status()
    }

    /// The next thing that the log should say.
    pub fn notice(&mut self) -> Option<Notice> {
        self.table.notices.pop()
    }

    /// Finds out what every name stands for. Returns why something could not be watched.
    fn look(&mut self, now: Mono) -> Option<io::Error> {
        let mut failure = None;
        self.retry = None;
        self.no_watch_left = false;
        for _ in 0..LOOKS_MAX {
            let mut watches = Watches::default();
            self.want(&mut watches);
            let files: Vec<_> = self
                .table
                .paths()
                .map(|(file, path)| (file, path.to_owned()))
                .collect();
            let mut moved = false;
            for (file, path) in files {
                let found = watches.walk(&self.watcher, &path, false);
                moved |= self.observe(file, found, now);
            }
            self.watches.end_unless_in(&watches, &self.watcher);
            failure = watches.failure.take();
            self.watches = watches;
            if !moved {
                break;
            }
            self.retry_later(now);
        }
        for pattern in &mut self.patterns {
            pattern.start = Start::Beginning;
        }
        if self.no_watch_left {
            failure = Some(io::Error::from(io::ErrorKind::StorageFull));
        }
        if failure.is_some() {
            self.retry_later(now);
        }
        self.settle(now);
        failure
    }

    /// Tells the table which names the patterns want.
    fn want(&mut self, watches: &mut Watches) {
        self.table.want_nothing();
        for pattern in &self.patterns {
            let Some(glob) = &pattern.glob else {
                if self
                    .table
                    .want(&pattern.text, pattern.readers, pattern.start)
                    .is_none()
                {
                    self.table.too_many(&pattern.text);
                }
                continue;
            };
            let known: Vec<_> = self
                .table
                .paths()
                .map(|(file, path)| (file, path.to_owned()))
                .collect();
            for (file, path) in known {
                if pattern.matches(&path) && self.table.is_alive(file) {
                    self.table.want(&path, pattern.readers, pattern.start);
                }
            }
            let Found::Directory(directory) = watches.walk(&self.watcher, &pattern.directory, true) else {
                continue;
            };
            watches.glob(&self.watcher, &directory, glob);
            for path in pattern.list() {
                let is_old = self.table.paths().any(|(_, base)| is_rotation(base, &path));
                if !is_old && self.table.want(&path, pattern.readers, pattern.start).is_none() {
                    self.table.too_many(&path);
                }
            }
        }
    }

    /// Tells the table what a name stands for, and opens it. Returns true if that changed meanwhile.
    fn observe(&mut self, file: FileId, found: Found, now: Mono) -> bool {
        let why = match found {
            Found::File(path, inode) => {
                if self.table.saw(file, inode) {
                    return false;
                }
                match self.open(file, &path, inode) {
                    Ok(true) => return false,
                    Ok(false) => return true,
                    Err(error) => What::Unreadable(error),
                }
            }
            Found::Directory(_) => What::Refused("a directory"),
            Found::Other(kind) => What::Refused(kind),
            Found::Missing => What::Missing,
            Found::Failed(error) => What::Unreadable(error),
        };
        if matches!(&why, What::Unreadable(error) if error.kind() == io::ErrorKind::StorageFull) {
            self.no_watch_left = true;
        }
        // That permissions change is an event; that the machine has a descriptor or a page again is none.
        if matches!(&why, What::Unreadable(error) if error.kind() != io::ErrorKind::PermissionDenied) {
            self.retry_later(now);
        }
        self.table.saw_no_file(file, why);
        false
    }

    /// Opens a file and begins to read it. Returns false if the path stands for another file by now.
    fn open(&mut self, file: FileId, path: &Path, inode: Inode) -> io::Result<bool> {
        let Some(open) = self.open_watched(path, inode)? else {
            return Ok(false);
        };
        let name = self.table.path(file).unwrap_or(path).to_owned();
        let remembered = self.remembered.iter().position(|(path, _)| *path == name);
        let remembered = remembered.filter(|_| !open.file.is_pipe());
        let cursor = match remembered.map(|index| self.remembered.swap_remove(index).1) {
            Some(position) if position.inode.number == inode.number => Cursor::resume(position),
            Some(position) => {
                self.open_rotated(file, path, position);
                Cursor::beginning()
            }
            // It has no end to begin at: what is in it, nobody has read.
            None if open.file.is_pipe() => Cursor::beginning(),
            None => match self.table.start(file) {
                Start::Beginning => Cursor::beginning(),
                Start::End => {
                    let from = open.file.size()?.saturating_sub(cursor::END_BYTES as u64);
                    let tail = self.buffer.get_mut(..cursor::END_BYTES).unwrap_or_default();
                    let count = open.file.read_at(tail, from)?;
                    Cursor::end(tail.get(..count).unwrap_or_default(), from)
                }
            },
        };
        if open.file.is_world_writable() {
            self.table.notices.push(Some(&name), What::WorldWritable);
        }
        self.table.open(file, inode, open, cursor);
        self.table.saw(file, inode);
        Ok(true)
    }

    /// Opens and watches a file; `None` if the path stands for another one by now. The watch is made
    /// between two looks at the path, so that it is on the file that is open.
    fn open_watched(&mut self, path: &Path, inode: Inode) -> io::Result<Option<Open>> {
        let file = LogFile::open(path)?;
        if file.inode() != inode {
            return Ok(None);
        }
        let watch = if file.is_pipe() {
            self.watcher.pipe(path)?
        } else {
            self.watcher.file(path)?
        };
        if file::kind(path).ok().and_then(Kind::log) != Some(inode) {
            if !self.table.written(|open| open.watch == watch) {
                self.watcher.remove(watch);
            }
            return Ok(None);
        }
        let awaited = false;
        Ok(Some(Open { file, watch, awaited }))
    }

    /// Looks for the file that had this name before the last stop, and reads its rest.
    fn open_rotated(&mut self, file: FileId, path: &Path, position: Position) {
        let Some(directory) = path.parent() else { return };
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        for old in entries.take(DIRECTORY_ENTRIES_MAX).map(|entry| entry.path()) {
            let Ok(Kind::Regular(inode)) = file::kind(&old) else {
                continue;
            };
            if inode.number != position.inode.number || !is_rotation(path, &old) {
                continue;
            }
            if let Ok(Some(open)) = self.open_watched(&old, inode) {
                self.table.open(file, inode, open, Cursor::resume(position));
                self.table.saw(file, inode);
            }
            return;
        }
    }

    /// Waits for the pipes that somebody writes to; those that are deserted would wake us for ever.
    fn await_pipes(&mut self) {
        let pipes = self.table.streams.iter_mut().map(|stream| &mut stream.handle);
        for pipe in pipes.filter(|open| open.file.is_pipe()) {
            let wanted = !pipe.file.is_deserted();
            if wanted == pipe.awaited {
                continue;
            }
            let done = if wanted {
                self.awaited.add(&pipe.file)
            } else {
                self.awaited.remove(&pipe.file)
            };
            // Without memory for it, it is tried again when it is read again.
            if done.is_ok() {
                pipe.awaited = wanted;
            }
        }
    }

    /// Whether a name stands for a pipe, in which there is no place to go on at.
    fn is_pipe(&self, file: FileId) -> bool {
        let stream = self.table.streams.iter().find(|stream| stream.owner == file);
        stream.is_some_and(|stream| stream.handle.file.is_pipe())
    }

    fn settle(&mut self, now: Mono) {
        self.table.settle(now, |open| open.file.is_unlinked());
        for open in self.table.take_gone() {
            self.watcher.remove(open.watch);
        }
    }

    fn retry_later(&mut self, now: Mono) {
        let later = now.plus_seconds(LOG_RETRY_SECONDS);
        self.retry = Some(self.retry.map_or(later, |retry| retry.min(later)));
    }
}

/// How often names are looked at again because one changed while it was looked at.
const LOOKS_MAX: usize = 3;
