//! Do we leave to others what is theirs, and find our way among what they, or an earlier run, left?

#![allow(
    clippy::disallowed_methods,
    reason = "tests run programs and wait for the kernel's clock"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

#[path = "support/bans.rs"]
mod bans;
mod support;

use std::env;
use std::io::Read;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

use bans::{Listed, add, apply_all, asterisk, jail, listed, open, ours, with_both};
use sipguard::config::{Backend, Protocol};
use sipguard::firewall::{Enforce as _, Firewall, Protection, Watch};
use support::{isolated, run, try_run};

#[test]
fn what_an_earlier_run_left_is_kept_if_it_fits_and_else_replaced() {
    with_both(
        "what_an_earlier_run_left_is_kept_if_it_fits_and_else_replaced",
        |backend| {
            let mut earlier =
                Firewall::open(backend, &[asterisk(), jail("old", Protocol::Udp, &[])], 128, 50).unwrap();
            apply_all(&mut earlier, &[add("192.0.2.1/32", 0), add("2001:db8::1/128", 0)]);
            drop(earlier);
            assert_eq!(
                listed(backend, "asterisk6", "2001:db8::1"),
                Listed::ForEver,
                "bans outlive us"
            );

            let mut firewall = open(backend, &[asterisk(), jail("new", Protocol::Tcp, &[(22, 22)])]);
            assert!(!ours().contains("old"), "{}", ours());
            // An ipset for 50 bans is made larger.
            assert_eq!(listed(backend, "asterisk4", "192.0.2.1"), Listed::ForEver);
            assert_eq!(listed(backend, "asterisk6", "2001:db8::1"), Listed::ForEver);
            apply_all(&mut firewall, &[add("2001:db8::/64", 60_000)]);
            assert!(firewall.check_intact().unwrap());
            drop(firewall);

            let mut other = open(
                if backend == Backend::Ipset {
                    Backend::Nftables
                } else {
                    Backend::Ipset
                },
                &[asterisk()],
            );
            let left = match backend {
                Backend::Ipset => run("ipset list -n") + &run("iptables-legacy-save"),
                Backend::Auto | Backend::Nftables => run("nft list tables"),
            };
            assert!(
                !left.contains("sipguard"),
                "the other part's bans would outlast an unban:\n{left}"
            );
            other.teardown().unwrap();
        },
    );
}

#[test]
fn a_table_of_our_name_is_replaced_whatever_is_in_it() {
    isolated("a_table_of_our_name_is_replaced_whatever_is_in_it", || {
        run("nft add table inet sipguard");
        run("nft add set inet sipguard asterisk4 { type ipv6_addr; flags interval; }");
        let firewall = open(Backend::Auto, &[asterisk()]);
        assert_eq!(firewall.backend(), "nftables");
        assert!(run("nft list set inet sipguard asterisk4").contains("ipv4_addr"));
    });
}

