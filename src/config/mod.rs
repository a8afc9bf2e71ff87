//! fail2ban's `jail.local`, read as it is.
//!
//! Pure: files are read by the caller, and what is here turns text into settings or into an error that
//! names file, line and key. From the text inwards: `parse` is the grammar, [`ini`] and `include` the files
//! in layers, [`interpolate`] resolves `%(name)s`, `settings` is the table of keys, `value` and `ports`
//! read one value and `reading` says what is wrong with it, `action` is the list of actions, `letter` those that
//! mail and `command` those of `action.d`, `ignore` is who is never banned, `filter` finds a filter, `tags` the values of either and `expressions` reads them, `options` are those of either, `feed` is where lines come from,
//! `jail` puts a
//! jail together, `load` the whole, and [`mod@describe`] shows what came out.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::io;
use std::path::Path;
use std::rc::Rc;

use ipnet::IpNet;

use crate::action::Action;
use crate::action::script::Script;
use crate::filter::custom::Definition;
use crate::filter::sshd;
use crate::guard::{Escalation, Evidence};

mod action;
mod changes;
mod command;
pub mod describe;
pub mod error;
mod escalation;
mod evidence;
mod expressions;
mod feed;
mod filter;
mod ignore;
mod include;
pub mod ini;
pub mod interpolate;
mod jail;
mod letter;
mod load;
mod options;
mod parse;
mod ports;
mod reading;
mod settings;
mod tags;
#[cfg(test)]
mod tests;
mod value;

pub use changes::changes;
pub use describe::describe;
pub use error::{Error, Origin, Warning};
pub(crate) use feed::is_match;
pub use value::seconds;

/// A whole configuration, resolved: no names, no interpolation, no inheritance left.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The enabled jails, in the order of the file; a [`crate::guard::JailId`] is an index here.
    pub jails: Vec<Jail>,
    /// `firewall`: which part of the kernel holds the bans.
    pub firewall: Backend,
    /// `ring`: recent failures kept, over all jails.
    pub ring: u32,
    /// `maxbans`: bans kept at the same time, over all jails.
    pub maxbans: u32,
    /// `ipv6prefix`: IPv6 sources are counted and banned by networks of this length.
    pub ipv6prefix: u8,
    /// `dbfile`: where bans survive a reboot; `None` is fail2ban's `None` or `:memory:`.
    pub dbfile: Option<String>,
    /// `notifyuser`: as whom mails are sent.
    pub notifyuser: String,
    /// `dbshort`: where short bans and the places in the logs are kept, if not in `dbfile`: in memory (tmpfs) they
    /// cost a router's flash nothing.
    pub dbshort: Option<String>,
    /// `dbpurgeage`: how long an ended ban is remembered, in seconds; `None` is for ever.
    pub dbpurgeage: Option<u64>,
    /// `onstop`: what becomes of the bans in the kernel when sipguard stops.
    pub onstop: OnStop,
    /// `socket`: where `sipguard status`, `ban`, `unban` and `reload` find the guard.
    pub socket: String,
    /// `user`: who the guard becomes when it guards; `None` is `sipguard` if there is such a user, else `nobody`.
    pub user: Option<String>,
    /// `loglevel`; `None`: as the command line says.
    pub loglevel: Option<LogLevel>,
    /// `readlogs`: by which right it reads logs that belong to others.
    pub readlogs: ReadLogs,
    /// Where these settings are written.
    pub origins: Origins,
}

