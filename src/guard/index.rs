//! Finding an entry by its key in constant time: a hash table of entry numbers.

use super::JailId;
use super::slab::NONE;

/// A source in one jail: what failures are counted by and bans are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The address or the lowest address of the network; IPv4 as `::ffff:a.b.c.d`.
    pub(crate) source: u128,
    pub(crate) jail: JailId,
}

/// Keys the hash, so that nobody outside can choose addresses that collide.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub [u64; 2]);

impl Seed {
    fn hash(self, key: Key) -> u32 {
        let [first, second] = self.0;
        let low = key.source as u64 ^ first;
        let high = (key.source >> 64) as u64 ^ second ^ (u64::from(key.jail.0) << 48);
        // Folded multiplication: each bit of the 128-bit product depends on all bits of both factors.
        let product = u128::from(low) * u128::from(high | 1);
        let folded = (product as u64 ^ (product >> 64) as u64) ^ first.rotate_left(32);
        let product = u128::from(folded) * 0x9e37_79b9_7f4a_7c15_u128;
        (product >> 32) as u32
    }
}

/// Open addressing with linear probing, never more than half full.
pub(crate) struct Index {
    cells: Vec<u32>,
    mask: u32,
    seed: Seed,
}

impl Index {
    pub(crate) fn new(capacity: u32, seed: Seed) -> Index {
        let size = (capacity.max(1) * 2).next_power_of_two();
        // A zeroed vector costs no memory until it is touched; so "empty" is 0 and number n is stored as n + 1.
        Index {
            cells: vec![0; size as usize],
            mask: size - 1,
            seed,
        }
    }

    /// The entry with this key; `key_of` tells the key of an entry.
    pub(crate) fn find(&self, key: Key, key_of: impl Fn(u32) -> Key) -> Option<u32> {
        let mut at = self.seed.hash(key) & self.mask;
        loop {
            let id = self.cell(at)?;
            if key_of(id) == key {
                return Some(id);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Enters an entry. The caller has seen that its key is not there.
    pub(crate) fn insert(&mut self, key: Key, id: u32) {
        assert!(id != NONE, "only a stored entry is indexed");
        let mut at = self.seed.hash(key) & self.mask;
        while self.cell(at).is_some() {
            at = (at + 1) & self.mask;
        }
        self.set(at, Some(id));
    }

    /// Takes the entry with this key out, and moves up what stood behind it.
    pub(crate) fn remove(&mut self, key: Key, key_of: impl Fn(u32) -> Key) {
        let mut hole = self.seed.hash(key) & self.mask;
        loop {
            match self.cell(hole) {
                None => return,
                Some(id) if key_of(id) == key => break,
                Some(_) => hole = (hole + 1) & self.mask,
            }
        }
        self.set(hole, None);
        let mut at = (hole + 1) & self.mask;
        while let Some(id) = self.cell(at) {
            let home = self.seed.hash(key_of(id)) & self.mask;
            // It may move into the hole only if its home does not lie between the hole and its place.
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(hole) & self.mask) {
                self.set(hole, Some(id));
                self.set(at, None);
                hole = at;
            }
            at = (at + 1) & self.mask;
        }
    }

    fn cell(&self, at: u32) -> Option<u32> {
        match self.cells.get(at as usize) {
            None | Some(0) => None,
            Some(stored) => Some(stored - 1),
        }
    }

    fn set(&mut self, at: u32, id: Option<u32>) {
        if let Some(cell) = self.cells.get_mut(at as usize) {
            *cell = id.map_or(0, |id| id + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_until_they_are_removed() {
        let keys: Vec<Key> = (0..500_u32)
            .map(|n| Key {
                source: u128::from(n / 3),
                jail: JailId((n % 3) as u16),
            })
            .collect();
        let key_of = |id: u32| keys[id as usize];
        let mut index = Index::new(500, Seed([1, 2]));
        let mut inside = vec![false; keys.len()];
        let mut random = 7_u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let id = (random >> 8) % 500;
            let here = &mut inside[id as usize];
            if *here {
                index.remove(key_of(id), key_of);
            } else {
                index.insert(key_of(id), id);
            }
            *here = !*here;
            let probe = (random >> 4) % 500;
            assert_eq!(
                index.find(key_of(probe), key_of),
                inside[probe as usize].then_some(probe)
            );
        }
    }

    #[test]
    fn neighbouring_addresses_spread() {
        let seed = Seed([0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321]);
        for shift in [0, 8, 16, 64, 96] {
            let mut buckets = [0_u32; 256];
            for n in 0..25_600_u128 {
                let key = Key {
                    source: 0xffff_0000_0000 + (n << shift),
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
