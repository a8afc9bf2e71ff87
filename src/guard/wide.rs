//! Networks whose members are banned one after the other: a /24, a /56 or a /48 is warned of, or banned as one.
//!
//! Only members that are banned on proven evidence count. Whoever forges addresses cannot have a network banned.

use ipnet::IpNet;

use super::index::{Key, Seed};
use super::recent::Recent;
use super::tried::Tried;
use super::{Ban, Guard, JailId, Outcome, Pattern, Summary};
use crate::filter::{Kind, Proof};
use crate::limits::{MEMBER_SECONDS, NETWORKS_MAX};
use crate::time::Mono;

/// The lengths of networks that are banned as one: of IPv4, then of IPv6.
pub const WIDE: [&[u8]; 2] = [&[24], &[56, 48]];

/// `bannet`: what follows when enough members of a network are banned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bannet {
    /// Nothing.
    #[default]
    Off,
    /// It is told.
    Warn,
    /// The network is banned.
    On,
}

/// A network of which enough members are banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide {
    /// The network.
    pub net: IpNet,
    /// In which jail.
    pub jail: JailId,
    /// So many members, or more.
    pub members: u32,
    /// What became of its ban; `None`: it is only told.
    pub outcome: Option<Outcome>,
}

/// Which members of networks were banned.
pub(super) struct Networks {
    table: Recent<Network>,
    seed: Seed,
}

struct Network {
    /// Hashes of members, and when they were banned.
    members: Tried,
    /// It was told, or banned.
    done: Option<Mono>,
}

impl Networks {
    pub(super) fn new(seed: Seed) -> Networks {
        Networks {
            table: Recent::new(NETWORKS_MAX, seed),
            seed,
        }
    }

    /// A member of `net` was banned. How many were within a day, if they are enough for the first time.
    fn note(&mut self, net: IpNet, member: IpNet, jail: JailId, enough: u32, now: Mono) -> Option<u32> {
        let fresh = || Network {
            members: Tried::NONE,
            done: None,
        };
        let name = self.seed.name_of(member);
        let network = self.table.touch(Key::new(net, jail), true, fresh)?;
        network.members.note(name, now);
        let members = network.members.within(MEMBER_SECONDS, now);
        let done = network
            .done
            .is_some_and(|done| now < done.plus_seconds(MEMBER_SECONDS));
        if members < enough || done {
            return None;
        }
        network.done = Some(now);
        Some(members)
    }
}

impl Guard {
    /// Takes a ban that was made: whether a network has enough of them. To be called until it returns `None`, for
    /// each of `number` from 0.
    pub fn observe_member(&mut self, ban: &Ban, kind: Kind, number: usize, now: Mono) -> Option<Wide> {
        let policy = self.policies.get(usize::from(ban.jail.0))?;
        let (bannet, enough) = (policy.evidence.bannet, policy.evidence.members);
        let lengths = if ban.net.addr().is_ipv4() {
            WIDE[0]
        } else {
            WIDE[1]
        };
        let bits = *lengths.get(number)?;
        let counts = bannet != Bannet::Off && ban.proof.is_proven() && !ban.by_hand;
        if !counts || bits >= ban.net.prefix_len() {
            return None;
        }
        let net = IpNet::new(ban.net.addr(), bits).ok()?.trunc();
        // Of a wider network count the narrower ones that have members: one /56 does not condemn its /48.
        let narrower = number.checked_sub(1).and_then(|before| lengths.get(before));
        let member = narrower.and_then(|&bits| IpNet::new(ban.net.addr(), bits).ok());
        let member = member.map_or(ban.net, |net| net.trunc());
        let members = self.networks.note(net, member, ban.jail, enough, now)?;
        let policy = self.policies.get(usize::from(ban.jail.0))?;
        let innocent = self.overlaps_trusted(net, policy) || self.known.is_any_in(net, ban.jail, now);
        let outcome = (bannet == Bannet::On && !innocent).then(|| {
            let why = Summary {
                failures: members,
                first: now,
                last: kind,
                alike: true,
                accounts: 0,
                pattern: Pattern::Network,
                proof: Proof::Transport,
            };
            self.sentence(why, net, ban.jail, now)
        });
        Some(Wide {
            net,
            jail: ban.jail,
            members,
            outcome,
        })
    }

    /// Whether a source's network is banned as a whole.
    pub(super) fn is_in_wide(&self, net: IpNet, jail: JailId, now: Mono) -> bool {
        let lengths = if net.addr().is_ipv4() { WIDE[0] } else { WIDE[1] };
        let wide = |&bits: &u8| IpNet::new(net.addr(), bits).ok().map(|net| net.trunc());
        let mut around = lengths.iter().filter_map(wide);
        self.has_wide(jail) && around.any(|wide| self.bans.find(wide, jail, now).is_some())
    }

    /// Whether the kernel has sets for wide networks of a jail.
    fn has_wide(&self, jail: JailId) -> bool {
        let policy = self.policies.get(usize::from(jail.0));
        policy.is_some_and(|policy| policy.evidence.bannet == Bannet::On)
    }

