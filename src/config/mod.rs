//! fail2ban's `jail.local`, read as it is.
//!
//! Pure: files are read by the caller, and what is here turns text into settings or into an error
//! that names file, line and key.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use ipnet::IpNet;

/// A whole configuration, resolved: no names, no interpolation, no inheritance left.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The enabled jails, in the order of the file; a [`crate::guard::JailId`] is an index here.
    pub jails: Vec<Jail>,
    /// `firewall`: which part of the kernel holds the bans.
    pub firewall: Backend,
    /// `ring`: recent failures kept, over all jails.
    pub ring: u32,
    /// `maxbans`: bans kept at the same time, over all jails.
    pub maxbans: u32,
    /// `ipv6prefix`: IPv6 sources are counted and banned by networks of this length.
    pub ipv6prefix: u8,
    /// `dbfile`: where bans survive a reboot; `None` is fail2ban's `None` or `:memory:`.
    pub dbfile: Option<String>,
}

/// One enabled jail.
#[derive(Clone, Debug, PartialEq)]
pub struct Jail {
    /// The section's name.
    pub name: String,
    /// `filter`: who reads the lines.
    pub filter: FilterName,
    /// `logpath`: files and glob patterns, absolute.
    pub logpaths: Vec<String>,
    /// `maxretry`: so many failures within `findtime` bring a ban.
    pub maxretry: u32,
    /// `findtime`, in seconds.
    pub findtime: u64,
    /// `bantime`, in seconds; `None` is for ever (`-1`).
    pub bantime: Option<u64>,
    /// `ignoreip`: never banned.
    pub ignoreip: Vec<IpNet>,
    /// What its firewall actions block; empty if the jail has no firewall action.
    pub blocks: Vec<Block>,
}

/// Who reads the lines of a jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterName {
    /// The built-in filter `asterisk`.
    Asterisk,
    /// The built-in filter `sshd`.
    Sshd,
    /// The built-in filter `dropbear`.
    Dropbear,
}

/// What one firewall action blocks: all of a protocol, or some ports of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which packets.
    pub protocol: Protocol,
    /// Destination ports, inclusive ranges; empty means every port. Always empty with [`Protocol::All`].
    pub ports: Vec<(u16, u16)>,
}

/// `protocol` of a firewall action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Every packet of the source, whatever its protocol and port.
    All,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// TCP and UDP (`tcp,udp`).
    TcpUdp,
}

/// `firewall`: which part of the kernel holds the bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Ask the kernel: nftables if it has it, else ipset.
    Auto,
    /// nftables' own sets.
    Nftables,
    /// ipset, and rules in the iptables tables.
    Ipset,
}
