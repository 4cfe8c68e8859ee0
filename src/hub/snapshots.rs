//! Pages of collections for sessions: read once for all that ask at the same time.
//!
//! After a gap every mirror of a collection is read anew, by thousands of clients at once. A read that is under way may have begun
//! before a command came, and so may lack what was written before it; whoever comes meanwhile shares the next one. So the broker has one
//! read of a page at a time per node, and nobody gets a page older than the question.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::broker::{Broker, ReadError};
use crate::protocol::RoomName;
use crate::protocol::item::{ItemKey, Snapshot};
use crate::telemetry::metrics;

type Outcome = Result<Arc<Snapshot>, ReadError>;
/// A collection, and the key that the page comes after.
type Place = (RoomName, Option<ItemKey>);

/// The reads that are under way, each with those that came too late for it. Sessions ask for one page at a time, so there are never
/// more than sessions.
pub struct Snapshots {
    broker: Arc<dyn Broker>,
    late: Arc<Mutex<HashMap<Place, Vec<oneshot::Sender<Outcome>>>>>,
}

impl Snapshots {
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, late: Arc::default() }
    }

    /// The page that comes after a key.
    ///
    /// # Errors
    /// As [`crate::broker::Collections::items`].
    pub async fn page(&self, room: RoomName, after: Option<ItemKey>) -> Outcome {
        let (sender, answer) = oneshot::channel();
        let place = (room, after);
        let is_first = {
            let mut late = self.late.lock();
            match late.get_mut(&place) {
                Some(waiting) => {
                    waiting.push(sender);
                    false
                }
                None => {
                    late.insert(place.clone(), vec![sender]);
                    true
                }
            }
        };
        if is_first {
            // In a task of its own, because those who wait for it may go away one by one.
            tokio::spawn(read(Arc::clone(&self.broker), Arc::clone(&self.late), place));
        }
        answer.await.unwrap_or_else(|_| Err(ReadError::Unavailable("the read was given up".into())))
    }
}

/// Reads for those that wait, over and over until none has come meanwhile.
async fn read(broker: Arc<dyn Broker>, late: Arc<Mutex<HashMap<Place, Vec<oneshot::Sender<Outcome>>>>>, place: Place) {
    loop {
        let waiting = {
            let mut late = late.lock();
            let waiting = late.get_mut(&place).map(std::mem::take).unwrap_or_default();
            if waiting.is_empty() {
                late.remove(&place);
                return;
            }
            waiting
        };
        metrics::collection_reads().increment(1);
        let outcome = broker.items(&place.0, place.1.as_ref()).await.map(Arc::new);
        for sender in waiting {
            // Whoever went away needs no answer.
            let _ = sender.send(outcome.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{AckLevel, Collections, memory};
    use crate::protocol::item::{ItemValue, NewWrite, Op};
    use crate::protocol::{OrgId, RoomSyntax};

    #[tokio::test]
    async fn everybody_gets_a_page_that_is_as_new_as_the_question() {
        let broker = Arc::new(memory::MemoryBroker::new(memory::Config::default()));
        let snapshots = Arc::new(Snapshots::new(Arc::clone(&broker) as Arc<dyn Broker>));
        let room = crate::protocol::item::collection_room("sync:acme:tasks", &RoomSyntax::new(4, ["sync"]), &OrgId::parse("acme").unwrap());
        let room = room.unwrap();
        for round in 1..=20_usize {
            let key = ItemKey::new(format!("task-{round:02}")).unwrap();
            let write = NewWrite::new(room.clone(), Op::Insert, key, ItemValue::read(b"1".to_vec()), None).unwrap();
            broker.write(&write, AckLevel::Primary).await.unwrap();
            let asked = (0..50).map(|_| {
                let (snapshots, room) = (Arc::clone(&snapshots), room.clone());
                tokio::spawn(async move { snapshots.page(room, None).await.unwrap().items.len() })
            });
            for answer in asked.collect::<Vec<_>>() {
                assert_eq!(answer.await.unwrap(), round);
            }
        }
        assert!(snapshots.late.lock().is_empty(), "nothing is kept of reads that are over");
    }
}
