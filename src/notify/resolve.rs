//! A process that looks one name up and prints its addresses, a line each. The C library's resolver cannot be given a
//! time limit, but a process can.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::ToSocketAddrs as _;

use crate::addr;
use crate::limits::NAME_ADDRESSES_MAX;

/// Looks a name up. Returns the exit code.
///
/// # Errors
/// That it cannot be found, or nobody wants to hear of it.
pub(super) fn run(name: &str) -> io::Result<u8> {
    // By the C library: /etc/hosts, the resolvers of /etc/resolv.conf, both families.
    let found = (name, 0).to_socket_addrs()?;
    let addresses: BTreeSet<_> = found.map(|found| addr::unmap(found.ip())).collect();
    let mut out = String::new();
    for address in addresses.iter().take(NAME_ADDRESSES_MAX) {
        out += &format!("{address}\n");
    }
    io::stdout().write_all(out.as_bytes())?;
    Ok(0)
}
