//! The hub: who is subscribed to what on this node, and the way of publications to their send queues.
//!
//! Each org with sessions has one task ([`org`]), which owns the org's router, its log tail and its members, so that nothing on
//! the hot path is locked or shared between orgs. Sessions reach it through an [`OrgLink`]; it never calls them back, it fills
//! their send queues. Publishing does not pass here: publications come in through the broker's feed, wherever they were made.

mod acknowledging;
mod acks;
mod ahead;
mod catch_up;
pub mod command;
pub mod config;
mod conflation;
mod effort;
pub mod explain;
mod fan_out;
pub mod frames;
pub mod history;
pub mod latest;
mod member;
mod narrowing;
mod org;
mod overtaking;
mod piece;
pub mod presence;
mod probing;
mod quota;
pub mod router;
mod routes;
pub mod send_queue;
mod service;
mod shelf;
pub mod sieve;
mod snapshots;
mod standing;
pub mod tail;
pub mod trace;
mod verdicts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use command::{OrgGone, OrgLink};
pub use config::{Config, Limits};
pub use send_queue::{NoSink, SendQueue, Sink};
pub use snapshots::Snapshots;

use crate::broker::{Broker, PageLimit, feed};
use crate::clock::unix_us;
use crate::limit::Quotas;
use crate::protocol::{OrgId, Pattern, Position, Publication, SessionId, Wire};
use crate::telemetry::counters::Counters;
use command::OrgCommand;
use explain::{Explained, Known, Verdict};
use history::Readers;
use latest::LatestValues;
use org::Org;
use probing::Schedule;
use trace::{Event, Place, Traces, What};

/// Orgs probed in one call to the broker.
const PROBE_ORGS_MAX: usize = 1_000;

/// The orgs that have sessions on this node.
pub struct Hub {
    config: Arc<Config>,
    limits: Limits,
    broker: Arc<dyn Broker>,
    counters: Arc<Counters>,
    orgs: Arc<Orgs>,
    shared: Shared,
    seeds: Mutex<SmallRng>,
    snapshots: Snapshots,
    readers: Arc<Readers>,
    latest: LatestValues,
}

/// What orgs share with each other and with the rest of the node.
#[derive(Clone)]
struct Shared {
    quotas: Arc<Quotas>,
    /// Reads of logs that may be under way. An org asks for one at a time and waits in order, so that each has its turn.
    reads: Arc<Semaphore>,
    presence: Arc<presence::Config>,
    traces: Arc<Traces>,
    /// The wall clock in Unix microseconds, by which the deadlines of publications are told.
    clock: fn() -> u64,
}

/// In the order of their names, so that whoever goes through them does so alike each time.
type Orgs = Mutex<BTreeMap<OrgId, mpsc::Sender<OrgCommand>>>;

impl Hub {
    /// `seed` makes the jitter of retries: different on every node, the same in a simulation that is run again.
    pub fn new(config: Config, limits: Limits, broker: Arc<dyn Broker>, counters: Arc<Counters>, seed: u64) -> Self {
        let seeds = Mutex::new(SmallRng::seed_from_u64(seed));
        let (snapshots, reads) = (Snapshots::new(Arc::clone(&broker)), Arc::new(Semaphore::new(config.reads_max)));
        let shared = Shared { quotas: Arc::default(), reads, presence: Arc::default(), traces: Arc::default(), clock: unix_us };
        let readers = Arc::new(Readers::new(config.history_reads_max));
        let page = PageLimit { entries: config.page_entries_max, bytes: config.page_bytes_max };
        let latest = LatestValues::new(Arc::clone(&broker), config.latest, page, Arc::clone(&readers));
        Self { config: Arc::new(config), limits, broker, counters, orgs: Arc::default(), shared, seeds, snapshots, readers, latest }
    }

    /// Holds orgs to these quotas; without them there are none.
    #[must_use]
    pub fn with_quotas(mut self, quotas: Arc<Quotas>) -> Self {
        self.shared.quotas = quotas;
        self
    }

    /// With other bounds and times of presence than the default ones.
    #[must_use]
    pub fn with_presence(mut self, config: presence::Config) -> Self {
        self.shared.presence = Arc::new(config);
        self
    }

    /// With another clock than the system's, which a simulated time needs.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> u64) -> Self {
        self.shared.clock = clock;
        self
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Pages of collections.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The last publications of rooms.
    pub fn latest(&self) -> &LatestValues {
        &self.latest
    }

    /// Makes a session known to its org. It gets nothing before it subscribes.
    ///
    /// # Errors
    /// [`OrgGone`] when the org's task ends again and again, which only a defect brings about.
    pub async fn attach(&self, org: &OrgId, session: SessionId, queue: &Arc<SendQueue>, wire: &Arc<dyn Wire>) -> Result<OrgLink, OrgGone> {
        // An org whose last session just left may be about to end; the next attempt finds a new task.
        for _ in 0..3 {
            let commands = self.commands(org);
            let (slot, taken) = oneshot::channel();
            let attach = OrgCommand::Attach { session, queue: Arc::clone(queue), wire: Arc::clone(wire), slot };
            if commands.send(attach).await.is_err() {
                continue;
            }
            if let Ok(slot) = taken.await {
                return Ok(OrgLink { org: org.clone(), slot, commands });
            }
        }
        Err(OrgGone)
    }

