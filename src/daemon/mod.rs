//! The loop: one thread, one `poll(2)`. Here are the start-up order, the budget of a turn and the log lines:
//! one decision, one line.

mod by_hand;
mod jails;
mod log_names;
mod logs;
mod names;
mod notices;
mod report;
mod requests;
mod state;
mod status;
mod watch;

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use log::{LevelFilter, error, info, warn};

use crate::action::{Role, needs};
use crate::cli::Failed;
use crate::config::{self, Config, LogLevel, Warning};
use crate::firewall::{Enforce as _, Firewall};
use crate::guard::{Guard, JailId, Seed, Settings, Trust};
use crate::notify::record::Record;
use crate::power::{Plan, Powers, Writable};
use crate::sys::clock_set::ClockSet;
use crate::sys::poll::{Interest, Place, Waiting};
use crate::sys::routes::Routes;
use crate::sys::signals::{Request, Signals};
use crate::sys::{Fault, caps, clock, own};
use crate::tail::What;
use crate::time::Mono;
use logs::Logs;
use notices::Notices;
use report::Count;
use requests::Control;

pub use jails::{config_file, load};
pub(crate) use jails::{lens, read_bounded};
pub(crate) use notices::absent;

// What of the loop runs without a system, for the simulator in tests/.
#[doc(hidden)]
pub use jails::{Jails, policies};
#[doc(hidden)]
pub use state::State;
#[doc(hidden)]
pub use watch::{Heard, Watch};

/// The name on every line of the log.
const TARGET: &str = "sipguard";

/// A running guard.
pub struct Daemon {
    path: Option<PathBuf>,
    config: Config,
    signals: Signals,
    logs: Logs,
    watch: Watch,
    control: Option<Control>,
    /// Where it is heard that the wall clock was set; a kernel may lack it.
    clock_set: Option<ClockSet>,
    /// Tells when this box has got or lost an address.
    routes: Option<Routes>,
    /// Since when it guards.
    since: Mono,
    /// How often another configuration was taken over.
    reloads: u32,
    /// The command line asks for every failure, whatever `loglevel` says.
    is_verbose: bool,
    powers: Powers,
}

