//! Least power (rule R8): what the guard gives up when it guards. Whoever finds a hole in it finds himself as
//! `nobody`, with a firewall and some logs to read, and with the system calls of a program that does nothing else.
//!
//! What is needed is decided in pure functions: [`access`] by which right the logs are read, [`accounts`] who
//! `nobody` is, [`bpf`] which system calls. Here it is looked up and carried out. No step is worth stopping for: what
//! the kernel lacks is said once, and the guard goes on with the rest.

pub mod access;
pub mod accounts;
pub mod bpf;
mod ways;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use log::{debug, info, warn};

use crate::config::{Config, ReadLogs};
use crate::escape::Escaped;
use crate::limits::{ACCOUNT_FILE_BYTES_MAX, STATE_FILES_MAX};
use crate::sys::caps::{self, Caps};
use crate::sys::file::LogFile;
use crate::sys::{file, landlock, seccomp, xtables};
use access::{Access, End, Explained, Obstacle, Reader, Way, Why};
use accounts::User;

/// The name on every line of the log.
const TARGET: &str = "sipguard";

/// A directory that stays writable.
#[derive(Clone, Copy, Debug)]
pub struct Writable<'p> {
    /// It may be missing, but nothing can be made in it then.
    pub directory: &'p Path,
    /// Whether it and the files in it are ours alone, so that they are handed to the user we become. Else whoever
    /// wants us to write there lets us.
    pub is_ours: bool,
}

/// What will be given up, and what kept.
#[derive(Debug)]
pub struct Plan {
    /// Who we become.
    user: User,
    /// The same, for the kernel.
    reader: Reader,
    /// That it is not who it should be, in words.
    unknown: Option<String>,
    readlogs: ReadLogs,
    ways: Vec<Way>,
    access: Access,
    group_file: Vec<u8>,
    passwd_file: Vec<u8>,
}

/// What is left after [`Plan::carry_out`].
#[derive(Debug)]
pub struct Powers {
    readlogs: ReadLogs,
    user: User,
    reader: Reader,
    reads_all: bool,
}

impl Plan {
    /// Finds out what the guard needs, with the logs as they are. `file` is the configuration's, if there is one;
    /// `from_root`: it is started as root, whoever we are.
    #[must_use]
    pub fn new(config: &Config, file: Option<&Path>, from_root: bool) -> Plan {
        let passwd_file = account_file("/etc/passwd");
        let named = |name| accounts::user(&passwd_file, name);
        let wanted = config.user.as_deref();
        let asked_for = wanted.and_then(named);
        let is_unknown = from_root && wanted.is_some() && asked_for.is_none();
        let usual = || ["sipguard", "nobody"].into_iter().find_map(named);
        let (user, reader) = match asked_for.or_else(usual).filter(|_| from_root) {
            Some(user) => {
                let (uid, gids) = (user.uid, vec![user.gid]);
                let may_join = true;
                (user, Reader { uid, gids, may_join })
            }
            None => ourselves(&passwd_file),
        };
        let unknown = if is_unknown || (from_root && !reader.may_join) {
            let wanted = Escaped(wanted.unwrap_or("nobody").as_bytes());
            Some(format!(
                "/etc/passwd has no user {wanted}: {} is taken",
                user.name
            ))
        } else {
            None
        };
        Plan {
            unknown,
            ..Plan::of(user, reader, passwd_file, config, file)
        }
    }

    fn of(user: User, reader: Reader, passwd_file: Vec<u8>, config: &Config, file: Option<&Path>) -> Plan {
        let ways = ways::all(config, file);
        Plan {
            access: access::decide(&reader, &ways, config.readlogs),
            user,
            reader,
            unknown: None,
            readlogs: config.readlogs,
            ways,
            group_file: account_file("/etc/group"),
            passwd_file,
        }
    }

