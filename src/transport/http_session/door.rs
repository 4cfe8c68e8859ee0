//! The routes of server-sent events and long polling: judges requests, begins sessions, and finds those that requests are for, here or on
//! another node.
//!
//! | request | without a session's name | with it |
//! |---|---|---|
//! | `POST` | begins a session with the commands of the body | hands it the commands of the body |
//! | `GET` | begins a session with the credentials of the request and the wishes of its query | long polling: what has come |
//!
//! A new session is answered by a stream, or by the first answer of its polls.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts as Head;
use http::{Method, StatusCode};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::Config;
use super::errand::{Carry, Errand, Failed, Outcome};
use super::life::{Life, Refused};
use super::name::Name;
use super::origin::Pages;
use super::request::{self, Bad, CURSOR, NUMBER, SESSION};
use super::sessions::{Inlets, Sessions};
use crate::hub::{NoSink, SendQueue};
use crate::protocol::command::Subscribe;
use crate::protocol::{Close, CloseCode, Code};
use crate::session::{Language, Parts, Session};
use crate::telemetry::metrics::{self, Carried};
use crate::transport::places::Places;
use crate::transport::websocket::origin::NotAnOrigin;
use crate::transport::{poll, sse, websocket};

/// How long a client is asked to wait when the node is full or going, and when a request for another node came to nothing, in seconds.
const FULL_RETRY_S: u64 = 5;
const CARRY_RETRY_S: u64 = 1;
/// How long a poll waits on another node before its own node looks whether that one is still there.
const CARRIED_WAIT_MS: u64 = 2_500;
const EVENT_STREAM: &str = "text/event-stream";

/// What the routes share.
pub struct Door {
    config: Config,
    websocket: websocket::Config,
    pages: Pages,
    parts: Arc<Parts>,
    places: Arc<Places>,
    sessions: Arc<Sessions>,
    carry: Carry,
    carrying: Semaphore,
    events: Arc<Language>,
    elements: Arc<Language>,
}

/// What a new session begins with.
enum First {
    /// Credentials of the request, if it brought some, and commands of its body.
    Commands {
        token: Option<String>,
        commands: Vec<Bytes>,
    },
    Wishes {
        token: String,
        subscribe: Subscribe,
    },
}

type Answer = Result<Response, Bad>;

impl Door {
    /// # Errors
    /// An entry of `allowed_origins` is no origin.
    pub fn new(
        config: Config,
        websocket: websocket::Config,
        parts: Arc<Parts>,
        places: Arc<Places>,
        sessions: Arc<Sessions>,
        carry: Carry,
    ) -> Result<Arc<Self>, NotAnOrigin> {
        let (pages, carrying) = (Pages::new(&websocket)?, Semaphore::new(config.carried_max));
        let language = |wire| Language::native(wire, &parts.rules);
        let (events, elements) = (language(sse::wire::events()), language(poll::wire::elements()));
        Ok(Arc::new(Self { config, websocket, pages, parts, places, sessions, carry, carrying, events, elements }))
    }

    /// Both paths, as far as they are configured.
    pub fn router(self: &Arc<Self>) -> Router {
        let mut router = Router::new();
        if !self.config.sse_path.is_empty() {
            router = router.route(&self.config.sse_path, any(stream));
        }
        if !self.config.poll_path.is_empty() {
            router = router.route(&self.config.poll_path, any(polls));
        }
        router.layer(from_fn_with_state(Arc::clone(self), judge)).with_state(Arc::clone(self))
    }

