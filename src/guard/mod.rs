//! The truth about failures and bans.
//!
//! The guard takes failures and a `now`, and decides; it returns what happened. It cannot fail, reads no
//! clock and knows neither files nor sockets: [`Guard::observe`] takes what a filter read,
//! [`Guard::poll_effect`] gives what the kernel needs, [`Guard::acked`] takes the kernel's answer.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod asking;
mod bans;
mod by_hand;
mod convict;
mod deadlines;
mod doubt;
mod effect;
mod escalation;
mod failures;
mod flood;
mod history;
mod index;
mod kept;
mod known;
mod lifting;
mod phrase;
mod reach;
mod recent;
mod reports;
mod row;
mod slab;
mod summary;
mod tally;
mod traces;
mod tried;
mod trust;
mod weigh;
mod wide;

use core::net::IpAddr;

use ipnet::IpNet;

pub use asking::{Answer, Question, Settled};
pub use by_hand::NotBanned;
pub use effect::{Change, Effect, JailId, Reach, Slot};
pub use escalation::Escalation;
pub use flood::Surge;
pub use index::Seed;
pub use kept::Kept;
pub use phrase::Why;
pub use reports::Source;
pub use row::Ban;
pub use summary::{Pattern, Summary};
pub use tally::Tally;
pub use trust::Trust;
pub use weigh::{Evidence, Remark};
pub use wide::{Bannet, WIDE, Wide};

// What else keeps attempts and sources by the same rules: the replay of a log.
pub(crate) use failures::{join_seconds, number};
pub(crate) use index::{Index, Key};
pub(crate) use reports::Reports;
pub(crate) use slab::{Linked, Links, List, NONE, Slab};

use crate::addr;
use crate::filter::Failure;
use crate::limits::REASONS_MAX;
use crate::time::Mono;
use asking::Asking;
use bans::Bans;
use failures::{Failures, Noted};
use flood::Flood;
use history::History;
use known::Known;
use recent::Recent;
use traces::Traces;
use wide::Networks;

/// Rows of the failure ring that one source may fill, beyond twice its jail's `maxretry`: claimed attempts
/// wait there for the NOTICE that they support.
const KEEP_EXTRA: u32 = 8;

/// What a jail decides by.
#[derive(Clone, Debug)]
pub struct Policy {
    /// So many failures within `findtime` bring a ban; at least 1.
    pub maxretry: u32,
    /// How far back failures count, in seconds.
    pub findtime: u64,
    /// How long a ban lasts, in seconds; `None` is for ever.
    pub bantime: Option<u64>,
    /// A ban that is not proven lasts no longer than this, in seconds.
    pub bantime_unproven: Option<u64>,
    /// `bantime.increment`: how the time grows.
    pub escalation: Option<Escalation>,
    /// It counts bans by other jails, not failures: fail2ban's `recidive`.
    pub recidive: bool,
    /// Bans that are not proven drop only what belongs to flows that the source opened ([`Reach::Opened`]).
    pub reach_by_proof: bool,
    /// What counts beside the number of failures.
    pub evidence: Evidence,
    /// `ignoreip`.
    pub trust: Trust,
}

/// What is the same for all jails.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Recent failures kept.
    pub ring: u32,
    /// Bans kept at the same time.
    pub maxbans: u32,
    /// IPv6 sources are counted and banned by networks of this length.
    pub ipv6prefix: u8,
    /// `dbpurgeage`: for how long an ended ban is one of those before, in seconds; `None` is for ever.
    pub purge_age: Option<u64>,
    /// The box's own addresses, gateways and resolvers.
    pub own: Trust,
    /// Random, so that nobody outside can choose addresses that collide in our tables.
    pub seed: Seed,
}

/// What became of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its source is never banned: in `ignoreip`, or of our own.
    Trusted,
    /// A further line of an attempt that is counted.
    Joined,
    /// Evidence that the sender could have chosen: it counts once other evidence supports it.
    Claimed,
    /// Counted: the source has so many failures within findtime.
    Counted(u32),
    /// The source is banned already.
    Banned,
    /// It would have brought a ban, which waits until `ignorecommand` has said something about the source.
    Held,
    /// The source is banned already, and what was not proven is by now.
    Proven(Ban),
    /// It brought a ban.
    Ban(Verdict),
    /// It would have brought a ban, and the table is full of bans that this one may not displace.
    TableFull(Verdict),
    /// The ring is full of better evidence.
    Dropped,
}

/// A ban and its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The ban.
    pub ban: Ban,
    /// What the failures came to.
    pub why: Summary,
    /// The ban that had to end because the table was full.
    pub displaced: Option<Ban>,
}

/// Counters for `status`, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Failures that counted.
    pub failures: u64,
    /// Failures of trusted sources.
    pub trusted: u64,
    /// Failures of banned sources.
    pub while_banned: u64,
    /// Bans made.
    pub bans: u64,
    /// Failures dropped because the ring was full of better evidence.
    pub dropped: u64,
    /// Bans that ended early because the table was full.
    pub displaced: u64,
    /// Bans not made because the table was full.
    pub table_full: u64,
    /// Lines that somebody may have forged.
    pub suspicious: u64,
}