    /// What will be done, and what the kernel has for it, a line each; for `sipguard check`.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut lines = vec![format!("privileges: user      {}", self.user.name)];
        let groups = self.group_names();
        lines.push(format!(
            "privileges: groups    {}",
            if groups.is_empty() { "none" } else { &groups }
        ));
        lines.push(format!("privileges: keeps     {}", names(self.wanted(true))));
        lines.extend(self.unknown.clone());
        if let Some(obstacle) = &self.access.obstacle {
            lines.push(self.explain(obstacle));
        }
        lines.push(format!(
            "kernel: seccomp   {}",
            match (seccomp::filter(), seccomp::is_available()) {
                (None, _) => "no: nobody has made a list of system calls for this architecture",
                (Some(_), false) => "no",
                (Some(_), true) => "yes",
            }
        ));
        lines.push(match landlock::version() {
            Ok(version) => format!("kernel: landlock  yes, version {version}"),
            Err(error) => format!("kernel: landlock  no: {error}"),
        });
        lines
    }

    /// Gives up everything that is not needed. From here on nothing can be written but in these directories and to
    /// what is open. `firewall`: whether it has to be changed.
    pub fn carry_out(mut self, writable: &[Writable<'_>], firewall: bool) -> Powers {
        if let Some(words) = &self.unknown {
            warn!(target: TARGET, "{words}");
        }
        let had = caps::permitted().unwrap_or(Caps::NONE);
        // Of root's files, those that are needed later.
        xtables::keep();
        self.become_user(had, writable);
        self.try_reading(had, firewall);
        let kept = self.wanted(firewall).and(had);
        self.access.capability = kept.has(Caps::READ_ALL);
        limit(had, kept);
        let mut done = vec![
            format!("runs as {}", self.user.name),
            format!("with {}", names(kept)),
        ];
        let groups = self.group_names();
        if !groups.is_empty() {
            done.push(format!("groups {groups}"));
        }
        let writable: Vec<&Path> = writable.iter().map(|writable| writable.directory).collect();
        done.extend(confine(&writable));
        let shown = done.join(", ").replacen(", with", " with", 1);
        info!(target: TARGET, "{shown}");
        if let Some(obstacle) = &self.access.obstacle {
            let words = self.explain(obstacle);
            if self.access.capability {
                info!(target: TARGET, "{words}");
            } else {
                warn!(target: TARGET, "{words}");
            }
        }
        self.reader.gids.append(&mut self.access.groups);
        self.reader.may_join = false;
        Powers {
            readlogs: self.readlogs,
            user: self.user,
            reader: self.reader,
            reads_all: self.access.capability,
        }
    }

    /// Becomes the user, and hands it what is its own.
    fn become_user(&mut self, had: Caps, writable: &[Writable<'_>]) {
        if !self.reader.may_join {
            return;
        }
        let User { name, uid, gid } = &self.user;
        if let Err(error) = caps::become_user(*uid, *gid, &self.access.groups) {
            warn!(target: TARGET, "cannot become user {name}, and stays who it is: {error}");
            (self.user, self.reader) = ourselves(&self.passwd_file);
            self.access = access::decide(&self.reader, &self.ways, self.readlogs);
            return;
        }
        // Changing the user has made the capabilities ineffective.
        let _ = caps::keep(had, had);
        for Writable { directory, .. } in writable.iter().filter(|writable| writable.is_ours) {
            match hand_over(directory, *uid, *gid) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    warn!(target: TARGET, "cannot hand {} over to {name}: {error}", directory.display());
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Tries whether everything that should be readable is: owner, group and mode are not all that decides.
    fn try_reading(&mut self, had: Caps, firewall: bool) {
        if self.access.capability
            || caps::keep(had, Caps::NET_ADMIN.and(self.wanted(firewall)).and(had)).is_err()
        {
            return;
        }
        let refused = self
            .ways
            .iter()
            .find(|way| way.end == End::File && is_refused(way));
        let refused = refused.filter(|_| self.access.obstacle.is_none());
        if let Some(way) = refused {
            self.access.obstacle = Some(Obstacle {
                path: way.path.clone(),
                role: way.role,
                why: Why::Refused,
            });
            self.access.capability = self.readlogs == ReadLogs::Auto;
        }
    }

    fn wanted(&self, firewall: bool) -> Caps {
        let when = |needed: bool, caps: Caps| if needed { caps } else { Caps::NONE };
        when(firewall, Caps::NET_ADMIN).or(when(self.access.capability, Caps::READ_ALL))
    }

    fn group_names(&self) -> String {
        let names = self.access.groups.iter();
        let names: Vec<String> = names
            .map(|gid| accounts::group_name(&self.group_file, *gid))
            .collect();
        names.join(" ")
    }

    /// What could not be read by groups alone, what came of it, and why.
    fn explain(&self, obstacle: &Obstacle) -> String {
        let what = if self.access.capability {
            "dac_read_search is kept"
        } else {
            "some file cannot be read"
        };
        format!("{what}: {}", self.why(obstacle))
    }

    fn why(&self, obstacle: &Obstacle) -> String {
        let why = Explained {
            obstacle,
            user_name: &|uid| accounts::user_name(&self.passwd_file, uid),
            group_name: &|gid| accounts::group_name(&self.group_file, gid),
        };
        why.to_string()
    }
}

impl Powers {
    /// Looks, after a reload, whether what is left is enough for another configuration. Who gave something up
    /// cannot take it back: what is missing is said.
    pub fn look_again(&self, config: &Config, file: Option<&Path>) {
        let passwd_file = account_file("/etc/passwd");
        let plan = Plan::of(self.user.clone(), self.reader.clone(), passwd_file, config, file);
        if let Some(obstacle) = plan.access.obstacle.as_ref().filter(|_| !self.reads_all) {
            // A log that comes later is tried then.
            if obstacle.why != Why::Missing {
                let why = plan.why(obstacle);
                warn!(target: TARGET, "start sipguard anew, so that it can read this: {why}");
            }
        }
        let renamed = config.user.as_ref().is_some_and(|name| *name != self.user.name);
        if renamed || config.readlogs != self.readlogs {
            warn!(target: TARGET, "user and readlogs are as at the start; start sipguard anew to change them");
        }
    }
}

/// Who we are already, for good.
fn ourselves(passwd_file: &[u8]) -> (User, Reader) {
    let uid = caps::uid();
    let gids = caps::gids().unwrap_or_default();
    let user = User {
        name: accounts::user_name(passwd_file, uid),
        uid,
        gid: gids.first().copied().unwrap_or(uid),
    };
    let may_join = false;
    (user, Reader { uid, gids, may_join })
}

/// What cannot be read names nobody.
fn account_file(path: &str) -> Vec<u8> {
    file::read(Path::new(path), ACCOUNT_FILE_BYTES_MAX).map_or_else(|_| Vec::new(), |(bytes, _)| bytes)
}

/// Gives a directory and the files in it to a user. The user that had them last may have been out for mischief: no
/// link is followed, and no file is touched that has another name elsewhere.
fn hand_over(directory: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let open = |path: &Path, flags| OpenOptions::new().read(true).custom_flags(flags).open(path);
    let opened = open(directory, file::DIRECTORY_ITSELF)?;
    fchown(&opened, Some(uid), Some(gid))?;
    for entry in fs::read_dir(directory)?.flatten().take(STATE_FILES_MAX) {
        let Ok(opened) = open(&entry.path(), file::FILE_ITSELF) else {
            continue;
        };
        let metadata = opened.metadata()?;
        if metadata.is_file() && metadata.nlink() == 1 {
            fchown(&opened, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// Whether the system refuses to read something on this way.
fn is_refused(way: &Way) -> bool {
    way.nodes.iter().any(|node| {
        let path = Path::new(&node.path);
        let read = if node.is_directory {
            fs::read_dir(path).map(drop)
        } else {
            LogFile::open(path).map(drop)
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    })
}

/// Gives up all other capabilities for good.
fn limit(had: Caps, kept: Caps) {
    let for_this = kept.or(Caps::GIVE_UP).and(had);
    let mut steps = Vec::new();
    if for_this.has(Caps::GIVE_UP) {
        steps.push(("give up capabilities", caps::keep(for_this, for_this)));
        steps.push(("empty the bounding set", caps::bound(kept)));
        steps.push(("lock the securebits", caps::lock()));
    } else {
        debug!(target: TARGET, "not privileged to empty the bounding set, which has no effect then");
    }
    steps.push(("give up capabilities", caps::keep(kept, kept)));
    steps.push(("refuse new privileges", caps::no_new_privileges()));
    steps.push(("prevent dumps of its memory", caps::no_dumps()));
    for (what, done) in steps {
        if let Err(error) = done {
            warn!(target: TARGET, "cannot {what}: {error}");
        }
    }
}

/// Leaves us only the files and system calls that we need. Returns by what.
fn confine(writable: &[&Path]) -> Vec<String> {
    let mut done = Vec::new();
    let confined = landlock::restrict(writable);
    let filtered = seccomp::filter().map(|filter| seccomp::install(&filter));
    match filtered {
        Some(Ok(())) => done.push("seccomp".to_owned()),
        Some(Err(error)) => warn!(target: TARGET, "without seccomp: {error}"),
        None => {
            warn!(target: TARGET, "without seccomp: nobody has made a list of system calls for this architecture");
        }
    }
    match confined {
        Ok(()) => done.push("landlock".to_owned()),
        Err(error) => info!(target: TARGET, "without landlock: {error}"),
    }
    done
}

/// Capabilities by their names without `cap_`, as capsh(1) has them.
fn names(caps: Caps) -> &'static str {
    match (caps.has(Caps::NET_ADMIN), caps.has(Caps::READ_ALL)) {
        (true, true) => "net_admin dac_read_search",
        (true, false) => "net_admin",
        (false, true) => "dac_read_search",
        (false, false) => "no capability",
    }
}
