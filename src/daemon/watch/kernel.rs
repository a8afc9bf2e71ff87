//! Between the guard's table and the kernel: what is wanted goes there, and what was lost there is wanted again.

use log::{error, info, warn};

use super::{TARGET, Watch};
use crate::daemon::report::{self, Banned, Count};
use crate::firewall::{self, Enforce, Lost, Refusal};
use crate::guard::Ban;
use crate::limits::{
    CHANGES_PER_BATCH, DOUBT_SECONDS, FIRST_CHANGES, KERNEL_ABSENT_SECONDS, KERNEL_LOOK_SECONDS,
    KERNEL_RETRY_SECONDS,
};
use crate::store::Disk;
use crate::sys::Fault;
use crate::time::Mono;

impl<K: Enforce, D: Disk> Watch<K, D> {
    /// Looks whether our rules and bans are still in the kernel, if it is time or others `changed` something; what is
    /// lost comes back at once.
    pub(in crate::daemon) fn look_at_kernel(&mut self, changed: bool) {
        let Some(firewall) = &mut self.firewall else {
            return;
        };
        let due = self.look_at.is_some_and(|at| at <= self.now);
        if firewall.absence().is_some() {
            if due {
                self.retry_absent();
            }
            return;
        }
        let (mut single, mut all) = (0_u64, false);
        let guard = &mut self.guard;
        let mut lost = |what| match what {
            Lost::Element(jail, net) => single += u64::from(guard.kernel_lost(jail, net)),
            Lost::All => all = true,
        };
        // If it cannot be heard what changed, it has to be looked at.
        let changed = changed && firewall.take_events(&mut lost).unwrap_or(true);
        if due || changed {
            self.look(all);
        }
        self.tell_of_removed(single);
        // Before the logs are read.
        if (due || changed || single > 0) && self.guard.has_effects() {
            self.settle();
        }
    }

    /// Before the first turn: the bans that the kernel holds and the guard does not know are ours from then on.
    pub(in crate::daemon) fn adopt(&mut self, now: Mono) {
        let Some(firewall) = &mut self.firewall else {
            return;
        };
        let (guard, mut adopted) = (&mut self.guard, Vec::new());
        let read = firewall.elements(&mut |(jail, net, reach), left_ms| {
            if guard.kernel_has((jail, net, reach), left_ms, now) {
                return;
            }
            let ban = Ban {
                net,
                jail,
                since: now,
                until: left_ms.map(|ms| Mono(now.0.saturating_add(ms))),
                proof: guard.proof_of(jail, reach),
                by_hand: false,
            };
            guard.forget_failures(net, jail, now);
            if guard.restore_ban(ban, 1, now) {
                adopted.push(ban);
            } else {
                guard.expel(ban);
            }
        });
        if let Err(fault) = read {
            warn!(target: TARGET, "bans that an earlier run left may stay until they end: {fault}");
        }
        if adopted.is_empty() {
            return;
        }
        info!(target: TARGET, "took over {} that the kernel held", Count(adopted.len() as u64, "ban"));
        // Else the next reboot would forget them.
        if let Some(state) = &mut self.state {
            let bans = adopted.iter().map(|ban| (ban, None));
            state.bans(bans, &self.guard, &self.jails, (now, self.utc));
        }
    }

    /// Before the first turn: brings into force what the guard knows from before, and takes over what the kernel holds.
    pub fn take_up(&mut self) {
        let restored = self.guard.ban_count();
        self.adopt(self.now);
        self.settle();
        // Nothing is read meanwhile, and each turn takes a batch.
        while self.unfinished {
            self.settle();
        }
        if restored > 0 {
            info!(target: TARGET, "from before the start: {}, {} in force",
                Count(restored.into(), "ban"),
                self.guard.ban_count().saturating_sub(self.guard.not_in_force()));
        }
    }

