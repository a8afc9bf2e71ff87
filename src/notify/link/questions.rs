//! What a lookups child is asked, and what it has found out.

use std::net::IpAddr;

use super::{Link, State};
use crate::action::message::{Event, Found, Lines, Message};
use crate::guard::{Answer, JailId};
use crate::limits::NOTICES_WAITING_MAX;

/// What a lookups child has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The addresses of a name.
    Found(Found),
    /// What `ignorecommand` says.
    Answer(IpAddr, JailId, Answer),
}

impl Link {
    /// Whether one more question can wait here. `None`: nobody will ever answer.
    #[must_use]
    pub fn has_place(&self) -> Option<bool> {
        let alive = self.socket.is_some() && self.state != State::Foreign;
        alive.then_some(self.waiting.len() < NOTICES_WAITING_MAX)
    }

    /// Asks whether the address of this event is ignored.
    pub fn ask(&mut self, event: Event) {
        self.wait(Message::Ask(event));
    }

    /// Asks for the addresses of a name; `place` is where it is found when it is sent.
    pub fn resolve(&mut self, place: u16) {
        self.wait(Message::Resolve(place, Lines::default()));
    }

    /// The next thing that was found out.
    pub fn next_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// What is not under way was asked under another configuration.
    pub(super) fn take_answer(&mut self, number: u32, answer: Answer) {
        let place = self.underway.iter().position(|(sent, _)| *sent == number);
        if let Some((_, Message::Ask(event))) = place.and_then(|place| self.underway.remove(place)) {
            let jail = JailId(event.jail);
            self.heard
                .push_back(Heard::Answer(event.net.addr(), jail, answer));
        }
    }
}
