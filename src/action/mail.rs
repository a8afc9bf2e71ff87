//! Letters: headers and text (RFC 5322, RFC 2045, RFC 2047), or the words and the text for `mail`.

use core::fmt::Write as _;

use ipnet::IpNet;

use super::job::{Now, Program};
use super::message::Event;
use super::script::shown;
use super::text;
use super::{Letter, Mailer};
use crate::limits::{COMMAND_OUTPUT_BYTES_MAX, COMMAND_SECONDS};
use crate::time::{Civil, Span, Wall};

/// What a letter is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// The jail has started.
    Started,
    /// The jail stops.
    Stopped,
    /// One ban.
    Ban {
        /// Which.
        event: Event,
        /// What whois says, if it was asked.
        whois: Option<&'a str>,
        /// The lines that led to it, as they are to be shown.
        lines: &'a str,
    },
    /// Several bans, and how many more there were.
    Bans(&'a [(IpNet, u32)], u64),
}

/// Whose letter it is, and what tells it from others.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// Our own name, by [`text::name`].
    pub hostname: &'a str,
    /// Unique for this letter on this box: letters, digits and dots.
    pub id: &'a str,
    /// When it is written.
    pub now: Now,
}

/// The program that sends the letter, with its text.
#[must_use]
pub fn send(letter: &Letter, about: &About<'_>, sheet: &Sheet<'_>) -> Program {
    let subject = subject(letter, about, sheet);
    let text = body(letter, about, sheet);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (words, input) = match letter.by {
        Mailer::Sendmail => {
            let head = headers(letter, &subject, sheet, text.is_ascii());
            (
                words(&["sendmail", "-t", "-i", "-f", &letter.sender]),
                head + "\n" + &text,
            )
        }
        Mailer::Mail => {
            let mut words = words(&["mail", "-s", &encoded(&subject)]);
            words.extend(letter.dest.iter().cloned());
            (words, text)
        }
    };
    Program {
        words,
        input: input.into_bytes(),
        seconds: COMMAND_SECONDS,
        keep: COMMAND_OUTPUT_BYTES_MAX,
        ..Program::default()
    }
}

fn subject(letter: &Letter, about: &About<'_>, sheet: &Sheet<'_>) -> String {
    let what = match about {
        About::Started => "started".to_owned(),
        About::Stopped => "stopped".to_owned(),
        About::Ban { event, .. } => format!("banned {}", shown(event.net)),
        About::Bans(bans, more) => {
            let count = (bans.len() as u64).saturating_add(*more);
            format!("banned {count} sources")
        }
    };
    format!(
        "[{}] {}: {what} on {}",
        letter.sendername, letter.name, sheet.hostname
    )
}

fn headers(letter: &Letter, subject: &str, sheet: &Sheet<'_>, ascii: bool) -> String {
    let Letter { sender, dest, .. } = letter;
    let name = phrase(&letter.sendername);
    let date = date(sheet.now);
    let encoding = if ascii { "7bit" } else { "8bit" };
    format!(
        "Subject: {}\nFrom: {name} <{sender}>\nTo: {}\nDate: {date}\nMessage-ID: <sipguard.{}@{}>\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: {encoding}\n\
         Auto-Submitted: auto-generated\n",
        encoded(subject),
        dest.join(",\n "),
        sheet.id,
        domain(sheet.hostname),
    )
}

/// The part of a Message-ID behind its `@`.
fn domain(hostname: &str) -> String {
    let plain = |char: &char| char.is_ascii_alphanumeric() || ".-".contains(*char);
    let name: String = hostname.chars().filter(plain).collect();
    let name = name.trim_matches('.');
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name.to_owned()
    }
}

