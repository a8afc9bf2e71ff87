//! That only one guard runs in a network namespace: a unix socket with an abstract name, which belongs to the
//! namespace and goes away with the process, however it ends.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen, socket, sockopt,
};
use nix::unistd::geteuid;

/// The name, without the NUL that makes it abstract.
const NAME: &[u8] = b"sipguard";

/// Nobody else guards here while this is held.
#[derive(Debug)]
pub struct Instance {
    #[expect(dead_code, reason = "held, not used")]
    name: Option<OwnedFd>,
}

impl Instance {
    /// Takes the name; `AddrInUse` if another guard has it.
    ///
    /// Anybody may take such a name, also to keep us from starting. So one that is held by neither root nor
    /// ourselves counts for nothing; then we go without.
    pub fn claim() -> io::Result<Instance> {
        let address = UnixAddr::new_abstract(NAME)?;
        let own = local_socket()?;
        match bind(own.as_raw_fd(), &address) {
            Ok(()) => {
                // Who connects learns who we are. It is never answered.
                listen(&own, Backlog::MAXCONN)?;
                Ok(Instance { name: Some(own) })
            }
            Err(Errno::EADDRINUSE) if is_held_by_a_guard(&address)? => Err(Errno::EADDRINUSE.into()),
            Err(Errno::EADDRINUSE) => Ok(Instance { name: None }),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn is_held_by_a_guard(address: &UnixAddr) -> io::Result<bool> {
    let caller = local_socket()?;
    if connect(caller.as_raw_fd(), address).is_err() {
        return Ok(false);
    }
    let holder = getsockopt(&caller, sockopt::PeerCredentials)?.uid();
    Ok(holder == 0 || holder == geteuid().as_raw())
}

fn local_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Unix, SockType::Stream, flags, None)?)
}
