//! The rules of iptables and ip6tables: one blob per table (linux/netfilter_ipv4/ip_tables.h,
//! linux/netfilter_ipv6/ip6_tables.h, linux/netfilter/x_tables.h).
//!
//! A table is a row of entries: the chains of the hooks, each ending in its policy; then the chains
//! of users, each beginning with an entry whose target is `ERROR` and its name, and ending in
//! `RETURN`; then one more `ERROR`. Jumps and hooks are byte offsets into the row, so that whoever
//! adds an entry has to move them. Everything is in the machine's own byte order and alignment.

use super::nft::Family;

/// One chain of ours, and where packets come to it from.
#[derive(Debug)]
pub struct Chain<'a> {
    /// Its name; nobody else has a chain of that name.
    pub name: &'a str,
    /// Which chains of the table jump to it, first of all (`NF_INET_*`).
    pub hooks: &'a [u32],
    /// What it drops.
    pub rules: &'a [DropRule],
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
/// The match of ipset's (linux/netfilter/xt_set.h).
pub const SET_MATCH: &str = "set";
/// Its revision. Older ones are not shown by iptables-save(8).
pub const SET_MATCH_REVISION: u32 = 4;
/// Bytes of `struct xt_counters`.
pub const COUNTERS_BYTES: usize = 16;

/// `__alignof__(struct _xt_align)`: 8, except on 32-bit x86.
const ALIGN: usize = align_of::<u64>();
/// `struct xt_entry_match` and `struct xt_entry_target`: size, name, revision.
const PART_BYTES: usize = 32;
const PART_NAME_BYTES: usize = 29;
/// `XT_RETURN`: `-NF_REPEAT - 1`. A verdict of xtables is a negative number, a jump is an offset.
const RETURN: i32 = -5;
const DROP: i32 = -crate::sys::uapi::NF_DROP - 1;

const fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

/// `struct ipt_entry` or `struct ip6t_entry`.
struct Layout {
    /// Where the protocol stands.
    protocol: usize,
    /// Where the flags stand that say that there is a protocol (IPv6 only).
    flags: Option<usize>,
    target_offset: usize,
    next_offset: usize,
    bytes: usize,
}

const V4: Layout = Layout {
    protocol: 80, // struct ipt_ip: 4 addresses, 2 interfaces, 2 masks: 16 + 32 + 32
    flags: None,
    target_offset: 88, // nfcache before it
    next_offset: 90,
    bytes: aligned(96) + COUNTERS_BYTES, // comefrom before the counters
};

const V6: Layout = Layout {
    protocol: 128,    // struct ip6t_ip6: 4 addresses, 2 interfaces, 2 masks: 64 + 32 + 32
    flags: Some(131), // u16 proto, u8 tos, u8 flags, u8 invflags
    target_offset: 140,
    next_offset: 142,
    bytes: aligned(148) + COUNTERS_BYTES,
};

/// `IP6T_F_PROTO`
const HAS_PROTOCOL: u8 = 1;

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

/// Whether the table has a chain of that name, with so many rules, and jumps to it from that many
/// places.
#[must_use]
pub fn has_chain(family: Family, entries: &[u8], chain: &Chain<'_>) -> bool {
    let Some(row) = Row::parse(family, entries) else {
        return false;
    };
    let Some((head, end)) = row.chain(chain.name) else {
        return false;
    };
    let start = row.entries.get(head + 1).map(|entry| entry.at);
    let jumps = row
        .entries
        .iter()
        .filter(|entry| entry.jump.is_some() && entry.jump == start)
        .count();
    // Between the entry with the name and the RETURN.
    end - head == chain.rules.len() + 2 && jumps == chain.hooks.len()
}

