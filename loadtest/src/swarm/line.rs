//! A socket that never waits: what does not go out now goes out later, and half a frame is kept until it is whole.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// One connection's socket and its two buffers, both empty most of the time.
pub(super) struct Line {
    /// `None` once it was closed from this side.
    stream: Option<TcpStream>,
    out: Vec<u8>,
    pub partial: Vec<u8>,
}

/// What one read came to.
pub(super) enum Received {
    /// So many bytes; whether there may be more.
    Some(usize, bool),
    /// Nothing is there now.
    Nothing,
    Ended,
}

impl Line {
    pub fn new(stream: TcpStream, partial: Vec<u8>) -> Self {
        Self { stream: Some(stream), out: Vec::new(), partial }
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.stream.as_mut().map_or(Ok(()), |stream| registry.register(stream, token, Interest::READABLE | Interest::WRITABLE))
    }

    /// Closes it, without a word and whatever waits.
    pub fn close(&mut self) {
        self.stream = None;
        self.out = Vec::new();
        self.partial = Vec::new();
    }

    /// Whether the connection stands; an error when it cannot be made.
    pub fn is_connected(&self) -> io::Result<bool> {
        let Some(stream) = &self.stream else { return Ok(false) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            outcome => outcome.map(|_| true),
        }
    }

    /// Sends what waits and then `bytes`, as far as they go.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        self.flush()
    }

    /// Puts `bytes` behind what waits.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// How much waits to go out.
    pub fn waiting_bytes(&self) -> usize {
        self.out.len()
    }

    pub fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut sent = 0;
        while sent < self.out.len() {
            match stream.write(&self.out[sent..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..sent);
        Ok(())
    }

    /// Reads into `scratch`. The poll tells once, so a read that does not fill it is the last.
    pub fn read(&mut self, scratch: &mut [u8]) -> Received {
        let Some(stream) = &mut self.stream else { return Received::Ended };
        loop {
            return match stream.read(scratch) {
                Ok(0) => Received::Ended,
                Ok(length) => Received::Some(length, length == scratch.len()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => Received::Ended,
            };
        }
    }
}
