//! What the attempts of a source came to.

use super::failures::Failures;
use super::index::Key;
use super::slab::NONE;
use super::tried::Tried;
use crate::filter::{Kind, Proof};
use crate::time::Mono;

/// What makes a source's attempts too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Their number within findtime.
    Burst,
    /// Their names within the long window.
    Slow,
    /// They are members of a network that were banned.
    Network,
    /// They are challenges that it did not answer.
    Unanswered,
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
    /// All were of this kind.
    pub alike: bool,
    /// So many accounts or extensions were named; more if they are as many as [`crate::limits::TRIED_MAX`].
    pub accounts: u32,
    /// What makes them so many.
    pub pattern: Pattern,
    /// The surest proof among them.
    pub proof: Proof,
}

impl Failures {
    /// What a source's attempts come to.
    pub(crate) fn sum(&self, key: Key) -> Option<Summary> {
        let account = *self.accounts.at(self.account(key)?);
        let (mut summary, mut tried): (Option<Summary>, Tried) = (None, Tried::NONE);
        let mut id = account.attempts.first;
        while id != NONE {
            let entry = *self.entries.at(id);
            if entry.counts() {
                let so_far = summary.get_or_insert(Summary {
                    failures: 0,
                    first: entry.at,
                    last: entry.kind,
                    alike: true,
                    accounts: 0,
                    pattern: Pattern::Burst,
                    proof: entry.proof,
                });
                so_far.failures += 1;
                so_far.alike &= so_far.last == entry.kind;
                so_far.last = entry.kind;
                so_far.proof = so_far.proof.max(entry.proof);
                entry.account.iter().for_each(|&name| tried.note(name, entry.at));
                so_far.accounts = tried.within(u64::MAX, entry.at);
            }
            id = entry.of_source.next;
        }
        summary
    }
}
