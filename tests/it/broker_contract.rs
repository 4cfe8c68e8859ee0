//! What every broker promises: the same suite on the embedded one and on a real Redis.

pub mod collections;
mod latest;
pub mod presence;
mod receipts;

use std::sync::Arc;
use std::time::Duration;

use roomcast::broker::feed::{self, FeedReceiver};
use roomcast::broker::{
    AckLevel, Body, Broker, ControlMessage, Entry, Health, LeaseOutcome, NodeInfo, OrgEvent, PageLimit, PublishError, RevocationTarget,
    RevokedAt, memory, redis,
};
use roomcast::limit::{Exceeded, Quota};
use roomcast::protocol::publication::Content;
use roomcast::protocol::{EventName, NewPublication, OrgId, Priority, Publication, RoomSyntax, SessionId};

use crate::support::redis::Redis;
use crate::support::{DEADLINE, eventually};

const ENTRIES_MAX: usize = 500;
const ALL: PageLimit = PageLimit { entries: 1_000, bytes: 1 << 20 };

pub fn syntax() -> RoomSyntax {
    RoomSyntax::new(4, ["kpi", "chat", "sync"])
}

pub fn org(name: &str) -> OrgId {
    OrgId::parse(name).unwrap()
}

pub fn publication(room: &str, data: &str) -> NewPublication {
    NewPublication::new(syntax().room(room).unwrap(), EventName::parse("kpi:update").unwrap(), data.to_owned())
}

pub async fn ready(broker: &dyn Broker) {
    eventually("the broker is ready", || async { (broker.health() == Health::Ready).then_some(()) }).await;
}

/// Reads a feed event by event.
pub struct Ear {
    receiver: FeedReceiver,
    waiting: Vec<OrgEvent>,
}

impl Ear {
    /// Joins and waits until the feed is live.
    pub async fn join(broker: &dyn Broker, org: &OrgId) -> Self {
        let (feed, receiver) = feed::channel(10_000);
        broker.join(org, feed).await;
        let mut ear = Self { receiver, waiting: Vec::new() };
        // Redis tells of the new connection first and of the opened log later, the embedded broker once.
        assert_eq!(ear.next().await, OrgEvent::Interrupted);
        ear
    }

    pub async fn next(&mut self) -> OrgEvent {
        while self.waiting.is_empty() {
            let more = tokio::time::timeout(DEADLINE, self.receiver.recv_many(&mut self.waiting, 1_000)).await;
            assert!(more.expect("something is heard in time"), "the feed has ended");
        }
        self.waiting.remove(0)
    }

    /// The next entry, past any "interrupted".
    pub async fn entry(&mut self) -> Entry {
        loop {
            match self.next().await {
                OrgEvent::Entry(entry) => return entry,
                OrgEvent::Interrupted | OrgEvent::Presence(_) => {}
                OrgEvent::Ephemeral(_) => panic!("an ephemeral publication came first"),
            }
        }
    }

    /// Waits for an entry as the hub does: it comes with the feed, or it stands in the log after an interruption.
    pub async fn entry_or_log(&mut self, broker: &dyn Broker, org: &OrgId, wanted: impl Fn(&Entry) -> bool) -> Entry {
        loop {
            let found = match self.next().await {
                OrgEvent::Entry(entry) => vec![entry],
                OrgEvent::Interrupted => broker.read(org, 1, ALL).await.map_or_else(|_| Vec::new(), |page| page.entries),
                OrgEvent::Ephemeral(_) | OrgEvent::Presence(_) => Vec::new(),
            };
            if let Some(entry) = found.into_iter().find(&wanted) {
                return entry;
            }
        }
    }

    /// Waits for the next "interrupted", past any entries.
    pub async fn interrupted(&mut self) {
        while self.next().await != OrgEvent::Interrupted {}
    }
}

pub fn publication_of(entry: &Entry) -> &Publication {
    match &entry.body {
        Body::Publication(publication) => publication,
        other => panic!("{other:?} is no publication"),
    }
}

pub fn data_of(entry: &Entry) -> String {
    String::from_utf8(publication_of(entry).data.to_vec()).unwrap()
}

