//! The header that a syslog daemon puts before the message of a program.
//!
//! All of these, whole and from the first byte on; nothing is searched for:
//!
//! | written by | a line begins with |
//! |---|---|
//! | rsyslog traditional, syslog-ng, sysklogd, `journalctl -o short` | `Nov 22 11:21:11 host sshd[990]: ` |
//! | `journalctl -o short-precise` | `Nov 22 11:21:11.868428 host sshd[990]: ` |
//! | rsyslog of Debian 12, `journalctl -o short-iso` | `2026-11-22T10:58:02.868428+00:00 host sshd[990]: ` |
//! | RFC 5424 (`RSYSLOG_SyslogProtocol23Format`) | `<38>1 2026-11-22T10:58:02Z host sshd 990 - - ` |
//! | busybox syslogd (`sysklogd/syslogd.c`) | `Nov 22 11:21:11 host auth.info sshd[990]: ` |
//! | … with `-S` | `Nov 22 11:21:11 sshd[990]: ` |
//! | OpenWrt logread and files (ubox `log/logread.c`) | `Sun Nov 22 12:21:49 2026 auth.info sshd[990]: ` |
//! | … with `-t` | `Sun Nov 22 12:21:49 2026 [1795350109.123] auth.info sshd[990]: ` |
//!
//! The pid may be missing, and illumos' `[ID 800047 auth.info] ` may stand before the message. Everything up
//! to there is written by the box itself. Whoever may send syslog messages to the box, from its own programs
//! or from the network, can write any line; no filter can help against that.

/// One line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Date and time as written, zone included: `Nov 22 11:21:11`, `2026-11-22T10:58:02.868428+00:00`,
    /// `Sun Nov 22 12:21:49 2026`.
    pub stamp: &'a [u8],
    /// The program's name, exactly as it is written: `sshd`, `sshd-session`, `asterisk`.
    pub program: &'a [u8],
    /// Its process id.
    pub pid: Option<u32>,
    /// What it said.
    pub message: &'a [u8],
}

/// Takes a line without its newline apart; `None` if it does not begin with one of the headers.
#[must_use]
pub fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let line = skip_priority(line);
    if let Some(rest) = line.strip_prefix(b"1 ") {
        return protocol_23(rest);
    }
    let (stamp, rest, host_follows) = stamp(line)?;
    let (first, after_first) = word(rest)?;
    let tag = if first.ends_with(b":") {
        rest
    } else if host_follows {
        // The word was the host; busybox puts facility and severity between it and the tag.
        let (second, after_second) = word(after_first)?;
        if is_facility_and_severity(second) {
            after_second
        } else {
            after_first
        }
    } else {
        is_facility_and_severity(first).then_some(after_first)?
    };
    let (program, pid, message) = tagged(tag)?;
    let message = unwrap_repeated(skip_message_id(message));
    Some(Entry {
        stamp,
        program,
        pid,
        message,
    })
}

/// Whether `program` is one of `names`, followed by nothing.
#[must_use]
pub fn is_one_of(program: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| name.as_bytes() == program)
}

/// RFC 5424 after its version: stamp, host, program, pid, message id, structured data, message.
fn protocol_23(rest: &[u8]) -> Option<Entry<'_>> {
    let (stamp, rest) = iso_stamp(rest)?;
    let (_host, rest) = word(rest)?;
    let (program, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (_message_id, rest) = word(rest)?;
    let rest = structured_data(rest)?.strip_prefix(b" ")?;
    let message = rest.strip_prefix("\u{feff}".as_bytes()).unwrap_or(rest);
    // rsyslog keeps the blank that stood behind the tag in the datagram.
    let message = message.strip_prefix(b" ").unwrap_or(message);
    let message = unwrap_repeated(message);
    Some(Entry {
        stamp,
        program,
        pid: number(pid),
        message,
    })
}

/// What follows `-` or `[…][…]`.
fn structured_data(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return Some(rest);
    }
    let mut rest = text;
    while let Some(element) = rest.strip_prefix(b"[") {
        rest = after_element(element)?;
    }
    (rest.len() < text.len()).then_some(rest)
}

/// What follows the `]` of one element. Values are quoted and have `\` before `"`, `\` and `]` (RFC 5424,
/// 6.3.3).
fn after_element(text: &[u8]) -> Option<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.iter().position(|&byte| {
        if !escaped && byte == b'"' {
            quoted = !quoted;
        }
        escaped = quoted && !escaped && byte == b'\\';
        byte == b']' && !quoted
    })?;
    text.get(end..)?.strip_prefix(b"]")
}

