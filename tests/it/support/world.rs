//! A world for tests that read as sentences: some gateways on one Redis, people with clients, publishers of every kind, and the
//! ledger that judges them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomcast_loadtest::ledger::Fate;
use roomcast_loadtest::{Client, Event, Ledger, Message, Options, Outcome, Verdict, What};
use serde_json::{Value, json};

use super::DEADLINE;
use super::gateway::{Gateway, Token};
use super::redis::Redis;

/// Gateways on one Redis.
pub struct World {
    pub redis: Redis,
    pub nodes: Vec<Gateway>,
    settings: Vec<(String, String)>,
    url: String,
}

impl World {
    /// `count` nodes on a Redis of their own that keeps nothing on disk.
    pub async fn of(count: usize) -> Self {
        Self::on(Redis::start(&[]).await, count, &[]).await
    }

    pub async fn on(redis: Redis, count: usize, settings: &[(&str, &str)]) -> Self {
        let url = redis.url();
        Self::at(redis, &url, count, settings).await
    }

    /// Nodes that find Redis at `url`, which may be a proxy's.
    pub async fn at(redis: Redis, url: &str, count: usize, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut world = Self { redis, nodes: Vec::new(), settings, url: url.to_owned() };
        for _ in 0..count {
            world.add_node().await;
        }
        world
    }