/// All failures and bans.
pub struct Guard {
    policies: Vec<Policy>,
    settings: Settings,
    failures: Failures,
    bans: Bans,
    /// A banned source that was heard of although it should be cut off.
    doubt: Option<(JailId, IpNet, Reach)>,
    history: History,
    asking: Asking,
    known: Known,
    traces: Traces,
    networks: Networks,
    /// Why the latest bans were made.
    reasons: Recent<Summary>,
    /// Of each jail.
    floods: Vec<Flood>,
    remark: Option<Remark>,
    /// How many bans were given a random part of their time.
    drawn: u64,
    /// Of each jail.
    stats: Vec<Stats>,
}

impl Guard {
    /// A guard that has seen nothing; the policies' order gives the [`JailId`]s.
    #[must_use]
    pub fn new(policies: Vec<Policy>, settings: Settings) -> Guard {
        Guard {
            failures: Failures::new(settings.ring, settings.seed),
            bans: Bans::new(settings.maxbans, reach::by_proof(&policies), settings.seed),
            history: History::new(
                policies.iter().any(|policy| policy.escalation.is_some()),
                settings.purge_age,
                settings.seed,
            )
            .halving(policies.iter().any(|policy| policy.evidence.halves)),
            asking: Asking::default(),
            known: Known::new(settings.seed),
            traces: Traces::new(settings.seed),
            networks: Networks::new(settings.seed),
            reasons: Recent::new(REASONS_MAX, settings.seed),
            floods: vec![Flood::default(); policies.len()],
            remark: None,
            drawn: 0,
            stats: vec![Stats::default(); policies.len()],
            policies,
            settings,
            doubt: None,
        }
    }

    /// Takes one failure that a file of this jail reported.
    pub fn observe(&mut self, jail: JailId, source: Source, failure: &Failure, now: Mono) -> Outcome {
        let Some(policy) = self.policies.get(usize::from(jail.0)) else {
            return Outcome::Trusted;
        };
        let net = self.source_net(failure.addr, policy);
        if self.is_trusted(failure.addr, policy) {
            self.count(jail, |stats| &mut stats.trusted);
            return Outcome::Trusted;
        }
        if self.bans.find(net, jail, now).is_some() {
            self.count(jail, |stats| &mut stats.while_banned);
            if let Some(ban) = self.bans.prove(Key::new(net, jail), failure.proof) {
                return Outcome::Proven(ban);
            }
            self.heard_of_banned(net, jail, now);
            return Outcome::Banned;
        }
        if self.is_in_wide(net, jail, now) {
            self.count(jail, |stats| &mut stats.while_banned);
            return Outcome::Banned;
        }
        let key = Key::new(net, jail);
        let most = policy.maxretry.saturating_mul(2);
        let keep = most
            .max(policy.evidence.phone.unwrap_or(0))
            .saturating_add(KEEP_EXTRA);
        match self
            .failures
            .note(key, source, failure, now, policy.findtime, keep)
        {
            Noted::Joined => Outcome::Joined,
            Noted::Claimed => Outcome::Claimed,
            Noted::Dropped => {
                self.count(jail, |stats| &mut stats.dropped);
                Outcome::Dropped
            }
            Noted::Counted(count) => {
                self.count(jail, |stats| &mut stats.failures);
                self.weigh((key, net, jail), failure, count, now)
            }
        }
    }

    /// How far back failures count in a jail, in seconds.
    #[must_use]
    pub fn findtime(&self, jail: JailId) -> u64 {
        self.policies
            .get(usize::from(jail.0))
            .map_or(0, |policy| policy.findtime)
    }

    /// The next ban whose time is over. Called until it returns `None`.
    pub fn expire(&mut self, now: Mono) -> Option<Ban> {
        self.bans.expire(now)
    }

    /// The next change that the kernel needs, if any. Called until it returns `None` or the batch is full;
    /// each one taken is answered with [`Guard::acked`].
    pub fn poll_effect(&mut self, now: Mono) -> Option<Effect> {
        self.bans.poll_effect(now)
    }

