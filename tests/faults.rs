//! Does the guard guard on, say so once, and recover by itself when the state cannot be written, the kernel's set is
//! full, or there are more attackers than memory? The real program.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub
)]

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
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use flood::Flood;
use host::{Guard, wait_until};
use storm::{LONG, Storm, empty_kernel, in_kernel, machine, start, status};
use support::{isolated, run};

const UNSAVED: &str = "CANNOT BE WRITTEN";
const WRITTEN_AGAIN: &str = "is written again and holds every ban";

/// What cannot be written is tried again after half a minute.
const RETRY: Duration = Duration::from_secs(45);

/// So many attackers, and all of them are banned.
#[track_caller]
fn bans_on(storm: &mut Storm, attackers: usize) {
    storm.piece(attackers);
    wait_until("the attackers are banned", || {
        storm.guilty().difference(&in_kernel("nftables")).count() == 0
    });
}

/// Waits until the state is written; the guard said once that it was not.
#[track_caller]
fn recovers(guard: &mut Guard, storm: &mut Storm, why: &str) {
    let end = Instant::now() + RETRY;
    while status("").contains(UNSAVED) {
        assert!(Instant::now() < end, "not written again: {:#?}", guard.drain());
        bans_on(storm, 2);
        thread::sleep(Duration::from_millis(500));
    }
    wait_until("it says so", || {
        guard.drain().iter().any(|line| line.contains(WRITTEN_AGAIN))
    });
    let said = |words: &str| guard.seen.iter().filter(|line| line.contains(words)).count();
    assert_eq!((said(why), said(WRITTEN_AGAIN)), (1, 1), "{:#?}", guard.seen);
    assert_eq!(said("cannot write"), 1, "{:#?}", guard.seen);
}

