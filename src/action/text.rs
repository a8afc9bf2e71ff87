//! Text of others in a mail: what whois answered, what stands in a log.

use core::fmt::Write as _;

use crate::escape::Escaped;
use crate::limits::MAIL_LINE_CHARACTERS_MAX;

/// Two blanks before every line: what begins a line can mean something to a mail program (`~!` runs a command in
/// old ones, CVE-2021-32749; a lone dot ends the mail; `From ` begins another).
const INDENT: &str = "  ";

/// Appends what a program answered: its lines, indented and cut, every character that could act on a terminal as
/// `\u{…}`. A byte that is not UTF-8 becomes U+FFFD.
pub fn push_answer(out: &mut String, answer: &[u8]) {
    let text = String::from_utf8_lossy(answer);
    for line in text.trim_end().split('\n') {
        out.push_str(INDENT);
        for char in line.trim_end().chars().take(MAIL_LINE_CHARACTERS_MAX) {
            match char {
                '\t' => out.push(' '),
                char if is_harmless(char) => out.push(char),
                char => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
                }
            }
        }
        // An escape is longer than what it stands for; the line must not become too long by it.
        truncate_line(out);
        out.push('\n');
    }
}

/// Appends lines of a log, escaped, indented and cut.
pub fn push_lines<'l>(out: &mut String, lines: impl Iterator<Item = &'l [u8]>) {
    for line in lines {
        let shown = Escaped(line).to_string();
        for (number, piece) in shown.as_bytes().chunks(MAIL_LINE_CHARACTERS_MAX).enumerate() {
            out.push_str(INDENT);
            out.push_str(if number > 0 { INDENT } else { "" });
            // Escaped text is ASCII.
            out.push_str(core::str::from_utf8(piece).unwrap_or_default());
            out.push('\n');
        }
    }
}

/// Neither a control character nor one that turns or hides what stands around it.
fn is_harmless(char: char) -> bool {
    !char.is_control()
        && !matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn truncate_line(out: &mut String) {
    let start = out.rfind('\n').map_or(0, |at| at + 1);
    let line = out.get(start..).unwrap_or_default();
    if let Some((at, _)) = line.char_indices().nth(MAIL_LINE_CHARACTERS_MAX + INDENT.len()) {
        out.truncate(start + at);
    }
}

/// A name of ours or of the user's for a header or a subject: printable ASCII, anything else becomes `?`.
#[must_use]
pub fn name(text: &str) -> String {
    let plain = |char: char| if (' '..='~').contains(&char) { char } else { '?' };
    text.chars().take(MAIL_LINE_CHARACTERS_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_can_neither_act_on_a_terminal_nor_command_a_mail_program() {
        let check = |answer: &[u8], want: &str| {
            let mut out = "above\n".to_owned();
            push_answer(&mut out, answer);
            assert_eq!(out, format!("above\n{want}"), "{answer:?}");
        };
        check(
            b"netname: A\r\n~!reboot\n.\nFrom me\n",
            "  netname: A\n  ~!reboot\n  .\n  From me\n",
        );
        check(
            b"a\x1b[2Jb\x9bc\x07\x00\x7f",
            "  a\\u{1b}[2Jb\u{fffd}c\\u{7}\\u{0}\\u{7f}\n",
        );
        check(
            "é 東京 \u{202e}x\u{9b}\t\u{200b}".as_bytes(),
            "  é 東京 \\u{202e}x\\u{9b} \\u{200b}\n",
        );
        check(&[b'x'; 900], &format!("  {}\n", "x".repeat(200)));
        let mut long = String::new();
        push_answer(&mut long, &[1; 900]);
        assert_eq!(long.trim_end().chars().count(), 202);
    }

    #[test]
    fn log_lines_are_escaped_and_folded() {
        let mut out = String::new();
        push_lines(&mut out, [&b"a\n\x1b\xff"[..], &[b'y'; 250]].into_iter());
        let want = format!(
            "  a\\n\\x1b\\xff\n  {}\n    {}\n",
            "y".repeat(200),
            "y".repeat(50)
        );
        assert_eq!(out, want);
    }
}
