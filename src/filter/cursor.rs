//! The one way in which all grammars walk through a message: bytes from the left, bytes from the right, a literal,
//! everything up to a literal.
//!
//! No step goes back, so that a message costs at most a fixed number of passes over its bytes; nothing is
//! allocated, nothing is decoded.

/// What is left of a message. Every step takes something off one end, or fails and leaves the cursor as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// All of `text`.
    pub(crate) const fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: text }
    }

    /// What has not been taken yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes `literal` off the left end.
    #[inline]
    pub(crate) fn literal(&mut self, literal: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    /// Takes `literal` off the right end.
    #[inline]
    pub(crate) fn tail(&mut self, literal: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_suffix(literal)?;
        Some(())
    }

    /// Takes everything before the first `mark` off the left end, and the mark; the mark is not part of the value.
    #[inline(always)]
    pub(crate) fn until(&mut self, mark: &[u8]) -> Option<&'a [u8]> {
        match mark {
            &[byte] => self.until_byte(byte),
            _ => self.until_text(mark),
        }
    }

    fn until_byte(&mut self, mark: u8) -> Option<&'a [u8]> {
        let at = memchr::memchr(mark, self.rest)?;
        self.cut(at, 1)
    }

    fn until_text(&mut self, mark: &[u8]) -> Option<&'a [u8]> {
        let at = find(self.rest, mark)?;
        self.cut(at, mark.len())
    }

    /// Takes everything before the last `mark` off the left end, and the mark.
    pub(crate) fn until_last(&mut self, mark: &[u8]) -> Option<&'a [u8]> {
        let at = rfind(self.rest, mark)?;
        self.cut(at, mark.len())
    }

    /// Takes the longest run of bytes that `belongs` accepts, at least one and at most `most`, off the left end.
    pub(crate) fn token(&mut self, most: usize, belongs: impl Fn(u8) -> bool) -> Option<&'a [u8]> {
        let length = self
            .rest
            .iter()
            .position(|&byte| !belongs(byte))
            .unwrap_or(self.rest.len());
        if length == 0 || length > most {
            return None;
        }
        self.cut(length, 0)
    }

    /// Takes a decimal number of at most ten digits off the left end.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<u64> {
        if let Some((chunk, _)) = self.rest.split_first_chunk() {
            if let Some((value, digits)) = short_number(*chunk) {
                self.rest = self.rest.get(digits..)?;
                return Some(value);
            }
        }
        self.long_number()
    }

    /// The same near the end of the text, with more than seven digits, or with none.
    #[inline(never)]
    fn long_number(&mut self) -> Option<u64> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 10 {
            return None;
        }
        let digits = self.cut(digits, 0)?;
        let step = |value, digit: &u8| value * 10 + u64::from(digit - b'0');
        Some(digits.iter().fold(0, step))
    }

    /// Takes `"…"` off the left end and gives what stands between the quotes. A backslash keeps the byte behind
    /// it from ending the string (a SIP quoted-string, RFC 3261 section 25.1, as pjproject prints it).
    pub(crate) fn quoted(&mut self) -> Option<&'a [u8]> {
        let inside = self.rest.strip_prefix(b"\"")?;
        let mut escaped = false;
        let end = inside.iter().position(|&byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        let (value, rest) = inside.split_at_checked(end)?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(value)
    }

    /// That nothing is left.
    pub(crate) const fn ends(&self) -> Option<()> {
        if self.rest.is_empty() { Some(()) } else { None }
    }

    fn cut(&mut self, at: usize, skip: usize) -> Option<&'a [u8]> {
        let (value, rest) = self.rest.split_at_checked(at)?;
        self.rest = rest.get(skip..)?;
        Some(value)
    }
}

