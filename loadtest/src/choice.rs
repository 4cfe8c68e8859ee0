//! Which strand the next publication belongs to.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The seed of every run, so that two runs publish alike.
const SEED: u64 = 0x726f_6f6d_6361_7374;

/// A way to choose.
pub enum Choice {
    One(u32),
    /// Strand 0 is busiest, and so on down.
    Zipf(Box<Zipf>),
}

impl Choice {
    pub fn next(&mut self) -> u32 {
        match self {
            Self::One(strand) => *strand,
            Self::Zipf(zipf) => zipf.next(),
        }
    }
}

/// The distribution in which the k-th busiest of `count` has a share that falls with 1 / k^exponent.
pub struct Zipf {
    /// Shares added up; the last is the sum of all.
    shares: Vec<f64>,
    random: StdRng,
}

impl Zipf {
    /// An exponent of 0 makes all alike, 1 is what many real systems come close to.
    pub fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let share = |rank: usize| {
            sum += (rank as f64).powf(-exponent);
            sum
        };
        Self { shares: (1..=count.max(1)).map(share).collect(), random: StdRng::seed_from_u64(SEED) }
    }

    fn next(&mut self) -> u32 {
        let sum = self.shares.last().copied().unwrap_or_default();
        let point = self.random.random::<f64>() * sum;
        let index = self.shares.partition_point(|share| *share < point).min(self.shares.len() - 1);
        u32::try_from(index).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(exponent: f64) -> [u32; 4] {
        let mut zipf = Zipf::new(4, exponent);
        let mut counts = [0; 4];
        (0..10_000).for_each(|_| counts[zipf.next() as usize] += 1);
        counts
    }

    #[test]
    fn the_busiest_have_their_shares() {
        // 1 + 1/2 + 1/3 + 1/4 = 25/12.
        for (count, expected) in counts(1.0).into_iter().zip([4_800, 2_400, 1_600, 1_200]) {
            assert!(count.abs_diff(expected) < 200, "{count} {expected}");
        }
        assert!(counts(0.0).iter().all(|count| count.abs_diff(2_500) < 200));
    }
}
