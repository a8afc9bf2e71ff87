//! Lines of a state file to records that count.
//!
//! Every line stands for itself: one that is damaged takes no other with it. Only failures and positions count
//! together with all the others of their commit, or not at all, so that no failure is lost or counted twice.

use super::record::{Parsed, Record, parse};
use crate::limits::STORE_TRANSACTION_BYTES_MAX;
use crate::lines::Cut;

/// What came out of a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    /// A record that counts.
    Record(Record<'a>),
    /// A line of a newer version.
    Unknown,
    /// A line that nobody wrote so; or a failure or position whose commit is damaged or does not fit.
    Damaged(&'a [u8]),
}

/// What waits for its commit, and where lines are unescaped.
#[derive(Debug, Default)]
pub(super) struct Loader {
    /// Failures and positions since the last commit, as they stood in the file, each with its newline.
    held: Vec<u8>,
    count: u32,
    scratch: Vec<u8>,
}

impl Loader {
    /// Takes one line.
    pub(super) fn take(&mut self, cut: Cut<'_>, each: &mut dyn FnMut(Event<'_>)) {
        let Cut::Line(line) = cut else {
            return each(Event::Damaged(b"(a line of more than 8190 bytes)"));
        };
        let mut scratch = core::mem::take(&mut self.scratch);
        match parse(line, &mut scratch) {
            Parsed::Damaged => each(Event::Damaged(line)),
            Parsed::Unknown => each(Event::Unknown),
            Parsed::Record(record) => self.record(record, line, each),
        }
        self.scratch = scratch;
    }

    fn record(&mut self, record: Record<'_>, line: &[u8], each: &mut dyn FnMut(Event<'_>)) {
        match record {
            Record::Failure { .. } | Record::Read { .. } => {
                self.count = self.count.saturating_add(1);
                if self.held.len() + line.len() < STORE_TRANSACTION_BYTES_MAX {
                    self.held.extend_from_slice(line);
                    self.held.push(b'\n');
                }
            }
            Record::Commit { count, .. } => {
                each(Event::Record(record));
                // What is missing was damaged: no part of it counts, and the log is read again from where the last
                // whole commit was.
                let whole = count == self.count && self.held_lines().count() == count as usize;
                self.release(whole, each);
            }
            Record::Clock(_) => {
                // Whoever wrote before has ended in the middle, and another one has begun.
                self.forget();
                each(Event::Record(record));
            }
            Record::Head(_) | Record::Ban { .. } | Record::Past { .. } | Record::Unban { .. } => {
                each(Event::Record(record));
            }
        }
    }

    /// Failures and positions that no commit followed so far.
    pub(super) fn uncommitted(&self) -> u32 {
        self.count
    }

    fn held_lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.held.split(|&byte| byte == b'\n');
        lines.filter(|line| !line.is_empty())
    }

    fn release(&mut self, whole: bool, each: &mut dyn FnMut(Event<'_>)) {
        let mut scratch = Vec::new();
        for line in self.held_lines() {
            match parse(line, &mut scratch) {
                Parsed::Record(record) if whole => each(Event::Record(record)),
                Parsed::Record(_) | Parsed::Unknown | Parsed::Damaged => each(Event::Damaged(line)),
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.held.clear();
        self.count = 0;
    }
}
