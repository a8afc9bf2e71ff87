//! nf_tables: one batch of messages is one transaction (linux/netfilter/nf_tables.h).
//!
//! Numbers are big-endian and carry no flag that says so.

use core::net::IpAddr;

use super::nlmsg::{Head, Writer};
use crate::sys::uapi::*;

/// The longest time an element can have: the kernel counts nanoseconds in 64 bits and refuses more.
pub const TIMEOUT_MS_MAX: u64 = 18_446_744_073_708;

/// Bytes that one element message takes at most: header and `nfgenmsg` 20, table name, set name of
/// 31 letters 36, three nests 12, key 24, timeout 12, and the table's name of up to 16 letters 24.
pub const ELEMENT_MESSAGE_BYTES_MAX: usize = 128;

/// One transaction on one table of the family `inet`, being written.
pub struct Batch<'b> {
    writer: Writer<'b>,
    table: &'static str,
    seq: u32,
}

impl<'b> Batch<'b> {
    /// Begins a transaction whose first sequence number is `seq`.
    #[must_use]
    pub fn new(buf: &'b mut [u8], seq: u32, table: &'static str) -> Batch<'b> {
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
        let table = self.table;
        self.message(NFT_MSG_NEWTABLE, NLM_F_CREATE, |w| {
            w.string(NFTA_TABLE_NAME, table);
            w.be32(NFTA_TABLE_FLAGS, flags);
        });
    }

    /// `delete table`: the table and everything in it.
    pub fn delete_table(&mut self) {
        let table = self.table;
        self.message(NFT_MSG_DELTABLE, 0, |w| w.string(NFTA_TABLE_NAME, table));
    }

    /// `add set` of addresses that time out: a hash. `id` is any number that no other set of the
    /// transaction has.
    pub fn add_set(&mut self, set: &Set, id: u32) {
        let table = self.table;
        // What nft(8) shows as the type; the kernel does not interpret it (nftables' datatype.h).
        let (key_type, key_bytes) = match set.family {
            Family::V4 => (7, 4),
            Family::V6 => (8, 16),
        };
        self.message(NFT_MSG_NEWSET, NLM_F_CREATE, |w| {
            w.string(NFTA_SET_TABLE, table);
            w.string(NFTA_SET_NAME, set.name);
            w.be32(NFTA_SET_FLAGS, NFT_SET_TIMEOUT);
            w.be32(NFTA_SET_KEY_TYPE, key_type);
            w.be32(NFTA_SET_KEY_LEN, key_bytes);
            w.be32(NFTA_SET_ID, id);
            w.be32(NFTA_SET_GC_INTERVAL, set.gc_interval_ms);
            if let Some(size) = set.size {
                w.nest(NFTA_SET_DESC, |w| w.be32(NFTA_SET_DESC_SIZE, size));
            }
        });
    }

    /// `add chain … { type filter hook prerouting priority raw; policy accept; }`
    pub fn add_base_chain(&mut self, chain: &str) {
        let table = self.table;
        self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.string(NFTA_CHAIN_NAME, chain);
            w.nest(NFTA_CHAIN_HOOK, |w| {
                w.be32(NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
                w.attr(NFTA_HOOK_PRIORITY, &NF_IP_PRI_RAW.to_be_bytes());
            });
            w.attr(NFTA_CHAIN_POLICY, &NF_ACCEPT.to_be_bytes());
            w.string(NFTA_CHAIN_TYPE, "filter");
        });
    }

    /// `add chain`, one that rules jump to.
    pub fn add_chain(&mut self, chain: &str) {
        let table = self.table;
        self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |w| {
            w.string(NFTA_CHAIN_TABLE, table);
            w.string(NFTA_CHAIN_NAME, chain);
        });
    }

    /// `add rule`, at the end of the chain.
    pub fn add_rule(&mut self, chain: &str, expressions: impl FnOnce(&mut Rule<'_, 'b>)) {
        let table = self.table;
        self.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |w| {
            w.string(NFTA_RULE_TABLE, table);
            w.string(NFTA_RULE_CHAIN, chain);
            w.nest(NFTA_RULE_EXPRESSIONS, |w| expressions(&mut Rule(w)));
        });
    }

    /// `add element`, for so many milliseconds or for ever. With `exclusive` it is an error if it is
    /// there; without, nothing happens to one that is there (up to Linux 6.11) or its time changes.
    pub fn add_element(&mut self, set: &str, addr: IpAddr, timeout_ms: Option<u64>, exclusive: bool) {
        let flags = if exclusive {
            NLM_F_CREATE | NLM_F_EXCL
        } else {
            NLM_F_CREATE
        };
        self.element(NFT_MSG_NEWSETELEM, flags, set, addr, timeout_ms);
    }

    /// `delete element`; an error if it is not there.
    pub fn delete_element(&mut self, set: &str, addr: IpAddr) {
        self.element(NFT_MSG_DELSETELEM, 0, set, addr, None);
    }

    fn element(&mut self, kind: u16, flags: u16, set: &str, addr: IpAddr, timeout_ms: Option<u64>) {
        let table = self.table;
        self.message(kind, flags, |w| {
            w.string(NFTA_SET_ELEM_LIST_TABLE, table);
            w.string(NFTA_SET_ELEM_LIST_SET, set);
            w.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |w| {
                w.nest(NFTA_LIST_ELEM, |w| {
                    w.nest(NFTA_SET_ELEM_KEY, |w| match addr {
                        IpAddr::V4(v4) => w.attr(NFTA_DATA_VALUE, &v4.octets()),
                        IpAddr::V6(v6) => w.attr(NFTA_DATA_VALUE, &v6.octets()),
                    });
                    if let Some(ms) = timeout_ms {
                        let ms = ms.clamp(1, TIMEOUT_MS_MAX); // 0 would be for ever
                        w.attr(NFTA_SET_ELEM_TIMEOUT, &ms.to_be_bytes());
                    }
                });
            });
        });
    }

    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Writer<'b>)) {
        let head = Head {
            kind: NFNL_SUBSYS_NFTABLES << 8 | kind,
            flags: NLM_F_REQUEST | flags,
            seq: self.seq,
            family: NFPROTO_INET,
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

/// `dump rules` of one table of the family `inet`; how many there are is how many messages of
/// [`RULE`] come back.
#[must_use]
pub fn dump_rules<'b>(buf: &'b mut [u8], seq: u32, table: &str) -> Option<&'b [u8]> {
    let mut writer = Writer::new(buf);
    let head = Head {
        kind: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE,
        flags: NLM_F_REQUEST | NLM_F_DUMP,
        seq,
        family: NFPROTO_INET,
        resource: 0,
    };
    writer.message(head, |w| w.string(NFTA_RULE_TABLE, table));
    writer.finish()
}

