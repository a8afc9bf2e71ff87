//! The verdict that fits the evidence: who is banned with how many failures.
//!
//! | source | is banned |
//! |---|---|
//! | any other | at `maxretry` failures within `findtime`, as fail2ban does |
//! | a phone with a wrong password: one account, at a phone's pace | at `maxretry.phone` |
//! | one that gave right passwords ([`super::known`]) | when it has tried as many *other* accounts as `maxretry`, beside as many as succeeded there; else at `maxretry.known` failures, of which those that may be forged and name an account of its own do not count |
//! | who tries `maxretry.slow` accounts or extensions within `findtime.slow` | then, however slowly |
//! | who leaves `maxretry.challenge` challenges unanswered within `findtime` | then |
//!
//! One account's success forgives what that account does, and no attempt on another.

use ipnet::IpNet;

use super::flood::{Flood, Passage, Surge};
use super::index::Key;
use super::slab::NONE;
use super::{Bannet, Guard, JailId, Outcome, Pattern, Summary};
use crate::filter::{Class, Failure, Kind, Proof, Service, Shown, Sign};
use crate::limits::{PHONE_FINDTIME_SECONDS, PHONE_PACE_SECONDS, TRIED_MAX};
use crate::time::Mono;

/// What a jail takes into account beside the number of failures. `None` of a threshold: it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// `maxretry.known`: failures of a source that gave right passwords.
    pub known: Option<u32>,
    /// `maxretry.phone`: failures of a phone with a wrong password, within ten minutes or findtime.
    pub phone: Option<u32>,
    /// `maxretry.challenge`: challenges that nobody answered.
    pub challenge: Option<u32>,
    /// `maxretry.slow`: accounts and extensions within `findtime.slow`.
    pub slow: Option<u32>,
    /// `findtime.slow`, in seconds.
    pub slow_findtime: u64,
    /// `floodrate`: so many bans on forgeable evidence a minute are believed.
    pub flood: Option<u32>,
    /// `bantime.forget`: of earlier bans half are forgotten at a time, not all.
    pub halves: bool,
    /// `bannet`: what follows when members of a network are banned.
    pub bannet: Bannet,
    /// `bannet.members`: so many of them.
    pub members: u32,
}

/// What should be looked after, and is no ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// So many are banned on forgeable evidence that somebody forges it: no more such bans.
    Flood(Surge),
    /// That is over.
    FloodOver(Surge),
    /// A phone with a wrong password, or an account that is gone.
    Phone {
        /// Who.
        net: IpNet,
        /// In which jail.
        jail: JailId,
        /// How often it tried so far.
        failures: u32,
        /// What is wrong.
        kind: Kind,
    },
}

/// How often at most the same phone is told of, in seconds.
const TELL_SECONDS: u64 = 3_600;

/// What follows from a failure that counts.
enum Weight {
    Wait,
    /// A ban for what the ring holds.
    Ban,
    /// A ban for more than that.
    Beyond(Summary),
}

impl Guard {
    /// Takes what shows that a source is an ordinary one, or may not be.
    pub fn observe_sign(&mut self, jail: JailId, sign: &Sign, now: Mono) -> Option<Outcome> {
        let policy = self.policies.get(usize::from(jail.0))?;
        let (known, challenge, findtime) =
            (policy.evidence.known, policy.evidence.challenge, policy.findtime);
        if self.is_trusted(sign.addr, policy) {
            return None;
        }
        let net = self.source_net(sign.addr, policy);
        let key = Key::new(net, jail);
        match sign.shown {
            Shown::Known => {
                if let Some(trace) = self.traces.get_mut(key) {
                    trace.challenges.count = 0;
                }
                if let (Some(_), Some(account)) = (known, sign.account) {
                    self.known.learn(key, account, now);
                }
                None
            }
            Shown::Challenged => {
                let most = challenge?;
                if self.known.is_known(key, now) || self.bans.find(net, jail, now).is_some() {
                    return None;
                }
                let challenges = &mut self.traces.of(key, Proof::Blind, findtime, now)?.challenges;
                let (count, first) = (challenges.add(findtime, now), challenges.since);
                if count < most {
                    return None;
                }
                let why = Summary {
                    failures: count,
                    first,
                    last: UNANSWERED,
                    alike: true,
                    accounts: 0,
                    pattern: Pattern::Unanswered,
                    proof: Proof::Blind,
                };
                self.traces.forget(key);
                Some(self.convict_for(why, (sign.addr, net), jail, now))
            }
        }
    }

