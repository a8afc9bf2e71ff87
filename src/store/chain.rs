//! One line of time through all boots of a file, so that every time in it can be told on the boot clock of now.
//!
//! Within a boot the boot clock counts, whatever the wall clock did. Between two boots the wall clocks tell how long
//! the machine was away, if they can be believed; else no time passed. A wall clock that is set later (NTP, on a
//! machine without a clock of its own) tells it then: [`Present::set`].
//!
//! Instants are milliseconds of the boot clock, negative before the boot.

use core::mem::replace;

use super::record::{BootId, Clock, Record};
use super::stamp::Stamp;
use crate::limits::{CLOCK_SETTLE_SECONDS, SPAN_SECONDS_MAX, STORE_BOOTS_MAX};
use crate::time::{Mono, Wall};

/// 2026-01-01, before the first version of this program: no wall clock that shows an earlier time is right.
const BUILD_ERA: i64 = 1_767_225_600_000;

/// A wall clock that jumped by more than this was set. Wall clocks are read in whole seconds.
const JUMP: i64 = 1_000;

/// No time that is written is so far from its clock record: nothing that counts is older than ten years, and nobody
/// runs for ten years with the clock unset.
const FAR: i64 = 20 * 366 * 86_400_000;
const _: () = assert!(FAR as u64 >= 2 * SPAN_SECONDS_MAX * 1000);

fn is_plausible(wall: i64) -> bool {
    wall >= BUILD_ERA
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The boot clock.
    pub mono: Mono,
    /// The wall clock, in UTC.
    pub wall: Wall,
}

impl Moment {
    pub(super) fn mono(self) -> i64 {
        millis(self.mono)
    }

    pub(super) fn wall(self) -> i64 {
        Stamp::new(self.wall.0.saturating_mul(1000)).millis()
    }

    /// What the wall clock is ahead of the boot clock.
    pub(super) fn offset(self) -> i64 {
        self.wall().saturating_sub(self.mono())
    }

    /// Whether the wall clock can be right at all.
    #[must_use]
    pub fn has_plausible_wall(self) -> bool {
        is_plausible(self.wall())
    }
}

/// Whether the wall clock was set since it was so much ahead of the boot clock.
pub(super) fn has_jumped(offset: i64, now: Moment) -> bool {
    now.offset().saturating_sub(offset).saturating_abs() > JUMP
}

/// An instant as a signed number, so that there is one before the boot.
pub(super) fn millis(mono: Mono) -> i64 {
    i64::try_from(mono.0).unwrap_or(i64::MAX)
}

/// What is before the boot becomes its beginning.
pub(super) fn mono(millis: i64) -> Mono {
    Mono(u64::try_from(millis).unwrap_or(0))
}

/// Follows the clock records of a file, in its order.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    boot: Option<BootId>,
    /// Whether there was a clock at all.
    begun: bool,
    wall: i64,
    offset: i64,
    plausible: bool,
    away: i64,
}

/// A clock record, or what stands for one that is lost.
#[derive(Clone, Copy, Debug)]
struct Tick {
    mono: i64,
    new_boot: bool,
    /// The wall clock was set since the last clock record of this boot.
    jumped: bool,
}

impl Walk {
    fn step(&mut self, record: &Record<'_>) -> Option<Tick> {
        match *record {
            Record::Clock(clock) => Some(self.clock(Some(clock.boot), clock)),
            Record::Ban { since: at, .. }
            | Record::Unban { at, .. }
            | Record::Failure { at, .. }
            | Record::Commit { at, .. } => self.stamp(at),
            Record::Head(_) | Record::Past { .. } | Record::Read { .. } => None,
        }
    }

    fn clock(&mut self, boot: Option<BootId>, clock: Clock) -> Tick {
        let offset = clock.wall.millis() - clock.mono;
        let new_boot = !self.begun || self.boot.is_none() || self.boot != boot;
        let jumped = !new_boot && (offset - self.offset).abs() > JUMP;
        *self = Walk {
            boot,
            begun: true,
            wall: clock.wall.millis(),
            offset,
            plausible: is_plausible(clock.wall.millis()),
            away: clock.away,
        };
        Tick {
            mono: clock.mono,
            new_boot,
            jumped,
        }
    }

    /// A time that this clock cannot have shown: a clock record is lost. What follows is of a boot of its own, before
    /// which no time passed; its wall clock is the only one there is.
    fn stamp(&mut self, at: Stamp) -> Option<Tick> {
        if self.begun && (at.millis() - self.wall).abs() <= FAR {
            return None;
        }
        let lost = Clock {
            boot: BootId(0),
            mono: at.millis(),
            wall: at,
            away: -at.millis(),
        };
        Some(self.clock(None, lost))
    }
}

/// A boot of the file.
#[derive(Clone, Copy, Debug)]
struct Boot {
    /// The line's time at the last moment known before this boot.
    before: i64,
    /// As the last clock record of this boot had it.
    away: i64,
}

