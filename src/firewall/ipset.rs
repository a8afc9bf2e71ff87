//! Bans in ipset: sets `sipguard-JAIL4`, `sipguard-JAIL6` and `sipguard-JAIL6net` per jail, and rules in iptables
//! that drop what is in them. For kernels without nf_tables, or for those who want it.

mod elements;

use std::io;

use crate::firewall::compat::Compat;
use crate::firewall::flood;
use crate::firewall::iptables::{Drops, Iptables, NotInstalled, lock};
use crate::firewall::layout::{Layout, Scope, Set};
use crate::firewall::nftables::Nftables;
use crate::firewall::{Notice, Refusal};
use crate::guard::Reach;
use crate::limits::{
    CHANGES_PER_BATCH, CHANGES_PER_TRANSACTION, IPSET_HASH_SIZE, JAILS_MAX, NETLINK_SEND_BYTES,
};
use crate::sys::Fault;
use crate::sys::netlink::{Netlink, Reply};
use crate::sys::pages::Pages;
use crate::sys::uapi::{
    EBUSY, EEXIST, EINVAL, ENOENT, EPERM, EPROTONOSUPPORT, IPSET_ERR_BUSY, IPSET_ERR_FIND_TYPE,
    IPSET_ERR_HASH_ELEM, IPSET_ERR_HASH_FULL,
};
use crate::sys::xtables::Xtables;
use crate::wire::ipset::{
    ELEMENT_BYTES_MAX, ELEMENT_MESSAGE_BYTES_MAX, ELEMENTS_MESSAGE_BYTES_MAX, Header, Messages, Properties,
    REVISION_MAX, TIMEOUT_S_MAX, header, revisions, set_name,
};
use crate::wire::nft::Family;
use crate::wire::xtables::DropRule;

/// The longest time one `add` lasts: 24.8 days.
pub(super) const TIMEOUT_MS_MAX: u64 = TIMEOUT_S_MAX as u64 * 1_000;

/// All our sets begin with it.
pub(super) const PREFIX: &str = "sipguard-";
/// The set that takes the place of one with the right name and other properties. No jail's set has
/// this name, because jails' names begin with a letter.
const SPARE: &str = "sipguard-.new";
const _: () = assert!(ELEMENT_MESSAGE_BYTES_MAX * CHANGES_PER_TRANSACTION <= NETLINK_SEND_BYTES);
// What fits even if it is spread over 64 sets.
const _: () =
    assert!(ELEMENT_BYTES_MAX * CHANGES_PER_BATCH + ELEMENTS_MESSAGE_BYTES_MAX * 64 <= NETLINK_SEND_BYTES);

/// What looks into the sets of one family.
#[derive(Debug)]
enum Rules {
    Iptables(Iptables),
    Compat(Compat),
}

/// Our sets and rules.
#[derive(Debug)]
pub(super) struct Ipset {
    netlink: Netlink,
    send: Pages,
    /// Our rules, by family; none where the machine has no such family.
    rules: Vec<Rules>,
    shortcoming: Option<Fault>,
    /// The kernel does not track connections, and there are bans that are not proven.
    stateless: bool,
    /// The kernel cannot limit sources, and should.
    unlimited: bool,
    /// The changes of a batch in the order in which they are sent: by set, and else as they came.
    order: Vec<(u32, u16)>,
    /// So many more elements than bans the sets had at the last look.
    surplus: u32,
    /// So many looks until more elements than bans are a reason to look closely again.
    looks: u32,
    notice: Option<Notice>,
}

impl Ipset {
    /// The revision of `hash:ip` that we would use.
    pub(super) fn probe() -> Result<u8, Fault> {
        let mut ipset = Ipset::new()?;
        ipset.revision(Family::V6)?;
        ipset.revision(Family::V4)
    }

    /// Removes what an earlier run left, on a machine that has nf_tables, too.
    pub(super) fn clean() -> Result<(), Fault> {
        let mut ipset = Ipset::new()?;
        for family in [Family::V4, Family::V6] {
            Compat::remove(&mut ipset.netlink, family)?;
        }
        ipset.teardown()
    }

    fn new() -> Result<Ipset, Fault> {
        Ok(Ipset {
            netlink: Netlink::open_for_long_answers()
                .map_err(|error| cannot("open a netfilter socket", error))?,
            send: Pages::new(NETLINK_SEND_BYTES),
            rules: Vec::new(),
            shortcoming: None,
            stateless: false,
            unlimited: false,
            order: Vec::with_capacity(CHANGES_PER_BATCH),
            surplus: 0,
            looks: 0,
            notice: None,
        })
    }

