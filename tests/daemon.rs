//! Does the program live through a day? `sipguard run` on a real kernel, with a PBX, phones and attackers in
//! network namespaces of their own.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "support/host.rs"]
#[allow(dead_code, reason = "every test program uses another part of it")]
mod host;
mod support;

use std::fs;
use std::time::Duration;

use host::{Guard, Log, Port, wait_until, wrong_password};
use support::{Namespace, isolated, run, try_run};

/// The article's file, as it is.
const ARTICLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/article/jail.local");

/// An empty /var/log and /etc/sipguard, seen by this test only.
fn fresh_machine() {
    run("mount -t tmpfs tmpfs /var/log");

    run("mount -t tmpfs tmpfs /mnt");
}

/// A configuration with one jail on /var/log/asterisk/messages.
fn config(backend: &str, jail: &str) -> String {
    let path = "/mnt/jail.local";
    let text = format!(
        "[DEFAULT]\nfirewall = {backend}\nring = 65536\nonstop = remove\n[asterisk]\nenabled = true\nfilter = asterisk\n\
         logpath = /var/log/asterisk/messages\n{jail}\n"
    );
    fs::write(path, text).unwrap();
    path.to_owned()
}

/// One of the hosts around the PBX, as seen over IPv4 or IPv6.
struct Caller {
    socket: std::net::UdpSocket,
    address: String,
    pbx: String,
}

impl Caller {
    fn new(host: &Namespace, v6: bool) -> Caller {
        let [address, pbx] = [2, 1].map(|number| if v6 { host.v6(number) } else { host.v4(number) });
        Caller {
            socket: host.socket(&address),
            address,
            pbx,
        }
    }

    fn reaches(&self, port: &Port) -> bool {
        port.hears(&self.socket, &self.pbx)
    }
}

/// The main job: an attacker's packets stop arriving after its second failure, a phone's do not.
fn cuts_the_attacker_off(backend: &str, extra: &[&str]) {
    fresh_machine();
    let (attacker, phone) = (Namespace::new(1), Namespace::new(2));
    let mut log = Log::create("/var/log/asterisk/messages");
    let article = fs::read_to_string(ARTICLE).unwrap();
    fs::write(
        "/mnt/jail.local",
        article.replacen("[DEFAULT]\n", &format!("[DEFAULT]\n{}", extra.concat()), 1),
    )
    .unwrap();
    let mut guard = Guard::start(&[
        "--config",
        if extra.is_empty() {
            ARTICLE
        } else {
            "/mnt/jail.local"
        },
    ]);
    assert!(
        guard
            .seen
            .iter()
            .any(|line| line.contains(&format!("guards with {backend}"))),
        "{:?}",
        guard.seen
    );
    for v6 in [false, true] {
        let [attacker, phone] = [&attacker, &phone].map(|host| Caller::new(host, v6));
        let any = if v6 { "::" } else { "0.0.0.0" };
        let (sip, other) = (Port::open(any, 5060), Port::open(any, 9999));
        assert!(attacker.reaches(&sip) && attacker.reaches(&other) && phone.reaches(&sip));

        log.fail(&attacker.address);
        log.fail(&phone.address);
        assert!(attacker.reaches(&sip), "one failure is no ban");
        log.fail(&attacker.address);
        let line = guard.wait_for(" banned");
        assert!(
            line.contains("for ever: 2 failures in ") && line.contains("jail=asterisk"),
            "{line}"
        );
        assert!(!attacker.reaches(&sip), "the attacker is cut off at the SIP port");
        assert!(!attacker.reaches(&other), "protocol=all: and at every other");
        assert!(phone.reaches(&sip), "the phone is not");
    }
    let shown = kernel_sets(backend);
    assert!(
        shown.contains(&attacker.v4(2)) && shown.contains(&attacker.v6(2)),
        "{shown}"
    );
    assert_permanent(backend, &shown);
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    let sip = Port::open("0.0.0.0", 5060);
    let [attacker, phone] = [&attacker, &phone].map(|host| Caller::new(host, false));
    assert!(!attacker.reaches(&sip), "onstop = keep: the ban stays");
    assert!(phone.reaches(&sip));
}

/// No element that the kernel shows has a time to live.
fn assert_permanent(backend: &str, shown: &str) {
    match backend {
        "nftables" => assert!(!shown.contains("expires"), "{shown}"),
        _ => assert_eq!(
            shown.matches(" timeout ").count(),
            shown.matches(" timeout 0").count(),
            "{shown}"
        ),
    }
}

