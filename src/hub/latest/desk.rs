//! The task that answers for one org: all who ask at the same time from one look at the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::books::Books;
use super::index::Index;
use super::{Config, Outcome, Wish};
use crate::broker::{Broker, PageLimit};
use crate::clock::unix_us;
use crate::hub::history::Readers;
use crate::protocol::OrgId;
use crate::telemetry::metrics;

/// Asks answered from one look at the log; more wait for the next one.
pub const ASKS_MAX: usize = 1_024;
/// Asks answered before other tasks get their turn.
const ASKS_A_TURN: usize = 32;

/// A session that wants to know how rooms stand.
pub struct Ask {
    pub wishes: Vec<Wish>,
    pub reply: oneshot::Sender<Outcome>,
}

pub struct Desk {
    pub(super) org: OrgId,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) limit: PageLimit,
    pub(super) readers: Arc<Readers>,
    pub(super) index: Index,
    config: Config,
    /// What it contributes to the gauges: publications, bytes.
    counted: (usize, usize),
}

impl Desk {
    pub fn new(org: OrgId, broker: Arc<dyn Broker>, config: Config, limit: PageLimit, readers: Arc<Readers>) -> Self {
        Self { org, broker, limit, readers, index: Index::new(config), config, counted: (0, 0) }
    }

    /// Answers until nobody has asked for a while, or its place is needed for others.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Ask>, books: Arc<Books>) {
        let (idle, pace) = (Duration::from_millis(self.config.idle_ms), Duration::from_millis(self.config.pace_ms));
        let mut asks = Vec::new();
        let mut next_look = Instant::now();
        loop {
            match timeout(idle, inbox.recv_many(&mut asks, ASKS_MAX)).await {
                Ok(0) => return,
                Err(_) if books.close(&self.org, &inbox) => return,
                Ok(_) | Err(_) => {}
            }
            if asks.is_empty() {
                continue;
            }
            sleep_until(next_look).await;
            while asks.len() < ASKS_MAX
                && let Ok(ask) = inbox.try_recv()
            {
                asks.push(ask);
            }
            next_look = Instant::now() + pace;
            let looked = self.look().await;
            self.answer(&mut asks, &looked).await;
            self.count();
            books.keep(&self.org, self.index.bytes());
        }
    }

    async fn answer(&self, asks: &mut Vec<Ask>, looked: &Result<(), crate::broker::ReadError>) {
        let (mut known, now_us) = (HashMap::<Vec<Wish>, Outcome>::new(), unix_us());
        for (number, Ask { wishes, reply }) in asks.drain(..).enumerate() {
            // Many a page has the same subscriptions as all the others of its kind.
            let outcome = known.entry(wishes).or_insert_with_key(|wishes| match (looked, self.index.at()) {
                (Ok(()), Some(at)) => Ok((Arc::new(self.index.select(wishes, now_us)), at)),
                (Ok(()), None) => Err(super::gone()),
                (Err(error), _) => Err(error.clone()),
            });
            // Whoever went away needs no answer.
            let _ = reply.send(outcome.clone());
            if number % ASKS_A_TURN == ASKS_A_TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn count(&mut self) {
        let now = (self.index.publications(), self.index.bytes());
        metrics::latest_publications().increment(now.0 as f64 - self.counted.0 as f64);
        metrics::latest_bytes().increment(now.1 as f64 - self.counted.1 as f64);
        self.counted = now;
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        metrics::latest_publications().decrement(self.counted.0 as f64);
        metrics::latest_bytes().decrement(self.counted.1 as f64);
    }
}