    /// Reads what a client posts, within its bounds.
    async fn body(&self, body: Body, bytes_max: usize) -> Result<Bytes, Bad> {
        let limit = Duration::from_millis(self.config.body_timeout_ms);
        let read = tokio::time::timeout(limit, to_bytes(body, bytes_max)).await;
        let read = read.map_err(|_| Bad::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time (http.body_timeout_ms)"))?;
        read.map_err(|_| Bad::new(StatusCode::PAYLOAD_TOO_LARGE, format!("MESSAGE_TOO_LARGE: the body is longer than {bytes_max} bytes")))
    }

    async fn first(&self, mut head: Head, body: Body) -> Result<First, Bad> {
        let token = request::token(&mut head, &self.websocket)?;
        match (head.method == Method::POST, token) {
            (true, token) => {
                let bytes_max = self.websocket.unauthenticated_bytes_max.min(self.config.post_bytes_max);
                let body = self.body(body, bytes_max).await?;
                let commands = request::commands(&body, self.config.post_commands_max).ok_or_else(malformed)?;
                Ok(First::Commands { token, commands })
            }
            (false, Some(token)) => Ok(First::Wishes { token, subscribe: request::wishes(&head)? }),
            (false, None) => Err(Bad::new(StatusCode::UNAUTHORIZED, "AUTH_FAILED: a GET without a session brings its token along")),
        }
    }

    fn session(&self, first: First, language: &Arc<Language>) -> Box<Session> {
        let queue = Arc::new(SendQueue::new(self.parts.queue_limits(), NoSink));
        let mut session = Box::new(Session::new(Arc::clone(&self.parts), Arc::clone(language), queue));
        match first {
            First::Wishes { token, subscribe } => session.present(token, subscribe),
            First::Commands { token, commands } => {
                if let Some(token) = token {
                    session.present(token, Subscribe::default());
                }
                commands.iter().for_each(|command| session.on_message(command));
            }
        }
        tracing::debug!(session = %session.id(), "a session over HTTP begins");
        session
    }

    fn close_timeout(&self) -> Duration {
        Duration::from_millis(self.parts.settings.config.close_timeout_ms)
    }

    /// Hands commands to a session, wherever it is.
    async fn post(&self, name: Name, head: &Head, body: Body) -> Answer {
        let number = request::count(&head.headers, &NUMBER)?;
        if number == Some(0) {
            return Err(Bad::new(StatusCode::BAD_REQUEST, "the first request with commands has the number 1"));
        }
        let body = self.body(body, self.config.post_bytes_max).await?;
        let outcome = if self.sessions.is_home(name.node) {
            self.sessions.post(name.secret, number, &body).await
        } else {
            let commands = String::from_utf8(body.into()).map_err(|_| malformed())?;
            self.carry(name, Errand::Post { session: name.secret, number, commands }).await?
        };
        match outcome {
            Outcome::Taken => Ok(StatusCode::ACCEPTED.into_response()),
            Outcome::Early => Err(Bad::new(StatusCode::CONFLICT, "requests with lower numbers have not come yet")),
            Outcome::Malformed => Err(malformed()),
            Outcome::Unknown => Err(unknown()),
            _ => Ok(later(CARRY_RETRY_S, "nothing is known of these commands: send them again, with the same number")),
        }
    }

    /// What has come for a session since `cursor`, wherever it is.
    async fn poll(&self, name: Name, cursor: u64) -> Answer {
        let wait_ms = self.config.poll_wait_ms;
        let answer = if self.sessions.is_home(name.node) {
            self.sessions.poll(name.secret, cursor, wait_ms).await
        } else {
            self.poll_elsewhere(name, cursor, wait_ms).await?
        };
        match answer {
            Ok(answer) if poll::wire::is_last(&answer) => Ok(last(json(answer))),
            Ok(answer) => Ok(json(answer)),
            Err(Outcome::Nothing) => Ok(json(poll::nothing(cursor))),
            Err(Outcome::Lost) => Err(Bad::new(StatusCode::CONFLICT, "this cursor was never given, or a later one has been used")),
            Err(_) => Err(unknown()),
        }
    }

    /// Asks for a while at a time, so that the end of the other node is noticed; then for the rest of an answer that is long.
    async fn poll_elsewhere(&self, name: Name, cursor: u64, wait_ms: u64) -> Result<Result<Bytes, Outcome>, Bad> {
        let until = Instant::now() + Duration::from_millis(wait_ms);
        let mut whole = String::new();
        loop {
            let left_ms = u64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(0);
            let wait_ms = if whole.is_empty() { left_ms.min(CARRIED_WAIT_MS) } else { 0 };
            match self.carry(name, Errand::Poll { session: name.secret, cursor, wait_ms, from: whole.len() }).await? {
                Outcome::Piece { text, more } => {
                    whole += &text;
                    if !more {
                        return Ok(Ok(whole.into()));
                    }
                }
                Outcome::Nothing if left_ms > CARRIED_WAIT_MS => {}
                outcome => return Ok(Err(outcome)),
            }
        }
    }

    async fn carry(&self, name: Name, errand: Errand) -> Result<Outcome, Bad> {
        let Ok(_turn) = self.carrying.try_acquire() else {
            metrics::carried(Carried::Refused).increment(1);
            return Err(Bad::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests for other nodes are under way (http.carried_max)"));
        };
        match (self.carry)(name.node, errand).await {
            Ok(outcome) => {
                metrics::carried(Carried::Answered).increment(1);
                Ok(outcome)
            }
            Err(Failed::NoNode) => {
                metrics::carried(Carried::Unknown).increment(1);
                Err(unknown())
            }
            Err(Failed::NoAnswer) => {
                metrics::carried(Carried::Unanswered).increment(1);
                Err(Bad::new(StatusCode::SERVICE_UNAVAILABLE, "the node of this session does not answer: try again"))
            }
        }
    }
}

/// Around both routes: which pages may, what every answer has, and what a refusal looks like.
async fn judge(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let origin = match door.pages.admit(request.headers()) {
        Ok(origin) => origin,
        Err(bad) => {
            let mut refused = bad.into_response();
            door.pages.mark(&mut refused, None);
            return refused;
        }
    };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match method {
        Method::OPTIONS => door.pages.preflight(),
        Method::GET | Method::POST => next.run(request).await,
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(http::header::ALLOW, "GET, POST")]).into_response(),
    };
    // Neither the query nor the headers, which hold what is nobody's business.
    tracing::trace!(%method, path, status = response.status().as_u16(), "served a request of a session over HTTP");
    door.pages.mark(&mut response, origin);
    response
}

