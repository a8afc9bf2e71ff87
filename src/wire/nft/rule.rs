//! The expressions of a rule (`struct nft_expr` and its kin, linux/netfilter/nf_tables.h).

use super::{Family, Limit};
use crate::sys::uapi::*;
use crate::wire::nlmsg::Writer;

/// The expressions of a rule, being written. Each does its work on register 1.
pub struct Rule<'w, 'b>(&'w mut Writer<'b>);

impl<'w, 'b> Rule<'w, 'b> {
    pub(super) fn new(writer: &'w mut Writer<'b>) -> Rule<'w, 'b> {
        Rule(writer)
    }

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

    /// `ip saddr @set`, or `ip saddr & mask @set` for networks of `prefix` bits.
    pub fn source4_in(&mut self, set: &str, prefix: u8) {
        self.source4(prefix);
        self.lookup(set);
    }

    /// `ip6 saddr & mask @set`, for networks of `prefix` bits.
    pub fn source6_in(&mut self, set: &str, prefix: u8) {
        self.source6(prefix);
        self.lookup(set);
    }

    /// `update @set { ip saddr timeout … limit rate over … }`, or the same with `ip6 saddr & mask`: only packets of
    /// sources of which there are more than that. Where the set has no room for one more source, none of its.
    pub fn source_over(&mut self, family: Family, set: &str, limit: &Limit) {
        match family {
            Family::V4 => self.source4(limit.prefix(family)),
            Family::V6 => self.source6(limit.prefix(family)),
        }
        self.expression("dynset", |w| {
            w.string(NFTA_DYNSET_SET_NAME, set);
            w.be32(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
            w.be32(NFTA_DYNSET_SREG_KEY, NFT_REG_1);
            let idle_ms = u64::from(limit.idle_ms);
            w.attr(NFTA_DYNSET_TIMEOUT, &idle_ms.to_be_bytes());
            w.nest(NFTA_DYNSET_EXPR, |w| {
                w.string(NFTA_EXPR_NAME, "limit");
                w.nest(NFTA_EXPR_DATA, |w| {
                    w.attr(NFTA_LIMIT_RATE, &u64::from(limit.per_second).to_be_bytes());
                    w.attr(NFTA_LIMIT_UNIT, &1_u64.to_be_bytes());
                    w.be32(NFTA_LIMIT_BURST, limit.burst);
                    w.be32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
                    w.be32(NFTA_LIMIT_FLAGS, NFT_LIMIT_F_INV);
                });
            });
        });
    }

    /// `iif lo`: only packets of this box to itself.
    pub fn loopback(&mut self) {
        self.meta(NFT_META_IIF);
        self.compare(NFT_CMP_EQ, &LOOPBACK_IFINDEX.to_ne_bytes());
    }

    /// The source's address, or its network.
    fn source4(&mut self, prefix: u8) {
        self.payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4); // struct iphdr, saddr
        if prefix < 32 {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            self.mask(&mask.to_be_bytes());
        }
    }

    fn source6(&mut self, prefix: u8) {
        self.payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 16); // struct ipv6hdr, saddr
        if prefix < 128 {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            self.mask(&mask.to_be_bytes());
        }
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

    /// `ct direction reply`: only packets of flows that the other side of them opened. What is not tracked has no
    /// direction.
    pub fn reply(&mut self) {
        self.expression("ct", |w| {
            w.be32(NFTA_CT_DREG, NFT_REG_1);
            w.be32(NFTA_CT_KEY, NFT_CT_DIRECTION);
        });
        self.compare(NFT_CMP_EQ, &[IP_CT_DIR_REPLY]);
    }

    /// `xt match NAME`: a match of iptables' (nft_compat), with its own structure in the machine's
    /// own byte order and padded as the machine pads.
    pub fn xt_match(&mut self, name: &str, revision: u32, structure: &[u8]) {
        self.expression("match", |w| {
            w.string(NFTA_MATCH_NAME, name);
            w.be32(NFTA_MATCH_REV, revision);
            w.attr(NFTA_MATCH_INFO, structure);
        });
    }

    /// `counter`
    pub fn counter(&mut self) {
        self.expression("counter", |_| {});
    }

    /// `drop`
    pub fn drop_packet(&mut self) {
        self.verdict(|w| w.attr(NFTA_VERDICT_CODE, &NF_DROP.to_be_bytes()));
    }