/// The number of one to seven digits at the head of eight bytes, and how many digits it has. All at once: a flood
/// has several in every line.
#[inline]
fn short_number(chunk: [u8; 8]) -> Option<(u64, usize)> {
    const ONES: u64 = u64::MAX / 255;
    // Digits become 0 to 9. Adding 0x76 sets the top bit of whatever is more; what it carries over spoils only bytes
    // behind the first of them.
    let word = u64::from_le_bytes(chunk) ^ (ONES * u64::from(b'0'));
    let others = (word | word.wrapping_add(ONES * 0x76)) & (ONES << 7);
    let bits = others.trailing_zeros() & !7;
    if bits == 0 || bits == 64 {
        return None;
    }
    // Zeros come before them, so that there are eight; then neighbours are joined to numbers of two, four, eight digits.
    let eight = word << (64 - bits);
    let fours = (eight.wrapping_mul(10 * 256 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (fours.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul((10_000 << 32) + 1) >> 32, bits as usize / 8))
}

/// Where `mark` begins in `text` for the first time.
pub(crate) fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    let (anchor, byte) = anchor(mark)?;
    let last = text.len().checked_sub(mark.len())?;
    let mut from = 0;
    while from <= last {
        // The anchor of the next place where the mark could stand.
        let places = text.get(from + anchor..=last + anchor)?;
        let at = from + memchr::memchr(byte, places)?;
        if text.get(at..)?.starts_with(mark) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Where `mark` begins in `text` for the last time.
pub(crate) fn rfind(text: &[u8], mark: &[u8]) -> Option<usize> {
    let (anchor, byte) = anchor(mark)?;
    let mut end = text.len().checked_sub(mark.len())? + 1;
    loop {
        let places = text.get(anchor..end + anchor)?;
        let at = memchr::memrchr(byte, places)?;
        if text.get(at..)?.starts_with(mark) {
            return Some(at);
        }
        end = at;
    }
}

/// The byte of `mark` to look for: its first, but not the quote, of which security events are full.
fn anchor(mark: &[u8]) -> Option<(usize, u8)> {
    match mark {
        [b'"', b',', byte, ..] => Some((2, *byte)),
        [byte, ..] => Some((0, *byte)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_takes_what_it_names() {
        let mut cursor = Cursor::new(b"a 'b' 'c' d");
        assert_eq!(cursor.literal(b"a "), Some(()));
        assert_eq!(cursor.literal(b"x"), None);
        assert_eq!(cursor.until_last(b"'"), Some(&b"'b' 'c"[..]));
        assert_eq!(cursor.rest(), b" d");
        assert_eq!(cursor.tail(b"d"), Some(()));
        assert_eq!(cursor.ends(), None);
        assert_eq!(cursor.until(b" "), Some(&b""[..]));
        assert_eq!(cursor.ends(), Some(()));
    }

    #[test]
    fn a_mark_is_found_where_it_first_and_last_stands() {
        let check = |text: &[u8], mark: &[u8], first, last| {
            assert_eq!(find(text, mark), first, "{text:?}");
            assert_eq!(rfind(text, mark), last, "{text:?}");
        };
        check(b"aXaaX", b"aX", Some(0), Some(3));
        check(b"aaaa", b"aa", Some(0), Some(2));
        check(b"", b"a", None, None);
        check(b"abc", b"", None, None);
        check(b"ab", b"abc", None, None);
        check(b"xxab", b"ab", Some(2), Some(2));
        check(b"\",L\",Lx\",L\",", b"\",L", Some(0), Some(7));
        check(b"L\",Lx", b"\",L", Some(1), Some(1));
        check(b"\",", b"\",L", None, None);
    }

    #[test]
    fn a_quoted_string_ends_at_its_first_bare_quote() {
        let check = |text: &[u8], want: Option<&[u8]>| {
            assert_eq!(Cursor::new(text).quoted(), want, "{text:?}");
        };
        check(b"\"\"", Some(b""));
        check(b"\"a\\\"b\"c\"", Some(b"a\\\"b"));
        check(b"\"a\\\\\"b\"", Some(b"a\\\\"));
        check(b"\"a\\\"", None);
        check(b"a\"", None);
    }

    #[test]
    fn numbers_and_tokens_have_a_limit() {
        assert_eq!(Cursor::new(b"4294967296]").number(), Some(4_294_967_296));
        for end in [
            "",
            "]",
            "/",
            ":",
            "\u{ff}",
            " 7",
            "x9999999",
            "\0\0\0\0\0\0\0\0\0",
            "]]]]]]]]]",
        ] {
            for value in [
                0,
                7,
                42,
                907,
                1893,
                65_535,
                100_000,
                999_999,
                7_654_321,
                12_345_678,
                4_294_967_295,
            ] {
                let text = format!("{value}{end}");
                let mut cursor = Cursor::new(text.as_bytes());
                assert_eq!(
                    (cursor.number(), cursor.rest()),
                    (Some(value), end.as_bytes()),
                    "{text}"
                );
            }
            let mut none = Cursor::new(end.as_bytes());
            assert_eq!((none.number(), none.rest()), (None, end.as_bytes()));
        }
        assert_eq!(Cursor::new(b"0000012]x").number(), Some(12));
        assert_eq!(Cursor::new(b"12345678901").number(), None);
        assert_eq!(Cursor::new(b"x").number(), None);
        assert_eq!(Cursor::new(b"aab").token(1, |byte| byte == b'a'), None);
    }
}
