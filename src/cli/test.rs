//! `sipguard test`: what the filters find in logs that are already written, and who would have been banned.
//!
//! Here the logs are opened and the words written; what they mean is the business of [`crate::replay`].

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;

use super::progress::Bar;
use super::{Failed, STDIN};
use crate::config::{self, Config, FilterName};
use crate::daemon;
use crate::escape::Escaped;
use crate::filter::Context;
use crate::filter::sshd::Mode;
use crate::guard::{JailId, Seed, Settings, Trust};
use crate::limits::REPLAY_FILES_MAX;
use crate::replay::json::Objects;
use crate::replay::{Event, HostOrNet, Place, Replay, Rules, Stopped, View, reason};
use crate::sys::{Fault, clock};
use crate::time::{Mono, Wall};

/// say what the filter finds in logs, and who would have been banned; changes nothing
#[derive(FromArgs)]
#[argh(subcommand, name = "test")]
pub(super) struct Test {
    /// log files of any size; - is standard input, so for a compressed log: zcat x.gz | sipguard test -
    #[argh(positional, arg_name = "log")]
    logs: Vec<String>,
    /// who reads the lines: asterisk (the default), sshd or dropbear
    #[argh(option)]
    filter: Option<String>,
    /// configuration whose jails read the lines and decide, each with its own filter
    #[argh(option, short = 'c')]
    config: Option<PathBuf>,
    /// print an object for every line that is a failure; the summary goes to standard error
    #[argh(switch)]
    json: bool,
    /// print every ban that would have come, by the time of the log
    #[argh(switch)]
    bans: bool,
    /// print lines: missed (what looks like a failure and is none), failures or suspicious
    #[argh(option, from_str_fn(print))]
    print: Option<Print>,
}

/// Which lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Print {
    Missed,
    Failures,
    Suspicious,
}

fn print(word: &str) -> Result<Print, String> {
    match word {
        "missed" => Ok(Print::Missed),
        "failures" => Ok(Print::Failures),
        "suspicious" => Ok(Print::Suspicious),
        _ => Err("write missed, failures or suspicious".into()),
    }
}

/// A log that could be opened.
struct Opened {
    name: Vec<u8>,
    file: File,
    context: Context,
    /// How long it is, if it is a regular file.
    bytes: Option<u64>,
}

