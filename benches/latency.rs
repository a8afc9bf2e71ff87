//! Reaction: from the write of the deciding log line to the address in the kernel's set.
//!
//! `sipguard run` guards in a network namespace of its own. For each ban the clock starts right before the line
//! is written; then the set is asked for the element, over and over, until it is there. So what is measured
//! includes inotify, the reading, the decision, the kernel's work, and at most one question too many (some 3 µs).
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs
)]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use nix::unistd::Pid;

const BANS: u32 = 300;
const INSIDE: &str = "SIPGUARD_BENCH_INSIDE";

fn main() {
    if std::env::var_os(INSIDE).is_some() {
        for backend in ["nftables", "ipset"] {
            measure(backend);
        }
        return;
    }
    println!("reaction: from the write of the deciding line to the element in the set, {BANS} bans each");
    let status = Command::new("unshare")
        .args(["--map-root-user", "--user", "--net", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

fn measure(backend: &str) {
    let folder = std::env::temp_dir().join(format!("sipguard-latency-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (log, config) = (folder.join("messages"), folder.join("jail.local"));
    let mut file = OpenOptions::new().create(true).append(true).open(&log).unwrap();
    let text = format!(
        "[DEFAULT]\nfirewall = {backend}\n[asterisk]\nenabled = true\nlogpath = {}\nmaxretry = 2\nbantime = 1h\n\
         action = iptables-allports[name=ASTERISK, protocol=all]\n",
        log.display()
    );
    fs::write(&config, text).unwrap();
    // A core for each: who asks the kernel over and over must not keep the guard from waking up.
    let mut only = CpuSet::new();
    only.set(0).unwrap();
    sched_setaffinity(Pid::this(), &only).unwrap();
    let mut child = Command::new("taskset")
        .args(["-c", "1", env!("CARGO_BIN_EXE_sipguard")])
        .args(["run", "--config", config.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !lines.next().unwrap().unwrap().contains("reading ") {}
    std::thread::spawn(move || lines.for_each(drop));
    std::thread::sleep(Duration::from_millis(200));

    let idle = private_kib(child.id());
    let kernel = Kernel::open(backend);
    let mut times: Vec<Duration> = (0..BANS)
        .map(|number| react(&kernel, &mut file, number))
        .collect();
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    println!(
        "{backend:>10}: median {:6.0} µs, p99 {:6.0} µs, max {:6.0} µs",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!(
        "{:>10}  private memory: idle {idle} KiB, with the bans {} KiB",
        "",
        private_kib(child.id())
    );
    nix::sys::signal::kill(Pid::from_raw(child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
    child.wait().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// One attacker: a failure, a pause, and the failure that decides.
fn react(kernel: &Kernel, log: &mut File, number: u32) -> Duration {
    let address = [198, 18, (number >> 8) as u8, number as u8];
    let [a, b, c, d] = address;
    let line = format!(
        "[2026-11-22 12:42:47] NOTICE[4279] chan_sip.c: Registration from '<sip:100@192.0.2.10>' failed for \
         '{a}.{b}.{c}.{d}:5060' - Wrong password\n"
    );
    log.write_all(line.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    assert!(!kernel.holds(address), "one failure is no ban");
    let start = Instant::now();
    log.write_all(line.as_bytes()).unwrap();
    while !kernel.holds(address) {
        assert!(start.elapsed() < Duration::from_secs(5), "no ban of {address:?}");
    }
    start.elapsed()
}

/// Anonymous pages of a process: what it costs beside its file, which all processes share.
fn private_kib(pid: u32) -> u64 {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let of = |key: &str| -> u64 {
        let line = smaps.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    of("Anonymous:")
}

/// Asks the kernel about one element of the set `asterisk4`, in bytes written by hand (NFT_MSG_GETSETELEM, and
/// IPSET_CMD_TEST): the encoder under test has no part in it.
struct Kernel {
    socket: OwnedFd,
    nftables: bool,
}

impl Kernel {
    fn open(backend: &str) -> Kernel {
        let protocol = SockProtocol::NetlinkNetFilter;
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            protocol,
        )
        .unwrap();
        Kernel {
            socket,
            nftables: backend == "nftables",
        }
    }

    fn holds(&self, address: [u8; 4]) -> bool {
        const NESTED: u16 = 0x8000;
        const NET_ORDER: u16 = 0x4000;
        let (kind, family, attributes) = if self.nftables {
            let value = attribute(1, &address);
            let element = attribute(1 | NESTED, &attribute(1 | NESTED, &value));
            let all = [
                attribute(1, b"sipguard\0"),
                attribute(2, b"asterisk4\0"),
                attribute(3 | NESTED, &element),
            ];
            (10 << 8 | 13, 1, all.concat())
        } else {
            let ip = attribute(1 | NESTED, &attribute(1 | NET_ORDER, &address));
            let all = [
                attribute(1, &[6]),
                attribute(2, b"sipguard-asterisk4\0"),
                attribute(7 | NESTED, &ip),
            ];
            (6 << 8 | 11, 2, all.concat())
        };
        let mut message = Vec::new();
        message.extend((20 + attributes.len() as u32).to_ne_bytes());
        message.extend((kind as u16).to_ne_bytes());
        // NLM_F_REQUEST, and for ipset NLM_F_ACK.
        message.extend((if self.nftables { 1_u16 } else { 5 }).to_ne_bytes());
        message.extend([0; 8]);
        message.extend([family, 0, 0, 0]);
        message.extend(attributes);
        sendto(
            self.socket.as_raw_fd(),
            &message,
            &NetlinkAddr::new(0, 0),
            MsgFlags::empty(),
        )
        .unwrap();
        let mut answer = [0; 8192];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
        assert!(length >= 20);
        // NLMSG_ERROR is 2, and its number 0 is an acknowledgement.
        u16::from_ne_bytes([answer[4], answer[5]]) != 2 || answer[16..20] == [0; 4]
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