/// The stamp, the rest behind one blank, and whether a host comes next.
fn stamp(line: &[u8]) -> Option<(&[u8], &[u8], bool)> {
    const OPENWRT: &[u8] = b"Aaa Aaa _9 99:99:99 9999";
    const TRADITIONAL: &[u8] = b"Aaa _9 99:99:99";
    const UNPADDED: &[u8] = b"Aaa 9 99:99:99";
    if let Some((stamp, rest)) = shaped(line, OPENWRT) {
        let rest = rest.strip_prefix(b" ")?;
        return Some((stamp, skip_clock(rest), false));
    }
    if let Some((stamp, rest)) = shaped(line, TRADITIONAL).or_else(|| shaped(line, UNPADDED)) {
        return Some((stamp, skip_fraction(rest).strip_prefix(b" ")?, true));
    }
    let (stamp, rest) = iso_stamp(line)?;
    Some((stamp, rest, true))
}

/// `2026-11-22T10:58:02`, a fraction, a zone, and one blank behind it.
fn iso_stamp(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = shaped(line, b"9999-99-99T99:99:99")?;
    let rest = skip_fraction(rest);
    let zones: [&[u8]; 5] = [b"+99:99", b"-99:99", b"+9999", b"-9999", b"Z"];
    let zoned = zones.into_iter().find_map(|zone| shaped(rest, zone));
    let rest = zoned.map_or(rest, |(_, after)| after);
    let length = line.len().checked_sub(rest.len())?;
    Some((line.get(..length)?, rest.strip_prefix(b" ")?))
}

/// Splits off as many bytes as `pattern` has if they fit it: `9` a digit, `_` a digit or a blank, `A` and `a`
/// a letter, any other byte itself.
fn shaped<'a>(text: &'a [u8], pattern: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (head, rest) = text.split_at_checked(pattern.len())?;
    let fits = head.iter().zip(pattern).all(|(&byte, &shape)| match shape {
        b'9' => byte.is_ascii_digit(),
        b'_' => byte.is_ascii_digit() || byte == b' ',
        b'A' => byte.is_ascii_uppercase(),
        b'a' => byte.is_ascii_lowercase(),
        literal => byte == literal,
    });
    fits.then_some((head, rest))
}

/// `.868428`, if it is there.
fn skip_fraction(text: &[u8]) -> &[u8] {
    match text.strip_prefix(b".") {
        Some(fraction) => skip_digits(fraction),
        None => text,
    }
}

/// logread's `[1795350109.123] `, if it is there.
fn skip_clock(text: &[u8]) -> &[u8] {
    let inside = || -> Option<&[u8]> {
        let rest = skip_digits(text.strip_prefix(b"[")?);
        skip_fraction(rest).strip_prefix(b"] ")
    };
    inside().unwrap_or(text)
}

/// `<38>`, if it is there.
fn skip_priority(line: &[u8]) -> &[u8] {
    let Some(rest) = line.strip_prefix(b"<") else {
        return line;
    };
    skip_digits(rest).strip_prefix(b">").unwrap_or(line)
}

/// illumos' `[ID 800047 auth.info] `, if it is there.
fn skip_message_id(message: &[u8]) -> &[u8] {
    let inside = || -> Option<&[u8]> {
        let rest = message.strip_prefix(b"[ID ")?;
        let rest = skip_digits(rest).strip_prefix(b" ")?;
        let (level, rest) = word(rest)?;
        is_facility_and_severity(level.strip_suffix(b"]")?).then_some(rest)
    };
    inside().unwrap_or(message)
}

/// rsyslog's reduction of equal messages (`$RepeatedMsgReduction`, on in Ubuntu) writes
/// `message repeated 2 times: [ MESSAGE]` under the tag of the program that repeated itself.
fn unwrap_repeated(message: &[u8]) -> &[u8] {
    let inside = || -> Option<&[u8]> {
        let rest = skip_digits(message.strip_prefix(b"message repeated ")?);
        rest.strip_prefix(b" times: [ ")?.strip_suffix(b"]")
    };
    inside().unwrap_or(message)
}

/// `sshd[990]: ` or `sshd: `.
fn tagged(text: &[u8]) -> Option<(&[u8], Option<u32>, &[u8])> {
    let end = text.iter().position(|byte| b"[: ".contains(byte))?;
    let (program, rest) = text.split_at_checked(end)?;
    let (pid, rest) = match rest.strip_prefix(b"[") {
        None => (None, rest),
        Some(rest) => {
            let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
            let (digits, rest) = rest.split_at_checked(end)?;
            (Some(number(digits)?), rest.strip_prefix(b"]")?)
        }
    };
    (!program.is_empty()).then_some((program, pid, rest.strip_prefix(b": ")?))
}

/// `auth.info`
fn is_facility_and_severity(word: &[u8]) -> bool {
    let name = |part: &[u8]| {
        !part.is_empty()
            && part
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let mut parts = word.splitn(2, |&byte| byte == b'.');
    parts.next().is_some_and(name) && parts.next().is_some_and(name)
}

/// A word of at least one byte, and what follows the blank behind it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .position(|&byte| byte == b' ')
        .filter(|&end| end > 0)?;
    let (word, rest) = text.split_at_checked(end)?;
    Some((word, rest.strip_prefix(b" ")?))
}

