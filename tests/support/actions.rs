//! A machine of the test's own with a guard, its log, and what its children do.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test program uses another part of it"
)]
#![allow(missing_docs, reason = "they are here, where they help")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::host::{Log, wait_until};
use crate::support::{run, try_run};

/// An empty /var/log, /mnt and /usr/local/sbin, seen by this test only.
pub fn fresh_machine() {
    for folder in ["/var/log", "/mnt", "/usr/local/sbin"] {
        run(&format!("mount -t tmpfs tmpfs {folder}"));
    }
    fs::create_dir("/mnt/action.d").unwrap();
    fs::create_dir("/mnt/mails").unwrap();
    fs::set_permissions("/mnt/mails", fs::Permissions::from_mode(0o1777)).unwrap();
}

/// /mnt/jail.local: one jail on /var/log/asterisk/messages, with these lines; and the log.
pub fn jail(lines: &str) -> Log {
    let text = format!(
        "[DEFAULT]\nring = 65536\n[asterisk]\nenabled = true\nmaxretry = 2\n\
         logpath = /var/log/asterisk/messages\n{lines}\n"
    );
    fs::write("/mnt/jail.local", text).unwrap();
    Log::create("/var/log/asterisk/messages")
}

/// /mnt/action.d/NAME.conf.
pub fn action(name: &str, text: &str) {
    fs::write(format!("/mnt/action.d/{name}.conf"), text).unwrap();
}

/// A program of this name that comes before the system's.
pub fn program(name: &str, script: &str) {
    let path = format!("/usr/local/sbin/{name}");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A sendmail that keeps every mail in /mnt/mails, with its words in the first line.
pub fn sendmail_that_keeps() {
    program(
        "sendmail",
        "t=$(mktemp /mnt/mails/.XXXXXX); { echo \"$@\"; cat; } > $t; mv $t /mnt/mails/$(date +%s.%N).$$",
    );
}

/// What that sendmail got, in order.
pub fn mails() -> Vec<String> {
    let entries = fs::read_dir("/mnt/mails").unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    paths.sort();
    paths
        .iter()
        .map(|path| String::from_utf8(fs::read(path).unwrap()).unwrap())
        .collect()
}

/// The subjects of these mails, without what all have.
pub fn subjects() -> Vec<String> {
    let subject = |mail: &String| {
        let line = mail.lines().find_map(|line| line.strip_prefix("Subject: "));
        line.unwrap_or(mail).to_owned()
    };
    mails().iter().map(subject).collect()
}

/// Process numbers of our children whose words contain these.
pub fn children(words: &str) -> Vec<u32> {
    let output = try_run(&format!("pgrep -f notify-child.{words}"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Kills a worker and waits for the next one.
#[track_caller]
pub fn kill_worker(role: &str) {
    let before = children(&format!("worker.{role}"));
    assert_eq!(before.len(), 1, "{before:?}");
    run(&format!("kill -9 {}", before[0]));
    wait_until("another worker is there", || {
        let after = children(&format!("worker.{role}"));
        after.len() == 1 && after != before
    });
}

/// The file's lines; none if it is not there.
pub fn lines(path: impl AsRef<Path>) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