/// The table with our chain in place of the one of that name, if there is one, and jumps to it in
/// front of everything else in the hooks; without `rules`, the table without us. `None` if the table
/// is not what the kernel's headers say.
#[must_use]
pub fn with_chain(family: Family, info: &Info, entries: &[u8], chain: &Chain<'_>) -> Option<Table> {
    let row = Row::parse(family, entries)?;
    let ours = row.chain(chain.name);
    let start = ours
        .and_then(|(head, _)| row.entries.get(head + 1))
        .map(|entry| entry.at);
    let wanted = !chain.rules.is_empty();

    let mut new = Builder::default();
    let mut jumps = Vec::new();
    let last = row.entries.len().checked_sub(1)?;
    let mut our_start = None;
    for (i, entry) in row.entries.iter().enumerate() {
        let ours = ours.is_some_and(|(head, end)| (head..end).contains(&i))
            || (entry.jump.is_some() && entry.jump == start);
        for &hook in chain.hooks {
            if wanted && info.hook(hook)? == entry.at {
                new.hooks.push((hook, new.bytes.len()));
                jumps.push(new.bytes.len());
                new.push(None, &standard(family, &[], None, 0));
            }
        }
        if i == last && wanted {
            new.push(None, &error(family, chain.name));
            our_start = Some(new.bytes.len());
            for rule in chain.rules {
                new.push(None, &drop_entry(family, rule));
            }
            new.push(None, &standard(family, &[], None, RETURN));
        }
        new.moved.push((entry.at, new.bytes.len()));
        if !ours {
            new.push(Some(u32::try_from(i).ok()?), row.bytes(entry)?);
        }
    }
    new.relocate(&row, family)?;
    for at in jumps {
        new.set_verdict(family, at, our_start?)?;
    }
    new.finish(info)
}

/// A table taken apart.
struct Row<'a> {
    blob: &'a [u8],
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    at: usize,
    bytes: usize,
    /// Where it jumps to, if it does.
    jump: Option<usize>,
    /// The range of its name in the blob, if it begins a chain.
    name: Option<(usize, usize)>,
}

impl<'a> Row<'a> {
    fn parse(family: Family, blob: &'a [u8]) -> Option<Row<'a>> {
        let layout = layout(family);
        let mut entries = Vec::new();
        let mut at = 0;
        while at < blob.len() {
            let target = usize::from(read_u16(blob, at + layout.target_offset)?);
            let bytes = usize::from(read_u16(blob, at + layout.next_offset)?);
            let entry = blob.get(at..at.checked_add(bytes)?)?;
            if target < layout.bytes || bytes < target + PART_BYTES {
                return None;
            }
            let name = entry.get(target + 2..target + 2 + PART_NAME_BYTES)?;
            let (mut jump, mut chain) = (None, None);
            match until_nul(name) {
                b"" => {
                    let verdict = i32::from_ne_bytes(*entry.get(target + PART_BYTES..)?.first_chunk()?);
                    jump = usize::try_from(verdict).ok();
                }
                b"ERROR" => {
                    let text = until_nul(entry.get(target + PART_BYTES..)?);
                    let from = at + target + PART_BYTES;
                    chain = Some((from, from + text.len()));
                }
                _ => {}
            }
            entries.push(Entry {
                at,
                bytes,
                jump,
                name: chain,
            });
            at += bytes;
        }
        Some(Row { blob, entries })
    }

    fn bytes(&self, entry: &Entry) -> Option<&'a [u8]> {
        self.blob.get(entry.at..entry.at + entry.bytes)
    }

    /// The indices of a user's chain: of the entry with its name, and of the one behind its last.
    fn chain(&self, name: &str) -> Option<(usize, usize)> {
        let is_named = |entry: &Entry| {
            let found = entry.name.and_then(|(from, to)| self.blob.get(from..to));
            found == Some(name.as_bytes())
        };
        let head = self.entries.iter().position(is_named)?;
        let rest = self.entries.get(head + 1..)?;
        let next = rest.iter().position(|entry| entry.name.is_some())?;
        Some((head, head + 1 + next))
    }
}

impl Info {
    fn hook(&self, hook: u32) -> Option<usize> {
        if self.valid_hooks & 1_u32.checked_shl(hook)? == 0 {
            return None;
        }
        usize::try_from(*self.hook_entry.get(usize::try_from(hook).ok()?)?).ok()
    }
}

