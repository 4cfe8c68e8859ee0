//! The world of one history: nodes, clients, publishers and the store between them. What happens in it is `course`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::protocol::{NewPublication, OrgId, RoomSyntax};

use super::check::{check, logged_once};
use super::client::Client;
use super::clock;
use super::node::{NODES, Node};
use super::sabotage::Sabotage;
use super::store::Store;
use super::wanted::{FILTERS, Wanted};

/// What may go wrong besides a lossy carrier, lost calls, cut and killed nodes, and slow readers.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The store's history may be lost, or replaced by one that lacks its end.
    pub history: bool,
    /// Entries kept per org.
    pub retention: usize,
    /// Some clients subscribe with filters.
    pub filters: bool,
    /// Some subscriptions begin with what their rooms last had.
    pub latest: bool,
    pub sabotage: Option<Sabotage>,
}

const STEPS: usize = 250;
/// Rounds of reading at the end, and after how many in which nothing came it is over: longer than a node waits between
/// attempts and probes.
const SETTLING_ROUNDS_MAX: usize = 1_000;
const QUIET_ROUNDS: usize = 80;
const ROUND: Duration = Duration::from_millis(50);
pub const PATTERNS: [&str; 7] = ["kpi:ORG", "kpi:ORG:a", "kpi:ORG:*:q", "*:ORG:**", "chat:ORG:b", "kpi:ORG:a:q", "org:ORG"];

pub struct World {
    pub rng: SmallRng,
    /// Of its own, so that a history without filters is the same as ever.
    pub filters_rng: SmallRng,
    pub seed: u64,
    pub faults: Faults,
    pub syntax: RoomSyntax,
    pub store: Arc<Store>,
    pub nodes: Vec<Node>,
    pub orgs: Vec<OrgId>,
    pub clients: Vec<Client>,
    /// How much was published, logged or not; each publication says its number.
    pub published: u64,
    pub ephemeral: BTreeMap<u64, NewPublication>,
    pub keys: BTreeSet<Box<str>>,
    /// Publications with a key whose outcome is unknown: their publishers try again.
    pub unsettled: Vec<NewPublication>,
    pub sessions: u128,
    history: Vec<String>,
}

impl World {
    pub fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut filters_rng = SmallRng::seed_from_u64(seed ^ 0xf117);
        let syntax = RoomSyntax::new(4, ["kpi", "chat"]);
        let orgs: Vec<OrgId> = ["acme", "umbrella"].map(|org| OrgId::parse(org).unwrap()).to_vec();
        let clients = (0..rng.random_range(3..8)).map(|index| {
            let org = orgs[rng.random_range(0..orgs.len())].clone();
            let patterns = (0..rng.random_range(1..3)).map(|_| pick(&mut rng, &PATTERNS).replace("ORG", org.as_str()));
            let mut patterns: Vec<_> = patterns.map(|text| syntax.pattern(&text).unwrap()).collect();
            patterns.dedup();
            let wanted = patterns.into_iter().map(|pattern| Wanted { pattern, filter: pick_filter(&mut filters_rng, faults) }).collect();
            Client::new(format!("client {index}"), org, wanted)
        });
        let clients = clients.collect();
        let store = Store::new(seed ^ 0x5eed, NODES, faults.retention, faults.sabotage);
        Self {
            rng,
            filters_rng,
            seed,
            faults,
            syntax,
            store,
            nodes: Vec::new(),
            orgs,
            clients,
            published: 0,
            ephemeral: BTreeMap::new(),
            keys: BTreeSet::new(),
            unsettled: Vec::new(),
            sessions: 0,
            history: Vec::new(),
        }
    }

    /// Runs the history and judges it.
    pub async fn live(mut self) -> (Vec<String>, Result<(), String>) {
        clock::begin();
        self.nodes = Node::start_all(&self.store, self.seed);
        for _ in 0..STEPS {
            self.step().await;
            self.clients.iter_mut().for_each(Client::check_bounds);
            // Everyone who can go on does, before the next thing happens.
            tokio::time::sleep(Duration::from_micros(10)).await;
        }
        self.settle().await;
        let verdict = self.judge();
        for client in &self.clients {
            self.history.push(format!("{}: {:?}", client.name, client.seen));
        }
        (self.history, verdict)
    }

    pub fn note(&mut self, what: impl Into<String>) {
        self.history.push(what.into());
    }

    pub fn restart(&mut self, node: usize) {
        self.clients.iter_mut().filter(|client| client.node == node).for_each(Client::cut);
        self.nodes[node].restart();
    }

    /// How much the log of a client's org has ever held.
    pub fn known(&self, client: usize) -> usize {
        self.store.inner.lock().logs.get(&self.clients[client].org).map_or(0, |log| log.records.len())
    }

    /// All faults end, everyone publishes and reads to the end.
    async fn settle(&mut self) {
        self.note("settling");
        self.store.inner.lock().flaky = false;
        for node in 0..NODES {
            self.store.mend(node);
            self.store.deliver_delayed(node, true);
        }
        while !self.unsettled.is_empty() {
            self.try_again().await;
        }
        let mut quiet = 0;
        for _ in 0..SETTLING_ROUNDS_MAX {
            tokio::time::sleep(ROUND).await;
            quiet += 1;
            for index in 0..self.clients.len() {
                let known = self.known(index);
                if self.clients[index].read(usize::MAX, known).await {
                    quiet = 0;
                }
                if !self.clients[index].is_connected() {
                    quiet = 0;
                    self.connect(index, index % NODES).await;
                }
            }
            if quiet == QUIET_ROUNDS {
                return;
            }
        }
    }

    fn judge(&self) -> Result<(), String> {
        let gaps_allowed = self.faults.history || self.faults.retention < 1_000;
        let inner = self.store.inner.lock();
        if !self.faults.history {
            logged_once(inner.logs.values(), &self.keys)?;
        }
        self.clients.iter().try_for_each(|client| {
            client.fault.clone().map_or(Ok(()), Err)?;
            let Some(log) = inner.logs.get(&client.org) else { return Ok(()) };
            check(client, log, &self.ephemeral, gaps_allowed)
        })
    }
}

pub fn pick_filter(rng: &mut SmallRng, faults: Faults) -> Option<&'static str> {
    if faults.filters && rng.random_bool(0.6) { Some(*pick(rng, &FILTERS)) } else { None }
}

pub fn pick<'a, T>(rng: &mut SmallRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}
