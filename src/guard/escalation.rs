//! fail2ban's `bantime.increment`: who was banned before is banned for longer.

use ipnet::IpNet;

use super::index::Key;
use super::{Ban, Guard, JailId, Outcome, Source, Summary};
use crate::filter::{Failure, Proof};
use crate::limits::SPAN_SECONDS_MAX;
use crate::time::Mono;

/// How a bantime grows with the bans that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// By what `bantime` is multiplied, in thousandths: the first for who was never banned, the second for who was
    /// once, and so on; the last for all that follow.
    pub multipliers: Vec<u64>,
    /// `bantime.maxtime`, in seconds: it does not grow beyond it.
    pub maxtime: Option<u64>,
    /// `bantime.rndtime`, in seconds: up to so much is added, so that nobody knows when a ban ends.
    pub rndtime: u64,
    /// `bantime.overalljails`: bans by other jails are bans before, too.
    pub overalljails: bool,
}

impl Escalation {
    /// How long a ban lasts, in seconds, of who was banned `earlier` so many times; `chance` is random.
    #[must_use]
    pub fn bantime(&self, bantime: u64, earlier: u32, chance: u64) -> u64 {
        let at = usize::try_from(earlier).unwrap_or(usize::MAX);
        let multiplier = self.multipliers.get(at).or(self.multipliers.last()).copied();
        let grown = u128::from(bantime) * u128::from(multiplier.unwrap_or(1000)) / 1000;
        let most = self.maxtime.unwrap_or(SPAN_SECONDS_MAX).min(SPAN_SECONDS_MAX);
        let grown = u64::try_from(grown).unwrap_or(u64::MAX).min(most).max(1);
        let more = chance.checked_rem(self.rndtime.saturating_add(1)).unwrap_or(0);
        grown.saturating_add(more)
    }
}

impl Guard {
    /// How long a ban by a jail is to last, in seconds; `None` is for ever.
    pub(super) fn lasting(&mut self, net: IpNet, jail: JailId, proof: Proof, now: Mono) -> Option<u64> {
        let proven = self.lasting_if_proven(net, jail, now);
        let policy = self.policies.get(usize::from(jail.0))?;
        match policy.bantime_unproven.filter(|_| !proof.is_proven()) {
            Some(most) => Some(proven.map_or(most, |seconds| seconds.min(most))),
            None => proven,
        }
    }

    fn lasting_if_proven(&mut self, net: IpNet, jail: JailId, now: Mono) -> Option<u64> {
        let policy = self.policies.get(usize::from(jail.0))?;
        let bantime = policy.bantime?;
        let Some(escalation) = &policy.escalation else {
            return Some(bantime);
        };
        let earlier = if escalation.overalljails {
            self.history
                .over_all(|jail| Key::new(net, jail), self.policies.len(), now)
        } else {
            self.history.bans(Key::new(net, jail), now)
        };
        self.drawn += 1;
        Some(escalation.bantime(bantime, earlier, self.settings.seed.draw(self.drawn)))
    }

    /// How often a source was banned by a jail, the ban in force among them.
    #[must_use]
    pub fn bans_of(&self, net: IpNet, jail: JailId, now: Mono) -> u32 {
        self.history.bans(Key::new(net, jail), now)
    }

    /// Takes a ban as a failure for the jails that count those: who is banned again and again is banned for longer.
    pub fn observe_ban(&mut self, jail: JailId, ban: &Ban, why: &Summary, now: Mono) -> Option<Outcome> {
        let policy = self.policies.get(usize::from(jail.0))?;
        if !policy.recidive || jail == ban.jail {
            return None;
        }
        let failure = Failure {
            addr: ban.net.addr(),
            kind: why.last,
            proof: ban.proof,
            attempt: None,
            at: None,
            account: None,
        };
        Some(self.observe(jail, Source(0), &failure, now))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, Seed, Settings, Trust, Verdict};
    use super::*;
    use crate::filter::{Class, Kind, Service};

    fn check(maxtime: Option<u64>, rndtime: u64, chance: u64, want: [u64; 5]) {
        let escalation = Escalation {
            multipliers: vec![1000, 2000, 4000, 10_500],
            maxtime,
            rndtime,
            overalljails: false,
        };
        let times = [0, 1, 2, 3, 4_000_000].map(|earlier| escalation.bantime(600, earlier, chance));
        assert_eq!(times, want);
    }

