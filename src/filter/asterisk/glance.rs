//! Records of which nothing can come, known by a glance at their head: most lines of a busy log are such.
//!
//! What a glance does not know, [`super::header`] and the families of messages read. The two agree about every line
//! and about what it leaves in the trail.

use crate::filter::cursor::Cursor;

use super::{chan_sip, header, security};

/// A record that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Of level VERBOSE, and showing no packet.
    Verbose,
    /// Of a level that matters, by this thread.
    Record(u32),
}

/// Looks at a line of the classic layout whose date has `date_bytes` bytes; `None`: it has to be read.
#[inline(always)]
pub(super) fn idle(line: &[u8], date_bytes: u8) -> Option<Idle> {
    const VERBOSE: u64 = word(b"] VERBOS");
    const SECURITY: u64 = word(b"] SECURI");
    const NOTICE: u64 = word(b"] NOTICE");
    const WARNING: u64 = word(b"] WARNIN");
    let (mark, rest) = line
        .get(usize::from(date_bytes) + 1..)?
        .split_first_chunk::<8>()?;
    if line.first() != Some(&b'[') {
        return None;
    }
    match u64::from_le_bytes(*mark) {
        VERBOSE => {
            let rest = rest.strip_prefix(b"E[")?;
            (!header::shows_packet(rest)).then_some(Idle::Verbose)
        }
        SECURITY => event(rest.strip_prefix(b"TY[")?),
        NOTICE => message(rest.strip_prefix(b"[")?),
        WARNING => message(rest.strip_prefix(b"G[")?),
        _ => None,
    }
}

const fn word(text: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*text)
}

/// A SECURITY record, from its thread on.
fn event(rest: &[u8]) -> Option<Idle> {
    let mut cursor = Cursor::new(rest);
    let thread = thread(&mut cursor)?;
    cursor.literal(b"res_security_log.c: SecurityEvent=\"")?;
    security::is_harmless(cursor.rest()).then_some(Idle::Record(thread))
}

/// A NOTICE or WARNING, from its thread on: chan_sip's are the most frequent.
fn message(rest: &[u8]) -> Option<Idle> {
    let mut cursor = Cursor::new(rest);
    let thread = thread(&mut cursor)?;
    cursor.literal(b"chan_sip.c: ")?;
    (!chan_sip::is_known(cursor.rest())).then_some(Idle::Record(thread))
}

/// `LWP] `
#[inline]
fn thread(cursor: &mut Cursor<'_>) -> Option<u32> {
    let thread = cursor.number()?;
    cursor.literal(b"] ")?;
    u32::try_from(thread).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_records_are_known_at_a_glance_and_nothing_else_is() {
        let check = |line: &str, want| assert_eq!(idle(line.as_bytes(), 15), want, "{line}");
        let record = Some(Idle::Record(1893));
        for (rest, want) in [
            (
                "VERBOSE[1893][C-00000001] pbx.c: -- Executing",
                Some(Idle::Verbose),
            ),
            (
                "VERBOSE[1893] chan_sip.c:     -- Registered SIP '1'",
                Some(Idle::Verbose),
            ),
            ("VERBOSE[1893] chan_sip.c: <--- SIP read from UDP", None),
            ("NOTICE[1893] chan_sip.c: Peer '1' is now Reachable.", record),
            ("WARNING[1893] chan_sip.c: Retransmission timeout reached", record),
            (
                "SECURITY[1893] res_security_log.c: SecurityEvent=\"ChallengeSent\",",
                record,
            ),
            (
                "SECURITY[1893] res_security_log.c: SecurityEvent=\"SuccessfulAuth\",",
                record,
            ),
            (
                "SECURITY[1893] res_security_log.c: SecurityEvent=\"InvalidPassword\",",
                None,
            ),
            ("NOTICE[1893] chan_sip.c: Registration from '", None),
            ("NOTICE[1893] chan_sip.c: Call from '", None),
            ("NOTICE[1893] chan_iax2.c: x", None),
            ("NOTICE[4294967296] chan_sip.c: x", None),
            ("NOTICE[] chan_sip.c: x", None),
            ("NOTICE", None),
            ("", None),
        ] {
            check(&format!("[Nov 22 12:49:43] {rest}"), want);
            check(&format!("[Nov 22 12:49:43.1] {rest}"), None);
            check(&format!("(Nov 22 12:49:43] {rest}"), None);
        }
    }
}