async fn publish(broker: &dyn Broker, publication: &NewPublication) -> roomcast::broker::Published {
    broker.publish(publication, AckLevel::Primary).await.unwrap()
}

async fn entries_are_numbered_from_one_in_order_and_read_in_pages(broker: &dyn Broker) {
    let org = org("pages");
    let begun = broker.open(&org).await.unwrap();
    assert_eq!((begun.last.seq, begun.last.check, begun.first_seq), (0, 0, 1));
    let mut positions = Vec::new();
    for n in 1..=25_u64 {
        let position = publish(broker, &publication("kpi:pages:sales", &format!("{{\"v\":{n}}}"))).await.position.unwrap();
        assert_eq!((position.epoch, position.seq), (begun.last.epoch, n));
        positions.push(position);
    }
    let state = broker.open(&org).await.unwrap();
    assert_eq!((state.last, state.first_seq), (positions[24], 1));
    assert_eq!(broker.probe(&[org.clone(), self::org("nobody")]).await.unwrap(), [Some(state.last), None]);

    let page = broker.read(&org, 1, ALL).await.unwrap();
    assert!(page.end);
    assert_eq!(page.entries.iter().map(|entry| entry.position).collect::<Vec<_>>(), positions);
    assert_eq!(data_of(&page.entries[24]), "{\"v\":25}");

    let page = broker.read(&org, 3, PageLimit { entries: 20, bytes: 1 << 20 }).await.unwrap();
    assert_eq!((page.entries.len(), page.entries[0].position.seq, page.end), (20, 3, false));
    let page = broker.read(&org, 6, PageLimit { entries: 20, bytes: 1 << 20 }).await.unwrap();
    assert_eq!((page.entries.len(), page.end), (20, true));
    let page = broker.read(&org, 1, PageLimit { entries: 20, bytes: 1 }).await.unwrap();
    assert_eq!((page.entries.len(), page.end), (1, false), "a page holds at least one entry, however large");
    let page = broker.read(&org, 26, ALL).await.unwrap();
    assert_eq!((page.entries.len(), page.end, page.epoch), (0, true, begun.last.epoch));
}

async fn every_option_arrives_on_the_feed_and_in_the_log_alike(broker: &dyn Broker) {
    let org = org("options");
    let mut ear = Ear::join(broker, &org).await;
    let mut full = publication("kpi:options:sales:support", "{\"v\": [1, 2]}");
    full.priority = Priority::Urgent;
    full.cascade = true;
    full.requires_ack = true;
    full.ttl_ms = Some(5_000);
    full.headers = Some("{\"traceparent\":\"00-a-b-01\", \"x\":\"é c\"}".into());
    full.sessions = vec![SessionId(uuid::Uuid::from_u128(7)), SessionId(uuid::Uuid::from_u128(8))];
    let position = publish(broker, &full).await.position.unwrap();
    let heard = ear.entry().await;
    assert_eq!(heard.position, position);
    let Body::Publication(read) = &heard.body else { panic!("{heard:?}") };
    assert_eq!((&read.room, &read.event, &read.data), (&full.room, &full.event, &full.data));
    assert_eq!((read.priority, read.cascade, read.requires_ack, read.ttl_ms), (Priority::Urgent, true, true, Some(5_000)));
    assert_eq!((&read.headers, &read.sessions), (&full.headers, &full.sessions));
    assert_eq!(read.time_us, position.check);
    assert_eq!(broker.read(&org, 1, ALL).await.unwrap().entries, [heard]);
}

