//! What status says of a guard, to the letter.

use std::borrow::Cow;

use ipnet::IpNet;
use tinyjson::JsonValue;

use super::*;
use crate::filter::{Class, Failure, Kind, Proof, Service};
use crate::guard::{Guard, Policy, Seed, Settings, Source};
use crate::limits::ANSWER_PIECE_BYTES_MAX;

const NOW: Mono = Mono(Mono::BOOT.0 + 100_000);

/// Two jails of which the first has two files, and the guard behind them.
struct Fake {
    guard: Guard,
    trouble: Option<&'static str>,
    flooded: bool,
    limited: bool,
    path: Vec<u8>,
    names: Vec<(&'static str, Option<Vec<IpAddr>>, bool)>,
}

impl Fake {
    fn new() -> Fake {
        let policy = Policy {
            maxretry: 5,
            findtime: 600,
            bantime: None,
            escalation: None,
            recidive: false,
            reach_by_proof: false,
            bantime_unproven: None,
            evidence: Default::default(),
            trust: Trust::default(),
        };
        let own = ["127.0.0.0/8", "192.168.0.1/32", "::1/128"].map(|net| net.parse().unwrap());
        let settings = Settings {
            ring: 4_096,
            maxbans: 200_000,
            ipv6prefix: 64,
            purge_age: None,
            own: Trust::new(own),
            seed: Seed([1, 2]),
        };
        Fake {
            guard: Guard::new(vec![policy.clone(), policy], settings),
            trouble: None,
            flooded: false,
            limited: false,
            path: b"/var/log/asterisk/messages".to_vec(),
            names: Vec::new(),
        }
    }

    /// A ban of so long ago, that lasts so long.
    fn banned(&mut self, net: &str, jail: u16, ago: u64, seconds: Option<u64>) {
        let since = Mono(NOW.0 - ago * 1000);
        let until = seconds.map(|seconds| since.plus_seconds(seconds));
        let net: IpNet = net.parse().unwrap();
        self.guard.ban(net, JailId(jail), until, since, false).unwrap();
    }

    /// A failure, which brings a ban at the fifth.
    fn failed(&mut self, address: &str, account: u32) {
        let failure = Failure {
            addr: address.parse().unwrap(),
            kind: Kind {
                service: Service::Sip,
                class: Class::Auth,
            },
            proof: Proof::Nonce,
            attempt: None,
            account: Some(account),
            at: None,
        };
        self.guard.observe(JailId(1), Source(0), &failure, NOW);
    }

    fn answer(&mut self, taken: bool) {
        while let Some(effect) = self.guard.poll_effect(NOW) {
            self.guard.acked(effect.slot, taken, NOW);
        }
    }

    /// All that the listing says, taken in pieces of which none is too long.
    fn show(&self, only: Option<u16>, json: bool) -> String {
        let mut listing = Listing::new(only.map(JailId), json);
        let mut all = String::new();
        loop {
            let mut out = Vec::new();
            let pulled = listing.fill(self, &mut out);
            assert!(
                out.len() <= ANSWER_BYTES + ANSWER_PIECE_BYTES_MAX,
                "{}",
                out.len()
            );
            all += std::str::from_utf8(&out).unwrap();
            match pulled {
                Pulled::More => {}
                Pulled::Whole => return all,
                Pulled::Cut => panic!("cut"),
            }
        }
    }

    #[track_caller]
    fn check(&self, only: Option<u16>, want: &str) {
        let shown = self.show(only, false);
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        let want: Vec<&str> = want.lines().collect();
        assert_eq!(lines, want, "\n{shown}");
    }
}

impl View for Fake {
    fn clock(&self) -> Clock {
        Clock {
            now: NOW,
            utc: Wall(1_795_351_367),
        }
    }

    fn whole(&self) -> Whole<'_> {
        Whole {
            version: "1.2.3",
            pid: 77,
            since: Mono(NOW.0 - 90_000_000),
            backend: "nftables",
            trouble: self.trouble,
            unsaved: false,
            tally: self.guard.whole_tally(),
            maxbans: 200_000,
            failures: 17,
            ring: 4_096,
            known: 12,
            own: self.guard.own(),
            memory_kib: Some(488),
        }
    }

