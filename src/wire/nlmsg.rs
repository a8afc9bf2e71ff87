//! The frame of every netlink message: `struct nlmsghdr` and attributes (linux/netlink.h).
//!
//! Headers are in the machine's own byte order; everything is padded to four bytes.

use crate::sys::uapi::{
    NFNETLINK_V0, NLA_F_NESTED, NLA_F_NET_BYTEORDER, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_ERROR,
    NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS,
};

/// Bytes of `struct nlmsghdr`.
pub const HEADER_BYTES: usize = 16;
/// Bytes of `struct nfgenmsg`, which begins the body of every netfilter message.
pub const NFGENMSG_BYTES: usize = 4;

/// Writes messages one behind the other and remembers if they ran out of room.
pub struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
    overflow: bool,
    /// Where the message begins that was written last.
    message: usize,
}

impl<'b> Writer<'b> {
    /// A writer into `buf`, whose old contents do not matter.
    #[must_use]
    pub fn new(buf: &'b mut [u8]) -> Writer<'b> {
        Writer {
            buf,
            len: 0,
            overflow: false,
            message: 0,
        }
    }

    /// One netfilter message: header, `nfgenmsg` with `family` and `resource`, and the attributes
    /// that `body` writes.
    pub fn message(&mut self, head: Head, body: impl FnOnce(&mut Writer<'b>)) {
        self.message = self.len;
        self.bytes(&[0; 4]); // nlmsg_len, written below
        self.bytes(&head.kind.to_ne_bytes());
        self.bytes(&head.flags.to_ne_bytes());
        self.bytes(&head.seq.to_ne_bytes());
        self.bytes(&[0; 4]); // nlmsg_pid: to the kernel
        self.bytes(&[head.family, NFNETLINK_V0]);
        self.bytes(&head.resource.to_be_bytes());
        body(self);
        match u32::try_from(self.len - self.message) {
            Ok(bytes) => self.patch(self.message, &bytes.to_ne_bytes()),
            Err(_) => self.overflow = true,
        }
    }

    /// One attribute, padded.
    pub fn attr(&mut self, kind: u16, value: &[u8]) {
        let at = self.open(kind);
        self.bytes(value);
        self.close(at);
    }

    /// One attribute that holds a string, with the NUL that ends it.
    pub fn string(&mut self, kind: u16, text: &str) {
        let at = self.open(kind);
        self.bytes(text.as_bytes());
        self.bytes(&[0]);
        self.close(at);
    }

    /// One attribute that holds a number in network order, unflagged, as nf_tables has them.
    pub fn be32(&mut self, kind: u16, number: u32) {
        self.attr(kind, &number.to_be_bytes());
    }

    /// One attribute that holds the attributes which `body` writes.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Writer<'b>)) {
        let at = self.open(kind | NLA_F_NESTED);
        body(self);
        self.close(at);
    }

    /// One attribute that holds the bytes which `body` writes.
    pub fn nest_bytes(&mut self, kind: u16, body: impl FnOnce(&mut Writer<'b>)) {
        let at = self.open(kind);
        body(self);
        self.close(at);
    }

    /// Sets more flags in the message that was written last.
    pub fn add_flags(&mut self, flags: u16) {
        let at = self.message + 6;
        if let Some([low, high]) = self.buf.get(at..at + 2) {
            let all = u16::from_ne_bytes([*low, *high]) | flags;
            self.patch(at, &all.to_ne_bytes());
        }
    }

    /// All messages, or `None` if they did not fit.
    #[must_use]
    pub fn finish(self) -> Option<&'b [u8]> {
        if self.overflow {
            return None;
        }
        self.buf.get(..self.len)
    }

    /// Bytes as they are, without padding.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.buf.get_mut(self.len..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.overflow = true,
        }
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        match self.buf.get_mut(at..at + bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.overflow = true,
        }
    }

    fn open(&mut self, kind: u16) -> usize {
        let at = self.len;
        self.bytes(&[0; 2]); // nla_len, written by close()
        self.bytes(&kind.to_ne_bytes());
        at
    }

    /// Writes the length of the attribute begun at `at` and pads it; the padding does not count.
    fn close(&mut self, at: usize) {
        match u16::try_from(self.len - at) {
            Ok(bytes) => self.patch(at, &bytes.to_ne_bytes()),
            Err(_) => self.overflow = true,
        }
        let padding = self.len.next_multiple_of(4) - self.len;
        self.bytes([0; 4].get(..padding).unwrap_or_default());
    }
}

