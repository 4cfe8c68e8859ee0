//! The embedded broker: one node, logs in memory, the same behaviour as Redis.

mod collections;
mod presence;
mod quota;
mod recall;
mod receipts;

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::mpsc;

use self::collections::OrgCollections;
use self::quota::Account;
use self::recall::Recall;
use self::receipts::Kept;
use super::collections::Config as CollectionsConfig;
use super::receipts as receipts_config;
use super::{
    AckLevel, Body, Broker, ControlMessage, Entry, Feed, Health, LeaseOutcome, LogState, NodeInfo, OrgEvent, Page, PageLimit, PublishError,
    Published, ReadError, Revocation, RevocationNews, RevocationTarget, RevokedAt,
};
use crate::clock::{unix_ms, unix_us};
use crate::limit::Quota;
use crate::protocol::{NewPublication, OrgId, Position};

/// Notes between the node and itself that wait to be read.
const CONTROL_QUEUE_MAX: usize = 1_024;

/// Why a further org gets no log.
const FULL_OF_ORGS: &str = "the embedded broker has its full number of orgs (broker.memory.orgs_max)";

/// Bounds of the embedded broker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Entries kept per org.
    pub entries_max: usize,
    /// Bytes kept per org.
    pub bytes_max: usize,
    /// How long an entry is kept.
    pub age_max_s: u64,
    /// Orgs with a log; publishing into a further one is refused.
    pub orgs_max: usize,
    /// How long an idempotency key is remembered.
    pub idempotency_window_s: u64,
    /// Idempotency keys remembered per org; the oldest go first.
    pub idempotency_keys_max: usize,
    /// Revocations kept; the oldest go first.
    pub revocations_max: usize,
    /// Bounds of collections.
    pub collections: CollectionsConfig,
    /// What an org may use of which nothing else was said; the node sets it from the section `quotas`.
    #[serde(skip)]
    pub quota: Quota,
    /// Receipts of publications that ask to be acknowledged.
    pub receipts: receipts_config::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            entries_max: 10_000,
            bytes_max: 64 << 20,
            age_max_s: 86_400,
            orgs_max: 10_000,
            idempotency_window_s: 600,
            idempotency_keys_max: 100_000,
            revocations_max: 100_000,
            collections: CollectionsConfig::default(),
            quota: Quota::default(),
            receipts: receipts_config::Config::default(),
        }
    }
}

/// Logs, leases and feeds of a single node.
pub struct MemoryBroker {
    config: Config,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    logs: HashMap<OrgId, Log>,
    collections: HashMap<OrgId, OrgCollections>,
    feeds: HashMap<OrgId, Feed>,
    connections: HashMap<OrgId, u64>,
    receipts: HashMap<OrgId, Kept>,
    node: Option<NodeInfo>,
    control: Option<mpsc::Sender<ControlMessage>>,
    revocations: VecDeque<Revocation>,
    revocations_dropped: usize,
    /// Of orgs that have published or were given a quota.
    accounts: HashMap<OrgId, Account>,
    presence: presence::Rooms,
}

struct Log {
    last: Position,
    entries: VecDeque<Entry>,
    bytes: usize,
    published: Recall<Position>,
}

impl Log {
    fn new(now_us: u64) -> Self {
        let last = Position { epoch: now_us / 1_000, seq: 0, check: 0 };
        Self { last, entries: VecDeque::new(), bytes: 0, published: Recall::default() }
    }

    fn state(&self) -> LogState {
        LogState { last: self.last, first_seq: self.entries.front().map_or(self.last.seq + 1, |entry| entry.position.seq) }
    }

    fn append(&mut self, publication: &NewPublication, now_us: u64) -> Entry {
        // Check values rise within a log even when the clock does not.
        let position = Position { epoch: self.last.epoch, seq: self.last.seq + 1, check: now_us.max(self.last.check + 1) };
        let entry = Entry { position, body: Body::Publication(Arc::new(publication.placed(Some(position), position.check))) };
        self.last = position;
        self.bytes += entry.cost_bytes();
        self.entries.push_back(entry.clone());
        entry
    }

