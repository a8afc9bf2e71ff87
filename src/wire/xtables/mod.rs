//! The rules of iptables and ip6tables: one blob per table (linux/netfilter_ipv4/ip_tables.h,
//! linux/netfilter_ipv6/ip6_tables.h, linux/netfilter/x_tables.h).
//!
//! A table is a row of entries: the chains of the hooks, each ending in its policy; then the chains
//! of users, each beginning with an entry whose target is `ERROR` and its name, and ending in
//! `RETURN`; then one more `ERROR`. Jumps and hooks are byte offsets into the row, so that whoever
//! adds an entry has to move them. Everything is in the machine's own byte order and alignment.

use super::nft::Limit;

mod edit;
mod entry;
#[cfg(test)]
mod tests;

pub use edit::{has_chain, with_chain};
pub use entry::{SET_MATCH, SET_MATCH_REVISION, set_match};

/// One chain of ours, and where packets come to it from.
#[derive(Debug)]
pub struct Chain<'a> {
    /// Its name; nobody else has a chain of that name.
    pub name: &'a str,
    /// Which chains of the table jump to it, first of all (`NF_INET_*`).
    pub hooks: &'a [u32],
    /// Its rules.
    pub rules: &'a [Rule],
}

/// A rule of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `-m conntrack --ctdir REPLY -j RETURN`: what answers a flow of ours is not looked at. What is not tracked has
    /// no direction.
    PassReplies,
    /// `-p ipv6-icmp -j RETURN`.
    PassIcmp6,
    /// `-i lo -j RETURN`: what this box sends to itself.
    PassLoopback,
    /// Drops.
    Drop(DropRule),
    /// Drops what is too much.
    Limit(LimitRule),
}

/// `-p PROTOCOL [--dport FIRST:LAST] -m hashlimit --hashlimit-above … --hashlimit-mode srcip -j DROP`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// The kernel's name of the table of sources, in `/proc/net/ipt_hashlimit`. Rules with the same share it.
    pub name: String,
    /// The protocol, and its destination ports.
    pub only: (u8, (u16, u16)),
    /// How much is not too much.
    pub limit: Limit,
}

/// `-m set --match-set SET src [-p PROTOCOL [--dport FIRST:LAST]] -j DROP`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropRule {
    /// The kernel's number of the set.
    pub set: u16,
    /// Only that protocol, and only those ports.
    pub only: Option<(u8, Option<(u16, u16)>)>,
}

/// `struct ipt_getinfo`: the shape of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Which hooks it has, bit by number.
    pub valid_hooks: u32,
    /// Where the chain of each hook begins.
    pub hook_entry: [u32; HOOKS],
    /// Where its policy stands.
    pub underflow: [u32; HOOKS],
    /// How many entries there are.
    pub entries: u32,
    /// How many bytes they take.
    pub bytes: u32,
}

/// A whole table, to be put in place of the one that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The shape.
    pub info: Info,
    /// The row of entries.
    pub entries: Vec<u8>,
    /// For each entry, which of the old entries it was.
    pub origins: Vec<Option<u32>>,
}

/// `NF_INET_NUMHOOKS`
pub const HOOKS: usize = 5;
/// Bytes of `struct ipt_getinfo`.
pub const INFO_BYTES: usize = 84;
/// Bytes of a table's name, with its NUL.
pub const TABLE_NAME_BYTES: usize = 32;
/// Where the entries stand in `struct ipt_get_entries` and the counters in `struct xt_counters_info`:
/// behind a name and a number.
pub const ENTRIES_OFFSET: usize = aligned(TABLE_NAME_BYTES + 4);
/// Where the pointer to the counters stands in `struct ipt_replace`; the number of them is before it.
pub const REPLACE_POINTER_OFFSET: usize =
    (TABLE_NAME_BYTES + 3 * 4 + 2 * HOOKS * 4 + 4).next_multiple_of(size_of::<usize>());
/// Bytes of `struct xt_counters`.
pub const COUNTERS_BYTES: usize = 16;

impl Info {
    /// Reads what the kernel filled in.
    #[must_use]
    pub fn parse(bytes: &[u8; INFO_BYTES]) -> Option<Info> {
        let word = |i: usize| read_u32(bytes, TABLE_NAME_BYTES + 4 * i);
        let words = |first: usize| -> Option<[u32; HOOKS]> {
            let mut all = [0; HOOKS];
            for (i, out) in all.iter_mut().enumerate() {
                *out = word(first + i)?;
            }
            Some(all)
        };
        Some(Info {
            valid_hooks: word(0)?,
            hook_entry: words(1)?,
            underflow: words(1 + HOOKS)?,
            entries: word(1 + 2 * HOOKS)?,
            bytes: word(2 + 2 * HOOKS)?,
        })
    }
}

/// `struct ipt_replace` without its counters: everything but the pointer to them and their number,
/// which are zero.
#[must_use]
pub fn replace(name: &str, table: &Table) -> Option<Vec<u8>> {
    let mut blob = table_name(name)?.to_vec();
    let info = &table.info;
    blob.extend(
        [info.valid_hooks, info.entries, info.bytes]
            .iter()
            .flat_map(|n| n.to_ne_bytes()),
    );
    blob.extend(
        info.hook_entry
            .iter()
            .chain(&info.underflow)
            .flat_map(|n| n.to_ne_bytes()),
    );
    blob.resize(aligned(REPLACE_POINTER_OFFSET + size_of::<usize>()), 0);
    blob.extend_from_slice(&table.entries);
    Some(blob)
}

/// `struct xt_counters_info`: the counters that the old entries had when they were replaced, for the
/// new ones.
#[must_use]
pub fn add_counters(name: &str, table: &Table, old: &[u8]) -> Option<Vec<u8>> {
    let mut blob = table_name(name)?.to_vec();
    blob.extend_from_slice(&table.info.entries.to_ne_bytes());
    blob.resize(ENTRIES_OFFSET, 0);
    for origin in &table.origins {
        let at = origin.map(|i| COUNTERS_BYTES * i as usize);
        let counters = at.and_then(|at| old.get(at..at + COUNTERS_BYTES));
        blob.extend_from_slice(counters.unwrap_or(&[0; COUNTERS_BYTES]));
    }
    Some(blob)
}

/// A table's name as all these structures begin with it.
#[must_use]
pub fn table_name(name: &str) -> Option<[u8; TABLE_NAME_BYTES]> {
    let mut bytes = [0; TABLE_NAME_BYTES];
    let (text, nul) = bytes.split_at_mut_checked(name.len())?;
    if nul.is_empty() {
        return None;
    }
    text.copy_from_slice(name.as_bytes());
    Some(bytes)
}

/// `__alignof__(struct _xt_align)`: 8, except on 32-bit x86.
const ALIGN: usize = align_of::<u64>();

const fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
