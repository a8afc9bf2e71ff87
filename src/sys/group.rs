//! Descriptors that are waited for as one (epoll(7)): the loop waits for a few, and any number of them may be behind
//! one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

/// Readable while one of its members is, or has hung up.
#[derive(Debug)]
pub struct Group(Epoll);

impl Group {
    /// One without members, closed on exec.
    ///
    /// # Errors
    /// What epoll_create1(2) says.
    pub fn new() -> io::Result<Group> {
        Ok(Group(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Waits for this descriptor, too, until it is closed.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn add(&self, fd: impl AsFd) -> io::Result<()> {
        match self.0.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0)) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for it no more.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        match self.0.delete(fd) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::poll;

    #[test]
    fn it_is_readable_while_a_member_is() {
        let group = Group::new().unwrap();
        let (mut here, there) = UnixStream::pair().unwrap();
        let is_readable = || poll::readable_of(&[group.as_fd()], Some(0)).unwrap() == [true];
        assert!(!is_readable());
        group.add(&there).unwrap();
        group.add(&there).unwrap();
        assert!(!is_readable());
        here.write_all(b"x").unwrap();
        assert!(is_readable() && is_readable());
        group.remove(&there).unwrap();
        group.remove(&there).unwrap();
        assert!(!is_readable());
        group.add(&there).unwrap();
        assert!(is_readable());
        drop(there);
        assert!(!is_readable(), "what is closed is no member");
    }
}
