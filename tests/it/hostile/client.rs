//! A WebSocket client that can do everything wrong: it sends bytes as they are and reads the server's frames strictly.

use std::net::SocketAddr;

use flate2::{Decompress, FlushDecompress};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::gateway::Gateway;
use crate::support::DEADLINE;

pub const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// What came from the server.
#[derive(Clone, PartialEq, Debug)]
pub enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// 1005 stands for a close frame without a code, as in RFC 6455 section 7.1.5.
    Close(u16, String),
    /// The connection ended without a close frame.
    End,
}

pub struct Client {
    socket: TcpStream,
    /// Whether the server agreed to permessage-deflate.
    pub deflated: bool,
}

/// A handshake as text, with further header lines.
pub fn request(path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// A whole masked frame: `first` holds FIN, the reserved bits and the opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

pub fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason].concat())
}

pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

impl Client {
    /// # Panics
    /// When the handshake is refused.
    pub async fn open(gateway: &Gateway, path: &str, lines: &str) -> Self {
        Self::open_at(gateway.address, path, lines).await
    }

    pub async fn open_at(address: SocketAddr, path: &str, lines: &str) -> Self {
        let mut socket = within("connecting", TcpStream::connect(address)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        socket.write_all(request(path, lines).as_bytes()).await.unwrap();
        let head = response_head(&mut socket).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let deflated = head.to_ascii_lowercase().contains("permessage-deflate");
        Self { socket, deflated }
    }

    /// Goes on after a handshake that somebody else made.
    pub fn over(socket: TcpStream) -> Self {
        Self { socket, deflated: false }
    }

    /// Opens a session and waits until it is authenticated.
    pub async fn session(gateway: &Gateway, token: &str) -> Self {
        Self::session_with(gateway, token, "").await
    }

    pub async fn session_with(gateway: &Gateway, token: &str, lines: &str) -> Self {
        let mut client = Self::open(gateway, "/ws", lines).await;
        client.command(&json!({"event": "authenticate", "data": {"token": token}})).await;
        assert_eq!(client.message().await["event"], "authenticated");
        client
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // The server may hang up in the middle; what it said before counts.
        let _ = within("sending", self.socket.write_all(bytes)).await;
    }

    pub async fn command(&mut self, command: &Value) {
        self.send(&text(&command.to_string())).await;
    }

    /// The next JSON message; pings of the server are answered on the way.
    pub async fn message(&mut self) -> Value {
        loop {
            match self.heard().await {
                Heard::Text(text) => return serde_json::from_str(&text).unwrap(),
                Heard::Ping(payload) => self.send(&frame(0x8a, &payload)).await,
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// The answer to the command with this id; pushes before it are skipped.
    pub async fn answer(&mut self, id: &str) -> Value {
        loop {
            let message = self.message().await;
            if message["id"] == id {
                return message;
            }
        }
    }

    /// # Panics
    /// When the session does not answer a ping command any more.
    pub async fn assert_alive(&mut self, after: &str) {
        self.command(&json!({"event": "client:ping", "id": "alive"})).await;
        let answer = within(after, self.answer("alive")).await;
        assert_eq!(answer["event"], "client:pong", "{after}");
    }

    /// The close code and reason; messages before it are skipped.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.heard().await {
                Heard::Close(code, reason) => return (code, reason),
                Heard::End => return (1006, String::new()),
                _ => {}
            }
        }
    }

    pub async fn heard(&mut self) -> Heard {
        within("the server says something", self.read()).await.unwrap_or(Heard::End)
    }

    /// Ends the TCP connection at once, by a reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    pub async fn until_hung_up(mut self) {
        let mut rest = Vec::new();
        let _ = within("the server hangs up", self.socket.read_to_end(&mut rest)).await;
    }

    async fn read(&mut self) -> std::io::Result<Heard> {
        let mut message: Option<(u8, bool, Vec<u8>)> = None;
        loop {
            let (first, payload) = self.read_frame().await?;
            let (fin, compressed, opcode) = (first & 0x80 != 0, first & 0x40 != 0, first & 0x0f);
            assert_eq!(first & 0x30, 0, "the server sets no reserved bits");
            assert!(!compressed || self.deflated, "RSV1 without an agreement");
            match opcode {
                8 => return Ok(close_of(&payload)),
                9 => return Ok(Heard::Ping(payload)),
                10 => return Ok(Heard::Pong(payload)),
                0 => message.as_mut().expect("something is continued").2.extend_from_slice(&payload),
                _ => message = Some((opcode, compressed, payload)),
            }
            if fin && let Some((opcode, compressed, payload)) = message.take() {
                let payload = if compressed { inflate(&payload) } else { payload };
                return Ok(if opcode == 1 { Heard::Text(String::from_utf8(payload).unwrap()) } else { Heard::Binary(payload) });
            }
        }
    }

    async fn read_frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let (first, second) = (self.socket.read_u8().await?, self.socket.read_u8().await?);
        assert_eq!(second & 0x80, 0, "servers do not mask");
        let length = match second {
            126 => u64::from(self.socket.read_u16().await?),
            127 => self.socket.read_u64().await?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.socket.read_exact(&mut payload).await?;
        Ok((first, payload))
    }
}

fn close_of(payload: &[u8]) -> Heard {
    match payload {
        [] => Heard::Close(1005, String::new()),
        [high, low, reason @ ..] => Heard::Close(u16::from_be_bytes([*high, *low]), String::from_utf8(reason.to_vec()).unwrap()),
        [_] => panic!("the server sent half a close code"),
    }
}

fn inflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 << 20);
    Decompress::new(false).decompress_vec(&[payload, &[0, 0, 0xff, 0xff]].concat(), &mut out, FlushDecompress::Sync).unwrap();
    out
}

/// Reads up to the blank line, or to the end.
pub async fn response_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match within("the head of a response", socket.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
