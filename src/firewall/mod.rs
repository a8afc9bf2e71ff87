//! Bans in the kernel, by netlink: no program is run, and nothing waits.
//!
//! `nftables` holds them in a table of our own; where the kernel has no nf_tables, `ipset` holds them,
//! and `iptables` (or `compat`) drops what is in the sets. This is rim: it carries out what the guard
//! asks for and reports what became of it. It knows no policy, keeps no list of bans, and touches only
//! objects of our own name.

mod adopt;
mod compat;
mod enforce;
mod flood;
mod ipset;
mod iptables;
mod layout;
mod nftables;
mod probe;
mod refusal;
mod ruleset;
mod transaction;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

pub use enforce::Enforce;
use ipnet::IpNet;
use ipset::Ipset;
use layout::Layout;
use nftables::Nftables;
pub use probe::{IpsetOffer, Offer, Protection};
pub use refusal::Refusal;

use crate::config::{Backend, Block};
use crate::guard::{Effect, JailId, Reach, Slot};
use crate::sys::Fault;
use crate::sys::instance::Instance;
use crate::sys::uapi::{EINVAL, ENOENT, ENOPROTOOPT, EOPNOTSUPP, EPROTONOSUPPORT};

/// One jail as the kernel needs to know it. Its index is its [`crate::guard::JailId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JailRule {
    /// The jail's name; names of sets are made from it.
    pub name: String,
    /// What its firewall actions block. If there are none, its bans are accepted and do nothing.
    pub blocks: Vec<Block>,
    /// It has bans of either [`Reach`], else all of [`Reach::Whole`].
    pub by_proof: bool,
    /// It has bans of whole networks, of [`crate::guard::WIDE`].
    pub wide: bool,
}

/// Our part of the kernel's firewall. Dropping it leaves the bans in force, and the next [`Firewall::open`] takes
/// them over; see [`Enforce::teardown`].
#[derive(Debug)]
pub struct Firewall {
    wish: Wish,
    layout: Layout,
    kernel: Kernel,
    #[expect(dead_code, reason = "held, not used")]
    instance: Instance,
}

#[derive(Debug)]
enum Kernel {
    Nftables(Nftables),
    Ipset(Ipset),
    /// The kernel has neither, for this reason. Its modules may come.
    Absent(Fault),
}

/// What is to be set up.
#[derive(Clone, Debug)]
struct Wish {
    choice: Backend,
    jails: Vec<JailRule>,
    ipv6prefix: u8,
    maxbans: u32,
}

/// What takes the outcomes of changes.
pub type Outcome<'a> = dyn FnMut(Slot, Result<(), Refusal>) + 'a;

/// What takes the elements of our sets: each with the milliseconds that it stays, or for ever.
pub type Each<'a> = dyn FnMut((JailId, IpNet, Reach), Option<u64>) + 'a;

/// What is to be said where [`Firewall::is_stateless`].
pub const STATELESS: &str = "the kernel does not track connections: bans on unproven evidence also drop what \
    answers us, so that whoever forges an address can cut it off; install kmod-nf-conntrack (OpenWrt) or load \
    nf_conntrack";

impl Firewall {
    /// Chooses the part of the kernel that shall hold the bans, and sets up sets and rules. Sets that an earlier run
    /// left and that are laid out the same keep their elements, in force without a gap: see
    /// [`Enforce::elements`]. Everything else of ours is replaced in one step. If the kernel lacks what it takes,
    /// the firewall is absent (see [`Enforce::absence`]); after any other error nothing is left. Only one guard can
    /// have it open in a network namespace.
    pub fn open(
        choice: Backend,
        jails: &[JailRule],
        ipv6prefix: u8,
        maxbans: u32,
    ) -> Result<Firewall, Fault> {
        let instance = Instance::claim().map_err(|error| {
            let taken = error.kind() == io::ErrorKind::AddrInUse;
            let fault = Fault::new(
                "cannot make sure that no other sipguard guards this network",
                error,
            );
            if taken {
                fault.hint("one does: is sipguard running already?")
            } else {
                fault
            }
        })?;
        let wish = Wish {
            choice,
            jails: jails.to_vec(),
            ipv6prefix,
            maxbans,
        };
        let (layout, kernel) = match wish.set_up() {
            Err(fault) if is_missing(&fault) => (wish.layout("", false), Kernel::Absent(fault)),
            other => other?,
        };
        Ok(Firewall {
            wish,
            layout,
            kernel,
            instance,
        })
    }

