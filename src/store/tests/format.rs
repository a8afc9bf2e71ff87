//! What is written is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::random::Random;
use crate::filter::{Class, Kind, Proof, Service};
use crate::limits::LINE_BYTES_MAX;
use crate::store::record::{BootId, Clock, Parsed, Record, parse};
use crate::store::stamp::Stamp;
use crate::tail::cursor::{Inode, Position};

#[track_caller]
fn check(record: &Record<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    assert!(record.write(&mut line));
    assert_eq!(line.pop(), Some(b'\n'));
    assert!(
        line.iter().all(|byte| (b' '..=b'~').contains(byte)),
        "one readable line"
    );
    assert_eq!(
        parse(&line, &mut Vec::new()),
        Parsed::Record(*record),
        "{}",
        line.escape_ascii()
    );
    line
}

fn pick<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[random.index(all.len())]
}

fn stamp(random: &mut Random) -> Stamp {
    Stamp::new(random.below(1 << 43) as i64 - (1 << 39))
}

fn addr(random: &mut Random) -> IpAddr {
    match random.index(2) {
        0 => IpAddr::from(Ipv4Addr::from(random.below(1 << 32) as u32)),
        _ => IpAddr::from(Ipv6Addr::from(
            u128::from(random.below(u64::MAX)) << random.index(64),
        )),
    }
}

fn network(random: &mut Random) -> IpNet {
    let addr = addr(random);
    let bits = if addr.is_ipv4() { 32 } else { 128 };
    IpNet::new(addr, random.below(bits + 1) as u8).unwrap().trunc()
}

fn record<'a>(random: &mut Random, name: &'a [u8]) -> Record<'a> {
    let proofs = [Proof::Claimed, Proof::Blind, Proof::Nonce, Proof::Transport];
    let count = random.below(1 << 32) as u32;
    match random.index(8) {
        0 => Record::Head(count),
        1 => Record::Clock(Clock {
            boot: BootId(u128::from(random.below(u64::MAX)) << random.index(64)),
            mono: random.below(1 << 48) as i64,
            wall: stamp(random),
            away: random.below(1 << 48) as i64 - (1 << 47),
        }),
        2 => Record::Ban {
            jail: name,
            net: network(random),
            since: stamp(random),
            until: [None, Some(stamp(random))][random.index(2)],
            count,
            proof: pick(random, &proofs),
        },
        3 => Record::Past {
            jail: name,
            net: network(random),
            at: stamp(random),
            bans: count,
        },
        4 => Record::Unban {
            jail: name,
            net: network(random),
            at: stamp(random),
        },
        5 => Record::Failure {
            jail: name,
            net: network(random),
            kind: Kind {
                service: pick(
                    random,
                    &[Service::Sip, Service::Ami, Service::Sshd, Service::Custom],
                ),
                class: pick(
                    random,
                    &[Class::Auth, Class::User, Class::Acl, Class::Call, Class::Proto],
                ),
            },
            proof: pick(random, &proofs),
            attempt: random.below(u64::MAX),
            reports: [0, 1, 2].map(|_| random.below(1 << 32) as u32),
            at: stamp(random),
        },
        6 => Record::Read {
            path: name,
            position: Position {
                inode: Inode {
                    device: random.below(u64::MAX),
                    number: random.below(u64::MAX),
                },
                offset: random.below(u64::MAX),
                check: random.below(u64::MAX),
            },
        },
        _ => Record::Commit {
            count,
            at: stamp(random),
        },
    }
}

#[test]
fn every_record_is_read_as_it_was_written() {
    let mut random = Random(0x5eed);
    for _ in 0..20_000 {
        let name: Vec<u8> = (0..random.index(40)).map(|_| random.index(256) as u8).collect();
        let record = record(&mut random, &name);
        let line = check(&record);
        // And so is the line itself: there is one way to write a record.
        let mut scratch = Vec::new();
        let Parsed::Record(read) = parse(&line, &mut scratch) else {
            panic!()
        };
        let mut again = Vec::new();
        read.write(&mut again);
        assert_eq!(again.strip_suffix(b"\n"), Some(line.as_slice()));
    }
}

#[test]
fn every_name_of_a_service_and_a_class_is_read() {
    for service in Service::ALL {
        for class in Class::ALL {
            check(&Record::Failure {
                jail: b"a b",
                net: IpNet::from(IpAddr::from([192, 0, 2, 1])),
                kind: Kind { service, class },
                proof: Proof::Nonce,
                attempt: 7,
                reports: [1, 0, 2],
                at: Stamp::new(0),
            });
        }
    }
}

#[test]
fn the_lines_are_these() {
    let line = check(&Record::Ban {
        jail: b"my jail\\\n",
        net: "192.0.2.1/32".parse().unwrap(),
        since: Stamp::new(1_795_351_367_123),
        until: None,
        count: 3,
        proof: Proof::Transport,
    });
    assert_eq!(
        line.escape_ascii().to_string(),
        "ban jail=my\\\\x20jail\\\\x5c\\\\x0a net=192.0.2.1/32 since=2026-11-22T12:42:47.123Z until=never count=3 \
         proof=transport 509d0f90"
    );
}

#[test]
fn a_record_too_long_for_a_reader_is_not_written() {
    let mut out = b"before".to_vec();
    let net = "192.0.2.1/32".parse().unwrap();
    let jail = vec![0xff; LINE_BYTES_MAX / 4];
    let record = Record::Unban {
        jail: &jail,
        net,
        at: Stamp::new(0),
    };
    assert!(!record.write(&mut out));
    assert_eq!(out, b"before");
}

#[test]
fn what_a_newer_version_wrote_is_told_from_damage() {
    let line = |body: &str| {
        let mut line = body.as_bytes().to_vec();
        line.extend(format!(" {:08x}", crate::store::crc::crc32(body.as_bytes())).bytes());
        line
    };
    for unknown in [
        "dream of=electric sheep",
        "ban jail=a net=192.0.2.1/24 since=2026-11-22T12:42:47.123Z until=never count=0 proof=blind",
        "ban jail=a net=192.0.2.1/32 since=2026-11-22T12:42:47.123Z until=never count=0 proof=rumour",
        "ban jail=a\\y net=192.0.2.1/32 since=2026-11-22T12:42:47.123Z until=never count=0 proof=blind",
        "commit at=2026-11-22T12:42:47.123Z",
        "",
    ] {
        assert_eq!(
            parse(&line(unknown), &mut Vec::new()),
            Parsed::Unknown,
            "{unknown}"
        );
    }
    let more = line("commit count=1 at=2026-11-22T12:42:47.123Z mood=fine");
    assert!(matches!(parse(&more, &mut Vec::new()), Parsed::Record(_)));
    for damaged in [
        "",
        "commit",
        "commit count=1 at=2026-11-22T12:42:47.123Z 00000000",
        "12345678",
    ] {
        assert_eq!(
            parse(damaged.as_bytes(), &mut Vec::new()),
            Parsed::Damaged,
            "{damaged}"
        );
    }
}
