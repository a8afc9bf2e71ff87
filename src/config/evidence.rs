//! `counting` and its family: what counts beside the number of failures.

use super::reading::Reading;
use crate::guard::{Bannet, Evidence};

/// What is built in, as the table of keys has it.
pub(super) fn built_in() -> Evidence {
    Evidence {
        known: Some(150),
        phone: Some(35),
        challenge: Some(50),
        slow: Some(10),
        slow_findtime: 86_400,
        flood: Some(200),
        halves: true,
        bannet: Bannet::Warn,
        members: 8,
    }
}

/// What a jail says of it. `counting = plain` switches all of it off, an empty threshold one part.
pub(super) fn evidence(reading: &mut Reading<'_>, section: &str) -> Option<Evidence> {
    let word = reading.word(section, "counting")?;
    let known = threshold(reading, section, "maxretry.known")?;
    let phone = threshold(reading, section, "maxretry.phone")?;
    let challenge = threshold(reading, section, "maxretry.challenge")?;
    let slow = threshold(reading, section, "maxretry.slow")?;
    let slow_findtime = reading.seconds(section, "findtime.slow")??;
    let flood = threshold(reading, section, "floodrate")?;
    let halves = reading.word(section, "bantime.forget")? == "half";
    let bannet = match reading.word(section, "bannet")? {
        "off" => Bannet::Off,
        "on" => Bannet::On,
        _ => Bannet::Warn,
    };
    let members = reading.number(section, "bannet.members")?;
    if word == "plain" {
        return Some(Evidence::default());
    }
    Some(Evidence {
        known,
        phone,
        challenge,
        slow,
        slow_findtime,
        flood,
        halves,
        bannet,
        members,
    })
}

/// A number, or nothing: `Some(None)`.
fn threshold(reading: &mut Reading<'_>, section: &str, key: &'static str) -> Option<Option<u32>> {
    if reading.value(section, key)?.text().trim().is_empty() {
        return Some(None);
    }
    reading.number(section, key).map(Some)
}
