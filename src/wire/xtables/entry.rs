//! One entry of a table: a rule with its matches and its target.

use super::{COUNTERS_BYTES, DropRule, LimitRule, Rule, aligned};
use crate::sys::uapi::{
    IPPROTO_ICMPV6, IPPROTO_TCP, NF_DROP, XT_CONNTRACK_DIRECTION, XT_HASHLIMIT_HASH_SIP, XT_HASHLIMIT_INVERT,
    XT_HASHLIMIT_SCALE,
};
use crate::wire::nft::Family;

/// The match of ipset's (linux/netfilter/xt_set.h).
pub const SET_MATCH: &str = "set";
/// Its revision. Older ones are not shown by iptables-save(8).
pub const SET_MATCH_REVISION: u32 = 4;

/// `struct xt_entry_match` and `struct xt_entry_target`: size, name, revision.
pub(super) const PART_BYTES: usize = 32;
pub(super) const PART_NAME_BYTES: usize = 29;
/// `XT_RETURN`: `-NF_REPEAT - 1`. A verdict of xtables is a negative number, a jump is an offset.
pub(super) const RETURN: i32 = -5;
const DROP: i32 = -NF_DROP - 1;

/// `struct ipt_entry` or `struct ip6t_entry`.
pub(super) struct Layout {
    /// Where the name of the incoming interface stands, and its mask.
    interface: usize,
    interface_mask: usize,
    /// Where the protocol stands.
    pub(super) protocol: usize,
    /// Where the flags stand that say that there is a protocol (IPv6 only).
    pub(super) flags: Option<usize>,
    pub(super) target_offset: usize,
    pub(super) next_offset: usize,
    pub(super) bytes: usize,
}

pub(super) const V4: Layout = Layout {
    interface: 16,
    interface_mask: 48,
    protocol: 80, // struct ipt_ip: 4 addresses, 2 interfaces, 2 masks: 16 + 32 + 32
    flags: None,
    target_offset: 88, // nfcache before it
    next_offset: 90,
    bytes: aligned(96) + COUNTERS_BYTES, // comefrom before the counters
};

pub(super) const V6: Layout = Layout {
    interface: 64,
    interface_mask: 96,
    protocol: 128,    // struct ip6t_ip6: 4 addresses, 2 interfaces, 2 masks: 64 + 32 + 32
    flags: Some(131), // u16 proto, u8 tos, u8 flags, u8 invflags
    target_offset: 140,
    next_offset: 142,
    bytes: aligned(148) + COUNTERS_BYTES,
};

/// `IP6T_F_PROTO`
pub(super) const HAS_PROTOCOL: u8 = 1;

/// Bytes of `struct xt_conntrack_mtinfo3`, and where its `match_flags` and `invert_flags` stand: behind eight
/// addresses of 16 bytes, two numbers of 4 (expires) and five of 2 (protocol and ports).
const CONNTRACK_BYTES: usize = 164;
const CONNTRACK_FLAGS: usize = 8 * 16 + 2 * 4 + 5 * 2;

pub(super) fn rule_entry(family: Family, rule: &Rule) -> Vec<u8> {
    match rule {
        Rule::Drop(rule) => drop_entry(family, rule),
        Rule::PassReplies => standard(family, &replies(), None, RETURN),
        Rule::PassIcmp6 => standard(family, &[], Some(IPPROTO_ICMPV6), RETURN),
        Rule::PassLoopback => from_loopback(family),
        Rule::Limit(rule) => limit_entry(family, rule),
    }
}

fn from_loopback(family: Family) -> Vec<u8> {
    let mut bytes = standard(family, &[], None, RETURN);
    let layout = layout(family);
    for (at, value) in [
        (layout.interface, b"lo\0"),
        (layout.interface_mask, b"\xff\xff\xff"),
    ] {
        if let Some(room) = bytes.get_mut(at..at + value.len()) {
            room.copy_from_slice(value);
        }
    }
    bytes
}

fn limit_entry(family: Family, rule: &LimitRule) -> Vec<u8> {
    let (protocol, ports) = rule.only;
    let mut matches = ports_match(protocol, ports);
    matches.extend(part("hashlimit", 3, &hashlimit(family, rule)));
    standard(family, &matches, Some(protocol), DROP)
}

/// Bytes of the name in `struct xt_hashlimit_mtinfo3` (`NAME_MAX`), before the rest is aligned.
const HASHLIMIT_NAME_BYTES: usize = 255;
/// Bytes of `struct xt_hashlimit_mtinfo3`: the name, `struct hashlimit_cfg3` (two numbers of 8 bytes, six of 4, two of
/// 1), and at the next 8 bytes a pointer of the kernel's.
const HASHLIMIT_BYTES: usize = 312;

