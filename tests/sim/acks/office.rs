//! The world of one history of acknowledgements: publishers who want receipts, readers who acknowledge or do not, and nodes between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::broker::receipts::RECEIPT_EVENT;
use roomcast::broker::{AckLevel, Broker};
use roomcast::protocol::event::EventName;
use roomcast::protocol::{NewPublication, OrgId, Position, RoomSyntax};
use serde_json::Value;

use super::reader::{Got, Reader};
use super::store::{DEADLINE_MS, Record, Sabotage};
use crate::clock;
use crate::log::Log;
use crate::node::{ACKS, NODES, Node};
use crate::store::Store;
use crate::world::pick;

const STEPS: usize = 250;
const PATTERNS: [&str; 3] = ["kpi:ORG", "kpi:ORG:a", "kpi:ORG:*"];
const ROOMS: [&str; 3] = ["kpi:ORG", "kpi:ORG:a", "kpi:ORG:b"];
/// In that time whoever reads is reminded, even if it had not read before, or probes had to find what it got.
const REMINDED_MS: u64 = 20 * ACKS.redelivery_ms;
/// In that time what was acknowledged is reported.
const REPORTED_MS: u64 = 4 * ACKS.report_interval_ms;
const ROUND: Duration = Duration::from_millis(100);
/// What may wait for a reader who keeps up, and for another.
const QUEUE_BYTES: [usize; 2] = [1_000_000, 900];

#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Calls get lost, nodes are cut off and killed, and some readers are slow; otherwise only the carrier is lossy, and every count
    /// must be exact.
    pub rough: bool,
    pub sabotage: Option<Sabotage>,
}

pub struct Office {
    rng: SmallRng,
    faults: Faults,
    syntax: RoomSyntax,
    store: Arc<Store>,
    nodes: Vec<Node>,
    orgs: Vec<OrgId>,
    readers: Vec<Reader>,
    sessions: u128,
    published: u64,
    /// Since when everybody reads whatever comes.
    settled_ms: u64,
    history: Vec<String>,
}

impl Office {
    pub fn new(seed: u64, faults: Faults) -> Self {
        clock::begin();
        let mut rng = SmallRng::seed_from_u64(seed);
        let syntax = RoomSyntax::new(4, ["kpi"]);
        let store = Store::new(seed ^ 0x5eed, NODES, usize::MAX, None);
        store.inner.lock().receipting.sabotage = faults.sabotage;
        store.inner.lock().flaky = faults.rough;
        let orgs = ["acme", "umbrella"].map(|org| OrgId::parse(org).unwrap()).to_vec();
        let readers = (0..rng.random_range(3..8)).map(|index| {
            let org = pick(&mut rng, &orgs);
            let pattern = syntax.pattern(&pick::<&str>(&mut rng, &PATTERNS).replace("ORG", org.as_str())).unwrap();
            let bytes_max = QUEUE_BYTES[usize::from(faults.rough && rng.random_bool(0.5))];
            Reader::new(format!("reader {index}"), pattern, bytes_max)
        });
        let readers = readers.collect();
        let nodes = Node::start_all(&store, seed);
        Self { rng, faults, syntax, store, nodes, orgs, readers, sessions: 0, published: 0, settled_ms: 0, history: Vec::new() }
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
            0..22 => self.publish().await,
            22..46 => self.read().await,
            46..66 => self.acknowledge().await,
            66..72 => self.reconnect().await,
            72..74 => self.disconnect().await,
            74..86 => self.wait().await,
            86..92 => self.deliver_delayed(),
            92..93 if self.faults.rough => self.cut(),
            93..97 if self.faults.rough => self.mend(),
            97..98 if self.faults.rough => self.kill_node(),
            _ => {}
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.history.push(format!("{} ms: {}", clock::now_ms(), what.into()));
    }

    fn any_node(&mut self) -> usize {
        self.rng.random_range(0..NODES)
    }

    fn any_reader(&mut self) -> usize {
        self.rng.random_range(0..self.readers.len())
    }

    async fn publish(&mut self) {
        let (org, node) = (pick(&mut self.rng, &self.orgs).clone(), self.any_node());
        let room = self.syntax.room(&pick::<&str>(&mut self.rng, &ROOMS).replace("ORG", org.as_str())).unwrap();
        self.published += 1;
        let mut new = NewPublication::new(room, EventName::parse("kpi:update").unwrap(), self.published.to_string());
        new.requires_ack = self.rng.random_bool(0.8);
        new.receipt_to = Some("publisher".into()).filter(|_| new.requires_ack);
        let outcome = self.nodes[node].broker().publish(&new, AckLevel::Primary).await;
        self.note(format!("{} is published by node {node}, with acks: {}: {outcome:?}", self.published, new.requires_ack));
    }

    async fn read(&mut self) {
        let (reader, room) = (self.any_reader(), self.rng.random_range(1..2_000));
        self.readers[reader].read(room).await;
    }

    /// Some of what a reader got; of the rest it will be reminded.
    async fn acknowledge(&mut self) {
        let reader = self.any_reader();
        let owed: Vec<Position> = self.readers[reader].owed();
        for position in owed {
            // What is not acknowledged by its own number never is.
            if position.seq % 5 != 0 && self.rng.random_bool(0.5) {
                self.note(format!("{} acknowledges {position}", self.readers[reader].name));
                self.readers[reader].acknowledge(position).await;
            }
        }
    }

