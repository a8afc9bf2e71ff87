//! What is no failure and shows what a source is, and what is to be said of sources that are not banned.

use log::{debug, warn};

use super::{TARGET, Watch};
use crate::addr::HostOrNet;
use crate::daemon::jails::JailBits;
use crate::filter::{Class, Shown, Sign};
use crate::firewall::Enforce;
use crate::guard::Remark;
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
            self.judged(&outcome);
        }
    }

    /// Says what the guard remarked.
    pub(super) fn remark(&mut self) {
        match self.guard.take_remark() {
            None => {}
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
