//! Bans that wait for what `ignorecommand` says about their sources, and what it said before.
//!
//! A ban waits at most [`QUESTION_SECONDS`], and at most [`QUESTIONS_MAX`] wait at the same time: beyond either it is
//! made without an answer. An answer that comes later still counts: it lifts the ban. What waits is not kept over a
//! restart: its source has to fail again.

use core::net::IpAddr;
use std::collections::VecDeque;

use ipnet::IpNet;

use super::index::Key;
use super::{Ban, Guard, JailId, Outcome, Summary};
use crate::limits::{QUESTION_SECONDS, QUESTIONS_MAX};
use crate::time::Mono;

/// What `ignorecommand` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The address is ignored.
    Ignored,
    /// It is not.
    NotIgnored,
    /// There is no answer.
    None,
}

/// Whom to ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose last failure brought the ban.
    pub addr: IpAddr,
    /// In which jail.
    pub jail: JailId,
    /// How many failures there were.
    pub failures: u32,
}

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing waited for it any more.
    Nothing,
    /// The source is not banned.
    Ignored,
    /// The ban is made, or cannot be.
    Judged(Outcome),
    /// The ban was made meanwhile, and is lifted.
    Lifted(Ban),
}

/// A jail that asks.
struct Jail {
    /// So many answers are kept, so many seconds.
    most: usize,
    seconds: u64,
    /// Oldest first.
    answers: VecDeque<(IpAddr, bool, Mono)>,
}

/// A ban that waits.
#[derive(Clone, Copy)]
struct Held {
    jail: JailId,
    net: IpNet,
    addr: IpAddr,
    why: Summary,
    since: Mono,
    asked: bool,
}

/// Whether a ban has to wait.
pub(super) enum Ask {
    /// It is made.
    No,
    /// It is not made: its source is ignored.
    Ignored,
    /// It waits.
    Held,
}

/// All questions.
#[derive(Default)]
pub(super) struct Asking {
    jails: Vec<Option<Jail>>,
    held: Vec<Held>,
    unasked: u64,
}

impl Asking {
    fn jail(&mut self, jail: JailId) -> Option<&mut Jail> {
        self.jails.get_mut(usize::from(jail.0))?.as_mut()
    }

    /// Whether the ban has to wait; if it does, it is kept here.
    pub(super) fn ask(&mut self, jail: JailId, (addr, net): (IpAddr, IpNet), why: Summary, now: Mono) -> Ask {
        let Some(asks) = self.jail(jail) else {
            return Ask::No;
        };
        let fresh = now.0.saturating_sub(asks.seconds.saturating_mul(1000));
        let mut known = asks.answers.iter().rev();
        match known.find(|(known, _, at)| *known == addr && at.0 >= fresh) {
            Some((_, true, _)) => return Ask::Ignored,
            Some((_, false, _)) => return Ask::No,
            None => {}
        }
        if self.held.iter().any(|held| (held.jail, held.net) == (jail, net)) {
            return Ask::Held;
        }
        if self.held.len() >= QUESTIONS_MAX {
            self.unasked = self.unasked.saturating_add(1);
            return Ask::No;
        }
        self.held.push(Held {
            jail,
            net,
            addr,
            why,
            since: now,
            asked: false,
        });
        Ask::Held
    }

    fn keep(&mut self, jail: JailId, addr: IpAddr, ignored: bool, now: Mono) {
        let Some(asks) = self.jail(jail).filter(|asks| asks.most > 0) else {
            return;
        };
        asks.answers.retain(|(known, _, _)| *known != addr);
        while asks.answers.len() >= asks.most {
            asks.answers.pop_front();
        }
        asks.answers.push_back((addr, ignored, now));
    }

    fn take(&mut self, such: impl Fn(&Held) -> bool) -> Option<Held> {
        let place = self.held.iter().position(such)?;
        Some(self.held.remove(place))
    }

