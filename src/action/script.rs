//! The text of an action's command, made ready to run.
//!
//! Plain words are run as they are, a line a command, without a shell. What needs a shell (pipes, lists,
//! redirections, substitutions, globs, words that only a shell knows) is one script for `/bin/sh -c`, in which a
//! tag is the name of an environment variable: the value never becomes text that a shell reads.

use core::fmt;
use core::net::IpAddr;
use std::borrow::Cow;

use ipnet::IpNet;

use crate::escape::Escaped;
use crate::limits::SCRIPT_BYTES_MAX;

/// What an action's command can ask of a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// `<ip>`: the address, or the network if it is more than one address.
    Ip,
    /// `<ip-rev>`: the address as DNS block lists want it, with a dot at its end.
    Reversed,
    /// `<failures>`.
    Failures,
    /// `<bantime>`: seconds, or -1 for ever.
    Bantime,
    /// `<time>`: when the ban began, in seconds since 1970.
    Time,
    /// `<matches>`: the lines that led to the ban, escaped.
    Matches,
    /// `<restored>`: 1 for a ban of before a restart.
    Restored,
    /// `<fq-hostname>`: our own name.
    Hostname,
    /// `<sh-hostname>`: our own name up to its first dot.
    ShortHostname,
}

/// fail2ban's names. What it keeps apart by all jails, this jail and this time is one thing here.
const TAGS: [(&str, Tag); 16] = [
    ("ip", Tag::Ip),
    ("fid", Tag::Ip),
    ("ip-rev", Tag::Reversed),
    ("failures", Tag::Failures),
    ("ipfailures", Tag::Failures),
    ("ipjailfailures", Tag::Failures),
    ("bantime", Tag::Bantime),
    ("time", Tag::Time),
    ("bantime.start", Tag::Time),
    ("matches", Tag::Matches),
    ("ipmatches", Tag::Matches),
    ("ipjailmatches", Tag::Matches),
    ("restored", Tag::Restored),
    ("fq-hostname", Tag::Hostname),
    ("sh-hostname", Tag::ShortHostname),
    ("hostname", Tag::Hostname),
];

impl Tag {
    /// The tag of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Tag> {
        let found = TAGS.iter().find(|(known, _)| *known == name);
        found.map(|&(_, tag)| tag)
    }

    /// The name as we write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = TAGS.iter().find(|(_, tag)| *tag == self);
        found.map_or("", |&(name, _)| name)
    }

    /// The environment variable that holds its value.
    #[must_use]
    pub fn variable(self) -> String {
        format!("SIPGUARD_{}", self.name().replace('-', "_"))
    }

    /// Whether it means something without a ban, in `actionstart` and its like.
    #[must_use]
    pub const fn is_of_the_box(self) -> bool {
        matches!(self, Tag::Hostname | Tag::ShortHostname)
    }
}

/// The values of the tags for one ban.
#[derive(Clone, Copy, Debug)]
pub struct Values<'v> {
    /// Who is banned; `None` in commands that concern no ban.
    pub net: Option<IpNet>,
    /// How many failures led to it.
    pub failures: u32,
    /// For how long, in seconds; `None` is for ever.
    pub bantime: Option<u64>,
    /// Since when, in seconds since 1970.
    pub time: i64,
    /// The lines, escaped, a newline between two.
    pub matches: &'v str,
    /// Whether it is a ban of before a restart.
    pub restored: bool,
    /// Our own name.
    pub hostname: &'v str,
}

impl Values<'_> {
    fn get(&self, tag: Tag) -> Cow<'_, str> {
        match tag {
            Tag::Ip => self.net.map(shown).unwrap_or_default().into(),
            Tag::Reversed => self
                .net
                .map(|net| reversed(net.addr()))
                .unwrap_or_default()
                .into(),
            Tag::Failures => self.failures.to_string().into(),
            Tag::Bantime => self
                .bantime
                .map_or("-1".to_owned(), |seconds| seconds.to_string())
                .into(),
            Tag::Time => self.time.to_string().into(),
            Tag::Matches => self.matches.into(),
            Tag::Restored => if self.restored { "1" } else { "0" }.into(),
            Tag::Hostname => self.hostname.into(),
            Tag::ShortHostname => self.hostname.split('.').next().unwrap_or_default().into(),
        }
    }
}

