//! nf_tables: one batch of messages is one transaction (linux/netfilter/nf_tables.h).
//!
//! Numbers are big-endian and carry no flag that says so.

mod look;
mod rule;

use core::fmt;
use core::net::IpAddr;

use super::nlmsg::{Head, Writer};
use crate::sys::uapi::*;

pub use look::{
    Element, Object, SetSeen, ask_chains, ask_element, ask_elements, ask_rules, ask_sets, ask_table,
    chain_name, elements, is_rule, set_seen, table_flags, touched,
};
pub use rule::Rule;

/// The longest time an element can have: the kernel counts nanoseconds in 64 bits and refuses more.
pub const TIMEOUT_MS_MAX: u64 = 18_446_744_073_708;

/// Bytes that a message on elements takes at most without them: header and `nfgenmsg` 20, the table's
/// name of up to 16 letters 24, set name of 31 letters 36, a nest 4.
pub const ELEMENTS_MESSAGE_BYTES_MAX: usize = 84;
/// Bytes that one element takes at most in a message: two nests 8, key 20, timeout 12.
pub const ELEMENT_BYTES_MAX: usize = 40;
/// Bytes of a message with one element.
pub const ELEMENT_MESSAGE_BYTES_MAX: usize = ELEMENTS_MESSAGE_BYTES_MAX + ELEMENT_BYTES_MAX;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// `NFPROTO_INET`, `NFPROTO_IPV4` or `NFPROTO_IPV6`: which packets it sees.
    pub family: u8,
    /// Its name.
    pub name: &'static str,
}

/// As nft(8) writes it.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            NFPROTO_IPV4 => "ip",
            NFPROTO_IPV6 => "ip6",
            _ => "inet",
        };
        write!(f, "table {family} {}", self.name)
    }
}

/// One transaction on one table, being written.
pub struct Batch<'b> {
    writer: Writer<'b>,
    table: Table,
    seq: u32,
}

impl<'b> Batch<'b> {
    /// Begins a transaction whose first sequence number is `seq`.
    #[must_use]
    pub fn new(buf: &'b mut [u8], seq: u32, table: Table) -> Batch<'b> {
        let mut batch = Batch {
            writer: Writer::new(buf),
            table,
            seq,
        };
        batch.bracket(NFNL_MSG_BATCH_BEGIN);
        batch
    }

    /// Gives the messages that follow the next sequence number, and returns it. All messages of one
    /// operation share one, so that an answer names the operation.
    pub fn step(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }

    /// The sequence number of the last message.
    #[must_use]
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// Ends the transaction; the kernel answers its last message. `None` if it did not fit.
    #[must_use]
    pub fn finish(mut self) -> Option<&'b [u8]> {
        self.writer.add_flags(NLM_F_ACK);
        self.step();
        self.bracket(NFNL_MSG_BATCH_END);
        self.writer.finish()
    }

    /// `add table`, with `NFT_TABLE_F_*`.
    pub fn add_table(&mut self, flags: u32) {
        let table = self.table.name;
        self.message(NFT_MSG_NEWTABLE, NLM_F_CREATE, |w| {
            w.string(NFTA_TABLE_NAME, table);
            w.be32(NFTA_TABLE_FLAGS, flags);
        });
    }

    /// `delete table`: the table and everything in it.
    pub fn delete_table(&mut self) {
        let table = self.table.name;
        self.message(NFT_MSG_DELTABLE, 0, |w| w.string(NFTA_TABLE_NAME, table));
    }

    /// `add set` of addresses that time out: a hash. `id` is any number that no other set of the
    /// transaction has.
    pub fn add_set(&mut self, set: &Set, id: u32) {
        self.new_set(set, id, NFT_SET_TIMEOUT, None);
    }

    /// The same for one that rules put sources into, at most so many: see [`Rule::source_over`].
    pub fn add_dynamic_set(&mut self, set: &Set, id: u32, sources: u32) {
        self.new_set(set, id, NFT_SET_TIMEOUT | NFT_SET_EVAL, Some(sources));
    }

