//! Floods of forged sources: while there is one, the kernel takes only so much of each source; and what is said of it.

use log::warn;

use super::{TARGET, Watch};
use crate::daemon::report::Count;
use crate::firewall::Enforce;
use crate::guard::{JailId, Surge};
use crate::limits::{FLOOD_LOOK_SECONDS, FLOOD_PACKETS_PER_SECOND};
use crate::store::Disk;
use crate::sys::Fault;

impl<K: Enforce, D: Disk> Watch<K, D> {
    /// Whether the kernel limits what it takes of each source for that jail.
    pub(in crate::daemon) fn is_limited(&self, jail: JailId) -> bool {
        self.limited.contains(&jail)
    }

    /// A flood has begun.
    pub(super) fn flood_began(&mut self, surge: &Surge) {
        let limit = match self.limit() {
            Ok(()) if self.is_limited(surge.jail) => format!(
                "; the kernel takes {FLOOD_PACKETS_PER_SECOND} packets a second of each source at the jail's ports"
            ),
            // A dry run, or a jail without a firewall.
            Ok(()) => String::new(),
            Err(fault) => format!("; the kernel limits no sources: {fault}"),
        };
        warn!(target: TARGET,
            "a flood of forged sources: more than {} new bans a minute that may be forged; no more such bans until it \
             is over, proven ones go on{limit} jail={}",
            surge.rate,
            self.jails.name(surge.jail)
        );
    }

    /// One is over.
    pub(super) fn flood_ended(&mut self, surge: &Surge) {
        let limited = self.is_limited(surge.jail);
        let limit = match self.limit() {
            Ok(()) if limited => "; the kernel limits no sources any more".to_owned(),
            Ok(()) => String::new(),
            Err(fault) => format!("; the kernel limits sources until that can be ended: {fault}"),
        };
        warn!(target: TARGET,
            "the flood of forged sources is over: {} were not made, bans are made again{limit} jail={}",
            Count(surge.refused, "ban"),
            self.jails.name(surge.jail)
        );
    }

    /// Ends floods of which nothing is heard any more, and sees to it that the kernel limits what it should.
    pub(super) fn look_at_floods(&mut self) {
        for jail in self.jails.all() {
            if let Some(surge) = self.guard.end_flood(jail, self.now) {
                self.flood_ended(&surge);
            }
        }
        // Why not was told when it began.
        let before = self.limited.len();
        if self.limit().is_ok() && self.limited.len() > before {
            warn!(target: TARGET, "the kernel limits the sources of a flood by now");
        }
    }

    /// Tells the kernel for which jails to limit sources: those in a flood.
    fn limit(&mut self) -> Result<(), Fault> {
        let (guard, now) = (&self.guard, self.now);
        let flooded: Vec<JailId> = self
            .jails
            .all()
            .filter(|&jail| guard.is_flooded(jail, now))
            .collect();
        let blocks = |jail: &JailId| {
            let rule = self.jails.rules().get(usize::from(jail.0));
            rule.is_some_and(|rule| !rule.blocks.is_empty())
        };
        let limited: Vec<JailId> = flooded.iter().copied().filter(blocks).collect();
        let done = match &mut self.firewall {
            Some(firewall) if firewall.absence().is_none() => {
                firewall.limit(&limited).map(|()| self.limited = limited)
            }
            Some(_) | None => {
                self.limited.clear();
                Ok(())
            }
        };
        let again = !flooded.is_empty() || done.is_err();
        self.flood_at = again.then(|| self.now.plus_seconds(FLOOD_LOOK_SECONDS));
        done
    }
}