#[test]
fn what_others_have_in_the_kernel_stays_as_it_is() {
    with_both("what_others_have_in_the_kernel_stays_as_it_is", |backend| {
        for line in [
            "nft add table inet theirs",
            "nft add set inet theirs s { type ipv4_addr; flags timeout; }",
            "nft add element inet theirs s { 192.0.2.200 }",
            "ipset create theirs hash:ip",
            "ipset add theirs 192.0.2.200",
            "iptables-legacy -t raw -N first",
            "iptables-legacy -t raw -N second",
            "iptables-legacy -t raw -A PREROUTING -i lo -j first",
            "iptables-legacy -t raw -A PREROUTING -s 192.0.2.9 -g second",
            "iptables-legacy -t raw -A first -m set --match-set theirs src -j second",
            "iptables-legacy -t raw -A first -p udp -m multiport --dports 1,2,3",
            "iptables-legacy -t raw -A second -j RETURN",
            "iptables-legacy -t raw -A OUTPUT -o lo -m comment --comment hello -j first",
            "iptables-legacy -t raw -P OUTPUT ACCEPT",
            "ip6tables-legacy -t raw -A PREROUTING -s 2001:db8::/32 -p tcp --dport 1 -j ACCEPT",
        ] {
            run(line);
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..3 {
            let _ = socket.send_to(b"counted", "127.0.0.1:9");
        }
        let theirs = || {
            [
                "nft list ruleset",
                "ipset list theirs",
                "iptables-legacy-save -c",
                "ip6tables-legacy-save -c",
            ]
            .map(run)
            .concat()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
        };
        let before = theirs();
        assert!(
            !before.contains("[0:0] -A OUTPUT"),
            "there are counters to lose:\n{before}"
        );
        let mut firewall = open(backend, &[asterisk(), jail("sip", Protocol::TcpUdp, &[(1, 2)])]);
        if backend == Backend::Ipset {
            let line = "-A PREROUTING -i lo -j first";
            let counted = |text: &str| text.lines().find(|l| l.contains(line)).unwrap().to_owned();
            let during = theirs();
            assert_eq!(counted(&before), counted(&during));
            assert!(
                during.find("-A PREROUTING -j sipguard").unwrap() < during.find(line).unwrap(),
                "{during}"
            );
        }
        firewall.rebuild().unwrap();
        firewall.teardown().unwrap();
        assert_eq!(theirs(), before);
        for line in [
            "nft delete table inet theirs",
            "iptables-legacy -t raw -F",
            "iptables-legacy -t raw -X",
            "ip6tables-legacy -t raw -F",
            "ipset destroy theirs",
        ] {
            run(line);
        }
    });
}

#[test]
fn iptables_itself_can_read_and_write_around_our_rules() {
    isolated("iptables_itself_can_read_and_write_around_our_rules", || {
        let mut firewall = open(
            Backend::Ipset,
            &[
                asterisk(),
                jail("sip", Protocol::Udp, &[(5060, 5061), (4569, 4569)]),
            ],
        );
        run("iptables-legacy -t raw -I PREROUTING 1 -s 192.0.2.9 -j ACCEPT");
        run("iptables-legacy -t raw -N zz");
        assert!(firewall.check_intact().unwrap());
        let saved = run("iptables-legacy-save -t raw");
        assert!(
            saved.contains("-A sipguard -m set --match-set sipguard-asterisk4 src -j DROP"),
            "{saved}"
        );
        assert!(
            saved.contains(
                "-A sipguard -p udp -m udp --dport 5060:5061 -m set --match-set sipguard-sip4 src -j DROP"
            ),
            "{saved}"
        );
        run("iptables-legacy -t raw -F sipguard");
        assert!(!firewall.check_intact().unwrap(), "a flushed chain is noticed");
        firewall.rebuild().unwrap();
        run("iptables-legacy -t raw -D PREROUTING -j sipguard");
        assert!(
            !firewall.check_intact().unwrap(),
            "a jump that is gone is noticed"
        );
        firewall.rebuild().unwrap();
        assert!(firewall.check_intact().unwrap());
        firewall.teardown().unwrap();
        let left = run("iptables-legacy-save -t raw");
        assert!(
            left.contains("-s 192.0.2.9/32 -j ACCEPT") && left.contains(":zz"),
            "{left}"
        );
    });
}

#[test]
fn others_cannot_remove_our_table() {
    isolated("others_cannot_remove_our_table", || {
        let mut firewall = open(Backend::Nftables, &[asterisk()]);
        let Watch::Needless = firewall.watch() else {
            println!("this kernel has no tables with owners");
            return;
        };
        apply_all(&mut firewall, &[add("192.0.2.1/32", 0)]);
        run("nft flush ruleset");
        assert!(!try_run("nft delete table inet sipguard").status.success());
        assert_eq!(
            listed(Backend::Nftables, "asterisk4", "192.0.2.1"),
            Listed::ForEver
        );
        let second = Firewall::open(Backend::Auto, &[asterisk()], 64, 10)
            .unwrap_err()
            .to_string();
        assert!(second.contains("is sipguard running already?"), "{second}");
    });
}

#[test]
fn the_probe_says_what_there_is_and_leaves_no_trace() {
    isolated("the_probe_says_what_there_is_and_leaves_no_trace", || {
        let offer = Firewall::probe();
        let ipset = offer.ipset.unwrap();
        assert!(ipset.revision >= 1);
        assert_eq!(ipset.iptables.unwrap(), "raw");
        assert_eq!(ipset.ip6tables.unwrap(), "raw");
        assert_eq!(ours(), "");
        assert_eq!(run("nft list ruleset"), "");
        let firewall = open(Backend::Nftables, &[asterisk()]);
        let want = match firewall.watch() {
            Watch::Needless => Protection::Kernel,
            Watch::Events(_) | Watch::Poll => Protection::Watching,
        };
        assert_eq!(offer.nftables.unwrap(), want);
    });
}

#[test]
fn without_the_privilege_it_says_so() {
    const UNPRIVILEGED: &str = "SIPGUARD_TEST_UNPRIVILEGED";
    let test = "without_the_privilege_it_says_so";
    let check = || {
        for (backend, what) in [
            (Backend::Auto, "cannot create table inet sipguard"),
            (Backend::Nftables, "cannot create table inet sipguard"),
            (Backend::Ipset, "cannot look at ipset sipguard-asterisk4"),
        ] {
            let fault = Firewall::open(backend, &[asterisk()], 64, 10)
                .unwrap_err()
                .to_string();
            let why = "Operation not permitted (os error 1) (needs CAP_NET_ADMIN: start as root)";
            assert_eq!(fault, format!("{what}: {why}"));
        }
    };
    if env::var_os(UNPRIVILEGED).is_some() {
        return check();
    }
    isolated(test, || {
        let output = Command::new("setpriv")
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .arg(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(UNPRIVILEGED, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(ours(), "");
    });
}

#[test]
fn a_rebuild_does_not_wait_for_another_program_that_changes_iptables() {
    isolated(
        "a_rebuild_does_not_wait_for_another_program_that_changes_iptables",
        || {
            let mut firewall = open(Backend::Ipset, &[asterisk()]);
            apply_all(&mut firewall, &[add("192.0.2.1/32", 0)]);
            let mut other = Command::new("flock")
                .args(["/run/xtables.lock", "sh", "-c", "echo locked; read unlock"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut locked = [0; 7];
            other.stdout.as_mut().unwrap().read_exact(&mut locked).unwrap();
            let fault = firewall.rebuild().unwrap_err().to_string();
            assert!(fault.contains("holds /run/xtables.lock"), "{fault}");
            assert_eq!(
                listed(Backend::Ipset, "asterisk4", "192.0.2.1"),
                Listed::ForEver,
                "nothing has changed"
            );
            drop(other.stdin.take());
            other.wait().unwrap();
            firewall.rebuild().unwrap();
        },
    );
}
