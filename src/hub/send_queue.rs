//! What waits to be written to one session: bounded in bytes, written straight to the socket while it is empty.
//!
//! The org's task pushes, the session's own task flushes what the socket did not take at once. When the queue overflows, its
//! publications are dropped and the session is lagging: the org's task catches it up from the log once it reads again. Urgent
//! ones have a lane of their own, in front of the publications that wait, and are not dropped.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::protocol::{Close, Position};

/// Pieces handed to the socket in one write.
const SLICES_MAX: usize = 64;

/// The socket under a queue, where it can be written without waiting.
pub trait Sink: Send + Sync + 'static {
    /// Writes what the socket takes now; `WouldBlock` when it takes nothing.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// For connections whose own task does all the writing: encrypted ones, and those that only tests look at.
#[derive(Clone, Copy, Debug)]
pub struct NoSink;

impl Sink for NoSink {
    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
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

/// One session's outgoing bytes, and the socket that they go to: in one piece, because a delivery touches both.
pub struct SendQueue<S: ?Sized = dyn Sink> {
    inner: Mutex<Inner>,
    /// The task that flushes what waits.
    owner: AtomicWaker,
    limits: Limits,
    sink: S,
}

#[derive(Default)]
struct Inner {
    /// Boxed, because most sessions have nothing waiting most of the time.
    backlog: Option<Box<Backlog>>,
    /// Somebody wants to know when nothing waits.
    drain_wanted: bool,
    /// Something was dropped beside the log, and nobody has been told yet.
    missed: bool,
    /// The same, once the notice that nothing waits is out.
    missed_told: bool,
    close: Option<Box<Close>>,
    closed: bool,
}

/// What waits; there is at least one chunk in it.
#[derive(Default)]
struct Backlog {
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk is written.
    written: usize,
    log_bytes: usize,
    urgent_bytes: usize,
    reply_bytes: usize,
}

struct Chunk {
    bytes: Bytes,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A reply or a control frame: never dropped.
    Reply,
    /// As a reply, but nothing may overtake it: it says which publications come from here on.
    Answer,
    /// A publication ahead of its turn: never dropped.
    Urgent,
    /// Publications; the position is where the reader stands before them, `None` for ephemeral ones.
    Log(Option<Position>),
    /// What is told again when it had to be dropped; it gives way to publications.
    Aside,
}

impl<S: Sink> SendQueue<S> {
    pub fn new(limits: Limits, sink: S) -> Self {
        Self { inner: Mutex::default(), owner: AtomicWaker::new(), limits, sink }
    }
}

impl<S: Sink + ?Sized> SendQueue<S> {
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Pushes publications; `before` is the position of a reader who has everything up to them, `None` for ephemeral ones.
    ///
    /// Nothing to write is what some clients have no words for.
    pub fn push_log(&self, bytes: &Bytes, before: Option<Position>) -> Pushed {
        if bytes.is_empty() {
            return Pushed::Taken;
        }
        let mut inner = self.inner.lock();
        if inner.is_closed() {
            return Pushed::Closed;
        }
        let written = match self.write_now(&mut inner, bytes) {
            Some(written) if written == bytes.len() => return Pushed::Taken,
            Some(written) => written,
            None => return Pushed::Closed,
        };
        let waiting = inner.publication_bytes();
        // A frame that is partly on the wire must be finished, so it is queued whatever its size.
        if written == 0 && waiting > 0 && waiting + bytes.len() > self.limits.bytes_max {
            let dropped = inner.drop_log();
            if inner.missed {
                // Perhaps nothing waits any more that would wake it.
                self.owner.wake();
            }
            return match (before, dropped) {
                (_, Some(dropped)) => Pushed::Overflowed(dropped),
                (Some(before), None) => Pushed::Overflowed(before),
                (None, None) => Pushed::Taken,
            };
        }
        inner.enqueue(bytes.clone(), written, Kind::Log(before));
        drop(inner);
        self.owner.wake();
        Pushed::Taken
    }

    /// Pushes something that can be told again: where there is no room it is dropped, and so it is when publications need the room.
    /// [`SendQueue::take_missed`] says so once the queue is empty.
    pub fn push_aside(&self, bytes: &Bytes) {
        let mut inner = self.inner.lock();
        if inner.is_closed() {
            return;
        }
        let written = match self.write_now(&mut inner, bytes) {
            Some(written) if written < bytes.len() => written,
            _ => return,
        };
        let waiting = inner.publication_bytes();
        if written == 0 && waiting > 0 && waiting + bytes.len() > self.limits.bytes_max {
            inner.missed = true;
            return;
        }
        inner.enqueue(bytes.clone(), written, Kind::Aside);
        drop(inner);
        self.owner.wake();
    }

