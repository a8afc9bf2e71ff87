//! Messages about a connection that came to nothing. Only the modes beside `normal` count most of them.

use super::peer::{self, Peer};
use super::{Mode, Part, Verdict};
use crate::filter::Class;
use crate::filter::cursor::Cursor;

/// What `message` says if it is about a connection that came to nothing. `preauth`: it was followed by
/// ` [preauth]`, so nobody had logged in.
pub(super) fn judge(message: &[u8], preauth: bool, mode: Mode) -> Option<Verdict> {
    if let Some(text) = message.strip_prefix(b"Received disconnect from ") {
        return Some(received_disconnect(text, mode));
    }
    if mode.counts_extra() {
        if let Some(text) = message.strip_prefix(b"Unable to negotiate with ") {
            return Some(unable_to_negotiate(text));
        }
        if let Some(text) = message.strip_prefix(b"Disconnected from ").filter(|_| preauth) {
            return Some(ended(text, mode));
        }
    }
    if !mode.counts_ddos() {
        return None;
    }
    let heads: [&[u8]; 3] = [
        b"Connection closed by ",
        b"Connection reset by ",
        b"Disconnected from ",
    ];
    if let Some(text) = heads.iter().find_map(|head| message.strip_prefix(*head)) {
        let counts = preauth || before_child(message);
        return Some(if counts {
            ended(text, mode)
        } else {
            Verdict::Nothing
        });
    }
    spoilt(message)
}

/// `Connection closed by A port N`: since 8.0 versions are exchanged before there is a child that would write
/// ` [preauth]`. Of a session that somebody was logged in to only LogLevel VERBOSE says that it was closed.
fn before_child(message: &[u8]) -> bool {
    let text = message.strip_prefix(b"Connection closed by ").unwrap_or_default();
    text.contains(&b' ') && matches!(peer::at_start(text), Some((_, b"")))
}

/// `A port N:3: TEXT`, up to 7.1 `A: 3: TEXT`. The text is the client's: JSch says code 3 and `Auth fail`
/// when it has no method left; code 14 is `SSH2_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE` (RFC 4253, 11.1).
fn received_disconnect(text: &[u8], mode: Mode) -> Verdict {
    let read = || {
        let (peer, rest) = peer::at_start(text)?;
        let mut rest = Cursor::new(rest);
        rest.literal(b":")?;
        let _ = rest.literal(b" ");
        let code = rest.number()?;
        rest.literal(b": ")?;
        Some((peer, code, rest.rest()))
    };
    let Some((peer, code, text)) = read() else {
        return Verdict::Torn;
    };
    let no_methods = text.starts_with(b"No supported authentication methods available")
        || text.starts_with(b"No authentication methods available");
    match code {
        3 if text.ends_with(b": Auth fail") => Verdict::Counts(peer, Class::Auth, Part::Session),
        14 if no_methods && mode.counts_extra() => Verdict::Counts(peer, Class::Proto, Part::Session),
        _ => Verdict::Nothing,
    }
}

/// `A port N: no matching key exchange method found. Their offer: …`, up to 7.1 without the port.
fn unable_to_negotiate(text: &[u8]) -> Verdict {
    match peer::at_start(text) {
        Some((peer, rest)) if rest.starts_with(b": no matching ") => {
            Verdict::Counts(peer, Class::Proto, Part::Alone)
        }
        // A rekeying that failed after a user name was given names the user before the peer.
        Some((Peer::Name, _)) => Verdict::Nothing,
        _ => Verdict::Torn,
    }
}

/// `[authenticating user U |invalid user U ]A port N`, up to 7.1 `A`.
fn ended(text: &[u8], mode: Mode) -> Verdict {
    if let Some((peer, b"")) = peer::at_start(text) {
        let counts = mode.counts_ddos();
        return if counts {
            Verdict::Counts(peer, Class::Proto, Part::Alone)
        } else {
            Verdict::Nothing
        };
    }
    // `Invalid user` has counted this session already.
    if text.starts_with(b"invalid user ") {
        return Verdict::Nothing;
    }
    match text
        .strip_prefix(b"authenticating user ")
        .and_then(peer::with_port_at_end)
    {
        Some((_, peer)) => Verdict::Counts(peer, Class::Proto, Part::Session),
        None => Verdict::Torn,
    }
}

/// Finds the peer in what follows the head of a message.
type Reader = fn(&[u8]) -> Option<Peer>;

/// Connections that were spoilt before a user name was sent.
fn spoilt(message: &[u8]) -> Option<Verdict> {
    let heads: [(&[u8], Reader); 8] = [
        (b"Did not receive identification string from ", whole),
        (b"banner exchange: Connection from ", invalid_format),
        (b"Bad protocol version identification '", bad_version),
        (b"Protocol major versions differ for ", before_colon),
        (b"ssh_dispatch_run_fatal: Connection from ", before_colon),
        (b"Timeout before authentication for connection from ", timed_out),
        (b"Timeout before authentication for ", whole),
        (b"drop connection #", dropped),
    ];
    let (text, read) = heads
        .iter()
        .find_map(|(head, read)| Some((message.strip_prefix(*head)?, read)))?;
    let peer = read(text)?;
    Some(Verdict::Counts(peer, Class::Proto, Part::Alone))
}

/// `A port N` and nothing behind it.
fn whole(text: &[u8]) -> Option<Peer> {
    let (peer, rest) = peer::at_start(text)?;
    rest.is_empty().then_some(peer)
}

/// `A port N: invalid format` (`ssherr.c`, `SSH_ERR_INVALID_FORMAT`), or what `SSH_ERR_NO_PROTOCOL_VERSION`
/// says.
fn invalid_format(text: &[u8]) -> Option<Peer> {
    let (peer, rest) = peer::at_start(text)?;
    let reasons: [&[u8]; 2] = [b": invalid format", b": could not read protocol version"];
    reasons.contains(&rest).then_some(peer)
}

/// `V' from A port N`
fn bad_version(text: &[u8]) -> Option<Peer> {
    let (version, peer) = peer::from_at_end(text)?;
    version.ends_with(b"'").then_some(peer)
}

/// `A port N: …`
fn before_colon(text: &[u8]) -> Option<Peer> {
    let (peer, rest) = peer::at_start(text)?;
    rest.starts_with(b": ").then_some(peer)
}

/// `A to B, pid = 1234`
fn timed_out(text: &[u8]) -> Option<Peer> {
    let (peer, rest) = peer::at_start(text)?;
    rest.starts_with(b" to ").then_some(peer)
}

/// `3 from [A]:N on [B]:M penalty: failed authentication`. A connection dropped for `MaxStartups` tells
/// nothing about its sender: he found the house full.
fn dropped(text: &[u8]) -> Option<Peer> {
    let mut text = Cursor::new(text);
    text.number()?;
    text.literal(b" from [")?;
    let peer = peer::peer(text.until(b"]:")?)?;
    text.number()?;
    text.literal(b" on [")?;
    text.until(b"]:")?;
    text.number()?;
    text.literal(b" penalty: ")?;
    Some(peer)
}
