//! The store that all nodes share, and each node's faulty way to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::broker::{
    AckLevel, Body, Broker, ControlMessage, Entry, Feed, Health, LeaseOutcome, LogState, NodeInfo, OrgEvent, Page, PageLimit, PublishError,
    Published, ReadError, Revocation, RevocationTarget,
};
use roomcast::protocol::{GapReason, NewPublication, OrgId, Position};
use tokio::sync::mpsc;

/// Everything that was ever appended, in the order of time, whatever became of it.
#[derive(Clone, Debug)]
pub struct Record {
    pub position: Position,
    /// `None` for a fence.
    pub room: Option<String>,
    pub acknowledged: bool,
}

#[derive(Default)]
pub struct Log {
    pub entries: Vec<Entry>,
    pub last: Option<Position>,
    pub records: Vec<Record>,
    /// Where each epoch began, as an index into the records.
    pub begun: BTreeMap<u64, usize>,
    fence_due: bool,
}

impl Log {
    /// The age of a place in the log: how many records are not younger. Places without a check value are those of the present
    /// history.
    pub fn age(&self, position: Position) -> usize {
        let begun = self.begun.get(&position.epoch).copied().unwrap_or(0);
        if position.seq == 0 {
            return begun;
        }
        let same = |record: &Record| record.position.epoch == position.epoch && record.position.seq == position.seq;
        let exact = self.records.iter().position(|record| record.position == position);
        let latest = || self.records.iter().rposition(same);
        exact.or_else(latest).map_or(begun, |index| index + 1)
    }
}

pub struct Store {
    pub inner: Mutex<Inner>,
    retention: usize,
}

pub struct Inner {
    pub logs: BTreeMap<OrgId, Log>,
    nodes: Vec<Way>,
    rng: SmallRng,
    clock_us: u64,
    epochs: u64,
}

type MakeBody<'a> = Box<dyn FnOnce(Position) -> Body + 'a>;

/// A node's way to the store.
#[derive(Default)]
struct Way {
    feeds: BTreeMap<OrgId, Feed>,
    cut: bool,
    /// Its subscription to the old primary is gone and the one to the new not yet there.
    deaf: bool,
    /// Pub/sub messages under way, in no certain order.
    delayed: Vec<(OrgId, Entry)>,
}

