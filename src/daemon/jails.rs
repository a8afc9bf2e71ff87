//! The jails of a configuration as the loop needs them: which file feeds which filters and jails.

use std::io;
use std::path::Path;
use std::rc::Rc;

use super::log_names::LogNames;
use super::names::Names;
use crate::config::{self, Config, Feed, FilterName, UseDns, Warning};
use crate::filter::asterisk::Asterisk;
use crate::filter::custom::{Custom, Definition};
use crate::filter::dropbear::Dropbear;
use crate::filter::sshd::Sshd;
use crate::filter::{Context, Filter, Lens, Reading, Trail};
use crate::firewall::JailRule;
use crate::guard::{Bannet, JailId, Policy, Source, Trust};
use crate::limits::{CONFIG_BYTES_MAX, JAILS_MAX, LOGS_MAX};
use crate::notify::record::Record;
use crate::sys::file;
use crate::tail::Line;
use crate::time::Mono;

/// Where the configuration is looked for if the command line names none.
const DEFAULT_PATH: &str = "/etc/sipguard/jail.local";

/// Reads the configuration: the file that is named, else the default one, else what is built in.
///
/// # Errors
/// The first mistake in the file, or that a file which was asked for cannot be read.
pub fn load(path: Option<&Path>) -> Result<(Config, Vec<Warning>), config::Error> {
    load_recorded(path).map(|(config, warnings, _)| (config, warnings))
}

/// The same, with the files as they were read.
pub(super) fn load_recorded(path: Option<&Path>) -> Result<(Config, Vec<Warning>, Record), config::Error> {
    match config_file(path) {
        Some(path) => Record::load(path, &mut read_bounded),
        None => Ok((Config::built_in(), Vec::new(), Record::default())),
    }
}

/// The file with the configuration, if there is one.
#[must_use]
pub fn config_file(path: Option<&Path>) -> Option<&Path> {
    path.or_else(|| Some(Path::new(DEFAULT_PATH)).filter(|path| path.exists()))
}

/// One byte more than a file may have, so that one that is too long is found out.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    file::read(path, CONFIG_BYTES_MAX + 1).map(|(text, _)| text)
}

/// All jails: who reads their lines, and what of the kernel they need.
pub struct Jails {
    names: Vec<String>,
    rules: Vec<JailRule>,
    /// The entries of all `logpath`s, each with a bit for every jail that reads it.
    patterns: Vec<(String, u32)>,
    /// What is read beside files, as above.
    feeds: Vec<(Feed, u32)>,
    readers: Vec<Reader>,
    /// Places where a log may be, of which one is enough.
    guesses: Vec<String>,
    names_ignored: Names,
    log_names: LogNames,
}

/// One filter, and the jails that it reads for: a line is read once for all of them.
struct Reader {
    name: FilterName,
    lens: Lens,
    definition: Option<Rc<Definition>>,
    /// Whether names in its lines are wanted.
    names: bool,
    jails: u32,
    /// What it remembers of each file.
    trails: Vec<Trail>,
}

// A jail is a bit.
const _: () = assert!(JAILS_MAX <= u32::BITS as usize);

impl Jails {
    /// Those of a configuration.
    pub fn new(config: &Config) -> Jails {
        let mut jails = Jails {
            names: Vec::new(),
            rules: Vec::new(),
            patterns: Vec::new(),
            feeds: Vec::new(),
            readers: Vec::new(),
            guesses: Vec::new(),
            names_ignored: Names::new(config),
            log_names: LogNames::new(config),
        };
        for (number, jail) in config.jails.iter().enumerate() {
            let bit = 1_u32 << number;
            jails.names.push(jail.name.clone());
            jails.rules.push(JailRule {
                name: jail.name.clone(),
                blocks: jail.blocks.clone(),
                by_proof: jail.reaches_by_proof(),
                wide: jail.evidence.bannet == Bannet::On,
            });
            if jail.logpaths_guessed {
                jails.guesses.extend(jail.logpaths.iter().cloned());
            }
            for pattern in &jail.logpaths {
                read_by(&mut jails.patterns, pattern, bit);
            }
            if jail.feed != Feed::Files {
                read_by(&mut jails.feeds, &jail.feed, bit);
            }
            let Some(lens) = lens(jail) else { continue };
            match jails.readers.iter_mut().find(|reader| reader.is_for(jail)) {
                Some(reader) => reader.jails |= bit,
                None => jails.readers.push(Reader::new(jail, lens, bit)),
            }
        }
        jails
    }

    /// The entries of all `logpath`s, each once, with the bits that [`Line::readers`] brings back.
    pub(super) fn patterns(&self) -> impl Iterator<Item = (&str, u32)> {
        self.patterns
            .iter()
            .map(|(pattern, readers)| (pattern.as_str(), *readers))
    }

    /// What is read beside files, each once, with the bits as above.
    pub(super) fn feeds(&self) -> impl Iterator<Item = (&Feed, u32)> {
        self.feeds.iter().map(|(feed, readers)| (feed, *readers))
    }

