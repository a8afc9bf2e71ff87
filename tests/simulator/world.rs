//! A machine with a guard on it: clocks, disks, a kernel and log files, all of them the simulator's own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

use ipnet::IpNet;
use sipguard::config::{self, Config, OnStop};
use sipguard::daemon::{Heard, Jails, State, Watch, policies};
use sipguard::guard::{Guard, JailId, Seed, Settings, Trust};
use sipguard::store::BootId;
use sipguard::store::memory::Memory;
use sipguard::time::{Mono, Wall};
use sipguard::zone::Zone;

use super::kernel::{Handle, Kind, Machine};
use super::logs::{Files, Tail, path};
use super::model::{BOOTING, Jail, Key, Model, Slack, Started};
use super::random::Random;

/// The wall clock when the simulation's clock was 0: 2026-11-22 12:42:47 UTC.
const WALL: i64 = 1_795_351_367;
pub(crate) const PATHS: usize = 2;
const MAXBANS: u32 = 256;
/// One seed of so many fills the table of bans. Nothing ends the guard there: what comes back is another question.
const FULL: u64 = 20;

/// A guard that runs.
pub(crate) struct Running {
    pub(crate) watch: Watch<Handle, Memory>,
    pub(crate) tail: Tail,
    pub(crate) more: bool,
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) clock: Rc<Cell<i64>>,
    /// When this boot was, and which one it is.
    pub(crate) booted: i64,
    pub(crate) boot: u128,
    /// By how many seconds the wall clock is wrong.
    pub(crate) wall_error: i64,
    pub(crate) clock_was_set: bool,
    pub(crate) long: Memory,
    pub(crate) short: Option<Memory>,
    pub(crate) machine: Rc<RefCell<Machine>>,
    pub(crate) files: Rc<RefCell<Files>>,
    pub(crate) model: Model,
    pub(crate) running: Option<Running>,
    pub(crate) turns: u64,
    pub(crate) disk_trouble: bool,
    /// In this boot.
    pub(crate) disk_was_troubled: bool,
    pub(crate) clock_was_wrong: bool,
    /// When the wall clock is right, it is known how long the machine was away.
    pub(crate) correctable: bool,
    pub(crate) clock_is_doubtful: bool,
    /// How much was on the disk by the boot: what was not written, the next boot does not know.
    pub(crate) written_at_boot: u64,
    /// A log was rotated, and that is not on the disk for sure. Whoever rotates twice, and has the guard die then, loses
    /// the lines of the file between.
    pub(crate) rotated: bool,
    pub(crate) verbose: bool,
    pub(crate) without: String,
    /// How many bans have a place. There are fewer sources but for the seeds that fill the table.
    pub(crate) maxbans: u32,
    /// `bantime.increment` is on.
    counts_bans: bool,
    /// The kernel did not let the guard see what it holds when it started.
    pub(crate) saw_nothing: bool,
}

impl World {
    pub(crate) fn new(seed: u64, verbose: bool) -> World {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let clock = Rc::new(Cell::new(0));
        let kind = [Kind::Poll, Kind::Events, Kind::Protected][random.index(3)];
        let long = Memory::new();
        let short = (random.below(4) == 0).then(Memory::new);
        let disks = [Some(long.clone()), short.clone()]
            .into_iter()
            .flatten()
            .collect();
        let machine = Machine::new(kind, Rc::clone(&clock), disks, random.below(u64::MAX));
        let trusted = ["192.0.2.0/24", "203.0.113.1/32", "2001:db8:ff::1/128"];
        let mut model = Model::new(
            jails(&mut random),
            trusted.map(|net| net.parse().unwrap()).to_vec(),
            PATHS,
        );
        model.two_files = short.is_some();
        let (mut maxbans, mut without) = (MAXBANS, super::without());
        if seed % FULL == 3 {
            maxbans = 2 + random.below(5) as u32;
            without += ",die,boot,restart,files";
            tell_apart(&mut model.jails);
        }
        model.maxbans = maxbans as usize;
        World {
            random,
            clock,
            booted: -BOOTING,
            boot: 1,
            wall_error: 0,
            clock_was_set: false,
            long,
            short,
            machine: Rc::new(RefCell::new(machine)),
            files: Rc::new(RefCell::new(Files::new(PATHS))),
            model,
            running: None,
            turns: 0,
            disk_trouble: false,
            disk_was_troubled: false,
            clock_was_wrong: false,
            correctable: false,
            clock_is_doubtful: false,
            written_at_boot: 0,
            rotated: false,
            verbose,
            without,
            maxbans,
            counts_bans: seed % 2 == 1,
            saw_nothing: false,
        }
    }

