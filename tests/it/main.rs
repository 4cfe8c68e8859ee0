//! Integration tests: one binary, real processes, loopback only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod broker_contract;
mod redis_broker;
mod support;
