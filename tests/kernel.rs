//! Does the real kernel do what `firewall` asks of it? nft(8), ipset(8) and iptables(8) look.
//!
//! Every test runs in a network of its own (see `support`), and where both parts of the kernel can
//! do a thing, with both.

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

use std::env;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use sipguard::config::{Backend, Block, Protocol};
use sipguard::firewall::{Firewall, JailRule, Protection, Refusal, Watch};
use sipguard::guard::{Change, Effect, JailId, Slot};
use sipguard::limits::CHANGES_PER_BATCH;
use support::{isolated, run, try_run};

/// Runs the body with each part of the kernel that can hold bans, and looks that nothing stays.
fn with_both(test: &str, body: impl Fn(Backend)) {
    isolated(test, || {
        for backend in [Backend::Nftables, Backend::Ipset] {
            body(backend);
            assert_eq!(ours(), "", "{backend:?} leaves something");
        }
    });
}

/// Everything of ours in the kernel, as the programs show it.
fn ours() -> String {
    let shown = [
        "nft list ruleset",
        "ipset list",
        "iptables-legacy-save",
        "ip6tables-legacy-save",
    ]
    .map(run)
    .concat();
    shown.lines().filter(|line| line.contains("sipguard")).collect()
}

fn jail(name: &str, protocol: Protocol, ports: &[(u16, u16)]) -> JailRule {
    JailRule {
        name: name.to_owned(),
        blocks: vec![Block {
            protocol,
            ports: ports.to_vec(),
        }],
    }
}

fn asterisk() -> JailRule {
    jail("asterisk", Protocol::All, &[])
}

#[track_caller]
fn open(backend: Backend, jails: &[JailRule]) -> Firewall {
    Firewall::open(backend, jails, 64, 1_000).unwrap_or_else(|fault| panic!("{fault}"))
}

fn effect(jail: u16, net: &str, change: Change) -> Effect {
    Effect {
        slot: Slot(7),
        jail: JailId(jail),
        net: net.parse().unwrap(),
        change,
    }
}

/// A ban in the first jail; 0 milliseconds are for ever.
fn add(net: &str, ms: u64) -> Effect {
    let timeout_ms = (ms > 0).then_some(ms);
    effect(0, net, Change::Add { timeout_ms })
}

fn delete(net: &str) -> Effect {
    effect(0, net, Change::Delete)
}

/// Each effect's outcome, in their order.
fn apply(firewall: &mut Firewall, effects: &[Effect]) -> Vec<Result<(), Refusal>> {
    let numbered: Vec<Effect> = (0..)
        .zip(effects)
        .map(|(i, effect)| Effect {
            slot: Slot(i),
            ..*effect
        })
        .collect();
    let mut outcomes: Vec<Option<_>> = effects.iter().map(|_| None).collect();
    for batch in numbered.chunks(CHANGES_PER_BATCH) {
        firewall.apply(batch, &mut |slot, result| {
            let before = outcomes[slot.0 as usize].replace(result);
            assert!(before.is_none(), "one outcome for slot {slot:?}");
        });
    }
    outcomes
        .into_iter()
        .map(|outcome| outcome.expect("an outcome for every effect"))
        .collect()
}

#[track_caller]
fn apply_all(firewall: &mut Firewall, effects: &[Effect]) {
    for (effect, outcome) in effects.iter().zip(apply(firewall, effects)) {
        outcome.unwrap_or_else(|refusal| panic!("{effect:?}: {refusal}"));
    }
}

/// What the system's program says about an address: nothing if it is not banned.
#[derive(Debug, PartialEq)]
enum Listed {
    Absent,
    ForEver,
    Seconds(u64),
}

