//! A transaction that sets up or removes objects of nf_tables, and what to say if it is refused.
//! Bans do not come this way; they need no words.

use std::io;

use crate::limits::{NETLINK_SEND_BYTES, RULESET_BYTES_MAX, RULESET_STEPS_MAX};
use crate::sys::Fault;
use crate::sys::netlink::{Netlink, Reply};
use crate::sys::pages::Pages;
use crate::sys::uapi::{
    EINVAL, ENOBUFS, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST,
};
use crate::wire::nft::{Batch, Table, ask_table};

/// A transaction of which nothing holds.
#[derive(Debug)]
pub(super) struct Rejection {
    /// The kernel's reason.
    pub(super) errno: i32,
    /// The same, for people.
    pub(super) fault: Fault,
}

/// The operations of a transaction, being written.
pub(super) struct Steps<'s, 'b> {
    batch: &'s mut Batch<'b>,
    /// What each operation is for, as `create …`.
    doing: &'s mut Vec<String>,
}

impl<'b> Steps<'_, 'b> {
    /// The next operation, to be written into what is returned.
    pub(super) fn step(&mut self, doing: impl Into<String>) -> &mut Batch<'b> {
        self.batch.step();
        self.doing.push(doing.into());
        self.batch
    }
}

/// Writes a transaction on a table, in as much memory as it takes, and carries it out.
pub(super) fn run(
    netlink: &mut Netlink,
    table: Table,
    write: &dyn Fn(&mut Steps<'_, '_>),
) -> Result<(), Rejection> {
    let mut room = Pages::new(NETLINK_SEND_BYTES);
    loop {
        let mut doing = Vec::new();
        let first = netlink.sequence(RULESET_STEPS_MAX);
        let mut batch = Batch::new(&mut room, first, table);
        let mut steps = Steps {
            batch: &mut batch,
            doing: &mut doing,
        };
        write(&mut steps);
        let last = batch.seq();
        if let Some(messages) = batch.finish() {
            return send(netlink, messages, first, last, table, &doing);
        }
        let more = room.len() * 4;
        assert!(more <= RULESET_BYTES_MAX * 4, "limits.rs bounds the ruleset");
        room = Pages::new(more);
    }
}

/// How a table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The kernel protects it from others.
    Protected,
    /// Anybody may change it.
    Plain,
}

impl Standing {
    /// The table's flags.
    pub(super) fn flags(self) -> u32 {
        match self {
            Standing::Protected => PROTECTED,
            Standing::Plain => 0,
        }
    }
}

/// Puts a new table, with what `write` writes, in the place of the one of that name. It is protected
/// if that is the `wish` and the kernel can.
pub(super) fn replace(
    netlink: &mut Netlink,
    table: Table,
    wish: Standing,
    write: &dyn Fn(&mut Steps<'_, '_>),
) -> Result<Standing, Rejection> {
    let mut attempt = |old, new| {
        run(netlink, table, &|steps| {
            // One that is not there is made first, so that there is always one to delete.
            steps.step("create").add_table(old);
            steps.step("replace").delete_table();
            steps.step("create").add_table(new);
            write(steps);
        })
    };
    // What is there may be ours and protected, or left so by an earlier run; or it is plain; and old
    // kernels know no flags.
    let ways: &[u32] = match wish {
        Standing::Protected => &[PROTECTED, 0],
        Standing::Plain => &[],
    };
    for &old in ways {
        match attempt(old, PROTECTED) {
            Err(Rejection {
                errno: EINVAL | EOPNOTSUPP,
                ..
            }) => {}
            other => return other.map(|()| Standing::Protected),
        }
    }
    attempt(0, 0).map(|()| Standing::Plain)
}

/// Removes a table; that there is none is fine.
pub(super) fn remove(netlink: &mut Netlink, table: Table) -> Result<(), Fault> {
    // A transaction that fails would wait for an RCU grace period, 10 to 30 ms.
    let mut room = [0; 256];
    let seq = netlink.sequence(0);
    let question = ask_table(&mut room, seq, table).unwrap_or_default();
    match netlink.ask(question, seq, &mut |_| {}) {
        Err(error) if error.raw_os_error() == Some(ENOENT) => return Ok(()),
        // The transaction says it better.
        Ok(()) | Err(_) => {}
    }
    match run(netlink, table, &|steps| steps.step("remove").delete_table()) {
        Err(Rejection { errno: ENOENT, .. }) => Ok(()),
        other => other.map_err(|rejection| rejection.fault),
    }
}

/// Nobody but us may change the table, not even by `nft flush ruleset`, and it outlives us (Linux 6.9). Where
/// the kernel has only the first of the flags (Linux 5.12 to 6.8) it would remove the table, and all bans with
/// it, when we die: so it is both, or a plain table that we watch.
pub(super) const PROTECTED: u32 = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;

fn send(
    netlink: &mut Netlink,
    messages: &[u8],
    first: u32,
    last: u32,
    table: Table,
    doing: &[String],
) -> Result<(), Rejection> {
    netlink.reserve(messages.len());
    let mut refusal = None;
    let reply = netlink.request(messages, first, last, &mut |answer| {
        refusal.get_or_insert((answer.seq, answer.code));
    });
    let (seq, errno) = match (reply, refusal) {
        (Ok(Reply::Done), _) => return Ok(()),
        (_, Some(refusal)) => refusal,
        (Err(error), None) => (first, error.raw_os_error().unwrap_or(0)),
        (Ok(Reply::Refused | Reply::Lost), None) => (first, ENOBUFS),
    };
    // An answer to the message that begins the transaction is about all of it; the first operation
    // says best what that is.
    let all = seq == first;
    let index = usize::try_from(seq.wrapping_sub(first))
        .unwrap_or(0)
        .saturating_sub(1);
    let what = doing.get(index).map_or("change", String::as_str);
    let fault = cannot(&format!("{what} {table}"), io::Error::from_raw_os_error(errno));
    let fault = match errno {
        EPERM if all => fault.hint("needs CAP_NET_ADMIN: start as root"),
        EPERM => fault.hint("another process owns it: is sipguard running already?"),
        EINVAL | EOPNOTSUPP if all => fault
            .hint("the kernel lacks nf_tables: on OpenWrt install kmod-nft-core, or set firewall = ipset"),
        ENOENT => fault.hint("a part of nf_tables is missing: on OpenWrt install kmod-nft-core"),
        _ => fault,
    };
    Err(Rejection { errno, fault })
}

/// That we could not do it, and why.
pub(super) fn cannot(doing: &str, error: io::Error) -> Fault {
    let missing = error.raw_os_error() == Some(EPROTONOSUPPORT);
    let fault = Fault::new(format!("cannot {doing}"), error);
    if missing {
        fault.hint("the kernel lacks nfnetlink: on OpenWrt install kmod-nfnetlink")
    } else {
        fault
    }
}
