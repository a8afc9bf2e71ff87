//! The ring of recent failures: a fixed number of entries, and a count per source in constant time.
//!
//! An entry is one *attempt*. Asterisk reports an attempt in several lines (NOTICE, SECURITY, and copies of
//! both in other files); they join the entry of their attempt and so count once (rule R3):
//!
//! * a *stream* is one file and one of Asterisk's two reports ([`crate::filter::Witness`]);
//! * a line joins the oldest attempt of its id that its own stream has not yet reported at that [`crate::filter::Step`], if
//!   that attempt began within [`JOIN_SECONDS`] (sshd: [`JOIN_SECONDS_SSHD`]);
//! * otherwise it begins a new attempt. So a sender who uses one Call-ID for many tries is counted for each.
//!
//! At the bound: the oldest claimed entry makes room, then the oldest without proof, but not for a claimed one; an
//! entry with proof makes room only for another with proof (rule R6). The sender of claimed attempts chooses their
//! address, his own too: else he would push out with them what counts against him.

use core::net::IpAddr;

use super::JailId;
use super::index::{Index, Key, Seed};
use super::reports::{Reports, Source};
use super::slab::{Linked, Links, List, NONE, Slab};
use crate::filter::{Attempt, Failure, Kind, Proof, Service};
use crate::time::Mono;

/// How long after an attempt's first line another line may join it, in seconds. Channels of one Asterisk are
/// written within milliseconds of each other; a phone answers a challenge within its retransmission time
/// (SIP timer T1 to T2, RFC 3261).
const JOIN_SECONDS: u64 = 10;

/// The same for sshd, whose attempts are told apart by their process: `Invalid user` is written when the name is given,
/// `Failed password` when somebody has typed one. `LoginGraceTime`, by default (sshd_config(5)).
const JOIN_SECONDS_SSHD: u64 = 120;

/// How long after an attempt's first line another line may join it, in seconds.
pub(crate) fn join_seconds(service: Service) -> u64 {
    match service {
        Service::Sshd => JOIN_SECONDS_SSHD,
        Service::Sip
        | Service::Pjsip
        | Service::Iax2
        | Service::Ami
        | Service::Dialplan
        | Service::Dropbear
        | Service::Custom => JOIN_SECONDS,
    }
}

/// How many of a source's latest attempts are looked at to find the one that a line belongs to.
const JOIN_STEPS: usize = 256;

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The source it belongs to: a number in `sources`.
    pub(super) source: u32,
    pub(super) attempt: u64,
    pub(super) at: Mono,
    pub(super) reports: Reports,
    pub(super) kind: Kind,
    pub(super) proof: Proof,
    /// It is on disk as it is here.
    pub(super) saved: bool,
    pub(super) of_source: Links,
    pub(super) of_age: Links,
}

impl Entry {
    pub(super) fn counts(&self) -> bool {
        self.proof > Proof::Claimed
    }
}

pub(super) const OF_SOURCE: usize = 0;
pub(super) const OF_AGE: usize = 1;

impl Linked<OF_SOURCE> for Entry {
    fn links(&self) -> Links {
        self.of_source
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.of_source
    }
}

impl Linked<OF_AGE> for Entry {
    fn links(&self) -> Links {
        self.of_age
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.of_age
    }
}

/// One address or network in one jail, with its attempts from oldest to newest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) key: Key,
    pub(super) attempts: List,
    pub(super) stored: u32,
    pub(super) counted: u32,
}

/// What became of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It began an attempt or raised one to evidence: the source has so many within findtime.
    Counted(u32),
    /// It is another line of an attempt that is counted.
    Joined,
    /// It is kept to support other evidence, and counts nothing by itself.
    Claimed,
    /// The ring is full of proven evidence, and this one is not proven.
    Dropped,
}

/// What a source's attempts came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Attempts that counted.
    pub failures: u32,
    /// When the first of them was seen.
    pub first: Mono,
    /// What the last one was.
    pub last: Kind,
    /// The surest proof among them.
    pub proof: Proof,
}

/// The ring.
pub(crate) struct Failures {
    pub(super) entries: Slab<Entry>,
    pub(super) accounts: Slab<Account>,
    /// Accounts of each jail.
    accounts_of: Vec<u32>,
    index: Index,
    /// Entries that are only claimed, without and with proof, from oldest to newest.
    claimed: List,
    unproven: List,
    proven: List,
    /// The longest findtime of any jail, in seconds: what is older is evidence nowhere.
    pub(super) findtime_max: u64,
    /// The number of the next attempt that has no id: the state file tells by it which one is meant.
    serial: u64,
}

