//! One line of the state file: a word, `name=value` fields, and the line's [`crc32`] in hexadecimal.
//!
//! ```text
//! sipguard state 1 173ae832
//! clock boot=0000000000000000000000000000006f mono=52340 wall=2026-11-22T12:42:47.000Z away=0 96af9950
//! ban jail=asterisk net=192.0.2.1/32 since=2026-11-22T12:42:46.810Z until=never count=0 proof=blind 51f7e29d
//! ```
//!
//! What others chose (names, paths) is escaped, so that a record is one line and a field has no blank in it.

use core::str::FromStr;
use std::io::Write as _;

use ipnet::IpNet;

use super::crc::crc32;
use super::stamp::Stamp;
use crate::filter::{Class, Kind, Proof, Service};
use crate::limits::LINE_BYTES_MAX;
use crate::tail::cursor::{Inode, Position};

/// The version of the format in a file's first line. Others are read, too: each record stands for itself.
pub const VERSION: u32 = 1;

/// Which boot of the machine: `/proc/sys/kernel/random/boot_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId(pub u128);

/// How the boot clock and the wall clock stood to each other. The times of all records behind it, up to the next
/// one, are by this wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Whose boot clock.
    pub boot: BootId,
    /// Its time, in milliseconds.
    pub mono: i64,
    /// The wall clock at the same moment.
    pub wall: Stamp,
    /// Milliseconds from the last moment that the file knows of before this boot to the start of this boot's
    /// clock, as far as it can be told; if it cannot, so many that no time passed before this boot's first record.
    pub away: i64,
}

/// What one line says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Record<'a> {
    /// The first line: the version of the format.
    Head(u32),
    /// See [`Clock`]. What was not committed before it never counts.
    Clock(Clock),
    /// A ban. It takes the place of an earlier one of the same jail and network.
    Ban {
        /// The jail's name.
        jail: &'a [u8],
        /// Who is banned.
        net: IpNet,
        /// Since when.
        since: Stamp,
        /// Until when; `None` is for ever.
        until: Option<Stamp>,
        /// How many bans the same jail and network had before.
        count: u32,
        /// The surest proof behind it.
        proof: Proof,
    },
    /// Bans that are over, and count when the next one is made.
    Past {
        /// The jail's name.
        jail: &'a [u8],
        /// Who was banned.
        net: IpNet,
        /// When the last of them ended.
        at: Stamp,
        /// How many there were. 0: what was before that time has brought a ban of which the other file knows how it goes on.
        bans: u32,
    },
    /// A ban ended before its time.
    Unban {
        /// The jail's name.
        jail: &'a [u8],
        /// Who was banned.
        net: IpNet,
        /// When it ended.
        at: Stamp,
    },
    /// A failure that is no ban yet. It counts once it is committed.
    Failure {
        /// The jail's name.
        jail: &'a [u8],
        /// Who failed, as failures are counted.
        net: IpNet,
        /// At what.
        kind: Kind,
        /// How sure it is.
        proof: Proof,
        /// Which attempt it is.
        attempt: u64,
        /// Which lines of it were read, as [`crate::guard::Kept`] has them.
        reports: [u32; 3],
        /// When it counted.
        at: Stamp,
    },
    /// How far a log was read. It counts once it is committed.
    Read {
        /// The log's name.
        path: &'a [u8],
        /// Its position.
        position: Position,
    },
    /// What was written since the last one counts from here on, if it is this many failures and positions.
    Commit {
        /// How many.
        count: u32,
        /// When.
        at: Stamp,
    },
}

/// What a line turned out to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parsed<'a> {
    /// A record.
    Record(Record<'a>),
    /// A line that somebody wrote so, and that means nothing to us: a newer version did.
    Unknown,
    /// A line that nobody wrote so.
    Damaged,
}

