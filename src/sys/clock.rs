//! The clocks, and a little chance.

use core::hash::{BuildHasher as _, Hasher as _};
use std::{env, fs, io};

use nix::time::{ClockId, clock_gettime};

use crate::store::BootId;
use crate::time::{Mono, Wall};
use crate::zone::Zone;

/// Now, by the clock that counts from boot and that nobody can set (`CLOCK_BOOTTIME`).
pub fn boottime() -> io::Result<Mono> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    // The time since boot is never negative.
    let since_boot = now.tv_sec() as u64 * 1000 + now.tv_nsec() as u64 / 1_000_000;
    Ok(Mono(Mono::BOOT.0 + since_boot))
}

/// Now, by the wall clock, in UTC.
#[allow(
    clippy::useless_conversion,
    reason = "libc takes musl's old time_t of 32 bits on 32-bit machines unless cross/recipe tells it otherwise"
)]
pub fn utc() -> io::Result<Wall> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME)?;
    Ok(Wall(i64::from(now.tv_sec())))
}

/// The clock that journald puts on entries (`CLOCK_MONOTONIC`), and the wall clock, in microseconds.
#[allow(clippy::useless_conversion, reason = "as for `utc`")]
pub fn micros() -> io::Result<(u64, u64)> {
    let read = |id| -> io::Result<u64> {
        let now = clock_gettime(id)?;
        let seconds = u64::try_from(i64::from(now.tv_sec())).unwrap_or(0);
        let nanos = u64::try_from(i64::from(now.tv_nsec())).unwrap_or(0);
        Ok(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000))
    };
    Ok((read(ClockId::CLOCK_MONOTONIC)?, read(ClockId::CLOCK_REALTIME)?))
}

/// Which boot of the machine this is.
pub fn boot_id() -> io::Result<BootId> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits = text.trim().replace('-', "");
    let number = u128::from_str_radix(&digits, 16);
    number
        .map(BootId)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Random numbers of the kernel's, as the standard library gets them for its hash tables.
pub fn random() -> [u64; 2] {
    let number = || {
        std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish()
    };
    [number(), number()]
}

/// The zone of the machine's local time: what `TZ` names, else `/etc/localtime`, else OpenWrt's `/etc/TZ`, else
/// UTC. Not `TZ` with a path of its own: whoever sets our environment could make us read any file.
pub fn zone() -> Zone {
    let named = env::var("TZ").ok().and_then(|name| {
        let name = name.trim_start_matches(':');
        let plain = !name.is_empty() && !name.starts_with(['/', '.']) && !name.contains("..");
        let file = || Zone::from_file(&fs::read(format!("/usr/share/zoneinfo/{name}")).ok()?);
        plain
            .then(file)
            .flatten()
            .or_else(|| Zone::from_rule(name.as_bytes()))
    });
    named
        .or_else(|| Zone::from_file(&fs::read("/etc/localtime").ok()?))
        .or_else(|| Zone::from_rule(&fs::read("/etc/TZ").ok()?))
        .unwrap_or_default()
}