    fn new_set(&mut self, set: &Set, id: u32, flags: u32, size: Option<u32>) {
        let table = self.table.name;
        let (key_type, key_bytes) = set.key();
        self.message(NFT_MSG_NEWSET, NLM_F_CREATE, |w| {
            w.string(NFTA_SET_TABLE, table);
            w.string(NFTA_SET_NAME, set.name);
            w.be32(NFTA_SET_FLAGS, flags);
            w.be32(NFTA_SET_KEY_TYPE, key_type);
            w.be32(NFTA_SET_KEY_LEN, key_bytes);
            if let Some(size) = size {
                w.nest(NFTA_SET_DESC, |w| w.be32(NFTA_SET_DESC_SIZE, size));
            }
            w.be32(NFTA_SET_ID, id);
            w.be32(NFTA_SET_GC_INTERVAL, set.gc_interval_ms);
            if let Some(comment) = set.comment {
                // A text of fewer than 255 bytes, in a format that only nft(8) knows.
                w.nest_bytes(NFTA_SET_USERDATA, |w| {
                    w.bytes(&[NFTNL_UDATA_SET_COMMENT, comment.len() as u8 + 1]);
                    w.bytes(comment.as_bytes());
                    w.bytes(&[0]);
                });
            }
        });
    }

    /// `add chain … { type filter hook prerouting priority …; policy accept; }`
    pub fn add_base_chain(&mut self, chain: &str, priority: i32) {
        let table = self.table.name;
        self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.string(NFTA_CHAIN_NAME, chain);
            w.nest(NFTA_CHAIN_HOOK, |w| {
                w.be32(NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
                w.attr(NFTA_HOOK_PRIORITY, &priority.to_be_bytes());
            });
            w.attr(NFTA_CHAIN_POLICY, &NF_ACCEPT.to_be_bytes());
            w.string(NFTA_CHAIN_TYPE, "filter");
        });
    }

    /// `add chain`, one that rules jump to.
    pub fn add_chain(&mut self, chain: &str) {
        let table = self.table.name;
        self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.string(NFTA_CHAIN_NAME, chain);
        });
    }

    /// `add rule`, at the end of the chain.
    pub fn add_rule(&mut self, chain: &str, expressions: impl FnOnce(&mut Rule<'_, 'b>)) {
        let table = self.table.name;
        self.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |w| {
            w.string(NFTA_RULE_TABLE, table);
            w.string(NFTA_RULE_CHAIN, chain);
            w.nest(NFTA_RULE_EXPRESSIONS, |w| expressions(&mut Rule::new(w)));
        });
    }

    /// `flush table`: all rules.
    pub fn delete_rules(&mut self) {
        let table = self.table.name;
        self.message(NFT_MSG_DELRULE, 0, |w| w.string(NFTA_RULE_TABLE, table));
    }

    /// `flush chain`
    pub fn delete_rules_of(&mut self, chain: &str) {
        let table = self.table.name;
        self.message(NFT_MSG_DELRULE, 0, |w| {
            w.string(NFTA_RULE_TABLE, table);
            w.string(NFTA_RULE_CHAIN, chain);
        });
    }

    /// `delete chain`; an error if a rule jumps to it, or if it has rules.
    pub fn delete_chain(&mut self, chain: &str) {
        let table = self.table.name;
        self.message(NFT_MSG_DELCHAIN, 0, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.string(NFTA_CHAIN_NAME, chain);
        });
    }

    /// `delete set`; an error if a rule looks into it.
    pub fn delete_set(&mut self, set: &str) {
        let table = self.table.name;
        self.message(NFT_MSG_DELSET, 0, |w| {
            w.string(NFTA_SET_TABLE, table);
            w.string(NFTA_SET_NAME, set);
        });
    }

    /// `add element`, each for so many milliseconds or for ever. To one that is there nothing happens up
    /// to Linux 6.11; later it gets that time.
    pub fn add_elements(&mut self, set: &str, elements: impl Iterator<Item = (IpAddr, Option<u64>)>) {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, elements);
    }

    /// `create element`; an error if one is there.
    pub fn create_elements(&mut self, set: &str, elements: impl Iterator<Item = (IpAddr, Option<u64>)>) {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, set, elements);
    }

    /// `delete element`; an error if one is not there.
    pub fn delete_elements(&mut self, set: &str, elements: impl Iterator<Item = IpAddr>) {
        self.elements(NFT_MSG_DELSETELEM, 0, set, elements.map(|addr| (addr, None)));
    }

    /// `destroy element`, whether they are there or not; Linux 6.3.
    pub fn destroy_elements(&mut self, set: &str, elements: impl Iterator<Item = IpAddr>) {
        self.elements(NFT_MSG_DESTROYSETELEM, 0, set, elements.map(|addr| (addr, None)));
    }

    /// One message, whose list of elements may have up to 65,535 bytes.
    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        set: &str,
        elements: impl Iterator<Item = (IpAddr, Option<u64>)>,
    ) {
        let table = self.table.name;
        self.message(kind, flags, |w| {
            w.string(NFTA_SET_ELEM_LIST_TABLE, table);
            w.string(NFTA_SET_ELEM_LIST_SET, set);
            w.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |w| {
                for (addr, timeout_ms) in elements {
                    w.nest(NFTA_LIST_ELEM, |w| {
                        write_key(w, addr);
                        if let Some(ms) = timeout_ms {
                            let ms = ms.clamp(1, TIMEOUT_MS_MAX); // 0 would be for ever
                            w.attr(NFTA_SET_ELEM_TIMEOUT, &ms.to_be_bytes());
                        }
                    });
                }
            });
        });
    }

    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Writer<'b>)) {
        let head = Head {
            kind: NFNL_SUBSYS_NFTABLES << 8 | kind,
            flags: NLM_F_REQUEST | flags,
            seq: self.seq,
            family: self.table.family,
            resource: 0,
        };
        self.writer.message(head, body);
    }

    /// The message that begins or ends the transaction.
    fn bracket(&mut self, kind: u16) {
        let head = Head {
            kind,
            flags: NLM_F_REQUEST,
            seq: self.seq,
            family: 0,
            resource: NFNL_SUBSYS_NFTABLES,
        };
        self.writer.message(head, |_| {});
    }
}