const PROOFS: [Proof; 4] = [Proof::Claimed, Proof::Blind, Proof::Nonce, Proof::Transport];
impl Record<'_> {
    /// Appends the line. A line longer than a reader takes (a name of thousands of strange bytes) is left out:
    /// then this says `false`.
    pub fn write(&self, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        // Writing to memory cannot fail.
        let _ = self.write_body(out);
        let crc = crc32(out.get(start..).unwrap_or_default());
        let _ = writeln!(out, " {crc:08x}");
        let fits = out.len() - start <= LINE_BYTES_MAX;
        if !fits {
            out.truncate(start);
        }
        fits
    }

    fn write_body(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        match *self {
            Record::Head(version) => write!(out, "sipguard state {version}"),
            Record::Clock(Clock {
                boot,
                mono,
                wall,
                away,
            }) => {
                let BootId(boot) = boot;
                write!(out, "clock boot={boot:032x} mono={mono} wall={wall} away={away}")
            }
            Record::Ban {
                jail,
                net,
                since,
                until,
                count,
                proof,
            } => {
                out.extend_from_slice(b"ban jail=");
                escape(jail, out);
                write!(out, " net={net} since={since} until=")?;
                match until {
                    Some(until) => write!(out, "{until}")?,
                    None => out.extend_from_slice(b"never"),
                }
                write!(out, " count={count} proof={}", proof.name())
            }
            Record::Past { jail, net, at, bans } => {
                out.extend_from_slice(b"past jail=");
                escape(jail, out);
                write!(out, " net={net} at={at} bans={bans}")
            }
            Record::Unban { jail, net, at } => {
                out.extend_from_slice(b"unban jail=");
                escape(jail, out);
                write!(out, " net={net} at={at}")
            }
            Record::Failure {
                jail,
                net,
                kind,
                proof,
                attempt,
                reports: [opened, again, closed],
                at,
            } => {
                out.extend_from_slice(b"failure jail=");
                escape(jail, out);
                write!(
                    out,
                    " net={net} kind={kind} proof={} attempt={attempt:x}",
                    proof.name()
                )?;
                write!(out, " reports={opened:x},{again:x},{closed:x} at={at}")
            }
            Record::Read { path, position } => {
                out.extend_from_slice(b"read path=");
                escape(path, out);
                let Position { inode, offset, check } = position;
                let Inode { device, number } = inode;
                write!(
                    out,
                    " dev={device} inode={number} offset={offset} check={check:x}"
                )
            }
            Record::Commit { count, at } => write!(out, "commit count={count} at={at}"),
        }
    }
}

/// Reads one line, without its newline. `scratch` holds what had to be unescaped.
pub fn parse<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>) -> Parsed<'a> {
    let Some(body) = checked(line) else {
        return Parsed::Damaged;
    };
    match read(body, scratch) {
        Some(record) => Parsed::Record(record),
        None => Parsed::Unknown,
    }
}

/// The line without its checksum, if that is right.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let (body, sum) = line.split_at_checked(line.len().checked_sub(9)?)?;
    let sum = sum.strip_prefix(b" ")?;
    let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let sum = sum.iter().all(digit).then(|| hex(sum))??;
    (sum == u128::from(crc32(body))).then_some(body)
}