    /// When a ban waits no longer.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let ends = self
            .held
            .iter()
            .map(|held| held.since.plus_seconds(QUESTION_SECONDS));
        ends.min()
    }

    /// Takes over what waits in a guard with another configuration, to be asked again.
    pub(super) fn inherit(&mut self, old: &mut Asking, new: impl Fn(JailId) -> Option<JailId>) {
        for held in core::mem::take(&mut old.held) {
            let Some(jail) = new(held.jail) else { continue };
            let asks = self.jail(jail).is_some();
            self.held.push(Held {
                jail,
                asked: !asks,
                // Where nobody is asked any more, nothing is waited for.
                since: if asks { held.since } else { Mono(0) },
                ..held
            });
        }
    }
}

impl Guard {
    /// Has bans of this jail wait for an answer. `kept`: so many answers hold for so many seconds.
    pub fn ask_before_bans(&mut self, jail: JailId, kept: Option<(u32, u64)>) {
        let place = usize::from(jail.0);
        if self.asking.jails.len() <= place {
            self.asking.jails.resize_with(place + 1, || None);
        }
        let (most, seconds) = kept.unwrap_or_default();
        if let Some(asks) = self.asking.jails.get_mut(place) {
            *asks = Some(Jail {
                most: usize::try_from(most).unwrap_or(usize::MAX),
                seconds,
                answers: VecDeque::new(),
            });
        }
    }

    /// The next question that was not asked yet; it is taken for asked from now on.
    pub fn next_question(&mut self) -> Option<Question> {
        let held = self.asking.held.iter_mut().find(|held| !held.asked)?;
        held.asked = true;
        Some(Question {
            addr: held.addr,
            jail: held.jail,
            failures: held.why.failures,
        })
    }

    /// Takes an answer.
    pub fn answered(&mut self, addr: IpAddr, jail: JailId, answer: Answer, now: Mono) -> Settled {
        if answer != Answer::None {
            self.asking.keep(jail, addr, answer == Answer::Ignored, now);
        }
        let held = self.asking.take(|held| (held.jail, held.addr) == (jail, addr));
        match (held, answer) {
            (Some(held), Answer::Ignored) => {
                self.failures.forget(Key::new(held.net, jail));
                Settled::Ignored
            }
            (Some(held), Answer::NotIgnored | Answer::None) => self.end_waiting(&held, now),
            (None, Answer::Ignored) => self.lift_late(addr, jail, now),
            (None, Answer::NotIgnored | Answer::None) => Settled::Nothing,
        }
    }

    /// The next ban that has waited too long: it is made. Called until there is none.
    pub fn overdue(&mut self, now: Mono) -> Option<Settled> {
        let held = self
            .asking
            .take(|held| held.since.plus_seconds(QUESTION_SECONDS) <= now)?;
        Some(self.end_waiting(&held, now))
    }

    /// How many bans could not wait since this was last asked.
    pub fn take_unasked(&mut self) -> u64 {
        core::mem::take(&mut self.asking.unasked)
    }

    /// The ban is made, unless there is one by now, or its source has become trusted.
    fn end_waiting(&mut self, held: &Held, now: Mono) -> Settled {
        let Some(policy) = self.policies.get(usize::from(held.jail.0)) else {
            return Settled::Nothing;
        };
        if self.overlaps_trusted(held.net, policy) {
            return Settled::Ignored;
        }
        self.failures.forget(Key::new(held.net, held.jail));
        if self.bans.find(held.net, held.jail, now).is_some() {
            return Settled::Nothing;
        }
        Settled::Judged(self.sentence(held.why, held.net, held.jail, now))
    }

    /// What waits is of the networks of this configuration: the kernel has sets for no others.
    pub(super) fn hold_as_configured(&mut self) {
        let mut held = core::mem::take(&mut self.asking.held);
        for held in &mut held {
            if let Some(policy) = self.policies.get(usize::from(held.jail.0)) {
                held.net = self.source_net(held.addr, policy);
            }
        }
        self.asking.held = held;
    }

