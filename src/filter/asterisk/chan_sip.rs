//! chan_sip's messages (`channels/chan_sip.c`, Asterisk 1.4 to 20).
//!
//! Never read, because their address is not the sender's or is not there at all: `Failed to authenticate device`,
//! `Sending fake auth rejection`, `Bad authentication received` and `username mismatch` (no address but text of
//! the sender), `Got SUBSCRIBE for extension` and `Unknown SIP command` (`p->sa`, which a Via header chooses).

use crate::filter::cursor::Cursor;
use crate::filter::{Class, Service, Step};

use super::finding::{Finding, Message, Miss, Outcome, by_head, host};

/// Reads a NOTICE of chan_sip.
pub(super) fn read(message: &[u8]) -> Outcome {
    by_head(&MESSAGES, message)
}

/// Whether a message begins like one that [`read`] reads.
#[inline]
pub(super) fn is_known(message: &[u8]) -> bool {
    message.starts_with(REGISTRATION) || message.starts_with(CALL)
}

const REGISTRATION: &[u8] = b"Registration from '";
const CALL: &[u8] = b"Call from '";

const MESSAGES: [Message; 2] = [
    Message {
        head: REGISTRATION,
        read: registration,
    },
    Message {
        head: CALL,
        read: call,
    },
];

/// `"Registration from '%s' failed for '%s' - %s\n"`, `handle_request_register`.
///
/// The first value is the raw To header, the second the packet's source. No text of the sender follows the source,
/// so the last `' failed for '` is the true one. "Wrong password" is blind too: a To header that does not parse
/// brings it without any challenge.
fn registration(rest: &[u8]) -> Option<Outcome> {
    let mut cursor = Cursor::new(rest);
    let Some(&(_, class, step)) = REASONS
        .iter()
        .find(|(reason, _, _)| cursor.tail(reason).is_some())
    else {
        let harmless = HARMLESS.iter().any(|tail| rest.ends_with(tail));
        return harmless.then_some(Err(Miss::Nothing));
    };
    cursor.tail(b"' - ")?;
    cursor.until_last(b"' failed for '")?;
    Some(Ok(
        Finding::new(host(cursor.rest())?, Service::Sip, class).at(step)
    ))
}

/// `"Call from '%s' (%s) to extension '%s' rejected because extension not found in context '%s'.\n"`,
/// `handle_request_invite`.
///
/// The peer is our own name for it, the address the packet's source (`p->recv`); the extension, decoded, is the
/// sender's text and stands right of it.
fn call(rest: &[u8]) -> Option<Outcome> {
    let mut cursor = Cursor::new(rest);
    cursor.until(b"'")?;
    if cursor.literal(b" (").is_none() {
        // Asterisk 1.6 writes no address.
        return Some(Err(Miss::Nothing));
    }
    let address = host(cursor.until(b")")?)?;
    extension_not_found(&mut cursor)?;
    Some(Ok(Finding::new(address, Service::Sip, Class::Call)))
}

/// The rest of chan_sip's and of res_pjsip_session's rejected calls.
pub(super) fn extension_not_found(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.literal(b" to extension '")?;
    if cursor.tail(b"' rejected because extension not found.").is_some() {
        return Some(());
    }
    cursor.tail(b"'.")?;
    cursor.until_last(b"' rejected because extension not found in context '")?;
    Some(())
}

/// The reasons of `handle_request_register`. An access list, and a peer that is not dynamic, are refused for the
/// request without credentials and again for the one with them.
const REASONS: [(&[u8], Class, Step); 8] = [
    (b"Wrong password", Class::Auth, Step::Whole),
    (b"Username/auth name mismatch", Class::Auth, Step::Whole),
    (b"No matching peer found", Class::User, Step::Whole),
    (b"Not a local domain", Class::Acl, Step::Whole),
    (b"Peer is not supposed to register", Class::Acl, Step::Opening),
    (b"Device does not match ACL", Class::Acl, Step::Opening),
    (
        b"Device not configured to use this transport type",
        Class::Acl,
        Step::Whole,
    ),
    // Asterisk 1.4 and 1.6.
    (b"ACL error (permit/deny)", Class::Acl, Step::Opening),
];

/// Ends of a registration that failed through no fault of the sender.
const HARMLESS: [&[u8]; 3] = [
    b"' - RTP initialization failed",
    b"' - Unknown failure",
    b"' - Unknown",
];