    /// There may be more to ban than the table has places.
    pub(crate) fn is_full(&self) -> bool {
        self.maxbans < MAXBANS
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.get()
    }

    pub(crate) fn mono(&self) -> Mono {
        Mono(Mono::BOOT.0 + (self.now() - self.booted) as u64)
    }

    pub(crate) fn time_of(&self, at: Mono) -> i64 {
        at.0 as i64 - Mono::BOOT.0 as i64 + self.booted
    }

    pub(crate) fn wall(&self) -> i64 {
        WALL + self.now().div_euclid(1000) + self.wall_error
    }

    pub(crate) fn note(&self, what: &dyn std::fmt::Display) {
        if self.verbose {
            println!("{:>12} {what}", self.now());
        }
    }

    pub(crate) fn disks(&self) -> impl Iterator<Item = &Memory> {
        [Some(&self.long), self.short.as_ref()].into_iter().flatten()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.machine.borrow().is_dead()
    }

    pub(crate) fn config(&self) -> Config {
        let mut text = format!(
            "[DEFAULT]\nignoreip = 192.0.2.0/24\nmaxbans = {}\nring = 256\naction = iptables-allports[protocol=all]\n",
            self.maxbans
        );
        if self.counts_bans {
            // Those before make none longer, but the guard remembers them, and the file.
            text += "bantime.increment = true\nbantime.multipliers = 1\n";
        }
        for jail in &self.model.jails {
            let paths: Vec<_> = (0..PATHS)
                .filter(|number| jail.paths & (1 << number) != 0)
                .collect();
            let paths: Vec<_> = paths
                .into_iter()
                .map(|number| path(number).display().to_string())
                .collect();
            text += &format!(
                "[{}]\nenabled = true\nfilter = asterisk\nlogpath = {}\ncounting = plain\nmaxretry = {}\nfindtime = {}\nbantime = {}\n",
                jail.name,
                paths.join("\n  "),
                jail.maxretry,
                jail.findtime,
                jail.bantime.unwrap_or(-1)
            );
        }
        config::load(Path::new("/jail.local"), &mut |_| Ok(text.clone().into()))
            .unwrap()
            .0
    }

    fn guard(&mut self, config: &Config) -> Guard {
        let settings = Settings {
            ring: config.ring,
            maxbans: config.maxbans,
            ipv6prefix: config.ipv6prefix,
            purge_age: config.dbpurgeage,
            own: Trust::new(own()),
            seed: Seed([self.random.below(u64::MAX), self.random.below(u64::MAX)]),
        };
        Guard::new(policies(config), settings)
    }

    fn readers(&self) -> Vec<u32> {
        let reads = |path: usize, jail: &Jail| jail.paths & (1 << path) != 0;
        (0..PATHS)
            .map(|path| {
                let jails = self.model.jails.iter().enumerate();
                jails
                    .filter(|(_, jail)| reads(path, jail))
                    .fold(0, |bits, (number, _)| bits | 1 << number)
            })
            .collect()
    }

    /// Starts the guard, as `Daemon::start` does, and compares what it knows with what it has to know.
    pub(crate) fn start(&mut self, same_boot: bool, short_gone: bool) {
        let (now, utc) = (self.mono(), Wall(self.wall()));
        let config = self.config();
        for disk in self.disks() {
            let file = disk.bytes(sipguard::store::disk::Name::Live).unwrap_or_default();
            self.note(&format_args!(
                "the state file:\n{}",
                String::from_utf8_lossy(&file)
            ));
        }
        let jails = Jails::new(&config);
        let mut guard = self.guard(&config);
        let mut tail = Tail::new(&self.files);
        let disks = (self.long.clone(), self.short.clone());
        let state = State::restore(
            disks,
            BootId(self.boot),
            &jails,
            &mut guard,
            &mut tail,
            (now, utc),
        );
        let read = tail.follow(self.readers(), now);
        let held = self.held();
        let restored: BTreeSet<Key> = guard.bans().map(|ban| self.key(ban.jail, ban.net)).collect();
        if self.verbose {
            for ban in guard.bans() {
                println!("restored {ban:?} now {now:?}");
            }
            let mut from = 0;
            while let Some((next, kept)) = guard.kept(from) {
                println!("restored {kept:?}");
                from = next;
            }
        }
        let firewall = Handle::open(&self.machine, jails.rules());
        let look_for_own = Box::new(|| Ok(own()));
        let mut watch = Watch::new(
            jails,
            guard,
            Some(firewall),
            Some(state),
            Zone::default(),
            look_for_own,
        );
        watch.begin_turn(now, utc);
        watch.take_up();
        self.running = Some(Running {
            watch,
            tail,
            more: true,
        });
        let visible = self.machine.borrow().trouble.busy == 0;
        self.saw_nothing = !visible;
        let bans = self.bans_of_guard();
        let started = Started {
            adopted: bans
                .keys()
                .filter(|key| !restored.contains(key))
                .cloned()
                .collect(),
            bans,
            failures: self.failures_of_guard(),
            synced: !self.running.as_ref().unwrap().watch.is_state_failing(),
            read,
            held,
            visible,
            same_boot,
            short_gone,
        };
        self.note(&format_args!(
            "started, {} bans, read {:?}",
            started.bans.len(),
            started.read
        ));
        let done = self.model.started(started, self.now());
        done.unwrap_or_else(|error| panic!("{error}"));
    }

