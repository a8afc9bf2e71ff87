//! Random lives of a machine: bans, failures, a disk that is full, crashes, reboots, clocks that are set.

use super::random::Random;
use super::*;
use crate::store::disk::Name;

/// The machine, its disk, and what somebody who sees everything knows.
struct World {
    random: Random,
    disk: Memory,
    store: Store<Memory>,
    truth: Truth,
    boot: BootId,
    now: Moment,
    /// Lines of the log so far: each tenth is a failure.
    lines: u64,
    /// Bans that were announced as being on the medium, while the disk was well.
    announced: BTreeMap<IpNet, Banned<'static>>,
    /// Sources that may be banned or not after a crash: something about them was on the way.
    unsure: Vec<IpNet>,
    next: u32,
    full: bool,
    broken: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let disk = Memory::new();
        let now = at(5);
        let (store, truth) = open(&disk, BootId(1), now);
        World {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            disk,
            store,
            truth,
            boot: BootId(1),
            now,
            lines: 0,
            announced: BTreeMap::new(),
            unsure: Vec::new(),
            next: 0,
            full: false,
            broken: false,
        }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..12 => self.ban(),
            12..20 => self.log(),
            20..24 => self.unban(),
            24..34 => self.pass(),
            34 => {
                self.full = self.random.below(2) == 0;
                let room = self.random.below(40_000);
                self.disk.set_capacity(self.full.then_some(room));
            }
            35 => {
                self.broken = self.random.below(2) == 0;
                self.disk
                    .refuse_sync(self.broken.then_some(std::io::ErrorKind::Other));
            }
            // A file that cannot be written does not know of it, and would tell other times after a crash.
            36 if !self.full && !self.broken && !self.store.is_failing() => self.set_clock(),
            36 => {}
            37 => self.crash(false),
            38 => self.crash(true),
            _ => self.stop(),
        }
        while self.store.notice().is_some() {}
    }

    fn ban(&mut self) {
        for _ in 0..1 + self.random.below(60) {
            self.next += 1;
            let seconds = [None, Some(4_000), Some(500_000), Some(600)][self.random.index(4)];
            let ban = ban(self.next, seconds, self.now);
            self.store.ban(&ban, self.now);
            self.truth.bans.insert(ban.net, ban);
        }
        self.store.flush_urgent();
        if self.random.below(3) > 0 {
            self.end_turn();
        }
    }

    /// Ten lines more, of which one counts; some are read in the middle of a turn.
    fn log(&mut self) {
        for _ in 0..self.random.below(5) {
            self.lines += 10;
            let failed = failed(40_000, self.now);
            self.store.failure(&failed, self.now);
            self.truth.failures.push(failed);
            if self.random.below(4) == 0 {
                self.store.flush_urgent();
            }
        }
        self.end_turn();
    }

    fn unban(&mut self) {
        for _ in 0..self.random.below(60) {
            let Some((&net, _)) = self.truth.bans.iter().nth(self.random.index(3)) else {
                return;
            };
            let ban = self.truth.bans.remove(&net).unwrap();
            self.store.unban(&ban, self.now);
            self.announced.remove(&net);
            self.unsure.push(net);
        }
        self.end_turn();
    }

    fn end_turn(&mut self) {
        self.truth.read_to(self.lines);
        self.store.end_turn(self.now, &self.truth);
        if !self.store.is_failing() {
            let long = self
                .truth
                .bans
                .iter()
                .filter(|(_, ban)| ban.until.is_none_or(|until| until.0 - ban.since.0 >= 3_600_000));
            self.announced.extend(long);
            self.unsure.clear();
        }
    }

    fn pass(&mut self) {
        for _ in 0..1 + self.random.below(20) {
            let seconds = 1 + self.random.below(40);
            self.now.mono = self.now.mono.plus_seconds(seconds);
            self.now.wall.0 += seconds as i64;
            self.truth.expire(self.now);
            self.end_turn();
        }
    }

    /// By less than an hour; bans of the boot before move with it.
    fn set_clock(&mut self) {
        self.now.wall.0 += self.random.below(3_000) as i64;
        if let Some(correction) = self.store.clock_was_set(self.now) {
            let old = self.truth.bans.values_mut().filter(|ban| ban.since == Mono(0));
            old.for_each(|ban| {
                ban.until = ban
                    .until
                    .map(|until| Mono(until.0.saturating_add_signed(-correction.older_by)));
            });
            let old = self.truth.failures.iter_mut().filter(|failed| failed.at < 0);
            old.for_each(|failed| failed.at -= correction.older_by);
            self.truth.expire(self.now);
        }
        self.end_turn();
    }

    /// The process dies, and with it the power, if told so.
    fn crash(&mut self, reboot: bool) {
        if reboot {
            let World { disk, random, .. } = self;
            disk.set_capacity(None);
            disk.refuse_sync(None);
            (self.full, self.broken) = (false, false);
            disk.restart(&mut |bound| random.below(bound));
        }
        self.start(reboot);
    }

    fn stop(&mut self) {
        self.truth.read_to(self.lines);
        self.store.stop(self.now, &self.truth);
        let well = !self.store.is_failing();
        let want = self.truth.clone();
        self.start(false);
        if well {
            assert_eq!(
                self.truth.nets(),
                want.nets(),
                "nothing is lost in an orderly stop"
            );
            assert_eq!(
                (self.truth.offset(), self.truth.failures.len()),
                (want.offset(), want.failures.len())
            );
        }
    }

    fn start(&mut self, reboot: bool) {
        let before = self.truth.clone();
        if reboot {
            self.boot.0 += 1;
            let away = self.random.below(300);
            self.now.wall.0 += away as i64;
            self.now.mono = Mono(5_000);
        }
        let wall = self.now.wall;
        (self.store, self.truth) = open(&self.disk, self.boot, self.now);
        let whole = self.truth.failures.len() as u64 * 10 == self.truth.offset();
        assert!(
            whole,
            "{} failures, {} lines",
            self.truth.failures.len(),
            self.truth.offset()
        );
        for (net, ban) in &self.announced {
            if !before.bans.contains_key(net) && ban.until.is_some() {
                // It was over, and nobody keeps its history here.
                continue;
            }
            let is_there = self.truth.bans.contains_key(net) || self.truth.past.contains_key(net);
            assert!(is_there, "{net} was announced, and is lost at {wall}");
        }
        for net in self.truth.bans.keys() {
            let was_there = before.bans.contains_key(net) || self.unsure.contains(net);
            assert!(was_there || reboot, "{net} is invented");
        }
        self.lines = self.truth.offset();
        self.announced.retain(|net, _| self.truth.bans.contains_key(net));
        self.unsure.clear();
    }

    /// With a disk that is well, it comes to hold everything.
    fn settle(&mut self) {
        self.disk.set_capacity(None);
        self.disk.refuse_sync(None);
        self.pass();
        for _ in 0..10_000 {
            let Some(deadline) = self.store.next_deadline() else {
                break;
            };
            let step = deadline.millis_since(self.now.mono);
            self.now.mono.0 += step;
            self.now.wall.0 += step as i64 / 1000;
            self.truth.expire(self.now);
            self.end_turn();
        }
        assert!(!self.store.is_failing() && self.store.next_deadline().is_none());
        let (_, back) = open(&self.disk, self.boot, self.now);
        for net in back.bans.keys().chain(self.truth.bans.keys()) {
            assert_eq!(back.bans.get(net), self.truth.bans.get(net), "{net}");
        }
        let failures = |truth: &Truth| truth.failures.iter().map(|failed| failed.at).collect::<Vec<_>>();
        assert_eq!(
            (failures(&back), back.offset()),
            (failures(&self.truth), self.lines)
        );
        let live = self.truth.bans.len() + self.truth.failures.len();
        let size = self.disk.bytes(Name::Live).map_or(0, |bytes| bytes.len());
        assert!(size < 128 * 1024 + 400 * live, "{size} bytes for {live} records");
    }
}

#[test]
fn whatever_happens_what_was_announced_is_kept() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = number("SEEDS").unwrap_or(25);
    for seed in number("SEED").map_or(1..seeds, |seed| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..250).for_each(|_| world.step());
            world.settle();
        });
        assert!(
            run.is_ok(),
            "repeat with: SEED={seed} cargo test --lib whatever_happens_what_was"
        );
    }
}