/// What stands in a message before its attributes.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Subsystem in the high byte, command in the low one.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The number that the kernel's answer repeats.
    pub seq: u32,
    /// `NFPROTO_*`.
    pub family: u8,
    /// The subsystem that a batch is for; else 0.
    pub resource: u16,
}

/// One message of a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Subsystem and command, or `NLMSG_ERROR`, `NLMSG_DONE`.
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// Which request this answers.
    pub seq: u32,
    /// Who made the change that this reports; the port number of a netlink socket.
    pub port: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes behind `nfgenmsg`.
    #[must_use]
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs(self.body.get(NFGENMSG_BYTES..).unwrap_or_default())
    }

    /// The answer in it, if it is one.
    #[must_use]
    pub fn answer(&self) -> Option<Answer<'a>> {
        if self.kind != NLMSG_ERROR {
            return None;
        }
        let code = i32::from_ne_bytes(*self.body.first_chunk()?);
        let mut answer = Answer {
            seq: self.seq,
            code: code.checked_neg()?,
            text: None,
            offset: None,
        };
        // The request follows, its header alone if it is "capped", and then what the kernel has to say.
        let request = self.body.get(4..)?;
        let echoed = if self.flags & NLM_F_CAPPED == 0 {
            let bytes = u32::from_ne_bytes(*request.first_chunk()?);
            usize::try_from(bytes).ok()?.checked_next_multiple_of(4)?
        } else {
            HEADER_BYTES
        };
        if self.flags & NLM_F_ACK_TLVS != 0 {
            for (kind, value) in Attrs(request.get(echoed..).unwrap_or_default()) {
                match kind {
                    NLMSGERR_ATTR_MSG => answer.text = value.split(|b| *b == 0).next(),
                    NLMSGERR_ATTR_OFFS => {
                        answer.offset = value.first_chunk().copied().map(u32::from_ne_bytes);
                    }
                    _ => {}
                }
            }
        }
        Some(answer)
    }
}

/// The kernel's answer to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The number of the message.
    pub seq: u32,
    /// 0, or an errno, or a number of ipset's own from 4096 on.
    pub code: i32,
    /// What the kernel says about it, if anything (Linux 4.12 with `NETLINK_EXT_ACK`).
    pub text: Option<&'a [u8]>,
    /// Where in the request the attribute stands that it does not like.
    pub offset: Option<u32>,
}

/// The messages of a datagram. Stops at the first that is not whole.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (header, _) = self.0.split_first_chunk::<HEADER_BYTES>()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = *header;
        let bytes = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let body = self.0.get(HEADER_BYTES..bytes)?;
        self.0 = self
            .0
            .get(bytes.checked_next_multiple_of(4)?..)
            .unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            seq: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
            body,
        })
    }
}

/// Attributes, as (type without flags, value). Stops at the first that is not whole.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a>(pub &'a [u8]);

