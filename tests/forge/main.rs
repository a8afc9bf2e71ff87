//! Nobody can make a line show another address: a seeded forger fills every field that a sender controls, in every kind
//! of message, with text that knows the grammar, and the true address or none must come out.
//!
//! `SIPGUARD_FORGE=10000000 cargo test --release --test forge` for the long run, `SIPGUARD_SEED` for another one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

mod forger;
mod kinds;

use std::net::IpAddr;

use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::{Context, Failure, Filter, Proof, Reading, Trail};

use forger::{Forger, number};
use kinds::{KINDS, WITH_LINE_BREAKS};

/// The sender.
const TRUE: &str = "203.0.113.66";
/// Whom he wants banned.
const VICTIM: &str = "198.51.100.200";

#[test]
fn no_text_of_a_sender_makes_another_address_the_result() {
    let count = number("SIPGUARD_FORGE", 5_000);
    for (name, build) in KINDS {
        let mut forger = Forger::new(name);
        let mut found = 0u64;
        for _ in 0..count {
            let line = build(&mut forger);
            if let Some(failure) = read(&logged(&line)) {
                assert_true(&failure, &line, name);
                found += 1;
            }
        }
        println!("forge: {name}: {count} lines, {found} found");
        assert!(found > 0, "{name}: the forger makes nothing that is read");
    }
}

#[test]
fn the_other_layouts_are_no_easier() {
    let count = number("SIPGUARD_FORGE", 5_000) / 5;
    for (name, build) in KINDS {
        let mut forger = Forger::new(name);
        let mut found = 0u64;
        for _ in 0..count {
            let record = build(&mut forger);
            for line in [as_json(&record), as_syslog(&logged(&record))] {
                if let Some(failure) = read(&line) {
                    assert_true(&failure, &line, name);
                    found += 1;
                }
            }
        }
        assert!(found > count, "{name}: found {found} of {count} in two layouts");
    }
}

#[test]
fn a_damaged_line_shows_no_address_that_is_not_in_it() {
    let count = number("SIPGUARD_FORGE", 5_000) / 5;
    for (name, build) in KINDS {
        let mut forger = Forger::new(name);
        for _ in 0..count {
            let mut line = build(&mut forger);
            for _ in 0..=forger.below(3) {
                let at = forger.below(line.len());
                match forger.below(3) {
                    0 => line[at] = forger.below(256) as u8,
                    1 => line.truncate(at + 1),
                    _ => drop(line.remove(at)),
                }
                if line.is_empty() {
                    break;
                }
            }
            if let Some(failure) = read(&line) {
                let shown = failure.addr.to_string();
                let text = line.to_ascii_lowercase();
                let there = text.windows(shown.len()).any(|window| window == shown.as_bytes());
                assert!(
                    there || failure.addr.is_ipv6(),
                    "{name}: {shown} in {}",
                    line.escape_ascii()
                );
            }
        }
    }
}

#[test]
fn no_line_break_of_a_caller_plants_a_line_that_bans() {
    let count = number("SIPGUARD_FORGE", 5_000) / 5;
    for (name, build) in WITH_LINE_BREAKS {
        let mut forger = Forger::new(name);
        for _ in 0..count {
            let mut trail = Trail::default();
            read_in(
                b"[Nov 22 12:00:00] NOTICE[24279] chan_sip.c: Peer '1' is now Reachable. (1ms / 2ms)",
                &mut trail,
            );
            let record = build(&mut forger);
            for line in record.split(|&byte| byte == b'\n') {
                if let Some(failure) = read_in(line, &mut trail) {
                    let harmless = failure.proof == Proof::Claimed;
                    assert!(
                        harmless || failure.addr == address(TRUE),
                        "{name}: {}",
                        record.escape_ascii()
                    );
                }
            }
        }
    }
}

