//! The date at the head of a line, in the log's own (local) time.
//!
//! Asterisk's `dateformat` (logger.conf) is free; these are read: `Nov 22 12:49:43` (the default, `%b %e %T`),
//! `2026-11-22 12:27:11` (`%F %T`), with `.980` or `.048045` behind it, ISO 8601 with or without a zone,
//! `Sun Nov 22 12:21:49 2026` (`%c`, and OpenWrt's logread), and `1795350638` (`%s`). Any other date gives
//! `None`, and the line counts when it is read.

use super::cursor::Cursor;
use crate::time::{Civil, Wall};

/// What a stamp leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The time now, or of the file's last change, in local time: a stamp without a year gets the latest year
    /// that does not put it more than a day behind this.
    pub today: Wall,
    /// Seconds that local time is ahead of UTC, for stamps that name their zone or are in UTC by nature.
    pub utc_offset_s: i32,
}

/// Reads a stamp.
pub(crate) fn parse(text: &[u8], context: &Context) -> Option<Wall> {
    match text {
        [b'0'..=b'9', _, _, _, b'-', ..] => iso(text, context),
        [b'0'..=b'9', ..] => epoch(text, context),
        _ => named_month(text, context),
    }
}

/// `2026-11-22 12:27:11.980`, `2026-11-22T12:30:00+0000`
fn iso(text: &[u8], context: &Context) -> Option<Wall> {
    let mut cursor = Cursor::new(text);
    let year = i32::try_from(digits(&mut cursor, 4)?).ok()?;
    cursor.literal(b"-")?;
    let month = digits(&mut cursor, 2)?;
    cursor.literal(b"-")?;
    let day = digits(&mut cursor, 2)?;
    cursor.literal(b" ").or_else(|| cursor.literal(b"T"))?;
    let wall = civil(year, month, day, clock(&mut cursor)?)?.to_wall();
    if cursor.literal(b".").is_some() || cursor.literal(b",").is_some() {
        cursor.token(9, |byte| byte.is_ascii_digit())?;
    }
    if cursor.ends().is_some() {
        return Some(wall);
    }
    let ahead_s = zone(&mut cursor)?;
    cursor.ends()?;
    Some(Wall(wall.0 - ahead_s + i64::from(context.utc_offset_s)))
}

/// `Z`, `+0100`, `+01:00`, as seconds ahead of UTC.
pub(super) fn zone(cursor: &mut Cursor<'_>) -> Option<i64> {
    if cursor.literal(b"Z").is_some() {
        return Some(0);
    }
    let west = cursor.literal(b"-").is_some();
    if !west {
        cursor.literal(b"+")?;
    }
    let hours = digits(cursor, 2)?;
    let _ = cursor.literal(b":");
    let minutes = digits(cursor, 2)?;
    let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
    Some(if west { -seconds } else { seconds })
}

/// `1795350638`, in UTC by nature.
fn epoch(text: &[u8], context: &Context) -> Option<Wall> {
    let mut cursor = Cursor::new(text);
    let seconds = i64::try_from(cursor.number()?).ok()?;
    if cursor.literal(b".").is_some() {
        cursor.token(9, |byte| byte.is_ascii_digit())?;
    }
    cursor.ends()?;
    Some(Wall(seconds + i64::from(context.utc_offset_s)))
}

/// `Nov 22 12:49:43`, `Sun Nov 22 12:21:49 2026`
fn named_month(text: &[u8], context: &Context) -> Option<Wall> {
    let mut cursor = Cursor::new(text);
    let mut month = month(&mut cursor);
    if month.is_none() {
        let day = cursor.token(3, |byte| byte.is_ascii_alphabetic())?;
        cursor.literal(b" ")?;
        month = DAYS.contains(&day).then(|| self::month(&mut cursor)).flatten();
    }
    let month = month?;
    cursor.literal(b" ")?;
    let _ = cursor.literal(b" ");
    let day = u32::try_from(cursor.number()?).ok()?;
    cursor.literal(b" ")?;
    let time = clock(&mut cursor)?;
    if cursor.literal(b".").is_some() {
        cursor.token(9, |byte| byte.is_ascii_digit())?;
    }
    if cursor.literal(b" ").is_some() {
        let year = i32::try_from(digits(&mut cursor, 4)?).ok()?;
        cursor.ends()?;
        return Some(civil(year, month, day, time)?.to_wall());
    }
    cursor.ends()?;
    in_latest_year(month, day, time, context)
}

