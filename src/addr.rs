//! Addresses and prefixes: reading them strictly, and knowing which must never be banned.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use crate::limits::NAME_BYTES_MAX;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Reads an address as Asterisk, sshd and others print it: a dotted quad without leading zeros, or an IPv6
/// address, with or without a `%zone`, without brackets and without a port. IPv4-mapped IPv6 becomes IPv4.
/// Never resolves, never guesses: anything else is `None`.
#[must_use]
pub fn parse(text: &[u8]) -> Option<IpAddr> {
    // Nearly every address in a log is one; the standard library's reader takes several times as long.
    if let Some(v4) = dotted_quad(text) {
        return Some(IpAddr::V4(v4));
    }
    let text = match text.iter().position(|&byte| byte == b'%') {
        None => text,
        Some(at) => {
            let (address, zone) = text.split_at_checked(at)?;
            let named = zone.len() > 1
                && zone
                    .iter()
                    .skip(1)
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
            (named && address.contains(&b':')).then_some(address)?
        }
    };
    // 45 bytes: the longest textual IPv6 address (INET6_ADDRSTRLEN without its NUL).
    if text.len() > 45 {
        return None;
    }
    let address: IpAddr = core::str::from_utf8(text).ok()?.parse().ok()?;
    Some(unmap(address))
}

/// Reads a dotted quad without leading zeros: `192.0.2.1`, and nothing else.
#[must_use]
pub fn dotted_quad(text: &[u8]) -> Option<Ipv4Addr> {
    let (first, rest) = octet(text)?;
    let (second, rest) = octet(rest.strip_prefix(b".")?)?;
    let (third, rest) = octet(rest.strip_prefix(b".")?)?;
    let (fourth, rest) = octet(rest.strip_prefix(b".")?)?;
    let address = first << 24 | second << 16 | third << 8 | fourth;
    rest.is_empty().then(|| Ipv4Addr::from(address))
}

/// Takes a number of up to 255 off the left end.
#[inline(always)]
fn octet(text: &[u8]) -> Option<(u32, &[u8])> {
    let digit = |byte: u8| u32::from(byte & 15);
    let (value, rest) = match text {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            (digit(*a) * 100 + digit(*b) * 10 + digit(*c), rest)
        }
        [a @ b'1'..=b'9', b @ b'0'..=b'9', rest @ ..] => (digit(*a) * 10 + digit(*b), rest),
        [a @ b'0'..=b'9', rest @ ..] => (digit(*a), rest),
        _ => return None,
    };
    (value <= 255).then_some((value, rest))
}

/// The IPv4 address inside `::ffff:a.b.c.d`; any other address unchanged.
#[must_use]
pub fn unmap(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
    }
}

/// Whether no remote host can rightfully have this address, so that no line that names it is evidence:
/// unspecified, loopback, multicast, broadcast, link-local (rule R2). The box's own addresses, gateways and
/// resolvers are known to `guard::trust`.
#[must_use]
pub fn is_never_remote(address: IpAddr) -> bool {
    match unmap(address) {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            // 0.0.0.0/8 is "this network" (RFC 1122); 240.0.0.0/4 is reserved (RFC 1112) and holds broadcast.
            first == 0 || first >= 240 || v4.is_loopback() || v4.is_multicast() || v4.is_link_local()
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local()
        }
    }
}

/// The network of `bits` leading bits that holds `address`, as its lowest address.
#[must_use]
pub fn network(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32u32.saturating_sub(u32::from(bits)))
                .unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128u32.saturating_sub(u32::from(bits)))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

/// An address, or a network if it is more than one address.
#[derive(Clone, Copy, Debug)]
pub struct HostOrNet(pub IpNet);

impl fmt::Display for HostOrNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HostOrNet(net) = self;
        if net.prefix_len() == net.max_prefix_len() {
            net.addr().fmt(f)
        } else {
            net.fmt(f)
        }
    }
}

/// Whether a text can be a name of the DNS that is worth looking up: letters, digits and what host names have beside
/// them, and no number: what inet_aton(3) reads, hexadecimal as well, the C library would take for an address.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && !text.starts_with(['-', '.'])
        && !text.contains("..")
        && text.bytes().all(plain)
        && last.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !hexadecimal.is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_c_library_takes_for_a_number_is_no_name() {
        for text in [
            "0x08080808",
            "0X7f.1",
            "1.0x2",
            "8.8.0x808",
            "0x1.2.3.4",
            "123",
            "1.2.3",
        ] {
            assert!(!is_name(text), "{text}");
        }
        for text in ["0xy.example", "x", "a.0xg", "0x.example.", "3com.com", "host-0x1"] {
            assert!(is_name(text), "{text}");
        }
    }

    #[test]
    fn a_dotted_quad_is_what_the_standard_library_takes_for_one() {
        let parts = [
            "", "0", "00", "7", "07", "42", "099", "100", "255", "256", "300", "1000", "+1", "1 ", "x",
        ];
        let mut quads = 0;
        for a in parts {
            for b in parts {
                for (c, d) in parts.iter().zip(parts.iter().cycle().skip(5)) {
                    for text in [
                        format!("{a}.{b}.{c}.{d}"),
                        format!("{c}.{a}.{d}.{b}"),
                        format!("{a}.{b}.{c}"),
                    ] {
                        let want: Option<Ipv4Addr> = text.parse().ok();
                        assert_eq!(dotted_quad(text.as_bytes()), want, "{text}");
                        quads += u32::from(want.is_some());
                    }
                }
            }
        }
        assert!(quads > 40);
        assert_eq!(dotted_quad(b"1.2.3.4."), None);
    }

    fn check(text: &str, want: Option<&str>) {
        assert_eq!(
            parse(text.as_bytes()),
            want.map(|want| want.parse().unwrap()),
            "{text}"
        );
    }

    #[test]
    fn addresses_are_read_strictly() {
        check("192.0.2.1", Some("192.0.2.1"));
        check("::ffff:192.0.2.1", Some("192.0.2.1"));
        check("2001:DB8::1", Some("2001:db8::1"));
        check("fe80::1%eth0", Some("fe80::1"));
        for wrong in [
            "192.0.2.01",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.1 ",
            " 192.0.2.1",
            "[::1]",
            "::1%",
            "192.0.2.1%eth0",
            "",
            "host",
            "::1%a b",
            "1.2.3.4.5",
            "0x7f.1",
            "2130706433",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn addresses_that_no_remote_host_has() {
        for never in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.1.1",
            "224.0.0.1",
            "239.1.2.3",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:239.0.0.1",
        ] {
            assert!(is_never_remote(never.parse().unwrap()), "{never}");
        }
        for host in [
            "192.0.2.1",
            "10.0.0.1",
            "2001:db8::1",
            "fd00::1",
            "::ffff:192.0.2.1",
            "1.0.0.1",
        ] {
            assert!(!is_never_remote(host.parse().unwrap()), "{host}");
        }
    }

    #[test]
    fn a_network_keeps_the_leading_bits() {
        let check = |address: &str, bits, want: &str| {
            assert_eq!(
                network(address.parse().unwrap(), bits),
                want.parse::<IpAddr>().unwrap()
            );
        };
        check("192.0.2.129", 24, "192.0.2.0");
        check("192.0.2.129", 0, "0.0.0.0");
        check("192.0.2.129", 32, "192.0.2.129");
        check("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::");
        check("2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6");
        check("2001:db8:1:2:3:4:5:6", 0, "::");
    }
}
