//! What is the guard left with when it guards (rule R8), and is it enough? `sipguard run` as the machine's root, in
//! namespaces of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    unreachable_pub
)]

#[path = "support/host.rs"]
#[allow(dead_code, reason = "every test program uses another part of it")]
mod host;
mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use host::{Guard, Log, wait_until};
use support::{isolated, isolated_as_root, run, try_run};

const ASTERISK: u32 = 117;
const ADM: u32 = 4;
const NOBODY: u32 = 65534;
const MESSAGES: &str = "/var/log/asterisk/messages";
const CONFIG: &str = "/mnt/jail.local";

/// A machine with an Asterisk that has not logged yet, and these further users.
fn fresh_machine(users: &str) {
    for directory in ["/var/log", "/mnt", "/var/lib"] {
        run(&format!("mount -t tmpfs -o mode=755 tmpfs {directory}"));
    }
    let files = [
        (
            "passwd",
            format!("root:x:0:0::/:/bin/sh\nnobody:x:{NOBODY}:{NOBODY}::/:/bin/false\n{users}"),
        ),
        (
            "group",
            format!("root:x:0:\nadm:x:{ADM}:\nasterisk:x:{ASTERISK}:\n"),
        ),
    ];
    for (name, text) in files {
        fs::write(format!("/mnt/{name}"), text).unwrap();
        run(&format!("mount --bind /mnt/{name} /etc/{name}"));
    }
}

/// A log as Asterisk makes it: in a directory and with a group that are its own.
fn asterisks_log(path: &str) -> Log {
    let log = Log::create(path);
    let directory = Path::new(path).parent().unwrap();
    for (path, mode) in [(directory, 0o750), (Path::new(path), 0o640)] {
        give(path, ASTERISK, ASTERISK, mode);
    }
    log
}

