//! Are names that are never banned never banned, however their addresses change and their servers behave? Is whom
//! `ignorecommand` ignores never banned, and everybody else still is?
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "support/actions.rs"]
mod actions;
#[path = "support/dns.rs"]
mod dns;
#[path = "support/host.rs"]
#[allow(dead_code, reason = "every test program uses another part of it")]
mod host;
mod support;

use std::fs;

use actions::{children, fresh_machine, jail, kill_worker, program};
use dns::{Dns, Says};
use host::{Guard, Log, program_under_test, wait_until};
use support::{isolated, isolated_as_root, run, try_run};

const CONFIG: [&str; 2] = ["--config", "/mnt/jail.local"];

fn fail_twice(log: &mut Log, address: &str) {
    log.fail(address);
    log.fail(address);
}

fn ask(words: &str) -> String {
    let output = try_run(&format!("{} {words}", program_under_test()));
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn is_banned(address: &str) -> bool {
    run("nft list table inet sipguard").contains(address)
}

#[test]
fn a_phone_with_a_changing_name_is_never_cut_off_for_long() {
    isolated("a_phone_with_a_changing_name_is_never_cut_off_for_long", || {
        fresh_machine();
        let dns = Dns::start();
        dns.says("phone.example", Says::Nothing);
        dns.has("pbx.example", &["198.51.100.20", "2001:db8:7::20"]);
        let mut log = jail("ignoreip = 198.51.100.1 Phone.example. pbx.example");
        let mut guard = Guard::start(&CONFIG);
        guard.wait_for("never banned: pbx.example is 198.51.100.20 2001:db8:7::20");
        guard.wait_for("the addresses of phone.example (ignoreip) cannot be found");
        // Nobody waits for a name server that is silent.
        fail_twice(&mut log, "198.51.100.66");
        guard.wait_for(" banned 198.51.100.66");
        for trusted in ["198.51.100.1", "198.51.100.20", "2001:db8:7::20"] {
            fail_twice(&mut log, trusted);
        }
        // Not yet known, so it is banned; and lifted as soon as it is known.
        fail_twice(&mut log, "198.51.100.7");
        guard.wait_for(" banned 198.51.100.7");
        let status = ask("status");
        assert!(
            status.contains("phone.example: NOT FOUND, its addresses may be banned"),
            "{status}"
        );
        dns.has("phone.example", &["198.51.100.7"]);
        guard.signal("HUP");
        guard.wait_for("never banned: phone.example is 198.51.100.7");
        guard.wait_for("unbanned 198.51.100.7: it is an address of phone.example (ignoreip)");
        assert!(!is_banned("198.51.100.7 ") && is_banned("198.51.100.66"));
        fail_twice(&mut log, "198.51.100.7");
        // It gets another address, from which it has failed already.
        fail_twice(&mut log, "203.0.113.9");
        guard.wait_for(" banned 203.0.113.9");
        dns.has("phone.example", &["203.0.113.9", "2001:db8::9"]);
        guard.signal("HUP");
        guard.wait_for("phone.example is 203.0.113.9 2001:db8::9, no more 198.51.100.7");
        guard.wait_for("unbanned 203.0.113.9");
        fail_twice(&mut log, "198.51.100.7");
        guard.wait_for(" banned 198.51.100.7");
        // The last good answer holds.
        for says in [Says::NoSuchName, Says::Nothing, Says::Addresses(Vec::new())] {
            let before = dns.asked("phone.example");
            dns.says("phone.example", says);
            guard.signal("HUP");
            wait_until("it is asked again", || dns.asked("phone.example") > before);
        }
        wait_until("it is shown", || {
            ask("status").contains("phone.example: 203.0.113.9, 2001:db8::9 (not found at the moment)")
        });
        fail_twice(&mut log, "203.0.113.9");
        fail_twice(&mut log, "198.51.100.67");
        guard.wait_for(" banned 198.51.100.67");
        assert!(ask("ban 2001:db8::9").contains("it is in ignoreip of jail asterisk"));
        let json = ask("status --json");
        assert!(
            json.contains("\"addresses\":[\"203.0.113.9\",\"2001:db8::9\"]"),
            "{json}"
        );
        let log = guard.kill();
        for trusted in ["198.51.100.1 ", "198.51.100.20", "2001:db8:7:"] {
            let banned = log
                .iter()
                .any(|line| line.contains(&format!(" banned {trusted}")));
            assert!(!banned, "{trusted}: {log:#?}");
        }
    });
}

#[test]
fn names_come_and_go_with_the_configuration() {
    isolated("names_come_and_go_with_the_configuration", || {
        fresh_machine();
        let dns = Dns::start();
        dns.has("a.example", &["198.51.100.1"]);
        dns.has("b.example", &["198.51.100.2"]);
        let mut log = jail("ignoreip = a.example");
        let mut guard = Guard::start(&CONFIG);
        guard.wait_for("never banned: a.example is");
        fail_twice(&mut log, "198.51.100.2");
        guard.wait_for(" banned 198.51.100.2");
        // What was known holds without asking, what is new is found.
        dns.says("a.example", Says::Nothing);
        jail("ignoreip = a.example b.example");
        guard.signal("HUP");
        guard.wait_for("configuration read again");
        fail_twice(&mut log, "198.51.100.1");
        guard.wait_for("unbanned 198.51.100.2: it is an address of b.example");
        let before = dns.asked("b.example");
        jail("ignoreip = b.example");
        guard.signal("HUP");
        guard.wait_for("configuration read again");
        fail_twice(&mut log, "198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
        wait_until("the child has read it, too", || dns.asked("b.example") > before);
        // Without a child nothing can be found, and that is said.
        jail("findtime = 3m");
        guard.signal("HUP");
        guard.wait_for("configuration read again");
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        wait_until("nothing is left", || children("").is_empty());
        let mut guard = Guard::start(&CONFIG);
        jail("ignoreip = a.example");
        guard.signal("HUP");
        guard.wait_for("no names are looked up and ignorecommand is asked before the guard is restarted");
    });
}

#[test]
fn the_child_has_no_power_and_is_started_again() {
    isolated_as_root("the_child_has_no_power_and_is_started_again", || {
        fresh_machine();
        let dns = Dns::start();
        dns.has("a.example", &["198.51.100.1"]);
        program(
            "friend",
            "grep -E '^(Uid|Groups|CapEff|CapPrm|NoNewPrivs):' /proc/self/status; exit 9",
        );
        let mut log = jail("ignoreip = a.example\nignorecommand = friend <ip>");
        let shown = ask("check --config /mnt/jail.local");
        let child = "\nchild: lookups    nobody, no capability, no new privileges: names, ignorecommand\n";
        assert!(shown.contains(child), "{shown}");
        let mut guard = Guard::start(&CONFIG);
        guard.wait_for("never banned: a.example is");
        for process in ["nanny.lookups", "worker.lookups"] {
            let status = fs::read_to_string(format!("/proc/{}/status", children(process)[0])).unwrap();
            for line in [
                "Uid:\t65534\t65534\t65534\t65534\n",
                "CapEff:\t0000000000000000\n",
                "NoNewPrivs:\t1\n",
            ] {
                assert!(status.contains(line), "{process}: {status}");
            }
        }
        fail_twice(&mut log, "198.51.100.3");
        let said = guard.wait_for("ignorecommand says neither 0 nor 1 about 198.51.100.3");
        for part in [
            "Uid:\\t65534\\t65534",
            "CapPrm:\\t0000000000000000",
            "NoNewPrivs:\\t1",
        ] {
            assert!(said.contains(part), "{said}");
        }
        guard.wait_for_in_any_order(" banned 198.51.100.3");
        dns.has("a.example", &["198.51.100.2"]);
        kill_worker("lookups");
        guard.wait_for("the lookups child is back");
        guard.wait_for("never banned: a.example is 198.51.100.2, no more 198.51.100.1");
    });
}

#[test]
fn who_is_ignored_by_the_command_is_not_banned_and_others_are() {
    isolated(
        "who_is_ignored_by_the_command_is_not_banned_and_others_are",
        || {
            fresh_machine();
            program(
                "friend",
                "echo $1 >>/mnt/asked; case $1 in 198.51.100.1) exit 0;; 198.51.100.8) sleep 4321;; *) exit 1;; esac",
            );
            let mut log = jail("ignorecommand = friend <ip>\nignorecache = key=\"<ip>\"");
            let mut guard = Guard::start(&CONFIG);
            fail_twice(&mut log, "198.51.100.1");
            guard.wait_for("198.51.100.1 is not banned: ignorecommand ignores it jail=asterisk");
            fail_twice(&mut log, "198.51.100.2");
            let banned = guard.wait_for(" banned 198.51.100.2");
            assert!(banned.contains(": 2 "), "{banned}");
            assert!(is_banned("198.51.100.2") && !is_banned("198.51.100.1"));
            // The answer is kept.
            fail_twice(&mut log, "198.51.100.1");
            // A command that hangs delays the bans of its jail, and prevents none.
            fail_twice(&mut log, "198.51.100.8");
            wait_until("it hangs", || try_run("pgrep -f sleep.4321").status.success());
            fail_twice(&mut log, "198.51.100.9");
            guard.wait_for(" banned 198.51.100.8");
            guard.wait_for(" banned 198.51.100.9");
            assert!(!try_run("pgrep -f sleep.4321").status.success());
            let asked = fs::read_to_string("/mnt/asked").unwrap();
            assert_eq!(asked, "198.51.100.1\n198.51.100.2\n198.51.100.8\n198.51.100.9\n");
            // By hand nobody is asked.
            assert!(ask("ban 198.51.100.1").contains("banned 198.51.100.1"));
            guard.signal("TERM");
            assert_eq!(guard.wait(), 0);
            wait_until("nothing is left", || children("").is_empty());
        },
    );
}

#[test]
fn questions_outlive_the_child_and_a_reload() {
    isolated("questions_outlive_the_child_and_a_reload", || {
        fresh_machine();
        program(
            "friend",
            "echo $1 >>/mnt/asked; test -e /mnt/answer || sleep 4321; exit 1",
        );
        let mut log = jail("ignorecommand = friend <ip>");
        let mut guard = Guard::start(&CONFIG);
        fail_twice(&mut log, "198.51.100.1");
        wait_until("it is asked", || fs::exists("/mnt/asked").unwrap());
        fs::write("/mnt/answer", "").unwrap();
        kill_worker("lookups");
        guard.wait_for("the lookups child is back, and is asked again");
        guard.wait_for(" banned 198.51.100.1");
        fs::remove_file("/mnt/answer").unwrap();
        fail_twice(&mut log, "198.51.100.2");
        wait_until("it is asked", || {
            fs::read_to_string("/mnt/asked").unwrap().contains("198.51.100.2")
        });
        fs::write("/mnt/answer", "").unwrap();
        jail("ignorecommand = friend <ip> again");
        guard.signal("HUP");
        guard.wait_for("configuration read again");
        guard.wait_for(" banned 198.51.100.2");
    });
}

#[test]
fn a_storm_is_not_held_up_by_the_command() {
    isolated("a_storm_is_not_held_up_by_the_command", || {
        fresh_machine();
        program("friend", "exit 1");
        let mut log = jail("ignorecommand = friend <ip>");
        let mut guard = Guard::start(&CONFIG);
        let mut storm = String::new();
        for host in 0..1_000_u32 {
            let line = host::wrong_password(&format!("100.64.{}.{}", host >> 8, host & 255));
            storm += &format!("{line}\n{line}\n");
        }
        log.line(storm.trim_end());
        guard.wait_for("made without asking ignorecommand: too many wait for its answer");
        wait_until("all are banned", || ask("status").contains("1000 bans in force"));
    });
}

const NAMED: &str = "failregex = ^x from <HOST>$";

#[test]
fn a_name_in_a_log_bans_nobody_alone_unless_that_is_asked_for() {
    isolated(
        "a_name_in_a_log_bans_nobody_alone_unless_that_is_asked_for",
        || {
            fresh_machine();
            let dns = Dns::start();
            dns.has("a.example", &["198.51.100.1"]);
            dns.has("b.example", &["198.51.100.2", "198.51.100.3", "127.0.0.1"]);
            dns.says("c.example", Says::Nothing);
            let mut log = jail(&format!("{NAMED}\nusedns = warn\nignoreip = 198.51.100.3"));
            let mut guard = Guard::start(&CONFIG);
            for _ in 0..9 {
                log.line("x from a.example");
            }
            let said =
                guard.wait_for("1 name looked up for the log (usedns = warn), last a.example: 198.51.100.1");
            assert!(said.contains("they only support other evidence"), "{said}");
            log.line("x from c.example");
            fail_twice(&mut log, "198.51.100.9");
            guard.wait_for(" banned 198.51.100.9");
            assert!(!is_banned("198.51.100.1"));
            // As fail2ban does it.
            jail(&format!("{NAMED}\nusedns = yes\nignoreip = 198.51.100.3"));
            guard.signal("HUP");
            guard.wait_for("configuration read again");
            log.line("x from b.example");
            log.line(
                "x from b.example\nx from $(touch /mnt/owned).example\nx from -h\nx from a.example;reboot",
            );
            let banned = guard.wait_for(" banned 198.51.100.2");
            assert!(banned.contains("proof blind"), "{banned}");
            // What is known counts at once.
            log.line("x from b.example\nx from a.example\nx from a.example");
            guard.wait_for(" banned 198.51.100.1");
            assert!(!is_banned("198.51.100.3"));
            assert!(!fs::exists("/mnt/owned").unwrap());
        },
    );
}

#[test]
fn names_in_logs_count_for_nobody_where_nobody_asked() {
    isolated("names_in_logs_count_for_nobody_where_nobody_asked", || {
        fresh_machine();
        let dns = Dns::start();
        dns.has("a.example", &["198.51.100.1"]);
        let mut log = jail(NAMED);
        let mut guard = Guard::start(&CONFIG);
        for _ in 0..9 {
            log.line("x from a.example");
        }
        fail_twice(&mut log, "198.51.100.9");
        guard.wait_for(" banned 198.51.100.9");
        assert_eq!((children("").len(), dns.asked("a.example")), (0, 0));
    });
}

/// What a name server says reaches nobody but as an address, or as a reason that is escaped.
#[test]
fn whatever_a_name_server_says_is_an_address_or_nothing() {
    isolated("whatever_a_name_server_says_is_an_address_or_nothing", || {
        fresh_machine();
        let dns = Dns::start();
        let hostile = b"\x00\x01\x00\x09\x00\x00\x00\x00\x05$(id)\x1b[2J\r\n~!\xc0\x0c\xff\xff";
        dns.says("a.example", Says::Raw(hostile.to_vec()));
        let many: Vec<String> = (0..28).map(|host| format!("203.0.113.{host}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        dns.has("b.example", &many);
        dns.has(
            "c.example",
            &[
                "0.0.0.0",
                "255.255.255.255",
                "::1",
                "ff02::1",
                "::ffff:198.51.100.4",
            ],
        );
        let mut log = jail("ignoreip = a.example b.example c.example");
        let mut guard = Guard::start(&CONFIG);
        guard.wait_for_in_any_order("the addresses of a.example (ignoreip) cannot be found");
        guard.wait_for_in_any_order("never banned: b.example is 203.0.113.0 203.0.113.1 ");
        guard.wait_for_in_any_order("never banned: c.example is");
        fail_twice(&mut log, "198.51.100.4");
        fail_twice(&mut log, "203.0.113.27");
        fail_twice(&mut log, "198.51.100.9");
        guard.wait_for(" banned 198.51.100.9");
        assert!(!is_banned("198.51.100.4") && !is_banned("203.0.113.27"));
        for line in guard.kill() {
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    });
}