    fn lift_late(&mut self, addr: IpAddr, jail: JailId, now: Mono) -> Settled {
        let Some(policy) = self.policies.get(usize::from(jail.0)) else {
            return Settled::Nothing;
        };
        let net = self.source_net(addr, policy);
        let made = self.bans.find(net, jail, now).is_some_and(|ban| !ban.by_hand);
        match made.then(|| self.unban(net, jail)).flatten() {
            Some(ban) => Settled::Lifted(ban),
            None => Settled::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Evidence, Policy, Seed, Settings, Source, Trust};
    use super::*;
    use crate::filter::{Class, Failure, Kind, Proof, Service};

    const JAIL: JailId = JailId(0);

    fn guard(kept: Option<(u32, u64)>) -> Guard {
        let policy = Policy {
            maxretry: 2,
            findtime: 600,
            bantime: Some(600),
            bantime_unproven: None,
            reach_by_proof: false,
            evidence: Evidence::default(),
            escalation: None,
            recidive: false,
            trust: Trust::default(),
        };
        let settings = Settings {
            ring: 4_096,
            maxbans: 4_096,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::default(),
            seed: Seed([1, 2]),
        };
        let mut guard = Guard::new(vec![policy], settings);
        guard.ask_before_bans(JAIL, kept);
        guard
    }

    fn fail(guard: &mut Guard, addr: &str, at: u64) -> Outcome {
        let failure = Failure {
            addr: addr.parse().unwrap(),
            kind: Kind {
                service: Service::Sip,
                class: Class::Auth,
            },
            proof: Proof::Blind,
            attempt: None,
            at: None,
            account: None,
        };
        guard.observe(JAIL, Source(0), &failure, Mono(at));
        guard.observe(JAIL, Source(0), &failure, Mono(at))
    }

    fn answer(guard: &mut Guard, addr: &str, answer: Answer, at: u64) -> Settled {
        guard.answered(addr.parse().unwrap(), JAIL, answer, Mono(at))
    }

    #[test]
    fn a_ban_waits_for_the_answer() {
        let mut guard = guard(None);
        assert_eq!(fail(&mut guard, "192.0.2.1", 1_000), Outcome::Held);
        let question = guard.next_question().unwrap();
        assert_eq!(
            (question.addr.to_string(), question.failures),
            ("192.0.2.1".to_owned(), 2)
        );
        assert_eq!(fail(&mut guard, "192.0.2.1", 2_000), Outcome::Held);
        assert_eq!(guard.next_question(), None, "it is asked once");
        assert_eq!(guard.ban_count(), 0);
        let settled = answer(&mut guard, "192.0.2.1", Answer::NotIgnored, 3_000);
        let Settled::Judged(Outcome::Ban(verdict)) = settled else {
            panic!("{settled:?}");
        };
        assert_eq!(
            (verdict.why.failures, verdict.ban.until),
            (2, Some(Mono(603_000)))
        );
        assert_eq!(fail(&mut guard, "192.0.2.1", 4_000), Outcome::Banned);
    }

    #[test]
    fn who_is_ignored_is_not_banned_and_asked_about_again() {
        let mut guard = guard(None);
        for at in [1_000, 2_000] {
            assert_eq!(fail(&mut guard, "192.0.2.1", at), Outcome::Held);
            assert!(guard.next_question().is_some());
            assert_eq!(
                answer(&mut guard, "192.0.2.1", Answer::Ignored, at),
                Settled::Ignored
            );
        }
        assert_eq!((guard.ban_count(), guard.failures_kept()), (0, 0));
    }

    #[test]
    fn answers_are_kept_as_long_and_as_many_as_is_said() {
        let mut guard = guard(Some((2, 10)));
        for (host, said) in [("192.0.2.1", Answer::Ignored), ("192.0.2.2", Answer::NotIgnored)] {
            fail(&mut guard, host, 1_000);
            answer(&mut guard, host, said, 1_000);
        }
        assert_eq!(fail(&mut guard, "192.0.2.1", 11_000), Outcome::Trusted);
        guard.unban("192.0.2.2/32".parse().unwrap(), JAIL).unwrap();
        assert!(matches!(fail(&mut guard, "192.0.2.2", 11_000), Outcome::Ban(_)));
        assert_eq!(fail(&mut guard, "192.0.2.1", 11_001), Outcome::Held, "too old");
        answer(&mut guard, "192.0.2.1", Answer::Ignored, 12_000);
        for host in ["192.0.2.3", "192.0.2.4"] {
            fail(&mut guard, host, 12_000);
            answer(&mut guard, host, Answer::Ignored, 12_000);
        }
        assert_eq!(fail(&mut guard, "192.0.2.1", 12_000), Outcome::Held, "pushed out");
    }

    #[test]
    fn a_ban_without_an_answer_is_made_in_the_end_and_lifted_by_a_late_one() {
        let mut guard = guard(None);
        fail(&mut guard, "2001:db8::1", 1_000);
        let end = Mono(1_000).plus_seconds(QUESTION_SECONDS);
        assert_eq!(guard.next_deadline(), Some(end));
        assert_eq!(guard.overdue(Mono(end.0 - 1)), None);
        let settled = guard.overdue(end);
        assert!(
            matches!(settled, Some(Settled::Judged(Outcome::Ban(_)))),
            "{settled:?}"
        );
        assert_eq!(guard.overdue(end), None);
        let late = answer(&mut guard, "2001:db8::1", Answer::Ignored, end.0);
        assert!(matches!(late, Settled::Lifted(_)), "{late:?}");
        assert_eq!(
            answer(&mut guard, "2001:db8::1", Answer::Ignored, end.0),
            Settled::Nothing
        );
    }

    #[test]
    fn more_than_can_wait_are_banned_at_once_and_counted() {
        let mut guard = guard(None);
        for host in 0..=QUESTIONS_MAX {
            let outcome = fail(&mut guard, &format!("10.0.{}.{}", host >> 8, host & 255), 1_000);
            let waits = outcome == Outcome::Held;
            assert_eq!(waits, host < QUESTIONS_MAX, "{outcome:?}");
        }
        assert_eq!((guard.take_unasked(), guard.take_unasked()), (1, 0));
    }

    #[test]
    fn what_waits_survives_another_configuration() {
        let mut old = guard(None);
        fail(&mut old, "192.0.2.1", 1_000);
        assert!(old.next_question().is_some());
        let mut new = guard(None);
        new.inherit(&mut old, Some);
        assert!(new.next_question().is_some(), "it is asked again");
        let mut silent = guard(None);
        silent.asking.jails.clear();
        silent.inherit(&mut new, Some);
        assert_eq!(silent.next_question(), None);
        assert!(matches!(
            silent.overdue(Mono(QUESTION_SECONDS * 1_000)),
            Some(Settled::Judged(Outcome::Ban(_)))
        ));
    }

    #[test]
    fn what_waits_is_banned_by_the_networks_of_the_new_configuration() {
        for (bits, want) in [(56, "2001:db8::/56"), (80, "2001:db8:0:5::/80")] {
            let mut old = guard(None);
            assert_eq!(fail(&mut old, "2001:db8:0:5::1", 1_000), Outcome::Held);
            let mut new = guard(None);
            new.settings.ipv6prefix = bits;
            new.inherit(&mut old, Some);
            let settled = answer(&mut new, "2001:db8:0:5::1", Answer::NotIgnored, 2_000);
            let Settled::Judged(Outcome::Ban(verdict)) = settled else {
                panic!("{settled:?}");
            };
            assert_eq!(verdict.ban.net.to_string(), want);
        }
    }

    #[test]
    fn who_becomes_trusted_while_a_ban_waits_is_not_banned() {
        let mut guard = guard(None);
        fail(&mut guard, "192.0.2.1", 1_000);
        guard.set_trust(JAIL, Trust::new(["192.0.2.1/32".parse().unwrap()]));
        assert_eq!(
            answer(&mut guard, "192.0.2.1", Answer::NotIgnored, 1_000),
            Settled::Ignored
        );
    }
}