/// A date without its year, in the latest year that does not put it into the future.
pub(super) fn in_latest_year(month: u32, day: u32, time: [u32; 3], context: &Context) -> Option<Wall> {
    let latest = context.today.0.saturating_add(AHEAD_S_MAX);
    let this_year = Wall(latest).to_civil().year;
    // Leap days are up to eight years apart (1896, 1904; 2096, 2104).
    (0..=8)
        .filter_map(|ago| civil(this_year - ago, month, day, time))
        .map(Civil::to_wall)
        .find(|wall| wall.0 <= latest)
}

/// `Nov`, 1 to 12. A comparison of three bytes each: every line of a flood has one.
fn month(cursor: &mut Cursor<'_>) -> Option<u32> {
    let name = cursor.rest().first_chunk::<3>()?;
    let month = match name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    cursor.literal(name)?;
    Some(month)
}

/// `12:49:43`
fn clock(cursor: &mut Cursor<'_>) -> Option<[u32; 3]> {
    let hour = digits(cursor, 2)?;
    cursor.literal(b":")?;
    let minute = digits(cursor, 2)?;
    cursor.literal(b":")?;
    Some([hour, minute, digits(cursor, 2)?])
}

/// Exactly `count` digits.
pub(super) fn digits(cursor: &mut Cursor<'_>, count: usize) -> Option<u32> {
    let text = cursor.rest().get(..count)?;
    let mut value = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u32::from(digit);
    }
    cursor.literal(text)?;
    Some(value)
}

pub(super) fn civil(year: i32, month: u32, day: u32, [hour, minute, second]: [u32; 3]) -> Option<Civil> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day == 0 || day > days || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(Civil {
        year,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
        hour: u8::try_from(hour).ok()?,
        minute: u8::try_from(minute).ok()?,
        second: u8::try_from(second).ok()?,
    })
}

/// How far ahead of us the clock of a log may be: a day, for a log host in another zone.
const AHEAD_S_MAX: i64 = 86_400;

pub(super) const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

pub(super) const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `today` is 2026-11-22 12:00:00, one hour ahead of UTC.
    fn check(text: &str, want: &str) {
        let context = Context {
            today: Wall(1_795_348_800),
            utc_offset_s: 3600,
        };
        let got = parse(text.as_bytes(), &context);
        assert_eq!(
            got.map_or(String::from("-"), |wall| wall.to_string()),
            want,
            "{text}"
        );
    }

    #[test]
    fn every_format_of_the_lab_is_read() {
        check("Nov 22 12:49:43", "2026-11-22 12:49:43");
        check("Nov  2 02:05:01", "2026-11-02 02:05:01");
        check("2026-11-22 12:27:11", "2026-11-22 12:27:11");
        check("2026-11-22 12:27:52.980", "2026-11-22 12:27:52");
        check("2026-11-22 12:29:23.048045", "2026-11-22 12:29:23");
        check("2026-11-22T12:30:00+0000", "2026-11-22 13:30:00");
        check("2026-11-22T12:30:00-05:30", "2026-11-22 19:00:00");
        check("2026-11-22T12:30:00.123456Z", "2026-11-22 13:30:00");
        check("1795350638", "2026-11-22 13:30:38");
        check("Sun Nov 22 12:21:49 2026", "2026-11-22 12:21:49");
        check("Nov 22 11:21:11.868428", "2026-11-22 11:21:11");
    }

    #[test]
    fn a_stamp_without_a_year_is_not_in_the_future() {
        check("Nov 23 11:59:59", "2026-11-23 11:59:59");
        check("Nov 23 12:00:01", "2025-11-23 12:00:01");
        check("Dec 31 23:59:59", "2025-12-31 23:59:59");
        check("Jan  1 00:00:00", "2026-01-01 00:00:00");
        check("Feb 29 10:00:00", "2024-02-29 10:00:00");
    }

    #[test]
    fn anything_else_is_no_stamp() {
        for text in [
            "",
            "x",
            "Nov 31 10:00:00",
            "Nov 0 10:00:00",
            "Now 22 10:00:00",
            "Nov 22 24:00:00",
            "Nov 22 10:00:00 20",
            "Nov 22 10:00:00 2026 x",
            "2026-13-01 10:00:00",
            "2026-02-29 10:00:00",
            "2026-11-22 12:27",
            "2026-11-22 12:27:11 x",
            "2026-11-22T12:30:00+1",
            "17953506381795350638",
            "1795350638x",
            "22/11/2026 10:00:00",
            "Nov  22 a0:00:00",
        ] {
            check(text, "-");
        }
    }
}
