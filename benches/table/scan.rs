//! Scanning: lines per CPU-second, of the same file.
//!
//! ripgrep counts the lines (`rg -c`, one thread) that match patterns for the same messages; that it finds as many
//! as we do is checked. `strict` patterns mean what the filter means, `loose` ones leave the header out. `scan` goes
//! through the lines with the filter, as the command does, and counts what it finds, as `rg -c` does. `test` is
//! the whole command: it also joins lines to attempts, counts sources, and asks the guard about every failure.
//! The best of several turns counts, because what disturbs a turn only makes it slower.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::{Context, Filter, Lens, Reading, Trail};
use sipguard::limits::REPLAY_FILE_BUFFER_BYTES;
use sipguard::lines::Splitter;
use sipguard::time::Wall;

use crate::generated::{Plan, Written, write_log};
use crate::subjects::sipguard;

const TURNS: usize = 5;

/// Programs that take seconds for each megabyte get so many lines.
const SHORT_LINES: usize = 20_000;

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

/// Who went through the lines, at which share of attacks, and how fast: lines per CPU-second.
pub(crate) struct Speed {
    pub(crate) who: &'static str,
    pub(crate) measure: String,
    pub(crate) lines_per_second: Option<f64>,
}

type Run = fn(&Path, &Written) -> Option<f64>;

/// Who reads the whole file, and who but its beginning.
const FAST: [(&str, Run); 6] = [
    ("sipguard, its scan", |path, written| {
        Some(run_scan(path, written))
    }),
    ("sipguard test", |path, _| Some(run_test(path))),
    ("rg -c, strict", |path, written| {
        Some(run_ripgrep(path, &STRICT, written))
    }),
    ("rg -c, loose", |path, written| {
        Some(run_ripgrep(path, &LOOSE, written))
    }),
    ("wc -l", |path, _| cpu_of(Command::new("wc").arg("-l").arg(path))),
    ("sshg-parser", |path, _| {
        cpu_of(Command::new("/usr/libexec/sshguard/sshg-parser").stdin(File::open(path).unwrap()))
    }),
];
const SLOW: [(&str, Run); 3] = [
    ("grep -cE, strict", |path, _| {
        // What grep has no class for.
        let patterns = STRICT.map(|pattern| pattern.replace(r"\d", "[0-9]").replace("(?:", "("));
        cpu_of(
            Command::new("grep")
                .args(["-cE", &patterns.join("|")])
                .arg(path)
                .env("LC_ALL", "C"),
        )
    }),
    ("fail2ban-regex", |path, _| {
        cpu_of(
            Command::new("fail2ban-regex")
                .arg(path)
                .arg("/etc/fail2ban/filter.d/asterisk.conf"),
        )
    }),
    ("fail2ban-rs dry-run", |path, _| {
        let config = path.with_extension("toml");
        fs::write(&config, FAIL2BAN_RS).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/fail2ban-rs");
        cpu_of(
            Command::new(program)
                .arg("-c")
                .arg(&config)
                .arg("dry-run")
                .arg(path),
        )
    }),
];

/// Its own filter, with the messages that it lacks.
const FAIL2BAN_RS: &str = r#"
[global]
[jail.asterisk]
enabled = true
log_path = "/var/log/asterisk/messages"
date_format = "syslog"
filter = ["NOTICE.* chan_sip\\.c: Registration from '.*' failed for '<HOST>:\\d+' - Wrong password",
          "NOTICE.* chan_sip\\.c: Call from '.*' \\(<HOST>:\\d+\\) to extension '.*' rejected",
          "NOTICE.* Request '.*' from '.*' failed for '<HOST>:\\d+' ",
          "SecurityEvent=.(?:InvalidPassword|InvalidAccountID|ChallengeResponseFailed|FailedACL).,.*RemoteAddress=.IPV4/[A-Z]+/<HOST>/"]
port = ["5060"]
protocol = "udp"
max_retry = 5
find_time = "10m"
ban_time = "10m"
backend = "nftables"
"#;

pub(crate) fn is_scanner(who: &str) -> bool {
    FAST.iter().chain(&SLOW).any(|(name, _)| *name == who)
}

pub(crate) fn measure() -> Vec<Speed> {
    let megabytes = std::env::var("SCAN_MB").ok().and_then(|text| text.parse().ok());
    let bytes = megabytes.unwrap_or(200) * 1_000_000;
    let mut speeds = Vec::new();
    for attacks_per_mille in [1, 100, 900] {
        let path = PathBuf::from(format!(
            "/dev/shm/sipguard-scan-{}-{attacks_per_mille}.log",
            std::process::id()
        ));
        let plan = Plan {
            bytes,
            attacks_per_mille,
            lines_per_second: 1000,
        };
        let mut out = BufWriter::new(File::create(&path).unwrap());
        let written = write_log(&mut out, plan).unwrap();
        drop(out);
        let (short, beginning) = beginning(&path);
        let measure = format!("scan, {} % attack lines", f64::from(attacks_per_mille) / 10.0);
        let mut best = [f64::MAX; FAST.len()];
        // In turns, so that what slows the machine for a while slows all of them.
        for _ in 0..TURNS {
            for (best, (_, run)) in best.iter_mut().zip(FAST) {
                *best = best.min(run(&path, &written).unwrap_or(f64::MAX));
            }
        }
        let mut add = |who, lines: u64, seconds: f64| {
            speeds.push(Speed {
                who,
                measure: measure.clone(),
                lines_per_second: (seconds < f64::MAX).then(|| lines as f64 / seconds),
            });
        };
        for ((who, _), seconds) in FAST.into_iter().zip(best) {
            add(who, written.lines, seconds);
        }
        for (who, run) in SLOW {
            let seconds = run(&short, &beginning).unwrap_or(f64::MAX);
            add(who, beginning.lines, seconds);
        }
        fs::remove_file(&path).unwrap();
        fs::remove_file(&short).unwrap();
        let _ = fs::remove_file(short.with_extension("toml"));
    }
    speeds
}

/// A file of the first lines of another.
fn beginning(path: &Path) -> (PathBuf, Written) {
    let short = path.with_extension("short");
    let mut out = BufWriter::new(File::create(&short).unwrap());
    let lines = BufReader::new(File::open(path).unwrap())
        .lines()
        .take(SHORT_LINES);
    let mut written = Written::default();
    for line in lines {
        writeln!(out, "{}", line.unwrap()).unwrap();
        written.lines += 1;
    }
    (short, written)
}

/// CPU seconds of a program that is there and does it.
fn cpu_of(command: &mut Command) -> Option<f64> {
    let before = cpu(UsageWho::RUSAGE_CHILDREN);
    let status = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    // grep's 1 is: no line.
    matches!(status.code(), Some(0 | 1)).then(|| cpu(UsageWho::RUSAGE_CHILDREN) - before)
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
    let mut command = Command::new(sipguard());
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
