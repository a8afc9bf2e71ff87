//! The rules that make ipset's sets drop packets, in the tables of iptables and ip6tables.
//!
//! One chain `sipguard`, to which the first rule of `PREROUTING` in the table `raw` jumps, before
//! connection tracking. Where a kernel has no `raw`, it is `mangle`, and where it has none,
//! `INPUT` and `FORWARD` of `filter`. For bans that are not proven there is one more chain of that name, in
//! `mangle` or `filter`: behind connection tracking, so that what answers flows of ours passes. A rule of anybody else, and its counters, stay as they are.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use crate::sys::Fault;
use crate::sys::uapi::{
    EAFNOSUPPORT, EAGAIN, ENOENT, ENOPROTOOPT, NF_INET_FORWARD, NF_INET_LOCAL_IN, NF_INET_PRE_ROUTING,
};
use crate::sys::xtables::{Xtables, XtablesLock};
use crate::wire::nft::Family;
use crate::wire::xtables::{Chain, DropRule, LimitRule, Rule, has_chain, with_chain};

const CHAIN: &str = "sipguard";

/// Tables to try, best first, and their hooks.
const TABLES: [(&str, &[u32]); 3] = [
    ("raw", &[NF_INET_PRE_ROUTING]),
    ("mangle", &[NF_INET_PRE_ROUTING]),
    ("filter", &[NF_INET_LOCAL_IN, NF_INET_FORWARD]),
];

/// The first of [`TABLES`] behind connection tracking.
const BEHIND: usize = 1;

/// What our rules drop.
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// Every packet.
    pub(super) whole: Vec<DropRule>,
    /// Packets of flows that the source opened.
    pub(super) opened: Vec<DropRule>,
    /// Of such flows what is too much of one source.
    pub(super) limits: Vec<LimitRule>,
}

impl Drops {
    /// Whether what is dropped behind connection tracking would be ICMPv6, too. It passes, because it carries
    /// neighbour discovery, whose answers are not tracked.
    pub(super) fn passes_icmp(&self, family: Family) -> bool {
        family == Family::V6 && self.opened.iter().any(|rule| rule.only.is_none())
    }
}

/// The rules of our chain in each of [`TABLES`]; none, no chain.
type Plan = [Vec<Rule>; TABLES.len()];

/// A way to have it all.
#[derive(Debug, Default)]
struct Way {
    plan: Plan,
    /// The kernel does not track connections: answers to us are dropped, too.
    stateless: bool,
    /// With [`Drops::limits`], if there are any.
    limits: bool,
}

