//! Publishers as backends should be: by a session and by REST through the balancer, and by the function in Redis. What is refused or not
//! answered they send again under its idempotency key until it is acknowledged; all of it is written down for the ledger.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{Client, Options};
use crate::ledger::Fate;
use crate::resp;
use crate::target::Entrance;

/// How long an answer may take before a publisher tries again.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long it waits before that.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
const EVENT: &str = "kpi:update";

/// One attempt to publish.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub mark: String,
    pub room: String,
    pub fate: Fate,
    /// When the publication was first tried, and when this attempt was answered or given up.
    pub first: Instant,
    pub over: Instant,
    /// Why it came to nothing; empty where it did not.
    pub why: String,
}

/// All attempts of all publishers.
pub type Book = Arc<Mutex<Vec<Attempt>>>;

/// Where a publisher publishes.
pub struct Place {
    pub entrance: Entrance,
    /// The balancer's.
    pub address: SocketAddr,
    pub redis: SocketAddr,
    pub org: String,
    pub rooms: Vec<String>,
    /// A token that may publish in the org, by every door.
    pub token: String,
}

/// A publisher that runs.
pub struct Publisher {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Publisher {
    /// Publishes every `pause`. Must be called within a runtime.
    pub fn start(name: String, place: Place, pause: Duration, book: Book) -> Self {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let client = (place.entrance == Entrance::Websocket).then(|| Client::start(Options::new([place.address], place.token.clone())));
            let mut ticks = tokio::time::interval(pause);
            for (number, room) in place.rooms.iter().cycle().enumerate() {
                ticks.tick().await;
                if *stopped.borrow() {
                    return;
                }
                publish(&place, client.as_ref(), room, &format!("{name}-{number}"), &book).await;
            }
        });
        Self { stop, task }
    }

    /// No publication follows the one at hand.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether that one is acknowledged.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

async fn publish(place: &Place, client: Option<&Client>, room: &str, mark: &str, book: &Book) {
    let first = Instant::now();
    loop {
        let trying = async {
            match place.entrance {
                Entrance::Rest => by_rest(place, room, mark).await,
                Entrance::Fcall | Entrance::Ingest => by_function(place, room, mark).await,
                Entrance::Websocket => Ok(by_session(client, room, mark).await),
            }
        };
        let (fate, why) = match tokio::time::timeout(ANSWER_MAX, trying).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => (Fate::Unknown, format!("{error:#}")),
            Err(_) => {
                // A node that does not answer is left for another.
                client.into_iter().for_each(Client::cut);
                (Fate::Unknown, "no answer in time".to_owned())
            }
        };
        let over = Instant::now();
        book.lock().push(Attempt { mark: mark.to_owned(), room: room.to_owned(), fate, first, over, why });
        if matches!(fate, Fate::Acked(_)) {
            return;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn by_session(client: Option<&Client>, room: &str, mark: &str) -> (Fate, String) {
    let Some(client) = client else { return (Fate::Unknown, "there is no session".to_owned()) };
    let outcome = client.publish_with(room, EVENT, json!({ "mark": mark }), json!({ "idempotency_key": mark })).await;
    let why = match &outcome {
        crate::Outcome::Acked { .. } => String::new(),
        crate::Outcome::Refused(code) => format!("session: {code}"),
        crate::Outcome::Unknown => "session: connection lost before the answer".to_owned(),
    };
    (outcome.fate(), why)
}

/// One connection for each publication: the hardest on a balancer whose nodes go.
async fn by_rest(place: &Place, room: &str, mark: &str) -> anyhow::Result<(Fate, String)> {
    let body = json!({ "event": EVENT, "target": { "room": room }, "data": { "mark": mark }, "idempotency_key": mark }).to_string();
    let Place { address, token, .. } = place;
    let request = format!(
        "POST /api/ws/broadcast HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(*address, request.as_bytes(), |_| false).await.context("REST")?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").context("REST: no whole answer")?;
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok(match (status, body["code"].as_str()) {
        ("200", _) => (Fate::Acked(body["id"].as_str().and_then(|id| id.parse().ok())), String::new()),
        (_, Some(code)) => (Fate::Refused, format!("REST: HTTP {status} {code}")),
        // Not a node's words, so nobody knows what the node did.
        (_, None) => (Fate::Unknown, format!("REST: HTTP {status}, by the balancer")),
    })
}

async fn by_function(place: &Place, room: &str, mark: &str) -> anyhow::Result<(Fate, String)> {
    let (mut request, data) = (Vec::new(), json!({ "mark": mark }).to_string());
    let key = format!("rc:{{{}}}", place.org);
    resp::command(&["FCALL", "roomcast_publish", "1", &key, room, EVENT, &data, "idempotency_key", mark], &mut request);
    let answer = exchange(place.redis, &request, |answer| resp::length(answer).is_some()).await.context("FCALL")?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if let Some(error) = answer.strip_prefix('-') {
        return Ok((Fate::Refused, format!("FCALL: {}", error.trim())));
    }
    // An array of the position and whether it was known: the position is its second word.
    Ok((Fate::Acked(answer.lines().nth(2).and_then(|position| position.parse().ok())), String::new()))
}

/// Says `request` and hears what comes until it `is_whole` or the other side is done.
async fn exchange(address: SocketAddr, request: &[u8], is_whole: impl Fn(&[u8]) -> bool) -> anyhow::Result<Vec<u8>> {
    let mut tcp = TcpStream::connect(address).await.context("cannot connect")?;
    tcp.write_all(request).await.context("cannot be written")?;
    let (mut answer, mut from) = (Vec::new(), tcp.take(ANSWER_BYTES_MAX));
    while from.read_buf(&mut answer).await.context("lost before the answer")? > 0 {
        if is_whole(&answer) {
            break;
        }
    }
    Ok(answer)
}
