//! Lines that a person would take for a failure and the filter does not: the answer to "why was this not banned".

/// Whether the line has a word of refusal and something like an address. Without an address nobody could be banned
/// for it, whatever it says.
pub(super) fn looks_like_a_failure(line: &[u8]) -> bool {
    has_word(line) && has_address(line)
}

fn has_word(line: &[u8]) -> bool {
    WORDS.iter().any(|word| {
        line.windows(word.len())
            .any(|window| window.eq_ignore_ascii_case(word))
    })
}

/// Three dots between digits within 15 bytes, or two colons with hexadecimal digits and another colon.
fn has_address(line: &[u8]) -> bool {
    let mut words = line.split(|byte| !byte.is_ascii_hexdigit() && !b".:".contains(byte));
    words.any(|word| {
        let count = |mark: u8| word.iter().filter(|&&byte| byte == mark).count();
        // A clock has two colons, a port one.
        count(b'.') >= 3 || count(b':') >= 3
    })
}

const WORDS: [&[u8]; 16] = [
    b"fail",
    b"reject",
    b"denied",
    b"deny",
    b"invalid",
    b"wrong",
    b"mismatch",
    b"unauthor",
    b"refus",
    b"illegal",
    b"forbid",
    b"not found",
    b"not allowed",
    b"unknown",
    b"no matching",
    b"too many",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_refusal_and_an_address_make_a_line_look_like_a_failure() {
        let check = |line: &str, want| assert_eq!(looks_like_a_failure(line.as_bytes()), want, "{line}");
        check(
            "NOTICE[1] chan_sip.c: Failed to authenticate device <sip:1@192.0.2.1>;tag=x",
            true,
        );
        check("[Nov 22 12:00:00] WARNING[1] x.c: Unknown host 2001:db8::1", true);
        check(
            "[2026-11-22 12:00:00.123] NOTICE[1] chan_sip.c: Peer '1' is UNREACHABLE",
            false,
        );
        check("[2026-11-22 12:00:00.123] WARNING[1] x.c: Wrong frame", false);
        check("VERBOSE[1] app.c: Called 192.0.2.1", false);
        check("", false);
    }
}
