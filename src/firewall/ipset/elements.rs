//! The elements of our ipsets: changes, and what there is.

use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    CHANGES_PER_BATCH, CHANGES_PER_TRANSACTION, ENOENT, Header, IPSET_HASH_SIZE, Ipset, JAILS_MAX, Messages,
    Netlink, Properties, Reply, SPARE, cannot, maxelem, refusal, seconds,
};
use crate::firewall::layout::{Layout, SET_KINDS};
use crate::firewall::{Each, Notice, Outcome, Refusal};
use crate::guard::{Change, Effect, JailId, Reach};
use crate::limits::{IPSET_CLOSE_LOOKS, IPSET_GROWTH_MAX};
use crate::sys::Fault;
use crate::sys::pages::Pages;
use crate::sys::uapi::IPSET_ERR_EXIST;
use crate::wire::ipset::elements;

impl Ipset {
    /// Carries out changes; see [`crate::firewall::Firewall::apply`]. Messages are independent here:
    /// one that is refused does not keep the kernel from the next.
    pub(in crate::firewall) fn apply(
        &mut self,
        layout: &Layout,
        effects: &[Effect],
        outcome: &mut Outcome<'_>,
    ) {
        for effects in effects.chunks(CHANGES_PER_BATCH) {
            let order = layout.order(effects, core::mem::take(&mut self.order), outcome);
            if !self.apply_together(layout, effects, &order, outcome) {
                // In a message on several the kernel stops at the first that it refuses.
                for order in order.chunks(CHANGES_PER_TRANSACTION) {
                    self.apply_one_by_one(layout, effects, order, outcome);
                }
            }
            self.order = order;
        }
    }

    /// The changes of a set in one message. `false`: nothing was reported.
    fn apply_together(
        &mut self,
        layout: &Layout,
        effects: &[Effect],
        order: &[(u32, u16)],
        outcome: &mut Outcome<'_>,
    ) -> bool {
        let effect = |at: u16| effects.get(usize::from(at));
        let adds = |at: u16| matches!(effect(at).map(|e| e.change), Some(Change::Add { .. }));
        let first = self.netlink.sequence(CHANGES_PER_BATCH as u32);
        let mut last = None;
        let mut messages = Messages::new(&mut self.send);
        let runs = order.chunk_by(|(set, at), (other, next)| set == other && adds(*at) == adds(*next));
        for (seq, run) in (0..).map(|i| first.wrapping_add(i)).zip(runs) {
            let elements = || run.iter().filter_map(|(_, at)| effect(*at));
            let Some(Ok(Some((set, _)))) = elements().next().map(|effect| layout.element(effect)) else {
                continue;
            };
            let adds = elements().filter_map(|effect| match effect.change {
                Change::Add { timeout_ms } => Some((effect.net.network(), seconds(timeout_ms))),
                Change::Delete => None,
            });
            if elements().any(|effect| effect.change == Change::Delete) {
                messages.delete_all(seq, set, elements().map(|effect| effect.net.network()));
            } else {
                messages.add_all(seq, set, adds);
            }
            last = Some(seq);
        }
        let Some(last) = last else { return true };
        let Some(messages) = messages.finish() else {
            return false;
        };
        let reply = self.netlink.request(messages, first, last, &mut |_| {});
        let result: &dyn Fn() -> Result<(), Refusal> = match &reply {
            Ok(Reply::Done) => &|| Ok(()),
            Err(error) => &|| Err(Refusal::from_io(error)),
            Ok(Reply::Refused | Reply::Lost) => return false,
        };
        for effect in order.iter().filter_map(|(_, at)| effect(*at)) {
            outcome(effect.slot, result());
        }
        true
    }

    /// A message for each change, and once more after a set that is full was made larger.
    fn apply_one_by_one(
        &mut self,
        layout: &Layout,
        effects: &[Effect],
        order: &[(u32, u16)],
        outcome: &mut Outcome<'_>,
    ) {
        let mut settled = [false; CHANGES_PER_TRANSACTION];
        let mut full = self.send_one_by_one(layout, effects, order, &mut settled, false, outcome);
        while let Some(effect) = full.and_then(|at| effects.get(usize::from(at))) {
            let grown = match layout.element(effect) {
                Ok(Some((set, _))) => self.grow(layout, set).unwrap_or(false),
                _ => false,
            };
            full = self.send_one_by_one(layout, effects, order, &mut settled, !grown, outcome);
        }
    }

