//! What a reader remembers of one file's last lines: whether text that somebody else wrote may stand here.
//!
//! Some messages can hold line breaks of the sender's: pjproject shows a whole packet in which a header is missing,
//! `sip set debug` and `pjsip set logger on` show every packet, chan_sip and chan_iax2 print decoded or raw names.
//! What follows such a head may be a perfect line that nobody's log statement wrote. One thing the sender does not
//! know: the number of a thread of Asterisk (LWP). So, near such a head, only threads count that the
//! file has shown before or that were born beside one, and only as blind evidence. It makes planting a matter of
//! luck, not impossible.
//!
//! Positions are bytes since the reader began with the file.

use core::net::IpAddr;

use super::stamp::{self, Context};
use crate::time::Wall;

/// The state of one file. Small and `Copy`; kept by whoever follows the file, from its first line to its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    position: u64,
    /// The last of the positions below: behind it, nothing can have been planted.
    quiet_from: u64,
    /// The thread of the last record there, which needs no second look.
    last_thread: u32,
    /// How long the last date was: the next one is as long, in all but a few formats.
    pub(super) date_bytes: u8,
    /// Up to here all is packet, unless the end mark comes first.
    packet_until: u64,
    /// Up to here a line may have been planted behind a line break.
    doubt_until: u64,
    /// Up to here a SECURITY record may have been planted behind a line break.
    events_until: u64,
    /// Up to here something is odd, although not by a line break: evidence is blind.
    dim_until: u64,
    /// Up to here a line may have been planted by a sender who was careful to tear nothing.
    wary_until: u64,
    /// Up to here a packet that SIP debugging shows may reach.
    debug_until: u64,
    /// The last threads seen where nothing could be planted, the newest overwriting the oldest.
    threads: [u32; THREADS],
    next_thread: u8,
    /// Where among `threads` one was found last, by its last bits.
    places: [u8; PLACES],
    /// A line with a header has been seen.
    headed: bool,
    /// A VERBOSE record has been seen.
    verbose: bool,
    /// The date of the last failure: the next one is likely of the same second.
    dated: Option<Dated>,
    /// What acl.c has just rejected; the next line about it, from the same thread, is about the same request.
    pub(super) rejected: Option<Rejected>,
}

/// A date as written, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Dated {
    text: [u8; DATED_BYTES],
    length: u8,
    context: Context,
    wall: Option<Wall>,
}

/// Bytes of the longest date that is remembered: ISO 8601 with milliseconds and a zone.
const DATED_BYTES: usize = 28;

/// A source that acl.c has rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejected {
    /// The access list that acl.c was asked about.
    pub(super) list: List,
    /// The source.
    pub(super) addr: IpAddr,
    /// The thread that wrote so.
    pub(super) thread: u32,
}

/// Whose access list rejected a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// A peer's of chan_sip.
    SipPeer,
    /// A peer's of chan_iax2.
    IaxPeer,
    /// One of res_pjsip.
    Pjsip,
}

/// How far a line may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// As far as its message goes.
    Full,
    /// A line may have been planted here, but its sender would have had to guess a thread.
    Blind,
    /// A line may have been planted here, and nothing tells it from a true one: SIP debugging shows packets, or
    /// nothing is torn but this thread has not been seen before.
    Claimed,
    /// It was planted, or it is the first line of its thread at the wrong place.
    None,
}

impl Trail {
    /// Counts a line of `length` bytes and its newline. Everything else is asked about this line.
    pub(super) fn advance(&mut self, length: usize) {
        self.position = self.position.saturating_add(length as u64).saturating_add(1);
    }

    /// Counts a VERBOSE record of `length` bytes that shows no packet, as [`Trail::advance`] and [`Trail::verbose`] do.
    /// `false`: its place makes a difference, and nothing was counted.
    #[inline]
    pub(super) fn pass_verbose(&mut self, length: usize) -> bool {
        let passes = self.advance_in_quiet(length);
        self.headed |= passes;
        self.verbose |= passes;
        passes
    }

