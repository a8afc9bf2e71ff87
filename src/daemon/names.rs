//! The names in `ignoreip`, and the addresses that they have.
//!
//! They are looked up by the lookups child, so that the guard guards at once. Until a name has been found for the first
//! time its addresses are like any other's; from then on the last addresses hold, however long it cannot be found.

use core::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::jails::JailBits;
use crate::action::message::Found;
use crate::config::Config;
use crate::guard::{JailId, Trust};

/// One name.
pub(super) struct Name {
    pub(super) name: String,
    /// The jails that never ban it, a bit each.
    jails: u32,
    /// Its addresses, sorted; `None`: it was never found.
    pub(super) addresses: Option<Vec<IpAddr>>,
    /// The last lookup found nothing.
    pub(super) is_failing: bool,
}

/// All names.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<Name>,
    /// The addresses and networks beside them, of each jail.
    nets: Vec<Vec<IpNet>>,
}

/// What a name's new addresses change.
pub(super) struct Change {
    pub(super) jails: JailBits,
    /// The addresses before, if there were any.
    pub(super) before: Option<Vec<IpAddr>>,
}

impl Names {
    pub(super) fn new(config: &Config) -> Names {
        let mut names: Vec<Name> = Vec::new();
        for (number, jail) in config.jails.iter().enumerate() {
            let bit = 1_u32 << number;
            for name in &jail.ignorenames {
                match names.iter_mut().find(|known| known.name == *name) {
                    Some(known) => known.jails |= bit,
                    None => names.push(Name {
                        name: name.clone(),
                        jails: bit,
                        addresses: None,
                        is_failing: false,
                    }),
                }
            }
        }
        let nets = config.jails.iter().map(|jail| jail.ignoreip.clone());
        Names {
            nets: if names.is_empty() {
                Vec::new()
            } else {
                nets.collect()
            },
            names,
        }
    }

    /// Takes over what is known of names that are still there.
    pub(super) fn inherit(&mut self, old: &mut Names) {
        for name in &mut self.names {
            if let Some(known) = old.names.iter_mut().find(|known| known.name == name.name) {
                name.addresses = known.addresses.take();
                name.is_failing = known.is_failing;
            }
        }
    }

    /// Takes an answer. `None`: it changes nothing.
    pub(super) fn found(&mut self, found: Found) -> Option<Change> {
        let name = self.names.iter_mut().find(|name| name.name == found.name)?;
        name.is_failing = found.addresses.is_none();
        let addresses = found.addresses.filter(|addresses| !addresses.is_empty())?;
        if name.addresses.as_ref() == Some(&addresses) {
            return None;
        }
        Some(Change {
            jails: JailBits(name.jails),
            before: name.addresses.replace(addresses),
        })
    }

    /// Whom a jail never bans, its names included; `None` if it has no names.
    pub(super) fn trust(&self, jail: JailId) -> Option<Trust> {
        let mut names = self.of(jail).peekable();
        names.peek()?;
        let nets = self.nets.get(usize::from(jail.0)).into_iter().flatten().copied();
        let addresses = names.flat_map(|name| name.addresses.iter().flatten());
        Some(Trust::new(
            nets.chain(addresses.map(|address| IpNet::from(*address))),
        ))
    }

    /// The names of a jail.
    pub(super) fn of(&self, jail: JailId) -> impl Iterator<Item = &Name> {
        let bit = 1_u32.checked_shl(jail.0.into()).unwrap_or(0);
        self.names.iter().filter(move |name| name.jails & bit != 0)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Name> {
        self.names.iter().find(|known| known.name == name)
    }
}

/// Addresses, a blank between two.
pub(super) struct Listed<'a>(pub(super) &'a [IpAddr]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.0.iter().enumerate() {
            write!(f, "{}{address}", if number == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        let read = &mut |_: &std::path::Path| Ok(text.as_bytes().to_vec());
        let (config, _) = crate::config::load(std::path::Path::new("jail.local"), read).unwrap();
        Names::new(&config)
    }

    const TWO: &str = "[asterisk]\nenabled = true\nignoreip = 10.0.0.1 a.example b.example\n\
        [sshd]\nenabled = true\nignoreip = b.example\n[dropbear]\nenabled = true\nignoreip = 10.0.0.2\n";

    fn found(names: &mut Names, name: &str, addresses: Option<&[&str]>) -> Option<Vec<u16>> {
        let parsed = addresses.map(|all| all.iter().map(|address| address.parse().unwrap()).collect());
        let change = names.found(Found {
            name: name.to_owned(),
            addresses: parsed,
        });
        change.map(|change| change.jails.map(|JailId(number)| number).collect())
    }

    fn is_trusted(names: &Names, jail: u16, address: &str) -> Option<bool> {
        let trust = names.trust(JailId(jail))?;
        Some(trust.holds(address.parse().unwrap()))
    }

    #[test]
    fn the_addresses_of_a_name_count_in_its_jails() {
        let mut names = names(TWO);
        assert_eq!(
            found(&mut names, "b.example", Some(&["192.0.2.1"])),
            Some(vec![0, 1])
        );
        assert_eq!(
            found(&mut names, "a.example", Some(&["192.0.2.9", "2001:db8::9"])),
            Some(vec![0])
        );
        for (jail, address, want) in [
            (0, "192.0.2.1", Some(true)),
            (0, "2001:db8::9", Some(true)),
            (0, "10.0.0.1", Some(true)),
            (0, "192.0.2.2", Some(false)),
            (1, "192.0.2.1", Some(true)),
            (1, "192.0.2.9", Some(false)),
            (1, "10.0.0.1", Some(false)),
            (2, "10.0.0.2", None),
        ] {
            assert_eq!(is_trusted(&names, jail, address), want, "{jail} {address}");
        }
    }

    #[test]
    fn the_last_good_answer_holds() {
        let mut names = names(TWO);
        assert_eq!(found(&mut names, "a.example", None), None);
        assert!(names.get("a.example").unwrap().is_failing);
        assert!(found(&mut names, "a.example", Some(&["192.0.2.1"])).is_some());
        assert_eq!(found(&mut names, "a.example", Some(&["192.0.2.1"])), None);
        assert_eq!(found(&mut names, "a.example", None), None);
        assert_eq!(found(&mut names, "a.example", Some(&[])), None);
        assert_eq!(is_trusted(&names, 0, "192.0.2.1"), Some(true));
        assert!(found(&mut names, "a.example", Some(&["192.0.2.2"])).is_some());
        assert_eq!(is_trusted(&names, 0, "192.0.2.1"), Some(false));
        assert_eq!(found(&mut names, "c.example", Some(&["192.0.2.2"])), None);
    }

    #[test]
    fn another_configuration_knows_what_was_known() {
        let mut old = names(TWO);
        found(&mut old, "b.example", Some(&["192.0.2.1"]));
        let mut new = names("[sshd]\nenabled = true\nignoreip = b.example c.example\n");
        new.inherit(&mut old);
        assert_eq!(is_trusted(&new, 0, "192.0.2.1"), Some(true));
        assert!(new.get("c.example").unwrap().addresses.is_none());
    }
}
