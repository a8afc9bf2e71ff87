//! The log files of the simulator, and a tail on them: the real table and cursors, on files in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use sipguard::limits::READ_BUFFER_BYTES;
use sipguard::tail::cursor::END_BYTES;
use sipguard::tail::{Cursor, Inode, Line, Logs, Position, Start, Table, What};
use sipguard::time::{Mono, Wall};

/// A line that tells of a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) addr: IpAddr,
    pub(crate) path: usize,
    /// What the wall clock showed.
    pub(crate) stamp: i64,
}

#[derive(Default)]
struct Node {
    bytes: Vec<u8>,
    /// Where each of its lines ends.
    ends: Vec<(u64, usize)>,
}

/// All log files. Lines are numbered.
pub(crate) struct Files {
    nodes: Vec<Node>,
    /// What each path stands for, and stood for before.
    names: Vec<Vec<usize>>,
    pub(crate) lines: Vec<Written>,
    /// The lines of each path that can still be read, in their order.
    pub(crate) readable: Vec<Vec<usize>>,
    events: Vec<usize>,
    renamed: bool,
    pub(crate) fails: bool,
}

impl Files {
    pub(crate) fn new(paths: usize) -> Files {
        Files {
            nodes: (0..paths).map(|_| Node::default()).collect(),
            names: (0..paths).map(|number| vec![number]).collect(),
            lines: Vec::new(),
            readable: vec![Vec::new(); paths],
            events: Vec::new(),
            renamed: true,
            fails: false,
        }
    }

    pub(crate) fn write(&mut self, line: Written, proven: bool) {
        let Written { addr, path, stamp } = line;
        let number = self.lines.len();
        let why = if proven {
            "Failed to authenticate"
        } else {
            "No matching endpoint found"
        };
        let shown = if addr.is_ipv6() {
            format!("[{addr}]:5060")
        } else {
            format!("{addr}:5060")
        };
        let text = format!(
            "[{}] NOTICE[4279] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '<sip:100@192.0.2.10>' \
             failed for '{shown}' (callid: {number}) - {why}\n",
            Wall(stamp)
        );
        let node = *self.names[path].last().unwrap();
        self.nodes[node].bytes.extend(text.bytes());
        let end = self.nodes[node].bytes.len() as u64;
        self.nodes[node].ends.push((end, number));
        self.lines.push(line);
        self.readable[path].push(number);
        self.events.push(node);
    }

    pub(crate) fn rotate(&mut self, path: usize) {
        self.nodes.push(Node::default());
        self.names[path].push(self.nodes.len() - 1);
        self.renamed = true;
    }

    /// copytruncate: what was not read is gone.
    pub(crate) fn truncate(&mut self, path: usize, read: usize) {
        let node = *self.names[path].last().unwrap();
        self.nodes[node] = Node::default();
        self.readable[path].truncate(read);
        self.events.push(node);
    }

    /// How many of a path's lines are before a position.
    fn lines_before(&self, path: usize, position: Position) -> usize {
        let node = position.inode.number as usize;
        let ends = &self.nodes[node].ends;
        // What a truncation took, and what is in later files, tells by the numbers of lines.
        let last = ends.iter().rev().find(|(end, _)| *end <= position.offset);
        let first_after = ends.iter().find(|(end, _)| *end > position.offset);
        let at = |number: usize| self.readable[path].iter().position(|other| *other == number);
        match (last, first_after) {
            (_, Some((_, number))) => at(*number).unwrap(),
            (Some((_, number)), None) => at(*number).unwrap() + 1,
            (None, None) => {
                // An empty file: all lines before it are read, none behind it.
                let later = self.names[path]
                    .iter()
                    .skip_while(|other| **other != node)
                    .skip(1);
                let next = later.flat_map(|node| self.nodes[*node].ends.first()).next();
                next.map_or(self.readable[path].len(), |(_, number)| at(*number).unwrap())
            }
        }
    }
}

pub(crate) fn path(number: usize) -> PathBuf {
    PathBuf::from(["/var/log/asterisk/messages", "/var/log/asterisk/security"][number])
}

/// A line that was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) number: usize,
    pub(crate) path: usize,
    pub(crate) backlog: bool,
}

pub(crate) struct Tail {
    pub(crate) files: Rc<RefCell<Files>>,
    table: Table<usize>,
    remembered: BTreeMap<PathBuf, Position>,
    /// Who reads each path.
    readers: Vec<u32>,
    buffer: Vec<u8>,
    pub(crate) given: Vec<Given>,
    retry: Option<Mono>,
    fresh: bool,
    /// A file was opened: the guard is to be told.
    pub(crate) opened: bool,
}

impl Tail {
    pub(crate) fn new(files: &Rc<RefCell<Files>>) -> Tail {
        Tail {
            files: Rc::clone(files),
            table: Table::default(),
            remembered: BTreeMap::new(),
            readers: Vec::new(),
            buffer: vec![0; READ_BUFFER_BYTES],
            given: Vec::new(),
            retry: None,
            fresh: true,
            opened: false,
        }
    }

