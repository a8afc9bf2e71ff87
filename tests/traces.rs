//! Logs of attacks and of ordinary days, and what the guard makes of them with no configuration.
//!
//! `traces/NAME/log` is what Asterisk wrote (the formats of its real logs, with made-up addresses and times);
//! `traces/NAME/expected` says what it is, who must never be banned, and every verdict. `UPDATE=1 cargo test --test
//! traces` rewrites the verdicts; review the diff.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sipguard::config::Config;
use sipguard::daemon;
use sipguard::filter::asterisk::Asterisk;
use sipguard::filter::{Context, Reading, Trail};
use sipguard::guard::{Guard, JailId, Outcome, Remark, Seed, Settings, Source, Trust, Why};
use sipguard::time::{Mono, Wall};

const JAIL: JailId = JailId(0);

/// 2026-11-22 12:00.
const BEGIN: i64 = 1_795_348_800;

/// The guard as it is without a configuration.
fn guard() -> Guard {
    let config = Config::built_in();
    let settings = Settings {
        ring: config.ring,
        maxbans: config.maxbans,
        ipv6prefix: config.ipv6prefix,
        purge_age: config.dbpurgeage,
        own: Trust::default(),
        seed: Seed([6, 60]),
    };
    Guard::new(daemon::policies(&config), settings)
}

/// Every verdict of a log, one a line.
fn verdicts(log: &[u8]) -> String {
    let (mut guard, mut trail) = (guard(), Trail::default());
    let context = Context {
        today: Wall(BEGIN + 86_400),
        utc_offset_s: 0,
    };
    let (mut verdicts, mut now) = (String::new(), Mono::BOOT);
    for line in log.split(|&byte| byte == b'\n') {
        let reading = Asterisk.read(line, &mut trail, &context);
        let at = match reading {
            Reading::Failure(failure) => failure.at,
            Reading::Sign(sign) => sign.at,
            Reading::Nothing | Reading::Suspicious(_) => None,
        };
        if let Some(Wall(at)) = at {
            now = now.max(Mono::BOOT.plus_seconds((at - BEGIN) as u64));
        }
        while let Some(ban) = guard.expire(now) {
            writeln!(verdicts, "{} lifts {}", time(now), ban.net).unwrap();
        }
        let outcome = match &reading {
            Reading::Failure(failure) => Some(guard.observe(JAIL, Source(0), failure, now)),
            Reading::Sign(sign) => guard.observe_sign(JAIL, sign, now),
            Reading::Nothing | Reading::Suspicious(_) => None,
        };
        while let Some(effect) = guard.poll_effect(now) {
            guard.acked(effect.slot, true, now);
        }
        if let Some(Outcome::Ban(verdict)) = outcome {
            let why = Why {
                ban: &verdict.ban,
                summary: &verdict.why,
            };
            writeln!(verdicts, "{} bans {}: {why}", time(now), verdict.ban.net).unwrap();
        }
        match guard.take_remark() {
            Some(Remark::Phone { net, failures, .. }) => {
                writeln!(
                    verdicts,
                    "{} a phone with a wrong password: {net}, {failures} failures",
                    time(now)
                )
                .unwrap();
            }
            Some(Remark::Flood(_) | Remark::FloodOver(_)) => {
                writeln!(verdicts, "{} a flood", time(now)).unwrap();
            }
            None => {}
        }
    }
    verdicts
}

fn time(now: Mono) -> String {
    Wall(BEGIN + now.seconds_since(Mono::BOOT) as i64).to_string()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

/// Compares one scenario with what is expected of it; what is wrong.
fn check(folder: &Path) -> Option<String> {
    let name = folder.file_name().unwrap().to_string_lossy();
    let got = verdicts(&fs::read(folder.join("log")).unwrap());
    let path = folder.join("expected");
    let text = fs::read_to_string(&path).unwrap();
    let is_head = |line: &&str| line.starts_with('#') || line.starts_with("never ");
    let head: String = text
        .lines()
        .filter(is_head)
        .map(|line| format!("{line}\n"))
        .collect();
    let never = head.lines().filter_map(|line| line.strip_prefix("never "));
    for address in never {
        let wrong = got
            .lines()
            .find(|line| line.contains(&format!(" bans {address}")));
        if let Some(line) = wrong {
            return Some(format!("{name}: {address} must never be banned: {line}"));
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, head + &got).unwrap();
        return None;
    }
    (head + &got != text).then(|| format!("{name}: expected\n{text}got\n{got}"))
}

#[test]
fn every_scenario_has_the_verdicts_that_are_expected_of_it() {
    let mut folders: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    folders.sort();
    assert!(folders.len() >= 10, "{folders:?}");
    let wrong: Vec<String> = folders.iter().filter_map(|folder| check(folder)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_the_attackers_lines_nobody_is_banned() {
    for name in [
        "office-one-bad-phone",
        "invite-fraud-known",
        "roaming-phone-mistypes",
        "phone-old-password",
    ] {
        let log = fs::read_to_string(folder().join(name).join("log")).unwrap();
        let innocent: Vec<&str> = log
            .lines()
            .filter(|line| !line.contains("198.51.100.66"))
            .collect();
        let got = verdicts(innocent.join("\n").as_bytes());
        assert!(!got.contains(" bans "), "{name}: {got}");
    }
}
