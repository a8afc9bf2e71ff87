//! What `logread -t -f -l N` prints: first what logd's ring holds, then what comes; and which of that was read before.
//!
//! A line begins `Sun Nov 22 12:21:49 2026 [1795350109.123] `, the time at which logd got it, to the millisecond. The
//! ring is in memory: after a reboot all in it is new. In the same boot a place in it is the time of the last line
//! that was read, and how many with that time were: those up to it are left out, and what follows it is new, whatever
//! its time. Two limits: what the ring has lost meanwhile is lost, and if the clock was set back while nobody read,
//! lines with a later time than the last one are read again. logread itself asks for all again when logd was restarted
//! (`main` in ubox' `log/logread.c`); the ring is empty then, and what it prints is new.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use crate::tail::cursor::{Inode, Position};

/// Where the reading stands.
#[derive(Clone, Debug)]
pub struct Ring {
    boot: u128,
    /// Time of the last line read, in milliseconds since 1970, and how many lines of that time were.
    last: (u64, u64),
    /// Lines of the last line's time still to be left out. `None`: all that comes is new.
    known: Option<u64>,
    /// Lines of before this time were there before us; `None`: all come as they are written.
    old_before: Option<u64>,
}

impl Ring {
    /// Begins to read, at this time of the wall clock in milliseconds, in this boot. Without a place: what comes from
    /// now on.
    #[must_use]
    pub fn new(position: Option<Position>, boot: u128, now_ms: u64) -> Ring {
        let place = match position {
            Some(Position { inode, offset, check }) => {
                let same = u128::from(inode.device) << 64 | u128::from(inode.number) == boot;
                same.then_some((offset, check))
            }
            None => Some((now_ms, 0)),
        };
        Ring {
            boot,
            last: place.unwrap_or((0, 0)),
            known: place.map(|(_, count)| count),
            old_before: Some(now_ms),
        }
    }

    /// What the ring held is read by now: what comes is new.
    pub fn caught_up(&mut self) {
        self.known = None;
        self.old_before = None;
    }

    /// Takes a line. `None`: it was read before. `Some(true)`: it was there before us.
    pub fn take(&mut self, line: &[u8]) -> Option<bool> {
        let Some(time) = time(line) else {
            // A line of the program's own, or of a logread that knows no -t.
            return self.known.is_none().then_some(self.old_before.is_some());
        };
        if let Some(left) = self.known {
            if time < self.last.0 {
                return None;
            }
            if time == self.last.0 && left > 0 {
                // Behind the last of them all is new, whatever its time.
                self.known = (left > 1).then_some(left - 1);
                return None;
            }
            self.known = None;
        }
        self.last = if time == self.last.0 {
            (time, self.last.1.saturating_add(1))
        } else {
            (time, 1)
        };
        let backlog = self.old_before.is_some_and(|before| time < before);
        if !backlog {
            self.old_before = None;
        }
        Some(backlog)
    }

    /// As the state file keeps it.
    #[must_use]
    pub fn position(&self) -> Position {
        let (offset, check) = self.last;
        Position {
            inode: Inode {
                device: (self.boot >> 64) as u64,
                number: self.boot as u64,
            },
            offset,
            check,
        }
    }
}

