//! What a log line says: [`Filter::read`] turns the bytes of one line into a [`Reading`].
//!
//! Attacker bytes stop here. What leaves this folder is a small `Copy` value without a slice of the line.
//! The filters know nothing of jails, counts, clocks or the kernel.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod asterisk;
mod cursor;
pub mod custom;
pub mod dropbear;
pub mod sshd;
mod stamp;
pub mod syslog;
mod trail;

pub use stamp::Context;
pub use trail::Trail;

use core::fmt;
use core::net::IpAddr;

use crate::lines::{Cut, Lines};
use crate::time::Wall;

/// Which program's lines are read, and how.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Asterisk, in every layout.
    Asterisk(asterisk::Asterisk),
    /// OpenSSH's server.
    Sshd(sshd::Sshd),
    /// dropbear.
    Dropbear(dropbear::Dropbear),
    /// A filter of the user's own.
    Custom(custom::Custom),
}

impl Filter {
    /// Reads one line, without its newline. `trail` belongs to the file that the line stands in and sees all of
    /// its lines, in order.
    pub fn read(&self, line: &[u8], trail: &mut Trail, context: &Context) -> Reading {
        match self {
            Filter::Asterisk(asterisk) => asterisk.read(line, trail, context),
            Filter::Sshd(sshd) => sshd.read(line, context),
            Filter::Dropbear(dropbear) => dropbear.read(line, context),
            Filter::Custom(custom) => custom.read(line, context),
        }
    }
}

/// What a jail reads its lines with: a filter, and the jail's own expressions beside a built-in one.
#[derive(Clone, Debug)]
pub struct Lens {
    /// The filter.
    pub filter: Filter,
    /// The jail's `failregex` and `ignoreregex`.
    pub own: Option<custom::Custom>,
}

impl Lens {
    /// The next of `lines` that says something, and what: as [`Lens::read`] reads them one by one, in less time.
    pub fn next<'a>(
        &self,
        lines: &mut Lines<'a>,
        trail: &mut Trail,
        context: &Context,
    ) -> Option<(&'a [u8], Reading)> {
        if let (Filter::Asterisk(asterisk), None) = (&self.filter, &self.own) {
            return asterisk.next(lines, trail, context);
        }
        lines.find_map(|cut| {
            let Cut::Line(line) = cut else {
                return None;
            };
            let reading = self.read(line, trail, context);
            (reading != Reading::Nothing).then_some((line, reading))
        })
    }

    /// Reads one line as [`Filter::read`] does. The filter sees every line, ignored or not: it remembers what stands
    /// around it.
    pub fn read(&self, line: &[u8], trail: &mut Trail, context: &Context) -> Reading {
        let reading = self.filter.read(line, trail, context);
        match &self.own {
            None => reading,
            Some(own) if matches!(reading, Reading::Nothing | Reading::Sign(_)) => {
                let found = own.read(line, context);
                if found == Reading::Nothing { reading } else { found }
            }
            Some(own) if own.ignores(line, context) => Reading::Nothing,
            Some(_) => reading,
        }
    }
}

impl Lens {
    /// The same, that keeps the name in a line if one stands where an address is expected.
    #[must_use]
    pub fn with_names(self) -> Lens {
        Lens {
            filter: match self.filter {
                Filter::Custom(custom) => Filter::Custom(custom.with_names()),
                built_in @ (Filter::Asterisk(_) | Filter::Sshd(_) | Filter::Dropbear(_)) => built_in,
            },
            own: self.own.map(custom::Custom::with_names),
        }
    }

    /// Hands the name in the line that was read last to `each`, if there was one.
    pub fn name(&self, mut each: impl FnMut(&str)) {
        if let Filter::Custom(custom) = &self.filter {
            custom.name(&mut each);
        }
        if let Some(own) = &self.own {
            own.name(each);
        }
    }
}

/// The date at the head of a line, whatever the line says; not of Asterisk's `[json]` lines.
#[must_use]
pub fn stamp_of(line: &[u8], context: &Context) -> Option<Wall> {
    let stamp = match asterisk::date_of(line) {
        Some(stamp) => stamp,
        None => syslog::parse(line)?.stamp,
    };
    stamp::parse(stamp, context)
}

/// What one line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing that counts: an ordinary line, or one of another program.
    Nothing,
    /// Somebody failed to get in.
    Failure(Failure),
    /// Nothing failed, but it shows what a source is.
    Sign(Sign),
    /// A line that looks like one of ours and cannot be: log injection, an attempt to evade, or a torn write.
    Suspicious(Suspicion),
}

/// What shows that a source is an ordinary one, or may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// Who, as in [`Failure`].
    pub addr: IpAddr,
    /// A hash of the account's name.
    pub account: Option<u32>,
    /// What was seen of it.
    pub shown: Shown,
    /// The line's own stamp, as in [`Failure`].
    pub at: Option<Wall>,
}

/// What was seen of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It was asked for a password. One spoofed datagram is enough.
    Challenged,
    /// It gave the right password, and the address is its own.
    Known,
}

