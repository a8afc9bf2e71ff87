//! Long runs with numbers, of a release build:
//!
//! ```text
//! cargo build --release
//! SIPGUARD_PROGRAM=target/release/sipguard cargo test --test storm -- --ignored --nocapture --test-threads=1
//! ```
//!
//! What is in force again, and when, after somebody flushed the kernel in a storm; ten million failures; 100,000 bans.
//! The first has a short form that runs with the other tests.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub
)]

#[path = "support/elements.rs"]
mod elements;
#[path = "support/flood.rs"]
mod flood;
#[path = "support/host.rs"]
#[allow(dead_code, reason = "no packets are sent here")]
mod host;
#[path = "support/random.rs"]
mod random;
#[path = "support/storm.rs"]
mod storm;
mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use elements::Elements;
use flood::{Flood, private_kib};
use host::{Guard, wait_until};
use sipguard::filter::Proof;
use sipguard::store::{Banned, Failed, Kept, Live, Moment, Store};
use sipguard::sys::clock;
use sipguard::sys::disk::Directory;
use sipguard::tail::Position;
use sipguard::time::Mono;
use storm::{CONFIG, STATE, Storm, in_kernel, machine, make_table_plain, start, status};
use support::{isolated, run, try_run};

/// Somebody who cannot know better takes everything out of the kernel.
fn harm(backend: &str) {
    if backend == "ipset" {
        for tables in ["iptables-legacy", "ip6tables-legacy"] {
            run(&format!("{tables} -t raw -F"));
            run(&format!("{tables} -t raw -X"));
        }
        // The guard may have made its rules again before the last set was gone.
        let _ = try_run("ipset destroy");
    } else {
        run("nft flush ruleset");
    }
}

/// The set with the bans that are counted; those of the storm are in others.
const BIG: &str = "long4";

/// Harms in a storm: how long until all bans are back.
fn flushed(backend: &str, bans: u32, rounds: u32) {
    machine(backend, "");
    if backend == "nftables" {
        make_table_plain();
    }
    write_state(bans, false);
    let mut guard = start();
    let elements = Elements::open(backend);
    assert_eq!(elements.count(BIG), bans);
    let stop = AtomicBool::new(false);
    let mut times = Vec::new();
    let storm = thread::scope(|scope| {
        let raging = scope.spawn(|| {
            let mut storm = Storm::new(21);
            while !stop.load(Ordering::Relaxed) {
                storm.short_piece(5);
                thread::sleep(Duration::from_millis(20));
            }
            storm
        });
        for round in 0..rounds {
            harm(backend);
            let start = Instant::now();
            while elements.count(BIG) != bans || !rules_are_there(backend) {
                assert!(
                    start.elapsed() < Duration::from_secs(30),
                    "round {round}: {:#?}",
                    guard.drain()
                );
                thread::sleep(Duration::from_micros(500));
            }
            times.push(start.elapsed());
            thread::sleep(Duration::from_millis(200));
        }
        stop.store(true, Ordering::Relaxed);
        raging.join().unwrap()
    });
    wait_until("none is missing", || {
        storm.guilty().difference(&in_kernel(backend)).count() == 0
    });
    assert_eq!(
        in_kernel(backend).len(),
        storm.guilty().len() + bans as usize,
        "none invented"
    );
    wait_until("status knows it", || {
        status("--json").contains("\"in_sync\":true")
    });
    show(
        &format!("{backend}: {bans} bans in force again after a flush in a storm, {rounds} rounds"),
        times,
    );
}

