//! Brokers: where an org's log lives and how a publication reaches every node.
//!
//! The hub reads and publishes through [`Broker`]; it is handed events through a [`Feed`], never called back. Two brokers
//! stand behind the trait, the embedded one (`memory`, one node) and Redis (`redis`, any number of nodes), and one contract
//! suite holds both to the same behaviour (`tests/it/broker_contract.rs`).

pub mod collections;
pub mod envelope;
pub mod faults;
pub mod feed;
pub mod history;
pub mod ingest_entry;
mod ingest_write;
pub mod memory;
pub mod presence;
pub mod quota;
pub mod receipts;
pub mod redis;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::limit::Exceeded;
use crate::protocol::{GapReason, NewPublication, OrgId, Position, Publication};
use crate::telemetry::{metrics, trace};

pub use collections::Collections;
pub use feed::Feed;
pub use presence::PresenceStore;
pub use receipts::Receipts;

/// One entry of an org's log.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub position: Position,
    pub body: Body,
}

/// What an entry holds.
#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    Publication(Arc<Publication>),
    /// The log admits that publications acknowledged before this entry may be missing: whoever reads past it is told by a gap.
    Fence(GapReason),
    /// A later version of roomcast wrote it and says something with it that this one does not know: what it held is admitted as lost.
    Newer,
    /// An entry that something else than a roomcast publisher wrote; it keeps its number and is skipped and counted.
    Malformed,
}

impl Entry {
    pub fn cost_bytes(&self) -> usize {
        match &self.body {
            Body::Publication(publication) => size_of::<Self>() + publication.cost_bytes(),
            Body::Fence(_) | Body::Newer | Body::Malformed => size_of::<Self>(),
        }
    }
}

/// What happens in an org, in the order in which the carrier brought it.
#[derive(Clone, PartialEq, Debug)]
pub enum OrgEvent {
    /// A log entry; order and holes are the receiver's to check.
    Entry(Entry),
    /// A publication beside the log.
    Ephemeral(Arc<Publication>),
    /// Somebody came to a room, told something else or went; order and holes are the receiver's to check.
    Presence(presence::News),
    /// Entries may have been missed: read the log from the last known one.
    Interrupted,
}

/// The outcome of a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// `None` for an ephemeral publication.
    pub position: Option<Position>,
    /// The idempotency key had been used: this is where the first one was logged.
    pub duplicate: bool,
}

/// Both ends of an org's log as it stands. Entries are numbered from 1 in every epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogState {
    /// The newest entry; number 0 with check 0 while the log has none. Retention never removes the newest entry.
    pub last: Position,
    /// The number of the oldest entry still there; `last.seq + 1` when there is none.
    pub first_seq: u64,
}

/// A run of consecutive entries.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    pub epoch: u64,
    pub entries: Vec<Entry>,
    /// Whether the log ends with this page.
    pub end: bool,
}

/// How much one read may bring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageLimit {
    pub entries: usize,
    pub bytes: usize,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PublishError {
    /// Nothing is known of the outcome, or the broker refused: never acknowledge it. A retry with the same key is safe.
    #[error("the broker is not reachable: {0}")]
    Unavailable(String),
    #[error("the broker refused the publication: {0}")]
    Refused(String),
    /// The org has used up a quota; nothing was published.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the broker is not reachable: {0}")]
    Unavailable(String),
}

/// How many acknowledgements a publish waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AckLevel {
    /// The primary has it.
    #[default]
    Primary,
    /// At least one replica has it too (Redis WAIT, whose limits docs/operations.md states).
    Replica,
}

/// A node as the registry shows it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NodeInfo {
    pub id: String,
    /// Where people find it, for logs and stats only.
    pub address: String,
    pub version: String,
    /// Unix milliseconds.
    pub started_at_ms: u64,
    pub sessions: u64,
    /// When it said this, in Unix milliseconds by its own clock; 0 from nodes that do not tell. Whoever sees the same again has heard nothing new.
    #[serde(default)]
    pub said_at_ms: u64,
    /// Whether it is about to send its sessions to other nodes.
    #[serde(default)]
    pub draining: bool,
}

/// A note from node to node; what it says is the api's business (`api::cluster`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlMessage(pub Bytes);

/// How the way to the broker stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    Ready,
    /// What is wrong, for people.
    Degraded(String),
}

/// Something taken back before its time: every node ends or narrows the open sessions concerned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revocation {
    /// Unix milliseconds by the broker's clock. Tokens issued later are good again.
    pub at_ms: u64,
    pub target: RevocationTarget,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationTarget {
    /// All sessions of one user of one org.
    User { organization_id: String, user_id: String },
    /// One session; with an org named, only if it is of that org.
    Session {
        session_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        organization_id: Option<String>,
    },
    /// One token, by its `jti`.
    Token { token_id: String },
    /// Everyone of one org.
    Org { organization_id: String },
}

