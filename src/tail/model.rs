//! The table against a model of a file system: whatever writer, rotation and reader do in whatever order,
//! every complete line is given once.

use super::*;
use crate::limits::LINE_BYTES_MAX;
use crate::tail::cursor::END_BYTES;

/// What the steps are chosen by: xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

#[derive(Default)]
struct Node {
    bytes: Vec<u8>,
    links: u32,
    /// Lines written to it since it was last truncated.
    lines: Vec<usize>,
    /// It lost its name before the reader could look: nobody can find it.
    unknown: bool,
}

/// One log file's name, the inodes it had, and its only writer.
struct World {
    dice: Dice,
    nodes: Vec<Node>,
    name: Option<usize>,
    /// The inode that the writer has open, and where it writes if it does not append.
    open: usize,
    place: usize,
    append: bool,
    /// What the writer has still to write of its current line, and whether all of it is in one place so far.
    rest: Vec<u8>,
    whole: bool,
    /// For every line: it must be read; it must not be read twice.
    must: Vec<bool>,
    seen: Vec<u32>,
    events: Vec<usize>,
    entry: bool,
    now: Mono,
    table: Table<usize>,
    last: Option<usize>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        World {
            append: dice.below(4) > 0,
            dice,
            nodes: vec![Node {
                links: 1,
                ..Node::default()
            }],
            name: Some(0),
            open: 0,
            place: 0,
            rest: Vec::new(),
            whole: false,
            must: Vec::new(),
            seen: Vec::new(),
            events: Vec::new(),
            entry: true,
            now: Mono(1),
            table: Table::default(),
            last: None,
        }
    }

    /// Writes a piece of a line: all of it, or up to somewhere.
    fn write(&mut self) {
        if self.rest.is_empty() {
            let number = self.must.len();
            self.must.push(false);
            self.seen.push(0);
            self.whole = true;
            let padding = match self.dice.below(40) {
                0 => {
                    self.whole = false;
                    LINE_BYTES_MAX + 1
                }
                1 => LINE_BYTES_MAX - 40,
                _ => self.dice.below(80) as usize,
            };
            // No two places look alike: else a rewritten file could not be told from the one before.
            let text: String = format!("{number}.").chars().cycle().take(padding).collect();
            self.rest = format!("<{number}:{text}:{number}>\n").into_bytes();
        }
        let count = match self.dice.below(3) {
            0 => 1 + self.dice.below(self.rest.len() as u64) as usize,
            _ => self.rest.len(),
        };
        let node = &mut self.nodes[self.open];
        let at = if self.append { node.bytes.len() } else { self.place };
        node.bytes.resize(at, 0);
        node.bytes.extend(self.rest.drain(..count));
        self.place = at + count;
        if self.rest.is_empty() {
            let number = self.must.len() - 1;
            self.must[number] = self.whole && !node.unknown;
            node.lines.push(number);
        }
        self.events.push(self.open);
    }

    /// `: > file`, or the second half of copytruncate: what was not read is gone.
    fn truncate(&mut self, node: usize) {
        self.whole &= self.open != node;
        self.nodes[node].bytes.clear();
        for number in self.nodes[node].lines.drain(..) {
            self.must[number] = false;
        }
        self.events.push(node);
    }

    fn create(&mut self) -> usize {
        *self.name.get_or_insert_with(|| {
            self.entry = true;
            self.nodes.push(Node {
                links: 1,
                ..Node::default()
            });
            self.nodes.len() - 1
        })
    }

    /// The writer closes its file and opens the name.
    fn reopen(&mut self) {
        let node = self.create();
        if node != self.open {
            self.whole = false;
            self.place = self.nodes[node].bytes.len();
        }
        self.open = node;
    }

    fn remove(&mut self, links: u32) {
        let Some(node) = self.name.take() else { return };
        self.entry = true;
        self.nodes[node].links = links;
        if !self.table.streams.iter().any(|stream| stream.handle == node) {
            self.nodes[node].unknown = true;
            for number in self.nodes[node].lines.drain(..) {
                self.must[number] = false;
            }
        }
    }

    /// The reader's side: events (or an overflow), a look if there is reason, and a read.
    fn wake(&mut self) {
        let overflow = self.dice.below(10) == 0;
        if overflow {
            self.events.clear();
            self.table.all_written();
        }
        for node in self.events.drain(..) {
            self.table.written(|&handle| handle == node);
        }
        if std::mem::take(&mut self.entry) || overflow {
            self.look();
        }
        self.read();
    }

    fn look(&mut self) {
        self.table.want_nothing();
        for name in ["/log", "/alias"] {
            let file = self.table.want(Path::new(name), 1, Start::Beginning).unwrap();
            let Some(node) = self.name else {
                self.table.saw_no_file(file, What::Missing);
                continue;
            };
            let inode = Inode {
                device: 1,
                number: node as u64,
            };
            if !self.table.saw(file, inode) {
                self.table.open(file, inode, node, Cursor::beginning());
                assert!(self.table.saw(file, inode));
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        let nodes = &self.nodes;
        self.table.settle(self.now, |&node| nodes[node].links == 0);
        self.table.take_gone().for_each(drop);
    }

    fn read(&mut self) {
        let mut buffer = vec![0; END_BYTES + 1 + self.dice.below(3000) as usize];
        let (nodes, seen, last) = (&self.nodes, &mut self.seen, &mut self.last);
        let mut read_at = |&node: &usize, buffer: &mut [u8], offset: u64| {
            let bytes = nodes[node].bytes.get(offset as usize..).unwrap_or_default();
            let count = bytes.len().min(buffer.len());
            buffer[..count].copy_from_slice(&bytes[..count]);
            Ok(count)
        };
        let mut each = |line: Line<'_>| {
            let text = String::from_utf8(line.bytes.to_vec()).unwrap();
            let Some(number) = whole_line(&text) else { return };
            seen[number] += 1;
            assert!(*last < Some(number), "{number} after {last:?}");
            *last = Some(number);
        };
        while self.table.read(&mut buffer, &mut read_at, &mut each).more {}
        self.settle();
    }

    fn step(&mut self) {
        match self.dice.below(40) {
            0..=15 => self.write(),
            16..=25 => self.wake(),
            26 => self.remove(1),
            27 => self.remove(0),
            28 | 29 => drop(self.create()),
            30 | 31 => self.reopen(),
            32 => {
                // A whole rotation at once.
                self.remove(1);
                self.create();
                self.reopen();
            }
            33 => self.truncate(self.open),
            34 => {
                // Truncated, and written until it is longer than before.
                let length = self.nodes[self.open].bytes.len();
                self.truncate(self.open);
                while self.nodes[self.open].bytes.len() <= length {
                    self.write();
                }
            }
            35 => self.look(),
            _ => self.now = Mono(self.now.0 + self.dice.below(50_000)),
        }
    }
}

