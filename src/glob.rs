//! File name patterns, as shells, fail2ban and Asterisk's `#include` have them.
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
}
