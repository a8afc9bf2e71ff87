//! What survives a restart: the guard's knowledge goes into the store, and comes back from it.

use std::path::{Path, PathBuf};

use log::{debug, error, info, warn};

use super::TARGET;
use super::jails::Jails;
use super::report::Count;
use crate::config::Config;
use crate::guard::{self, Ban, Guard};
use crate::limits::LOGS_MAX;
use crate::store::{Banned, BootId, Disk, Failed, Kept, Live, Moment, Past, Restored, Store, What};
use crate::sys::clock;
use crate::sys::disk::{self, Directory};
use crate::tail::Logs;
use crate::tail::cursor::Position;
use crate::time::{Mono, Wall};

/// The state files of a running guard.
pub struct State<D = Directory> {
    store: Store<D>,
}

/// A guard, and where its logs were read to, as the store is written from them.
struct Knowledge<'d> {
    guard: &'d Guard,
    jails: &'d Jails,
    logs: &'d dyn Logs,
}

/// Cursors of what is kept: bans are below it, and above it who was banned before.
const PAST: u64 = 1 << 32;

/// Makes the directories of the state files, where they are missing: later the guard has no right to. Returns those
/// that were made.
pub(super) fn prepare(config: &Config) -> Vec<PathBuf> {
    let paths = [&config.dbfile, &config.dbshort].into_iter().flatten();
    let directories = paths.filter_map(|path| Path::new(path).parent());
    // What cannot be made is told when the state cannot be written.
    let made = directories.filter(|directory| disk::make_directories(directory).unwrap_or(false));
    made.map(Path::to_path_buf).collect()
}

impl State {
    /// Reads the state files, gives the guard back what it knew, and tells the tail where it was. `None`: nothing is
    /// to be kept.
    pub(super) fn open(
        config: &Config,
        jails: &Jails,
        guard: &mut Guard,
        logs: &mut dyn Logs,
        (now, utc): (Mono, Wall),
    ) -> Option<State> {
        let long = Directory::new(Path::new(config.dbfile.as_deref()?));
        let short = config
            .dbshort
            .as_deref()
            .map(|path| Directory::new(Path::new(path)));
        let [high, low] = clock::random();
        // A boot that has no name is like no other.
        let boot = clock::boot_id().unwrap_or(BootId(u128::from(high) << 64 | u128::from(low)));
        Some(State::restore(
            (long, short),
            boot,
            jails,
            guard,
            logs,
            (now, utc),
        ))
    }
}

impl<D: Disk> State<D> {
    /// Reads the state files on these disks: the one that outlives a reboot, and the one that need not.
    pub fn restore(
        (long, short): (D, Option<D>),
        boot: BootId,
        jails: &Jails,
        guard: &mut Guard,
        logs: &mut dyn Logs,
        (now, utc): (Mono, Wall),
    ) -> State<D> {
        let mut positions: Vec<(PathBuf, Position)> = Vec::new();
        let mut strangers = 0_u64;
        let store = Store::open(long, short, boot, moment(now, utc), &mut |restored| {
            if !restore(&restored, guard, jails, &mut positions, now) {
                strangers += 1;
            }
        });
        for (path, position) in positions {
            logs.remember(&path, position);
        }
        if strangers > 0 {
            info!(target: TARGET, "what the state file holds and the configuration bans no longer: {}",
                Count(strangers, "entry"));
        }
        let mut state = State { store };
        state.tell();
        state
    }