fn listed(backend: Backend, set: &str, addr: &str) -> Listed {
    let shown = match backend {
        Backend::Ipset => run(&format!("ipset list sipguard-{set}")),
        Backend::Auto | Backend::Nftables => {
            run(&format!("nft list set inet sipguard {set}")).replace(',', "\n")
        }
    };
    let words = |line: &str| -> Vec<String> {
        let line = line.replace("elements = {", "").replace('}', "");
        line.split_whitespace().map(str::to_owned).collect()
    };
    let Some(line) = shown
        .lines()
        .map(words)
        .find(|words| words.first().is_some_and(|word| word == addr))
    else {
        return Listed::Absent;
    };
    let time = match backend {
        Backend::Ipset => line.get(2).unwrap().parse().unwrap(),
        Backend::Auto | Backend::Nftables => line.get(4).map_or(0, |text| nft_seconds(text)),
    };
    if time == 0 {
        Listed::ForEver
    } else {
        Listed::Seconds(time)
    }
}

/// `1h2m3s4ms`, rounded up.
fn nft_seconds(text: &str) -> u64 {
    let text = text.replace("ms", "i");
    let (mut seconds, mut number) = (0, 0);
    for c in text.chars() {
        match c {
            '0'..='9' => number = number * 10 + u64::from(c.to_digit(10).unwrap()),
            unit => {
                seconds += match unit {
                    'd' => number * 86_400,
                    'h' => number * 3_600,
                    'm' => number * 60,
                    's' => number,
                    _ => 1,
                };
                number = 0;
            }
        }
    }
    seconds
}

/// The ban is there for about so many seconds.
#[track_caller]
fn check_time(backend: Backend, set: &str, addr: &str, seconds: u64) {
    let found = listed(backend, set, addr);
    let Listed::Seconds(left) = found else {
        panic!("{addr} in {set}: {found:?}")
    };
    assert!(
        (seconds.saturating_sub(30)..=seconds + 1).contains(&left),
        "{addr}: {left} of {seconds} s"
    );
}

#[test]
fn bans_are_listed_with_their_time() {
    with_both("bans_are_listed_with_their_time", |backend| {
        let mut firewall = open(
            backend,
            &[asterisk(), jail("a jail", Protocol::Udp, &[(5060, 5061)])],
        );
        let second = effect(
            1,
            "203.0.113.5/32",
            Change::Add {
                timeout_ms: Some(90_000),
            },
        );
        apply_all(
            &mut firewall,
            &[add("192.0.2.1/32", 600_000), add("2001:db8:1:2::/64", 0), second],
        );
        check_time(backend, "asterisk4", "192.0.2.1", 600);
        assert_eq!(listed(backend, "asterisk6", "2001:db8:1:2::"), Listed::ForEver);
        check_time(backend, "a-jail4", "203.0.113.5", 90);
        assert_eq!(listed(backend, "asterisk4", "203.0.113.5"), Listed::Absent);
        assert!(firewall.check_intact().unwrap());
        firewall.teardown().unwrap();
        firewall.teardown().unwrap();
    });
}

#[test]
fn a_ban_takes_the_time_it_was_given_last() {
    with_both("a_ban_takes_the_time_it_was_given_last", |backend| {
        let mut firewall = open(backend, &[asterisk()]);
        for net in ["192.0.2.1/32", "2001:db8::/64"] {
            let set = if net.contains(':') {
                "asterisk6"
            } else {
                "asterisk4"
            };
            let addr = net.split('/').next().unwrap();
            for seconds in [600, 6_000, 60] {
                apply_all(&mut firewall, &[add(net, seconds * 1_000)]);
                check_time(backend, set, addr, seconds);
            }
            apply_all(&mut firewall, &[add(net, 0)]);
            assert_eq!(listed(backend, set, addr), Listed::ForEver);
            apply_all(&mut firewall, &[add(net, 60_000)]);
            check_time(backend, set, addr, 60);
        }
        firewall.teardown().unwrap();
    });
}

