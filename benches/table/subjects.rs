//! Who is measured: how each is set up, by its own documentation, to ban after two failures.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sipguard::sys::clock;
use sipguard::time::Wall;

use crate::kernel::Set;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Program {
    Sipguard,
    Fail2ban,
    Fail2banRs,
    Sshguard,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subject {
    pub(crate) program: Program,
    pub(crate) ipset: bool,
}

const fn subject(program: Program, ipset: bool) -> Subject {
    Subject { program, ipset }
}

pub(crate) const SUBJECTS: [Subject; 8] = [
    subject(Program::Sipguard, false),
    subject(Program::Sipguard, true),
    subject(Program::Fail2ban, false),
    subject(Program::Fail2ban, true),
    subject(Program::Fail2banRs, false),
    subject(Program::Fail2banRs, true),
    subject(Program::Sshguard, false),
    subject(Program::Sshguard, true),
];

/// A subject that runs.
pub(crate) struct Running {
    child: Child,
    log: File,
    pub(crate) subject: Subject,
}

impl Subject {
    pub(crate) fn name(self) -> String {
        let backend = if self.ipset { "ipset" } else { "nftables" };
        let program = match self.program {
            Program::Sipguard => "sipguard",
            Program::Fail2ban => "fail2ban",
            Program::Fail2banRs => "fail2ban-rs",
            Program::Sshguard => "sshguard",
        };
        format!("{program} {backend}")
    }

    pub(crate) fn named(name: &str) -> Subject {
        SUBJECTS
            .into_iter()
            .find(|subject| subject.name() == name)
            .unwrap()
    }

    pub(crate) fn set(self) -> Set {
        match (self.program, self.ipset) {
            (Program::Sipguard, false) => Set::Nftables(1, "sipguard", "asterisk4b"),
            (Program::Sipguard, true) => Set::Ipset("sipguard-asterisk4b"),
            (Program::Fail2ban, false) => Set::Nftables(1, "f2b-table", "addr-set-asterisk"),
            (Program::Fail2ban, true) | (Program::Fail2banRs, true) => Set::Ipset("f2b-asterisk"),
            (Program::Fail2banRs, false) => Set::Nftables(1, "fail2ban-rs", "f2b-asterisk"),
            (Program::Sshguard, false) => Set::Nftables(2, "sshguard", "attackers"),
            (Program::Sshguard, true) => Set::Ipset("sshguard4"),
        }
    }

    /// Why it is not here.
    pub(crate) fn absent(self) -> Option<&'static str> {
        let program = match self.program {
            Program::Sipguard => return None,
            Program::Fail2ban => PathBuf::from("/usr/bin/fail2ban-server"),
            Program::Fail2banRs => fail2ban_rs(),
            Program::Sshguard => PathBuf::from("/usr/sbin/sshguard"),
        };
        (!program.exists()).then_some("not installed")
    }

    /// Writes the configuration into `folder`.
    pub(crate) fn prepare(self, folder: &Path) {
        let (at, log) = (folder.display(), folder.join("messages"));
        File::create(&log).unwrap();
        let log = log.display();
        let jail = format!("maxretry = 2\nfindtime = 10m\nbantime = 1h\nlogpath = {log}\n");
        match self.program {
            Program::Sipguard => {
                let backend = if self.ipset { "ipset" } else { "nftables" };
                // A hundred thousand bans at once on evidence that may be forged would be taken for a flood.
                let text = format!(
                    "[DEFAULT]\nfirewall = {backend}\nfloodrate =\nonstop = remove\ndbfile = {at}/state/bans\nsocket = \
                     {at}/state/socket\n[asterisk]\nenabled = true\n{jail}\
                     action = iptables-allports[name=ASTERISK, protocol=all]\n"
                );
                fs::create_dir_all(folder.join("state")).unwrap();
                fs::write(folder.join("jail.local"), text).unwrap();
            }
            Program::Fail2ban => {
                // One action, where its own jail.conf has two for Asterisk, one a protocol.
                let action = if self.ipset {
                    "iptables-ipset[type=allports, name=asterisk, protocol=udp]"
                } else {
                    "nftables[type=allports, name=asterisk, protocol=udp]"
                };
                run(&format!("cp -r /etc/fail2ban {at}/fail2ban"));
                run(&format!("rm -rf {at}/fail2ban/jail.d"));
                let text = format!(
                    "[DEFAULT]\nbackend = auto\nusedns = no\n[asterisk]\nenabled = true\n\
                     {jail}action = {action}\n"
                );
                fs::write(folder.join("fail2ban/jail.local"), text).unwrap();
                let text = format!("[Definition]\ndbfile = {at}/fail2ban.sqlite3\nallowipv6 = auto\n");
                fs::write(folder.join("fail2ban/fail2ban.local"), text).unwrap();
            }
            Program::Fail2banRs => {
                let backend = if self.ipset { "ipset" } else { "nftables" };
                let large = if self.ipset {
                    "[jail.asterisk.backend.ipset]\nmaxelem = 200000\n".to_owned()
                } else {
                    format!("backend = \"{backend}\"\n")
                };
                let text = format!(
                    "[global]\nstate_file = \"{at}/state.bin\"\nsocket_path = \"{at}/socket\"\n[jail.asterisk]\n\
                     enabled = true\nlog_path = \"{log}\"\ndate_format = \"iso8601\"\nfilter = \
                     ['NOTICE.* chan_sip\\.c: Registration from .* failed for .<HOST>:\\d+. - Wrong password']\n\
                     port = [\"5060\"]\nprotocol = \"udp\"\nmax_retry = 2\nfind_time = \"10m\"\nban_time = \"1h\"\n{large}"
                );
                fs::write(folder.join("config.toml"), text).unwrap();
            }
            Program::Sshguard => {
                let backend = if self.ipset { "ipset" } else { "nft-sets" };
                let text = format!(
                    "BACKEND=/usr/libexec/sshguard/sshg-fw-{backend}\nFILES={log}\nTHRESHOLD=20\nBLOCK_TIME=3600\n\
                     DETECTION_TIME=600\nBLACKLIST_FILE=20:{at}/blacklist\n"
                );
                // It reads but this file; we are in a mount namespace of our own.
                fs::write(folder.join("sshguard.conf"), text).unwrap();
                run(&format!(
                    "mount --bind {at}/sshguard.conf /etc/sshguard/sshguard.conf"
                ));
            }
        }
    }

    /// Starts it on the second core.
    pub(crate) fn start(self, folder: &Path) -> Running {
        let at = folder.display();
        let line = match self.program {
            Program::Sipguard => {
                format!("{} run --config {at}/jail.local", sipguard())
            }
            Program::Fail2ban => format!(
                "fail2ban-server -f -x -c {at}/fail2ban -s {at}/socket -p {at}/pid --loglevel NOTICE --logtarget {at}/log start"
            ),
            Program::Fail2banRs => format!("{} -c {at}/config.toml run", fail2ban_rs().display()),
            Program::Sshguard => "sh /usr/sbin/sshguard".to_owned(),
        };
        let said = File::create(folder.join("said")).unwrap();
        let child = Command::new("taskset")
            .args(["-c", "1"])
            .args(line.split(' '))
            // sshguard ends its whole group.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let log = OpenOptions::new()
            .append(true)
            .open(folder.join("messages"))
            .unwrap();
        Running {
            child,
            log,
            subject: self,
        }
    }

    /// A failure of this address at this moment. sshguard knows no Asterisk: it gets sshd's.
    pub(crate) fn line(self, address: [u8; 4]) -> String {
        let address = Ipv4Addr::from(address);
        let stamp = stamp();
        if self.program == Program::Sshguard {
            return format!(
                "Nov 22 10:00:00 pbx sshd[123]: Failed password for root from {address} port 22 ssh2\n"
            );
        }
        format!(
            "[{stamp}] NOTICE[4279] chan_sip.c: Registration from '<sip:100@192.0.2.10>' failed for '{address}:5060' - Wrong password\n"
        )
    }
}