fn give(path: impl AsRef<Path>, uid: u32, gid: u32, mode: u32) {
    chown(path.as_ref(), Some(uid), Some(gid)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn config(all: &str, jail: &str) {
    let maxretry = if jail.contains("maxretry") {
        ""
    } else {
        "maxretry = 1"
    };
    let text = format!(
        "[DEFAULT]\nonstop = remove\n{all}\n{maxretry}\n[asterisk]\nenabled = true\nlogpath = {MESSAGES}\n{jail}\n"
    );
    fs::write(CONFIG, text).unwrap();
}

/// Starts the guard and returns what it says it is left with.
fn start(by: &[&str]) -> (Guard, String) {
    let mut guard = Guard::spawn_by(by, &["--config", CONFIG]);
    let line = guard.wait_for("runs as");
    (guard, line.split_once("] ").unwrap().1.to_owned())
}

/// A field of the guard's /proc/PID/status, its words one blank apart.
fn status(guard: &Guard, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", guard.pid())).unwrap();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let words: Vec<&str> = found.unwrap().split_whitespace().collect();
    words.join(" ")
}

#[track_caller]
fn assert_status(guard: &Guard, fields: &[(&str, &str)]) {
    for (field, want) in fields {
        assert_eq!(status(guard, field), *want, "{field}");
    }
}

const NET_ADMIN: &str = "0000000000001000";
const NET_ADMIN_AND_READ_ALL: &str = "0000000000001004";
const NONE: &str = "0000000000000000";
const CONFINED: [(&str, &str); 2] = [("NoNewPrivs", "1"), ("Seccomp", "2")];

fn capabilities(all: &str) -> [(&str, &str); 5] {
    [
        ("CapPrm", all),
        ("CapEff", all),
        ("CapBnd", all),
        ("CapInh", NONE),
        ("CapAmb", NONE),
    ]
}

/// Everything of ours in the kernel, as the programs show it.
fn ours() -> String {
    [
        "nft list ruleset",
        "ipset list",
        "iptables-legacy-save",
        "ip6tables-legacy-save",
    ]
    .map(run)
    .concat()
}

/// Rotates Asterisk's log as it does itself.
fn rotate(number: u32) -> Log {
    fs::rename(MESSAGES, format!("{MESSAGES}.{number}")).unwrap();
    asterisks_log(MESSAGES)
}

/// A life after the start as nobody: bans, rotation, reload, stop.
fn lives_as_nobody(backend: &str) {
    fresh_machine("");
    let mut log = asterisks_log(MESSAGES);
    config(&format!("firewall = {backend}"), "");
    let (mut guard, line) = start(&[]);
    assert_eq!(
        line,
        "runs as nobody with net_admin, groups asterisk, seccomp, landlock"
    );
    let nobody = format!("{NOBODY} {NOBODY} {NOBODY} {NOBODY}");
    assert_status(
        &guard,
        &[
            ("Uid", &nobody),
            ("Gid", &nobody),
            ("Groups", &ASTERISK.to_string()),
        ],
    );
    assert_status(&guard, &capabilities(NET_ADMIN));
    assert_status(&guard, &CONFINED);
    assert_eq!(
        fs::metadata(format!("/proc/{}/environ", guard.pid()))
            .unwrap()
            .uid(),
        0,
        "no dumps"
    );
    let limits = fs::read_to_string(format!("/proc/{}/limits", guard.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");

    log.fail("198.51.100.1");
    guard.wait_for(" banned 198.51.100.1");
    log = rotate(1);
    log.fail("198.51.100.2");
    guard.wait_for(" banned 198.51.100.2");
    assert!(ours().contains("198.51.100.1") && ours().contains("198.51.100.2"));

    // Another jail, so the sets are made anew; and a log in another directory of Asterisk's.
    config(
        &format!("firewall = {backend}"),
        "[late]\nenabled = true\nfilter = asterisk\nlogpath = /var/log/asterisk/late/messages\nport = 5060",
    );
    let mut late = asterisks_log("/var/log/asterisk/late/messages");
    guard.signal("HUP");
    guard.wait_for("configuration read again: 2 jails");
    late.fail("198.51.100.3");
    guard.wait_for(" banned 198.51.100.3");
    log.fail("198.51.100.4");
    guard.wait_for(" banned 198.51.100.4");
    assert!(ours().contains("198.51.100.1") && ours().contains("198.51.100.3"));

    guard.signal("TERM");
    guard.wait_for("stopped; 4 bans lifted");
    assert_eq!(guard.wait(), 0);
    assert!(!ours().contains("sipguard"), "{}", ours());
}

#[test]
fn a_day_as_nobody_with_nftables() {
    isolated_as_root("a_day_as_nobody_with_nftables", || lives_as_nobody("nftables"));
}

#[test]
fn a_day_as_nobody_with_ipset() {
    isolated_as_root("a_day_as_nobody_with_ipset", || lives_as_nobody("ipset"));
}

/// Holds iptables' lock until it is dropped.
struct Holder(Child);

impl Holder {
    fn new() -> Holder {
        let mut flock = Command::new("flock");
        flock.args(["/run/xtables.lock", "sh", "-c", "echo; exec sleep 60"]);
        let mut child = flock.stdout(Stdio::piped()).spawn().unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut byte).unwrap();
        Holder(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = try_run(&format!("pkill -P {}", self.0.id()));
        let _ = self.0.wait();
    }
}

#[test]
fn rules_that_are_flushed_come_back_under_the_lock_that_only_root_can_open() {
    let name = "rules_that_are_flushed_come_back_under_the_lock_that_only_root_can_open";
    isolated_as_root(name, || {
        fresh_machine("");
        let mut log = asterisks_log(MESSAGES);
        config("firewall = ipset", "");
        let (mut guard, _) = start(&[]);
        log.fail("198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
        assert_eq!(fs::metadata("/run/xtables.lock").unwrap().uid(), 0);
        run("iptables-legacy -t raw -F");
        let holder = Holder::new();
        guard.wait_for("another program is at it and holds /run/xtables.lock");
        drop(holder);
        guard.wait_for("they are back, 1 ban to follow");
        assert!(run("iptables-legacy-save").contains("sipguard"));
        assert!(run("ipset list").contains("198.51.100.1"));
        guard.signal("TERM");
        assert_eq!(guard.wait(), 0);
        assert!(!ours().contains("sipguard"), "{}", ours());
    });
}

#[test]
fn a_log_for_root_alone_keeps_the_capability_and_that_is_said() {
    let name = "a_log_for_root_alone_keeps_the_capability_and_that_is_said";
    isolated_as_root(name, || {
        fresh_machine("");
        let mut log = Log::create(MESSAGES);
        give(MESSAGES, 0, 0, 0o600);
        config("", "");
        let check = run(&format!(
            "{} check --config {CONFIG}",
            env!("CARGO_BIN_EXE_sipguard")
        ));
        let (mut guard, line) = start(&[]);
        assert_eq!(
            line,
            "runs as nobody with net_admin dac_read_search, seccomp, landlock"
        );
        let why = format!(
            "dac_read_search is kept: {MESSAGES} is root:root 0600; let a group other than root read it"
        );
        guard.wait_for(&why);
        assert!(check.contains(&why), "{check}");
        assert_status(&guard, &capabilities(NET_ADMIN_AND_READ_ALL));
        assert_status(&guard, &[("Groups", "")]);
        fs::rename(MESSAGES, format!("{MESSAGES}.1")).unwrap();
        drop(log);
        log = Log::create(MESSAGES);
        give(MESSAGES, 0, 0, 0o600);
        log.fail("198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
        drop(guard);

        // Who does not want that is told what it costs.
        config("readlogs = groups", "");
        let (mut guard, line) = start(&[]);
        assert_eq!(line, "runs as nobody with net_admin, seccomp, landlock");
        guard.wait_for(&format!(
            "WARN  [sipguard] some file cannot be read: {MESSAGES} is root:root 0600"
        ));
    });
}

#[test]
fn a_log_that_comes_later_can_be_read_whosever_it_is() {
    isolated_as_root("a_log_that_comes_later_can_be_read_whosever_it_is", || {
        fresh_machine("");
        config("", "");
        let (mut guard, line) = start(&[]);
        assert_eq!(
            line,
            "runs as nobody with net_admin dac_read_search, seccomp, landlock"
        );
        guard.wait_for("messages is not there yet");
        asterisks_log(MESSAGES).fail("198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
    });
}

#[test]
fn an_access_list_that_locks_us_out_is_found_by_trying() {
    isolated_as_root("an_access_list_that_locks_us_out_is_found_by_trying", || {
        fresh_machine("");
        let mut log = asterisks_log(MESSAGES);
        give(MESSAGES, ASTERISK, ASTERISK, 0o644);
        let set = Command::new("setfacl")
            .args(["-m", "u:nobody:-", MESSAGES])
            .status();
        if !set.is_ok_and(|status| status.success()) {
            return println!("left out: no setfacl, or no access lists here");
        }
        config("", "");
        let (mut guard, line) = start(&[]);
        assert_eq!(
            line,
            "runs as nobody with net_admin dac_read_search, groups asterisk, seccomp, landlock"
        );
        guard.wait_for("look for an access list");
        log.fail("198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
    });
}

#[test]
fn the_configuration_can_be_read_again_and_the_user_is_the_one_that_was_named() {
    let name = "the_configuration_can_be_read_again_and_the_user_is_the_one_that_was_named";
    isolated_as_root(name, || {
        fresh_machine("sipguard:x:901:902::/:/bin/false\nguard:x:903:904::/:/bin/false\n");
        let mut log = asterisks_log(MESSAGES);
        config("", "");
        // What the group of the user may read needs nothing more.
        give(CONFIG, 0, 902, 0o640);
        let (guard, line) = start(&[]);
        assert_eq!(
            line,
            "runs as sipguard with net_admin, groups asterisk, seccomp, landlock"
        );
        assert_status(&guard, &[("Uid", "901 901 901 901"), ("Gid", "902 902 902 902")]);
        drop(guard);

        config("user = guard", "");
        give(CONFIG, 0, 0, 0o600);
        let (mut guard, line) = start(&[]);
        assert_eq!(
            line,
            "runs as guard with net_admin dac_read_search, seccomp, landlock"
        );
        guard.wait_for(&format!("{CONFIG} is root:root 0600"));
        config("user = another", "maxretry = 2");
        guard.signal("HUP");
        guard.wait_for("user and readlogs are as at the start");
        guard.wait_for("configuration read again");
        log.fail("198.51.100.1");
        log.fail("198.51.100.1");
        guard.wait_for(" banned 198.51.100.1 for 10m: 2 ");
        drop(guard);

        config("user = absent", "");
        let mut guard = Guard::spawn(&["--config", CONFIG]);
        guard.wait_for("/etc/passwd has no user absent: sipguard is taken");
        guard.wait_for("runs as sipguard");
    });
}

#[test]
fn a_reload_that_names_a_log_that_cannot_be_read_is_told() {
    isolated_as_root("a_reload_that_names_a_log_that_cannot_be_read_is_told", || {
        fresh_machine("");
        drop(asterisks_log(MESSAGES));
        config("", "");
        let (mut guard, _) = start(&[]);
        drop(Log::create("/var/log/secret"));
        give("/var/log/secret", 0, ADM, 0o640);
        config(
            "",
            "[late]\nenabled = true\nfilter = asterisk\nlogpath = /var/log/secret",
        );
        guard.signal("HUP");
        guard.wait_for("start sipguard anew, so that it can read this: /var/log/secret is root:adm 0640");
        guard.wait_for("configuration read again: 2 jails");
    });
}

#[test]
fn the_state_directory_is_handed_over_and_nothing_else() {
    isolated_as_root("the_state_directory_is_handed_over_and_nothing_else", || {
        fresh_machine("");
        drop(asterisks_log(MESSAGES));
        config("dbfile = /var/lib/sipguard/bans", "");
        let state = Path::new("/var/lib/sipguard");
        fs::create_dir(state).unwrap();
        fs::write(state.join("bans"), "").unwrap();
        fs::write("/var/lib/secret", "").unwrap();
        fs::hard_link("/var/lib/secret", state.join("linked")).unwrap();
        std::os::unix::fs::symlink("/var/lib/secret", state.join("pointed")).unwrap();
        let (guard, _) = start(&[]);
        let uid = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        assert_eq!(uid(state), NOBODY);
        assert_eq!(uid(&state.join("bans")), NOBODY);
        assert_eq!(uid(Path::new("/var/lib/secret")), 0);
        assert_eq!(uid(Path::new("/var/lib")), 0);
        drop(guard);
    });
}

/// procd's way: another user, with the capability as an ambient one.
#[test]
fn who_is_not_root_stays_who_it_is() {
    isolated_as_root("who_is_not_root_stays_who_it_is", || {
        fresh_machine("sip:x:905:906::/:/bin/false\n");
        let mut log = asterisks_log(MESSAGES);
        give("/var/log/asterisk", 0, 0, 0o755);
        give(MESSAGES, 905, 906, 0o600);
        config("", "");
        let by =
            "setpriv --reuid 905 --regid 906 --clear-groups --inh-caps +net_admin --ambient-caps +net_admin";
        let (mut guard, line) = start(&by.split(' ').collect::<Vec<_>>());
        assert_eq!(line, "runs as sip with net_admin, seccomp, landlock");
        let [permitted, effective, _, inheritable, ambient] = capabilities(NET_ADMIN);
        assert_status(
            &guard,
            &[
                ("Uid", "905 905 905 905"),
                permitted,
                effective,
                inheritable,
                ambient,
            ],
        );
        assert_status(&guard, &CONFINED);
        log.fail("198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
    });
}

/// As in a container that may not change users: it is said, and everything else is done.
#[test]
fn what_cannot_be_given_up_is_said_and_the_rest_is() {
    isolated("what_cannot_be_given_up_is_said_and_the_rest_is", || {
        run("mount -t tmpfs tmpfs /var/log");
        run("mount -t tmpfs tmpfs /mnt");
        let mut log = Log::create(MESSAGES);
        config("", "");
        let (mut guard, line) = start(&[]);
        assert_eq!(line, "runs as root with net_admin, seccomp, landlock");
        assert!(
            guard
                .seen
                .iter()
                .any(|line| line.contains("WARN") && line.contains("cannot become user "))
        );
        assert_status(&guard, &capabilities(NET_ADMIN));
        assert_status(&guard, &CONFINED);
        log.fail("198.51.100.1");
        guard.wait_for(" banned 198.51.100.1");
    });
}

/// The whole life of a guard under strace(1): after the filter is in force, no call is refused by it.
fn needs_no_more(backend: &str) {
    fresh_machine("");
    let mut log = asterisks_log(MESSAGES);
    config(&format!("firewall = {backend}"), "bantime = 2");
    let trace = "/mnt/trace";
    let (mut guard, _) = start(&["strace", "-D", "-o", trace]);
    log.fail("198.51.100.1");
    guard.wait_for(" banned 198.51.100.1");
    guard.wait_for("unbanned 198.51.100.1");
    log = rotate(1);
    log.fail("2001:db8::1");
    guard.wait_for(" banned 2001:db8::/64");
    run("nft flush ruleset");
    let _ = try_run("iptables-legacy -t raw -F");
    if backend == "ipset" {
        guard.wait_for("they are back");
    }
    config(&format!("firewall = {backend}"), "port = 5060\nprotocol = udp");
    guard.signal("HUP");
    guard.wait_for("configuration read again");
    fs::write(CONFIG, "[asterisk]\nenabled = maybe\n").unwrap();
    guard.signal("HUP");
    guard.wait_for("keeping the old settings");
    log.fail("198.51.100.2");
    guard.wait_for(" banned 198.51.100.2");
    guard.signal("TERM");
    guard.wait_for("stopped");
    let ended = || {
        fs::read_to_string(trace)
            .unwrap()
            .contains("+++ exited with 0 +++")
    };
    wait_until("it ends", ended);
    let text = fs::read_to_string(trace).unwrap();
    let (_, after) = text
        .split_once("seccomp(SECCOMP_SET_MODE_FILTER")
        .expect("the filter is seen");
    assert!(after.lines().count() > 100, "{after}");
    let refused: Vec<&str> = after.lines().filter(|line| line.contains("= -1 EPERM")).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn the_filter_refuses_nothing_that_a_guard_with_nftables_does() {
    isolated_as_root(
        "the_filter_refuses_nothing_that_a_guard_with_nftables_does",
        || {
            needs_no_more("nftables");
        },
    );
}

#[test]
fn the_filter_refuses_nothing_that_a_guard_with_ipset_does() {
    isolated_as_root("the_filter_refuses_nothing_that_a_guard_with_ipset_does", || {
        needs_no_more("ipset");
    });
}

#[test]
fn check_says_what_will_be_given_up() {
    isolated_as_root("check_says_what_will_be_given_up", || {
        fresh_machine("");
        drop(asterisks_log(MESSAGES));
        config("", "");
        let shown = run(&format!(
            "{} check --config {CONFIG}",
            env!("CARGO_BIN_EXE_sipguard")
        ));
        for line in [
            "privileges: user      nobody\n",
            "privileges: groups    asterisk\n",
            "privileges: keeps     net_admin\n",
            "kernel: seccomp   yes\n",
            "kernel: landlock  yes, version ",
        ] {
            assert!(shown.contains(line), "{line}:\n{shown}");
        }
    });
}
