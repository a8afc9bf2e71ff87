//! What real Asterisk 11 (chan_sip) and 22 (PJSIP) wrote under attack: every attacker is found, every attempt counts
//! once over messages, security, syslog and full.json in any order, and nobody else is found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_types
)]

#[path = "support/attempts.rs"]
mod attempts;
#[path = "support/shared.rs"]
mod shared;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::{Context, Failure, Filter, Reading, Trail};
use sipguard::time::Wall;
use tinyjson::JsonValue;

use attempts::Attempts;

/// Attempts by address.
type Counts = BTreeMap<String, usize>;

#[test]
fn every_attempt_of_the_lab_counts_once() {
    let (mut checked, mut found) = (0, 0);
    for folder in scenarios() {
        let truth = Truth::read(&folder);
        let want = truth.want(&folder);
        for files in ORDERS {
            assert_eq!(count(&folder, files), want, "{} {files:?}", folder.display());
        }
        checked += 1;
        found += want.values().sum::<usize>();
    }
    println!("lab: {checked} scenarios, {found} attempts, each counted once");
}

/// Every stream alone, all together in four orders, and each file twice as a syslog daemon may keep it.
const ORDERS: [&[&str]; 4] = [
    &["messages", "security", "syslog", "full.json"],
    &["full.json", "syslog", "security", "messages"],
    &["syslog", "messages", "security", "messages"],
    &["security", "messages"],
];

#[test]
fn one_file_never_counts_more_than_all_together() {
    for folder in scenarios() {
        let all = count(&folder, ORDERS[0]);
        for file in ORDERS[0] {
            for (address, attempts) in count(&folder, &[file]) {
                assert!(attempts <= all[&address], "{} {file} {address}", folder.display());
            }
        }
    }
}

#[test]
fn no_victim_and_no_innocent_phone_is_found() {
    for folder in scenarios() {
        let truth = Truth::read(&folder);
        for failure in ORDERS[0].iter().flat_map(|file| failures(&folder.join(file))) {
            let address = failure.addr.to_string();
            let known = truth.actors.iter().any(|actor| actor.logged_as == address);
            assert!(known, "{} finds {address}", folder.display());
            let planted = truth.victims.contains(&address) && !truth.spoofs(&address);
            assert!(!planted, "{} finds the victim {address}", folder.display());
        }
    }
}

#[test]
fn the_lab_makes_nothing_suspicious() {
    for folder in scenarios() {
        for file in ORDERS[0] {
            let mut trail = Trail::default();
            for line in lines(&folder.join(file)) {
                let reading = read(&line, &mut trail);
                let suspicious = matches!(reading, Reading::Suspicious(_));
                assert!(
                    !suspicious,
                    "{} {file}: {reading:?} {}",
                    folder.display(),
                    line.escape_ascii()
                );
            }
        }
    }
}

