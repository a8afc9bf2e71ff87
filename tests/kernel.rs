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

#[path = "support/bans.rs"]
mod bans;
mod support;

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use bans::{
    Listed, add, apply, apply_all, asterisk, check_time, delete, effect, jail, listed, open, with_both,
};
use sipguard::config::{Backend, Protocol};
use sipguard::firewall::{Enforce as _, Firewall, JailRule, Refusal};
use sipguard::guard::{Change, Effect};
use support::{isolated, run};

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
        assert_eq!(listed(backend, "asterisk6net", "2001:db8:1:2::"), Listed::ForEver);
        check_time(backend, "a-jail4", "203.0.113.5", 90);
        assert_eq!(listed(backend, "asterisk4", "203.0.113.5"), Listed::Absent);
        assert!(firewall.check_intact().unwrap());
        firewall.teardown().unwrap();
        firewall.teardown().unwrap();
    });
}

#[test]
fn what_a_run_left_can_be_taken_away_by_another() {
    with_both("what_a_run_left_can_be_taken_away_by_another", |backend| {
        Firewall::clean().unwrap();
        run("nft add table inet other");
        let mut firewall = open(backend, &[asterisk()]);
        apply_all(&mut firewall, &[add("192.0.2.1/32", 0), add("2001:db8::/64", 0)]);
        drop(firewall);
        assert_eq!(listed(backend, "asterisk4", "192.0.2.1"), Listed::ForEver);
        Firewall::clean().unwrap();
        assert_eq!(bans::ours(), "");
        Firewall::clean().unwrap();
        assert!(run("nft list tables").contains("inet other"));
        run("nft delete table inet other");
    });
}

#[test]
fn a_ban_takes_the_time_it_was_given_last() {
    with_both("a_ban_takes_the_time_it_was_given_last", |backend| {
        let mut firewall = open(backend, &[asterisk()]);
        for net in ["192.0.2.1/32", "2001:db8::/64"] {
            let set = if net.contains(':') {
                "asterisk6net"
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
        assert_eq!(listed(backend, "asterisk6net", "2001:db8::"), Listed::Absent);
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
            add("2001:db8::/48", 0),
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
fn a_full_set_grows_and_what_finds_no_room_even_then_is_reported() {
    isolated(
        "a_full_set_grows_and_what_finds_no_room_even_then_is_reported",
        || {
            let mut firewall = Firewall::open(Backend::Ipset, &[asterisk()], 64, 100).unwrap();
            apply_all(&mut firewall, &many(1_000, 600_000));
            assert_eq!(firewall.take_notice(), None);
            apply_all(&mut firewall, &many(4_000, 600_000));
            let notice = firewall.take_notice().unwrap().to_string();
            assert!(
                notice.starts_with("ipset sipguard-asterisk4 was full with"),
                "{notice}"
            );
            assert_eq!(entries(Backend::Ipset), 4_000);
            check_time(Backend::Ipset, "asterisk4", "10.0.0.1", 600);
            assert!(
                firewall.check_intact().unwrap(),
                "the rules look into the larger set"
            );
            firewall.rebuild().unwrap();
            assert_eq!(entries(Backend::Ipset), 4_000, "it stays large");
            let outcomes = apply(&mut firewall, &many(10_000, 0));
            let full = outcomes
                .iter()
                .filter(|outcome| matches!(outcome, Err(Refusal::Full)))
                .count();
            let held = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            assert!(
                held >= 4 * 1_100 && full > 0 && held + full == 10_000,
                "{held} held, {full} refused"
            );
            assert_eq!(entries(Backend::Ipset), held);
            assert!(!run("ipset list -n").contains(".new"));
        },
    );
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
