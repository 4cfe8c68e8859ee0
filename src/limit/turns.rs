//! Turns at something that all orgs share: each org has at most so many at a time, and its others wait in a queue of its own.
//!
//! The broker on Redis takes one for each call, so that a flood of one org stands in its own queue and not in front of everybody on the
//! one connection. How many wait is bounded by who asks: a session has one command under way, a request of REST too.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::protocol::OrgId;

pub struct Turns {
    at_once: usize,
    /// Only orgs that have a turn or wait for one.
    orgs: Mutex<HashMap<OrgId, Arc<Semaphore>>>,
}

/// One turn, until it is dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
    org: &'a OrgId,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub fn new(at_once: usize) -> Self {
        Self { at_once, orgs: Mutex::default() }
    }

    pub async fn take<'a>(&'a self, org: &'a OrgId) -> Turn<'a> {
        let queue = {
            let mut orgs = self.orgs.lock();
            match orgs.get(org) {
                Some(queue) => Arc::clone(queue),
                None => Arc::clone(orgs.entry(org.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.at_once)))),
            }
        };
        // Made first, so that whoever stops waiting still tidies up.
        let mut turn = Turn { turns: self, org, permit: None };
        // Nobody closes it.
        turn.permit = queue.acquire_owned().await.ok();
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.permit = None;
        let mut orgs = self.turns.orgs.lock();
        // One reference is the table's; who waits or works has another.
        if orgs.get(self.org).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            orgs.remove(self.org);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_org_waits_by_itself_and_leaves_nothing_behind() {
        let (turns, acme, other) = (Turns::new(2), OrgId::parse("acme").unwrap(), OrgId::parse("other").unwrap());
        let (first, second) = (turns.take(&acme).await, turns.take(&acme).await);
        let mut third = std::pin::pin!(turns.take(&acme));
        assert!(futures_util::poll!(third.as_mut()).is_pending());
        drop(turns.take(&other).await);
        drop(first);
        drop(third.await);
        {
            let mut given_up = Box::pin(turns.take(&acme));
            let _third = turns.take(&acme).await;
            assert!(futures_util::poll!(given_up.as_mut()).is_pending());
        }
        drop(second);
        assert!(turns.orgs.lock().is_empty());
    }
}
