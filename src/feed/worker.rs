//! The process that runs journalctl or logread, and tells the guard what they write.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use log::{info, warn};

use super::Kind;
use super::follow::{Clocks, Follow, Given};
use super::message::{self, Batch, Order};
use crate::config::is_match;
use crate::escape::Escaped;
use crate::limits::{
    FEED_MESSAGE_BYTES_MAX, FEED_PAUSE_SECONDS_MAX, FEEDS_MAX, LOGREAD_BACKLOG_SECONDS, READ_BUFFER_BYTES,
};
use crate::notify::{TARGET, socket};
use crate::sys::seqpacket::{self, Received};
use crate::sys::signals::Children;
use crate::sys::stream::{Got, Stream};
use crate::sys::{clock, poll, program};
use crate::time::Mono;

/// A program that lives so long has nothing to do with the one before it, in seconds.
const SOUND_SECONDS: u64 = 60;

/// How long the end of a program is waited for that has closed its output, in milliseconds.
const END_MS: u64 = 200;

/// Complaints of one program that are logged; more are read and thrown away. And reads of them in a turn.
const COMPLAINTS_MAX: u32 = 10;

struct Feed {
    number: u32,
    follow: Follow,
    batch: Batch,
    running: Option<Running>,
    /// When the program is started; in the past while it runs.
    start: Mono,
    /// How long to wait when it ends, in seconds.
    pause: u64,
}

struct Running {
    stream: Stream,
    since: Mono,
    /// When all that was there is read; `None`: it is.
    caught_up: Option<Mono>,
    complaints: u32,
    complains: bool,
}

struct Worker {
    kind: Kind,
    number: u32,
    socket: OwnedFd,
    ends: Children,
    feeds: Vec<Feed>,
    buffer: Vec<u8>,
}

/// Works until the guard is gone. Returns the exit code.
pub(super) fn run(kind: Kind) -> io::Result<u8> {
    let ends = Children::new()?;
    program::die_with_parent()?;
    let mut worker = Worker {
        kind,
        number: std::process::id(),
        socket: socket()?,
        ends,
        feeds: Vec::new(),
        buffer: vec![0; READ_BUFFER_BYTES],
    };
    if !send(&worker.socket, &message::hello(worker.number)) {
        return Ok(0);
    }
    worker.work()
}

/// Sends a message, as soon as there is room for it. `false`: the guard is gone.
fn send(socket: &OwnedFd, bytes: &[u8]) -> bool {
    loop {
        match seqpacket::send(socket, bytes) {
            Ok(true) => return true,
            Ok(false) => _ = poll::writable(socket.as_fd(), 1_000),
            Err(_) => return false,
        }
    }
}

impl Worker {
    fn work(&mut self) -> io::Result<u8> {
        loop {
            self.start_programs()?;
            let now = clock::boottime()?;
            let timeout = self.next_deadline().map(|next| next.millis_since(now));
            let mut fds: Vec<BorrowedFd<'_>> = vec![self.socket.as_fd(), self.ends.as_fd()];
            for running in self.feeds.iter().filter_map(|feed| feed.running.as_ref()) {
                fds.push(running.stream.output());
                if running.complains {
                    fds.push(running.stream.errors());
                }
            }
            poll::readable_of(&fds, timeout)?;
            self.ends.take()?;
            if !self.listen()? || !self.read()? {
                return Ok(0);
            }
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        let next = self.feeds.iter().map(|feed| match &feed.running {
            Some(running) => running.caught_up,
            None => Some(feed.start),
        });
        next.flatten().min()
    }

    /// Takes what the guard says. `false`: it is gone.
    fn listen(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; FEED_MESSAGE_BYTES_MAX];
        loop {
            let length = match seqpacket::receive(&self.socket, &mut buffer)? {
                Received::Nothing => return Ok(true),
                Received::End => return Ok(false),
                Received::Message(length) => length,
            };
            let order = buffer.get(..length).and_then(message::decode);
            match order {
                Some(Order::Follow {
                    worker,
                    number,
                    position,
                    terms,
                }) if worker == self.number && self.feeds.len() < FEEDS_MAX => {
                    let terms = String::from_utf8_lossy(terms);
                    let terms: Vec<String> = terms.split_whitespace().map(str::to_owned).collect();
                    // The guard sends what the configuration says; whoever took it over might send anything.
                    if terms.iter().any(|term| term != "+" && !is_match(term)) {
                        continue;
                    }
                    let follow = Follow::new(self.kind, terms, position, clocks()?);
                    let mut batch = Batch::new(number);
                    let place = batch.message(follow.position()).to_vec();
                    if !send(&self.socket, &place) {
                        return Ok(false);
                    }
                    self.feeds.push(Feed {
                        number,
                        follow,
                        batch,
                        running: None,
                        start: clock::boottime()?,
                        pause: 1,
                    });
                }
                Some(Order::Unfollow { number }) => self.feeds.retain(|feed| feed.number != number),
                Some(Order::Follow { .. }) | None => {}
            }
        }
    }

