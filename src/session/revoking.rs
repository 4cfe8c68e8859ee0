//! Revocations on their way: from whoever asks this node to every node, through the broker.
//!
//! `api::revoke` asks; [`Revoking::follow`] runs beside the node and reads what any node wrote. What cannot be written because the broker is
//! away takes effect here at once, waits in a bounded queue and is written when the broker is back; it is lost with this node, which
//! is why the answer says that it waits. When the broker's store has lost revocations, nodes write back what they remember.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::Config;
use super::registry::Registry;
use crate::broker::{Broker, ReadError, Revocation, RevocationTarget, RevokedAt};
use crate::clock::unix_ms;
use crate::telemetry::metrics;

/// How often the broker is tried while it is away, at the least.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

pub struct Revoking {
    broker: Arc<dyn Broker>,
    registry: Arc<Registry>,
    config: Config,
    /// The zero of the node's clock.
    started: Instant,
    pending: Mutex<VecDeque<Pending>>,
}

/// A revocation that other nodes do not know of yet.
#[derive(Clone, PartialEq)]
struct Pending {
    target: RevocationTarget,
    asked: Instant,
}

/// What became of a revocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effect {
    /// Tokens of the user or org that were issued later are good again; Unix milliseconds.
    pub at_ms: u64,
    /// Sessions of this node that were closed.
    pub sessions_closed: usize,
    /// The broker is away, and other nodes hear of it when it is back.
    pub pending: bool,
}

/// The broker is away, and as many revocations as may wait for it do so already; nothing was revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the broker is away, and {0} revocations wait for it already (session.revocations_pending_max)")]
pub struct QueueFull(usize);

impl Revoking {
    pub fn new(broker: Arc<dyn Broker>, registry: Arc<Registry>, config: Config, started: Instant) -> Arc<Self> {
        Arc::new(Self { broker, registry, config, started, pending: Mutex::default() })
    }

