//! The WebSocket routes: judges the handshake, answers it, and starts the connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::header::{COOKIE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode, Uri};
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Peer, Socket};
use super::handshake::{self, Accepted};
use super::origin::NotAnOrigin;
use super::{Config, connection, head, upgrade, wire};
use crate::hub::send_queue::Limits;
use crate::protocol::Wire;
use crate::session::{Parts, Session};
use crate::transport::{self, Stream, listener};

/// Bytes of echoed messages that wait for one client before no more is read from it.
const ECHO_BYTES_MAX: usize = 4 << 20;
/// Seconds that a client is asked to wait when the node is full or going.
const RETRY_AFTER_S: &str = "5";

/// What the WebSocket routes share.
pub struct Door {
    config: Config,
    rules: handshake::Rules,
    parts: Arc<Parts>,
    bounds: Bounds,
    plain: Arc<dyn Wire>,
    deflated: Arc<dyn Wire>,
    connections: TaskTracker,
    closed: AtomicBool,
}

/// Connections of this node; further handshakes are answered 503.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub connections_max: usize,
    /// Of those, the ones that have not shown credentials: whoever floods the node with such must not lock out the others.
    pub unauthenticated_max: usize,
}

impl Door {
    /// # Errors
    /// An entry of `allowed_origins` is no origin.
    pub fn new(config: Config, parts: Arc<Parts>, bounds: Bounds) -> Result<Arc<Self>, NotAnOrigin> {
        let rules = handshake::Rules::new(&config)?;
        let deflated = wire::json_deflated(&config);
        let (connections, closed) = (TaskTracker::new(), AtomicBool::new(false));
        Ok(Arc::new(Self { config, rules, parts, bounds, plain: wire::json(), deflated, connections, closed }))
    }

    /// The native path, and the echo path where it is configured.
    pub fn router(self: &Arc<Self>) -> Router {
        let mut router = Router::new().route(&self.config.path, any(open_session));
        if !self.config.echo_path.is_empty() {
            router = router.route(&self.config.echo_path, any(open_echo));
        }
        router.with_state(Arc::clone(self))
    }

    /// Refuses handshakes from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.connections.close();
    }

    /// Waits until every connection has ended. Call [`Door::close`] first.
    pub async fn emptied(&self) {
        self.connections.wait().await;
    }

    /// Whether there is no place. Connections are counted from the handshake on, before they are sessions.
    fn is_full(&self, with_token: bool) -> bool {
        let open = self.connections.len();
        let unauthenticated = open.saturating_sub(self.parts.registry.introduced());
        self.closed.load(Ordering::Acquire)
            || open >= self.bounds.connections_max
            || (!with_token && unauthenticated >= self.bounds.unauthenticated_max)
    }

    /// Reads a handshake for the native path off a fresh plain stream, answers it and spawns the connection. Whatever is anything else, be it
    /// only to be refused, is given back with what was read of it, for HTTP to answer.
    pub fn shortcut(self: &Arc<Self>, mut stream: Stream, peer: transport::Peer, limits: &listener::Config) -> Option<(Stream, Bytes)> {
        connection::with_scratch(|scratch| {
            let count = match stream.try_read(scratch) {
                Ok(0) => return None,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some((stream, Bytes::new())),
                Err(_) => return None,
            };
            let bytes = &scratch[..count];
            let Some((request, length)) = head::read(bytes, limits.headers_max)
                .filter(|(request, length)| *length <= limits.header_bytes_max && request.uri.path() == self.config.path)
            else {
                return Some((stream, Bytes::copy_from_slice(bytes)));
            };
            let token = elsewhere(&self.config, &request.uri, &request.headers);
            match handshake::accept(&request, &self.rules) {
                Ok(accepted) if !self.is_full(token.is_some() || accepted.token.is_some()) => {
                    let response = head::switch(&request, &accepted);
                    // A fresh socket takes so little at once, or is of no use.
                    if stream.try_write(response.as_bytes()).is_ok_and(|written| written == response.len()) {
                        let begin = |door: &Self, stream: Stream, accepted: Accepted| door.session(stream, accepted, token);
                        let connection = self.connection(stream, accepted, Some(peer.address), begin);
                        self.connections.spawn(Box::pin(connection.run(&bytes[length..])));
                    }
                    None
                }
                _ => Some((stream, Bytes::copy_from_slice(bytes))),
            }
        })
    }

    fn session(&self, stream: Stream, accepted: Accepted, token: Option<String>) -> (Socket, Peer) {
        let wire = if accepted.deflate.is_some() { &self.deflated } else { &self.plain };
        let (socket, queue) = Socket::new(stream, self.parts.queue_limits());
        let mut session = Box::new(Session::new(Arc::clone(&self.parts), Arc::clone(wire), queue));
        if let Some(token) = accepted.token.map(|token| token.expose().to_owned()).or(token) {
            session.present(token);
        }
        (socket, Peer::Session(session))
    }

    fn connection(
        &self,
        stream: Stream,
        accepted: Accepted,
        address: Option<SocketAddr>,
        begin: impl FnOnce(&Self, Stream, Accepted) -> (Socket, Peer),
    ) -> Connection {
        let deflated = accepted.deflate.is_some();
        let (socket, peer) = begin(self, stream, accepted);
        tracing::debug!(peer = address.map(display), session = peer.session().map(display), "a connection begins");
        Connection::new(socket, &self.config, deflated, peer, self.close_timeout())
    }

    fn close_timeout(&self) -> Duration {
        Duration::from_millis(self.parts.settings.config.close_timeout_ms)
    }
}

