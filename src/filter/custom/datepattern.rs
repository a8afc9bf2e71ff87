//! `datepattern`: where the date stands in a line, and how it reads.
//!
//! `{NONE}`; `{^LN-BEG}` alone, or before a pattern; `EPOCH`, `TAI64N`; `{DATE}` for any of the shapes of
//! [`super::date`]; strptime's directives, with fail2ban's `%Ex…` for exact ones; and regular expressions
//! around them. What is in the first `(…)` is taken out of the line, or all that the pattern matches.

use std::cell::RefCell;

use regex_lite::{CaptureLocations, Regex};

use super::super::cursor::Cursor;
use super::super::stamp::{self, Context};
use super::date::{self, Fields, Found};
use super::emit::{self, Capture};
use super::syntax::{self, Fault};
use super::{example, pattern};
use crate::limits::PATTERN_BYTES_MAX;

/// How the date of a line is found.
#[derive(Debug, Default)]
pub struct Dates(Vec<Way>);

/// One line of a `datepattern`.
#[derive(Debug)]
enum Way {
    /// Any of the known shapes.
    Shapes {
        begin_only: bool,
    },
    /// `EPOCH`, anywhere.
    Epoch,
    Pattern(Box<Pattern>),
}

#[derive(Debug)]
struct Pattern {
    source: String,
    regex: Regex,
    captures: Vec<Capture>,
    slots: RefCell<CaptureLocations>,
}

impl PartialEq for Way {
    fn eq(&self, other: &Way) -> bool {
        match (self, other) {
            (Way::Shapes { begin_only: one }, Way::Shapes { begin_only: other }) => one == other,
            (Way::Epoch, Way::Epoch) => true,
            (Way::Pattern(one), Way::Pattern(other)) => one.source == other.source,
            (Way::Shapes { .. } | Way::Epoch | Way::Pattern(_), _) => false,
        }
    }
}

impl PartialEq for Dates {
    fn eq(&self, other: &Dates) -> bool {
        self.0 == other.0
    }
}

/// Where a pattern begins at the beginning of a line, behind at most two bytes of no word.
const LINE_BEGIN: &str = "{^LN-BEG}";

/// The shapes of [`super::date`] as an expression; what it matched is read by that module.
const SHAPES: &str = "(?P<date>[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}[T ] ?[0-9]{1,2}:[0-9]{2}:[0-9]{2}\
    (?:[.,][0-9]{1,9})?(?:\\s*(?:Z|[+-][0-9]{2}:?[0-9]{2}))?\
    |(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} [ 0-9]?[0-9] (?:[0-9]{4} )?[0-9]{1,2}:[0-9]{2}:[0-9]{2}\
    (?:\\.[0-9]{1,9})?(?: [0-9]{4})?\
    |[0-9]{1,2}[-/](?:[0-9]{1,2}|[A-Z][a-z]{2})[-/][0-9]{2,4}[ :][0-9]{1,2}:[0-9]{2}:[0-9]{2}\
    (?:\\.[0-9]{1,9})?(?: [+-][0-9]{4})?)";

/// A directive, and the expression for it.
const DIRECTIVES: [(&str, &str); 27] = [
    ("ExY", "(?P<Y>[0-9]{4})"),
    ("Exy", "(?P<y>[0-9]{2})"),
    ("Exm", "(?P<m>[0-9]{2})"),
    ("Exd", "(?P<d>[0-9]{2})"),
    ("ExH", "(?P<H>[0-9]{2})"),
    ("Exk", "(?P<H>[0-9]{1,2}| [0-9])"),
    ("ExM", "(?P<M>[0-9]{2})"),
    ("ExS", "(?P<S>[0-9]{2})"),
    ("ExI", "(?P<H>[0-9]{2})"),
    ("Exl", "(?P<H>[0-9]{1,2}| [0-9])"),
    ("Y", "(?P<Y>[0-9]{4})"),
    ("y", "(?P<y>[0-9]{2})"),
    ("m", "(?P<m>[0-9]{1,2})"),
    ("d", "(?P<d>[0-9]{1,2}| [0-9])"),
    ("b", "(?P<b>[A-Za-z]{3})"),
    ("B", "(?P<b>[A-Za-z]{3,9})"),
    ("a", "[A-Za-z]{3}"),
    ("A", "[A-Za-z]{6,9}"),
    ("H", "(?P<H>[0-9]{1,2})"),
    ("k", "(?P<H>[0-9]{1,2}| [0-9])"),
    ("I", "(?P<H>[0-9]{1,2})"),
    ("M", "(?P<M>[0-9]{1,2})"),
    ("S", "(?P<S>[0-9]{1,2})"),
    ("f", "[0-9]{1,9}"),
    ("p", "(?P<p>[AaPp][Mm])"),
    ("z", "(?P<z>Z|[+-][0-9]{2}:?[0-9]{2})"),
    ("Z", "[A-Za-z]{1,5}"),
];

