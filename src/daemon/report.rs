//! What the daemon says in its log.

use core::fmt;

use log::{debug, error, info, warn};

use super::TARGET;
use super::jails::Jails;
use super::watch::Watch;
use crate::addr::HostOrNet;
use crate::config::{Config, Feed};
use crate::escape::Escaped;
use crate::firewall::{Enforce, Firewall, STATELESS};
use crate::guard::{Ban, Verdict, Why};
use crate::limits::KERNEL_ABSENT_SECONDS;
use crate::tail::{Notice, What};
use crate::time::{Lasting, Mono, Span, Wall};

/// The guard is in force.
pub(super) fn started(config: &Config, watch: &Watch) {
    let backend = watch
        .firewall()
        .map_or("nothing (dry run)", |firewall| firewall.backend());
    info!(target: TARGET, "sipguard {} guards with {backend}", env!("CARGO_PKG_VERSION"));
    if let Some(fault) = watch.firewall().and_then(Firewall::shortcoming) {
        warn!(target: TARGET, "{fault}");
    }
    if watch.firewall().is_some_and(Firewall::is_stateless) {
        warn!(target: TARGET, "{STATELESS}");
    }
    if let Some(fault) = watch.firewall().and_then(Enforce::absence) {
        error!(target: TARGET, "no ban is in force, trying again every {KERNEL_ABSENT_SECONDS} seconds: {fault}");
    }
    for jail in &config.jails {
        info!(target: TARGET, "jail {}: {} in {} bring a ban {}, read from {}",
            jail.name,
            Count(jail.maxretry.into(), "failure"),
            Span(jail.findtime),
            Lasting(jail.bantime),
            match &jail.feed {
                Feed::Files => Escaped(jail.logpaths.join(" ").as_bytes()).to_string(),
                feed @ (Feed::Journal(_) | Feed::Logread) => feed.name(),
            }
        );
    }
}

/// A ban: who, for how long, why, until when.
pub(super) struct Banned<'a> {
    pub(super) verdict: &'a Verdict,
    pub(super) jail: &'a str,
    pub(super) now: Mono,
    pub(super) utc: Wall,
}

impl fmt::Display for Banned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { ban, why, .. } = self.verdict;
        let bantime = ban.until.map(|until| until.seconds_since(ban.since));
        write!(f, "{} {}: ", Net(ban), Lasting(bantime))?;
        write!(
            f,
            "{}; last {}, proof {} jail={}",
            Why { ban, summary: why },
            why.last,
            why.proof.name(),
            self.jail
        )?;
        match ban.until {
            None => f.write_str(" until=never"),
            Some(until) => {
                let seconds = i64::try_from(until.millis_since(self.now).div_ceil(1000)).unwrap_or(i64::MAX);
                let Wall(utc) = self.utc;
                write!(
                    f,
                    " until={}Z",
                    Wall(utc.saturating_add(seconds)).to_string().replace(' ', "T")
                )
            }
        }
    }
}

/// A ban has ended.
pub(super) fn unbanned(ban: &Ban, jail: &str, now: Mono) {
    info!(target: TARGET, "unbanned {} after {} jail={jail}",
        Net(ban),
        Span(now.seconds_since(ban.since))
    );
}

/// There is proof for a ban that had none.
pub(super) fn proven(ban: &Ban, jail: &str) {
    info!(target: TARGET, "the ban of {} is proven by now ({}) jail={jail}", Net(ban), ban.proof.name());
}

/// A ban was ended by somebody.
pub(super) fn unbanned_by_hand(ban: &Ban, jail: &str, now: Mono, uid: u32) {
    info!(target: TARGET, "unbanned {} by hand (uid {uid}) after {} jail={jail}",
        Net(ban),
        Span(now.seconds_since(ban.since))
    );
}

/// A ban should not have been made.
pub(super) fn not_to_be_banned(ban: &Ban, why: &str, jail: &str) {
    warn!(target: TARGET, "unbanned {}: {why} jail={jail}", Net(ban));
}

/// Something happened to a log file. Nobody misses one that was only guessed.
pub(super) fn file(notice: &Notice, jails: &Jails) {
    match notice.what {
        What::Missing if notice.path.as_ref().is_some_and(|path| jails.is_guess(path)) => {
            debug!(target: TARGET, "{notice}");
        }
        What::Opened(_) | What::Rotated | What::Truncated => info!(target: TARGET, "{notice}"),
        What::Missing | What::TooManyOld | What::Unfinished | What::WorldWritable | What::Overflow => {
            warn!(target: TARGET, "{notice}");
        }
        What::Refused(_) | What::Unreadable(_) | What::TooMany => error!(target: TARGET, "{notice}"),
    }
}

/// `1 ban` or `2 bans`.
pub(super) struct Count(pub(super) u64, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(count, what) = self;
        write!(f, "{count} {what}{}", if *count == 1 { "" } else { "s" })
    }
}

/// Who is banned.
pub(super) struct Net<'a>(pub(super) &'a Ban);

impl fmt::Display for Net<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HostOrNet(self.0.net).fmt(f)
    }
}
