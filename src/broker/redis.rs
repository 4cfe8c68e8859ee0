//! The broker on Redis: any number of nodes share its logs, topics, leases and notes.
//!
//! A [`RedisBroker`] runs its own supervisors (commands, subscriptions, maintenance, ingest) until it is dropped. While Redis is
//! away every call fails fast and says so; nothing has to be restarted when it returns.

mod aside;
mod collections;
mod config;
mod connection;
mod deferral;
mod endpoint;
mod ingest;
mod keys;
mod link;
mod log;
mod members;
mod presence;
mod pubsub;
mod quota;
mod receipts;
mod registry;
mod revocations;
mod scripts;
mod trimmer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use redis::cmd;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::keys::Keys;
use self::link::Link;
use self::log::read_error;
use self::members::Members;
use self::pubsub::Subscriber;
use self::quota::Waiting;
use self::registry::{Counts, Registry};
use self::revocations::RevocationLog;
use self::trimmer::Trimmer;
use super::{
    AckLevel, Broker, ControlMessage, Feed, Health, LeaseOutcome, LogState, NodeInfo, Page, PageLimit, PublishError, Published, ReadError,
    Revocation, RevocationNews, RevocationTarget, RevokedAt,
};
use crate::limit::Turns;
use crate::protocol::{NewPublication, OrgId, Position, RoomSyntax};

pub use self::config::{Config, IngestConfig, Mode};
pub use self::endpoint::ConfigError;
pub use self::ingest::Ingest;

/// Notes to this node that wait to be read.
const CONTROL_QUEUE_MAX: usize = 1_024;
/// Orgs asked after at once in a probe.
const PROBE_BATCH: usize = 256;

/// Logs in Redis, as one node sees them.
pub struct RedisBroker {
    config: Config,
    node_id: Box<str>,
    /// This process among all that ever went by the node's id.
    life: Box<str>,
    keys: Keys,
    syntax: RoomSyntax,
    link: Arc<Link>,
    members: Arc<Members>,
    counts: Counts,
    /// Orgs take turns at the one connection for commands.
    turns: Turns,
    waiting: Waiting,
    stop: CancellationToken,
}

impl RedisBroker {
    /// Starts to connect; does not wait for Redis, because a node must come up without it.
    ///
    /// Must be called within a tokio runtime. `node_id` names this process in the registry and on the control topics, and must be
    /// unique over the cluster. Rooms are read by `syntax`: what others publish into unknown channels is malformed.
    ///
    /// # Errors
    /// When the configuration cannot lead to any Redis.
    pub fn start(config: Config, syntax: RoomSyntax, node_id: &str) -> Result<Arc<Self>, ConfigError> {
        let keys = Keys::new(&config.prefix);
        let link = Arc::new(Link::new(&config, &keys)?);
        let members = Arc::new(Members::new(syntax.clone(), config.data_bytes_max));
        let turns = Turns::new(config.calls_per_org_max);
        let (counts, waiting, stop) = (Counts::new(), Waiting::default(), CancellationToken::new());
        let life = format!("{node_id}:{:x}", rand::random::<u32>()).into();
        let broker = Self { node_id: node_id.into(), life, keys, syntax, link, members, counts, turns, waiting, stop, config };
        broker.spawn_supervisors();
        Ok(Arc::new(broker))
    }

    fn spawn_supervisors(&self) {
        let (link, members) = (Arc::clone(&self.link), Arc::clone(&self.members));
        self.spawn(async move { link.supervise(|| members.reopen()).await });
        let subscriber = Subscriber {
            link: Arc::clone(&self.link),
            members: Arc::clone(&self.members),
            keys: self.keys.clone(),
            control_topics: [self.keys.control(None), self.keys.control(Some(&self.node_id))],
        };
        self.spawn(async move { subscriber.supervise().await });
        let trimmer = Trimmer {
            link: Arc::clone(&self.link),
            members: Arc::clone(&self.members),
            keys: self.keys.clone(),
            bytes_max: self.config.bytes_max,
            age_max_ms: self.config.age_max_s * 1_000,
            interval: Duration::from_secs(self.config.trim_interval_s),
        };
        self.spawn(async move { trimmer.run().await });
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(task).await });
    }

    fn registry(&self) -> Registry<'_> {
        Registry { link: &self.link, keys: &self.keys, counts: &self.counts, node: &self.node_id, lease_ms: self.config.lease_ms }
    }

    fn revocation_log(&self) -> RevocationLog<'_> {
        let age_max_ms = self.config.revocation_age_max_s * 1_000;
        RevocationLog { link: &self.link, keys: &self.keys, entries_max: self.config.revocations_max.max(1), age_max_ms }
    }

    /// Enters the org into the list of known ones. It lies in another slot than the log, so no function does it; a loss
    /// here is made good when the org is next opened.
    async fn note_org(&self, org: &OrgId) {
        let oldest_s = self.config.idle_max_s;
        let now_s = crate::clock::unix_s();
        let key = self.keys.orgs();
        let _ = self.link.query::<u64>(cmd("ZADD").arg(&key).arg(now_s).arg(org.as_str())).await;
        let expired = now_s.saturating_sub(oldest_s);
        let _ = self.link.query::<u64>(cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(format!("({expired}"))).await;
    }
}

