//! The rules that make ipset's sets drop packets, in the tables of iptables and ip6tables.
//!
//! One chain `sipguard`, to which the first rule of `PREROUTING` in the table `raw` jumps, before
//! connection tracking. Where a kernel has no `raw`, it is `mangle`, and where it has none,
//! `INPUT` and `FORWARD` of `filter`. A rule of anybody else, and its counters, stay as they are.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use crate::sys::Fault;
use crate::sys::uapi::{
    EAFNOSUPPORT, EAGAIN, ENOENT, ENOPROTOOPT, NF_INET_FORWARD, NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING,
};
use crate::sys::xtables::{Xtables, XtablesLock};
use crate::wire::nft::Family;
use crate::wire::xtables::{Chain, DropRule, has_chain, with_chain};

const CHAIN: &str = "sipguard";

/// Tables to try, best first, and their hooks.
const TABLES: [(&str, &[u32]); 3] = [
    ("raw", &[NF_INET_PRE_ROUTING]),
    ("mangle", &[NF_INET_PRE_ROUTING]),
    ("filter", &[NF_INET_LOCAL_IN, NF_INET_FORWARD]),
];

/// Our chain in the tables of one family.
#[derive(Debug)]
pub(super) struct Iptables {
    xtables: Xtables,
    family: Family,
    /// Which of [`TABLES`] has our chain.
    table: usize,
    rules: Vec<DropRule>,
}

/// Why our chain is not in a table.
#[derive(Debug)]
pub(super) enum NotInstalled {
    /// The machine has no such family, so no such packets come.
    NoFamily,
    /// The kernel has no iptables, or not the match for sets.
    Missing(Fault),
    /// It would not take our chain.
    Refused(Fault),
}

impl Iptables {
    /// Puts our chain into the best table there is. Whoever calls holds the lock.
    pub(super) fn install(family: Family, rules: &[DropRule]) -> Result<Iptables, NotInstalled> {
        let program = program(family);
        let xtables = match Xtables::open(family) {
            Ok(xtables) => xtables,
            Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => return Err(NotInstalled::NoFamily),
            Err(error) => {
                let fault = Fault::new(format!("cannot ask {program} for its rules"), error);
                return Err(NotInstalled::Refused(fault));
            }
        };
        let mut iptables = Iptables {
            xtables,
            family,
            table: 0,
            rules: rules.to_vec(),
        };
        let mut missing = io::Error::from_raw_os_error(ENOENT);
        for (i, (table, _)) in TABLES.iter().enumerate() {
            iptables.table = i;
            match iptables.change(i, rules) {
                Ok(()) => {
                    iptables.remove_but(Some(i)).map_err(NotInstalled::Refused)?;
                    return Ok(iptables);
                }
                Err(error) if is_missing(&error) => missing = error,
                Err(error) => {
                    return Err(NotInstalled::Refused(iptables.cannot(
                        "put our rules into",
                        table,
                        error,
                    )));
                }
            }
        }
        let fault = Fault::new(format!("cannot put our rules into {program}"), missing);
        Err(NotInstalled::Missing(fault.hint(match family {
            Family::V4 => {
                "the kernel lacks ip_tables or xt_set: on OpenWrt install kmod-ipt-core, kmod-ipt-raw and \
                 kmod-ipt-ipset, elsewhere modprobe iptable_raw and xt_set"
            }
            Family::V6 => {
                "the kernel lacks ip6_tables or xt_set: on OpenWrt install kmod-ip6tables and \
                 kmod-ipt-ipset, elsewhere modprobe ip6table_raw and xt_set"
            }
        })))
    }

    /// Whether the chain and the jumps to it are there.
    pub(super) fn intact(&self) -> io::Result<bool> {
        let Some((table, hooks)) = TABLES.get(self.table) else {
            return Ok(false);
        };
        if self.rules.is_empty() {
            return Ok(true);
        }
        let (_, entries) = self.xtables.read(table)?;
        Ok(has_chain(
            self.family,
            &entries,
            &Chain {
                name: CHAIN,
                hooks,
                rules: &self.rules,
            },
        ))
    }

    /// Takes our chain out of all tables that are in use, and with it every jump to it, whoever made
    /// it. Whoever calls holds the lock.
    pub(super) fn remove(family: Family) -> Result<(), Fault> {
        let Ok(xtables) = Xtables::open(family) else {
            return Ok(());
        };
        Iptables {
            xtables,
            family,
            table: 0,
            rules: Vec::new(),
        }
        .remove_but(None)
    }

    fn remove_but(&self, keep: Option<usize>) -> Result<(), Fault> {
        let names = self.xtables.tables_in_use();
        for (i, (table, _)) in TABLES.iter().enumerate() {
            let in_use = names
                .as_ref()
                .map(|names| names.lines().any(|name| name == *table));
            if keep == Some(i) || in_use == Some(false) {
                continue;
            }
            match self.change(i, &[]) {
                Err(error) if in_use.is_none() && is_missing(&error) => {}
                done => done.map_err(|error| self.cannot("take our rules out of", table, error))?,
            }
        }
        Ok(())
    }

    /// Puts a chain of these rules in place of ours; none if there are none.
    fn change(&self, table: usize, rules: &[DropRule]) -> io::Result<()> {
        let Some((table, hooks)) = TABLES.get(table) else {
            return Ok(());
        };
        let chain = Chain {
            name: CHAIN,
            hooks,
            rules,
        };
        let mut changed = self.change_once(table, &chain);
        for _ in 1..CHANGE_ATTEMPTS {
            match changed {
                Err(error) if error.raw_os_error() == Some(EAGAIN) => {}
                other => return other,
            }
            changed = self.change_once(table, &chain);
        }
        changed
    }

    fn change_once(&self, table: &str, chain: &Chain<'_>) -> io::Result<()> {
        let (info, entries) = self.xtables.read(table)?;
        let new = with_chain(self.family, &info, &entries, chain)
            .ok_or_else(|| io::Error::other("the kernel's table is not as expected"))?;
        if new.entries == entries {
            return Ok(());
        }
        self.xtables.replace(table, &new, info.entries)
    }

    fn cannot(&self, what: &str, table: &str, error: io::Error) -> Fault {
        Fault::new(
            format!("cannot {what} table {table} of {}", program(self.family)),
            error,
        )
    }
}

/// Whether the kernel does not have this table.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOPROTOOPT | ENOENT))
}

/// The table that our chain would go into.
pub(super) fn best_table(family: Family) -> io::Result<&'static str> {
    let xtables = Xtables::open(family)?;
    let mut result = Err(io::Error::from_raw_os_error(ENOPROTOOPT));
    for (table, _) in TABLES {
        result = xtables.read(table).map(|_| table);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Takes the lock that keeps iptables(8) out. If somebody has it, waits if `patient`, at most a fifth
/// of a second.
pub(super) fn lock(patient: bool) -> Result<XtablesLock, Fault> {
    let mut taken = XtablesLock::take();
    for _ in 0..if patient { LOCK_ATTEMPTS } else { 0 } {
        if taken.is_ok() {
            break;
        }
        sleep(LOCK_PAUSE);
        taken = XtablesLock::take();
    }
    taken.map_err(|error| {
        Fault::new("cannot change iptables", error)
            .hint("another program is at it and holds /run/xtables.lock")
    })
}

const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// How often a table is read and changed that somebody else changes without taking the lock.
const CHANGE_ATTEMPTS: u32 = 10;

fn program(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}
