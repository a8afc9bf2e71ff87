//! What the guard asks of the kernel.

use ipnet::IpNet;

/// The number of a jail: its index in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JailId(pub u16);

/// Where a ban lives in the guard's table. The answer to an [`Effect`] names it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u32);

/// One change that the kernel needs, so that it holds what the guard's table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Whose ban it is.
    pub slot: Slot,
    /// Which jail's sets it concerns.
    pub jail: JailId,
    /// Which address or network: an address of either family, or an IPv6 network of the one length that the
    /// configuration has (`ipv6prefix`).
    pub net: IpNet,
    /// Which of the jail's sets: by what they drop.
    pub reach: Reach,
    /// What to do.
    pub change: Change,
}

/// Which packets of a banned source are dropped, of those that the jail blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All, before connection tracking.
    Whole,
    /// Those of flows that the source opened, by connection tracking. What answers us passes: whoever forges the
    /// source of some datagrams cannot cut us off from the source.
    Opened,
}

impl Reach {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Reach {
        match self {
            Reach::Whole => Reach::Opened,
            Reach::Opened => Reach::Whole,
        }
    }
}

/// What to do with an element of a kernel set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Have it, for so many milliseconds from now; `None`: for ever. If it is there, its time becomes this.
    Add {
        /// Time left, in milliseconds; at least 1.
        timeout_ms: Option<u64>,
    },
    /// Not have it. If it is absent, that is fine.
    Delete,
}
