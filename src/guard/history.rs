//! How often who was banned before: what outlasts a ban, so that the next one can be longer.
//!
//! At most [`HISTORY_MAX`] sources; those whose bans ended first go first.

use ipnet::IpNet;

use super::deadlines::{Deadlines, Due};
use super::effect::JailId;
use super::index::{Index, Key, Seed};
use super::slab::{NONE, Slab};
use crate::limits::HISTORY_MAX;
use crate::time::Mono;

/// The bans of a source that are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Who was banned.
    pub net: IpNet,
    /// By which jail.
    pub jail: JailId,
    /// How many bans there were.
    pub bans: u32,
    /// When the last of them ended: milliseconds of the boot clock, negative before the boot.
    pub ended: i64,
}

struct Row {
    past: Past,
    place: u32,
}

impl Row {
    fn key(&self) -> Key {
        Key::new(self.past.net, self.past.jail)
    }
}

impl Due for Row {
    /// The heap counts from the beginning of all times.
    fn due(&self) -> Mono {
        Mono(self.past.ended.abs_diff(i64::MIN))
    }
    fn place(&self) -> u32 {
        self.place
    }
    fn set_place(&mut self, place: u32) {
        self.place = place;
    }
}

/// All sources that were banned, and are remembered.
pub struct History {
    rows: Slab<Row>,
    index: Index,
    by_end: Deadlines,
}

impl History {
    /// Nobody was banned before.
    #[must_use]
    pub fn new(seed: Seed) -> History {
        History {
            rows: Slab::new(HISTORY_MAX),
            index: Index::new(seed),
            by_end: Deadlines::new(0),
        }
    }

    /// A ban ended. `past.bans` counts it, too. What came before in any order is kept if it ended later.
    pub fn ended(&mut self, past: Past) {
        let known = self.find(past.net, past.jail);
        let past = match known.map(|id| self.rows.at(id).past) {
            None => past,
            Some(known) => Past {
                bans: past.bans.max(known.bans),
                ended: past.ended.max(known.ended),
                ..past
            },
        };
        self.forget(past.net, past.jail);
        if self.rows.is_full() {
            self.forget_first();
        }
        if let Some(id) = self.rows.insert(Row { past, place: NONE }) {
            self.index
                .insert(Key::new(past.net, past.jail), id, |id| self.rows.at(id).key());
            self.by_end.insert(&mut self.rows, id);
        }
    }

    /// How many bans of this source are over.
    #[must_use]
    pub fn earlier(&self, net: IpNet, jail: JailId) -> u32 {
        self.find(net, jail).map_or(0, |id| self.rows.at(id).past.bans)
    }

    /// Somebody is forgiven.
    pub fn forget(&mut self, net: IpNet, jail: JailId) {
        if let Some(id) = self.find(net, jail) {
            self.remove(id);
        }
    }

    /// Forgets what ended more than so many seconds ago. Whether it is time for that, the store knows.
    pub fn purge(&mut self, now: Mono, age_s: u64) {
        let age = i64::try_from(age_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        let limit = i64::try_from(now.0).unwrap_or(i64::MAX).saturating_sub(age);
        while self
            .by_end
            .first()
            .is_some_and(|id| self.rows.at(id).past.ended < limit)
        {
            self.forget_first();
        }
    }

    /// The wall clock was set: what ended before this boot did so earlier (negative: later) by so many milliseconds.
    pub fn correct(&mut self, older_by: i64) {
        for id in 0..self.rows.ever_used() {
            let row = self.rows.at(id);
            if row.place != NONE && row.past.ended < 0 {
                let mut past = row.past;
                past.ended = past.ended.saturating_sub(older_by).min(-1);
                self.remove(id);
                self.ended(past);
            }
        }
    }

    /// The first source at this place or behind it, and the place behind that. Places stay while others come and go.
    #[must_use]
    pub fn at_or_after(&self, place: u32) -> Option<(u32, Past)> {
        let here = |id: &u32| self.rows.at(*id).place != NONE;
        let id = (place..self.rows.ever_used()).find(here)?;
        Some((id + 1, self.rows.at(id).past))
    }

    /// Sources that are remembered.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.rows.len()
    }

