//! Files that were cut and changed: what is whole counts, and nothing else.

use super::*;
use crate::store::disk::Name;
use crate::store::memory::Memory;

/// A file with every kind of record, and what each line of it says: `ban 1`.
fn file() -> Vec<u8> {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(10));
    truth.read_to(100);
    for number in 1..=3 {
        store.failure(&failed(number, at(11)), at(11));
    }
    store.ban(&ban(4, None, at(12)), at(12));
    store.end_turn(at(12), &truth);
    store.ban(&ban(5, Some(600_000), at(13)), at(13));
    store.unban(&ban(4, None, at(12)), at(14));
    store.displaced(&ban(6, None, at(12)), at(14));
    truth.read_to(200);
    store.end_turn(at(14), &truth);
    // Another boot, and failures that are never committed.
    let mut truth = Truth::default();
    let next = BootId(2);
    let now = at(1_000);
    let mut store = Store::open(disk.clone(), None, next, now, &mut |restored| {
        truth.restore(restored);
    });
    store.ban(&ban(7, None, now), now);
    truth.read_to(300);
    store.failure(&failed(8, now), now);
    store.end_turn(now, &truth);
    store.failure(&failed(9, now), now);
    store.ban(&ban(10, None, now), now);
    store.flush_urgent();
    let mut file = disk.bytes(Name::Live).unwrap();
    file.extend(b"ban jail=half");
    file
}

/// What a reader that knows nothing of times makes of lines. A line that is damaged is empty.
fn expect(lines: &[&[u8]]) -> Vec<String> {
    let (mut told, mut held) = (Vec::new(), Vec::new());
    for line in lines {
        let text = String::from_utf8_lossy(line);
        let words: Vec<&str> = text.split(' ').collect();
        let who = |words: &[&str]| words[2].split_once('=').unwrap().1.replace("/32", "");
        match words[0] {
            "failure" => held.push(format!("failure {}", who(&words))),
            "read" => held.push(format!("read {}", words[4])),
            "clock" => held.clear(),
            "commit" => {
                let whole = words[1] == format!("count={}", held.len());
                told.extend(held.drain(..).filter(|_| whole));
            }
            "ban" | "past" | "unban" => told.push(format!("{} {}", words[0], who(&words))),
            _ => {}
        }
    }
    told
}

fn told(bytes: &[u8]) -> (Vec<String>, Store<Memory>, Memory) {
    let mut told = Vec::new();
    let disk = Memory::with(bytes);
    let store = Store::open(disk.clone(), None, BootId(3), at(5_000), &mut |restored| {
        told.push(match restored {
            Restored::Replaced { .. } => return,
            Restored::Ban(ban, _) => format!("ban {}", ban.net.addr()),
            Restored::Past(past) => format!("past {}", past.net.addr()),
            Restored::Unban { net, .. } => format!("unban {}", net.addr()),
            Restored::Failure(failed) => format!("failure {}", failed.net.addr()),
            Restored::Read { position, .. } => format!("read offset={}", position.offset),
        });
    });
    (told, store, disk)
}

#[test]
fn a_file_has_every_kind_of_record() {
    let file = file();
    let text = String::from_utf8(file.clone()).unwrap();
    for word in [
        "sipguard state",
        "clock",
        "ban",
        "unban",
        "past",
        "failure",
        "read",
        "commit",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(word)),
            "{word} in {text}"
        );
    }
    let lines: Vec<&[u8]> = file.split(|&byte| byte == b'\n').collect();
    let (told, mut store, disk) = told(&file);
    assert_eq!(told, expect(&lines[..lines.len() - 1]));
    assert_eq!(
        said(&mut store),
        ["bans ended in the middle of a record, as it does after a crash"]
    );
    assert_eq!(disk.bytes(Name::Damaged), None);
    assert!(
        file.starts_with(&disk.bytes(Name::Live).unwrap()),
        "what was torn is cut off"
    );
    assert!(disk.bytes(Name::Live).unwrap().ends_with(b"\n"));
}

#[test]
fn a_file_cut_at_any_byte_tells_what_is_whole() {
    let file = file();
    for end in 0..=file.len() {
        let cut = &file[..end];
        let mut lines: Vec<&[u8]> = cut.split(|&byte| byte == b'\n').collect();
        lines.pop();
        let (told, mut store, disk) = told(cut);
        assert_eq!(told, expect(&lines), "cut at {end}");
        assert_eq!(disk.bytes(Name::Damaged), None, "a torn line is no damage");
        assert!(
            said(&mut store).iter().all(|line| line.contains("in the middle")),
            "cut at {end}"
        );
        // And it goes on as if nothing had been.
        store.ban(&ban(99, None, at(5_000)), at(5_000));
        store.stop(at(5_000), &Truth::default());
        let (_, truth) = open(&disk, BootId(4), at(5_001));
        assert!(truth.bans.contains_key(&net(99)), "cut at {end}");
        assert_eq!(truth.bans.len(), 1 + expect_bans(&lines), "cut at {end}");
    }
}

