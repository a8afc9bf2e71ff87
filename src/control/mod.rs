//! The control socket: `sipguard status`, `ban`, `unban` and `reload` talk to the guard over it.
//!
//! `request` is what may be asked, `client` one client's way through it, `listing` what `status` shows, `text` and
//! `json` how. Here are the connections: accepting, reading, writing, and who may do what. It does not know the guard:
//! the loop takes requests out with [`Control::next_request`] and gives an [`Answer`] back.
//!
//! Nobody holds the loop: every call returns at once, each client has a bounded part of a turn and of time, and there
//! are at most [`CLIENTS_MAX`] of them. While there are none, nothing wakes.

pub mod client;
mod json;
pub mod listing;
pub mod request;
mod text;

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

pub use client::{Answer, DONE, NOT_DONE, Pulled, WRONG};
pub use listing::{Listing, View};
pub use request::Request;

use crate::limits::{
    ACCEPT_RETRY_SECONDS, ACCEPTS_PER_TURN, ANSWER_BYTES_PER_TURN, CLIENTS_MAX, REQUEST_BYTES_MAX,
};
use crate::sys::poll::{Interest, Place, Ready, Waiting};
use crate::sys::unix::{self, Listener, Peer};
use crate::time::Mono;
use client::{Client, Wants};

/// The socket and its clients; `R` says how an answer goes on.
pub struct Control<R> {
    listener: Listener,
    clients: Vec<Connection<R>>,
    /// No client is accepted before: descriptors or memory were lacking.
    rests: Option<Mono>,
}

struct Connection<R> {
    stream: UnixStream,
    client: Client<R>,
    peer: Peer,
    may_change: bool,
}

/// Whose request it is, until the end of the turn.
#[derive(Clone, Copy, Debug)]
pub struct Asker(usize);

impl<R> Control<R> {
    /// Makes the socket.
    ///
    /// # Errors
    /// `AddrInUse` if a guard is running already; else why there cannot be one.
    pub fn open(path: &Path) -> io::Result<Control<R>> {
        Ok(Control {
            listener: Listener::open(path)?,
            clients: Vec::with_capacity(CLIENTS_MAX),
            rests: None,
        })
    }

    /// Adds all that is to be waited for. Returns the place of the first one.
    pub fn enroll<'a>(&'a self, waiting: &mut Waiting<'a>) -> Option<Place> {
        let mut first = None;
        if self.rests.is_none() {
            first = Some(waiting.add(self.listener.as_fd(), Interest::Read));
        }
        for connection in &self.clients {
            let interest = match connection.client.wants() {
                Wants::Request => Interest::Read,
                Wants::Room => Interest::Write,
            };
            let place = waiting.add(connection.stream.as_fd(), interest);
            first = first.or(Some(place));
        }
        first
    }

    /// When a turn is due although nothing happened.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let clients = self.clients.iter().map(|connection| connection.client.deadline());
        clients.chain(self.rests).min()
    }

    /// Reads what has come, and takes new clients. `first` is what [`Control::enroll`] gave.
    pub fn begin_turn(&mut self, ready: Ready, first: Option<Place>, now: Mono) {
        let mut place = first;
        let mut is_ready = || {
            let this = place;
            place = place.map(Place::next);
            this.is_some_and(|this| ready.has(this))
        };
        let called = self.rests.is_none() && is_ready();
        for connection in &mut self.clients {
            if is_ready() && connection.client.wants() == Wants::Request {
                connection.read();
            }
        }
        if self.rests.is_some_and(|until| until <= now) {
            self.rests = None;
        }
        if called {
            self.accept(now);
        }
    }

    /// The next request that its client may make; what is wrong or not allowed is answered here.
    pub fn next_request(&mut self, now: Mono) -> Option<(Asker, u32, Request)> {
        for (number, connection) in self.clients.iter_mut().enumerate() {
            let refused = match connection.client.take_request() {
                None => continue,
                Some(Ok(request)) if connection.may_change || !request.changes() => {
                    return Some((Asker(number), connection.peer.uid, request));
                }
                Some(Ok(_)) => Answer::whole(
                    NOT_DONE,
                    "not allowed: only root, and the owner and the group of the socket, may change something",
                ),
                Some(Err(wrong)) => Answer::whole(WRONG, &wrong.to_string()),
            };
            connection.client.answer(refused, now);
        }
        None
    }

    /// Begins to answer.
    pub fn answer(&mut self, asker: Asker, answer: Answer<R>, now: Mono) {
        if let Some(connection) = self.clients.get_mut(asker.0) {
            connection.client.answer(answer, now);
        }
    }

    /// Gives the clients what they take, and lets go of those who are done or took too long. `pull` makes more of an
    /// answer, see [`Client::refill`].
    pub fn end_turn(&mut self, now: Mono, pull: &mut dyn FnMut(&mut R, &mut Vec<u8>) -> Pulled) {
        for connection in &mut self.clients {
            connection.write(now, pull);
        }
        self.clients.retain(|connection| {
            let client = &connection.client;
            !client.is_over() && client.deadline() > now
        });
    }

    fn accept(&mut self, now: Mono) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok(None) => return,
                Ok(Some(stream)) if self.clients.len() >= CLIENTS_MAX => turn_away(stream),
                // Who hung up before we looked has no credentials to show.
                Ok(Some(stream)) => match unix::peer(&stream) {
                    Ok(peer) => self.clients.push(Connection {
                        stream,
                        client: Client::new(now),
                        may_change: may_change(&peer, self.listener.owner()),
                        peer,
                    }),
                    Err(_) => continue,
                },
                Err(_) => {
                    self.rests = Some(now.plus_seconds(ACCEPT_RETRY_SECONDS));
                    return;
                }
            }
        }
    }
}

