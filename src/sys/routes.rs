//! Hearing of it when this box gets or loses an address or a route, without ever looking (rtnetlink(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE` (linux/rtnetlink.h).
const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;

/// Reports that are taken at once; what is left wakes the loop again.
const AT_ONCE: usize = 64;

/// A socket that hears of every change. What changed is not read from it: all addresses are looked at anew.
pub struct Routes(OwnedFd);

impl Routes {
    /// Begins to listen.
    ///
    /// # Errors
    /// What socket(2) and bind(2) say.
    pub fn new() -> io::Result<Routes> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            flags,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(Routes(socket))
    }

    /// Whether something has changed since the last call.
    ///
    /// # Errors
    /// What recv(2) says, but not that reports were lost: then something has changed.
    pub fn take(&mut self) -> io::Result<bool> {
        let mut heard = false;
        for _ in 0..AT_ONCE {
            // A report that does not fit is cut: that there is one is enough.
            match recv(self.0.as_raw_fd(), &mut [0; 16], MsgFlags::empty()) {
                Ok(_) | Err(Errno::ENOBUFS) => heard = true,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(heard)
    }
}

impl AsFd for Routes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Place, Waiting};

    #[test]
    fn nothing_is_heard_of_addresses_that_do_not_change() {
        let mut routes = Routes::new().unwrap();
        // Others may change something on this machine, so that only the call is looked at.
        let ready = Waiting::new(routes.as_fd()).wait(Some(200)).unwrap();
        assert_eq!(routes.take().unwrap(), ready.has(Place::FIRST));
    }
}
