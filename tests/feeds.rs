//! Is what stands in the journal, or in OpenWrt's logd, counted once, whoever dies meanwhile?
//!
//! The journal is a real journald's, and journalctl the real one. logd has no Debian package: a program of the name
//! logread stands in, which prints a file and what is appended to it.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::zombie_processes,
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

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use actions::{children, fresh_machine, kill_worker, program};
use host::{Guard, wait_until};
use support::{isolated_as_root, run, try_run};

const CONFIG: [&str; 2] = ["--config", "/mnt/jail.local"];
const JOURNALD: &str = "/lib/systemd/systemd-journald";

/// What a command of the shell says.
fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A journald of the test's own, which takes us for sshd. `false`: there is none on this machine.
fn journald() -> bool {
    if !Path::new(JOURNALD).exists() {
        println!("left out, there is no {JOURNALD}");
        return false;
    }
    fresh_machine();
    sh("mkdir -p /run/systemd/journal /run/systemd/journald.conf.d");
    sh("install -d -m 2755 -g systemd-journal /run/log/journal");
    fs::write(
        "/run/systemd/journald.conf.d/test.conf",
        "[Journal]\nStorage=volatile\nRateLimitBurst=0\nReadKMsg=no\nAudit=no\n",
    )
    .unwrap();
    // Before journald looks at us: of process 1, which we are here, it keeps what it sees first.
    fs::write(format!("/proc/{}/comm", std::process::id()), "sshd").unwrap();
    Command::new(JOURNALD)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("journald is there", || {
        Path::new("/run/systemd/journal/socket").exists()
    });
    true
}

/// Says something to journald as programs do by syslog(3).
fn say(message: &str) {
    let socket = UnixDatagram::unbound().unwrap();
    let message = format!("<38>{message}");
    socket
        .send_to(message.as_bytes(), "/run/systemd/journal/dev-log")
        .unwrap();
}

fn fail(address: &str) {
    say(&format!(
        "sshd[4711]: Failed password for root from {address} port 50000 ssh2"
    ));
}

fn sshd_jail(maxretry: u32) {
    let text = format!("[sshd]\nenabled = true\nbackend = systemd\nmaxretry = {maxretry}\n");
    fs::write("/mnt/jail.local", text).unwrap();
}

/// The line of the ban of this address.
fn ban_of(guard: &mut Guard, address: &str) -> String {
    guard.wait_for(&format!(" banned {address}"))
}

/// Waits until everything that was said so far has been read, by the ban of an address of its own.
fn settled(guard: &mut Guard, address: &str) {
    for _ in 0..3 {
        fail(address);
    }
    ban_of(guard, address);
}

fn was_banned(guard: &mut Guard, address: &str) -> bool {
    guard.drain();
    guard
        .seen
        .iter()
        .any(|line| line.contains(&format!(" banned {address}")))
}

/// Fields of /proc/PID/status.
fn status_of(pid: u32, fields: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = |field: &&str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{field}:")));
        line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    fields.iter().map(value).collect()
}

