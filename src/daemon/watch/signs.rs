//! What a line shows of a source: a failure, or a sign of what it is; and what is to be said of sources that are not
//! banned.

use log::{debug, warn};

use super::{TARGET, Watch};
use crate::addr::HostOrNet;
use crate::daemon::jails::JailBits;
use crate::filter::{Class, Failure, Kind, Shown, Sign};
use crate::firewall::Enforce;
use crate::guard::{Ban, JailId, Outcome, Remark, Source, Verdict, WIDE};
use crate::store::Disk;
use crate::tail::Line;
use crate::time::Wall;

impl<K: Enforce, D: Disk> Watch<K, D> {
    /// Somebody failed.
    pub(super) fn failure(&mut self, failure: &Failure, line: &Line<'_>, jails: JailBits) {
        let source = Source(line.file.0);
        for jail in jails {
            if line.backlog && self.is_over(failure, jail) {
                continue;
            }
            let outcome = self.guard.observe(jail, source, failure, self.now);
            if matches!(
                outcome,
                Outcome::Counted(_) | Outcome::Joined | Outcome::Held | Outcome::Ban(_)
            ) {
                self.notices.line(jail, failure.addr, line.bytes);
            }
            debug!(target: TARGET, "{} {} {outcome:?} jail={}", failure.addr, failure.kind, self.jails.name(jail));
            if let Some(state) = &mut self.state {
                state.failures_changed(self.now, self.utc);
            }
            self.remark();
            self.judge_all(&outcome);
        }
    }

    /// What follows from what became of a failure, in all jails.
    pub(super) fn judge_all(&mut self, outcome: &Outcome) {
        let Some(Verdict { ban, why, .. }) = self.judge(outcome) else {
            return;
        };
        for jail in self.jails.all() {
            if let Some(outcome) = self.guard.observe_ban(jail, &ban, &why, self.now) {
                self.judge(&outcome);
            }
        }
        self.look_around(&ban, why.last);
    }

    /// Whether a failure was over long before it was read, by the stamp of its line: in a file that was restored,
    /// unpacked or mounted. What is written while we look counts when it arrives, whatever its stamp says.
    fn is_over(&self, failure: &Failure, jail: JailId) -> bool {
        let findtime = i64::try_from(self.guard.findtime(jail)).unwrap_or(i64::MAX);
        let Wall(now) = self.context.today;
        failure
            .at
            .is_some_and(|Wall(at)| now.saturating_sub(at) > findtime)
    }

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
            self.judge_all(&outcome);
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
            Some(Remark::Flood(surge)) => self.flood_began(&surge),
            Some(Remark::FloodOver(surge)) => self.flood_ended(&surge),
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
