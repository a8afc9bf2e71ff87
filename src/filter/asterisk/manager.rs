//! The manager interface's messages (`main/manager.c`), on its own port and by HTTP. Always TCP.
//!
//! One login that fails brings one or two of these, the last one always `failed to authenticate as`.

use crate::addr;
use crate::filter::cursor::Cursor;
use crate::filter::{Class, Proof, Service, Step};

use super::account::account;
use super::finding::{Finding, Hash, Miss, Outcome};

/// `"%s failed to authenticate as '%s'\n"` and its kin, `authenticate`. The address stands at the head; the user
/// is the sender's text.
pub(super) fn read(message: &[u8]) -> Outcome {
    let mut cursor = Cursor::new(message);
    let Some(address) = cursor.until(b" ").and_then(addr::parse) else {
        return Err(Miss::Nothing);
    };
    let Some(&(_, class, step)) = MESSAGES
        .iter()
        .find(|&&(head, _, _)| cursor.literal(head).is_some())
    else {
        return Err(Miss::Nothing);
    };
    cursor.tail(b"'").ok_or(Miss::Torn)?;
    let finding = Finding::new(address, Service::Ami, class).naming(account(cursor.rest()));
    Ok(login(finding).at(step))
}

/// A failed login: the same identity whatever was wrong with it, because its lines differ in that.
pub(super) fn login(finding: Finding) -> Finding {
    finding.proven(Proof::Transport).of(Hash::of(b"ami.login"))
}

const MESSAGES: [(&[u8], Class, Step); 3] = [
    (b"failed to authenticate as '", Class::Auth, Step::Closing),
    (
        b"tried to authenticate with nonexistent user '",
        Class::User,
        Step::Opening,
    ),
    // Behind acl.c's "Manager User ACL: Rejecting".
    (b"failed to pass IP ACL as '", Class::Acl, Step::Opening),
];
