//! The wall clock, for whoever does IO. Pure modules take time as a parameter and never call this.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix microseconds; 0 while the clock stands before 1970.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Unix milliseconds.
pub fn unix_ms() -> u64 {
    unix_us() / 1_000
}

/// Unix seconds.
pub fn unix_s() -> u64 {
    unix_us() / 1_000_000
}