    /// Notes bans, and brings to the disk those that have to be there before they are announced.
    pub(super) fn bans<'b>(
        &mut self,
        bans: impl Iterator<Item = (&'b Ban, Option<&'b Ban>)>,
        guard: &Guard,
        jails: &Jails,
        (now, utc): (Mono, Wall),
    ) {
        let at = moment(now, utc);
        for (ban, displaced) in bans {
            self.store.ban(&banned(ban, guard, jails, now), at);
            if let Some(displaced) = displaced {
                self.store.displaced(&banned(displaced, guard, jails, now), at);
            }
        }
        self.store.flush_urgent();
    }

    /// Notes that a ban gives way to another one of the same network, which is to be told next.
    pub(super) fn replaced(&mut self, ban: &Ban, guard: &Guard, jails: &Jails, (now, utc): (Mono, Wall)) {
        self.store.replaced(&told(ban, guard, jails), moment(now, utc));
    }

    /// Notes that a ban was lifted.
    pub(super) fn unban(&mut self, ban: &Ban, guard: &Guard, jails: &Jails, (now, utc): (Mono, Wall)) {
        self.store
            .unban(&banned(ban, guard, jails, now), moment(now, utc));
    }

    /// Notes that failures have changed.
    pub(super) fn failures_changed(&mut self, now: Mono, utc: Wall) {
        self.store.failures_changed(moment(now, utc));
    }

    /// Notes that a log was opened.
    pub(super) fn positions_changed(&mut self) {
        self.store.positions_changed();
    }

    /// Writes what is due. Every line before the tail's positions has been counted.
    pub(super) fn keep(&mut self, guard: &mut Guard, jails: &Jails, logs: &dyn Logs, now: Mono, utc: Wall) {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if self.store.takes_failures(moment(now, utc)) {
            self.give_failures(guard, jails, now, utc);
        }
        let knowledge = Knowledge { guard, jails, logs };
        self.store.end_turn(moment(now, utc), &knowledge);
        self.tell();
    }

    /// Writes everything, and waits until it is on the disk.
    pub(super) fn stop(&mut self, guard: &mut Guard, jails: &Jails, logs: &dyn Logs, now: Mono, utc: Wall) {
        self.give_failures(guard, jails, now, utc);
        let knowledge = Knowledge { guard, jails, logs };
        self.store.stop(moment(now, utc), &knowledge);
        self.tell();
    }

    /// The wall clock was set: what is from before the boot may be older than was thought.
    pub(super) fn clock_was_set(&mut self, guard: &mut Guard, now: Mono, utc: Wall) {
        if let Some(correction) = self.store.clock_was_set(moment(now, utc)) {
            info!(target: TARGET, "the clock was set: bans from before the boot end {} s {}",
                correction.older_by.unsigned_abs() / 1000,
                if correction.older_by > 0 { "earlier" } else { "later" });
            guard.older_by(correction.older_by, now);
        }
    }

    /// When [`State::keep`] is to be called although nothing happened.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        self.store.next_deadline().map(ours)
    }

    /// Whether a file cannot be written at the moment.
    pub(super) fn is_failing(&self) -> bool {
        self.store.is_failing()
    }

    fn give_failures(&mut self, guard: &mut Guard, jails: &Jails, now: Mono, utc: Wall) {
        let mut from = 0;
        while let Some((next, kept)) = guard.take_unsaved(from) {
            from = next;
            self.store.failure(&failed(&kept, jails), moment(now, utc));
        }
    }

    fn tell(&mut self) {
        while let Some(notice) = self.store.notice() {
            match notice.what {
                What::Torn => debug!(target: TARGET, "{notice}"),
                What::Recovered => info!(target: TARGET, "{notice}"),
                What::Failing(_) => error!(target: TARGET, "{notice}"),
                What::Growing(_)
                | What::Unreadable(_)
                | What::Damaged(_)
                | What::Unknown(_)
                | What::Unsaved(_) => warn!(target: TARGET, "{notice}"),
            }
        }
    }
}

impl Live for Knowledge<'_> {
    fn kept_after(&self, cursor: u64) -> Option<(u64, Kept<'_>)> {
        let Knowledge { guard, jails, .. } = self;
        if let Some((next, ban)) = u32::try_from(cursor).ok().and_then(|from| guard.ban_from(from)) {
            return Some((next.into(), Kept::Ban(told(&ban, guard, jails))));
        }
        let mut from = u32::try_from(cursor.saturating_sub(PAST)).ok()?;
        loop {
            let (next, (net, jail, bans, until)) = guard.past_from(from)?;
            from = next;
            // The record of a ban in force says how many there were before it.
            if guard.standing(net, jail).is_none() {
                let past = Past {
                    jail: jails.name(jail),
                    net,
                    bans,
                    ended: signed(until),
                };
                return Some((PAST + u64::from(next), Kept::Past(past)));
            }
        }
    }

    fn failure_after(&self, cursor: u64) -> Option<(u64, Failed<'_>)> {
        let (next, kept) = self.guard.kept(u32::try_from(cursor).ok()?)?;
        Some((next.into(), failed(&kept, self.jails)))
    }

    fn positions(&self, each: &mut dyn FnMut(&Path, Position)) {
        self.logs.positions(each);
    }
}

