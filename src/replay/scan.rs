//! One log: bytes in, and from line to line up to the next one that says something.

use std::io::{self, Read};

use crate::filter::{Context, Lens, Reading, Trail, stamp_of};
use crate::lines::{Cut, Lines, Splitter};
use crate::time::Wall;

use super::missed::looks_like_a_failure;

/// What one filter says about a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Which filter, by its place among those that the log was opened with.
    pub(super) view: usize,
    /// [`Reading::Nothing`]: a line that was missed.
    pub(super) reading: Reading,
}

/// What was seen of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes read.
    pub bytes: u64,
    /// Lines, those that are too long included.
    pub lines: u64,
    /// Lines longer than [`crate::limits::LINE_BYTES_MAX`], which no filter reads.
    pub long: u64,
    /// The log ends with bytes that no newline follows: not a line.
    pub unfinished: bool,
    /// The earliest and the latest stamp that was looked at: the first and last line of every block, and failures.
    pub first: Option<Wall>,
    /// See `first`.
    pub last: Option<Wall>,
}

/// Why [`Log::next`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// At a line that says something.
    Found,
    /// At the end of a block, without.
    Block,
    /// At the end of the log.
    End,
}

/// A log that is being read.
pub(super) struct Log<R> {
    input: R,
    buffer: Vec<u8>,
    splitter: Splitter,
    /// The part of the buffer's block of whole lines that has not been looked at.
    start: usize,
    end: usize,
    inside_long: bool,
    /// The block is over; the next one has not been read, which may take its time.
    is_over: bool,
    views: Vec<View>,
    context: Context,
    /// Whether lines that look like a failure and are none are shown, too.
    missed: bool,
    found: Vec<Found>,
    line: (usize, usize),
    seen: Seen,
    stamp: Option<Wall>,
}

/// A filter, and what it remembers of this log.
struct View {
    lens: Lens,
    trail: Trail,
}

impl<R: Read> Log<R> {
    /// A log of which nothing has been read. `buffer` bytes are read at once.
    pub(super) fn new(input: R, buffer: usize, lenses: &[&Lens], context: Context, missed: bool) -> Log<R> {
        let view = |&lens: &&Lens| View {
            lens: lens.clone(),
            trail: Trail::default(),
        };
        Log {
            input,
            buffer: vec![0; buffer],
            splitter: Splitter::default(),
            start: 0,
            end: 0,
            inside_long: false,
            is_over: true,
            views: lenses.iter().map(view).collect(),
            context,
            missed,
            found: Vec::with_capacity(lenses.len()),
            line: (0, 0),
            seen: Seen::default(),
            stamp: None,
        }
    }

    /// Goes on to the next line that says something.
    ///
    /// # Errors
    /// What the input says, but never `Interrupted`.
    pub(super) fn next(&mut self) -> io::Result<Step> {
        if self.is_over {
            if !self.fill()? {
                return Ok(Step::End);
            }
            self.is_over = false;
        }
        if self.scan() {
            return Ok(Step::Found);
        }
        self.is_over = true;
        Ok(Step::Block)
    }

    /// What was found at the current line.
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// The current line.
    pub(super) fn line(&self) -> &[u8] {
        let (start, end) = self.line;
        self.buffer.get(start..end).unwrap_or_default()
    }

    /// The time of the current line, or of the last one before it whose stamp could be read.
    pub(super) fn time(&self) -> Option<Wall> {
        self.stamp
    }

    /// What was seen so far; its `lines` is the current line's number, from 1.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Looks at lines of the block until one says something.
    fn scan(&mut self) -> bool {
        self.found.clear();
        let block = self.buffer.get(self.start..self.end).unwrap_or_default();
        let mut lines = Lines::continuing(block, core::mem::take(&mut self.inside_long));
        let line = match self.views.as_mut_slice() {
            [view] if !self.missed => {
                let next = view.lens.next(&mut lines, &mut view.trail, &self.context);
                next.map(|(line, reading)| {
                    self.found.push(Found { view: 0, reading });
                    line
                })
            }
            views => next_of_any(&mut lines, views, &self.context, self.missed, &mut self.found),
        };
        self.seen.lines += lines.count_given();
        self.seen.long += lines.long_given();
        let Some(line) = line else {
            self.start = self.end;
            return false;
        };
        let begin = self.start + lines.begin();
        self.line = (begin, begin + line.len());
        self.start += lines.consumed();
        self.date_found();
        true
    }

    /// Reads the next block. `false`: there is none.
    fn fill(&mut self) -> io::Result<bool> {
        self.splitter.keep(&mut self.buffer);
        let count = loop {
            match self.input.read(self.splitter.space(&mut self.buffer)) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    (self.start, self.end) = (0, 0);
                    return Err(error);
                }
            }
        };
        let lines = self.splitter.lines(&self.buffer, count);
        self.inside_long = lines.continues_long();
        let block = lines.rest();
        (self.start, self.end) = (0, block.len());
        self.seen.bytes += count as u64;
        if count == 0 {
            self.seen.unfinished = self.splitter.has_rest();
            return Ok(false);
        }
        let ends = block.strip_suffix(b"\n").unwrap_or(block);
        let first = ends.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let last = ends.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        let (first, last) = (stamp_of(first, &self.context), stamp_of(last, &self.context));
        self.seen.date(first);
        self.seen.date(last);
        self.stamp = first.or(self.stamp);
        Ok(true)
    }

    fn date_found(&mut self) {
        let stamp = self.found.iter().find_map(|found| match found.reading {
            Reading::Failure(failure) => failure.at,
            Reading::Nothing | Reading::Suspicious(_) => None,
        });
        self.stamp = stamp.or(self.stamp);
        self.seen.date(stamp);
    }
}

/// The next of `lines` of which any view says something, or which looks like it (`missed`).
fn next_of_any<'a>(
    lines: &mut Lines<'a>,
    views: &mut [View],
    context: &Context,
    missed: bool,
    found: &mut Vec<Found>,
) -> Option<&'a [u8]> {
    for cut in lines {
        let Cut::Line(line) = cut else {
            continue;
        };
        for (number, view) in views.iter_mut().enumerate() {
            let reading = view.lens.read(line, &mut view.trail, context);
            if !matches!(reading, Reading::Nothing) {
                found.push(Found {
                    view: number,
                    reading,
                });
            }
        }
        if found.is_empty() && missed && looks_like_a_failure(line) {
            let reading = Reading::Nothing;
            found.push(Found { view: 0, reading });
        }
        if !found.is_empty() {
            return Some(line);
        }
    }
    None
}

impl Seen {
    fn date(&mut self, stamp: Option<Wall>) {
        let Some(stamp) = stamp else {
            return;
        };
        self.first = Some(self.first.map_or(stamp, |first| first.min(stamp)));
        self.last = Some(self.last.map_or(stamp, |last| last.max(stamp)));
    }
}
