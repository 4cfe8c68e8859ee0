//! Carrying out an accepted handshake: the 101 response, and the raw socket after it.
//!
//! Called by the route's handler, whose spawned driver then owns the [`Stream`]. HTTP's buffers are gone by then: what
//! hyper read too far comes along as bytes.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::Request;
use http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::handshake::{Accepted, Refused};
use crate::transport::Stream;
use crate::transport::stream::Rewound;

/// Why there is no socket after the 101 response.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    #[error("the connection ended during the upgrade: {0}")]
    Ended(#[from] hyper::Error),
    #[error("the connection does not come from this crate's listener")]
    Foreign,
}

/// The response that switches protocols, and what resolves once it has been sent. Spawn [`into_stream`] with the latter.
///
/// # Errors
/// 400 when the request came over something that cannot be upgraded.
pub fn upgrade<B>(request: &mut Request<B>, accepted: &Accepted) -> Result<(Response, OnUpgrade), Refused> {
    // Taken first: the library's own future would set up a reader with a buffer of 8 KiB.
    let on_upgrade = request.extensions().get::<OnUpgrade>().cloned().ok_or(Refused::bad("this connection cannot be upgraded"))?;
    let (response, _) = fastwebsockets::upgrade::upgrade(request).map_err(|_| Refused::bad("the request is no WebSocket handshake"))?;
    let mut response = response.map(Body::new);
    let headers = response.headers_mut();
    if let Some(protocol) = accepted.protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol.as_str()));
    }
    if let Some(deflate) = accepted.deflate {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(deflate.response()));
    }
    Ok((response, on_upgrade))
}

/// The raw socket, and the bytes that the client sent right behind its request: feed those first.
///
/// # Errors
/// The connection ended before the response was out, or was served by something else than [`Listener`](crate::transport::Listener).
pub async fn into_stream(on_upgrade: OnUpgrade) -> Result<(Stream, Bytes), UpgradeError> {
    let parts = on_upgrade.await?.downcast::<TokioIo<Rewound>>().map_err(|_| UpgradeError::Foreign)?;
    let (stream, unread) = parts.io.into_inner().into_parts();
    let early = if unread.is_empty() { parts.read_buf } else { Bytes::from([parts.read_buf, unread].concat()) };
    Ok((stream, early))
}
