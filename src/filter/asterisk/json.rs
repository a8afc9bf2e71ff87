//! The `[json]` layout (14.7 on): one object a line, its keys always in this order (`format_log_json`, `main/logger.c`):
//!
//! `{"hostname":…,"timestamp":…,"identifiers":{"lwp":N,"callid":…},"logmsg":{"location":{"filename":…,
//! "function":…,"line":N},"level":…,"message":"…\n"}}`
//!
//! Newlines, quotes and ESC in the message are escaped, so that it shows all that the sender wrote.

use crate::filter::cursor::Cursor;

use super::header::{File, Level, Record, file, level_named};

/// The parts of a line; the message is still escaped.
pub(super) struct Object<'a> {
    pub(super) stamp: &'a [u8],
    pub(super) thread: u32,
    pub(super) level: Level,
    pub(super) file: File,
    message: &'a [u8],
}

/// Takes a line apart; `None` for whatever does not matter.
pub(super) fn parse(line: &[u8]) -> Option<Object<'_>> {
    let mut cursor = Cursor::new(line);
    cursor.literal(b"{\"hostname\":")?;
    cursor.quoted()?;
    cursor.literal(b",\"timestamp\":")?;
    let stamp = cursor.quoted()?;
    cursor.literal(b",\"identifiers\":{\"lwp\":")?;
    let thread = u32::try_from(cursor.number()?).ok()?;
    cursor.literal(b",\"callid\":")?;
    cursor.quoted()?;
    cursor.literal(b"},\"logmsg\":{\"location\":{\"filename\":")?;
    let mut name = Cursor::new(cursor.quoted()?);
    let file = file(&mut name)?;
    name.ends()?;
    cursor.literal(b",\"function\":")?;
    cursor.quoted()?;
    cursor.literal(b",\"line\":")?;
    cursor.number()?;
    cursor.literal(b"},\"level\":")?;
    let level = level_named(cursor.quoted()?)?;
    cursor.literal(b",\"message\":")?;
    let message = cursor.quoted()?;
    cursor.literal(b"}}")?;
    cursor.ends()?;
    Some(Object {
        stamp,
        thread,
        level,
        file,
        message,
    })
}

impl<'a> Object<'a> {
    /// The record, its message decoded into `scratch` and without its last newline. `None` if the message does
    /// not fit or holds an escape that jansson does not write.
    pub(super) fn record<'s>(&self, scratch: &'s mut [u8]) -> Option<Record<'s>>
    where
        'a: 's,
    {
        let length = decode(self.message, scratch)?;
        let message = scratch.get(..length)?;
        Some(Record {
            stamp: self.stamp,
            thread: self.thread,
            level: self.level,
            file: self.file,
            message: message.strip_suffix(b"\n").unwrap_or(message),
        })
    }
}

/// Decodes the inside of a JSON string; gives the length of the result.
fn decode(text: &[u8], scratch: &mut [u8]) -> Option<usize> {
    let mut from = text;
    let mut length = 0;
    while let Some((&byte, rest)) = from.split_first() {
        from = rest;
        let plain = if byte == b'\\' {
            let (&escape, rest) = from.split_first()?;
            from = rest;
            match escape {
                b'"' | b'\\' | b'/' => escape,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 0x08,
                b'f' => 0x0c,
                b'u' => {
                    // Only control characters are written so; everything else stands as UTF-8.
                    let (digits, rest) = from.split_at_checked(4)?;
                    from = rest;
                    let value = hex(digits)?;
                    u8::try_from(value).ok().filter(u8::is_ascii)?
                }
                _ => return None,
            }
        } else {
            byte
        };
        *scratch.get_mut(length)? = plain;
        length += 1;
    }
    Some(length)
}

/// The value of hexadecimal digits, without the sign that `from_str_radix` would take.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| {
        Some(value * 16 + char::from(digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> String {
        format!(
            "{{\"hostname\":\"h\",\"timestamp\":\"t\",\"identifiers\":{{\"lwp\":7,\"callid\":\"\"}},\"logmsg\":\
             {{\"location\":{{\"filename\":\"chan_sip.c\",\"function\":\"<?>\",\"line\":0}},\
             \"level\":\"NOTICE\",\"message\":\"{message}\"}}}}"
        )
    }

    fn check(line: &str, want: Option<&[u8]>) {
        let mut scratch = [0xa5; 16];
        let object = parse(line.as_bytes());
        let record = object.and_then(|object| object.record(&mut scratch));
        assert_eq!(record.map(|record| record.message), want, "{line}");
    }

    #[test]
    fn a_message_is_decoded() {
        check(&line("a\\n"), Some(b"a"));
        check(&line("a\\n\\n"), Some(b"a\n"));
        check(&line("\\\"\\\\\\/\\t\\u001b\\u001Bm"), Some(b"\"\\/\t\x1b\x1bm"));
        check(&line("é"), Some("é".as_bytes()));
        check(&line("0123456789abcdef"), Some(b"0123456789abcdef"));
    }

    #[test]
    fn anything_else_is_refused() {
        for message in [
            "0123456789abcdefg",
            "\\u12",
            "\\u20ac",
            "\\x41",
            "\\",
            "a\"b",
            "\\u+041",
        ] {
            check(&line(message), None);
        }
        let good = line("a");
        check(&format!("{good} "), None);
        check(&format!(" {good}"), None);
        check(&good.replace("chan_sip.c", "chan_sip.cc"), None);
        check(&good.replace("NOTICE", "VERBOSE"), None);
        check(&good.replace("\"lwp\":7", "\"lwp\":\"7\""), None);
        check(good.strip_suffix('}').unwrap(), None);
    }
}
