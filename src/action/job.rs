//! What a jail's actions and the child that runs their programs say to each other.

use core::fmt;

use super::message::{Event, Found, Lines};
use crate::guard::Answer;
use crate::time::{Mono, Wall};

/// Now, by both clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// For limits and pauses.
    pub mono: Mono,
    /// For the date of a mail, in UTC.
    pub utc: Wall,
    /// Local time minus UTC, in seconds.
    pub offset_s: i32,
}

/// A program to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its words; the first is its name.
    pub words: Vec<String>,
    /// Its environment, beside the usual.
    pub variables: Vec<(String, String)>,
    /// What it reads.
    pub input: Vec<u8>,
    /// How long it may take, in seconds.
    pub seconds: u64,
    /// So many bytes of what it says are kept.
    pub keep: usize,
    /// Whether it must not gain privileges, not even by a set-user-id program as mail programs are.
    pub confined: bool,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It took too long and was killed.
    TooLong,
    /// It could not be started, and why.
    NotStarted(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(code) => write!(f, "exit code {code}"),
            End::Signal(number) => write!(f, "ended by signal {number}"),
            End::TooLong => f.write_str("took too long and was killed"),
            End::NotStarted(why) => write!(f, "cannot be started: {why}"),
        }
    }
}

/// A program that has ended, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub end: End,
    /// The beginning of its output.
    pub output: Vec<u8>,
}

impl Ended {
    /// Whether it did what it should.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.end == End::Exit(0)
    }
}

/// A line for our log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// Something was done.
    Info(String),
    /// Something was not done.
    Warn(String),
}

/// What came of a turn, beside programs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Out {
    /// For the log.
    pub said: Vec<Say>,
    /// Numbers of the messages that are done.
    pub done: Vec<u32>,
    /// Jails whose bans the guard has to tell again.
    pub again: Vec<u16>,
    /// Addresses of names.
    pub found: Vec<Found>,
    /// What `ignorecommand` said, by the numbers of the messages that asked.
    pub answers: Vec<(u32, Answer)>,
}

impl Out {
    pub(super) fn warn(&mut self, text: String) {
        self.said.push(Say::Warn(text));
    }

    pub(super) fn done(&mut self, number: Option<u32>) {
        self.done.extend(number);
    }
}

/// What a jail is told.
#[derive(Clone, Copy, Debug)]
pub enum Told<'m> {
    /// The jail has started.
    Start,
    /// A ban, with its lines.
    Ban(Event, Lines<'m>),
    /// A ban is over.
    Unban(Event),
    /// So many bans could not be told.
    Missed(u32),
    /// All bans that are in force follow.
    SyncBegin,
    /// These were all.
    SyncEnd,
    /// The jail stops.
    Stop,
    /// Whether this address is ignored.
    Ask(Event),
    /// What addresses the name in this line has.
    Resolve(Lines<'m>),
}

/// The actions of one jail, one program at a time.
pub trait Lane {
    /// Takes a message; its number comes out as done when it is.
    fn tell(&mut self, number: Option<u32>, told: Told<'_>, out: &mut Out);
    /// The next program to run; `None` if one is running or there is nothing to do.
    fn next(&mut self, now: Now, out: &mut Out) -> Option<Program>;
    /// How the program ended that came last.
    fn ended(&mut self, ended: &Ended, out: &mut Out);
    /// When to look again although nothing ended.
    fn deadline(&self) -> Option<Mono>;
    /// Whether nothing is left to do at once.
    fn is_idle(&self) -> bool;
    /// The time to stop is nearly over: only what must be done still is.
    fn hurry(&mut self);
}
