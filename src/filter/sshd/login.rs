//! Messages about a login: somebody gave a user name.

use super::peer::{self, Peer};
use super::{Part, Verdict};
use crate::filter::Class;
use crate::filter::cursor::{Cursor, find, rfind};

/// Judges what follows the head of a message.
type Judge = fn(&[u8]) -> Verdict;

/// What `message` says if it is about a login that failed.
pub(super) fn judge(message: &[u8]) -> Option<Verdict> {
    let heads: [(&[u8], Judge); 8] = [
        (b"Failed ", failed),
        (b"Invalid user ", invalid_user),
        (
            b"maximum authentication attempts exceeded for ",
            attempts_exceeded,
        ),
        (b"User ", not_allowed),
        (b"ROOT LOGIN REFUSED FROM ", root_refused),
        (b"PAM: ", pam_reason),
        (b"refused connect from ", refused_connect),
        (b"Disconnecting ", disconnecting),
    ];
    let judged = |&(head, judge): &(&[u8], Judge)| message.strip_prefix(head).map(judge);
    heads.iter().find_map(judged)
}

/// A peer counts; no peer where one must be is torn.
fn counts(peer: Option<Peer>, class: Class, part: Part) -> Verdict {
    peer.map_or(Verdict::Torn, |peer| Verdict::Counts(peer, class, part))
}

/// `METHOD for [invalid user ]U from A port N ssh2[: KEY]`. Without privilege separation (a choice up to 7.4)
/// METHOD is what the client sent, so it must be a name.
fn failed(text: &[u8]) -> Verdict {
    let mut text = Cursor::new(text);
    let is_name = |byte: u8| byte.is_ascii_lowercase() || b"-/0123456789".contains(&byte);
    let Some(method) = text.token(40, is_name) else {
        return Verdict::Nothing;
    };
    if text.literal(b" for ").is_none() {
        return Verdict::Nothing;
    }
    let invalid = text.literal(b"invalid user ").is_some();
    let class = if invalid { Class::User } else { Class::Auth };
    match method {
        b"publickey" | b"hostbased" => failed_key(text.rest(), invalid),
        // Neither guesses anything: a client asks which methods there are, or shows a ticket.
        b"none" | b"gssapi-with-mic" | b"gssapi-keyex" if !invalid => Verdict::Nothing,
        b"none" | b"gssapi-with-mic" | b"gssapi-keyex" => {
            counts(failed_peer(text.rest()), class, Part::Prelude)
        }
        _ => counts(failed_peer(text.rest()), class, Part::Refusal),
    }
}

/// `U from A port N ssh2`; SSH 1 wrote no ` ssh2`.
fn failed_peer(text: &[u8]) -> Option<Peer> {
    let text = text.strip_suffix(b" ssh2").unwrap_or(text);
    peer::from_with_port_at_end(text).map(|(_, peer)| peer)
}

/// `U from A port N ssh2: RSA SHA256:…`, `… ssh2: RSA-CERT SHA256:… ID "ANYTHING" (serial 0) CA RSA
/// SHA256:…`, `… ssh2: RSA SHA256:…, client user "ANYTHING", client host "ANYTHING"`, and up to 6.2 just `…
/// ssh2`.
///
/// The right side can be so long that `do_log` cuts it where the client wants, so no end can be trusted: a
/// message with two peers is ambiguous.
fn failed_key(text: &[u8], invalid: bool) -> Verdict {
    const MARK: &[u8] = b" ssh2";
    let mut found = None;
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| find(rest, MARK)) {
        let end = from + at;
        let before = text.get(..end).unwrap_or_default();
        from = end + MARK.len();
        let after = text.get(from..).unwrap_or_default();
        if !after.is_empty() && !after.starts_with(b": ") {
            continue;
        }
        let Some((_, peer)) = peer::from_with_port_at_end(before) else {
            continue;
        };
        if found.replace(peer).is_some() {
            return Verdict::Ambiguous;
        }
    }
    match found {
        Some(_) if !invalid => Verdict::Nothing,
        _ => counts(found, Class::User, Part::Prelude),
    }
}

