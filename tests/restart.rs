//! Is anything lost or invented when the guard is killed at any instant, the machine reboots, the state file is cut,
//! or the logs go on while nobody reads? The real program on a real kernel.
//!
//! `SIPGUARD_KILLS` (default 30 for each part of the kernel) and `SIPGUARD_SEED` say how often, and which instants.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub
)]

#[path = "support/host.rs"]
#[allow(dead_code, reason = "no packets are sent here")]
mod host;
#[path = "support/random.rs"]
mod random;
#[path = "support/storm.rs"]
mod storm;
mod support;

use std::fs;
use std::thread;
use std::time::Duration;

use host::{Guard, wait_until};
use random::Random;
use sipguard::store::memory::Memory;
use sipguard::store::{Moment, Restored, Store};
use sipguard::sys::clock;
use storm::{
    Bans, CONFIG, LONG, SHORT, STATE, Storm, announced, empty_kernel, forget_state, in_kernel, machine,
    start, start_by,
};
use support::{isolated, run};

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// What may happen to the machine while the guard is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// The kernel forgets everything; boot clock and boot are others.
    Reboot,
    /// The logs are rotated, as logrotate does it.
    Rotation,
}

/// Writes a storm while the guard runs, kills it at some instant of it, and writes on.
fn storm_and_kill(storm: &mut Storm, guard: Guard) -> Vec<String> {
    let until = storm.random.below(120_000);
    thread::scope(|scope| {
        let killed = scope.spawn(move || {
            thread::sleep(Duration::from_micros(until));
            guard.kill()
        });
        while !killed.is_finished() {
            let attackers = 1 + storm.random.index(20);
            storm.piece(attackers);
            thread::sleep(Duration::from_micros(500 + storm.random.below(5_000)));
        }
        storm.piece(5);
        killed.join().unwrap()
    })
}

/// Brings the machine into another boot: the kernel is empty, the boot clock is at its beginning, the boot has
/// another name. Returns what has to start the guard there.
fn reboot(backend: &str, round: u64) -> Vec<String> {
    empty_kernel(backend);
    let _ = support::try_run("umount /proc/sys/kernel/random/boot_id");
    let id = format!("{:08x}-0000-4000-8000-000000000000\n", round + 1);
    fs::write("/mnt/boot_id", id).unwrap();
    run("mount --bind /mnt/boot_id /proc/sys/kernel/random/boot_id");
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let seconds: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    let words = format!("unshare --time --boottime -{}", seconds - 1);
    words.split(' ').map(str::to_owned).collect()
}

fn killed_at_any_instant(backend: &str) {
    let kills = number("SIPGUARD_KILLS", 30);
    let seed = number("SIPGUARD_SEED", 1);
    let (mut told, mut decided, mut reboots) = (0, 0, 0);
    machine(backend, "");
    for round in 0..kills {
        // A new life every ten rounds.
        if round % 10 == 0 {
            forget_state();
            if round > 0 {
                empty_kernel(backend);
                fs::remove_dir_all("/var/log/asterisk").unwrap();
            }
        }
        let seed = seed * 1_000_000 + round + 1;
        let how = [Meanwhile::Nothing, Meanwhile::Reboot, Meanwhile::Rotation][(round % 3) as usize];
        let (announced, guilty) = one_life(backend, seed, how, round);
        (told, decided) = (told + announced, decided + guilty);
        reboots += u32::from(how == Meanwhile::Reboot);
    }
    println!(
        "{backend}: {kills} kills (seed {seed}), {reboots} with a reboot: {told} bans announced before them, \
         {decided} in force after them, none missing, none invented"
    );
}

