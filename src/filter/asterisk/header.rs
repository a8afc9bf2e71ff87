//! The line around the message (`main/logger.c`), in every layout:
//!
//! | layout | line |
//! |---|---|
//! | file | `[DATE] LEVEL[LWP][C-00000001] FILE: MESSAGE` |
//! | file, `[plain]` (16 on) | `[DATE] LEVEL[LWP][C-00000001]: FILE:LINE FUNCTION: MESSAGE` |
//! | syslog, behind the daemon's header | `LEVEL[LWP][C-00000001]: FILE:LINE in FUNCTION: MESSAGE` |
//! | file, `[json]` (14.7 on) | [`super::json`] |
//!
//! DATE is free (`dateformat`), but holds no `]`. `[C-…]` stands only in lines of call threads (11 on). The colours
//! of a captured console are refused.

use crate::filter::cursor::{Cursor, find};

/// The levels that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Notice,
    Warning,
    Error,
    Security,
}

/// The files that write what matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    ChanSip,
    ChanIax2,
    Manager,
    Acl,
    Distributor,
    Session,
    PjsipAcl,
    /// The registrar, whose warnings can hold line breaks; none of them is an offence.
    Registrar,
    SecurityLog,
    /// `Ext. NUMBER`: the dialplan.
    Dialplan,
    /// pjproject's own messages, which can hold whole packets.
    Pjproject,
}

/// A record that may matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// The date as written.
    pub(super) stamp: &'a [u8],
    /// The thread that wrote it. A remote sender does not know it.
    pub(super) thread: u32,
    pub(super) level: Level,
    pub(super) file: File,
    pub(super) message: &'a [u8],
}

/// What a line of a log file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A record that may matter.
    Record(Record<'a>),
    /// A record of another level or file, and its thread if the level is one that matters.
    Other(Option<u32>),
    /// A record of level VERBOSE; `true`: pjsip's logger shows a packet.
    Verbose(bool),
    /// No header.
    Bare,
}

/// Reads a line of a file in the classic or the plain layout. `date_bytes` is how long the last date of the file was.
pub(super) fn file_line<'a>(line: &'a [u8], date_bytes: &mut u8) -> Line<'a> {
    let Some((stamp, rest)) = date(line, date_bytes) else {
        return Line::Bare;
    };
    let (level, rest) = match level(rest) {
        Some((Some(level), rest)) => (level, rest),
        Some((None, rest)) => return Line::Verbose(shows_packet(rest)),
        None => return Line::Other(None),
    };
    let mut cursor = Cursor::new(rest);
    let Some(thread) = thread(&mut cursor) else {
        return Line::Other(None);
    };
    let Some((file, message)) = file_and_message(cursor) else {
        return Line::Other(Some(thread));
    };
    Line::Record(Record {
        stamp,
        thread,
        level,
        file,
        message,
    })
}

/// ` FILE: MESSAGE` or `: FILE:LINE FUNCTION: MESSAGE`
fn file_and_message(mut cursor: Cursor<'_>) -> Option<(File, &[u8])> {
    let plain = cursor.literal(b":").is_some();
    cursor.literal(b" ")?;
    let file = file(&mut cursor)?;
    if plain {
        place(&mut cursor, b" ")?;
    }
    cursor.literal(b": ")?;
    Some((file, cursor.rest()))
}

/// Reads what stands behind the syslog daemon's header; `None` for whatever does not matter.
pub(super) fn syslog_message<'a>(stamp: &'a [u8], message: &'a [u8]) -> Option<Record<'a>> {
    let (level, rest) = level(message)?;
    let level = level?;
    let mut cursor = Cursor::new(rest);
    let thread = thread(&mut cursor)?;
    cursor.literal(b": ")?;
    let file = file(&mut cursor)?;
    place(&mut cursor, b" in ")?;
    cursor.literal(b": ")?;
    Some(Record {
        stamp,
        thread,
        level,
        file,
        message: cursor.rest(),
    })
}

