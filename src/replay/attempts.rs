//! Which lines are further lines of an attempt that was counted: the guard's own rule ([`Reports`]), for a source
//! that is never banned and may try a thousand times a second.
//!
//! Attempts of one source and id that began in the same second and were reported alike are kept as one *run* with a
//! number. So a flood is a handful of runs, and finding the attempt of a line costs the same at any rate.
//!
//! At the bound ([`ATTEMPTS_MAX`]) the chain of attempts that was quiet for longest is forgotten; a later line of one
//! of its attempts would count again. An attempt can be joined for ten seconds (sshd: two minutes), so this
//! takes more than `ATTEMPTS_MAX / 10` ids in a second.

use core::net::IpAddr;

use crate::filter::{Attempt, Failure, Proof};
use crate::guard::{
    Index, Key, Linked, Links, List, NONE, Reports, Seed, Slab, Source, join_seconds, number,
};
use crate::limits::ATTEMPTS_MAX;
use crate::time::Mono;

/// What a line is to its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It began an attempt, or raised one that was only claimed to evidence.
    Counts,
    /// The attempt is counted already.
    Repeats,
    /// The sender chose the address: it counts once other evidence supports it.
    Claims,
}

/// The attempts that a line may still join.
pub(super) struct Attempts {
    runs: Slab<Run>,
    chains: Slab<Chain>,
    index: Index,
    /// Chains from the one quiet for longest to the one written last.
    by_age: List,
}

/// Attempts that began in the same second and were reported alike.
#[derive(Clone, Copy, Debug)]
struct Run {
    state: State,
    number: u32,
    of_chain: Links,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    began: Mono,
    reports: Reports,
    counts: bool,
}

/// All attempts of one source and id, from the oldest to the newest.
#[derive(Clone, Copy, Debug)]
struct Chain {
    key: Key,
    runs: List,
    /// Streams that have closed every one of them, as far as is known without a look: none of their lines joins.
    closed: u32,
    /// No line can join any of them after this.
    until: Mono,
    of_age: Links,
}

const ONLY: usize = 0;

impl Linked<ONLY> for Run {
    fn links(&self) -> Links {
        self.of_chain
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.of_chain
    }
}

impl Linked<ONLY> for Chain {
    fn links(&self) -> Links {
        self.of_age
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.of_age
    }
}

impl Attempts {
    pub(super) fn new(seed: Seed) -> Attempts {
        Attempts {
            runs: Slab::new(ATTEMPTS_MAX),
            chains: Slab::new(ATTEMPTS_MAX),
            index: Index::new(seed),
            by_age: List::EMPTY,
        }
    }

    /// Enters one failure of `sender`, an address or the first one of a network. `now` never goes back.
    pub(super) fn note(&mut self, sender: IpAddr, source: Source, failure: &Failure, now: Mono) -> Line {
        let counts = failure.proof > Proof::Claimed;
        let fresh = if counts { Line::Counts } else { Line::Claims };
        let Some(attempt) = failure.attempt else {
            return fresh;
        };
        while !self.by_age.is_empty() && self.chains.at(self.by_age.first).until < now {
            self.forget(self.by_age.first);
        }
        let key = key(sender, attempt);
        let found = self.index.find(key, |id| self.chains.at(id).key);
        let Some(chain) = found.or_else(|| self.begin(key)) else {
            return fresh;
        };
        let within = join_seconds(failure.kind.service);
        self.forget_runs(chain, |began| began.plus_seconds(within) < now);
        let joined = self.join(chain, source, attempt, counts);
        if joined.is_none() {
            let mut reports = Reports::default();
            reports.join(source.stream(attempt.witness), attempt.step);
            let state = State {
                began: now,
                reports,
                counts,
            };
            self.append(chain, state);
        }
        let until = now.plus_seconds(within);
        let last = core::mem::replace(&mut self.chains.at_mut(chain).until, until);
        // Stamps are of whole seconds; what was written in the same one is as old.
        if last != until {
            self.by_age.remove::<ONLY, Chain>(&mut self.chains, chain);
            self.by_age.push::<ONLY, Chain>(&mut self.chains, chain);
        }
        joined.unwrap_or(fresh)
    }