/// An address, or a network if it is more than one address.
#[must_use]
pub fn shown(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.")
        }
        IpAddr::V6(v6) => {
            let digits = v6.octets().into_iter().rev();
            let digits = digits.flat_map(|byte| [byte & 15, byte >> 4]);
            digits.map(|digit| format!("{digit:x}.")).collect()
        }
    }
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    Tag(Tag),
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Command {
    /// Run as it is.
    Words(Vec<Vec<Piece>>),
    /// Run by `/bin/sh -c`, with these variables.
    Shell(String, Vec<Tag>),
}

/// The commands of one key, in order; none if it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Script(Vec<Command>);

/// A command that is ready to run: its words, and its variables.
pub type Ready = (Vec<String>, Vec<(String, String)>);

/// What is wrong with a command: from which byte on, how many, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first byte that is meant.
    pub at: usize,
    /// How many.
    pub length: usize,
    /// What is wrong and what to do.
    pub what: &'static str,
}

impl Script {
    /// Reads the value of a key, in which only the tags of a ban are left.
    ///
    /// # Errors
    /// What cannot be run safely.
    pub fn new(text: &str) -> Result<Script, Fault> {
        if text.len() > SCRIPT_BYTES_MAX || text.contains('\0') {
            let what = "the command is too long, or holds a NUL";
            return Err(Fault {
                at: 0,
                length: 1,
                what,
            });
        }
        let lines = || text.split('\n').map(str::trim).filter(|line| !line.is_empty());
        let plain: Option<Vec<Command>> = lines().map(|line| words(line).map(Command::Words)).collect();
        match plain {
            Some(commands) => Ok(Script(commands)),
            None => shell::translate(text).map(|(script, tags)| Script(vec![Command::Shell(script, tags)])),
        }
    }

    /// Whether there is nothing to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many commands there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The words and the environment of command `number`.
    #[must_use]
    pub fn run(&self, number: usize, values: &Values<'_>) -> Option<Ready> {
        match self.0.get(number)? {
            Command::Words(words) => {
                let word = |pieces: &Vec<Piece>| {
                    let piece = |piece: &Piece| match piece {
                        Piece::Text(text) => text.clone(),
                        Piece::Tag(tag) => values.get(*tag).into_owned(),
                    };
                    pieces.iter().map(piece).collect()
                };
                Some((words.iter().map(word).collect(), Vec::new()))
            }
            Command::Shell(script, tags) => {
                let words = ["/bin/sh", "-c", script, "sipguard"];
                let variables = tags.iter().map(|&tag| {
                    let value = values.get(tag).into_owned();
                    (tag.variable(), value)
                });
                Some((words.map(str::to_owned).to_vec(), variables.collect()))
            }
        }
    }

    /// The tags in it, each as often as it comes.
    pub fn tags(&self) -> impl Iterator<Item = Tag> {
        self.0.iter().flat_map(|command| {
            let (words, variables): (&[Vec<Piece>], &[Tag]) = match command {
                Command::Words(words) => (words, &[]),
                Command::Shell(_, tags) => (&[], tags),
            };
            let pieces = words.iter().flatten().filter_map(|piece| match piece {
                Piece::Text(_) => None,
                Piece::Tag(tag) => Some(*tag),
            });
            pieces.chain(variables.iter().copied())
        })
    }

    /// Whether it asks for the lines of a ban.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        self.tags().any(|tag| tag == Tag::Matches)
    }

    /// Each command as a person reads it, on one line, printable.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Command::to_string)
    }
}

impl fmt::Display for Command {
    /// `iptables -I f2b 1 -s <ip>`, `sh -c: echo "${SIPGUARD_ip}" | wc`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Command::Shell(script, _) => return write!(f, "sh -c: {}", Escaped(script.as_bytes())),
            Command::Words(words) => words,
        };
        for (number, word) in words.iter().enumerate() {
            f.write_str(if number > 0 { " " } else { "" })?;
            let text = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Tag(tag) => format!("<{}>", tag.name()),
            };
            let shown: String = word.iter().map(text).collect();
            if shown.is_empty() || shown.contains([' ', '\t', '"', '\'']) {
                write!(f, "'{}'", Escaped(shown.as_bytes()))?;
            } else {
                write!(f, "{}", Escaped(shown.as_bytes()))?;
            }
        }
        Ok(())
    }
}