    /// `accept`: the end of this base chain, not of others.
    pub fn accept_packet(&mut self) {
        self.verdict(|w| w.attr(NFTA_VERDICT_CODE, &NF_ACCEPT.to_be_bytes()));
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

    fn mask<const BYTES: usize>(&mut self, mask: &[u8; BYTES]) {
        self.expression("bitwise", |w| {
            w.be32(NFTA_BITWISE_SREG, NFT_REG_1);
            w.be32(NFTA_BITWISE_DREG, NFT_REG_1);
            w.be32(NFTA_BITWISE_LEN, BYTES as u32);
            w.nest(NFTA_BITWISE_MASK, |w| w.attr(NFTA_DATA_VALUE, mask));
            w.nest(NFTA_BITWISE_XOR, |w| w.attr(NFTA_DATA_VALUE, &[0; BYTES]));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn attr(kind: u16, value: &[&[u8]]) -> Vec<u8> {
        let value = value.concat();
        let mut bytes = [(value.len() as u16 + 4).to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    const NESTED: u16 = 0x8000;

    fn be32(kind: u16, number: u32) -> Vec<u8> {
        attr(kind, &[&number.to_be_bytes()])
    }

    fn expression(name: &[u8], data: &[&[u8]]) -> Vec<u8> {
        attr(1 | NESTED, &[&attr(1, &[name, &[0]]), &attr(2 | NESTED, data)])
    }

    /// The expressions are exactly `want`, and no shorter buffer takes them.
    fn check(write: impl Fn(&mut Rule<'_, '_>), want: &[Vec<u8>]) {
        let want = want.concat();
        for bytes in 0..=want.len() {
            let mut buf = vec![0xa5; bytes];
            let mut writer = Writer::new(&mut buf);
            write(&mut Rule(&mut writer));
            let got = writer.finish();
            assert_eq!(
                got,
                (bytes == want.len()).then_some(want.as_slice()),
                "{bytes} bytes"
            );
        }
    }

    #[test]
    fn the_masked_source_is_looked_up_and_jumps() {
        let mask = [[0xff; 7].as_slice(), &[0; 9]].concat();
        check(
            |rule| {
                rule.source6_in("a6", 56);
                rule.jump("x");
            },
            &[
                // Register 1, of the network header, offset 8, 16 bytes.
                expression(b"payload", &[&be32(1, 1), &be32(2, 1), &be32(3, 8), &be32(4, 16)]),
                expression(
                    b"bitwise",
                    &[
                        &be32(1, 1),
                        &be32(2, 1),
                        &be32(3, 16),
                        &attr(4 | NESTED, &[&attr(1, &[&mask])]),
                        &attr(5 | NESTED, &[&attr(1, &[&[0; 16]])]),
                    ],
                ),
                expression(b"lookup", &[&attr(1, &[b"a6\0"]), &be32(2, 1)]),
                expression(
                    b"immediate",
                    &[
                        &be32(1, 0), // NFT_REG_VERDICT
                        // NFTA_DATA_VERDICT: NFT_JUMP and where to
                        &attr(
                            2 | NESTED,
                            &[&attr(2 | NESTED, &[&be32(1, -3_i32 as u32), &attr(2, &[b"x\0"])])],
                        ),
                    ],
                ),
            ],
        );
    }

    #[test]
    fn a_port_is_compared_with_both_ends_of_a_range() {
        let compare = |op, port: u16| {
            let data = attr(3 | NESTED, &[&attr(1, &[&port.to_be_bytes()])]);
            expression(b"cmp", &[&be32(1, 1), &be32(2, op), &data])
        };
        // Register 1, of the transport header, offset 2, 2 bytes.
        let port = || expression(b"payload", &[&be32(1, 1), &be32(2, 2), &be32(3, 2), &be32(4, 2)]);
        check(
            |rule| rule.destination_port(5060, 5061),
            &[port(), compare(5, 5060), compare(3, 5061)],
        );
        check(
            |rule| rule.destination_port(5060, 5060),
            &[port(), compare(0, 5060)],
        );
    }

    #[test]
    fn single_addresses_are_looked_up_without_a_mask() {
        let lookup = || expression(b"lookup", &[&attr(1, &[b"a\0"]), &be32(2, 1)]);
        let source = |offset, bytes| {
            expression(
                b"payload",
                &[&be32(1, 1), &be32(2, 1), &be32(3, offset), &be32(4, bytes)],
            )
        };
        check(|rule| rule.source4_in("a", 32), &[source(12, 4), lookup()]);
        check(|rule| rule.source6_in("a", 128), &[source(8, 16), lookup()]);
    }

    #[test]
    fn replies_are_told_by_their_direction() {
        let direction = expression(b"ct", &[&be32(1, 1), &be32(2, 1)]); // NFT_CT_DIRECTION
        let data = attr(3 | NESTED, &[&attr(1, &[&[1]])]); // IP_CT_DIR_REPLY
        let compare = expression(b"cmp", &[&be32(1, 1), &be32(2, 0), &data]);
        let accept = attr(2 | NESTED, &[&attr(2 | NESTED, &[&be32(1, 1)])]); // NF_ACCEPT
        let verdict = expression(b"immediate", &[&be32(1, 0), &accept]);
        check(
            |rule| {
                rule.reply();
                rule.accept_packet();
            },
            &[direction, compare, verdict],
        );
    }

    #[test]
    fn sources_are_counted_in_a_set_and_those_over_the_limit_go_on() {
        let limit = Limit {
            per_second: 20,
            burst: 60,
            idle_ms: 4_000,
            sources: 1_000,
        };
        let be64 = |kind, number: u64| attr(kind, &[&number.to_be_bytes()]);
        let dynset = || {
            let data = [
                be64(1, 20), // NFTA_LIMIT_RATE
                be64(2, 1),  // NFTA_LIMIT_UNIT
                be32(3, 60), // NFTA_LIMIT_BURST
                be32(4, 0),  // NFT_LIMIT_PKTS
                be32(5, 1),  // NFT_LIMIT_F_INV
            ]
            .concat();
            expression(
                b"dynset",
                &[
                    &attr(1, &[b"a\0"]),
                    &be32(3, 1), // NFT_DYNSET_OP_UPDATE
                    &be32(4, 1), // register 1
                    &be64(6, 4_000),
                    &attr(
                        7 | NESTED,
                        &[&attr(1, &[b"limit\0"]), &attr(2 | NESTED, &[&data])],
                    ),
                ],
            )
        };
        let source = |offset, bytes| {
            expression(
                b"payload",
                &[&be32(1, 1), &be32(2, 1), &be32(3, offset), &be32(4, bytes)],
            )
        };
        let mask = [[0xff; 8], [0; 8]].concat();
        let network = expression(
            b"bitwise",
            &[
                &be32(1, 1),
                &be32(2, 1),
                &be32(3, 16),
                &attr(4 | NESTED, &[&attr(1, &[&mask])]),
                &attr(5 | NESTED, &[&attr(1, &[&[0; 16]])]),
            ],
        );
        check(
            |rule| rule.source_over(Family::V4, "a", &limit),
            &[source(12, 4), dynset()],
        );
        check(
            |rule| rule.source_over(Family::V6, "a", &limit),
            &[source(8, 16), network, dynset()],
        );
    }

    #[test]
    fn loopback_is_the_first_interface() {
        let data = attr(3 | NESTED, &[&attr(1, &[&1_u32.to_ne_bytes()])]);
        let interface = expression(b"meta", &[&be32(1, 1), &be32(2, 4)]); // NFT_META_IIF
        let compare = expression(b"cmp", &[&be32(1, 1), &be32(2, 0), &data]);
        let accept = attr(2 | NESTED, &[&attr(2 | NESTED, &[&be32(1, 1)])]); // NF_ACCEPT
        let verdict = expression(b"immediate", &[&be32(1, 0), &accept]);
        check(
            |rule| {
                rule.loopback();
                rule.accept_packet();
            },
            &[interface, compare, verdict],
        );
    }

    #[test]
    fn family_and_protocol_are_meta_data() {
        let meta = |key| expression(b"meta", &[&be32(1, 1), &be32(2, key)]);
        let equals = |value: u8| {
            let data = attr(3 | NESTED, &[&attr(1, &[&[value]])]);
            expression(b"cmp", &[&be32(1, 1), &be32(2, 0), &data])
        };
        check(|rule| rule.family(Family::V6), &[meta(15), equals(10)]);
        check(|rule| rule.protocol(17), &[meta(16), equals(17)]);
    }
}
