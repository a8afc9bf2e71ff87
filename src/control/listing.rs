//! What `status` shows, and in which order: a cursor that goes through a [`View`] of the guard in pieces, so that a
//! list of any length needs the memory of one piece.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use core::net::IpAddr;
use std::borrow::Cow;

use super::client::Pulled;
use super::json::Json;
use super::text::Text;
use crate::guard::{Ban, JailId, Stats, Summary, Tally, Trust, Why};
use crate::limits::{ANSWER_BYTES, NUMBERS_PER_PIECE};
use crate::time::{Mono, Wall};

/// What there is to be shown.
pub trait View {
    /// Now, by both clocks.
    fn clock(&self) -> Clock;
    /// What concerns all jails.
    fn whole(&self) -> Whole<'_>;
    /// One jail.
    fn jail(&self, jail: JailId) -> Option<Jail<'_>>;
    /// One of a jail's log files, by its place among them.
    fn file(&self, jail: JailId, place: usize) -> Option<File<'_>>;
    /// One of the names in a jail's `ignoreip`, by its place among them.
    fn name(&self, jail: JailId, place: usize) -> Option<Name<'_>>;
    /// The ban with this number and whether it is in force.
    fn ban(&self, number: u32) -> Option<(Ban, bool)>;
    /// The numbers of bans are below this.
    fn ban_numbers(&self) -> u32;
    /// Why somebody is banned, if it is remembered.
    fn reason(&self, ban: &Ban) -> Option<&Summary>;
}

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// By the one that counts.
    pub now: Mono,
    /// By the other, in UTC.
    pub utc: Wall,
}

impl Clock {
    /// An instant on the wall clock.
    #[must_use]
    pub fn wall(self, at: Mono) -> Wall {
        let Wall(utc) = self.utc;
        let seconds = |from: Mono, to: Mono| {
            let seconds = to.millis_since(from).div_ceil(1000);
            i64::try_from(seconds).unwrap_or(i64::MAX)
        };
        Wall(if at >= self.now {
            utc.saturating_add(seconds(self.now, at))
        } else {
            utc.saturating_sub(seconds(at, self.now))
        })
    }
}

/// What concerns all jails.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// Of the program.
    pub version: &'a str,
    /// The guard's process.
    pub pid: u32,
    /// Since when it guards.
    pub since: Mono,
    /// Which part of the kernel holds the bans: `nftables` or `ipset`.
    pub backend: &'a str,
    /// Why bans are not in force, if any are not, or why our rules cannot be made.
    pub trouble: Option<&'a str>,
    /// The state file cannot be written at the moment: new bans would not survive a restart.
    pub unsaved: bool,
    /// Bans in all jails.
    pub tally: Tally,
    /// As many as there may be.
    pub maxbans: u32,
    /// Attempts in the ring.
    pub failures: u32,
    /// As many as there may be.
    pub ring: u32,
    /// Sources that are known for right passwords.
    pub known: u32,
    /// The box's own addresses, gateways and resolvers.
    pub own: &'a Trust,
    /// Private memory.
    pub memory_kib: Option<u64>,
}

/// One jail.
#[derive(Clone, Debug)]
pub struct Jail<'a> {
    /// Its name.
    pub name: &'a str,
    /// The name of its filter.
    pub filter: &'a str,
    /// So many failures within `findtime` bring a ban.
    pub maxretry: u32,
    /// In seconds.
    pub findtime: u64,
    /// In seconds; `None` is for ever.
    pub bantime: Option<u64>,
    /// What is blocked, for people; empty: nothing.
    pub blocks: String,
    /// Its bans.
    pub tally: Tally,
    /// There are so many bans that may be forged that no more are made.
    pub flooded: bool,
    /// The kernel takes only so many packets of each source.
    pub limited: bool,
    /// Counters since the start.
    pub stats: Stats,
    /// Sources with an attempt in the ring.
    pub sources: u32,
    /// The ban that ends first.
    pub next: Option<Ban>,
}

/// One log file.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// Where it is.
    pub path: &'a [u8],
    /// `read`, `missing`, or why it is not read.
    pub state: Cow<'a, str>,
    /// So many bytes of it have been read.
    pub offset: Option<u64>,
    /// Lines read since it is followed.
    pub lines: u64,
}

/// A name that is never banned.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// The name.
    pub name: &'a str,
    /// Its addresses; `None`: it was never found.
    pub addresses: Option<&'a [IpAddr]>,
    /// Whether the last lookup found nothing.
    pub is_failing: bool,
}

/// One ban.
#[derive(Clone, Copy, Debug)]
pub(super) struct Banned<'a> {
    pub(super) ban: &'a Ban,
    pub(super) in_force: bool,
    pub(super) why: Option<&'a Summary>,
}

impl<'a> Banned<'a> {
    /// The reasons in one phrase.
    pub(super) fn phrase(&self) -> Option<Why<'a>> {
        let ban = self.ban;
        self.why.map(|summary| Why { ban, summary })
    }
}

