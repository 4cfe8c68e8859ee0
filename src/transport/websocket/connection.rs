//! One WebSocket connection: the loop between a socket and its session.
//!
//! It waits without holding a buffer: bytes are read into a scratch buffer of the thread once there are some, and kept only
//! while a frame is incomplete. What the session has to say stands in its send queue, which the hub also writes to the socket
//! by itself; this loop writes what the socket did not take at once.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;

use super::assembler::{Assembler, Incoming};
use super::frame::{self, Opcode, Violation};
use super::{Config, deflate};
use crate::hub::send_queue::Limits;
use crate::hub::{NoSink, SendQueue};
use crate::protocol::{Close, CloseCode, Code, SessionId};
use crate::session::Session;
use crate::telemetry::metrics;
use crate::transport::Stream;
use crate::transport::places::Counted;
use crate::transport::stream::{Io, read_plain};

/// Bytes read at once. One buffer per thread, not per connection.
const SCRATCH_BYTES: usize = 32 << 10;
/// Things done for one connection before other tasks get their turn.
const TURNS_AT_ONCE: usize = 256;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Lends the thread's buffer for reading.
pub(super) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| read(scratch))
}

/// The way to a connection's socket.
pub enum Socket {
    /// It is part of the send queue, so that the hub can write to it as well.
    Queued(Arc<SendQueue<Stream>>),
    /// An encrypted stream: whoever writes to it must own it.
    Own(Box<Stream>),
}

impl Socket {
    /// The socket, and the queue of all that is sent over it.
    pub fn new(stream: Stream, limits: Limits) -> (Self, Arc<SendQueue>) {
        match stream.io() {
            Io::Plain(_) => {
                let queue = Arc::new(SendQueue::new(limits, stream));
                (Self::Queued(Arc::clone(&queue)), queue)
            }
            Io::Tls(_) => (Self::Own(Box::new(stream)), Arc::new(SendQueue::new(limits, NoSink))),
        }
    }

    fn stream(&self) -> &Stream {
        match self {
            Self::Queued(queue) => queue.sink(),
            Self::Own(stream) => stream,
        }
    }

