//! What holds for any input (`fuzz/properties.rs`), tried with the committed corpus and with seeded mutations of the
//! golden logs. `make fuzz` looks further.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/generated.rs"]
mod generated;
#[path = "../fuzz/properties.rs"]
#[allow(unreachable_pub, missing_docs)]
mod properties;
#[path = "support/random.rs"]
mod random;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use random::Random;

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Tries every file of the corpus, and `SIPGUARD_MUTATIONS` (2,000) mutations of the seeds: pieces cut, doubled, put
/// into each other, bytes changed.
fn check(name: &str, seeds: &[Vec<u8>], property: fn(&[u8])) {
    for input in files(&format!("fuzz/corpus/{name}")) {
        property(&input);
    }
    let count = std::env::var("SIPGUARD_MUTATIONS").map_or(2_000, |text| text.parse().unwrap());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..count {
        let mut input = seeds[random.index(seeds.len())].clone();
        for _ in 0..=random.index(4) {
            mutate(&mut random, &mut input, seeds);
        }
        property(&input);
    }
}

/// Bytes that some grammar treats as special.
const TRICKY: &[u8] = b"'\"\n\r\x1b\0%[]<>(),:= \xff";

fn mutate(random: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = random.index(input.len() + 1);
    let end = (at + random.index(40)).min(input.len());
    match random.index(5) {
        0 => _ = input.drain(at..end),
        1 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        2 => {
            let other = &seeds[random.index(seeds.len())];
            let from = random.index(other.len() + 1);
            let to = (from + random.index(80)).min(other.len());
            input.splice(at..at, other[from..to].iter().copied());
        }
        3 if at < input.len() => input[at] = random.index(256) as u8,
        _ => input.insert(at, TRICKY[random.index(TRICKY.len())]),
    }
}

/// The golden logs, cut into pieces of a few lines.
fn golden() -> Vec<Vec<u8>> {
    let logs = files("tests/golden");
    let lines: Vec<&[u8]> = logs
        .iter()
        .flat_map(|log| log.split_inclusive(|&byte| byte == b'\n'))
        .collect();
    lines.chunks(2).map(<[&[u8]]>::concat).collect()
}

#[test]
fn lines() {
    check("line", &golden(), properties::line);
}

/// What the golden logs do not show: heads of packets, carriage returns at the end of lines that say nothing.
const RARE: [&[u8]; 4] = [
    b"[Nov 22 12:49:43] VERBOSE[1893] chan_sip.c: <--- SIP read from UDP:192.0.2.66:5060 --->\n",
    b"[Nov 22 12:49:43] VERBOSE[1893][C-00000001] res_pjsip_logger.c: <--- Received SIP request --->\r\n",
    b"[Nov 22 12:49:43] VERBOSE[1893] pbx.c: x\r\r\n",
    b"[Nov 22 12:49:43] NOTICE[1893] chan_sip.c: Peer '1' is now Reachable. (9ms / 2000ms)\r\r\n",
];

/// Busy logs, with a few lines of the golden ones, rare ones or one that is too long among theirs.
fn busy() -> Vec<Vec<u8>> {
    let mut golden = golden();
    golden.extend((0..golden.len()).map(|number| RARE[number % RARE.len()].to_vec()));
    let mut random = Random(0x00b5_10c5);
    let mut seeds = Vec::new();
    for attacks_per_mille in [0, 20, 500] {
        let mut log = Vec::new();
        let plan = generated::Plan {
            bytes: 60_000,
            attacks_per_mille,
            lines_per_second: 7,
        };
        generated::write_log(&mut log, plan).unwrap();
        let lines: Vec<&[u8]> = log.split_inclusive(|&byte| byte == b'\n').collect();
        for lines in lines.chunks(16) {
            let mut seed = vec![random.index(256) as u8];
            let at = random.index(lines.len());
            seed.extend(lines[..at].concat());
            for _ in 0..random.index(4) {
                seed.extend_from_slice(&golden[random.index(golden.len())]);
            }
            if random.index(8) == 0 {
                let length = 8_192 + random.index(1_024);
                let head: &[u8] = b"[Nov 22 12:49:43] VERBOSE[1893] pbx.c: ";
                seed.extend(head.iter().chain([b'x'].iter().cycle()).take(length));
                seed.push(b'\n');
            }
            seed.extend(lines[at..].concat());
            seeds.push(seed);
        }
    }
    seeds
}

