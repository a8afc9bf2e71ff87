//! A filter of the user's own: fail2ban's `filter.d/NAME.conf`.
//!
//! As in fail2ban, the date is taken out of a line first ([`Dates`]); then `prefregex` must match and its
//! `<F-CONTENT>` goes on, or the whole line does; then nothing of `ignoreregex` may match; then the first
//! `failregex` that matches counts, or says that the line counts for nobody.
//!
//! An expression is read by `syntax` and `characters` into a `tree`; `forge` judges it, `literal` finds
//! what a line must contain, `emit` writes it for regex-lite, `example` runs it in, and `address` decides
//! whether what was found is an address.
//!
//! Where this differs from fail2ban:
//! * A host name in place of `<HOST>` counts for nothing, and is handed out only if it is asked for
//!   ([`Custom::with_names`]); nothing is looked up here.
//! * `\d`, `\w`, `\s`, `\b` and `(?i)` know ASCII only.
//! * Lines are not tied together: `<F-MLFID>` and its like name groups without effect, so that an expression
//!   without an address never counts; `<F-NOFAIL>` works.
//! * A byte that is not UTF-8 is matched as U+001A, which `.` and `[^…]` match.
//!
//! Time: a line without the text that an expression requires costs a search for it, about 100 ns; with it,
//! the length of the line times the number of the expression's parts that are in play, about 100 ns a byte
//! for common ones. Memory: nothing is allocated for a line. (regex-lite's stack of pending states could
//! still grow at a line that leads deeper into an expression than the examples did, up to the expression's
//! size.)

mod address;
mod characters;
mod date;
mod datepattern;
mod emit;
mod example;
mod forge;
mod literal;
mod pattern;
mod syntax;
#[cfg(test)]
mod tests;
mod tree;

pub use datepattern::Dates;
pub use forge::Weakness;
pub use pattern::{Pattern, Role};
pub use syntax::Fault;

use std::cell::RefCell;
use std::rc::Rc;

use super::{Class, Context, Failure, Kind, Proof, Reading, Service, Suspicion};
use crate::limits::{LINE_BYTES_MAX, NAME_BYTES_MAX};
use crate::time::Wall;
use address::Taken;
use pattern::Match;

/// What a filter of the user's own consists of.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// Its name: `NAME` of `filter.d/NAME.conf`, or the jail's.
    pub name: String,
    /// `prefregex`
    pub prefix: Option<Pattern>,
    /// `failregex`, in the order of the files.
    pub fail: Vec<Pattern>,
    /// `ignoreregex`
    pub ignore: Vec<Pattern>,
    /// `datepattern`
    pub dates: Dates,
    /// `proof`: how sure a line is about its address.
    pub proof: Proof,
}

/// Reads lines by a [`Definition`].
#[derive(Clone, Debug)]
pub struct Custom {
    definition: Rc<Definition>,
    scratch: RefCell<Scratch>,
    /// The name in the last line where an address is expected, if names are asked for.
    name: Option<RefCell<String>>,
}

/// Room for one line.
#[derive(Clone, Debug)]
struct Scratch {
    /// The line, if it is not UTF-8.
    mended: String,
    /// The line without its date, if that stands inside.
    joined: String,
}

/// What a byte that is not UTF-8 is matched as: SUBSTITUTE.
const SUBSTITUTE: char = '\x1a';

impl Custom {
    /// A reader with room for one line.
    #[must_use]
    pub fn new(definition: Rc<Definition>) -> Custom {
        Custom {
            definition,
            scratch: RefCell::new(Scratch {
                mended: String::with_capacity(LINE_BYTES_MAX),
                joined: String::with_capacity(LINE_BYTES_MAX),
            }),
            name: None,
        }
    }

    /// The same, that keeps the name in a line if one stands where an address is expected.
    #[must_use]
    pub fn with_names(self) -> Custom {
        let room = String::with_capacity(NAME_BYTES_MAX);
        Custom {
            name: Some(RefCell::new(room)),
            ..self
        }
    }

    /// Hands the name in the line that was read last to `each`, if there was one.
    pub fn name(&self, each: impl FnOnce(&str)) {
        let kept = self.name.as_ref().and_then(|name| name.try_borrow().ok());
        if let Some(name) = kept.as_deref().filter(|name| !name.is_empty()) {
            each(name);
        }
    }

