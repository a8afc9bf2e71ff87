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

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use sipguard::config::{Backend, Block, Protocol};
use sipguard::firewall::{Enforce as _, Firewall, JailRule};
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

/// What the peer sends.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Datagram,
    Connection,
}

use Sent::{Connection, Datagram};

/// What that address of the peer sends gets to a port of ours.
#[track_caller]
fn gets_in(sent: Sent, peer: &Namespace, from: &str, to: &str, port: u16) {
    assert!(
        arrives(sent, peer, from, to, port, Duration::from_secs(10)),
        "{sent:?} from {from} to port {port}"
    );
}

/// What that address of the peer sends does not get to a port of ours.
#[track_caller]
fn stays_out(sent: Sent, peer: &Namespace, from: &str, to: &str, port: u16) {
    assert!(
        !arrives(sent, peer, from, to, port, Duration::from_millis(300)),
        "{sent:?} from {from} to port {port}"
    );
}

fn arrives(sent: Sent, peer: &Namespace, from: &str, to: &str, port: u16, patience: Duration) -> bool {
    peer.send_from(from, to);
    match sent {
        Datagram => {
            let socket = UdpSocket::bind((to, port)).unwrap();
            socket.set_read_timeout(Some(patience)).unwrap();
            let line = format!("echo hello >/dev/udp/{to}/{port}");
            assert!(
                peer.command("bash")
                    .args(["-c", &line])
                    .status()
                    .unwrap()
                    .success()
            );
            let received = socket.recv_from(&mut [0; 100]);
            received.is_ok_and(|(_, source)| source.ip().to_string() == from)
        }
        Connection => {
            let _listener = TcpListener::bind((to, port)).unwrap();
            let line = format!("exec 3<>/dev/tcp/{to}/{port}");
            let seconds = patience.as_secs_f32().to_string();
            peer.command("timeout")
                .args([&seconds, "bash", "-c", &line])
                .status()
                .unwrap()
                .success()
        }
    }
}

#[test]
fn a_banned_address_is_out_until_it_is_unbanned() {
    with_both("a_banned_address_is_out_until_it_is_unbanned", |backend, peer| {
        peer.address(3);
        let (here, attacker, neighbour) = (peer.v4(1), peer.v4(2), peer.v4(3));
        let mut firewall = Firewall::open(backend, &[jail(Protocol::All, &[])], 64, 100).unwrap();
        let ban = format!("{attacker}/32");
        gets_in(Datagram, peer, &attacker, &here, SIP);
        change(&mut firewall, &ban, FOR_A_MINUTE);
        stays_out(Datagram, peer, &attacker, &here, SIP);
        stays_out(Datagram, peer, &attacker, &here, 9);
        stays_out(Connection, peer, &attacker, &here, SIP);
        gets_in(Datagram, peer, &neighbour, &here, SIP);
        change(&mut firewall, &ban, Change::Delete);
        gets_in(Datagram, peer, &attacker, &here, SIP);
        change(&mut firewall, &ban, Change::Add { timeout_ms: None });
        stays_out(Datagram, peer, &attacker, &here, SIP);
        firewall.teardown().unwrap();
        gets_in(Datagram, peer, &attacker, &here, SIP);
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
        gets_in(Datagram, peer, &attacker, &here, SIP);
        change(&mut firewall, &ban, FOR_A_MINUTE);
        stays_out(Datagram, peer, &attacker, &here, SIP);
        stays_out(Datagram, peer, &neighbour, &here, SIP);
        stays_out(Connection, peer, &attacker, &here, SIP);
        gets_in(Datagram, peer, "2001:db8:0:ffff::2", &here, SIP);
        change(&mut firewall, &ban, Change::Delete);
        gets_in(Datagram, peer, &neighbour, &here, SIP);
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
        gets_in(Datagram, peer, &neighbour, &here, SIP);
        change(&mut firewall, &format!("{attacker}/128"), FOR_A_MINUTE);
        stays_out(Datagram, peer, &attacker, &here, SIP);
        gets_in(Datagram, peer, &neighbour, &here, SIP);
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
                stays_out(Datagram, peer, &attacker, &here, port);
            }
            for port in [SIP - 1, SIP + 2, 4570] {
                gets_in(Datagram, peer, &attacker, &here, port);
            }
            gets_in(Connection, peer, &attacker, &here, SIP);
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
            gets_in(Connection, peer, &attacker, &here, 22);
            change(&mut firewall, net, FOR_A_MINUTE);
            stays_out(Connection, peer, &attacker, &here, 22);
            gets_in(Connection, peer, &attacker, &here, 23);
            gets_in(Datagram, peer, &attacker, &here, 22);
        }
        firewall.teardown().unwrap();
    });
}
