//! Storage with a fixed capacity: entries are named by a number, and the numbers are used again.

/// "No entry", in places that hold an entry's number.
pub(crate) const NONE: u32 = u32::MAX;

/// At most `capacity` entries. Memory is reserved at once and touched only as far as it was ever needed.
pub(crate) struct Slab<T> {
    entries: Vec<T>,
    free: Vec<u32>,
    capacity: u32,
}

impl<T> Slab<T> {
    pub(crate) fn new(capacity: u32) -> Slab<T> {
        assert!(capacity < NONE, "the last number means: no entry");
        Slab {
            entries: Vec::with_capacity(capacity as usize),
            free: Vec::with_capacity(capacity as usize),
            capacity,
        }
    }

    /// Entries in use.
    pub(crate) fn len(&self) -> u32 {
        (self.entries.len() - self.free.len()) as u32
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.capacity
    }

    /// Stores an entry; `None` if the slab is full.
    pub(crate) fn insert(&mut self, entry: T) -> Option<u32> {
        if let Some(id) = self.free.pop() {
            *self.at_mut(id) = entry;
            return Some(id);
        }
        let id = self.entries.len() as u32;
        (id < self.capacity).then(|| {
            self.entries.push(entry);
            id
        })
    }

    /// Gives the number back. The caller has taken it out of every list and index before.
    pub(crate) fn release(&mut self, id: u32) {
        assert!(
            (id as usize) < self.entries.len(),
            "only a stored entry is released"
        );
        self.free.push(id);
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a number that this slab did not give out is our bug"
    )]
    pub(crate) fn at(&self, id: u32) -> &T {
        &self.entries[id as usize]
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "a number that this slab did not give out is our bug"
    )]
    pub(crate) fn at_mut(&mut self, id: u32) -> &mut T {
        &mut self.entries[id as usize]
    }

    /// The entry with this number, in use or not; `None` if there never was one.
    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        self.entries.get(id as usize)
    }

    /// How many numbers were ever given out: the numbers are below this.
    pub(crate) fn ever_used(&self) -> u32 {
        self.entries.len() as u32
    }
}

/// The neighbours of an entry in a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    pub(crate) previous: u32,
    pub(crate) next: u32,
}

impl Links {
    pub(crate) const NOWHERE: Links = Links {
        previous: NONE,
        next: NONE,
    };
}

/// A doubly linked list through the entries of a slab.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// An entry that can stand in a list; `WHICH` tells the lists of one entry apart.
pub(crate) trait Linked<const WHICH: usize> {
    fn links(&self) -> Links;
    fn links_mut(&mut self) -> &mut Links;
}

impl List {
    pub(crate) const EMPTY: List = List {
        first: NONE,
        last: NONE,
    };

    pub(crate) fn is_empty(self) -> bool {
        self.first == NONE
    }

    /// Puts an entry at the end.
    pub(crate) fn push<const WHICH: usize, T: Linked<WHICH>>(&mut self, slab: &mut Slab<T>, id: u32) {
        *slab.at_mut(id).links_mut() = Links {
            previous: self.last,
            next: NONE,
        };
        if self.last == NONE {
            self.first = id;
        } else {
            slab.at_mut(self.last).links_mut().next = id;
        }
        self.last = id;
    }

    /// Takes an entry out, wherever it stands.
    pub(crate) fn remove<const WHICH: usize, T: Linked<WHICH>>(&mut self, slab: &mut Slab<T>, id: u32) {
        let Links { previous, next } = slab.at(id).links();
        if previous == NONE {
            self.first = next;
        } else {
            slab.at_mut(previous).links_mut().next = next;
        }
        if next == NONE {
            self.last = previous;
        } else {
            slab.at_mut(next).links_mut().previous = previous;
        }
        *slab.at_mut(id).links_mut() = Links::NOWHERE;
    }
}
