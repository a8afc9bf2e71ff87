//! The table of bans: what shall be in the kernel, and what is known to be there.
//!
//! The table is the truth. Each ban knows whether the kernel holds it; whatever goes wrong there (a lost
//! answer, a flushed ruleset, a full set) makes it "wanted" again, and [`Bans::poll_effect`] asks for it again.

use ipnet::IpNet;

use super::deadlines::{Deadlines, Due as _};
use super::effect::{Change, Effect, JailId, Slot};
use super::index::{Index, Key, Seed};
use super::row::{Ban, Elsewhere, Queue, Row, Sync};
use super::slab::{List, NONE, Slab};
use super::tally::{Tallies, Tally};
use crate::time::Mono;

/// Rows beyond `maxbans`, for bans on their way out: one that is displaced stays until the kernel let go of it.
const LEAVING_MAX: u32 = 1_024;

/// How long after a refusal by the kernel a change is tried again, in seconds.
const RETRY_SECONDS: u64 = 1;

/// Bans looked at to find the next one to end where the first in the heap does not tell it.
const LOOKED_AT_MAX: usize = 1_024;

/// What became of a new ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It is in the table.
    New,
    /// It is in the table; this one, which would have ended soonest, made room for it.
    Displaced(Ban),
    /// The table is full of bans that this one may not displace.
    Full,
}

/// The table.
pub(crate) struct Bans {
    pub(super) rows: Slab<Row>,
    index: Index,
    deadlines: Deadlines,
    urgent: List,
    again: List,
    refused: List,
    retry_at: Mono,
    /// The longest time the kernel can hold an element, in milliseconds (ipset: 2,147,483 s).
    pub(super) longest_ms: u64,
    maxbans: u32,
    /// A bit for each jail whose bans reach less far if they are not proven.
    pub(super) by_proof: u32,
    tallies: Tallies,
}

impl Bans {
    pub(crate) fn new(maxbans: u32, by_proof: u32, seed: Seed) -> Bans {
        Bans {
            rows: Slab::new(maxbans + LEAVING_MAX),
            index: Index::new(seed),
            deadlines: Deadlines::new(maxbans),
            urgent: List::EMPTY,
            again: List::EMPTY,
            refused: List::EMPTY,
            retry_at: Mono(0),
            longest_ms: u64::MAX,
            maxbans,
            by_proof,
            tallies: Tallies::default(),
        }
    }

    pub(crate) fn set_longest(&mut self, longest_ms: u64) {
        self.longest_ms = longest_ms;
    }

    /// The ban of a network in a jail, if it is in force at `now`.
    pub(crate) fn find(&self, net: IpNet, jail: JailId, now: Mono) -> Option<Ban> {
        let row = self.rows.at(self.find_row(Key::new(net, jail))?);
        let ended = row.until().is_some_and(|until| until <= now);
        (!ended && !row.is_leaving()).then_some(row.ban())
    }

