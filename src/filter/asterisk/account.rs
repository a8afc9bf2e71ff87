//! Which account or extension an attempt was about, as a hash of its name.
//!
//! NOTICE and SECURITY lines name it differently: a whole To or From header, a URI, or the user alone. What is hashed is
//! the user. All of it is the sender's text: who writes another name into each attempt looks like who tries
//! many, and who writes the same name into all of them is counted like who tries one.

use crate::filter::cursor::rfind;

use super::finding::Hash;

/// The hash of the account in a header, a URI, or alone.
pub(super) fn account(text: &[u8]) -> Option<u32> {
    let user = user(text);
    // What PJSIP writes if it found none, and the manager before a login.
    (!user.is_empty() && user != b"<unknown>").then(|| ACCOUNT.and(user).folded())
}

/// The hash of an extension that was called.
pub(super) fn extension(text: &[u8]) -> Option<u32> {
    Some(EXTENSION.and(text).folded())
}

const ACCOUNT: Hash = Hash::of(b"account");
const EXTENSION: Hash = Hash::of(b"extension");

/// `100` of `"a" <sip:100@192.0.2.10>;tag=x`, `sip:100@192.0.2.10` and `100`.
fn user(text: &[u8]) -> &[u8] {
    let Some(uri) = behind(text, b"sip:").or_else(|| behind(text, b"sips:")) else {
        return text;
    };
    let end = uri.iter().position(|byte| b"@>;".contains(byte));
    uri.get(..end.unwrap_or(uri.len())).unwrap_or(uri)
}

fn behind<'a>(text: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    text.get(rfind(text, scheme)? + scheme.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_the_same_however_it_is_written() {
        for text in [
            "100",
            "sip:100@192.0.2.10",
            "<sip:100@192.0.2.10>",
            "\"x\" <sip:100@192.0.2.10>;tag=1",
            "sips:100@pbx",
            "<sip:100>",
        ] {
            assert_eq!(account(text.as_bytes()), account(b"100"), "{text}");
        }
        assert_ne!(account(b"100"), account(b"101"));
        assert_ne!(account(b"100"), extension(b"100"));
        assert_eq!(
            [account(b""), account(b"<unknown>"), account(b"sip:@h")],
            [None; 3]
        );
    }
}
