//! What a source did over a longer time than the ring keeps attempts: which accounts it tried, and what was asked of it
//! that it never answered.

use super::JailId;
use super::index::{Key, Seed};
use super::recent::Recent;
use super::summary::{Pattern, Summary};
use super::tried::Tried;
use crate::filter::{Failure, Kind, Proof};
use crate::limits::{HASTY_SECONDS, PHONE_PACE_SECONDS, TRACES_MAX};
use crate::time::Mono;

/// Things that happened since an instant. It begins anew when a span is over, so that twice as many as may happen within
/// the span are seen at worst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) since: Mono,
    pub(super) count: u32,
}

impl Count {
    fn new(now: Mono) -> Count {
        Count { since: now, count: 0 }
    }

    /// One more, in a span of so many seconds.
    pub(super) fn add(&mut self, span: u64, now: Mono) -> u32 {
        if now > self.since.plus_seconds(span) {
            *self = Count::new(now);
        }
        self.count = self.count.saturating_add(1);
        self.count
    }

    pub(super) fn one_less(&mut self) {
        self.count = self.count.saturating_sub(1);
    }
}

/// One source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    /// Names that it tried, but for those that have given the right password there.
    pub(super) tried: Tried,
    /// Attempts on them in the long window.
    pub(super) slow: Count,
    /// The surest proof of these.
    pub(super) proof: Proof,
    /// Attempts that a right password does not explain: proven ones, and those on other accounts.
    pub(super) held: Count,
    /// Challenges that nothing followed.
    pub(super) challenges: Count,
    /// When it last failed, and when faster than a phone does.
    pub(super) last: Option<Mono>,
    pub(super) hasty: Option<Mono>,
    /// It was told that this is a phone with a wrong password.
    pub(super) told: Option<Mono>,
    /// When all of this is too old to count.
    over: Mono,
}

impl Trace {
    /// It failed just now. Whether it has kept a phone's pace for a while.
    pub(super) fn is_calm(&mut self, now: Mono) -> bool {
        let recent = |at: Option<Mono>, seconds| at.is_some_and(|at| now < at.plus_seconds(seconds));
        if recent(self.last, PHONE_PACE_SECONDS) {
            self.hasty = Some(now);
        }
        self.last = Some(now);
        !recent(self.hasty, HASTY_SECONDS)
    }

    /// It tried a name that is not its own.
    pub(super) fn note(&mut self, name: u32, proof: Proof, span: u64, now: Mono) {
        self.tried.note(name, now);
        if self.slow.add(span, now) == 1 {
            self.proof = proof;
        }
        self.proof = self.proof.max(proof);
    }

    /// What comes of failures that a right password does not explain.
    pub(super) fn held_summary(&self, failure: &Failure, accounts: u32) -> Summary {
        Summary {
            failures: self.held.count,
            first: self.held.since,
            last: failure.kind,
            alike: true,
            accounts: accounts.max(1),
            pattern: Pattern::Burst,
            proof: failure.proof,
        }
    }

    /// What that comes to in the long window.
    pub(super) fn slow_summary(&self, last: Kind, accounts: u32) -> Summary {
        Summary {
            failures: self.slow.count,
            first: self.slow.since,
            last,
            alike: false,
            accounts,
            pattern: Pattern::Slow,
            proof: self.proof,
        }
    }
}

/// All sources that did something.
pub(super) struct Traces {
    table: Recent<Trace>,
}

impl Traces {
    pub(super) fn new(seed: Seed) -> Traces {
        Traces {
            table: Recent::new(TRACES_MAX, seed),
        }
    }

    /// Sources in the table.
    pub(super) fn len(&self) -> u32 {
        self.table.len()
    }

    /// The trace of a source, a new one if there is none; what is noted in it now counts for so many seconds. `None`:
    /// the table is full of what is proven and still counts.
    pub(super) fn of(&mut self, key: Key, proof: Proof, seconds: u64, now: Mono) -> Option<&mut Trace> {
        self.table.release_if(|trace| trace.over < now);
        let trace = self.table.touch(key, proof.is_proven(), || Trace {
            tried: Tried::NONE,
            slow: Count::new(now),
            proof: Proof::Claimed,
            held: Count::new(now),
            challenges: Count::new(now),
            last: None,
            hasty: None,
            told: None,
            over: now,
        })?;
        trace.over = trace.over.max(now.plus_seconds(seconds.max(HASTY_SECONDS)));
        Some(trace)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Trace> {
        self.table.get_mut(key)
    }

    pub(super) fn forget(&mut self, key: Key) {
        self.table.remove(key);
    }

    /// Takes over those of jails that are still there.
    pub(super) fn inherit(&mut self, old: &Traces, jail: &dyn Fn(JailId) -> Option<JailId>) {
        old.table.for_each(&mut |key, trace, sure| {
            let renamed = key.source().and_then(|(net, of)| Some(Key::new(net, jail(of)?)));
            if let Some(key) = renamed {
                self.table.touch(key, sure, || *trace);
            }
        });
    }
}
