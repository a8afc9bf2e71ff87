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
}