    /// Ends our direction of the connection; the client still may say what it has to say.
    fn stop_writing(&self) -> io::Result<()> {
        SockRef::from(self.stream().tcp()).shutdown(std::net::Shutdown::Write)
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Queued(queue) => read_plain(queue.sink().tcp(), buffer),
            Self::Own(stream) => stream.try_read(buffer),
        }
    }

    /// Writes what waits in `queue`; whether all of it is on its way.
    fn flush(&mut self, queue: &SendQueue) -> io::Result<bool> {
        match self {
            Self::Queued(queue) => queue.flush(|slices| queue.sink().tcp().try_write_vectored(slices)),
            Self::Own(stream) => {
                let written = queue.flush(|slices| stream.try_write_vectored(slices))?;
                match stream.try_flush() {
                    Ok(()) => Ok(written),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// Who answers on the other side of the loop.
pub enum Peer {
    Session(Box<Session>),
    /// Sends every message back, for conformance suites. `deflated`: long messages are compressed.
    Echo {
        queue: Arc<SendQueue>,
        deflated: Option<usize>,
    },
}

impl Peer {
    /// The session's name in logs; an echo has none.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Session(session) => Some(session.id()),
            Self::Echo { .. } => None,
        }
    }

    /// Whether it has not shown credentials, nor is at it.
    fn is_stranger(&self) -> bool {
        match self {
            Self::Session(session) => session.is_stranger(),
            Self::Echo { .. } => false,
        }
    }

    fn queue(&self) -> &Arc<SendQueue> {
        match self {
            Self::Session(session) => session.queue(),
            Self::Echo { queue, .. } => queue,
        }
    }

    fn wants_input(&self) -> bool {
        match self {
            Self::Session(session) => session.wants_input(),
            Self::Echo { queue, .. } => !queue.replies_full(),
        }
    }

    fn on_message(&mut self, incoming: Incoming<'_>) -> Result<(), Close> {
        match (self, incoming) {
            (Self::Session(session), Incoming::Text(text)) if !session.is_binary() => session.on_message(text.as_bytes()),
            (Self::Session(session), Incoming::Binary(bytes)) if session.is_binary() => session.on_message(bytes),
            // JSON has no binary messages and MessagePack no texts.
            (Self::Session(_), _) => return Err(Close::because(CloseCode::UnsupportedData, Code::InvalidMessage)),
            (Self::Echo { queue, deflated }, Incoming::Text(text)) => echo(queue, Opcode::Text, text.as_bytes(), *deflated),
            (Self::Echo { queue, deflated }, Incoming::Binary(bytes)) => echo(queue, Opcode::Binary, bytes, *deflated),
            (Self::Echo { .. }, _) => {}
        }
        Ok(())
    }

    fn poll_progress(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Session(session) => session.poll_progress(context),
            Self::Echo { .. } => Poll::Pending,
        }
    }

    /// Carries out what the client said before it closed.
    async fn finish(&mut self, within: Duration) {
        if let Self::Session(session) = self {
            let work = async {
                while session.is_busy() {
                    session.progress().await;
                }
            };
            let _ = tokio::time::timeout(within, work).await;
        }
    }

    /// Nothing waits to be written; whether there is something to do about it.
    fn on_flushed(&mut self) -> bool {
        match self {
            Self::Session(session) => session.on_flushed(),
            Self::Echo { .. } => false,
        }
    }

    async fn end(self) {
        match self {
            Self::Session(session) => session.end().await,
            Self::Echo { .. } => {}
        }
    }
}

fn echo(queue: &SendQueue, opcode: Opcode, payload: &[u8], deflated: Option<usize>) {
    let (mut out, mut packed) = (BytesMut::new(), BytesMut::new());
    if deflated.is_some_and(|threshold| payload.len() >= threshold) && deflate::compress(payload, &mut packed) {
        frame::server_frame(opcode, true, &packed, &mut out);
    } else {
        frame::server_frame(opcode, false, payload, &mut out);
    }
    queue.hold_reply(out.freeze());
}

/// A connection from the 101 response to its end.
pub struct Connection {
    socket: Socket,
    assembler: Assembler,
    peer: Peer,
    unauthenticated_bytes_max: usize,
    close_timeout: Duration,
    _counted: Counted,
}

/// Why the loop ended.
enum End {
    /// The client said so, with this code.
    Closed(Option<u16>),
    /// We want it to end.
    Closing(Close),
    /// The socket is of no use any more.
    Broken,
}

impl Connection {
    pub fn new(socket: Socket, config: &Config, deflated: bool, peer: Peer, close_timeout: Duration) -> Self {
        let unauthenticated_bytes_max = config.unauthenticated_bytes_max;
        let assembler = Assembler::new(config.limits(deflated));
        Self { socket, assembler, peer, unauthenticated_bytes_max, close_timeout, _counted: Counted::begin() }
    }

    /// Runs the connection; `early` came right behind the handshake.
    pub fn run(mut self, early: &[u8]) -> impl Future<Output = ()> + Send + use<> {
        match self.take_in(&mut BytesMut::from(early)) {
            Some(end) => Life::Ending(Box::pin(self.finish(end))),
            None => Life::Open(self),
        }
    }

    async fn finish(mut self, end: End) {
        // A goodbye takes time, and half a message is not worth memory for so long.
        self.assembler.end();
        let queue = Arc::clone(self.peer.queue());
        let mut last_words = BytesMut::new();
        match end {
            End::Closed(code) => {
                self.peer.finish(self.close_timeout).await;
                frame::close_echo(code, &mut last_words);
            }
            End::Closing(close) => {
                frame::close(&close, &mut last_words);
                metrics::closed(close.code);
                let session = self.peer.session().map(tracing::field::display);
                let reason = close.reason.map(Code::as_str);
                tracing::debug!(session, code = close.code as u16, reason, "closing a connection");
            }
            End::Broken => {
                queue.shut();
                return self.peer.end().await;
            }
        }
        queue.finish_with(last_words.freeze());
        // The session is over at once, however long its client takes to read the last words.
        tokio::join!(self.peer.end(), say_goodbye(&mut self.socket, &queue, self.close_timeout));
        queue.shut();
    }

    /// Does whatever can be done, and has the task woken when there is more.
    fn poll_serve(&mut self, context: &mut Context<'_>) -> Poll<End> {
        self.peer.queue().wake_when_pushed(context.waker());
        for _ in 0..TURNS_AT_ONCE {
            if let Some(end) = std::task::ready!(self.poll_turn(context)) {
                return Poll::Ready(end);
            }
        }
        if self.socket.flush(self.peer.queue()).is_err() {
            return Poll::Ready(End::Broken);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// One thing that can be done now; `Pending` when there is none.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Option<End>> {
        let queue = self.peer.queue();
        if queue.is_closed() {
            return Poll::Ready(Some(queue.close_asked().map_or(End::Broken, End::Closing)));
        }
        // Commands that came together are answered in one write, after the last of them: so the client's next ones come together too, and
        // what they publish is delivered in fewer and larger pieces.
        if self.peer.poll_progress(context).is_ready() {
            return Poll::Ready(None);
        }
        let Ok(flushed) = self.socket.flush(self.peer.queue()) else { return Poll::Ready(Some(End::Broken)) };
        if flushed && self.peer.on_flushed() {
            return Poll::Ready(None);
        }
        if self.peer.wants_input()
            && let Poll::Ready(readable) = self.socket.stream().poll_readable(context)
        {
            return Poll::Ready(if readable.is_ok() { self.read() } else { Some(End::Broken) });
        }
        if !flushed && let Poll::Ready(writable) = self.socket.stream().poll_writable(context) {
            return Poll::Ready(writable.err().map(|_| End::Broken));
        }
        Poll::Pending
    }

    fn read(&mut self) -> Option<End> {
        with_scratch(|scratch| match self.socket.try_read(scratch) {
            Ok(0) => Some(End::Broken),
            Ok(count) => self.take_in(&mut scratch[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(End::Broken),
        })
    }

    /// Hands bytes to the assembler and its messages to the session.
    fn take_in(&mut self, bytes: &mut [u8]) -> Option<End> {
        if bytes.is_empty() {
            return None;
        }
        if let Peer::Session(session) = &mut self.peer {
            session.on_heard();
        }
        let (peer, mut end) = (&mut self.peer, None);
        let outcome = self.assembler.feed(bytes, &mut |incoming| {
            if end.is_some() {
                return;
            }
            match incoming {
                Incoming::Ping(payload) => {
                    let mut out = BytesMut::new();
                    frame::pong(payload, &mut out);
                    peer.queue().hold_reply(out.freeze());
                }
                Incoming::Pong(_) => {}
                Incoming::Close(reason) => end = Some(End::Closed(reason.map(|(code, _)| code))),
                message => end = peer.on_message(message).err().map(End::Closing),
            }
        });
        match outcome {
            Err(violation) if end.is_none() => Some(End::Closing(close_for(violation))),
            Ok(()) if end.is_none() && self.holds_too_much() => {
                Some(End::Closing(close_for(Violation::too_big("too much of a message without credentials"))))
            }
            _ => end,
        }
    }

    /// What strangers have not finished saying must not fill the memory of those who are known.
    fn holds_too_much(&self) -> bool {
        self.assembler.held_bytes() > self.unauthenticated_bytes_max && self.peer.is_stranger()
    }
}

/// A connection's task. What only its end needs is made then, because most connections are open most of the time.
enum Life {
    Open(Connection),
    Ending(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

impl Future for Life {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Open(connection) = &mut *self {
            let end = std::task::ready!(connection.poll_serve(context));
            if let Self::Open(connection) = std::mem::replace(&mut *self, Self::Over) {
                *self = Self::Ending(Box::pin(connection.finish(end)));
            }
        }
        match &mut *self {
            Self::Ending(ending) => ending.as_mut().poll(context),
            Self::Open(_) | Self::Over => Poll::Ready(()),
        }
    }
}

/// Writes what waits in the queue, the close frame last, as far as the client takes it in time, and waits for its end of the
/// connection, so that no reset overtakes the last bytes.
async fn say_goodbye(socket: &mut Socket, queue: &SendQueue, close_timeout: Duration) {
    let goodbye = async {
        while !socket.flush(queue)? {
            poll_fn(|context| socket.stream().poll_writable(context)).await?;
        }
        socket.stop_writing()?;
        discard_input(socket).await
    };
    let outcome: Result<io::Result<()>, _> = tokio::time::timeout(close_timeout, goodbye).await;
    if !matches!(outcome, Ok(Ok(()))) {
        tracing::trace!("the client did not read its close in time");
    }
}

async fn discard_input(socket: &mut Socket) -> io::Result<()> {
    loop {
        poll_fn(|context| socket.stream().poll_readable(context)).await?;
        let count = with_scratch(|scratch| socket.try_read(scratch));
        match count {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn close_for(violation: Violation) -> Close {
    tracing::debug!(why = violation.why, "a client broke the WebSocket protocol");
    let code = if violation.close == CloseCode::MessageTooBig { Code::MessageTooLarge } else { Code::InvalidMessage };
    Close::because(violation.close, code)
}