    /// Revokes here at once and everywhere as soon as the broker allows.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub async fn revoke(&self, target: RevocationTarget) -> Result<Effect, QueueFull> {
        let asked = Instant::now();
        let (revocation, pending) = match self.broker.revoke(target.clone(), RevokedAt::Ago(Duration::ZERO)).await {
            Ok(revocation) => (revocation, false),
            Err(error) => {
                tracing::warn!(%error, "a revocation waits for the broker; until then it holds on this node alone");
                self.put_off(target.clone(), asked)?;
                (Revocation { at_ms: unix_ms(), target }, true)
            }
        };
        let sessions_closed = self.registry.revoke(std::slice::from_ref(&revocation));
        Ok(Effect { at_ms: revocation.at_ms, sessions_closed, pending })
    }

    fn put_off(&self, target: RevocationTarget, asked: Instant) -> Result<(), QueueFull> {
        let mut pending = self.pending.lock();
        // The later one covers the earlier.
        pending.retain(|earlier| earlier.target != target);
        if pending.len() >= self.config.revocations_pending_max {
            return Err(QueueFull(pending.len()));
        }
        pending.push_back(Pending { target, asked });
        metrics::revocations_pending().set(pending.len() as f64);
        Ok(())
    }

    /// From this call on the registry lets nobody in until what was revoked has been read. The future reads new revocations over and over, and
    /// writes those that wait; it runs until it is dropped. What was missed while the broker was away is read when it is back, because the
    /// cursor only moves with what was read.
    pub fn follow(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        self.registry.trust_until_ms(0);
        async move { self.read_for_ever().await }
    }

    async fn read_for_ever(&self) {
        let interval = Duration::from_millis(self.config.revocation_interval_ms);
        let mut cursor = String::new();
        loop {
            let went_well = self.write_pending().await.is_ok() && self.read(&mut cursor).await.is_ok();
            tokio::time::sleep(if went_well { interval } else { interval.min(RETRY_INTERVAL) }).await;
        }
    }

    /// Writes what waits, in the order in which it was asked for; how much of it still waits when the broker is not there.
    pub async fn write_pending(&self) -> Result<(), usize> {
        loop {
            let Some(first) = self.pending.lock().front().cloned() else { return Ok(()) };
            if self.broker.revoke(first.target.clone(), RevokedAt::Ago(first.asked.elapsed())).await.is_err() {
                return Err(self.pending.lock().len());
            }
            let mut pending = self.pending.lock();
            // Asked again meanwhile, it waits once more.
            pending.retain(|other| *other != first);
            metrics::revocations_pending().set(pending.len() as f64);
        }
    }

    async fn read(&self, cursor: &mut String) -> Result<(), ReadError> {
        let news = self.broker.revocations(cursor).await?;
        let closed = self.registry.revoke(&news.revocations);
        if closed > 0 {
            tracing::info!(sessions = closed, "closed revoked sessions");
        }
        *cursor = news.cursor;
        self.registry.trust_until_ms(self.trusted_until_ms());
        if news.lost {
            self.write_back().await?;
        }
        Ok(())
    }

    fn trusted_until_ms(&self) -> u64 {
        match self.config.revocations_unread_max_ms {
            0 => u64::MAX,
            unread_max_ms => {
                let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                now_ms.saturating_add(unread_max_ms).saturating_add(self.config.revocation_interval_ms)
            }
        }
    }

    /// The store no longer has what this node read from it. Nodes do this one after another, so that mostly the first one writes.
    async fn write_back(&self) -> Result<(), ReadError> {
        let wait_ms = rand::random_range(0..=self.config.revocation_interval_ms);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let kept = self.broker.revocations("").await?;
        let missing = self.registry.revocations_missing_from(&kept.revocations);
        tracing::warn!(revocations = missing.len(), "the broker has lost revocations; writing back what this node remembers");
        for Revocation { at_ms, target } in missing {
            self.broker.revoke(target, RevokedAt::Ms(at_ms)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::{self, MemoryBroker};

    fn token(id: &str) -> RevocationTarget {
        RevocationTarget::Token { token_id: id.into() }
    }

    #[tokio::test]
    async fn as_many_wait_as_may_and_the_same_one_waits_once() {
        let (broker, registry) = (Arc::new(MemoryBroker::new(memory::Config::default())), Arc::<Registry>::default());
        let config = Config { revocations_pending_max: 2, ..Config::default() };
        let revoking = Revoking::new(broker.clone(), registry, config, Instant::now());
        for id in ["a", "b", "a"] {
            revoking.put_off(token(id), Instant::now()).unwrap();
        }
        assert_eq!(revoking.put_off(token("c"), Instant::now()), Err(QueueFull(2)));
        revoking.write_pending().await.unwrap();
        let written: Vec<_> = broker.revocations("").await.unwrap().revocations.into_iter().map(|it| it.target).collect();
        assert_eq!(written, [token("b"), token("a")]);
        assert!(revoking.put_off(token("c"), Instant::now()).is_ok());
    }

    #[tokio::test]
    async fn nobody_is_let_in_before_the_first_read() {
        let (broker, registry) = (Arc::new(MemoryBroker::new(memory::Config::default())), Arc::<Registry>::default());
        assert!(registry.is_informed(0).is_ok(), "a registry that nobody follows revocations for knows all of them");
        let config = Config { revocations_unread_max_ms: 5_000, ..Config::default() };
        let revoking = Revoking::new(broker, Arc::clone(&registry), config, Instant::now());
        let following = Arc::clone(&revoking).follow();
        assert!(registry.is_informed(1).is_err());
        drop(following);
        revoking.read(&mut String::new()).await.unwrap();
        assert!(registry.is_informed(1).is_ok() && registry.is_informed(5_000).is_ok());
        assert!(registry.is_informed(60_000).is_err(), "not after so long without a read");
    }
}
