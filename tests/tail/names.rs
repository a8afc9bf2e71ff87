//! What a name stands for: nothing, links, patterns, things that are no files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use sipguard::tail::{Start, State};

use crate::support::{Dir, Reader, in_child};

#[test]
fn a_file_that_comes_later_is_read_from_its_beginning() {
    let dir = Dir::new();
    let mut reader = Reader::following(&dir, "log");
    assert_eq!(reader.status(&dir.path("log")).state, State::Missing);
    assert!(reader.notices()[0].ends_with("/log is not there; waiting for it"));
    dir.append("log", "a\n");
    reader.check(&["a"]);
    assert_eq!(reader.status(&dir.path("log")).state, State::Open);
}

#[test]
fn directories_may_come_later_and_go_and_come_again() {
    let dir = Dir::new();
    let mut reader = Reader::following(&dir, "a/b/c/log");
    for part in ["a", "a/b", "a/b/c"] {
        reader.run();
        fs::create_dir(dir.path(part)).unwrap();
    }
    dir.append("a/b/c/log", "1\n");
    reader.check(&["1"]);

    // A directory in the middle makes way for another one.
    fs::rename(dir.path("a/b"), dir.path("a/old")).unwrap();
    reader.check(&[]);
    dir.append("a/old/c/log", "2\n");
    reader.check(&["2"]);
    fs::create_dir_all(dir.path("a/b/c")).unwrap();
    dir.append("a/b/c/log", "3\n");
    reader.check(&["3"]);

    // All at once, before anybody has looked.
    fs::remove_dir_all(dir.path("a")).unwrap();
    fs::create_dir_all(dir.path("a/b/c")).unwrap();
    dir.append("a/b/c/log", "4\n");
    reader.check(&["4"]);
}

#[test]
fn a_link_whose_target_changes_is_a_rotation() {
    let dir = Dir::new();
    dir.append("first", "0\n");
    symlink("first", dir.path("log")).unwrap();
    let mut reader = Reader::following(&dir, "log");
    dir.append("first", "1\n");
    reader.check(&["1"]);
    symlink(dir.path("second"), dir.path("log.new")).unwrap();
    fs::rename(dir.path("log.new"), dir.path("log")).unwrap();
    reader.check(&[]);
    dir.append("first", "2\n");
    dir.append("second", "3\n");
    reader.check(&["2", "3"]);
}

#[test]
fn a_linked_directory_may_change_too() {
    let dir = Dir::new();
    for name in ["one", "two"] {
        fs::create_dir(dir.path(name)).unwrap();
        dir.append(&format!("{name}/log"), "0\n");
    }
    symlink("one", dir.path("logs")).unwrap();
    let mut reader = Reader::following(&dir, "logs/log");
    dir.append("one/log", "1\n");
    reader.check(&["1"]);
    fs::remove_file(dir.path("logs")).unwrap();
    reader.check(&[]);
    symlink("two", dir.path("logs")).unwrap();
    dir.append("two/log", "2\n");
    reader.check(&["0", "2"]);
    fs::create_dir(dir.path("one/dir")).unwrap();
    assert!(!reader.is_woken(50), "the old directory is watched no more");
}

#[test]
fn links_in_a_circle_are_refused() {
    let dir = Dir::new();
    symlink("b", dir.path("a")).unwrap();
    symlink("a", dir.path("b")).unwrap();
    let mut reader = Reader::following(&dir, "a");
    assert!(reader.notices()[0].ends_with("too many symbolic links"));
    fs::remove_file(dir.path("b")).unwrap();
    reader.check(&[]);
    dir.append("b", "1\n");
    reader.check(&["1"]);
}

#[test]
fn a_file_with_two_names_is_read_once_for_both() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    symlink("log", dir.path("link")).unwrap();
    fs::hard_link(dir.path("log"), dir.path("hard")).unwrap();
    let mut reader = Reader::new();
    for (name, readers) in [("log", 1), ("link", 2), ("hard", 4), ("l*g", 8)] {
        reader.follow(&dir, name, readers, Start::End);
    }
    dir.append("hard", "1\n");
    let mut seen = Vec::new();
    reader.tail.wake(reader.now);
    reader.tail.read(reader.now, &mut |line| {
        seen.push((line.bytes.to_vec(), line.readers));
    });
    assert_eq!(seen, [(b"1".to_vec(), 15)]);
    assert_eq!(reader.status(&dir.path("log")).readers, 9);
}

#[test]
fn a_file_that_keeps_one_of_its_names_is_read_for_the_other_too_until_that_has_a_new_one() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    fs::hard_link(dir.path("log"), dir.path("hard")).unwrap();
    let mut reader = Reader::following(&dir, "log");
    reader.follow(&dir, "hard", 2, Start::End);
    let mut seen = Vec::new();
    for (name, text) in [("hard", "1\n"), ("log", "2\n"), ("hard", "3\n")] {
        if name == "log" {
            reader.tail.wake(reader.now);
            fs::set_permissions(dir.path("hard"), fs::Permissions::from_mode(0o600)).unwrap();
            reader.tail.wake(reader.now);
            dir.append("hard", "still both\n");
        }
        dir.append(name, text);
        reader.tail.wake(reader.now);
        reader.tail.read(reader.now, &mut |line| {
            seen.push((String::from_utf8_lossy(line.bytes).into_owned(), line.readers));
        });
        let _ = fs::rename(dir.path("log"), dir.path("log.1"));
    }
    let seen: Vec<_> = seen
        .iter()
        .map(|(text, readers)| (text.as_str(), *readers))
        .collect();
    assert_eq!(seen, [("1", 3), ("still both", 3), ("2", 1), ("3", 2)]);
    assert_eq!(reader.status(&dir.path("hard")).counts.lines, 2);
}

