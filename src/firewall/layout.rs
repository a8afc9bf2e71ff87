//! What the kernel shall hold for each jail, whichever part of the kernel holds it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::{Block, Protocol};
use crate::firewall::{JailRule, Outcome, Refusal};
use crate::guard::{Effect, JailId, Reach};
use crate::limits::KERNEL_NAME_BYTES_MAX;
use crate::sys::uapi::{IPPROTO_TCP, IPPROTO_UDP};
use crate::wire::nft::Family;

/// Most sets of a jail.
pub(super) const SET_KINDS: usize = 12;

/// All jails, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) jails: Vec<Jail>,
    /// Elements that one set has to hold.
    pub(super) maxbans: u32,
    /// The kernel tracks connections, for what is behind that. Only asked where it is needed.
    pub(super) tracks: bool,
    /// The jails in a flood, at whose ports the kernel takes only so much of each source.
    pub(super) limited: Vec<JailId>,
}

/// One jail's sets and what they are good for.
#[derive(Debug)]
pub(super) struct Jail {
    /// Its name, as the kernel's programs accept it; no other jail has it.
    pub(super) name: String,
    /// The sets: IPv4 addresses, IPv6 addresses, and IPv6 networks unless these are single addresses; if the reach
    /// of a ban depends on its proof, once more for those that are not proven; wide networks, if it bans such.
    sets: Vec<Set>,
    /// Which packets of a banned source are dropped.
    pub(super) scope: Scope,
}

/// One set of the kernel's.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) family: Family,
    /// Which packets of who is in it are dropped.
    pub(super) reach: Reach,
    /// Sources are looked up by so many leading bits of their address.
    pub(super) prefix: u8,
    /// For people, if these are networks: `networks of /64`.
    pub(super) networks: Option<String>,
}

/// Which packets of a banned source are dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// None: the jail has no firewall action, and needs no sets.
    Nothing,
    /// All.
    Everything,
    /// Those of these protocols and ports.
    Ports(Vec<Ports>),
}

/// A protocol, and a range of its destination ports or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) protocol: u8,
    pub(super) range: Option<(u16, u16)>,
}

impl Layout {
    /// `prefix` begins the names of all sets.
    pub(super) fn new(jails: &[JailRule], prefix: &str, ipv6prefix: u8, maxbans: u32) -> Layout {
        let mut layout = Layout {
            jails: Vec::with_capacity(jails.len()),
            maxbans,
            tracks: false,
            limited: Vec::new(),
        };
        // At most 31 letters with what comes before.
        let kinds = [
            ("4", Family::V4, 32, Reach::Whole),
            ("6", Family::V6, 128, Reach::Whole),
            ("6net", Family::V6, ipv6prefix, Reach::Whole),
            ("4n24", Family::V4, 24, Reach::Whole),
            ("6n56", Family::V6, 56, Reach::Whole),
            ("6n48", Family::V6, 48, Reach::Whole),
            ("4b", Family::V4, 32, Reach::Opened),
            ("6b", Family::V6, 128, Reach::Opened),
            ("6nb", Family::V6, ipv6prefix, Reach::Opened),
        ];
        for jail in jails {
            let name = layout.free_name(&kernel_name(&jail.name));
            let needed = |&&(end, family, bits, reach): &&(&str, Family, u8, Reach)| match end {
                "4n24" | "6n56" | "6n48" => jail.wide && (family == Family::V4 || bits < ipv6prefix),
                "6net" | "6nb" if ipv6prefix == 128 => false,
                _ => reach == Reach::Whole || jail.by_proof,
            };
            let set = |&(end, family, bits, reach): &(&str, Family, u8, Reach)| Set {
                name: format!("{prefix}{name}{end}"),
                family,
                reach,
                prefix: bits,
                networks: (bits < family.bits()).then(|| format!("networks of /{bits}")),
            };
            layout.jails.push(Jail {
                sets: kinds.iter().filter(needed).map(set).collect(),
                name,
                scope: scope(&jail.blocks),
            });
        }
        layout
    }

    /// The set and the address in it that an effect is about; `None` if its jail has no sets.
    pub(super) fn element(&self, effect: &Effect) -> Result<Option<(&str, IpAddr)>, Refusal> {
        self.place(effect.jail, effect.net, effect.reach)
    }

    /// The same for a ban.
    pub(super) fn place(
        &self,
        jail: JailId,
        net: IpNet,
        reach: Reach,
    ) -> Result<Option<(&str, IpAddr)>, Refusal> {
        let Some(jail) = self.jails.get(usize::from(jail.0)) else {
            return Err(Refusal::Impossible("no such jail"));
        };
        if jail.scope == Scope::Nothing {
            return Ok(None);
        }
        let address = net.network();
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        let fits = |set: &&Set| (set.family, set.prefix, set.reach) == (family, net.prefix_len(), reach);
        match jail.sets().find(fits) {
            Some(set) => Ok(Some((&set.name, address))),
            None => Err(Refusal::Impossible(
                "only single addresses and IPv6 networks of ipv6prefix can be banned",
            )),
        }
    }

