//! Does the control socket do what it is asked, by whom it may be asked, and hold when somebody does his worst?
//! `sipguard run` and its subcommands in a machine of their own.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "support/bans.rs"]
mod bans;
#[path = "support/host.rs"]
#[allow(dead_code, reason = "no packets are sent here")]
mod host;
mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bans::{Listed, check_time, listed};
use host::{Guard, Log, wait_until, wrong_password};
use sipguard::config::Backend;
use support::{isolated, isolated_as_root, run, try_run};
use tinyjson::JsonValue;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sipguard");
const MESSAGES: &str = "/var/log/asterisk/messages";
const SOCKET: &str = "/run/sipguard/sipguard.sock";

/// A machine of its own with a configuration, `more` below `[DEFAULT]`; and its log.
fn machine(more: &str) -> Log {
    run("mount -t tmpfs tmpfs /var/log");
    run("mount -t tmpfs tmpfs /mnt");
    configure(more);
    Log::create(MESSAGES)
}

fn configure(more: &str) {
    let text = format!("[DEFAULT]\n{more}\n[asterisk]\nenabled = true\nlogpath = {MESSAGES}\nmaxretry = 2\n");
    fs::write("/mnt/jail.local", text).unwrap();
}

fn start() -> Guard {
    Guard::start(&["--config", "/mnt/jail.local"])
}

fn kernel_has(address: &str) -> bool {
    listed(Backend::Nftables, "asterisk4", address) != Listed::Absent
}

/// What a subcommand says: exit code, standard output, standard error.
fn sipguard(line: &str) -> (i32, String, String) {
    said(Command::new(PROGRAM).args(line.split(' ')))
}

