//! Receipts: begun with the publication, added up over nodes, completed once.

use std::sync::Arc;

use roomcast::broker::receipts::{Config, Receipt, Share, Tally};
use roomcast::broker::{AckLevel, Body, Broker, Entry, Receipts, memory, redis};
use roomcast::protocol::{NewPublication, OrgId, Position};
use serde_json::{Value, json};

use super::{Ear, data_of, org, publication, publish, ready, syntax};
use crate::support::eventually;
use crate::support::redis::Redis;

/// One that asks to be acknowledged, for the user alice.
fn asking(room: &str) -> NewPublication {
    NewPublication { requires_ack: true, receipt_to: Some("alice".into()), ..publication(room, "1") }
}

fn share(position: Position, [matched, written, acked, expired]: [u64; 4]) -> Share {
    Share { position, tally: Tally { matched, written, acked, expired }, heard: true }
}

async fn begin(broker: &dyn Broker, new: &NewPublication) -> Position {
    publish(broker, new).await.position.unwrap()
}

async fn receipt(broker: &dyn Broker, org: &OrgId, position: Position) -> Receipt {
    broker.receipt(org, position).await.unwrap().expect("it asked to be acknowledged")
}

/// What a publisher is told, if the entry is that.
fn told(entry: &Entry) -> Option<(String, Value)> {
    let Body::Publication(publication) = &entry.body else { return None };
    let data = serde_json::from_slice(&publication.data).unwrap();
    (publication.event.as_str() == "receipt").then(|| (publication.room.to_string(), data))
}

pub async fn they_add_up_and_complete_once(broker: &dyn Broker) {
    let org = org("receipts");
    broker.open(&org).await.unwrap();
    let mut ear = Ear::join(broker, &org).await;
    // A feed that is not live yet is not waited for.
    let live = begin(broker, &publication("kpi:receipts", "0")).await;
    ear.entry_or_log(broker, &org, |entry| entry.position == live).await;
    assert_eq!(broker.receipt(&org, live).await.unwrap(), None, "it asked for none");

    let position = begin(broker, &asking("kpi:receipts")).await;
    assert_eq!(receipt(broker, &org, position).await.tally, Tally::default());
    let replayed = Share { heard: false, ..share(position, [0, 0, 0, 0]) };
    broker.report_receipts(&org, &[replayed]).await.unwrap();
    assert!(!receipt(broker, &org, position).await.complete, "whom it reached when it was published is not known yet");
    for (counts, outstanding) in [([3, 1, 1, 0], 2), ([3, 1, 1, 0], 2), ([3, 2, 2, 0], 1), ([3, 1, 1, 0], 1)] {
        broker.report_receipts(&org, &[share(position, counts)]).await.unwrap();
        let so_far = receipt(broker, &org, position).await;
        assert_eq!((so_far.tally.outstanding(), so_far.complete), (outstanding, false), "{counts:?}");
    }
    let unknown = Position { seq: position.seq + 1_000, ..position };
    for _ in 0..2 {
        broker.report_receipts(&org, &[share(unknown, [1, 1, 1, 0]), share(position, [3, 3, 2, 1])]).await.unwrap();
    }
    let whole = receipt(broker, &org, position).await;
    assert_eq!((whole.tally, whole.complete), (Tally { matched: 3, written: 3, acked: 2, expired: 1 }, true));
    assert_eq!(broker.receipt(&org, unknown).await.unwrap(), None);

    let marker = begin(broker, &publication("kpi:receipts", "\"marker\"")).await;
    assert_eq!(ear.entry().await.position, position);
    let expected = json!({"id": position, "matched": 3, "written": 3, "acked": 2, "outstanding": 0, "expired": 1});
    assert_eq!(told(&ear.entry().await), Some(("user:receipts:alice".into(), expected)));
    assert_eq!(ear.entry().await.position, marker, "it is told once");

    // Where nobody is to be told, nobody is.
    let position = begin(broker, &NewPublication { receipt_to: None, ..asking("kpi:receipts") }).await;
    broker.report_receipts(&org, &[share(position, [0, 0, 0, 0])]).await.unwrap();
    assert!(receipt(broker, &org, position).await.complete);
    let marker = begin(broker, &publication("kpi:receipts", "\"marker\"")).await;
    assert_eq!([ear.entry().await.position, ear.entry().await.position], [position, marker]);
    broker.leave(&org).await;
}

/// A short deadline, and room for few.
const BRIEF: Config = Config { deadline_ms: 300, kept_s: 1, per_org_max: 2 };

