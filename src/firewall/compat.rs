//! The rules that make ipset's sets drop packets, in nf_tables: for kernels that have no iptables of
//! their own any more. It is what `iptables-nft -m set` does, in tables of our own: `ip sipguard`
//! and `ip6 sipguard`, because the match knows one family only.

use std::io;

use crate::firewall::transaction::{self, Standing, Steps};
use crate::sys::Fault;
use crate::sys::netlink::Netlink;
use crate::sys::uapi::{ENOENT, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::wire::nft::{Family, RULE, Rule, Table, ask_rules};
use crate::wire::xtables::{DropRule, SET_MATCH, SET_MATCH_REVISION, set_match};

const CHAIN: &str = "prerouting";

/// Our table of one family.
#[derive(Debug)]
pub(super) struct Compat {
    table: Table,
    rules: usize,
}

impl Compat {
    /// Sets up the table, replacing one that an earlier run left.
    pub(super) fn install(
        netlink: &mut Netlink,
        family: Family,
        rules: &[DropRule],
    ) -> Result<Compat, Fault> {
        let table = table(family);
        transaction::replace(netlink, table, Standing::Protected, &|steps| write(steps, rules)).map_err(
            |rejection| match rejection.errno {
                ENOENT => rejection.fault.hint(
                    "the kernel lacks nft_compat or xt_set: on OpenWrt install kmod-nft-compat and \
                     kmod-ipt-ipset, or set firewall = nftables",
                ),
                _ => rejection.fault,
            },
        )?;
        Ok(Compat {
            table,
            rules: rules.len(),
        })
    }

    /// Whether all our rules are there.
    pub(super) fn intact(&self, netlink: &mut Netlink, room: &mut [u8]) -> io::Result<bool> {
        Ok(count_rules(netlink, room, self.table)? == self.rules)
    }

    /// Removes the table; that there is none is fine.
    pub(super) fn remove(netlink: &mut Netlink, family: Family) -> Result<(), Fault> {
        transaction::remove(netlink, table(family))
    }
}

/// How many rules a table has; none if it is not there.
pub(super) fn count_rules(netlink: &mut Netlink, room: &mut [u8], table: Table) -> io::Result<usize> {
    let seq = netlink.sequence(0);
    let mut rules = 0;
    let question = ask_rules(room, seq, table).unwrap_or_default();
    let asked = netlink.ask(question, seq, &mut |message| {
        rules += usize::from(message.kind == RULE)
    });
    match asked {
        Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(0),
        other => other.map(|()| rules),
    }
}

fn table(family: Family) -> Table {
    Table {
        family: match family {
            Family::V4 => NFPROTO_IPV4,
            Family::V6 => NFPROTO_IPV6,
        },
        name: "sipguard",
    }
}

fn write(steps: &mut Steps<'_, '_>, rules: &[DropRule]) {
    steps.step("create the chain of").add_base_chain(CHAIN);
    for rule in rules {
        steps
            .step(format!("create the rule for ipset number {} in", rule.set))
            .add_rule(CHAIN, |expressions| write_rule(expressions, rule));
    }
}

fn write_rule(expressions: &mut Rule<'_, '_>, rule: &DropRule) {
    if let Some((protocol, range)) = rule.only {
        expressions.protocol(protocol);
        if let Some((first, last)) = range {
            expressions.destination_port(first, last);
        }
    }
    expressions.xt_match(SET_MATCH, SET_MATCH_REVISION, &set_match(rule.set));
    expressions.counter();
    expressions.drop();
}
