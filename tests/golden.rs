//! `golden/NAME.log` read line by line gives `golden/NAME.want`: `-`, `torn`, `orphan`, `ambiguous`, `control`, or
//! `ADDRESS KIND PROOF STEP DATE`. A line that begins with `####` is a heading: it is copied, and what follows stands
//! in a new file. `UPDATE=1 cargo test --test golden` rewrites the answers; read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::path::Path;

use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::{Context, Filter, Reading, Step, Suspicion, Trail};
use sipguard::time::Wall;

#[test]
fn every_golden_log_reads_as_it_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut lines = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let log = entry.unwrap().path();
        let ours = log.extension().is_some_and(|extension| extension == "log");
        if !ours || OF_OTHER_FILTERS.iter().any(|name| log.ends_with(name)) {
            continue;
        }
        let text = std::fs::read(&log).unwrap();
        let got = answers(&text);
        lines += got.lines().count();
        let want = log.with_extension("want");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&want, got).unwrap();
            continue;
        }
        let want = std::fs::read_to_string(&want).unwrap();
        for (number, (got, want)) in got.lines().zip(want.lines()).enumerate() {
            assert_eq!(got, want, "{}:{}", log.display(), number + 1);
        }
        assert_eq!(got.lines().count(), want.lines().count(), "{}", log.display());
    }
    println!("golden: {lines} lines");
    assert!(lines > 300, "the golden logs have shrunk");
}

/// Read by `golden_ssh.rs`.
const OF_OTHER_FILTERS: [&str; 2] = ["sshd.log", "dropbear.log"];

fn answers(text: &[u8]) -> String {
    let filter = Filter::Asterisk(Asterisk);
    let context = Context {
        today: Wall(1_795_351_367),
        utc_offset_s: 0,
    };
    let mut trail = Trail::default();
    let mut answers = String::new();
    for line in text
        .strip_suffix(b"\n")
        .unwrap_or(text)
        .split(|&byte| byte == b'\n')
    {
        if line.starts_with(b"####") {
            trail = Trail::default();
            answers += core::str::from_utf8(line).unwrap();
        } else {
            answers += &answer(filter.read(line, &mut trail, &context));
        }
        answers.push('\n');
    }
    answers
}

fn answer(reading: Reading) -> String {
    let failure = match reading {
        Reading::Nothing | Reading::Sign(_) => return String::from("-"),
        Reading::Suspicious(suspicion) => {
            return String::from(match suspicion {
                Suspicion::Torn => "torn",
                Suspicion::Orphan => "orphan",
                Suspicion::Ambiguous => "ambiguous",
                Suspicion::Control => "control",
            });
        }
        Reading::Failure(failure) => failure,
    };
    let step = match failure.attempt.unwrap().step {
        Step::Opening => "opening",
        Step::Closing => "closing",
        Step::Whole => "whole",
    };
    let at = failure.at.map_or(String::from("no date"), |at| at.to_string());
    let (addr, kind, proof) = (failure.addr, failure.kind, failure.proof.name());
    format!("{addr} {kind} {proof} {step} {at}")
}
