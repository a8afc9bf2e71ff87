//! fail2ban's `bantime.increment`: who was banned before is banned for longer.

use crate::limits::SPAN_SECONDS_MAX;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
