//! What the kernel holds: asked about one element of a set in bytes written by hand (NFT_MSG_GETSETELEM, and
//! IPSET_CMD_TEST), so that the encoder under test has no part in the measurement.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

const NESTED: u16 = 0x8000;
const NET_ORDER: u16 = 0x4000;

/// Where a subject keeps who is banned.
#[derive(Clone, Copy)]
pub(crate) enum Set {
    /// Family (1 inet, 2 ip), table, set.
    Nftables(u8, &'static str, &'static str),
    Ipset(&'static str),
}

pub(crate) struct Kernel {
    socket: OwnedFd,
    set: Set,
}

impl Kernel {
    pub(crate) fn open(set: Set) -> Kernel {
        let protocol = SockProtocol::NetlinkNetFilter;
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol).unwrap();
        Kernel { socket, set }
    }

    pub(crate) fn holds(&self, address: [u8; 4]) -> bool {
        let request = match self.set {
            // NLM_F_REQUEST.
            Set::Nftables(family, table, set) => {
                message(10 << 8 | 13, 1, family, &element(table, set, address))
            }
            // NLM_F_REQUEST | NLM_F_ACK.
            Set::Ipset(set) => {
                let ip = attribute(1 | NESTED, &attribute(1 | NET_ORDER, &address));
                let all = [attribute(1, &[6]), name(2, set), attribute(7 | NESTED, &ip)];
                message(6 << 8 | 11, 5, 2, &all.concat())
            }
        };
        let answer = self.ask(&request);
        // NLMSG_ERROR is 2, and its number 0 is an acknowledgement.
        u16::from_ne_bytes([answer[4], answer[5]]) != 2 || answer[16..20] == [0; 4]
    }

    /// Adds an element with one send and waits for its acknowledgement: the least that a ban costs.
    pub(crate) fn add(&self, address: [u8; 4]) {
        let request = match self.set {
            Set::Nftables(family, table, set) => {
                let nfproto = [0, 0, 0, 10];
                let mut batch = message(16, 1, 0, &[]);
                batch[18..20].copy_from_slice(&nfproto[2..]);
                // NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE.
                batch.extend(message(
                    10 << 8 | 12,
                    0x405,
                    family,
                    &element(table, set, address),
                ));
                let end = batch.len();
                batch.extend(message(17, 1, 0, &[]));
                batch[end + 18..end + 20].copy_from_slice(&nfproto[2..]);
                batch
            }
            Set::Ipset(set) => {
                let ip = attribute(1 | NESTED, &attribute(1 | NET_ORDER, &address));
                let all = [attribute(1, &[6]), name(2, set), attribute(7 | NESTED, &ip)];
                message(6 << 8 | 9, 5, 2, &all.concat())
            }
        };
        let answer = self.ask(&request);
        assert_eq!(
            answer[16..20],
            [0; 4],
            "the kernel takes the element: {:?}",
            &answer[..24]
        );
    }

    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.socket.as_raw_fd(), request, &kernel, MsgFlags::empty()).unwrap();
        let mut answer = vec![0; 8192];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
        assert!(length >= 20);
        answer.truncate(length);
        answer
    }
}

fn element(table: &str, set: &str, address: [u8; 4]) -> Vec<u8> {
    let value = attribute(1, &address);
    let element = attribute(1 | NESTED, &attribute(1 | NESTED, &value));
    [name(1, table), name(2, set), attribute(3 | NESTED, &element)].concat()
}

fn message(kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend((20 + attributes.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([family, 0, 0, 0]);
    message.extend(attributes);
    message
}

fn name(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), &[0]].concat())
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
