//! Integration tests: one binary, real processes, loopback only.

mod broker_contract;
mod redis_broker;
mod support;
