//! What of the guard's knowledge outlives the process: attempts that have not come to a ban yet, so that a
//! restart forgets none of them, and bans.

use ipnet::IpNet;

use super::bans::Entered;
use super::failures::{Entry, Failures, OF_AGE, OF_SOURCE};
use super::index::Key;
use super::reports::Reports;
use super::slab::{Links, NONE};
use super::{Ban, Guard, JailId};
use crate::filter::{Kind, Proof};
use crate::time::Mono;

/// One attempt in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose it is: what failures are counted by.
    pub net: IpNet,
    /// In which jail.
    pub jail: JailId,
    /// [`crate::filter::Attempt::id`], or a number of its own.
    pub attempt: u64,
    /// Which streams have reported it, and how far: opened, opened twice, closed.
    pub reports: [u32; 3],
    /// What was tried.
    pub kind: Kind,
    /// How sure it is.
    pub proof: Proof,
    /// When its first line was read.
    pub at: Mono,
}

impl Failures {
    /// The next attempt with a number of at least `from`, and the number to go on with.
    pub(super) fn kept(&self, mut from: u32) -> Option<(u32, Kept)> {
        loop {
            let entry = self.entries.get(from)?;
            from += 1;
            if let Some(kept) = self
                .is_in_use(from - 1, entry)
                .then(|| self.show(entry))
                .flatten()
            {
                return Some((from, kept));
            }
        }
    }

    /// The same for attempts that are not on disk as they are here; they are taken for saved from now on.
    pub(super) fn take_unsaved(&mut self, mut from: u32) -> Option<(u32, Kept)> {
        loop {
            let entry = *self.entries.get(from)?;
            from += 1;
            if entry.saved || !self.is_in_use(from - 1, &entry) {
                continue;
            }
            self.entries.at_mut(from - 1).saved = true;
            if let Some(kept) = self.show(&entry) {
                return Some((from, kept));
            }
        }
    }

    /// Enters an attempt from elsewhere, or what is new of it if it is here; whether it is on disk. `false`: there is
    /// no room.
    pub(super) fn restore(&mut self, kept: &Kept, findtime: u64, saved: bool) -> bool {
        self.findtime_max = self.findtime_max.max(findtime);
        let key = Key::new(kept.net, kept.jail);
        let [opened, opened_twice, closed] = kept.reports;
        if let Some(id) = self.find_kept(key, kept) {
            self.forget_entry(id);
        }
        if self.entries.is_full() {
            return false;
        }
        let Some(source) = self.account_for(key) else {
            return false;
        };
        let entry = Entry {
            source,
            attempt: kept.attempt,
            at: kept.at,
            reports: Reports {
                opened,
                opened_twice,
                closed,
            },
            kind: kept.kind,
            proof: kept.proof,
            account: None,
            saved,
            of_source: Links::NOWHERE,
            of_age: Links::NOWHERE,
        };
        let Some(id) = self.entries.insert(entry) else {
            return false;
        };
        // By age only roughly: a state file is written in rounds, each in the order of the numbers.
        let (age, entries) = self.age_of(entry.proof);
        age.push::<OF_AGE, Entry>(entries, id);
        let mut next = NONE;
        let mut previous = self.accounts.at(source).attempts.last;
        while previous != NONE && self.entries.at(previous).at > entry.at {
            (next, previous) = (previous, self.entries.at(previous).of_source.previous);
        }
        let account = self.accounts.at_mut(source);
        let attempts = &mut account.attempts;
        if next == NONE {
            attempts.push::<OF_SOURCE, Entry>(&mut self.entries, id);
        } else {
            attempts.insert_before::<OF_SOURCE, Entry>(&mut self.entries, id, next);
        }
        account.stored += 1;
        account.counted += u32::from(entry.counts());
        true
    }

    fn find_kept(&self, key: Key, kept: &Kept) -> Option<u32> {
        let mut id = self.accounts.at(self.account(key)?).attempts.last;
        while id != NONE {
            let entry = self.entries.at(id);
            if (entry.attempt, entry.at) == (kept.attempt, kept.at) {
                return Some(id);
            }
            id = entry.of_source.previous;
        }
        None
    }

