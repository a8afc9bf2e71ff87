//! What the guard and its child say to each other: one datagram a message, a fixed part and, with a ban, lines.
//!
//! Both ends are the same program, started together; numbers are little-endian. Layout of a message: kind (1 byte),
//! flags (1), jail (2), number (4), failures (4), address family and prefix length (2 × 1), two bytes of nothing,
//! address (16), bantime (8, all ones: for ever), time (8); then the lines, each its length (2) and its bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::addr;
use crate::guard::Answer;
use crate::limits::{MATCHES_BYTES_MAX, MESSAGE_BYTES_MAX, NAME_ADDRESSES_MAX, NAME_BYTES_MAX};

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
    /// Is the address of this event ignored?
    Ask(Event),
    /// Which addresses does the name in this place have? The name is the only line.
    Resolve(u16, Lines<'m>),
}

/// The jail that stands in messages about names of logs.
pub const LOG_NAMES: u16 = u16::MAX;

impl Message<'_> {
    /// Which jail it concerns; `None`: all.
    #[must_use]
    pub fn jail(&self) -> Option<u16> {
        match self {
            Message::Ban(event, _) | Message::Unban(event) | Message::Ask(event) => Some(event.jail),
            Message::Resolve(..) => Some(LOG_NAMES),
            Message::Missed(jail, _) | Message::SyncBegin(jail) | Message::SyncEnd(jail) => Some(*jail),
            Message::Welcome | Message::Start | Message::Reload | Message::Stop => None,
        }
    }

    /// Whom it concerns.
    #[must_use]
    pub fn net(&self) -> Option<IpNet> {
        match self {
            Message::Ban(event, _) | Message::Unban(event) | Message::Ask(event) => Some(event.net),
            Message::Resolve(..)
            | Message::Missed(..)
            | Message::Welcome
            | Message::Start
            | Message::SyncBegin(_)
            | Message::SyncEnd(_)
            | Message::Reload
            | Message::Stop => None,
        }
    }
}

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// At most [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// At most [`NAME_ADDRESSES_MAX`]; `None`: it could not be looked up.
    pub addresses: Option<Vec<IpAddr>>,
}

/// What the child tells.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What `ignorecommand` said; the message of this number is done.
    Answer(u32, Answer),
    /// A name has these addresses.
    Found(Found),
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
        Message::Ask(event) => (9, event),
        Message::Resolve(place, _) => (10, Event { jail: place, ..none }),
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
        9 => Message::Ask(event),
        10 => return Some((number, Message::Resolve(jail, Lines(reader.0)))),
        _ => return None,
    };
    reader.0.is_empty().then_some((number, message))
}

/// The bytes of a report, at most [`REPORT_BYTES_MAX`].
#[must_use]
pub fn encode_report(report: &Report) -> Vec<u8> {
    let (kind, flag, value) = match report {
        Report::Hello { plan, again } => (0, u8::from(*again), *plan),
        Report::Done(number) => (1, 0, u64::from(*number)),
        Report::Again(jail) => (2, 0, u64::from(*jail)),
        Report::Answer(number, answer) => {
            let answer = match answer {
                Answer::Ignored => 0,
                Answer::NotIgnored => 1,
                Answer::None => 2,
            };
            (3, answer, u64::from(*number))
        }
        Report::Found(found) => return encode_found(found),
    };
    let mut out = vec![kind, flag];
    out.extend(value.to_le_bytes());
    out
}

/// Kind (1 byte), whether it was found (1), the length of the name (1), the name; for each address 16 bytes, IPv4
/// mapped.
fn encode_found(found: &Found) -> Vec<u8> {
    let name = found.name.get(..NAME_BYTES_MAX).unwrap_or(&found.name);
    let length = u8::try_from(name.len()).unwrap_or(0);
    let mut out = vec![4, u8::from(found.addresses.is_some()), length];
    out.extend(name.bytes().take(usize::from(length)));
    for address in found.addresses.iter().flatten().take(NAME_ADDRESSES_MAX) {
        out.extend(match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        });
    }
    out
}

/// Reads a report; `None` if it is none.
#[must_use]
pub fn decode_report(bytes: &[u8]) -> Option<Report> {
    let mut reader = Reader(bytes);
    let [kind, flag] = reader.take()?;
    if kind == 4 {
        return decode_found(flag == 1, reader);
    }
    let value = u64::from_le_bytes(reader.take()?);
    let report = match kind {
        0 => Report::Hello {
            plan: value,
            again: flag == 1,
        },
        1 => Report::Done(u32::try_from(value).ok()?),
        2 => Report::Again(u16::try_from(value).ok()?),
        3 => {
            let answer = match flag {
                0 => Answer::Ignored,
                1 => Answer::NotIgnored,
                _ => Answer::None,
            };
            Report::Answer(u32::try_from(value).ok()?, answer)
        }
        _ => return None,
    };
    reader.0.is_empty().then_some(report)
}

fn decode_found(was_found: bool, mut reader: Reader<'_>) -> Option<Report> {
    let [length] = reader.take()?;
    let (name, mut rest) = reader.0.split_at_checked(usize::from(length))?;
    let name = core::str::from_utf8(name).ok()?.to_owned();
    let mut addresses = Vec::new();
    while let Some((address, behind)) = rest.split_first_chunk::<16>() {
        addresses.push(addr::unmap(IpAddr::from(*address)));
        rest = behind;
    }
    let fits = rest.is_empty() && addresses.len() <= NAME_ADDRESSES_MAX;
    fits.then_some(Report::Found(Found {
        name,
        addresses: was_found.then_some(addresses),
    }))
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
    use crate::limits::REPORT_BYTES_MAX;

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
            Report::Answer(7, Answer::Ignored),
            Report::Answer(8, Answer::NotIgnored),
            Report::Answer(u32::MAX, Answer::None),
            Report::Found(Found {
                name: "a.example".to_owned(),
                addresses: None,
            }),
            Report::Found(Found {
                name: "x".repeat(NAME_BYTES_MAX),
                addresses: Some(vec!["2001:db8::1".parse().unwrap(); NAME_ADDRESSES_MAX]),
            }),
            Report::Found(Found {
                name: String::new(),
                addresses: Some(vec!["192.0.2.1".parse().unwrap()]),
            }),
        ] {
            let bytes = encode_report(&report);
            assert!(bytes.len() <= REPORT_BYTES_MAX);
            assert_eq!(decode_report(&bytes), Some(report));
            for length in 0..3 {
                assert_eq!(decode_report(&bytes[..length]), None);
            }
        }
        let name = &b"\x02\x00a.example"[..];
        check_resolve(name);
    }

    fn check_resolve(name: &[u8]) {
        let mut bytes = Vec::new();
        let message = Message::Resolve(9, Lines::default());
        encode(&mut bytes, 4, &message, [name].into_iter());
        let Some((4, Message::Resolve(9, mut lines))) = decode(&bytes) else {
            panic!("{bytes:?}");
        };
        assert_eq!((lines.next(), lines.next()), (Some(name), None));
        check(Message::Ask(event("192.0.2.1/32")), &[]);
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
