//! Scanning: lines per CPU-second, beside ripgrep's on the same file.
//!
//! ripgrep counts the lines (`rg -c`, one thread) that match patterns for the same messages; that it finds as many
//! as we do is checked. `strict` patterns mean what the filter means, `loose` ones leave the header out. `scan` goes
//! through the lines with the filter, as the command does, and counts what it finds, as `rg -c` does. `test` is
//! the whole command: it also joins lines to attempts, counts sources, and asks the guard about every failure.
//! The best of several turns counts, because what disturbs a turn only makes it slower.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

#[path = "../tests/support/generated.rs"]
mod generated;

use std::fs::{self, File};
use std::io::{BufWriter, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::{Context, Filter, Lens, Reading, Trail};
use sipguard::limits::REPLAY_FILE_BUFFER_BYTES;
use sipguard::lines::Splitter;
use sipguard::time::Wall;

use generated::{Plan, Written, write_log};

const TURNS: usize = 7;

/// What the filter finds in the generated logs, as strict as it is: with the header, and up to the end of the line.
const STRICT: [&str; 4] = [
    r"^\[[^\]]+\] NOTICE\[\d+\](?:\[C-[0-9a-f]+\])? chan_sip\.c: Registration from '.*' failed for '[0-9a-fA-F.:\[\]]+' - (?:Wrong password|Username/auth name mismatch|No matching peer found|Not a local domain|Peer is not supposed to register|Device does not match ACL)$",
    r"^\[[^\]]+\] NOTICE\[\d+\](?:\[C-[0-9a-f]+\])? chan_sip\.c: Call from '[^']*' \([0-9a-fA-F.:\[\]]+\) to extension '.*' rejected because extension not found in context '.*'\.$",
    r"^\[[^\]]+\] NOTICE\[\d+\](?:\[C-[0-9a-f]+\])? res_pjsip/pjsip_distributor\.c: Request '[A-Z]+' from '.*' failed for '[0-9a-fA-F.:\[\]]+' \(callid: .*\) - (?:No matching endpoint found|Failed to authenticate|Not match Endpoint ACL|Error to authenticate)$",
    r#"^\[[^\]]+\] SECURITY\[\d+\] res_security_log\.c: SecurityEvent="(?:InvalidPassword|InvalidAccountID|ChallengeResponseFailed|FailedACL)",.*RemoteAddress="IPV[46]/(?:UDP|TCP|TLS|WS|WSS)/[0-9a-fA-F.:]+/\d+""#,
];

/// The same without the header: words that ripgrep finds by vector instructions, five times as fast. It would take
/// a line that quotes the message for the message.
const LOOSE: [&str; 4] = [
    r"NOTICE.* chan_sip\.c: Registration from '.*' failed for '[0-9a-fA-F.:\[\]]+' - (?:Wrong password|Username/auth name mismatch|No matching peer found|Not a local domain|Peer is not supposed to register|Device does not match ACL)",
    r"NOTICE.* chan_sip\.c: Call from '[^']*' \([0-9a-fA-F.:\[\]]+\) to extension '.*' rejected because extension not found in context",
    r"NOTICE.* res_pjsip/pjsip_distributor\.c: Request '[A-Z]+' from '.*' failed for '[0-9a-fA-F.:\[\]]+' \(callid: .*\) - (?:No matching endpoint found|Failed to authenticate|Not match Endpoint ACL|Error to authenticate)",
    r#"SecurityEvent="(?:InvalidPassword|InvalidAccountID|ChallengeResponseFailed|FailedACL)",.*RemoteAddress="IPV[46]/(?:UDP|TCP|TLS|WS|WSS)/[0-9a-fA-F.:]+/\d+""#,
];

fn main() {
    let megabytes = std::env::var("SCAN_MB").ok().and_then(|text| text.parse().ok());
    let bytes = megabytes.unwrap_or(500) * 1_000_000;
    println!(
        "scanning {} MB, million lines per CPU-second, one thread",
        bytes / 1_000_000
    );
    println!("            ripgrep             sipguard   (and how many times ripgrep's, strict / loose)");
    println!("  attacks   strict    loose     scan                    test");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for attacks_per_mille in [1, 100, 900] {
        let path = folder.join(format!("scan-{attacks_per_mille}.log"));
        let plan = Plan {
            bytes,
            attacks_per_mille,
            lines_per_second: 1000,
        };
        let mut out = BufWriter::new(File::create(&path).unwrap());
        let written = write_log(&mut out, plan).unwrap();
        drop(out);
        // In turns, so that what slows the machine for a while slows all of them.
        let mut best = [f64::MAX; 4];
        for _ in 0..TURNS {
            let turn = [
                run_ripgrep(&path, &STRICT, &written),
                run_ripgrep(&path, &LOOSE, &written),
                run_scan(&path, &written),
                run_test(&path),
            ];
            for (best, seconds) in best.iter_mut().zip(turn) {
                *best = best.min(seconds);
            }
        }
        fs::remove_file(&path).unwrap();
        let [strict, loose, scan, test] = best.map(|seconds| written.lines as f64 / seconds / 1e6);
        let against = |speed: f64| format!("{speed:.1} ({:.1} / {:.2})", speed / strict, speed / loose);
        let share = f64::from(attacks_per_mille) / 10.0;
        println!(
            "{share:>7.1} % {strict:>8.1} {loose:>8.1}     {:<20}    {}",
            against(scan),
            against(test)
        );
    }
}

/// CPU seconds of `rg -c`.
fn run_ripgrep(path: &Path, patterns: &[&str], written: &Written) -> f64 {
    let mut command = Command::new("rg");
    command.args(["-c", "-j1", "--no-config"]);
    for pattern in patterns {
        command.args(["-e", pattern]);
    }
    let before = cpu(UsageWho::RUSAGE_CHILDREN);
    let output = command
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("ripgrep is installed (make bench)");
    let used = cpu(UsageWho::RUSAGE_CHILDREN) - before;
    let count: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert_eq!(count, written.attacks, "ripgrep finds every failure");
    used
}

/// CPU seconds of `sipguard test`.
fn run_test(path: &Path) -> f64 {
    let before = cpu(UsageWho::RUSAGE_CHILDREN);
    let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_sipguard")));
    let status = command
        .arg("test")
        .arg(path)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    cpu(UsageWho::RUSAGE_CHILDREN) - before
}

/// CPU seconds of going through all lines with the filter, in this process.
fn run_scan(path: &Path, written: &Written) -> f64 {
    let before = cpu(UsageWho::RUSAGE_SELF);
    let context = Context {
        today: Wall(1_795_392_000),
        utc_offset_s: 0,
    };
    let (filter, own) = (Filter::Asterisk(Asterisk), None);
    let (lens, mut trail) = (Lens { filter, own }, Trail::default());
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; REPLAY_FILE_BUFFER_BYTES];
    let mut splitter = Splitter::default();
    let (mut lines, mut failures) = (0, 0);
    loop {
        let count = file.read(splitter.space(&mut buffer)).unwrap();
        if count == 0 {
            break;
        }
        let mut block = splitter.lines(&buffer, count);
        while let Some((_, reading)) = lens.next(&mut block, &mut trail, &context) {
            failures += u64::from(matches!(reading, Reading::Failure(_)));
        }
        lines += block.count_given();
        splitter.keep(&mut buffer);
    }
    assert_eq!(
        (lines, failures),
        (written.lines, written.attacks),
        "every failure is found"
    );
    cpu(UsageWho::RUSAGE_SELF) - before
}

fn cpu(who: UsageWho) -> f64 {
    let usage: Usage = getrusage(who).unwrap();
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}
