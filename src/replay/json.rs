//! The objects of `--json`, one a line. Their names are an interface:
//!
//! * for every failure `{"file","line","time","jail","filter","addr","kind","proof","attempt","duplicate"}`;
//! * for every ban `{"event":"ban","addr","jail","line","time","until","failures"}`.
//!
//! Times are the log's local time, `"2026-11-22T12:42:47"` or null; `until` is null for ever. `attempt` is a number
//! in hexadecimal digits, or null. An object is put together in one buffer that is used again.

use std::io::Write as _;

use super::{Banned, HostOrNet, Place};
use crate::escape::Quoted;
use crate::filter::Failure;
use crate::time::Wall;

/// Puts objects together.
#[derive(Debug, Default)]
pub struct Objects {
    bytes: Vec<u8>,
}

impl Objects {
    /// The object of a failure, with its newline.
    pub fn failure(
        &mut self,
        file: &[u8],
        place: Place<'_>,
        [jail, filter]: [&str; 2],
        failure: &Failure,
        duplicate: bool,
    ) -> &[u8] {
        self.bytes.clear();
        self.raw("{\"file\":");
        self.string(file);
        self.raw(",\"line\":");
        self.number(place.line);
        self.raw(",\"time\":");
        self.time(failure.at);
        self.raw(",\"jail\":");
        self.string(jail.as_bytes());
        self.raw(",\"filter\":");
        self.string(filter.as_bytes());
        self.shown(",\"addr\":\"", &failure.addr);
        self.raw("\",\"kind\":\"");
        self.raw(failure.kind.service.name());
        self.raw(".");
        self.raw(failure.kind.class.name());
        self.raw("\",\"proof\":\"");
        self.raw(failure.proof.name());
        match failure.attempt {
            Some(attempt) => self.shown("\",\"attempt\":\"", &format_args!("{:x}\"", attempt.id)),
            None => self.raw("\",\"attempt\":null"),
        }
        self.raw(",\"duplicate\":");
        self.raw(if duplicate { "true}\n" } else { "false}\n" });
        &self.bytes
    }

    /// The object of a ban, with its newline.
    pub fn ban(&mut self, place: Place<'_>, banned: &Banned<'_>) -> &[u8] {
        self.bytes.clear();
        let verdict = &banned.verdict;
        self.shown("{\"event\":\"ban\",\"addr\":\"", &HostOrNet(verdict.ban.net));
        self.raw("\",\"jail\":");
        self.string(banned.jail.as_bytes());
        self.raw(",\"line\":");
        self.number(place.line);
        self.raw(",\"time\":");
        self.time(banned.time);
        self.raw(",\"until\":");
        self.time(banned.until);
        self.raw(",\"failures\":");
        self.number(u64::from(verdict.why.failures));
        self.raw("}\n");
        &self.bytes
    }

    fn raw(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn shown(&mut self, before: &str, value: &dyn core::fmt::Display) {
        self.raw(before);
        // Writing to memory does not fail.
        let _ = write!(self.bytes, "{value}");
    }

    fn number(&mut self, number: u64) {
        let mut digits = [b'0'; 20];
        let (mut rest, mut used) = (number, 0);
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        self.bytes
            .extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
    }

    /// `"2026-11-22T12:42:47"`
    fn time(&mut self, time: Option<Wall>) {
        match time {
            None => self.raw("null"),
            Some(time) => {
                let start = self.bytes.len();
                self.shown("\"", &time);
                self.raw("\"");
                let written = self.bytes.get_mut(start..).unwrap_or_default();
                if let Some(blank) = written.iter_mut().find(|byte| **byte == b' ') {
                    *blank = b'T';
                }
            }
        }
    }

    fn string(&mut self, text: &[u8]) {
        self.shown("", &Quoted(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Objects), want: &str) {
        let mut objects = Objects::default();
        write(&mut objects);
        assert_eq!(core::str::from_utf8(&objects.bytes).unwrap(), want);
    }

    #[test]
    fn any_bytes_make_a_string_of_json() {
        check(|to| to.string(b"/var/log/a b"), "\"/var/log/a b\"");
        check(
            |to| to.string(b"\"\\\n\x1b[2J\x7f"),
            "\"\\\"\\\\\\u000a\\u001b[2J\\u007f\"",
        );
        check(
            |to| to.string("gr\u{fc}n\u{9b}".as_bytes()),
            "\"gr\u{fc}n\\u009b\"",
        );
        check(
            |to| to.string(b"a\xff\xfeb\xe2\x82"),
            "\"a\u{fffd}\u{fffd}b\u{fffd}\"",
        );
    }

    #[test]
    fn numbers_and_times_are_written_whole() {
        check(|to| to.number(0), "0");
        check(|to| to.number(1_234_567_890), "1234567890");
        check(|to| to.number(u64::MAX), "18446744073709551615");
        check(|to| to.time(Some(Wall(1_795_351_367))), "\"2026-11-22T12:42:47\"");
        check(|to| to.time(None), "null");
    }
}
