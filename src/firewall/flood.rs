//! In a flood of forged sources: how much the kernel takes of each source at a jail's ports.
//!
//! ```text
//! table inet sipguard {
//!     set asterisk4f { type ipv4_addr; size 32768; flags dynamic,timeout; }
//!     set asterisk6f { type ipv6_addr; size 32768; flags dynamic,timeout; }
//!     chain flood {
//!         type filter hook prerouting priority -198; policy accept;
//!         ct direction reply accept
//!         iif "lo" accept
//!         udp dport 5060-5061 jump asterisk-flood
//!     }
//!     chain asterisk-flood {
//!         update @asterisk4f { ip saddr timeout 3s limit rate over 30/second burst 60 packets } counter drop
//!         update @asterisk6f { ip6 saddr & ffff:ffff:ffff:ffff:: timeout 3s limit rate over … } counter drop
//!     }
//! }
//! ```
//! It stands behind the bans: who is banned takes no room in the sets. What answers flows that this box opened is not
//! limited, and nothing is where the kernel tracks no connections: to forge the trunk's address must not pay.
//! With iptables it is a rule of the match hashlimit in the chain behind connection tracking.

use crate::firewall::layout::{Jail, Layout, Scope};
use crate::firewall::ruleset;
use crate::firewall::transaction::Steps;
use crate::guard::JailId;
use crate::limits::{
    FLOOD_PACKETS_BURST, FLOOD_PACKETS_PER_SECOND, FLOOD_SOURCE_SECONDS, FLOOD_SOURCES_MAX, SIP_PORTS,
};
use crate::sys::uapi::{BEHIND_CONNTRACK, IPPROTO_TCP, IPPROTO_UDP};
use crate::wire::nft::{Family, Limit, Set};
use crate::wire::xtables::LimitRule;

/// How much passes.
const LIMIT: Limit = Limit {
    per_second: FLOOD_PACKETS_PER_SECOND,
    burst: FLOOD_PACKETS_BURST,
    idle_ms: FLOOD_SOURCE_SECONDS * 1_000,
    sources: FLOOD_SOURCES_MAX,
};

const CHAIN: &str = "flood";

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A protocol, and a range of its destination ports.
type Port = (u8, (u16, u16));

/// At which ports a jail's sources are limited: those that it blocks. Where it blocks all of a protocol, or
/// everything, SIP's: a limit that fits SIP would cut off speech.
fn ports(jail: &Jail) -> Vec<Port> {
    let mut ports = Vec::new();
    match &jail.scope {
        Scope::Nothing => {}
        Scope::Everything => ports.extend([IPPROTO_TCP, IPPROTO_UDP].map(|protocol| (protocol, SIP_PORTS))),
        Scope::Ports(all) => ports.extend(
            all.iter()
                .map(|ports| (ports.protocol, ports.range.unwrap_or(SIP_PORTS))),
        ),
    }
    ports
}

/// The jails of those numbers that block something.
fn jails<'l>(layout: &'l Layout, numbers: &'l [JailId]) -> impl Iterator<Item = &'l Jail> {
    let jails = numbers
        .iter()
        .filter_map(|jail| layout.jails.get(usize::from(jail.0)));
    jails.filter(|jail| jail.scope != Scope::Nothing)
}

/// The chain of a jail; no other chain has that end.
fn chain(jail: &Jail) -> String {
    format!("{}-flood", jail.name)
}

/// The set of a jail's sources; no other set has that end.
fn set(jail: &Jail, family: Family) -> String {
    match family {
        Family::V4 => format!("{}4f", jail.name),
        Family::V6 => format!("{}6f", jail.name),
    }
}

/// The names of all chains for that.
pub(super) fn chains(layout: &Layout) -> impl Iterator<Item = String> {
    let of_jails = jails(layout, &layout.limited).map(chain);
    let all = is_any(layout, &layout.limited).then(|| CHAIN.to_owned());
    of_jails.chain(all)
}

fn is_any(layout: &Layout, numbers: &[JailId]) -> bool {
    jails(layout, numbers).next().is_some()
}

/// How many rules there are for that, in a table of so many families.
pub(super) fn rules(layout: &Layout, families: usize) -> usize {
    let of_jail = |jail| ports(jail).len() + families;
    match is_any(layout, &layout.limited) {
        true => 2 + jails(layout, &layout.limited).map(of_jail).sum::<usize>(),
        false => 0,
    }
}

/// Writes all that, into a table that sees one family or both. Sets are numbered from `id` on.
pub(super) fn write(steps: &mut Steps<'_, '_>, layout: &Layout, only: Option<Family>, mut id: u32) {
    if !is_any(layout, &layout.limited) {
        return;
    }
    steps
        .step(format!("create chain {CHAIN} in"))
        .add_base_chain(CHAIN, BEHIND_CONNTRACK + 1);
    ruleset::write_replies(steps, CHAIN);
    steps
        .step(format!("create the rule for loopback in chain {CHAIN} of"))
        .add_rule(CHAIN, |rule| {
            rule.loopback();
            rule.accept_packet();
        });
    for jail in jails(layout, &layout.limited) {
        let chain = chain(jail);
        steps.step(format!("create chain {chain} in")).add_chain(&chain);
        for family in FAMILIES {
            if only.is_some_and(|only| only != family) {
                continue;
            }
            let name = set(jail, family);
            let wanted = Set {
                name: &name,
                family,
                gc_interval_ms: 1_000,
                comment: None,
            };
            steps
                .step(format!("create set {name} in"))
                .add_dynamic_set(&wanted, id, LIMIT.sources);
            id += 1;
            steps
                .step(format!("create the rule for set {name} in"))
                .add_rule(&chain, |rule| {
                    // In a table of one family nft(8) cannot show that.
                    if only.is_none() {
                        rule.family(family);
                    }
                    rule.source_over(family, &name, &LIMIT);
                    rule.counter();
                    rule.drop_packet();
                });
        }
        for (protocol, (first, last)) in ports(jail) {
            steps
                .step(format!("create a rule in chain {CHAIN} of"))
                .add_rule(CHAIN, |rule| {
                    rule.protocol(protocol);
                    rule.destination_port(first, last);
                    rule.jump(&chain);
                });
        }
    }
}

/// Removes what [`write`] wrote for those jails, from a table of both families.
pub(super) fn remove(steps: &mut Steps<'_, '_>, layout: &Layout, before: &[JailId]) {
    if !is_any(layout, before) {
        return;
    }
    let mut flush = |chain: &str| {
        steps
            .step(format!("empty chain {chain} of"))
            .delete_rules_of(chain);
        steps
            .step(format!("remove chain {chain} from"))
            .delete_chain(chain);
    };
    flush(CHAIN);
    jails(layout, before).for_each(|jail| flush(&chain(jail)));
    for set in jails(layout, before).flat_map(|jail| FAMILIES.map(|family| set(jail, family))) {
        steps.step(format!("remove set {set} from")).delete_set(&set);
    }
}

/// The same as rules of iptables.
pub(super) fn xt_rules(layout: &Layout) -> Vec<LimitRule> {
    let of_jail = |jail| {
        ports(jail).into_iter().map(|only| LimitRule {
            name: format!("sipguard-{}", jail.name),
            only,
            limit: LIMIT,
        })
    };
    jails(layout, &layout.limited).flat_map(of_jail).collect()
}
