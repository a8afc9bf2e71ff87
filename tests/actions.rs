//! Do the commands of a user's own actions run as in fail2ban, and never as an attacker would like them to?
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "support/actions.rs"]
mod actions;
#[path = "support/host.rs"]
#[allow(dead_code, reason = "every test program uses another part of it")]
mod host;
mod support;

use std::fs;

use actions::{action, children, fresh_machine, jail, kill_worker, lines, program};
use host::{Guard, Log, Port, wait_until};
use support::{Namespace, isolated, run, try_run};

const CONFIG: [&str; 2] = ["--config", "/mnt/jail.local"];

/// The article's jail.local with its own action in the place of one that means the kernel.
const ARTICLE: &str = include_str!("data/article/jail.local");
const IPTABLES_SIP: &str = include_str!("data/article/action.d/iptables-sip.conf");

fn chain(name: &str) -> String {
    String::from_utf8(try_run(&format!("iptables -S fail2ban-{name}")).stdout).unwrap()
}

fn fail_twice(log: &mut Log, address: &str) {
    log.fail(address);
    log.fail(address);
}

/// The main job of this file: what bans is the article's own iptables command.
#[test]
fn the_articles_own_action_bans_and_unbans() {
    isolated("the_articles_own_action_bans_and_unbans", || {
        fresh_machine();
        action("iptables-sip", IPTABLES_SIP);
        let text = ARTICLE
            .replace("iptables-asterisk[", "iptables-sip[")
            .replace("bantime  = -1", "bantime = 4");
        fs::write("/mnt/jail.local", text).unwrap();
        let (attacker, phone) = (Namespace::new(1), Namespace::new(2));
        let [from, phone_from] = [&attacker, &phone].map(|host| host.socket(&host.v4(2)));
        let mut log = Log::create("/var/log/asterisk/messages");
        let mut guard = Guard::start(&CONFIG);
        wait_until("the action is started", || {
            run("iptables -S INPUT").contains("--dport 5060 -j fail2ban-ASTERISK")
        });
        let sip = Port::open("0.0.0.0", 5060);
        assert!(sip.hears(&from, &attacker.v4(1)));
        fail_twice(&mut log, &attacker.v4(2));
        guard.wait_for(" banned ");
        let rule = format!("-s {}/32 -p udp -m udp --dport 5060 -j DROP", attacker.v4(2));
        wait_until("the rule is there", || chain("ASTERISK").contains(&rule));
        assert!(!sip.hears(&from, &attacker.v4(1)), "the attacker is cut off");
        assert!(sip.hears(&phone_from, &phone.v4(1)), "the phone is not");
        guard.wait_for("unbanned");
        wait_until("the rule is gone", || !chain("ASTERISK").contains("DROP"));
        assert!(sip.hears(&from, &attacker.v4(1)));
        fail_twice(&mut log, &attacker.v4(2));
        wait_until("and is there again", || chain("ASTERISK").contains(&rule));
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        let left = run("iptables-save");
        assert!(!left.contains("fail2ban"), "{left}");
        wait_until("no child is left", || children("").is_empty());
    });
}

#[test]
fn what_a_killed_guard_left_is_cleared_up_by_the_next_one() {
    isolated("what_a_killed_guard_left_is_cleared_up_by_the_next_one", || {
        fresh_machine();
        action("iptables-sip", IPTABLES_SIP);
        let mut log = jail("action = iptables-sip[name=SIP]");
        let mut guard = Guard::start(&CONFIG);
        fail_twice(&mut log, "198.51.100.1");
        guard.wait_for(" banned ");
        wait_until("the rule is there", || chain("SIP").contains("198.51.100.1"));
        guard.signal("KILL");
        guard.wait();
        wait_until("its children end with it", || children("").is_empty());
        assert!(chain("SIP").contains("198.51.100.1"), "a ban outlives a crash");
        let mut guard = Guard::start(&CONFIG);
        guard.wait_for("actionstart");
        fail_twice(&mut log, "198.51.100.2");
        guard.wait_for(" banned ");
        wait_until("the rule is there", || chain("SIP").contains("198.51.100.2"));
        let jumps = run("iptables -S INPUT").matches("fail2ban-SIP").count();
        assert_eq!(jumps, 1, "nothing is there twice");
    });
}

