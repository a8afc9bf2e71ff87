//! What happens to the machine, one step after the other, as the seed says.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sipguard::config::OnStop;
use sipguard::guard::JailId;
use sipguard::time::Lasting;

use super::kernel::Trouble;
use super::logs::Written;
use super::model::Key;
use super::world::{PATHS, World, jails, net_of, tell_apart};

const MINUTE: i64 = 60_000;

impl World {
    /// A whole life.
    pub(crate) fn live(&mut self, steps: u64, hours: i64) {
        self.start(true, false);
        for _ in 0..steps {
            self.step(hours);
        }
        self.ensure_running();
        self.calm();
    }

    fn step(&mut self, hours: i64) {
        let dice = self.random.below(100);
        // To find out what a failure needs: SIM_WITHOUT=disk,kernel,clock,files,reload
        let spared = match dice {
            69..=71 => "kernel",
            72..=74 => "disk",
            82 => "reload",
            83..=84 => "clock",
            85 => "files",
            57..=60 => "rotate",
            86..=90 => "restart",
            93..=96 => "die",
            91..=92 => "boot",
            _ => "-",
        };
        if self.without.contains(spared) {
            return;
        }
        self.note(&format_args!("step {dice}"));
        match dice {
            0..=29 => self.attack(),
            30..=49 => {
                let millis = [10, 1_000, 5_000, 30_000][self.random.index(4)];
                let millis = 1 + self.random.below(millis) as i64;
                self.pass(millis);
            }
            50..=55 => {
                let most = if self.is_troubled() { 3 } else { 30 };
                let millis = self.random.below(most * MINUTE as u64) as i64;
                self.pass(millis);
            }
            56 if !self.is_troubled() => {
                let millis = self.random.below((hours * 60 * MINUTE) as u64) as i64;
                self.pass(millis);
            }
            56 => self.calm(),
            57..=60 => self.rotate(),
            61..=68 => {
                let what = [0, 1, 2, 3, 4, 4, 4, 5][self.random.index(8)];
                self.harm(what);
            }
            69..=71 => self.trouble_kernel(),
            72..=74 => self.trouble_disk(),
            75..=77 => self.ban_by_hand(),
            78..=80 => self.unban(),
            81 => self.unban_all(),
            82 => self.reload_others(),
            83..=84 => self.jump(),
            85 => {
                let fails = self.random.below(2) == 0;
                self.files.borrow_mut().fails = fails;
            }
            86..=88 => {
                let onstop = [OnStop::Keep, OnStop::Remove][self.random.index(2)];
                self.restart(Some(onstop), false);
            }
            89..=90 => self.restart(None, false),
            91 => self.restart(Some(OnStop::Keep), true),
            92 => self.restart(None, true),
            93..=96 => self.die_during_a_step(),
            _ => self.calm(),
        }
        if self.running.is_some() && !self.is_dead() {
            self.pass(0);
        }
    }

    pub(crate) fn is_troubled(&self) -> bool {
        let machine = self.machine.borrow();
        machine.trouble.busy > 0
            || machine.trouble.room.is_some()
            || !machine.is_there
            || self.files.borrow().fails
            || self.disk_trouble
    }

    fn source(&mut self) -> IpAddr {
        let number = self.random.below(12);
        match number {
            0..=6 => IpAddr::V4(Ipv4Addr::new(198, 51, 100, number as u8)),
            7..=9 => IpAddr::V6(Ipv6Addr::new(
                0x2001,
                0xdb8,
                number as u16,
                0,
                0,
                0,
                0,
                self.random.below(9) as u16,
            )),
            10 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            _ => [
                "203.0.113.1".parse().unwrap(),
                "2001:db8:ff::1".parse().unwrap(),
                "2001:db8:ff::2".parse().unwrap(),
            ][self.random.index(3)],
        }
    }

    pub(crate) fn attack(&mut self) {
        // In a full table it counts who was first; of one instant the model does not know.
        let few = self.random.below(8) > 0 || self.is_full();
        let sources = if few { 1 } else { 10 };
        self.pass(i64::from(self.is_full()));
        for _ in 0..sources {
            let (addr, path) = (self.source(), self.random.index(PATHS));
            for _ in 0..=self.random.below(3) {
                let proven = self.random.below(2) == 0;
                let stamp = self.wall();
                let number = self.files.borrow().lines.len();
                self.note(&format_args!("{number}: {addr} fails in {path}"));
                self.files
                    .borrow_mut()
                    .write(Written { addr, path, stamp }, proven);
            }
        }
    }

    fn rotate(&mut self) {
        let path = self.random.index(PATHS);
        if self.is_troubled() || self.rotated {
            return;
        }
        self.rotated = true;
        if self.random.below(3) == 0 {
            let read = self.model.read[path];
            self.note(&format_args!("truncates {path}"));
            self.files.borrow_mut().truncate(path, read);
            self.model.cut(path);
        } else {
            self.note(&format_args!("rotates {path}"));
            self.files.borrow_mut().rotate(path);
        }
    }

