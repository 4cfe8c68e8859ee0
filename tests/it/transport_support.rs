//! A listener on loopback with an echo route on the real reader and writer, and clients for it.

use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::{Bytes, BytesMut};
use hyper::upgrade::OnUpgrade;
use roomcast::protocol::Close;
use roomcast::transport::admission::Admission;
use roomcast::transport::listener::Config;
use roomcast::transport::websocket::upgrade::{into_stream, upgrade};
use roomcast::transport::websocket::{self, Assembler, Incoming, Opcode, Rules, accept, frame};
use roomcast::transport::{Listener, Peer, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

pub struct Server {
    pub address: SocketAddr,
    pub admission: Arc<Admission>,
    pub stop: CancellationToken,
    pub serving: JoinHandle<()>,
    _stop_at_the_end: DropGuard,
}

/// Routes: `/ws` echoes messages, `/peer` says who asks, `/wait` never answers.
pub fn serve(config: Config) -> Server {
    let config = Config { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..config };
    let listener = Listener::bind(config).unwrap();
    let rules = Arc::new(Rules::new(&websocket::Config::default()).unwrap());
    let router = Router::new()
        .route("/ws", get(echo).with_state(rules))
        .route("/peer", get(|Extension(peer): Extension<Peer>| async move { format!("{} tls={}", peer.address, peer.tls) }))
        .route("/wait", get(std::future::pending::<()>));
    let stop = CancellationToken::new();
    let (address, admission) = (listener.local_addr(), listener.admission());
    let serving = tokio::spawn(listener.serve(router, stop.clone()));
    Server { address, admission, stop: stop.clone(), serving, _stop_at_the_end: stop.drop_guard() }
}

async fn echo(State(rules): State<Arc<Rules>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let accepted = match accept(&parts, &rules) {
        Ok(accepted) => accepted,
        Err(refused) => return refused.into_response(),
    };
    let deflate = accepted.deflate.is_some();
    match upgrade(&mut Request::from_parts(parts, body), &accepted) {
        Ok((response, on_upgrade)) => {
            tokio::spawn(drive(on_upgrade, deflate));
            response
        }
        Err(refused) => refused.into_response(),
    }
}

/// The simplest possible driver: everything read is answered before more is read.
async fn drive(on_upgrade: OnUpgrade, deflate: bool) {
    let (mut stream, leftover) = into_stream(on_upgrade).await.unwrap();
    let config = websocket::Config { message_bytes_max: MESSAGE_BYTES_MAX, ..websocket::Config::default() };
    let mut assembler = Assembler::new(config.limits(deflate));
    let mut scratch = vec![0; 16 << 10];
    let mut input = BytesMut::from(leftover);
    loop {
        let (mut out, mut closed) = (BytesMut::new(), false);
        let fed = assembler.feed(&mut input, &mut |incoming| match incoming {
            Incoming::Text(text) => frame::server_frame(Opcode::Text, false, text.as_bytes(), &mut out),
            Incoming::Binary(bytes) => frame::server_frame(Opcode::Binary, false, bytes, &mut out),
            Incoming::Ping(payload) => frame::pong(payload, &mut out),
            Incoming::Pong(_) => {}
            Incoming::Close(close) => {
                closed = true;
                frame::close_echo(close.map(|(code, _)| code), &mut out);
            }
        });
        if let Err(violation) = fed {
            closed = true;
            frame::close(&Close::new(violation.close), &mut out);
        }
        if write(&mut stream, &out).await.is_err() || closed {
            return;
        }
        input.clear();
        match read(&mut stream, &mut scratch).await {
            Ok(count) if count > 0 => input.extend_from_slice(&scratch[..count]),
            _ => return,
        }
    }
}

async fn read(stream: &mut Stream, scratch: &mut [u8]) -> std::io::Result<usize> {
    loop {
        poll_fn(|context| stream.poll_readable(context)).await?;
        match stream.try_read(scratch) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

async fn write(stream: &mut Stream, mut bytes: &[u8]) -> std::io::Result<()> {
    loop {
        let (front, back) = bytes.split_at(bytes.len() / 2);
        let done = match bytes.len() {
            0 => stream.try_flush().map(|()| 0),
            1 => stream.try_write(bytes),
            _ => stream.try_write_vectored(&[IoSlice::new(front), IoSlice::new(back)]),
        };
        match done {
            Ok(_) if bytes.is_empty() => return Ok(()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => poll_fn(|context| stream.poll_writable(context)).await?,
            Err(error) => return Err(error),
        }
    }
}

/// A handshake as text, with further header lines.
pub fn handshake(lines: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// Reads up to the blank line.
pub async fn response_head(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(socket.read_u8()).await.expect("the head is whole"));
    }
    String::from_utf8(head).unwrap()
}

/// Everything until the server hangs up.
pub async fn to_the_end(socket: &mut (impl AsyncRead + Unpin)) -> Bytes {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = within(socket.read_to_end(&mut bytes)).await;
    bytes.into()
}

pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens before the deadline")
}