    /// Whether nobody is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, net: IpNet, jail: JailId) -> Option<u32> {
        self.index.find(Key::new(net, jail), |id| self.rows.at(id).key())
    }

    fn forget_first(&mut self) {
        if let Some(id) = self.by_end.first() {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u32) {
        let key = self.rows.at(id).key();
        self.by_end.remove(&mut self.rows, id);
        self.index.remove(key, |id| self.rows.at(id).key());
        self.rows.release(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(number: u32, bans: u32, ended: i64) -> Past {
        let net = IpNet::from(core::net::IpAddr::from(number.to_be_bytes()));
        let jail = JailId(0);
        Past {
            net,
            jail,
            bans,
            ended,
        }
    }

    fn history(all: impl IntoIterator<Item = Past>) -> History {
        let mut history = History::new(Seed([1, 2]));
        all.into_iter().for_each(|past| history.ended(past));
        history
    }

    #[track_caller]
    fn check(history: &History, number: u32, bans: u32) {
        let Past { net, jail, .. } = past(number, 0, 0);
        assert_eq!(history.earlier(net, jail), bans, "{net}");
    }

    #[test]
    fn earlier_bans_are_counted_for_each_source_and_jail() {
        let mut history = history([past(1, 1, 10), past(2, 1, 20), past(1, 2, 30)]);
        check(&history, 1, 2);
        check(&history, 2, 1);
        check(&history, 3, 0);
        assert_eq!(history.earlier(past(1, 0, 0).net, JailId(1)), 0);
        history.forget(past(1, 0, 0).net, JailId(0));
        check(&history, 1, 0);
        assert_eq!(history.len(), 1);
        // What the file tells late is no younger for it.
        history.ended(past(2, 1, 5));
        history.purge(Mono(20_000), 19);
        assert_eq!(history.len(), 0);
    }

    #[test]
    fn what_ended_first_goes_first() {
        let end = |number: u32| i64::from(number.wrapping_mul(2_654_435_761) >> 1) - (1 << 30);
        let numbers = 0..HISTORY_MAX + 100;
        let history = history(numbers.clone().map(|number| past(number, 1, end(number))));
        assert_eq!(history.len(), HISTORY_MAX);
        let mut ends: Vec<i64> = numbers.clone().map(end).collect();
        ends.sort_unstable();
        // The last hundred push out the earliest of all that were there; no other is gone.
        let gone = numbers
            .clone()
            .filter(|&number| history.earlier(past(number, 0, 0).net, JailId(0)) == 0);
        let latest_gone = gone.clone().map(end).max().unwrap();
        assert_eq!(gone.count(), 100);
        assert!(latest_gone <= ends[199]);
    }

    #[test]
    fn places_stay_while_others_come_and_go() {
        let mut history = history((0..1_000).map(|number| past(number, 1, i64::from(number))));
        let (mut place, mut seen) = (0, Vec::new());
        while let Some((next, found)) = history.at_or_after(place) {
            place = next;
            seen.push(found.net);
            history.forget(past(place * 7 % 1_000, 0, 0).net, JailId(0));
            history.ended(past(5_000 + place, 1, 0));
        }
        for number in 0..1_000 {
            let Past { net, jail, .. } = past(number, 0, 0);
            assert!(seen.contains(&net) || history.earlier(net, jail) == 0, "{net}");
        }
    }

    #[test]
    fn what_is_older_than_the_age_is_forgotten_also_from_before_the_boot() {
        let mut history = history([past(1, 1, -90_000), past(2, 1, -10_000), past(3, 1, 5_000)]);
        history.purge(Mono(10_000), 60);
        assert_eq!(
            [1, 2, 3].map(|number| history.earlier(past(number, 0, 0).net, JailId(0))),
            [0, 1, 1]
        );
        history.correct(100_000);
        history.purge(Mono(10_000), 60);
        assert_eq!(
            [1, 2, 3].map(|number| history.earlier(past(number, 0, 0).net, JailId(0))),
            [0, 0, 1]
        );
    }
}
