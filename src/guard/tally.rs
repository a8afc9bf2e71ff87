//! How many bans there are in each jail, counted with every change: nobody walks the table to know.

use super::JailId;

/// Bans of one jail, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The kernel is known to have them.
    pub in_force: u32,
    /// The kernel shall have them, and is not known to.
    pub not_in_force: u32,
    /// The kernel may have them, and shall not.
    pub leaving: u32,
}

impl Tally {
    /// Bans, without those on their way out.
    #[must_use]
    pub fn bans(self) -> u32 {
        self.in_force + self.not_in_force
    }
}

/// What of a [`Tally`] a ban counts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Awaited,
    InForce,
    Leaving,
}

/// A tally for every jail.
#[derive(Default)]
pub(crate) struct Tallies {
    jails: Vec<Tally>,
}

impl Tallies {
    /// The counter of such bans of a jail.
    pub(crate) fn count(&mut self, jail: JailId, standing: Standing) -> &mut u32 {
        let number = usize::from(jail.0);
        if self.jails.len() <= number {
            self.jails.resize(number + 1, Tally::default());
        }
        #[expect(clippy::indexing_slicing, reason = "it was made long enough right above")]
        let tally = &mut self.jails[number];
        match standing {
            Standing::Awaited => &mut tally.not_in_force,
            Standing::InForce => &mut tally.in_force,
            Standing::Leaving => &mut tally.leaving,
        }
    }

    /// The bans of one jail.
    pub(crate) fn of(&self, jail: JailId) -> Tally {
        self.jails.get(usize::from(jail.0)).copied().unwrap_or_default()
    }

    /// All bans.
    pub(crate) fn all(&self) -> Tally {
        self.jails.iter().fold(Tally::default(), |sum, tally| Tally {
            in_force: sum.in_force + tally.in_force,
            not_in_force: sum.not_in_force + tally.not_in_force,
            leaving: sum.leaving + tally.leaving,
        })
    }
}
