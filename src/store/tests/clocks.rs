//! What times mean after a reboot, with whatever wall clock.

use super::*;
use crate::store::Correction;
use crate::store::disk::Name;

const HOUR: u64 = 3_600;

/// A moment `seconds` after a boot, by a wall clock that shows so many seconds after [`WALL`].
fn boot_at(seconds: u64, wall: i64) -> Moment {
    Moment {
        mono: Mono(seconds * 1000),
        wall: Wall(WALL + wall),
    }
}

/// The same, by a wall clock that began in 1970.
fn wrong(seconds: u64) -> Moment {
    boot_at(seconds, seconds as i64 - WALL)
}

/// A ban of two hours, made at this moment and brought to the medium half an hour later, at the end of this boot.
fn before(now: Moment) -> Memory {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, now);
    let ban = ban(1, Some(2 * HOUR), now);
    store.ban(&ban, now);
    store.failure(&failed(2, now), now);
    truth.bans.insert(ban.net, ban);
    store.end_turn(now, &truth);
    let later = Moment {
        mono: now.mono.plus_seconds(HOUR / 2),
        wall: Wall(now.wall.0 + HOUR as i64 / 2),
    };
    store.stop(later, &truth);
    disk
}

/// Seconds that the ban has left at this moment.
fn left(truth: &Truth, now: Moment) -> Option<u64> {
    let ban = truth.bans.get(&net(1))?;
    // That a boot takes a millisecond makes no difference.
    Some(ban.until.unwrap().millis_since(now.mono).div_ceil(1000))
}

#[track_caller]
fn check(disk: &Memory, boot: BootId, now: Moment, want: Option<u64>) -> (Store<Memory>, Truth) {
    let (store, truth) = open(disk, boot, now);
    assert_eq!(left(&truth, now), want);
    (store, truth)
}

const NEXT: BootId = BootId(2);

/// The file for long bans may have nothing of this boot, and the guard starts again while the clock is wrong.
#[test]
fn a_clock_that_a_person_set_wrong_ends_no_ban_of_a_file_that_nothing_was_written_to() {
    let (long, short) = (Memory::new(), Memory::new());
    let moment = |mono: u64, wall: i64| Moment {
        mono: Mono(mono * 1000),
        wall: Wall(1_795_351_367 + wall),
    };
    let open = |boot: u128, now| {
        let mut truth = Truth::default();
        let store = Store::open(
            long.clone(),
            Some(short.clone()),
            BootId(boot),
            now,
            &mut |restored| {
                truth.restore(restored);
            },
        );
        (store, truth)
    };
    let (mut store, mut truth) = open(1, moment(10, 0));
    let lasting = ban(1, Some(86_400), moment(10, 0));
    store.ban(&lasting, moment(10, 0));
    truth.bans.insert(lasting.net, lasting);
    store.stop(moment(11, 1), &truth);
    let (mut store, mut truth) = open(2, moment(10, 100));
    assert_eq!(store.clock_was_set(moment(10_000, 10_090 + 200_000)), None);
    store.end_turn(moment(10_000, 10_090 + 200_000), &truth);
    truth.failures.clear();
    let (_, back) = open(2, moment(10_001, 10_091 + 200_000));
    assert_eq!(back.nets(), truth.nets());
}

/// A file that was written anew tells of ends later than its last ban.
#[test]
fn what_ended_before_a_boot_of_unknown_age_takes_no_failure_of_this_boot() {
    let (long, short) = (Memory::new(), Memory::new());
    let open = |boot: u128, now| {
        let mut truth = Truth::default();
        let each = &mut |restored: Restored<'_>| truth.restore(restored);
        let store = Store::open(long.clone(), Some(short.clone()), BootId(boot), now, each);
        (store, truth)
    };
    let (mut store, mut truth) = open(1, wrong(10));
    let lasting = ban(1, Some(2 * HOUR), wrong(10));
    store.ban(&lasting, wrong(10));
    store.end_turn(wrong(10), &truth);
    store.replaced(&lasting, wrong(HOUR));
    store.stop(wrong(HOUR), &truth);
    let (mut store, _) = open(2, wrong(10));
    store.stop(wrong(10), &truth);
    store.failure(&failed(1, wrong(20)), wrong(20));
    truth.failures.push(failed(1, wrong(20)));
    store.stop(wrong(20), &truth);
    assert_eq!(open(2, wrong(30)).1.failures, truth.failures);
}

