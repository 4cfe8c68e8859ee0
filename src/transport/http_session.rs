//! Sessions over plain HTTP, for where WebSockets do not pass: what server-sent events and long polling share.
//!
//! [`door`] answers the requests, [`life`] runs a session from its first request to its end, [`sessions`] knows those of this node by
//! their names. How messages travel to the client is each transport's own: [`super::sse`] and [`super::poll`]. Requests for a session
//! that another node holds are carried there as an [`errand`].

pub mod door;
pub mod errand;
pub mod life;
pub mod name;
pub mod origin;
pub mod request;
pub mod sessions;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use door::Door;
pub use name::Name;
pub use sessions::Sessions;

/// Server-sent events and long polling. Credentials and origins are those of `websocket`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Path of server-sent events; off when empty.
    pub sse_path: String,
    /// Path of long polling; off when empty.
    pub poll_path: String,
    /// Sessions over HTTP that one node holds at a time, within `limits.connections_per_node_max`; further ones are refused with 503.
    pub sessions_max: usize,
    /// Longest body of a request with commands, in bytes; a longer one is answered 413. From clients that are not known yet it is at most
    /// `websocket.unauthenticated_bytes_max`.
    pub post_bytes_max: usize,
    /// Most commands in one request; more are answered 400.
    pub post_commands_max: usize,
    /// How long a client may take to send a body.
    pub body_timeout_ms: u64,
    /// How long commands wait for a session that is busy; then they are answered 503, to be sent again.
    pub post_wait_ms: u64,
    /// How long browsers wait before they come back when a stream breaks (`retry:`): at least this, at most twice as long.
    pub retry_ms: u64,
    /// How long a poll waits for something to say; half of `limits.stale_after_ms` at most, or whoever waits would count as gone.
    pub poll_wait_ms: u64,
    /// After this long without a poll a session of long polling ends.
    pub poll_idle_ms: u64,
    /// One answer to a poll is closed when its messages come to this many bytes. It is kept until the next poll says that it came.
    pub poll_bytes_max: usize,
    /// Requests for sessions of other nodes that one node carries there at a time; further ones are answered 503.
    pub carried_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sse_path: "/sse".to_owned(),
            poll_path: "/poll".to_owned(),
            sessions_max: 1_000,
            post_bytes_max: 1 << 20,
            post_commands_max: 256,
            body_timeout_ms: 10_000,
            post_wait_ms: 5_000,
            retry_ms: 2_000,
            poll_wait_ms: 25_000,
            poll_idle_ms: 15_000,
            poll_bytes_max: 256 << 10,
            carried_max: 256,
        }
    }
}
