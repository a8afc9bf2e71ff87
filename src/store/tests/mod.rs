//! The store on a disk in memory, with a truth that is too simple to be wrong.

mod clocks;
mod crashes;
mod damage;
mod format;
mod full;
mod histories;
#[path = "../../../tests/support/random.rs"]
mod random;
mod two;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::memory::Memory;
use super::{Banned, BootId, Failed, Kept, Live, Moment, Past, Restored, Store};
use crate::filter::{Class, Kind, Proof, Service};
use crate::tail::cursor::{Inode, Position};
use crate::time::{Mono, Wall};

/// 2026-11-22 12:42:47 UTC.
const WALL: i64 = 1_795_351_367;
const BOOT: BootId = BootId(0x6f1c);
const JAIL: &str = "asterisk";
const LOG: &str = "/var/log/asterisk/messages";

/// Some seconds after the boot, with a wall clock that is right.
fn at(seconds: u64) -> Moment {
    Moment {
        mono: Mono(seconds * 1000),
        wall: Wall(WALL + seconds as i64),
    }
}

fn host(number: u32) -> IpAddr {
    IpAddr::from(Ipv4Addr::from(0xc612_0000 + number))
}

fn net(number: u32) -> IpNet {
    IpNet::from(host(number))
}

/// A ban of so many seconds that begins now.
fn ban(number: u32, seconds: Option<u64>, now: Moment) -> Banned<'static> {
    Banned {
        jail: JAIL,
        net: net(number),
        since: now.mono,
        until: seconds.map(|seconds| now.mono.plus_seconds(seconds)),
        proof: Proof::Blind,
        count: 0,
    }
}

fn failed(number: u32, now: Moment) -> Failed<'static> {
    let kind = Kind {
        service: Service::Sip,
        class: Class::Auth,
    };
    Failed {
        jail: JAIL,
        net: net(number),
        kind,
        proof: Proof::Blind,
        attempt: u64::from(number),
        reports: [0, 0, 1],
        at: now.mono.0 as i64,
    }
}

fn position(offset: u64) -> Position {
    let inode = Inode { device: 1, number: 2 };
    Position {
        inode,
        offset,
        check: !offset,
    }
}

/// Who holds the truth. What comes back from a file goes into one of these, too.
#[derive(Clone, Debug, Default, PartialEq)]
struct Truth {
    bans: BTreeMap<IpNet, Banned<'static>>,
    past: BTreeMap<IpNet, (u32, i64)>,
    failures: Vec<Failed<'static>>,
    positions: BTreeMap<PathBuf, Position>,
}

impl Truth {
    /// As whoever uses the store has to do it.
    fn restore(&mut self, restored: Restored<'_>) {
        match restored {
            Restored::Ban(ban, _) => {
                let net = ban.net;
                let since = ban.since.0 as i64;
                self.failures
                    .retain(|failed| failed.net != net || failed.at > since);
                let newer = self.bans.get(&net).is_some_and(|known| known.since > ban.since);
                if !newer {
                    self.bans.insert(ban.net, Banned { jail: JAIL, ..ban });
                }
            }
            Restored::Past(past) => {
                let net = past.net;
                let known = self.past.get(&net).map_or(0, |(bans, _)| *bans);
                self.past.insert(net, (past.bans.max(known), past.ended));
            }
            Restored::Replaced { net, at, .. } => {
                self.failures.retain(|failed| failed.net != net || failed.at > at);
                self.bans
                    .retain(|other, ban| *other != net || ban.since.0 as i64 > at);
            }
            Restored::Unban { net, at, .. } => {
                if self
                    .bans
                    .get(&net)
                    .is_some_and(|ban| ban.since.0 as i64 <= at.max(0))
                {
                    self.bans.remove(&net);
                }
                self.past.remove(&net);
            }
            Restored::Failure(failed) => self.failures.push(Failed { jail: JAIL, ..failed }),
            Restored::Read { path, position } => _ = self.positions.insert(path.to_owned(), position),
        }
    }

    fn nets(&self) -> Vec<IpNet> {
        self.bans.keys().copied().collect()
    }

    /// How far the log was read.
    fn offset(&self) -> u64 {
        self.positions
            .get(Path::new(LOG))
            .map_or(0, |position| position.offset)
    }

    fn read_to(&mut self, offset: u64) {
        self.positions.insert(PathBuf::from(LOG), position(offset));
    }

    fn expire(&mut self, now: Moment) {
        self.bans
            .retain(|_, ban| ban.until.is_none_or(|until| until > now.mono));
    }
}

impl Live for Truth {
    /// By address, so that a place stays while others come and go: first the bans, then the past ones.
    fn kept_after(&self, cursor: u64) -> Option<(u64, Kept<'_>)> {
        const PAST: u64 = 1 << 32;
        let from = |cursor: u64| net((cursor % PAST) as u32)..;
        let mut bans = self.bans.range(from(cursor));
        if let Some((net, ban)) = bans.next().filter(|_| cursor < PAST) {
            return Some((u64::from(last_bits(*net)) + 1, Kept::Ban(*ban)));
        }
        let (&net, &(bans, ended)) = self
            .past
            .range(from(if cursor < PAST { 0 } else { cursor }))
            .next()?;
        let jail = JAIL;
        let past = Kept::Past(Past {
            jail,
            net,
            bans,
            ended,
        });
        Some((PAST + u64::from(last_bits(net)) + 1, past))
    }

    fn failure_after(&self, cursor: u64) -> Option<(u64, Failed<'_>)> {
        Some((cursor + 1, *self.failures.get(cursor as usize)?))
    }

    fn positions(&self, each: &mut dyn FnMut(&Path, Position)) {
        for (path, position) in &self.positions {
            each(path, *position);
        }
    }
}

fn last_bits(net: IpNet) -> u32 {
    match net.addr() {
        IpAddr::V4(v4) => u32::from(v4) & 0xffff,
        IpAddr::V6(v6) => v6.to_bits() as u32 & 0xffff,
    }
}

/// A store with one file, and what came back from it.
fn open(disk: &Memory, boot: BootId, now: Moment) -> (Store<Memory>, Truth) {
    let mut truth = Truth::default();
    let store = Store::open(disk.clone(), None, boot, now, &mut |restored| {
        truth.restore(restored);
    });
    (store, truth)
}

/// Bans one more for ever, and ends the turn.
fn turn(store: &mut Store<Memory>, truth: &mut Truth, number: u32, now: Moment) {
    let ban = ban(number, None, now);
    store.ban(&ban, now);
    truth.bans.insert(ban.net, ban);
    store.flush_urgent();
    store.end_turn(now, truth);
}

/// Goes on until nothing waits; the time that took, in seconds.
fn settle(store: &mut Store<Memory>, truth: &Truth, from: Moment) -> u64 {
    let mut now = from;
    for _ in 0..10_000 {
        let Some(deadline) = store.next_deadline() else {
            return now.mono.seconds_since(from.mono);
        };
        let step = deadline.millis_since(now.mono);
        now.mono = Mono(now.mono.0 + step);
        now.wall.0 += (step / 1000) as i64;
        store.end_turn(now, truth);
    }
    panic!("it does not come to rest");
}

fn said(store: &mut Store<Memory>) -> Vec<String> {
    std::iter::from_fn(|| store.notice())
        .map(|notice| notice.to_string())
        .collect()
}

/// No chance: of what was not synced nothing is left.
fn none(_: u64) -> u64 {
    0
}
