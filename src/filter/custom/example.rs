//! Texts that an expression matches, to run it once over all its parts before the first line comes.
//!
//! regex-lite keeps the states that it still has to visit on a stack that grows when it must. The examples
//! lead through every branch, so that it has grown before the loop begins.

use core::net::Ipv4Addr;

use regex_lite::{CaptureLocations, Regex};

use super::emit::is_address;
use super::tree::{Class, Item, Node};

/// Longest example, in bytes; and how many branches of a choice are tried.
const BYTES_MAX: usize = 4_096;
const BRANCHES_MAX: usize = 24;

/// Matches examples, and a text of every kind of character.
pub(super) fn warm(regex: &Regex, slots: &mut CaptureLocations, node: &Node) {
    let mut text = String::new();
    for branch in 0..BRANCHES_MAX {
        text.clear();
        write(node, branch, &mut text);
        let _ = regex.captures_read(slots, &text);
        let _ = regex.is_match(&text);
    }
    text.clear();
    for _ in 0..3 {
        text.extend(' '..='~');
    }
    let _ = regex.captures_read(slots, &text);
    let _ = regex.is_match(&text);
}

fn write(node: &Node, branch: usize, text: &mut String) {
    if text.len() > BYTES_MAX {
        return;
    }
    match node {
        Node::Char(one) => text.push(*one),
        Node::Any => text.push('x'),
        Node::Class(class) => text.extend(member(class)),
        Node::Edge(_) => {}
        Node::Address(_) => text.push_str(&Ipv4Addr::new(192, 0, 2, 1).to_string()),
        Node::Group(group) if is_address(&group.label) => text.push_str("2001:db8::1"),
        Node::Group(group) => write(&group.node, branch, text),
        Node::Sequence(items) => items.iter().for_each(|item| write(item, branch, text)),
        Node::Choice(branches) => {
            if let Some(chosen) = branches.get(branch % branches.len().max(1)) {
                write(chosen, branch, text);
            }
        }
        Node::Repeat(repeat) => {
            // Two rounds, if it may go round, with another branch each; every other time as few as possible.
            let most = repeat.most.unwrap_or(2);
            let rounds = if branch % 2 == 0 {
                2.clamp(repeat.least, most.max(repeat.least))
            } else {
                repeat.least
            };
            for round in 0..rounds {
                write(&repeat.node, branch + round as usize, text);
            }
        }
    }
}

/// A character of the class.
fn member(class: &Class) -> Option<char> {
    let first = class.items.iter().find_map(|item| match item {
        Item::Range(low, _) => Some(*low),
        Item::Perl(_) => None,
    });
    "a1 .-/A".chars().chain(first).find(|&one| class.holds(one))
}