    /// Sets up sets and rules. Of what an earlier run left the sets that stay keep their elements; after an
    /// error nothing is left.
    pub(super) fn open(layout: &Layout) -> Result<Ipset, Fault> {
        let mut ipset = Ipset::new()?;
        if let Err(fault) = ipset.set_up(layout, true) {
            // It says what is wrong; that nothing can be removed either does not add to it.
            let _ = ipset.teardown();
            return Err(fault);
        }
        Ok(ipset)
    }

    /// What does not work although the rest does.
    pub(super) fn shortcoming(&self) -> Option<&Fault> {
        self.shortcoming.as_ref()
    }

    /// Whether bans that are not proven drop answers to us, too.
    pub(super) fn is_stateless(&self) -> bool {
        self.stateless
    }

    /// What was done without being asked.
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// Sets and rules; sets that are there and as they shall be keep their elements. Fails at once, and has changed nothing, if another program is
    /// changing iptables.
    pub(super) fn rebuild(&mut self, layout: &Layout) -> Result<(), Fault> {
        self.set_up(layout, false)
    }

    fn set_up(&mut self, layout: &Layout, patient: bool) -> Result<(), Fault> {
        let _lock = lock(patient)?;
        for jail in &layout.jails {
            for set in jail.sets() {
                self.have_set(layout, set)?;
            }
        }
        self.put_rules(layout)?;
        let ours: Vec<&str> = layout
            .jails
            .iter()
            .flat_map(|jail| jail.sets().map(|set| set.name.as_str()))
            .collect();
        self.destroy_sets(&ours)
    }

    /// The rules, in place of those that are there. Whoever calls holds the lock.
    fn put_rules(&mut self, layout: &Layout) -> Result<(), Fault> {
        self.rules.clear();
        self.shortcoming = None;
        self.stateless = false;
        self.unlimited = false;
        for family in [Family::V4, Family::V6] {
            match self.install(family, layout)? {
                // A box whose kernel has no ip6_tables is better protected half than not at all.
                Some(missing) if family == Family::V6 => self.shortcoming = Some(missing),
                Some(missing) => return Err(missing),
                None => {}
            }
        }
        Ok(())
    }

    /// Limits sources as the layout says. If it cannot, all is as if it had not been asked for.
    pub(super) fn limit(&mut self, layout: &Layout) -> Result<(), Fault> {
        let _lock = lock(false)?;
        self.put_rules(layout)?;
        if self.unlimited {
            let missing = io::Error::from_raw_os_error(ENOENT);
            let fault = Fault::new("cannot put limits into iptables", missing);
            return Err(fault.hint(
                "the kernel lacks xt_hashlimit or connection tracking: on OpenWrt install kmod-ipt-hashlimit and \
                 kmod-ipt-conntrack, elsewhere modprobe xt_hashlimit",
            ));
        }
        Ok(())
    }

