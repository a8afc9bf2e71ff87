//! logger.conf: which file gets what, and which of it a jail follows (`main/logger.c`).

use super::conf::{Conf, Entry, strip};
use super::dates::{self, Verdict};
use super::include::in_directory;
use super::places::Places;
use super::{Inquiry, Weight, is_on, rotation, syslog};
use crate::config::{Config, Feed, FilterName, Jail};
use crate::escape::Escaped;
use crate::glob::glob_matches;

/// What stands in the logs that jails follow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    /// Packets, if SIP debugging is on.
    pub(super) packets: bool,
}

/// Judges `[general]` and `[logfiles]`.
pub(super) fn judge(config: &Config, places: &Places, hostname: &str, inquiry: &mut Inquiry<'_>) -> Shown {
    let conf = match inquiry.try_open("logger.conf") {
        Ok(conf) => conf,
        Err(is_missing) => {
            if is_missing {
                let what = "there is none, so Asterisk logs to its console only; [logfiles] with \
                            `messages.log => notice,warning,error` and `security.log => security`";
                inquiry.say(Weight::Deaf, "logger.conf".to_owned(), what);
            }
            return Shown::default();
        }
    };
    let jails = config
        .jails
        .iter()
        .filter(|jail| jail.filter == FilterName::Asterisk);
    let followed: Vec<Followed> = jails.map(|jail| Followed::new(jail, inquiry)).collect();
    let logs = Logs::new(&conf, places, hostname, &followed, inquiry);
    logs.deaf(&followed, inquiry);
    if followed.iter().all(Followed::is_fed) {
        let syslog = logs
            .channels
            .iter()
            .filter(|channel| matches!(channel.target, Target::Syslog));
        let gets = syslog.map(|channel| channel.levels).reduce(Levels::with);
        let gets = gets.map(|levels| (levels.notice, levels.security));
        syslog::judge(gets, &logs.origin(), syslog::lost(places), inquiry);
        return Shown::default();
    }
    logs.security(places, inquiry);
    logs.levels(places, inquiry);
    logs.unsupported(&followed, places, inquiry);
    logs.verbose(inquiry);
    general(&conf, &logs, inquiry);
    let files: Vec<_> = logs.followed_files().collect();
    rotation::judge(&conf, &files, inquiry);
    Shown {
        packets: logs.heard().verbose,
    }
}

/// A jail and the paths that it follows, each as directory and pattern.
struct Followed<'c> {
    jail: &'c Jail,
    paths: Vec<(String, &'c str)>,
}

impl<'c> Followed<'c> {
    fn new(jail: &'c Jail, inquiry: &mut Inquiry<'_>) -> Followed<'c> {
        let split = |path: &'c String| {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            (inquiry.files.resolve(directory), name)
        };
        Followed {
            jail,
            paths: jail.logpaths.iter().map(split).collect(),
        }
    }

    fn follows(&self, file: &File) -> bool {
        let fits = |(directory, pattern): &(String, &str)| {
            *directory == file.directory && glob_matches(pattern.as_bytes(), file.name.as_bytes())
        };
        self.paths.iter().any(fits)
    }

    /// Whether it reads the journal or logd, and no file.
    fn is_fed(&self) -> bool {
        self.jail.feed != Feed::Files
    }

    /// Whether it was told to follow a file outside of Asterisk's directory: it may be the syslog daemon's.
    fn looks_outside(&self, directory: &str) -> bool {
        self.is_fed() || !self.jail.logpaths_guessed && self.paths.iter().any(|(other, _)| other != directory)
    }
}

/// What a channel gets, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Levels {
    notice: bool,
    warning: bool,
    /// Holds whole packets (pjproject).
    error: bool,
    security: bool,
    debug: bool,
    verbose: bool,
}

impl Levels {
    /// `make_components`: unknown levels are nothing.
    fn read(text: &[u8]) -> Levels {
        let mut levels = Levels::default();
        for word in text.split(|&byte| byte == b',').map(strip) {
            let word = word.to_ascii_lowercase();
            let all = word == b"*";
            levels.notice |= all || word == b"notice";
            levels.warning |= all || word == b"warning";
            levels.error |= all || word == b"error";
            levels.security |= all || word == b"security";
            levels.debug |= all || word == b"debug";
            levels.verbose |= all || word == b"verbose" || word.starts_with(b"verbose(");
        }
        levels
    }

