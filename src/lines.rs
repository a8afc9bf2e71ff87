//! Buffer to lines.
//!
//! A line is what stands between two newlines (0x0a); one trailing carriage return is dropped, every other
//! byte stays, NUL included. Without its newline it is no line, ever. Lines longer than
//! [`LINE_BYTES_MAX`] are not shown, only counted.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use crate::limits::LINE_BYTES_MAX;

/// One complete line of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// Its bytes, without the newline and without one carriage return before it.
    Line(&'a [u8]),
    /// It was longer than [`LINE_BYTES_MAX`]; its newline has arrived.
    Long,
}

/// The complete lines of a block of bytes.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    start: usize,
    inside_long: bool,
    /// Where the last line given begins.
    begin: usize,
    count: u64,
    long: u64,
}

impl<'a> Lines<'a> {
    /// The lines of `bytes`, which begin at the start of a line.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Lines<'a> {
        Lines::continuing(bytes, false)
    }

    /// The lines of `bytes`, which may begin inside a line that is too long already.
    #[must_use]
    pub fn continuing(bytes: &'a [u8], inside_long: bool) -> Lines<'a> {
        Lines {
            bytes,
            start: 0,
            inside_long,
            begin: 0,
            count: 0,
            long: 0,
        }
    }

    /// How many lines were given so far.
    #[must_use]
    pub fn count_given(&self) -> u64 {
        self.count
    }

    /// How many of them were too long.
    #[must_use]
    pub fn long_given(&self) -> u64 {
        self.long
    }

    /// Where in the bytes the last line given begins.
    #[must_use]
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// How many bytes the lines given so far had, newlines included.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.start
    }

    /// The bytes after the last line given; after the last line of all, the rest that has no newline yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Whether the next line began before these bytes and is too long already.
    #[must_use]
    pub fn continues_long(&self) -> bool {
        self.inside_long
    }

    /// Whether [`Lines::rest`] belongs to a line that is too long already, whatever follows.
    #[must_use]
    pub fn rest_is_long(&self) -> bool {
        self.inside_long || self.rest().len() > LINE_BYTES_MAX
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Cut<'a>;

    #[inline]
    fn next(&mut self) -> Option<Cut<'a>> {
        let rest = self.bytes.get(self.start..)?;
        let length = memchr::memchr(b'\n', rest)?;
        self.begin = self.start;
        self.start += length + 1;
        self.count += 1;
        if self.inside_long || length > LINE_BYTES_MAX {
            self.inside_long = false;
            self.long += 1;
            return Some(Cut::Long);
        }
        let line = rest.get(..length)?;
        Some(Cut::Line(line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

/// Cuts a stream into lines with one buffer of the caller's: read into [`Splitter::space`], take
/// [`Splitter::lines`], then [`Splitter::keep`] what has no newline yet.
///
/// ```
/// # use sipguard::lines::{Cut, Splitter};
/// # let mut input = &b"one\r\ntwo\nthr"[..];
/// # fn read(input: &mut &[u8], space: &mut [u8]) -> usize { std::io::Read::read(input, space).unwrap() }
/// let mut buffer = vec![0; 64 * 1024];
/// let mut splitter = Splitter::default();
/// let mut lines = 0;
/// loop {
///     let count = read(&mut input, splitter.space(&mut buffer));
///     if count == 0 {
///         break;
///     }
///     for cut in splitter.lines(&buffer, count) {
///         lines += 1;
///     }
///     splitter.keep(&mut buffer);
/// }
/// assert_eq!((lines, splitter.has_rest()), (2, true));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    filled: usize,
    cut: usize,
    inside_long: bool,
}

impl Splitter {
    /// The part of the buffer to read into. Never empty if the buffer is longer than [`LINE_BYTES_MAX`]
    /// and [`Splitter::keep`] was called.
    pub fn space<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// The lines that are complete after `count` more bytes. [`Lines::rest`] of what this returns is the
    /// whole block of complete lines: a caller may search it first and cut it only where that pays.
    pub fn lines<'b>(&mut self, buffer: &'b [u8], count: usize) -> Lines<'b> {
        let fresh = buffer.get(self.filled..).unwrap_or_default();
        let fresh = fresh.get(..count).unwrap_or(fresh);
        let inside_long = self.inside_long;
        self.cut = match memchr::memrchr(b'\n', fresh) {
            Some(at) => self.filled + at + 1,
            None => 0,
        };
        self.filled += fresh.len();
        if self.cut > 0 {
            self.inside_long = false;
        }
        Lines::continuing(buffer.get(..self.cut).unwrap_or_default(), inside_long)
    }

    /// Moves the bytes without a newline to the front of the buffer, to be completed by the next ones.
    pub fn keep(&mut self, buffer: &mut [u8]) {
        let rest = self.filled - self.cut;
        if self.inside_long || rest > LINE_BYTES_MAX {
            self.inside_long = true;
            self.filled = 0;
        } else {
            buffer.copy_within(self.cut..self.filled, 0);
            self.filled = rest;
        }
        self.cut = 0;
    }

    /// Whether bytes without a newline are left.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        self.filled > self.cut || self.inside_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], expect: &[Cut<'_>], rest: &[u8]) {
        let mut lines = Lines::new(input);
        let got: Vec<_> = lines.by_ref().collect();
        assert_eq!(got, expect);
        assert_eq!(lines.rest(), rest);
        assert_eq!(lines.consumed() + lines.rest().len(), input.len());
    }

    #[test]
    fn a_line_ends_at_its_newline_and_nowhere_else() {
        check(b"", &[], b"");
        check(b"rest", &[], b"rest");
        check(b"a\n", &[Cut::Line(b"a")], b"");
        check(
            b"a\n\nb\nc",
            &[Cut::Line(b"a"), Cut::Line(b""), Cut::Line(b"b")],
            b"c",
        );
        check(b"a\rb\x0b\x0c\0\x85\n", &[Cut::Line(b"a\rb\x0b\x0c\0\x85")], b"");
    }

    #[test]
    fn one_carriage_return_before_the_newline_is_dropped() {
        check(
            b"a\r\nb\r\r\n\r\n",
            &[Cut::Line(b"a"), Cut::Line(b"b\r"), Cut::Line(b"")],
            b"",
        );
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_not_longer() {
        let longest = vec![b'x'; LINE_BYTES_MAX];
        let input = [&longest[..], b"\nx", &longest[..], b"\nafter\n"].concat();
        check(
            &input,
            &[Cut::Line(&longest), Cut::Long, Cut::Line(b"after")],
            b"",
        );
    }

    /// What the splitter makes of `input` when it arrives in pieces of these sizes, again and again.
    fn split(input: &[u8], sizes: &[usize], buffer: usize) -> (Vec<Option<Vec<u8>>>, bool) {
        let mut buffer = vec![0; buffer];
        let mut splitter = Splitter::default();
        let mut rest = input;
        let mut got = Vec::new();
        for &size in sizes.iter().cycle() {
            let space = splitter.space(&mut buffer);
            let count = size.min(rest.len()).min(space.len());
            assert!(!space.is_empty());
            space[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            got.extend(splitter.lines(&buffer, count).map(|cut| match cut {
                Cut::Line(line) => Some(line.to_vec()),
                Cut::Long => None,
            }));
            splitter.keep(&mut buffer);
            if rest.is_empty() {
                break;
            }
        }
        (got, splitter.has_rest())
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_arrive() {
        let mut input = Vec::new();
        for index in 0..300 {
            let length = [0, 1, 70, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 30_000][index % 6];
            input.extend(std::iter::repeat_n(b'a' + (index % 26) as u8, length));
            input.extend([&b"\n"[..], b"\r\n"][index % 2]);
        }
        for tail in [&b""[..], b"rest"] {
            let input = [&input[..], tail].concat();
            let expect: Vec<_> = input
                .split(|&byte| byte == b'\n')
                .map(|line| (line.len() <= LINE_BYTES_MAX).then(|| line.strip_suffix(b"\r").unwrap_or(line)))
                .map(|line| line.map(<[u8]>::to_vec))
                .collect();
            let expect = &expect[..expect.len() - 1];
            for sizes in [&[1 << 20][..], &[1, 2, 3, 5000], &[8191], &[64, 20_000]] {
                for buffer in [LINE_BYTES_MAX + 1, 64 * 1024] {
                    let (got, has_rest) = split(&input, sizes, buffer);
                    assert!(got == expect, "{sizes:?} {buffer}");
                    assert_eq!(has_rest, !tail.is_empty());
                }
            }
        }
    }
}
