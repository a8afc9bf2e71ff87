//! What happens on a ban beside the kernel's sets: mails, and commands of the user's own (`action.d`).
//!
//! Pure: [`script`] is the text of a command made ready to run, [`commands`] the order in which an action's
//! commands run, [`mail`] writes letters and [`letters`] decides when, [`recent`] keeps the lines that go with
//! them, [`lookups`] what is found out for the guard, [`message`] is what the guard and its child say to each other. `notify` runs the programs.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use core::hash::{Hash, Hasher};
use std::rc::Rc;

use crate::config::{Config, UseDns};

pub mod commands;
pub mod job;
pub mod letters;
pub mod lookups;
pub mod mail;
pub mod message;
pub mod recent;
pub mod script;
mod steps;
pub mod text;

use script::Script;

/// One action of a jail.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Action {
    /// Its name in the list.
    pub name: String,
    /// What it does.
    pub does: Does,
}

/// What an action does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Does {
    /// Writes letters.
    Mail(Letter),
    /// Runs commands.
    Run(Rc<Commands>),
}

/// Which child an action needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One without privileges, which mails.
    Mail,
    /// One with all of ours, which runs commands.
    Commands,
    /// One without privileges, which looks names up and asks `ignorecommand`.
    Lookups,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Mail, Role::Commands, Role::Lookups];

    /// The word on the child's command line and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Mail => "mail",
            Role::Commands => "commands",
            Role::Lookups => "lookups",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it keeps all of our power.
    #[must_use]
    pub const fn is_root(self) -> bool {
        matches!(self, Role::Commands)
    }
}

impl Action {
    /// Who does it.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.does {
            Does::Mail(_) => Role::Mail,
            Does::Run(_) => Role::Commands,
        }
    }

    /// Whether the log lines of a ban are wanted.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        match &self.does {
            Does::Mail(letter) => letter.lines,
            Does::Run(commands) => commands.families.iter().any(|family| family.ban.wants_lines()),
        }
    }
}

/// A mail action: to whom, from whom, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Letter {
    /// Which program takes the mail.
    pub by: Mailer,
    /// `dest`: printable ASCII, at least one.
    pub dest: Vec<String>,
    /// `sender`: printable ASCII.
    pub sender: String,
    /// `sendername`: without control characters.
    pub sendername: String,
    /// `name`: what the mails call the jail.
    pub name: String,
    /// Whether whois is asked about the address.
    pub whois: bool,
    /// Whether the log lines that led to the ban are shown.
    pub lines: bool,
    /// `sendmail-buffered`: so many bans come in one mail.
    pub buffered: Option<u16>,
}

/// Which program takes a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mailer {
    /// `sendmail -t -i -f SENDER`: exim, postfix, msmtp, busybox.
    Sendmail,
    /// `mail -s SUBJECT DEST`.
    Mail,
}

/// The commands of an action, for IPv4 and for IPv6.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commands {
    /// IPv4's, IPv6's.
    pub families: [Scripts; 2],
    /// Whether the two differ, so that each is started by itself.
    pub by_family: bool,
    /// Whether it is started with its first ban, not with the jail.
    pub on_demand: bool,
    /// Whether bans of before a restart are not told to it.
    pub norestored: bool,
    /// How long one command may take, in seconds.
    pub timeout: u64,
}

/// The commands of an action, by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scripts {
    /// `actionstart`.
    pub start: Script,
    /// `actionstop`.
    pub stop: Script,
    /// `actioncheck`.
    pub check: Script,
    /// `actionban`.
    pub ban: Script,
    /// `actionunban`.
    pub unban: Script,
    /// `actionflush`.
    pub flush: Script,
    /// `actionrepair`.
    pub repair: Script,
}

impl Scripts {
    /// Every command, by its key.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &Script)> {
        [
            ("start", &self.start),
            ("check", &self.check),
            ("ban", &self.ban),
            ("unban", &self.unban),
            ("flush", &self.flush),
            ("stop", &self.stop),
            ("repair", &self.repair),
        ]
        .into_iter()
        .filter(|(_, script)| !script.is_empty())
    }
}

/// A number that two configurations share only if a child of this kind can do what both want by the same plan.
#[must_use]
pub fn plan(config: &Config, role: Role) -> u64 {
    let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
    for jail in &config.jails {
        jail.name.hash(&mut fnv);
        match role {
            Role::Mail | Role::Commands => {
                let actions = jail.actions.iter().filter(|action| action.role() == role);
                actions.for_each(|action| action.hash(&mut fnv));
            }
            Role::Lookups => (&jail.ignorenames, &jail.ignorecommand, jail.usedns).hash(&mut fnv),
        }
    }
    fnv.finish()
}

/// Whether some jail needs a child of this kind.
#[must_use]
pub fn needs(config: &Config, role: Role) -> bool {
    config.jails.iter().any(|jail| match role {
        Role::Mail | Role::Commands => jail.actions.iter().any(|action| action.role() == role),
        Role::Lookups => {
            !jail.ignorenames.is_empty() || jail.ignorecommand.is_some() || jail.usedns != UseDns::No
        }
    })
}

/// FNV-1a: the same in every process, which the standard library's hash is not.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
