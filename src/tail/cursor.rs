//! Where the reading of one inode stands: the pure state machine behind [`super::Tail`].
//!
//! No bytes are kept between two reads: an unfinished line is read again from its start when more of it has
//! come. Every read begins a little before the position, and what stands there must be what stood there
//! before; else the file was truncated, and what it holds is new.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use crate::limits::{FINGERPRINT_BYTES, LINE_BYTES_MAX};
use crate::lines::{Cut, Lines};

/// What identifies a file while somebody holds it open, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// The device that holds it (`st_dev`). Not stable over a reboot.
    pub device: u64,
    /// Its number on that device (`st_ino`).
    pub number: u64,
}

/// How far a file was read, for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which file.
    pub inode: Inode,
    /// Bytes read: all complete lines before it were given.
    pub offset: u64,
    /// A checksum of the last bytes before `offset` ([`FINGERPRINT_BYTES`], fewer at the file's start).
    pub check: u64,
}

/// Where the reading of one inode stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Where the first line begins that was not given; inside a line that is too long, what comes next of it.
    offset: u64,
    /// [`fingerprint`] of the bytes before `offset`.
    check: u64,
    /// Bytes after `offset` that were there at the last read and had no newline.
    rest: usize,
    /// `offset` is inside a line that is too long.
    inside_long: bool,
    /// Nothing but NUL is before `offset`. Further NUL bytes are a hole and no part of a line: a writer without
    /// `O_APPEND` went on where it was after a truncation.
    maybe_hole: bool,
    /// Whether the position comes from outside and may be inside a line.
    resumed: bool,
    /// The end of the file was not reached since it was first looked at.
    backlog: bool,
}

/// What came out of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Everything that is there.
    All,
    /// The buffer was full; there may be more.
    More,
    /// The file was truncated: the position is its start again.
    Truncated {
        /// A line had begun and will never end.
        lost_rest: bool,
    },
}

impl Cursor {
    /// At the file's start.
    #[must_use]
    pub fn beginning() -> Cursor {
        Cursor {
            offset: 0,
            check: fingerprint(&[]),
            rest: 0,
            inside_long: false,
            maybe_hole: true,
            resumed: false,
            backlog: true,
        }
    }

    /// At a position of the store. If the file does not hold there what it held, the first read finds that out.
    #[must_use]
    pub fn resume(position: Position) -> Cursor {
        Cursor {
            offset: position.offset,
            check: position.check,
            resumed: true,
            ..Cursor::beginning()
        }
    }

    /// At the file's end: after its last newline, so that a line half written counts when it is complete.
    /// `bytes` are the file's last ones, from offset `from` on: [`END_BYTES`] of them, or all.
    #[must_use]
    pub fn end(bytes: &[u8], from: u64) -> Cursor {
        let newline = memchr::memrchr(b'\n', bytes);
        let line = newline.map_or(0, |at| at + 1);
        let long = bytes.len() - line > LINE_BYTES_MAX || (line < FINGERPRINT_BYTES && from > 0);
        let before = bytes
            .get(..if long { bytes.len() } else { line })
            .unwrap_or_default();
        Cursor {
            offset: from + before.len() as u64,
            check: fingerprint(last(before)),
            inside_long: long,
            maybe_hole: before.is_empty(),
            backlog: false,
            ..Cursor::beginning()
        }
    }

    /// Where to read from: a little before the position.
    #[must_use]
    pub fn read_from(&self) -> u64 {
        self.offset - self.overlap() as u64
    }

    /// How many bytes were read, all complete lines among them given.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// For the store.
    #[must_use]
    pub fn position(&self, inode: Inode) -> Position {
        Position {
            inode,
            offset: self.offset,
            check: self.check,
        }
    }

