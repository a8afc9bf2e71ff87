//! Our own log: lines on standard error, which a supervisor reads, or nobody does; or to syslog.
//!
//! A reader that is slow, stopped or gone must not hold or end the loop (rule R7), as the macros of the standard
//! library would: they wait for ever, and panic if a line cannot be written. A line that finds no room is counted,
//! and how many are missing is said when there is room again.
//!
//! Who keeps the log shall know how grave a line is: a terminal shows a word for it, journald reads `<N>` before
//! a line (sd-daemon(3)), and syslog has it in each message (RFC 3164 section 4.1.1). None of them needs a time
//! from us: journald, syslogd and logd note when a line came.

use core::fmt::{self, Write as _};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, UnixAddr, sendto};

use super::poll;
use crate::limits::{LOG_PIECE_BYTES, LOG_WAIT_MS};

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard error, as the journal takes it if that is what standard error is.
    Stderr,
    /// The system's log.
    Syslog,
}

impl Destination {
    /// Where the process that started us logs to.
    #[must_use]
    pub fn inherited() -> Destination {
        if std::env::var_os(VARIABLE).is_some() {
            Destination::Syslog
        } else {
            Destination::Stderr
        }
    }
}

/// What a child has in its environment, to log to syslog as we do.
#[must_use]
pub fn heritage() -> Option<(&'static str, &'static str)> {
    TO_SYSLOG.load(Ordering::Relaxed).then_some((VARIABLE, "1"))
}

const VARIABLE: &str = "SIPGUARD_SYSLOG";
/// Whether this process logs to syslog.
static TO_SYSLOG: AtomicBool = AtomicBool::new(false);

/// Where syslogd, logd and journald listen.
const SYSLOG: &str = "/dev/log";
/// What system daemons log as, shifted past the severity.
const FACILITY_DAEMON: u8 = 3 << 3;

/// A log, and how its lines look.
struct Lines<O> {
    out: O,
    form: Form,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A word for the level and the target.
    Words,
    /// `<N>` before every line.
    Journal,
    /// `<N>sipguard[PID]: ` before every line.
    Syslog(u32),
}

#[derive(Default)]
struct State {
    line: String,
    /// Lines that were not written, or only in part, since the last one that was.
    lost: u64,
}

/// What takes lines.
trait Output: Send + Sync {
    /// Writes a message of one or more lines, and waits for room at most so long in all. Whether all of it was
    /// written.
    fn write(&self, text: &str, wait_ms: u64) -> bool;
}

/// Begins to log, up to this level. Whether somebody keeps the log who is told how grave each line is.
pub fn start(level: LevelFilter, destination: Destination) -> bool {
    let journal = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stderr = |form| (lines(Stream(io::stderr()), form), form);
    let (logger, form) = match destination {
        Destination::Stderr if is_stream(io::stderr(), &journal) => stderr(Form::Journal),
        Destination::Stderr => stderr(Form::Words),
        Destination::Syslog => match Syslog::open(SYSLOG) {
            Ok(syslog) => {
                let form = Form::Syslog(std::process::id());
                TO_SYSLOG.store(true, Ordering::Relaxed);
                (lines(syslog, form), form)
            }
            Err(_) => stderr(Form::Words),
        },
    };
    // A second log can only be a mistake of ours in one process; the first goes on.
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level);
    }
    form != Form::Words
}

fn lines<O: Output + 'static>(out: O, form: Form) -> Box<dyn Log> {
    Box::new(Lines {
        out,
        form,
        state: Mutex::default(),
    })
}

/// Whether this is the stream of that name: journald names its own by device and inode in `JOURNAL_STREAM`
/// (systemd.exec(5)). The variable alone says nothing, since whoever is started with another stream inherits it.
fn is_stream(stream: impl AsFd, named: &str) -> bool {
    nix::sys::stat::fstat(stream).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

impl<O: Output> Log for Lines<O> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.say(record.level(), record.target(), record.args());
        }
    }

    fn flush(&self) {}
}

