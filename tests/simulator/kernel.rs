//! The kernel of the simulator: sets with elements that time out, which others may change, and which fail as they
//! are told.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::rc::Rc;

use ipnet::IpNet;
use sipguard::config::Backend;
use sipguard::firewall::{Each, Enforce, JailRule, Lost, Notice, Outcome, Refusal, Watch};
use sipguard::guard::{Change, Effect, JailId, Reach};
use sipguard::limits::{EVENTS_PER_TURN, IPSET_CLOSE_LOOKS};
use sipguard::store::memory::Memory;
use sipguard::sys::Fault;

use super::random::Random;

/// What the kernel offers, and so how it is learnt that others changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ipset: nothing tells.
    Poll,
    /// A table of nf_tables that others can change; that is heard of.
    Events,
    /// A table that the kernel protects while the guard lives.
    Protected,
}

/// The elements of a set, with the time of their end.
type Set = BTreeMap<IpNet, Option<i64>>;

enum Event {
    Structure,
    Element(String, IpNet),
}

/// What goes wrong at the moment.
#[derive(Default)]
pub(crate) struct Trouble {
    /// So many of a hundred changes are refused, half of them after they were made; and so many questions.
    pub(crate) busy: u64,
    /// Elements that a set has room for.
    pub(crate) room: Option<usize>,
}

pub(crate) struct Machine {
    pub(crate) kind: Kind,
    /// nf_tables or ipset is there at all.
    pub(crate) is_there: bool,
    pub(crate) rules: bool,
    /// By the name of the jail.
    pub(crate) sets: BTreeMap<String, Set>,
    pub(crate) trouble: Trouble,
    /// After so many more calls the process is dead.
    pub(crate) dies_in: Option<u32>,
    pub(crate) clock: Rc<Cell<i64>>,
    events: VecDeque<Event>,
    overflow: bool,
    harmed: bool,
    random: Random,
    disks: Vec<Memory>,
}

impl Machine {
    pub(crate) fn new(kind: Kind, clock: Rc<Cell<i64>>, disks: Vec<Memory>, seed: u64) -> Machine {
        Machine {
            kind,
            is_there: true,
            rules: false,
            sets: BTreeMap::new(),
            trouble: Trouble::default(),
            dies_in: None,
            clock,
            events: VecDeque::new(),
            overflow: false,
            harmed: false,
            random: Random(seed | 1),
            disks,
        }
    }

    pub(crate) fn set_disks(&mut self, disks: Vec<Memory>) {
        self.disks = disks;
    }

    /// Whether the process that calls is dead: what it does has no effect.
    pub(crate) fn is_dead(&self) -> bool {
        self.disks.iter().any(Memory::has_crashed)
    }

    /// What would wake the loop.
    pub(crate) fn has_events(&self) -> bool {
        self.kind == Kind::Events && (self.overflow || !self.events.is_empty())
    }

    /// A boot: nothing of ours is left.
    pub(crate) fn reboot(&mut self) {
        self.sets.clear();
        self.rules = false;
        self.forget_events();
    }

    pub(crate) fn forget_events(&mut self) {
        self.events.clear();
        (self.overflow, self.harmed) = (false, false);
    }

    /// Everything that is in force in a jail's sets.
    pub(crate) fn elements_of(&self, jail: &str) -> Vec<(IpNet, Option<i64>)> {
        let both = REACHES.into_iter();
        both.flat_map(|reach| self.elements(jail, reach)).collect()
    }

    /// The same of one of them.
    pub(crate) fn elements(&self, jail: &str, reach: Reach) -> Vec<(IpNet, Option<i64>)> {
        let now = self.clock.get();
        let set = self.sets.get(&set_of(jail, reach)).into_iter().flatten();
        let alive = set.filter(|(_, end)| end.is_none_or(|end| end > now));
        alive.map(|(net, end)| (*net, *end)).collect()
    }

    /// Somebody else does harm; `0`: to everything.
    pub(crate) fn harm(&mut self, what: u64) {
        match what {
            0 => {
                self.sets.clear();
                self.rules = false;
                self.tell(Event::Structure);
            }
            1 => {
                self.rules = false;
                self.tell(Event::Structure);
            }
            2 => {
                let names: Vec<String> = self.sets.keys().cloned().collect();
                if names.is_empty() {
                    return;
                }
                let name = names[self.random.index(names.len())].clone();
                let lost = std::mem::take(self.sets.get_mut(&name).unwrap());
                for net in lost.into_keys() {
                    self.tell(Event::Element(name.clone(), net));
                }
            }
            3 => self.overflow |= self.kind == Kind::Events,
            other => self.harm_one(other == 4),
        }
    }

