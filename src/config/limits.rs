//! What clients may ask of a node and of the cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the section `limits`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Connections that one node holds at a time; further ones are refused with `CONNECTION_LIMIT`.
    pub connections_per_node_max: usize,
    /// Share of `connections_per_node_max`, in percent, for connections that have not shown credentials yet; further ones are refused unless
    /// their handshake brings a token. 100: no bound of their own.
    pub unauthenticated_percent_max: u8,
    /// Connections that one org may have over the whole cluster; 0 means no limit.
    pub connections_per_org_max: u64,
    /// Sessions that may be subscribed to one room on one node; further ones get `ROOM_FULL`.
    pub members_per_room_max: usize,
    /// Subscriptions that one session may have besides those to its own org and user.
    pub subscriptions_per_session_max: usize,
    /// Commands that one session may send per second in the long run.
    pub commands_per_s: u32,
    /// Commands that one session may send at once after a pause.
    pub commands_burst: u32,
    /// How long a connection may stay without credentials.
    pub auth_timeout_ms: u64,
    /// How often the server pings a quiet connection.
    pub ping_interval_ms: u64,
    /// A connection from which nothing came for this long is closed.
    pub stale_after_ms: u64,
}

impl Config {
    /// Connections without credentials that one node holds at a time.
    pub fn unauthenticated_max(&self) -> usize {
        let share = self.connections_per_node_max.saturating_mul(usize::from(self.unauthenticated_percent_max)) / 100;
        share.max(1)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_per_node_max: 1_000,
            unauthenticated_percent_max: 50,
            connections_per_org_max: 100,
            members_per_room_max: 1_000,
            subscriptions_per_session_max: 128,
            commands_per_s: 100,
            commands_burst: 200,
            auth_timeout_ms: 10_000,
            ping_interval_ms: 25_000,
            stale_after_ms: 60_000,
        }
    }
}