    /// Returns one that found its set full, unless that is `final`.
    fn send_one_by_one(
        &mut self,
        layout: &Layout,
        effects: &[Effect],
        order: &[(u32, u16)],
        settled: &mut [bool; CHANGES_PER_TRANSACTION],
        full_is_final: bool,
        outcome: &mut Outcome<'_>,
    ) -> Option<u16> {
        let first = self.netlink.sequence(CHANGES_PER_TRANSACTION as u32);
        let pending = |at: u16, settled: bool| effects.get(usize::from(at)).filter(|_| !settled);
        let rest = order
            .iter()
            .zip(&*settled)
            .map(|((_, at), settled)| pending(*at, *settled));
        let (messages, last) = write_one_by_one(&mut self.send, layout, rest, first)?;
        let mut full = None;
        let mut waiting = [false; CHANGES_PER_TRANSACTION];
        let reply = self.netlink.request(messages, first, last, &mut |answer| {
            let index = usize::try_from(answer.seq.wrapping_sub(first)).unwrap_or(usize::MAX);
            let (Some((_, at)), Some(settled), Some(waiting)) =
                (order.get(index), settled.get_mut(index), waiting.get_mut(index))
            else {
                return;
            };
            let Some(effect) = pending(*at, *settled) else {
                return;
            };
            match refusal(answer.code) {
                Refusal::Full if !full_is_final => {
                    full = full.or(Some(*at));
                    *waiting = true;
                }
                refusal @ (Refusal::Full
                | Refusal::Gone
                | Refusal::Busy(_)
                | Refusal::Denied(_)
                | Refusal::Impossible(_)
                | Refusal::Other(_)) => {
                    *settled = true;
                    outcome(effect.slot, Err(refusal));
                }
            }
        });
        for (((_, at), settled), waiting) in order.iter().zip(settled).zip(waiting) {
            let Some(effect) = pending(*at, *settled || waiting) else {
                continue;
            };
            *settled = true;
            outcome(
                effect.slot,
                match &reply {
                    Ok(Reply::Done | Reply::Refused) => Ok(()),
                    Ok(Reply::Lost) => Err(Refusal::lost()),
                    Err(error) => Err(Refusal::from_io(error)),
                },
            );
        }
        full
    }

    /// Puts a set of twice the size in the place of one that is full. `false`: it is as large as it may become.
    fn grow(&mut self, layout: &Layout, set: &str) -> Result<bool, Fault> {
        let doing = format!("enlarge ipset {set}");
        let most = maxelem(layout).saturating_mul(IPSET_GROWTH_MAX);
        let found = self.header(set).map_err(|error| cannot(&doing, error))?;
        let Some(Header { properties, elements }) = found else {
            return Ok(false);
        };
        if properties.maxelem >= most {
            return Ok(false);
        }
        let larger = Properties {
            maxelem: properties.maxelem.saturating_mul(2).min(most),
            hashsize: properties.hashsize.max(IPSET_HASH_SIZE),
            ..properties
        };
        self.enlarge(set, larger)?;
        self.notice = Some(Notice::Enlarged {
            set: set.to_owned(),
            elements,
            room: larger.maxelem,
        });
        Ok(true)
    }

    /// Puts a set of another size in the place of one, with all that is in it, so that no ban is out of force
    /// meanwhile.
    pub(super) fn enlarge(&mut self, set: &str, properties: Properties) -> Result<(), Fault> {
        let doing = format!("enlarge ipset {set}");
        let revision = self.revision(properties.family)?;
        self.call(&doing, &[ENOENT], |m, seq| m.destroy(seq, SPARE))?;
        self.call(&doing, &[], |m, seq| m.create(seq, SPARE, properties, revision))?;
        self.copy(set, SPARE).map_err(|error| cannot(&doing, error))?;
        self.call(&doing, &[], |m, seq| m.swap(seq, SPARE, set))?;
        self.call(&doing, &[], |m, seq| m.destroy(seq, SPARE))
    }

