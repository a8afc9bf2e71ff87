//! ipset: sets of the type `hash:ip` (linux/netfilter/ipset/ip_set.h).
//!
//! Every message stands for itself. Numbers are big-endian, and must carry the flag that says so.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::nft::Family;
use super::nlmsg::{Attrs, Head, Message, Writer};
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
/// Bytes that a message on several elements takes at most without them: header and `nfgenmsg` 20, protocol 8,
/// set name of 31 letters 36, number 8, nest 4.
pub const ELEMENTS_MESSAGE_BYTES_MAX: usize = 76;
/// Bytes that one element takes at most in such a message: data 4, address 24, timeout 8.
pub const ELEMENT_BYTES_MAX: usize = 36;

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

    /// `ipset create SET hash:ip family … netmask … timeout 0 hashsize … maxelem …`: elements may time out
    /// and do not unless they say so. An error if there is one with other properties.
    pub fn create(&mut self, seq: u32, set: &str, properties: Properties, revision: u8) {
        let Properties {
            family,
            prefix,
            hashsize,
            maxelem,
        } = properties;
        self.command(IPSET_CMD_CREATE, NLM_F_CREATE, seq, |w| {
            w.string(IPSET_ATTR_SETNAME, set);
            w.string(IPSET_ATTR_TYPENAME, TYPE);
            w.attr(IPSET_ATTR_REVISION, &[revision]);
            w.attr(IPSET_ATTR_FAMILY, &[number(family)]);
            w.nest(IPSET_ATTR_DATA, |w| {
                w.be32(IPSET_ATTR_TIMEOUT | NLA_F_NET_BYTEORDER, 0);
                w.be32(IPSET_ATTR_HASHSIZE | NLA_F_NET_BYTEORDER, hashsize);
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

    /// As [`Messages::add`] for several in one message. The kernel stops at the first that it refuses.
    pub fn add_all(&mut self, seq: u32, set: &str, elements: impl Iterator<Item = (IpAddr, u32)>) {
        let elements = elements.map(|(addr, seconds)| (addr, Some(seconds.min(TIMEOUT_S_MAX))));
        self.elements(IPSET_CMD_ADD, seq, set, elements);
    }

    /// As [`Messages::delete`] for several in one message.
    pub fn delete_all(&mut self, seq: u32, set: &str, elements: impl Iterator<Item = IpAddr>) {
        self.elements(IPSET_CMD_DEL, seq, set, elements.map(|addr| (addr, None)));
    }

    /// `ipset test SET ADDR`: `IPSET_ERR_EXIST` if it is not there.
    pub fn test(&mut self, seq: u32, set: &str, addr: IpAddr) {
        self.element(IPSET_CMD_TEST, seq, set, addr, None);
    }

    /// `ipset list -t SET`, a dump; [`header`] reads the answer.
    pub fn ask_header(&mut self, seq: u32, set: &str) {
        self.command(IPSET_CMD_LIST, NLM_F_DUMP, seq, |w| {
            w.string(IPSET_ATTR_SETNAME, set);
            w.be32(IPSET_ATTR_FLAGS | NLA_F_NET_BYTEORDER, IPSET_FLAG_LIST_HEADER);
        });
    }

    /// `ipset list SET`, a dump; [`elements`] reads the answers.
    pub fn ask_elements(&mut self, seq: u32, set: &str) {
        self.command(IPSET_CMD_LIST, NLM_F_DUMP, seq, |w| {
            w.string(IPSET_ATTR_SETNAME, set);
        });
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
            write_element(w, addr, timeout_s);
        });
    }

    fn elements(
        &mut self,
        command: u16,
        seq: u32,
        set: &str,
        elements: impl Iterator<Item = (IpAddr, Option<u32>)>,
    ) {
        self.command(command, 0, seq, |w| {
            w.string(IPSET_ATTR_SETNAME, set);
            // The kernel insists on one, and replaces it by the number of the element that it refuses.
            w.be32(IPSET_ATTR_LINENO, 1);
            w.nest(IPSET_ATTR_ADT, |w| {
                for (addr, timeout_s) in elements {
                    write_element(w, addr, timeout_s);
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

fn write_element(w: &mut Writer<'_>, addr: IpAddr, timeout_s: Option<u32>) {
    w.nest(IPSET_ATTR_DATA, |w| {
        w.nest(IPSET_ATTR_IP, |w| match addr {
            IpAddr::V4(v4) => w.attr(IPSET_ATTR_IPADDR_IPV4 | NLA_F_NET_BYTEORDER, &v4.octets()),
            IpAddr::V6(v6) => w.attr(IPSET_ATTR_IPADDR_IPV6 | NLA_F_NET_BYTEORDER, &v6.octets()),
        });
        if let Some(seconds) = timeout_s {
            w.be32(IPSET_ATTR_TIMEOUT | NLA_F_NET_BYTEORDER, seconds);
        }
    });
}

/// What a set of the type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Which addresses.
    pub family: Family,
    /// So many leading bits of an address count.
    pub prefix: u8,
    /// Buckets to begin with; the kernel makes more when it needs them, and waits for an RCU grace period
    /// (10 to 40 ms) each time.
    pub hashsize: u32,
    /// Most elements.
    pub maxelem: u32,
}

/// What the kernel says about a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub properties: Properties,
    /// Elements in it.
    pub elements: u32,
}

/// Reads the answer to [`Messages::ask_header`], if the set is one as we make them.
#[must_use]
pub fn header(answer: &Message<'_>) -> Option<Header> {
    if answer.kind != NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST {
        return None;
    }
    let attrs = answer.attrs();
    if attrs.get(IPSET_ATTR_TYPENAME)? != b"hash:ip\0" {
        return None;
    }
    let family = match *attrs.get(IPSET_ATTR_FAMILY)? {
        [NFPROTO_IPV4] => Family::V4,
        [NFPROTO_IPV6] => Family::V6,
        _ => return None,
    };
    let data = Attrs(attrs.get(IPSET_ATTR_DATA)?);
    let number = |kind| Some(u32::from_be_bytes(data.get(kind)?.try_into().ok()?));
    // Elements for ever unless they say otherwise, and none of the options that change what an element is.
    if number(IPSET_ATTR_TIMEOUT) != Some(0) || number(IPSET_ATTR_CADT_FLAGS).is_some_and(|flags| flags != 0)
    {
        return None;
    }
    let netmask = data.get(IPSET_ATTR_NETMASK).and_then(|value| value.first());
    Some(Header {
        properties: Properties {
            family,
            prefix: netmask.copied().unwrap_or(bits(family)),
            hashsize: number(IPSET_ATTR_HASHSIZE)?,
            maxelem: number(IPSET_ATTR_MAXELEM)?,
        },
        elements: number(IPSET_ATTR_ELEMENTS)?,
    })
}

/// The elements in an answer to [`Messages::ask_elements`], with the seconds that each stays; `None` is for ever.
pub fn elements<'a>(answer: &Message<'a>) -> impl Iterator<Item = (IpAddr, Option<u32>)> + use<'a> {
    let listed = answer.kind == NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST;
    let list = answer.attrs().get(IPSET_ATTR_ADT).filter(|_| listed);
    Attrs(list.unwrap_or_default()).filter_map(|(_, data)| {
        let data = Attrs(data);
        let ip = Attrs(data.get(IPSET_ATTR_IP)?);
        let addr = match (ip.get(IPSET_ATTR_IPADDR_IPV4), ip.get(IPSET_ATTR_IPADDR_IPV6)) {
            (Some(v4), _) => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(v4).ok()?)),
            (None, Some(v6)) => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(v6).ok()?)),
            (None, None) => return None,
        };
        let seconds = data
            .get(IPSET_ATTR_TIMEOUT)
            .and_then(|value| value.try_into().ok());
        let left = seconds.map(u32::from_be_bytes).filter(|seconds| *seconds > 0);
        Some((addr, left))
    })
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
    fn two_elements_in_one_message_are_104_bytes() {
        let element = |last| {
            let address = attr(1 | NESTED, &attr(1 | NET, &[203, 0, 113, last]));
            attr(7 | NESTED, &[address, attr(6 | NET, &[0, 0, 0, 60])].concat())
        };
        let addr = |last| IpAddr::from([203, 0, 113, last]);
        check(
            |messages| messages.add_all(1, "sipguard4", [(addr(1), 60), (addr(2), 60)].into_iter()),
            &[
                &head(104, 0x0609, 0x0005),
                &attr(2, b"sipguard4\0"),
                &attr(9, &[0, 0, 0, 1]),                               // LINENO
                &attr(8 | NESTED, &[element(1), element(2)].concat()), // ADT
            ],
        );
    }

    /// A set as ipset(8) of Debian 12 and Linux 6.18 show it, and its elements.
    #[test]
    fn what_a_set_is_and_holds_is_read() {
        let be = |number: u32| number.to_be_bytes();
        let show = |data: &[Vec<u8>], rest: &[Vec<u8>]| -> Message<'static> {
            let mut attrs = vec![
                attr(2, b"s6\0"),
                attr(3, b"hash:ip\0"),
                attr(5, &[10]),
                attr(7 | NESTED, &data.concat()),
            ];
            attrs.extend_from_slice(rest);
            let attrs = attrs.concat();
            let bytes: &'static [u8] = [head(28 + attrs.len() as u32, 0x0607, 0), attrs].concat().leak();
            Received(bytes).next().unwrap()
        };
        let timeout = || attr(6 | NET, &be(0));
        let mut data = vec![
            timeout(),
            attr(18 | NET, &be(2_048)),
            attr(19 | NET, &be(1_000)),
            attr(20, &[64]),
            attr(24 | NET, &be(7)),
        ];
        let want = Header {
            properties: Properties {
                hashsize: 2_048,
                ..properties(Family::V6, 64)
            },
            elements: 7,
        };
        assert_eq!(header(&show(&data, &[])), Some(want));
        data.remove(3);
        let whole = header(&show(&data, &[])).unwrap();
        assert_eq!(whole.properties.prefix, 128, "without a netmask");
        let counted = [data.clone(), vec![attr(8 | NET, &be(1 << 3))]].concat();
        assert_eq!(
            header(&show(&counted, &[])),
            None,
            "with counters it is none of ours"
        );
        assert_eq!(header(&show(&data[1..], &[])), None, "nor without times");

        let v6 = |last| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        let element = |last, seconds| {
            let address = attr(1 | NESTED, &attr(2 | NET, &v6(last)));
            attr(7 | NESTED, &[address, attr(6 | NET, &be(seconds))].concat())
        };
        let list = attr(8 | NESTED, &[element(1, 60), element(2, 0)].concat());
        let found: Vec<_> = elements(&show(&data, &[list]))
            .map(|(addr, left)| (addr.to_string(), left))
            .collect();
        assert_eq!(
            found,
            [
                ("2001:db8::1".to_owned(), Some(60)),
                ("2001:db8::2".to_owned(), None)
            ]
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

    fn properties(family: Family, prefix: u8) -> Properties {
        Properties {
            family,
            prefix,
            hashsize: 1_024,
            maxelem: 1_000,
        }
    }

    #[test]
    fn a_set_of_networks_has_a_netmask() {
        let data = [
            attr(6 | NET, &[0; 4]),                   // TIMEOUT: by default for ever
            attr(18 | NET, &1_024_u32.to_be_bytes()), // HASHSIZE
            attr(19 | NET, &1_000_u32.to_be_bytes()), // MAXELEM
            attr(20, &[64]),                          // NETMASK
        ]
        .concat();
        check(
            |messages| messages.create(1, "s6", properties(Family::V6, 64), 4),
            &[
                &head(100, 0x0602, 0x0405), // CREATE: CREATE
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
            messages.create(1, "s", properties(family, prefix), 4);
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
        let length = |elements: usize| {
            let mut buf = [0; 400];
            let mut messages = Messages::new(&mut buf);
            let element = ("2001:db8::".parse().unwrap(), 1);
            messages.add_all(1, &"x".repeat(31), core::iter::repeat_n(element, elements));
            messages.finish().unwrap().len()
        };
        assert!(length(0) <= ELEMENTS_MESSAGE_BYTES_MAX);
        assert_eq!(length(5) - length(4), ELEMENT_BYTES_MAX);
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
