//! Nothing lost: what becomes of bans when the guard ends and starts again, and when the kernel is not as it should be?
//! Real packets and the real program; `src/daemon/watch/tests.rs` has the harms that somebody can do to our rules.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "support/bans.rs"]
mod bans;
#[path = "support/host.rs"]
#[allow(dead_code, reason = "every test program uses another part of it")]
mod host;
mod support;

use std::fs;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bans::{add, apply_all, asterisk, jail, open, with_both};
use host::{Guard, Log, wait_until};
use sipguard::config::{Backend, Protocol};
use sipguard::firewall::{Enforce as _, Firewall};
use sipguard::guard::{Change, JailId, Reach};
use support::{Namespace, isolated, run};

const MESSAGES: &str = "/var/log/asterisk/messages";

/// A machine of its own with one jail that bans at the first failure. The kernel alone remembers.
fn machine(backend: &str, more: &str) -> Log {
    run("mount -t tmpfs tmpfs /var/log");
    run("mount -t tmpfs tmpfs /mnt");
    let text = format!(
        "[DEFAULT]\nfirewall = {backend}\ndbfile = None\n{more}\n[asterisk]\nenabled = true\nfilter = asterisk\n\
         logpath = {MESSAGES}\nmaxretry = 1\nbantime = 1h\naction = iptables-allports[protocol=all]\n"
    );
    fs::write("/mnt/jail.local", text).unwrap();
    Log::create(MESSAGES)
}

const CONFIG: [&str; 2] = ["--config", "/mnt/jail.local"];

fn in_kernel(backend: &str) -> String {
    run(if backend == "ipset" {
        "ipset list"
    } else {
        "nft list ruleset"
    })
}

/// Somebody who sends to us from an address of our own that is banned, as often as it can.
struct Attacker {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    sender: Option<thread::JoinHandle<()>>,
    victim: UdpSocket,
}

impl Attacker {
    fn start(from: &str, to: &str) -> Attacker {
        let victim = UdpSocket::bind((to, 0)).unwrap();
        victim.set_nonblocking(true).unwrap();
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.connect(victim.local_addr().unwrap()).unwrap();
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let sender = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let _ = socket.send(b"REGISTER");
                counter.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(20));
            }
        });
        Attacker {
            stop,
            sent,
            sender: Some(sender),
            victim,
        }
    }

    /// How many arrived.
    fn arrived(&self) -> usize {
        let mut buffer = [0; 16];
        std::iter::from_fn(|| self.victim.recv(&mut buffer).ok()).count()
    }

    fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.sender.take().map(thread::JoinHandle::join);
    }
}

fn loopback_addresses() {
    for address in ["2001:db8::1", "2001:db8:0:2::2", "2001:db8:0:3::3"] {
        run(&format!("ip addr add {address}/128 dev lo nodad"));
    }
}

#[test]
fn bans_are_in_force_without_a_gap_while_the_firewall_is_closed_and_opened() {
    let name = "bans_are_in_force_without_a_gap_while_the_firewall_is_closed_and_opened";
    isolated(
        name,
        loopback_addresses_and(|| {
            for backend in [Backend::Nftables, Backend::Ipset] {
                let mut firewall = open(backend, &[asterisk()]);
                apply_all(
                    &mut firewall,
                    &[
                        add("127.0.0.2/32", 600_000),
                        add("2001:db8:0:2::/64", 0),
                        add("2001:db8:0:3::3/128", 600_000),
                    ],
                );
                let attackers = [
                    Attacker::start("127.0.0.2", "127.0.0.1"),
                    Attacker::start("2001:db8:0:2::2", "2001:db8::1"),
                    Attacker::start("2001:db8:0:3::3", "2001:db8::1"),
                ];
                let innocent = Attacker::start("127.0.0.3", "127.0.0.1");
                for round in 0..30 {
                    drop(firewall);
                    // Other rules, the same sets; and the same once more.
                    let ports = [(5060, 5061)];
                    let jails = if round % 2 == 0 {
                        vec![asterisk(), jail("sip", Protocol::Udp, &ports)]
                    } else {
                        vec![asterisk()]
                    };
                    firewall = Firewall::open(backend, &jails, 64, 1_000).unwrap();
                    assert!(firewall.check_intact().unwrap());
                    firewall.rebuild().unwrap();
                }
                wait_until("everybody has sent something", || {
                    attackers.iter().all(|a| a.sent() > 1_000)
                });
                assert!(innocent.arrived() > 0, "packets do arrive");
                for attacker in &attackers {
                    assert_eq!(attacker.arrived(), 0, "{backend:?}: of {} sent", attacker.sent());
                }
                drop((attackers, innocent));
                let mut held = Vec::new();
                firewall
                    .elements(&mut |(jail, net, _), left_ms| held.push((jail, net.to_string(), left_ms)))
                    .unwrap();
                held.sort_by(|a, b| a.1.cmp(&b.1));
                assert_eq!(held.len(), 3, "{held:?}");
                for ((jail, net, left_ms), (want, timed)) in held.iter().zip([
                    ("127.0.0.2/32", true),
                    ("2001:db8:0:2::/64", false),
                    ("2001:db8:0:3::3/128", true),
                ]) {
                    assert_eq!((*jail, net.as_str(), left_ms.is_some()), (JailId(0), want, timed));
                    assert!(
                        left_ms.is_none_or(|ms| (500_000..=600_000).contains(&ms)),
                        "{left_ms:?}"
                    );
                }
                firewall.teardown().unwrap();
            }
        }),
    );
}

