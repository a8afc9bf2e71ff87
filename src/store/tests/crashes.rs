//! The power fails at every change of the disk.

use super::random::Random;
use super::*;
use crate::store::disk::Name;

/// What was announced: bans that must be there after any crash.
#[derive(Default)]
struct Announced {
    bans: Vec<IpNet>,
    unbanned: Vec<IpNet>,
}

/// A life with several rewritings of the file, until the power fails or it is over. Every turn 40 more sources are
/// banned and announced, some unbanned, and the log goes on by 10 bytes for each failure.
fn live(disk: &Memory) -> (Announced, Truth) {
    let (mut store, mut truth) = open(disk, BOOT, at(1));
    let mut announced = Announced::default();
    for turn in 0..50_u32 {
        let now = at(u64::from(turn) * 30 + 1);
        for number in 0..40 {
            let ban = ban(turn * 40 + number, None, now);
            store.ban(&ban, now);
            truth.bans.insert(ban.net, ban);
        }
        let failed = failed(30_000 + turn, now);
        store.failure(&failed, now);
        truth.failures.push(failed);
        store.flush_urgent();
        if disk.has_crashed() {
            break;
        }
        announced
            .bans
            .extend((0..40).map(|number| net(turn * 40 + number)));
        // Nearly all of them: the file is soon mostly waste.
        let over: Vec<_> = (0..36)
            .filter_map(|number| truth.bans.remove(&net(turn * 40 + number)))
            .collect();
        over.iter().for_each(|ban| store.unban(ban, now));
        truth.read_to(10 * truth.failures.len() as u64);
        store.end_turn(now, &truth);
        if disk.has_crashed() {
            break;
        }
        announced.bans.retain(|net| truth.bans.contains_key(net));
        announced.unbanned.extend(over.iter().map(|ban| ban.net));
    }
    (announced, truth)
}

#[test]
fn a_crash_at_any_change_of_the_disk_loses_no_ban_that_was_announced() {
    let disk = Memory::new();
    let (announced, truth) = live(&disk);
    let (changes, written) = (disk.changes(), disk.written());
    assert_eq!(announced.bans, truth.nets());
    let file = disk.bytes(Name::Live).unwrap().len() as u64;
    assert!(
        file < written / 3,
        "the file was written anew: {file} of {written} bytes"
    );
    for change in 0..changes {
        for seed in 1..3 {
            let disk = Memory::new();
            disk.crash_at(change);
            let (announced, truth) = live(&disk);
            let mut random = Random(seed * 7_919 + change);
            disk.restart(&mut |bound| random.below(bound));
            let (_, back) = open(&disk, BootId(2), at(2_000));
            let repeat = format!("change {change} of {changes}, seed {seed}");
            for net in &announced.bans {
                // What was announced and unbanned in the same turn may be either.
                let leaving = !truth.bans.contains_key(net);
                assert!(back.bans.contains_key(net) || leaving, "{repeat}: {net} is lost");
            }
            for net in &announced.unbanned {
                assert!(!back.bans.contains_key(net), "{repeat}: {net} is back");
            }
            assert_eq!(back.failures.len() as u64 * 10, back.offset(), "{repeat}");
            assert!(back.failures.len() <= truth.failures.len(), "{repeat}");
        }
    }
}
