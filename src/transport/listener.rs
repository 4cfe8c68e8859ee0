//! The accept loop: HTTP/1.1 with upgrades on one address, every step of it bounded in time, number and size.
//!
//! The node binds one listener per address (public, internal) and serves a router on each. Handlers find the [`Peer`] among
//! the request's extensions. How long a handler and a request's *body* may take is the router's to bound.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::admission::{Admission, Permit};
use super::stream::{Io, Rewound, Stream};
use super::tls::{self, Certificate, CertificateError};
use crate::limit::{Bucket, Rate};
use crate::telemetry::metrics;

/// The answer to a socket for which there is no place.
fn full_response(retry_after_s: u32) -> String {
    format!("HTTP/1.1 503 Service Unavailable\r\nRetry-After: {retry_after_s}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

/// Seconds after which it may come again: spread, so that a crowd does not come again as one.
const RETRY_AFTER_S: RangeInclusive<u32> = 3..=8;
/// Sockets that are being told so at a time; further ones are just closed.
const REFUSALS_MAX: usize = 64;
/// How long a refused client may take to read the answer and hang up.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes that a refused client may send meanwhile.
const REFUSAL_BYTES_MAX: u64 = 64 << 10;
/// The smallest read buffer that hyper allows, in bytes.
const BUFFER_BYTES_MIN: usize = 8_192;
/// Pause after an accept that failed for want of descriptors or memory: doubled each time, up to the longest.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// One address to listen on, and what a connection may cost before it is a session.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Connections that the kernel keeps waiting to be accepted.
    pub backlog: u32,
    /// Open connections, upgraded ones included; further ones are answered 503.
    pub connections_max: usize,
    /// New connections per second in the long run; further ones are answered 503 with `Retry-After` before anything is read of them, and cut off where
    /// the listener speaks TLS. 0: no bound.
    pub accepts_per_s: u32,
    /// New connections that may come at once after a pause, where `accepts_per_s` is a bound.
    pub accepts_burst: u32,
    /// Open connections of one address (of one /64 in IPv6); 0: no bound. Leave it at 0 behind a load balancer.
    pub connections_per_address_max: usize,
    /// How long a client may take over a request's head, and how long a connection may stay idle between requests.
    pub header_timeout_ms: u64,
    /// Longest request head, in bytes; a longer one is answered 431.
    pub header_bytes_max: usize,
    /// Most header lines of a request; more are answered 431.
    pub headers_max: usize,
    /// After this long an HTTP connection ends with the request at hand. Upgraded connections are not concerned.
    pub connection_age_max_ms: u64,
    /// How long requests at hand may take to end when the listener is stopped; then they are cut off.
    pub stop_timeout_ms: u64,
    /// A connection is given up when the other end has taken nothing of what was sent for this long, because its network died or it does not
    /// read; 0 leaves that to the system, which takes a quarter of an hour. Linux only.
    pub unacknowledged_timeout_ms: u32,
    /// Certificate and key; without them the listener speaks plain HTTP.
    pub tls: Option<tls::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            backlog: 4_096,
            connections_max: 16_384,
            accepts_per_s: 0,
            accepts_burst: 1_000,
            connections_per_address_max: 0,
            header_timeout_ms: 10_000,
            header_bytes_max: 16 << 10,
            headers_max: 64,
            connection_age_max_ms: 3_600_000,
            stop_timeout_ms: 10_000,
            unacknowledged_timeout_ms: 60_000,
            tls: None,
        }
    }
}

impl Config {
    fn accepts(&self) -> Rate {
        Rate { per_s: self.accepts_per_s, burst: self.accepts_burst }
    }
}

/// Who is at the other end of a request's connection; among the request's extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// Whether the listener itself took the connection by TLS.
    pub tls: bool,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {address}: {source}")]
    Address { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Who may take a fresh connection before HTTP sees it: gives it back, with what was read of it, when it is HTTP's after all. Encrypted
/// connections are not offered.
pub type Shortcut = Box<dyn Fn(Stream, Peer, &Config) -> Option<(Stream, Bytes)> + Send + Sync>;

/// A bound address. Connections wait in the backlog until [`serve`](Self::serve) is called.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    door: Door,
}

