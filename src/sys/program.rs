//! Running programs: for the children only. The guard itself starts those, once, and nothing else.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the place where programs are started"
)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, pipe2};

/// This program, whatever became of the file it was started from.
const OURSELVES: &str = "/proc/self/exe";

/// Where programs are looked for.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The words; the first is the program's name.
    pub words: &'a [String],
    /// Its environment, beside the usual.
    pub variables: &'a [(String, String)],
    /// What it reads.
    pub input: &'a [u8],
    /// So many bytes of its output are kept.
    pub keep: usize,
    /// Whether it must not gain privileges.
    pub confined: bool,
}

/// A program that runs, in a process group of its own.
pub struct Process {
    child: Child,
    output: File,
    kept: Vec<u8>,
    keep: usize,
}

impl Process {
    /// Starts a program: nothing of our environment, no descriptor of ours, `/` as its directory. What it reads is a
    /// file in memory and cannot make us wait.
    pub fn start(start: &Start<'_>) -> io::Result<Process> {
        let (name, words) = start
            .words
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut command = if start.confined {
            let mut command = Command::new(OURSELVES);
            command.arg0("sipguard").args(["notify-child", "confined", name]);
            command
        } else {
            Command::new(name)
        };
        command
            .args(words)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/")
            .env("LANG", "C.UTF-8")
            .envs(std::env::var_os("TZ").map(|zone| ("TZ", zone)))
            .envs(start.variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .process_group(0)
            .stdin(input(start.input)?)
            .stderr(theirs.try_clone()?)
            .stdout(theirs);
        let child = command.spawn()?;
        Ok(Process {
            child,
            output: File::from(ours),
            kept: Vec::new(),
            keep: start.keep,
        })
    }

    /// What is readable when it has said something.
    pub fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// Takes what it has said. `false`: it will say no more.
    pub fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.output.read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => {
                    let room = self.keep.saturating_sub(self.kept.len()).min(length);
                    self.kept.extend(buffer.iter().take(room));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<Exit>> {
        let status = self.child.try_wait()?;
        Ok(status.map(|status| match status.code() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.signal().unwrap_or(0)),
        }))
    }

    /// The beginning of what it said.
    pub fn kept(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.kept)
    }

    /// Kills it and whatever it started that is still in its group.
    pub fn kill(&mut self) {
        let pid = i32::try_from(self.child.id()).map(Pid::from_raw);
        // It may have ended by itself.
        let _ = pid.map(|pid| killpg(pid, Signal::SIGKILL));
    }
}

/// A file in memory with this content, at its beginning.
fn input(bytes: &[u8]) -> io::Result<Stdio> {
    if bytes.is_empty() {
        return Ok(Stdio::null());
    }
    let mut file = memory(bytes)?;
    file.rewind()?;
    Ok(Stdio::from(file))
}

/// A file in memory.
pub fn memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"sipguard", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// Starts this program again with these words, a socket as its standard input and a file as its standard output.
pub fn start_ourselves(words: &[&OsStr], socket: OwnedFd, file: &File) -> io::Result<Child> {
    Command::new(OURSELVES)
        .arg0("sipguard")
        .args(words)
        .envs(super::log::heritage())
        .current_dir("/")
        .process_group(0)
        .stdin(socket)
        .stdout(file.try_clone()?)
        .spawn()
}

/// Becomes another program. Returns only if that cannot be.
#[must_use]
pub fn replace_ourselves(words: &[std::ffi::OsString]) -> io::Error {
    match words.split_first() {
        Some((name, rest)) => Command::new(name).args(rest).exec(),
        None => io::Error::from(io::ErrorKind::InvalidInput),
    }
}

/// Dies when the process that started us does.
pub fn die_with_parent() -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)
}

/// Becomes the parent of whatever our children leave behind.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Takes the end of any child of ours, if one has ended: which, and how.
pub fn reap() -> Option<(u32, Exit)> {
    loop {
        let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => (pid, Exit::Code(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::Signal(signal as i32)),
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(_) => return None,
        };
        return Some((pid.as_raw().unsigned_abs(), exit));
    }
}

/// Kills every child of ours with its group: what a child that died has left to us.
pub fn kill_children() {
    let ours = getpid().as_raw();
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in names {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = number else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything; behind it: state, parent, group.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let mut numbers = fields.split_whitespace().skip(1).map(str::parse::<i32>);
        let (parent, group) = (numbers.next(), numbers.next());
        if let (Some(Ok(parent)), Some(Ok(group))) = (parent, group) {
            if parent == ours && group > 1 && group != ours {
                // It may end before we come.
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
        }
    }
}

/// Where a program of this name is, if it is anywhere that programs are looked for.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let mut places = PATH.split(':').map(|folder| Path::new(folder).join(name));
    places.find(|place| place.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str], input: &[u8], keep: usize) -> (Option<Exit>, String) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let variables = [("SIPGUARD_ip".to_owned(), "192.0.2.1; x".to_owned())];
        let start = Start {
            words: &words,
            variables: &variables,
            input,
            keep,
            confined: false,
        };
        let mut process = Process::start(&start).unwrap();
        for _ in 0..500 {
            process.read();
            if let Some(exit) = process.ended().unwrap() {
                process.read();
                return (Some(exit), String::from_utf8(process.kept()).unwrap());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        process.kill();
        (None, String::new())
    }

    #[test]
    fn a_program_gets_its_words_its_input_and_its_variables_and_nothing_else() {
        let (exit, said) = run(
            &["sh", "-c", "cat; env | sort; echo $1 >&2; exit 3", "x", "a"],
            b"text\n",
            9_000,
        );
        assert_eq!(exit, Some(Exit::Code(3)));
        let said: Vec<&str> = said.lines().filter(|line| !line.starts_with("TZ=")).collect();
        let path = format!("PATH={PATH}");
        let want = [
            "text",
            "HOME=/",
            "LANG=C.UTF-8",
            &path,
            "PWD=/",
            "SIPGUARD_ip=192.0.2.1; x",
            "a",
        ];
        assert_eq!(said, want);
    }

    #[test]
    fn what_it_says_is_kept_up_to_a_bound_and_never_holds_it() {
        let (exit, said) = run(
            &["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; kill -9 $$"],
            b"",
            10,
        );
        assert_eq!((exit, said.as_str()), (Some(Exit::Signal(9)), "xxxxxxxxxx"));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let words = ["/no/such/program".to_owned()];
        let start = Start {
            words: &words,
            variables: &[],
            input: b"",
            keep: 0,
            confined: false,
        };
        assert!(Process::start(&start).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
        assert!(find("sh").is_some() && find("no such program").is_none());
    }
}
