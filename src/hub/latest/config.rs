//! Bounds and times of what is kept of rooms for who asks for their last publications.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Publications of one org that a node keeps, the last of each event in each room; the oldest are left out, and replies say so.
    pub publications_max: usize,
    /// What they come to, in bytes.
    pub bytes_max: usize,
    /// The same over all orgs: beyond it those that nobody has asked for the longest are dropped, and read anew when somebody does.
    pub node_bytes_max: usize,
    /// Publications in one reply.
    pub reply_publications_max: usize,
    /// Their bytes; the one that exceeds it is the last.
    pub reply_bytes_max: usize,
    /// How often the log of one org is looked at for who asks, in milliseconds; whoever asks meanwhile waits for the next time.
    pub pace_ms: u64,
    /// How long what was read is kept after somebody last asked for it, in milliseconds.
    pub idle_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            publications_max: 10_000,
            bytes_max: 8 << 20,
            node_bytes_max: 64 << 20,
            reply_publications_max: 1_000,
            reply_bytes_max: 256 << 10,
            pace_ms: 50,
            idle_ms: 60_000,
        }
    }
}

impl Config {
    /// Values that must be more than 0, with their keys in the hub's section.
    pub fn positive(&self) -> [(&'static str, usize); 4] {
        [
            ("latest.publications_max", self.publications_max),
            ("latest.bytes_max", self.bytes_max),
            ("latest.reply_publications_max", self.reply_publications_max),
            ("latest.reply_bytes_max", self.reply_bytes_max),
        ]
    }
}