impl Test {
    /// Exit code 0 if there is a failure in the logs, 1 if there is none or a log could not be read.
    pub(super) fn run(self) -> Result<ExitCode, Failed> {
        if self.logs.is_empty() {
            return Err(Failed::Usage("no log given; - is standard input".into()));
        }
        if self.logs.len() > REPLAY_FILES_MAX {
            return Err(Failed::Usage(format!(
                "more than {REPLAY_FILES_MAX} logs at once"
            )));
        }
        if self.json && self.print.is_some() {
            return Err(Failed::Usage("--json and --print exclude each other".into()));
        }
        let rules = self.rules()?;
        let now = now()?;
        let mut complete = true;
        let mut logs = Vec::new();
        for name in as_typed(&self.logs) {
            match open(name) {
                Ok(opened) => logs.push(opened),
                Err(fault) => {
                    complete = false;
                    complain(&fault);
                }
            }
        }
        let total = logs.iter().map(|log| log.bytes).sum();
        let mut replay = Replay::new(rules);
        let mut names = Vec::new();
        let of = logs.len();
        for log in logs {
            replay.add(log.file, log.context, of);
            names.push(log.name);
        }
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let output = Output::new(&self, &names)?;
        let ended = output.write_all(&mut replay, Bar::new(total, now), now);
        let found = match ended {
            Ok(all_read) => replay.found_any() && all_read && complete,
            // Whoever reads our output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => replay.found_any(),
            Err(error) => return Err(Fault::new("cannot write to standard output", error).into()),
        };
        Ok(if found {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    }

    /// Which filters read, and what the jails decide by.
    fn rules(&self) -> Result<Rules, Failed> {
        let config = match (&self.filter, &self.config) {
            (Some(_), Some(_)) => {
                return Err(Failed::Usage("--filter and --config exclude each other".into()));
            }
            (None, Some(path)) => daemon::load(Some(path))?.0,
            (None, None) => Config::built_in(),
            (Some(name), None) => built_in_with(name)?,
        };
        let mut views: Vec<View> = Vec::new();
        for (number, jail) in config.jails.iter().enumerate() {
            let Some(lens) = daemon::lens(jail) else { continue };
            let id = JailId(number as u16);
            let is_same = |other: &config::Jail| (&other.filter, &other.own) == (&jail.filter, &jail.own);
            // A line is read once for all jails that read it alike.
            let first = config
                .jails
                .iter()
                .position(is_same)
                .map(|first| JailId(first as u16));
            match views.iter_mut().find(|view| view.jails.first().copied() == first) {
                Some(view) => view.jails.push(id),
                None => views.push(View {
                    lens,
                    name: jail.filter.name().to_owned(),
                    jails: vec![id],
                }),
            }
        }
        let names = config.jails.iter().map(|jail| jail.name.clone());
        Ok(Rules {
            views,
            jails: names.zip(daemon::policies(&config)).collect(),
            settings: Settings {
                ring: config.ring,
                maxbans: config.maxbans,
                ipv6prefix: config.ipv6prefix,
                purge_age: config.dbpurgeage,
                // The log may be another machine's.
                own: Trust::default(),
                seed: Seed(clock::random()),
            },
            missed: self.print == Some(Print::Missed),
        })
    }
}

/// The built-in policy with another filter.
fn built_in_with(name: &str) -> Result<Config, Failed> {
    let filter = match name {
        "asterisk" => FilterName::Asterisk,
        "sshd" => FilterName::Sshd(Mode::default()),
        "dropbear" => FilterName::Dropbear,
        _ => {
            let known = FilterName::BUILT_IN.join(", ");
            let text = format!("--filter {name}: not a built-in filter (write {known}, or use --config)");
            return Err(Failed::Usage(text));
        }
    };
    let mut config = Config::built_in();
    for jail in &mut config.jails {
        (jail.name, jail.filter) = (name.to_owned(), filter.clone());
    }
    Ok(config)
}

/// The names as they stand on the command line, where they may be any bytes.
fn as_typed(names: &[String]) -> Vec<OsString> {
    let mut typed = std::env::args_os();
    let mut as_typed = |name: &String| {
        if name == STDIN {
            return name.into();
        }
        let word = typed.find(|word| word.to_string_lossy() == name.as_str());
        word.unwrap_or_else(|| name.into())
    };
    names.iter().map(&mut as_typed).collect()
}

fn open(name: OsString) -> Result<Opened, Fault> {
    let from_stdin = name.as_bytes() == STDIN.as_bytes();
    let name = if from_stdin {
        b"-".to_vec()
    } else {
        name.into_vec()
    };
    let shown = Escaped(&name).to_string();
    let opened = if from_stdin {
        // Not through the standard library's lock and small buffer.
        io::stdin().as_fd().try_clone_to_owned().map(File::from)
    } else {
        File::open(PathBuf::from(OsString::from_vec(name.clone())))
    };
    let file = opened.map_err(|source| Fault::new(format!("cannot open {shown}"), source))?;
    let fault = |source| Fault::new(format!("cannot read {shown}"), source);
    let metadata = file.metadata().map_err(fault)?;
    if metadata.is_dir() {
        return Err(fault(io::ErrorKind::IsADirectory.into()));
    }
    let mut head = [0; 4];
    let regular = metadata.is_file();
    if regular && file.read_at(&mut head, 0).is_ok() && is_compressed(head) {
        let why = io::Error::new(io::ErrorKind::InvalidData, "it is compressed");
        return Err(fault(why).hint("zcat FILE | sipguard test -"));
    }
    let changed = if regular {
        Ok(Wall(metadata.mtime()))
    } else {
        clock::utc()
    };
    let changed = changed.map_err(|source| Fault::new("cannot read the clock", source))?;
    let utc_offset_s = clock::zone().offset(changed);
    Ok(Opened {
        context: Context {
            today: Wall(changed.0.saturating_add(i64::from(utc_offset_s))),
            utc_offset_s,
        },
        bytes: regular.then_some(metadata.len()),
        name,
        file,
    })
}

/// gzip, bzip2, xz and Zstandard.
fn is_compressed(head: [u8; 4]) -> bool {
    matches!(
        head,
        [0x1f, 0x8b, ..] | [b'B', b'Z', b'h', _] | [0xfd, b'7', b'z', b'X'] | [0x28, 0xb5, 0x2f, 0xfd]
    )
}

fn now() -> Result<Mono, Fault> {
    clock::boottime().map_err(|source| Fault::new("cannot read the clock", source))
}

/// Nobody is left to tell if stderr is closed.
fn complain(fault: &Fault) {
    let _ = writeln!(io::stderr(), "sipguard: {fault}");
}

/// Where all the words go.
struct Output<'t> {
    test: &'t Test,
    names: &'t [&'t [u8]],
    out: RefCell<BufWriter<File>>,
}

