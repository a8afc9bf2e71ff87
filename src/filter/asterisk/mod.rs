//! Asterisk's log, every version from 1.4 to 23, in every layout.
//!
//! One file a family of messages. A message is known by the FILE and LEVEL that write it and by its head; its
//! grammar is anchored at both ends, its lists are closed, and the address stands on the side of the sender's
//! text where no byte of it can reach. A new message is one entry in its family.

mod acl;
mod chan_sip;
mod dialplan;
mod finding;
mod glance;
mod header;
mod iax2;
mod json;
mod manager;
mod pjsip;
mod security;

use super::cursor::find;
use super::stamp::Context;
use super::syslog;
use super::trail::{List, Rejected, Trail, Trust};
use super::{Attempt, Class, Failure, Kind, Proof, Reading, Service, Suspicion, Witness};
use crate::addr;
use crate::limits::LINE_BYTES_MAX;
use crate::lines::{Cut, Lines};

use finding::{Miss, Outcome};
use glance::Idle;
use header::{File, Level, Line, Record};

/// The reader of Asterisk's log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asterisk;

impl Asterisk {
    /// The next of `lines` that says something, as [`Asterisk::read`] finds it.
    pub(super) fn next<'a>(
        self,
        lines: &mut Lines<'a>,
        trail: &mut Trail,
        context: &Context,
    ) -> Option<(&'a [u8], Reading)> {
        for cut in lines {
            let Cut::Line(line) = cut else {
                continue;
            };
            if glance::idle(line, trail.date_bytes).is_some_and(|idle| pass(line, idle, trail)) {
                continue;
            }
            let reading = self.read(line, trail, context);
            if !matches!(reading, Reading::Nothing) {
                return Some((line, reading));
            }
        }
        None
    }

    /// Reads one line, without its newline, of the file that `trail` belongs to.
    pub fn read(&self, line: &[u8], trail: &mut Trail, context: &Context) -> Reading {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        trail.advance(line.len());
        if line.len() > LINE_BYTES_MAX {
            return Reading::Nothing;
        }
        match line.first() {
            Some(b'[') => file_line(line, trail, context),
            Some(b'{') => json_line(line, trail, context),
            _ => match syslog::parse(line) {
                Some(entry) => syslog_line(&entry, trail, context),
                None => bare_line(line, trail),
            },
        }
    }
}

/// Has the trail count an idle record. `false`: its place makes a difference, and nothing was counted.
#[inline]
fn pass(line: &[u8], idle: Idle, trail: &mut Trail) -> bool {
    // Another carriage return would be dropped and not counted.
    if line.last() == Some(&b'\r') {
        return false;
    }
    match idle {
        Idle::Verbose => trail.pass_verbose(line.len()),
        Idle::Record(thread) => trail.pass_record(line.len(), thread),
    }
}

/// The date of a line in the classic or the plain layout.
pub(super) fn date_of(line: &[u8]) -> Option<&[u8]> {
    header::date(line, &mut 0).map(|(stamp, _)| stamp)
}

/// The classic and the plain layout: where line breaks of the sender's stay line breaks.
fn file_line(line: &[u8], trail: &mut Trail, context: &Context) -> Reading {
    let record = match header::file_line(line, &mut trail.date_bytes) {
        Line::Record(record) => record,
        Line::Other(thread) => {
            trail.other(thread);
            return Reading::Nothing;
        }
        Line::Verbose(shows_packet) => {
            trail.verbose(shows_packet);
            return Reading::Nothing;
        }
        Line::Bare => return bare_line(line, trail),
    };
    let trust = match record.level {
        Level::Security => trail.trust_event(record.thread),
        Level::Notice | Level::Warning | Level::Error => trail.trust(record.thread),
    };
    if record.file == File::Pjproject && trust != Trust::None && shows_packet(record.message) {
        trail.packet();
        return Reading::Nothing;
    }
    if record.file == File::Registrar && trust != Trust::None && names_an_aor(record.message) {
        trail.broken();
        return Reading::Nothing;
    }
    let outcome = by_file(&record, trail);
    if matches!(outcome, Err(Miss::Nothing)) {
        return Reading::Nothing;
    }
    let control = has_control(record.message);
    match outcome {
        Ok(finding) if !control && may_go_on(&record, finding.kind) => {
            // What was planted reaches no further than its head: threads that are new in a flood become known.
            if trust != Trust::Claimed {
                trail.wary();
            }
        }
        Ok(_) | Err(Miss::Ambiguous | Miss::Nothing) if !control => {}
        _ if holds_line_breaks(&record) => trail.broken(),
        _ if record.file == File::SecurityLog => trail.broken_event(),
        _ => trail.odd(),
    }
    if control {
        return Reading::Suspicious(Suspicion::Control);
    }
    if record.level == Level::Security && record.stamp.len() < SECURITY_DATE_BYTES_MIN {
        return Reading::Nothing;
    }
    weakened(reading(outcome, &record, trail, context), trust)
}