    /// The same of a record of `thread` that does not matter, as [`Trail::advance`] and [`Trail::trust`] do.
    #[inline]
    pub(super) fn pass_record(&mut self, length: usize, thread: u32) -> bool {
        let passes = self.advance_in_quiet(length);
        if passes {
            self.trust(thread);
        }
        passes
    }

    /// Counts a line if nothing can have been planted in it.
    #[inline]
    fn advance_in_quiet(&mut self, length: usize) -> bool {
        let position = self.position.saturating_add(length as u64).saturating_add(1);
        let quiet = position > self.quiet_from && position > self.events_until;
        if quiet {
            self.position = position;
        }
        quiet
    }

    /// What the date at the head of the current line means.
    pub(super) fn date(&mut self, text: &[u8], context: &Context) -> Option<Wall> {
        if let Some(dated) = &self.dated {
            let known = dated.text.get(..usize::from(dated.length));
            if known == Some(text) && dated.context == *context {
                return dated.wall;
            }
        }
        let wall = stamp::parse(text, context);
        let mut copy = [0; DATED_BYTES];
        if let Some(place) = copy.get_mut(..text.len()) {
            place.copy_from_slice(text);
            self.dated = Some(Dated {
                text: copy,
                length: text.len() as u8,
                context: *context,
                wall,
            });
        }
        wall
    }

    /// How far the record of `thread` at the current line may be believed; learns the thread where that is safe.
    #[inline]
    pub(super) fn trust(&mut self, thread: u32) -> Trust {
        self.headed = true;
        if self.position > self.quiet_from {
            if thread != self.last_thread {
                self.learn(thread);
                self.last_thread = thread;
            }
            return Trust::Full;
        }
        self.trust_near_odd_lines(thread)
    }

    /// The same where [`Trail::quiet_from`] has not been passed.
    #[inline(never)]
    fn trust_near_odd_lines(&mut self, thread: u32) -> Trust {
        if self.position <= self.debug_until {
            return Trust::Claimed;
        }
        if self.position <= self.packet_until {
            return Trust::None;
        }
        if self.position <= self.doubt_until {
            return if self.is_near(thread) {
                Trust::Blind
            } else {
                Trust::None
            };
        }
        if self.position <= self.wary_until && !self.is_near(thread) {
            return Trust::Claimed;
        }
        self.learn(thread);
        if self.position <= self.dim_until {
            return Trust::Blind;
        }
        self.last_thread = thread;
        Trust::Full
    }

    /// Remembers a thread that wrote where nothing could be planted.
    fn learn(&mut self, thread: u32) {
        let Some(place) = self.places.get_mut(thread as usize % PLACES) else {
            return;
        };
        if self.threads.get(usize::from(*place)) == Some(&thread) {
            return;
        }
        if let Some(at) = self.threads.iter().position(|&seen| seen == thread) {
            *place = at as u8;
            return;
        }
        let at = usize::from(self.next_thread) % THREADS;
        if let Some(slot) = self.threads.get_mut(at) {
            *slot = thread;
        }
        *place = at as u8;
        self.next_thread = self.next_thread.wrapping_add(1);
    }

    /// Whether the file has shown lines with headers of their own: then a line in another layout is odd.
    pub(super) fn is_headed(&self) -> bool {
        self.headed
    }

    /// Whether `thread` has been seen or was born beside one that has.
    fn is_near(&self, thread: u32) -> bool {
        let mut seen = self.threads.iter().filter(|&&seen| seen != 0);
        seen.any(|&seen| seen.abs_diff(thread) <= NEAR)
    }

    /// The current line is a record, of `thread` if it could be read, that does not matter.
    pub(super) fn other(&mut self, thread: Option<u32>) {
        self.headed = true;
        if let Some(thread) = thread {
            self.trust(thread);
        }
    }

    /// How far the SECURITY record of `thread` at the current line may be believed. One thread writes them all.
    pub(super) fn trust_event(&mut self, thread: u32) -> Trust {
        if self.position <= self.events_until && !self.is_near(thread) {
            return Trust::None;
        }
        self.trust(thread)
    }

    /// The current line is a SECURITY record that a line break of the sender's may have cut.
    pub(super) fn broken_event(&mut self) {
        self.events_until = self.position.saturating_add(RECORD_BYTES);
        self.odd();
    }

