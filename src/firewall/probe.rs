//! What the kernel offers, for `sipguard check`. Nothing stays in the kernel, except for modules
//! that the kernel loads when it is asked for what they do.

use std::io;

use crate::config::{Block, Protocol};
use crate::firewall::ipset::Ipset;
use crate::firewall::iptables::best_table;
use crate::firewall::layout::Layout;
use crate::firewall::transaction::{self, Standing, cannot};
use crate::firewall::{JailRule, ruleset};
use crate::sys::Fault;
use crate::sys::netlink::Netlink;
use crate::sys::uapi::NFPROTO_INET;
use crate::wire::nft::{Family, Table};

/// What the kernel offers.
#[derive(Debug)]
pub struct Offer {
    /// Whether nftables can hold bans, tried out with a table of another name that was removed in the
    /// same transaction.
    pub nftables: Result<Protection, Fault>,
    /// Whether ipset can hold bans.
    pub ipset: Result<IpsetOffer, Fault>,
}

/// What keeps others from removing our table of nftables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The kernel does: the table has an owner and outlives it (Linux 6.9).
    Kernel,
    /// Nothing does. We watch, and repair it.
    Watching,
}

/// What there is for bans by ipset.
#[derive(Debug)]
pub struct IpsetOffer {
    /// The revision of `hash:ip` that would be used.
    pub revision: u8,
    /// The table of iptables that our rules would go into.
    pub iptables: Result<&'static str, io::Error>,
    /// The table of ip6tables that our rules would go into.
    pub ip6tables: Result<&'static str, io::Error>,
}

/// Asks the kernel.
pub(super) fn probe() -> Offer {
    Offer {
        nftables: nftables(),
        ipset: ipset(),
    }
}

fn nftables() -> Result<Protection, Fault> {
    let mut netlink = Netlink::open().map_err(|error| cannot("open a netfilter socket", error))?;
    let table = Table {
        family: NFPROTO_INET,
        name: "sipguard-probe",
    };
    // Every expression that any configuration uses.
    let blocks = |protocol, ports: &[(u16, u16)]| {
        vec![Block {
            protocol,
            ports: ports.to_vec(),
        }]
    };
    let jails = [
        JailRule {
            name: "all".to_owned(),
            blocks: blocks(Protocol::All, &[]),
        },
        JailRule {
            name: "sip".to_owned(),
            blocks: blocks(Protocol::TcpUdp, &[(5060, 5061), (4569, 4569)]),
        },
    ];
    let layout = Layout::new(&jails, "", 64, 0);
    let tried = transaction::replace(&mut netlink, table, Standing::Protected, &|steps| {
        ruleset::write(steps, &layout, &|_| false);
        steps.step("remove").delete_table();
    });
    match tried.map_err(|rejection| rejection.fault)? {
        Standing::Protected => Ok(Protection::Kernel),
        Standing::Plain => Ok(Protection::Watching),
    }
}

fn ipset() -> Result<IpsetOffer, Fault> {
    Ok(IpsetOffer {
        revision: Ipset::probe()?,
        iptables: best_table(Family::V4),
        ip6tables: best_table(Family::V6),
    })
}
