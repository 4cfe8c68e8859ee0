//! Acknowledgements in simulated histories: whatever happens, each publication that asks for them ends with one receipt that adds up,
//! comes again a bounded number of times, and never after it was acknowledged.

mod office;
mod reader;
pub mod store;

use office::{Faults, Office};
use store::Sabotage;

/// Seeds that once failed; they are run each time.
const REGRESSIONS: [u64; 2] = [115, 161];
const SEEDS: u64 = 100;
const SABOTAGED_SEEDS: u64 = 20;

fn run(seed: u64, faults: Faults) -> (Vec<String>, Result<(), String>) {
    super::in_simulated_time(async move { Office::new(seed, faults).live().await })
}

fn all_seeds(faults: Faults) {
    for seed in super::seeds(SEEDS, &REGRESSIONS) {
        super::judge(seed, faults, run(seed, faults));
    }
}

#[test]
fn receipts_count_who_acknowledged_and_who_did_not_is_reminded() {
    all_seeds(Faults { rough: false, sabotage: None });
}

#[test]
fn each_publication_ends_with_one_receipt_whatever_dies() {
    all_seeds(Faults { rough: true, sabotage: None });
}

/// A check that finds nothing proves nothing, unless it finds what is there.
#[test]
fn a_store_that_breaks_a_promise_is_found_out() {
    for (sabotage, expected) in
        [(Sabotage::Unsettled, "has 0 receipts"), (Sabotage::Again, "has 2 receipts"), (Sabotage::Added, "acknowledged")]
    {
        let faults = Faults { rough: true, sabotage: Some(sabotage) };
        let found: Vec<String> = (0..SABOTAGED_SEEDS).filter_map(|seed| run(seed, faults).1.err()).collect();
        assert!(found.iter().any(|why| why.contains(expected)), "{sabotage:?} is not found: {found:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let faults = Faults { rough: true, sabotage: None };
    for seed in 0..20 {
        assert_eq!(run(seed, faults).0, run(seed, faults).0, "seed {seed}");
    }
}