/// A process id.
fn number(digits: &[u8]) -> Option<u32> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// The text behind its leading decimal digits.
fn skip_digits(text: &[u8]) -> &[u8] {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.get(digits..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, want: Option<(&str, &str, Option<u32>, &str)>) {
        let text = |bytes| core::str::from_utf8(bytes).unwrap();
        let got = parse(line.as_bytes());
        let got = got.map(|e| (text(e.stamp), text(e.program), e.pid, text(e.message)));
        assert_eq!(got, want, "{line}");
    }

    fn reads(line: &str, stamp: &str) {
        check(line, Some((stamp, "sshd", Some(990), "hello  world")));
    }

    #[test]
    fn every_layout_is_read() {
        let traditional = "Nov 22 11:21:11";
        reads("Nov 22 11:21:11 host sshd[990]: hello  world", traditional);
        reads("Nov  2 11:21:11 host sshd[990]: hello  world", "Nov  2 11:21:11");
        reads("Nov 2 11:21:11 host sshd[990]: hello  world", "Nov 2 11:21:11");
        reads("<38>Nov 22 11:21:11 host sshd[990]: hello  world", traditional);
        reads("Nov 22 11:21:11.868428 host sshd[990]: hello  world", traditional);
        reads(
            "Nov 22 11:21:11 host auth.info sshd[990]: hello  world",
            traditional,
        );
        reads("Nov 22 11:21:11 sshd[990]: hello  world", traditional);
        reads(
            "Nov 22 11:21:11 host sshd[990]: [ID 800047 auth.info] hello  world",
            traditional,
        );
        reads(
            "Nov 22 11:21:11 host sshd[990]: message repeated 12 times: [ hello  world]",
            traditional,
        );
        for stamp in [
            "2026-11-22T10:58:02.868428+00:00",
            "2026-11-22T10:58:02+0100",
            "2026-11-22T10:58:02-01:00",
            "2026-11-22T10:58:02Z",
            "2026-11-22T10:58:02",
        ] {
            reads(&format!("{stamp} host sshd[990]: hello  world"), stamp);
            for rest in [
                "- - hello  world",
                "-  [a@1 k=\"v \\\"]\\]\"][b] hello  world",
                "ID - \u{feff}hello  world",
                "- -  hello  world",
            ] {
                let rest = rest.replace("-  [", "- [");
                reads(&format!("<38>1 {stamp} host sshd 990 {rest}"), stamp);
            }
        }
        let openwrt = "Sun Nov 22 12:21:49 2026";
        reads(
            "Sun Nov 22 12:21:49 2026 auth.info sshd[990]: hello  world",
            openwrt,
        );
        reads(
            "Sun Nov 22 12:21:49 2026 [1795350109.123] auth.info sshd[990]: hello  world",
            openwrt,
        );
        reads("Sun Nov 22 12:21:49 2026 sshd[990]: hello  world", openwrt);
    }

    #[test]
    fn a_program_may_have_no_pid() {
        check(
            "Nov 22 11:21:11 host kernel: x",
            Some(("Nov 22 11:21:11", "kernel", None, "x")),
        );
        check(
            "<38>1 2026-11-22T10:58:02Z host cron - - - x",
            Some(("2026-11-22T10:58:02Z", "cron", None, "x")),
        );
    }

    #[test]
    fn anything_else_is_no_header() {
        for line in [
            "",
            " ",
            "Nov 22 11:21:11",
            "Nov 22 11:21:11 host",
            "Nov 22 11:21:11 host sshd[990]",
            "Nov 22 11:21:11 host sshd[990]:hello",
            "Nov 22 11:21:11 host sshd[99999999999]: hello",
            "Nov 22 11:21:11 host sshd[x]: hello",
            "Nov 22 11:21:11 host sshd[]: hello",
            "Nov 22 11:21:11 host sshd hello",
            "Nov 22 11:21:11 host : hello",
            "Nov 22 11:21:11  host sshd[990]: hello",
            " Nov 22 11:21:11 host sshd[990]: hello",
            "x Nov 22 11:21:11 host sshd[990]: hello",
            "NOV 22 11:21:11 host sshd[990]: hello",
            "Nov 22 11.21.11 host sshd[990]: hello",
            "Sun Nov 22 12:21:49 2026 host sshd[990]: hello",
            "2026-11-22 10:58:02 host sshd[990]: hello",
            "2026-11-22T10:58:02+01 host sshd[990]: hello",
            "<38>1 2026-11-22T10:58:02Z host sshd 990 - [a k=\"v\" hello",
            "<38>1 2026-11-22T10:58:02Z host sshd 990 -",
            "last message repeated 2 times",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn only_the_first_tag_is_the_program() {
        let line = "Nov 22 11:21:11 host su: Nov 22 11:21:11 host sshd[990]: hello";
        let inner = "Nov 22 11:21:11 host sshd[990]: hello";
        check(line, Some(("Nov 22 11:21:11", "su", None, inner)));
        assert!(is_one_of(b"sshd", &["sshd", "sshd-session"]));
        assert!(!is_one_of(b"sshd-sessio", &["sshd", "sshd-session"]));
        assert!(!is_one_of(b"Sshd", &["sshd"]));
    }
}
