//! Quotas of the embedded broker: kept for as long as it lives.

use async_trait::async_trait;

use super::MemoryBroker;
use crate::broker::ReadError;
use crate::broker::quota::QuotaStore;
use crate::limit::{Allowance, Exceeded, Quota};
use crate::protocol::OrgId;

/// What one org has left of its quota.
pub(super) struct Account {
    pub(super) quota: Quota,
    allowance: Allowance,
}

impl Account {
    pub(super) fn new(quota: Quota, now_us: u64) -> Self {
        Self { quota, allowance: Allowance::new(&quota, now_us) }
    }

    pub(super) fn charge(&mut self, bytes: usize, now_us: u64) -> Result<(), Exceeded> {
        self.allowance.take(&self.quota, bytes, now_us)
    }
}

#[async_trait]
impl QuotaStore for MemoryBroker {
    async fn set_quota(&self, org: &OrgId, quota: &Quota) -> Result<(), ReadError> {
        let now_us = crate::clock::unix_us();
        let mut state = self.state.lock();
        match state.accounts.get_mut(org) {
            // What was used up stays used up.
            Some(account) => account.quota = *quota,
            None => {
                state.accounts.insert(org.clone(), Account::new(*quota, now_us));
            }
        }
        Ok(())
    }
}
