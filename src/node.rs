//! One gateway process: wires the parts, serves, drains.
//!
//! `cli::serve` and the tests start nodes; nothing else does. All that runs beside the connections is spawned here.

mod word;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::word::{keep_registered, word};
use crate::api::{self, Cluster, Phase};
use crate::auth::{Authenticator, ConfigFault, Verifier};
use crate::balance;
use crate::broker::memory::{self, MemoryBroker};
use crate::broker::redis::{self, Ingest, RedisBroker};
use crate::broker::{Broker, Health, NodeInfo};
use crate::clock::unix_ms;
use crate::config::Config;
use crate::config::broker::Kind;
use crate::hub::{self, Hub};
use crate::limit::{Quotas, Rate};
use crate::protocol::{Close, CloseCode, SessionId};
use crate::session::{self, Registry, Revoking, machine::Rules};
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics;
use crate::transport::http_session;
use crate::transport::listener::{self, BindError, Listener};
use crate::transport::places::{Bounds, Places};
use crate::transport::websocket::Door;
use crate::transport::websocket::door::Dialects;
use crate::transport::websocket::origin::NotAnOrigin;
use crate::web;

/// Sessions closed at once while draining.
const DRAIN_STEP_MS: u64 = 50;

/// A running node.
pub struct Node {
    config: Config,
    info: NodeInfo,
    address: SocketAddr,
    internal_address: SocketAddr,
    places: Arc<Places>,
    registry: Arc<Registry>,
    revoking: Arc<Revoking>,
    broker: Arc<dyn Broker>,
    ingest: Option<Ingest>,
    phase: Arc<Phase>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Why a node did not start, for people.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("auth: {0}")]
    Auth(#[from] ConfigFault),
    #[error("broker.redis: {0}")]
    Redis(#[from] redis::ConfigError),
    #[error("websocket.allowed_origins: {0}")]
    Origin(#[from] NotAnOrigin),
    #[error("dialects.anonymous: {0}")]
    Guest(String),
    #[error("api.allowed_origins: {0}")]
    ApiOrigin(NotAnOrigin),
    #[error("{address} can be reached from elsewhere, and no key is configured: set auth.secret, auth.keys or auth.jwks.url")]
    NoKeys { address: SocketAddr },
    #[error("the operating system gives no randomness for a development key")]
    NoRandomness,
}

impl Node {
    /// Binds, wires and serves. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`], before anything is served.
    pub async fn start(mut config: Config, id: String) -> Result<Self, StartError> {
        provide_keys(&mut config)?;
        let public = Listener::bind(config.server.clone())?;
        let internal = Listener::bind(listener::Config { address: config.internal.listen, ..listener::Config::default() })?;
        let (address, internal_address) = (public.local_addr(), internal.local_addr());
        let info = NodeInfo {
            id,
            address: address.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: unix_ms(),
            ..NodeInfo::default()
        };
        let (broker, ingest) = start_broker(&config, &info.id)?;
        let counters = Arc::<Counters>::default();
        let limits = hub::Limits {
            subscriptions_max: config.limits.subscriptions_per_session_max + OWN_ROOMS,
            room_members_max: config.limits.members_per_room_max,
        };
        let hub = Hub::new(config.hub.clone(), limits, Arc::clone(&broker), Arc::clone(&counters), rand::random());
        let quotas = Arc::new(Quotas::new(config.quotas.clone()));
        let hub = Arc::new(hub.with_quotas(Arc::clone(&quotas)).with_presence(config.presence.clone()));
        let registry = Arc::<Registry>::default();
        let verifier = Arc::new(Verifier::new(&config.auth, config.rooms.syntax())?);
        let events = config.rooms.event_rules(config.dialects.events());
        let rules = Arc::new(Rules { syntax: config.rooms.syntax(), events });
        let started = Instant::now();
        let revoking = Revoking::new(Arc::clone(&broker), Arc::clone(&registry), config.session.clone(), started);
        let parts = Arc::new(session::Parts {
            hub: Arc::clone(&hub),
            broker: Arc::clone(&broker),
            verifier: Arc::clone(&verifier),
            registry: Arc::clone(&registry),
            quotas: Arc::clone(&quotas),
            rules: Arc::clone(&rules),
            settings: settings(&config),
            counters: Arc::clone(&counters),
            alarms: session::Alarms::start(started),
            started,
        });
        let phase = Arc::<Phase>::default();
        // A shorter time for signs of life is no reason to refuse a configuration that says nothing of polls.
        let poll_wait_ms = config.http.poll_wait_ms.min(config.limits.stale_after_ms / 2);
        let http = http_session::Config { poll_wait_ms, ..config.http.clone() };
        let http_sessions = http_session::Sessions::new(&info.id, http.clone());
        let api = Arc::new(api::Parts {
            node: info.clone(),
            config: config.api.clone(),
            hub: Arc::clone(&hub),
            broker: Arc::clone(&broker),
            registry: Arc::clone(&registry),
            revoking: Arc::clone(&revoking),
            rules,
            authenticator: Arc::new(Authenticator::new(&config.auth.api_keys, Arc::clone(&verifier))?),
            counters,
            http_sessions: Arc::clone(&http_sessions),
            cluster: Cluster::default(),
            phase: Arc::clone(&phase),
            started,
        });
        let bounds =
            Bounds { connections_max: config.limits.connections_per_node_max, unauthenticated_max: config.limits.unauthenticated_max() };
        let places = Places::new(bounds, Arc::clone(&registry));
        let guest = config.dialects.guest(&config.rooms.syntax()).map_err(StartError::Guest)?;
        let dialects = Dialects { enabled: config.dialects.dialects().collect(), guest: guest.map(Arc::new) };
        let door = Door::new(config.websocket.clone(), &dialects, Arc::clone(&parts), Arc::clone(&places))?;
        let carry = api::cluster::errand::carrier(Arc::clone(&api));
        let websocket = config.websocket.clone();
        let http_door = http_session::Door::new(http, websocket, parts, Arc::clone(&places), http_sessions, carry)?;
        let node = Self {
            config,
            info,
            address,
            internal_address,
            places,
            registry,
            revoking,
            broker,
            ingest,
            phase: Arc::clone(&phase),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        node.spawn_keepers(hub, quotas);
        // Given a moment, the broker is there before the first clients, which else would be turned away. A node comes up without
        // it all the same, but it has not started: a rolling update with a wrong address must not go on.
        let contact = tokio::spawn(node.stop.clone().run_until_cancelled_owned(first_contact(
            Arc::clone(&node.broker),
            Arc::clone(&node.registry),
            phase,
        )));
        if tokio::time::timeout(BROKER_WAIT, contact).await.is_err() {
            let health = node.broker.health();
            tracing::warn!(?health, "the broker is not reachable; serving without it until it is");
        }
        let routes = door.router().merge(http_door.router());
        let routes = routes.merge(api::router(Arc::clone(&api)).map_err(StartError::ApiOrigin)?).merge(web::router());
        let public = public.with_shortcut(Box::new(move |stream, peer, limits| door.shortcut(stream, peer, limits)));
        node.tasks.spawn(public.serve(routes, node.stop.clone()));
        node.tasks.spawn(internal.serve(api::internal_router(Arc::clone(&api)), node.stop.clone()));
        node.spawn(api::cluster::answer_notes(api));
        Ok(node)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where probes and metrics are.
    pub fn internal_address(&self) -> SocketAddr {
        self.internal_address
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The planned shutdown: goes unready, serves on until load balancers have noticed, then sends the sessions away one after
    /// another, each with a wait of its own, and stops.
    pub async fn drain(self) {
        let drain = self.config.drain.clone();
        self.phase.note_draining();
        tracing::info!(sessions = self.registry.len(), "draining");
        let (broker, word) = (Arc::clone(&self.broker), word(&self.info, &self.registry, &self.phase));
        // So that other nodes ask nobody to move meanwhile. What they do not hear now they hear with the next renewal.
        self.spawn(async move { drop(broker.renew(&word).await) });
        let whole = async {
            tokio::time::sleep(Duration::from_millis(drain.announce_ms)).await;
            self.places.close();
            self.send_away(drain.spread_ms, drain.retry_after_ms_max).await;
            self.places.emptied().await;
        };
        if tokio::time::timeout(Duration::from_millis(drain.deadline_ms), whole).await.is_err() {
            tracing::warn!(sessions = self.registry.len(), "the drain ran out of time");
        }
        if let Some(ingest) = self.ingest {
            ingest.stop().await;
        }
        if let Err(pending) = self.revoking.write_pending().await {
            tracing::error!(pending, "the broker is away, so other nodes never hear of these revocations: revoke again");
        }
        self.broker.resign(&self.info.id).await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        tracing::info!("stopped");
    }

    /// Spreads the closes evenly over `spread_ms`.
    async fn send_away(&self, spread_ms: u64, retry_after_ms_max: u64) {
        let steps = (spread_ms / DRAIN_STEP_MS).max(1);
        let per_step = self.registry.len().div_ceil(usize::try_from(steps).unwrap_or(usize::MAX)).max(1);
        let mut after: Option<SessionId> = None;
        loop {
            let sessions = self.registry.list(after, per_step, |_| true);
            let Some(last) = sessions.last() else { return };
            after = Some(last.id);
            for session in &sessions {
                let wait_ms = rand::random_range(0..=retry_after_ms_max);
                session.queue.close(Close::new(CloseCode::Drain).retry_after_ms(wait_ms));
            }
            tokio::time::sleep(Duration::from_millis(DRAIN_STEP_MS)).await;
        }
    }

    fn spawn_keepers(&self, hub: Arc<Hub>, quotas: Arc<Quotas>) {
        let (broker, registry) = (Arc::clone(&self.broker), Arc::clone(&self.registry));
        self.spawn(async move { hub.probe().await });
        self.spawn(Arc::clone(&self.revoking).follow());
        self.spawn(keep_quotas(Arc::clone(&broker), quotas));
        let balance = balance::Parts {
            config: self.config.balance.clone(),
            node: self.info.id.clone(),
            registry: Arc::clone(&registry),
            broker: Arc::clone(&broker),
            phase: Arc::clone(&self.phase),
        };
        self.spawn(balance::run(balance));
        self.spawn(keep_registered(broker, registry, self.info.clone(), Arc::clone(&self.phase), self.config.balance.round_ms));
        self.spawn(metrics::upkeep());
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

/// Every session's own subscriptions, to its org and its user, do not count against the limit.
const OWN_ROOMS: usize = 2;
/// How long a node that starts waits for its broker, and how often it looks.
const BROKER_WAIT: Duration = Duration::from_secs(3);
const BROKER_POLL: Duration = Duration::from_millis(10);
/// How often the broker is told the quotas of orgs that have their own, and how soon again when it could not be told.
const QUOTAS_INTERVAL: Duration = Duration::from_secs(60);
const QUOTAS_RETRY: Duration = Duration::from_millis(500);

/// Without any key a node makes one up, but only where nobody else can reach it.
fn provide_keys(config: &mut Config) -> Result<(), StartError> {
    if config.auth.has_keys() {
        return Ok(());
    }
    let address = config.server.address;
    if !address.ip().is_loopback() && !config.node.dev {
        return Err(StartError::NoKeys { address });
    }
    let development = crate::auth::Config::development().map_err(|_| StartError::NoRandomness)?;
    config.auth.secret = development.secret;
    config.node.dev = true;
    Ok(())
}

/// The configured broker, and with Redis the consumers of the ingest stream.
fn start_broker(config: &Config, node_id: &str) -> Result<(Arc<dyn Broker>, Option<Ingest>), StartError> {
    match config.broker.kind {
        Kind::Memory => {
            let memory = memory::Config { quota: config.quotas.default, ..config.broker.memory.clone() };
            Ok((Arc::new(MemoryBroker::new(memory)), None))
        }
        Kind::Redis => {
            let redis = redis::Config {
                quota: config.quotas.default,
                calls_per_org_max: config.quotas.broker_calls_per_org_max,
                ..config.broker.redis.clone()
            };
            let broker = RedisBroker::start(redis, config.rooms.syntax(), node_id)?;
            let ingest = broker.spawn_ingest();
            Ok((broker, Some(ingest)))
        }
    }
}

fn settings(config: &Config) -> session::Settings {
    let limits = &config.limits;
    session::Settings {
        config: config.session.clone(),
        rate: Rate { per_s: limits.commands_per_s, burst: limits.commands_burst },
        auth_timeout_ms: limits.auth_timeout_ms,
        ping_interval_ms: limits.ping_interval_ms,
        stale_after_ms: limits.stale_after_ms,
        org_connections_max: limits.connections_per_org_max,
    }
}

/// Notes the node's start once the broker has been reached, and it is known what was revoked.
async fn first_contact(broker: Arc<dyn Broker>, registry: Arc<Registry>, phase: Arc<Phase>) {
    while broker.health() != Health::Ready || registry.is_informed(1).is_err() {
        tokio::time::sleep(BROKER_POLL).await;
    }
    phase.note_started();
}

/// Says again and again which orgs have quotas of their own, and at once when that changes.
async fn keep_quotas(broker: Arc<dyn Broker>, quotas: Arc<Quotas>) {
    loop {
        let mut pause = QUOTAS_INTERVAL;
        for (org, quota) in quotas.special() {
            if broker.set_quota(&org, &quota).await.is_err() {
                pause = QUOTAS_RETRY;
                break;
            }
        }
        // Whether the time is up or a quota changed makes no difference.
        let _ = tokio::time::timeout(pause, quotas.changed()).await;
    }
}