    /// Whether something that was pushed aside was dropped before the last notice that nothing waits; asks once.
    pub fn take_missed(&self) -> bool {
        std::mem::take(&mut self.inner.lock().missed_told)
    }

    /// Puts a publication in front of those that wait, behind answers and earlier urgent ones and never into a frame that is partly on the
    /// wire. `false`: there is no room for it, so it has to wait for its turn.
    pub fn push_urgent(&self, bytes: &Bytes) -> bool {
        let mut inner = self.inner.lock();
        let waiting = inner.publication_bytes();
        if inner.is_closed() || (waiting > 0 && waiting + bytes.len() > self.limits.bytes_max) {
            return false;
        }
        match self.write_now(&mut inner, bytes) {
            Some(written) if written == bytes.len() => return true,
            Some(written) => inner.enqueue(bytes.clone(), written, Kind::Urgent),
            None => return false,
        }
        drop(inner);
        self.owner.wake();
        true
    }

    /// Pushes an answer behind whatever waits; what is pushed later comes later, urgent or not.
    pub fn push_answer(&self, bytes: Bytes) {
        let mut inner = self.inner.lock();
        if inner.is_closed() || bytes.is_empty() {
            return;
        }
        match self.write_now(&mut inner, &bytes) {
            Some(written) if written < bytes.len() => inner.enqueue(bytes, written, Kind::Answer),
            _ => return,
        }
        drop(inner);
        self.owner.wake();
    }

    /// Keeps a reply or a control frame behind whatever waits, for the session's own task, which flushes before it sleeps.
    pub fn hold_reply(&self, bytes: Bytes) {
        let mut inner = self.inner.lock();
        if !inner.is_closed() && !bytes.is_empty() {
            inner.enqueue(bytes, 0, Kind::Reply);
        }
    }

    /// Asks for the connection's end; what waits is written first, within the close timeout of the session.
    pub fn close(&self, close: Close) {
        self.inner.lock().close.get_or_insert(Box::new(close));
        self.owner.wake();
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
        self.inner.lock().close.as_deref().cloned()
    }

    pub fn is_closed(&self) -> bool {
        self.inner.lock().is_closed()
    }

    /// Has the task of this waker woken when a push leaves something to write, or a close is asked for. Whoever calls looks at the queue
    /// afterwards, so that nothing falls between.
    pub fn wake_when_pushed(&self, owner: &Waker) {
        self.owner.register(owner);
    }

    pub fn is_empty(&self) -> bool {
        self.inner.lock().backlog.is_none()
    }

    /// Bytes waiting, for metrics and limits.
    pub fn bytes(&self) -> usize {
        self.inner.lock().backlog.as_ref().map_or(0, |backlog| backlog.publication_bytes() + backlog.reply_bytes)
    }

    /// Whether publications of any kind wait.
    pub fn holds_publications(&self) -> bool {
        self.inner.lock().publication_bytes() > 0
    }

    /// Whether publications wait, which an overflow would drop.
    pub fn holds_log(&self) -> bool {
        self.inner.lock().log_bytes() > 0
    }

    /// Whether publications wait that went ahead of others.
    pub fn holds_urgent(&self) -> bool {
        self.inner.lock().backlog.as_ref().is_some_and(|backlog| backlog.urgent_bytes > 0)
    }

    /// The position behind which publications are not written yet; `None` when no logged one waits.
    pub fn waiting_after(&self) -> Option<Position> {
        let inner = self.inner.lock();
        let mut chunks = inner.backlog.as_ref()?.chunks.iter();
        chunks.find_map(|chunk| if let Kind::Log(before) = chunk.kind { before } else { None })
    }

    /// Whether replies pile up so that no further command should be read.
    pub fn replies_full(&self) -> bool {
        self.inner.lock().backlog.as_ref().is_some_and(|backlog| backlog.reply_bytes > self.limits.replies_bytes_max)
    }

    /// Room for publications before the queue counts as full enough for catch-up, in bytes.
    pub fn log_room(&self) -> usize {
        (self.limits.bytes_max / 2).saturating_sub(self.inner.lock().publication_bytes())
    }

