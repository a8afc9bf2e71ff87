//! What the families of messages have in common: what they find, how they miss, and how addresses are written.

use core::net::IpAddr;

use crate::addr;
use crate::filter::{Class, Kind, Proof, Service, Step};

/// What a message says. The reader adds the stamp and the witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) addr: IpAddr,
    pub(super) kind: Kind,
    pub(super) proof: Proof,
    pub(super) id: u64,
    pub(super) step: Step,
    pub(super) account: Option<u32>,
}

/// Why a message says nothing that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// It is another message, or one that is no offence.
    Nothing,
    /// It begins like one of ours and does not go on like it.
    Torn,
    /// Two addresses could have caused it.
    Ambiguous,
}

/// What reading one message gives.
pub(super) type Outcome = Result<Finding, Miss>;

/// One message: how it begins, and who reads the rest. A family is a list of these.
pub(super) struct Message {
    /// The bytes before the first conversion of Asterisk's format string.
    pub(super) head: &'static [u8],
    /// Reads what follows; `None` means torn.
    pub(super) read: fn(&[u8]) -> Option<Outcome>,
}

/// Reads `message` by the first entry of `family` that it begins with.
pub(super) fn by_head(family: &[Message], message: &[u8]) -> Outcome {
    for entry in family {
        if let Some(rest) = message.strip_prefix(entry.head) {
            return (entry.read)(rest).unwrap_or(Err(Miss::Torn));
        }
    }
    Err(Miss::Nothing)
}

impl Finding {
    /// A finding on blind evidence, alone in its attempt, that is told from other attempts of the same address
    /// only by what was attacked and by its time: all that NOTICE and SECURITY lines of chan_sip have in common.
    pub(super) fn new(addr: IpAddr, service: Service, class: Class) -> Finding {
        Finding {
            addr,
            kind: Kind { service, class },
            proof: Proof::Blind,
            id: id(service, class),
            step: Step::Whole,
            account: None,
        }
    }

    /// The same with another proof.
    pub(super) fn proven(self, proof: Proof) -> Finding {
        Finding { proof, ..self }
    }

    /// The same as the first or last line of its attempt.
    pub(super) fn at(self, step: Step) -> Finding {
        Finding { step, ..self }
    }

    /// The same, of an attempt on what this text names.
    pub(super) fn naming(self, account: Option<u32>) -> Finding {
        Finding { account, ..self }
    }

    /// The same, told apart by `id`.
    pub(super) fn of(self, id: Hash) -> Finding {
        Finding { id: id.0, ..self }
    }
}

/// The hash of the names of what was attacked. There are so few that all are made beforehand.
fn id(service: Service, class: Class) -> u64 {
    let of_service = IDS.get(service as usize);
    of_service
        .and_then(|ids| ids.get(class as usize))
        .map_or(0, |id| id.0)
}

const IDS: [[Hash; 5]; 8] = [
    ids_of(Service::Sip),
    ids_of(Service::Pjsip),
    ids_of(Service::Iax2),
    ids_of(Service::Ami),
    ids_of(Service::Dialplan),
    ids_of(Service::Sshd),
    ids_of(Service::Dropbear),
    ids_of(Service::Custom),
];

const fn ids_of(service: Service) -> [Hash; 5] {
    let hash = Hash::of(service.name().as_bytes());
    [
        hash.and(Class::Auth.name().as_bytes()),
        hash.and(Class::User.name().as_bytes()),
        hash.and(Class::Acl.name().as_bytes()),
        hash.and(Class::Call.name().as_bytes()),
        hash.and(Class::Proto.name().as_bytes()),
    ]
}

/// FNV-1a, 64 bits. An attacker who makes two of his attempts collide merges nothing: one identity may be
/// reused for any number of attempts anyway, and identities of different addresses never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hash(u64);

impl Hash {
    /// The hash of `text`.
    pub(super) const fn of(text: &[u8]) -> Hash {
        Hash(0xcbf2_9ce4_8422_2325).and(text)
    }

    /// The hash of what was hashed so far, an end mark, and `text`.
    pub(super) const fn and(self, text: &[u8]) -> Hash {
        let mut hash = self.step(0xff);
        let mut rest = text;
        while let [byte, after @ ..] = rest {
            hash = hash.step(*byte);
            rest = after;
        }
        hash
    }

    /// The hash in half as many bits.
    pub(super) const fn folded(self) -> u32 {
        (self.0 ^ (self.0 >> 32)) as u32
    }

    const fn step(self, byte: u8) -> Hash {
        Hash((self.0 ^ byte as u64).wrapping_mul(0x0100_0000_01b3))
    }
}