/// Gives the guard back one thing that it knew. `false`: it is of a jail that is gone, or no longer to be banned.
fn restore(
    restored: &Restored<'_>,
    guard: &mut Guard,
    jails: &Jails,
    positions: &mut Vec<(PathBuf, Position)>,
    now: Mono,
) -> bool {
    match *restored {
        Restored::Ban(ban, began) => jails.named(ban.jail).is_some_and(|jail| {
            let Banned {
                net,
                since,
                until,
                proof,
                count,
                ..
            } = ban;
            let ban = Ban {
                net,
                jail,
                // Nothing is known of when a ban from before this boot began.
                since: if since == Mono(0) { since } else { ours(since) },
                until: until.map(ours),
                proof,
                by_hand: false,
            };
            guard.forget_failures(net, jail, unsigned(began));
            guard.restore_ban(ban, count.saturating_add(1), now)
        }),
        Restored::Past(past) => jails.named(past.jail).is_some_and(|jail| {
            guard.restore_past(past.net, jail, past.bans, unsigned(past.ended));
            true
        }),
        Restored::Replaced { jail, net, at } => jails.named(jail).is_some_and(|jail| {
            guard.restore_replaced(net, jail, unsigned(at));
            true
        }),
        Restored::Unban { jail, net, at } => jails.named(jail).is_some_and(|jail| {
            guard.restore_unban(net, jail, unsigned(at));
            true
        }),
        Restored::Failure(failed) => jails.named(failed.jail).is_some_and(|jail| {
            let kept = guard::Kept {
                net: failed.net,
                jail,
                attempt: failed.attempt,
                reports: failed.reports,
                kind: failed.kind,
                proof: failed.proof,
                at: unsigned(failed.at),
            };
            guard.restore_failure(&kept, now);
            true
        }),
        Restored::Read { path, position } => {
            positions.retain(|(known, _)| known != path);
            if positions.len() < LOGS_MAX {
                positions.push((path.to_owned(), position));
            }
            true
        }
    }
}

/// A ban that has just begun, with how many there were before it.
fn banned<'b>(ban: &Ban, guard: &Guard, jails: &'b Jails, now: Mono) -> Banned<'b> {
    Banned {
        count: guard.bans_of(ban.net, ban.jail, now).saturating_sub(1),
        ..told(ban, guard, jails)
    }
}

fn told<'b>(ban: &Ban, guard: &Guard, jails: &'b Jails) -> Banned<'b> {
    Banned {
        jail: jails.name(ban.jail),
        net: ban.net,
        since: theirs(ban.since),
        until: ban.until.map(theirs),
        proof: ban.proof,
        count: guard.bans_of(ban.net, ban.jail, ban.since).saturating_sub(1),
    }
}

fn failed<'b>(kept: &guard::Kept, jails: &'b Jails) -> Failed<'b> {
    Failed {
        jail: jails.name(kept.jail),
        net: kept.net,
        kind: kept.kind,
        proof: kept.proof,
        attempt: kept.attempt,
        reports: kept.reports,
        at: signed(kept.at),
    }
}

// The store counts from the boot, the guard from long before it.

fn moment(now: Mono, utc: Wall) -> Moment {
    Moment {
        mono: theirs(now),
        wall: utc,
    }
}

fn theirs(at: Mono) -> Mono {
    Mono(at.0.saturating_sub(Mono::BOOT.0))
}

fn ours(at: Mono) -> Mono {
    Mono(at.0.saturating_add(Mono::BOOT.0))
}

fn signed(at: Mono) -> i64 {
    let boot = i64::try_from(Mono::BOOT.0).unwrap_or(i64::MAX);
    i64::try_from(at.0).unwrap_or(i64::MAX).saturating_sub(boot)
}

fn unsigned(at: i64) -> Mono {
    Mono(Mono::BOOT.0.saturating_add_signed(at))
}
