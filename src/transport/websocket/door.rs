//! The WebSocket routes, one per way of speaking: judges the handshake, answers it, and starts the connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode, Uri};

use super::connection::{Connection, Peer, Socket};
use super::handshake::{self, Accepted, Subprotocol};
use super::origin::NotAnOrigin;
use super::{Config, connection, head, upgrade, wire};
use crate::clock::unix_ms;
use crate::dialect::{Dialect, Guest};
use crate::hub::send_queue::Limits;
use crate::session::{Language, Parts, Session};
use crate::transport::places::Places;
use crate::transport::{self, Stream, credentials, listener};

/// Bytes of echoed messages that wait for one client before no more is read from it.
const ECHO_BYTES_MAX: usize = 4 << 20;
/// Seconds that a client is asked to wait when the node is full or going.
const RETRY_AFTER_S: &str = "5";

/// What the WebSocket routes share.
pub struct Door {
    config: Config,
    rules: handshake::Rules,
    parts: Arc<Parts>,
    places: Arc<Places>,
    /// The native protocol first, then the dialects.
    speeches: Vec<Speech>,
}

/// A path, and the language that is spoken there.
struct Speech {
    path: String,
    /// Whether `?token=` is taken as credentials.
    query_token: bool,
    is_native: bool,
    text: Pair,
    /// Spoken with those that agreed to it.
    binary: Option<Pair>,
}

/// A language on connections with and without compression.
struct Pair {
    plain: Arc<Language>,
    deflated: Arc<Language>,
}

/// The dialects that are spoken besides the native protocol.
#[derive(Default)]
pub struct Dialects {
    pub enabled: Vec<&'static Dialect>,
    /// Who comes to them without a token, if anybody may.
    pub guest: Option<Arc<Guest>>,
}

impl Door {
    /// # Errors
    /// An entry of `allowed_origins` is no origin.
    pub fn new(config: Config, dialects: &Dialects, parts: Arc<Parts>, places: Arc<Places>) -> Result<Arc<Self>, NotAnOrigin> {
        let rules = handshake::Rules::new(&config)?;
        let spoken = dialects.enabled.iter().map(|dialect| Speech::dialect(dialect, dialects.guest.as_ref(), &config, &parts));
        let speeches = std::iter::once(Speech::native(&config, &parts)).chain(spoken).collect();
        Ok(Arc::new(Self { config, rules, parts, places, speeches }))
    }

    /// The native path, those of the dialects, and the echo path where it is configured.
    pub fn router(self: &Arc<Self>) -> Router {
        let mut router = Router::new();
        for (index, speech) in self.speeches.iter().enumerate() {
            let open = move |State(door): State<Arc<Self>>, request: Request| async move { open_session(&door, index, request) };
            router = router.route(&speech.path, any(open));
        }
        if !self.config.echo_path.is_empty() {
            router = router.route(&self.config.echo_path, any(open_echo));
        }
        router.with_state(Arc::clone(self))
    }

    fn speech_at(&self, path: &str) -> Option<usize> {
        self.speeches.iter().position(|speech| speech.path == path)
    }