#[test]
fn a_log_says_in_blocks_what_its_lines_say() {
    let seeds = busy();
    seeds.iter().for_each(|seed| properties::blocks(seed));
    check("blocks", &seeds, properties::blocks);
}

#[test]
fn it_makes_no_difference_where_a_block_ends() {
    for seed in busy().iter().step_by(9) {
        for most in 0..=u8::MAX {
            let mut input = seed.clone();
            input[0] = most;
            properties::blocks(&input);
        }
    }
}

#[test]
fn filters_of_the_users_own() {
    let expressions = [
        "^%(__prefix_line)s?login failed for \\S+ from <HOST>$",
        "^<HOST> -.*\"(GET|POST).*HTTP.*\" 40[13]",
        "(?:user )?<F-USER>.*?</F-USER> \\[<ADDR>\\](?::\\d+)?$",
    ];
    let lines = "Nov 22 12:49:43 host prog[1]: login failed for a from 192.0.2.1\n\
                 192.0.2.2 - - [22/Nov/2026:12:49:43 +0000] \"GET / HTTP/1.1\" 401 5\n\
                 2026-11-22 12:49:43 user bob [2001:db8::1]:50\n";
    let seeds: Vec<_> = expressions
        .iter()
        .map(|one| format!("{one}\n{lines}").into_bytes())
        .collect();
    check("custom", &seeds, properties::custom);
}

#[test]
fn configurations() {
    let action = b"[asterisk]\nenabled = true\naction = mine[name=x, a?family=inet6=\"b\"]\n  mail-whois[dest=a@b]\n\0";
    let action = [action.to_vec(), files("tests/data/article/action.d").concat()].concat();
    let seeds = [
        files("tests/data/article"),
        files("tests/data/howto"),
        vec![action],
    ]
    .concat();
    check("config", &seeds, properties::config);
}

#[test]
fn asterisks_own_configuration() {
    let text = b"[general](+)\ndateformat=%F %T.%3q ; ms\n#include \"logger_*.conf\"\n[logfiles]\n\
                 security.log => security,notice\nfull => verbose\n;-- off\n--;\n[iax](!)\nauthdebug=no\n\
                 [anonymous]\ntype=endpoint\nallowguest=yes\nalwaysauthreject=no\nwebenabled=yes\n";
    check("advice", &[text.to_vec()], properties::advice);
}

#[test]
fn netlink_messages() {
    let mut error = vec![
        36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff,
    ];
    error.extend([0; 16]);
    check("netlink", &[error], properties::netlink);
}

#[test]
fn messages_and_commands() {
    let mut ban = vec![2, 1, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 4, 32, 0, 0];
    ban.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    ban.extend([0; 16]);
    ban.extend([3, 0, b'a', b'b', b'c']);
    let commands: [&[u8]; 3] = [
        b"iptables -I f 1 -s <ip> -j 'D R'\n iptables -X \"f\"",
        b"printf %b \"<matches> $(echo '<ip>')\" | mail -s \"<fq-hostname>\" root && echo `<matches>` # don't",
        b"if [ -f /x ]; then\necho <failures> >> /x; fi",
    ];
    let seeds: Vec<Vec<u8>> = commands.map(<[u8]>::to_vec).into_iter().chain([ban]).collect();
    check("message", &seeds, properties::message);
}

#[test]
fn mails() {
    let answer = "inetnum: 192.0.2.0\r\n~!x\n.\nFrom me\n\u{1b}[2J \u{202e}電話\n\nBcc: a\n";
    check("mail", &[answer.as_bytes().to_vec()], properties::mail);
}

#[test]
fn zones() {
    let local = fs::read("/usr/share/zoneinfo/Europe/Berlin").unwrap_or_default();
    check(
        "zone",
        &[local, b"CET-1CEST,M3.5.0,M10.5.0/3".to_vec()],
        properties::zone,
    );
}

