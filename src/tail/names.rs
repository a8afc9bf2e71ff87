//! Names in a directory: glob patterns, and what log rotation calls old files.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

/// Whether a name matches a pattern with `*`, `?` and `[…]`, as fail2ban's (Python's) glob does: a leading dot
/// is matched by a dot only, and there is no escape but `[*]`.
#[must_use]
pub fn glob_matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut pattern, mut name) = (pattern, name);
    // Where to go on if what follows the last star does not fit: only the last one need be tried longer.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = pattern {
            pattern = after;
            retry = Some((after, name));
            continue;
        }
        if let ([], []) = (pattern, name) {
            return true;
        }
        if let Some((after, rest)) = one(pattern, name) {
            (pattern, name) = (after, rest);
            continue;
        }
        let Some((after, [_, rest @ ..])) = retry else {
            return false;
        };
        (pattern, name) = (after, rest);
        retry = Some((after, rest));
    }
}

/// Whether a name has a character that makes it a pattern.
#[must_use]
pub fn is_glob(name: &[u8]) -> bool {
    name.iter().any(|byte| b"*?[".contains(byte))
}

/// Whether `name` is what log rotation calls an old file of `base`: `messages.1`, `messages-20261122.gz`,
/// `messages.old`, and for `messages.log` also `messages-20261122.log` (logrotate's `extension`).
///
/// An old file that a glob finds is not read: its lines were read under its first name, and a copy
/// (`copytruncate`) would count them all again.
#[must_use]
pub fn is_rotation_of(base: &[u8], name: &[u8]) -> bool {
    let plain = COMPRESSED.iter().find_map(|suffix| name.strip_suffix(*suffix));
    let name = match plain {
        Some(plain) if plain == base => return true,
        Some(plain) => plain,
        None => name,
    };
    let dot = base.iter().rposition(|&byte| byte == b'.');
    let (stem, extension) = base.split_at(dot.unwrap_or(base.len()));
    has_stamp(name, base, b"") || (!stem.is_empty() && has_stamp(name, stem, extension))
}

/// Whether `name` is `stem`, what rotation puts in between, and `extension`.
fn has_stamp(name: &[u8], stem: &[u8], extension: &[u8]) -> bool {
    let middle = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_suffix(extension));
    match middle.unwrap_or_default() {
        b".old" | b".bak" | b"~" => true,
        [b'.' | b'-' | b'_', b'0'..=b'9', rest @ ..] => rest
            .iter()
            .all(|byte| byte.is_ascii_digit() || b"-.:_T".contains(byte)),
        _ => false,
    }
}

/// One item of a pattern against the first byte of a name: what is left of both if it fits.
fn one<'p, 'n>(pattern: &'p [u8], name: &'n [u8]) -> Option<(&'p [u8], &'n [u8])> {
    let (&byte, rest) = name.split_first()?;
    let (&item, after) = pattern.split_first()?;
    let (fits, after) = match item {
        b'?' => (true, after),
        b'[' => class(after, byte).unwrap_or((byte == b'[', after)),
        _ => (item == byte, after),
    };
    fits.then_some((after, rest))
}

/// What stands after `[`: whether `byte` is meant, and what follows the `]`. `None`: there is no `]`.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, items) = match pattern {
        [b'!', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    // A `]` in the first place is an ordinary member.
    let end = 1 + items.iter().skip(1).position(|&item| item == b']')?;
    let (mut items, after) = items.split_at_checked(end)?;
    let mut hit = false;
    while let Some((&low, rest)) = items.split_first() {
        let (high, rest) = match rest {
            [b'-', high, rest @ ..] => (*high, rest),
            _ => (low, rest),
        };
        hit |= (low..=high).contains(&byte);
        items = rest;
    }
    Some((hit != negated, after.get(1..)?))
}

const COMPRESSED: [&[u8]; 7] = [b".gz", b".bz2", b".xz", b".zst", b".lz4", b".Z", b".zip"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_python() {
        for (pattern, names, others) in [
            (
                "*.log",
                "a.log messages.log x.y.log",
                ".log .a.log a.logs a.log.1 log",
            ),
            (
                "messages*",
                "messages messages.1 messages.log",
                "message amessages",
            ),
            ("?-[0-9a]*", "x-0 x-a9", "x- -0 xx-0 x-b"),
            ("[!a]x[]-]", "bx] bx-", "ax] bx[ bx"),
            ("a*b*c", "abc aXbYc abcbc abbc", "ab ac abcb"),
            ("[", "[", "x"),
            ("[*]", "*", "a"),
            (".*", ".a .", "a"),
            ("****a", "a ba aaaa", "b"),
        ] {
            for name in names.split(' ') {
                assert!(
                    glob_matches(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} {name}"
                );
            }
            for name in others.split(' ') {
                assert!(
                    !glob_matches(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} {name}"
                );
            }
        }
    }

    #[test]
    fn a_hostile_name_costs_no_exponential_time() {
        let pattern = b"a*a*a*a*a*a*a*a*a*a*a*a*b";
        assert!(!glob_matches(pattern, &[b'a'; 255]));
    }

    #[test]
    fn old_files_are_told_from_others() {
        for (base, old, others) in [
            (
                "messages",
                "messages.1 messages.0 messages.1.gz messages-20261122 messages-20261122.xz messages.old \
                 messages.gz messages-2026-11-22T13:00 messages.1795351367 messages~",
                "messages messages.log messages2 messages-full security security.1 messages. messages.1a",
            ),
            (
                "messages.log",
                "messages.log.1 messages-20261122.log messages.1.log messages.log.2.gz messages_1.log.gz",
                "messages.log messages messages.1 messages-full.log other.log",
            ),
            (".log", ".log.1", ".log 1.log"),
        ] {
            for name in old.split_whitespace() {
                assert!(is_rotation_of(base.as_bytes(), name.as_bytes()), "{base} {name}");
            }
            for name in others.split_whitespace() {
                assert!(!is_rotation_of(base.as_bytes(), name.as_bytes()), "{base} {name}");
            }
        }
    }
}