#[test]
fn what_was_before_a_boot_of_unknown_age_is_older_than_the_boot() {
    let disk = before(wrong(1_000));
    let (_, truth) = open(&disk, NEXT, wrong(2_000));
    assert_eq!(
        truth.failures[0].at, -1,
        "or it would not be corrected with the clock"
    );
}

#[test]
fn a_ban_that_follows_within_the_millisecond_in_which_another_was_lifted_stays() {
    let (long, short) = (Memory::new(), Memory::new());
    let open = |now| {
        let mut truth = Truth::default();
        let each = &mut |restored: Restored<'_>| truth.restore(restored);
        let store = Store::open(long.clone(), Some(short.clone()), BOOT, now, each);
        (store, truth)
    };
    let (mut store, mut truth) = open(at(10));
    let lasting = ban(1, None, at(10));
    store.ban(&lasting, at(10));
    store.unban(&lasting, at(20));
    let brief = ban(1, Some(600), at(20));
    store.ban(&brief, at(20));
    truth.bans.insert(brief.net, brief);
    store.stop(at(20), &truth);
    assert_eq!(open(at(30)).1.nets(), truth.nets());
}

/// The file for long bans may have nothing of this boot, and nobody knows how long the machine was away.
#[test]
fn what_another_boot_wrote_was_before_all_that_the_other_file_has_of_this_one() {
    let (long, short) = (Memory::new(), Memory::new());
    let open = |boot: u128, now| {
        let mut truth = Truth::default();
        let each = &mut |restored: Restored<'_>| truth.restore(restored);
        let store = Store::open(long.clone(), Some(short.clone()), BootId(boot), now, each);
        (store, truth)
    };
    let (mut store, mut truth) = open(1, boot_at(10, 0));
    let lasting = ban(1, None, boot_at(10, 0));
    store.ban(&lasting, boot_at(10, 0));
    store.unban(&lasting, boot_at(20, 10));
    store.stop(boot_at(20, 10), &truth);
    // The machine boots with a clock that is wrong, and bans the same network, for a short time.
    let (mut store, _) = open(2, wrong(10));
    store.stop(wrong(10), &truth);
    let brief = ban(1, Some(600), wrong(10));
    store.ban(&brief, wrong(10));
    truth.bans.insert(brief.net, brief);
    store.stop(wrong(10), &truth);
    let (_, back) = open(2, wrong(100));
    assert_eq!(back.nets(), truth.nets());
}

#[test]
fn within_a_boot_the_wall_clock_does_not_matter() {
    for (first, second) in [
        (boot_at(100, 0), boot_at(100 + HOUR, HOUR as i64)),
        (boot_at(100, 0), boot_at(100 + HOUR, -50 * 365 * 86_400)),
        (boot_at(100, 0), boot_at(100 + HOUR, 50 * 365 * 86_400)),
        (wrong(100), boot_at(100 + HOUR, 0)),
        (wrong(100), wrong(100 + HOUR)),
        (boot_at(100, 0), wrong(100 + HOUR)),
    ] {
        let (_, truth) = check(&before(first), BOOT, second, Some(HOUR));
        assert_eq!(truth.bans[&net(1)].since, first.mono);
        assert_eq!(truth.failures[0].at, first.mono.0 as i64);
    }
}

