//! A netlink socket to the netfilter part of the kernel.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recvfrom,
    sendto, setsockopt, socket, sockopt,
};

use super::uapi::{ENOBUFS, NFNLGRP_NFTABLES, NLMSG_DONE};
use crate::limits::{NETLINK_QUEUE_BYTES, NETLINK_RECEIVE_BYTES};
use crate::wire::nlmsg::{Answer, Message, Messages};

/// A socket for requests. The kernel answers a request before the call that sends it returns, so a
/// request never waits.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    received: Box<[u8]>,
    seq: u32,
}

/// What became of a request as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Everything went well.
    Done,
    /// The kernel refused something, and said what.
    Refused,
    /// Some answers are lost, because the queue for them was too short.
    Lost,
}

impl Netlink {
    /// Opens a socket.
    pub fn open() -> io::Result<Netlink> {
        let socket = netfilter_socket(0)?;
        // Without these a long batch or many refusals at once do not fit; both are dealt with.
        let _ = setsockopt(&socket, sockopt::SndBufForce, &NETLINK_QUEUE_BYTES);
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &NETLINK_QUEUE_BYTES);
        // The kernel explains a refusal (Linux 4.12).
        let _ = setsockopt(&socket, ExtendedAck, &true);
        Ok(Netlink {
            socket,
            received: vec![0; NETLINK_RECEIVE_BYTES].into_boxed_slice(),
            seq: 0,
        })
    }

    /// A sequence number, followed by `count` more that nobody else uses.
    pub fn sequence(&mut self, count: u32) -> u32 {
        let first = self.seq.wrapping_add(1);
        self.seq = first.wrapping_add(count);
        first
    }

    /// The number under which others see changes made through this socket.
    pub fn port(&self) -> io::Result<u32> {
        Ok(getsockname::<NetlinkAddr>(self.socket.as_raw_fd())?.pid())
    }

    /// Asks for room for one message or batch that is longer than usual. Best effort: if it is
    /// refused, sending says so.
    pub fn reserve(&self, bytes: usize) {
        if bytes > NETLINK_QUEUE_BYTES / 2 {
            let _ = setsockopt(&self.socket, sockopt::SndBufForce, &(bytes * 2));
        }
    }

    /// Sends messages numbered `first` to `last`, of which the last asks for an answer, and hands
    /// every refusal to `refused`. Answers to anything else are dropped.
    pub fn request(
        &mut self,
        messages: &[u8],
        first: u32,
        last: u32,
        refused: &mut dyn FnMut(Answer<'_>),
    ) -> io::Result<Reply> {
        self.send(messages)?;
        let mut reply = Reply::Done;
        let mut answered = false;
        loop {
            match receive(&self.socket, &mut self.received) {
                Ok(datagram) => {
                    for answer in Messages(datagram).filter_map(|m| m.answer()) {
                        if answer.seq.wrapping_sub(first) > last.wrapping_sub(first) {
                            continue;
                        }
                        answered |= answer.seq == last;
                        if answer.code != 0 {
                            refused(answer);
                            if reply == Reply::Done {
                                reply = Reply::Refused;
                            }
                        }
                    }
                    // Refusals come before the answer to the last message, so there is nothing to wait for.
                    if answered && reply == Reply::Done {
                        return Ok(reply);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let complete = answered || reply == Reply::Refused;
                    return Ok(if complete { reply } else { Reply::Lost });
                }
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => reply = Reply::Lost,
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a question numbered `seq` that asks for an answer, or for a dump, and hands over every
    /// message of the reply. Only for what is small: our own rules, the names of sets.
    pub fn ask(&mut self, question: &[u8], seq: u32, each: &mut dyn FnMut(&Message<'_>)) -> io::Result<()> {
        self.send(question)?;
        loop {
            let datagram = receive(&self.socket, &mut self.received)?;
            for message in Messages(datagram).filter(|m| m.seq == seq) {
                match message.answer() {
                    Some(answer) if answer.code != 0 => {
                        return Err(io::Error::from_raw_os_error(answer.code));
                    }
                    Some(_) => return Ok(()),
                    None if message.kind == NLMSG_DONE => return Ok(()),
                    None => each(&message),
                }
            }
        }
    }

    fn send(&self, messages: &[u8]) -> io::Result<()> {
        let kernel = NetlinkAddr::new(0, 0);
        let sent = sendto(self.socket.as_raw_fd(), messages, &kernel, MsgFlags::MSG_DONTWAIT)?;
        if sent == messages.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }
}

/// A socket that hears of every transaction on nf_tables, by anybody.
#[derive(Debug)]
pub struct Events {
    socket: OwnedFd,
    received: Box<[u8]>,
}

impl Events {
    /// Opens a socket and joins the group.
    pub fn open() -> io::Result<Events> {
        Ok(Events {
            socket: netfilter_socket(1 << (NFNLGRP_NFTABLES - 1))?,
            received: vec![0; NETLINK_RECEIVE_BYTES].into_boxed_slice(),
        })
    }

    /// Takes what has come, at most `datagrams` of it. An overflow is reported by `lost`.
    pub fn take(&mut self, datagrams: usize, each: &mut dyn FnMut(&Message<'_>)) -> io::Result<Reply> {
        for _ in 0..datagrams {
            match receive(&self.socket, &mut self.received) {
                Ok(datagram) => Messages(datagram).for_each(|m| each(&m)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => return Ok(Reply::Lost),
                Err(error) => return Err(error),
            }
        }
        Ok(Reply::Done)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

nix::setsockopt_impl!(
    ExtendedAck,
    libc::SOL_NETLINK,
    libc::NETLINK_EXT_ACK,
    bool,
    sockopt::SetBool
);

/// The socket option `NETLINK_EXT_ACK`.
#[derive(Clone, Copy, Debug)]
struct ExtendedAck;

fn netfilter_socket(groups: u32) -> io::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkNetFilter,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

/// One whole datagram from the kernel itself; what other programs send us is dropped.
fn receive<'b>(socket: &OwnedFd, buf: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let bytes = loop {
        match recvfrom::<NetlinkAddr>(socket.as_raw_fd(), buf) {
            Ok((bytes, Some(from))) if from.pid() == 0 => break bytes,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    match buf.get(..bytes) {
        Some(whole) if bytes < buf.len() => Ok(whole),
        _ => Err(io::Error::other("the kernel's answer is too long")),
    }
}