#[test]
fn a_child_that_is_killed_is_started_again_and_told_all_bans() {
    isolated(
        "a_child_that_is_killed_is_started_again_and_told_all_bans",
        || {
            fresh_machine();
            action("iptables-sip", IPTABLES_SIP);
            let mut log = jail("action = iptables-sip[name=SIP]");
            let mut guard = Guard::start(&CONFIG);
            fail_twice(&mut log, "198.51.100.1");
            wait_until("the rule is there", || chain("SIP").contains("198.51.100.1"));
            kill_worker("commands");
            guard.wait_for("the commands child ended (Signal(9)); starting it again");
            guard.wait_for("the commands child is back");
            fail_twice(&mut log, "198.51.100.2");
            wait_until("both rules are there", || {
                ["198.51.100.1", "198.51.100.2"]
                    .iter()
                    .all(|address| chain("SIP").contains(address))
            });
            assert_eq!(chain("SIP").matches("DROP").count(), 2, "each once");
            let pid = guard.pid();
            assert_eq!(
                run(&format!("ps -o stat= --ppid {pid}")).matches('Z').count(),
                0,
                "no zombie"
            );
            // Without its nanny it ends, and that is said.
            run(&format!("kill -9 {}", children("nanny.commands")[0]));
            guard.wait_for("the commands child and its nanny are gone");
            fail_twice(&mut log, "198.51.100.3");
            guard.wait_for(" banned 198.51.100.3");
            assert!(children("").is_empty());
        },
    );
}

#[test]
fn a_command_that_hangs_delays_no_ban_and_is_killed() {
    isolated("a_command_that_hangs_delays_no_ban_and_is_killed", || {
        fresh_machine();
        let hang = "[Definition]\nactionban = sh -c \"sleep 1234; echo <ip>\"\ntimeout = 3\n";
        action("hang", hang);
        action("other", "[Definition]\nactionban = echo <ip> >> /mnt/other\n");
        let second = "[second]\nenabled = true\nfilter = asterisk\nmaxretry = 2\nlogpath = /var/log/second\n\
                      action = other";
        let mut log = jail(&format!("action = %(action_)s\n  hang\n{second}"));
        let mut second = Log::create("/var/log/second");
        let mut guard = Guard::start(&CONFIG);
        for host in 1..=20 {
            fail_twice(&mut log, &format!("198.51.100.{host}"));
        }
        guard.wait_for(" banned 198.51.100.20");
        let set = run("nft list set inet sipguard asterisk4b");
        assert!(set.contains("198.51.100.20"), "{set}");
        wait_until("it hangs", || try_run("pgrep -f sleep.1234").status.success());
        fail_twice(&mut second, "198.51.100.99");
        wait_until("another jail's actions go on", || {
            lines("/mnt/other") == ["198.51.100.99"]
        });
        guard.wait_for("took too long and was killed");
        // At the end what still hangs is killed, too.
        wait_until("the next one hangs", || {
            try_run("pgrep -f sleep.1234").status.success()
        });
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        wait_until("none is left", || {
            children("").is_empty() && !try_run("pgrep -f sleep.1234").status.success()
        });
    });
}