    /// Looks at rules, and where nothing is heard of them at bans. `all`: bans may be gone, nobody knows which.
    fn look(&mut self, all: bool) {
        let Some(firewall) = &mut self.firewall else {
            return;
        };
        let polls = matches!(firewall.watch(), firewall::Watch::Poll);
        let holds = self.guard.ban_count() > 0 || !self.limited.is_empty();
        self.look_at = (polls && holds).then(|| self.now.plus_seconds(KERNEL_LOOK_SECONDS));
        match firewall.check_intact() {
            Ok(true) => self.broken = false,
            Ok(false) => return self.rebuild(),
            Err(fault) => return self.cannot_rebuild(&fault),
        }
        if all {
            warn!(target: TARGET, "somebody changed much of nf_tables at once; adding all bans again");
            self.guard.kernel_lost_all();
        } else if polls {
            let counted = firewall.holds_as_many(&mut self.guard.held(self.now));
            match counted {
                Ok(true) => {}
                Ok(false) => self.audit(),
                Err(fault) => self.cannot_rebuild(&fault),
            }
        }
    }

    /// Compares what the kernel holds with what it should hold.
    fn audit(&mut self) {
        let Some(firewall) = &mut self.firewall else {
            return;
        };
        let (guard, now) = (&mut self.guard, self.now);
        guard.begin_audit();
        let read = firewall.elements(&mut |place, left_ms| {
            guard.kernel_has(place, left_ms, now);
        });
        if let Err(fault) = read {
            return self.cannot_rebuild(&fault);
        }
        let lost = guard.end_audit(now);
        self.tell_of_removed(lost.into());
    }

    fn tell_of_removed(&mut self, bans: u64) {
        if bans == 0 {
            return;
        }
        if let Some(count) = self.removed.add(bans, self.now) {
            let bans = Count(count, "ban");
            warn!(target: TARGET, "somebody removed {bans} from the kernel, which are added again");
        }
    }

    /// A banned source was heard of: looks whether its ban is in force, at most once a second.
    pub(super) fn look_at_doubt(&mut self) {
        let Some(firewall) = &mut self.firewall else {
            return;
        };
        let Some((jail, net, reach)) = self.guard.take_doubt().filter(|_| self.doubt_rests <= self.now)
        else {
            return;
        };
        self.doubt_rests = self.now.plus_seconds(DOUBT_SECONDS);
        match firewall.holds(jail, net, reach) {
            Ok(true) => self.look(false),
            // Whoever removed one may have removed more.
            Ok(false) => {
                self.guard.kernel_lost(jail, net);
                let polls = matches!(firewall.watch(), firewall::Watch::Poll);
                self.look(false);
                if polls {
                    self.audit();
                } else {
                    // To read a long set of nf_tables takes longer than to write it.
                    self.guard.kernel_lost_all();
                }
            }
            Err(fault) => self.cannot_rebuild(&fault),
        }
    }

    /// The kernel had neither nf_tables nor ipset: perhaps it has by now.
    fn retry_absent(&mut self) {
        let Some(firewall) = &mut self.firewall else {
            return;
        };
        self.look_at = Some(self.now.plus_seconds(KERNEL_ABSENT_SECONDS));
        // Why it is absent was told when it was noticed.
        if firewall.try_open().is_ok() {
            let backend = firewall.backend();
            self.guard.set_longest_timeout(firewall.longest_timeout_ms());
            warn!(target: TARGET, "the kernel has {backend} by now: {} to follow",
                Count(self.guard.ban_count().into(), "ban")
            );
            self.guard.kernel_lost_all();
            self.look_at = Some(self.now);
            self.settle();
        }
    }

    /// Takes to the kernel what the guard wants there, then tells what was decided. What the kernel lost before is
    /// taken there one batch a turn.
    pub fn settle(&mut self) {
        self.look_at_doubt();
        self.look_before_first_ban();
        let mut rebuilt = false;
        // The first of many bans that were lost are back at once; new decisions wait for nothing.
        let begins = !core::mem::take(&mut self.unfinished);
        while self.is_there() {
            let more = self.guard.is_urgent();
            let most = if begins && !more {
                FIRST_CHANGES.max(self.fresh.len())
            } else {
                CHANGES_PER_BATCH
            };
            self.batch.clear();
            while self.batch.len() < most {
                let Some(effect) = self.guard.poll_effect(self.now) else {
                    break;
                };
                self.batch.push(effect);
            }
            if self.batch.is_empty() {
                break;
            }
            match self.apply() {
                // Once a turn: somebody who removes our objects again and again must not hold the loop.
                Some(Refusal::Gone) if !rebuilt => {
                    rebuilt = true;
                    self.rebuild();
                    continue;
                }
                Some(refusal) => self.refuse(&refusal),
                None => {}
            }
            if !more {
                self.unfinished = self.guard.has_effects();
                break;
            }
        }
        if let Some(notice) = self.firewall.as_mut().and_then(Enforce::take_notice) {
            warn!(target: TARGET, "{notice}");
        }
        self.tell();
    }

