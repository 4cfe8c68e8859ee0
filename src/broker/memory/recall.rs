//! What was answered under an idempotency key, for as long as the configuration says and as many keys as it allows.

use std::collections::{HashMap, VecDeque};

use super::Config;

/// Answers by their keys, the oldest forgotten first.
pub(super) struct Recall<T> {
    answers: HashMap<Box<str>, T>,
    by_age: VecDeque<(u64, Box<str>)>,
}

impl<T> Default for Recall<T> {
    fn default() -> Self {
        Self { answers: HashMap::new(), by_age: VecDeque::new() }
    }
}

impl<T> Recall<T> {
    /// Forgets what is too old, or too much for one more, then looks.
    pub(super) fn recall(&mut self, key: &str, config: &Config, now_us: u64) -> Option<&T> {
        let oldest_us = now_us.saturating_sub(config.idempotency_window_s * 1_000_000);
        while let Some((since_us, _)) = self.by_age.front() {
            if *since_us >= oldest_us && self.answers.len() < config.idempotency_keys_max {
                break;
            }
            if let Some((_, key)) = self.by_age.pop_front() {
                self.answers.remove(&key);
            }
        }
        self.answers.get(key)
    }

    /// Keeps the answer to a key that was not recalled just now.
    pub(super) fn keep(&mut self, key: &str, answer: T, now_us: u64) {
        self.answers.insert(key.into(), answer);
        self.by_age.push_back((now_us, key.into()));
    }
}
