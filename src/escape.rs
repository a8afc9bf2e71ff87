//! Showing bytes that somebody else chose.
#![forbid(unsafe_code)]

use core::fmt::{self, Write as _};

/// Untrusted bytes, shown so that they can neither forge a log entry nor act on a terminal.
///
/// A SIP user name may hold a newline, a terminal escape or half a UTF-8 sequence. Printable ASCII stays
/// as it is, a backslash is doubled, everything else becomes `\xNN` (or `\n`, `\r`, `\t`).
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

/// Untrusted bytes as a string of JSON, quoted. JSON text is Unicode: what is not UTF-8 becomes U+FFFD. Control
/// characters, those of Latin-1 too, are escaped, so that no terminal obeys them.
#[derive(Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    _ if character.is_control() => write!(f, "\\u{:04x}", u32::from(character))?,
                    _ => f.write_char(character)?,
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char('\u{fffd}')?;
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_printable_ascii_comes_out() {
        let every: Vec<u8> = (0..=255).collect();
        let shown = Escaped(&every).to_string();
        assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert_eq!(
            Escaped(b"a\x1b[2J\n\\b\xff").to_string(),
            "a\\x1b[2J\\n\\\\b\\xff"
        );
    }
}
