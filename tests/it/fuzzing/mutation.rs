//! Inputs near the seeds: the same ones in every run.

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// Most changes that are made to one seed.
const CHANGES_MAX: usize = 4;
/// Bytes on which formats turn: separators, brackets, quotes, extremes.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xff :*\n=,.-\"\\{}[]0e";

/// An endless row of mutations.
pub struct Mutation<'a> {
    seeds: &'a [Vec<u8>],
    rng: SmallRng,
}

impl<'a> Mutation<'a> {
    pub fn of(seeds: &'a [Vec<u8>]) -> Self {
        Self { seeds, rng: SmallRng::seed_from_u64(1) }
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let place = self.rng.random_range(0..=input.len());
        let end = self.rng.random_range(place..=input.len().min(place + 16));
        match self.rng.random_range(0..6) {
            0 => input.truncate(place),
            1 => drop(input.drain(place..end)),
            2 => input.insert(place, *TELLING.choose(&mut self.rng).unwrap()),
            3 => input.splice(place..place, input[place..end].to_vec()).for_each(drop),
            4 => {
                let other = self.seeds.choose(&mut self.rng).unwrap();
                let from = self.rng.random_range(0..=other.len());
                input.splice(place.., other[from..].iter().copied()).for_each(drop);
            }
            _ => {
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= 1 << self.rng.random_range(0..8);
                }
            }
        }
    }
}

impl Iterator for Mutation<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut input = self.seeds.choose(&mut self.rng)?.clone();
        for _ in 0..self.rng.random_range(1..=CHANGES_MAX) {
            self.change(&mut input);
        }
        Some(input)
    }
}
