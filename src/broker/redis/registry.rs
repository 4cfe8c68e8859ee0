//! What the cluster knows of its nodes: leases on their presence and their connections, notes between them.
//!
//! Everything is kept under a lease by Redis' own clock, so that a killed node leaves no ghosts. What a node holds it knows
//! by itself and asserts again with every renewal, so that Redis may lose it.

use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use redis::{RedisError, cmd};
use serde::Serialize;

use super::keys::Keys;
use super::link::Link;
use super::log::{odd_answer, read_error};
use super::scripts::{Function, VERSION};
use crate::broker::{ControlMessage, LeaseOutcome, NodeInfo, ReadError};
use crate::protocol::OrgId;

/// Renewals of connection counts that run at once.
const RENEWALS_MAX: usize = 64;

/// The connections that this node holds, per org.
pub(super) struct Counts {
    held: Mutex<Held>,
}

struct Held {
    by_org: HashMap<OrgId, u64>,
    /// Orders what this node says of itself, also across a restart under the same id.
    version: u64,
}

/// A count as it stood at one moment.
struct Count {
    held: u64,
    version: u64,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self { held: Mutex::new(Held { by_org: HashMap::new(), version: crate::clock::unix_ms() }) }
    }

    /// One more, unless this node alone holds `max`.
    fn take(&self, org: &OrgId, max: u64) -> Option<Count> {
        let mut held = self.held.lock();
        let count = held.by_org.get(org).copied().unwrap_or(0);
        if max > 0 && count >= max {
            return None;
        }
        held.by_org.insert(org.clone(), count + 1);
        Some(held.stamp(count + 1))
    }

    fn give_back(&self, org: &OrgId) -> Count {
        let mut held = self.held.lock();
        let count = held.by_org.get(org).copied().unwrap_or(0).saturating_sub(1);
        if count == 0 {
            held.by_org.remove(org);
        } else {
            held.by_org.insert(org.clone(), count);
        }
        held.stamp(count)
    }

    fn current(&self, org: &OrgId) -> Count {
        let mut held = self.held.lock();
        let count = held.by_org.get(org).copied().unwrap_or(0);
        held.stamp(count)
    }

    fn orgs(&self) -> Vec<OrgId> {
        self.held.lock().by_org.keys().cloned().collect()
    }
}

impl Held {
    fn stamp(&mut self, held: u64) -> Count {
        self.version += 1;
        Count { held, version: self.version }
    }
}

/// What a node says of itself: to people, and to the functions, which tell by it whose they should be.
#[derive(Serialize)]
struct Announcement<'a> {
    #[serde(flatten)]
    node: &'a NodeInfo,
    functions: u32,
}

/// The registry as one node uses it.
pub(super) struct Registry<'a> {
    pub(super) link: &'a Link,
    pub(super) keys: &'a Keys,
    pub(super) counts: &'a Counts,
    pub(super) node: &'a str,
    pub(super) lease_ms: u64,
}

impl Registry<'_> {
    pub(super) async fn lease(&self, org: &OrgId, max: u64) -> LeaseOutcome {
        let Some(count) = self.counts.take(org, max) else {
            return LeaseOutcome::Full;
        };
        // Only a clear "no" refuses: limits are not worth refusing everybody while Redis is away.
        if let Ok(false) = self.assert(org, &count, max).await {
            self.counts.give_back(org);
            return LeaseOutcome::Full;
        }
        LeaseOutcome::Granted
    }

    pub(super) async fn release(&self, org: &OrgId) {
        let count = self.counts.give_back(org);
        // What Redis does not hear now it hears with the next renewal, or forgets with the lease.
        let _ = self.assert(org, &count, 0).await;
    }

    async fn assert(&self, org: &OrgId, count: &Count, max: u64) -> Result<bool, RedisError> {
        let [version, held, max, lease] = [count.version, count.held, max, self.lease_ms].map(|number| number.to_string());
        let args = [self.node.as_bytes(), version.as_bytes(), held.as_bytes(), max.as_bytes(), lease.as_bytes()];
        self.link.call::<u8>(Function::Lease, &self.keys.connections(org), &args).await.map(|answer| answer == 1)
    }

    pub(super) async fn renew(&self, node: &NodeInfo) -> Result<(), ReadError> {
        let info = serde_json::to_string(&Announcement { node, functions: VERSION }).map_err(|_| odd_answer())?;
        let lease = self.lease_ms.to_string();
        let args = [node.id.as_bytes(), lease.as_bytes(), info.as_bytes()];
        self.link.call::<u64>(Function::Register, &self.keys.nodes(), &args).await.map_err(|error| read_error(&error))?;
        self.link.keep_functions().await;
        stream::iter(self.counts.orgs())
            .for_each_concurrent(RENEWALS_MAX, |org| async move {
                let count = self.counts.current(&org);
                // A lost renewal is made good by the next one, well within the lease.
                let _ = self.assert(&org, &count, 0).await;
            })
            .await;
        Ok(())
    }

    pub(super) async fn resign(&self, node_id: &str) {
        let args = [node_id.as_bytes(), b"0", b""];
        // Without Redis the lease runs out by itself.
        let _ = self.link.call::<u64>(Function::Register, &self.keys.nodes(), &args).await;
        for org in self.counts.orgs() {
            let count = Count { held: 0, version: self.counts.current(&org).version };
            let _ = self.assert(&org, &count, 0).await;
        }
    }

    pub(super) async fn nodes(&self) -> Result<Vec<NodeInfo>, ReadError> {
        let infos: Vec<String> = self.link.call(Function::Nodes, &self.keys.nodes(), &[]).await.map_err(|error| read_error(&error))?;
        Ok(infos.iter().filter_map(|info| serde_json::from_str(info).ok()).collect())
    }

    pub(super) async fn send_control(&self, to: Option<&str>, message: &ControlMessage) -> Result<(), ReadError> {
        let mut command = cmd("PUBLISH");
        command.arg(self.keys.control(to)).arg(&message.0[..]);
        self.link.query::<u64>(&command).await.map(|_| ()).map_err(|error| read_error(&error))
    }
}
