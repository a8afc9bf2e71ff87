//! The messages of chan_pjsip's modules (`res/res_pjsip/…`, `res/res_pjsip_session.c`, Asterisk 12 on).
//!
//! Nothing of PJSIP over UDP is proven: its nonces cannot be checked from the log, and an invented one brings the
//! same lines as a real one. Never read: the registrar's `Endpoint '…' (A) has no configured AORs` and its kin,
//! which are mistakes of our own configuration.

use core::net::IpAddr;

use crate::addr;
use crate::filter::cursor::Cursor;
use crate::filter::{Class, Proof, Service, Step};

use super::chan_sip::extension_not_found;
use super::finding::{Finding, Hash, Miss, Outcome, host, host_and_port};

/// The identity of an attempt: its Call-ID, as far as the NOTICE shows it (`log_failed_request` copies it into
/// `PJSIP_MAX_URL_SIZE` bytes, 512 in Asterisk's build, with the NUL).
pub(super) fn attempt(call_id: &[u8]) -> Hash {
    const PJSIP: Hash = Hash::of(b"pjsip");
    PJSIP.and(call_id.get(..CALL_ID_BYTES_MAX).unwrap_or(call_id))
}

const CALL_ID_BYTES_MAX: usize = 511;

/// `"Request '%.*s' from '%s' failed for '%s' (callid: %s) - %s\n"`, or with ` after %u tries in %.3f ms` at the
/// end, `log_failed_request` in `res_pjsip/pjsip_distributor.c`. Early 13 has no method.
///
/// The From stands left of the packet's source and the Call-ID right of it, both the sender's text. Where the text
/// can be cut in one place only, that is the source. Where it can be cut in several, the From decides, if
/// it is of a form in which the printer leaves the sender no freedom; else nobody can tell.
pub(super) fn distributor(message: &[u8]) -> Outcome {
    let Some(rest) = message.strip_prefix(b"Request ") else {
        return Err(Miss::Nothing);
    };
    request(rest).unwrap_or(Err(Miss::Torn))
}

fn request(rest: &[u8]) -> Option<Outcome> {
    let mut cursor = Cursor::new(rest);
    if cursor.literal(b"'").is_some() {
        cursor.token(METHOD_BYTES_MAX, |byte| {
            byte.is_ascii_alphanumeric() || b"-.!%*_+`~".contains(&byte)
        })?;
        cursor.literal(b"' ")?;
    }
    cursor.literal(b"from '")?;
    let (class, step) = verdict(&mut cursor)?;
    cursor.tail(b")")?;

    let text = cursor.rest();
    let mut splits = Splits { text, from: 0 };
    let first = splits.next()?;
    let split = match splits.next() {
        None => first,
        Some(second) => {
            let Some(end) = from_header(text) else {
                return Some(Err(Miss::Ambiguous));
            };
            let mut all = [first, second].into_iter().chain(splits);
            match all.find(|split| split.from_end == end) {
                Some(split) => split,
                None => return Some(Err(Miss::Ambiguous)),
            }
        }
    };
    let finding = Finding::new(split.addr, Service::Pjsip, class);
    Some(Ok(finding.at(step).of(attempt(split.call_id))))
}

/// Takes the verdict off the end of the message.
fn verdict(cursor: &mut Cursor<'_>) -> Option<(Class, Step)> {
    if cursor.rest().ends_with(b" ms") {
        // " after %u tries in %.3f ms"
        let mut count = *cursor;
        count.until_last(b" after ")?;
        let tries = count.rest();
        count.number()?;
        count.literal(b" tries in ")?;
        count.number()?;
        count.literal(b".")?;
        count.token(3, |byte| byte.is_ascii_digit())?;
        count.literal(b" ms")?;
        count.ends()?;
        cursor.tail(tries)?;
        cursor.tail(b" after ")?;
    }
    let found = VERDICTS
        .iter()
        .find_map(|&(text, class, step)| cursor.tail(text).map(|()| (class, step)))?;
    cursor.tail(b" - ")?;
    Some(found)
}

/// The verdicts of `distributor` and `authenticate`.
const VERDICTS: [(&[u8], Class, Step); 5] = [
    (b"No matching endpoint found", Class::User, Step::Opening),
    (b"Failed to authenticate", Class::Auth, Step::Closing),
    (b"Error to authenticate", Class::Auth, Step::Closing),
    (b"Not match Endpoint ACL", Class::Acl, Step::Opening),
    (b"Not match Endpoint Contact ACL", Class::Acl, Step::Opening),
];

/// Longest method read. RFC 3261 sets no limit; no sender with a reason comes near.
const METHOD_BYTES_MAX: usize = 64;

/// One way to cut `FROM' failed for 'ADDRESS:PORT' (callid: CALL-ID`.
struct Split<'a> {
    from_end: usize,
    addr: IpAddr,
    call_id: &'a [u8],
}

/// All ways, from left to right, in one pass.
struct Splits<'a> {
    text: &'a [u8],
    from: usize,
}

impl<'a> Iterator for Splits<'a> {
    type Item = Split<'a>;

