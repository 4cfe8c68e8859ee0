//! One node's broker: the way to the store, which may be cut, slow, or fail for once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::Rng;
use roomcast::broker::{
    AckLevel, Broker, ControlMessage, Feed, Health, LeaseOutcome, LogState, NodeInfo, OrgEvent, Page, PageLimit, PublishError, Published,
    ReadError, Revocation, RevocationNews, RevocationTarget, RevokedAt,
};
use roomcast::protocol::{NewPublication, OrgId, Position};
use tokio::sync::mpsc;

use super::store::Store;

/// How often a call is lost on its way, and how often its answer is.
const LOST: f64 = 0.03;
/// The longest that a read takes, in which other things happen.
const LATENCY_MAX_US: u64 = 3_000;

pub struct SimBroker {
    pub store: Arc<Store>,
    pub node: usize,
    /// Which life of the node this broker belongs to.
    pub life: u32,
}

impl SimBroker {
    /// Passes a call, or the answer to it, over the network. The calls of a node that was killed never return.
    pub async fn pass(&self) -> Result<(), ReadError> {
        let (dead, lost) = {
            let mut inner = self.store.inner.lock();
            let lost = inner.flaky && inner.rng.random_bool(LOST);
            let way = &inner.nodes[self.node];
            (way.life != self.life, way.cut || lost)
        };
        if dead {
            std::future::pending::<()>().await;
        }
        if lost { Err(ReadError::Unavailable("the call is lost".into())) } else { Ok(()) }
    }

    pub async fn take_time(&self) {
        let latency_us = self.store.inner.lock().rng.random_range(0..LATENCY_MAX_US);
        tokio::time::sleep(Duration::from_micros(latency_us)).await;
    }

    fn is_alive(&self) -> bool {
        self.store.inner.lock().nodes[self.node].life == self.life
    }
}

#[async_trait]
impl Broker for SimBroker {
    async fn publish(&self, publication: &NewPublication, _ack: AckLevel) -> Result<Published, PublishError> {
        let unavailable = |error: ReadError| PublishError::Unavailable(error.to_string());
        self.pass().await.map_err(unavailable)?;
        self.store.inner.lock().calls.publishes += 1;
        let (position, duplicate) = if publication.log {
            let (position, duplicate) = self.store.publish(publication);
            (Some(position), duplicate)
        } else {
            self.store.fan_out(publication);
            (None, false)
        };
        self.pass().await.map_err(unavailable)?;
        Ok(Published { position, duplicate })
    }

    async fn open(&self, org: &OrgId) -> Result<LogState, ReadError> {
        self.pass().await?;
        self.store.fence_if_due(org);
        self.store.inner.lock().calls.opens += 1;
        let state = self.store.inner.lock().logs[org].state().unwrap();
        self.take_time().await;
        self.pass().await?;
        Ok(state)
    }

    async fn read(&self, org: &OrgId, from_seq: u64, limit: PageLimit) -> Result<Page, ReadError> {
        self.pass().await?;
        self.take_time().await;
        self.store.inner.lock().calls.reads += 1;
        let page = self.store.page(org, from_seq, limit.entries);
        self.take_time().await;
        self.pass().await?;
        Ok(page)
    }

    async fn probe(&self, orgs: &[OrgId]) -> Result<Vec<Option<Position>>, ReadError> {
        self.pass().await?;
        let mut inner = self.store.inner.lock();
        inner.calls.probes += orgs.len() as u64;
        Ok(orgs.iter().map(|org| inner.logs.get(org).and_then(|log| log.last)).collect())
    }

    async fn join(&self, org: &OrgId, feed: Feed) {
        if self.is_alive() {
            feed.send(OrgEvent::Interrupted);
            self.store.inner.lock().nodes[self.node].feeds.insert(org.clone(), feed);
        }
    }

    async fn leave(&self, org: &OrgId) {
        if self.is_alive() {
            self.store.inner.lock().nodes[self.node].feeds.remove(org);
        }
    }

    async fn orgs(&self, _limit: usize) -> Result<Vec<OrgId>, ReadError> {
        Ok(Vec::new())
    }

    async fn lease_connection(&self, _org: &OrgId, _max: u64) -> LeaseOutcome {
        LeaseOutcome::Granted
    }

    async fn release_connection(&self, _org: &OrgId) {}

    async fn renew(&self, _node: &NodeInfo) -> Result<(), ReadError> {
        Ok(())
    }

    async fn resign(&self, _node_id: &str) {}

    async fn nodes(&self) -> Result<Vec<NodeInfo>, ReadError> {
        Ok(Vec::new())
    }

    async fn send_control(&self, _to: Option<&str>, _message: ControlMessage) -> Result<(), ReadError> {
        Ok(())
    }

    fn control(&self) -> mpsc::Receiver<ControlMessage> {
        mpsc::channel(1).1
    }

    async fn revoke(&self, target: RevocationTarget, _at: RevokedAt) -> Result<Revocation, ReadError> {
        Ok(Revocation { at_ms: 0, target })
    }

    async fn revocations(&self, _cursor: &str) -> Result<RevocationNews, ReadError> {
        Ok(RevocationNews::default())
    }

    async fn ping(&self) -> Result<Duration, ReadError> {
        Ok(Duration::ZERO)
    }

    fn health(&self) -> Health {
        Health::Ready
    }
}

#[async_trait]
impl roomcast::broker::quota::QuotaStore for SimBroker {
    async fn set_quota(&self, _org: &OrgId, _quota: &roomcast::limit::Quota) -> Result<(), ReadError> {
        Ok(())
    }
}
