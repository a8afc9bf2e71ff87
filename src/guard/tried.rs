//! Which accounts and extensions a source has tried, and when last: a few names, exactly, in fixed memory.

use crate::limits::TRIED_MAX;
use crate::time::Mono;

/// The latest names. Of more than fit, the one tried longest ago is forgotten: whoever tries so many is known by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// The hash of the name, and the second at which it was tried last; seconds go round after 136 years.
    names: [(u32, u32); TRIED_MAX],
    held: u8,
}

impl Tried {
    pub(super) const NONE: Tried = Tried {
        names: [(0, 0); TRIED_MAX],
        held: 0,
    };

    pub(super) fn note(&mut self, name: u32, now: Mono) {
        let now = second(now);
        let held = self.names.get_mut(..usize::from(self.held)).unwrap_or_default();
        if let Some(place) = held.iter_mut().find(|(other, _)| *other == name) {
            place.1 = now;
        } else if let Some(place) = self.names.get_mut(usize::from(self.held)) {
            *place = (name, now);
            self.held += 1;
        } else if let Some(oldest) = self.names.iter_mut().max_by_key(|(_, at)| now.wrapping_sub(*at)) {
            *oldest = (name, now);
        }
    }

    /// How many names were tried in so many seconds, as far as they are kept.
    pub(super) fn within(&self, seconds: u64, now: Mono) -> u32 {
        let now = second(now);
        let held = self.names.get(..usize::from(self.held)).unwrap_or_default();
        let recent = |&&(_, at): &&(u32, u32)| u64::from(now.wrapping_sub(at)) <= seconds;
        held.iter().filter(recent).count() as u32
    }
}

fn second(now: Mono) -> u32 {
    (now.0 / 1000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_once_and_as_long_as_they_are_recent() {
        let mut tried = Tried::NONE;
        assert_eq!(tried.within(600, Mono(0)), 0);
        for (name, at) in [(7, 0), (7, 1_000), (8, 2_000), (7, 600_000)] {
            tried.note(name, Mono(at));
        }
        assert_eq!(tried.within(600, Mono(600_000)), 2);
        assert_eq!(tried.within(600, Mono(700_000)), 1);
        assert_eq!(tried.within(86_400, Mono(700_000)), 2);
    }

    #[test]
    fn of_too_many_names_the_latest_are_kept() {
        let mut tried = Tried::NONE;
        for name in 0..1000 {
            tried.note(name, Mono(u64::from(name) * 1000));
        }
        assert_eq!(tried.within(86_400, Mono(1_000_000)) as usize, TRIED_MAX);
        assert_eq!(tried.within(10, Mono(1_000_000)), 10);
    }
}