/// One enabled jail.
#[derive(Clone, Debug, PartialEq)]
pub struct Jail {
    /// The section's name.
    pub name: String,
    /// `filter`: who reads the lines.
    pub filter: FilterName,
    /// The jail's own `failregex` and `ignoreregex` beside a built-in filter; with a filter of the user's own
    /// they are part of that.
    pub own: Option<Rc<Definition>>,
    /// `backend` and `journalmatch`: where its lines come from.
    pub feed: Feed,
    /// `logpath`: files and glob patterns, absolute; none if its lines come from elsewhere.
    pub logpaths: Vec<String>,
    /// Whether `logpaths` are built in: places where the log may be, of which one is enough.
    pub logpaths_guessed: bool,
    /// `maxretry`: so many failures within `findtime` bring a ban.
    pub maxretry: u32,
    /// `findtime`, in seconds.
    pub findtime: u64,
    /// `bantime`, in seconds; `None` is for ever (`-1`).
    pub bantime: Option<u64>,
    /// `bantime.unproven`: a ban on unproven evidence lasts no longer than this, in seconds.
    pub bantime_unproven: Option<u64>,
    /// `bantime.increment` and its family; `None` if every ban is as long as the first.
    pub escalation: Option<Escalation>,
    /// `counting` and its family: what counts beside the number of failures.
    pub evidence: Evidence,
    /// `ignoreip`: never banned.
    pub ignoreip: Vec<IpNet>,
    /// The names in `ignoreip`: their addresses are never banned. Sorted, in small letters.
    pub ignorenames: Vec<String>,
    /// `ignorecommand`: asked before a ban.
    pub ignorecommand: Option<IgnoreCommand>,
    /// `usedns`: what becomes of names in lines; [`UseDns::No`] for filters that find none.
    pub usedns: UseDns,
    /// What its firewall actions block; empty if the jail has no firewall action. At most one block for
    /// each protocol, its ports sorted and merged, at most [`crate::limits::PORTS_MAX`] ranges in each.
    pub blocks: Vec<Block>,
    /// `reach`: what of that a ban drops.
    pub reach: Reach,
    /// What else its actions do, in their order.
    pub actions: Vec<Action>,
    /// `maxmatches`: so many lines of a source are shown in a mail or given to a command.
    pub maxmatches: u32,
    /// Where these settings are written.
    pub origins: Origins,
}

/// `ignorecommand`: whom it says 0 about is not banned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IgnoreCommand {
    /// One command.
    pub script: Script,
    /// `ignorecache`; `None`: no answer is kept.
    pub cache: Option<IgnoreCache>,
}

/// `ignorecache`: answers are kept by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IgnoreCache {
    /// `max-count`: at most so many; at most [`crate::limits::IGNORECACHE_MAX`].
    pub count: u32,
    /// `max-time`: so long, in seconds.
    pub seconds: u64,
}

/// `usedns`: what becomes of a name in a line, where an address is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UseDns {
    /// It counts for nobody.
    No,
    /// Its addresses are claimed: they support other evidence, and never are banned for it alone.
    Warn,
    /// Its addresses count, unproven.
    Yes,
}

/// `loglevel`, as far as we tell levels apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `CRITICAL`, `ERROR`
    Error,
    /// `WARNING`
    Warning,
    /// `NOTICE`, `INFO`
    Info,
    /// `DEBUG` and what is below.
    Debug,
}

/// Where the lines of a jail come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Files, or pipes: `logpath`.
    Files,
    /// systemd's journal: what these words of `journalmatch` match, as journalctl(1) takes them.
    Journal(Vec<String>),
    /// OpenWrt's logd: all that `logread -f` prints.
    Logread,
}

/// `reach`: what bans drop of what the jail's actions block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All, if it is proven that the source sent what it is banned for; else only what belongs to flows that the
    /// source opened, so that whoever forges its address cannot cut us off from it.
    Proof,
    /// All, as fail2ban's bans do.
    All,
}

impl Reach {
    /// The name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reach::Proof => "proof",
            Reach::All => "all",
        }
    }
}

/// Where settings are written, by key; what is not in it is built in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(pub(self) Vec<(&'static str, Origin)>);

impl Origins {
    /// Where `key` is written; `None` if its value is built in.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Origin> {
        self.0
            .iter()
            .find_map(|(name, origin)| (*name == key).then_some(origin))
    }
}

/// Who reads the lines of a jail.
#[derive(Clone, Debug, PartialEq)]
pub enum FilterName {
    /// The built-in filter `asterisk`.
    Asterisk,
    /// The built-in filter `sshd`, and what counts beside failed logins.
    Sshd(sshd::Mode),
    /// The built-in filter `dropbear`.
    Dropbear,
    /// The built-in filter `recidive`: no log, but the bans of all other jails.
    Recidive,
    /// `filter.d/NAME.conf`.
    Custom(Rc<Definition>),
}

impl FilterName {
    /// The names of the built-in filters.
    pub const BUILT_IN: [&'static str; 3] = ["asterisk", "sshd", "dropbear"];

    /// The name in the file.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            FilterName::Asterisk => "asterisk",
            FilterName::Sshd(_) => "sshd",
            FilterName::Dropbear => "dropbear",
            FilterName::Recidive => "recidive",
            FilterName::Custom(definition) => &definition.name,
        }
    }
}

