//! The clock of a run: Unix microseconds that never step back, so that a publication's time can be compared with the time at which a
//! gateway on the same machine logged it, and with that of other agents of the run.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Unix time at its beginning, and from then on what has elapsed.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    begun: Instant,
    begun_us: u64,
}

impl Clock {
    /// Begins, `offset_us` before or behind this machine's own time.
    pub fn start(offset_us: i64) -> Self {
        Self { begun: Instant::now(), begun_us: unix_us().saturating_add_signed(offset_us) }
    }

    pub fn now_us(&self) -> u64 {
        self.begun_us + micros(self.begun.elapsed())
    }
}

/// Unix time in microseconds, by this machine's clock.
pub fn unix_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Whole microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
