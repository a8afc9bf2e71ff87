//! Is the decision right in every history? The guard against a model that is too simple to be wrong.
//!
//! Seeded random histories of failures, time, answers of the kernel (taken, refused), flushes and unbans.
//! After every step the guard's bans are the model's, and the kernel never holds what is not banned.
#![allow(clippy::disallowed_types, clippy::unwrap_used, clippy::expect_used)]

#[path = "support/random.rs"]
mod random;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use sipguard::filter::{Class, Failure, Kind, Proof, Service};
use sipguard::guard::{Change, Guard, JailId, Outcome, Policy, Reach, Seed, Settings, Source, Trust};
use sipguard::time::Mono;

use random::Random;

const MAXRETRY: [u32; 2] = [2, 4];
const FINDTIME: u64 = 60;
const BANTIME: [Option<u64>; 2] = [Some(120), None];

/// Who failed when, and who is banned until when; nothing is bounded, nothing is clever.
#[derive(Default)]
struct Model {
    /// Each with whether it is proven.
    failures: HashMap<(IpAddr, u16), Vec<(Mono, bool)>>,
    bans: BTreeMap<(IpAddr, u16), Option<Mono>>,
    proven: BTreeSet<(IpAddr, u16)>,
}

impl Model {
    fn fail(&mut self, address: IpAddr, jail: u16, proven: bool, now: Mono) {
        if address.to_string().starts_with("10.") {
            return;
        }
        if self.bans.contains_key(&(address, jail)) {
            self.proven.extend(proven.then_some((address, jail)));
            return;
        }
        let failures = self.failures.entry((address, jail)).or_default();
        failures.retain(|(at, _)| now <= at.plus_seconds(FINDTIME));
        failures.push((now, proven));
        if failures.len() as u32 >= MAXRETRY[usize::from(jail)] {
            let proven = failures.drain(..).any(|(_, proven)| proven);
            self.proven.remove(&(address, jail));
            self.proven.extend(proven.then_some((address, jail)));
            let until = BANTIME[usize::from(jail)].map(|seconds| now.plus_seconds(seconds));
            self.bans.insert((address, jail), until);
        }
    }

    fn expire(&mut self, now: Mono) {
        self.bans.retain(|_, until| until.is_none_or(|until| until > now));
    }
}

/// The kernel's sets: elements, whether they are in the set for unproven bans, and when they end.
#[derive(Default)]
struct Kernel {
    elements: BTreeMap<(IpAddr, u16, bool), Option<Mono>>,
}

