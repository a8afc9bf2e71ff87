//! The guard's end of the socket to a child: what waits to be told, what the child has and has not finished.
//!
//! It never waits but at the very end. What finds no room is counted: a mail child hears how many there were, and a
//! command child which bans are in force, all of them, when it has room; it knows which of them are new to it.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Child;

use ipnet::IpNet;
use log::{error, warn};

mod questions;

pub use questions::Heard;

use super::record::Record;
use super::{TARGET, WORD};
use crate::action::Role;
use crate::action::message::{self, Event, Lines, Message, Report};
use crate::action::script::shown;
use crate::guard::JailId;
use crate::limits::{
    MESSAGE_BYTES_MAX, NOTICES_UNDERWAY_MAX, NOTICES_UNDERWAY_PER_JAIL_MAX, NOTICES_WAITING_MAX,
    REPORT_BYTES_MAX, REPORTS_PER_TURN,
};
use crate::sys::{program, seqpacket};

/// One thing to tell; the lines of a ban are looked up when it is sent.
type Notice = Message<'static>;

fn ban(event: Event) -> Notice {
    Message::Ban(event, Lines::default())
}

/// How far the child knows which bans of a jail are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// As far as it was told one by one.
    Told,
    /// It has to be told all.
    Wanted,
    /// It is being told, from this number on.
    At(u32),
}

/// How we stand with the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not greeted us yet.
    Coming,
    /// It works by our configuration.
    There,
    /// It has another configuration, and gets nothing.
    Foreign,
}

/// A child.
pub struct Link {
    role: Role,
    socket: Option<OwnedFd>,
    nanny: Child,
    plan: u64,
    state: State,
    /// Whether the guard is in force.
    started: bool,
    number: u32,
    waiting: VecDeque<Notice>,
    underway: VecDeque<(u32, Notice)>,
    /// Notices of each jail that found no room.
    missed: Vec<u32>,
    /// Of each jail; in a mail child it says nothing.
    sync: Vec<Sync>,
    buffer: Vec<u8>,
    heard: VecDeque<Heard>,
}

impl Link {
    /// Starts the child. It does nothing before [`Link::begin`].
    ///
    /// # Errors
    /// What the system says.
    pub fn start(
        role: Role,
        notifyuser: &str,
        path: &Path,
        record: &Record,
        (plan, jails): (u64, usize),
    ) -> io::Result<Link> {
        let (ours, theirs) = seqpacket::pair()?;
        let words = [WORD, "nanny", role.name(), notifyuser].map(OsStr::new);
        let words: Vec<&OsStr> = words.into_iter().chain([path.as_os_str()]).collect();
        let nanny = program::start_ourselves(&words, theirs, &record.to_file()?)?;
        Ok(Link {
            role,
            socket: Some(ours),
            nanny,
            plan,
            state: State::Coming,
            started: false,
            number: 0,
            waiting: VecDeque::with_capacity(NOTICES_WAITING_MAX),
            underway: VecDeque::with_capacity(NOTICES_UNDERWAY_MAX),
            missed: vec![0; jails],
            sync: vec![Sync::Wanted; jails],
            buffer: Vec::with_capacity(MESSAGE_BYTES_MAX),
            heard: VecDeque::new(),
        })
    }

