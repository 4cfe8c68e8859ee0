//! Where members come in, and with what.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::{reply, scan};
use crate::socket::{Handshake, SocketError, client_frame};

/// Members per source address on loopback: fewer than there are local ports.
const MEMBERS_PER_SOURCE: usize = 20_000;
/// The receive buffer of members that read slowly: what does not fit is the server's to keep.
const SLOW_RECEIVE_BUFFER_BYTES: usize = 16 << 10;
/// How long the server may take to let in one that waits for it.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// Response heads are shorter.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A node's WebSocket address. All members send the same key, so that the tool hashes nothing while it measures.
pub struct Door {
    pub address: SocketAddr,
    pub(super) handshake: Handshake,
}

impl Door {
    pub fn new(address: SocketAddr, deflate: bool) -> Self {
        let handshake = Handshake::new(address, "/ws");
        Self { address, handshake: if deflate { handshake.offering_deflate() } else { handshake } }
    }

    /// Begins to connect, for member `number`, with a small receive buffer if it will read slowly.
    pub(super) fn connect(&self, number: usize, slow: bool) -> io::Result<mio::net::TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if slow {
            socket.set_recv_buffer_size(SLOW_RECEIVE_BUFFER_BYTES)?;
        }
        let further = u8::try_from(number / MEMBERS_PER_SOURCE).unwrap_or(u8::MAX);
        if further > 0 && self.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            let source = Ipv4Addr::new(127, 0, 0, 1_u8.saturating_add(further));
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        match socket.connect(&self.address.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Err(error),
            _ => Ok(mio::net::TcpStream::from_std(socket.into())),
        }
    }

    /// A session that is let in at once, for publishers; and what came behind the reply.
    ///
    /// # Errors
    /// [`SocketError`] when the server does not let it in.
    pub fn open(&self, introduction: &str) -> Result<(TcpStream, Vec<u8>), SocketError> {
        let mut tcp = TcpStream::connect_timeout(&self.address, WELCOME_TIMEOUT)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(WELCOME_TIMEOUT))?;
        tcp.write_all(self.handshake.request.as_bytes())?;
        let mut buffer = Vec::with_capacity(1_024);
        let head = loop {
            if let Some(end) = head_end(&buffer) {
                break end;
            }
            more(&mut tcp, &mut buffer)?;
        };
        self.handshake.check(&String::from_utf8_lossy(&buffer[..head]))?;
        buffer.drain(..head);
        tcp.write_all(&client_frame(scan::TEXT, introduction.as_bytes()))?;
        loop {
            if let Some((payload, used)) = scan::frame(&buffer) {
                if !reply::is_welcome(payload) {
                    return Err(SocketError::Refused(String::from_utf8_lossy(payload).into_owned()));
                }
                buffer.drain(..used);
                return Ok((tcp, buffer));
            }
            more(&mut tcp, &mut buffer)?;
        }
    }
}

/// Where the response's head ends, once it is whole.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

fn more(tcp: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), SocketError> {
    let mut piece = [0; 1_024];
    let length = tcp.read(&mut piece)?;
    if length == 0 || buffer.len() > HEAD_BYTES_MAX {
        return Err(SocketError::Ended);
    }
    buffer.extend_from_slice(&piece[..length]);
    Ok(())
}