/// How many bans are in force after these lines.
fn expect_bans(lines: &[&[u8]]) -> usize {
    let mut bans: Vec<String> = Vec::new();
    for one in expect(lines) {
        let (word, who) = one.split_once(' ').unwrap();
        match word {
            "ban" => bans.push(who.to_owned()),
            "unban" => bans.retain(|ban| ban != who),
            _ => {}
        }
    }
    bans.len()
}

#[test]
fn a_byte_changed_anywhere_takes_one_line_with_it_and_invents_nothing() {
    let file = file();
    for at in 0..file.len() {
        for change in [0x01, 0x20, 0x80, file[at] ^ b'\n'] {
            if change == 0 {
                continue;
            }
            let mut changed = file.clone();
            changed[at] ^= change;
            let before: Vec<&[u8]> = file.split(|&byte| byte == b'\n').collect();
            let mut lines: Vec<&[u8]> = changed.split(|&byte| byte == b'\n').collect();
            lines.pop();
            // What is not as it was, was not written.
            let whole = lines
                .iter()
                .map(|line| if before.contains(line) { line } else { &b""[..] });
            let whole: Vec<&[u8]> = whole.collect();
            let (told, mut store, disk) = told(&changed);
            assert_eq!(told, expect(&whole), "byte {at} ^ {change:02x}");
            let damaged = disk.bytes(Name::Damaged).unwrap_or_default();
            let lost = lines
                .iter()
                .find(|line| !before.contains(line) && !line.is_empty());
            if let Some(lost) = lost {
                assert!(
                    damaged.windows(lost.len()).any(|window| window == *lost),
                    "byte {at} is set aside"
                );
                assert!(said(&mut store)[0].contains("was damaged"), "and told");
            }
        }
    }
}

#[test]
fn a_damaged_file_is_written_anew_and_told_once() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(10));
    for number in 1..=9 {
        let ban = ban(number, None, at(10));
        store.ban(&ban, at(10));
        truth.bans.insert(ban.net, ban);
    }
    store.stop(at(10), &truth);
    let mut bytes = disk.bytes(Name::Live).unwrap();
    bytes[400] ^= 1;
    let disk = Memory::with(&bytes);
    let (mut store, truth) = open(&disk, BOOT, at(20));
    assert_eq!(truth.bans.len(), 8);
    assert_eq!(
        said(&mut store),
        ["bans was damaged: 1 of its lines do not count and were put into bans.damaged"]
    );
    assert_eq!(disk.changes(), 4, "nothing but what is set aside, and two syncs");
    let mut now = at(20);
    while let Some(deadline) = store.next_deadline() {
        now.mono = now.mono.max(deadline);
        store.end_turn(now, &truth);
    }
    assert!(now.mono <= Mono(80_000));
    let (mut store, again) = open(&disk, BOOT, at(100));
    assert_eq!((again, said(&mut store)), (truth, vec![]));
}

#[test]
fn failures_and_positions_count_together_at_every_byte() {
    // Ten failures go with each hundred bytes of the log, some of them written before their commit.
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(10));
    for step in 1..=4 {
        let now = at(100 * step);
        for number in 0..10 {
            store.failure(&failed(number, now), now);
            if number == 5 && step % 2 == 0 {
                store.ban(&ban(1_000 + step as u32, None, now), now);
                store.flush_urgent();
            }
        }
        truth.read_to(100 * step);
        store.end_turn(at(100 * step + 60), &truth);
    }
    let file = disk.bytes(Name::Live).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for end in 0..=file.len() {
        let (_, truth) = open(&Memory::with(&file[..end]), BOOT, at(1_000));
        assert_eq!(truth.failures.len() as u64 * 10, truth.offset(), "cut at {end}");
        seen.insert(truth.offset());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 100, 200, 300, 400]);
}

#[test]
fn what_one_process_left_uncommitted_the_next_does_not_commit() {
    let disk = Memory::new();
    let (mut store, _) = open(&disk, BOOT, at(10));
    store.failure(&failed(1, at(10)), at(10));
    store.ban(&ban(2, None, at(10)), at(10));
    store.flush_urgent();
    drop(store);
    let (mut store, mut truth) = open(&disk, BOOT, at(20));
    assert_eq!((truth.failures.len(), truth.bans.len()), (0, 1));
    store.failure(&failed(3, at(20)), at(20));
    truth.read_to(70);
    store.stop(at(20), &truth);
    let (_, truth) = open(&disk, BOOT, at(30));
    let who: Vec<_> = truth.failures.iter().map(|failed| failed.net).collect();
    assert_eq!((who, truth.offset()), (vec![net(3)], 70));
}