    /// Drops what is too much or too old, never the newest entry.
    fn trim(&mut self, config: &Config, quota: &Quota, now_us: u64) {
        let oldest_us = now_us.saturating_sub(config.age_max_s * 1_000_000);
        let (entries_max, bytes_max) = (own(quota.log_entries_max, config.entries_max), own(quota.log_bytes_max, config.bytes_max));
        while self.entries.len() > 1 {
            let too_much = self.entries.len() > entries_max || self.bytes > bytes_max;
            match self.entries.front() {
                Some(entry) if too_much || entry.position.check < oldest_us => self.bytes -= entry.cost_bytes(),
                _ => break,
            }
            self.entries.pop_front();
        }
    }
}

/// What the org has of its own, or what all have.
fn own(quota: u64, all: usize) -> usize {
    if quota == 0 { all } else { usize::try_from(quota).unwrap_or(usize::MAX) }
}

impl MemoryBroker {
    pub fn new(config: Config) -> Self {
        Self { config, state: Mutex::default() }
    }

    /// Waits while the org's fan-out is behind.
    async fn feed_ready(&self, org: &OrgId) {
        let feed = self.state.lock().feeds.get(org).cloned();
        if let Some(feed) = feed {
            feed.ready().await;
        }
    }
}

impl State {
    fn log(&mut self, org: &OrgId, config: &Config, now_us: u64) -> Option<&mut Log> {
        let full = self.logs.len() >= config.orgs_max;
        match self.logs.entry(org.clone()) {
            Place::Occupied(log) => Some(log.into_mut()),
            Place::Vacant(_) if full => None,
            Place::Vacant(place) => Some(place.insert(Log::new(now_us))),
        }
    }

    fn account(&mut self, org: &OrgId, config: &Config, now_us: u64) -> &mut Account {
        self.accounts.entry(org.clone()).or_insert_with(|| Account::new(config.quota, now_us))
    }

    /// Appends to the org's log and fans out; `None` when there may be no further log.
    fn append(&mut self, publication: &NewPublication, config: &Config, now_us: u64) -> Option<Position> {
        let quota = self.account(publication.room.org(), config, now_us).quota;
        let log = self.log(publication.room.org(), config, now_us)?;
        let entry = log.append(publication, now_us);
        log.trim(config, &quota, now_us);
        let position = entry.position;
        self.feed(publication.room.org(), OrgEvent::Entry(entry));
        Some(position)
    }

    fn feed(&self, org: &OrgId, event: OrgEvent) {
        if let Some(feed) = self.feeds.get(org) {
            feed.send(event);
        }
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, publication: &NewPublication, _ack: AckLevel) -> Result<Published, PublishError> {
        let org = publication.room.org();
        self.feed_ready(org).await;
        let now_us = unix_us();
        let mut state = self.state.lock();
        if !publication.log {
            state.account(org, &self.config, now_us).charge(publication.data.len(), now_us)?;
            state.feed(org, OrgEvent::Ephemeral(Arc::new(publication.placed(None, now_us))));
            return Ok(Published { position: None, duplicate: false });
        }
        let Some(log) = state.log(org, &self.config, now_us) else {
            return Err(PublishError::Refused(FULL_OF_ORGS.into()));
        };
        if let Some(key) = &publication.idempotency_key
            && let Some(position) = log.published.recall(key, &self.config, now_us)
        {
            return Ok(Published { position: Some(*position), duplicate: true });
        }
        state.account(org, &self.config, now_us).charge(publication.data.len(), now_us)?;
        let position = state.append(publication, &self.config, now_us);
        if let (Some(key), Some(position), Some(log)) = (&publication.idempotency_key, position, state.logs.get_mut(org)) {
            log.published.keep(key, position, now_us);
        }
        if let Some(position) = position.filter(|_| publication.requires_ack) {
            state.await_acks(publication, position, &self.config);
        }
        Ok(Published { position, duplicate: false })
    }

    async fn open(&self, org: &OrgId) -> Result<LogState, ReadError> {
        let now_us = unix_us();
        let mut state = self.state.lock();
        let log = state.log(org, &self.config, now_us);
        log.map(|log| log.state()).ok_or_else(|| ReadError::Unavailable(FULL_OF_ORGS.into()))
    }

