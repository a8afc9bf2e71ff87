//! Times as the state file shows them: `2026-11-22T12:42:47.123Z` (ISO 8601, UTC, milliseconds).

use core::fmt;

use crate::time::{Civil, Wall};

/// A wall-clock time, in milliseconds since 1970-01-01 00:00 UTC. A clock that was wrong at boot shows times before
/// that, too: of what was before the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(i64);

/// Years that are written with four digits, and that every clock's mistake stays in.
const FIRST: i64 = -2_208_988_800_000;
const LAST: i64 = 253_402_300_799_999;

impl Stamp {
    /// The nearest time from 1900 to 9999.
    #[must_use]
    pub fn new(millis: i64) -> Stamp {
        Stamp(millis.clamp(FIRST, LAST))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Reads what [`Stamp`] shows, to the letter.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Stamp> {
        let &[y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T', ref time @ ..] = text else {
            return None;
        };
        let &[h1, h2, b':', m1, m2, b':', s1, s2, b'.', f1, f2, f3, b'Z'] = time else {
            return None;
        };
        let civil = Civil {
            year: number(&[y1, y2, y3, y4])? as i32,
            month: number(&[o1, o2])? as u8,
            day: number(&[d1, d2])? as u8,
            hour: number(&[h1, h2])? as u8,
            minute: number(&[m1, m2])? as u8,
            second: number(&[s1, s2])? as u8,
        };
        // Nothing that is not a date, such as the 31st of February.
        let wall = civil.to_wall();
        if civil.month == 0 || civil.month > 12 || wall.to_civil() != civil {
            return None;
        }
        let stamp = Stamp(wall.0 * 1000 + i64::from(number(&[f1, f2, f3])?));
        (Stamp::new(stamp.0) == stamp).then_some(stamp)
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = Wall(self.0.div_euclid(1000)).to_civil();
        let millis = self.0.rem_euclid(1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_was_shown() {
        for millis in [
            0,
            1,
            -1,
            1_795_351_367_123,
            FIRST,
            LAST,
            951_782_400_999,
            i64::MIN,
            i64::MAX,
        ] {
            let stamp = Stamp::new(millis);
            assert_eq!(Stamp::parse(stamp.to_string().as_bytes()), Some(stamp), "{stamp}");
        }
        assert_eq!(
            Stamp::new(1_795_351_367_123).to_string(),
            "2026-11-22T12:42:47.123Z"
        );
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for wrong in [
            "",
            "2026-11-22 12:42:47.123Z",
            "2026-11-22T12:42:47.123",
            "2026-11-22T12:42:47Z",
            "2026-02-30T12:42:47.123Z",
            "2026-00-22T12:42:47.123Z",
            "2026-13-22T12:42:47.123Z",
            "2026-11-22T24:42:47.123Z",
            "2026-11-22T12:42:60.123Z",
            "0000-11-22T12:42:47.123Z",
            "+026-11-22T12:42:47.123Z",
        ] {
            assert_eq!(Stamp::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
