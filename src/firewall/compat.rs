//! The rules that make ipset's sets drop packets, in nf_tables: for kernels that have no iptables of
//! their own any more. It is what `iptables-nft -m set` does, in tables of our own: `ip sipguard`
//! and `ip6 sipguard`, because the match knows one family only.

use std::io;

use crate::firewall::adopt::undisturbed;
use crate::firewall::flood;
use crate::firewall::iptables::Drops;
use crate::firewall::layout::Layout;
use crate::firewall::ruleset;
use crate::firewall::transaction::{self, Standing, Steps};
use crate::sys::Fault;
use crate::sys::netlink::Netlink;
use crate::sys::uapi::{ENOENT, NF_IP_PRI_RAW, NFPROTO_IPV4, NFPROTO_IPV6};
use crate::wire::nft::{Family, Rule, Table, ask_rules, is_rule};
use crate::wire::xtables::{DropRule, SET_MATCH, SET_MATCH_REVISION, set_match};

const CHAIN: &str = "prerouting";

/// Our table of one family.
#[derive(Debug)]
pub(super) struct Compat {
    table: Table,
    rules: usize,
    limits: bool,
}

impl Compat {
    /// Sets up the table, replacing one that an earlier run left; with a chain behind connection tracking for bans
    /// that are not proven, if the kernel `tracks`, and with limits if it can.
    pub(super) fn install(
        netlink: &mut Netlink,
        family: Family,
        rules: &Drops,
        tracks: bool,
        layout: &Layout,
    ) -> Result<Compat, Fault> {
        let table = table(family);
        let mut attempt = |limits: bool| {
            transaction::replace(netlink, table, Standing::Protected, &|steps| {
                write(steps, family, rules, tracks);
                if limits {
                    flood::write(steps, layout, Some(family), 1);
                }
            })
        };
        let mut limits = true;
        let mut done = attempt(limits);
        if done.is_err() && !rules.limits.is_empty() {
            limits = false;
            done = attempt(limits);
        }
        done.map_err(|rejection| match rejection.errno {
            ENOENT => rejection.fault.hint(
                "the kernel lacks nft_compat or xt_set: on OpenWrt install kmod-nft-compat and \
                     kmod-ipt-ipset, or set firewall = nftables",
            ),
            _ => rejection.fault,
        })?;
        Ok(Compat {
            table,
            limits,
            rules: if limits { flood::rules(layout, 1) } else { 0 }
                + rules.whole.len()
                + rules.opened.len()
                + usize::from(tracks && !rules.opened.is_empty())
                + usize::from(tracks && rules.passes_icmp(family)),
        })
    }

