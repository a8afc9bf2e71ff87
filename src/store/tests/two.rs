//! Two files: one for what must last, on flash, and one in memory for what need not.

use std::io::ErrorKind;

use super::*;
use crate::store::disk::Name;

fn open_both(long: &Memory, short: Option<&Memory>, now: Moment) -> (Store<Memory>, Truth) {
    let mut truth = Truth::default();
    let store = Store::open(long.clone(), short.cloned(), BOOT, now, &mut |restored| {
        truth.restore(restored);
    });
    (store, truth)
}

#[test]
fn with_a_file_for_what_is_short_the_other_gets_only_what_must_last() {
    let (long, short) = (Memory::new(), Memory::new());
    let open = |now| open_both(&long, Some(&short), now);
    let (mut store, mut truth) = open(at(1));
    for second in 10..200 {
        let now = at(second);
        let brief = ban(second as u32, Some(3_599), now);
        store.ban(&brief, now);
        truth.bans.insert(brief.net, brief);
        store.failure(&failed(1_000, now), now);
        truth.read_to(second);
        store.end_turn(now, &truth);
    }
    assert_eq!(long.changes(), 0);
    let lasting = ban(500, Some(3_600), at(200));
    store.ban(&lasting, at(200));
    truth.bans.insert(lasting.net, lasting);
    store.flush_urgent();
    long.restart(&mut none);
    store.stop(at(200), &truth);
    let (mut store, mut back) = open(at(201));
    assert_eq!(
        (back.nets(), back.failures.len(), back.offset()),
        (truth.nets(), 190, 199)
    );
    // Each is taken out of the file that has it.
    for number in [500, 100] {
        let ban = back.bans.remove(&net(number)).unwrap();
        store.unban(&ban, at(202));
    }
    store.end_turn(at(202), &back);
    long.restart(&mut none);
    short.restart(&mut none);
    assert_eq!(open(at(203)).1.bans, back.bans);
    // The short one was in memory, and is gone.
    short.lose(Name::Live);
    assert_eq!(open(at(204)).1, Truth::default());
}

/// The file for long bans forgets one that is over when it is written anew. The other one still has the failures.
#[test]
fn failures_that_brought_a_long_ban_do_not_count_again_when_its_file_forgets_it() {
    let (long, short) = (Memory::new(), Memory::new());
    let open = |now| open_both(&long, Some(&short), now);
    let (mut store, mut truth) = open(at(1));
    truth.failures = vec![failed(1, at(2)), failed(1, at(3)), failed(2, at(3))];
    truth
        .failures
        .iter()
        .for_each(|failed| store.failure(failed, at(3)));
    store.end_turn(at(70), &truth);
    assert_eq!(open(at(71)).1.failures.len(), 3);
    turn(&mut store, &mut truth, 1, at(80));
    truth.failures.retain(|failed| failed.net == net(2));
    store.unban(&truth.bans.remove(&net(1)).unwrap(), at(90));
    store.end_turn(at(90), &truth);
    // It cannot be written for a while, and is written anew.
    long.refuse(Some(ErrorKind::Other));
    turn(&mut store, &mut truth, 3, at(100));
    long.refuse(None);
    settle(&mut store, &truth, at(200));
    assert!(!store.is_failing());
    let (_, back) = open(at(300));
    assert_eq!(
        (back.nets(), back.failures),
        (vec![net(3)], vec![failed(2, at(3))])
    );
}

/// What comes after the file was written anew would be taken for what was before that ban's end.
#[test]
fn a_ban_that_is_over_is_never_written_with_an_end_to_come() {
    let (long, short) = (Memory::new(), Memory::new());
    let open = |now| open_both(&long, Some(&short), now);
    let (mut store, mut truth) = open(at(1));
    truth.past.insert(net(1), (2, 9_000_000));
    long.refuse(Some(ErrorKind::Other));
    turn(&mut store, &mut truth, 3, at(100));
    long.refuse(None);
    settle(&mut store, &truth, at(200));
    assert!(!store.is_failing());
    truth.failures = vec![failed(1, at(300))];
    store.failure(&truth.failures[0], at(300));
    store.stop(at(400), &truth);
    let (_, back) = open(at(500));
    assert_eq!((back.past[&net(1)].0, back.failures), (2, truth.failures));
}

/// The ban would be over by now, and was lifted long before: it is no reason to forget what came between.
#[test]
fn failures_after_a_ban_that_was_lifted_count_when_the_ban_would_be_over_too() {
    for files in [1, 2] {
        let (long, short) = (Memory::new(), Memory::new());
        let open = |now| open_both(&long, (files == 2).then_some(&short), now);
        let (mut store, mut truth) = open(at(1));
        let lifted = ban(1, Some(4_000), at(80));
        store.failure(&failed(1, at(9)), at(9));
        store.end_turn(at(70), &truth);
        store.ban(&lifted, at(80));
        store.unban(&lifted, at(90));
        store.end_turn(at(90), &truth);
        truth.failures = vec![failed(1, at(95)), failed(1, at(99))];
        truth
            .failures
            .iter()
            .for_each(|failed| store.failure(failed, at(99)));
        store.end_turn(at(160), &truth);
        for later in [200, 4_079, 4_081, 9_000] {
            let (_, back) = open(at(later));
            assert_eq!(
                (back.nets(), back.failures),
                (vec![], truth.failures.clone()),
                "{files} files, at {later}"
            );
        }
    }
}

/// A person has made a long ban short. When the short one is over, or its file is gone with a reboot, the long one must
/// not be there again.
#[test]
fn a_ban_that_gave_way_to_a_shorter_one_does_not_come_back() {
    for files in [1, 2] {
        let (long, short) = (Memory::new(), Memory::new());
        let open = |short, now| open_both(&long, (files == 2).then_some(short), now);
        let (mut store, mut truth) = open(&short, at(1));
        store.ban(&ban(1, None, at(2)), at(2));
        store.replaced(&ban(1, None, at(2)), at(100));
        let brief = Banned {
            count: 1,
            ..ban(1, Some(600), at(100))
        };
        store.ban(&brief, at(100));
        store.flush_urgent();
        truth.bans.insert(brief.net, brief);
        store.stop(at(101), &truth);
        let (_, back) = open(&short, at(102));
        assert_eq!(back.bans, truth.bans, "{files} files");
        let (_, back) = open(&short, at(800));
        assert_eq!(
            (back.nets(), back.past[&brief.net].0),
            (vec![], 2),
            "{files} files"
        );
        let (_, back) = open(&Memory::new(), at(102));
        assert_eq!(back.nets().len(), 2 - files, "{files} files, and a reboot");
    }
}
