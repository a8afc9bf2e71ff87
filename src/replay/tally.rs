//! What is counted for the summary.

use core::net::IpAddr;

use ipnet::IpNet;

use super::Banned;
use super::attempts::Line;
use super::sources::Sources;
use crate::filter::{Class, Failure, Kind, Proof, Service, Suspicion};
use crate::guard::{JailId, Seed};
use crate::limits::{JAILS_MAX, REPLAY_BANS_SHOWN};
use crate::time::Wall;

/// All counts.
pub(super) struct Tally {
    /// Lines that are failures.
    pub(super) lines: u64,
    /// Attempts that they came to.
    pub(super) attempts: u64,
    /// Lines of attempts that were counted before.
    pub(super) duplicates: u64,
    pub(super) by_kind: Vec<OfKind>,
    /// Where in `by_kind` a service, class and proof stand, plus one.
    places: [u8; SERVICES * CLASSES * PROOFS],
    pub(super) sources: Sources,
    /// Suspicious lines, by [`Suspicion`].
    pub(super) suspicious: [(Suspicion, u64); 4],
    /// The first bans.
    pub(super) bans: Vec<Shown>,
    /// Bans of each jail.
    pub(super) bans_of: [u64; JAILS_MAX],
}

/// Failures of one kind and proof.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfKind {
    pub(super) kind: Kind,
    pub(super) proof: Proof,
    pub(super) lines: u64,
    pub(super) attempts: u64,
}

/// A ban, as the summary lists it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) jail: JailId,
    pub(super) net: IpNet,
    pub(super) time: Option<Wall>,
    pub(super) failures: u32,
    pub(super) within_s: u64,
    pub(super) last: Kind,
    pub(super) proof: Proof,
}

impl Tally {
    pub(super) fn new(seed: Seed) -> Tally {
        Tally {
            lines: 0,
            attempts: 0,
            duplicates: 0,
            by_kind: Vec::new(),
            places: [0; SERVICES * CLASSES * PROOFS],
            sources: Sources::new(seed),
            suspicious: [
                (Suspicion::Torn, 0),
                (Suspicion::Orphan, 0),
                (Suspicion::Ambiguous, 0),
                (Suspicion::Control, 0),
            ],
            bans: Vec::with_capacity(REPLAY_BANS_SHOWN),
            bans_of: [0; JAILS_MAX],
        }
    }

    pub(super) fn failure(&mut self, failure: &Failure, line: Line, time: Option<Wall>) {
        let counts = line == Line::Counts;
        self.lines += 1;
        self.attempts += u64::from(counts);
        self.duplicates += u64::from(line == Line::Repeats);
        let addr: IpAddr = failure.addr;
        self.sources.note(addr, counts, failure.proof, time);
        if let Some(of) = self.of_kind(failure.kind, failure.proof) {
            of.lines += 1;
            of.attempts += u64::from(counts);
        }
    }

    /// The row of a kind and proof, in the order in which they were first seen.
    fn of_kind(&mut self, kind: Kind, proof: Proof) -> Option<&mut OfKind> {
        let kinds = kind.service as usize * CLASSES + kind.class as usize;
        let place = self.places.get_mut(kinds * PROOFS + proof as usize)?;
        if *place == 0 {
            self.by_kind.push(OfKind {
                kind,
                proof,
                lines: 0,
                attempts: 0,
            });
            *place = self.by_kind.len() as u8;
        }
        self.by_kind.get_mut(usize::from(*place) - 1)
    }

    pub(super) fn suspicious(&mut self, suspicion: Suspicion) {
        if let Some((_, count)) = self.suspicious.iter_mut().find(|(why, _)| *why == suspicion) {
            *count += 1;
        }
    }

    pub(super) fn banned(&mut self, jail: JailId, banned: &Banned<'_>) {
        if let Some(count) = self.bans_of.get_mut(usize::from(jail.0)) {
            *count += 1;
        }
        let verdict = &banned.verdict;
        if self.bans.len() < REPLAY_BANS_SHOWN {
            self.bans.push(Shown {
                jail,
                net: verdict.ban.net,
                time: banned.time,
                failures: verdict.why.failures,
                within_s: verdict.ban.since.seconds_since(verdict.why.first),
                last: verdict.why.last,
                proof: verdict.why.proof,
            });
        }
    }
}

/// How many there are of each: 160 rows at most.
const SERVICES: usize = Service::ALL.len();
const CLASSES: usize = Class::ALL.len();
const PROOFS: usize = Proof::Transport as usize + 1;
const _: () = assert!(SERVICES * CLASSES * PROOFS <= u8::MAX as usize);