/// `Tue, 24 Nov 2026 12:00:00 +0900`
fn date(now: Now) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let local = Wall(now.utc.0.saturating_add(i64::from(now.offset_s)));
    let Civil {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = local.to_civil();
    let weekday = usize::try_from(local.0.div_euclid(86_400).rem_euclid(7)).unwrap_or(0);
    let name = |names: &[&'static str], at: usize| names.get(at).copied().unwrap_or("");
    let (weekday, month) = (
        name(&DAYS, weekday),
        name(&MONTHS, usize::from(month).saturating_sub(1)),
    );
    let sign = if now.offset_s < 0 { '-' } else { '+' };
    let offset = now.offset_s.unsigned_abs() / 60;
    format!(
        "{weekday}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} {sign}{:02}{:02}",
        offset / 60,
        offset % 60
    )
}

/// A name before an address: as it is, quoted, or encoded.
fn phrase(name: &str) -> String {
    if !name.is_ascii() {
        return encoded(name);
    }
    let atom = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(char);
    if !name.is_empty() && name.chars().all(atom) {
        return name.to_owned();
    }
    let mut quoted = "\"".to_owned();
    for char in name.chars().filter(|char| !char.is_control()) {
        if char == '"' || char == '\\' {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

/// Text of a header: ASCII as it is, else words of RFC 2047, each of at most 75 characters, folded. Whatever it is,
/// a control character does not come out.
fn encoded(text: &str) -> String {
    /// 75 characters, without `=?UTF-8?B?` and `?=`, in groups of four for three bytes.
    const BYTES: usize = 45;
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.len() <= 900 {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut word = String::new();
    for char in text.chars().filter(|char| !char.is_control()).take(300) {
        if word.len() + char.len_utf8() > BYTES {
            push_word(&mut out, &word);
            word.clear();
        }
        word.push(char);
    }
    push_word(&mut out, &word);
    out
}

fn push_word(out: &mut String, word: &str) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.push_str(if out.is_empty() {
        "=?UTF-8?B?"
    } else {
        "\n =?UTF-8?B?"
    });
    for group in word.as_bytes().chunks(3) {
        let bits = group.iter().chain([&0; 2]).take(3);
        let bits = bits.fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        for place in 0..4 {
            let digit = DIGITS.get(bits >> (18 - 6 * place) & 63).copied();
            let digit = digit.filter(|_| place <= group.len()).unwrap_or(b'=');
            out.push(char::from(digit));
        }
    }
    out.push_str("?=");
}

fn body(letter: &Letter, about: &About<'_>, sheet: &Sheet<'_>) -> String {
    let (name, hostname) = (text::name(&letter.name), sheet.hostname);
    let mut text = String::new();
    match about {
        About::Started => {
            let _ = writeln!(text, "sipguard on {hostname} has started to guard {name}.");
        }
        About::Stopped => {
            let _ = writeln!(text, "sipguard on {hostname} has stopped guarding {name}.");
        }
        About::Ban { event, whois, lines } => {
            let _ = writeln!(
                text,
                "sipguard on {hostname} has banned {} {}:\n{} against {name}.",
                shown(event.net),
                lasting(event, sheet.now),
                match event.failures {
                    0 => "somebody asked for it, by hand,".to_owned(),
                    1 => "1 failure".to_owned(),
                    count => format!("{count} failures"),
                }
            );
            if let Some(whois) = whois {
                let _ = write!(text, "\nWhois says about {}:\n\n{whois}", event.net.addr());
            }
            if letter.lines {
                let _ = write!(text, "\nLines of the log about {}:\n\n{lines}", shown(event.net));
                text.push_str(if lines.is_empty() {
                    "  (no longer at hand)\n"
                } else {
                    ""
                });
            }
        }
        About::Bans(bans, more) => {
            let _ = writeln!(
                text,
                "sipguard on {hostname} has banned these for failures against {name}:\n"
            );
            for (net, failures) in *bans {
                let _ = writeln!(text, "  {} ({failures})", shown(*net));
            }
            if *more > 0 {
                let _ = writeln!(text, "  and {more} more");
            }
        }
    }
    text
}

/// `for ever`, `for 10m, until 2026-11-24 12:00:00 +0900`
fn lasting(event: &Event, now: Now) -> String {
    let Some(seconds) = event.bantime else {
        return "for ever".to_owned();
    };
    let local = event.time.saturating_add(i64::from(now.offset_s));
    let until = Wall(local.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)));
    format!("for {}, until {until}", Span(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Mono;

    fn letter() -> Letter {
        Letter {
            by: Mailer::Sendmail,
            dest: vec!["root@example.org".to_owned(), "noc@example.org".to_owned()],
            sender: "fail2ban@example.org".to_owned(),
            sendername: "Fail2Ban".to_owned(),
            name: "ASTERISK".to_owned(),
            whois: true,
            lines: true,
            buffered: None,
        }
    }

    fn sheet() -> Sheet<'static> {
        Sheet {
            hostname: "pbx.example.org",
            id: "1.2.3",
            now: Now {
                mono: Mono(0),
                utc: Wall(1_795_305_600),
                offset_s: 9 * 3600,
            },
        }
    }

    fn event() -> Event {
        Event {
            jail: 0,
            net: "192.0.2.1/32".parse().unwrap(),
            failures: 5,
            bantime: Some(600),
            time: 1_795_305_600,
            restored: false,
        }
    }

    fn input(letter: &Letter, about: &About<'_>) -> String {
        String::from_utf8(send(letter, about, &sheet()).input).unwrap()
    }

    #[test]
    fn a_letter_about_a_ban() {
        let about = About::Ban {
            event: event(),
            whois: Some("  netname: X\n"),
            lines: "  line\n",
        };
        let program = send(&letter(), &about, &sheet());
        assert_eq!(
            program.words,
            ["sendmail", "-t", "-i", "-f", "fail2ban@example.org"]
        );
        let want = "\
Subject: [Fail2Ban] ASTERISK: banned 192.0.2.1 on pbx.example.org
From: Fail2Ban <fail2ban@example.org>
To: root@example.org,
 noc@example.org
Date: Sun, 22 Nov 2026 09:00:00 +0900
Message-ID: <sipguard.1.2.3@pbx.example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 7bit
Auto-Submitted: auto-generated

sipguard on pbx.example.org has banned 192.0.2.1 for 10m, until 2026-11-22 09:10:00:
5 failures against ASTERISK.

Whois says about 192.0.2.1:

  netname: X

Lines of the log about 192.0.2.1:

  line
";
        assert_eq!(String::from_utf8(program.input).unwrap(), want);
    }

    #[test]
    fn a_name_that_is_not_ascii_is_encoded_and_what_is_odd_is_quoted() {
        let check = |name: &str, want: &str| assert_eq!(phrase(name), want);
        check("Fail2Ban", "Fail2Ban");
        check("a, \"b\" \\", "\"a, \\\"b\\\" \\\\\"");
        check("", "\"\"");
        check("電話番", "=?UTF-8?B?6Zu76Kmx55Wq?=");
        check("é", "=?UTF-8?B?w6k=?=");
        check("éa", "=?UTF-8?B?w6lh?=");
        let long = encoded(&"電話".repeat(40));
        assert!(long.lines().all(|line| line.len() <= 76), "{long}");
        assert!(long.lines().skip(1).all(|line| line.starts_with(" =?UTF-8?B?")));
    }

    #[test]
    fn no_header_can_be_put_in() {
        let hostile = "x\r\nBcc: all@example.org\n\n\x1b[2J";
        let letter = Letter {
            sendername: hostile.to_owned(),
            name: hostile.to_owned(),
            ..letter()
        };
        let host = text::name(hostile);
        let sheet = Sheet {
            hostname: &host,
            ..sheet()
        };
        let program = send(&letter, &About::Started, &sheet);
        let mail = String::from_utf8(program.input).unwrap();
        let (head, body) = mail.split_once("\n\n").unwrap();
        assert_eq!(
            head.lines().filter(|line| line.starts_with("Bcc")).count(),
            0,
            "{head}"
        );
        assert!(head.lines().all(|line| !line.is_empty() && line.len() < 998));
        assert!(!mail.contains(['\r', '\x1b']), "{mail:?}");
        assert_eq!(body.lines().count(), 1, "{body}");
        let by_mail = Letter {
            by: Mailer::Mail,
            ..letter
        };
        let program = send(&by_mail, &About::Started, &sheet);
        assert_eq!(program.words.first().map(String::as_str), Some("mail"));
        assert!(!program.words[2].contains(['\r', '\x1b']), "{:?}", program.words);
        assert_eq!(&program.words[3..], ["root@example.org", "noc@example.org"]);
    }

    #[test]
    fn several_bans_are_listed_in_one() {
        let bans = [("192.0.2.1/32", 5), ("2001:db8::/64", 2)];
        let bans = bans.map(|(net, failures)| (net.parse().unwrap(), failures));
        let mail = input(&letter(), &About::Bans(&bans, 1_990));
        assert!(
            mail.starts_with("Subject: [Fail2Ban] ASTERISK: banned 1992 sources on pbx"),
            "{mail}"
        );
        assert!(
            mail.ends_with("\n  192.0.2.1 (5)\n  2001:db8::/64 (2)\n  and 1990 more\n"),
            "{mail}"
        );
    }

    #[test]
    fn dates_have_the_zone() {
        let check = |utc: i64, offset_s: i32, want: &str| {
            let now = Now {
                utc: Wall(utc),
                offset_s,
                ..Now::default()
            };
            assert_eq!(date(now), want);
        };
        check(0, 0, "Thu, 1 Jan 1970 00:00:00 +0000");
        check(1_795_305_600, -12_600, "Sat, 21 Nov 2026 20:30:00 -0330");
        check(951_782_400, 3_600, "Tue, 29 Feb 2000 01:00:00 +0100");
    }
}
