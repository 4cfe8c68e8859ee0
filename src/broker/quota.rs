//! Quotas at the broker: it is the one place that every publisher passes, whatever node or door it came by.

use async_trait::async_trait;

use super::ReadError;
use crate::limit::Quota;
use crate::protocol::OrgId;

/// A broker that holds orgs to quotas. What it is configured with holds for orgs of which nothing else was said.
#[async_trait]
pub trait QuotaStore {
    /// From now on, over the whole cluster, this holds for the org: what it may publish, and how much of its log is kept. Said again every
    /// minute while it is to hold; some minutes after the last time the default holds again.
    async fn set_quota(&self, org: &OrgId, quota: &Quota) -> Result<(), ReadError>;
}
