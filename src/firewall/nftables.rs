//! Bans in nf_tables: elements of the sets in our own table.

use std::io;
use std::net::IpAddr;

use crate::firewall::adopt::{adopt, undisturbed};
use crate::firewall::compat::count_rules;
use crate::firewall::flood;
use crate::firewall::layout::Layout;
use crate::firewall::ruleset;
use crate::firewall::transaction::{self, Standing, cannot};
use crate::firewall::{Each, Lost, Outcome, Refusal};
use crate::guard::{Change, Effect, JailId};
use crate::limits::{
    CHANGES_PER_BATCH, CHANGES_PER_TRANSACTION, EVENTS_PER_TURN, NETLINK_SEND_BYTES, OLD_CHANGES_PER_BATCH,
    TRANSACTION_ROUNDS,
};
use crate::sys::netlink::{Events, Netlink, Reply};
use crate::sys::pages::Pages;
use crate::sys::uapi::{ENOENT, EOPNOTSUPP, NFPROTO_INET};
use crate::sys::{Fault, kernel_is_at_least};
use crate::wire::nft::{
    self, Batch, ELEMENT_BYTES_MAX, ELEMENT_MESSAGE_BYTES_MAX, ELEMENTS_MESSAGE_BYTES_MAX, Object, Table,
};

pub(super) use crate::wire::nft::TIMEOUT_MS_MAX;

/// The one table that is ours.
const TABLE: Table = Table {
    family: NFPROTO_INET,
    name: "sipguard",
};
const _: () = assert!(ELEMENT_MESSAGE_BYTES_MAX * 3 * CHANGES_PER_TRANSACTION + 64 <= NETLINK_SEND_BYTES);
// What fits even if it is spread over 64 sets.
const _: () = assert!(
    ELEMENT_BYTES_MAX * CHANGES_PER_BATCH + ELEMENTS_MESSAGE_BYTES_MAX * 64 + 64 <= NETLINK_SEND_BYTES
        && ELEMENT_BYTES_MAX * 3 * OLD_CHANGES_PER_BATCH + ELEMENTS_MESSAGE_BYTES_MAX * 3 * 32 + 64
            <= NETLINK_SEND_BYTES
);

/// Our table, and the socket that owns it.
#[derive(Debug)]
pub(super) struct Nftables {
    netlink: Netlink,
    send: Pages,
    /// Changes by others, if the kernel lets others change the table.
    events: Option<Events>,
    /// How the table stands, or shall stand if the kernel can do that.
    standing: Standing,
    dialect: Dialect,
    /// What the sets hold is what we added: an element that a kernel of the old dialect is told to add is not there.
    /// If it is after all, the kernel refuses the transaction, and this ends.
    clean: bool,
    /// Somebody else has changed the table, apart from elements.
    harmed: bool,
    /// The changes of a batch in the order in which they are sent: by set, and else as they came.
    order: Vec<(u32, u16)>,
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

/// How a change is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the new dialect has it.
    Plainly,
    /// In the old dialect: what is added is not there, and the kernel refuses it if it is.
    Once,
    /// In the old dialect, whatever is there.
    Thrice,
}

impl Nftables {
    /// Removes what an earlier run left.
    pub(super) fn clean() -> Result<(), Fault> {
        let mut netlink = Netlink::open().map_err(|error| cannot("open a netfilter socket", error))?;
        transaction::remove(&mut netlink, TABLE)
    }

    /// Whether the kernel tracks connections for nf_tables: tried out with a table of another name that is removed in
    /// the same transaction.
    pub(super) fn tracks() -> Result<bool, Fault> {
        let mut netlink = Netlink::open().map_err(|error| cannot("open a netfilter socket", error))?;
        let table = Table {
            family: NFPROTO_INET,
            name: "sipguard-probe",
        };
        let tried = transaction::replace(&mut netlink, table, Standing::Plain, &|steps| {
            ruleset::write_tracking(steps, true);
            steps.step("remove").delete_table();
        });
        Ok(tried.is_ok())
    }