fn kernel_sets(backend: &str) -> String {
    run(if backend == "nftables" {
        "nft list table inet sipguard"
    } else {
        "ipset list"
    })
}

/// The kernel holds no table, set or rule of ours.
fn assert_nothing_of_ours_left() {
    for look in [
        "nft list ruleset",
        "ipset list",
        "iptables-legacy-save",
        "ip6tables-legacy-save",
    ] {
        let shown = run(look);
        assert!(!shown.contains("sipguard"), "{look}: {shown}");
    }
}

#[test]
fn the_articles_configuration_cuts_an_attacker_off_by_nftables() {
    isolated(
        "the_articles_configuration_cuts_an_attacker_off_by_nftables",
        || {
            cuts_the_attacker_off("nftables", &[]);
        },
    );
}

#[test]
fn the_articles_configuration_cuts_an_attacker_off_by_ipset() {
    isolated("the_articles_configuration_cuts_an_attacker_off_by_ipset", || {
        cuts_the_attacker_off("ipset", &["firewall = ipset\n"]);
    });
}

/// An IPv6 attacker has as many addresses as it likes in its network: they are one.
fn cuts_an_ipv6_network_off(backend: &str) {
    fresh_machine();
    let attacker = Namespace::new(1);
    run(&format!(
        "ip -6 route add 2001:db8:bad::/48 via {}",
        attacker.v6(2)
    ));
    let caller = |address: &str| {
        attacker.exec(&format!("ip addr add {address}/128 dev lo nodad"));
        Caller {
            socket: attacker.socket(address),
            address: address.to_owned(),
            pbx: attacker.v6(1),
        }
    };
    let [one, two, other] = ["2001:db8:bad:1::66", "2001:db8:bad:1::67", "2001:db8:bad:2::66"].map(caller);
    let mut log = Log::create("/var/log/asterisk/messages");
    let mut guard = Guard::start(&["--config", &config(backend, "maxretry = 2")]);
    let sip = Port::open("::", 5060);
    for caller in [&one, &two, &other] {
        wait_until("the route works", || caller.reaches(&sip));
    }
    log.fail(&one.address);
    log.fail(&two.address);
    guard.wait_for(" banned 2001:db8:bad:1::/64");
    assert!(!one.reaches(&sip) && !two.reaches(&sip));
    assert!(other.reaches(&sip), "another network is not concerned");
}

#[test]
fn an_ipv6_network_is_banned_as_one_by_nftables() {
    isolated("an_ipv6_network_is_banned_as_one_by_nftables", || {
        cuts_an_ipv6_network_off("nftables");
    });
}

#[test]
fn an_ipv6_network_is_banned_as_one_by_ipset() {
    isolated("an_ipv6_network_is_banned_as_one_by_ipset", || {
        cuts_an_ipv6_network_off("ipset");
    });
}

/// After a short bantime packets arrive again; other ports are reachable throughout.
fn a_ban_of_some_ports_ends(backend: &str) {
    fresh_machine();
    let attacker = Namespace::new(1);
    let mut log = Log::create("/var/log/asterisk/messages");
    let jail = "maxretry = 2\nbantime = 3\nport = 5060,5061\nprotocol = udp";
    let mut guard = Guard::start(&["--config", &config(backend, jail)]);
    for v6 in [false, true] {
        let attacker = Caller::new(&attacker, v6);
        let any = if v6 { "::" } else { "0.0.0.0" };
        let (sip, other) = (Port::open(any, 5060), Port::open(any, 9999));
        log.fail(&attacker.address);
        log.fail(&attacker.address);
        guard.wait_for(" banned");
        assert!(!attacker.reaches(&sip), "cut off at the SIP port");
        assert!(
            attacker.reaches(&other),
            "ports that the jail does not name are reachable"
        );
        wait_until("the ban is over in the kernel", || attacker.reaches(&sip));
        guard.wait_for("unbanned");
        // And it is banned anew, as if nothing had been.
        log.fail(&attacker.address);
        assert!(attacker.reaches(&sip));
        log.fail(&attacker.address);
        guard.wait_for(" banned");
        assert!(!attacker.reaches(&sip));
    }
}

#[test]
fn a_ban_of_some_ports_ends_by_nftables() {
    isolated("a_ban_of_some_ports_ends_by_nftables", || {
        a_ban_of_some_ports_ends("nftables");
    });
}

#[test]
fn a_ban_of_some_ports_ends_by_ipset() {
    isolated("a_ban_of_some_ports_ends_by_ipset", || {
        a_ban_of_some_ports_ends("ipset");
    });
}

