//! From what an expression took for the address to an address, or to none.
//!
//! The expression is the user's and may be loose. Whatever it takes, the result is either the whole of an
//! address that stands in the line, or nothing: never a part of a longer number, name or address.

use core::net::IpAddr;

use super::emit::Pinned;
use crate::addr;

/// What was taken from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken<'t> {
    /// An address that a remote host can have.
    Address(IpAddr),
    /// The whole of a name that could be one of the DNS.
    Name(&'t str),
    /// Another word, or an address that nobody can have from outside.
    Nobody,
    /// Part of a longer word: what stands there is something else.
    Part,
}

/// Reads bytes `from..to` of `text`.
pub(super) fn read(text: &str, from: usize, to: usize, pinned: Pinned) -> Taken<'_> {
    let bytes = text.as_bytes();
    let (Some(before), Some(word), Some(after)) = (bytes.get(..from), bytes.get(from..to), bytes.get(to..))
    else {
        return Taken::Nobody;
    };
    let Some((address, length)) = longest(word) else {
        let alone = |byte: Option<&u8>| !byte.is_some_and(|&byte| belongs(byte));
        let whole = (pinned.left || alone(before.last())) && (pinned.right || alone(after.first()));
        let name = text.get(from..to).filter(|name| whole && addr::is_name(name));
        return name.map_or(Taken::Nobody, Taken::Name);
    };
    let whole = length == word.len();
    let left = (pinned.left || !before.last().is_some_and(|&byte| belongs(byte)))
        && !is_longer(before, word.get(..length).unwrap_or(word));
    // A full stop that the expression asks for may still be the one before the rest of a name.
    let pinned_right = pinned.right && whole && after.first() != Some(&b'.');
    let right = pinned_right || !continues(word.get(length..).unwrap_or_default(), after, address);
    if !left || !right {
        return Taken::Part;
    }
    if addr::is_never_remote(address) {
        return Taken::Nobody;
    }
    Taken::Address(address)
}

/// The address that the word is, but for a port or punctuation behind it; and its length.
fn longest(word: &[u8]) -> Option<(IpAddr, usize)> {
    if let Some(address) = addr::parse(word) {
        return Some((address, word.len()));
    }
    let trimmed = word.trim_ascii_end();
    let end = trimmed
        .iter()
        .rposition(|byte| !b".:-^_%".contains(byte))
        .map_or(0, |at| at + 1);
    let trimmed = trimmed.get(..end)?;
    if let Some(address) = addr::parse(trimmed) {
        return Some((address, end));
    }
    // `192.0.2.1:5060`; behind a bare IPv6 address a port could not be told from the address.
    let colon = trimmed.iter().position(|&byte| byte == b':')?;
    let (head, port) = trimmed.split_at_checked(colon)?;
    let digits = port.get(1..)?;
    let is_port = !digits.is_empty() && digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
    addr::parse(head)
        .filter(|address| is_port && address.is_ipv4())
        .map(|address| (address, colon))
}

/// Whether such a byte next to an address makes it part of a longer word.
fn belongs(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b"._-^%".contains(&byte)
}

/// Whether what follows the address, in the word and behind it, goes on as part of it.
fn continues(rest: &[u8], after: &[u8], address: IpAddr) -> bool {
    let mut following = rest.iter().chain(after);
    match following.next() {
        // A full stop or colon ends a sentence; followed by more of a name or number, it does not.
        Some(b'.' | b'-') => following.next().is_some_and(|&byte| belongs(byte)),
        Some(b':') if address.is_ipv6() => following
            .next()
            .is_some_and(|&byte| belongs(byte) || byte == b':'),
        Some(b':') | None => false,
        Some(&byte) => belongs(byte),
    }
}

/// Whether the address is the end of a longer one: `192.0.2.1` of `2001:db8::192.0.2.1`.
fn is_longer(before: &[u8], word: &[u8]) -> bool {
    if before.last() != Some(&b':') {
        return false;
    }
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b':' || *byte == b'.';
    let start = before
        .iter()
        .rposition(|byte| !is_part(byte))
        .map_or(0, |at| at + 1);
    let head = before.get(start..).unwrap_or_default();
    let mut whole = [0; 64];
    let length = head.len() + word.len();
    // Longer than any address.
    let Some(room) = whole.get_mut(..length) else {
        return false;
    };
    let (left, right) = room.split_at_mut(head.len());
    left.copy_from_slice(head);
    right.copy_from_slice(word);
    addr::parse(room).is_some_and(|longer| Some(longer) != addr::parse(word))
}
