//! Names in logs, in place of addresses (`usedns`): what of them is looked up, and what was found.
//!
//! Whoever owns a name chooses which addresses it has. So they are only claimed (`usedns = warn`): they count where
//! other evidence supports them; or, if the administrator wants it so (`yes`), they count like what one spoofed
//! datagram could cause. Nothing here waits: a name's failures count when its addresses are known.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::jails::JailBits;
use crate::addr;
use crate::config::{Config, UseDns};
use crate::filter::{Class, Failure, Kind, Proof, Service};
use crate::guard::{JailId, Source};
use crate::limits::{LOG_NAME_LINES_MAX, LOG_NAMES_KEPT_MAX, LOG_NAMES_KEPT_SECONDS, LOG_NAMES_WAITING_MAX};
use crate::time::Mono;

/// A name that waits for its addresses.
struct Wait {
    number: u16,
    name: String,
    jail: JailId,
    source: Source,
    /// So many lines had it.
    count: u32,
    asked: bool,
}

/// A name whose addresses are known.
struct Known {
    name: String,
    /// None: it could not be found.
    addresses: Vec<IpAddr>,
    at: Mono,
}

/// All names of logs.
#[derive(Default)]
pub(super) struct LogNames {
    /// Of each jail.
    uses: Vec<UseDns>,
    waiting: Vec<Wait>,
    /// Oldest first.
    known: VecDeque<Known>,
    /// Failures that are to be counted, and how often.
    ready: VecDeque<(JailId, Source, Failure, u32)>,
    number: u16,
    /// Lines whose name found no room.
    lost: u64,
}

impl LogNames {
    pub(super) fn new(config: &Config) -> LogNames {
        LogNames {
            uses: config.jails.iter().map(|jail| jail.usedns).collect(),
            ..LogNames::default()
        }
    }

    /// A line of these jails has this name.
    pub(super) fn saw(&mut self, name: &str, jails: JailBits, source: Source, now: Mono) {
        for jail in jails {
            let kept = self
                .known
                .iter()
                .position(|known| known.name == name && now < known.at.plus_seconds(LOG_NAMES_KEPT_SECONDS));
            if let Some(place) = kept {
                self.count(place, jail, source, 1);
                continue;
            }
            let mut waiting = self.waiting.iter_mut();
            if let Some(wait) = waiting.find(|wait| wait.jail == jail && wait.name == name) {
                wait.count = wait.count.saturating_add(1).min(LOG_NAME_LINES_MAX);
            } else if self.waiting.len() < LOG_NAMES_WAITING_MAX {
                self.number = self.number.wrapping_add(1);
                self.waiting.push(Wait {
                    number: self.number,
                    name: name.to_owned(),
                    jail,
                    source,
                    count: 1,
                    asked: false,
                });
            } else {
                self.lost = self.lost.saturating_add(1);
            }
        }
    }

    /// The failures of a known name.
    fn count(&mut self, place: usize, jail: JailId, source: Source, count: u32) {
        let proof = match self.uses.get(usize::from(jail.0)) {
            Some(UseDns::Yes) => Proof::Blind,
            Some(UseDns::Warn) => Proof::Claimed,
            Some(UseDns::No) | None => return,
        };
        let addresses = self.known.get(place).map(|known| known.addresses.as_slice());
        for addr in addresses.unwrap_or_default() {
            let failure = Failure {
                addr: *addr,
                kind: Kind {
                    service: Service::Custom,
                    class: Class::Auth,
                },
                proof,
                attempt: None,
                account: None,
                at: None,
            };
            self.ready.push_back((jail, source, failure, count));
        }
    }

    /// The next name to ask for, by its number; it is taken for asked from now on.
    pub(super) fn next_question(&mut self) -> Option<u16> {
        let wait = self.waiting.iter_mut().find(|wait| !wait.asked)?;
        wait.asked = true;
        Some(wait.number)
    }

    /// The name of this number.
    pub(super) fn name(&self, number: u16) -> Option<&str> {
        let wait = self.waiting.iter().find(|wait| wait.number == number)?;
        Some(&wait.name)
    }

    /// Nobody will find anything any more.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }

