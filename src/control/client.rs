//! One client of the control socket: a request line in, an answer out, pulled in pieces as the client reads it.
//!
//! Bytes on the wire: the request and a newline; then the exit code and a newline, text, and a NUL. Without the NUL
//! an answer was cut off. Whatever the client does, one of these holds: it makes progress, or its time runs out.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use super::request::{Request, Wrong};
use crate::limits::{ANSWER_BYTES, ANSWER_TEXT_BYTES_MAX, CLIENT_SECONDS, REQUEST_BYTES_MAX};
use crate::time::Mono;

/// Ends a whole answer; nothing that we say contains it.
pub const END: u8 = 0;

/// Exit code: done.
pub const DONE: u8 = 0;
/// Exit code: not done.
pub const NOT_DONE: u8 = 1;
/// Exit code: wrong usage or configuration.
pub const WRONG: u8 = 2;

/// An answer, or its beginning; `R` says how it goes on.
#[derive(Debug)]
pub struct Answer<R> {
    begun: String,
    rest: Option<R>,
}

impl<R> Answer<R> {
    /// An answer that is whole, cut at [`ANSWER_TEXT_BYTES_MAX`].
    #[must_use]
    pub fn whole(code: u8, text: &str) -> Answer<R> {
        let mut end = text.len().min(ANSWER_TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text.get(..end).unwrap_or_default().trim_end();
        Answer {
            begun: format!("{code}\n{text}\n"),
            rest: None,
        }
    }

    /// An answer that will say what was done, in pieces.
    #[must_use]
    pub fn listing(rest: R) -> Answer<R> {
        Answer {
            begun: format!("{DONE}\n"),
            rest: Some(rest),
        }
    }

    /// An answer that takes several turns to know; what comes later begins with the exit code.
    #[must_use]
    pub fn later(rest: R) -> Answer<R> {
        Answer {
            begun: String::new(),
            rest: Some(rest),
        }
    }
}

/// What became of an answer that was asked to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// There is more to come.
    More,
    /// It is whole.
    Whole,
    /// It cannot be finished.
    Cut,
}

/// What a client is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The rest of its request.
    Request,
    /// Room for more of the answer.
    Room,
}

#[derive(Debug)]
enum State<R> {
    /// The request is not there yet.
    Asking,
    /// It is, and waits to be taken.
    Asked,
    /// The answer is on its way; `None`: all that is left of it stands in `out`.
    Answering(Option<R>),
    /// Nothing is left to do.
    Over,
}

/// One client.
#[derive(Debug)]
pub struct Client<R> {
    state: State<R>,
    request: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    deadline: Mono,
}

impl<R> Client<R> {
    /// A client that has just come.
    #[must_use]
    pub fn new(now: Mono) -> Client<R> {
        Client {
            state: State::Asking,
            request: Vec::new(),
            out: Vec::new(),
            sent: 0,
            deadline: now.plus_seconds(CLIENT_SECONDS.into()),
        }
    }

    /// What it is waited for.
    #[must_use]
    pub fn wants(&self) -> Wants {
        match self.state {
            State::Asking => Wants::Request,
            State::Asked | State::Answering(_) | State::Over => Wants::Room,
        }
    }

    /// Whether the connection can be closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// When its time is over. A request has to come as a whole until then, and each part of the answer has to be read.
    #[must_use]
    pub fn deadline(&self) -> Mono {
        self.deadline
    }

