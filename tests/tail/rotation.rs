//! Rotation, step by step.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;

use sipguard::limits::{FILES_MAX, OLD_FILES_MAX};
use sipguard::tail::{Position, Start};

use crate::support::{Dir, Reader};

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

#[test]
fn a_deleted_file_is_read_while_it_may_have_a_writer() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    let mut writer = OpenOptions::new().append(true).open(dir.path("log")).unwrap();
    let mut reader = Reader::following(&dir, "log");
    fs::remove_file(dir.path("log")).unwrap();
    writer.write_all(b"1\n").unwrap();
    reader.check(&["1"]);
    reader.later(20 * 3600);
    writer.write_all(b"2\n").unwrap();
    reader.check(&["2"]);
    dir.append("log", "3\n");
    reader.check(&["3"]);
    reader.later(60);
    writer.write_all(b"too late\n").unwrap();
    reader.check(&[]);
    assert!(!reader.is_woken(0), "its watch is gone too");
}

#[test]
fn a_deleted_file_does_not_keep_its_blocks_for_ever() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    let mut reader = Reader::following(&dir, "log");
    fs::remove_file(dir.path("log")).unwrap();
    reader.run();
    assert!(reader.tail.next_deadline().is_some());
    reader.later(86_400);
    assert_eq!(reader.tail.next_deadline(), None);
    dir.append("log", "1\n");
    reader.check(&["1"]);
}

#[test]
fn a_file_moved_away_and_back_is_not_read_again() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    let mut reader = Reader::following(&dir, "log");
    fs::rename(dir.path("log"), dir.path("elsewhere")).unwrap();
    dir.append("elsewhere", "1\n");
    reader.check(&["1"]);
    fs::rename(dir.path("elsewhere"), dir.path("log")).unwrap();
    dir.append("log", "2\n");
    reader.check(&["2"]);
    assert_eq!(reader.status(&dir.path("log")).counts.rotations, 0);
}

#[test]
fn an_old_file_is_let_go_even_if_its_successor_is_gone_too() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    let mut reader = Reader::following(&dir, "log");
    for round in 1..=3 {
        fs::rename(dir.path("log"), dir.path(&format!("log.{round}"))).unwrap();
        dir.append("log", &format!("{round}\n"));
        reader.run();
    }
    fs::rename(dir.path("log"), dir.path("log.4")).unwrap();
    reader.later(60);
    for round in 1..=4 {
        dir.append(&format!("log.{round}"), &format!("old {round}\n"));
    }
    reader.check(&["1", "2", "3", "old 4"]);
}

#[test]
fn of_too_many_old_files_the_oldest_is_let_go() {
    let dir = Dir::new();
    dir.append("log", "");
    let mut reader = Reader::following(&dir, "log");
    let rounds = OLD_FILES_MAX + FILES_MAX + 3;
    let mut notices = Vec::new();
    for round in 0..rounds {
        fs::rename(dir.path("log"), dir.path(&format!("log.{round}"))).unwrap();
        File::create(dir.path("log")).unwrap();
        reader.run();
        notices.extend(reader.notices());
    }
    for round in 0..rounds {
        dir.append(&format!("log.{round}"), &format!("{round}\n"));
    }
    reader.run();
    let expect: Vec<_> = (4..rounds).map(|round| round.to_string()).collect();
    reader.lines.sort_by_key(|line| line.parse::<usize>().unwrap());
    assert_eq!(reader.lines, expect);
    let told = notices
        .iter()
        .filter(|notice| notice.contains("rotated too often"));
    assert_eq!(told.count(), 4);
}

/// Reads `before`, lets `meanwhile` happen while nobody reads, and reads on.
fn check_restart(before: &[&str], meanwhile: impl FnOnce(&Dir), after: &[&str]) {
    let dir = Dir::new();
    let log = dir.path("log");
    let mut reader = Reader::new();
    dir.append(
        "log",
        &before.iter().map(|line| format!("{line}\n")).collect::<String>(),
    );
    reader.follow(&dir, "log", 1, Start::Beginning);
    reader.check(before);
    let position: Position = reader.status(&log).position.unwrap();
    drop(reader);
    meanwhile(&dir);
    let mut reader = Reader::new();
    reader.tail.remember(&log, position);
    reader.follow(&dir, "log", 1, Start::End);
    reader.check(after);
}

#[test]
fn reading_goes_on_where_it_was_before_a_restart() {
    check_restart(&["a", "b"], |dir| dir.append("log", "c\n"), &["c"]);
    check_restart(&["a", "b"], |_| (), &[]);
}

#[test]
fn a_rotation_during_a_restart_loses_nothing() {
    let rotate = |dir: &Dir| {
        dir.append("log", "c\n");
        fs::rename(dir.path("log"), dir.path("log.1")).unwrap();
        dir.append("log", "d\n");
    };
    check_restart(&["a", "b"], rotate, &["c", "d"]);
}

#[test]
fn a_truncation_during_a_restart_is_seen() {
    check_restart(
        &["a", "b"],
        |dir| fs::write(dir.path("log"), "c\nd\ne\n").unwrap(),
        &["c", "d", "e"],
    );
}
