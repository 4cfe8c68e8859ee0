//! One subscriber of a swarm: its socket, half a frame at most, and the number that comes next.

use std::io::{self, Read};

use memchr::memmem::Finder;

use super::Tally;
use super::scan::{frame, number};

/// What every publication is to look like.
pub enum Expected {
    /// The first bytes up to the room and including it; then, somewhere, `"data":{"n":<number>,"t":<µs>`.
    Publications { head: Vec<u8>, numbers: Box<Finder<'static>> },
    /// Frames that are only counted.
    Frames,
}

impl Expected {
    /// Publications into `room` with `event`, as the gateway writes them.
    pub fn publications(event: &str, room: &str) -> Self {
        let head = format!("{{\"event\":\"{event}\",\"room\":\"{room}\",").into_bytes();
        Self::Publications { head, numbers: Box::new(Finder::new(b"\"data\":{\"n\":")) }
    }
}

pub(super) struct Member {
    stream: mio::net::TcpStream,
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    next: u64,
    open: bool,
}

impl Member {
    pub fn new(stream: mio::net::TcpStream, early: Vec<u8>) -> Self {
        Self { stream, partial: early, next: 0, open: true }
    }

    /// One more than the highest number that came.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Reads all that is there. The poll tells once, so a read that does not fill the buffer is the last.
    pub fn read(&mut self, scratch: &mut [u8], expected: &Expected, now_us: u64, tally: &mut Tally) {
        while self.open {
            match self.stream.read(scratch) {
                Ok(0) => self.end(tally),
                Ok(length) => {
                    self.take_in(&scratch[..length], expected, now_us, tally);
                    if length < scratch.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.end(tally),
            }
        }
    }

    fn end(&mut self, tally: &mut Tally) {
        self.open = false;
        tally.closed += 1;
    }

    fn take_in(&mut self, bytes: &[u8], expected: &Expected, now_us: u64, tally: &mut Tally) {
        tally.bytes += bytes.len() as u64;
        if self.partial.is_empty() {
            let used = self.frames(bytes, expected, now_us, tally);
            self.partial.extend_from_slice(&bytes[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(bytes);
            let used = self.frames(&whole, expected, now_us, tally);
            whole.drain(..used);
            self.partial = whole;
        }
    }

    /// Checks the frames that are whole; how many bytes they took up.
    fn frames(&mut self, bytes: &[u8], expected: &Expected, now_us: u64, tally: &mut Tally) -> usize {
        let mut used = 0;
        while let Some((payload, length)) = frame(&bytes[used..]) {
            self.check(bytes[used], payload, expected, now_us, tally);
            used += length;
        }
        used
    }

    fn check(&mut self, first: u8, payload: &[u8], expected: &Expected, now_us: u64, tally: &mut Tally) {
        let Expected::Publications { head, numbers } = expected else {
            tally.received += 1;
            return;
        };
        if !payload.starts_with(head) {
            return other(first, payload, tally);
        }
        tally.received += 1;
        let at = numbers.find(payload).map(|at| at + numbers.needle().len());
        let Some((n, rest)) = at.and_then(|at| number(&payload[at..])) else {
            tally.misrouted += 1;
            return;
        };
        if n >= self.next {
            tally.lost += n - self.next;
            self.next = n + 1;
        } else {
            tally.behind += 1;
        }
        if let Some((sent_us, _)) = rest.strip_prefix(b",\"t\":").and_then(number) {
            tally.latency_us.saturating_record(now_us.saturating_sub(sent_us).max(1));
        }
    }
}

/// Everything that is no publication of the expected room: pings and positions mean nothing here.
fn other(first: u8, payload: &[u8], tally: &mut Tally) {
    const TEXT: u8 = 0x1;
    if first & 0x0f != TEXT {
        return;
    }
    if payload.starts_with(b"{\"event\":\"gap\"") {
        tally.gaps += 1;
    } else if payload.windows(8).take(128).any(|window| window == b"\"room\":\"") {
        tally.misrouted += 1;
    }
}