    fn next(&mut self) -> Option<Split<'a>> {
        const FAILED: &[u8] = b"' failed for '";
        loop {
            let mut cursor = Cursor::new(self.text.get(self.from..)?);
            let before = cursor.until(FAILED)?;
            let from_end = self.from + before.len();
            self.from = from_end + FAILED.len();
            let written = cursor.token(ADDRESS_BYTES_MAX, |byte| byte != b'\'');
            let Some(addr) = written.and_then(host_and_port) else {
                continue;
            };
            if cursor.literal(b"' (callid: ").is_some() {
                let call_id = cursor.rest();
                return Some(Split {
                    from_end,
                    addr,
                    call_id,
                });
            }
        }
    }
}

/// `[INET6_ADDRSTRLEN%zone]:port`
const ADDRESS_BYTES_MAX: usize = 80;

/// Where the From ends, if it is of the one form in which no byte of the sender can look like its end:
/// `["display" ]<sip:user@host;params>`. pjproject prints the user and most parameters escaped, but a bracketed
/// host, quoted parameters and `;user=` as they came; a display name without backslash and quote holds neither.
fn from_header(text: &[u8]) -> Option<usize> {
    let mut cursor = Cursor::new(text);
    if cursor.literal(b"\"").is_some() {
        let display = cursor.until(b"\"")?;
        if display.contains(&b'\\') {
            return None;
        }
        cursor.literal(b" ")?;
    }
    cursor.literal(b"<")?;
    let uri = cursor.until(b">")?;
    let end = text.len().checked_sub(cursor.rest().len())?;
    is_unforgeable(uri).then_some(end)
}

fn is_unforgeable(uri: &[u8]) -> bool {
    let Some(rest) = uri.strip_prefix(b"sip:").or_else(|| uri.strip_prefix(b"sips:")) else {
        return false;
    };
    if has_user_parameter(rest) {
        return false;
    }
    let mut cursor = Cursor::new(rest);
    if let Some(user) = cursor.until(b"@") {
        if !is_plain(user) {
            return false;
        }
    }
    if cursor.literal(b"[").is_some() {
        let literal = cursor.until(b"]");
        if literal.and_then(addr::parse).is_none() {
            return false;
        }
    }
    is_plain(cursor.rest())
}

fn is_plain(text: &[u8]) -> bool {
    text.iter()
        .all(|&byte| byte.is_ascii_graphic() && !b"<>\"[]\\".contains(&byte))
}

/// Whether `;user=` in any case stands in `text`.
fn has_user_parameter(text: &[u8]) -> bool {
    text.windows(6)
        .any(|window| window.eq_ignore_ascii_case(b";user="))
}

/// `"Call from '%s' (%s:%s) to extension '%.*s' rejected because extension not found in context '%s'.\n"` (13), and
/// `" %s: Call (%s:%s) to extension '%.*s' rejected because extension not found in context '%s'.\n"`
/// with the blank of `ast_trace_log` in front (16 on), `res_pjsip_session.c`.
///
/// The endpoint's name is ours, the address the packet's source; the extension is the sender's text.
pub(super) fn session(message: &[u8]) -> Outcome {
    let mut cursor = Cursor::new(message);
    if cursor.literal(b"Call from '").is_some() {
        return call(cursor, b"' (").ok_or(Miss::Torn);
    }
    let _ = cursor.literal(b" ");
    // Another message may hold these words anywhere in the sender's text; a name holds no quote.
    let mut ahead = cursor;
    match ahead.until(b": Call (") {
        Some(name) if !name.contains(&b'\'') => call(cursor, b": Call (").ok_or(Miss::Torn),
        Some(_) | None => Err(Miss::Nothing),
    }
}

fn call(mut cursor: Cursor<'_>, mark: &[u8]) -> Option<Finding> {
    cursor.until(mark)?;
    let transport = cursor.until(b":")?;
    let proof = proof_of(transport)?;
    let address = host_and_port(cursor.until(b")")?)?;
    extension_not_found(&mut cursor)?;
    Some(Finding::new(address, Service::Pjsip, Class::Call).proven(proof))
}

/// How sure the source of a message over `transport` is; `None` if there is no such transport.
/// pjproject's names, with the `6` that it gives to IPv6 transports.
pub(super) fn proof_of(transport: &[u8]) -> Option<Proof> {
    match transport.strip_suffix(b"6").unwrap_or(transport) {
        b"UDP" | b"udp" => Some(Proof::Blind),
        b"TCP" | b"TLS" | b"WS" | b"WSS" | b"tcp" | b"tls" | b"ws" | b"wss" => Some(Proof::Transport),
        _ => None,
    }
}

/// `"Incoming SIP message from %s did not pass ACL test\n"`, `apply_acl` in `res_pjsip_acl.c`.
///
/// The same words are written for a forbidden Contact, and then they name the Contact's address. Only behind
/// acl.c's `SIP ACL: Rejecting` of the same address, `rejected`, are they about the sender.
pub(super) fn acl(message: &[u8], rejected: Option<IpAddr>) -> Outcome {
    let Some(rest) = message.strip_prefix(b"Incoming SIP message from ") else {
        return Err(Miss::Nothing);
    };
    let mut cursor = Cursor::new(rest);
    cursor.tail(b" did not pass ACL test").ok_or(Miss::Torn)?;
    let address = host(cursor.rest()).ok_or(Miss::Torn)?;
    if rejected != Some(address) {
        return Err(Miss::Nothing);
    }
    Ok(Finding::new(address, Service::Pjsip, Class::Acl))
}
