//! Our own log: lines on standard error, which a supervisor reads, or nobody does.
//!
//! A reader that is slow, stopped or gone must not hold or end the loop (rule R7), as the macros of the standard
//! library would: they wait for ever, and panic if a line cannot be written. A line that finds no room is counted,
//! and how many are missing is said when there is room again.

use core::fmt::Write as _;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};
use nix::errno::Errno;

use super::poll;
use crate::limits::{LOG_PIECE_BYTES, LOG_WAIT_MS};

/// A log on a descriptor.
struct Lines<F> {
    out: F,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    line: String,
    /// Lines that were not written, or only in part, since the last one that was.
    lost: u64,
}

/// Begins to log on standard error, up to this level.
pub fn start(level: LevelFilter) {
    let lines = Lines {
        out: io::stderr(),
        state: Mutex::default(),
    };
    // A second log can only be a mistake of ours in one process; the first goes on.
    if log::set_boxed_logger(Box::new(lines)).is_ok() {
        log::set_max_level(level);
    }
}

impl<F: AsFd + Send + Sync> Log for Lines<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.say(&format_args!(
                "{:<5} [{}] {}",
                record.level(),
                record.target(),
                record.args()
            ));
        }
    }

    fn flush(&self) {}
}

impl<F: AsFd> Lines<F> {
    fn say(&self, words: &dyn core::fmt::Display) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { line, lost } = &mut *state;
        line.clear();
        if *lost > 0 {
            let _ = writeln!(line, "WARN  [sipguard] lines missing in this log: {lost}");
        }
        let _ = writeln!(line, "{words}");
        // Who did not read for so long is not waited for again before it reads.
        let wait_ms = if *lost == 0 { LOG_WAIT_MS } else { 0 };
        *lost = if self.write(line.as_bytes(), wait_ms) {
            0
        } else {
            *lost + 1
        };
    }

    /// Writes, and waits for room at most so long in all. Whether all of it was written.
    fn write(&self, bytes: &[u8], wait_ms: u64) -> bool {
        // A pipe that is ready takes a piece of this size at once.
        bytes.chunks(LOG_PIECE_BYTES).all(|mut piece| {
            while !piece.is_empty() {
                if !poll::writable(self.out.as_fd(), wait_ms) {
                    return false;
                }
                match nix::unistd::write(&self.out, piece) {
                    Ok(count) if count > 0 => piece = piece.get(count..).unwrap_or_default(),
                    Err(Errno::EINTR) => {}
                    Ok(_) | Err(_) => return false,
                }
            }
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use super::*;

    fn lines<F>(out: F) -> Lines<F> {
        Lines {
            out,
            state: Mutex::default(),
        }
    }

    fn pipe() -> (File, OwnedFd) {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        (File::from(reader), writer)
    }

    /// What can be read at once.
    fn read(pipe: &mut File) -> String {
        let mut bytes = vec![0; 1 << 20];
        let count = pipe.read(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_and_says_how_much_is_missing() {
        let (mut reader, writer) = pipe();
        let log = lines(writer);
        // A pipe holds 64 KiB.
        for number in 0..10_000 {
            log.say(&format_args!("line {number}"));
        }
        let first = read(&mut reader);
        assert!(first.starts_with("line 0\nline 1\n"), "{first}");
        let kept = first.lines().count();
        assert!((1_000..9_999).contains(&kept), "{kept}");
        log.say(&"the next");
        let said = format!(
            "WARN  [sipguard] lines missing in this log: {}\nthe next\n",
            10_000 - kept
        );
        assert_eq!(read(&mut reader), said);
        log.say(&"the last");
        assert_eq!(read(&mut reader), "the last\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_ends_nobody() {
        let (reader, writer) = pipe();
        drop(reader);
        lines(writer).say(&"nobody is there");
        let full = File::options().write(true).open("/dev/full").unwrap();
        lines(full).say(&"the disk is full");
    }
}
