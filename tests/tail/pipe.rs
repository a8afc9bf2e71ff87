//! A named pipe as a log, as syslogd writes to with `|/path`.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sipguard::limits::LINE_BYTES_MAX;
use sipguard::tail::{Logs as _, Start, State};

use crate::support::{Dir, Reader};

fn pipe(dir: &Dir) {
    mkfifo(&dir.path("log"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
}

/// As syslogd opens it: it fails at once if nobody reads.
fn writer(dir: &Dir) -> File {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    options.open(dir.path("log")).unwrap()
}

#[test]
fn lines_of_a_pipe_are_read_once_and_its_writers_may_come_and_go() {
    let dir = Dir::new();
    pipe(&dir);
    let mut reader = Reader::following(&dir, "log");
    assert_eq!(reader.status(&dir.path("log")).state, State::Open);
    let mut one = writer(&dir);
    one.write_all(b"1\n2\nunfin").unwrap();
    reader.check(&["1", "2"]);
    one.write_all(b"ished\n").unwrap();
    reader.check(&["unfinished"]);
    let mut two = writer(&dir);
    drop(one);
    reader.check(&[]);
    two.write_all(b"3\nhalf of a li").unwrap();
    reader.check(&["3"]);
    // Its writers are gone, and nothing is waited for in a loop.
    drop(two);
    reader.check(&[]);
    assert!(!reader.is_woken(0) && reader.tail.next_deadline().is_none());
    writer(&dir).write_all(b"4\n").unwrap();
    reader.check(&["4"]);
    // Another pipe of that name.
    fs::remove_file(dir.path("log")).unwrap();
    pipe(&dir);
    reader.check(&[]);
    writer(&dir).write_all(b"5\n").unwrap();
    reader.check(&["5"]);
}

#[test]
fn a_pipe_has_no_place_to_go_on_at() {
    let dir = Dir::new();
    pipe(&dir);
    dir.append("file", "");
    let mut reader = Reader::following(&dir, "log");
    reader.follow(&dir, "file", 1, Start::End);
    writer(&dir).write_all(b"1\n").unwrap();
    reader.check(&["1"]);
    let mut kept = Vec::new();
    reader
        .tail
        .positions(&mut |path, position| kept.push((path.to_owned(), position)));
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].0, dir.path("file"));
    // A file that has become a pipe is read as one.
    let mut later = Reader::new();
    later.tail.remember(&dir.path("log"), kept[0].1);
    later.follow(&dir, "log", 1, Start::End);
    writer(&dir).write_all(b"2\n").unwrap();
    later.run();
    assert_eq!(later.lines, ["2"]);
}

#[test]
fn a_flood_through_a_pipe_is_read_in_turns_and_long_lines_are_left_out() {
    let dir = Dir::new();
    pipe(&dir);
    let mut reader = Reader::following(&dir, "log");
    let path = dir.path("log");
    let flood = std::thread::spawn(move || {
        let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
        let line = |number| {
            let length = if number % 1_000 == 7 {
                LINE_BYTES_MAX + 1
            } else {
                60
            };
            format!("{number:0length$}\n")
        };
        // One write that is longer than a pipe holds, and many that are not.
        let long: String = (0..10_000).map(line).collect();
        pipe.write_all(long.as_bytes()).unwrap();
        for number in 10_000..20_000 {
            pipe.write_all(line(number).as_bytes()).unwrap();
        }
    });
    loop {
        reader.run();
        if reader.lines.last().is_some_and(|last| last.ends_with("19999")) {
            break;
        }
        assert!(reader.is_woken(10_000), "the flood goes on");
        reader.tail.wake(reader.now);
    }
    flood.join().unwrap();
    reader.run();
    assert!(!reader.is_woken(0));
    let numbers: Vec<u32> = reader.lines.iter().map(|line| line.parse().unwrap()).collect();
    let want: Vec<u32> = (0..20_000).filter(|number| number % 1_000 != 7).collect();
    assert!(numbers == want, "every line once, in order");
    assert_eq!(reader.status(&dir.path("log")).counts.long_lines, 20);
}
