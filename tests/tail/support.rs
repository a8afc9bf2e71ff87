//! A directory, a reader in its loop, and tests that need another process.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sipguard::tail::{FileStatus, Start, Tail};
use sipguard::time::Mono;

/// A directory of the test's own.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sipguard-tail-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Dir(path.canonicalize().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn append(&self, name: &str, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(self.path(name));
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tail in its loop, as the daemon runs it, under a clock that the test moves.
pub struct Reader {
    pub tail: Tail,
    pub now: Mono,
    pub lines: Vec<String>,
}

impl Reader {
    pub fn new() -> Reader {
        Reader {
            tail: Tail::new().unwrap(),
            now: Mono(1_000),
            lines: Vec::new(),
        }
    }

    pub fn following(dir: &Dir, pattern: &str) -> Reader {
        let mut reader = Reader::new();
        reader.follow(dir, pattern, 1, Start::End);
        reader.turn();
        reader
    }

    pub fn follow(&mut self, dir: &Dir, pattern: &str, readers: u32, start: Start) {
        let pattern = dir.path(pattern);
        self.tail
            .follow(pattern.to_str().unwrap(), readers, start, self.now)
            .unwrap();
    }

    /// One turn of the loop.
    pub fn turn(&mut self) -> bool {
        let lines = &mut self.lines;
        self.tail.read(self.now, &mut |line| {
            lines.push(String::from_utf8_lossy(line.bytes).into_owned());
        })
    }

    /// Whether there is an event within `millis`.
    pub fn is_woken(&self, millis: u16) -> bool {
        let mut slots = [PollFd::new(self.tail.fd(), PollFlags::POLLIN)];
        poll(&mut slots, PollTimeout::from(millis)).unwrap() > 0
    }

    /// Runs the loop until nothing has happened for a moment; inotify events are there when a system call
    /// that causes them has returned.
    pub fn run(&mut self) {
        loop {
            let more = self.turn();
            let woken = self.is_woken(0);
            if woken {
                self.tail.wake(self.now);
            } else if !more {
                return;
            }
        }
    }

    pub fn later(&mut self, seconds: u64) {
        self.run();
        self.now = self.now.plus_seconds(seconds);
        if self
            .tail
            .next_deadline()
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.tail.wake(self.now);
        }
        self.run();
    }

    /// The lines since the last call are these.
    pub fn check(&mut self, expect: &[&str]) {
        self.run();
        assert_eq!(std::mem::take(&mut self.lines), expect);
    }

    /// What is followed under this name.
    pub fn status(&self, path: &Path) -> FileStatus<'_> {
        self.tail.files().find(|file| file.path == path).unwrap()
    }

    /// What the log would say about the log files since the last call.
    pub fn notices(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.tail.notice())
            .map(|notice| notice.to_string())
            .collect()
    }
}

/// Runs the test of this name again in a process of its own, behind `wrapper`. Returns true in that process.
pub fn in_child(test: &str, wrapper: &[&str]) -> bool {
    if std::env::var_os("SIPGUARD_TEST_CHILD").is_some() {
        return true;
    }
    // The build directory may be closed to the user that the wrapper becomes.
    let dir = Dir::new();
    let program = dir.path("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(&program)
        .args(["--exact", test, "--nocapture"])
        .env("SIPGUARD_TEST_CHILD", "1")
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}
