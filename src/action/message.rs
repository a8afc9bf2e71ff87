//! What the guard and its child say to each other: one datagram a message, a fixed part and, with a ban, lines.
//!
//! Both ends are the same program, started together; numbers are little-endian. Layout of a message: kind (1 byte),
//! flags (1), jail (2), number (4), failures (4), address family and prefix length (2 × 1), two bytes of nothing,
//! address (16), bantime (8, all ones: for ever), time (8); then the lines, each its length (2) and its bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::limits::{MATCHES_BYTES_MAX, MESSAGE_BYTES_MAX};

/// Bytes of the fixed part.
const FIXED: usize = 48;
const _: () = assert!(FIXED + MATCHES_BYTES_MAX <= MESSAGE_BYTES_MAX);

/// For ever, as a bantime.
const FOR_EVER: u64 = u64::MAX;

/// A ban, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The jail's number in the configuration.
    pub jail: u16,
    /// Who.
    pub net: IpNet,
    /// How many failures led to it; the jail's `maxretry` if that is not known any more, 0 if a person asked for it.
    pub failures: u32,
    /// For how long, in seconds; `None` is for ever.
    pub bantime: Option<u64>,
    /// Since when, in seconds since 1970.
    pub time: i64,
    /// Whether it is told again: after a restart, or because the child lost it.
    pub restored: bool,
}

/// What the guard tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'m> {
    /// The child's greeting was understood; whatever was sent before is void.
    Welcome,
    /// The guard is in force: the jails have started.
    Start,
    /// A ban is in force. With its lines.
    Ban(Event, Lines<'m>),
    /// A ban is over.
    Unban(Event),
    /// So many bans of this jail could not be told.
    Missed(u16, u32),
    /// All bans of this jail that are in force follow.
    SyncBegin(u16),
    /// These were all.
    SyncEnd(u16),
    /// The jails stop; the child ends and starts again with another configuration.
    Reload,
    /// The jails stop, and the guard.
    Stop,
}

impl Message<'_> {
    /// Which jail it concerns; `None`: all.
    #[must_use]
    pub fn jail(&self) -> Option<u16> {
        match self {
            Message::Ban(event, _) | Message::Unban(event) => Some(event.jail),
            Message::Missed(jail, _) | Message::SyncBegin(jail) | Message::SyncEnd(jail) => Some(*jail),
            Message::Welcome | Message::Start | Message::Reload | Message::Stop => None,
        }
    }

    /// Whom it concerns.
    #[must_use]
    pub fn net(&self) -> Option<IpNet> {
        match self {
            Message::Ban(event, _) | Message::Unban(event) => Some(event.net),
            Message::Missed(..)
            | Message::Welcome
            | Message::Start
            | Message::SyncBegin(_)
            | Message::SyncEnd(_)
            | Message::Reload
            | Message::Stop => None,
        }
    }
}

/// What the child tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It is there, has this plan, and `again` says whether one before it died.
    Hello {
        /// [`crate::action::plan`] of its configuration.
        plan: u64,
        /// Whether it follows one that ended by itself.
        again: bool,
    },
    /// The message of this number is done.
    Done(u32),
    /// It has to be told again which bans of this jail are in force.
    Again(u16),
}

/// Lines in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines<'m>(&'m [u8]);

impl<'m> Iterator for Lines<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (line, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        self.0 = rest;
        Some(line)
    }
}

impl Lines<'_> {
    /// As they stand in the message.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0
    }

    /// Lines that were copied out of a message.
    #[must_use]
    pub fn copied(bytes: &[u8]) -> Lines<'_> {
        Lines(bytes)
    }
}

/// Writes a message of which the lines, if it has any, are `lines`; what does not fit is left out.
pub fn encode<'l>(
    out: &mut Vec<u8>,
    number: u32,
    message: &Message<'_>,
    lines: impl Iterator<Item = &'l [u8]>,
) {
    out.clear();
    let none = Event {
        jail: 0,
        net: IpNet::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        failures: 0,
        bantime: None,
        time: 0,
        restored: false,
    };
    let (kind, event) = match *message {
        Message::Welcome => (0, none),
        Message::Start => (1, none),
        Message::Ban(event, _) => (2, event),
        Message::Unban(event) => (3, event),
        Message::Missed(jail, failures) => (
            4,
            Event {
                jail,
                failures,
                ..none
            },
        ),
        Message::SyncBegin(jail) => (5, Event { jail, ..none }),
        Message::SyncEnd(jail) => (6, Event { jail, ..none }),
        Message::Reload => (7, none),
        Message::Stop => (8, none),
    };
    out.extend([kind, u8::from(event.restored)]);
    out.extend(event.jail.to_le_bytes());
    out.extend(number.to_le_bytes());
    out.extend(event.failures.to_le_bytes());
    let (family, address) = match event.net.addr() {
        IpAddr::V4(v4) => (4, v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => (6, v6),
    };
    out.extend([family, event.net.prefix_len(), 0, 0]);
    out.extend(address.octets());
    out.extend(event.bantime.unwrap_or(FOR_EVER).to_le_bytes());
    out.extend(event.time.to_le_bytes());
    for line in lines {
        let length = u16::try_from(line.len()).unwrap_or(u16::MAX);
        if out.len() + 2 + usize::from(length) > MESSAGE_BYTES_MAX {
            break;
        }
        out.extend(length.to_le_bytes());
        out.extend(line.iter().take(usize::from(length)));
    }
}

/// Reads a message and its number; `None` if it is none.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<(u32, Message<'_>)> {
    let mut reader = Reader(bytes);
    let [kind, flags] = reader.take()?;
    let jail = u16::from_le_bytes(reader.take()?);
    let number = u32::from_le_bytes(reader.take()?);
    let failures = u32::from_le_bytes(reader.take()?);
    let [family, length, _, _] = reader.take()?;
    let address = Ipv6Addr::from(reader.take::<16>()?);
    let address = match family {
        4 => IpAddr::V4(address.to_ipv4_mapped()?),
        6 => IpAddr::V6(address),
        _ => return None,
    };
    let bantime = u64::from_le_bytes(reader.take()?);
    let event = Event {
        jail,
        net: IpNet::new(address, length).ok()?,
        failures,
        bantime: (bantime != FOR_EVER).then_some(bantime),
        time: i64::from_le_bytes(reader.take()?),
        restored: flags == 1,
    };
    let message = match kind {
        0 => Message::Welcome,
        1 => Message::Start,
        2 => return Some((number, Message::Ban(event, Lines(reader.0)))),
        3 => Message::Unban(event),
        4 => Message::Missed(jail, failures),
        5 => Message::SyncBegin(jail),
        6 => Message::SyncEnd(jail),
        7 => Message::Reload,
        8 => Message::Stop,
        _ => return None,
    };
    reader.0.is_empty().then_some((number, message))
}