/// `--hashlimit-above`, by source.
fn hashlimit(family: Family, rule: &LimitRule) -> Vec<u8> {
    let limit = &rule.limit;
    let mut info = rule.name.as_bytes().to_vec();
    info.truncate(HASHLIMIT_NAME_BYTES - 1);
    info.resize(HASHLIMIT_NAME_BYTES + 1, 0);
    let between = XT_HASHLIMIT_SCALE / u64::from(limit.per_second.max(1));
    info.extend([between, limit.burst.into()].iter().flat_map(|n| n.to_ne_bytes()));
    let words = [
        XT_HASHLIMIT_HASH_SIP | XT_HASHLIMIT_INVERT,
        (limit.sources / 8).max(1), // buckets
        limit.sources,
        1_000, // every second it forgets who was idle
        limit.idle_ms,
        0, // interval, of a mode that is not ours
    ];
    info.extend(words.iter().flat_map(|n| n.to_ne_bytes()));
    info.push(limit.prefix(family));
    info.resize(HASHLIMIT_BYTES, 0);
    info
}

/// `--dport FIRST:LAST`: `struct xt_tcp` or `xt_udp`, source ports (any), destination ports; the rest is zero.
fn ports_match(protocol: u8, (first, last): (u16, u16)) -> Vec<u8> {
    let ports = [0, u16::MAX, first, last];
    let mut data: Vec<u8> = ports.iter().flat_map(|port| port.to_ne_bytes()).collect();
    let name = if protocol == IPPROTO_TCP { "tcp" } else { "udp" };
    data.resize(if name == "tcp" { 12 } else { 10 }, 0);
    part(name, 0, &data)
}

/// `-m conntrack --ctdir REPLY`, which is "not ORIGINAL".
fn replies() -> Vec<u8> {
    let mut info = vec![0; CONNTRACK_FLAGS];
    for _ in 0..2 {
        info.extend_from_slice(&XT_CONNTRACK_DIRECTION.to_ne_bytes());
    }
    info.resize(CONNTRACK_BYTES, 0);
    part("conntrack", 3, &info)
}

fn drop_entry(family: Family, rule: &DropRule) -> Vec<u8> {
    let mut matches = Vec::new();
    // First the port, which costs less than the set.
    if let Some((protocol, Some(ports))) = rule.only {
        matches.extend(ports_match(protocol, ports));
    }
    matches.extend(part(SET_MATCH, SET_MATCH_REVISION as u8, &set_match(rule.set)));
    standard(family, &matches, rule.only.map(|(protocol, _)| protocol), DROP)
}

/// `struct xt_set_info_match_v4`: whether the source is in the set of that number. `struct
/// xt_set_info` (number, dimension 1, flags: the first dimension is the source), then two counters
/// and flags that we do not use.
#[must_use]
pub fn set_match(set: u16) -> [u8; 48] {
    let mut info = [0; 48];
    let words = set.to_ne_bytes().into_iter().chain([1, 1 << 1]);
    for (room, byte) in info.iter_mut().zip(words) {
        *room = byte;
    }
    info
}

/// An entry with the standard target, whose name is empty.
pub(super) fn standard(family: Family, matches: &[u8], protocol: Option<u8>, verdict: i32) -> Vec<u8> {
    entry(family, matches, protocol, &part("", 0, &verdict.to_ne_bytes()))
}

pub(super) fn error(family: Family, name: &str) -> Vec<u8> {
    let mut text = name.as_bytes().to_vec();
    text.resize(30, 0); // XT_FUNCTION_MAXNAMELEN
    entry(family, &[], None, &part("ERROR", 0, &text))
}

fn entry(family: Family, matches: &[u8], protocol: Option<u8>, target: &[u8]) -> Vec<u8> {
    let layout = layout(family);
    let mut bytes = vec![0; layout.bytes];
    let mut set = |at: usize, value: &[u8]| {
        if let Some(room) = bytes.get_mut(at..at + value.len()) {
            room.copy_from_slice(value);
        }
    };
    if let Some(protocol) = protocol {
        set(layout.protocol, &u16::from(protocol).to_ne_bytes());
        if let Some(flags) = layout.flags {
            set(flags, &[HAS_PROTOCOL]);
        }
    }
    // Entries are a few hundred bytes long.
    let target_offset = u16::try_from(layout.bytes + matches.len()).unwrap_or(u16::MAX);
    let next_offset = u16::try_from(layout.bytes + matches.len() + target.len()).unwrap_or(u16::MAX);
    set(layout.target_offset, &target_offset.to_ne_bytes());
    set(layout.next_offset, &next_offset.to_ne_bytes());
    bytes.extend_from_slice(matches);
    bytes.extend_from_slice(target);
    bytes
}

/// A match or a target.
fn part(name: &str, revision: u8, data: &[u8]) -> Vec<u8> {
    let bytes = aligned(PART_BYTES + data.len());
    let mut part = u16::try_from(bytes).unwrap_or(u16::MAX).to_ne_bytes().to_vec();
    part.extend_from_slice(name.as_bytes());
    part.resize(2 + PART_NAME_BYTES, 0);
    part.push(revision);
    part.extend_from_slice(data);
    part.resize(bytes, 0);
    part
}

pub(super) fn layout(family: Family) -> &'static Layout {
    match family {
        Family::V4 => &V4,
        Family::V6 => &V6,
    }
}
