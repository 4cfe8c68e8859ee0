//! Moving sessions to nodes that have fewer, and after a long time anyway: what a drain does to all sessions of a node, done to a few.
//!
//! The node runs [`run`] beside its connections. Each round [`scales`] weighs the node's sessions against those of the others, which the
//! registry of nodes tells, and some of the oldest are asked to come back elsewhere; those beyond their [`age`] are asked in any case. A
//! session that is asked is closed with 4000, comes back through the load balancer, and resumes. Nothing here chooses where it goes.

mod age;
pub mod config;
mod scales;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

pub use config::Config;

use self::scales::{Scales, Weighed};
use crate::api::Phase;
use crate::broker::{Broker, Health};
use crate::clock::unix_ms;
use crate::limit::Bucket;
use crate::protocol::{Close, CloseCode};
use crate::session::Registry;
use crate::session::registry::Entry;
use crate::telemetry::metrics::{self, MoveReason};

/// How often sessions are asked: so that they go one after another.
const TICK_MS: u64 = 100;

/// What is moved, and what tells the nodes of each other.
pub struct Parts {
    pub config: Config,
    /// The id of this node, as it is registered.
    pub node: String,
    pub registry: Arc<Registry>,
    pub broker: Arc<dyn Broker>,
    pub phase: Arc<Phase>,
}

/// Asks sessions to move until the node drains, which asks all of them.
pub async fn run(parts: Parts) {
    let mut movement = Movement::new(parts);
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if movement.parts.phase.is_draining() {
            return;
        }
        if movement.parts.config.enabled && movement.now_ms() >= movement.round_at_ms {
            movement.begin_round().await;
        }
        // A node that hears nothing of its orgs would send away whoever comes back to it.
        if movement.parts.broker.health() == Health::Ready {
            movement.ask_in_turn();
            movement.ask_the_old();
        }
    }
}

/// Where this node is with its moves.
struct Movement {
    parts: Parts,
    started: Instant,
    /// Bounds all that is asked, for whatever reason.
    bucket: Bucket,
    scales: Scales,
    round: Round,
    round_at_ms: u64,
}

impl Movement {
    fn new(parts: Parts) -> Self {
        let config = &parts.config;
        Self {
            started: Instant::now(),
            bucket: Bucket::new(config.rate(), 0),
            scales: Scales::new(config.clone(), &parts.node),
            round: Round::default(),
            // Nodes that start together do not ask together.
            round_at_ms: rand::random_range(0..config.round_ms),
            parts,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn begin_round(&mut self) {
        let nodes = self.parts.broker.nodes().await.ok();
        let (config, now_ms) = (&self.parts.config, self.now_ms());
        let weighed = self.scales.weigh(self.parts.registry.len() as u64, nodes.as_deref(), self.round.asked, now_ms);
        self.round.tell(&weighed);
        self.round = Round { left: weighed.ask, asked: 0, until_ms: now_ms + config.asking_ms(), weighed: Some(weighed) };
        self.round_at_ms = now_ms + config.round_ms;
    }

    /// Asks those who are due of what the round has to ask: the oldest first, because they stay where they go, and so that nobody is asked twice
    /// before everybody else was once.
    fn ask_in_turn(&mut self) {
        let due = self.round.due(self.now_ms());
        let before_ms = unix_ms().saturating_sub(self.parts.config.settle_ms);
        for entry in self.parts.registry.oldest(due, before_ms, is_at_rest) {
            if self.ask(&entry, MoveReason::Balance) {
                (self.round.left, self.round.asked) = (self.round.left - 1, self.round.asked + 1);
            }
        }
    }

    fn ask_the_old(&mut self) {
        let (config, unix_ms) = (&self.parts.config, unix_ms());
        let Some(least_ms) = age::least_ms(config) else { return };
        let is_old = |entry: &Entry| {
            let age_ms = unix_ms.saturating_sub(entry.connected_at_ms);
            !entry.queue.is_closed() && age::limit_ms(config, entry.id).is_some_and(|limit_ms| age_ms >= limit_ms)
        };
        let most = config.rate().burst as usize;
        for entry in self.parts.registry.oldest(most, unix_ms.saturating_sub(least_ms), is_old) {
            self.ask(&entry, MoveReason::Age);
        }
    }

    /// As a drain does: what waits for the session is written first, and what it misses it gets where it resumes. Whether there was time for it.
    fn ask(&mut self, entry: &Entry, reason: MoveReason) -> bool {
        let (now_ms, config) = (self.now_ms(), &self.parts.config);
        if self.bucket.take(config.rate(), now_ms).is_err() {
            return false;
        }
        let wait_ms = rand::random_range(0..=config.retry_after_ms_max());
        entry.queue.close(Close::new(CloseCode::Drain).retry_after_ms(wait_ms));
        metrics::moves_asked(reason).increment(1);
        tracing::debug!(session = %entry.id, ?reason, "asking a session to move");
        true
    }
}

/// Whoever is in the middle of something else is left out while there are others.
fn is_at_rest(entry: &Entry) -> bool {
    entry.principal().is_some() && !entry.queue.is_closed() && entry.queue.is_empty()
}

/// What is left to do in a round.
#[derive(Default)]
struct Round {
    left: u64,
    asked: u64,
    until_ms: u64,
    weighed: Option<Weighed>,
}

impl Round {
    /// Sessions to be asked in the tick at hand, so that they are spread over the time that is left.
    fn due(&self, now_ms: u64) -> usize {
        let ticks = self.until_ms.saturating_sub(now_ms) / TICK_MS;
        // Nobody is asked in the last part of a round, which shows where those went who were.
        if ticks == 0 { 0 } else { self.left.div_ceil(ticks) as usize }
    }

    /// Tells what is new with the next round.
    fn tell(&self, next: &Weighed) {
        metrics::sessions_excess().set(next.excess.unwrap_or_default().max(0.0).floor());
        metrics::moves_paused().set(if next.pause_ms.is_some() { 1.0 } else { 0.0 });
        let before = self.weighed.unwrap_or(Weighed::UNKNOWN);
        if let (None, Some(pause_ms)) = (before.pause_ms, next.pause_ms) {
            tracing::warn!(pause_ms, "sessions that were asked to move came back to this node; nobody is asked for a while");
        }
        if before.ask == 0 && next.ask > 0 {
            let excess = next.excess.unwrap_or_default() as u64;
            tracing::info!(excess, "this node has more sessions than the others and asks some to move");
        }
        if before.ask > 0 && next.ask == 0 && next.excess.is_some() && next.pause_ms.is_none() {
            tracing::info!("this node has as many sessions as the others");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_round_asks_is_spread_over_its_first_part_and_nobody_is_asked_behind_it() {
        let mut round = Round { left: 25, until_ms: 1_000, ..Round::default() };
        let mut each = Vec::new();
        for now_ms in (0..1_500).step_by(100) {
            let due = round.due(now_ms);
            round.left -= due as u64;
            each.push(due);
        }
        assert_eq!(each, [3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0]);
    }
}