/// Whether a line break of the sender's can stand in such a message: extensions that were decoded, names that came
/// raw, the AccountID of an event. To and From headers and Call-IDs hold none.
fn holds_line_breaks(record: &Record<'_>) -> bool {
    match record.file {
        File::Session | File::ChanIax2 | File::Manager => true,
        File::ChanSip => record.message.starts_with(b"Call from '"),
        File::SecurityLog => find(record.message, b"\",SessionID=\"").is_none(),
        File::Acl
        | File::Distributor
        | File::PjsipAcl
        | File::Registrar
        | File::Dialplan
        | File::Pjproject => false,
    }
}

/// Whether a sender can end such a message himself, with a line break behind the words that end it: the names of
/// chan_iax2 come raw, the extension of chan_sip decoded. That of res_pjsip_session has no room for it.
fn may_go_on(record: &Record<'_>, kind: Kind) -> bool {
    record.file == File::ChanIax2 || kind == CHAN_SIP_CALL
}

/// The same reading on evidence no better than the line's place in the file allows.
fn weakened(reading: Reading, trust: Trust) -> Reading {
    let Reading::Failure(failure) = reading else {
        return reading;
    };
    let most = match trust {
        Trust::Full => return reading,
        Trust::Blind => Proof::Blind,
        Trust::Claimed => Proof::Claimed,
        Trust::None => return Reading::Suspicious(Suspicion::Ambiguous),
    };
    Reading::Failure(Failure {
        proof: failure.proof.min(most),
        ..failure
    })
}

/// Whether the logger may have cut something out of `message` (`term_strip`, `main/term.c`).
fn has_control(message: &[u8]) -> bool {
    memchr::memchr2(0, 0x1b, message).is_some()
}

/// The json layout: one line a record, whatever the sender wrote.
#[inline(never)]
fn json_line(line: &[u8], trail: &mut Trail, context: &Context) -> Reading {
    let Some(object) = json::parse(line) else {
        return Reading::Nothing;
    };
    let mut scratch = [0; LINE_BYTES_MAX];
    match object.record(&mut scratch) {
        Some(record) => elsewhere(by_file(&record, trail), &record, trail, context),
        None => Reading::Nothing,
    }
}

/// What a record in a layout of one line a record says. In a file of another layout, somebody may have planted it.
fn elsewhere(outcome: Outcome, record: &Record<'_>, trail: &mut Trail, context: &Context) -> Reading {
    let reading = reading(outcome, record, trail, context);
    if trail.is_headed() {
        weakened(reading, trail.trust(record.thread))
    } else {
        reading
    }
}

/// Syslog: the daemon, not the sender, decides where a line ends.
fn syslog_line(entry: &syslog::Entry<'_>, trail: &mut Trail, context: &Context) -> Reading {
    if entry.program != b"asterisk" {
        return Reading::Nothing;
    }
    let Some(record) = header::syslog_message(entry.stamp, entry.message) else {
        return Reading::Nothing;
    };
    let outcome = by_file(&record, trail);
    if outcome != Err(Miss::Nothing) && has_control(record.message) {
        return Reading::Suspicious(Suspicion::Control);
    }
    elsewhere(outcome, &record, trail, context)
}

fn bare_line(line: &[u8], trail: &mut Trail) -> Reading {
    if trail.bare(line) {
        Reading::Suspicious(Suspicion::Orphan)
    } else {
        Reading::Nothing
    }
}

