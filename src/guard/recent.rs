//! A table with a fixed number of rows: what was not touched for longest makes room.
//!
//! A row is *sure* if proven evidence made or touched it. Unsure ones make room first, and sure ones only for sure ones:
//! whoever forges addresses pushes out nothing that was proven.

use super::index::{Index, Key, Seed};
use super::slab::{Linked, Links, List, Slab};

struct Row<T> {
    key: Key,
    value: T,
    sure: bool,
    of_age: Links,
}

const OF_AGE: usize = 0;

impl<T> Linked<OF_AGE> for Row<T> {
    fn links(&self) -> Links {
        self.of_age
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.of_age
    }
}

/// The table.
pub(super) struct Recent<T> {
    rows: Slab<Row<T>>,
    index: Index,
    unsure: List,
    sure: List,
}

impl<T> Recent<T> {
    pub(super) fn new(capacity: u32, seed: Seed) -> Recent<T> {
        Recent {
            rows: Slab::new(capacity),
            index: Index::small(seed),
            unsure: List::EMPTY,
            sure: List::EMPTY,
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.rows.len()
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        Some(&self.rows.at(self.find(key)?).value)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let id = self.find(key)?;
        Some(&mut self.rows.at_mut(id).value)
    }

    /// The value with this key, a `fresh` one if there was none, as the one touched last. `None`: all rows are sure,
    /// and this one would not be.
    pub(super) fn touch(&mut self, key: Key, sure: bool, fresh: impl FnOnce() -> T) -> Option<&mut T> {
        let id = match self.find(key) {
            Some(id) => {
                let was = self.rows.at(id).sure;
                self.list(was).remove_from(id);
                self.rows.at_mut(id).sure = was || sure;
                id
            }
            None => {
                if self.rows.is_full() {
                    let victim = match (self.unsure.is_empty(), sure) {
                        (false, _) => self.unsure.first,
                        (true, true) => self.sure.first,
                        (true, false) => return None,
                    };
                    self.release(victim);
                }
                let row = Row {
                    key,
                    value: fresh(),
                    sure,
                    of_age: Links::NOWHERE,
                };
                let id = self.rows.insert(row)?;
                self.index.insert(key, id, |id| self.rows.at(id).key);
                id
            }
        };
        let sure = self.rows.at(id).sure;
        self.list(sure).push_to(id);
        Some(&mut self.rows.at_mut(id).value)
    }

    /// If all rows are sure: releases the one touched longest ago, should it be over by now. Without this a table that
    /// lives for years ends up full of what was proven once, and takes nothing else.
    pub(super) fn release_if(&mut self, is_over: impl FnOnce(&T) -> bool) {
        let oldest = self.sure.first;
        if self.rows.is_full() && self.unsure.is_empty() && is_over(&self.rows.at(oldest).value) {
            self.release(oldest);
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(id) = self.find(key) {
            self.release(id);
        }
    }

    /// All rows, the one touched longest ago first, the unsure ones before the sure ones; `each` gets key, value, and
    /// whether it is sure.
    pub(super) fn for_each(&self, each: &mut dyn FnMut(Key, &T, bool)) {
        for list in [self.unsure, self.sure] {
            let mut id = list.first;
            while id != super::slab::NONE {
                let row = self.rows.at(id);
                each(row.key, &row.value, row.sure);
                id = row.of_age.next;
            }
        }
    }

    fn find(&self, key: Key) -> Option<u32> {
        self.index.find(key, |id| self.rows.at(id).key)
    }

    fn release(&mut self, id: u32) {
        let (key, sure) = (self.rows.at(id).key, self.rows.at(id).sure);
        self.list(sure).remove_from(id);
        self.index.remove(key, |id| self.rows.at(id).key);
        self.rows.release(id);
    }

    fn list(&mut self, sure: bool) -> InList<'_, T> {
        let list = if sure { &mut self.sure } else { &mut self.unsure };
        InList {
            list,
            rows: &mut self.rows,
        }
    }
}

/// A list and the rows that it goes through.
struct InList<'t, T> {
    list: &'t mut List,
    rows: &'t mut Slab<Row<T>>,
}

impl<T> InList<'_, T> {
    fn push_to(self, id: u32) {
        self.list.push::<OF_AGE, Row<T>>(self.rows, id);
    }

    fn remove_from(self, id: u32) {
        self.list.remove::<OF_AGE, Row<T>>(self.rows, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u128) -> Key {
        Key::of_number(number)
    }

    /// Touches rows as (number, sure) in a table of three, and says which are there.
    #[track_caller]
    fn check(touched: &[(u128, bool)], want: &[u128]) {
        let mut table = Recent::new(3, Seed([1, 2]));
        for &(number, sure) in touched {
            table.touch(key(number), sure, || number);
        }
        let mut found = Vec::new();
        table.for_each(&mut |_, &number, _| found.push(number));
        found.sort_unstable();
        assert_eq!(found, want, "{touched:?}");
        assert_eq!(table.len() as usize, want.len());
        assert!(want.iter().all(|&number| table.get(key(number)) == Some(&number)));
    }

    #[test]
    fn what_was_touched_longest_ago_makes_room_and_the_sure_never_for_the_unsure() {
        let (sure, unsure) = (true, false);
        check(
            &[(1, unsure), (2, unsure), (3, unsure), (1, unsure), (4, unsure)],
            &[1, 3, 4],
        );
        check(&[(1, sure), (2, unsure), (3, unsure), (4, unsure)], &[1, 3, 4]);
        check(&[(1, sure), (2, sure), (3, sure), (4, unsure)], &[1, 2, 3]);
        check(&[(1, sure), (2, sure), (3, sure), (4, sure)], &[2, 3, 4]);
        check(
            &[
                (1, unsure),
                (1, sure),
                (2, unsure),
                (3, unsure),
                (4, unsure),
                (5, unsure),
            ],
            &[1, 4, 5],
        );
        // Once proven, always: a later forged line makes it no less so.
        check(
            &[(1, sure), (1, unsure), (2, sure), (3, sure), (4, unsure)],
            &[1, 2, 3],
        );
    }

    #[test]
    fn what_is_removed_is_gone() {
        let mut table = Recent::new(2, Seed([1, 2]));
        table.touch(key(1), true, || 1);
        table.touch(key(2), false, || 2);
        table.remove(key(1));
        table.remove(key(9));
        assert_eq!((table.get(key(1)), table.len()), (None, 1));
        *table.get_mut(key(2)).unwrap() = 5;
        assert_eq!(table.get(key(2)), Some(&5));
    }
}
