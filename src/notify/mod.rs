//! The children that mail, run commands and look names up, and the guard's end of the sockets to them.
//!
//! Started before the guard gives up its power, one for each [`Role`] that some action needs. Each is two processes:
//! a [`nanny`], which does nothing but start a [`worker`] again that has ended, and the worker. Both are this program
//! again (`sipguard notify-child …`): standard input is the socket, standard output a file in memory with the
//! configuration as the guard read it, so that what runs is what the guard means, whatever became of the files since.
//!
//! The mail child is an ordinary user and stays one; it may run set-user-id programs, as exim and postfix need,
//! but whois runs without even that. The lookups child is the same user, and may not. The command child stays root:
//! its commands are the administrator's.
//! None does what the guard says: a message names a jail and an address (or a name to look up), and the rest is in the
//! configuration.

use std::ffi::OsString;
use std::io;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::ExitCode;

use log::LevelFilter;

use crate::action::Role;
use crate::feed;
use crate::sys::log::{self as own_log, Destination};
use crate::sys::{caps, program};

pub mod link;
pub(crate) mod nanny;
pub mod record;
mod resolve;
mod worker;

/// The name on every line of the log.
pub(crate) const TARGET: &str = "sipguard";

/// The word that makes this program a child.
pub const WORD: &str = "notify-child";

/// Exit code of a worker that wants another configuration.
const RELOAD: i32 = 3;

/// What a child does; `words` are those behind [`WORD`].
#[must_use]
pub fn main(words: &[OsString]) -> ExitCode {
    let text: Vec<&str> = words
        .iter()
        .map(|word| word.to_str().unwrap_or_default())
        .collect();
    if let [does @ ("nanny" | "worker"), name, rest @ ..] = text.as_slice() {
        if let Some(kind) = feed::Kind::named(name) {
            let _ = own_log::start(LevelFilter::Info, Destination::inherited());
            let done = match (*does, rest) {
                ("nanny", [notifyuser, ..]) => feed::nanny(kind, notifyuser),
                _ => feed::work(kind),
            };
            return ended(done);
        }
    }
    let role = |name: &str| Role::named(name).unwrap_or(Role::Lookups);
    let done = match (text.as_slice(), words.get(3)) {
        (["confined", ..], _) => Err(confined(words.get(1..).unwrap_or_default())),
        (["resolve", name], _) => return resolved(name),
        (["nanny", name, notifyuser, _], Some(path)) => {
            let _ = own_log::start(LevelFilter::Info, Destination::inherited());
            nanny::run(role(name), notifyuser, path)
        }
        (["worker", name, again], _) => {
            let _ = own_log::start(LevelFilter::Info, Destination::inherited());
            worker::run(role(name), *again == "again")
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this is for sipguard itself",
        )),
    };
    ended(done)
}

fn ended(done: io::Result<u8>) -> ExitCode {
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(io::stderr(), "sipguard: {error}");
            ExitCode::from(127)
        }
    }
}

/// What this process says is read by another, which needs no more than the reason.
fn resolved(name: &str) -> ExitCode {
    match resolve::run(name) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes a program that can gain no privileges.
fn confined(words: &[OsString]) -> io::Error {
    match caps::no_new_privileges() {
        Ok(()) => program::replace_ourselves(words),
        Err(error) => error,
    }
}

/// The socket to the guard.
pub(crate) fn socket() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

/// The configuration as it was recorded.
fn recorded() -> io::Result<std::fs::File> {
    Ok(std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?))
}
