//! The process that runs the programs of actions: each jail's one after the other, those of several jails together.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use log::{info, warn};

use super::record::Record;
use super::{RELOAD, TARGET};
use crate::action::commands::CommandLane;
use crate::action::job::{End, Ended, Lane, Now, Out, Program, Say, Told};
use crate::action::letters::MailLane;
use crate::action::lookups::{NamesLane, QuestionsLane};
use crate::action::message::{self, LOG_NAMES, Message, Report};
use crate::action::{Does, Role, plan};
use crate::config::{Config, Jail, UseDns};
use crate::limits::{ACTIONS_STOP_SECONDS, LOOKUPS_TOGETHER, MESSAGE_BYTES_MAX};
use crate::sys::program::{Exit, Process, Start};
use crate::sys::seqpacket::{self, Received};
use crate::sys::signals::Children;
use crate::sys::{clock, poll, program};
use crate::time::Mono;
use crate::zone::Zone;

/// After so many milliseconds the guard is told what it had no room for.
const AGAIN_MS: u64 = 200;

/// Lines of the log in a minute; more are counted.
const SAID_PER_MINUTE: u64 = 60;

/// A jail's actions, and the program of theirs that runs.
struct Desk {
    jail: u16,
    lane: Box<dyn Lane>,
    running: Option<Running>,
}

struct Running {
    process: Process,
    /// When it is killed.
    end: Mono,
    killed: bool,
    /// Whether it may say more.
    speaks: bool,
    confined: bool,
}

struct Worker {
    role: Role,
    socket: OwnedFd,
    ends: Children,
    desks: Vec<Desk>,
    zone: Zone,
    out: Out,
    /// Whether the guard has answered our greeting; what came before was for another worker.
    welcome: bool,
    /// When to hurry with stopping, and our exit code then.
    stopping: Option<(Mono, u8)>,
    /// How many lines were logged since when.
    said: (Mono, u64),
    /// What the guard had no room for.
    unsent: VecDeque<Report>,
}

/// Works until the guard says stop, or is gone. Returns the exit code.
pub(super) fn run(role: Role, again: bool) -> io::Result<u8> {
    let ends = Children::new()?;
    program::die_with_parent()?;
    let record = Record::from_file(&super::recorded()?)?;
    let config = record
        .config()
        .map_err(|error| io::Error::other(error.to_string()))?;
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut worker = Worker {
        role,
        socket: super::socket()?,
        ends,
        desks: desks(&config, role, hostname.trim()),
        zone: clock::zone(),
        out: Out::default(),
        welcome: false,
        stopping: None,
        said: (Mono(0), 0),
        unsent: VecDeque::new(),
    };
    let hello = Report::Hello {
        plan: plan(&config, role),
        again,
    };
    worker.unsent.push_back(hello);
    worker.report();
    worker.work()
}

fn desks(config: &Config, role: Role, hostname: &str) -> Vec<Desk> {
    let desk = |(jail, lane)| Desk {
        jail,
        lane,
        running: None,
    };
    let jails = (0..).zip(&config.jails);
    let mut desks: Vec<Desk> = jails
        .filter_map(|(number, jail)| Some(desk((number, lane(number, jail, role, hostname)?))))
        .collect();
    if role == Role::Lookups {
        desks.extend(names(config).into_iter().map(desk));
    }
    desks
}

/// Who looks up the names of `ignoreip`, and those of logs.
fn names(config: &Config) -> Vec<(u16, Box<dyn Lane>)> {
    let mut names: Vec<&String> = config.jails.iter().flat_map(|jail| &jail.ignorenames).collect();
    names.sort_unstable();
    names.dedup();
    let mut lanes: Vec<(u16, Box<dyn Lane>)> = Vec::new();
    for part in 0..LOOKUPS_TOGETHER.min(names.len()) {
        let part = names.iter().skip(part).step_by(LOOKUPS_TOGETHER);
        let lane = NamesLane::new(part.map(|name| (*name).clone()));
        // Nothing is said to these.
        lanes.push((LOG_NAMES - 1, Box::new(lane)));
    }
    if config.jails.iter().any(|jail| jail.usedns != UseDns::No) {
        lanes.push((LOG_NAMES, Box::new(NamesLane::new(core::iter::empty()))));
    }
    lanes
}

