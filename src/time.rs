//! The two clocks, and the stamps of log lines.
//!
//! Inside, only the boot-time clock counts ([`Mono`]): routers start in 1970 and jump by decades when
//! NTP answers; findtime and bantime must not notice. The wall clock ([`Wall`]) exists for display and
//! in the store. Nothing here reads a clock; `sys::clock` does.
#![forbid(unsafe_code)]

use core::fmt;

use crate::limits::SPAN_SECONDS_MAX;

/// An instant of the boot-time clock (`CLOCK_BOOTTIME`), in milliseconds. It counts from ten years before the boot,
/// so that what the state file tells of the time before it has an instant, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mono(pub u64);

impl Mono {
    /// The boot.
    pub const BOOT: Mono = Mono(SPAN_SECONDS_MAX * 1000);

    /// This instant and `seconds` later; stops at the end of time.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Mono {
        Mono(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Milliseconds since `earlier`; 0 if that is in the future.
    #[must_use]
    pub const fn millis_since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since `earlier`; 0 if that is in the future.
    #[must_use]
    pub const fn seconds_since(self, earlier: Mono) -> u64 {
        self.millis_since(earlier) / 1000
    }
}

/// A wall-clock time, in seconds since 1970-01-01 00:00. Whether UTC or local is said where it is used:
/// log stamps are in the log's own (local) time, see [`crate::filter::Failure::at`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub i64);

/// A calendar date and time without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year, e.g. 2026.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60.
    pub second: u8,
}

impl Civil {
    /// Seconds since 1970 of this date and time, as if it were UTC.
    /// The algorithm is Howard Hinnant's `days_from_civil`.
    #[must_use]
    pub const fn to_wall(self) -> Wall {
        let year = self.year as i64 - (self.month <= 2) as i64;
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month = (self.month as i64 + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + self.day as i64 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        Wall(days * 86_400 + self.hour as i64 * 3600 + self.minute as i64 * 60 + self.second as i64)
    }
}

impl Wall {
    /// The calendar date and time of this instant, as if it were UTC.
    #[must_use]
    pub const fn to_civil(self) -> Civil {
        let days = self.0.div_euclid(86_400) + 719_468;
        let seconds = self.0.rem_euclid(86_400);
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        let year = year_of_era + era * 400 + (month <= 2) as i64;
        Civil {
            year: year as i32,
            month: month as u8,
            day: day as u8,
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
        }
    }
}

impl fmt::Display for Wall {
    /// `2026-11-22 13:25:48`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self.to_civil();
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        )
    }
}

/// A span of whole seconds, shown as people write it: `45s`, `10m`, `1h30m`, `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
        let Some(first) = units.iter().position(|&(size, _)| self.0 >= size) else {
            return f.write_str("0s");
        };
        // Two units are as exact as a person wants it.
        let mut rest = self.0;
        for &(size, letter) in units.iter().skip(first).take(2) {
            if rest >= size {
                write!(f, "{}{letter}", rest / size)?;
            }
            rest %= size;
        }
        Ok(())
    }
}

/// How long a ban lasts, in seconds; `None` is for ever. Shown as `for 10m` or `for ever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasting(pub Option<u64>);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("for ever"),
            Some(seconds) => write!(f, "for {}", Span(seconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_survives_the_way_there_and_back() {
        for seconds in [0, 951_782_400, 1_795_351_367, 4_102_444_799, -1, 1_709_164_800] {
            assert_eq!(Wall(seconds).to_civil().to_wall(), Wall(seconds));
        }
        let civil = Civil {
            year: 2026,
            month: 11,
            day: 22,
            hour: 12,
            minute: 42,
            second: 47,
        };
        assert_eq!(civil.to_wall(), Wall(1_795_351_367));
        assert_eq!(Wall(1_795_351_367).to_string(), "2026-11-22 12:42:47");
    }

    #[test]
    fn spans_read_as_people_write_them() {
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (600, "10m"),
            (5400, "1h30m"),
            (604_800, "7d"),
            (90_061, "1d1h"),
            (3601, "1h"),
        ] {
            assert_eq!(Span(seconds).to_string(), shown);
        }
    }
}
