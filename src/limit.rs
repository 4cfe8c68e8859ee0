//! Limits: how fast a session may send commands, and how many connections a node takes.
//!
//! The session asks the bucket before each command, the transport takes permits before each connection. Counts over the whole
//! cluster are the broker's leases, not kept here.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may end at the first surprise"))]

pub mod bucket;
pub mod permits;

pub use bucket::{Bucket, Rate};
pub use permits::{ConnectionPermit, OrgPermit, Permits};
