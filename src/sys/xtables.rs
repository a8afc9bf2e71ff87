//! The socket options of iptables and ipset, which are older than netlink.
//!
//! They take a structure and fill it in, and one of them writes through a pointer in it; `nix` has
//! nothing for that. So this file calls libc, twice.
#![allow(
    unsafe_code,
    reason = "getsockopt and setsockopt with structures that nix does not know"
)]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::uapi::{
    EAGAIN, IP_SET_OP_GET_BYNAME, IPSET_INVALID_ID, IPSET_PROTOCOL, IPT_SO_GET_ENTRIES, IPT_SO_GET_INFO,
    IPT_SO_SET_ADD_COUNTERS, IPT_SO_SET_REPLACE, SO_IP_SET,
};
use crate::wire::nft::Family;
use crate::wire::xtables::{
    COUNTERS_BYTES, ENTRIES_OFFSET, INFO_BYTES, Info, REPLACE_POINTER_OFFSET, Table, add_counters, replace,
    table_name,
};

/// A socket by which the tables of one family are read and replaced.
#[derive(Debug)]
pub struct Xtables {
    socket: OwnedFd,
    family: Family,
}

impl Xtables {
    /// Opens a socket, an ordinary one; `EAFNOSUPPORT` says that the machine has no IPv6.
    pub fn open(family: Family) -> io::Result<Xtables> {
        let domain = match family {
            Family::V4 => AddressFamily::Inet,
            Family::V6 => AddressFamily::Inet6,
        };
        let socket = socket(domain, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Xtables { socket, family })
    }

