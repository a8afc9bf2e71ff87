//! Who was banned before, and how often: what `bantime.increment` goes by.

use super::JailId;
use super::index::{Index, Key, Seed};
use super::slab::{Linked, Links, List, NONE, Slab};
use crate::limits::HISTORY_MAX;
use crate::time::Mono;

/// One source in one jail.
#[derive(Clone, Copy, Debug)]
struct Past {
    key: Key,
    /// Bans, the latest among them.
    bans: u32,
    /// When the latest one ends, or ended.
    until: Mono,
    of_age: Links,
}

const OF_AGE: usize = 0;

impl Linked<OF_AGE> for Past {
    fn links(&self) -> Links {
        self.of_age
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.of_age
    }
}

/// At most [`HISTORY_MAX`] sources; the one that was banned longest ago is forgotten first.
pub(super) struct History {
    past: Slab<Past>,
    index: Index,
    by_age: List,
    /// `dbpurgeage`, in seconds; `None` is for ever.
    purge_age: Option<u64>,
    /// Then half of the bans before are forgotten, not all: again and again.
    halves: bool,
}

impl History {
    /// `kept` is false if nobody asks: then it remembers nothing.
    pub(super) fn new(kept: bool, purge_age: Option<u64>, seed: Seed) -> History {
        History {
            past: Slab::new(if kept { HISTORY_MAX } else { 0 }),
            index: Index::new(seed),
            by_age: List::EMPTY,
            purge_age,
            halves: false,
        }
    }

    /// The same, forgetting slowly or not.
    pub(super) fn halving(self, halves: bool) -> History {
        History { halves, ..self }
    }

    /// How often a source was banned before.
    pub(super) fn bans(&self, key: Key, now: Mono) -> u32 {
        let past = self.find(key).map(|id| self.past.at(id));
        past.map_or(0, |past| self.left_of(past, now))
    }

    /// Notes that a source has been banned so many times, the last time until then.
    pub(super) fn note(&mut self, key: Key, bans: u32, until: Option<Mono>) {
        let until = until.unwrap_or(Mono(u64::MAX));
        if let Some(id) = self.find(key) {
            let past = self.past.at_mut(id);
            (past.bans, past.until) = (bans, until);
            self.by_age.remove::<OF_AGE, Past>(&mut self.past, id);
            self.by_age.push::<OF_AGE, Past>(&mut self.past, id);
            return;
        }
        if self.past.is_full() && !self.by_age.is_empty() {
            self.forget(self.by_age.first);
        }
        let past = Past {
            key,
            bans,
            until,
            of_age: Links::NOWHERE,
        };
        if let Some(id) = self.past.insert(past) {
            self.index.insert(key, id, |id| self.past.at(id).key);
            self.by_age.push::<OF_AGE, Past>(&mut self.past, id);
        }
    }

    /// The next source with a number of at least `from`, and the number to go on with: who, bans, until.
    pub(super) fn from(&self, mut from: u32) -> Option<(u32, (Key, u32, Mono))> {
        loop {
            let past = self.past.get(from)?;
            from += 1;
            if self.find(past.key) == Some(from - 1) {
                return Some((from, (past.key, past.bans, past.until)));
            }
        }
    }

    /// The latest ban of a source ends, or ended, at another time than was said.
    pub(super) fn ends(&mut self, key: Key, until: Mono) {
        if let Some(id) = self.find(key) {
            self.past.at_mut(id).until = until;
        }
    }

    /// Forgives a source.
    pub(super) fn forgive(&mut self, key: Key) {
        if let Some(id) = self.find(key) {
            self.forget(id);
        }
    }

    /// A source in every one of so many jails.
    pub(super) fn over_all(&self, key: impl Fn(JailId) -> Key, jails: usize, now: Mono) -> u32 {
        let counts = (0..jails).map(|jail| self.bans(key(JailId(jail as u16)), now));
        counts.fold(0, u32::saturating_add)
    }

    /// Takes over what another one knows; `jail` says what became of a jail.
    pub(super) fn inherit(&mut self, old: &History, jail: impl Fn(JailId) -> Option<JailId>) {
        let mut id = old.by_age.first;
        while id != NONE {
            let past = old.past.at(id);
            if let Some((net, jail)) = past.key.source().and_then(|(net, old)| Some((net, jail(old)?))) {
                self.note(Key::new(net, jail), past.bans, Some(past.until));
            }
            id = past.of_age.next;
        }
    }

    /// How many of a source's bans count by now.
    fn left_of(&self, past: &Past, now: Mono) -> u32 {
        let Some(age) = self.purge_age else {
            return past.bans;
        };
        if past.until.plus_seconds(age) >= now {
            return past.bans;
        }
        if !self.halves {
            return 0;
        }
        let ages = now.millis_since(past.until) / age.max(1).saturating_mul(1000);
        past.bans
            .checked_shr(u32::try_from(ages).unwrap_or(u32::MAX))
            .unwrap_or(0)
    }

    fn find(&self, key: Key) -> Option<u32> {
        self.index.find(key, |id| self.past.at(id).key)
    }

    fn forget(&mut self, id: u32) {
        let key = self.past.at(id).key;
        self.by_age.remove::<OF_AGE, Past>(&mut self.past, id);
        self.index.remove(key, |id| self.past.at(id).key);
        self.past.release(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32, jail: u16) -> Key {
        Key::new(core::net::IpAddr::from(number.to_be_bytes()).into(), JailId(jail))
    }

    #[test]
    fn half_of_them_are_forgotten_at_a_time() {
        let mut history = History::new(true, Some(100), Seed([1, 2])).halving(true);
        history.note(key(1, 0), 5, Some(Mono(50_000)));
        let at = |seconds| history.bans(key(1, 0), Mono(50_000).plus_seconds(seconds));
        assert_eq!([at(0), at(100), at(101), at(200), at(301)], [5, 5, 2, 1, 0]);
        assert_eq!(at(u64::MAX), 0);
    }

    #[test]
    fn bans_are_counted_until_they_are_long_over() {
        let mut history = History::new(true, Some(100), Seed([1, 2]));
        assert_eq!(history.bans(key(1, 0), Mono(0)), 0);
        history.note(key(1, 0), 1, Some(Mono(50_000)));
        history.note(key(1, 0), 2, Some(Mono(60_000)));
        history.note(key(1, 1), 5, None);
        assert_eq!(history.bans(key(1, 0), Mono(160_000)), 2);
        assert_eq!(history.bans(key(1, 0), Mono(160_001)), 0);
        assert_eq!(history.over_all(|jail| key(1, jail.0), 3, Mono(0)), 7);
        assert_eq!(history.bans(key(1, 1), Mono(u64::MAX)), 5, "for ever");
        let mut history = History::new(true, None, Seed([1, 2]));
        history.note(key(1, 0), 1, Some(Mono(50_000)));
        assert_eq!(history.bans(key(1, 0), Mono(u64::MAX)), 1);
    }

    #[test]
    fn whoever_was_banned_longest_ago_is_forgotten_first() {
        let mut history = History::new(true, None, Seed([1, 2]));
        for number in 0..HISTORY_MAX {
            history.note(key(number, 0), 1, None);
        }
        history.note(key(0, 0), 2, None);
        history.note(key(HISTORY_MAX, 0), 1, None);
        assert_eq!(history.bans(key(0, 0), Mono(0)), 2);
        assert_eq!(history.bans(key(1, 0), Mono(0)), 0);
        assert_eq!(history.bans(key(HISTORY_MAX, 0), Mono(0)), 1);
    }
}
