//! The command line: one file a subcommand. What is here parses words and turns results into exit codes.

mod ask;
mod ban;
mod check;
mod progress;
mod reload;
mod run;
mod status;
mod teardown;
mod test;
mod unban;

use core::fmt;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::process::ExitCode;

use argh::{EarlyExit, FromArgs};

use crate::sys::Fault;
use crate::{config, notify};

/// Keeps SIP attackers off the box that people's phones depend on.
#[derive(FromArgs)]
struct Arguments {
    /// print the version and exit
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Test(test::Test),
    Status(status::Status),
    Ban(ban::Ban),
    Unban(unban::Unban),
    Reload(reload::Reload),
    Teardown(teardown::Teardown),
    Version(Version),
}

/// print the version
#[derive(FromArgs)]
#[argh(subcommand, name = "version")]
struct Version {}

/// Why a command did not do what was asked. The exit code is the number behind each.
pub enum Failed {
    /// 1: the machine refused.
    Machine(Fault),
    /// 2: the configuration is wrong.
    Config(config::Error),
    /// 2: the words of the command line are.
    Usage(String),
}

impl Failed {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Failed::Machine(_) => 1,
            Failed::Config(_) | Failed::Usage(_) => 2,
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Machine(fault) => fault.fmt(f),
            Failed::Config(error) => error.fmt(f),
            Failed::Usage(text) => f.write_str(text),
        }
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Failed {
        Failed::Machine(fault)
    }
}

impl From<config::Error> for Failed {
    fn from(error: config::Error) -> Failed {
        Failed::Config(error)
    }
}

/// Stands for the word `-` among the words that argh sees, which takes it for an option; no word can hold a NUL.
const STDIN: &str = "\0-";

/// Does what the words say. Exit codes: 0 done, 1 not done, 2 wrong usage or configuration.
#[must_use]
pub fn main(words: &[OsString]) -> ExitCode {
    // Not a command for people: what the guard starts itself as.
    if words.get(1).is_some_and(|word| word == notify::WORD) {
        return notify::main(words.get(2..).unwrap_or_default());
    }
    let all: Option<Vec<Cow<'_, str>>> = words.iter().skip(1).map(|word| spelled(word, words)).collect();
    let parsed = match &all {
        Some(all) => Arguments::from_args(&["sipguard"], &all.iter().map(|word| &**word).collect::<Vec<_>>()),
        None => Err(EarlyExit::from(
            "a word of the command line is not UTF-8".to_owned(),
        )),
    };
    let done = match parsed {
        Ok(arguments) => arguments.run(),
        Err(EarlyExit {
            output,
            status: Ok(()),
        }) => say(&output).map(|()| ExitCode::SUCCESS),
        Err(EarlyExit {
            output,
            status: Err(()),
        }) => Err(Failed::Usage(output)),
    };
    let failed = match done {
        Ok(code) => return code,
        Err(failed) => failed,
    };
    complain(&failed.to_string().replace(STDIN, "-"));
    ExitCode::from(failed.code())
}

fn complain(text: &str) {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(io::stderr(), "sipguard: {}", text.trim_end());
}

/// A word as argh can take it. The names of logs may be any bytes: `test` looks them up as they were typed.
fn spelled<'w>(word: &'w OsStr, words: &[OsString]) -> Option<Cow<'w, str>> {
    let is_test = words.get(1).is_some_and(|command| command == "test");
    match word.to_str() {
        Some("-") if is_test => Some(Cow::Borrowed(STDIN)),
        Some(word) => Some(Cow::Borrowed(word)),
        None => is_test.then(|| word.to_string_lossy()),
    }
}

impl Arguments {
    fn run(self) -> Result<ExitCode, Failed> {
        let done = match self.command {
            _ if self.version => version(),
            Some(Command::Run(run)) => return run.run(),
            Some(Command::Check(check)) => check.run(),
            Some(Command::Teardown(teardown)) => teardown.run(),
            Some(Command::Version(Version {})) => version(),
            Some(Command::Test(test)) => return test.run(),
            Some(Command::Status(status)) => return status.run(),
            Some(Command::Ban(ban)) => return ban.run(),
            Some(Command::Unban(unban)) => return unban.run(),
            Some(Command::Reload(reload)) => return reload.run(),
            None => Err(Failed::Usage("no command given; try: sipguard --help".into())),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// The version, and the commit if whoever built it said so (`make` and cross/build do).
fn version() -> Result<(), Failed> {
    let version = concat!("sipguard ", env!("CARGO_PKG_VERSION"));
    match option_env!("SIPGUARD_COMMIT") {
        Some(commit) if !commit.is_empty() => say(&[version, " (", commit, ")"].concat()),
        _ => say(version),
    }
}

/// Writes one answer to standard output.
fn say(text: &str) -> Result<(), Failed> {
    let written = writeln!(io::stdout(), "{}", text.trim_end());
    written.map_err(|source| Fault::new("cannot write to standard output", source).into())
}