/// The type of the messages that show a rule.
pub const RULE: u16 = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE;

/// The type of the message that ends every transaction's notifications.
pub const GENERATION: u16 = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN;

/// A set of addresses whose elements time out.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which addresses.
    pub family: Family,
    /// How often the kernel walks it to free what has timed out.
    pub gc_interval_ms: u32,
    /// How many elements it may hold.
    pub size: Option<u32>,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The expressions of a rule, being written. Each does its work on register 1.
pub struct Rule<'w, 'b>(&'w mut Writer<'b>);

impl Rule<'_, '_> {
    /// `meta nfproto`: only packets of that family.
    pub fn family(&mut self, family: Family) {
        self.meta(NFT_META_NFPROTO);
        self.compare(
            NFT_CMP_EQ,
            &[match family {
                Family::V4 => NFPROTO_IPV4,
                Family::V6 => NFPROTO_IPV6,
            }],
        );
    }

    /// `meta l4proto`: only packets of that protocol.
    pub fn protocol(&mut self, protocol: u8) {
        self.meta(NFT_META_L4PROTO);
        self.compare(NFT_CMP_EQ, &[protocol]);
    }

    /// `ip saddr @set`
    pub fn source4_in(&mut self, set: &str) {
        self.payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4); // struct iphdr, saddr
        self.lookup(set);
    }

    /// `ip6 saddr & mask @set`, for networks of `prefix` bits.
    pub fn source6_in(&mut self, set: &str, prefix: u8) {
        self.payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 16); // struct ipv6hdr, saddr
        if prefix < 128 {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            self.mask(&mask.to_be_bytes());
        }
        self.lookup(set);
    }

    /// `th dport first-last`, for TCP and UDP.
    pub fn destination_port(&mut self, first: u16, last: u16) {
        self.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
        if first == last {
            self.compare(NFT_CMP_EQ, &first.to_be_bytes());
        } else {
            self.compare(NFT_CMP_GTE, &first.to_be_bytes());
            self.compare(NFT_CMP_LTE, &last.to_be_bytes());
        }
    }

    /// `counter`
    pub fn counter(&mut self) {
        self.expression("counter", |_| {});
    }

    /// `drop`
    pub fn drop(&mut self) {
        self.verdict(|w| w.attr(NFTA_VERDICT_CODE, &NF_DROP.to_be_bytes()));
    }

    /// `jump chain`
    pub fn jump(&mut self, chain: &str) {
        self.verdict(|w| {
            w.attr(NFTA_VERDICT_CODE, &NFT_JUMP.to_be_bytes());
            w.string(NFTA_VERDICT_CHAIN, chain);
        });
    }

    fn meta(&mut self, key: u32) {
        self.expression("meta", |w| {
            w.be32(NFTA_META_DREG, NFT_REG_1);
            w.be32(NFTA_META_KEY, key);
        });
    }

    fn compare(&mut self, op: u32, value: &[u8]) {
        self.expression("cmp", |w| {
            w.be32(NFTA_CMP_SREG, NFT_REG_1);
            w.be32(NFTA_CMP_OP, op);
            w.nest(NFTA_CMP_DATA, |w| w.attr(NFTA_DATA_VALUE, value));
        });
    }

    fn payload(&mut self, base: u32, offset: u32, bytes: u32) {
        self.expression("payload", |w| {
            w.be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
            w.be32(NFTA_PAYLOAD_BASE, base);
            w.be32(NFTA_PAYLOAD_OFFSET, offset);
            w.be32(NFTA_PAYLOAD_LEN, bytes);
        });
    }

    fn mask(&mut self, mask: &[u8; 16]) {
        self.expression("bitwise", |w| {
            w.be32(NFTA_BITWISE_SREG, NFT_REG_1);
            w.be32(NFTA_BITWISE_DREG, NFT_REG_1);
            w.be32(NFTA_BITWISE_LEN, 16);
            w.nest(NFTA_BITWISE_MASK, |w| w.attr(NFTA_DATA_VALUE, mask));
            w.nest(NFTA_BITWISE_XOR, |w| w.attr(NFTA_DATA_VALUE, &[0; 16]));
        });
    }

    fn lookup(&mut self, set: &str) {
        self.expression("lookup", |w| {
            w.string(NFTA_LOOKUP_SET, set);
            w.be32(NFTA_LOOKUP_SREG, NFT_REG_1);
        });
    }

    fn verdict(&mut self, code: impl FnOnce(&mut Writer<'_>)) {
        self.expression("immediate", |w| {
            w.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            w.nest(NFTA_IMMEDIATE_DATA, |w| w.nest(NFTA_DATA_VERDICT, |w| code(w)));
        });
    }

    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Writer<'_>)) {
        self.0.nest(NFTA_LIST_ELEM, |w| {
            w.string(NFTA_EXPR_NAME, name);
            w.nest(NFTA_EXPR_DATA, |w| data(w));
        });
    }
}