    pub async fn add_node(&mut self) {
        let id = format!("n{}", self.nodes.len());
        let url = self.url.clone();
        let mut settings = vec![("BROKER__KIND", "redis"), ("BROKER__REDIS__URL", &url), ("LIMITS__COMMANDS_PER_S", "5000")];
        settings.push(("LIMITS__COMMANDS_BURST", "5000"));
        settings.extend(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let node = Gateway::start(&id, &settings).await;
        self.nodes.push(node);
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// The addresses of all nodes, the given one first: where a client begins and where it may go.
    fn from_node(&self, first: usize) -> Vec<SocketAddr> {
        let mut addresses = self.addresses();
        addresses.swap(0, first);
        addresses
    }

    /// A member of `org`, connected to node `node`, subscribed to `rooms`, who may wander to any other node.
    pub async fn member(&self, org: &str, name: &str, node: usize, rooms: &[&str]) -> Person {
        Person::meet(org, rooms, Options::new(self.from_node(node), Token::of(org, name).mint())).await
    }

    /// Somebody who went away comes back to node `node` and resumes.
    pub async fn welcome(&self, away: Away, node: usize) -> Person {
        let Away { org, rooms, position, events } = away;
        let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
        let options = Options::new(self.from_node(node), Token::of(&org, "returned").mint()).since(position);
        Person { earlier: events, ..Person::meet(&org, &rooms, options).await }
    }
}

/// Somebody with a client.
pub struct Person {
    pub client: Client,
    pub org: String,
    pub rooms: Vec<String>,
    /// What happened before they went away.
    earlier: Vec<Event>,
}

/// Somebody who is offline, with what they remember.
pub struct Away {
    org: String,
    rooms: Vec<String>,
    pub position: Option<String>,
    events: Vec<Event>,
}

impl Person {
    /// Connects and waits until authenticated.
    pub async fn meet(org: &str, rooms: &[&str], options: Options) -> Self {
        let client = Client::start(options.rooms(rooms.iter().copied()));
        let rooms = rooms.iter().map(ToString::to_string).collect();
        let person = Self { client, org: org.to_owned(), rooms, earlier: Vec::new() };
        person.hears("authenticated").await;
        person
    }

    /// Somebody whom the server need not let in.
    pub fn of(client: Client, org: &str) -> Self {
        Self { client, org: org.to_owned(), rooms: Vec::new(), earlier: Vec::new() }
    }

    /// Goes offline without a word.
    pub fn leaves(self) -> Away {
        let Self { client, org, rooms, earlier } = self;
        let events = earlier.into_iter().chain(client.journal().events().iter().cloned()).collect();
        Away { org, rooms, position: client.position(), events }
    }

    /// All that happened, absences included.
    pub fn events(&self) -> Vec<Event> {
        self.earlier.iter().chain(self.client.journal().events().iter()).cloned().collect()
    }

    /// Waits until `answer` finds something in what happened so far.
    pub async fn until<T>(&self, what: &str, answer: impl FnMut(&[Event]) -> Option<T>) -> T {
        match tokio::time::timeout(DEADLINE, self.client.journal().until(answer)).await {
            Ok(found) => found,
            Err(_) => panic!("{what}: not within {DEADLINE:?}; the last that happened: {:#?}", self.last_events()),
        }
    }

    fn last_events(&self) -> Vec<Event> {
        let events = self.client.journal().events();
        events[events.len().saturating_sub(6)..].to_vec()
    }

    /// Waits for a message with this event.
    pub async fn hears(&self, event: &str) -> Message {
        self.until(event, |events| messages(events).find(|message| message.event == event).cloned()).await
    }

    /// Waits until the publication with this mark has come.
    pub async fn receives(&self, mark: &str) -> Message {
        self.until(mark, |events| messages(events).find(|message| is_marked(message, mark)).cloned()).await
    }

    /// Publishes under a mark and demands the acknowledgement.
    pub async fn publishes(&self, room: &str, mark: &str) -> String {
        match self.publish(room, mark).await {
            Outcome::Acked { id: Some(id), .. } => id,
            other => panic!("{mark} was not acknowledged: {other:?}"),
        }
    }

    pub async fn publish(&self, room: &str, mark: &str) -> Outcome {
        self.client.publish(room, "kpi:update", json!({ "mark": mark })).await
    }

    /// The marks of what was delivered, in order.
    pub fn received(&self) -> Vec<String> {
        delivered(&self.events()).filter_map(|message| message.data["mark"].as_str().map(str::to_owned)).collect()
    }

    pub fn count(&self, event: &str) -> usize {
        messages(&self.client.journal().events()).filter(|message| message.event == event).count()
    }

    /// Waits for the first goodbye: its code and what its reason says.
    pub async fn is_closed(&self) -> (u16, Value) {
        self.until("a close", |events| events.iter().find_map(goodbye)).await
    }

    /// Whether the first connection still stands.
    pub fn is_still_connected(&self) -> bool {
        !self.client.journal().events().iter().any(|event| matches!(event.what, What::Closed { .. } | What::Lost(_)))
    }

    /// Connections that it has had.
    pub fn connections(&self) -> u32 {
        self.client.journal().events().last().map_or(0, |event| event.connection)
    }
}

fn goodbye(event: &Event) -> Option<(u16, Value)> {
    match &event.what {
        What::Closed { code, reason } => Some((*code, serde_json::from_str(reason).unwrap_or_default())),
        What::Lost(why) => panic!("the connection ended without a close: {why}"),
        _ => None,
    }
}

pub fn messages(events: &[Event]) -> impl Iterator<Item = &Message> {
    events.iter().filter_map(Event::message)
}

fn delivered(events: &[Event]) -> impl Iterator<Item = &Message> {
    let fresh = |event: &&Event| matches!(event.what, What::Message { fresh: true, .. });
    events.iter().filter(fresh).filter_map(Event::message).filter(|message| message.room.is_some())
}

pub fn is_marked(message: &Message, mark: &str) -> bool {
    message.data["mark"].as_str() == Some(mark)
}

/// All that was published in a test, shared by its publishers.
#[derive(Clone)]
pub struct Books {
    begun: Instant,
    entries: Arc<Mutex<Vec<(String, String, Fate, u64)>>>,
}

impl Default for Books {
    fn default() -> Self {
        Self { begun: Instant::now(), entries: Arc::default() }
    }
}

impl Books {
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn note(&self, mark: &str, room: &str, fate: Fate) {
        self.entries.lock().push((mark.to_owned(), room.to_owned(), fate, self.now_ms()));
    }

    pub fn acked(&self) -> usize {
        self.entries.lock().iter().filter(|(_, _, fate, _)| matches!(fate, Fate::Acked(_))).count()
    }

    /// The ledger as it stands.
    pub fn ledger<'a>(&self, people: impl IntoIterator<Item = &'a Person>) -> Ledger {
        let mut ledger = Ledger::default();
        for (mark, room, fate, at_ms) in self.entries.lock().iter() {
            ledger.published(mark, room, *fate, *at_ms);
        }
        for person in people {
            ledger.book(&person.org, person.rooms.iter().cloned(), &person.events(), self.begun);
        }
        ledger
    }

    /// Waits until everyone has all that they are owed, and judges. What is still owed at the deadline is told as silent.
    pub async fn settle<'a>(&self, people: impl IntoIterator<Item = &'a Person> + Clone) -> Verdict {
        let settling = async {
            while self.ledger(people.clone()).verdict().silent > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let _ = tokio::time::timeout(DEADLINE, settling).await;
        self.ledger(people).verdict()
    }
}

/// Publishes one after another until told to stop, retrying what is refused or unknown under the same idempotency key.
pub struct Load {
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    /// Marks are `<name>-<number>`.
    pub fn start(books: &Books, publisher: Person, name: &str, rooms: &[&str], pause: Duration) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (books, name) = (books.clone(), name.to_owned());
        let rooms: Vec<String> = rooms.iter().map(ToString::to_string).collect();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(pause);
            for (number, room) in rooms.iter().cycle().enumerate() {
                ticks.tick().await;
                if *stopped.borrow() {
                    return;
                }
                let mark = format!("{name}-{number}");
                loop {
                    let key = json!({ "idempotency_key": mark });
                    let outcome = publisher.client.publish_with(room, "kpi:update", json!({ "mark": mark }), key).await;
                    books.note(&mark, room, outcome.fate());
                    if matches!(outcome, Outcome::Acked { .. }) {
                        break;
                    }
                    ticks.tick().await;
                }
            }
        });
        Self { stop, task }
    }

    /// Stops after the publication at hand is acknowledged.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(DEADLINE, self.task).await.expect("the last publication is acknowledged").expect("publishing did not panic");
    }
}

