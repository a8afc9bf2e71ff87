//! Real files, real inotify: every way in which a log file changes under a reader.
#![allow(clippy::disallowed_methods)] // a writer thread, and the clock for deadlines of the tests themselves

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sipguard::tail::{FileId, Start, State, Tail, What};
use sipguard::time::Mono;

/// A directory of the test's own.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sipguard-tail-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Dir(path.canonicalize().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(self.path(name));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tail in its loop, as the daemon runs it, under a clock that the test moves.
struct Reader {
    tail: Tail,
    now: Mono,
    lines: Vec<String>,
}

impl Reader {
    fn new() -> Reader {
        Reader {
            tail: Tail::new().unwrap(),
            now: Mono(1_000),
            lines: Vec::new(),
        }
    }

    fn following(dir: &Dir, pattern: &str) -> Reader {
        let mut reader = Reader::new();
        reader.follow(dir, pattern, 1, Start::End);
        reader.turn();
        reader
    }

    fn follow(&mut self, dir: &Dir, pattern: &str, readers: u32, start: Start) {
        let pattern = dir.path(pattern);
        self.tail
            .follow(pattern.to_str().unwrap(), readers, start, self.now)
            .unwrap();
    }

    /// One turn of the loop.
    fn turn(&mut self) -> bool {
        let lines = &mut self.lines;
        self.tail.read(self.now, &mut |line| {
            lines.push(String::from_utf8_lossy(line.bytes).into_owned())
        })
    }

    /// Whether there is an event within `millis`.
    fn is_woken(&self, millis: u16) -> bool {
        let mut slots = [PollFd::new(self.tail.fd(), PollFlags::POLLIN)];
        poll(&mut slots, PollTimeout::from(millis)).unwrap() > 0
    }

    /// Runs the loop until nothing has happened for a moment; inotify events are there when a system call
    /// that causes them has returned.
    fn run(&mut self) {
        loop {
            let more = self.turn();
            let woken = self.is_woken(0);
            if woken {
                self.tail.wake(self.now);
            } else if !more {
                return;
            }
        }
    }

    fn later(&mut self, seconds: u64) {
        self.run();
        self.now = self.now.plus_seconds(seconds);
        if self
            .tail
            .next_deadline()
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.tail.wake(self.now);
        }
        self.run();
    }

    /// The lines since the last call are these.
    fn check(&mut self, expect: &[&str]) {
        self.run();
        assert_eq!(std::mem::take(&mut self.lines), expect);
    }
}

#[test]
fn a_complete_line_counts_once_when_its_newline_arrives() {
    let dir = Dir::new();
    dir.append("log", "old\nhalf");
    let mut reader = Reader::following(&dir, "log");
    reader.check(&[]);
    dir.append("log", " whole\r\nnext");
    reader.check(&["half whole"]);
    dir.append("log", "\n\0\n");
    reader.check(&["next", "\0"]);
}

#[test]
fn rotation_by_rename_loses_nothing() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    let mut writer = OpenOptions::new().append(true).open(dir.path("log")).unwrap();
    let mut reader = Reader::following(&dir, "log");
    writer.write_all(b"1\n").unwrap();
    fs::rename(dir.path("log"), dir.path("log.1")).unwrap();
    reader.check(&["1"]);
    writer.write_all(b"2\n").unwrap();
    reader.check(&["2"]);
    File::create(dir.path("log")).unwrap();
    writer.write_all(b"3\n").unwrap();
    reader.check(&["3"]);
    dir.append("log", "5\n");
    writer.write_all(b"4\nhalf").unwrap();
    reader.check(&["4", "5"]);
    reader.later(59);
    writer.write_all(b"6\n").unwrap();
    reader.check(&["half6"]);
    reader.later(59);
    writer.write_all(b"rest").unwrap();
    reader.later(61);
    assert!(reader.tail.next_deadline().is_none());
    writer.write_all(b"too late\n").unwrap();
    reader.check(&[]);
    let file = reader.tail.files().next().unwrap();
    assert_eq!(
        (
            file.counts.lines,
            file.counts.rotations,
            file.counts.unfinished_lines
        ),
        (6, 1, 1)
    );
}