async fn they_end_with_the_deadline_and_are_bounded(broker: &dyn Broker) {
    ready(broker).await;
    let org = org("acme");
    broker.open(&org).await.unwrap();
    let first = begin(broker, &asking("kpi:acme")).await;
    broker.report_receipts(&org, &[share(first, [5, 4, 2, 0])]).await.unwrap();
    let log = || async { broker.read(&org, 1, super::ALL).await.unwrap().entries };
    // The node that reported is gone; any other settles.
    eventually("it is settled", || async {
        broker.settle_receipts(&org).await.unwrap();
        log().await.iter().find_map(told).map(drop)
    })
    .await;
    let over = receipt(broker, &org, first).await;
    assert_eq!((over.tally, over.complete), (Tally { matched: 5, written: 4, acked: 2, expired: 3 }, true));
    broker.report_receipts(&org, &[share(first, [5, 5, 5, 0])]).await.unwrap();
    assert_eq!(receipt(broker, &org, first).await.tally, over.tally, "it is final");

    let mut later = Vec::new();
    for _ in 0..3 {
        later.push(begin(broker, &asking("kpi:acme")).await);
    }
    assert_eq!(broker.receipt(&org, first).await.unwrap(), None, "there is room for two");
    assert_eq!(broker.receipt(&org, later[0]).await.unwrap(), None);
    let about: Vec<Value> = log().await.iter().filter_map(told).map(|(_, data)| data["id"].clone()).collect();
    assert_eq!(about[..2], [json!(first), json!(later[0])], "whoever has to go is told before");
    eventually("they are forgotten", || async { broker.receipt(&org, later[2]).await.unwrap().is_none().then_some(()) }).await;
}

#[tokio::test]
async fn receipts_end_with_the_deadline_on_the_embedded_broker() {
    let config = memory::Config { receipts: BRIEF, ..memory::Config::default() };
    they_end_with_the_deadline_and_are_bounded(&memory::MemoryBroker::new(config)).await;
}

#[tokio::test]
async fn receipts_end_with_the_deadline_on_redis() {
    let server = Redis::start(&[]).await;
    let config = redis::Config { url: server.url(), receipts: BRIEF, ..redis::Config::default() };
    they_end_with_the_deadline_and_are_bounded(&*redis::RedisBroker::start(config, syntax(), "n1").unwrap()).await;
}

#[tokio::test]
async fn every_node_that_listened_is_waited_for_and_one_of_them_completes() {
    let server = Redis::start(&[]).await;
    let config = || redis::Config { url: server.url(), ..redis::Config::default() };
    let brokers = ["n1", "n2", "n3"].map(|node| redis::RedisBroker::start(config(), syntax(), node).unwrap());
    let org = org("acme");
    let mut ears = Vec::new();
    for broker in &brokers {
        ready(&**broker).await;
        ears.push(Ear::join(&**broker, &org).await);
    }
    // Each ear hears this, or reads it once it is live: from then on it is listening.
    let live = begin(&*brokers[0], &publication("kpi:acme", "0")).await;
    for (ear, broker) in ears.iter_mut().zip(&brokers) {
        ear.entry_or_log(&**broker, &org, |entry| entry.position == live).await;
    }
    let position = begin(&*brokers[0], &asking("kpi:acme")).await;
    let shares = [share(position, [2, 2, 2, 0])];
    for broker in &brokers[..2] {
        broker.report_receipts(&org, &shares).await.unwrap();
    }
    assert!(!receipt(&*brokers[0], &org, position).await.complete, "the third has not been heard");
    brokers[2].report_receipts(&org, &[Share { heard: false, ..shares[0] }]).await.unwrap();
    assert!(!receipt(&*brokers[0], &org, position).await.complete, "it has only replayed");
    let reports = brokers.iter().cycle().take(9).map(|broker| {
        let (broker, org) = (Arc::clone(broker), org.clone());
        tokio::spawn(async move { broker.report_receipts(&org, &shares).await })
    });
    for report in reports.collect::<Vec<_>>() {
        report.await.unwrap().unwrap();
    }
    let whole = receipt(&*brokers[1], &org, position).await;
    assert_eq!((whole.tally, whole.complete), (Tally { matched: 6, written: 6, acked: 6, expired: 0 }, true));
    let entries = brokers[0].read(&org, 1, super::ALL).await.unwrap().entries;
    assert_eq!(entries.iter().filter_map(told).count(), 1);
    assert_eq!(data_of(&entries[entries.len() - 2]), "1");
    // Only what is logged can be sent again.
    let ephemeral = NewPublication { log: false, ..asking("kpi:acme") };
    assert!(brokers[0].publish(&ephemeral, AckLevel::Primary).await.is_err());
}