    /// Joins the oldest attempt that the line's stream has not yet reported.
    fn join(&mut self, chain: u32, source: Source, attempt: Attempt, counts: bool) -> Option<Line> {
        let stream = source.stream(attempt.witness);
        let of = self.chains.at(chain);
        if of.closed & stream != 0 {
            return None;
        }
        let mut id = of.runs.first;
        while id != NONE {
            let run = self.runs.at(id);
            if run.state.reports.takes(stream, attempt.step) {
                let (before, mut state) = (run.state.counts, run.state);
                state.reports.join(stream, attempt.step);
                state.counts |= counts;
                self.change_oldest(chain, id, state);
                return Some(match (before, counts) {
                    (true, _) => Line::Repeats,
                    (false, true) => Line::Counts,
                    (false, false) => Line::Claims,
                });
            }
            id = run.of_chain.next;
        }
        None
    }

    /// Gives the oldest attempt of a run another state.
    fn change_oldest(&mut self, chain: u32, id: u32, state: State) {
        let run = *self.runs.at(id);
        let before = run.of_chain.previous;
        let runs = &mut self.chains.at_mut(chain).runs;
        if before != NONE && self.runs.at(before).state == state {
            self.runs.at_mut(before).number += 1;
        } else if run.number == 1 {
            self.runs.at_mut(id).state = state;
            return;
        } else if let Some(alone) = self.runs.insert(Run::of_one(state)) {
            runs.insert_before::<ONLY, Run>(&mut self.runs, alone, id);
        } else {
            // No room: the attempt keeps its old state, and one more line of it may count.
            return;
        }
        if run.number == 1 {
            runs.remove::<ONLY, Run>(&mut self.runs, id);
            self.runs.release(id);
        } else {
            self.runs.at_mut(id).number -= 1;
        }
    }

    fn append(&mut self, chain: u32, state: State) {
        self.chains.at_mut(chain).closed &= state.reports.closed();
        let last = self.chains.at(chain).runs.last;
        if last != NONE && self.runs.at(last).state == state {
            self.runs.at_mut(last).number += 1;
            return;
        }
        while self.runs.is_full() && self.by_age.first != chain {
            self.forget(self.by_age.first);
        }
        if let Some(run) = self.runs.insert(Run::of_one(state)) {
            let runs = &mut self.chains.at_mut(chain).runs;
            runs.push::<ONLY, Run>(&mut self.runs, run);
        }
    }

    fn begin(&mut self, key: Key) -> Option<u32> {
        if self.chains.is_full() {
            self.forget(self.by_age.first);
        }
        let chain = self.chains.insert(Chain {
            key,
            runs: List::EMPTY,
            closed: u32::MAX,
            until: Mono(0),
            of_age: Links::NOWHERE,
        })?;
        self.index.insert(key, chain, |id| self.chains.at(id).key);
        self.by_age.push::<ONLY, Chain>(&mut self.chains, chain);
        Some(chain)
    }

    /// Forgets the chain's first runs, as long as `which` says so of the time when they began.
    fn forget_runs(&mut self, chain: u32, which: impl Fn(Mono) -> bool) {
        let runs = &mut self.chains.at_mut(chain).runs;
        while !runs.is_empty() && which(self.runs.at(runs.first).state.began) {
            let first = runs.first;
            runs.remove::<ONLY, Run>(&mut self.runs, first);
            self.runs.release(first);
        }
        if runs.is_empty() {
            self.chains.at_mut(chain).closed = u32::MAX;
        }
    }

    fn forget(&mut self, chain: u32) {
        self.forget_runs(chain, |_| true);
        self.by_age.remove::<ONLY, Chain>(&mut self.chains, chain);
        let key = self.chains.at(chain).key;
        self.index.remove(key, |id| self.chains.at(id).key);
        self.chains.release(chain);
    }
}

impl Run {
    fn of_one(state: State) -> Run {
        Run {
            state,
            number: 1,
            of_chain: Links::NOWHERE,
        }
    }
}