impl Failures {
    pub(crate) fn new(ring: u32, seed: Seed) -> Failures {
        Failures {
            entries: Slab::new(ring),
            accounts: Slab::new(ring),
            accounts_of: Vec::new(),
            index: Index::new(seed),
            claimed: List::EMPTY,
            unproven: List::EMPTY,
            proven: List::EMPTY,
            findtime_max: 0,
            serial: seed.0[0],
        }
    }

    /// Sources of a jail that have an attempt in the ring.
    pub(crate) fn sources(&self, jail: JailId) -> u32 {
        self.accounts_of.get(usize::from(jail.0)).copied().unwrap_or(0)
    }

    /// Attempts in the ring.
    pub(crate) fn len(&self) -> u32 {
        self.entries.len()
    }

    /// Enters one line. `keep` bounds the attempts stored for one source.
    pub(crate) fn note(
        &mut self,
        key: Key,
        source: Source,
        failure: &Failure,
        now: Mono,
        findtime: u64,
        keep: u32,
    ) -> Noted {
        self.findtime_max = self.findtime_max.max(findtime);
        let mut account = self.forget_old(key, now, findtime);
        let join = join_seconds(failure.kind.service);
        if let (Some(account), Some(attempt)) = (account, failure.attempt) {
            if let Some(id) = self.find_attempt(account, attempt, source, now, join) {
                return self.raise(id, failure);
            }
        }
        while let Some(id) = account.filter(|&id| self.accounts.at(id).stored >= keep) {
            match self.least_of(id, failure.proof) {
                Some(least) => self.forget_entry(least),
                None => return Noted::Claimed,
            }
            account = self.account(key);
        }
        if self.entries.is_full() {
            if !self.make_room(failure.proof, now) {
                return Noted::Dropped;
            }
            // It may have been this source's last attempt that made room.
            account = self.account(key);
        }
        self.insert(key, account, source, failure, now)
    }

    /// Takes a source's attempts out of the ring, and says what they came to.
    pub(crate) fn take(&mut self, key: Key) -> Option<Summary> {
        let account = *self.accounts.at(self.account(key)?);
        let mut summary: Option<Summary> = None;
        let mut id = account.attempts.first;
        while id != NONE {
            let entry = *self.entries.at(id);
            if entry.counts() {
                let so_far = summary.get_or_insert(Summary {
                    failures: 0,
                    first: entry.at,
                    last: entry.kind,
                    proof: entry.proof,
                });
                so_far.failures += 1;
                so_far.last = entry.kind;
                so_far.proof = so_far.proof.max(entry.proof);
            }
            id = entry.of_source.next;
        }
        self.forget(key);
        summary
    }

    /// Forgets a source's attempts up to this time.
    pub(crate) fn forget_until(&mut self, key: Key, until: Mono) {
        while let Some(id) = self.account(key) {
            if self.entries.at(self.accounts.at(id).attempts.first).at > until {
                return;
            }
            self.forget_oldest_of(key);
        }
    }

    /// Forgets a source.
    pub(crate) fn forget(&mut self, key: Key) {
        while self.account(key).is_some() {
            self.forget_oldest_of(key);
        }
    }

    pub(super) fn account(&self, key: Key) -> Option<u32> {
        self.index.find(key, |id| self.accounts.at(id).key)
    }

    /// findtime: attempts older than it are no evidence any more. Gives the source's account, if one is left.
    fn forget_old(&mut self, key: Key, now: Mono, findtime: u64) -> Option<u32> {
        loop {
            let id = self.account(key)?;
            let oldest = self.entries.at(self.accounts.at(id).attempts.first);
            if now <= oldest.at.plus_seconds(findtime) {
                return Some(id);
            }
            self.forget_oldest_of(key);
        }
    }

    fn find_attempt(
        &mut self,
        account: u32,
        attempt: Attempt,
        source: Source,
        now: Mono,
        within: u64,
    ) -> Option<u32> {
        let stream = source.stream(attempt.witness);
        let mut id = self.accounts.at(account).attempts.last;
        let mut found = None;
        for _ in 0..JOIN_STEPS {
            let Some(entry) = (id != NONE).then(|| self.entries.at(id)) else {
                break;
            };
            if entry.at.plus_seconds(within) < now {
                break;
            }
            if entry.attempt == attempt.id && entry.reports.takes(stream, attempt.step) {
                found = Some(id);
            }
            id = entry.of_source.previous;
        }
        let entry = self.entries.at_mut(found?);
        entry.reports.join(stream, attempt.step);
        entry.saved = false;
        found
    }

