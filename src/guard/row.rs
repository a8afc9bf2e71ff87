//! One ban in the table, and how the kernel stands to it.

use ipnet::IpNet;

use super::deadlines::Due;
use super::effect::JailId;
use super::index::Key;
use super::slab::{Linked, Links};
use super::tally::Standing;
use crate::filter::Proof;
use crate::time::Mono;

/// A ban, as others may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who is banned.
    pub net: IpNet,
    /// By which jail.
    pub jail: JailId,
    /// Since when.
    pub since: Mono,
    /// Until when; `None` is for ever.
    pub until: Option<Mono>,
    /// The surest proof behind it; of one by hand [`Proof::Transport`].
    pub proof: Proof,
    /// Somebody asked for it: `sipguard ban`.
    pub by_hand: bool,
}

/// How the table and the kernel stand to each other, for one ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// The kernel shall have it and does not, or not for long enough.
    Wanted,
    /// The kernel was asked to have it; no answer yet.
    Sent,
    /// The kernel has it.
    Held,
    /// The kernel may have it and shall not.
    Unwanted,
    /// The kernel was asked not to have it; no answer yet.
    Leaving,
    /// It is in the table no longer: a row that waits to be used again.
    Gone,
}

impl Sync {
    pub(super) fn standing(self) -> Standing {
        match self {
            Sync::Wanted | Sync::Sent => Standing::Awaited,
            Sync::Held => Standing::InForce,
            // What is gone is not counted at all.
            Sync::Unwanted | Sync::Leaving | Sync::Gone => Standing::Leaving,
        }
    }
}

/// Which list a ban stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Nowhere,
    /// New decisions: first to the kernel.
    Urgent,
    /// What the kernel lost: after the new decisions.
    Again,
    /// Refused by the kernel: after a pause.
    Refused,
}

pub(super) struct Row {
    pub(super) ban: Ban,
    pub(super) sync: Sync,
    pub(super) queue: Queue,
    /// The audit that goes on has found it in the kernel.
    pub(super) seen: bool,
    /// When something must happen: the end of the ban, or of the longest time the kernel can hold it.
    pub(super) due: Mono,
    pub(super) place: u32,
    pub(super) queued: Links,
}

impl Row {
    pub(super) fn key(&self) -> Key {
        Key::new(self.ban.net, self.ban.jail)
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.sync, Sync::Unwanted | Sync::Leaving)
    }
}

const QUEUED: usize = 0;

impl Linked<QUEUED> for Row {
    fn links(&self) -> Links {
        self.queued
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.queued
    }
}

impl Due for Row {
    fn due(&self) -> Mono {
        self.due
    }
    fn place(&self) -> u32 {
        self.place
    }
    fn set_place(&mut self, place: u32) {
        self.place = place;
    }
    fn heap(&self) -> usize {
        usize::from(self.ban.jail.0)
    }
}
