//! The access lists' message (`main/acl.c`): `"%sRejecting '%s' due to a failure to pass ACL '%s'\n"`.
//!
//! No text of the sender is in it. What it means depends on who asked:
//!
//! * `SIP Peer ACL: ` and `IAX2 Peer ACL: ` are about the packet's source. A registration goes on to say so in its
//!   own words, which then count no more; an INVITE, and IAX2 without `authdebug`, say no more.
//! * `SIP ACL: ` is about the source, and always followed by a line that counts.
//! * `Manager User ACL: ` is followed by `failed to pass IP ACL as`, which counts.
//! * `SIP Contact ACL: ` and `SIP contact ACL: ` are about an address that the sender wrote into a header.
//! * `IAX2 user ACL: ` is written for every guest's call when any user has a list: noise.

use core::net::IpAddr;

use crate::addr;
use crate::filter::cursor::Cursor;
use crate::filter::trail::List;
use crate::filter::{Class, Service, Step};

use super::finding::{Finding, Miss, Outcome};

/// Reads a NOTICE of acl.c: what counts, and which source was rejected.
pub(super) fn read(message: &[u8]) -> (Outcome, Option<(List, IpAddr)>) {
    let mut cursor = Cursor::new(message);
    let Some(&(_, list)) = LISTS.iter().find(|(head, _)| cursor.literal(head).is_some()) else {
        return (Err(Miss::Nothing), None);
    };
    let Some(address) = rejected(cursor) else {
        return (Err(Miss::Torn), None);
    };
    let outcome = match list {
        // Asked for the request without credentials, and again for the one with them.
        List::SipPeer => Ok(Finding::new(address, Service::Sip, Class::Acl).at(Step::Opening)),
        List::IaxPeer => Ok(Finding::new(address, Service::Iax2, Class::Acl)),
        List::Pjsip => Err(Miss::Nothing),
    };
    (outcome, Some((list, address)))
}

const LISTS: [(&[u8], List); 3] = [
    (b"SIP Peer ACL: ", List::SipPeer),
    (b"IAX2 Peer ACL: ", List::IaxPeer),
    (b"SIP ACL: ", List::Pjsip),
];

fn rejected(mut cursor: Cursor<'_>) -> Option<IpAddr> {
    cursor.literal(b"Rejecting '")?;
    let address = addr::parse(cursor.until(b"'")?)?;
    cursor.literal(b" due to a failure to pass ACL '")?;
    cursor.tail(b"'")?;
    Some(address)
}