    /// A number for the set that a ban belongs into, below jails times [`SET_KINDS`].
    pub(super) fn key(jail: JailId, net: IpNet, reach: Reach) -> u32 {
        // `ipv6prefix` may be one of the lengths of wide networks, and then has no other set of that length.
        let kind = match (net.addr().is_ipv4(), net.prefix_len()) {
            (true, 32) => 0,
            (false, 128) => 1,
            (true, _) => 3,
            (false, 56) => 4,
            (false, 48) => 5,
            (false, _) => 2,
        };
        let reach = match reach {
            Reach::Whole => 0,
            Reach::Opened => SET_KINDS as u32 / 2,
        };
        u32::from(jail.0) * SET_KINDS as u32 + reach + kind
    }

    /// The order in which to send changes: by set, and else as they come, each with its place in `effects` (at most
    /// 65,536 of them), written over `order`. Reports on those for which there is nothing to send.
    pub(super) fn order(
        &self,
        effects: &[Effect],
        mut order: Vec<(u32, u16)>,
        outcome: &mut Outcome<'_>,
    ) -> Vec<(u32, u16)> {
        order.clear();
        for (at, effect) in (0..=u16::MAX).zip(effects) {
            match self.element(effect) {
                Ok(Some(_)) => order.push((Layout::key(effect.jail, effect.net, effect.reach), at)),
                other => outcome(effect.slot, other.map(|_| ())),
            }
        }
        order.sort_unstable();
        order
    }

    /// All sets, with the jail that each is for.
    pub(super) fn sets(&self) -> impl Iterator<Item = (JailId, &Set)> {
        let jails = (0..).map(JailId).zip(&self.jails);
        jails.flat_map(|(number, jail)| jail.sets().map(move |set| (number, set)))
    }

    /// Which ban an element of that set is.
    pub(super) fn ban(&self, set: &str, addr: IpAddr) -> Option<(JailId, IpNet)> {
        let (jail, set) = self.sets().find(|(_, other)| other.name == set)?;
        Some((jail, set.net(addr)?))
    }

    /// Whether there are sets of that reach.
    pub(super) fn has(&self, reach: Reach) -> bool {
        self.sets().any(|(_, set)| set.reach == reach)
    }

    /// `wanted`, or with a number in place of its end if another jail has that name.
    fn free_name(&self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 2;
        while self.jails.iter().any(|jail| jail.name == name) {
            let tail = format!("-{number}");
            let head = wanted.get(..KERNEL_NAME_BYTES_MAX - tail.len()).unwrap_or(wanted);
            name = format!("{head}{tail}");
            number += 1;
        }
        name
    }
}

impl Set {
    /// A ban that would be in it.
    pub(super) fn net_of_anybody(&self) -> Option<IpNet> {
        self.net(match self.family {
            Family::V4 => IpAddr::from([0; 4]),
            Family::V6 => IpAddr::from([0; 16]),
        })
    }

    /// What an element of it stands for.
    pub(super) fn net(&self, addr: IpAddr) -> Option<IpNet> {
        let ours = addr.is_ipv4() == (self.family == Family::V4);
        ours.then(|| IpNet::new(addr, self.prefix).ok()).flatten()
    }
}

impl Jail {
    /// The sets that the jail needs.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Set> {
        let none = self.scope == Scope::Nothing;
        self.sets.iter().filter(move |_| !none)
    }
}

/// `name` as nft and ipset accept it: letters, digits, `_`, `-` and `.`, a letter first.
fn kernel_name(name: &str) -> String {
    let mut kernel: String = name
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' => c,
            _ => '-',
        })
        .collect();
    if !kernel.starts_with(|c: char| c.is_ascii_alphabetic()) {
        kernel.insert(0, 'j');
    }
    kernel.truncate(KERNEL_NAME_BYTES_MAX);
    kernel
}

