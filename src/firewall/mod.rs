//! Bans in the kernel, by netlink: no program is run, and nothing waits.
//!
//! `nftables` holds them in a table of our own; where the kernel has no nf_tables, `ipset` holds them,
//! and `iptables` (or `compat`) drops what is in the sets. This is rim: it carries out what the guard
//! asks for and reports what became of it. It knows no policy, keeps no list of bans, and touches only
//! objects of our own name.

mod compat;
mod ipset;
mod iptables;
mod layout;
mod nftables;
mod probe;
mod refusal;
mod ruleset;
mod transaction;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use ipset::Ipset;
use layout::Layout;
use nftables::Nftables;
pub use probe::{IpsetOffer, Offer, Protection};
pub use refusal::Refusal;

use crate::config::{Backend, Block};
use crate::guard::{Effect, Slot};
use crate::sys::Fault;
use crate::sys::uapi::{EINVAL, ENOENT, EOPNOTSUPP, EPROTONOSUPPORT};

/// One jail as the kernel needs to know it. Its index is its [`crate::guard::JailId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JailRule {
    /// The jail's name; names of sets are made from it.
    pub name: String,
    /// What its firewall actions block. If there are none, its bans are accepted and do nothing.
    pub blocks: Vec<Block>,
}

/// Our part of the kernel's firewall. Dropping it leaves the bans in force; see [`Firewall::teardown`].
#[derive(Debug)]
pub struct Firewall {
    layout: Layout,
    kernel: Kernel,
}

#[derive(Debug)]
enum Kernel {
    Nftables(Nftables),
    Ipset(Ipset),
}

impl Firewall {
    /// Chooses the part of the kernel that shall hold the bans, and sets up sets and rules from
    /// scratch. What an earlier run left is replaced in one step. After an error nothing is left.
    pub fn open(
        choice: Backend,
        jails: &[JailRule],
        ipv6prefix: u8,
        maxbans: u32,
    ) -> Result<Firewall, Fault> {
        let nftables = || -> Result<Firewall, Fault> {
            let layout = Layout::new(jails, "", ipv6prefix, maxbans);
            let kernel = Kernel::Nftables(Nftables::open(&layout)?);
            // The other part may hold bans of a run with other settings. They would outlast an unban.
            if has_ipset() {
                let _ = Ipset::clean();
            }
            Ok(Firewall { layout, kernel })
        };
        let ipset = || -> Result<Firewall, Fault> {
            let layout = Layout::new(jails, ipset::PREFIX, ipv6prefix, maxbans);
            let kernel = Kernel::Ipset(Ipset::open(&layout)?);
            let _ = Nftables::clean();
            Ok(Firewall { layout, kernel })
        };
        match choice {
            Backend::Nftables => nftables(),
            Backend::Ipset => ipset(),
            Backend::Auto => nftables().or_else(|fault| {
                if lacks_it(&fault) {
                    // If the kernel lacks ipset, too, nftables is more likely to be had.
                    ipset().map_err(|_| fault)
                } else {
                    Err(fault)
                }
            }),
        }
    }

    /// Removes everything of ours, whoever left it there: for when no guard shall run any more.
    ///
    /// # Errors
    /// A kernel that refuses; that it lacks nf_tables or ipset is fine.
    pub fn clean() -> Result<(), Fault> {
        let nftables = match Nftables::clean() {
            Err(fault) if lacks_it(&fault) => Ok(()),
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

    /// The name of the part that was chosen, as `firewall =` spells it.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        match &self.kernel {
            Kernel::Nftables(_) => "nftables",
            Kernel::Ipset(_) => "ipset",
        }
    }

    /// The longest time that one `Add` lasts, in milliseconds. The kernel forgets a longer ban after
    /// this time, so whoever holds one adds it again before.
    #[must_use]
    pub fn longest_timeout_ms(&self) -> u64 {
        match &self.kernel {
            Kernel::Nftables(_) => nftables::TIMEOUT_MS_MAX,
            Kernel::Ipset(_) => ipset::TIMEOUT_MS_MAX,
        }
    }

