//! Does the same jail.local bring the same bans as in fail2ban, for the same failures, at the same counts? Both run
//! beside each other on the same logs; where they differ, the reason stands here and in docs/fail2ban.md.
//!
//! Needs fail2ban (Debian: `apt-get install fail2ban`); without it the test says so and does nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    unreachable_pub
)]

#[path = "support/actions.rs"]
mod actions;
#[path = "support/host.rs"]
#[allow(dead_code, reason = "every test program uses another part of it")]
mod host;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actions::{fresh_machine, lines};
use host::{Guard, Log, wait_until, wrong_password};
use sipguard::sys::clock;
use sipguard::time::Wall;
use support::{isolated, run};

/// What both read. The action writes down what it is told.
const JAILS: &str = "
[DEFAULT]
ignoreip = 203.0.113.0/24 2001:db8:1::7
findtime = 10m
maxretry = 3
bantime = 1h
usedns = no
backend = polling
protocol = udp
port = 5060,5061
action = note[name=%(__name__)s]

[asterisk]
enabled = true
filter = asterisk
logpath = /var/log/asterisk/messages
maxretry = 3

[dropbear]
enabled = true
logpath = /var/log/auth.log

[pjsip]
enabled = true
filter = asterisk
logpath = /var/log/asterisk/pjsip
maxretry = 2

[window]
enabled = true
filter = asterisk
logpath = /var/log/asterisk/window
findtime = 4

[again]
enabled = true
filter = asterisk
logpath = /var/log/asterisk/again
maxretry = 1
bantime = 3

[longer]
enabled = true
filter = asterisk
logpath = /var/log/asterisk/longer
maxretry = 1
bantime = 3
bantime.increment = true

[sshd]
enabled = true
filter = sshd
logpath = /var/log/auth.log
port = ssh
protocol = tcp

[files]
enabled = true
filter = asterisk
logpath = /var/log/asterisk/one
          /var/log/asterisk/two
maxretry = 2
";

const JAIL_COUNT: usize = 8;

fn note(file: &str) -> String {
    format!(
        "[Definition]\nactionban = echo ban <name> <ip> <failures> $(date +%%s) <bantime> >>{file}\n\
         actionunban = echo unban <name> <ip> $(date +%%s) >>{file}\n[Init]\nname = default\n"
    )
}

/// A running fail2ban; ended when dropped.
struct Fail2ban(Child);

impl Fail2ban {
    /// `None`: there is none on this machine.
    fn start() -> Option<Fail2ban> {
        Command::new("fail2ban-server").arg("--version").output().ok()?;
        run("cp -r /etc/fail2ban /mnt/fail2ban");
        run("rm -rf /mnt/fail2ban/jail.d");
        fs::write("/mnt/fail2ban/jail.local", JAILS).unwrap();
        fs::write(
            "/mnt/fail2ban/fail2ban.local",
            "[Definition]\ndbfile = /mnt/fail2ban.sqlite3\n",
        )
        .unwrap();
        fs::write("/mnt/fail2ban/action.d/note.conf", note("/mnt/theirs")).unwrap();
        let words = "-f -x -c /mnt/fail2ban -s /mnt/fail2ban.sock -p /mnt/fail2ban.pid --loglevel INFO \
                     --logtarget /mnt/fail2ban.log start";
        let server = Command::new("fail2ban-server")
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let server = Fail2ban(server);
        wait_until("fail2ban has started all jails", || {
            lines("/mnt/fail2ban.log")
                .iter()
                .filter(|line| line.contains("Jail '") && line.contains("started"))
                .count()
                == JAIL_COUNT
        });
        Some(server)
    }
}

