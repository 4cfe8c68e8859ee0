//! roomcast: a real-time broker for multi-tenant applications.
//!
//! Modules stand in the order in which data walks through them; each uses only those above it (docs/architecture.md).

pub mod protocol;

pub mod telemetry;

pub mod broker;

pub mod config;

pub mod cli;
