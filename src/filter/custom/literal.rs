//! What a line must contain so that an expression can match it: found without the expression, it costs almost
//! nothing on the lines that say nothing, which are nearly all.

use super::tree::{Flags, Node};
use crate::limits::PATTERN_LITERALS_MAX;

/// Texts of which a matching line contains at least one; none at all if nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needles {
    whole: Vec<Needle>,
    /// Both halves of each: a cut in the line can hide only one of them.
    halves: Vec<Needle>,
}

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Needle {
    bytes: Vec<u8>,
    fold: bool,
    /// The byte of it that is rarest in logs, and where it stands.
    rare: (usize, u8),
}

impl Needles {
    /// The longest texts that every match of the tree contains.
    pub(super) fn of(node: &Node, flags: Flags) -> Needles {
        let whole = required(node, flags.ignore_case == Some(true)).unwrap_or_default();
        let halves = whole.iter().flat_map(|needle| {
            let (left, right) = needle
                .bytes
                .split_at_checked(needle.bytes.len() / 2)
                .unwrap_or_default();
            [left, right].map(|half| Needle::new(half, needle.fold))
        });
        let halves = halves.collect();
        Needles { whole, halves }
    }

    /// Whether a line can match from which something may be cut out yet.
    pub(super) fn may_match_uncut(&self, line: &[u8]) -> bool {
        self.halves.is_empty() || self.halves.iter().any(|half| half.is_in_one(line))
    }

    /// Whether `before` and `after`, put together, can match.
    pub(super) fn may_match(&self, before: &[u8], after: &[u8]) -> bool {
        self.whole.is_empty() || self.whole.iter().any(|needle| needle.is_in(before, after))
    }

    /// Whether nothing is known, so that every line must be matched.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }
}

/// Bytes of the shortest: the longer, the fewer lines have it.
fn worth(needles: &[Needle]) -> usize {
    needles.iter().map(|needle| needle.bytes.len()).min().unwrap_or(0)
}

impl Needle {
    fn new(bytes: &[u8], fold: bool) -> Needle {
        let rank = |byte: u8| match byte {
            b'A'..=b'Z' | b'\'' | b'"' | b'<' | b'>' | b'(' | b'#' | b'@' | b';' => 0,
            b'z' | b'x' | b'q' | b'j' | b'k' | b'v' | b'w' | b'y' | b'b' | b'[' | b']' => 1,
            b'a'..=b'z' | b'=' | b'/' | b'-' | b'_' => 2,
            _ => 3,
        };
        let rarest = bytes.iter().enumerate().min_by_key(|&(_, &byte)| rank(byte));
        Needle {
            bytes: bytes.to_vec(),
            fold,
            rare: rarest.map_or((0, 0), |(at, &byte)| (at, byte)),
        }
    }

    fn equals(&self, text: &[u8], part: &[u8]) -> bool {
        if self.fold {
            text.eq_ignore_ascii_case(part)
        } else {
            text == part
        }
    }

    fn is_in(&self, before: &[u8], after: &[u8]) -> bool {
        self.is_in_one(after)
            || self.is_in_one(before)
            || (!before.is_empty() && self.is_across(before, after))
    }

    fn is_in_one(&self, text: &[u8]) -> bool {
        let length = self.bytes.len();
        if self.fold {
            return text
                .windows(length)
                .any(|window| self.equals(window, &self.bytes));
        }
        let (offset, rare) = self.rare;
        let mut from = offset;
        while let Some(at) = text.get(from..).and_then(|rest| find_byte(rest, rare)) {
            let start = from + at - offset;
            if text
                .get(start..)
                .is_some_and(|rest| rest.starts_with(&self.bytes))
            {
                return true;
            }
            from += at + 1;
        }
        false
    }

    /// Whether it stands where the two meet.
    fn is_across(&self, before: &[u8], after: &[u8]) -> bool {
        (1..self.bytes.len()).any(|head| {
            let Some((left, right)) = self.bytes.split_at_checked(head) else {
                return false;
            };
            let end = before.len().checked_sub(head).and_then(|from| before.get(from..));
            let start = after.get(..right.len());
            end.is_some_and(|end| self.equals(end, left))
                && start.is_some_and(|start| self.equals(start, right))
        })
    }
}

/// Where `byte` first stands. Looks at a machine word at a time: the lowest byte that becomes zero is exact,
/// the borrow only spoils higher ones.
fn find_byte(text: &[u8], byte: u8) -> Option<usize> {
    const WORD: usize = size_of::<usize>();
    const ONES: usize = usize::MAX / 255;
    let mut rest = text;
    let mut at = 0;
    while let Some((chunk, after)) = rest.split_first_chunk::<WORD>() {
        let word = usize::from_le_bytes(*chunk) ^ (ONES * usize::from(byte));
        let zero = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zero != 0 {
            return Some(at + zero.trailing_zeros() as usize / 8);
        }
        at += WORD;
        rest = after;
    }
    rest.iter().position(|&other| other == byte).map(|more| at + more)
}

/// The best set of texts of which every match contains one.
fn required(node: &Node, fold: bool) -> Option<Vec<Needle>> {
    let mut search = Search {
        run: Vec::new(),
        fold,
        best: Vec::new(),
    };
    search.visit(node, fold);
    search.flush();
    (worth(&search.best) >= 2).then_some(search.best)
}

struct Search {
    /// Characters that follow each other without anything in between.
    run: Vec<u8>,
    fold: bool,
    best: Vec<Needle>,
}

impl Search {
    fn visit(&mut self, node: &Node, fold: bool) {
        match node {
            Node::Char(one) => {
                if fold != self.fold {
                    self.flush();
                    self.fold = fold;
                }
                self.run
                    .extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Node::Edge(_) => {}
            Node::Any | Node::Class(_) | Node::Address(_) => self.flush(),
            Node::Group(group) => self.visit(&group.node, group.flags.ignore_case.unwrap_or(fold)),
            Node::Sequence(items) => items.iter().for_each(|item| self.visit(item, fold)),
            Node::Repeat(repeat) => {
                self.flush();
                if repeat.least > 0 {
                    self.offer(required(&repeat.node, fold));
                }
            }
            Node::Choice(branches) => {
                self.flush();
                let all: Option<Vec<_>> = branches.iter().map(|branch| required(branch, fold)).collect();
                self.offer(all.map(|all| all.into_iter().flatten().collect()));
            }
        }
    }

    fn flush(&mut self) {
        let run = core::mem::take(&mut self.run);
        if !run.is_empty() {
            self.offer(Some(vec![Needle::new(&run, self.fold)]));
        }
    }

    fn offer(&mut self, needles: Option<Vec<Needle>>) {
        let offered = needles.unwrap_or_default();
        // One text is looked for faster than several that are a little longer.
        let penalty = offered.len() / 2;
        if offered.len() <= PATTERN_LITERALS_MAX
            && worth(&offered).saturating_sub(penalty) > worth(&self.best)
        {
            self.best = offered;
        }
    }
}
