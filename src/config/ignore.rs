//! Who a jail never bans: `ignoreip` with addresses, networks, names and files of these, and `ignorecommand`.

use std::path::Path;

use ipnet::IpNet;

use super::interpolate::Value;
use super::reading::{Reading, shown};
use super::value::{self, Ignored, ignored};
use super::{IgnoreCache, IgnoreCommand, options};
use crate::action::script::{Script, Tag};
use crate::limits::{CONFIG_BYTES_MAX, IGNORE_FILES_MAX, IGNORECACHE_MAX, IGNOREIP_MAX, SPAN_SECONDS_MAX};

/// What `ignorecache` has if it does not say: fail2ban's.
const CACHE: IgnoreCache = IgnoreCache {
    count: 100,
    seconds: 300,
};

/// Tags that fail2ban's documentation has in `key`, and what an answer depends on here.
const KEY_TAGS: [&str; 4] = ["<ip>", "<fid>", "<ip-host>", "<F-USER>"];

/// `ignoreip`, sorted: addresses and networks; names in small letters.
#[derive(Default)]
pub(super) struct Addresses {
    pub(super) nets: Vec<IpNet>,
    pub(super) names: Vec<String>,
    files: usize,
}

pub(super) fn addresses(reading: &mut Reading<'_>, section: &str) -> Addresses {
    let mut found = Addresses::default();
    let Some(value) = reading.value(section, "ignoreip") else {
        return found;
    };
    for word in words(value.text()) {
        match ignored(word) {
            Some(Ignored::File(path)) => file(reading, &value, word, path, &mut found),
            other => found.take(reading, &value, word, (other, word, "ignoreip")),
        }
        if found.nets.len() > IGNOREIP_MAX {
            let what = format!("ignoreip: more than {IGNOREIP_MAX} entries; join them into networks");
            reading.wrong(value.wrong(word, what));
            break;
        }
    }
    found.nets.sort_unstable();
    found.nets.dedup();
    found.names.sort_unstable();
    found.names.dedup();
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

impl Addresses {
    /// Takes one entry; `word` is where a mistake is shown.
    fn take(
        &mut self,
        reading: &mut Reading<'_>,
        value: &Value,
        word: &str,
        (entry, text, of): (Option<Ignored<'_>>, &str, &str),
    ) {
        match entry {
            Some(Ignored::Net(net)) => self.nets.push(net),
            Some(Ignored::Named) => self.names.push(text.trim_end_matches('.').to_ascii_lowercase()),
            Some(Ignored::File(_)) | None => {
                let what = format!("{of}: \"{}\" is not an address, network or name", shown(text));
                reading.wrong(value.wrong(word, what));
            }
        }
    }
}

/// The entries of a file, in lines, `#` and `;` before comments.
fn file(reading: &mut Reading<'_>, value: &Value, word: &str, path: &str, found: &mut Addresses) {
    found.files += 1;
    let text = match (reading.read)(Path::new(path)) {
        _ if found.files > IGNORE_FILES_MAX => Err(format!("more than {IGNORE_FILES_MAX} files")),
        Ok(bytes) if bytes.len() > CONFIG_BYTES_MAX => {
            Err(format!("is longer than {CONFIG_BYTES_MAX} bytes"))
        }
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()),
        Err(error) => Err(format!("cannot be read: {}", error.kind())),
    };
    let text = match text {
        Ok(text) => text,
        Err(why) => {
            let what = format!("ignoreip: {} {why}", shown(path));
            return reading.wrong(value.wrong(word, what));
        }
    };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let of = format!("{}:{number}", shown(path));
        for text in words(line) {
            found.take(reading, value, word, (ignored(text), text, &of));
            if found.nets.len() > IGNOREIP_MAX {
                return;
            }
        }
    }
}

/// `ignorecommand` and `ignorecache`.
pub(super) fn command(reading: &mut Reading<'_>, section: &str) -> Option<IgnoreCommand> {
    let value = reading.value(section, "ignorecommand")?;
    let cache = cache(reading, section);
    if value.text().trim().is_empty() {
        return None;
    }
    let script = Script::new(value.text()).map_err(|fault| {
        let part = value.text().get(fault.at..).unwrap_or_default();
        let part = part.get(..fault.length).unwrap_or(part);
        value.wrong(part, format!("ignorecommand: {}", fault.what))
    });
    let script = reading.right(script)?;
    let known = |tag: Tag| !matches!(tag, Tag::Matches | Tag::Restored | Tag::Bantime);
    let unknown = script.tags().find(|tag| !known(*tag));
    let what = if script.len() > 1 {
        "one command; join several by && or ||, or write a program".to_owned()
    } else if let Some(tag) = unknown {
        format!("<{}> is not known here; <ip> has the address", tag.name())
    } else if let Some(tag) = foreign_tag(value.text()) {
        format!("{} is not known here; <ip> has the address", shown(tag))
    } else {
        return Some(IgnoreCommand { script, cache });
    };
    reading.wrong(value.wrong(value.text(), format!("ignorecommand: {what}")));
    None
}

/// What looks like a tag and is none of ours: fail2ban would have replaced it, and a shell would read from a file.
fn foreign_tag(text: &str) -> Option<&str> {
    text.match_indices('<').find_map(|(at, _)| {
        let rest = text.get(at..)?;
        let tag = rest.get(..=rest.find('>')?)?;
        let name = tag.get(1..tag.len() - 1)?;
        let plain = |char: char| char.is_ascii_alphanumeric() || "-_./".contains(char);
        let looks = !name.is_empty() && name.chars().all(plain);
        (looks && Tag::named(name).is_none()).then_some(tag)
    })
}

/// `key="<ip>", max-count=100, max-time=5m`
fn cache(reading: &mut Reading<'_>, section: &str) -> Option<IgnoreCache> {
    let value = reading.value(section, "ignorecache")?;
    if value.text().trim().is_empty() {
        return None;
    }
    // As the options of an action, without their brackets.
    let list = format!("{}]", value.text());
    let mut given = Vec::new();
    if options::list("ignorecache", &value, &list, &list, &mut given).is_err() {
        let what = "ignorecache: write key=\"<ip>\", max-count=100, max-time=5m";
        reading.wrong(value.wrong(value.text(), what));
        return None;
    }
    let mut cache = CACHE;
    for (key, text) in given {
        let what = match key {
            "key" if KEY_TAGS.iter().any(|tag| text.contains(tag)) => continue,
            "key" => "key: an answer is kept for an address; write key=\"<ip>\"".to_owned(),
            "max-count" => match value::number(text).and_then(|number| u32::try_from(number).ok()) {
                Some(count) if (1..=IGNORECACHE_MAX).contains(&count) => {
                    cache.count = count;
                    continue;
                }
                _ => format!("max-count: write 1 to {IGNORECACHE_MAX}"),
            },
            "max-time" => match value::seconds(text) {
                Some(seconds) if (1..=SPAN_SECONDS_MAX).contains(&seconds) => {
                    cache.seconds = seconds;
                    continue;
                }
                _ => "max-time: write a time, such as 5m".to_owned(),
            },
            other => format!("there is no {}; there are key, max-count, max-time", shown(other)),
        };
        reading.wrong(value.wrong(value.text(), format!("ignorecache: {what}")));
        return None;
    }
    Some(cache)
}
