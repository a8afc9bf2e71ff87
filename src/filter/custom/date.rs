//! Dates wherever they stand in a line: fail2ban takes the date out before it matches the rest, and so do we.
//!
//! The shapes are those of the logs that fail2ban knows without a `datepattern`. A date is looked for at the
//! beginning of the line first, behind at most two bytes such as `[`, then at every word.

use super::super::cursor::Cursor;
use super::super::stamp::{self, Context};
use crate::time::Wall;

/// A date in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its first byte.
    pub(super) start: usize,
    /// The byte behind it.
    pub(super) end: usize,
    /// What it says, in the log's local time, if there is such a day.
    pub(super) at: Option<Wall>,
}

/// What a date says; what it leaves out is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) year: Option<i32>,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    /// `PM` or `AM`.
    pub(super) afternoon: Option<bool>,
    /// Seconds ahead of UTC.
    pub(super) zone: Option<i64>,
}

/// A piece of a shape.
#[derive(Clone, Copy)]
enum Part {
    Year,
    /// Two digits: this century's.
    ShortYear,
    Month,
    MonthName,
    /// `Sun `, perhaps.
    WeekDay,
    Day,
    Hour,
    Minute,
    Second,
    /// A fraction behind one of these, perhaps.
    Fraction(&'static [u8]),
    /// A zone, perhaps behind blanks.
    Zone,
    /// ` 2026`, perhaps.
    LateYear,
    /// AM or PM.
    Half,
    /// One of these, and the same at every `Same`.
    Mark(&'static [u8]),
    Same,
    Text(&'static [u8]),
    /// `T` or one or two blanks, or nothing if the digits may follow each other.
    Gap(bool),
}

use Part::{
    Day, Fraction, Gap, Half, Hour, LateYear, Mark, Minute, Month, MonthName, Same, Second, ShortYear, Text,
    WeekDay, Year, Zone,
};

const C: Part = Text(b":");

/// Dates that may stand anywhere.
#[rustfmt::skip]
const SHAPES: [&[Part]; 10] = [
    // 2026-11-22T10:58:02.868+01:00, 2026/11/22 10:58:02
    &[Year, Mark(b"-/."), Month, Same, Day, Gap(false), Hour, C, Minute, C, Second, Fraction(b".,"), Zone],
    // Nov 22 10:58:02, Sun Nov 22 10:58:02.123 2026
    &[WeekDay, MonthName, Text(b" "), Day, Text(b" "), Hour, C, Minute, C, Second, Fraction(b"."), LateYear],
    // Nov 22 2026 10:58:02
    &[WeekDay, MonthName, Text(b" "), Day, LateYear, Text(b" "), Hour, C, Minute, C, Second, Fraction(b".")],
    // 22/Nov/2026:10:58:02 +0100, 22-Nov-2026 10:58:02.123
    &[Day, Mark(b"-/"), MonthName, Same, Year, Mark(b": "), Hour, C, Minute, C, Second, Fraction(b"."), Zone],
    // 22/11/2026 10:58:02
    &[Day, Mark(b"-/"), Month, Same, Year, Text(b" "), Hour, C, Minute, C, Second],
    // 22/11/26 10:58:02
    &[Day, Mark(b"-/"), Month, Same, ShortYear, Text(b" "), Hour, C, Minute, C, Second],
    // 11/22/2026:10:58:02
    &[Month, Text(b"/"), Day, Text(b"/"), Year, C, Hour, C, Minute, C, Second],
    // Nov 22, 2026 10:58:02 AM
    &[MonthName, Text(b" "), Day, Text(b", "), Year, Text(b" "), Hour, C, Minute, C, Second, Half],
    // 20261122T105802
    &[Year, Month, Day, Gap(true), Hour, Minute, Second, Fraction(b".,"), Zone],
    // <11/22/26@10:58:02>
    &[
        Text(b"<"), Month, Text(b"/"), Day, Text(b"/"), ShortYear, Text(b"@"),
        Hour, C, Minute, C, Second, Text(b">"),
    ],
];

/// The date at the beginning of the line, or, unless `begin_only`, the first one in it.
pub(super) fn find(line: &[u8], begin_only: bool, context: &Context) -> Option<Found> {
    let begins = |skip: &usize| line.get(..*skip).is_some_and(|head| !head.iter().any(is_word));
    let early = (0..=2).take_while(begins).find_map(|start| {
        let rest = line.get(start..)?;
        let (length, at) = shaped(rest, context)
            .or_else(|| epoch(rest, context))
            .or_else(|| tai(rest, context))?;
        bounded(line, start, start + length, at)
    });
    if early.is_some() || begin_only {
        return early;
    }
    (1..line.len()).find_map(|start| {
        let rest = line.get(start..)?;
        let first = rest.first()?;
        // Every shape begins with a digit, a capital or <; the first digit of a day may be a blank.
        let may_begin = first.is_ascii_digit() || first.is_ascii_uppercase() || *first == b'<';
        if !may_begin || line.get(start - 1).is_some_and(is_word) {
            return None;
        }
        let audit = || {
            epoch(rest, context).filter(|_| line.get(..start).is_some_and(|head| head.ends_with(b"audit(")))
        };
        let (length, at) = shaped(rest, context).or_else(audit)?;
        bounded(line, start, start + length, at)
    })
}

/// The date that a text begins with, in one of the shapes that may stand anywhere.
pub(super) fn shaped(text: &[u8], context: &Context) -> Option<(usize, Option<Wall>)> {
    SHAPES.iter().find_map(|shape| {
        let mut cursor = Cursor::new(text);
        let mut fields = Fields::default();
        let mut mark = 0;
        for part in *shape {
            take(*part, &mut cursor, &mut fields, &mut mark)?;
        }
        Some((text.len() - cursor.rest().len(), fields.wall(context)))
    })
}

/// `1795350638`, `1795350638.123`, or milliseconds.
pub(super) fn epoch(text: &[u8], context: &Context) -> Option<(usize, Option<Wall>)> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits != 10 && digits != 13 {
        return None;
    }
    let seconds = core::str::from_utf8(text.get(..10)?).ok()?.parse::<i64>().ok()?;
    let mut cursor = Cursor::new(text.get(digits..)?);
    fraction(&mut cursor, b".");
    let wall = Wall(seconds.saturating_add(i64::from(context.utc_offset_s)));
    Some((text.len() - cursor.rest().len(), Some(wall)))
}

/// `@` and 24 hexadecimal digits: multilog's TAI64N (cr.yp.to/libtai/tai64.html), ten seconds ahead of UTC
/// in 1970.
pub(super) fn tai(text: &[u8], context: &Context) -> Option<(usize, Option<Wall>)> {
    const LENGTH: usize = 25;
    let digits = text.get(..LENGTH)?.strip_prefix(b"@")?;
    let digits = core::str::from_utf8(digits)
        .ok()
        .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let label = u64::from_str_radix(digits.get(..16)?, 16).ok()?;
    let seconds = label
        .checked_sub((1 << 62) + 10)
        .and_then(|seconds| i64::try_from(seconds).ok())?;
    let wall = Wall(seconds.saturating_add(i64::from(context.utc_offset_s)));
    Some((LENGTH, Some(wall)))
}

impl Fields {
    /// The instant, in local time.
    pub(super) fn wall(self, context: &Context) -> Option<Wall> {
        let hour = match self.afternoon {
            None => self.hour,
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
        };
        let time = [hour, self.minute, self.second];
        let Some(year) = self.year else {
            return stamp::in_latest_year(self.month, self.day, time, context);
        };
        let wall = stamp::civil(year, self.month, self.day, time)?.to_wall();
        match self.zone {
            None => Some(wall),
            Some(ahead_s) => Some(Wall(wall.0 - ahead_s + i64::from(context.utc_offset_s))),
        }
    }
}

/// 1 to 12 for a month's English name, of which the first three letters count.
pub(super) fn month(name: &[u8]) -> Option<u32> {
    let name = name.get(..3)?;
    let at = stamp::MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(name))?;
    u32::try_from(at).ok().map(|at| at + 1)
}

/// Whether such a byte belongs to a word, as Python's `\w` has it.
pub(super) fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80
}