#[test]
fn without_any_configuration_the_asterisk_log_is_guarded() {
    isolated("without_any_configuration_the_asterisk_log_is_guarded", || {
        fresh_machine();
        // Neither the file nor its folder is there when the guard starts.
        let mut guard = Guard::start(&[]);
        let mut log = Log::create("/var/log/asterisk/messages.log");
        for _ in 0..5 {
            log.fail("198.51.100.66");
        }
        let line = guard.wait_for(" banned 198.51.100.66 for 10m");
        assert!(line.contains("5 failures"), "{line}");
        assert!(kernel_sets("nftables").contains("198.51.100.66"));
    });
}

#[test]
fn a_dry_run_needs_no_privileges_and_bans_nothing() {
    isolated("a_dry_run_needs_no_privileges_and_bans_nothing", || {
        fresh_machine();
        let mut log = Log::create("/var/log/asterisk/messages");
        let mut guard = Guard::start(&["--dry-run", "--config", &config("auto", "maxretry = 2")]);
        log.fail("198.51.100.66");
        log.fail("198.51.100.66");
        guard.wait_for("would ban 198.51.100.66");
        assert_nothing_of_ours_left();
    });
}

/// A filter of the user's own bans; so do a jail's own expressions beside a built-in filter, and what the jail
/// ignores counts for nobody.
#[test]
fn filters_of_the_users_own_ban() {
    isolated("filters_of_the_users_own_ban", || {
        fresh_machine();
        let mut logs = ["/var/log/kamailio", "/var/log/asterisk/messages"].map(Log::create);
        fs::create_dir_all("/mnt/filter.d").unwrap();
        fs::write(
            "/mnt/filter.d/kamailio.conf",
            include_str!("data/filter.d/kamailio.conf"),
        )
        .unwrap();
        let own = "maxretry = 2\nprotocol = tcp,udp\nfailregex = ^\\[\\] mine: <HOST>$\nignoreregex = friend\n\
            [kamailio]\nenabled = true\nlogpath = /var/log/kamailio\nport = 5060\nprotocol = udp\nmaxretry = 2";
        let mut guard = Guard::start(&["--config", &config("nftables", own)]);
        let [kamailio, asterisk] = &mut logs;
        for _ in 0..2 {
            asterisk.line(&wrong_password("198.51.100.61").replace("sip:100", "sip:friend"));
            asterisk.line("[2026-11-22 12:42:47] mine: 198.51.100.62");
            kamailio.line(
                "Nov 22 10:11:12 sip kamailio[1]: NOTICE: <script>: auth failed for <a> from 198.51.100.63",
            );
        }
        for (address, jail) in [("198.51.100.62", "asterisk"), ("198.51.100.63", "kamailio")] {
            let line = guard.wait_for(&format!("banned {address}"));
            assert!(line.contains(&format!("jail={jail}")), "{line}");
        }
        asterisk.fail("198.51.100.64");
        asterisk.fail("198.51.100.64");
        guard.wait_for("banned 198.51.100.64");
        assert!(
            guard.seen.iter().all(|line| !line.contains("198.51.100.61")),
            "{:?}",
            guard.seen
        );
    });
}

/// Exit code and words of a `sipguard` that does not come up.
#[track_caller]
fn refuses(command: &str, code: i32, words: &[&str]) {
    let output = try_run(command);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} in: {text}");
    }
    assert_eq!(
        text.lines().filter(|line| line.starts_with("sipguard: ")).count(),
        1,
        "one clear message: {text}"
    );
    assert_nothing_of_ours_left();
}

#[test]
fn a_guard_that_cannot_guard_says_why_and_leaves_nothing() {
    isolated("a_guard_that_cannot_guard_says_why_and_leaves_nothing", || {
        fresh_machine();
        let program = env!("CARGO_BIN_EXE_sipguard");
        let good = config("auto", "maxretry = 2");
        fs::copy(&good, "/mnt/good").unwrap();
        // Without the capability. The capability is taken from the bounding set, so that root has it not.
        for backend in ["nftables", "ipset"] {
            let path = config(backend, "maxretry = 2");
            let bare = format!(
                "setpriv --bounding-set -net_admin --inh-caps -net_admin {program} run --config {path}"
            );
            refuses(&bare, 1, &["Operation not permitted", "CAP_NET_ADMIN"]);
        }
        let path = config("auto", "bantime = 10 minuts");
        refuses(
            &format!("{program} run --config {path}"),
            2,
            &["jail.local:9:11: bantime", "10 minuts"],
        );
        let path = config("auto", "bantimes = 600");
        refuses(
            &format!("{program} run --config {path}"),
            2,
            &["bantimes", "bantime"],
        );
        refuses(
            &format!("{program} run --config /mnt/absent"),
            2,
            &["/mnt/absent", "No such file"],
        );
        refuses(&format!("{program} run --nonsense"), 2, &["nonsense"]);
        refuses(program, 2, &["--help"]);
    });
}

