use core::net::IpAddr;

use super::super::{Ban, Policy, Seed, Settings, Source, Trust, Verdict};
use super::*;
use crate::filter::Attempt;
use crate::filter::{Step, Witness};
use crate::limits::TRACES_MAX;

const JAIL: JailId = JailId(0);

/// What happens to one guard, at a time that goes on.
struct World {
    guard: Guard,
    now: Mono,
    attempt: u64,
}

fn evidence() -> Evidence {
    Evidence {
        known: Some(150),
        phone: Some(35),
        challenge: Some(50),
        slow: Some(10),
        slow_findtime: 86_400,
        flood: Some(200),
        halves: false,
        bannet: Bannet::Off,
        members: 0,
    }
}

fn world(evidence: Evidence) -> World {
    let policy = Policy {
        maxretry: 5,
        findtime: 600,
        bantime: Some(600),
        bantime_unproven: None,
        escalation: None,
        recidive: false,
        reach_by_proof: true,
        evidence,
        trust: Trust::default(),
    };
    let settings = Settings {
        ring: 4096,
        maxbans: 1 << 17,
        ipv6prefix: 64,
        purge_age: None,
        own: Trust::default(),
        seed: Seed([1, 2]),
    };
    World {
        guard: Guard::new(vec![policy], settings),
        now: Mono::BOOT,
        attempt: 0,
    }
}

impl World {
    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus_seconds(seconds);
        while self.guard.expire(self.now).is_some() {}
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(effect) = self.guard.poll_effect(self.now) {
            self.guard.acked(effect.slot, true, self.now);
        }
    }

    /// A wrong password for an account; the reasons if it brought a ban.
    fn fail(&mut self, source: u32, account: u32, proof: Proof) -> Option<Summary> {
        self.fail_at(source, account, proof, Class::Auth)
    }

    fn fail_at(&mut self, source: u32, account: u32, proof: Proof, class: Class) -> Option<Summary> {
        self.attempt += 1;
        let failure = Failure {
            addr: address(source),
            kind: Kind {
                service: Service::Pjsip,
                class,
            },
            proof,
            attempt: Some(Attempt {
                id: self.attempt,
                witness: Witness::Security,
                step: Step::Closing,
            }),
            account: Some(account),
            at: None,
        };
        let outcome = self.guard.observe(JAIL, Source(0), &failure, self.now);
        self.settle();
        banned(&outcome).map(|verdict| verdict.why)
    }

    fn sign(&mut self, source: u32, account: u32, shown: Shown) -> Option<Summary> {
        let sign = Sign {
            addr: address(source),
            account: Some(account),
            shown,
            at: None,
        };
        let outcome = self.guard.observe_sign(JAIL, &sign, self.now);
        self.settle();
        outcome
            .and_then(|outcome| banned(&outcome))
            .map(|verdict| verdict.why)
    }

    fn is_banned(&self, source: u32) -> bool {
        self.guard.standing(address(source).into(), JAIL).is_some()
    }
}

fn address(source: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 | source).to_be_bytes())
}

fn banned(outcome: &Outcome) -> Option<Verdict> {
    if let Outcome::Ban(verdict) = outcome {
        Some(*verdict)
    } else {
        None
    }
}

const OFFICE: u32 = 1;

#[test]
fn a_scanner_is_banned_at_maxretry() {
    for proof in [Proof::Blind, Proof::Nonce] {
        // One account as fast as it goes, and many at a phone's pace.
        for (accounts, pace) in [(1, 0), (1, 1), (5, 0), (5, 60), (2, 100)] {
            let mut world = world(evidence());
            for number in 0..4 {
                assert_eq!(world.fail(7, number % accounts, proof), None);
                world.wait(pace);
            }
            let why = world
                .fail(7, 4 % accounts, proof)
                .expect("the fifth brings a ban");
            assert_eq!((why.failures, why.pattern), (5, Pattern::Burst));
            assert_eq!(why.accounts, accounts.min(5));
        }
    }
}

