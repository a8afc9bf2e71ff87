//! Bounds, wrong paths, and reloading.

use sipguard::limits::FILES_MAX;
use sipguard::tail::{Start, Tail};

use crate::support::{Dir, Reader, in_child};

#[test]
fn as_many_files_as_allowed_are_read_and_one_more_is_named() {
    let dir = Dir::new();
    let mut reader = Reader::following(&dir, "*.log");
    for index in 0..=FILES_MAX {
        dir.append(&format!("{index:02}.log"), &format!("{index:02}\n"));
        reader.run();
    }
    for index in 0..FILES_MAX {
        dir.append(&format!("{index:02}.log"), "again\n");
    }
    reader.run();
    assert_eq!(reader.lines.len(), 2 * FILES_MAX);
    let refused: Vec<_> = reader
        .notices()
        .into_iter()
        .filter(|text| text.contains("too many"))
        .collect();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("/32.log"));
}

#[test]
fn a_path_that_cannot_be_followed_is_a_fault() {
    let mut reader = Reader::new();
    let mut tail = Tail::new().unwrap();
    for (path, why) in [
        ("relative/log", "the path does not begin with /"),
        (
            "/var/log/*/messages",
            "only the last part of a path may be a pattern",
        ),
        ("/", "not the path of a file"),
    ] {
        let fault = tail.follow(path, 1, Start::End, reader.now).unwrap_err();
        assert_eq!(fault.to_string(), format!("cannot follow {path}: {why}"));
    }
    reader.check(&[]);
}

#[test]
fn a_reload_keeps_the_positions_of_what_stays() {
    let dir = Dir::new();
    for name in ["stays", "goes", "comes"] {
        dir.append(name, "0\n");
    }
    let mut reader = Reader::following(&dir, "stays");
    reader.follow(&dir, "goes", 2, Start::End);
    for name in ["stays", "goes", "comes"] {
        dir.append(name, &format!("{name}\n"));
    }
    reader
        .tail
        .unfollow(dir.path("goes").to_str().unwrap(), reader.now);
    reader.follow(&dir, "comes", 4, Start::End);
    reader.follow(&dir, "stays", 8, Start::Beginning);
    let mut seen = Vec::new();
    reader.tail.wake(reader.now);
    reader.tail.read(reader.now, &mut |line| {
        seen.push((line.bytes.to_vec(), line.readers));
    });
    assert_eq!(seen, [(b"stays".to_vec(), 8)]);
    assert_eq!(reader.tail.files().count(), 2);
}

#[test]
fn the_kernels_limit_of_watches_is_told() {
    let limit = "echo 2 > /proc/sys/user/max_inotify_watches; exec \"$@\"";
    if in_child(
        "limits::the_kernels_limit_of_watches_is_told",
        &["unshare", "-Ur", "sh", "-c", limit, "sh"],
    ) {
        let dir = Dir::new();
        dir.append("log", "");
        let mut tail = Tail::new().unwrap();
        let path = dir.path("log");
        let fault = tail
            .follow(path.to_str().unwrap(), 1, Start::End, sipguard::time::Mono(0))
            .unwrap_err();
        let said = fault.to_string();
        assert!(
            said.starts_with("cannot watch ") && said.contains("max_user_watches"),
            "{said}"
        );
        assert_eq!(tail.files().count(), 0);
    }
}

#[test]
fn the_kernels_limit_of_instances_is_told() {
    let limit = "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$@\"";
    if in_child(
        "limits::the_kernels_limit_of_instances_is_told",
        &["unshare", "-Ur", "sh", "-c", limit, "sh"],
    ) {
        let said = Tail::new().unwrap_err().to_string();
        assert!(said.contains("max_user_instances"), "{said}");
    }
}
