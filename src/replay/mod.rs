//! What the filters and the guard make of logs that are already written: `sipguard test`.
//!
//! Logs of any size go through a fixed amount of memory: [`Replay::step`] reads on to the next line that says
//! something and hands out what it means, as [`Event`]s; [`Replay::report`] sums up. Time is what the lines' stamps
//! say. The bytes come from whatever implements [`io::Read`]; no file is opened here, and nothing is printed.
//!
//! `scan` goes through one log, `merge` several as one; `attempts` tells the lines of one attempt from new attempts, a
//! [`Guard`] says who would have been banned, `timeline` is its clock; `tally` and `sources` count, `report` and
//! `json` show.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod attempts;
pub mod json;
mod merge;
mod missed;
mod report;
mod scan;
mod sources;
mod tally;
mod timeline;

use core::net::IpAddr;
use std::io::{self, Read};

pub use crate::addr::HostOrNet;
pub use merge::Progress;
pub use report::{Bytes, Count, Report, reason};
pub use scan::Seen;

use crate::addr;
use crate::filter::{Context, Failure, Lens, Reading, Sign, Suspicion};
use crate::guard::{Guard, JailId, Outcome, Policy, Settings, Source, Verdict, WIDE};
use crate::limits::{REPLAY_BUFFER_BYTES, REPLAY_FILE_BUFFER_BYTES};
use crate::time::{Mono, Wall};
use attempts::{Attempts, Line};
use merge::Merge;
use scan::{Found, Log};
use tally::Tally;
use timeline::Timeline;

/// One filter, and the jails that it reads for.
#[derive(Clone, Debug)]
pub struct View {
    /// What it reads with.
    pub lens: Lens,
    /// The filter's name.
    pub name: String,
    /// The jails, by their place in [`Rules::jails`].
    pub jails: Vec<JailId>,
}

/// What the logs are judged by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The filters; each reads every log.
    pub views: Vec<View>,
    /// The jails' names and policies.
    pub jails: Vec<(String, Policy)>,
    /// What is the same for all jails.
    pub settings: Settings,
    /// Whether lines that look like a failure and are none are handed out, too.
    pub missed: bool,
}

/// What a line means.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// It is a failure in a jail.
    Failure {
        /// The jail's name.
        jail: &'a str,
        /// The filter's name.
        filter: &'a str,
        /// What the filter read.
        failure: &'a Failure,
        /// Whether its attempt was counted before.
        duplicate: bool,
    },
    /// It would have brought a ban.
    Ban(&'a Banned<'a>),
    /// It looks like one of ours and cannot be.
    Suspicious(Suspicion),
    /// It looks like a failure to a person, and is none to any filter.
    Missed,
}

/// A ban that would have come.
#[derive(Clone, Copy, Debug)]
pub struct Banned<'a> {
    /// The jail's name.
    pub jail: &'a str,
    /// Who, and why.
    pub verdict: Verdict,
    /// When, in the log's local time.
    pub time: Option<Wall>,
    /// Until when; `None` is for ever, or as unknown as `time`.
    pub until: Option<Wall>,
}

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Which log, in the order in which they were added.
    pub log: usize,
    /// The line's number, from 1.
    pub line: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Logs on their way through the filters and the guard.
pub struct Replay<R> {
    merge: Merge<R>,
    logs: usize,
    rules: Rules,
    judge: Judge,
}

impl<R: Read> Replay<R> {
    /// A replay without logs.
    #[must_use]
    pub fn new(rules: Rules) -> Replay<R> {
        let policies = rules.jails.iter().map(|(_, policy)| policy.clone()).collect();
        let guard = Guard::new(policies, rules.settings.clone());
        let judge = Judge {
            attempts: Attempts::new(rules.settings.seed),
            guard,
            timeline: Timeline::default(),
            tally: Tally::new(rules.settings.seed),
            ipv6prefix: rules.settings.ipv6prefix,
        };
        Replay {
            merge: Merge::new(),
            logs: 0,
            rules,
            judge,
        }
    }

    /// Adds a log, one of `of` in all. `context` says what its stamps leave out.
    pub fn add(&mut self, input: R, context: Context, of: usize) {
        let lenses: Vec<&Lens> = self.rules.views.iter().map(|view| &view.lens).collect();
        let buffer = (REPLAY_BUFFER_BYTES / of.max(1)).min(REPLAY_FILE_BUFFER_BYTES);
        let log = Log::new(input, buffer, &lenses, context, self.rules.missed);
        self.merge.add(log);
        self.logs += 1;
    }

    /// Goes on to the next line that says something and hands out what it means. `false`: there is none. `tick` is
    /// called after every block of every log.
    ///
    /// # Errors
    /// A log, by its number, could not be read. The others go on.
    pub fn step<E>(
        &mut self,
        tick: &mut dyn FnMut(Progress),
        each: &mut dyn FnMut(Place<'_>, Event<'_>) -> Result<(), E>,
    ) -> Result<bool, Stopped<E>> {
        let Some(number) = self
            .merge
            .next(tick)
            .map_err(|(log, error)| Stopped::Log(log, error))?
        else {
            return Ok(false);
        };
        let Some(log) = self.merge.get(number) else {
            return Ok(false);
        };
        let place = Place {
            log: number,
            line: log.seen().lines,
            bytes: log.line(),
        };
        let time = log.time();
        for found in log.found() {
            self.judge
                .found(&self.rules, found, time, place, each)
                .map_err(Stopped::Event)?;
        }
        Ok(true)
    }

    /// Whether any failure was found.
    #[must_use]
    pub fn found_any(&self) -> bool {
        self.judge.tally.lines > 0
    }

