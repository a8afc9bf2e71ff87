//! Nobody can make a line show another address: a seeded forger fills every field that a sender controls, in every kind
//! of message, with text that knows the grammar, and the true address or none must come out.
//!
//! `SIPGUARD_FORGE=10000000 cargo test --release --test forge` for the long run, `SIPGUARD_SEED` for another one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::net::IpAddr;

use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::{Context, Failure, Filter, Proof, Reading, Trail};

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
        assert!(!failure.answered);

        // The json layout keeps the ESC and all that stood behind it.
        let message = message.replace('"', "\\\"").replace('\x1b', "\\u001B");
        let line = format!(
            "{{\"hostname\":\"h\",\"timestamp\":\"t\",\"identifiers\":{{\"lwp\":1,\"callid\":\"\"}},\"logmsg\":\
             {{\"location\":{{\"filename\":\"{file}\",\"function\":\"f\",\"line\":1}},\"level\":\"NOTICE\",\
             \"message\":\"{message}\\n\"}}}}"
        );
        assert_true(&read(line.as_bytes()).unwrap(), line.as_bytes(), file);
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

type Build = fn(&mut Forger) -> Vec<u8>;

/// Every kind of message with text of a sender in it, and the fields as their tables bound them.
const KINDS: &[(&str, Build)] = &[
    ("chan_sip registration", |f| {
        // Only "Wrong password" has no `m` for ESC to reach.
        let reason = f.pick(REASONS);
        let to = if reason == "Wrong password" {
            f.text(2000, b"\n")
        } else {
            f.text(2000, b"\n\x1b")
        };
        f.notice(
            "chan_sip.c",
            &[
                b"Registration from '",
                &to,
                b"' failed for '203.0.113.66:5060' - ",
                reason.as_bytes(),
            ],
        )
    }),
    ("chan_sip call", |f| {
        let extension = f.text(255, b"\n");
        f.notice(
            "chan_sip.c",
            &[
                b"Call from '' (203.0.113.66:5060) to extension '",
                &extension,
                NOT_FOUND,
            ],
        )
    }),
    ("pjsip request", |f| {
        let (from, call_id) = (f.from_header(), f.text(511, b"\r\n\x1b"));
        let verdict = f.pick(VERDICTS).as_bytes();
        let address = f
            .pick(&["203.0.113.66:5060", "[::ffff:203.0.113.66]:5060"])
            .as_bytes();
        let parts: [&[u8]; 7] = [
            b"Request 'REGISTER' from '",
            &from,
            b"' failed for '",
            address,
            b"' (callid: ",
            &call_id,
            verdict,
        ];
        f.notice("res_pjsip/pjsip_distributor.c", &parts)
    }),
    ("pjsip call", |f| {
        let extension = f.text(79, b"\n");
        let head = f
            .pick(&["Call from 'anonymous' (UDP:", " anonymous: Call (TCP:"])
            .as_bytes();
        let parts: [&[u8]; 4] = [head, b"203.0.113.66:5060) to extension '", &extension, NOT_FOUND];
        f.notice("res_pjsip_session.c", &parts)
    }),
    ("iax2 peer", |f| {
        let peer = f.text(255, b"\n");
        f.notice(
            "chan_iax2.c",
            &[b"No registration for peer '", &peer, b"' (from 203.0.113.66)"],
        )
    }),
    ("iax2 host", |f| {
        let user = f.text(255, b"\n");
        let (head, tail) = [
            ("failed MD5 authentication for '", "' (00ff != 11ee)"),
            ("failed to authenticate as ", ""),
            ("denied access to register peer '", "'"),
            ("did not provide proper plaintext password for '", "'"),
        ][f.below(4)];
        let parts: [&[u8]; 4] = [
            b"Host 203.0.113.66:4569 ",
            head.as_bytes(),
            &user,
            tail.as_bytes(),
        ];
        f.notice("chan_iax2.c", &parts)
    }),
    ("iax2 call", |f| {
        let extension = f.text(255, b"\n");
        let parts: [&[u8]; 3] = [
            b"Rejected connect attempt from 203.0.113.66:4569, request '",
            &extension,
            b"@c' does not exist",
        ];
        f.notice("chan_iax2.c", &parts)
    }),
    ("manager", |f| {
        let user = f.text(1000, b"\n");
        let head = f.pick(&[
            "203.0.113.66 failed to authenticate as '",
            "203.0.113.66 tried to authenticate with nonexistent user '",
            "203.0.113.66 failed to pass IP ACL as '",
        ]);
        f.notice("manager.c", &[head.as_bytes(), &user, b"'"])
    }),
    ("security PJSIP InvalidAccountID", |f| {
        let (account, session) = (f.text(36, b"\n"), f.text(2000, b"\r\n"));
        f.security(
            "InvalidAccountID",
            "PJSIP",
            &[b"AccountID=\"", &account, b"\",SessionID=\"", &session, PAIR_UDP],
        )
    }),
    ("security PJSIP ChallengeResponseFailed", |f| {
        let (session, challenge, response) = (f.text(2000, b"\r\n"), f.quoted(63), f.quoted(255));
        let parts: [&[u8]; 8] = [
            b"AccountID=\"<unknown>\",SessionID=\"",
            &session,
            PAIR_UDP,
            b",Challenge=\"",
            &challenge,
            b"\",Response=\"",
            &response,
            b"\",ExpectedResponse=\"\"",
        ];
        f.security("ChallengeResponseFailed", "PJSIP", &parts)
    }),
    ("security PJSIP FailedACL", |f| {
        let session = f.text(2000, b"\r\n");
        let parts: [&[u8]; 4] = [
            b"AccountID=\"100\",SessionID=\"",
            &session,
            PAIR_UDP,
            b",ACLName=\"not_match_endpoint_acl\"",
        ];
        f.security("FailedACL", "PJSIP", &parts)
    }),
    ("security SIP InvalidPassword", |f| {
        let (account, challenge, hash) = (f.text(245, b"\n"), f.digest_value(), f.digest_value());
        let parts: [&[u8]; 8] = [
            b"AccountID=\"",
            &account,
            b"\",SessionID=\"0x7f28ac00fc68",
            PAIR_UDP,
            b",Challenge=\"44fbb6c9\",ReceivedChallenge=\"",
            &challenge,
            b"\",ReceivedHash=\"",
            &[&hash[..], b"\""].concat(),
        ];
        f.security("InvalidPassword", "SIP", &parts)
    }),
    ("security SIP others", |f| {
        let (account, response) = (f.text(245, b"\n"), f.digest_value());
        let failed = [
            b",Challenge=\"1\",Response=\"",
            &response[..],
            b"\",ExpectedResponse=\"100\"",
        ]
        .concat();
        let (name, tail) = [
            ("InvalidAccountID", b"".as_slice()),
            ("FailedACL", b",ACLName=\"device_must_match_acl\""),
            ("InvalidTransport", b",AttemptedTransport=\"UDP\""),
            ("ChallengeResponseFailed", &failed),
        ][f.below(4)];
        f.security(
            name,
            "SIP",
            &[
                b"AccountID=\"",
                &account,
                b"\",SessionID=\"0x7f28ac00fc68",
                PAIR_UDP,
                tail,
            ],
        )
    }),
    ("security AMI login", |f| {
        let account = f.text(1000, b"\n");
        let name = f.pick(&["InvalidPassword", "InvalidAccountID", "FailedACL"]);
        let tail = f
            .pick(&[
                "",
                ",SessionTV=\"1970-01-01T00:00:00.000+0000\"",
                ",SessionTV=\"0-0\"",
            ])
            .as_bytes();
        f.security(
            name,
            "AMI",
            &[
                b"AccountID=\"",
                &account,
                b"\",SessionID=\"0x5581a1",
                PAIR_TCP,
                tail,
            ],
        )
    }),
    ("security AMI first pair", |f| {
        let text = f.text(1000, b"\n");
        let failed: [&[u8]; 3] = [
            b",Challenge=\"123\",Response=\"",
            &text,
            b"\",ExpectedResponse=\"ee\",SessionTV=\"0-0\"",
        ];
        let refused: [&[u8]; 3] = [b",RequestType=\"Action: ", &text, b"\",SessionTV=\"0-0\""];
        let bad: [&[u8]; 3] = [
            b",RequestType=\"Action: ",
            &text,
            b"\",SessionTV=\"0-0\",AccountID=\"\"",
        ];
        let (name, account, tail) = [
            (
                "ChallengeResponseFailed",
                b"AccountID=\"\",".as_slice(),
                failed.concat(),
            ),
            ("RequestNotAllowed", b"AccountID=\"\",", refused.concat()),
            ("RequestBadFormat", b"", bad.concat()),
        ][f.below(3)]
        .clone();
        f.security(name, "AMI", &[account, b"SessionID=\"0x5581a1", PAIR_TCP, &tail])
    }),
];

