//! The store that all nodes share: the orgs' logs with everything that ever stood in them, and the carriers that drop, delay,
//! double and reorder what is appended. `broker` is each node's way to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::broker::{Body, Entry, Feed, OrgEvent, Page};
use roomcast::protocol::{GapReason, NewPublication, OrgId, Position};

use super::acks::store::Receipting;
use super::clock;
use super::collections::store::Kept;
use super::log::Log;
use super::presence::store::Presences;
use super::sabotage::Sabotage;

pub struct Store {
    pub inner: Mutex<Inner>,
    /// Entries kept per org.
    retention: usize,
    sabotage: Option<Sabotage>,
}

pub struct Inner {
    pub logs: BTreeMap<OrgId, Log>,
    pub presences: Presences,
    pub kept: Kept,
    pub receipting: Receipting,
    pub nodes: Vec<Way>,
    pub rng: SmallRng,
    /// Whether calls may fail for no reason that lasts.
    pub flaky: bool,
    /// Whether each message arrives once, in order, at once.
    calm: bool,
    pub calls: Calls,
    clock_us: u64,
    epochs: u64,
}

/// What was asked of the store, and what it told nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calls {
    pub publishes: u64,
    /// Entries handed to nodes by a calm store.
    pub events: u64,
    /// Of one org each.
    pub probes: u64,
    pub opens: u64,
    pub reads: u64,
}

impl Calls {
    pub fn since(self, earlier: Self) -> Self {
        Self {
            publishes: self.publishes - earlier.publishes,
            events: self.events - earlier.events,
            probes: self.probes - earlier.probes,
            opens: self.opens - earlier.opens,
            reads: self.reads - earlier.reads,
        }
    }
}

/// A node's way to the store.
#[derive(Default)]
pub struct Way {
    pub feeds: BTreeMap<OrgId, Feed>,
    pub cut: bool,
    /// Counts restarts: the brokers of earlier lives reach nothing any more.
    pub life: u32,
    /// Its subscription to the old primary is gone and the one to the new not yet there.
    deaf: bool,
    /// Pub/sub messages under way, in no certain order.
    delayed: Vec<(OrgId, OrgEvent)>,
}

