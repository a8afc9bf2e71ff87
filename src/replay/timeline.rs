//! The guard's clock, driven by the stamps of lines.
//!
//! It never goes back. A stamp that is a little older than the last one (threads write their lines in another order)
//! changes nothing; where the log's clock was set back, as at the end of summer time, time goes on from there.

use crate::time::{Mono, Wall};

/// How much older than the one before a stamp may be, in seconds, without the clock having been set.
const DISORDER_SECONDS: i64 = 60;

/// Where the guard's time begins, in seconds: bans and failures reach back from it.
const BEGINNING: i64 = 1 << 32;

/// The clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeline {
    now: i64,
    /// Seconds from a stamp to the guard's time.
    ahead: Option<i64>,
}

impl Timeline {
    /// Brings the clock to a line's stamp.
    pub(super) fn advance(&mut self, stamp: Option<Wall>) -> Mono {
        if self.now == 0 {
            self.now = BEGINNING;
        }
        if let Some(Wall(stamp)) = stamp {
            let ahead = *self.ahead.get_or_insert(self.now.saturating_sub(stamp));
            let time = stamp.saturating_add(ahead);
            if time < self.now - DISORDER_SECONDS {
                self.ahead = Some(self.now.saturating_sub(stamp));
            }
            self.now = self.now.max(time);
        }
        Mono((self.now as u64).saturating_mul(1000))
    }

    /// The log's time at an instant of the guard's; `None` if no stamp could be read so far.
    pub(super) fn wall(&self, instant: Mono) -> Option<Wall> {
        let seconds = i64::try_from(instant.0 / 1000).unwrap_or(i64::MAX);
        self.ahead.map(|ahead| Wall(seconds.saturating_sub(ahead)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds between the stamps, as the guard sees them.
    fn check(stamps: &[Option<i64>], want: &[u64]) {
        let mut timeline = Timeline::default();
        let first = timeline.advance(stamps[0].map(Wall));
        let seen: Vec<u64> = stamps[1..]
            .iter()
            .map(|stamp| timeline.advance(stamp.map(Wall)).seconds_since(first))
            .collect();
        assert_eq!(seen, want);
    }

    #[test]
    fn time_goes_on_where_the_clock_of_the_log_was_set_back() {
        check(&[Some(1000), Some(1010), Some(1005), Some(1011)], &[10, 10, 11]);
        check(
            &[Some(9000), Some(9010), Some(5410), Some(5415), Some(5414)],
            &[10, 10, 15, 15],
        );
        check(&[None, Some(50), None, Some(60)], &[0, 0, 10]);
        check(&[Some(0), Some(1_795_348_800)], &[1_795_348_800]);
    }

    #[test]
    fn an_instant_is_shown_in_the_time_of_the_log() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.wall(Mono(5000)), None);
        timeline.advance(Some(Wall(9000)));
        let now = timeline.advance(Some(Wall(5400)));
        assert_eq!(timeline.wall(now.plus_seconds(600)), Some(Wall(6000)));
    }
}
