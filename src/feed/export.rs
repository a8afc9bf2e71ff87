//! The journal's export format (systemd's JOURNAL_EXPORT_FORMATS), as `journalctl -o export` writes it, and the line of
//! syslog that an entry is to the filters.
//!
//! A field is `NAME=value` and a newline; one whose value is not text, or has a newline, is `NAME`, a newline, its
//! length in 64 bits, little-endian, the value, a newline. An empty line ends an entry. So no value can pretend to be
//! another field, which is why this format and not one for people is read.
//!
//! An entry is one line, with the time of the journal's: newlines within its message become `#012`, as rsyslog writes
//! them, and those behind it go. Names are made of what names are made of, so that nothing in one looks like the rest of
//! the line. Of a field no more is kept than a line may have.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::io::Write as _;

use super::cursor::Cursor;
use crate::limits::{JOURNAL_FIELD_BYTES_MAX, LINE_BYTES_MAX};
use crate::time::Wall;

/// The fields that are wanted, as journalctl takes them; those that begin with two underscores come without being asked
/// for.
pub const FIELDS: &str = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_COMM,_HOSTNAME,_BOOT_ID";

/// Which field a value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Cursor,
    Realtime,
    Monotonic,
    Boot,
    Message,
    Identifier,
    Command,
    Pid,
    SaidPid,
    Host,
    /// What is not wanted.
    Other,
}

const FIELD_COUNT: usize = 10;

impl Field {
    fn named(name: &[u8]) -> Field {
        match name {
            b"__CURSOR" => Field::Cursor,
            b"__REALTIME_TIMESTAMP" => Field::Realtime,
            b"__MONOTONIC_TIMESTAMP" => Field::Monotonic,
            b"_BOOT_ID" => Field::Boot,
            b"MESSAGE" => Field::Message,
            b"SYSLOG_IDENTIFIER" => Field::Identifier,
            b"_COMM" => Field::Command,
            b"_PID" => Field::Pid,
            b"SYSLOG_PID" => Field::SaidPid,
            b"_HOSTNAME" => Field::Host,
            _ => Field::Other,
        }
    }

    /// One byte more than a message may have, so that one that is too long is found out.
    fn bytes_max(self) -> usize {
        if self == Field::Message {
            LINE_BYTES_MAX + 1
        } else {
            JOURNAL_FIELD_BYTES_MAX
        }
    }
}

/// Where in the format the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a field's name, or at an empty line.
    Name,
    /// In a value that ends with a newline.
    Text(Field),
    /// In the eight bytes of a length: the value of those that came, and how many.
    Length(Field, u64, u32),
    /// In a value of which so many bytes are to come.
    Data(Field, u64),
    /// At the newline behind such a value.
    End,
}

/// One entry, as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// By [`Field`]; the first of a name counts.
    fields: [Option<Vec<u8>>; FIELD_COUNT],
}

/// Reads entries out of pieces of any size.
#[derive(Clone, Debug)]
pub struct Export {
    state: State,
    name: Vec<u8>,
    entry: Entry,
    /// The value that is being read; `None` if it is not kept.
    open: Option<Vec<u8>>,
}

impl Default for Export {
    fn default() -> Export {
        Export {
            state: State::Name,
            name: Vec::new(),
            entry: Entry::default(),
            open: None,
        }
    }
}

impl Export {
    /// Takes some bytes, and gives every entry that is complete.
    pub fn take(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(&Entry)) {
        while !bytes.is_empty() {
            let used = self.step(bytes, each);
            bytes = bytes.get(used..).unwrap_or_default();
        }
    }

