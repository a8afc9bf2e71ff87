//! What is always true, and what is true when all trouble is over.

use ipnet::IpNet;
use sipguard::guard::Reach;
use sipguard::limits::NOTICES_MAX;

use super::kernel::{Kind, Trouble};
use super::model::Key;
use super::world::World;

impl World {
    /// After each step.
    pub(crate) fn check(&self) {
        let running = self.running.as_ref().unwrap();
        let guard = running.watch.guard();
        let bans = self.bans_of_guard();
        let model = self
            .model
            .bans
            .iter()
            .map(|(key, ban)| (key.clone(), ban.end))
            .collect();
        assert_eq!(bans, model, "who is banned by the guard, and by the model");
        for key in bans.keys() {
            assert!(!self.model.is_trusted(key.1), "{key:?} is trusted");
        }
        for key in self.held().keys() {
            assert!(
                !self.model.is_trusted(key.1),
                "{key:?} is trusted, and in the kernel"
            );
        }
        assert!(guard.failures_kept() <= 256 && guard.ban_count() <= self.maxbans);
        const { assert!(NOTICES_MAX < 1_000) };
    }

    /// All trouble ends. What is wanted is in force before long, and then nothing moves any more.
    pub(crate) fn calm(&mut self) {
        self.note(&"calm");
        {
            let mut machine = self.machine.borrow_mut();
            machine.trouble = Trouble::default();
            machine.is_there = true;
        }
        self.files.borrow_mut().fails = false;
        for disk in self.disks() {
            disk.set_capacity(None);
            disk.refuse(None);
            disk.refuse_sync(None);
        }
        self.disk_trouble = false;
        self.pass(150_000);
        self.check_in_force();
        let (written, turns) = (self.written(), self.turns);
        let bans = self.model.bans.len() as u64;
        self.pass(600_000);
        assert_eq!(self.written(), written, "an idle guard writes nothing");
        if self.machine.borrow().kind != Kind::Poll {
            let woken = self.turns - turns;
            assert!(woken <= 2 * bans + 2, "{woken} turns with {bans} bans");
        }
        self.check_in_force();
    }

    /// What the model has of a ban of the guard's.
    fn model_of(&self, ban: &sipguard::guard::Ban) -> (Key, super::model::Ban) {
        let key = (self.model.jails[usize::from(ban.jail.0)].name.to_owned(), ban.net);
        let ban = self.model.bans[&key];
        (key, ban)
    }

    fn written(&self) -> u64 {
        self.disks().map(sipguard::store::memory::Memory::changes).sum()
    }

    fn check_in_force(&self) {
        let running = self.running.as_ref().unwrap();
        let guard = running.watch.guard();
        assert_eq!(guard.not_in_force(), 0);
        assert_eq!(guard.whole_tally().leaving, 0);
        assert!(
            !running.watch.is_state_failing(),
            "the state file is written again"
        );
        // Without bans nobody looks where nothing tells.
        let unseen = self.machine.borrow().kind == Kind::Poll && self.model.bans.is_empty();
        assert!(unseen || self.machine.borrow().rules, "our rules are there");
        let (held, machine) = (self.held(), self.machine.borrow());
        // What the guard could not see at its start stays until it ends, and where nothing tells and elements are only
        // counted, it may stand for one that somebody removed.
        let hides = |jail: &str| {
            let strange = |(net, _): &(IpNet, _), reach| {
                let mut bans = guard.bans().map(|ban| (self.model_of(&ban).0, guard.reach(&ban)));
                !bans.any(|ban| ban == ((jail.to_owned(), *net), reach))
            };
            let are_strange = |reach| {
                machine
                    .elements(jail, reach)
                    .iter()
                    .any(|one| strange(one, reach))
            };
            let polls = machine.kind == Kind::Poll;
            self.saw_nothing && polls && (are_strange(Reach::Whole) || are_strange(Reach::Opened))
        };
        for (wanted, (key, ban)) in guard.bans().map(|ban| (guard.reach(&ban), self.model_of(&ban))) {
            let held = |reach| {
                machine
                    .elements(&key.0, reach)
                    .into_iter()
                    .find(|(net, _)| *net == key.1)
            };
            assert!(
                self.saw_nothing || held(wanted.other()).is_none(),
                "{key:?} is in the kernel with the other reach: {ban:?}"
            );
            let Some((_, end)) = &held(wanted) else {
                assert!(hides(&key.0), "{key:?} is not in the kernel: {ban:?}");
                continue;
            };
            let fits = match (ban.end, end) {
                (Some(wanted), Some(end)) => (wanted - 2_000..=wanted).contains(end),
                (_, None) => ban.end.is_none(),
                // The kernel's longest time, renewed when half of it is over.
                (None, Some(end)) => *end - self.now() > 86_400_000,
            };
            assert!(fits, "{key:?} is in the kernel until {end:?}: {ban:?}");
        }
        for key in held.keys() {
            assert!(
                self.saw_nothing || self.model.bans.contains_key(key),
                "{key:?} is in the kernel, and not banned"
            );
        }
        let unread = self.files.borrow();
        for (path, lines) in unread.readable.iter().enumerate() {
            let is_read = self.model.jails.iter().any(|jail| jail.paths & (1 << path) != 0);
            assert!(
                !is_read || self.model.read[path] == lines.len(),
                "every line was read"
            );
        }
    }
}
