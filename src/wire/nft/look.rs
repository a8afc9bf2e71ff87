//! What there is in nf_tables: questions, their answers, and reports of changes, which look like answers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Table, write_key};
use crate::sys::uapi::*;
use crate::wire::nlmsg::{Attrs, Head, Message, NFGENMSG_BYTES, Writer};

/// `list table`, without what is in it; [`table_flags`] reads the answer.
#[must_use]
pub fn ask_table(buf: &mut [u8], seq: u32, table: Table) -> Option<&[u8]> {
    question(buf, NFT_MSG_GETTABLE, NLM_F_ACK, seq, table, |w| {
        w.string(NFTA_TABLE_NAME, table.name);
    })
}

/// All chains of the table's family, a dump; [`chain_name`] reads the answers.
#[must_use]
pub fn ask_chains(buf: &mut [u8], seq: u32, table: Table) -> Option<&[u8]> {
    question(buf, NFT_MSG_GETCHAIN, NLM_F_DUMP, seq, table, |_| {})
}

/// `list sets` of one table, without elements, a dump; [`set_seen`] reads the answers.
#[must_use]
pub fn ask_sets(buf: &mut [u8], seq: u32, table: Table) -> Option<&[u8]> {
    question(buf, NFT_MSG_GETSET, NLM_F_DUMP, seq, table, |w| {
        w.string(NFTA_SET_TABLE, table.name);
    })
}

/// `list rules` of one table, a dump; [`is_rule`] tells the answers.
#[must_use]
pub fn ask_rules(buf: &mut [u8], seq: u32, table: Table) -> Option<&[u8]> {
    question(buf, NFT_MSG_GETRULE, NLM_F_DUMP, seq, table, |w| {
        w.string(NFTA_RULE_TABLE, table.name);
    })
}

/// `list set`, a dump; [`touched`] and [`elements`] read the answers.
#[must_use]
pub fn ask_elements<'b>(buf: &'b mut [u8], seq: u32, table: Table, set: &str) -> Option<&'b [u8]> {
    question(buf, NFT_MSG_GETSETELEM, NLM_F_DUMP, seq, table, |w| {
        w.string(NFTA_SET_ELEM_LIST_TABLE, table.name);
        w.string(NFTA_SET_ELEM_LIST_SET, set);
    })
}

/// `get element`: an error if it is not there.
#[must_use]
pub fn ask_element<'b>(
    buf: &'b mut [u8],
    seq: u32,
    table: Table,
    set: &str,
    addr: IpAddr,
) -> Option<&'b [u8]> {
    question(buf, NFT_MSG_GETSETELEM, NLM_F_ACK, seq, table, |w| {
        w.string(NFTA_SET_ELEM_LIST_TABLE, table.name);
        w.string(NFTA_SET_ELEM_LIST_SET, set);
        w.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |w| {
            w.nest(NFTA_LIST_ELEM, |w| write_key(w, addr));
        });
    })
}

fn question<'b>(
    buf: &'b mut [u8],
    kind: u16,
    flags: u16,
    seq: u32,
    table: Table,
    body: impl FnOnce(&mut Writer<'b>),
) -> Option<&'b [u8]> {
    let mut writer = Writer::new(buf);
    let head = Head {
        kind: NFNL_SUBSYS_NFTABLES << 8 | kind,
        flags: NLM_F_REQUEST | flags,
        seq,
        family: table.family,
        resource: 0,
    };
    writer.message(head, body);
    writer.finish()
}

/// The flags (`NFT_TABLE_F_*`) of the table that a message shows.
#[must_use]
pub fn table_flags(message: &Message<'_>) -> Option<u32> {
    is(message, NFT_MSG_NEWTABLE).then(|| number(message.attrs(), NFTA_TABLE_FLAGS))
}

/// Whether a message shows a rule.
#[must_use]
pub fn is_rule(message: &Message<'_>) -> bool {
    is(message, NFT_MSG_NEWRULE)
}

/// The name of the chain that a message shows, if it is one of that table.
#[must_use]
pub fn chain_name<'a>(message: &Message<'a>, table: Table) -> Option<&'a str> {
    let attrs = message.attrs();
    let ours = is(message, NFT_MSG_NEWCHAIN) && text(attrs, NFTA_CHAIN_TABLE)? == table.name;
    ours.then(|| text(attrs, NFTA_CHAIN_NAME)).flatten()
}

