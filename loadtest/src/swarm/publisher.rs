//! The publisher beside a swarm: many commands under way on one connection, none of which waits for the reply to the one before.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::scan;
use crate::socket::{SocketError, client_frame};

/// How much is read from the socket at once.
const SCRATCH_BYTES: usize = 64 << 10;
const TEXT: u8 = 0x1;

/// A connection that publishes into one room.
pub struct Publisher {
    tcp: TcpStream,
    event: String,
    room: String,
    filling: String,
    out: Vec<u8>,
    partial: Vec<u8>,
    scratch: Box<[u8]>,
    /// Numbers from 0 have been given out up to here.
    pub published: u64,
    pub acked: u64,
    /// The first reply that was no acknowledgement.
    pub refusal: Option<String>,
}

impl Publisher {
    /// On a connection that is past its beginning.
    ///
    /// # Errors
    /// When the socket cannot be used without waiting.
    pub fn new(tcp: TcpStream, event: &str, room: &str, filling_bytes: usize) -> io::Result<Self> {
        tcp.set_nonblocking(true)?;
        Ok(Self {
            tcp,
            event: event.to_owned(),
            room: room.to_owned(),
            filling: "x".repeat(filling_bytes),
            out: Vec::new(),
            partial: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into(),
            published: 0,
            acked: 0,
            refusal: None,
        })
    }

    /// Publishes the next `count` numbers, which are marked as sent at `now_us`.
    pub fn publish(&mut self, count: u64, now_us: u64) {
        for n in self.published..self.published + count {
            let Self { event, room, filling, .. } = self;
            let data = format!(r#"{{"n":{n},"t":{now_us},"fill":"{filling}"}}"#);
            let command = format!(r#"{{"event":"publish","id":{n},"data":{{"event":"{event}","room":"{room}","data":{data}}}}}"#);
            self.out.extend_from_slice(&client_frame(TEXT, command.as_bytes()));
        }
        self.published += count;
    }

    /// Writes what waits and reads the replies, as far as neither takes waiting.
    ///
    /// # Errors
    /// [`SocketError`] when the connection is of no use any more.
    pub fn pump(&mut self) -> Result<(), SocketError> {
        while !self.out.is_empty() {
            match self.tcp.write(&self.out) {
                Ok(length) => drop(self.out.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            match self.tcp.read(&mut self.scratch) {
                Ok(0) => return Err(SocketError::Ended),
                Ok(length) => self.partial.extend_from_slice(&self.scratch[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut used = 0;
        while let Some((payload, length)) = scan::frame(&self.partial[used..]) {
            if payload.starts_with(b"{\"event\":\"published\"") {
                self.acked += 1;
            } else if payload.starts_with(b"{\"event\":\"error\"") {
                self.refusal.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
            }
            used += length;
        }
        self.partial.drain(..used);
        Ok(())
    }
}
