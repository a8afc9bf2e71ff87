//! Bans in nf_tables: elements of the sets in our own table.

use std::io;
use std::net::IpAddr;

use crate::firewall::Refusal;
use crate::firewall::compat::count_rules;
use crate::firewall::layout::Layout;
use crate::firewall::ruleset;
use crate::firewall::transaction::{self, Standing, cannot};
use crate::guard::{Change, Effect, Slot};
use crate::limits::{CHANGES_PER_TRANSACTION, EVENTS_PER_TURN, NETLINK_SEND_BYTES, TRANSACTION_ROUNDS};
use crate::sys::Fault;
use crate::sys::netlink::{Events, Netlink, Reply};
use crate::sys::uapi::{EEXIST, ENOENT, NFPROTO_INET};
use crate::wire::nft::{Batch, ELEMENT_MESSAGE_BYTES_MAX, GENERATION, Table};

pub(super) use crate::wire::nft::TIMEOUT_MS_MAX;

/// The one table that is ours.
const TABLE: Table = Table {
    family: NFPROTO_INET,
    name: "sipguard",
};
const _: () = assert!(ELEMENT_MESSAGE_BYTES_MAX * 3 * CHANGES_PER_TRANSACTION + 64 <= NETLINK_SEND_BYTES);

/// Our table, and the socket that owns it.
#[derive(Debug)]
pub(super) struct Nftables {
    netlink: Netlink,
    send: Box<[u8]>,
    /// Changes by others, if the kernel lets others change the table.
    events: Option<Events>,
    /// How the table shall stand, if the kernel can do that.
    wish: Standing,
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
    /// Removes what an earlier run left.
    pub(super) fn clean() -> Result<(), Fault> {
        let mut netlink = Netlink::open().map_err(|error| cannot("open a netfilter socket", error))?;
        transaction::remove(&mut netlink, TABLE)
    }

    /// Sets up the table, replacing one that an earlier run left.
    pub(super) fn open(layout: &Layout) -> Result<Nftables, Fault> {
        Nftables::open_as(Standing::Protected, layout)
    }

    fn open_as(wish: Standing, layout: &Layout) -> Result<Nftables, Fault> {
        let netlink = Netlink::open().map_err(|error| cannot("open a netfilter socket", error))?;
        let mut nftables = Nftables {
            netlink,
            send: vec![0; NETLINK_SEND_BYTES].into_boxed_slice(),
            events: None,
            wish,
        };
        nftables.rebuild(layout)?;
        Ok(nftables)
    }

    /// Sets up table, sets, chains and rules, in one transaction.
    pub(super) fn rebuild(&mut self, layout: &Layout) -> Result<(), Fault> {
        loop {
            let replaced = transaction::replace(&mut self.netlink, TABLE, self.wish, &|steps| {
                ruleset::write(steps, layout)
            });
            match replaced.map_err(|rejection| rejection.fault)? {
                Standing::Protected => {
                    self.events = None;
                    return Ok(());
                }
                Standing::Plain if self.events.is_some() => return Ok(()),
                Standing::Plain => {}
            }
            // Once more when we can hear, so that nothing happens between.
            self.events =
                Some(Events::open().map_err(|error| cannot("listen to changes of nf_tables", error))?);
        }
    }

    /// Removes the table.
    pub(super) fn teardown(&mut self) -> Result<(), Fault> {
        transaction::remove(&mut self.netlink, TABLE)
    }

    /// Where changes by others are heard, if the kernel lets others change the table.
    pub(super) fn events(&self) -> Option<&Events> {
        self.events.as_ref()
    }

    /// Takes what was heard; whether it includes a change by somebody else.
    pub(super) fn take_events(&mut self) -> io::Result<bool> {
        let Some(events) = &mut self.events else {
            return Ok(false);
        };
        let own = self.netlink.port()?;
        let mut foreign = false;
        let reply = events.take(EVENTS_PER_TURN, &mut |message| {
            foreign |= message.kind == GENERATION && message.port != own;
        })?;
        Ok(foreign || reply == Reply::Lost)
    }

    /// Whether all our rules are there, and so the sets that they look into. Elements are not looked
    /// at: a dump of a large set costs seconds.
    pub(super) fn intact(&mut self, layout: &Layout) -> io::Result<bool> {
        Ok(count_rules(&mut self.netlink, &mut self.send, TABLE)? == ruleset::rules(layout))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Block, Protocol};
    use crate::firewall::JailRule;
    use crate::firewall::support::{isolated, run};

    /// As on kernels that know no tables with owners (OpenWrt's 5.10 and 5.15, Debian's 6.1).
    #[test]
    fn what_others_do_to_a_plain_table_is_heard_and_repaired() {
        isolated(
            "firewall::nftables::tests::what_others_do_to_a_plain_table_is_heard_and_repaired",
            || {
                let block = |protocol, ports: &[(u16, u16)]| {
                    vec![Block {
                        protocol,
                        ports: ports.to_vec(),
                    }]
                };
                let jails = [
                    JailRule {
                        name: "asterisk".into(),
                        blocks: block(Protocol::All, &[]),
                    },
                    JailRule {
                        name: "sip".into(),
                        blocks: block(Protocol::TcpUdp, &[(5060, 5061)]),
                    },
                ];
                let layout = Layout::new(&jails, "", 64, 10);
                let mut nftables = Nftables::open_as(Standing::Plain, &layout).unwrap();
                assert!(!run("nft list table inet sipguard").contains("owner"));
                assert!(
                    !nftables.take_events().unwrap(),
                    "what we do ourselves is no news"
                );
                assert!(nftables.intact(&layout).unwrap());

                run("nft add table inet theirs");
                assert!(nftables.take_events().unwrap());
                assert!(nftables.intact(&layout).unwrap(), "somebody else's business");
                for harm in [
                    "nft flush ruleset",
                    "nft delete table inet sipguard",
                    "nft flush chain inet sipguard prerouting",
                    "nft flush chain inet sipguard sip-ports",
                ] {
                    run(harm);
                    assert!(nftables.take_events().unwrap(), "{harm}");
                    assert!(!nftables.intact(&layout).unwrap(), "{harm}");
                    nftables.rebuild(&layout).unwrap();
                    assert!(nftables.intact(&layout).unwrap(), "{harm}");
                    assert!(!nftables.take_events().unwrap(), "the repair is no news");
                }
                for i in 0..EVENTS_PER_TURN {
                    run(&format!("nft add table inet theirs{i}"));
                }
                let mut turns = 0;
                while nftables.take_events().unwrap() {
                    turns += 1;
                    assert!(turns < 1_000);
                }
                assert!(turns > 1, "a turn is bounded");
            },
        );
    }
}