/// The last boot seen so far.
#[derive(Clone, Copy, Debug)]
struct Current {
    /// Its first clock record.
    first_mono: i64,
    first_wall: i64,
    /// The latest instant that a record tells of.
    last: i64,
    /// The wall clock at the last moment known before this boot, if it could be believed.
    anchor: Option<i64>,
    settled: bool,
}

/// The first of two readings of a file: which boots there were, and how long they lasted.
#[derive(Debug, Default)]
pub(super) struct Survey {
    walk: Walk,
    boots: Vec<Boot>,
    current: Option<Current>,
}

impl Survey {
    pub(super) fn take(&mut self, record: &Record<'_>) {
        let earlier = self.walk;
        if let Some(tick) = self.walk.step(record) {
            self.tick(tick, earlier);
        }
        let at = match *record {
            Record::Ban { since: at, .. }
            | Record::Unban { at, .. }
            | Record::Failure { at, .. }
            | Record::Commit { at, .. } => at,
            Record::Head(_) | Record::Clock(_) | Record::Past { .. } | Record::Read { .. } => return,
        };
        if let Some(current) = &mut self.current {
            current.last = current.last.max(at.millis() - self.walk.offset);
        }
    }

    fn tick(&mut self, tick: Tick, earlier: Walk) {
        let wall = tick.mono + self.walk.offset;
        match (&mut self.current, self.boots.last_mut()) {
            (Some(current), Some(boot)) if !tick.new_boot => {
                current.settled |= tick.jumped && is_plausible(wall);
                current.last = current.last.max(tick.mono);
                boot.away = self.walk.away;
            }
            (current, _) => {
                let anchor = current.and_then(|current| anchor(&current, earlier));
                let before = self.end();
                self.current = Some(Current {
                    first_mono: tick.mono,
                    first_wall: wall,
                    last: tick.mono,
                    anchor,
                    settled: false,
                });
                if self.boots.len() < STORE_BOOTS_MAX {
                    self.boots.push(Boot {
                        before,
                        away: self.walk.away,
                    });
                } else if let Some(boot) = self.boots.last_mut() {
                    // Far more boots than we let a file have: the last ones are told as one.
                    *boot = Boot {
                        before,
                        away: self.walk.away,
                    };
                }
            }
        }
    }

    /// The line's time at the last moment known.
    fn end(&self) -> i64 {
        match (self.boots.last(), self.current) {
            (Some(boot), Some(current)) => boot.before.saturating_add(boot.away).saturating_add(current.last),
            _ => 0,
        }
    }

    /// How many boots the file tells of.
    pub(super) fn boots(&self) -> usize {
        self.boots.len()
    }

    /// Joins the boot of now to the line. `begun`: another file knows of this boot since this instant.
    pub(super) fn finish(mut self, boot: BootId, now: Moment, begun: Option<i64>) -> (Chain, Present) {
        let same = self.walk.begun && self.walk.boot == Some(boot);
        let mut present = Present {
            away: self.walk.away,
            anchor: None,
            doubtful: false,
            settled: false,
            first: begun.unwrap_or(now.mono()),
            is_known: same,
            offset: now.offset(),
            jumped: false,
        };
        let before = match (self.current, self.boots.last()) {
            (Some(current), Some(last)) if same => {
                present.first = current.first_mono;
                present.offset = self.walk.offset;
                present.jumped = has_jumped(self.walk.offset, now);
                present.anchor = current.anchor;
                present.settled = current.settled;
                present.doubtful = is_doubtful(current.first_wall, current.anchor);
                last.before
            }
            (current, _) => {
                present.anchor = current.and_then(|current| anchor(&current, self.walk));
                present.doubtful = is_doubtful(now.wall(), present.anchor);
                present.away = present.away_by(now).unwrap_or(present.least_away());
                self.end()
            }
        };
        present.set(now);
        if same {
            if let Some(last) = self.boots.last_mut() {
                last.away = present.away;
            }
        }
        let chain = Chain {
            is_age_unknown: present.away <= present.least_away(),
            boots: self.boots,
            base: before.saturating_add(present.away),
            same_boot: same,
            walk: Walk::default(),
            number: None,
        };
        (chain, present)
    }
}

fn anchor(current: &Current, walk: Walk) -> Option<i64> {
    let wall = current.last.saturating_add(walk.offset);
    walk.plausible.then_some(wall)
}

/// Whether this wall clock at the beginning of a boot says nothing about how long the machine was away.
fn is_doubtful(wall: i64, anchor: Option<i64>) -> bool {
    // In whole seconds a clock that is right may seem to be a little behind.
    !is_plausible(wall) || anchor.is_some_and(|anchor| wall < anchor.saturating_sub(JUMP))
}