#[test]
fn a_pattern_finds_what_matches_at_any_time() {
    let dir = Dir::new();
    fs::create_dir_all(dir.path("logs/dir.log")).unwrap();
    dir.append("logs/a.log", "0\n");
    dir.append("logs/a.txt", "0\n");
    let mut reader = Reader::following(&dir, "logs/*.log");
    dir.append("logs/a.log", "1\n");
    dir.append("logs/a.txt", "no\n");
    reader.check(&["1"]);
    dir.append("logs/b.log", "2\n");
    dir.append("logs/.hidden.log", "no\n");
    reader.check(&["2"]);
    assert_eq!(reader.tail.files().count(), 2);
    fs::remove_file(dir.path("logs/b.log")).unwrap();
    reader.later(86_400);
    reader.follow(&dir, "unrelated", 1, Start::End);
    assert_eq!(reader.tail.files().count(), 2, "a.log and the unrelated one");
    dir.append("logs/b.log", "3\n");
    reader.check(&["3"]);
}

#[test]
fn old_files_that_a_pattern_finds_are_not_read_again() {
    let dir = Dir::new();
    dir.append("messages", "0\n");
    dir.append("messages.1", "0\n");
    let mut reader = Reader::following(&dir, "messages*");
    dir.append("messages", "1\n");
    reader.check(&["1"]);
    // copytruncate
    fs::copy(dir.path("messages"), dir.path("messages-20261122")).unwrap();
    fs::write(dir.path("messages"), "").unwrap();
    dir.append("messages", "2\n");
    reader.check(&["2"]);
    // rename and create
    fs::rename(dir.path("messages"), dir.path("messages.1")).unwrap();
    dir.append("messages", "3\n");
    reader.check(&["3"]);
    assert_eq!(reader.tail.files().count(), 1);
}

#[test]
fn what_is_neither_a_file_nor_a_pipe_is_refused_and_hangs_nobody() {
    let dir = Dir::new();
    dir.append("log", "0\n");
    let mut reader = Reader::following(&dir, "log");
    let become_something_else: [(&str, &dyn Fn()); 3] = [
        ("a directory", &|| fs::create_dir(dir.path("log")).unwrap()),
        ("a socket", &|| drop(UnixListener::bind(dir.path("log")).unwrap())),
        ("a device", &|| symlink("/dev/zero", dir.path("log")).unwrap()),
    ];
    for (kind, become_it) in become_something_else {
        fs::remove_file(dir.path("log"))
            .or_else(|_| fs::remove_dir(dir.path("log")))
            .unwrap();
        become_it();
        reader.check(&[]);
        assert_eq!(reader.status(&dir.path("log")).state, State::Refused(kind));
    }
    fs::remove_file(dir.path("log")).unwrap();
    dir.append("log", "1\n");
    reader.check(&["1"]);
}

#[test]
fn permission_may_come_later() {
    if !in_child(
        "names::permission_may_come_later",
        &[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--bounding-set=-all",
        ],
    ) {
        return;
    }
    let dir = Dir::new();
    let mode =
        |name: &str, mode| fs::set_permissions(dir.path(name), fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir(dir.path("logs")).unwrap();
    dir.append("logs/log", "old\n");
    mode("logs/log", 0);
    let mut reader = Reader::following(&dir, "logs/log");
    let state = State::Unreadable(std::io::ErrorKind::PermissionDenied);
    assert_eq!(reader.status(&dir.path("logs/log")).state, state);
    assert_eq!(reader.tail.next_deadline(), None, "its permissions are watched");
    mode("logs/log", 0o600);
    reader.check(&[]);
    dir.append("logs/log", "1\n");
    reader.check(&["1"]);
    mode("logs", 0);
    reader.check(&[]);
    assert_eq!(reader.status(&dir.path("logs/log")).state, state);
    mode("logs", 0o700);
    dir.append("logs/log", "2\n");
    reader.check(&["2"]);
    // A new file that nobody may read yet is read from its beginning.
    fs::rename(dir.path("logs/log"), dir.path("logs/log.1")).unwrap();
    dir.append("logs/log", "3\n");
    mode("logs/log", 0);
    reader.check(&[]);
    mode("logs/log", 0o600);
    reader.check(&["3"]);
}

#[test]
fn a_file_that_everybody_may_write_to_is_named() {
    let dir = Dir::new();
    dir.append("log", "");
    fs::set_permissions(dir.path("log"), fs::Permissions::from_mode(0o666)).unwrap();
    let mut reader = Reader::following(&dir, "log");
    assert!(
        reader
            .notices()
            .iter()
            .any(|notice| notice.contains("every user of this machine"))
    );
}
