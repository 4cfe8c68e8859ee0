//! How far another machine's clock is off, by asking it several times and believing the quickest answer (Cristian's algorithm). Pure but
//! for the exchange itself.

use crate::clock::unix_us;
use crate::wire::message::{ToAgent, ToCoordinator};
use crate::wire::{HELLO_TIMEOUT, Wire, WireError};

/// Questions; on a quiet network the third is as good as the tenth.
const QUESTIONS: usize = 12;

/// What to add to the agent's time to have one's own, and how wrong that may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    pub us: i64,
    pub error_us: u64,
}

impl Offset {
    /// Of a question at `asked_us` that was answered with `told_us` by the other clock and heard at `heard_us`.
    fn of(asked_us: u64, told_us: u64, heard_us: u64) -> Self {
        let trip_us = heard_us.saturating_sub(asked_us);
        // Both are Unix times: their difference is far from the ends of what an i64 holds, unless somebody lies.
        let us = i64::try_from(i128::from(asked_us + trip_us / 2) - i128::from(told_us)).unwrap_or(0);
        Self { us, error_us: trip_us.div_ceil(2) }
    }

    /// # Errors
    /// [`WireError`] when the agent does not answer.
    pub fn measured(wire: &mut Wire) -> Result<Self, WireError> {
        let mut best = Self { us: 0, error_us: u64::MAX };
        for _ in 0..QUESTIONS {
            let asked_us = unix_us();
            wire.send(&ToAgent::Clock)?;
            loop {
                // An agent may say at any time that it is there.
                let ToCoordinator::Clock { unix_us: told_us } = wire.expect(HELLO_TIMEOUT)? else { continue };
                let offset = Self::of(asked_us, told_us, unix_us());
                if offset.error_us < best.error_us {
                    best = offset;
                }
                break;
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_was_given_halfway_give_or_take_half_the_trip() {
        assert_eq!(Offset::of(1_000, 5_050, 1_100), Offset { us: -4_000, error_us: 50 });
        assert_eq!(Offset::of(9_000, 50, 9_001), Offset { us: 8_950, error_us: 1 });
        assert_eq!(Offset::of(9_000, 9_000, 8_000), Offset { us: 0, error_us: 0 }, "a clock that was set back meanwhile");
    }
}