fn loopback_addresses_and(body: impl FnOnce()) -> impl FnOnce() {
    || {
        loopback_addresses();
        body();
    }
}

#[test]
fn the_kernels_sets_are_read_whole_with_their_times() {
    with_both("the_kernels_sets_are_read_whole_with_their_times", |backend| {
        let jails = [asterisk(), jail("sip", Protocol::Udp, &[(5060, 5061)])];
        let mut firewall = Firewall::open(backend, &jails, 64, 50_000).unwrap();
        let address = |i: u32| std::net::Ipv4Addr::from(10 << 24 | i);
        let effects: Vec<_> = (0..30_000)
            .map(|i| {
                bans::effect(
                    (i % 2) as u16,
                    &format!("{}/32", address(i)),
                    Change::Add {
                        timeout_ms: (i % 3 > 0).then_some(600_000),
                    },
                )
            })
            .collect();
        apply_all(&mut firewall, &effects);
        let mut seen = vec![false; 30_000];
        firewall
            .elements(&mut |(jail, net, _), left_ms| {
                let std::net::IpAddr::V4(v4) = net.addr() else {
                    panic!("{net}")
                };
                let i = u32::from(v4) - (10 << 24);
                assert_eq!(
                    (u32::from(jail.0), left_ms.is_some()),
                    (i % 2, i % 3 > 0),
                    "{net}"
                );
                assert!(!std::mem::replace(&mut seen[i as usize], true), "{net} once");
            })
            .unwrap();
        assert!(seen.iter().all(|seen| *seen));
        let net = |i| ipnet::IpNet::from(std::net::IpAddr::from(address(i)));
        assert!(firewall.holds(JailId(0), net(0), Reach::Whole).unwrap());
        assert!(!firewall.holds(JailId(1), net(0), Reach::Whole).unwrap());
        assert!(!firewall.holds(JailId(0), net(30_000), Reach::Whole).unwrap());
        firewall.teardown().unwrap();
    });
}