struct World {
    guard: Guard,
    model: Model,
    kernel: Kernel,
    now: Mono,
    random: Random,
    longest_ms: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let policy = |jail: usize| Policy {
            maxretry: MAXRETRY[jail],
            findtime: FINDTIME,
            bantime: BANTIME[jail],
            escalation: None,
            recidive: false,
            reach_by_proof: jail == 0,
            bantime_unproven: None,
            evidence: Default::default(),
            trust: Trust::new(["10.0.0.0/8".parse().unwrap()]),
        };
        let settings = Settings {
            ring: 4096,
            maxbans: 1000,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::default(),
            seed: Seed([random.below(u64::MAX), random.below(u64::MAX)]),
        };
        let mut guard = Guard::new(vec![policy(0), policy(1)], settings);
        // Some histories run on a kernel that cannot hold an element as long as a ban lasts.
        let longest_ms = if random.below(2) == 0 { u64::MAX } else { 30_000 };
        guard.set_longest_timeout(longest_ms);
        World {
            guard,
            model: Model::default(),
            kernel: Kernel::default(),
            now: Mono(5_000),
            random,
            longest_ms,
        }
    }

    fn address(&mut self) -> IpAddr {
        match self.random.below(10) {
            0 => IpAddr::from([10, 0, 0, self.random.below(4) as u8]),
            1..=3 => format!(
                "2001:db8:0:{}::{:x}",
                self.random.below(4),
                1 + self.random.below(9)
            )
            .parse()
            .unwrap(),
            _ => IpAddr::from([192, 0, 2, self.random.below(8) as u8]),
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=59 => {
                let address = self.address();
                let jail = self.random.below(2) as u16;
                self.fail(address, jail);
            }
            60..=84 => self.now.0 += self.random.below(8_000),
            85..=87 => self.now.0 += self.random.below(100_000),
            88..=90 => {
                self.kernel.elements.clear();
                self.guard.kernel_lost_all();
            }
            91..=93 => self.unban(),
            _ => self.pull(false),
        }
        self.tick();
    }

    fn fail(&mut self, address: IpAddr, jail: u16) {
        let proof = [Proof::Blind, Proof::Blind, Proof::Transport][self.random.below(3) as usize];
        let failure = Failure {
            addr: address,
            kind: Kind {
                service: Service::Sip,
                class: Class::Auth,
            },
            proof,
            attempt: None,
            at: None,
            account: None,
        };
        let outcome = self.guard.observe(JailId(jail), Source(0), &failure, self.now);
        let source = masked(address);
        self.model.fail(source, jail, proof.is_proven(), self.now);
        assert_eq!(
            matches!(outcome, Outcome::Ban(_) | Outcome::Banned | Outcome::Proven(_)),
            self.model.bans.contains_key(&(source, jail)),
            "{address} in jail {jail}: {outcome:?}"
        );
    }

    fn unban(&mut self) {
        let Some((&(address, jail), _)) = self.model.bans.iter().next() else {
            return;
        };
        let net = self
            .guard
            .bans()
            .find(|ban| ban.net.addr() == address)
            .map(|ban| ban.net)
            .unwrap();
        assert!(self.guard.unban(net, JailId(jail)).is_some());
        self.model.bans.remove(&(address, jail));
    }

    /// Takes effects to the kernel, which refuses some of them unless `all`.
    fn pull(&mut self, all: bool) {
        let mut budget = if all { u64::MAX } else { self.random.below(5) };
        while budget > 0 {
            let Some(effect) = self.guard.poll_effect(self.now) else {
                break;
            };
            budget -= 1;
            let taken = all || self.random.below(4) > 0;
            if taken {
                let key = (effect.net.addr(), effect.jail.0, effect.reach == Reach::Opened);
                match effect.change {
                    Change::Add { timeout_ms } => {
                        assert!(timeout_ms.is_none_or(|ms| ms > 0 && ms <= self.longest_ms));
                        self.kernel
                            .elements
                            .insert(key, timeout_ms.map(|ms| Mono(self.now.0 + ms)));
                    }
                    Change::Delete => _ = self.kernel.elements.remove(&key),
                }
            }
            self.guard.acked(effect.slot, taken, self.now);
        }
    }

    fn tick(&mut self) {
        let now = self.now;
        self.kernel
            .elements
            .retain(|_, until| until.is_none_or(|until| until > now));
        self.model.expire(now);
        while let Some(ban) = self.guard.expire(now) {
            assert!(ban.until.is_some_and(|until| until <= now));
        }
        let guard: BTreeMap<_, _> = self
            .guard
            .bans()
            .map(|ban| ((ban.net.addr(), ban.jail.0), ban.until))
            .collect();
        assert_eq!(guard, self.model.bans, "the guard's bans are the model's");
        assert_eq!(self.guard.ban_count() as usize, guard.len());
    }

    /// With a kernel that takes everything, it comes to hold exactly the bans.
    fn settle(&mut self) {
        self.now.0 += 2_000;
        self.tick();
        self.pull(true);
        let shorter = |until: Option<Mono>| {
            until.map(|until| until.min(Mono(self.now.0 + self.longest_ms.min(1 << 40))))
        };
        let in_set = |ban: &(IpAddr, u16)| (ban.0, ban.1, ban.1 == 0 && !self.model.proven.contains(ban));
        assert_eq!(
            self.kernel.elements.keys().copied().collect::<Vec<_>>(),
            self.model.bans.keys().map(in_set).collect::<Vec<_>>()
        );
        for (&(address, jail, _), until) in &self.kernel.elements {
            let ban = self.model.bans[&(address, jail)];
            assert!(
                *until <= ban && (until.is_some() == ban.is_some()),
                "no element outlives its ban"
            );
            assert!(*until >= shorter(ban).map(|end| Mono(end.0.saturating_sub(self.longest_ms / 2))));
        }
        assert_eq!(self.guard.not_in_force(), 0);
        assert!(
            self.guard
                .next_deadline()
                .is_none_or(|deadline| deadline > self.now),
            "no spinning"
        );
    }
}

fn masked(address: IpAddr) -> IpAddr {
    sipguard::addr::network(address, if address.is_ipv4() { 32 } else { 64 })
}

#[test]
fn the_guard_decides_as_the_model_does() {
    let seeds = std::env::var("SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000);
    let only = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    for seed in only.map_or(1..seeds, |seed| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..200 {
                world.step();
            }
            world.settle();
        });
        assert!(
            run.is_ok(),
            "repeat with: SEED={seed} cargo test --test model the_guard_decides"
        );
    }
}