    fn harm(&mut self, what: u64) {
        let mut machine = self.machine.borrow_mut();
        let protected = machine.kind == super::kernel::Kind::Protected && self.running.is_some();
        if !protected {
            if self.verbose {
                println!("harm {what}");
            }
            machine.harm(what);
        }
    }

    fn trouble_kernel(&mut self) {
        let mut machine = self.machine.borrow_mut();
        let sets = machine.is_there;
        machine.trouble = match self.random.below(4) {
            0 => Trouble::default(),
            1 => Trouble {
                busy: 100,
                room: None,
            },
            2 => Trouble { busy: 30, room: None },
            _ => Trouble {
                busy: 0,
                room: Some(self.random.index(4)),
            },
        };
        machine.is_there = sets;
    }

    fn trouble_disk(&mut self) {
        let used = self
            .long
            .bytes(sipguard::store::disk::Name::Live)
            .map_or(0, |bytes| bytes.len() as u64);
        let kind = self.random.below(6);
        self.note(&format_args!("disk trouble {kind}"));
        self.disk_trouble = kind != 0;
        self.disk_was_troubled |= self.disk_trouble;
        let room = used + self.random.below(400);
        for disk in self.disks() {
            disk.set_capacity((kind == 1).then_some(room));
            disk.refuse(match kind {
                2 => Some(ErrorKind::ReadOnlyFilesystem),
                3 => Some(ErrorKind::Other),
                _ => None,
            });
            disk.refuse_sync((kind >= 4).then_some(ErrorKind::Other));
        }
    }

    /// Whoever asks for something wakes the loop. `false`: it is dead.
    fn is_listening(&mut self) -> bool {
        if let Some(running) = &mut self.running {
            running.more = true;
            self.pass(0);
        }
        self.running.is_some() && !self.is_dead()
    }

    fn ban_by_hand(&mut self) {
        // No person answers within the millisecond in which a ban was made. Of two bans of one millisecond, in two files, a
        // start does not know which one gave way to the other.
        self.pass(1);
        if !self.is_listening() {
            return;
        }
        let (net, number) = (net_of(self.source()), self.random.index(self.model.jails.len()));
        let seconds = [Some(20), Some(900), Some(7_200), None][self.random.index(4)];
        let key = (self.model.jails[number].name.to_owned(), net);
        self.note(&format_args!("bans {net} by hand in {number} for {seconds:?}"));
        let running = self.running.as_mut().unwrap();
        let lasting = Lasting(seconds.map(|seconds| seconds as u64));
        let made = running
            .watch
            .ban_by_hand(net, JailId(number as u16), lasting, false);
        let now = self.now();
        self.model.chosen = self.bans_of_guard();
        let banned = !self.model.is_trusted(net) && self.model.ban(key, seconds, now, true);
        assert_eq!(made.is_ok(), banned, "{net}: {made:?}");
        self.asked();
    }

    fn unban(&mut self) {
        // See `ban_by_hand`: whether a failure of the millisecond in which a ban began was before it or after its end, a
        // start does not know.
        self.pass(1);
        if !self.is_listening() {
            return;
        }
        let net = net_of(self.source());
        self.note(&format_args!("unbans {net}"));
        let now = self.now();
        for (number, jail) in self.model.jails.clone().into_iter().enumerate() {
            let running = self.running.as_mut().unwrap();
            let lifted = running.watch.lift(net, JailId(number as u16)).count();
            let key = (jail.name.to_owned(), net);
            assert_eq!(lifted > 0, self.model.bans.contains_key(&key), "{key:?}");
            self.model.lift(&key, now);
        }
        self.asked();
    }

    fn unban_all(&mut self) {
        self.pass(1);
        if !self.is_listening() {
            return;
        }
        self.note(&"unbans all");
        let (mut number, mut lifted) = (0, 0);
        let running = self.running.as_mut().unwrap();
        while running.watch.lift_some(None, &mut number, &mut lifted) {}
        let now = self.now();
        let keys: Vec<Key> = self.model.bans.keys().cloned().collect();
        assert_eq!(lifted, keys.len() as u64);
        keys.iter().for_each(|key| self.model.lift(key, now));
        self.asked();
    }

    fn reload_others(&mut self) {
        if !self.is_listening() {
            return;
        }
        let mut others = self.model.jails.clone();
        if self.random.below(2) == 0 {
            others = jails(&mut self.random);
        } else {
            others[0].maxretry = 1 + self.random.index(5);
            others[0].bantime = [Some(60), Some(7_200), None][self.random.index(3)];
        }
        if self.is_full() {
            tell_apart(&mut others);
        }
        let done = self.reload(others);
        self.note(&format_args!("reload: {done}"));
    }

