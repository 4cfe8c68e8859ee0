//! What each org may use: the configured quotas, and what tokens claim within the configured ceilings.
//!
//! The node asks [`Quotas`] when a session opens or subscribes, and hands what differs from the default to the broker, which holds every
//! publisher to it. No clock, no IO.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::protocol::OrgId;

/// Orgs whose tokens' claims are remembered; the claims of further ones are not looked at.
const CLAIMS_MAX: usize = 10_000;

/// What the orgs may use. Every node of a cluster must have the same values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What an org may use of which nothing else is said.
    pub default: Quota,
    /// The most that a token's claim (`auth.claims.quotas`) may set; what has no ceiling no claim sets, and 0 lets claims set anything.
    pub ceiling: Part,
    /// Quotas of single orgs, by name; they count before any claim, and what one leaves out is the default.
    pub orgs: BTreeMap<String, Part>,
    /// Publications and leases of one org that a node has under way to the broker at a time; further ones wait for their turn, so that
    /// they hold up none of another org.
    pub broker_calls_per_org_max: usize,
}

/// What one org may use. 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Publications per second over the whole cluster and all doors, in the long run; twice as many may come at once after a pause.
    pub publications_per_s: u32,
    /// Bytes of `data` published per second, likewise.
    pub bytes_per_s: u64,
    /// Entries of the org's log that are kept, roughly, instead of the broker's own `entries_max`.
    pub log_entries_max: u64,
    /// Bytes of the org's log that are kept, roughly, instead of the broker's own `bytes_max`.
    pub log_bytes_max: u64,
    /// Sessions over the whole cluster, instead of `limits.connections_per_org_max`.
    pub sessions_max: u64,
    /// Subscriptions of all sessions of the org on one node, besides those to its own org and users.
    pub subscriptions_max: u64,
}

/// Some of a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Part {
    /// As in `quotas.default`.
    pub publications_per_s: Option<u32>,
    /// As in `quotas.default`.
    pub bytes_per_s: Option<u64>,
    /// As in `quotas.default`.
    pub log_entries_max: Option<u64>,
    /// As in `quotas.default`.
    pub log_bytes_max: Option<u64>,
    /// As in `quotas.default`.
    pub sessions_max: Option<u64>,
    /// As in `quotas.default`.
    pub subscriptions_max: Option<u64>,
}

impl Part {
    /// The quota with this part in it.
    fn over(self, quota: Quota) -> Quota {
        Quota {
            publications_per_s: self.publications_per_s.unwrap_or(quota.publications_per_s),
            bytes_per_s: self.bytes_per_s.unwrap_or(quota.bytes_per_s),
            log_entries_max: self.log_entries_max.unwrap_or(quota.log_entries_max),
            log_bytes_max: self.log_bytes_max.unwrap_or(quota.log_bytes_max),
            sessions_max: self.sessions_max.unwrap_or(quota.sessions_max),
            subscriptions_max: self.subscriptions_max.unwrap_or(quota.subscriptions_max),
        }
    }

    /// What is left of a claim.
    fn within(self, ceiling: Self) -> Self {
        Self {
            publications_per_s: within(self.publications_per_s, ceiling.publications_per_s),
            bytes_per_s: within(self.bytes_per_s, ceiling.bytes_per_s),
            log_entries_max: within(self.log_entries_max, ceiling.log_entries_max),
            log_bytes_max: within(self.log_bytes_max, ceiling.log_bytes_max),
            sessions_max: within(self.sessions_max, ceiling.sessions_max),
            subscriptions_max: within(self.subscriptions_max, ceiling.subscriptions_max),
        }
    }
}

/// 0 is more than any number.
fn within<T: Copy + Ord + Default>(claimed: Option<T>, ceiling: Option<T>) -> Option<T> {
    let (claimed, ceiling, none) = (claimed?, ceiling?, T::default());
    Some(match (claimed == none, ceiling == none) {
        (_, true) => claimed,
        (true, false) => ceiling,
        (false, false) => claimed.min(ceiling),
    })
}

impl Default for Config {
    fn default() -> Self {
        Self { default: Quota::default(), ceiling: Part::default(), orgs: BTreeMap::new(), broker_calls_per_org_max: 64 }
    }
}

/// The quotas of all orgs, as this node knows them.
#[derive(Default)]
pub struct Quotas {
    config: Config,
    claimed: Mutex<HashMap<OrgId, Claimed>>,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Claimed {
    part: Part,
    /// Of the token, Unix seconds.
    issued_at_s: u64,
}

impl Quotas {
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    pub fn of(&self, org: &OrgId) -> Quota {
        let claimed = self.claimed.lock().get(org).map(|claimed| claimed.part);
        self.with_claim(org, claimed.unwrap_or_default())
    }