/// What no reader of a single line of text can see, so that it is policy (blind evidence bans little and briefly): the
/// logger itself removes everything from ESC to the next `m`, and with it the true address (ASTERISK-LAB.md F1).
#[test]
fn what_the_logger_itself_removes_leaves_a_perfect_line_and_that_is_blind() {
    let pjsip = "Request 'REGISTER' from '\"phone\x1b\" <sip:100@192.0.2.10>' failed for '203.0.113.66:5060' (callid: \
        m\" <sip:100@192.0.2.10>' failed for '198.51.100.200:5060' (callid: x) - Failed to authenticate";
    let sip = "Registration from '\"x' failed for '198.51.100.200:5060' - Device does not m\x1b\" <sip:106@192.0.2.10>' \
        failed for '203.0.113.66:5060' - Device does not match ACL";
    for (file, message) in [("res_pjsip/pjsip_distributor.c", pjsip), ("chan_sip.c", sip)] {
        let line = format!("[Nov 22 11:53:49] NOTICE[1] {file}: {message}");
        let failure = read(&logged(line.as_bytes())).unwrap();
        assert_eq!((failure.addr, failure.proof), (address(VICTIM), Proof::Blind));

        // The json layout keeps the ESC and all that stood behind it.
        let line = as_json(line.as_bytes());
        assert_true(&read(&line).unwrap(), &line, file);
    }
}

/// A newline in an IAX2 peer's name ends a perfect line whose head is genuine: policy too (ASTERISK.md 2.2).
#[test]
fn a_line_break_that_ends_a_perfect_line_is_blind_and_leaves_an_orphan() {
    let mut trail = Trail::default();
    let head =
        b"[Nov 22 11:33:48] NOTICE[2034] chan_iax2.c: No registration for peer 'x' (from 198.51.100.200)";
    let failure = read_in(head, &mut trail).unwrap();
    assert_eq!((failure.addr, failure.proof), (address(VICTIM), Proof::Blind));
    let rest = b"z' (from 203.0.113.66)";
    let filter = Filter::Asterisk(Asterisk);
    assert!(matches!(
        filter.read(rest, &mut trail, &Context::default()),
        Reading::Suspicious(_)
    ));
}

/// What the logger makes of a record: ESC up to the next `m` is removed (`term_strip`), the rest cut at 8,191 bytes.
fn logged(record: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(record.len());
    let mut rest = record;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == 0x1b {
            if let Some(end) = after.iter().position(|&byte| byte == b'm') {
                rest = &after[end + 1..];
                continue;
            }
        }
        line.push(byte);
    }
    line.truncate(8_191);
    line
}

/// Level, file and message of a line in the classic layout.
fn parts(record: &[u8]) -> (&str, &str, &[u8]) {
    let head = core::str::from_utf8(record.split(|&byte| byte == b']').next().unwrap())
        .unwrap()
        .len()
        + 2;
    let message_at = record
        .windows(2)
        .skip(head)
        .position(|window| window == b": ")
        .unwrap()
        + head;
    let head = core::str::from_utf8(&record[head..message_at]).unwrap();
    let (level, rest) = head.split_once('[').unwrap();
    (level, rest.split_once(' ').unwrap().1, &record[message_at + 2..])
}

/// The record in the json layout (jansson: control characters escaped, everything else as it is).
fn as_json(record: &[u8]) -> Vec<u8> {
    let (level, file, message) = parts(record);
    let mut line = format!(
        "{{\"hostname\":\"h\",\"timestamp\":\"t\",\"identifiers\":{{\"lwp\":1,\"callid\":\"\"}},\"logmsg\":\
         {{\"location\":{{\"filename\":\"{file}\",\"function\":\"f\",\"line\":1}},\"level\":\"{level}\",\"message\":\""
    )
    .into_bytes();
    for &byte in message {
        match byte {
            b'"' | b'\\' => line.extend([b'\\', byte]),
            0..=0x1f => line.extend(format!("\\u{byte:04X}").bytes()),
            _ => line.push(byte),
        }
    }
    line.extend(b"\\n\"}}");
    line
}

/// The record as rsyslog keeps it.
fn as_syslog(record: &[u8]) -> Vec<u8> {
    let (level, file, message) = parts(record);
    let head = format!("Nov 22 12:00:00 vm asterisk[2]: {level}[1]: {file}:1 in f: ");
    [head.as_bytes(), message].concat()
}

fn read(line: &[u8]) -> Option<Failure> {
    read_in(line, &mut Trail::default())
}

fn read_in(line: &[u8], trail: &mut Trail) -> Option<Failure> {
    match Filter::Asterisk(Asterisk).read(line, trail, &Context::default()) {
        Reading::Failure(failure) => Some(failure),
        Reading::Nothing | Reading::Sign(_) | Reading::Suspicious(_) => None,
    }
}

fn assert_true(failure: &Failure, line: &[u8], name: &str) {
    assert_eq!(failure.addr, address(TRUE), "{name}: {}", line.escape_ascii());
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
