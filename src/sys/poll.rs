//! Waiting for descriptors.

use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until one of the descriptors can be read or has failed, or until `timeout_ms` is over (`None`: for
/// ever). Says of each whether it is ready. An interrupting signal is an empty answer.
pub fn readable<const N: usize>(fds: [BorrowedFd<'_>; N], timeout_ms: Option<u64>) -> io::Result<[bool; N]> {
    let mut slots = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    // poll(2) counts in i32 milliseconds: a longer wait ends early, and the caller looks again.
    let timeout = match timeout_ms {
        None => PollTimeout::NONE,
        Some(ms) => PollTimeout::try_from(ms.min(i32::MAX as u64)).unwrap_or(PollTimeout::MAX),
    };
    match poll(&mut slots, timeout) {
        Ok(_) => Ok(slots.map(|slot| slot.any().unwrap_or(true))),
        Err(Errno::EINTR) => Ok([false; N]),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits at most so long until a descriptor takes what is written. `false`, too, if its reader is gone.
pub fn writable(fd: BorrowedFd<'_>, timeout_ms: u64) -> bool {
    let mut slots = [PollFd::new(fd, PollFlags::POLLOUT)];
    let timeout = PollTimeout::try_from(timeout_ms.min(i32::MAX as u64)).unwrap_or(PollTimeout::MAX);
    let ready = poll(&mut slots, timeout);
    let [slot] = slots;
    ready.is_ok() && slot.revents() == Some(PollFlags::POLLOUT)
}
