//! A flood of failures from random addresses, poured into the log in parts, and how the guard takes it.

#![allow(unreachable_pub, missing_docs, reason = "tests and benchmarks use it")]

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::wrong_password;
use crate::random::Random;
use crate::storm::{LONG, status};

pub struct Flood {
    random: Random,
    proven: Vec<String>,
    line: [String; 2],
}

/// How the guard took it.
#[derive(Debug, Default)]
pub struct Report {
    pub lines: u64,
    /// How long it read, without the time that it took to make the log.
    pub reading: Duration,
    /// Its private memory after each part.
    pub memory_kib: Vec<u64>,
    pub slowest_status: Duration,
    pub asked: u32,
    pub proven: Vec<String>,
}

impl Flood {
    pub fn new(seed: u64) -> Flood {
        let line = wrong_password("ADDRESS");
        let (before, after) = line.split_once("ADDRESS:5060").unwrap();
        Flood {
            random: Random(seed),
            proven: Vec::new(),
            line: [before, after].map(str::to_owned),
        }
    }

    /// Pours so many parts of so many lines; the log is emptied between two parts when it has been read.
    pub fn pour(mut self, pid: u32, parts: usize, lines: usize) -> Report {
        let mut report = Report::default();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let (mut slowest, mut asked) = (Duration::ZERO, 0);
                while !done.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    status("");
                    slowest = slowest.max(start.elapsed());
                    asked += 1;
                    thread::sleep(Duration::from_millis(50));
                }
                (slowest, asked)
            });
            for part in 0..parts {
                let text = self.part(part, lines);
                let start = Instant::now();
                let mut file = OpenOptions::new().append(true).open(LONG).unwrap();
                for piece in text.as_bytes().chunks(1 << 20) {
                    file.write_all(piece).unwrap();
                }
                wait_until_read(text.len());
                report.reading += start.elapsed();
                report.lines += lines as u64;
                report.memory_kib.push(private_kib(pid));
                file.set_len(0).unwrap();
                wait_until_read(0);
            }
            done.store(true, Ordering::Relaxed);
            (report.slowest_status, report.asked) = asking.join().unwrap();
        });
        report.proven = self.proven;
        report
    }

    /// One failure of each of so many random addresses, half of them IPv6, and among them three of an attacker
    /// over TCP.
    fn part(&mut self, part: usize, lines: usize) -> String {
        let attacker = format!("198.51.{}.{}", 100 + part / 200, 1 + part % 200);
        let mut text = String::with_capacity(lines * 170);
        let [before, after] = self.line.clone();
        for number in 0..lines {
            if number % (lines / 3) == lines / 6 {
                let line = wrong_password(&attacker);
                let stamp = line.split(']').next().unwrap();
                let _ = writeln!(
                    text,
                    "{stamp}] SECURITY[611] res_security_log.c: SecurityEvent=\"ChallengeResponseFailed\",\
                     EventTV=\"2026-11-22T11:23:41.615+0000\",Severity=\"Error\",Service=\"PJSIP\",EventVersion=\"1\",\
                     AccountID=\"3310\",SessionID=\"s-{part}-{number}\",LocalAddress=\"IPV4/TCP/192.0.2.7/5060\",\
                     RemoteAddress=\"IPV4/TCP/{attacker}/5060\",Challenge=\"1763415931/ab12\",Response=\"cd34\",\
                     ExpectedResponse=\"\""
                );
            } else if number % 2 == 0 {
                // No address that is never banned.
                let address = Ipv4Addr::from(0x1000_0000 + self.random.below(0x6000_0000) as u32);
                let _ = writeln!(text, "{before}{address}:5060{after}");
            } else {
                let high = 0x2a00_0000_0000_0000 + self.random.below(1 << 53);
                let address = Ipv6Addr::from(u128::from(high) << 64 | 1);
                let _ = writeln!(text, "{before}[{address}]:5060{after}");
            }
        }
        self.proven.push(format!("long {attacker}"));
        text
    }
}

fn wait_until_read(bytes: usize) {
    let end = Instant::now() + Duration::from_secs(300);
    let words = format!("\"offset\":{bytes},");
    loop {
        let shown = status("--json");
        let line = shown.lines().find(|line| line.contains(LONG)).unwrap();
        if line.contains(&words) {
            return;
        }
        assert!(Instant::now() < end, "not read to {bytes}: {line}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Anonymous pages of a process: what it costs beside its file, which all processes share.
pub fn private_kib(pid: u32) -> u64 {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = smaps.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
