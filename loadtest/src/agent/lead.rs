//! What passes between the agent's connection and the scenario that it runs: a few numbers under a lock that neither holds for long, so that
//! the thread that measures never waits for the network.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::progress::{Status, Stopped};

/// One run's strings.
pub(crate) struct Lead {
    clock_offset_us: i64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    status: Option<Status>,
    is_ready: bool,
    start_at: Option<Instant>,
    published: Option<u64>,
    published_elsewhere: Option<u64>,
    stopped: Option<Stopped>,
}

/// What the scenario has said since it was last asked.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct News {
    pub status: Option<Status>,
    pub ready: bool,
    pub published: Option<u64>,
}

impl Lead {
    pub fn new(clock_offset_us: i64) -> Self {
        Self { clock_offset_us, state: Mutex::default() }
    }

    pub fn clock_offset_us(&self) -> i64 {
        self.clock_offset_us
    }

    pub fn tell(&self, status: Status) {
        self.state.lock().status = Some(status);
    }

    pub fn check(&self) -> Result<(), Stopped> {
        self.state.lock().stopped.clone().map_or(Ok(()), Err)
    }

    pub fn ready(&self) -> Result<bool, Stopped> {
        let mut state = self.state.lock();
        state.is_ready = true;
        match &state.stopped {
            Some(stopped) => Err(stopped.clone()),
            None => Ok(state.start_at.is_some_and(|at| at <= Instant::now())),
        }
    }

    pub fn published(&self, count: u64) {
        self.state.lock().published = Some(count);
    }

    pub fn published_elsewhere(&self) -> Option<u64> {
        self.state.lock().published_elsewhere
    }

    /// Publishing begins `after` now.
    pub fn start(&self, after: Duration) {
        self.state.lock().start_at = Some(Instant::now() + after);
    }

    pub fn others_published(&self, count: u64) {
        self.state.lock().published_elsewhere = Some(count);
    }

    /// The scenario learns it in its next turn.
    pub fn stop(&self, why: &str) {
        self.state.lock().stopped.get_or_insert_with(|| Stopped(why.to_owned()));
    }

    /// Each thing once; readiness as long as it lasts.
    pub fn news(&self) -> News {
        let mut state = self.state.lock();
        News { status: state.status.take(), ready: state.is_ready, published: state.published.take() }
    }
}