async fn bytes_are_carried_as_they_are(broker: &dyn Broker) {
    let acme = org("bytes");
    let mut ear = Ear::join(broker, &acme).await;
    for (number, data) in [&b"\x00\xff\n{"[..], b"", b"{}"].into_iter().enumerate() {
        for log in [true, false] {
            let new = NewPublication { content: Content::Bytes, log, ..publication("kpi:bytes", "") };
            let new = NewPublication { data: data.to_vec().into(), ..new };
            publish(broker, &new).await;
            let heard = loop {
                match ear.next().await {
                    OrgEvent::Entry(Entry { body: Body::Publication(heard), .. }) | OrgEvent::Ephemeral(heard) => break heard,
                    OrgEvent::Entry(entry) => panic!("{entry:?}"),
                    OrgEvent::Interrupted | OrgEvent::Presence(_) => {}
                }
            };
            assert_eq!((heard.content, &heard.data[..], heard.json()), (Content::Bytes, data, None));
        }
        let page = broker.read(&acme, 1, ALL).await.unwrap();
        let Body::Publication(logged) = &page.entries[number].body else { panic!("{page:?}") };
        assert_eq!((logged.content, &logged.data[..]), (Content::Bytes, data));
    }
}

async fn an_idempotency_key_is_logged_once(broker: &dyn Broker) {
    let mut once = publication("kpi:idem", "1");
    once.idempotency_key = Some("order 17".into());
    let first = publish(broker, &once).await;
    once.data = "2".into();
    let second = publish(broker, &once).await;
    assert!(!first.duplicate && second.duplicate);
    assert_eq!(first.position, second.position);
    assert_eq!(broker.open(&org("idem")).await.unwrap().last, first.position.unwrap());
    let mut elsewhere = publication("kpi:idem2", "1");
    elsewhere.idempotency_key = Some("order 17".into());
    assert!(!publish(broker, &elsewhere).await.duplicate, "a key belongs to its org");
}

async fn an_ephemeral_publication_is_heard_and_not_logged(broker: &dyn Broker) {
    let org = org("typing");
    let mut ear = Ear::join(broker, &org).await;
    let mut typing = publication("chat:typing:lobby", "{}");
    typing.log = false;
    assert_eq!(publish(broker, &typing).await.position, None);
    let heard = loop {
        match ear.next().await {
            OrgEvent::Ephemeral(heard) => break heard,
            OrgEvent::Interrupted | OrgEvent::Presence(_) => {}
            OrgEvent::Entry(entry) => panic!("{entry:?}"),
        }
    };
    assert_eq!((&heard.room, heard.position), (&typing.room, None));
    assert_eq!(broker.open(&org).await.unwrap().last.seq, 0);
}

async fn a_feed_hears_its_own_org_only_and_nothing_after_leaving(broker: &dyn Broker) {
    let (one, other) = (org("one"), org("other"));
    let mut ear = Ear::join(broker, &one).await;
    let mut other_ear = Ear::join(broker, &other).await;
    publish(broker, &publication("kpi:other", "\"secret\"")).await;
    publish(broker, &publication("kpi:one", "1")).await;
    assert_eq!(data_of(&ear.entry().await), "1");
    assert_eq!(data_of(&other_ear.entry().await), "\"secret\"");
    broker.leave(&one).await;
    let mut again = Ear::join(broker, &one).await;
    publish(broker, &publication("kpi:one", "2")).await;
    assert_eq!(data_of(&again.entry().await), "2");
    let mut rest = Vec::new();
    while ear.receiver.recv_many(&mut rest, 100).await {}
    assert!(!rest.iter().any(|event| matches!(event, OrgEvent::Entry(_))), "{rest:?}");
}

async fn retention_moves_the_first_number_and_keeps_the_newest(broker: &dyn Broker) {
    let org = org("trimmed");
    let mut last = None;
    for n in 0..2 * ENTRIES_MAX {
        last = publish(broker, &publication("kpi:trimmed", &n.to_string())).await.position;
    }
    let state = broker.open(&org).await.unwrap();
    assert_eq!(Some(state.last), last);
    assert!(state.first_seq > 1, "{state:?}");
    let page = broker.read(&org, 1, ALL).await.unwrap();
    assert_eq!(page.entries[0].position.seq, state.first_seq);
    assert_eq!(page.entries.last().map(|entry| entry.position), last);
}

