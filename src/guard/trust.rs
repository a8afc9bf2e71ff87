//! Who is never banned.

use core::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::failures::number;
use crate::addr;

/// A set of addresses, as sorted ranges that do not touch; looked up in logarithmic time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    ranges: Vec<(u128, u128)>,
}

impl Trust {
    /// All addresses of these networks. IPv4-mapped IPv6 networks hold the IPv4 addresses they map.
    #[must_use]
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Trust {
        let mut ranges: Vec<(u128, u128)> = nets.into_iter().map(range).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, so_far| {
            let joins = next.0 <= so_far.1.saturating_add(1);
            if joins {
                so_far.1 = so_far.1.max(next.1);
            }
            joins
        });
        Trust { ranges }
    }

    /// Whether this address is trusted.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let number = number(address);
        self.overlaps_range(number, number)
    }

    /// Whether any address of this network is trusted.
    #[must_use]
    pub fn overlaps(&self, net: IpNet) -> bool {
        if self.ranges.is_empty() {
            return false;
        }
        let (first, last) = range(net);
        self.overlaps_range(first, last)
    }

    /// The ranges of these addresses, each with its first and its last one, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        let address = |number: u128| addr::unmap(IpAddr::from(Ipv6Addr::from(number)));
        self.ranges
            .iter()
            .map(move |&(first, last)| (address(first), address(last)))
    }

    fn overlaps_range(&self, first: u128, last: u128) -> bool {
        let behind = self.ranges.partition_point(|&(_, end)| end < first);
        self.ranges.get(behind).is_some_and(|&(start, _)| start <= last)
    }
}

/// The lowest and the highest address of a network.
fn range(net: IpNet) -> (u128, u128) {
    (number(net.network()), number(net.broadcast()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(nets: &[&str]) -> Trust {
        Trust::new(nets.iter().map(|net| net.parse().unwrap()))
    }

    #[test]
    fn addresses_of_the_networks_are_trusted_and_others_not() {
        let trust = trust(&[
            "192.168.0.0/24",
            "192.168.1.0/24",
            "10.0.0.7/32",
            "2001:db8::/32",
            "127.0.0.0/8",
        ]);
        for inside in [
            "192.168.0.0",
            "192.168.1.255",
            "10.0.0.7",
            "2001:db8:ffff::1",
            "127.9.9.9",
        ] {
            assert!(trust.holds(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "192.167.255.255",
            "192.168.2.0",
            "10.0.0.6",
            "10.0.0.8",
            "2001:db9::",
            "::1",
        ] {
            assert!(!trust.holds(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_mapped_network_is_the_ipv4_network() {
        let trust = trust(&["::ffff:192.0.2.0/120"]);
        assert!(trust.holds("192.0.2.9".parse().unwrap()));
        assert!(trust.holds("::ffff:192.0.2.9".parse().unwrap()));
        assert!(!trust.holds("192.0.3.0".parse().unwrap()));
    }

    #[test]
    fn a_network_with_one_trusted_address_overlaps() {
        let trust = trust(&["2001:db8:1:2::5/128"]);
        assert!(trust.overlaps("2001:db8:1:2::/64".parse().unwrap()));
        assert!(!trust.overlaps("2001:db8:1:3::/64".parse().unwrap()));
    }

    #[test]
    fn everything_can_be_trusted_and_nothing_too() {
        assert!(trust(&["::/0"]).holds("192.0.2.1".parse().unwrap()));
        assert!(trust(&["0.0.0.0/0"]).holds("192.0.2.1".parse().unwrap()));
        assert!(!trust(&["0.0.0.0/0"]).holds("2001:db8::1".parse().unwrap()));
        assert!(!trust(&[]).holds("192.0.2.1".parse().unwrap()));
    }
}
