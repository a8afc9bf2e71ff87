//! How far a long scan has come: one line on a terminal, drawn over and over, gone at the end. No colours.

use std::io::{self, IsTerminal as _, Write as _};

use crate::replay::{Bytes, Count, Progress};
use crate::time::{Mono, Span};

/// The least time between two drawings, in milliseconds.
const REDRAW_MS: u64 = 200;

/// Columns of the bar.
const BAR: u64 = 20;

/// The line.
pub(super) struct Bar {
    /// How many bytes there are; `None`: nobody looks, or nobody knows.
    total: Option<u64>,
    started: Mono,
    drawn: Mono,
    visible: bool,
}

impl Bar {
    /// A bar for so many bytes, if they are known and somebody looks.
    pub(super) fn new(total: Option<u64>, now: Mono) -> Bar {
        Bar {
            total: total.filter(|&total| total > 0 && io::stderr().is_terminal()),
            started: now,
            drawn: now,
            visible: false,
        }
    }

    /// Whether anybody looks: if not, there is no need to ask for the time.
    pub(super) fn is_wanted(&self) -> bool {
        self.total.is_some()
    }

    /// Shows how far it is, if it is time to.
    pub(super) fn show(&mut self, progress: Progress, now: Mono) {
        let Some(total) = self.total else {
            return;
        };
        if now.millis_since(self.drawn) < REDRAW_MS {
            return;
        }
        self.drawn = now;
        self.visible = true;
        let text = text(progress, total, now.millis_since(self.started));
        let _ = write!(io::stderr(), "\r{text}\x1b[K");
    }

    /// Takes the line away, before other words or at the end.
    pub(super) fn erase(&mut self) {
        if std::mem::take(&mut self.visible) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// `[########            ]  42 %  1.2 GB/s  7,890,123 lines/s  12s left`, less than 80 columns.
fn text(progress: Progress, total: u64, elapsed_ms: u64) -> String {
    // A log may grow while it is read.
    let bytes = progress.bytes.min(total);
    let part = |of: u64| bytes.saturating_mul(of) / total.max(1);
    let rate = |count: u64| count.saturating_mul(1000) / elapsed_ms.max(1);
    let filled = part(BAR) as usize;
    // In KiB, which leave room for a petabyte and a day.
    let left_ms = ((total - bytes) >> 10).saturating_mul(elapsed_ms) / (bytes >> 10).max(1);
    format!(
        "[{:<width$}] {:>3} %  {}/s  {} lines/s  {} left",
        "#".repeat(filled),
        part(100),
        Bytes(rate(progress.bytes)),
        Count(rate(progress.lines)),
        Span(left_ms.div_ceil(1000)),
        width = BAR as usize
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let check = |bytes, lines, total, elapsed_ms, want: &str| {
            let text = text(Progress { bytes, lines }, total, elapsed_ms);
            assert_eq!(text, want);
            assert!(text.len() < 80);
        };
        check(
            0,
            0,
            1000,
            0,
            "[                    ]   0 %  0 bytes/s  0 lines/s  0s left",
        );
        check(
            2_500_000_000,
            12_500_000,
            10_000_000_000,
            2000,
            "[#####               ]  25 %  1.2 GB/s  6,250,000 lines/s  6s left",
        );
        check(
            1001,
            10,
            1000,
            1000,
            "[####################] 100 %  1.0 kB/s  10 lines/s  0s left",
        );
        check(
            1,
            1,
            u64::MAX,
            86_400_000,
            "[                    ]   0 %  0 bytes/s  0 lines/s  213503982334d14h left",
        );
    }
}