fn write_key(w: &mut Writer<'_>, addr: IpAddr) {
    w.nest(NFTA_SET_ELEM_KEY, |w| match addr {
        IpAddr::V4(v4) => w.attr(NFTA_DATA_VALUE, &v4.octets()),
        IpAddr::V6(v6) => w.attr(NFTA_DATA_VALUE, &v6.octets()),
    });
}

/// A set of addresses whose elements time out.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which addresses.
    pub family: Family,
    /// How often the kernel walks it to free what has timed out.
    pub gc_interval_ms: u32,
    /// What nft(8) shows beside it.
    pub comment: Option<&'a str>,
}

impl Set<'_> {
    /// What nft(8) shows as the type of the key, which the kernel does not interpret (nftables' datatype.h); and
    /// the bytes of one.
    #[must_use]
    pub fn key(&self) -> (u32, u32) {
        match self.family {
            Family::V4 => (7, 4),
            Family::V6 => (8, 16),
        }
    }
}

/// How many packets of each source pass, while they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many a second.
    pub per_second: u32,
    /// So many at once.
    pub burst: u32,
    /// A source that sends nothing for so long is forgotten.
    pub idle_ms: u32,
    /// Most sources that are remembered.
    pub sources: u32,
}

impl Limit {
    /// Sources are told apart by so many leading bits: who has one address of an IPv6 network has all of it.
    #[must_use]
    pub const fn prefix(&self, family: Family) -> u8 {
        match family {
            Family::V4 => 32,
            Family::V6 => 64,
        }
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// How long its addresses are, in bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        family: NFPROTO_INET,
        name: "sipguard",
    };

