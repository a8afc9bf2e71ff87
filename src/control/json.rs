//! `status --json`: one object, whose names are an interface.
//!
//! ```text
//! {"version","pid","since","up_seconds","backend","in_sync","not_in_force","trouble","unsaved","bans","maxbans",
//!  "failures","ring","trusted":[…],"memory_kib","jails":[
//!   {"name","filter","maxretry","findtime","bantime","blocks","files":[{"path","state","offset","lines"},…],
//!    "names":[{"name","found","failing","addresses":[…]},…],
//!    "failures","sources","suspicious","bans","in_force","not_in_force","bans_total",
//!    "next_end":{"addr","until"},
//!    "banned":[{"addr","since","until","left","proof","by_hand","in_force"},…]},…]}
//! ```
//!
//! `trouble`, `bantime` (for ever), `offset`, `memory_kib`, `next_end`, `until` and `left` (for ever) may be null.
//! `trusted` has addresses and `first-last`. Times are UTC, `"2026-11-22T12:42:47Z"`; `bantime`, `findtime`,
//! `up_seconds` and `left` are seconds. `banned` is there only if one jail was asked for, `names` only if
//! `ignoreip` has some. Every file and every ban
//! has a line of its own.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use core::fmt::{self, Display};
use std::io::Write as _;

use super::listing::{Banned, Clock, File, Jail, Name, Whole, Write};
use crate::addr::HostOrNet;
use crate::escape::Quoted;
use crate::limits::{ANSWER_PATH_BYTES_MAX, ANSWER_RANGES_MAX};
use crate::time::Wall;

/// Writes for programs.
pub(super) struct Json;

/// Appends; writing to memory does not fail.
fn put(out: &mut Vec<u8>, words: fmt::Arguments<'_>) {
    let _ = out.write_fmt(words);
}

impl Write for Json {
    fn whole(&self, out: &mut Vec<u8>, whole: &Whole<'_>, clock: Clock, _: bool) {
        let Whole {
            version,
            pid,
            since,
            backend,
            trouble,
            unsaved,
            tally,
            maxbans,
            failures,
            ring,
            known,
            own,
            memory_kib,
        } = whole;
        let in_sync = trouble.is_none() && tally.not_in_force == 0;
        put(
            out,
            format_args!(
                "{{\"version\":\"{version}\",\"pid\":{pid},\"since\":{},\"up_seconds\":{},\"backend\":\"{backend}\",",
                Utc(clock.wall(*since)),
                clock.now.seconds_since(*since)
            ),
        );
        put(
            out,
            format_args!(
                "\"in_sync\":{in_sync},\"not_in_force\":{},\"trouble\":{},\"unsaved\":{unsaved},\"bans\":{},\"maxbans\":{maxbans},\
                 \"failures\":{failures},\"ring\":{ring},\"trusted\":[",
                tally.not_in_force,
                OrNull(trouble.as_ref().map(|text| Quoted(text.as_bytes()))),
                tally.bans()
            ),
        );
        for (number, (first, last)) in own.ranges().take(ANSWER_RANGES_MAX).enumerate() {
            let comma = if number == 0 { "" } else { "," };
            if first == last {
                put(out, format_args!("{comma}\"{first}\""));
            } else {
                put(out, format_args!("{comma}\"{first}-{last}\""));
            }
        }
        put(
            out,
            format_args!(
                "],\"known\":{known},\"memory_kib\":{},\"jails\":[",
                OrNull(*memory_kib)
            ),
        );
    }

    fn jail(&self, out: &mut Vec<u8>, jail: &Jail<'_>, _: Clock, first: bool) {
        put(
            out,
            format_args!(
                "{}\n{{\"name\":\"{}\",\"filter\":{},\"maxretry\":{},\"findtime\":{},\"bantime\":{},\"blocks\":{},\
                 \"files\":[",
                if first { "" } else { "," },
                jail.name,
                Quoted(jail.filter.as_bytes()),
                jail.maxretry,
                jail.findtime,
                OrNull(jail.bantime),
                Quoted(jail.blocks.as_bytes())
            ),
        );
    }