    /// What the kernel holds of configured jails.
    pub(crate) fn held(&self) -> BTreeMap<Key, Option<i64>> {
        let machine = self.machine.borrow();
        let sets = self.model.jails.iter().flat_map(|jail| {
            let elements = machine.elements_of(jail.name).into_iter();
            elements.map(|(net, end)| ((jail.name.to_owned(), net), end))
        });
        sets.collect()
    }

    fn key(&self, jail: JailId, net: IpNet) -> Key {
        (self.model.jails[usize::from(jail.0)].name.to_owned(), net)
    }

    pub(crate) fn bans_of_guard(&self) -> BTreeMap<Key, Option<i64>> {
        let guard = self.running.as_ref().unwrap().watch.guard();
        let bans = guard.bans().map(|ban| {
            (
                self.key(ban.jail, ban.net),
                ban.until.map(|until| self.time_of(until)),
            )
        });
        bans.collect()
    }

    pub(crate) fn failures_of_guard(&self) -> BTreeMap<Key, Vec<i64>> {
        let guard = self.running.as_ref().unwrap().watch.guard();
        let mut failures: BTreeMap<Key, Vec<i64>> = BTreeMap::new();
        let mut from = 0;
        while let Some((next, kept)) = guard.kept(from) {
            from = next;
            let key = self.key(kept.jail, kept.net);
            failures.entry(key).or_default().push(self.time_of(kept.at));
        }
        failures.values_mut().for_each(|times| times.sort_unstable());
        failures
    }

    /// One turn of the loop.
    fn turn(&mut self) {
        let (now, utc, time) = (self.mono(), Wall(self.wall()), self.now());
        let heard = Heard {
            kernel_changed: self.hears_kernel(),
            routes_changed: false,
            clock_was_set: std::mem::take(&mut self.clock_was_set),
        };
        let running = self.running.as_mut().unwrap();
        running.tail.wake(now);
        let corrects = heard.clock_was_set;
        running.more = running.watch.turn(&mut running.tail, heard, (now, utc));
        // As `Daemon::tell_of_files` does.
        if std::mem::take(&mut running.tail.opened) {
            running.watch.log_opened();
        }
        let healthy = !running.watch.is_state_failing();
        let given = std::mem::take(&mut running.tail.given);
        for given in &given {
            self.note(&format_args!("reads {given:?}"));
        }
        self.turns += 1;
        if corrects {
            assert!(given.is_empty(), "all lines were read before");
            let (bans, failures) = (self.bans_of_guard(), self.failures_of_guard());
            self.model.corrected(&bans, failures, time);
        }
        self.model.expire(time);
        self.model.chosen = self.bans_of_guard();
        for given in given {
            let files = self.files.borrow();
            let (line, expected) = (files.lines[given.number], &files.readable[given.path]);
            let next = self.model.read[given.path];
            assert_eq!(
                expected.get(next),
                Some(&given.number),
                "lines are given once and in order"
            );
            drop(files);
            self.model.read[given.path] += 1;
            self.model.given(given, &line, net_of(line.addr), time, utc.0);
        }
        self.model.end_turn(time, healthy);
        self.rotated &= !healthy;
    }

    fn hears_kernel(&self) -> bool {
        let listens = |running: &Running| running.watch.kernel_events().is_some();
        self.running.as_ref().is_some_and(listens) && self.machine.borrow().has_events()
    }

    fn next_deadline(&self) -> Option<i64> {
        let running = self.running.as_ref()?;
        let deadlines = [running.watch.next_deadline(), running.tail.next_deadline()];
        let next = deadlines.into_iter().flatten().min();
        let pressing = running.more || running.tail.has_events() || self.hears_kernel() || self.clock_was_set;
        if pressing {
            Some(self.now())
        } else {
            next.map(|at| self.time_of(at))
        }
    }