/// The groups of the expressions above.
const FIELDS: [&str; 13] = [
    "Y", "y", "m", "d", "b", "H", "M", "S", "p", "z", "date", "epoch", "tai",
];

impl Dates {
    /// The shapes that are known, wherever they stand.
    #[must_use]
    pub fn any() -> Dates {
        Dates(vec![Way::Shapes { begin_only: false }])
    }

    /// No line has a date.
    #[must_use]
    pub fn none() -> Dates {
        Dates::default()
    }

    /// Adds one line of a `datepattern`.
    ///
    /// # Errors
    /// If it is not understood; the place is the whole line.
    pub fn add(&mut self, text: &str) -> Result<(), Fault> {
        let fault = |what| Fault {
            at: 0,
            length: text.len(),
            what,
        };
        if text.len() > PATTERN_BYTES_MAX {
            return Err(fault("this pattern is too long"));
        }
        let way = match text {
            "{NONE}" => return Ok(()),
            "{DATE}" => Way::Shapes { begin_only: false },
            LINE_BEGIN | "{^LN-BEG}{DATE}" => Way::Shapes { begin_only: true },
            _ if text.eq_ignore_ascii_case("epoch") => Way::Epoch,
            _ => Way::Pattern(Box::new(Pattern::new(text).map_err(|what| fault(what.what))?)),
        };
        self.0.push(way);
        Ok(())
    }

    /// The date of a line.
    pub(super) fn find(&self, line: &str, context: &Context) -> Option<Found> {
        self.0.iter().find_map(|way| match way {
            Way::Shapes { begin_only } => date::find(line.as_bytes(), *begin_only, context),
            Way::Epoch => epoch_anywhere(line.as_bytes(), context),
            Way::Pattern(pattern) => pattern.find(line, context),
        })
    }
}

fn epoch_anywhere(line: &[u8], context: &Context) -> Option<Found> {
    (0..line.len()).find_map(|start| {
        let begins = start.checked_sub(1).and_then(|before| line.get(before));
        if begins.is_some_and(date::is_word) {
            return None;
        }
        let (length, at) = date::epoch(line.get(start..)?, context)?;
        let end = start + length;
        Some(Found { start, end, at })
    })
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern, Fault> {
        let (begin, pattern) = match text.strip_prefix(LINE_BEGIN) {
            Some(rest) => ("^[^0-9A-Za-z_]{0,2}", rest),
            None if text.starts_with('%') => ("(?:^|\\b)", text),
            None => ("", text),
        };
        let expression = expand(&without_back_references(pattern))?;
        let whole = if has_group(&expression) {
            format!("{begin}{expression}")
        } else {
            format!("{begin}({expression})")
        };
        let (node, flags) = syntax::parse(&whole)?;
        let emitted = emit::emit(&node, flags, &FIELDS, true);
        let regex = pattern::compile(&emitted.text)?;
        let mut slots = regex.capture_locations();
        example::warm(&regex, &mut slots, &node);
        Ok(Pattern {
            source: text.to_owned(),
            slots: RefCell::new(slots),
            regex,
            captures: emitted.captures,
        })
    }

    fn find(&self, line: &str, context: &Context) -> Option<Found> {
        let mut slots = self.slots.try_borrow_mut().ok()?;
        self.regex.captures_read(&mut slots, line)?;
        let mut fields = Fields::default();
        let (mut span, mut known) = (None, None);
        let mut complete = true;
        for (number, capture) in self.captures.iter().enumerate() {
            let Some((from, to)) = slots.get(number + 1) else {
                continue;
            };
            let text = line.get(from..to)?;
            match capture {
                Capture::First => span = Some((from, to)),
                Capture::Named(name) if name == "date" => {
                    known = date::shaped(text.as_bytes(), context).and_then(|(_, at)| at);
                }
                Capture::Named(name) if name == "epoch" => {
                    known = date::epoch(text.as_bytes(), context).and_then(|(_, at)| at);
                }
                Capture::Named(name) if name == "tai" => {
                    known = date::tai(text.as_bytes(), context).and_then(|(_, at)| at);
                }
                Capture::Named(name) => complete &= set(&mut fields, name, text).is_some(),
                Capture::Address(_) => {}
            }
        }
        let (start, end) = span?;
        let bytes = line.as_bytes();
        let inside_word = end > 0
            && bytes.get(end - 1).is_some_and(date::is_word)
            && bytes.get(end).is_some_and(date::is_word);
        if inside_word {
            return None;
        }
        let at = known.or_else(|| fields.wall(context).filter(|_| complete));
        Some(Found { start, end, at })
    }
}

