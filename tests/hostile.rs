//! Does the program hold when somebody, or the machine around it, does its worst? `sipguard run` in a machine
//! of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[allow(dead_code, reason = "no packets are sent here")]
#[path = "support/host.rs"]
mod host;
mod support;

use std::fs;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command, Stdio};

use host::{Guard, Log, wait_until, wrong_password, wrong_password_before};
use support::{isolated, run, try_run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sipguard");
const MESSAGES: &str = "/var/log/asterisk/messages";

/// A machine of its own with a configuration, `more` below `[DEFAULT]` and `jail` in the jail; and its log.
fn machine(more: &str, jail: &str) -> Log {
    run("mount -t tmpfs tmpfs /var/log");
    run("mount -t tmpfs tmpfs /mnt");
    configure(more, jail);
    Log::create(MESSAGES)
}

fn configure(more: &str, jail: &str) {
    let text = format!(
        "[DEFAULT]\nonstop = remove\n{more}\n[asterisk]\nenabled = true\nfilter = asterisk\nlogpath = {MESSAGES}\n\
         maxretry = 2\n{jail}\n"
    );
    // All at once: a guard reads it at any time.
    fs::write("/mnt/next", text).unwrap();
    fs::rename("/mnt/next", "/mnt/jail.local").unwrap();
}

fn start() -> Guard {
    Guard::start(&["--config", "/mnt/jail.local"])
}

/// A guard whose log goes elsewhere; it is killed when the test is over, by its namespace.
fn start_with_log(log: impl Into<Stdio>) -> Child {
    Command::new(PROGRAM)
        .args(["run", "--config", "/mnt/jail.local"])
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn kernel_has(address: &str) -> bool {
    let shown = try_run("nft list table inet sipguard");
    String::from_utf8_lossy(&shown.stdout).contains(&format!(" {address} "))
}

/// Waits until the guard has read its configuration and made its table.
fn wait_for_table() {
    wait_until("the table is there", || {
        try_run("nft list table inet sipguard").status.success()
    });
}

#[test]
fn words_that_are_no_text_are_wrong_usage() {
    let output = Command::new(PROGRAM)
        .arg(std::ffi::OsStr::from_bytes(b"\xff"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text, "sipguard: a word of the command line is not UTF-8\n");
}

/// Bans although its own log goes nowhere, and ends when it is told.
fn guards_with_log(log: impl Into<Stdio>) {
    let mut messages = machine("", "");
    let mut guard = start_with_log(log);
    wait_for_table();
    for host in 0..3_000_u32 {
        let line = wrong_password(&format!("100.64.{}.{}", host >> 8, host & 255));
        messages.line(&format!("{line}\n{line}"));
    }
    wait_until("the last attacker is in the kernel", || {
        kernel_has("100.64.11.183")
    });
    run(&format!("kill -TERM {}", guard.id()));
    assert_eq!(guard.wait().unwrap().code(), Some(0));
    assert_eq!(run("nft list ruleset"), "");
}

#[test]
fn a_log_whose_reader_is_gone_does_not_end_the_guard() {
    isolated("a_log_whose_reader_is_gone_does_not_end_the_guard", || {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        guards_with_log(writer);
    });
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_the_guard() {
    isolated("a_log_that_nobody_reads_does_not_hold_the_guard", || {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        guards_with_log(writer);
        drop(reader);
    });
}

#[test]
fn a_log_on_a_full_disk_does_not_end_the_guard() {
    isolated("a_log_on_a_full_disk_does_not_end_the_guard", || {
        guards_with_log(File::options().write(true).open("/dev/full").unwrap());
    });
}

/// The kernel gives SIGHUP before SIGTERM: whoever sends one without end could keep it from ever stopping.
#[test]
fn to_stop_comes_before_to_reload() {
    isolated("to_stop_comes_before_to_reload", || {
        let _messages = machine("", "");
        let mut guard = start();
        for signal in ["STOP", "TERM", "HUP", "CONT"] {
            guard.signal(signal);
        }
        guard.wait_for("stopped");
        let reloads = guard.seen.iter().filter(|line| line.contains("read again"));
        assert_eq!(reloads.count(), 0, "{:?}", guard.seen);
        assert_eq!(guard.wait(), 0);
    });
}

#[test]
fn a_configuration_that_is_no_file_keeps_the_old_settings() {
    isolated("a_configuration_that_is_no_file_keeps_the_old_settings", || {
        let mut messages = machine("", "");
        let mut guard = start();
        for make in ["mkfifo", "mkdir", "ln -s /dev/zero", "ln -s jail.local"] {
            run("rm -rf /mnt/jail.local");
            run(&format!("{make} /mnt/jail.local"));
            guard.signal("HUP");
            guard.wait_for("keeping the old settings: cannot read /mnt/jail.local");
        }
        messages.fail("198.51.100.66");
        messages.fail("198.51.100.66");
        guard.wait_for(" banned 198.51.100.66");
    });
}

#[test]
fn a_list_of_resolvers_that_is_no_file_does_not_hold_the_guard() {
    isolated(
        "a_list_of_resolvers_that_is_no_file_does_not_hold_the_guard",
        || {
            let mut messages = machine("", "");
            run("mkfifo /mnt/fifo");
            run("mount --bind /mnt/fifo /etc/resolv.conf");
            let mut guard = start();
            messages.fail("198.51.100.66");
            messages.fail("198.51.100.66");
            guard.wait_for(" banned 198.51.100.66");
        },
    );
}

#[test]
fn rules_that_somebody_flushed_come_back_by_themselves() {
    isolated("rules_that_somebody_flushed_come_back_by_themselves", || {
        let mut messages = machine("firewall = ipset", "");
        let mut guard = start();
        messages.fail("198.51.100.66");
        messages.fail("198.51.100.66");
        guard.wait_for(" banned 198.51.100.66");
        let ours = || [run("iptables-legacy-save"), run("nft list ruleset")].concat();
        assert!(ours().contains("sipguard"), "{}", ours());
        for flush in ["-F", "-X"] {
            run(&format!("iptables-legacy -t raw {flush}"));
        }
        run("nft flush ruleset");
        guard.wait_for("somebody removed our firewall objects; they are back");
        assert!(ours().contains("sipguard"), "{}", ours());
        assert!(run("ipset list").contains("198.51.100.66"));
    });
}

/// A log that is restored, unpacked or mounted after the start holds what happened long ago.
#[test]
fn old_failures_in_a_file_that_comes_late_bring_no_ban() {
    isolated("old_failures_in_a_file_that_comes_late_bring_no_ban", || {
        drop(machine("", ""));
        fs::remove_file(MESSAGES).unwrap();
        let mut guard = start();
        let line = |host, ago| wrong_password_before(&format!("198.51.100.{host}"), ago) + "\n";
        let mut late = String::new();
        for (host, ago) in [
            (1, 90_000),
            (1, 80_000),
            (2, 660),
            (2, 650),
            (3, 300),
            (3, 10),
            (4, -7_200),
            (4, -7_200),
        ] {
            late += &line(host, ago);
        }
        fs::write("/var/log/late", late).unwrap();
        fs::rename("/var/log/late", MESSAGES).unwrap();
        guard.wait_for(" banned 198.51.100.4");
        // What arrives later counts by its arrival, whatever it says.
        let mut messages = Log::create(MESSAGES);
        messages.line(&(line(5, 90_000) + &line(5, 90_000)));
        guard.wait_for(" banned 198.51.100.5");
        let banned = guard.seen.iter().filter(|line| line.contains(" banned "));
        assert_eq!(banned.count(), 3, "{:?}", guard.seen);
    });
}

/// At boot a router has its addresses, gateway and resolvers only after a while.
#[test]
fn a_gateway_that_comes_after_the_start_is_not_cut_off() {
    isolated("a_gateway_that_comes_after_the_start_is_not_cut_off", || {
        let mut messages = machine("", "");
        let mut guard = start();
        run("ip link add wan0 type veth peer name wan1");
        run("ip link set wan0 up");
        run("ip addr add 198.51.100.1/24 dev wan0");
        run("ip route add default via 198.51.100.7");
        // At once: after the first look they are known.
        let lines = ["198.51.100.7", "198.51.100.1", "198.51.100.66"].map(|address| {
            let line = wrong_password(address);
            format!("{line}\n{line}")
        });
        messages.line(&lines.join("\n"));
        for words in [
            " banned 198.51.100.66",
            "unbanned 198.51.100.7:",
            "unbanned 198.51.100.1:",
        ] {
            guard.wait_for_in_any_order(words);
        }
        assert!(!kernel_has("198.51.100.7") && !kernel_has("198.51.100.1"));
        assert!(kernel_has("198.51.100.66"));
        // Soon after, there are others.
        run("ip addr add 203.0.113.1/24 dev lo");
        messages.fail("203.0.113.1");
        messages.fail("203.0.113.1");
        guard.wait_for("unbanned 203.0.113.1: it is the box's own address, gateway or resolver");
        messages.fail("203.0.113.1");
        messages.fail("203.0.113.1");
        messages.fail("198.51.100.67");
        messages.fail("198.51.100.67");
        guard.wait_for(" banned 198.51.100.67");
        let again = guard
            .seen
            .iter()
            .filter(|line| line.contains(" banned 203.0.113.1 "));
        assert_eq!(again.count(), 1, "{:?}", guard.seen);
    });
}

#[test]
fn the_log_counts_as_people_do_and_names_nothing_raw() {
    isolated("the_log_counts_as_people_do_and_names_nothing_raw", || {
        let mut messages = machine("", "");
        let text = fs::read_to_string("/mnt/jail.local").unwrap();
        let text = text.replace("maxretry = 2", "maxretry = 1");
        let text = text.replace(MESSAGES, &format!("{MESSAGES}\n /var/log/\x1b[31m"));
        fs::write("/mnt/jail.local", text).unwrap();
        let mut guard = start();
        guard.wait_for("jail asterisk: 1 failure in 10m bring a ban for 10m, read from /var/log/asterisk/messages /var/log/\\x1b[31m");
        messages.fail("198.51.100.66");
        guard.wait_for(" banned 198.51.100.66 for 10m: 1 failure in 0s");
        guard.signal("HUP");
        guard.wait_for("configuration read again: 1 jail");
        guard.signal("TERM");
        guard.wait_for("stopped; 1 ban lifted");
    });
}

#[test]
fn a_ban_that_ends_because_the_table_is_full_is_told() {
    isolated("a_ban_that_ends_because_the_table_is_full_is_told", || {
        let mut messages = machine("maxbans = 2", "");
        let mut guard = start();
        for host in 1..=3 {
            messages.fail(&format!("198.51.100.{host}"));
            messages.fail(&format!("198.51.100.{host}"));
        }
        guard.wait_for("the table is full (maxbans): 1 ban ended early to make room, last 198.51.100.1");
        wait_until("the kernel let go of it", || !kernel_has("198.51.100.1"));
    });
}

#[test]
fn bans_that_cannot_be_lifted_at_the_end_are_no_success() {
    isolated("bans_that_cannot_be_lifted_at_the_end_are_no_success", || {
        let _messages = machine("firewall = ipset", "");
        let guard = start();
        let lock = File::options().write(true).open("/run/xtables.lock").unwrap();
        let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
        guard.signal("TERM");
        assert_eq!(guard.wait(), 1);
        drop(lock);
    });
}