    /// Removes one element, or makes its time shorter.
    fn harm_one(&mut self, remove: bool) {
        let all: Vec<(String, IpNet)> = self
            .sets
            .iter()
            .flat_map(|(name, set)| set.keys().map(|net| (name.clone(), *net)))
            .collect();
        if all.is_empty() {
            return;
        }
        let (name, net) = all[self.random.index(all.len())].clone();
        let set = self.sets.get_mut(&name).unwrap();
        if remove {
            set.remove(&net);
        } else {
            let soon = self.clock.get() + 3_000;
            let end = set.get_mut(&net).unwrap();
            *end = Some(end.map_or(soon, |end| end.min(soon)));
        }
        self.tell(Event::Element(name, net));
    }

    fn tell(&mut self, event: Event) {
        if self.kind == Kind::Events {
            if self.events.len() < 1_000 {
                self.events.push_back(event);
            } else {
                self.overflow = true;
            }
        }
    }

    /// Counts a call of the process, which may be its last. `false`: it fails.
    fn called(&mut self) -> bool {
        match &mut self.dies_in {
            Some(0) => self.disks.iter().for_each(Memory::halt),
            Some(left) => *left -= 1,
            None => {}
        }
        !self.is_dead() && self.random.below(100) >= self.trouble.busy
    }

    fn set_up(&mut self, jails: &[String]) {
        let wanted: Vec<String> = jails
            .iter()
            .flat_map(|jail| REACHES.map(|reach| set_of(jail, reach)))
            .collect();
        self.sets.retain(|name, _| wanted.contains(name));
        for name in wanted {
            self.sets.entry(name).or_default();
        }
        self.rules = true;
        self.harmed = false;
    }

    fn change(&mut self, jail: Option<&String>, effect: &Effect) -> Result<(), Refusal> {
        let now = self.clock.get();
        let busy = || Refusal::Busy(io::ErrorKind::ResourceBusy.into());
        let refused = !self.called();
        if refused && (self.is_dead() || self.random.below(2) == 0) {
            return Err(busy());
        }
        let room = self.trouble.room.unwrap_or(usize::MAX);
        let name = jail.map(|jail| set_of(jail, effect.reach));
        let Some(set) = name.and_then(|name| self.sets.get_mut(&name)) else {
            return Err(Refusal::Gone);
        };
        set.retain(|_, end| end.is_none_or(|end| end > now));
        match effect.change {
            Change::Delete => _ = set.remove(&effect.net),
            Change::Add { .. } if set.len() >= room && !set.contains_key(&effect.net) => {
                return Err(Refusal::Full);
            }
            Change::Add { timeout_ms } => {
                let end = timeout_ms.map(|ms| now.saturating_add(i64::try_from(ms).unwrap()));
                set.insert(effect.net, end);
            }
        }
        if refused { Err(busy()) } else { Ok(()) }
    }
}

/// What a guard has open.
pub(crate) struct Handle {
    machine: Rc<RefCell<Machine>>,
    jails: Vec<String>,
    absent: Option<Fault>,
    null: File,
    /// As ipset's: elements more than bans, and looks until it is looked at closely.
    surplus: usize,
    looks: u32,
}

fn fault() -> Fault {
    Fault::new("cannot do it", io::ErrorKind::ResourceBusy.into())
}

/// A jail has a set for each.
const REACHES: [Reach; 2] = [Reach::Whole, Reach::Opened];

fn set_of(jail: &str, reach: Reach) -> String {
    match reach {
        Reach::Whole => jail.to_owned(),
        Reach::Opened => format!("{jail}-b"),
    }
}

fn is_set_of(jail: &str, set: &str) -> bool {
    REACHES.iter().any(|&reach| set_of(jail, reach) == set)
}

fn names(jails: &[JailRule]) -> Vec<String> {
    jails.iter().map(|jail| jail.name.clone()).collect()
}

impl Handle {
    pub(crate) fn open(machine: &Rc<RefCell<Machine>>, jails: &[JailRule]) -> Handle {
        let mut handle = Handle {
            machine: Rc::clone(machine),
            jails: names(jails),
            absent: Some(fault()),
            null: File::open("/dev/null").unwrap(),
            surplus: 0,
            looks: 0,
        };
        // That is tried again, unlike a start of the real one, which fails then.
        let _ = handle.try_open();
        handle
    }

    fn may(&self) -> Result<std::cell::RefMut<'_, Machine>, Fault> {
        let mut machine = self.machine.borrow_mut();
        if machine.called() {
            Ok(machine)
        } else {
            Err(fault())
        }
    }
}

impl Enforce for Handle {
    fn absence(&self) -> Option<&Fault> {
        self.absent.as_ref()
    }

    fn try_open(&mut self) -> Result<(), Fault> {
        if self.absent.is_some() {
            let mut machine = self.may()?;
            if !machine.is_there {
                return Err(fault());
            }
            machine.set_up(&self.jails);
            drop(machine);
            self.absent = None;
        }
        Ok(())
    }

