//! One state file and what belongs into it: lines are collected, and written together.

use std::os::unix::ffi::OsStrExt as _;

use super::chain::{Moment, Present, has_jumped, millis};
use super::disk::Disk;
use super::journal::Journal;
use super::live::{Banned, Failed, Live, Restored};
use super::notice::{Notice, What};
use super::record::{BootId, Clock, Record};
use super::restore;
use super::stamp::Stamp;
use crate::limits::{STORE_BOOTS_REWRITE, STORE_FAILURES_PER_COMMIT, STORE_FLUSH_SECONDS, STORE_SLICE_BYTES};
use crate::time::Mono;

/// What belongs into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// There is one file, and everything is in it.
    All,
    /// Bans that must outlive a reboot, and the history.
    Long,
    /// Short bans, failures, and how far logs were read.
    Short,
}

impl Part {
    pub(super) fn holds_ban(self, ban: &Banned<'_>) -> bool {
        match self {
            Part::All => true,
            Part::Long => ban.is_long(),
            Part::Short => !ban.is_long(),
        }
    }

    pub(super) fn holds_history(self) -> bool {
        self != Part::Short
    }

    pub(super) fn holds_failures(self) -> bool {
        self != Part::Long
    }
}

#[derive(Debug)]
pub(super) struct Ledger<D> {
    pub(super) journal: Journal<D>,
    pub(super) part: Part,
    pub(super) boot: BootId,
    pub(super) present: Present,
    /// What is to be written: whole lines.
    pub(super) lines: Vec<u8>,
    /// Failures and positions since the last commit, written or to be written.
    pub(super) open: u32,
    /// What the wall clock was ahead of the boot clock in the clock record in force. `None`: there is none of ours.
    pub(super) clock: Option<i64>,
    /// What is known of how long the machine was away has changed.
    pub(super) clock_set: bool,
    /// There is something in `lines` that must be on the medium before it is announced.
    pub(super) urgent: bool,
    /// And together with it how far the logs were read.
    pub(super) urgent_commit: bool,
    /// Since when something waits to be written.
    pub(super) dirty: Option<Mono>,
    /// Failures since the last commit, and how many of them were left out.
    pub(super) failures: u32,
    pub(super) left_out: u64,
    /// How far what is kept is in the new file, and how many records that are.
    pub(super) cursor: Option<u64>,
    pub(super) kept: u64,
    /// Write the file anew as soon as it can be done.
    pub(super) wants_rewrite: bool,
    /// At this length of the file it is counted how much of it is still needed.
    pub(super) count_at: u64,
    /// The usual length of a record, in bytes.
    pub(super) record_bytes: u64,
}

fn is_due(since: Mono, now: Moment) -> bool {
    since.plus_seconds(STORE_FLUSH_SECONDS) <= now.mono
}

/// The length of a record with a short jail name, in bytes, while nothing better is known.
const RECORD_BYTES: u64 = 160;

