//! What is no failure and shows what a source is, and what is to be said of sources that are not banned.

use log::{debug, warn};

use super::{TARGET, Watch};
use crate::addr::HostOrNet;
use crate::daemon::jails::JailBits;
use crate::daemon::report::Count;
use crate::filter::{Class, Kind, Shown, Sign};
use crate::firewall::Enforce;
use crate::guard::{Ban, Remark, WIDE};
use crate::store::Disk;
use crate::tail::Line;

impl<K: Enforce, D: Disk> Watch<K, D> {
    /// Somebody gave a right password, or was asked for one.
    pub(super) fn sign(&mut self, sign: &Sign, line: &Line<'_>, jails: JailBits) {
        // When the backlog's challenges were sent, and what followed, is long ago.
        if line.backlog && sign.shown == Shown::Challenged {
            return;
        }
        for jail in jails {
            let Some(outcome) = self.guard.observe_sign(jail, sign, self.now) else {
                continue;
            };
            debug!(target: TARGET, "{} {:?} {outcome:?} jail={}", sign.addr, sign.shown, self.jails.name(jail));
            self.remark();
            self.judged(&outcome);
        }
    }

    /// Bans the networks of a ban, or says that they are full of attackers.
    pub(super) fn look_around(&mut self, ban: &Ban, kind: Kind) {
        for number in 0..WIDE[1].len() {
            let Some(wide) = self.guard.observe_member(ban, kind, number, self.now) else {
                continue;
            };
            match wide.outcome {
                Some(outcome) => _ = self.judge(&outcome),
                None => warn!(target: TARGET,
                    "{}: {} of its addresses were banned on proven evidence, the network is not jail={}",
                    wide.net,
                    wide.members,
                    self.jails.name(wide.jail)
                ),
            }
        }
    }

    /// Says what the guard remarked.
    pub(super) fn remark(&mut self) {
        match self.guard.take_remark() {
            None => {}
            Some(Remark::Flood(surge)) => warn!(target: TARGET,
                "a flood of forged sources: more than {} new bans a minute that may be forged; no more such bans until it \
                 is over, proven ones go on jail={}",
                surge.rate,
                self.jails.name(surge.jail)
            ),
            Some(Remark::FloodOver(surge)) => warn!(target: TARGET,
                "the flood of forged sources is over: {} were not made, bans are made again jail={}",
                Count(surge.refused, "ban"),
                self.jails.name(surge.jail)
            ),
            Some(Remark::Phone {
                net,
                jail,
                failures,
                kind,
            }) => {
                let what = match kind.class {
                    Class::Auth => "a wrong password",
                    Class::User | Class::Acl | Class::Call | Class::Proto => "a wrong account",
                };
                warn!(target: TARGET,
                    "{}: a phone with {what}, not banned: {failures} failures for one account, at a phone's pace jail={}",
                    HostOrNet(net),
                    self.jails.name(jail)
                );
            }
        }
    }
}
