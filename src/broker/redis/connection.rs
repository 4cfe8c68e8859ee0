//! One connection to Redis, whatever the installation, and what all users of connections need.
//!
//! `endpoint` makes connections, `link`, `pubsub` and `ingest` use them. Nothing here connects or retries.

use std::future::Future;
use std::time::Duration;

use rand::Rng;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Value};

/// First pause between attempts to connect again.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// A connection that many calls may share: clones lead to the same one.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Sends both commands in one go to the server that `key` belongs to, so that the second sees what the first did.
    pub(super) async fn query_both(&mut self, first: &Cmd, second: &Cmd, key: &str) -> RedisResult<Vec<Value>> {
        let mut pipeline = redis::pipe();
        pipeline.add_command(first.clone()).add_command(second.clone());
        match self {
            Self::Single(connection) => connection.req_packed_commands(&pipeline, 0, 2).await,
            Self::Cluster(connection) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                connection.route_pipeline(pipeline, 0, 2, route).await
            }
        }
    }

    /// Subscribes to topics of one server, or, in a Cluster, to topics whose slot is the same.
    pub(super) async fn subscribe(&mut self, topics: &[String]) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.subscribe(topics).await,
            Self::Cluster(connection) => connection.ssubscribe(topics).await,
        }
    }

    pub(super) async fn unsubscribe(&mut self, topics: &[String]) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.unsubscribe(topics).await,
            Self::Cluster(connection) => connection.sunsubscribe(topics).await,
        }
    }

    /// Subscribes to topics that every server of a Cluster passes on.
    pub(super) async fn subscribe_everywhere(&mut self, topics: &[String]) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.subscribe(topics).await,
            Self::Cluster(connection) => connection.subscribe(topics).await,
        }
    }
}

/// `future`, or a timeout error.
pub(super) async fn within<T>(timeout: Duration, future: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    tokio::time::timeout(timeout, future)
        .await
        .unwrap_or_else(|_| Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))))
}

/// What went wrong, for people, on one line and of bounded length.
pub(super) fn reason(error: &RedisError) -> String {
    error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// Pauses between attempts: doubling up to a maximum, with jitter so that nodes do not come back in step.
pub(super) struct Pause {
    next: Duration,
    max: Duration,
}

impl Pause {
    pub(super) fn up_to(max: Duration) -> Self {
        Self { next: PAUSE_MIN, max: max.max(PAUSE_MIN) }
    }

    pub(super) async fn wait(&mut self) {
        let share = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(self.next.mul_f64(share)).await;
        self.next = (self.next * 2).min(self.max);
    }
}
