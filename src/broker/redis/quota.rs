//! Quotas on Redis: the functions hold publishers to them, and remember what each org has left while the server process lives.
//!
//! What differs from the default stands in a key of the org for as long as nodes say it again. A node that was told to wait lets no further
//! publication of the org go to Redis meanwhile, so that a flood is refused where it comes in and costs the others nothing.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use redis::{RedisError, cmd};
use tokio::time::Instant;

use super::RedisBroker;
use super::log::read_error;
use crate::broker::ReadError;
use crate::broker::quota::QuotaStore;
use crate::limit::allowance::Measure;
use crate::limit::{Exceeded, Quota};
use crate::protocol::OrgId;

/// How long a quota outlives the nodes that set it.
const LASTS: Duration = Duration::from_secs(600);
/// Orgs that wait at a time on one node; those that are through are forgotten first, and beyond that Redis is asked each time.
const WAITING_MAX: usize = 10_000;

/// Orgs that were told to wait.
#[derive(Default)]
pub(super) struct Waiting {
    until: Mutex<HashMap<OrgId, (Instant, Exceeded)>>,
}

impl Waiting {
    /// # Errors
    /// What Redis said, with the rest of the wait, until that is over.
    pub(super) fn check(&self, org: &OrgId) -> Result<(), Exceeded> {
        let mut until = self.until.lock();
        if until.is_empty() {
            return Ok(());
        }
        let Some((end, exceeded)) = until.get(org).copied() else { return Ok(()) };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            until.remove(org);
            return Ok(());
        }
        Err(Exceeded { retry_after_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1), ..exceeded })
    }

    pub(super) fn note(&self, org: &OrgId, exceeded: Exceeded) {
        let now = Instant::now();
        let mut until = self.until.lock();
        if until.len() >= WAITING_MAX {
            until.retain(|_, (end, _)| *end > now);
        }
        if until.len() < WAITING_MAX {
            until.insert(org.clone(), (now + Duration::from_millis(exceeded.retry_after_ms), exceeded));
        }
    }
}

/// What the functions say when a quota is used up: `LIMITED publications 100 12`, the allowed rate and the wait in ms.
pub(super) fn exceeded(error: &RedisError) -> Option<Exceeded> {
    if error.code() != Some("LIMITED") {
        return None;
    }
    let mut words = error.detail()?.split_ascii_whitespace();
    let what = match words.next()? {
        "publications" => Measure::Publications,
        "bytes" => Measure::Bytes,
        _ => return None,
    };
    Some(Exceeded { what, allowed: words.next()?.parse().ok()?, retry_after_ms: words.next()?.parse().ok()? })
}

/// As the functions read it.
pub(super) fn text(quota: &Quota) -> String {
    let Quota { publications_per_s, bytes_per_s, log_entries_max, log_bytes_max, .. } = quota;
    format!("{publications_per_s} {bytes_per_s} {log_entries_max} {log_bytes_max}")
}

#[async_trait]
impl QuotaStore for RedisBroker {
    async fn set_quota(&self, org: &OrgId, quota: &Quota) -> Result<(), ReadError> {
        let lasts_ms = u64::try_from(LASTS.as_millis()).unwrap_or(u64::MAX);
        let mut command = cmd("SET");
        command.arg(self.keys.quota(org)).arg(text(quota)).arg("PX").arg(lasts_ms);
        self.link.query::<redis::Value>(&command).await.map(|_| ()).map_err(|error| read_error(&error))
    }
}
