//! How far local time is ahead of UTC, as log stamps need it: from a compiled zone file (TZif, RFC 8536), or
//! from the rule that OpenWrt keeps in `/etc/TZ` (POSIX.1, "Environment Variables", `TZ`).
//!
//! Read here, because the C library's `localtime_r` needs `unsafe`, and on 32-bit musl a time beyond 2038.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use crate::time::{Civil, Wall};

/// A time zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// When the offset changed, in UTC, and to how many seconds; ascending.
    changes: Vec<(i64, i32)>,
    /// The offset before the first change, in seconds.
    before: i32,
    /// What holds after the last change.
    rule: Option<Rule>,
}

/// A yearly rule: `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    standard: i32,
    /// Offset in summer, and when it begins and ends, in local time.
    summer: Option<(i32, Day, Day)>,
}

/// A day of the year and a time on it, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Day {
    date: Date,
    time: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Date {
    /// `Mm.w.d`: weekday (0 is Sunday) of a week (5 is the last) of a month.
    Weekday { month: u8, week: u8, weekday: u8 },
    /// `Jn`: 1 to 365; 29 February is never counted.
    Julian(u16),
    /// `n`: 0 to 365; 29 February is counted.
    Ordinal(u16),
}

/// Changes in one zone file; real ones have fewer than 300.
const CHANGES_MAX: usize = 4_096;

impl Zone {
    /// Reads a compiled zone file, version 2 or later. `None` if it is none.
    #[must_use]
    pub fn from_file(bytes: &[u8]) -> Option<Zone> {
        let first = Counts::read(bytes)?;
        let (_, second) = bytes.split_at_checked(44 + first.body_bytes(4)?)?;
        let counts = Counts::read(second)?;
        let (_, body) = second.split_at_checked(44)?;
        if counts.times > CHANGES_MAX {
            return None;
        }
        let (times, body) = body.split_at_checked(counts.times * 8)?;
        let (kinds, body) = body.split_at_checked(counts.times)?;
        let (types, _) = body.split_at_checked(counts.types * 6)?;
        let offset = |kind: usize| {
            let bytes = types.get(kind * 6..)?.first_chunk::<4>()?;
            Some(i32::from_be_bytes(*bytes))
        };
        let mut changes = Vec::with_capacity(counts.times);
        for (time, &kind) in times.chunks_exact(8).zip(kinds) {
            changes.push((
                i64::from_be_bytes(*time.first_chunk()?),
                offset(usize::from(kind))?,
            ));
        }
        let (_, footer) = second.split_at_checked(44 + counts.body_bytes(8)?)?;
        let footer = footer
            .strip_prefix(b"\n")
            .and_then(|rest| rest.split(|&byte| byte == b'\n').next());
        Some(Zone {
            changes,
            before: offset(0)?,
            rule: footer.and_then(Rule::read),
        })
    }

    /// Reads a rule like `CET-1CEST,M3.5.0,M10.5.0/3` or `UTC0`.
    #[must_use]
    pub fn from_rule(text: &[u8]) -> Option<Zone> {
        let rule = Rule::read(text.trim_ascii())?;
        Some(Zone {
            changes: Vec::new(),
            before: rule.standard,
            rule: Some(rule),
        })
    }

    /// Seconds that local time is ahead of UTC at this time, which is in UTC.
    #[must_use]
    pub fn offset(&self, utc: Wall) -> i32 {
        let behind = self.changes.partition_point(|&(time, _)| time <= utc.0);
        match (
            &self.rule,
            behind.checked_sub(1).and_then(|last| self.changes.get(last)),
        ) {
            (Some(rule), _) if behind == self.changes.len() => rule.offset(utc),
            (_, Some(&(_, offset))) => offset,
            (_, None) => self.before,
        }
    }

    /// The local time at this time, which is in UTC.
    #[must_use]
    pub fn local(&self, utc: Wall) -> Wall {
        Wall(utc.0.saturating_add(i64::from(self.offset(utc))))
    }
}

/// The header of a zone file's block.
struct Counts {
    isut: usize,
    isstd: usize,
    leaps: usize,
    times: usize,
    types: usize,
    chars: usize,
}

