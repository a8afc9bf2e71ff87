//! Flood sense: more new bans on forgeable evidence than attackers explain. Somebody sends in the names of many who
//! have done nothing; to go on banning would do his work. Then no such ban is made, until there are fewer again.

use super::JailId;
use crate::limits::FLOOD_BURST;
use crate::time::Mono;

/// Bans on forgeable evidence in one jail.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flood {
    /// How many have come beyond the rate, in thousandths of a minute's.
    level: u64,
    at: Mono,
    /// Since when there are too many, how many were not made, and those of the minute that began at `since`.
    flooded: Option<Mono>,
    refused: u64,
    since: Mono,
    minute: u64,
}

/// What becomes of one more ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It is made.
    Ban,
    /// It is made, and so are others: the flood is over.
    Over(Surge),
    /// It is not made, and no other: a flood begins.
    Begins(Surge),
    /// It is not made.
    Refused,
}

/// A flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surge {
    /// In which jail.
    pub jail: JailId,
    /// So many bans a minute are believed.
    pub rate: u32,
    /// Bans that were not made.
    pub refused: u64,
}

const MINUTE_MS: u64 = 60_000;

impl Flood {
    /// One more ban would be made.
    pub(super) fn pass(&mut self, jail: JailId, rate: u32, now: Mono) -> Passage {
        let surge = |refused| Surge { jail, rate, refused };
        if self.flooded.is_some() {
            if let Some(surge) = self.end(jail, rate, now) {
                return Passage::Over(surge);
            }
            self.minute += 1;
            self.refused += 1;
            return Passage::Refused;
        }
        let leaked = now.millis_since(self.at).saturating_mul(rate.into()) / (MINUTE_MS / 1000);
        (self.level, self.at) = (self.level.saturating_sub(leaked).saturating_add(1000), now);
        if self.level <= u64::from(FLOOD_BURST) * 1000 {
            return Passage::Ban;
        }
        (self.flooded, self.since, self.minute, self.refused) = (Some(now), now, 1, 1);
        Passage::Begins(surge(0))
    }

    /// Ends a flood that is over; to be looked at once in a while, because nobody may send any more.
    pub(super) fn end(&mut self, jail: JailId, rate: u32, now: Mono) -> Option<Surge> {
        self.flooded?;
        if self.is_over(rate, now) {
            let refused = self.refused;
            *self = Flood {
                at: now,
                ..Flood::default()
            };
            return Some(Surge { jail, rate, refused });
        }
        if now.millis_since(self.since) >= MINUTE_MS {
            (self.since, self.minute) = (now, 0);
        }
        None
    }

    /// Whether bans on forgeable evidence are not made at present.
    pub(super) fn is_flooded(&self, rate: u32, now: Mono) -> bool {
        self.flooded.is_some() && !self.is_over(rate, now)
    }

    /// Whether a minute or more has shown fewer than are believed.
    fn is_over(&self, rate: u32, now: Mono) -> bool {
        let elapsed = now.millis_since(self.since);
        elapsed >= MINUTE_MS && self.minute.saturating_mul(MINUTE_MS) / elapsed < u64::from(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAIL: JailId = JailId(0);

    /// Bans at an even pace for so many seconds; how many are made, and what was said.
    fn run(flood: &mut Flood, now: &mut Mono, per_second: u64, seconds: u64) -> (u64, Vec<Passage>) {
        let (mut made, mut said) = (0, Vec::new());
        for _ in 0..seconds {
            for _ in 0..per_second {
                match flood.pass(JAIL, 200, *now) {
                    Passage::Ban => made += 1,
                    Passage::Refused => {}
                    other @ (Passage::Over(_) | Passage::Begins(_)) => {
                        made += u64::from(matches!(other, Passage::Over(_)));
                        said.push(other);
                    }
                }
            }
            *now = now.plus_seconds(1);
        }
        (made, said)
    }

    #[test]
    fn a_botnet_is_banned_and_a_flood_of_forged_sources_is_not() {
        let (mut flood, mut now) = (Flood::default(), Mono(0));
        let (made, said) = run(&mut flood, &mut now, 30_000, 1);
        assert_eq!((made, said.len()), (30_000, 0), "thirty thousand at once");
        let (made, said) = run(&mut flood, &mut now, 3, 100_000);
        assert_eq!((made, said.len()), (300_000, 0), "three a second, for a day");
        let (made, said) = run(&mut flood, &mut now, 1_000, 600);
        assert!(made < 40_000, "{made}");
        assert!(matches!(said[..], [Passage::Begins(_)]), "{said:?}");
        assert!(flood.is_flooded(200, now));
    }

    #[test]
    fn bans_are_made_again_when_the_flood_is_over() {
        let (mut flood, mut now) = (Flood::default(), Mono(0));
        run(&mut flood, &mut now, 40_768, 1);
        assert!(flood.is_flooded(200, now));
        now = now.plus_seconds(3_600);
        assert!(!flood.is_flooded(200, now), "nothing came for an hour");
        let (made, said) = run(&mut flood, &mut now, 1, 10);
        assert_eq!(made, 10);
        assert!(
            matches!(said[..], [Passage::Over(Surge { refused: 8_000, .. })]),
            "{said:?}"
        );
        // Or when somebody looks, a minute after the last minute in which many came.
        let (mut flood, mut now) = (Flood::default(), Mono(0));
        run(&mut flood, &mut now, 40_768, 1);
        let mut over = None;
        for seconds in (5..600).step_by(5) {
            let at = Mono(0).plus_seconds(seconds);
            over = over.or(flood.end(JAIL, 200, at).map(|surge| (seconds, surge.refused)));
        }
        assert_eq!(over, Some((120, 8_000)));
        assert!(!flood.is_flooded(200, now) && flood.end(JAIL, 200, now).is_none());
        // Or while there still is a little.
        let (mut flood, mut now) = (Flood::default(), Mono(0));
        run(&mut flood, &mut now, 40_768, 1);
        let (made, said) = run(&mut flood, &mut now, 1, 300);
        assert!(
            made > 100 && matches!(said[..], [Passage::Over(_)]),
            "{made} {said:?}"
        );
    }
}