    fn jail(&self, jail: JailId) -> Option<Jail<'_>> {
        let name = *["asterisk", "sshd"].get(usize::from(jail.0))?;
        Some(Jail {
            name,
            filter: name,
            maxretry: 5,
            findtime: 600,
            bantime: None,
            blocks: "drops tcp to port 22".to_owned(),
            tally: self.guard.tally(jail),
            flooded: self.flooded,
            limited: self.limited,
            stats: self.guard.jail_stats(jail),
            sources: 3,
            next: self.guard.next_to_end(jail),
        })
    }

    fn file(&self, jail: JailId, place: usize) -> Option<File<'_>> {
        let files = [
            (&self.path[..], "read", Some(4_711)),
            (b"/x", "permission denied", None),
        ];
        let (path, state, offset) = *files.get(place).filter(|_| jail == JailId(0))?;
        Some(File {
            path,
            state: Cow::Borrowed(state),
            offset,
            lines: 9,
        })
    }

    fn name(&self, jail: JailId, place: usize) -> Option<Name<'_>> {
        let name = self.names.get(place).filter(|_| jail == JailId(0))?;
        Some(Name {
            name: name.0,
            addresses: name.1.as_deref(),
            is_failing: name.2,
        })
    }

    fn ban(&self, number: u32) -> Option<(Ban, bool)> {
        self.guard.ban_at(number)
    }

    fn ban_numbers(&self) -> u32 {
        self.guard.ban_numbers()
    }

    fn reason(&self, ban: &Ban) -> Option<&Summary> {
        self.guard.reason(ban)
    }
}

#[test]
fn status_is_for_people() {
    let mut fake = Fake::new();
    fake.banned("192.0.2.1/32", 0, 60, Some(600));
    fake.guard.suspect(JailId(0));
    fake.answer(true);
    fake.check(
        None,
        "\
sipguard 1.2.3, up 1d1h, pid 77
kernel    nftables, all bans in force
bans      1 of 200000
failures  17 of 4096 in the ring
trusted   ::1, 127.0.0.0-127.255.255.255, 192.168.0.1
known     12 sources that gave right passwords
memory    488 KiB

jail asterisk: 1 ban in force
  rule      5 failures in 10m bring a ban for ever; drops tcp to port 22
  log       /var/log/asterisk/messages  read to byte 4711
            /x                          permission denied
  failures  0 counted, 3 sources in the ring
  bans      1 since the start, next to end: 192.0.2.1 in 9m
  suspects  1 line that somebody may have forged

jail sshd: 0 bans in force
  rule      5 failures in 10m bring a ban for ever; drops tcp to port 22
  failures  0 counted, 3 sources in the ring
  bans      0 since the start",
    );
}

#[test]
fn the_status_of_a_jail_lists_its_bans() {
    let mut fake = Fake::new();
    fake.banned("192.0.2.1/32", 1, 60, Some(600));
    fake.banned("198.51.100.9/32", 0, 60, None);
    fake.answer(true);
    fake.banned("2001:db8:1:2::/64", 1, 0, None);
    fake.answer(false);
    fake.trouble = Some("the kernel's set is full\u{1b}[2J");
    fake.check(
        Some(1),
        "\
kernel    nftables, 1 ban NOT IN FORCE: the kernel's set is full\\x1b[2J

jail sshd: 1 ban in force, 1 NOT IN FORCE
  rule      5 failures in 10m bring a ban for ever; drops tcp to port 22
  failures  0 counted, 3 sources in the ring
  bans      2 since the start, next to end: 192.0.2.1 in 9m

banned                     since                 until                 left     proof
192.0.2.1                  2026-11-22 12:41:47Z  2026-11-22 12:51:47Z  9m       by hand
2001:db8:1:2::/64          2026-11-22 12:42:47Z  never                 -        by hand  NOT IN FORCE",
    );
}

fn number(value: &JsonValue, name: &str) -> f64 {
    *value[name].get().unwrap_or_else(|| panic!("{name} in {value:?}"))
}