    fn commands(&self, org: &OrgId) -> mpsc::Sender<OrgCommand> {
        let mut orgs = self.orgs.lock();
        if let Some(commands) = orgs.get(org).filter(|commands| !commands.is_closed()) {
            return commands.clone();
        }
        let (commands, inbox) = mpsc::channel(self.config.commands_max);
        let task = Org::new(
            org.clone(),
            Arc::clone(&self.config),
            self.limits,
            Arc::clone(&self.broker),
            Arc::clone(&self.counters),
            self.shared.clone(),
            self.seeds.lock().random(),
        );
        tokio::spawn(task.run(inbox, feed::channel(self.config.events_max), Arc::clone(&self.orgs)));
        orgs.insert(org.clone(), commands.clone());
        commands
    }

    /// Subscribed patterns with the number of their sessions, of one org or of all on this node.
    pub async fn rooms(&self, only: Option<&OrgId>) -> Vec<(Pattern, usize)> {
        let orgs: Vec<_> = {
            let orgs = self.orgs.lock();
            orgs.iter().filter(|(org, _)| only.is_none_or(|only| only == *org)).map(|(_, commands)| commands.clone()).collect()
        };
        let mut rooms = Vec::new();
        for commands in orgs {
            let (reply, answer) = oneshot::channel();
            if commands.send(OrgCommand::Rooms(reply)).await.is_ok() {
                rooms.extend(answer.await.unwrap_or_default());
            }
        }
        rooms
    }

    /// What sessions of one org are subscribed to; those that are not on this node are left out.
    pub async fn subscriptions(&self, org: &OrgId, sessions: Vec<SessionId>) -> Vec<(SessionId, Vec<Pattern>)> {
        let Some(commands) = self.orgs.lock().get(org).cloned() else { return Vec::new() };
        let (reply, answer) = oneshot::channel();
        if commands.send(OrgCommand::Subscriptions { sessions, reply }).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// Notes whose session it is that entered an org.
    pub fn note_opened(&self, org: &OrgId, session: SessionId, user: &str) {
        if let Some(ring) = self.shared.traces.of(org) {
            ring.note(session, Place::default(), What::Opened { user: user.into() });
        }
    }

    /// The latest sessions of a user on this node that are remembered, those that ended among them.
    pub fn remembered(&self, org: &OrgId, user: &str, limit: usize) -> Vec<SessionId> {
        self.shared.traces.of(org).map(|ring| ring.sessions_of(user, limit)).unwrap_or_default()
    }

    /// Why sessions got a logged publication or did not, with what is remembered of them; those of which nothing is known are left out.
    pub async fn explain(
        &self,
        publication: &Arc<Publication>,
        at: Position,
        sessions: Vec<SessionId>,
    ) -> Vec<(SessionId, Explained, Vec<Event>)> {
        let org = publication.room.org();
        let known = self.standings(org, sessions, at).await;
        let ring = self.shared.traces.of(org);
        let explained = known.into_iter().filter_map(|known| {
            let events = ring.as_ref().map(|ring| ring.of_session(known.session)).unwrap_or_default();
            let explained = explain::explain(publication, at, &events, &known);
            (explained.verdict != Verdict::Forgotten).then_some((known.session, explained, events))
        });
        explained.collect()
    }

    async fn standings(&self, org: &OrgId, sessions: Vec<SessionId>, at: Position) -> Vec<Known> {
        // Of an org without a task nothing but what is remembered is known.
        let unknown: Vec<Known> = sessions.iter().map(|session| Known { session: *session, standing: None, ack: None }).collect();
        let Some(commands) = self.orgs.lock().get(org).cloned() else { return unknown };
        let (reply, answer) = oneshot::channel();
        if commands.send(OrgCommand::Standings { sessions, at, reply }).await.is_err() {
            return unknown;
        }
        answer.await.unwrap_or(unknown)
    }

    /// Orgs with a task on this node.
    pub fn orgs(&self) -> Vec<OrgId> {
        self.orgs.lock().keys().cloned().collect()
    }

    /// Compares the logs with what the orgs' tasks know, over and over, so that the loss of the last message before a silence
    /// is found too; orgs in which nothing happens are asked after ever more seldom. Runs until it is dropped.
    pub async fn probe(&self) {
        let mut interval = tokio::time::interval(Duration::from_millis(self.config.probe_interval_ms));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut schedule = Schedule::new(self.config.probe_interval_max_ms / self.config.probe_interval_ms);
        loop {
            interval.tick().await;
            let orgs = schedule.due(&self.orgs());
            for orgs in orgs.chunks(PROBE_ORGS_MAX) {
                // While the broker is away there is nothing to learn; the feed says "interrupted" when it is back.
                let Ok(newest) = self.broker.probe(orgs).await else { break };
                for (org, newest) in orgs.iter().zip(newest) {
                    schedule.note(org, newest);
                    let commands = self.orgs.lock().get(org).cloned();
                    if let Some(commands) = commands {
                        // A full inbox means that the org is busy; the next round will do.
                        let _ = commands.try_send(OrgCommand::Probed(newest));
                    }
                }
            }
        }
    }
}
