//! Who is at the other end, as OpenSSH writes it: `192.0.2.1 port 40001`, or without a port in older
//! versions.
//!
//! Each reader walks over blanks from one end of the text and looks at no other place, so that what a client
//! planted elsewhere is never reached.

use core::net::IpAddr;

use crate::addr;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Its address.
    Address(IpAddr),
    /// A host name (`UseDNS yes`), or `UNKNOWN` (`canohost.c`: the connection was gone).
    Name,
}

/// An address or a name; `None` if `word` is neither.
pub(super) fn peer(word: &[u8]) -> Option<Peer> {
    if let Some(address) = addr::parse(word) {
        return Some(Peer::Address(address));
    }
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(byte);
    (!word.is_empty() && word.iter().all(named)).then_some(Peer::Name)
}

/// `BEFORE PEER port N`: what is before, and the peer.
pub(super) fn with_port_at_end(text: &[u8]) -> Option<(&[u8], Peer)> {
    let (text, port) = last_word(text)?;
    let text = text.strip_suffix(b" port").filter(|_| is_port(port))?;
    let (before, word) = last_word(text)?;
    Some((before, peer(word)?))
}

/// `BEFORE from PEER port N`: what is before, and the peer.
pub(super) fn from_with_port_at_end(text: &[u8]) -> Option<(&[u8], Peer)> {
    let (before, peer) = with_port_at_end(text)?;
    Some((before.strip_suffix(b" from")?, peer))
}

/// The same, or `BEFORE from PEER`. Only for messages that some version writes without a port: in all others
/// that would be a line cut within an address.
pub(super) fn from_at_end(text: &[u8]) -> Option<(&[u8], Peer)> {
    from_with_port_at_end(text).or_else(|| {
        let (before, word) = last_word(text)?;
        Some((before.strip_suffix(b" from")?, peer(word)?))
    })
}

/// `PEER port N…`, or `PEER…` up to a blank, or up to the colon that ends the word: the peer, and what
/// follows.
pub(super) fn at_start(text: &[u8]) -> Option<(Peer, &[u8])> {
    let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    let (word, rest) = match word.strip_suffix(b":") {
        Some(bare) if addr::parse(word).is_none() => (bare, text.get(bare.len()..)?),
        _ => (word, rest),
    };
    let peer = peer(word)?;
    let Some(port) = rest.strip_prefix(b" port ") else {
        return Some((peer, rest));
    };
    let digits = port.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (port, rest) = port.split_at_checked(digits)?;
    is_port(port).then_some((peer, rest))
}

/// The last word, and what is before the blank before it.
fn last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = text.iter().rposition(|&byte| byte == b' ')?;
    let (before, word) = text.split_at_checked(blank)?;
    Some((before, word.strip_prefix(b" ")?))
}

/// A port number; OpenSSH writes 65535 for `UNKNOWN` peers and 0 for those without ports.
pub(super) fn is_port(word: &[u8]) -> bool {
    (1..=5).contains(&word.len()) && word.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Option<&str> = Some("192.0.2.1");

    fn check(got: Option<(&[u8], Peer)>, text: &str, want: Option<&str>) {
        let shown = got.map(|(_, peer)| match peer {
            Peer::Address(address) => address.to_string(),
            Peer::Name => String::from("name"),
        });
        assert_eq!(shown.as_deref(), want, "{text}");
    }

    #[test]
    fn a_peer_at_the_end_is_the_last_one() {
        let end = |text: &'static str, want| check(from_at_end(text.as_bytes()), text, want);
        end("u from 192.0.2.1", PEER);
        end("u from 192.0.2.1 port 1", PEER);
        end(" from 192.0.2.1", PEER);
        end(" from 198.51.100.7 port 5 from 192.0.2.1 port 1", PEER);
        end("u from 198.51.100.7 port 5 from 192.0.2.1", PEER);
        end("u from host.example port 5", Some("name"));
        end("u from UNKNOWN port 65535", Some("name"));
        end("u from 2001:db8::1%eth0 port 5", Some("2001:db8::1"));
        for torn in [
            "",
            "from 192.0.2.1",
            "u from 192.0.2.1 ",
            "u from 192.0.2.1 port ",
            "u from 192.0.2.1 port 123456",
            "u from 192.0.2.1 port x",
            "u from  port 1",
            "u fro 192.0.2.1",
            "u from 192.0.2.1, port 1",
        ] {
            check(from_at_end(torn.as_bytes()), torn, None);
        }
    }

    #[test]
    fn a_peer_at_the_start_is_the_first_one() {
        let start = |text: &'static str, want, rest: &str| {
            let got = at_start(text.as_bytes()).map(|(peer, rest)| (rest, peer));
            check(got, text, want);
            assert_eq!(got.map_or(&b""[..], |(rest, _)| rest), rest.as_bytes(), "{text}");
        };
        start("192.0.2.1 port 1:11: x", PEER, ":11: x");
        start("192.0.2.1: 11: x", PEER, ": 11: x");
        start("192.0.2.1", PEER, "");
        start("192.0.2.1 portal", PEER, " portal");
        start("2001:db8::: 11: x", Some("2001:db8::"), ": 11: x");
        start("2001:db8:: port 5:11: x", Some("2001:db8::"), ":11: x");
        start("2001:db8::1 port 5: x", Some("2001:db8::1"), ": x");
        start("192.0.2.1 port x", None, "");
        start(" 192.0.2.1", None, "");
        start("", None, "");
    }
}