async fn leases_count_over_the_cluster(broker: &dyn Broker) {
    let org = org("limited");
    assert_eq!(broker.lease_connection(&org, 2).await, LeaseOutcome::Granted);
    assert_eq!(broker.lease_connection(&org, 2).await, LeaseOutcome::Granted);
    assert_eq!(broker.lease_connection(&org, 2).await, LeaseOutcome::Full);
    broker.release_connection(&org).await;
    assert_eq!(broker.lease_connection(&org, 2).await, LeaseOutcome::Granted);
    assert_eq!(broker.lease_connection(&org, 0).await, LeaseOutcome::Granted, "0 is no limit");
}

async fn revocations_come_once_per_cursor(broker: &dyn Broker) {
    let target = |id: &str| RevocationTarget::Token { token_id: id.into() };
    let now = RevokedAt::Ago(Duration::ZERO);
    let none = broker.revocations("").await.unwrap();
    assert_eq!((none.revocations, none.lost), (vec![], false));
    let first = broker.revoke(target("a"), now).await.unwrap();
    let news = broker.revocations(&none.cursor).await.unwrap();
    assert_eq!(news.revocations, std::slice::from_ref(&first));
    let second = broker.revoke(target("b"), RevokedAt::Ago(Duration::from_secs(60))).await.unwrap();
    let late_ms = second.at_ms + 60_000 - first.at_ms;
    assert!(late_ms < 20_000, "it holds from when it was asked for: {first:?}, {second:?}");
    let third = broker.revoke(target("c"), RevokedAt::Ms(7)).await.unwrap();
    assert_eq!(third.at_ms, 7);
    let news = broker.revocations(&news.cursor).await.unwrap();
    assert_eq!(news.revocations, [second.clone(), third.clone()]);
    let again = broker.revocations(&news.cursor).await.unwrap();
    assert_eq!((again.revocations, &again.cursor, again.lost), (vec![], &news.cursor, false));
    assert_eq!(broker.revocations("").await.unwrap().revocations, [first, second, third]);
}

async fn a_quota_holds_the_publishers_of_one_org(broker: &dyn Broker) {
    let metered = org("metered");
    broker.set_quota(&metered, &Quota { publications_per_s: 5, ..Quota::default() }).await.unwrap();
    let mut first = publication("kpi:metered", "0");
    first.idempotency_key = Some("first".into());
    publish(broker, &first).await;
    let mut passed = 1;
    let exceeded = loop {
        match broker.publish(&publication("kpi:metered", "1"), AckLevel::Primary).await {
            Ok(_) => passed += 1,
            Err(PublishError::Exceeded(exceeded)) => break exceeded,
            Err(other) => panic!("{other}"),
        }
        assert!(passed < 1_000, "there is no quota");
    };
    assert!(passed >= 10, "two seconds' worth come at once: {passed}");
    assert!(exceeded.allowed == 5 && (1..=200).contains(&exceeded.retry_after_ms), "{exceeded:?}");
    let mut typing = publication("kpi:metered", "2");
    typing.log = false;
    assert!(matches!(broker.publish(&typing, AckLevel::Primary).await, Err(PublishError::Exceeded(_)) | Ok(_)));
    publish(broker, &publication("kpi:unmetered", "1")).await;
    eventually("it passes again", async || broker.publish(&publication("kpi:metered", "3"), AckLevel::Primary).await.ok()).await;
    let state = broker.open(&metered).await.unwrap();
    assert!(state.last.seq > passed as u64, "what was refused is not in the log, the rest is: {state:?}");

    broker.set_quota(&org("heavy"), &Quota { bytes_per_s: 1_000, ..Quota::default() }).await.unwrap();
    let heavy = publication("kpi:heavy", &format!("\"{}\"", "x".repeat(4_000)));
    publish(broker, &heavy).await;
    let exceeded = broker.publish(&heavy, AckLevel::Primary).await.unwrap_err();
    assert!(matches!(exceeded, PublishError::Exceeded(Exceeded { allowed: 1_000, .. })), "{exceeded:?}");
}