    /// Whether a ban is of a network that this jail bans as one.
    pub(super) fn may_be_wide(&self, net: IpNet, jail: JailId) -> bool {
        let lengths = if net.addr().is_ipv4() { WIDE[0] } else { WIDE[1] };
        self.has_wide(jail) && lengths.contains(&net.prefix_len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Evidence, Policy, Settings, Source, Trust, Verdict};
    use super::*;
    use crate::filter::{Class, Failure, Service};

    const JAIL: JailId = JailId(0);

    fn guard(bannet: Bannet, ignored: &[&str]) -> Guard {
        let policy = Policy {
            maxretry: 1,
            findtime: 600,
            bantime: Some(600),
            bantime_unproven: None,
            escalation: None,
            recidive: false,
            reach_by_proof: true,
            evidence: Evidence {
                known: Some(100),
                bannet,
                members: 4,
                ..Evidence::default()
            },
            trust: Trust::new(ignored.iter().map(|net| net.parse().unwrap())),
        };
        let settings = Settings {
            ring: 64,
            maxbans: 64,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::default(),
            seed: Seed([1, 2]),
        };
        Guard::new(vec![policy], settings)
    }

    /// Bans these one a second; the networks that follow, `?` if they are only told.
    fn wide(guard: &mut Guard, proof: Proof, addresses: &[&str]) -> Vec<String> {
        let kind = Kind {
            service: Service::Sip,
            class: Class::Auth,
        };
        let mut found = Vec::new();
        for (second, address) in (0..).zip(addresses) {
            let now = Mono(second * 1000);
            let failure = Failure {
                addr: address.parse().unwrap(),
                kind,
                proof,
                attempt: None,
                account: None,
                at: None,
            };
            let Outcome::Ban(Verdict { ban, why, .. }) = guard.observe(JAIL, Source(0), &failure, now) else {
                continue;
            };
            for number in 0..2 {
                let wide = guard.observe_member(&ban, why.last, number, now);
                found.extend(
                    wide.map(|it| format!("{}{}", it.net, if it.outcome.is_some() { "" } else { "?" })),
                );
            }
        }
        found
    }

    const V4: [&str; 6] = [
        "192.0.2.1",
        "192.0.2.9",
        "192.0.3.7",
        "192.0.2.200",
        "192.0.2.255",
        "192.0.2.77",
    ];
    const NARROW: [&str; 4] = [
        "2001:db8:1:1::1",
        "2001:db8:1:2::1",
        "2001:db8:1:3::1",
        "2001:db8:1:4::1",
    ];
    const BROAD: [&str; 4] = [
        "2001:db8:1:100::1",
        "2001:db8:1:200::1",
        "2001:db8:1:300::1",
        "2001:db8:1::1",
    ];

    #[track_caller]
    fn check(bannet: Bannet, proof: Proof, ignored: &[&str], addresses: &[&str], want: &[&str]) {
        let mut guard = guard(bannet, ignored);
        assert_eq!(wide(&mut guard, proof, addresses), want);
    }

    #[test]
    fn a_network_is_banned_when_enough_of_its_members_are_on_proven_evidence() {
        check(Bannet::On, Proof::Nonce, &[], &V4, &["192.0.2.0/24"]);
        check(Bannet::On, Proof::Transport, &[], &NARROW, &["2001:db8:1::/56"]);
        check(Bannet::On, Proof::Transport, &[], &BROAD, &["2001:db8:1::/48"]);
        check(Bannet::Warn, Proof::Nonce, &[], &V4, &["192.0.2.0/24?"]);
        check(Bannet::Off, Proof::Nonce, &[], &V4, &[]);
        check(Bannet::On, Proof::Blind, &[], &V4, &[]);
        check(
            Bannet::On,
            Proof::Nonce,
            &["192.0.2.3/32"],
            &V4,
            &["192.0.2.0/24?"],
        );
    }

    #[test]
    fn members_of_a_banned_network_are_banned_already() {
        let mut guard = guard(Bannet::On, &[]);
        wide(&mut guard, Proof::Nonce, &V4);
        let bans: Vec<String> = guard.bans().map(|ban| ban.net.to_string()).collect();
        assert!(bans.contains(&"192.0.2.0/24".to_owned()), "{bans:?}");
        assert!(!bans.contains(&"192.0.2.77/32".to_owned()), "{bans:?}");
    }

    #[test]
    fn a_network_with_somebody_known_is_only_told() {
        let mut guard = guard(Bannet::On, &[]);
        let sign = crate::filter::Sign {
            addr: "192.0.2.50".parse().unwrap(),
            account: Some(7),
            shown: crate::filter::Shown::Known,
            at: None,
        };
        assert_eq!(guard.observe_sign(JAIL, &sign, Mono(0)), None);
        assert_eq!(wide(&mut guard, Proof::Nonce, &V4), ["192.0.2.0/24?"]);
    }
}
