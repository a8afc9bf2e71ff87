//! Characters in an expression: escapes, and classes of them.

use super::syntax::{Fault, Parser};
use super::tree::{Class, Edge, Item, Node};

impl Parser<'_> {
    pub(super) fn escape(&mut self, from: usize) -> Result<Node, Fault> {
        Ok(match self.peek() {
            Some('b') => self.edge(Edge::Word),
            Some('B') => self.edge(Edge::NotWord),
            Some('A') => self.edge(Edge::Start),
            Some('Z' | 'z') => self.edge(Edge::End),
            Some('1'..='9') => {
                self.at += 1;
                let what = "back-references are not supported; write the group's expression again";
                return Err(self.wrong_since(from, what));
            }
            _ => match self.escaped_item(from)? {
                Item::Range(one, _) => Node::Char(one),
                perl @ Item::Perl(_) => Node::Class(Class {
                    negated: false,
                    items: vec![perl],
                }),
            },
        })
    }

    fn edge(&mut self, edge: Edge) -> Node {
        self.at += 1;
        Node::Edge(edge)
    }

    /// What follows a backslash, in a class or outside.
    fn escaped_item(&mut self, from: usize) -> Result<Item, Fault> {
        let one = |one: char| Item::Range(one, one);
        Ok(match self.next() {
            Some(letter @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => Item::Perl(letter),
            Some('n') => one('\n'),
            Some('r') => one('\r'),
            Some('t') => one('\t'),
            Some('f') => one('\x0c'),
            Some('v') => one('\x0b'),
            Some('a') => one('\x07'),
            Some('0') => one(self.coded(from, 0, 2, 8)?),
            Some('x') => one(self.coded(from, 2, 2, 16)?),
            Some('u') => one(self.coded(from, 4, 4, 16)?),
            Some('U') => one(self.coded(from, 8, 8, 16)?),
            Some(letter) if letter.is_ascii_alphanumeric() => {
                let what = "this escape is not known; write the letter without \\";
                return Err(self.wrong_since(from, what));
            }
            Some(other) => one(other),
            None => return Err(self.wrong_since(from, "a lone \\ at the end; write \\\\ for a backslash")),
        })
    }

    /// A character by its number: `least` to `most` digits.
    fn coded(&mut self, from: usize, least: usize, most: usize, radix: u32) -> Result<char, Fault> {
        let digits = self
            .rest()
            .chars()
            .take(most)
            .take_while(|c| c.is_digit(radix))
            .count();
        let number = self.rest().get(..digits).unwrap_or_default();
        self.at += digits;
        let number = if number.is_empty() { "0" } else { number };
        let found = u32::from_str_radix(number, radix).ok().and_then(char::from_u32);
        found
            .filter(|_| digits >= least)
            .ok_or_else(|| self.wrong_since(from, "this names no character"))
    }

    pub(super) fn class(&mut self, from: usize) -> Result<Class, Fault> {
        let mut class = Class {
            negated: self.eat("^"),
            items: Vec::new(),
        };
        loop {
            let at = self.at;
            let first = match self.next() {
                Some(']') if !class.items.is_empty() => return Ok(class),
                Some('[') if self.rest().starts_with(':') && self.rest().contains(":]") => {
                    let what = "[:name:] is no class in Python either; write \\d, \\w, \\s or [A-Za-z]";
                    return Err(self.wrong(at, 2, what));
                }
                Some('\\') if self.eat("b") => Item::Range('\x08', '\x08'),
                Some('\\') => self.escaped_item(at)?,
                Some(one) => Item::Range(one, one),
                None => {
                    let what = "this class is not closed; write \\[ for a bracket of the text";
                    return Err(self.wrong(from, 1, what));
                }
            };
            class.items.push(self.range(at, first)?);
        }
    }

    /// `a-z`, if a range begins with `first`.
    fn range(&mut self, at: usize, first: Item) -> Result<Item, Fault> {
        let rest = self.rest();
        let Item::Range(low, _) = first else {
            return Ok(first);
        };
        if !rest.starts_with('-') || rest.starts_with("-]") || rest.len() < 2 {
            return Ok(first);
        }
        self.at += 1;
        let last = match self.next() {
            Some('\\') => self.escaped_item(at)?,
            Some(one) => Item::Range(one, one),
            None => first,
        };
        match last {
            Item::Range(high, _) if low <= high => Ok(Item::Range(low, high)),
            Item::Range(..) | Item::Perl(_) => {
                Err(self.wrong_since(at, "this range is the wrong way round; write \\- for a dash"))
            }
        }
    }
}
