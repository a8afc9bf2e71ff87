//! What becomes of bans when the configuration changes? The guard alone, without a kernel.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sipguard::filter::{Class, Failure, Kind, Proof, Service};
use sipguard::guard::{Change, Effect, Guard, JailId, Policy, Seed, Settings, Source, Trust};
use sipguard::time::Mono;

const NOW: Mono = Mono(1_000);

/// One jail that bans for ever at the first failure.
fn guard(ipv6prefix: u8, maxbans: u32, ignoreip: &[&str]) -> Guard {
    let policy = Policy {
        maxretry: 1,
        findtime: 600,
        bantime: None,
        escalation: None,
        recidive: false,
        trust: Trust::new(ignoreip.iter().map(|net| net.parse().unwrap())),
    };
    let settings = Settings {
        ring: 64,
        maxbans,
        ipv6prefix,
        purge_age: None,
        own: Trust::default(),
        seed: Seed([1, 2]),
    };
    Guard::new(vec![policy], settings)
}

fn fail(guard: &mut Guard, address: &str) {
    let failure = Failure {
        addr: address.parse().unwrap(),
        kind: Kind {
            service: Service::Sip,
            class: Class::Auth,
        },
        proof: Proof::Blind,
        attempt: None,
        at: None,
    };
    guard.observe(JailId(0), Source(0), &failure, NOW);
}

/// Everything that the kernel shall do at `now`, answered; as `+net` and `-net`.
fn effects(guard: &mut Guard, now: Mono, taken: bool) -> Vec<String> {
    let mut shown = Vec::new();
    while let Some(Effect {
        slot, net, change, ..
    }) = guard.poll_effect(now)
    {
        shown.push(match change {
            Change::Add { .. } => format!("+{net}"),
            Change::Delete => format!("-{net}"),
        });
        guard.acked(slot, taken, now);
    }
    shown.sort();
    shown
}

fn reload(old: &mut Guard, mut new: Guard) -> (Guard, u32) {
    let ended = new.inherit(old, Some);
    (new, ended)
}

#[test]
fn what_the_kernel_would_not_let_go_is_asked_for_again_after_two_reloads() {
    let mut first = guard(64, 8, &[]);
    fail(&mut first, "192.0.2.1");
    assert_eq!(effects(&mut first, NOW, true), ["+192.0.2.1/32"]);
    let (mut second, ended) = reload(&mut first, guard(64, 8, &["192.0.2.1/32"]));
    assert_eq!(ended, 1);
    assert_eq!(effects(&mut second, NOW, false), ["-192.0.2.1/32"]);
    let (mut third, ended) = reload(&mut second, guard(64, 8, &["192.0.2.1/32"]));
    assert_eq!((ended, third.ban_count()), (0, 0));
    assert_eq!(effects(&mut third, NOW.plus_seconds(1), true), ["-192.0.2.1/32"]);
    assert_eq!(third.next_deadline(), None);
    // Whoever is banned again meanwhile stays banned.
    let (mut fourth, _) = reload(&mut second, guard(64, 8, &[]));
    fail(&mut fourth, "192.0.2.1");
    assert_eq!(effects(&mut fourth, NOW, true), ["+192.0.2.1/32"]);
}

#[test]
fn ending_the_bans_of_trusted_sources_displaces_no_other() {
    let mut first = guard(64, 2, &[]);
    fail(&mut first, "192.0.2.1");
    fail(&mut first, "192.0.2.2");
    effects(&mut first, NOW, true);
    let (mut second, ended) = reload(&mut first, guard(64, 2, &["192.0.2.1/32"]));
    assert_eq!((ended, second.ban_count()), (1, 1));
    assert_eq!(
        effects(&mut second, NOW, true),
        ["+192.0.2.2/32", "-192.0.2.1/32"]
    );
}