    /// Moves what is from before this boot to another time.
    fn shift(&mut self, moved: impl Fn(Mono) -> Mono) {
        for id in 0..self.entries.ever_used() {
            let entry = self.entries.at_mut(id);
            if entry.at < Mono::BOOT {
                entry.at = moved(entry.at);
            }
        }
    }

    /// A released entry is in no list of a source any more.
    fn is_in_use(&self, id: u32, entry: &Entry) -> bool {
        let Links { previous, next } = entry.of_source;
        let alone = |source: u32| {
            let account = self.accounts.get(source);
            account.is_some_and(|account| account.attempts.first == id)
        };
        previous != NONE || next != NONE || alone(entry.source)
    }

    fn show(&self, entry: &Entry) -> Option<Kept> {
        let (net, jail) = self.accounts.get(entry.source)?.key.source()?;
        let Reports {
            opened,
            opened_twice,
            closed,
        } = entry.reports;
        Some(Kept {
            net,
            jail,
            attempt: entry.attempt,
            reports: [opened, opened_twice, closed],
            kind: entry.kind,
            proof: entry.proof,
            at: entry.at,
        })
    }
}

impl Guard {
    /// The next attempt that the ring holds, from number `from` on, and the number to go on with.
    #[must_use]
    pub fn kept(&self, from: u32) -> Option<(u32, Kept)> {
        self.failures.kept(from)
    }

    /// The same for what [`Guard::take_unsaved`] did not give yet, or gave before it changed.
    pub fn take_unsaved(&mut self, from: u32) -> Option<(u32, Kept)> {
        self.failures.take_unsaved(from)
    }

    /// Enters an attempt of before the restart, if it still counts. It brings no ban: what comes next does.
    pub fn restore_failure(&mut self, kept: &Kept, now: Mono) {
        let Some(policy) = self.policies.get(usize::from(kept.jail.0)) else {
            return;
        };
        let findtime = policy.findtime;
        let over = kept.at.plus_seconds(findtime) < now;
        if !over
            && !self.overlaps_trusted(kept.net, policy)
            && self.net_as_configured(kept.net, kept.jail) == Some(kept.net)
            // While a ban is in force nothing is noted: they brought it, and are told after it.
            && self.bans.standing(kept.net, kept.jail).is_none()
        {
            self.failures.restore(kept, findtime, true);
        }
    }

    /// Forgets what somebody did up to this time: it brought a ban.
    pub fn forget_failures(&mut self, net: IpNet, jail: JailId, until: Mono) {
        self.failures.forget_until(Key::new(net, jail), until);
    }

    /// Enters a ban of before the restart, or of a kernel that holds it.
    /// It is the source's `bans`-th by this jail. If it is over, only that is remembered.
    /// `false`: it is nothing that this configuration bans, and whoever holds it shall let go of it.
    pub fn restore_ban(&mut self, ban: Ban, bans: u32, now: Mono) -> bool {
        let Some(policy) = self.policies.get(usize::from(ban.jail.0)) else {
            return false;
        };
        if self.overlaps_trusted(ban.net, policy) {
            self.bans.expel(ban);
            return false;
        }
        let Some(net) = self.net_as_configured(ban.net, ban.jail) else {
            return false;
        };
        let key = Key::new(net, ban.jail);
        let known = self.history.bans(key, now);
        self.history.note(key, bans.max(known).max(1), ban.until);
        if ban.until.is_some_and(|until| until <= now) {
            return true;
        }
        // The later one counts, even if it ends sooner: somebody has changed the end by hand.
        let newer = self
            .bans
            .standing(net, ban.jail)
            .is_some_and(|(known, _)| known.since > ban.since);
        newer || !matches!(self.bans.enter(Ban { net, ..ban }), Entered::Full)
    }

