//! Finding an entry by its key in constant time: a hash table of entry numbers.

use core::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::JailId;
use super::failures::number;
use crate::addr;
use crate::limits::{MAXBANS_MAX, RING_MAX};

/// A source in one jail: what failures are counted by and bans are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The address or the lowest address of the network; IPv4 as `::ffff:a.b.c.d`.
    source: u128,
    /// The network's length: an address may be the lowest of its network, and both may be banned.
    bits: u8,
    jail: JailId,
}

impl Key {
    pub(crate) fn new(net: IpNet, jail: JailId) -> Key {
        Key {
            source: number(net.addr()),
            bits: net.prefix_len(),
            jail,
        }
    }

    /// The network and the jail of a source.
    pub(crate) fn source(&self) -> Option<(IpNet, JailId)> {
        let address = addr::unmap(IpAddr::from(Ipv6Addr::from(self.source)));
        Some((IpNet::new(address, self.bits).ok()?, self.jail))
    }

    /// The jail of a source.
    pub(crate) fn jail(&self) -> JailId {
        self.jail
    }

    /// A key of another kind, which is a number and never equal to one of a source in a jail.
    pub(crate) const fn of_number(number: u128) -> Key {
        Key {
            source: number,
            bits: u8::MAX,
            jail: JailId(0),
        }
    }
}

/// Keys the hash, so that nobody outside can choose addresses that collide.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub [u64; 2]);

impl Seed {
    /// The `number`-th random number: nobody outside can tell it.
    pub(crate) fn draw(self, number: u64) -> u64 {
        u64::from(self.hash(Key::of_number(number.into())))
    }

    /// A number for a network that nobody outside can tell; neighbours have different ones.
    pub(crate) fn name_of(self, net: IpNet) -> u32 {
        let source = number(net.addr());
        let [low, high] = [source as u64, (source >> 64) as u64];
        self.draw(low).wrapping_add(self.draw(high).rotate_left(13)) as u32
    }

    fn hash(self, key: Key) -> u32 {
        let [first, second] = self.0;
        let low = key.source as u64 ^ first;
        let high =
            (key.source >> 64) as u64 ^ second ^ (u64::from(key.jail.0) << 48) ^ (u64::from(key.bits) << 40);
        // Folded multiplication: each bit of the 128-bit product depends on all bits of both factors.
        let product = u128::from(low).wrapping_mul(u128::from(high | 1));
        let folded = (product as u64 ^ (product >> 64) as u64) ^ first.rotate_left(32);
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
    }
}

/// Open addressing with linear probing, never more than seven eighths full. It begins small and doubles: hashes scatter,
/// so that a large table would soon have every page of its memory touched, with a handful of entries.
///
/// A cell has the entry's number and a part of its key's hash: of the many entries that a search passes in a table so
/// full, it looks at one in two thousand but the one that it finds.
pub(crate) struct Index {
    /// 0 is empty. Number n is stored as n + 1 in the lower [`NUMBER_BITS`], below its key's mark.
    cells: Vec<u32>,
    mask: u32,
    entries: u32,
    seed: Seed,
}

const CELLS_MIN: u32 = 1_024;
const CELLS_FEW: u32 = 64;

/// Enough for the largest tables, and what they hold beyond their bound.
const NUMBER_BITS: u32 = 21;
const NUMBERS: u32 = (1 << NUMBER_BITS) - 1;
const _: () = assert!(MAXBANS_MAX + MAXBANS_MAX / 2 < NUMBERS && RING_MAX < NUMBERS);

/// The entry's number in a cell.
fn number_in(cell: u32) -> Option<u32> {
    (cell & NUMBERS).checked_sub(1)
}

/// The part of a hash that stands in a cell.
fn mark(hash: u32) -> u32 {
    hash & !NUMBERS
}

impl Index {
    pub(crate) fn new(seed: Seed) -> Index {
        Index::with_cells(CELLS_MIN, seed)
    }

    /// One that most likely stays small.
    pub(crate) fn small(seed: Seed) -> Index {
        Index::with_cells(CELLS_FEW, seed)
    }

    /// `cells` is a power of two.
    fn with_cells(cells: u32, seed: Seed) -> Index {
        Index {
            cells: vec![0; cells as usize],
            mask: cells - 1,
            entries: 0,
            seed,
        }
    }

    /// The entry with this key; `key_of` tells the key of an entry.
    pub(crate) fn find(&self, key: Key, key_of: impl Fn(u32) -> Key) -> Option<u32> {
        let (_, id) = self.search(key, key_of)?;
        Some(id)
    }