    /// The names of the tables that are in use; `None` if we may not know.
    #[must_use]
    pub fn tables_in_use(&self) -> Option<String> {
        let number = match self.family {
            Family::V4 => 0,
            Family::V6 => 1,
        };
        match NAMES.get(number).map(fs::read_to_string) {
            Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                let mut names = [0; NAMES_BYTES_MAX];
                let file = KEPT.get()?.names.get(number)?.as_ref()?;
                let count = file.read_at(&mut names, 0).ok()?;
                Some(String::from_utf8_lossy(names.get(..count)?).into_owned())
            }
            read => Some(read.and_then(Result::ok).unwrap_or_default()),
        }
    }

    /// A table's shape and its row of entries. Loads the table's module if it has one and we may.
    pub fn read(&self, table: &str) -> io::Result<(Info, Vec<u8>)> {
        let name = table_name(table).ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = [0; INFO_BYTES];
        let (room, _) = bytes.split_at_mut(name.len());
        room.copy_from_slice(&name);
        self.get(self.level(), IPT_SO_GET_INFO, &mut bytes)?;
        let info = Info::parse(&bytes).ok_or(io::ErrorKind::InvalidData)?;

        let mut request = name.to_vec();
        request.extend(info.bytes.to_ne_bytes());
        request.resize(ENTRIES_OFFSET + usize::try_from(info.bytes).unwrap_or(0), 0);
        self.get(self.level(), IPT_SO_GET_ENTRIES, &mut request)?;
        Ok((info, request.split_off(ENTRIES_OFFSET)))
    }

    /// Puts `new` in place of a table of `old_entries` entries, and gives the rules that stay their
    /// counters back. `EAGAIN` says that somebody has changed it since it was read.
    pub fn replace(&self, table: &str, new: &Table, old_entries: u32) -> io::Result<()> {
        let mut blob = replace(table, new).ok_or(io::ErrorKind::InvalidInput)?;
        let mut counters = vec![0_u8; COUNTERS_BYTES * usize::try_from(old_entries).unwrap_or(0)];
        // The kernel writes so many counters to that address, and it checks the number.
        let pointer = counters.as_mut_ptr() as usize;
        for (at, bytes) in [
            (REPLACE_POINTER_OFFSET - 4, &old_entries.to_ne_bytes()[..]),
            (REPLACE_POINTER_OFFSET, &pointer.to_ne_bytes()[..]),
        ] {
            let room = blob
                .get_mut(at..at + bytes.len())
                .ok_or(io::ErrorKind::InvalidInput)?;
            room.copy_from_slice(bytes);
        }
        self.set(IPT_SO_SET_REPLACE, &blob)?;
        let added = add_counters(table, new, &counters).ok_or(io::ErrorKind::InvalidInput)?;
        // The table is in force. Counters that are not as they were are no reason to undo it.
        let _ = self.set(IPT_SO_SET_ADD_COUNTERS, &added);
        Ok(())
    }

    /// The kernel's number of an ipset, if there is one of that name.
    pub fn set_number(&self, set: &str) -> io::Result<Option<u16>> {
        // struct ip_set_req_get_set: operation, version, and a name that becomes the number.
        let name = table_name(set).ok_or(io::ErrorKind::InvalidInput)?;
        let mut request = [0; 40];
        let words = [IP_SET_OP_GET_BYNAME, u32::from(IPSET_PROTOCOL)]
            .into_iter()
            .flat_map(u32::to_ne_bytes);
        for (room, byte) in request.iter_mut().zip(words.chain(name)) {
            *room = byte;
        }
        self.get(libc::SOL_IP, SO_IP_SET, &mut request)?;
        let number = u16::from_ne_bytes([request[8], request[9]]);
        Ok((number != IPSET_INVALID_ID).then_some(number))
    }

    fn level(&self) -> i32 {
        match self.family {
            Family::V4 => libc::SOL_IP,
            Family::V6 => libc::SOL_IPV6,
        }
    }

    /// `getsockopt` of a structure that goes in and comes out.
    fn get(&self, level: i32, option: i32, structure: &mut [u8]) -> io::Result<()> {
        let mut bytes =
            libc::socklen_t::try_from(structure.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the kernel reads and writes at most `bytes` bytes at the pointer, which is how long
        // `structure` is; none of the options that we ask for holds a pointer.
        let result = unsafe {
            let structure = structure.as_mut_ptr().cast();
            libc::getsockopt(self.socket.as_raw_fd(), level, option, structure, &raw mut bytes)
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// `setsockopt` of a structure.
    fn set(&self, option: i32, structure: &[u8]) -> io::Result<()> {
        let bytes = libc::socklen_t::try_from(structure.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let socket = self.socket.as_raw_fd();
        // SAFETY: the kernel reads `bytes` bytes at the pointer, which is how long `structure` is. Of
        // the two options used, one holds a pointer: `replace` lets it point to a buffer that lives
        // until we are back, and as many counters as fit in it are asked for.
        let result =
            unsafe { libc::setsockopt(socket, self.level(), option, structure.as_ptr().cast(), bytes) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// What only root can open, and the guard needs when it is root no more.
#[derive(Debug)]
struct Kept {
    lock: Option<File>,
    names: [Option<File>; 2],
}

/// Set once, before the guard gives up what root may.
static KEPT: OnceLock<Kept> = OnceLock::new();

const LOCK: &str = "/run/xtables.lock";
/// Tables in use, of each family; for root to read.
const NAMES: [&str; 2] = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
/// There are five tables, and nobody adds one.
const NAMES_BYTES_MAX: usize = 512;

/// Opens what later only root could. What is not there is not needed: none but root can make it later, and who
/// uses iptables from the start has made it by now.
pub fn keep() {
    let open = |path: &str| File::open(path).ok();
    let _ = KEPT.set(Kept {
        lock: open(LOCK),
        names: NAMES.map(open),
    });
}

/// The lock that all programs hold while they change iptables, until it is dropped.
#[derive(Debug)]
pub struct XtablesLock(#[expect(dead_code, reason = "held, not used")] Option<Flock<File>>);

impl XtablesLock {
    /// Takes the lock if nobody has it; `EAGAIN` if somebody does. Where the file cannot be made
    /// there is nobody to lock out.
    pub fn take() -> io::Result<XtablesLock> {
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(LOCK);
        let opened = opened
            .ok()
            .or_else(|| KEPT.get()?.lock.as_ref()?.try_clone().ok());
        let Some(file) = opened else {
            return Ok(XtablesLock(None));
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(XtablesLock(Some(lock))),
            Err((_, errno)) if errno as i32 == EAGAIN => Err(errno.into()),
            Err(_) => Ok(XtablesLock(None)),
        }
    }
}
