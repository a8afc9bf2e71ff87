//! One turn of the loop: lines in, verdicts, and changes to the kernel.

mod answers;
mod flood;
mod kernel;
mod signs;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::BorrowedFd;

use ipnet::IpNet;
use log::{error, info, warn};

use super::TARGET;
use super::jails::{JailBits, Jails};
use super::notices::Notices;
use super::report::{self, Count, Net};
use super::state::State;
use crate::config::{Config, OnStop};
use crate::control::listing::Clock;
use crate::escape::Escaped;
use crate::filter::{Context, Reading, Suspicion};
use crate::firewall::{self, Enforce, Firewall};
use crate::guard::{Ban, Effect, Guard, JailId, Outcome, Trust, Verdict};
use crate::limits::{CHANGES_PER_BATCH, JAILS_MAX, OWN_LOOK_SECONDS, OWN_SETTLE_SECONDS};
use crate::store::Disk;
use crate::sys::Fault;
use crate::sys::disk::Directory;
use crate::tail::{Line, Logs};
use crate::time::{Mono, Wall};
use crate::zone::Zone;

/// Tells our own addresses, gateways and resolvers.
type LookForOwn = dyn Fn() -> io::Result<Vec<IpNet>>;

/// The same kind of trouble is told once in so many seconds.
const TELL_SECONDS: u64 = 60;

/// What stands between the lines and the kernel.
pub struct Watch<K = Firewall, D = Directory> {
    jails: Jails,
    pub(super) guard: Guard,
    /// `None` in a dry run.
    firewall: Option<K>,
    /// `None`: nothing outlives a restart.
    state: Option<State<D>>,
    /// How to learn which addresses, gateways and resolvers are our own.
    look_for_own: Box<LookForOwn>,
    /// When to look at the kernel although nothing was heard: whether our rules are there, or whether it has what
    /// it takes by now.
    look_at: Option<Mono>,
    /// Not before: we have looked because a banned source was heard of.
    doubt_rests: Mono,
    /// The kernel is to be told more, after everything else had its turn.
    unfinished: bool,
    /// When to look which addresses are our own: after bans, which may have hit one.
    own_at: Option<Mono>,
    /// Not before: we have looked.
    pub(super) own_rests: Mono,
    /// Verdicts of this turn: told when the kernel has answered, so that the ban comes before the word.
    fresh: Vec<Verdict>,
    batch: Vec<Effect>,
    /// What the filters found in the current line; at most one reading each.
    found: Vec<(Reading, JailBits)>,
    pub(super) now: Mono,
    utc: Wall,
    zone: Zone,
    notices: Notices,
    context: Context,
    suspicious: Telling,
    refused: Telling,
    removed: Telling,
    table_full: Telling,
    displaced: Telling,
    unasked: Telling,
    named: Telling,
    names_lost: Telling,
    /// Why the kernel last refused something.
    trouble: String,
    /// Our rules could not be made again.
    broken: bool,
    /// When to look whether a flood is over.
    flood_at: Option<Mono>,
    /// The jails whose sources the kernel limits.
    limited: Vec<JailId>,
}

/// What woke the loop, beside lines and time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    /// Somebody else has changed nf_tables.
    pub kernel_changed: bool,
    /// This box has got or lost an address or a route.
    pub routes_changed: bool,
    /// The wall clock was set.
    pub clock_was_set: bool,
}

/// Something that is counted, and told at most once a minute.
#[derive(Default)]
struct Telling {
    untold: u64,
    told: Option<Mono>,
}

impl Telling {
    /// Counts one; returns how many there were since the last word, if it is time for a word.
    fn count(&mut self, now: Mono) -> Option<u64> {
        self.add(1, now)
    }

