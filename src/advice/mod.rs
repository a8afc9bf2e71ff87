//! "Is Asterisk telling us enough?" What the log will never show, and which setting of Asterisk's changes
//! that.
//!
//! Pure: [`advise`] reads Asterisk's own configuration through [`Files`] and says in one line each what is
//! wrong. From the text inwards: `conf` is the grammar, `include` the files, `places` where they are and
//! which modules run; then one file a topic: `logger`, `dates`, `rotation`, `sip`, `pjsip`, `iax`, `web`.
//! Each claim is of the logs of real attacks on Asterisk 1.8 to 22, or of Asterisk's source.
//!
//! Not reported, since nothing is lost by it: `use_callids`, `queue_log`, `rotatestrategy`,
//! `exec_after_rotate`, addresses that are bound, `insecure=invite` of a trunk.
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod conf;
mod dates;
mod iax;
mod include;
mod logger;
mod pjsip;
mod places;
mod rotation;
mod sip;
mod syslog;
#[cfg(test)]
mod tests;
mod web;

use core::fmt;
use std::io;

use crate::config::{Config, FilterName};
use crate::escape::Escaped;
use crate::limits::ASTERISK_ADVICE_MAX;
use conf::{Conf, Entry};
use include::Opened;

/// The machine, as the caller answers for it. Paths are absolute.
pub trait Files {
    /// The bytes of a regular file; more than [`crate::limits::ASTERISK_CONFIG_BYTES_MAX`] need not be read,
    /// one more shows that it is too large.
    ///
    /// # Errors
    /// What the system says.
    fn read(&mut self, path: &str) -> io::Result<Vec<u8>>;

    /// The names in a directory; none if it cannot be read.
    fn names(&mut self, directory: &str) -> Vec<String>;

    /// The directory without symbolic links; the same text if it cannot be told.
    fn resolve(&mut self, directory: &str) -> String;

    /// The size of a file, in bytes, if it is there.
    fn size(&mut self, path: &str) -> Option<u64>;
}

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub enum Directory<'a> {
    /// This directory holds the files, whatever its asterisk.conf says of `astetcdir`.
    Named(&'a str),
    /// `/etc/asterisk`, or the `astetcdir` that asterisk.conf names there.
    Usual,
}

/// How much is lost, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing is guarded.
    Deaf,
    /// A file could not be read: what else is said may be wrong.
    Unread,
    /// Attacks leave no trace.
    Unseen,
    /// What is logged proves little.
    Doubtful,
    /// It works today.
    Upkeep,
}

/// One finding; shown as `asterisk: logger.conf:12: what is lost, and what changes that`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// How much is lost.
    pub weight: Weight,
    origin: String,
    what: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asterisk: {}: {}", self.origin, self.what)
    }
}

/// What `config`'s jails on Asterisk's log will not see, the worst first; nothing if no jail reads it.
///
/// `hostname` is the machine's, for `appendhostname`.
pub fn advise(
    config: &Config,
    directory: Directory<'_>,
    hostname: &str,
    files: &mut dyn Files,
) -> Vec<Advice> {
    if !config
        .jails
        .iter()
        .any(|jail| jail.filter == FilterName::Asterisk)
    {
        return Vec::new();
    }
    let mut inquiry = Inquiry {
        files,
        etc: String::new(),
        found: false,
        advice: Vec::new(),
    };
    let places = places::find(directory, &mut inquiry);
    let shown = logger::judge(config, &places, hostname, &mut inquiry);
    sip::judge(&places, shown, &mut inquiry);
    pjsip::judge(&places, shown, &mut inquiry);
    iax::judge(&places, &mut inquiry);
    web::judge(&places, &mut inquiry);
    if !inquiry.found {
        return vec![Advice {
            weight: Weight::Unread,
            origin: Escaped(inquiry.etc.as_bytes()).to_string(),
            what: "no configuration of Asterisk here: what its log leaves out is not known".to_owned(),
        }];
    }
    inquiry.advice
}

/// What is asked, and what was found so far.
struct Inquiry<'f> {
    files: &'f mut dyn Files,
    /// Where Asterisk's files are.
    etc: String,
    /// One of them was there.
    found: bool,
    /// The worst first; at the bound the least goes.
    advice: Vec<Advice>,
}

impl Inquiry<'_> {
    /// Reads a file; `None` if it is not there, cannot be read or is not taken by Asterisk, which is said.
    fn open(&mut self, name: &str) -> Option<Conf> {
        self.try_open(name).ok()
    }

    /// The same; the error is whether the file is missing.
    fn try_open(&mut self, name: &str) -> Result<Conf, bool> {
        let etc = self.etc.clone();
        let Opened::Read(conf, hindrances) = include::open(&etc, name, self.files) else {
            return Err(true);
        };
        self.found = true;
        let mut refused = false;
        for hindrance in hindrances {
            refused |= hindrance.refused;
            let weight = if hindrance.refused && name == "logger.conf" {
                Weight::Deaf
            } else {
                Weight::Unread
            };
            self.say(weight, hindrance.origin, hindrance.what);
        }
        if refused || conf.files.is_empty() {
            return Err(false);
        }
        Ok(conf)
    }

    fn say(&mut self, weight: Weight, origin: String, what: impl Into<String>) {
        let what = what.into();
        let advice = Advice { weight, origin, what };
        if !self.advice.contains(&advice) {
            let at = self.advice.partition_point(|other| other.weight <= weight);
            self.advice.insert(at, advice);
            self.advice.truncate(ASTERISK_ADVICE_MAX);
        }
    }
}

/// Whether a setting that is off by default is on.
fn is_on(entry: Option<&Entry>) -> bool {
    entry.is_some_and(Entry::is_yes)
}

/// Whether a setting that is on by default is off.
fn is_off(entry: Option<&Entry>) -> bool {
    entry.is_some_and(Entry::is_no)
}