/// What every connection of a listener shares.
struct Door {
    config: Config,
    certificate: Option<Certificate>,
    admission: Arc<Admission>,
    accepts: Mutex<Bucket>,
    /// The zero of the bucket's clock.
    started: Instant,
    refusals: Arc<Semaphore>,
    shortcut: Option<Shortcut>,
}

impl Door {
    /// Whether connections come no faster than they may.
    fn is_calm(&self) -> bool {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let calm = self.accepts.lock().take(self.config.accepts(), now_ms).is_ok();
        if !calm {
            metrics::accepts_refused().increment(1);
        }
        calm
    }
}

impl Listener {
    /// Binds the address and reads the certificate. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address is taken or not to be had, or the certificate cannot be used.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        let certificate = config.tls.as_ref().map(Certificate::load).transpose()?;
        let address = config.address;
        let tcp = listen(&config).map_err(|source| BindError::Address { address, source })?;
        let address = tcp.local_addr().map_err(|source| BindError::Address { address, source })?;
        let admission = Admission::new(config.connections_max, config.connections_per_address_max);
        let accepts = Mutex::new(Bucket::new(config.accepts(), 0));
        let (started, refusals) = (Instant::now(), Arc::new(Semaphore::new(REFUSALS_MAX)));
        let door = Door { config, certificate, admission, accepts, started, refusals, shortcut: None };
        Ok(Self { tcp, address, door })
    }

    /// Offers every fresh connection to `shortcut` first.
    #[must_use]
    pub fn with_shortcut(mut self, shortcut: Shortcut) -> Self {
        self.door.shortcut = Some(shortcut);
        self
    }

    /// The address as bound, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The count of open connections, for metrics.
    pub fn admission(&self) -> Arc<Admission> {
        Arc::clone(&self.door.admission)
    }

    /// Serves until `stop` is cancelled: then it accepts nothing more, lets requests at hand end within the stop timeout, and
    /// returns. Upgraded connections live on with whoever took them.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let Self { tcp, address, door } = self;
        let door = Arc::new(door);
        let mut connections = JoinSet::new();
        tokio::select! {
            () = accept_connections(&tcp, &door, &router, &stop, &mut connections) => {}
            () = follow_certificate(&door) => {}
            () = stop.cancelled() => {}
        }
        drop(tcp);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_millis(door.config.stop_timeout_ms), ended).await.is_err() {
            tracing::warn!(%address, cut_off = connections.len(), "requests did not end within the stop timeout");
        }
    }
}

fn listen(config: &Config) -> io::Result<TcpListener> {
    let socket = if config.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted node must not wait for its predecessor's sockets to leave TIME_WAIT.
    socket.set_reuseaddr(true)?;
    // Accepted sockets have it from here (tcp(7)), which saves a call for each.
    socket.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    if config.unacknowledged_timeout_ms > 0 {
        let timeout = Duration::from_millis(u64::from(config.unacknowledged_timeout_ms));
        // A stream of events is never answered, so this is the only way to notice that nobody is there to take it.
        SockRef::from(&socket).set_tcp_user_timeout(Some(timeout))?;
    }
    socket.bind(config.address)?;
    socket.listen(config.backlog)
}

async fn follow_certificate(door: &Door) {
    match &door.certificate {
        Some(certificate) => certificate.follow().await,
        None => std::future::pending().await,
    }
}