/// `[DATE] `
pub(super) fn date<'a>(line: &'a [u8], date_bytes: &mut u8) -> Option<(&'a [u8], &'a [u8])> {
    let inside = line.strip_prefix(b"[")?;
    if let Some((stamp, [b']', b' ', rest @ ..])) = inside.split_at_checked(usize::from(*date_bytes)) {
        return Some((stamp, rest));
    }
    let end = memchr::memchr(b']', inside.get(..DATE_BYTES_MAX).unwrap_or(inside))?;
    *date_bytes = u8::try_from(end).ok()?;
    let (stamp, rest) = inside.split_at_checked(end)?;
    Some((stamp, rest.strip_prefix(b"] ")?))
}

/// Longest date: strftime's buffer in `logger.c` is 256 bytes, sensible formats need 35.
const DATE_BYTES_MAX: usize = 128;

/// `LEVEL[`; the inner `None` is VERBOSE, the outer one any level that does not matter. Every level that matters has
/// eight bytes with its bracket and what a thread has at least, so that one comparison of a word tells it.
#[inline]
fn level(text: &[u8]) -> Option<(Option<Level>, &[u8])> {
    const VERBOSE: u64 = u64::from_le_bytes(*b"VERBOSE[");
    const NOTICE: u64 = u64::from_le_bytes(*b"NOTICE[\0");
    const SECURITY: u64 = u64::from_le_bytes(*b"SECURITY");
    const WARNING: u64 = u64::from_le_bytes(*b"WARNING[");
    const ERROR: u64 = u64::from_le_bytes(*b"ERROR[\0\0");
    let (chunk, rest) = text.split_first_chunk::<8>()?;
    let word = u64::from_le_bytes(*chunk);
    let (level, rest) = match word {
        VERBOSE => return Some((None, rest)),
        SECURITY => (Level::Security, rest.strip_prefix(b"[")?),
        WARNING => (Level::Warning, rest),
        _ if word & (u64::MAX >> 8) == NOTICE => (Level::Notice, text.get(7..)?),
        _ if word & (u64::MAX >> 16) == ERROR => (Level::Error, text.get(6..)?),
        _ => return None,
    };
    Some((Some(level), rest))
}

/// The level of the same name without a bracket, for `[json]`.
pub(super) fn level_named(name: &[u8]) -> Option<Level> {
    match name {
        b"NOTICE" => Some(Level::Notice),
        b"WARNING" => Some(Level::Warning),
        b"ERROR" => Some(Level::Error),
        b"SECURITY" => Some(Level::Security),
        _ => None,
    }
}

/// `LWP]` and, if it is there, `[C-00000001]`.
#[inline]
fn thread(cursor: &mut Cursor<'_>) -> Option<u32> {
    let thread = u32::try_from(cursor.number()?).ok()?;
    cursor.literal(b"]")?;
    if cursor.literal(b"[").is_some() {
        cursor.literal(b"C-")?;
        cursor.token(16, |byte| byte.is_ascii_hexdigit())?;
        cursor.literal(b"]")?;
    }
    Some(thread)
}

/// The file's name, taken off if it is one of ours.
pub(super) fn file(cursor: &mut Cursor<'_>) -> Option<File> {
    match cursor.rest() {
        [b'c', b'h', b'a', b'n', b'_', b's', ..] => named(cursor, b"chan_sip.c", File::ChanSip),
        [b'c', ..] => named(cursor, b"chan_iax2.c", File::ChanIax2),
        [b'm', ..] => named(cursor, b"manager.c", File::Manager),
        [b'a', ..] => named(cursor, b"acl.c", File::Acl),
        [b'p', ..] => named(cursor, b"pjproject", File::Pjproject),
        [b'E', ..] => dialled(cursor),
        [b'r', b'e', b's', b'_', b's', ..] => named(cursor, b"res_security_log.c", File::SecurityLog),
        [b'r', b'e', b's', b'_', b'p', b'j', b's', b'i', b'p', rest @ ..] => match rest {
            [b'/', ..] => named(cursor, b"res_pjsip/pjsip_distributor.c", File::Distributor),
            [b'_', b'a', ..] => named(cursor, b"res_pjsip_acl.c", File::PjsipAcl),
            [b'_', b's', ..] => named(cursor, b"res_pjsip_session.c", File::Session),
            [b'_', b'r', ..] => named(cursor, b"res_pjsip_registrar.c", File::Registrar),
            _ => None,
        },
        _ => None,
    }
}