    /// The current line is odd: cut, damaged, without a header.
    pub(super) fn odd(&mut self) {
        self.dim_until = self.dim_until.max(self.position.saturating_add(DOUBT_BYTES));
        self.quiet_from = self.quiet_from.max(self.dim_until);
    }

    /// The current line is the head of a message that a line break of the sender's may have cut.
    pub(super) fn broken(&mut self) {
        self.doubt_until = self.doubt_until.max(self.position.saturating_add(RECORD_BYTES));
        self.quiet_from = self.quiet_from.max(self.doubt_until);
    }

    /// The current line is whole, but its sender could have made it so and gone on behind a line break.
    pub(super) fn wary(&mut self) {
        self.wary_until = self.position.saturating_add(WARY_BYTES);
        self.quiet_from = self.quiet_from.max(self.wary_until);
    }

    /// The current line is the head of a packet that pjproject shows.
    pub(super) fn packet(&mut self) {
        self.packet_until = self.position.saturating_add(RECORD_BYTES);
        self.doubt_until = self.doubt_until.max(self.packet_until);
        self.quiet_from = self.quiet_from.max(self.packet_until);
    }

    /// The current line is a VERBOSE record, `packet`: one that shows a packet.
    pub(super) fn verbose(&mut self, packet: bool) {
        self.headed = true;
        if self.position <= self.packet_until.max(self.doubt_until) {
            return;
        }
        self.verbose = true;
        if packet {
            self.debug();
        }
    }

    fn debug(&mut self) {
        self.debug_until = self.position.saturating_add(DEBUG_BYTES);
        self.quiet_from = self.quiet_from.max(self.debug_until);
    }

    /// The current line has no header. Whether that is suspicious.
    pub(super) fn bare(&mut self, line: &[u8]) -> bool {
        if self.position <= self.packet_until {
            if line == b"-- end of packet." {
                self.packet_until = 0;
            }
            return false;
        }
        if self.verbose && line.starts_with(b"<--- ") {
            self.debug();
        }
        if !self.headed || self.verbose || is_continuation(line) {
            return false;
        }
        self.odd();
        true
    }
}

/// Whether Asterisk itself writes such a line inside a record: empty ones (pjproject), chan_sip's retransmission
/// timeouts, backtraces, and what is left when a packet holds its own end mark.
fn is_continuation(line: &[u8]) -> bool {
    let heads: [&[u8]; 4] = [b"Packet timed out after ", b"-- end of packet.", b"# ", b"#"];
    line.iter().all(u8::is_ascii_whitespace) || heads.iter().any(|head| line.starts_with(head))
}

/// Threads remembered: chan_iax2 has 10, chan_sip one, the stasis and pjsip pools a few that log.
const THREADS: usize = 24;

/// Threads whose place is known without a search.
const PLACES: usize = 8;

/// The pools of a channel driver are started together, so that their threads have numbers close to each other.
const NEAR: u32 = 16;

/// What stands near an odd line may be its rest; this leaves room for a few lines.
const DOUBT_BYTES: u64 = 2_048;

/// chan_sip decodes at most 255 bytes of a request URI into its message, and so long is a name of chan_iax2 at most;
/// around them stand the context's name and the words of the message.
const WARY_BYTES: u64 = 512;

/// A record is cut at 8,192 bytes (`LOGMSG_SIZE`). What was injected is part of one, but need not follow its head
/// directly: in a name that came by HTTP, which has no limit of its own, other lines may stand before it.
const RECORD_BYTES: u64 = 8_192;