    /// Removes everything of ours, whoever left it there: for when no guard shall run any more.
    ///
    /// # Errors
    /// A kernel that refuses; that it lacks nf_tables or ipset is fine.
    pub fn clean() -> Result<(), Fault> {
        let nftables = match Nftables::clean() {
            Err(fault) if is_missing(&fault) => Ok(()),
            other => other,
        };
        if has_ipset() {
            Ipset::clean()?;
        }
        nftables
    }

    /// What the kernel offers, for `sipguard check`. Leaves no trace; does not disturb a daemon.
    #[must_use]
    pub fn probe() -> Offer {
        probe::probe()
    }

    /// What does not work although bans do, in words for the log: IPv6 with an ipset on a kernel that
    /// has no ip6_tables.
    #[must_use]
    pub fn shortcoming(&self) -> Option<&Fault> {
        match &self.kernel {
            Kernel::Nftables(_) | Kernel::Absent(_) => None,
            Kernel::Ipset(ipset) => ipset.shortcoming(),
        }
    }

    /// Whether bans on unproven evidence drop what answers us, too, because the kernel does not track connections.
    #[must_use]
    pub fn is_stateless(&self) -> bool {
        match &self.kernel {
            Kernel::Nftables(_) => self.layout.has(Reach::Opened) && !self.layout.tracks,
            Kernel::Ipset(ipset) => ipset.is_stateless(),
            Kernel::Absent(_) => false,
        }
    }
}

impl Enforce for Firewall {
    fn absence(&self) -> Option<&Fault> {
        match &self.kernel {
            Kernel::Absent(fault) => Some(fault),
            Kernel::Nftables(_) | Kernel::Ipset(_) => None,
        }
    }

    fn try_open(&mut self) -> Result<(), Fault> {
        if matches!(self.kernel, Kernel::Absent(_)) {
            (self.layout, self.kernel) = self.wish.set_up()?;
        }
        Ok(())
    }