impl Counts {
    fn read(bytes: &[u8]) -> Option<Counts> {
        let rest = bytes.strip_prefix(b"TZif")?.get(16..)?;
        let number = |at: usize| {
            let bytes = rest.get(at * 4..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_be_bytes(*bytes))
                .ok()
                .filter(|&count| count <= 1 << 20)
        };
        Some(Counts {
            isut: number(0)?,
            isstd: number(1)?,
            leaps: number(2)?,
            times: number(3)?,
            types: number(4)?,
            chars: number(5)?,
        })
    }

    /// Bytes behind the header, with times of this size.
    fn body_bytes(&self, time: usize) -> Option<usize> {
        let parts = [
            self.times.checked_mul(time + 1)?,
            self.types.checked_mul(6)?,
            self.chars,
            self.leaps.checked_mul(time + 4)?,
            self.isstd,
            self.isut,
        ];
        parts.into_iter().try_fold(0_usize, usize::checked_add)
    }
}

impl Rule {
    fn read(text: &[u8]) -> Option<Rule> {
        let mut rest = text;
        name(&mut rest)?;
        let standard = -seconds(&mut rest)?;
        if rest.is_empty() {
            return Some(Rule {
                standard,
                summer: None,
            });
        }
        name(&mut rest)?;
        let summer = if rest.starts_with(b",") {
            standard + 3600
        } else {
            -seconds(&mut rest)?
        };
        let (start, end) = (day(&mut rest)?, day(&mut rest)?);
        rest.is_empty().then_some(Rule {
            standard,
            summer: Some((summer, start, end)),
        })
    }

    fn offset(&self, utc: Wall) -> i32 {
        let Some((summer, start, end)) = self.summer else {
            return self.standard;
        };
        let year = Wall(utc.0.saturating_add(i64::from(self.standard)))
            .to_civil()
            .year;
        let start = start.at(year) - i64::from(self.standard);
        let end = end.at(year) - i64::from(summer);
        // South of the equator summer goes over the turn of the year.
        let in_summer = if start < end {
            start <= utc.0 && utc.0 < end
        } else {
            !(end <= utc.0 && utc.0 < start)
        };
        if in_summer { summer } else { self.standard }
    }
}

impl Day {
    /// This day and time in a year, in seconds since 1970 of local time.
    fn at(self, year: i32) -> i64 {
        let first = |month| {
            Civil {
                year,
                month,
                day: 1,
                hour: 0,
                minute: 0,
                second: 0,
            }
            .to_wall()
            .0 / 86_400
        };
        let january = first(1);
        let leap = first(3) - january == 60;
        let day = match self.date {
            Date::Ordinal(day) => january + i64::from(day),
            Date::Julian(day) => january + i64::from(day) - 1 + i64::from(leap && day > 59),
            Date::Weekday { month, week, weekday } => {
                let start = first(month);
                let length = if month == 12 { 31 } else { first(month + 1) - start };
                // 1970-01-01 was a Thursday.
                let offset = (i64::from(weekday) - (start + 4)).rem_euclid(7);
                let day = offset + 7 * (i64::from(week) - 1);
                start + if day >= length { day - 7 } else { day }
            }
        };
        day * 86_400 + i64::from(self.time)
    }
}