    async fn reconnect(&mut self) {
        let (reader, node) = (self.any_reader(), self.any_node());
        self.connect(reader, node).await;
    }

    async fn connect(&mut self, reader: usize, node: usize) {
        self.readers[reader].disconnect().await;
        self.sessions += 1;
        self.note(format!("{} connects to node {node}", self.readers[reader].name));
        let hub = Arc::clone(&self.nodes[node].hub);
        self.readers[reader].connect(&hub, node, self.sessions).await;
    }

    async fn disconnect(&mut self) {
        let reader = self.any_reader();
        self.readers[reader].disconnect().await;
    }

    async fn wait(&mut self) {
        let wait_ms = self.rng.random_range(1..600);
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
        self.readers.iter_mut().filter(|reader| reader.node == node).for_each(Reader::cut);
        self.nodes[node].restart();
    }

    /// All faults end but those of the carrier. Someone is there in every org, who acknowledges nothing, until all deadlines are over.
    async fn settle(&mut self) {
        self.note("settling");
        self.store.inner.lock().flaky = false;
        for node in 0..NODES {
            self.store.mend(node);
        }
        for org in self.orgs.clone() {
            let pattern = self.syntax.pattern(&format!("org:{org}")).unwrap();
            self.readers.push(Reader::new(format!("keeper of {org}"), pattern, QUEUE_BYTES[0]));
        }
        self.settled_ms = clock::now_ms();
        let rounds = 2 * (DEADLINE_MS + ACKS.settle_after_ms) / ROUND.as_millis() as u64;
        for _ in 0..rounds {
            tokio::time::sleep(ROUND).await;
            for node in 0..NODES {
                self.store.deliver_delayed(node, true);
            }
            for reader in 0..self.readers.len() {
                self.readers[reader].read(usize::MAX).await;
                if self.readers[reader].session().is_none() {
                    self.connect(reader, 0).await;
                }
            }
        }
    }

    fn judge(&self) -> Result<(), String> {
        let inner = self.store.inner.lock();
        self.readers.iter().try_for_each(|reader| reader.fault.clone().map_or(Ok(()), Err))?;
        for (org, log) in &inner.logs {
            let told = receipts_told(log);
            for record in &log.records {
                let Some(publication) = record.publication.as_ref().filter(|publication| publication.requires_ack) else { continue };
                let position = record.position;
                let receipts = told.get(&position.to_string()).map_or(&[][..], Vec::as_slice);
                let [receipt] = receipts else {
                    return Err(format!("{position} ({}) has {} receipts", publication.room, receipts.len()));
                };
                let Some(kept) = inner.receipting.of(org, position) else { return Err(format!("nothing is kept of {position}")) };
                self.adds_up(position, kept, receipt).map_err(|why| format!("{position} {why}: {receipt}"))?;
            }
        }
        Ok(())
    }

    /// Whether a receipt tells of one publication what readers know of it.
    fn adds_up(&self, position: Position, kept: &Record, receipt: &Value) -> Result<(), String> {
        let tally = kept.tally();
        let count = |name: &str| receipt[name].as_u64().unwrap();
        let (matched, written, acked, expired) = (count("matched"), count("written"), count("acked"), count("expired"));
        if (matched, written, acked, expired) != (tally.matched, tally.written, tally.acked, tally.expired) {
            return Err("was told otherwise than it is kept".into());
        }
        if matched != acked + expired || written > matched || acked > written || count("outstanding") != 0 {
            return Err("does not add up".into());
        }
        let got: Vec<&Got> = self.readers.iter().flat_map(|reader| reader.got.values()).filter(|got| got.position == position).collect();
        let asked = got.iter().filter(|got| got.acked_ms.is_some()).count() as u64;
        if acked > asked {
            return Err(format!("counts more than the {asked} that acknowledged"));
        }
        if self.faults.rough {
            return Ok(());
        }
        let in_time = |at_ms: u64| at_ms + REPORTED_MS < kept.due_ms;
        let counted = got.iter().filter(|got| got.is_counted && got.is_live && got.acked_ms.is_some_and(in_time)).count() as u64;
        if acked < counted {
            return Err(format!("counts fewer than the {counted} that acknowledged"));
        }
        // Who has been there and read for long enough, and has not acknowledged, was reminded.
        if kept.due_ms < self.settled_ms + REMINDED_MS {
            return Ok(());
        }
        let reminded = |reader: &Reader| {
            let Some(session) = reader.session() else { return true };
            let owes = |got: &&Got| got.position == position && got.is_live && got.acked_ms.is_none();
            let was_reminded = reader.got.range((session, 0)..=(session, u64::MAX)).any(|(_, got)| got.again > 0);
            // One reminder waits for the other, so it need not have been this one's turn.
            was_reminded || reader.got.get(&(session, position.seq)).filter(owes).is_none()
        };
        let forgotten = self.readers.iter().find(|reader| !reminded(reader));
        forgotten.map_or(Ok(()), |reader| Err(format!("was owed by {}, who was not reminded", reader.name)))
    }
}

/// The receipts that publishers were told, by the publication.
fn receipts_told(log: &Log) -> BTreeMap<String, Vec<Value>> {
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for publication in log.records.iter().filter_map(|record| record.publication.as_ref()) {
        if publication.event.as_str() == RECEIPT_EVENT {
            let receipt: Value = serde_json::from_slice(&publication.data).unwrap();
            told.entry(receipt["id"].as_str().unwrap().to_owned()).or_default().push(receipt);
        }
    }
    told
}