    fn file(&self, out: &mut Vec<u8>, file: &File<'_>, _: usize, first: bool) {
        let path = file.path.get(..ANSWER_PATH_BYTES_MAX).unwrap_or(file.path);
        put(
            out,
            format_args!(
                "{}\n{{\"path\":{},\"state\":{},\"offset\":{},\"lines\":{}}}",
                if first { "" } else { "," },
                Quoted(path),
                Quoted(file.state.as_bytes()),
                OrNull(file.offset),
                file.lines
            ),
        );
    }

    fn name(&self, out: &mut Vec<u8>, name: &Name<'_>, first: bool) {
        let before = if first { "],\n\"names\":[" } else { "," };
        put(
            out,
            format_args!(
                "{before}\n{{\"name\":{},\"found\":{},\"failing\":{},\"addresses\":[",
                Quoted(name.name.as_bytes()),
                name.addresses.is_some(),
                name.is_failing
            ),
        );
        for (number, address) in name.addresses.unwrap_or_default().iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            put(out, format_args!("{comma}\"{address}\""));
        }
        put(out, format_args!("]}}"));
    }

    fn after_files(&self, out: &mut Vec<u8>, jail: &Jail<'_>, clock: Clock, bans: bool) {
        let (tally, stats) = (jail.tally, jail.stats);
        put(
            out,
            format_args!(
                "],\n\"failures\":{},\"sources\":{},\"suspicious\":{},\"bans\":{},\"in_force\":{},\
                 \"not_in_force\":{},\"bans_total\":{},\"next_end\":",
                stats.failures,
                jail.sources,
                stats.suspicious,
                tally.bans(),
                tally.in_force,
                tally.not_in_force,
                stats.bans
            ),
        );
        match jail.next.and_then(|ban| Some((ban, ban.until?))) {
            Some((ban, until)) => put(
                out,
                format_args!(
                    "{{\"addr\":\"{}\",\"until\":{}}}",
                    HostOrNet(ban.net),
                    Utc(clock.wall(until))
                ),
            ),
            None => put(out, format_args!("null")),
        }
        if bans {
            put(out, format_args!(",\"banned\":["));
        }
    }

    fn ban(&self, out: &mut Vec<u8>, banned: Banned<'_>, clock: Clock, first: bool) {
        let Banned { ban, in_force, .. } = banned;
        let why = banned.phrase().map(|why| why.to_string());
        put(
            out,
            format_args!(
                "{}\n{{\"addr\":\"{}\",\"since\":{},\"until\":{},\"left\":{},\"proof\":\"{}\",\"by_hand\":{},\
                 \"in_force\":{in_force},\"why\":{}}}",
                if first { "" } else { "," },
                HostOrNet(ban.net),
                Utc(clock.wall(ban.since)),
                OrNull(ban.until.map(|until| Utc(clock.wall(until)))),
                OrNull(
                    ban.until
                        .map(|until| until.millis_since(clock.now).div_ceil(1000))
                ),
                ban.proof.name(),
                ban.by_hand,
                OrNull(why.as_ref().map(|why| Quoted(why.as_bytes())))
            ),
        );
    }

    fn after_jail(&self, out: &mut Vec<u8>, bans: bool) {
        put(out, format_args!("{}", if bans { "]}" } else { "}" }));
    }

    fn end(&self, out: &mut Vec<u8>) {
        put(out, format_args!("]}}\n"));
    }
}

/// What there is, or `null`.
struct OrNull<T>(Option<T>);

impl<T: Display> Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// `"2026-11-22T12:42:47Z"`
struct Utc(Wall);

impl Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}Z\"", self.0.to_string().replace(' ', "T"))
    }
}
