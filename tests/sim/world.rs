//! The course of one history: what happens, in which order, by the seed.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::hub::{Config, Hub, Limits};
use roomcast::protocol::event::EventName;
use roomcast::protocol::{NewPublication, OrgId, RoomSyntax};
use roomcast::telemetry::counters::Counters;

use super::check::check;
use super::client::Client;
use super::store::{SimBroker, Store};
use roomcast::broker::{AckLevel, Broker};

/// What may go wrong besides a lossy carrier, cut nodes, killed nodes and slow readers.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The store's history may be lost, or replaced by one that lacks its end.
    pub history: bool,
    /// Entries kept per org.
    pub retention: usize,
}

const NODES: usize = 3;
const STEPS: usize = 250;
const PATTERNS: [&str; 5] = ["kpi:ORG", "kpi:ORG:a", "kpi:ORG:*:q", "*:ORG:**", "chat:ORG:b"];
const ROOMS: [&str; 5] = ["kpi:ORG", "kpi:ORG:a", "kpi:ORG:a:q", "chat:ORG:b", "kpi:ORG:b:q"];

pub struct World {
    rng: SmallRng,
    seed: u64,
    faults: Faults,
    syntax: RoomSyntax,
    store: Arc<Store>,
    hubs: Vec<Arc<Hub>>,
    orgs: Vec<OrgId>,
    clients: Vec<Client>,
    published: u64,
    sessions: u128,
    history: Vec<String>,
}