/// The length is part of the type so that the comparison needs no call.
#[inline]
fn named<const LENGTH: usize>(cursor: &mut Cursor<'_>, name: &[u8; LENGTH], file: File) -> Option<File> {
    cursor.literal(name)?;
    Some(file)
}

/// `Ext. 0123`: the dialled number is the caller's choice, so only what a number may be made of.
fn dialled(cursor: &mut Cursor<'_>) -> Option<File> {
    cursor.literal(b"Ext. ")?;
    cursor.token(80, |byte| {
        byte.is_ascii_alphanumeric() || b"+*#._-".contains(&byte)
    })?;
    Some(File::Dialplan)
}

/// `:LINE`, `between`, `FUNCTION`. pjproject's function is `<?>`, the dialplan's is `@ ` and its context (`log_exec` in
/// `apps/app_verbose.c`).
fn place(cursor: &mut Cursor<'_>, between: &[u8]) -> Option<()> {
    cursor.literal(b":")?;
    cursor.number()?;
    cursor.literal(between)?;
    let _ = cursor.literal(b"@ ");
    cursor.token(80, |byte| {
        byte.is_ascii_alphanumeric() || b"_-.<>?".contains(&byte)
    })?;
    Some(())
}

/// Where the first blank is, if it is near: eight bytes at a time, without a call. A byte of `word` is zero where the
/// text has it, and the lowest such byte is exact (the borrow only spoils higher ones).
#[inline]
fn blank(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let mut rest = text;
    let mut at = 0;
    while at < PLACE_BYTES_MAX {
        let (chunk, after) = rest.split_first_chunk::<8>()?;
        let word = u64::from_le_bytes(*chunk) ^ (ONES * u64::from(b' '));
        let zero = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zero != 0 {
            return Some(at + zero.trailing_zeros() as usize / 8);
        }
        at += 8;
        rest = after;
    }
    None
}

/// More than `LWP][C-00000001]:` of any length takes.
const PLACE_BYTES_MAX: usize = 48;

/// Whether a VERBOSE record is the head of a packet that `sip set debug` or `pjsip set logger on` shows.
#[inline(always)]
pub(super) fn shows_packet(rest: &[u8]) -> bool {
    // Nearly every VERBOSE record is of another file; its name stands behind the first blank.
    matches!(blank(rest).and_then(|at| rest.get(at + 1)), Some(b'c' | b'r')) && is_head_of_packet(rest)
}

