//! The ingest stream: once, in order, whatever dies.

use redis::streams::StreamRangeReply;
use roomcast::broker::Broker;
use roomcast::broker::redis::RedisBroker;

use super::{ALL, broker_on, config, start};
use crate::broker_contract::{Ear, data_of, org, ready};
use crate::support::eventually;
use crate::support::redis::Redis;

#[tokio::test]
async fn ingest_entries_become_publications_in_order_and_bad_ones_dead_letters() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let ingest = broker.spawn_ingest();
    let mut ear = Ear::join(&*broker, &org("acme")).await;
    for n in 0..20 {
        server.cli(&["XADD", "rc:ingest", "*", "room", "kpi:acme:sales", "event", "kpi:update", "data", &n.to_string()]);
    }
    server.cli(&["XADD", "rc:ingest", "*", "room", "kpi:acme", "event", "kpi:update", "data", "{"]);
    server.cli(&["XADD", "rc:ingest", "*", "room", "nope:acme", "event", "kpi:update", "data", "1"]);
    server.cli(&["XADD", "rc:ingest", "*", "room", "kpi:org:acme:dept:sales", "event", "e", "data", "20", "priority", "high"]);
    for n in 0..=20 {
        assert_eq!(data_of(&ear.entry().await), n.to_string());
    }
    eventually("the stream is empty", || async { (server.cli(&["XLEN", "rc:ingest"]) == "0").then_some(()) }).await;
    let dead: StreamRangeReply = server.ask(redis::cmd("XRANGE").arg("rc:ingest:dead").arg("-").arg("+")).await;
    let reasons: Vec<String> = dead.ids.iter().map(|entry| entry.get("reason").unwrap()).collect();
    assert!(reasons.len() == 2 && reasons[0].contains("JSON") && reasons[1].contains("no such channel"), "{reasons:?}");
    assert_eq!(dead.ids[0].get::<String>("field:data").as_deref(), Some("{"));
    ingest.stop().await;
    assert_eq!(server.cli(&["EXISTS", "rc:ingest:owner:0"]), "0", "a stopped consumer gives its shard up");
}

#[tokio::test]
async fn a_consumer_killed_between_append_and_acknowledgement_logs_an_entry_once() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let id = server.cli(&["XADD", "rc:ingest", "*", "room", "kpi:acme", "event", "kpi:update", "data", "1"]);
    // What a consumer does until it is killed: it takes the entry, publishes, and is gone.
    server.cli(&["XGROUP", "CREATE", "rc:ingest", "roomcast", "0"]);
    server.cli(&["XREADGROUP", "GROUP", "roomcast", "killed", "STREAMS", "rc:ingest", ">"]);
    server.cli(&[
        "FCALL",
        "roomcast_publish",
        "1",
        "rc:{acme}",
        "kpi:acme",
        "kpi:update",
        "1",
        "idempotency_key",
        &format!("ingest:0:{id}"),
    ]);
    server.cli(&["XADD", "rc:ingest", "*", "room", "kpi:acme", "event", "kpi:update", "data", "2"]);
    let _ingest = broker.spawn_ingest();
    eventually("the stream is empty", || async { (server.cli(&["XLEN", "rc:ingest"]) == "0").then_some(()) }).await;
    let page = broker.read(&org("acme"), 1, ALL).await.unwrap();
    assert_eq!(page.entries.iter().map(data_of).collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn ingest_goes_on_with_another_node_and_through_a_restart() {
    let mut server = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let nodes = [start(config(server.url()), "n1"), start(config(server.url()), "n2")];
    for node in &nodes {
        ready(&**node).await;
    }
    let mut consumers: Vec<_> = nodes.iter().map(RedisBroker::spawn_ingest).collect();
    for n in 0..200 {
        server.cli(&["XADD", "rc:ingest", "*", "room", "kpi:acme", "event", "kpi:update", "data", &n.to_string()]);
        if n == 50 {
            let owner = eventually("a shard has an owner", || async {
                nodes.iter().position(|_| true).and(match server.cli(&["GET", "rc:ingest:owner:0"]).as_str() {
                    "n1" => Some(0),
                    "n2" => Some(1),
                    _ => None,
                })
            })
            .await;
            drop(consumers.remove(owner));
        }
        if n == 120 {
            server.restart().await;
        }
    }
    eventually("the stream is empty", || async { (server.cli(&["XLEN", "rc:ingest"]) == "0").then_some(()) }).await;
    let page = nodes[0].read(&org("acme"), 1, ALL).await.unwrap();
    let read: Vec<String> = page.entries.iter().map(data_of).collect();
    assert_eq!(read, (0..200).map(|n| n.to_string()).collect::<Vec<_>>(), "each once, in order");
}
