//! The rules that make ipset's sets drop packets, in the tables of iptables and ip6tables.
//!
//! One chain `sipguard`, to which the first rule of `PREROUTING` in the table `raw` jumps, before
//! connection tracking. Where a kernel has no `raw`, it is `mangle`, and where it has none,
//! `INPUT` and `FORWARD` of `filter`. A rule of anybody else, and its counters, stay as they are.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use crate::firewall::layout::{Jail, Layout, Scope};
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

impl Iptables {
    /// Puts our chain into the best table there is. `None`: the machine has no such family.
    pub(super) fn install(family: Family, layout: &Layout) -> Result<Option<Iptables>, Fault> {
        let program = program(family);
        let xtables = match Xtables::open(family) {
            Ok(xtables) => xtables,
            Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => return Ok(None),
            Err(error) => return Err(Fault::new(format!("cannot ask {program} for its rules"), error)),
        };
        let rules = rules(&xtables, family, layout)
            .map_err(|error| Fault::new("cannot ask ipset for the numbers of our sets", error))?;
        let mut iptables = Iptables {
            xtables,
            family,
            table: 0,
            rules,
        };
        let mut missing = None;
        for (i, (table, _)) in TABLES.iter().enumerate() {
            iptables.table = i;
            match iptables.change(i, &iptables.rules) {
                Ok(()) => {
                    iptables.remove_but(Some(i))?;
                    return Ok(Some(iptables));
                }
                Err(error) if matches!(error.raw_os_error(), Some(ENOPROTOOPT | ENOENT)) => {
                    missing = Some(error)
                }
                Err(error) => return Err(iptables.cannot("put our rules into", table, error)),
            }
        }
        let error = missing.unwrap_or_else(|| io::Error::from_raw_os_error(ENOENT));
        let fault = Fault::new(format!("cannot put our rules into {program}"), error);
        Err(fault.hint(match family {
            Family::V4 => {
                "the kernel lacks ip_tables or xt_set: on OpenWrt install kmod-ipt-core, kmod-ipt-raw and \
                 iptables-mod-ipset, elsewhere modprobe iptable_raw and xt_set"
            }
            Family::V6 => {
                "the kernel lacks ip6_tables or xt_set: on OpenWrt install kmod-ip6tables and \
                 iptables-mod-ipset, elsewhere modprobe ip6table_raw and xt_set"
            }
        }))
    }

    /// Whether the chain and the jumps to it are there.
    pub(super) fn intact(&self) -> io::Result<bool> {
        let Some((table, hooks)) = TABLES.get(self.table) else {
            return Ok(false);
        };
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

    /// Takes our chain out of all tables that are in use.
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
            if keep != Some(i) && names.lines().any(|name| name == *table) {
                self.change(i, &[])
                    .map_err(|error| self.cannot("take our rules out of", table, error))?;
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
        let mut last = io::Error::from_raw_os_error(EAGAIN);
        for attempt in 0..LOCK_ATTEMPTS {
            if attempt > 0 {
                sleep(LOCK_PAUSE);
            }
            match self.change_once(table, &chain) {
                Err(error) if error.raw_os_error() == Some(EAGAIN) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    fn change_once(&self, table: &str, chain: &Chain<'_>) -> io::Result<()> {
        let _lock = XtablesLock::take()?;
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

/// How often, and after which pause, a table is tried that somebody else is changing. Start-up waits
/// for at most a fifth of a second, and only if another program is at it.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

fn program(family: Family) -> &'static str {
    match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    }
}

/// What our chain drops.
fn rules(xtables: &Xtables, family: Family, layout: &Layout) -> io::Result<Vec<DropRule>> {
    let mut rules = Vec::new();
    for jail in &layout.jails {
        for (_, name) in jail.sets().filter(|(of, _)| *of == family) {
            let set = xtables
                .set_number(name)?
                .ok_or_else(|| io::Error::from_raw_os_error(ENOENT))?;
            rules_of(jail, set, &mut rules);
        }
    }
    Ok(rules)
}

fn rules_of(jail: &Jail, set: u16, rules: &mut Vec<DropRule>) {
    match &jail.scope {
        Scope::Nothing => {}
        Scope::Everything => rules.push(DropRule { set, only: None }),
        Scope::Ports(all) => {
            rules.extend(all.iter().map(|ports| DropRule {
                set,
                only: Some((ports.protocol, ports.range)),
            }));
        }
    }
}
