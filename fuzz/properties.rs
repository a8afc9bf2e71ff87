//! What holds for any input whatever. The fuzzers look for an input for which it does not; `tests/properties.rs`
//! tries the committed corpus and mutations of the golden logs with every `cargo test`.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

use ipnet::IpNet;
use sipguard::action::job::Now;
use sipguard::action::mail::{About, Sheet, send};
use sipguard::action::message::{self, Message, decode, decode_report, encode};
use sipguard::action::script::{Script, Values};
use sipguard::action::{Letter, Mailer, text};
use sipguard::control::Request;
use sipguard::control::client::Client;
use sipguard::feed::export::{Entry, Export};
use sipguard::feed::message as feed_message;
use sipguard::feed::ring::Ring;
use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::custom::{Custom, Dates, Definition, Pattern, Role};
use sipguard::filter::dropbear::Dropbear;
use sipguard::filter::sshd::{Mode, Sshd};
use sipguard::filter::{Class, Context, Failure, Filter, Kind, Lens, Proof, Reading, Service, Trail};
use sipguard::guard::{Change, Guard, JailId, Outcome, Policy, Seed, Settings, Source, Trust};
use sipguard::limits::{LINE_BYTES_MAX, REQUEST_BYTES_MAX};
use sipguard::lines::{Cut, Lines, Splitter};
use sipguard::store::crc::crc32;
use sipguard::store::memory::Memory;
use sipguard::store::{Banned, BootId, Failed, Kept, Live, Moment, Restored, Store};
use sipguard::tail::Position;
use sipguard::time::{Mono, Wall};
use sipguard::wire::{ipset, nft, nlmsg};
use sipguard::zone::Zone;
use sipguard::{addr, advice, config, limits};

/// Log text: no filter panics; an address that comes out stands in the line, is one that a remote host can have,
/// and does not depend on what follows the line.
pub fn line(bytes: &[u8]) {
    let filters = [
        Filter::Asterisk(Asterisk),
        Filter::Sshd(Sshd::default()),
        Filter::Sshd(Sshd {
            mode: Mode::Aggressive,
        }),
        Filter::Dropbear(Dropbear),
    ];
    let context = Context {
        today: Wall(1_795_351_367),
        utc_offset_s: 3600,
    };
    for filter in filters {
        let mut trail = Trail::default();
        let mut first = None;
        for cut in Lines::new(bytes) {
            let Cut::Line(line) = cut else { continue };
            let reading = filter.read(line, &mut trail, &context);
            first = first.or(Some((line, reading)));
            if let Reading::Failure(failure) = reading {
                assert!(!addr::is_never_remote(failure.addr), "{failure:?}");
                assert!(stands_in(line, failure.addr), "{failure:?}");
            }
        }
        if let Some((line, reading)) = first {
            let alone = filter.read(line, &mut Trail::default(), &context);
            assert_eq!(alone, reading, "what follows a line has no part in it");
        }
    }
}

/// How many bytes each read gives, in the first byte, and a log: read in blocks, as `sipguard test` reads it, it says
/// what its lines say one by one, and leaves the same trail behind every line that says something and every block.
pub fn blocks(bytes: &[u8]) {
    let Some((&most, log)) = bytes.split_first() else {
        return;
    };
    let most = 1 + usize::from(most) * 40;
    for filter in [Filter::Asterisk(Asterisk), Filter::Sshd(Sshd::default())] {
        let lens = Lens { filter, own: None };
        let alone = one_by_one(log, &lens);
        assert_eq!(
            in_blocks(log, most, &lens, &alone.trails),
            alone.said,
            "{most} bytes at once"
        );
    }
}

const CONTEXT: Context = Context {
    today: Wall(1_795_351_367),
    utc_offset_s: 3600,
};

/// Number, bytes and meaning of a line.
type Said = (u64, Vec<u8>, Reading);

