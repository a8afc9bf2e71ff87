//! What stands in our table of nf_tables.
//!
//! ```text
//! table inet sipguard {
//!     set asterisk4 { type ipv4_addr; flags timeout; }
//!     set asterisk6 { type ipv6_addr; flags timeout; }
//!     set asterisk6net { type ipv6_addr; flags timeout; }
//!     set asterisk4n24 { type ipv4_addr; flags timeout; }        # with bannet = on, and 6n56, 6n48
//!     chain prerouting {
//!         type filter hook prerouting priority raw; policy accept;
//!         ip saddr @asterisk4 counter drop
//!         ip6 saddr @asterisk6 counter drop
//!         ip6 saddr & ffff:ffff:ffff:ffff:: @asterisk6net counter drop
//!         ip saddr & 255.255.255.0 @asterisk4n24 counter drop
//!     }
//!     chain tracked {
//!         type filter hook prerouting priority -199; policy accept;
//!         ct direction reply accept
//!         meta l4proto ipv6-icmp accept
//!         ip saddr @asterisk4b counter drop
//!         …
//!     }
//! }
//! ```
//! The second chain is for bans that are not proven, behind connection tracking: what answers flows that this box
//! opened has passed before any set is looked into. What is dropped there is never entered into the table of
//! connections. It is there only if a jail has such bans; where the kernel tracks nothing, they are dropped in the
//! first chain.
//!
//! A jail with ports jumps to a chain `asterisk-ports` of its own, so that a packet from elsewhere
//! pays for one lookup per jail. Sets have no size: some kernels reserve memory for all of it at
//! once, and all of them count elements that timed out until they collect them, so a set could be
//! full of nothing. The guard's table is the bound.

use crate::firewall::flood;
use crate::firewall::layout::{self, Jail, Layout, Ports, Scope};
use crate::firewall::transaction::Steps;
use crate::guard::Reach;
use crate::limits::SET_GC_INTERVAL_MS;
use crate::sys::uapi::{BEHIND_CONNTRACK, IPPROTO_ICMPV6, NF_IP_PRI_RAW};
use crate::wire::nft::{Family, Rule, Set};

const CHAIN: &str = "prerouting";
/// Behind connection tracking.
pub(super) const TRACKED: &str = "tracked";

/// Writes what stands in the table, but for the sets that are `kept`.
pub(super) fn write(steps: &mut Steps<'_, '_>, layout: &Layout, kept: &dyn Fn(&str) -> bool) {
    steps
        .step(format!("create chain {CHAIN} in"))
        .add_base_chain(CHAIN, NF_IP_PRI_RAW);
    if has_tracked(layout) {
        write_tracking(steps, drops_all_unproven(layout));
    }
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
                .add_rule(chain_of(layout, set), |rule| write_lookup(rule, set, ports));
        }
    }
    flood::write(steps, layout, None, id + 1);
}

/// Whether there are bans that are not proven and drop all protocols.
fn drops_all_unproven(layout: &Layout) -> bool {
    let mut jails = layout.jails.iter();
    jails.any(|jail| jail.scope == Scope::Everything && jail.sets().any(|set| set.reach == Reach::Opened))
}

/// Writes the chain behind connection tracking, without its sets. Of the protocols that may be dropped there ICMPv6
/// is one if `icmp` says so: it passes, because it carries neighbour discovery, whose answers are not tracked
/// (`nf_conntrack_icmpv6_error`).
pub(super) fn write_tracking(steps: &mut Steps<'_, '_>, icmp: bool) {
    steps
        .step(format!("create chain {TRACKED} in"))
        .add_base_chain(TRACKED, BEHIND_CONNTRACK);
    write_replies(steps, TRACKED);
    if icmp {
        steps
            .step(format!("create the rule for ICMPv6 in chain {TRACKED} of"))
            .add_rule(TRACKED, |rule| {
                rule.protocol(IPPROTO_ICMPV6);
                rule.accept_packet();
            });
    }
}

/// The rule that lets pass what answers us.
pub(super) fn write_replies(steps: &mut Steps<'_, '_>, chain: &str) {
    steps
        .step(format!("create the rule for replies in chain {chain} of"))
        .add_rule(chain, |rule| {
            rule.reply();
            rule.accept_packet();
        });
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
    let tracked = has_tracked(layout).then(|| TRACKED.to_owned());
    of_ports
        .map(ports_chain)
        .chain([CHAIN.to_owned()])
        .chain(tracked)
        .chain(flood::chains(layout))
}

fn has_tracked(layout: &Layout) -> bool {
    layout.tracks && layout.has(Reach::Opened)
}

/// The chain in which a set is looked into.
fn chain_of(layout: &Layout, set: &layout::Set) -> &'static str {
    if has_tracked(layout) && set.reach == Reach::Opened {
        TRACKED
    } else {
        CHAIN
    }
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
    let of_jails: usize = layout.jails.iter().map(of_jail).sum();
    let icmp = has_tracked(layout) && drops_all_unproven(layout);
    let tracked = usize::from(has_tracked(layout)) + usize::from(icmp);
    of_jails + tracked + flood::rules(layout, 2)
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
        Family::V4 => rule.source4_in(&set.name, set.prefix),
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