#[test]
fn between_boots_a_wall_clock_that_can_be_right_tells_how_long_the_machine_was_away() {
    let disk = before(boot_at(100, 0));
    for (away, left) in [
        (0, Some(5_400)),
        (60, Some(5_340)),
        (5_399, Some(1)),
        (5_400, None),
        (1 << 30, None),
    ] {
        let (_, truth) = check(&disk, NEXT, boot_at(5, 1_800 + away), left);
        assert!(
            truth.bans.values().all(|ban| ban.since == Mono(0)),
            "it is from before this boot"
        );
        // It was before the boot, which was a millisecond before anything of it at least.
        let at = (5_000 - (1_800 + away) * 1_000).min(4_999 - 1_800_000);
        assert_eq!(truth.failures[0].at, at);
        assert_eq!(
            truth.past.get(&net(1)).map(|past| past.0),
            left.is_none().then_some(1)
        );
    }
}

#[test]
fn a_wall_clock_that_is_wrong_at_boot_neither_ends_nor_prolongs_a_ban() {
    // Half an hour of the two is over, as the file's last record tells.
    let right = before(boot_at(100, 0));
    check(&right, NEXT, wrong(5), Some(5_400));
    check(&right, NEXT, boot_at(5, 1_799), Some(5_400));
    check(&right, NEXT, boot_at(5, -86_400), Some(5_400));
    let never_right = before(wrong(100));
    check(&never_right, NEXT, wrong(5), Some(5_400));
    check(&never_right, NEXT, boot_at(5, 0), Some(5_400));
}

#[test]
fn a_clock_that_is_set_after_the_boot_corrects_what_was_thought() {
    let disk = before(boot_at(100, 0));
    let away = 3_600;
    let set = boot_at(65, 1_800 + away + 60);
    for now in [wrong(5), boot_at(5, 1_700), boot_at(5, 1_810)] {
        let (mut store, truth) = open(&disk, NEXT, now);
        let thought = left(&truth, now).unwrap() as i64;
        let Correction { older_by } = store.clock_was_set(set).unwrap();
        // One hour, and the half before it: half an hour is left, of which a minute is over by now.
        assert_eq!(thought - (older_by + 1) / 1000, 1_800);
        assert_eq!(store.clock_was_set(set), None);
        assert_eq!(store.clock_was_set(boot_at(70, 1 << 30)), None, "once");
        // Nothing was written. The next process comes to the same by itself.
        check(&disk, NEXT, set, Some(1_740));
    }
}

#[test]
fn a_clock_that_was_right_at_boot_and_is_set_late_corrects_nothing() {
    let disk = before(boot_at(100, 0));
    let (mut store, truth) = open(&disk, NEXT, boot_at(5, 1_900));
    assert_eq!(left(&truth, boot_at(5, 1_900)), Some(5_300));
    assert_eq!(store.clock_was_set(boot_at(4_000, 1 << 30)), None);
    // A clock that was wrong is believed whenever it is set.
    let (mut store, _) = open(&disk, NEXT, wrong(5));
    assert_eq!(store.clock_was_set(wrong(4_000)), None);
    assert_eq!(
        store.clock_was_set(boot_at(4_001, -86_400)),
        None,
        "before the last record"
    );
    let (mut store, _) = open(&disk, NEXT, wrong(5));
    assert!(store.clock_was_set(boot_at(4_001, 1_800 + 4_000 + 60)).is_some());
}