/// Whatever ends the guard, its bans are in force until the next one takes them over, and then.
fn survives_its_end(backend: &str) {
    let mut log = machine(backend, "");
    let attacker = Namespace::new(1);
    let mut guard = Guard::start(&CONFIG);
    for address in [attacker.v4(2), attacker.v6(2), "198.51.100.66".into()] {
        log.fail(&address);
        guard.wait_for(" banned");
    }
    let sender = attacker.socket(&attacker.v4(2));
    let victim = UdpSocket::bind((attacker.v4(1), 5060)).unwrap();
    victim.set_nonblocking(true).unwrap();
    let stop = AtomicBool::new(false);
    let (arrived, guard) = thread::scope(|scope| {
        scope.spawn(|| {
            // It sends until the end, also if the test fails.
            while !stop.load(Ordering::Relaxed) {
                let _ = sender.send_to(b"REGISTER", victim.local_addr().unwrap());
                thread::sleep(Duration::from_micros(50));
            }
        });
        for signal in ["KILL", "TERM", "KILL"] {
            guard.signal(signal);
            guard.wait();
            assert!(in_kernel(backend).contains("198.51.100.66"), "after {signal}");
            guard = Guard::start(&CONFIG);
            guard.wait_for("took over 3 bans");
            assert!(in_kernel(backend).contains("198.51.100.66"), "after the start");
        }
        stop.store(true, Ordering::Relaxed);
        let arrived = std::iter::from_fn(|| victim.recv(&mut [0; 16]).ok()).count();
        (arrived, guard)
    });
    let mut guard = guard;
    assert_eq!(arrived, 0, "no packet of the attacker's");
    // The next guard knows them: it lifts them, if it is told to.
    fs::write(
        "/mnt/jail.local",
        fs::read_to_string("/mnt/jail.local").unwrap().replace(
            "[DEFAULT]",
            "[DEFAULT]\nonstop = remove\nignoreip = 198.51.100.66",
        ),
    )
    .unwrap();
    guard.signal("HUP");
    guard.wait_for("configuration read again");
    wait_until("who is trusted by now is let in", || {
        !in_kernel(backend).contains("198.51.100.66")
    });
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    assert!(!in_kernel(backend).contains("sipguard"));
}

#[test]
fn bans_outlive_the_guard_and_the_next_one_takes_them_over_by_nftables() {
    let name = "bans_outlive_the_guard_and_the_next_one_takes_them_over_by_nftables";
    isolated(name, || survives_its_end("nftables"));
}

#[test]
fn bans_outlive_the_guard_and_the_next_one_takes_them_over_by_ipset() {
    let name = "bans_outlive_the_guard_and_the_next_one_takes_them_over_by_ipset";
    isolated(name, || survives_its_end("ipset"));
}

#[test]
fn one_network_has_one_guard_and_another_network_another() {
    isolated("one_network_has_one_guard_and_another_network_another", || {
        let _log = machine("ipset", "");
        let guard = Guard::start(&CONFIG);
        let mut second = Guard::spawn(&CONFIG);
        second.wait_for("sipguard is running already");
        assert_eq!(second.wait(), 1);
        // With a socket of its own it still meets the other one in the kernel.
        let text = fs::read_to_string("/mnt/jail.local").unwrap();
        let text = text.replace("[DEFAULT]", "[DEFAULT]\nsocket = /run/other.sock");
        fs::write("/mnt/other.local", text).unwrap();
        let other = ["--config", "/mnt/other.local"];
        let mut second = Guard::spawn(&other);
        second.wait_for("is sipguard running already?");
        assert_eq!(second.wait(), 1);
        run("ip netns add other");
        let mut other = Guard::spawn_by(&["ip", "netns", "exec", "other"], &other);
        other.wait_for("guards with ipset");
        guard.signal("KILL");
        guard.wait();
        drop(Guard::start(&CONFIG));
        // Whoever takes the name and is no guard keeps nobody from guarding.
        let bare =
            "import socket,time\ns=socket.socket(socket.AF_UNIX)\ns.bind('\\0sipguard')\ntime.sleep(60)";
        fs::write("/mnt/bare.py", bare).unwrap();
        let mut squatter = std::process::Command::new("python3")
            .arg("/mnt/bare.py")
            .spawn()
            .unwrap();
        wait_until("the name is taken", || {
            fs::read_to_string("/proc/net/unix")
                .unwrap()
                .contains("@sipguard")
        });
        drop(Guard::start(&CONFIG));
        squatter.kill().unwrap();
        squatter.wait().unwrap();
    });
}

