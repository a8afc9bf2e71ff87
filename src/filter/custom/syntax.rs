//! Python's regular expressions, as fail2ban's filters write them, read into a tree.
//!
//! The grammar is that of Python's `re` (docs.python.org, "Regular Expression Syntax") with fail2ban's tags
//! in it: `<HOST>`, `<ADDR>`, `<IP4>`, `<IP6>`, `<DNS>` and `<F-NAME>…</F-NAME>`. What cannot be matched in
//! linear time without stepping back is refused, with what to write in its place.

use super::tree::{Edge, Family, Flags, Group, Label, Node, Repeat};
use crate::limits::{PATTERN_NEST_MAX, PATTERN_REPEAT_MAX};

/// What is wrong with an expression, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it begins, in bytes.
    pub at: usize,
    /// How many bytes are meant.
    pub length: usize,
    /// What is wrong and what to write.
    pub what: &'static str,
}

/// Reads an expression; the flags are those of the whole.
pub(super) fn parse(text: &str) -> Result<(Node, Flags), Fault> {
    let mut parser = Parser {
        text,
        at: 0,
        flags: Flags::default(),
    };
    let node = parser.choice(0)?;
    if parser.at < text.len() {
        return Err(parser.wrong(
            parser.at,
            1,
            "this closes nothing; write \\) for a bracket of the text",
        ));
    }
    Ok((node, parser.flags))
}

/// An expression that is being read.
pub(super) struct Parser<'t> {
    text: &'t str,
    pub(super) at: usize,
    flags: Flags,
}

impl<'t> Parser<'t> {
    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    pub(super) fn wrong(&self, at: usize, length: usize, what: &'static str) -> Fault {
        Fault { at, length, what }
    }

    /// From `at` to here.
    pub(super) fn wrong_since(&self, at: usize, what: &'static str) -> Fault {
        self.wrong(at, self.at.saturating_sub(at).max(1), what)
    }

    fn choice(&mut self, depth: usize) -> Result<Node, Fault> {
        if depth > PATTERN_NEST_MAX {
            return Err(self.wrong(self.at, 1, "groups are nested too deep"));
        }
        let mut branches = vec![self.sequence(depth)?];
        while self.eat("|") {
            branches.push(self.sequence(depth)?);
        }
        Ok(match branches.pop() {
            Some(only) if branches.is_empty() => only,
            last => {
                branches.extend(last);
                Node::Choice(branches)
            }
        })
    }

    fn sequence(&mut self, depth: usize) -> Result<Node, Fault> {
        let mut items = Vec::new();
        while let Some(next) = self.peek() {
            if matches!(next, '|' | ')') || self.rest().starts_with("</F-") {
                break;
            }
            let Some(atom) = self.atom(depth)? else {
                continue;
            };
            items.push(self.repeated(atom)?);
        }
        Ok(match items.pop() {
            Some(only) if items.is_empty() => only,
            last => {
                items.extend(last);
                Node::Sequence(items)
            }
        })
    }

    /// One part without its quantifier; `None` for what matches nothing, such as a comment.
    fn atom(&mut self, depth: usize) -> Result<Option<Node>, Fault> {
        let from = self.at;
        Ok(Some(match self.next() {
            Some('(') => return self.group(from, depth),
            Some('[') => Node::Class(self.class(from)?),
            Some('.') => Node::Any,
            Some('^') => Node::Edge(Edge::Start),
            Some('$') => Node::Edge(Edge::End),
            Some('\\') => self.escape(from)?,
            Some('<') => return self.tag(from, depth).map(Some),
            Some('*' | '+' | '?') => {
                return Err(self.wrong_since(from, "there is nothing to repeat; write \\ before it as text"));
            }
            Some(plain) => Node::Char(plain),
            None => return Ok(None),
        }))
    }

