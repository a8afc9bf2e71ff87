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

/// As [`readable`], for any number of descriptors: says of each whether it can be read or has failed.
pub fn readable_of(fds: &[BorrowedFd<'_>], timeout_ms: Option<u64>) -> io::Result<Vec<bool>> {
    let mut slots: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    wait(&mut slots, timeout_ms)
}

/// Waits at most so long, or for ever, until the other end is closed or `fd` can be read. Says which.
pub fn closed_or_readable(
    other: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    timeout_ms: Option<u64>,
) -> io::Result<[bool; 2]> {
    let mut slots = [
        // What hangs up is told without being asked for.
        PollFd::new(other, PollFlags::empty()),
        PollFd::new(fd, PollFlags::POLLIN),
    ];
    let ready = wait(&mut slots, timeout_ms)?;
    Ok([0, 1].map(|slot| ready.get(slot) == Some(&true)))
}

fn wait(slots: &mut [PollFd<'_>], timeout_ms: Option<u64>) -> io::Result<Vec<bool>> {
    let timeout = match timeout_ms {
        None => PollTimeout::NONE,
        Some(ms) => PollTimeout::try_from(ms.min(i32::MAX as u64)).unwrap_or(PollTimeout::MAX),
    };
    match poll(slots, timeout) {
        Ok(_) => Ok(slots
            .iter()
            .map(|slot| slot.revents().is_none_or(|events| !events.is_empty()))
            .collect()),
        Err(Errno::EINTR) => Ok(vec![false; slots.len()]),
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