/// The kernel has sets for single addresses and for networks of one length.
#[test]
fn bans_of_networks_follow_ipv6prefix() {
    let check = |prefix, ignoreip: &[&str], want: &[&str], want_ended| {
        let mut first = guard(64, 8, &["2001:db8:9::1/128"]);
        for address in ["192.0.2.1", "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:9::2"] {
            fail(&mut first, address);
        }
        assert_eq!(effects(&mut first, NOW, true).len(), 4);
        let (mut second, ended) = reload(&mut first, guard(prefix, 8, ignoreip));
        assert_eq!(effects(&mut second, NOW, true), want, "{prefix}");
        assert_eq!(ended, want_ended, "{prefix}");
    };
    check(
        56,
        &[],
        &["+192.0.2.1/32", "+2001:db8:9::2/128", "+2001:db8::/56"],
        1,
    );
    check(
        56,
        &["2001:db8:0:7::/64"],
        &["+192.0.2.1/32", "+2001:db8:9::2/128"],
        2,
    );
    check(80, &[], &["+192.0.2.1/32", "+2001:db8:9::2/128"], 2);
    check(128, &[], &["+192.0.2.1/32", "+2001:db8:9::2/128"], 2);
}

#[test]
fn bans_that_find_no_place_in_a_smaller_table_are_counted() {
    let mut first = guard(64, 8, &[]);
    for host in 1..=5 {
        fail(&mut first, &format!("192.0.2.{host}"));
    }
    let (second, ended) = reload(&mut first, guard(64, 3, &[]));
    assert_eq!((ended, second.ban_count()), (2, 3));
}

/// Whatever the kernel refuses and whoever is trusted for a while: when it takes everything, it holds the bans.
#[test]
fn over_any_history_of_reloads_the_kernel_holds_the_bans() {
    let addresses = [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "2001:db8::",
        "2001:db8::1",
        "2001:db8:0:1::1",
        "2001:db8:0:100::1",
    ];
    let trusts: [&[&str]; 4] = [
        &[],
        &["192.0.2.0/31"],
        &["2001:db8::1/128"],
        &["192.0.2.3/32", "2001:db8:0:1::/64"],
    ];
    for seed in 1..=400_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as usize % bound
        };
        let (mut bits, mut now) = (64, NOW);
        let mut guard_now = guard(bits, 4, &[]);
        let mut trusted = Trust::default();
        let mut kernel = std::collections::BTreeSet::new();
        for step in 0..120 {
            let mut taken = below(3) > 0;
            match below(6) {
                0 => {
                    let next_bits = [64, 64, 64, 56, 128][below(5)];
                    let trust = trusts[below(trusts.len())];
                    let old = std::mem::replace(&mut guard_now, guard(next_bits, 4, trust));
                    // Other sets are made anew.
                    if next_bits != bits {
                        kernel.clear();
                    }
                    bits = next_bits;
                    trusted = Trust::new(trust.iter().map(|net| net.parse().unwrap()));
                    let mut old = old;
                    guard_now.inherit(&mut old, Some);
                }
                1 => {
                    now = now.plus_seconds(2);
                    taken = true;
                }
                _ => fail(&mut guard_now, addresses[below(addresses.len())]),
            }
            while let Some(Effect {
                slot, net, change, ..
            }) = guard_now.poll_effect(now)
            {
                assert!(
                    [32, 128, bits].contains(&net.prefix_len()),
                    "{seed} {step}: {net}"
                );
                if taken {
                    match change {
                        Change::Add { .. } => kernel.insert(net),
                        Change::Delete => kernel.remove(&net),
                    };
                }
                guard_now.acked(slot, taken, now);
            }
            // Revived while the kernel still had it, a ban may be beyond the bound, but no new one.
            assert!(
                guard_now.ban_count() <= 4 + addresses.len() as u32,
                "{seed} {step}"
            );
            if taken && guard_now.next_deadline().is_none() {
                let bans: std::collections::BTreeSet<_> = guard_now.bans().map(|ban| ban.net).collect();
                assert_eq!(kernel, bans, "{seed} {step}");
                assert!(
                    bans.iter().all(|net| !trusted.overlaps(*net)),
                    "{seed} {step}: {bans:?}"
                );
            }
        }
    }
}

#[test]
fn a_full_table_stays_full_when_a_ban_comes_back_that_the_kernel_had_not_let_go() {
    let mut table = guard(64, 2, &[]);
    fail(&mut table, "192.0.2.1");
    fail(&mut table, "192.0.2.2");
    effects(&mut table, NOW, true);
    table.unban("192.0.2.1/32".parse().unwrap(), JailId(0)).unwrap();
    fail(&mut table, "192.0.2.3");
    fail(&mut table, "192.0.2.1");
    for host in 4..20 {
        fail(&mut table, &format!("192.0.2.{host}"));
    }
    assert_eq!(table.ban_count(), 2, "the one that came back is no exception");
}
