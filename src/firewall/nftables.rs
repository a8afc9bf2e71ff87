//! Bans in nf_tables: one table of our own.
//!
//! ```text
//! table inet sipguard {
//!     set asterisk4 { type ipv4_addr; flags timeout; }
//!     set asterisk6 { type ipv6_addr; flags timeout; }
//!     chain prerouting {
//!         type filter hook prerouting priority raw; policy accept;
//!         ip saddr @asterisk4 counter drop
//!         ip6 saddr & ffff:ffff:ffff:ffff:: @asterisk6 counter drop
//!     }
//! }
//! ```
//! A jail with ports jumps to a chain `asterisk-ports` of its own, so that a packet from elsewhere
//! pays for one lookup per jail. Sets have no size: the kernel would reserve memory for all of it
//! at once, and would count elements that timed out until it collects them. The guard's table is
//! the bound.

use std::io;
use std::net::IpAddr;

use crate::firewall::Refusal;
use crate::firewall::layout::{Layout, Ports, Scope};
use crate::guard::{Change, Effect, Slot};
use crate::limits::{
    CHANGES_PER_TRANSACTION, NETLINK_SEND_BYTES, RULESET_BYTES_MAX, RULESET_STEPS_MAX, SET_GC_INTERVAL_MS,
    TRANSACTION_ROUNDS,
};
use crate::sys::Fault;
use crate::sys::netlink::{Netlink, Reply};
use crate::sys::uapi::{
    EEXIST, EINVAL, ENOBUFS, ENOENT, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, NFT_TABLE_F_OWNER,
    NFT_TABLE_F_PERSIST,
};
use crate::wire::nft::{Batch, ELEMENT_MESSAGE_BYTES_MAX, Family, Rule, Set};

pub(super) use crate::wire::nft::TIMEOUT_MS_MAX;

/// The one table that is ours.
const TABLE: &str = "sipguard";
const CHAIN: &str = "prerouting";
const _: () = assert!(ELEMENT_MESSAGE_BYTES_MAX * 3 * CHANGES_PER_TRANSACTION + 64 <= NETLINK_SEND_BYTES);

/// Nobody but us may change the table, not even by `nft flush ruleset`, and it outlives us. One flag
/// without the other would let all bans go when we die.
const PROTECTED: u32 = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;

/// Our table, and the socket that owns it.
#[derive(Debug)]
pub(super) struct Nftables {
    netlink: Netlink,
    send: Box<[u8]>,
    protected: bool,
}

/// What is still to be done for a change, or that nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The one message that suffices if the kernel holds what we think: an `add` that is refused if
    /// the element is there, a `delete` that is refused if it is not.
    Short,
    /// The messages that do it in any case.
    ///
    /// To change an element's time takes add, delete, add: adding it again alone changes nothing up
    /// to Linux 6.11, and a delete alone is refused if the element timed out this very moment. To
    /// delete takes add, delete. All within one transaction, so that packets see only the result.
    Sure,
    /// Its outcome has been reported.
    Settled,
}

impl Nftables {
    /// Sets up the table, replacing one that an earlier run left.
    pub(super) fn open(layout: &Layout) -> Result<Nftables, Fault> {
        let netlink = Netlink::open().map_err(|error| cannot("open a netfilter socket", error))?;
        let mut nftables = Nftables {
            netlink,
            send: vec![0; NETLINK_SEND_BYTES].into_boxed_slice(),
            protected: false,
        };
        nftables.rebuild(layout)?;
        Ok(nftables)
    }

    /// Whether the kernel keeps others from touching the table.
    pub(super) fn protected(&self) -> bool {
        self.protected
    }

    /// Sets up table, sets, chains and rules, in one transaction.
    pub(super) fn rebuild(&mut self, layout: &Layout) -> Result<(), Fault> {
        // (flags that meet what is there, flags of the new table). What is there may be ours and
        // protected, or was left so by an earlier run; or it is plain; and old kernels know no flags.
        for (old, new) in [(PROTECTED, PROTECTED), (0, PROTECTED)] {
            match self.install(layout, old, new) {
                Err(Rejection {
                    errno: EINVAL | EOPNOTSUPP,
                    ..
                }) => {}
                other => {
                    self.protected = true;
                    return other.map_err(|rejection| rejection.fault);
                }
            }
        }
        self.protected = false;
        self.install(layout, 0, 0).map_err(|rejection| rejection.fault)
    }

