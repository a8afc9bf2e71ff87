//! The guard on a machine of its own: fake clocks, kernel, disks and log files, where everything goes wrong that can,
//! as a seed says; and beside it a model that is too simple to be wrong.
//!
//! `cargo test --test simulator`; `make soak` for as long as wanted. A seed that fails tells how to repeat it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test"
)]

mod checks;
mod kernel;
mod logs;
mod model;
#[path = "../support/random.rs"]
mod random;
mod steps;
mod world;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use world::World;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// What does not happen, to find out what a failure needs: `SIM_WITHOUT=boot,reload,clock,files,disk`.
fn without() -> String {
    env::var("SIM_WITHOUT").unwrap_or_default()
}

/// A life of some minutes to hours; one in a hundred lasts days.
fn live(seed: u64, verbose: bool) -> i64 {
    let mut world = World::new(seed, verbose);
    let (steps, hours) = if seed % 100 == 99 { (400, 12) } else { (60, 1) };
    world.live(steps, hours);
    world.now()
}

/// Lives through one seed, and says how to repeat it if it fails. Returns how long that was, in milliseconds.
fn run(seed: u64) -> i64 {
    let lived = catch_unwind(AssertUnwindSafe(|| live(seed, false)));
    lived.unwrap_or_else(|why| {
        let without = without();
        let release = if cfg!(debug_assertions) { "" } else { " --release" };
        println!("repeat it: SIM_WITHOUT={without} SIM_SEED={seed} cargo test{release} --test simulator one_seed -- --nocapture");
        if env::var("SOAK_GOES_ON").is_err() {
            resume_unwind(why);
        }
        0
    })
}

/// Seeds of which each has found a difference, in the guard or in the model. What happens in them is another thing
/// when the simulator is changed; they cost nothing.
const FOUND: [u64; 9] = [
    1_019, 2_259, 4_397, 13_926, 14_899, 31_799, 96_248, 97_965, 118_152,
];

#[test]
fn seeds_that_once_found_a_difference_find_none() {
    for seed in FOUND {
        live(seed, false);
    }
}

/// Everything happens. ARCHITECTURE.md says which limits of the guard the model knows. Open: of the first 180,000 seeds
/// 162715 finds failures that a start with a clock that stood still does not bring back.
#[test]
fn guard_and_model_agree_whatever_happens() {
    let began = Instant::now();
    let first = number("SOAK_FIRST").unwrap_or(0);
    let count = number("SOAK_SEEDS");
    let seconds = number("SOAK_SECONDS");
    let count = count.unwrap_or(if seconds.is_some() {
        u64::MAX - first
    } else {
        1_000
    });
    let (mut seeds, mut lived) = (0, 0_i64);
    for seed in first..first + count {
        if seconds.is_some_and(|seconds| began.elapsed() > Duration::from_secs(seconds)) {
            break;
        }
        let one = Instant::now();
        lived += run(seed);
        if one.elapsed() > Duration::from_secs(5) {
            println!("seed {seed} took {:?}", one.elapsed());
        }
        seeds += 1;
        if seeds % 100_000 == 0 {
            println!(
                "{seeds} seeds, {} simulated hours, {:?}",
                lived / 3_600_000,
                began.elapsed()
            );
        }
    }
    println!(
        "{seeds} seeds, {} simulated hours, {:?}",
        lived / 3_600_000,
        began.elapsed()
    );
}

/// `SIM_SEED=NUMBER cargo test --test simulator one_seed -- --nocapture`
#[test]
fn one_seed() {
    live(number("SIM_SEED").unwrap_or(0), env::var("SIM_SEED").is_ok());
}