/// The kinds whose text can hold line breaks, with the longest text that the source allows.
const WITH_LINE_BREAKS: &[(&str, Build)] = &[
    ("chan_sip call", |f| {
        let extension = f.lines(255);
        f.notice(
            "chan_sip.c",
            &[
                b"Call from '' (203.0.113.66:5060) to extension '",
                &extension,
                NOT_FOUND,
            ],
        )
    }),
    ("pjsip call", |f| {
        let extension = f.lines(79);
        f.notice(
            "res_pjsip_session.c",
            &[
                b" a: Call (UDP:203.0.113.66:5060) to extension '",
                &extension,
                NOT_FOUND,
            ],
        )
    }),
    ("a packet without Via", |f| {
        let packet = f.lines(4000);
        let head = b"\t        sip_endpoint.c Error processing packet from 203.0.113.66:5060: Missing required header(s) \
            (PJSIP_EMISSINGHDR)  Via [code 171050]:\n";
        let mut record = f.notice(
            "pjproject",
            &[
                head,
                b"REGISTER sip:x SIP/2.0\r\n",
                &packet,
                b"\n-- end of packet.",
            ],
        );
        let level = record.iter().position(|&byte| byte == b'N').unwrap();
        record.splice(level + 4..level + 10, *b"ERROR");
        record
    }),
    ("security PJSIP InvalidAccountID", |f| {
        let (account, session) = (f.lines(36), f.text(2000, b"\r\n"));
        f.security(
            "InvalidAccountID",
            "PJSIP",
            &[b"AccountID=\"", &account, b"\",SessionID=\"", &session, PAIR_UDP],
        )
    }),
];