    /// Whether the file was seen to hold anything.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.offset > 0 || self.rest > 0
    }

    /// Whether a line has begun and not ended.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        self.rest > 0 || self.inside_long
    }

    /// Takes the bytes at [`Cursor::read_from`] and gives every line that is complete: what it is, the offset
    /// after its newline, and whether it was there when the file was first looked at. `full`: they
    /// fill the buffer (which must be longer than [`END_BYTES`]), so that there may be more.
    pub fn take(&mut self, bytes: &[u8], full: bool, each: &mut dyn FnMut(Cut<'_>, u64, bool)) -> Taken {
        let split = bytes.split_at_checked(self.overlap());
        let Some((before, mut fresh)) = split.filter(|&(before, _)| fingerprint(before) == self.check) else {
            let lost_rest = self.has_rest();
            *self = Cursor::beginning();
            return Taken::Truncated { lost_rest };
        };
        if core::mem::replace(&mut self.resumed, false) {
            self.maybe_hole = matches!(before.last(), None | Some(0));
            self.inside_long = !self.maybe_hole && before.last() != Some(&b'\n');
        }
        let mut consumed = before.len();
        if self.maybe_hole {
            let nul = fresh.iter().position(|&byte| byte != 0);
            let (hole, after) = fresh.split_at(nul.unwrap_or(fresh.len()));
            self.offset += hole.len() as u64;
            consumed += hole.len();
            fresh = after;
        }
        let start = self.offset;
        let mut lines = Lines::continuing(fresh, self.inside_long);
        while let Some(cut) = lines.next() {
            each(cut, start + lines.consumed() as u64, self.backlog);
        }
        self.inside_long = lines.rest_is_long();
        let step = if self.inside_long {
            fresh.len()
        } else {
            lines.consumed()
        };
        self.maybe_hole &= step == 0;
        self.rest = fresh.len() - step;
        self.offset += step as u64;
        self.check = fingerprint(last(bytes.get(..consumed + step).unwrap_or_default()));
        self.backlog &= full;
        if full { Taken::More } else { Taken::All }
    }

    fn overlap(&self) -> usize {
        usize::try_from(self.offset)
            .unwrap_or(FINGERPRINT_BYTES)
            .min(FINGERPRINT_BYTES)
    }
}

/// How many of a file's last bytes [`Cursor::end`] needs to see.
pub const END_BYTES: usize = LINE_BYTES_MAX + FINGERPRINT_BYTES + 1;

/// The last bytes before a position, as many as the fingerprint covers.
fn last(bytes: &[u8]) -> &[u8] {
    bytes
        .get(bytes.len().saturating_sub(FINGERPRINT_BYTES)..)
        .unwrap_or_default()
}