    /// Takes at least one byte; how many.
    fn step(&mut self, bytes: &[u8], each: &mut dyn FnMut(&Entry)) -> usize {
        match self.state {
            State::Name => self.name(bytes, each),
            State::Text(field) => {
                let end = memchr::memchr(b'\n', bytes);
                self.keep(field, bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
                match end {
                    Some(end) => {
                        self.close(field);
                        self.state = State::Name;
                        end + 1
                    }
                    None => bytes.len(),
                }
            }
            State::Length(field, length, count) => {
                let byte = u64::from(bytes.first().copied().unwrap_or(0));
                let length = length | byte << (8 * count);
                self.state = match (count, length) {
                    (7, 0) => {
                        self.close(field);
                        State::End
                    }
                    (7, _) => State::Data(field, length),
                    _ => State::Length(field, length, count + 1),
                };
                1
            }
            State::Data(field, left) => {
                let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.keep(field, bytes.get(..here).unwrap_or_default());
                self.state = match left - here as u64 {
                    0 => {
                        self.close(field);
                        State::End
                    }
                    left => State::Data(field, left),
                };
                here
            }
            State::End => {
                self.state = State::Name;
                1
            }
        }
    }

    /// A name up to its `=` or newline; an empty line ends the entry.
    fn name(&mut self, bytes: &[u8], each: &mut dyn FnMut(&Entry)) -> usize {
        let Some(end) = memchr::memchr2(b'=', b'\n', bytes) else {
            self.name_part(bytes);
            return bytes.len();
        };
        self.name_part(bytes.get(..end).unwrap_or_default());
        let is_text = bytes.get(end) == Some(&b'=');
        if self.name.is_empty() && !is_text {
            each(&self.entry);
            self.entry.fields.fill(None);
            return end + 1;
        }
        let field = Field::named(&self.name);
        self.name.clear();
        let wanted = self.entry.fields.get(field as usize).is_some_and(Option::is_none);
        self.open = wanted.then(Vec::new);
        self.state = if is_text {
            State::Text(field)
        } else {
            State::Length(field, 0, 0)
        };
        end + 1
    }

    /// No name that is wanted is longer than 64 bytes, nor is any other by the journal's own rule.
    fn name_part(&mut self, bytes: &[u8]) {
        let room = 65_usize.saturating_sub(self.name.len()).min(bytes.len());
        self.name.extend(bytes.iter().take(room));
    }

    fn keep(&mut self, field: Field, bytes: &[u8]) {
        if let Some(open) = &mut self.open {
            let room = field.bytes_max().saturating_sub(open.len());
            open.extend(bytes.iter().take(room));
        }
    }

    fn close(&mut self, field: Field) {
        let value = self.open.take();
        if let (Some(place), Some(value)) = (self.entry.fields.get_mut(field as usize), value) {
            *place = Some(value);
        }
    }
}

impl Entry {
    fn get(&self, field: Field) -> Option<&[u8]> {
        self.fields.get(field as usize)?.as_deref()
    }

    fn number(&self, field: Field) -> Option<u64> {
        core::str::from_utf8(self.get(field)?).ok()?.parse().ok()
    }

    /// Where it stands.
    #[must_use]
    pub fn cursor(&self) -> Option<Cursor> {
        Cursor::parse(self.get(Field::Cursor)?)
    }

    /// Whether it was written before this moment: of this boot, by its own clock in microseconds (CLOCK_MONOTONIC).
    #[must_use]
    pub fn is_before(&self, boot: u128, monotonic: u64) -> bool {
        let text = self
            .get(Field::Boot)
            .and_then(|text| core::str::from_utf8(text).ok());
        let ours = text.and_then(|text| u128::from_str_radix(text, 16).ok()) == Some(boot);
        !ours
            || self
                .number(Field::Monotonic)
                .is_none_or(|written| written < monotonic)
    }

    /// Whether it says something.
    #[must_use]
    pub fn has_message(&self) -> bool {
        self.get(Field::Message).is_some()
    }

    /// The line, without a newline: `2026-11-22T10:58:02.868428Z host sshd[990]: message`. `false`: it is longer than
    /// lines may be, or is none.
    pub fn line(&self, out: &mut Vec<u8>) -> bool {
        out.clear();
        let (Some(micros), Some(message)) = (self.number(Field::Realtime), self.get(Field::Message)) else {
            return false;
        };
        let seconds = i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX);
        let stamp = Wall(seconds).to_string().replace(' ', "T");
        // Writing to memory cannot fail.
        let _ = write!(out, "{stamp}.{:06}Z ", micros % 1_000_000);
        word(self.get(Field::Host), out);
        out.push(b' ');
        word(self.get(Field::Identifier).or(self.get(Field::Command)), out);
        if let Some(pid) = self.number(Field::Pid).or(self.number(Field::SaidPid)) {
            let _ = write!(out, "[{pid}]");
        }
        out.extend(b": ");
        if message.len() > LINE_BYTES_MAX {
            return false;
        }
        let length = message.iter().rposition(|&byte| byte != b'\n');
        let message = message.get(..length.map_or(0, |at| at + 1)).unwrap_or_default();
        for &byte in message {
            match byte {
                b'\n' => out.extend(b"#012"),
                byte => out.push(byte),
            }
        }
        out.len() <= LINE_BYTES_MAX
    }
}

