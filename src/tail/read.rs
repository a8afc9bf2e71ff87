//! Reading what is there: round robin, with a budget for each file and for all.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::io;

use super::cursor::Taken;
use super::report::{Counts, Line};
use super::table::{Stream, Table};
use crate::limits::{READ_BYTES_PER_LOOP, READ_BYTES_PER_TURN};
use crate::lines::Cut;

/// Reads a file at an offset into a buffer, as `pread` does.
pub type ReadAt<'a, H> = &'a mut dyn FnMut(&H, &mut [u8], u64) -> io::Result<usize>;

/// What is left when the budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// More is waiting.
    pub more: bool,
    /// A file could not be read; it waits until it is [seen](Table::saw) again.
    pub failed: bool,
}

impl<H> Table<H> {
    /// Reads the files that something was written to, and gives every complete line.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        read_at: ReadAt<'_, H>,
        each: &mut dyn FnMut(Line<'_>),
    ) -> Left {
        let mut budget = READ_BYTES_PER_LOOP;
        let mut failed = false;
        let count = self.streams.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            if budget == 0 {
                self.turn = index;
                return Left { more: true, failed };
            }
            let Some(stream) = self.streams.get_mut(index).filter(|stream| stream.ready) else {
                continue;
            };
            let mut counts = Counts::default();
            let turn = budget.min(READ_BYTES_PER_TURN);
            let used = stream.read(turn, buffer, read_at, &mut counts, each);
            let (owner, offset) = (stream.owner, stream.cursor.offset());
            let failed_before = core::mem::replace(&mut stream.failed, used.is_err());
            if stream.failed && !failed_before {
                stream.until = None;
            }
            match used {
                Ok(used) => {
                    budget -= turn.min(used);
                    self.count(owner, offset, counts);
                }
                Err(error) => {
                    failed = true;
                    self.unreadable(owner, error);
                }
            }
        }
        let more = self.streams.iter().any(|stream| stream.ready);
        // An old file stands before its successor: its lines come first, unless there are too many.
        self.turn = 0;
        Left { more, failed }
    }
}

impl<H> Stream<H> {
    /// One turn. Returns the bytes used of the budget.
    fn read(
        &mut self,
        budget: usize,
        buffer: &mut [u8],
        read_at: ReadAt<'_, H>,
        counts: &mut Counts,
        each: &mut dyn FnMut(Line<'_>),
    ) -> io::Result<usize> {
        let (file, readers) = (self.owner, self.readers);
        let mut used = 0;
        while used < budget {
            self.ready = false;
            let count = read_at(&self.handle, buffer, self.cursor.read_from())?;
            used += count.max(1);
            let before = (self.cursor.offset(), self.cursor.has_rest());
            let taken = self.cursor.take(
                buffer.get(..count).unwrap_or_default(),
                count == buffer.len(),
                &mut |cut, end_offset, backlog| {
                    counts.lines += 1;
                    match cut {
                        Cut::Line(bytes) => each(Line {
                            file,
                            readers,
                            bytes,
                            end_offset,
                            backlog,
                        }),
                        Cut::Long => counts.long_lines += 1,
                    }
                },
            );
            if before != (self.cursor.offset(), self.cursor.has_rest()) {
                self.until = None;
            }
            match taken {
                Taken::All => return Ok(used),
                Taken::More => {}
                Taken::Truncated { lost_rest } => {
                    counts.truncations += 1;
                    counts.unfinished_lines += u64::from(lost_rest);
                }
            }
            self.ready = true;
        }
        Ok(used)
    }
}
