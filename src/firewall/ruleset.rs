//! What stands in our table of nf_tables.
//!
//! ```text
//! table inet sipguard {
//!     set asterisk4 { type ipv4_addr; flags timeout; }
//!     set asterisk6 { type ipv6_addr; flags timeout; }
//!     set asterisk6net { type ipv6_addr; flags timeout; }
//!     chain prerouting {
//!         type filter hook prerouting priority raw; policy accept;
//!         ip saddr @asterisk4 counter drop
//!         ip6 saddr @asterisk6 counter drop
//!         ip6 saddr & ffff:ffff:ffff:ffff:: @asterisk6net counter drop
//!     }
//! }
//! ```
//! A jail with ports jumps to a chain `asterisk-ports` of its own, so that a packet from elsewhere
//! pays for one lookup per jail. Sets have no size: some kernels reserve memory for all of it at
//! once, and all of them count elements that timed out until they collect them, so a set could be
//! full of nothing. The guard's table is the bound.

use crate::firewall::layout::{self, Jail, Layout, Ports, Scope};
use crate::firewall::transaction::Steps;
use crate::limits::SET_GC_INTERVAL_MS;
use crate::wire::nft::{Family, Rule, Set};

const CHAIN: &str = "prerouting";

/// Writes what stands in the table, but for the sets that are `kept`.
pub(super) fn write(steps: &mut Steps<'_, '_>, layout: &Layout, kept: &dyn Fn(&str) -> bool) {
    steps
        .step(format!("create chain {CHAIN} in"))
        .add_base_chain(CHAIN);
    let mut id = 0;
    for jail in &layout.jails {
        for wanted in jail.sets().filter(|set| !kept(&set.name)) {
            id += 1;
            let name = &wanted.name;
            steps
                .step(format!("create set {name} in"))
                .add_set(&set(wanted), id);
        }
        let ports = write_ports(steps, jail);
        for set in jail.sets() {
            let ports = ports.as_deref();
            steps
                .step(format!("create the rule for set {} in", set.name))
                .add_rule(CHAIN, |rule| write_lookup(rule, set, ports));
        }
    }
}

/// A set as nf_tables has it. What its elements are networks of stands in a comment, because nothing else of
/// the set says it: one with networks of another length must not be taken for it.
pub(super) fn set(set: &layout::Set) -> Set<'_> {
    Set {
        name: &set.name,
        family: set.family,
        gc_interval_ms: SET_GC_INTERVAL_MS,
        comment: set.networks.as_deref(),
    }
}

/// The names of all chains.
pub(super) fn chains(layout: &Layout) -> impl Iterator<Item = String> {
    let of_ports = layout
        .jails
        .iter()
        .filter(|jail| matches!(jail.scope, Scope::Ports(_)));
    of_ports.map(ports_chain).chain([CHAIN.to_owned()])
}

/// The name of the chain of a jail with ports.
fn ports_chain(jail: &Jail) -> String {
    format!("{}-ports", jail.name)
}

/// How many rules the table has.
pub(super) fn rules(layout: &Layout) -> usize {
    let of_jail = |jail: &Jail| match &jail.scope {
        Scope::Nothing | Scope::Everything => jail.sets().count(),
        Scope::Ports(all) => jail.sets().count() + all.len(),
    };
    layout.jails.iter().map(of_jail).sum()
}

/// The chain of a jail with ports, if it is one.
fn write_ports(steps: &mut Steps<'_, '_>, jail: &Jail) -> Option<String> {
    let Scope::Ports(all) = &jail.scope else {
        return None;
    };
    let chain = ports_chain(jail);
    steps.step(format!("create chain {chain} in")).add_chain(&chain);
    for ports in all {
        steps
            .step(format!("create a rule in chain {chain} of"))
            .add_rule(&chain, |rule| write_drop(rule, *ports));
    }
    Some(chain)
}

fn write_lookup(rule: &mut Rule<'_, '_>, set: &layout::Set, ports: Option<&str>) {
    rule.family(set.family);
    match set.family {
        Family::V4 => rule.source4_in(&set.name),
        Family::V6 => rule.source6_in(&set.name, set.prefix),
    }
    match ports {
        Some(chain) => rule.jump(chain),
        None => {
            rule.counter();
            rule.drop_packet();
        }
    }
}

fn write_drop(rule: &mut Rule<'_, '_>, ports: Ports) {
    rule.protocol(ports.protocol);
    if let Some((first, last)) = ports.range {
        rule.destination_port(first, last);
    }
    rule.counter();
    rule.drop_packet();
}
