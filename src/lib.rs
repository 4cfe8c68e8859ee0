//! roomcast: a real-time broker for multi-tenant applications.
//!
//! Modules stand in the order in which data walks through them; each uses only those above it (docs/architecture.md).

pub mod clock;
pub mod protocol;

pub mod telemetry;

pub mod limit;

pub mod auth;
pub mod dialect;

pub mod broker;

pub mod hub;

pub mod session;
pub mod transport;
pub mod web;

pub mod api;
pub mod balance;

pub mod config;

pub mod node;

pub mod cli;
