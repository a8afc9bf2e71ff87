//! What survives a restart: bans, their history, failures, and how far the logs were read.
//!
//! The truth is in memory; the state file follows it. [`Store`] is what the loop talks to, [`Live`] is how the file
//! is written anew, [`Restored`] what comes back. Bans that must outlive a reboot are on the medium before they are
//! announced; everything else is written together, at most once in [`STORE_FLUSH_SECONDS`], and nothing at all while
//! nothing changes. What cannot be written is said once, and is written as soon as it can be.
//!
//! `record.rs` has the format, `load.rs` which records count, `chain.rs` what their times mean after a reboot with
//! whatever wall clock; `journal.rs` is a file that grows until it is written anew, on a [`Disk`].
//!
//! [`STORE_FLUSH_SECONDS`]: crate::limits::STORE_FLUSH_SECONDS
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod chain;
pub mod crc;
pub mod disk;
mod journal;
mod ledger;
mod live;
mod load;
pub mod memory;
mod notice;
pub mod record;
mod restore;
mod rewrite;
pub mod stamp;
#[cfg(test)]
mod tests;

pub use chain::Moment;
pub use disk::Disk;
pub use live::{Banned, Failed, Kept, Live, Past, Restored};
pub use notice::{Notice, What};
pub use record::BootId;

use crate::limits::{HISTORY_REST_SECONDS, READ_BUFFER_BYTES};
use crate::sys::pages::Pages;
use crate::time::Mono;
use ledger::{Ledger, Part};

/// The state files.
#[derive(Debug)]
pub struct Store<D> {
    /// The short one first: what is in the long one is worth more, and has the last word.
    ledgers: Vec<Ledger<D>>,
    started: Mono,
}

/// The wall clock was set, and it is known by now how long the machine was away before this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Every ban in force with `since` [`Mono`] 0 (it is from before this boot), and every failure from before this
    /// boot, is so many milliseconds older than was thought: their ends come so much earlier (negative: later).
    pub older_by: i64,
}

impl<D: Disk> Store<D> {
    /// Reads the state files and tells everything that counts. `long` is `dbfile`; `short`, if there is one, gets
    /// what need not outlive a reboot. No file is changed or made, but for the repair of what a crash left.
    pub fn open(
        long: D,
        short: Option<D>,
        boot: BootId,
        now: Moment,
        each: &mut dyn FnMut(Restored<'_>),
    ) -> Store<D> {
        let mut buffer = Pages::new(READ_BUFFER_BYTES);
        let mut open = |disk, part, begun| Ledger::open(disk, part, (boot, begun), now, &mut buffer, each);
        let part = if short.is_some() { Part::Long } else { Part::All };
        let mut ledgers = Vec::with_capacity(2);
        ledgers.extend(short.map(|disk| open(disk, Part::Short, None)));
        // The long file may have nothing of this boot. What is in it was before all that the short one has of it.
        let begun = ledgers.first().map(Ledger::begun);
        ledgers.push(open(long, part, begun));
        Store {
            ledgers,
            started: now.mono,
        }
    }

    /// Notes a new ban.
    pub fn ban(&mut self, ban: &Banned<'_>, now: Moment) {
        self.each(|ledger| ledger.ban(ban, now));
    }

    /// Notes that a ban was ended before its time, and is forgiven.
    pub fn unban(&mut self, ban: &Banned<'_>, now: Moment) {
        self.each(|ledger| ledger.unban(ban, now));
    }

    /// Notes that a ban ended before its time to make room for another. It counts as an earlier one.
    pub fn displaced(&mut self, ban: &Banned<'_>, now: Moment) {
        self.each(|ledger| ledger.displaced(ban, now));
    }

    /// Notes that a ban gave way to another one of the same jail and network, perhaps a shorter one, which is noted
    /// next. It counts as an earlier one.
    pub fn replaced(&mut self, ban: &Banned<'_>, now: Moment) {
        self.each(|ledger| ledger.replaced(ban, now));
    }

    /// Failures that are no ban have changed, and are to be given with [`Store::failure`] when
    /// [`Store::next_deadline`] has come.
    pub fn failures_changed(&mut self, now: Moment) {
        self.each(|ledger| ledger.failures_changed(now));
    }

    /// A log was opened whose position the file may not hold: a crash before it does would lose what is written to
    /// the log until the next start. To be on the medium at the end of the turn.
    pub fn positions_changed(&mut self) {
        self.each(Ledger::positions_changed);
    }

    /// Whether failures are to be given before [`Store::end_turn`] of this turn, and not later.
    #[must_use]
    pub fn takes_failures(&self, now: Moment) -> bool {
        self.ledgers.iter().any(|ledger| ledger.takes_failures(now))
    }

    /// Notes a failure that is no ban.
    pub fn failure(&mut self, failed: &Failed<'_>, now: Moment) {
        self.each(|ledger| ledger.failure(failed, now));
    }

    /// Brings to the medium what must be there before it is announced. Cheap if there is nothing. May be called in
    /// the middle of a turn, when lines were read that have not been counted.
    pub fn flush_urgent(&mut self) {
        self.each(Ledger::flush_urgent);
    }

    /// Does what is due. To be called at the end of every turn: every line before the positions of `live` has been
    /// counted, and nothing behind them.
    pub fn end_turn(&mut self, now: Moment, live: &dyn Live) {
        self.each(|ledger| ledger.end_turn(now, live));
    }

    /// Writes everything, and waits until it is on the medium.
    pub fn stop(&mut self, now: Moment, live: &dyn Live) {
        self.each(|ledger| ledger.stop(now, live));
    }

    /// The wall clock was set, or may have been.
    pub fn clock_was_set(&mut self, now: Moment) -> Option<Correction> {
        let longer = self.ledgers.iter_mut().map(|ledger| ledger.clock_was_set(now));
        // The long file has the last word here, too.
        let older_by = longer.fold(0, |short, long| if long == 0 { short } else { long });
        (older_by != 0).then_some(Correction { older_by })
    }

    /// When [`Store::end_turn`] is to be called although nothing happened. `None` while nothing waits.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.ledgers.iter().filter_map(Ledger::next_deadline).min()
    }

    /// Whether the history may forget what is older than `dbpurgeage`: not soon after a start, nor while the wall
    /// clock is wrong.
    #[must_use]
    pub fn may_purge(&self, now: Moment) -> bool {
        now.mono >= self.started.plus_seconds(HISTORY_REST_SECONDS) && now.has_plausible_wall()
    }

    /// Whether a file cannot be written at the moment, for `status`.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.ledgers.iter().any(Ledger::is_failing)
    }

    /// The next thing that the log should say.
    pub fn notice(&mut self) -> Option<Notice> {
        self.ledgers.iter_mut().find_map(Ledger::notice)
    }

    fn each(&mut self, act: impl FnMut(&mut Ledger<D>)) {
        self.ledgers.iter_mut().for_each(act);
    }
}
