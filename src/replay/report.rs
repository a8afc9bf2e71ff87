//! The summary that a person reads.

use core::fmt::{self, Display, Formatter};

use super::tally::{Shown, Tally};
use super::{HostOrNet, Rules, Seen};
use crate::escape::Escaped;
use crate::filter::Suspicion;
use crate::guard::{Policy, Stats};
use crate::limits::{LINE_BYTES_MAX, REPLAY_SOURCES_SHOWN, SOURCES_MAX};
use crate::time::{Span, Wall};

/// The summary of a replay: many lines, each with its newline.
pub struct Report<'r> {
    pub(super) names: &'r [&'r [u8]],
    pub(super) seen: Vec<Seen>,
    pub(super) rules: &'r Rules,
    pub(super) tally: &'r Tally,
    pub(super) stats: Stats,
    pub(super) elapsed_ms: u64,
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.files(f)?;
        self.failures(f)?;
        self.sources(f)?;
        self.bans(f)?;
        self.suspicious(f)
    }
}

impl Report<'_> {
    fn files(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (mut bytes, mut lines) = (0, 0);
        for (name, seen) in self.names.iter().zip(&self.seen) {
            bytes += seen.bytes;
            lines += seen.lines;
            write!(f, "{}: {}", Escaped(name), Many(seen.lines, "line"))?;
            write!(f, ", {}", Bytes(seen.bytes))?;
            if let (Some(first), Some(last)) = (seen.first, seen.last) {
                let span = Span(u64::try_from(last.0 - first.0).unwrap_or(0));
                write!(f, ", {first} to {last} ({span})")?;
            }
            writeln!(f)?;
            if seen.long > 0 {
                let long = Many(seen.long, "line");
                writeln!(
                    f,
                    "  {long} longer than {} bytes: not read",
                    Count(LINE_BYTES_MAX as u64)
                )?;
            }
            if seen.unfinished {
                writeln!(f, "  the last line has no newline: not a line yet")?;
            }
        }
        let ms = u128::from(self.elapsed_ms.max(1));
        let per_second = |count: u64| u64::try_from(u128::from(count) * 1000 / ms).unwrap_or(u64::MAX);
        writeln!(
            f,
            "read {} ({}) in {}.{:03} s: {} lines/s, {}/s",
            Many(lines, "line"),
            Bytes(bytes),
            self.elapsed_ms / 1000,
            self.elapsed_ms % 1000,
            Count(per_second(lines)),
            Bytes(per_second(bytes))
        )
    }

    fn failures(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Tally {
            lines,
            attempts,
            duplicates,
            ..
        } = *self.tally;
        if lines == 0 {
            return writeln!(f, "\nno failures");
        }
        writeln!(
            f,
            "\n{}: {}, {} of an attempt that is counted already",
            Many(lines, "failure"),
            Many(attempts, "attempt"),
            Many(duplicates, "line"),
        )?;
        let mut rows = self.tally.by_kind.clone();
        rows.sort_by_key(|row| core::cmp::Reverse((row.lines, row.proof)));
        writeln!(
            f,
            "  {:<15} {:<10} {:>13} {:>13}",
            "kind", "proof", "lines", "attempts"
        )?;
        for row in rows {
            writeln!(
                f,
                "  {:<15} {:<10} {:>13} {:>13}",
                row.kind.to_string(),
                row.proof.name(),
                Count(row.lines).to_string(),
                Count(row.attempts).to_string()
            )?;
        }
        Ok(())
    }

    fn sources(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let sources = &self.tally.sources;
        if sources.len() == 0 {
            return Ok(());
        }
        match sources.missing_max() {
            0 => writeln!(f, "\nfrom {}", Many(sources.len() as u64, "address"))?,
            missing => writeln!(
                f,
                "\nfrom more than {} addresses; each may lack up to {}",
                Count(SOURCES_MAX as u64),
                Many(missing, "attempt")
            )?,
        }
        writeln!(
            f,
            "  {:<39} {:>10}  {:<9}  {:<19}  last",
            "address", "attempts", "proof", "first"
        )?;
        for origin in sources.busiest(REPLAY_SOURCES_SHOWN) {
            writeln!(
                f,
                "  {:<39} {:>10}  {:<9}  {:<19}  {}",
                origin.addr.to_string(),
                Count(origin.attempts).to_string(),
                origin.proof.name(),
                Time(origin.first).to_string(),
                Time(origin.last)
            )?;
        }
        match sources.len().saturating_sub(REPLAY_SOURCES_SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  and {} more", Count(more as u64)),
        }
    }

    fn bans(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for ((name, policy), &bans) in self.rules.jails.iter().zip(&self.tally.bans_of) {
            writeln!(f, "jail {name}: {} ({})", Many(bans, "ban"), Rule(policy))?;
        }
        for shown in &self.tally.bans {
            let several = self.rules.jails.len() > 1;
            let jail = several
                .then(|| self.rules.jails.get(usize::from(shown.jail.0)))
                .flatten();
            self.ban(f, shown, jail.map(|(name, _)| name.as_str()))?;
        }
        let more = self.stats.bans.saturating_sub(self.tally.bans.len() as u64);
        if more > 0 {
            writeln!(f, "  and {} more", Count(more))?;
        }
        let Stats {
            trusted,
            while_banned,
            dropped,
            displaced,
            table_full,
            ..
        } = self.stats;
        for (count, what) in [
            (
                while_banned,
                "while their source was banned: a ban would have kept them away",
            ),
            (trusted, "of sources that are never banned (ignoreip)"),
            (dropped, "not kept: the ring was full of better evidence (ring)"),
            (displaced + table_full, "too much for the table of bans (maxbans)"),
        ] {
            if count > 0 {
                writeln!(f, "  {} {what}", Many(count, "failure"))?;
            }
        }
        Ok(())
    }

    fn ban(&self, f: &mut Formatter<'_>, shown: &Shown, jail: Option<&str>) -> fmt::Result {
        write!(
            f,
            "  {}  {:<39} {} in {}, last {}, proof {}",
            Time(shown.time),
            HostOrNet(shown.net).to_string(),
            Many(u64::from(shown.failures), "failure"),
            Span(shown.within_s),
            shown.last,
            shown.proof.name()
        )?;
        match jail {
            Some(jail) => writeln!(f, ", jail {jail}"),
            None => writeln!(f),
        }
    }

    fn suspicious(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all: u64 = self.tally.suspicious.iter().map(|(_, count)| count).sum();
        if all == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "\n{}, which count against nobody",
            Many(all, "suspicious line")
        )?;
        for &(suspicion, count) in &self.tally.suspicious {
            if count > 0 {
                writeln!(f, "  {:>13} {}", Count(count).to_string(), reason(suspicion))?;
            }
        }
        Ok(())
    }
}

