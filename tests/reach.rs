//! How far bans reach: whoever forges an address cannot cut this box off from it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "support/bans.rs"]
mod bans;
#[path = "support/host.rs"]
#[allow(dead_code, reason = "nobody is killed here")]
mod host;
mod support;

use std::net::UdpSocket;

use bans::{Listed, listed, ours};
use host::{Guard, Port, machine, wait_until};
use sipguard::config::{Backend, Protocol};
use sipguard::firewall::{Enforce as _, Firewall, JailRule};
use sipguard::guard::{Change, Effect, JailId, Reach, Slot};
use support::{Namespace, isolated, run};

const SIP: u16 = 5060;

#[track_caller]
fn change(firewall: &mut Firewall, net: &str, reach: Reach, change: Change) {
    let effect = Effect {
        slot: Slot(0),
        jail: JailId(0),
        net: net.parse().unwrap(),
        reach,
        change,
    };
    firewall.apply(&[effect], &mut |_, outcome| outcome.unwrap());
}

const ADD: Change = Change::Add {
    timeout_ms: Some(600_000),
};

/// A trunk and our PBX, each on its SIP port.
struct Trunk {
    trunk: UdpSocket,
    stranger: UdpSocket,
    pbx: Port,
    /// Our address, and the trunk's.
    here: String,
    there: String,
}

impl Trunk {
    fn new(peer: &Namespace, v6: bool) -> Trunk {
        let [here, there] = [1, 2].map(|host| if v6 { peer.v6(host) } else { peer.v4(host) });
        Trunk {
            trunk: peer.socket_at(&there, SIP),
            stranger: peer.socket(&there),
            pbx: Port::open(if v6 { "::" } else { "0.0.0.0" }, SIP),
            here,
            there,
        }
    }

    /// Whether what the trunk sends from its SIP port arrives.
    fn answers(&self) -> bool {
        self.pbx.hears(&self.trunk, &self.here)
    }

    /// Whether what somebody at its address sends from another port arrives.
    fn knocks(&self) -> bool {
        self.pbx.hears(&self.stranger, &self.here)
    }
}

fn check(backend: Backend, peer: &Namespace, jail: &JailRule, v6: bool) {
    let mut firewall = bans::open(backend, std::slice::from_ref(jail));
    assert!(!firewall.is_stateless());
    let trunk = Trunk::new(peer, v6);
    let net = if v6 {
        format!("{}/64", peer.v6(0))
    } else {
        format!("{}/32", peer.v4(2))
    };
    let what = format!("{backend:?} {:?} {net}", jail.blocks);
    assert!(trunk.knocks(), "{what}");
    change(&mut firewall, &net, Reach::Opened, ADD);
    run("ip neigh flush all");
    assert!(
        !trunk.answers() && !trunk.knocks(),
        "{what}: the flow is the other's"
    );
    trunk.pbx.send(&trunk.there, SIP);
    assert!(trunk.answers(), "{what}: the flow is ours");
    assert!(
        !trunk.knocks(),
        "{what}: another flow of the same address is not ours"
    );
    change(&mut firewall, &net, Reach::Whole, ADD);
    assert!(!trunk.answers(), "{what}: banned for good reason");
    change(&mut firewall, &net, Reach::Whole, Change::Delete);
    assert!(trunk.answers() && !trunk.knocks(), "{what}");
    change(&mut firewall, &net, Reach::Opened, Change::Delete);
    assert!(trunk.knocks(), "{what}");
    assert!(firewall.check_intact().unwrap());
    firewall.teardown().unwrap();
    assert_eq!(ours(), "");
}

fn jail(protocol: Protocol, ports: &[(u16, u16)]) -> JailRule {
    JailRule {
        by_proof: true,
        wide: false,
        ..bans::jail("asterisk", protocol, ports)
    }
}

#[test]
fn an_unproven_ban_lets_pass_what_answers_us() {
    isolated("an_unproven_ban_lets_pass_what_answers_us", || {
        let mut number = 0;
        for backend in [Backend::Nftables, Backend::Ipset] {
            for jail in [
                jail(Protocol::TcpUdp, &[(SIP, SIP + 1)]),
                jail(Protocol::All, &[]),
            ] {
                for v6 in [false, true] {
                    number += 1;
                    check(backend, &Namespace::new(number), &jail, v6);
                }
            }
        }
    });
}