    /// Lets time pass, and the guard do what it does.
    pub(crate) fn pass(&mut self, millis: i64) {
        let end = self.now() + millis;
        loop {
            let mut rounds = 0;
            while self.running.is_some() && self.next_deadline().is_some_and(|at| at <= self.now()) {
                self.turn();
                if self.is_dead() {
                    return;
                }
                rounds += 1;
                assert!(rounds < 1_000, "it does not come to rest");
            }
            if rounds > 0 {
                self.check();
            }
            if self.now() >= end {
                return;
            }
            let next = self.next_deadline().unwrap_or(end).clamp(self.now(), end);
            self.clock.set(next);
        }
    }

    /// Does what the loop does after somebody asked for something.
    pub(crate) fn asked(&mut self) {
        let now = self.now();
        let running = self.running.as_mut().unwrap();
        running.watch.settle();
        running.watch.keep(&running.tail);
        let healthy = !running.watch.is_state_failing();
        self.model.end_turn(now, healthy);
        if !self.is_dead() {
            self.check();
        }
    }

    /// Takes over another configuration, as `Daemon::try_reload` does. `false`: all stays as it was.
    pub(crate) fn reload(&mut self, jails: Vec<Jail>) -> bool {
        let before = self.model.jails.clone();
        self.model.jails = jails.clone();
        let config = self.config();
        let (prepared, guard, readers) = (Jails::new(&config), self.guard(&config), self.readers());
        self.model.jails = before;
        let now = self.mono();
        let running = self.running.as_mut().unwrap();
        let alike = prepared.rules() == running.watch.jails().rules();
        // Whoever asks for it wakes the loop, which has a turn whatever came of it.
        running.more = true;
        if !alike && running.watch.relayout(&config, &prepared).is_err() {
            return false;
        }
        running.tail.follow(readers, now);
        running.watch.replace(prepared, guard, now);
        self.model.reload(jails);
        self.model.end_turn(self.clock.get(), false);
        true
    }

    /// The guard ends, as it is told to.
    pub(crate) fn stop(&mut self, onstop: OnStop) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.watch.keep_all(&running.tail);
        let healthy = !running.watch.is_state_failing();
        let _ = running.watch.stop(onstop);
        if healthy {
            self.model.stopped();
        }
    }

    /// The machine is switched off for so long, and boots.
    pub(crate) fn boot(&mut self, away: i64) {
        self.clock.set(self.now() + away);
        self.booted = self.now() - BOOTING;
        self.boot += 1;
        self.machine.borrow_mut().reboot();
        let before = self.model.slack;
        self.model.slack = Slack {
            early: before.early + 2_500,
            ..before
        };
    }
}

pub(crate) fn own() -> Vec<IpNet> {
    vec![
        "203.0.113.1/32".parse().unwrap(),
        "2001:db8:ff::1/128".parse().unwrap(),
    ]
}

/// What a source is counted by.
pub(crate) fn net_of(addr: IpAddr) -> IpNet {
    match addr {
        IpAddr::V4(_) => IpNet::from(addr),
        // A network that holds an address of our own is not banned as a whole.
        IpAddr::V6(v6) if v6.segments()[2] == 0xff => IpNet::from(addr),
        IpAddr::V6(_) => IpNet::new(addr, 64).unwrap().trunc(),
    }
}

/// No two of their bans end together that begin together: of these the model would not know which one makes room.
pub(crate) fn tell_apart(jails: &mut [Jail]) {
    for (number, jail) in (0..).zip(jails) {
        jail.bantime = jail.bantime.map(|bantime| bantime + 7 * number);
    }
}

/// Some jails, of three that there may be.
pub(crate) fn jails(random: &mut Random) -> Vec<Jail> {
    let mut jails = Vec::new();
    for name in ["alpha", "beta", "gamma"] {
        if jails.is_empty() || random.below(2) == 0 {
            jails.push(Jail {
                name,
                paths: 1 + random.below(3) as u32,
                maxretry: 1 + random.index(5),
                findtime: [60, 600, 3_600][random.index(3)],
                bantime: [Some(30), Some(300), Some(600), Some(3_600), Some(86_400), None][random.index(6)],
            });
        }
    }
    // Every log has a reader.
    let read = jails.iter().fold(0, |paths, jail| paths | jail.paths);
    jails[0].paths |= 3 & !read;
    jails
}
