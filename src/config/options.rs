//! `[key=value, key="value, with comma"]`: the options of an action or a filter.

use super::ini::{Entry, Line, Wrong};
use super::interpolate::Value;
use super::reading::shown;

/// Reads the options of the list that begins at `open`, whose inside is `rest`; returns what follows it.
/// `of` is the key whose value it is.
pub(super) fn list<'v>(
    of: &str,
    value: &Value,
    open: &'v str,
    mut rest: &'v str,
    options: &mut Vec<(&'v str, &'v str)>,
) -> Result<&'v str, Wrong> {
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if let Some(after) = rest.strip_prefix(']') {
            return Ok(after);
        }
        let (key, after) = word(rest, "._-?");
        let Some(after) = after.trim_start().strip_prefix('=').filter(|_| !key.is_empty()) else {
            let what = format!("{of}: options are [key=value, key=\"value, with comma\"], closed by ]");
            return Err(value.wrong(
                if rest.is_empty() {
                    open.trim()
                } else {
                    first_line(rest)
                },
                what,
            ));
        };
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| ['"', '\''].contains(quote));
        let (text, after) = match quote {
            Some(quote) => {
                let inside = after.get(1..).unwrap_or_default();
                let what = format!("{of}: the value of {} is not closed by {quote}", shown(key));
                inside
                    .split_once(quote)
                    .ok_or_else(|| value.wrong(first_line(after), what))?
            }
            None => {
                let end = after.find([',', ']']).unwrap_or(after.len());
                let (text, after) = after.split_at_checked(end).unwrap_or((after, ""));
                (text.trim_end(), after)
            }
        };
        if !after.trim_start().starts_with([',', ']']) {
            let what = format!("{of}: after the value of {} comes a comma or ]", shown(key));
            return Err(value.wrong(first_line(text), what));
        }
        options.push((key, text));
        rest = after;
    }
}

/// An option as a file would have it; `option` and `text` are slices of the value.
pub(super) fn entry(value: &Value, option: &str, text: &str) -> Entry {
    let lines = text.split('\n').map(|line| Line {
        text: line.trim().to_owned(),
        place: value.wrong(line, "").place,
    });
    Entry {
        key: option.to_ascii_lowercase(),
        place: value.wrong(option, "").place,
        lines: lines.collect(),
    }
}

/// The word of letters, digits and `also` that `text` begins with, and the rest.
pub(super) fn word<'t>(text: &'t str, also: &str) -> (&'t str, &'t str) {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !also.contains(c));
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or(text)
}
