//! Collections in simulated histories: every mirror comes to show what the store holds, whatever it missed, and every writer was told
//! what became of its write, which was decided by what stood there.

mod ledger;
mod mirror;
pub mod store;
mod table;
mod workshop;

use store::Sabotage;
use workshop::{Faults, Workshop};

/// Seeds that once failed; they are run each time.
const REGRESSIONS: [u64; 0] = [];
const SEEDS: u64 = 100;
const SABOTAGED_SEEDS: u64 = 20;

fn run(seed: u64, faults: Faults) -> (Vec<String>, Result<(), String>) {
    super::in_simulated_time(async move { Workshop::new(seed, faults).live().await })
}

fn all_seeds(faults: Faults) {
    for seed in super::seeds(SEEDS, &REGRESSIONS) {
        super::judge(seed, faults, run(seed, faults));
    }
}

#[test]
fn mirrors_come_to_show_what_the_store_holds() {
    all_seeds(Faults { history: false, retention: usize::MAX, sabotage: None });
}

#[test]
fn short_retention_has_mirrors_read_anew() {
    all_seeds(Faults { history: false, retention: 12, sabotage: None });
}

#[test]
fn lost_and_replaced_histories_leave_no_mirror_behind() {
    all_seeds(Faults { history: true, retention: 30, sabotage: None });
}

/// A check that finds nothing proves nothing, unless it finds what is there.
#[test]
fn a_store_that_breaks_a_promise_is_found_out() {
    for (sabotage, expected) in [
        (Sabotage::Missing, "where the truth is"),
        (Sabotage::Old, "where the truth is"),
        (Sabotage::Twice, "was carried out 2 times"),
        (Sabotage::Blind, "was not decided by what stood there"),
    ] {
        let faults = Faults { history: false, retention: 12, sabotage: Some(sabotage) };
        let found: Vec<String> = (0..SABOTAGED_SEEDS).filter_map(|seed| run(seed, faults).1.err()).collect();
        assert!(found.iter().any(|why| why.contains(expected)), "{sabotage:?} is not found: {found:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let faults = Faults { history: true, retention: 30, sabotage: None };
    for seed in 0..20 {
        assert_eq!(run(seed, faults).0, run(seed, faults).0, "seed {seed}");
    }
}