async fn a_quota_bounds_the_log_of_one_org(broker: &dyn Broker) {
    let org = org("short");
    broker.set_quota(&org, &Quota { log_entries_max: 100, ..Quota::default() }).await.unwrap();
    for n in 0..ENTRIES_MAX - 50 {
        publish(broker, &publication("kpi:short", &n.to_string())).await;
    }
    let state = broker.open(&org).await.unwrap();
    assert!(state.first_seq > 100, "fewer are kept than of other orgs: {state:?}");
}

pub fn node(id: &str) -> NodeInfo {
    NodeInfo {
        id: id.into(),
        address: "127.0.0.1:1".into(),
        version: "0".into(),
        started_at_ms: 1,
        sessions: 3,
        said_at_ms: 7,
        draining: true,
    }
}

async fn nodes_register_send_notes_and_resign(broker: &dyn Broker) {
    broker.renew(&node("n1")).await.unwrap();
    assert_eq!(broker.nodes().await.unwrap(), [node("n1")]);
    let mut notes = broker.control();
    for (to, note) in [(None, "all"), (Some("n1"), "one")] {
        broker.send_control(to, ControlMessage(note.into())).await.unwrap();
        let heard = tokio::time::timeout(DEADLINE, notes.recv()).await.expect("the note is heard in time");
        assert_eq!(heard, Some(ControlMessage(note.into())));
    }
    broker.resign("n1").await;
    assert_eq!(broker.nodes().await.unwrap(), []);
}

async fn known_orgs_are_listed_up_to_the_limit(broker: &dyn Broker) {
    for name in ["listed1", "listed2"] {
        broker.open(&org(name)).await.unwrap();
    }
    let all = broker.orgs(1_000).await.unwrap();
    assert!(all.contains(&org("listed1")) && all.contains(&org("listed2")), "{all:?}");
    assert_eq!(broker.orgs(1).await.unwrap().len(), 1);
}

async fn all_promises(shared: Arc<dyn Broker>) {
    let broker = &*shared;
    ready(broker).await;
    entries_are_numbered_from_one_in_order_and_read_in_pages(broker).await;
    every_option_arrives_on_the_feed_and_in_the_log_alike(broker).await;
    bytes_are_carried_as_they_are(broker).await;
    an_idempotency_key_is_logged_once(broker).await;
    an_ephemeral_publication_is_heard_and_not_logged(broker).await;
    a_feed_hears_its_own_org_only_and_nothing_after_leaving(broker).await;
    retention_moves_the_first_number_and_keeps_the_newest(broker).await;
    leases_count_over_the_cluster(broker).await;
    revocations_come_once_per_cursor(broker).await;
    a_quota_holds_the_publishers_of_one_org(broker).await;
    a_quota_bounds_the_log_of_one_org(broker).await;
    nodes_register_send_notes_and_resign(broker).await;
    known_orgs_are_listed_up_to_the_limit(broker).await;
    collections::all_promises(broker).await;
    presence::all_promises(broker).await;
    receipts::they_add_up_and_complete_once(broker).await;
    latest::rooms_are_told_as_the_log_has_them(Arc::clone(&shared)).await;
    broker.ping().await.unwrap();
}

#[tokio::test]
async fn the_embedded_broker_keeps_all_promises() {
    let config = memory::Config { entries_max: ENTRIES_MAX, collections: collections::bounds(), ..memory::Config::default() };
    all_promises(Arc::new(memory::MemoryBroker::new(config))).await;
}

#[tokio::test]
async fn redis_without_functions_keeps_all_promises() {
    let server = Redis::start(&["--rename-command", "FUNCTION", "", "--rename-command", "FCALL", ""]).await;
    let config =
        redis::Config { url: server.url(), entries_max: ENTRIES_MAX, collections: collections::bounds(), ..redis::Config::default() };
    all_promises(redis::RedisBroker::start(config, syntax(), "n1").unwrap()).await;
}

#[tokio::test]
async fn redis_keeps_all_promises() {
    let server = Redis::start(&[]).await;
    let config =
        redis::Config { url: server.url(), entries_max: ENTRIES_MAX, collections: collections::bounds(), ..redis::Config::default() };
    all_promises(redis::RedisBroker::start(config, syntax(), "n1").unwrap()).await;
}
