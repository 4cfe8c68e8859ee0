//! Limits: how fast a session may send commands, what an org may use, and how orgs take turns at what they share.
//!
//! The session asks the bucket before each command. Connections are counted by the listener, and per org over the whole cluster
//! by the broker's leases. The broker holds publishers to the quota of their org.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may end at the first surprise"))]

pub mod allowance;
pub mod bucket;
pub mod quota;
pub mod turns;

pub use allowance::{Allowance, Exceeded};
pub use bucket::{Bucket, Rate};
pub use quota::{Quota, Quotas};
pub use turns::Turns;