    /// Takes bytes of the request. What comes after its newline is nobody's.
    pub fn received(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Asking) {
            return;
        }
        let end = bytes.iter().position(|&byte| byte == b'\n');
        // One byte more than a request may have is enough to know that it is too long.
        let room = (REQUEST_BYTES_MAX + 1).saturating_sub(self.request.len());
        let part = bytes.iter().take(end.unwrap_or(bytes.len())).take(room);
        self.request.extend(part);
        if end.is_some() || self.request.len() > REQUEST_BYTES_MAX {
            self.state = State::Asked;
        }
    }

    /// The client sends no more, or is gone. A request without its newline may lack something, such as the last digit
    /// of an address, and is none.
    pub fn hung_up(&mut self) {
        if matches!(self.state, State::Asking) {
            self.close();
        }
    }

    /// Nothing more can be said to the client.
    pub fn close(&mut self) {
        self.state = State::Over;
    }

    /// The request, once.
    pub fn take_request(&mut self) -> Option<Result<Request, Wrong>> {
        if !matches!(self.state, State::Asked) {
            return None;
        }
        self.state = State::Answering(None);
        let line = core::mem::take(&mut self.request);
        Some(if line.len() > REQUEST_BYTES_MAX {
            Err(Wrong::too_long())
        } else {
            Request::parse(&line)
        })
    }

    /// Begins to answer.
    pub fn answer(&mut self, answer: Answer<R>, now: Mono) {
        self.deadline = now.plus_seconds(CLIENT_SECONDS.into());
        self.sent = 0;
        self.out = answer.begun.into_bytes();
        if answer.rest.is_none() {
            self.out.push(END);
        }
        self.state = State::Answering(answer.rest);
    }

    /// Lets the answer go on, if the client has read what there was. `pull` appends a part of about [`ANSWER_BYTES`]
    /// to the buffer.
    pub fn refill(&mut self, now: Mono, pull: &mut dyn FnMut(&mut R, &mut Vec<u8>) -> Pulled) {
        let State::Answering(Some(rest)) = &mut self.state else {
            return;
        };
        if self.sent < self.out.len() {
            return;
        }
        self.out.clear();
        self.out.reserve(ANSWER_BYTES);
        self.sent = 0;
        match pull(rest, &mut self.out) {
            // That it takes us long is not the client's fault.
            Pulled::More if self.out.is_empty() => self.deadline = now.plus_seconds(CLIENT_SECONDS.into()),
            Pulled::More => {}
            Pulled::Whole => {
                self.out.push(END);
                self.state = State::Answering(None);
            }
            Pulled::Cut => self.close(),
        }
    }

    /// What the client has yet to be given.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        match self.state {
            State::Answering(_) => self.out.get(self.sent..).unwrap_or_default(),
            State::Asking | State::Asked | State::Over => &[],
        }
    }

    /// The client took so many bytes.
    pub fn sent(&mut self, bytes: usize, now: Mono) {
        self.sent = self.out.len().min(self.sent + bytes);
        self.deadline = now.plus_seconds(CLIENT_SECONDS.into());
        if matches!(self.state, State::Answering(None)) && self.sent == self.out.len() {
            self.state = State::Over;
        }
    }
}