impl Drop for Fail2ban {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Local time as Asterisk writes it.
fn stamp() -> Wall {
    let utc = clock::utc().unwrap();
    Wall(utc.0 + i64::from(clock::zone().offset(utc)))
}

/// A refused REGISTER as res_pjsip writes it: another attempt for each `call`.
fn pjsip(address: &str, call: &str) -> String {
    format!(
        "[{}] NOTICE[4279] res_pjsip/pjsip_distributor.c: Request 'REGISTER' from '\"100\" <sip:100@192.0.2.10>' \
         failed for '{address}:5060' (callid: {call}) - No matching endpoint found",
        stamp()
    )
}

/// The same attempt as the security log has it.
fn security(address: &str, call: &str) -> String {
    format!(
        "[{}] SECURITY[4279] res_security_log.c: SecurityEvent=\"InvalidAccountID\",EventTV=\"2026-11-22T10:00:00.000+0000\",\
         Severity=\"Error\",Service=\"PJSIP\",EventVersion=\"1\",AccountID=\"100\",SessionID=\"{call}\",\
         LocalAddress=\"IPV4/UDP/192.0.2.10/5060\",RemoteAddress=\"IPV4/UDP/{address}/5060\"",
        stamp()
    )
}

/// Lines of syslog, by rsyslog's traditional stamp.
fn syslog(words: &str) -> String {
    let stamp = run("date +%b_%e_%T").trim().replace('_', " ");
    format!("{stamp} pbx {words}")
}

/// What was noted of bans, by jail and address: `+failures/seconds` and `-`, in order. In the jail whose bans become
/// longer, fail2ban tells how long one is before it knows: there what counts is when it ended.
fn noted(path: &str) -> BTreeMap<(String, String), Vec<String>> {
    let mut all = BTreeMap::<_, Vec<String>>::new();
    let mut banned = 0;
    for line in lines(path) {
        let words: Vec<&str> = line.split(' ').collect();
        let told = match words[..] {
            ["ban", "longer", _, failures, at, _] => {
                banned = at.parse::<u64>().unwrap();
                format!("+{failures}")
            }
            ["unban", "longer", _, at] => {
                let lasted = at.parse::<u64>().unwrap() - banned;
                (if lasted > 4 { "- after 6" } else { "- after 3" }).to_owned()
            }
            ["ban", _, _, failures, _, seconds] => format!("+{failures}/{seconds}"),
            ["unban", _, _, _] => "-".to_owned(),
            _ => panic!("{line:?}"),
        };
        all.entry((words[1].to_owned(), words[2].to_owned()))
            .or_default()
            .push(told);
    }
    all
}

struct Logs(BTreeMap<&'static str, Log>);

impl Logs {
    fn new() -> Logs {
        let names = ["messages", "pjsip", "window", "again", "longer", "one", "two"];
        let mut logs: BTreeMap<_, _> = names
            .map(|name| (name, Log::create(format!("/var/log/asterisk/{name}"))))
            .into();
        logs.insert("auth", Log::create("/var/log/auth.log"));
        Logs(logs)
    }

    fn line(&mut self, log: &str, line: &str) {
        self.0.get_mut(log).unwrap().line(line);
    }

    fn fail(&mut self, log: &str, address: &str, times: u32) {
        for _ in 0..times {
            self.line(log, &wrong_password(address));
        }
    }
}

/// Waits until both have noted something so often.
fn both(words: &str, times: usize) {
    for path in ["/mnt/theirs", "/mnt/ours"] {
        wait_until(&format!("{times} times {words:?} in {path}"), || {
            lines(path).iter().filter(|line| line.starts_with(words)).count() >= times
        });
    }
}

fn pause(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// Where we differ from fail2ban, and why: jail, source, what fail2ban did, what we do.
const DIFFERENCES: [(&str, &str, &[&str], &[&str]); 5] = [
    // Who has one IPv6 address has all of its /64 (`ipv6prefix = 128` for one address).
    ("asterisk", "2001:db8:2::7", &["+3/3600"], &[]),
    ("asterisk", "2001:db8:2::/64", &[], &["+3/3600"]),
    // So what comes from a /64 counts together.
    ("asterisk", "2001:db8:3::/64", &[], &["+3/3600"]),
    // Two lines about one attempt are one failure, in one log or in two.
    ("pjsip", "198.51.100.20", &["+2/3600"], &[]),
    ("files", "198.51.100.21", &["+2/3600"], &[]),
];

fn failures(logs: &mut Logs) {
    // Below maxretry, at it, and above it; in turns with somebody else; trusted sources.
    logs.fail("messages", "198.51.100.1", 2);
    logs.fail("messages", "198.51.100.2", 3);
    for _ in 0..3 {
        logs.fail("messages", "198.51.100.3", 1);
        logs.fail("messages", "198.51.100.4", 1);
    }
    logs.fail("messages", "203.0.113.9", 9);
    logs.fail("messages", "2001:db8:1::7", 9);
    logs.fail("messages", "2001:db8:2::7", 3);
    for host in 1..=3 {
        logs.fail("messages", &format!("2001:db8:3::{host}"), 1);
    }
    // No failure.
    let reachable = "NOTICE[1] chan_sip.c: Peer '100' is now Reachable. (9ms / 2000ms)";
    logs.line("messages", &format!("[{}] {reachable}", stamp()));
    // Other filters, other files.
    for call in ["a", "b"] {
        logs.line("pjsip", &pjsip("198.51.100.5", call));
        logs.line("pjsip", &security("198.51.100.12", call));
    }
    for port in 1024..1027 {
        let failed = "Failed password for root from 198.51.100.6 port";
        logs.line("auth", &syslog(&format!("sshd[{port}]: {failed} {port} ssh2")));
        let bad = "Bad password attempt for 'root' from 198.51.100.13";
        logs.line("auth", &syslog(&format!("dropbear[{port}]: {bad}:{port}")));
    }
    logs.line("one", &pjsip("198.51.100.7", "c"));
    logs.line("two", &pjsip("198.51.100.7", "d"));
    // One attempt, told twice.
    logs.line("pjsip", &pjsip("198.51.100.20", "e"));
    logs.line("pjsip", &security("198.51.100.20", "e"));
    logs.line("one", &pjsip("198.51.100.21", "f"));
    logs.line("two", &pjsip("198.51.100.21", "f"));
    // A victim's address in the attacker's words.
    for call in ["g", "h"] {
        let line = pjsip("198.51.100.22", call);
        let forged = "x' failed for '198.51.100.99:5060' (callid: z) - No matching endpoint found";
        logs.line("pjsip", &line.replace("\"100\"", &format!("\"{forged}\"")));
    }
}

#[test]
fn the_same_failures_bring_the_same_bans_as_in_fail2ban() {
    isolated("the_same_failures_bring_the_same_bans_as_in_fail2ban", || {
        fresh_machine();
        let mut logs = Logs::new();
        fs::write("/mnt/jail.local", JAILS).unwrap();
        fs::write("/mnt/action.d/note.conf", note("/mnt/ours")).unwrap();
        let Some(_theirs) = Fail2ban::start() else {
            eprintln!("SKIPPED: fail2ban is not installed; apt-get install fail2ban");
            return;
        };
        let _ours = Guard::start(&["--config", "/mnt/jail.local"]);
        failures(&mut logs);
        // A findtime that ends between two failures, and one that does not.
        logs.fail("window", "198.51.100.8", 2);
        logs.fail("window", "198.51.100.9", 2);
        logs.fail("again", "198.51.100.10", 1);
        logs.fail("longer", "198.51.100.11", 1);
        pause(1);
        logs.fail("window", "198.51.100.9", 1);
        both("ban window 198.51.100.9 ", 1);
        pause(6);
        logs.fail("window", "198.51.100.8", 1);
        // A ban that ended, and another one: as long as before, or longer.
        both("unban again", 1);
        both("unban longer", 1);
        logs.fail("again", "198.51.100.10", 1);
        logs.fail("longer", "198.51.100.11", 1);
        both("ban again", 2);
        both("ban longer", 2);
        both("unban again", 2);
        both("unban longer", 2);
        both("ban dropbear", 1);
        both("ban files", 1);
        let (mut theirs, mut ours) = (noted("/mnt/theirs"), noted("/mnt/ours"));
        for (jail, source, fail2ban, sipguard) in DIFFERENCES {
            let key = (jail.to_owned(), source.to_owned());
            assert_eq!(
                theirs.remove(&key).unwrap_or_default(),
                fail2ban,
                "{key:?} of fail2ban"
            );
            assert_eq!(ours.remove(&key).unwrap_or_default(), sipguard, "{key:?} of ours");
        }
        assert_eq!(theirs, ours);
        assert_eq!(ours.len(), 12, "{ours:?}");
    });
}
