//! ● How many different things several nodes have together, without sending all their names.
//!
//! The smallest hashes of a set tell its size: exactly while they are all there, else from how dense they lie ("k minimum
//! values"; Bar-Yossef et al., Counting distinct elements in a data stream, 2002). Sketches of several nodes unite without loss.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Hashes kept. Up to this many things the count is exact, beyond it is off by 3 % typically.
const HASHES_MAX: usize = 1_024;

/// The smallest hashes of a set of names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::api) struct Sketch(BTreeSet<u64>);

impl Sketch {
    pub fn insert(&mut self, name: &str) {
        // Every node must hash alike, whatever its version.
        let digest: [u8; 32] = Sha256::digest(name).into();
        let hash = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        self.insert_hash(hash);
    }

    pub fn unite(&mut self, other: &Self) {
        other.0.iter().for_each(|hash| self.insert_hash(*hash));
    }

    /// The number of different names.
    pub fn count(&self) -> u64 {
        match self.0.last() {
            Some(largest) if self.0.len() == HASHES_MAX => {
                // The hashes but the last, spread over the part of all values that lies below it.
                let estimate = (HASHES_MAX as u128 - 1) * u128::from(u64::MAX) / u128::from((*largest).max(1));
                u64::try_from(estimate).unwrap_or(u64::MAX)
            }
            _ => self.0.len() as u64,
        }
    }

    fn insert_hash(&mut self, hash: u64) {
        if self.0.len() == HASHES_MAX && self.0.last().is_some_and(|largest| hash >= *largest) {
            return;
        }
        if self.0.insert(hash) && self.0.len() > HASHES_MAX {
            self.0.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(names: std::ops::Range<usize>) -> Sketch {
        let mut sketch = Sketch::default();
        names.for_each(|name| sketch.insert(&name.to_string()));
        sketch
    }

    #[test]
    fn small_sets_are_counted_exactly() {
        let mut one = sketch(0..700);
        one.unite(&sketch(500..1_000));
        assert_eq!(one.count(), 1_000);
        assert_eq!(sketch(0..0).count(), 0);
    }

    #[test]
    fn large_sets_are_estimated() {
        let mut one = sketch(0..30_000);
        one.unite(&sketch(20_000..50_000));
        assert_eq!(one, sketch(0..50_000));
        assert!((45_000..55_000).contains(&one.count()), "{}", one.count());
    }
}
