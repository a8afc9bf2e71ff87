//! Who reads which file, and when a file without a name is let go.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::report::{FileId, What};
use super::table::{Stream, Table};
use crate::limits::{DELETED_FILE_SECONDS, OLD_FILE_SECONDS};
use crate::time::Mono;

impl<H> Table<H> {
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

    /// How many quiet seconds an old file is kept; `None`: its writer will write to it until it reopens. One that could
    /// not be read is tried for a day.
    fn patience(&self, index: usize, stream: &Stream<H>, is_unlinked: &impl Fn(&H) -> bool) -> Option<u64> {
        if stream.failed {
            return Some(DELETED_FILE_SECONDS);
        }
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

    pub(super) fn let_go(&mut self, index: usize) {
        let stream = self.streams.remove(index);
        let owner = self
            .names
            .get_mut(usize::from(stream.owner.0))
            .and_then(Option::as_mut);
        if let Some(name) = owner.filter(|name| name.readers != 0 && stream.cursor.has_rest()) {
            name.counts.unfinished_lines += 1;
            self.notices.push(Some(&name.path), What::Unfinished);
        }
        // The system may give its number to another file.
        for name in self.names.iter_mut().flatten() {
            name.inode = name.inode.filter(|&inode| inode != stream.inode);
            name.previous = name.previous.filter(|&inode| inode != stream.inode);
        }
        self.gone.push(stream.handle);
    }
}