/// A log line is the attacker's to write: a user name with everything that a shell could act on.
#[test]
fn a_hostile_line_reaches_no_shell_and_comes_out_escaped() {
    isolated("a_hostile_line_reaches_no_shell_and_comes_out_escaped", || {
        fresh_machine();
        let file = "[Definition]\nactionban = echo <matches> \"<matches>\" '<matches>' $(printf %%s \"<matches>\") \
            >> /mnt/shell\n    printf '%%s' \"`echo <matches>`\" | cat >> /mnt/shell\nactionunban =\n";
        action("shell", file);
        action(
            "words",
            "[Definition]\nactionban = tee /mnt/words.<ip> -- <matches>\n",
        );
        // What it is called with is written down; `tee` would take words of an option for one.
        program("tee", "for word; do printf '%s\\n' \"$word\"; done > /mnt/words");
        let mut log = jail(
            "failregex = ^\\[\\] evil .* from <HOST>$\naction = shell\n  words\nmaxmatches = 1\nmaxretry2 = 1\n\
             findtime = %(maxretry2)s0m",
        );
        let mut guard = Guard::start(&CONFIG);
        let hostile = "';touch /mnt/owned;' \";touch /mnt/owned;\" `touch /mnt/owned` $(touch /mnt/owned) \
            ${IFS} * \\x \u{1b}[2J\u{9b}x & | > /mnt/owned # -oQ ~!touch /mnt/owned";
        for _ in 0..2 {
            log.line(&format!(
                "[2026-11-22 12:42:47] evil {hostile} from 198.51.100.66"
            ));
        }
        guard.wait_for(" banned 198.51.100.66");
        wait_until("both have run", || {
            lines("/mnt/words").len() == 3 && !lines("/mnt/shell").is_empty()
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(!fs::exists("/mnt/owned").unwrap(), "no shell has read it");
        let words = lines("/mnt/words");
        assert_eq!(words[0], "/mnt/words.198.51.100.66");
        let escaped = &words[2];
        assert!(
            escaped.contains("$(touch /mnt/owned)") && escaped.contains("\\x1b[2J\\xc2\\x9bx"),
            "{escaped}"
        );
        let shell = fs::read("/mnt/shell").unwrap();
        assert!(
            shell
                .iter()
                .all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte)),
            "{shell:?}"
        );
        let shell = String::from_utf8(shell).unwrap();
        assert!(shell.matches("touch /mnt/owned").count() >= 20, "{shell}");
        let log = guard.drain().join("\n");
        assert!(!log.contains('\u{1b}'), "{log}");
    });
}

#[test]
fn more_bans_than_find_room_are_all_done_in_the_end() {
    isolated("more_bans_than_find_room_are_all_done_in_the_end", || {
        fresh_machine();
        action(
            "file",
            "[Definition]\nactionstart = echo start >> /mnt/did\nactionban = echo +<ip> >> /mnt/did\n\
             actionunban = echo -<ip> >> /mnt/did\nactionstop = echo stop >> /mnt/did\n\
             actionflush = echo flush >> /mnt/did\n",
        );
        let mut log = jail("action = file\nbantime = 1d");
        let mut guard = Guard::start(&CONFIG);
        let mut storm = String::new();
        for round in 0..2 {
            for host in 0..1_500_u32 {
                storm += &host::wrong_password(&format!("100.64.{}.{}", host >> 8, host & 255));
                storm += if round == 1 && host == 1_499 { "" } else { "\n" };
            }
        }
        log.line(&storm);
        guard.wait_for(" banned 100.64.5.219");
        wait_until("all are done", || lines("/mnt/did").len() >= 1_501);
        let mut did = lines("/mnt/did");
        assert_eq!(did.remove(0), "start");
        did.sort();
        did.dedup();
        assert_eq!(did.len(), 1_500, "each once");
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        assert_eq!(&lines("/mnt/did")[1_501..], ["flush", "stop"]);
    });
}

#[test]
fn what_somebody_takes_away_is_made_again_with_all_its_bans() {
    isolated("what_somebody_takes_away_is_made_again_with_all_its_bans", || {
        fresh_machine();
        action("iptables-sip", IPTABLES_SIP);
        let mut log = jail("action = iptables-sip[name=SIP]");
        let mut guard = Guard::start(&CONFIG);
        for host in 1..=3 {
            fail_twice(&mut log, &format!("198.51.100.{host}"));
        }
        wait_until("the rules are there", || {
            chain("SIP").matches("DROP").count() == 3
        });
        run("iptables -F");
        run("iptables -X");
        fail_twice(&mut log, "198.51.100.4");
        guard.wait_for("actioncheck failed");
        wait_until("all four are there", || chain("SIP").matches("DROP").count() == 4);
        assert!(run("iptables -S INPUT").contains("fail2ban-SIP"));
    });
}

