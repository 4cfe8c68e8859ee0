//! The world of one history of collections: writers with what they believe to know, mirrors, and nodes over one store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::broker::AckLevel;
use roomcast::broker::collections::{self, WriteError};
use roomcast::protocol::item::{ItemKey, ItemValue, NewWrite, Op};
use roomcast::protocol::{OrgId, RoomSyntax};

use super::ledger::{Ledger, Outcome};
use super::mirror::Mirror;
use super::store::Sabotage;
use crate::clock;
use crate::node::{NODES, Node};
use crate::store::Store;
use crate::world::pick;

const STEPS: usize = 250;
const ROOMS: [&str; 3] = ["sync:acme:tasks", "sync:acme:board", "sync:umbrella:tasks"];
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const OPS: [Op; 6] = [Op::Insert, Op::Insert, Op::Update, Op::Update, Op::Delete, Op::Put];
const SETTLING_ROUNDS_MAX: usize = 1_000;
const QUIET_ROUNDS: usize = 80;
const ROUND: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The store's history may be lost, or replaced by one that lacks its end.
    pub history: bool,
    /// Entries kept per org.
    pub retention: usize,
    pub sabotage: Option<Sabotage>,
}

pub struct Workshop {
    rng: SmallRng,
    faults: Faults,
    store: Arc<Store>,
    nodes: Vec<Node>,
    mirrors: Vec<Mirror>,
    sessions: u128,
    written: u64,
    /// Writes whose outcome is unknown: their writers try again.
    unsettled: Vec<NewWrite>,
    ledger: Ledger,
    history: Vec<String>,
}

impl Workshop {
    pub fn new(seed: u64, faults: Faults) -> Self {
        clock::begin();
        let mut rng = SmallRng::seed_from_u64(seed);
        let syntax = RoomSyntax::new(4, ["sync"]);
        let store = Store::new(seed ^ 0x5eed, NODES, faults.retention, None);
        store.inner.lock().kept.sabotage = faults.sabotage;
        let mirrors = (0..rng.random_range(3..7)).map(|index| {
            let room = syntax.room(pick::<&str>(&mut rng, &ROOMS)).unwrap();
            Mirror::new(format!("mirror {index}"), room)
        });
        let mirrors = mirrors.collect();
        let nodes = Node::start_all(&store, seed);
        let (unsettled, ledger, history) = (Vec::new(), Ledger::default(), Vec::new());
        Self { rng, faults, store, nodes, mirrors, sessions: 0, written: 0, unsettled, ledger, history }
    }

    /// Runs the history and judges it.
    pub async fn live(mut self) -> (Vec<String>, Result<(), String>) {
        for _ in 0..STEPS {
            self.step().await;
            tokio::time::sleep(Duration::from_micros(10)).await;
        }
        self.settle().await;
        let verdict = self.judge();
        (self.history, verdict)
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..34 => self.write_some().await,
            34..38 => self.try_again().await,
            38..56 => self.read().await,
            56..74 => self.page().await,
            74..82 => self.reconnect().await,
            82..84 => self.disconnect().await,
            84..88 => self.wait().await,
            88..92 => self.deliver_delayed(),
            92..93 => self.cut(),
            93..96 => self.mend(),
            96..97 => self.kill_node(),
            97..99 if self.faults.history => self.promote(),
            99 if self.faults.history => self.lose(),
            _ => {}
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.history.push(format!("{} ms: {}", clock::now_ms(), what.into()));
    }

    fn any_node(&mut self) -> usize {
        self.rng.random_range(0..NODES)
    }

    fn any_mirror(&mut self) -> usize {
        self.rng.random_range(0..self.mirrors.len())
    }

    fn any_org(&mut self) -> OrgId {
        let mirror = self.any_mirror();
        self.mirrors[mirror].room.org().clone()
    }

    /// A write by what some mirror shows, which may be long past.
    fn new_write(&mut self) -> NewWrite {
        let mirror = self.any_mirror();
        let (key, op) = (*pick(&mut self.rng, &KEYS), *pick(&mut self.rng, &OPS));
        let known = self.mirrors[mirror].table.items.get(key).map(|(version, _)| *version);
        let if_version = known.filter(|_| op != Op::Insert && self.rng.random_bool(0.7));
        self.written += 1;
        let value = ItemValue::read(self.written.to_string().into_bytes());
        let write = NewWrite::new(self.mirrors[mirror].room.clone(), op, ItemKey::new(key).unwrap(), value, if_version).unwrap();
        write.with_idempotency_key(Some(format!("write {}", self.written).into()))
    }

    /// Several at a time, so that some are written by the same knowledge.
    async fn write_some(&mut self) {
        let writes: Vec<NewWrite> = (0..self.rng.random_range(1..4)).map(|_| self.new_write()).collect();
        for write in writes {
            self.write(write).await;
        }
    }

