//! The addresses this box lives by: its own, its default gateways, its resolvers. None of them is ever banned
//! (rule R2).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fs;
use std::io;
use std::path::Path;

use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;

use super::file;

/// More than this many addresses of each sort are not looked at; a router has a handful.
const EACH_MAX: usize = 256;

/// The user id whose files are believed.
const ROOT: u32 = 0;

/// So much of a list of resolvers is read, in bytes.
const RESOLVER_BYTES_MAX: usize = 64 * 1024;

/// Where resolvers are written down: the standard place, and OpenWrt's, whose `/etc/resolv.conf` names only
/// the box itself.
const RESOLVER_FILES: [&str; 3] = [
    "/etc/resolv.conf",
    "/tmp/resolv.conf.d/resolv.conf.auto",
    "/run/systemd/resolve/resolv.conf",
];

/// Every address of an interface, default gateway and resolver that can be found. What cannot be read is
/// left out: a box without IPv6 has no `/proc/net/ipv6_route`.
pub fn addresses() -> io::Result<Vec<IpNet>> {
    let mut found: Vec<IpAddr> = Vec::new();
    for interface in getifaddrs()?.take(EACH_MAX) {
        if let Some(address) = interface.address {
            found.extend(address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip())));
            found.extend(address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())));
        }
    }
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    found.extend(
        text("/proc/net/route")
            .lines()
            .filter_map(gateway4)
            .map(IpAddr::V4)
            .take(EACH_MAX),
    );
    found.extend(
        text("/proc/net/ipv6_route")
            .lines()
            .filter_map(gateway6)
            .map(IpAddr::V6)
            .take(EACH_MAX),
    );
    for path in RESOLVER_FILES {
        let Ok((bytes, owner)) = file::read(Path::new(path), RESOLVER_BYTES_MAX) else {
            continue;
        };
        // Where there is no OpenWrt, any user may make a file of that name in /tmp.
        if owner == ROOT || !path.starts_with("/tmp/") {
            let text = String::from_utf8_lossy(&bytes);
            found.extend(text.lines().filter_map(resolver).take(EACH_MAX));
        }
    }
    Ok(found.into_iter().map(IpNet::from).collect())
}

/// The gateway of a default route in a line of `/proc/net/route` (`net/ipv4/fib_trie.c`): interface,
/// destination, gateway, … as hexadecimal numbers in the byte order of the machine.
fn gateway4(line: &str) -> Option<Ipv4Addr> {
    let mut fields = line.split_whitespace().skip(1);
    let (destination, gateway) = (fields.next()?, fields.next()?);
    let gateway = u32::from_str_radix(gateway, 16).ok()?;
    (destination == "00000000" && gateway != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
}

/// The gateway of a default route in a line of `/proc/net/ipv6_route` (`net/ipv6/route.c`): destination,
/// its prefix length, source, its prefix length, gateway, …, all hexadecimal.
fn gateway6(line: &str) -> Option<Ipv6Addr> {
    let mut fields = line.split_whitespace();
    let (_, length) = (fields.next()?, fields.next()?);
    let gateway = u128::from_str_radix(fields.nth(2)?, 16).ok()?;
    (length == "00" && gateway != 0).then(|| Ipv6Addr::from(gateway))
}

/// The address in a `nameserver` line of resolv.conf(5).
fn resolver(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace();
    (words.next()? == "nameserver").then_some(())?;
    crate::addr::parse(words.next()?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_and_resolvers_are_read() {
        let router = u32::from_ne_bytes([192, 168, 0, 1]);
        let line = format!("eth0\t00000000\t{router:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0");
        assert_eq!(gateway4(&line), Some(Ipv4Addr::new(192, 168, 0, 1)));
        assert_eq!(
            gateway4("eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"),
            None
        );
        assert_eq!(gateway4("Iface\tDestination\tGateway \tFlags"), None);
        let line = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                    20010db8000000000000000000000001 00000400 00000001 00000000 00000003 eth0";
        assert_eq!(gateway6(line), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(gateway6(&line.replacen(" 00 ", " 40 ", 1)), None);
        assert_eq!(
            resolver("nameserver 192.0.2.53"),
            Some("192.0.2.53".parse().unwrap())
        );
        assert_eq!(resolver("# nameserver 192.0.2.53"), None);
        assert_eq!(resolver("search example.org"), None);
    }

    #[test]
    fn the_loopback_address_is_among_our_own() {
        let all = addresses().unwrap();
        assert!(all.contains(&"127.0.0.1/32".parse().unwrap()), "{all:?}");
    }
}
