//! Lines that are in no file: systemd's journal and OpenWrt's logd.
//!
//! The guard runs no program, so a child does, started before the guard gives up its power, one for each [`Kind`] that
//! a jail needs: a nanny and a worker, as those that mail and run commands (`notify`). The worker runs `journalctl -f`
//! or `logread -f`, again if it ends, and gives the guard lines through a seqpacket socket, with the place to go on at
//! behind them: what the guard has taken is counted once, whoever of them dies. The place is kept in the state file as
//! those of files are.
//!
//! Neither child can do anything but read. The one for the journal is `notifyuser`, in the group systemd-journal; the
//! one for logd stays root without any capability, as ubus gives the log to nobody else.
//!
//! Pure: [`export`] reads what journalctl writes, [`cursor`] is a place in the journal, [`ring`] a place in what
//! logread prints, [`message`] what guard and child say to each other.

use std::ffi::OsStr;
use std::io;
use std::process::Child;

use crate::config::{Config, Feed, Jail};
use crate::limits::ACCOUNT_FILE_BYTES_MAX;
use crate::notify::{WORD, nanny};
use crate::power::accounts;
use crate::sys::caps::{self, Caps};
use crate::sys::{file, program};

pub mod cursor;
pub mod export;
mod follow;
pub mod message;
pub mod readers;
pub mod ring;
mod worker;

/// Which program lines come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `journalctl`.
    Journal,
    /// `logread`.
    Logread,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::Journal, Kind::Logread];

    /// The word on the child's command line and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Journal => "journal",
            Kind::Logread => "logread",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The program that is run.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Kind::Journal => "journalctl",
            Kind::Logread => "logread",
        }
    }

    /// The kind that a jail's lines need.
    #[must_use]
    pub const fn of(feed: &Feed) -> Option<Kind> {
        match feed {
            Feed::Files => None,
            Feed::Journal(_) => Some(Kind::Journal),
            Feed::Logread => Some(Kind::Logread),
        }
    }
}

/// What the children of this configuration are and may do, a line each.
#[must_use]
pub fn describe(config: &Config) -> Vec<String> {
    let needed = Kind::ALL
        .into_iter()
        .filter(|kind| jails(config, *kind).next().is_some());
    needed
        .map(|kind| match kind {
            Kind::Journal => format!(
                "journal: read by journalctl -f in a child, as {} in the group systemd-journal, without capabilities",
                config.notifyuser
            ),
            Kind::Logread => {
                "logd: read by logread -f in a child, as root without capabilities".to_owned()
            }
        })
        .collect()
}

/// What is missing on this machine for the feeds of this configuration, a line each.
#[must_use]
pub fn absent(config: &Config) -> Vec<String> {
    let missing = Kind::ALL
        .into_iter()
        .filter(|kind| program::find(kind.program()).is_none());
    let said = missing.filter_map(|kind| {
        let jail = jails(config, kind).next()?;
        let place = jail.origins.get("backend").map(|origin| format!("{origin}: "));
        let what = match kind {
            Kind::Journal => {
                "backend = systemd: there is no program journalctl; name the log's file in logpath, \
                 with backend = auto"
            }
            Kind::Logread => {
                "backend = logread: there is no program logread, which OpenWrt has (package ubox); \
                 elsewhere name the log's file in logpath, with backend = auto"
            }
        };
        Some(format!("{}[{}] {what}", place.unwrap_or_default(), jail.name))
    });
    said.collect()
}

fn jails(config: &Config, kind: Kind) -> impl Iterator<Item = &Jail> {
    config
        .jails
        .iter()
        .filter(move |jail| Kind::of(&jail.feed) == Some(kind))
}

/// Starts the child of this kind; the socket is its standard input.
fn start(kind: Kind, notifyuser: &str, socket: std::os::fd::OwnedFd) -> io::Result<Child> {
    let words = [WORD, "nanny", kind.name(), notifyuser, ""].map(OsStr::new);
    program::start_ourselves(&words, socket, &program::memory(&[])?)
}

/// The child's outer process: gives up what it does not need, and looks after workers until the guard is gone.
pub(crate) fn nanny(kind: Kind, notifyuser: &str) -> io::Result<u8> {
    confine(kind, notifyuser)?;
    nanny::keep(kind.name())
}

/// The child's inner process.
pub(crate) fn work(kind: Kind) -> io::Result<u8> {
    worker::run(kind)
}

/// Becomes who may read, and nothing else.
fn confine(kind: Kind, notifyuser: &str) -> io::Result<()> {
    caps::no_new_privileges()?;
    // Who is not root has nothing to give up.
    if caps::uid() != 0 {
        return Ok(());
    }
    if kind == Kind::Journal {
        let (group, _) = file::read(std::path::Path::new("/etc/group"), ACCOUNT_FILE_BYTES_MAX)?;
        let groups = accounts::group(&group, "systemd-journal");
        return nanny::become_user(notifyuser, groups.as_slice(), kind.name());
    }
    caps::keep(Caps::NONE, Caps::NONE)
}
