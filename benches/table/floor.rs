//! The least that the kernel lets any guard need: one addition to a set by netlink; a wake-up by inotify; a wake-up
//! followed by reading the line and one addition.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::kernel::{Kernel, Set};
use crate::measures::{Folder, say};
use crate::subjects::{SUBJECTS, run};

const ROUNDS: u32 = 500;
pub(crate) const WAITER: &str = "floor-waiter";

fn set(ipset: bool) -> Set {
    if ipset {
        run("ipset create floor hash:ip");
        return Set::Ipset("floor");
    }
    run("nft add table inet floor");
    run("nft add set inet floor floor { type ipv4_addr ; flags timeout ; }");
    Set::Nftables(1, "floor", "floor")
}

fn known(ipset: bool) -> Set {
    if ipset {
        Set::Ipset("floor")
    } else {
        Set::Nftables(1, "floor", "floor")
    }
}

fn member(number: u32) -> [u8; 4] {
    [14, 0, (number >> 8) as u8, number as u8]
}

pub(crate) fn measure(ipset: bool) {
    let folder = Folder::new();
    let kernel = Kernel::open(set(ipset));
    for number in 0..ROUNDS {
        let start = Instant::now();
        kernel.add(member(20_000 + number));
        say("one addition by netlink, µs", start.elapsed().as_secs_f64() * 1e6);
    }
    let path = folder.0.join("messages");
    let mut log = File::create(&path).unwrap();
    let mut waiter = Command::new("taskset")
        .args(["-c", "1"])
        .arg(std::env::current_exe().unwrap())
        .env(
            crate::INSIDE,
            format!("{WAITER} {}", if ipset { "ipset" } else { "nftables" }),
        )
        .env("SIPGUARD_BENCH_LOG", &path)
        .stdout(Stdio::inherit())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let line = SUBJECTS[0].line([192, 0, 2, 1]);
    for number in 0..ROUNDS {
        let address = member(number);
        // The address stands where the waiter looks for it: at the end.
        let [a, b, c, d] = address;
        let text = format!("{} {a}.{b}.{c}.{d}\n", line.trim_end());
        std::thread::sleep(Duration::from_millis(5));
        let start = Instant::now();
        log.write_all(text.as_bytes()).unwrap();
        while !kernel.holds(address) {
            assert!(start.elapsed() < Duration::from_secs(5));
        }
        say("reaction, µs", start.elapsed().as_secs_f64() * 1e6);
    }
    fs::write(folder.0.join("end"), "").unwrap();
    waiter.kill().unwrap();
    waiter.wait().unwrap();
}

/// Waits for lines and bans whom they name, as barely as it can be done.
pub(crate) fn wait(ipset: bool) {
    let path = std::env::var("SIPGUARD_BENCH_LOG").unwrap();
    let kernel = Kernel::open(known(ipset));
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
    inotify
        .add_watch(path.as_str(), AddWatchFlags::IN_MODIFY)
        .unwrap();
    let mut log = OpenOptions::new().read(true).open(&path).unwrap();
    log.seek(SeekFrom::End(0)).unwrap();
    let mut buffer = [0; 4096];
    loop {
        inotify.read_events().unwrap();
        let length = log.read(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        let Some(address) = text.split_whitespace().last() else {
            continue;
        };
        kernel.add(address.parse::<std::net::Ipv4Addr>().unwrap().octets());
    }
}