const NOT_FOUND: &[u8] = b"' rejected because extension not found in context 'public'.";
const PAIR_UDP: &[u8] =
    b"\",LocalAddress=\"IPV4/UDP/192.0.2.7/5060\",RemoteAddress=\"IPV4/UDP/203.0.113.66/5060\"";
const PAIR_TCP: &[u8] =
    b"\",LocalAddress=\"IPV4/TCP/0.0.0.0/5038\",RemoteAddress=\"IPV4/TCP/203.0.113.66/50012\"";
const REASONS: &[&str] = &[
    "Wrong password",
    "No matching peer found",
    "Device does not match ACL",
    "Not a local domain",
];
const VERDICTS: &[&str] = &[
    ") - Failed to authenticate",
    ") - No matching endpoint found",
    ") - Not match Endpoint ACL",
    ") - No matching endpoint found after 5 tries in 0.035 ms",
];

/// Pieces of every grammar, with the victim's address wherever an address can stand.
const PIECES: &[&str] = &[
    "' failed for '198.51.100.200:5060' - Wrong password",
    "' failed for '198.51.100.200:5060' - No matching peer found",
    "' failed for '198.51.100.200:5060' (callid: z) - Failed to authenticate",
    "\" <sip:n@o>' failed for '198.51.100.200:5060' (callid: z",
    ">' failed for '198.51.100.200:5060' (callid: z",
    "' failed for '198.51.100.200:5060' (callid: ",
    "' failed for '",
    "198.51.100.200:5060",
    "198.51.100.200",
    "[2001:db8:dead::1]:5060",
    "2001:db8:dead::1",
    "' (callid: ",
    ") - Failed to authenticate",
    ") - No matching endpoint found",
    " after 5 tries in 0.035 ms",
    "' - Wrong password",
    "' (from 198.51.100.200)",
    "' (from ",
    ") to extension '",
    "' (198.51.100.200:5060) to extension '0",
    ": Call (UDP:198.51.100.200:5060) to extension '",
    "' rejected because extension not found in context 'c'.",
    "' rejected because extension not found.",
    "Host 198.51.100.200 failed MD5 authentication for '200' (a != b)",
    "198.51.100.200 failed to authenticate as 'admin'",
    " does not exist",
    "Request 'INVITE' from '<sip:a@b>",
    "\",LocalAddress=\"IPV4/UDP/192.0.2.7/5060\",RemoteAddress=\"IPV4/UDP/198.51.100.200/5060\"",
    "\",LocalAddress=\"IPV4/UDP/192.0.2.7/5060\",RemoteAddress=\"IPV4/UDP/198.51.100.200/5060",
    "\",SessionID=\"0x1\",LocalAddress=\"IPV4/TCP/192.0.2.7/1\",RemoteAddress=\"IPV4/TCP/198.51.100.200/1\"",
    "\",SessionID=\"0x1",
    ",LocalAddress=\"IPV4/UDP/192.0.2.7/5060",
    "\",RemoteAddress=\"IPV4/UDP/198.51.100.200/5060\"",
    ",Challenge=\"",
    ",Challenge=\"a\",Response=\"",
    ",Challenge=\"a\",ReceivedChallenge=\"a\",ReceivedHash=\"",
    "\",Response=\"",
    ",ExpectedResponse=\"\"",
    ",ACLName=\"not_match_endpoint_acl\"",
    ",ACLName=\"",
    ",SessionTV=\"",
    ",RequestType=\"",
    "\",AccountID=\"\"",
    "AccountID=\"\",",
    ";user=",
    ";x=\"",
    ";x=y",
    "\x1b",
    "\x1b[0m",
    "m",
    "\"",
    "\\",
    "\\\"",
    "'",
    ",",
    "<",
    ">",
    "<sip:",
    "sip:",
    "@",
    "[",
    "]",
    "(",
    ")",
    ":",
    " ",
    "\t",
    "\r",
    "a",
    "0",
];