struct Alone {
    said: Vec<Said>,
    /// Behind so many lines.
    trails: Vec<Trail>,
}

fn one_by_one(log: &[u8], lens: &Lens) -> Alone {
    let (mut said, mut trail) = (Vec::new(), Trail::default());
    let mut trails = vec![trail];
    for (number, cut) in (1..).zip(Lines::new(log)) {
        if let Cut::Line(line) = cut {
            let reading = lens.read(line, &mut trail, &CONTEXT);
            if reading != Reading::Nothing {
                said.push((number, line.to_vec(), reading));
            }
        }
        trails.push(trail);
    }
    Alone { said, trails }
}

fn in_blocks(mut log: &[u8], most: usize, lens: &Lens, trails: &[Trail]) -> Vec<Said> {
    let (mut said, mut trail, mut number) = (Vec::new(), Trail::default(), 0);
    let mut buffer = vec![0; LINE_BYTES_MAX + 1 + most];
    let mut splitter = Splitter::default();
    while !log.is_empty() {
        let space = splitter.space(&mut buffer);
        let count = most.min(space.len()).min(log.len());
        let (now, later) = log.split_at(count);
        space[..count].copy_from_slice(now);
        log = later;
        let mut lines = splitter.lines(&buffer, count);
        let block = lines.rest();
        while let Some((line, reading)) = lens.next(&mut lines, &mut trail, &CONTEXT) {
            assert!(
                block[lines.begin()..].starts_with(line),
                "it stands where it says"
            );
            said.push((number + lines.count_given(), line.to_vec(), reading));
            assert_eq!(
                trail,
                trails[(number + lines.count_given()) as usize],
                "{reading:?}"
            );
        }
        number += lines.count_given();
        assert_eq!(trail, trails[number as usize], "behind line {number}");
        splitter.keep(&mut buffer);
    }
    assert_eq!(number + 1, trails.len() as u64, "every line is counted");
    said
}

/// A failregex in the first line, log lines behind it: it compiles or says why not, and an address that it finds
/// stands in the line.
pub fn custom(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |&byte| byte == b'\n');
    let (Some(expression), Some(lines)) = (parts.next(), parts.next()) else {
        return;
    };
    let Ok(expression) = std::str::from_utf8(expression) else {
        return;
    };
    let Ok(pattern) = Pattern::new(expression, Role::Fail) else {
        return;
    };
    let definition = Definition {
        name: "fuzzed".into(),
        prefix: None,
        fail: vec![pattern],
        ignore: Vec::new(),
        dates: Dates::any(),
        proof: Proof::Blind,
    };
    let filter = Custom::new(Rc::new(definition));
    let context = Context {
        today: Wall(1_795_351_367),
        utc_offset_s: 0,
    };
    for line in lines.split(|&byte| byte == b'\n') {
        if let Reading::Failure(failure) = filter.read(line, &context) {
            assert!(!addr::is_never_remote(failure.addr), "{failure:?}");
            assert!(stands_in(line, failure.addr), "{failure:?}");
        }
    }
}

/// Whether some run of address characters in the line reads as this address, with or without a port behind it.
fn stands_in(line: &[u8], address: IpAddr) -> bool {
    let belongs =
        |byte: &u8| byte.is_ascii_hexdigit() || b".:%".contains(byte) || byte.is_ascii_alphanumeric();
    line.split(|byte| !belongs(byte)).any(|run| {
        let ends = (0..=run.len()).filter(|&end| end == run.len() || b":%".contains(&run[end]));
        let starts = (0..run.len().min(64)).collect::<Vec<_>>();
        ends.into_iter().any(|end| {
            starts
                .iter()
                .any(|&start| start < end && addr::parse(&run[start..end]) == Some(address))
        })
    })
}