/// FNV-1a over words of eight bytes, little-endian whatever the machine is. It guards against accidents,
/// not against somebody who may write to the log anyway.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ bytes.len() as u64;
    let mut mix = |word: u64| hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        mix(u64::from_le_bytes(*word));
        rest = after;
    }
    for &byte in rest {
        mix(u64::from(byte));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const INODE: Inode = Inode { device: 1, number: 2 };

    /// Reads a file of these bytes to its end with a buffer of `room` bytes: lines (`None`: too long), how
    /// often it was found truncated, whether all lines were backlog.
    fn read(cursor: &mut Cursor, file: &[u8], room: usize) -> (Vec<Option<Vec<u8>>>, usize, bool) {
        let (mut lines, mut truncated, mut all_backlog) = (Vec::new(), 0, true);
        loop {
            let bytes = file.get(cursor.read_from() as usize..).unwrap_or_default();
            let bytes = &bytes[..bytes.len().min(room)];
            let taken = cursor.take(bytes, bytes.len() == room, &mut |cut, end, backlog| {
                assert_eq!(file[end as usize - 1], b'\n');
                all_backlog &= backlog;
                lines.push(match cut {
                    Cut::Line(line) => Some(line.to_vec()),
                    Cut::Long => None,
                });
            });
            match taken {
                Taken::All => return (lines, truncated, all_backlog),
                Taken::More => {}
                Taken::Truncated { .. } => truncated += 1,
            }
        }
    }

    fn check(cursor: &mut Cursor, file: &[u8], expect: &[&str], truncated: usize) {
        let (lines, times, _) = read(cursor, file, 64 * 1024);
        let lines: Vec<_> = lines
            .iter()
            .map(|line| line.as_deref().unwrap_or(b"(long)"))
            .collect();
        let expect: Vec<_> = expect.iter().map(|line| line.as_bytes()).collect();
        assert_eq!((lines, times), (expect, truncated));
    }

    fn at_end(file: &[u8]) -> Cursor {
        let from = file.len().saturating_sub(END_BYTES);
        Cursor::end(&file[from..], from as u64)
    }

    #[test]
    fn a_file_read_from_its_end_begins_with_the_line_that_is_being_written() {
        let line = "x".repeat(200);
        for (file, more, expect) in [
            ("".to_owned(), "a\n", "a"),
            ("a\n".to_owned(), "b\n", "b"),
            ("a\nhalf".to_owned(), " b\n", "half b"),
            (format!("{line}\n").repeat(100) + "half", " b\n", "half b"),
            (
                "y".repeat(300) + "\n" + &"x".repeat(LINE_BYTES_MAX + 1),
                "\n",
                "(long)",
            ),
            (
                "y".repeat(300) + "\n" + &"x".repeat(LINE_BYTES_MAX + 300),
                "\n",
                "(long)",
            ),
            ("x".repeat(20_000), "\n", "(long)"),
        ] {
            let mut cursor = at_end(file.as_bytes());
            check(&mut cursor, file.as_bytes(), &[], 0);
            check(&mut cursor, (file + more).as_bytes(), &[expect], 0);
        }
        let longest = "x".repeat(LINE_BYTES_MAX);
        let file = "y".repeat(300) + "\n" + &longest;
        check(
            &mut at_end(file.as_bytes()),
            (file + "\n").as_bytes(),
            &[&longest],
            0,
        );
    }

    #[test]
    fn reading_goes_on_at_a_stored_position_only_in_the_same_text() {
        for length in [1, 40, 300] {
            let file = format!("{}\n{}\n", "a".repeat(length), "b".repeat(length));
            let mut before = Cursor::beginning();
            read(&mut before, file.as_bytes(), 64 * 1024);
            let position = before.position(INODE);
            assert_eq!(position.offset, file.len() as u64);

            check(
                &mut Cursor::resume(position),
                (file.clone() + "c\n").as_bytes(),
                &["c"],
                0,
            );
            check(&mut Cursor::resume(position), b"", &[], 1);
            check(&mut Cursor::resume(position), b"c\n", &["c"], 1);
            let other = file.replace('b', "d");
            check(
                &mut Cursor::resume(position),
                other.as_bytes(),
                &other.lines().collect::<Vec<_>>(),
                1,
            );
        }
    }

    #[test]
    fn a_position_stored_inside_a_long_line_does_not_make_its_rest_a_line() {
        let file = "x".repeat(LINE_BYTES_MAX + 10);
        let mut before = Cursor::beginning();
        check(&mut before, file.as_bytes(), &[], 0);
        let position = before.position(INODE);
        assert_eq!(position.offset, file.len() as u64);
        check(
            &mut Cursor::resume(position),
            (file + "forged\nb\n").as_bytes(),
            &["(long)", "b"],
            0,
        );
    }

    #[test]
    fn the_hole_of_a_writer_that_does_not_append_is_no_part_of_its_next_line() {
        let mut cursor = Cursor::beginning();
        check(&mut cursor, b"a\nb\n", &["a", "b"], 0);
        check(&mut cursor, b"\0\0\0\0c\n\0d\n", &["c", "\0d"], 1);
        let mut cursor = Cursor::beginning();
        let hole = vec![0; 200_000];
        check(&mut cursor, &hole, &[], 0);
        check(&mut cursor, &[&hole, &b"a\n"[..]].concat(), &["a"], 0);
    }

    #[test]
    fn what_was_there_at_the_first_look_is_backlog() {
        let line = "x".repeat(100) + "\n";
        let mut file = line.repeat(2000);
        let mut cursor = Cursor::beginning();
        let (lines, _, all_backlog) = read(&mut cursor, file.as_bytes(), END_BYTES + 1);
        assert_eq!((lines.len(), all_backlog), (2000, true));
        file += &line;
        let (lines, _, all_backlog) = read(&mut cursor, file.as_bytes(), END_BYTES + 1);
        assert_eq!((lines.len(), all_backlog), (1, false));
    }

    #[test]
    fn lines_do_not_depend_on_the_room_in_the_buffer() {
        let lengths = [0, 100, LINE_BYTES_MAX, 5, LINE_BYTES_MAX + 1, 100_000, 7, 8000];
        let line = |(index, &length): (usize, &usize)| (vec![b'a' + index as u8; length], length);
        let lines: Vec<_> = lengths.iter().enumerate().map(line).collect();
        let file = lines
            .iter()
            .map(|(line, _)| line.clone())
            .collect::<Vec<_>>()
            .join(&b'\n');
        let expect = lines[..7]
            .iter()
            .map(|(line, length)| (*length <= LINE_BYTES_MAX).then_some(line));
        let expect: Vec<_> = expect.map(Option::<&Vec<u8>>::cloned).collect();
        for room in [END_BYTES + 1, END_BYTES + 77, 64 * 1024, 1 << 20] {
            let mut cursor = Cursor::beginning();
            assert!(read(&mut cursor, &file, room).0 == expect, "{room}");
            assert!(cursor.has_rest());
        }
    }
}