    /// All bans, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Ban> {
        self.rows()
            .filter(|(_, row)| !row.is_leaving())
            .map(|(_, row)| row.ban())
    }

    /// The next ban with a number of at least `from`, and the number to go on with.
    pub(crate) fn from(&self, from: u32) -> Option<(u32, Ban)> {
        let mut numbers = from..self.rows.ever_used();
        let id = numbers.find(|&id| self.is_live(id) && !self.rows.at(id).is_leaving())?;
        Some((id + 1, self.rows.at(id).ban()))
    }

    /// Bans that the kernel may have and shall not.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = Ban> {
        self.rows()
            .filter(|(_, row)| row.is_leaving())
            .map(|(_, row)| row.ban())
    }

    /// Bans in the table, without those on their way out.
    pub(crate) fn len(&self) -> u32 {
        self.tallies.all().bans()
    }

    /// Enters a ban, or gives the one that is there a new end.
    pub(crate) fn enter(&mut self, ban: Ban) -> Entered {
        let known = self.find_row(Key::new(ban.net, ban.jail));
        let in_force = known.is_some_and(|id| !self.rows.at(id).is_leaving());
        let full = !in_force && self.len() >= self.maxbans;
        let displaced = if full { self.displaceable(&ban) } else { None };
        let displaced = displaced.map(|id| self.rows.at(id).ban());
        if (full && displaced.is_none()) || (known.is_none() && self.rows.is_full()) {
            return Entered::Full;
        }
        if let Some(displaced) = displaced {
            self.lift(displaced.net, displaced.jail);
        }
        let Some(id) = known.or_else(|| self.insert(ban)) else {
            return Entered::Full;
        };
        self.set_ban(id, ban);
        displaced.map_or(Entered::New, Entered::Displaced)
    }

    fn insert(&mut self, ban: Ban) -> Option<u32> {
        self.put(Row::new(ban, Sync::Wanted, Elsewhere::Absent))
    }

    fn put(&mut self, row: Row) -> Option<u32> {
        let (key, jail, sync) = (row.key(), row.jail(), row.sync);
        let id = self.rows.insert(row)?;
        self.index.insert(key, id, |id| self.rows.at(id).key());
        *self.tallies.count(jail, sync.standing()) += 1;
        Some(id)
    }

    /// Enters a ban from elsewhere, unless one is there that lasts longer. `false`: it found no place.
    pub(crate) fn extend(&mut self, ban: Ban) -> bool {
        let known = self.find_row(Key::new(ban.net, ban.jail));
        let lasts = known.map(|id| self.rows.at(id)).is_some_and(|row| {
            let longer = match (row.until(), ban.until) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(one), Some(other)) => one >= other,
            };
            longer && !row.is_leaving()
        });
        lasts || self.enter(ban) != Entered::Full
    }

    /// Has the kernel let go of a ban from elsewhere, whether or not it is there.
    pub(crate) fn expel(&mut self, ban: Ban) {
        // With which reach it is there nobody knows.
        let elsewhere = match self.has_both(ban.jail) {
            true => Elsewhere::Unwanted,
            false => Elsewhere::Absent,
        };
        let row = Row::new(ban, Sync::Unwanted, elsewhere);
        if self.find_row(row.key()).is_some() {
            return;
        }
        if let Some(id) = self.put(row) {
            self.move_to(id, Queue::Urgent);
        }
    }

    /// Forgets a ban, whether or not the kernel has it.
    pub(crate) fn forget(&mut self, net: IpNet, jail: JailId) {
        if let Some(id) = self.find_row(Key::new(net, jail)) {
            self.drop_row(id);
        }
    }

    /// Ends a ban before its time.
    pub(crate) fn lift(&mut self, net: IpNet, jail: JailId) -> Option<Ban> {
        let id = self.find_row(Key::new(net, jail))?;
        let row = self.rows.at(id);
        if row.is_leaving() {
            return None;
        }
        let ban = row.ban();
        self.set_sync(id, Sync::Unwanted);
        self.deadlines.remove(&mut self.rows, id);
        self.move_to(id, Queue::Urgent);
        Some(ban)
    }

    /// The next ban whose time is over at `now`, taken out of the table. The kernel ends it by itself.
    pub(crate) fn expire(&mut self, now: Mono) -> Option<Ban> {
        loop {
            let id = self.deadlines.first(&self.rows)?;
            let row = self.rows.at(id);
            if row.due() > now {
                return None;
            }
            if row.until().is_some_and(|until| until <= now) {
                let ban = row.ban();
                if row.elsewhere == Elsewhere::Absent {
                    self.drop_row(id);
                } else {
                    self.lift(ban.net, ban.jail);
                }
                return Some(ban);
            }
            // The kernel's element ends before the ban does.
            self.schedule(id, Mono(u64::MAX));
            self.set_sync(id, Sync::Wanted);
            self.move_to(id, Queue::Again);
        }
    }

    /// The next change that the kernel needs, if any. Called until it returns `None` or the batch is full;
    /// what is not taken is asked for again.
    pub(crate) fn poll_effect(&mut self, now: Mono) -> Option<Effect> {
        if !self.refused.is_empty() && self.retry_at <= now {
            self.requeue_refused();
        }
        loop {
            let id = if self.urgent.is_empty() {
                self.again.first
            } else {
                self.urgent.first
            };
            if id == NONE {
                return None;
            }
            self.move_to(id, Queue::Nowhere);
            let row = self.rows.at(id);
            let (slot, jail, net, reach) = (Slot(id), row.jail(), row.ban().net, self.reach(&row.ban()));
            let effect = |reach, change| Effect {
                slot,
                jail,
                net,
                reach,
                change,
            };
            // First there, then no longer elsewhere; so that it is in force throughout.
            if row.sync != Sync::Wanted && row.elsewhere == Elsewhere::Unwanted {
                self.rows.at_mut(id).elsewhere = Elsewhere::Leaving;
                return Some(effect(reach.other(), Change::Delete));
            }
            if row.sync == Sync::Unwanted {
                self.set_sync(id, Sync::Leaving);
                return Some(effect(reach, Change::Delete));
            }
            if row.until().is_some_and(|until| until <= now) {
                // Over before the kernel ever had it; `expire` reports it.
                self.schedule(id, now);
                continue;
            }
            let timeout_ms = row
                .ban()
                .until
                .map(|until| until.millis_since(now).min(self.longest_ms));
            self.set_sync(id, Sync::Sent);
            self.schedule(id, now);
            return Some(effect(reach, Change::Add { timeout_ms }));
        }
    }

    /// The kernel's answer to an effect.
    pub(crate) fn acked(&mut self, slot: Slot, taken: bool, now: Mono) {
        let Slot(id) = slot;
        if !self.is_live(id) {
            return;
        }
        if self.rows.at(id).elsewhere == Elsewhere::Leaving {
            return self.acked_elsewhere(id, taken, now);
        }
        match (self.rows.at(id).sync, taken) {
            (Sync::Sent, true) => {
                self.set_sync(id, Sync::Held);
                if self.rows.at(id).elsewhere == Elsewhere::Unwanted {
                    self.move_to(id, Queue::Again);
                }
            }
            (Sync::Leaving, true) => self.drop_row(id),
            (Sync::Sent, false) => self.refuse(id, Sync::Wanted, now),
            (Sync::Leaving, false) => self.refuse(id, Sync::Unwanted, now),
            // The table changed its mind while the answer was under way.
            (Sync::Wanted | Sync::Held | Sync::Unwanted | Sync::Gone, _) => {}
        }
    }

    /// When something must be done next.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        let due = self.deadlines.first(&self.rows).map(|id| self.rows.at(id).due);
        let retry = (!self.refused.is_empty()).then_some(self.retry_at);
        match (due, retry) {
            (Some(due), Some(retry)) => Some(due.min(retry)),
            (due, retry) => due.or(retry),
        }
    }

    /// Whether [`Bans::poll_effect`] has something to say before the next deadline.
    pub(crate) fn has_effects(&self) -> bool {
        !self.urgent.is_empty() || !self.again.is_empty()
    }

    /// Whether a new decision waits for the kernel.
    pub(super) fn is_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// Bans that shall be in force and are not known to be.
    pub(crate) fn not_in_force(&self) -> u32 {
        self.tallies.all().not_in_force
    }

    /// How many bans there are, and how they stand.
    pub(crate) fn whole_tally(&self) -> Tally {
        self.tallies.all()
    }

    /// How many bans of a jail there are, and how they stand.
    pub(crate) fn tally(&self, jail: JailId) -> Tally {
        self.tallies.of(jail)
    }

    /// The ban of a network in a jail and whether the kernel is known to have it; `None`, too, if it is on its way out.
    pub(crate) fn standing(&self, net: IpNet, jail: JailId) -> Option<(Ban, bool)> {
        self.at(self.find_row(Key::new(net, jail))?)
    }

    /// The ban with this number, and whether the kernel is known to have it.
    pub(crate) fn at(&self, id: u32) -> Option<(Ban, bool)> {
        let row = self.rows.get(id)?;
        let shown = self.is_live(id) && !row.is_leaving();
        shown.then_some((row.ban(), row.sync == Sync::Held))
    }

    /// The numbers of bans are below this.
    pub(crate) fn numbers(&self) -> u32 {
        self.rows.ever_used()
    }

    /// The ban of a jail that ends first. Exact, but where the kernel cannot hold bans as long as they last and more
    /// than [`LOOKED_AT_MAX`] such bans are to be sent again before any ban ends.
    pub(crate) fn next_to_end(&self, jail: JailId) -> Option<Ban> {
        let heap = self.deadlines.heap(usize::from(jail.0));
        let first = self.rows.at(*heap.first()?);
        if first.until() == Some(first.due) {
            return Some(first.ban());
        }
        let looked_at = heap.iter().take(LOOKED_AT_MAX).map(|&id| self.rows.at(id).ban());
        looked_at.min_by_key(|ban| ban.until)
    }

    /// The rows in use.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, &Row)> {
        let rows = (0..self.rows.ever_used()).filter(|&id| self.is_live(id));
        rows.map(|id| (id, self.rows.at(id)))
    }

    pub(super) fn is_live(&self, id: u32) -> bool {
        self.rows.get(id).is_some_and(|row| row.sync != Sync::Gone)
    }

    pub(super) fn find_row(&self, key: Key) -> Option<u32> {
        self.index.find(key, |id| self.rows.at(id).key())
    }

    /// The ban that a new one may displace when the table is full: the one that ends soonest, unless it is
    /// proven and the new one is not (rule R6). Bans for ever are never displaced.
    fn displaceable(&self, ban: &Ban) -> Option<u32> {
        let id = self.deadlines.first(&self.rows)?;
        let soonest = self.rows.at(id).ban();
        (soonest.until.is_some() && (ban.proof.is_proven() || !soonest.proof.is_proven())).then_some(id)
    }

    /// The kernel shall have this ban, as it is in the table.
    pub(super) fn want(&mut self, id: u32) {
        self.set_sync(id, Sync::Wanted);
        self.move_to(id, Queue::Urgent);
        self.schedule(id, Mono(u64::MAX));
    }

    /// Sets when the ban must be looked at again; `sent` is when the kernel got it.
    fn schedule(&mut self, id: u32, sent: Mono) {
        self.deadlines.remove(&mut self.rows, id);
        let row = self.rows.at_mut(id);
        if let Some(until) = row.until() {
            // Half the kernel's longest time leaves the other half for a kernel that refuses for a while.
            row.due = until.min(Mono(sent.0.saturating_add(self.longest_ms / 2)));
            self.deadlines.insert(&mut self.rows, id);
        }
    }

    pub(super) fn set_sync(&mut self, id: u32, sync: Sync) {
        let row = self.rows.at_mut(id);
        let before = core::mem::replace(&mut row.sync, sync);
        *self.tallies.count(row.jail(), before.standing()) -= 1;
        *self.tallies.count(row.jail(), sync.standing()) += 1;
    }

    fn refuse(&mut self, id: u32, sync: Sync, now: Mono) {
        self.set_sync(id, sync);
        self.try_later(id, now);
    }

    pub(super) fn try_later(&mut self, id: u32, now: Mono) {
        if self.refused.is_empty() {
            self.retry_at = now.plus_seconds(RETRY_SECONDS);
        }
        self.move_to(id, Queue::Refused);
    }

    pub(super) fn requeue_refused(&mut self) {
        while !self.refused.is_empty() {
            self.move_to(self.refused.first, Queue::Again);
        }
    }

    fn drop_row(&mut self, id: u32) {
        self.move_to(id, Queue::Nowhere);
        self.deadlines.remove(&mut self.rows, id);
        let row = self.rows.at(id);
        *self.tallies.count(row.jail(), row.sync.standing()) -= 1;
        self.index.remove(row.key(), |id| self.rows.at(id).key());
        self.rows.at_mut(id).sync = Sync::Gone;
        self.rows.release(id);
    }

    pub(super) fn move_to(&mut self, id: u32, queue: Queue) {
        let from = self.rows.at(id).queue;
        if let Some((list, rows)) = self.list(from) {
            list.remove(rows, id);
        }
        if let Some((list, rows)) = self.list(queue) {
            list.push(rows, id);
        }
        self.rows.at_mut(id).queue = queue;
    }

    fn list(&mut self, queue: Queue) -> Option<(&mut List, &mut Slab<Row>)> {
        let list = match queue {
            Queue::Nowhere => return None,
            Queue::Urgent => &mut self.urgent,
            Queue::Again => &mut self.again,
            Queue::Refused => &mut self.refused,
        };
        Some((list, &mut self.rows))
    }
}
