//! The one clock of a history: simulated time, for the store and for the nodes that compare with it.

use std::cell::Cell;

use tokio::time::Instant;

/// Where every history begins.
const BEGINNING_US: u64 = 1_000_000;

thread_local! {
    /// A history runs on one thread.
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A history begins now.
pub fn begin() {
    BEGUN.set(Some(Instant::now()));
}

/// Microseconds; it stands still where no history has begun.
pub fn now_us() -> u64 {
    let since = BEGUN.get().map_or(0, |begun| begun.elapsed().as_micros());
    BEGINNING_US + u64::try_from(since).unwrap()
}

pub fn now_ms() -> u64 {
    now_us() / 1_000
}
