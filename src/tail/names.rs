//! Names in a directory: what log rotation calls old files.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

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

const COMPRESSED: [&[u8]; 7] = [b".gz", b".bz2", b".xz", b".zst", b".lz4", b".Z", b".zip"];

#[cfg(test)]
mod tests {
    use super::*;

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