    /// What it all came to. `names` are the logs', in the order in which they were added.
    #[must_use]
    pub fn report<'r>(&'r self, names: &'r [&'r [u8]], elapsed_ms: u64) -> Report<'r> {
        Report {
            names,
            seen: self.merge.seen().copied().collect(),
            rules: &self.rules,
            tally: &self.judge.tally,
            stats: self.judge.guard.stats(),
            elapsed_ms,
        }
    }
}

/// Why a step ended early.
#[derive(Debug)]
pub enum Stopped<E> {
    /// This log could not be read.
    Log(usize, io::Error),
    /// The event was not taken.
    Event(E),
}

/// Everything that decides and counts.
struct Judge {
    attempts: Attempts,
    guard: Guard,
    timeline: Timeline,
    tally: Tally,
    ipv6prefix: u8,
}

impl Judge {
    fn found<E>(
        &mut self,
        rules: &Rules,
        found: &Found,
        time: Option<Wall>,
        place: Place<'_>,
        each: &mut dyn FnMut(Place<'_>, Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let failure = match found.reading {
            Reading::Nothing => return each(place, Event::Missed),
            Reading::Suspicious(suspicion) => {
                self.tally.suspicious(suspicion);
                return each(place, Event::Suspicious(suspicion));
            }
            Reading::Failure(failure) => failure,
            Reading::Sign(sign) => {
                return self.sign(rules, (found.view, &sign), time, &mut |event| each(place, event));
            }
        };
        let now = self.timeline.advance(time);
        let source = Source(place.log as u16);
        let line = self.attempts.note(self.source(&failure), source, &failure, now);
        self.tally.failure(&failure, line, time);
        let Some(view) = rules.views.get(found.view) else {
            return Ok(());
        };
        for &jail in &view.jails {
            let name = rules.jails.get(usize::from(jail.0)).map_or("", |(name, _)| name);
            let event = Event::Failure {
                jail: name,
                filter: &view.name,
                failure: &failure,
                duplicate: line == Line::Repeats,
            };
            each(place, event)?;
            if let Some(verdict) = self.judge(jail, source, &failure, now) {
                let each = &mut |event: Event<'_>| each(place, event);
                self.convicted(rules, (jail, verdict), (now, time), each)?;
            }
        }
        Ok(())
    }

    /// What shows who somebody is, for all jails of a filter.
    fn sign<E>(
        &mut self,
        rules: &Rules,
        (view, sign): (usize, &Sign),
        time: Option<Wall>,
        each: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let now = self.timeline.advance(time);
        for &jail in rules.views.get(view).map_or(&[][..], |view| &view.jails) {
            while self.guard.expire(now).is_some() {}
            let outcome = self.guard.observe_sign(jail, sign, now);
            if let Some(verdict) = outcome.and_then(|outcome| self.settle(&outcome, now)) {
                self.convicted(rules, (jail, verdict), (now, time), each)?;
            }
        }
        Ok(())
    }

    /// A ban, and what follows from it in jails that count bans.
    fn convicted<E>(
        &mut self,
        rules: &Rules,
        (jail, verdict): (JailId, Verdict),
        at: (Mono, Option<Wall>),
        each: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.banned(rules, (jail, verdict), at, each)?;
        for number in 0..WIDE[1].len() {
            let wide = self
                .guard
                .observe_member(&verdict.ban, verdict.why.last, number, at.0);
            let outcome = wide.and_then(|wide| wide.outcome);
            if let Some(wide) = outcome.and_then(|outcome| self.settle(&outcome, at.0)) {
                self.banned(rules, (jail, wide), at, each)?;
            }
        }
        for number in 0..rules.jails.len() {
            let counts = JailId(number as u16);
            let outcome = self.guard.observe_ban(counts, &verdict.ban, &verdict.why, at.0);
            if let Some(verdict) = outcome.and_then(|outcome| self.settle(&outcome, at.0)) {
                self.banned(rules, (counts, verdict), at, each)?;
            }
        }
        Ok(())
    }

    fn banned<E>(
        &mut self,
        rules: &Rules,
        (jail, verdict): (JailId, Verdict),
        (now, time): (Mono, Option<Wall>),
        each: &mut dyn FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let banned = Banned {
            jail: rules.jails.get(usize::from(jail.0)).map_or("", |(name, _)| name),
            verdict,
            time: self.timeline.wall(now).and(time),
            until: verdict.ban.until.and_then(|until| self.timeline.wall(until)),
        };
        self.tally.banned(jail, &banned);
        each(Event::Ban(&banned))
    }

    /// Asks the guard. There is no kernel; what it shall hold, it holds at once.
    fn judge(&mut self, jail: JailId, source: Source, failure: &Failure, now: Mono) -> Option<Verdict> {
        while self.guard.expire(now).is_some() {}
        let outcome = self.guard.observe(jail, source, failure, now);
        self.settle(&outcome, now)
    }

    fn settle(&mut self, outcome: &Outcome, now: Mono) -> Option<Verdict> {
        if self.guard.has_effects() {
            while let Some(effect) = self.guard.poll_effect(now) {
                self.guard.acked(effect.slot, true, now);
            }
        }
        match outcome {
            Outcome::Ban(verdict) => Some(*verdict),
            Outcome::Trusted
            | Outcome::Joined
            | Outcome::Claimed
            | Outcome::Counted(_)
            | Outcome::Banned
            | Outcome::Held
            | Outcome::Proven(_)
            | Outcome::TableFull(_)
            | Outcome::Dropped => None,
        }
    }

    /// Whose attempts are told apart: an address, or an IPv6 network.
    fn source(&self, failure: &Failure) -> IpAddr {
        match failure.addr {
            IpAddr::V4(_) => failure.addr,
            IpAddr::V6(_) => addr::network(failure.addr, self.ipv6prefix),
        }
    }
}
