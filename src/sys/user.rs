//! Giving up power: another user, no new privileges.

use std::fs;
use std::io;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

/// What became of an attempt to be somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// That user, without any capability.
    ThatUser,
    /// Who we were: we have no power to lose.
    NotRoot,
    /// Root of a user namespace that has no such user.
    NotMapped,
}

/// Becomes a user of `/etc/passwd` for good, with that user's group and no other. The kernel takes every capability
/// from who stops being root.
pub fn become_user(name: &str) -> io::Result<Became> {
    if !geteuid().is_root() {
        return Ok(Became::NotRoot);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let (uid, gid) = find(&passwd, name).ok_or_else(|| {
        let text = format!("there is no user {name} in /etc/passwd");
        io::Error::new(io::ErrorKind::NotFound, text)
    })?;
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if !map.is_empty() && !is_mapped(&map, uid) {
        return Ok(Became::NotMapped);
    }
    setgroups(&[Gid::from_raw(gid)])?;
    let gid = Gid::from_raw(gid);
    setresgid(gid, gid, gid)?;
    let uid = Uid::from_raw(uid);
    setresuid(uid, uid, uid)?;
    Ok(Became::ThatUser)
}

/// The user and group number of a name, in the text of `/etc/passwd`.
fn find(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (user, _) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (user == name).then_some((uid, gid))
    })
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

/// From here on no program that is run gives us more power than we have.
pub fn no_new_privileges() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

/// Dies when the process that started us does.
pub fn die_with_parent() -> io::Result<()> {
    Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)
}

/// Becomes the parent of whatever our children leave behind.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobodyx:x:1:1::/:\nnobody:*:65534:65533:n:/:/bin/false\nbad:x:y\n";
        let check = |name: &str, want| assert_eq!(find(passwd, name), want, "{name}");
        check("nobody", Some((65_534, 65_533)));
        check("root", Some((0, 0)));
        check("bad", None);
        check("", None);
    }

    #[test]
    fn a_namespace_has_the_users_of_its_map() {
        let check = |map: &str, uid, want| assert_eq!(is_mapped(map, uid), want, "{map} {uid}");
        check("         0          0 4294967295\n", 65_534, true);
        check("0 1000 1\n", 65_534, false);
        check("0 1000 1\n1 100000 65536\n", 65_534, true);
        check("", 0, false);
    }
}
