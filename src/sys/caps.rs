//! Who this process is and what it may do (credentials(7), capabilities(7)).
//!
//! `nix` changes users; it has nothing for capabilities, for which libc has prctl(2) and no capset(2).
#![allow(
    unsafe_code,
    reason = "capset, capget and prctl options that nix does not know"
)]

use std::io;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, getegid, geteuid, getgroups, setgroups, setresgid, setresuid};

/// A set of capabilities, a bit each (linux/capability.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps(pub u64);

impl Caps {
    /// None.
    pub const NONE: Caps = Caps(0);
    /// `CAP_DAC_READ_SEARCH`: reading any file, looking into any directory.
    pub const READ_ALL: Caps = Caps(1 << 2);
    /// `CAP_SETPCAP`: giving up capabilities for good.
    pub const GIVE_UP: Caps = Caps(1 << 8);
    /// `CAP_NET_ADMIN`: the firewall.
    pub const NET_ADMIN: Caps = Caps(1 << 12);

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Caps) -> Caps {
        Caps(self.0 & other.0)
    }

    /// Those of either.
    #[must_use]
    pub fn or(self, other: Caps) -> Caps {
        Caps(self.0 | other.0)
    }

    /// Whether all of these are among them.
    #[must_use]
    pub fn has(self, other: Caps) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The user that we are.
#[must_use]
pub fn uid() -> u32 {
    geteuid().as_raw()
}

/// The groups that we are in: our own first.
pub fn gids() -> io::Result<Vec<u32>> {
    let mut gids = vec![getegid().as_raw()];
    gids.extend(getgroups()?.into_iter().map(Gid::as_raw));
    Ok(gids)
}

/// Becomes another user in these groups, and keeps the capabilities that are permitted; none of them is effective
/// then. If it fails, the user is the old one.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    prctl::set_keepcaps(true)?;
    let changed = setgroups(&groups)
        .and_then(|()| setresgid(gid, gid, gid))
        .and_then(|()| setresuid(uid, uid, uid));
    prctl::set_keepcaps(false)?;
    Ok(changed?)
}

/// The capabilities that we may make effective.
pub fn permitted() -> io::Result<Caps> {
    let mut header = HEADER;
    let mut sets = [Sets::default(); 2];
    // SAFETY: version 3 of the header says that two structures follow, and there are two; the kernel fills them in.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    checked(result)?;
    let [low, high] = sets.map(|set| u64::from(set.permitted));
    Ok(Caps(low | high << 32))
}

/// Keeps only these capabilities, of them makes only those `effective`, and leaves nothing to whatever we might
/// execute.
pub fn keep(permitted: Caps, effective: Caps) -> io::Result<()> {
    let mut header = HEADER;
    let half = |caps: Caps, shift: u32| (caps.0 >> shift) as u32;
    let sets = [0, 32].map(|shift| Sets {
        effective: half(effective, shift),
        permitted: half(permitted, shift),
        inheritable: 0,
    });
    // SAFETY: version 3 of the header says that two structures follow, and there are two; the kernel reads them.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) };
    checked(result)
}

/// Takes everything but these out of the bounding set: no program that we might execute could ever get it. Needs
/// [`Caps::GIVE_UP`].
pub fn bound(keep: Caps) -> io::Result<()> {
    for number in 0..64 {
        if keep.has(Caps(1 << number)) {
            continue;
        }
        match set(libc::PR_CAPBSET_DROP, number) {
            // The kernel has no such capability, and so none that comes after it.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && number > 0 => break,
            done => done?,
        }
    }
    Ok(())
}

/// Makes user 0 a user without capabilities of its own, and that for good. Needs [`Caps::GIVE_UP`].
pub fn lock() -> io::Result<()> {
    let bits = libc::SECBIT_NOROOT
        | libc::SECBIT_NOROOT_LOCKED
        | libc::SECBIT_NO_SETUID_FIXUP_LOCKED
        | libc::SECBIT_KEEP_CAPS_LOCKED;
    // Ambient capabilities came with Linux 4.3; an older kernel refuses bits that it does not know.
    let ambient = libc::SECBIT_NO_CAP_AMBIENT_RAISE | libc::SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    set(
        libc::PR_SET_SECUREBITS,
        u64::from((bits | ambient).unsigned_abs()),
    )
    .or_else(|_| set(libc::PR_SET_SECUREBITS, u64::from(bits.unsigned_abs())))
}

/// Nothing that we might execute can do more than we can (Linux 3.5).
pub fn no_new_privileges() -> io::Result<()> {
    Ok(prctl::set_no_new_privs()?)
}

/// No core file, and nobody of the same user looks into our memory.
pub fn no_dumps() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(prctl::set_dumpable(false)?)
}

/// `prctl` with an option that takes one number.
fn set(option: libc::c_int, number: u64) -> io::Result<()> {
    // Register-wide, as the kernel takes it.
    let [number, none] = [number, 0].map(|word| word as libc::c_ulong);
    // SAFETY: the two options that are used take a number, and no pointer.
    let result = unsafe { libc::prctl(option, number, none, none, none) };
    checked(result.into())
}

fn checked(result: libc::c_long) -> io::Result<()> {
    if result == -1 {
        Err(Errno::last().into())
    } else {
        Ok(())
    }
}

/// `struct __user_cap_header_struct`
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `_LINUX_CAPABILITY_VERSION_3`, of this process.
const HEADER: Header = Header {
    version: 0x2008_0522,
    pid: 0,
};

/// `struct __user_cap_data_struct`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}
