//! How many elements a set of ours has, asked of the kernel in bytes written by hand (`NFT_MSG_GETSETELEM`), or of
//! ipset(8): the reader under test has no part in it.

#![allow(unreachable_pub, missing_docs, reason = "they are here, where they help")]

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use crate::support::try_run;

pub struct Elements {
    /// `None` asks ipset(8).
    socket: Option<OwnedFd>,
}

const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NFT_MSG_GETSETELEM: u16 = 10 << 8 | 13;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

impl Elements {
    pub fn open(backend: &str) -> Elements {
        let (kind, flags) = (SockType::Raw, SockFlag::SOCK_CLOEXEC);
        let open = || {
            socket(
                AddressFamily::Netlink,
                kind,
                flags,
                SockProtocol::NetlinkNetFilter,
            )
            .unwrap()
        };
        Elements {
            socket: (backend == "nftables").then(open),
        }
    }

    /// 0 if there is no such set.
    pub fn count(&self, set: &str) -> u32 {
        let Some(socket) = &self.socket else {
            let shown = try_run(&format!("ipset -t list sipguard-{set}"));
            let text = String::from_utf8_lossy(&shown.stdout).into_owned();
            let entries = text.split_once("Number of entries: ");
            return entries.map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
        };
        let mut message = Vec::new();
        let attributes = [
            attribute(1, b"sipguard\0"),
            attribute(2, format!("{set}\0").as_bytes()),
        ]
        .concat();
        message.extend((20 + attributes.len() as u32).to_ne_bytes());
        message.extend(NFT_MSG_GETSETELEM.to_ne_bytes());
        message.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
        message.extend([0; 8]);
        message.extend([1, 0, 0, 0]);
        message.extend(attributes);
        let kernel = NetlinkAddr::new(0, 0);
        sendto(socket.as_raw_fd(), &message, &kernel, MsgFlags::empty()).unwrap();
        let (mut count, mut answer) = (0, vec![0; 64 * 1024]);
        loop {
            let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
            let mut rest = &answer[..length];
            while rest.len() >= 16 {
                let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
                match u16::from_ne_bytes([rest[4], rest[5]]) {
                    NLMSG_ERROR | NLMSG_DONE => return count,
                    _ => count += elements(&rest[20..length]),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// The elements of one message: attributes in the attribute 3 (`NFTA_SET_ELEM_LIST_ELEMENTS`).
fn elements(attributes: &[u8]) -> u32 {
    let mut count = 0;
    each(attributes, &mut |kind, value| {
        if kind & 0x3fff == 3 {
            each(value, &mut |_, _| count += 1);
        }
    });
    count
}

fn each(mut attributes: &[u8], act: &mut dyn FnMut(u16, &[u8])) {
    while attributes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        act(
            u16::from_ne_bytes([attributes[2], attributes[3]]),
            &attributes[4..length],
        );
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