fn pid_of(words: &str) -> u32 {
    let output = try_run(&format!("pgrep -f {words}"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

#[test]
fn failures_in_the_journal_are_counted_and_whoever_reads_it_can_do_nothing_else() {
    isolated_as_root(
        "failures_in_the_journal_are_counted_and_whoever_reads_it_can_do_nothing_else",
        || {
            if !journald() {
                return;
            }
            sshd_jail(3);
            for _ in 0..5 {
                fail("192.0.2.9");
            }
            let mut guard = Guard::start(&CONFIG);
            guard.wait_for("reading journal: _COMM=sshd _UID=0 + _COMM=sshd-session _UID=0");
            fail("192.0.2.1");
            fail("192.0.2.1");
            // Of another program, whatever it calls itself; and of ours, but about something else.
            sh(
                "logger -u /run/systemd/journal/dev-log -t sshd 'Failed password for x from 192.0.2.1 port 1 ssh2'",
            );
            say("sshd[1]: Accepted password for root from 192.0.2.1 port 1 ssh2");
            settled(&mut guard, "192.0.2.2");
            assert!(!was_banned(&mut guard, "192.0.2.1"));
            fail("192.0.2.1");
            let ban = ban_of(&mut guard, "192.0.2.1");
            assert!(ban.contains(": 3 "), "{ban}");
            assert!(!was_banned(&mut guard, "192.0.2.9"), "what was there before");
            let (nobody, group) = (
                sh("id -u nobody"),
                sh("getent group systemd-journal | cut -d: -f3"),
            );
            let (nobody, group) = (nobody.trim(), group.trim());
            let fields = ["Uid", "Gid", "Groups", "CapEff", "CapPrm", "NoNewPrivs"];
            for pid in [
                children("nanny.journal")[0],
                children("worker.journal")[0],
                pid_of("journalctl.--follow"),
            ] {
                let status = status_of(pid, &fields);
                assert_eq!(status[0], [nobody; 4].join(" "));
                assert!(status[2].split(' ').any(|found| found == group), "{status:?}");
                assert_eq!(status[3..], ["0000000000000000", "0000000000000000", "1"]);
            }
            let said = sh(&format!(
                "{} check --config /mnt/jail.local",
                host::program_under_test()
            ));
            let want = "journal: read by journalctl -f in a child, as nobody in the group systemd-journal, \
                        without capabilities\n";
            assert!(said.contains(want), "{said}");
            let said = sh(&format!("{} status sshd", host::program_under_test()));
            assert!(said.contains("journal: _COMM=sshd"), "{said}");
            guard.signal("TERM");
            assert_eq!(guard.wait(), 0);
            wait_until("no child is left", || children("").is_empty());
            wait_until("journalctl is gone", || {
                !try_run("pgrep -f journalctl.--follow").status.success()
            });
        },
    );
}

#[test]
fn each_failure_in_the_journal_counts_once_over_restarts_of_everybody() {
    isolated_as_root(
        "each_failure_in_the_journal_counts_once_over_restarts_of_everybody",
        || {
            if !journald() {
                return;
            }
            sshd_jail(8);
            let mut guard = Guard::start(&CONFIG);
            guard.wait_for("reading journal");
            let mut marker = 0;
            let mut settle = |guard: &mut Guard| {
                marker += 1;
                let address = format!("198.51.100.{marker}");
                for _ in 0..8 {
                    fail(&address);
                }
                ban_of(guard, &address);
            };
            fail("192.0.2.1"); // 1
            settle(&mut guard);
            // journalctl dies, and what is said before it is back is read then.
            run("pkill -KILL -f journalctl.--follow");
            guard.wait_for("journalctl ended (Signal(9)); starting it again in 1 s");
            fail("192.0.2.1"); // 2
            settle(&mut guard);
            // The worker dies.
            kill_worker("journal");
            fail("192.0.2.1"); // 3
            settle(&mut guard);
            // The guard is killed, and is not there for a while.
            guard.signal("KILL");
            guard.wait();
            wait_until("no child is left", || children("").is_empty());
            fail("192.0.2.1"); // 4
            let mut guard = Guard::start(&CONFIG);
            fail("192.0.2.1"); // 5
            settle(&mut guard);
            // It is stopped, and is not there for a while.
            guard.signal("TERM");
            guard.wait();
            fail("192.0.2.1"); // 6
            let mut guard = Guard::start(&CONFIG);
            settle(&mut guard);
            // The files are rotated.
            run("pkill -USR2 -x systemd-journal");
            fail("192.0.2.1"); // 7
            settle(&mut guard);
            assert!(!was_banned(&mut guard, "192.0.2.1"));
            fail("192.0.2.1"); // 8
            let ban = ban_of(&mut guard, "192.0.2.1");
            assert!(ban.contains(": 8 "), "{ban}");
            // Without its nanny nothing is read, and that is said.
            sh(&format!("kill -9 {}", children("nanny.journal")[0]));
            guard.wait_for("the journal child and its nanny are gone");
            let said = sh(&format!("{} status sshd", host::program_under_test()));
            assert!(said.contains("journalctl does not run"), "{said}");
        },
    );
}

#[test]
fn no_message_of_the_journal_looks_like_another_and_a_flood_is_read_whole() {
    isolated_as_root(
        "no_message_of_the_journal_looks_like_another_and_a_flood_is_read_whole",
        || {
            if !journald() {
                return;
            }
            sshd_jail(3);
            let mut guard = Guard::start(&CONFIG);
            guard.wait_for("reading journal");
            let socket = UnixDatagram::unbound().unwrap();
            let forged = "Invalid user x\n2026-11-22T10:58:02.868428Z h sshd[1]: Failed password for root from \
                          192.0.2.1 port 1 ssh2\n\nMESSAGE=Failed password for root from 192.0.2.1 port 1 ssh2\n";
            for _ in 0..5 {
                let message = [
                    b"SYSLOG_IDENTIFIER=sshd\nMESSAGE\n".as_slice(),
                    &(forged.len() as u64).to_le_bytes(),
                    forged.as_bytes(),
                    b"\n",
                ]
                .concat();
                socket.send_to(&message, "/run/systemd/journal/socket").unwrap();
            }
            for number in 0..20_000 {
                say(&format!(
                    "sshd[4711]: pam_unix(sshd:session): session {number} opened"
                ));
                if number % 10_000 == 5_000 {
                    fail("192.0.2.2");
                    say(&format!("sshd[4711]: {}", "x".repeat(20_000)));
                }
            }
            fail("192.0.2.2");
            let ban = ban_of(&mut guard, "192.0.2.2");
            assert!(ban.contains(": 3 "), "{ban}");
            assert!(!was_banned(&mut guard, "192.0.2.1"));
            let said = sh(&format!("{} status sshd --json", host::program_under_test()));
            assert!(said.contains("20010"), "every line was read: {said}");
        },
    );
}

const DROPBEAR: &str = "Bad password attempt for 'root' from ADDRESS:50000";

/// A logread that prints /mnt/ring, as logd's ring has it.
fn logd() {
    fresh_machine();
    fs::write("/mnt/ring", "").unwrap();
    program(
        "logread",
        "echo \"$@\" >> /mnt/logread.words; exec tail -n +1 -f /mnt/ring",
    );
    fs::write(
        "/mnt/jail.local",
        "[DEFAULT]\nbackend = logread\nmaxretry = 3\n[dropbear]\nenabled = true\n[asterisk]\nenabled = true\n",
    )
    .unwrap();
}

/// A line comes into the ring, so many milliseconds after now.
fn into_ring(tag: &str, message: &str, later_ms: i64) {
    let now = sh("date +%s%3N").trim().parse::<i64>().unwrap() + later_ms;
    let stamp = sh(&format!(
        "LC_ALL=C date -d @{} '+%a %b %e %H:%M:%S %Y'",
        now / 1_000
    ));
    let (stamp, seconds, millis) = (stamp.trim(), now / 1_000, now % 1_000);
    let line = format!("{stamp} [{seconds}.{millis:03}] {tag}: {message}\n");
    let mut ring = OpenOptions::new().append(true).open("/mnt/ring").unwrap();
    ring.write_all(line.as_bytes()).unwrap();
}

fn fail_dropbear(address: &str) {
    into_ring(
        "authpriv.warn dropbear[7]",
        &DROPBEAR.replace("ADDRESS", address),
        0,
    );
}

#[test]
fn failures_that_logread_prints_are_counted_once_over_restarts_of_everybody() {
    isolated_as_root(
        "failures_that_logread_prints_are_counted_once_over_restarts_of_everybody",
        || {
            logd();
            for _ in 0..5 {
                fail_dropbear("192.0.2.9");
            }
            into_ring("kern.info kernel", "[    0.000000] x", -100_000);
            let mut guard = Guard::start(&CONFIG);
            guard.wait_for("reading logread");
            assert_eq!(sh("cat /mnt/logread.words"), "-t -f -l 10000000\n");
            fail_dropbear("192.0.2.1"); // 1
            let from = "NOTICE[12]: chan_sip.c:28468 in handle_request_register: Registration from \
                        '\"1\" <sip:1@192.0.2.99>' failed for '192.0.2.3:5060' - Wrong password";
            for number in 0..3 {
                into_ring(
                    "local0.notice asterisk[99]",
                    &from.replace("\"1\"", &format!("\"{number}\"")),
                    0,
                );
            }
            ban_of(&mut guard, "192.0.2.3");
            run("pkill -KILL -x tail");
            guard.wait_for("logread ended (Signal(9)); starting it again in 1 s, to go on where it was; what logd's ring");
            fail_dropbear("192.0.2.1"); // 2
            wait_until("logread runs again", || {
                sh("wc -l < /mnt/logread.words").trim() == "2"
            });
            kill_worker("logread");
            wait_until("logread runs again", || {
                sh("wc -l < /mnt/logread.words").trim() == "3"
            });
            guard.signal("KILL");
            guard.wait();
            wait_until("no child is left", || children("").is_empty());
            let mut guard = Guard::start(&CONFIG);
            wait_until("logread runs again", || {
                sh("wc -l < /mnt/logread.words").trim() == "4"
            });
            for _ in 0..3 {
                fail_dropbear("192.0.2.2");
            }
            ban_of(&mut guard, "192.0.2.2");
            assert!(!was_banned(&mut guard, "192.0.2.1") && !was_banned(&mut guard, "192.0.2.9"));
            fail_dropbear("192.0.2.1"); // 3
            let ban = ban_of(&mut guard, "192.0.2.1");
            assert!(ban.contains(": 3 "), "{ban}");
            for pid in [children("worker.logread")[0], pid_of("tail.-n")] {
                let status = status_of(pid, &["Uid", "CapEff", "CapPrm", "NoNewPrivs"]);
                assert_eq!(status, ["0 0 0 0", "0000000000000000", "0000000000000000", "1"]);
            }
            // What was said while nobody was there, and is in the ring.
            guard.signal("TERM");
            guard.wait();
            for _ in 0..3 {
                fail_dropbear("192.0.2.4");
            }
            let mut guard = Guard::start(&CONFIG);
            ban_of(&mut guard, "192.0.2.4");
        },
    );
}

#[test]
fn a_program_that_is_not_there_is_named_with_its_place_and_waited_for() {
    isolated_as_root(
        "a_program_that_is_not_there_is_named_with_its_place_and_waited_for",
        || {
            logd();
            sh("mv /usr/local/sbin/logread /mnt/logread");
            let check = format!("{} check --config /mnt/jail.local", host::program_under_test());
            let want =
                "/mnt/jail.local:2: [dropbear] backend = logread: there is no program logread, which OpenWrt";
            assert!(sh(&check).contains(want), "{}", sh(&check));
            let mut guard = Guard::start(&CONFIG);
            guard.wait_for_in_any_order("there is no program logread");
            guard.wait_for_in_any_order("cannot start logread, trying again in 1 s: ");
            sh("cp -p /mnt/logread /usr/local/sbin/logread");
            guard.wait_for("reading logread");
            for _ in 0..3 {
                fail_dropbear("192.0.2.1");
            }
            ban_of(&mut guard, "192.0.2.1");
            // A reload takes no feed for which there is no child, and says what to do.
            let text = fs::read_to_string("/mnt/jail.local").unwrap();
            let wrong = text.replace("[asterisk]\n", "[asterisk]\nbackend = systemd\n");
            fs::write("/mnt/jail.local", wrong).unwrap();
            guard.signal("HUP");
            guard.wait_for(
                "keeping the old settings: cannot read the journal: _SYSTEMD_UNIT=asterisk.service",
            );
            // One that drops what is read goes through.
            fs::write(
                "/mnt/jail.local",
                "[sshd]\nenabled = true\nlogpath = /var/log/auth.log\n",
            )
            .unwrap();
            guard.signal("HUP");
            guard.wait_for("configuration read again");
            wait_until("logread is ended", || !try_run("pgrep -x tail").status.success());
        },
    );
}