    fn start_programs(&mut self) -> io::Result<()> {
        let now = clock::boottime()?;
        let name = self.kind.program();
        for feed in &mut self.feeds {
            if feed.running.is_some() || feed.start > now {
                continue;
            }
            feed.follow.begin(clocks()?);
            match Stream::start(name, &feed.follow.words()) {
                Ok(stream) => {
                    let caught_up = now.plus_seconds(LOGREAD_BACKLOG_SECONDS);
                    feed.running = Some(Running {
                        stream,
                        since: now,
                        caught_up: (self.kind == Kind::Logread).then_some(caught_up),
                        complaints: 0,
                        complains: true,
                    });
                    send(&self.socket, &message::running(feed.number, true));
                }
                Err(error) => {
                    feed.rest(now);
                    warn!(target: TARGET, "cannot start {name}, trying again in {} s: {error}", feed.start.seconds_since(now));
                }
            }
        }
        Ok(())
    }

    /// Takes what the programs write. `false`: the guard is gone.
    fn read(&mut self) -> io::Result<bool> {
        let now = clock::boottime()?;
        let name = self.kind.program();
        for feed in &mut self.feeds {
            let Some(running) = &mut feed.running else {
                continue;
            };
            if running.caught_up.is_some_and(|at| at <= now) {
                running.caught_up = None;
                feed.follow.caught_up();
            }
            running.hear(name);
            match running.stream.read(&mut self.buffer)? {
                Got::Nothing => {}
                Got::Bytes(count) => {
                    let bytes = self.buffer.get(..count).unwrap_or_default();
                    if !feed.tell(bytes, &self.socket) {
                        return Ok(false);
                    }
                }
                // It has closed its output, so that it is of no use whether it has ended or not.
                Got::End => {
                    running.hear(name);
                    // Its end comes a moment later.
                    let mut exit = running.stream.ended()?;
                    if exit.is_none() {
                        poll::readable_of(&[self.ends.as_fd()], Some(END_MS))?;
                        exit = running.stream.ended()?;
                    }
                    let how = match exit {
                        Some(exit) => format!("ended ({exit:?})"),
                        None => "writes no more".to_owned(),
                    };
                    if running.since.plus_seconds(SOUND_SECONDS) <= now {
                        feed.pause = 1;
                    }
                    feed.running = None;
                    feed.rest(now);
                    let seconds = feed.start.seconds_since(now);
                    warn!(target: TARGET, "{name} {how}; starting it again in {seconds} s, to go on where it was{}", self.kind.but());
                    if !send(&self.socket, &message::running(feed.number, false)) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Kind {
    /// What may be lost while it does not run.
    const fn but(self) -> &'static str {
        match self {
            Kind::Journal => "",
            Kind::Logread => "; what logd's ring loses meanwhile is lost",
        }
    }
}

impl Feed {
    /// Waits before the next start, every time longer.
    fn rest(&mut self, now: Mono) {
        self.start = now.plus_seconds(self.pause);
        self.pause = (self.pause * 2).min(FEED_PAUSE_SECONDS_MAX);
    }

    /// Gives the guard the lines of what was written. `false`: it is gone.
    fn tell(&mut self, bytes: &[u8], socket: &OwnedFd) -> bool {
        let batch = &mut self.batch;
        // The place behind what is in the batch.
        let (mut place, mut there) = (self.follow.position(), true);
        let mut some = false;
        self.follow.take(bytes, &mut |given, position| {
            if let Given::Line(_, line) = given {
                if !batch.has_room(line.len()) {
                    there = there && send(socket, batch.message(place));
                    batch.clear();
                }
            }
            match given {
                Given::Line(backlog, line) => batch.line(backlog, line),
                Given::Long => batch.long(),
                Given::Nothing => {}
            }
            (place, some) = (position, true);
        });
        if some {
            there = there && send(socket, batch.message(place));
            batch.clear();
        }
        there
    }
}

impl Running {
    /// Logs what the program complains of, up to a bound.
    fn hear(&mut self, name: &str) {
        let mut buffer = [0; 512];
        for _ in 0..COMPLAINTS_MAX {
            let count = match self.stream.read_errors(&mut buffer) {
                Ok(Got::Bytes(count)) => count,
                Ok(Got::Nothing) => return,
                Ok(Got::End) | Err(_) => {
                    self.complains = false;
                    return;
                }
            };
            let said = buffer.get(..count).unwrap_or_default();
            for line in said.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                self.complaints += 1;
                if self.complaints <= COMPLAINTS_MAX {
                    info!(target: TARGET, "{name} says: {}", Escaped(line));
                }
            }
        }
    }
}

fn clocks() -> io::Result<Clocks> {
    let (monotonic, wall) = clock::micros()?;
    Ok(Clocks {
        // A boot that has no name is like no other.
        boot: clock::boot_id().map_or(0, |boot| boot.0),
        monotonic,
        wall,
    })
}
