//! The state file on real file systems: one that is full, one that is read-only, a directory that is missing; modes,
//! memory and time with 100,000 bans.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ipnet::IpNet;
use sipguard::filter::Proof;
use sipguard::store::{Banned, BootId, Failed, Kept, Live, Moment, Restored, Store};
use sipguard::sys::clock;
use sipguard::sys::disk::Directory;
use sipguard::tail::Position;
use sipguard::time::{Mono, Wall};
use support::{isolated, run};

const JAIL: &str = "asterisk";

fn at(seconds: u64) -> Moment {
    Moment {
        mono: Mono(seconds * 1000),
        wall: Wall(1_795_351_367 + seconds as i64),
    }
}

fn net(number: u32) -> IpNet {
    IpNet::from(std::net::IpAddr::from(Ipv4Addr::from(0x0b00_0000 + number)))
}

fn ban(number: u32) -> Banned<'static> {
    Banned {
        jail: JAIL,
        net: net(number),
        since: Mono(1_000),
        until: None,
        proof: Proof::Transport,
        count: 0,
    }
}

/// The bans in force.
#[derive(Clone, Debug, Default, PartialEq)]
struct Bans(BTreeMap<IpNet, Banned<'static>>);

impl Live for Bans {
    fn kept_after(&self, cursor: u64) -> Option<(u64, Kept<'_>)> {
        let (net, ban) = self.0.range(net(cursor as u32)..).next()?;
        let IpNet::V4(v4) = net else { return None };
        Some((u64::from(v4.addr().to_bits() - 0x0b00_0000) + 1, Kept::Ban(*ban)))
    }
    fn failure_after(&self, _: u64) -> Option<(u64, Failed<'_>)> {
        None
    }
    fn positions(&self, _: &mut dyn FnMut(&Path, Position)) {}
}

fn open(path: &Path) -> (Store<Directory>, Bans) {
    let mut bans = Bans::default();
    let store = Store::open(
        Directory::new(path),
        None,
        BootId(1),
        at(1),
        &mut |restored| match restored {
            Restored::Ban(ban, _) => _ = bans.0.insert(ban.net, Banned { jail: JAIL, ..ban }),
            Restored::Unban { net, .. } => _ = bans.0.remove(&net),
            Restored::Replaced { .. } | Restored::Past(_) | Restored::Failure(_) | Restored::Read { .. } => {}
        },
    );
    (store, bans)
}

fn enter(store: &mut Store<Directory>, bans: &mut Bans, numbers: std::ops::Range<u32>, now: Moment) {
    for number in numbers {
        store.ban(&ban(number), now);
        bans.0.insert(net(number), ban(number));
    }
    store.flush_urgent();
    store.end_turn(now, bans);
}

fn said(store: &mut Store<Directory>) -> Vec<String> {
    std::iter::from_fn(|| store.notice())
        .map(|notice| notice.to_string())
        .collect()
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("sipguard-store-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}

#[test]
fn a_full_file_system_is_told_once_and_loses_nothing() {
    isolated("a_full_file_system_is_told_once_and_loses_nothing", || {
        run("mkdir /run/state");
        run("mount -t tmpfs -o size=64k tmpfs /run/state");
        let path = Path::new("/run/state/bans");
        let (mut store, mut bans) = open(path);
        for second in 2..40 {
            enter(
                &mut store,
                &mut bans,
                second * 30..second * 30 + 30,
                at(second.into()),
            );
        }
        let lines = said(&mut store);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("cannot write /run/state/bans: No space left on device"),
            "{lines:?}"
        );
        // What is there is whole, and can be read.
        let (_, part) = open(path);
        assert!(part.0.len() > 300 && part.0.iter().all(|(net, ban)| bans.0.get(net) == Some(ban)));
        run("mount -o remount,size=1m /run/state");
        store.end_turn(at(80), &bans);
        while store.next_deadline() == Some(Mono(0)) {
            store.end_turn(at(80), &bans);
        }
        assert_eq!(
            said(&mut store),
            ["/run/state/bans is written again and holds every ban"]
        );
        assert_eq!(open(path).1, bans);
    });
}

#[test]
fn a_read_only_file_system_is_read_and_told_once() {
    isolated("a_read_only_file_system_is_read_and_told_once", || {
        run("mkdir /run/state");
        run("mount -t tmpfs tmpfs /run/state");
        let path = Path::new("/run/state/bans");
        let (mut store, mut bans) = open(path);
        enter(&mut store, &mut bans, 0..10, at(2));
        drop(store);
        run("mount -o remount,ro /run/state");
        let (mut store, back) = open(path);
        assert_eq!(back, bans);
        enter(&mut store, &mut bans, 10..20, at(3));
        enter(&mut store, &mut bans, 20..30, at(4));
        let lines = said(&mut store);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("Read-only file system"), "{lines:?}");
        run("mount -o remount,rw /run/state");
        store.end_turn(at(60), &bans);
        assert!(!store.is_failing());
        assert_eq!(open(path).1, bans);
    });
}

#[test]
fn a_directory_that_is_missing_is_made_and_only_ours_may_read_it() {
    let folder = scratch("missing");
    let path = folder.join("lib/bans");
    let (mut store, mut bans) = open(&path);
    assert!(
        !folder.join("lib").exists(),
        "nothing is made before there is something to write"
    );
    enter(&mut store, &mut bans, 0..10, at(2));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.join("lib")) & !0o750, mode(&path) & !0o640), (0, 0));
    // It is taken away under our feet.
    fs::remove_dir_all(folder.join("lib")).unwrap();
    enter(&mut store, &mut bans, 10..20, at(3));
    while store.next_deadline() == Some(Mono(0)) {
        store.end_turn(at(3), &bans);
    }
    assert_eq!(open(&path).1, bans);
    assert_eq!(said(&mut store).len(), 2, "told once, and once that it is over");
    // And its parent, too: then there is nowhere to write.
    fs::remove_dir_all(&folder).unwrap();
    enter(&mut store, &mut bans, 20..30, at(50));
    assert!(said(&mut store)[0].contains("somebody removed it"));
    fs::create_dir(&folder).unwrap();
    enter(&mut store, &mut bans, 30..40, at(90));
    assert_eq!(open(&path).1, bans);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_no_file_is_left_alone() {
    let folder = scratch("other");
    let aim = folder.join("aim");
    fs::write(&aim, "precious\n").unwrap();
    let path = folder.join("bans");
    std::os::unix::fs::symlink(&aim, &path).unwrap();
    let (mut store, mut bans) = open(&path);
    assert!(said(&mut store)[0].starts_with("cannot read"));
    enter(&mut store, &mut bans, 0..3, at(2));
    assert_eq!(fs::read_to_string(&aim).unwrap(), "precious\n");
    // A directory stays, and neither is written to nor replaced.
    let other = folder.join("directory");
    fs::create_dir(&other).unwrap();
    let (mut store, mut bans) = open(&other);
    enter(&mut store, &mut bans, 0..3, at(2));
    assert!(store.is_failing() && other.is_dir());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_hundred_thousand_bans_come_back_soon_and_in_little_memory() {
    const BANS: u32 = 100_000;
    let folder = scratch("many");
    let path = folder.join("bans");
    let (mut store, mut bans) = open(&path);
    for part in 0..100 {
        enter(&mut store, &mut bans, part * 1_000..(part + 1) * 1_000, at(2));
    }
    assert_eq!(bans.0.len(), BANS as usize);
    drop((store, bans));
    let (before, start) = (resident_peak(), Instant::now());
    let mut count = 0;
    let store = Store::open(Directory::new(&path), None, BootId(2), at(100), &mut |restored| {
        count += u32::from(matches!(restored, Restored::Ban(..)));
    });
    let (took, grown) = (start.elapsed(), resident_peak() - before);
    drop(store);
    assert_eq!(count, BANS);
    println!(
        "{BANS} bans, {} bytes: {took:?}, {grown} KiB",
        fs::metadata(&path).unwrap().len()
    );
    assert!(grown <= 512, "{grown} KiB more than before");
    fs::remove_dir_all(&folder).unwrap();
}

/// The most memory that this process ever had, in KiB, counted from here on.
fn resident_peak() -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn this_boot_has_a_number() {
    let first = clock::boot_id().unwrap();
    assert_eq!(first, clock::boot_id().unwrap());
    assert_ne!(first, BootId(0));
}
