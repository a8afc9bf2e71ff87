//! A table with a chain of ours put into it or taken out of it.

use super::entry::{PART_BYTES, PART_NAME_BYTES, RETURN, error, layout, rule_entry, standard};
use super::{Chain, HOOKS, Info, Table, read_u16};
use crate::wire::nft::Family;

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
                new.push(None, &rule_entry(family, rule));
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
pub(super) struct Row<'a> {
    blob: &'a [u8],
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: usize,
    bytes: usize,
    /// Where it jumps to, if it does.
    pub(super) jump: Option<usize>,
    /// The range of its name in the blob, if it begins a chain.
    name: Option<(usize, usize)>,
}

impl<'a> Row<'a> {
    pub(super) fn parse(family: Family, blob: &'a [u8]) -> Option<Row<'a>> {
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

fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|b| *b == 0).next().unwrap_or_default()
}