fn lane(number: u16, jail: &Jail, role: Role, hostname: &str) -> Option<Box<dyn Lane>> {
    let (mut letters, mut commands) = (Vec::new(), Vec::new());
    for action in jail.actions.iter().filter(|action| action.role() == role) {
        match &action.does {
            Does::Mail(letter) => {
                let mut letter = letter.clone();
                letter.sender = letter.sender.replace("<fq-hostname>", hostname);
                for dest in &mut letter.dest {
                    *dest = dest.replace("<fq-hostname>", hostname);
                }
                letters.push((action.name.clone(), letter));
            }
            Does::Run(scripts) => commands.push((action.name.clone(), scripts.clone())),
        }
    }
    let [seed, _] = clock::random();
    match role {
        Role::Lookups => {
            let script = jail.ignorecommand.as_ref()?.script.clone();
            Some(Box::new(QuestionsLane::new(&jail.name, hostname, script)))
        }
        Role::Mail if letters.is_empty() => None,
        Role::Commands if commands.is_empty() => None,
        Role::Mail => Some(Box::new(MailLane::new(&jail.name, hostname, seed, letters))),
        Role::Commands => Some(Box::new(CommandLane::new(
            (number, &jail.name),
            hostname,
            commands,
        ))),
    }
}

impl Worker {
    fn work(&mut self) -> io::Result<u8> {
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        loop {
            let now = self.now()?;
            let idle = self
                .desks
                .iter()
                .all(|desk| desk.running.is_none() && desk.lane.is_idle());
            match self.stopping {
                Some((_, code)) if idle => {
                    self.tell();
                    return Ok(code);
                }
                Some((hurry, _)) if hurry <= now.mono => {
                    self.desks.iter_mut().for_each(|desk| desk.lane.hurry());
                }
                Some(_) | None => {}
            }
            self.start_programs(now)?;
            self.tell();
            if self.stopping.is_some() && self.desks.iter().all(|desk| desk.running.is_none()) {
                continue;
            }
            let (heard, ended) = self.wait(now.mono)?;
            if heard && !self.listen(&mut buffer)? {
                self.kill_all();
                return Ok(0);
            }
            if ended {
                self.ends.take()?;
            }
            self.end_programs()?;
        }
    }

    fn now(&self) -> io::Result<Now> {
        let utc = clock::utc()?;
        Ok(Now {
            mono: clock::boottime()?,
            utc,
            offset_s: self.zone.offset(utc),
        })
    }

    /// Waits until the guard says something, a program does, or time has come. Returns the first two of: the guard
    /// has said something, a program has ended.
    fn wait(&mut self, now: Mono) -> io::Result<(bool, bool)> {
        let desks = || self.desks.iter();
        let running = || desks().filter_map(|desk| desk.running.as_ref());
        let limits = running().map(|running| running.end);
        let letters = desks()
            .filter(|desk| desk.running.is_none())
            .filter_map(|desk| desk.lane.deadline());
        let hurry = self.stopping.map(|(hurry, _)| hurry).filter(|hurry| *hurry > now);
        let next = limits.chain(letters).chain(hurry).min();
        let timeout = next.map(|next| next.millis_since(now));
        let timeout = if self.unsent.is_empty() {
            timeout
        } else {
            Some(timeout.unwrap_or(AGAIN_MS).min(AGAIN_MS))
        };
        let mut fds = vec![self.socket.as_fd(), self.ends.as_fd()];
        fds.extend(
            running()
                .filter(|running| running.speaks)
                .map(|running| running.process.output()),
        );
        let ready = poll::readable_of(&fds, timeout)?;
        Ok((ready.first() == Some(&true), ready.get(1) == Some(&true)))
    }

