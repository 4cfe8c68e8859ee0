//! The way from a broker to one org's hub: bounded, and honest about what did not fit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::OrgEvent;

/// How long a publisher waits for a hub that is behind.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// The broker's end. When the hub is slower than the carrier, events are dropped and the receiver reads "interrupted" instead,
/// which makes it repair from the log.
#[derive(Clone, Debug)]
pub struct Feed {
    sender: mpsc::Sender<OrgEvent>,
    interrupted: Arc<Interruption>,
}

#[derive(Debug, Default)]
struct Interruption {
    flag: AtomicBool,
    notify: Notify,
}

/// The hub's end.
#[derive(Debug)]
pub struct FeedReceiver {
    receiver: mpsc::Receiver<OrgEvent>,
    interrupted: Arc<Interruption>,
}

/// A feed that holds at most `events_max` events.
pub fn channel(events_max: usize) -> (Feed, FeedReceiver) {
    let (sender, receiver) = mpsc::channel(events_max);
    let interrupted = Arc::<Interruption>::default();
    (Feed { sender, interrupted: Arc::clone(&interrupted) }, FeedReceiver { receiver, interrupted })
}

impl Feed {
    /// Hands an event over without waiting.
    ///
    /// Entries that come while an interruption has not been read are dropped: taken in before it they could pass for the
    /// continuation of what is known, though the interruption replaced that. The log is read for them anyway.
    pub fn send(&self, event: OrgEvent) {
        let interrupted = self.interrupted.flag.load(Ordering::Acquire);
        if interrupted && matches!(event, OrgEvent::Entry(_)) {
            return;
        }
        if event == OrgEvent::Interrupted || self.sender.try_send(event).is_err() {
            self.interrupted.flag.store(true, Ordering::Release);
            self.interrupted.notify.notify_one();
        }
    }
}

impl Feed {
    /// Waits while the hub is far behind, so that whoever brings about events, where that is the node itself, does not outrun it. Not for
    /// ever: a hub that repairs takes no events.
    pub async fn ready(&self) {
        let crowded = self.sender.max_capacity() / 4;
        if self.sender.capacity() < crowded {
            let _ = tokio::time::timeout(READY_TIMEOUT, self.sender.reserve_many(crowded * 2)).await;
        }
    }
}

impl FeedReceiver {
    /// Waits for at least one event and moves up to `max` into `events`. "Interrupted" comes last, after all that arrived
    /// before it was noticed; `false` when every sender is gone.
    pub async fn recv_many(&mut self, events: &mut Vec<OrgEvent>, max: usize) -> bool {
        if self.interrupted.flag.load(Ordering::Acquire) {
            self.drain(events, max);
            return true;
        }
        let count = tokio::select! {
            biased;
            count = self.receiver.recv_many(events, max) => count,
            () = self.interrupted.notify.notified() => {
                self.drain(events, max);
                return true;
            }
        };
        count > 0
    }

    /// As [`FeedReceiver::recv_many`], but takes only what is there already.
    pub fn drain(&mut self, events: &mut Vec<OrgEvent>, max: usize) {
        while events.len() < max {
            match self.receiver.try_recv() {
                Ok(event) => events.push(event),
                Err(_) => break,
            }
        }
        if self.interrupted.flag.swap(false, Ordering::AcqRel) {
            events.push(OrgEvent::Interrupted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_told_as_an_interruption() {
        let (feed, mut receiver) = channel(1);
        let event = OrgEvent::Entry(crate::broker::Entry {
            position: crate::protocol::Position { epoch: 1, seq: 1, check: 1 },
            body: crate::broker::Body::Malformed,
        });
        feed.send(event.clone());
        feed.send(event.clone());
        let mut events = Vec::new();
        assert!(receiver.recv_many(&mut events, 8).await);
        assert_eq!(events, [event, OrgEvent::Interrupted]);
        events.clear();
        feed.send(OrgEvent::Interrupted);
        feed.send(OrgEvent::Entry(crate::broker::Entry {
            position: crate::protocol::Position { epoch: 1, seq: 2, check: 2 },
            body: crate::broker::Body::Malformed,
        }));
        assert!(receiver.recv_many(&mut events, 8).await);
        assert_eq!(events, [OrgEvent::Interrupted]);
        drop(feed);
        events.clear();
        assert!(!receiver.recv_many(&mut events, 8).await || events.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_it_does_not_outrun_the_receiver() {
        let (feed, mut receiver) = channel(16);
        let sent = 200;
        let publisher = tokio::spawn(async move {
            for seq in 1..=sent {
                feed.ready().await;
                let position = crate::protocol::Position { epoch: 1, seq, check: 1 };
                feed.send(OrgEvent::Entry(crate::broker::Entry { position, body: crate::broker::Body::Malformed }));
            }
            // Nobody receives any more, and yet it ends.
            for _ in 0..16 {
                feed.ready().await;
            }
        });
        let mut events = Vec::new();
        while events.len() < sent as usize && receiver.recv_many(&mut events, 8).await {
            tokio::task::yield_now().await;
        }
        assert!(!events.contains(&OrgEvent::Interrupted));
        publisher.await.unwrap();
    }
}