/// Whole lines, for text that can hold line breaks. The sender does not know a thread (24279 is the genuine one).
const LINES: &[&str] = &[
    "\n[Nov 22 12:00:00] NOTICE[1234] chan_sip.c: Registration from 'x' failed for '198.51.100.200:5060' - Wrong password",
    "\n[Nov 22 12:00:00] NOTICE[1234] manager.c: 198.51.100.200 failed to authenticate as 'a'",
    "\n[d] NOTICE[1] manager.c: 198.51.100.200 failed to authenticate as '",
    "\n[d] NOTICE[1] chan_iax2.c: Host 198.51.100.200 failed to authenticate as ",
    "\n[d] NOTICE[1] chan_sip.c: Call from '' (198.51.100.200:5060) to extension '",
    "\n[d] NOTICE[1] x.c: y",
    "\n[d] VERBOSE[1] x.c: y",
    "\n-- end of packet.",
    "\n<--- SIP read from UDP:198.51.100.200:5060 --->",
    "\n",
    "\n[Nov 22 12:00:00] SECURITY[1] res_security_log.c: SecurityEvent=\"",
    "' rejected because extension not found in context 'public'.",
    "9",
    "x",
];

/// xorshift64*, and what it makes.
///
/// A text is made of few different pieces, others for every text: so they meet in every order (swarm testing).
struct Forger(u64);

