//! A netlink socket to the netfilter part of the kernel.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recvfrom,
    sendto, setsockopt, socket, sockopt,
};

use super::uapi::{EINTR, ENOBUFS, NFNLGRP_NFTABLES, NLM_F_DUMP_INTR, NLMSG_DONE};
use crate::limits::{NETLINK_ANSWER_BYTES, NETLINK_QUEUE_BYTES, NETLINK_RECEIVE_BYTES};
use crate::sys::pages::Pages;
use crate::wire::nlmsg::{Answer, Message, Messages};

/// A socket for requests. The kernel answers a request before the call that sends it returns, so a
/// request never waits.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    received: Pages,
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
        Netlink::with_room(NETLINK_RECEIVE_BYTES)
    }

    /// Opens a socket for long answers: to long dumps, whose pieces the kernel makes as large as the room for one,
    /// and to ipset's refusals, which repeat the message.
    pub fn open_for_long_answers() -> io::Result<Netlink> {
        Netlink::with_room(NETLINK_ANSWER_BYTES)
    }

    fn with_room(bytes: usize) -> io::Result<Netlink> {
        let socket = netfilter_socket()?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // Without these a long batch or many refusals at once do not fit; both are dealt with.
        let _ = setsockopt(&socket, sockopt::SndBufForce, &NETLINK_QUEUE_BYTES);
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &NETLINK_QUEUE_BYTES);
        // A refusal does not repeat the message, which may be long (Linux 4.3); ipset's do all the same.
        let _ = setsockopt(&socket, CapAck, &true);
        // The kernel explains a refusal (Linux 4.12).
        let _ = setsockopt(&socket, ExtendedAck, &true);
        Ok(Netlink {
            socket,
            received: Pages::new(bytes),
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
    /// message of the reply. `Interrupted`: somebody changed what the dump shows while it was read, so
    /// that something may be missing; ask again.
    pub fn ask(&mut self, question: &[u8], seq: u32, each: &mut dyn FnMut(&Message<'_>)) -> io::Result<()> {
        self.send(question)?;
        let mut whole = true;
        loop {
            let datagram = receive(&self.socket, &mut self.received)?;
            for message in Messages(datagram).filter(|m| m.seq == seq) {
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.answer() {
                    Some(answer) if answer.code != 0 => {
                        return Err(io::Error::from_raw_os_error(answer.code));
                    }
                    Some(_) => return Ok(()),
                    None if message.kind != NLMSG_DONE => each(&message),
                    None if whole => return Ok(()),
                    None => return Err(io::Error::from_raw_os_error(EINTR)),
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

/// A socket that hears of every transaction on nf_tables by anybody else.
#[derive(Debug)]
pub struct Events {
    socket: OwnedFd,
    received: Pages,
}

impl Events {
    /// Opens a socket and joins the group. What the socket of that number (see [`Netlink::port`]) changes is
    /// not heard: a storm of our own bans would fill the queue, and wake us for each.
    pub fn open(but: u32) -> io::Result<Events> {
        let socket = netfilter_socket()?;
        ignore(&socket, but)?;
        // Somebody may flush a long set, which is one message for each element.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &NETLINK_QUEUE_BYTES);
        let group = 1 << (NFNLGRP_NFTABLES - 1);
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, group))?;
        Ok(Events {
            socket,
            received: Pages::new(NETLINK_RECEIVE_BYTES),
        })
    }

    /// Takes what has come, at most `datagrams` of it. `Lost`: something is missing between.
    pub fn take(&mut self, datagrams: usize, each: &mut dyn FnMut(&Message<'_>)) -> io::Result<Reply> {
        let mut reply = Reply::Done;
        for _ in 0..datagrams {
            match receive(&self.socket, &mut self.received) {
                Ok(datagram) => Messages(datagram).for_each(|m| each(&m)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What is still in the queue has to go: until then the kernel drops what comes.
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => reply = Reply::Lost,
                Err(error) => return Err(error),
            }
        }
        Ok(reply)
    }
}

/// Lets the kernel drop what it would report of changes made through the socket of that number: a program for its
/// packet filter (linux/filter.h), which loads numbers as big-endian.
fn ignore(socket: &OwnedFd, port: u32) -> io::Result<()> {
    const PORT_OFFSET: u32 = 12; // nlmsg_pid; all messages of a datagram are of one transaction
    const WHOLE: u32 = u32::MAX;
    let op = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut program = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, PORT_OFFSET),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, port.to_be()),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, WHOLE),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(), // alive until the kernel has copied it, in this call
    };
    Ok(setsockopt(socket, AttachFilter, &program)?)
}

nix::setsockopt_impl!(
    AttachFilter,
    libc::SOL_SOCKET,
    libc::SO_ATTACH_FILTER,
    libc::sock_fprog,
    sockopt::SetStruct<libc::sock_fprog>
);

/// The socket option `SO_ATTACH_FILTER`.
#[derive(Clone, Copy, Debug)]
struct AttachFilter;

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

nix::setsockopt_impl!(
    CapAck,
    libc::SOL_NETLINK,
    libc::NETLINK_CAP_ACK,
    bool,
    sockopt::SetBool
);

/// The socket option `NETLINK_CAP_ACK`.
#[derive(Clone, Copy, Debug)]
struct CapAck;

/// The socket option `NETLINK_EXT_ACK`.
#[derive(Clone, Copy, Debug)]
struct ExtendedAck;

fn netfilter_socket() -> io::Result<OwnedFd> {
    Ok(socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkNetFilter,
    )?)
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