    #[test]
    fn a_ban_grows_with_the_bans_before_it() {
        check(None, 0, 77, [600, 1200, 2400, 6300, 6300]);
    }

    #[test]
    fn it_grows_no_further_than_it_may_but_for_the_chance() {
        check(Some(2000), 0, 77, [600, 1200, 2000, 2000, 2000]);
        check(Some(2000), 99, 250, [650, 1250, 2050, 2050, 2050]);
    }

    #[test]
    fn a_ban_that_could_be_spoofed_ends_early_where_that_is_wanted() {
        let mut guard = guard();
        let [own, _, other] = &mut guard.policies[..] else {
            panic!();
        };
        (own.bantime_unproven, other.bantime_unproven) = (Some(60), Some(60));
        own.bantime = None;
        let mut lasting = |jail, proof| {
            let net = "192.0.2.1/32".parse().unwrap();
            guard.lasting(net, JailId(jail), proof, Mono(1_000))
        };
        assert_eq!(lasting(0, Proof::Blind), Some(60), "for ever, if it were proven");
        assert_eq!(lasting(0, Proof::Transport), None);
        assert_eq!(lasting(1, Proof::Blind), Some(600));
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let escalation = Escalation {
            multipliers: vec![u64::MAX],
            maxtime: None,
            rndtime: u64::MAX,
            overalljails: true,
        };
        assert_eq!(escalation.bantime(u64::MAX, 1, 5), SPAN_SECONDS_MAX + 5);
        assert_eq!(escalation.bantime(0, 1, 0), 1);
    }

    /// A guard of three jails: one that escalates by its own bans, one by all, and one that counts bans.
    fn guard() -> Guard {
        let policy = |overalljails| Policy {
            maxretry: 1,
            findtime: 10_000,
            bantime: Some(600),
            escalation: Some(Escalation {
                multipliers: vec![1000, 2000, 4000],
                maxtime: None,
                rndtime: 0,
                overalljails,
            }),
            recidive: false,
            reach_by_proof: false,
            bantime_unproven: None,
            evidence: Default::default(),
            trust: Trust::default(),
        };
        let recidive = Policy {
            maxretry: 3,
            bantime: None,
            escalation: None,
            recidive: true,
            reach_by_proof: false,
            bantime_unproven: None,
            ..policy(false)
        };
        let settings = Settings {
            ring: 64,
            maxbans: 16,
            ipv6prefix: 64,
            purge_age: Some(1000),
            own: Trust::default(),
            seed: Seed([1, 2]),
        };
        Guard::new(vec![policy(false), policy(true), recidive], settings)
    }

    /// One failure at this second; how long the ban is that it brings.
    fn ban(guard: &mut Guard, jail: u16, seconds: u64) -> Verdict {
        let now = Mono(0).plus_seconds(seconds);
        while guard.expire(now).is_some() {}
        let failure = Failure {
            addr: [192, 0, 2, 1].into(),
            kind: Kind {
                service: Service::Sip,
                class: Class::Auth,
            },
            proof: Proof::Blind,
            attempt: None,
            at: None,
            account: None,
        };
        let outcome = guard.observe(JailId(jail), Source(0), &failure, now);
        let Outcome::Ban(verdict) = outcome else {
            panic!("{outcome:?}");
        };
        verdict
    }

    #[test]
    fn who_comes_back_is_banned_for_longer_and_forgotten_in_the_end() {
        let mut guard = guard();
        let mut lasts = |jail, at| {
            let ban = ban(&mut guard, jail, at).ban;
            ban.until.unwrap().seconds_since(ban.since)
        };
        assert_eq!([lasts(0, 0), lasts(0, 700), lasts(0, 2000)], [600, 1200, 2400]);
        assert_eq!(lasts(1, 2000), 2400, "over all jails it is the fourth");
        assert_eq!(lasts(0, 4400 + 1001), 600, "dbpurgeage after the end of the last");
    }

    #[test]
    fn who_is_banned_again_and_again_is_banned_by_the_jail_that_counts_bans() {
        let mut guard = guard();
        let mut counts = |at| {
            let Verdict { ban, why, .. } = ban(&mut guard, 0, at);
            let now = Mono(0).plus_seconds(at);
            assert_eq!(
                guard.observe_ban(JailId(0), &ban, &why, now),
                None,
                "an ordinary jail"
            );
            guard.observe_ban(JailId(2), &ban, &why, now)
        };
        assert_eq!(counts(0), Some(Outcome::Counted(1)));
        assert_eq!(counts(1000), Some(Outcome::Counted(2)));
        let Some(Outcome::Ban(verdict)) = counts(3000) else {
            panic!("three bans are enough");
        };
        assert_eq!((verdict.ban.until, verdict.ban.jail), (None, JailId(2)));
        assert_eq!(
            guard.observe_ban(JailId(2), &verdict.ban, &verdict.why, Mono(0)),
            None
        );
    }