    /// Carries out changes and reports on each of them, in any order, before it returns.
    /// Changes are independent: that one is refused does not keep the others from taking effect.
    pub fn apply(&mut self, effects: &[Effect], outcome: &mut dyn FnMut(Slot, Result<(), Refusal>)) {
        match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.apply(&self.layout, effects, outcome),
            Kernel::Ipset(ipset) => ipset.apply(&self.layout, effects, outcome),
        }
    }

    /// Sets and rules again, all sets empty; for when they are [`Refusal::Gone`]. All bans have to be
    /// added again. With ipset it fails at once while another program is changing iptables: try again
    /// soon.
    pub fn rebuild(&mut self) -> Result<(), Fault> {
        match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.rebuild(&self.layout),
            Kernel::Ipset(ipset) => ipset.rebuild(&self.layout),
        }
    }

    /// The same part of the kernel for other jails: sets and rules again, all sets empty. After an error
    /// the old ones are in force, as empty.
    pub fn relayout(&mut self, jails: &[JailRule], ipv6prefix: u8, maxbans: u32) -> Result<(), Fault> {
        let prefix = match &self.kernel {
            Kernel::Nftables(_) => "",
            Kernel::Ipset(_) => ipset::PREFIX,
        };
        let new = Layout::new(jails, prefix, ipv6prefix, maxbans);
        let old = core::mem::replace(&mut self.layout, new);
        self.rebuild().inspect_err(|_| {
            self.layout = old;
            // If that fails too, the next ban is refused as gone, and it is tried again then.
            let _ = self.rebuild();
        })
    }

    /// Removes everything of ours from the kernel, and with it all bans. For the end: with ipset it may
    /// wait for another program that is changing iptables, a fifth of a second.
    pub fn teardown(&mut self) -> Result<(), Fault> {
        match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.teardown(),
            Kernel::Ipset(ipset) => ipset.teardown(),
        }
    }

    /// What does not work although bans do, in words for the log: IPv6 with an ipset on a kernel that
    /// has no ip6_tables.
    #[must_use]
    pub fn shortcoming(&self) -> Option<&Fault> {
        match &self.kernel {
            Kernel::Nftables(_) => None,
            Kernel::Ipset(ipset) => ipset.shortcoming(),
        }
    }

    /// How to learn that somebody else has removed what is ours.
    #[must_use]
    pub fn watch(&self) -> Watch<'_> {
        match &self.kernel {
            Kernel::Nftables(nftables) => nftables
                .events()
                .map_or(Watch::Needless, |e| Watch::Events(e.as_fd())),
            Kernel::Ipset(_) => Watch::Poll,
        }
    }

    /// Reads what [`Watch::Events`] has, a bounded part of it. Whether somebody else changed something,
    /// so that [`Firewall::check_intact`] is due.
    pub fn take_events(&mut self) -> Result<bool, Fault> {
        let taken = match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.take_events(),
            Kernel::Ipset(_) => Ok(false),
        };
        taken.map_err(|error| Fault::new("cannot listen to changes of nf_tables", error))
    }

    /// Whether our sets and rules are in force; a fraction of a millisecond. If not, `rebuild`.
    pub fn check_intact(&mut self) -> Result<bool, Fault> {
        let intact = match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.intact(&self.layout),
            Kernel::Ipset(ipset) => ipset.intact(),
        };
        intact.map_err(|error| Fault::new("cannot look at our rules in the kernel", error))
    }
}

/// Whether the kernel refused because it lacks the part, or a part of the part.
fn lacks_it(fault: &Fault) -> bool {
    matches!(
        fault.source.raw_os_error(),
        Some(EINVAL | EOPNOTSUPP | EPROTONOSUPPORT | ENOENT)
    )
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
    /// When this is readable, call [`Firewall::take_events`].
    Events(BorrowedFd<'a>),
    /// Nothing tells. Call [`Firewall::check_intact`] every few seconds.
    Poll,
}

#[cfg(test)]
#[path = "../../tests/support/mod.rs"]
mod support;