fn rules_are_there(backend: &str) -> bool {
    backend != "ipset"
        || ["iptables-legacy-save", "ip6tables-legacy-save"]
            .iter()
            .all(|save| run(save).contains("--match-set sipguard-long"))
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part).ceil() as usize].as_secs_f64() * 1e3;
    println!(
        "{what}: median {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

#[test]
fn bans_flushed_in_a_storm_are_all_back_by_nftables() {
    isolated("bans_flushed_in_a_storm_are_all_back_by_nftables", || {
        flushed("nftables", 1_000, 3);
    });
}

#[test]
fn bans_flushed_in_a_storm_are_all_back_by_ipset() {
    isolated("bans_flushed_in_a_storm_are_all_back_by_ipset", || {
        flushed("ipset", 1_000, 3);
    });
}

#[test]
#[ignore = "it measures"]
fn ten_thousand_bans_are_back_after_a_flush_by_nftables() {
    isolated("ten_thousand_bans_are_back_after_a_flush_by_nftables", || {
        flushed("nftables", 10_000, 30);
    });
}

#[test]
#[ignore = "it measures"]
fn ten_thousand_bans_are_back_after_a_flush_by_ipset() {
    isolated("ten_thousand_bans_are_back_after_a_flush_by_ipset", || {
        flushed("ipset", 10_000, 30);
    });
}

#[test]
fn a_protected_table_is_not_flushed() {
    isolated("a_protected_table_is_not_flushed", || {
        machine("nftables", "");
        let mut guard = start();
        let mut storm = Storm::new(22);
        for _ in 0..10 {
            storm.piece(20);
            wait_until("all are banned", || {
                storm.guilty().difference(&in_kernel("nftables")).count() == 0
            });
            let before = in_kernel("nftables");
            if !sipguard::sys::kernel_is_at_least(6, 9) {
                println!("left out: this kernel (before Linux 6.9) protects no table");
                return;
            }
            let _ = try_run("nft flush ruleset");
            assert_eq!(in_kernel("nftables"), before);
            assert!(!try_run("nft delete table inet sipguard").status.success());
            assert!(!try_run("nft flush set inet sipguard long4").status.success());
        }
        let said = guard.drain().iter().filter(|line| line.contains("somebody"));
        assert_eq!(said.count(), 0, "nothing to heal");
    });
}

/// What is in a state file that the test writes.
struct Many {
    v4: u32,
    v6: u32,
}

impl Many {
    fn ban(&self, number: u32) -> Option<Banned<'static>> {
        let net = if number < self.v4 {
            ipnet::IpNet::from(IpAddr::from(Ipv4Addr::from(0x0b00_0000 + number)))
        } else if number < self.v4 + self.v6 {
            let high = 0x2a00_0000_0000_0000 | u128::from(number);
            ipnet::IpNet::new(Ipv6Addr::from(high << 64).into(), 64).unwrap()
        } else {
            return None;
        };
        let now = boottime();
        Some(Banned {
            jail: "long",
            net,
            since: now,
            until: Some(Mono(now.0 + 86_400_000)),
            proof: Proof::Transport,
            count: 0,
        })
    }
}

impl Live for Many {
    fn kept_after(&self, cursor: u64) -> Option<(u64, Kept<'_>)> {
        Some((cursor + 1, Kept::Ban(self.ban(cursor as u32)?)))
    }
    fn failure_after(&self, _: u64) -> Option<(u64, Failed<'_>)> {
        None
    }
    fn positions(&self, _: &mut dyn FnMut(&Path, Position)) {}
}

fn boottime() -> Mono {
    Mono(clock::boottime().unwrap().0 - Mono::BOOT.0)
}

/// A state file with so many bans for a day, one in five of an IPv6 network if there shall be `both`.
fn write_state(bans: u32, both: bool) {
    let v6 = if both { bans / 5 } else { 0 };
    let many = Many { v4: bans - v6, v6 };
    let now = Moment {
        mono: boottime(),
        wall: clock::utc().unwrap(),
    };
    let disk = Directory::new(Path::new(STATE));
    let mut store = Store::open(disk, None, clock::boot_id().unwrap(), now, &mut |_| {});
    for ban in (0..).map_while(|number| many.ban(number)) {
        store.ban(&ban, now);
    }
    store.stop(now, &many);
}

fn starts_with_100_000(backend: &str) {
    machine(backend, "");
    write_state(100_000, true);
    let size = fs::metadata(STATE).unwrap().len();
    let (mut starts, mut processor) = (Vec::new(), Vec::new());
    for round in 0..6 {
        let begun = Instant::now();
        let mut guard = Guard::spawn(&CONFIG);
        let line = guard.wait_for("from before the start: ");
        if round % 2 == 0 {
            starts.push(begun.elapsed());
            processor.push(processor_time(guard.pid()));
        }
        assert!(line.contains("100000 bans, 100000 in force"), "{line}");
        if round == 5 {
            assert_eq!(in_kernel(backend).len(), 100_000);
            look_at(backend, &guard, size);
            show(
                &format!("{backend}: start with 100,000 bans until all are in force"),
                starts,
            );
            show(&format!("{backend}: of that, on the processor"), processor);
            return idle(&format!("{backend}, 100,000 bans"), &guard);
        }
        guard.kill();
        if round % 2 == 1 {
            // The next one finds an empty kernel.
            storm::empty_kernel(backend);
        }
    }
}

