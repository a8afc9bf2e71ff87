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
use crate::sys::netlink::{Events, Netlink, Reply};
use crate::sys::uapi::NFPROTO_INET;
use crate::sys::{Fault, kernel_is_at_least};
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
    /// How the table stands, or shall stand if the kernel can do that.
    standing: Standing,
    dialect: Dialect,
}

/// How elements are changed so that it does not matter whether they are there. A transaction that the
/// kernel refuses makes the caller wait for an RCU grace period (10 to 30 ms), so it is no way to
/// find that out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// Up to Linux 6.11 adding an element again changes nothing, and deleting one that is not there
    /// is an error. So: add, delete, add; and add, delete. All in one transaction, of which packets
    /// see only the result.
    Old,
    /// Adding again changes the time, and there is a message that deletes what may not be there.
    New,
}

impl Nftables {
    /// Removes what an earlier run left.
    pub(super) fn clean() -> Result<(), Fault> {
        let mut netlink = Netlink::open().map_err(|error| cannot("open a netfilter socket", error))?;
        transaction::remove(&mut netlink, TABLE)
    }

    /// Sets up the table, replacing one that an earlier run left.
    pub(super) fn open(layout: &Layout) -> Result<Nftables, Fault> {
        let dialect = if kernel_is_at_least(6, 12) {
            Dialect::New
        } else {
            Dialect::Old
        };
        Nftables::open_as(Standing::Protected, dialect, layout)
    }

    fn open_as(standing: Standing, dialect: Dialect, layout: &Layout) -> Result<Nftables, Fault> {
        let netlink = Netlink::open().map_err(|error| cannot("open a netfilter socket", error))?;
        let mut nftables = Nftables {
            netlink,
            send: vec![0; NETLINK_SEND_BYTES].into_boxed_slice(),
            events: None,
            standing,
            dialect,
        };
        if let Err(fault) = nftables.rebuild(layout) {
            // It says what is wrong. The table may be there, without an ear for what others do to it.
            if nftables.standing == Standing::Plain {
                let _ = nftables.teardown();
            }
            return Err(fault);
        }
        Ok(nftables)
    }