    fn with(self, other: Levels) -> Levels {
        Levels {
            notice: self.notice || other.notice,
            warning: self.warning || other.warning,
            error: self.error || other.error,
            security: self.security || other.security,
            debug: self.debug || other.debug,
            verbose: self.verbose || other.verbose,
        }
    }

    /// Without debugging output.
    fn is_quiet(self) -> bool {
        !self.debug && !self.verbose
    }

    fn only_security(self) -> bool {
        self == Levels {
            security: true,
            ..Levels::default()
        }
    }
}

/// A log file of Asterisk's.
pub(super) struct File {
    /// As logger.conf means it.
    pub(super) path: String,
    directory: String,
    name: String,
}

enum Target {
    Console,
    Syslog,
    File(File),
}

/// An entry of `[logfiles]`.
struct Channel<'c> {
    entry: &'c Entry,
    target: Target,
    levels: Levels,
    json: bool,
    /// A jail follows it.
    followed: bool,
}

/// All of `[logfiles]`.
struct Logs<'c> {
    conf: &'c Conf,
    /// Where log files are that have no path; `directory` is the same without links.
    logdir: &'c str,
    directory: String,
    channels: Vec<Channel<'c>>,
    /// Whether a file `security.log` would be followed.
    follows_security: bool,
}

impl<'c> Logs<'c> {
    fn new(
        conf: &'c Conf,
        places: &'c Places,
        hostname: &str,
        followed: &[Followed<'_>],
        inquiry: &mut Inquiry<'_>,
    ) -> Logs<'c> {
        let suffix = if is_on(conf.first("general", "appendhostname")) {
            format!(".{hostname}")
        } else {
            String::new()
        };
        let mut file = |name: &str| {
            let path = in_directory(&places.logdir, &format!("{name}{suffix}"));
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
            File {
                directory: inquiry.files.resolve(directory),
                name: name.to_owned(),
                path,
            }
        };
        let security = file("security.log");
        let directory = security.directory.clone();
        let hears_syslog = followed.iter().any(|jail| jail.looks_outside(&directory));
        let entries = conf
            .section("logfiles")
            .map_or(&[][..], |section| &section.entries);
        let channels = entries.iter().map(|entry| {
            let (format, levels) = components(&entry.value);
            let target = match String::from_utf8_lossy(&entry.name) {
                name if name.eq_ignore_ascii_case("console") => Target::Console,
                name if name.to_ascii_lowercase().starts_with("syslog") => Target::Syslog,
                name => Target::File(file(&name)),
            };
            let followed = match &target {
                Target::Console => false,
                Target::Syslog => hears_syslog,
                Target::File(file) => followed.iter().any(|jail| jail.follows(file)),
            };
            Channel {
                entry,
                target,
                levels: Levels::read(levels),
                json: format.eq_ignore_ascii_case(b"json"),
                followed,
            }
        });
        Logs {
            conf,
            logdir: &places.logdir,
            directory,
            channels: channels.collect(),
            follows_security: followed.iter().any(|jail| jail.follows(&security)),
        }
    }

    /// What jails hear, over all channels.
    fn heard(&self) -> Levels {
        let heard = self.channels.iter().filter(|channel| channel.followed);
        heard.fold(Levels::default(), |all, channel| all.with(channel.levels))
    }

    /// The files that get what `wanted` asks for.
    fn files(&self, wanted: impl Fn(&Levels) -> bool) -> impl Iterator<Item = (&Channel<'c>, &File)> {
        let channels = self
            .channels
            .iter()
            .filter(move |channel| wanted(&channel.levels));
        channels.filter_map(|channel| match &channel.target {
            Target::File(file) => Some((channel, file)),
            Target::Console | Target::Syslog => None,
        })
    }

    fn followed_files(&self) -> impl Iterator<Item = (&'c Entry, &File)> {
        let files = self.files(|_| true).filter(|(channel, _)| channel.followed);
        files.map(|(channel, file)| (channel.entry, file))
    }

    /// `logger.conf:20`, of `[logfiles]`.
    fn origin(&self) -> String {
        let section = self.conf.section("logfiles");
        section.map_or_else(
            || self.conf.at_or_whole(None),
            |section| self.conf.at(section.place),
        )
    }