    /// Adds what another line of the same attempt shows.
    fn raise(&mut self, id: u32, failure: &Failure) -> Noted {
        let entry = self.entries.at_mut(id);
        let before = *entry;
        if failure.proof > entry.proof {
            (entry.proof, entry.kind) = (failure.proof, failure.kind);
        }
        let (counts, proven, source) = (entry.counts(), entry.proof.is_proven(), entry.source);
        if (counts, proven) != (before.counts(), before.proof.is_proven()) {
            let proof = entry.proof;
            let (age, entries) = self.age_of(before.proof);
            age.remove::<OF_AGE, Entry>(entries, id);
            let (age, entries) = self.age_of(proof);
            age.push::<OF_AGE, Entry>(entries, id);
        }
        if counts == before.counts() {
            return if counts { Noted::Joined } else { Noted::Claimed };
        }
        let account = self.accounts.at_mut(source);
        account.counted += 1;
        Noted::Counted(account.counted)
    }

    /// Frees an entry of the full ring: of the weakest evidence there is, but of none that is better than `proof`.
    fn make_room(&mut self, proof: Proof, now: Mono) -> bool {
        let old = [self.proven.first, self.unproven.first];
        let oldest = if let Some(id) = old.into_iter().find(|&id| self.is_old(id, now)) {
            id
        } else if !self.claimed.is_empty() {
            self.claimed.first
        } else if !self.unproven.is_empty() && proof > Proof::Claimed {
            self.unproven.first
        } else if proof.is_proven() {
            self.proven.first
        } else {
            return false;
        };
        self.forget_entry(oldest);
        true
    }

    /// Which attempt of a source makes room for another: the oldest that does not count, else the oldest, unless the
    /// new one would not count. Fewer than maxretry count, so that the walk is short.
    fn least_of(&self, account: u32, proof: Proof) -> Option<u32> {
        let first = self.accounts.at(account).attempts.first;
        let mut id = first;
        while id != NONE {
            let entry = self.entries.at(id);
            if !entry.counts() {
                return Some(id);
            }
            id = entry.of_source.next;
        }
        (proof > Proof::Claimed).then_some(first)
    }

    /// The list by age that entries with `proof` are in, and all entries.
    pub(super) fn age_of(&mut self, proof: Proof) -> (&mut List, &mut Slab<Entry>) {
        let age = match proof {
            Proof::Claimed => &mut self.claimed,
            Proof::Blind => &mut self.unproven,
            Proof::Nonce | Proof::Transport => &mut self.proven,
        };
        (age, &mut self.entries)
    }

    /// Whether there is such an entry, older than the findtime of every jail. Its source need never come back to
    /// clear it away.
    fn is_old(&self, id: u32, now: Mono) -> bool {
        id != NONE && self.entries.at(id).at.plus_seconds(self.findtime_max) < now
    }

    /// When an attempt was seen: `now`, or the millisecond after the last one of the same id. What is kept of attempts
    /// is told apart by id and time, and lines that are read together have the same `now`.
    fn own_time(&self, account: u32, attempt: u64, now: Mono) -> Mono {
        let mut id = self.accounts.at(account).attempts.last;
        while id != NONE {
            let entry = self.entries.at(id);
            if entry.at < now {
                break;
            }
            if entry.attempt == attempt {
                return Mono(entry.at.0.saturating_add(1));
            }
            id = entry.of_source.previous;
        }
        now
    }