    /// Takes over the attempts of another guard; `jail` says what became of its jails.
    pub(super) fn inherit_failures(&mut self, old: &Failures, jail: impl Fn(JailId) -> Option<JailId>) {
        let mut from = 0;
        while let Some((next, kept)) = old.kept(from) {
            from = next;
            let Some(jail) = jail(kept.jail) else { continue };
            if self.net_as_configured(kept.net, kept.jail) == Some(kept.net) {
                let findtime = self.findtime(jail);
                // The jail has the same name. What is written again after the clock was set would count twice: its time
                // is another one by then.
                let saved = old.entries.at(next - 1).saved;
                self.failures.restore(&Kept { jail, ..kept }, findtime, saved);
            }
        }
    }

    /// Enters bans of before the restart that are over: they count for the time of the next one.
    pub fn restore_past(&mut self, net: IpNet, jail: JailId, bans: u32, until: Mono) {
        let key = Key::new(net, jail);
        // Another file may have told of a later one.
        let known = self.history.bans(key, until);
        self.history.note(key, bans.max(known), Some(until));
    }

    /// Forgets a ban of before the restart that gave way to another one at this time, and failures of before. The kernel
    /// may have the other one, also if no file told of it.
    pub fn restore_replaced(&mut self, net: IpNet, jail: JailId, at: Mono) {
        self.failures.forget_until(Key::new(net, jail), at);
        if self
            .bans
            .standing(net, jail)
            .is_some_and(|(ban, _)| ban.since <= at)
        {
            self.bans.forget(net, jail);
        }
    }

    /// Ends a ban of before the restart that was lifted by hand at this time, and forgives what came before. What came
    /// later may be known already, from another file.
    pub fn restore_unban(&mut self, net: IpNet, jail: JailId, at: Mono) {
        let key = Key::new(net, jail);
        // Of a banned source nothing is noted: what is of the same millisecond came after it.
        self.failures.forget_until(key, Mono(at.0.saturating_sub(1)));
        if self
            .bans
            .standing(net, jail)
            .is_some_and(|(ban, _)| ban.since > at)
        {
            return;
        }
        self.history.forgive(key);
        let ban = Ban {
            net,
            jail,
            since: Mono(0),
            until: None,
            proof: Proof::Blind,
            by_hand: false,
        };
        // The kernel may have it, whether or not the file told of it.
        if self.bans.lift(net, jail).is_none() && self.net_as_configured(net, jail) == Some(net) {
            self.bans.expel(ban);
        }
    }

    /// The wall clock is right by now: everything from before this boot is so many milliseconds older than was
    /// thought, or younger. A ban that was over before the kernel has been told so is lifted there.
    pub fn older_by(&mut self, millis: i64, now: Mono) {
        let earlier = |at: Mono| Mono(at.0.saturating_add_signed(millis.saturating_neg()));
        self.failures.shift(earlier);
        let mut from = 0;
        while let Some((next, ban)) = self.bans.from(from) {
            from = next;
            if let (Mono(0), Some(until)) = (ban.since, ban.until) {
                let until = earlier(until);
                self.history.ends(Key::new(ban.net, ban.jail), until);
                if until <= now {
                    self.bans.lift(ban.net, ban.jail);
                } else {
                    let until = Some(until);
                    self.bans.enter(Ban { until, ..ban });
                }
            }
        }
    }

    /// The next source with bans that are over, or that are in force, from number `from` on: who, how many, and until
    /// when the last one is.
    #[must_use]
    pub fn past_from(&self, from: u32) -> Option<(u32, (IpNet, JailId, u32, Mono))> {
        let (next, (key, bans, until)) = self.history.from(from)?;
        let (net, jail) = key.source()?;
        Some((next, (net, jail, bans, until)))
    }

    /// The next ban in the table, from number `from` on, and the number to go on with.
    #[must_use]
    pub fn ban_from(&self, from: u32) -> Option<(u32, Ban)> {
        self.bans.from(from)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Outcome, Policy, Seed, Settings, Source, Trust};
    use super::*;
    use crate::filter::{Attempt, Class, Failure, Service, Step, Witness};

    const FINDTIME: u64 = 600;