/// A name of a host or a program, with `?` for every byte that is in no such name.
fn word(name: Option<&[u8]>, out: &mut Vec<u8>) {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._/@+-".contains(&byte);
    let name = name.filter(|name| !name.is_empty()).unwrap_or(b"-");
    out.extend(name.iter().map(|&byte| if sound(byte) { byte } else { b'?' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "__CURSOR=s=d0ce932d2425449e8472cac7c218e4d5;i=1f;b=0123456789abcdef0123456789abcdef;m=3e8;\
        t=660dc85807380;x=808fe4818cd27b7a\n__REALTIME_TIMESTAMP=1795350109123456\n__MONOTONIC_TIMESTAMP=1000\n\
        _BOOT_ID=0123456789abcdef0123456789abcdef\n";

    fn binary(name: &str, value: &[u8]) -> Vec<u8> {
        let length = (value.len() as u64).to_le_bytes();
        [name.as_bytes(), b"\n", &length, value, b"\n"].concat()
    }

    /// The lines of these entries, however the bytes arrive; `None` for one that is too long or no line.
    fn lines(bytes: &[u8]) -> Vec<Option<String>> {
        let with = |size: usize| {
            let mut export = Export::default();
            let (mut lines, mut line) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(size) {
                export.take(piece, &mut |entry| {
                    let fits = entry.line(&mut line);
                    lines.push(fits.then(|| String::from_utf8_lossy(&line).into_owned()));
                });
            }
            lines
        };
        let whole = with(bytes.len().max(1));
        for size in [1, 2, 3, 7, 4096] {
            assert_eq!(with(size), whole);
        }
        whole
    }

    fn check(fields: &[u8], want: Option<&str>) {
        let bytes = [HEAD.as_bytes(), fields, b"\n"].concat();
        let want = want.map(|want| format!("2026-11-22T12:21:49.123456Z {want}"));
        assert_eq!(lines(&bytes), [want]);
    }

    #[test]
    fn an_entry_is_a_line_of_syslog() {
        check(
            b"_HOSTNAME=pi\nSYSLOG_IDENTIFIER=sshd\n_PID=12\nSYSLOG_PID=99\nMESSAGE=Failed password for x = y\n",
            Some("pi sshd[12]: Failed password for x = y"),
        );
        check(
            b"MESSAGE=m\n_COMM=asterisk\nSYSLOG_PID=7\n",
            Some("- asterisk[7]: m"),
        );
        check(b"MESSAGE=\n_COMM=a\n", Some("- a: "));
        check(b"_COMM=a\n", None);
        let two = format!("{HEAD}MESSAGE=1\n\n{HEAD}MESSAGE=2\n\n{HEAD}MESSAGE=unfin");
        let got: Vec<_> = lines(two.as_bytes()).into_iter().flatten().collect();
        assert_eq!(got.len(), 2);
        assert!(got[0].ends_with("- -: 1") && got[1].ends_with("- -: 2"));
    }

    #[test]
    fn no_value_looks_like_another_field_or_another_line() {
        let forged = b"x\nMESSAGE=y\n\n__CURSOR=s=1;i=1\nMESSAGE=z\n\n";
        let fields = [binary("MESSAGE", forged), b"SYSLOG_IDENTIFIER=sshd\n".to_vec()].concat();
        check(
            &fields,
            Some("- sshd: x#012MESSAGE=y#012#012__CURSOR=s=1;i=1#012MESSAGE=z"),
        );
        check(
            &[
                &binary("SYSLOG_IDENTIFIER", b"a[1]: b\n")[..],
                b"_PID=2\nMESSAGE=m\n",
            ]
            .concat(),
            Some("- a?1???b?[2]: m"),
        );
        check(
            &[
                &binary("NOISE", b"\nMESSAGE=a\n\n")[..],
                b"MESSAGE=m\nMESSAGE=n\n",
            ]
            .concat(),
            Some("- -: m"),
        );
        check(&binary("MESSAGE", b""), Some("- -: "));
        check(&binary("MESSAGE", b"a\0\xff\x1b"), Some("- -: a\0\u{fffd}\x1b"));
        check(b"_PID=x\nSYSLOG_PID=1\nMESSAGE=m\n", Some("- -[1]: m"));
    }

    #[test]
    fn what_is_too_long_is_no_line_and_costs_no_memory() {
        let head = "2026-11-22T12:21:49.123456Z - -: ".len();
        let fits = "x".repeat(LINE_BYTES_MAX - head);
        check(
            format!("MESSAGE={fits}\n").as_bytes(),
            Some(&format!("- -: {fits}")),
        );
        check(format!("MESSAGE={fits}x\n").as_bytes(), None);
        check(&binary("MESSAGE", &vec![b'\n'; 100_000]), None);
        let mut export = Export::default();
        let huge = [b"MESSAGE\n".as_slice(), &u64::MAX.to_le_bytes()].concat();
        export.take(&huge, &mut |_| unreachable!());
        for _ in 0..1_000 {
            export.take(&[b'\n'; 4096], &mut |_| unreachable!());
        }
        assert!(export.open.unwrap().capacity() <= 2 * LINE_BYTES_MAX + 2);
    }

    #[test]
    fn an_entry_knows_its_place_and_whether_it_is_old() {
        let mut export = Export::default();
        let mut seen = 0;
        let boot = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        export.take(format!("{HEAD}\n\n").as_bytes(), &mut |entry| {
            seen += 1;
            if seen == 1 {
                let cursor = entry.cursor().unwrap();
                assert_eq!(
                    cursor.to_string(),
                    "s=d0ce932d2425449e8472cac7c218e4d5;i=1f;t=660dc85807380"
                );
                assert!(entry.is_before(boot, 1_001) && !entry.is_before(boot, 1_000));
                assert!(entry.is_before(1, 1_000), "another boot");
            } else {
                assert!(entry.cursor().is_none() && entry.is_before(boot, 0));
            }
        });
        assert_eq!(seen, 2);
    }
}