/// Our chains in the tables of one family.
#[derive(Debug)]
pub(super) struct Iptables {
    xtables: Xtables,
    family: Family,
    way: Way,
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
    /// Puts our chains into the best tables there are. Whoever calls holds the lock.
    pub(super) fn install(family: Family, drops: &Drops) -> Result<Iptables, NotInstalled> {
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
            way: Way::default(),
        };
        let mut missing = io::Error::from_raw_os_error(ENOENT);
        for way in ways(drops, family) {
            iptables.way = way;
            match iptables.carry_out() {
                Ok(()) => {
                    iptables
                        .remove_but(&iptables.way.plan)
                        .map_err(NotInstalled::Refused)?;
                    return Ok(iptables);
                }
                Err((_, error)) if is_missing(&error) => missing = error,
                Err((table, error)) => {
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

    /// Whether the chains and the jumps to them are there.
    pub(super) fn intact(&self) -> io::Result<bool> {
        for ((table, hooks), rules) in TABLES.iter().zip(&self.way.plan) {
            let chain = Chain {
                name: CHAIN,
                hooks,
                rules,
            };
            if !rules.is_empty() && !has_chain(self.family, &self.xtables.read(table)?.1, &chain) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether answers to us are dropped, too, because the kernel does not track connections.
    pub(super) fn is_stateless(&self) -> bool {
        self.way.stateless
    }

    /// Whether all that is to be limited is.
    pub(super) fn has_limits(&self) -> bool {
        self.way.limits
    }

    /// Takes our chain out of all tables that are in use, and with it every jump to it, whoever made
    /// it. Whoever calls holds the lock.
    pub(super) fn remove(family: Family) -> Result<(), Fault> {
        let Ok(xtables) = Xtables::open(family) else {
            return Ok(());
        };
        let iptables = Iptables {
            xtables,
            family,
            way: Way::default(),
        };
        iptables.remove_but(&iptables.way.plan)
    }

    /// Puts our chains where they shall be. Fails with the table that is not as it must be.
    fn carry_out(&self) -> Result<(), (&'static str, io::Error)> {
        for (i, ((table, _), rules)) in TABLES.iter().zip(&self.way.plan).enumerate() {
            if !rules.is_empty() {
                self.change(i, rules).map_err(|error| (*table, error))?;
            }
        }
        Ok(())
    }

    fn remove_but(&self, keep: &Plan) -> Result<(), Fault> {
        let names = self.xtables.tables_in_use();
        for (i, ((table, _), rules)) in TABLES.iter().zip(keep).enumerate() {
            let in_use = names
                .as_ref()
                .map(|names| names.lines().any(|name| name == *table));
            if !rules.is_empty() || in_use == Some(false) {
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
    fn change(&self, table: usize, rules: &[Rule]) -> io::Result<()> {
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

/// The ways to have it all, best first: rather no limits than other tables, which may be too late for bans.
fn ways(drops: &Drops, family: Family) -> impl Iterator<Item = Way> {
    (0..TABLES.len()).flat_map(move |table| ways_in(drops, family, table))
}

/// The ways to have what is dropped whole in that table.
fn ways_in(drops: &Drops, family: Family, table: usize) -> Vec<Way> {
    let drop_all = |rules: &[DropRule]| rules.iter().copied().map(Rule::Drop).collect::<Vec<_>>();
    let way = |behind: Option<usize>, limits: bool| {
        let mut plan = Plan::default();
        for (i, rules) in plan.iter_mut().enumerate() {
            if i == table {
                *rules = drop_all(&drops.whole);
            }
            if behind == Some(i) {
                rules.push(Rule::PassReplies);
                rules.extend(drops.passes_icmp(family).then_some(Rule::PassIcmp6));
            }
            if behind.unwrap_or(table) == i {
                rules.extend(drop_all(&drops.opened));
            }
            if limits && behind == Some(i) {
                rules.push(Rule::PassLoopback);
                rules.extend(drops.limits.iter().cloned().map(Rule::Limit));
            }
        }
        Way {
            plan,
            stateless: behind.is_none() && !drops.opened.is_empty(),
            limits: limits || drops.limits.is_empty(),
        }
    };
    let tables = || (BEHIND.max(table)..TABLES.len()).map(Some);
    let mut ways = Vec::new();
    if !drops.limits.is_empty() {
        ways.extend(tables().map(|behind| way(behind, true)));
    }
    if !drops.opened.is_empty() {
        ways.extend(tables().map(|behind| way(behind, false)));
    }
    ways.push(way(None, false));
    ways
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nft::Limit;

    /// The ways to have what is dropped whole in that table: rules by table, each a letter; a `!` behind those that
    /// drop answers, and a `-` behind those without limits.
    #[track_caller]
    fn check(family: Family, (opened, limits): (usize, usize), table: usize, want: &[&str]) {
        let rule = DropRule { set: 1, only: None };
        let limit = LimitRule {
            name: "sipguard-x".into(),
            only: (17, (5060, 5061)),
            limit: Limit {
                per_second: 1,
                burst: 1,
                idle_ms: 1,
                sources: 1,
            },
        };
        let drops = Drops {
            whole: vec![rule; 2],
            opened: vec![rule; opened],
            limits: vec![limit; limits],
        };
        let shown: Vec<_> = ways_in(&drops, family, table)
            .into_iter()
            .map(|way| {
                let tables = way.plan.map(|rules| {
                    let letters = rules.iter().map(|rule| match rule {
                        Rule::PassReplies => 'P',
                        Rule::PassIcmp6 => 'I',
                        Rule::PassLoopback => 'o',
                        Rule::Drop(_) => 'D',
                        Rule::Limit(_) => 'L',
                    });
                    letters.collect::<String>()
                });
                let stateless = if way.stateless { "!" } else { "" };
                let unlimited = if way.limits { "" } else { "-" };
                tables.join(",") + stateless + unlimited
            })
            .collect();
        assert_eq!(shown, want);
    }

    #[test]
    fn unproven_bans_are_looked_at_behind_connection_tracking_if_there_is_any() {
        let (v4, v6) = (Family::V4, Family::V6);
        check(v4, (0, 0), 0, &["DD,,"]);
        check(v6, (0, 0), 2, &[",,DD"]);
        check(v4, (1, 0), 0, &["DD,PD,", "DD,,PD", "DDD,,!"]);
        check(v4, (1, 0), 1, &[",DDPD,", ",DD,PD", ",DDD,!"]);
        check(v6, (1, 0), 2, &[",,DDPID", ",,DDD!"]);
    }

    #[test]
    fn limits_stand_behind_replies_or_nowhere() {
        check(Family::V4, (0, 1), 0, &["DD,PoL,", "DD,,PoL", "DD,,-"]);
        check(
            Family::V4,
            (1, 2),
            0,
            &["DD,PDoLL,", "DD,,PDoLL", "DD,PD,-", "DD,,PD-", "DDD,,!-"],
        );
    }
}