    async fn read(&self, org: &OrgId, from_seq: u64, limit: PageLimit) -> Result<Page, ReadError> {
        let state = self.state.lock();
        let Some(log) = state.logs.get(org) else {
            return Err(ReadError::Unavailable("the log has not been opened".into()));
        };
        let skip = log.entries.partition_point(|entry| entry.position.seq < from_seq);
        let mut bytes = 0;
        let mut entries = Vec::new();
        for entry in log.entries.range(skip..).take(limit.entries) {
            bytes += entry.cost_bytes();
            if bytes > limit.bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        let end = skip + entries.len() == log.entries.len();
        Ok(Page { epoch: log.last.epoch, entries, end })
    }

    async fn probe(&self, orgs: &[OrgId]) -> Result<Vec<Option<Position>>, ReadError> {
        let state = self.state.lock();
        Ok(orgs.iter().map(|org| state.logs.get(org).map(|log| log.last)).collect())
    }

    async fn join(&self, org: &OrgId, feed: Feed) {
        feed.send(OrgEvent::Interrupted);
        self.state.lock().feeds.insert(org.clone(), feed);
    }

    async fn leave(&self, org: &OrgId) {
        self.state.lock().feeds.remove(org);
    }

    async fn orgs(&self, limit: usize) -> Result<Vec<OrgId>, ReadError> {
        Ok(self.state.lock().logs.keys().take(limit).cloned().collect())
    }

    async fn lease_connection(&self, org: &OrgId, max: u64) -> LeaseOutcome {
        let mut state = self.state.lock();
        let count = state.connections.entry(org.clone()).or_default();
        if max > 0 && *count >= max {
            return LeaseOutcome::Full;
        }
        *count += 1;
        LeaseOutcome::Granted
    }

    async fn release_connection(&self, org: &OrgId) {
        let mut state = self.state.lock();
        if let Some(count) = state.connections.get_mut(org) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.connections.remove(org);
            }
        }
    }

    async fn renew(&self, node: &NodeInfo) -> Result<(), ReadError> {
        self.state.lock().node = Some(node.clone());
        Ok(())
    }

    async fn resign(&self, _node_id: &str) {
        self.state.lock().node = None;
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, ReadError> {
        Ok(self.state.lock().node.iter().cloned().collect())
    }

    async fn send_control(&self, _to: Option<&str>, message: ControlMessage) -> Result<(), ReadError> {
        if let Some(control) = &self.state.lock().control {
            control.try_send(message).map_err(|_| ReadError::Unavailable("too many notes wait to be read".into()))?;
        }
        Ok(())
    }

    fn control(&self) -> mpsc::Receiver<ControlMessage> {
        let (sender, receiver) = mpsc::channel(CONTROL_QUEUE_MAX);
        self.state.lock().control = Some(sender);
        receiver
    }

    async fn revoke(&self, target: RevocationTarget, at: RevokedAt) -> Result<Revocation, ReadError> {
        let at_ms = match at {
            RevokedAt::Ago(ago) => unix_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
            RevokedAt::Ms(at_ms) => at_ms,
        };
        let revocation = Revocation { at_ms, target };
        let mut state = self.state.lock();
        state.revocations.push_back(revocation.clone());
        if state.revocations.len() > self.config.revocations_max {
            state.revocations.pop_front();
            state.revocations_dropped += 1;
        }
        Ok(revocation)
    }

    async fn revocations(&self, cursor: &str) -> Result<RevocationNews, ReadError> {
        let state = self.state.lock();
        let seen: usize = cursor.parse().unwrap_or(0);
        let skip = seen.saturating_sub(state.revocations_dropped);
        let revocations = state.revocations.iter().skip(skip).cloned().collect();
        let cursor = (state.revocations_dropped + state.revocations.len()).to_string();
        Ok(RevocationNews { revocations, cursor, lost: false })
    }

    async fn ping(&self) -> Result<Duration, ReadError> {
        Ok(Duration::ZERO)
    }

    fn health(&self) -> Health {
        Health::Ready
    }
}
