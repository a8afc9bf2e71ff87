//! Whether whoever writes a part of a log line can choose the address that an expression finds in it.
//!
//! A user name, a request or a reverse name may hold the very text that an expression looks for. Two things
//! keep it out: what the program itself writes at the beginning of the line, and, if anything may stand
//! before the address, the end of the line behind it.

use super::emit::is_address;
use super::tree::{Edge, Node};

/// Why an address may be forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weakness {
    /// The expression may match anywhere in a line, text of the sender's included.
    Unanchored,
    /// Anything may stand before the address, and behind it.
    Open,
}

impl Weakness {
    /// What may happen, and what to write.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Weakness::Unanchored => {
                "is not anchored, so that a name or request in the line can have somebody else banned; \
                 begin it with ^ and what the program itself writes behind the date"
            }
            Weakness::Open => {
                "lets any text stand before the address, so that a name or request in the line can have \
                 somebody else banned; end it with $ behind the address, or write what may stand there, \
                 such as \\S+ or \\d+"
            }
        }
    }
}

/// The weaknesses of an expression that finds an address.
pub(super) fn weaknesses(node: &Node) -> impl Iterator<Item = Weakness> {
    let mut events = Vec::new();
    walk(node, &mut events);
    let address = events.iter().position(|event| *event == Event::Address);
    let (before, behind) = events.split_at_checked(address.unwrap_or(0)).unwrap_or_default();
    let ends = behind.last() == Some(&Event::End) && !behind.contains(&Event::Wide);
    let open = address.is_some() && before.contains(&Event::Wide) && !ends;
    let found = [
        (!begins_at_start(node), Weakness::Unanchored),
        (open, Weakness::Open),
    ];
    found
        .into_iter()
        .filter_map(|(found, weakness)| found.then_some(weakness))
}

/// Whether a match begins where the text does.
pub(super) fn begins_at_start(node: &Node) -> bool {
    match node {
        Node::Edge(edge) => *edge == Edge::Start,
        Node::Group(group) => begins_at_start(&group.node),
        Node::Choice(branches) => branches.iter().all(begins_at_start),
        Node::Sequence(items) => {
            let mut items = items
                .iter()
                .skip_while(|item| matches!(item, Node::Edge(Edge::Word)));
            items.next().is_some_and(begins_at_start)
        }
        Node::Repeat(repeat) => repeat.least > 0 && begins_at_start(&repeat.node),
        Node::Char(_) | Node::Any | Node::Class(_) | Node::Address(_) => false,
    }
}

/// Whether the expression finds an address.
pub(super) fn has_address(node: &Node) -> bool {
    let mut events = Vec::new();
    walk(node, &mut events);
    events.contains(&Event::Address)
}

/// What matters of an expression, from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Address,
    /// Any text, blanks included.
    Wide,
    End,
    Other,
}

fn walk(node: &Node, events: &mut Vec<Event>) {
    match node {
        Node::Address(_) => events.push(Event::Address),
        Node::Edge(Edge::End) => events.push(Event::End),
        Node::Edge(_) => {}
        Node::Char(_) | Node::Any | Node::Class(_) => events.push(Event::Other),
        Node::Group(group) if is_address(&group.label) => events.push(Event::Address),
        Node::Group(group) => walk(&group.node, events),
        Node::Sequence(items) => items.iter().for_each(|item| walk(item, events)),
        Node::Repeat(repeat) => {
            let endless = repeat.most.is_none_or(|most| most >= ENDLESS);
            if endless && is_wide(&repeat.node) {
                events.push(Event::Wide);
            } else {
                walk(&repeat.node, events);
            }
        }
        Node::Choice(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                let mut events = Vec::new();
                walk(branch, &mut events);
                all.push(events);
            }
            // What one branch lets through the whole lets through; what all of them end with it ends with.
            let any = |event| all.iter().any(|events| events.contains(&event));
            for event in [Event::Wide, Event::Address] {
                if any(event) {
                    events.push(event);
                }
            }
            let end = all.iter().all(|events| events.last() == Some(&Event::End));
            events.push(if end { Event::End } else { Event::Other });
        }
    }
}

/// A repetition up to so many times is as good as without end: an address fits.
const ENDLESS: u32 = 16;

/// Whether a repetition of it can hold a sentence.
fn is_wide(node: &Node) -> bool {
    match node {
        Node::Any => true,
        Node::Class(class) => class.holds(' ') && class.holds('1'),
        Node::Group(group) => is_wide(&group.node),
        Node::Choice(branches) => branches.iter().any(is_wide),
        Node::Sequence(_) | Node::Char(_) | Node::Edge(_) | Node::Repeat(_) | Node::Address(_) => false,
    }
}