async fn accept_connections(tcp: &TcpListener, door: &Arc<Door>, router: &Router, stop: &CancellationToken, connections: &mut JoinSet<()>) {
    let mut backoff = BACKOFF_MIN;
    loop {
        let accepted = tokio::select! {
            accepted = tcp.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((tcp, address)) => {
                backoff = BACKOFF_MIN;
                admit(door, tcp, address, router, stop, connections);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: asking again at once would spin, and what is open must get the time to end.
                if backoff == BACKOFF_MIN {
                    tracing::error!(%error, address = %door.config.address, "cannot accept connections");
                }
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

/// The client went away while it waited; the listener is well.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn admit(door: &Arc<Door>, tcp: TcpStream, address: SocketAddr, router: &Router, stop: &CancellationToken, connections: &mut JoinSet<()>) {
    // A crowd is told to come again later before anything is spent on it, so that those who are in do not feel it.
    let Some(permit) = door.is_calm().then(|| door.admission.admit(address.ip())).flatten() else {
        if let (Ok(turn), None) = (Arc::clone(&door.refusals).try_acquire_owned(), &door.certificate) {
            connections.spawn(async move {
                refuse(tcp).await;
                drop(turn);
            });
        }
        return;
    };
    let (door, router, stop) = (Arc::clone(door), router.clone(), stop.clone());
    connections.spawn(async move {
        let peer = Peer { address, tls: door.certificate.is_some() };
        let begun = match encrypt(&door, tcp, permit, &stop).await {
            Ok(stream) => begin(&door, stream, peer, &stop).await,
            Err(error) => return tracing::debug!(%error, peer = %address, "no TLS handshake"),
        };
        if let Some(stream) = begun {
            // Boxed, because most connections never come here.
            Box::pin(serve_connection(&door, stream, peer, router, &stop)).await;
        }
    });
}

/// Waits for a plain connection's first bytes and offers it to the shortcut; what HTTP has to serve, if it does.
async fn begin(door: &Door, mut stream: Stream, peer: Peer, stop: &CancellationToken) -> Option<Rewound> {
    let Some(shortcut) = door.shortcut.as_ref().filter(|_| !peer.tls) else { return Some(Rewound::new(stream, Bytes::new())) };
    let offered = async {
        loop {
            poll_fn(|context| stream.poll_readable(context)).await.ok()?;
            let early;
            (stream, early) = shortcut(stream, peer, &door.config)?;
            // Nothing was there: a false alarm.
            if !early.is_empty() {
                return Some(Rewound::new(stream, early));
            }
        }
    };
    let offered = tokio::time::timeout(Duration::from_millis(door.config.header_timeout_ms), offered);
    // Otherwise silent for too long, or too late.
    stop.run_until_cancelled(offered).await?.ok()?
}

/// Tells a client that there is no place. Reads on until it hangs up: closing with unread bytes would destroy the answer.
async fn refuse(mut tcp: TcpStream) {
    let told = async {
        tcp.write_all(full_response(rand::random_range(RETRY_AFTER_S)).as_bytes()).await?;
        tcp.shutdown().await?;
        tokio::io::copy(&mut tcp.take(REFUSAL_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Whether it listened makes no difference: there is no place for it.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
}

async fn encrypt(door: &Door, tcp: TcpStream, permit: Permit, stop: &CancellationToken) -> io::Result<Stream> {
    let Some(certificate) = &door.certificate else { return Ok(Stream::new(Io::Plain(tcp), permit)) };
    // Boxed, because plain connections never come here and each of them would wait in a task with room for it.
    let handshake = Box::pin(certificate.accept(tcp));
    let Some(tls) = stop.run_until_cancelled(handshake).await else { return Err(io::ErrorKind::Interrupted.into()) };
    Ok(Stream::new(Io::Tls(Box::new(tls?)), permit))
}

async fn serve_connection(door: &Door, stream: Rewound, peer: Peer, router: Router, stop: &CancellationToken) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let router = router.clone();
        async move {
            let chunked = request.headers().contains_key(TRANSFER_ENCODING);
            if chunked && request.headers().contains_key(CONTENT_LENGTH) {
                return Ok(last_of_its_connection(StatusCode::BAD_REQUEST.into_response()));
            }
            let response = router.oneshot(request).await?;
            Ok::<_, Infallible>(if chunked { last_of_its_connection(response) } else { response })
        }
    });
    let connection = http_builder(&door.config).serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let enough = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(door.config.connection_age_max_ms)) => {}
        }
    };
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = enough => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, peer = %peer.address, "the HTTP connection failed");
    }
}

/// What follows a body in chunks is never read as a request: a proxy in front may have seen the end of the body elsewhere, and then it
/// was smuggled in (RFC 9112 section 11.2).
fn last_of_its_connection(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn http_builder(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.header_timeout_ms))
        .max_headers(config.headers_max)
        .max_header_size(config.header_bytes_max)
        .max_buf_size(config.header_bytes_max.max(BUFFER_BYTES_MIN));
    builder
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_notice_when_nobody_takes_what_they_send() {
        let config = Config { address: SocketAddr::from(([127, 0, 0, 1], 0)), unacknowledged_timeout_ms: 7_000, ..Config::default() };
        let listener = listen(&config).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(SockRef::from(&accepted).tcp_user_timeout().unwrap(), Some(Duration::from_secs(7)));
    }
}
