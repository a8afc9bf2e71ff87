//! A storm of attackers against the real program: who did what, what the guard said, and what the kernel holds.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "every test program uses another part of it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::host::{Guard, Log, program_under_test, wrong_password};
use crate::random::Random;
use crate::support::{run, try_run};

pub const CONFIG: [&str; 2] = ["--config", "/mnt/jail.local"];
/// The log whose attackers are banned for a day.
pub const LONG: &str = "/var/log/asterisk/long";
/// The log whose attackers are banned for twenty minutes.
pub const SHORT: &str = "/var/log/asterisk/short";
pub const STATE: &str = "/var/lib/sipguard/bans";

/// A machine of its own with two jails, each with a log: `long` and `short`. Both ban at the second failure.
pub fn machine(backend: &str, more: &str) {
    run("mount -t tmpfs tmpfs /var/log");
    run("mount -t tmpfs tmpfs /mnt");
    configure(backend, more);
    fs::create_dir_all("/var/log/asterisk").unwrap();
    for path in [LONG, SHORT] {
        fs::write(path, "").unwrap();
    }
}

pub fn configure(backend: &str, more: &str) {
    let jail = |name: &str, path: &str, bantime: &str| {
        format!(
            "[{name}]\nenabled = true\nfilter = asterisk\nlogpath = {path}\nmaxretry = 2\nbantime = {bantime}\n\
             action = iptables-allports[protocol=all]\n"
        )
    };
    let text = format!(
        "[DEFAULT]\nfirewall = {backend}\n{more}\n{}{}",
        jail("long", LONG, "1d"),
        jail("short", SHORT, "20m")
    );
    fs::write("/mnt/next", text).unwrap();
    fs::rename("/mnt/next", "/mnt/jail.local").unwrap();
}

/// A table that the kernel does not protect, as on Linux before 6.9: the guard takes one that is there as it is.
pub fn make_table_plain() {
    fs::write("/mnt/osrelease", "5.15.167\n").unwrap();
    run("mount --bind /mnt/osrelease /proc/sys/kernel/osrelease");
    run("nft add table inet sipguard");
}

/// Who is banned where: `long 192.0.2.1` or `short 2001:db8:1:2::/64`.
pub type Bans = BTreeSet<String>;

/// What the kernel holds, as its programs show it.
pub fn in_kernel(backend: &str) -> Bans {
    let shown = if backend == "ipset" {
        run("ipset list")
    } else {
        let shown = try_run("nft list table inet sipguard");
        String::from_utf8_lossy(&shown.stdout).into_owned()
    };
    let (mut found, mut set) = (Bans::new(), String::new());
    for line in shown.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("set ").or(line.strip_prefix("Name: sipguard-")) {
            set = name.trim_end_matches(" {").to_owned();
            continue;
        }
        let line = line.trim_start_matches("elements = {");
        for element in line.split(',') {
            let Some(address) = element.split_whitespace().next() else {
                continue;
            };
            let address = address.trim_end_matches("/64");
            if address.parse::<std::net::IpAddr>().is_ok() {
                found.insert(ban_of(&set, address));
            }
        }
    }
    found
}

fn ban_of(set: &str, address: &str) -> String {
    let jail = set.trim_end_matches("net").trim_end_matches(['4', '6']);
    let suffix = if set.ends_with("net") { "/64" } else { "" };
    format!("{jail} {address}{suffix}")
}

/// The bans that the guard announced.
pub fn announced(lines: &[String]) -> Bans {
    let said = lines.iter().filter_map(|line| {
        let (_, rest) = line.split_once(" banned ")?;
        let jail = rest.split_once("jail=")?.1.split(' ').next()?;
        Some(format!("{jail} {}", rest.split(' ').next()?))
    });
    said.collect()
}

/// Bans are taken out of the kernel as a reboot does, with everything else of ours.
pub fn empty_kernel(backend: &str) {
    if backend == "ipset" {
        for tables in ["iptables-legacy", "ip6tables-legacy"] {
            run(&format!("{tables} -t raw -F"));
            run(&format!("{tables} -t raw -X"));
        }
        run("ipset destroy");
    } else {
        run("nft flush ruleset");
    }
    assert_eq!(in_kernel(backend), Bans::new());
}

