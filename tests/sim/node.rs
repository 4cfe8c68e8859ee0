//! One node of a history: a hub over its way to the store, killed and started again.

use std::sync::Arc;

use roomcast::hub::config::AcksConfig;
use roomcast::hub::{Config, Hub, Limits, presence};
use roomcast::telemetry::counters::Counters;
use tokio::task::JoinHandle;

use super::broker::SimBroker;
use super::clock;
use super::store::Store;

pub const NODES: usize = 3;
/// Short, so that leases run out within a history; a message holds two or three members, so that rooms are told in parts.
pub const PRESENCE: presence::Config = presence::Config {
    lease_ms: 3_000,
    linger_ms: 1_500,
    batch_ms: 100,
    members_max: 1_000,
    rooms_per_session_max: 8,
    watched_rooms_max: 100,
    message_bytes_max: 200,
};

/// Short, so that deadlines pass within a history.
pub const ACKS: AcksConfig = AcksConfig {
    redelivery_ms: 200,
    redeliveries_max: 3,
    outstanding_max: 256,
    publications_max: 1_000,
    publications_bytes_max: 8 << 20,
    report_interval_ms: 250,
    settle_after_ms: 500,
};

pub struct Node {
    pub hub: Arc<Hub>,
    store: Arc<Store>,
    index: usize,
    life: u32,
    seed: u64,
    prober: JoinHandle<()>,
}

impl Node {
    pub fn start(store: &Arc<Store>, index: usize, seed: u64) -> Self {
        Self::begin(store, index, 0, seed)
    }

    /// Those of one store, whose jitter comes from one seed.
    pub fn start_all(store: &Arc<Store>, seed: u64) -> Vec<Self> {
        (0..NODES).map(|index| Self::start(store, index, seed)).collect()
    }

    fn begin(store: &Arc<Store>, index: usize, life: u32, seed: u64) -> Self {
        let broker = Arc::new(SimBroker { store: Arc::clone(store), node: index, life });
        let config = Config {
            tail_bytes_max: 6_000,
            page_entries_max: 7,
            events_max: 8,
            probe_interval_ms: 500,
            probe_interval_max_ms: 1_000,
            linger_ms: 2_000,
            acks: ACKS,
            ..Config::default()
        };
        let limits = Limits { subscriptions_max: 16, room_members_max: 1_000 };
        let jitter = seed ^ index as u64 ^ u64::from(life) << 8;
        let hub = Arc::new(
            Hub::new(config, limits, broker, Arc::<Counters>::default(), jitter).with_presence(PRESENCE).with_clock(clock::now_us),
        );
        let probed = Arc::clone(&hub);
        let prober = tokio::spawn(async move { probed.probe().await });
        Self { hub, store: Arc::clone(store), index, life, seed, prober }
    }

    /// It is killed, and started again with nothing.
    pub fn restart(&mut self) {
        self.prober.abort();
        let life = self.store.restart(self.index);
        *self = Self::begin(&self.store, self.index, life, self.seed);
    }

    /// A backend's or a session's way to the store, through this node.
    pub fn broker(&self) -> SimBroker {
        SimBroker { store: Arc::clone(&self.store), node: self.index, life: self.life }
    }
}