impl Store {
    pub fn new(seed: u64, nodes: usize, retention: usize, sabotage: Option<Sabotage>) -> Arc<Self> {
        let inner = Inner {
            logs: BTreeMap::new(),
            presences: Presences::default(),
            kept: Kept::default(),
            receipting: Receipting::default(),
            nodes: (0..nodes).map(|_| Way::default()).collect(),
            rng: SmallRng::seed_from_u64(seed),
            flaky: true,
            calm: false,
            calls: Calls::default(),
            clock_us: 1_000_000,
            epochs: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner), retention, sabotage })
    }

    /// One that does as it is asked.
    pub fn calm(nodes: usize) -> Arc<Self> {
        let store = Self::new(0, nodes, usize::MAX, None);
        (store.inner.lock().flaky, store.inner.lock().calm) = (false, true);
        store
    }

    pub fn calls(&self) -> Calls {
        self.inner.lock().calls
    }

    /// Appends what was published, unless its key was used already, and hands it to the carriers. The position, and whether it
    /// is an earlier one.
    pub fn publish(&self, new: &NewPublication) -> (Position, bool) {
        let mut inner = self.inner.lock();
        let org = new.room.org();
        inner.begin(org);
        if let Some(position) = new.idempotency_key.as_ref().and_then(|key| inner.logs[org].keys.get(key)) {
            return (*position, true);
        }
        (self.append(&mut inner, org, Some(new)), false)
    }

    /// Hands an ephemeral publication to the nodes, each of which gets it now or never.
    pub fn fan_out(&self, new: &NewPublication) {
        let mut inner = self.inner.lock();
        inner.tick();
        let publication = Arc::new(new.placed(None, inner.clock_us));
        let Inner { nodes, rng, .. } = &mut *inner;
        for feed in nodes.iter().filter_map(|way| way.hears(new.room.org())) {
            if rng.random_bool(0.9) {
                feed.send(OrgEvent::Ephemeral(Arc::clone(&publication)));
            }
        }
    }

    /// Appends a publication, or a fence, behind the fence that may be due.
    pub fn append(&self, inner: &mut Inner, org: &OrgId, new: Option<&NewPublication>) -> Position {
        if std::mem::take(&mut inner.log(org).fence_due) {
            self.append(inner, org, None);
        }
        let clock_us = inner.tick();
        let position = inner.log(org).next(clock_us);
        let body = match new {
            Some(new) => Body::Publication(Arc::new(new.placed(Some(position), clock_us))),
            None => Body::Fence(GapReason::Fork),
        };
        let entry = Entry { position, body };
        inner.log(org).append(entry.clone(), new, self.retention);
        if let Some(new) = new.filter(|new| new.requires_ack) {
            let nodes = inner.nodes.iter().filter(|way| way.hears(org).is_some()).count();
            inner.receipting.begin(new, position, nodes);
        }
        inner.carry(org, &OrgEvent::Entry(entry));
        position
    }

    /// Up to `limit` entries from the one numbered `from_seq` on.
    pub fn page(&self, org: &OrgId, from_seq: u64, limit: usize) -> Page {
        let mut inner = self.inner.lock();
        inner.begin(org);
        let mut page = inner.logs[org].page(from_seq, limit);
        if let Some(sabotage) = self.sabotage {
            let Inner { logs, rng, .. } = &mut *inner;
            let others = logs.iter().filter(|(name, _)| *name != org).flat_map(|(_, log)| &log.entries);
            sabotage.spoil(&mut page, others, rng);
        }
        page
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

    pub fn fence_if_due(&self, org: &OrgId) {
        let mut inner = self.inner.lock();
        inner.begin(org);
        if std::mem::take(&mut inner.log(org).fence_due) {
            self.append(&mut inner, org, None);
        }
    }

    /// A replica that lacks the last `count` entries takes over; backends write `early` before any node comes.
    pub fn promote(&self, org: &OrgId, count: usize, early: &[NewPublication]) {
        self.disconnect_all();
        {
            let mut inner = self.inner.lock();
            inner.begin(org);
            inner.log(org).fall_back(count);
            let last = inner.log(org).last.unwrap();
            inner.kept.fall_back(org, last);
            inner.presences.fall_back(org, count);
        }
        for new in early {
            self.publish(new);
        }
        self.reconnect_all();
    }

    /// The store comes back with nothing.
    pub fn lose(&self, org: &OrgId) {
        self.disconnect_all();
        {
            let mut inner = self.inner.lock();
            if let Some(log) = inner.logs.get_mut(org) {
                log.lose();
            }
            inner.presences.lose(org);
            inner.kept.lose(org);
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
            let (org, event) = way.delayed.swap_remove(index);
            if let Some(feed) = way.feeds.get(&org) {
                feed.send(event);
            }
        }
    }

    /// A node is killed and started again; the number of its new life.
    pub fn restart(&self, node: usize) -> u32 {
        let mut inner = self.inner.lock();
        let way = &mut inner.nodes[node];
        way.feeds.clear();
        way.delayed.clear();
        way.life += 1;
        way.life
    }
}

impl Way {
    fn hears(&self, org: &OrgId) -> Option<&Feed> {
        self.feeds.get(org).filter(|_| !self.cut && !self.deaf)
    }
}

impl Inner {
    /// The log of an org that has begun.
    fn log(&mut self, org: &OrgId) -> &mut Log {
        self.logs.get_mut(org).unwrap()
    }

    pub fn begin(&mut self, org: &OrgId) {
        let log = self.logs.entry(org.clone()).or_default();
        if log.last.is_none() {
            self.epochs += 1;
            log.begin(self.epochs);
        }
    }

    /// Each node may or may not get it, now or later, once or twice.
    pub fn carry(&mut self, org: &OrgId, event: &OrgEvent) {
        for way in &mut self.nodes {
            let Some(feed) = way.hears(org) else { continue };
            if self.calm {
                self.calls.events += 1;
                feed.send(event.clone());
                continue;
            }
            match self.rng.random_range(0..100) {
                0..75 => feed.send(event.clone()),
                75..80 => {}
                80..85 => (0..2).for_each(|_| feed.send(event.clone())),
                _ => way.delayed.push((org.clone(), event.clone())),
            }
        }
    }

    /// The time, at which nothing else happens.
    fn tick(&mut self) -> u64 {
        self.clock_us = clock::now_us().max(self.clock_us + 10);
        self.clock_us
    }

    fn interrupt(&mut self, node: usize) {
        self.nodes[node].feeds.values().for_each(|feed| feed.send(OrgEvent::Interrupted));
    }
}