/// Whoever can connect has passed the mode of the socket's file, and may look. To change something he must be root, or
/// the file's owner or of its group: the administrator may have opened the socket for others to look.
fn may_change(peer: &Peer, owner: Option<(u32, u32)>) -> bool {
    let owns = |(uid, gid): (u32, u32)| peer.uid == uid || peer.groups.contains(&gid);
    peer.uid == 0 || owner.is_some_and(owns)
}

fn turn_away(mut stream: UnixStream) {
    // If it cannot be told, it can be seen.
    let _ = stream.write_all(b"1\ntoo many clients at once; try again\n\0");
}

impl<R> Connection<R> {
    fn read(&mut self) {
        let mut bytes = [0; REQUEST_BYTES_MAX];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.client.hung_up(),
            Ok(count) => self.client.received(bytes.get(..count).unwrap_or_default()),
            Err(error) => self.unless_later(&error),
        }
    }

    /// Writes at most about [`ANSWER_BYTES_PER_TURN`].
    fn write(&mut self, now: Mono, pull: &mut dyn FnMut(&mut R, &mut Vec<u8>) -> Pulled) {
        let mut written = 0;
        while written < ANSWER_BYTES_PER_TURN {
            self.client.refill(now, pull);
            let unsent = self.client.unsent();
            if unsent.is_empty() {
                return;
            }
            match self.stream.write(unsent) {
                Ok(count) => {
                    written += count;
                    self.client.sent(count, now);
                }
                Err(error) => return self.unless_later(&error),
            }
        }
    }

    /// Ends it, unless the error says that there will be another time.
    fn unless_later(&mut self, error: &io::Error) {
        if !unix::is_passing(error) {
            self.client.close();
        }
    }
}

#[cfg(test)]
mod rights {
    use super::*;

    #[test]
    fn root_the_owner_and_the_group_of_the_socket_may_change_something() {
        let check = |uid, groups: &[u32], want| {
            let peer = Peer {
                uid,
                groups: groups.to_vec(),
            };
            assert_eq!(may_change(&peer, Some((7, 20))), want, "{peer:?}");
        };
        check(0, &[0], true);
        check(7, &[7], true);
        check(8, &[8, 20], true);
        check(8, &[8, 7], false);
        check(20, &[0], false);
        let peer = |uid| Peer { uid, groups: vec![0] };
        assert!(may_change(&peer(0), None));
        assert!(!may_change(&peer(8), None), "nobody knows whose socket it was");
    }
}
