//! Deterministic simulation: several nodes' hubs over one store whose pub/sub drops, delays, doubles and reorders, whose calls
//! and answers get lost, whose history is lost, cut and replaced; nodes that are cut off and killed; publishers that try again;
//! clients that come and go, subscribe and unsubscribe, and read slowly. Time is paused, randomness is one seed: the same seed
//! gives the same history, letter for letter.
//!
//! `SIM_SEEDS=n` runs seeds 0 to n, `SIM_SEED=k` runs one and prints its history.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

mod acks;
mod broker;
mod check;
mod client;
mod clock;
mod collections;
mod course;
mod lines;
mod log;
mod node;
mod presence;
mod sabotage;
mod scale;
mod socket;
mod store;
mod wanted;
mod world;

use std::fmt::Debug;

use sabotage::Sabotage;
use world::{Faults, World};

/// Seeds that once failed; they are run each time.
const REGRESSIONS: [u64; 7] = [42, 49, 213, 257, 594, 787, 2133];
const SEEDS: u64 = 1_000;
/// Seeds in one of which each sabotage must be found.
const SABOTAGED_SEEDS: u64 = 20;

/// A history in time that passes when nobody has anything to do.
fn in_simulated_time<T>(history: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(history)
}

/// So many as are usual, unless others are asked for.
fn seeds(usual: u64, regressions: &[u64]) -> Vec<u64> {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        return vec![seed.parse().unwrap()];
    }
    let count = std::env::var("SIM_SEEDS").map_or(usual, |count| count.parse().unwrap());
    (0..count).chain(regressions.iter().copied().filter(|seed| *seed >= count)).collect()
}

/// Shows a history that was asked for, or that broke a promise.
fn judge(seed: u64, faults: impl Debug, (history, verdict): (Vec<String>, Result<(), String>)) {
    if std::env::var("SIM_SEED").is_ok() || verdict.is_err() {
        println!("{}", history.join("\n"));
    }
    if let Err(why) = verdict {
        panic!("seed {seed} with {faults:?}: {why}");
    }
}

fn run(seed: u64, faults: Faults) -> (Vec<String>, Result<(), String>) {
    in_simulated_time(World::new(seed, faults).live())
}

fn all_seeds(faults: Faults) {
    run_seeds(seeds(SEEDS, &REGRESSIONS), faults);
}

fn run_seeds(seeds: impl IntoIterator<Item = u64>, faults: Faults) {
    for seed in seeds {
        judge(seed, faults, run(seed, faults));
    }
}

#[test]
fn a_lossy_carrier_and_slow_readers_lose_nothing_and_cause_no_gap() {
    all_seeds(Faults { history: false, retention: 1_000_000, filters: false, latest: false, sabotage: None });
}

#[test]
fn short_retention_is_admitted_by_gaps() {
    all_seeds(Faults { history: false, retention: 20, filters: false, latest: false, sabotage: None });
}

#[test]
fn lost_and_replaced_histories_are_admitted_by_gaps() {
    all_seeds(Faults { history: true, retention: 1_000_000, filters: false, latest: false, sabotage: None });
}

#[test]
fn everything_at_once() {
    all_seeds(Faults { history: true, retention: 30, filters: false, latest: false, sabotage: None });
}

#[test]
fn filters_hold_back_what_does_not_pass_and_nothing_else() {
    run_seeds(
        seeds(SEEDS, &REGRESSIONS).into_iter().step_by(4),
        Faults { history: false, retention: 1_000_000, filters: true, latest: false, sabotage: None },
    );
}

#[test]
fn everything_at_once_with_filters() {
    run_seeds(
        seeds(SEEDS, &REGRESSIONS).into_iter().step_by(4),
        Faults { history: true, retention: 30, filters: true, latest: false, sabotage: None },
    );
}

#[test]
fn what_is_told_of_rooms_is_how_they_stand_and_all_that_follows_comes() {
    let seeds = || seeds(SEEDS, &[1_232]).into_iter().step_by(4);
    run_seeds(seeds(), Faults { history: false, retention: 1_000_000, filters: true, latest: true, sabotage: None });
    run_seeds(seeds(), Faults { history: true, retention: 30, filters: true, latest: true, sabotage: None });
}

/// A check that finds nothing proves nothing, unless it finds what is there.
#[test]
fn a_store_that_breaks_a_promise_is_found_out() {
    for (sabotage, expected) in [
        (Sabotage::Lost, "never got"),
        (Sabotage::Swapped, "out of order"),
        (Sabotage::Mixed, "where the log has another publication"),
        (Sabotage::Crossed, "of another org"),
    ] {
        let faults = Faults { history: false, retention: 1_000_000, filters: false, latest: false, sabotage: Some(sabotage) };
        let found: Vec<String> = (0..SABOTAGED_SEEDS).filter_map(|seed| run(seed, faults).1.err()).collect();
        assert!(found.iter().any(|why| why.contains(expected)), "{sabotage:?} is not found: {found:?}");
    }
}

/// What never happens in these histories is not proven by them.
#[test]
fn urgent_ones_overtake_and_low_ones_give_way() {
    let faults = Faults { history: false, retention: 1_000_000, filters: false, latest: false, sabotage: None };
    let histories: Vec<String> = (0..200).map(|seed| run(seed, faults).0.join("\n")).collect();
    for sign in ["overtook: true", "Conflated {", "conflated: 2"] {
        let count = histories.iter().filter(|history| history.contains(sign)).count();
        assert!(count > 0, "{sign} in no history");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let faults = Faults { history: true, retention: 30, filters: false, latest: false, sabotage: None };
    for seed in 0..20 {
        assert_eq!(run(seed, faults).0, run(seed, faults).0, "seed {seed}");
    }
}