impl Store {
    pub fn new(seed: u64, nodes: usize, retention: usize) -> Arc<Self> {
        let inner = Inner {
            logs: BTreeMap::new(),
            nodes: (0..nodes).map(|_| Way::default()).collect(),
            rng: SmallRng::seed_from_u64(seed),
            clock_us: 1_000_000,
            epochs: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner), retention })
    }

    /// Appends and hands the entry to every node, each of which may or may not get it, now or later, once or twice.
    fn append(&self, inner: &mut Inner, org: &OrgId, body: MakeBody<'_>, room: Option<String>) -> Position {
        inner.begin(org);
        if std::mem::take(&mut inner.logs.get_mut(org).unwrap().fence_due) {
            self.append(inner, org, Box::new(|_| Body::Fence(GapReason::Fork)), None);
        }
        inner.clock_us += 10;
        let clock_us = inner.clock_us;
        let log = inner.logs.get_mut(org).unwrap();
        let last = log.last.unwrap();
        let position = Position { epoch: last.epoch, seq: last.seq + 1, check: clock_us };
        let entry = Entry { position, body: body(position) };
        log.last = Some(position);
        log.entries.push(entry.clone());
        log.records.push(Record { position, room, acknowledged: true });
        let excess = log.entries.len().saturating_sub(self.retention);
        log.entries.drain(..excess);
        inner.carry(org, &entry);
        position
    }

    pub fn cut(&self, node: usize) {
        let mut inner = self.inner.lock();
        inner.nodes[node].cut = true;
        inner.nodes[node].delayed.clear();
        inner.interrupt(node);
    }

    pub fn mend(&self, node: usize) {
        self.inner.lock().nodes[node].cut = false;
        self.reconnect(node);
    }

    /// What a broker does for every joined org after a reconnect: open the log, then tell the hub.
    fn reconnect(&self, node: usize) {
        let orgs: Vec<OrgId> = self.inner.lock().nodes[node].feeds.keys().cloned().collect();
        for org in orgs {
            self.fence_if_due(&org);
        }
        self.inner.lock().interrupt(node);
    }

    fn fence_if_due(&self, org: &OrgId) {
        let mut inner = self.inner.lock();
        inner.begin(org);
        if std::mem::take(&mut inner.logs.get_mut(org).unwrap().fence_due) {
            self.append(&mut inner, org, Box::new(|_| Body::Fence(GapReason::Fork)), None);
        }
    }

    /// A replica that lacks the last `count` entries takes over; backends write `early` before any node comes.
    pub fn promote(&self, org: &OrgId, count: usize, early: &[NewPublication]) {
        self.disconnect_all();
        {
            let mut inner = self.inner.lock();
            inner.begin(org);
            let log = inner.logs.get_mut(org).unwrap();
            // Retention never removes the newest entry, so a replica has at least that one.
            let keep = log.entries.len().saturating_sub(count).max(1).min(log.entries.len());
            log.entries.truncate(keep);
            if let Some(last) = log.entries.last() {
                log.last = Some(last.position);
            }
            log.fence_due = true;
        }
        for publication in early {
            let mut inner = self.inner.lock();
            self.append(&mut inner, org, Box::new(|position| placed(publication, position)), Some(publication.room.to_string()));
        }
        self.reconnect_all();
    }

    /// The store comes back with nothing.
    pub fn lose(&self, org: &OrgId) {
        self.disconnect_all();
        {
            let mut inner = self.inner.lock();
            if let Some(log) = inner.logs.get_mut(org) {
                (log.last, log.fence_due) = (None, false);
                log.entries.clear();
            }
        }
        self.reconnect_all();
    }

    /// The primary is gone: every subscription breaks, and what was under way is lost.
    fn disconnect_all(&self) {
        let mut inner = self.inner.lock();
        for node in 0..inner.nodes.len() {
            inner.nodes[node].deaf = true;
            inner.nodes[node].delayed.clear();
            inner.interrupt(node);
        }
    }

    fn reconnect_all(&self) {
        let nodes = self.inner.lock().nodes.len();
        for node in 0..nodes {
            let cut = self.inner.lock().nodes[node].cut;
            self.inner.lock().nodes[node].deaf = false;
            if !cut {
                self.reconnect(node);
            }
        }
    }

    /// Lets some of the delayed messages arrive.
    pub fn deliver_delayed(&self, node: usize, all: bool) {
        let mut inner = self.inner.lock();
        let Inner { nodes, rng, .. } = &mut *inner;
        let way = &mut nodes[node];
        while !way.delayed.is_empty() && (all || rng.random_bool(0.7)) {
            let index = rng.random_range(0..way.delayed.len());
            let (org, entry) = way.delayed.swap_remove(index);
            if let Some(feed) = way.feeds.get(&org) {
                feed.send(OrgEvent::Entry(entry));
            }
        }
    }

    /// A node that was killed.
    pub fn forget(&self, node: usize) {
        let mut inner = self.inner.lock();
        inner.nodes[node].feeds.clear();
        inner.nodes[node].delayed.clear();
    }
}

impl Inner {
    fn begin(&mut self, org: &OrgId) {
        let log = self.logs.entry(org.clone()).or_default();
        if log.last.is_none() {
            self.epochs += 1;
            log.last = Some(Position { epoch: self.epochs, seq: 0, check: 0 });
            log.begun.insert(self.epochs, log.records.len());
        }
    }

    fn carry(&mut self, org: &OrgId, entry: &Entry) {
        for way in &mut self.nodes {
            let Some(feed) = way.feeds.get(org).filter(|_| !way.cut && !way.deaf) else { continue };
            match self.rng.random_range(0..100) {
                0..75 => feed.send(OrgEvent::Entry(entry.clone())),
                75..80 => {}
                80..85 => (0..2).for_each(|_| feed.send(OrgEvent::Entry(entry.clone()))),
                _ => way.delayed.push((org.clone(), entry.clone())),
            }
        }
    }

    fn interrupt(&mut self, node: usize) {
        self.nodes[node].feeds.values().for_each(|feed| feed.send(OrgEvent::Interrupted));
    }
}