impl<'a> Attrs<'a> {
    /// The first attribute of that type.
    #[must_use]
    pub fn get(self, wanted: u16) -> Option<&'a [u8]> {
        self.into_iter()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let (header, _) = self.0.split_first_chunk::<4>()?;
        let [l0, l1, k0, k1] = *header;
        let bytes = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(4..bytes)?;
        self.0 = self.0.get(bytes.next_multiple_of(4)..).unwrap_or_default();
        Some((
            u16::from_ne_bytes([k0, k1]) & !(NLA_F_NESTED | NLA_F_NET_BYTEORDER),
            value,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head {
        kind: 0x0a0c,
        flags: 0x0405,
        seq: 7,
        family: 1,
        resource: 10,
    };

    /// `write` fills a buffer with exactly `want`, and refuses every shorter buffer.
    fn check(write: impl Fn(&mut Writer<'_>), want: &[&[u8]]) {
        let want = want.concat();
        for bytes in 0..=want.len() {
            let mut buf = vec![0xa5; bytes];
            let mut writer = Writer::new(&mut buf);
            write(&mut writer);
            let got = writer.finish();
            assert_eq!(
                got,
                (bytes == want.len()).then_some(want.as_slice()),
                "{bytes} bytes"
            );
        }
    }

    #[test]
    fn a_message_is_its_header_and_padded_attributes() {
        check(
            |w| {
                w.message(HEAD, |w| {
                    w.string(1, "abcd");
                    w.nest(2, |w| w.attr(3, &[9]));
                });
                w.add_flags(0x10);
            },
            &[
                &44_u32.to_ne_bytes(),
                &0x0a0c_u16.to_ne_bytes(),
                &0x0415_u16.to_ne_bytes(), // with the flag added
                &7_u32.to_ne_bytes(),
                &[0; 4],              // to the kernel
                &[1, 0, 0, 10],       // family, version, resource in network order
                &9_u16.to_ne_bytes(), // attribute without its padding
                &1_u16.to_ne_bytes(),
                b"abcd\0\0\0\0",
                &12_u16.to_ne_bytes(), // nest, with the padding inside it
                &0x8002_u16.to_ne_bytes(),
                &5_u16.to_ne_bytes(),
                &3_u16.to_ne_bytes(),
                &[9, 0, 0, 0],
            ],
        );
    }

    #[test]
    fn an_attribute_longer_than_its_length_can_say_is_refused() {
        let mut buf = vec![0; 80_000];
        let mut writer = Writer::new(&mut buf);
        writer.attr(1, &vec![0; 65_532]);
        assert!(writer.finish().is_none());
    }

    /// An answer as the kernel writes it: `capped` without the request's body.
    fn answer(flags: u16, code: i32, echoed: usize, attrs: &[u8]) -> Vec<u8> {
        let bytes = 16 + 4 + echoed + attrs.len();
        let mut message = [
            &(bytes as u32).to_ne_bytes()[..],
            &2_u16.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &7_u32.to_ne_bytes(),
            &99_u32.to_ne_bytes(),
            &code.to_ne_bytes(),
            &(echoed as u32).to_ne_bytes(), // the request's own length
        ]
        .concat();
        message.resize(20 + echoed, 0xee);
        message.extend_from_slice(attrs);
        message
    }

    #[test]
    fn an_answer_says_which_request_it_is_for_and_why() {
        let words = [
            &9_u16.to_ne_bytes()[..],
            &NLMSGERR_ATTR_MSG.to_ne_bytes(),
            b"oops\0\0\0\0",
            &8_u16.to_ne_bytes(),
            &NLMSGERR_ATTR_OFFS.to_ne_bytes(),
            &36_u32.to_ne_bytes(),
        ]
        .concat();
        let check = |bytes: Vec<u8>, code, text: Option<&str>, offset| {
            let message = Messages(&bytes).next().unwrap();
            let want = Answer {
                seq: 7,
                code,
                text: text.map(str::as_bytes),
                offset,
            };
            assert_eq!(message.answer(), Some(want));
        };
        check(answer(NLM_F_CAPPED, 0, 16, &[]), 0, None, None);
        check(answer(0, -17, 40, &[]), 17, None, None);
        check(answer(NLM_F_ACK_TLVS, -2, 40, &words), 2, Some("oops"), Some(36));
        check(
            answer(NLM_F_ACK_TLVS | NLM_F_CAPPED, -2, 16, &words),
            2,
            Some("oops"),
            Some(36),
        );
        check(answer(0, -4352, 40, &words), 4352, None, None);
    }

    #[test]
    fn messages_and_attributes_that_are_not_whole_end_the_reading() {
        let one = answer(NLM_F_CAPPED, 0, 16, &[]);
        let two = [one.clone(), one.clone()].concat();
        assert_eq!(Messages(&two).count(), 2);
        for bytes in 0..two.len() {
            let count = Messages(&two[..bytes]).count();
            assert_eq!(count, bytes / one.len(), "{bytes} bytes");
        }
        let attrs = [&5_u16.to_ne_bytes()[..], &0x4001_u16.to_ne_bytes(), &[8, 0, 0, 0]].concat();
        assert_eq!(Attrs(&attrs).get(1), Some(&[8][..]));
        assert_eq!(
            Attrs(&attrs[..5]).get(1),
            Some(&[8][..]),
            "the last needs no padding"
        );
        assert_eq!(Attrs(&attrs[..4]).count(), 0);
        let too_short = [&3_u16.to_ne_bytes()[..], &1_u16.to_ne_bytes()].concat();
        assert_eq!(Attrs(&too_short).count(), 0);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_loop() {
        let mut state = 0x9e37_79b9_u32;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        for round in 0..20_000 {
            let mut bytes: Vec<u8> = (0..random() % 96).map(|_| random() as u8).collect();
            // Half of them with lengths that make sense, so that the reader gets further.
            if round % 2 == 0 && bytes.len() >= 24 {
                bytes[..4].copy_from_slice(&(random() % 100).to_ne_bytes());
                bytes[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
                bytes[20..24].copy_from_slice(&(random() % 64).to_ne_bytes());
            }
            for message in Messages(&bytes) {
                let _ = message.answer();
                assert!(message.attrs().count() <= bytes.len());
            }
        }
    }
}
