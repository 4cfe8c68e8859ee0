//! A stretch of network between two processes: it forwards, holds everything back as if packets were dropped, resets, breaks off in
//! the middle of a message, or leads elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

/// Connections that may wait for the proxy while it holds: further ones get no answer at all, as behind a dropping firewall.
const BACKLOG: u32 = 1;

/// A forwarding port.
pub struct Proxy {
    pub port: u16,
    way: watch::Sender<Way>,
}

#[derive(Clone, Copy)]
struct Way {
    target: u16,
    open: bool,
    /// Connections of an earlier generation are reset.
    generation: u32,
    /// How many bytes may still come from the target before everything breaks.
    bytes_left: Option<usize>,
}

impl Proxy {
    /// Leads to `target`, a port of loopback.
    pub async fn start(target: u16) -> Self {
        let socket = TcpSocket::new_v4().expect("sockets are to be had");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has a free port");
        let listener = socket.listen(BACKLOG).expect("the port is ours");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let (way, seen) = watch::channel(Way { target, open: true, generation: 0, bytes_left: None });
        let shared = way.clone();
        tokio::spawn(async move {
            let mut opened = seen.clone();
            while opened.wait_for(|way| way.open).await.is_ok() {
                let Ok((inbound, _)) = listener.accept().await else { continue };
                tokio::spawn(carry(inbound, shared.clone(), seen.clone()));
            }
        });
        Self { port, way }
    }

    /// Cuts every connection and leads new ones to another port.
    pub fn lead_to(&self, port: u16) {
        self.way.send_modify(|way| (way.target, way.generation) = (port, way.generation + 1));
    }

    /// Lets nothing pass, in no direction; nobody is told.
    pub fn hold(&self) {
        self.way.send_modify(|way| way.open = false);
    }

    /// Resets every connection; new ones pass.
    pub fn reset(&self) {
        self.way.send_modify(|way| (way.open, way.generation) = (true, way.generation + 1));
    }

    /// Resets every connection once `bytes` more have come from the target.
    pub fn break_after(&self, bytes: usize) {
        self.way.send_modify(|way| way.bytes_left = Some(bytes));
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// Carries one connection until an end closes it or it is reset.
async fn carry(inbound: TcpStream, way: watch::Sender<Way>, mut seen: watch::Receiver<Way>) {
    let Way { target, generation, .. } = *seen.borrow_and_update();
    let Ok(outbound) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    for stream in [&inbound, &outbound] {
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
    let (mut from_client, mut to_client) = inbound.into_split();
    let (mut from_target, mut to_target) = outbound.into_split();
    let up = pass(&mut from_client, &mut to_target, seen.clone(), |length| length);
    let down = pass(&mut from_target, &mut to_client, seen.clone(), |length| spend(&way, length));
    tokio::select! {
        _ = up => {}
        _ = down => {}
        _ = seen.wait_for(|way| way.generation != generation) => {}
    }
}

/// Hands on what `allowed` lets through; ends with the stream, or when not everything was let through.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut seen: watch::Receiver<Way>,
    allowed: impl Fn(usize) -> usize,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 || seen.wait_for(|way| way.open).await.is_err() {
            return Ok(());
        }
        let passing = allowed(length);
        to.write_all(&buffer[..passing]).await?;
        if passing < length {
            return Ok(());
        }
    }
}

/// How much of `length` may pass; when it is not all, the connections end.
fn spend(way: &watch::Sender<Way>, length: usize) -> usize {
    let mut passing = length;
    way.send_if_modified(|way| {
        let Some(left) = way.bytes_left else { return false };
        passing = length.min(left);
        let broken = passing < length;
        way.bytes_left = if broken { None } else { Some(left - passing) };
        way.generation += u32::from(broken);
        // Others need to look only when there is something to see.
        broken
    });
    passing
}
