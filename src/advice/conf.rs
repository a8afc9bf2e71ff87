//! The grammar of Asterisk's configuration files, as `main/config.c` reads it.
//!
//! `[name]`, `[name](!)` (a template), `[name](a,b)` (inherits), `[name](+)` (goes on with an earlier one);
//! `name = value` and `name => value`; `;` comments, `\;` for a semicolon, and `;-- … --;` over lines. Names
//! are compared without regard to case. Nothing is unquoted. A key may stand there several times; whether the
//! first, the last or all of them count depends on who asks.

use crate::limits::ASTERISK_LINE_BYTES_MAX;

/// A line of a file of a [`Conf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: usize,
    /// From 1.
    pub(super) line: u32,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) place: Place,
}

impl Entry {
    /// Whether Asterisk takes the value for yes (`ast_true`, `main/utils.c`).
    pub(super) fn is_yes(&self) -> bool {
        is_one_of(&self.value, &["yes", "true", "y", "t", "1", "on"])
    }

    /// Whether Asterisk takes the value for no (`ast_false`).
    pub(super) fn is_no(&self) -> bool {
        is_one_of(&self.value, &["no", "false", "n", "f", "0", "off"])
    }

    /// The value without regard to case.
    pub(super) fn is(&self, word: &str) -> bool {
        self.value.eq_ignore_ascii_case(word.as_bytes())
    }
}

fn is_one_of(value: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// A section.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) name: Vec<u8>,
    pub(super) template: bool,
    pub(super) place: Place,
    pub(super) entries: Vec<Entry>,
}

impl Section {
    /// All values of a key, in their order.
    pub(super) fn all<'s>(&'s self, key: &'s str) -> impl DoubleEndedIterator<Item = &'s Entry> {
        let named = move |entry: &&Entry| entry.name.eq_ignore_ascii_case(key.as_bytes());
        self.entries.iter().filter(named)
    }

    /// The value for those who look a key up (`ast_variable_retrieve`).
    pub(super) fn first<'s>(&'s self, key: &'s str) -> Option<&'s Entry> {
        self.all(key).next()
    }

    /// The value for those who go through a section and let each key override what was before.
    pub(super) fn last<'s>(&'s self, key: &'s str) -> Option<&'s Entry> {
        self.all(key).next_back()
    }
}

/// What Asterisk makes of a file and of all that it includes.
#[derive(Clone, Debug, Default)]
pub(super) struct Conf {
    /// The names of the files, as shown.
    pub(super) files: Vec<String>,
    pub(super) sections: Vec<Section>,
}

impl Conf {
    /// The first section of this name that is no template: the only one that those who look one up see.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        let named = |section: &&Section| section.name.eq_ignore_ascii_case(name.as_bytes());
        self.sections().find(named)
    }

    /// All sections but templates.
    pub(super) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(|section| !section.template)
    }

    /// The first value of a key, as [`Section::first`].
    pub(super) fn first<'c>(&'c self, section: &str, key: &'c str) -> Option<&'c Entry> {
        self.section(section)?.first(key)
    }

    /// The last value of a key, as [`Section::last`].
    pub(super) fn last<'c>(&'c self, section: &str, key: &'c str) -> Option<&'c Entry> {
        self.section(section)?.last(key)
    }

    /// `logger.conf:12`
    pub(super) fn at(&self, place: Place) -> String {
        let name = self.files.get(place.file).map_or("", String::as_str);
        format!("{name}:{}", place.line)
    }

    /// Where the entry stands, or the first file if it is nowhere.
    pub(super) fn at_or_whole(&self, entry: Option<&Entry>) -> String {
        match entry {
            Some(entry) => self.at(entry.place),
            None => self.files.first().cloned().unwrap_or_default(),
        }
    }
}