#[test]
fn a_ban_ends_by_itself() {
    with_both("a_ban_ends_by_itself", |backend| {
        let mut firewall = open(backend, &[asterisk()]);
        apply_all(
            &mut firewall,
            &[
                add("192.0.2.1/32", 1),
                add("192.0.2.2/32", 2_000),
                add("192.0.2.3/32", 60_000),
            ],
        );
        // ipset counts whole seconds, so "after 2 s" is up to 3 s.
        for _ in 0..100 {
            if listed(backend, "asterisk4", "192.0.2.2") == Listed::Absent {
                break;
            }
            sleep(Duration::from_millis(100));
        }
        assert_eq!(listed(backend, "asterisk4", "192.0.2.1"), Listed::Absent);
        assert_eq!(listed(backend, "asterisk4", "192.0.2.2"), Listed::Absent);
        check_time(backend, "asterisk4", "192.0.2.3", 60);
        // One that has just ended can be banned again, and deleted.
        apply_all(
            &mut firewall,
            &[add("192.0.2.1/32", 60_000), delete("192.0.2.2/32")],
        );
        check_time(backend, "asterisk4", "192.0.2.1", 60);
        firewall.teardown().unwrap();
    });
}

#[test]
fn deleting_is_fine_whether_it_is_there_or_not() {
    with_both("deleting_is_fine_whether_it_is_there_or_not", |backend| {
        let mut firewall = open(backend, &[asterisk()]);
        apply_all(
            &mut firewall,
            &[
                add("192.0.2.1/32", 60_000),
                add("192.0.2.2/32", 0),
                add("2001:db8::/64", 0),
            ],
        );
        let deletes = [
            delete("192.0.2.1/32"),
            delete("192.0.2.9/32"),
            delete("2001:db8::/64"),
        ];
        for _ in 0..2 {
            apply_all(&mut firewall, &deletes);
        }
        assert_eq!(listed(backend, "asterisk4", "192.0.2.1"), Listed::Absent);
        assert_eq!(listed(backend, "asterisk4", "192.0.2.9"), Listed::Absent);
        assert_eq!(listed(backend, "asterisk4", "192.0.2.2"), Listed::ForEver);
        assert_eq!(listed(backend, "asterisk6", "2001:db8::"), Listed::Absent);
        firewall.teardown().unwrap();
    });
}

#[test]
fn a_change_that_is_refused_does_not_keep_the_others() {
    with_both("a_change_that_is_refused_does_not_keep_the_others", |backend| {
        let mut firewall = open(
            backend,
            &[
                asterisk(),
                JailRule {
                    name: "mail".into(),
                    blocks: vec![],
                },
            ],
        );
        apply_all(&mut firewall, &[add("192.0.2.1/32", 60_000)]);
        let effects = [
            add("192.0.2.0/24", 0),
            add("192.0.2.1/32", 600_000),
            effect(9, "192.0.2.8/32", Change::Delete),
            effect(1, "192.0.2.8/32", Change::Delete),
            add("2001:db8::1/128", 0),
            delete("192.0.2.77/32"),
            add("192.0.2.2/32", 60_000),
            add("192.0.2.2/32", 600_000),
        ];
        let outcomes: Vec<_> = apply(&mut firewall, &effects).iter().map(Result::is_ok).collect();
        assert_eq!(outcomes, [false, true, false, true, false, true, true, true]);
        check_time(backend, "asterisk4", "192.0.2.1", 600);
        check_time(backend, "asterisk4", "192.0.2.2", 600);
        if backend == Backend::Ipset {
            let outcomes = apply(
                &mut firewall,
                &[
                    add("192.0.2.3/32", 0),
                    add("0.0.0.0/32", 0),
                    add("192.0.2.4/32", 0),
                ],
            );
            assert!(
                matches!(outcomes[..], [Ok(()), Err(Refusal::Impossible(_)), Ok(())]),
                "{outcomes:?}"
            );
        }
        firewall.teardown().unwrap();
    });
}

/// 10.0.0.0 and so many that follow.
fn many(count: u32, ms: u64) -> Vec<Effect> {
    let base = 10 << 24;
    (0..count)
        .map(|i| add(&format!("{}/32", Ipv4Addr::from(base + i)), ms))
        .collect()
}

fn entries(backend: Backend) -> usize {
    match backend {
        Backend::Ipset => run("ipset list sipguard-asterisk4").matches("\n10.").count(),
        Backend::Auto | Backend::Nftables => run("nft list set inet sipguard asterisk4")
            .matches(" expires ")
            .count(),
    }
}

