//! Several logs as one: their lines in the order of their stamps, those with the same stamp in the order of the logs.
//!
//! So the lines of one attempt in different files meet within the time in which the guard joins them. The stamps of
//! one log are not sorted: where its clock was set back, its lines follow each other as they stand.

use std::io::{self, Read};

use super::scan::{Log, Seen, Step};
use crate::time::Wall;

/// The logs.
pub(super) struct Merge<R> {
    logs: Vec<Log<R>>,
    heads: Vec<Head>,
}

/// What is known of a log's next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Nothing yet.
    Unread,
    /// It waits, with this time; without any readable stamp it comes first.
    Waiting(Option<Wall>),
    /// There is none.
    Ended,
}

/// How far all logs have been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read.
    pub bytes: u64,
    /// Lines looked at.
    pub lines: u64,
}

impl<R: Read> Merge<R> {
    pub(super) fn new() -> Merge<R> {
        Merge {
            logs: Vec::new(),
            heads: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, log: Log<R>) {
        self.logs.push(log);
        self.heads.push(Head::Unread);
    }

    /// Goes on to the next line of all, and says in which log it stands. `tick` is called after every block.
    ///
    /// # Errors
    /// A log could not be read; it counts as ended.
    pub(super) fn next(
        &mut self,
        tick: &mut dyn FnMut(Progress),
    ) -> Result<Option<usize>, (usize, io::Error)> {
        for number in 0..self.logs.len() {
            if self.heads.get(number) == Some(&Head::Unread) {
                self.advance(number, tick)?;
            }
        }
        // One log needs no comparison.
        if let [head] = self.heads.as_mut_slice() {
            let waits = matches!(head, Head::Waiting(_));
            if waits {
                *head = Head::Unread;
            }
            return Ok(waits.then_some(0));
        }
        let times = self
            .heads
            .iter()
            .enumerate()
            .filter_map(|(number, head)| match head {
                Head::Waiting(time) => Some((*time, number)),
                Head::Unread | Head::Ended => None,
            });
        let next = times.min().map(|(_, number)| number);
        if let Some(head) = next.and_then(|number| self.heads.get_mut(number)) {
            *head = Head::Unread;
        }
        Ok(next)
    }

    pub(super) fn get(&self, number: usize) -> Option<&Log<R>> {
        self.logs.get(number)
    }

    /// What was seen of each log.
    pub(super) fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.logs.iter().map(Log::seen)
    }

    /// Finds a log's next line.
    fn advance(&mut self, number: usize, tick: &mut dyn FnMut(Progress)) -> Result<(), (usize, io::Error)> {
        let head = loop {
            let Some(log) = self.logs.get_mut(number) else {
                return Ok(());
            };
            match log.next() {
                Ok(Step::Found) => break Ok(Head::Waiting(log.time())),
                Ok(Step::End) => break Ok(Head::Ended),
                Ok(Step::Block) => {}
                Err(error) => break Err(error),
            }
            tick(self.progress());
        };
        let (head, failed) = match head {
            Ok(head) => (head, Ok(())),
            Err(error) => (Head::Ended, Err((number, error))),
        };
        if let Some(slot) = self.heads.get_mut(number) {
            *slot = head;
        }
        failed
    }

    fn progress(&self) -> Progress {
        self.seen().fold(Progress::default(), |sum, seen| Progress {
            bytes: sum.bytes + seen.bytes,
            lines: sum.lines + seen.lines,
        })
    }
}
