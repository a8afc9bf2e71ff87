//! What the lookups child finds out: addresses of names that are never banned, and whom `ignorecommand` ignores.

use log::{debug, info, warn};

use super::super::TARGET;
use super::super::names::Listed;
use super::super::report::{self, Count, Net};
use super::{Outcome, Watch};
use crate::action::message::Found;
use crate::firewall::Enforce;
use crate::guard::{Answer, Ban, Settled};
use crate::notify::link::Heard;
use crate::store::Disk;

impl<K: Enforce, D: Disk> Watch<K, D> {
    /// Takes what the child found out, and makes the bans that have waited for it long enough.
    pub(super) fn take_answers(&mut self) {
        while let Some(heard) = self.notices.next_heard() {
            match heard {
                Heard::Found(found) => self.found(found),
                Heard::Answer(address, jail, answer) => {
                    let settled = self.guard.answered(address, jail, answer, self.now);
                    if answer == Answer::Ignored && settled != Settled::Nothing {
                        let name = self.jails.name(jail);
                        info!(target: TARGET, "{address} is not banned: ignorecommand ignores it jail={name}");
                    }
                    self.follow(settled);
                }
            }
        }
        while let Some(settled) = self.guard.overdue(self.now) {
            if let Settled::Judged(Outcome::Ban(verdict)) = &settled {
                let name = self.jails.name(verdict.ban.jail);
                warn!(target: TARGET, "ignorecommand has not answered about {}, which is not ignored then jail={name}", Net(&verdict.ban));
            }
            self.follow(settled);
        }
        // A line whose name is known is counted in its own turn.
        while let Some((jail, source, failure)) = self.jails.log_names_mut().next_failure() {
            let outcome = self.guard.observe(jail, source, &failure, self.now);
            debug!(target: TARGET, "{} {} {outcome:?} jail={}", failure.addr, failure.kind, self.jails.name(jail));
            if let Some(state) = &mut self.state {
                state.failures_changed(self.now, self.utc);
            }
            self.judge_all(&outcome);
        }
    }

    /// Asks what is to be asked, as far as there is room.
    pub(super) fn ask(&mut self) {
        loop {
            let place = self.notices.has_place_for_questions();
            if place == Some(false) {
                break;
            }
            let Some(question) = self.guard.next_question() else {
                break;
            };
            if place.is_some() {
                self.notices.ask(&question);
                continue;
            }
            // Nobody will answer.
            let settled = self
                .guard
                .answered(question.addr, question.jail, Answer::None, self.now);
            self.follow(settled);
        }
        self.ask_for_names();
        let unasked = self.guard.take_unasked();
        if let Some(count) = (unasked > 0)
            .then(|| self.unasked.add(unasked, self.now))
            .flatten()
        {
            warn!(target: TARGET, "{} made without asking ignorecommand: too many wait for its answer", Count(count, "ban"));
        }
    }

    fn ask_for_names(&mut self) {
        loop {
            match self.notices.has_place_for_questions() {
                Some(true) => {}
                Some(false) => break,
                None => {
                    self.jails.log_names_mut().give_up();
                    break;
                }
            }
            let Some(number) = self.jails.log_names_mut().next_question() else {
                break;
            };
            self.notices.resolve(number);
        }
        let lost = self.jails.log_names_mut().take_lost();
        if let Some(count) = (lost > 0).then(|| self.names_lost.add(lost, self.now)).flatten() {
            let lines = Count(count, "line");
            warn!(target: TARGET, "{lines} with names (usedns) left out: too many wait for their addresses");
        }
    }

    fn follow(&mut self, settled: Settled) {
        match settled {
            Settled::Nothing | Settled::Ignored => {}
            Settled::Judged(outcome) => self.judge_all(&outcome),
            Settled::Lifted(ban) => {
                self.settle();
                self.lifted(&ban, "ignorecommand ignores it");
            }
        }
    }

    /// A name of `ignoreip` has these addresses.
    fn found(&mut self, found: Found) {
        let name = found.name.clone();
        let addresses = found.addresses.as_deref();
        let warned = self.jails.log_names_mut().found(&name, addresses, self.now);
        if let Some((jail, count)) = warned.and_then(|jail| Some((jail, self.named.count(self.now)?))) {
            let (names, jail) = (Count(count, "name"), self.jails.name(jail));
            let listed = Listed(addresses.unwrap_or_default());
            warn!(target: TARGET, "{names} looked up for the log (usedns = warn), last {name}: {listed}; whoever owns a \
                name chooses its addresses, so they only support other evidence jail={jail}");
        }
        let Some(change) = self.jails.names_mut().found(found) else {
            return;
        };
        let known = self.jails.names().get(&name);
        let addresses = known
            .and_then(|name| name.addresses.as_deref())
            .unwrap_or_default();
        match &change.before {
            None => info!(target: TARGET, "never banned: {name} is {}", Listed(addresses)),
            Some(before) => {
                info!(target: TARGET, "never banned: {name} is {}, no more {}", Listed(addresses), Listed(before));
            }
        }
        let mut wrong: Vec<Ban> = Vec::new();
        for jail in change.jails {
            if let Some(trust) = self.jails.names().trust(jail) {
                wrong.extend(self.guard.set_trust(jail, trust));
            }
        }
        self.settle();
        let why = format!("it is an address of {name} (ignoreip)");
        for ban in wrong {
            self.lifted(&ban, &why);
        }
    }

    /// Tells all who have to know that a ban was lifted which should not have been made.
    pub(super) fn lifted(&mut self, ban: &Ban, why: &str) {
        if let Some(state) = &mut self.state {
            state.unban(ban, &self.guard, &self.jails, (self.now, self.utc));
        }
        report::not_to_be_banned(ban, why, self.jails.name(ban.jail));
        self.notices.unbanned(ban);
    }
}