/// Hands the message to the family whose FILE and LEVEL it has.
fn by_file(record: &Record<'_>, trail: &mut Trail) -> Outcome {
    let message = record.message;
    match (record.file, record.level) {
        (File::ChanSip, Level::Notice) => {
            unless_rejected(chan_sip::read(message), List::SipPeer, record, trail)
        }
        (File::Distributor, Level::Notice) => pjsip::distributor(message),
        (File::Session, Level::Notice) => pjsip::session(message),
        (File::PjsipAcl, Level::Warning) => {
            let rejected = trail.rejected.take();
            let source = rejected.filter(|it| it.list == List::Pjsip && it.thread == record.thread);
            pjsip::acl(message, source.map(|it| it.addr))
        }
        (File::ChanIax2, Level::Notice | Level::Warning) => {
            unless_rejected(iax2::read(message), List::IaxPeer, record, trail)
        }
        (File::Manager, Level::Notice) => manager::read(message),
        (File::Acl, Level::Notice) => {
            let (outcome, rejected) = acl::read(message);
            trail.rejected = rejected.map(|(list, addr)| Rejected {
                list,
                addr,
                thread: record.thread,
            });
            outcome
        }
        (File::SecurityLog, Level::Security) => security::read(message),
        (File::Dialplan, Level::Notice | Level::Warning) => dialplan::read(message),
        (_, _) => Err(Miss::Nothing),
    }
}

/// Nothing, if acl.c has said the same of the same request.
fn unless_rejected(outcome: Outcome, list: List, record: &Record<'_>, trail: &mut Trail) -> Outcome {
    if let (Ok(finding), Some(rejected)) = (outcome, trail.rejected) {
        let said = Rejected {
            list,
            addr: finding.addr,
            thread: record.thread,
        };
        if finding.kind.class == Class::Acl && said == rejected {
            trail.rejected = None;
            return Err(Miss::Nothing);
        }
    }
    outcome
}

fn reading(outcome: Outcome, record: &Record<'_>, trail: &mut Trail, context: &Context) -> Reading {
    let finding = match outcome {
        Ok(finding) if addr::is_never_remote(finding.addr) => return Reading::Nothing,
        Ok(finding) => finding,
        Err(Miss::Nothing) => return Reading::Nothing,
        Err(Miss::Torn) => return Reading::Suspicious(Suspicion::Torn),
        Err(Miss::Ambiguous) => return Reading::Suspicious(Suspicion::Ambiguous),
    };
    let witness = match record.level {
        Level::Security => Witness::Security,
        Level::Notice | Level::Warning | Level::Error => Witness::Notice,
    };
    Reading::Failure(Failure {
        addr: finding.addr,
        kind: finding.kind,
        proof: finding.proof,
        attempt: Some(Attempt {
            id: finding.id,
            witness,
            step: finding.step,
        }),
        at: trail.date(record.stamp, context),
    })
}

/// `\t  sip_endpoint.c Error processing packet from A: …:\nPACKET\n-- end of packet.`, and with a length and for every
/// syntax error in pjproject up to 2.13.
fn shows_packet(message: &[u8]) -> bool {
    const MARK: &[u8] = b" Error processing ";
    message
        .windows(MARK.len())
        .take(PJPROJECT_FILE_BYTES_MAX)
        .any(|window| window == MARK)
}

/// `"AOR '%s' not found for endpoint '%s'\n"`, `find_registrar_aor` in `res_pjsip_registrar.c`: up to 16 the name is the
/// decoded user of the To header, as long as it came, so that what follows may be planted even if the line is whole.
/// Whoever passes authentication, or an anonymous endpoint, can have it written.
fn names_an_aor(message: &[u8]) -> bool {
    message.starts_with(b"AOR '")
}

/// Where pjproject's text begins at the latest: behind its file's name, padded to the right.
const PJPROJECT_FILE_BYTES_MAX: usize = 64;

/// The message whose extension may hold a line break of the caller's.
const CHAN_SIP_CALL: Kind = Kind {
    service: Service::Sip,
    class: Class::Call,
};

/// The shortest date (`%s`) of a SECURITY line, see [`security`]: room that a planted record must find.
const SECURITY_DATE_BYTES_MIN: usize = 10;
