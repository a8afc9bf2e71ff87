//! Bans, and what the system's programs say about them.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test program uses another part of it"
)]
#![allow(missing_docs, reason = "they are here, where they help")]

use sipguard::config::{Backend, Block, Protocol};
use sipguard::firewall::{Enforce as _, Firewall, JailRule, Refusal};
use sipguard::guard::{Change, Effect, JailId, Slot};
use sipguard::limits::CHANGES_PER_BATCH;

use crate::support::{isolated, run};

/// Runs the body with each part of the kernel that can hold bans, and looks that nothing stays.
pub fn with_both(test: &str, body: impl Fn(Backend)) {
    isolated(test, || {
        for backend in [Backend::Nftables, Backend::Ipset] {
            body(backend);
            assert_eq!(ours(), "", "{backend:?} leaves something");
        }
    });
}

/// Everything of ours in the kernel, as the programs show it.
pub fn ours() -> String {
    let shown = [
        "nft list ruleset",
        "ipset list",
        "iptables-legacy-save",
        "ip6tables-legacy-save",
    ]
    .map(run)
    .concat();
    shown.lines().filter(|line| line.contains("sipguard")).collect()
}

pub fn jail(name: &str, protocol: Protocol, ports: &[(u16, u16)]) -> JailRule {
    JailRule {
        name: name.to_owned(),
        blocks: vec![Block {
            protocol,
            ports: ports.to_vec(),
        }],
    }
}

pub fn asterisk() -> JailRule {
    jail("asterisk", Protocol::All, &[])
}

#[track_caller]
pub fn open(backend: Backend, jails: &[JailRule]) -> Firewall {
    Firewall::open(backend, jails, 64, 1_000).unwrap_or_else(|fault| panic!("{fault}"))
}

pub fn effect(jail: u16, net: &str, change: Change) -> Effect {
    Effect {
        slot: Slot(7),
        jail: JailId(jail),
        net: net.parse().unwrap(),
        change,
    }
}

/// A ban in the first jail; 0 milliseconds are for ever.
pub fn add(net: &str, ms: u64) -> Effect {
    let timeout_ms = (ms > 0).then_some(ms);
    effect(0, net, Change::Add { timeout_ms })
}

pub fn delete(net: &str) -> Effect {
    effect(0, net, Change::Delete)
}

/// Each effect's outcome, in their order.
pub fn apply(firewall: &mut Firewall, effects: &[Effect]) -> Vec<Result<(), Refusal>> {
    let numbered: Vec<Effect> = (0..)
        .zip(effects)
        .map(|(i, effect)| Effect {
            slot: Slot(i),
            ..*effect
        })
        .collect();
    let mut outcomes: Vec<Option<_>> = effects.iter().map(|_| None).collect();
    for batch in numbered.chunks(CHANGES_PER_BATCH) {
        firewall.apply(batch, &mut |slot, result| {
            let before = outcomes[slot.0 as usize].replace(result);
            assert!(before.is_none(), "one outcome for slot {slot:?}");
        });
    }
    outcomes
        .into_iter()
        .map(|outcome| outcome.expect("an outcome for every effect"))
        .collect()
}

#[track_caller]
pub fn apply_all(firewall: &mut Firewall, effects: &[Effect]) {
    for (effect, outcome) in effects.iter().zip(apply(firewall, effects)) {
        outcome.unwrap_or_else(|refusal| panic!("{effect:?}: {refusal}"));
    }
}

/// What the system's program says about an address: nothing if it is not banned.
#[derive(Debug, PartialEq)]
pub enum Listed {
    Absent,
    ForEver,
    Seconds(u64),
}

pub fn listed(backend: Backend, set: &str, addr: &str) -> Listed {
    let shown = match backend {
        Backend::Ipset => run(&format!("ipset list sipguard-{set}")),
        Backend::Auto | Backend::Nftables => {
            run(&format!("nft list set inet sipguard {set}")).replace(',', "\n")
        }
    };
    let words = |line: &str| -> Vec<String> {
        let line = line.replace("elements = {", "").replace('}', "");
        line.split_whitespace().map(str::to_owned).collect()
    };
    let Some(line) = shown
        .lines()
        .map(words)
        .find(|words| words.first().is_some_and(|word| word == addr))
    else {
        return Listed::Absent;
    };
    let time = match backend {
        Backend::Ipset => line.get(2).unwrap().parse().unwrap(),
        Backend::Auto | Backend::Nftables => line.get(4).map_or(0, |text| nft_seconds(text)),
    };
    if time == 0 {
        Listed::ForEver
    } else {
        Listed::Seconds(time)
    }
}

/// `1h2m3s4ms`, rounded up.
pub fn nft_seconds(text: &str) -> u64 {
    let text = text.replace("ms", "i");
    let (mut seconds, mut number) = (0, 0);
    for c in text.chars() {
        match c {
            '0'..='9' => number = number * 10 + u64::from(c.to_digit(10).unwrap()),
            unit => {
                seconds += match unit {
                    'd' => number * 86_400,
                    'h' => number * 3_600,
                    'm' => number * 60,
                    's' => number,
                    _ => 1,
                };
                number = 0;
            }
        }
    }
    seconds
}

/// The ban is there for about so many seconds.
#[track_caller]
pub fn check_time(backend: Backend, set: &str, addr: &str, seconds: u64) {
    let found = listed(backend, set, addr);
    let Listed::Seconds(left) = found else {
        panic!("{addr} in {set}: {found:?}")
    };
    assert!(
        (seconds.saturating_sub(30)..=seconds + 1).contains(&left),
        "{addr}: {left} of {seconds} s"
    );
}