    const NET: &str = "192.0.2.1/32";

    /// What the file is written anew with: how many bans there were of the source, and when the last one ended.
    fn past(guard: &Guard) -> Option<(u32, Mono)> {
        let sources = std::iter::successors(guard.past_from(0), |(from, _)| guard.past_from(*from));
        let of_source = sources
            .map(|(_, past)| past)
            .find(|past| past.0 == NET.parse().unwrap());
        of_source.map(|(_, _, bans, until)| (bans, until))
    }

    #[test]
    fn a_ban_that_was_lifted_is_forgiven_as_it_is_after_a_restart() {
        let lasts = |lift: &dyn Fn(&mut Guard)| {
            let mut guard = guard();
            ban(&mut guard, 0, 0);
            lift(&mut guard);
            assert_eq!((guard.ban_count(), past(&guard)), (0, None));
            guard.set_trust(JailId(0), Trust::default());
            let ban = ban(&mut guard, 0, 100).ban;
            ban.until.unwrap().seconds_since(ban.since)
        };
        let net = || NET.parse().unwrap();
        assert_eq!(lasts(&|guard| _ = guard.unban(net(), JailId(0)).unwrap()), 600);
        assert_eq!(
            lasts(&|guard| _ = guard.set_trust(JailId(0), Trust::new([net()]))),
            600
        );
        assert_eq!(
            lasts(&|guard| guard.restore_unban(net(), JailId(0), Mono(1_000))),
            600
        );
    }

    /// Else a restart would take everything of the source up to now for what was before that ban's end.
    #[test]
    fn a_ban_that_made_room_for_another_ended_then() {
        let mut guard = guard();
        ban(&mut guard, 0, 0);
        for host in 0..16 {
            let net = IpNet::from(core::net::IpAddr::from([198, 51, 100, host]));
            guard.ban(net, JailId(1), None, Mono(50_000), false).unwrap();
        }
        assert_eq!(guard.standing(NET.parse().unwrap(), JailId(0)), None);
        assert_eq!(past(&guard), Some((1, Mono(50_000))));
    }

    #[test]
    fn a_ban_of_before_the_boot_ended_when_the_right_clock_says_so() {
        let mut guard = guard();
        let ban = |until| Ban {
            net: NET.parse().unwrap(),
            jail: JailId(0),
            since: Mono(0),
            until: Some(Mono(Mono::BOOT.0 + until)),
            proof: Proof::Blind,
            by_hand: false,
        };
        let now = Mono(Mono::BOOT.0 + 10_000);
        assert!(guard.restore_ban(ban(50_000), 1, now));
        guard.older_by(20_000, now);
        assert_eq!(past(&guard), Some((1, ban(30_000).until.unwrap())));
        guard.older_by(25_000, now);
        assert_eq!(guard.ban_count(), 0);
        assert_eq!(past(&guard), Some((1, ban(5_000).until.unwrap())));
    }

    /// A file may tell of bans whose number it did not know: of those before in the other file, or in the kernel.
    #[test]
    fn earlier_bans_are_as_many_as_the_record_that_knows_of_most_says() {
        let mut guard = guard();
        let (net, jail) = (NET.parse().unwrap(), JailId(0));
        guard.restore_past(net, jail, 3, Mono(1_000));
        guard.restore_past(net, jail, 1, Mono(2_000));
        assert_eq!(past(&guard), Some((3, Mono(2_000))));
        let ban = |since, until| Ban {
            net,
            jail,
            since,
            until,
            proof: Proof::Blind,
            by_hand: false,
        };
        assert!(guard.restore_ban(ban(Mono(3_000), Some(Mono(90_000))), 1, Mono(4_000)));
        assert_eq!(past(&guard), Some((3, Mono(90_000))));
        assert!(guard.restore_ban(ban(Mono(5_000), None), 5, Mono(6_000)));
        assert_eq!(guard.bans_of(net, jail, Mono(6_000)), 5);
    }
}
