//! Every kind of message with text of a sender in it, and its fields as the tables of ASTERISK.md bound them.

use crate::forger::Forger;

/// Makes one line, or one record of several.
pub(crate) type Build = fn(&mut Forger) -> Vec<u8>;

/// Every kind of message with text of a sender in it, and the fields as their tables bound them.
pub(crate) const KINDS: &[(&str, Build)] = &[
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
        let (from, call_id) = (f.sender(), f.text(511, b"\r\n\x1b"));
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
pub(crate) const WITH_LINE_BREAKS: &[(&str, Build)] = &[
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
    // By HTTP (webenabled=yes). A sender who writes a whole event before his line break is policy.
    ("security AMI login", |f| {
        let mut account = f.lines(1000);
        account.drain(..account.iter().position(|&byte| byte == b'\n').unwrap_or(0));
        f.security(
            "InvalidAccountID",
            "AMI",
            &[b"AccountID=\"", &account, b"\",SessionID=\"0x5581a1", PAIR_TCP],
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
