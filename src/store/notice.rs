//! What the log should say about the state file.

use core::fmt;
use std::io;

use crate::escape::Escaped;

/// Something that the log should say, once. [`fmt::Display`] is the whole sentence.
#[derive(Debug)]
pub struct Notice {
    /// The file.
    pub path: String,
    /// What happened to it.
    pub what: What,
}

/// What happened to a state file.
#[derive(Debug)]
pub enum What {
    /// It cannot be written: what is new would not survive a restart. It is tried again.
    Failing(io::Error),
    /// It can be written again, and holds everything.
    Recovered,
    /// It cannot be written anew, and goes on growing.
    Growing(io::Error),
    /// It cannot be read to its end.
    Unreadable(io::Error),
    /// So many lines of it were damaged.
    Damaged(u64),
    /// So many lines of it mean nothing to this version.
    Unknown(u64),
    /// It ended in the middle of a line or of a group of them, as it does after a crash.
    Torn,
    /// So many failures came so fast that they were not kept.
    Unsaved(u64),
}

impl Notice {
    /// Whether nobody has to know, as long as he does not look for the cause of something.
    #[must_use]
    pub fn is_detail(&self) -> bool {
        matches!(self.what, What::Torn)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Escaped(self.path.as_bytes());
        match &self.what {
            What::Failing(error) => write!(
                f,
                "cannot write {path}: {error}; new bans hold, but would not survive a restart; trying again"
            ),
            What::Recovered => write!(f, "{path} is written again and holds every ban"),
            What::Growing(error) => write!(f, "cannot write {path}.new: {error}; {path} goes on growing"),
            What::Unreadable(error) => write!(f, "cannot read {path}: {error}; bans in it are not restored"),
            What::Damaged(lines) => write!(
                f,
                "{path} was damaged: {lines} of its lines do not count and were put into {path}.damaged"
            ),
            What::Unknown(lines) => write!(
                f,
                "{path} was written by a newer version: {lines} of its lines mean nothing to this one"
            ),
            What::Torn => write!(
                f,
                "{path} ended in the middle of a record, as it does after a crash"
            ),
            What::Unsaved(failures) => write!(
                f,
                "{failures} failures came too fast to be kept in {path}; after a restart they would not count"
            ),
        }
    }
}