    /// A name has these addresses. Whether somebody has waited for them who is to be warned.
    pub(super) fn found(&mut self, name: &str, addresses: Option<&[IpAddr]>, now: Mono) -> Option<JailId> {
        if !self.waiting.iter().any(|wait| wait.name == name) {
            return None;
        }
        self.known.retain(|known| known.name != name);
        while self.known.len() >= LOG_NAMES_KEPT_MAX {
            self.known.pop_front();
        }
        let remote = addresses.unwrap_or_default().iter().copied();
        self.known.push_back(Known {
            name: name.to_owned(),
            addresses: remote
                .filter(|address| !addr::is_never_remote(*address))
                .collect(),
            at: now,
        });
        let mut warned = None;
        while let Some(place) = self.waiting.iter().position(|wait| wait.name == name) {
            let wait = self.waiting.remove(place);
            self.count(self.known.len() - 1, wait.jail, wait.source, wait.count);
            let warns = self.uses.get(usize::from(wait.jail.0)) == Some(&UseDns::Warn);
            warned = warned.or(warns.then_some(wait.jail));
        }
        warned
    }

    /// The next failure that is to be counted.
    pub(super) fn next_failure(&mut self) -> Option<(JailId, Source, Failure)> {
        let (jail, source, failure, count) = self.ready.front_mut()?;
        let next = (*jail, *source, *failure);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.ready.pop_front();
        }
        Some(next)
    }

    /// How many lines were lost since this was last asked.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono(1_000);

    fn names(uses: &[UseDns]) -> LogNames {
        LogNames {
            uses: uses.to_vec(),
            ..LogNames::default()
        }
    }

    fn failures(names: &mut LogNames) -> Vec<String> {
        let next = || names.next_failure();
        let all = std::iter::from_fn(next);
        all.map(|(JailId(jail), _, failure)| format!("{jail} {} {}", failure.addr, failure.proof.name()))
            .collect()
    }

    fn addresses(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn every_line_with_a_name_counts_for_each_of_its_addresses() {
        let mut names = names(&[UseDns::Yes, UseDns::Warn, UseDns::No]);
        names.saw("a.example", JailBits(0b111), Source(0), NOW);
        names.saw("a.example", JailBits(0b001), Source(0), NOW);
        let number = names.next_question().unwrap();
        assert_eq!(names.name(number), Some("a.example"));
        let found = addresses(&["192.0.2.1", "127.0.0.1", "2001:db8::1"]);
        assert_eq!(names.found("a.example", Some(&found), NOW), Some(JailId(1)));
        let want = [
            "0 192.0.2.1 blind",
            "0 192.0.2.1 blind",
            "0 2001:db8::1 blind",
            "0 2001:db8::1 blind",
            "1 192.0.2.1 claimed",
            "1 2001:db8::1 claimed",
        ];
        assert_eq!(failures(&mut names), want);
        names.saw("a.example", JailBits(0b010), Source(0), NOW.plus_seconds(299));
        assert_eq!(names.next_question(), None, "it is known");
        assert_eq!(failures(&mut names).len(), 2);
        names.saw("a.example", JailBits(0b010), Source(0), NOW.plus_seconds(300));
        assert!(
            names.next_question().is_some(),
            "what is too old is looked up again"
        );
        assert_eq!(names.found("b.example", Some(&found), NOW), None, "nobody asked");
    }

    #[test]
    fn a_name_that_is_not_found_counts_for_nobody_and_is_not_asked_for_again_at_once() {
        let mut names = names(&[UseDns::Yes]);
        names.saw("a.example", JailBits(1), Source(0), NOW);
        assert_eq!(names.found("a.example", None, NOW), None);
        names.saw("a.example", JailBits(1), Source(0), NOW);
        assert_eq!((names.next_question(), failures(&mut names).len()), (None, 0));
    }

    #[test]
    fn more_names_than_can_wait_are_counted() {
        let mut names = names(&[UseDns::Yes]);
        for number in 0..LOG_NAMES_WAITING_MAX + 3 {
            names.saw(&format!("n{number}.example"), JailBits(1), Source(0), NOW);
        }
        assert_eq!((names.take_lost(), names.take_lost()), (3, 0));
        for number in 0..LOG_NAMES_WAITING_MAX {
            names.found(&format!("n{number}.example"), None, NOW);
        }
        assert!(names.waiting.is_empty());
        for number in 0..LOG_NAMES_KEPT_MAX + 9 {
            names.saw(&format!("m{number}.example"), JailBits(1), Source(0), NOW);
            names.found(&format!("m{number}.example"), None, NOW);
        }
        assert_eq!(names.known.len(), LOG_NAMES_KEPT_MAX);
    }
}
