//! Why somebody is banned, in one phrase: `5 wrong passwords for 4 accounts in 12s, answered our challenge`.

use core::fmt::{self, Display, Formatter};

use super::index::Key;
use super::recent::Recent;
use super::{Ban, Guard, JailId, Pattern, Summary};
use crate::filter::{Class, Proof};
use crate::limits::TRIED_MAX;
use crate::time::Span;

/// The reasons of a ban, for people.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    /// The ban.
    pub ban: &'a Ban,
    /// Its reasons.
    pub summary: &'a Summary,
}

impl Display for Why<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary { failures, first, .. } = *self.summary;
        let one = failures == 1;
        if self.summary.pattern == Pattern::Network {
            return write!(f, "{failures} of its addresses were banned on proven evidence");
        }
        let (single, several, names) = words(self.summary);
        write!(f, "{failures} {}", if one { single } else { several })?;
        self.accounts(f, names)?;
        write!(f, " in {}", Span(self.ban.since.seconds_since(first)))?;
        if self.summary.pattern == Pattern::Slow {
            f.write_str(" (a slow scan)")?;
        }
        f.write_str(match self.summary.proof {
            Proof::Transport => ", over a connection of its own",
            Proof::Nonce => ", answered our challenge",
            Proof::Blind | Proof::Claimed => ", may be forged",
        })
    }
}

impl Why<'_> {
    /// ` for 4 accounts`
    fn accounts(&self, f: &mut Formatter<'_>, (link, name): (&str, &str)) -> fmt::Result {
        let count = self.summary.accounts;
        match count {
            0 => Ok(()),
            1 => write!(f, " {link} 1 {name}"),
            _ if count >= TRIED_MAX as u32 => write!(f, " {link} {count} {name}s or more"),
            _ => write!(f, " {link} {count} {name}s"),
        }
    }
}

/// What happened, once and several times, and how what was tried is named.
fn words(summary: &Summary) -> (&'static str, &'static str, (&'static str, &'static str)) {
    let account = ("for", "account");
    match (summary.pattern, summary.alike, summary.last.class) {
        (Pattern::Unanswered, _, _) => ("challenge unanswered", "challenges unanswered", account),
        (_, true, Class::Auth) => ("wrong password", "wrong passwords", account),
        (_, true, Class::User) => ("login", "logins", ("for", "unknown account")),
        (_, true, Class::Call) => ("call", "calls", ("to", "unknown extension")),
        (_, true, Class::Acl) => ("forbidden request", "forbidden requests", account),
        (_, true, Class::Proto) => ("abuse of the protocol", "abuses of the protocol", account),
        (_, false, _) => ("failure", "failures", account),
    }
}

impl Guard {
    /// Why a source is banned, if that is remembered: of the latest bans since the start.
    #[must_use]
    pub fn reason(&self, ban: &Ban) -> Option<&Summary> {
        let summary = self.reasons.get(Key::new(ban.net, ban.jail))?;
        // A ban by hand has no other reason.
        (!ban.by_hand && summary.first <= ban.since).then_some(summary)
    }

    pub(super) fn keep_reason(&mut self, ban: &Ban, why: Summary) {
        let key = Key::new(ban.net, ban.jail);
        if let Some(kept) = self.reasons.touch(key, ban.proof.is_proven(), || why) {
            *kept = why;
        }
    }

    pub(super) fn inherit_reasons(&mut self, old: &Recent<Summary>, jail: &dyn Fn(JailId) -> Option<JailId>) {
        old.for_each(&mut |key, why, sure| {
            let renamed = key.source().and_then(|(net, of)| Some(Key::new(net, jail(of)?)));
            if let Some(key) = renamed {
                self.reasons.touch(key, sure, || *why);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;
    use crate::filter::{Kind, Service};
    use crate::time::Mono;

    #[track_caller]
    fn check(summary: (u32, Class, bool, u32, Pattern, Proof), want: &str) {
        let (failures, class, alike, accounts, pattern, proof) = summary;
        let summary = Summary {
            failures,
            first: Mono(1_000),
            last: Kind {
                service: Service::Pjsip,
                class,
            },
            alike,
            accounts,
            pattern,
            proof,
        };
        let ban = Ban {
            net: IpAddr::from([192, 0, 2, 1]).into(),
            jail: JailId(0),
            since: Mono(13_000),
            until: None,
            proof,
            by_hand: false,
        };
        let why = Why {
            ban: &ban,
            summary: &summary,
        };
        assert_eq!(why.to_string(), want);
    }

    #[test]
    fn the_reasons_are_one_phrase() {
        use Pattern::{Burst, Slow, Unanswered};
        check(
            (5, Class::Auth, true, 4, Burst, Proof::Nonce),
            "5 wrong passwords for 4 accounts in 12s, answered our challenge",
        );
        check(
            (1, Class::Auth, true, 1, Burst, Proof::Blind),
            "1 wrong password for 1 account in 12s, may be forged",
        );
        check(
            (5, Class::User, true, 5, Burst, Proof::Transport),
            "5 logins for 5 unknown accounts in 12s, over a connection of its own",
        );
        check(
            (7, Class::Call, true, 0, Burst, Proof::Blind),
            "7 calls in 12s, may be forged",
        );
        check(
            (30, Class::Auth, false, 16, Slow, Proof::Blind),
            "30 failures for 16 accounts or more in 12s (a slow scan), may be forged",
        );
        check(
            (50, Class::Proto, true, 0, Unanswered, Proof::Blind),
            "50 challenges unanswered in 12s, may be forged",
        );
    }
}
