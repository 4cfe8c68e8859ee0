//! A world for tests that read as sentences: some gateways on one Redis, and people with clients.

use std::net::SocketAddr;

use roomcast_loadtest::{Client, Event, Message, Options, Outcome, What};
use serde_json::{Value, json};

use super::DEADLINE;
use super::gateway::{Gateway, Token};
use super::redis::Redis;

/// Gateways on one installation of Redis.
pub struct World<R = Redis> {
    pub redis: R,
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
}

impl<R> World<R> {
    /// Nodes that find Redis at `url`, which may be a proxy's, or as `settings` say.
    pub async fn at(redis: R, url: &str, count: usize, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut world = Self { redis, nodes: Vec::new(), settings, url: url.to_owned() };
        for _ in 0..count {
            world.add_node().await;
        }
        world
    }

    pub async fn add_node(&mut self) {
        let url = self.url.clone();
        self.add_node_at(&url).await;
    }

    /// A node with a wall clock that is `clock_shift_s` ahead.
    pub async fn add_node_with_clock(&mut self, clock_shift_s: i64) {
        let url = self.url.clone();
        self.add(&url, clock_shift_s).await;
    }

    /// A node that finds Redis at `url`, by a way of its own.
    pub async fn add_node_at(&mut self, url: &str) {
        self.add(url, 0).await;
    }

    async fn add(&mut self, url: &str, clock_shift_s: i64) {
        let id = format!("n{}", self.nodes.len());
        let mut settings = vec![("BROKER__KIND", "redis"), ("BROKER__REDIS__URL", url)];
        // Publishers of tests are not to be held up, except by tests about that.
        settings.extend([("LIMITS__COMMANDS_PER_S", "5000"), ("LIMITS__COMMANDS_BURST", "5000")]);
        // Nor is anybody to be moved from where they are.
        settings.push(("BALANCE__ENABLED", "false"));
        settings.extend(self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let node = Gateway::start_with_clock(&id, &settings, clock_shift_s).await;
        self.nodes.push(node);
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// The addresses of all nodes, the given one first: where a client begins and where it may go.
    fn addresses_from(&self, first: usize) -> Vec<SocketAddr> {
        let mut addresses = self.addresses();
        addresses.swap(0, first);
        addresses
    }

    /// A member of `org`, connected to node `node`, subscribed to `rooms`, who may wander to any other node.
    pub async fn member(&self, org: &str, name: &str, node: usize, rooms: &[&str]) -> Person {
        Person::meet(org, rooms, Options::new(self.addresses_from(node), Token::of(org, name).mint())).await
    }

    /// Somebody who went away comes back to node `node` and resumes.
    pub async fn welcome(&self, away: Away, node: usize) -> Person {
        let Away { org, rooms, position, events } = away;
        let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
        let options = Options::new(self.addresses_from(node), Token::of(&org, "returned").mint()).since(position);
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

    /// Shows what happened after the first `skipped` events, absences included, in one or two pieces.
    pub fn with_events(&self, skipped: usize, mut show: impl FnMut(&[Event])) {
        show(self.earlier.get(skipped..).unwrap_or_default());
        let journal = self.client.journal().events();
        show(journal.get(skipped.saturating_sub(self.earlier.len())..).unwrap_or_default());
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

    /// Whether they have been authenticated again after at least `reconnects` losses of their connection.
    pub fn is_in_again(&self, reconnects: u32) -> bool {
        let events = self.client.journal().events();
        let last = events.iter().rev().find(|event| event.message().is_some_and(|message| message.event == "authenticated"));
        last.is_some_and(|event| event.connection > reconnects)
    }

    /// Whether the first connection led to one of these nodes.
    pub fn began_at(&self, nodes: &[Gateway]) -> bool {
        let events = self.client.journal().events();
        let first = events.iter().find_map(|event| if let What::Opened(address) = event.what { Some(address) } else { None });
        first.is_some_and(|first| nodes.iter().any(|node| node.address == first))
    }

    /// Connections that it has had.
    pub fn connections(&self) -> u32 {
        self.client.journal().events().last().map_or(0, |event| event.connection)
    }
}

/// The close that the event is, if it is one: its code and what its reason says.
///
/// # Panics
/// When the connection ended without one.
pub fn goodbye(event: &Event) -> Option<(u16, Value)> {
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