#[test]
fn a_long_ban_stays_in_force_on_a_kernel_with_short_timeouts() {
    let mut world = World::new(1);
    world.longest_ms = 30_000;
    world.guard.set_longest_timeout(30_000);
    for _ in 0..2 {
        world.fail(IpAddr::from([192, 0, 2, 1]), 0);
    }
    world.pull(true);
    let ban = world.now;
    while world.now < ban.plus_seconds(119) {
        let deadline = world.guard.next_deadline().expect("the ban will end");
        world.now = deadline.min(ban.plus_seconds(119));
        world.tick();
        world.pull(true);
        assert_eq!(world.kernel.elements.len(), 1, "in force at {:?}", world.now);
    }
}

#[test]
fn a_full_table_displaces_what_ends_soonest_and_never_the_proven_for_the_blind() {
    let policy = |bantime| Policy {
        maxretry: 1,
        findtime: 60,
        bantime,
        escalation: None,
        recidive: false,
        reach_by_proof: false,
        bantime_unproven: None,
        evidence: Default::default(),
        trust: Trust::default(),
    };
    let settings = Settings {
        ring: 64,
        maxbans: 3,
        ipv6prefix: 64,
        purge_age: None,
        own: Trust::default(),
        seed: Seed([1, 2]),
    };
    let mut guard = Guard::new(vec![policy(Some(100)), policy(None)], settings);
    let fail = |guard: &mut Guard, host, jail, proof, now| {
        let kind = Kind {
            service: Service::Sip,
            class: Class::Auth,
        };
        let addr = IpAddr::from([192, 0, 2, host]);
        let failure = Failure {
            addr,
            kind,
            proof,
            attempt: None,
            at: None,
            account: None,
        };
        guard.observe(JailId(jail), Source(0), &failure, Mono(now))
    };
    assert!(matches!(
        fail(&mut guard, 1, 0, Proof::Transport, 1),
        Outcome::Ban(_)
    ));
    assert!(matches!(fail(&mut guard, 2, 0, Proof::Blind, 2), Outcome::Ban(_)));
    assert!(matches!(fail(&mut guard, 3, 1, Proof::Blind, 3), Outcome::Ban(_)));
    assert!(
        matches!(fail(&mut guard, 4, 0, Proof::Blind, 4), Outcome::TableFull(_)),
        "1 is proven, 4 is not"
    );
    let Outcome::Ban(verdict) = fail(&mut guard, 5, 0, Proof::Transport, 5) else {
        panic!("5 is proven")
    };
    assert_eq!(verdict.displaced.unwrap().net.to_string(), "192.0.2.1/32");
    // The kernel is told to let go of it.
    let mut deleted = Vec::new();
    while let Some(effect) = guard.poll_effect(Mono(6)) {
        if effect.change == Change::Delete {
            deleted.push(effect.net.to_string());
        }
        guard.acked(effect.slot, true, Mono(6));
    }
    assert_eq!(deleted, ["192.0.2.1/32"]);
    assert_eq!(guard.ban_count(), 3);
}

#[test]
fn a_ban_that_comes_back_while_it_is_being_lifted_needs_room_like_a_new_one() {
    let policy = Policy {
        maxretry: 1,
        findtime: 60,
        bantime: None,
        escalation: None,
        recidive: false,
        reach_by_proof: false,
        bantime_unproven: None,
        evidence: Default::default(),
        trust: Trust::default(),
    };
    let settings = Settings {
        ring: 64,
        maxbans: 2,
        ipv6prefix: 64,
        purge_age: None,
        own: Trust::default(),
        seed: Seed([1, 2]),
    };
    let mut guard = Guard::new(vec![policy], settings);
    let kind = Kind {
        service: Service::Sip,
        class: Class::Auth,
    };
    let fail = |guard: &mut Guard, host| {
        let addr = IpAddr::from([192, 0, 2, host]);
        let failure = Failure {
            addr,
            kind,
            proof: Proof::Transport,
            attempt: None,
            at: None,
            account: None,
        };
        guard.observe(JailId(0), Source(0), &failure, Mono(1))
    };
    assert!(matches!(fail(&mut guard, 1), Outcome::Ban(_)));
    assert!(matches!(fail(&mut guard, 2), Outcome::Ban(_)));
    assert!(guard.unban("192.0.2.1/32".parse().unwrap(), JailId(0)).is_some());
    assert!(matches!(fail(&mut guard, 3), Outcome::Ban(_)));
    assert!(matches!(fail(&mut guard, 1), Outcome::TableFull(_)));
    assert_eq!(guard.ban_count(), 2);
}
