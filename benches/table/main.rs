//! One table that shows where we stand: every budget, and the same work done by what people use today, on the
//! machine at hand. `make bench` installs the others and runs it; `cargo bench --bench table -- WORD…` measures only
//! those whose name has one of the words, and keeps what was measured of the others before.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    missing_docs
)]

mod chart;
mod floor;
#[path = "../../tests/support/generated.rs"]
mod generated;
mod installed;
mod kernel;
mod measures;
mod report;
mod scan;
mod subjects;

use std::process::{Command, Stdio};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use report::Report;
use subjects::{SUBJECTS, Subject};

/// Set in the process that is inside a namespace: whom to measure there.
const INSIDE: &str = "SIPGUARD_BENCH_INSIDE";

fn main() {
    if let Ok(what) = std::env::var(INSIDE) {
        return inside(&what);
    }
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let mut report = Report::default();
    if !words.is_empty() {
        report.keep_what_was_measured(|who| !(wanted(who) || wanted("scan") && scan::is_scanner(who)));
    }
    for name in ["floor nftables", "floor ipset"] {
        if wanted(name) {
            outside(name, &mut report);
        }
    }
    for subject in SUBJECTS {
        let name = subject.name();
        match subject.absent() {
            Some(why) => eprintln!("{name}: {why}"),
            None if wanted(&name) => outside(&name, &mut report),
            None => {}
        }
    }
    if wanted("scan") {
        eprintln!("scanning");
        for speed in scan::measure() {
            match speed.lines_per_second {
                Some(lines) => report.add(speed.who, &speed.measure, lines / 1e6),
                None => report.cannot(speed.who, &speed.measure, "not installed"),
            }
        }
    }
    installed::measure(&mut report);
    report.finish();
}

/// Has one subject measured in namespaces of its own.
fn outside(name: &str, report: &mut Report) {
    eprintln!("{name}");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--user", "--net", "--mount", "--pid", "--fork"])
        .args(["--mount-proc", "--kill-child"])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, name)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        let (measure, value) = line.split_once('\t').unwrap();
        match value.strip_prefix('!') {
            Some(why) => report.cannot(name, measure, why),
            None => report.add(name, measure, value.parse().unwrap()),
        }
    }
    if !output.status.success() {
        report.cannot(name, "all", "did not get through");
    }
}

fn inside(what: &str) {
    for folder in ["/run", "/var/lib"] {
        subjects::run(&format!("mount -t tmpfs tmpfs {folder}"));
    }
    // A core for each: who asks the kernel over and over must not keep the guard from waking up.
    let mut only = CpuSet::new();
    only.set(usize::from(what.starts_with(floor::WAITER))).unwrap();
    sched_setaffinity(Pid::from_raw(0), &only).unwrap();
    match what.split_once(' ').unwrap() {
        ("floor", backend) => floor::measure(backend == "ipset"),
        (floor::WAITER, backend) => floor::wait(backend == "ipset"),
        _ => measures::measure(Subject::named(what)),
    }
}