    /// Which child it is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// What is readable when the child says something.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(|socket| socket.as_fd())
    }

    /// The guard is in force.
    pub fn begin(&mut self) {
        self.started = true;
        self.wait(Message::Start);
    }

    /// Tells of a ban.
    pub fn banned(&mut self, event: Event) {
        self.wait(ban(event));
    }

    /// Tells of the end of a ban.
    pub fn unbanned(&mut self, event: Event) {
        if self.role == Role::Commands {
            self.wait(Message::Unban(event));
        }
    }

    /// Tells again which bans are in force.
    pub fn sync(&mut self) {
        self.sync.fill(Sync::Wanted);
    }

    fn sync_jail(&mut self, jail: u16) {
        if let Some(sync) = self.sync.get_mut(usize::from(jail)) {
            *sync = Sync::Wanted;
        }
    }

    /// Has the child take over another configuration, if its plan is another.
    pub fn reload(&mut self, plan: u64, jails: usize) {
        if plan == self.plan && self.state != State::Foreign {
            if self.role == Role::Lookups && self.started && !self.waiting.contains(&Message::Start) {
                // So that it looks all names up again.
                self.wait(Message::Start);
            }
            return self.sync();
        }
        if self.role == Role::Lookups {
            // The guard asks again; jails have other numbers now.
            self.underway.clear();
        }
        let lost = self
            .waiting
            .iter()
            .filter(|notice| notice.jail().is_some())
            .count();
        if lost > 0 && self.role == Role::Mail {
            warn!(target: TARGET, "notices that are lost by the new configuration: {lost}");
        }
        self.waiting.clear();
        self.missed = vec![0; jails];
        self.plan = plan;
        self.sync = vec![Sync::Wanted; jails];
        self.wait(Message::Reload);
        // One that has not greeted yet is told when it has.
        if self.state == State::Foreign {
            self.state = State::There;
        }
    }

    fn wait(&mut self, notice: Notice) {
        if self.socket.is_none() {
            return;
        }
        let Some(jail) = notice
            .jail()
            .filter(|_| self.waiting.len() >= NOTICES_WAITING_MAX)
        else {
            return self.waiting.push_back(notice);
        };
        match self.role {
            Role::Commands => self.sync_jail(jail),
            Role::Mail => {
                if let Some(missed) = self.missed.get_mut(usize::from(jail)) {
                    *missed = missed.saturating_add(1);
                }
            }
            // Whoever asks looks whether there is room.
            Role::Lookups => {}
        }
    }

    /// Takes what the child says.
    pub fn listen(&mut self) {
        if !self.hear() {
            self.end();
        }
    }

    /// `false`: the child has ended, with its nanny.
    fn hear(&mut self) -> bool {
        let mut buffer = [0; REPORT_BYTES_MAX];
        // A child that somebody took over could go on for ever.
        for _ in 0..REPORTS_PER_TURN {
            let Some(socket) = &self.socket else { break };
            match seqpacket::receive(socket, &mut buffer) {
                Ok(seqpacket::Received::Nothing) => break,
                Ok(seqpacket::Received::Message(length)) => {
                    let report = buffer.get(..length).and_then(message::decode_report);
                    match report {
                        Some(Report::Done(number)) => self.underway.retain(|(sent, _)| *sent != number),
                        Some(Report::Again(jail)) => self.sync_jail(jail),
                        Some(Report::Found(found)) => self.heard.push_back(Heard::Found(found)),
                        Some(Report::Answer(number, answer)) => self.take_answer(number, answer),
                        Some(Report::Hello { plan, again }) => self.greet(plan, again),
                        None => {}
                    }
                }
                Ok(seqpacket::Received::End) | Err(_) => return false,
            }
        }
        true
    }

    fn greet(&mut self, plan: u64, again: bool) {
        if again {
            self.say_what_is_lost();
        }
        while let Some((_, notice)) = self.underway.pop_back() {
            if matches!(notice, Message::Ask(_) | Message::Resolve(..)) {
                self.waiting.push_front(notice);
            }
        }
        self.sync();
        let number = self.number;
        self.transmit(number, &Message::Welcome, core::iter::empty());
        self.state = State::There;
        if plan == self.plan {
            if self.started && !self.waiting.contains(&Message::Start) {
                self.waiting.push_front(Message::Start);
            }
        } else if !self.waiting.contains(&Message::Reload) {
            self.state = State::Foreign;
            let role = self.role.name();
            error!(target: TARGET, "the {role} child has another configuration than the guard: nothing is done by it; restart the guard");
        }
    }

    fn say_what_is_lost(&self) {
        let mut lost = self
            .underway
            .iter()
            .filter_map(|(_, notice)| notice.net())
            .map(shown);
        let role = self.role.name();
        match (lost.next(), lost.count()) {
            (None, _) => warn!(target: TARGET, "the {role} child is back; no notice was lost"),
            (Some(first), more) if self.role == Role::Mail => {
                warn!(target: TARGET, "the {role} child is back; lost are the notices about {first} and {more} more");
            }
            (Some(_), _) if self.role == Role::Commands => {
                warn!(target: TARGET, "the {role} child is back, and is told all bans again");
            }
            (Some(_), _) => warn!(target: TARGET, "the {role} child is back, and is asked again"),
        }
    }

    /// The child is gone for good.
    fn end(&mut self) {
        self.socket = None;
        self.waiting.clear();
        self.underway.clear();
        self.heard.clear();
        error!(target: TARGET, "the {} child and its nanny are gone: what they did is not done; restart the guard", self.role.name());
        self.reap();
    }

    /// Takes the end of the nanny, so that it is no zombie.
    fn reap(&mut self) {
        // It may still be on its way out; then the next look finds it.
        let _ = self.nanny.try_wait();
    }

    /// Sends what there is to say and the child has room for.
    pub fn flush(&mut self, source: &impl Source) {
        if self.socket.is_none() {
            return self.reap();
        }
        if self.state != State::There || !self.started {
            return;
        }
        self.flush_waiting(source);
        self.flush_missed(source);
        // What concerns all comes in its turn, before and after which a sync means something else.
        let barrier = self.waiting.iter().any(|notice| notice.jail().is_none());
        for jail in 0..self.sync.len() {
            if self.role == Role::Commands && !barrier && self.state == State::There {
                self.flush_sync(u16::try_from(jail).unwrap_or(u16::MAX), source);
            }
        }
    }

    fn flush_waiting(&mut self, source: &impl Source) {
        // In order, but a jail that has its share under way waits alone. What concerns all waits for what is before.
        let mut at = 0;
        while let Some(&notice) = self.waiting.get(at) {
            let of_jail = notice.jail().is_some();
            if of_jail && self.underway.len() < NOTICES_UNDERWAY_MAX && !self.has_room(notice.jail()) {
                at += 1;
                continue;
            }
            if (!of_jail && at > 0) || !self.send(notice, source) {
                return;
            }
            self.waiting.remove(at);
            if notice == Message::Reload {
                // Until it greets us with the new configuration.
                self.state = State::Coming;
                return;
            }
        }
    }

    fn flush_missed(&mut self, source: &impl Source) {
        for jail in 0..self.missed.len() {
            let Some(&count) = self.missed.get(jail) else {
                return;
            };
            let number = u16::try_from(jail).unwrap_or(u16::MAX);
            if count > 0 && self.send(Message::Missed(number, count), source) {
                if let Some(missed) = self.missed.get_mut(jail) {
                    *missed = 0;
                }
            }
        }
    }

    /// Tells all bans of a jail, as far as there is room.
    fn flush_sync(&mut self, jail: u16, source: &impl Source) {
        let place = usize::from(jail);
        let mut sync = self.sync.get(place).copied().unwrap_or(Sync::Told);
        loop {
            let (notice, next) = match sync {
                Sync::Told => return,
                Sync::Wanted => (Message::SyncBegin(jail), Sync::At(0)),
                Sync::At(from) => match source.ban_from(JailId(jail), from) {
                    None => (Message::SyncEnd(jail), Sync::Told),
                    Some((next, event)) => {
                        let restored = true;
                        (ban(Event { restored, ..event }), Sync::At(next))
                    }
                },
            };
            if !self.send(notice, source) {
                return;
            }
            sync = next;
            if let Some(place) = self.sync.get_mut(place) {
                *place = sync;
            }
        }
    }

    /// Whether the child may be given one more.
    fn has_room(&self, jail: Option<u16>) -> bool {
        let of_jail = self.underway.iter().filter(|(_, notice)| notice.jail() == jail);
        let share = jail.is_none() || of_jail.count() < NOTICES_UNDERWAY_PER_JAIL_MAX;
        share && self.underway.len() < NOTICES_UNDERWAY_MAX
    }

    /// Sends one thing, with its lines. `false`: there is no room.
    fn send(&mut self, notice: Notice, source: &impl Source) -> bool {
        let (lines, name) = match notice {
            Message::Ban(event, _) => (Some(source.lines(event.net, JailId(event.jail))), None),
            Message::Resolve(place, _) => (None, Some(source.name(place))),
            Message::Unban(_)
            | Message::Ask(_)
            | Message::Missed(..)
            | Message::Welcome
            | Message::Start
            | Message::SyncBegin(_)
            | Message::SyncEnd(_)
            | Message::Reload
            | Message::Stop => (None, None),
        };
        let number = self.number.wrapping_add(1);
        let lines = lines.into_iter().flatten().chain(name);
        let sent = self.has_room(notice.jail()) && self.transmit(number, &notice, lines);
        if sent {
            self.number = number;
            self.underway.push_back((number, notice));
        }
        sent
    }

    fn transmit<'l>(
        &mut self,
        number: u32,
        message: &Message<'_>,
        lines: impl Iterator<Item = &'l [u8]>,
    ) -> bool {
        message::encode(&mut self.buffer, number, message, lines);
        let Some(socket) = &self.socket else { return false };
        // That the other end is gone is seen where we listen.
        seqpacket::send(socket, &self.buffer).unwrap_or(false)
    }

    /// The guard ends: the child is to stop the jails' actions.
    pub fn stop(&mut self) {
        if self.role == Role::Lookups {
            // Its end of the socket is enough for it: nothing has to be undone.
            self.socket = None;
            return;
        }
        for (jail, count) in (0..).zip(core::mem::take(&mut self.missed)) {
            if count > 0 {
                self.waiting.push_back(Message::Missed(jail, count));
            }
        }
        // Of the bans the command child need not be told any more, as they end.
        if self.role == Role::Commands {
            self.waiting.retain(|notice| notice.jail().is_none());
        }
        self.wait(Message::Stop);
    }

    /// After [`Link::stop`]: goes on until the child has ended. `true`: it has.
    pub fn has_stopped(&mut self, source: &impl Source) -> bool {
        if !self.hear() {
            self.socket = None;
        }
        // What is in force does not matter any more.
        self.sync.fill(Sync::Told);
        self.flush(source);
        self.socket.is_none() || self.state == State::Foreign
    }
}

/// Where the guard's knowledge comes from when something is sent.
pub trait Source {
    /// The lines of a ban, if they are still at hand.
    fn lines(&self, net: IpNet, jail: JailId) -> impl Iterator<Item = &[u8]>;
    /// The name of a log at this place; empty if nobody waits for it any more.
    fn name(&self, place: u16) -> &[u8];
    /// The next ban of a jail that is in force, from number `from` on, and the number to go on with.
    fn ban_from(&self, jail: JailId, from: u32) -> Option<(u32, Event)>;
}