#[test]
fn the_rules_are_what_iptables_itself_would_write() {
    isolated("the_rules_are_what_iptables_itself_would_write", || {
        let sip = JailRule {
            name: "sip".to_owned(),
            ..jail(Protocol::Udp, &[(SIP, SIP)])
        };
        let mut firewall = bans::open(Backend::Ipset, &[jail(Protocol::All, &[]), sip]);
        let check = |program: &str, want: &[&str]| {
            let saved = run(&format!("{program}-save -t mangle"));
            let rules: Vec<_> = saved
                .lines()
                .filter(|line| line.starts_with("-A sipguard "))
                .collect();
            assert_eq!(rules, want);
        };
        check(
            "iptables-legacy",
            &[
                "-A sipguard -m conntrack --ctdir REPLY -j RETURN",
                "-A sipguard -m set --match-set sipguard-asterisk4b src -j DROP",
                "-A sipguard -p udp -m udp --dport 5060 -m set --match-set sipguard-sip4b src -j DROP",
            ],
        );
        let [all, all_net] = ["6b", "6nb"]
            .map(|end| format!("-A sipguard -m set --match-set sipguard-asterisk{end} src -j DROP"));
        let [port, port_net] = ["6b", "6nb"].map(|end| {
            format!("-A sipguard -p udp -m udp --dport 5060 -m set --match-set sipguard-sip{end} src -j DROP")
        });
        check(
            "ip6tables-legacy",
            &[
                "-A sipguard -m conntrack --ctdir REPLY -j RETURN",
                "-A sipguard -p ipv6-icmp -j RETURN",
                &all,
                &all_net,
                &port,
                &port_net,
            ],
        );
        for harm in [
            "iptables-legacy -t mangle -F",
            "ip6tables-legacy -t mangle -F sipguard",
        ] {
            run(harm);
            assert!(!firewall.check_intact().unwrap(), "{harm}");
            firewall.rebuild().unwrap();
            assert!(firewall.check_intact().unwrap(), "{harm}");
        }
        firewall.teardown().unwrap();
        assert_eq!(ours(), "");
    });
}

#[test]
fn who_does_not_ask_for_it_pays_for_no_connection_tracking() {
    isolated("who_does_not_ask_for_it_pays_for_no_connection_tracking", || {
        let plain = JailRule {
            by_proof: false,
            wide: false,
            ..jail(Protocol::All, &[])
        };
        for (backend, look) in [
            (Backend::Nftables, "nft list ruleset"),
            (Backend::Ipset, "iptables-legacy-save"),
        ] {
            let mut firewall = bans::open(backend, std::slice::from_ref(&plain));
            let shown = run(look);
            assert!(shown.contains("sipguard"), "{shown}");
            assert!(
                !shown.contains("ct direction") && !shown.contains("conntrack"),
                "{shown}"
            );
            firewall.teardown().unwrap();
        }
    });
}

/// The whole program: the attacker forges failures of the trunk and of a phone, and has failures of its own.
fn forged_failures_cut_nobody_off(backend: Backend) {
    let mut log = machine(backend, "maxretry = 3\n");
    let mut guard = Guard::start(&["--config", "/mnt/jail.local"]);
    let peers = [1, 2, 3].map(Namespace::new);
    let [trunk, phone, attacker] = peers.each_ref().map(|peer| peer.socket_at(&peer.v4(2), SIP));
    let here = peers.each_ref().map(|peer| peer.v4(1));
    let pbx = Port::open("0.0.0.0", SIP);
    // The PBX qualifies both.
    pbx.send(&peers[0].v4(2), SIP);
    pbx.send(&peers[1].v4(2), SIP);
    assert!(pbx.hears(&attacker, &here[2]));
    for peer in &peers {
        for _ in 0..3 {
            log.fail(&peer.v4(2));
        }
        guard.wait_for_in_any_order(&format!("banned {} for", peer.v4(2)));
        assert_ne!(
            listed(backend, "asterisk4b", &peer.v4(2)),
            Listed::Absent,
            "unproven"
        );
    }
    assert!(pbx.hears(&trunk, &here[0]) && pbx.hears(&phone, &here[1]));
    let own_port = peers[2].socket(&peers[2].v4(2));
    assert!(!pbx.hears(&own_port, &here[2]), "the attacker is cut off");
    // Its address is proven when it comes by TCP.
    let address = peers[2].v4(2);
    log.line(&format!(
        "[{}] NOTICE[1] manager.c: {address} failed to authenticate as 'admin'",
        &host::wrong_password("192.0.2.1")[1..20]
    ));
    guard.wait_for(&format!("the ban of {address} is proven by now (transport)"));
    wait_until("it moves", || {
        listed(backend, "asterisk4b", &address) == Listed::Absent
            && listed(backend, "asterisk4", &address) != Listed::Absent
    });
    assert!(!pbx.hears(&attacker, &here[2]));
    assert!(pbx.hears(&trunk, &here[0]) && pbx.hears(&phone, &here[1]));
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    assert_eq!(ours(), "");
}

#[test]
fn forged_failures_cut_nobody_off_by_nftables() {
    isolated("forged_failures_cut_nobody_off_by_nftables", || {
        forged_failures_cut_nobody_off(Backend::Nftables);
    });
}

#[test]
fn forged_failures_cut_nobody_off_by_ipset() {
    isolated("forged_failures_cut_nobody_off_by_ipset", || {
        forged_failures_cut_nobody_off(Backend::Ipset);
    });
}
