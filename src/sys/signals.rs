//! Signals as a descriptor (signalfd), so that they arrive in the loop and nowhere else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM, SIGINT: stop.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// The signals that ask something of us, blocked and turned into a descriptor.
pub struct Signals {
    /// All of them, to wait for.
    fd: SignalFd,
    /// Those that say stop: the kernel gives SIGHUP first, and somebody who sends that without end must not
    /// keep us from stopping.
    stop: SignalFd,
}

impl Signals {
    /// Blocks the signals for this process from here on. SIGPIPE is blocked too: a closed log or socket
    /// is an error to handle, not a reason to die.
    pub fn new() -> io::Result<Signals> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGPIPE] {
            set.add(signal);
        }
        set.thread_block()?;
        set.remove(Signal::SIGPIPE);
        let open = |set: &SigSet| SignalFd::with_flags(set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC);
        let fd = open(&set)?;
        set.remove(Signal::SIGHUP);
        Ok(Signals {
            fd,
            stop: open(&set)?,
        })
    }

    /// The next request, if one is waiting; to stop comes first.
    pub fn take(&mut self) -> io::Result<Option<Request>> {
        if self.stop.read_signal()?.is_some() {
            return Ok(Some(Request::Stop));
        }
        let Some(info) = self.fd.read_signal()? else {
            return Ok(None);
        };
        let hangup = info.ssi_signo == Signal::SIGHUP as u32;
        Ok(Some(if hangup { Request::Reload } else { Request::Stop }))
    }
}

/// The ends of our children as a descriptor, for processes that do nothing but look after some.
pub struct Children(SignalFd);

impl Children {
    /// Blocks what asks the guard to stop or to read again, too: it tells us itself, and what a terminal or a
    /// supervisor sends to all of its processes must not end us before it has.
    pub fn new() -> io::Result<Children> {
        let mut set = SigSet::empty();
        for signal in [
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGPIPE,
            Signal::SIGCHLD,
        ] {
            set.add(signal);
        }
        set.thread_block()?;
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Children(SignalFd::with_flags(&set, flags)?))
    }

    /// Takes what has been heard: some child, or several, ended.
    pub fn take(&self) -> io::Result<()> {
        while self.0.read_signal()?.is_some() {}
        Ok(())
    }
}

impl AsFd for Children {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
