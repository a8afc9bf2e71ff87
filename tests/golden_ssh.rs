//! `golden/sshd.log` and `golden/dropbear.log`: what real servers wrote, other versions' lines and planted
//! ones, and what each of them says. `UPDATE=1 cargo test --test golden_ssh` rewrites the expectations;
//! review the diff.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::wildcard_enum_match_arm)]

#[path = "support/attempts.rs"]
mod attempts;

use std::path::PathBuf;

use attempts::Attempts;
use sipguard::filter::dropbear::Dropbear;
use sipguard::filter::sshd::{Mode, Sshd};
use sipguard::filter::{Context, Failure, Reading};
use sipguard::time::Wall;

/// Who never did anything in these files.
const VICTIMS: [&str; 2] = ["198.51.100.7", "198.51.100.200"];

/// 2026-11-22 15:00.
const CONTEXT: Context = Context {
    today: Wall(1_795_359_600),
    utc_offset_s: 0,
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn lines(name: &str) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path(name)).unwrap();
    let lines: Vec<_> = bytes.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let (last, lines) = lines.split_last().unwrap();
    assert!(last.is_empty(), "{name} ends within a line");
    lines.to_vec()
}

/// `-`, `suspicious torn`, or `192.0.2.1 sshd.auth transport 2026-11-22 11:21:11 notice-closing`
fn show(reading: Reading) -> String {
    match reading {
        Reading::Nothing | Reading::Sign(_) => String::from("-"),
        Reading::Suspicious(suspicion) => format!("suspicious {suspicion:?}").to_lowercase(),
        Reading::Failure(failure) => {
            let Failure {
                addr, kind, proof, ..
            } = failure;
            let at = failure.at.map_or(String::from("-"), |at| at.to_string());
            let part = failure.attempt.map_or(String::from("alone"), |attempt| {
                format!("{:?}-{:?}", attempt.witness, attempt.step).to_lowercase()
            });
            format!("{addr} {kind} {} {at} {part}", proof.name())
        }
    }
}

fn check(log: &str, want: &str, read: impl Fn(&[u8]) -> Reading) {
    let lines = lines(log);
    let got: Vec<String> = lines.iter().map(|line| show(read(line))).collect();
    for (line, shown) in lines.iter().zip(&got) {
        let innocent = VICTIMS
            .iter()
            .all(|victim| !shown.starts_with(&format!("{victim} ")));
        assert!(innocent, "{}", String::from_utf8_lossy(line));
    }
    if std::env::var_os("UPDATE").is_some() {
        return std::fs::write(path(want), got.join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(path(want)).unwrap();
    let want: Vec<&str> = text.lines().collect();
    for (line, (got, want)) in lines.iter().zip(got.iter().zip(&want)) {
        assert_eq!(got, want, "{}", String::from_utf8_lossy(line));
    }
    assert_eq!(got.len(), want.len());
}

#[test]
fn sshd_normal() {
    let filter = Sshd { mode: Mode::Normal };
    check("sshd.log", "sshd.want", |line| filter.read(line, &CONTEXT));
}

#[test]
fn sshd_aggressive() {
    let filter = Sshd {
        mode: Mode::Aggressive,
    };
    check("sshd.log", "sshd.aggressive.want", |line| {
        filter.read(line, &CONTEXT)
    });
}

#[test]
fn dropbear() {
    check("dropbear.log", "dropbear.want", |line| {
        Dropbear.read(line, &CONTEXT)
    });
}

/// How many attempts lines are, by the rule that the guard follows.
#[derive(Default)]
struct Count {
    attempts: Attempts,
    new: usize,
}

impl Count {
    fn observe(&mut self, failure: &Failure) {
        let alone = failure.attempt.is_none();
        self.new += usize::from(alone || self.attempts.is_new(failure.at.unwrap(), 0, failure));
    }
}

/// The failures that each session of the log counts, beside what its heading says (`…: counts NORMAL
/// AGGRESSIVE`).
fn sessions(mode: Mode, column: usize) {
    let filter = Sshd { mode };
    let (mut checked, mut open) = (0, None::<(String, usize, Count)>);
    for line in lines("sshd.log") {
        if line.starts_with(b"# ") {
            if let Some((title, want, count)) = open.take() {
                assert_eq!(count.new, want, "{mode:?}: {title}");
                checked += 1;
            }
            let title = String::from_utf8(line).unwrap();
            let want = title.split_once(": counts ").map(|(_, counts)| {
                let count = counts.split(' ').nth(column).unwrap();
                count.parse().unwrap()
            });
            open = want.map(|want| (title, want, Count::default()));
        } else if let (Some((_, _, count)), Reading::Failure(failure)) =
            (&mut open, filter.read(&line, &CONTEXT))
        {
            count.observe(&failure);
        }
    }
    assert_eq!(checked, 11);
}

#[test]
fn each_wrong_password_counts_once() {
    sessions(Mode::Normal, 0);
    sessions(Mode::Aggressive, 1);
}

#[test]
fn each_wrong_password_at_dropbear_counts_once() {
    let mut count = Count::default();
    let mut passwords = 0;
    for line in lines("dropbear.log")
        .iter()
        .take_while(|line| !line.ends_with(b"fails): Max auth tries reached - user 'alice'"))
    {
        passwords += usize::from(line.windows(12).any(|part| part == b"Bad password"));
        if let Reading::Failure(failure) = Dropbear.read(line, &CONTEXT) {
            count.observe(&failure);
        }
    }
    assert_eq!(passwords, 14);
    assert_eq!(count.new, passwords);
}