impl<O: Output> Lines<O> {
    fn say(&self, level: Level, target: &str, words: &dyn fmt::Display) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { line, lost } = &mut *state;
        line.clear();
        if *lost > 0 {
            let missing = format_args!("lines missing in this log: {lost}");
            self.form.write(line, Level::Warn, "sipguard", &missing);
        }
        self.form.write(line, level, target, words);
        // Who did not read for so long is not waited for again before it reads.
        let wait_ms = if *lost == 0 { LOG_WAIT_MS } else { 0 };
        *lost = if self.out.write(line, wait_ms) {
            0
        } else {
            *lost + 1
        };
    }
}

impl Form {
    /// Adds a message to `line`, with a newline at its end. What reads line by line gets the level for each.
    fn write(self, line: &mut String, level: Level, target: &str, words: &dyn fmt::Display) {
        // A String takes everything.
        let _ = match self {
            Form::Words => writeln!(line, "{level:<5} [{target}] {words}"),
            Form::Journal => write!(
                Marked::new(line, format_args!("<{}>", severity(level))),
                "{words}"
            ),
            Form::Syslog(pid) => {
                let priority = FACILITY_DAEMON | severity(level);
                write!(
                    Marked::new(line, format_args!("<{priority}>sipguard[{pid}]: ")),
                    "{words}"
                )
            }
        };
        if !line.ends_with('\n') {
            line.push('\n');
        }
    }
}

/// Writes text with a mark before each of its lines.
struct Marked<'l, 'm> {
    line: &'l mut String,
    mark: fmt::Arguments<'m>,
    at_start: bool,
}

impl<'l, 'm> Marked<'l, 'm> {
    fn new(line: &'l mut String, mark: fmt::Arguments<'m>) -> Marked<'l, 'm> {
        Marked {
            line,
            mark,
            at_start: true,
        }
    }
}

impl fmt::Write for Marked<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive('\n') {
            if self.at_start {
                self.line.write_fmt(self.mark)?;
            }
            self.line.push_str(piece);
            self.at_start = piece.ends_with('\n');
        }
        Ok(())
    }
}

/// RFC 3164's severity, which journald's `<N>` is, too.
fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// A stream of lines.
struct Stream<F>(F);

impl<F: AsFd + Send + Sync> Output for Stream<F> {
    fn write(&self, text: &str, wait_ms: u64) -> bool {
        // A pipe that is ready takes a piece of this size at once.
        text.as_bytes().chunks(LOG_PIECE_BYTES).all(|mut piece| {
            while !piece.is_empty() {
                if !poll::writable(self.0.as_fd(), wait_ms) {
                    return false;
                }
                match nix::unistd::write(&self.0, piece) {
                    Ok(count) if count > 0 => piece = piece.get(count..).unwrap_or_default(),
                    Err(Errno::EINTR) => {}
                    Ok(_) | Err(_) => return false,
                }
            }
            true
        })
    }
}

/// A socket of datagrams, a message each. It is not connected, so that a log that is restarted is found again.
struct Syslog {
    socket: UnixDatagram,
    address: UnixAddr,
}