    /// Somebody sets the wall clock, or NTP does.
    fn jump(&mut self) {
        if !self.is_listening() {
            return;
        }
        // A clock that is set within an hour of a boot, or of one whose time is not known, is believed.
        let settled = self.boot == 1 || (self.now() - self.booted > 3_700_000 && !self.clock_is_doubtful);
        // That it was set wrong has to be written, or the next start believes it.
        if self.wall_error == 0 && (!settled || self.disk_trouble) {
            return;
        }
        self.wall_error = if self.wall_error == 0 {
            [3_600, 86_400, 100_000_000][self.random.index(3)]
        } else {
            0
        };
        self.note(&format_args!("the wall clock is wrong by {} s", self.wall_error));
        self.clock_was_set = true;
        self.clock_was_wrong |= self.wall_error != 0;
        if self.wall_error == 0 && self.correctable && !self.disk_was_troubled {
            // The machine knows by now how long it was away.
            self.model.slack.stood_still = false;
            self.clock_was_wrong = false;
        }
        self.correctable = false;
    }

    /// The guard ends (`None`: by kill -9), and starts again, perhaps after a reboot.
    fn restart(&mut self, onstop: Option<OnStop>, reboot: bool) {
        self.note(&format_args!("restart {onstop:?}, reboot {reboot}"));
        match onstop {
            Some(onstop) => {
                self.pass(0);
                self.stop(onstop);
            }
            None => self.running = None,
        }
        self.come_back(reboot, reboot && onstop.is_none());
    }

    /// Something happens, and in the middle of it the guard dies, or the machine.
    fn die_during_a_step(&mut self) {
        self.pass(0);
        let before = self.model.clone();
        if self.random.below(2) == 0 || self.short.is_some() {
            self.machine.borrow_mut().dies_in = Some(self.random.below(8) as u32);
        } else {
            self.long.crash_at(self.long.changes() + self.random.below(6));
        }
        match self.random.below(6) {
            0..=2 => {
                self.attack();
                let millis = self.random.below(70_000) as i64;
                self.pass(millis);
            }
            3 => self.ban_by_hand(),
            4 => self.unban(),
            _ => {
                self.attack();
                self.stop(OnStop::Keep);
            }
        }
        self.running = None;
        if !self.is_dead() {
            self.disks().for_each(sipguard::store::memory::Memory::halt);
        }
        self.note(&"died");
        self.model.killed(&before);
        let power = self.random.below(3) == 0;
        self.come_back(power, power);
    }

    /// What happens while there is no guard, and its start.
    fn come_back(&mut self, reboot: bool, power_failed: bool) {
        self.machine.borrow_mut().dies_in = None;
        for disk in [Some(self.long.clone()), self.short.clone()]
            .into_iter()
            .flatten()
        {
            if power_failed {
                disk.restart(&mut |bound| self.random.below(bound));
            } else {
                disk.resume();
            }
        }
        if self.random.below(3) == 0 {
            self.attack();
        }
        let most = [1_000, 100_000, 10_000_000][self.random.index(3)];
        let away = self.random.below(most) as i64;
        self.clock.set(self.now() + away / 2);
        match self.random.below(6) {
            0 => self.rotate(),
            1 => self.harm(self.machine_harm()),
            2 => self.attack(),
            _ => {}
        }
        self.clock.set(self.now() + away - away / 2);
        if reboot {
            self.reboot();
        }
        self.machine.borrow_mut().forget_events();
        let short_gone = reboot && self.short.is_some();
        self.start(!reboot, short_gone);
        self.pass(0);
    }

    fn machine_harm(&self) -> u64 {
        (self.now() % 5) as u64
    }

    fn reboot(&mut self) {
        let right_before = !self.clock_was_wrong && !self.disk_was_troubled;
        self.boot(0);
        if let Some(short) = &mut self.short {
            *short = sipguard::store::memory::Memory::new();
        }
        let disks = self.disks().cloned().collect();
        self.machine.borrow_mut().set_disks(disks);
        self.wall_error = match self.random.below(3) {
            0 => -(self.wall() - self.wall_error) + 5,
            _ => 0,
        };
        self.clock_was_wrong = self.wall_error != 0;
        self.disk_was_troubled = self.disk_trouble;
        self.correctable =
            right_before && self.clock_was_wrong && !self.model.slack.stood_still && !self.disk_was_troubled;
        let still = self.clock_is_doubtful && self.long.written() == self.written_at_boot;
        self.written_at_boot = self.long.written();
        self.clock_is_doubtful = still || !right_before || self.clock_was_wrong;
        self.model.slack.stood_still |= !right_before || self.clock_was_wrong;
    }

    pub(crate) fn ensure_running(&mut self) {
        if self.running.is_none() {
            self.start(true, false);
        }
    }
}
