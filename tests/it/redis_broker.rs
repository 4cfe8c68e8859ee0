//! What only Redis can do to a broker: foreign publishers, crashes, failovers, several nodes.

mod failures;
mod ingest;
mod installations;
mod keeping;
mod presence;
mod publishers;
mod quotas;
pub mod versions;

use std::sync::Arc;

use roomcast::broker::redis::{Config, RedisBroker};
use roomcast::broker::{AckLevel, Body, Broker, OrgEvent, PageLimit};
use roomcast::protocol::Position;

use crate::broker_contract::{Ear, publication, ready, syntax};
use crate::support::eventually;
use crate::support::redis::Redis;

const ALL: PageLimit = PageLimit { entries: 1_000, bytes: 1 << 20 };

/// Timeouts short enough for tests, with the relations of the defaults.
fn config(url: String) -> Config {
    Config { url, watchdog_interval_ms: 200, command_timeout_ms: 1_000, reconnect_pause_max_ms: 200, ..Config::default() }
}

fn start(config: Config, node_id: &str) -> Arc<RedisBroker> {
    RedisBroker::start(config, syntax(), node_id).unwrap()
}

async fn broker_on(redis: &Redis) -> Arc<RedisBroker> {
    let broker = start(config(redis.url()), "n1");
    ready(&*broker).await;
    broker
}

async fn publish(broker: &RedisBroker, room: &str, data: &str) -> Position {
    broker.publish(&publication(room, data), AckLevel::Primary).await.unwrap().position.unwrap()
}

/// Publishes until it works; the answer is the first position.
async fn publish_when_possible(broker: &RedisBroker, room: &str, data: &str) -> Position {
    eventually("publishing works again", || async { broker.publish(&publication(room, data), AckLevel::Primary).await.ok()?.position })
        .await
}

/// Publishes until the feed brings it: what is published before a subscription is back is for the log to tell.
async fn hears_again(broker: &RedisBroker, ear: &mut Ear, room: &str, data: &str) {
    eventually("the feed goes on", async || {
        broker.publish(&publication(room, data), AckLevel::Primary).await.ok()?;
        let heard = tokio::time::timeout(std::time::Duration::from_millis(300), ear.next()).await.ok()?;
        matches!(heard, OrgEvent::Entry(entry) if matches!(&entry.body, Body::Publication(read) if read.data[..] == *data.as_bytes()))
            .then_some(())
    })
    .await;
}
