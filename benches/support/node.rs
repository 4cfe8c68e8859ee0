//! One org on a hub with the embedded broker, and sessions whose sockets are memory.
//!
//! All of it runs on one thread under a paused clock, so that nothing but the code decides what happens in which order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roomcast::auth::{Grant, GrantList, PresenceGrant, Principal};
use roomcast::broker::memory::{self, MemoryBroker};
use roomcast::broker::presence::{Change, Keeping, Owner, PresenceStore};
use roomcast::broker::{AckLevel, Broker, Published};
use roomcast::hub::latest::Wish;
use roomcast::hub::presence::{self, Ask};
use roomcast::hub::{Config, Hub, Limits, OrgLink, SendQueue, Sink, send_queue};
use roomcast::protocol::presence::{Member, State, Status, UserId};
use roomcast::protocol::push::{Answer, Reply};
use roomcast::protocol::{NewPublication, Position, RoomName, SessionId, Wire};
use roomcast::telemetry::counters::Counters;
use roomcast::transport::websocket::wire;
use tokio::runtime::{Builder, Runtime};

use super::material::{org, pattern, room, syntax};

/// Larger than any benchmark's room.
const PRESENT_MAX: usize = 20_000;

/// A socket that takes everything, or nothing.
struct MemorySink {
    takes: bool,
    written: Arc<AtomicU64>,
}

impl Sink for MemorySink {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if !self.takes {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }
}

pub struct Node {
    runtime: Runtime,
    broker: Arc<MemoryBroker>,
    hub: Hub,
    wire: Arc<dyn Wire>,
    principal: Principal,
    written: Arc<AtomicU64>,
    sessions: u128,
}

/// A session, and what waits for its socket.
pub struct Session {
    link: OrgLink,
    pub queue: Arc<SendQueue>,
}

impl Node {
    pub fn new(config: Config) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let broker = Arc::new(MemoryBroker::new(memory::Config::default()));
        let limits = Limits { subscriptions_max: 128, room_members_max: 1_000_000 };
        let hub = Hub::new(config, limits, Arc::clone(&broker) as Arc<dyn Broker>, Arc::default() as Arc<Counters>, 1);
        let hub = hub.with_presence(presence::Config { members_max: PRESENT_MAX, ..presence::Config::default() });
        let principal = Principal::new("alice", &org(), u64::MAX).expect("a legal user");
        Self { runtime, broker, hub, wire: wire::json(), principal, written: Arc::default(), sessions: 0 }
    }

    /// Bytes that sockets have taken so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// A session without subscriptions; its socket takes everything or nothing.
    pub fn attach(&mut self, takes: bool) -> Session {
        self.sessions += 1;
        let sink = MemorySink { takes, written: Arc::clone(&self.written) };
        let config = self.hub.config();
        let limits = send_queue::Limits { bytes_max: config.queue_bytes_max, replies_bytes_max: config.replies_bytes_max };
        let queue: Arc<SendQueue> = Arc::new(SendQueue::new(limits, sink));
        let session = SessionId(uuid::Uuid::from_u128(self.sessions));
        let link = self.runtime.block_on(self.hub.attach(&org(), session, &queue, &self.wire)).expect("the org's task lives");
        Session { link, queue }
    }

    pub fn detach(&self, session: Session) {
        self.runtime.block_on(session.link.detach());
    }

    pub fn grant(&self, text: &str) -> Grant {
        self.principal.grant_subscribe(pattern(text)).expect("a session may subscribe to its own org")
    }

    /// Subscribes the sessions at one stroke, and waits until all that comes of it is done.
    pub fn subscribe(&self, sessions: &[Session], grant: &Grant, since: Option<Position>) {
        let answer = || Answer::new(None, Reply::Subscribed { rooms: vec![grant.pattern().clone()], position: None, latest: None });
        let subscribing = sessions.iter().map(|session| session.link.subscribe(vec![grant.clone()], since, answer()));
        self.runtime.block_on(async {
            for subscribed in futures_util::future::join_all(subscribing).await {
                subscribed.expect("the org's task lives");
            }
            settle().await;
        });
    }

    /// Has the sessions ask at one stroke how the rooms of a pattern stand, and subscribe from there.
    pub fn open(&self, sessions: &[Session], text: &str) {
        let grants = GrantList::read(None, &["history:*:acme:**".to_owned()], &org(), &syntax()).expect("legal grants");
        let principal = self.principal.clone().with_grants(grants);
        let grant = principal.grant_subscribe(pattern(text)).expect("it is granted");
        let opening = sessions.iter().map(|session| async {
            let wish = Wish::new(principal.grant_history(pattern(text)).expect("it is granted"), &grant);
            let (latest, at) = self.hub.latest().ask(&org(), vec![wish]).await.expect("the embedded broker is there");
            let subscribed = Reply::Subscribed { rooms: vec![grant.pattern().clone()], position: None, latest: Some(latest) };
            session.link.subscribe(vec![grant.clone()], Some(at), Answer::new(None, subscribed)).await.expect("the org's task lives");
        });
        self.runtime.block_on(async {
            futures_util::future::join_all(opening).await;
            settle().await;
        });
    }

    /// Members of another node in a room.
    pub fn people(&self, room: &RoomName, count: usize) {
        let member = |number: usize| {
            let user_id = UserId::parse(&format!("member{number}")).expect("a legal user");
            let to = Some(Arc::new(Member { user_id, status: Status::Online, state: State::default() }));
            Change { room: room.clone(), session: SessionId(uuid::Uuid::from_u128(u128::MAX - number as u128)), to, is_admitted: false }
        };
        let changes: Vec<_> = (0..count).map(member).collect();
        let keeping = Keeping { owner: Owner(1), is_known: false, lease_ms: u64::MAX, stays_max: PRESENT_MAX };
        let org = org();
        self.runtime.block_on(self.broker.change_presence(&org, &changes, keeping)).expect("the embedded broker takes them");
    }

    /// Whoever `user` is, who may be present everywhere.
    pub fn presence(&self, user: &str, into: &str) -> PresenceGrant {
        let grants = GrantList::read(None, &["presence:*:acme:**".to_owned()], &org(), &syntax()).expect("legal grants");
        let principal = Principal::new(user, &org(), u64::MAX).expect("a legal user").with_grants(grants);
        principal.grant_presence(room(into)).expect("it is granted")
    }

    /// Has the sessions ask at one stroke, and waits until watchers have been told what came of it.
    pub fn ask<'a>(&self, asks: impl IntoIterator<Item = (&'a Session, Ask)>) {
        let asking = asks.into_iter().map(|(session, ask)| session.link.presence(None, ask));
        self.runtime.block_on(async {
            for asked in futures_util::future::join_all(asking).await {
                asked.expect("the org's task lives");
            }
            tokio::time::sleep(TOLD_WITHIN).await;
        });
    }

    /// Publishes all before the org's task gets its turn, so that they are one batch, and waits until they are delivered.
    pub fn publish(&self, publications: &[NewPublication]) -> Option<Published> {
        self.runtime.block_on(async {
            let mut last = None;
            for publication in publications {
                last = Some(self.broker.publish(publication, AckLevel::Primary).await.expect("the embedded broker takes it"));
            }
            settle().await;
            last
        })
    }
}

/// Watchers are told of changes in batches.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// A paused clock moves on only when nobody has anything left to do.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