/// After a crash and without the kernel's help every long ban is back.
#[track_caller]
fn state_is_whole(guard: Guard, storm: &Storm) {
    guard.kill();
    empty_kernel("nftables");
    fs::write(LONG, "").unwrap();
    let guard = start();
    let held = in_kernel("nftables");
    let long = storm.guilty().into_iter().filter(|ban| ban.starts_with("long"));
    let missing: Vec<_> = long.filter(|ban| !held.contains(ban)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    drop(guard);
}

#[test]
fn a_full_disk_stops_no_ban_is_told_once_and_mended_when_there_is_room() {
    let name = "a_full_disk_stops_no_ban_is_told_once_and_mended_when_there_is_room";
    isolated(name, || {
        machine("nftables", "");
        run("mkdir /var/lib/sipguard");
        run("mount -t tmpfs -o size=64k tmpfs /var/lib/sipguard");
        let mut guard = start();
        let mut storm = Storm::new(5);
        for _ in 0..16 {
            bans_on(&mut storm, 100);
        }
        guard.wait_for("No space left on device");
        assert!(status("").contains(UNSAVED));
        run("mount -o remount,size=8m /var/lib/sipguard");
        recovers(&mut guard, &mut storm, "No space left on device");
        state_is_whole(guard, &storm);
    });
}

#[test]
fn a_read_only_state_is_read_told_once_and_written_when_it_can_be() {
    let name = "a_read_only_state_is_read_told_once_and_written_when_it_can_be";
    isolated(name, || {
        machine("nftables", "");
        run("mkdir /var/lib/sipguard");
        run("mount -t tmpfs tmpfs /var/lib/sipguard");
        let guard = start();
        let mut storm = Storm::new(6);
        bans_on(&mut storm, 50);
        guard.kill();
        empty_kernel("nftables");
        fs::write(LONG, "").unwrap();
        run("mount -o remount,ro /var/lib/sipguard");
        let mut guard = start();
        let known = in_kernel("nftables");
        assert!(
            storm
                .guilty()
                .iter()
                .filter(|ban| ban.starts_with("long"))
                .all(|ban| known.contains(ban))
        );
        let mut later = Storm::new(7);
        later.shift(1_000);
        bans_on(&mut later, 50);
        assert!(status("").contains(UNSAVED));
        run("mount -o remount,rw /var/lib/sipguard");
        recovers(&mut guard, &mut later, "cannot write");
        state_is_whole(guard, &later);
    });
}

#[test]
fn a_state_directory_that_is_missing_is_made() {
    isolated("a_state_directory_that_is_missing_is_made", || {
        machine("nftables", "dbfile = /var/lib/a/b/bans");
        let guard = start();
        let mut storm = Storm::new(8);
        bans_on(&mut storm, 50);
        assert!(!status("").contains(UNSAVED));
        assert!(Path::new("/var/lib/a/b/bans").exists());
        state_is_whole(guard, &storm);
    });
}

#[test]
fn a_state_file_that_somebody_removed_is_made_again() {
    isolated("a_state_file_that_somebody_removed_is_made_again", || {
        machine("nftables", "");
        let mut guard = start();
        let mut storm = Storm::new(9);
        bans_on(&mut storm, 50);
        fs::remove_file(storm::STATE).unwrap();
        bans_on(&mut storm, 50);
        recovers(&mut guard, &mut storm, "somebody removed it");
        state_is_whole(guard, &storm);
    });
}

#[test]
fn a_state_directory_that_somebody_removed_stops_no_ban_and_is_told_once() {
    let name = "a_state_directory_that_somebody_removed_stops_no_ban_and_is_told_once";
    isolated(name, || {
        machine("nftables", "");
        let mut guard = start();
        let mut storm = Storm::new(10);
        bans_on(&mut storm, 50);
        fs::remove_dir_all("/var/lib/sipguard").unwrap();
        bans_on(&mut storm, 50);
        guard.wait_for("cannot write");
        assert!(status("").contains(UNSAVED));
        bans_on(&mut storm, 50);
        let told = guard
            .drain()
            .iter()
            .filter(|line| line.contains("cannot write"))
            .count();
        assert_eq!(told, 1, "{:#?}", guard.seen);
        // The next start has the right to make it, and takes the bans over from the kernel.
        guard.kill();
        let guard = start();
        assert_eq!(storm.guilty().difference(&in_kernel("nftables")).count(), 0);
        assert!(!status("").contains(UNSAVED));
        drop(guard);
    });
}

#[test]
fn a_set_that_others_filled_takes_every_ban_all_the_same() {
    isolated("a_set_that_others_filled_takes_every_ban_all_the_same", || {
        machine("ipset", "maxbans = 200");
        let mut guard = start();
        let room: u32 = run("ipset -t list sipguard-long4")
            .split_once("maxelem ")
            .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
            .unwrap();
        let foreign: String = (0..room)
            .map(|i| {
                format!(
                    "add sipguard-long4 203.0.{}.{}\nadd sipguard-short4 203.0.{}.{}\n",
                    i >> 8,
                    i & 255,
                    i >> 8,
                    i & 255
                )
            })
            .collect();
        fs::write("/mnt/foreign", foreign).unwrap();
        run("ipset restore -f /mnt/foreign");
        let mut storm = Storm::new(12);
        storm.piece(150);
        wait_until("all are banned", || {
            storm.guilty().difference(&in_kernel("ipset")).count() == 0
        });
        wait_until("status knows it", || {
            status("--json").contains("\"in_sync\":true")
        });
        let told = guard
            .drain()
            .iter()
            .filter(|line| line.contains("full") || line.contains("room"));
        assert!(told.count() <= 3, "{:#?}", guard.seen);
    });
}

/// 200,000 failures, one of each address; the bench has ten million.
#[test]
fn a_flood_of_random_addresses_leaves_memory_flat_and_proven_attackers_banned() {
    let name = "a_flood_of_random_addresses_leaves_memory_flat_and_proven_attackers_banned";
    isolated(name, || {
        machine("nftables", "");
        let guard = start();
        let report = Flood::new(1).pour(guard.pid(), 4, 50_000);
        println!("{report:?}");
        let [first, last] = [report.memory_kib[0], *report.memory_kib.last().unwrap()];
        assert!(
            last <= first + 128,
            "KiB after each part: {:?}",
            report.memory_kib
        );
        let held = in_kernel("nftables");
        assert!(report.proven.iter().all(|ban| held.contains(ban)));
        assert!(report.slowest_status < Duration::from_secs(5), "{report:?}");
    });
}
