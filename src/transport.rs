//! Everything between a socket and a session: listeners, TLS, the HTTP upgrade and WebSocket's own framing, and sessions over plain HTTP.
//!
//! The node makes listeners and hands them a router; the session's driver reads and writes a [`Stream`] with the pure parts
//! of [`websocket`], or what [`http_session`] makes of requests. Nothing here knows rooms, credentials or the log.

pub mod admission;
pub mod credentials;
pub mod http_session;
pub mod listener;
pub mod places;
pub mod poll;
pub mod sse;
pub mod stream;
pub mod tls;
pub mod websocket;

pub use listener::{Listener, Peer};
pub use stream::Stream;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dialect;

    #[test]
    fn no_two_wires_share_their_bytes() {
        let config = websocket::Config::default();
        let mut wires = vec![websocket::wire::json(), websocket::wire::json_deflated(&config), sse::wire::events(), poll::wire::elements()];
        wires.extend([websocket::wire::msgpack(None), websocket::wire::msgpack(Some(1))]);
        for dialect in &dialect::ALL {
            wires.extend([None, Some(1)].map(|threshold| websocket::wire::dialect(dialect, || 0, threshold)));
        }
        let kinds: BTreeSet<usize> = wires.iter().map(|wire| wire.kind()).collect();
        assert_eq!(kinds.len(), wires.len());
        assert!(kinds.last() < Some(&crate::protocol::codec::WIRES_MAX));
    }
}