/// What one firewall action blocks: all of a protocol, or some ports of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which packets.
    pub protocol: Protocol,
    /// Destination ports, inclusive ranges; empty means every port. Always empty with [`Protocol::All`].
    pub ports: Vec<(u16, u16)>,
}

/// `protocol` of a firewall action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Every packet of the source, whatever its protocol and port.
    All,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// TCP and UDP (`tcp,udp`).
    TcpUdp,
}

/// `firewall`: which part of the kernel holds the bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Ask the kernel: nftables if it has it, else ipset.
    Auto,
    /// nftables' own sets.
    Nftables,
    /// ipset, and rules in the iptables tables.
    Ipset,
}

impl Backend {
    /// The name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Backend::Auto => "auto",
            Backend::Nftables => "nftables",
            Backend::Ipset => "ipset",
        }
    }
}

/// `onstop`: what becomes of the bans in the kernel when sipguard stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// They stay in force until they end, or sipguard starts again: nothing gets through during an upgrade.
    Keep,
    /// They are lifted, and nothing of ours stays.
    Remove,
}

/// `readlogs`: by which right logs are read that belong to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadLogs {
    /// As the groups that the logs have; with the capability if that is not enough.
    Auto,
    /// As the groups only, even if some log then cannot be read.
    Groups,
    /// With CAP_DAC_READ_SEARCH, which reads every file of the machine.
    Capability,
}

impl ReadLogs {
    /// The name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ReadLogs::Auto => "auto",
            ReadLogs::Groups => "groups",
            ReadLogs::Capability => "capability",
        }
    }
}

/// Where the bans are kept over a reboot if the file does not say.
pub const DBFILE_DEFAULT: &str = "/var/lib/sipguard/bans";

/// Where the guard is found if the file does not say.
pub const SOCKET_DEFAULT: &str = "/run/sipguard/sipguard.sock";

/// Reads the configuration at `path`, and what it includes, through `read`.
///
/// A file without any jail configures the built-in jail `asterisk`. A file whose jails are all disabled is
/// an error: a guard that guards nothing must not look like one that does.
///
/// # Errors
/// The user's mistakes, as many as are found at once; or the file that could not be read.
pub fn load(
    path: &Path,
    read: &mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
) -> Result<(Config, Vec<Warning>), Error> {
    load::load(path, read)
}

impl Config {
    /// The configuration without any file: one jail, `asterisk`, on the log files where Asterisk puts what a
    /// guard needs; never `full`, where debug output may hold forged lines.
    ///
    /// The numbers are fail2ban's: 5 failures within 10 minutes, 10 minutes of ban. A phone whose password
    /// was mistyped once stays, one that retries a wrong password for ever comes back when it is mended,
    /// and a scanner has some 360 guesses a day. Both of SIP's ports are closed to it, over UDP and TCP.
    #[must_use]
    pub fn built_in() -> Config {
        let jail = Jail {
            name: "asterisk".to_owned(),
            filter: FilterName::Asterisk,
            own: None,
            feed: Feed::Files,
            logpaths: settings::ASTERISK_LOGS.split('\n').map(str::to_owned).collect(),
            logpaths_guessed: true,
            maxretry: 5,
            findtime: 600,
            bantime: Some(600),
            bantime_unproven: None,
            escalation: None,
            evidence: evidence::built_in(),
            ignoreip: Vec::new(),
            ignorenames: Vec::new(),
            ignorecommand: None,
            usedns: UseDns::No,
            blocks: vec![Block {
                protocol: Protocol::TcpUdp,
                ports: vec![(5060, 5061)],
            }],
            reach: Reach::Proof,
            actions: Vec::new(),
            maxmatches: 5,
            origins: Origins::default(),
        };
        Config {
            jails: vec![jail],
            firewall: Backend::Auto,
            ring: crate::limits::RING_DEFAULT,
            maxbans: crate::limits::MAXBANS_DEFAULT,
            ipv6prefix: 64,
            dbfile: Some(DBFILE_DEFAULT.to_owned()),
            notifyuser: "nobody".to_owned(),
            dbshort: None,
            dbpurgeage: Some(86_400),
            onstop: OnStop::Keep,
            socket: SOCKET_DEFAULT.to_owned(),
            user: None,
            loglevel: None,
            readlogs: ReadLogs::Auto,
            origins: Origins::default(),
        }
    }
}
