//! What the links to all agents know together, under one lock that is held for moments only.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::unix_us;
use crate::progress::Status;
use crate::wire::TURN;

/// From the moment at which the last agent was ready until publishing begins, so that all have heard of it.
const START_AFTER: Duration = Duration::from_millis(300);

/// One run.
pub(super) struct Round {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    statuses: Vec<Status>,
    ready: Vec<bool>,
    start_at_us: Option<u64>,
    published: Option<(usize, u64)>,
    under_way: usize,
    failure: Option<String>,
}

impl Round {
    pub fn new(agents: usize) -> Self {
        let state = State {
            statuses: vec![Status::default(); agents],
            ready: vec![false; agents],
            start_at_us: None,
            published: None,
            under_way: agents,
            failure: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub fn tell(&self, agent: usize, status: Status) {
        self.state.lock().statuses[agent] = status;
    }

    /// All agents as one.
    pub fn status(&self) -> Status {
        Status::together(&self.state.lock().statuses)
    }

    /// When the last one is ready, the start is set.
    pub fn ready(&self, agent: usize) {
        let mut state = self.state.lock();
        state.ready[agent] = true;
        if state.ready.iter().all(|ready| *ready) {
            state.start_at_us.get_or_insert_with(|| unix_us() + START_AFTER.as_micros() as u64);
        }
    }

    /// In Unix microseconds of this machine.
    pub fn start_at_us(&self) -> Option<u64> {
        self.state.lock().start_at_us
    }

    pub fn published(&self, agent: usize, count: u64) {
        self.state.lock().published = Some((agent, count));
    }

    /// What `agent` does not know of itself.
    pub fn published_elsewhere(&self, agent: usize) -> Option<u64> {
        self.state.lock().published.filter(|(publisher, _)| *publisher != agent).map(|(_, count)| count)
    }

    /// The first reason stands; what follows from it does not matter.
    pub fn fail(&self, why: &str) {
        self.state.lock().failure.get_or_insert_with(|| why.to_owned());
    }

    pub fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    /// One agent's link has ended, well or badly.
    pub fn end(&self) {
        self.state.lock().under_way -= 1;
        self.changed.notify_all();
    }

    /// Waits for a moment; whether all links have ended.
    pub fn wait_is_over(&self) -> bool {
        let mut state = self.state.lock();
        if state.under_way > 0 {
            self.changed.wait_for(&mut state, TURN);
        }
        state.under_way == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_set_when_the_last_is_ready() {
        let round = Round::new(2);
        round.ready(0);
        round.ready(0);
        assert_eq!(round.start_at_us(), None);
        round.ready(1);
        let at_us = round.start_at_us().unwrap();
        round.ready(1);
        assert_eq!(round.start_at_us(), Some(at_us));
    }

    #[test]
    fn publishers_know_their_own_count() {
        let round = Round::new(2);
        round.published(0, 7);
        assert_eq!((round.published_elsewhere(0), round.published_elsewhere(1)), (None, Some(7)));
    }

    #[test]
    fn the_first_failure_stands() {
        let round = Round::new(1);
        round.fail("first");
        round.fail("second");
        assert_eq!(round.failure().as_deref(), Some("first"));
        round.end();
        assert!(round.wait_is_over());
    }
}
