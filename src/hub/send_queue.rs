//! What waits to be written to one session: bounded in bytes, written straight to the socket while it is empty.
//!
//! The org's task pushes, the session's own task flushes what the socket did not take at once. When the queue overflows, its
//! publications are dropped and the session is lagging: the org's task catches it up from the log once it reads again.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

use crate::protocol::{Close, Position};

/// Pieces handed to the socket in one write.
const SLICES_MAX: usize = 64;

/// The socket under a queue, where it can be written without waiting. Encrypted streams have none: their own task writes.
pub trait Sink: Send + Sync + 'static {
    /// Writes what the socket takes now; `WouldBlock` when it takes nothing.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// Bounds of one session's queue.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Publications waiting, in bytes. Beyond it the session is lagging.
    pub bytes_max: usize,
    /// Replies waiting, in bytes. Beyond it the session's commands are not read until they are written.
    pub replies_bytes_max: usize,
}

/// What became of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// Written or waiting.
    Taken,
    /// There was no room: nothing of the log waits any more, and delivery must resume after this position.
    Overflowed(Position),
    /// The connection is gone or going.
    Closed,
}

/// One session's outgoing bytes.
pub struct SendQueue {
    inner: Mutex<Inner>,
    wake: Notify,
    sink: Option<Arc<dyn Sink>>,
    limits: Limits,
}

#[derive(Default)]
struct Inner {
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk is written.
    written: usize,
    log_bytes: usize,
    reply_bytes: usize,
    /// Somebody wants to know when nothing waits.
    drain_wanted: bool,
    close: Option<Close>,
    closed: bool,
}

struct Chunk {
    bytes: Bytes,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A reply or a control frame: never dropped.
    Reply,
    /// Publications; the position is where the reader stands before them, `None` for ephemeral ones.
    Log(Option<Position>),
}

impl SendQueue {
    pub fn new(limits: Limits, sink: Option<Arc<dyn Sink>>) -> Self {
        Self { inner: Mutex::default(), wake: Notify::new(), sink, limits }
    }

    /// Pushes publications; `before` is the position of a reader who has everything up to them, `None` for ephemeral ones.
    pub fn push_log(&self, bytes: &Bytes, before: Option<Position>) -> Pushed {
        let mut inner = self.inner.lock();
        if inner.closed || inner.close.is_some() {
            return Pushed::Closed;
        }
        let left = match self.write_now(&mut inner, bytes) {
            Some(written) if written == bytes.len() => return Pushed::Taken,
            Some(written) => written,
            None => return Pushed::Closed,
        };
        // A frame that is partly on the wire must be finished, so it is queued whatever its size.
        if left == 0 && inner.log_bytes + bytes.len() > self.limits.bytes_max && inner.log_bytes > 0 {
            return match (before, inner.drop_log()) {
                (_, Some(dropped)) => Pushed::Overflowed(dropped),
                (Some(before), None) => Pushed::Overflowed(before),
                (None, None) => Pushed::Taken,
            };
        }
        inner.enqueue(bytes.clone(), left, Kind::Log(before));
        drop(inner);
        self.wake.notify_one();
        Pushed::Taken
    }

