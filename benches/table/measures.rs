//! What is measured of one subject, in a network namespace of its own. Results go to standard output, a line each:
//! measure, value, or `!` and why there is none.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::kernel::Kernel;
use crate::subjects::{Running, Subject};

/// Bans whose reaction is measured.
const BANS: u32 = 200;
/// A peer that needs longer for a whole measure is not waited for.
const PATIENCE: Duration = Duration::from_secs(40);
/// The slow ones take half a second for each of [`BANS`].
const REACTION_PATIENCE: Duration = Duration::from_secs(150);
const IDLE_SECONDS: u64 = 15;

/// Attackers of one network that nobody has.
#[derive(Clone, Copy)]
struct Crowd {
    network: u8,
    size: u32,
}

/// They come one after the other: 10,000 bans, then 100,000.
const CROWDS: [Crowd; 2] = [
    Crowd {
        network: 11,
        size: 10_000,
    },
    Crowd {
        network: 12,
        size: 90_000,
    },
];

fn total(crowds: &[Crowd]) -> u32 {
    crowds.iter().map(|crowd| crowd.size).sum()
}

/// The folder of a subject's files, away from the disk.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let folder = PathBuf::from(format!("/dev/shm/sipguard-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn say(measure: &str, value: f64) {
    println!("{measure}\t{value}");
}

fn cannot(measure: &str, why: &str) {
    println!("{measure}\t!{why}");
}

/// Number `index` of a network: different addresses.
fn member(network: u8, index: u32) -> [u8; 4] {
    [network, (index >> 16) as u8, (index >> 8) as u8, index as u8]
}

pub(crate) fn measure(subject: Subject) {
    let folder = Folder::new();
    subject.prepare(&folder.0);
    let mut running = subject.start(&folder.0);
    let Some(kernel) = warm_up(&mut running) else {
        return cannot("reaction", &complaint(&folder.0));
    };
    idle(&running);
    say("memory idle, KiB", f64::from(private_kib(&running)));
    reaction(&mut running, &kernel);
    for count in 1..=CROWDS.len() {
        let crowds = &CROWDS[..count];
        if !come(&mut running, &kernel, CROWDS[count - 1]) {
            break;
        }
        let kib = f64::from(private_kib(&running));
        say(&format!("memory with {} bans, KiB", total(crowds)), kib);
        running = restart(running, &folder.0, &kernel, crowds);
    }
    drop(running);
}

