//! The floor of connecting: accept, read the request, write the response, read the first command, write its reply.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{Bare, Door};
use crate::socket::accept_of;

/// A reply to the first command, short enough for a frame with a head of two bytes.
const REPLY: &[u8] =
    br#"{"event":"authenticated","id":1,"data":{"session_id":"019aa594-b580-7000-8000-000000000001","rooms":["kpi:acme"]}}"#;
/// Requests and first commands are shorter.
const SCRATCH_BYTES: usize = 16 << 10;

/// A bare server that lets everybody in.
pub struct Welcome {
    bare: Bare,
}

impl Welcome {
    /// Serves clients one after another and keeps them, on processor `cpu` if one is named. It looks at nothing they say.
    ///
    /// # Errors
    /// When there is no socket or no thread to be had.
    pub fn start(cpu: Option<usize>) -> anyhow::Result<Self> {
        Ok(Self { bare: Bare::start(cpu, serve)? })
    }

    pub fn address(&self) -> SocketAddr {
        self.bare.address
    }

    /// Processor time so far, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.bare.usage.cpu_ns()
    }
}

fn serve(door: &Door) -> io::Result<()> {
    let reply = [&[0x81, REPLY.len() as u8][..], REPLY].concat();
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut response = Response::default();
    let mut clients: Vec<TcpStream> = Vec::new();
    while let Some(mut client) = door.next()? {
        // One that goes away in the middle is no reason to end for the others.
        if welcome(&mut client, &mut scratch, &mut response, &reply).is_ok() {
            clients.push(client);
        }
    }
    Ok(())
}

fn welcome(client: &mut TcpStream, scratch: &mut [u8], response: &mut Response, reply: &[u8]) -> io::Result<()> {
    let mut read = 0;
    while !scratch[..read].ends_with(b"\r\n\r\n") {
        read += some(client.read(&mut scratch[read..])?)?;
    }
    client.write_all(response.to(&scratch[..read]))?;
    // The first command fits into one segment of loopback.
    some(client.read(scratch)?)?;
    client.write_all(reply)
}

fn some(length: usize) -> io::Result<usize> {
    if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(length) }
}

/// The response to a request, made anew only when the key is another than the last.
#[derive(Default)]
struct Response {
    key: Vec<u8>,
    bytes: Vec<u8>,
}

impl Response {
    fn to(&mut self, request: &[u8]) -> &[u8] {
        const FIELD: &[u8] = b"Sec-WebSocket-Key: ";
        let key = memchr::memmem::find(request, FIELD).map_or(&[][..], |at| &request[at + FIELD.len()..]);
        let key = &key[..memchr::memchr(b'\r', key).unwrap_or(key.len())];
        if self.key != key {
            key.clone_into(&mut self.key);
            self.bytes = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\
                 Sec-WebSocket-Protocol: roomcast.v1\r\n\r\n",
                accept_of(key)
            )
            .into_bytes();
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::Handshake;

    #[test]
    fn clients_take_the_response_for_a_good_one() {
        let mut response = Response::default();
        for _ in 0..2 {
            let handshake = Handshake::new(([127, 0, 0, 1], 1).into(), "/ws");
            let head = String::from_utf8(response.to(handshake.request.as_bytes()).to_vec()).unwrap();
            assert!(handshake.check(&head).is_ok(), "{head}");
        }
        assert!(REPLY.len() <= 125);
    }
}