    /// Decides about a source whose `count`-th failure within findtime was just noted.
    pub(super) fn weigh(
        &mut self,
        (key, net, jail): (Key, IpNet, JailId),
        failure: &Failure,
        count: u32,
        now: Mono,
    ) -> Outcome {
        match self.weight((key, net, jail), failure, count, now) {
            Weight::Wait => Outcome::Counted(count),
            Weight::Ban => {
                self.traces.forget(key);
                self.convict(key, (failure.addr, net), jail, now)
            }
            Weight::Beyond(why) => {
                self.traces.forget(key);
                self.failures.forget(key);
                self.convict_for(why, (failure.addr, net), jail, now)
            }
        }
    }

    fn weight(
        &mut self,
        (key, net, jail): (Key, IpNet, JailId),
        failure: &Failure,
        count: u32,
        now: Mono,
    ) -> Weight {
        let Some(policy) = self.policies.get(usize::from(jail.0)) else {
            return Weight::Wait;
        };
        let (maxretry, findtime, evidence) = (policy.maxretry, policy.findtime, &policy.evidence);
        let by_count = if count < maxretry {
            Weight::Wait
        } else {
            Weight::Ban
        };
        if *evidence == Evidence::default() {
            return by_count;
        }
        let (slow, slow_findtime, phone) = (evidence.slow, evidence.slow_findtime, evidence.phone);
        let friends = match evidence.known {
            Some(_) => self.known.accounts(key, now),
            None => 0,
        };
        let own = friends > 0 && failure.account.is_some_and(|name| self.known.has(key, name, now));
        let known_most = evidence.known.unwrap_or(u32::MAX);
        if friends == 0 && failure.account.is_none() {
            return by_count;
        }
        let Some(trace) = self
            .traces
            .of(key, failure.proof, findtime.max(slow_findtime), now)
        else {
            let forgiven = own && !failure.proof.is_proven();
            return if forgiven { Weight::Wait } else { by_count };
        };
        trace.challenges.one_less();
        let calm = trace.is_calm(now);
        let held = if own && !failure.proof.is_proven() {
            0
        } else {
            trace.held.add(findtime, now)
        };
        if let (Some(name), false) = (failure.account, own) {
            trace.note(name, failure.proof, slow_findtime, now);
        }
        // The accounts that succeeded there are forgiven as many mistakes, but that one vouches for itself alone.
        let forgiven = friends.saturating_sub(1);
        let at_most = |most: u32| most.saturating_add(forgiven).min(TRIED_MAX as u32);
        let names = trace.tried.within(slow_findtime, now);
        if slow.is_some_and(|most| names >= at_most(most)) && !own && (count < maxretry || friends > 0) {
            return Weight::Beyond(trace.slow_summary(failure.kind, names));
        }
        if friends > 0 {
            let scans = trace.tried.within(findtime, now) >= at_most(maxretry) && count >= maxretry && !own;
            return match (scans, held >= known_most) {
                (true, _) => Weight::Ban,
                (false, true) => Weight::Beyond(trace.held_summary(failure, names)),
                (false, false) => Weight::Wait,
            };
        }
        match phone {
            Some(most) if count >= maxretry && calm && self.is_phone(key, most, now) => {
                self.tell_of_phone((net, jail), failure.kind, count, now);
                Weight::Wait
            }
            Some(_) | None => by_count,
        }
    }