#[test]
fn a_wrong_reload_keeps_the_old_settings_and_a_right_one_keeps_the_bans() {
    isolated(
        "a_wrong_reload_keeps_the_old_settings_and_a_right_one_keeps_the_bans",
        || {
            fresh_machine();
            let mut log = Log::create("/var/log/asterisk/messages");
            let path = config("nftables", "maxretry = 2");
            let mut guard = Guard::start(&["--config", &path]);
            log.fail("198.51.100.1");
            log.fail("198.51.100.1");
            guard.wait_for(" banned 198.51.100.1");
            fs::write(&path, "[asterisk\n").unwrap();
            guard.signal("HUP");
            guard.wait_for("keeping the old settings");
            log.fail("198.51.100.2");
            log.fail("198.51.100.2");
            guard.wait_for(" banned 198.51.100.2");
            config("nftables", "maxretry = 3\nport = 5060\nprotocol = udp");
            guard.signal("HUP");
            guard.wait_for("configuration read again");
            let shown = kernel_sets("nftables");
            assert!(
                shown.contains("198.51.100.1") && shown.contains("198.51.100.2"),
                "{shown}"
            );
            log.fail("198.51.100.3");
            log.fail("198.51.100.3");
            log.fail("198.51.100.3");
            let line = guard.wait_for(" banned 198.51.100.3");
            assert!(line.contains("3 failures"), "{line}");
        },
    );
}

