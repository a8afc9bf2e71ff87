//! The program under test, and the network around it: phones, attackers, and what of theirs arrives.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use sipguard::config::Backend;
use sipguard::sys::clock;
use sipguard::time::Wall;

use crate::support::{Namespace, run};

/// Longer than anything takes on a loaded machine; no test depends on it being reached.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The program that Cargo has built, or the one that `SIPGUARD_PROGRAM` names: a release build, for measurements.
pub fn program_under_test() -> String {
    std::env::var("SIPGUARD_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sipguard").to_owned())
}

/// A running sipguard; killed when dropped.
pub struct Guard {
    child: Child,
    log: Receiver<String>,
    /// Every line of its log that was read so far.
    pub seen: Vec<String>,
}

impl Guard {
    /// Starts `sipguard run` with these words, and waits until it guards.
    pub fn start(words: &[&str]) -> Guard {
        let mut guard = Guard::spawn(words);
        guard.wait_for("guards with");
        guard
    }

    /// Starts `sipguard run` with these words.
    pub fn spawn(words: &[&str]) -> Guard {
        Guard::spawn_by(&[], words)
    }

    /// Starts it by another program, which becomes it.
    pub fn spawn_by(program: &[&str], words: &[&str]) -> Guard {
        let mut all = program.to_vec();
        let under_test = program_under_test();
        all.extend([under_test.as_str(), "run"]);
        all.extend(words);
        let mut child = Command::new(all[0])
            .args(&all[1..])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Guard {
            child,
            log,
            seen: Vec::new(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads the log until a line has all these words; returns it.
    #[track_caller]
    pub fn wait_for(&mut self, words: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .log
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
        panic!("no line with {words:?} in:\n{}", self.seen.join("\n"));
    }

    /// As [`Guard::wait_for`], for a line that may have been read already.
    #[track_caller]
    pub fn wait_for_in_any_order(&mut self, words: &str) {
        if !self.seen.iter().any(|line| line.contains(words)) {
            self.wait_for(words);
        }
    }

    /// Reads what is in the log without waiting for more than a moment.
    pub fn drain(&mut self) -> &[String] {
        while let Ok(line) = self.log.recv_timeout(Duration::from_millis(300)) {
            self.seen.push(line);
        }
        &self.seen
    }

    pub fn signal(&self, name: &str) {
        run(&format!("kill -{name} {}", self.pid()));
    }

    /// Ends it as a crash does; returns every line that it wrote.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut seen = std::mem::take(&mut self.seen);
        seen.extend(self.log.iter());
        seen
    }

    /// Waits for its end; returns the exit code.
    pub fn wait(mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end:\n{}", self.drain().join("\n"));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asterisk's log on a [`machine`].
pub const MESSAGES: &str = "/var/log/asterisk/messages";

/// An empty /var/log and /mnt, with a log and /mnt/jail.local: one jail on that log, and these lines of it.
pub fn machine(backend: Backend, more: &str) -> Log {
    run("mount -t tmpfs tmpfs /var/log");
    run("mount -t tmpfs tmpfs /mnt");
    let text = format!(
        "[DEFAULT]\nfirewall = {}\nonstop = remove\n[asterisk]\nenabled = true\nlogpath = {MESSAGES}\n{more}",
        backend.name()
    );
    fs::write("/mnt/jail.local", text).unwrap();
    Log::create(MESSAGES)
}

/// A log file that grows.
pub struct Log {
    file: File,
}

impl Log {
    pub fn create(path: impl AsRef<Path>) -> Log {
        let path = path.as_ref();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Log { file }
    }

    /// Writes a line of chan_sip's that reports a wrong password from `address`.
    pub fn fail(&mut self, address: &str) {
        self.line(&wrong_password(address));
    }

    pub fn line(&mut self, line: &str) {
        self.file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// What chan_sip writes about a wrong password, by its clock of so many seconds ago.
pub fn wrong_password_before(address: &str, seconds: i64) -> String {
    let utc = clock::utc().unwrap();
    let local = Wall(utc.0 + i64::from(clock::zone().offset(utc)) - seconds);
    let shown = if address.contains(':') {
        format!("[{address}]:5060")
    } else {
        format!("{address}:5060")
    };
    format!(
        "[{local}] NOTICE[4279] chan_sip.c: Registration from '<sip:100@192.0.2.10>' \
         failed for '{shown}' - Wrong password"
    )
}

impl Namespace {
    /// A UDP socket of that machine.
    pub fn socket(&self, address: &str) -> UdpSocket {
        self.socket_at(address, 0)
    }

    /// The same, of that port.
    pub fn socket_at(&self, address: &str, port: u16) -> UdpSocket {
        let here = File::open("/proc/thread-self/ns/net").unwrap();
        setns(File::open(self.path()).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        let socket = UdpSocket::bind((address, port));
        setns(here, CloneFlags::CLONE_NEWNET).unwrap();
        socket.unwrap()
    }
}

/// What chan_sip writes at this moment about a wrong password.
pub fn wrong_password(address: &str) -> String {
    wrong_password_before(address, 0)
}

/// A UDP port of the PBX, which is the machine of the test itself.
pub struct Port {
    socket: UdpSocket,
}

impl Port {
    /// `address` is `0.0.0.0` or `::`.
    pub fn open(address: &str, port: u16) -> Port {
        let socket = UdpSocket::bind((address, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Port { socket }
    }

    /// Sends something from this port.
    pub fn send(&self, address: &str, port: u16) {
        self.socket.send_to(b"hello", (address, port)).unwrap();
    }

    /// Whether a datagram from `from` to this port at the address `to` arrives.
    pub fn hears(&self, from: &UdpSocket, to: &str) -> bool {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        from.send_to(&number, (to, self.socket.local_addr().unwrap().port()))
            .unwrap();
        let mut buffer = [0; 16];
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            if buffer[..length] == number {
                return true;
            }
        }
        false
    }
}

/// Waits until something is true.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
