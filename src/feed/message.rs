//! What the guard and a child that reads for it say to each other: a message each, numbers little-endian.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use crate::limits::FEED_MESSAGE_BYTES_MAX;
use crate::tail::cursor::{Inode, Position};

/// What the guard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// Read this, from this place on.
    Follow {
        /// Whom it is for: another worker has heard what was sent before it greeted.
        worker: u32,
        /// Its number; it comes back with every line.
        number: u32,
        /// Where to go on; `None`: at what comes from now on.
        position: Option<Position>,
        /// Of the journal: the words of `journalmatch`, with blanks between.
        terms: &'a [u8],
    },
    /// Read it no more.
    Unfollow {
        /// Its number.
        number: u32,
    },
}

/// What the child says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report<'a> {
    /// It is there, under this number, and follows nothing yet.
    Hello(u32),
    /// Lines.
    Lines {
        /// Of what.
        number: u32,
        /// Where to go on behind them.
        position: Position,
        /// How many were left out, because they are too long.
        long: u32,
        /// The others.
        lines: Lines<'a>,
    },
    /// The program that it reads from runs, or does not.
    Running {
        /// Of what.
        number: u32,
        /// Whether it does.
        runs: bool,
    },
}

/// Lines of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    /// Whether it was there before the reading began, and its bytes.
    type Item = (bool, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<3>()?;
        let [backlog, low, high] = *head;
        let (line, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        self.0 = rest;
        Some((backlog != 0, line))
    }
}

/// Writes an order.
pub fn encode(order: &Order<'_>, out: &mut Vec<u8>) {
    out.clear();
    match *order {
        Order::Follow {
            worker,
            number,
            position,
            terms,
        } => {
            out.push(b'F');
            out.extend(worker.to_le_bytes());
            out.extend(number.to_le_bytes());
            out.push(u8::from(position.is_some()));
            put_position(position.unwrap_or(NOWHERE), out);
            out.extend(terms);
        }
        Order::Unfollow { number } => {
            out.push(b'U');
            out.extend(number.to_le_bytes());
        }
    }
}

/// Reads an order.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Order<'_>> {
    let (tag, mut rest) = bytes.split_first()?;
    match tag {
        b'F' => Some(Order::Follow {
            worker: take_u32(&mut rest)?,
            number: take_u32(&mut rest)?,
            position: {
                let [is_there] = *take(&mut rest)?;
                Some(take_position(&mut rest)?).filter(|_| is_there == 1)
            },
            terms: rest,
        }),
        b'U' => Some(Order::Unfollow {
            number: take_u32(&mut rest)?,
        }),
        _ => None,
    }
}

/// A message that says which worker is there.
#[must_use]
pub fn hello(worker: u32) -> Vec<u8> {
    [b"H".as_slice(), &worker.to_le_bytes()].concat()
}

/// A message that says whether a program runs.
#[must_use]
pub fn running(number: u32, runs: bool) -> Vec<u8> {
    [b"R".as_slice(), &number.to_le_bytes(), &[u8::from(runs)]].concat()
}

/// A message of lines that is being written.
#[derive(Clone, Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    long: u32,
}

/// Tag, number, position, count of long lines.
const HEAD_BYTES: usize = 1 + 4 + 32 + 4;

impl Batch {
    /// Without lines.
    #[must_use]
    pub fn new(number: u32) -> Batch {
        let mut bytes = Vec::with_capacity(FEED_MESSAGE_BYTES_MAX);
        bytes.push(b'L');
        bytes.extend(number.to_le_bytes());
        bytes.resize(HEAD_BYTES, 0);
        Batch { bytes, long: 0 }
    }

    /// Whether a line of this length finds room.
    #[must_use]
    pub fn has_room(&self, length: usize) -> bool {
        self.bytes.len() + 3 + length <= FEED_MESSAGE_BYTES_MAX
    }

    /// Appends a line, for which there is room.
    pub fn line(&mut self, backlog: bool, line: &[u8]) {
        let length = u16::try_from(line.len()).unwrap_or(u16::MAX);
        self.bytes.push(u8::from(backlog));
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(line.iter().take(usize::from(length)));
    }

    /// Counts a line that is too long.
    pub fn long(&mut self) {
        self.long = self.long.saturating_add(1);
    }