fn said(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

/// The subcommand says this, on standard output if it is done.
#[track_caller]
fn check(line: &str, code: i32, want: &str) {
    let want = match code {
        0 => (code, want.to_owned(), String::new()),
        _ => (code, String::new(), format!("sipguard: {want}")),
    };
    assert_eq!(sipguard(line), want, "{line}");
}

fn connect() -> UnixStream {
    let stream = UnixStream::connect(SOCKET).unwrap();
    stream.set_read_timeout(Some(host::PATIENCE)).unwrap();
    stream
}

/// All that the guard answers, until it closes.
fn answer(mut stream: UnixStream) -> String {
    let mut bytes = Vec::new();
    // Who is turned away before he has asked is reset behind the answer.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

fn ask(request: &[u8]) -> String {
    let mut stream = connect();
    let _ = stream.write_all(request);
    answer(stream)
}

/// An attacker is banned within seconds, whatever goes on.
#[track_caller]
fn guards_on(messages: &mut Log, address: &str) {
    let began = Instant::now();
    messages.fail(address);
    messages.fail(address);
    wait_until("the attacker is banned", || kernel_has(address));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

fn bans_by_hand(backend: Backend) {
    let _messages = machine(&format!("bantime = 2h\nfirewall = {}", backend.name()));
    let mut guard = start();
    check("ban 192.0.2.1", 0, "banned 192.0.2.1 for 2h\n");
    check_time(backend, "asterisk4", "192.0.2.1", 7_200);
    check(
        "ban 192.0.2.1 2001:db8::1 2001:db8:1:2::/64 --jail asterisk --for 10m",
        0,
        "banned 192.0.2.1 for 10m\nbanned 2001:db8::1 for 10m\nbanned 2001:db8:1:2::/64 for 10m\n",
    );
    check_time(backend, "asterisk4", "192.0.2.1", 600);
    check_time(backend, "asterisk6", "2001:db8::1", 600);
    check_time(backend, "asterisk6net", "2001:db8:1:2::", 600);
    guard.wait_for("banned 192.0.2.1 for 10m by hand (uid 0) jail=asterisk");

    check("unban 192.0.2.1", 0, "unbanned 192.0.2.1 jail=asterisk\n");
    assert_eq!(listed(backend, "asterisk4", "192.0.2.1"), Listed::Absent);
    check("unban 192.0.2.1", 1, "192.0.2.1 is not banned\n");
    check(
        "unban 2001:db8:1:2::77 --jail asterisk",
        0,
        "unbanned 2001:db8:1:2::/64 jail=asterisk\n",
    );
    assert_eq!(listed(backend, "asterisk6net", "2001:db8:1:2::"), Listed::Absent);
    check(
        "ban 192.0.2.7 192.0.2.8 --for -1",
        0,
        "banned 192.0.2.7 for ever\nbanned 192.0.2.8 for ever\n",
    );
    assert_eq!(listed(backend, "asterisk4", "192.0.2.8"), Listed::ForEver);
    check("unban --all", 0, "3 bans lifted\n");
    assert_eq!(listed(backend, "asterisk4", "192.0.2.8"), Listed::Absent);
    check("unban --all --jail asterisk", 1, "nobody is banned\n");
    guard.signal("TERM");
    assert_eq!(guard.wait(), 0);
    assert!(!Path::new(SOCKET).exists());
}

#[test]
fn bans_by_hand_are_in_the_kernel_when_it_is_said_by_nftables() {
    isolated(
        "bans_by_hand_are_in_the_kernel_when_it_is_said_by_nftables",
        || {
            bans_by_hand(Backend::Nftables);
        },
    );
}

#[test]
fn bans_by_hand_are_in_the_kernel_when_it_is_said_by_ipset() {
    isolated("bans_by_hand_are_in_the_kernel_when_it_is_said_by_ipset", || {
        bans_by_hand(Backend::Ipset);
    });
}

#[test]
fn what_is_never_banned_is_refused_without_force() {
    isolated("what_is_never_banned_is_refused_without_force", || {
        let _messages = machine("ignoreip = 198.51.100.0/24");
        let _guard = start();
        let forced = "--force bans it all the same\n";
        for (address, why) in [
            (
                "198.51.100.7",
                format!("it is in ignoreip of jail asterisk; {forced}"),
            ),
            (
                "127.0.0.1",
                format!("no remote host has such an address; {forced}"),
            ),
            (
                "224.0.0.1",
                format!("no remote host has such an address; {forced}"),
            ),
            (
                "203.0.113.0/24",
                "the kernel's sets hold single addresses, and of IPv6 networks of /64 (ipv6prefix)\n"
                    .to_owned(),
            ),
        ] {
            check(
                &format!("ban {address}"),
                1,
                &format!("{address} is not banned: {why}"),
            );
        }
        run("ip addr add 203.0.113.1/24 dev lo");
        // Addresses that came after the start are known, too, some seconds later.
        wait_until("our own address is known", || {
            let refused = sipguard("ban 203.0.113.1").0 == 1;
            sipguard("unban 203.0.113.1");
            refused
        });
        check("ban 198.51.100.7 --force", 0, "banned 198.51.100.7 for 10m\n");
        assert!(kernel_has("198.51.100.7"));
    });
}

#[test]
fn several_jails_have_to_be_told_apart() {
    isolated("several_jails_have_to_be_told_apart", || {
        let _messages = machine("[sshd]\nenabled = true");
        let _guard = start();
        check(
            "ban 192.0.2.1",
            2,
            "name a jail with --jail; there is: sshd, asterisk\n",
        );
        check(
            "ban 192.0.2.1 --jail mail",
            1,
            "there is no jail mail; there is: sshd, asterisk\n",
        );
        check("ban 192.0.2.1 --jail sshd", 0, "banned 192.0.2.1 for 10m\n");
        check("ban 192.0.2.1 --jail asterisk", 0, "banned 192.0.2.1 for 10m\n");
        check("unban 192.0.2.1 --jail sshd", 0, "unbanned 192.0.2.1 jail=sshd\n");
        assert!(kernel_has("192.0.2.1"));
        check(
            "status mail",
            1,
            "there is no jail mail; there is: sshd, asterisk\n",
        );
    });
}

#[test]
fn wrong_words_are_wrong_usage_with_or_without_a_guard() {
    for words in [
        "ban",
        "ban host.example",
        "ban 192.0.2.1 --for soon",
        "unban",
        "unban --all 192.0.2.1",
        "unban 1.2.3",
        "status a b",
        "status -x",
        "reload now",
    ] {
        let (code, out, why) = sipguard(words);
        assert_eq!((code, out.as_str()), (2, ""), "{words}: {why}");
    }
}

#[test]
fn without_a_guard_nothing_is_done() {
    isolated("without_a_guard_nothing_is_done", || {
        let none = format!(
            "sipguard is not running; nobody listens at {SOCKET}: No such file or directory (os error 2)\n"
        );
        for words in [
            "status",
            "status --json",
            "ban 192.0.2.1",
            "unban --all",
            "reload",
        ] {
            check(words, 1, &none);
        }
        machine("socket = /mnt/x.sock");
        let (_, _, why) = sipguard("status --config /mnt/jail.local");
        assert!(why.contains("nobody listens at /mnt/x.sock"), "{why}");
        assert_eq!(sipguard("version").0, 0);
    });
}

#[test]
fn status_shows_files_failures_and_bans_to_people_and_to_programs() {
    isolated(
        "status_shows_files_failures_and_bans_to_people_and_to_programs",
        || {
            let mut messages = machine("socket = /mnt/deep/s.sock");
            let mut guard = start();
            messages.fail("198.51.100.1");
            messages.fail("198.51.100.1");
            messages.fail("198.51.100.2");
            guard.wait_for("banned 198.51.100.1");
            let at = "--socket /mnt/deep/s.sock";
            let (code, text, _) = sipguard(&format!("status {at}"));
            assert_eq!(code, 0);
            let size = fs::metadata(MESSAGES).unwrap().size();
            for part in [
                "nftables, all bans in force\n",
                "bans      1 of 131072\n",
                "failures  1 of 4096 in the ring\n",
                ", 127.0.0.1",
                "jail asterisk: 1 ban in force\n",
                &format!("log       {MESSAGES}  read to byte {size}\n"),
                "failures  3 counted, 1 source in the ring\n",
                "bans      1 since the start, next to end: 198.51.100.1 in ",
            ] {
                assert!(text.contains(part), "{part} in\n{text}");
            }
            let (code, text, _) = sipguard("status asterisk --config /mnt/jail.local");
            assert_eq!(code, 0);
            let line = text
                .lines()
                .find(|line| line.starts_with("198.51.100.1 "))
                .unwrap();
            assert!(line.ends_with("  blind"), "{line}");

            let (_, json, _) = sipguard(&format!("status asterisk --json {at}"));
            let all: JsonValue = json.parse().unwrap();
            let is = |value: &JsonValue, want: f64| assert_eq!(value.get(), Some(&want), "{json}");
            is(&all["pid"], guard.pid().into());
            assert_eq!(all["in_sync"].get(), Some(&true));
            let jail = &all["jails"][0];
            is(&jail["files"][0]["offset"], size as f64);
            is(&jail["failures"], 3.0);
            assert_eq!(jail["banned"][0]["addr"].get(), Some(&"198.51.100.1".to_owned()));
            let (_, json, _) = sipguard(&format!("status --json {at}"));
            let all: JsonValue = json.parse().unwrap();
            is(&all["bans"], 1.0);
        },
    );
}

/// Somebody's own elements fill the set up: it is made larger, and the ban is in force when the answer says so.
#[test]
fn a_ban_by_hand_finds_room_in_a_set_that_others_filled() {
    isolated("a_ban_by_hand_finds_room_in_a_set_that_others_filled", || {
        let _messages = machine("firewall = ipset\nmaxbans = 2");
        let _guard = start();
        // It answers when it has taken over what the kernel held before.
        assert!(sipguard("status").1.contains("all bans in force"));
        let stranger = |number: u32| {
            format!(
                "ipset add sipguard-asterisk4 10.9.{}.{}",
                number / 250,
                number % 250
            )
        };
        let strangers = (0..).take_while(|&number| try_run(&stranger(number)).status.success());
        assert!(strangers.count() > 0);
        check("ban 192.0.2.1", 0, "banned 192.0.2.1 for 10m\n");
        assert!(run("ipset list sipguard-asterisk4").contains("192.0.2.1 "));
        assert!(sipguard("status").1.contains("ipset, all bans in force"));
    });
}

#[test]
fn a_reload_says_what_changed_or_what_is_wrong() {
    isolated("a_reload_says_what_changed_or_what_is_wrong", || {
        let _messages = machine("");
        let mut guard = start();
        check("reload", 0, "configuration read again; nothing changed\n");
        configure("bantime = -1\nfindtime = 1h\nring = 128\n[sshd]\nenabled = true\n");
        let said = "configuration read again:\n  added jail sshd\n  jail asterisk: findtime, bantime\n  all jails: ring\n";
        check("reload", 0, said);
        guard.wait_for("configuration read again: 2 jails; added jail sshd; jail asterisk: findtime, bantime; all jails: ring");
        check("ban 192.0.2.1 --jail sshd", 0, "banned 192.0.2.1 for ever\n");
        configure("bantimes = 1h");
        let (code, _, why) = sipguard("reload");
        assert_eq!(code, 2);
        assert!(
            why.starts_with("sipguard: keeping the old settings: /mnt/jail.local:2:1: there is no key \"bantimes\"; did you mean bantime?\n"),
            "{why}"
        );
        guard.wait_for("keeping the old settings: /mnt/jail.local:2:1");
        configure("");
        let said = "configuration read again:\n  removed jail sshd\n  jail asterisk: findtime, bantime\n  all jails: ring\n  bans that ended: 1\n";
        check("reload", 0, said);
        guard.signal("HUP");
        guard.wait_for("configuration read again: 1 jail; nothing changed");
    });
}

#[test]
fn a_dead_guards_socket_is_replaced_and_a_living_one_is_not() {
    isolated("a_dead_guards_socket_is_replaced_and_a_living_one_is_not", || {
        let _messages = machine("");
        let first = start();
        assert_eq!(fs::metadata(SOCKET).unwrap().permissions().mode() & 0o777, 0o660);
        check(
            "run --config /mnt/jail.local",
            1,
            &format!("cannot listen on {SOCKET}: sipguard is running already\n"),
        );
        assert_eq!(sipguard("status").0, 0, "the first one guards on");
        first.signal("KILL");
        assert_eq!(first.wait(), -1);
        assert!(Path::new(SOCKET).exists());
        let (code, _, why) = sipguard("status");
        assert!(code == 1 && why.contains("Connection refused"), "{why}");
        let second = start();
        assert_eq!(sipguard("status").0, 0);
        // Somebody else's socket is there when it ends.
        fs::remove_file(SOCKET).unwrap();
        fs::write(SOCKET, "").unwrap();
        second.signal("TERM");
        assert_eq!(second.wait(), 0);
        assert!(Path::new(SOCKET).exists());
    });
}

#[test]
fn without_a_socket_the_guard_guards_on_and_says_so_once() {
    isolated("without_a_socket_the_guard_guards_on_and_says_so_once", || {
        let mut messages = machine("socket = /mnt/ro/dir/s.sock");
        run("mkdir /mnt/ro");
        run("mount -t tmpfs -o ro tmpfs /mnt/ro");
        let mut guard = start();
        let line = guard.seen.first().unwrap();
        assert!(
            line.contains(
                "cannot listen on /mnt/ro/dir/s.sock: Read-only file system (os error 30); status, ban"
            ),
            "{line}"
        );
        guards_on(&mut messages, "198.51.100.1");
        let seen = guard.drain();
        assert_eq!(seen.iter().filter(|line| line.contains("s.sock")).count(), 1);
    });
}

#[test]
fn clients_that_say_nothing_or_too_much_disturb_nobody() {
    isolated("clients_that_say_nothing_or_too_much_disturb_nobody", || {
        let mut messages = machine("");
        let _guard = start();
        assert_eq!(ask(b"status\xff\n"), "2\nthe request is not UTF-8\n\0");
        assert_eq!(ask(b"\n"), "2\nnot understood: \"\"\n\0");
        assert_eq!(ask(b"make coffee\x1b[2J\n"), "2\nnot understood: \"make\"\n\0");
        assert_eq!(ask(&vec![b'x'; 1 << 20]), "2\nthe request is too long\n\0");
        assert_eq!(
            ask(b"unban --all\nban 192.0.2.1\n"),
            "1\nnobody is banned\n\0",
            "one request a connection"
        );
        guards_on(&mut messages, "198.51.100.1");
        // A request that ends without its newline may lack something, and is none.
        let stream = connect();
        (&stream).write_all(b"unban 198.51.100.1").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(answer(stream), "");
        assert!(kernel_has("198.51.100.1"));
        // Half-closed is no hurry to go.
        let stream = connect();
        (&stream).write_all(b"status\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(answer(stream).ends_with("\n\0"));

        let began = Instant::now();
        let mut slow = connect();
        let silent: Vec<UnixStream> = (0..7).map(|_| connect()).collect();
        guards_on(&mut messages, "198.51.100.2");
        wait_until("they are eight", || {
            ask(b"status\n").starts_with("1\ntoo many clients")
        });
        check("status", 1, "too many clients at once; try again\n");
        // A byte now and then gives no more time.
        while slow.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
            assert!(began.elapsed() < host::PATIENCE, "it is never closed");
        }
        for stream in silent {
            assert_eq!(answer(stream), "");
        }
        assert!(began.elapsed() > Duration::from_secs(8), "they had their time");
        assert_eq!(sipguard("status").0, 0);
        guards_on(&mut messages, "198.51.100.3");
    });
}

#[test]
fn clients_that_do_not_read_or_go_away_disturb_nobody() {
    isolated("clients_that_do_not_read_or_go_away_disturb_nobody", || {
        let mut messages = machine("bantime = 1d");
        let guard = start();
        let mut storm = String::new();
        for host in 0..20_000_u32 {
            let line = wrong_password(&format!("100.64.{}.{}", host >> 8, host & 255));
            storm += &format!("{line}\n{line}\n");
        }
        messages.line(storm.trim_end());
        wait_until("all are banned", || {
            sipguard("status")
                .1
                .contains("jail asterisk: 20000 bans in force")
        });
        let memory = || {
            let status = fs::read_to_string(format!("/proc/{}/status", guard.pid())).unwrap();
            let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let before = memory();
        let unread: Vec<UnixStream> = (0..7)
            .map(|_| {
                let mut stream = connect();
                stream.write_all(b"status asterisk --json\n").unwrap();
                stream
            })
            .collect();
        guards_on(&mut messages, "198.51.100.1");
        let (code, list, _) = sipguard("status asterisk");
        assert_eq!(code, 0);
        assert_eq!(
            list.lines().filter(|line| line.ends_with("  blind")).count(),
            20_001
        );
        for _ in 0..200 {
            let mut stream = connect();
            let _ = stream.write_all(b"status asterisk\n");
            let _ = stream.read(&mut [0; 100]);
        }
        assert!(memory() < before + 1_024, "{before} KiB, then {}", memory());
        guards_on(&mut messages, "198.51.100.2");
        let crowd: Vec<UnixStream> = (0..200).map(|_| connect()).collect();
        guards_on(&mut messages, "198.51.100.3");
        drop(crowd);
        // Who read nothing for ten seconds was let go, in the middle of the list.
        for stream in unread {
            wait_until("the guard lets go", || {
                stream.set_nonblocking(true).unwrap();
                std::thread::sleep(Duration::from_secs(2));
                (&stream).write(b"x").is_err()
            });
            let cut = answer(stream);
            assert!(cut.starts_with("0\n{") && !cut.ends_with('\0'));
        }
        wait_until("there is room again", || sipguard("status").0 == 0);
        check("unban --all", 0, "20003 bans lifted\n");
        assert!(!kernel_has("100.64.0.1"));
        guards_on(&mut messages, "198.51.100.4");
    });
}

#[test]
fn who_asks_a_guard_that_does_not_answer_is_told_so() {
    isolated("who_asks_a_guard_that_does_not_answer_is_told_so", || {
        let _messages = machine("");
        let guard = start();
        guard.signal("STOP");
        check(
            "status",
            1,
            &format!("cannot ask sipguard at {SOCKET}: no answer in time\n"),
        );
        guard.signal("CONT");
        assert_eq!(sipguard("status").0, 0);
    });
}

/// The same words from another user, with these groups.
fn as_user(uid: u32, groups: &str, line: &str) -> (i32, String, String) {
    said(
        Command::new("setpriv")
            .args([
                &format!("--reuid={uid}"),
                "--regid=7777",
                &format!("--groups={groups}"),
            ])
            .arg("/mnt/sipguard")
            .args(line.split(' ')),
    )
}

#[test]
fn only_root_and_the_group_of_the_socket_change_something() {
    isolated_as_root("only_root_and_the_group_of_the_socket_change_something", || {
        let _messages = machine("");
        let mut guard = start();
        fs::copy(PROGRAM, "/mnt/sipguard").unwrap();
        let (code, _, why) = as_user(1_001, "7777", "status");
        assert_eq!(code, 1);
        assert_eq!(
            why,
            format!("sipguard: cannot ask sipguard at {SOCKET}: Permission denied (os error 13)\n")
        );
        run(&format!("chown root:4242 {SOCKET}"));
        assert_eq!(as_user(1_001, "4242", "status").0, 0);
        let banned = (0, "banned 192.0.2.1 for 10m\n".to_owned(), String::new());
        assert_eq!(as_user(1_001, "4242", "ban 192.0.2.1"), banned);
        guard.wait_for("banned 192.0.2.1 for 10m by hand (uid 1001)");
        // The administrator may let everybody look.
        run(&format!("chmod 666 {SOCKET}"));
        assert_eq!(as_user(1_002, "7777", "status asterisk").0, 0);
        let refused = "sipguard: not allowed: only root, and the owner and the group of the socket, may change something\n";
        for line in ["ban 192.0.2.2", "unban 192.0.2.1", "unban --all", "reload"] {
            assert_eq!(
                as_user(1_002, "7777", line),
                (1, String::new(), refused.to_owned())
            );
        }
        assert!(kernel_has("192.0.2.1"));
        assert_eq!(sipguard("unban --all").0, 0);
    });
}
