//! Ports and protocols, and what several firewall actions block together.

use super::{Block, Protocol};

/// Services that jails name. The names are those of IANA's registry and of Debian's /etc/services.
const SERVICES: &[(&str, u16)] = &[
    ("sip", 5060),
    ("sips", 5061),
    ("sip-tls", 5061),
    ("iax", 4569),
    ("iax2", 4569),
    ("ssh", 22),
    ("http", 80),
    ("https", 443),
    ("http-alt", 8080),
    ("ftp", 21),
    ("ftp-data", 20),
    ("telnet", 23),
    ("smtp", 25),
    ("submission", 587),
    ("smtps", 465),
    ("submissions", 465),
    ("domain", 53),
    ("pop3", 110),
    ("pop3s", 995),
    ("imap", 143),
    ("imap2", 143),
    ("imaps", 993),
    ("stun", 3478),
    ("turn", 3478),
    ("stuns", 5349),
    ("turns", 5349),
    ("h323hostcall", 1720),
    ("mgcp-gateway", 2427),
    ("mgcp-callagent", 2727),
];

/// `5060`, `ssh`, `5060:5080` or `5060-5080`.
pub(super) fn range(text: &str) -> Option<(u16, u16)> {
    if let Some(port) = port(text) {
        return Some((port, port));
    }
    let (first, last) = text.split_once([':', '-'])?;
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

fn port(text: &str) -> Option<u16> {
    match super::value::number(text) {
        Some(number) => u16::try_from(number).ok(),
        None => {
            let service = SERVICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            service.map(|&(_, port)| port)
        }
    }
}

/// One word of `protocol`.
pub(super) fn protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "all" | "any" => Some(Protocol::All),
        _ => None,
    }
}

impl Protocol {
    /// Packets of this protocol or the other.
    pub(super) fn or(self, other: Protocol) -> Protocol {
        match (self, other) {
            (Protocol::All, _) | (_, Protocol::All) => Protocol::All,
            (Protocol::Tcp, Protocol::Tcp) => Protocol::Tcp,
            (Protocol::Udp, Protocol::Udp) => Protocol::Udp,
            (Protocol::Tcp | Protocol::Udp | Protocol::TcpUdp, _) => Protocol::TcpUdp,
        }
    }

    fn has_tcp(self) -> bool {
        matches!(self, Protocol::Tcp | Protocol::TcpUdp)
    }

    fn has_udp(self) -> bool {
        matches!(self, Protocol::Udp | Protocol::TcpUdp)
    }
}

/// The ports sorted, without overlaps and gaps of nothing; empty if they are all there are.
pub(super) fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    // No packet has port 0.
    match merged.first() {
        Some(&(0 | 1, u16::MAX)) => Vec::new(),
        _ => merged,
    }
}

/// What all these blocks block together: at most one for each protocol, and one for both if they agree.
pub(super) fn together(blocks: &[Block]) -> Vec<Block> {
    if blocks.iter().any(|block| block.protocol == Protocol::All) {
        return vec![Block {
            protocol: Protocol::All,
            ports: Vec::new(),
        }];
    }
    let of = |has: fn(Protocol) -> bool| {
        let mut of = blocks.iter().filter(|block| has(block.protocol)).peekable();
        of.peek()?;
        let mut ranges = Vec::new();
        for block in of {
            if block.ports.is_empty() {
                return Some(Vec::new());
            }
            ranges.extend_from_slice(&block.ports);
        }
        Some(merged(ranges))
    };
    let block = |protocol, ports| Block { protocol, ports };
    match (of(Protocol::has_tcp), of(Protocol::has_udp)) {
        (Some(tcp), Some(udp)) if tcp == udp => vec![block(Protocol::TcpUdp, tcp)],
        (tcp, udp) => {
            let tcp = tcp.map(|ports| block(Protocol::Tcp, ports));
            let udp = udp.map(|ports| block(Protocol::Udp, ports));
            tcp.into_iter().chain(udp).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{All, Tcp, TcpUdp, Udp};

    #[test]
    fn ports_have_numbers_names_and_ranges() {
        for (text, want) in [
            ("5060", Some((5060, 5060))),
            ("ssh", Some((22, 22))),
            ("SIP", Some((5060, 5060))),
            ("sip-tls", Some((5061, 5061))),
            ("5060:5080", Some((5060, 5080))),
            ("5060-5080", Some((5060, 5080))),
            ("sip:sip-tls", Some((5060, 5061))),
            ("0:65535", Some((0, 65535))),
            ("65536", None),
            ("5080:5060", None),
            ("", None),
            (":", None),
            ("5060:", None),
            ("-1", None),
            ("sshh", None),
            ("5060;5061", None),
        ] {
            assert_eq!(range(text), want, "{text}");
        }
    }

    #[test]
    fn port_ranges_merge() {
        let check = |ranges: &[(u16, u16)], want: &[(u16, u16)]| assert_eq!(merged(ranges.to_vec()), want);
        check(&[(5061, 5061), (5060, 5060)], &[(5060, 5061)]);
        check(&[(1, 9), (3, 4), (11, 12)], &[(1, 9), (11, 12)]);
        check(&[(0, 65535)], &[]);
        check(&[(1000, 65535), (1, 999)], &[]);
        check(&[(65535, 65535), (65535, 65535)], &[(65535, 65535)]);
        check(&[(2, 65535)], &[(2, 65535)]);
    }

    #[test]
    fn blocks_merge_by_protocol() {
        let block = |protocol, ports: &[(u16, u16)]| Block {
            protocol,
            ports: ports.to_vec(),
        };
        let check = |blocks: &[Block], want: &[Block]| assert_eq!(together(blocks), want);
        let sip = &[(5060, 5061)][..];
        check(&[], &[]);
        check(&[block(Tcp, sip), block(Udp, sip)], &[block(TcpUdp, sip)]);
        check(
            &[block(Udp, sip), block(Tcp, &[(22, 22)])],
            &[block(Tcp, &[(22, 22)]), block(Udp, sip)],
        );
        check(
            &[block(TcpUdp, sip), block(Udp, &[])],
            &[block(Tcp, sip), block(Udp, &[])],
        );
        check(
            &[block(Tcp, sip), block(All, &[]), block(Udp, sip)],
            &[block(All, &[])],
        );
        check(&[block(Tcp, &[]), block(Udp, &[])], &[block(TcpUdp, &[])]);
    }
}