    fn guard() -> Guard {
        let policy = Policy {
            maxretry: 3,
            findtime: FINDTIME,
            bantime: Some(600),
            escalation: None,
            recidive: false,
            reach_by_proof: false,
            bantime_unproven: None,
            evidence: Default::default(),
            trust: Trust::new(["192.0.2.99/32".parse().unwrap()]),
        };
        let settings = Settings {
            ring: 64,
            maxbans: 16,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::new([]),
            seed: Seed([1, 2]),
        };
        Guard::new(vec![policy], settings)
    }

    fn observe(guard: &mut Guard, host: u8, attempt: Option<(u64, Witness)>, seconds: u64) -> Outcome {
        let failure = Failure {
            addr: [192, 0, 2, host].into(),
            kind: Kind {
                service: Service::Sip,
                class: Class::Auth,
            },
            proof: Proof::Blind,
            attempt: attempt.map(|(id, witness)| Attempt {
                id,
                witness,
                step: Step::Whole,
            }),
            at: None,
            account: None,
        };
        guard.observe(JailId(0), Source(0), &failure, Mono(0).plus_seconds(seconds))
    }

    /// A guard that knows what the other one's state file would hold.
    fn restarted(old: &mut Guard, seconds: u64) -> Guard {
        let mut new = guard();
        let (mut from, now) = (0, Mono(0).plus_seconds(seconds));
        while let Some((next, kept)) = old.take_unsaved(from) {
            new.restore_failure(&kept, now);
            from = next;
        }
        new
    }

    #[test]
    fn failures_go_on_counting_after_a_restart() {
        let mut old = guard();
        observe(&mut old, 1, Some((7, Witness::Notice)), 10);
        observe(&mut old, 1, None, 20);
        observe(&mut old, 2, None, 30);
        let mut new = restarted(&mut old, 40);
        assert_eq!(
            observe(&mut new, 1, Some((7, Witness::Security)), 15),
            Outcome::Joined,
            "the other line of an attempt from before"
        );
        assert!(matches!(observe(&mut new, 1, None, 50), Outcome::Ban(verdict) if verdict.why.failures == 3));
        assert_eq!(observe(&mut new, 2, None, 50), Outcome::Counted(2));
        assert_eq!(
            observe(&mut restarted(&mut old, 50), 1, None, 50),
            Outcome::Counted(1),
            "what is saved is not given again"
        );
    }

    #[test]
    fn an_attempt_that_went_on_is_saved_again_and_counts_once() {
        let mut old = guard();
        observe(&mut old, 1, Some((7, Witness::Notice)), 10);
        let mut new = restarted(&mut old, 10);
        observe(&mut old, 1, Some((7, Witness::Security)), 11);
        let (_, kept) = old.take_unsaved(0).expect("it changed");
        new.restore_failure(&kept, Mono(11_000));
        new.restore_failure(&kept, Mono(11_000));
        assert_eq!(new.failures_kept(), 1);
        assert_eq!(
            observe(&mut new, 1, Some((7, Witness::Security)), 12),
            Outcome::Counted(2)
        );
    }

    #[test]
    fn what_is_over_or_trusted_by_now_is_not_restored() {
        let mut old = guard();
        observe(&mut old, 1, None, 10);
        observe(&mut old, 2, None, 500);
        let (_, kept) = old.kept(0).expect("there are two");
        let mut new = restarted(&mut old, 700);
        assert_eq!(new.failures_kept(), 1);
        new.restore_failure(
            &Kept {
                net: "192.0.2.99/32".parse().unwrap(),
                at: Mono(700_000),
                ..kept
            },
            Mono(700_000),
        );
        assert_eq!(new.failures_kept(), 1);
    }

    /// Its time may be told otherwise by then, and it would count twice.
    #[test]
    fn a_reload_has_no_failure_saved_again() {
        let mut old = guard();
        observe(&mut old, 1, None, 10);
        assert!(old.take_unsaved(0).is_some());
        observe(&mut old, 2, None, 20);
        let settings = Settings {
            ring: 128,
            ..old.settings.clone()
        };
        let mut new = Guard::new(old.policies.clone(), settings);
        new.inherit(&mut old, Some);
        let (from, kept) = new.take_unsaved(0).unwrap();
        assert_eq!(kept.net, "192.0.2.2/32".parse().unwrap());
        assert!(new.take_unsaved(from).is_none());
        assert_eq!(new.failures_kept(), 2);
    }

