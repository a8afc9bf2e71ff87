//! The tree of an expression as regex-lite's syntax, in which only the groups that matter are numbered.
//!
//! An address is matched as a whole word of what addresses and host names consist of; what of it is an
//! address is decided by [`super::address`], never by the expression alone.

use core::fmt::Write as _;

use super::tree::{Class, Edge, Family, Flags, Group, Item, Label, Node};

/// What a numbered group is for; the first has number 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// Who did it.
    Address(Pinned),
    /// A named group.
    Named(String),
    /// The first `(`, if it was asked for.
    First,
}

/// On which sides of an address the expression itself says what stands there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) left: bool,
    pub(super) right: bool,
}

/// The named groups that hold the address in fail2ban's files of different ages.
const ADDRESSES: [&str; 5] = ["host", "ip4", "ip6", "dns", "fid"];

/// An expression for regex-lite.
#[derive(Clone, Debug, Default)]
pub(super) struct Emitted {
    pub(super) text: String,
    pub(super) captures: Vec<Capture>,
}

/// Writes the tree; of the named groups those in `keep`, and the first unnamed one if `first`.
pub(super) fn emit(node: &Node, flags: Flags, keep: &[&str], first: bool) -> Emitted {
    let mut emitter = Emitter {
        out: Emitted::default(),
        keep,
        first,
    };
    emitter.open(flags);
    emitter.node(node, Pinned::default());
    emitter.out.text.push(')');
    emitter.out
}

/// Whether the name of a group says that it holds the address.
pub(super) fn is_address(label: &Label) -> bool {
    matches!(label, Label::Named(name) if ADDRESSES.contains(&name.as_str()))
}

struct Emitter<'k> {
    out: Emitted,
    keep: &'k [&'k str],
    first: bool,
}

impl Emitter<'_> {
    fn push(&mut self, text: &str) {
        self.out.text.push_str(text);
    }

    fn open(&mut self, flags: Flags) {
        self.push("(?");
        let letters = |wanted| {
            let both = [("i", flags.ignore_case), ("s", flags.dot_all)];
            both.into_iter()
                .filter(move |(_, on)| *on == Some(wanted))
                .map(|(letter, _)| letter)
        };
        letters(true).for_each(|letter| self.push(letter));
        if letters(false).next().is_some() {
            self.push("-");
            letters(false).for_each(|letter| self.push(letter));
        }
        self.push(":");
    }

    fn node(&mut self, node: &Node, pinned: Pinned) {
        match node {
            Node::Char(one) => self.char(*one),
            Node::Any => self.push("."),
            Node::Class(class) => self.class(class),
            Node::Edge(Edge::Start) => self.push("^"),
            Node::Edge(Edge::End) => self.push("$"),
            Node::Edge(Edge::Word) => self.push("\\b"),
            Node::Edge(Edge::NotWord) => self.push("\\B"),
            Node::Repeat(repeat) => {
                self.push("(?:");
                self.node(&repeat.node, Pinned::default());
                self.push(")");
                self.quantifier(repeat.least, repeat.most);
                self.push(if repeat.lazy { "?" } else { "" });
            }
            Node::Group(group) => self.group(group, pinned),
            Node::Sequence(items) => self.sequence(items, pinned),
            Node::Choice(branches) => {
                for (number, branch) in branches.iter().enumerate() {
                    self.push(if number == 0 { "(?:" } else { "|" });
                    self.node(branch, pinned);
                }
                self.push(")");
            }
            Node::Address(family) => self.address(*family, pinned),
        }
    }

    fn sequence(&mut self, items: &[Node], outer: Pinned) {
        for (number, item) in items.iter().enumerate() {
            let before = number.checked_sub(1).and_then(|number| items.get(number));
            let pinned = Pinned {
                left: before.map_or(outer.left, |before| is_literal(before, true)),
                right: items
                    .get(number + 1)
                    .map_or(outer.right, |after| is_literal(after, false)),
            };
            self.node(item, pinned);
        }
    }

    fn group(&mut self, group: &Group, pinned: Pinned) {
        self.open(group.flags);
        let capture = match &group.label {
            label if is_address(label) => Some(Capture::Address(pinned)),
            Label::Named(name) if self.keep.contains(&name.as_str()) => Some(Capture::Named(name.clone())),
            Label::Numbered if core::mem::take(&mut self.first) => Some(Capture::First),
            Label::Plain | Label::Numbered | Label::Named(_) => None,
        };
        self.push(if capture.is_some() { "(" } else { "" });
        let captures = capture.is_some();
        self.out.captures.extend(capture);
        self.node(&group.node, pinned);
        self.push(if captures { "))" } else { ")" });
    }

    fn address(&mut self, family: Family, pinned: Pinned) {
        const V4: &str = "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}";
        const V6: &str = "[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*";
        let any = format!("{V4}|{V6}");
        let inside = match family {
            Family::Host => "[0-9A-Za-z._^:%-]+",
            Family::Any => any.as_str(),
            Family::V4 => V4,
            Family::V6 => V6,
        };
        self.out.captures.push(Capture::Address(pinned));
        self.push("\\[?");
        self.push(if family == Family::V4 {
            "(?:::[Ff]{4}:)?"
        } else {
            ""
        });
        self.push("(");
        self.push(inside);
        self.push(")\\]?");
    }

    fn quantifier(&mut self, least: u32, most: Option<u32>) {
        // Writing to a String cannot fail.
        let _ = match (least, most) {
            (0, None) => write!(self.out.text, "*"),
            (1, None) => write!(self.out.text, "+"),
            (0, Some(1)) => write!(self.out.text, "?"),
            (least, None) => write!(self.out.text, "{{{least},}}"),
            (least, Some(most)) => write!(self.out.text, "{{{least},{most}}}"),
        };
    }

    /// Letters and digits as they are, everything else by its number.
    fn char(&mut self, one: char) {
        if one.is_ascii_alphanumeric() || one == ' ' {
            self.out.text.push(one);
        } else {
            let _ = write!(self.out.text, "\\x{{{:x}}}", u32::from(one));
        }
    }

    fn class(&mut self, class: &Class) {
        self.push(if class.negated { "[^" } else { "[" });
        for item in &class.items {
            match item {
                Item::Range(low, high) => {
                    self.char(*low);
                    self.push("-");
                    self.char(*high);
                }
                Item::Perl(letter) => {
                    self.push("\\");
                    self.out.text.push(*letter);
                }
            }
        }
        self.push("]");
    }
}

/// Whether a node ends, or begins, with a character that is written in the expression.
fn is_literal(node: &Node, at_end: bool) -> bool {
    match node {
        Node::Char(_) | Node::Edge(Edge::Start | Edge::End) => true,
        Node::Group(group) => is_literal(&group.node, at_end),
        Node::Sequence(items) => {
            let item = if at_end { items.last() } else { items.first() };
            item.is_some_and(|item| is_literal(item, at_end))
        }
        Node::Choice(branches) => branches.iter().all(|branch| is_literal(branch, at_end)),
        Node::Any
        | Node::Class(_)
        | Node::Edge(Edge::Word | Edge::NotWord)
        | Node::Repeat(_)
        | Node::Address(_) => false,
    }
}
