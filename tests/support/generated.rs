//! Logs of any size, as Asterisk writes them into a file that has everything but debug output: VERBOSE lines of
//! calls, NOTICEs and WARNINGs of phones that come and go, SECURITY events, and among them attacks in the given
//! share. The same seed gives the same bytes.

use std::io::{self, Write};

use sipguard::time::Wall;

/// What to write.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// At least so many bytes, up to the end of a line.
    pub(crate) bytes: u64,
    /// Attack lines in a thousand.
    pub(crate) attacks_per_mille: u32,
    /// Lines in one second of the log.
    pub(crate) lines_per_second: u32,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    /// Lines that are failures.
    pub(crate) attacks: u64,
}

/// Writes the log. Every attack line is a failure to the filter, and no other line is.
pub(crate) fn write_log(out: &mut dyn Write, plan: Plan) -> io::Result<Written> {
    let mut writer = Writer {
        chance: 0x5eed_0123_4567_89ab,
        line: Vec::with_capacity(1024),
        second: Wall(1_795_305_600),
        stamp: String::new(),
    };
    let mut written = Written::default();
    while written.bytes < plan.bytes {
        if written.lines % u64::from(plan.lines_per_second) == 0 {
            writer.next_second();
        }
        writer.line.clear();
        let attack = writer.below(1000) < plan.attacks_per_mille;
        if attack {
            writer.attack()?;
        } else {
            writer.ordinary()?;
        }
        writer.line.push(b'\n');
        out.write_all(&writer.line)?;
        written.bytes += writer.line.len() as u64;
        written.lines += 1;
        written.attacks += u64::from(attack);
    }
    Ok(written)
}

struct Writer {
    chance: u64,
    line: Vec<u8>,
    second: Wall,
    /// `Nov 22 12:49:43`, Asterisk's default.
    stamp: String,
}

impl Writer {
    /// xorshift64*, Vigna 2016.
    fn below(&mut self, bound: u32) -> u32 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        let high = (self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32;
        ((u64::from(high) * u64::from(bound)) >> 32) as u32
    }

    fn next_second(&mut self) {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        self.second = Wall(self.second.0 + 1);
        let civil = self.second.to_civil();
        self.stamp = format!(
            "{} {:2} {:02}:{:02}:{:02}",
            MONTHS[usize::from(civil.month) - 1],
            civil.day,
            civil.hour,
            civil.minute,
            civil.second
        );
    }

    /// Half of the attempts come from ten addresses that never stop, the others from a hundred at a time, which
    /// are others every ten seconds.
    fn attacker(&mut self) -> [u32; 4] {
        if self.below(2) == 0 {
            [198, 51, 100, 1 + self.below(10)]
        } else {
            let crowd = (self.second.0 / 10 % 10_000) as u32;
            let number = crowd * 100 + self.below(100);
            [45, 1 + number / 65_536, number / 256 % 256, number % 256]
        }
    }

    fn attack(&mut self) -> io::Result<()> {
        let [a, b, c, d] = self.attacker();
        let (user, port, call) = (
            100 + self.below(9000),
            1024 + self.below(60_000),
            self.below(u32::MAX),
        );
        let (kind, stamp, event) = (self.below(10), &self.stamp, self.second.0);
        let line = &mut self.line;
        match kind {
            0..=3 => write!(
                line,
                "[{stamp}] NOTICE[1893] chan_sip.c: Registration from '\"{user}\" <sip:{user}@192.0.2.10>' failed for \
                 '{a}.{b}.{c}.{d}:{port}' - Wrong password"
            ),
            4 => write!(
                line,
                "[{stamp}] NOTICE[1893] chan_sip.c: Registration from '<sip:{user}@192.0.2.10>' failed for \
                 '{a}.{b}.{c}.{d}:{port}' - No matching peer found"
            ),
            5 => write!(
                line,
                "[{stamp}] NOTICE[1893][C-{call:08x}] chan_sip.c: Call from '' ({a}.{b}.{c}.{d}:{port}) to extension \
                 '00{call}' rejected because extension not found in context 'public'."
            ),
            6..=7 => write!(
                line,
                "[{stamp}] NOTICE[2011] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '<sip:{user}@192.0.2.10>' \
                 failed for '{a}.{b}.{c}.{d}:{port}' (callid: {call:08x}kxvvpo) - No matching endpoint found"
            ),
            8 => write!(
                line,
                "[{stamp}] SECURITY[1876] res_security_log.c: SecurityEvent=\"InvalidPassword\",EventTV=\"{event}-488505\",\
                 Severity=\"Error\",Service=\"SIP\",EventVersion=\"2\",AccountID=\"{user}\",SessionID=\"0x7f28{call:08x}\",\
                 LocalAddress=\"IPV4/UDP/192.0.2.10/5060\",RemoteAddress=\"IPV4/UDP/{a}.{b}.{c}.{d}/{port}\",\
                 Challenge=\"2ab{call:05x}\",ReceivedChallenge=\"2ab{call:05x}\",ReceivedHash=\"7d7a83a9b6b2a8ce{call:08x}\""
            ),
            _ => write!(
                line,
                "[{stamp}] SECURITY[1876] res_security_log.c: SecurityEvent=\"InvalidAccountID\",EventTV=\"{event}-488505\",\
                 Severity=\"Error\",Service=\"PJSIP\",EventVersion=\"1\",AccountID=\"{user}\",SessionID=\"{call:08x}vxpv\",\
                 LocalAddress=\"IPV4/UDP/192.0.2.10/5060\",RemoteAddress=\"IPV4/UDP/{a}.{b}.{c}.{d}/{port}\""
            ),
        }
    }