/// From when on something is revoked, by the broker's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RevokedAt {
    /// It was asked for so long ago, and can only be kept now.
    Ago(Duration),
    /// It was kept before, with this time in Unix milliseconds, and got lost.
    Ms(u64),
}

/// Revocations that are new to a reader.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RevocationNews {
    pub revocations: Vec<Revocation>,
    /// For the next call.
    pub cursor: String,
    /// What the cursor stood for is gone though nothing has removed it: whoever remembers revocations should write them back. All
    /// that is kept is among the news then.
    pub lost: bool,
}

/// The outcome of asking for one more connection of an org.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseOutcome {
    Granted,
    /// The org has its full number over the whole cluster.
    Full,
}

/// Where logs live. Every call is bounded in time by the implementation; none panics on what it reads.
#[async_trait]
pub trait Broker: Collections + PresenceStore + quota::QuotaStore + Receipts + Send + Sync + 'static {
    /// Appends to the org's log and fans out, as one atomic step; an ephemeral publication is only fanned out.
    async fn publish(&self, publication: &NewPublication, ack: AckLevel) -> Result<Published, PublishError>;

    /// Makes the org's log readable from here: begins it when there is none, and, when the store's history was replaced by
    /// another (a promoted replica), puts a fence into it first, once over the whole cluster.
    async fn open(&self, org: &OrgId) -> Result<LogState, ReadError>;

    /// Entries from the one numbered `from_seq` on (inclusive), in order, from whatever epoch the log now has. Entries that
    /// are trimmed away are just not there: compare the first one's number.
    async fn read(&self, org: &OrgId, from_seq: u64, limit: PageLimit) -> Result<Page, ReadError>;

    /// The newest places in the orgs' logs, in one round trip where the store can; `None` where there is no log.
    async fn probe(&self, orgs: &[OrgId]) -> Result<Vec<Option<Position>>, ReadError>;

    /// Starts to feed what happens in the org, until [`Broker::leave`]. `Interrupted` is fed once the feed is live, and again
    /// whenever something may have been missed. Joining again replaces the feed.
    async fn join(&self, org: &OrgId, feed: Feed);

    async fn leave(&self, org: &OrgId);

    /// Orgs that the broker knows of, at most `limit`: for messages to all of them.
    async fn orgs(&self, limit: usize) -> Result<Vec<OrgId>, ReadError>;

    /// Takes a lease on one more connection of the org, unless `max` are leased over all nodes (0: no limit).
    /// When the store is away the answer is `Granted`: limits are not worth refusing everybody.
    async fn lease_connection(&self, org: &OrgId, max: u64) -> LeaseOutcome;

    async fn release_connection(&self, org: &OrgId);

    /// Registers this node, or renews its lease together with its connection leases; call it every third of the lease.
    async fn renew(&self, node: &NodeInfo) -> Result<(), ReadError>;

    /// Leaves the registry at once (planned shutdown).
    async fn resign(&self, node_id: &str);

    /// The nodes whose leases run.
    async fn nodes(&self) -> Result<Vec<NodeInfo>, ReadError>;

    /// Sends a note to every node (`None`) or to one. Best effort: whoever asks counts the answers.
    async fn send_control(&self, to: Option<&str>, message: ControlMessage) -> Result<(), ReadError>;

    /// The notes to this node, from now on. Each call replaces the receiver that the one before returned.
    fn control(&self) -> mpsc::Receiver<ControlMessage>;

    /// Keeps a revocation for as long as tokens live, for every node to read.
    async fn revoke(&self, target: RevocationTarget, at: RevokedAt) -> Result<Revocation, ReadError>;

    /// Revocations that came after `cursor` (an opaque string, empty at first).
    async fn revocations(&self, cursor: &str) -> Result<RevocationNews, ReadError>;

    /// One round trip to the store.
    async fn ping(&self) -> Result<Duration, ReadError>;

    fn health(&self) -> Health;
}

/// Publishes, and counts what the broker acknowledges: the way in for sessions and REST.
///
/// # Errors
/// As [`Broker::publish`].
pub async fn submit(broker: &dyn Broker, publication: &NewPublication, ack: AckLevel) -> Result<Published, PublishError> {
    let begun = Instant::now();
    let published = match trace::publishing(publication) {
        Some((span, traced)) => broker.publish(&traced, ack).instrument(span).await?,
        None => broker.publish(publication, ack).await?,
    };
    metrics::publish_seconds().record(begun.elapsed().as_secs_f64());
    metrics::published().increment(1);
    Ok(published)
}
