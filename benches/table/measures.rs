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
const PATIENCE: Duration = Duration::from_secs(75);
const CROWD: u32 = 10_000;
const LARGE_CROWD: u32 = 100_000;
const IDLE_SECONDS: u64 = 20;

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

/// Number `index` of a crowd: different addresses, in networks that nobody has.
fn member(crowd: u8, index: u32) -> [u8; 4] {
    [crowd, (index >> 16) as u8, (index >> 8) as u8, index as u8]
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
    let mut banned = crowd(&mut running, &kernel, 11, CROWD, "10000");
    if banned == CROWD {
        say("memory with 10000 bans, KiB", f64::from(private_kib(&running)));
        running = restart(running, &folder.0, &kernel, 11, CROWD, "10000");
        banned = crowd(&mut running, &kernel, 12, LARGE_CROWD, "100000");
        if banned == LARGE_CROWD {
            say("memory with 100000 bans, KiB", f64::from(private_kib(&running)));
            running = restart(running, &folder.0, &kernel, 12, LARGE_CROWD, "100000");
        }
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
        // The slow ones take half a second for each.
        if began.elapsed() > 2 * PATIENCE {
            break;
        }
    }
}

/// Many attackers cross the line at once. Returns how many of them were banned.
fn crowd(running: &mut Running, kernel: &Kernel, crowd: u8, size: u32, name: &str) -> u32 {
    let mut text = String::new();
    // A thousand at a time: our ring remembers 4,096 failures unless it is told otherwise.
    for first in (0..size).step_by(1000) {
        for _ in 0..2 {
            for number in first..first + 1000 {
                text += &running.subject.line(member(crowd, number));
            }
        }
    }
    let before = cpu_seconds(running);
    let start = Instant::now();
    running.write(&text);
    let banned = wait_for(kernel, crowd, size, start);
    let measure = format!("{name} attackers at once");
    if banned < size {
        let seconds = PATIENCE.as_secs();
        cannot(
            &format!("{measure}, ms"),
            &format!("{banned} of them in {seconds} s"),
        );
        return banned;
    }
    say(&format!("{measure}, ms"), start.elapsed().as_secs_f64() * 1e3);
    say(
        &format!("{measure}, CPU ms"),
        (cpu_seconds(running) - before) * 1e3,
    );
    banned
}

/// Waits until all of a crowd are banned, or for as long as it makes sense; how many are.
fn wait_for(kernel: &Kernel, crowd: u8, size: u32, start: Instant) -> u32 {
    let mut banned = 0;
    while banned < size {
        if kernel.holds(member(crowd, banned)) {
            banned += 1;
        } else if start.elapsed() > PATIENCE {
            let all = (0..size).filter(|&number| kernel.holds(member(crowd, number)));
            return all.count() as u32;
        }
    }
    banned
}

/// Stops and starts it: until all are banned again.
fn restart(running: Running, folder: &Path, kernel: &Kernel, crowd: u8, size: u32, name: &str) -> Running {
    let subject = running.subject;
    running.stop();
    let kept = kernel.holds(member(crowd, 0));
    let measure = format!("restart with {name} bans, ms");
    let start = Instant::now();
    let running = subject.start(folder);
    if kept {
        cannot(&measure, "leaves its bans in the kernel");
        std::thread::sleep(Duration::from_secs(5));
        return running;
    }
    let banned = wait_for(kernel, crowd, size, start);
    if banned < size {
        cannot(&measure, &format!("{banned} of them in {} s", PATIENCE.as_secs()));
    } else {
        say(&measure, start.elapsed().as_secs_f64() * 1e3);
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