/// Where a listing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Whole,
    Jail(JailId),
    /// The place of the file among those of the jail, and the width of the longest path.
    File(JailId, usize, usize),
    /// The place of the name among those of the jail.
    Name(JailId, usize),
    /// The jail, and the number of the next ban.
    Bans(JailId, u32),
    End,
    Over,
}

/// What is shown how, and what of it was shown already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// One jail, with its bans.
    only: Option<JailId>,
    json: bool,
    at: At,
    /// Whether something stands in the list that is being written.
    began: bool,
}

/// How things are written, piece by piece.
pub(super) trait Write {
    /// What concerns all jails; `one` if only one jail is shown.
    fn whole(&self, out: &mut Vec<u8>, whole: &Whole<'_>, clock: Clock, one: bool);
    fn jail(&self, out: &mut Vec<u8>, jail: &Jail<'_>, clock: Clock, first: bool);
    /// `width` is that of the longest path of the jail's files.
    fn file(&self, out: &mut Vec<u8>, file: &File<'_>, width: usize, first: bool);
    /// `first` comes behind the files.
    fn name(&self, out: &mut Vec<u8>, name: &Name<'_>, first: bool);
    /// Behind the files and names of a jail; `bans`: its bans follow.
    fn after_files(&self, out: &mut Vec<u8>, jail: &Jail<'_>, clock: Clock, bans: bool);
    fn ban(&self, out: &mut Vec<u8>, banned: Banned<'_>, clock: Clock, first: bool);
    /// Behind a jail; `bans`: its bans were listed.
    fn after_jail(&self, out: &mut Vec<u8>, bans: bool);
    fn end(&self, out: &mut Vec<u8>);
}

impl Listing {
    /// Everything, or one jail with its bans.
    #[must_use]
    pub fn new(only: Option<JailId>, json: bool) -> Listing {
        Listing {
            only,
            json,
            at: At::Whole,
            began: false,
        }
    }

    /// Writes the next part, about [`ANSWER_BYTES`]. It may be empty although there is more: bans of other jails
    /// were passed over.
    pub fn fill(&mut self, view: &dyn View, out: &mut Vec<u8>) -> Pulled {
        let mut numbers = NUMBERS_PER_PIECE;
        while out.len() < ANSWER_BYTES && numbers > 0 {
            if self.at == At::Over {
                return Pulled::Whole;
            }
            let write: &dyn Write = if self.json { &Json } else { &Text };
            self.step(view, write, out, &mut numbers);
        }
        Pulled::More
    }

    fn step(&mut self, view: &dyn View, write: &dyn Write, out: &mut Vec<u8>, numbers: &mut u32) {
        let (clock, one) = (view.clock(), self.only.is_some());
        match self.at {
            At::Whole => {
                write.whole(out, &view.whole(), clock, one);
                self.at = At::Jail(self.only.unwrap_or(JailId(0)));
                self.began = false;
            }
            At::Jail(id) => match view.jail(id) {
                Some(jail) => {
                    write.jail(out, &jail, clock, !self.began);
                    self.at = At::File(id, 0, width(view, id));
                    self.began = false;
                }
                None => self.at = At::End,
            },
            At::File(id, place, width) => match view.file(id, place) {
                Some(file) => {
                    write.file(out, &file, width, place == 0);
                    self.at = At::File(id, place + 1, width);
                }
                None => self.at = At::Name(id, 0),
            },
            At::Name(id, place) => match (view.name(id, place), view.jail(id)) {
                (Some(name), _) => {
                    write.name(out, &name, place == 0);
                    self.at = At::Name(id, place + 1);
                }
                (None, Some(jail)) => {
                    write.after_files(out, &jail, clock, one);
                    self.at = At::Bans(id, 0);
                }
                (None, None) => self.at = At::End,
            },
            At::Bans(id, number) if one && number < view.ban_numbers() => {
                if let Some((ban, in_force)) = view.ban(number).filter(|(ban, _)| ban.jail == id) {
                    let banned = Banned {
                        ban: &ban,
                        in_force,
                        why: view.reason(&ban),
                    };
                    write.ban(out, banned, clock, !self.began);
                    self.began = true;
                }
                *numbers -= 1;
                self.at = At::Bans(id, number + 1);
            }
            At::Bans(JailId(number), _) => {
                write.after_jail(out, one);
                self.began = true;
                self.at = if one {
                    At::End
                } else {
                    At::Jail(JailId(number + 1))
                };
            }
            At::End => {
                write.end(out);
                self.at = At::Over;
            }
            At::Over => {}
        }
    }
}

/// The width of the longest path of a jail's files, as far as columns are kept for it.
fn width(view: &dyn View, jail: JailId) -> usize {
    let files = (0..).map_while(|place| view.file(jail, place));
    files.map(|file| file.path.len().min(60)).max().unwrap_or(0)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
