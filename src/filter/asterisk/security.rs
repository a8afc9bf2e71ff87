//! SECURITY events (`res/res_security_log.c`, the field order of `main/security_events.c`).
//!
//! `SecurityEvent, EventTV, Severity, Service, EventVersion, AccountID, SessionID, LocalAddress, RemoteAddress`, then
//! what the event adds; values are not escaped. AccountID and SessionID are the sender's text and can hold complete
//! pairs of addresses; so the **last** pair that is followed by exactly what the event adds is the true one, except
//! for three events of the manager interface, whose sender writes behind the address: there it is the **first**, and
//! only with an empty AccountID.
//!
//! Not offences: SuccessfulAuth, ChallengeSent, SessionLimit, MemoryLimit, LoadAverageLimit.

use core::net::IpAddr;

use crate::addr;
use crate::filter::cursor::{Cursor, rfind};
use crate::filter::{Class, Proof, Service, Step};

use super::finding::{Finding, Hash, Miss, Outcome, is_port};
use super::{manager, pjsip};

/// Reads a SECURITY record.
pub(super) fn read(message: &[u8]) -> Outcome {
    let mut cursor = Cursor::new(message);
    if cursor.literal(b"SecurityEvent=\"").is_none() {
        return Err(Miss::Nothing);
    }
    if is_harmless(cursor.rest()) {
        return Err(Miss::Nothing);
    }
    let name = cursor.until(b"\"").ok_or(Miss::Torn)?;
    // The services of one event stand together.
    let mut events = EVENTS.iter().skip_while(|event| event.name != name);
    let Some(first) = events.next() else {
        return Err(Miss::Nothing);
    };
    let service = common(&mut cursor).ok_or(Miss::Torn)?;
    let mut same = core::iter::once(first).chain(events.take_while(|event| event.name == name));
    let Some(event) = same.find(|event| event.service == service) else {
        return Err(Miss::Nothing);
    };
    (event.read)(cursor).unwrap_or(Err(Miss::Torn))
}

/// Whether an event, from its name on, is of those that a busy log is full of: known without a look at the table.
#[inline]
pub(super) fn is_harmless(rest: &[u8]) -> bool {
    rest.starts_with(b"ChallengeSent\"") || rest.starts_with(b"SuccessfulAuth\"")
}

struct Event {
    service: &'static [u8],
    name: &'static [u8],
    /// Reads from AccountID on; `None` means torn.
    read: fn(Cursor<'_>) -> Option<Outcome>,
}

const fn event(
    service: &'static [u8],
    name: &'static [u8],
    read: fn(Cursor<'_>) -> Option<Outcome>,
) -> Event {
    Event { service, name, read }
}

const EVENTS: [Event; 15] = [
    event(b"PJSIP", b"InvalidAccountID", pjsip_account),
    event(b"SIP", b"InvalidAccountID", sip_account),
    event(b"AMI", b"InvalidAccountID", ami_account),
    event(b"PJSIP", b"ChallengeResponseFailed", pjsip_response),
    event(b"SIP", b"ChallengeResponseFailed", sip_response),
    event(b"AMI", b"ChallengeResponseFailed", ami_response),
    event(b"SIP", b"InvalidPassword", sip_password),
    event(b"AMI", b"InvalidPassword", ami_password),
    event(b"PJSIP", b"FailedACL", pjsip_acl),
    event(b"SIP", b"FailedACL", sip_acl),
    event(b"AMI", b"FailedACL", ami_acl),
    event(b"PJSIP", b"RequestNotSupported", pjsip_not_supported),
    event(b"SIP", b"InvalidTransport", sip_transport),
    event(b"AMI", b"RequestNotAllowed", ami_not_allowed),
    event(b"AMI", b"RequestBadFormat", ami_bad_format),
];

/// Takes `,EventTV="…",Severity="Error",Service="…",EventVersion="…",` and gives the service.
fn common<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    cursor.literal(b",EventTV=\"")?;
    is_event_time(cursor.until(b"\"")?).then_some(())?;
    cursor.literal(b",Severity=\"Error\",Service=\"")?;
    let service = cursor.until(b"\"")?;
    cursor.literal(b",EventVersion=\"")?;
    cursor.number()?;
    cursor.literal(b"\",")?;
    Some(service)
}

/// `1795351367-488505` (1.8 to 11) or `2026-11-22T11:23:41.615+0000`, nothing shorter: where chan_sip lets a newline
/// into AccountID, the bytes that a planted record needs must not fit behind it.
fn is_event_time(text: &[u8]) -> bool {
    let shape: &[u8] = b"9999-99-99T99:99:99.999+9999";
    if text.len() == shape.len() {
        return text.iter().zip(shape).all(|(&byte, &want)| match want {
            b'9' => byte.is_ascii_digit(),
            b'+' => byte == b'+' || byte == b'-',
            _ => byte == want,
        });
    }
    let mut cursor = Cursor::new(text);
    let inside = || -> Option<()> {
        let seconds = cursor.token(10, |byte| byte.is_ascii_digit())?;
        cursor.literal(b"-")?;
        cursor.token(6, |byte| byte.is_ascii_digit())?;
        cursor.ends()?;
        (seconds.len() >= 9).then_some(())
    };
    let mut inside = inside;
    inside().is_some()
}

/// The fields that every event has from AccountID to RemoteAddress.
struct Who<'a> {
    account: &'a [u8],
    session: &'a [u8],
    addr: IpAddr,
    /// `None` where the address has no transport element.
    transport: Option<&'a [u8]>,
}