#[test]
fn a_phone_with_a_wrong_password_is_told_of_and_not_banned() {
    for pace in [20, 30, 60, 110] {
        let mut world = world(evidence());
        let mut told = 0;
        for _ in 0..1000 {
            assert_eq!(world.fail(7, 100, Proof::Nonce), None, "at {pace}");
            told += u32::from(world.guard.take_remark().is_some());
            world.wait(pace);
        }
        let hours = 1000 * pace / 3600;
        assert!((1..=hours as u32 + 1).contains(&told), "{told} in {hours} h");
        // When it is not that any more, it is counted as anybody.
        assert!(world.fail(7, 100, Proof::Nonce).is_some() || world.fail(7, 101, Proof::Nonce).is_some());
    }
    let mut world = world(evidence());
    let banned = (0..40).find(|_| {
        world.wait(15);
        world.fail(7, 100, Proof::Nonce).is_some()
    });
    assert_eq!(banned, Some(34), "the faster of them at maxretry.phone");
}

#[test]
fn a_phone_is_none_the_worse_for_a_long_findtime() {
    let mut world = world(evidence());
    world.guard.policies[0].findtime = 86_400;
    world.guard.policies[0].maxretry = 2;
    for _ in 0..500 {
        assert_eq!(world.fail(7, 100, Proof::Nonce), None);
        world.wait(30);
    }
    assert!(world.fail(8, 100, Proof::Nonce).is_none() && world.fail(8, 100, Proof::Nonce).is_some());
}

#[test]
fn calls_are_no_phone_with_a_wrong_password() {
    let mut world = world(evidence());
    let banned = (0..10).find(|_| {
        world.wait(60);
        world.fail_at(7, 900, Proof::Blind, Class::Call).is_some()
    });
    assert_eq!(banned, Some(4));
}

#[test]
fn one_wrong_phone_does_not_cut_the_office() {
    for (proof, own) in [
        (Proof::Blind, true),
        (Proof::Blind, false),
        (Proof::Nonce, true),
        (Proof::Nonce, false),
    ] {
        let mut world = world(evidence());
        for account in 100..149 {
            world.sign(OFFICE, account, Shown::Known);
        }
        // Every five seconds, for a day; its account has succeeded once, or never.
        let wrong = if own { 100 } else { 999 };
        for _ in 0..86_400 / 5 {
            world.wait(5);
            assert_eq!(world.fail(OFFICE, wrong, proof), None, "{proof:?} {own}");
        }
    }
}

#[test]
fn one_account_vouches_for_no_other() {
    for proof in [Proof::Blind, Proof::Nonce] {
        for pace in [0, 1, 100] {
            let mut world = world(evidence());
            let mut tries = 0;
            for account in 200.. {
                world.sign(7, 100, Shown::Known);
                tries += 1;
                if world.fail(7, account, proof).is_some() {
                    break;
                }
                world.wait(pace);
            }
            assert_eq!(tries, 5, "as if it knew no account, {proof:?} {pace}");
        }
    }
    // Nor does it slow down, or crack one other account.
    let mut slowly = world(evidence());
    let scanned = (200..).find(|&account| {
        slowly.wait(1000);
        slowly.sign(7, 100, Shown::Known);
        slowly.fail(7, account, Proof::Blind).is_some()
    });
    assert_eq!(scanned, Some(209), "at maxretry.slow");
    let mut cracks = world(evidence());
    let cracked = (0..).find(|_| {
        cracks.sign(7, 100, Shown::Known);
        cracks.fail(7, 101, Proof::Blind).is_some()
    });
    assert_eq!(cracked, Some(149), "at maxretry.known");
}

#[test]
fn a_stolen_account_makes_no_botnet_known() {
    let mut world = world(evidence());
    (0..1000).for_each(|source| _ = world.sign(source, 100, Shown::Known));
    assert_eq!(world.guard.known_sources(), 8);
}

#[test]
fn whoever_forges_a_known_address_cannot_have_it_banned_for_its_own_account() {
    let mut world = world(evidence());
    world.sign(7, 100, Shown::Known);
    assert!((0..100_000).all(|_| world.fail(7, 100, Proof::Blind).is_none()));
    // It is the same for some accounts that are not there.
    assert!((0..4).all(|account| world.fail(7, account, Proof::Blind).is_none()));
    // But a password that is guessed is proven in the end.
    let guessed = (0..200).find(|_| world.fail(7, 100, Proof::Nonce).is_some());
    assert_eq!(guessed, Some(145), "maxretry.known");
}

