//! Waiting for descriptors.

use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::limits::DESCRIPTORS_MAX;

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// That it can be read.
    Read,
    /// That it can be written.
    Write,
}

/// Descriptors to wait for, at most [`DESCRIPTORS_MAX`].
#[derive(Debug)]
pub struct Waiting<'fd> {
    slots: [PollFd<'fd>; DESCRIPTORS_MAX],
    used: usize,
}

/// The place of a descriptor among those that are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

/// Which descriptors are ready, by their places.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready(u32);

const _: () = assert!(DESCRIPTORS_MAX <= u32::BITS as usize);

impl<'fd> Waiting<'fd> {
    /// Waits for one descriptor to be readable, to begin with; its place is [`Place::FIRST`].
    #[must_use]
    pub fn new(first: BorrowedFd<'fd>) -> Waiting<'fd> {
        Waiting {
            slots: core::array::from_fn(|_| PollFd::new(first, PollFlags::POLLIN)),
            used: 1,
        }
    }

    /// Waits for one more.
    pub fn add(&mut self, fd: BorrowedFd<'fd>, interest: Interest) -> Place {
        let flags = match interest {
            Interest::Read => PollFlags::POLLIN,
            Interest::Write => PollFlags::POLLOUT,
        };
        assert!(self.used < DESCRIPTORS_MAX, "there is room for every descriptor");
        if let Some(slot) = self.slots.get_mut(self.used) {
            *slot = PollFd::new(fd, flags);
        }
        self.used += 1;
        Place(self.used - 1)
    }

    /// Waits until one of them is ready or has failed, or until `timeout_ms` is over (`None`: for ever). An
    /// interrupting signal is an empty answer.
    pub fn wait(mut self, timeout_ms: Option<u64>) -> io::Result<Ready> {
        // poll(2) counts in i32 milliseconds: a longer wait ends early, and the caller looks again.
        let timeout = match timeout_ms {
            None => PollTimeout::NONE,
            Some(ms) => PollTimeout::try_from(ms.min(i32::MAX as u64)).unwrap_or(PollTimeout::MAX),
        };
        let slots = self.slots.get_mut(..self.used).unwrap_or_default();
        match poll(slots, timeout) {
            Ok(_) => {
                let ready = |(at, slot): (usize, &PollFd<'_>)| u32::from(slot.any().unwrap_or(true)) << at;
                Ok(Ready(
                    slots.iter().enumerate().map(ready).fold(0, |all, one| all | one),
                ))
            }
            Err(Errno::EINTR) => Ok(Ready::default()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Place {
    /// The place of the first one.
    pub const FIRST: Place = Place(0);

    /// The place behind this one.
    #[must_use]
    pub fn next(self) -> Place {
        Place(self.0 + 1)
    }
}

impl Ready {
    /// Whether the descriptor at this place is ready for what it was waited for, or has failed.
    #[must_use]
    pub fn has(self, place: Place) -> bool {
        u32::try_from(place.0).is_ok_and(|at| self.0.checked_shr(at).unwrap_or(0) & 1 == 1)
    }
}

/// Waits until one of any number of descriptors can be read or has failed, or until `timeout_ms` is over. Says of
/// each whether it is ready.
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_ready_is_told_by_its_place() {
        let (mut one, other) = UnixStream::pair().unwrap();
        let mut waiting = Waiting::new(one.as_fd());
        let read = waiting.add(other.as_fd(), Interest::Read);
        let write = waiting.add(other.as_fd(), Interest::Write);
        let ready = waiting.wait(Some(0)).unwrap();
        assert_eq!(
            [Place::FIRST, read, write, write.next()].map(|place| ready.has(place)),
            [false, false, true, false]
        );
        one.write_all(b"x").unwrap();
        let mut waiting = Waiting::new(one.as_fd());
        let read = waiting.add(other.as_fd(), Interest::Read);
        assert!(waiting.wait(None).unwrap().has(read));
        drop(other);
        assert!(
            Waiting::new(one.as_fd()).wait(None).unwrap().has(Place::FIRST),
            "hung up"
        );
    }
}
