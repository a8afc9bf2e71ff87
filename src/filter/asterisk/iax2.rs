//! chan_iax2's messages (`channels/chan_iax2.c`). Most are written only with `authdebug=yes` (iax.conf), which
//! is off by default since Asterisk 10.
//!
//! NOTICE, and WARNING for some of them in late 18, 20 and later. Never read: `Host P failed RSA authentication` and
//! `Host 'P' trying to do RSA` (P is a peer's name), `Call rejected, CallToken Support required` and
//! `Address A failed CallToken hash inspection` (the first datagram, whoever sent it), and the delays of call tokens.

use crate::filter::cursor::Cursor;
use crate::filter::{Class, Proof, Service, Step};

use super::account::{account, extension};
use super::finding::{Finding, Hash, Message, Miss, Outcome, by_head, host};

/// Reads a NOTICE or WARNING of chan_iax2.
pub(super) fn read(message: &[u8]) -> Outcome {
    match message.strip_prefix(b"Host ") {
        Some(rest) => host_message(rest),
        None => by_head(&MESSAGES, message),
    }
}

const MESSAGES: [Message; 4] = [
    Message {
        head: b"No registration for peer '",
        read: no_registration,
    },
    Message {
        head: b"Rejected connect attempt from ",
        read: rejected,
    },
    Message {
        head: b"Peer '",
        read: not_dynamic,
    },
    Message {
        head: b"Empty registration from ",
        read: empty,
    },
];

/// `"No registration for peer '%s' (from %s)\n"`, `registry_verify`. The peer is the sender's text, so the last
/// `' (from ` is the true one. A newline in the peer can end the line early: that is policy (blind), not grammar.
///
/// Written for the request without an answer and again for the one with it.
fn no_registration(rest: &[u8]) -> Option<Outcome> {
    let mut cursor = Cursor::new(rest);
    cursor.tail(b")")?;
    let peer = cursor.until_last(b"' (from ")?;
    let finding = Finding::new(host(cursor.rest())?, Service::Iax2, Class::User);
    let finding = finding.naming(account(peer));
    Some(Ok(finding.at(Step::Opening).of(Hash::of(b"iax2.peer").and(peer))))
}

/// `"Peer '%s' is not dynamic (from %s)\n"`, `registry_verify`.
fn not_dynamic(rest: &[u8]) -> Option<Outcome> {
    let mut cursor = Cursor::new(rest);
    if cursor.until_last(b"' is not dynamic (from ").is_none() {
        return Some(Err(Miss::Nothing));
    }
    cursor.tail(b")")?;
    Some(Ok(Finding::new(host(cursor.rest())?, Service::Iax2, Class::Acl)))
}

/// `"Empty registration from %s\n"`, `registry_verify`.
fn empty(rest: &[u8]) -> Option<Outcome> {
    Some(Ok(Finding::new(host(rest)?, Service::Iax2, Class::Proto)))
}

/// `"Rejected connect attempt from %s, request '%s@%s' does not exist\n"` and
/// `"Rejected connect attempt from %s, who was trying to reach '%s@%s'\n"`, `socket_process`. With other words
/// behind the address nobody was refused but a codec.
fn rejected(rest: &[u8]) -> Option<Outcome> {
    let mut cursor = Cursor::new(rest);
    let address = host(cursor.until(b",")?)?;
    if cursor.literal(b" request '").is_some() {
        cursor.tail(b"' does not exist")?;
    } else if cursor.literal(b" who was trying to reach '").is_some() {
        cursor.tail(b"'")?;
    } else {
        return Some(Err(Miss::Nothing));
    }
    let called = extension(cursor.rest());
    Some(Ok(
        Finding::new(address, Service::Iax2, Class::Call).naming(called)
    ))
}

/// The messages that begin with `Host %s `, where the first value is the packet's source and all text of the sender
/// stands right of it.
fn host_message(rest: &[u8]) -> Outcome {
    let mut cursor = Cursor::new(rest);
    let Some(address) = cursor.until(b" ").and_then(host) else {
        return Err(Miss::Nothing);
    };
    let Some(entry) = HOST_MESSAGES
        .iter()
        .find(|entry| cursor.literal(entry.head).is_some())
    else {
        return Err(Miss::Nothing);
    };
    cursor.tail(entry.tail).ok_or(Miss::Torn)?;
    // "failed MD5 authentication for '%s' (%s != %s)"
    let named = cursor.until(b"'").unwrap_or(cursor.rest());
    let finding = Finding::new(address, Service::Iax2, entry.class).proven(entry.proof);
    Ok(finding.naming(account(named)))
}

struct HostMessage {
    head: &'static [u8],
    tail: &'static [u8],
    class: Class,
    proof: Proof,
}

const HOST_MESSAGES: [HostMessage; 4] = [
    // "Host %s failed MD5 authentication for '%s' (%s != %s)\n": our challenge was answered.
    HostMessage {
        head: b"failed MD5 authentication for '",
        tail: b")",
        class: Class::Auth,
        proof: Proof::Nonce,
    },
    // "Host %s did not provide proper plaintext password for '%s'\n": one datagram can hold the password.
    HostMessage {
        head: b"did not provide proper plaintext password for '",
        tail: b"'",
        class: Class::Auth,
        proof: Proof::Blind,
    },
    // "Host %s failed to authenticate as %s\n": our AUTHREQ was answered.
    HostMessage {
        head: b"failed to authenticate as ",
        tail: b"",
        class: Class::Auth,
        proof: Proof::Nonce,
    },
    // "Host %s denied access to register peer '%s'\n", behind acl.c's "IAX2 Peer ACL: Rejecting".
    HostMessage {
        head: b"denied access to register peer '",
        tail: b"'",
        class: Class::Acl,
        proof: Proof::Blind,
    },
];
