//! When the kernel may not hold what it took: bans that somebody removed there, and how that is noticed.

use ipnet::IpNet;

use super::bans::Bans;
use super::index::Key;
use super::row::{Queue, Sync};
use super::{Guard, JailId, Reach};
use crate::time::Mono;

/// A failure of a banned source is evidence against the ban only so long after it was made, in seconds: until
/// then it may be a line that was on its way.
const ON_THE_WAY_SECONDS: u64 = 2;

/// By so much, in milliseconds, the time that the kernel shows may be less than the ban's: it counts in whole
/// seconds or jiffies, and we ask a while after the turn began.
const SHORT_MS: u64 = 2_000;

impl Bans {
    /// The kernel has lost everything, or may have: all bans are wanted again, and what it shall not have is
    /// deleted again. Those that it has just refused come first.
    pub(super) fn kernel_lost_all(&mut self) {
        self.requeue_refused();
        for id in 0..self.rows.ever_used() {
            if !self.is_live(id) {
                continue;
            }
            let row = self.rows.at(id);
            let (leaving, queue) = (row.is_leaving(), row.queue);
            self.set_sync(id, if leaving { Sync::Unwanted } else { Sync::Wanted });
            if matches!(queue, Queue::Nowhere | Queue::Refused) {
                self.move_to(id, Queue::Again);
            }
        }
    }

    /// The kernel has lost one ban. It is wanted again if the kernel had it.
    fn kernel_lost(&mut self, key: Key) -> bool {
        let held = |id: &u32| self.rows.at(*id).sync == Sync::Held;
        let Some(id) = self.find_row(key).filter(held) else {
            return false;
        };
        self.set_sync(id, Sync::Wanted);
        self.move_to(id, Queue::Again);
        true
    }

    /// Whether the kernel is known to hold a row's ban, for a second at least.
    fn is_held(&self, id: u32, now: Mono) -> bool {
        let soon = now.plus_seconds(1);
        self.rows
            .get(id)
            .is_some_and(|row| row.sync == Sync::Held && row.until().is_none_or(|until| until > soon))
    }
}

impl Guard {
    /// Somebody emptied the kernel, or may have: every ban is wanted again.
    pub fn kernel_lost_all(&mut self) {
        self.bans.kernel_lost_all();
    }

    /// Somebody removed one ban from the kernel. It is wanted again if the kernel held it; whether it did.
    pub fn kernel_lost(&mut self, jail: JailId, net: IpNet) -> bool {
        self.bans.kernel_lost(Key::new(net, jail))
    }

    /// The bans that the kernel must hold at `now`.
    pub fn held(&self, now: Mono) -> impl Iterator<Item = (JailId, IpNet, Reach)> {
        let held = (0..self.bans.rows.ever_used()).filter(move |&id| self.bans.is_held(id, now));
        held.map(|id| self.bans.rows.at(id).ban())
            .map(|ban| (ban.jail, ban.net, self.bans.reach(&ban)))
    }

    /// Before [`Guard::kernel_has`] is told of everything that the kernel holds.
    pub fn begin_audit(&mut self) {
        for id in 0..self.bans.rows.ever_used() {
            self.bans.rows.at_mut(id).seen = false;
        }
    }

    /// The kernel holds this for so many milliseconds more (`None`: for ever). Whether it is a ban of ours, or one
    /// that it is told to let go.
    pub fn kernel_has(
        &mut self,
        (jail, net, reach): (JailId, IpNet, Reach),
        left_ms: Option<u64>,
        now: Mono,
    ) -> bool {
        let Some(id) = self.bans.find_row(Key::new(net, jail)) else {
            return false;
        };
        if self.bans.reach(&self.bans.rows.at(id).ban()) != reach {
            self.bans.found_elsewhere(id);
            return true;
        }
        let longest_ms = self.bans.longest_ms;
        let row = self.bans.rows.at_mut(id);
        let wanted_ms = row
            .ban()
            .until
            .map_or(longest_ms, |until| until.millis_since(now).min(longest_ms));
        // The kernel's longest time is asked for again when half of it is over.
        let enough_ms = wanted_ms.min(longest_ms / 2).saturating_sub(SHORT_MS);
        row.seen = left_ms.is_none_or(|left| left >= enough_ms);
        true
    }