/// Whether a VERBOSE record of chan_sip or of pjsip's logger has the mark of a packet.
#[inline(never)]
fn is_head_of_packet(rest: &[u8]) -> bool {
    let mut cursor = Cursor::new(rest);
    let written_by = |cursor: &mut Cursor<'_>| -> Option<()> {
        thread(cursor)?;
        let _ = cursor.literal(b":");
        cursor
            .literal(b" chan_sip.c")
            .or_else(|| cursor.literal(b" res_pjsip_logger.c"))
    };
    // In between stand at most the line, the function and ": ".
    written_by(&mut cursor).is_some()
        && find(cursor.rest().get(..64).unwrap_or(cursor.rest()), b"<--- ").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, want: Option<(File, &str)>) {
        let got = match file_line(line.as_bytes(), &mut 0) {
            Line::Record(record) => Some((record.file, core::str::from_utf8(record.message).unwrap())),
            Line::Other(_) | Line::Verbose(_) | Line::Bare => None,
        };
        assert_eq!(got, want, "{line}");
    }

    #[test]
    fn the_first_blank_is_found_at_every_near_place_and_among_every_byte() {
        for other in [0, 1, 9, b'!', 0x1f, b' ' ^ 0x80, 0xff] {
            let mut bytes = [other; PLACE_BYTES_MAX];
            assert_eq!(blank(&bytes), None);
            for at in (0..bytes.len()).rev() {
                bytes[at] = b' ';
                assert_eq!(blank(&bytes), Some(at), "{other}");
            }
        }
    }

    #[test]
    fn only_the_heads_of_packets_show_packets() {
        let check = |rest: &str, want| assert_eq!(shows_packet(rest.as_bytes()), want, "{rest}");
        for shown in [
            "1] chan_sip.c: <--- SIP read from UDP:192.0.2.1:5060 --->",
            "4294967295][C-0123456789abcdef]: chan_sip.c:1 f: <--- x --->",
            "1][C-00000001] res_pjsip_logger.c: <--- Received SIP request",
        ] {
            check(shown, true);
        }
        for other in [
            "",
            "1] chan_sip.c",
            "1] chan_sip.c: x",
            "1] app_dial.c: <--- x",
            "1]  chan_sip.c: <--- x",
        ] {
            check(other, false);
        }
    }

    #[test]
    fn every_layout_of_a_file_is_read() {
        let sip = Some((File::ChanSip, "x"));
        for date in [
            "Nov 22 12:49:43",
            "2026-11-22 12:27:52.980",
            "2026-11-22T12:30:00+0000",
            "1795350638",
            "",
            "le 22 nov. à midi",
        ] {
            check(&format!("[{date}] NOTICE[6918] chan_sip.c: x"), sip);
            check(&format!("[{date}] NOTICE[6918][C-0000000b] chan_sip.c: x"), sip);
            check(&format!("[{date}] NOTICE[6918]: chan_sip.c:12 f: x"), sip);
            check(
                &format!("[{date}] NOTICE[6918][C-0000000b]: chan_sip.c:12 f: x"),
                sip,
            );
        }
        check("[d] WARNING[1] Ext. s: x", Some((File::Dialplan, "x")));
        check(
            "[d] WARNING[1]: Ext. s:4 @ from-sip-external: x",
            Some((File::Dialplan, "x")),
        );
        check(
            "[d] NOTICE[1] res_pjsip_session.c:  108: y",
            Some((File::Session, " 108: y")),
        );
    }

    #[test]
    fn other_lines_have_no_such_header() {
        for line in [
            "",
            "[",
            "[d]",
            "[d] ",
            "d] NOTICE[1] chan_sip.c: x",
            " [d] NOTICE[1] chan_sip.c: x",
            "[d]  NOTICE[1] chan_sip.c: x",
            "[d] NOTICE[1]chan_sip.c: x",
            "[d] NOTICE[1 chan_sip.c: x",
            "[d] NOTICE[] chan_sip.c: x",
            "[d] NOTICE[-1] chan_sip.c: x",
            "[d] NOTICE [1] chan_sip.c: x",
            "[d] NOTICE[1][C-] chan_sip.c: x",
            "[d] NOTICE[1][D-1] chan_sip.c: x",
            "[d] NOTICE[1] xchan_sip.c: x",
            "[d] NOTICE[1] chan_sip.c x",
            "[d] NOTICE[1] chan_sip.c:x",
            "[d] NOTICE[1] chan_sip.c:12 f: x",
            "[d] NOTICE[1]: chan_sip.c: x",
            "[d] NOTICE[1]: chan_sip.c:12 in f: x",
            "[d] NOTICE[1]: chan_sip.c:12 f g: x",
            "[d] notice[1] chan_sip.c: x",
            "[d] VERBOSE[1] chan_sip.c: x",
            "[d] DEBUG[1] chan_sip.c: x",
            "[d] WARNING[1] Ext. a b: x",
            "[d] WARNING[1] Ext. : x",
            "[d] \x1b[1;33mNOTICE\x1b[0m[1]: chan_sip.c:12 f: x",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn the_syslog_layout_names_the_function() {
        let check = |message: &str, want| {
            let got = syslog_message(b"s", message.as_bytes());
            assert_eq!(got.map(|record| (record.level, record.file)), want, "{message}");
        };
        let notice = Some((Level::Notice, File::Distributor));
        check(
            "NOTICE[1]: res_pjsip/pjsip_distributor.c:688 in log_failed_request: x",
            notice,
        );
        check(
            "NOTICE[1][C-00000001]: res_pjsip/pjsip_distributor.c:688 in f: x",
            notice,
        );
        check("NOTICE[1] res_pjsip/pjsip_distributor.c:688 in f: x", None);
        check("NOTICE[1]: res_pjsip/pjsip_distributor.c: x", None);
        check("NOTICE[1]: res_pjsip/pjsip_distributor.c:688 f: x", None);
    }
}