/// The tag of a ban that `text` begins with, and its length.
fn tag(text: &str) -> Option<(Tag, usize)> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    Tag::named(name).map(|tag| (tag, name.len() + 2))
}

/// Words that mean something to a shell only, or to a shell something else than a program of that name does.
const OF_THE_SHELL: [&str; 41] = [
    "!", ".", ":", "[", "{", "alias", "break", "case", "cd", "command", "continue", "do", "done", "echo",
    "eval", "exec", "exit", "export", "false", "for", "getopts", "hash", "if", "kill", "local", "printf",
    "pwd", "read", "readonly", "return", "set", "shift", "source", "test", "trap", "true", "ulimit", "umask",
    "unset", "wait", "while",
];

/// The words of a line as a shell would split them; `None` if it takes a shell to say what they are.
fn words(line: &str) -> Option<Vec<Vec<Piece>>> {
    let mut words: Vec<Vec<Piece>> = Vec::new();
    let mut open = false;
    let mut rest = line;
    let mut quote = None;
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..)?;
        if quote.is_none() && (first == ' ' || first == '\t') {
            (open, rest) = (false, after);
            continue;
        }
        if !open {
            words.push(Vec::new());
            open = true;
        }
        let count = words.len();
        let word = words.last_mut()?;
        if let Some((tag, length)) = tag(rest) {
            word.push(Piece::Tag(tag));
            rest = rest.get(length..)?;
            continue;
        }
        rest = after;
        match (first, quote) {
            ('\'' | '"', None) => quote = Some(first),
            (closing, Some(opening)) if closing == opening => quote = None,
            ('\\', None | Some('"')) => {
                let escaped = rest.chars().next()?;
                rest = rest.get(escaped.len_utf8()..)?;
                if tag_begins(escaped, rest) {
                    return None;
                }
                if quote.is_some() && !"\\\"$`".contains(escaped) {
                    push(word, '\\');
                }
                push(word, escaped);
            }
            ('$' | '`', None | Some('"')) => return None,
            ('|' | '&' | ';' | '<' | '>' | '(' | ')' | '[' | '*' | '?' | '\r', None) => return None,
            // Special at the beginning of a word only.
            ('#' | '~', None) if word.is_empty() => return None,
            // An assignment before the command.
            ('=', None) if count == 1 => return None,
            (char, _) => push(word, char),
        }
    }
    let first = words.first()?;
    let known = matches!(first.as_slice(), [Piece::Text(text)] if !OF_THE_SHELL.contains(&text.as_str()));
    (known && quote.is_none()).then_some(words)
}

fn tag_begins(escaped: char, rest: &str) -> bool {
    escaped == '<' && tag(&format!("<{rest}")).is_some()
}

fn push(word: &mut Vec<Piece>, char: char) {
    match word.last_mut() {
        Some(Piece::Text(text)) => text.push(char),
        Some(Piece::Tag(_)) | None => word.push(Piece::Text(char.to_string())),
    }
}

mod shell {
    //! Tags to variables, by where in the quoting of a shell they stand.

    use super::{Fault, Tag, tag};

