//! Learned good: sources that gave right passwords, and for which accounts.
//!
//! A right password cannot be forged, but one account must not vouch for more than itself: what a source is forgiven is
//! failures of the accounts that succeeded there (`weigh.rs`), and one account makes only so many networks known
//! a day, so that a stolen one does not whitelist a botnet.

use ipnet::IpNet;

use super::JailId;
use super::index::{Key, Seed};
use super::recent::Recent;
use crate::limits::{KNOWN_MAX, KNOWN_SECONDS, VOUCHED_MAX, VOUCHERS_MAX};
use crate::time::Mono;

const DAY_MS: u64 = 86_400_000;

/// Accounts, as a set that may take a few others for its own: 50 of them take one in six, none of a stranger's names
/// can be chosen to be one, because the hash is keyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Names([u64; 4]);

impl Names {
    const NONE: Names = Names([0; 4]);

    fn bit(hash: u64) -> (usize, u64) {
        ((hash >> 6) as usize & 3, 1 << (hash & 63))
    }

    fn add(&mut self, hash: u64) {
        let (word, bit) = Names::bit(hash);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn has(&self, hash: u64) -> bool {
        let (word, bit) = Names::bit(hash);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn or(self, other: Names) -> Names {
        let mut sum = self;
        sum.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, more)| *word |= more);
        sum
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// One source.
#[derive(Clone, Copy, Debug)]
struct Friend {
    /// Accounts that succeeded in this period and in the one before, so that old ones are forgotten.
    now: Names,
    before: Names,
    /// When this period began.
    since: Mono,
    last: Mono,
}

/// How often an account made a network known.
#[derive(Clone, Copy, Debug)]
struct Voucher {
    since: Mono,
    networks: u8,
}

/// All that are known.
pub(super) struct Known {
    friends: Recent<Friend>,
    vouchers: Recent<Voucher>,
    seed: Seed,
}

impl Known {
    pub(super) fn new(seed: Seed) -> Known {
        Known {
            friends: Recent::new(KNOWN_MAX, seed),
            vouchers: Recent::new(VOUCHERS_MAX, seed),
            seed,
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.friends.len()
    }

    /// An account gave its right password from this source. Whether the source is known now.
    pub(super) fn learn(&mut self, key: Key, account: u32, now: Mono) -> bool {
        if !self.is_known(key, now) {
            self.friends.remove(key);
            if !self.vouches(key.jail(), account, now) {
                return false;
            }
        }
        let hash = self.seed.draw(account.into());
        let fresh = || Friend {
            now: Names::NONE,
            before: Names::NONE,
            since: now,
            last: now,
        };
        let Some(friend) = self.friends.touch(key, true, fresh) else {
            return false;
        };
        if now > friend.since.plus_seconds(KNOWN_SECONDS) {
            (friend.before, friend.now, friend.since) = (friend.now, Names::NONE, now);
        }
        friend.now.add(hash);
        friend.last = now;
        true
    }

    pub(super) fn is_known(&self, key: Key, now: Mono) -> bool {
        self.friend(key, now).is_some()
    }

    /// Whether any source within a network is known: goes through all of them, for what is rare.
    pub(super) fn is_any_in(&self, net: IpNet, jail: JailId, now: Mono) -> bool {
        let mut found = false;
        self.friends.for_each(&mut |key, friend, _| {
            let source = key.source().filter(|(_, of)| *of == jail);
            let recent = now <= friend.last.plus_seconds(KNOWN_SECONDS);
            found |= recent && source.is_some_and(|(known, _)| net.contains(&known));
        });
        found
    }

    /// Whether this account gave its right password from this source.
    pub(super) fn has(&self, key: Key, account: u32, now: Mono) -> bool {
        let hash = self.seed.draw(account.into());
        self.friend(key, now)
            .is_some_and(|friend| friend.now.has(hash) || friend.before.has(hash))
    }

    /// How many accounts are known to be of this source; some less if they are many. 0: it is not known.
    pub(super) fn accounts(&self, key: Key, now: Mono) -> u32 {
        self.friend(key, now)
            .map_or(0, |friend| friend.now.or(friend.before).count())
    }

    /// Takes over what another one knows, of jails that are still there.
    pub(super) fn inherit(&mut self, old: &Known, jail: &dyn Fn(JailId) -> Option<JailId>) {
        // The hashes of its accounts are keyed with its seed.
        self.seed = old.seed;
        old.friends.for_each(&mut |key, friend, sure| {
            let renamed = key.source().and_then(|(net, of)| Some(Key::new(net, jail(of)?)));
            if let Some(key) = renamed {
                self.friends.touch(key, sure, || *friend);
            }
        });
        old.vouchers.for_each(&mut |key, voucher, sure| {
            self.vouchers.touch(key, sure, || *voucher);
        });
    }

    fn friend(&self, key: Key, now: Mono) -> Option<&Friend> {
        let friend = self.friends.get(key)?;
        (now <= friend.last.plus_seconds(KNOWN_SECONDS)).then_some(friend)
    }

    fn vouches(&mut self, jail: JailId, account: u32, now: Mono) -> bool {
        let key = Key::of_number(u128::from(account) << 16 | u128::from(jail.0));
        let fresh = || Voucher {
            since: now,
            networks: 0,
        };
        let Some(voucher) = self.vouchers.touch(key, true, fresh) else {
            return false;
        };
        if now.0 >= voucher.since.0.saturating_add(DAY_MS) {
            *voucher = fresh();
        }
        let may = voucher.networks < VOUCHED_MAX;
        voucher.networks += u8::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    fn key(number: u32) -> Key {
        Key::new(IpAddr::from(number.to_be_bytes()).into(), JailId(0))
    }

    fn day(days: u64) -> Mono {
        Mono(days * DAY_MS)
    }

    #[test]
    fn a_source_is_known_for_days_and_so_are_its_accounts() {
        let mut known = Known::new(Seed([1, 2]));
        assert!(known.learn(key(1), 100, day(0)) && known.learn(key(1), 101, day(5)));
        assert_eq!(
            (known.has(key(1), 100, day(5)), known.has(key(1), 999, day(5))),
            (true, false)
        );
        assert_eq!(
            (known.accounts(key(1), day(5)), known.accounts(key(2), day(5))),
            (2, 0)
        );
        assert!(known.is_known(key(1), day(12)) && !known.is_known(key(1), day(13)));
        // Account 100 is of the period before, then of none.
        known.learn(key(1), 101, day(12));
        assert!(known.has(key(1), 100, day(12)));
        known.learn(key(1), 101, day(19));
        known.learn(key(1), 101, day(26));
        assert!(!known.has(key(1), 100, day(26)) && known.has(key(1), 101, day(26)));
    }

    #[test]
    fn one_account_makes_few_networks_known_a_day() {
        let mut known = Known::new(Seed([1, 2]));
        let made = (0..1000)
            .filter(|&number| known.learn(key(number), 100, day(0)))
            .count();
        assert_eq!(
            (made, known.len()),
            (usize::from(VOUCHED_MAX), u32::from(VOUCHED_MAX))
        );
        assert!(known.learn(key(0), 100, day(0)), "it is known already");
        assert!(known.learn(key(5000), 101, day(0)), "another account");
        assert!(known.learn(key(6000), 100, day(1)), "another day");
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_was_heard_of_last() {
        let mut known = Known::new(Seed([1, 2]));
        for number in 0..KNOWN_MAX + 10 {
            known.learn(key(number), number, Mono(u64::from(number)));
        }
        assert_eq!(known.len(), KNOWN_MAX);
        let now = Mono(u64::from(KNOWN_MAX));
        assert!(!known.is_known(key(0), now) && known.is_known(key(KNOWN_MAX + 9), now));
    }

    #[test]
    fn fifty_phones_do_not_make_every_name_known() {
        let mut known = Known::new(Seed([1, 2]));
        (100..150).for_each(|account| _ = known.learn(key(1), account, day(0)));
        let strangers = (1000..2000)
            .filter(|&account| !known.has(key(1), account, day(0)))
            .count();
        assert!(strangers > 700, "{strangers}");
        assert!((100..150).all(|account| known.has(key(1), account, day(0))));
        assert!(known.accounts(key(1), day(0)) > 40);
    }
}
