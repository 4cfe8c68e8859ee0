//! The promises under every fault that is worth a name, by real processes and under the ledger: three nodes, real Redis, clients of
//! many orgs, publications through every door.
//!
//! Each run is short here. `make faults` takes the long ones, one after another on an optimised build, and sets the table of
//! docs/reliability.md anew.

mod away;
mod backend;
mod balanced;
mod clocks;
mod cluster;
mod cut_off;
mod finding;
mod frozen;
mod half_open;
mod ingest;
mod killed;
mod promoted;
mod redis_lost;
mod redis_stuck;
mod rolling;
pub mod saboteur;
mod scale;
mod slow_readers;
mod storm;
mod town;
mod traffic;