    fn install(&mut self, layout: &Layout, old: u32, new: u32) -> Result<(), Rejection> {
        let mut room = vec![0; NETLINK_SEND_BYTES];
        loop {
            let mut steps = Vec::new();
            let first = self.netlink.sequence(RULESET_STEPS_MAX);
            let mut batch = Batch::new(&mut room, first, TABLE);
            write_ruleset(&mut batch, layout, old, new, &mut steps);
            let last = batch.seq();
            if let Some(messages) = batch.finish() {
                return transact(&mut self.netlink, messages, first, last, &steps);
            }
            let more = room.len() * 4;
            assert!(more <= RULESET_BYTES_MAX * 4, "limits.rs bounds the ruleset");
            room = vec![0; more];
        }
    }

    /// Removes the table; that there is none is fine.
    pub(super) fn teardown(&mut self) -> Result<(), Fault> {
        let first = self.netlink.sequence(2);
        let mut batch = Batch::new(&mut self.send, first, TABLE);
        let last = batch.step();
        batch.delete_table();
        let Some(messages) = batch.finish() else {
            return Ok(());
        };
        let steps = ["remove table inet sipguard".to_owned()];
        match transact(&mut self.netlink, messages, first, last, &steps) {
            Err(Rejection { errno: ENOENT, .. }) => Ok(()),
            other => other.map_err(|rejection| rejection.fault),
        }
    }

    /// Carries out changes; see [`crate::firewall::Firewall::apply`].
    pub(super) fn apply(&mut self, layout: &Layout, effects: &[Effect], outcome: &mut Outcome<'_>) {
        for chunk in effects.chunks(CHANGES_PER_TRANSACTION) {
            self.apply_chunk(layout, chunk, outcome);
        }
    }

    fn apply_chunk(&mut self, layout: &Layout, effects: &[Effect], outcome: &mut Outcome<'_>) {
        let mut steps = [Step::Short; CHANGES_PER_TRANSACTION];
        for _ in 0..TRANSACTION_ROUNDS {
            let first = self.netlink.sequence(CHANGES_PER_TRANSACTION as u32 + 1);
            let mut batch = Batch::new(&mut self.send, first, TABLE);
            let mut last = first;
            for (effect, step) in effects.iter().zip(&mut steps) {
                // Sequence numbers count all effects, so that an answer's number is an index.
                let seq = batch.step();
                if *step == Step::Settled {
                    continue;
                }
                match layout.element(effect) {
                    Ok(Some((set, addr))) => {
                        write_change(&mut batch, set, addr, effect.change, *step);
                        last = seq;
                    }
                    other => {
                        *step = Step::Settled;
                        outcome(effect.slot, other.map(|_| ()));
                    }
                }
            }
            if last == first {
                return;
            }
            let Some(messages) = batch.finish() else { break };
            let reply = self.netlink.request(messages, first, last, &mut |answer| {
                let index = answer.seq.wrapping_sub(first).checked_sub(1);
                let index = index.and_then(|i| usize::try_from(i).ok());
                let effect = index.and_then(|i| effects.get(i));
                let step = index.and_then(|i| steps.get_mut(i));
                if let (Some(effect), Some(step)) = (effect, step) {
                    refused(effect, step, answer.code, outcome);
                }
            });
            match reply {
                Ok(Reply::Done) => return settle(effects, &steps, outcome, &|| Ok(())),
                // Nothing of the transaction holds: again, without what was refused.
                Ok(Reply::Refused | Reply::Lost) => {}
                Err(error) => return settle(effects, &steps, outcome, &|| Err(Refusal::from_io(&error))),
            }
        }
        settle(effects, &steps, outcome, &|| Err(Refusal::lost()));
    }
}

/// Where outcomes go.
type Outcome<'a> = dyn FnMut(Slot, Result<(), Refusal>) + 'a;

/// A transaction that set nothing up.
struct Rejection {
    errno: i32,
    fault: Fault,
}