    fn with_claim(&self, org: &OrgId, claimed: Part) -> Quota {
        let own = self.config.orgs.get(org.as_str()).copied().unwrap_or_default();
        own.over(claimed.within(self.config.ceiling).over(self.config.default))
    }

    /// Notes what a token that was just checked claims for its org; of several tokens the one that was issued last counts.
    pub fn claim(&self, org: &OrgId, part: Option<Part>, issued_at_s: u64) {
        let mut claimed = self.claimed.lock();
        let full = claimed.len() >= CLAIMS_MAX;
        match (claimed.get_mut(org), part) {
            (None, None) => return,
            (None, Some(_)) if full => return tracing::debug!(%org, "too many orgs claim quotas; the default holds for this one"),
            (None, Some(part)) => {
                claimed.insert(org.clone(), Claimed { part, issued_at_s });
            }
            (Some(known), part) => {
                let part = part.unwrap_or_default();
                if issued_at_s < known.issued_at_s || part == known.part {
                    return;
                }
                *known = Claimed { part, issued_at_s };
            }
        }
        drop(claimed);
        self.changed.notify_one();
    }

    /// The orgs whose quota is not the default, or was not.
    pub fn special(&self) -> Vec<(OrgId, Quota)> {
        let listed = self.config.orgs.keys().filter_map(|name| OrgId::parse(name).ok());
        let mut orgs: Vec<OrgId> = self.claimed.lock().keys().cloned().chain(listed).collect();
        orgs.sort_unstable();
        orgs.dedup();
        orgs.into_iter().map(|org| (org.clone(), self.of(&org))).collect()
    }

    /// Waits until what [`Quotas::special`] answers has changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> OrgId {
        OrgId::parse("acme").unwrap()
    }

    fn part(publications_per_s: Option<u32>, sessions_max: Option<u64>) -> Part {
        Part { publications_per_s, sessions_max, ..Part::default() }
    }

    fn quotas(ceiling: Part, own: Part) -> Quotas {
        let default = Quota { publications_per_s: 10, sessions_max: 5, ..Quota::default() };
        Quotas::new(Config { default, ceiling, orgs: [("acme".to_owned(), own)].into(), ..Config::default() })
    }

    #[test]
    fn what_is_configured_for_an_org_counts_before_a_claim_and_that_before_the_default() {
        let quotas = quotas(part(Some(100), None), part(None, Some(7)));
        quotas.claim(&acme(), Some(part(Some(50), Some(1_000))), 1);
        let quota = quotas.of(&acme());
        assert_eq!((quota.publications_per_s, quota.sessions_max, quota.bytes_per_s), (50, 7, 0));
        let other = quotas.of(&OrgId::parse("other").unwrap());
        assert_eq!((other.publications_per_s, other.sessions_max), (10, 5));
        assert_eq!(quotas.special(), [(acme(), quota)]);
    }

    #[test]
    fn a_claim_goes_up_to_the_ceiling_and_without_one_nowhere() {
        for (claimed, ceiling, counts) in
            [(50, Some(100), 50), (500, Some(100), 100), (0, Some(100), 100), (500, Some(0), 500), (0, Some(0), 0), (1, None, 10)]
        {
            let quotas = quotas(part(ceiling, None), Part::default());
            quotas.claim(&acme(), Some(part(Some(claimed), None)), 1);
            assert_eq!(quotas.of(&acme()).publications_per_s, counts, "{claimed} under {ceiling:?}");
        }
    }

    #[test]
    fn of_several_tokens_the_latest_counts() {
        let quotas = quotas(part(Some(0), None), Part::default());
        for (claimed, issued_at_s, counts) in
            [(Some(20), 10, 20), (Some(30), 9, 20), (Some(40), 11, 40), (None, 12, 10), (Some(40), 11, 10)]
        {
            quotas.claim(&acme(), claimed.map(|rate| part(Some(rate), None)), issued_at_s);
            assert_eq!(quotas.of(&acme()).publications_per_s, counts, "{claimed:?} of {issued_at_s}");
        }
    }

    #[test]
    fn claims_of_orgs_beyond_the_bound_are_not_looked_at() {
        let quotas = quotas(part(Some(0), None), Part::default());
        for number in 0..=CLAIMS_MAX {
            quotas.claim(&OrgId::parse(&format!("o{number}")).unwrap(), Some(part(Some(20), None)), 1);
        }
        assert_eq!(quotas.of(&OrgId::parse(&format!("o{CLAIMS_MAX}")).unwrap()).publications_per_s, 10);
    }
}
