//! Bans in the kernel, by netlink: no program is run, and nothing waits.
//!
//! This is rim: it carries out what the guard asks for and reports what became of it. It knows no
//! policy, keeps no list of bans, and touches only objects of our own name.

mod ipset;
mod iptables;
mod layout;
mod nftables;
mod refusal;

use ipset::Ipset;
use layout::Layout;
use nftables::Nftables;
pub use refusal::Refusal;

use crate::config::{Backend, Block};
use crate::guard::{Effect, Slot};
use crate::sys::Fault;

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
            Ok(Firewall { layout, kernel })
        };
        let ipset = || -> Result<Firewall, Fault> {
            let layout = Layout::new(jails, ipset::PREFIX, ipv6prefix, maxbans);
            let kernel = Kernel::Ipset(Ipset::open(&layout)?);
            Ok(Firewall { layout, kernel })
        };
        match choice {
            Backend::Nftables => nftables(),
            Backend::Ipset => ipset(),
            // If neither works, what is wrong with nftables is more likely to be of use.
            Backend::Auto => nftables().or_else(|fault| ipset().map_err(|_| fault)),
        }
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

    /// Sets and rules again, all sets empty; for when they are [`Refusal::Gone`].
    pub fn rebuild(&mut self) -> Result<(), Fault> {
        match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.rebuild(&self.layout),
            Kernel::Ipset(ipset) => ipset.rebuild(&self.layout),
        }
    }

    /// Removes everything of ours from the kernel, and with it all bans.
    pub fn teardown(&mut self) -> Result<(), Fault> {
        match &mut self.kernel {
            Kernel::Nftables(nftables) => nftables.teardown(),
            Kernel::Ipset(ipset) => ipset.teardown(),
        }
    }
}