/// The bytes of a report.
#[must_use]
pub fn encode_report(report: Report) -> [u8; 10] {
    let (kind, flag, value) = match report {
        Report::Hello { plan, again } => (0, u8::from(again), plan),
        Report::Done(number) => (1, 0, u64::from(number)),
        Report::Again(jail) => (2, 0, u64::from(jail)),
    };
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    [kind, flag, a, b, c, d, e, f, g, h]
}

/// Reads a report; `None` if it is none.
#[must_use]
pub fn decode_report(bytes: &[u8]) -> Option<Report> {
    let mut reader = Reader(bytes);
    let [kind, flag] = reader.take()?;
    let value = u64::from_le_bytes(reader.take()?);
    let report = match kind {
        0 => Report::Hello {
            plan: value,
            again: flag == 1,
        },
        1 => Report::Done(u32::try_from(value).ok()?),
        2 => Report::Again(u16::try_from(value).ok()?),
        _ => return None,
    };
    reader.0.is_empty().then_some(report)
}

/// Bytes that are still to be read.
struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(net: &str) -> Event {
        Event {
            jail: 513,
            net: net.parse().unwrap(),
            failures: 7,
            bantime: Some(600),
            time: -5,
            restored: true,
        }
    }

    fn check(message: Message<'_>, lines: &[&[u8]]) {
        let mut bytes = vec![0xa5; 3];
        encode(&mut bytes, 0x0102_0304, &message, lines.iter().copied());
        let (number, read) = decode(&bytes).unwrap();
        assert_eq!(number, 0x0102_0304);
        match (read, message) {
            (Message::Ban(read, got), Message::Ban(sent, _)) => {
                assert_eq!(read, sent);
                assert_eq!(got.collect::<Vec<_>>(), lines);
            }
            (read, sent) => assert_eq!(read, sent),
        }
        for length in 0..FIXED {
            assert_eq!(decode(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        check(Message::Ban(event("192.0.2.1/32"), Lines::default()), &[]);
        let lines: [&[u8]; 3] = [b"a", b"", &[0xff; 500]];
        check(Message::Ban(event("2001:db8::/64"), Lines::default()), &lines);
        check(
            Message::Unban(Event {
                bantime: None,
                restored: false,
                ..event("192.0.2.1/32")
            }),
            &[],
        );
        check(Message::Missed(3, u32::MAX), &[]);
        for message in [
            Message::Welcome,
            Message::Start,
            Message::SyncBegin(7),
            Message::SyncEnd(7),
            Message::Reload,
            Message::Stop,
        ] {
            check(message, &[]);
        }
        for report in [
            Report::Hello {
                plan: u64::MAX,
                again: true,
            },
            Report::Hello {
                plan: 1,
                again: false,
            },
            Report::Done(u32::MAX),
            Report::Again(3),
        ] {
            assert_eq!(decode_report(&encode_report(report)), Some(report));
        }
    }

    #[test]
    fn a_message_never_gets_longer_than_its_bound() {
        let mut bytes = Vec::new();
        let lines = [[b'x'; 500]; 100];
        let message = Message::Ban(event("192.0.2.1/32"), Lines::default());
        encode(&mut bytes, 1, &message, lines.iter().map(|line| &line[..]));
        assert!((MESSAGE_BYTES_MAX - 502..=MESSAGE_BYTES_MAX).contains(&bytes.len()));
        assert!(matches!(decode(&bytes), Some((1, Message::Ban(_, lines))) if lines.count() > 10));
    }

    #[test]
    fn the_bytes_of_a_ban() {
        let mut bytes = Vec::new();
        let message = Message::Ban(event("192.0.2.1/32"), Lines::default());
        encode(&mut bytes, 9, &message, [&b"ab"[..]].into_iter());
        let want = [
            &[2, 1][..],                                               // a ban, restored
            &513_u16.to_le_bytes(),                                    // jail
            &9_u32.to_le_bytes(),                                      // number
            &7_u32.to_le_bytes(),                                      // failures
            &[4, 32, 0, 0],                                            // IPv4, /32
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1], // address
            &600_u64.to_le_bytes(),                                    // bantime
            &(-5_i64).to_le_bytes(),                                   // time
            &[2, 0, b'a', b'b'],                                       // one line
        ];
        assert_eq!(bytes, want.concat());
    }
}