/// How long a process has been on a processor, in user mode and in the kernel.
fn processor_time(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// What 100,000 bans cost, and how long `status` takes.
fn look_at(backend: &str, guard: &Guard, size: u64) {
    println!(
        "{backend}: 100,000 bans: private {} KiB, state file {size} bytes",
        private_kib(guard.pid())
    );
    for words in ["", "--json", "long", "long --json"] {
        let times = (0..20)
            .map(|_| {
                let begun = Instant::now();
                status(words);
                begun.elapsed()
            })
            .collect();
        show(&format!("{backend}: status {words}"), times);
    }
}

/// What it does while nothing happens, for a minute.
fn idle(what: &str, guard: &Guard) {
    // It looks at its addresses once more after a start.
    thread::sleep(Duration::from_secs(8));
    let number = |file: &str, key: &str| -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", guard.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let now = || {
        [
            number("status", "voluntary_ctxt_switches"),
            number("io", "write_bytes"),
            number("io", "wchar"),
            number("io", "syscw"),
        ]
    };
    let before = now();
    thread::sleep(Duration::from_secs(60));
    let after = now();
    println!("{what}: private {} KiB", private_kib(guard.pid()));
    let [wakes, to_disk, written, writes] = [0, 1, 2, 3].map(|at| after[at] - before[at]);
    println!(
        "{what}: idle for 60 s: {wakes} wake-ups, {to_disk} bytes to disk, {written} bytes in {writes} writes"
    );
    let polls = what.starts_with("ipset") && !what.contains(" no bans");
    assert!(wakes <= if polls { 13 } else { 0 }, "{wakes}");
    assert_eq!((to_disk, written), (0, 0));
}

#[test]
#[ignore = "it measures"]
fn a_hundred_thousand_bans_start_by_nftables() {
    isolated("a_hundred_thousand_bans_start_by_nftables", || {
        starts_with_100_000("nftables");
    });
}

#[test]
#[ignore = "it measures"]
fn a_hundred_thousand_bans_start_by_ipset() {
    isolated("a_hundred_thousand_bans_start_by_ipset", || {
        starts_with_100_000("ipset");
    });
}

#[test]
#[ignore = "it takes a minute"]
fn a_guard_that_has_nothing_to_do_does_not_run_by_nftables() {
    isolated("a_guard_that_has_nothing_to_do_does_not_run_by_nftables", || {
        idles("nftables");
    });
}

#[test]
#[ignore = "it takes a minute"]
fn a_guard_that_has_nothing_to_do_does_not_run_by_ipset() {
    isolated("a_guard_that_has_nothing_to_do_does_not_run_by_ipset", || {
        idles("ipset");
    });
}

fn idles(backend: &str) {
    machine(backend, "");
    let guard = start();
    idle(&format!("{backend}, no bans"), &guard);
}

#[test]
#[ignore = "it takes minutes"]
fn ten_million_failures_leave_memory_flat() {
    isolated("ten_million_failures_leave_memory_flat", || {
        machine("nftables", "");
        let guard = start();
        let report = Flood::new(1).pour(guard.pid(), 40, 250_000);
        println!(
            "{} failures read in {:?}, private KiB after each part {:?}, {} times status, the slowest {:?}",
            report.lines, report.reading, report.memory_kib, report.asked, report.slowest_status
        );
        // When the state file is written anew all failures that are kept are in memory once more, as text.
        let first = report.memory_kib[0];
        assert!(report.memory_kib.iter().all(|kib| *kib <= first + 2_048));
        let held = in_kernel("nftables");
        assert!(report.proven.iter().all(|ban| held.contains(ban)));
    });
}
