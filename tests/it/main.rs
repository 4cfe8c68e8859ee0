//! One binary with every test that runs real sockets, processes or stores.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

mod transport_listener;
mod transport_support;
mod transport_tls;
mod transport_websocket;
