//! An attacker with a raw socket sends in the names of the trunk and of a registered phone, while both talk with the
//! PBX; and the networks of attackers in the kernel.

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

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use bans::{Listed, listed, ours};
use host::{Guard, Log, machine};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use sipguard::config::Backend;
use support::{Namespace, isolated, run};

const SIP: u16 = 5060;

/// What sends datagrams in anybody's name from a machine.
struct Forger(OwnedFd);

impl Forger {
    fn new(machine: &Namespace) -> Forger {
        let here = File::open("/proc/thread-self/ns/net").unwrap();
        setns(File::open(machine.path()).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        let raw = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::empty(),
            SockProtocol::Raw,
        );
        setns(here, CloneFlags::CLONE_NEWNET).unwrap();
        Forger(raw.unwrap())
    }

    /// A datagram from `from`'s SIP port to `to`'s (RFC 791, RFC 768); the kernel fills in the header's checksum.
    fn send(&self, from: &str, to: &str) {
        let [from, to]: [Ipv4Addr; 2] = [from, to].map(|it| it.parse().unwrap());
        let text = b"forged";
        let udp = 8 + text.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend((20 + udp).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend(from.octets());
        packet.extend(to.octets());
        for word in [SIP, SIP, udp, 0] {
            packet.extend(word.to_be_bytes());
        }
        packet.extend(text);
        let to = SockaddrIn::from(SocketAddrV4::new(to, 0));
        sendto(self.0.as_raw_fd(), &packet, &to, MsgFlags::empty()).unwrap();
    }
}

/// The PBX: a socket at the SIP port, and the log that it writes about what it hears.
struct Pbx {
    socket: UdpSocket,
    log: Log,
    calls: u32,
}

impl Pbx {
    /// Hears all that has arrived, and logs what Asterisk would of `forged` and of the attacker's own.
    fn hear(&mut self, account: u32) {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            self.calls += 1;
            if &buffer[..length] == b"forged" || &buffer[..length] == b"attack" {
                let line = format!(
                    "[{}] NOTICE[29851] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from \
                     '<sip:{account}@192.0.2.10>' failed for '{from}' (callid: c{}) - Failed to authenticate",
                    stamp(),
                    self.calls
                );
                self.log.line(&line);
            }
        }
    }

    /// The phone has registered.
    fn registered(&mut self, address: &str) {
        let line = format!(
            "[{}] SECURITY[29909] res_security_log.c: SecurityEvent=\"SuccessfulAuth\",\
             EventTV=\"2026-11-22T10:56:20.604+0000\",Severity=\"Informational\",Service=\"PJSIP\",EventVersion=\"1\",\
             AccountID=\"100\",SessionID=\"pk2a0j8w2d8ckzxo\",LocalAddress=\"IPV4/UDP/192.0.2.10/5060\",\
             RemoteAddress=\"IPV4/UDP/{address}/5060\",UsingPassword=\"1\"",
            stamp()
        );
        self.log.line(&line);
    }

    /// Whether what the other one sends is heard, and what we send is heard there.
    fn talks_with(&self, other: &UdpSocket, here: &str) -> bool {
        let mut buffer = [0; 64];
        other.send_to(b"talk", (here, SIP)).unwrap();
        let heard = loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) if &buffer[..length] == b"talk" => break Some(from),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        let Some(from) = heard else { return false };
        self.socket.send_to(b"answer", from).unwrap();
        loop {
            match other.recv_from(&mut buffer) {
                Ok((length, _)) if &buffer[..length] == b"answer" => break true,
                Ok(_) => {}
                Err(_) => break false,
            }
        }
    }
}

/// As the log shows this moment.
fn stamp() -> String {
    host::wrong_password("192.0.2.1")[1..20].to_owned()
}

