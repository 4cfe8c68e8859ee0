//! Receipts: who got a publication that asks to be acknowledged, over the whole cluster.
//!
//! Each node counts its own sessions (`hub::acks`) and asserts its counts here; the store adds them up. A publication's receipts are
//! complete when every node that was listening when it was published has heard of it and nothing is outstanding, or when its deadline has passed.
//! Completing is one step of the store that any node can bring about and only one does: it publishes the totals to the publisher.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReadError;
use crate::protocol::{OrgId, Position};

/// The event of the publication by which a publisher learns that its receipts are complete.
pub const RECEIPT_EVENT: &str = "receipt";
/// Shares that one report may hold.
pub const SHARES_MAX: usize = 100;
/// Receipts past their deadline that one step settles.
pub(super) const SETTLED_AT_ONCE: usize = 64;

/// How long receipts are waited for and kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long acknowledgements are waited for after a publication, in milliseconds; what is outstanding then counts as expired. The same
    /// on all nodes.
    pub deadline_ms: u64,
    /// How long receipts can be read after that, in seconds.
    pub kept_s: u64,
    /// Receipts kept per org; beyond it the oldest are completed early and forgotten.
    pub per_org_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { deadline_ms: 60_000, kept_s: 3_600, per_org_max: 10_000 }
    }
}

/// Counts of sessions. They only grow, so of two words of one node the larger number is the later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// The publication was handed to them.
    pub matched: u64,
    /// Of these, a socket has taken it.
    pub written: u64,
    /// They said that they have dealt with it.
    pub acked: u64,
    /// They ended before, or it was given up for them.
    pub expired: u64,
}

impl Tally {
    pub fn outstanding(self) -> u64 {
        self.matched.saturating_sub(self.acked + self.expired)
    }

    /// Both words of one node at once.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        Self {
            matched: self.matched.max(other.matched),
            written: self.written.max(other.written),
            acked: self.acked.max(other.acked),
            expired: self.expired.max(other.expired),
        }
    }

    /// With everything that is outstanding given up.
    #[must_use]
    pub fn given_up(self) -> Self {
        Self { expired: self.expired + self.outstanding(), ..self }
    }
}

/// What one node knows of one publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    pub position: Position,
    pub tally: Tally,
    /// The node heard of it when it was published, so all whom it reached there are counted; otherwise it only replayed it.
    pub heard: bool,
}

/// Who got a publication, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    pub tally: Tally,
    /// Nothing will be added.
    pub complete: bool,
    /// When it is complete at the latest, Unix milliseconds.
    pub deadline_ms: u64,
}

impl Receipt {
    /// What the publisher is told, as JSON.
    pub fn data(&self, position: Position) -> String {
        let Tally { matched, written, acked, expired } = self.tally;
        let outstanding = self.tally.outstanding();
        format!(
            r#"{{"id":"{position}","matched":{matched},"written":{written},"acked":{acked},"outstanding":{outstanding},"expired":{expired}}}"#
        )
    }
}

/// Where receipts are kept. The store begins a publication's receipts in the same step that logs it.
#[async_trait]
pub trait Receipts: Send + Sync + 'static {
    /// How long after its publication acknowledgements count.
    fn ack_deadline_ms(&self) -> u64;

    /// Asserts what this node knows of at most [`SHARES_MAX`] publications; saying it twice changes nothing.
    async fn report_receipts(&self, org: &OrgId, shares: &[Share]) -> Result<(), ReadError>;

    /// Completes what is past its deadline, whoever was to report it.
    async fn settle_receipts(&self, org: &OrgId) -> Result<(), ReadError>;

    /// `None`: that publication asked for none, or it is too long ago.
    async fn receipt(&self, org: &OrgId, position: Position) -> Result<Option<Receipt>, ReadError>;
}