    /// Reads a handshake for a session off a fresh plain stream, answers it and spawns the connection. Whatever is anything else, be it
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
            let head = head::read(bytes, limits.headers_max).filter(|(_, length)| *length <= limits.header_bytes_max);
            let Some((request, length, index)) =
                head.and_then(|(request, length)| self.speech_at(request.uri.path()).map(|index| (request, length, index)))
            else {
                return Some((stream, Bytes::copy_from_slice(bytes)));
            };
            let speech = &self.speeches[index];
            let token = speech.token(&self.config, &request.uri, &request.headers);
            match speech.accept(&request, &self.rules) {
                Ok(accepted) if !self.places.is_full(token.is_some() || accepted.token.is_some()) => {
                    let response = head::switch(&request, &accepted);
                    // A fresh socket takes so little at once, or is of no use.
                    if stream.try_write(response.as_bytes()).is_ok_and(|written| written == response.len()) {
                        let begin = |door: &Self, stream: Stream, accepted: Accepted| door.session(index, stream, accepted, token);
                        let connection = self.connection(stream, accepted, Some(peer.address), begin);
                        self.places.spawn(Box::pin(connection.run(&bytes[length..])));
                    }
                    None
                }
                _ => Some((stream, Bytes::copy_from_slice(bytes))),
            }
        })
    }

    fn session(&self, index: usize, stream: Stream, accepted: Accepted, token: Option<String>) -> (Socket, Peer) {
        let speech = &self.speeches[index];
        let language = speech.language(&accepted);
        let (socket, queue) = Socket::new(stream, self.parts.queue_limits());
        let mut session = Box::new(Session::new(Arc::clone(&self.parts), Arc::clone(language), queue));
        session.begin(accepted.token.map(|token| token.expose().to_owned()).or(token));
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

impl Pair {
    /// `make` is told from how many bytes on messages are compressed.
    fn of(config: &Config, make: impl Fn(Option<usize>) -> Arc<Language>) -> Self {
        Self { plain: make(None), deflated: make(Some(config.compression_threshold_bytes)) }
    }
}

impl Speech {
    fn native(config: &Config, parts: &Parts) -> Self {
        Self {
            path: config.path.clone(),
            query_token: config.query_token,
            is_native: true,
            text: Pair::of(config, |threshold_bytes| Language::native(wire::json_with(threshold_bytes), &parts.rules)),
            binary: Some(Pair::of(config, |threshold_bytes| {
                Language::native_binary(wire::msgpack(threshold_bytes), &parts.rules, config.message_bytes_max)
            })),
        }
    }

    fn dialect(dialect: &'static Dialect, guest: Option<&Arc<Guest>>, config: &Config, parts: &Parts) -> Self {
        let language = |threshold_bytes| {
            let wire = wire::dialect(dialect, unix_ms, threshold_bytes);
            Language::dialect(dialect, wire, &parts.rules, guest.cloned())
        };
        Self { path: dialect.path.to_owned(), query_token: true, is_native: false, text: Pair::of(config, language), binary: None }
    }

    fn language(&self, accepted: &Accepted) -> &Arc<Language> {
        let binary = self.binary.as_ref().filter(|_| accepted.protocol == Some(Subprotocol::RoomcastV1Msgpack));
        let Pair { plain, deflated } = binary.unwrap_or(&self.text);
        if accepted.deflate.is_some() { deflated } else { plain }
    }

    /// Judges a handshake. Subprotocols are names of the native protocol, which is not spoken by dialects.
    fn accept(&self, request: &http::request::Parts, rules: &handshake::Rules) -> Result<Accepted, handshake::Refused> {
        let accepted = handshake::accept(request, rules)?;
        Ok(Accepted { protocol: accepted.protocol.filter(|_| self.is_native), ..accepted })
    }

    fn token(&self, config: &Config, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        credentials::elsewhere(config, self.query_token, uri, headers)
    }
}

fn open_session(door: &Arc<Door>, index: usize, request: Request) -> Response {
    let speech = &door.speeches[index];
    let token = speech.token(&door.config, request.uri(), request.headers());
    let accept = |parts: &http::request::Parts| speech.accept(parts, &door.rules);
    start(door, request, accept, token.is_some(), move |door, stream, accepted| door.session(index, stream, accepted, token))
}

async fn open_echo(State(door): State<Arc<Door>>, request: Request) -> Response {
    let accept = |parts: &http::request::Parts| handshake::accept(parts, &door.rules);
    start(&door, request, accept, false, |door, stream, accepted| {
        let (socket, queue) = Socket::new(stream, Limits { bytes_max: 0, replies_bytes_max: ECHO_BYTES_MAX });
        (socket, Peer::Echo { queue, deflated: accepted.deflate.map(|_| door.config.compression_threshold_bytes) })
    })
}

/// Answers the handshake and spawns the connection.
fn start(
    door: &Arc<Door>,
    request: Request,
    accept: impl FnOnce(&http::request::Parts) -> Result<Accepted, handshake::Refused>,
    with_token: bool,
    begin: impl FnOnce(&Door, Stream, Accepted) -> (Socket, Peer) + Send + 'static,
) -> Response {
    let (parts, body) = request.into_parts();
    let address = parts.extensions.get::<transport::Peer>().map(|peer| peer.address);
    let accepted = match accept(&parts) {
        Ok(accepted) => accepted,
        Err(refused) => {
            tracing::debug!(peer = address.map(display), status = refused.status.as_u16(), why = refused.why, "refused a handshake");
            return refused.into_response();
        }
    };
    if door.places.is_full(with_token || accepted.token.is_some()) {
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
    door.places.spawn(async move {
        // What came early is let go before the connection runs: it is a part of HTTP's buffer, and would keep all of it.
        let running = beginning.await.map(|(connection, early)| connection.run(&early));
        if let Some(running) = running {
            running.await;
        }
    });
    response
}
