//! Many subscribers on one thread: plain sockets and one poll, so that the tool costs less than what it measures.
//!
//! Scenarios connect a swarm, publish beside it and give it turns; it counts what arrives and checks every publication: its room, and
//! that the numbers which the publisher wrote into them are dense and in order. It trusts the server's framing, as `socket` does.

mod member;
mod publisher;
mod scan;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

pub use member::Expected;
use member::Member;
pub use publisher::Publisher;

use crate::socket::{Handshake, SocketError, client_frame};

/// How much is read from a socket at once.
const SCRATCH_BYTES: usize = 256 << 10;
/// How long the server may take to let one subscriber in.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest latency that is told apart, in microseconds, and how exactly, in digits.
const LATENCY_MAX_US: u64 = 60_000_000;
const LATENCY_DIGITS: u8 = 3;

/// What all members of a swarm have received, and what was wrong with it.
pub struct Tally {
    pub received: u64,
    pub bytes: u64,
    /// Numbers that were skipped.
    pub lost: u64,
    /// Numbers that were not higher than the one before: repeated, or out of order.
    pub behind: u64,
    /// Publications of another room than the expected.
    pub misrouted: u64,
    pub gaps: u64,
    /// Connections that ended.
    pub closed: u64,
    /// From the time that the publisher wrote into a publication until it was read, in microseconds.
    pub latency_us: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS).expect("the bounds are in order");
        Self { received: 0, bytes: 0, lost: 0, behind: 0, misrouted: 0, gaps: 0, closed: 0, latency_us }
    }
}

impl Tally {
    /// Nothing was lost, repeated, reordered, misrouted, admitted as lost or cut off.
    pub fn is_clean(&self) -> bool {
        self.lost + self.behind + self.misrouted + self.gaps + self.closed == 0
    }

    /// What went wrong, added up over several measurements.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.behind += other.behind;
        self.misrouted += other.misrouted;
        self.gaps += other.gaps;
        self.closed += other.closed;
    }
}

/// Subscribers that are connected.
pub struct Swarm {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    expected: Expected,
    scratch: Box<[u8]>,
    pub tally: Tally,
    /// The zero of the publishers' clock.
    begun: Instant,
}

/// How a subscriber comes in.
pub struct Door<'a> {
    pub address: SocketAddr,
    pub path: &'a str,
    /// The first command; its reply must be no error.
    pub introduction: String,
}

impl Swarm {
    /// Without members yet; `expected` is what they are to receive.
    ///
    /// # Errors
    /// When the operating system has no poll to give.
    pub fn new(expected: Expected) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            members: Vec::new(),
            expected,
            scratch: vec![0; SCRATCH_BYTES].into(),
            tally: Tally::default(),
            begun: Instant::now(),
        })
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The time in microseconds that publications are marked with.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Lets one subscriber in, and waits until it is.
    ///
    /// # Errors
    /// [`SocketError`] when the server does not.
    pub fn join(&mut self, door: &Door<'_>) -> Result<(), SocketError> {
        let (tcp, early) = self.open(door)?;
        Ok(self.adopt(tcp, early)?)
    }

    /// A connection that has been let in, and what came behind that.
    ///
    /// # Errors
    /// [`SocketError`] when the server does not let it in.
    pub fn open(&mut self, door: &Door<'_>) -> Result<(TcpStream, Vec<u8>), SocketError> {
        let mut tcp = TcpStream::connect(door.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(WELCOME_TIMEOUT))?;
        let handshake = Handshake::new(door.address, door.path);
        tcp.write_all(handshake.request.as_bytes())?;
        let mut buffer = Vec::with_capacity(1_024);
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.more(&mut tcp, &mut buffer)?;
        };
        handshake.check(&String::from_utf8_lossy(&buffer[..head]))?;
        buffer.drain(..head);
        tcp.write_all(&client_frame(0x1, door.introduction.as_bytes()))?;
        loop {
            if let Some((payload, used)) = scan::frame(&buffer) {
                let reply = String::from_utf8_lossy(payload).into_owned();
                buffer.drain(..used);
                if !reply.starts_with("{\"event\":\"authenticated\"") {
                    return Err(SocketError::Refused(reply));
                }
                return Ok((tcp, buffer));
            }
            self.more(&mut tcp, &mut buffer)?;
        }
    }

    fn more(&mut self, tcp: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), SocketError> {
        let length = tcp.read(&mut self.scratch)?;
        if length == 0 {
            return Err(SocketError::Ended);
        }
        buffer.extend_from_slice(&self.scratch[..length]);
        Ok(())
    }

    /// Takes in a connection that is past its beginning.
    ///
    /// # Errors
    /// When it cannot be polled.
    pub fn adopt(&mut self, tcp: TcpStream, early: Vec<u8>) -> io::Result<()> {
        tcp.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(tcp);
        self.poll.registry().register(&mut stream, Token(self.members.len()), Interest::READABLE)?;
        self.members.push(Member::new(stream, early));
        Ok(())
    }

    /// Waits for at most `timeout` and takes in what has come.
    ///
    /// # Errors
    /// What the poll reports.
    pub fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        let now_us = self.now_us();
        for event in &self.events {
            let Some(member) = self.members.get_mut(event.token().0) else { continue };
            member.read(&mut self.scratch, &self.expected, now_us, &mut self.tally);
        }
        Ok(())
    }

    /// What is still missing when everyone should have had the numbers below `count`.
    pub fn missing(&self, count: u64) -> u64 {
        self.members.iter().map(|member| count.saturating_sub(member.next())).sum()
    }
}