/// A process of the next boot that begins with a wrong clock, bans somebody else, and has its clock set if `set`. It
/// writes its file anew before or after that, if told to.
fn doubtful_boot(disk: &Memory, set: bool, anew: Option<bool>) -> (Moment, Truth) {
    let now = wrong(5);
    let (mut store, mut truth) = open(disk, NEXT, now);
    let rewrite = |store: &mut Store<Memory>, truth: &Truth, now: Moment| {
        disk.refuse_sync(Some(std::io::ErrorKind::Other));
        store.ban(&ban(50, None, now), now);
        store.end_turn(now, truth);
        disk.refuse_sync(None);
        store.end_turn(
            Moment {
                mono: now.mono.plus_seconds(30),
                ..now
            },
            truth,
        );
        assert!(!store.is_failing());
    };
    let fresh = ban(3, Some(2 * HOUR), wrong(10));
    store.ban(&fresh, wrong(10));
    truth.bans.insert(fresh.net, fresh);
    store.end_turn(wrong(10), &truth);
    if anew == Some(false) {
        rewrite(&mut store, &truth, wrong(12));
    }
    let mut end = wrong(100);
    if set {
        // One hour away, and a minute up.
        end = boot_at(100, 1_800 + 3_600 + 100);
        let Correction { older_by } = store.clock_was_set(end).unwrap();
        for ban in truth.bans.values_mut().filter(|ban| ban.since == Mono(0)) {
            ban.until = ban
                .until
                .map(|until| Mono(until.0.saturating_add_signed(-older_by)));
        }
    }
    if anew == Some(true) {
        rewrite(&mut store, &truth, end);
    }
    store.stop(end, &truth);
    (end, truth)
}

#[test]
fn a_correction_outlives_the_next_start_whenever_the_file_is_written_anew() {
    for anew in [None, Some(false), Some(true)] {
        let disk = before(boot_at(100, 0));
        let (end, truth) = doubtful_boot(&disk, true, anew);
        assert_eq!(left(&truth, end), Some(1_700));
        // In the same boot, and after another 10 minutes away.
        for (boot, now, over) in [
            (NEXT, end, 0),
            (BootId(3), boot_at(20, 1_800 + 3_600 + 100 + 600), 600),
        ] {
            let (_, back) = open(&disk, boot, now);
            assert_eq!(
                left(&back, now).unwrap().abs_diff(1_700 - over),
                0,
                "{anew:?} {boot:?}"
            );
            let fresh = back.bans[&net(3)].until.unwrap().seconds_since(now.mono);
            assert_eq!(fresh, 2 * HOUR - 90 - over, "{anew:?} {boot:?}");
        }
    }
}

/// The clock is read in whole seconds, so that after a boot within the second it seems to be set back.
#[test]
fn a_boot_within_a_second_leaves_the_clock_believed() {
    let disk = before(boot_at(100, 0));
    let moment = |millis: u64, wall: i64| Moment {
        mono: Mono(millis),
        wall: Wall(WALL + wall),
    };
    let (mut store, mut truth) = open(&disk, NEXT, moment(5_000, 1_799));
    store.stop(moment(5_000, 1_799), &truth);
    // Two hours later a person sets it wrong.
    let set = boot_at(2 * HOUR, 1_795 + 2 * HOUR as i64 + 3_600);
    assert_eq!(store.clock_was_set(set), None);
    truth.expire(set);
}

/// The process that wrote of this boot is gone, and the clock is set in the time of the next.
#[test]
fn that_the_clock_was_set_is_written_by_a_process_that_wrote_nothing_else() {
    let disk = Memory::new();
    let (mut store, mut truth) = open(&disk, BOOT, wrong(10));
    let lasting = ban(1, Some(2 * HOUR), wrong(10));
    store.ban(&lasting, wrong(10));
    truth.bans.insert(lasting.net, lasting);
    store.stop(wrong(10), &truth);
    let (mut store, truth) = open(&disk, BOOT, wrong(20));
    store.clock_was_set(boot_at(30, 0));
    store.end_turn(boot_at(30, 0), &truth);
    // An hour later the machine boots again, with a clock that is right.
    check(&disk, NEXT, boot_at(5, HOUR as i64), Some(HOUR - 20));
}

