//! Do packets of a banned source stay out, and all others come in? Over a cable between two network
//! namespaces, with both parts of the kernel that can hold bans.

#![allow(
    clippy::disallowed_methods,
    reason = "tests run programs and wait for the kernel's clock"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use sipguard::config::{Backend, Block, Protocol};
use sipguard::firewall::{Firewall, JailRule};
use sipguard::guard::{Change, Effect, JailId, Slot};
use support::{Namespace, isolated};

const SIP: u16 = 5060;

/// Runs the body with each part of the kernel, on a fresh cable.
fn with_both(test: &str, body: impl Fn(Backend, &Namespace)) {
    isolated(test, || {
        for (number, backend) in [(1, Backend::Nftables), (2, Backend::Ipset)] {
            body(backend, &Namespace::new(number));
        }
    });
}

fn jail(protocol: Protocol, ports: &[(u16, u16)]) -> JailRule {
    JailRule {
        name: "asterisk".to_owned(),
        blocks: vec![Block {
            protocol,
            ports: ports.to_vec(),
        }],
    }
}

#[track_caller]
fn change(firewall: &mut Firewall, net: &str, change: Change) {
    let effect = Effect {
        slot: Slot(0),
        jail: JailId(0),
        net: net.parse().unwrap(),
        change,
    };
    firewall.apply(&[effect], &mut |_, outcome| outcome.unwrap());
}

const FOR_A_MINUTE: Change = Change::Add {
    timeout_ms: Some(60_000),
};