#[test]
fn who_is_slow_is_found_in_a_day() {
    let mut world = world(evidence());
    for account in 0..9 {
        assert_eq!(world.fail(7, account, Proof::Blind), None);
        world.wait(7000);
    }
    let why = world.fail(7, 9, Proof::Blind).expect("the tenth account");
    assert_eq!((why.pattern, why.accounts, why.failures), (Pattern::Slow, 10, 10));
    assert!(why.first < world.now);
}

#[test]
fn a_few_wrong_names_in_a_day_are_no_scan() {
    let mut world = world(evidence());
    for round in 0..1000 {
        assert_eq!(world.fail(7, round % 9, Proof::Blind), None);
        world.wait(300);
    }
}

#[test]
fn challenges_that_nobody_answers_count_and_those_of_phones_never() {
    let mut world = world(evidence());
    for _ in 0..49 {
        assert_eq!(world.sign(7, 100, Shown::Challenged), None);
        world.wait(1);
    }
    let why = world.sign(7, 100, Shown::Challenged).expect("the fiftieth");
    assert_eq!(
        (why.pattern, why.failures, why.proof),
        (Pattern::Unanswered, 50, Proof::Blind)
    );
    // A phone that answers, and one whose password is wrong.
    for account in 0..10_000 {
        assert_eq!(world.sign(9, account, Shown::Challenged), None);
        world.sign(9, account, Shown::Known);
        assert_eq!(world.sign(10, account, Shown::Challenged), None);
        assert_eq!(world.fail(10, 100, Proof::Blind), None);
        world.wait(100);
    }
    // One that is known may be asked as often as anybody likes.
    assert!((0..1000).all(|_| world.sign(9, 100, Shown::Challenged).is_none()));
}

#[test]
fn every_part_can_be_switched_off() {
    let off = |change: fn(&mut Evidence)| {
        let mut evidence = evidence();
        change(&mut evidence);
        world(evidence)
    };
    let mut world = off(|it| it.known = None);
    world.sign(7, 100, Shown::Known);
    assert!((0..5).any(|_| world.fail(7, 100, Proof::Blind).is_some()));
    let mut world = off(|it| it.phone = None);
    assert!((0..5).any(|_| {
        world.wait(60);
        world.fail(7, 100, Proof::Blind).is_some()
    }));
    let mut world = off(|it| it.challenge = None);
    assert!((0..1000).all(|_| world.sign(7, 100, Shown::Challenged).is_none()));
    let mut world = off(|it| it.slow = None);
    assert!((0..1000).all(|account| {
        world.wait(200);
        world.fail(7, account, Proof::Blind).is_none()
    }));
    let mut world = off(|it| *it = Evidence::default());
    world.sign(7, 100, Shown::Known);
    assert!(
        (0..5).any(|_| world.fail(7, 100, Proof::Blind).is_some()),
        "plain"
    );
}

#[test]
fn a_million_forged_sources_take_no_memory_and_forget_nothing_that_is_proven() {
    let mut world = world(evidence());
    world.sign(OFFICE, 100, Shown::Known);
    (0..9).for_each(|account| _ = world.fail(2, account, Proof::Nonce));
    assert!(world.is_banned(2));
    for account in 0..4 {
        assert_eq!(world.fail(3, account, Proof::Nonce), None);
    }
    for source in 1000..1_001_000 {
        world.fail(source, source, Proof::Blind);
    }
    assert!(world.guard.ban_count() < 20, "maxretry is five");
    assert!(world.guard.traced_sources() <= TRACES_MAX);
    assert_eq!(world.guard.known_sources(), 1);
    assert!(world.is_banned(2), "a proven ban stays");
    assert!(
        world.fail(3, 4, Proof::Nonce).is_some(),
        "and so does what was proven before"
    );
    assert!((0..1000).all(|_| world.fail(OFFICE, 100, Proof::Blind).is_none()));
}

#[test]
fn what_was_proven_long_ago_makes_room_for_what_is_not() {
    let mut world = world(evidence());
    for source in 0..TRACES_MAX {
        world.fail(1_000_000 + source, 7, Proof::Transport);
    }
    world.wait(2 * 86_400);
    let found = (0..10).find_map(|account| {
        world.wait(3_600);
        world.fail(1, account, Proof::Blind)
    });
    assert_eq!(
        found.map(|why| (why.pattern, why.accounts)),
        Some((Pattern::Slow, 10))
    );
}

