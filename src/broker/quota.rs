//! Quotas at the broker: it is the one place that every publisher passes, whatever node or door it came by.

use async_trait::async_trait;

use super::ReadError;
use crate::limit::allowance::Measure;
use crate::limit::{Exceeded, Quota};
use crate::protocol::{Code, Fault, OrgId};
use crate::telemetry::metrics::{self, QuotaKind};

/// A broker that holds orgs to quotas. What it is configured with holds for orgs of which nothing else was said.
#[async_trait]
pub trait QuotaStore {
    /// From now on, over the whole cluster, this holds for the org: what it may publish, and how much of its log is kept. Said again every
    /// minute while it is to hold; some minutes after the last time the default holds again.
    async fn set_quota(&self, org: &OrgId, quota: &Quota) -> Result<(), ReadError>;
}

/// What a publisher is told whose org has used up a quota; counted.
pub fn refusal(exceeded: &Exceeded) -> Fault {
    metrics::quota_refusals(match exceeded.what {
        Measure::Publications => QuotaKind::Publications,
        Measure::Bytes => QuotaKind::Bytes,
    })
    .increment(1);
    Fault::new(Code::RateLimitExceeded, exceeded.to_string()).retry_after_ms(exceeded.retry_after_ms)
}