/// One line without its comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statement<'a> {
    /// `[name](options)`
    Header { name: &'a [u8], options: &'a [u8] },
    /// `#include` or `#tryinclude`
    Include { path: &'a [u8], required: bool },
    /// `#exec`
    Exec,
    Setting {
        name: &'a [u8],
        value: &'a [u8],
        /// `+=`: goes behind the last value of this name.
        append: bool,
    },
    /// Nothing, or something that Asterisk warns of and skips.
    Nothing,
    /// Asterisk reads no further.
    Refused(&'static str),
}

/// Reads a line that [`Comments`] have been taken out of (`process_text_line`).
pub(super) fn statement(line: &[u8]) -> Statement<'_> {
    let line = strip(line);
    match line {
        [] => Statement::Nothing,
        [b'[', rest @ ..] => header(rest),
        [b'#', rest @ ..] => directive(rest),
        [b'\\', first, ..] if *first <= b' ' => Statement::Refused("nothing to escape"),
        [b'\\', rest @ ..] => setting(rest, 1),
        _ => setting(line, 0),
    }
}

fn header(rest: &[u8]) -> Statement<'_> {
    let Some((name, after)) = split_at(rest, b']', 0) else {
        return Statement::Refused("no closing ]");
    };
    let [b'(', options @ ..] = after else {
        return Statement::Header { name, options: b"" };
    };
    match split_at(options, b')', 0) {
        Some((options, _)) => Statement::Header { name, options },
        None => Statement::Refused("no closing )"),
    }
}

fn directive(rest: &[u8]) -> Statement<'_> {
    let end = rest.iter().position(|&byte| byte <= b' ').unwrap_or(rest.len());
    let (word, argument) = rest.split_at_checked(end).unwrap_or((rest, b""));
    let argument = unquoted(strip(argument));
    if argument.is_empty() {
        return Statement::Nothing;
    }
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match argument {
        path if is("include") || is("tryinclude") => Statement::Include {
            path,
            required: is("include"),
        },
        _ if is("exec") => Statement::Exec,
        _ => Statement::Nothing,
    }
}

/// Without the `"…"` or `<…>` around it.
fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [b'"', inside @ .., b'"'] | [b'<', inside @ .., b'>'] => inside,
        _ => text,
    }
}

/// `name = value`; the name is at least `name_bytes_min` long.
fn setting(line: &[u8], name_bytes_min: usize) -> Statement<'_> {
    let Some((name, value)) = split_at(line, b'=', name_bytes_min) else {
        return Statement::Nothing;
    };
    let (name, value, append) = match (name, value) {
        ([name @ .., b'+'], value) => (name, value, true),
        (name, [b'>', value @ ..]) => (name, value, false),
        (name, value) => (name, value, false),
    };
    let (name, value) = (strip(name), strip(value));
    if name.is_empty() {
        return Statement::Nothing;
    }
    Statement::Setting { name, value, append }
}