/// What the running guard says of itself; waits until it guards.
pub fn status(words: &str) -> String {
    let output = Command::new(program_under_test())
        .args(["status", "--config", "/mnt/jail.local"])
        .args(words.split_whitespace())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Starts the guard, and waits until it has taken up what is known.
pub fn start() -> Guard {
    start_by(&[])
}

pub fn start_by(program: &[&str]) -> Guard {
    let mut guard = Guard::spawn_by(program, &CONFIG);
    guard.wait_for("guards with");
    // It answers when it has taken up its bans.
    status("");
    guard
}

/// The attackers so far: how often each failed.
pub struct Storm {
    logs: [Log; 2],
    pub failures: BTreeMap<String, u32>,
    next: u32,
    pub random: Random,
}

impl Storm {
    pub fn new(seed: u64) -> Storm {
        Storm {
            logs: [Log::create(LONG), Log::create(SHORT)],
            failures: BTreeMap::new(),
            next: 0,
            random: Random(seed),
        }
    }

    /// The logs, as they are named by now.
    pub fn reopen(&mut self) {
        self.logs = [Log::create(LONG), Log::create(SHORT)];
    }

    /// Lets newcomers be others than those of another storm.
    pub fn shift(&mut self, first: u32) {
        self.next = first;
    }

    /// One failure of somebody: the ban that a second one brings, and the address.
    pub fn once(&mut self, ban: &str, address: &str) {
        *self.failures.entry(ban.to_owned()).or_default() += 1;
        self.logs[usize::from(ban.starts_with("short"))].fail(address);
    }

    /// Somebody new: the ban, and the address.
    pub fn newcomer(&mut self) -> (usize, String, String) {
        self.next += 1;
        let jail = self.random.index(2);
        let number = self.next;
        let name = ["long", "short"][jail];
        let (address, net) = if self.random.below(4) == 0 {
            let net = format!("2001:db8:{:x}:{:x}::", number >> 12, (number & 0xfff) + 1);
            (format!("{net}77"), format!("{net}/64"))
        } else {
            let address = format!(
                "100.{}.{}.{}",
                64 + (number >> 16),
                number >> 8 & 255,
                number & 255
            );
            (address.clone(), address)
        };
        let net: ipnet::IpNet = net.parse().unwrap_or_else(|_| {
            let address: std::net::IpAddr = net.parse().unwrap();
            address.into()
        });
        let shown = if net.prefix_len() == 64 {
            net.to_string()
        } else {
            net.addr().to_string()
        };
        (jail, format!("{name} {shown}"), address)
    }

    /// Failures of so many newcomers, of whom one in five fails once only. A piece of the log is written at once.
    pub fn piece(&mut self, attackers: usize) {
        let mut text = [String::new(), String::new()];
        for _ in 0..attackers {
            let (jail, ban, address) = self.newcomer();
            let times = if self.random.below(5) == 0 { 1 } else { 2 };
            for _ in 0..times {
                text[jail] += &(wrong_password(&address) + "\n");
            }
            self.failures.insert(ban, times);
        }
        for (log, text) in self.logs.iter_mut().zip(text) {
            log.line(text.trim_end_matches('\n'));
        }
    }

    /// Newcomers in the jail `short`, IPv4 only, who fail twice.
    pub fn short_piece(&mut self, attackers: usize) {
        let mut text = String::new();
        for _ in 0..attackers {
            self.next += 1;
            let address = format!(
                "100.{}.{}.{}",
                64 + (self.next >> 16),
                self.next >> 8 & 255,
                self.next & 255
            );
            let line = wrong_password(&address);
            text += &format!("{line}\n{line}\n");
            self.failures.insert(format!("short {address}"), 2);
        }
        self.logs[1].line(text.trim_end_matches('\n'));
    }

    /// One more failure of everybody who failed once.
    pub fn second_failures(&mut self) {
        let once: Vec<String> = self
            .failures
            .iter()
            .filter(|(_, times)| **times == 1)
            .map(|(ban, _)| ban.clone())
            .collect();
        for ban in once {
            let (jail, net) = ban.split_once(' ').unwrap();
            let address = net.replace("::/64", "::77");
            self.logs[usize::from(jail == "short")].fail(&address);
            self.failures.insert(ban, 2);
        }
    }

    /// Who is to be banned by now.
    pub fn guilty(&self) -> Bans {
        let twice = self.failures.iter().filter(|(_, times)| **times >= 2);
        twice.map(|(ban, _)| ban.clone()).collect()
    }
}

/// Forgets all that outlives the guard.
pub fn forget_state() {
    if Path::new("/var/lib/sipguard").exists() {
        fs::remove_dir_all("/var/lib/sipguard").unwrap();
    }
}