/// The local time, as Asterisk's `dateformat = %F %T` has it.
fn stamp() -> Wall {
    let utc = clock::utc().unwrap();
    Wall(utc.0 + i64::from(clock::zone().offset(utc)))
}

/// The static binary that `make bench` names, or Cargo's.
pub(crate) fn sipguard() -> String {
    std::env::var("SIPGUARD_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sipguard").to_owned())
}

/// Where `make bench` has Cargo install it.
fn fail2ban_rs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/fail2ban-rs")
}

impl Running {
    pub(crate) fn write(&mut self, text: &str) {
        self.log.write_all(text.as_bytes()).unwrap();
    }

    /// It and everything that it started.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut at = 0;
        while let Some(pid) = pids.get(at) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            pids.extend(
                children
                    .split_whitespace()
                    .map(|child| child.parse::<u32>().unwrap()),
            );
            at += 1;
        }
        pids
    }

    /// Ends it as its init script does.
    pub(crate) fn stop(mut self) {
        let pids = self.pids();
        run(&format!("kill -TERM {}", self.child.id()));
        let end = Instant::now() + Duration::from_secs(120);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "{} does not end", self.subject.name());
            std::thread::sleep(Duration::from_millis(10));
        }
        // sshguard leaves parts of itself behind when its shell is killed.
        for pid in pids.into_iter().skip(1) {
            let _ = Command::new("kill")
                .args(["-9", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

pub(crate) fn run(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let status = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{line}");
}
