//! A pair of sockets between two of our processes, on which a message arrives whole or not at all.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send as send_to, socketpair};

/// Two sockets that are connected to each other; neither ever blocks.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message of so many bytes.
    Message(usize),
    /// Nothing is there.
    Nothing,
    /// The other end is closed.
    End,
}

/// Sends a message. `false`: there is no room for it.
pub fn send(socket: impl AsFd, message: &[u8]) -> io::Result<bool> {
    loop {
        match send_to(socket.as_fd().as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL) {
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Takes a message; of one that is longer than `buffer` the beginning.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    loop {
        match recv(socket.as_fd().as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(0) | Err(Errno::ECONNRESET) => return Ok(Received::End),
            Ok(length) => return Ok(Received::Message(length)),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(Received::Nothing),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_in_order_and_never_block() {
        let (here, there) = pair().unwrap();
        let mut buffer = [0; 4];
        assert_eq!(receive(&there, &mut buffer).unwrap(), Received::Nothing);
        for message in [&b"ab"[..], b"c"] {
            assert!(send(&here, message).unwrap());
        }
        assert_eq!(receive(&there, &mut buffer).unwrap(), Received::Message(2));
        assert_eq!(receive(&there, &mut buffer).unwrap(), Received::Message(1));
        let full = (0..100_000).position(|_| !send(&here, &[0; 1_000]).unwrap());
        assert!(full.is_some(), "a full socket takes no more, and says so");
        drop(here);
        while receive(&there, &mut [0; 1_000]).unwrap() == Received::Message(1_000) {}
        assert_eq!(receive(&there, &mut buffer).unwrap(), Received::End);
        assert!(send(&there, b"x").is_err());
    }
}