    /// Takes what the guard says. `false`: it is gone.
    fn listen(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            let length = match seqpacket::receive(&self.socket, buffer)? {
                Received::Nothing => return Ok(true),
                Received::End => return Ok(false),
                Received::Message(length) => length,
            };
            if let Some((number, message)) = buffer.get(..length).and_then(message::decode) {
                self.hear(number, &message)?;
            }
        }
    }

    fn hear(&mut self, number: u32, message: &Message<'_>) -> io::Result<()> {
        if *message == Message::Welcome {
            self.welcome = true;
            return Ok(());
        }
        if !self.welcome {
            return Ok(());
        }
        let (jail, told) = match *message {
            Message::Welcome => return Ok(()),
            Message::Ban(event, lines) => (event.jail, Told::Ban(event, lines)),
            Message::Unban(event) => (event.jail, Told::Unban(event)),
            Message::Missed(jail, count) => (jail, Told::Missed(count)),
            Message::SyncBegin(jail) => (jail, Told::SyncBegin),
            Message::SyncEnd(jail) => (jail, Told::SyncEnd),
            Message::Ask(event) => (event.jail, Told::Ask(event)),
            Message::Resolve(_, lines) => (LOG_NAMES, Told::Resolve(lines)),
            Message::Start => return self.tell_all(number, Told::Start),
            Message::Stop | Message::Reload => {
                let half = clock::boottime()?.plus_seconds(ACTIONS_STOP_SECONDS / 2);
                let code = if *message == Message::Reload {
                    RELOAD as u8
                } else {
                    0
                };
                self.stopping = Some((half, code));
                if self.role == Role::Lookups {
                    self.kill_all();
                }
                return self.tell_all(number, Told::Stop);
            }
        };
        match self.desks.iter_mut().find(|desk| desk.jail == jail) {
            Some(desk) => desk.lane.tell(Some(number), told, &mut self.out),
            None => self.out.done.push(number),
        }
        Ok(())
    }

    fn kill_all(&mut self) {
        for running in self.desks.iter_mut().filter_map(|desk| desk.running.as_mut()) {
            running.process.kill();
        }
    }

    fn tell_all(&mut self, number: u32, told: Told<'_>) -> io::Result<()> {
        for desk in &mut self.desks {
            desk.lane.tell(None, told, &mut self.out);
        }
        self.out.done.push(number);
        Ok(())
    }

    fn start_programs(&mut self, now: Now) -> io::Result<()> {
        for desk in &mut self.desks {
            while desk.running.is_none() {
                let Some(program) = desk.lane.next(now, &mut self.out) else {
                    break;
                };
                match start(&program, clock::boottime()?) {
                    Ok(running) => desk.running = Some(running),
                    Err(error) => {
                        let ended = Ended {
                            end: End::NotStarted(error.to_string()),
                            output: Vec::new(),
                        };
                        desk.lane.ended(&ended, &mut self.out);
                    }
                }
            }
        }
        Ok(())
    }

    fn end_programs(&mut self) -> io::Result<()> {
        let now = clock::boottime()?;
        for desk in &mut self.desks {
            let Some(running) = &mut desk.running else {
                continue;
            };
            running.speaks = running.speaks && running.process.read();
            let Some(exit) = running.process.ended()? else {
                if running.end <= now && !running.killed {
                    running.killed = true;
                    running.process.kill();
                    // What even that does not end (a disk that hangs) is waited for without a limit.
                    running.end = Mono(u64::MAX);
                }
                continue;
            };
            running.process.read();
            if running.killed {
                running.process.kill();
            }
            let ended = running.ended(exit);
            desk.running = None;
            desk.lane.ended(&ended, &mut self.out);
        }
        Ok(())
    }

    /// Tells the guard and the log what came of it.
    fn tell(&mut self) {
        let out = core::mem::take(&mut self.out);
        let found = out.found.into_iter().map(Report::Found);
        let answers = out
            .answers
            .into_iter()
            .map(|(number, answer)| Report::Answer(number, answer));
        let done = out.done.into_iter().map(Report::Done);
        let again = out.again.into_iter().map(Report::Again);
        self.unsent.extend(found.chain(answers).chain(done).chain(again));
        self.report();
        for say in out.said {
            self.say(&say);
        }
    }

    /// Logs a line, unless there were too many in this minute: whoever is banned decides how many there are.
    fn say(&mut self, say: &Say) {
        let now = clock::boottime().unwrap_or_default();
        let (since, count) = self.said;
        if now >= since.plus_seconds(60) {
            if count > SAID_PER_MINUTE {
                warn!(target: TARGET, "lines like these left out: {}", count - SAID_PER_MINUTE);
            }
            self.said = (now, 0);
        }
        self.said.1 += 1;
        if self.said.1 > SAID_PER_MINUTE {
            return;
        }
        match say {
            Say::Info(text) => info!(target: TARGET, "{text}"),
            Say::Warn(text) => warn!(target: TARGET, "{text}"),
        }
    }

    /// Tells the guard what it has room for.
    fn report(&mut self) {
        while let Some(report) = self.unsent.front() {
            // If it is gone, we see that where we listen.
            if !seqpacket::send(&self.socket, &message::encode_report(report)).unwrap_or(true) {
                return;
            }
            self.unsent.pop_front();
        }
    }
}

fn start(program: &Program, now: Mono) -> io::Result<Running> {
    let process = Process::start(&Start {
        words: &program.words,
        variables: &program.variables,
        input: &program.input,
        keep: program.keep,
        confined: program.confined,
    })?;
    Ok(Running {
        process,
        end: now.plus_seconds(program.seconds),
        killed: false,
        speaks: true,
        confined: program.confined,
    })
}

impl Running {
    fn ended(&mut self, exit: Exit) -> Ended {
        let output = self.process.kept();
        let end = match exit {
            _ if self.killed => End::TooLong,
            // What we became for it could not become it.
            Exit::Code(127) if self.confined => {
                End::NotStarted(String::from_utf8_lossy(output.trim_ascii()).into_owned())
            }
            Exit::Code(code) => End::Exit(code),
            Exit::Signal(number) => End::Signal(number),
        };
        Ended { end, output }
    }
}