    /// Sets up the table; from one that an earlier run left it keeps the elements of the sets that stay.
    pub(super) fn open(layout: &Layout) -> Result<Nftables, Fault> {
        let dialect = if kernel_is_at_least(6, 12) {
            Dialect::New
        } else {
            Dialect::Old
        };
        Nftables::open_as(Standing::Protected, dialect, layout)
    }

    fn open_as(standing: Standing, dialect: Dialect, layout: &Layout) -> Result<Nftables, Fault> {
        let netlink =
            Netlink::open_for_long_answers().map_err(|error| cannot("open a netfilter socket", error))?;
        let mut nftables = Nftables {
            netlink,
            send: Pages::new(NETLINK_SEND_BYTES),
            events: None,
            standing,
            dialect,
            clean: false,
            harmed: false,
            order: Vec::with_capacity(CHANGES_PER_BATCH),
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

    /// Sets up table, sets, chains and rules, in one transaction. Sets that are there and as they shall be
    /// keep their elements.
    pub(super) fn rebuild(&mut self, layout: &Layout) -> Result<(), Fault> {
        let mut clean = false;
        loop {
            let wish = self.standing;
            let adopted = adopt(&mut self.netlink, &mut self.send, TABLE, wish, layout);
            clean |= adopted.is_none();
            self.clean = clean;
            self.standing = match adopted {
                Some(standing) => standing,
                None => transaction::replace(&mut self.netlink, TABLE, wish, &|steps| {
                    ruleset::write(steps, layout, &|_| false);
                })
                .map_err(|rejection| rejection.fault)?,
            };
            self.harmed = false;
            if self.standing == Standing::Protected || self.events.is_some() {
                return Ok(());
            }
            // Once more when we can hear, so that nothing happens between.
            self.events = Some(
                self.netlink
                    .port()
                    .and_then(Events::open)
                    .map_err(|error| cannot("listen to changes of nf_tables", error))?,
            );
        }
    }

    /// Limits sources as the layout says, where it was said of other jails `before`. Nothing else is touched.
    pub(super) fn limit(&mut self, layout: &Layout, before: &[JailId]) -> Result<(), Fault> {
        let changed = transaction::run(&mut self.netlink, TABLE, &|steps| {
            flood::remove(steps, layout, before);
            flood::write(steps, layout, None, 1);
        });
        changed.map_err(|rejection| rejection.fault)
    }

    /// Removes the table.
    pub(super) fn teardown(&mut self) -> Result<(), Fault> {
        transaction::remove(&mut self.netlink, TABLE)
    }

    /// Where changes by others are heard, if the kernel lets others change the table.
    pub(super) fn events(&self) -> Option<&Events> {
        self.events.as_ref()
    }

    /// Takes what was heard; whether the table is to be looked at. Elements that time out are not reported by
    /// the kernel.
    pub(super) fn take_events(&mut self, layout: &Layout, lost: &mut dyn FnMut(Lost)) -> io::Result<bool> {
        let Some(events) = &mut self.events else {
            return Ok(false);
        };
        let mut harmed = false;
        let reply = events.take(EVENTS_PER_TURN, &mut |message| {
            match nft::touched(message, TABLE) {
                None => {}
                Some(Object::Structure) => harmed = true,
                // Whatever somebody else did to it: our ban is to be there, as we want it.
                Some(Object::Elements(set)) => nft::elements(message)
                    .filter_map(|element| layout.ban(set, element.addr))
                    .for_each(|(jail, net)| lost(Lost::Element(jail, net))),
            }
        })?;
        if reply == Reply::Lost {
            lost(Lost::All);
        }
        self.harmed |= harmed;
        Ok(harmed || reply == Reply::Lost)
    }

    /// Whether all our rules are there, and so the sets that they look into, and nobody has changed them.
    /// Elements are not looked at: a dump of a large set costs seconds.
    pub(super) fn intact(&mut self, layout: &Layout) -> io::Result<bool> {
        let rules = count_rules(&mut self.netlink, &mut self.send, TABLE)?;
        Ok(!self.harmed && rules == ruleset::rules(layout))
    }

    /// Everything that our sets hold. If somebody changes nf_tables meanwhile, some of it comes twice.
    pub(super) fn elements(&mut self, layout: &Layout, each: &mut Each<'_>) -> io::Result<()> {
        for (jail, set) in layout.sets() {
            undisturbed(&mut || {
                let seq = self.netlink.sequence(0);
                let question = nft::ask_elements(&mut self.send, seq, TABLE, &set.name).unwrap_or_default();
                self.netlink.ask(question, seq, &mut |message| {
                    for element in nft::elements(message) {
                        if let Some(net) = set.net(element.addr) {
                            each((jail, net, set.reach), element.left_ms);
                        }
                    }
                })
            })?;
        }
        Ok(())
    }

    /// Whether a set has that element.
    pub(super) fn holds(&mut self, set: &str, addr: IpAddr) -> io::Result<bool> {
        let seq = self.netlink.sequence(0);
        let question = nft::ask_element(&mut self.send, seq, TABLE, set, addr).unwrap_or_default();
        match self.netlink.ask(question, seq, &mut |_| {}) {
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Carries out changes; see [`crate::firewall::Firewall::apply`].
    pub(super) fn apply(&mut self, layout: &Layout, effects: &[Effect], outcome: &mut Outcome<'_>) {
        let together = match self.way() {
            Way::Plainly | Way::Once => CHANGES_PER_BATCH,
            Way::Thrice => OLD_CHANGES_PER_BATCH,
        };
        for effects in effects.chunks(together) {
            self.order = layout.order(effects, core::mem::take(&mut self.order), outcome);
            if self.apply_together(layout, effects, outcome) {
                continue;
            }
            // The kernel took none of them, because of one that it does not like, or that is there.
            self.clean = false;
            let order = core::mem::take(&mut self.order);
            for order in order.chunks(CHANGES_PER_TRANSACTION) {
                self.apply_one_by_one(layout, effects, order, outcome);
            }
            self.order = order;
        }
    }

    fn way(&self) -> Way {
        match (self.dialect, self.clean) {
            (Dialect::New, _) => Way::Plainly,
            (Dialect::Old, true) => Way::Once,
            (Dialect::Old, false) => Way::Thrice,
        }
    }

    /// All changes in one transaction, those of a set in one message. `false`: nothing was changed, nor
    /// reported.
    fn apply_together(&mut self, layout: &Layout, effects: &[Effect], outcome: &mut Outcome<'_>) -> bool {
        if self.order.is_empty() {
            return true;
        }
        let way = self.way();
        let first = self.netlink.sequence(CHANGES_PER_BATCH as u32 + 1);
        let mut batch = Batch::new(&mut self.send, first, TABLE);
        let effect = |at: u16| effects.get(usize::from(at));
        let adds = |at: u16| matches!(effect(at).map(|e| e.change), Some(Change::Add { .. }));
        for run in self
            .order
            .chunk_by(|(set, at), (other, next)| set == other && adds(*at) == adds(*next))
        {
            let elements = || run.iter().filter_map(|(_, at)| effect(*at));
            let Some(Ok(Some((set, _)))) = elements().next().map(|effect| layout.element(effect)) else {
                continue;
            };
            batch.step();
            write_changes(&mut batch, set, elements, way);
        }
        let last = batch.seq();
        let Some(messages) = batch.finish() else {
            return false;
        };
        let mut code = 0;
        let reply = self.netlink.request(messages, first, last, &mut |answer| {
            if code == 0 {
                code = answer.code;
            }
        });
        let result: &dyn Fn() -> Result<(), Refusal> = match (&reply, code) {
            (Ok(Reply::Done), _) => &|| Ok(()),
            (Err(error), _) => &|| Err(Refusal::from_io(error)),
            // Adding and deleting that does not mind what is there fails so only if table or set are gone; and in
            // the old dialect if a key is there twice.
            (Ok(Reply::Refused), ENOENT | EOPNOTSUPP) if !self.intact(layout).unwrap_or(false) => {
                &|| Err(Refusal::Gone)
            }
            (Ok(Reply::Refused | Reply::Lost), _) => return false,
        };
        for effect in self.order.iter().filter_map(|(_, at)| effect(*at)) {
            outcome(effect.slot, result());
        }
        true
    }

    /// Each change with a message and a number of its own, so that the kernel can say which it refuses.
    fn apply_one_by_one(
        &mut self,
        layout: &Layout,
        effects: &[Effect],
        order: &[(u32, u16)],
        outcome: &mut Outcome<'_>,
    ) {
        let effect = |at: u16| effects.get(usize::from(at));
        let way = self.way();
        let mut settled = [false; CHANGES_PER_TRANSACTION];
        for _ in 0..TRANSACTION_ROUNDS {
            let first = self.netlink.sequence(CHANGES_PER_TRANSACTION as u32 + 1);
            let mut batch = Batch::new(&mut self.send, first, TABLE);
            let mut last = first;
            for ((_, at), settled) in order.iter().zip(&settled) {
                // Sequence numbers count all effects, so that an answer's number is an index.
                let seq = batch.step();
                let place = effect(*at).filter(|_| !settled).map(|e| (e, layout.element(e)));
                if let Some((effect, Ok(Some((set, _))))) = place {
                    write_changes(&mut batch, set, || core::iter::once(effect), way);
                    last = seq;
                }
            }
            if last == first {
                return;
            }
            let Some(messages) = batch.finish() else { break };
            let reply = self.netlink.request(messages, first, last, &mut |answer| {
                let index = answer.seq.wrapping_sub(first).checked_sub(1);
                let index = index.and_then(|i| usize::try_from(i).ok()).unwrap_or(usize::MAX);
                let at = order.get(index).and_then(|(_, at)| effect(*at));
                if let (Some(effect), Some(settled @ false)) = (at, settled.get_mut(index)) {
                    *settled = true;
                    outcome(effect.slot, Err(Refusal::from_errno(answer.code)));
                }
            });
            let rest = order.iter().zip(&settled).filter(|(_, settled)| !**settled);
            let mut report = |result: &dyn Fn() -> Result<(), Refusal>| {
                rest.clone()
                    .filter_map(|((_, at), _)| effect(*at))
                    .for_each(|effect| outcome(effect.slot, result()));
            };
            match reply {
                Ok(Reply::Done) => return report(&|| Ok(())),
                // Nothing of the transaction holds: again, without what was refused.
                Ok(Reply::Refused | Reply::Lost) => {}
                Err(error) => return report(&|| Err(Refusal::from_io(&error))),
            }
        }
        for ((_, at), settled) in order.iter().zip(&settled) {
            if let Some(effect) = effect(*at).filter(|_| !settled) {
                outcome(effect.slot, Err(Refusal::lost()));
            }
        }
    }
}

/// Messages on elements of one set that are all to be added, or all to be deleted.
fn write_changes<'e, I: Iterator<Item = &'e Effect>>(
    batch: &mut Batch<'_>,
    set: &str,
    effects: impl Fn() -> I,
    way: Way,
) {
    let keys = || effects().map(|effect| effect.net.network());
    let timed = || {
        effects().map(|effect| match effect.change {
            Change::Add { timeout_ms } => (effect.net.network(), timeout_ms),
            Change::Delete => (effect.net.network(), None),
        })
    };
    let adds = effects()
        .next()
        .is_some_and(|effect| effect.change != Change::Delete);
    match (adds, way) {
        (true, Way::Plainly) => batch.add_elements(set, timed()),
        (false, Way::Plainly) => batch.destroy_elements(set, keys()),
        (true, Way::Once) => batch.create_elements(set, timed()),
        (true, Way::Thrice) => {
            batch.add_elements(set, timed());
            batch.delete_elements(set, keys());
            batch.add_elements(set, timed());
        }
        (false, Way::Once | Way::Thrice) => {
            batch.add_elements(set, timed());
            batch.delete_elements(set, keys());
        }
    }
}

#[cfg(test)]
impl Nftables {
    /// As on a kernel that cannot protect our table from others.
    pub(super) fn open_plain(layout: &Layout) -> Result<Nftables, Fault> {
        Nftables::open_as(Standing::Plain, Dialect::Old, layout)
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
    use crate::guard::{JailId, Reach, Slot};
    use ipnet::IpNet;

    fn layout() -> Layout {
        let jail = |name: &str, protocol, ports: &[(u16, u16)]| JailRule {
            name: name.to_owned(),
            by_proof: false,
            wide: false,
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

    /// What is heard of others: whether the table is to be looked at, and the bans concerned.
    fn heard(nftables: &mut Nftables) -> (bool, Vec<String>) {
        let mut lost = Vec::new();
        let look = nftables.take_events(&layout(), &mut |what| {
            lost.push(match what {
                Lost::Element(JailId(jail), net) => format!("{jail} {net}"),
                Lost::All => "all".to_owned(),
            });
        });
        lost.sort();
        (look.unwrap(), lost)
    }

    /// As on kernels that know no tables with owners (OpenWrt's 5.10 and 5.15, Debian's 6.1).
    #[test]
    fn what_others_do_to_a_plain_table_is_heard_and_repaired() {
        let name = "firewall::nftables::tests::what_others_do_to_a_plain_table_is_heard_and_repaired";
        isolated(name, || {
            let layout = layout();
            let mut nftables = Nftables::open_as(Standing::Plain, Dialect::Old, &layout).unwrap();
            assert!(!run("nft list table inet sipguard").contains("owner"));
            shown_after(&mut nftables, &[add("192.0.2.1/32", 10), add("2001:db8::/64", 0)]);
            let nothing = (false, Vec::new());
            assert_eq!(heard(&mut nftables), nothing, "what we do ourselves is no news");
            assert!(nftables.intact(&layout).unwrap());

            for other in [
                "nft add table inet theirs",
                "nft add table ip sipguard",
                "nft add set ip sipguard sip4 { type ipv4_addr; }",
                "nft add element ip sipguard sip4 { 192.0.2.1 }",
                "nft delete element ip sipguard sip4 { 192.0.2.1 }",
                "nft delete table ip sipguard",
            ] {
                run(other);
                assert_eq!(heard(&mut nftables), nothing, "somebody else's business: {other}");
            }
            for harm in [
                "nft flush ruleset",
                "nft delete table inet sipguard",
                "nft flush chain inet sipguard prerouting",
                "nft flush chain inet sipguard sip-ports",
                "nft add rule inet sipguard sip-ports accept",
                "nft insert rule inet sipguard prerouting accept",
                "nft add chain inet sipguard more",
            ] {
                run(harm);
                assert!(heard(&mut nftables).0, "{harm}");
                assert!(!nftables.intact(&layout).unwrap(), "{harm}");
                nftables.rebuild(&layout).unwrap();
                assert!(nftables.intact(&layout).unwrap(), "{harm}");
                assert_eq!(heard(&mut nftables), nothing, "the repair is no news");
            }
            assert!(!run("nft list table inet sipguard").contains("more"));
        });
    }

    /// The same table with the same rules in the place of ours, as somebody's /etc/nftables.conf has it who once saved
    /// the ruleset.
    #[test]
    fn a_table_that_somebody_put_in_the_place_of_ours_is_repaired() {
        let name = "firewall::nftables::tests::a_table_that_somebody_put_in_the_place_of_ours_is_repaired";
        isolated(name, || {
            let layout = layout();
            let mut nftables = Nftables::open_as(Standing::Plain, Dialect::Old, &layout).unwrap();
            let saved = run("nft list ruleset");
            std::fs::write("/run/saved.nft", format!("flush ruleset\n{saved}")).unwrap();
            run("nft -f /run/saved.nft");
            assert!(heard(&mut nftables).0);
            assert!(!nftables.intact(&layout).unwrap());
            nftables.rebuild(&layout).unwrap();
            assert!(nftables.intact(&layout).unwrap());
        });
    }

    #[test]
    fn elements_that_others_remove_are_named() {
        let name = "firewall::nftables::tests::elements_that_others_remove_are_named";
        isolated(name, || {
            let layout = layout();
            let mut nftables = Nftables::open_as(Standing::Plain, Dialect::Old, &layout).unwrap();
            let (a, b, net) = ("192.0.2.1/32", "192.0.2.2/32", "2001:db8::/64");
            let ban = |ms| Change::Add { timeout_ms: Some(ms) };
            shown_after(
                &mut nftables,
                &[(a, ban(600_000)), (b, ban(600_000)), (net, ban(600_000))],
            );
            let names = |names: &[&str]| (false, names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>());

            run("nft delete element inet sipguard sip4 { 192.0.2.1 }");
            assert_eq!(heard(&mut nftables), names(&["1 192.0.2.1/32"]));
            run("nft flush set inet sipguard sip6net");
            assert_eq!(heard(&mut nftables), names(&["1 2001:db8::/64"]));
            run("nft add element inet sipguard asterisk6 { 2001:db8::5 }");
            assert_eq!(heard(&mut nftables), names(&["0 2001:db8::5/128"]));

            // Too much at once: a queue of a megabyte does not hold it.
            let many: Vec<_> = (0..40_000_u32)
                .map(|i| IpNet::from(IpAddr::from((10 << 24 | i).to_be_bytes())))
                .collect();
            let effects: Vec<_> = many
                .iter()
                .map(|net| Effect {
                    slot: Slot(0),
                    jail: JailId(1),
                    net: *net,
                    reach: Reach::Whole,
                    change: ban(600_000),
                })
                .collect();
            nftables.apply(&layout, &effects, &mut |_, outcome| outcome.unwrap());
            run("nft flush set inet sipguard sip4");
            let mut all = heard(&mut nftables);
            for _ in 0..1_000 {
                let more = heard(&mut nftables);
                if more == (false, Vec::new()) {
                    break;
                }
                all.0 |= more.0;
                all.1.extend(more.1);
            }
            assert!(
                all.0 && all.1.contains(&"all".to_owned()),
                "{} heard",
                all.1.len()
            );
        });
    }

    /// The kernel's own collection of what has timed out, in a set that it walks every second and not every minute.
    #[test]
    fn elements_that_time_out_are_not_heard_of() {
        let name = "firewall::nftables::tests::elements_that_time_out_are_not_heard_of";
        isolated(name, || {
            let mut events = Events::open(u32::MAX).unwrap();
            run("nft add table inet sipguard");
            run("nft add set inet sipguard s { type ipv4_addr; flags timeout; gc-interval 1s; }");
            run("nft add element inet sipguard s { 192.0.2.1 timeout 1s, 192.0.2.2 timeout 1h }");
            let mut heard = || {
                let mut keys = Vec::new();
                let reply = events.take(EVENTS_PER_TURN, &mut |message| {
                    keys.extend(nft::elements(message).map(|element| element.addr.to_string()));
                });
                assert_eq!(reply.unwrap(), Reply::Done);
                keys
            };
            assert_eq!(heard(), ["192.0.2.1", "192.0.2.2"], "they were added");
            std::thread::sleep(std::time::Duration::from_millis(3_500));
            assert_eq!(heard(), [""; 0]);
            run("nft flush set inet sipguard s");
            assert_eq!(heard(), ["192.0.2.2"], "the first one is collected");
        });
    }

    /// Bans of sets that stay are in force throughout, whatever else changes.
    #[test]
    fn sets_that_stay_keep_their_elements_and_others_do_not() {
        let name = "firewall::nftables::tests::sets_that_stay_keep_their_elements_and_others_do_not";
        let check = |standing| {
            let sets = || {
                let shown = run("nft list table inet sipguard");
                let has = |set: &str| {
                    let (_, rest) = shown.split_once(&format!("set {set} {{"))?;
                    Some(rest.split_once('}')?.0.contains("elements"))
                };
                ["sip4", "sip6", "sip6net", "asterisk4"].map(has)
            };
            let (v4, v6, net) = ("192.0.2.1/32", "2001:db8::1/128", "2001:db8::/64");
            let mut nftables = Nftables::open_as(standing, Dialect::Old, &layout()).unwrap();
            shown_after(&mut nftables, &[add(v4, 0), add(v6, 9), add(net, 9)]);
            assert_eq!(sets(), [Some(true), Some(true), Some(true), Some(false)]);
            drop(nftables);
            let mut nftables = Nftables::open_as(standing, Dialect::Old, &layout()).unwrap();
            assert_eq!(nftables.standing, standing);
            assert_eq!(sets(), [Some(true), Some(true), Some(true), Some(false)]);

            let jails = [JailRule {
                name: "sip".to_owned(),
                by_proof: false,
                wide: false,
                blocks: vec![Block {
                    protocol: Protocol::All,
                    ports: vec![],
                }],
            }];
            let other = Layout::new(&jails, "", 56, 10);
            nftables.rebuild(&other).unwrap();
            assert!(nftables.intact(&other).unwrap());
            assert_eq!(
                sets(),
                [Some(true), Some(true), Some(false), None],
                "a /64 is no /56"
            );
            let shown = run("nft list table inet sipguard");
            assert!(!shown.contains("sip-ports"), "{shown}");
            assert!(shown.contains("comment \"networks of /56\""), "{shown}");
            nftables.teardown().unwrap();
        };
        isolated(name, || {
            check(Standing::Plain);
            if kernel_is_at_least(6, 9) {
                check(Standing::Protected);
            }
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
                assert!(nftables.take_events(&layout, &mut |_| {}).unwrap(), "{harm}");
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
                reach: Reach::Whole,
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

    /// As on a kernel that does not track connections: what is not proven is dropped beside what is.
    #[test]
    fn unproven_bans_are_looked_at_behind_connection_tracking_if_there_is_any() {
        let name = "firewall::nftables::tests::\
                    unproven_bans_are_looked_at_behind_connection_tracking_if_there_is_any";
        isolated(name, || {
            assert!(Nftables::tracks().unwrap());
            assert_eq!(run("nft list ruleset"), "", "the probe leaves nothing");
            let rule = JailRule {
                name: "sip".to_owned(),
                by_proof: true,
                wide: false,
                blocks: vec![Block {
                    protocol: Protocol::All,
                    ports: vec![],
                }],
            };
            for tracks in [true, false, true] {
                let layout = Layout {
                    tracks,
                    ..Layout::new(std::slice::from_ref(&rule), "", 64, 10)
                };
                let mut nftables = Nftables::open_as(Standing::Plain, Dialect::Old, &layout).unwrap();
                assert!(nftables.intact(&layout).unwrap());
                let shown = run("nft list chain inet sipguard prerouting");
                assert!(shown.contains("@sip4 "), "{shown}");
                for set in ["@sip4b ", "@sip6b ", "@sip6nb "] {
                    assert_eq!(shown.contains(set), !tracks, "{shown}");
                }
                let shown = run("nft list table inet sipguard");
                assert_eq!(shown.contains("ct direction reply accept"), tracks, "{shown}");
                assert_eq!(shown.contains("l4proto ipv6-icmp accept"), tracks, "{shown}");
                drop(nftables);
            }
        });
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
