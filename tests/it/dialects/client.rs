//! A client of a dialect as its users have it: it connects, says what it says at first, pings, comes back when the connection ends unless
//! the close tells it not to, and fails on what it cannot read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use roomcast_loadtest::socket::{Incoming, Reader, SocketError, Writer, connect};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::eventually;

/// How often a client pings, and how long it waits before it comes back.
const PING_INTERVAL: Duration = Duration::from_millis(300);
/// What a test may have a client say while it is not connected.
const OUTBOX_MAX: usize = 64;
const PAUSE: Duration = Duration::from_millis(50);

/// What a kind of client does by itself and insists on.
pub struct Nature {
    pub path: &'static str,
    /// What is wrong with a message, to this client.
    pub complaint: fn(&Value) -> Option<String>,
    /// Closes after which it does not come back.
    pub final_closes: &'static [u16],
    pub ping: fn() -> Option<Value>,
}

/// A client that runs until it is dropped.
pub struct Client {
    journal: Arc<Mutex<Journal>>,
    sending: mpsc::Sender<Value>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Journal {
    messages: Vec<Value>,
    complaints: Vec<String>,
    closes: Vec<(u16, String)>,
    connections: usize,
}

struct Life {
    nature: &'static Nature,
    addresses: Vec<SocketAddr>,
    path: String,
    first: Vec<Value>,
    journal: Arc<Mutex<Journal>>,
}

impl Client {
    /// Connects to the first address, and to the next one whenever it comes back. `token` goes into the address; `first` is said on every
    /// connection.
    pub fn start(nature: &'static Nature, addresses: Vec<SocketAddr>, token: Option<&str>, first: Vec<Value>) -> Self {
        let path = token.map_or_else(|| nature.path.to_owned(), |token| format!("{}?token={token}", nature.path));
        let journal = Arc::<Mutex<Journal>>::default();
        let (sending, outbox) = mpsc::channel(OUTBOX_MAX);
        let life = Life { nature, addresses, path, first, journal: Arc::clone(&journal) };
        Self { journal, sending, task: tokio::spawn(life.run(outbox)) }
    }

    pub fn says(&self, message: Value) {
        self.sending.try_send(message).unwrap();
    }

    /// Waits for a message that came after the first `skipped` ones.
    pub async fn hears_after(&self, skipped: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let journal = self.journal.lock();
            assert!(journal.complaints.is_empty(), "{:?}", journal.complaints);
            journal.messages.get(skipped..).unwrap_or_default().iter().find(|message| is_it(message)).cloned()
        })
        .await
    }

    pub async fn hears(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.hears_after(0, what, is_it).await
    }

    pub async fn hears_type(&self, r#type: &str) -> Value {
        self.hears(r#type, |message| message["type"] == r#type).await
    }

    pub fn messages(&self) -> Vec<Value> {
        self.journal.lock().messages.clone()
    }

    pub fn connections(&self) -> usize {
        self.journal.lock().connections
    }

    pub async fn is_connected_again(&self, connections: usize) {
        eventually("it comes back", async || (self.connections() > connections).then_some(())).await;
    }

    pub async fn is_closed(&self) -> (u16, String) {
        eventually("a close", async || self.journal.lock().closes.first().cloned()).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Life {
    async fn run(self, mut outbox: mpsc::Receiver<Value>) {
        for attempt in 0.. {
            let address = self.addresses[attempt % self.addresses.len()];
            if let Ok((reader, writer)) = connect(address, &self.path).await {
                self.journal.lock().connections += 1;
                if let Some((code, reason)) = self.connected(reader, writer, &mut outbox).await {
                    self.journal.lock().closes.push((code, reason));
                    if self.nature.final_closes.contains(&code) {
                        return;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One connection to its end: the close, if there was one.
    async fn connected(&self, mut reader: Reader, mut writer: Writer, outbox: &mut mpsc::Receiver<Value>) -> Option<(u16, String)> {
        for message in &self.first {
            writer.text(&message.to_string()).await.ok()?;
        }
        let mut pings = tokio::time::interval(PING_INTERVAL);
        loop {
            tokio::select! {
                incoming = reader.read() => match self.heard(incoming) {
                    Ok(Some(payload)) => writer.pong(&payload).await.ok()?,
                    Ok(None) => {}
                    Err(close) => return close,
                },
                Some(message) = outbox.recv() => writer.text(&message.to_string()).await.ok()?,
                _ = pings.tick() => if let Some(ping) = (self.nature.ping)() {
                    writer.text(&ping.to_string()).await.ok()?;
                },
            }
        }
    }

    /// What is to be answered by a pong, or the end.
    fn heard(&self, incoming: Result<Incoming, SocketError>) -> Result<Option<Vec<u8>>, Option<(u16, String)>> {
        match incoming {
            Ok(Incoming::Text(text)) => {
                let message: Value = serde_json::from_slice(&text).unwrap();
                let mut journal = self.journal.lock();
                journal.complaints.extend((self.nature.complaint)(&message));
                journal.messages.push(message);
                Ok(None)
            }
            Ok(Incoming::Ping(payload)) => Ok(Some(payload.to_vec())),
            Ok(Incoming::Close(code, reason)) => Err(Some((code, reason))),
            Ok(Incoming::Other) => Ok(None),
            Err(_) => Err(None),
        }
    }
}
