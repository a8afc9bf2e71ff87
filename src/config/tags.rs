//! `<name>` in the values of a filter or an action: fail2ban's second way to refer to another value, resolved
//! after `%(name)s`.
//!
//! `<name>` is a key of `[Definition]` or `[Init]`, or an option of the filter or action; `<section/name>` one of
//! another section; `<one-<other>>` is resolved from the inside out. In a filter, what names no value is text, as
//! are the tags that expressions have: `<HOST>`, `<F-USER>` and their like. In an action it is a tag of the ban
//! (`<ip>`, `<matches>`), or a mistake.

use super::ini::{Ini, Wrong};
use super::interpolate::Value;
use super::reading::shown;
use crate::action::script::Tag;
use crate::limits::{INTERPOLATIONS_MAX, VALUE_BYTES_MAX};

/// The section of the values.
pub(super) const DEFINITION: &str = "Definition";
/// The section of the options.
pub(super) const INIT: &str = "Init";

/// Tags of expressions, which no value replaces.
const OF_EXPRESSIONS: [&str; 8] = ["HOST", "ADDR", "IP4", "IP6", "DNS", "CIDR", "SUBNET", "SKIPLINES"];

/// What a tag stands for.
enum Found {
    /// This.
    Value(Value),
    /// Nothing that is known before a ban, or only text that looks like a tag.
    Text,
    /// Nothing, and it is no text either, for this reason.
    Unknown(&'static str),
}

/// The value of `key` in a filter, with its references and tags resolved; `None` if there is none.
pub(super) fn resolve(ini: &Ini, key: &str) -> Result<Option<Value>, Wrong> {
    let Some(value) = by_name(ini, key)? else {
        return Ok(None);
    };
    let mut by_tag = |name: &str| Ok(by_tag(ini, name)?.map_or(Found::Text, Found::Value));
    expand(value, &mut by_tag).map(Some)
}

/// How the tags of an action are resolved.
pub(super) struct OfAction<'a> {
    /// Its files.
    pub(super) ini: &'a Ini,
    /// `inet4` or `inet6`.
    pub(super) family: &'a str,
    /// What the files say nothing about: name, value.
    pub(super) given: &'a [(&'a str, String)],
}

impl OfAction<'_> {
    /// The value of `key` with everything resolved but the tags of a ban ([`Tag`]).
    ///
    /// # Errors
    /// A tag that stands for nothing.
    pub(super) fn resolve(&self, key: &str) -> Result<Option<Value>, Wrong> {
        let Some(value) = self.by_name(key)? else {
            return Ok(None);
        };
        expand(value, &mut |name| self.by_tag(name)).map(Some)
    }

    /// What holds for the family only comes first, as in fail2ban.
    fn by_name(&self, key: &str) -> Result<Option<Value>, Wrong> {
        for section in [INIT, DEFINITION] {
            let section = format!("{section}?family={}", self.family);
            if self.ini.is_written(&section, key) {
                return self.ini.resolve(&section, key);
            }
        }
        by_name(self.ini, key)
    }

    fn by_tag(&self, name: &str) -> Result<Found, Wrong> {
        let lower = name.to_ascii_lowercase();
        let found = match name.split_once('/') {
            None => self.by_name(&lower)?,
            Some(("known" | "", _)) => None,
            Some((section, key)) => self.ini.resolve(section, &key.to_ascii_lowercase())?,
        };
        if let Some(value) = found {
            return Ok(Found::Value(value));
        }
        if Tag::named(name).is_some() {
            return Ok(Found::Text);
        }
        let given = self.given.iter().find(|(known, _)| *known == lower);
        let built_in = match lower.as_str() {
            "family" => self.family,
            "br" => "\n",
            "sp" => " ",
            _ => match given {
                Some((_, text)) => text,
                None => return Ok(Found::Unknown(why_unknown(name))),
            },
        };
        Ok(Found::Value(Value::built_in(built_in)))
    }
}

fn why_unknown(name: &str) -> &'static str {
    if name.starts_with("F-") {
        "is what a filter captures, which does not get here; <matches> has the lines"
    } else if name == "ip-host" {
        "is not known: names of attackers are not looked up; <ip> has the address"
    } else {
        "names nothing; define it in [Init], or give it as an option of the action"
    }
}

/// Replaces every tag by what it stands for, from the inside out.
fn expand(mut value: Value, by_tag: &mut dyn FnMut(&str) -> Result<Found, Wrong>) -> Result<Value, Wrong> {
    let mut from = 0;
    let mut replaced = 0;
    // What was put in, left of `from`: a tag that only came about by it is text (`<<sender>>`).
    let mut put_in: Vec<(usize, usize)> = Vec::new();
    while let Some((start, end)) = next_tag(value.text(), from) {
        let tag = value.text().get(start..end).unwrap_or_default();
        let name = tag.get(1..tag.len() - 1).unwrap_or_default().to_owned();
        let other = match by_tag(&name)? {
            Found::Value(other) => other,
            Found::Unknown(what)
                if !put_in
                    .iter()
                    .any(|&(a, b)| a < end && start < b && (start < a || b < end)) =>
            {
                return Err(value.wrong(tag, format!("{} {what}", shown(tag))));
            }
            Found::Text | Found::Unknown(_) => {
                from = start + 1;
                continue;
            }
        };
        replaced += 1;
        let too_long = value.text().len() + other.text().len() > VALUE_BYTES_MAX;
        if replaced > INTERPOLATIONS_MAX || too_long {
            return Err(value.wrong(tag, "this refers to itself, or to too many others"));
        }
        value.splice(start, end, &other);
        put_in.retain(|&(a, b)| a < start || end < b);
        for (_, b) in put_in.iter_mut().filter(|(_, b)| *b >= end) {
            *b = *b - (end - start) + other.text().len();
        }
        put_in.push((start, start + other.text().len()));
        // It may have completed a tag around it.
        from = value
            .text()
            .get(..start)
            .and_then(|head| head.rfind('<'))
            .unwrap_or(start);
    }
    Ok(value)
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