/// Takes everything up to the last pair of addresses.
fn last_pair<'a>(cursor: &mut Cursor<'a>) -> Option<Who<'a>> {
    cursor.literal(b"AccountID=\"")?;
    let ids = cursor.until_last(b"\",LocalAddress=\"")?;
    let mut ids = Cursor::new(ids);
    let account = ids.until(b"\",SessionID=\"")?;
    let (addr, transport) = pair(cursor)?;
    Some(Who {
        account,
        session: ids.rest(),
        addr,
        transport,
    })
}

/// The same of a service whose SessionID is a pointer.
fn last_pair_of_pointer<'a>(cursor: &mut Cursor<'a>) -> Option<Who<'a>> {
    let who = last_pair(cursor)?;
    let session = match rfind(who.session, b"\",SessionID=\"") {
        Some(at) => who.session.get(at + b"\",SessionID=\"".len()..)?,
        None => who.session,
    };
    is_pointer(session).then_some(who)
}

/// `0x7f28ac00fc68`, the address of the session's structure (`%p`).
fn is_pointer(text: &[u8]) -> bool {
    text.strip_prefix(b"0x").is_some_and(|digits| {
        !digits.is_empty() && digits.len() <= 16 && digits.iter().all(u8::is_ascii_hexdigit)
    })
}

/// Takes `LOCAL",RemoteAddress="REMOTE"` and gives the remote address.
fn pair<'a>(cursor: &mut Cursor<'a>) -> Option<(IpAddr, Option<&'a [u8]>)> {
    endpoint(cursor.until(b"\"")?)?;
    cursor.literal(b",RemoteAddress=\"")?;
    endpoint(cursor.until(b"\"")?)
}

/// `IPV4/UDP/192.0.2.10/5060`, `IPV6/TCP/2001:db8::1/5060`; the transport is missing where it is not known
/// (chan_sip of 11 over WebSocket).
fn endpoint(text: &[u8]) -> Option<(IpAddr, Option<&[u8]>)> {
    let mut cursor = Cursor::new(text);
    let version_4 = cursor.literal(b"IPV4/").is_some();
    if !version_4 {
        cursor.literal(b"IPV6/")?;
    }
    let mut transport = None;
    for name in [b"UDP/".as_slice(), b"TCP/", b"TLS/", b"WSS/", b"WS/"] {
        if cursor.literal(name).is_some() {
            transport = name.strip_suffix(b"/");
            break;
        }
    }
    let address = cursor.until(b"/")?;
    is_port(cursor.rest()).then_some(())?;
    (version_4 != address.contains(&b':')).then_some(())?;
    Some((addr::parse(address)?, transport))
}

/// Takes `,NAME="VALUE"` where VALUE holds no quote.
fn field<'a>(cursor: &mut Cursor<'a>, name: &[u8]) -> Option<&'a [u8]> {
    cursor.literal(b",")?;
    cursor.literal(name)?;
    cursor.literal(b"=\"")?;
    cursor.until(b"\"")
}