fn read<'a>(body: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<Record<'a>> {
    let (word, rest) = split(body);
    let mut fields = Fields(rest);
    let record = match word {
        b"sipguard" => Record::Head(text(rest.strip_prefix(b"state ")?)?),
        b"clock" => Record::Clock(Clock {
            boot: BootId(hex(fields.take(b"boot=")?)?),
            mono: bounded(fields.take(b"mono=")?)?,
            wall: Stamp::parse(fields.take(b"wall=")?)?,
            away: bounded(fields.take(b"away=")?)?,
        }),
        b"ban" => Record::Ban {
            jail: unescape(fields.take(b"jail=")?, scratch)?,
            net: network(fields.take(b"net=")?)?,
            since: Stamp::parse(fields.take(b"since=")?)?,
            until: match fields.take(b"until=")? {
                b"never" => None,
                until => Some(Stamp::parse(until)?),
            },
            count: text(fields.take(b"count=")?)?,
            proof: named(fields.take(b"proof=")?, &PROOFS, Proof::name)?,
        },
        b"past" => Record::Past {
            jail: unescape(fields.take(b"jail=")?, scratch)?,
            net: network(fields.take(b"net=")?)?,
            at: Stamp::parse(fields.take(b"at=")?)?,
            bans: text(fields.take(b"bans=")?)?,
        },
        b"unban" => Record::Unban {
            jail: unescape(fields.take(b"jail=")?, scratch)?,
            net: network(fields.take(b"net=")?)?,
            at: Stamp::parse(fields.take(b"at=")?)?,
        },
        b"failure" => Record::Failure {
            jail: unescape(fields.take(b"jail=")?, scratch)?,
            net: network(fields.take(b"net=")?)?,
            kind: kind(fields.take(b"kind=")?)?,
            proof: named(fields.take(b"proof=")?, &PROOFS, Proof::name)?,
            attempt: u64::try_from(hex(fields.take(b"attempt=")?)?).ok()?,
            reports: reports(fields.take(b"reports=")?)?,
            at: Stamp::parse(fields.take(b"at=")?)?,
        },
        b"read" => Record::Read {
            path: unescape(fields.take(b"path=")?, scratch)?,
            position: position(&mut fields)?,
        },
        b"commit" => Record::Commit {
            count: text(fields.take(b"count=")?)?,
            at: Stamp::parse(fields.take(b"at=")?)?,
        },
        _ => return None,
    };
    Some(record)
}

/// The fields of a record, in their order. What a newer version may have put behind them is not looked at.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        let (value, rest) = split(self.0.strip_prefix(name)?);
        self.0 = rest;
        Some(value)
    }
}

/// What is before the first blank, and what is behind it.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    let (word, rest) = bytes.split_at_checked(at).unwrap_or((bytes, b""));
    (word, rest.strip_prefix(b" ").unwrap_or(rest))
}

fn text<T: FromStr>(bytes: &[u8]) -> Option<T> {
    core::str::from_utf8(bytes).ok()?.parse().ok()
}

fn hex(bytes: &[u8]) -> Option<u128> {
    u128::from_str_radix(core::str::from_utf8(bytes).ok()?, 16).ok()
}

/// Milliseconds that no sum of overflows: 9,000 years.
fn bounded(bytes: &[u8]) -> Option<i64> {
    text(bytes).filter(|millis: &i64| millis.unsigned_abs() <= 1 << 48)
}

/// A network as the guard has them: without bits behind its length.
fn network(bytes: &[u8]) -> Option<IpNet> {
    text(bytes).filter(|net: &IpNet| net.trunc() == *net)
}

fn named<T: Copy>(name: &[u8], all: &[T], name_of: fn(T) -> &'static str) -> Option<T> {
    all.iter().copied().find(|&one| name_of(one).as_bytes() == name)
}

fn kind(bytes: &[u8]) -> Option<Kind> {
    let mut parts = bytes.splitn(2, |&byte| byte == b'.');
    Some(Kind {
        service: named(parts.next()?, &Service::ALL, Service::name)?,
        class: named(parts.next()?, &Class::ALL, Class::name)?,
    })
}

fn reports(bytes: &[u8]) -> Option<[u32; 3]> {
    let mut parts = bytes.splitn(3, |&byte| byte == b',');
    let mut next = || u32::try_from(hex(parts.next()?)?).ok();
    Some([next()?, next()?, next()?])
}

fn position(fields: &mut Fields<'_>) -> Option<Position> {
    Some(Position {
        inode: Inode {
            device: text(fields.take(b"dev=")?)?,
            number: text(fields.take(b"inode=")?)?,
        },
        offset: text(fields.take(b"offset=")?)?,
        check: u64::try_from(hex(fields.take(b"check=")?)?).ok()?,
    })
}

/// Bytes as one word: as [`crate::escape::Escaped`] shows them, and a blank as `\x20`.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'\\' {
            out.push(byte);
        } else {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

fn unescape<'a>(word: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if !word.contains(&b'\\') {
        return Some(word);
    }
    scratch.clear();
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            scratch.push(byte);
            continue;
        }
        let (digits, after) = after.strip_prefix(b"x")?.split_at_checked(2)?;
        scratch.push(u8::try_from(hex(digits)?).ok()?);
        rest = after;
    }
    Some(scratch)
}
