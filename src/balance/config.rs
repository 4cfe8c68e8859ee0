//! Bounds and times of moving sessions between nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limit::Rate;

/// Settings of the section `balance`. Every node of a cluster should have the same.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether a node that has more sessions than the others asks some of them to move, as a drain does. It takes a load balancer that may send
    /// a client to any node: switch it off where the same clients always come to the same node, or where nodes are of different sizes.
    pub enabled: bool,
    /// Nodes count as level while the fullest has at most so much more than the emptiest, in percent of the fullest.
    pub tolerance_percent: u8,
    /// A node with fewer sessions than this asks none to move because of the others.
    pub sessions_min: usize,
    /// Sessions that a node asks to move per second at most, for whatever reason.
    pub sessions_per_s_max: u32,
    /// Share of its sessions, in percent, that a node asks per second at most because of the others; one session may always be asked.
    pub percent_per_s_max: u8,
    /// How often a node compares itself with the others, in milliseconds. In the first two thirds of that time it asks sessions, in the last it
    /// sees where they went.
    pub round_ms: u64,
    /// How long nobody is asked because of the others after a node came, left, began to drain or was not heard of, in milliseconds. A session
    /// that is younger than this is not asked either.
    pub settle_ms: u64,
    /// Longest pause of a node whose sessions come back to it, in milliseconds: it doubles with every vain attempt.
    pub pause_ms_max: u64,
    /// A session that is open for this long is asked to move, in milliseconds; 0: it may stay.
    pub connection_age_max_ms: u64,
    /// By how much sooner than that it may be, in percent, so that those who came together do not go together. Each session has a moment of its
    /// own.
    pub connection_age_jitter_percent: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            tolerance_percent: 10,
            sessions_min: 100,
            sessions_per_s_max: 50,
            percent_per_s_max: 1,
            round_ms: 15_000,
            settle_ms: 30_000,
            pause_ms_max: 3_600_000,
            connection_age_max_ms: 0,
            connection_age_jitter_percent: 10,
        }
    }
}

impl Config {
    /// The part of a round in which sessions are asked.
    pub fn asking_ms(&self) -> u64 {
        self.round_ms / 3 * 2
    }

    /// Longest wait before it comes back that a session is told: what is asked is spread already, so a short one will do, and everybody is back
    /// before the round ends.
    pub fn retry_after_ms_max(&self) -> u64 {
        (self.round_ms / 15).min(1_000)
    }

    /// The bound on all that is asked, with a fifth of a second's worth at once.
    pub fn rate(&self) -> Rate {
        Rate { per_s: self.sessions_per_s_max, burst: self.sessions_per_s_max.div_ceil(5) }
    }

    /// What is wrong with these values, if anything is: `(key, sentence)`.
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        if self.sessions_per_s_max == 0 {
            faults.push((
                "sessions_per_s_max",
                "must be at least 1; balance.enabled = false and balance.connection_age_max_ms = 0 ask nobody",
            ));
        }
        if !(1..=100).contains(&self.percent_per_s_max) {
            faults.push(("percent_per_s_max", "must be from 1 to 100"));
        }
        if !(1..=100).contains(&self.tolerance_percent) {
            faults.push(("tolerance_percent", "must be from 1 to 100"));
        }
        if self.connection_age_jitter_percent > 100 {
            faults.push(("connection_age_jitter_percent", "must be at most 100"));
        }
        if self.round_ms < 1_000 {
            faults.push(("round_ms", "must be at least 1000: nodes tell each other their counts several times in it"));
        }
        if (1..1_000).contains(&self.connection_age_max_ms) {
            faults.push(("connection_age_max_ms", "must be 0 or at least 1000"));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_sense_are_named() {
        let default = Config::default();
        assert_eq!(default.faults(), []);
        assert!(default.retry_after_ms_max() < default.round_ms - default.asking_ms(), "everybody is back before the round ends");
        let wrong = Config {
            sessions_per_s_max: 0,
            percent_per_s_max: 0,
            tolerance_percent: 101,
            round_ms: 999,
            connection_age_max_ms: 999,
            connection_age_jitter_percent: 101,
            ..default
        };
        let keys: Vec<_> = wrong.faults().into_iter().map(|(key, _)| key).collect();
        let all = ["sessions_per_s_max", "percent_per_s_max", "tolerance_percent", "connection_age_jitter_percent", "round_ms"];
        assert_eq!(keys, [&all[..], &["connection_age_max_ms"]].concat());
    }
}
