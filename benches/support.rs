//! What all benchmarks share: how one is described, counted, timed and compared, and the material that they work on.

pub mod callgrind;
pub mod case;
pub mod clock;
pub mod material;
pub mod node;
pub mod record;
