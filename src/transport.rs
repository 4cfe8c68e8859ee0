//! Everything between a socket and a session: listeners, TLS, the HTTP upgrade and WebSocket's own framing.
//!
//! The node makes listeners and hands them a router; the session's driver reads and writes a [`Stream`] with the pure parts
//! of [`websocket`]. Nothing here knows rooms, credentials or the log.

pub mod admission;
pub mod listener;
pub mod stream;
pub mod tls;
pub mod websocket;

pub use listener::{Listener, Peer};
pub use stream::Stream;