/// Whether a datagram from one address of the peer gets to a port of ours.
fn datagram_arrives(peer: &Namespace, from: &str, to: &str, port: u16) -> bool {
    let socket = UdpSocket::bind((to, port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    peer.send_from(from, to);
    let sent = peer
        .command("bash")
        .args(["-c", &format!("echo hello >/dev/udp/{to}/{port}")])
        .status();
    assert!(sent.unwrap().success());
    let mut buf = [0; 100];
    match socket.recv_from(&mut buf) {
        Ok((_, source)) => {
            assert_eq!(source.ip().to_string(), from);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

/// Whether a connection from one address of the peer gets to a port of ours.
fn connection_arrives(peer: &Namespace, from: &str, to: &str, port: u16) -> bool {
    let _listener = TcpListener::bind((to, port)).unwrap();
    peer.send_from(from, to);
    let line = format!("exec 3<>/dev/tcp/{to}/{port}");
    peer.command("timeout")
        .args(["0.5", "bash", "-c", &line])
        .status()
        .unwrap()
        .success()
}

#[test]
fn a_banned_address_is_out_until_it_is_unbanned() {
    with_both("a_banned_address_is_out_until_it_is_unbanned", |backend, peer| {
        peer.address(3);
        let (here, attacker, neighbour) = (peer.v4(1), peer.v4(2), peer.v4(3));
        let mut firewall = Firewall::open(backend, &[jail(Protocol::All, &[])], 64, 100).unwrap();
        let ban = format!("{attacker}/32");
        assert!(datagram_arrives(peer, &attacker, &here, SIP));
        change(&mut firewall, &ban, FOR_A_MINUTE);
        assert!(!datagram_arrives(peer, &attacker, &here, SIP), "{backend:?}");
        assert!(!datagram_arrives(peer, &attacker, &here, 9), "every port");
        assert!(!connection_arrives(peer, &attacker, &here, SIP), "every protocol");
        assert!(datagram_arrives(peer, &neighbour, &here, SIP), "nobody else");
        change(&mut firewall, &ban, Change::Delete);
        assert!(datagram_arrives(peer, &attacker, &here, SIP));
        change(&mut firewall, &ban, Change::Add { timeout_ms: None });
        assert!(!datagram_arrives(peer, &attacker, &here, SIP));
        firewall.teardown().unwrap();
        assert!(datagram_arrives(peer, &attacker, &here, SIP));
    });
}

#[test]
fn an_ipv6_source_is_out_with_its_whole_network() {
    with_both("an_ipv6_source_is_out_with_its_whole_network", |backend, peer| {
        peer.address(3);
        peer.exec("ip addr add 2001:db8:0:ffff::2/64 dev eth0 nodad");
        let (here, attacker, neighbour) = (peer.v6(1), peer.v6(2), peer.v6(3));
        let mut firewall = Firewall::open(backend, &[jail(Protocol::All, &[])], 64, 100).unwrap();
        let ban = format!("{}/64", peer.v6(0));
        assert!(datagram_arrives(peer, &attacker, &here, SIP));
        change(&mut firewall, &ban, FOR_A_MINUTE);
        assert!(!datagram_arrives(peer, &attacker, &here, SIP), "{backend:?}");
        assert!(
            !datagram_arrives(peer, &neighbour, &here, SIP),
            "the neighbour in the /64, too"
        );
        assert!(!connection_arrives(peer, &attacker, &here, SIP), "every protocol");
        assert!(
            datagram_arrives(peer, "2001:db8:0:ffff::2", &here, SIP),
            "not another network"
        );
        change(&mut firewall, &ban, Change::Delete);
        assert!(datagram_arrives(peer, &neighbour, &here, SIP));
        firewall.teardown().unwrap();
    });
}

#[test]
fn single_ipv6_addresses_can_be_banned() {
    with_both("single_ipv6_addresses_can_be_banned", |backend, peer| {
        peer.address(3);
        let (here, attacker, neighbour) = (peer.v6(1), peer.v6(2), peer.v6(3));
        let mut firewall = Firewall::open(backend, &[jail(Protocol::All, &[])], 128, 100).unwrap();
        // Before the ban, because it also drops what the attacker's machine asks to find ours.
        assert!(datagram_arrives(peer, &neighbour, &here, SIP));
        change(&mut firewall, &format!("{attacker}/128"), FOR_A_MINUTE);
        assert!(!datagram_arrives(peer, &attacker, &here, SIP), "{backend:?}");
        assert!(datagram_arrives(peer, &neighbour, &here, SIP));
        firewall.teardown().unwrap();
    });
}

#[test]
fn a_jail_with_ports_bans_from_these_ports_only() {
    with_both("a_jail_with_ports_bans_from_these_ports_only", |backend, peer| {
        let jails = [jail(Protocol::Udp, &[(SIP, SIP + 1), (4569, 4569)])];
        let mut firewall = Firewall::open(backend, &jails, 64, 100).unwrap();
        let nets = [format!("{}/32", peer.v4(2)), format!("{}/64", peer.v6(0))];
        for (net, here, attacker) in [
            (&nets[0], peer.v4(1), peer.v4(2)),
            (&nets[1], peer.v6(1), peer.v6(2)),
        ] {
            change(&mut firewall, net, FOR_A_MINUTE);
            for port in [SIP, SIP + 1, 4569] {
                assert!(
                    !datagram_arrives(peer, &attacker, &here, port),
                    "{backend:?} {attacker} {port}"
                );
            }
            for port in [SIP - 1, SIP + 2, 4570] {
                assert!(
                    datagram_arrives(peer, &attacker, &here, port),
                    "{backend:?} {attacker} {port}"
                );
            }
            assert!(
                connection_arrives(peer, &attacker, &here, SIP),
                "{backend:?} {attacker} TCP"
            );
        }
        firewall.teardown().unwrap();
    });
}

#[test]
fn a_jail_with_tcp_ports_leaves_udp_alone() {
    with_both("a_jail_with_tcp_ports_leaves_udp_alone", |backend, peer| {
        let mut firewall = Firewall::open(backend, &[jail(Protocol::Tcp, &[(22, 22)])], 64, 100).unwrap();
        let nets = [format!("{}/32", peer.v4(2)), format!("{}/64", peer.v6(0))];
        for (net, here, attacker) in [
            (&nets[0], peer.v4(1), peer.v4(2)),
            (&nets[1], peer.v6(1), peer.v6(2)),
        ] {
            assert!(connection_arrives(peer, &attacker, &here, 22));
            change(&mut firewall, net, FOR_A_MINUTE);
            assert!(
                !connection_arrives(peer, &attacker, &here, 22),
                "{backend:?} {attacker}"
            );
            assert!(
                connection_arrives(peer, &attacker, &here, 23),
                "{backend:?} {attacker}"
            );
            assert!(
                datagram_arrives(peer, &attacker, &here, 22),
                "{backend:?} {attacker}"
            );
        }
        firewall.teardown().unwrap();
    });
}
