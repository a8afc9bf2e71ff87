//! A place in the journal, as a text for journalctl and as a position for the state file.
//!
//! Of a cursor that journalctl prints, `s` and `i` name an entry in the files of one journal, and `t` is when it was
//! written, in microseconds since 1970: by that a place is found whose entry is gone. (After a power cut on a machine
//! without a clock of its own, whose journal is in memory only, what is written before the time is set is older than
//! that place, and is left out until then.)
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use core::fmt;

use crate::tail::cursor::{Inode, Position};

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which sequence of numbers; 0: none, the place is a time.
    sequence: u128,
    /// Its number in the sequence.
    number: u64,
    /// When it was written, in microseconds.
    micros: u64,
}

impl Cursor {
    /// Behind all that was written before this time, in microseconds since 1970.
    #[must_use]
    pub fn at(micros: u64) -> Cursor {
        Cursor {
            sequence: 0,
            number: 0,
            micros,
        }
    }

    /// Reads what journalctl calls a cursor.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Cursor> {
        let text = core::str::from_utf8(text).ok()?;
        let part = |name: &str| {
            text.split(';')
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        Some(Cursor {
            sequence: u128::from_str_radix(part("s")?, 16).ok()?,
            number: u64::from_str_radix(part("i")?, 16).ok()?,
            micros: u64::from_str_radix(part("t")?, 16).ok()?,
        })
    }

    /// Whether both name the same entry.
    #[must_use]
    pub fn is_same_entry(&self, other: &Cursor) -> bool {
        self.sequence != 0 && (self.sequence, self.number) == (other.sequence, other.number)
    }

    /// As the state file keeps it.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            inode: Inode {
                device: (self.sequence >> 64) as u64,
                number: self.sequence as u64,
            },
            offset: self.number,
            check: self.micros,
        }
    }

    /// From what the state file kept.
    #[must_use]
    pub fn resume(position: Position) -> Cursor {
        let Position { inode, offset, check } = position;
        Cursor {
            sequence: u128::from(inode.device) << 64 | u128::from(inode.number),
            number: offset,
            micros: check,
        }
    }
}

impl fmt::Display for Cursor {
    /// As journalctl takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sequence != 0 {
            write!(f, "s={:032x};i={:x};", self.sequence, self.number)?;
        }
        write!(f, "t={:x}", self.micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_the_state_file() {
        let text =
            "s=d0ce932d2425449e8472cac7c218e4d5;i=1f;b=0123456789abcdef0123456789abcdef;m=3e8;t=660d;x=80";
        let cursor = Cursor::parse(text.as_bytes()).unwrap();
        assert_eq!(
            cursor.to_string(),
            "s=d0ce932d2425449e8472cac7c218e4d5;i=1f;t=660d"
        );
        assert_eq!(Cursor::resume(cursor.position()), cursor);
        let time = Cursor::at(0x660d);
        assert_eq!(time.to_string(), "t=660d");
        assert_eq!(Cursor::resume(time.position()), time);
        assert!(!time.is_same_entry(&time) && cursor.is_same_entry(&cursor));
        let later = Cursor { micros: 1, ..cursor };
        assert!(later.is_same_entry(&cursor));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "",
            "s=1;i=1",
            "s=x;i=1;t=1",
            "i=1;t=1",
            "s=1;i=10000000000000000;t=1",
        ] {
            assert_eq!(Cursor::parse(text.as_bytes()), None, "{text}");
        }
    }
}
