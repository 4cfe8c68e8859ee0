//! A WebSocket from the client's side (RFC 6455): handshake over TCP, text messages, pings answered.
//!
//! Reading is cancel-safe: bytes stay in the buffer until a message is whole. It trusts the server as far as framing goes, and
//! is no model for one that must not.

use std::io;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

/// Largest response head and message that are read.
const HEAD_BYTES_MAX: usize = 16 << 10;
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// RFC 6455 section 1.3.
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// What arrives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming {
    Text(Bytes),
    Ping(Bytes),
    /// The server's last word: code (1005 when it gave none, RFC 6455 section 7.1.5) and reason.
    Close(u16, String),
    /// A pong, or a kind of message that the JSON protocol does not have.
    Other,
}

/// Why a connection cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// With the head of the answer.
    #[error("the server answered {:?}", .0.lines().next().unwrap_or_default())]
    Refused(String),
    #[error("a frame of {0} bytes")]
    TooLarge(u64),
    #[error("the connection ended without a close frame")]
    Ended,
}

/// The reading side.
pub struct Reader {
    tcp: OwnedReadHalf,
    buffer: BytesMut,
}

/// The writing side.
pub struct Writer {
    tcp: OwnedWriteHalf,
}

/// Connects and asks for `path`.
///
/// # Errors
/// [`SocketError`] when there is no connection or the server does not switch protocols.
pub async fn connect(address: SocketAddr, path: &str) -> Result<(Reader, Writer), SocketError> {
    connect_with(address, path, None).await
}

/// The same, with a receive buffer of this size.
///
/// # Errors
/// [`SocketError`] when there is no connection or the server does not switch protocols.
pub async fn connect_with(address: SocketAddr, path: &str, receive_buffer_bytes: Option<u32>) -> Result<(Reader, Writer), SocketError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(bytes) = receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    let mut tcp = socket.connect(address).await?;
    tcp.set_nodelay(true)?;
    let handshake = Handshake::new(address, path);
    tcp.write_all(handshake.request.as_bytes()).await?;
    let mut buffer = BytesMut::new();
    handshake.check(&read_head(&mut tcp, &mut buffer).await?)?;
    let (read, write) = tcp.into_split();
    Ok((Reader { tcp: read, buffer }, Writer { tcp: write }))
}

/// The opening handshake (RFC 6455 section 4.1), whoever carries it.
pub struct Handshake {
    pub request: String,
    accept: String,
    deflates: bool,
}

impl Handshake {
    pub fn new(address: SocketAddr, path: &str) -> Self {
        let key = STANDARD.encode(rand::random::<[u8; 16]>());
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: roomcast.v1\r\n\r\n"
        );
        Self { request, accept: accept_of(key.as_bytes()), deflates: false }
    }

    /// The same with an offer of permessage-deflate, in which every message stands by itself (RFC 7692 section 7.1.1).
    #[must_use]
    pub fn offering_deflate(mut self) -> Self {
        self.deflates = true;
        let end = self.request.len() - "\r\n".len();
        self.request.truncate(end);
        self.request
            .push_str("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\r\n");
        self
    }

    /// # Errors
    /// [`SocketError::Refused`] when the response with this head does not switch protocols, or not to an extension that was offered.
    pub fn check(&self, head: &str) -> Result<(), SocketError> {
        if !head.starts_with("HTTP/1.1 101 ") || !head.contains(&self.accept) {
            return Err(SocketError::Refused(head.to_owned()));
        }
        if self.deflates && !head.contains("permessage-deflate") {
            return Err(SocketError::Refused("without permessage-deflate, which was offered".to_owned()));
        }
        Ok(())
    }
}

/// A server's proof that it read the request with this key (RFC 6455 section 4.2.2).
pub(crate) fn accept_of(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(ACCEPT_GUID).finalize())
}

/// A whole message as a client sends it: one masked frame (RFC 6455 section 5.3).
pub fn client_frame(opcode: u8, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(payload.len() + 14);
    out.put_u8(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => out.put_u8(0x80 | short as u8),
        middle @ 126..=0xffff => {
            out.put_u8(0x80 | 126);
            out.put_u16(middle as u16);
        }
        long => {
            out.put_u8(0x80 | 127);
            out.put_u64(long as u64);
        }
    }
    let mask: [u8; 4] = rand::random();
    out.put_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

async fn read_head(tcp: &mut TcpStream, buffer: &mut BytesMut) -> Result<String, SocketError> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(String::from_utf8_lossy(&buffer.split_to(end + 4)).into_owned());
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(SocketError::TooLarge(buffer.len() as u64));
        }
        if tcp.read_buf(buffer).await? == 0 {
            return Err(SocketError::Ended);
        }
    }
}

impl Reader {
    /// The next message or control frame. Cancel-safe.
    ///
    /// # Errors
    /// [`SocketError`] when the connection is of no use any more.
    pub async fn read(&mut self) -> Result<Incoming, SocketError> {
        loop {
            if let Some(incoming) = self.parse()? {
                return Ok(incoming);
            }
            if self.tcp.read_buf(&mut self.buffer).await? == 0 {
                return Err(SocketError::Ended);
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Incoming>, SocketError> {
        let bytes = &self.buffer[..];
        let [first, second, ..] = bytes else { return Ok(None) };
        let (opcode, short) = (first & 0x0f, second & 0x7f);
        let (head, length) = match (short, &bytes[2..]) {
            (126, [a, b, ..]) => (4, u64::from(u16::from_be_bytes([*a, *b]))),
            (127, [a, b, c, d, e, f, g, h, ..]) => (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
            (126 | 127, _) => return Ok(None),
            (short, _) => (2, u64::from(short)),
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= MESSAGE_BYTES_MAX).ok_or(SocketError::TooLarge(length))?;
        if bytes.len() < head + length {
            return Ok(None);
        }
        self.buffer.advance(head);
        let payload = self.buffer.split_to(length).freeze();
        Ok(Some(match opcode {
            TEXT => Incoming::Text(payload),
            PING => Incoming::Ping(payload),
            CLOSE => close(&payload),
            _ => Incoming::Other,
        }))
    }
}

fn close(payload: &[u8]) -> Incoming {
    match payload {
        [high, low, reason @ ..] => Incoming::Close(u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason).into_owned()),
        _ => Incoming::Close(1_005, String::new()),
    }
}

impl Writer {
    /// # Errors
    /// What the socket reports.
    pub async fn text(&mut self, text: &str) -> io::Result<()> {
        self.frame(TEXT, text.as_bytes()).await
    }

    /// # Errors
    /// What the socket reports.
    pub async fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        self.frame(PONG, payload).await
    }

    /// # Errors
    /// What the socket reports.
    pub async fn close(&mut self, code: u16) -> io::Result<()> {
        self.frame(CLOSE, &code.to_be_bytes()).await
    }

    async fn frame(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.tcp.write_all(&client_frame(opcode, payload)).await
    }
}
