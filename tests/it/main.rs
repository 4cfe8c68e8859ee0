//! Everything that runs real sockets, processes or stores, and the documents made from the code: one binary, linked once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

mod api_cluster;
mod binary;
mod broker_contract;
mod cli;
mod dialects;
mod docs;
mod faults;
mod filter_fixtures;
mod fixtures;
mod fuzzing;
mod hostile;
mod http_document;
mod jwks;
mod loads;
mod nodes;
mod pattern_fixtures;
mod protocol_document;
mod protocol_schema;
mod publishing_document;
mod redis_broker;
mod support;
mod transport_listener;
mod transport_support;
mod transport_tls;
mod transport_websocket;