#[test]
fn another_configuration_stops_the_old_actions_and_tells_the_new_ones_all_bans() {
    let name = "another_configuration_stops_the_old_actions_and_tells_the_new_ones_all_bans";
    isolated(name, || {
        fresh_machine();
        let file = |name: &str| {
            format!(
                "[Definition]\nactionstart = echo start >> /mnt/{name}\nactionban = echo +<ip> <restored> >> /mnt/{name}\n\
                 actionunban = echo -<ip> >> /mnt/{name}\nactionstop = echo stop >> /mnt/{name}\n"
            )
        };
        action("one", &file("one"));
        action("two", &file("two"));
        let mut log = jail("action = one\nbantime = 1d");
        let mut guard = Guard::start(&CONFIG);
        fail_twice(&mut log, "198.51.100.1");
        wait_until("it is banned", || {
            lines("/mnt/one") == ["start", "+198.51.100.1 0"]
        });
        // The same plan: nothing happens.
        guard.signal("HUP");
        guard.wait_for("configuration read again");
        drop(jail("action = two\nbantime = 1d"));
        guard.signal("HUP");
        guard.wait_for("configuration read again");
        wait_until("the new action has the ban", || {
            lines("/mnt/two") == ["start", "+198.51.100.1 1"]
        });
        assert_eq!(
            lines("/mnt/one"),
            ["start", "+198.51.100.1 0", "-198.51.100.1", "stop"]
        );
        fail_twice(&mut log, "198.51.100.2");
        wait_until("and the next", || lines("/mnt/two").len() == 3);
        // What the child has in memory is what runs, whatever becomes of the files.
        fs::remove_file("/mnt/action.d/two.conf").unwrap();
        kill_worker("commands");
        wait_until("both are told again", || lines("/mnt/two").len() == 6);
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        assert_eq!(lines("/mnt/two").last().map(String::as_str), Some("stop"));
    });
}

#[test]
fn bans_by_hand_and_bans_of_before_a_restart_are_told_too() {
    isolated("bans_by_hand_and_bans_of_before_a_restart_are_told_too", || {
        fresh_machine();
        action(
            "file",
            "[Definition]\nactionban = echo +<ip> <restored> <failures> <bantime> >> /mnt/did\n\
             actionunban = echo -<ip> >> /mnt/did\n",
        );
        action(
            "new",
            "[Definition]\nactionban = echo +<ip> >> /mnt/new\nnorestored = 1\n",
        );
        let program = env!("CARGO_BIN_EXE_sipguard");
        let mut log = jail("action = file\n  new\nbantime = 1d");
        let mut guard = Guard::start(&CONFIG);
        fail_twice(&mut log, "198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
        run(&format!("{program} ban 198.51.100.2"));
        let banned = ["+198.51.100.1 0 2 86400", "+198.51.100.2 0 0 86400"];
        wait_until("both are told", || lines("/mnt/did") == banned);
        run(&format!("{program} unban 198.51.100.2"));
        wait_until("and the unban", || lines("/mnt/did").len() == 3);
        assert_eq!(lines("/mnt/did")[2], "-198.51.100.2");
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        assert_eq!(
            lines("/mnt/did").last().map(String::as_str),
            Some("-198.51.100.1")
        );
        let guard = Guard::start(&CONFIG);
        wait_until("the ban that went on is told again", || {
            lines("/mnt/did")
                .last()
                .is_some_and(|line| line.starts_with("+198.51.100.1 1 2 "))
        });
        assert_eq!(
            lines("/mnt/new"),
            ["+198.51.100.1", "+198.51.100.2"],
            "but not to who wants none of these"
        );
        drop(guard);
    });
}

#[test]
fn no_child_is_started_without_need() {
    isolated("no_child_is_started_without_need", || {
        fresh_machine();
        drop(jail("action = %(action_)s"));
        let guard = Guard::start(&CONFIG);
        assert!(children("").is_empty());
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        action("file", "[Definition]\nactionstart = touch /mnt/started\n");
        drop(jail("action = file"));
        let guard = Guard::start(&["--dry-run", "--config", "/mnt/jail.local"]);
        assert!(
            children("").is_empty() && !fs::exists("/mnt/started").unwrap(),
            "nor for a dry run"
        );
        drop(guard);
        let output = try_run(&format!(
            "{} check --config /mnt/jail.local",
            env!("CARGO_BIN_EXE_sipguard")
        ));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("runs file as root"), "{shown}");
        assert!(shown.contains("\n    start     touch /mnt/started\n"), "{shown}");
    });
}