    /// The same for several.
    fn add(&mut self, several: u64, now: Mono) -> Option<u64> {
        self.untold += several;
        if self
            .told
            .is_some_and(|told| now < told.plus_seconds(TELL_SECONDS))
        {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl<K: Enforce, D: Disk> Watch<K, D> {
    /// Nothing is looked at yet: [`Watch::begin_turn`] and [`Watch::take_up`] are to follow.
    pub fn new(
        jails: Jails,
        mut guard: Guard,
        firewall: Option<K>,
        state: Option<State<D>>,
        zone: Zone,
        look_for_own: Box<LookForOwn>,
    ) -> Self {
        if let Some(firewall) = &firewall {
            guard.set_longest_timeout(firewall.longest_timeout_ms());
        }
        Watch {
            jails,
            guard,
            look_at: firewall.as_ref().map(|_| Mono(0)),
            doubt_rests: Mono(0),
            unfinished: false,
            firewall,
            state,
            look_for_own,
            own_at: None,
            own_rests: Mono(0),
            fresh: Vec::with_capacity(CHANGES_PER_BATCH),
            batch: Vec::with_capacity(CHANGES_PER_BATCH),
            found: Vec::with_capacity(JAILS_MAX),
            now: Mono(0),
            utc: Wall(0),
            zone,
            notices: Notices::default(),
            context: Context::default(),
            suspicious: Telling::default(),
            refused: Telling::default(),
            removed: Telling::default(),
            table_full: Telling::default(),
            displaced: Telling::default(),
            unasked: Telling::default(),
            named: Telling::default(),
            names_lost: Telling::default(),
            trouble: String::new(),
            broken: false,
            flood_at: None,
            limited: Vec::new(),
        }
    }

    /// The jails of the configuration in force.
    pub fn jails(&self) -> &Jails {
        &self.jails
    }

    /// Whom to tell of bans and their ends, beside the kernel; nobody before that.
    pub(super) fn set_notices(&mut self, notices: Notices) {
        self.notices = notices;
    }

    pub(super) fn notices(&self) -> &Notices {
        &self.notices
    }

    pub(super) fn notices_mut(&mut self) -> &mut Notices {
        &mut self.notices
    }

    pub(super) fn firewall(&self) -> Option<&K> {
        self.firewall.as_ref()
    }

    /// The truth about failures and bans.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(super) fn clock(&self) -> Clock {
        Clock {
            now: self.now,
            utc: self.utc,
        }
    }

    /// Why the kernel is not as it shall be, if it is not.
    pub(super) fn trouble(&self) -> Option<&str> {
        let missing = self.broken || self.guard.not_in_force() > 0;
        missing.then_some(self.trouble.as_str())
    }

    /// Why the kernel has bans that were lifted, if it has.
    pub(super) fn held_against_our_will(&self) -> Option<&str> {
        (self.guard.whole_tally().leaving > 0).then_some(self.trouble.as_str())
    }

    /// Notes a ban that a person asked for, and which ones it took the place of: of the same network, and in the full
    /// table.
    pub(super) fn note_ban(
        &mut self,
        net: IpNet,
        jail: JailId,
        replaced: Option<&Ban>,
        displaced: Option<&Ban>,
    ) {
        let made = self.guard.standing(net, jail).map(|(ban, _)| ban);
        if let Some(displaced) = displaced {
            self.notices.unbanned(displaced);
        }
        if let Some(ban) = &made {
            self.notices.banned_by_hand(ban);
        }
        if let (Some(state), Some(ban)) = (&mut self.state, made) {
            if let Some(replaced) = replaced {
                state.replaced(replaced, &self.guard, &self.jails, (self.now, self.utc));
            }
            let bans = [(&ban, displaced)].into_iter();
            state.bans(bans, &self.guard, &self.jails, (self.now, self.utc));
        }
    }

    /// Ends a ban before its time; [`Watch::settle`] and [`Watch::keep`] are to follow.
    pub(super) fn unban(&mut self, net: IpNet, jail: JailId) -> Option<Ban> {
        let ban = self.guard.unban(net, jail)?;
        if let Some(state) = &mut self.state {
            state.unban(&ban, &self.guard, &self.jails, (self.now, self.utc));
        }
        self.notices.unbanned(&ban);
        Some(ban)
    }

    /// A log was opened: a crash must not make the next start begin behind what is written to it by then.
    pub fn log_opened(&mut self) {
        if let Some(state) = &mut self.state {
            state.positions_changed();
        }
    }

    /// Brings to the disk what is due there. Every line that was read has been counted.
    pub fn keep(&mut self, logs: &dyn Logs) {
        if let Some(state) = &mut self.state {
            state.keep(&mut self.guard, &self.jails, logs, self.now, self.utc);
        }
    }

    /// Brings everything to the disk, for the end.
    pub fn keep_all(&mut self, logs: &dyn Logs) {
        if let Some(state) = &mut self.state {
            state.stop(&mut self.guard, &self.jails, logs, self.now, self.utc);
        }
    }

    /// The wall clock was set.
    pub(super) fn clock_was_set(&mut self) {
        if let Some(state) = &mut self.state {
            state.clock_was_set(&mut self.guard, self.now, self.utc);
        }
    }

    /// Whether what is new would not survive a restart.
    pub fn is_state_failing(&self) -> bool {
        self.state.as_ref().is_some_and(State::is_failing)
    }

    /// Prepares the kernel for another configuration, if it is laid out otherwise. On an error all is as before,
    /// and every ban is wanted again.
    pub fn relayout(&mut self, config: &Config, jails: &Jails) -> Result<(), Fault> {
        let Some(firewall) = &mut self.firewall else {
            return Ok(());
        };
        let done = firewall.relayout(config.firewall, jails.rules(), config.ipv6prefix, config.maxbans);
        done.inspect_err(|_| self.guard.kernel_lost_all())
    }

    /// Puts another configuration in force. The bans of jails that are still there go on. Returns how many ended.
    pub fn replace(&mut self, mut jails: Jails, mut guard: Guard, now: Mono) -> u32 {
        jails.names_mut().inherit(self.jails.names_mut());
        for jail in jails.all() {
            if let Some(trust) = jails.names().trust(jail) {
                guard.set_trust(jail, trust);
            }
        }
        let ended = guard.inherit(&mut self.guard, |jail| jails.named(self.jails.name(jail)));
        if ended > 0 {
            info!(target: TARGET, "bans that end with the old configuration: {ended}");
        }
        if let Some(firewall) = &self.firewall {
            guard.set_longest_timeout(firewall.longest_timeout_ms());
        }
        (self.jails, self.guard, self.now) = (jails, guard, now);
        self.look_at = self.firewall.as_ref().map(|_| now);
        self.settle();
        // Jails may have other numbers, and the kernel may be laid out anew.
        self.look_at_floods();
        ended
    }

    /// When something has to be done although nothing happened.
    pub fn next_deadline(&self) -> Option<Mono> {
        let unfinished = self.unfinished.then_some(self.now);
        let state = self.state.as_ref().and_then(State::next_deadline);
        let deadlines = [
            self.guard.next_deadline(),
            self.look_at,
            self.own_at,
            self.flood_at,
            state,
            unfinished,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// What is readable when others change nf_tables, if they can change what is ours.
    pub fn kernel_events(&self) -> Option<BorrowedFd<'_>> {
        match self.firewall.as_ref()?.watch() {
            firewall::Watch::Events(events) => Some(events),
            firewall::Watch::Needless | firewall::Watch::Poll => None,
        }
    }

    /// One turn: takes the lines that are there, and does what follows from them, from the time and from what was
    /// `heard`. Whether more lines wait.
    pub fn turn(&mut self, logs: &mut dyn Logs, heard: Heard, (now, utc): (Mono, Wall)) -> bool {
        self.begin_turn(now, utc);
        if heard.clock_was_set {
            self.clock_was_set();
        }
        if heard.routes_changed && self.own_at.is_none() {
            // Changes come together: an interface, its addresses, their routes.
            self.own_at = Some(self.own_rests.max(self.now.plus_seconds(OWN_SETTLE_SECONDS)));
        }
        self.look_at_kernel(heard.kernel_changed);
        let more = logs.read(now, &mut |line| self.line(&line));
        self.end_turn();
        self.keep(logs);
        more
    }

    /// A turn begins at this time.
    pub fn begin_turn(&mut self, now: Mono, utc: Wall) {
        (self.now, self.utc) = (now, utc);
        self.notices.begin_turn(now, utc);
        let utc_offset_s = self.zone.offset(utc);
        self.context = Context {
            today: Wall(utc.0.saturating_add(i64::from(utc_offset_s))),
            utc_offset_s,
        };
    }

    /// Reads one line for every jail that wants it.
    pub(super) fn line(&mut self, line: &Line<'_>) {
        let Watch {
            jails,
            context,
            found,
            now,
            ..
        } = self;
        found.clear();
        jails.read(line, (*now, context), &mut |reading, jails| {
            if reading != Reading::Nothing {
                found.push((reading, jails));
            }
        });
        for at in 0..self.found.len() {
            let Some(&(reading, jails)) = self.found.get(at) else {
                return;
            };
            match reading {
                Reading::Nothing => {}
                Reading::Suspicious(suspicion) => self.suspect(suspicion, line, jails),
                Reading::Failure(failure) => self.failure(&failure, line, jails),
                Reading::Sign(sign) => self.sign(&sign, line, jails),
            }
        }
    }

    /// Brings the kernel to what the guard wants, then tells what was decided.
    pub(super) fn end_turn(&mut self) {
        self.take_answers();
        self.ask();
        while let Some(ban) = self.guard.expire(self.now) {
            report::unbanned(&ban, self.jails.name(ban.jail), self.now);
            self.notices.unbanned(&ban);
        }
        self.settle();
        if self.own_at.is_some_and(|at| at <= self.now) {
            self.look_at_own();
        }
        if self.flood_at.is_some_and(|at| at <= self.now) {
            self.look_at_floods();
        }
        self.notices.flush(&self.guard, self.jails.log_names());
    }

    /// Lifts bans of what has become one of our own addresses, gateways or resolvers since the start: a router
    /// gets them after it. A ban is not made to wait for this look.
    pub(super) fn look_at_own(&mut self) {
        self.own_at = None;
        self.own_rests = self.now.plus_seconds(OWN_LOOK_SECONDS);
        // What cannot be read is as it was.
        let Ok(own) = (self.look_for_own)() else { return };
        let wrong = self.guard.set_own(Trust::new(own));
        self.settle();
        for ban in wrong {
            self.lifted(&ban, "it is the box's own address, gateway or resolver");
        }
    }

    /// The end: our objects stay in the kernel, with the bans in them, or go.
    pub fn stop(&mut self, onstop: OnStop) -> Result<(), Fault> {
        let bans = Count(self.guard.ban_count().into(), "ban");
        // What an action leaves behind when this fails, it would leave behind in any case.
        let _ = self.notices.stop(&self.guard, self.jails.log_names());
        match (self.firewall.as_mut(), onstop) {
            (Some(firewall), OnStop::Remove) => {
                firewall.teardown()?;
                info!(target: TARGET, "stopped; {bans} lifted");
            }
            (Some(_), OnStop::Keep) => info!(target: TARGET, "stopped; {bans} stay in force"),
            (None, _) => info!(target: TARGET, "stopped"),
        }
        Ok(())
    }

    /// What follows from what became of a failure: the ban that it brought.
    fn judge(&mut self, outcome: &Outcome) -> Option<Verdict> {
        match outcome {
            Outcome::Ban(verdict) => {
                let told = verdict
                    .displaced
                    .and_then(|ban| Some((ban, self.displaced.count(self.now)?)));
                if let Some((ban, count)) = &told {
                    let bans = Count(*count, "ban");
                    warn!(target: TARGET, "the table is full (maxbans): {bans} ended early to make room, last {}", Net(ban));
                }
                self.convict(*verdict);
                Some(*verdict)
            }
            Outcome::TableFull(verdict) => {
                if let Some(count) = self.table_full.count(self.now) {
                    let (net, name) = (Net(&verdict.ban), self.jails.name(verdict.ban.jail));
                    error!(target: TARGET, "{net} is not banned: the table is full (maxbans), {} jail={name}", Count(count, "time"));
                }
                None
            }
            Outcome::Proven(ban) => {
                self.proven(ban);
                None
            }
            Outcome::Trusted
            | Outcome::Joined
            | Outcome::Claimed
            | Outcome::Counted(_)
            | Outcome::Banned
            | Outcome::Held
            | Outcome::Dropped => None,
        }
    }

    /// Keeps a verdict until the kernel has answered. A storm of them is taken to the kernel in batches.
    fn convict(&mut self, verdict: Verdict) {
        self.fresh.push(verdict);
        if self.fresh.len() == self.fresh.capacity() {
            self.settle();
        }
    }

    /// Counts a line that somebody may have forged, and says so once a minute.
    fn suspect(&mut self, suspicion: Suspicion, line: &Line<'_>, jails: JailBits) {
        jails.for_each(|jail| self.guard.suspect(jail));
        if let Some(count) = self.suspicious.count(self.now) {
            let start = line.bytes.get(..200).unwrap_or(line.bytes);
            warn!(target: TARGET, "log injection or evasion attempt: {}, {suspicion:?}: {}",
                Count(count, "suspicious line"),
                Escaped(start)
            );
        }
    }
}