    /// Whether nobody asked for this file, so that nobody misses it.
    pub(super) fn is_guess(&self, path: &Path) -> bool {
        self.guesses.iter().any(|guess| Path::new(guess) == path)
    }

    /// The names that they never ban.
    pub(super) fn names(&self) -> &Names {
        &self.names_ignored
    }

    /// The names in their logs that are looked up.
    pub(super) fn log_names(&self) -> &LogNames {
        &self.log_names
    }

    pub(super) fn log_names_mut(&mut self) -> &mut LogNames {
        &mut self.log_names
    }

    pub(super) fn names_mut(&mut self) -> &mut Names {
        &mut self.names_ignored
    }

    /// What of the kernel they need, in their order.
    pub fn rules(&self) -> &[JailRule] {
        &self.rules
    }

    /// Its name.
    pub fn name(&self, jail: JailId) -> &str {
        self.names.get(usize::from(jail.0)).map_or("?", String::as_str)
    }

    /// All jails.
    pub fn all(&self) -> impl Iterator<Item = JailId> + use<> {
        (0..self.names.len()).map(|number| JailId(number as u16))
    }

    /// The jail of that name.
    pub fn named(&self, name: &str) -> Option<JailId> {
        self.names
            .iter()
            .position(|other| other == name)
            .map(|number| JailId(number as u16))
    }

    /// Reads one line with every filter that wants it. `each` gets what it says and for which jails.
    pub(super) fn read(
        &mut self,
        line: &Line<'_>,
        (now, context): (Mono, &Context),
        each: &mut dyn FnMut(Reading, JailBits),
    ) {
        for reader in &mut self.readers {
            let jails = reader.jails & line.readers;
            if jails == 0 {
                continue;
            }
            let reading = reader.read(line.bytes, usize::from(line.file.0), context);
            // What had a name when a line was written long ago may be somebody else's by now.
            if reading == Reading::Nothing && reader.names && !line.backlog {
                let source = Source(line.file.0);
                let names = &mut self.log_names;
                reader
                    .lens
                    .name(|name| names.saw(name, JailBits(jails), source, now));
            }
            each(reading, JailBits(jails));
        }
    }
}

/// Notes that the jail of this bit reads this source, too; each source stands there once.
fn read_by<S: Clone + PartialEq>(sources: &mut Vec<(S, u32)>, source: &S, bit: u32) {
    match sources.iter_mut().find(|(known, _)| known == source) {
        Some((_, readers)) => *readers |= bit,
        None => sources.push((source.clone(), bit)),
    }
}

impl Reader {
    fn new(jail: &config::Jail, lens: Lens, jails: u32) -> Reader {
        let names = jail.usedns != UseDns::No;
        Reader {
            name: jail.filter.clone(),
            names,
            lens: if names { lens.with_names() } else { lens },
            definition: jail.own.clone(),
            jails,
            trails: vec![Trail::default(); LOGS_MAX],
        }
    }

    fn is_for(&self, jail: &config::Jail) -> bool {
        let names = jail.usedns != UseDns::No;
        (&self.name, &self.definition, self.names) == (&jail.filter, &jail.own, names)
    }

    fn read(&mut self, line: &[u8], file: usize, context: &Context) -> Reading {
        match self.trails.get_mut(file) {
            Some(trail) => self.lens.read(line, trail, context),
            None => Reading::Nothing,
        }
    }
}

/// What the lines of this jail are read with; `None` if it reads none.
pub(crate) fn lens(jail: &config::Jail) -> Option<Lens> {
    let filter = match &jail.filter {
        FilterName::Recidive => return None,
        FilterName::Asterisk => Filter::Asterisk(Asterisk),
        FilterName::Sshd(mode) => Filter::Sshd(Sshd { mode: *mode }),
        FilterName::Dropbear => Filter::Dropbear(Dropbear),
        FilterName::Custom(definition) => Filter::Custom(Custom::new(Rc::clone(definition))),
    };
    Some(Lens {
        filter,
        own: jail.own.clone().map(Custom::new),
    })
}

/// Some jails.
#[derive(Clone, Copy)]
pub(super) struct JailBits(pub(super) u32);

impl Iterator for JailBits {
    type Item = JailId;

    fn next(&mut self) -> Option<JailId> {
        let JailBits(bits) = self;
        let lowest = (*bits != 0).then(|| bits.trailing_zeros())?;
        *bits &= *bits - 1;
        Some(JailId(lowest as u16))
    }
}

/// What the guard decides by, in the order of the jails.
#[must_use]
pub fn policies(config: &Config) -> Vec<Policy> {
    let policy = |jail: &config::Jail| Policy {
        maxretry: jail.maxretry,
        findtime: jail.findtime,
        bantime: jail.bantime,
        escalation: jail.escalation.clone(),
        recidive: jail.filter == FilterName::Recidive,
        bantime_unproven: jail.bantime_unproven,
        reach_by_proof: jail.reaches_by_proof(),
        evidence: jail.evidence.clone(),
        trust: Trust::new(jail.ignoreip.iter().copied()),
    };
    config.jails.iter().map(policy).collect()
}