    fn backend(&self) -> &'static str {
        "simulator"
    }

    fn longest_timeout_ms(&self) -> u64 {
        match self.machine.borrow().kind {
            Kind::Poll => 2_147_483_000,
            Kind::Events | Kind::Protected => 365 * 86_400_000,
        }
    }

    fn apply(&mut self, effects: &[Effect], outcome: &mut Outcome<'_>) {
        for effect in effects {
            let jail = self.jails.get(usize::from(effect.jail.0));
            let result = match self.absent {
                Some(_) => Err(Refusal::Gone),
                None => self.machine.borrow_mut().change(jail, effect),
            };
            outcome(effect.slot, result);
        }
    }

    fn rebuild(&mut self) -> Result<(), Fault> {
        if self.absent.is_some() {
            return self.try_open();
        }
        self.may()?.set_up(&self.jails);
        Ok(())
    }

    fn limit(&mut self, _: &[JailId]) -> Result<(), Fault> {
        self.may().map(|_| ())
    }

    fn relayout(&mut self, _: Backend, jails: &[JailRule], _: u8, _: u32) -> Result<(), Fault> {
        let old = std::mem::replace(&mut self.jails, names(jails));
        if self.absent.is_some() {
            let _ = self.try_open();
            return Ok(());
        }
        self.rebuild().inspect_err(|_| {
            self.jails = old;
            let _ = self.rebuild();
        })
    }

    fn teardown(&mut self) -> Result<(), Fault> {
        let mut machine = self.may()?;
        machine.sets.clear();
        machine.rules = false;
        Ok(())
    }

    fn elements(&mut self, each: &mut Each<'_>) -> Result<(), Fault> {
        let machine = self.may()?;
        let now = machine.clock.get();
        for (number, jail) in self.jails.iter().enumerate() {
            for reach in REACHES {
                for (net, end) in machine.elements(jail, reach) {
                    each(
                        (JailId(number as u16), net, reach),
                        end.map(|end| (end - now) as u64),
                    );
                }
            }
        }
        Ok(())
    }

    fn holds(&mut self, jail: JailId, net: IpNet, reach: Reach) -> Result<bool, Fault> {
        let machine = self.may()?;
        let set = machine.elements(&self.jails[usize::from(jail.0)], reach);
        Ok(set.iter().any(|(other, _)| *other == net))
    }

    fn holds_as_many(
        &mut self,
        bans: &mut dyn Iterator<Item = (JailId, IpNet, Reach)>,
    ) -> Result<bool, Fault> {
        let kind = |net: IpNet, reach| {
            let single = net.prefix_len() == net.max_prefix_len();
            (net.addr().is_ipv4(), single, reach == Reach::Whole)
        };
        let mut counts: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for (jail, net, reach) in bans {
            counts
                .entry((usize::from(jail.0), kind(net, reach)))
                .or_default()
                .0 += 1;
        }
        let machine = self.may()?;
        for (number, jail) in self.jails.iter().enumerate() {
            for reach in REACHES {
                for (net, _) in machine.elements(jail, reach) {
                    counts.entry((number, kind(net, reach))).or_default().1 += 1;
                }
            }
        }
        drop(machine);
        if counts.values().any(|(wanted, there)| there < wanted) {
            self.surplus = 0;
            return Ok(false);
        }
        let surplus = counts.values().map(|(wanted, there)| there - wanted).sum();
        self.looks = self.looks.saturating_sub(1);
        if surplus == self.surplus || self.looks > 0 {
            return Ok(true);
        }
        (self.surplus, self.looks) = (surplus, IPSET_CLOSE_LOOKS);
        Ok(false)
    }

    fn take_notice(&mut self) -> Option<Notice> {
        None
    }

    fn watch(&self) -> Watch<'_> {
        match self.machine.borrow().kind {
            _ if self.absent.is_some() => Watch::Needless,
            Kind::Poll => Watch::Poll,
            Kind::Events => Watch::Events(self.null.as_fd()),
            Kind::Protected => Watch::Needless,
        }
    }

    fn take_events(&mut self, lost: &mut dyn FnMut(Lost)) -> Result<bool, Fault> {
        let mut machine = self.machine.borrow_mut();
        let mut harmed = false;
        for _ in 0..EVENTS_PER_TURN {
            match machine.events.pop_front() {
                None => break,
                Some(Event::Structure) => harmed = true,
                Some(Event::Element(name, net)) => {
                    if let Some(number) = self.jails.iter().position(|jail| is_set_of(jail, &name)) {
                        lost(Lost::Element(JailId(number as u16), net));
                    }
                }
            }
        }
        let overflow = std::mem::take(&mut machine.overflow);
        if overflow {
            machine.events.clear();
            lost(Lost::All);
        }
        machine.harmed |= harmed;
        Ok(harmed || overflow)
    }

    fn check_intact(&mut self) -> Result<bool, Fault> {
        let machine = self.may()?;
        let both = |jail: &String| REACHES.map(|reach| set_of(jail, reach));
        let mut names = self.jails.iter().flat_map(both);
        let sets = names.all(|name| machine.sets.contains_key(&name));
        Ok(machine.rules && sets && !machine.harmed)
    }
}
