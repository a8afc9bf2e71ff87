//! `sendmail-whois-lines[dest=…]` and its like: actions that mail, which are built in.

use super::action::Call;
use super::interpolate::Value;
use super::reading::{Reading, shown};
use super::value;
use crate::action::{Action, Does, Letter, Mailer};

/// What the name of a mail action begins with, and which program it means. The mail programs that people name in
/// `mta` all come with a `sendmail`.
const MAILERS: [(&str, Mailer); 9] = [
    ("sendmail", Mailer::Sendmail),
    ("exim", Mailer::Sendmail),
    ("exim4", Mailer::Sendmail),
    ("postfix", Mailer::Sendmail),
    ("msmtp", Mailer::Sendmail),
    ("ssmtp", Mailer::Sendmail),
    ("opensmtpd", Mailer::Sendmail),
    ("mail", Mailer::Mail),
    ("mailx", Mailer::Mail),
];

/// The rest of the name: whether it has whois, lines, a buffer.
const KINDS: [(&str, [bool; 3]); 7] = [
    ("", [false, false, false]),
    ("-whois", [true, false, false]),
    ("-whois-lines", [true, true, false]),
    ("-whois-matches", [true, true, false]),
    ("-whois-ipmatches", [true, true, false]),
    ("-whois-ipjailmatches", [true, true, false]),
    ("-buffered", [false, false, true]),
];

/// Options that other versions of these actions have, and that need nothing here.
const NEEDLESS: [&str; 11] = [
    "logpath",
    "chain",
    "port",
    "protocol",
    "norestored",
    "actname",
    "grepopts",
    "grepmax",
    "tmpfile",
    "bantime",
    "ip",
];

/// Where mail goes if nobody says: fail2ban's.
const DEST: &str = "root@localhost";
const SENDER: &str = "root@<fq-hostname>";
const SENDERNAME: &str = "Fail2Ban";

/// So many bans come in one mail of `sendmail-buffered`.
const BUFFERED: u16 = 5;

/// Whether an action of this name is one of these.
pub(super) fn is_mail(name: &str) -> bool {
    kind(name).is_some()
}

fn kind(name: &str) -> Option<(Mailer, [bool; 3])> {
    MAILERS.iter().find_map(|(mailer, by)| {
        let rest = name.strip_prefix(mailer)?;
        let kind = KINDS.iter().find(|(kind, _)| *kind == rest)?;
        Some((*by, kind.1))
    })
}

/// The action; `None` after a mistake.
pub(super) fn letter(
    reading: &mut Reading<'_>,
    section: &str,
    value: &Value,
    call: &Call<'_>,
) -> Option<Action> {
    let (by, [whois, lines, buffered]) = kind(call.name)?;
    warn_of_options(reading, value, call);
    let dest = texts(
        reading,
        section,
        value,
        call,
        (&["dest", "destemail", "destmail"], &["destmail", "destemail"]),
    );
    let sender = texts(reading, section, value, call, (&["sender"], &["sender"]));
    let sendername = texts(reading, section, value, call, (&["sendername"], &["sendername"]));
    let dest = addresses(reading, dest, DEST, false)?;
    let sender = addresses(reading, sender, SENDER, true)?;
    let sendername = match sendername {
        None => SENDERNAME.to_owned(),
        Some((whole, text)) if text.chars().any(char::is_control) => {
            reading.wrong(whole.wrong(whole.text(), "sendername: a name is one line"));
            return None;
        }
        Some((_, text)) => text,
    };
    let buffered = match call.option("lines").filter(|_| buffered) {
        None => buffered.then_some(BUFFERED),
        Some(text) => {
            let number = value::number(text.trim()).and_then(|number| u16::try_from(number).ok());
            let what = format!("lines: \"{}\" is not a number from 1 to 65535", shown(text));
            let number = number.filter(|number| *number > 0);
            Some(reading.right(number.ok_or_else(|| value.wrong(text, what)))?)
        }
    };
    let letter = Letter {
        by,
        dest,
        sender: sender.into_iter().next()?,
        sendername,
        name: call.option("name").unwrap_or(section).to_owned(),
        whois,
        lines,
        buffered,
    };
    Some(Action {
        name: call.name.to_owned(),
        does: Does::Mail(letter),
    })
}

/// Says which options have no effect.
fn warn_of_options(reading: &mut Reading<'_>, value: &Value, call: &Call<'_>) {
    let known = [
        "name",
        "dest",
        "destemail",
        "destmail",
        "sender",
        "sendername",
        "lines",
    ];
    for (option, _) in &call.options {
        let what = match *option {
            known_one if known.contains(&known_one) || NEEDLESS.contains(&known_one) => continue,
            "mailcmd" | "mailargs" => {
                "has no effect: mails go to sendmail -t -i, or to mail; for another program write an action.d file"
            }
            _ => "is no option of a mail action and has no effect",
        };
        let place = value.wrong(option, "").place;
        reading.warn(
            Some(place),
            format!("action {}: {} {what}", call.name, shown(option)),
        );
    }
}

/// The first of these options of the action that is not empty, else of these keys of the jail: the value that it is
/// part of, and the text.
fn texts(
    reading: &mut Reading<'_>,
    section: &str,
    value: &Value,
    call: &Call<'_>,
    (options, keys): (&[&str], &[&'static str]),
) -> Option<(Value, String)> {
    let given = options.iter().filter_map(|option| call.option(option));
    if let Some(text) = given.map(str::trim).find(|text| !text.is_empty()) {
        return Some((value.clone(), text.to_owned()));
    }
    let mut of_jail = keys.iter().filter_map(|key| reading.value(section, key));
    let whole = of_jail.find(|whole| !whole.text().trim().is_empty())?;
    let text = whole.text().trim().to_owned();
    Some((whole, text))
}

/// Mail addresses, separated by blanks or commas.
fn addresses(
    reading: &mut Reading<'_>,
    given: Option<(Value, String)>,
    otherwise: &str,
    one: bool,
) -> Option<Vec<String>> {
    let Some((whole, text)) = given else {
        return Some(vec![otherwise.to_owned()]);
    };
    let words = text.split(|char: char| char == ',' || char.is_whitespace());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let odd = words.iter().find(|word| !is_address(word));
    let what = match odd {
        Some(word) => format!("\"{}\" is not a mail address", shown(word)),
        None if one && words.len() > 1 => "there is one sender".to_owned(),
        None => return Some(words),
    };
    let at = odd.and_then(|word| whole.text().find(word.as_str()).map(|at| (at, word.len())));
    let part = at.and_then(|(at, length)| whole.text().get(at..at + length));
    reading.wrong(whole.wrong(part.unwrap_or(whole.text()), what));
    None
}

/// Nothing that could end a header, be taken for an option, or needs quotes. fail2ban's own default names the host
/// by a tag.
fn is_address(word: &str) -> bool {
    let word = word.strip_suffix("<fq-hostname>").unwrap_or(word);
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"(),:;<>[\\]".contains(&byte);
    !word.is_empty() && word.len() <= 254 && !word.starts_with('-') && word.bytes().all(plain)
}