    /// After the kernel's elements were told: bans that it should hold and does not, or not for long enough, are
    /// wanted again. Returns how many.
    pub fn end_audit(&mut self, now: Mono) -> u32 {
        let mut lost = 0;
        for id in 0..self.bans.rows.ever_used() {
            if self.bans.is_held(id, now) && !self.bans.rows.at(id).seen {
                lost += 1;
                self.bans.kernel_lost(self.bans.rows.at(id).key());
            }
        }
        lost
    }

    /// A banned source that was heard of although it should be cut off, since this was asked last.
    pub fn take_doubt(&mut self) -> Option<(JailId, IpNet, Reach)> {
        self.doubt.take()
    }

    /// Takes note that a banned source was heard of.
    pub(super) fn heard_of_banned(&mut self, net: IpNet, jail: JailId, now: Mono) {
        let Some(id) = self.bans.find_row(Key::new(net, jail)) else {
            return;
        };
        let row = self.bans.rows.at(id);
        if row.sync == Sync::Held && row.ban().since.plus_seconds(ON_THE_WAY_SECONDS) <= now {
            self.doubt = Some((jail, net, self.bans.reach(&row.ban())));
        }
    }

    /// Whether new decisions wait for the kernel, rather than what it lost.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.bans.is_urgent()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Effect, Policy, Seed, Settings, Source, Trust};
    use super::*;
    use crate::filter::{Class, Failure, Kind, Proof, Service};

    const JAIL: JailId = JailId(0);
    const HOUR: u64 = 3_600;

    fn guard(bantime: Option<u64>) -> Guard {
        let policy = Policy {
            maxretry: 1,
            findtime: 600,
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
            maxbans: 16,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::default(),
            seed: Seed([1, 2]),
        };
        Guard::new(vec![policy], settings)
    }

    fn net(last: u8) -> IpNet {
        format!("192.0.2.{last}/32").parse().unwrap()
    }

    fn fail(guard: &mut Guard, last: u8, now: Mono) {
        let failure = Failure {
            addr: net(last).addr(),
            kind: Kind {
                service: Service::Sip,
                class: Class::Auth,
            },
            proof: Proof::Blind,
            attempt: None,
            at: None,
            account: None,
        };
        guard.observe(JAIL, Source(0), &failure, now);
    }

    /// What the kernel is asked for at `now`, all taken: `+1` adds 192.0.2.1, `-1` deletes it.
    fn effects(guard: &mut Guard, now: Mono) -> Vec<String> {
        let mut shown = Vec::new();
        while let Some(Effect {
            slot, net, change, ..
        }) = guard.poll_effect(now)
        {
            let last = net.to_string().replace("192.0.2.", "").replace("/32", "");
            shown.push(match change {
                Change::Add { .. } => format!("+{last}"),
                Change::Delete => format!("-{last}"),
            });
            guard.acked(slot, true, now);
        }
        shown.sort();
        shown
    }

    /// A guard whose bans of so many sources are in force.
    fn holding(bantime: Option<u64>, sources: u8) -> Guard {
        let mut guard = guard(bantime);
        for last in 1..=sources {
            fail(&mut guard, last, Mono(0));
        }
        assert_eq!(effects(&mut guard, Mono(0)).len(), usize::from(sources));
        guard
    }

    #[test]
    fn a_ban_that_the_kernel_lost_is_asked_for_once_more_if_it_was_held() {
        let mut guard = holding(Some(HOUR), 2);
        assert!(guard.kernel_lost(JAIL, net(1)));
        assert!(!guard.kernel_lost(JAIL, net(1)), "it is wanted already");
        assert!(!guard.kernel_lost(JAIL, net(9)), "nobody is banned there");
        assert_eq!(effects(&mut guard, Mono(1_000)), ["+1"]);
        guard.unban(net(2), JAIL).unwrap();
        assert!(!guard.kernel_lost(JAIL, net(2)), "it shall go anyway");
        assert_eq!(effects(&mut guard, Mono(1_000)), ["-2"]);
        assert_eq!(guard.next_deadline(), Some(Mono(HOUR * 1_000)));
    }

