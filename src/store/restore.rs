//! Reads a state file: twice, with one buffer. The first reading tells which boots there were, the second what the
//! records mean on the boot clock of now.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ipnet::IpNet;

use super::chain::{Chain, Moment, Present, Survey, Times, mono};
use super::disk::Disk;
use super::journal::Journal;
use super::live::{Banned, Failed, Past, Restored};
use super::load::{Event, Loader};
use super::notice::What;
use super::record::{BootId, Record};
use super::stamp::Stamp;
use crate::limits::{LINE_BYTES_MAX, STORE_DAMAGED_BYTES_MAX};
use crate::lines::Splitter;
use crate::time::Mono;

/// What a file turned out to be.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) present: Present,
    /// Records of all kinds.
    pub(super) records: u64,
    pub(super) boots: usize,
    pub(super) damaged: u64,
}

/// Reads what the journal holds, sets aside what is damaged, and leaves the file so that it can be appended to.
/// `buffer` is longer than the longest line. `begun`: another file knows of this boot since this instant.
pub(super) fn load<D: Disk>(
    journal: &mut Journal<D>,
    buffer: &mut [u8],
    (boot, begun): (BootId, Option<i64>),
    now: Moment,
    each: &mut dyn FnMut(Restored<'_>),
) -> Loaded {
    let mut survey = Survey::default();
    // What is wrong is found by the second reading.
    let _ = scan(journal, buffer, &mut |event| {
        if let Event::Record(record) = event {
            survey.take(&record);
        }
    });
    let boots = survey.boots();
    let (mut chain, present) = survey.finish(boot, now, begun);
    let (mut records, mut damaged, mut unknown) = (0, 0, 0);
    let mut aside = Vec::new();
    let ended = scan(journal, buffer, &mut |event| match event {
        Event::Record(record) => {
            records += 1;
            if !tell(&record, &mut chain, now, each) {
                unknown += 1;
            }
        }
        Event::Unknown => unknown += 1,
        Event::Damaged(line) => {
            damaged += 1;
            if aside.len() + line.len() < STORE_DAMAGED_BYTES_MAX {
                aside.extend_from_slice(line);
                aside.push(b'\n');
            }
        }
    });
    if damaged > 0 {
        journal.set_aside(&aside);
        journal.tell(What::Damaged(damaged));
    }
    if unknown > 0 {
        journal.tell(What::Unknown(unknown));
    }
    match ended {
        Ok(end) if end.torn > 0 || end.uncommitted > 0 => {
            journal.tell(What::Torn);
            if end.torn > 0 {
                journal.cut(end.torn);
            }
        }
        Ok(_) => {}
        Err(error) => journal.unreadable(error),
    }
    // A process that was killed may have written what no power failure would have left, and what is read is relied on.
    journal.sync();
    Loaded {
        present,
        records,
        boots,
        damaged,
    }
}

/// How a file ended.
struct End {
    /// Bytes behind the last newline.
    torn: u64,
    uncommitted: u32,
}

/// Reads all records that count.
fn scan<D: Disk>(
    journal: &mut Journal<D>,
    buffer: &mut [u8],
    each: &mut dyn FnMut(Event<'_>),
) -> io::Result<End> {
    debug_assert!(buffer.len() > LINE_BYTES_MAX, "a line must fit");
    let mut loader = Loader::default();
    let mut splitter = Splitter::default();
    let (mut offset, mut lines_end) = (0, 0);
    loop {
        let space = splitter.space(buffer);
        let count = journal.read(offset, space)?;
        if count == 0 {
            break;
        }
        let fresh = space.get(..count).unwrap_or_default();
        if let Some(newline) = memchr::memrchr(b'\n', fresh) {
            lines_end = offset + newline as u64 + 1;
        }
        offset += count as u64;
        for cut in splitter.lines(buffer, count) {
            loader.take(cut, each);
        }
        splitter.keep(buffer);
    }
    Ok(End {
        torn: offset - lines_end,
        uncommitted: loader.uncommitted(),
    })
}

/// Tells one record. `false`: it has a name that no jail can have.
fn tell(record: &Record<'_>, chain: &mut Chain, now: Moment, each: &mut dyn FnMut(Restored<'_>)) -> bool {
    let times = chain.take(record);
    let name = |jail| core::str::from_utf8(jail).ok();
    let over = |at| times.tell(at, now.mono());
    let restored = match *record {
        Record::Head(_) | Record::Clock(_) | Record::Commit { .. } => return true,
        Record::Ban {
            jail,
            net,
            since,
            until,
            count,
            proof,
        } => {
            let Some(jail) = name(jail) else { return false };
            let ban = Banned {
                jail,
                net,
                since: began(&times, since, now),
                until: None,
                proof,
                count,
            };
            let until = until.map(|until| times.tell_end(since, until));
            tell_ban(ban, (over(since), until), now, each);
            return true;
        }
        Record::Past { jail, net, at, bans } => {
            let Some(jail) = name(jail) else { return false };
            let ended = over(at);
            tell_past((jail, net), ended, (bans, ended), each);
            return true;
        }
        Record::Unban { jail, net, at } => {
            let Some(jail) = name(jail) else { return false };
            let at = over(at);
            Restored::Unban { jail, net, at }
        }
        Record::Failure {
            jail,
            net,
            kind,
            proof,
            attempt,
            reports,
            at,
        } => {
            let Some(jail) = name(jail) else { return false };
            Restored::Failure(Failed {
                jail,
                net,
                kind,
                proof,
                attempt,
                reports,
                at: over(at),
            })
        }
        Record::Read { path, position } => {
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            Restored::Read { path, position }
        }
    };
    each(restored);
    true
}

/// A ban until then, or what is left of one that is over.
fn tell_ban(
    ban: Banned<'_>,
    (began, until): (i64, Option<i64>),
    now: Moment,
    each: &mut dyn FnMut(Restored<'_>),
) {
    let Some(ended) = until.filter(|ended| *ended <= now.mono()) else {
        let until = until.map(mono);
        return each(Restored::Ban(Banned { until, ..ban }, began));
    };
    let past = (ban.count.saturating_add(1), ended);
    // It may have been lifted before its end: what came after that counts.
    tell_past((ban.jail, ban.net), began, past, each);
}

/// Bans that are over, and that what was until `at` counts no more.
fn tell_past(
    (jail, net): (&str, IpNet),
    at: i64,
    (bans, ended): (u32, i64),
    each: &mut dyn FnMut(Restored<'_>),
) {
    each(Restored::Replaced { jail, net, at });
    if bans > 0 {
        each(Restored::Past(Past {
            jail,
            net,
            bans,
            ended,
        }));
    }
}

/// When a ban began; before this boot is 0, and within it never 0.
fn began(times: &Times, since: Stamp, now: Moment) -> Mono {
    if times.is_before_this_boot(since) {
        Mono(0)
    } else {
        mono(times.tell(since, now.mono()).max(1))
    }
}
