//! What an administrator asks for: bans and unbans by hand, and how a jail stands.

use ipnet::IpNet;

use super::convict::Full;
use super::index::Key;
use super::{Ban, Guard, JailId, Settings, Stats, Tally, Trust};
use crate::addr;
use crate::filter::Proof;
use crate::time::Mono;

/// Why a ban by hand was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBanned {
    /// No remote host has it: loopback, multicast, link-local and the like. Not if forced.
    NeverRemote,
    /// It is, or holds, one of the box's own addresses, gateways or resolvers. Not if forced.
    Own,
    /// It is, or holds, one of the jail's `ignoreip`. Not if forced.
    Ignored,
    /// The kernel's sets hold single addresses, and of IPv6 networks of `ipv6prefix` bits.
    NoSuchSet {
        /// The length of those networks.
        ipv6prefix: u8,
    },
    /// The table is full of bans that this one may not displace.
    TableFull,
    /// There is no such jail.
    NoJail,
}

impl Guard {
    /// Bans a network by hand, or gives the ban that it has a new end. What is never banned (rule R2) is only with
    /// `force`; the next reload lifts that ban. Returns the ban that had to end because the table was full.
    ///
    /// # Errors
    /// Why it cannot be banned.
    pub fn ban(
        &mut self,
        net: IpNet,
        jail: JailId,
        until: Option<Mono>,
        now: Mono,
        force: bool,
    ) -> Result<Option<Ban>, NotBanned> {
        let policy = self.policies.get(usize::from(jail.0)).ok_or(NotBanned::NoJail)?;
        let Settings { ipv6prefix, own, .. } = &self.settings;
        let single = net.prefix_len() == net.max_prefix_len();
        if !single && (net.addr().is_ipv4() || net.prefix_len() != *ipv6prefix) {
            return Err(NotBanned::NoSuchSet {
                ipv6prefix: *ipv6prefix,
            });
        }
        if addr::is_never_remote(net.network()) && !force {
            return Err(NotBanned::NeverRemote);
        }
        if own.overlaps(net) && !force {
            return Err(NotBanned::Own);
        }
        if policy.trust.overlaps(net) && !force {
            return Err(NotBanned::Ignored);
        }
        let ban = Ban {
            net: net.trunc(),
            jail,
            since: now,
            until,
            proof: Proof::Transport,
            by_hand: true,
        };
        let displaced = self.enter(ban).map_err(|Full| NotBanned::TableFull)?;
        self.failures.forget(Key::new(ban.net, jail));
        Ok(displaced)
    }

    /// Ends a ban before its time, and forgives it: it does not make the next one longer. `None` if there is none.
    pub fn unban(&mut self, net: IpNet, jail: JailId) -> Option<Ban> {
        let ban = self.bans.lift(net, jail)?;
        // As the state file tells a restart.
        self.history.forgive(Key::new(net, jail));
        Some(ban)
    }

    /// The network of `ipv6prefix` bits that a single address is counted and banned with, if it is another one.
    #[must_use]
    pub fn network_of(&self, net: IpNet) -> Option<IpNet> {
        let bits = self.settings.ipv6prefix;
        let wider = net.addr().is_ipv6() && net.prefix_len() > bits;
        let network = wider.then(|| IpNet::new(addr::network(net.addr(), bits), bits).ok());
        network.flatten()
    }

    /// Counts a line of a jail's that somebody may have forged.
    pub fn suspect(&mut self, jail: JailId) {
        self.count(jail, |stats| &mut stats.suspicious);
    }

    /// How long bans of a jail last if nothing else is asked for, in seconds; `None` is for ever.
    #[must_use]
    pub fn usual_bantime(&self, jail: JailId) -> Option<u64> {
        let policy = self.policies.get(usize::from(jail.0));
        policy.and_then(|policy| policy.bantime)
    }

    /// How many bans there are in all jails, and how they stand.
    #[must_use]
    pub fn whole_tally(&self) -> Tally {
        self.bans.whole_tally()
    }

    /// How many bans of a jail there are, and how they stand.
    #[must_use]
    pub fn tally(&self, jail: JailId) -> Tally {
        self.bans.tally(jail)
    }