/// Two kills: in the first storm, and in the storm of the next guard. Returns how many bans were announced before
/// the last kill, and how many are in force in the end.
fn one_life(backend: &str, seed: u64, how: Meanwhile, round: u64) -> (usize, usize) {
    let mut storm = Storm::new(seed);
    storm.shift(round as u32 * 2_000);
    let before = in_kernel(backend);
    let guard = start();
    let mut said = announced(&storm_and_kill(&mut storm, guard));
    let mut program = Vec::new();
    match how {
        Meanwhile::Nothing => {}
        Meanwhile::Reboot => program = reboot(backend, round),
        Meanwhile::Rotation => {
            for path in [LONG, SHORT] {
                fs::rename(path, format!("{path}.1")).unwrap();
            }
            storm.reopen();
            storm.piece(5);
        }
    }
    let program: Vec<&str> = program.iter().map(String::as_str).collect();
    if storm.random.below(3) == 0 {
        // One that is killed before it has taken up its bans, or while it does.
        let guard = Guard::spawn_by(&program, &CONFIG);
        thread::sleep(Duration::from_micros(storm.random.below(60_000)));
        said.extend(announced(&guard.kill()));
    }
    let mut guard = start_by(&program);
    let held = in_kernel(backend);
    let context = format!("{backend}, SIPGUARD_SEED {seed}, {how:?}");
    // After a reboot a short ban comes back from the log.
    let must: Bans = said
        .iter()
        .filter(|ban| how != Meanwhile::Reboot || ban.starts_with("long"))
        .cloned()
        .collect();
    let missing: Vec<_> = must.difference(&held).collect();
    assert!(
        missing.is_empty(),
        "{context}: not in force: {missing:?}\n{:#?}",
        guard.drain()
    );
    check_none_invented(&storm, &held, &before, &context);
    said.extend(announced(guard.drain()));

    // No failure was lost, none counted twice: who failed twice is banned, who failed once is not.
    let guilty = storm.guilty();
    let missing = |storm: &Storm| -> Vec<String> {
        let held = in_kernel(backend);
        storm.guilty().difference(&held).cloned().collect()
    };
    let end = std::time::Instant::now() + host::PATIENCE;
    while !missing(&storm).is_empty() {
        assert!(
            std::time::Instant::now() < end,
            "{context}: of {} failures were lost: {:?}\n{:#?}",
            guilty.len(),
            missing(&storm),
            guard.drain()
        );
        thread::sleep(Duration::from_millis(50));
    }
    check_none_invented(&storm, &in_kernel(backend), &before, &context);
    // One failure before the crash, one after the restart.
    storm.second_failures();
    wait_until("failures before and after the crash are counted together", || {
        missing(&storm).is_empty()
    });
    drop(guard);
    (said.len(), in_kernel(backend).len())
}

#[track_caller]
fn check_none_invented(storm: &Storm, held: &Bans, before: &Bans, context: &str) {
    let guilty = storm.guilty();
    let invented: Vec<_> = held
        .iter()
        .filter(|ban| !guilty.contains(*ban) && !before.contains(*ban))
        .collect();
    assert!(invented.is_empty(), "{context}: nobody decided {invented:?}");
}

#[test]
fn a_guard_killed_at_any_instant_loses_no_ban_and_invents_none_by_nftables() {
    let name = "a_guard_killed_at_any_instant_loses_no_ban_and_invents_none_by_nftables";
    isolated(name, || killed_at_any_instant("nftables"));
}

#[test]
fn a_guard_killed_at_any_instant_loses_no_ban_and_invents_none_by_ipset() {
    let name = "a_guard_killed_at_any_instant_loses_no_ban_and_invents_none_by_ipset";
    isolated(name, || killed_at_any_instant("ipset"));
}

/// The bans that the whole lines of a state file tell of.
fn told_by(bytes: &[u8]) -> Bans {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let ban = |line: &str| {
        let mut words = line.strip_prefix("ban jail=")?.split(' ');
        let jail = words.next()?;
        let net = words.next()?.strip_prefix("net=")?.trim_end_matches("/32");
        Some(format!("{jail} {net}"))
    };
    whole.lines().filter_map(ban).collect()
}

/// The state file of a guard that was killed in a storm.
fn state_of_a_storm(backend: &str) -> Vec<u8> {
    let guard = start();
    let mut storm = Storm::new(7);
    for _ in 0..5 {
        storm.piece(6);
        thread::sleep(Duration::from_millis(20));
    }
    wait_until("all are banned", || {
        storm.guilty().difference(&in_kernel(backend)).count() == 0
    });
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    fs::read(STATE).unwrap()
}

