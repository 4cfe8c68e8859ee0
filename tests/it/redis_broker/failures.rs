//! Redis killed, restarted, replaced, frozen.

use roomcast::broker::redis::Config;
use roomcast::broker::{AckLevel, Body, Broker, Health, LeaseOutcome, PublishError};
use roomcast::protocol::GapReason;

use super::{ALL, broker_on, config, publish, publish_when_possible, start};
use crate::broker_contract::{Ear, data_of, node, org, publication, ready};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;

#[tokio::test]
async fn a_killed_redis_with_its_data_heals_and_keeps_what_it_acknowledged() {
    let mut server = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let broker = broker_on(&server).await;
    let org = org("acme");
    let mut ear = Ear::join(&*broker, &org).await;
    let before = publish(&broker, "kpi:acme", "1").await;
    assert_eq!(ear.entry().await.position, before);
    server.kill();
    ear.interrupted().await;
    let refused =
        eventually("publishing fails", || async { broker.publish(&publication("kpi:acme", "lost"), AckLevel::Primary).await.err() }).await;
    assert!(matches!(refused, PublishError::Unavailable(_)), "{refused:?}");
    eventually("health is degraded", || async { matches!(broker.health(), Health::Degraded(_)).then_some(()) }).await;
    server.restart().await;
    let after = publish_when_possible(&broker, "kpi:acme", "2").await;
    assert_eq!((after.epoch, after.seq), (before.epoch, 2), "the log goes on, without a fence");
    let page = broker.read(&org, 1, ALL).await.unwrap();
    assert_eq!(page.entries[0].position, before);
    ready(&*broker).await;
    let last = publish(&broker, "kpi:acme", "3").await;
    ear.entry_or_log(&*broker, &org, |entry| entry.position == last).await;
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_begins_a_new_log() {
    let mut server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let mut ear = Ear::join(&*broker, &org("acme")).await;
    let before = publish(&broker, "kpi:acme", "1").await;
    ear.entry().await;
    assert_eq!(broker.lease_connection(&org("acme"), 1).await, LeaseOutcome::Granted);
    server.restart_empty(0).await;
    ear.interrupted().await;
    let after = publish_when_possible(&broker, "kpi:acme", "2").await;
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.seq, 1);
    // What the node holds is asserted again, so the limit holds for others too.
    broker.renew(&node("n1")).await.unwrap();
    let other = start(config(server.url()), "n2");
    ready(&*other).await;
    assert_eq!(other.lease_connection(&org("acme"), 1).await, LeaseOutcome::Full);
}

#[tokio::test]
async fn a_restart_from_an_old_snapshot_is_fenced() {
    let mut server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let org = org("acme");
    broker.open(&org).await.unwrap();
    publish(&broker, "kpi:acme", "1").await;
    server.cli(&["SAVE"]);
    publish(&broker, "kpi:acme", "lost").await;
    server.restart().await;
    eventually("the log can be opened", || async { broker.open(&org).await.ok() }).await;
    broker.open(&org).await.unwrap();
    let page = broker.read(&org, 1, ALL).await.unwrap();
    assert_eq!(page.entries.len(), 2, "one fence, however often it is opened");
    assert_eq!(page.entries[1].body, Body::Fence(GapReason::Fork));
}

#[tokio::test]
async fn a_promoted_replica_that_lagged_is_fenced_before_anyone_reads_on() {
    let mut primary = Redis::start(&[]).await;
    let replica = Redis::start_replica(primary.port).await;
    let proxy = Proxy::start(primary.port).await;
    let broker = start(config(proxy.url()), "n1");
    ready(&*broker).await;
    let org = org("acme");
    let mut ear = Ear::join(&*broker, &org).await;
    let kept = publish(&broker, "kpi:acme", "1").await;
    eventually("the replica has it", || async { (replica.cli(&["XLEN", "rc:{acme}:log"]) == "1").then_some(()) }).await;
    // The replica follows a server that is not there, so what comes now never reaches it.
    replica.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let lost = publish(&broker, "kpi:acme", "2").await;
    assert_eq!(lost.seq, 2);
    while ear.entry().await.position != lost {}
    primary.kill();
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    let reused = replica.cli(&["FCALL", "roomcast_publish", "1", "rc:{acme}", "kpi:acme", "kpi:update", "20"]);
    proxy.lead_to(replica.port);
    let fence = ear.entry_or_log(&*broker, &org, |entry| matches!(entry.body, Body::Fence(GapReason::Fork))).await;
    let page = broker.read(&org, 1, ALL).await.unwrap();
    assert_eq!(page.entries[0].position, kept);
    // Even a backend's publish puts the fence first: nothing stands between the parting and what admits it.
    assert_eq!(page.entries[1], fence);
    assert_eq!(fence.position.seq, lost.seq);
    assert_ne!(fence.position, lost, "the same number, another entry");
    assert_eq!(data_of(&page.entries[2]), "20", "{reused}");
    assert_eq!(page.entries.len(), 3);
    // Another node that opens it adds no second one.
    let other = start(config(proxy.url()), "n2");
    ready(&*other).await;
    assert_eq!(other.open(&org).await.unwrap().last, page.entries[2].position);
}

#[tokio::test]
async fn a_killed_subscription_is_told_and_made_again() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let mut ear = Ear::join(&*broker, &org("acme")).await;
    publish(&broker, "kpi:acme", "1").await;
    ear.entry().await;
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    let position = publish(&broker, "kpi:acme", "2").await;
    ear.interrupted().await;
    assert_eq!(broker.read(&org("acme"), 2, ALL).await.unwrap().entries[0].position, position);
    eventually("the subscription is back", || async { server.cli(&["PUBSUB", "NUMSUB", "rc:{acme}:bus"]).ends_with("\n1").then_some(()) })
        .await;
    let last = publish(&broker, "kpi:acme", "3").await;
    ear.entry_or_log(&*broker, &org("acme"), |entry| entry.position == last).await;
}

#[tokio::test]
async fn a_frozen_redis_is_noticed_in_time_and_its_return_too() {
    let server = Redis::start(&[]).await;
    let broker = start(Config { url: server.url(), ..Config::default() }, "n1");
    ready(&*broker).await;
    let since = tokio::time::Instant::now();
    server.freeze();
    eventually("health is degraded", || async { matches!(broker.health(), Health::Degraded(_)).then_some(()) }).await;
    assert!(since.elapsed() < std::time::Duration::from_secs(3), "{:?}", since.elapsed());
    let refused = broker.publish(&publication("kpi:acme", "1"), AckLevel::Primary).await;
    assert!(matches!(refused, Err(PublishError::Unavailable(_))), "{refused:?}");
    server.thaw();
    ready(&*broker).await;
    publish(&broker, "kpi:acme", "2").await;
}