    /// Whether all attempts of a source in the ring are on one account, and as far apart as those of a phone, and fewer
    /// than `most` in the last minutes. An attempt of before a restart is on any.
    fn is_phone(&self, key: Key, most: u32, now: Mono) -> bool {
        let Some(account) = self.failures.account(key) else {
            return false;
        };
        let mut id = self.failures.accounts.at(account).attempts.first;
        let (mut name, mut before, mut recent) = (None, None, 0);
        while id != NONE {
            let entry = self.failures.entries.at(id);
            id = entry.of_source.next;
            if !entry.counts() {
                continue;
            }
            let paced = before.is_none_or(|before: Mono| entry.at >= before.plus_seconds(PHONE_PACE_SECONDS));
            let same = entry.account.is_none() || name.is_none() || name == entry.account;
            if !paced || !same || !is_login(entry.kind) {
                return false;
            }
            (name, before) = (name.or(entry.account), Some(entry.at));
            recent += u32::from(now <= entry.at.plus_seconds(PHONE_FINDTIME_SECONDS));
        }
        // One attempt has no pace.
        name.is_some() && recent < most && self.failures.accounts.at(account).counted > 1
    }

    fn tell_of_phone(&mut self, (net, jail): (IpNet, JailId), kind: Kind, failures: u32, now: Mono) {
        let Some(trace) = self.traces.get_mut(Key::new(net, jail)) else {
            return;
        };
        if trace
            .told
            .is_none_or(|told| now >= told.plus_seconds(TELL_SECONDS))
        {
            trace.told = Some(now);
            self.remark = Some(Remark::Phone {
                net,
                jail,
                failures,
                kind,
            });
        }
    }

    /// Whether a ban is not made because there are too many like it.
    pub(super) fn is_flood(&mut self, why: &Summary, jail: JailId, now: Mono) -> bool {
        let number = usize::from(jail.0);
        let rate = self.policies.get(number).and_then(|policy| policy.evidence.flood);
        let (Some(rate), Some(flood), false) = (rate, self.floods.get_mut(number), why.proof.is_proven())
        else {
            return false;
        };
        match flood.pass(jail, rate, now) {
            Passage::Ban => false,
            Passage::Refused => true,
            Passage::Begins(surge) => {
                self.remark = Some(Remark::Flood(surge));
                true
            }
            Passage::Over(surge) => {
                self.remark = Some(Remark::FloodOver(surge));
                false
            }
        }
    }

    /// Whether no bans are made on forgeable evidence at present.
    #[must_use]
    pub fn is_flooded(&self, jail: JailId, now: Mono) -> bool {
        let number = usize::from(jail.0);
        let rate = self.policies.get(number).and_then(|policy| policy.evidence.flood);
        let flood = self.floods.get(number);
        rate.zip(flood)
            .is_some_and(|(rate, flood)| flood.is_flooded(rate, now))
    }

    /// Ends a flood that is over, also if nothing is heard any more.
    pub fn end_flood(&mut self, jail: JailId, now: Mono) -> Option<Surge> {
        let number = usize::from(jail.0);
        let rate = self.policies.get(number)?.evidence.flood?;
        self.floods.get_mut(number)?.end(jail, rate, now)
    }

    /// The floods of jails that are still there go on.
    pub(super) fn inherit_floods(&mut self, old: &[Flood], jail: impl Fn(JailId) -> Option<JailId>) {
        for (number, flood) in (0..).zip(old) {
            let new = jail(JailId(number)).and_then(|jail| self.floods.get_mut(usize::from(jail.0)));
            if let Some(new) = new {
                *new = *flood;
            }
        }
    }

    /// What is to be told beside bans; looked at after each failure.
    pub fn take_remark(&mut self) -> Option<Remark> {
        self.remark.take()
    }

    /// Sources of which it is remembered what they tried.
    #[must_use]
    pub fn traced_sources(&self) -> u32 {
        self.traces.len()
    }

    /// Sources that are known for right passwords.
    #[must_use]
    pub fn known_sources(&self) -> u32 {
        self.known.len()
    }
}

/// What a challenge that nobody answered is called.
const UNANSWERED: Kind = Kind {
    service: Service::Pjsip,
    class: Class::Proto,
};

/// Whether it is what a phone does: to log in, with a wrong password or an account that is gone. No phone speaks to the
/// manager.
fn is_login(kind: Kind) -> bool {
    kind.service != Service::Ami && matches!(kind.class, Class::Auth | Class::User)
}

#[cfg(test)]
mod tests;
