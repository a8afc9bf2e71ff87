//! Bans and unbans that a person asked for.

use ipnet::IpNet;
use log::warn;

use super::TARGET;
use super::report::Net;
use super::watch::Watch;
use crate::firewall::Enforce;
use crate::guard::{Ban, JailId, NotBanned};
use crate::limits::UNBANS_PER_TURN;
use crate::store::Disk;
use crate::time::Lasting;

impl<K: Enforce, D: Disk> Watch<K, D> {
    /// Bans somebody because a person says so; whether the kernel took it is in the guard.
    pub fn ban_by_hand(
        &mut self,
        net: IpNet,
        jail: JailId,
        Lasting(seconds): Lasting,
        force: bool,
    ) -> Result<(), NotBanned> {
        if self.own_rests <= self.now {
            self.look_at_own();
        }
        let until = seconds.map(|seconds| self.now.plus_seconds(seconds));
        let replaced = self.guard.standing(net, jail).map(|(ban, _)| ban);
        let displaced = self.guard.ban(net, jail, until, self.now, force)?;
        if let Some(ban) = displaced {
            warn!(target: TARGET, "the table is full (maxbans): the ban of {} ended early to make room", Net(&ban));
        }
        self.settle();
        self.note_ban(net, jail, replaced.as_ref(), displaced.as_ref());
        Ok(())
    }

    /// Lifts the bans of an address in a jail: its own, and that of the network it is counted with. Then
    /// [`Watch::settle`].
    pub fn lift(&mut self, net: IpNet, jail: JailId) -> impl Iterator<Item = Ban> + use<K, D> {
        let nets = [Some(net), self.guard.network_of(net)];
        let lifted = nets.map(|net| net.and_then(|net| self.unban(net, jail)));
        lifted.into_iter().flatten()
    }

    /// Lifts bans, of one jail or of all, from `number` on, and counts them; as many as a turn may. Whether there are
    /// more.
    pub fn lift_some(&mut self, jail: Option<JailId>, number: &mut u32, lifted: &mut u64) -> bool {
        let numbers = self.guard.ban_numbers();
        let end = numbers.min(number.saturating_add(UNBANS_PER_TURN));
        for at in *number..end {
            let ban = self.guard.ban_at(at).map(|(ban, _)| ban);
            if let Some(ban) = ban.filter(|ban| jail.is_none_or(|jail| jail == ban.jail)) {
                self.unban(ban.net, ban.jail);
                *lifted += 1;
            }
        }
        *number = end;
        self.settle();
        end < numbers
    }
}
