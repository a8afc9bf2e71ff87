//! Which ban is due next: a binary heap of entry numbers that knows where each entry stands, so that an entry
//! can be taken out or moved in logarithmic time.

use super::slab::{NONE, Slab};
use crate::time::Mono;

/// An entry that has a time and remembers its place in the heap ([`NONE`]: it stands in none).
pub(crate) trait Due {
    fn due(&self) -> Mono;
    fn place(&self) -> u32;
    fn set_place(&mut self, place: u32);
}

/// The heap; the entries are in a slab of the caller's.
pub(crate) struct Deadlines {
    heap: Vec<u32>,
}

impl Deadlines {
    pub(crate) fn new(capacity: u32) -> Deadlines {
        Deadlines {
            heap: Vec::with_capacity(capacity as usize),
        }
    }

    /// The entry that is due first.
    pub(crate) fn first(&self) -> Option<u32> {
        self.heap.first().copied()
    }

    /// Enters an entry that is in no place yet.
    pub(crate) fn insert<T: Due>(&mut self, slab: &mut Slab<T>, id: u32) {
        assert!(slab.at(id).place() == NONE, "an entry stands in the heap once");
        self.heap.push(id);
        slab.at_mut(id).set_place(self.heap.len() as u32 - 1);
        self.rise(slab, self.heap.len() - 1);
    }

    /// Takes an entry out, if it is in.
    pub(crate) fn remove<T: Due>(&mut self, slab: &mut Slab<T>, id: u32) {
        let place = slab.at(id).place();
        if place == NONE {
            return;
        }
        slab.at_mut(id).set_place(NONE);
        let Some(last) = self.heap.pop() else { return };
        if last == id {
            return;
        }
        let place = place as usize;
        self.put(slab, place, last);
        self.rise(slab, place);
        self.sink(slab, slab.at(last).place() as usize);
    }

    fn due<T: Due>(&self, slab: &Slab<T>, place: usize) -> Option<Mono> {
        self.heap.get(place).map(|&id| slab.at(id).due())
    }

    fn put<T: Due>(&mut self, slab: &mut Slab<T>, place: usize, id: u32) {
        if let Some(cell) = self.heap.get_mut(place) {
            *cell = id;
            slab.at_mut(id).set_place(place as u32);
        }
    }

    fn swap<T: Due>(&mut self, slab: &mut Slab<T>, one: usize, other: usize) {
        if let (Some(&first), Some(&second)) = (self.heap.get(one), self.heap.get(other)) {
            self.put(slab, one, second);
            self.put(slab, other, first);
        }
    }

    fn rise<T: Due>(&mut self, slab: &mut Slab<T>, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.due(slab, parent) <= self.due(slab, place) {
                return;
            }
            self.swap(slab, parent, place);
            place = parent;
        }
    }

    fn sink<T: Due>(&mut self, slab: &mut Slab<T>, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let Some(left_due) = self.due(slab, left) else {
                return;
            };
            let child = match self.due(slab, right) {
                Some(right_due) if right_due < left_due => right,
                Some(_) | None => left,
            };
            if self.due(slab, place) <= self.due(slab, child) {
                return;
            }
            self.swap(slab, place, child);
            place = child;
        }
    }
}
