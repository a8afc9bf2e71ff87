//! Log files that nobody rotates.

use super::conf::{Conf, Entry};
use super::logger::File;
use super::{Inquiry, Weight};
use crate::escape::Escaped;
use crate::glob::glob_matches;

/// Says which files no logrotate rule names. It is enough for all of them if cron calls Asterisk's own
/// `logger rotate`.
pub(super) fn judge(conf: &Conf, files: &[(&Entry, &File)], inquiry: &mut Inquiry<'_>) {
    let Some((first, _)) = files.first() else {
        return;
    };
    let cron = texts(&CRON_FILES, &CRON_DIRECTORIES, inquiry);
    if cron.iter().any(|text| contains(text, b"logger rotate")) {
        return;
    }
    let rules = texts(&["/etc/logrotate.conf"], &["/etc/logrotate.d"], inquiry);
    let growing: Vec<String> = files
        .iter()
        .filter(|(_, file)| !rules.iter().any(|rule| names(rule, &file.path)))
        .map(|(_, file)| {
            let path = Escaped(file.path.as_bytes());
            match inquiry.files.size(&file.path) {
                Some(size) if size >= LARGE_BYTES => format!("{path} ({} MB)", size / 1_000_000),
                _ => path.to_string(),
            }
        })
        .collect();
    if !growing.is_empty() {
        let what = format!(
            "nothing rotates {}: when the disk is full nothing is logged; a rule in /etc/logrotate.d, or \
             `asterisk -rx 'logger rotate'` by cron",
            growing.join(" and ")
        );
        inquiry.say(Weight::Upkeep, conf.at(first.place), what);
    }
}

/// The files that can be read.
fn texts(files: &[&str], directories: &[&str], inquiry: &mut Inquiry<'_>) -> Vec<Vec<u8>> {
    let mut paths: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
    for directory in directories {
        let names = inquiry.files.names(directory);
        paths.extend(names.iter().map(|name| format!("{directory}/{name}")));
    }
    paths
        .iter()
        .filter_map(|path| inquiry.files.read(path).ok())
        .collect()
}

/// Whether one of logrotate's rules names the file: as it is, by a pattern, or in braces.
fn names(rule: &[u8], path: &str) -> bool {
    let lines = rule.split(|&byte| byte == b'\n');
    let words = lines
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
        .flat_map(|line| line.split(|&byte| byte.is_ascii_whitespace() || byte == b'"'));
    words
        .filter(|word| word.starts_with(b"/"))
        .any(|word| fits(word.strip_suffix(b"{").unwrap_or(word), path))
}

/// Whether a path fits a pattern with `*` in its last part and one `{a,b}` anywhere.
fn fits(pattern: &[u8], path: &str) -> bool {
    let braces = pattern.iter().position(|&byte| byte == b'{').and_then(|start| {
        let (before, inside) = (pattern.get(..start)?, pattern.get(start + 1..)?);
        let end = inside.iter().position(|&byte| byte == b'}')?;
        Some((before, inside.get(..end)?, inside.get(end + 1..)?))
    });
    let Some((before, alternatives, after)) = braces else {
        return fits_plain(pattern, path.as_bytes());
    };
    let mut alternatives = alternatives.split(|&byte| byte == b',');
    alternatives.any(|middle| fits_plain(&[before, middle, after].concat(), path.as_bytes()))
}

fn fits_plain(pattern: &[u8], path: &[u8]) -> bool {
    let parts = |text: &[u8]| text.iter().filter(|&&byte| byte == b'/').count();
    parts(pattern) == parts(path)
        && pattern
            .split(|&byte| byte == b'/')
            .zip(path.split(|&byte| byte == b'/'))
            .all(|(pattern, part)| glob_matches(pattern, part))
}

/// Whether the words stand in the text, which is a small file: memchr's search would be 3 KB of program for it.
fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

/// A file is worth its size from here on.
const LARGE_BYTES: u64 = 100_000_000;

const CRON_FILES: [&str; 4] = [
    "/etc/crontab",
    "/etc/crontabs/root",
    "/var/spool/cron/crontabs/root",
    "/var/spool/cron/crontabs/asterisk",
];

const CRON_DIRECTORIES: [&str; 3] = ["/etc/cron.d", "/etc/cron.daily", "/etc/cron.weekly"];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &str, path: &str, want: bool) {
        assert_eq!(names(rule.as_bytes(), path), want, "{rule} {path}");
    }

    #[test]
    fn rules_name_files_as_logrotate_has_them() {
        let file = "/var/log/asterisk/messages";
        check("/var/log/asterisk/messages {\n weekly\n}", file, true);
        check(
            "/var/log/asterisk/debug /var/log/asterisk/messages\n{",
            file,
            true,
        );
        check("\"/var/log/asterisk/messages\"{", file, true);
        check("/var/log/asterisk/mess*{", file, true);
        check("/var/log/asterisk/{debug,messages,*_log} {", file, true);
        check("/var/log/*/messages {", file, true);
        check("/var/log/asterisk/*.log {", file, false);
        check("/var/log/messages {", file, false);
        check("# /var/log/asterisk/messages {", file, false);
        check("/var/log/asterisk/{debug,full {", file, false);
    }
}