#[test]
fn requests_of_clients() {
    let seeds = [
        "status asterisk --json\n",
        "ban 192.0.2.1 --jail asterisk --for 1d12h --force\n",
        "unban 2001:db8::/64 --jail sshd\nunban --all\n",
        "reload\n",
    ];
    let seeds: Vec<_> = seeds.iter().map(|line| line.as_bytes().to_vec()).collect();
    check("control", &seeds, properties::control);
}

#[test]
fn state_files() {
    let seeds = ["one", "two"].map(|name| fs::read(format!("fuzz/corpus/store/seed-{name}")).unwrap());
    check("store", &seeds, properties::store);
}

#[test]
fn histories() {
    let mut random = Random(1);
    let seeds: Vec<Vec<u8>> = (0..50)
        .map(|_| (0..600).map(|_| random.index(256) as u8).collect())
        .collect();
    check("guard", &seeds, properties::guard);
}

/// Lines made to be slow for a reader that goes back and forth take about as long as others of their length.
#[test]
fn the_longest_lines_are_read_in_linear_time() {
    let heads = [
        "[Nov 22 12:49:43] NOTICE[6918] chan_sip.c: Registration from '",
        "[Nov 22 12:49:43] NOTICE[6918] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '",
        "[Nov 22 12:49:43] SECURITY[6918] res_security_log.c: SecurityEvent=\"InvalidPassword\",",
        "Nov 22 12:49:43 host sshd[77]: Failed password for invalid user ",
        "Nov 22 12:49:43 host dropbear[77]: Bad password attempt for '",
    ];
    let fillers = [
        "' failed for '",
        "' failed for '1.2.3.4:5' (callid: ",
        "\",RemoteAddress=\"IPV4/UDP/1.2.3.4/5\"",
        "\\\"",
        "'",
        "\"",
        "[",
        " from 1.2.3.4 port 1 ssh2",
        "A=\"",
        "%0a",
        "' from 1.2.3.4:5",
    ];
    let start = Instant::now();
    for head in heads {
        for filler in fillers {
            let mut line = head.as_bytes().to_vec();
            line.extend(filler.bytes().cycle().take(8_100 - head.len()));
            line.push(b'\n');
            for _ in 0..20 {
                properties::line(&line);
            }
        }
    }
    // 1,100 lines; quadratic reading takes minutes.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// What a real journal holds, a logread, and messages of both directions.
#[test]
fn what_is_read_beside_files_is_read_alike_in_any_pieces() {
    use sipguard::feed::message::{Batch, Order, encode};
    use sipguard::feed::ring::Ring;
    let entry = "__CURSOR=s=d0ce932d2425449e8472cac7c218e4d5;i=1f;b=0123456789abcdef0123456789abcdef;m=3e8;\
        t=660dc85807380;x=808fe4818cd27b7a\n__REALTIME_TIMESTAMP=1795350109123456\n__MONOTONIC_TIMESTAMP=1000\n\
        _BOOT_ID=0123456789abcdef0123456789abcdef\n_HOSTNAME=pi\nSYSLOG_IDENTIFIER=sshd\n_PID=12\nMESSAGE";
    let text = format!("{entry}=Failed password for root from 192.0.2.1 port 22 ssh2\n\n").into_bytes();
    let data = [entry.as_bytes(), b"\n", &4_u64.to_le_bytes(), b"a\nb\0\n\n"].concat();
    let ring = b"Sun Nov 22 12:21:49 2026 [1795350109.123] auth.info sshd[1]: x\n".repeat(3);
    let position = Ring::new(None, 1 << 90, 7).position();
    let mut order = Vec::new();
    let follow = Order::Follow {
        worker: 1,
        number: 2,
        position: Some(position),
        terms: b"_COMM=sshd + A=1",
    };
    encode(&follow, &mut order);
    let mut batch = Batch::new(3);
    batch.line(true, b"a line");
    batch.line(false, b"another");
    let lines = batch.message(position).to_vec();
    let both = [text.as_slice(), &data].concat();
    check("feed", &[text, data, both, ring, order, lines], properties::feed);
}