#[test]
fn a_second_guard_is_refused_and_the_next_one_takes_over_what_a_killed_one_left() {
    let name = "a_second_guard_is_refused_and_the_next_one_takes_over_what_a_killed_one_left";
    isolated(name, || {
        fresh_machine();
        let mut log = Log::create("/var/log/asterisk/messages");
        let path = config("nftables", "maxretry = 1");
        let mut guard = Guard::start(&["--config", &path]);
        log.fail("198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
        assert_eq!(Guard::spawn(&["--config", &path]).wait(), 1);
        assert!(
            kernel_sets("nftables").contains("198.51.100.1"),
            "the first one's bans stay"
        );
        guard.signal("KILL");
        guard.wait();
        assert!(
            kernel_sets("nftables").contains("198.51.100.1"),
            "a ban outlives a crash"
        );
        let mut guard = Guard::start(&["--config", &path]);
        log.fail("198.51.100.2");
        guard.wait_for(" banned 198.51.100.2");
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        assert_nothing_of_ours_left();
    });
}

#[test]
fn trusted_addresses_are_never_banned() {
    isolated("trusted_addresses_are_never_banned", || {
        fresh_machine();
        let host = Namespace::new(1);
        run(&format!("ip route add default via {}", host.v4(2)));
        let mut log = Log::create("/var/log/asterisk/messages");
        let mut guard = Guard::start(&[
            "--config",
            &config("nftables", "maxretry = 1\nignoreip = 198.51.100.0/28"),
        ]);
        let gateway = host.v4(2);
        for address in [
            "198.51.100.7",
            "127.0.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "169.254.1.1",
            "::1",
            "fe80::1",
            "ff02::1",
            "::ffff:198.51.100.7",
            &host.v4(1),
            &host.v6(1),
            &gateway,
        ] {
            log.fail(address);
        }
        log.fail("198.51.100.66");
        guard.wait_for(" banned 198.51.100.66");
        let banned: Vec<_> = guard
            .drain()
            .iter()
            .filter(|line| line.contains(" banned "))
            .cloned()
            .collect();
        assert_eq!(banned.len(), 1, "{banned:?}");
    });
}

#[test]
fn every_failure_counts_once_while_the_log_is_rotated_in_every_way() {
    isolated(
        "every_failure_counts_once_while_the_log_is_rotated_in_every_way",
        || {
            fresh_machine();
            let path = "/var/log/asterisk/messages";
            drop(Log::create(path));
            let mut guard = Guard::start(&[
                "--dry-run",
                "--config",
                &config("auto", "maxretry = 3\nfindtime = 1d"),
            ]);
            let rotated = Rotated::write(path);
            guard.wait_for("would ban 203.0.113.99");
            let bans: Vec<_> = guard
                .drain()
                .iter()
                .filter_map(|line| Some(line.split_once("would ban ")?.1))
                .collect();
            let mut banned: Vec<_> = bans
                .iter()
                .map(|line| line.split(' ').next().unwrap().to_owned())
                .collect();
            banned.sort_unstable();
            let mut want: Vec<_> = rotated
                .thrice
                .iter()
                .cloned()
                .chain(["203.0.113.99".to_owned()])
                .collect();
            want.sort_unstable();
            assert_eq!(
                banned, want,
                "who failed three times is banned, who failed twice is not"
            );
        },
    );
}

/// What a writer that never stops has written while the log was rotated under it.
struct Rotated {
    /// Sources that failed exactly three times. As many others failed twice.
    thrice: Vec<String>,
}

impl Rotated {
    const SOURCES: u8 = 240;

    fn write(path: &str) -> Rotated {
        let mut log = Log::create(path);
        let mut rotations = 0;
        for round in 0..3 {
            for source in 1..=Rotated::SOURCES {
                log.fail(&format!("198.51.100.{source}"));
                if round < 2 {
                    log.fail(&format!("192.0.2.{source}"));
                }
                if source % 8 == 0 {
                    rotations += 1;
                    Rotated::rotate(path, source / 8 + round, rotations, &mut log);
                }
            }
        }
        for _ in 0..3 {
            log.fail("203.0.113.99");
        }
        Rotated {
            thrice: (1..=Rotated::SOURCES)
                .map(|source| format!("198.51.100.{source}"))
                .collect(),
        }
    }

    /// Rotations are a moment apart, as real ones are by far: a file that is gone before the reader could even see
    /// it is lost to any reader.
    fn rotate(path: &str, step: u8, number: u8, log: &mut Log) {
        std::thread::sleep(Duration::from_millis(100));
        let old = format!("{path}.{number}");
        match step % 4 {
            // logrotate: rename, and the writer goes on with the old file until it is told to reopen.
            0 => {
                fs::rename(path, &old).unwrap();
                log.line("a line to the renamed file");
                *log = Log::create(path);
            }
            // rename, create, and only then does the writer reopen.
            1 => {
                fs::rename(path, &old).unwrap();
                drop(Log::create(path));
                log.line("a line to the renamed file");
                *log = Log::create(path);
            }
            // delete and create.
            2 => {
                fs::remove_file(path).unwrap();
                *log = Log::create(path);
            }
            // copytruncate: whoever truncates must leave the reader time to read; that is its known flaw.
            _ => {
                std::thread::sleep(Duration::from_millis(300));
                fs::copy(path, &old).unwrap();
                fs::OpenOptions::new()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_len(0)
                    .unwrap();
            }
        }
    }
}

#[test]
fn an_idle_guard_does_not_run() {
    isolated("an_idle_guard_does_not_run", || {
        fresh_machine();
        let mut log = Log::create("/var/log/asterisk/messages");
        let mut guard = Guard::start(&["--config", &config("nftables", "maxretry = 2\nbantime = 1d")]);
        log.fail("198.51.100.66");
        log.fail("198.51.100.66");
        guard.wait_for(" banned");
        std::thread::sleep(Duration::from_secs(1));
        let switches = || {
            let status = fs::read_to_string(format!("/proc/{}/status", guard.pid())).unwrap();
            status
                .lines()
                .find(|line| line.starts_with("voluntary"))
                .unwrap()
                .to_owned()
        };
        let before = switches();
        std::thread::sleep(Duration::from_secs(10));
        assert_eq!(before, switches());
    });
}

#[test]
fn a_storm_of_attackers_is_banned_whole() {
    isolated("a_storm_of_attackers_is_banned_whole", || {
        fresh_machine();
        let mut log = Log::create("/var/log/asterisk/messages");
        let mut guard = Guard::start(&["--config", &config("nftables", "maxretry = 2")]);
        let mut storm = String::new();
        for _ in 0..2 {
            for host in 0..10_000_u32 {
                storm += &wrong_password(&format!("100.64.{}.{}", host >> 8, host & 255));
                storm += "\n";
            }
        }
        log.line(storm.trim_end());
        guard.wait_for(" banned 100.64.39.15");
        let count = || kernel_sets("nftables").matches("100.64.").count();
        wait_until("all 10,000 are in the kernel", || count() == 10_000);
    });
}
