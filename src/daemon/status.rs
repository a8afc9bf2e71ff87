//! What `sipguard status` shows of the guard.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt as _;

use super::logs::Logs;
use super::watch::Watch;
use crate::config::{self, Config};
use crate::control::View;
use crate::control::listing::{Clock, File, Jail, Name, Whole};
use crate::firewall::Enforce;
use crate::guard::{Ban, JailId, Summary};
use crate::sys::memory;
use crate::tail::State;
use crate::time::Mono;

/// The guard as it is at this moment.
pub(super) struct Status<'d> {
    pub(super) config: &'d Config,
    pub(super) logs: &'d Logs,
    pub(super) watch: &'d Watch,
    /// Since when it guards.
    pub(super) since: Mono,
}

impl Status<'_> {
    fn config_of(&self, jail: JailId) -> Option<&config::Jail> {
        self.config.jails.get(usize::from(jail.0))
    }
}

impl View for Status<'_> {
    fn clock(&self) -> Clock {
        self.watch.clock()
    }

    fn whole(&self) -> Whole<'_> {
        let guard = self.watch.guard();
        Whole {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            since: self.since,
            backend: self.watch.firewall().map_or("none", Enforce::backend),
            trouble: self.watch.trouble(),
            unsaved: self.watch.is_state_failing(),
            tally: guard.whole_tally(),
            maxbans: self.config.maxbans,
            failures: guard.failures_kept(),
            ring: self.config.ring,
            known: guard.known_sources(),
            own: guard.own(),
            memory_kib: memory::private_kib(),
        }
    }

    fn jail(&self, jail: JailId) -> Option<Jail<'_>> {
        let config = self.config_of(jail)?;
        let guard = self.watch.guard();
        let blocks: Vec<_> = config.blocks.iter().map(ToString::to_string).collect();
        Some(Jail {
            name: &config.name,
            filter: config.filter.name(),
            maxretry: config.maxretry,
            findtime: config.findtime,
            bantime: config.bantime,
            blocks: blocks.join(", "),
            tally: guard.tally(jail),
            flooded: guard.is_flooded(jail, self.watch.clock().now),
            limited: self.watch.is_limited(jail),
            stats: guard.jail_stats(jail),
            sources: guard.sources(jail),
            next: guard.next_to_end(jail),
        })
    }

    fn file(&self, jail: JailId, place: usize) -> Option<File<'_>> {
        let bit = 1_u32.checked_shl(jail.0.into()).unwrap_or(0);
        let mut files = self.logs.files().filter(|file| file.readers & bit != 0);
        let file = files.nth(place)?;
        Some(File {
            path: file.path.as_os_str().as_bytes(),
            state: match file.state {
                State::Open => Cow::Borrowed("read"),
                State::Missing => Cow::Borrowed("missing"),
                State::Refused(kind) => Cow::Borrowed(kind),
                State::Unreadable(kind) => Cow::Owned(kind.to_string()),
            },
            offset: file.position.map(|position| position.offset),
            lines: file.counts.lines,
        })
    }

    fn name(&self, jail: JailId, place: usize) -> Option<Name<'_>> {
        let name = self.watch.jails().names().of(jail).nth(place)?;
        Some(Name {
            name: &name.name,
            addresses: name.addresses.as_deref(),
            is_failing: name.is_failing,
        })
    }

    fn ban(&self, number: u32) -> Option<(Ban, bool)> {
        self.watch.guard().ban_at(number)
    }

    fn ban_numbers(&self) -> u32 {
        self.watch.guard().ban_numbers()
    }

    fn reason(&self, ban: &Ban) -> Option<&Summary> {
        self.watch.guard().reason(ban)
    }
}