    fn backend(&self) -> &'static str {
        match &self.kernel {
            Kernel::Nftables(_) => "nftables",
            Kernel::Ipset(_) => "ipset",
            Kernel::Absent(_) => "nothing",
        }
    }

    fn longest_timeout_ms(&self) -> u64 {
        match &self.kernel {
            Kernel::Nftables(_) => nftables::TIMEOUT_MS_MAX,
            Kernel::Ipset(_) | Kernel::Absent(_) => ipset::TIMEOUT_MS_MAX,
        }
    }

    fn apply(&mut self, effects: &[Effect], outcome: &mut Outcome<'_>) {
        match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.apply(&self.layout, effects, outcome),
            Kernel::Ipset(ipset) => ipset.apply(&self.layout, effects, outcome),
            Kernel::Absent(_) => effects
                .iter()
                .for_each(|effect| outcome(effect.slot, Err(Refusal::Gone))),
        }
    }

    fn rebuild(&mut self) -> Result<(), Fault> {
        match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.rebuild(&self.layout),
            Kernel::Ipset(ipset) => ipset.rebuild(&self.layout),
            Kernel::Absent(_) => self.try_open(),
        }
    }

    fn limit(&mut self, jails: &[JailId]) -> Result<(), Fault> {
        if self.layout.limited == jails {
            return Ok(());
        }
        let before = core::mem::replace(&mut self.layout.limited, jails.to_vec());
        let done = match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.limit(&self.layout, &before),
            Kernel::Ipset(ipset) => ipset.limit(&self.layout),
            // Once there is something, it has to be said again.
            Kernel::Absent(_) => Ok(()),
        };
        done.inspect_err(|_| self.layout.limited = before)
    }

    fn relayout(
        &mut self,
        choice: Backend,
        jails: &[JailRule],
        ipv6prefix: u8,
        maxbans: u32,
    ) -> Result<(), Fault> {
        let wish = Wish {
            choice,
            jails: jails.to_vec(),
            ipv6prefix,
            maxbans,
        };
        let layout = match (&self.kernel, choice) {
            (Kernel::Nftables(_), Backend::Auto | Backend::Nftables) => wish.layout_of_nftables()?,
            (Kernel::Ipset(_), Backend::Auto | Backend::Ipset) => wish.layout(ipset::PREFIX, false),
            (Kernel::Absent(_), _) => {
                // What is absent is set up as is wished then; until then, there is nothing to lay out.
                self.layout = wish.layout("", false);
                self.wish = wish;
                let _ = self.try_open();
                return Ok(());
            }
            (Kernel::Nftables(_) | Kernel::Ipset(_), _) => {
                let (layout, kernel) = wish.set_up()?;
                // What it cannot remove of the other part, it could not have kept either.
                let _ = self.teardown();
                (self.layout, self.kernel, self.wish) = (layout, kernel, wish);
                return Ok(());
            }
        };
        let old = core::mem::replace(&mut self.layout, layout);
        self.rebuild().inspect_err(|_| {
            self.layout = old;
            // If that fails too, the next ban is refused as gone, and it is tried again then.
            let _ = self.rebuild();
        })?;
        self.wish = wish;
        Ok(())
    }

    fn teardown(&mut self) -> Result<(), Fault> {
        match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.teardown(),
            Kernel::Ipset(ipset) => ipset.teardown(),
            Kernel::Absent(_) => Ok(()),
        }
    }

    fn elements(&mut self, each: &mut Each<'_>) -> Result<(), Fault> {
        let read = match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.elements(&self.layout, each),
            Kernel::Ipset(ipset) => ipset.elements(&self.layout, each),
            Kernel::Absent(_) => Ok(()),
        };
        read.map_err(|error| Fault::new("cannot read our sets in the kernel", error))
    }

    fn holds(&mut self, jail: JailId, net: IpNet, reach: Reach) -> Result<bool, Fault> {
        let place = self.layout.place(jail, net, reach);
        let held = match (&mut self.kernel, place) {
            (Kernel::Nftables(nftables), Ok(Some((set, addr)))) => nftables.holds(set, addr),
            (Kernel::Ipset(ipset), Ok(Some((set, addr)))) => ipset.holds(set, addr),
            (Kernel::Absent(_), _) => Ok(false),
            (_, Ok(None) | Err(_)) => Ok(true),
        };
        held.map_err(|error| Fault::new("cannot look for a ban in the kernel", error))
    }

    fn holds_as_many(
        &mut self,
        bans: &mut dyn Iterator<Item = (JailId, IpNet, Reach)>,
    ) -> Result<bool, Fault> {
        let held = match &mut self.kernel {
            Kernel::Ipset(ipset) => ipset.holds_as_many(&self.layout, bans),
            Kernel::Nftables(_) | Kernel::Absent(_) => Ok(true),
        };
        held.map_err(|error| Fault::new("cannot count the bans in the kernel", error))
    }

    fn take_notice(&mut self) -> Option<Notice> {
        match &mut self.kernel {
            Kernel::Ipset(ipset) => ipset.take_notice(),
            Kernel::Nftables(_) | Kernel::Absent(_) => None,
        }
    }

    fn watch(&self) -> Watch<'_> {
        match &self.kernel {
            Kernel::Nftables(nftables) => nftables
                .events()
                .map_or(Watch::Needless, |e| Watch::Events(e.as_fd())),
            Kernel::Ipset(_) => Watch::Poll,
            Kernel::Absent(_) => Watch::Needless,
        }
    }

    fn take_events(&mut self, lost: &mut dyn FnMut(Lost)) -> Result<bool, Fault> {
        let taken = match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.take_events(&self.layout, lost),
            Kernel::Ipset(_) | Kernel::Absent(_) => Ok(false),
        };
        taken.map_err(|error| Fault::new("cannot listen to changes of nf_tables", error))
    }

    fn check_intact(&mut self) -> Result<bool, Fault> {
        let intact = match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.intact(&self.layout),
            Kernel::Ipset(ipset) => ipset.intact(),
            Kernel::Absent(_) => Ok(true),
        };
        intact.map_err(|error| Fault::new("cannot look at our rules in the kernel", error))
    }
}

