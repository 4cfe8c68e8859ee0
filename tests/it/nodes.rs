//! The promises, shown by real gateway processes on a real Redis: nothing here looks into a node.

mod acks;
mod authorisation;
mod collections;
mod doors;
mod drain;
mod explain;
mod failover;
mod filters;
mod history;
mod killed;
mod latest;
mod metrics;
mod once;
mod outage;
mod polls;
mod presence;
mod priorities;
mod quiet;
mod quotas;
mod revocation;
mod selftest;
mod slow;
mod streams;
mod traces;
mod transcript;
mod versions;