/// Why a line is suspicious. It never counts against any address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// The head of a known message whose rest does not follow its grammar.
    Torn,
    /// A line without a header where every line has one.
    Orphan,
    /// A message that two addresses could have caused; which one cannot be told from the line.
    Ambiguous,
    /// ESC or NUL inside a message: the logger may have cut text out (`term_strip`, `main/term.c`).
    Control,
}

/// One piece of evidence that `addr` tried to get in and failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who, by the line; IPv4-mapped addresses are unmapped. Never of a kind that
    /// [`crate::addr::is_never_remote`] names.
    pub addr: IpAddr,
    /// What was tried, and at which service.
    pub kind: Kind,
    /// How sure it is that `addr` really sent it.
    pub proof: Proof,
    /// Which attempt this line belongs to, so that several lines of one attempt count once.
    pub attempt: Option<Attempt>,
    /// A hash of the account or extension that was tried, if the line names one: text of the sender.
    pub account: Option<u32>,
    /// The line's own stamp in the log's local time, if its date could be read.
    pub at: Option<Wall>,
}

/// What ties the lines of one attempt together.
///
/// The rule for whoever counts: a stream is a file and a witness. Per address and id, a line joins the oldest
/// attempt of the last ten seconds (sshd: two minutes) in which its own stream has not yet reported its step; an
/// `Opening` may come twice, but not behind a `Closing` or a `Whole` of its own stream. If there is none, it begins a
/// new attempt. So copies of a line in several files meet, and an id that its sender uses again counts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// A hash of what identifies the attempt beside the address: the Call-ID or SessionID, or what else both
    /// lines show (service and account).
    pub id: u64,
    /// Which of Asterisk's two reports of an attempt this line is.
    pub witness: Witness,
    /// How far the attempt had come when the line was written.
    pub step: Step,
}

/// Asterisk reports an attempt twice, in lines of different channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// A NOTICE, WARNING or ERROR message.
    Notice,
    /// A SECURITY event.
    Security,
}

/// How far an attempt had come. One attempt goes from `Opening` to `Closing`; a channel may write the
/// opening twice (once for the request without credentials, once for the one with them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Refused before or without credentials; the same attempt may go on.
    Opening,
    /// Refused with credentials; the attempt is over.
    Closing,
    /// The only line that this channel writes for the attempt.
    Whole,
}

/// How sure it is that the address really sent what the line reports. Greater is surer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// The sender chose the address himself (a Via header): it supports other evidence, never bans alone.
    Claimed,
    /// One spoofed datagram could cause the line.
    Blind,
    /// The sender answered a challenge that was sent to the address.
    Nonce,
    /// A connection-oriented transport: TCP, TLS, WebSocket.
    Transport,
}

impl Proof {
    /// The name used in `--json`, the log and the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Proof::Claimed => "claimed",
            Proof::Blind => "blind",
            Proof::Nonce => "nonce",
            Proof::Transport => "transport",
        }
    }

    /// Whether the address is known to be the sender's.
    #[must_use]
    pub const fn is_proven(self) -> bool {
        matches!(self, Proof::Nonce | Proof::Transport)
    }
}

/// What was tried, shown as `service.class`: `sip.auth`, `pjsip.user`, `sshd.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Which service was attacked.
    pub service: Service,
    /// What was wrong with the attempt.
    pub class: Class,
}

/// The service that was attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// chan_sip (Asterisk 1.x to 20).
    Sip,
    /// chan_pjsip and its modules (Asterisk 12 on).
    Pjsip,
    /// chan_iax2.
    Iax2,
    /// The manager interface, on its own port or by HTTP.
    Ami,
    /// A message that the dialplan wrote (FreePBX: "Rejecting unknown SIP connection").
    Dialplan,
    /// OpenSSH.
    Sshd,
    /// dropbear.
    Dropbear,
    /// A filter of the user's own (`filter.d/NAME.conf`).
    Custom,
}

/// What was wrong with the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wrong password or digest.
    Auth,
    /// Unknown user, peer or endpoint.
    User,
    /// Forbidden by an access list, a domain or a transport rule.
    Acl,
    /// A call to an extension that does not exist.
    Call,
    /// Abuse of the protocol.
    Proto,
}

impl Service {
    /// All of them, in their order.
    pub const ALL: [Service; Service::Custom as usize + 1] = [
        Service::Sip,
        Service::Pjsip,
        Service::Iax2,
        Service::Ami,
        Service::Dialplan,
        Service::Sshd,
        Service::Dropbear,
        Service::Custom,
    ];

    /// The name used in `service.class`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Service::Sip => "sip",
            Service::Pjsip => "pjsip",
            Service::Iax2 => "iax2",
            Service::Ami => "ami",
            Service::Dialplan => "dialplan",
            Service::Sshd => "sshd",
            Service::Dropbear => "dropbear",
            Service::Custom => "custom",
        }
    }
}

impl Class {
    /// All of them, in their order.
    pub const ALL: [Class; Class::Proto as usize + 1] =
        [Class::Auth, Class::User, Class::Acl, Class::Call, Class::Proto];

    /// The name used in `service.class`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Class::Auth => "auth",
            Class::User => "user",
            Class::Acl => "acl",
            Class::Call => "call",
            Class::Proto => "proto",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service.name(), self.class.name())
    }
}
