//! A disk that is full, refuses, or is taken away.

use std::io::ErrorKind;

use super::*;
use crate::limits::STORE_SLICE_BYTES;
use crate::store::disk::Name;

/// Bans while the disk does `harm`, mends it, and looks whether everything is there in the end.
#[track_caller]
fn check(harm: impl Fn(&Memory), mend: impl Fn(&Memory), wants: &str) {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(1));
    (0..300).for_each(|number| turn(&mut store, &mut truth, number, at(2)));
    harm(&disk);
    for second in 3..200 {
        turn(&mut store, &mut truth, 300 + second, at(second.into()));
    }
    assert!(store.is_failing());
    let lines = said(&mut store);
    assert_eq!(lines.len(), 1, "told once: {lines:?}");
    assert!(lines[0].contains(wants), "{lines:?}");
    mend(&disk);
    let seconds = settle(&mut store, &truth, at(200));
    assert!(seconds <= 30, "{seconds}");
    assert_eq!(said(&mut store), ["bans is written again and holds every ban"]);
    assert_eq!(open(&disk, BOOT, at(300)).1.bans, truth.bans);
    // And what comes after that is kept, too.
    turn(&mut store, &mut truth, 9_999, at(400));
    disk.restart(&mut none);
    assert_eq!(open(&disk, BOOT, at(500)).1.bans, truth.bans);
}

#[test]
fn what_could_not_be_written_is_written_when_it_can_be() {
    let refuse = |error| move |disk: &Memory| disk.refuse(Some(error));
    let allow = |disk: &Memory| disk.refuse(None);
    check(refuse(ErrorKind::StorageFull), allow, "no storage space");
    check(
        refuse(ErrorKind::ReadOnlyFilesystem),
        allow,
        "read-only filesystem",
    );
    check(refuse(ErrorKind::Other), allow, "other error");
    check(
        |disk| disk.refuse_sync(Some(ErrorKind::Other)),
        |disk| disk.refuse_sync(None),
        "other error",
    );
}

#[test]
fn a_disk_that_fills_up_at_any_byte_loses_nothing() {
    for room in (0..400).chain((400..60_000).step_by(997)) {
        let disk = Memory::new();
        let (mut store, mut truth) = open(&disk, BOOT, at(1));
        (0..20).for_each(|number| turn(&mut store, &mut truth, number, at(2)));
        let size = disk.bytes(Name::Live).unwrap().len() as u64;
        disk.set_capacity(Some(size + room));
        for number in 20..700 {
            turn(&mut store, &mut truth, number, at(3));
            // Most of them end at once, so that the file is worth being written anew.
            let ban = truth.bans.remove(&net(number)).unwrap();
            store.unban(&ban, at(3));
        }
        // Whatever is on the disk can be read.
        let (_, back) = open(&Memory::with(&disk.bytes(Name::Live).unwrap()), BOOT, at(4));
        assert!(
            (0..20).all(|number| back.bans.contains_key(&net(number))),
            "room {room}"
        );
        disk.set_capacity(None);
        settle(&mut store, &truth, at(4));
        assert!(!store.is_failing(), "room {room}");
        assert_eq!(open(&disk, BOOT, at(100)).1.bans, truth.bans, "room {room}");
    }
}

#[test]
fn a_file_that_somebody_removed_is_written_again() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(1));
    (0..30).for_each(|number| turn(&mut store, &mut truth, number, at(2)));
    disk.lose(Name::Live);
    turn(&mut store, &mut truth, 30, at(3));
    settle(&mut store, &truth, at(3));
    disk.restart(&mut none);
    assert_eq!(open(&disk, BOOT, at(4)).1.bans, truth.bans);
}

#[test]
fn a_large_file_is_written_anew_in_slices_while_the_loop_goes_on() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(1));
    for number in 0..8_000 {
        let ban = ban(number, None, at(2));
        store.ban(&ban, at(2));
        truth.bans.insert(ban.net, ban);
    }
    store.end_turn(at(2), &truth);
    // Two thirds end; the file grows by that alone.
    for number in 0..6_000 {
        store.unban(&truth.bans.remove(&net(number)).unwrap(), at(3));
    }
    store.flush_urgent();
    let (mut now, mut turns, full) = (at(3), 0, disk.bytes(Name::Live).unwrap().len());
    while turns == 0 || disk.bytes(Name::New).is_some() {
        // Life goes on meanwhile.
        let ban = ban(9_000 + turns, None, now);
        store.ban(&ban, now);
        truth.bans.insert(ban.net, ban);
        store.flush_urgent();
        let before = disk.written();
        store.end_turn(now, &truth);
        let written = disk.written() - before;
        assert!(
            written <= STORE_SLICE_BYTES as u64 + 1_000,
            "{written} bytes in turn {turns}"
        );
        assert_eq!(store.next_deadline().is_some(), disk.bytes(Name::New).is_some());
        now.mono.0 += 10;
        turns += 1;
    }
    assert!(disk.bytes(Name::Live).unwrap().len() < full / 4);
    assert!(turns >= 2, "{turns}");
    disk.restart(&mut none);
    assert_eq!(open(&disk, BOOT, at(5)).1.bans, truth.bans);
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let disk = Memory::new();
    let (mut store, truth) = open(&disk, BOOT, at(1));
    assert_eq!((store.next_deadline(), disk.changes()), (None, 0));
    (1..1_000).for_each(|second| store.end_turn(at(second), &truth));
    assert_eq!((store.next_deadline(), disk.changes()), (None, 0));
    // A ban, and peace again.
    let mut truth = truth;
    turn(&mut store, &mut truth, 1, at(1_000));
    settle(&mut store, &truth, at(1_000));
    let changes = disk.changes();
    for minute in 0..10_000 {
        store.end_turn(at(2_000 + 60 * minute), &truth);
        assert_eq!(store.next_deadline(), None);
    }
    assert_eq!(disk.changes(), changes);
}