/// A scenario, the attempts by address that its log shows, and the reason.
type Exception = (&'static str, &'static [(&'static str, usize)], &'static str);

/// Where the lab's attempts and the log differ, and why. Without an entry they must be equal.
const EXCEPTIONS: &[Exception] = &[
    (
        "11-sip/ami-noise",
        &[(A, 4)],
        "an overlong line is no login: WARNING \"Discarding message\"",
    ),
    ("22-pjsip/ami-noise", &[(A, 4)], "the same"),
    (
        "11-sip/http-ami",
        &[(A, 5), (B, 5)],
        "the third actor tries ARI, which leaves nothing",
    ),
    (
        "11-sip/http-scan",
        &[],
        "HTTP scans leave nothing, a broken WebSocket is no login",
    ),
    (
        "11-sip/iax-new-context",
        &[],
        "only \"IAX2 user ACL\", which every guest causes",
    ),
    (
        "11-sip/iax-new-token",
        &[],
        "only \"Call rejected, CallToken Support required\", for any datagram",
    ),
    (
        "11-sip/iax-reg-blind",
        &[],
        "an invented MD5 is challenged, not logged",
    ),
    ("11-sip/iax-reg-plain", &[], "challenged, not logged"),
    (
        "11-sip/iax-reg-token",
        &[(A, 5)],
        "the half without a call token leaves only the CallToken message",
    ),
    (
        "11-sip/iax-short",
        &[],
        "no address but in \"Rejecting packet\", for any datagram",
    ),
    (
        "11-sip/iax-spoof",
        &[(V, 5)],
        "one line each, where a peer that answers leaves two of the same name",
    ),
    ("11-sip/invite-fraud-known", &[], "only ChallengeSent"),
    (
        "11-sip/invite-fraud-unknown",
        &[(A, 18)],
        "two of the extensions exist",
    ),
    (
        "11-sip/invite-mismatch",
        &[],
        "\"Failed to authenticate device\" has no address, and there is no event",
    ),
    ("11-sip/invite-tcp", &[], "only ChallengeSent"),
    (
        "11-sip/malformed-tcp",
        &[(C, 2)],
        "what is not a login leaves no failure",
    ),
    ("11-sip/malformed-udp", &[(A, 2)], "the same"),
    (
        "22-pjsip/malformed-tcp",
        &[(C, 6)],
        "the same; one Call-ID is used for several methods",
    ),
    ("22-pjsip/malformed-udp", &[(A, 7)], "the same"),
    (
        "11-sip/reg-contact-acl",
        &[],
        "both lines name the Contact's address",
    ),
    (
        "22-pjsip/reg-contact-acl",
        &[(A, 2)],
        "the third Contact is allowed, the password right",
    ),
    ("11-sip/reg-fakenonce-known", &[], "challenged again, not logged"),
    ("11-sip/reg-fakenonce-unknown", &[], "the same"),
    ("11-sip/reg-noauth-known", &[], "only ChallengeSent"),
    ("11-sip/reg-noauth-unknown", &[], "only ChallengeSent"),
    ("22-pjsip/reg-noauth-known", &[], "only ChallengeSent"),
    (
        "22-pjsip/reg-static",
        &[(A, 2)],
        "one of the three logs in and is only badly configured",
    ),
    ("22-pjsip/reg-transport", &[], "PJSIP accepts it"),
    (
        "11-sip/sipsak-options",
        &[(A, 1)],
        "a tool; chan_sip does not log OPTIONS",
    ),
    ("22-pjsip/sipsak-options", &[(A, 6)], "a tool"),
    ("11-sip/svcrack-nosuchuser", &[(A, 102)], "a tool"),
    ("11-sip/svcrack-success", &[], "it gets in at the first try"),
    ("22-pjsip/svcrack-success", &[], "the same"),
    ("11-sip/svwar-invite", &[(A, 40)], "a tool"),
    ("11-sip/svwar-options", &[], "chan_sip does not log OPTIONS"),
    ("11-sip/svwar-register", &[], "only ChallengeSent"),
    (
        "22-pjsip/svwar-invite",
        &[(A, 2)],
        "a tool that stops at the first answers",
    ),
    ("22-pjsip/svwar-options", &[(A, 2)], "the same"),
    ("22-pjsip/svwar-register", &[(A, 2)], "the same"),
    (
        "22-pjsip/m-subscribe-authed",
        &[],
        "the right password, SUBSCRIBE is refused for other reasons",
    ),
    (
        "11-sip/spoof-register-acl",
        &[("192.0.2.77", 10)],
        "a phone's two requests make one attempt, a spoofer's too",
    ),
    (
        "11-sip/spoof-invite",
        &[(V, 10)],
        "half of them are of an existing account: only ChallengeSent",
    ),
    ("11-sip/spoof-garbage", &[], "not SIP"),
    ("11-sip/spoof-options", &[], "chan_sip does not log OPTIONS"),
    ("11-sip/spoof-register", &[], "only ChallengeSent"),
    ("11-sip/spoof-register-auth", &[], "challenged again, not logged"),
    ("11-sip/spoof-subscribe", &[], "no security event, no address"),
];

/// The lab's addresses: three attackers and the one whose address is spoofed.
const A: &str = "198.51.100.66";
const B: &str = "198.51.100.67";
const C: &str = B;
const V: &str = "203.0.113.7";

/// What really happened.
struct Truth {
    actors: Vec<Actor>,
    victims: Vec<String>,
}

struct Actor {
    /// The address that Asterisk sees: behind the lab's NAT, the NAT's.
    logged_as: String,
    kind: String,
    spoofed: bool,
    attempts: Option<usize>,
}

impl Truth {
    fn read(folder: &Path) -> Truth {
        let text = std::fs::read_to_string(folder.join("truth.json")).unwrap();
        let truth: JsonValue = text.parse().unwrap();
        let actors: &Vec<JsonValue> = truth["actors"].get().unwrap();
        let victims: &Vec<JsonValue> = truth["victims_never_ban"].get().unwrap();
        Truth {
            actors: actors.iter().map(Actor::read).collect(),
            victims: victims
                .iter()
                .map(|it| it.get::<String>().unwrap().clone())
                .collect(),
        }
    }

    fn spoofs(&self, address: &str) -> bool {
        self.actors
            .iter()
            .any(|actor| actor.spoofed && actor.logged_as == address)
    }

    /// The attempts that the log must show.
    fn want(&self, folder: &Path) -> Counts {
        let name = folder.iter().rev().take(2).map(|part| part.to_str().unwrap());
        let name = name
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("/");
        let exception = EXCEPTIONS.iter().find(|(scenario, ..)| *scenario == name);
        if let Some((_, counts, _)) = exception {
            return counts
                .iter()
                .map(|&(address, count)| (String::from(address), count))
                .collect();
        }
        let mut want = Counts::new();
        for actor in self.actors.iter().filter(|actor| actor.leaves_a_failure(&name)) {
            let attempts = actor
                .attempts
                .unwrap_or_else(|| panic!("{name}: how many attempts?"));
            *want.entry(actor.logged_as.clone()).or_default() += attempts;
        }
        want.retain(|_, attempts| *attempts > 0);
        want
    }
}

impl Actor {
    fn read(value: &JsonValue) -> Actor {
        let object: &std::collections::HashMap<String, JsonValue> = value.get().unwrap();
        let text = |key: &str| object.get(key).and_then(|it| it.get::<String>().cloned());
        let number = |key: &str| object.get(key).and_then(|it| it.get::<f64>().copied());
        let address = text("addr").unwrap();
        Actor {
            logged_as: if address.starts_with("10.20.0.") {
                String::from("203.0.113.50")
            } else {
                address
            },
            kind: text("kind").unwrap(),
            spoofed: text("real_sender").is_some(),
            attempts: number("attempts")
                .or(number("wrong_passwords"))
                .map(|count| count as usize),
        }
    }

    /// ASTERISK-LAB.md section 4: chan_sip logs no method but REGISTER and INVITE (SUBSCRIBE without an address),
    /// PJSIP treats all alike but ACK, BYE and CANCEL, and of a known account without credentials only writes
    /// ChallengeSent.
    fn leaves_a_failure(&self, scenario: &str) -> bool {
        let Some(method) = scenario.split_once("/m-").map(|(_, method)| method) else {
            return true;
        };
        let logged = scenario.starts_with("22-pjsip") && !["ack", "bye", "cancel"].contains(&method);
        let known_without_credentials = self.kind.ends_with("no-credentials") && self.logged_as == B;
        logged && !known_without_credentials
    }
}

fn scenarios() -> Vec<PathBuf> {
    let Some(shared) = shared::shared("lab_logs") else {
        return Vec::new();
    };
    let versions = ["11-sip", "22-pjsip"].map(|version| shared.join("lab-logs").join(version));
    let folders = versions
        .iter()
        .flat_map(|version| std::fs::read_dir(version).unwrap());
    let mut folders: Vec<_> = folders.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 100, "the lab has shrunk");
    folders
}

fn count(folder: &Path, files: &[&str]) -> Counts {
    let mut lines: Vec<(Wall, usize, Failure)> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let failures = failures(&folder.join(file));
        lines.extend(
            failures
                .into_iter()
                .map(|failure| (failure.at.unwrap(), number, failure)),
        );
    }
    lines.sort_by_key(|&(at, ..)| at);
    let mut attempts = Attempts::default();
    let mut counts = Counts::new();
    for (at, file, failure) in lines {
        if attempts.is_new(at, file, &failure) {
            *counts.entry(failure.addr.to_string()).or_default() += 1;
        }
    }
    counts
}

fn failures(path: &Path) -> Vec<Failure> {
    let mut trail = Trail::default();
    let readings = lines(path).into_iter().map(|line| read(&line, &mut trail));
    readings
        .filter_map(|reading| match reading {
            Reading::Failure(failure) => Some(failure),
            Reading::Nothing | Reading::Sign(_) | Reading::Suspicious(_) => None,
        })
        .collect()
}

/// The lines of a file; none where the scenario has no such file.
fn lines(path: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read(path).unwrap_or_default();
    text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn read(line: &[u8], trail: &mut Trail) -> Reading {
    let context = Context {
        today: Wall(1_795_351_367),
        utc_offset_s: 0,
    };
    Filter::Asterisk(Asterisk).read(line, trail, &context)
}