    /// Whether [`Guard::poll_effect`] has something to give without waiting.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        self.bans.has_effects()
    }

    /// The kernel's answer to an effect: whether it took it. What it did not take is asked for again.
    pub fn acked(&mut self, slot: Slot, taken: bool, now: Mono) {
        self.bans.acked(slot, taken, now);
    }

    /// The longest time the kernel can hold a ban, in milliseconds; longer bans are sent again in time.
    pub fn set_longest_timeout(&mut self, longest_ms: u64) {
        self.bans.set_longest(longest_ms);
    }

    /// When to call again although nothing happened.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let deadlines = [self.bans.next_deadline(), self.asking.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// All bans, in no order.
    pub fn bans(&self) -> impl Iterator<Item = Ban> {
        self.bans.iter()
    }

    /// Bans in the table.
    #[must_use]
    pub fn ban_count(&self) -> u32 {
        self.bans.len()
    }

    /// Bans that the kernel is not known to hold.
    #[must_use]
    pub fn not_in_force(&self) -> u32 {
        self.bans.not_in_force()
    }

    /// Attempts in the ring.
    #[must_use]
    pub fn failures_kept(&self) -> u32 {
        self.failures.len()
    }

    /// Counters since the start, of all jails.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats.iter().fold(Stats::default(), |sum, more| Stats {
            failures: sum.failures + more.failures,
            trusted: sum.trusted + more.trusted,
            while_banned: sum.while_banned + more.while_banned,
            bans: sum.bans + more.bans,
            dropped: sum.dropped + more.dropped,
            displaced: sum.displaced + more.displaced,
            table_full: sum.table_full + more.table_full,
            suspicious: sum.suspicious + more.suspicious,
        })
    }

    /// Takes over the bans of a guard with another configuration; `jail` says what became of a jail
    /// (`None`: it is gone, and its bans with it). Bans of who is trusted by now are lifted, and what the kernel
    /// has not let go yet is asked for again. A banned IPv6 network becomes the one of the new `ipv6prefix` that
    /// holds it. Failures go on, too, as long as they are counted by the same networks. Returns how many bans ended.
    pub fn inherit(&mut self, old: &mut Guard, jail: impl Fn(JailId) -> Option<JailId>) -> u32 {
        let same = |number: usize| jail(JailId(number as u16)) == Some(JailId(number as u16));
        let keyed_alike =
            (old.settings.ring, old.settings.ipv6prefix) == (self.settings.ring, self.settings.ipv6prefix);
        if keyed_alike && self.policies.len() == old.policies.len() && (0..self.policies.len()).all(same) {
            core::mem::swap(&mut self.failures, &mut old.failures);
        } else {
            self.inherit_failures(&old.failures, &jail);
        }
        for ban in old.bans.leaving() {
            if let Some(jail) = jail(ban.jail) {
                self.expel(Ban { jail, ..ban });
            }
        }
        for ban in old.bans.iter() {
            let Some(jail) = jail(ban.jail) else { continue };
            let Some(policy) = self.policies.get(usize::from(jail.0)) else {
                continue;
            };
            let net = self.net_as_configured(ban.net, jail);
            let net = net.filter(|net| !self.overlaps_trusted(*net, policy));
            if !net.is_some_and(|net| self.bans.extend(Ban { net, jail, ..ban })) {
                self.expel(Ban { jail, ..ban });
            } else {
                self.settle_reach(ban.net, jail, &old.bans, &ban);
            }
        }
        for (number, stats) in (0..).zip(&old.stats) {
            let new = jail(JailId(number)).and_then(|jail| self.stats.get_mut(usize::from(jail.0)));
            if let Some(new) = new {
                *new = *stats;
            }
        }
        self.asking.inherit(&mut old.asking, &jail);
        self.hold_as_configured();
        self.known.inherit(&old.known, &jail);
        self.inherit_reasons(&old.reasons, &jail);
        self.traces.inherit(&old.traces, &jail);
        self.inherit_floods(&old.floods, &jail);
        self.history.inherit(&old.history, jail);
        old.bans.len().saturating_sub(self.bans.len())
    }

    /// Has the kernel let go of a ban. With another `ipv6prefix` its sets were made anew, and have no such element.
    pub(crate) fn expel(&mut self, ban: Ban) {
        if self.net_as_configured(ban.net, ban.jail) == Some(ban.net) {
            self.bans.expel(ban);
        }
    }

    /// A network as the kernel has sets for: a single address, or of the length that is configured.
    fn net_as_configured(&self, net: IpNet, jail: JailId) -> Option<IpNet> {
        let bits = self.settings.ipv6prefix;
        let single = net.prefix_len() == net.max_prefix_len();
        if single || net.prefix_len() == bits || self.may_be_wide(net, jail) {
            Some(net)
        } else if net.prefix_len() > bits {
            IpNet::new(addr::network(net.addr(), bits), bits).ok()
        } else {
            None
        }
    }

    fn count(&mut self, jail: JailId, counter: impl Fn(&mut Stats) -> &mut u64) {
        if let Some(stats) = self.stats.get_mut(usize::from(jail.0)) {
            *counter(stats) += 1;
        }
    }

    /// Rule R2.
    fn is_trusted(&self, address: IpAddr, policy: &Policy) -> bool {
        addr::is_never_remote(address) || self.overlaps_trusted(IpNet::from(addr::unmap(address)), policy)
    }

    fn overlaps_trusted(&self, net: IpNet, policy: &Policy) -> bool {
        policy.trust.overlaps(net) || self.settings.own.overlaps(net)
    }

    /// What a source is counted and banned by: an IPv4 address, or an IPv6 network. If that network holds a
    /// trusted address, as the one of our own LAN does, it is the single address.
    fn source_net(&self, address: IpAddr, policy: &Policy) -> IpNet {
        let address = addr::unmap(address);
        let host = IpNet::from(address);
        let bits = self.settings.ipv6prefix;
        if address.is_ipv4() || bits >= host.max_prefix_len() {
            return host;
        }
        match IpNet::new(addr::network(address, bits), bits) {
            Ok(net) if !self.overlaps_trusted(net, policy) => net,
            Ok(_) | Err(_) => host,
        }
    }
}