/// Takes `,NAME=Q` where Q is a SIP quoted-string: quotes in it are behind backslashes. It was cut to `most` bytes, maybe
/// behind a backslash.
fn quoted_field<'a>(cursor: &mut Cursor<'a>, name: &[u8], most: usize) -> Option<&'a [u8]> {
    cursor.literal(b",")?;
    cursor.literal(name)?;
    cursor.literal(b"=")?;
    let (mut whole, mut cut) = (*cursor, *cursor);
    let value = whole.quoted();
    if value.is_none_or(|value| value.len() > most) {
        cut.literal(b"\"")?;
        let value = cut.rest().get(..most)?;
        cut.literal(value)?;
        if value.ends_with(b"\\") && cut.literal(b"\"").is_some() {
            *cursor = cut;
            return Some(value);
        }
    }
    *cursor = whole;
    value
}

// PJSIP (res/res_pjsip/security_events.c). SessionID is the Call-ID. The address is the packet's source.

fn pjsip_finding(who: &Who<'_>, class: Class, step: Step) -> Finding {
    let proof = who.transport.and_then(pjsip::proof_of).unwrap_or(Proof::Blind);
    Finding::new(who.addr, Service::Pjsip, class)
        .proven(proof)
        .at(step)
        .of(pjsip::attempt(who.session))
}

fn pjsip_account(mut cursor: Cursor<'_>) -> Option<Outcome> {
    let who = last_pair(&mut cursor)?;
    cursor.ends()?;
    Some(Ok(pjsip_finding(&who, Class::User, Step::Opening)))
}

fn pjsip_response(mut cursor: Cursor<'_>) -> Option<Outcome> {
    let who = last_pair(&mut cursor)?;
    // The buffers of ast_sip_report_auth_failed_challenge_response, without their NUL.
    quoted_field(&mut cursor, b"Challenge", 63)?;
    quoted_field(&mut cursor, b"Response", 255)?;
    cursor.literal(b",ExpectedResponse=\"\"")?;
    cursor.ends()?;
    Some(Ok(pjsip_finding(&who, Class::Auth, Step::Closing)))
}

fn pjsip_acl(cursor: Cursor<'_>) -> Option<Outcome> {
    pjsip_rule(cursor, b"ACLName")
}

fn pjsip_not_supported(cursor: Cursor<'_>) -> Option<Outcome> {
    pjsip_rule(cursor, b"RequestType")
}

/// What the distributor's access lists forbid is an offence. What the registrar refuses is a mistake of our own
/// configuration, because the sender has passed authentication, unless the endpoint is the anonymous one.
fn pjsip_rule(mut cursor: Cursor<'_>, name: &[u8]) -> Option<Outcome> {
    let who = last_pair(&mut cursor)?;
    let rule = field(&mut cursor, name)?;
    cursor.ends()?;
    let named = rule.iter().all(|&byte| byte.is_ascii_lowercase() || byte == b'_');
    (named && !rule.is_empty()).then_some(())?;
    if rule.starts_with(b"registrar_") && who.account != b"anonymous" {
        return Some(Err(Miss::Nothing));
    }
    Some(Ok(pjsip_finding(&who, Class::Acl, Step::Opening)))
}

// chan_sip (channels/sip/security_events.c). The address is p->sa, which a maddr in the Via header sets whatever the
// transport is (check_via); so it is claimed, over TCP and TLS as over UDP. That Challenge and ReceivedChallenge are
// equal proves nothing: the nonce belongs to the dialog, a REGISTER finds its dialog by Call-ID alone (__find_call), and
// with `;rport` the 401 goes to the packet's source. So who received it at one address can send the answer from another.

fn sip_finding(who: &Who<'_>, class: Class) -> Finding {
    Finding::new(who.addr, Service::Sip, class).proven(Proof::Claimed)
}

fn sip_password(mut cursor: Cursor<'_>) -> Option<Outcome> {
    let who = last_pair_of_pointer(&mut cursor)?;
    field(&mut cursor, b"Challenge")?;
    for name in [b"ReceivedChallenge".as_slice(), b"ReceivedHash"] {
        if cursor.ends().is_none() {
            field(&mut cursor, name)?;
        }
    }
    cursor.ends()?;
    Some(Ok(sip_finding(&who, Class::Auth)))
}