fn scope(blocks: &[Block]) -> Scope {
    if blocks.is_empty() {
        return Scope::Nothing;
    }
    let mut all = Vec::new();
    for block in blocks {
        let protocols: &[u8] = match block.protocol {
            Protocol::All => return Scope::Everything,
            Protocol::Tcp => &[IPPROTO_TCP],
            Protocol::Udp => &[IPPROTO_UDP],
            Protocol::TcpUdp => &[IPPROTO_TCP, IPPROTO_UDP],
        };
        for &protocol in protocols {
            let mut add = |range| {
                let ports = Ports { protocol, range };
                if !all.contains(&ports) {
                    all.push(ports);
                }
            };
            if block.ports.is_empty() {
                add(None);
            }
            for &range in &block.ports {
                add(Some(range));
            }
        }
    }
    Scope::Ports(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Change, Slot};

    fn rule(name: &str, blocks: &[(Protocol, &[(u16, u16)])]) -> JailRule {
        JailRule {
            name: name.to_owned(),
            blocks: blocks
                .iter()
                .map(|(protocol, ports)| Block {
                    protocol: *protocol,
                    ports: ports.to_vec(),
                })
                .collect(),
            by_proof: true,
            wide: false,
        }
    }

    fn check_names(jails: &[&str], want: &[&str]) {
        let rules: Vec<_> = jails
            .iter()
            .map(|name| rule(name, &[(Protocol::All, &[])]))
            .collect();
        let layout = Layout::new(&rules, "sipguard-", 64, 10);
        let names: Vec<_> = layout.jails.iter().map(|jail| jail.name.as_str()).collect();
        assert_eq!(names, want);
        let mut sets: Vec<_> = layout
            .jails
            .iter()
            .flat_map(|j| j.sets().map(|set| set.name.clone()))
            .collect();
        assert!(sets.iter().all(|set| set.len() <= 31), "ipset's limit: {sets:?}");
        sets.sort();
        sets.dedup();
        assert_eq!(sets.len(), 6 * jails.len());
    }

    #[test]
    fn names_are_made_acceptable_and_stay_different() {
        check_names(&["asterisk", "sshd"], &["asterisk", "sshd"]);
        check_names(&["a b", "a/b", "a;b"], &["a-b", "a-b-2", "a-b-3"]);
        check_names(&["3com", "", "ü", "_x"], &["j3com", "j", "j-", "j_x"]);
        check_names(
            &["a-very-long-jail-name-1", "a-very-long-jail-name-2"],
            &["a-very-long-jail-n", "a-very-long-jail-2"],
        );
        check_names(&["x", "x4", "x6"], &["x", "x4", "x6"]);
    }

    #[test]
    fn blocks_become_protocols_and_ports() {
        let check = |blocks: &[(Protocol, &[(u16, u16)])], want: Scope| {
            assert_eq!(scope(&rule("x", blocks).blocks), want);
        };
        let ports = |protocol, range| Ports { protocol, range };
        check(&[], Scope::Nothing);
        check(
            &[(Protocol::Udp, &[(1, 2)]), (Protocol::All, &[])],
            Scope::Everything,
        );
        check(&[(Protocol::Tcp, &[])], Scope::Ports(vec![ports(6, None)]));
        check(
            &[
                (Protocol::TcpUdp, &[(5060, 5061)]),
                (Protocol::Udp, &[(5060, 5061), (4569, 4569)]),
            ],
            Scope::Ports(vec![
                ports(6, Some((5060, 5061))),
                ports(17, Some((5060, 5061))),
                ports(17, Some((4569, 4569))),
            ]),
        );
    }

    #[test]
    fn addresses_and_nets_of_the_one_length_have_an_element() {
        let jails = [rule("asterisk", &[(Protocol::All, &[])]), rule("mail-only", &[])];
        let layout = Layout::new(&jails, "", 64, 10);
        let element = |jail, net: &str, reach| {
            let effect = Effect {
                slot: Slot(0),
                jail: JailId(jail),
                net: net.parse().unwrap(),
                reach,
                change: Change::Delete,
            };
            layout
                .element(&effect)
                .map(|e| e.map(|(set, addr)| format!("{set} {addr}")))
        };
        let blind = |net| element(0, net, Reach::Opened).unwrap().unwrap();
        assert_eq!(blind("192.0.2.1/32"), "asterisk4b 192.0.2.1");
        assert_eq!(blind("2001:db8::5/128"), "asterisk6b 2001:db8::5");
        assert_eq!(blind("2001:db8::5/64"), "asterisk6nb 2001:db8::");
        let element = |jail, net| element(jail, net, Reach::Whole);
        assert_eq!(
            element(0, "192.0.2.1/32").unwrap().unwrap(),
            "asterisk4 192.0.2.1"
        );
        assert_eq!(
            element(0, "2001:db8::5/64").unwrap().unwrap(),
            "asterisk6net 2001:db8::"
        );
        assert_eq!(
            element(0, "2001:db8::5/128").unwrap().unwrap(),
            "asterisk6 2001:db8::5"
        );
        assert_eq!(element(1, "192.0.2.1/32").unwrap(), None);
        for (jail, net) in [(0, "192.0.2.0/24"), (0, "2001:db8::/48"), (2, "192.0.2.1/32")] {
            assert!(matches!(element(jail, net), Err(Refusal::Impossible(_))), "{net}");
        }
    }
}