impl Wish {
    fn layout(&self, prefix: &str, tracks: bool) -> Layout {
        let layout = Layout::new(&self.jails, prefix, self.ipv6prefix, self.maxbans);
        Layout { tracks, ..layout }
    }

    /// Connections are tracked only for who needs it: it has a price, and begins when the first rule asks for it.
    fn layout_of_nftables(&self) -> Result<Layout, Fault> {
        let layout = self.layout("", false);
        let tracks = layout.has(Reach::Opened) && Nftables::tracks()?;
        Ok(Layout { tracks, ..layout })
    }

    fn set_up(&self) -> Result<(Layout, Kernel), Fault> {
        let nftables = || -> Result<(Layout, Kernel), Fault> {
            let layout = self.layout_of_nftables()?;
            let kernel = Kernel::Nftables(Nftables::open(&layout)?);
            // The other part may hold bans of a run with other settings. They would outlast an unban.
            if has_ipset() {
                let _ = Ipset::clean();
            }
            Ok((layout, kernel))
        };
        let ipset = || -> Result<(Layout, Kernel), Fault> {
            let layout = self.layout(ipset::PREFIX, false);
            let kernel = Kernel::Ipset(Ipset::open(&layout)?);
            let _ = Nftables::clean();
            Ok((layout, kernel))
        };
        match self.choice {
            Backend::Nftables => nftables(),
            Backend::Ipset => ipset(),
            // If the kernel lacks ipset, too, nftables is more likely to be had.
            Backend::Auto => nftables().or_else(|fault| match is_missing(&fault) {
                true => ipset().map_err(|_| fault),
                false => Err(fault),
            }),
        }
    }
}

/// Whether something failed because the kernel has not got it, or not yet.
fn is_missing(fault: &Fault) -> bool {
    match fault.source.raw_os_error() {
        Some(code) => matches!(code, EINVAL | EOPNOTSUPP | EPROTONOSUPPORT | ENOENT | ENOPROTOOPT),
        // An error of ipset's own: it does not know the type.
        None => fault.source.kind() == io::ErrorKind::Unsupported,
    }
}

/// What somebody else has taken from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// One ban, or its time was changed.
    Element(JailId, IpNet),
    /// Nobody knows: too much happened at once.
    All,
}

/// Something that was done without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A set was full, and was made larger.
    Enlarged {
        /// Its name.
        set: String,
        /// What it held.
        elements: u32,
        /// What it can hold.
        room: u32,
    },
}

impl core::fmt::Display for Notice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Notice::Enlarged { set, elements, room } = self;
        write!(
            f,
            "ipset {set} was full with {elements} elements, and has room for {room}"
        )
    }
}

/// Whether the kernel has ipset loaded; without it there is nothing of ours in it.
fn has_ipset() -> bool {
    Path::new("/sys/module/ip_set").exists()
}

/// How to learn that somebody else has removed what is ours.
#[derive(Clone, Copy, Debug)]
pub enum Watch<'a> {
    /// Nobody else can: the kernel protects our table.
    Needless,
    /// When this is readable, call [`Enforce::take_events`].
    Events(BorrowedFd<'a>),
    /// Nothing tells. Call [`Enforce::check_intact`] every few seconds.
    Poll,
}

#[cfg(test)]
impl Firewall {
    /// As on a kernel that cannot protect our table from others.
    pub(crate) fn open_plain(jails: &[JailRule], ipv6prefix: u8, maxbans: u32) -> Firewall {
        let wish = Wish {
            choice: Backend::Nftables,
            jails: jails.to_vec(),
            ipv6prefix,
            maxbans,
        };
        let layout = wish.layout_of_nftables().unwrap();
        Firewall {
            kernel: Kernel::Nftables(Nftables::open_plain(&layout).unwrap()),
            layout,
            wish,
            instance: Instance::claim().unwrap(),
        }
    }
}

#[cfg(test)]
#[path = "../../tests/support/mod.rs"]
pub(crate) mod support;
