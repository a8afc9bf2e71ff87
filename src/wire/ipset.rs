//! ipset: sets of the type `hash:ip` (linux/netfilter/ipset/ip_set.h).
//!
//! Every message stands for itself. Numbers are big-endian, and must carry the flag that says so.

use core::net::IpAddr;

use super::nft::Family;
use super::nlmsg::{Head, Message, Writer};
use crate::sys::uapi::*;

/// The longest time an element can have; the kernel makes longer ones as long as this, silently
/// (`IPSET_MAX_TIMEOUT`).
pub const TIMEOUT_S_MAX: u32 = 2_147_483;

/// The newest revision of `hash:ip` that we ask for. We need nothing newer, and old versions of
/// ipset(8) can show it.
pub const REVISION_MAX: u8 = 4;

/// Bytes that one element message takes at most: header and `nfgenmsg` 20, protocol 8, set name of
/// 31 letters 36, data 4, address 24, timeout 8.
pub const ELEMENT_MESSAGE_BYTES_MAX: usize = 100;

const TYPE: &str = "hash:ip";

/// Messages on sets, being written.
pub struct Messages<'b>(Writer<'b>);

impl<'b> Messages<'b> {
    /// Begins writing.
    #[must_use]
    pub fn new(buf: &'b mut [u8]) -> Messages<'b> {
        Messages(Writer::new(buf))
    }

    /// Ends; the kernel answers the last message even if all went well. `None` if it did not fit.
    #[must_use]
    pub fn finish(mut self) -> Option<&'b [u8]> {
        self.0.add_flags(NLM_F_ACK);
        self.0.finish()
    }

    /// `ipset create SET hash:ip family … netmask PREFIX timeout 0 maxelem …`: elements may time out
    /// and do not unless they say so. An error if there is one with other properties.
    pub fn create(&mut self, seq: u32, set: &str, family: Family, prefix: u8, revision: u8, maxelem: u32) {
        self.command(IPSET_CMD_CREATE, NLM_F_CREATE, seq, |w| {
            w.string(IPSET_ATTR_SETNAME, set);
            w.string(IPSET_ATTR_TYPENAME, TYPE);
            w.attr(IPSET_ATTR_REVISION, &[revision]);
            w.attr(IPSET_ATTR_FAMILY, &[number(family)]);
            w.nest(IPSET_ATTR_DATA, |w| {
                w.be32(IPSET_ATTR_TIMEOUT | NLA_F_NET_BYTEORDER, 0);
                w.be32(IPSET_ATTR_MAXELEM | NLA_F_NET_BYTEORDER, maxelem);
                if prefix < bits(family) {
                    w.attr(IPSET_ATTR_NETMASK, &[prefix]);
                }
            });
        });
    }

    /// `ipset destroy SET`; an error if a rule refers to it.
    pub fn destroy(&mut self, seq: u32, set: &str) {
        self.command(IPSET_CMD_DESTROY, 0, seq, |w| w.string(IPSET_ATTR_SETNAME, set));
    }

    /// `ipset swap A B`: each takes the other's name, and rules follow the name.
    pub fn swap(&mut self, seq: u32, a: &str, b: &str) {
        self.command(IPSET_CMD_SWAP, 0, seq, |w| {
            w.string(IPSET_ATTR_SETNAME, a);
            w.string(IPSET_ATTR_SETNAME2, b);
        });
    }

    /// `ipset -exist add SET ADDR timeout SECONDS`; 0 is for ever. One that is there gets that time.
    pub fn add(&mut self, seq: u32, set: &str, addr: IpAddr, timeout_s: u32) {
        self.element(IPSET_CMD_ADD, seq, set, addr, Some(timeout_s.min(TIMEOUT_S_MAX)));
    }

    /// `ipset -exist del SET ADDR`; no error if it is not there.
    pub fn delete(&mut self, seq: u32, set: &str, addr: IpAddr) {
        self.element(IPSET_CMD_DEL, seq, set, addr, None);
    }

    /// Which revisions of the type there are; [`revisions`] reads the answer.
    pub fn ask_type(&mut self, seq: u32, family: Family) {
        self.command(IPSET_CMD_TYPE, 0, seq, |w| {
            w.string(IPSET_ATTR_TYPENAME, TYPE);
            w.attr(IPSET_ATTR_FAMILY, &[number(family)]);
        });
    }

    /// `ipset list -n`, a dump; [`set_name`] reads the answers.
    pub fn ask_names(&mut self, seq: u32) {
        self.command(IPSET_CMD_LIST, NLM_F_DUMP, seq, |w| {
            w.be32(IPSET_ATTR_FLAGS | NLA_F_NET_BYTEORDER, IPSET_FLAG_LIST_SETNAME);
        });
    }

    fn element(&mut self, command: u16, seq: u32, set: &str, addr: IpAddr, timeout_s: Option<u32>) {
        self.command(command, 0, seq, |w| {
            w.string(IPSET_ATTR_SETNAME, set);
            w.nest(IPSET_ATTR_DATA, |w| {
                w.nest(IPSET_ATTR_IP, |w| match addr {
                    IpAddr::V4(v4) => w.attr(IPSET_ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER, &v4.octets()),
                    IpAddr::V6(v6) => w.attr(IPSET_ATTR_IPADDR_IPV6 | NLA_F_NET_BYTEORDER, &v6.octets()),
                });
                if let Some(seconds) = timeout_s {
                    w.be32(IPSET_ATTR_TIMEOUT | NLA_F_NET_BYTEORDER, seconds);
                }
            });
        });
    }

    fn command(&mut self, command: u16, flags: u16, seq: u32, attrs: impl FnOnce(&mut Writer<'b>)) {
        let head = Head {
            kind: NFNL_SUBSYS_IPSET << 8 | command,
            flags: NLM_F_REQUEST | flags,
            seq,
            family: NFPROTO_IPV4,
            resource: 0,
        };
        self.0.message(head, |w| {
            w.attr(IPSET_ATTR_PROTOCOL, &[IPSET_PROTOCOL]);
            attrs(w);
        });
    }
}

/// The revisions of the type that the kernel has, least and greatest.
#[must_use]
pub fn revisions(answer: &Message<'_>) -> Option<(u8, u8)> {
    if answer.kind != NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_TYPE {
        return None;
    }
    let max = *answer.attrs().get(IPSET_ATTR_REVISION)?.first()?;
    let min = *answer.attrs().get(IPSET_ATTR_REVISION_MIN)?.first()?;
    Some((min, max))
}

/// The name of the set that an answer to [`Messages::ask_names`] is about.
#[must_use]
pub fn set_name<'a>(answer: &Message<'a>) -> Option<&'a str> {
    if answer.kind != NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST {
        return None;
    }
    let name = answer.attrs().get(IPSET_ATTR_SETNAME)?;
    core::str::from_utf8(name.strip_suffix(&[0])?).ok()
}

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => NFPROTO_IPV4,
        Family::V6 => NFPROTO_IPV6,
    }
}

fn bits(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}
