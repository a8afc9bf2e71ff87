//! The loop: one thread, one `poll(2)`. Here are the start-up order, the budget of a turn and the log lines:
//! one decision, one line.

mod jails;
mod notices;
mod report;
mod watch;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use log::{error, info, warn};

use crate::cli::Failed;
use crate::config::{self, Config};
use crate::firewall::Firewall;
use crate::guard::{Guard, Seed, Settings, Trust};
use crate::notify::record::Record;
use crate::sys::signals::{Request, Signals};
use crate::sys::{Fault, clock, own, poll};
use crate::tail::{Start, Tail};
use crate::time::Mono;
use jails::Jails;
use notices::Notices;
use report::Count;
use watch::Watch;

pub use jails::load;
pub(crate) use jails::{lens, policies, read_bounded};
pub(crate) use notices::absent;

/// The name on every line of the log.
const TARGET: &str = "sipguard";

/// A running guard.
pub struct Daemon {
    path: Option<PathBuf>,
    config: Config,
    signals: Signals,
    tail: Tail,
    watch: Watch,
}

impl Daemon {
    /// Reads the configuration, opens the logs and then the firewall: nothing is left in the kernel if
    /// anything before it fails. With `dry_run` the kernel is not touched at all.
    ///
    /// # Errors
    /// A wrong configuration, or a machine that refuses what a guard needs.
    pub fn start(path: Option<PathBuf>, dry_run: bool) -> Result<Daemon, Failed> {
        let (config, record) = load_and_warn(path.as_deref())?;
        // First of all: the children are started while we have the power to.
        let notices = if dry_run {
            Notices::default()
        } else {
            Notices::start(&config, jails::path(path.as_deref()), &record)?
        };
        drop(record);
        let signals = Signals::new().map_err(|source| Fault::new("cannot take signals", source))?;
        let now = clock::boottime().map_err(|source| Fault::new("cannot read the clock", source))?;
        let mut tail = Tail::new()?;
        let jails = Jails::new(&config);
        follow(&mut tail, &jails, now)?;
        let guard = new_guard(&config)?;
        let firewall = if dry_run {
            None
        } else {
            Some(open_firewall(&config, &jails)?)
        };
        let mut watch = Watch::new(jails, guard, firewall, clock::zone(), notices);
        report::started(&config, &watch);
        watch.notices_mut().begin();
        Ok(Daemon {
            path,
            config,
            signals,
            tail,
            watch,
        })
    }

    /// Guards until SIGTERM or SIGINT. Then the bans stay in force, or with `onstop = remove` end.
    ///
    /// # Errors
    /// If our objects shall be taken out and cannot; if waiting or the clock fails, which no kernel does to a healthy process.
    pub fn run(&mut self) -> Result<(), Fault> {
        let ended = self
            .until_told()
            .map_err(|source| Fault::new("cannot wait for events", source));
        ended.and_then(|()| self.watch.stop(self.config.onstop))
    }