/// A table being put together.
#[derive(Default)]
struct Builder {
    bytes: Vec<u8>,
    origins: Vec<Option<u32>>,
    /// (old offset, new offset) of every old entry; for one that is gone, of what follows it.
    moved: Vec<(usize, usize)>,
    /// Where hooks begin that do not begin where they did.
    hooks: Vec<(u32, usize)>,
}

impl Builder {
    fn push(&mut self, origin: Option<u32>, entry: &[u8]) {
        self.bytes.extend_from_slice(entry);
        self.origins.push(origin);
    }

    fn new_offset(&self, old: usize) -> Option<usize> {
        let index = self.moved.binary_search_by_key(&old, |(old, _)| *old).ok()?;
        self.moved.get(index).map(|(_, new)| *new)
    }

    /// Lets the jumps of all old entries lead where they led.
    fn relocate(&mut self, row: &Row<'_>, family: Family) -> Option<()> {
        let mut at = 0;
        let mut places = Vec::new();
        for origin in &self.origins {
            let old = origin.and_then(|i| row.entries.get(usize::try_from(i).ok()?));
            if let Some(jump) = old.and_then(|entry| entry.jump) {
                places.push((at, self.new_offset(jump)?));
            }
            at += usize::from(read_u16(&self.bytes, at + layout(family).next_offset)?);
        }
        for (at, to) in places {
            self.set_verdict(family, at, to)?;
        }
        Some(())
    }

    fn set_verdict(&mut self, family: Family, at: usize, to: usize) -> Option<()> {
        let target = usize::from(read_u16(&self.bytes, at + layout(family).target_offset)?);
        let verdict = self
            .bytes
            .get_mut(at + target + PART_BYTES..)?
            .first_chunk_mut()?;
        *verdict = i32::try_from(to).ok()?.to_ne_bytes();
        Some(())
    }

    fn finish(self, old: &Info) -> Option<Table> {
        let mut info = Info {
            valid_hooks: old.valid_hooks,
            hook_entry: [0; HOOKS],
            underflow: [0; HOOKS],
            entries: u32::try_from(self.origins.len()).ok()?,
            bytes: u32::try_from(self.bytes.len()).ok()?,
        };
        for (i, hook) in (0_u32..).zip(0..HOOKS) {
            if old.valid_hooks & (1 << i) == 0 {
                continue;
            }
            let ours = self.hooks.iter().find(|(hook, _)| *hook == i).map(|(_, at)| *at);
            let entry = usize::try_from(*old.hook_entry.get(hook)?).ok()?;
            let underflow = usize::try_from(*old.underflow.get(hook)?).ok()?;
            *info.hook_entry.get_mut(hook)? = u32::try_from(ours.or(self.new_offset(entry))?).ok()?;
            *info.underflow.get_mut(hook)? = u32::try_from(self.new_offset(underflow)?).ok()?;
        }
        Some(Table {
            info,
            entries: self.bytes,
            origins: self.origins,
        })
    }
}