/// Why a line is suspicious, for people.
#[must_use]
pub fn reason(suspicion: Suspicion) -> &'static str {
    match suspicion {
        Suspicion::Torn => "torn: begins like a known message and goes on otherwise",
        Suspicion::Orphan => "orphan: has no header where every line has one",
        Suspicion::Ambiguous => "ambiguous: cannot be told from one that somebody planted",
        Suspicion::Control => "control: holds an escape or a NUL",
    }
}

/// `5 failures within 10m, for 10m`
struct Rule<'p>(&'p Policy);

impl Display for Rule<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Policy {
            maxretry,
            findtime,
            bantime,
            ..
        } = self.0;
        let failures = Many(u64::from(*maxretry), "failure");
        write!(f, "{failures} within {} bring one ", Span(*findtime))?;
        match bantime {
            Some(seconds) => write!(f, "for {}", Span(*seconds)),
            None => f.write_str("for ever"),
        }
    }
}

/// A stamp, or what stands for one.
struct Time(Option<Wall>);

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(wall) => wall.fmt(f),
            None => f.write_str("-                  "),
        }
    }
}

/// `1,234,567`
#[derive(Clone, Copy)]
pub struct Count(pub u64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `1 line`, `2 lines`, `3 addresses`
struct Many(u64, &'static str);

impl Display for Many {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Many(count, noun) = *self;
        let ending = match (count, noun.ends_with('s')) {
            (1, _) => "",
            (_, true) => "es",
            (_, false) => "s",
        };
        write!(f, "{} {noun}{ending}", Count(count))
    }
}

/// `999 bytes`, `1.2 kB`, `3.4 GB`
#[derive(Clone, Copy)]
pub struct Bytes(pub u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut unit = 1;
        for name in ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"] {
            if self.0 / unit < 1000 {
                return match unit {
                    1 => write!(f, "{} {name}", self.0),
                    _ => write!(f, "{}.{} {name}", self.0 / unit, self.0 % unit * 10 / unit),
                };
            }
            unit *= 1000;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: impl Display, want: &str) {
        assert_eq!(value.to_string(), want);
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        check(Count(0), "0");
        check(Count(999), "999");
        check(Count(1_000), "1,000");
        check(Count(1_234_567), "1,234,567");
        check(Many(1, "address"), "1 address");
        check(Many(2, "address"), "2 addresses");
        check(Many(0, "line"), "0 lines");
        check(Bytes(999), "999 bytes");
        check(Bytes(1_000), "1.0 kB");
        check(Bytes(3_456_000_000), "3.4 GB");
        check(Bytes(u64::MAX), "18.4 EB");
    }
}
