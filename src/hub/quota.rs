//! The org's quota of subscriptions on this node, asked before each subscription.

use super::command::Subscribe;
use super::org::Org;
use super::service::{has, is_own};
use crate::protocol::{Code, Fault};
use crate::telemetry::metrics::{self, QuotaKind};

impl Org {
    /// Why the command would exceed the quota, if it would.
    pub(super) fn over_quota(&self, command: &Subscribe) -> Option<Fault> {
        let most = self.shared.quotas.of(&self.name).subscriptions_max;
        if most == 0 {
            return None;
        }
        let member = self.members.get(command.slot)?;
        let fresh = command.grants.iter().filter(|grant| !is_own(grant.pattern()) && !has(member, grant)).count();
        if fresh == 0 || (self.counted + fresh) as u64 <= most {
            return None;
        }
        metrics::quota_refusals(QuotaKind::Subscriptions).increment(1);
        let text = format!("the organization may have {most} subscriptions on a node");
        Some(Fault::new(Code::SubscriptionFailed, text).retry_after_ms(5_000))
    }
}