    fn repeated(&mut self, node: Node) -> Result<Node, Fault> {
        let from = self.at;
        let Some((least, most)) = self.quantifier()? else {
            return Ok(node);
        };
        if self.eat("+") {
            let what = "possessive quantifiers are not supported; leave out the second +";
            return Err(self.wrong_since(from, what));
        }
        let lazy = self.eat("?");
        let again = self.at;
        if self.quantifier()?.is_some() {
            return Err(self.wrong_since(again, "this repeats a repetition; write one quantifier"));
        }
        Ok(Node::Repeat(Box::new(Repeat {
            node,
            least,
            most,
            lazy,
        })))
    }

    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>, Fault> {
        let from = self.at;
        let found = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.braces(from),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(found))
    }

    /// `{2}`, `{2,}`, `{,3}`, `{2,3}`; any other brace is text.
    fn braces(&mut self, from: usize) -> Result<Option<(u32, Option<u32>)>, Fault> {
        let Some((inside, _)) = self
            .rest()
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
        else {
            return Ok(None);
        };
        let (first, second) = match inside.split_once(',') {
            None => (inside, None),
            Some((first, second)) => (first, Some(second)),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if inside.is_empty() || !digits(first) || !second.is_none_or(digits) {
            return Ok(None);
        }
        self.at += inside.len() + 2;
        let number = |text: &str| text.parse().ok().filter(|&number| number <= PATTERN_REPEAT_MAX);
        let least = if first.is_empty() { Some(0) } else { number(first) };
        let most = match second {
            None => least.map(Some),
            Some("") => Some(None),
            Some(second) => number(second).map(Some),
        };
        match (least, most) {
            (Some(least), Some(most)) if most.is_none_or(|most| least <= most) => Ok(Some((least, most))),
            _ => Err(self.wrong_since(
                from,
                "this count is too large, or its limits are the wrong way round",
            )),
        }
    }

    fn group(&mut self, from: usize, depth: usize) -> Result<Option<Node>, Fault> {
        let mut flags = Flags::default();
        let label = if !self.eat("?") {
            Label::Numbered
        } else if self.eat("P<") {
            let name = self.rest().split('>').next().unwrap_or_default().to_owned();
            self.at += name.len();
            if !self.eat(">") || name.is_empty() {
                return Err(self.wrong_since(from, "write (?P<name>…) for a named group"));
            }
            Label::Named(name)
        } else if self.eat("#") {
            self.at += self.rest().find(')').map_or(self.rest().len(), |end| end + 1);
            return Ok(None);
        } else if self.eat(":") {
            Label::Plain
        } else {
            self.unsupported_group(from)?;
            flags = self.flags(from)?;
            if self.eat(")") {
                // Python up to 3.10 lets them stand anywhere, for the whole expression.
                self.flags = Flags {
                    ignore_case: flags.ignore_case.or(self.flags.ignore_case),
                    dot_all: flags.dot_all.or(self.flags.dot_all),
                };
                return Ok(None);
            }
            if !self.eat(":") {
                return Err(self.wrong_since(from, "this group is not known; write (?:…)"));
            }
            Label::Plain
        };
        self.close(from, ")", label, flags, depth).map(Some)
    }

    /// The rest of a group whose opening has been read.
    fn close(
        &mut self,
        from: usize,
        closing: &str,
        label: Label,
        flags: Flags,
        depth: usize,
    ) -> Result<Node, Fault> {
        let opened = self.at;
        let node = self.choice(depth + 1)?;
        if !self.eat(closing) {
            let what = "this group is not closed; write \\( for a bracket of the text";
            return Err(self.wrong(from, opened - from, what));
        }
        Ok(Node::Group(Box::new(Group { label, flags, node })))
    }

    /// What can only be matched by stepping back.
    fn unsupported_group(&self, from: usize) -> Result<(), Fault> {
        let whats = [
            (
                "!",
                "look-ahead is not supported; write what may stand here, or put what may not \
                 into ignoreregex",
            ),
            (
                "=",
                "look-ahead is not supported; write what follows as part of the expression",
            ),
            (
                "<=",
                "look-behind is not supported; write what stands before as part of the expression",
            ),
            (
                "<!",
                "look-behind is not supported; write what may stand before, or put what may not \
                 into ignoreregex",
            ),
            (
                "(",
                "conditions are not supported; write one line of failregex for each case",
            ),
            (
                "P=",
                "back-references are not supported; write the group's expression again",
            ),
            (">", "atomic groups are not supported; write (?:…)"),
        ];
        for (head, what) in whats {
            if self.rest().starts_with(head) {
                return Err(self.wrong(from, self.at + head.len() - from, what));
            }
        }
        Ok(())
    }

    /// `i`, `-i`, `is-m` … up to `)` or `:`.
    fn flags(&mut self, from: usize) -> Result<Flags, Fault> {
        let mut flags = Flags::default();
        let mut on = true;
        while let Some(letter) = self.peek().filter(|letter| !matches!(letter, ')' | ':')) {
            self.at += letter.len_utf8();
            match letter {
                '-' => on = false,
                'i' => flags.ignore_case = Some(on),
                's' => flags.dot_all = Some(on),
                // A line holds no line break, and \w is ASCII anyway.
                'm' | 'u' | 'a' => {}
                'x' => {
                    return Err(self.wrong_since(from, "the flag x is not supported; leave out the blanks"));
                }
                _ => {
                    return Err(
                        self.wrong_since(from, "this group or flag is not known; write (?:…) or (?i)")
                    );
                }
            }
        }
        Ok(flags)
    }

    fn tag(&mut self, from: usize, depth: usize) -> Result<Node, Fault> {
        let families = [
            ("HOST>", Family::Host),
            ("DNS>", Family::Host),
            ("ADDR>", Family::Any),
            ("IP4>", Family::V4),
            ("IP6>", Family::V6),
        ];
        for (tag, family) in families {
            if self.eat(tag) {
                return Ok(Node::Address(family));
            }
        }
        if self.eat("SKIPLINES>") {
            let what = "<SKIPLINES>: messages of several lines are not supported; match the line \
                        that has the address";
            return Err(self.wrong_since(from, what));
        }
        if self.eat("SUBNET>") || self.eat("CIDR>") {
            let what = "networks are not banned by what a log says; write <ADDR>";
            return Err(self.wrong_since(from, what));
        }
        let Some((name, _)) = self
            .rest()
            .strip_prefix("F-")
            .and_then(|rest| rest.split_once('>'))
        else {
            return Ok(Node::Char('<'));
        };
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || !name.bytes().all(word) {
            return Ok(Node::Char('<'));
        }
        self.at += name.len() + "F->".len();
        // `<F-X/>` is not among fail2ban's; `<F-ID>` names the source by another name.
        let label = match name {
            "ID" => "fid".to_owned(),
            _ => name.to_ascii_lowercase(),
        };
        let closing = format!("</F-{name}>");
        self.close(from, &closing, Label::Named(label), Flags::default(), depth)
    }
}
