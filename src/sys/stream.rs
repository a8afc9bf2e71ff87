//! A program whose output is read as it comes, for as long as it runs. For a child only, which may start programs.
#![allow(
    clippy::disallowed_methods,
    reason = "this is a place where programs are started"
)]

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};

use super::program::{Exit, PATH};

/// A program that runs, in a process group of its own.
#[derive(Debug)]
pub struct Stream {
    child: Child,
    output: File,
    errors: File,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// There will be no more.
    End,
}

impl Stream {
    /// Starts a program: nothing of our environment but the time zone, no descriptor of ours, nothing to read, `/` as
    /// its directory.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(name: &str, words: &[String]) -> io::Result<Stream> {
        let pipe = || -> io::Result<_> {
            let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
            fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            Ok((File::from(ours), theirs))
        };
        let ((output, stdout), (errors, stderr)) = (pipe()?, pipe()?);
        let child = Command::new(name)
            .args(words)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/")
            .env("LANG", "C.UTF-8")
            .envs(std::env::var_os("TZ").map(|zone| ("TZ", zone)))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()?;
        Ok(Stream {
            child,
            output,
            errors,
        })
    }

    /// What is readable when it has written something.
    #[must_use]
    pub fn output(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }

    /// What is readable when it has complained.
    #[must_use]
    pub fn errors(&self) -> BorrowedFd<'_> {
        self.errors.as_fd()
    }

    /// Takes what it has written, as far as there is room.
    ///
    /// # Errors
    /// What read(2) says.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        take(&mut self.output, buffer)
    }

    /// Takes what it has complained of, as far as there is room.
    ///
    /// # Errors
    /// What read(2) says.
    pub fn read_errors(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        take(&mut self.errors, buffer)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// What waitpid(2) says.
    pub fn ended(&mut self) -> io::Result<Option<Exit>> {
        let status = self.child.try_wait()?;
        Ok(status.map(|status| match status.code() {
            Some(code) => Exit::Code(code),
            None => Exit::Signal(status.signal().unwrap_or(0)),
        }))
    }
}

impl Drop for Stream {
    /// Kills it, with whatever it started that is still in its group, and takes its end.
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).map(Pid::from_raw);
        // It may have ended by itself; and one that is killed ends.
        let _ = pid.map(|pid| killpg(pid, Signal::SIGKILL));
        let _ = self.child.wait();
    }
}

fn take(file: &mut File, buffer: &mut [u8]) -> io::Result<Got> {
    loop {
        return match file.read(buffer) {
            Ok(0) => Ok(Got::End),
            Ok(count) => Ok(Got::Bytes(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Got::Nothing),
            Err(error) => Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll;

    /// All that it writes, and all that it complains of, until it has ended.
    fn all(stream: &mut Stream) -> (String, String) {
        let (mut output, mut errors, mut buffer) = (Vec::new(), Vec::new(), [0; 64]);
        loop {
            poll::readable_of(&[stream.output()], Some(10_000)).unwrap();
            match stream.read(&mut buffer).unwrap() {
                Got::Bytes(count) => output.extend_from_slice(&buffer[..count]),
                Got::Nothing => {}
                Got::End => break,
            }
        }
        while let Got::Bytes(count) = stream.read_errors(&mut buffer).unwrap() {
            errors.extend_from_slice(&buffer[..count]);
        }
        (
            String::from_utf8(output).unwrap(),
            String::from_utf8(errors).unwrap(),
        )
    }

    #[test]
    fn what_a_program_writes_comes_as_it_writes_it() {
        let words = ["-c", "echo a; echo b >&2; printf c"].map(str::to_owned);
        let mut stream = Stream::start("sh", &words).unwrap();
        assert_eq!(all(&mut stream), ("a\nc".to_owned(), "b\n".to_owned()));
        let mut stream = Stream::start("sh", &["-c".to_owned(), "sleep 1000".to_owned()]).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), Got::Nothing);
        assert_eq!(stream.ended().unwrap(), None);
        drop(stream);
        assert!(Stream::start("/no/such/program", &[]).is_err());
    }
}
