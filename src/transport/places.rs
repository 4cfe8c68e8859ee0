//! How many connections and sessions a node takes, whatever door they come by, and the tasks that run them.
//!
//! Every door asks here before it takes anybody in, and spawns here what it took in; the node closes all doors at once and waits until
//! they are empty.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::task::TaskTracker;

use crate::session::Registry;
use crate::telemetry::metrics;

/// Connections of this node; further ones are answered 503.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub connections_max: usize,
    /// Of those, the ones that have not shown credentials: whoever floods the node with such must not lock out the others.
    pub unauthenticated_max: usize,
}

/// The places of one node.
pub struct Places {
    bounds: Bounds,
    registry: Arc<Registry>,
    taken: TaskTracker,
    closed: AtomicBool,
}

impl Places {
    pub fn new(bounds: Bounds, registry: Arc<Registry>) -> Arc<Self> {
        Arc::new(Self { bounds, registry, taken: TaskTracker::new(), closed: AtomicBool::new(false) })
    }

    /// Takes nobody in from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.taken.close();
    }

    /// Waits until everybody has gone. Call [`Places::close`] first.
    pub async fn emptied(&self) {
        self.taken.wait().await;
    }

    /// Whether there is no place. Connections are counted from the handshake on, before they are sessions.
    pub fn is_full(&self, with_token: bool) -> bool {
        let open = self.taken.len();
        let unauthenticated = open.saturating_sub(self.registry.introduced());
        self.closed.load(Ordering::Acquire)
            || open >= self.bounds.connections_max
            || (!with_token && unauthenticated >= self.bounds.unauthenticated_max)
    }

    /// Runs a connection or session; it has its place until the task ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.taken.spawn(task);
    }
}

/// A session's place in the metrics.
pub struct Counted(());

impl Counted {
    pub fn begin() -> Self {
        metrics::sessions_opened().increment(1);
        metrics::sessions().increment(1.0);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::sessions().decrement(1.0);
    }
}
