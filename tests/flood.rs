//! A flood of forged sources: what the kernel takes of each, with both its parts, and what the guard says of it.

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

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bans::{jail, open, ours, with_both};
use host::{Guard, Log, machine};
use sipguard::config::{Backend, Protocol};
use sipguard::firewall::{Enforce as _, Firewall};
use sipguard::guard::JailId;
use sipguard::limits::{FLOOD_BURST, FLOOD_PACKETS_BURST, FLOOD_PACKETS_PER_SECOND};
use support::{Namespace, isolated, run};

const SIP: u16 = 5060;

/// What a socket of ours has heard, up to now.
fn heard(socket: &UdpSocket) -> u32 {
    let mut buffer = [0; 64];
    let mut packets = 0;
    while socket.recv(&mut buffer).is_ok() {
        packets += 1;
    }
    packets
}

fn ours_at(address: &str, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((address, port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    socket
}

/// How many of `packets` sent at once arrive, and how many may at most.
fn pour(from: &UdpSocket, to: &str, at: &UdpSocket, packets: u32) -> (u32, u32) {
    let (start, mut arrived) = (Instant::now(), 0);
    let port = at.local_addr().unwrap().port();
    // In parts that the socket's buffer holds.
    for _ in 0..packets / 50 {
        for _ in 0..50 {
            from.send_to(b"knock", (to, port)).unwrap();
        }
        at.set_nonblocking(true).unwrap();
        arrived += heard(at);
        at.set_nonblocking(false).unwrap();
    }
    let most = FLOOD_PACKETS_BURST + 1 + start.elapsed().as_secs() as u32 * FLOOD_PACKETS_PER_SECOND;
    (arrived + heard(at), most + FLOOD_PACKETS_PER_SECOND)
}

#[track_caller]
fn assert_limited((arrived, most): (u32, u32), packets: u32) {
    assert!(
        arrived >= FLOOD_PACKETS_BURST,
        "{arrived} of {packets}: not even a burst"
    );
    assert!(
        arrived <= most,
        "{arrived} of {packets}: {}",
        run("nft list ruleset")
    );
}

fn shown(firewall: &Firewall) -> String {
    match firewall.backend() {
        "ipset" => run("iptables-legacy-save") + &run("ip6tables-legacy-save"),
        _ => run("nft list table inet sipguard"),
    }
}

fn is_limiting(firewall: &Firewall) -> bool {
    let shown = shown(firewall);
    shown.contains("chain flood") || shown.contains("hashlimit")
}

#[test]
fn who_sends_too_much_is_limited_and_phones_and_trunks_are_not() {
    with_both(
        "who_sends_too_much_is_limited_and_phones_and_trunks_are_not",
        |backend| {
            let mut firewall = open(
                backend,
                &[
                    jail("asterisk", Protocol::TcpUdp, &[(5060, 5061)]),
                    jail("other", Protocol::Udp, &[(4569, 4569)]),
                ],
            );
            let plain = shown(&firewall);
            let [peer, trunk] = [1, 2].map(Namespace::new);
            for address in ["3", "4"] {
                peer.address(address.parse().unwrap());
            }
            let here = [peer.v4(1), peer.v6(1)];
            let attackers = [peer.v4(2), peer.v6(2)].map(|address| peer.socket(&address));
            let phone = peer.socket(&peer.v4(3));
            let neighbour = peer.socket(&peer.v6(4));
            let trunk_socket = trunk.socket_at(&trunk.v4(2), SIP);
            trunk_socket
                .set_read_timeout(Some(Duration::from_millis(300)))
                .unwrap();
            let pbx = here.each_ref().map(|address| ours_at(address, SIP));
            let [other, speech] = [4569, 10_000].map(|port| ours_at(&here[0], port));

            firewall.limit(&[JailId(0)]).unwrap();
            firewall.limit(&[JailId(0)]).unwrap();
            let limiting = shown(&firewall);
            match backend {
                Backend::Ipset => {
                    let rule = "-p udp -m udp --dport 5060:5061 -m hashlimit --hashlimit-above 30/sec \
                            --hashlimit-burst 60 --hashlimit-mode srcip --hashlimit-name sipguard-asterisk";
                    assert_eq!(limiting.matches(rule).count(), 2, "{limiting}");
                }
                Backend::Auto | Backend::Nftables => {
                    for rule in [
                        "update @asterisk4f { ip saddr timeout 3s limit rate over 30/second burst 60 packets }",
                        "update @asterisk6f { ip6 saddr & ffff:ffff:ffff:ffff:: timeout 3s limit rate over 30/second \
                     burst 60 packets }",
                        "udp dport 5060-5061 jump asterisk-flood",
                        "ct direction reply accept",
                        "iif \"lo\" accept",
                    ] {
                        assert!(limiting.contains(rule), "{rule}: {limiting}");
                    }
                    assert!(limiting.contains("size 32768") && limiting.contains("flags dynamic,timeout"));
                }
            }
            assert!(firewall.check_intact().unwrap());

            for number in 0..2 {
                assert_limited(pour(&attackers[number], &here[number], &pbx[number], 500), 500);
            }
            // All of a /64 is one source.
            let (arrived, _) = pour(&neighbour, &here[1], &pbx[1], 50);
            assert!(arrived < 50, "{arrived}");
            // A phone meanwhile, five a second.
            for round in 0..10 {
                attackers[0].send_to(b"knock", (here[0].as_str(), SIP)).unwrap();
                heard(&pbx[0]);
                phone.send_to(b"phone", (here[0].as_str(), SIP)).unwrap();
                assert_eq!(heard(&pbx[0]), 1, "round {round}");
                sleep(Duration::from_millis(100));
            }
            // What answers us, in a flow that we opened, however much it is; and what we say to ourselves.
            let registers = ours_at(&trunk.v4(1), SIP);
            registers.send_to(b"register", (trunk.v4(2), SIP)).unwrap();
            trunk_socket.recv(&mut [0; 64]).unwrap();
            assert_eq!(pour(&trunk_socket, &trunk.v4(1), &registers, 300).0, 300);
            let lo = UdpSocket::bind("127.0.0.2:0").unwrap();
            let local = ours_at("127.0.0.1", SIP);
            assert_eq!(pour(&lo, "127.0.0.1", &local, 300).0, 300);
            // Other ports: of a jail that is in no flood, and of none.
            assert_eq!(pour(&attackers[0], &here[0], &other, 300).0, 300);
            assert_eq!(pour(&attackers[0], &here[0], &speech, 300).0, 300);

            // Another flood, beside this one and alone.
            firewall.limit(&[JailId(0), JailId(1)]).unwrap();
            assert_limited(pour(&attackers[0], &here[0], &other, 500), 500);
            firewall.limit(&[JailId(1)]).unwrap();
            assert_eq!(pour(&attackers[0], &here[0], &pbx[0], 300).0, 300);
            assert!(firewall.check_intact().unwrap());
            // What was flushed comes back with the rest, and goes when the flood is over.
            firewall.rebuild().unwrap();
            assert!(firewall.check_intact().unwrap());
            sleep(Duration::from_secs(4));
            assert_limited(pour(&attackers[0], &here[0], &other, 500), 500);
            firewall.limit(&[]).unwrap();
            assert!(firewall.check_intact().unwrap());
            assert_eq!(pour(&attackers[0], &here[0], &other, 300).0, 300);
            assert_eq!(
                shown(&firewall).matches("sipguard").count(),
                plain.matches("sipguard").count()
            );
            assert!(!is_limiting(&firewall), "{}", shown(&firewall));
            firewall.teardown().unwrap();
        },
    );
}

#[test]
fn where_everything_is_blocked_speech_is_not_limited() {
    with_both("where_everything_is_blocked_speech_is_not_limited", |backend| {
        let mut firewall = open(backend, &[bans::asterisk()]);
        let peer = Namespace::new(1);
        let (socket, here) = (peer.socket(&peer.v4(2)), peer.v4(1));
        let [sip, speech] = [5061, 10_000].map(|port| ours_at(&here, port));
        firewall.limit(&[JailId(0)]).unwrap();
        assert_limited(pour(&socket, &here, &sip, 500), 500);
        assert_eq!(pour(&socket, &here, &speech, 300).0, 300);
        // A run that ends in a flood leaves it to the next, which knows of none.
        drop(firewall);
        let mut firewall = open(backend, &[bans::asterisk()]);
        assert!(!is_limiting(&firewall), "{}", shown(&firewall));
        assert_eq!(pour(&socket, &here, &sip, 300).0, 300);
        firewall.limit(&[JailId(0)]).unwrap();
        firewall.teardown().unwrap();
    });
}

/// Failures of so many sources, each once.
fn storm(sources: u32) -> String {
    let line = host::wrong_password("ADDRESS");
    let mut text = String::new();
    for number in 0..sources {
        let [_, b, c, d] = number.to_be_bytes();
        let _ = writeln!(text, "{}", line.replace("ADDRESS", &format!("100.{b}.{c}.{d}")));
    }
    text
}

fn guard(backend: Backend, more: &[&str]) -> (Guard, Log) {
    let log = machine(backend, "maxretry = 1\n");
    let arguments = [more, &["--config", "/mnt/jail.local"]].concat();
    (Guard::start(&arguments), log)
}

fn a_flood_is_said_and_shown(backend: Backend) {
    let (mut guard, mut log) = guard(backend, &[]);
    log.line(storm(FLOOD_BURST + 1_000).trim_end());
    let line = guard.wait_for("a flood of forged sources");
    assert!(
        line.contains(
            "; the kernel takes 30 packets a second of each source at the jail's ports jail=asterisk"
        ),
        "{line}"
    );
    let status = run(&format!("{} status", host::program_under_test()));
    assert!(
        status.contains(
            "FLOOD     of forged sources: no bans on what may be forged; the kernel takes 30 packets"
        ),
        "{status}"
    );
    let rules = run("nft list ruleset") + &run("iptables-legacy-save");
    assert!(
        rules.contains("chain flood") || rules.contains("hashlimit"),
        "{rules}"
    );
    // It goes on over a reload that lays the kernel out anew.
    let config = fs::read_to_string("/mnt/jail.local").unwrap();
    fs::write(
        "/mnt/jail.local",
        format!("{config}[sshd]\nenabled = true\nlogpath = /var/log/auth.log\n"),
    )
    .unwrap();
    guard.signal("HUP");
    guard.wait_for("configuration read again");
    let rules = run("nft list ruleset") + &run("iptables-legacy-save");
    assert!(
        rules.contains("chain flood") || rules.contains("hashlimit"),
        "{rules}"
    );
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    assert_eq!(ours(), "");
}

#[test]
fn a_flood_is_said_and_shown_by_nftables() {
    isolated("a_flood_is_said_and_shown_by_nftables", || {
        a_flood_is_said_and_shown(Backend::Nftables);
    });
}

#[test]
fn a_flood_is_said_and_shown_by_ipset() {
    isolated("a_flood_is_said_and_shown_by_ipset", || {
        a_flood_is_said_and_shown(Backend::Ipset);
    });
}

#[test]
fn a_dry_run_limits_nobody() {
    isolated("a_dry_run_limits_nobody", || {
        let (mut guard, mut log) = guard(Backend::Auto, &["--dry-run"]);
        log.line(storm(FLOOD_BURST + 1_000).trim_end());
        let line = guard.wait_for("a flood of forged sources");
        assert!(!line.contains("the kernel"), "{line}");
        assert_eq!(ours(), "");
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
    });
}
