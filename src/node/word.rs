//! What a node says of itself, and that it goes on saying it.
//!
//! The node spawns [`keep_registered`] at its start. Other nodes learn from the registry whom to ask, and how many sessions everybody has.

use std::sync::Arc;
use std::time::Duration;

use crate::api::Phase;
use crate::broker::{Broker, Health, NodeInfo};
use crate::clock::unix_ms;
use crate::session::Registry;
use crate::telemetry::metrics;

/// How often a node renews its leases: a third of how long they last.
const RENEW_INTERVAL: Duration = Duration::from_millis(3_000);
/// And how soon when it could not.
const RENEW_AGAIN: Duration = Duration::from_millis(250);
/// How often it does at least in one of the rounds in which nodes compare themselves, so that each has heard of all others in between.
const WORDS_PER_ROUND: u32 = 5;

/// What a node says of itself now.
pub(super) fn word(info: &NodeInfo, registry: &Registry, phase: &Phase) -> NodeInfo {
    NodeInfo { sessions: registry.len() as u64, said_at_ms: unix_ms(), draining: phase.is_draining(), ..info.clone() }
}

/// Says it over and over, at least [`WORDS_PER_ROUND`] times in `round_ms`, and renews the node's leases with it.
pub(super) async fn keep_registered(broker: Arc<dyn Broker>, registry: Arc<Registry>, info: NodeInfo, phase: Arc<Phase>, round_ms: u64) {
    let mut interval = tokio::time::interval(RENEW_INTERVAL.min(Duration::from_millis(round_ms) / WORDS_PER_ROUND));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_registered = false;
    loop {
        // Until the others know of it, a node that starts tries as soon as it can.
        while !is_registered && broker.health() != Health::Ready {
            tokio::time::sleep(super::BROKER_POLL).await;
        }
        interval.tick().await;
        let mut waiting = 0;
        registry.visit(|entry| waiting += entry.queue.bytes());
        metrics::send_queue_bytes().set(waiting as f64);
        metrics::broker_ready().set(if broker.health() == Health::Ready { 1.0 } else { 0.0 });
        // The broker reports its own health; the lease is renewed as soon as it is back, because who is not registered is not asked.
        match broker.renew(&word(&info, &registry, &phase)).await {
            Ok(()) => is_registered = true,
            Err(_) => interval.reset_after(RENEW_AGAIN),
        }
    }
}
