//! `dateformat`: can the stamps of the lines be read?
//!
//! The question is put to the filter itself: known instants are rendered as Asterisk would, and lines with
//! them are read.

use crate::filter::asterisk::Asterisk;
use crate::filter::{Context, Reading, Trail};
use crate::time::{Civil, Wall};

/// What becomes of lines with such a date, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// They are read, and their time is right.
    Fine,
    /// They are read when they come, but their time is not.
    Undated,
    /// SECURITY events are not believed.
    SecurityLost,
    /// They are not read.
    Lost,
    /// The format has something that depends on more than the time.
    Unknown,
}

/// Judges a format.
pub(super) fn judge(format: &[u8]) -> Verdict {
    // Both halves of the day; days and months of one and of two digits.
    let instants = [Wall(1_772_424_306), Wall(1_795_381_663)];
    let verdicts = instants.map(|at| judge_at(format, at));
    verdicts.into_iter().max().unwrap_or(Verdict::Unknown)
}

fn judge_at(format: &[u8], at: Wall) -> Verdict {
    let Some(date) = render(format, at) else {
        return Verdict::Unknown;
    };
    if date.contains(&b'\n') {
        return Verdict::Lost;
    }
    let context = Context {
        today: at,
        utc_offset_s: 0,
    };
    let read = |rest: &[u8]| {
        let line = [b"[", &date[..], b"] ", rest].concat();
        match Asterisk.read(&line, &mut Trail::default(), &context) {
            Reading::Failure(failure) => Some(failure.at),
            Reading::Nothing | Reading::Sign(_) | Reading::Suspicious(_) => None,
        }
    };
    match (read(NOTICE), read(SECURITY)) {
        (None, _) => Verdict::Lost,
        (Some(_), None) => Verdict::SecurityLost,
        (Some(stamp), Some(_)) if stamp == Some(at) => Verdict::Fine,
        (Some(_), Some(_)) => Verdict::Undated,
    }
}

/// strftime(3) in the C locale and UTC, with Asterisk's `%3q` (`main/stdtime/localtime.c`). `None` for week
/// numbers and what else nobody puts into a log.
fn render(format: &[u8], at: Wall) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut rest = format.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            text.push(byte);
            continue;
        }
        let mut letter = rest.next()?;
        let mut flag = None;
        if matches!(letter, b'-' | b'_' | b'0'..=b'9') {
            flag = Some(letter);
            letter = rest.next()?;
        }
        text.extend_from_slice(conversion(letter, flag, at)?.as_bytes());
    }
    // The buffers of `main/logger.c` hold 256 bytes.
    (text.len() < 256).then_some(text)
}

fn conversion(letter: u8, flag: Option<u8>, at: Wall) -> Option<String> {
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = at.to_civil();
    let weekday = (at.0.div_euclid(86_400) + 4).rem_euclid(7);
    let new_year = Civil {
        year,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
    };
    let half = if hour % 12 == 0 { 12 } else { hour % 12 };
    let whole = |format: &[u8]| String::from_utf8(render(format, at)?).ok();
    let zeros = |number: i64, width: usize| Some(padded(number, width, flag.unwrap_or(b'0')));
    let blanks = |number: u8| Some(padded(number.into(), 2, flag.unwrap_or(b'_')));
    match letter {
        b'q' => {
            let digits = flag
                .filter(u8::is_ascii_digit)
                .map_or(3, |digit| usize::from(digit - b'0'));
            Some("123456789".chars().take(digits).collect())
        }
        b'1'..=b'9' => None,
        _ if matches!(flag, Some(b'1'..=b'9')) => None,
        b'Y' => Some(year.to_string()),
        b'C' => zeros((year / 100).into(), 2),
        b'y' => zeros((year % 100).into(), 2),
        b'm' => zeros(month.into(), 2),
        b'd' => zeros(day.into(), 2),
        b'H' => zeros(hour.into(), 2),
        b'I' => zeros(half.into(), 2),
        b'M' => zeros(minute.into(), 2),
        b'S' => zeros(second.into(), 2),
        b'j' => zeros((at.0 - new_year.to_wall().0) / 86_400 + 1, 3),
        b'e' => blanks(day),
        b'k' => blanks(hour),
        b'l' => blanks(half),
        b's' => Some(at.0.to_string()),
        b'u' => Some((if weekday == 0 { 7 } else { weekday }).to_string()),
        b'w' => Some(weekday.to_string()),
        b'a' | b'A' => name(&DAYS, weekday, letter == b'a'),
        b'b' | b'h' | b'B' => name(&MONTHS, i64::from(month) - 1, letter != b'B'),
        b'p' => Some(if hour < 12 { "AM" } else { "PM" }.to_owned()),
        b'P' => Some(if hour < 12 { "am" } else { "pm" }.to_owned()),
        b'z' => Some("+0000".to_owned()),
        b'Z' => Some("UTC".to_owned()),
        b'F' => whole(b"%Y-%m-%d"),
        b'T' | b'X' => whole(b"%H:%M:%S"),
        b'R' => whole(b"%H:%M"),
        b'r' => whole(b"%I:%M:%S %p"),
        b'D' | b'x' => whole(b"%m/%d/%y"),
        b'c' => whole(b"%a %b %e %H:%M:%S %Y"),
        b'%' => Some("%".to_owned()),
        b'n' => Some("\n".to_owned()),
        b't' => Some("\t".to_owned()),
        _ => None,
    }
}

