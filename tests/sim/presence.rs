//! Presence in simulated histories: whatever happens, watchers come to see who is there, step by step without a contradiction, nobody
//! stays who has gone, and nobody is seen leaving who has not left.

mod bounds;
mod person;
mod roster;
pub mod store;
mod town;
mod truth;

use store::Sabotage;
use town::{Faults, Town};

/// Seeds that once failed; they are run each time.
const REGRESSIONS: [u64; 0] = [];
const SEEDS: u64 = 100;
const SABOTAGED_SEEDS: u64 = 20;

fn run(seed: u64, faults: Faults) -> (Vec<String>, Result<(), String>) {
    super::in_simulated_time(async move { Town::new(seed, faults).live().await })
}

fn all_seeds(faults: Faults) {
    for seed in super::seeds(SEEDS, &REGRESSIONS) {
        super::judge(seed, faults, run(seed, faults));
    }
}

#[test]
fn watchers_come_to_see_who_is_there() {
    all_seeds(Faults { history: false, sabotage: None });
}

#[test]
fn lost_and_older_data_make_nobody_leave_and_nobody_stay() {
    all_seeds(Faults { history: true, sabotage: None });
}

/// A check that finds nothing proves nothing, unless it finds what is there.
#[test]
fn a_store_that_breaks_a_promise_is_found_out() {
    for (sabotage, expected) in [
        (Sabotage::Unswept, "where sessions want"),
        (Sabotage::Mistaken, "where the truth is"),
        (Sabotage::Hasty, "without having left it"),
    ] {
        let faults = Faults { history: false, sabotage: Some(sabotage) };
        let found: Vec<String> = (0..SABOTAGED_SEEDS).filter_map(|seed| run(seed, faults).1.err()).collect();
        assert!(found.iter().any(|why| why.contains(expected)), "{sabotage:?} is not found: {found:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let faults = Faults { history: true, sabotage: None };
    for seed in 0..20 {
        assert_eq!(run(seed, faults).0, run(seed, faults).0, "seed {seed}");
    }
}
