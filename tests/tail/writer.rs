//! A writer that never stops, while its log is rotated under it in every way.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Dir, Reader};

/// Lines that each test writes at least.
const LINES: u32 = 100_000;
/// Rotations during that.
const ROUNDS: u32 = 20;

/// What writer, rotation and reader share.
#[derive(Default)]
struct Shared {
    written: AtomicU32,
    seen: AtomicU32,
    reopen: AtomicBool,
    stop: AtomicBool,
    /// Held by the writer while it writes a line.
    pen: Mutex<()>,
}

impl Shared {
    /// Writes numbered lines, some of them in two pieces, and reopens its file when it is told to.
    fn write(&self, path: &PathBuf) {
        let open = || OpenOptions::new().append(true).create(true).open(path).unwrap();
        let mut file = open();
        for number in 0.. {
            let pen = self.pen.lock().unwrap();
            if self.stop.load(SeqCst) && number >= LINES {
                return;
            }
            if self.reopen.load(SeqCst) {
                file = open();
                self.reopen.store(false, SeqCst);
            }
            let line = format!("{number} {} {number}\n", "x".repeat(number as usize % 150));
            let pieces = if number % 7 == 0 {
                line.split_at(line.len() / 2)
            } else {
                ("", &*line)
            };
            for piece in [pieces.0, pieces.1] {
                file.write_all(piece.as_bytes()).unwrap();
            }
            self.written.store(number + 1, SeqCst);
            drop(pen);
        }
    }

    /// Rotates in the given way, again and again. Twice before anybody could look would hide a file for good,
    /// so each time waits until the reader has seen something of the last.
    fn rotate(&self, rotate: &dyn Fn(&Shared, u32)) {
        for round in 0..ROUNDS {
            let mark = self.written.load(SeqCst) + 500;
            self.wait(|| self.seen.load(SeqCst) >= mark);
            rotate(self, round);
        }
        self.stop.store(true, SeqCst);
    }

    fn reopen(&self) {
        self.reopen.store(true, SeqCst);
        self.wait(|| !self.reopen.load(SeqCst));
    }

    fn wait(&self, until: impl Fn() -> bool) {
        let start = Instant::now();
        while !until() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing goes on");
            thread::sleep(Duration::from_micros(50));
        }
    }
}

/// Reads while `rotate` happens; gives the numbers of the lines read, and how many were written.
fn run(dir: &Dir, rotate: &(dyn Fn(&Shared, u32) + Sync)) -> (Vec<u32>, u32) {
    let shared = Shared::default();
    let mut reader = Reader::following(dir, "log");
    let mut numbers: Vec<u32> = Vec::new();
    thread::scope(|scope| {
        let writer = scope.spawn(|| shared.write(&dir.path("log")));
        let rotation = scope.spawn(|| shared.rotate(rotate));
        loop {
            let over = writer.is_finished() && rotation.is_finished();
            reader.is_woken(10);
            reader.run();
            for line in reader.lines.drain(..) {
                numbers.extend(number(&line));
            }
            shared
                .seen
                .store(numbers.iter().max().map_or(0, |number| number + 1), SeqCst);
            if over {
                break;
            }
        }
    });
    (numbers, shared.written.load(SeqCst))
}

/// The number of a line that is whole. It stands at both ends: the half that a truncation leaves of a line has
/// one of them, or one and the last digits of the other.
fn number(line: &str) -> Option<u32> {
    let (first, rest) = line.split_once(' ')?;
    let (_, last) = rest.rsplit_once(' ')?;
    (first == last).then(|| last.parse().ok()).flatten()
}

/// Every line that was written was read, once.
fn check(dir: &Dir, rotate: &(dyn Fn(&Shared, u32) + Sync)) {
    let (mut numbers, written) = run(dir, rotate);
    numbers.sort_unstable();
    assert!(written >= LINES);
    assert!(
        numbers.iter().copied().eq(0..written),
        "{} of {written} lines",
        numbers.len()
    );
}

#[test]
fn every_line_is_read_once_over_rename_and_create() {
    let dir = Dir::new();
    check(&dir, &|shared, round| {
        fs::rename(dir.path("log"), dir.path(&format!("log.{round}"))).unwrap();
        File::create_new(dir.path("log")).unwrap();
        thread::sleep(Duration::from_millis(2));
        shared.reopen();
    });
}

#[test]
fn every_line_is_read_once_when_the_writer_creates_the_new_file() {
    let dir = Dir::new();
    check(&dir, &|shared, round| {
        fs::rename(dir.path("log"), dir.path(&format!("log.{round}"))).unwrap();
        thread::sleep(Duration::from_millis(2));
        shared.reopen();
    });
}

#[test]
fn every_line_is_read_once_over_deletion() {
    let dir = Dir::new();
    check(&dir, &|shared, _| {
        fs::remove_file(dir.path("log")).unwrap();
        thread::sleep(Duration::from_millis(2));
        shared.reopen();
    });
}

#[test]
fn every_line_is_read_once_when_another_file_is_renamed_over_it() {
    let dir = Dir::new();
    check(&dir, &|shared, _| {
        File::create_new(dir.path("new")).unwrap();
        fs::rename(dir.path("new"), dir.path("log")).unwrap();
        thread::sleep(Duration::from_millis(2));
        shared.reopen();
    });
}

#[test]
fn every_line_is_read_once_when_a_link_is_switched() {
    let dir = Dir::new();
    File::create(dir.path("start")).unwrap();
    symlink("start", dir.path("log")).unwrap();
    check(&dir, &|shared, round| {
        let target = format!("target{round}");
        File::create_new(dir.path(&target)).unwrap();
        symlink(&target, dir.path("new")).unwrap();
        fs::rename(dir.path("new"), dir.path("log")).unwrap();
        thread::sleep(Duration::from_millis(2));
        shared.reopen();
    });
}

#[test]
fn every_line_is_read_once_over_copytruncate_when_the_reader_keeps_up() {
    let dir = Dir::new();
    check(&dir, &|shared, round| {
        fs::copy(dir.path("log"), dir.path(&format!("log.{round}"))).unwrap();
        // The window between copy and truncation belongs to logrotate; without it nothing is lost.
        let _pen = shared.pen.lock().unwrap();
        let written = shared.written.load(SeqCst);
        shared.wait(|| shared.seen.load(SeqCst) >= written);
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(dir.path("log"))
            .unwrap();
    });
}

#[test]
fn over_a_truncation_at_any_time_nothing_is_read_twice_and_all_that_is_left_is_read() {
    let dir = Dir::new();
    let (mut numbers, written) = run(&dir, &|_, round| {
        fs::copy(dir.path("log"), dir.path(&format!("log.{round}"))).unwrap();
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(dir.path("log"))
            .unwrap();
    });
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "some lines were read twice");
    let left = fs::read_to_string(dir.path("log")).unwrap();
    // The first line may be half of one; the truncation may have come so late that there is no second.
    let number = |line: &str| line.split(' ').next().unwrap().parse::<u32>().unwrap();
    let first = left.lines().nth(1).map_or(written, number);
    let from = numbers.partition_point(|&number| number < first);
    assert!(
        numbers[from..].iter().copied().eq(first..written),
        "what the kernel kept was not read"
    );
}