    /// The message, with the place behind its lines.
    pub fn message(&mut self, position: Position) -> &[u8] {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        put_position(position, &mut head);
        head.extend(self.long.to_le_bytes());
        if let Some(place) = self.bytes.get_mut(5..HEAD_BYTES) {
            place.copy_from_slice(&head);
        }
        &self.bytes
    }

    /// Takes the lines out.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEAD_BYTES);
        self.long = 0;
    }
}

/// Reads what a child says.
#[must_use]
pub fn decode_report(bytes: &[u8]) -> Option<Report<'_>> {
    let (tag, mut rest) = bytes.split_first()?;
    match tag {
        b'H' => Some(Report::Hello(take_u32(&mut rest)?)),
        b'R' => Some(Report::Running {
            number: take_u32(&mut rest)?,
            runs: rest == [1],
        }),
        b'L' => Some(Report::Lines {
            number: take_u32(&mut rest)?,
            position: take_position(&mut rest)?,
            long: take_u32(&mut rest)?,
            lines: Lines(rest),
        }),
        _ => None,
    }
}

const NOWHERE: Position = Position {
    inode: Inode { device: 0, number: 0 },
    offset: 0,
    check: 0,
};

fn put_position(position: Position, out: &mut Vec<u8>) {
    let Position { inode, offset, check } = position;
    for number in [inode.device, inode.number, offset, check] {
        out.extend(number.to_le_bytes());
    }
}

fn take_position(rest: &mut &[u8]) -> Option<Position> {
    let mut number = || take::<8>(rest).map(|bytes| u64::from_le_bytes(*bytes));
    Some(Position {
        inode: Inode {
            device: number()?,
            number: number()?,
        },
        offset: number()?,
        check: number()?,
    })
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take::<4>(rest).map(|bytes| u32::from_le_bytes(*bytes))
}

fn take<'a, const LENGTH: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; LENGTH]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{JOURNALMATCH_BYTES_MAX, LINE_BYTES_MAX};

    const PLACE: Position = Position {
        inode: Inode {
            device: 1 << 63,
            number: 2,
        },
        offset: 3,
        check: u64::MAX,
    };

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let terms = "x".repeat(JOURNALMATCH_BYTES_MAX);
        for position in [None, Some(PLACE)] {
            let order = Order::Follow {
                worker: 7,
                number: 9,
                position,
                terms: terms.as_bytes(),
            };
            let mut bytes = Vec::new();
            encode(&order, &mut bytes);
            assert_eq!(decode(&bytes), Some(order));
            assert!(bytes.len() <= FEED_MESSAGE_BYTES_MAX);
            let head = bytes.len() - terms.len();
            assert!((0..head).all(|length| decode(&bytes[..length]).is_none()));
        }
        let mut bytes = Vec::new();
        encode(&Order::Unfollow { number: 4 }, &mut bytes);
        assert_eq!(decode(&bytes), Some(Order::Unfollow { number: 4 }));
        assert_eq!(decode(b"Xabcd"), None);
    }

    #[test]
    fn lines_arrive_as_they_were_put_in() {
        assert_eq!(decode_report(&hello(5)), Some(Report::Hello(5)));
        for runs in [true, false] {
            let want = Report::Running { number: 6, runs };
            assert_eq!(decode_report(&running(6, runs)), Some(want));
        }
        let mut batch = Batch::new(8);
        let longest = vec![b'x'; LINE_BYTES_MAX];
        batch.line(true, b"");
        batch.line(false, &longest);
        batch.long();
        assert!(batch.has_room(LINE_BYTES_MAX - 300) && !batch.has_room(LINE_BYTES_MAX));
        let bytes = batch.message(PLACE).to_vec();
        let Some(Report::Lines {
            number,
            position,
            long,
            lines,
        }) = decode_report(&bytes)
        else {
            panic!("no lines");
        };
        assert_eq!((number, position, long), (8, PLACE, 1));
        let got: Vec<_> = lines.collect();
        assert_eq!(got, [(true, b"".as_slice()), (false, longest.as_slice())]);
        for length in 0..bytes.len() {
            if let Some(Report::Lines { lines, .. }) = decode_report(&bytes[..length]) {
                assert!(lines.count() < 2);
            }
        }
        batch.clear();
        let bytes = batch.message(PLACE).to_vec();
        assert!(
            matches!(decode_report(&bytes), Some(Report::Lines { long: 0, lines, .. }) if lines.count() == 0)
        );
    }
}