/// Sends a transaction; what it was about to do in each step is in `steps`, as `create …`.
fn transact(
    netlink: &mut Netlink,
    messages: &[u8],
    first: u32,
    last: u32,
    steps: &[String],
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
    // An answer to the message that begins the transaction is about all of it.
    let all = seq == first;
    let index = usize::try_from(seq.wrapping_sub(first))
        .unwrap_or(0)
        .saturating_sub(1);
    let doing = steps
        .get(index)
        .map_or("set up table inet sipguard", String::as_str);
    let fault = cannot(doing, io::Error::from_raw_os_error(errno));
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

fn cannot(doing: &str, error: io::Error) -> Fault {
    let missing = error.raw_os_error() == Some(EPROTONOSUPPORT);
    let fault = Fault::new(format!("cannot {doing}"), error);
    if missing {
        fault.hint("the kernel lacks nfnetlink: on OpenWrt install kmod-nfnetlink")
    } else {
        fault
    }
}

/// Writes everything that stands in the table, and into `steps` what each operation is for.
fn write_ruleset(batch: &mut Batch<'_>, layout: &Layout, old: u32, new: u32, steps: &mut Vec<String>) {
    let mut step = |batch: &mut Batch<'_>, doing: String| {
        batch.step();
        steps.push(doing);
    };
    step(batch, "create table inet sipguard".to_owned());
    batch.add_table(old);
    step(batch, "replace table inet sipguard".to_owned());
    batch.delete_table();
    step(batch, "create table inet sipguard".to_owned());
    batch.add_table(new);
    step(batch, format!("create chain {CHAIN} in table inet sipguard"));
    batch.add_base_chain(CHAIN);
    let mut id = 0;
    for jail in &layout.jails {
        for (family, name) in jail.sets() {
            id += 1;
            step(batch, format!("create set {name} in table inet sipguard"));
            batch.add_set(
                &Set {
                    name,
                    family,
                    gc_interval_ms: SET_GC_INTERVAL_MS,
                    size: None,
                },
                id,
            );
        }
        let mut ports_chain = None;
        if let Scope::Ports(all) = &jail.scope {
            let chain = format!("{}-ports", jail.name);
            step(batch, format!("create chain {chain} in table inet sipguard"));
            batch.add_chain(&chain);
            for ports in all {
                step(
                    batch,
                    format!("create a rule in chain {chain} of table inet sipguard"),
                );
                batch.add_rule(&chain, |rule| write_ports_rule(rule, *ports));
            }
            ports_chain = Some(chain);
        }
        for (family, set) in jail.sets() {
            step(
                batch,
                format!("create the rule for set {set} of table inet sipguard"),
            );
            batch.add_rule(CHAIN, |rule| {
                rule.family(family);
                match family {
                    Family::V4 => rule.source4_in(set),
                    Family::V6 => rule.source6_in(set, layout.ipv6prefix),
                }
                match &ports_chain {
                    Some(chain) => rule.jump(chain),
                    None => {
                        rule.counter();
                        rule.drop();
                    }
                }
            });
        }
    }
}

fn write_ports_rule(rule: &mut Rule<'_, '_>, ports: Ports) {
    rule.protocol(ports.protocol);
    if let Some((first, last)) = ports.range {
        rule.destination_port(first, last);
    }
    rule.counter();
    rule.drop();
}

fn write_change(batch: &mut Batch<'_>, set: &str, addr: IpAddr, change: Change, step: Step) {
    match (change, step) {
        (Change::Add { timeout_ms }, Step::Short) => batch.add_element(set, addr, timeout_ms, true),
        (Change::Delete, Step::Short) => batch.delete_element(set, addr),
        (Change::Add { timeout_ms }, Step::Sure) => {
            batch.add_element(set, addr, timeout_ms, false);
            batch.delete_element(set, addr);
            batch.add_element(set, addr, timeout_ms, false);
        }
        (Change::Delete, Step::Sure) => {
            batch.add_element(set, addr, None, false);
            batch.delete_element(set, addr);
        }
        (Change::Add { .. } | Change::Delete, Step::Settled) => {}
    }
}

/// One message for a change was refused: takes the sure way if the short one met another state than
/// we thought, else reports it.
fn refused(effect: &Effect, step: &mut Step, errno: i32, outcome: &mut Outcome<'_>) {
    match (effect.change, errno, *step) {
        (Change::Add { .. }, EEXIST, Step::Short) | (Change::Delete, ENOENT, Step::Short) => {
            *step = Step::Sure
        }
        (_, _, Step::Settled) => {} // its other messages were refused, too
        (_, _, Step::Short | Step::Sure) => {
            *step = Step::Settled;
            outcome(effect.slot, Err(Refusal::from_errno(errno)));
        }
    }
}

/// Reports on everything that has not been reported on.
fn settle(
    effects: &[Effect],
    steps: &[Step],
    outcome: &mut Outcome<'_>,
    result: &dyn Fn() -> Result<(), Refusal>,
) {
    for (effect, step) in effects.iter().zip(steps) {
        if *step != Step::Settled {
            outcome(effect.slot, result());
        }
    }
}