    /// Pushes a reply or a control frame behind whatever waits.
    pub fn push_reply(&self, bytes: Bytes) {
        let mut inner = self.inner.lock();
        if inner.closed || inner.close.is_some() {
            return;
        }
        match self.write_now(&mut inner, &bytes) {
            Some(written) if written < bytes.len() => inner.enqueue(bytes, written, Kind::Reply),
            _ => return,
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Asks for the connection's end; what waits is written first, within the close timeout of the session.
    pub fn close(&self, close: Close) {
        let mut inner = self.inner.lock();
        inner.close.get_or_insert(close);
        drop(inner);
        self.wake.notify_one();
    }

    /// Puts the connection's last bytes behind what waits; nothing more is taken.
    pub fn finish_with(&self, bytes: Bytes) {
        let mut inner = self.inner.lock();
        inner.enqueue(bytes, 0, Kind::Reply);
        inner.closed = true;
    }

    /// The connection is gone: forget everything.
    pub fn shut(&self) {
        let mut inner = self.inner.lock();
        *inner = Inner { closed: true, ..Inner::default() };
    }

    /// The close that somebody asked for.
    pub fn close_asked(&self) -> Option<Close> {
        self.inner.lock().close.clone()
    }

    pub fn is_closed(&self) -> bool {
        let inner = self.inner.lock();
        inner.closed || inner.close.is_some()
    }

    /// Waits until a push left something to write, or a close was asked for.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    pub fn is_empty(&self) -> bool {
        self.inner.lock().chunks.is_empty()
    }

    /// Bytes waiting, for metrics and limits.
    pub fn bytes(&self) -> usize {
        let inner = self.inner.lock();
        inner.log_bytes + inner.reply_bytes
    }

    /// Whether publications wait, which an overflow would drop.
    pub fn holds_log(&self) -> bool {
        self.inner.lock().log_bytes > 0
    }

    /// Whether replies pile up so that no further command should be read.
    pub fn replies_full(&self) -> bool {
        self.inner.lock().reply_bytes > self.limits.replies_bytes_max
    }

    /// Room for publications before the queue counts as full enough for catch-up, in bytes.
    pub fn log_room(&self) -> usize {
        (self.limits.bytes_max / 2).saturating_sub(self.inner.lock().log_bytes)
    }

    /// Wants a notice when nothing waits; `false` when that is so already.
    pub fn want_drain(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.drain_wanted = !inner.chunks.is_empty();
        inner.drain_wanted
    }

    /// Whether the notice is due now; asks once.
    pub fn take_drained(&self) -> bool {
        let mut inner = self.inner.lock();
        let due = inner.drain_wanted && inner.chunks.is_empty();
        inner.drain_wanted &= !due;
        due
    }

    /// Writes what waits, as far as `write` (a vectored, non-blocking write) takes it; whether nothing waits any more.
    ///
    /// The lock is held meanwhile: what is on its way to the socket must not be dropped by an overflow.
    ///
    /// # Errors
    /// What `write` reports, `WouldBlock` aside.
    pub fn flush(&self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<bool> {
        let mut inner = self.inner.lock();
        while !inner.chunks.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for (slice, chunk) in slices.iter_mut().zip(&inner.chunks) {
                *slice = IoSlice::new(if count == 0 { &chunk.bytes[inner.written..] } else { &chunk.bytes });
                count += 1;
            }
            match write(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => inner.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Tries the socket while nothing waits. `None`: the connection is broken.
    fn write_now(&self, inner: &mut Inner, bytes: &Bytes) -> Option<usize> {
        let Some(sink) = &self.sink else { return Some(0) };
        if !inner.chunks.is_empty() {
            return Some(0);
        }
        match sink.try_write(bytes) {
            Ok(written) => Some(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(_) => {
                inner.closed = true;
                self.wake.notify_one();
                None
            }
        }
    }
}

impl Inner {
    fn enqueue(&mut self, bytes: Bytes, written: usize, kind: Kind) {
        if self.chunks.is_empty() {
            self.written = written;
        }
        match kind {
            Kind::Reply => self.reply_bytes += bytes.len(),
            Kind::Log(_) => self.log_bytes += bytes.len(),
        }
        self.chunks.push_back(Chunk { bytes, kind });
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let Some(first) = self.chunks.front() else { return };
            let left = first.bytes.len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            match chunk.kind {
                Kind::Reply => self.reply_bytes -= chunk.bytes.len(),
                Kind::Log(_) => self.log_bytes -= chunk.bytes.len(),
            }
        }
        self.written = 0;
        if self.chunks.is_empty() {
            // An idle session keeps no buffer.
            self.chunks = VecDeque::new();
        }
    }

    /// Drops every publication that is not partly on the wire; the position before the first logged one of them.
    fn drop_log(&mut self) -> Option<Position> {
        let mut first = None;
        let mut index = 0;
        let mut log_bytes = 0;
        let written = self.written;
        self.chunks.retain(|chunk| {
            let keep = match chunk.kind {
                Kind::Reply => true,
                Kind::Log(_) if index == 0 && written > 0 => {
                    log_bytes += chunk.bytes.len();
                    true
                }
                Kind::Log(before) => {
                    first = first.or(before);
                    false
                }
            };
            index += 1;
            keep
        });
        self.log_bytes = log_bytes;
        first
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