/// Asterisk 1.8 does not cut what `sip set debug` shows; a datagram ends at 64 KiB.
const DEBUG_BYTES: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(trail: &mut Trail, text: &[u8]) -> bool {
        trail.advance(text.len());
        trail.bare(text)
    }

    fn record(trail: &mut Trail, thread: u32) -> Trust {
        trail.advance(100);
        trail.trust(thread)
    }

    #[test]
    fn a_date_is_read_as_if_none_had_been_remembered() {
        let context = |today| Context {
            today: Wall(today),
            utc_offset_s: 0,
        };
        let contexts = [context(1_795_351_367), context(1_609_459_800)];
        let mut trail = Trail::default();
        for text in [
            "Nov 22 12:49:43",
            "Nov 22 12:49:4",
            "2026-11-22T12:30:00.123+0000",
            "",
            "Nov 22 12:49:43",
        ] {
            for context in [contexts[0], contexts[1], contexts[0], contexts[0]] {
                let want = stamp::parse(text.as_bytes(), &context);
                assert_eq!(trail.date(text.as_bytes(), &context), want, "{text}");
            }
        }
        let long = [b'1'; 200];
        assert_eq!(trail.date(&long, &contexts[0]), None);
    }

    #[test]
    fn behind_a_broken_line_only_known_threads_are_believed_and_only_blindly() {
        let mut trail = Trail::default();
        assert_eq!(record(&mut trail, 5), Trust::Full);
        trail.broken();
        assert_eq!(record(&mut trail, 5), Trust::Blind);
        assert_eq!(record(&mut trail, 60), Trust::None);
        for _ in 0..80 {
            record(&mut trail, 60);
        }
        assert_eq!(record(&mut trail, 60), Trust::Full);
    }

    #[test]
    fn behind_a_broken_event_only_its_own_thread_writes_events() {
        let mut trail = Trail::default();
        trail.advance(100);
        assert_eq!(trail.trust_event(5), Trust::Full);
        trail.broken_event();
        trail.advance(100);
        assert_eq!(trail.trust_event(60), Trust::None);
        assert_eq!(trail.trust_event(5), Trust::Blind);
        assert_eq!(trail.trust(70), Trust::Blind);
    }

    #[test]
    fn behind_an_odd_line_everything_is_blind() {
        let mut trail = Trail::default();
        assert_eq!(record(&mut trail, 5), Trust::Full);
        trail.odd();
        for _ in 0..20 {
            assert_eq!(record(&mut trail, 60), Trust::Blind);
        }
        assert_eq!(record(&mut trail, 60), Trust::Full);
    }

    #[test]
    fn a_packet_is_not_believed_up_to_its_end() {
        let mut trail = Trail::default();
        assert_eq!(record(&mut trail, 5), Trust::Full);
        trail.packet();
        assert_eq!(record(&mut trail, 5), Trust::None);
        assert!(!line(&mut trail, b"INVITE sip:x SIP/2.0"));
        assert!(!line(&mut trail, b"-- end of packet."));
        assert_eq!(record(&mut trail, 5), Trust::Blind);
        assert_eq!(record(&mut trail, 60), Trust::None);
    }

    #[test]
    fn sip_debugging_silences_only_a_file_that_shows_it() {
        let mut trail = Trail::default();
        record(&mut trail, 5);
        assert!(line(&mut trail, b"<--- SIP read from UDP:192.0.2.1:5060 --->"));
        assert_eq!(record(&mut trail, 5), Trust::Blind);
        let mut trail = Trail::default();
        trail.advance(10);
        trail.verbose(false);
        assert!(!line(&mut trail, b"<--- SIP read from UDP:192.0.2.1:5060 --->"));
        assert_eq!(record(&mut trail, 5), Trust::Claimed);
    }

    #[test]
    fn behind_a_whole_line_of_a_caller_a_new_thread_proves_nothing() {
        let mut trail = Trail::default();
        assert_eq!(record(&mut trail, 5), Trust::Full);
        trail.wary();
        assert_eq!(record(&mut trail, 5), Trust::Full);
        assert_eq!(record(&mut trail, 60), Trust::Claimed);
        for _ in 0..5 {
            record(&mut trail, 5);
        }
        assert_eq!(record(&mut trail, 60), Trust::Full);
    }

    #[test]
    fn a_line_without_header_is_suspicious_where_every_line_has_one() {
        let mut trail = Trail::default();
        assert!(!line(&mut trail, b"anything"));
        record(&mut trail, 5);
        assert!(line(
            &mut trail,
            b"' rejected because extension not found in context 'public'."
        ));
        for own in [
            "",
            "\t",
            "Packet timed out after 32000ms with no response",
            "# 0: [0x5]",
        ] {
            assert!(!line(&mut trail, own.as_bytes()), "{own}");
        }
    }
}
