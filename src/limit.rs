//! Limits: how fast a session may send commands.
//!
//! The session asks the bucket before each command. Connections are counted by the listener, and per org over the whole cluster
//! by the broker's leases.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may end at the first surprise"))]

pub mod bucket;

pub use bucket::{Bucket, Rate};