#[test]
fn whoever_fills_the_table_with_proven_failures_cannot_have_a_known_address_banned() {
    let mut world = world(evidence());
    world.sign(1, 100, Shown::Known);
    for source in 0..TRACES_MAX {
        world.fail(1_000_000 + source, 7, Proof::Transport);
    }
    // The ring has forgotten them by then.
    world.wait(3_600);
    assert!((0..100).all(|_| world.fail(1, 100, Proof::Blind).is_none()));
}

#[test]
fn another_configuration_forgets_nobody() {
    let mut world = world(evidence());
    world.sign(OFFICE, 100, Shown::Known);
    (0..9).for_each(|account| {
        world.fail(2, account, Proof::Blind);
        world.wait(1000);
    });
    let Guard {
        policies, settings, ..
    } = self::world(evidence()).guard;
    let mut new = Guard::new(
        policies,
        Settings {
            seed: Seed([3, 4]),
            ..settings
        },
    );
    new.inherit(&mut world.guard, Some);
    world.guard = new;
    assert!((0..1000).all(|_| world.fail(OFFICE, 100, Proof::Blind).is_none()));
    assert!(
        world
            .fail(2, 9, Proof::Blind)
            .is_some_and(|why| why.pattern == Pattern::Slow)
    );
}

#[test]
fn a_known_source_is_forgotten_after_days() {
    let mut world = world(evidence());
    world.sign(7, 100, Shown::Known);
    world.wait(8 * 86_400);
    assert!((0..5).any(|_| world.fail(7, 100, Proof::Blind).is_some()));
}

#[test]
fn a_ban_is_of_the_reach_that_its_proof_allows() {
    let mut world = world(evidence());
    (0..5).for_each(|account| _ = world.fail(7, account, Proof::Blind));
    let ban: Ban = world.guard.standing(address(7).into(), JAIL).unwrap().0;
    assert_eq!(world.guard.reach(&ban), super::super::Reach::Opened);
}

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as u32 % limit
    }
}

#[test]
fn no_sequence_of_forgeable_evidence_cuts_off_what_answers_us() {
    let mut random = Random(6);
    for _ in 0..30 {
        let mut world = world(evidence());
        let mut made = 0;
        for _ in 0..3_000 {
            let (source, account) = (random.below(12), random.below(20));
            match random.below(12) {
                0 => world.wait(u64::from(random.below(90))),
                1 => _ = world.sign(source, account, Shown::Known),
                2 => _ = world.sign(source, account, Shown::Challenged),
                3 => _ = world.fail_at(source, account, Proof::Blind, Class::Call),
                4 => _ = world.fail_at(source, account, Proof::Claimed, Class::User),
                _ => _ = world.fail(source, account, Proof::Blind),
            }
            made = made.max(world.guard.ban_count());
            for ban in world.guard.bans() {
                assert_eq!(world.guard.reach(&ban), super::super::Reach::Opened, "{ban:?}");
            }
        }
        assert!(made > 0, "else nothing is shown");
    }
}

#[test]
fn in_a_flood_only_what_is_proven_is_banned_until_it_is_over() {
    let mut world = world(evidence());
    let mut told = 0;
    for source in 1..37_000 {
        for account in 0..5 {
            world.fail(source, account, Proof::Blind);
        }
        told += u32::from(matches!(world.guard.take_remark(), Some(Remark::Flood(_))));
    }
    assert_eq!((told, world.guard.ban_count()), (1, crate::limits::FLOOD_BURST));
    assert!(world.guard.is_flooded(JAIL, world.now));
    (0..5).for_each(|account| _ = world.fail(900_000, account, Proof::Nonce));
    assert!(world.is_banned(900_000), "who is proven");
    assert!(!world.is_banned(36_999), "who may be forged");
    world.wait(3_600);
    (0..5).for_each(|account| _ = world.fail(900_001, account, Proof::Blind));
    assert!(world.is_banned(900_001) && !world.guard.is_flooded(JAIL, world.now));
    assert!(matches!(world.guard.take_remark(), Some(Remark::FloodOver(surge)) if surge.refused > 3_000));
}
