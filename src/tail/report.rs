//! What the tail tells: lines, the state of every name, and what the log should say.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use core::fmt;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::cursor::Position;
use crate::escape::Escaped;
use crate::limits::NOTICES_MAX;

/// The number of a followed name. It stays as long as the name is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub u16);

/// One complete line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The name it was read under (the first, if the file has several).
    pub file: FileId,
    /// Whose line it is: the bits that were given when the patterns of its names were followed.
    pub readers: u32,
    /// Without the newline and without one carriage return before it.
    pub bytes: &'a [u8],
    /// Where in the file the next line begins.
    pub end_offset: u64,
    /// It was there when the file was first looked at (after a start, a rotation, a truncation): its own stamp
    /// tells when it was written, its arrival does not.
    pub backlog: bool,
}

/// What a name stands for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A file that is read.
    Open,
    /// Nothing.
    Missing,
    /// Something that is no regular file: `a directory`.
    Refused(&'static str),
    /// A file that cannot be opened, watched or read.
    Unreadable(io::ErrorKind),
}

/// What has been read under a name since it is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Complete lines, those too long among them.
    pub lines: u64,
    /// Lines longer than [`crate::limits::LINE_BYTES_MAX`].
    pub long_lines: u64,
    /// Lines that never got their newline, because their file was rotated or truncated.
    pub unfinished_lines: u64,
    /// How often the name got a new file.
    pub rotations: u64,
    /// How often its file was truncated.
    pub truncations: u64,
}

/// One followed name, for `status`.
#[derive(Clone, Copy, Debug)]
pub struct FileStatus<'a> {
    /// Its number.
    pub file: FileId,
    /// The name. Show it through [`Escaped`].
    pub path: &'a Path,
    /// Who reads it, as in [`Line::readers`].
    pub readers: u32,
    /// What it stands for.
    pub state: State,
    /// How far its file was read.
    pub position: Option<Position>,
    /// What has been read.
    pub counts: Counts,
}

/// Something that the log should say. [`fmt::Display`] is the whole sentence.
#[derive(Debug)]
pub struct Notice {
    /// The name concerned; `None`: all of them.
    pub path: Option<PathBuf>,
    /// What happened.
    pub what: What,
}

/// What happened to a name.
#[derive(Debug)]
pub enum What {
    /// It is read from this offset on.
    Opened(u64),
    /// It is not there (yet, or any more); it is waited for.
    Missing,
    /// It stands for something that is no regular file.
    Refused(&'static str),
    /// It cannot be opened, watched or read.
    Unreadable(io::Error),
    /// It has a new file, read from its beginning; the old one is read to its end.
    Rotated,
    /// Its file was truncated and is read from its beginning.
    Truncated,
    /// Its old file was let go in the middle of a line.
    Unfinished,
    /// Every user of the machine may write to it.
    WorldWritable,
    /// It is not followed: too many are.
    TooMany,
    /// Too many rotated files are still read; the oldest one is let go.
    TooManyOld,
    /// The kernel's queue was full; every file was looked at.
    Overflow,
}

/// A bounded queue of notices.
#[derive(Debug, Default)]
pub struct Notices {
    queue: VecDeque<Notice>,
    dropped: u64,
}

impl Notices {
    /// Puts one in, or counts it if there are [`NOTICES_MAX`].
    pub fn push(&mut self, path: Option<&Path>, what: What) {
        if self.queue.len() >= NOTICES_MAX {
            self.dropped += 1;
            return;
        }
        self.queue.push_back(Notice {
            path: path.map(Path::to_owned),
            what,
        });
    }

    /// The oldest one.
    pub fn pop(&mut self) -> Option<Notice> {
        self.queue.pop_front()
    }

    /// How many found no place.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or(Path::new("all log files"));
        let path = Escaped(path.as_os_str().as_encoded_bytes());
        match &self.what {
            What::Opened(offset) => write!(f, "reading {path} from byte {offset}"),
            What::Missing => write!(f, "{path} is not there; waiting for it"),
            What::Refused(kind) => write!(f, "cannot read {path}: it is {kind}, neither a file nor a pipe"),
            What::Unreadable(error) => write!(f, "cannot read {path}: {error}"),
            What::Rotated => write!(f, "{path} was rotated; reading the new file"),
            What::Truncated => write!(f, "{path} was truncated; reading it from its beginning"),
            What::Unfinished => write!(f, "{path} was rotated in the middle of a line; it does not count"),
            What::WorldWritable => write!(
                f,
                "{path} may be written by every user of this machine: each of them can ban"
            ),
            What::TooMany => write!(f, "{path} is not read: too many log files"),
            What::TooManyOld => write!(f, "{path} was rotated too often: its oldest file is read no more"),
            What::Overflow => write!(f, "the kernel lost inotify events; looking at {path}"),
        }
    }
}