fn a_forger_cuts_off_nobody_but_himself(backend: Backend) {
    let log = machine(backend, "");
    let mut guard = Guard::start(&["--config", "/mnt/jail.local"]);
    let peers = [1, 2, 3].map(Namespace::new);
    for name in ["all", "peer1", "peer2", "peer3"] {
        fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "0").unwrap();
    }
    let [trunk, phone, attacker] = peers.each_ref().map(|peer| {
        let socket = peer.socket_at(&peer.v4(2), SIP);
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    });
    let here = peers.each_ref().map(|peer| peer.v4(1));
    let there = peers.each_ref().map(|peer| peer.v4(2));
    let forger = Forger::new(&peers[2]);
    let socket = UdpSocket::bind(("0.0.0.0", SIP)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut pbx = Pbx {
        socket,
        log,
        calls: 0,
    };
    // The PBX registers at the trunk, the phone at the PBX.
    pbx.socket.send_to(b"register", (there[0].as_str(), SIP)).unwrap();
    assert!(pbx.talks_with(&trunk, &here[0]) && pbx.talks_with(&phone, &here[1]));
    pbx.registered(&there[1]);
    for round in 0..30 {
        for _ in 0..5 {
            forger.send(&there[0], &here[2]);
            forger.send(&there[1], &here[2]);
        }
        // The phone's own account, which the attacker knows, and one that is not there.
        pbx.hear(if round % 3 == 0 { 999 } else { 100 });
        assert!(pbx.talks_with(&trunk, &here[0]), "the trunk, round {round}");
        assert!(pbx.talks_with(&phone, &here[1]), "the phone, round {round}");
    }
    assert!(pbx.calls > 100, "what is forged arrives");
    for account in 0..10 {
        attacker.send_to(b"attack", (here[2].as_str(), SIP)).unwrap();
        pbx.hear(account);
    }
    guard.wait_for(&format!(" banned {} for", there[2]));
    assert!(!pbx.talks_with(&attacker, &here[2]), "the attacker is cut off");
    assert!(pbx.talks_with(&trunk, &here[0]) && pbx.talks_with(&phone, &here[1]));
    for (address, set) in [
        (&there[1], "asterisk4b"),
        (&there[1], "asterisk4"),
        (&there[0], "asterisk4"),
    ] {
        assert_eq!(
            listed(backend, set, address),
            Listed::Absent,
            "{address} in {set}"
        );
    }
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    assert_eq!(ours(), "");
}

#[test]
fn a_forger_cuts_off_nobody_but_himself_by_nftables() {
    isolated("a_forger_cuts_off_nobody_but_himself_by_nftables", || {
        a_forger_cuts_off_nobody_but_himself(Backend::Nftables);
    });
}

#[test]
fn a_forger_cuts_off_nobody_but_himself_by_ipset() {
    isolated("a_forger_cuts_off_nobody_but_himself_by_ipset", || {
        a_forger_cuts_off_nobody_but_himself(Backend::Ipset);
    });
}

#[test]
fn what_the_box_gets_and_loses_is_known_without_a_ban() {
    isolated("what_the_box_gets_and_loses_is_known_without_a_ban", || {
        machine(Backend::Nftables, "");
        let guard = Guard::start(&["--config", "/mnt/jail.local"]);
        let shown = |address: &str| run(&format!("{} status", host::program_under_test())).contains(address);
        assert!(!shown("203.0.113.9"));
        run("ip link add lan0 type veth peer name lan1");
        run("ip link set lan0 up");
        run("ip addr add 203.0.113.9/24 dev lan0");
        run("ip route add default via 203.0.113.250");
        host::wait_until("they are shown as trusted", || {
            shown("203.0.113.9") && shown("203.0.113.250")
        });
        run("ip addr del 203.0.113.9/24 dev lan0");
        host::wait_until("it is not ours any more", || !shown("203.0.113.9"));
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
    });
}

/// Members of a network of attackers are banned one by one, then the network: its other addresses are cut off, too.
fn a_network_of_attackers_is_cut_off_as_one(backend: Backend) {
    let mut log = machine(backend, "maxretry = 1\nbannet = on\nbannet.members = 3\n");
    let mut guard = Guard::start(&["--config", "/mnt/jail.local"]);
    let peer = Namespace::new(1);
    let [innocent, next] = ["203.0.113.77", "203.0.114.77"].map(|address| {
        peer.exec(&format!("ip addr add {address}/32 dev lo"));
        run(&format!("ip route add {address}/32 via {} dev peer1", peer.v4(2)));
        peer.socket(address)
    });
    let pbx = host::Port::open("0.0.0.0", SIP);
    assert!(pbx.hears(&innocent, &peer.v4(1)) && pbx.hears(&next, &peer.v4(1)));
    for host in [1, 2, 3] {
        log.line(&format!(
            "[{}] NOTICE[1] manager.c: 203.0.113.{host} failed to authenticate as 'admin'",
            stamp()
        ));
    }
    let line = guard.wait_for(" banned 203.0.113.0/24 for 10m");
    assert!(
        line.contains("3 of its addresses were banned on proven evidence"),
        "{line}"
    );
    assert!(!pbx.hears(&innocent, &peer.v4(1)), "{}", ours());
    assert!(pbx.hears(&next, &peer.v4(1)));
    let unban = format!("{} unban 203.0.113.0/24", host::program_under_test());
    run(&unban);
    assert!(pbx.hears(&innocent, &peer.v4(1)));
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    assert_eq!(ours(), "");
}

#[test]
fn a_network_of_attackers_is_cut_off_as_one_by_nftables() {
    isolated("a_network_of_attackers_is_cut_off_as_one_by_nftables", || {
        a_network_of_attackers_is_cut_off_as_one(Backend::Nftables);
    });
}

#[test]
fn a_network_of_attackers_is_cut_off_as_one_by_ipset() {
    isolated("a_network_of_attackers_is_cut_off_as_one_by_ipset", || {
        a_network_of_attackers_is_cut_off_as_one(Backend::Ipset);
    });
}