/// `CET`, or `<+03>`.
fn name(rest: &mut &[u8]) -> Option<()> {
    let length = if rest.first() == Some(&b'<') {
        rest.iter().position(|&byte| byte == b'>')? + 1
    } else {
        rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()
    };
    let (name, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    (name.len() >= 3).then_some(())
}

/// `-1`, `5:30`, `+02:00:00`
fn seconds(rest: &mut &[u8]) -> Option<i32> {
    let negative = rest.first() == Some(&b'-');
    if let [b'+' | b'-', behind @ ..] = rest {
        *rest = behind;
    }
    let mut total = number(rest)? * 3600;
    for unit in [60, 1] {
        let Some(behind) = rest.strip_prefix(b":") else {
            break;
        };
        *rest = behind;
        total += number(rest)? * unit;
    }
    Some(if negative { -total } else { total })
}

/// `,M3.5.0/3`
fn day(rest: &mut &[u8]) -> Option<Day> {
    *rest = rest.strip_prefix(b",")?;
    let date = match rest.first()? {
        b'M' => {
            let mut parts = [0_u8; 3];
            for part in &mut parts {
                *rest = rest.get(1..)?;
                *part = u8::try_from(number(rest)?).ok()?;
            }
            let [month, week, weekday] = parts;
            let fits = (1..=12).contains(&month) && (1..=5).contains(&week) && weekday <= 6;
            fits.then_some(Date::Weekday { month, week, weekday })?
        }
        b'J' => {
            *rest = rest.get(1..)?;
            Date::Julian(u16::try_from(number(rest)?).ok()?)
        }
        _ => Date::Ordinal(u16::try_from(number(rest)?).ok()?),
    };
    let time = match rest.strip_prefix(b"/") {
        None => 2 * 3600,
        Some(behind) => {
            *rest = behind;
            seconds(rest)?
        }
    };
    Some(Day { date, time })
}

/// At most three digits: no number in a rule is longer.
fn number(rest: &mut &[u8]) -> Option<i32> {
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    (1..=3).contains(&length).then_some(())?;
    Some(
        digits
            .iter()
            .fold(0, |number, &digit| number * 10 + i32::from(digit - b'0')),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: &str, utc: &str, want_hours: f64) {
        let zone = Zone::from_rule(rule.as_bytes()).unwrap();
        let part = |range: core::ops::Range<usize>| utc[range].parse().unwrap();
        let civil = Civil {
            year: utc[..4].parse().unwrap(),
            month: part(5..7),
            day: part(8..10),
            hour: part(11..13),
            minute: part(14..16),
            second: 0,
        };
        let hours = f64::from(zone.offset(civil.to_wall())) / 3600.0;
        assert!((hours - want_hours).abs() < 1e-9, "{rule} at {utc}: {hours}");
    }

    #[test]
    fn rules_change_the_offset_to_the_minute() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        check(berlin, "2026-03-29 00:59", 1.0);
        check(berlin, "2026-03-29 01:00", 2.0);
        check(berlin, "2026-10-25 00:59", 2.0);
        check(berlin, "2026-10-25 01:00", 1.0);
        check("EST5EDT,M3.2.0,M11.1.0", "2026-03-08 06:59", -5.0);
        check("EST5EDT,M3.2.0,M11.1.0", "2026-03-08 07:00", -4.0);
        check("AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01 00:00", 11.0);
        check("AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-07-01 00:00", 10.0);
        check("<+0330>-3:30", "2026-07-01 00:00", 3.5);
        check("UTC0", "2040-07-01 00:00", 0.0);
        check("XXX3YYY,J60,300/1", "2024-03-01 12:00", -2.0);
        check("XXX3YYY,J60,300/1", "2024-02-29 12:00", -3.0);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "CET",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "C-1",
            "CET-1CEST,M13.5.0,M1.1.1",
            "CET-1 x",
            "<+03-3",
        ] {
            assert_eq!(Zone::from_rule(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_zone_file_is_read_and_a_cut_one_refused_or_read_alike() {
        let mut file = Vec::new();
        let header = |times: u32| {
            let mut bytes = b"TZif2".to_vec();
            bytes.extend([0; 15]);
            for count in [0, 0, 0, times, 2, 8] {
                bytes.extend(u32::to_be_bytes(count));
            }
            bytes
        };
        let types = [
            &3600_i32.to_be_bytes()[..],
            &[0, 0],
            &7200_i32.to_be_bytes()[..],
            &[1, 4],
            b"CET\0CST\0",
        ]
        .concat();
        file.extend(header(0));
        file.extend(&types);
        file.extend(header(2));
        file.extend(1_000_000_i64.to_be_bytes());
        file.extend(2_000_000_i64.to_be_bytes());
        file.extend([1, 0]);
        file.extend(&types);
        file.extend(b"\nCET-1CEST,M3.5.0,M10.5.0/3\n");
        let zone = Zone::from_file(&file).unwrap();
        let offset = |utc| zone.offset(Wall(utc));
        assert_eq!(
            [offset(0), offset(1_500_000), offset(1_795_351_367)],
            [3600, 7200, 3600]
        );
        assert_eq!(zone.local(Wall(1_795_351_367)), Wall(1_795_351_367 + 3600));
        for length in 0..file.len() {
            let _ = Zone::from_file(&file[..length]);
        }
    }
}
