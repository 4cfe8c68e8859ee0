//! A session that is told of what its org's task has not heard of yet.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::auth::Principal;
use crate::broker::memory::{self, MemoryBroker};
use crate::broker::{AckLevel, Broker};
use crate::hub::{Config, Hub, Limits, OrgLink, SendQueue, Sink, send_queue};
use crate::protocol::latest::Latest;
use crate::protocol::push::{Answer, Reply};
use crate::protocol::{EventName, NewPublication, OrgId, RoomSyntax, SessionId};
use crate::transport::websocket::wire;

/// A socket that keeps what it takes.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Vec<u8>>>);

impl Sink for Socket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
}

struct Stage {
    broker: Arc<MemoryBroker>,
    hub: Hub,
    link: OrgLink,
    socket: Socket,
    principal: Principal,
}

impl Stage {
    /// A session that has a subscription on `kpi:acme:a`.
    async fn new() -> Self {
        let broker = Arc::new(MemoryBroker::new(memory::Config::default()));
        let limits = Limits { subscriptions_max: 8, room_members_max: 8 };
        let hub = Hub::new(Config::default(), limits, Arc::clone(&broker) as Arc<dyn Broker>, Arc::default(), 1);
        let (org, socket) = (OrgId::parse("acme").unwrap(), Socket::default());
        let bounds = send_queue::Limits { bytes_max: 1 << 20, replies_bytes_max: 1 << 20 };
        let queue: Arc<SendQueue> = Arc::new(SendQueue::new(bounds, socket.clone()));
        let link = hub.attach(&org, SessionId(uuid::Uuid::from_u128(1)), &queue, &wire::json()).await.unwrap();
        let principal = Principal::new("alice", &org, u64::MAX).unwrap();
        let stage = Self { broker, hub, link, socket, principal };
        stage.subscribes("kpi:acme:a", None).await;
        stage
    }

    /// With a position the reply tells how rooms stand there.
    async fn subscribes(&self, room: &str, told_at: Option<Position>) {
        let answer = |answer: Answer| if told_at.is_some() { answer.with_latest(Latest::default().into()) } else { answer };
        self.asks(room, told_at, answer).await;
    }

    /// Goes on from a position as whoever resumes.
    async fn resumes(&self, room: &str, since: Position) {
        self.asks(room, Some(since), |answer| answer).await;
    }

    async fn asks(&self, room: &str, since: Option<Position>, completed: impl FnOnce(Answer) -> Answer) {
        let pattern = RoomSyntax::new(4, ["kpi"]).pattern(room).unwrap();
        let answer = Answer::new(None, Reply::Subscribed { rooms: vec![pattern.clone()], position: None, latest: None });
        let grant = self.principal.grant_subscribe(pattern).unwrap();
        self.link.subscribe(vec![grant], since, completed(answer)).await.unwrap();
        settle().await;
    }

    async fn publishes(&self, room: &str, number: u64) -> Position {
        let room = RoomSyntax::new(4, ["kpi"]).room(room).unwrap();
        let new = NewPublication::new(room, EventName::parse("kpi:update").unwrap(), format!("\"#{number}\""));
        let published = self.broker.publish(&new, AckLevel::Primary).await.unwrap();
        settle().await;
        published.position.unwrap()
    }

    /// What came since it was last asked: numbers of publications and, as 0, replies.
    fn came(&self) -> Vec<u64> {
        let text = String::from_utf8_lossy(&std::mem::take(&mut *self.socket.0.lock())).into_owned();
        let parts = text.split("{\"event\":\"").skip(1);
        let read =
            |part: &str| if part.starts_with("subscribed") { Some(0) } else { part.split("\"#").nth(1)?.split('"').next()?.parse().ok() };
        parts.filter_map(read).collect()
    }
}

/// A paused clock moves on only when nobody has anything left to do.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn its_other_subscriptions_get_all_of_that_first_and_nothing_twice() {
    let stage = Stage::new().await;
    let last = stage.publishes("kpi:acme:a", 1).await;
    assert_eq!(stage.came(), [0, 1]);
    // Check value 0: whatever will stand there.
    stage.subscribes("kpi:acme", Some(Position { seq: last.seq + 2, check: 0, ..last })).await;
    assert_eq!(stage.came(), [0; 0], "it waits");
    stage.publishes("kpi:acme:a", 2).await;
    stage.subscribes("kpi:acme:c", None).await;
    assert_eq!(stage.came(), [2], "and so does what comes after it");
    stage.publishes("kpi:acme:b", 3).await;
    assert_eq!(stage.came(), [0, 0], "what lies before its position is not for the new subscription");
    stage.publishes("kpi:acme:a", 4).await;
    stage.publishes("kpi:acme:b", 5).await;
    assert_eq!(stage.came(), [4, 5]);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_from_what_only_another_node_knows_loses_nothing_of_its_other_subscriptions() {
    let stage = Stage::new().await;
    let last = stage.publishes("kpi:acme:a", 1).await;
    stage.came();
    stage.resumes("kpi:acme:b", Position { seq: last.seq + 2, check: 0, ..last }).await;
    stage.publishes("kpi:acme:a", 2).await;
    stage.publishes("kpi:acme:b", 3).await;
    stage.publishes("kpi:acme:b", 4).await;
    assert_eq!(stage.came(), [2, 0, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_position_of_another_history_is_waited_for_no_longer_than_probes_need() {
    let stage = Stage::new().await;
    let last = stage.publishes("kpi:acme:a", 1).await;
    stage.came();
    stage.subscribes("kpi:acme", Some(Position { seq: last.seq + 2, ..last })).await;
    assert_eq!(stage.came(), [0; 0]);
    let _ = tokio::time::timeout(Duration::from_secs(60), stage.hub.probe()).await;
    assert_eq!(stage.came(), [0]);
    stage.publishes("kpi:acme:b", 2).await;
    assert_eq!(stage.came(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_position_of_another_log_has_the_log_read_and_is_let_through() {
    let stage = Stage::new().await;
    let last = stage.publishes("kpi:acme:a", 1).await;
    stage.came();
    stage.subscribes("kpi:acme", Some(Position { epoch: last.epoch - 1, ..last })).await;
    assert_eq!(stage.came()[0], 0);
    stage.publishes("kpi:acme:b", 2).await;
    assert!(stage.came().ends_with(&[2]));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_meanwhile_leaves_nothing() {
    let stage = Stage::new().await;
    let last = stage.publishes("kpi:acme:a", 1).await;
    stage.came();
    stage.subscribes("kpi:acme", Some(Position { seq: last.seq + 1, check: 0, ..last })).await;
    let Stage { broker, hub, link, socket, principal } = stage;
    link.clone().detach().await;
    let stage = Stage { broker, hub, link, socket, principal };
    stage.publishes("kpi:acme:a", 2).await;
    assert_eq!(stage.came(), [0; 0]);
}
