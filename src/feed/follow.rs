//! One feed in the child: what a program writes, made into lines, and where to go on.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::Kind;
use super::cursor::Cursor;
use super::export::{Export, FIELDS};
use super::ring::Ring;
use crate::limits::{LINE_BYTES_MAX, LOGREAD_LINES, READ_BUFFER_BYTES};
use crate::lines::{Cut, Splitter};
use crate::tail::cursor::Position;

/// The clocks when a program is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// Which boot.
    pub(super) boot: u128,
    /// CLOCK_MONOTONIC, in microseconds.
    pub(super) monotonic: u64,
    /// The wall clock, in microseconds since 1970.
    pub(super) wall: u64,
}

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given<'a> {
    /// A line, and whether it was there before the reading began.
    Line(bool, &'a [u8]),
    /// One that is too long.
    Long,
    /// Nothing that is a line.
    Nothing,
}

/// One feed.
pub(super) struct Follow {
    terms: Vec<String>,
    position: Position,
    form: Form,
}

enum Form {
    Journal {
        export: Box<Export>,
        begun: Clocks,
        line: Vec<u8>,
    },
    Logread {
        ring: Ring,
        splitter: Splitter,
        buffer: Vec<u8>,
    },
}

impl Follow {
    /// Goes on at this place; without one, at what comes from now on.
    pub(super) fn new(kind: Kind, terms: Vec<String>, position: Option<Position>, clocks: Clocks) -> Follow {
        let position = position.unwrap_or_else(|| match kind {
            Kind::Journal => Cursor::at(clocks.wall).position(),
            Kind::Logread => Ring::new(None, clocks.boot, clocks.wall / 1_000).position(),
        });
        Follow {
            terms,
            position,
            form: form(kind, position, clocks),
        }
    }

    /// The program is started again.
    pub(super) fn begin(&mut self, clocks: Clocks) {
        self.form = form(self.kind(), self.position, clocks);
    }

    fn kind(&self) -> Kind {
        match self.form {
            Form::Journal { .. } => Kind::Journal,
            Form::Logread { .. } => Kind::Logread,
        }
    }

    /// The words for its program, to begin where we are.
    pub(super) fn words(&self) -> Vec<String> {
        match self.form {
            Form::Journal { .. } => {
                let cursor = Cursor::resume(self.position);
                let options = [
                    "--follow".to_owned(),
                    "--no-tail".to_owned(),
                    "--no-pager".to_owned(),
                    "--quiet".to_owned(),
                    "--output=export".to_owned(),
                    format!("--output-fields={FIELDS}"),
                    // Not --after-cursor: before systemd 253 that leaves out an entry if that of the cursor is gone.
                    format!("--cursor={cursor}"),
                    "--".to_owned(),
                ];
                options.into_iter().chain(self.terms.iter().cloned()).collect()
            }
            Form::Logread { .. } => ["-t", "-f", "-l", &LOGREAD_LINES.to_string()]
                .map(str::to_owned)
                .into(),
        }
    }

    /// Where to go on.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// What was there when the program was started is read by now.
    pub(super) fn caught_up(&mut self) {
        if let Form::Logread { ring, .. } = &mut self.form {
            ring.caught_up();
        }
    }

    /// Takes what the program wrote, and gives what is complete, each with the place behind it.
    pub(super) fn take(&mut self, bytes: &[u8], each: &mut dyn FnMut(Given<'_>, Position)) {
        let position = &mut self.position;
        match &mut self.form {
            Form::Journal { export, begun, line } => export.take(bytes, &mut |entry| {
                let Some(cursor) = entry.cursor() else { return };
                if cursor.is_same_entry(&Cursor::resume(*position)) {
                    return;
                }
                *position = cursor.position();
                let given = if entry.line(line) {
                    Given::Line(entry.is_before(begun.boot, begun.monotonic), line)
                } else if entry.has_message() {
                    Given::Long
                } else {
                    Given::Nothing
                };
                each(given, *position);
            }),
            Form::Logread {
                ring,
                splitter,
                buffer,
            } => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let space = splitter.space(buffer);
                    let count = space.len().min(rest.len());
                    let (now, later) = rest.split_at_checked(count).unwrap_or((rest, &[]));
                    if let Some(space) = space.get_mut(..count) {
                        space.copy_from_slice(now);
                    }
                    rest = later;
                    for cut in splitter.lines(buffer, count) {
                        let given = match cut {
                            // It has no time that could be told.
                            Cut::Long => Some(Given::Long),
                            Cut::Line(line) => ring.take(line).map(|backlog| Given::Line(backlog, line)),
                        };
                        if let Some(given) = given {
                            *position = ring.position();
                            each(given, *position);
                        }
                    }
                    splitter.keep(buffer);
                }
            }
        }
    }
}

const _: () = assert!(LINE_BYTES_MAX < READ_BUFFER_BYTES);

fn form(kind: Kind, position: Position, clocks: Clocks) -> Form {
    match kind {
        Kind::Journal => Form::Journal {
            export: Box::default(),
            begun: clocks,
            line: Vec::new(),
        },
        Kind::Logread => Form::Logread {
            ring: Ring::new(Some(position), clocks.boot, clocks.wall / 1_000),
            splitter: Splitter::default(),
            buffer: vec![0; READ_BUFFER_BYTES],
        },
    }
}