/// `U from A port N`, up to 7.1 `U from A`.
fn invalid_user(text: &[u8]) -> Verdict {
    let peer = peer::from_at_end(text).map(|(_, peer)| peer);
    counts(peer, Class::User, Part::Session)
}

/// `[invalid user ]U from A port N ssh2`. The `Disconnecting` behind it says the same and does not count.
fn attempts_exceeded(text: &[u8]) -> Verdict {
    counts(failed_peer(text), Class::Auth, Part::Session)
}

/// `U from H not allowed because REASON`. Other reasons (a locked account, a missing shell) come without a
/// peer.
fn not_allowed(text: &[u8]) -> Verdict {
    let reasons: [&[u8]; 5] = [
        b"not listed in AllowUsers",
        b"listed in DenyUsers",
        b"not in any group",
        b"a group is listed in DenyGroups",
        b"none of user's groups are listed in AllowGroups",
    ];
    const BECAUSE: &[u8] = b" not allowed because ";
    let mut rest = Cursor::new(text);
    let Some(before) = rest.until_last(BECAUSE) else {
        return Verdict::Nothing;
    };
    if reasons.contains(&rest.rest()) {
        let peer = peer::from_at_end(before).map(|(_, peer)| peer);
        return counts(peer, Class::Acl, Part::Session);
    }
    let other = rest.rest().starts_with(b"account is locked") || rest.rest().starts_with(b"shell ");
    if other { Verdict::Nothing } else { Verdict::Torn }
}

/// `A port N`, up to 7.1 `A`.
fn root_refused(text: &[u8]) -> Verdict {
    let peer = peer::at_start(text).filter(|(_, rest)| rest.is_empty());
    counts(peer.map(|(peer, _)| peer), Class::Acl, Part::Prelude)
}

/// `REASON for [illegal user ]U from H`, where REASON is `pam_strerror`'s of a refusal (Linux-PAM, OpenPAM,
/// Solaris). Every other text of `auth-pam.c` behind `PAM: ` is about the box.
fn pam_reason(text: &[u8]) -> Verdict {
    let reasons: [&[u8]; 6] = [
        b"Authentication failure for ",
        b"authentication error for ",
        b"Authentication error for ",
        b"Authentication failed for ",
        b"User not known to the underlying authentication module for ",
        b"Permission denied for ",
    ];
    let Some(user) = reasons.iter().find_map(|reason| text.strip_prefix(*reason)) else {
        return Verdict::Nothing;
    };
    let illegal = user.starts_with(b"illegal user ");
    let class = if illegal { Class::User } else { Class::Auth };
    counts(
        peer::from_at_end(user).map(|(_, peer)| peer),
        class,
        Part::Prelude,
    )
}

/// `NAME (A)`: what libwrap says when `/etc/hosts.deny` refuses the peer.
fn refused_connect(text: &[u8]) -> Verdict {
    let read = || {
        let mut text = Cursor::new(text);
        text.tail(b")")?;
        text.until_last(b" (")?;
        peer::peer(text.rest())
    };
    match read() {
        Some(peer) => Verdict::Counts(peer, Class::Acl, Part::Alone),
        // Without Debian's patch there is only a name.
        None => Verdict::Nothing,
    }
}

/// `[authenticating user U |invalid user U ]A port N: Change of username or service not allowed: (…) -> (…)`:
/// names on both sides. All other reasons follow a line that has counted, or tell of a broken client.
fn disconnecting(text: &[u8]) -> Verdict {
    const MARK: &[u8] = b": Change of username or service not allowed: (";
    let (Some(first), Some(last)) = (find(text, MARK), rfind(text, MARK)) else {
        return Verdict::Nothing;
    };
    if first != last {
        return Verdict::Ambiguous;
    }
    // The blank stands for the one behind `Disconnecting`.
    let peer = text.get(..first).and_then(|before| {
        let whole = peer::at_start(before).filter(|(_, rest)| rest.is_empty());
        whole
            .map(|(peer, _)| peer)
            .or_else(|| peer::with_port_at_end(before).map(|(_, peer)| peer))
    });
    counts(peer, Class::Proto, Part::Alone)
}