/// What is before and behind the first `byte` from `from` on.
fn split_at(text: &[u8], byte: u8, from: usize) -> Option<(&[u8], &[u8])> {
    let at = from + text.get(from..)?.iter().position(|&other| other == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Without blanks and control characters at both ends (`ast_strip`).
pub(super) fn strip(text: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| *byte > b' ';
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// Takes the comments out of one line after the other (`config_text_file_load`).
#[derive(Debug, Default)]
pub(super) struct Comments {
    /// How many `;--` are open. Negative after a `--;` too many: Asterisk then skips what follows, too.
    depth: i32,
}

impl Comments {
    /// What is left of a line, without its newline; `None` if it was all comment.
    pub(super) fn strip(&mut self, line: &[u8]) -> Option<Vec<u8>> {
        if line.len() > ASTERISK_LINE_BYTES_MAX {
            return None;
        }
        let mut line: Vec<u8> = line.iter().copied().take_while(|&byte| byte != 0).collect();
        let mut text_from = (self.depth == 0).then_some(0);
        // Where the text ends so far, if a block comment has begun behind it.
        let mut cut = None;
        let mut from = 0;
        while let Some(at) = line
            .get(from..)
            .and_then(|rest| rest.iter().position(|&byte| byte == b';'))
        {
            let at = from + at;
            let (before, after) = line.split_at_checked(at)?;
            let fresh = before.get(from..).unwrap_or_default();
            if fresh.ends_with(b"\\") {
                line.remove(at - 1);
                from = at;
            } else if after.starts_with(b";--") && after.get(3) != Some(&b'-') && self.depth < NESTED_MAX {
                self.depth += 1;
                if text_from.is_some() {
                    cut = cut.or(Some(at));
                }
                from = at + 3;
            } else if fresh.ends_with(b"--") {
                self.depth -= 1;
                from = at + 1;
                if self.depth == 0 {
                    match (text_from, cut.take()) {
                        (None, _) => text_from = Some(from),
                        (Some(_), Some(end)) => {
                            line.drain(end..from);
                            from = end;
                        }
                        (Some(_), None) => {}
                    }
                }
            } else if self.depth == 0 {
                line.truncate(at);
                break;
            } else {
                from = at + 1;
            }
        }
        line.truncate(cut.unwrap_or(line.len()));
        Some(line.split_off(text_from?.min(line.len())))
    }
}

/// `MAX_NESTED_COMMENTS`
const NESTED_MAX: i32 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &[&str]) {
        let mut comments = Comments::default();
        let lines = text
            .split('\n')
            .filter_map(|line| comments.strip(line.as_bytes()));
        let got: Vec<String> = lines
            .map(|line| match statement(&line) {
                Statement::Header { name, options } => format!("[{}]({})", show(name), show(options)),
                Statement::Include { path, required } => format!("include {} {required}", show(path)),
                Statement::Exec => "exec".to_owned(),
                Statement::Setting { name, value, append } => {
                    let sign = if append { "+=" } else { "=" };
                    format!("{}{sign}{}", show(name), show(value))
                }
                Statement::Nothing => String::new(),
                Statement::Refused(why) => format!("refused: {why}"),
            })
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(got, want, "{text}");
    }

    fn show(text: &[u8]) -> &str {
        core::str::from_utf8(text).unwrap()
    }

    #[test]
    fn settings_and_headers_are_read() {
        check("[general]", &["[general]()"]);
        check("  [a b](!,x) trailing", &["[a b](!,x)"]);
        check("[a] (!)", &["[a]()"]);
        check("name=value", &["name=value"]);
        check("name => value\r", &["name=value"]);
        check("name = > value", &["name=> value"]);
        check("exten += x", &["exten+=x"]);
        check("\\#odd = x", &["#odd=x"]);
        check("=x", &[]);
        check("no sign", &[]);
        check("a = \"q\" = b", &["a=\"q\" = b"]);
    }

    #[test]
    fn what_asterisk_refuses_is_refused() {
        check("[general", &["refused: no closing ]"]);
        check("[general](!", &["refused: no closing )"]);
        check("\\ = x", &["refused: nothing to escape"]);
    }

    #[test]
    fn directives_are_read() {
        check("#include \"x y.conf\"", &["include x y.conf true"]);
        check("#include <x.conf>", &["include x.conf true"]);
        check("#INCLUDE\tx.conf", &["include x.conf true"]);
        check("#tryinclude x*.conf", &["include x*.conf false"]);
        check("#include", &[]);
        check("#exec /bin/x", &["exec"]);
        check("#pragma x", &[]);
    }

    #[test]
    fn comments_are_taken_out() {
        check("a=1 ; b=2", &["a=1"]);
        check("a=1\\;2 ; 3", &["a=1;2"]);
        check(";a=1", &[]);
        check("a=1 ;-- x --; 2", &["a=1  2"]);
        check("a=1 ;--\nb=2\nc=3 --; d=4", &["a=1", "d=4"]);
        check(";-- one ;-- two --; still\nb=2 --;\nc=3", &["c=3"]);
        check(";------ a line of dashes\na=1", &["a=1"]);
        check("a=1 --;\nb=2", &["a=1 --;"]);
        check("a=1\0b\nc=2", &["a=1", "c=2"]);
    }

    #[test]
    fn a_line_that_asterisk_skips_for_its_length_is_skipped() {
        let line = format!("a={}", "x".repeat(ASTERISK_LINE_BYTES_MAX - 2));
        assert!(Comments::default().strip(line.as_bytes()).is_some());
        assert!(Comments::default().strip(format!("{line}x").as_bytes()).is_none());
    }
}