/// The date, unless a word goes on behind it.
fn bounded(line: &[u8], start: usize, end: usize, at: Option<Wall>) -> Option<Found> {
    let inside_word = line.get(end).is_some_and(is_word) && line.get(end - 1).is_some_and(is_word);
    (!inside_word).then_some(Found { start, end, at })
}

fn take(part: Part, cursor: &mut Cursor<'_>, fields: &mut Fields, mark: &mut u8) -> Option<()> {
    match part {
        Year => fields.year = Some(i32::try_from(stamp::digits(cursor, 4)?).ok()?),
        ShortYear => fields.year = Some(2000 + i32::try_from(stamp::digits(cursor, 2)?).ok()?),
        Month => fields.month = number(cursor, 1..=12)?,
        MonthName => fields.month = month(cursor.token(3, |byte| byte.is_ascii_alphabetic())?)?,
        WeekDay => {
            let name = cursor.rest().get(..3).unwrap_or_default();
            if stamp::DAYS.contains(&name) && cursor.rest().get(3) == Some(&b' ') {
                cursor.literal(name)?;
                cursor.literal(b" ")?;
            }
        }
        Day => {
            let _ = cursor.literal(b" ");
            fields.day = number(cursor, 1..=31)?;
        }
        Hour => fields.hour = number(cursor, 0..=23)?,
        Minute => fields.minute = stamp::digits(cursor, 2).filter(|&minute| minute < 60)?,
        Second => fields.second = stamp::digits(cursor, 2).filter(|&second| second <= 60)?,
        Fraction(marks) => fraction(cursor, marks),
        Zone => {
            let mut ahead = *cursor;
            while ahead.literal(b" ").is_some() {}
            let zone = stamp::zone(&mut ahead).filter(|_| !ahead.rest().first().is_some_and(is_word));
            if let Some(zone) = zone {
                fields.zone = Some(zone);
                *cursor = ahead;
            }
        }
        LateYear => {
            let mut ahead = *cursor;
            let year = ahead.literal(b" ").and_then(|()| stamp::digits(&mut ahead, 4));
            if let Some(year) = year.filter(|_| !ahead.rest().first().is_some_and(is_word)) {
                fields.year = i32::try_from(year).ok();
                *cursor = ahead;
            }
        }
        Half => {
            cursor.literal(b" ")?;
            let half = cursor.token(2, |byte| byte.is_ascii_alphabetic())?;
            fields.afternoon = Some(half.eq_ignore_ascii_case(b"PM"));
        }
        Mark(marks) => {
            *mark = *cursor.rest().first().filter(|byte| marks.contains(byte))?;
            cursor.literal(&[*mark])?;
        }
        Same => cursor.literal(&[*mark])?,
        Text(text) => cursor.literal(text)?,
        Gap(none) => {
            let gap = cursor
                .literal(b"T")
                .or_else(|| cursor.literal(b"  "))
                .or_else(|| cursor.literal(b" "));
            if !none {
                gap?;
            }
        }
    }
    Some(())
}

/// One or two digits; in a row of digits, two.
fn number(cursor: &mut Cursor<'_>, range: core::ops::RangeInclusive<u32>) -> Option<u32> {
    let two = stamp::digits(&mut cursor.clone(), 2);
    let number = stamp::digits(cursor, if two.is_some() { 2 } else { 1 })?;
    range.contains(&number).then_some(number)
}

fn fraction(cursor: &mut Cursor<'_>, marks: &[u8]) {
    let mut ahead = *cursor;
    let marked = marks.iter().any(|&mark| ahead.literal(&[mark]).is_some());
    if marked && ahead.token(9, |byte| byte.is_ascii_digit()).is_some() {
        *cursor = ahead;
    }
}
