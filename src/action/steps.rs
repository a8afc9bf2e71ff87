//! What the commands of a jail's actions have to go through, step by step.

use std::rc::Rc;

use ipnet::IpNet;

use super::Commands;
use super::message::Event;

/// One key of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Start, if it is not started.
    Ensure,
    Start,
    Check,
    Repair,
    Ban,
    Unban,
    /// Unban, one after the other, what is held and lies behind this.
    UnbanAll(Option<IpNet>),
    Flush,
    Stop,
}

impl Op {
    pub(super) fn key(self) -> &'static str {
        match self {
            Op::Ensure | Op::Start => "actionstart",
            Op::Check => "actioncheck",
            Op::Repair => "actionrepair",
            Op::Ban => "actionban",
            Op::Unban | Op::UnbanAll(_) => "actionunban",
            Op::Flush => "actionflush",
            Op::Stop => "actionstop",
        }
    }
}

/// One step of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) action: usize,
    pub(super) family: usize,
    pub(super) op: Op,
    /// It has been tried before.
    pub(super) again: bool,
    /// Nobody needs to know if it fails.
    pub(super) quiet: bool,
    pub(super) event: Option<Event>,
}

/// A step that is under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) step: Move,
    pub(super) line: usize,
    /// Whether a line before the last failed, too.
    pub(super) failed: bool,
}

/// A message that is to be acted on.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: Option<u32>,
    pub(super) what: What,
    pub(super) matches: String,
}

/// What it says.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Start,
    Ban(Event),
    Unban(Event),
    Stop,
}

/// An action, and for which families it is started.
pub(super) struct Action {
    pub(super) name: String,
    pub(super) commands: Rc<Commands>,
    pub(super) started: [bool; 2],
}

impl Action {
    pub(super) fn is_started(&self, family: usize) -> bool {
        let family = if self.commands.by_family { family } else { 0 };
        self.started.get(family) == Some(&true)
    }
}

/// Which of its commands are for this address.
pub(super) fn family_of(net: IpNet) -> usize {
    usize::from(net.addr().is_ipv6())
}

/// The end of a ban of which nothing else is known.
pub(super) fn over(jail: u16, net: IpNet) -> Event {
    Event {
        jail,
        net,
        failures: 0,
        bantime: None,
        time: 0,
        restored: false,
    }
}
