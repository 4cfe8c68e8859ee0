//! Everything that happened to one client, in order. The client writes it, whoever judges reads it and waits on it.

mod loss;

use std::net::SocketAddr;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

pub use loss::Loss;

/// Most events that one journal holds. A client whose journal is full stops reading.
pub const EVENTS_MAX: usize = 1 << 20;

/// A message from the server.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    pub event: String,
    /// A publication's position, or the id of the command that is answered.
    #[serde(default)]
    pub id: Value,
    /// Only publications have one.
    #[serde(default)]
    pub room: Option<String>,
    #[serde(default)]
    pub data: Value,
    #[serde(default)]
    pub priority: Option<String>,
    #[serde(default)]
    pub replayed: bool,
    /// It came ahead of its turn, so its id is no place to resume from.
    #[serde(default)]
    pub overtook: bool,
    /// How many others of low priority it stands for.
    #[serde(default)]
    pub conflated: u32,
    /// How often it was sent before without having been acknowledged.
    #[serde(default)]
    pub redelivered: u32,
}

impl Message {
    /// The position of a logged publication.
    pub fn publication_id(&self) -> Option<&str> {
        self.room.as_ref().and(self.id.as_str())
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// Connected, not yet authenticated.
    Opened(SocketAddr),
    /// `fresh`: the client had not had this publication before; always true for what is no logged publication.
    Message {
        message: Message,
        fresh: bool,
    },
    Ping,
    /// The server said goodbye. The reason is JSON or empty.
    Closed {
        code: u16,
        reason: String,
    },
    /// The connection could not be made, or ended without a close frame.
    Lost(Loss),
    /// No further attempt will be made.
    Ended,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub at: Instant,
    /// Counts connections, from 1; 0 before the first.
    pub connection: u32,
    pub what: What,
}

impl Event {
    pub fn message(&self) -> Option<&Message> {
        match &self.what {
            What::Message { message, .. } => Some(message),
            _ => None,
        }
    }
}

/// The events of one client.
#[derive(Debug)]
pub struct Journal {
    events: Mutex<Vec<Event>>,
    count: watch::Sender<usize>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { events: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl Journal {
    pub(crate) fn write(&self, connection: u32, what: What) {
        let mut events = self.events.lock();
        events.push(Event { at: Instant::now(), connection, what });
        let count = events.len();
        drop(events);
        self.count.send_replace(count);
    }

    pub fn is_full(&self) -> bool {
        *self.count.borrow() >= EVENTS_MAX
    }

    /// The events so far. Do not hold them across an await.
    pub fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock()
    }

    /// Waits until `answer` finds what it looks for; it is asked again after every event. Cancel-safe.
    pub async fn until<T>(&self, mut answer: impl FnMut(&[Event]) -> Option<T>) -> T {
        let mut count = self.count.subscribe();
        loop {
            count.mark_unchanged();
            if let Some(found) = answer(&self.events()) {
                return found;
            }
            if count.changed().await.is_err() {
                // The sender lives in this very journal.
                std::future::pending::<()>().await;
            }
        }
    }
}