    /// What the text stands in.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Inside {
        /// `"…"`
        Double,
        /// `$(…)` or `(…)`
        Parentheses,
        /// `` `…` ``
        Backticks,
    }

    /// The script, and the tags in it. A tag that a misread quote makes stand wrongly is split into words or
    /// left with its quotes, and still never read as text of the script.
    pub(super) fn translate(text: &str) -> Result<(String, Vec<Tag>), Fault> {
        let mut out = String::with_capacity(text.len());
        let mut tags = Vec::new();
        let mut stack: Vec<Inside> = Vec::new();
        let mut at = 0;
        while let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) {
            let rest = text.get(at..).unwrap_or_default();
            let double = stack.last() == Some(&Inside::Double);
            if let Some((tag, length)) = tag(rest) {
                tags.push(tag);
                let quote = if double { "" } else { "\"" };
                out.push_str(&format!("{quote}${{{}}}{quote}", tag.variable()));
                at += length;
                continue;
            }
            let length = match char {
                '\\' => escaped(rest, at)?,
                '\'' if !double => single(rest, at, &mut out, &mut tags)?,
                '#' if !double && begins_word(&out) => rest.find('\n').unwrap_or(rest.len()),
                '<' if !double && rest.starts_with("<<") => {
                    let what = "here-documents lose their indentation here; use printf";
                    return Err(Fault { at, length: 2, what });
                }
                '$' if rest.starts_with("$(") => {
                    stack.push(Inside::Parentheses);
                    2
                }
                _ => {
                    step(char, &mut stack);
                    char.len_utf8()
                }
            };
            if char != '\'' || double {
                out.push_str(rest.get(..length).unwrap_or_default());
            }
            at += length;
        }
        tags.sort_unstable_by_key(|tag| *tag as u8);
        tags.dedup();
        Ok((out, tags))
    }

    fn begins_word(out: &str) -> bool {
        out.chars()
            .next_back()
            .is_none_or(|last| last.is_whitespace() || last == ';')
    }

    fn step(char: char, stack: &mut Vec<Inside>) {
        match (char, stack.last().copied()) {
            ('"', Some(Inside::Double))
            | (')', Some(Inside::Parentheses))
            | ('`', Some(Inside::Backticks)) => {
                stack.pop();
            }
            ('"', _) => stack.push(Inside::Double),
            ('`', _) => stack.push(Inside::Backticks),
            ('(', None | Some(Inside::Parentheses | Inside::Backticks)) => stack.push(Inside::Parentheses),
            _ => {}
        }
    }

    /// A backslash and the character behind it.
    fn escaped(rest: &str, at: usize) -> Result<usize, Fault> {
        let after = rest.get(1..).unwrap_or_default();
        if let Some((_, length)) = tag(after) {
            let what = "no backslash can stand before a tag";
            return Err(Fault {
                at,
                length: length + 1,
                what,
            });
        }
        Ok(1 + after.chars().next().map_or(0, char::len_utf8))
    }

    /// `'…'`, opened at `rest`: a tag inside closes the quotes, and opens them again.
    fn single(rest: &str, at: usize, out: &mut String, tags: &mut Vec<Tag>) -> Result<usize, Fault> {
        let inside = rest.get(1..).unwrap_or_default();
        let Some(end) = inside.find('\'') else {
            let what = "this quote is not closed";
            return Err(Fault { at, length: 1, what });
        };
        let inside = inside.get(..end).unwrap_or_default();
        out.push('\'');
        let mut from = 0;
        while let Some(rest) = inside.get(from..).filter(|rest| !rest.is_empty()) {
            match tag(rest) {
                Some((tag, length)) => {
                    tags.push(tag);
                    out.push_str(&format!("'\"${{{}}}\"'", tag.variable()));
                    from += length;
                }
                None => {
                    let next = rest.chars().next().map_or(1, char::len_utf8);
                    out.push_str(rest.get(..next).unwrap_or_default());
                    from += next;
                }
            }
        }
        out.push('\'');
        Ok(end + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATCHES: &str = "$(reboot) `reboot` \"; reboot #' \\n";

    fn values() -> Values<'static> {
        Values {
            net: Some("192.0.2.1/32".parse().unwrap()),
            failures: 5,
            bantime: None,
            time: 1_795_351_367,
            matches: MATCHES,
            restored: false,
            hostname: "pbx.example.org",
        }
    }

    /// The commands of a text as they are shown, one a line.
    fn check(text: &str, want: &str) {
        let script = Script::new(text).unwrap();
        let lines: Vec<String> = script.lines().collect();
        assert_eq!(lines.join("\n"), want, "{text}");
    }

    #[test]
    fn plain_words_need_no_shell() {
        check("", "");
        check(
            "iptables -N f\n\n  iptables  -I f 1 -s <ip> ! -i lo -j DROP",
            "iptables -N f\niptables -I f 1 -s <ip> ! -i lo -j DROP",
        );
        check("a 'b c' \"d'e\" f\\ g ''", "a 'b c' 'd'e' 'f g' ''");
        check(
            "curl --data ip=<ip> -d \"x=<ip>;y\"",
            "curl --data ip=<ip> -d x=<ip>;y",
        );
        check(
            "a \"<matches> & co\" b<fq-hostname>c",
            "a '<matches> & co' b<fq-hostname>c",
        );
        check("mail -s '[x] <ip>' a#b x~", "mail -s '[x] <ip>' a#b x~");
        check("a \"\\x\\\"\"", "a '\\\\x\"'");
        check("a {b} }", "a {b} }");
    }

    #[test]
    fn what_only_a_shell_can_do_is_left_to_it() {
        for text in [
            "a | b",
            "a && b",
            "a; b",
            "a > b",
            "a < b",
            "a <b> c",
            "a $X",
            "a \"$X\"",
            "a `b`",
            "a *",
            "a ?",
            "a [b]",
            "X=1 a",
            "~/a",
            "a ~/b",
            "# a",
            "if a; then\nb\nfi",
            "{ a; }",
            "a 'b",
            "a &",
            "(a)",
            "! a",
            "echo a",
            "a\nb | c",
            "a \\",
        ] {
            let script = Script::new(text);
            let shown = script.map(|script| script.lines().collect::<String>());
            let closed = shown.as_ref().is_ok_and(|shown| shown.starts_with("sh -c: "));
            assert!(closed || text == "a 'b", "{text}: {shown:?}");
        }
    }

    #[test]
    fn values_reach_a_shell_only_as_variables() {
        let ip = "${SIPGUARD_ip}";
        for (text, want) in [
            ("echo <ip>", format!("echo \"{ip}\"")),
            ("echo \"a <ip> b\"", format!("echo \"a {ip} b\"")),
            ("echo 'a <ip> b'", format!("echo 'a '\"{ip}\"' b'")),
            ("IP=<ip> a", format!("IP=\"{ip}\" a")),
            (
                "a \"$(b <ip> \"<ip>\")\" <ip>",
                format!("a \"$(b \"{ip}\" \"{ip}\")\" \"{ip}\""),
            ),
            ("a \"(x)\" <ip> | b", format!("a \"(x)\" \"{ip}\" | b")),
            ("a \"\\\"<ip>\" | b", format!("a \"\\\"{ip}\" | b")),
            ("a | b # don't <ip>", "a | b # don't <ip>".to_owned()),
            ("a `b <ip>`", format!("a `b \"{ip}\"`")),
        ] {
            let script = Script::new(text).unwrap();
            let (argv, env) = script.run(0, &values()).unwrap();
            assert_eq!(argv, ["/bin/sh", "-c", want.as_str(), "sipguard"], "{text}");
            let named = want
                .contains("SIPGUARD")
                .then(|| ("SIPGUARD_ip".to_owned(), "192.0.2.1".to_owned()));
            assert_eq!(env, named.into_iter().collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_run_safely_is_refused() {
        let check = |text: &str, at: usize| assert_eq!(Script::new(text).unwrap_err().at, at, "{text}");
        check("cat <<EOF | a\nb\nEOF", 4);
        check("a \\<ip> | b", 2);
        check("a | 'b", 4);
        check("a\0b", 0);
    }

    #[test]
    fn every_value_is_what_fail2ban_names_so() {
        let all =
            "a <ip> <ip-rev> <failures> <bantime> <time> <restored> <fq-hostname> <sh-hostname> <matches>";
        let (argv, _) = Script::new(all).unwrap().run(0, &values()).unwrap();
        let want = [
            "a",
            "192.0.2.1",
            "1.2.0.192.",
            "5",
            "-1",
            "1795351367",
            "0",
            "pbx.example.org",
            "pbx",
            MATCHES,
        ];
        assert_eq!(argv, want);
        let v6 = Values {
            net: Some("2001:db8::/64".parse().unwrap()),
            bantime: Some(600),
            ..values()
        };
        let (argv, _) = Script::new("a <ip> <bantime>").unwrap().run(0, &v6).unwrap();
        assert_eq!(argv, ["a", "2001:db8::/64", "600"]);
        assert_eq!(reversed("2001:db8::1".parse().unwrap()).len(), 64);
    }
}
