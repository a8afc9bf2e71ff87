//! How far a ban reaches, and how it goes from one reach to the other without being out of force.

use ipnet::IpNet;

use super::bans::Bans;
use super::effect::{JailId, Reach};
use super::index::Key;
use super::row::{Ban, Elsewhere, Queue, Sync};
use super::{Guard, Policy};
use crate::filter::Proof;
use crate::time::Mono;

/// A bit for each jail whose bans reach less far if they are not proven.
pub(super) fn by_proof(policies: &[Policy]) -> u32 {
    let bits = policies.iter().zip(0..u32::BITS);
    bits.filter(|(policy, _)| policy.reach_by_proof)
        .fold(0, |bits, (_, jail)| bits | 1 << jail)
}

impl Bans {
    /// How far a ban reaches.
    pub(super) fn reach(&self, ban: &Ban) -> Reach {
        if ban.proof.is_proven() || !self.has_both(ban.jail) {
            Reach::Whole
        } else {
            Reach::Opened
        }
    }

    /// Whether a jail has bans of either reach.
    pub(super) fn has_both(&self, jail: JailId) -> bool {
        let bit = 1_u32.checked_shl(jail.0.into()).unwrap_or(0);
        self.by_proof & bit != 0
    }

    /// Puts a ban in the place of a row's, which the kernel may have.
    pub(super) fn set_ban(&mut self, id: u32, ban: Ban) {
        let before = self.reach(&self.rows.at(id).ban());
        let moves = before != self.reach(&ban);
        let row = self.rows.at_mut(id);
        row.set_ban(&ban);
        if moves {
            row.elsewhere = Elsewhere::Unwanted;
        }
        self.want(id);
    }

    /// There is proof for a ban by now. Returns it, if there was none before.
    pub(super) fn prove(&mut self, key: Key, proof: Proof) -> Option<Ban> {
        let id = self.find_row(key)?;
        let row = self.rows.at(id);
        if row.is_leaving() || row.ban().proof.is_proven() || !proof.is_proven() {
            return None;
        }
        let ban = Ban { proof, ..row.ban() };
        self.set_ban(id, ban);
        Some(ban)
    }

    /// Whether the kernel may have a ban with the other reach, too.
    fn may_be_elsewhere(&self, ban: &Ban) -> bool {
        let row = self.find_row(Key::new(ban.net, ban.jail));
        row.is_some_and(|id| self.rows.at(id).elsewhere != Elsewhere::Absent)
    }

    /// The kernel has a row's ban with the other reach.
    pub(super) fn found_elsewhere(&mut self, id: u32) {
        let row = self.rows.at_mut(id);
        row.elsewhere = Elsewhere::Unwanted;
        if row.queue == Queue::Nowhere {
            self.move_to(id, Queue::Again);
        }
    }

    /// The kernel's answer to that it shall not have a row's ban with the other reach.
    pub(super) fn acked_elsewhere(&mut self, id: u32, taken: bool, now: Mono) {
        let row = self.rows.at_mut(id);
        row.elsewhere = if taken {
            Elsewhere::Absent
        } else {
            Elsewhere::Unwanted
        };
        let (queue, unwanted) = (row.queue, row.sync == Sync::Unwanted);
        match (queue, taken) {
            (Queue::Nowhere, false) => self.try_later(id, now),
            (Queue::Nowhere, true) if unwanted => self.move_to(id, Queue::Urgent),
            // The table changed its mind, or it is done.
            (Queue::Nowhere | Queue::Urgent | Queue::Again | Queue::Refused, _) => {}
        }
    }
}

impl Guard {
    /// How far a ban reaches.
    #[must_use]
    pub fn reach(&self, ban: &Ban) -> Reach {
        self.bans.reach(ban)
    }

    /// What is taken for the proof of a ban that the kernel has with that reach, when nothing else is known of it:
    /// it goes on as it is.
    #[must_use]
    pub fn proof_of(&self, jail: JailId, reach: Reach) -> Proof {
        match reach {
            Reach::Whole if self.bans.has_both(jail) => Proof::Transport,
            Reach::Whole | Reach::Opened => Proof::Blind,
        }
    }

