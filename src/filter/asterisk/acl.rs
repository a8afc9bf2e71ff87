//! The access lists' message (`main/acl.c`): `"%sRejecting '%s' due to a failure to pass ACL '%s'\n"`.
//!
//! No text of the sender is in it. What it means depends on who asked:
//!
//! * `SIP Peer ACL: ` and `IAX2 Peer ACL: ` are about the packet's source. A registration goes on to say so itself
//!   (the closing line of the same attempt); an INVITE, and IAX2 without `authdebug`, say no more.
//! * `SIP ACL: ` is about the source, and always followed by a line that counts.
//! * `Manager User ACL: ` is followed by `failed to pass IP ACL as`, which counts.
//! * `SIP Contact ACL: ` and `SIP contact ACL: ` are about an address that the sender wrote into a header.
//! * `IAX2 user ACL: ` is written for every guest's call when any user has a list: noise.

use core::net::IpAddr;

use crate::addr;
use crate::filter::cursor::Cursor;
use crate::filter::{Class, Service};

use super::finding::{Finding, Miss, Outcome};

/// What a rejection means.
pub(super) enum Rejection {
    /// It counts, or it is torn, or it is nothing.
    Read(Outcome),
    /// `SIP ACL: `: this source was rejected; res_pjsip_acl's next line about it is true.
    Source(IpAddr),
}

/// Reads a NOTICE of acl.c.
pub(super) fn read(message: &[u8]) -> Rejection {
    let mut cursor = Cursor::new(message);
    let service = if cursor.literal(b"SIP Peer ACL: ").is_some() {
        Some(Service::Sip)
    } else if cursor.literal(b"IAX2 Peer ACL: ").is_some() {
        Some(Service::Iax2)
    } else if cursor.literal(b"SIP ACL: ").is_some() {
        None
    } else {
        return Rejection::Read(Err(Miss::Nothing));
    };
    match (rejected(cursor), service) {
        (None, _) => Rejection::Read(Err(Miss::Torn)),
        (Some(address), Some(service)) => Rejection::Read(Ok(Finding::new(address, service, Class::Acl))),
        (Some(address), None) => Rejection::Source(address),
    }
}

fn rejected(mut cursor: Cursor<'_>) -> Option<IpAddr> {
    cursor.literal(b"Rejecting '")?;
    let address = addr::parse(cursor.until(b"'")?)?;
    cursor.literal(b" due to a failure to pass ACL '")?;
    cursor.tail(b"'")?;
    Some(address)
}