    #[test]
    fn when_all_may_be_lost_bans_are_added_and_lifted_ones_deleted_again() {
        let mut guard = holding(None, 3);
        guard.unban(net(2), JAIL).unwrap();
        let Effect { slot, .. } = guard.poll_effect(Mono(0)).unwrap();
        guard.acked(slot, false, Mono(0));
        guard.kernel_lost_all();
        assert_eq!(effects(&mut guard, Mono(0)), ["+1", "+3", "-2"]);
        guard.kernel_lost_all();
        assert_eq!(effects(&mut guard, Mono(0)), ["+1", "+3"]);
    }

    #[test]
    fn an_audit_finds_what_is_missing_or_would_end_too_soon() {
        let now = Mono(10_000);
        let audit = |guard: &mut Guard, elements: &[(u8, Option<u64>)]| {
            guard.begin_audit();
            for (last, left_ms) in elements {
                guard.kernel_has((JAIL, net(*last), Reach::Whole), *left_ms, now);
            }
            let lost = guard.end_audit(now);
            let again = effects(guard, now);
            assert_eq!(again.len(), lost as usize);
            again
        };
        let left = Some(HOUR * 1_000 - 10_000);
        let mut guard = holding(Some(HOUR), 4);
        let all = [(1, left), (2, left), (3, left.map(|ms| ms - 1_500)), (4, None)];
        assert_eq!(audit(&mut guard, &all), [""; 0]);
        assert_eq!(
            audit(&mut guard, &[(1, left), (3, Some(60_000)), (9, None)]),
            ["+2", "+3", "+4"]
        );
        assert_eq!(guard.held(now).count(), 4);
        // What ends within the second may be gone in the kernel.
        let end = Mono(HOUR * 1_000 - 500);
        assert_eq!(guard.held(end).count(), 0);
        guard.begin_audit();
        assert_eq!(guard.end_audit(end), 0);
        // For ever is shown as the kernel's longest time, which is renewed when half of it is over.
        let mut guard = holding(None, 2);
        guard.set_longest_timeout(100_000);
        assert_eq!(audit(&mut guard, &[(1, Some(60_000)), (2, Some(40_000))]), ["+2"]);
    }

    #[test]
    fn a_failure_of_a_banned_source_is_a_doubt_unless_it_was_on_its_way() {
        let mut guard = holding(Some(HOUR), 1);
        fail(&mut guard, 1, Mono(1_999));
        assert_eq!(guard.take_doubt(), None);
        fail(&mut guard, 1, Mono(2_000));
        assert_eq!(guard.take_doubt(), Some((JAIL, net(1), Reach::Whole)));
        assert_eq!(guard.take_doubt(), None);
        guard.kernel_lost_all();
        fail(&mut guard, 1, Mono(3_000));
        assert_eq!(guard.take_doubt(), None, "it is known not to be in force");
    }

    #[test]
    fn a_ban_longer_than_the_kernel_counts_is_renewed_in_time_until_it_ends() {
        // ipset's longest time, in milliseconds, and a ban of 100 days.
        let (longest, bantime) = (2_147_483_000, 100 * 86_400);
        let mut guard = guard(Some(bantime));
        guard.set_longest_timeout(longest);
        fail(&mut guard, 1, Mono(0));
        let (mut now, mut held_until, mut renewals) = (Mono(0), Mono(0), 0);
        while let Some(Effect { slot, change, .. }) = guard.poll_effect(now) {
            let Change::Add {
                timeout_ms: Some(timeout_ms),
            } = change
            else {
                panic!("{change:?}");
            };
            assert!(timeout_ms <= longest && (renewals == 0 || now < held_until));
            held_until = Mono(now.0 + timeout_ms);
            guard.acked(slot, true, now);
            renewals += 1;
            now = guard.next_deadline().unwrap();
            if guard.expire(now).is_some() {
                break;
            }
        }
        assert_eq!((now, held_until), (Mono(bantime * 1_000), Mono(bantime * 1_000)));
        assert!(renewals > 4, "{renewals}");
    }
}