/// Reads one field.
fn set(fields: &mut Fields, name: &str, text: &str) -> Option<()> {
    let number = || text.trim_start().parse::<u32>().ok();
    match name {
        "Y" => fields.year = Some(i32::try_from(number()?).ok()?),
        "y" => fields.year = Some(2000 + i32::try_from(number()?).ok()?),
        "m" => fields.month = number()?,
        "b" => fields.month = date::month(text.as_bytes())?,
        "d" => fields.day = number()?,
        "H" => fields.hour = number()?,
        "M" => fields.minute = number()?,
        "S" => fields.second = number()?,
        "p" => fields.afternoon = Some(text.eq_ignore_ascii_case("pm")),
        "z" => fields.zone = Some(stamp::zone(&mut Cursor::new(text.as_bytes()))?),
        _ => {}
    }
    Some(())
}

/// `(?P<_sep>[-/.])…(?P=_sep)`: the group's expression once more. Looser than the same character again.
fn without_back_references(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some((_, after)) = text.split_once("(?P=") {
        let Some((name, _)) = after.split_once(')') else {
            break;
        };
        let group = format!("(?P<{name}>");
        let Some((inside, _)) = text
            .split_once(&group)
            .and_then(|(_, inside)| inside.split_once(')'))
        else {
            break;
        };
        let again = format!("(?:{inside})");
        text = text.replacen(&format!("(?P={name})"), &again, 1);
        if text.len() > PATTERN_BYTES_MAX {
            break;
        }
    }
    text
}

/// Puts expressions in place of the directives.
fn expand(text: &str) -> Result<String, Fault> {
    const EPOCH: &str = "(?P<epoch>[0-9]{10}(?:\\.[0-9]{3,6}|[0-9]{3})?)";
    let words = [
        ("{DATE}", SHAPES),
        ("LEPOCH", EPOCH),
        ("EPOCH", EPOCH),
        ("Epoch", EPOCH),
        ("TAI64N", "(?P<tai>@[0-9a-f]{24})"),
        ("%%", "%"),
    ];
    let mut out = String::new();
    let mut rest = text;
    'next: while let Some(first) = rest.chars().next() {
        for (word, expression) in words {
            if let Some(after) = rest.strip_prefix(word) {
                out.push_str(expression);
                rest = after;
                continue 'next;
            }
        }
        if let Some(directive) = rest.strip_prefix('%') {
            let found = DIRECTIVES.iter().find_map(|(name, expression)| {
                let after = directive.strip_prefix(name)?;
                Some((expression, after))
            });
            let Some((expression, after)) = found else {
                return Err(Fault {
                    at: 0,
                    length: text.len(),
                    what: "this % is not known; use %Y %m %d %b %H %M %S %z and their like",
                });
            };
            out.push_str(expression);
            rest = after;
            continue;
        }
        out.push(first);
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    Ok(out)
}

/// Whether there is a `(` that is neither text nor the head of a special group.
fn has_group(expression: &str) -> bool {
    let mut escaped = false;
    let mut in_class = false;
    let bytes = expression.as_bytes();
    bytes.iter().enumerate().any(|(at, &byte)| {
        let plain = !escaped;
        escaped = plain && byte == b'\\';
        match byte {
            b'[' if plain => in_class = true,
            b']' if plain => in_class = false,
            _ => {}
        }
        plain && !in_class && byte == b'(' && bytes.get(at + 1) != Some(&b'?')
    })
}