impl<'t> Output<'t> {
    fn new(test: &'t Test, names: &'t [&'t [u8]]) -> Result<Output<'t>, Fault> {
        // The standard library's own would write line by line.
        let out = io::stdout().as_fd().try_clone_to_owned();
        let out = out.map_err(|source| Fault::new("cannot write to standard output", source))?;
        Ok(Output {
            test,
            names,
            out: RefCell::new(BufWriter::with_capacity(64 * 1024, File::from(out))),
        })
    }

    /// Reads all logs and writes what is asked for, at last the summary. `false`: a log could not be read.
    fn write_all(&self, replay: &mut Replay<File>, bar: Bar, started: Mono) -> io::Result<bool> {
        let mut complete = true;
        let bar = RefCell::new(bar);
        let mut objects = Objects::default();
        let mut failed = Ok(());
        loop {
            // What was found is on its way before we wait for more.
            let mut tick = |progress| {
                if let Err(error) = self.out.borrow_mut().flush() {
                    failed = Err(error);
                }
                let mut bar = bar.borrow_mut();
                if bar.is_wanted() {
                    bar.show(progress, clock::boottime().unwrap_or(started));
                }
            };
            let mut each = |place: Place<'_>, event: Event<'_>| {
                if self.says(event) && io::stdout().is_terminal() {
                    bar.borrow_mut().erase();
                }
                self.event(&mut objects, place, event)
            };
            let step = replay.step(&mut tick, &mut each);
            std::mem::replace(&mut failed, Ok(()))?;
            match step {
                Ok(true) => {}
                Ok(false) => break,
                Err(Stopped::Event(error)) => return Err(error),
                Err(Stopped::Log(number, error)) => {
                    complete = false;
                    bar.borrow_mut().erase();
                    let name = self.names.get(number).copied().unwrap_or_default();
                    complain(&Fault::new(format!("cannot read {}", Escaped(name)), error));
                }
            }
        }
        bar.borrow_mut().erase();
        let elapsed_ms = clock::boottime()?.millis_since(started);
        let report = replay.report(self.names, elapsed_ms);
        let mut out = self.out.borrow_mut();
        if self.test.json {
            out.flush()?;
            let _ = write!(io::stderr(), "{report}");
        } else {
            write!(out, "{report}")?;
            out.flush()?;
        }
        Ok(complete)
    }

    /// Whether an event is written out.
    fn says(&self, event: Event<'_>) -> bool {
        let Test {
            json, bans, print, ..
        } = *self.test;
        match event {
            Event::Failure { .. } => json || print == Some(Print::Failures),
            Event::Ban(_) => bans,
            Event::Suspicious(_) => print == Some(Print::Suspicious),
            Event::Missed => print == Some(Print::Missed),
        }
    }

    fn event(&self, objects: &mut Objects, place: Place<'_>, event: Event<'_>) -> io::Result<()> {
        if !self.says(event) {
            return Ok(());
        }
        let name = self.names.get(place.log).copied().unwrap_or_default();
        let mut out = self.out.borrow_mut();
        let position = format_args!("{}:{}", Escaped(name), place.line);
        let line = Escaped(place.bytes);
        match event {
            Event::Failure {
                jail,
                filter,
                failure,
                duplicate,
            } if self.test.json => {
                out.write_all(objects.failure(name, place, [jail, filter], failure, duplicate))
            }
            Event::Failure {
                jail,
                failure,
                duplicate,
                ..
            } => {
                let again = if duplicate { ", counted already" } else { "" };
                let (addr, kind, proof) = (failure.addr, failure.kind, failure.proof.name());
                writeln!(
                    out,
                    "{position}: {addr} {kind}, proof {proof}{again}, jail {jail}: {line}"
                )
            }
            Event::Ban(banned) if self.test.json => out.write_all(objects.ban(place, banned)),
            Event::Ban(banned) => {
                let (net, why) = (HostOrNet(banned.verdict.ban.net), banned.verdict.why);
                let jail = banned.jail;
                if let Some(time) = banned.time {
                    write!(out, "{time} ")?;
                }
                writeln!(
                    out,
                    "would ban {net}: {} failures, last {} at {position}, jail {jail}",
                    why.failures, why.last
                )
            }
            Event::Suspicious(suspicion) => writeln!(out, "{position}: {}: {line}", reason(suspicion)),
            Event::Missed => writeln!(out, "{position}: {line}"),
        }
    }
}