/// What came from the guard, for its client: the exit code and the text of a whole answer, else `None`.
#[must_use]
pub fn open(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [code @ b'0'..=b'2', b'\n', text @ .., END] = bytes else {
        return None;
    };
    Some((code - b'0', text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ANSWER_PIECE_BYTES_MAX;

    const NOW: Mono = Mono(1_000);

    fn client() -> Client<u32> {
        Client::new(NOW)
    }

    /// The request that these pieces come to, or what is wrong with it.
    fn ask(pieces: &[&[u8]]) -> Option<String> {
        let mut client = client();
        for piece in pieces {
            client.received(piece);
        }
        let request = client.take_request()?;
        assert!(client.take_request().is_none(), "once");
        Some(request.map_or_else(|wrong| wrong.to_string(), |request| request.to_string()))
    }

    #[test]
    fn a_request_may_come_in_any_pieces() {
        let line = b"ban 192.0.2.1 --for 10m\nstatus\n";
        let want = Some("ban 192.0.2.1/32 --for 600".to_owned());
        assert_eq!(ask(&[line]), want);
        let single: Vec<&[u8]> = line.chunks(1).collect();
        assert_eq!(ask(&single), want);
        assert_eq!(ask(&[b"status"]), None);
    }

    #[test]
    fn a_request_that_is_too_long_is_known_before_it_ends() {
        let fits = format!("status{}", " ".repeat(REQUEST_BYTES_MAX - 6));
        assert_eq!(ask(&[fits.as_bytes()]), None);
        assert_eq!(ask(&[fits.as_bytes(), b"\n"]), Some("status".to_owned()));
        let long = Some("the request is too long".to_owned());
        assert_eq!(ask(&[fits.as_bytes(), b" "]), long);
        assert_eq!(ask(&[vec![b'x'; 1 << 20].as_slice()]), long);
        let mut client = client();
        client.received(&vec![b'x'; 1 << 20]);
        assert!(client.request.capacity() < 4 * REQUEST_BYTES_MAX);
    }

    #[test]
    fn a_request_without_its_newline_is_none() {
        let mut client = client();
        client.received(b"unban 192.0.2.1");
        client.hung_up();
        assert!(client.is_over() && client.take_request().is_none());
    }

    /// Reads an answer in steps of so many bytes.
    fn read(client: &mut Client<u32>, step: usize) -> Vec<u8> {
        let mut read = Vec::new();
        let mut pull = |rest: &mut u32, out: &mut Vec<u8>| {
            out.extend(format!("{rest:08}\n").repeat(1_000).bytes());
            *rest -= 1;
            if *rest == 0 { Pulled::Whole } else { Pulled::More }
        };
        while !client.is_over() {
            client.refill(NOW, &mut pull);
            let taken: Vec<u8> = client.unsent().iter().copied().take(step).collect();
            assert!(client.out.len() <= ANSWER_BYTES + ANSWER_PIECE_BYTES_MAX);
            client.sent(taken.len(), NOW);
            read.extend(taken);
        }
        read
    }

    #[test]
    fn a_long_answer_is_pulled_as_it_is_read_and_whole() {
        for step in [1, 7, 4_096, usize::MAX] {
            let mut client = client();
            client.received(b"status\n");
            client.take_request().unwrap().unwrap();
            client.answer(Answer::listing(20), NOW);
            client.hung_up();
            let all = read(&mut client, step);
            let (code, text) = open(&all).unwrap();
            assert_eq!((code, text.len()), (DONE, 20 * 9_000));
            assert!(open(&all[..all.len() - 1]).is_none(), "it is cut");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_finished_is_cut() {
        let mut client = client();
        client.answer(Answer::later(1), NOW);
        client.refill(NOW, &mut |_, out| {
            out.extend(b"0\nhalf");
            Pulled::Cut
        });
        assert!(client.is_over() && client.unsent().is_empty());
    }

    #[test]
    fn only_whole_progress_gives_more_time() {
        let late = NOW.plus_seconds(9);
        let mut client = client();
        client.received(b"s");
        assert_eq!(
            client.deadline(),
            NOW.plus_seconds(CLIENT_SECONDS.into()),
            "a byte is none"
        );
        client.received(b"tatus\n");
        client.take_request().unwrap().unwrap();
        client.answer(Answer::whole(NOT_DONE, "no"), late);
        assert_eq!(client.unsent(), b"1\nno\n\0");
        client.sent(3, late.plus_seconds(9));
        assert_eq!(
            client.deadline(),
            late.plus_seconds(9 + u64::from(CLIENT_SECONDS))
        );
    }

    #[test]
    fn a_text_of_any_length_is_bounded() {
        let answer: Answer<u32> = Answer::whole(WRONG, &"ä".repeat(ANSWER_TEXT_BYTES_MAX));
        assert!(answer.begun.len() <= ANSWER_TEXT_BYTES_MAX + 3);
    }

    #[test]
    fn only_a_whole_answer_is_opened() {
        for bytes in [&b""[..], b"0", b"0\n", b"0\nx", b"\0", b"3\n\0", b"0\0", b"0x\0"] {
            assert_eq!(open(bytes), None, "{bytes:?}");
        }
        assert_eq!(open(b"2\nwhy\n\0"), Some((WRONG, &b"why\n"[..])));
        assert_eq!(open(b"0\n\0"), Some((DONE, &b""[..])));
    }
}
