//! The task of one client: attempts, one connection after another, the position, the dedupe.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Options, Order};
use crate::journal::{Journal, Loss, Message, What};
use crate::socket::{self, Incoming, Reader, SocketError, Writer};

/// Publications remembered for the dedupe; a server that resumes correctly repeats far fewer.
const REMEMBERED_MAX: usize = 200_000;
/// How long a connection may take to be made.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// From here on close codes say that coming back is of no use.
const CLOSE_FATAL_MIN: u16 = 4_500;
/// The command that every connection begins with has this id.
const FIRST_ID: u64 = 1;

pub(super) struct Ways {
    pub orders: mpsc::Receiver<Order>,
    pub reading: watch::Receiver<bool>,
    pub position: watch::Sender<Option<String>>,
    pub token: watch::Receiver<String>,
    pub cuts: watch::Receiver<()>,
}

/// How a connection ended.
struct End {
    /// Another attempt would end alike.
    fatal: bool,
    retry_after: Duration,
}

impl End {
    const LOST: Self = Self { fatal: false, retry_after: Duration::ZERO };
}

#[derive(Default)]
struct Remembered {
    ids: HashSet<Arc<str>>,
    by_age: VecDeque<Arc<str>>,
}

impl Remembered {
    /// Whether it is new.
    fn insert(&mut self, id: &str) -> bool {
        let id: Arc<str> = id.into();
        if !self.ids.insert(Arc::clone(&id)) {
            return false;
        }
        self.by_age.push_back(id);
        if self.by_age.len() > REMEMBERED_MAX
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

struct Run {
    options: Options,
    ways: Ways,
    journal: Arc<Journal>,
    remembered: Remembered,
    /// Counts connections, from 1.
    connection: u32,
    /// Attempts in a row that came to nothing.
    failures: u32,
}

pub(super) async fn run(options: Options, ways: Ways, journal: Arc<Journal>) {
    let mut run = Run { options, ways, journal, remembered: Remembered::default(), connection: 0, failures: 0 };
    run.attempts().await;
    run.journal.write(run.connection, What::Ended);
}

impl Run {
    async fn attempts(&mut self) {
        let mut attempt = 0_u32;
        while self.failures < self.options.attempts_max {
            let choice = if attempt == 0 { 0 } else { rand::random_range(0..self.options.addresses.len().max(1)) };
            let Some(address) = self.options.addresses.get(choice).copied() else { return };
            attempt = attempt.saturating_add(1);
            self.failures = self.failures.saturating_add(1);
            let opening =
                tokio::time::timeout(OPEN_TIMEOUT, socket::connect_with(address, &self.options.path, self.options.receive_buffer_bytes));
            let end = match opening.await {
                Ok(Ok((reader, writer))) => {
                    self.connection += 1;
                    self.journal.write(self.connection, What::Opened(address));
                    self.converse(reader, writer).await
                }
                Ok(Err(error)) => self.lost(error),
                Err(_) => self.lost(Loss::Late),
            };
            if end.fatal {
                return;
            }
            let ceiling = self.options.backoff_min * (1 << self.failures.min(10));
            let pause = ceiling.min(self.options.backoff_max).mul_f64(rand::random::<f64>());
            tokio::time::sleep(pause.max(end.retry_after)).await;
        }
    }

    fn lost(&self, why: impl Into<Loss>) -> End {
        self.journal.write(self.connection, What::Lost(why.into()));
        End::LOST
    }

    async fn converse(&mut self, mut reader: Reader, mut writer: Writer) -> End {
        let mut answers: HashMap<u64, oneshot::Sender<Message>> = HashMap::new();
        let mut id = FIRST_ID;
        self.ways.cuts.mark_unchanged();
        if let Err(error) = writer.text(&self.introduction()).await {
            return self.lost(error);
        }
        let mut silent_at = Instant::now() + self.options.silence_max;
        loop {
            let reads = *self.ways.reading.borrow_and_update() && !self.journal.is_full();
            tokio::select! {
                incoming = reader.read(), if reads => {
                    silent_at = Instant::now() + self.options.silence_max;
                    if let Some(end) = self.take_in(incoming, &mut writer, &mut answers).await {
                        return end;
                    }
                }
                // The client was dropped when nobody can change this any more.
                changed = self.ways.reading.changed() => {
                    silent_at = Instant::now() + self.options.silence_max;
                    if changed.is_err() {
                        return End { fatal: true, ..End::LOST };
                    }
                }
                Ok(()) = self.ways.cuts.changed() => return self.lost(Loss::Cut),
                () = tokio::time::sleep_until(silent_at), if reads => return self.lost(Loss::Silent),
                // Commands wait until the session has begun.
                order = self.ways.orders.recv(), if self.failures == 0 => {
                    let Some(order) = order else { return End { fatal: true, ..End::LOST } };
                    id += 1;
                    answers.retain(|_, answer| !answer.is_closed());
                    answers.insert(id, order.answer);
                    let command = json!({ "event": order.event, "id": id, "data": order.data });
                    if let Err(error) = writer.text(&command.to_string()).await {
                        return self.lost(error);
                    }
                }
            }
        }
    }

    /// `authenticate`, with the rooms and the position, so that one replay covers all that was missed.
    fn introduction(&self) -> String {
        let mut data = json!({ "token": *self.ways.token.borrow() });
        if !self.options.rooms.is_empty() {
            data["rooms"] = json!(self.options.rooms);
        }
        if let Some(position) = &*self.ways.position.borrow() {
            data["since"] = json!(position);
        }
        json!({ "event": "authenticate", "id": FIRST_ID, "data": data }).to_string()
    }

    async fn take_in(
        &mut self,
        incoming: Result<Incoming, SocketError>,
        writer: &mut Writer,
        answers: &mut HashMap<u64, oneshot::Sender<Message>>,
    ) -> Option<End> {
        match incoming {
            Ok(Incoming::Text(text)) => match serde_json::from_slice(&text) {
                Ok(message) => self.note(message, answers),
                Err(error) => return Some(self.lost(Loss::Other(format!("no JSON message came: {error}")))),
            },
            Ok(Incoming::Ping(payload)) => {
                self.journal.write(self.connection, What::Ping);
                if let Err(error) = writer.pong(&payload).await {
                    return Some(self.lost(error));
                }
            }
            Ok(Incoming::Close(code, reason)) => {
                let details: Value = serde_json::from_str(&reason).unwrap_or_default();
                let retry_after = Duration::from_millis(details["retry_after_ms"].as_u64().unwrap_or_default());
                self.journal.write(self.connection, What::Closed { code, reason });
                // The server closes whatever becomes of the answer.
                let _ = writer.close(code).await;
                return Some(End { fatal: (CLOSE_FATAL_MIN..5_000).contains(&code), retry_after });
            }
            Ok(Incoming::Other) => {}
            Err(error) => return Some(self.lost(error)),
        }
        None
    }

    fn note(&mut self, message: Message, answers: &mut HashMap<u64, oneshot::Sender<Message>>) {
        if message.event == "authenticated" {
            self.failures = 0;
        }
        if let Some(position) = position(&message) {
            self.ways.position.send_replace(Some(position.to_owned()));
        }
        let fresh = message.publication_id().is_none_or(|id| self.remembered.insert(id));
        let answer = if message.room.is_none() { message.id.as_u64().and_then(|id| answers.remove(&id)) } else { None };
        self.journal.write(self.connection, What::Message { message: message.clone(), fresh });
        if let Some(answer) = answer {
            // Whoever asked may have gone.
            let _ = answer.send(message);
        }
    }
}

/// The position that the message moves the client to: the latest publication's (one that came ahead of its turn or once more moves
/// nothing), the end of a gap, or what a reply or push says.
fn position(message: &Message) -> Option<&str> {
    if message.room.is_some() {
        return message.publication_id().filter(|_| !message.overtook && message.redelivered == 0);
    }
    match message.event.as_str() {
        "gap" => message.data["to"].as_str(),
        "authenticated" | "subscribed" | "position" | "client:pong" => message.data["position"].as_str(),
        _ => None,
    }
}
