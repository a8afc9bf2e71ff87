//! Who becomes trusted while the guard runs: the box's own new addresses, and those of names in `ignoreip`.

use super::{Ban, Guard, JailId, Trust};

impl Guard {
    /// Takes the box's own addresses, gateways and resolvers as they are by now, and lifts the bans of these.
    pub fn set_own(&mut self, own: Trust) -> Vec<Ban> {
        if own == self.settings.own {
            return Vec::new();
        }
        self.settings.own = own;
        let own = &self.settings.own;
        let wrong = self.bans.iter().filter(|ban| own.overlaps(ban.net));
        let wrong = wrong.collect();
        self.lift_all(wrong)
    }

    /// Takes whom a jail trusts by now, and lifts its bans of who was not trusted before. A ban that was forced by
    /// hand on somebody trusted stays.
    pub fn set_trust(&mut self, jail: JailId, trust: Trust) -> Vec<Ban> {
        let Some(policy) = self.policies.get_mut(usize::from(jail.0)) else {
            return Vec::new();
        };
        if trust == policy.trust {
            return Vec::new();
        }
        let before = core::mem::replace(&mut policy.trust, trust);
        let now = &policy.trust;
        let of_jail = self.bans.iter().filter(|ban| ban.jail == jail);
        let wrong = of_jail.filter(|ban| now.overlaps(ban.net) && !before.overlaps(ban.net));
        let wrong = wrong.collect();
        self.lift_all(wrong)
    }

    fn lift_all(&mut self, bans: Vec<Ban>) -> Vec<Ban> {
        for ban in &bans {
            self.unban(ban.net, ban.jail);
        }
        bans
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Evidence, Outcome, Policy, Seed, Settings, Source};
    use super::*;
    use crate::filter::{Class, Failure, Kind, Proof, Service};
    use crate::time::Mono;

    const JAIL: JailId = JailId(1);

    fn guard() -> Guard {
        let policy = Policy {
            maxretry: 1,
            findtime: 600,
            bantime: Some(600),
            bantime_unproven: None,
            reach_by_proof: false,
            evidence: Evidence::default(),
            escalation: None,
            recidive: false,
            trust: Trust::default(),
        };
        let settings = Settings {
            ring: 64,
            maxbans: 64,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::default(),
            seed: Seed([1, 2]),
        };
        Guard::new(vec![policy.clone(), policy], settings)
    }

    fn fail(guard: &mut Guard, jail: JailId, addr: &str, proof: Proof) -> Outcome {
        let failure = Failure {
            addr: addr.parse().unwrap(),
            kind: Kind {
                service: Service::Sip,
                class: Class::Auth,
            },
            proof,
            attempt: None,
            at: None,
            account: None,
        };
        guard.observe(jail, Source(0), &failure, Mono(1_000))
    }

    fn trust(nets: &[&str]) -> Trust {
        Trust::new(nets.iter().map(|net| net.parse().unwrap()))
    }

    #[test]
    fn who_becomes_trusted_in_a_jail_is_unbanned_there() {
        let mut guard = guard();
        for jail in [JailId(0), JAIL] {
            for addr in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
                assert!(matches!(
                    fail(&mut guard, jail, addr, Proof::Blind),
                    Outcome::Ban(_)
                ));
            }
        }
        let lifted = guard.set_trust(JAIL, trust(&["192.0.2.1/32", "2001:db8::77/128"]));
        let mut lifted: Vec<String> = lifted.iter().map(|ban| ban.net.to_string()).collect();
        lifted.sort();
        assert_eq!(lifted, ["192.0.2.1/32", "2001:db8::/64"]);
        assert_eq!(guard.ban_count(), 4);
        assert_eq!(
            fail(&mut guard, JAIL, "192.0.2.1", Proof::Blind),
            Outcome::Trusted
        );
        // What was forced on who is trusted stays when others change.
        let forced = "192.0.2.1/32".parse().unwrap();
        guard.ban(forced, JAIL, None, Mono(1_000), true).unwrap();
        let lifted = guard.set_trust(JAIL, trust(&["192.0.2.1/32", "192.0.2.2/32"]));
        assert_eq!(lifted.len(), 1);
        assert!(guard.standing(forced, JAIL).is_some());
    }
}
