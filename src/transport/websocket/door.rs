//! The WebSocket routes: judges the handshake, answers it, and starts the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{COOKIE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode, Uri};
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Peer, Socket};
use super::handshake::{self, Accepted};
use super::origin::NotAnOrigin;
use super::{Config, upgrade, wire};
use crate::hub::SendQueue;
use crate::hub::send_queue::Limits;
use crate::protocol::Wire;
use crate::session::{Parts, Session};
use crate::telemetry::metrics;
use crate::transport;

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

    fn close_timeout(&self) -> Duration {
        Duration::from_millis(self.parts.settings.config.close_timeout_ms)
    }
}

async fn open_session(State(door): State<Arc<Door>>, request: Request) -> Response {
    let token = elsewhere(&door.config, request.uri(), request.headers());
    start(&door, request, token.is_some(), move |door, socket, accepted| {
        let wire = if accepted.deflate.is_some() { &door.deflated } else { &door.plain };
        let mut session = Session::new(Arc::clone(&door.parts), Arc::clone(wire), socket.sink());
        if let Some(token) = accepted.token.map(|token| token.expose().to_owned()).or(token) {
            session.present(token);
        }
        Peer::Session(Box::new(session))
    })
}

async fn open_echo(State(door): State<Arc<Door>>, request: Request) -> Response {
    start(&door, request, false, |door, socket, accepted| {
        let limits = Limits { bytes_max: 0, replies_bytes_max: ECHO_BYTES_MAX };
        let queue = Arc::new(SendQueue::new(limits, socket.sink()));
        Peer::Echo { queue, deflated: accepted.deflate.map(|_| door.config.compression_threshold_bytes) }
    })
}

/// Answers the handshake and spawns the connection.
fn start(
    door: &Arc<Door>,
    request: Request,
    with_token: bool,
    peer: impl FnOnce(&Door, &Socket, Accepted) -> Peer + Send + 'static,
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
    door.connections.spawn(async move {
        let (stream, early) = match upgrade::into_stream(on_upgrade).await {
            Ok(opened) => opened,
            Err(error) => return tracing::debug!(%error, "a WebSocket ended before it began"),
        };
        let socket = Socket::new(stream);
        let deflated = accepted.deflate.is_some();
        let peer = peer(&keeper, &socket, accepted);
        tracing::debug!(peer = address.map(display), session = peer.session().map(display), "a connection begins");
        let connection = Connection::new(socket, &keeper.config, deflated, peer, keeper.close_timeout());
        drop(keeper);
        metrics::sessions_opened().increment(1);
        metrics::sessions().increment(1.0);
        connection.run(early).await;
        metrics::sessions().decrement(1.0);
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