/// The milliseconds in `Sun Nov 22 12:21:49 2026 [1795350109.123] `.
fn time(line: &[u8]) -> Option<u64> {
    const STAMP_BYTES: usize = "Sun Nov 22 12:21:49 2026 ".len();
    let rest = line.get(STAMP_BYTES..)?.strip_prefix(b"[")?;
    let end = rest.iter().take(24).position(|&byte| byte == b']')?;
    let inside = core::str::from_utf8(rest.get(..end)?).ok()?;
    let (seconds, millis) = inside.split_once('.')?;
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    let millis = number(millis).filter(|millis| *millis < 1_000)?;
    number(seconds)?.checked_mul(1_000)?.checked_add(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: u128 = 1 << 100 | 7;

    fn line(ms: u64, text: &str) -> String {
        let (seconds, millis) = (ms / 1_000, ms % 1_000);
        format!("Sun Nov 22 12:21:49 2026 [{seconds}.{millis:03}] auth.info sshd[1]: {text}")
    }

    /// Which of these lines are read, by their texts; with `~` before those that were there before.
    fn read(ring: &mut Ring, lines: &[(u64, &str)]) -> String {
        let read = lines.iter().filter_map(|&(ms, text)| {
            let backlog = ring.take(line(ms, text).as_bytes())?;
            Some(format!("{}{text}", if backlog { "~" } else { "" }))
        });
        read.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn without_a_place_only_what_comes_is_read() {
        let mut ring = Ring::new(None, BOOT, 5_000);
        assert_eq!(
            read(
                &mut ring,
                &[(1_000, "a"), (4_999, "b"), (5_000, "c"), (6_000, "d")]
            ),
            "c d"
        );
        assert_eq!(
            read(&mut ring, &[(2_000, "the clock was set back")]),
            "the clock was set back"
        );
    }

    #[test]
    fn what_was_read_is_not_read_again() {
        let all = [
            (1_000, "a"),
            (2_000, "b"),
            (2_000, "c"),
            (2_000, "d"),
            (3_000, "e"),
        ];
        for count in 0..all.len() {
            let (before, after) = all.split_at(count);
            let mut ring = Ring::new(None, BOOT, 500);
            let said = read(&mut ring, before);
            let mut ring = Ring::new(Some(ring.position()), BOOT, 2_500);
            let rest = read(&mut ring, &all).replace('~', "");
            let both = format!("{said} {rest}");
            assert_eq!(both.trim(), "a b c d e", "{count}");
            assert_eq!(after.len(), rest.split_whitespace().count());
        }
    }

    #[test]
    fn what_was_there_before_is_told_from_what_comes() {
        let mut ring = Ring::new(None, BOOT, 500);
        assert_eq!(read(&mut ring, &[(1_000, "a")]), "a");
        let mut ring = Ring::new(Some(ring.position()), BOOT, 2_500);
        let lines = [(1_000, "a"), (2_000, "b"), (2_500, "c"), (2_400, "d")];
        assert_eq!(read(&mut ring, &lines), "~b c d");
        let mut ring = Ring::new(Some(ring.position()), BOOT, 9_000);
        ring.caught_up();
        assert_eq!(read(&mut ring, &[(100, "e")]), "e", "the clock was set back");
    }

    #[test]
    fn after_a_reboot_all_in_the_ring_is_new() {
        let mut ring = Ring::new(None, BOOT, 500_000);
        assert_eq!(read(&mut ring, &[(600_000, "a")]), "a");
        let mut ring = Ring::new(Some(ring.position()), BOOT + 1, 90_000);
        assert_eq!(read(&mut ring, &[(1_000, "b"), (100_000, "c")]), "~b c");
        assert_eq!(ring.position().offset, 100_000);
    }

    #[test]
    fn what_stands_behind_the_last_line_is_new_whatever_its_time() {
        let mut ring = Ring::new(None, BOOT, 500);
        assert_eq!(read(&mut ring, &[(7_000, "a")]), "a");
        let mut ring = Ring::new(Some(ring.position()), BOOT, 8_000);
        let lines = [(6_000, "old"), (7_000, "a"), (3_000, "b"), (7_000, "c")];
        assert_eq!(read(&mut ring, &lines), "~b ~c");
    }

    #[test]
    fn a_line_without_a_time_counts_when_the_rest_is_read() {
        let mut ring = Ring::new(None, BOOT, 5_000);
        for text in [
            "",
            "x",
            "Sun Nov 22 12:21:49 2026 auth.info sshd[1]: x",
            "Sun Nov 22 12:21:49 2026 [1.x] y",
        ] {
            assert_eq!(ring.clone().take(text.as_bytes()), None, "{text}");
        }
        ring.caught_up();
        assert_eq!(ring.take(b"x"), Some(false));
        assert_eq!(
            time(line(1_795_350_109_123, "x").as_bytes()),
            Some(1_795_350_109_123)
        );
        assert_eq!(
            time(b"Sun Nov 22 12:21:49 2026 [99999999999999999999.123] x"),
            None
        );
        assert_eq!(time(b"Sun Nov 22 12:21:49 2026 [1.1000] x"), None);
    }
}