    /// Has the kernel let go of what another configuration had it hold with the other reach, or had not had it let go
    /// of yet.
    pub(super) fn settle_reach(&mut self, net: IpNet, jail: JailId, old: &Bans, before: &Ban) {
        let Some(id) = self.bans.find_row(Key::new(net, jail)) else {
            return;
        };
        let moves = self.bans.reach(&self.bans.rows.at(id).ban()) != old.reach(before);
        if moves || old.may_be_elsewhere(before) {
            self.bans.found_elsewhere(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Change, Effect, Outcome, Seed, Settings, Source, Tally, Trust};
    use super::*;
    use crate::filter::{Class, Failure, Kind, Service};

    const JAIL: JailId = JailId(0);

    /// A kernel that holds networks with either reach, and may refuse.
    #[derive(Default)]
    struct Kernel {
        whole: BTreeSet<IpNet>,
        opened: BTreeSet<IpNet>,
        refuses: bool,
        /// Somebody was banned, and for an instant is not.
        gap: bool,
    }

    impl Kernel {
        fn settle(&mut self, guard: &mut Guard, now: Mono) {
            while let Some(Effect {
                slot,
                net,
                reach,
                change,
                ..
            }) = guard.poll_effect(now)
            {
                let set = match reach {
                    Reach::Whole => &mut self.whole,
                    Reach::Opened => &mut self.opened,
                };
                if !self.refuses {
                    match change {
                        Change::Add { .. } => set.insert(net),
                        Change::Delete => set.remove(&net),
                    };
                }
                let banned = guard.standing(net, JAIL).is_some();
                let held = self.whole.contains(&net) || self.opened.contains(&net);
                self.gap |= banned && !held && !self.refuses;
                guard.acked(slot, !self.refuses, now);
            }
        }

        /// `w o`: it is held with either reach.
        fn has(&self, net: IpNet) -> &'static str {
            match (self.whole.contains(&net), self.opened.contains(&net)) {
                (true, true) => "w o",
                (true, false) => "w",
                (false, true) => "o",
                (false, false) => "",
            }
        }
    }

    fn policy(reach_by_proof: bool) -> Policy {
        Policy {
            maxretry: 1,
            findtime: 600,
            bantime: Some(600),
            escalation: None,
            recidive: false,
            reach_by_proof,
            bantime_unproven: None,
            evidence: Default::default(),
            trust: Trust::default(),
        }
    }

    fn guard(reach_by_proof: bool) -> Guard {
        let settings = Settings {
            ring: 64,
            maxbans: 16,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::default(),
            seed: Seed([1, 2]),
        };
        Guard::new(vec![policy(reach_by_proof)], settings)
    }

    fn net(last: u8) -> IpNet {
        format!("192.0.2.{last}/32").parse().unwrap()
    }

    fn fail(guard: &mut Guard, last: u8, proof: Proof, now: Mono) -> Outcome {
        let kind = Kind {
            service: Service::Sip,
            class: Class::Auth,
        };
        let failure = Failure {
            addr: net(last).addr(),
            kind,
            proof,
            attempt: None,
            at: None,
            account: None,
        };
        guard.observe(JAIL, Source(0), &failure, now)
    }

    #[test]
    fn how_far_a_ban_reaches_depends_on_its_proof_where_the_jail_says_so() {
        let check = |by_proof, proof, want| {
            let (mut guard, mut kernel) = (guard(by_proof), Kernel::default());
            fail(&mut guard, 1, proof, Mono(0));
            kernel.settle(&mut guard, Mono(0));
            assert_eq!(kernel.has(net(1)), want, "{by_proof} {proof:?}");
        };
        check(true, Proof::Blind, "o");
        check(true, Proof::Nonce, "w");
        check(true, Proof::Transport, "w");
        check(false, Proof::Blind, "w");
        check(false, Proof::Transport, "w");
    }

    #[test]
    fn a_ban_that_is_proven_later_moves_without_a_gap_and_ends_as_it_would_have() {
        let (mut guard, mut kernel) = (guard(true), Kernel::default());
        fail(&mut guard, 1, Proof::Blind, Mono(0));
        kernel.settle(&mut guard, Mono(0));
        assert_eq!(fail(&mut guard, 1, Proof::Blind, Mono(1)), Outcome::Banned);
        assert_eq!(kernel.has(net(1)), "o");
        let proven = fail(&mut guard, 1, Proof::Transport, Mono(2));
        assert!(
            matches!(proven, Outcome::Proven(ban) if ban.proof == Proof::Transport
                && ban.until == Some(Mono(600_000)))
        );
        assert_eq!(fail(&mut guard, 1, Proof::Transport, Mono(3)), Outcome::Banned);
        kernel.settle(&mut guard, Mono(3));
        assert_eq!((kernel.has(net(1)), kernel.gap), ("w", false));
        guard.unban(net(1), JAIL).unwrap();
        kernel.settle(&mut guard, Mono(4));
        assert_eq!((kernel.has(net(1)), guard.ban_numbers()), ("", 1));
        assert_eq!(guard.whole_tally(), Tally::default());
    }

    #[test]
    fn a_ban_by_hand_reaches_everything_and_one_that_ends_on_its_way_leaves_nothing() {
        let (mut guard, mut kernel) = (guard(true), Kernel::default());
        fail(&mut guard, 1, Proof::Blind, Mono(0));
        kernel.settle(&mut guard, Mono(0));
        guard
            .ban(net(1), JAIL, Some(Mono(9_000)), Mono(0), false)
            .unwrap();
        kernel.refuses = true;
        kernel.settle(&mut guard, Mono(0));
        assert_eq!(kernel.has(net(1)), "o");
        kernel.refuses = false;
        kernel.settle(&mut guard, Mono(1_000));
        assert_eq!((kernel.has(net(1)), kernel.gap), ("w", false));
        // Another one, whose old place the kernel does not let go before the ban is over.
        fail(&mut guard, 2, Proof::Blind, Mono(1_000));
        kernel.settle(&mut guard, Mono(1_000));
        guard
            .ban(net(2), JAIL, Some(Mono(2_000)), Mono(1_000), false)
            .unwrap();
        assert!(guard.expire(Mono(2_000)).is_some_and(|ban| ban.net == net(2)));
        kernel.settle(&mut guard, Mono(2_000));
        assert_eq!(kernel.has(net(2)), "");
        assert!(guard.standing(net(2), JAIL).is_none());
    }

    #[test]
    fn an_unproven_ban_is_no_longer_than_it_may_be() {
        let check = |bantime, most, proof, want: Option<u64>| {
            let policy = Policy {
                bantime,
                bantime_unproven: most,
                ..policy(true)
            };
            let Guard { settings, .. } = guard(true);
            let mut guard = Guard::new(vec![policy], settings);
            let Outcome::Ban(verdict) = fail(&mut guard, 1, proof, Mono(0)) else {
                panic!("one failure is enough")
            };
            let want = want.map(|seconds| Mono(0).plus_seconds(seconds));
            assert_eq!(verdict.ban.until, want, "{bantime:?} {most:?} {proof:?}");
        };
        check(None, Some(60), Proof::Blind, Some(60));
        check(None, Some(60), Proof::Transport, None);
        check(None, None, Proof::Blind, None);
        check(Some(600), Some(60), Proof::Blind, Some(60));
        check(Some(600), Some(60), Proof::Nonce, Some(600));
        check(Some(30), Some(60), Proof::Blind, Some(30));
    }

    #[test]
    fn what_the_kernel_has_with_the_other_reach_goes() {
        let (mut guard, mut kernel) = (guard(true), Kernel::default());
        fail(&mut guard, 1, Proof::Blind, Mono(0));
        kernel.settle(&mut guard, Mono(0));
        kernel.whole.insert(net(1));
        guard.begin_audit();
        for reach in [Reach::Opened, Reach::Whole] {
            assert!(guard.kernel_has((JAIL, net(1), reach), Some(600_000), Mono(0)));
        }
        assert_eq!(guard.end_audit(Mono(0)), 0);
        kernel.settle(&mut guard, Mono(0));
        assert_eq!((kernel.has(net(1)), kernel.gap), ("o", false));
        // Only the wrong one is there.
        (kernel.whole, kernel.opened) = (BTreeSet::from([net(1)]), BTreeSet::new());
        guard.begin_audit();
        guard.kernel_has((JAIL, net(1), Reach::Whole), None, Mono(0));
        assert_eq!(guard.end_audit(Mono(0)), 1);
        kernel.settle(&mut guard, Mono(0));
        assert_eq!((kernel.has(net(1)), kernel.gap), ("o", false));
    }

    #[test]
    fn another_configuration_moves_the_bans_that_are_there() {
        for (before, after, want) in [(true, false, "w"), (false, true, "o")] {
            let (mut old, mut kernel) = (guard(before), Kernel::default());
            fail(&mut old, 1, Proof::Blind, Mono(0));
            kernel.settle(&mut old, Mono(0));
            let mut new = guard(after);
            new.inherit(&mut old, Some);
            if !after {
                kernel.opened.clear(); // the jail has no such set any more
            }
            kernel.settle(&mut new, Mono(0));
            assert_eq!(kernel.has(net(1)), want);
        }
    }

    #[test]
    fn a_reload_forgets_no_ban_that_the_kernel_has_not_let_go_of_with_the_other_reach() {
        let (mut old, mut kernel) = (guard(true), Kernel::default());
        fail(&mut old, 1, Proof::Blind, Mono(0));
        kernel.settle(&mut old, Mono(0));
        old.ban(net(1), JAIL, None, Mono(0), false).unwrap();
        kernel.refuses = true;
        kernel.settle(&mut old, Mono(0));
        let mut new = guard(true);
        new.inherit(&mut old, Some);
        kernel.refuses = false;
        kernel.settle(&mut new, Mono(1_000));
        assert_eq!((kernel.has(net(1)), kernel.gap), ("w", false));
    }

    #[test]
    fn bans_of_an_unknown_past_go_on_as_the_kernel_has_them() {
        let guard = guard(true);
        for reach in [Reach::Whole, Reach::Opened] {
            let ban = Ban {
                net: net(1),
                jail: JAIL,
                since: Mono(0),
                until: None,
                proof: guard.proof_of(JAIL, reach),
                by_hand: false,
            };
            assert_eq!(guard.reach(&ban), reach);
        }
    }
}
