//! The process that starts the worker, and starts it again if it ends.
//!
//! It exists because the guard gives up the power to start anything. It reads nothing that anybody sends, and ends
//! when the guard is gone.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use log::{error, warn};

use super::record::Record;
use super::{RELOAD, TARGET, WORD};
use crate::action::Role;
use crate::limits::CHILD_PAUSE_SECONDS_MAX;
use crate::power::accounts;
use crate::sys::caps::{self, Caps};
use crate::sys::program::Exit;
use crate::sys::signals::Children;
use crate::sys::{clock, poll, program};
use crate::time::Mono;

/// A worker that lives so long has nothing to do with the one before it, in seconds.
const SOUND_SECONDS: u64 = 60;

/// How long the worker may go on after the guard is gone, in seconds: it kills what it runs and ends.
const LAST_SECONDS: u64 = 5;

struct Nanny {
    /// The worker's name.
    name: &'static str,
    socket: OwnedFd,
    record: File,
    ends: Children,
}

/// Looks after workers until the guard is gone.
pub(super) fn run(role: Role, notifyuser: &str, path: &OsStr) -> io::Result<u8> {
    let nanny = Nanny::new(role.name())?;
    if !role.is_root() {
        become_user(notifyuser, &[], role.name())?;
    }
    if role == Role::Lookups {
        caps::no_new_privileges()?;
    }
    nanny.keep(Some(path))
}

/// Looks after workers that have no configuration, until the guard is gone.
pub(crate) fn keep(name: &'static str) -> io::Result<u8> {
    Nanny::new(name)?.keep(None)
}

impl Nanny {
    fn new(name: &'static str) -> io::Result<Nanny> {
        program::adopt_orphans()?;
        Ok(Nanny {
            name,
            socket: super::socket()?,
            record: super::recorded()?,
            ends: Children::new()?,
        })
    }

    fn keep(mut self, path: Option<&OsStr>) -> io::Result<u8> {
        let (mut pause, mut again) = (1, false);
        loop {
            let started = clock::boottime()?;
            match self.watch(again)? {
                None | Some(Exit::Code(0)) => return Ok(0),
                Some(Exit::Code(RELOAD)) => {
                    path.inspect(|path| self.read_again(path));
                    again = false;
                    continue;
                }
                Some(exit) => {
                    warn!(target: TARGET, "the {} child ended ({exit:?}); starting it again", self.name);
                }
            }
            again = true;
            let lived = clock::boottime()?.seconds_since(started);
            pause = if lived >= SOUND_SECONDS { 1 } else { pause };
            if self.guard_ends_within(pause)? {
                return Ok(0);
            }
            pause = (pause * 2).min(CHILD_PAUSE_SECONDS_MAX);
        }
    }

    /// Runs a worker; how it ended, or `None` if the guard is gone.
    fn watch(&self, again: bool) -> io::Result<Option<Exit>> {
        let again = if again { "again" } else { "first" };
        let words = [WORD, "worker", self.name, again].map(OsStr::new);
        let worker = program::start_ourselves(&words, self.socket.try_clone()?, &self.record)?.id();
        let mut last: Option<Mono> = None;
        loop {
            let now = clock::boottime()?;
            if last.is_some_and(|last| last <= now) {
                program::kill_children();
                return Ok(None);
            }
            let timeout = last.map(|last| last.millis_since(now));
            let ends = self.ends.as_fd();
            let [closed, ended] = match last {
                None => poll::closed_or_readable(self.socket.as_fd(), ends, None)?,
                Some(_) => [false, poll::readable_of(&[ends], timeout)?.contains(&true)],
            };
            if closed {
                last = Some(clock::boottime()?.plus_seconds(LAST_SECONDS));
            }
            if !ended {
                continue;
            }
            self.ends.take()?;
            while let Some((pid, exit)) = program::reap() {
                if pid == worker {
                    // What it was running has become ours.
                    program::kill_children();
                    return Ok(last.is_none().then_some(exit));
                }
            }
        }
    }

    /// Waits so long; whether the guard went away meanwhile.
    fn guard_ends_within(&self, seconds: u64) -> io::Result<bool> {
        let end = clock::boottime()?.plus_seconds(seconds);
        loop {
            let left = end.millis_since(clock::boottime()?);
            let [closed, ended] =
                poll::closed_or_readable(self.socket.as_fd(), self.ends.as_fd(), Some(left))?;
            if closed || left == 0 {
                return Ok(closed);
            }
            if ended {
                self.ends.take()?;
                while program::reap().is_some() {}
            }
        }
    }

    /// Takes the configuration as it is by now. If it cannot be read, the guard sees that we have the old one.
    fn read_again(&mut self, path: &OsStr) {
        let read = Record::load(Path::new(path), &mut crate::daemon::read_bounded);
        let file = match read {
            Ok((_, _, record)) => record.to_file().map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match file {
            Ok(file) => self.record = file,
            Err(error) => {
                error!(target: TARGET, "the {} child cannot read the new configuration: {error}", self.name);
            }
        }
    }
}

/// Becomes this user for good, without any capability. What could be gained by running a set-user-id program stays
/// possible: mail programs are such. `child` is whose user it is.
pub(crate) fn become_user(name: &str, groups: &[u32], child: &str) -> io::Result<()> {
    // Who is not root has nothing to give up.
    if caps::uid() != 0 {
        return Ok(());
    }
    let passwd = fs::read("/etc/passwd")?;
    let user = accounts::user(&passwd, name).ok_or_else(|| {
        let text =
            format!("the {child} child does nothing: there is no user {name} (notifyuser) in /etc/passwd");
        io::Error::new(io::ErrorKind::NotFound, text)
    })?;
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if !map.is_empty() && !is_mapped(&map, user.uid) {
        warn!(target: TARGET, "the {child} child stays root: this user namespace has no {name}");
        return Ok(());
    }
    let groups: Vec<u32> = [user.gid].iter().chain(groups).copied().collect();
    caps::become_user(user.uid, user.gid, &groups)?;
    caps::keep(Caps::NONE, Caps::NONE)
}

/// Whether a user namespace has this number, by its `/proc/self/uid_map`: first inside, first outside, count.
fn is_mapped(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        match (numbers.next(), numbers.nth(1)) {
            (Some(Ok(first)), Some(Ok(count))) => uid >= first && uid - first < count,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_the_users_of_its_map() {
        let check = |map: &str, uid, want| assert_eq!(is_mapped(map, uid), want, "{map} {uid}");
        check("         0          0 4294967295\n", 65_534, true);
        check("0 1000 1\n", 65_534, false);
        check("0 1000 1\n1 100000 65536\n", 65_534, true);
        check("", 0, false);
    }
}