/// Makes it ban until it does: then it has opened its log, and its set is there.
fn warm_up(running: &mut Running) -> Option<Kernel> {
    let kernel = Kernel::open(running.subject.set());
    let began = Instant::now();
    for number in 0.. {
        let address = member(10, number);
        let line = running.subject.line(address);
        running.write(&line);
        running.write(&line);
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(2) {
            if kernel.holds(address) {
                std::thread::sleep(Duration::from_secs(2));
                return Some(kernel);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        if began.elapsed() > Duration::from_secs(30) {
            break;
        }
    }
    None
}

fn complaint(folder: &Path) -> String {
    let said = fs::read_to_string(folder.join("said")).unwrap_or_default();
    let last = said.lines().last().unwrap_or_default();
    format!("bans nobody here: {last}")
}

/// From the write of the deciding line to the element in the set, one attacker at a time.
fn reaction(running: &mut Running, kernel: &Kernel) {
    let began = Instant::now();
    for number in 0..BANS {
        let address = member(13, number);
        let line = running.subject.line(address);
        running.write(&line);
        std::thread::sleep(Duration::from_millis(5));
        let start = Instant::now();
        running.write(&line);
        while !kernel.holds(address) {
            assert!(start.elapsed() < Duration::from_secs(20), "no ban of {address:?}");
        }
        say("reaction, µs", start.elapsed().as_secs_f64() * 1e6);
        if began.elapsed() > REACTION_PATIENCE {
            break;
        }
    }
}

/// Many attackers cross the line at once. Whether all of them were banned.
fn come(running: &mut Running, kernel: &Kernel, crowd: Crowd) -> bool {
    let mut text = String::new();
    // A thousand at a time: our ring remembers 4,096 failures unless it is told otherwise.
    for first in (0..crowd.size).step_by(1000) {
        for _ in 0..2 {
            for number in first..first + 1000 {
                text += &running.subject.line(member(crowd.network, number));
            }
        }
    }
    let before = cpu_seconds(running);
    let start = Instant::now();
    running.write(&text);
    let measure = format!("{} attackers at once", crowd.size);
    match wait_for(kernel, &[crowd], start) {
        Ok(took) => {
            say(&format!("{measure}, ms"), took.as_secs_f64() * 1e3);
            let used = cpu_seconds(running) - before;
            say(&format!("{measure}, CPU ms"), used * 1e3);
            true
        }
        Err(banned) => {
            let seconds = PATIENCE.as_secs();
            cannot(
                &format!("{measure}, ms"),
                &format!("{banned} of them in {seconds} s"),
            );
            false
        }
    }
}

/// Waits until all are banned, or for as long as it makes sense: how long it took, or how many are.
fn wait_for(kernel: &Kernel, crowds: &[Crowd], start: Instant) -> Result<Duration, usize> {
    let all = || {
        crowds
            .iter()
            .flat_map(|crowd| (0..crowd.size).map(|number| member(crowd.network, number)))
    };
    let wait = |address| {
        while !kernel.holds(address) {
            if start.elapsed() > PATIENCE {
                return false;
            }
        }
        true
    };
    // Who asks for each of them has the kernel busy for longer than the guard does: first some, and when these are
    // there, outside the time, all.
    if all().skip(99).step_by(100).all(wait) {
        let took = start.elapsed();
        if all().all(|address| kernel.holds(address)) {
            return Ok(took);
        }
        if all().all(wait) {
            return Ok(start.elapsed());
        }
    }
    Err(all().filter(|&address| kernel.holds(address)).count())
}

/// Stops and starts it: until all are banned again.
fn restart(running: Running, folder: &Path, kernel: &Kernel, crowds: &[Crowd]) -> Running {
    let subject = running.subject;
    running.stop();
    let kept = kernel.holds(member(crowds[0].network, 0));
    let measure = format!("restart with {} bans, ms", total(crowds));
    let start = Instant::now();
    let running = subject.start(folder);
    if kept {
        cannot(&measure, "leaves its bans in the kernel");
        std::thread::sleep(Duration::from_secs(5));
        return running;
    }
    match wait_for(kernel, crowds, start) {
        Ok(took) => say(&measure, took.as_secs_f64() * 1e3),
        Err(banned) => cannot(&measure, &format!("{banned} of them in {} s", PATIENCE.as_secs())),
    }
    running
}

/// How often it wakes up while nothing happens.
fn idle(running: &Running) {
    let before = switches(running);
    std::thread::sleep(Duration::from_secs(IDLE_SECONDS));
    let wakes = switches(running) - before;
    say(
        "wake-ups a minute, idle",
        wakes as f64 * 60.0 / IDLE_SECONDS as f64,
    );
}

fn switches(running: &Running) -> u64 {
    let mut all = 0;
    for pid in running.pids() {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
            all += field(&status, "voluntary_ctxt_switches:");
        }
    }
    all
}

/// Anonymous pages: what a process costs beside its files, which all processes share.
fn private_kib(running: &Running) -> u32 {
    let mut all = 0;
    for pid in running.pids() {
        let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        all += field(&smaps, "Anonymous:");
    }
    all as u32
}

fn field(text: &str, key: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(key));
    let word = line.and_then(|line| line.split_whitespace().nth(1));
    word.map_or(0, |word| word.parse().unwrap())
}

/// Processor time of it and of the processes that it has waited for.
fn cpu_seconds(running: &Running) -> f64 {
    let mut ticks = 0;
    for pid in running.pids() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        // utime, stime, cutime, cstime: proc_pid_stat(5).
        let times = fields.split_whitespace().skip(11).take(4);
        ticks += times.map(|time| time.parse::<u64>().unwrap()).sum::<u64>();
    }
    ticks as f64 / 100.0
}
