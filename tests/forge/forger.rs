//! Text that knows the grammar.

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
    "\nNov 22 12:00:00 vm asterisk[2]: NOTICE[1]: manager.c:1 in f: 198.51.100.200 failed to authenticate as 'a'",
    "\n[Nov 22 12:00:00] SECURITY[1] res_security_log.c: SecurityEvent=\"InvalidPassword\",EventTV=\"1795351102-665618\",\
     Severity=\"Error\",Service=\"AMI\",EventVersion=\"1\",AccountID=\"a\",SessionID=\"0x1\",\
     LocalAddress=\"IPV4/TCP/192.0.2.7/1\",RemoteAddress=\"IPV4/TCP/198.51.100.200/1\"",
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
pub(crate) struct Forger(u64);

impl Forger {
    pub(crate) fn new(name: &str) -> Forger {
        let seed = name.bytes().fold(number("SIPGUARD_SEED", 1), |seed, byte| {
            seed.wrapping_mul(31) + u64::from(byte)
        });
        Forger(seed | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// Up to `most` bytes without those in `never`.
    pub(crate) fn text(&mut self, most: usize, never: &[u8]) -> Vec<u8> {
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
    pub(crate) fn lines(&mut self, most: usize) -> Vec<u8> {
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
    pub(crate) fn quoted(&mut self, most: usize) -> Vec<u8> {
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
    pub(crate) fn digest_value(&mut self) -> Vec<u8> {
        match self.below(4) {
            0 => b"44fbb6c9".to_vec(),
            1 => self.text(200, b"\n\","),
            2 => self.text(200, b"\n\""),
            _ => self.text(200, b"\n,"),
        }
    }

    /// A From as pjproject prints it, at most 511 bytes: longer ones are printed as nothing.
    pub(crate) fn sender(&mut self) -> Vec<u8> {
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
    pub(crate) fn escaped(&mut self) -> Vec<u8> {
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

    pub(crate) fn notice(&mut self, file: &str, parts: &[&[u8]]) -> Vec<u8> {
        let head = format!("[Nov 22 12:00:00] NOTICE[24279] {file}: ");
        [head.as_bytes(), &parts.concat()].concat()
    }

    pub(crate) fn security(&mut self, name: &str, service: &str, parts: &[&[u8]]) -> Vec<u8> {
        let time = self.pick(&["1795351102-665618", "2026-11-22T11:23:41.615+0000"]);
        let head = format!(
            "[Nov 22 12:00:00] SECURITY[24229] res_security_log.c: SecurityEvent=\"{name}\",EventTV=\"{time}\",\
             Severity=\"Error\",Service=\"{service}\",EventVersion=\"1\","
        );
        [head.as_bytes(), &parts.concat()].concat()
    }
}

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}