/// A configuration, and behind a NUL its `action.d/mine.conf`: settings or an error, and what is shown of it is
/// printable.
pub fn config(bytes: &[u8]) {
    let mut files = bytes.splitn(2, |&byte| byte == 0);
    let (jails, action) = (files.next().unwrap_or_default(), files.next().unwrap_or_default());
    let read = &mut |path: &Path| match path.to_str() {
        Some("/etc/sipguard/jail.local") => Ok(jails.to_vec()),
        Some("/etc/sipguard/action.d/mine.conf") => Ok(action.to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let shown = match config::load(Path::new("/etc/sipguard/jail.local"), read) {
        Ok((config, warnings)) => {
            assert!(
                !config.jails.is_empty(),
                "a guard that guards nothing is an error"
            );
            let warnings: String = warnings.iter().map(ToString::to_string).collect();
            format!("{}{warnings}", config::describe(&config))
        }
        Err(error) => error.to_string(),
    };
    assert!(
        shown.chars().all(|char| char == '\n' || !char.is_control()),
        "{shown:?}"
    );
}

/// Asterisk's own configuration, the same bytes in every file of it: advice, all of it printable.
pub fn advice(bytes: &[u8]) {
    struct Same<'a>(&'a [u8]);
    impl advice::Files for Same<'_> {
        fn read(&mut self, _: &str) -> io::Result<Vec<u8>> {
            Ok(self.0.to_vec())
        }
        fn names(&mut self, _: &str) -> Vec<String> {
            vec!["logger.conf".into(), "more.conf".into()]
        }
        fn resolve(&mut self, directory: &str) -> String {
            directory.to_owned()
        }
        fn size(&mut self, _: &str) -> Option<u64> {
            Some(1 << 30)
        }
    }
    let usual = advice::Directory::Usual;
    for one in advice::advise(&config::Config::built_in(), usual, "pbx", &mut Same(bytes)) {
        let shown = one.to_string();
        assert!(shown.chars().all(|char| !char.is_control()), "{shown:?}");
    }
}

/// What a netlink socket gave: cut into messages and attributes without panic.
pub fn netlink(bytes: &[u8]) {
    for message in nlmsg::Messages(bytes) {
        let _ = message.answer();
        let _ = ipset::set_name(&message);
        let _ = ipset::revisions(&message);
        let _ = ipset::header(&message);
        assert!(ipset::elements(&message).count() <= bytes.len());
        let table = nft::Table {
            family: 1,
            name: "sipguard",
        };
        let _ = (nft::touched(&message, table), nft::chain_name(&message, table));
        let _ = (nft::set_seen(&message), nft::table_flags(&message));
        assert!(nft::elements(&message).count() <= bytes.len());
        for kind in 0..64 {
            let _ = message.attrs().get(kind);
        }
    }
}

/// What the guard and its child say to each other: read without panic, and what is read is written the same; a
/// command of an action: its values become words or variables, and no part of a script.
pub fn message(bytes: &[u8]) {
    let _ = decode_report(bytes);
    if let Some((number, message)) = decode(bytes) {
        let lines = lines_of(&message);
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        encode(&mut once, number, &message, lines);
        assert!(once.len() <= limits::MESSAGE_BYTES_MAX);
        let (number, again) = decode(&once).unwrap();
        let lines = lines_of(&again);
        encode(&mut twice, number, &again, lines);
        assert_eq!(once, twice);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(script) = Script::new(text) else { return };
    const HOSTILE: &str = "\u{1}hostile'\"`$(;";
    let values = Values {
        net: None,
        failures: 1,
        bantime: None,
        time: 0,
        matches: HOSTILE,
        restored: false,
        hostname: "pbx",
    };
    for number in 0..script.len() {
        let (words, variables) = script.run(number, &values).unwrap();
        let shell = words.first().is_some_and(|word| word == "/bin/sh") && words.get(3).is_some();
        if shell && !variables.is_empty() {
            assert!(!words.iter().any(|word| word.contains(HOSTILE)), "{words:?}");
        }
    }
    let shown: String = script.lines().collect();
    assert!(shown.chars().all(|char| (' '..='~').contains(&char)), "{shown:?}");
}

fn lines_of<'m>(message: &Message<'m>) -> message::Lines<'m> {
    if let Message::Ban(_, lines) = message {
        *lines
    } else {
        message::Lines::default()
    }
}

