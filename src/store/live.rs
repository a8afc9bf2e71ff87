//! What passes between the store and whoever holds the truth: what there is to keep, and what came back.

use std::path::Path;

use ipnet::IpNet;

use crate::filter::{Kind, Proof};
use crate::limits::LONG_BAN_SECONDS;
use crate::tail::cursor::Position;
use crate::time::Mono;

/// A ban in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banned<'a> {
    /// The jail's name.
    pub jail: &'a str,
    /// Who is banned.
    pub net: IpNet,
    /// Since when; [`Mono`] 0 is before this boot.
    pub since: Mono,
    /// Until when; `None` is for ever.
    pub until: Option<Mono>,
    /// The surest proof behind it.
    pub proof: Proof,
    /// How many bans the same jail and network had before.
    pub count: u32,
}

impl Banned<'_> {
    /// Whether it has to outlive a reboot. How long a ban lasts that is from before this boot is not known.
    pub(super) fn is_long(&self) -> bool {
        let long = |until: Mono| until.seconds_since(self.since) >= LONG_BAN_SECONDS;
        self.since == Mono(0) || self.until.is_none_or(long)
    }
}

/// Bans that are over, and count when the next one is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past<'a> {
    /// The jail's name.
    pub jail: &'a str,
    /// Who was banned.
    pub net: IpNet,
    /// How many bans there were.
    pub bans: u32,
    /// When the last of them ended: milliseconds of the boot clock, negative before the boot.
    pub ended: i64,
}

/// What is kept of bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept<'a> {
    /// One in force.
    Ban(Banned<'a>),
    /// Those that are over.
    Past(Past<'a>),
}

/// A failure that is no ban yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The jail's name.
    pub jail: &'a str,
    /// Who failed, as failures are counted.
    pub net: IpNet,
    /// At what.
    pub kind: Kind,
    /// How sure it is.
    pub proof: Proof,
    /// Which attempt it is.
    pub attempt: u64,
    /// Which lines of it were read, as [`crate::guard::Kept`] has them. A failure that comes again with the same
    /// attempt and time takes the place of the one before.
    pub reports: [u32; 3],
    /// When it counted: milliseconds of the boot clock, negative before the boot.
    pub at: i64,
}

/// Who holds the truth in memory. The state file follows it, and is written anew from it.
///
/// A cursor is 0 at first, and then what came back with the last one; what is entered or removed meanwhile may come
/// or not, but what stays must come.
pub trait Live {
    /// The next ban in force, or the next that is over and still counts.
    fn kept_after(&self, cursor: u64) -> Option<(u64, Kept<'_>)>;
    /// The next failure that is no ban yet.
    fn failure_after(&self, cursor: u64) -> Option<(u64, Failed<'_>)>;
    /// How far each log was read, all lines before it given.
    fn positions(&self, each: &mut dyn FnMut(&Path, Position));
}

/// What came back from the state file, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored<'a> {
    /// A ban in force. It takes the place of one of the same jail and network that came before it; failures of them
    /// that are not younger than it are what it was made for, and count no more. And when it began, also if that was
    /// before this boot: milliseconds of the boot clock.
    Ban(Banned<'a>, i64),
    /// If there is a ban that did not begin after this, it has given way to another one, which is told, too, or was lost.
    /// Failures that are not younger count no more.
    Replaced {
        /// The jail's name.
        jail: &'a str,
        /// Who was banned.
        net: IpNet,
        /// When: milliseconds of the boot clock, negative before the boot.
        at: i64,
    },
    /// Bans that are over, as of the last of them: for the history.
    Past(Past<'a>),
    /// A ban was ended by hand at this time: if one came that is not younger, it is over, and its history forgotten.
    Unban {
        /// The jail's name.
        jail: &'a str,
        /// Who was banned.
        net: IpNet,
        /// When: milliseconds of the boot clock, negative before the boot.
        at: i64,
    },
    /// A failure that is no ban yet.
    Failure(Failed<'a>),
    /// How far a log was read. The last one of a path counts.
    Read {
        /// The log.
        path: &'a Path,
        /// Its position.
        position: Position,
    },
}