    async fn write(&mut self, write: NewWrite) {
        let node = self.any_node();
        let outcome = collections::write(&self.nodes[node].broker(), &write, AckLevel::Primary).await;
        self.note(format!("{write:?} by node {node}: {outcome:?}"));
        match outcome {
            Ok(written) => self.ledger.note(write, Outcome::Written(written)),
            Err(WriteError::Conflict(conflict)) => self.ledger.note(write, Outcome::Conflict(conflict)),
            Err(_) => self.unsettled.push(write),
        }
    }

    async fn try_again(&mut self) {
        for write in std::mem::take(&mut self.unsettled) {
            self.write(write).await;
        }
    }

    async fn read(&mut self) {
        let (mirror, room) = (self.any_mirror(), self.rng.random_range(1..1_500));
        self.mirrors[mirror].read(room).await;
    }

    async fn page(&mut self) {
        let mirror = self.any_mirror();
        self.page_of(mirror).await;
    }

    async fn page_of(&mut self, mirror: usize) -> bool {
        let hub = Arc::clone(&self.nodes[self.mirrors[mirror].node].hub);
        let asked = self.mirrors[mirror].page(&hub).await;
        if asked {
            self.note(format!("{} reads a page and shows {:?}", self.mirrors[mirror].name, self.mirrors[mirror].table.items));
        }
        asked
    }

    async fn reconnect(&mut self) {
        let (mirror, node) = (self.any_mirror(), self.any_node());
        self.connect(mirror, node).await;
    }

    async fn connect(&mut self, mirror: usize, node: usize) {
        self.mirrors[mirror].disconnect().await;
        self.sessions += 1;
        self.note(format!("{} connects to node {node}", self.mirrors[mirror].name));
        let hub = Arc::clone(&self.nodes[node].hub);
        self.mirrors[mirror].connect(&hub, node, self.sessions).await;
    }

    async fn disconnect(&mut self) {
        let mirror = self.any_mirror();
        self.mirrors[mirror].disconnect().await;
    }

    async fn wait(&mut self) {
        let wait_ms = self.rng.random_range(1..2_000);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }

    fn deliver_delayed(&mut self) {
        let node = self.any_node();
        self.store.deliver_delayed(node, false);
    }

    fn cut(&mut self) {
        let node = self.any_node();
        self.note(format!("node {node} is cut off"));
        self.store.cut(node);
    }

    fn mend(&mut self) {
        let node = self.any_node();
        self.store.mend(node);
    }

    fn kill_node(&mut self) {
        let node = self.any_node();
        self.note(format!("node {node} is killed and started again"));
        self.mirrors.iter_mut().filter(|mirror| mirror.node == node).for_each(Mirror::cut);
        self.nodes[node].restart();
    }

    fn promote(&mut self) {
        let (org, lacking) = (self.any_org(), self.rng.random_range(0..12));
        self.note(format!("a replica of {org} that lacks {lacking} entries is promoted"));
        self.store.promote(&org, lacking, &[]);
    }

    fn lose(&mut self) {
        let org = self.any_org();
        self.note(format!("the data of {org} are lost"));
        self.store.lose(&org);
    }

    /// All faults end but those of the carrier; every write is settled, and every mirror reads to the end.
    async fn settle(&mut self) {
        self.note("settling");
        self.store.inner.lock().flaky = false;
        for node in 0..NODES {
            self.store.mend(node);
            self.store.deliver_delayed(node, true);
        }
        self.try_again().await;
        let mut quiet = 0;
        for _ in 0..SETTLING_ROUNDS_MAX {
            tokio::time::sleep(ROUND).await;
            quiet += 1;
            for mirror in 0..self.mirrors.len() {
                let is_busy = self.mirrors[mirror].read(usize::MAX).await | self.page_of(mirror).await;
                if !self.mirrors[mirror].is_connected() {
                    self.connect(mirror, mirror % NODES).await;
                    quiet = 0;
                }
                if is_busy {
                    quiet = 0;
                }
            }
            if quiet == QUIET_ROUNDS {
                return;
            }
        }
    }

    fn judge(&self) -> Result<(), String> {
        let inner = self.store.inner.lock();
        for mirror in &self.mirrors {
            let items = inner.kept.collection(&mirror.room).items;
            let truth: BTreeMap<String, (u64, serde_json::Value)> = items
                .into_iter()
                .map(|(key, (version, value))| (key.as_str().to_owned(), (version, serde_json::from_str(value.as_str()).unwrap())))
                .collect();
            if !mirror.is_complete || mirror.table.items != truth {
                return Err(format!("{} shows {:?}, where the truth is {truth:?}", mirror.name, mirror.table.items));
            }
        }
        // What was written into a history that was lost is not there to be looked at.
        if self.faults.history { Ok(()) } else { self.ledger.judge(inner.logs.values()) }
    }
}
