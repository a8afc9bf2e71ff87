//! Who tried how often, in a table of fixed size.
//!
//! Up to [`SOURCES_MAX`] sources all numbers are exact. When one more comes, the half with the fewest attempts is let
//! go; from then on a number may lack at most as many attempts as the largest one let go had, which
//! [`Sources::missing_max`] adds up (Manku and Motwani's "lossy counting", 2002, with the table as its bucket).

use core::cmp::Reverse;
use core::net::IpAddr;

use crate::filter::Proof;
use crate::guard::{Index, Key, Seed, number};
use crate::limits::SOURCES_MAX;
use crate::time::Wall;

/// What one address did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) addr: IpAddr,
    /// Attempts that counted.
    pub(super) attempts: u64,
    /// Lines.
    pub(super) lines: u64,
    /// The stamps of the first and the last line, as far as they could be read.
    pub(super) first: Option<Wall>,
    pub(super) last: Option<Wall>,
    /// The surest proof among its lines.
    pub(super) proof: Proof,
}

/// The table.
pub(super) struct Sources {
    origins: Vec<Origin>,
    index: Index,
    seed: Seed,
    missing_max: u64,
}

impl Sources {
    pub(super) fn new(seed: Seed) -> Sources {
        Sources {
            origins: Vec::new(),
            index: Index::new(seed),
            seed,
            missing_max: 0,
        }
    }

    /// Enters one line.
    pub(super) fn note(&mut self, addr: IpAddr, counts: bool, proof: Proof, at: Option<Wall>) {
        let found = self.index.find(key(addr), |id| key_of(&self.origins, id));
        let id = match found {
            Some(id) => id as usize,
            None => self.enter(addr),
        };
        let Some(origin) = self.origins.get_mut(id) else {
            return;
        };
        origin.attempts += u64::from(counts);
        origin.lines += 1;
        origin.first = origin.first.or(at);
        origin.last = at.or(origin.last);
        origin.proof = origin.proof.max(proof);
    }

    fn enter(&mut self, addr: IpAddr) -> usize {
        if self.origins.len() == SOURCES_MAX {
            self.let_go();
        }
        let id = self.origins.len();
        self.origins.push(Origin {
            addr,
            attempts: 0,
            lines: 0,
            first: None,
            last: None,
            proof: Proof::Claimed,
        });
        let origins = &self.origins;
        self.index.insert(key(addr), id as u32, |id| key_of(origins, id));
        id
    }

    fn let_go(&mut self) {
        let kept = SOURCES_MAX / 2;
        // Not select_nth_unstable: where std is built for size, its time is quadratic when many keys are equal.
        self.origins.sort_unstable_by_key(rank);
        let most = self.origins.get(kept).map_or(0, |origin| origin.attempts);
        self.missing_max += most;
        self.origins.truncate(kept);
        self.index = Index::new(self.seed);
        for (id, origin) in self.origins.iter().enumerate() {
            let origins = &self.origins;
            self.index
                .insert(key(origin.addr), id as u32, |id| key_of(origins, id));
        }
    }

    /// Sources in the table.
    pub(super) fn len(&self) -> usize {
        self.origins.len()
    }

    /// So many attempts may be missing from a source at most; 0: all numbers are exact, and nobody is left out.
    pub(super) fn missing_max(&self) -> u64 {
        self.missing_max
    }

    /// Those who tried most often, in order.
    pub(super) fn busiest(&self, count: usize) -> Vec<Origin> {
        let mut all: Vec<Origin> = self.origins.clone();
        all.sort_unstable_by_key(rank);
        all.truncate(count);
        all
    }
}

/// The busiest first, and a fixed order among those that are equally busy.
fn rank(origin: &Origin) -> (Reverse<(u64, u64)>, u128) {
    (Reverse((origin.attempts, origin.lines)), number(origin.addr))
}

fn key(addr: IpAddr) -> Key {
    Key::of_number(number(addr))
}

fn key_of(origins: &[Origin], id: u32) -> Key {
    origins.get(id as usize).map_or(NOBODY, |origin| key(origin.addr))
}

/// A key that no sender has: the last address of all is multicast.
const NOBODY: Key = Key::of_number(u128::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn the_busiest_are_exact_and_in_order_while_all_fit() {
        let mut sources = Sources::new(Seed([1, 2]));
        for number in 1..=20_u32 {
            for attempt in 0..number {
                let at = Some(Wall(i64::from(number * 100 + attempt)));
                sources.note(address(number), attempt % 2 == 0, Proof::Blind, at);
            }
        }
        sources.note(address(20), false, Proof::Transport, None);
        let busiest = sources.busiest(3);
        let seen: Vec<_> = busiest
            .iter()
            .map(|origin| {
                (
                    origin.addr,
                    origin.attempts,
                    origin.lines,
                    origin.first,
                    origin.last,
                )
            })
            .collect();
        let want = |number: u32, attempts, lines| {
            let first = i64::from(number) * 100;
            let last = first + i64::from(number) - 1;
            (
                address(number),
                attempts,
                lines,
                Some(Wall(first)),
                Some(Wall(last)),
            )
        };
        assert_eq!(seen, [want(20, 10, 21), want(19, 10, 19), want(18, 9, 18)]);
        assert_eq!(busiest.first().map(|origin| origin.proof), Some(Proof::Transport));
        assert_eq!((sources.missing_max(), sources.len()), (0, 20));
    }

    #[test]
    fn beyond_the_bound_the_busiest_are_still_known_within_the_stated_error() {
        let mut sources = Sources::new(Seed([1, 2]));
        let mut heavy = 0;
        for number in 0..5 * SOURCES_MAX as u32 {
            sources.note(address(number + 1000), true, Proof::Blind, None);
            if number % 100 == 0 {
                sources.note(address(7), true, Proof::Blind, None);
                heavy += 1;
            }
        }
        let busiest = sources.busiest(1);
        let first = busiest.first().unwrap();
        assert_eq!(first.addr, address(7));
        assert!(first.attempts <= heavy && first.attempts + sources.missing_max() >= heavy);
        assert!(sources.missing_max() > 0 && sources.len() <= SOURCES_MAX);
    }
}
