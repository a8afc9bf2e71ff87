//! Which lines of an attempt were read: what tells a further line of it from the first of the next.

use crate::filter::{Step, Witness};

/// Which file of a jail a line came from, for telling a repeated line from a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(pub u16);

impl Source {
    /// One bit for the stream. The seventeenth file shares a stream with the first: copies between
    /// these two count twice.
    pub(crate) fn stream(self, witness: Witness) -> u32 {
        let file = u32::from(self.0 % 16);
        1 << (file * 2 + u32::from(witness == Witness::Security))
    }
}

/// Which streams have reported an attempt, and how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reports {
    pub(super) opened: u32,
    pub(super) opened_twice: u32,
    pub(super) closed: u32,
}

impl Reports {
    /// Whether the stream has not reported this step of the attempt yet.
    #[inline]
    pub(crate) fn takes(&self, stream: u32, step: Step) -> bool {
        let said = match step {
            Step::Opening => self.closed | self.opened_twice,
            Step::Closing => self.closed,
            Step::Whole => self.closed | self.opened,
        };
        said & stream == 0
    }

    /// The streams whose further lines belong to other attempts, whatever they report.
    pub(crate) fn closed(&self) -> u32 {
        self.closed
    }

    /// Notes a line, if the stream has not reported this step of the attempt yet.
    pub(crate) fn join(&mut self, stream: u32, step: Step) -> bool {
        let takes = self.takes(stream, step);
        if takes {
            match step {
                Step::Opening if self.opened & stream != 0 => self.opened_twice |= stream,
                Step::Opening => self.opened |= stream,
                Step::Closing | Step::Whole => self.closed |= stream,
            }
        }
        takes
    }
}
