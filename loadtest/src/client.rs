//! A client as it should be: keeps its position, comes back after every loss with full jitter, resumes, delivers once.
//!
//! Tests and scenarios start clients; one task runs each. What it lives through stands in its journal.

mod run;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::journal::{Journal, Message};
use crate::ledger::Fate;

/// Commands that wait to be written.
const ORDERS_MAX: usize = 1_024;

/// Who the client is and how it behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Any node will do; one is chosen at random for every attempt after the first, which goes to the first.
    pub addresses: Vec<SocketAddr>,
    pub path: String,
    pub token: String,
    /// Subscribed with `authenticate`, on every connection.
    pub rooms: Vec<String>,
    /// The position to begin from.
    pub since: Option<String>,
    /// Upper end of the first random pause between attempts; it doubles with every failure.
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// Attempts in a row that may fail.
    pub attempts_max: u32,
    /// A connection over which nothing came for this long is given up; longer than the server's ping interval.
    pub silence_max: Duration,
    /// Size of the socket's receive buffer; the operating system's choice where there is none.
    pub receive_buffer_bytes: Option<u32>,
}

impl Options {
    pub fn new(addresses: impl Into<Vec<SocketAddr>>, token: impl Into<String>) -> Self {
        Self {
            addresses: addresses.into(),
            path: "/ws".to_owned(),
            token: token.into(),
            rooms: Vec::new(),
            since: None,
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            attempts_max: 200,
            silence_max: Duration::from_secs(60),
            receive_buffer_bytes: None,
        }
    }

    #[must_use]
    pub fn rooms<S: Into<String>>(mut self, rooms: impl IntoIterator<Item = S>) -> Self {
        self.rooms = rooms.into_iter().map(Into::into).collect();
        self
    }

    #[must_use]
    pub fn since(mut self, position: Option<String>) -> Self {
        self.since = position;
        self
    }
}

/// What became of a publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Acked {
        id: Option<String>,
        duplicate: bool,
    },
    /// With this code.
    Refused(String),
    /// The connection was lost before an answer came.
    Unknown,
}

impl Outcome {
    /// What the ledger books.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Acked { id, .. } => Fate::Acked(id.as_deref().and_then(|id| id.parse().ok())),
            Self::Refused(_) => Fate::Refused,
            Self::Unknown => Fate::Unknown,
        }
    }
}

/// A command for the server.
pub(crate) struct Order {
    pub event: &'static str,
    pub data: Value,
    pub answer: oneshot::Sender<Message>,
}

/// A running client; it goes away without a close frame when dropped.
pub struct Client {
    journal: Arc<Journal>,
    orders: mpsc::Sender<Order>,
    reading: watch::Sender<bool>,
    position: watch::Receiver<Option<String>>,
    token: watch::Sender<String>,
    cuts: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Client {
    /// Must be called within a tokio runtime.
    pub fn start(options: Options) -> Self {
        let journal = Arc::<Journal>::default();
        let (orders, orders_in) = mpsc::channel(ORDERS_MAX);
        let (reading, reading_in) = watch::channel(true);
        let (position_out, position) = watch::channel(options.since.clone());
        let (token, token_in) = watch::channel(options.token.clone());
        let (cuts, cuts_in) = watch::channel(());
        let ways = run::Ways { orders: orders_in, reading: reading_in, position: position_out, token: token_in, cuts: cuts_in };
        let task = tokio::spawn(run::run(options, ways, Arc::clone(&journal)));
        Self { journal, orders, reading, position, token, cuts, task }
    }

    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Where it stands in its org's log.
    pub fn position(&self) -> Option<String> {
        self.position.borrow().clone()
    }

    /// Sends a command on the connection at hand and waits for its reply; `None` when the connection was lost meanwhile. While
    /// there is no connection it waits for one.
    pub async fn ask(&self, event: &'static str, data: Value) -> Option<Message> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order { event, data, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Publishes `data` into `room`, with further fields of the command such as `idempotency_key`.
    pub async fn publish_with(&self, room: &str, event: &str, data: Value, more: Value) -> Outcome {
        let mut command = json!({ "room": room, "event": event, "data": data });
        if let (Value::Object(command), Value::Object(more)) = (&mut command, more) {
            command.extend(more);
        }
        match self.ask("publish", command).await {
            Some(reply) if reply.event == "published" => Outcome::Acked {
                id: reply.data["id"].as_str().map(str::to_owned),
                duplicate: reply.data["duplicate"].as_bool().unwrap_or_default(),
            },
            Some(reply) => Outcome::Refused(reply.data["code"].as_str().unwrap_or_default().to_owned()),
            None => Outcome::Unknown,
        }
    }

    pub async fn publish(&self, room: &str, event: &str, data: Value) -> Outcome {
        self.publish_with(room, event, data, Value::Null).await
    }

    /// Renews the token on the open connection and uses it from now on.
    pub async fn renew(&self, token: &str) -> Option<Message> {
        self.token.send_replace(token.to_owned());
        self.ask("authenticate", json!({ "token": token })).await
    }

    /// Leaves everything that arrives in the socket until [`Client::read_again`].
    pub fn stop_reading(&self) {
        self.reading.send_replace(false);
    }

    pub fn read_again(&self) {
        self.reading.send_replace(true);
    }

    /// Drops the connection at hand without a close frame, as a lost network does; the client comes back by itself.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}
