//! The clocks, and a little chance.

use core::hash::{BuildHasher as _, Hasher as _};
use std::io;

use nix::time::{ClockId, clock_gettime};

use crate::time::{Mono, Wall};

/// Now, by the clock that counts from boot and that nobody can set (`CLOCK_BOOTTIME`).
pub fn boottime() -> io::Result<Mono> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    Ok(Mono(now.tv_sec().cast_unsigned() * 1000 + now.tv_nsec().cast_unsigned() / 1_000_000))
}

/// Now, by the wall clock, in UTC.
pub fn utc() -> io::Result<Wall> {
    Ok(Wall(clock_gettime(ClockId::CLOCK_REALTIME)?.tv_sec()))
}

/// Random numbers of the kernel's, as the standard library gets them for its hash tables.
pub fn random() -> [u64; 2] {
    let number = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    [number(), number()]
}