impl Syslog {
    fn open(path: &str) -> io::Result<Syslog> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(Duration::from_millis(LOG_WAIT_MS)))?;
        Ok(Syslog {
            socket,
            address: UnixAddr::new(path)?,
        })
    }

    fn send(&self, message: &[u8], flags: MsgFlags) -> bool {
        loop {
            match sendto(self.socket.as_raw_fd(), message, &self.address, flags) {
                Ok(_) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }
}

impl Output for Syslog {
    /// Waits for as long as the socket was told to, if at all: a line is one message but for rare ones.
    fn write(&self, text: &str, wait_ms: u64) -> bool {
        let flags = if wait_ms == 0 {
            MsgFlags::MSG_DONTWAIT
        } else {
            MsgFlags::empty()
        };
        text.lines().all(|line| self.send(line.as_bytes(), flags))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use super::*;

    fn lines<O>(out: O, form: Form) -> Lines<O> {
        Lines {
            out,
            form,
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

    fn say<O: Output>(log: &Lines<O>, words: &str) {
        log.say(Level::Info, "sipguard", &words);
    }

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_and_says_how_much_is_missing() {
        let (mut reader, writer) = pipe();
        let log = lines(Stream(writer), Form::Words);
        // A pipe holds 64 KiB.
        for number in 0..10_000 {
            say(&log, &format!("line {number}"));
        }
        let first = read(&mut reader);
        assert!(
            first.starts_with("INFO  [sipguard] line 0\nINFO  [sipguard] line 1\n"),
            "{first}"
        );
        let kept = first.lines().count();
        assert!((1_000..9_999).contains(&kept), "{kept}");
        say(&log, "the next");
        let said = format!(
            "WARN  [sipguard] lines missing in this log: {}\nINFO  [sipguard] the next\n",
            10_000 - kept
        );
        assert_eq!(read(&mut reader), said);
        say(&log, "the last");
        assert_eq!(read(&mut reader), "INFO  [sipguard] the last\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_ends_nobody() {
        let (reader, writer) = pipe();
        drop(reader);
        say(&lines(Stream(writer), Form::Words), "nobody is there");
        let full = File::options().write(true).open("/dev/full").unwrap();
        say(&lines(Stream(full), Form::Words), "the disk is full");
        let log = lines(Syslog::open("/nonexistent/log").unwrap(), Form::Syslog(7));
        say(&log, "no syslogd");
        assert_eq!(log.state.lock().unwrap().lost, 1);
    }

    #[test]
    fn every_line_says_how_grave_it_is() {
        let check = |form: Form, level, words: &str, want: &str| {
            let mut line = String::new();
            form.write(&mut line, level, "sipguard", &words);
            assert_eq!(line, want);
        };
        let wrong = "keeping the old settings:\n  12 | maxretry = x";
        check(
            Form::Words,
            Level::Error,
            wrong,
            "ERROR [sipguard] keeping the old settings:\n  12 | maxretry = x\n",
        );
        check(
            Form::Journal,
            Level::Error,
            wrong,
            "<3>keeping the old settings:\n<3>  12 | maxretry = x\n",
        );
        check(
            Form::Syslog(7),
            Level::Error,
            wrong,
            "<27>sipguard[7]: keeping the old settings:\n<27>sipguard[7]:   12 | maxretry = x\n",
        );
        check(Form::Journal, Level::Warn, "w\n", "<4>w\n");
        check(Form::Journal, Level::Info, "banned", "<6>banned\n");
        check(Form::Journal, Level::Debug, "", "\n");
        check(Form::Syslog(1), Level::Debug, "d", "<31>sipguard[1]: d\n");
    }

    #[test]
    fn syslog_gets_a_message_for_each_line_and_is_found_again_after_its_restart() {
        let directory = std::env::temp_dir().join(format!("sipguard-log-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("log");
        let path = path.to_str().unwrap();
        let listen = || {
            let _ = std::fs::remove_file(path);
            UnixDatagram::bind(path).unwrap()
        };
        let heard = |syslogd: &UnixDatagram| {
            let mut message = [0; 256];
            let count = syslogd.recv(&mut message).unwrap();
            String::from_utf8(message[..count].to_vec()).unwrap()
        };
        let syslogd = listen();
        let log = lines(Syslog::open(path).unwrap(), Form::Syslog(7));
        say(&log, "one\ntwo");
        assert_eq!(heard(&syslogd), "<30>sipguard[7]: one");
        assert_eq!(heard(&syslogd), "<30>sipguard[7]: two");
        drop(syslogd);
        say(&log, "nobody hears this");
        let syslogd = listen();
        say(&log, "three");
        assert_eq!(heard(&syslogd), "<28>sipguard[7]: lines missing in this log: 1");
        assert_eq!(heard(&syslogd), "<30>sipguard[7]: three");
        // One that does not read holds nobody for long.
        for number in 0..10_000 {
            say(&log, &format!("line {number}"));
        }
        assert!(log.state.lock().unwrap().lost > 0);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn standard_error_is_the_journals_only_if_it_is_the_stream_that_is_named() {
        use std::os::linux::fs::MetadataExt as _;
        let (reader, writer) = pipe();
        let metadata = reader.metadata().unwrap();
        let named = format!("{}:{}", metadata.st_dev(), metadata.st_ino());
        assert!(is_stream(&writer, &named));
        let (_, other) = pipe();
        assert!(!is_stream(&other, &named));
        assert!(!is_stream(&writer, ""));
    }
}