    /// Counters of one jail, since the start.
    #[must_use]
    pub fn jail_stats(&self, jail: JailId) -> Stats {
        self.stats.get(usize::from(jail.0)).copied().unwrap_or_default()
    }

    /// Sources of a jail with an attempt in the ring.
    #[must_use]
    pub fn sources(&self, jail: JailId) -> u32 {
        self.failures.sources(jail)
    }

    /// The ban of a jail that ends first, if one ends at all.
    #[must_use]
    pub fn next_to_end(&self, jail: JailId) -> Option<Ban> {
        self.bans.next_to_end(jail)
    }

    /// The ban of a network in a jail, and whether the kernel is known to have it.
    #[must_use]
    pub fn standing(&self, net: IpNet, jail: JailId) -> Option<(Ban, bool)> {
        self.bans.standing(net, jail)
    }

    /// The ban with this number, and whether the kernel is known to have it. Numbers are below
    /// [`Guard::ban_numbers`], and a ban keeps its own as long as there is no other configuration.
    #[must_use]
    pub fn ban_at(&self, number: u32) -> Option<(Ban, bool)> {
        self.bans.at(number)
    }

    /// The numbers of bans are below this.
    #[must_use]
    pub fn ban_numbers(&self) -> u32 {
        self.bans.numbers()
    }

    /// The box's own addresses, gateways and resolvers.
    #[must_use]
    pub fn own(&self) -> &Trust {
        &self.settings.own
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, Seed, Slot};
    use super::*;

    const JAIL: JailId = JailId(1);

    fn guard(maxbans: u32) -> Guard {
        let policy = |trusted: &str| Policy {
            maxretry: 3,
            findtime: 600,
            bantime: Some(600),
            escalation: None,
            recidive: false,
            reach_by_proof: false,
            bantime_unproven: None,
            evidence: Default::default(),
            trust: Trust::new([trusted.parse().unwrap()]),
        };
        let settings = Settings {
            ring: 64,
            maxbans,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::new([
                "192.0.2.1/32".parse().unwrap(),
                "2001:db8::1/128".parse().unwrap(),
            ]),
            seed: Seed([1, 2]),
        };
        Guard::new(vec![policy("10.0.0.0/8"), policy("198.51.100.0/24")], settings)
    }

    fn ban(guard: &mut Guard, net: &str, until: Option<u64>, force: bool) -> Result<Option<Ban>, NotBanned> {
        guard.ban(net.parse().unwrap(), JAIL, until.map(Mono), Mono(1_000), force)
    }

    #[track_caller]
    fn check(net: &str, want: Result<(), NotBanned>) {
        let mut guard = guard(4);
        assert_eq!(ban(&mut guard, net, None, false).map(|_| ()), want, "{net}");
        let forced = ban(&mut guard, net, None, true).map(|_| ());
        match want {
            Ok(()) | Err(NotBanned::Own | NotBanned::Ignored | NotBanned::NeverRemote) => {
                assert_eq!(forced, Ok(()), "{net} with force");
            }
            Err(_) => assert_eq!(forced, want, "{net} with force"),
        }
    }

    #[test]
    fn what_is_never_banned_needs_force() {
        check("203.0.113.9/32", Ok(()));
        check("10.0.0.9/32", Ok(()));
        check("198.51.100.7/32", Err(NotBanned::Ignored));
        check("192.0.2.1/32", Err(NotBanned::Own));
        check("2001:db8::1/128", Err(NotBanned::Own));
        check("2001:db8::/64", Err(NotBanned::Own));
        check("2001:db8::2/128", Ok(()));
        check("127.0.0.1/32", Err(NotBanned::NeverRemote));
        check("224.0.0.1/32", Err(NotBanned::NeverRemote));
        check("fe80::1/128", Err(NotBanned::NeverRemote));
        check("::/64", Err(NotBanned::NeverRemote));
    }

    #[test]
    fn networks_that_no_set_holds_are_refused() {
        let refused = Err(NotBanned::NoSuchSet { ipv6prefix: 64 });
        check("2001:db8:1::/64", Ok(()));
        check("2001:db8:1::/48", refused);
        check("2001:db8:1::/127", refused);
        check("203.0.113.0/24", refused);
    }

