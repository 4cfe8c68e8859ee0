//! One session over HTTP, from its first request to its end: the loop between requests, the session, and the way out to its client.
//!
//! The door spawns it. A session is not a request: it runs on while a poll is on its way back, and a stream that takes nothing keeps
//! no token from expiring. What the session has to say stands in its send queue, as with WebSocket; the [`Outlet`] takes it from there.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::{mpsc, oneshot};

use super::errand::Outcome;
use super::sessions::{Entered, Post};
use crate::hub::SendQueue;
use crate::protocol::{Close, Code};
use crate::session::Session;
use crate::telemetry::metrics;
use crate::transport::places::Counted;

/// Things done for one session before other tasks get their turn.
const TURNS_AT_ONCE: usize = 256;

/// The way of messages to a client.
pub trait Outlet: Send {
    /// Takes from the queue what the client takes, and has the task woken when it takes more. `Ready` tells what there is to do.
    fn poll_out(&mut self, queue: &SendQueue, context: &mut Context<'_>) -> Poll<Went>;

    /// Hands out what is left and the close, as far as the client takes it within the time.
    fn say_goodbye(&mut self, queue: &SendQueue, close: &Close, within: Duration) -> impl Future<Output = ()> + Send;
}

/// What an outlet found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Went {
    /// The client gave a sign of life: it took something, or asked for something.
    Heard,
    /// Nothing waits in the queue.
    Dry,
    /// The client is gone.
    Gone,
}

/// Why a session ended before it began: what it was told, as its wire has it.
#[derive(Debug)]
pub struct Refused {
    pub close: Close,
    pub told: BytesMut,
}

pub struct Life<O> {
    session: Box<Session>,
    outlet: O,
    posts: mpsc::Receiver<Post>,
    /// Told once the first words of the client are dealt with.
    begun: Option<oneshot::Sender<Result<(), Refused>>>,
    close_timeout: Duration,
    /// The number of the request that comes next.
    next: u64,
    entered: Entered,
    _counted: Counted,
}

/// The client is gone without a word.
struct Gone;

impl<O: Outlet> Life<O> {
    pub fn new(
        session: Box<Session>,
        outlet: O,
        posts: mpsc::Receiver<Post>,
        begun: Option<oneshot::Sender<Result<(), Refused>>>,
        close_timeout: Duration,
        entered: Entered,
    ) -> Self {
        Self { session, outlet, posts, begun, close_timeout, next: 1, entered, _counted: Counted::begin() }
    }

    pub async fn run(mut self) {
        let end = poll_fn(|context| self.poll_serve(context)).await;
        let Self { session, mut outlet, posts, begun, close_timeout, entered, .. } = self;
        // Whoever waits to be heard is told that there is no such session.
        drop(posts);
        let queue = Arc::clone(session.queue());
        let Ok(close) = end else {
            queue.shut();
            return session.end().await;
        };
        metrics::closed(close.code);
        let reason = close.reason.map(Code::as_str);
        tracing::debug!(session = %session.id(), code = close.code as u16, reason, "closing a session over HTTP");
        match begun {
            // Told by the status of the answer, so that browsers do not come back with the same.
            Some(begun) if !close.code.is_passing() => {
                let told = std::iter::from_fn(|| queue.pop()).fold(BytesMut::new(), |mut told, piece| {
                    told.extend_from_slice(&piece);
                    told
                });
                let _ = begun.send(Err(Refused { close, told }));
                session.end().await;
            }
            begun => {
                begun.map(|begun| begun.send(Ok(())));
                // The session is over at once, however long its client takes to hear of it.
                tokio::join!(session.end(), outlet.say_goodbye(&queue, &close, close_timeout));
            }
        }
        queue.shut();
        drop(entered);
    }

    /// Ready with the close that somebody asked for, or when the client is gone.
    fn poll_serve(&mut self, context: &mut Context<'_>) -> Poll<Result<Close, Gone>> {
        self.session.queue().wake_when_pushed(context.waker());
        for _ in 0..TURNS_AT_ONCE {
            let queue = self.session.queue();
            if queue.is_closed() {
                return Poll::Ready(queue.close_asked().ok_or(Gone));
            }
            if let Err(gone) = ready!(self.poll_turn(context)) {
                return Poll::Ready(Err(gone));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// One thing that can be done now; `Pending` when there is none.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.session.poll_progress(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if !self.session.is_busy()
            && let Some(begun) = self.begun.take()
        {
            let _ = begun.send(Ok(()));
        }
        match self.outlet.poll_out(self.session.queue(), context) {
            Poll::Ready(Went::Heard) => {
                self.session.on_heard();
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Went::Dry) if self.session.on_flushed() => return Poll::Ready(Ok(())),
            Poll::Ready(Went::Gone) => return Poll::Ready(Err(Gone)),
            Poll::Ready(Went::Dry) | Poll::Pending => {}
        }
        if self.session.wants_input()
            && let Poll::Ready(Some(post)) = self.posts.poll_recv(context)
        {
            self.session.on_heard();
            self.take(post);
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Numbered requests are taken in their order, each once.
    fn take(&mut self, post: Post) {
        // Whoever gave up was told that nothing is known of the commands, and sends them again.
        if post.outcome.is_closed() {
            return;
        }
        let outcome = match post.number {
            Some(number) if number < self.next => Outcome::Taken,
            Some(number) if number > self.next => Outcome::Early,
            number => {
                self.next += u64::from(number.is_some());
                post.commands.iter().for_each(|command| self.session.on_message(command));
                Outcome::Taken
            }
        };
        let _ = post.outcome.send(outcome);
    }
}
