//! How many instructions a line and a ban cost: counted by callgrind, so that the machine's mood has no part in it.
//! Bounds are what was counted when they were written, and a third more.
//!
//! They hold for the release build that `SIPGUARD_PROGRAM` names; `make counts` builds it and runs this.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout
)]

#[path = "support/generated.rs"]
mod generated;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use generated::{Plan, write_log};

/// Instructions of `sipguard test WORDS LOG`.
fn instructions(words: &[&str], log: &Path) -> u64 {
    let program = std::env::var("SIPGUARD_PROGRAM").expect("SIPGUARD_PROGRAM names a release build");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([program.as_str(), "test"])
        .args(words)
        .arg(log)
        .env("TZ", "UTC")
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = said.lines().find_map(|line| line.split_once("Collected : "));
    count.expect(&said).1.trim().parse().unwrap()
}

fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// What a line costs: the difference of a long log and a short one.
fn per_line(attacks_per_mille: u32) -> u64 {
    let [short, long] = [1_000_000, 5_000_000].map(|bytes| {
        let path = file(&format!("{attacks_per_mille}-{bytes}.log"));
        let mut out = BufWriter::new(File::create(&path).unwrap());
        let plan = Plan {
            bytes,
            attacks_per_mille,
            lines_per_second: 1000,
        };
        let written = write_log(&mut out, plan).unwrap();
        out.flush().unwrap();
        (instructions(&[], &path), written.lines)
    });
    (long.0 - short.0) / (long.1 - short.1)
}

/// What an attacker costs: two lines, and a ban.
fn per_ban() -> u64 {
    let [few, many] = [1_000_u32, 5_000].map(|attackers| {
        let mut text = String::new();
        for number in 0..attackers {
            let address = Ipv4Addr::from(0xC612_0000 + number);
            for _ in 0..2 {
                let _ = writeln!(
                    text,
                    "[2026-11-22 12:42:47] NOTICE[4279] chan_sip.c: Registration from '<sip:100@192.0.2.10>' failed \
                     for '{address}:5060' - Wrong password"
                );
            }
        }
        let path = file(&format!("{attackers}-attackers.log"));
        fs::write(&path, text).unwrap();
        let config = file("jail.local");
        fs::write(&config, "[asterisk]\nenabled = true\nmaxretry = 2\nlogpath = /var/log/asterisk/messages\n").unwrap();
        let words = ["--config", config.to_str().unwrap()];
        (instructions(&words, &path), attackers)
    });
    (many.0 - few.0) / u64::from(many.1 - few.1)
}

#[test]
#[ignore = "counts the instructions of a release build: make counts"]
fn a_line_and_a_ban_cost_no_more_instructions_than_they_did() {
    let counted = [
        ("a line, 0.1 % attacks", per_line(1), 430),
        ("a line, 10 % attacks", per_line(100), 1_110),
        ("a line, 90 % attacks", per_line(900), 5_700),
        ("an attacker of two lines, banned", per_ban(), 18_100),
    ];
    for (what, count, bound) in counted {
        println!("{what}: {count} instructions, at most {bound}");
    }
    for (what, count, bound) in counted {
        assert!(count <= bound, "{what}: {count} instructions, at most {bound}");
    }
}
