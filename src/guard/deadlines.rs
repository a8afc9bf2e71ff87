//! Which ban is due next: for every jail a binary heap of entry numbers that knows where each entry stands, so that
//! an entry can be taken out or moved in logarithmic time.

use super::slab::{NONE, Slab};
use crate::time::Mono;

/// An entry that has a time and remembers its place in its heap ([`NONE`]: it stands in none).
pub(crate) trait Due {
    fn due(&self) -> Mono;
    fn place(&self) -> u32;
    fn set_place(&mut self, place: u32);
    /// Which heap it belongs to, a small number that stays.
    fn heap(&self) -> usize;
}

/// All heaps; the entries are in a slab of the caller's. Memory for `capacity` entries is reserved for each heap that
/// is used, and touched only as far as it is needed.
pub(crate) struct Deadlines {
    heaps: Vec<Heap>,
    capacity: u32,
}

impl Deadlines {
    pub(crate) fn new(capacity: u32) -> Deadlines {
        Deadlines {
            heaps: Vec::new(),
            capacity,
        }
    }

    /// The entry that is due first.
    pub(crate) fn first<T: Due>(&self, slab: &Slab<T>) -> Option<u32> {
        let firsts = self.heaps.iter().filter_map(|heap| heap.entries.first().copied());
        firsts.min_by_key(|&id| slab.at(id).due())
    }

    /// The entries of one heap; the one that is due first stands first.
    pub(crate) fn heap(&self, number: usize) -> &[u32] {
        self.heaps.get(number).map_or(&[], |heap| &heap.entries)
    }

    /// Enters an entry that is in no place yet.
    pub(crate) fn insert<T: Due>(&mut self, slab: &mut Slab<T>, id: u32) {
        let number = slab.at(id).heap();
        if self.heaps.len() <= number {
            self.heaps.resize_with(number + 1, Heap::default);
        }
        if let Some(heap) = self.heaps.get_mut(number) {
            if heap.entries.capacity() == 0 {
                heap.entries.reserve_exact(self.capacity as usize);
            }
            heap.insert(slab, id);
        }
    }

    /// Takes an entry out, if it is in.
    pub(crate) fn remove<T: Due>(&mut self, slab: &mut Slab<T>, id: u32) {
        if let Some(heap) = self.heaps.get_mut(slab.at(id).heap()) {
            heap.remove(slab, id);
        }
    }
}

#[derive(Default)]
struct Heap {
    entries: Vec<u32>,
}

impl Heap {
    fn insert<T: Due>(&mut self, slab: &mut Slab<T>, id: u32) {
        assert!(slab.at(id).place() == NONE, "an entry stands in the heap once");
        self.entries.push(id);
        slab.at_mut(id).set_place(self.entries.len() as u32 - 1);
        self.rise(slab, self.entries.len() - 1);
    }

    fn remove<T: Due>(&mut self, slab: &mut Slab<T>, id: u32) {
        let place = slab.at(id).place();
        if place == NONE {
            return;
        }
        slab.at_mut(id).set_place(NONE);
        let Some(last) = self.entries.pop() else { return };
        if last == id {
            return;
        }
        let place = place as usize;
        self.put(slab, place, last);
        self.rise(slab, place);
        self.sink(slab, slab.at(last).place() as usize);
    }

    fn due<T: Due>(&self, slab: &Slab<T>, place: usize) -> Option<Mono> {
        self.entries.get(place).map(|&id| slab.at(id).due())
    }

    fn put<T: Due>(&mut self, slab: &mut Slab<T>, place: usize, id: u32) {
        if let Some(cell) = self.entries.get_mut(place) {
            *cell = id;
            slab.at_mut(id).set_place(place as u32);
        }
    }

    fn swap<T: Due>(&mut self, slab: &mut Slab<T>, one: usize, other: usize) {
        if let (Some(&first), Some(&second)) = (self.entries.get(one), self.entries.get(other)) {
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