async fn open_session(State(door): State<Arc<Door>>, request: Request) -> Response {
    let token = elsewhere(&door.config, request.uri(), request.headers());
    start(&door, request, token.is_some(), move |door, stream, accepted| door.session(stream, accepted, token))
}

async fn open_echo(State(door): State<Arc<Door>>, request: Request) -> Response {
    start(&door, request, false, |door, stream, accepted| {
        let (socket, queue) = Socket::new(stream, Limits { bytes_max: 0, replies_bytes_max: ECHO_BYTES_MAX });
        (socket, Peer::Echo { queue, deflated: accepted.deflate.map(|_| door.config.compression_threshold_bytes) })
    })
}

/// Answers the handshake and spawns the connection.
fn start(
    door: &Arc<Door>,
    request: Request,
    with_token: bool,
    begin: impl FnOnce(&Door, Stream, Accepted) -> (Socket, Peer) + Send + 'static,
) -> Response {
    let (parts, body) = request.into_parts();
    let address = parts.extensions.get::<transport::Peer>().map(|peer| peer.address);
    let accepted = match handshake::accept(&parts, &door.rules) {
        Ok(accepted) => accepted,
        Err(refused) => {
            tracing::debug!(peer = address.map(display), status = refused.status.as_u16(), why = refused.why, "refused a handshake");
            return refused.into_response();
        }
    };
    if door.is_full(with_token || accepted.token.is_some()) {
        tracing::debug!(peer = address.map(display), "refused a handshake for want of places");
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, "CONNECTION_LIMIT: this node takes no more connections").into_response();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        return response;
    }
    let mut request = Request::from_parts(parts, body);
    let (response, on_upgrade) = match upgrade::upgrade(&mut request, &accepted) {
        Ok(switched) => switched,
        Err(refused) => return refused.into_response(),
    };
    let keeper = Arc::clone(door);
    // Boxed, so that the task is no larger than an open connection needs.
    let beginning = Box::pin(async move {
        match upgrade::into_stream(on_upgrade).await {
            Ok((stream, early)) => Some((keeper.connection(stream, accepted, address, begin), early)),
            Err(error) => {
                tracing::debug!(%error, "a WebSocket ended before it began");
                None
            }
        }
    });
    door.connections.spawn(async move {
        // What came early is let go before the connection runs: it is a part of HTTP's buffer, and would keep all of it.
        let running = beginning.await.map(|(connection, early)| connection.run(&early));
        if let Some(running) = running {
            running.await;
        }
    });
    response
}

/// A token from the cookie or the query, where the configuration allows that. Tokens are URL-safe as they are, so nothing is
/// decoded.
fn elsewhere(config: &Config, uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let cookie =
        if config.token_cookie.is_empty() || config.allowed_origins.is_empty() { None } else { cookie(headers, &config.token_cookie) };
    let query = if config.query_token { uri.query() } else { None };
    cookie.or_else(|| query?.split('&').find_map(|pair| pair.strip_prefix("token=")).map(str::to_owned))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}