/// The kernel's modules come after the guard: strace(1) makes the system call fail as it does without nfnetlink.
#[test]
fn a_kernel_that_has_its_modules_later_gets_all_bans_then() {
    isolated("a_kernel_that_has_its_modules_later_gets_all_bans_then", || {
        let mut log = machine("auto", "");
        // The first sockets are the one that listens, rtnetlink's, for our own addresses, and the one that only one
        // guard has.
        let blind = [
            "strace",
            "-D",
            "-qqo",
            "/dev/null",
            "-e",
            "inject=socket:error=EPROTONOSUPPORT:when=4..7",
        ];
        let mut guard = Guard::spawn_by(&blind, &CONFIG);
        guard.wait_for("guards with nothing");
        let line = guard.wait_for("no ban is in force");
        assert!(
            line.contains("kmod-nfnetlink") && line.to_lowercase().contains("error"),
            "{line}"
        );
        log.fail("198.51.100.66");
        guard.wait_for("not in force yet: ban of 198.51.100.66");
        log.fail("198.51.100.67");
        guard.wait_for("not in force yet: ban of 198.51.100.67");
        guard.wait_for("the kernel has nftables by now: 2 bans to follow");
        wait_until("they are in force", || {
            let shown = in_kernel("nftables");
            shown.contains("198.51.100.66") && shown.contains("198.51.100.67")
        });
        log.fail("198.51.100.68");
        guard.wait_for(" banned 198.51.100.68");
        assert!(in_kernel("nftables").contains("198.51.100.68"));
        let told = guard
            .drain()
            .iter()
            .filter(|line| line.contains("no ban is in force"))
            .count();
        assert_eq!(told, 1, "once");
    });
}

/// What the kernel refuses for an instant is asked for again: strace(1) makes sending and receiving fail.
fn comes_through(backend: &str, network: usize, fault: &str) {
    let mut log = machine(backend, "");
    let mut guard = Guard::spawn_by(&["strace", "-D", "-qqo", "/dev/null", "-e", fault], &CONFIG);
    guard.wait_for("guards with");
    // Enough for one of them to meet the fault.
    let addresses: Vec<String> = (1..=60).map(|i| format!("198.51.{network}.{i}")).collect();
    for address in &addresses {
        log.fail(address);
        thread::sleep(Duration::from_millis(5));
    }
    // An answer that is lost may be asked for again before anybody notices.
    if fault.contains("sendto") {
        guard.wait_for("bans are not in force, trying again every second");
    }
    wait_until("all are in force", || {
        let shown = in_kernel(backend);
        addresses
            .iter()
            .all(|address| shown.contains(&format!("{address} ")))
    });
}

#[test]
fn a_kernel_short_of_room_or_memory_for_an_instant_loses_no_ban() {
    let name = "a_kernel_short_of_room_or_memory_for_an_instant_loses_no_ban";
    isolated(name, || {
        for backend in ["nftables", "ipset"] {
            let faults = [
                "inject=sendto:error=ENOBUFS:when=60..62",
                "inject=sendto:error=ENOMEM:when=60..62",
                "inject=recvfrom:error=ENOBUFS:when=60..64",
            ];
            for (network, fault) in faults.iter().enumerate() {
                comes_through(backend, network, fault);
            }
        }
    });
}

#[test]
fn a_network_interface_that_goes_away_changes_nothing() {
    isolated("a_network_interface_that_goes_away_changes_nothing", || {
        for backend in ["nftables", "ipset"] {
            let mut log = machine(backend, "");
            let attacker = Namespace::new(1);
            let mut guard = Guard::start(&CONFIG);
            log.fail(&attacker.v4(2));
            guard.wait_for(" banned");
            let (before, address) = (in_kernel(backend).lines().count(), attacker.v4(2));
            drop(attacker);
            thread::sleep(Duration::from_secs(6));
            assert_eq!(in_kernel(backend).lines().count(), before);
            let attacker = Namespace::new(1);
            assert!(in_kernel(backend).contains(&address));
            let socket = attacker.socket(&address);
            assert!(
                !host::Port::open("0.0.0.0", 5060).hears(&socket, &attacker.v4(1)),
                "{backend}"
            );
            let said: Vec<_> = guard
                .drain()
                .iter()
                .filter(|line| line.contains("somebody"))
                .cloned()
                .collect();
            assert!(said.is_empty(), "{said:?}");
            guard.signal("KILL");
            guard.wait();
        }
    });
}

#[test]
fn a_guard_with_ipset_and_no_bans_does_not_run() {
    isolated("a_guard_with_ipset_and_no_bans_does_not_run", || {
        let _log = machine("ipset", "");
        let guard = Guard::start(&CONFIG);
        thread::sleep(Duration::from_secs(1));
        let switches = || {
            let status = fs::read_to_string(format!("/proc/{}/status", guard.pid())).unwrap();
            status
                .lines()
                .find(|line| line.starts_with("voluntary"))
                .unwrap()
                .to_owned()
        };
        let before = switches();
        thread::sleep(Duration::from_secs(11));
        assert_eq!(before, switches());
    });
}