fn sip_account(mut cursor: Cursor<'_>) -> Option<Outcome> {
    let who = last_pair_of_pointer(&mut cursor)?;
    cursor.ends()?;
    Some(Ok(sip_finding(&who, Class::User)))
}

fn sip_response(mut cursor: Cursor<'_>) -> Option<Outcome> {
    let who = last_pair_of_pointer(&mut cursor)?;
    field(&mut cursor, b"Challenge")?;
    field(&mut cursor, b"Response")?;
    field(&mut cursor, b"ExpectedResponse")?;
    cursor.ends()?;
    Some(Ok(sip_finding(&who, Class::Auth)))
}

fn sip_acl(mut cursor: Cursor<'_>) -> Option<Outcome> {
    let who = last_pair_of_pointer(&mut cursor)?;
    let (class, step) = match field(&mut cursor, b"ACLName")? {
        b"no_extension_match" => (Class::Call, Step::Whole),
        // Refused without credentials and again with them.
        b"device_must_match_acl" | b"peer_not_dynamic" => (Class::Acl, Step::Opening),
        _ => (Class::Acl, Step::Whole),
    };
    cursor.ends()?;
    Some(Ok(sip_finding(&who, class).at(step)))
}

fn sip_transport(mut cursor: Cursor<'_>) -> Option<Outcome> {
    let who = last_pair_of_pointer(&mut cursor)?;
    field(&mut cursor, b"AttemptedTransport")?;
    cursor.ends()?;
    Some(Ok(sip_finding(&who, Class::Acl)))
}

// The manager interface (main/manager.c). Always TCP.

fn ami_login(mut cursor: Cursor<'_>, class: Class) -> Option<Outcome> {
    let who = last_pair_of_pointer(&mut cursor)?;
    if cursor.ends().is_none() {
        field(&mut cursor, b"SessionTV")?;
    }
    cursor.ends()?;
    Some(Ok(manager::login(Finding::new(who.addr, Service::Ami, class))))
}

fn ami_password(cursor: Cursor<'_>) -> Option<Outcome> {
    ami_login(cursor, Class::Auth)
}

fn ami_account(cursor: Cursor<'_>) -> Option<Outcome> {
    ami_login(cursor, Class::User)
}

fn ami_acl(cursor: Cursor<'_>) -> Option<Outcome> {
    ami_login(cursor, Class::Acl)
}

fn ami_response(cursor: Cursor<'_>) -> Option<Outcome> {
    Some(
        first_pair(cursor, b"AccountID=\"\",", b",Challenge=\"")?
            .map(|addr| manager::login(Finding::new(addr, Service::Ami, Class::Auth))),
    )
}

fn ami_not_allowed(cursor: Cursor<'_>) -> Option<Outcome> {
    Some(first_pair(cursor, b"AccountID=\"\",", b",RequestType=\"")?.map(ami_abuse))
}

/// AccountID stands at the end, if it is there.
fn ami_bad_format(cursor: Cursor<'_>) -> Option<Outcome> {
    if !cursor.rest().ends_with(b",AccountID=\"\"") {
        return Some(Err(Miss::Nothing));
    }
    Some(first_pair(cursor, b"", b",RequestType=\"")?.map(ami_abuse))
}

fn ami_abuse(addr: IpAddr) -> Finding {
    Finding::new(addr, Service::Ami, Class::Proto)
        .proven(Proof::Transport)
        .of(Hash::of(b"ami.abuse"))
}

/// The remote address of the first pair, where `account` stands at the head: whoever has logged in has one, and
/// makes mistakes rather than offences.
fn first_pair(mut cursor: Cursor<'_>, account: &[u8], next: &[u8]) -> Option<Result<IpAddr, Miss>> {
    if cursor.literal(account).is_none() {
        return Some(Err(Miss::Nothing));
    }
    cursor.literal(b"SessionID=\"")?;
    is_pointer(cursor.until(b"\"")?).then_some(())?;
    cursor.literal(b",LocalAddress=\"")?;
    let (addr, _) = pair(&mut cursor)?;
    cursor.literal(next)?;
    cursor.tail(b"\"")?;
    Some(Ok(addr))
}
