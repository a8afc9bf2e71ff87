//! One expression of a filter, ready to match.

use std::cell::RefCell;

use regex_lite::{CaptureLocations, Regex, RegexBuilder};

use super::address::{self, Taken};
use super::emit::{self, Capture};
use super::example;
use super::forge::{self, Weakness};
use super::literal::Needles;
use super::syntax::{self, Fault};
use crate::limits::{PATTERN_BYTES_MAX, PATTERN_PROGRAM_BYTES_MAX};

/// What an expression is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `prefregex`: what all lines have in common.
    Prefix,
    /// `failregex`: a failure, and who did it.
    Fail,
    /// `ignoreregex`: no failure.
    Ignore,
}

/// Tags that match no name. A group of the user's own may match anything.
const ADDRESSES_ONLY: [&str; 3] = ["<ADDR>", "<IP4>", "<IP6>"];

/// An expression of fail2ban's. Equal to another of the same text and role.
#[derive(Debug)]
pub struct Pattern {
    source: String,
    role: Role,
    regex: Regex,
    captures: Vec<Capture>,
    needles: Needles,
    weaknesses: Vec<Weakness>,
    /// Where the groups were found: kept, so that matching allocates nothing.
    slots: RefCell<CaptureLocations>,
}

/// What a match says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Match<'t> {
    /// `<F-CONTENT>`
    pub(super) content: Option<&'t str>,
    /// Who did it, if the expression found that.
    pub(super) taken: Option<Taken<'t>>,
    /// `<F-NOFAIL>`: it is no failure.
    pub(super) no_fail: bool,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        (&self.source, self.role) == (&other.source, other.role)
    }
}

impl Pattern {
    /// Reads an expression of one line.
    ///
    /// # Errors
    /// What cannot be matched, and what to write in its place.
    pub fn new(source: &str, role: Role) -> Result<Pattern, Fault> {
        let whole = |what| Fault {
            at: 0,
            length: source.len(),
            what,
        };
        if source.len() > PATTERN_BYTES_MAX {
            return Err(whole("this expression is too long; split it into several lines"));
        }
        let (node, flags) = syntax::parse(source)?;
        let keep: &[&str] = match role {
            Role::Prefix => &["content", "nofail"],
            Role::Fail => &["nofail"],
            Role::Ignore => &[],
        };
        let emitted = emit::emit(&node, flags, keep, false);
        let addresses = emitted
            .captures
            .iter()
            .filter(|capture| matches!(capture, Capture::Address(_)));
        if addresses.clone().count() > 1 && source.matches("<HOST>").count() > 1 {
            return Err(whole(
                "<HOST> stands here twice; name the address once, and write one line for each case",
            ));
        }
        let regex = compile(&emitted.text).map_err(|fault| whole(fault.what))?;
        let finds = role != Role::Ignore && forge::has_address(&node);
        let mut slots = regex.capture_locations();
        example::warm(&regex, &mut slots, &node);
        Ok(Pattern {
            source: source.to_owned(),
            role,
            needles: Needles::of(&node, flags),
            weaknesses: match role {
                Role::Fail | Role::Prefix if finds => forge::weaknesses(&node).collect(),
                Role::Fail | Role::Prefix if !forge::begins_at_start(&node) => vec![Weakness::Unanchored],
                Role::Fail | Role::Prefix | Role::Ignore => Vec::new(),
            },
            slots: RefCell::new(slots),
            captures: emitted.captures,
            regex,
        })
    }

    /// The text it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How its address might be forged.
    #[must_use]
    pub fn weaknesses(&self) -> &[Weakness] {
        &self.weaknesses
    }

    /// Whether it finds an address.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.captures
            .iter()
            .any(|capture| matches!(capture, Capture::Address(_)))
    }

    /// Whether what it finds can be a name: `<ADDR>` and its like match addresses only.
    #[must_use]
    pub fn finds_names(&self) -> bool {
        self.has_address() && !ADDRESSES_ONLY.iter().any(|tag| self.source.contains(tag))
    }

    /// Whether it marks lines that are no failures.
    #[must_use]
    pub fn has_no_fail(&self) -> bool {
        self.captures
            .iter()
            .any(|capture| matches!(capture, Capture::Named(name) if name == "nofail"))
    }

    /// Whether a line of these two pieces can match; cheap.
    pub(super) fn may_match(&self, before: &[u8], after: &[u8]) -> bool {
        self.needles.may_match(before, after)
    }

    /// Whether a line can match from which the date has not been taken yet; cheap.
    pub(super) fn may_match_uncut(&self, line: &[u8]) -> bool {
        self.needles.may_match_uncut(line)
    }

    /// Whether it matches.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.may_match(b"", text.as_bytes()) && self.regex.is_match(text)
    }

    /// Matches a text.
    pub(super) fn find<'t>(&self, text: &'t str) -> Option<Match<'t>> {
        if !self.may_match(b"", text.as_bytes()) {
            return None;
        }
        // Nobody else holds them: a match does not begin another.
        let mut slots = self.slots.try_borrow_mut().ok()?;
        self.regex.captures_read(&mut slots, text)?;
        let mut found = Match::default();
        for (number, capture) in self.captures.iter().enumerate() {
            let Some((from, to)) = slots.get(number + 1) else {
                continue;
            };
            match capture {
                Capture::Address(pinned) => {
                    let taken = address::read(text, from, to, *pinned);
                    found.taken = Some(found.taken.map_or(taken, |before| both(before, taken)));
                }
                Capture::Named(name) if name == "content" => found.content = text.get(from..to),
                Capture::Named(_) => found.no_fail = true,
                Capture::First => {}
            }
        }
        Some(found)
    }
}

/// Two groups of one expression: if they do not agree, neither is believed.
fn both<'t>(one: Taken<'t>, other: Taken<'t>) -> Taken<'t> {
    match (one, other) {
        (one, other) if one == other => one,
        (Taken::Name(_), Taken::Name(_)) => Taken::Nobody,
        (Taken::Nobody, found) | (found, Taken::Nobody) => found,
        // An address is not made doubtful by a name beside it.
        (Taken::Name(_), found) | (found, Taken::Name(_)) => found,
        (Taken::Address(_) | Taken::Part, Taken::Address(_) | Taken::Part) => Taken::Part,
    }
}

/// Hands an expression to regex-lite, which matches in time linear in the text.
pub(super) fn compile(expression: &str) -> Result<Regex, Fault> {
    let mut builder = RegexBuilder::new(expression);
    builder.size_limit(PATTERN_PROGRAM_BYTES_MAX).nest_limit(500);
    builder.build().map_err(|_| Fault {
        at: 0,
        length: expression.len(),
        what: "this expression is too large when its repetitions are written out; split it, or repeat less",
    })
}
