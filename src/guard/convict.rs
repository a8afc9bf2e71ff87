//! How a ban comes into the table.

use core::net::IpAddr;

use ipnet::IpNet;

use super::asking::Ask;
use super::bans::Entered;
use super::index::Key;
use super::{Ban, Guard, JailId, Outcome, Summary, Verdict};
use crate::addr;
use crate::time::Mono;

/// The table is full of bans that a new one may not displace.
pub(super) struct Full;

impl Guard {
    /// A ban for what the ring holds of a source.
    pub(super) fn convict(&mut self, key: Key, source: (IpAddr, IpNet), jail: JailId, now: Mono) -> Outcome {
        let Some(why) = self.failures.take(key) else {
            return Outcome::Dropped;
        };
        self.convict_for(why, source, jail, now)
    }

    /// A ban for these reasons, unless it is one of a flood, or `ignorecommand` has to be asked first.
    pub(super) fn convict_for(
        &mut self,
        why: Summary,
        (addr, net): (IpAddr, IpNet),
        jail: JailId,
        now: Mono,
    ) -> Outcome {
        if self.is_flood(&why, jail, now) {
            return Outcome::Counted(why.failures);
        }
        match self.asking.ask(jail, (addr::unmap(addr), net), why, now) {
            Ask::No => self.sentence(why, net, jail, now),
            Ask::Held => Outcome::Held,
            Ask::Ignored => {
                self.count(jail, |stats| &mut stats.trusted);
                Outcome::Trusted
            }
        }
    }

    /// Makes the ban.
    pub(super) fn sentence(&mut self, why: Summary, net: IpNet, jail: JailId, now: Mono) -> Outcome {
        let until = self
            .lasting(net, jail, why.proof, now)
            .map(|bantime| now.plus_seconds(bantime));
        let ban = Ban {
            net,
            jail,
            since: now,
            until,
            proof: why.proof,
            by_hand: false,
        };
        match self.enter(ban) {
            Ok(displaced) => {
                self.keep_reason(&ban, why);
                Outcome::Ban(Verdict { ban, why, displaced })
            }
            Err(Full) => Outcome::TableFull(Verdict {
                ban,
                why,
                displaced: None,
            }),
        }
    }

    /// Enters a new ban, and counts what came of it. Returns the ban that made room for it.
    pub(super) fn enter(&mut self, ban: Ban) -> Result<Option<Ban>, Full> {
        let displaced = match self.bans.enter(ban) {
            Entered::New => None,
            Entered::Displaced(other) => {
                self.count(ban.jail, |stats| &mut stats.displaced);
                self.history.ends(Key::new(other.net, other.jail), ban.since);
                Some(other)
            }
            Entered::Full => {
                self.count(ban.jail, |stats| &mut stats.table_full);
                return Err(Full);
            }
        };
        self.count(ban.jail, |stats| &mut stats.bans);
        let key = Key::new(ban.net, ban.jail);
        let bans = self.history.bans(key, ban.since).saturating_add(1);
        self.history.note(key, bans, ban.until);
        Ok(displaced)
    }
}