    /// Follows these paths for these readers. Returns how many lines of each are known to be read, and whether that
    /// was remembered.
    pub(crate) fn follow(&mut self, readers: Vec<u32>, now: Mono) -> Vec<(usize, bool)> {
        let files = self.files.borrow();
        let place = |number: usize| match self.remembered.get(&path(number)) {
            Some(position) => (position_in_lines(&files, number, *position), true),
            None => (files.readable[number].len(), false),
        };
        let places = (0..readers.len()).map(place).collect();
        drop(files);
        self.readers = readers;
        self.look(now);
        self.fresh = false;
        places
    }

    pub(crate) fn wake(&mut self, now: Mono) {
        let (events, mut look) = {
            let mut files = self.files.borrow_mut();
            (
                std::mem::take(&mut files.events),
                std::mem::take(&mut files.renamed),
            )
        };
        for node in events {
            self.table.written(|other| *other == node);
        }
        look |= self.retry.is_some_and(|retry| retry <= now);
        if look {
            self.retry = None;
            self.look(now);
        } else if self.table.has_old() {
            self.table.settle(now, |_| false);
        }
        self.table.take_gone().for_each(drop);
        self.take_notices();
    }

    fn take_notices(&mut self) {
        while let Some(notice) = self.table.notices.pop() {
            self.opened |= matches!(notice.what, What::Opened(_) | What::Rotated);
        }
    }

    pub(crate) fn has_events(&self) -> bool {
        let files = self.files.borrow();
        files.renamed || !files.events.is_empty()
    }

    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        [self.retry, self.table.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn look(&mut self, now: Mono) {
        self.table.want_nothing();
        let start = if self.fresh { Start::End } else { Start::Beginning };
        for (number, readers) in self.readers.clone().into_iter().enumerate() {
            if readers == 0 {
                continue;
            }
            let path = path(number);
            let Some(file) = self.table.want(&path, readers, start) else {
                continue;
            };
            let node = *self.files.borrow().names[number].last().unwrap();
            let inode = inode(node);
            if self.table.saw(file, inode) {
                continue;
            }
            let cursor = match self.remembered.remove(&path) {
                Some(position) if position.inode == inode => Cursor::resume(position),
                Some(position) => {
                    let old = position.inode.number as usize;
                    self.table
                        .open(file, position.inode, old, Cursor::resume(position));
                    self.table.saw(file, position.inode);
                    Cursor::beginning()
                }
                None if self.table.start(file) == Start::Beginning => Cursor::beginning(),
                None => {
                    let files = self.files.borrow();
                    let bytes = &files.nodes[node].bytes;
                    let from = bytes.len().saturating_sub(END_BYTES);
                    Cursor::end(&bytes[from..], from as u64)
                }
            };
            self.table.open(file, inode, node, cursor);
            self.table.saw(file, inode);
        }
        for number in 0..self.readers.len() {
            if let Some(file) = self
                .table
                .find(&path(number))
                .filter(|_| self.readers[number] == 0)
            {
                self.table.saw_no_file(file, What::Missing);
            }
        }
        self.table.settle(now, |_| false);
    }
}

fn inode(node: usize) -> Inode {
    Inode {
        device: 1,
        number: node as u64,
    }
}

/// Where reading will go on. What was truncated since is found out by the first read.
fn position_in_lines(files: &Files, path: usize, position: Position) -> usize {
    let node = &files.nodes[position.inode.number as usize];
    let truncated = (node.bytes.len() as u64) < position.offset || {
        let before = &node.bytes[..position.offset as usize];
        let last = &before[before.len().saturating_sub(sipguard::limits::FINGERPRINT_BYTES)..];
        sipguard::tail::cursor::fingerprint(last) != position.check
    };
    let offset = if truncated { 0 } else { position.offset };
    files.lines_before(path, Position { offset, ..position })
}

impl Logs for Tail {
    fn remember(&mut self, path: &Path, position: Position) {
        self.remembered.insert(path.to_owned(), position);
    }

    fn read(&mut self, now: Mono, each: &mut dyn FnMut(Line<'_>)) -> bool {
        let files = Rc::clone(&self.files);
        let mut read_at = |node: &usize, buffer: &mut [u8], offset: u64| {
            let files = files.borrow();
            if files.fails {
                return Err(io::ErrorKind::Other.into());
            }
            let rest = files.nodes[*node]
                .bytes
                .get(offset as usize..)
                .unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        };
        let given = &mut self.given;
        let left = self.table.read(&mut self.buffer, &mut read_at, &mut |line| {
            let text = std::str::from_utf8(line.bytes).unwrap();
            let number = text.split_once("(callid: ").unwrap().1.split_once(')').unwrap().0;
            let number: usize = number.parse().unwrap();
            let path = files.borrow().lines[number].path;
            given.push(Given {
                number,
                path,
                backlog: line.backlog,
            });
            each(line);
        });
        self.take_notices();
        if left.failed {
            self.retry = Some(now.plus_seconds(sipguard::limits::LOG_RETRY_SECONDS));
        }
        if self.table.has_old() {
            self.table.settle(now, |_| false);
        }
        left.more
    }

    fn positions(&self, each: &mut dyn FnMut(&Path, Position)) {
        for file in self.table.status() {
            if let Some(position) = file.position {
                each(file.path, position);
            }
        }
    }
}
