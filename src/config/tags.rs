//! `<name>` in the values of a filter: fail2ban's second way to refer to another value, resolved after
//! `%(name)s`.
//!
//! `<name>` is a key of `[Definition]` or `[Init]`, or an option of the filter; `<section/name>` one of
//! another section; `<one-<other>>` is resolved from the inside out. What names no value is text, as are
//! the tags that expressions have: `<HOST>`, `<F-USER>` and their like.

use super::ini::{Ini, Wrong};
use super::interpolate::Value;
use crate::limits::{INTERPOLATIONS_MAX, VALUE_BYTES_MAX};

/// The section of a filter's values.
pub(super) const DEFINITION: &str = "Definition";
/// The section of a filter's options.
pub(super) const INIT: &str = "Init";

/// Tags of expressions, which no value replaces.
const OF_EXPRESSIONS: [&str; 8] = ["HOST", "ADDR", "IP4", "IP6", "DNS", "CIDR", "SUBNET", "SKIPLINES"];

/// The value of `key`, with its references and tags resolved; `None` if there is none.
pub(super) fn resolve(ini: &Ini, key: &str) -> Result<Option<Value>, Wrong> {
    let Some(mut value) = by_name(ini, key)? else {
        return Ok(None);
    };
    let mut from = 0;
    let mut replaced = 0;
    while let Some((start, end)) = next_tag(value.text(), from) {
        let name = value
            .text()
            .get(start + 1..end - 1)
            .unwrap_or_default()
            .to_owned();
        let Some(other) = by_tag(ini, &name)? else {
            from = start + 1;
            continue;
        };
        replaced += 1;
        let too_long = value.text().len() + other.text().len() > VALUE_BYTES_MAX;
        if replaced > INTERPOLATIONS_MAX || too_long {
            let tag = value.text().get(start..end).unwrap_or_default();
            return Err(value.wrong(tag, "this refers to itself, or to too many others"));
        }
        value.splice(start, end, &other);
        // It may have completed a tag around it.
        from = value
            .text()
            .get(..start)
            .and_then(|head| head.rfind('<'))
            .unwrap_or(start);
    }
    Ok(Some(value))
}

fn by_name(ini: &Ini, key: &str) -> Result<Option<Value>, Wrong> {
    match ini.resolve(DEFINITION, key)? {
        Some(value) => Ok(Some(value)),
        None => ini.resolve(INIT, key),
    }
}

fn by_tag(ini: &Ini, name: &str) -> Result<Option<Value>, Wrong> {
    if OF_EXPRESSIONS.contains(&name) || name.starts_with("F-") || name.starts_with("/F-") {
        return Ok(None);
    }
    match name.split_once('/') {
        None => by_name(ini, &name.to_ascii_lowercase()),
        Some(("known" | "", _)) => Ok(None),
        Some((section, key)) => ini.resolve(section, &key.to_ascii_lowercase()),
    }
}

/// The first tag at or behind `from`, brackets included, that has no other inside.
fn next_tag(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find('<')?;
        let inside = text.get(start + 1..)?;
        let length = inside.find(|c: char| !c.is_ascii_alphanumeric() && !"_-./".contains(c))?;
        if length > 0 && inside.get(length..)?.starts_with('>') {
            return Some((start, start + length + 2));
        }
        at = start + 1;
    }
}
