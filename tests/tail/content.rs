//! What a file holds: lines, halves of lines, and how much of it is read at a time.

use std::fs;

use sipguard::limits::{LINE_BYTES_MAX, READ_BYTES_PER_TURN};
use sipguard::tail::Start;

use crate::support::{Dir, Reader};

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
fn lines_too_long_are_skipped_and_counted() {
    let dir = Dir::new();
    let mut reader = Reader::following(&dir, "log");
    let longest = "x".repeat(LINE_BYTES_MAX);
    dir.append(
        "log",
        &format!("{longest}\n{longest}x\na\n{}", "y".repeat(300_000)),
    );
    reader.check(&[&longest, "a"]);
    dir.append("log", "z\nb\n");
    reader.check(&["b"]);
    let counts = reader.status(&dir.path("log")).counts;
    assert_eq!((counts.lines, counts.long_lines), (5, 2));
}

#[test]
fn a_file_may_be_read_from_its_beginning() {
    let dir = Dir::new();
    dir.append("log", "a\nb\n");
    let mut reader = Reader::new();
    reader.follow(&dir, "log", 1, Start::Beginning);
    reader.check(&["a", "b"]);
}

#[test]
fn lines_that_were_there_at_the_first_look_are_marked() {
    let dir = Dir::new();
    dir.append("log", "old\n");
    let mut reader = Reader::new();
    reader.follow(&dir, "log", 1, Start::Beginning);
    let mut marks = Vec::new();
    for text in ["", "new\n"] {
        dir.append("log", text);
        reader.tail.wake(reader.now);
        reader.tail.read(reader.now, &mut |line| marks.push(line.backlog));
    }
    assert_eq!(marks, [true, false]);
}

#[test]
fn a_flooded_file_does_not_keep_the_others_waiting() {
    let dir = Dir::new();
    let mut reader = Reader::new();
    let flood = "flood\n".repeat(2 * READ_BYTES_PER_TURN / 6);
    for name in ["1", "2", "3", "4", "5", "6", "quiet"] {
        dir.append(name, if name == "quiet" { "quiet\n" } else { &flood });
        reader.follow(&dir, name, 1, Start::Beginning);
    }
    let mut turns = 1;
    while reader.turn() && !reader.lines.contains(&"quiet".to_owned()) {
        turns += 1;
    }
    assert_eq!(turns, 2);
    assert!(
        reader.lines.len() < 9 * READ_BYTES_PER_TURN / 6,
        "a turn has a budget"
    );
    reader.run();
    assert_eq!(reader.lines.len(), 6 * (flood.len() / 6) + 1);
}

#[test]
fn a_file_truncated_in_place_is_read_from_its_beginning() {
    let dir = Dir::new();
    dir.append("log", "a\nb\nhalf");
    let mut reader = Reader::following(&dir, "log");
    fs::write(dir.path("log"), "").unwrap();
    reader.check(&[]);
    dir.append("log", "c\n");
    reader.check(&["c"]);
    // Truncated and longer than before at the next look.
    fs::write(dir.path("log"), "d\ne\nf\n").unwrap();
    reader.check(&["d", "e", "f"]);
    let counts = reader.status(&dir.path("log")).counts;
    assert_eq!(
        (counts.lines, counts.truncations, counts.unfinished_lines),
        (4, 2, 1)
    );
}

#[test]
fn an_idle_reader_is_not_woken() {
    let dir = Dir::new();
    fs::create_dir(dir.path("logs")).unwrap();
    dir.append("logs/log", "a\n");
    let mut reader = Reader::following(&dir, "logs/log");
    reader.run();
    assert!(!reader.is_woken(500));
    // Nor by what others do above the log's directory.
    dir.append("other", "x");
    fs::remove_file(dir.path("other")).unwrap();
    assert!(!reader.is_woken(100));
    assert_eq!(reader.tail.next_deadline(), None);
    dir.append("logs/log", "b\n");
    assert!(reader.is_woken(10_000));
    reader.check(&["b"]);
}

#[test]
fn lost_events_lose_no_lines() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    dir.append("other", "0\n");
    let mut reader = Reader::following(&dir, "log");
    reader.follow(&dir, "other", 1, Start::End);
    reader.run();
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    for _ in 0..limit.trim().parse::<u32>().unwrap() {
        dir.append("filler", "");
        fs::remove_file(dir.path("filler")).unwrap();
    }
    dir.append("other", "1\n");
    fs::rename(dir.path("log"), dir.path("log.1")).unwrap();
    dir.append("log.1", "2\n");
    dir.append("log", "3\n");
    reader.check(&["2", "1", "3"]);
    assert!(
        reader
            .notices()
            .iter()
            .any(|notice| notice.contains("lost inotify events"))
    );
}