    /// Sets up table, sets, chains and rules, in one transaction.
    pub(super) fn rebuild(&mut self, layout: &Layout) -> Result<(), Fault> {
        loop {
            let replaced = transaction::replace(&mut self.netlink, TABLE, self.standing, &|steps| {
                ruleset::write(steps, layout);
            });
            self.standing = replaced.map_err(|rejection| rejection.fault)?;
            if self.standing == Standing::Protected || self.events.is_some() {
                return Ok(());
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
        let mut settled = [false; CHANGES_PER_TRANSACTION];
        for _ in 0..TRANSACTION_ROUNDS {
            let first = self.netlink.sequence(CHANGES_PER_TRANSACTION as u32 + 1);
            let mut batch = Batch::new(&mut self.send, first, TABLE);
            let mut last = first;
            for (effect, settled) in effects.iter().zip(&mut settled) {
                // Sequence numbers count all effects, so that an answer's number is an index.
                let seq = batch.step();
                if *settled {
                    continue;
                }
                match layout.element(effect) {
                    Ok(Some((set, addr))) => {
                        write_change(&mut batch, set, addr, effect.change, self.dialect);
                        last = seq;
                    }
                    other => {
                        *settled = true;
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
                let index = index.and_then(|i| usize::try_from(i).ok()).unwrap_or(usize::MAX);
                if let (Some(effect), Some(settled @ false)) = (effects.get(index), settled.get_mut(index)) {
                    *settled = true;
                    outcome(effect.slot, Err(Refusal::from_errno(answer.code)));
                }
            });
            match reply {
                Ok(Reply::Done) => return settle(effects, &settled, outcome, &|| Ok(())),
                // Nothing of the transaction holds: again, without what was refused.
                Ok(Reply::Refused | Reply::Lost) => {}
                Err(error) => return settle(effects, &settled, outcome, &|| Err(Refusal::from_io(&error))),
            }
        }
        settle(effects, &settled, outcome, &|| Err(Refusal::lost()));
    }
}

/// Where outcomes go.
type Outcome<'a> = dyn FnMut(Slot, Result<(), Refusal>) + 'a;

fn write_change(batch: &mut Batch<'_>, set: &str, addr: IpAddr, change: Change, dialect: Dialect) {
    match (change, dialect) {
        (Change::Add { timeout_ms }, Dialect::New) => batch.add_element(set, addr, timeout_ms),
        (Change::Delete, Dialect::New) => batch.destroy_element(set, addr),
        (Change::Add { timeout_ms }, Dialect::Old) => {
            batch.add_element(set, addr, timeout_ms);
            batch.delete_element(set, addr);
            batch.add_element(set, addr, timeout_ms);
        }
        (Change::Delete, Dialect::Old) => {
            batch.add_element(set, addr, None);
            batch.delete_element(set, addr);
        }
    }
}

/// Reports on everything that has not been reported on.
fn settle(
    effects: &[Effect],
    settled: &[bool],
    outcome: &mut Outcome<'_>,
    result: &dyn Fn() -> Result<(), Refusal>,
) {
    for (effect, settled) in effects.iter().zip(settled) {
        if !settled {
            outcome(effect.slot, result());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::process::{Child, ChildStdout, Stdio};

    use super::*;
    use crate::config::{Block, Config, Protocol};
    use crate::firewall::JailRule;
    use crate::firewall::support::{isolated, isolated_as_root, run};
    use crate::guard::JailId;

    fn layout() -> Layout {
        let jail = |name: &str, protocol, ports: &[(u16, u16)]| JailRule {
            name: name.to_owned(),
            blocks: vec![Block {
                protocol,
                ports: ports.to_vec(),
            }],
        };
        let jails = [
            jail("asterisk", Protocol::All, &[]),
            jail("sip", Protocol::TcpUdp, &[(5060, 5061)]),
        ];
        Layout::new(&jails, "", 64, 10)
    }

    /// As on kernels that know no tables with owners (OpenWrt's 5.10 and 5.15, Debian's 6.1).
    #[test]
    fn what_others_do_to_a_plain_table_is_heard_and_repaired() {
        let name = "firewall::nftables::tests::what_others_do_to_a_plain_table_is_heard_and_repaired";
        isolated(name, || {
            let layout = layout();
            let mut nftables = Nftables::open_as(Standing::Plain, Dialect::Old, &layout).unwrap();
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
        });
    }

    /// In a thread's process that is nobody by then, all but the firewall given up; a shell stays root beside it.
    #[test]
    fn a_plain_table_is_repaired_by_nobody() {
        let name = "firewall::nftables::tests::a_plain_table_is_repaired_by_nobody";
        isolated_as_root(name, || {
            let layout = layout();
            let mut nftables = Nftables::open_as(Standing::Plain, Dialect::Old, &layout).unwrap();
            let mut shell = Shell::start();
            let plan = crate::power::Plan::new(&Config::built_in(), None, true);
            drop(plan.carry_out(&[], true));
            assert!(crate::sys::caps::uid() > 0);
            for harm in ["nft flush ruleset", "nft delete table inet sipguard"] {
                shell.run(harm);
                assert!(nftables.take_events().unwrap(), "{harm}");
                assert!(!nftables.intact(&layout).unwrap(), "{harm}");
                nftables.rebuild(&layout).unwrap();
                assert!(nftables.intact(&layout).unwrap(), "{harm}");
                assert!(shell.run("nft list ruleset").contains("sipguard"));
            }
            nftables.teardown().unwrap();
            assert!(!shell.run("nft list ruleset").contains("sipguard"));
        });
    }

    /// A shell that was started before.
    struct Shell {
        shell: Child,
        answers: BufReader<ChildStdout>,
    }

    impl Shell {
        fn start() -> Shell {
            #[allow(clippy::disallowed_methods, reason = "the test runs nft")]
            let mut command = std::process::Command::new("sh");
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut shell = command.spawn().unwrap();
            let answers = BufReader::new(shell.stdout.take().unwrap());
            Shell { shell, answers }
        }

        /// What a command line prints.
        fn run(&mut self, line: &str) -> String {
            let mut words = self.shell.stdin.as_ref().unwrap();
            words.write_all(format!("{line}; echo END\n").as_bytes()).unwrap();
            let lines = self.answers.by_ref().lines().map(Result::unwrap);
            lines.take_while(|line| line != "END").collect()
        }
    }

    fn add(net: &str, minutes: u64) -> (&str, Change) {
        let timeout_ms = (minutes > 0).then_some(minutes * 60_000);
        (net, Change::Add { timeout_ms })
    }

    /// What nft(8) shows in both sets of the second jail after these changes, without the time left.
    fn shown_after(nftables: &mut Nftables, changes: &[(&str, Change)]) -> [String; 2] {
        let effects: Vec<_> = changes
            .iter()
            .map(|(net, change)| Effect {
                slot: Slot(0),
                jail: JailId(1),
                net: net.parse().unwrap(),
                change: *change,
            })
            .collect();
        nftables.apply(&layout(), &effects, &mut |_, outcome| outcome.unwrap());
        ["sip4", "sip6net"].map(|set| {
            let shown = run(&format!("nft list set inet sipguard {set}"));
            let elements = shown.split_once("elements = { ").map_or("", |(_, rest)| rest);
            let first = elements.split([',', '}']).next().unwrap();
            first.split(" expires").next().unwrap().trim().to_owned()
        })
    }

    /// The longer way of old kernels works on new ones, too.
    #[test]
    fn both_dialects_have_the_same_result() {
        let name = "firewall::nftables::tests::both_dialects_have_the_same_result";
        let check = |dialect| {
            let mut nftables = Nftables::open_as(Standing::Plain, dialect, &layout()).unwrap();
            let (a, b) = ("192.0.2.1/32", "2001:db8::/64");
            let (no_a, no_b) = ((a, Change::Delete), (b, Change::Delete));
            let mut step = |changes: &[(&str, Change)], want: [&str; 2]| {
                assert_eq!(
                    shown_after(&mut nftables, changes),
                    want,
                    "{dialect:?} {changes:?}"
                );
            };
            step(&[add(a, 10), add(b, 0)], ["192.0.2.1 timeout 10m", "2001:db8::"]);
            step(
                &[add(a, 90), add(b, 5)],
                ["192.0.2.1 timeout 1h30m", "2001:db8:: timeout 5m"],
            );
            step(&[add(a, 0), add(b, 1)], ["192.0.2.1", "2001:db8:: timeout 1m"]);
            step(&[add(a, 2), add(a, 3), no_b], ["192.0.2.1 timeout 3m", ""]);
            step(&[no_a, no_a, no_b], ["", ""]);
        };
        isolated(name, || {
            check(Dialect::Old);
            if kernel_is_at_least(6, 12) {
                check(Dialect::New);
            }
        });
    }
}