/// What a set is, apart from its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetSeen<'a> {
    /// Its name.
    pub name: &'a str,
    /// `NFT_SET_*`.
    pub flags: u32,
    /// What nft(8) shows as the type.
    pub key_type: u32,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// The time of elements that name none; 0 is for ever.
    pub timeout_ms: u64,
    /// How often the kernel frees what has timed out.
    pub gc_interval_ms: u32,
    /// Most elements; 0 is no limit.
    pub size: u32,
    /// What nft(8) shows beside it.
    pub comment: Option<&'a str>,
}

/// The set that a message shows.
#[must_use]
pub fn set_seen<'a>(message: &Message<'a>) -> Option<SetSeen<'a>> {
    if !is(message, NFT_MSG_NEWSET) {
        return None;
    }
    let attrs = message.attrs();
    let size = attrs.get(NFTA_SET_DESC).map(Attrs);
    let timeout = attrs.get(NFTA_SET_TIMEOUT);
    Some(SetSeen {
        name: text(attrs, NFTA_SET_NAME)?,
        flags: number(attrs, NFTA_SET_FLAGS),
        key_type: number(attrs, NFTA_SET_KEY_TYPE),
        key_bytes: number(attrs, NFTA_SET_KEY_LEN),
        timeout_ms: timeout.and_then(be64).unwrap_or(0),
        gc_interval_ms: number(attrs, NFTA_SET_GC_INTERVAL),
        size: size.map_or(0, |desc| number(desc, NFTA_SET_DESC_SIZE)),
        comment: attrs.get(NFTA_SET_USERDATA).and_then(comment),
    })
}

/// A set's comment, if nothing else stands in its userdata.
fn comment(userdata: &[u8]) -> Option<&str> {
    let (&[kind, length], rest) = userdata.split_first_chunk()?;
    let text = rest.get(..usize::from(length))?.strip_suffix(&[0])?;
    (kind == NFTNL_UDATA_SET_COMMENT)
        .then(|| core::str::from_utf8(text).ok())
        .flatten()
}

/// Which kind of object a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// Elements of the set of that name; [`elements`] has them.
    Elements(&'a str),
    /// The table, or its chains, rules and sets.
    Structure,
}

/// What of that table a message shows or reports as changed, if anything.
#[must_use]
pub fn touched<'a>(message: &Message<'a>, table: Table) -> Option<Object<'a>> {
    let [family, ..] = *message.body.first_chunk::<NFGENMSG_BYTES>()?;
    let [subsystem, kind] = message.kind.to_be_bytes();
    if u16::from(subsystem) != NFNL_SUBSYS_NFTABLES || family != table.family {
        return None;
    }
    let attrs = message.attrs();
    // Every kind of object names its table in its first attribute.
    if text(attrs, NFTA_TABLE_NAME)? != table.name {
        return None;
    }
    Some(match u16::from(kind) {
        NFT_MSG_NEWSETELEM | NFT_MSG_DELSETELEM => Object::Elements(text(attrs, NFTA_SET_ELEM_LIST_SET)?),
        _ => Object::Structure,
    })
}

/// An element of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its key.
    pub addr: IpAddr,
    /// Milliseconds that it stays; `None` is for ever.
    pub left_ms: Option<u64>,
}

/// The elements in a message.
pub fn elements<'a>(message: &Message<'a>) -> impl Iterator<Item = Element> + use<'a> {
    let list = message.attrs().get(NFTA_SET_ELEM_LIST_ELEMENTS);
    Attrs(list.unwrap_or_default()).filter_map(|(_, element)| {
        let element = Attrs(element);
        let key = Attrs(element.get(NFTA_SET_ELEM_KEY)?).get(NFTA_DATA_VALUE)?;
        let addr = match *key {
            [a, b, c, d] => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
            _ => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(key).ok()?)),
        };
        let time = element.get(NFTA_SET_ELEM_TIMEOUT).and_then(be64);
        let left = element.get(NFTA_SET_ELEM_EXPIRATION).and_then(be64).or(time);
        let left_ms = time.filter(|ms| *ms > 0).and(left);
        Some(Element { addr, left_ms })
    })
}

