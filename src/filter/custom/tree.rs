//! An expression as a tree.

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Char(char),
    /// `.`
    Any,
    Class(Class),
    Edge(Edge),
    Repeat(Box<Repeat>),
    Group(Box<Group>),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Address(Family),
}

/// Something of no width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Start,
    End,
    Word,
    NotWord,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) node: Node,
    pub(super) least: u32,
    pub(super) most: Option<u32>,
    pub(super) lazy: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) label: Label,
    pub(super) flags: Flags,
    pub(super) node: Node,
}

/// How a group is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// `(?:`
    Plain,
    /// `(`
    Numbered,
    /// `(?P<name>` or `<F-NAME>`, lower-cased.
    Named(String),
}

/// What a group, or the whole expression, changes for what is in it. `None`: as outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) ignore_case: Option<bool>,
    pub(super) dot_all: Option<bool>,
}

/// `[…]`, or one of `\d`, `\w`, `\s` and their opposites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) negated: bool,
    pub(super) items: Vec<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Range(char, char),
    /// The letter of `\d`, `\D`, `\w`, `\W`, `\s` or `\S`.
    Perl(char),
}

impl Class {
    /// Whether such a character is in it.
    pub(super) fn holds(&self, wanted: char) -> bool {
        let listed = self.items.iter().any(|item| match item {
            Item::Range(low, high) => (*low..=*high).contains(&wanted),
            Item::Perl(letter) => {
                let kind = match letter.to_ascii_lowercase() {
                    'd' => wanted.is_ascii_digit(),
                    's' => wanted.is_ascii_whitespace(),
                    _ => wanted.is_ascii_alphanumeric() || wanted == '_',
                };
                kind == letter.is_ascii_lowercase()
            }
        });
        listed != self.negated
    }
}

/// Which addresses a tag stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// An address or a name; a name counts for nothing.
    Host,
    /// An address of either kind.
    Any,
    V4,
    V6,
}