    fn until_told(&mut self) -> io::Result<()> {
        let mut more = true;
        loop {
            let timeout = if more {
                Some(0)
            } else {
                self.timeout(clock::boottime()?)
            };
            let (signals, logs) = (self.signals.as_fd(), self.tail.fd());
            // Who is not there is looked at as the signals are, and not heard.
            let (events, [mail, commands]) = (self.watch.kernel_events(), self.watch.notices().fds());
            let others = [events, mail, commands];
            let [events_fd, mail_fd, commands_fd] = others.map(|fd| fd.unwrap_or(signals));
            let ready = poll::readable([signals, logs, events_fd, mail_fd, commands_fd], timeout)?;
            let [signalled, written, changed, mailed, commanded] = ready;
            let changed = changed && events.is_some();
            let told = (mailed && mail.is_some()) || (commanded && commands.is_some());
            let now = clock::boottime()?;
            if signalled && !self.obey(now)? {
                return Ok(());
            }
            if written || self.tail.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.tail.wake(now);
            }
            self.watch.begin_turn(now, clock::utc()?);
            self.watch.look_at_kernel(changed);
            if told {
                self.watch.notices_mut().listen();
            }
            more = self.tail.read(now, &mut |line| self.watch.line(&line));
            self.watch.end_turn();
            while let Some(notice) = self.tail.notice() {
                report::file(&notice, self.watch.jails());
            }
        }
    }

    /// How long nothing has to be done, in milliseconds; `None` is for ever.
    fn timeout(&self, now: Mono) -> Option<u64> {
        let deadlines = [self.watch.next_deadline(), self.tail.next_deadline()];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.millis_since(now))
    }

    /// Does what a signal asks, one a turn: the logs are read between two. `false`: stop.
    fn obey(&mut self, now: Mono) -> io::Result<bool> {
        match self.signals.take()? {
            None => {}
            Some(Request::Reload) => self.reload(now),
            Some(Request::Stop) => return Ok(false),
        }
        Ok(true)
    }

    /// Takes over the whole new configuration, or none of it.
    fn reload(&mut self, now: Mono) {
        match self.try_reload(now) {
            Ok(()) => {
                let jails = Count(self.config.jails.len() as u64, "jail");
                info!(target: TARGET, "configuration read again: {jails}");
            }
            Err(Failed::Config(error)) => error!(target: TARGET, "keeping the old settings: {error}"),
            Err(Failed::Machine(fault)) => error!(target: TARGET, "keeping the old settings: {fault}"),
            Err(Failed::Usage(text)) => error!(target: TARGET, "keeping the old settings: {text}"),
        }
    }

    fn try_reload(&mut self, now: Mono) -> Result<(), Failed> {
        let (config, _) = load_and_warn(self.path.as_deref())?;
        let jails = Jails::new(&config);
        let guard = new_guard(&config)?;
        let layout = |config: &Config| (config.firewall, config.ipv6prefix, config.maxbans);
        let laid_out_alike =
            jails.rules() == self.watch.jails().rules() && layout(&config) == layout(&self.config);
        let mut prepared = follow(&mut self.tail, &jails, now);
        if prepared.is_ok() && !laid_out_alike {
            prepared = self.watch.relayout(&config, &jails);
        }
        if let Err(fault) = prepared {
            unfollow(&mut self.tail, &jails, self.watch.jails(), now);
            follow(&mut self.tail, self.watch.jails(), now)?;
            return Err(fault.into());
        }
        unfollow(&mut self.tail, self.watch.jails(), &jails, now);
        self.watch.notices_mut().reload(&config);
        self.watch.replace(jails, guard, now);
        self.config = config;
        Ok(())
    }
}

/// Follows the files of these jails; those that are followed already keep their place.
fn follow(tail: &mut Tail, jails: &Jails, now: Mono) -> Result<(), Fault> {
    for (pattern, readers) in jails.patterns() {
        tail.follow(pattern, readers, Start::End, now)?;
    }
    Ok(())
}

/// Follows the files of these jails no more, but for those that the others read.
fn unfollow(tail: &mut Tail, jails: &Jails, others: &Jails, now: Mono) {
    for (pattern, _) in jails.patterns() {
        if others.patterns().all(|(wanted, _)| wanted != pattern) {
            tail.unfollow(pattern, now);
        }
    }
}

fn load_and_warn(path: Option<&std::path::Path>) -> Result<(Config, Record), config::Error> {
    let (config, warnings, record) = jails::load_recorded(path)?;
    for warning in warnings {
        warn!(target: TARGET, "{warning}");
    }
    Ok((config, record))
}

fn new_guard(config: &Config) -> Result<Guard, Fault> {
    let own = own::addresses().map_err(|source| Fault::new("cannot list our own addresses", source))?;
    let settings = Settings {
        ring: config.ring,
        maxbans: config.maxbans,
        ipv6prefix: config.ipv6prefix,
        purge_age: config.dbpurgeage,
        own: Trust::new(own),
        seed: Seed(clock::random()),
    };
    Ok(Guard::new(policies(config), settings))
}

fn open_firewall(config: &Config, jails: &Jails) -> Result<Firewall, Fault> {
    Firewall::open(config.firewall, jails.rules(), config.ipv6prefix, config.maxbans)
}