fn is(message: &Message<'_>, kind: u16) -> bool {
    message.kind == NFNL_SUBSYS_NFTABLES << 8 | kind
}

fn text(attrs: Attrs<'_>, kind: u16) -> Option<&str> {
    core::str::from_utf8(attrs.get(kind)?.strip_suffix(&[0])?).ok()
}

fn number(attrs: Attrs<'_>, kind: u16) -> u32 {
    let value = attrs.get(kind).and_then(|value| value.try_into().ok());
    value.map_or(0, u32::from_be_bytes)
}

fn be64(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::{Batch, Family, Set};
    use crate::wire::nlmsg::Messages;

    const TABLE: Table = Table {
        family: NFPROTO_INET,
        name: "sipguard",
    };

    /// The messages that make something: the kernel shows and reports it in the same words.
    fn messages(write: impl Fn(&mut Batch<'_>)) -> Vec<Message<'static>> {
        let mut buf = [0; 1_000];
        let mut batch = Batch::new(&mut buf, 1, TABLE);
        write(&mut batch);
        let bytes: &'static [u8] = batch.finish().unwrap().to_vec().leak();
        let all: Vec<_> = Messages(bytes).collect();
        all[1..all.len() - 1].to_vec()
    }

    fn set(comment: Option<&str>) -> Set<'_> {
        Set {
            name: "a6net",
            family: Family::V6,
            gc_interval_ms: 60_000,
            comment,
        }
    }

    #[test]
    fn a_set_is_read_as_it_was_made() {
        for comment in [None, Some("networks of /64")] {
            let shown = messages(|batch| batch.add_set(&set(comment), 1));
            let want = SetSeen {
                name: "a6net",
                flags: NFT_SET_TIMEOUT,
                key_type: 8,
                key_bytes: 16,
                timeout_ms: 0,
                gc_interval_ms: 60_000,
                size: 0,
                comment,
            };
            assert_eq!(set_seen(&shown[0]), Some(want));
            assert_eq!(chain_name(&shown[0], TABLE), None);
        }
        let tables = messages(|batch| batch.add_table(6));
        assert_eq!((table_flags(&tables[0]), set_seen(&tables[0])), (Some(6), None));
        let chains = messages(|batch| batch.add_chain("c"));
        assert_eq!(chain_name(&chains[0], TABLE), Some("c"));
        assert_eq!(
            chain_name(
                &chains[0],
                Table {
                    name: "other",
                    ..TABLE
                }
            ),
            None
        );
    }

    #[test]
    fn a_comment_stands_alone_and_whole() {
        let check = |userdata: &[u8], want| assert_eq!(comment(userdata), want, "{userdata:?}");
        check(b"\x07\x03ab\0", Some("ab"));
        check(b"\x06\x03ab\0", None);
        check(b"\x07\x04ab\0", None);
        check(b"\x07\x02ab\0", None);
        check(b"\x07", None);
        check(b"", None);
    }

    #[test]
    fn elements_are_read_with_their_time_and_set() {
        let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::".parse().unwrap());
        let shown = messages(|batch| {
            batch.add_elements("a4", [(v4, Some(60_000)), (v4, None)].into_iter());
            batch.delete_elements("a6net", [v6].into_iter());
            batch.delete_rules();
        });
        let read = |message| elements(message).map(|e| (e.addr, e.left_ms)).collect::<Vec<_>>();
        assert_eq!(read(&shown[0]), [(v4, Some(60_000)), (v4, None)]);
        assert_eq!(read(&shown[1]), [(v6, None)]);
        assert_eq!(read(&shown[2]), []);
        let objects = |table| shown.iter().map(|m| touched(m, table)).collect::<Vec<_>>();
        let want = [
            Object::Elements("a4"),
            Object::Elements("a6net"),
            Object::Structure,
        ];
        assert_eq!(objects(TABLE), want.map(Some));
        let others = [
            Table {
                name: "sipguard2",
                ..TABLE
            },
            Table {
                family: NFPROTO_IPV4,
                ..TABLE
            },
        ];
        for other in others {
            assert_eq!(objects(other), [None; 3], "somebody else's {other}");
        }
    }
}
