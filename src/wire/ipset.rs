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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nlmsg::Messages as Received;

    /// The messages are exactly `want`, and no shorter buffer takes them.
    fn check(write: impl Fn(&mut Messages<'_>), want: &[&[u8]]) {
        let want = want.concat();
        for bytes in 0..=want.len() {
            let mut buf = vec![0xa5; bytes];
            let mut messages = Messages::new(&mut buf);
            write(&mut messages);
            let got = messages.finish();
            assert_eq!(
                got,
                (bytes == want.len()).then_some(want.as_slice()),
                "{bytes} bytes"
            );
        }
    }

    /// What a message begins with: header, `nfgenmsg`, the version of the protocol.
    fn head(bytes: u32, kind: u16, flags: u16) -> Vec<u8> {
        [
            &bytes.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &1_u32.to_ne_bytes(), // the sequence number of all these tests
            &[0; 4],
            &[2, 0, 0, 0],
            &attr(1, &[6]),
        ]
        .concat()
    }

    fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [(value.len() as u16 + 4).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    const NESTED: u16 = 0x8000;
    const NET: u16 = 0x4000;

    #[test]
    fn an_element_with_a_time_is_68_bytes() {
        let address = attr(1 | NESTED, &attr(1 | NET, &[203, 0, 113, 7])); // IP, IPADDR_IPV4
        let time = attr(6 | NET, &[0, 0, 0x0e, 0x10]); // TIMEOUT in seconds
        check(
            |messages| messages.add(1, "sipguard4", "203.0.113.7".parse().unwrap(), 3_600),
            &[
                &head(68, 0x0609, 0x0005), // ADD: REQUEST, ACK
                &attr(2, b"sipguard4\0"),  // SETNAME
                &attr(7 | NESTED, &[address, time].concat()),
            ],
        );
    }

    #[test]
    fn an_ipv6_element_is_deleted_by_its_address() {
        let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        check(
            |messages| messages.delete(1, "s6", "2001:db8::".parse().unwrap()),
            &[
                &head(64, 0x060a, 0x0005), // DEL
                &attr(2, b"s6\0"),
                &attr(7 | NESTED, &attr(1 | NESTED, &attr(2 | NET, &v6))), // IP, IPADDR_IPV6
            ],
        );
    }

    #[test]
    fn a_set_of_networks_has_a_netmask() {
        let data = [
            attr(6 | NET, &[0; 4]),                   // TIMEOUT: by default for ever
            attr(19 | NET, &1_000_u32.to_be_bytes()), // MAXELEM
            attr(20, &[64]),                          // NETMASK
        ]
        .concat();
        check(
            |messages| messages.create(1, "s6", Family::V6, 64, 4, 1_000),
            &[
                &head(92, 0x0602, 0x0405), // CREATE: CREATE
                &attr(2, b"s6\0"),
                &attr(3, b"hash:ip\0"), // TYPENAME
                &attr(4, &[4]),         // REVISION
                &attr(5, &[10]),        // FAMILY
                &attr(7 | NESTED, &data),
            ],
        );
        let whole = |family, prefix| {
            let mut buf = [0; 200];
            let mut messages = Messages::new(&mut buf);
            messages.create(1, "s", family, prefix, 4, 1);
            messages.finish().unwrap().len()
        };
        assert_eq!(
            whole(Family::V6, 64) - whole(Family::V6, 128),
            8,
            "without one for single addresses"
        );
        assert_eq!(whole(Family::V4, 32), whole(Family::V6, 128));
    }

    #[test]
    fn times_longer_than_the_kernel_keeps_are_its_longest() {
        let bytes_for = |seconds| {
            let mut buf = [0; 200];
            let mut messages = Messages::new(&mut buf);
            messages.add(1, "s", "192.0.2.1".parse().unwrap(), seconds);
            messages.finish().unwrap().to_vec()
        };
        assert_eq!(bytes_for(u32::MAX), bytes_for(TIMEOUT_S_MAX));
        assert_ne!(bytes_for(TIMEOUT_S_MAX), bytes_for(TIMEOUT_S_MAX - 1));
    }

    #[test]
    fn the_largest_element_message_is_within_its_limit() {
        let mut buf = [0; 400];
        let mut messages = Messages::new(&mut buf);
        messages.add(1, &"x".repeat(31), "2001:db8::".parse().unwrap(), 1);
        assert!(messages.finish().unwrap().len() <= ELEMENT_MESSAGE_BYTES_MAX);
    }

    #[test]
    fn answers_are_read_and_others_are_not() {
        let reply = |kind: u16, attrs: &[Vec<u8>]| {
            let attrs = attrs.concat();
            [head(28 + attrs.len() as u32, kind, 0), attrs].concat()
        };
        let types = reply(0x060d, &[attr(4, &[6]), attr(10, &[1])]);
        let names = reply(0x0607, &[attr(2, b"sipguard-a4\0")]);
        let message = |bytes: &'static [u8]| Received(bytes).next().unwrap();
        let (types, names): (&'static [u8], &'static [u8]) = (types.leak(), names.leak());
        assert_eq!(revisions(&message(types)), Some((1, 6)));
        assert_eq!(set_name(&message(names)), Some("sipguard-a4"));
        assert_eq!(revisions(&message(names)), None);
        assert_eq!(set_name(&message(types)), None);
        let unended = reply(0x0607, &[attr(2, b"abc")]).leak();
        assert_eq!(set_name(&message(unended)), None, "a name ends in NUL");
    }
}