impl Forger {
    fn new(name: &str) -> Forger {
        let seed = name.bytes().fold(number("SIPGUARD_SEED", 1), |seed, byte| {
            seed.wrapping_mul(31) + u64::from(byte)
        });
        Forger(seed | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Up to `most` bytes without those in `never`.
    fn text(&mut self, most: usize, never: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let pieces: [&str; 5] = core::array::from_fn(|_| self.pick(PIECES));
        for _ in 0..self.below(9) {
            let piece = self.pick(&pieces);
            text.extend(piece.bytes().filter(|byte| !never.contains(byte)));
            if self.below(16) == 0 {
                text.push(self.below(256) as u8);
                if text
                    .last()
                    .is_some_and(|byte| never.contains(byte) || *byte == 0 || *byte == b'\n')
                {
                    text.pop();
                }
            }
        }
        text.truncate(most);
        text
    }

    /// The same with whole lines between the pieces.
    fn lines(&mut self, most: usize) -> Vec<u8> {
        let mut text = self.text(40, b"\n");
        for _ in 0..=self.below(4) {
            text.extend(self.pick(LINES).bytes());
            if self.below(3) == 0 {
                text.extend(self.text(60, b"\n"));
            }
        }
        text.truncate(most);
        text
    }

    /// The inside of a SIP quoted-string: quotes behind backslashes, and no backslash at the end.
    fn quoted(&mut self, most: usize) -> Vec<u8> {
        let mut text = Vec::new();
        let mut escaped = false;
        for byte in self.text(most / 2, b"\r\n") {
            if byte == b'"' && !escaped {
                text.push(b'\\');
            }
            text.push(byte);
            escaped = byte == b'\\' && !escaped;
        }
        if escaped {
            text.push(b'\\');
        }
        text
    }

    /// A digest value as chan_sip cuts it: commas or quotes, never both.
    fn digest_value(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => b"44fbb6c9".to_vec(),
            1 => self.text(200, b"\n\","),
            2 => self.text(200, b"\n\""),
            _ => self.text(200, b"\n,"),
        }
    }

    /// A From as pjproject prints it, at most 511 bytes: longer ones are printed as nothing.
    fn from_header(&mut self) -> Vec<u8> {
        let mut from = Vec::new();
        match self.below(3) {
            0 => {}
            // Quoted: as it came. Unquoted: up to `:` or `<`, put between quotes.
            1 => from.extend([b"\"".as_slice(), &self.quoted(400), b"\" "].concat()),
            _ => from.extend([b"\"".as_slice(), &self.text(200, b":<\r\n\x1b"), b"\" "].concat()),
        }
        from.retain(|&byte| byte != 0x1b);
        from.extend(b"<sip:");
        if self.below(3) > 0 {
            from.extend(self.escaped());
            from.push(b'@');
        }
        match self.below(3) {
            0 => from.extend([b"[".as_slice(), &self.text(300, b"\r\n\x1b]"), b"]"].concat()),
            1 => from.extend(b"[2001:db8::5]"),
            _ => from.extend(b"host"),
        }
        match self.below(4) {
            0 => from.extend([b";user=".as_slice(), &self.text(300, b"\r\n\x1b")].concat()),
            1 => {
                let value: Vec<u8> = self
                    .quoted(300)
                    .into_iter()
                    .filter(|&byte| byte != 0x1b)
                    .collect();
                from.extend([b";x=\"".as_slice(), &value, b"\""].concat());
            }
            2 => from.extend([b";x=".as_slice(), &self.escaped()].concat()),
            _ => {}
        }
        from.push(b'>');
        if from.len() > 511 { Vec::new() } else { from }
    }

    /// Text as pjproject escapes it in a user part or an ordinary parameter.
    fn escaped(&mut self) -> Vec<u8> {
        let text = self.text(100, b"\r\n\x1b");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/:".contains(&byte);
        let escape = |byte| {
            if plain(byte) {
                vec![byte]
            } else {
                format!("%{byte:02x}").into_bytes()
            }
        };
        text.into_iter().flat_map(escape).collect()
    }

    fn notice(&mut self, file: &str, parts: &[&[u8]]) -> Vec<u8> {
        let head = format!("[Nov 22 12:00:00] NOTICE[24279] {file}: ");
        [head.as_bytes(), &parts.concat()].concat()
    }

    fn security(&mut self, name: &str, service: &str, parts: &[&[u8]]) -> Vec<u8> {
        let time = self.pick(&["1795351102-665618", "2026-11-22T11:23:41.615+0000"]);
        let head = format!(
            "[Nov 22 12:00:00] SECURITY[24229] res_security_log.c: SecurityEvent=\"{name}\",EventTV=\"{time}\",\
             Severity=\"Error\",Service=\"{service}\",EventVersion=\"1\","
        );
        [head.as_bytes(), &parts.concat()].concat()
    }
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

fn read(line: &[u8]) -> Option<Failure> {
    read_in(line, &mut Trail::default())
}

fn read_in(line: &[u8], trail: &mut Trail) -> Option<Failure> {
    match Filter::Asterisk(Asterisk).read(line, trail, &Context::default()) {
        Reading::Failure(failure) => Some(failure),
        Reading::Nothing | Reading::Suspicious(_) => None,
    }
}

fn assert_true(failure: &Failure, line: &[u8], name: &str) {
    assert_eq!(failure.addr, address(TRUE), "{name}: {}", line.escape_ascii());
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}