    fn insert(
        &mut self,
        key: Key,
        account: Option<u32>,
        source: Source,
        failure: &Failure,
        now: Mono,
    ) -> Noted {
        let mut reports = Reports::default();
        match failure.attempt {
            Some(attempt) => _ = reports.join(source.stream(attempt.witness), attempt.step),
            // What does not say which attempt it belongs to is one of its own.
            None => reports.closed = u32::MAX,
        }
        let Some(account) = account.or_else(|| self.open_account(key)) else {
            return Noted::Dropped;
        };
        self.serial = self.serial.wrapping_add(1);
        let attempt = failure.attempt.map_or(self.serial, |attempt| attempt.id);
        let entry = Entry {
            source: account,
            attempt,
            at: self.own_time(account, attempt, now),
            reports,
            kind: failure.kind,
            proof: failure.proof,
            saved: false,
            of_source: Links::NOWHERE,
            of_age: Links::NOWHERE,
        };
        let Some(id) = self.entries.insert(entry) else {
            return Noted::Dropped;
        };
        let (age, entries) = self.age_of(entry.proof);
        age.push::<OF_AGE, Entry>(entries, id);
        let account = self.accounts.at_mut(account);
        account.attempts.push::<OF_SOURCE, Entry>(&mut self.entries, id);
        account.stored += 1;
        account.counted += u32::from(entry.counts());
        if entry.counts() {
            Noted::Counted(account.counted)
        } else {
            Noted::Claimed
        }
    }

    /// The account of a source; a new one if it has none. `None`: there is no room.
    pub(super) fn account_for(&mut self, key: Key) -> Option<u32> {
        self.account(key).or_else(|| self.open_account(key))
    }

    fn open_account(&mut self, key: Key) -> Option<u32> {
        let account = Account {
            key,
            attempts: List::EMPTY,
            stored: 0,
            counted: 0,
        };
        let id = self.accounts.insert(account)?;
        self.index.insert(key, id, |id| self.accounts.at(id).key);
        let jail = usize::from(key.jail().0);
        if self.accounts_of.len() <= jail {
            self.accounts_of.resize(jail + 1, 0);
        }
        if let Some(count) = self.accounts_of.get_mut(jail) {
            *count += 1;
        }
        Some(id)
    }

    fn forget_oldest_of(&mut self, key: Key) {
        if let Some(id) = self.account(key) {
            self.forget_entry(self.accounts.at(id).attempts.first);
        }
    }

    pub(super) fn forget_entry(&mut self, id: u32) {
        let entry = *self.entries.at(id);
        let (age, entries) = self.age_of(entry.proof);
        age.remove::<OF_AGE, Entry>(entries, id);
        let account = self.accounts.at_mut(entry.source);
        account.attempts.remove::<OF_SOURCE, Entry>(&mut self.entries, id);
        account.stored -= 1;
        account.counted -= u32::from(entry.counts());
        self.entries.release(id);
        if account.stored == 0 {
            let key = account.key;
            self.index.remove(key, |id| self.accounts.at(id).key);
            self.accounts.release(entry.source);
            if let Some(count) = self.accounts_of.get_mut(usize::from(key.jail().0)) {
                *count -= 1;
            }
        }
    }
}

