//! Landlock (Linux 5.13, linux/landlock.h): a process limits which files it can change, whoever it is.
//!
//! libc knows the numbers of the three system calls; nothing we use knows more.
#![allow(unsafe_code, reason = "the system calls of Landlock")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;

// `LANDLOCK_ACCESS_FS_*`
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_BLOCK: u64 = 1 << 11;
const MAKE_SYM: u64 = 1 << 12;
/// Linking or renaming from one directory to another; since version 2.
const REFER: u64 = 1 << 13;
/// Since version 3.
const TRUNCATE: u64 = 1 << 14;
/// `ioctl` on devices that are opened from then on; since version 5.
const IOCTL_DEV: u64 = 1 << 15;
// `LANDLOCK_ACCESS_NET_*`, since version 4.
const BIND_TCP: u64 = 1;
const CONNECT_TCP: u64 = 1 << 1;
// `LANDLOCK_SCOPE_*`, since version 6: neither abstract sockets nor signals of processes outside.
const SCOPE_ABSTRACT_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 1 << 1;

/// `LANDLOCK_CREATE_RULESET_VERSION`
const ASK_VERSION: u32 = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`
const PATH_BENEATH: u32 = 1;

/// What is forbidden by version 1: every change to a file system, and to execute. Reading is not: which logs are
/// read is the configuration's word, and a reload may name others.
const CHANGES: u64 = EXECUTE
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_CHAR
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_BLOCK
    | MAKE_SYM;

/// What may be done in directories that stay writable: files, directories and sockets, and to put a new file in
/// place of an old one.
const IN_WRITABLE: u64 =
    WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | REFER | TRUNCATE;

/// `struct landlock_ruleset_attr`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ruleset {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

impl Ruleset {
    /// What this version of the kernel's can forbid, and how long its structure is; later versions can more, and
    /// take the last one's.
    fn of(version: u32) -> (Ruleset, usize) {
        let since = |first: u32, rights: u64| if version >= first { rights } else { 0 };
        let ruleset = Ruleset {
            handled_access_fs: CHANGES | since(2, REFER) | since(3, TRUNCATE) | since(5, IOCTL_DEV),
            handled_access_net: since(4, BIND_TCP | CONNECT_TCP),
            scoped: since(6, SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL),
        };
        let words = match version {
            ..=3 => 1,
            4..=5 => 2,
            6.. => 3,
        };
        (ruleset, words * size_of::<u64>())
    }
}

/// `struct landlock_path_beneath_attr`
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// Which version of Landlock the kernel has; an error if none, or if it is switched off.
pub fn version() -> io::Result<u32> {
    let (nothing, size) = (core::ptr::null::<Ruleset>(), 0_usize);
    // SAFETY: with this flag the kernel reads nothing, and wants a null pointer and no size.
    let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, size, ASK_VERSION) };
    number(result).map(i32::unsigned_abs)
}

/// From here on nothing can be changed in any file system but in these directories, and nothing be executed
/// anywhere. What is open stays as usable as it is. Needs `no_new_privileges`. A directory that is not there is
/// left out: nothing can be made in it later.
pub fn restrict(writable: &[&Path]) -> io::Result<()> {
    let (ruleset, size) = Ruleset::of(version()?);
    // SAFETY: the kernel reads `size` bytes, no more than the structure has.
    let created =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0_u32) };
    // SAFETY: it is a descriptor that the kernel has just made for us, and nobody else knows it.
    let rules = unsafe { OwnedFd::from_raw_fd(number(created)?) };
    for directory in writable {
        match open(directory) {
            Ok(directory) => allow(&rules, &directory, IN_WRITABLE & ruleset.handled_access_fs)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // SAFETY: it takes a descriptor and flags.
    let restricted = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0_u32) };
    number(restricted).map(|_| ())
}

fn open(directory: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(directory)
}

fn allow(rules: &OwnedFd, directory: &File, allowed_access: u64) -> io::Result<()> {
    let rule = PathBeneath {
        allowed_access,
        parent_fd: directory.as_raw_fd(),
    };
    let rules = rules.as_raw_fd();
    // SAFETY: this type of rule has this structure, which the kernel reads.
    let added = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            rules,
            PATH_BENEATH,
            &raw const rule,
            0_u32,
        )
    };
    number(added).map(|_| ())
}

/// The result of a system call that gives an `int`.
fn number(result: libc::c_long) -> io::Result<i32> {
    i32::try_from(result)
        .ok()
        .filter(|&number| number >= 0)
        .ok_or_else(|| Errno::last().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: u32, fs: u64, net: u64, scoped: u64, size: usize) {
        let want = Ruleset {
            handled_access_fs: fs,
            handled_access_net: net,
            scoped,
        };
        assert_eq!(Ruleset::of(version), (want, size), "version {version}");
    }

    /// The numbers are those of linux/landlock.h. 0xc and 0x0 in the lowest places: reading is not handled.
    #[test]
    fn each_version_forbids_what_it_knows() {
        check(1, 0x1ff3, 0, 0, 8);
        check(2, 0x3ff3, 0, 0, 8);
        check(3, 0x7ff3, 0, 0, 8);
        check(4, 0x7ff3, 3, 0, 16);
        check(5, 0xfff3, 3, 0, 16);
        check(6, 0xfff3, 3, 3, 24);
        check(99, 0xfff3, 3, 3, 24);
    }
}