#[test]
fn ten_thousand_bans_come_go_and_change_in_batches() {
    with_both("ten_thousand_bans_come_go_and_change_in_batches", |backend| {
        let mut firewall = Firewall::open(backend, &[asterisk()], 64, 20_000).unwrap();
        let adds = many(10_000, 3_600_000);
        apply_all(&mut firewall, &adds);
        assert_eq!(entries(backend), 10_000);
        // All of them are there: every short message is refused, and taken the long way.
        apply_all(&mut firewall, &many(10_000, 60_000));
        check_time(backend, "asterisk4", "10.0.39.15", 60);
        let deletes: Vec<_> = adds
            .iter()
            .map(|effect| Effect {
                change: Change::Delete,
                ..*effect
            })
            .collect();
        apply_all(&mut firewall, &deletes[5_000..]);
        assert_eq!(entries(backend), 5_000);
        apply_all(&mut firewall, &deletes);
        assert_eq!(entries(backend), 0);
        firewall.teardown().unwrap();
    });
}

#[test]
fn a_full_set_is_reported_for_the_bans_that_found_no_room() {
    isolated("a_full_set_is_reported_for_the_bans_that_found_no_room", || {
        let mut firewall = Firewall::open(Backend::Ipset, &[asterisk()], 64, 100).unwrap();
        let outcomes = apply(&mut firewall, &many(5_000, 0));
        let full = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(Refusal::Full)))
            .count();
        let held = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(
            held >= 100 && full > 0 && held + full == 5_000,
            "{held} held, {full} refused"
        );
        assert_eq!(entries(Backend::Ipset), held);
    });
}

#[test]
fn sets_that_are_gone_are_reported_and_rebuilt() {
    with_both("sets_that_are_gone_are_reported_and_rebuilt", |backend| {
        let mut firewall = open(backend, &[asterisk()]);
        firewall.teardown().unwrap();
        let outcomes = apply(&mut firewall, &[add("192.0.2.1/32", 0), delete("192.0.2.2/32")]);
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Err(Refusal::Gone))),
            "{outcomes:?}"
        );
        firewall.rebuild().unwrap();
        assert!(firewall.check_intact().unwrap());
        apply_all(&mut firewall, &[add("192.0.2.1/32", 0)]);
        assert_eq!(listed(backend, "asterisk4", "192.0.2.1"), Listed::ForEver);
        firewall.teardown().unwrap();
    });
}

#[test]
fn what_an_earlier_run_left_is_replaced() {
    with_both("what_an_earlier_run_left_is_replaced", |backend| {
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
        assert_eq!(listed(backend, "asterisk4", "192.0.2.1"), Listed::Absent);
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
    });
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
fn times_are_those_that_the_kernel_can_count() {
    with_both("times_are_those_that_the_kernel_can_count", |backend| {
        let mut firewall = open(backend, &[asterisk()]);
        let longest = firewall.longest_timeout_ms();
        apply_all(
            &mut firewall,
            &[add("192.0.2.1/32", longest), add("192.0.2.2/32", u64::MAX)],
        );
        check_time(backend, "asterisk4", "192.0.2.1", longest / 1_000);
        check_time(backend, "asterisk4", "192.0.2.2", longest / 1_000);
        firewall.teardown().unwrap();
    });
}

#[test]
fn the_probe_says_what_there_is_and_leaves_no_trace() {
    isolated("the_probe_says_what_there_is_and_leaves_no_trace", || {
        let offer = Firewall::probe();
        assert_eq!(
            offer.nftables.unwrap(),
            Protection::Kernel,
            "on the kernels that we test with"
        );
        let ipset = offer.ipset.unwrap();
        assert!(ipset.revision >= 1);
        assert_eq!(ipset.iptables.unwrap(), "raw");
        assert_eq!(ipset.ip6tables.unwrap(), "raw");
        assert_eq!(ours(), "");
        assert_eq!(run("nft list ruleset"), "");
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
            (Backend::Ipset, "cannot ask for ipset's type hash:ip"),
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