/// The boot of now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    /// As in [`Clock`].
    pub(super) away: i64,
    /// The wall clock at the last moment known before this boot, if it could be believed.
    anchor: Option<i64>,
    doubtful: bool,
    /// The wall clock was set since the boot, and is believed.
    settled: bool,
    /// When the first record of this boot was or will be written, here or in the other file.
    pub(super) first: i64,
    /// The file has a record of this boot from before the start.
    pub(super) is_known: bool,
    offset: i64,
    /// The wall clock was set since this boot's last record.
    pub(super) jumped: bool,
}

impl Present {
    /// No boot is without time: what was before one was before all that is known of it.
    fn least_away(&self) -> i64 {
        1_i64.saturating_sub(self.first)
    }

    /// How long the machine was away if the wall clock is right.
    fn away_by(&self, now: Moment) -> Option<i64> {
        let away = now.offset().saturating_sub(self.anchor?);
        now.has_plausible_wall().then(|| away.max(self.least_away()))
    }

    /// Whether a start that knew nothing of this boot would take the machine to have been away for another time.
    pub(super) fn is_misled_by(&self, now: Moment) -> bool {
        self.away_by(now)
            .is_some_and(|away| away.saturating_sub(self.away).saturating_abs() > JUMP)
    }

    /// The wall clock may have been set. Returns how much longer the machine was away than was thought, in
    /// milliseconds: 0 unless this is the first time that the clock can be believed. A clock that could be believed
    /// at the boot is corrected in the first hour only: later it is a person's mistake, or the mending of one.
    pub(super) fn set(&mut self, now: Moment) -> i64 {
        let jump = now
            .offset()
            .saturating_sub(replace(&mut self.offset, now.offset()));
        if jump.saturating_abs() <= JUMP || !now.has_plausible_wall() || replace(&mut self.settled, true) {
            return 0;
        }
        let late = now.mono.0 > CLOCK_SETTLE_SECONDS * 1000;
        match self.away_by(now) {
            Some(away) if self.doubtful || !late => away.saturating_sub(replace(&mut self.away, away)),
            Some(_) | None => 0,
        }
    }
}

/// The second of two readings of a file: tells its times on the boot clock of now.
#[derive(Debug)]
pub(super) struct Chain {
    boots: Vec<Boot>,
    /// The line's time at the start of this boot's clock.
    base: i64,
    /// Nobody knows how long the machine was away before this boot.
    is_age_unknown: bool,
    /// Whether the file's last boot is this one.
    same_boot: bool,
    walk: Walk,
    number: Option<usize>,
}

/// How the times of a record are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    offset: i64,
    base: i64,
    /// The same for what was from before its boot already.
    old_base: i64,
    /// Whether the record is of this boot.
    of_this_boot: bool,
    is_age_unknown: bool,
}

impl Chain {
    /// Follows a record and says how to tell its times.
    pub(super) fn take(&mut self, record: &Record<'_>) -> Times {
        if let Some(tick) = self.walk.step(record) {
            if tick.new_boot {
                let last = self.boots.len().saturating_sub(1);
                self.number = Some(self.number.map_or(0, |number| (number + 1).min(last)));
            }
        }
        let boot = self.number.and_then(|number| self.boots.get(number));
        let boot = boot.copied().unwrap_or(Boot { before: 0, away: 0 });
        let base = |away: i64| boot.before.saturating_add(away).saturating_sub(self.base);
        Times {
            offset: self.walk.offset,
            base: base(boot.away),
            old_base: base(self.walk.away),
            is_age_unknown: self.is_age_unknown,
            of_this_boot: self.same_boot && self.number.map(|number| number + 1) == Some(self.boots.len()),
        }
    }
}

impl Times {
    /// Whether this was before the boot of the record.
    fn is_old(&self, stamp: Stamp) -> bool {
        stamp.millis() <= self.offset
    }

    /// Whether this was before the boot of now.
    pub(super) fn is_before_this_boot(&self, stamp: Stamp) -> bool {
        !self.of_this_boot || self.is_old(stamp)
    }

    /// A time that is over at `now`. If no time seems to have passed before this boot, what was then is told as the last
    /// moment before it, so that it stays older than all of this boot, and is corrected when the clock is set.
    pub(super) fn tell(&self, stamp: Stamp, now: i64) -> i64 {
        let latest = if self.is_age_unknown && self.is_before_this_boot(stamp) {
            -1
        } else {
            now
        };
        self.tell_end(stamp, stamp).min(latest)
    }

    /// The end of what began at `since`. If that was before the record's boot, the record was written again in a boot
    /// whose clock may have been set after that.
    pub(super) fn tell_end(&self, since: Stamp, until: Stamp) -> i64 {
        let base = if self.is_old(since) {
            self.old_base
        } else {
            self.base
        };
        (until.millis() - self.offset).saturating_add(base)
    }
}