    /// Whether changes can be made; in a dry run they are always.
    fn is_there(&self) -> bool {
        self.firewall
            .as_ref()
            .is_none_or(|firewall| firewall.absence().is_none())
    }

    /// While there are no bans nobody looks at the kernel, so that an idle guard does not wake up.
    fn look_before_first_ban(&mut self) {
        let Some(firewall) = &self.firewall else { return };
        let polls = matches!(firewall.watch(), firewall::Watch::Poll);
        if polls && self.look_at.is_none() && self.guard.ban_count() > 0 {
            self.look(false);
        }
    }

    /// Tells what was decided.
    fn tell(&mut self) {
        if !self.fresh.is_empty() {
            self.own_at = Some(self.own_rests.max(self.now));
        }
        let (now, utc) = (self.now, self.utc);
        let word = match &self.firewall {
            None => "would ban",
            Some(firewall) if firewall.absence().is_some() => "not in force yet: ban of",
            Some(_) => "banned",
        };
        if let Some(state) = self.state.as_mut().filter(|_| !self.fresh.is_empty()) {
            let bans = self.fresh.iter();
            let bans = bans.map(|verdict| (&verdict.ban, verdict.displaced.as_ref()));
            state.bans(bans, &self.guard, &self.jails, (now, utc));
        }
        for verdict in self.fresh.drain(..) {
            self.notices.banned(&verdict);
            let jail = self.jails.name(verdict.ban.jail);
            info!(target: TARGET, "{word} {}",
                Banned {
                    verdict: &verdict,
                    jail,
                    now,
                    utc
                }
            );
        }
    }

    /// Sends one batch. Returns why changes were refused, if any were.
    fn apply(&mut self) -> Option<Refusal> {
        let Watch {
            guard,
            firewall,
            batch,
            now,
            ..
        } = self;
        let mut refusal = None;
        let mut answer = |slot, result: Result<(), Refusal>| {
            guard.acked(slot, result.is_ok(), *now);
            // That all is gone matters more than that one ban is not taken: it can be mended.
            if !matches!(refusal, Some(Refusal::Gone)) {
                refusal = result.err().or(refusal.take());
            }
        };
        match firewall {
            Some(firewall) => firewall.apply(batch, &mut answer),
            None => batch.iter().for_each(|effect| answer(effect.slot, Ok(()))),
        }
        refusal
    }

    /// There is proof for a ban that had none: it reaches everything that the jail blocks from now on.
    pub(super) fn proven(&mut self, ban: &Ban) {
        if let Some(state) = &mut self.state {
            let bans = [(ban, None)].into_iter();
            state.bans(bans, &self.guard, &self.jails, (self.now, self.utc));
        }
        report::proven(ban, self.jails.name(ban.jail));
    }

    fn refuse(&mut self, why: &dyn core::fmt::Display) {
        self.trouble = why.to_string();
        if let Some(count) = self.refused.count(self.now) {
            error!(target: TARGET, "bans are not in force, trying again every second ({}): {why}", Count(count, "time"));
        }
    }

    /// Somebody removed our table or sets, or changed them: makes them again, and wants every ban again.
    fn rebuild(&mut self) {
        let Some(firewall) = &mut self.firewall else {
            return;
        };
        match firewall.rebuild() {
            Ok(()) => {
                self.broken = false;
                warn!(target: TARGET, "somebody removed our firewall objects; they are back, {} to follow",
                    Count(self.guard.ban_count().into(), "ban")
                );
                self.guard.kernel_lost_all();
            }
            Err(fault) => self.cannot_rebuild(&fault),
        }
    }

    fn cannot_rebuild(&mut self, fault: &Fault) {
        self.broken = true;
        self.look_at = Some(self.now.plus_seconds(KERNEL_RETRY_SECONDS));
        self.refuse(fault);
    }
}
