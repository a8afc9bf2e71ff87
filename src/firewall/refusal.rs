//! Why the kernel did not take a change.

use core::fmt;
use std::io;

use crate::sys::uapi::{EAGAIN, EBUSY, EINTR, ENFILE, ENOBUFS, ENOENT, ENOMEM, EOPNOTSUPP, EPERM, ERESTART};

/// Why the kernel did not take a change. What to do differs by kind.
#[derive(Debug)]
pub enum Refusal {
    /// The set holds as many elements as it may. Remove some, then try again.
    Full,
    /// Our table or sets are no longer there. Call `rebuild` and add all bans again.
    Gone,
    /// The kernel was short of memory or room for an instant. Try again later; it may have taken the
    /// change, which does no harm.
    Busy(io::Error),
    /// We may not: `CAP_NET_ADMIN` is missing. Trying again is of no use.
    Denied(io::Error),
    /// We cannot express that. Trying again is of no use.
    Impossible(&'static str),
    /// The kernel does not like it, for a reason that we do not know how to repair.
    Other(io::Error),
}

impl Refusal {
    /// What an errno in the kernel's answer to an element message means.
    pub(super) fn from_errno(errno: i32) -> Refusal {
        let error = io::Error::from_raw_os_error(errno);
        match errno {
            ENFILE => Refusal::Full,
            // nf_tables has lost the table, or is not there any more (its module was removed).
            ENOENT | EOPNOTSUPP => Refusal::Gone,
            EAGAIN | EBUSY | EINTR | ENOBUFS | ENOMEM | ERESTART => Refusal::Busy(error),
            EPERM => Refusal::Denied(error),
            _ => Refusal::Other(error),
        }
    }

    /// What it means that a request could not be sent or answered at all.
    pub(super) fn from_io(error: &io::Error) -> Refusal {
        match error.raw_os_error() {
            Some(EPERM) => Refusal::Denied(io::Error::from_raw_os_error(EPERM)),
            Some(errno) => Refusal::Busy(io::Error::from_raw_os_error(errno)),
            None => Refusal::Busy(error.kind().into()),
        }
    }

    /// Some answers were lost.
    pub(super) fn lost() -> Refusal {
        Refusal::Busy(io::Error::from_raw_os_error(ENOBUFS))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Full => f.write_str("the kernel's set is full"),
            Refusal::Gone => f.write_str("our sets are gone"),
            Refusal::Busy(error) | Refusal::Denied(error) | Refusal::Other(error) => error.fmt(f),
            Refusal::Impossible(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}
