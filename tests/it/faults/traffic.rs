//! Publications through every door at once, from publishers that behave as backends should: what was refused or not answered is
//! retried under the same idempotency key until it is acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast_loadtest::ledger::Fate;
use roomcast_loadtest::{Client, Options};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::backend::{Address, Backend};
use crate::support::books::Books;
use crate::support::gateway::Token;
use crate::support::publishers::try_rest;

/// Publishers of each kind.
pub const PUBLISHERS: usize = 5;
/// How long a publisher waits for a node's answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a publisher waits before it retries.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const ROOMS: [&str; 5] = ["kpi:ORG", "kpi:ORG:sales", "kpi:ORG:sales:support", "backlog:ORG:ops", "alerts:ORG:ops:night"];

/// What every publisher knows.
pub struct Plan {
    pub books: Books,
    pub orgs: Vec<String>,
    pub nodes: Vec<SocketAddr>,
    pub redis: Address,
    /// Publications per second over all doors.
    pub rate: usize,
    pub doors: Doors,
    pub seed: u64,
}

/// Which doors are used, and what an acknowledgement at them is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doors {
    All,
    /// Redis may lose what it took: then an entry of the ingest stream is nothing more than handed in until it is in the log.
    AllOnLosingRedis,
    /// Nodes only, each publication confirmed by a replica: REST with `ack=replica`.
    Replicated,
}

/// Running publishers.
pub struct Traffic {
    stop: watch::Sender<bool>,
    publishers: JoinSet<()>,
}

impl Traffic {
    pub fn start(plan: Plan) -> Self {
        let (stop, stopped) = watch::channel(false);
        let kinds: &[Kind] = match plan.doors {
            Doors::All | Doors::AllOnLosingRedis => &[Kind::WebSocket, Kind::Rest, Kind::Fcall, Kind::Ingest],
            Doors::Replicated => &[Kind::Rest],
        };
        let pause =
            Duration::from_secs(1) * u32::try_from(kinds.len() * PUBLISHERS).unwrap_or(1) / u32::try_from(plan.rate.max(1)).unwrap_or(1);
        let plan = Arc::new(plan);
        let mut publishers = JoinSet::new();
        for (number, kind) in (0..PUBLISHERS).flat_map(|number| kinds.iter().map(move |kind| (number, *kind))) {
            let publisher = Publisher {
                plan: Arc::clone(&plan),
                kind,
                name: format!("{kind:?}{number}").to_lowercase(),
                clients: Vec::new(),
                backend: Backend::new(plan.redis.clone()),
                rng: SmallRng::seed_from_u64(plan.seed ^ (number as u64) << 8 ^ kind as u64),
            };
            publishers.spawn(publisher.run(pause, stopped.clone()));
        }
        Self { stop, publishers }
    }

    /// Stops once what each publisher has in hand is acknowledged.
    ///
    /// # Panics
    /// When that takes longer than `deadline`.
    pub async fn stop(mut self, deadline: Duration) {
        self.stop.send_replace(true);
        let stopping = async {
            while let Some(ended) = self.publishers.join_next().await {
                ended.expect("a publisher does not panic");
            }
        };
        tokio::time::timeout(deadline, stopping).await.expect("the last publications are acknowledged in time");
    }
}

/// The door that a publisher uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    WebSocket,
    Rest,
    Fcall,
    Ingest,
}

struct Publisher {
    plan: Arc<Plan>,
    kind: Kind,
    name: String,
    /// One for each org, for the WebSocket.
    clients: Vec<Client>,
    backend: Backend,
    rng: SmallRng,
}

impl Publisher {
    async fn run(mut self, pause: Duration, stopped: watch::Receiver<bool>) {
        if self.kind == Kind::WebSocket {
            self.clients = self.plan.orgs.iter().map(|org| self.client(org)).collect();
        }
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in 0_u64.. {
            ticks.tick().await;
            if *stopped.borrow() {
                return;
            }
            let org = self.rng.random_range(0..self.plan.orgs.len());
            let room = ROOMS[self.rng.random_range(0..ROOMS.len())].replace("ORG", &self.plan.orgs[org]);
            self.publish(org, &room, &format!("{}-{number}", self.name)).await;
        }
    }

    fn client(&self, org: &str) -> Client {
        let mut nodes = self.plan.nodes.clone();
        let first = self.name.len() % nodes.len();
        nodes.rotate_left(first);
        Client::start(Options::new(nodes, Token::of(org, &self.name).mint()))
    }

    /// Tries until it is acknowledged; every answer is booked under the time of the first attempt.
    async fn publish(&mut self, org: usize, room: &str, mark: &str) {
        let sent_us = self.plan.books.now_us();
        loop {
            let fate = match self.kind {
                Kind::WebSocket => self.by_websocket(org, room, mark).await,
                Kind::Rest => self.by_rest(room, mark).await,
                Kind::Fcall => self.by_function(org, room, mark).await,
                Kind::Ingest => self.by_ingest(room, mark).await,
            };
            let handed_in = self.kind == Kind::Ingest && fate == Fate::Acked(None);
            let booked = if handed_in && self.plan.doors == Doors::AllOnLosingRedis { Fate::Unknown } else { fate };
            self.plan.books.note_sent(mark, room, booked, sent_us);
            if matches!(fate, Fate::Acked(_)) {
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn by_websocket(&self, org: usize, room: &str, mark: &str) -> Fate {
        let key = json!({ "idempotency_key": mark });
        let publishing = self.clients[org].publish_with(room, "kpi:update", json!({ "mark": mark }), key);
        match tokio::time::timeout(ANSWER_MAX, publishing).await {
            Ok(outcome) => outcome.fate(),
            Err(_) => {
                // A node that does not answer is left for another.
                self.clients[org].cut();
                Fate::Unknown
            }
        }
    }

    async fn by_rest(&mut self, room: &str, mark: &str) -> Fate {
        let node = self.plan.nodes[self.rng.random_range(0..self.plan.nodes.len())];
        let mut body = json!({ "event": "kpi:update", "target": { "room": room }, "data": { "mark": mark }, "idempotency_key": mark });
        if self.plan.doors == Doors::Replicated {
            body["ack"] = json!("replica");
        }
        match try_rest(node, &Token::service().mint(), "/api/ws/broadcast", &body).await {
            Some((200, answer)) => Fate::Acked(answer["id"].as_str().and_then(|id| id.parse().ok())),
            Some(_) => Fate::Refused,
            None => Fate::Unknown,
        }
    }

    async fn by_function(&mut self, org: usize, room: &str, mark: &str) -> Fate {
        let mut command = redis::cmd("FCALL");
        let base = format!("rc:{{{}}}", self.plan.orgs[org]);
        command.arg("roomcast_publish").arg(2).arg(&base).arg(format!("{base}:log")).arg(room).arg("kpi:update");
        command.arg(json!({ "mark": mark }).to_string()).arg("idempotency_key").arg(mark);
        match self.backend.ask::<(String, i64)>(&command).await {
            Ok((position, _)) => Fate::Acked(position.parse().ok()),
            Err(_) => Fate::Unknown,
        }
    }

    async fn by_ingest(&mut self, room: &str, mark: &str) -> Fate {
        let mut command = redis::cmd("XADD");
        command.arg("rc:ingest").arg("*").arg("room").arg(room).arg("event").arg("kpi:update");
        command.arg("data").arg(json!({ "mark": mark }).to_string()).arg("idempotency_key").arg(mark);
        match self.backend.ask::<String>(&command).await {
            Ok(_) => Fate::Acked(None),
            Err(_) => Fate::Unknown,
        }
    }
}
