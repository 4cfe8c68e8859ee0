//! Bounds and times of presence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the section `presence`. Every node of a cluster must have the same `lease_ms` and `members_max`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Within this time members of a killed node are gone, in milliseconds.
    pub lease_ms: u64,
    /// How long a session that ends without leaving stays a member, in milliseconds, so that nobody sees a quick reconnect. Keep it
    /// above `drain.retry_after_ms_max`.
    pub linger_ms: u64,
    /// Changes of a room are told to watchers in batches, in milliseconds apart; with many watchers on a node further apart, by one
    /// millisecond for every twenty.
    pub batch_ms: u64,
    /// Sessions that may be in one room over the whole cluster; further ones get `ROOM_FULL`.
    pub members_max: usize,
    /// Rooms that one session may be in, and rooms that it may watch.
    pub rooms_per_session_max: usize,
    /// Rooms of one org that sessions of one node may watch.
    pub watched_rooms_max: usize,
    /// Members in one message to a watcher, in bytes; more are told by several.
    pub message_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ms: 10_000,
            linger_ms: 5_000,
            batch_ms: 100,
            members_max: 10_000,
            rooms_per_session_max: 32,
            watched_rooms_max: 1_000,
            message_bytes_max: 64 << 10,
        }
    }
}

impl Config {
    /// What is wrong with these values, if anything is: `(key, sentence)`.
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        if self.lease_ms < 1_000 {
            faults.push(("lease_ms", "must be at least 1000: leases are renewed several times in it, over the network"));
        }
        if self.linger_ms >= self.lease_ms {
            faults.push(("linger_ms", "must be less than presence.lease_ms"));
        }
        if self.message_bytes_max < 4 << 10 {
            faults.push(("message_bytes_max", "must be at least 4096: a member with its state has to fit"));
        }
        for (key, value) in [
            ("members_max", self.members_max),
            ("rooms_per_session_max", self.rooms_per_session_max),
            ("watched_rooms_max", self.watched_rooms_max),
        ] {
            if value == 0 {
                faults.push((key, "must be more than 0"));
            }
        }
        faults
    }
}
