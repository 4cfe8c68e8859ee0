//! Between coordinator and agents: JSON, one message a line, over TCP. Lines and waits are bounded on both sides. It is not encrypted.

pub(crate) mod message;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Both sides must speak the same.
pub(crate) const PROTOCOL: u32 = 1;
/// What a line may have before the other side is known, and after: a report with its histograms.
pub(crate) const STRANGER_BYTES_MAX: usize = 4 << 10;
pub(crate) const LINE_BYTES_MAX: usize = 32 << 20;
/// How long a first message or a connection may take.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Each side says at least so often that it is there, and takes the other for dead when it was silent for so long.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(1);
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How often either side looks whether it has something to say.
pub(crate) const TURN: Duration = Duration::from_millis(50);
/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection ended")]
    Ended,
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("a line has more than {0} bytes")]
    TooLong(usize),
    #[error("what came is no message of this protocol: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One connection.
pub(crate) struct Wire {
    tcp: TcpStream,
    pending: Vec<u8>,
    /// So much of `pending` has no line's end.
    searched: usize,
    chunk: Box<[u8]>,
    pub line_bytes_max: usize,
    heard_at: Instant,
    said_at: Instant,
}

impl Wire {
    /// # Errors
    /// When the socket takes no settings.
    pub fn new(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        tcp.set_write_timeout(Some(SILENCE_MAX))?;
        let now = Instant::now();
        let chunk = vec![0; CHUNK_BYTES].into();
        Ok(Self { tcp, pending: Vec::new(), searched: 0, chunk, line_bytes_max: STRANGER_BYTES_MAX, heard_at: now, said_at: now })
    }

    /// # Errors
    /// [`WireError`] when the connection is of no use any more.
    pub fn send(&mut self, message: &impl Serialize) -> Result<(), WireError> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.tcp.write_all(&line)?;
        self.said_at = Instant::now();
        Ok(())
    }

    /// Whether it is time to say that this side is there.
    pub fn should_say(&self) -> bool {
        self.said_at.elapsed() >= ALIVE_EVERY
    }

    /// The next message, if it comes within `wait`.
    ///
    /// # Errors
    /// [`WireError`] when the connection is of no use any more, or the other side was silent for too long.
    pub fn receive<T: DeserializeOwned>(&mut self, wait: Duration) -> Result<Option<T>, WireError> {
        let until = Instant::now() + wait;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.pending[self.searched..]) {
                let end = self.searched + at;
                if end > self.line_bytes_max {
                    return Err(WireError::TooLong(self.line_bytes_max));
                }
                let message = serde_json::from_slice(&self.pending[..end]);
                self.pending.drain(..=end);
                self.searched = 0;
                return Ok(Some(message?));
            }
            self.searched = self.pending.len();
            if self.pending.len() > self.line_bytes_max {
                return Err(WireError::TooLong(self.line_bytes_max));
            }
            if self.heard_at.elapsed() > SILENCE_MAX {
                return Err(WireError::Silent(SILENCE_MAX));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.tcp.set_read_timeout(Some(left))?;
            match self.tcp.read(&mut self.chunk) {
                Ok(0) => return Err(WireError::Ended),
                Ok(length) => {
                    self.pending.extend_from_slice(&self.chunk[..length]);
                    self.heard_at = Instant::now();
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message, which must come within `wait`.
    ///
    /// # Errors
    /// [`WireError`] when it does not.
    pub fn expect<T: DeserializeOwned>(&mut self, wait: Duration) -> Result<T, WireError> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.receive(left)? {
                Some(message) => return Ok(message),
                None if Instant::now() >= until => return Err(WireError::Silent(wait)),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, Wire::new(listener.accept().unwrap().0).unwrap())
    }

    #[test]
    fn messages_are_lines_however_they_are_cut() {
        let (mut near, mut wire) = pair();
        near.write_all(b"[1]\n[2]\n[").unwrap();
        let second = Duration::from_secs(5);
        assert_eq!(wire.expect::<Vec<u8>>(second).unwrap(), [1]);
        assert_eq!(wire.expect::<Vec<u8>>(second).unwrap(), [2]);
        assert_eq!(wire.receive::<Vec<u8>>(Duration::from_millis(1)).unwrap(), None);
        near.write_all(b"3]\n").unwrap();
        assert_eq!(wire.expect::<Vec<u8>>(second).unwrap(), [3]);
        drop(near);
        assert!(matches!(wire.expect::<Vec<u8>>(second), Err(WireError::Ended)));
    }

    #[test]
    fn strangers_cannot_send_long_lines() {
        let (mut near, mut wire) = pair();
        near.write_all(&[b'x'; STRANGER_BYTES_MAX + 1]).unwrap();
        assert!(matches!(wire.expect::<Vec<u8>>(Duration::from_secs(5)), Err(WireError::TooLong(STRANGER_BYTES_MAX))));
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        let (_near, mut wire) = pair();
        assert!(matches!(wire.expect::<Vec<u8>>(Duration::from_millis(1)), Err(WireError::Silent(_))));
    }
}