    /// Adds what is in one set to another.
    fn copy(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut writer = Netlink::open()?;
        let mut room = Pages::new(self.send.len());
        let mut result = Ok(());
        let mut write = |elements: &mut Vec<(IpAddr, u32)>| {
            if elements.is_empty() || result.is_err() {
                return elements.clear();
            }
            let seq = writer.sequence(0);
            let mut messages = Messages::new(&mut room);
            messages.add_all(seq, to, elements.drain(..));
            let bytes = messages.finish().unwrap_or_default();
            let mut code = 0;
            result = match writer.request(bytes, seq, seq, &mut |answer| code = answer.code) {
                Ok(Reply::Done) => Ok(()),
                Ok(Reply::Refused | Reply::Lost) => Err(io::Error::from_raw_os_error(code)),
                Err(error) => Err(error),
            };
        };
        let mut some = Vec::with_capacity(CHANGES_PER_BATCH);
        self.question(|m, seq| m.ask_elements(seq, from), &mut |message| {
            for (addr, left) in elements(message) {
                some.push((addr, left.unwrap_or(0)));
                if some.len() == CHANGES_PER_BATCH {
                    write(&mut some);
                }
            }
        })?;
        write(&mut some);
        result
    }

    /// Everything that our sets hold.
    pub(in crate::firewall) fn elements(&mut self, layout: &Layout, each: &mut Each<'_>) -> io::Result<()> {
        for (jail, set) in layout.sets() {
            self.question(|m, seq| m.ask_elements(seq, &set.name), &mut |message| {
                for (addr, left) in elements(message) {
                    if let Some(net) = set.net(addr) {
                        let left_ms = left.map(|seconds| u64::from(seconds) * 1_000);
                        each((jail, net, set.reach), left_ms);
                    }
                }
            })?;
        }
        Ok(())
    }

    /// Whether a set has that element.
    pub(in crate::firewall) fn holds(&mut self, set: &str, addr: IpAddr) -> io::Result<bool> {
        let seq = self.netlink.sequence(0);
        let mut messages = Messages::new(&mut self.send);
        messages.test(seq, set, addr);
        let bytes = messages.finish().unwrap_or_default();
        let mut code = 0;
        match self
            .netlink
            .request(bytes, seq, seq, &mut |answer| code = answer.code)?
        {
            Reply::Done => Ok(true),
            Reply::Refused if matches!(code, IPSET_ERR_EXIST | ENOENT) => Ok(false),
            Reply::Refused | Reply::Lost => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// Whether every set has at least so many elements as there are `bans`, and no more that could hide that some are
    /// missing. The kernel does not count what has timed out (Linux 5.6), or counts it for a second or so.
    pub(in crate::firewall) fn holds_as_many(
        &mut self,
        layout: &Layout,
        bans: &mut dyn Iterator<Item = (JailId, IpNet, Reach)>,
    ) -> io::Result<bool> {
        let mut wanted = [0_u32; JAILS_MAX * SET_KINDS];
        for (jail, net, reach) in bans {
            let room = wanted.get_mut(Layout::key(jail, net, reach) as usize);
            *room.ok_or(io::ErrorKind::InvalidInput)? += 1;
        }
        let mut surplus = 0;
        for (jail, set) in layout.sets() {
            let key = set.net_of_anybody().map(|net| Layout::key(jail, net, set.reach));
            let wanted = key.and_then(|key| wanted.get(key as usize)).copied().unwrap_or(0);
            let there = self.header(&set.name)?.map_or(0, |header| header.elements);
            if there < wanted {
                // What was too much is looked for now, too: what is too much next time is something else.
                self.surplus = 0;
                return Ok(false);
            }
            surplus += there - wanted;
        }
        // If there is less of it than there was, it may be ours that is gone.
        self.looks = self.looks.saturating_sub(1);
        if surplus == self.surplus || self.looks > 0 {
            return Ok(true);
        }
        (self.surplus, self.looks) = (surplus, IPSET_CLOSE_LOOKS);
        Ok(false)
    }
}

/// A message for each of the changes, numbered from `first` on with gaps where there is none; and the last number.
fn write_one_by_one<'b, 'e>(
    room: &'b mut [u8],
    layout: &Layout,
    effects: impl Iterator<Item = Option<&'e Effect>>,
    first: u32,
) -> Option<(&'b [u8], u32)> {
    let mut last = None;
    let mut messages = Messages::new(room);
    for (seq, effect) in (0..).map(|i| first.wrapping_add(i)).zip(effects) {
        let Some(effect) = effect else { continue };
        if let Ok(Some((set, addr))) = layout.element(effect) {
            match effect.change {
                Change::Add { timeout_ms } => messages.add(seq, set, addr, seconds(timeout_ms)),
                Change::Delete => messages.delete(seq, set, addr),
            }
            last = Some(seq);
        }
    }
    Some((messages.finish()?, last?))
}
