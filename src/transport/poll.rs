//! Long polling: a session's messages in answers that wait until there is something to say.
//!
//! [`wire`] makes the messages, [`kept`] knows which of them the client has. An answer may be lost on its way, so it is kept until the
//! next poll says that it came; what waits behind it waits in the send queue.

pub mod kept;
pub mod wire;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use self::kept::{Asked, Kept};
use super::http_session::errand::Outcome;
use super::http_session::life::{Outlet, Went};
use crate::hub::SendQueue;
use crate::protocol::Close;
use crate::telemetry::metrics;

/// How long the last answer can be asked for again.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// A poll on its way to its session.
pub struct Ask {
    pub cursor: u64,
    pub wait: Duration,
    pub answer: oneshot::Sender<Result<Bytes, Outcome>>,
}

/// The session's end of its polls.
pub struct Polls {
    asks: mpsc::Receiver<Ask>,
    kept: Kept,
    /// The poll at hand.
    waiting: Option<Ask>,
    /// Bytes after which a batch is closed.
    bytes_max: usize,
    idle: Duration,
    /// When the poll at hand has waited long enough; without one, when the client counts as gone.
    due: Pin<Box<Sleep>>,
    /// What the last answer has to say.
    close: Option<Close>,
    /// The last answer was given.
    closed: bool,
}

impl Polls {
    pub fn new(asks: mpsc::Receiver<Ask>, config: &super::http_session::Config) -> Self {
        let idle = Duration::from_millis(config.poll_idle_ms);
        Self {
            asks,
            kept: Kept::default(),
            waiting: None,
            bytes_max: config.poll_bytes_max,
            idle,
            due: Box::pin(tokio::time::sleep(idle)),
            close: None,
            closed: false,
        }
    }

    fn take(&mut self, ask: Ask) {
        match self.kept.ask(ask.cursor) {
            Asked::Again(answer) => {
                metrics::polls_repeated().increment(1);
                self.reply(ask, Ok(answer));
            }
            Asked::Unknown => self.reply(ask, Err(Outcome::Lost)),
            Asked::Next => {
                self.due.as_mut().reset(Instant::now() + ask.wait);
                // Who asks twice has given up the first one, or asks in two places.
                if let Some(earlier) = self.waiting.replace(ask) {
                    let _ = earlier.answer.send(Err(Outcome::Nothing));
                }
            }
        }
    }

    /// A client that has gone meanwhile asks again.
    fn reply(&mut self, ask: Ask, answer: Result<Bytes, Outcome>) {
        self.due.as_mut().reset(Instant::now() + self.idle);
        let _ = ask.answer.send(answer);
    }

    /// Answers the poll at hand with what waits in the queue.
    fn answer(&mut self, ask: Ask, queue: &SendQueue) {
        let mut messages = BytesMut::new();
        while messages.len() < self.bytes_max
            && let Some(piece) = queue.pop()
        {
            messages.put_slice(&piece);
        }
        metrics::delivered_bytes().increment(messages.len() as u64);
        let close = self.close.as_ref().filter(|_| queue.is_empty());
        self.closed = close.is_some();
        let answer = self.kept.hand_out(|cursor| wire::batch(cursor, &messages, close));
        self.reply(ask, Ok(answer));
    }
}

impl Outlet for Polls {
    fn poll_out(&mut self, queue: &SendQueue, context: &mut Context<'_>) -> Poll<Went> {
        if let Poll::Ready(Some(ask)) = self.asks.poll_recv(context) {
            self.take(ask);
            return Poll::Ready(Went::Heard);
        }
        if self.waiting.as_mut().is_some_and(|ask| ask.answer.poll_closed(context).is_ready()) {
            self.waiting = None;
            self.due.as_mut().reset(Instant::now() + self.idle);
        }
        let due = !queue.is_empty() || (self.close.is_some() && !self.closed);
        if let Some(ask) = self.waiting.take_if(|_| due) {
            self.answer(ask, queue);
            return Poll::Ready(Went::Heard);
        }
        if self.due.as_mut().poll(context).is_ready() {
            let Some(ask) = self.waiting.take() else { return Poll::Ready(Went::Gone) };
            self.reply(ask, Err(Outcome::Nothing));
            return Poll::Ready(Went::Heard);
        }
        if queue.is_empty() { Poll::Ready(Went::Dry) } else { Poll::Pending }
    }

    async fn say_goodbye(&mut self, queue: &SendQueue, close: &Close, within: Duration) {
        self.close = Some(close.clone());
        if tokio::time::timeout(within, poll_fn(|context| self.poll_rest(queue, context))).await.is_ok() {
            let _ = tokio::time::timeout(LAST_ANSWER, poll_fn(|context| self.poll_again(queue, context))).await;
        }
    }
}

impl Polls {
    /// Ready once the last answer was given, or nobody asks any more.
    fn poll_rest(&mut self, queue: &SendQueue, context: &mut Context<'_>) -> Poll<()> {
        while !self.closed {
            match ready!(self.poll_out(queue, context)) {
                Went::Gone => break,
                Went::Dry => return Poll::Pending,
                Went::Heard => {}
            }
        }
        Poll::Ready(())
    }

    /// Ready once nobody asks any more.
    fn poll_again(&mut self, queue: &SendQueue, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.poll_out(queue, context)) {
                Went::Gone => return Poll::Ready(()),
                Went::Dry => return Poll::Pending,
                Went::Heard => {}
            }
        }
    }
}

/// The answer to a poll that waited in vain.
pub fn nothing(cursor: u64) -> Bytes {
    wire::batch(cursor, &[], None)
}
