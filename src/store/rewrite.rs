//! Writes a state file anew from what is true, a slice at a time: when it is wasteful, was damaged, or was lost.

use super::chain::Moment;
use super::disk::Disk;
use super::ledger::Ledger;
use super::live::{Kept, Live, Past};
use super::record::Record;
use crate::limits::{STORE_FAILURES_MAX, STORE_REWRITE_BYTES_MIN, STORE_SLICE_BYTES};

/// Failures of the new file between two commits.
const FAILURES_PER_COMMIT: u32 = 256;

impl<D: Disk> Ledger<D> {
    pub(super) fn go_on_rewriting(&mut self, now: Moment, live: &dyn Live) {
        if !self.journal.is_rewriting() {
            let retry = self.journal.retry_at().is_some_and(|at| at <= now.mono);
            if !retry && !self.is_wasteful(now, live) {
                return;
            }
            self.begin_rewriting(now);
        }
        self.rewrite_step(now, live);
    }

    /// Whether the file is to be written anew: it is more than twice as long as what is needed of it. Only between
    /// two groups, so that both files have the same clock record in force.
    fn is_wasteful(&mut self, now: Moment, live: &dyn Live) -> bool {
        let between = self.lines.is_empty() && self.open == 0 && self.clock.is_some() && !self.clock_set;
        if !between || self.journal.is_failing() || !self.journal.may_rewrite(now.mono) {
            return false;
        }
        let size = self.journal.size();
        if self.wants_rewrite {
            return true;
        }
        if size <= STORE_REWRITE_BYTES_MIN.max(self.count_at) {
            return false;
        }
        self.count_at = size + STORE_REWRITE_BYTES_MIN;
        size > 2 * self.record_bytes.saturating_mul(self.count(live))
    }

    /// How many records there would be in a new file.
    fn count(&self, live: &dyn Live) -> u64 {
        let (mut count, mut cursor) = (0, 0);
        while let Some((next, kept)) = live.kept_after(cursor) {
            count += u64::from(self.holds(&kept));
            cursor = next;
        }
        cursor = 0;
        while let Some((next, _)) = live.failure_after(cursor).filter(|_| self.part.holds_failures()) {
            count += 1;
            cursor = next;
        }
        count
    }

    pub(super) fn holds(&self, kept: &Kept<'_>) -> bool {
        match kept {
            Kept::Ban(ban) => self.part.holds_ban(ban),
            Kept::Past(_) => self.part.holds_history(),
        }
    }

    pub(super) fn begin_rewriting(&mut self, now: Moment) {
        let offset = if self.journal.is_failing() {
            now.offset()
        } else {
            self.clock.unwrap_or(now.offset())
        };
        let mut clock = Vec::new();
        self.write_clock(offset, now, &mut clock);
        self.journal.begin_rewrite(&clock, now.mono);
        self.cursor = self.journal.is_rewriting().then_some(0);
        self.kept = 0;
        self.check();
    }

    /// Puts up to a slice of what is kept into the new file; at the end, in one piece, what counts together.
    pub(super) fn rewrite_step(&mut self, now: Moment, live: &dyn Live) {
        if let Some(mut cursor) = self.cursor {
            while self
                .journal
                .backlog()
                .is_some_and(|backlog| backlog.len() < STORE_SLICE_BYTES)
            {
                let Some((next, kept)) = live.kept_after(cursor) else {
                    self.complete(now, live);
                    break;
                };
                cursor = next;
                self.cursor = Some(cursor);
                self.keep(&kept, now);
            }
        }
        if self.journal.step(now.mono) {
            self.wants_rewrite = false;
            let size = self.journal.size();
            self.count_at = size + STORE_REWRITE_BYTES_MIN;
            self.record_bytes = size.checked_div(self.kept).unwrap_or(self.record_bytes);
        }
        if !self.journal.is_rewriting() {
            self.cursor = None;
        }
        self.check();
    }

    /// Puts a record of what is kept into the new file.
    fn keep(&mut self, kept: &Kept<'_>, now: Moment) {
        if !self.holds(kept) {
            return;
        }
        self.kept += 1;
        let start = self.lines.len();
        match kept {
            Kept::Ban(ban) => self.write_ban(ban),
            Kept::Past(Past {
                jail,
                net,
                bans,
                ended,
            }) => {
                // A ban that ended before its time may be told with the end that it would have had.
                let at = self.stamp(now.mono().min(*ended));
                let (jail, net, bans) = (jail.as_bytes(), *net, *bans);
                Record::Past { jail, net, at, bans }.write(&mut self.lines);
            }
        }
        self.move_to_backlog(start);
    }

    fn move_to_backlog(&mut self, start: usize) {
        if let Some(backlog) = self.journal.backlog() {
            backlog.extend_from_slice(self.lines.get(start..).unwrap_or_default());
        }
        self.lines.truncate(start);
    }

    /// Puts failures and positions into the new file. The old one gets before what it lacks of them, so that none is
    /// on the way.
    fn complete(&mut self, now: Moment, live: &dyn Live) {
        self.cursor = None;
        self.flush(now, live);
        if !self.journal.is_rewriting() {
            return;
        }
        let (mut cursor, mut count) = (0, 0_u32);
        while let Some((next, failed)) = live.failure_after(cursor).filter(|_| self.part.holds_failures()) {
            cursor = next;
            count += 1;
            self.open += u32::from(self.write_failure(&failed));
            if self.open >= FAILURES_PER_COMMIT {
                self.commit(now);
            }
            if count >= STORE_FAILURES_MAX {
                break;
            }
        }
        if self.part.holds_failures() {
            self.write_positions(now, live);
        }
        self.kept += u64::from(count);
        self.move_to_backlog(0);
        self.journal.is_whole();
    }
}