    /// The cell and the number of the entry with this key.
    fn search(&self, key: Key, key_of: impl Fn(u32) -> Key) -> Option<(u32, u32)> {
        let hash = self.seed.hash(key);
        let mut at = hash & self.mask;
        loop {
            let cell = self.cell(at);
            let id = number_in(cell)?;
            if mark(cell) == mark(hash) && key_of(id) == key {
                return Some((at, id));
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Enters an entry. The caller has seen that its key is not there.
    pub(crate) fn insert(&mut self, key: Key, id: u32, key_of: impl Fn(u32) -> Key) {
        assert!(id < NUMBERS, "only a stored entry is indexed");
        self.entries += 1;
        if self.entries > self.mask - self.mask / 8 {
            self.grow(key_of);
        }
        self.place(key, id);
    }

    fn grow(&mut self, key_of: impl Fn(u32) -> Key) {
        let size = (self.mask + 1) * 2;
        let old = core::mem::replace(&mut self.cells, vec![0; size as usize]);
        self.mask = size - 1;
        for id in old.into_iter().filter_map(number_in) {
            self.place(key_of(id), id);
        }
    }

    fn place(&mut self, key: Key, id: u32) {
        let hash = self.seed.hash(key);
        let mut at = hash & self.mask;
        while self.cell(at) != 0 {
            at = (at + 1) & self.mask;
        }
        self.set(at, mark(hash) | (id + 1));
    }

    /// Takes the entry with this key out, and moves up what stood behind it.
    pub(crate) fn remove(&mut self, key: Key, key_of: impl Fn(u32) -> Key) {
        let Some((mut hole, _)) = self.search(key, &key_of) else {
            return;
        };
        self.entries -= 1;
        self.set(hole, 0);
        let mut at = (hole + 1) & self.mask;
        while let Some(id) = number_in(self.cell(at)) {
            let home = self.seed.hash(key_of(id)) & self.mask;
            // It may move into the hole only if its home does not lie between the hole and its place.
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(hole) & self.mask) {
                self.set(hole, self.cell(at));
                self.set(at, 0);
                hole = at;
            }
            at = (at + 1) & self.mask;
        }
    }

    fn cell(&self, at: u32) -> u32 {
        self.cells.get(at as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, at: u32, cell: u32) {
        if let Some(place) = self.cells.get_mut(at as usize) {
            *place = cell;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_until_they_are_removed() {
        // More than the table begins with.
        let keys: Vec<Key> = (0..5_000_u32)
            .map(|n| Key {
                source: u128::from(n / 3),
                bits: 128,
                jail: JailId((n % 3) as u16),
            })
            .collect();
        let key_of = |id: u32| keys[id as usize];
        let mut index = Index::new(Seed([1, 2]));
        let mut inside = vec![false; keys.len()];
        let mut random = 7_u32;
        for _ in 0..200_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = (random >> 8) % 5_000;
            let here = &mut inside[id as usize];
            if *here {
                index.remove(key_of(id), key_of);
            } else {
                index.insert(key_of(id), id, key_of);
            }
            *here = !*here;
            let probe = (random >> 4) % 5_000;
            assert_eq!(
                index.find(key_of(probe), key_of),
                inside[probe as usize].then_some(probe)
            );
        }
    }

    #[test]
    fn a_table_is_well_filled_before_it_grows() {
        let key_of = |id: u32| Key::of_number(u128::from(id) << 7);
        let mut index = Index::new(Seed([5, 6]));
        for id in 0..100_000 {
            index.insert(key_of(id), id, key_of);
        }
        assert_eq!(index.cells.len(), 1 << 17);
        assert!((0..100_000).all(|id| index.find(key_of(id), key_of) == Some(id)));
        let looked_at = core::cell::Cell::new(0);
        let counting = |id: u32| {
            looked_at.set(looked_at.get() + 1);
            key_of(id)
        };
        assert!((100_000..200_000).all(|id| index.find(key_of(id), counting).is_none()));
        // Of the several cells that each of these searches passes.
        assert!(looked_at.get() < 5_000, "{looked_at:?}");
    }

    #[test]
    fn neighbouring_addresses_spread() {
        let seed = Seed([0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321]);
        for shift in [0, 8, 16, 64, 96] {
            let mut buckets = [0_u32; 256];
            for n in 0..25_600_u128 {
                let key = Key {
                    source: 0xffff_0000_0000 + (n << shift),
                    bits: 32,
                    jail: JailId(0),
                };
                buckets[(seed.hash(key) & 255) as usize] += 1;
            }
            assert!(
                buckets.iter().all(|&count| (40..=180).contains(&count)),
                "{shift}: {buckets:?}"
            );
        }
    }
}