    /// What one line, without its newline, says.
    #[must_use]
    pub fn read(&self, line: &[u8], context: &Context) -> Reading {
        let definition = &*self.definition;
        let mut kept = self.name.as_ref().and_then(|name| name.try_borrow_mut().ok());
        if let Some(name) = kept.as_deref_mut() {
            name.clear();
        }
        let judge = |text: &str, at| {
            let (reading, name) = definition.judge(text, at);
            if let (Some(kept), Some(name)) = (kept.as_deref_mut(), name) {
                kept.push_str(name);
            }
            reading
        };
        self.without_date(line, context, &definition.fail, judge)
            .unwrap_or(Reading::Nothing)
    }

    /// Whether `ignoreregex` matches the line, for a jail whose filter is built in.
    #[must_use]
    pub fn ignores(&self, line: &[u8], context: &Context) -> bool {
        let ignore = &self.definition.ignore;
        let judge = |text: &str, _| ignore.iter().any(|pattern| pattern.is_match(text));
        self.without_date(line, context, ignore, judge).unwrap_or(false)
    }

    /// Hands the line without its date, and the date, to `judge`, if one of `patterns` might match.
    fn without_date<T>(
        &self,
        line: &[u8],
        context: &Context,
        patterns: &[Pattern],
        judge: impl FnOnce(&str, Option<Wall>) -> T,
    ) -> Option<T> {
        let worth_it = patterns.iter().any(|pattern| pattern.may_match_uncut(line));
        if line.len() > LINE_BYTES_MAX || !worth_it {
            return None;
        }
        let mut scratch = self.scratch.try_borrow_mut().ok()?;
        let Scratch { mended, joined } = &mut *scratch;
        let text = match core::str::from_utf8(line) {
            Ok(text) => text,
            Err(_) => {
                mend(line, mended);
                mended
            }
        };
        let date = self.definition.dates.find(text, context);
        let (before, after) = match &date {
            Some(date) => (text.get(..date.start)?, text.get(date.end..)?),
            None => ("", text),
        };
        let may_match = |pattern: &Pattern| pattern.may_match(before.as_bytes(), after.as_bytes());
        if !patterns.iter().any(may_match) {
            return None;
        }
        let text = if before.is_empty() {
            after
        } else {
            joined.clear();
            joined.push_str(before);
            joined.push_str(after);
            joined
        };
        Some(judge(text, date.and_then(|date| date.at)))
    }
}

/// A line with every byte that is not UTF-8 replaced, as long as it was.
fn mend(line: &[u8], mended: &mut String) {
    mended.clear();
    for chunk in line.utf8_chunks() {
        mended.push_str(chunk.valid());
        mended.extend(chunk.invalid().iter().map(|_| SUBSTITUTE));
    }
}

impl Definition {
    /// Whether a name can stand in its lines where an address is expected.
    #[must_use]
    pub fn finds_names(&self) -> bool {
        self.fail.iter().chain(&self.prefix).any(Pattern::finds_names)
    }

    /// What a line without its date says, and the name that stands where an address is expected.
    fn judge<'t>(&self, text: &'t str, at: Option<Wall>) -> (Reading, Option<&'t str>) {
        let mut prefix = Match::default();
        if let Some(pattern) = &self.prefix {
            match pattern.find(text) {
                Some(found) => prefix = found,
                None => return (Reading::Nothing, None),
            }
        }
        let text = prefix.content.unwrap_or(text);
        if self.ignore.iter().any(|pattern| pattern.is_match(text)) {
            return (Reading::Nothing, None);
        }
        let Some(found) = self.fail.iter().find_map(|pattern| pattern.find(text)) else {
            return (Reading::Nothing, None);
        };
        if found.no_fail || prefix.no_fail {
            return (Reading::Nothing, None);
        }
        let reading = match found.taken.or(prefix.taken) {
            Some(Taken::Address(addr)) => Reading::Failure(Failure {
                addr,
                kind: Kind {
                    service: Service::Custom,
                    class: Class::Auth,
                },
                proof: self.proof,
                attempt: None,
                at,
                account: None,
            }),
            Some(Taken::Part) => Reading::Suspicious(Suspicion::Ambiguous),
            Some(Taken::Name(name)) => return (Reading::Nothing, Some(name)),
            Some(Taken::Nobody) | None => Reading::Nothing,
        };
        (reading, None)
    }
}
