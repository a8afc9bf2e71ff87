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

use super::record::Record;
use super::{TARGET, WORD};
use crate::action::Role;
use crate::action::message::{self, Event, Lines, Message, Report};
use crate::action::script::shown;
use crate::guard::JailId;
use crate::limits::{
    MESSAGE_BYTES_MAX, NOTICES_UNDERWAY_MAX, NOTICES_UNDERWAY_PER_JAIL_MAX, NOTICES_WAITING_MAX,
};
use crate::sys::{program, seqpacket};

/// Where the guard's knowledge comes from when something is sent.
pub trait Source {
    /// The lines of a ban, if they are still at hand.
    fn lines(&self, net: IpNet, jail: JailId) -> impl Iterator<Item = &[u8]>;
    /// The next ban in force, from number `from` on, and the number to go on with.
    fn ban_from(&self, from: u32) -> Option<(u32, Event)>;
}

/// One thing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    Start,
    Ban(Event),
    Unban(Event),
    Missed(u16, u32),
    SyncBegin,
    SyncEnd,
    Reload,
    Stop,
}

impl Notice {
    fn jail(self) -> Option<u16> {
        match self {
            Notice::Ban(event) | Notice::Unban(event) => Some(event.jail),
            Notice::Missed(jail, _) => Some(jail),
            Notice::Start | Notice::SyncBegin | Notice::SyncEnd | Notice::Reload | Notice::Stop => None,
        }
    }
}