async fn stream(State(door): State<Arc<Door>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    match request::session(&head.headers)? {
        Some(name) if head.method == Method::POST => door.post(name, &head, body).await,
        Some(_) => Err(Bad::new(StatusCode::BAD_REQUEST, "a stream cannot be taken up again: begin another one, with Last-Event-ID")),
        None => begin_stream(&door, head, body).await,
    }
}

async fn polls(State(door): State<Arc<Door>>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    match request::session(&head.headers)? {
        Some(name) if head.method == Method::POST => door.post(name, &head, body).await,
        Some(name) => door.poll(name, request::count(&head.headers, &CURSOR)?.unwrap_or(0)).await,
        None => begin_polls(&door, head, body).await,
    }
}

async fn begin_stream(door: &Arc<Door>, head: Head, body: Body) -> Answer {
    let browser = head.method == Method::GET;
    let first = door.first(head, body).await?;
    let retry_ms = door.config.retry_ms;
    let opening = sse::wire::opening(rand::random_range(retry_ms..=retry_ms.saturating_mul(2)));
    let entered = if door.places.is_full(first.has_token()) { None } else { door.sessions.enter(false) };
    let Some((entered, Inlets { posts, .. })) = entered else {
        // A browser that is answered with a status never comes back by itself.
        let close = Close::because(CloseCode::ConnectionLimit, Code::ConnectionLimit).retry_after_ms(FULL_RETRY_S * 1_000);
        return Ok(if browser { events(Body::from(sse::wire::close(&close))) } else { full() });
    };
    let session = door.session(first, &door.events);
    let name = entered.name.expose();
    let (stream, body) = sse::stream(opening);
    let (begun, beginning) = oneshot::channel();
    let life = Life::new(session, stream, posts, browser.then_some(begun), door.close_timeout(), entered);
    door.places.spawn(life.run());
    if browser && let Ok(Err(refused)) = beginning.await {
        return Ok(refusal(&refused));
    }
    Ok(named(events(Body::new(body)), &name))
}

async fn begin_polls(door: &Arc<Door>, head: Head, body: Body) -> Answer {
    let first = door.first(head, body).await?;
    let entered = if door.places.is_full(first.has_token()) { None } else { door.sessions.enter(true) };
    let Some((entered, Inlets { posts, asks })) = entered else { return Ok(full()) };
    let session = door.session(first, &door.elements);
    let name = entered.name;
    let life = Life::new(session, poll::Polls::new(asks, &door.config), posts, None, door.close_timeout(), entered);
    door.places.spawn(life.run());
    Ok(named(door.poll(name, 0).await?, &name.expose()))
}

impl First {
    fn has_token(&self) -> bool {
        matches!(self, Self::Wishes { .. } | Self::Commands { token: Some(_), .. })
    }
}

impl IntoResponse for Bad {
    fn into_response(self) -> Response {
        match self.status {
            StatusCode::UNAUTHORIZED => (self.status, [(WWW_AUTHENTICATE, "Bearer")], self.why).into_response(),
            StatusCode::SERVICE_UNAVAILABLE => (self.status, [(RETRY_AFTER, CARRY_RETRY_S)], self.why).into_response(),
            _ => (self.status, self.why).into_response(),
        }
    }
}

fn malformed() -> Bad {
    Bad::new(StatusCode::BAD_REQUEST, "INVALID_MESSAGE: the body must be one command or an array of some (http.post_commands_max)")
}

fn unknown() -> Bad {
    Bad::new(StatusCode::NOT_FOUND, "there is no such session, or no longer: begin a new one and resume")
}

fn full() -> Response {
    later(FULL_RETRY_S, "CONNECTION_LIMIT: this node takes no more connections")
}

fn later(seconds: u64, why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, seconds)], why).into_response()
}

fn json(answer: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

fn events(body: Body) -> Response {
    last(([(CONTENT_TYPE, EVENT_STREAM)], body).into_response())
}

/// The last answer of its connection: whoever is sent away and comes back over another one may come to another node.
fn last(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn named(mut response: Response, name: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(name) {
        response.headers_mut().insert(SESSION, value);
    }
    response
}

/// What a browser is told whose stream did not begin, so that it does not come back with the same: the protocol's own `error`.
fn refusal(refused: &Refused) -> Response {
    let code = refused.close.reason.unwrap_or(Code::InternalError);
    let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let told = String::from_utf8_lossy(&refused.told);
    let error = told.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap_or("{}");
    (status, [(CONTENT_TYPE, "application/json")], error.to_owned()).into_response()
}