fn placed(new: &NewPublication, position: Position) -> Body {
    Body::Publication(Arc::new(new.placed(Some(position), position.check)))
}

/// One node's broker.
pub struct SimBroker {
    pub store: Arc<Store>,
    pub node: usize,
}

impl SimBroker {
    fn check(&self) -> Result<(), ReadError> {
        if self.store.inner.lock().nodes[self.node].cut { Err(ReadError::Unavailable("cut off".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Broker for SimBroker {
    async fn publish(&self, publication: &NewPublication, _ack: AckLevel) -> Result<Published, PublishError> {
        self.check().map_err(|error| PublishError::Unavailable(error.to_string()))?;
        let mut inner = self.store.inner.lock();
        let room = Some(publication.room.to_string());
        let position = self.store.append(&mut inner, publication.room.org(), Box::new(|position| placed(publication, position)), room);
        Ok(Published { position: Some(position), duplicate: false })
    }

    async fn open(&self, org: &OrgId) -> Result<LogState, ReadError> {
        self.check()?;
        self.store.fence_if_due(org);
        let inner = self.store.inner.lock();
        Ok(state(&inner.logs[org]))
    }

    async fn read(&self, org: &OrgId, from_seq: u64, limit: PageLimit) -> Result<Page, ReadError> {
        self.check()?;
        // A read takes time, in which other things happen.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.check()?;
        let mut inner = self.store.inner.lock();
        inner.begin(org);
        let log = &inner.logs[org];
        let entries: Vec<Entry> = log.entries.iter().filter(|entry| entry.position.seq >= from_seq).take(limit.entries).cloned().collect();
        let end = entries.last().map(|entry| entry.position) == log.entries.last().map(|entry| entry.position)
            || log.last.is_some_and(|last| last.seq < from_seq);
        Ok(Page { epoch: log.last.unwrap().epoch, entries, end })
    }

    async fn probe(&self, orgs: &[OrgId]) -> Result<Vec<Option<LogState>>, ReadError> {
        self.check()?;
        let inner = self.store.inner.lock();
        Ok(orgs.iter().map(|org| inner.logs.get(org).filter(|log| log.last.is_some()).map(state)).collect())
    }

    async fn join(&self, org: &OrgId, feed: Feed) {
        feed.send(OrgEvent::Interrupted);
        self.store.inner.lock().nodes[self.node].feeds.insert(org.clone(), feed);
    }

    async fn leave(&self, org: &OrgId) {
        self.store.inner.lock().nodes[self.node].feeds.remove(org);
    }

    async fn orgs(&self, _limit: usize) -> Result<Vec<OrgId>, ReadError> {
        Ok(Vec::new())
    }

    async fn lease_connection(&self, _org: &OrgId, _max: u64) -> LeaseOutcome {
        LeaseOutcome::Granted
    }

    async fn release_connection(&self, _org: &OrgId) {}

    async fn renew(&self, _node: &NodeInfo) -> Result<(), ReadError> {
        Ok(())
    }

    async fn resign(&self, _node_id: &str) {}

    async fn nodes(&self) -> Result<Vec<NodeInfo>, ReadError> {
        Ok(Vec::new())
    }

    async fn send_control(&self, _to: Option<&str>, _message: ControlMessage) -> Result<(), ReadError> {
        Ok(())
    }

    fn control(&self) -> mpsc::Receiver<ControlMessage> {
        mpsc::channel(1).1
    }

    async fn revoke(&self, target: RevocationTarget) -> Result<Revocation, ReadError> {
        Ok(Revocation { at_ms: 0, target })
    }

    async fn revocations(&self, cursor: &str) -> Result<(Vec<Revocation>, String), ReadError> {
        Ok((Vec::new(), cursor.to_owned()))
    }

    async fn ping(&self) -> Result<Duration, ReadError> {
        Ok(Duration::ZERO)
    }

    fn health(&self) -> Health {
        Health::Ready
    }
}

fn state(log: &Log) -> LogState {
    let last = log.last.unwrap();
    LogState { last, first_seq: log.entries.first().map_or(last.seq + 1, |entry| entry.position.seq) }
}