impl<D: Disk> Ledger<D> {
    /// Reads the file; `each` gets everything that counts. `begun`: another file knows of this boot since this instant.
    pub(super) fn open(
        disk: D,
        part: Part,
        (boot, begun): (BootId, Option<i64>),
        now: Moment,
        buffer: &mut [u8],
        each: &mut dyn FnMut(Restored<'_>),
    ) -> Ledger<D> {
        let mut journal = Journal::open(disk);
        let loaded = restore::load(&mut journal, buffer, (boot, begun), now, each);
        let wants_rewrite = loaded.damaged > 0 || loaded.boots > STORE_BOOTS_REWRITE;
        Ledger {
            record_bytes: journal.size().checked_div(loaded.records).unwrap_or(RECORD_BYTES),
            journal,
            part,
            boot,
            present: loaded.present,
            lines: Vec::new(),
            open: 0,
            clock: None,
            clock_set: loaded.present.jumped,
            urgent: false,
            urgent_commit: loaded.present.jumped,
            dirty: wants_rewrite.then_some(now.mono),
            failures: 0,
            left_out: 0,
            cursor: None,
            kept: 0,
            wants_rewrite,
            count_at: 0,
        }
    }

    /// Since when this file knows of this boot.
    pub(super) fn begun(&self) -> i64 {
        self.present.first
    }

    /// Notes a new ban, if it belongs here.
    pub(super) fn ban(&mut self, ban: &Banned<'_>, now: Moment) {
        if !self.part.holds_ban(ban) {
            return self.spent(ban, now);
        }
        if self.begin(now) {
            self.write_ban(ban);
            self.urgent |= ban.is_long();
            self.touch(now);
        }
    }

    /// Notes that failures brought a ban that is in the other file. That one forgets it when it is over and the file is
    /// written anew; they would count again then.
    fn spent(&mut self, ban: &Banned<'_>, now: Moment) {
        if self.part.holds_failures() && self.begin(now) {
            let (jail, net, at) = (ban.jail.as_bytes(), ban.net, self.stamp(millis(ban.since)));
            Record::Past {
                jail,
                net,
                at,
                bans: 0,
            }
            .write(&mut self.lines);
            // Together with the ban: nobody writes it later.
            self.urgent = true;
            self.touch(now);
        }
    }

    /// Notes that a ban ended before its time.
    pub(super) fn unban(&mut self, ban: &Banned<'_>, now: Moment) {
        if self.part.holds_ban(ban) || ban.since == Mono(0) {
            self.end(ban, None, now);
            (self.urgent, self.urgent_commit) = (true, true);
        }
    }

    /// Notes that a ban made room for another.
    pub(super) fn displaced(&mut self, ban: &Banned<'_>, now: Moment) {
        if self.part.holds_ban(ban) || ban.since == Mono(0) {
            let bans = ban.count.saturating_add(1);
            self.end(ban, self.part.holds_history().then_some(bans), now);
        }
    }

    /// Notes that a ban gave way to another one of the same network: else it would come back after a shorter one. The
    /// other one may be in another file, and is told from it by its time.
    pub(super) fn replaced(&mut self, ban: &Banned<'_>, now: Moment) {
        let is_here = self.part.holds_ban(ban) || ban.since == Mono(0);
        if is_here && self.begin(now) {
            let (jail, net, bans) = (ban.jail.as_bytes(), ban.net, ban.count.saturating_add(1));
            let at = self.end_of(ban, now);
            Record::Past { jail, net, at, bans }.write(&mut self.lines);
            self.urgent = true;
            self.touch(now);
        }
    }

    /// When a ban ends that ends now: before one that begins now, which may be in another file.
    fn end_of(&self, ban: &Banned<'_>, now: Moment) -> Stamp {
        self.stamp(now.mono().saturating_sub(1).max(millis(ban.since)))
    }

    fn end(&mut self, ban: &Banned<'_>, bans: Option<u32>, now: Moment) {
        if !self.begin(now) {
            return;
        }
        let (jail, net, at) = (ban.jail.as_bytes(), ban.net, self.end_of(ban, now));
        Record::Unban { jail, net, at }.write(&mut self.lines);
        if let Some(bans) = bans {
            Record::Past { jail, net, at, bans }.write(&mut self.lines);
        }
        self.touch(now);
    }

    /// Failures have changed: they are to be written before long.
    pub(super) fn failures_changed(&mut self, now: Moment) {
        if self.part.holds_failures() && !self.journal.is_lost() {
            self.dirty.get_or_insert(now.mono);
        }
    }

    /// Where the logs are is to be on the medium at the end of the turn.
    pub(super) fn positions_changed(&mut self) {
        self.urgent_commit |= self.part.holds_failures() && !self.journal.is_lost();
    }

    /// Notes a failure.
    pub(super) fn failure(&mut self, failed: &Failed<'_>, now: Moment) {
        if !self.part.holds_failures() {
            return;
        }
        let proven = failed.proof.is_proven();
        let most = STORE_FAILURES_PER_COMMIT * (1 + u32::from(proven));
        if self.failures >= most {
            self.left_out += 1;
            return;
        }
        if !self.begin(now) {
            return;
        }
        if self.write_failure(failed) {
            self.failures += 1;
            self.open += 1;
        }
        self.touch(now);
    }

    /// The wall clock was set. Returns how much longer the machine was away than was thought. That it was set must
    /// be on the medium: by the clock before, all bans in the file would seem to be over, or never to be.
    pub(super) fn clock_was_set(&mut self, now: Moment) -> i64 {
        let longer = self.present.set(now);
        // A file that does not know of this boot would have its bans end by a clock that is not believed.
        let misleads = self.journal.size() > 0 && self.present.is_misled_by(now);
        let knows = self.clock.is_some() || self.present.is_known;
        if (knows || misleads) && !self.journal.is_lost() {
            (self.clock_set, self.urgent_commit) = (true, true);
        }
        longer
    }

    /// Brings to the medium what must be there before it is announced. Where the logs are is not written.
    pub(super) fn flush_urgent(&mut self) {
        if !self.urgent {
            return;
        }
        self.urgent = false;
        self.write_lines();
        self.journal.sync();
        self.check();
    }

    /// What is due at the end of a turn, when every line that was read has been counted.
    pub(super) fn end_turn(&mut self, now: Moment, live: &dyn Live) {
        let due = |since: Mono| is_due(since, now);
        if self.urgent || self.urgent_commit {
            self.flush(now, live);
            self.journal.sync();
            self.check();
        } else if self.dirty.is_some_and(due) || (self.open > 0 && self.journal.is_rewriting()) {
            self.flush(now, live);
        }
        self.go_on_rewriting(now, live);
    }

    /// The last thing that is done. A journal that is failing is tried once more.
    pub(super) fn stop(&mut self, now: Moment, live: &dyn Live) {
        if !self.journal.is_failing() {
            self.journal.end_rewrite();
            self.cursor = None;
            self.flush(now, live);
            return self.journal.sync();
        }
        self.begin_rewriting(now);
        while self.journal.is_rewriting() {
            self.rewrite_step(now, live);
        }
    }

    /// Whether failures that are given now are committed in this turn. Others are not to be given: a ban between a
    /// failure and its commit would seem to be older than the failure.
    pub(super) fn takes_failures(&self, now: Moment) -> bool {
        let due = self.dirty.is_some_and(|since| is_due(since, now));
        let now = self.urgent || self.urgent_commit || due || self.journal.is_rewriting();
        self.part.holds_failures() && (now || self.journal.is_failing())
    }

    /// When to come back although nothing happened.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        if self.urgent || self.urgent_commit || self.journal.is_rewriting() {
            return Some(Mono(0));
        }
        let flush = self.dirty.map(|since| since.plus_seconds(STORE_FLUSH_SECONDS));
        [flush, self.journal.retry_at()].into_iter().flatten().min()
    }

    pub(super) fn notice(&mut self) -> Option<Notice> {
        self.journal.notice()
    }

    pub(super) fn is_failing(&self) -> bool {
        self.journal.is_failing()
    }

    /// Begins a group of lines. `false`: they would go nowhere, and need not be made.
    pub(super) fn begin(&mut self, now: Moment) -> bool {
        if self.journal.is_lost() {
            return false;
        }
        let offset = now.offset();
        let fresh = self.lines.is_empty() && self.open == 0;
        if self.clock.is_none()
            || fresh && (self.clock_set || self.clock.is_some_and(|clock| has_jumped(clock, now)))
        {
            let mut lines = core::mem::take(&mut self.lines);
            self.write_clock(offset, now, &mut lines);
            self.lines = lines;
        }
        true
    }

    pub(super) fn write_clock(&mut self, offset: i64, now: Moment, out: &mut Vec<u8>) {
        self.clock = Some(offset);
        self.clock_set = false;
        let clock = Clock {
            boot: self.boot,
            mono: now.mono(),
            wall: Stamp::new(now.mono().saturating_add(offset)),
            away: self.present.away,
        };
        Record::Clock(clock).write(out);
    }

    pub(super) fn stamp(&self, mono: i64) -> Stamp {
        Stamp::new(mono.saturating_add(self.clock.unwrap_or(0)))
    }

    pub(super) fn write_ban(&mut self, ban: &Banned<'_>) {
        Record::Ban {
            jail: ban.jail.as_bytes(),
            net: ban.net,
            since: self.stamp(millis(ban.since)),
            until: ban.until.map(|until| self.stamp(millis(until))),
            count: ban.count,
            proof: ban.proof,
        }
        .write(&mut self.lines);
    }

    pub(super) fn write_failure(&mut self, failed: &Failed<'_>) -> bool {
        Record::Failure {
            jail: failed.jail.as_bytes(),
            net: failed.net,
            kind: failed.kind,
            proof: failed.proof,
            attempt: failed.attempt,
            reports: failed.reports,
            at: self.stamp(failed.at),
        }
        .write(&mut self.lines)
    }

    pub(super) fn write_positions(&mut self, now: Moment, live: &dyn Live) {
        let (lines, open) = (&mut self.lines, &mut self.open);
        live.positions(&mut |path, position| {
            let path = path.as_os_str().as_bytes();
            *open += u32::from(Record::Read { path, position }.write(lines));
        });
        self.commit(now);
    }

    pub(super) fn commit(&mut self, now: Moment) {
        let (count, at) = (core::mem::take(&mut self.open), self.stamp(now.mono()));
        Record::Commit { count, at }.write(&mut self.lines);
    }

    /// Something waits to be written. A lot of it is written early; failures do not count before their commit.
    pub(super) fn touch(&mut self, now: Moment) {
        self.dirty.get_or_insert(now.mono);
        if self.lines.len() >= STORE_SLICE_BYTES {
            self.write_lines();
        }
    }

    pub(super) fn write_lines(&mut self) {
        self.journal.append(&self.lines);
        self.lines.clear();
        self.check();
    }

    /// A journal that is failing takes nothing, and forgets what it took since its last commit.
    pub(super) fn check(&mut self) {
        if self.journal.is_lost() {
            self.lines = Vec::new();
            (self.open, self.clock, self.cursor) = (0, None, None);
            (self.urgent, self.urgent_commit, self.dirty) = (false, false, None);
            self.clock_set = false;
        }
    }

    /// Writes what waits, and how far the logs were read.
    pub(super) fn flush(&mut self, now: Moment, live: &dyn Live) {
        let wanted = self.part.holds_failures() || self.clock_set || !self.lines.is_empty();
        if wanted && self.begin(now) {
            if self.part.holds_failures() {
                self.write_positions(now, live);
            }
            self.write_lines();
            // It waited for the end of this group.
            if self.clock_set && self.begin(now) {
                self.write_lines();
            }
        }
        if self.lines.capacity() > 2 * STORE_SLICE_BYTES {
            self.lines = Vec::new();
        }
        (self.urgent, self.urgent_commit, self.dirty) = (false, false, None);
        self.failures = 0;
        let left_out = core::mem::take(&mut self.left_out);
        if left_out > 0 {
            self.journal.tell(What::Unsaved(left_out));
        }
    }
}