fn padded(number: i64, width: usize, flag: u8) -> String {
    match flag {
        b'-' => number.to_string(),
        b'_' => format!("{number:>width$}"),
        _ => format!("{number:0>width$}"),
    }
}

fn name(names: &[&str], index: i64, short: bool) -> Option<String> {
    let name = names.get(usize::try_from(index).ok()?)?;
    Some(name.chars().take(if short { 3 } else { usize::MAX }).collect())
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const NOTICE: &[u8] =
    b"NOTICE[6918] chan_sip.c: Registration from '<sip:1@192.0.2.1>' failed for '198.51.100.66:5060' \
    - Wrong password";

const SECURITY: &[u8] = b"SECURITY[6918] res_security_log.c: SecurityEvent=\"InvalidAccountID\",\
    EventTV=\"2026-11-22T11:23:41.615+0000\",Severity=\"Error\",Service=\"PJSIP\",EventVersion=\"1\",\
    AccountID=\"x\",SessionID=\"y\",LocalAddress=\"IPV4/UDP/192.0.2.10/5060\",\
    RemoteAddress=\"IPV4/UDP/198.51.100.66/55066\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, want_text: &str, want: Verdict) {
        let at = Wall(1_795_381_663);
        let text = render(format.as_bytes(), at).map(|text| String::from_utf8(text).unwrap());
        assert_eq!(text.as_deref().unwrap_or("-"), want_text, "{format}");
        assert_eq!(judge(format.as_bytes()), want, "{format}");
    }

    #[test]
    fn formats_that_are_seen_are_fine() {
        check("%b %e %T", "Nov 22 21:07:43", Verdict::Fine);
        check("%F %T", "2026-11-22 21:07:43", Verdict::Fine);
        check("%F %T.%3q", "2026-11-22 21:07:43.123", Verdict::Fine);
        check("%F %T.%6q", "2026-11-22 21:07:43.123456", Verdict::Fine);
        check("%FT%T%z", "2026-11-22T21:07:43+0000", Verdict::Fine);
        check("%Y-%m-%d %H:%M:%S", "2026-11-22 21:07:43", Verdict::Fine);
        check("%s", "1795381663", Verdict::Fine);
        check("%c", "Sun Nov 22 21:07:43 2026", Verdict::Fine);
    }

    #[test]
    fn others_are_read_without_their_time() {
        check("%d/%m/%Y %T", "22/11/2026 21:07:43", Verdict::Undated);
        check("%D %T", "11/22/26 21:07:43", Verdict::Undated);
        check("%b %e %I:%M:%S", "Nov 22 09:07:43", Verdict::Undated);
        check(
            "%A, %B %-d, %r",
            "Sunday, November 22, 09:07:43 PM",
            Verdict::Undated,
        );
        check("%F %R", "2026-11-22 21:07", Verdict::Undated);
        check("day %j, %k", "day 326, 21", Verdict::Undated);
    }

    #[test]
    fn a_date_can_cost_lines() {
        check("%T", "21:07:43", Verdict::SecurityLost);
        check("%F] [%T", "2026-11-22] [21:07:43", Verdict::Lost);
        check("%F%n%T", "2026-11-22\n21:07:43", Verdict::Lost);
    }

    #[test]
    fn what_cannot_be_rendered_is_not_judged() {
        check("%V", "-", Verdict::Unknown);
        check("%", "-", Verdict::Unknown);
        check("%5d", "-", Verdict::Unknown);
        check(&"%c".repeat(20), "-", Verdict::Unknown);
    }
}