    /// A transaction is exactly `want`, and no shorter buffer takes it.
    fn check(write: impl Fn(&mut Batch<'_>), want: &[&[u8]]) {
        let want = want.concat();
        for bytes in 0..=want.len() {
            let mut buf = vec![0xa5; bytes];
            let mut batch = Batch::new(&mut buf, 1, TABLE);
            batch.step();
            write(&mut batch);
            let got = batch.finish();
            assert_eq!(
                got,
                (bytes == want.len()).then_some(want.as_slice()),
                "{bytes} bytes"
            );
        }
    }

    /// What a message begins with, up to its attributes.
    fn head(bytes: u32, kind: u16, flags: u16, seq: u32, rest: [u8; 4]) -> Vec<u8> {
        [
            &bytes.to_ne_bytes()[..],
            &kind.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &seq.to_ne_bytes(),
            &[0; 4],
            &rest,
        ]
        .concat()
    }

    fn attr(kind: u16, value: &[&[u8]]) -> Vec<u8> {
        let value = value.concat();
        let mut bytes = [(value.len() as u16 + 4).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    const NESTED: u16 = 0x8000;

    #[test]
    fn an_element_with_a_time_is_one_transaction_of_120_bytes() {
        check(
            |batch| {
                batch.add_elements(
                    "ban4",
                    [("203.0.113.7".parse().unwrap(), Some(3_600_000))].into_iter(),
                );
            },
            &[
                &head(20, 0x10, 1, 1, [0, 0, 0, 10]), // NFNL_MSG_BATCH_BEGIN, for subsystem 10
                &head(80, 0x0a0c, 0x0405, 2, [1, 0, 0, 0]), // NEWSETELEM: REQUEST, ACK, CREATE; inet
                &attr(1, &[b"sipguard\0"]),           // NFTA_SET_ELEM_LIST_TABLE
                &attr(2, &[b"ban4\0"]),               // NFTA_SET_ELEM_LIST_SET
                &attr(
                    3 | NESTED, // NFTA_SET_ELEM_LIST_ELEMENTS
                    &[&attr(
                        1 | NESTED, // NFTA_LIST_ELEM
                        &[
                            // NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
                            &attr(1 | NESTED, &[&attr(1, &[&[203, 0, 113, 7]])]),
                            // NFTA_SET_ELEM_TIMEOUT in milliseconds, big-endian
                            &attr(4, &[&[0, 0, 0, 0, 0, 0x36, 0xee, 0x80]]),
                        ],
                    )],
                ),
                &head(20, 0x11, 1, 3, [0, 0, 0, 10]), // NFNL_MSG_BATCH_END
            ],
        );
    }

    #[test]
    fn only_the_last_message_asks_for_an_answer() {
        let key = attr(
            1 | NESTED,
            &[&attr(
                1,
                &[&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
            )],
        );
        let set = [attr(1, &[b"sipguard\0"]), attr(2, &[b"a6\0"])].concat();
        let elements = attr(3 | NESTED, &[&attr(1 | NESTED, &[&key])]);
        let bytes = (20 + set.len() + elements.len()) as u32;
        check(
            |batch| {
                let addr = "2001:db8::".parse().unwrap();
                batch.add_elements("a6", [(addr, None)].into_iter());
                batch.delete_elements("a6", [addr].into_iter());
            },
            &[
                &head(20, 0x10, 1, 1, [0, 0, 0, 10]),
                &head(bytes, 0x0a0c, 0x0401, 2, [1, 0, 0, 0]), // REQUEST, CREATE
                &set,
                &elements,
                &head(bytes, 0x0a0e, 0x0005, 2, [1, 0, 0, 0]), // DELSETELEM of the same step
                &set,
                &elements,
                &head(20, 0x11, 1, 3, [0, 0, 0, 10]),
            ],
        );
    }

    #[test]
    fn a_set_that_rules_fill_is_dynamic_and_bounded() {
        let set = Set {
            name: "a4f",
            family: Family::V4,
            gc_interval_ms: 1_000,
            comment: None,
        };
        let be32 = |kind, number: u32| attr(kind, &[&number.to_be_bytes()]);
        let body = [
            attr(1, &[b"sipguard\0"]),
            attr(2, &[b"a4f\0"]),
            be32(3, 0x30), // NFT_SET_TIMEOUT | NFT_SET_EVAL
            be32(4, 7),
            be32(5, 4),
            attr(9 | NESTED, &[&be32(1, 5)]), // NFTA_SET_DESC, NFTA_SET_DESC_SIZE
            be32(10, 3),
            be32(12, 1_000),
        ]
        .concat();
        let chain = [attr(1, &[b"sipguard\0"]), attr(2, &[b"c\0"])].concat();
        check(
            |batch| {
                batch.add_dynamic_set(&set, 3, 5);
                batch.delete_rules_of("c");
            },
            &[
                &head(20, 0x10, 1, 1, [0, 0, 0, 10]),
                &head(20 + body.len() as u32, 0x0a09, 0x0401, 2, [1, 0, 0, 0]), // NEWSET
                &body,
                &head(20 + chain.len() as u32, 0x0a08, 0x0005, 2, [1, 0, 0, 0]), // DELRULE
                &chain,
                &head(20, 0x11, 1, 3, [0, 0, 0, 10]),
            ],
        );
    }

    #[test]
    fn no_time_is_for_ever_by_accident_or_longer_than_the_kernel_counts() {
        for (ms, want) in [(0, 1), (1, 1), (u64::MAX, TIMEOUT_MS_MAX)] {
            let mut buf = [0; 200];
            let mut batch = Batch::new(&mut buf, 1, TABLE);
            batch.add_elements("s", [("192.0.2.1".parse().unwrap(), Some(ms))].into_iter());
            let bytes = batch.finish().unwrap();
            let time = &bytes[bytes.len() - 28..bytes.len() - 20];
            assert_eq!(time, u64::to_be_bytes(want), "{ms}");
        }
    }

    #[test]
    fn the_largest_element_message_is_within_its_limit() {
        let length = |elements: usize| {
            let mut buf = [0; 400];
            let mut batch = Batch::new(&mut buf, 1, TABLE);
            let element = ("2001:db8::".parse().unwrap(), Some(1));
            batch.add_elements(&"x".repeat(31), std::iter::repeat_n(element, elements));
            batch.finish().unwrap().len() - 40
        };
        assert!(length(0) <= ELEMENTS_MESSAGE_BYTES_MAX);
        assert_eq!(length(5) - length(4), ELEMENT_BYTES_MAX);
    }
}