/// Publishes through Redis as a backend would.
pub async fn fcall(redis: &Redis, org: &str, room: &str, mark: &str) -> String {
    let data = json!({ "mark": mark }).to_string();
    let mut command = redis::cmd("FCALL");
    command.arg("roomcast_publish").arg(1).arg(format!("rc:{{{org}}}")).arg(room).arg("kpi:update").arg(data);
    let (position, _): (String, i64) = redis.ask(&command).await;
    position
}

/// Publishes `count` marked publications of `bytes` each through Redis, many per round trip, and books them.
pub async fn pour(redis: &Redis, books: &Books, org: &str, room: &str, name: &str, (count, bytes): (usize, usize)) {
    let filling = "x".repeat(bytes);
    let client = redis::Client::open(redis.url()).expect("our URL is well-formed");
    let mut connection = client.get_multiplexed_async_connection().await.expect("the test's Redis is up");
    let marks: Vec<String> = (0..count).map(|number| format!("{name}-{number}")).collect();
    for marks in marks.chunks(64) {
        let mut pipeline = redis::pipe();
        for mark in marks {
            let data = json!({ "mark": mark, "filling": filling }).to_string();
            pipeline.cmd("FCALL").arg("roomcast_publish").arg(1).arg(format!("rc:{{{org}}}")).arg(room).arg("kpi:update").arg(data);
        }
        let answers: Vec<(String, i64)> = pipeline.query_async(&mut connection).await.expect("Redis takes them");
        for (mark, (position, _)) in marks.iter().zip(answers) {
            books.note(mark, room, Fate::Acked(position.parse().ok()));
        }
    }
}

/// Adds to the ingest stream as a backend would.
pub async fn xadd(redis: &Redis, room: &str, mark: &str, more: &[(&str, &str)]) -> String {
    let data = json!({ "mark": mark }).to_string();
    let mut command = redis::cmd("XADD");
    command.arg("rc:ingest").arg("*").arg("room").arg(room).arg("event").arg("kpi:update").arg("data").arg(data);
    for (name, value) in more {
        command.arg(name).arg(value);
    }
    redis.ask(&command).await
}

/// The numbers of entries that the org's log holds.
pub async fn log_length(redis: &Redis, org: &str) -> usize {
    redis.ask(redis::cmd("XLEN").arg(format!("rc:{{{org}}}:log"))).await
}

/// A REST call; the answer's status and JSON.
pub async fn rest(node: &Gateway, token: &str, path: &str, body: &Value) -> (u16, Value) {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::TokioIo;
    let stream = tokio::net::TcpStream::connect(node.address).await.expect("the node listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
    tokio::spawn(connection);
    let request = http::Request::post(path)
        .header("host", node.address.to_string())
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from(body.to_string())))
        .expect("the request is well-formed");
    let response = sender.send_request(request).await.expect("it answers");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