    /// Whether sets and rules are there. Elements are not looked at.
    pub(super) fn intact(&mut self) -> io::Result<bool> {
        // None: the last time they could not be made.
        if self.rules.is_empty() {
            return Ok(false);
        }
        // A set that a rule refers to cannot be destroyed, so it suffices to look at the rules.
        for rules in &self.rules {
            let intact = match rules {
                Rules::Iptables(iptables) => iptables.intact()?,
                Rules::Compat(compat) => compat.intact(&mut self.netlink, &mut self.send)?,
            };
            if !intact {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes rules and sets.
    pub(super) fn teardown(&mut self) -> Result<(), Fault> {
        let _lock = lock(true)?;
        let compat = self.rules.iter().any(|rules| matches!(rules, Rules::Compat(_)));
        self.rules.clear();
        for family in [Family::V4, Family::V6] {
            Iptables::remove(family)?;
            if compat {
                Compat::remove(&mut self.netlink, family)?;
            }
        }
        self.destroy_sets(&[])
    }

    /// Puts the rules of one family into iptables, or where the kernel has none, into nf_tables. If it
    /// has neither, returns what is missing.
    fn install(&mut self, family: Family, layout: &Layout) -> Result<Option<Fault>, Fault> {
        let rules = rules(family, layout)
            .map_err(|error| Fault::new("cannot ask ipset for the numbers of our sets", error))?;
        match Iptables::install(family, &rules) {
            Ok(iptables) => {
                self.stateless |= iptables.is_stateless();
                self.unlimited |= !iptables.has_limits();
                self.rules.push(Rules::Iptables(iptables));
            }
            Err(NotInstalled::NoFamily) => {}
            Err(NotInstalled::Refused(fault)) => return Err(fault),
            Err(NotInstalled::Missing(fault)) => {
                let tracks = !rules.opened.is_empty() && Nftables::tracks()?;
                match Compat::install(&mut self.netlink, family, &rules, tracks, layout) {
                    Ok(compat) => {
                        self.unlimited |= !compat.has_limits();
                        self.stateless |= !rules.opened.is_empty() && !tracks;
                        self.rules.push(Rules::Compat(compat));
                    }
                    // What iptables lacks is the better hint: whoever has no iptables has nftables.
                    Err(_) => return Ok(Some(fault)),
                }
            }
        }
        Ok(None)
    }

    /// Has a set of that name with the properties that we want. One that is there keeps its elements if it is only
    /// smaller, or has grown.
    fn have_set(&mut self, layout: &Layout, set: &Set) -> Result<(), Fault> {
        let wanted = properties(layout, set);
        let doing = format!("look at ipset {}", set.name);
        let found = self.header(&set.name).map_err(|error| cannot(&doing, error))?;
        match found.map(|header| header.properties) {
            Some(found) if (found.family, found.prefix) != (wanted.family, wanted.prefix) => {
                self.fresh_set(layout, set)
            }
            Some(found) if found.maxelem >= wanted.maxelem => Ok(()),
            Some(found) => {
                let maxelem = wanted.maxelem;
                self.enlarge(&set.name, Properties { maxelem, ..found })
            }
            None => self.new_set(layout, set),
        }
    }

    /// What the kernel says about a set; `None` if there is none, or none of our type.
    fn header(&mut self, set: &str) -> io::Result<Option<Header>> {
        let mut found = None;
        let asked = self.question(|m, seq| m.ask_header(seq, set), &mut |message| {
            found = found.or(header(message));
        });
        match asked {
            Err(error) if error.raw_os_error() == Some(ENOENT) => Ok(None),
            other => other.map(|()| found),
        }
    }

    /// The same where there most likely is none.
    fn new_set(&mut self, layout: &Layout, set: &Set) -> Result<(), Fault> {
        let (name, properties) = (&set.name, properties(layout, set));
        let revision = self.revision(set.family)?;
        let create = |m: &mut Messages<'_>, seq| m.create(seq, name, properties, revision);
        match self.call(&format!("create ipset {name}"), &[], create) {
            // One of another type.
            Err(fault) if fault.source.raw_os_error() == Some(EEXIST) => self.fresh_set(layout, set),
            other => other,
        }
    }

    /// An empty set of that name with the properties that we want, whatever has the name; rules that
    /// refer to it keep doing so.
    fn fresh_set(&mut self, layout: &Layout, set: &Set) -> Result<(), Fault> {
        let name = &set.name;
        let properties = properties(layout, set);
        let revision = self.revision(set.family)?;
        let doing = format!("create ipset {name}");
        self.call(&doing, &[ENOENT], |m, seq| m.destroy(seq, SPARE))?;
        self.call(&doing, &[EEXIST], |m, seq| {
            m.create(seq, name, properties, revision);
        })?;
        self.call(&doing, &[], |m, seq| {
            m.create(seq, SPARE, properties, revision);
        })?;
        self.call(&doing, &[], |m, seq| m.swap(seq, SPARE, name))?;
        self.call(&doing, &[], |m, seq| m.destroy(seq, SPARE))
    }

    /// Destroys all sets of ours but those. One that somebody's rule refers to stays.
    fn destroy_sets(&mut self, keep: &[&str]) -> Result<(), Fault> {
        let mut old = Vec::new();
        let doing = "list ipsets";
        let question = |m: &mut Messages<'_>, seq| {
            m.ask_names(seq);
        };
        self.ask(doing, question, &mut |message| {
            let name = set_name(message).filter(|name| name.starts_with(PREFIX) && !keep.contains(name));
            old.extend(name.map(str::to_owned));
        })?;
        for name in old {
            self.call(
                &format!("destroy ipset {name}"),
                &[ENOENT, EBUSY, IPSET_ERR_BUSY],
                |m, seq| {
                    m.destroy(seq, &name);
                },
            )?;
        }
        Ok(())
    }

    /// The revision of `hash:ip` to create.
    fn revision(&mut self, family: Family) -> Result<u8, Fault> {
        let mut found = None;
        let doing = "ask for ipset's type hash:ip";
        self.ask(doing, |m, seq| m.ask_type(seq, family), &mut |message| {
            found = found.or(revisions(message));
        })?;
        let (least, greatest) =
            found.ok_or_else(|| cannot(doing, io::Error::from_raw_os_error(IPSET_ERR_FIND_TYPE)))?;
        Ok(greatest.min(REVISION_MAX).max(least))
    }

    /// One message; refusals in `fine` are none.
    fn call(
        &mut self,
        doing: &str,
        fine: &[i32],
        write: impl FnOnce(&mut Messages<'_>, u32),
    ) -> Result<(), Fault> {
        let seq = self.netlink.sequence(0);
        let mut messages = Messages::new(&mut self.send);
        write(&mut messages, seq);
        let bytes = messages.finish().unwrap_or_default();
        let mut refused = 0;
        let reply = self
            .netlink
            .request(bytes, seq, seq, &mut |answer| refused = answer.code);
        match reply {
            Ok(Reply::Done) => Ok(()),
            Ok(Reply::Refused) if fine.contains(&refused) => Ok(()),
            Ok(Reply::Refused | Reply::Lost) => Err(cannot(doing, io::Error::from_raw_os_error(refused))),
            Err(error) => Err(cannot(doing, error)),
        }
    }

    /// One question.
    fn ask(
        &mut self,
        doing: &str,
        write: impl FnOnce(&mut Messages<'_>, u32),
        each: &mut dyn FnMut(&crate::wire::nlmsg::Message<'_>),
    ) -> Result<(), Fault> {
        self.question(write, each).map_err(|error| cannot(doing, error))
    }

    fn question(
        &mut self,
        write: impl FnOnce(&mut Messages<'_>, u32),
        each: &mut dyn FnMut(&crate::wire::nlmsg::Message<'_>),
    ) -> io::Result<()> {
        let seq = self.netlink.sequence(0);
        let mut messages = Messages::new(&mut self.send);
        write(&mut messages, seq);
        let bytes = messages.finish().unwrap_or_default();
        self.netlink.ask(bytes, seq, each)
    }
}

/// What shall be dropped.
fn rules(family: Family, layout: &Layout) -> io::Result<Drops> {
    // Whichever family the socket is of, it knows all sets.
    let numbers = Xtables::open(Family::V4)?;
    let mut drops = Drops {
        limits: flood::xt_rules(layout),
        ..Drops::default()
    };
    for jail in &layout.jails {
        for set in jail.sets().filter(|set| set.family == family) {
            let rules = match set.reach {
                Reach::Whole => &mut drops.whole,
                Reach::Opened => &mut drops.opened,
            };
            let set = numbers
                .set_number(&set.name)?
                .ok_or_else(|| io::Error::from_raw_os_error(ENOENT))?;
            match &jail.scope {
                Scope::Nothing => {}
                Scope::Everything => rules.push(DropRule { set, only: None }),
                Scope::Ports(all) => rules.extend(all.iter().map(|ports| DropRule {
                    set,
                    only: Some((ports.protocol, ports.range)),
                })),
            }
        }
    }
    Ok(drops)
}

fn properties(layout: &Layout, set: &Set) -> Properties {
    Properties {
        family: set.family,
        prefix: set.prefix,
        hashsize: IPSET_HASH_SIZE,
        maxelem: maxelem(layout),
    }
}

/// `maxelem` is checked by region of the hash, and chance does not fill all regions alike.
fn maxelem(layout: &Layout) -> u32 {
    layout
        .maxbans
        .saturating_add(layout.maxbans / 8)
        .saturating_add(1_024)
}

/// Whole seconds, rather one more than one less; 0 is for ever.
fn seconds(timeout_ms: Option<u64>) -> u32 {
    match timeout_ms {
        None => 0,
        Some(ms) => u32::try_from(ms.div_ceil(1_000))
            .unwrap_or(u32::MAX)
            .clamp(1, TIMEOUT_S_MAX),
    }
}

fn refusal(code: i32) -> Refusal {
    match code {
        IPSET_ERR_HASH_FULL => Refusal::Full,
        IPSET_ERR_HASH_ELEM => Refusal::Impossible("ipset cannot hold that address"),
        EINVAL => Refusal::Gone, // the module is gone, and all sets with it
        _ => Refusal::from_errno(code),
    }
}

fn cannot(doing: &str, error: io::Error) -> Fault {
    let (error, hint) = match error.raw_os_error() {
        Some(EPERM) => (error, Some("needs CAP_NET_ADMIN: start as root")),
        Some(EPROTONOSUPPORT) => (
            error,
            Some("the kernel lacks nfnetlink: on OpenWrt install kmod-nfnetlink"),
        ),
        Some(EINVAL) => (
            error,
            Some("the kernel lacks ip_set: on OpenWrt install kmod-ipt-ipset"),
        ),
        Some(IPSET_ERR_FIND_TYPE) => (
            io::Error::new(
                io::ErrorKind::Unsupported,
                "the kernel does not know this type of set",
            ),
            Some("it lacks ip_set_hash_ip: on OpenWrt install kmod-ipt-ipset"),
        ),
        Some(code @ 4096..) => (io::Error::other(format!("ipset error {code}")), None),
        _ => (error, None),
    };
    let fault = Fault::new(format!("cannot {doing}"), error);
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}