#[test]
fn boots_without_a_clock_add_up() {
    for anew in [None, Some(false)] {
        let disk = before(boot_at(100, 0));
        doubtful_boot(&disk, false, anew);
        // 30 minutes before, 95 seconds of the second boot; how long the machine was away nobody knows.
        for now in [wrong(7), boot_at(7, 1 << 30)] {
            let (_, truth) = check(&disk, BootId(3), now, Some(5_400 - 95));
            let left = truth.bans[&net(3)].until.unwrap().millis_since(now.mono);
            assert_eq!(left.div_ceil(1000), 2 * HOUR - 90);
        }
    }
}

#[test]
fn a_clock_from_the_future_does_not_hold_the_others_there() {
    let disk = before(boot_at(100, 100 * 365 * 86_400));
    let (mut store, truth) = check(&disk, NEXT, boot_at(5, 0), Some(5_400));
    store.stop(boot_at(5, 0), &truth);
    check(&disk, BootId(3), boot_at(5, 100), Some(5_300));
}

#[test]
fn a_clock_that_begins_with_the_year_of_the_firmware_does_not_confuse_what_is_older() {
    let begin = 1_767_225_600 + 30 - WALL;
    let disk = before(boot_at(100, 0));
    // 2026-01-01 00:00:30, which can be right: a failure of two minutes ago was in a year that cannot.
    let now = boot_at(5, begin);
    let (mut store, mut truth) = open(&disk, NEXT, now);
    let fresh = ban(50, Some(3 * HOUR), now);
    disk.refuse_sync(Some(std::io::ErrorKind::Other));
    store.ban(&fresh, now);
    truth.bans.insert(fresh.net, fresh);
    store.end_turn(now, &truth);
    disk.refuse_sync(None);
    store.stop(boot_at(40, begin + 35), &truth);
    assert!(!store.is_failing());
    assert_eq!(open(&disk, NEXT, boot_at(50, begin + 45)).1, truth);
}

#[test]
fn a_lost_clock_record_takes_no_ban_with_it() {
    let disk = Memory::new();
    for (boot, now) in [
        (1, wrong(50)),
        (2, boot_at(60, 0)),
        (3, wrong(70)),
        (4, boot_at(80, 900)),
    ] {
        let (mut store, truth) = open(&disk, BootId(boot), now);
        store.ban(&ban(boot as u32, Some(2 * HOUR), now), now);
        store.stop(now, &truth);
    }
    let file = String::from_utf8(disk.bytes(Name::Live).unwrap()).unwrap();
    let clocks: Vec<usize> = file.match_indices("clock").map(|(at, _)| at).collect();
    assert_eq!(clocks.len(), 4);
    for lost in 1..16_u32 {
        let mut bytes = file.clone().into_bytes();
        for (number, at) in clocks.iter().enumerate() {
            bytes[*at] ^= (lost >> number) as u8 & 1;
        }
        let now = boot_at(5, 1_000);
        let (_, truth) = open(&Memory::with(&bytes), BootId(5), now);
        assert_eq!(truth.nets(), [1, 2, 3, 4].map(net), "lost {lost:04b}");
        for ban in truth.bans.values() {
            let left = ban.until.unwrap().seconds_since(now.mono);
            assert!(
                (2 * HOUR - 1_100..=2 * HOUR).contains(&left),
                "lost {lost:04b}: {} {left}",
                ban.net
            );
        }
    }
}

#[test]
fn times_that_no_clock_shows_do_no_harm() {
    for (mono, wall) in [
        (u64::MAX, i64::MAX),
        (0, i64::MIN),
        (u64::MAX, i64::MIN),
        (0, i64::MAX),
    ] {
        let now = Moment {
            mono: Mono(mono),
            wall: Wall(wall),
        };
        let disk = before(boot_at(100, 0));
        let (mut store, truth) = open(&disk, NEXT, now);
        store.ban(&ban(1, Some(u64::MAX), now), now);
        store.clock_was_set(boot_at(5, 0));
        store.stop(now, &truth);
        let (mut store, _) = open(&disk, BOOT, boot_at(5, 0));
        store.clock_was_set(now);
        open(&disk, BootId(7), now);
    }
}