    /// A jail that follows nothing that Asterisk writes.
    fn deaf(&self, followed: &[Followed<'_>], inquiry: &mut Inquiry<'_>) {
        let syslog = self
            .channels
            .iter()
            .any(|channel| matches!(channel.target, Target::Syslog));
        for jail in followed {
            let hears_syslog = syslog && jail.looks_outside(&self.directory);
            if hears_syslog || self.files(|_| true).any(|(_, file)| jail.follows(file)) {
                continue;
            }
            let useful = self.files(|levels| levels.is_quiet() && (levels.notice || levels.security));
            let written: Vec<_> = useful.map(|(_, file)| shown(&file.path)).collect();
            let remedy = match (written.is_empty(), syslog) {
                (false, _) => format!("name {} in logpath", written.join(" and ")),
                (true, true) => format!("it writes to syslog only; {WRITE_BOTH} under [logfiles]"),
                (true, false) => format!("{WRITE_BOTH} under [logfiles]"),
            };
            let name = &jail.jail.name;
            if jail.is_fed() {
                let what = format!(
                    "jail {name} hears nothing: Asterisk writes nothing to syslog; {} under [logfiles], then \
                     `logger reload`",
                    syslog::LINE
                );
                inquiry.say(Weight::Deaf, self.origin(), what);
                continue;
            }
            let what = format!("jail {name} hears nothing: Asterisk writes none of its files; {remedy}");
            inquiry.say(Weight::Deaf, self.origin(), what);
        }
    }

    /// SECURITY events: the only proof of an address, and of INVITE guesses to chan_sip the only trace.
    fn security(&self, places: &Places, inquiry: &mut Inquiry<'_>) {
        let first = self.files(|levels| levels.security && levels.is_quiet()).next();
        let heard = self.heard();
        if first.is_some() && heard == Levels::default() {
            // What to follow has been said.
        } else if let (Some((channel, file)), false) = (first, heard.security) {
            let what = format!(
                "{} gets the security events and no jail follows it: without them {}; name it in logpath",
                shown(&file.path),
                syslog::lost(places)
            );
            inquiry.say(Weight::Unseen, self.conf.at(channel.entry.place), what);
        } else if !heard.security {
            let follow = if self.follows_security {
                String::new()
            } else {
                let path = in_directory(self.logdir, "security.log");
                format!(", and {} in logpath", shown(&path))
            };
            let what = format!(
                "no file gets `security`: {}; `security.log => security` under [logfiles]{follow}, then \
                 `logger reload`",
                syslog::lost(places)
            );
            inquiry.say(Weight::Unseen, self.origin(), what);
        } else if let Some(origin) = places.noload("res_security_log") {
            inquiry.say(Weight::Unseen, origin, NOT_LOADED);
        } else if !places.runs("res_security_log") {
            let what = format!("`security` is asked for, but {NOT_LOADED}");
            inquiry.say(Weight::Unseen, self.origin(), what);
        }
        self.shared_security(inquiry);
    }

    /// Line breaks in names and numbers can write whole SECURITY records, except in JSON.
    fn shared_security(&self, inquiry: &mut Inquiry<'_>) {
        let mut events = self
            .files(|levels| levels.security)
            .filter(|(channel, _)| channel.followed);
        let sound = |channel: &Channel<'_>| channel.json || channel.levels.only_security();
        let Some((channel, file)) = events.next().filter(|(channel, _)| !sound(channel)) else {
            return;
        };
        if events.any(|(channel, _)| sound(channel)) {
            return;
        }
        let what = format!(
            "`security` shares {} with other levels, where line breaks that callers send can forge its \
             events; `security.log => security`, a file of its own",
            shown(&file.path)
        );
        inquiry.say(Weight::Doubtful, self.conf.at(channel.entry.place), what);
    }

    /// NOTICE and WARNING messages.
    fn levels(&self, places: &Places, inquiry: &mut Inquiry<'_>) {
        let heard = self.heard();
        if heard == Levels::default() {
            return;
        }
        if !heard.notice {
            let what = match self.files(|levels| levels.notice && levels.is_quiet()).next() {
                Some((_, file)) => format!("name {} in logpath", shown(&file.path)),
                None => "`messages.log => notice,warning,error` under [logfiles]".to_owned(),
            };
            let what = format!(
                "no jail follows a file with `notice`: calls to numbers that do not exist and everything \
                 about IAX2 stay unseen, and nobody who attacks chan_sip is banned; {what}"
            );
            inquiry.say(Weight::Unseen, self.origin(), what);
        } else if !heard.warning && places.runs("chan_iax2") {
            let entry = self
                .channels
                .iter()
                .find(|channel| channel.followed && channel.levels.notice);
            let what = "no jail follows a file with `warning`, which failed IAX2 logins are since Asterisk \
                        20; add `warning` here";
            inquiry.say(
                Weight::Unseen,
                self.conf.at_or_whole(entry.map(|channel| channel.entry)),
                what,
            );
        }
    }

    /// A jail that hears chan_sip's events and not the NOTICE beside each: whoever sends a request chooses the
    /// address in the event, so that alone it bans nobody.
    fn unsupported(&self, followed: &[Followed<'_>], places: &Places, inquiry: &mut Inquiry<'_>) {
        // If no jail hears a notice, that has been said.
        if !places.runs("chan_sip") || !self.heard().notice {
            return;
        }
        for jail in followed {
            let heard = self
                .files(|_| true)
                .filter(|(_, file)| jail.follows(file))
                .fold(Levels::default(), |all, (channel, _)| all.with(channel.levels));
            if !heard.security || heard.notice || jail.looks_outside(&self.directory) {
                continue;
            }
            let name = &jail.jail.name;
            let remedy = match self.files(|levels| levels.notice && levels.is_quiet()).next() {
                Some((_, file)) => format!("name {} in its logpath, too", shown(&file.path)),
                None => {
                    "write `messages.log => notice,warning,error` under [logfiles] and name it in its logpath"
                        .to_owned()
                }
            };
            let what = format!(
                "jail {name} follows `security` without `notice`: it bans nobody who attacks chan_sip, whose \
                 events name the address that the sender chose; {remedy}"
            );
            inquiry.say(Weight::Unseen, self.origin(), what);
        }
    }

    /// Debugging output is other people's text.
    fn verbose(&self, inquiry: &mut Inquiry<'_>) {
        let loud = self.files(|levels| !levels.is_quiet());
        for (channel, file) in loud.filter(|(channel, _)| channel.followed) {
            let level = if channel.levels.verbose {
                "verbose"
            } else {
                "debug"
            };
            let what = format!(
                "{} gets `{level}`: what callers send stands in it as lines while SIP is debugged, and near \
                 it nothing is believed; let jails follow files with notice and security only",
                shown(&file.path)
            );
            inquiry.say(Weight::Doubtful, self.conf.at(channel.entry.place), what);
        }
    }
}

/// `[general]`
fn general(conf: &Conf, logs: &Logs<'_>, inquiry: &mut Inquiry<'_>) {
    let limit = conf.first("general", "logger_queue_limit");
    let number = limit.and_then(|entry| core::str::from_utf8(&entry.value).ok()?.parse::<u64>().ok());
    if let (Some(entry), Some(number)) = (limit, number.filter(|&number| number < QUEUE_DEFAULT)) {
        let what = format!(
            "logger_queue_limit = {number}: a flood makes Asterisk drop messages above that, failures too; \
             {QUEUE_DEFAULT} is the default"
        );
        inquiry.say(Weight::Unseen, conf.at(entry.place), what);
    }
    let Some(entry) = conf.first("general", "dateformat") else {
        return;
    };
    let (weight, what) = match dates::judge(&entry.value) {
        Verdict::Fine | Verdict::Unknown => return,
        Verdict::Lost => (Weight::Deaf, "with this dateformat no line can be read"),
        Verdict::SecurityLost if !logs.heard().security => return,
        Verdict::SecurityLost => (
            Weight::Unseen,
            "with a date so short a line of `security` may be forged, and is not believed",
        ),
        Verdict::Undated => (
            Weight::Upkeep,
            "sipguard cannot tell the time from this dateformat, so lines from before its start have none",
        ),
    };
    let what = format!("{what}; dateformat = %F %T");
    inquiry.say(weight, conf.at(entry.place), what);
}

/// `[json]notice,warning`: the format and the levels.
fn components(value: &[u8]) -> (&[u8], &[u8]) {
    let bracketed = value.iter().position(|&byte| byte == b'[').and_then(|start| {
        let inside = value.get(start + 1..)?;
        let end = inside.iter().position(|&byte| byte == b']')?;
        Some((inside.get(..end)?, inside.get(end + 1..)?))
    });
    bracketed.unwrap_or((b"default", value))
}

fn shown(path: &str) -> String {
    Escaped(path.as_bytes()).to_string()
}

const WRITE_BOTH: &str = "`messages.log => notice,warning,error` and `security.log => security`";

const NOT_LOADED: &str = "res_security_log.so does not run, which alone writes security events; load it";

/// `logger_queue_limit`, since 13.16.
const QUEUE_DEFAULT: u64 = 1000;