#[test]
fn json_is_one_object_and_says_the_same() {
    let mut fake = Fake::new();
    fake.path = b"/var/log/a \"b\"\n\xff".to_vec();
    fake.banned("192.0.2.1/32", 0, 60, Some(600));
    fake.banned("2001:db8:1:2::/64", 1, 0, None);
    fake.answer(true);
    fake.banned("192.0.2.2/32", 0, 0, None);
    fake.trouble = Some("no \"room\"");
    let all: JsonValue = fake.show(None, true).parse().unwrap();
    assert_eq!(all["in_sync"].get(), Some(&false));
    assert_eq!(all["trouble"].get(), Some(&"no \"room\"".to_owned()));
    assert_eq!((number(&all, "bans"), number(&all, "not_in_force")), (3.0, 1.0));
    assert_eq!(all["since"].get(), Some(&"2026-11-21T11:42:47Z".to_owned()));
    let jails: &Vec<JsonValue> = all["jails"].get().unwrap();
    assert_eq!(jails.len(), 2);
    assert!(jails[0]["bantime"].is_null());
    assert_eq!(
        jails[0]["next_end"]["until"].get(),
        Some(&"2026-11-22T12:51:47Z".to_owned())
    );
    assert!(jails[1]["next_end"].is_null());
    let path = &jails[0]["files"][0]["path"];
    assert_eq!(path.get(), Some(&"/var/log/a \"b\"\n\u{fffd}".to_owned()));

    let one: JsonValue = fake.show(Some(0), true).parse().unwrap();
    let jails: &Vec<JsonValue> = one["jails"].get().unwrap();
    let banned: &Vec<JsonValue> = jails[0]["banned"].get().unwrap();
    assert_eq!((jails.len(), banned.len()), (1, 2));
    assert_eq!(number(&banned[0], "left"), 540.0);
    assert_eq!(banned[0]["in_force"].get(), Some(&true));
    assert_eq!(banned[1]["in_force"].get(), Some(&false));
    assert!(banned[1]["until"].is_null() && banned[1]["left"].is_null());
}

#[test]
fn a_list_of_any_length_comes_in_pieces_that_are_short() {
    let mut fake = Fake::new();
    for host in 0..30_000_u32 {
        let [a, b, c, d] = (0x6440_0000 + host).to_be_bytes();
        fake.banned(&format!("{a}.{b}.{c}.{d}/32"), (host % 2) as u16, 0, None);
    }
    fake.path = vec![0x1b; 4_096];
    let lines = |text: &str| text.lines().filter(|line| line.contains("100.")).count();
    assert_eq!(lines(&fake.show(Some(0), false)), 15_000);
    let text = fake.show(Some(1), true);
    assert_eq!(lines(&text), 15_000);
    let one: JsonValue = text.parse().unwrap();
    let banned: &Vec<JsonValue> = one["jails"][0]["banned"].get().unwrap();
    assert_eq!(banned.len(), 15_000);
    fake.show(None, true).parse::<JsonValue>().unwrap();
}

#[test]
fn a_jail_that_is_not_there_shows_nothing_and_stays_json() {
    let fake = Fake::new();
    let none: JsonValue = fake.show(Some(9), true).parse().unwrap();
    assert_eq!(none["jails"].get::<Vec<JsonValue>>().map(Vec::len), Some(0));
}

#[test]
fn names_that_are_never_banned_are_shown_with_their_addresses() {
    let mut fake = Fake::new();
    let known = || Some(vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
    fake.names = vec![
        ("a.example", known(), false),
        ("b.example", known(), true),
        ("c.example", None, true),
        ("d.example", None, false),
    ];
    let shown = fake.show(Some(0), false);
    for line in [
        "\n  never     a.example: 192.0.2.1, 2001:db8::1\n",
        "\n            b.example: 192.0.2.1, 2001:db8::1 (not found at the moment)\n",
        "\n            c.example: NOT FOUND, its addresses may be banned\n",
        "\n            d.example: not found yet\n",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let json: JsonValue = fake.show(Some(0), true).parse().unwrap();
    let names = &json["jails"][0]["names"];
    assert_eq!(
        names[0]["addresses"][1],
        JsonValue::from("2001:db8::1".to_owned())
    );
    assert_eq!(names[1]["failing"], JsonValue::from(true));
    assert_eq!(names[2]["found"], JsonValue::from(false));
}

#[test]
fn a_ban_is_shown_with_its_reasons() {
    let mut fake = Fake::new();
    (0..5).for_each(|attempt| fake.failed("203.0.113.9", attempt % 4));
    fake.banned("203.0.113.8/32", 1, 0, None);
    fake.answer(true);
    let why = "5 wrong passwords for 4 accounts in 0s, answered our challenge";
    let text = fake.show(Some(1), false);
    assert!(text.contains(&format!("  nonce\n    {why}\n")), "{text}");
    assert!(text.contains("  by hand\n"), "{text}");
    let json = fake.show(Some(1), true);
    assert!(
        json.contains(&format!("\"why\":\"{why}\"")) && json.contains("\"why\":null"),
        "{json}"
    );
}

#[test]
fn a_flood_is_shown() {
    let mut fake = Fake::new();
    assert!(!fake.show(None, false).contains("FLOOD"));
    fake.flooded = true;
    assert!(
        fake.show(None, false)
            .contains("  FLOOD     of forged sources: no bans on what may be forged\n")
    );
    fake.limited = true;
    let shown = fake.show(None, false);
    assert!(
        shown.contains("forged; the kernel takes 30 packets a second of each\n"),
        "{shown}"
    );
}