    /// Wants a notice when nothing waits; `false` when that is so already.
    pub fn want_drain(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.drain_wanted = inner.backlog.is_some();
        inner.drain_wanted
    }

    /// Whether the notice is due now; asks once.
    pub fn take_drained(&self) -> bool {
        let mut inner = self.inner.lock();
        let due = (inner.drain_wanted || inner.missed) && inner.backlog.is_none();
        if due {
            inner.missed_told |= std::mem::take(&mut inner.missed);
            inner.drain_wanted = false;
        }
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
        while let Some(backlog) = &mut inner.backlog {
            match backlog.write(&mut write) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => backlog.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            inner.forget_if_empty();
        }
        Ok(true)
    }

    /// Takes the first piece that waits, for transports that hand on whole pieces in their own time.
    pub fn pop(&self) -> Option<Bytes> {
        let mut inner = self.inner.lock();
        let piece = inner.backlog.as_mut()?.pop();
        inner.forget_if_empty();
        piece
    }

    /// Tries the socket while nothing waits. `None`: the connection is broken.
    fn write_now(&self, inner: &mut Inner, bytes: &Bytes) -> Option<usize> {
        if inner.backlog.is_some() {
            return Some(0);
        }
        match self.sink.try_write(bytes) {
            Ok(written) => Some(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
            Err(_) => {
                inner.closed = true;
                self.owner.wake();
                None
            }
        }
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.closed || self.close.is_some()
    }

    fn log_bytes(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.log_bytes)
    }

    fn publication_bytes(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.publication_bytes())
    }

    /// `written` bytes of the piece are on the wire already; only the first one may have any.
    fn enqueue(&mut self, bytes: Bytes, written: usize, kind: Kind) {
        let backlog = self.backlog.get_or_insert_with(|| Box::new(Backlog { written, ..Backlog::default() }));
        *backlog.bytes_of(kind) += bytes.len();
        let place = if kind == Kind::Urgent { backlog.place_of_urgent() } else { backlog.chunks.len() };
        backlog.chunks.insert(place, Chunk { bytes, kind });
    }

    fn drop_log(&mut self) -> Option<Position> {
        let (first, missed) = self.backlog.as_mut().map_or((None, false), |backlog| backlog.drop_log());
        self.missed |= missed;
        self.forget_if_empty();
        first
    }

    /// An idle session keeps no buffer.
    fn forget_if_empty(&mut self) {
        if self.backlog.as_ref().is_some_and(|backlog| backlog.chunks.is_empty()) {
            self.backlog = None;
        }
    }
}

impl Backlog {
    fn write(&self, write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(if count == 0 { &chunk.bytes[self.written..] } else { &chunk.bytes });
            count += 1;
        }
        write(&slices[..count])
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

    /// Takes the first piece, without what is written of it.
    fn pop(&mut self) -> Option<Bytes> {
        let written = std::mem::take(&mut self.written);
        let chunk = self.chunks.pop_front()?;
        *self.bytes_of(chunk.kind) -= chunk.bytes.len();
        Some(chunk.bytes.slice(written..))
    }

    fn bytes_of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Reply | Kind::Answer => &mut self.reply_bytes,
            Kind::Urgent => &mut self.urgent_bytes,
            Kind::Log(_) | Kind::Aside => &mut self.log_bytes,
        }
    }

    fn publication_bytes(&self) -> usize {
        self.log_bytes + self.urgent_bytes
    }

    /// Behind the last chunk that an urgent one may not overtake.
    fn place_of_urgent(&self) -> usize {
        let stays = self.chunks.iter().rposition(|chunk| matches!(chunk.kind, Kind::Answer | Kind::Urgent));
        stays.map_or(0, |last| last + 1).max(usize::from(self.written > 0)).min(self.chunks.len())
    }

    /// Drops everything but replies that is not partly on the wire; the position before the first logged publication of it, and
    /// whether anything lay aside.
    fn drop_log(&mut self) -> (Option<Position>, bool) {
        let (mut first, mut missed) = (None, false);
        let mut index = 0;
        let mut log_bytes = 0;
        let written = self.written;
        self.chunks.retain(|chunk| {
            let keep = match chunk.kind {
                Kind::Reply | Kind::Answer | Kind::Urgent => true,
                Kind::Log(_) | Kind::Aside if index == 0 && written > 0 => {
                    log_bytes += chunk.bytes.len();
                    true
                }
                Kind::Aside => {
                    missed = true;
                    false
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
        (first, missed)
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