/// The address as the number that tables are keyed by: IPv4 as `::ffff:a.b.c.d`.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Class, Step, Witness};

    const NOTICE: Witness = Witness::Notice;
    const SECURITY: Witness = Witness::Security;

    struct Ring {
        failures: Failures,
        now: Mono,
        keep: u32,
    }

    impl Ring {
        fn new(ring: u32) -> Ring {
            Ring {
                failures: Failures::new(ring, Seed([3, 4])),
                now: Mono(1000),
                keep: 64,
            }
        }

        fn note(&mut self, host: u8, file: u8, proof: Proof, attempt: Option<(u64, Witness, Step)>) -> Noted {
            let attempt = attempt.map(|(id, witness, step)| Attempt { id, witness, step });
            let failure = Failure {
                addr: IpAddr::from([192, 0, 2, host]),
                kind: Kind {
                    service: Service::Sip,
                    class: Class::Auth,
                },
                proof,
                attempt,
                at: None,
            };
            self.failures
                .note(key(host), Source(file.into()), &failure, self.now, 600, self.keep)
        }
    }

    fn key(host: u8) -> Key {
        Key::new(IpAddr::from([192, 0, 2, host]).into(), JailId(0))
    }

    /// Feeds lines of one source as (file, witness, step, id) and says how many attempts they come to.
    #[track_caller]
    fn check(lines: &[(u8, Witness, Step, u64)], want: u32) {
        let mut ring = Ring::new(64);
        for &(file, witness, step, id) in lines {
            ring.note(1, file, Proof::Blind, Some((id, witness, step)));
        }
        assert_eq!(
            ring.failures.take(key(1)).map_or(0, |summary| summary.failures),
            want
        );
    }

    #[test]
    fn the_lines_of_one_attempt_count_once() {
        use Step::{Closing, Opening, Whole};
        // PJSIP, unknown account, with the challenge three events, and copies.
        let notices = |file| {
            [
                (file, NOTICE, Opening, 7),
                (file, NOTICE, Opening, 7),
                (file, NOTICE, Closing, 7),
            ]
        };
        let events = |file| {
            [
                (file, SECURITY, Opening, 7),
                (file, SECURITY, Opening, 7),
                (file, SECURITY, Closing, 7),
            ]
        };
        check(&notices(0), 1);
        check(&[notices(0), events(1), notices(2), events(2)].concat(), 1);
        check(&[events(1), notices(0)].concat(), 1);
        // Twice the same with one Call-ID is two attempts, in whatever order the channels arrive.
        check(&[notices(0), notices(0), events(1), events(1)].concat(), 2);
        check(&[notices(0), events(1), notices(0), events(1)].concat(), 2);
        // chan_sip: the channels share an id, and each attempt is a line of each.
        check(
            &[
                (0, NOTICE, Whole, 1),
                (0, NOTICE, Whole, 1),
                (1, SECURITY, Whole, 1),
            ],
            2,
        );
        check(
            &[
                (1, SECURITY, Whole, 1),
                (0, NOTICE, Whole, 1),
                (0, NOTICE, Whole, 1),
            ],
            2,
        );
        // The manager: two NOTICEs and one event.
        check(
            &[
                (0, NOTICE, Opening, 1),
                (0, NOTICE, Closing, 1),
                (0, SECURITY, Whole, 1),
            ],
            1,
        );
        check(
            &[
                (0, SECURITY, Whole, 1),
                (0, NOTICE, Opening, 1),
                (0, NOTICE, Closing, 1),
            ],
            1,
        );
    }

    #[test]
    fn one_call_id_does_not_hide_many_attempts() {
        check(&[(0, NOTICE, Step::Closing, 7); 20], 20);
        check(&[(0, NOTICE, Step::Whole, 7); 20], 20);
        // Refusals without credentials cannot be told from the first half of an attempt with them.
        check(&[(0, NOTICE, Step::Opening, 7); 20], 10);
    }

    #[test]
    fn different_attempts_count_each() {
        let lines: Vec<_> = (0..9).map(|id| (0, NOTICE, Step::Closing, id)).collect();
        check(&lines, 9);
    }

    #[test]
    fn a_line_without_an_attempt_is_one_of_its_own() {
        let mut ring = Ring::new(64);
        for count in 1..=3 {
            assert_eq!(ring.note(1, 0, Proof::Blind, None), Noted::Counted(count));
        }
        assert_eq!(
            ring.note(1, 1, Proof::Blind, Some((0, NOTICE, Step::Whole))),
            Noted::Counted(4)
        );
    }

    #[test]
    fn a_late_line_begins_a_new_attempt() {
        let mut ring = Ring::new(64);
        assert_eq!(
            ring.note(1, 0, Proof::Blind, Some((1, NOTICE, Step::Whole))),
            Noted::Counted(1)
        );
        ring.now = ring.now.plus_seconds(JOIN_SECONDS + 1);
        assert_eq!(
            ring.note(1, 0, Proof::Blind, Some((1, SECURITY, Step::Whole))),
            Noted::Counted(2)
        );
    }

    #[test]
    fn a_password_typed_slowly_belongs_to_its_login() {
        let mut ring = Ring::new(64);
        let mut line = |witness, after_seconds| {
            ring.now = ring.now.plus_seconds(after_seconds);
            let failure = Failure {
                addr: IpAddr::from([192, 0, 2, 1]),
                kind: Kind {
                    service: Service::Sshd,
                    class: Class::User,
                },
                proof: Proof::Transport,
                attempt: Some(Attempt {
                    id: 990,
                    witness,
                    step: Step::Closing,
                }),
                at: None,
            };
            ring.failures
                .note(key(1), Source(0), &failure, ring.now, 600, ring.keep)
        };
        // "Invalid user" when the name is given, "Failed password" when somebody has typed one.
        assert_eq!(line(SECURITY, 0), Noted::Counted(1));
        assert_eq!(line(NOTICE, 45), Noted::Joined);
        assert_eq!(line(NOTICE, 45), Noted::Counted(2));
        assert_eq!(line(NOTICE, 200), Noted::Counted(3));
    }

    #[test]
    fn claimed_evidence_counts_when_a_notice_supports_it() {
        let mut ring = Ring::new(64);
        for _ in 0..5 {
            assert_eq!(
                ring.note(1, 1, Proof::Claimed, Some((1, SECURITY, Step::Whole))),
                Noted::Claimed
            );
        }
        assert_eq!(
            ring.note(1, 0, Proof::Blind, Some((1, NOTICE, Step::Whole))),
            Noted::Counted(1)
        );
        let summary = ring.failures.take(key(1)).unwrap();
        assert_eq!((summary.failures, summary.proof), (1, Proof::Blind));
        // The other way round.
        assert_eq!(
            ring.note(2, 0, Proof::Blind, Some((1, NOTICE, Step::Whole))),
            Noted::Counted(1)
        );
        assert_eq!(
            ring.note(2, 1, Proof::Claimed, Some((1, SECURITY, Step::Whole))),
            Noted::Joined
        );
        assert_eq!(ring.failures.take(key(2)).unwrap().proof, Proof::Blind);
    }

    #[test]
    fn failures_older_than_findtime_do_not_count() {
        let mut ring = Ring::new(64);
        assert_eq!(ring.note(1, 0, Proof::Blind, None), Noted::Counted(1));
        ring.now = ring.now.plus_seconds(600);
        assert_eq!(ring.note(1, 0, Proof::Blind, None), Noted::Counted(2));
        ring.now = Mono(ring.now.0 + 1);
        assert_eq!(ring.note(1, 0, Proof::Blind, None), Noted::Counted(2));
        assert_eq!(ring.failures.len(), 2);
    }

    #[test]
    fn proven_evidence_is_never_pushed_out_by_blind() {
        let mut ring = Ring::new(64);
        for _ in 0..10 {
            ring.note(1, 0, Proof::Transport, None);
        }
        for host in 2..=255 {
            assert_eq!(ring.note(host, 0, Proof::Blind, None), Noted::Counted(1));
        }
        assert_eq!(ring.failures.len(), 64);
        assert_eq!(ring.note(1, 0, Proof::Transport, None), Noted::Counted(11));
        // Full of proven evidence, the ring takes only such.
        ring.keep = 200;
        for count in 12..=64 {
            assert_eq!(ring.note(1, 0, Proof::Nonce, None), Noted::Counted(count));
        }
        assert_eq!(ring.note(9, 0, Proof::Blind, None), Noted::Dropped);
        assert_eq!(ring.note(9, 0, Proof::Nonce, None), Noted::Counted(1));
    }

    #[test]
    fn claimed_attempts_never_push_out_those_that_count() {
        let mut ring = Ring::new(4096);
        ring.keep = 12;
        for count in 1..=4 {
            assert_eq!(ring.note(1, 0, Proof::Blind, None), Noted::Counted(count));
            for _ in 0..100 {
                assert_eq!(ring.note(1, 1, Proof::Claimed, None), Noted::Claimed);
            }
        }
        // Nor do those of other sources: they fill the ring, and wait for nothing.
        let mut ring = Ring::new(64);
        assert_eq!(ring.note(1, 0, Proof::Blind, None), Noted::Counted(1));
        for host in 2..=255 {
            ring.note(host, 1, Proof::Claimed, None);
        }
        assert_eq!(ring.note(1, 0, Proof::Blind, None), Noted::Counted(2));
    }

    #[test]
    fn proven_evidence_of_sources_that_never_come_back_does_not_fill_the_ring_for_ever() {
        let mut ring = Ring::new(64);
        for host in 1..=64 {
            assert_eq!(ring.note(host, 0, Proof::Transport, None), Noted::Counted(1));
        }
        ring.now = ring.now.plus_seconds(600);
        assert_eq!(ring.note(200, 0, Proof::Blind, None), Noted::Dropped);
        ring.now = ring.now.plus_seconds(1);
        for count in 1..=3 {
            assert_eq!(ring.note(200, 0, Proof::Blind, None), Noted::Counted(count));
        }
    }

    #[test]
    fn one_source_cannot_fill_the_ring() {
        let mut ring = Ring::new(4096);
        ring.note(2, 0, Proof::Blind, None);
        for _ in 0..10_000 {
            ring.note(1, 1, Proof::Claimed, None);
        }
        assert_eq!(ring.failures.len(), ring.keep + 1);
    }
}
