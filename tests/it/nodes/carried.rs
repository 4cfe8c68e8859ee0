//! Collections where WebSockets do not pass: mirrored and written over server-sent events and over long polling, with every request to another
//! node than the last.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::support::gateway::Token;
use crate::support::http::{Balancer, CURSOR, NUMBER, SESSION, Stream, ask};
use crate::support::publishers::{log_length, rest, try_get};
use crate::support::world::World;

const ROOM: &str = "sync:acme:tasks";

type Items = BTreeMap<String, (u64, Value)>;

/// A session over HTTP.
struct Carried {
    balancer: Balancer,
    path: &'static str,
    session: String,
    requests: u64,
    way: Way,
}

enum Way {
    Stream(Box<Stream>),
    Polls { cursor: String, waiting: VecDeque<Value> },
}

impl Carried {
    async fn begin(world: &World, path: &'static str, since: Option<&str>) -> Self {
        let enter =
            json!({ "event": "authenticate", "data": { "token": Token::of("acme", "alice").mint(), "rooms": [ROOM], "since": since } });
        let balancer = Balancer::new(world.addresses());
        let (session, way) = if path == "/sse" {
            let stream = Stream::post(balancer.nodes[0], &enter).await;
            (stream.session.clone(), Way::Stream(Box::new(stream)))
        } else {
            let answer = ask(balancer.nodes[0], "POST", path, &[], &enter.to_string()).await;
            let begun = answer.json();
            let waiting = begun["messages"].as_array().unwrap().iter().cloned().collect();
            (answer.header(SESSION).to_owned(), Way::Polls { cursor: begun["cursor"].as_str().unwrap().to_owned(), waiting })
        };
        Self { balancer, path, session, requests: 0, way }
    }

    /// Sends a command, twice, as one does whose answer was lost.
    async fn sends(&mut self, event: &str, data: Value) {
        self.requests += 1;
        let (number, command) = (self.requests.to_string(), json!({ "event": event, "id": self.requests, "data": data }).to_string());
        for _ in 0..2 {
            let answer = self.balancer.ask("POST", self.path, &[(SESSION, &self.session), (NUMBER, &number)], &command).await;
            assert_eq!(answer.status, 202, "{}", answer.body);
        }
    }

    async fn hears(&mut self) -> Value {
        match &mut self.way {
            Way::Stream(stream) => stream.event().await.message(),
            Way::Polls { cursor, waiting } => loop {
                if let Some(message) = waiting.pop_front() {
                    return message;
                }
                let answer = self.balancer.ask("GET", self.path, &[(SESSION, &self.session), (CURSOR, cursor)], "").await.json();
                cursor.clone_from(&answer["cursor"].as_str().unwrap().to_owned());
                waiting.extend(answer["messages"].as_array().unwrap().iter().cloned());
            },
        }
    }
}

/// What somebody shows who follows docs/collections.md.
#[derive(Default)]
struct Mirror {
    items: Items,
    deleted: BTreeMap<String, u64>,
    position: Option<String>,
}

impl Mirror {
    fn put(&mut self, item: &Value) {
        let (key, version) = (item["key"].as_str().unwrap().to_owned(), item["version"].as_u64().unwrap());
        let known = self.items.get(&key).map_or(0, |(version, _)| *version).max(self.deleted.get(&key).copied().unwrap_or_default());
        if version > known {
            self.items.insert(key, (version, item["value"].clone()));
        }
    }

    /// Takes in what comes, up to the answer to the command with this id or the change to this key.
    async fn follows(&mut self, carried: &mut Carried, until: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = carried.hears().await;
            let (event, data) = (message["event"].as_str().unwrap(), &message["data"]);
            assert_ne!(event, "gap", "{message}");
            match event {
                "sync:snapshot" => data["items"].as_array().unwrap().iter().for_each(|item| self.put(item)),
                "sync:insert" | "sync:update" => self.put(data),
                "sync:delete" => {
                    self.items.remove(data["key"].as_str().unwrap());
                    self.deleted.insert(data["key"].as_str().unwrap().to_owned(), data["version"].as_u64().unwrap());
                }
                _ => {}
            }
            if message["room"] == ROOM {
                self.position = message["id"].as_str().map(str::to_owned);
            }
            if until(&message) {
                return message;
            }
        }
    }
}