#[test]
fn a_state_file_cut_at_any_byte_brings_back_what_is_whole_in_it() {
    let name = "a_state_file_cut_at_any_byte_brings_back_what_is_whole_in_it";
    isolated(name, || {
        machine("nftables", "");
        let state = state_of_a_storm("nftables");
        assert!(state.len() > 2_000, "{} bytes", state.len());
        let (boot, mono) = (clock::boot_id().unwrap(), clock::boottime().unwrap());
        let now = Moment {
            mono: sipguard::time::Mono(mono.0 - sipguard::time::Mono::BOOT.0),
            wall: clock::utc().unwrap(),
        };
        for end in 0..=state.len() {
            let mut bans = Bans::new();
            let disk = Memory::with(&state[..end]);
            drop(Store::open(disk, None, boot, now, &mut |restored| {
                if let Restored::Ban(ban, _) = restored {
                    bans.insert(format!(
                        "{} {}",
                        ban.jail,
                        ban.net.to_string().trim_end_matches("/32")
                    ));
                }
            }));
            assert_eq!(bans, told_by(&state[..end]), "cut at byte {end}");
        }
        let cuts = number("SIPGUARD_CUTS", 12);
        let mut random = Random(11);
        for path in [LONG, SHORT] {
            fs::write(path, "").unwrap();
        }
        for _ in 0..cuts {
            let end = random.index(state.len() + 1);
            empty_kernel("nftables");
            fs::write(STATE, &state[..end]).unwrap();
            let guard = start();
            assert_eq!(in_kernel("nftables"), told_by(&state[..end]), "cut at byte {end}");
            drop(guard);
        }
        println!(
            "a state file of {} bytes cut at each, the program with {cuts}",
            state.len()
        );
    });
}

/// How the guard may end, and what may become of its log while it is down.
fn goes_on(end: &str, meanwhile: &str) {
    let mut storm = Storm::new(3);
    let guard = start();
    storm.once("long 198.51.100.1", "198.51.100.1");
    storm.once("short 2001:db8:5:5::/64", "2001:db8:5:5::77");
    storm.once("long 198.51.100.9", "198.51.100.9");
    wait_until("they are counted", || {
        storm::status("--json").contains("\"failures\":3")
    });
    guard.signal(end);
    guard.wait();
    match meanwhile {
        "rename" => {
            for path in [LONG, SHORT] {
                fs::rename(path, format!("{path}.1")).unwrap();
            }
            // The last words into the old file.
            storm.once("long 198.51.100.2", "198.51.100.2");
            storm.reopen();
            storm.once("long 198.51.100.2", "198.51.100.2");
        }
        "copytruncate" => {
            for path in [LONG, SHORT] {
                fs::copy(path, format!("{path}.1")).unwrap();
                fs::write(path, "").unwrap();
            }
        }
        _ => {
            storm.once("long 198.51.100.2", "198.51.100.2");
            storm.once("long 198.51.100.2", "198.51.100.2");
        }
    }
    let guard = start();
    storm.once("long 198.51.100.1", "198.51.100.1");
    storm.once("short 2001:db8:5:5::/64", "2001:db8:5:5::77");
    storm.once("long 198.51.100.66", "198.51.100.66");
    storm.once("long 198.51.100.66", "198.51.100.66");
    wait_until(&format!("{end}, {meanwhile}: who failed twice is banned"), || {
        storm.guilty().difference(&in_kernel("nftables")).count() == 0
    });
    let invented: Vec<_> = in_kernel("nftables")
        .difference(&storm.guilty())
        .cloned()
        .collect();
    assert!(
        invented.is_empty(),
        "{end}, {meanwhile}: {invented:?} failed once"
    );
    drop(guard);
}

#[test]
fn the_log_goes_on_where_it_stopped_whatever_ended_the_guard() {
    let name = "the_log_goes_on_where_it_stopped_whatever_ended_the_guard";
    isolated(name, || {
        machine("nftables", "");
        for end in ["TERM", "KILL"] {
            for meanwhile in ["growth", "rename", "copytruncate"] {
                // What a crash left unsaved is read again, but not in a copy of the log.
                if (end, meanwhile) == ("KILL", "copytruncate") {
                    continue;
                }
                goes_on(end, meanwhile);
                forget_state();
                run("nft flush ruleset");
                fs::remove_dir_all("/var/log/asterisk").unwrap();
            }
        }
    });
}