impl Daemon {
    /// Reads the configuration, opens the logs and then the firewall: nothing is left in the kernel if
    /// anything before it fails. With `dry_run` the kernel is not touched at all.
    ///
    /// # Errors
    /// A wrong configuration, or a machine that refuses what a guard needs.
    pub fn start(path: Option<PathBuf>, dry_run: bool) -> Result<Daemon, Failed> {
        let is_verbose = log::max_level() >= LevelFilter::Debug;
        let (config, _, record) = load_and_warn(path.as_deref())?;
        set_level(&config, is_verbose);
        // First of all: the children are started while we have the power to.
        let notices = match config_file(path.as_deref()) {
            Some(file) if !dry_run => Notices::start(&config, file, &record)?,
            Some(_) if needs(&config, Role::Lookups) => {
                warn!(target: TARGET, "a dry run looks no names up and does not ask ignorecommand");
                Notices::default()
            }
            Some(_) | None => Notices::default(),
        };
        drop(record);
        let mut logs = Logs::start(&config)?;
        let signals = Signals::new().map_err(|source| Fault::new("cannot take signals", source))?;
        let now = clock::boottime().map_err(|source| Fault::new("cannot read the clock", source))?;
        // A dry run beside a running guard is no second one.
        let control = if dry_run { None } else { requests::open(&config)? };
        let jails = Jails::new(&config);
        let mut guard = new_guard(&config, !dry_run)?;
        let utc = clock::utc().map_err(|source| Fault::new("cannot read the clock", source))?;
        let made = if dry_run {
            Vec::new()
        } else {
            state::prepare(&config)
        };
        let state = if dry_run {
            None
        } else {
            State::open(&config, &jails, &mut guard, &mut logs, (now, utc))
        };
        logs.follow(&jails, now)?;
        let firewall = if dry_run {
            None
        } else {
            Some(open_firewall(&config, &jails)?)
        };
        let mut watch = Watch::new(
            jails,
            guard,
            firewall,
            state,
            clock::zone(),
            Box::new(own::addresses),
        );
        watch.set_notices(notices);
        // Where changes of our addresses cannot be heard, or nothing can be banned, they are looked for after bans.
        let bans = watch.firewall().is_some_and(|kernel| kernel.absence().is_none());
        let routes = bans.then(|| Routes::new().ok()).flatten();
        report::started(&config, &watch);
        watch.begin_turn(now, utc);
        watch.take_up();
        watch.notices_mut().begin();
        let powers = give_up(&config, path.as_deref(), &made, !dry_run);
        Ok(Daemon {
            path,
            config,
            signals,
            logs,
            watch,
            control,
            clock_set: ClockSet::new().ok(),
            routes,
            since: now,
            reloads: 0,
            is_verbose,
            powers,
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
        self.watch.keep_all(&self.logs);
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
            let mut waiting = Waiting::new(self.signals.as_fd());
            let logs = waiting.add(self.logs.tail.fd(), Interest::Read);
            let feeds = self.logs.readers.fds();
            let feeds = feeds.map(|fd| fd.map(|fd| waiting.add(fd, Interest::Read)));
            let kernel = self.watch.kernel_events();
            let kernel = kernel.map(|events| waiting.add(events, Interest::Read));
            let clock = self.clock_set.as_ref();
            let clock = clock.map(|set| waiting.add(set.as_fd(), Interest::Read));
            let routes = self.routes.as_ref();
            let routes = routes.map(|routes| waiting.add(routes.as_fd(), Interest::Read));
            let children = self.watch.notices().fds();
            let children = children.map(|fd| fd.map(|fd| waiting.add(fd, Interest::Read)));
            let control = self.control.as_ref();
            let clients = control.and_then(|control| control.enroll(&mut waiting));
            let ready = waiting.wait(timeout)?;
            let now = clock::boottime()?;
            if ready.has(Place::FIRST) && !self.obey(now)? {
                return Ok(());
            }
            let deadline = self.logs.tail.next_deadline();
            if ready.has(logs) || deadline.is_some_and(|deadline| deadline <= now) {
                self.logs.tail.wake(now);
            }
            if feeds.iter().flatten().any(|place| ready.has(*place)) {
                self.logs.readers.wake();
            }
            if children.iter().flatten().any(|place| ready.has(*place)) {
                self.watch.notices_mut().listen();
            }
            // A log that was opened is in the state file before it is read on.
            self.tell_of_files();
            let heard = Heard {
                kernel_changed: kernel.is_some_and(|place| ready.has(place)),
                routes_changed: routes.is_some_and(|place| ready.has(place))
                    && hears(&mut self.routes, Routes::take),
                clock_was_set: clock.is_some_and(|place| ready.has(place))
                    && hears(&mut self.clock_set, ClockSet::take),
            };
            more = self.watch.turn(&mut self.logs, heard, (now, clock::utc()?));
            // What was asked for may have changed what there is to read.
            more |= self.serve(ready, clients, now);
            self.tell_of_files();
        }
    }

    /// Says what happened to the logs.
    fn tell_of_files(&mut self) {
        while let Some(notice) = self.logs.tail.notice() {
            report::file(&notice, self.watch.jails());
            if matches!(notice.what, What::Opened(_) | What::Rotated) {
                self.watch.log_opened();
            }
        }
        if self.logs.readers.take_news() {
            self.watch.log_opened();
        }
    }

    /// How long nothing has to be done, in milliseconds; `None` is for ever.
    fn timeout(&self, now: Mono) -> Option<u64> {
        let control = self.control.as_ref().and_then(Control::next_deadline);
        let deadlines = [
            self.watch.next_deadline(),
            self.logs.tail.next_deadline(),
            control,
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.millis_since(now))
    }

    /// Does what a signal asks, one a turn: the logs are read between two. `false`: stop.
    fn obey(&mut self, now: Mono) -> io::Result<bool> {
        match self.signals.take()? {
            None => {}
            // What came of it is in the log.
            Some(Request::Reload) => _ = self.reload(now),
            Some(Request::Stop) => return Ok(false),
        }
        Ok(true)
    }

    /// Takes over the whole new configuration, or none of it. Returns what changed, a line each, and what is to be
    /// said about the configuration.
    fn reload(&mut self, now: Mono) -> Result<String, Failed> {
        let done = self.try_reload(now);
        match &done {
            Ok((changes, _)) => {
                let jails = Count(self.config.jails.len() as u64, "jail");
                let changes = if changes.is_empty() {
                    "nothing changed".to_owned()
                } else {
                    changes.join("; ")
                };
                info!(target: TARGET, "configuration read again: {jails}; {changes}");
            }
            Err(failed) => error!(target: TARGET, "keeping the old settings: {failed}"),
        }
        let (changes, warnings) = done?;
        let mut said = if changes.is_empty() {
            "configuration read again; nothing changed".to_owned()
        } else {
            format!("configuration read again:\n  {}", changes.join("\n  "))
        };
        for warning in warnings {
            said += &format!("\nwarning: {warning}");
        }
        Ok(said)
    }

    fn try_reload(&mut self, now: Mono) -> Result<(Vec<String>, Vec<Warning>), Failed> {
        let (config, warnings, _) = load_and_warn(self.path.as_deref())?;
        let mut changes = config::changes(&self.config, &config);
        let jails = Jails::new(&config);
        let guard = new_guard(&config, true)?;
        let layout = |config: &Config| (config.firewall, config.ipv6prefix, config.maxbans);
        let laid_out_alike =
            jails.rules() == self.watch.jails().rules() && layout(&config) == layout(&self.config);
        let mut prepared = self.logs.follow(&jails, now);
        if prepared.is_ok() && !laid_out_alike {
            prepared = self.watch.relayout(&config, &jails);
        }
        if let Err(fault) = prepared {
            self.logs.unfollow(&jails, self.watch.jails(), now);
            self.logs.follow(self.watch.jails(), now)?;
            return Err(fault.into());
        }
        self.logs.unfollow(self.watch.jails(), &jails, now);
        self.watch.notices_mut().reload(&config);
        let ended = self.watch.replace(jails, guard, now);
        if ended > 0 {
            changes.push(format!("bans that ended: {ended}"));
        }
        self.powers.look_again(&config, config_file(self.path.as_deref()));
        set_level(&config, self.is_verbose);
        self.config = config;
        self.reloads = self.reloads.wrapping_add(1);
        Ok((changes, warnings))
    }
}

/// Whether what it tells of has happened. A descriptor that cannot be read would wake us for ever: it is let go.
fn hears<T>(descriptor: &mut Option<T>, take: impl FnOnce(&mut T) -> io::Result<bool>) -> bool {
    match descriptor.as_mut().map(take) {
        Some(Ok(happened)) => happened,
        Some(Err(_)) => {
            *descriptor = None;
            false
        }
        None => false,
    }
}

fn load_and_warn(path: Option<&Path>) -> Result<(Config, Vec<Warning>, Record), config::Error> {
    let (config, warnings, record) = jails::load_recorded(path)?;
    for warning in &warnings {
        warn!(target: TARGET, "{warning}");
    }
    Ok((config, warnings, record))
}

/// `loglevel`.
fn set_level(config: &Config, is_verbose: bool) {
    log::set_max_level(match config.loglevel {
        _ if is_verbose => LevelFilter::Debug,
        Some(LogLevel::Error) => LevelFilter::Error,
        Some(LogLevel::Warning) => LevelFilter::Warn,
        Some(LogLevel::Info) | None => LevelFilter::Info,
        Some(LogLevel::Debug) => LevelFilter::Debug,
    });
}

/// Where the control socket stands.
const RUN_DIRECTORY: &str = "/run/sipguard";

/// Gives up what a guard that guards does not need. What has to be opened as root is open by now.
fn give_up(config: &Config, file: Option<&Path>, made: &[PathBuf], firewall: bool) -> Powers {
    // Directories that others made may hold more than what is ours: /etc/sipguard does.
    let default = [
        Path::new(config::DBFILE_DEFAULT).parent(),
        Some(Path::new(RUN_DIRECTORY)),
    ];
    let ours =
        |directory: &Path| default.contains(&Some(directory)) || made.iter().any(|made| made == directory);
    let state = [&config.dbfile, &config.dbshort].into_iter().flatten();
    let writable: Vec<Writable<'_>> = state
        .filter_map(|path| Path::new(path).parent())
        .chain([Path::new(RUN_DIRECTORY)])
        .map(|directory| Writable {
            directory,
            is_ours: ours(directory),
        })
        .collect();
    Plan::new(config, config_file(file), caps::uid() == 0).carry_out(&writable, firewall)
}

/// `asks`: whether there is a child that can be asked about addresses.
fn new_guard(config: &Config, asks: bool) -> Result<Guard, Fault> {
    let own = own::addresses().map_err(|source| Fault::new("cannot list our own addresses", source))?;
    let settings = Settings {
        ring: config.ring,
        maxbans: config.maxbans,
        ipv6prefix: config.ipv6prefix,
        purge_age: config.dbpurgeage,
        own: Trust::new(own),
        seed: Seed(clock::random()),
    };
    let mut guard = Guard::new(policies(config), settings);
    for (number, jail) in (0..).zip(&config.jails) {
        if let Some(command) = jail.ignorecommand.as_ref().filter(|_| asks) {
            let kept = command.cache.map(|cache| (cache.count, cache.seconds));
            guard.ask_before_bans(JailId(number), kept);
        }
    }
    Ok(guard)
}

fn open_firewall(config: &Config, jails: &Jails) -> Result<Firewall, Fault> {
    Firewall::open(config.firewall, jails.rules(), config.ipv6prefix, config.maxbans)
}
