//! One ban in the table, and how the kernel stands to it.

use core::net::IpAddr;

use ipnet::IpNet;

use super::deadlines::Due;
use super::effect::JailId;
use super::index::Key;
use super::slab::{Linked, Links, NONE};
use super::tally::Standing;
use crate::filter::Proof;
use crate::limits::JAILS_MAX;
use crate::time::Mono;

/// A ban, as others may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who is banned.
    pub net: IpNet,
    /// By which jail.
    pub jail: JailId,
    /// Since when.
    pub since: Mono,
    /// Until when; `None` is for ever.
    pub until: Option<Mono>,
    /// The surest proof behind it; of one by hand [`Proof::Transport`].
    pub proof: Proof,
    /// Somebody asked for it: `sipguard ban`.
    pub by_hand: bool,
}

/// How the table and the kernel stand to each other, for one ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// The kernel shall have it and does not, or not for long enough.
    Wanted,
    /// The kernel was asked to have it; no answer yet.
    Sent,
    /// The kernel has it.
    Held,
    /// The kernel may have it and shall not.
    Unwanted,
    /// The kernel was asked not to have it; no answer yet.
    Leaving,
    /// It is in the table no longer: a row that waits to be used again.
    Gone,
}

impl Sync {
    pub(super) fn standing(self) -> Standing {
        match self {
            Sync::Wanted | Sync::Sent => Standing::Awaited,
            Sync::Held => Standing::InForce,
            // What is gone is not counted at all.
            Sync::Unwanted | Sync::Leaving | Sync::Gone => Standing::Leaving,
        }
    }
}

/// Which list a ban stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Nowhere,
    /// New decisions: first to the kernel.
    Urgent,
    /// What the kernel lost: after the new decisions.
    Again,
    /// Refused by the kernel: after a pause.
    Refused,
}

/// Whether the kernel has a ban with the other [`super::Reach`], too. It never shall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// It has not.
    Absent,
    /// It may have.
    Unwanted,
    /// It was asked not to; no answer yet.
    Leaving,
}

/// One row for each ban, and there may be a hundred thousand: 60 bytes. Fields are read by value, since what is packed
/// has no addresses of eight-byte numbers to give.
#[repr(Rust, packed(4))]
pub(super) struct Row {
    net: PackedNet,
    /// [`JailId`]; see the assertion below.
    jail: u8,
    proof: Proof,
    by_hand: bool,
    pub(super) sync: Sync,
    pub(super) elsewhere: Elsewhere,
    pub(super) queue: Queue,
    /// The audit that goes on has found it in the kernel.
    pub(super) seen: bool,
    since: Mono,
    /// [`FOR_EVER`] is for ever.
    until: Mono,
    /// When something must happen: the end of the ban, or of the longest time the kernel can hold it.
    pub(super) due: Mono,
    pub(super) place: u32,
    pub(super) queued: Links,
}

const FOR_EVER: Mono = Mono(u64::MAX);

const _: () = assert!(size_of::<Row>() <= 60 && JAILS_MAX <= u8::MAX as usize);

/// A network in 17 bytes.
#[derive(Clone, Copy)]
struct PackedNet {
    /// Of an IPv4 address the first four bytes.
    address: [u8; 16],
    /// Of IPv6 the prefix length, of IPv4 the prefix length and [`PackedNet::IPV4`].
    prefix: u8,
}

impl PackedNet {
    const IPV4: u8 = 129;

    fn new(net: IpNet) -> PackedNet {
        match net {
            IpNet::V4(net) => {
                let [a, b, c, d] = net.addr().octets();
                PackedNet {
                    address: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                    prefix: net.prefix_len() + PackedNet::IPV4,
                }
            }
            IpNet::V6(net) => PackedNet {
                address: net.addr().octets(),
                prefix: net.prefix_len(),
            },
        }
    }

    fn net(self) -> IpNet {
        let [a, b, c, d, ..] = self.address;
        let address = match self.prefix {
            PackedNet::IPV4.. => IpAddr::from([a, b, c, d]),
            _ => IpAddr::from(self.address),
        };
        // The length is one of the family's by construction.
        IpNet::new(address, self.prefix % PackedNet::IPV4).unwrap_or(IpNet::from(address))
    }
}

impl Row {
    /// A row of a ban that is in no list yet.
    pub(super) fn new(ban: Ban, sync: Sync, elsewhere: Elsewhere) -> Row {
        let mut row = Row {
            net: PackedNet::new(ban.net),
            jail: 0,
            proof: ban.proof,
            by_hand: ban.by_hand,
            sync,
            elsewhere,
            queue: Queue::Nowhere,
            seen: false,
            since: ban.since,
            until: FOR_EVER,
            due: Mono(0),
            place: NONE,
            queued: Links::NOWHERE,
        };
        row.set_ban(&ban);
        row
    }

    pub(super) fn ban(&self) -> Ban {
        Ban {
            net: self.net.net(),
            jail: self.jail(),
            since: self.since,
            until: self.until(),
            proof: self.proof,
            by_hand: self.by_hand,
        }
    }

    pub(super) fn set_ban(&mut self, ban: &Ban) {
        self.net = PackedNet::new(ban.net);
        // There are fewer jails: see the assertion above.
        self.jail = u8::try_from(ban.jail.0).unwrap_or(u8::MAX);
        self.since = ban.since;
        self.until = ban.until.unwrap_or(FOR_EVER);
        (self.proof, self.by_hand) = (ban.proof, ban.by_hand);
    }

    pub(super) fn jail(&self) -> JailId {
        JailId(u16::from(self.jail))
    }

    pub(super) fn until(&self) -> Option<Mono> {
        let until = self.until;
        (until != FOR_EVER).then_some(until)
    }

    pub(super) fn key(&self) -> Key {
        Key::new(self.net.net(), self.jail())
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.sync, Sync::Unwanted | Sync::Leaving)
    }
}

const QUEUED: usize = 0;

impl Linked<QUEUED> for Row {
    fn links(&self) -> Links {
        self.queued
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.queued
    }
}

impl Due for Row {
    fn due(&self) -> Mono {
        self.due
    }
    fn place(&self) -> u32 {
        self.place
    }
    fn set_place(&mut self, place: u32) {
        self.place = place;
    }
    fn heap(&self) -> usize {
        usize::from(self.jail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_back_the_ban_that_it_was_made_of() {
        let nets = [
            "0.0.0.0/0",
            "192.0.2.0/24",
            "192.0.2.1/32",
            "::/0",
            "2001:db8::/64",
            "2001:db8::1/128",
            "::ffff:192.0.2.1/128",
        ];
        for (number, net) in nets.iter().enumerate() {
            for until in [None, Some(Mono(u64::MAX - 1)), Some(Mono(0))] {
                let ban = Ban {
                    net: net.parse().unwrap(),
                    jail: JailId(number as u16),
                    since: Mono(7),
                    until,
                    proof: Proof::Nonce,
                    by_hand: number % 2 == 0,
                };
                let row = Row::new(ban, Sync::Held, Elsewhere::Absent);
                assert_eq!(row.ban(), ban);
                assert_eq!(row.key(), Key::new(ban.net, ban.jail));
            }
        }
    }
}
