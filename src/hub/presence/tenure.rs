//! For how long an org's task on this node may speak for its sessions, and whether it may believe what it does not find. Pure.
//!
//! A task holds one lease in the org, under a name of its own. When the store has other data than before, or the lease ran out,
//! what the task told may be gone, or be back after it was taken out: it takes a new name and tells everything again, and what
//! stands under the old name goes with the old lease. For one lease after any such doubt it believes nobody to be gone only
//! because the store does not have them: other nodes may be about to tell theirs again.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::presence::{Keeping, Kept, Owner};

/// Renewals in one lease of the store; and of all the time after which a killed node's members are gone, what its lease takes.
const RENEWALS: u32 = 5;
const LEASE_TENTHS: u32 = 7;

#[derive(Debug)]
pub struct Tenure {
    owner: Owner,
    /// Whether anything was told under this name.
    is_known: bool,
    history: Option<Box<str>>,
    lease: Duration,
    interval: Duration,
    /// When to renew.
    due: Instant,
    doubts_until: Instant,
}

impl Tenure {
    /// Members of a killed node are to be gone within `within`: most of that is the lease, the rest is for others to notice.
    pub fn new(owner: Owner, within: Duration, now: Instant) -> Self {
        let lease = within * LEASE_TENTHS / 10;
        Self { owner, is_known: false, history: None, lease, interval: within / RENEWALS, due: now, doubts_until: now + lease }
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    pub fn history(&self) -> Option<&str> {
        self.history.as_deref()
    }

    /// Whom the store is to renew; nobody before anything was told.
    pub fn owner(&self) -> Option<Owner> {
        self.is_known.then_some(self.owner)
    }

    pub fn lease_ms(&self) -> u64 {
        u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX)
    }

    pub fn keeping(&self, stays_max: usize) -> Keeping {
        Keeping { owner: self.owner, is_known: self.is_known, lease_ms: self.lease_ms(), stays_max }
    }

    /// Something was told under this name.
    pub fn told(&mut self, owner: Owner) {
        self.is_known |= owner == self.owner;
    }

    /// The renewal brought this to light; `renewed` is what was asked to be renewed, `next` a name that was never used. Whether
    /// everything has to be told again.
    pub fn kept(&mut self, kept: &Kept, renewed: Option<Owner>, next: Owner, now: Instant) -> bool {
        self.due = now + self.interval;
        let is_other = self.history.as_ref().is_some_and(|history| *history != kept.history);
        let has_lapsed = renewed == Some(self.owner) && !kept.is_held;
        self.history = Some(kept.history.clone());
        if is_other || has_lapsed {
            self.lapsed(next, now);
        }
        is_other || has_lapsed
    }

    /// The lease has run out.
    pub fn lapsed(&mut self, next: Owner, now: Instant) {
        (self.owner, self.is_known) = (next, false);
        self.doubts_until = now + self.lease;
    }

    /// The renewal did not come through.
    pub fn failed(&mut self, now: Instant) {
        self.due = now + self.interval / 4;
        self.doubts_until = now + self.lease;
    }

    /// Something may have been missed, or the store may be another.
    pub fn interrupted(&mut self, now: Instant) {
        self.due = now;
        self.doubts_until = now + self.lease;
    }

    /// Whether who is not there is gone.
    pub fn believes(&self, now: Instant) -> bool {
        now >= self.doubts_until
    }

    /// Owners that are taken to be alive, this one among them.
    pub fn running(&self, kept: Kept) -> BTreeSet<Owner> {
        let mut running = kept.owners;
        running.insert(self.owner);
        running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    fn kept(history: &str, is_held: bool) -> Kept {
        Kept { history: history.into(), is_held, owners: BTreeSet::new(), seqs: Vec::new() }
    }

    #[test]
    fn a_killed_node_is_noticed_within_the_time_that_was_asked_for() {
        let now = Instant::now();
        let tenure = Tenure::new(Owner(1), WITHIN, now);
        assert!(tenure.lease + tenure.interval < WITHIN);
        assert!(tenure.interval * 3 < tenure.lease, "two renewals may be lost");
    }

    #[test]
    fn other_data_and_a_lost_lease_make_for_a_new_name_and_a_time_of_doubt() {
        let now = Instant::now();
        let mut tenure = Tenure::new(Owner(1), WITHIN, now);
        assert!(!tenure.believes(now) && tenure.owner().is_none());
        let later = now + WITHIN;
        assert!(!tenure.kept(&kept("a", false), None, Owner(2), later), "nothing was told, so nothing is lost");
        tenure.told(Owner(1));
        assert!(!tenure.kept(&kept("a", true), tenure.owner(), Owner(2), later));
        assert!(tenure.believes(later));
        assert!(tenure.kept(&kept("b", true), tenure.owner(), Owner(2), later));
        assert!(!tenure.believes(later) && tenure.owner().is_none());
        tenure.told(Owner(1));
        assert!(tenure.owner().is_none(), "what was under way under the old name counts for nothing");
        tenure.told(Owner(2));
        assert!(tenure.kept(&kept("b", false), tenure.owner(), Owner(3), later + WITHIN));
        assert!(!tenure.believes(later + WITHIN) && tenure.believes(later + WITHIN * 2));
    }
}
