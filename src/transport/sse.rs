//! Server-sent events (HTML standard, section 9.2): a session's messages as the body of one answer that does not end.
//!
//! [`wire`] makes the events, ready to send and shared by all sessions of this kind. [`Stream`] hands them from the send queue to HTTP one
//! piece at a time, and only as fast as the socket takes them, so that what a slow client leaves waiting waits in its send queue.

pub mod wire;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;

use super::http_session::life::{Outlet, Went};
use crate::hub::SendQueue;
use crate::protocol::Close;
use crate::telemetry::metrics;

/// Pieces between the session and HTTP.
const PIECES_MAX: usize = 1;

/// The session's end of a stream.
pub struct Stream {
    pieces: PollSender<Bytes>,
    /// Ends with the other end, which a place that is reserved in the channel would hide.
    gone: oneshot::Receiver<Infallible>,
}

/// HTTP's end of it: the body of the answer.
pub struct Events {
    pieces: mpsc::Receiver<Bytes>,
    _gone: oneshot::Sender<Infallible>,
}

/// Both ends of a new stream that begins with `first`.
pub fn stream(first: Bytes) -> (Stream, Events) {
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    // The channel is empty and its receiver is here.
    let _ = sender.try_send(first);
    let (end, gone) = oneshot::channel();
    (Stream { pieces: PollSender::new(sender), gone }, Events { pieces, _gone: end })
}

impl Outlet for Stream {
    fn poll_out(&mut self, queue: &SendQueue, context: &mut Context<'_>) -> Poll<Went> {
        if Pin::new(&mut self.gone).poll(context).is_ready() {
            return Poll::Ready(Went::Gone);
        }
        match self.pieces.poll_reserve(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Went::Gone),
            Poll::Ready(Ok(())) => {
                let Some(piece) = queue.pop() else { return Poll::Ready(Went::Dry) };
                metrics::delivered_bytes().increment(piece.len() as u64);
                // A place is reserved.
                let _ = self.pieces.send_item(piece);
                Poll::Ready(Went::Heard)
            }
        }
    }

    async fn say_goodbye(&mut self, queue: &SendQueue, close: &Close, within: Duration) {
        queue.finish_with(wire::close(close));
        let rest = poll_fn(|context| {
            loop {
                match std::task::ready!(self.poll_out(queue, context)) {
                    Went::Heard => {}
                    Went::Dry | Went::Gone => return Poll::Ready(()),
                }
            }
        });
        if tokio::time::timeout(within, rest).await.is_err() {
            tracing::trace!("the client did not read its close in time");
        }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::hub::NoSink;
    use crate::hub::send_queue::{Limits, Pushed};
    use crate::protocol::{CloseCode, Position};

    fn queue(bytes_max: usize) -> SendQueue<NoSink> {
        SendQueue::new(Limits { bytes_max, replies_bytes_max: 1_000 }, NoSink)
    }

    async fn out(stream: &mut Stream, queue: &SendQueue) -> Poll<Went> {
        poll_fn(|context| Poll::Ready(stream.poll_out(queue, context))).await
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_leaves_everything_in_the_queue() {
        let (mut stream, mut events) = stream(Bytes::from_static(b"first"));
        let queue = queue(10);
        let before = Position { epoch: 1, seq: 1, check: 1 };
        assert_eq!(queue.push_log(&Bytes::from_static(b"0123456"), Some(before)), Pushed::Taken);
        assert!(out(&mut stream, &queue).await.is_pending());
        assert_eq!(queue.push_log(&Bytes::from_static(b"789abcd"), None), Pushed::Overflowed(before));
        assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
        assert_eq!(out(&mut stream, &queue).await, Poll::Ready(Went::Dry), "what overflowed is not sent");
        drop(events);
        assert_eq!(out(&mut stream, &queue).await, Poll::Ready(Went::Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn the_close_is_the_last_event_and_waits_only_so_long() {
        let (mut one, events) = stream(Bytes::from_static(b"first"));
        let close = Close::new(CloseCode::Drain).retry_after_ms(700);
        let all = tokio::spawn(events.collect());
        one.say_goodbye(&queue(10), &close, Duration::from_secs(5)).await;
        drop(one);
        let text = all.await.unwrap().unwrap().to_bytes();
        assert_eq!(text, "firstretry: 700\nevent: close\ndata: {\"code\":4000,\"reason\":\"{\\\"retry_after_ms\\\":700}\"}\n\n");
        let (mut deaf, _events) = stream(Bytes::from_static(b"first"));
        deaf.say_goodbye(&queue(10), &close, Duration::from_secs(5)).await;
    }
}
