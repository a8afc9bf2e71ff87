//! Does the real kernel do what `firewall` asks of it? The system's own programs look.

#![allow(clippy::disallowed_methods, reason = "waits for the kernel's clock")]

mod support;

use sipguard::config::{Backend, Block, Protocol};
use sipguard::firewall::{Firewall, JailRule, Refusal};
use sipguard::guard::{Change, Effect, JailId, Slot};
use support::{isolated, run};

fn jail(name: &str, protocol: Protocol, ports: &[(u16, u16)]) -> JailRule {
    JailRule {
        name: name.to_owned(),
        blocks: vec![Block {
            protocol,
            ports: ports.to_vec(),
        }],
    }
}

fn add(slot: u32, net: &str, seconds: u64) -> Effect {
    let timeout_ms = (seconds > 0).then_some(seconds * 1000);
    Effect {
        slot: Slot(slot),
        jail: JailId(0),
        net: net.parse().unwrap(),
        change: Change::Add { timeout_ms },
    }
}

fn apply(firewall: &mut Firewall, effects: &[Effect]) -> Vec<(u32, Result<(), Refusal>)> {
    let mut outcomes = Vec::new();
    firewall.apply(effects, &mut |slot, result| outcomes.push((slot.0, result)));
    assert_eq!(outcomes.len(), effects.len());
    outcomes
}

#[test]
fn first() {
    isolated("first", || {
        let jails = [
            jail("asterisk", Protocol::All, &[]),
            jail("sip", Protocol::TcpUdp, &[(5060, 5061), (4569, 4569)]),
        ];
        let mut firewall =
            Firewall::open(Backend::Nftables, &jails, 64, 1000).unwrap_or_else(|f| panic!("{f}"));
        println!(
            "{:?}",
            apply(
                &mut firewall,
                &[add(1, "192.0.2.1/32", 600), add(2, "2001:db8::/64", 0)]
            )
        );
        println!("{}", run("nft list ruleset"));
        println!(
            "{:?}",
            apply(
                &mut firewall,
                &[add(1, "192.0.2.1/32", 60), add(3, "192.0.2.3/32", 0)]
            )
        );
        println!("{}", run("nft list ruleset"));
        firewall.rebuild().unwrap();
        firewall.teardown().unwrap();
        println!("{}", run("nft list ruleset"));
    });
}

#[test]
fn second() {
    isolated("second", || {
        run("iptables-legacy -t raw -N other");
        run("iptables-legacy -t raw -A PREROUTING -s 192.0.2.9 -j other");
        run("iptables-legacy -t raw -A other -p udp -j ACCEPT");
        run("iptables-legacy -t raw -A OUTPUT -d 192.0.2.9");
        println!("{}", run("iptables-legacy-save -t raw -c"));
        let jails = [
            jail("asterisk", Protocol::All, &[]),
            jail("sip", Protocol::TcpUdp, &[(5060, 5061), (4569, 4569)]),
        ];
        let mut firewall = Firewall::open(Backend::Ipset, &jails, 64, 1000).unwrap_or_else(|f| panic!("{f}"));
        println!(
            "{:?}",
            apply(
                &mut firewall,
                &[add(1, "192.0.2.1/32", 600), add(2, "2001:db8::/64", 0)]
            )
        );
        println!("{}", run("ipset list"));
        println!(
            "{:?}",
            apply(
                &mut firewall,
                &[add(1, "192.0.2.1/32", 60), add(3, "192.0.2.3/32", 0)]
            )
        );
        println!("{}", run("ipset list"));
        println!("{}", run("iptables-legacy-save -c"));
        println!("{}", run("ip6tables-legacy-save"));
        firewall.rebuild().unwrap();
        println!("{}", run("iptables-legacy-save -c"));
        firewall.teardown().unwrap();
        println!("{}", run("ipset list"));
        println!("{}", run("iptables-legacy-save -c"));
        println!("{}", run("ip6tables-legacy-save"));
    });
}