impl World {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let syntax = RoomSyntax::new(4, ["kpi", "chat"]);
        let orgs: Vec<OrgId> = ["acme", "umbrella"].map(|org| OrgId::parse(org).unwrap()).to_vec();
        let clients = (0..rng.random_range(3..8)).map(|index| {
            let org = orgs[rng.random_range(0..orgs.len())].clone();
            let patterns = (0..rng.random_range(1..3)).map(|_| pick(&mut rng, &PATTERNS).replace("ORG", org.as_str()));
            let mut patterns: Vec<_> = patterns.map(|text| syntax.pattern(&text).unwrap()).collect();
            patterns.dedup();
            Client::new(format!("client {index}"), org, patterns)
        });
        let clients = clients.collect();
        let store = Store::new(seed ^ 0x5eed, NODES, faults.retention);
        Self { rng, seed, faults, syntax, store, hubs: Vec::new(), orgs, clients, published: 0, sessions: 0, history: Vec::new() }
    }

    /// Runs the history and judges it.
    pub async fn live(mut self) -> (Vec<String>, Result<(), String>) {
        for node in 0..NODES {
            let hub = self.hub(node);
            self.hubs.push(hub);
        }
        for _ in 0..STEPS {
            self.step().await;
        }
        self.settle().await;
        let verdict = self.judge();
        for client in &self.clients {
            self.history.push(format!("{}: {:?}", client.name, client.seen));
        }
        (self.history, verdict)
    }

    fn hub(&self, node: usize) -> Arc<Hub> {
        let broker = Arc::new(SimBroker { store: Arc::clone(&self.store), node });
        let config = Config {
            tail_bytes_max: 6_000,
            page_entries_max: 7,
            events_max: 8,
            probe_interval_ms: 500,
            linger_ms: 2_000,
            ..Config::default()
        };
        let limits = Limits { subscriptions_max: 16, room_members_max: 1_000 };
        let hub = Arc::new(Hub::new(config, limits, broker, Arc::<Counters>::default(), self.seed ^ node as u64));
        let prober = Arc::clone(&hub);
        tokio::spawn(async move { prober.probe().await });
        hub
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..40 => self.publish().await,
            40..65 => self.read().await,
            65..75 => self.reconnect().await,
            75..80 => self.disconnect().await,
            80..85 => self.wait().await,
            85..90 => {
                let node = self.rng.random_range(0..NODES);
                self.note(format!("delayed messages arrive at node {node}"));
                self.store.deliver_delayed(node, false);
            }
            90..92 => self.cut(),
            92..94 => self.mend(),
            94..95 => self.kill_node(),
            95..97 => self.heartbeat().await,
            97..99 if self.faults.history => self.promote(),
            99 if self.faults.history => self.lose(),
            _ => {}
        }
        // Everyone who can go on does, before the next thing happens.
        tokio::time::sleep(Duration::from_micros(10)).await;
    }

    fn note(&mut self, what: impl Into<String>) {
        self.history.push(what.into());
    }

    fn publication(&mut self, org: &OrgId) -> NewPublication {
        let room = self.syntax.room(&pick(&mut self.rng, &ROOMS).replace("ORG", org.as_str())).unwrap();
        self.published += 1;
        NewPublication::new(room, EventName::parse("kpi:update").unwrap(), self.published.to_string())
    }

    async fn publish(&mut self) {
        let org = pick(&mut self.rng, &self.orgs).clone();
        let node = self.rng.random_range(0..NODES);
        for _ in 0..self.rng.random_range(1..5) {
            let publication = self.publication(&org);
            let broker = SimBroker { store: Arc::clone(&self.store), node };
            let outcome = broker.publish(&publication, AckLevel::Primary).await.map(|published| published.position);
            self.note(format!("node {node} publishes into {}: {outcome:?}", publication.room));
        }
    }

    async fn read(&mut self) {
        let index = self.rng.random_range(0..self.clients.len());
        let room = self.rng.random_range(1..2_000);
        let before = self.clients[index].seen.len();
        self.clients[index].read(room).await;
        let client = &self.clients[index];
        self.history.push(format!("{} reads {:?}", client.name, &client.seen[before..]));
    }

    async fn reconnect(&mut self) {
        let index = self.rng.random_range(0..self.clients.len());
        let node = self.rng.random_range(0..NODES);
        self.connect(index, node).await;
    }

    async fn connect(&mut self, index: usize, node: usize) {
        self.clients[index].disconnect().await;
        self.sessions += 1;
        let hub = Arc::clone(&self.hubs[node]);
        self.note(format!("{} connects to node {node} since {:?}", self.clients[index].name, self.clients[index].position));
        // A node that is cut off answers late or refuses; the client gives up.
        let _ = tokio::time::timeout(Duration::from_millis(300), self.clients[index].connect(&hub, node, self.sessions)).await;
    }

    async fn disconnect(&mut self) {
        let index = self.rng.random_range(0..self.clients.len());
        self.note(format!("{} disconnects", self.clients[index].name));
        self.clients[index].disconnect().await;
    }

    async fn wait(&mut self) {
        let wait_ms = self.rng.random_range(1..4_000);
        self.note(format!("{wait_ms} ms pass"));
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }

    fn cut(&mut self) {
        let node = self.rng.random_range(0..NODES);
        self.note(format!("node {node} is cut off"));
        self.store.cut(node);
    }

    fn mend(&mut self) {
        let node = self.rng.random_range(0..NODES);
        self.note(format!("node {node} is connected"));
        self.store.mend(node);
    }

    fn kill_node(&mut self) {
        let node = self.rng.random_range(0..NODES);
        self.note(format!("node {node} is killed"));
        self.clients.iter_mut().filter(|client| client.node == node).for_each(Client::cut);
        self.store.forget(node);
        self.hubs[node] = self.hub(node);
    }

    async fn heartbeat(&mut self) {
        for client in &self.clients {
            client.heartbeat().await;
        }
    }

    fn promote(&mut self) {
        let org = pick(&mut self.rng, &self.orgs).clone();
        let lacking = self.rng.random_range(0..12);
        let early: Vec<NewPublication> = (0..self.rng.random_range(0..4)).map(|_| self.publication(&org)).collect();
        self.note(format!("a replica of {org} that lacks {lacking} entries is promoted; backends write {} at once", early.len()));
        self.store.promote(&org, lacking, &early);
    }

    fn lose(&mut self) {
        let org = pick(&mut self.rng, &self.orgs).clone();
        self.note(format!("the log of {org} is lost"));
        self.store.lose(&org);
    }

    /// All faults end, everyone connects and reads to the end.
    async fn settle(&mut self) {
        self.note("settling");
        for node in 0..NODES {
            self.store.mend(node);
            self.store.deliver_delayed(node, true);
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            for index in 0..self.clients.len() {
                self.clients[index].read(usize::MAX).await;
                if !self.clients[index].is_connected() {
                    self.connect(index, index % NODES).await;
                }
            }
        }
    }

    fn judge(&self) -> Result<(), String> {
        let gaps_allowed = self.faults.history || self.faults.retention < 1_000;
        let inner = self.store.inner.lock();
        self.clients.iter().try_for_each(|client| match inner.logs.get(&client.org) {
            Some(log) => check(client, log, &self.syntax, gaps_allowed),
            None => Ok(()),
        })
    }
}

fn pick<'a, T>(rng: &mut SmallRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}