#[test]
fn where_a_log_begins_is_on_the_medium_in_the_turn_in_which_it_is_opened() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(1));
    truth.read_to(700);
    store.positions_changed();
    assert_eq!(store.next_deadline(), Some(Mono(0)));
    store.end_turn(at(1), &truth);
    assert_eq!(store.next_deadline(), None);
    drop(store);
    disk.restart(&mut none);
    let (_, back) = open(&disk, BOOT, at(2));
    assert_eq!(back.offset(), 700);
}

#[test]
fn short_bans_and_failures_are_written_together_once_a_minute_and_not_synced() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(1));
    let mut changes = Vec::new();
    for second in 10..310 {
        let now = at(second);
        let short = ban(second as u32, Some(600), now);
        store.ban(&short, now);
        truth.bans.insert(short.net, short);
        store.failure(&failed(1, now), now);
        store.flush_urgent();
        truth.read_to(second);
        store.end_turn(now, &truth);
        changes.push(disk.changes());
    }
    changes.dedup();
    // The file and its head are made with the first group.
    assert_eq!(changes, [0, 3, 4, 5, 6]);
    assert_eq!(
        store.next_deadline(),
        Some(at(254 + 60).mono),
        "a minute after the first that waits"
    );
    store.stop(at(310), &truth);
    disk.restart(&mut none);
    let (_, back) = open(&disk, BOOT, at(311));
    assert_eq!((back.nets(), back.failures.len()), (truth.nets(), 300));
}

#[test]
fn a_flood_of_failures_without_proof_is_not_all_written_and_that_is_told() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(1));
    for number in 0..20_100 {
        let mut failed = failed(number, at(2));
        if number >= 20_000 {
            failed.proof = Proof::Transport;
        }
        store.failure(&failed, at(2));
        truth.failures.push(failed);
    }
    store.end_turn(at(70), &truth);
    assert_eq!(
        said(&mut store),
        ["15904 failures came too fast to be kept in bans; after a restart they would not count"]
    );
    let (mut store, back) = open(&disk, BOOT, at(71));
    assert_eq!((back.failures.len(), said(&mut store)), (4_196, vec![]));
    assert!(back.failures.iter().any(|failed| failed.net == net(20_099)));
}

/// Whoever was banned for failures is not counted for them again when the ban is over.
#[test]
fn failures_are_only_taken_when_they_are_committed_in_the_same_turn() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(1));
    store.failures_changed(at(2));
    assert!(!store.takes_failures(at(2)));
    assert!(store.takes_failures(at(62)));
    store.ban(&ban(1, None, at(10)), at(10));
    assert!(
        store.takes_failures(at(10)),
        "a ban that is to last is written at once"
    );
    store.failure(&failed(2, at(10)), at(10));
    truth.bans.insert(net(1), ban(1, None, at(10)));
    store.end_turn(at(10), &truth);
    assert!(!store.takes_failures(at(11)));
    let text = String::from_utf8(disk.bytes(Name::Live).unwrap()).unwrap();
    let words: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["sipguard", "clock", "ban", "failure", "commit"]);
}

#[test]
fn the_history_outlives_what_is_written_anew() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, at(1));
    truth.past.insert(net(1), (4, 500));
    for number in 10..700 {
        let ban = ban(number, None, at(2));
        store.ban(&ban, at(2));
        store.displaced(&ban, at(2));
        truth.past.insert(ban.net, (1, 2_000));
        store.end_turn(at(2), &truth);
    }
    let size = disk.bytes(Name::Live).unwrap().len();
    truth.past.retain(|net, _| last_bits(*net) < 20);
    (10..300).for_each(|number| turn(&mut store, &mut truth, number, at(63)));
    (10..300).for_each(|number| store.unban(&truth.bans.remove(&net(number)).unwrap(), at(64)));
    truth.past.retain(|net, _| last_bits(*net) < 10);
    turn(&mut store, &mut truth, 5_000, at(65));
    settle(&mut store, &truth, at(66));
    assert!(disk.bytes(Name::Live).unwrap().len() < size / 2);
    let (mut store, back) = open(&disk, BootId(2), at(1_000));
    assert_eq!(back.past.into_iter().collect::<Vec<_>>(), [(net(1), (4, 500))]);
    assert!(!store.may_purge(at(1_000)));
    assert!(store.may_purge(at(4_600)));
    assert!(!store.may_purge(Moment {
        wall: Wall(1_000_000),
        ..at(9_000)
    }));
    assert_eq!(said(&mut store), Vec::<String>::new());
}