    fn answer(guard: &mut Guard, taken: bool) {
        while let Some(effect) = guard.poll_effect(Mono(1_000)) {
            guard.acked(effect.slot, taken, Mono(1_000));
        }
    }

    #[test]
    fn tallies_follow_what_the_kernel_says() {
        let mut guard = guard(8);
        for host in 1..=3 {
            ban(&mut guard, &format!("203.0.113.{host}/32"), Some(9_000), false).unwrap();
        }
        let tally = |guard: &Guard| {
            let tally = guard.tally(JAIL);
            assert_eq!(guard.not_in_force(), tally.not_in_force);
            (tally.in_force, tally.not_in_force, tally.leaving)
        };
        assert_eq!(tally(&guard), (0, 3, 0));
        answer(&mut guard, true);
        assert_eq!(tally(&guard), (3, 0, 0));
        guard.kernel_lost_all();
        assert_eq!(tally(&guard), (0, 3, 0));
        answer(&mut guard, true);
        guard.unban("203.0.113.1/32".parse().unwrap(), JAIL).unwrap();
        assert_eq!(tally(&guard), (2, 0, 1));
        answer(&mut guard, false);
        assert_eq!(tally(&guard), (2, 0, 1));
        ban(&mut guard, "203.0.113.1/32", None, false).unwrap();
        assert_eq!(tally(&guard), (2, 1, 0));
        while guard.expire(Mono(9_000)).is_some() {}
        assert_eq!(tally(&guard), (0, 1, 0));
        assert_eq!(guard.tally(JailId(0)), Tally::default());
        assert_eq!(guard.jail_stats(JAIL).bans, 4);
    }

    #[test]
    fn a_ban_is_found_by_its_number_and_by_its_address() {
        let mut guard = guard(8);
        ban(&mut guard, "203.0.113.1/32", Some(9_000), false).unwrap();
        let effect = guard.poll_effect(Mono(1_000)).unwrap();
        let Slot(number) = effect.slot;
        assert!(guard.ban_at(number).is_some_and(|(_, in_force)| !in_force));
        guard.acked(effect.slot, true, Mono(1_000));
        let (found, in_force) = guard.standing(effect.net, JAIL).unwrap();
        assert!(in_force && found.by_hand);
        assert!(number < guard.ban_numbers() && guard.ban_at(number + 1).is_none());
        guard.unban(effect.net, JAIL).unwrap();
        assert!(guard.standing(effect.net, JAIL).is_none() && guard.ban_at(number).is_none());
    }

    #[test]
    fn the_next_ban_to_end_is_told_for_each_jail() {
        let mut guard = guard(8);
        let other = "203.0.113.9/32".parse().unwrap();
        guard
            .ban(other, JailId(0), Some(Mono(2_000)), Mono(1_000), false)
            .unwrap();
        for (host, until) in [(1, Some(9_000)), (2, Some(7_000)), (3, None)] {
            ban(&mut guard, &format!("203.0.113.{host}/32"), until, false).unwrap();
        }
        let next = |guard: &Guard| guard.next_to_end(JAIL).map(|ban| ban.until);
        assert_eq!(next(&guard), Some(Some(Mono(7_000))));
        assert_eq!(guard.next_deadline(), Some(Mono(2_000)));
        // Where the kernel cannot hold a ban as long as it lasts, the one sent first is due first.
        guard.set_longest_timeout(2_000);
        answer(&mut guard, true);
        assert_eq!(next(&guard), Some(Some(Mono(7_000))));
        while guard.expire(Mono(7_000)).is_some() {}
        assert_eq!(next(&guard), Some(Some(Mono(9_000))));
    }

    #[test]
    fn a_full_table_is_said() {
        let mut guard = guard(1);
        ban(&mut guard, "203.0.113.1/32", None, false).unwrap();
        assert_eq!(
            ban(&mut guard, "203.0.113.2/32", None, false),
            Err(NotBanned::TableFull)
        );
    }
}