    /// Whether all that is to be limited is.
    pub(super) fn has_limits(&self) -> bool {
        self.limits
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
    let mut rules = 0;
    let asked = undisturbed(&mut || {
        rules = 0;
        let seq = netlink.sequence(0);
        let question = ask_rules(room, seq, table).unwrap_or_default();
        netlink.ask(question, seq, &mut |message| {
            rules += usize::from(is_rule(message));
        })
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

fn write(steps: &mut Steps<'_, '_>, family: Family, rules: &Drops, tracks: bool) {
    steps
        .step("create the chain of")
        .add_base_chain(CHAIN, NF_IP_PRI_RAW);
    let mut chain = CHAIN;
    write_all(steps, chain, &rules.whole);
    if tracks && !rules.opened.is_empty() {
        ruleset::write_tracking(steps, rules.passes_icmp(family));
        chain = ruleset::TRACKED;
    }
    write_all(steps, chain, &rules.opened);
}

fn write_all(steps: &mut Steps<'_, '_>, chain: &str, rules: &[DropRule]) {
    for rule in rules {
        steps
            .step(format!("create the rule for ipset number {} in", rule.set))
            .add_rule(chain, |expressions| write_rule(expressions, rule));
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
    expressions.drop_packet();
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;
    use crate::config::{Block, Protocol};
    use crate::firewall::JailRule;
    use crate::firewall::support::{isolated, run};
    use crate::guard::JailId;
    use crate::sys::uapi::IPPROTO_UDP;
    use crate::sys::xtables::Xtables;

    /// Whether a datagram from ourselves under that address gets to a port of ours.
    fn arrives(from: &str, to: &str) -> bool {
        let here = UdpSocket::bind(to).unwrap();
        here.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let there = UdpSocket::bind((from, 0)).unwrap();
        there.send_to(b"hello", to).unwrap();
        here.recv(&mut [0; 9]).is_ok()
    }

    fn whole(rule: DropRule) -> Drops {
        Drops {
            whole: vec![rule],
            ..Drops::default()
        }
    }

    #[test]
    fn rules_in_nf_tables_drop_what_is_in_an_ipset() {
        isolated(
            "firewall::compat::tests::rules_in_nf_tables_drop_what_is_in_an_ipset",
            || {
                run("ip addr add 2001:db8::1/128 dev lo nodad");
                run("ip addr add 2001:db8::2/128 dev lo nodad");
                run("ipset create all4 hash:ip");
                run("ipset add all4 127.0.0.2");
                run("ipset create sip6 hash:ip family inet6 netmask 64");
                run("ipset add sip6 2001:db8::9");
                let numbers = Xtables::open(Family::V4).unwrap();
                let number = |name: &str| numbers.set_number(name).unwrap().unwrap();
                let all = DropRule {
                    set: number("all4"),
                    only: None,
                };
                let sip = DropRule {
                    set: number("sip6"),
                    only: Some((IPPROTO_UDP, Some((5060, 5061)))),
                };
                assert_eq!(numbers.set_number("none").unwrap(), None);

                let mut netlink = Netlink::open().unwrap();
                let none = Layout::new(&[], "", 64, 10);
                let mut room = [0; 4096];
                for _ in 0..2 {
                    let v4 = Compat::install(&mut netlink, Family::V4, &whole(all), true, &none).unwrap();
                    let v6 = Compat::install(&mut netlink, Family::V6, &whole(sip), true, &none).unwrap();
                    assert!(v4.intact(&mut netlink, &mut room).unwrap());
                    assert!(v6.intact(&mut netlink, &mut room).unwrap());
                }
                assert!(!arrives("127.0.0.2", "127.0.0.1:9"));
                assert!(arrives("127.0.0.3", "127.0.0.1:9"));
                assert!(!arrives("2001:db8::2", "[2001:db8::1]:5061"));
                assert!(arrives("2001:db8::2", "[2001:db8::1]:5062"));
                assert!(arrives("::1", "[::1]:5061"));

                for family in [Family::V4, Family::V6] {
                    Compat::remove(&mut netlink, family).unwrap();
                    Compat::remove(&mut netlink, family).unwrap();
                    let gone = Compat {
                        table: table(family),
                        rules: 1,
                        limits: true,
                    };
                    assert!(!gone.intact(&mut netlink, &mut room).unwrap());
                }
                assert!(arrives("127.0.0.2", "127.0.0.1:9"));
                assert_eq!(run("nft list ruleset"), "");
            },
        );
    }

    /// In a flood, in the same tables; where they cannot be had, the bans are.
    #[test]
    fn limits_are_rules_of_nf_tables_too() {
        isolated(
            "firewall::compat::tests::limits_are_rules_of_nf_tables_too",
            || {
                run("ipset create all4 hash:ip");
                let numbers = Xtables::open(Family::V4).unwrap();
                let drops = whole(DropRule {
                    set: numbers.set_number("all4").unwrap().unwrap(),
                    only: None,
                });
                let jail = JailRule {
                    name: "sip".into(),
                    blocks: vec![Block {
                        protocol: Protocol::Udp,
                        ports: vec![(5060, 5060)],
                    }],
                    by_proof: false,
                    wide: false,
                };
                let mut layout = Layout::new(&[jail], "", 64, 10);
                let mut netlink = Netlink::open().unwrap();
                let mut room = [0; 4096];
                for (limited, rules) in [(vec![], 0), (vec![JailId(0)], 1), (vec![], 0)] {
                    layout.limited = limited;
                    for family in [Family::V4, Family::V6] {
                        let compat = Compat::install(&mut netlink, family, &drops, true, &layout).unwrap();
                        assert!(compat.intact(&mut netlink, &mut room).unwrap() && compat.has_limits());
                    }
                    for (table, set) in [("ip", "sip4f"), ("ip6", "sip6f")] {
                        let shown = run(&format!("nft list table {table} sipguard"));
                        assert_eq!(shown.matches(&format!("update @{set}")).count(), rules, "{shown}");
                        assert_eq!(
                            shown.matches("udp dport 5060 jump sip-flood").count(),
                            rules,
                            "{shown}"
                        );
                    }
                }
            },
        );
    }
}