/// Source and id in one number. Both are hashes or nearly so; that two differ and their keys do not is a matter of
/// 2^-64, and costs one line of a report.
fn key(sender: IpAddr, attempt: Attempt) -> Key {
    let id = u128::from(attempt.id);
    Key::of_number(number(sender) ^ (id << 64) ^ u128::from(attempt.id.rotate_left(32)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Class, Kind, Service, Step, Witness};
    use crate::guard::{Guard, JailId, Outcome, Policy, Settings, Trust};

    fn failure(host: u8, id: u64, witness: Witness, step: Step, proof: Proof) -> Failure {
        Failure {
            addr: IpAddr::from([192, 0, 2, host]),
            kind: Kind {
                service: Service::Sip,
                class: Class::Auth,
            },
            proof,
            attempt: Some(Attempt { id, witness, step }),
            at: None,
        }
    }

    fn note(attempts: &mut Attempts, file: u8, failure: &Failure, seconds: u64) -> Line {
        attempts.note(failure.addr, Source(file.into()), failure, Mono(seconds * 1000))
    }

    /// A guard that never bans and forgets nothing within ten seconds.
    fn guard() -> Guard {
        let policy = Policy {
            maxretry: u32::MAX,
            findtime: 1000,
            bantime: None,
            escalation: None,
            recidive: false,
            trust: Trust::default(),
        };
        let settings = Settings {
            ring: 65_536,
            maxbans: 1,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::default(),
            seed: Seed([1, 2]),
        };
        Guard::new(vec![policy], settings)
    }

    #[test]
    fn every_line_is_to_its_attempt_what_it_is_to_the_guard() {
        let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: u64| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            (chance >> 20) % bound
        };
        for round in 0..40 {
            let (mut attempts, mut guard, mut now) = (Attempts::new(Seed([3, 4])), guard(), 100);
            let calm = 1 + below(6);
            for _ in 0..1500 {
                now += u64::from(below(calm * 3) == 0) * below(4);
                let witness = [Witness::Notice, Witness::Security][below(2) as usize];
                let step = [Step::Opening, Step::Closing, Step::Whole][below(3) as usize];
                let proof = [Proof::Claimed, Proof::Blind, Proof::Transport][below(3) as usize];
                let failure = failure(below(2) as u8, below(3), witness, step, proof);
                let file = below(3) as u8;
                let got = note(&mut attempts, file, &failure, now);
                #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else may come")]
                let want = match guard.observe(JailId(0), Source(file.into()), &failure, Mono(now * 1000)) {
                    Outcome::Counted(_) => Line::Counts,
                    Outcome::Joined => Line::Repeats,
                    Outcome::Claimed => Line::Claims,
                    other => panic!("{other:?}"),
                };
                assert_eq!(got, want, "round {round}");
            }
        }
    }

    #[test]
    fn a_thousand_attempts_a_second_are_each_counted_once() {
        let mut attempts = Attempts::new(Seed([3, 4]));
        let notice = failure(1, 7, Witness::Notice, Step::Whole, Proof::Blind);
        let event = failure(1, 7, Witness::Security, Step::Whole, Proof::Claimed);
        for second in 0..60 {
            // Two files whose stamps have no fractions: all of the one, then all of the other.
            for _ in 0..1000 {
                assert_eq!(note(&mut attempts, 0, &notice, second), Line::Counts);
            }
            for _ in 0..1000 {
                assert_eq!(note(&mut attempts, 1, &event, second), Line::Repeats);
            }
        }
        assert!(attempts.runs.len() < 30, "{}", attempts.runs.len());
    }

    #[test]
    fn any_number_of_sources_and_ids_keeps_within_the_bound() {
        let mut attempts = Attempts::new(Seed([3, 4]));
        for id in 0..3 * u64::from(ATTEMPTS_MAX) {
            let failure = failure(1, id, Witness::Notice, Step::Opening, Proof::Blind);
            assert_eq!(note(&mut attempts, 0, &failure, 5), Line::Counts);
        }
        assert_eq!(
            (attempts.chains.len(), attempts.runs.len()),
            (ATTEMPTS_MAX, ATTEMPTS_MAX)
        );
        let late = failure(1, 0, Witness::Notice, Step::Opening, Proof::Blind);
        note(&mut attempts, 0, &late, 500);
        assert_eq!((attempts.chains.len(), attempts.runs.len()), (1, 1));
    }
}