    /// The file for failures is read before the one for long bans.
    #[test]
    fn failures_after_a_ban_that_was_lifted_count_whichever_was_told_first() {
        let mut guard = guard();
        observe(&mut guard, 1, None, 10);
        observe(&mut guard, 1, None, 30);
        let ban = Ban {
            net: "192.0.2.1/32".parse().unwrap(),
            jail: JailId(0),
            since: Mono(15_000),
            until: None,
            proof: Proof::Blind,
            by_hand: false,
        };
        guard.forget_failures(ban.net, ban.jail, ban.since);
        assert!(guard.restore_ban(ban, 1, Mono(40_000)));
        guard.restore_unban(ban.net, ban.jail, Mono(20_000));
        assert_eq!((guard.failures_kept(), guard.ban_count()), (1, 0));
    }

    #[test]
    fn a_ban_that_gave_way_to_another_is_forgotten_and_the_kernel_keeps_the_other() {
        let mut guard = guard();
        let ban = |since, until| Ban {
            net: "192.0.2.1/32".parse().unwrap(),
            jail: JailId(0),
            since: Mono(since),
            until,
            proof: Proof::Blind,
            by_hand: false,
        };
        let (net, jail) = (ban(0, None).net, JailId(0));
        assert!(guard.restore_ban(ban(1_000, None), 1, Mono(10_000)));
        guard.restore_replaced(net, jail, Mono(4_999));
        assert_eq!((guard.ban_count(), guard.poll_effect(Mono(10_000))), (0, None));
        // The other one was told before, from another file.
        assert!(guard.restore_ban(ban(5_000, Some(Mono(20_000))), 2, Mono(10_000)));
        assert!(guard.restore_ban(ban(1_000, None), 1, Mono(10_000)));
        guard.restore_replaced(net, jail, Mono(4_999));
        assert_eq!(
            guard.ban_from(0).map(|(_, ban)| ban.until),
            Some(Some(Mono(20_000)))
        );
    }

    #[test]
    fn a_ban_that_is_over_by_the_right_clock_leaves_the_kernel() {
        let mut guard = guard();
        let until = Some(Mono(Mono::BOOT.0 + 50_000));
        let ban = Ban {
            net: "192.0.2.1/32".parse().unwrap(),
            jail: JailId(0),
            since: Mono(0),
            until,
            proof: Proof::Blind,
            by_hand: false,
        };
        let now = Mono(Mono::BOOT.0 + 10_000);
        assert!(guard.restore_ban(ban, 1, now));
        let added = guard.poll_effect(now).unwrap();
        guard.acked(added.slot, true, now);
        guard.older_by(45_000, now);
        assert_eq!(guard.ban_count(), 0);
        assert_eq!(
            guard.poll_effect(now).map(|effect| effect.change),
            Some(Change::Delete)
        );
    }

    #[test]
    fn a_restored_ban_is_wanted_and_its_failures_are_gone() {
        let mut guard = guard();
        observe(&mut guard, 1, None, 10);
        let ban = Ban {
            net: "192.0.2.1/32".parse().unwrap(),
            jail: JailId(0),
            since: Mono(0),
            until: None,
            proof: Proof::Blind,
            by_hand: false,
        };
        guard.forget_failures(ban.net, ban.jail, Mono(10_000));
        assert!(guard.restore_ban(ban, 1, Mono(20_000)));
        assert_eq!((guard.failures_kept(), guard.ban_count()), (0, 1));
        assert!(guard.poll_effect(Mono(20_000)).is_some());
        assert_eq!(
            guard.ban_from(0).map(|(next, ban)| (next, ban.net)),
            Some((1, ban.net))
        );
        assert!(guard.ban_from(1).is_none());
        let trusted = Ban {
            net: "192.0.2.99/32".parse().unwrap(),
            ..ban
        };
        assert!(
            !guard.restore_ban(trusted, 1, Mono(0)),
            "ignoreip may have changed"
        );
    }
}