/// Text that a whois server answers, and lines: in a mail they can neither act on a terminal nor begin a line.
pub fn mail(bytes: &[u8]) {
    let mut answer = String::new();
    text::push_answer(&mut answer, bytes);
    text::push_lines(&mut answer, bytes.split(|&byte| byte == b'\n'));
    for line in answer.lines() {
        assert!(line.starts_with("  ") && line.len() < 998, "{line:?}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    let name = String::from_utf8_lossy(bytes).into_owned();
    for by in [Mailer::Sendmail, Mailer::Mail] {
        let letter = Letter {
            by,
            dest: vec!["root@localhost".into()],
            sender: "root@localhost".into(),
            sendername: name.clone(),
            name: name.clone(),
            whois: false,
            lines: false,
            buffered: None,
        };
        let sheet = Sheet {
            hostname: &text::name(&name),
            id: "1",
            now: Now::default(),
        };
        let program = send(&letter, &About::Started, &sheet);
        let mail = String::from_utf8(program.input).unwrap();
        assert!(
            !mail.contains(|char: char| char.is_control() && char != '\n'),
            "{mail:?}"
        );
        if by == Mailer::Sendmail {
            let (head, _) = mail.split_once("\n\n").unwrap();
            let names = head.lines().filter(|line| !line.starts_with(' ')).count();
            assert_eq!(names, 9, "{head}");
        } else {
            assert!(
                !program
                    .words
                    .iter()
                    .any(|word| word.contains(|char: char| char.is_control() && char != '\n'))
            );
        }
    }
}

/// A zone file or rule.
pub fn zone(bytes: &[u8]) {
    for zone in [Zone::from_file(bytes), Zone::from_rule(bytes)]
        .into_iter()
        .flatten()
    {
        for utc in [i64::MIN, -1, 0, 1_795_351_367, 4_102_444_800, i64::MAX / 2] {
            let _ = zone.local(Wall(utc));
        }
    }
}

/// A state file: whatever it holds, what comes back stands in it with a right checksum, is told alike a second time,
/// and the file is one that can be appended to.
pub fn store(bytes: &[u8]) {
    struct Nothing;
    impl Live for Nothing {
        fn kept_after(&self, _: u64) -> Option<(u64, Kept<'_>)> {
            None
        }
        fn failure_after(&self, _: u64) -> Option<(u64, Failed<'_>)> {
            None
        }
        fn positions(&self, _: &mut dyn FnMut(&Path, Position)) {}
    }
    let right = |line: &&[u8]| {
        let mut words = line.rsplitn(2, |&byte| byte == b' ');
        let (sum, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        String::from_utf8_lossy(sum) == format!("{:08x}", crc32(body))
    };
    let lines = bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let whole = lines.filter(right).count();
    let disk = Memory::with(bytes);
    let boot = BootId(1);
    let now = Moment {
        mono: Mono(60_000),
        wall: Wall(1_795_351_367),
    };
    let open = || {
        let mut told = Vec::new();
        let store = Store::open(disk.clone(), None, boot, now, &mut |restored| {
            if let Restored::Ban(ban, _) = restored {
                assert!(
                    ban.until.is_none_or(|until| until > now.mono),
                    "it is in force: {ban:?}"
                );
            }
            // It is told beside another one of the same record.
            if !matches!(restored, Restored::Replaced { .. }) {
                told.push(format!("{restored:?}"));
            }
        });
        (store, told)
    };
    let (mut store, told) = open();
    assert!(told.len() <= whole, "{} of {whole}: {told:?}", told.len());
    while store.notice().is_some() {}
    assert_eq!(open().1, told);
    let net: IpNet = "203.0.113.7/32".parse().unwrap();
    let ban = Banned {
        jail: "a jail",
        net,
        since: now.mono,
        until: None,
        proof: Proof::Nonce,
        count: 7,
    };
    store.ban(&ban, now);
    store.flush_urgent();
    let (_, again) = open();
    assert_eq!(again.last(), Some(&format!("{:?}", Restored::Ban(ban, 60_000))));
    assert_eq!(again[..again.len() - 1], told);
    store.clock_was_set(Moment {
        wall: Wall(now.wall.0 + 5_000),
        ..now
    });
    store.stop(now, &Nothing);
}

/// A history: two bytes are an event. The tables keep their bounds, nobody trusted is banned, nothing proven makes
/// room for anything blind, and the kernel is asked for what is banned.
pub fn guard(bytes: &[u8]) {
    const RING: u32 = 64;
    const MAXBANS: u32 = 8;
    let policy = |bantime| Policy {
        maxretry: 2,
        findtime: 60,
        bantime,
        escalation: None,
        recidive: false,
        reach_by_proof: false,
        bantime_unproven: None,
        evidence: Default::default(),
        trust: Trust::new(["10.0.0.0/8".parse().unwrap(), "2001:db8::/48".parse().unwrap()]),
    };
    let settings = Settings {
        ring: RING,
        maxbans: MAXBANS,
        ipv6prefix: 64,
        purge_age: None,
        own: Trust::default(),
        seed: Seed([5, 6]),
    };
    let mut guard = Guard::new(vec![policy(Some(30)), policy(None)], settings);
    let mut kernel: BTreeSet<(IpNet, u16)> = BTreeSet::new();
    let mut now = Mono(1_000);
    for event in bytes.chunks_exact(2) {
        let (what, detail) = (event[0], event[1]);
        match what % 8 {
            0..=3 => observe(&mut guard, what, detail, now),
            4 => now.0 += u64::from(detail) * 100,
            5 => {
                while let Some(effect) = guard.poll_effect(now) {
                    let taken = detail & 1 == 0;
                    if taken {
                        let key = (effect.net, effect.jail.0);
                        match effect.change {
                            Change::Add { timeout_ms } => {
                                assert!(timeout_ms != Some(0));
                                kernel.insert(key);
                            }
                            Change::Delete => _ = kernel.remove(&key),
                        }
                    }
                    guard.acked(effect.slot, taken, now);
                }
            }
            6 => {
                let ban = guard.bans().nth(usize::from(detail) % 4);
                if let Some(ban) = ban {
                    assert!(guard.unban(ban.net, ban.jail).is_some());
                }
            }
            _ => {
                kernel.clear();
                guard.kernel_lost_all();
            }
        }
        while let Some(ban) = guard.expire(now) {
            kernel.remove(&(ban.net, ban.jail.0));
        }
        assert!(guard.failures_kept() <= RING && guard.ban_count() <= MAXBANS);
        assert_eq!(guard.bans().count() as u32, guard.ban_count());
    }
    now.0 += 2_000;
    while let Some(ban) = guard.expire(now) {
        kernel.remove(&(ban.net, ban.jail.0));
    }
    while let Some(effect) = guard.poll_effect(now) {
        let key = (effect.net, effect.jail.0);
        match effect.change {
            Change::Add { .. } => _ = kernel.insert(key),
            Change::Delete => _ = kernel.remove(&key),
        }
        guard.acked(effect.slot, true, now);
    }
    let bans: BTreeSet<_> = guard.bans().map(|ban| (ban.net, ban.jail.0)).collect();
    assert_eq!(kernel, bans, "the kernel comes to hold the bans");
}

fn observe(guard: &mut Guard, what: u8, detail: u8, now: Mono) {
    let addr: IpAddr = match detail % 8 {
        0 => [10, 0, 0, 1].into(),
        1 => "2001:db8::1".parse().unwrap(),
        2 => "2001:db8:1::1".parse().unwrap(),
        _ => [192, 0, 2, detail / 8].into(),
    };
    let proof = if what & 8 == 0 {
        Proof::Blind
    } else {
        Proof::Transport
    };
    let kind = Kind {
        service: Service::Sip,
        class: Class::Auth,
    };
    let failure = Failure {
        addr,
        kind,
        proof,
        attempt: None,
        at: None,
        account: None,
    };
    let proven = |guard: &Guard| guard.bans().filter(|ban| ban.proof.is_proven()).count();
    let before = proven(guard);
    let outcome = guard.observe(JailId(u16::from(what >> 4 & 1)), Source(0), &failure, now);
    if detail % 8 < 2 {
        assert_eq!(outcome, Outcome::Trusted);
    }
    if proof == Proof::Blind {
        // Bans that ended by themselves are not taken out before the next `expire`.
        assert!(proven(guard) >= before, "blind evidence displaces nothing proven");
    }
}

/// What a client of the control socket sends: it is a request, written again the same, or none; in which pieces it
/// comes makes no difference; and what is kept of it is bounded.
pub fn control(bytes: &[u8]) {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let whole = Request::parse(line);
    if let Ok(request) = &whole {
        assert_eq!(Request::parse(request.to_string().as_bytes()), whole, "{request}");
    }
    if let Err(wrong) = &whole {
        let why = wrong.to_string();
        assert!(why.len() < 1_000 && !why.contains(char::is_control), "{why:?}");
    }
    let take = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut client: Client<()> = Client::new(Mono(0));
        pieces.for_each(|piece| client.received(piece));
        client.take_request()
    };
    let once = take(&mut [bytes].into_iter());
    assert_eq!(take(&mut bytes.chunks(1)), once);
    assert_eq!(take(&mut bytes.chunks(7)), once);
    if bytes.contains(&b'\n') && line.len() <= REQUEST_BYTES_MAX {
        assert_eq!(once, Some(whole));
    }
}

/// What journalctl and logread write, and what a child says of it: it is the same in whatever pieces it comes, an entry
/// is one line that is not too long, a place survives the state file, and no message between guard and child is odd.
pub fn feed(bytes: &[u8]) {
    let entries = |size: usize| {
        let (mut export, mut line, mut found) = (Export::default(), Vec::new(), Vec::new());
        let mut each = |entry: &Entry| {
            let fits = entry.line(&mut line);
            assert!(!fits || line.len() <= LINE_BYTES_MAX && !line.contains(&b'\n'));
            found.push((fits.then(|| line.clone()), entry.cursor()));
        };
        bytes.chunks(size).for_each(|piece| export.take(piece, &mut each));
        found
    };
    let whole = entries(bytes.len().max(1));
    assert_eq!(entries(1), whole);
    assert_eq!(entries(13), whole);
    for cursor in whole.iter().filter_map(|(_, cursor)| cursor.as_ref()) {
        assert_eq!(sipguard::feed::cursor::Cursor::resume(cursor.position()), *cursor);
    }
    let mut ring = Ring::new(None, 7, 1_000);
    for line in bytes.split(|&byte| byte == b'\n') {
        ring.take(line);
    }
    let position = ring.position();
    assert_eq!(Ring::new(Some(position), 7, 2_000).position(), position);
    if let Some(order) = feed_message::decode(bytes) {
        let mut again = Vec::new();
        feed_message::encode(&order, &mut again);
        assert_eq!(feed_message::decode(&again), Some(order));
    }
    if let Some(feed_message::Report::Lines { lines, .. }) = feed_message::decode_report(bytes) {
        assert!(lines.map(|(_, line)| line.len() + 3).sum::<usize>() <= bytes.len());
    }
}