impl Drop for RedisBroker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn publish(&self, publication: &NewPublication, ack: AckLevel) -> Result<Published, PublishError> {
        if let Some(fault) = self.link.fault() {
            return Err(PublishError::Unavailable(fault));
        }
        let org = publication.room.org();
        self.waiting.check(org)?;
        let turn = self.turns.take(org).await;
        let replica_timeout = Duration::from_millis(self.config.replica_timeout_ms);
        let published = log::publish(&self.link, &self.keys, publication, ack, replica_timeout).await.inspect_err(|error| {
            if let PublishError::Exceeded(exceeded) = error {
                self.waiting.note(org, *exceeded);
            }
        })?;
        drop(turn);
        if published.position.is_some_and(|position| position.seq == 1) && !published.duplicate {
            self.note_org(org).await;
        }
        Ok(published)
    }

    async fn open(&self, org: &OrgId) -> Result<LogState, ReadError> {
        let state = log::open(&self.link, &self.keys, org).await?;
        self.note_org(org).await;
        Ok(state)
    }

    async fn read(&self, org: &OrgId, from_seq: u64, limit: PageLimit) -> Result<Page, ReadError> {
        log::read(&self.link, &self.keys, &self.syntax, org, from_seq, limit, self.config.data_bytes_max).await
    }

    async fn probe(&self, orgs: &[OrgId]) -> Result<Vec<Option<Position>>, ReadError> {
        let mut newest = Vec::with_capacity(orgs.len());
        // Calls made together share round trips on the one connection.
        for batch in orgs.chunks(PROBE_BATCH) {
            for position in join_all(batch.iter().map(|org| log::newest(&self.link, &self.keys, org))).await {
                newest.push(position?);
            }
        }
        Ok(newest)
    }

    async fn join(&self, org: &OrgId, feed: Feed) {
        self.members.join(self.keys.topic(org), org, feed);
    }

    async fn leave(&self, org: &OrgId) {
        self.members.leave(&self.keys.topic(org));
    }

    async fn orgs(&self, limit: usize) -> Result<Vec<OrgId>, ReadError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let names: Vec<String> =
            self.link.query(cmd("ZREVRANGE").arg(self.keys.orgs()).arg(0).arg(limit - 1)).await.map_err(|error| read_error(&error))?;
        Ok(names.iter().filter_map(|name| OrgId::parse(name).ok()).collect())
    }

    async fn lease_connection(&self, org: &OrgId, max: u64) -> LeaseOutcome {
        let _turn = self.turns.take(org).await;
        self.registry().lease(org, max).await
    }

    async fn release_connection(&self, org: &OrgId) {
        let _turn = self.turns.take(org).await;
        self.registry().release(org).await;
    }

    async fn renew(&self, node: &NodeInfo) -> Result<(), ReadError> {
        self.registry().renew(node).await
    }

    async fn resign(&self, node_id: &str) {
        self.registry().resign(node_id).await;
    }

    async fn nodes(&self) -> Result<Vec<NodeInfo>, ReadError> {
        self.registry().nodes().await
    }

    async fn send_control(&self, to: Option<&str>, message: ControlMessage) -> Result<(), ReadError> {
        self.registry().send_control(to, &message).await
    }

    fn control(&self) -> mpsc::Receiver<ControlMessage> {
        let (sender, receiver) = mpsc::channel(CONTROL_QUEUE_MAX);
        self.members.set_control(sender);
        receiver
    }

    async fn revoke(&self, target: RevocationTarget, at: RevokedAt) -> Result<Revocation, ReadError> {
        self.revocation_log().append(target, at).await
    }

    async fn revocations(&self, cursor: &str) -> Result<RevocationNews, ReadError> {
        self.revocation_log().after(cursor).await
    }

    async fn ping(&self) -> Result<Duration, ReadError> {
        let since = Instant::now();
        self.link.query::<redis::Value>(&cmd("PING")).await.map_err(|error| read_error(&error))?;
        Ok(since.elapsed())
    }

    fn health(&self) -> Health {
        match self.link.fault().or_else(|| self.members.fault()) {
            None => Health::Ready,
            Some(reason) => Health::Degraded(format!("Redis: {reason}")),
        }
    }
}