async fn backend_writes(world: &World, op: &str, key: &str, value: u64) {
    let body = json!({ "room": ROOM, "op": op, "key": key, "value": value });
    let (status, answer) = rest(&world.nodes[1], &Token::service().mint(), "/api/ws/sync/write", &body).await;
    assert_eq!(status, 200, "{answer}");
}

/// The collection as REST tells it.
async fn stands(world: &World) -> Items {
    let path = format!("/api/ws/sync/items?room={ROOM}");
    let (status, page) = try_get(world.nodes[0].address, &Token::service().mint(), &path).await.expect("the node answers");
    assert_eq!(status, 200, "{page}");
    let item = |item: &Value| (item["key"].as_str().unwrap().to_owned(), (item["version"].as_u64().unwrap(), item["value"].clone()));
    page["items"].as_array().unwrap().iter().map(item).collect()
}

fn answers(id: u64) -> impl Fn(&Value) -> bool {
    move |message| message["id"] == id
}

fn tells_of(key: &'static str) -> impl Fn(&Value) -> bool {
    move |message| message["room"] == ROOM && message["data"]["key"] == key
}

async fn is_mirrored_and_written(path: &'static str) {
    let world = World::of(2).await;
    for (value, key) in ["a", "b", "c"].into_iter().enumerate() {
        backend_writes(&world, "insert", key, value as u64).await;
    }
    let (mut carried, mut mirror) = (Carried::begin(&world, path, None).await, Mirror::default());
    mirror.follows(&mut carried, |message| message["event"] == "authenticated").await;
    carried.sends("sync:subscribe", json!({ "room": ROOM })).await;
    assert_eq!(mirror.follows(&mut carried, answers(1)).await["event"], "sync:snapshot");
    assert_eq!(mirror.items, stands(&world).await);

    let (old, _) = mirror.items["b"];
    backend_writes(&world, "update", "b", 10).await;
    backend_writes(&world, "delete", "c", 0).await;
    let write = |op: &str, key: &str, if_version: Option<u64>| json!({ "room": ROOM, "op": op, "key": key, "value": 20, "if_version": if_version, "idempotency_key": format!("{op} {key}") });
    carried.sends("sync:write", write("insert", "d", None)).await;
    let written = mirror.follows(&mut carried, answers(2)).await;
    assert_eq!(written["event"], "sync:written", "{written}");
    carried.sends("sync:write", write("update", "b", Some(old))).await;
    let conflict = mirror.follows(&mut carried, answers(3)).await;
    assert_eq!((&conflict["data"]["code"], &conflict["data"]["current"]["value"]), (&json!("CONFLICT"), &json!(10)), "{conflict}");
    if !mirror.items.contains_key("d") {
        mirror.follows(&mut carried, tells_of("d")).await;
    }
    assert_eq!(mirror.items, stands(&world).await);
    assert_eq!(log_length(&world.redis, "acme").await, 6, "what was sent twice was carried out once");

    // Away, it misses some changes and resumes behind the last that it has.
    drop(carried);
    backend_writes(&world, "delete", "a", 0).await;
    backend_writes(&world, "put", "e", 30).await;
    let mut carried = Carried::begin(&world, path, mirror.position.clone().as_deref()).await;
    mirror.follows(&mut carried, tells_of("e")).await;
    assert_eq!(mirror.items, stands(&world).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_is_mirrored_and_written_over_server_sent_events() {
    is_mirrored_and_written("/sse").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_is_mirrored_and_written_over_long_polling() {
    is_mirrored_and_written("/poll").await;
}
