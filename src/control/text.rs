//! `status` for people: aligned, in their units, and nothing on a terminal that somebody else chose.
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
use crate::escape::Escaped;
use crate::guard::Tally;
use crate::limits::{ANSWER_PATH_BYTES_MAX, ANSWER_RANGES_MAX, FLOOD_PACKETS_PER_SECOND};
use crate::time::{Lasting, Mono, Span};

/// Writes for people.
pub(super) struct Text;

/// Appends one line; writing to memory does not fail.
fn line(out: &mut Vec<u8>, words: fmt::Arguments<'_>) {
    let _ = out.write_fmt(words);
    out.push(b'\n');
}

impl Write for Text {
    fn whole(&self, out: &mut Vec<u8>, whole: &Whole<'_>, clock: Clock, one: bool) {
        let Whole {
            version,
            pid,
            since,
            backend,
            tally,
            own,
            ..
        } = whole;
        if one {
            if tally.not_in_force > 0 || whole.trouble.is_some() {
                line(out, format_args!("kernel    {backend}, {}\n", Force(whole)));
            }
            return;
        }
        let up = Span(clock.now.seconds_since(*since));
        line(out, format_args!("sipguard {version}, up {up}, pid {pid}"));
        line(out, format_args!("kernel    {backend}, {}", Force(whole)));
        if whole.unsaved {
            let what = "state     CANNOT BE WRITTEN: what is new would not survive a restart";
            line(out, format_args!("{what}"));
        }
        line(
            out,
            format_args!("bans      {} of {}", tally.bans(), whole.maxbans),
        );
        line(
            out,
            format_args!("failures  {} of {} in the ring", whole.failures, whole.ring),
        );
        let _ = out.write_fmt(format_args!("trusted   "));
        for (number, (first, last)) in own.ranges().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            let _ = if number == ANSWER_RANGES_MAX {
                out.write_fmt(format_args!(", and {} more", own.ranges().count() - number))
            } else if number > ANSWER_RANGES_MAX {
                Ok(())
            } else if first == last {
                out.write_fmt(format_args!("{comma}{first}"))
            } else {
                out.write_fmt(format_args!("{comma}{first}-{last}"))
            };
        }
        out.push(b'\n');
        if whole.known > 0 {
            let sources = Plural(whole.known.into(), "source");
            line(out, format_args!("known     {sources} that gave right passwords"));
        }
        if let Some(kib) = whole.memory_kib {
            line(out, format_args!("memory    {kib} KiB"));
        }
        out.push(b'\n');
    }

    fn jail(&self, out: &mut Vec<u8>, jail: &Jail<'_>, _: Clock, first: bool) {
        if !first {
            out.push(b'\n');
        }
        let Tally {
            in_force,
            not_in_force,
            ..
        } = jail.tally;
        let bans = Plural(in_force.into(), "ban");
        match not_in_force {
            0 => line(out, format_args!("jail {}: {bans} in force", jail.name)),
            more => line(
                out,
                format_args!("jail {}: {bans} in force, {more} NOT IN FORCE", jail.name),
            ),
        }
        let blocks = if jail.blocks.is_empty() {
            "blocks nothing"
        } else {
            &jail.blocks
        };
        line(
            out,
            format_args!(
                "  rule      {} in {} bring a ban {}; {blocks}",
                Plural(jail.maxretry.into(), "failure"),
                Span(jail.findtime),
                Lasting(jail.bantime)
            ),
        );
    }

    fn file(&self, out: &mut Vec<u8>, file: &File<'_>, width: usize, first: bool) {
        let word = if first { "log" } else { "" };
        let whole = Escaped(file.path.get(..ANSWER_PATH_BYTES_MAX).unwrap_or(file.path)).to_string();
        let _ = out.write_fmt(format_args!("  {word:<9} {whole:<width$}  {}", file.state));
        if let Some(offset) = file.offset {
            let _ = out.write_fmt(format_args!(" to byte {offset}"));
        }
        out.push(b'\n');
    }

    fn name(&self, out: &mut Vec<u8>, name: &Name<'_>, first: bool) {
        let word = if first { "never" } else { "" };
        let _ = out.write_fmt(format_args!("  {word:<9} {}", Escaped(name.name.as_bytes())));
        match name.addresses {
            Some(addresses) => {
                for (number, address) in addresses.iter().enumerate() {
                    let before = if number == 0 { ": " } else { ", " };
                    let _ = out.write_fmt(format_args!("{before}{address}"));
                }
                let now = if name.is_failing {
                    " (not found at the moment)"
                } else {
                    ""
                };
                line(out, format_args!("{now}"));
            }
            None if name.is_failing => line(out, format_args!(": NOT FOUND, its addresses may be banned")),
            None => line(out, format_args!(": not found yet")),
        }
    }

    fn after_files(&self, out: &mut Vec<u8>, jail: &Jail<'_>, clock: Clock, bans: bool) {
        let stats = jail.stats;
        line(
            out,
            format_args!(
                "  failures  {} counted, {} in the ring",
                stats.failures,
                Plural(jail.sources.into(), "source")
            ),
        );
        let _ = out.write_fmt(format_args!("  bans      {} since the start", stats.bans));
        if let Some((ban, until)) = jail.next.and_then(|ban| Some((ban, ban.until?))) {
            let left = Left(until, clock);
            let _ = out.write_fmt(format_args!(", next to end: {} in {left}", HostOrNet(ban.net)));
        }
        out.push(b'\n');
        if jail.flooded {
            let _ = out.write_fmt(format_args!(
                "  FLOOD     of forged sources: no bans on what may be forged"
            ));
            if jail.limited {
                let _ = out.write_fmt(format_args!(
                    "; the kernel takes {FLOOD_PACKETS_PER_SECOND} packets a second of each"
                ));
            }
            out.push(b'\n');
        }
        if stats.suspicious > 0 {
            let lines = Plural(stats.suspicious, "line");
            line(
                out,
                format_args!("  suspects  {lines} that somebody may have forged"),
            );
        }
        if bans && jail.tally.bans() > 0 {
            line(
                out,
                format_args!(
                    "\n{:<25}  {:<20}  {:<20}  {:<7}  proof",
                    "banned", "since", "until", "left"
                ),
            );
        }
    }

    fn ban(&self, out: &mut Vec<u8>, banned: Banned<'_>, clock: Clock, _: bool) {
        let Banned { ban, in_force, .. } = banned;
        let net = HostOrNet(ban.net).to_string();
        let since = clock.wall(ban.since);
        let _ = out.write_fmt(format_args!("{net:<25}  {since}Z  "));
        let _ = match ban.until {
            Some(until) => out.write_fmt(format_args!(
                "{}Z  {:<7}",
                clock.wall(until),
                Left(until, clock).to_string()
            )),
            None => out.write_fmt(format_args!("{:<20}  {:<7}", "never", "-")),
        };
        let proof = if ban.by_hand { "by hand" } else { ban.proof.name() };
        let force = if in_force { "" } else { "  NOT IN FORCE" };
        line(out, format_args!("  {proof}{force}"));
        if let Some(why) = banned.phrase() {
            line(out, format_args!("    {why}"));
        }
    }

    fn after_jail(&self, _: &mut Vec<u8>, _: bool) {}

    fn end(&self, _: &mut Vec<u8>) {}
}

/// Whether all bans are in force, and why not.
struct Force<'a>(&'a Whole<'a>);

impl Display for Force<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Whole { tally, trouble, .. } = self.0;
        match (tally.not_in_force, trouble) {
            (0, None) => return f.write_str("all bans in force"),
            (0, Some(_)) => f.write_str("RULES NOT IN FORCE")?,
            (missing, _) => write!(f, "{} NOT IN FORCE", Plural(missing.into(), "ban"))?,
        }
        match trouble {
            Some(trouble) => write!(f, ": {}", Escaped(trouble.as_bytes())),
            None => Ok(()),
        }
    }
}

/// How long it is until then.
struct Left(Mono, Clock);

impl Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Left(until, clock) = self;
        Span(until.millis_since(clock.now).div_ceil(1000)).fmt(f)
    }
}

/// `1 ban` or `2 bans`.
struct Plural(u64, &'static str);

impl Display for Plural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plural(count, what) = self;
        write!(f, "{count} {what}{}", if *count == 1 { "" } else { "s" })
    }
}