    fn ordinary(&mut self) -> io::Result<()> {
        let (user, number, call) = (100 + self.below(200), self.below(1_000_000), self.below(4000));
        let (kind, stamp, event) = (self.below(100), &self.stamp, self.second.0);
        let line = &mut self.line;
        let verbose = format!("[{stamp}] VERBOSE[{}][C-{call:08x}]", 20_000 + call);
        match kind {
            0..=29 => write!(
                line,
                "{verbose} pbx.c:     -- Executing [s@macro-dial-one:{}] Set(\"SIP/{user}-{number:08x}\", \
                 \"DB(CALLTRACE/{user})=0{number}\") in new stack",
                kind + 1
            ),
            30..=44 => write!(
                line,
                "{verbose} pbx.c:     -- Executing [{number}@from-internal:7] GotoIf(\"SIP/{user}-{number:08x}\", \
                 \"0?ext-did-{user},1:from-internal-xfer,{user},1\") in new stack"
            ),
            45..=54 => write!(
                line,
                "{verbose} app_dial.c:     -- SIP/{user}-{number:08x} is ringing"
            ),
            55..=61 => write!(line, "{verbose} app_dial.c:     -- Called SIP/trunk/0049{number}"),
            62..=68 => write!(
                line,
                "[{stamp}] VERBOSE[1893] chan_sip.c:     -- Registered SIP '{user}' at 203.0.113.{}:5060",
                user % 250
            ),
            69..=74 => write!(
                line,
                "[{stamp}] NOTICE[1893] chan_sip.c: Peer '{user}' is now Reachable. ({}ms / 2000ms)",
                call % 100
            ),
            75..=78 => write!(
                line,
                "[{stamp}] WARNING[1893] chan_sip.c: Retransmission timeout reached on transmission \
                 {number:08x}@192.0.2.10 for seqno 102 (Critical Request) -- See https://wiki.asterisk.org"
            ),
            79..=80 => write!(
                line,
                "[{stamp}] WARNING[{}][C-{call:08x}] func_odbc.c: No rows",
                20_000 + call
            ),
            81..=90 => write!(
                line,
                "[{stamp}] SECURITY[1876] res_security_log.c: SecurityEvent=\"ChallengeSent\",EventTV=\"{event}-951023\",\
                 Severity=\"Informational\",Service=\"SIP\",EventVersion=\"1\",AccountID=\"sip:{user}@192.0.2.10\",\
                 SessionID=\"0x7f28ad{number:06x}\",LocalAddress=\"IPV4/UDP/192.0.2.10/5060\",\
                 RemoteAddress=\"IPV4/UDP/203.0.113.{}/5060\",Challenge=\"3c{number:06x}\"",
                user % 250
            ),
            _ => write!(
                line,
                "[{stamp}] SECURITY[1876] res_security_log.c: SecurityEvent=\"SuccessfulAuth\",EventTV=\"{event}-951523\",\
                 Severity=\"Informational\",Service=\"SIP\",EventVersion=\"1\",AccountID=\"{user}\",\
                 SessionID=\"0x7f28ad{number:06x}\",LocalAddress=\"IPV4/UDP/192.0.2.10/5060\",\
                 RemoteAddress=\"IPV4/UDP/203.0.113.{}/5060\",UsingPassword=\"1\"",
                user % 250
            ),
        }
    }
}