/// The number of a line that is as it was written.
fn whole_line(text: &str) -> Option<usize> {
    let mut parts = text.strip_prefix('<')?.strip_suffix('>')?.split(':');
    let (first, _, last) = (parts.next()?, parts.next()?, parts.next()?);
    (first == last && parts.next().is_none()).then(|| first.parse().ok())?
}

#[test]
fn every_complete_line_is_given_once_whatever_happens_to_the_file() {
    for seed in 1..=2000 {
        let mut world = World::new(seed);
        for _ in 0..world.dice.below(400) {
            world.step();
        }
        world.wake();
        for (number, (&must, &seen)) in world.must.iter().zip(&world.seen).enumerate() {
            let right = if must { seen == 1 } else { seen <= 1 };
            assert!(right, "seed {seed}: line {number} was given {seen} times");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_is_said_once_and_read_on() {
    let mut table = Table::default();
    let file = table.want(Path::new("/log"), 1, Start::Beginning).unwrap();
    let inode = Inode { device: 1, number: 1 };
    table.open(file, inode, (), Cursor::beginning());
    let (mut said, mut lines) = (Vec::new(), Vec::new());
    for broken in [false, true, true, false, false] {
        table.saw(file, inode);
        table.settle(Mono(1), |()| false);
        let mut read_at = |(): &(), buffer: &mut [u8], offset: u64| {
            let bytes = b"a\nb\n".get(offset as usize..).unwrap_or_default();
            buffer[..bytes.len()].copy_from_slice(bytes);
            if broken {
                Err(io::ErrorKind::Other.into())
            } else {
                Ok(bytes.len())
            }
        };
        let mut buffer = vec![0; END_BYTES + 1];
        let left = table.read(&mut buffer, &mut read_at, &mut |line| {
            lines.push(line.bytes.to_vec());
        });
        assert_eq!((left.more, left.failed), (false, broken));
        said.extend(std::iter::from_fn(|| table.notices.pop()).map(|notice| notice.to_string()));
    }
    assert_eq!(lines, [b"a", b"b"]);
    let expect = [
        "reading /log from byte 0",
        "cannot read /log: other error",
        "reading /log from byte 4",
    ];
    assert_eq!(said, expect);
}

#[test]
fn a_rotated_file_that_cannot_be_read_for_minutes_is_read_when_it_can() {
    let mut table = Table::default();
    let inode = |number| Inode { device: 1, number };
    let mut lines = Vec::new();
    let mut turn = |table: &mut Table<&'static [u8]>, now, current: u64, broken| {
        table.want_nothing();
        let file = table.want(Path::new("/log"), 1, Start::Beginning).unwrap();
        if !table.saw(file, inode(current)) {
            let text: &[u8] = if current == 1 { b"old\n" } else { b"new\n" };
            table.open(file, inode(current), text, Cursor::beginning());
            table.saw(file, inode(current));
        }
        table.settle(Mono(now), |_| false);
        let mut read_at = |text: &&'static [u8], buffer: &mut [u8], offset: u64| {
            let bytes = text.get(offset as usize..).unwrap_or_default();
            buffer[..bytes.len()].copy_from_slice(bytes);
            if broken {
                Err(io::ErrorKind::Other.into())
            } else {
                Ok(bytes.len())
            }
        };
        let mut buffer = vec![0; END_BYTES + 1];
        table.read(&mut buffer, &mut read_at, &mut |line| {
            lines.push(line.bytes.to_vec());
        });
        table.settle(Mono(now), |_| false);
        let position = table.status().next().and_then(|status| status.position);
        position.map(|position| (position.inode.number, position.offset))
    };
    turn(&mut table, 0, 1, true);
    // A restart has to go on in the old file.
    assert_eq!(turn(&mut table, 1_000, 2, true), Some((1, 0)));
    assert_eq!(turn(&mut table, 1_000_000, 2, true), Some((1, 0)));
    assert_eq!(turn(&mut table, 1_030_000, 2, false), Some((2, 4)));
    turn(&mut table, 1_100_000, 2, false);
    assert_eq!(lines, [b"old", b"new"]);
    assert!(!table.has_old(), "then it is let go");
}

#[test]
fn a_new_file_with_the_number_of_one_let_go_is_nobody_elses() {
    let mut table = Table::default();
    let inode = |number| Inode { device: 1, number };
    let mut readers = Vec::new();
    let mut turn = |table: &mut Table<()>, now, seen: &[(&str, u32, u64)]| {
        table.want_nothing();
        for &(name, bit, number) in seen {
            let file = table.want(Path::new(name), bit, Start::Beginning).unwrap();
            if !table.saw(file, inode(number)) {
                table.open(file, inode(number), (), Cursor::beginning());
                table.saw(file, inode(number));
            }
        }
        table.settle(Mono(now), |()| false);
        let mut read_at = |(): &(), buffer: &mut [u8], offset: u64| {
            let bytes = b"line\n".get(offset as usize..).unwrap_or_default();
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        };
        let mut buffer = vec![0; END_BYTES + 1];
        table.read(&mut buffer, &mut read_at, &mut |line| readers.push(line.readers));
        table.settle(Mono(now), |()| false);
    };
    turn(&mut table, 1, &[("/a", 1, 1), ("/b", 2, 2)]);
    turn(&mut table, 2, &[("/a", 1, 3), ("/b", 2, 2)]);
    turn(&mut table, 100_000, &[("/a", 1, 3), ("/b", 2, 2)]);
    turn(&mut table, 100_001, &[("/a", 1, 3), ("/b", 2, 1)]);
    assert_eq!(readers, [1, 2, 1, 2]);
}