/// How far the child knows which bans are in force.
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
    sync: Sync,
    buffer: Vec<u8>,
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
            sync: Sync::Wanted,
            buffer: Vec::with_capacity(MESSAGE_BYTES_MAX),
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
        self.wait(Notice::Start);
    }

    /// Tells of a ban.
    pub fn banned(&mut self, event: Event) {
        self.wait(Notice::Ban(event));
    }

    /// Tells of the end of a ban.
    pub fn unbanned(&mut self, event: Event) {
        if self.role == Role::Commands {
            self.wait(Notice::Unban(event));
        }
    }

    /// Tells again which bans are in force.
    pub fn sync(&mut self) {
        self.sync = Sync::Wanted;
    }

    /// Has the child take over another configuration, if its plan is another.
    pub fn reload(&mut self, plan: u64, jails: usize) {
        if plan == self.plan && self.state != State::Foreign {
            return self.sync();
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
        self.sync = Sync::Wanted;
        self.wait(Notice::Reload);
        // One that has not greeted yet is told when it has.
        if self.state == State::Foreign {
            self.state = State::There;
        }
    }

    fn wait(&mut self, notice: Notice) {
        if self.socket.is_none() {
            return;
        }
        if self.waiting.len() < NOTICES_WAITING_MAX || notice.jail().is_none() {
            return self.waiting.push_back(notice);
        }
        self.sync = Sync::Wanted;
        let jail = notice.jail().map(usize::from);
        if let Some(missed) = jail.and_then(|jail| self.missed.get_mut(jail)) {
            *missed = missed.saturating_add(1);
        }
    }

    /// Takes what the child says.
    pub fn listen(&mut self) {
        let mut buffer = [0; 64];
        while let Some(socket) = &self.socket {
            match seqpacket::receive(socket, &mut buffer) {
                Ok(seqpacket::Received::Nothing) => return,
                Ok(seqpacket::Received::Message(length)) => {
                    let report = buffer.get(..length).and_then(message::decode_report);
                    match report {
                        Some(Report::Done(number)) => self.underway.retain(|(sent, _)| *sent != number),
                        Some(Report::Again) => self.sync = Sync::Wanted,
                        Some(Report::Hello { plan, again }) => self.greet(plan, again),
                        None => {}
                    }
                }
                Ok(seqpacket::Received::End) | Err(_) => return self.end(),
            }
        }
    }

    fn greet(&mut self, plan: u64, again: bool) {
        if again {
            self.say_what_is_lost();
        }
        self.underway.clear();
        self.sync = Sync::Wanted;
        let number = self.number;
        self.transmit(number, &Message::Welcome, core::iter::empty());
        self.state = State::There;
        if plan == self.plan {
            if self.started && !self.waiting.contains(&Notice::Start) {
                self.waiting.push_front(Notice::Start);
            }
        } else if !self.waiting.contains(&Notice::Reload) {
            self.state = State::Foreign;
            let role = self.role.name();
            error!(target: TARGET, "the {role} child has another configuration than the guard: nothing is done by it; restart the guard");
        }
    }

    fn say_what_is_lost(&self) {
        let mut lost = self.underway.iter().filter_map(|(_, notice)| match notice {
            Notice::Ban(event) | Notice::Unban(event) => Some(shown(event.net)),
            Notice::Missed(..)
            | Notice::Start
            | Notice::SyncBegin
            | Notice::SyncEnd
            | Notice::Reload
            | Notice::Stop => None,
        });
        let role = self.role.name();
        match (lost.next(), lost.count()) {
            (None, _) => warn!(target: TARGET, "the {role} child is back; no notice was lost"),
            (Some(first), more) if self.role == Role::Mail => {
                warn!(target: TARGET, "the {role} child is back; lost are the notices about {first} and {more} more");
            }
            (Some(_), _) => warn!(target: TARGET, "the {role} child is back, and is told all bans again"),
        }
    }

    /// The child is gone for good.
    fn end(&mut self) {
        self.socket = None;
        self.waiting.clear();
        self.underway.clear();
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
        self.flush_missed();
        if self.role == Role::Commands && self.waiting.is_empty() {
            self.flush_sync(source);
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
            if (!of_jail && at > 0) || !self.has_room(notice.jail()) || !self.send(notice, source) {
                return;
            }
            self.waiting.remove(at);
            if notice == Notice::Reload {
                // Until it greets us with the new configuration.
                self.state = State::Coming;
                return;
            }
        }
    }

    fn flush_missed(&mut self) {
        for jail in 0..self.missed.len() {
            let Some(&count) = self.missed.get(jail) else {
                return;
            };
            let number = u16::try_from(jail).unwrap_or(u16::MAX);
            if count > 0 && self.has_room(Some(number)) && self.send_missed(number, count) {
                if let Some(missed) = self.missed.get_mut(jail) {
                    *missed = 0;
                }
            }
        }
    }

    fn flush_sync(&mut self, source: &impl Source) {
        let mut from = match self.sync {
            Sync::Told => return,
            Sync::At(from) => from,
            Sync::Wanted => {
                if !self.send_bare(Notice::SyncBegin) {
                    return;
                }
                0
            }
        };
        loop {
            self.sync = Sync::At(from);
            let Some((next, event)) = source.ban_from(from) else {
                if self.send_bare(Notice::SyncEnd) {
                    self.sync = Sync::Told;
                }
                return;
            };
            let restored = Event {
                restored: true,
                ..event
            };
            if !self.has_room(Some(event.jail)) || !self.send(Notice::Ban(restored), source) {
                return;
            }
            from = next;
        }
    }

    /// Whether the child may be given one more.
    fn has_room(&self, jail: Option<u16>) -> bool {
        let of_jail = self.underway.iter().filter(|(_, notice)| notice.jail() == jail);
        let share = jail.is_none() || of_jail.count() < NOTICES_UNDERWAY_PER_JAIL_MAX;
        share && self.underway.len() < NOTICES_UNDERWAY_MAX
    }

    fn send(&mut self, notice: Notice, source: &impl Source) -> bool {
        match notice {
            Notice::Ban(event) => {
                let lines = source.lines(event.net, JailId(event.jail));
                self.send_message(notice, &Message::Ban(event, Lines::default()), lines)
            }
            Notice::Unban(event) => self.send_message(notice, &Message::Unban(event), core::iter::empty()),
            Notice::Missed(jail, count) => self.send_missed(jail, count),
            Notice::Start | Notice::SyncBegin | Notice::SyncEnd | Notice::Reload | Notice::Stop => {
                self.send_bare(notice)
            }
        }
    }

    fn send_missed(&mut self, jail: u16, count: u32) -> bool {
        let message = Message::Missed(jail, count);
        self.send_message(Notice::Missed(jail, count), &message, core::iter::empty())
    }

    fn send_bare(&mut self, notice: Notice) -> bool {
        let message = match notice {
            Notice::SyncBegin => Message::SyncBegin,
            Notice::SyncEnd => Message::SyncEnd,
            Notice::Reload => Message::Reload,
            Notice::Stop => Message::Stop,
            Notice::Start | Notice::Ban(_) | Notice::Unban(_) | Notice::Missed(..) => Message::Start,
        };
        self.underway.len() < NOTICES_UNDERWAY_MAX && self.send_message(notice, &message, core::iter::empty())
    }

    fn send_message<'l>(
        &mut self,
        notice: Notice,
        message: &Message<'_>,
        lines: impl Iterator<Item = &'l [u8]>,
    ) -> bool {
        let number = self.number.wrapping_add(1);
        let sent = self.transmit(number, message, lines);
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
        self.missed.fill(0);
        self.sync = Sync::Told;
        // Of the bans the command child need not be told any more, as they end.
        if self.role == Role::Commands {
            self.waiting.retain(|notice| notice.jail().is_none());
        }
        self.wait(Notice::Stop);
    }

    /// After [`Link::stop`]: goes on until the child has ended. `true`: it has.
    pub fn has_stopped(&mut self, source: &impl Source) -> bool {
        let mut buffer = [0; 64];
        while let Some(socket) = &self.socket {
            match seqpacket::receive(socket, &mut buffer) {
                Ok(seqpacket::Received::Nothing) => break,
                Ok(seqpacket::Received::Message(length)) => {
                    match buffer.get(..length).and_then(message::decode_report) {
                        Some(Report::Done(number)) => self.underway.retain(|(sent, _)| *sent != number),
                        Some(Report::Hello { plan, again }) => self.greet(plan, again),
                        Some(Report::Again) | None => {}
                    }
                }
                Ok(seqpacket::Received::End) | Err(_) => self.socket = None,
            }
        }
        self.sync = Sync::Told;
        self.flush(source);
        self.socket.is_none() || self.state == State::Foreign
    }
}
