//! What the loop asks of whatever holds the bans: [`super::Firewall`] is the kernel's, and a simulator has one that
//! fails and forgets as it is told.

use ipnet::IpNet;

use super::{Each, JailRule, Lost, Notice, Outcome, Watch};
use crate::config::Backend;
use crate::guard::{Effect, JailId, Reach};
use crate::sys::Fault;

/// Who keeps banned sources away. It carries out what it is asked for, and keeps no list of bans.
///
/// # Errors
/// What the kernel says. Then what was asked for is done, or not, or in part.
#[allow(clippy::missing_errors_doc, reason = "said once, above")]
pub trait Enforce {
    /// Why there is no firewall, if the kernel lacks what it takes: all changes are refused until
    /// [`Enforce::try_open`] succeeds.
    #[must_use]
    fn absence(&self) -> Option<&Fault>;

    /// Tries to set up what was absent: the kernel's modules may have come. Then all bans have to be added, as
    /// after [`Enforce::rebuild`].
    fn try_open(&mut self) -> Result<(), Fault>;

    /// The name of the part that was chosen, as `firewall =` spells it.
    #[must_use]
    fn backend(&self) -> &'static str;

    /// The longest time that one `Add` lasts, in milliseconds. The kernel forgets a longer ban after
    /// this time, so whoever holds one adds it again before.
    #[must_use]
    fn longest_timeout_ms(&self) -> u64;

    /// Carries out changes and reports on each of them, in any order, before it returns.
    /// Changes are independent: that one is refused does not keep the others from taking effect.
    fn apply(&mut self, effects: &[Effect], outcome: &mut Outcome<'_>);

    /// Sets and rules again, for when they are [`Refusal::Gone`] or not as they shall be. Sets that are as they shall
    /// be keep their elements; but since what was lost is not known, all bans have to be added again, and those that
    /// shall go, deleted. With ipset it fails at once while another program is changing iptables: try again soon.
    fn rebuild(&mut self) -> Result<(), Fault>;

    /// From here on the kernel takes only so much of each source (see [`crate::limits::FLOOD_PACKETS_PER_SECOND`]) at
    /// the ports that these jails block, and of no others: for floods of forged sources. Bans are not touched. After
    /// an error all is as before. It lasts over [`Enforce::rebuild`], not over [`Enforce::relayout`].
    fn limit(&mut self, jails: &[JailId]) -> Result<(), Fault>;

    /// Everything for other settings. The sets of jails that stay keep their elements, if it is the same part of the
    /// kernel; else all sets are empty. After an error all is as before, but sets may be empty.
    fn relayout(
        &mut self,
        choice: Backend,
        jails: &[JailRule],
        ipv6prefix: u8,
        maxbans: u32,
    ) -> Result<(), Fault>;

    /// Removes everything of ours from the kernel, and with it all bans. For the end: with ipset it may
    /// wait for another program that is changing iptables, a fifth of a second.
    fn teardown(&mut self) -> Result<(), Fault>;

    /// Streams everything that our sets hold in the kernel. An element may come twice, if somebody changes nf_tables
    /// meanwhile. With nf_tables 100,000 elements take half a second: for the start, not for every day.
    fn elements(&mut self, each: &mut Each<'_>) -> Result<(), Fault>;

    /// Whether the kernel has this ban: one question, some microseconds.
    fn holds(&mut self, jail: JailId, net: IpNet, reach: Reach) -> Result<bool, Fault>;

    /// With [`Watch::Poll`]: whether the kernel seems to hold all `bans`, by the number of elements of its sets. If not,
    /// [`Enforce::elements`] tells.
    fn holds_as_many(
        &mut self,
        bans: &mut dyn Iterator<Item = (JailId, IpNet, Reach)>,
    ) -> Result<bool, Fault>;

    /// Something that was done without being asked, to be told once.
    fn take_notice(&mut self) -> Option<Notice>;

    /// How to learn that somebody else has removed what is ours.
    #[must_use]
    fn watch(&self) -> Watch<'_>;

    /// Reads what [`Watch::Events`] has, a bounded part of it, and says what others did to our elements. Whether more
    /// than elements may be harmed, so that [`Enforce::check_intact`] is due.
    fn take_events(&mut self, lost: &mut dyn FnMut(Lost)) -> Result<bool, Fault>;

    /// Whether our sets and rules are in force; a fraction of a millisecond. If not, `rebuild`.
    fn check_intact(&mut self) -> Result<bool, Fault>;
}
