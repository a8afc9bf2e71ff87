//! Our table of nf_tables as it is found: what an earlier run, or somebody's harm, has left of it.
//!
//! Sets that are as they shall be are kept with their elements, so that no ban is out of force for an instant;
//! everything else is replaced in the same transaction.

use std::io;

use crate::firewall::layout::{Layout, Set};
use crate::firewall::ruleset;
use crate::firewall::transaction::{self, PROTECTED, Rejection, Standing};
use crate::limits::DUMP_ROUNDS;
use crate::sys::kernel_is_at_least;
use crate::sys::netlink::Netlink;
use crate::sys::uapi::{EINTR, ENOENT, NFT_SET_TIMEOUT, NFT_TABLE_F_PERSIST};
use crate::wire::nft::{self, SetSeen, Table};

/// What stands in a table.
#[derive(Debug, Default)]
struct Found {
    flags: u32,
    chains: Vec<String>,
    /// Each with whether it is one of ours, as it shall be.
    sets: Vec<(String, bool)>,
}

/// Makes the table of what is there, if that can be done; `None`: it has to be made anew.
pub(super) fn adopt(
    netlink: &mut Netlink,
    room: &mut [u8],
    table: Table,
    wish: Standing,
    layout: &Layout,
) -> Option<Standing> {
    let found = look(netlink, room, table, layout).ok().flatten()?;
    let standing = match (found.flags, wish) {
        // Ours, or an orphan that the kernel kept; or another process's, which the kernel will say.
        (PROTECTED | NFT_TABLE_F_PERSIST, Standing::Protected) => Standing::Protected,
        // A plain table cannot become a protected one.
        (0, Standing::Protected) if kernel_is_at_least(6, 9) => return None,
        (0, Standing::Protected | Standing::Plain) => Standing::Plain,
        _ => return None,
    };
    transform(netlink, table, standing, layout, &found)
        .is_ok()
        .then_some(standing)
}

fn transform(
    netlink: &mut Netlink,
    table: Table,
    standing: Standing,
    layout: &Layout,
    found: &Found,
) -> Result<(), Rejection> {
    let kept = |name: &str| found.sets.iter().any(|(set, ours)| *ours && set == name);
    transaction::run(netlink, table, &|steps| {
        steps.step("adopt").add_table(standing.flags());
        steps.step("replace the rules of").delete_rules();
        for chain in &found.chains {
            if !ruleset::chains(layout).any(|wanted| wanted == *chain) {
                steps
                    .step(format!("remove chain {chain} from"))
                    .delete_chain(chain);
            }
        }
        for (set, ours) in &found.sets {
            if !ours {
                steps.step(format!("remove set {set} from")).delete_set(set);
            }
        }
        ruleset::write(steps, layout, &kept);
    })
}

/// What there is; `None` if there is no such table.
fn look(netlink: &mut Netlink, room: &mut [u8], table: Table, layout: &Layout) -> io::Result<Option<Found>> {
    let mut found = Found::default();
    let seq = netlink.sequence(0);
    let question = nft::ask_table(room, seq, table).unwrap_or_default();
    let asked = netlink.ask(question, seq, &mut |message| {
        found.flags = nft::table_flags(message).unwrap_or(found.flags);
    });
    match asked {
        Err(error) if error.raw_os_error() == Some(ENOENT) => return Ok(None),
        other => other?,
    }
    undisturbed(&mut || {
        found.chains.clear();
        let seq = netlink.sequence(0);
        let question = nft::ask_chains(room, seq, table).unwrap_or_default();
        netlink.ask(question, seq, &mut |message| {
            let name = nft::chain_name(message, table);
            found.chains.extend(name.map(str::to_owned));
        })
    })?;
    undisturbed(&mut || {
        found.sets.clear();
        let seq = netlink.sequence(0);
        let question = nft::ask_sets(room, seq, table).unwrap_or_default();
        netlink.ask(question, seq, &mut |message| {
            let set = nft::set_seen(message);
            found
                .sets
                .extend(set.map(|seen| (seen.name.to_owned(), is_as_wanted(&seen, layout))));
        })
    })?;
    Ok(Some(found))
}

fn is_as_wanted(seen: &SetSeen<'_>, layout: &Layout) -> bool {
    let as_set = |set: &Set| {
        let wanted = ruleset::set(set);
        let (key_type, key_bytes) = wanted.key();
        SetSeen {
            name: wanted.name,
            flags: NFT_SET_TIMEOUT,
            key_type,
            key_bytes,
            timeout_ms: 0,
            gc_interval_ms: wanted.gc_interval_ms,
            size: 0,
            comment: wanted.comment,
        } == *seen
    };
    layout.sets().any(|(_, set)| as_set(set))
}

/// Reads a dump, again and again until nobody changes nf_tables meanwhile.
pub(super) fn undisturbed(dump: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut result = dump();
    for _ in 1..DUMP_ROUNDS {
        match result {
            Err(error) if error.raw_os_error() == Some(EINTR) => result = dump(),
            other => return other,
        }
    }
    result
}