/// `192.0.2.1`, `192.0.2.1:5060`, `[2001:db8::1]`, `[2001:db8::1]:5060`, `2001:db8::1`: what
/// `ast_sockaddr_stringify` and its kin print (`main/netsock2.c`), and `ast_inet_ntoa` before them.
pub(super) fn host(text: &[u8]) -> Option<IpAddr> {
    if text.first() == Some(&b'[') {
        return bracketed(text, true);
    }
    // Most have a port; a dotted quad before one is no address of any other kind.
    if let Some((quad, port)) = split_port(text) {
        if let Some(v4) = addr::dotted_quad(quad) {
            return is_port(port).then_some(IpAddr::V4(v4));
        }
    }
    addr::parse(text).or_else(|| {
        let (address, port) = split_port(text)?;
        is_port(port)
            .then(|| addr::parse(address))
            .flatten()
            .filter(IpAddr::is_ipv4)
    })
}

/// The same where a port is always printed: `192.0.2.1:5060`, `[2001:db8::1]:5060`, and `2001:db8::1:5060`, which
/// `%s:%d` made of IPv6 in res_pjsip 13.0 to 13.23, 14, 15.0 to 15.6 and 16.0 (split at the last colon).
pub(super) fn host_and_port(text: &[u8]) -> Option<IpAddr> {
    if text.first() == Some(&b'[') {
        return bracketed(text, false);
    }
    let (address, port) = split_port(text)?;
    is_port(port).then(|| addr::parse(address)).flatten()
}

fn bracketed(text: &[u8], port_may_lack: bool) -> Option<IpAddr> {
    let inside = text.strip_prefix(b"[")?;
    let end = inside.iter().position(|&byte| byte == b']')?;
    let (address, rest) = inside.split_at_checked(end)?;
    let rest = rest.strip_prefix(b"]")?;
    let fits = match rest.strip_prefix(b":") {
        Some(port) => is_port(port),
        None => rest.is_empty() && port_may_lack,
    };
    (fits && address.contains(&b':'))
        .then(|| addr::parse(address))
        .flatten()
}

fn split_port(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|&byte| byte == b':')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Whether `text` is a port as `%d` prints it.
pub(super) fn is_port(text: &[u8]) -> bool {
    if text.len() > 5 || (text.len() > 1 && text.first() == Some(&b'0')) {
        return false;
    }
    let mut port = 0_u32;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return false;
        }
        port = port.wrapping_mul(10).wrapping_add(u32::from(digit));
    }
    port <= 65_535 && !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(read: fn(&[u8]) -> Option<IpAddr>, text: &str, want: Option<&str>) {
        let want = want.map(|want| want.parse().unwrap());
        assert_eq!(read(text.as_bytes()), want, "{text}");
    }

    #[test]
    fn addresses_come_with_and_without_a_port() {
        for (text, v) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:5060", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:5060", "2001:db8::1"),
            ("[::ffff:192.0.2.1]:5060", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("192.0.2.1:0", "192.0.2.1"),
        ] {
            check(host, text, Some(v));
        }
        check(host_and_port, "192.0.2.1:5060", Some("192.0.2.1"));
        check(host_and_port, "2001:db8::66:5060", Some("2001:db8::66"));
        check(host_and_port, "[2001:db8::66]:5060", Some("2001:db8::66"));
    }

    #[test]
    fn nothing_else_is_an_address() {
        for text in [
            "",
            ":5060",
            "192.0.2.1:",
            "192.0.2.1:65536",
            "192.0.2.1:05060",
            "192.0.2.1:+5",
            "192.0.2.1:5060x",
            "192.0.2.1 :5060",
            "[192.0.2.1]:5060",
            "[2001:db8::1",
            "[2001:db8::1]5060",
            "[2001:db8::1]:",
            "[]:5060",
            "host:5060",
            "UDP:192.0.2.1:5060",
        ] {
            check(host, text, None);
            check(host_and_port, text, None);
        }
        check(host_and_port, "192.0.2.1", None);
        check(host_and_port, "[2001:db8::1]", None);
    }

    #[test]
    fn an_identity_made_beforehand_is_that_of_the_names() {
        for service in Service::ALL {
            for class in Class::ALL {
                let names = Hash::of(service.name().as_bytes()).and(class.name().as_bytes());
                assert_eq!(id(service, class), names.0, "{}", Kind { service, class });
            }
        }
    }

    #[test]
    fn identities_do_not_run_into_each_other() {
        assert_ne!(Hash::of(b"ab").and(b"c"), Hash::of(b"a").and(b"bc"));
        assert_eq!(Hash::of(b"ab").and(b"c"), Hash::of(b"ab").and(b"c"));
    }
}