fn drop_entry(family: Family, rule: &DropRule) -> Vec<u8> {
    let mut matches = Vec::new();
    // First the port, which costs less than the set.
    if let Some((protocol, Some((first, last)))) = rule.only {
        // struct xt_tcp or xt_udp: source ports (any), destination ports; the rest is zero.
        let ports = [0, u16::MAX, first, last];
        let mut data: Vec<u8> = ports.iter().flat_map(|port| port.to_ne_bytes()).collect();
        let name = if protocol == crate::sys::uapi::IPPROTO_TCP {
            "tcp"
        } else {
            "udp"
        };
        data.resize(if name == "tcp" { 12 } else { 10 }, 0);
        matches.extend(part(name, 0, &data));
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
fn standard(family: Family, matches: &[u8], protocol: Option<u8>, verdict: i32) -> Vec<u8> {
    entry(family, matches, protocol, &part("", 0, &verdict.to_ne_bytes()))
}

fn error(family: Family, name: &str) -> Vec<u8> {
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

fn layout(family: Family) -> &'static Layout {
    match family {
        Family::V4 => &V4,
        Family::V6 => &V6,
    }
}

fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|b| *b == 0).next().unwrap_or_default()
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table as the kernel gives it: PREROUTING with a jump to a user's chain and one that falls
    /// through, OUTPUT, and the user's chain.
    fn table(family: Family) -> (Info, Vec<u8>) {
        let accept = -2;
        let plain = |verdict| standard(family, &[], None, verdict);
        let one = plain(0).len() as i32;
        let chain = 5 * one + error(family, "").len() as i32;
        let row = [
            plain(chain),   // 0: -A PREROUTING -j user
            plain(2 * one), // 1: -A PREROUTING, without a target
            plain(accept),  // 2: policy
            plain(chain),   // 3: -A OUTPUT -j user
            plain(accept),  // 4: policy
            error(family, "user"),
            plain(RETURN),
            error(family, "ERROR"),
        ];
        let at = |entry: i32| u32::try_from(entry * one).unwrap();
        let info = Info {
            valid_hooks: 1 | 1 << 3,
            hook_entry: [at(0), 0, 0, at(3), 0],
            underflow: [at(2), 0, 0, at(4), 0],
            entries: row.len() as u32,
            bytes: row.concat().len() as u32,
        };
        (info, row.concat())
    }

    const RULES: [DropRule; 2] = [
        DropRule { set: 3, only: None },
        DropRule {
            set: 4,
            only: Some((17, Some((5060, 5061)))),
        },
    ];

    fn ours(rules: &[DropRule]) -> Chain<'_> {
        Chain {
            name: "sipguard",
            hooks: &[0],
            rules,
        }
    }

    #[test]
    fn our_chain_goes_in_front_and_all_jumps_lead_where_they_led() {
        for family in [Family::V4, Family::V6] {
            let (info, entries) = table(family);
            assert!(!has_chain(family, &entries, &ours(&RULES)));
            let new = with_chain(family, &info, &entries, &ours(&RULES)).unwrap();
            assert!(has_chain(family, &new.entries, &ours(&RULES)));
            assert!(!has_chain(family, &new.entries, &ours(&RULES[..1])));
            let one = info.hook_entry[3] / 3;
            assert_eq!(new.info.valid_hooks, info.valid_hooks);
            assert_eq!(
                new.info.hook_entry,
                [0, 0, 0, 4 * one, 0],
                "OUTPUT moves by our jump"
            );
            assert_eq!(new.info.underflow, [3 * one, 0, 0, 5 * one, 0]);
            assert_eq!(
                new.info.entries,
                info.entries + 5,
                "jump, name, two rules, return"
            );
            assert_eq!(new.info.bytes as usize, new.entries.len());
            let origins: Vec<_> = new
                .origins
                .iter()
                .map(|origin| origin.map_or(-1, |i| i as i32))
                .collect();
            assert_eq!(origins, [-1, 0, 1, 2, 3, 4, 5, 6, -1, -1, -1, -1, 7]);
            let row = Row::parse(family, &new.entries).unwrap();
            let jumps: Vec<_> = row.entries.iter().map(|entry| entry.jump).collect();
            let to = |entry: usize| Some(row.entries[entry].at);
            assert_eq!(jumps[..5], [to(9), to(7), to(3), None, to(7)]);
        }
    }

    #[test]
    fn putting_it_in_again_changes_nothing_and_taking_it_out_restores_the_table() {
        for family in [Family::V4, Family::V6] {
            let (info, entries) = table(family);
            let once = with_chain(family, &info, &entries, &ours(&RULES)).unwrap();
            let twice = with_chain(family, &once.info, &once.entries, &ours(&RULES)).unwrap();
            assert_eq!((&twice.info, &twice.entries), (&once.info, &once.entries));
            let without = with_chain(family, &twice.info, &twice.entries, &ours(&[])).unwrap();
            assert_eq!((without.info, without.entries), (info, entries));
        }
    }

    #[test]
    fn counters_go_to_the_entries_they_came_from() {
        let (info, entries) = table(Family::V4);
        let new = with_chain(Family::V4, &info, &entries, &ours(&RULES)).unwrap();
        let old: Vec<u8> = (0..info.entries as u8)
            .flat_map(|i| [i + 1; COUNTERS_BYTES])
            .collect();
        let blob = add_counters("raw", &new, &old).unwrap();
        assert_eq!(blob[..4], *b"raw\0");
        assert_eq!(blob[32..36], new.info.entries.to_ne_bytes());
        let firsts: Vec<u8> = blob[ENTRIES_OFFSET..]
            .chunks(COUNTERS_BYTES)
            .map(|counters| counters[0])
            .collect();
        assert_eq!(firsts, [0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 8]);
    }

    #[test]
    fn an_entry_is_as_the_headers_lay_it_out() {
        let entry = drop_entry(Family::V4, &RULES[1]);
        assert_eq!(entry[80..82], 17_u16.to_ne_bytes(), "protocol in struct ipt_ip");
        let matches = &entry[V4.bytes..];
        assert_eq!(matches[..2], (aligned(32 + 10) as u16).to_ne_bytes());
        assert_eq!(matches[2..6], *b"udp\0");
        let ports: Vec<u8> = [0, u16::MAX, 5060, 5061]
            .iter()
            .flat_map(|port: &u16| port.to_ne_bytes())
            .collect();
        assert_eq!(matches[32..40], ports, "source and destination, of struct xt_udp");
        let set = &matches[aligned(42)..];
        assert_eq!(set[..2], 80_u16.to_ne_bytes());
        assert_eq!(set[2..6], *b"set\0");
        assert_eq!(set[31], 4, "revision");
        assert_eq!(
            set[32..36],
            [&4_u16.to_ne_bytes()[..], &[1, 2]].concat(),
            "number, dimension, source"
        );
        let target = usize::from(read_u16(&entry, V4.target_offset).unwrap());
        assert_eq!(target, V4.bytes + aligned(42) + 80);
        assert_eq!(entry[target + 32..target + 36], (-1_i32).to_ne_bytes(), "NF_DROP");
        assert_eq!(
            usize::from(read_u16(&entry, V4.next_offset).unwrap()),
            entry.len()
        );

        let entry = drop_entry(Family::V6, &RULES[1]);
        assert_eq!(
            entry[128..130],
            17_u16.to_ne_bytes(),
            "protocol in struct ip6t_ip6"
        );
        assert_eq!(entry[131], HAS_PROTOCOL);
        if ALIGN == 8 {
            assert_eq!(
                (V4.bytes, V6.bytes),
                (112, 168),
                "sizeof struct ipt_entry, ip6t_entry"
            );
        }
    }

    #[test]
    fn a_table_that_is_not_as_expected_is_left_alone() {
        let (info, entries) = table(Family::V4);
        for bytes in 0..entries.len() {
            // At the border of an entry a prefix is a table, though not one that the kernel would give.
            let _ = with_chain(Family::V4, &info, &entries[..bytes], &ours(&RULES));
        }
        let mut state = 1_u32;
        for _ in 0..20_000 {
            let mut broken = entries.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = state as usize % broken.len();
                broken[at] = (state >> 24) as u8;
            }
            if let Some(new) = with_chain(Family::V4, &info, &broken, &ours(&RULES)) {
                assert!(new.entries.len() <= broken.len() + 2_000);
            }
            let _ = has_chain(Family::V4, &broken, &ours(&RULES));
        }
        let mut looping = entries.clone();
        looping[V4.next_offset..V4.next_offset + 2].copy_from_slice(&[0, 0]);
        assert_eq!(with_chain(Family::V4, &info, &looping, &ours(&RULES)), None);
    }

    #[test]
    fn the_shape_of_a_table_is_read() {
        let words = [9, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 30, 31];
        let mut bytes = table_name("raw").unwrap().to_vec();
        bytes.extend(words.iter().flat_map(|word: &u32| word.to_ne_bytes()));
        let info = Info::parse(bytes.as_slice().try_into().unwrap()).unwrap();
        assert_eq!(info.valid_hooks, 9);
        assert_eq!(info.hook_entry, [10, 11, 12, 13, 14]);
        assert_eq!(info.underflow, [20, 21, 22, 23, 24]);
        assert_eq!((info.entries, info.bytes), (30, 31));
        assert_eq!(table_name(&"x".repeat(32)), None, "no room for its NUL");
    }
}
