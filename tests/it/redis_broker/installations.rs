//! Sentinel and Cluster.

use std::collections::BTreeSet;

use roomcast::broker::redis::{Config, IngestConfig, Mode};
use roomcast::broker::{Body, Broker};

use super::{ALL, config, hears_again, publish, publish_when_possible, start};
use crate::broker_contract::{Ear, collections, data_of, org, ready};
use crate::support::eventually;
use crate::support::redis::{Cluster, Redis};

#[tokio::test]
async fn sentinel_leads_to_the_promoted_primary() {
    let mut primary = Redis::start(&[]).await;
    let replica = Redis::start_replica(primary.port).await;
    let sentinel = Redis::start_sentinel(&primary).await;
    let watched = Config { mode: Mode::Sentinel, nodes: vec![sentinel.url()], ..config("redis://ignored:1".into()) };
    let broker = start(watched, "n1");
    ready(&*broker).await;
    let mut ear = Ear::join(&*broker, &org("acme")).await;
    publish(&broker, "kpi:acme", "1").await;
    assert_eq!(data_of(&ear.entry().await), "1");
    eventually("the Sentinel knows the replica", || async {
        sentinel.cli(&["SENTINEL", "REPLICAS", "mymaster"]).contains(&replica.port.to_string()).then_some(())
    })
    .await;
    eventually("the replica has it", || async { (replica.cli(&["XLEN", "rc:{acme}:log"]) == "1").then_some(()) }).await;
    primary.kill();
    let after = publish_when_possible(&broker, "kpi:acme", "2").await;
    assert!(after.seq >= 2);
    hears_again(&broker, &mut ear, "kpi:acme", "3").await;
    let page = broker.read(&org("acme"), 1, ALL).await.unwrap();
    let fences = page.entries.iter().filter(|entry| matches!(entry.body, Body::Fence(_))).count();
    assert_eq!(fences, 1, "a promotion is admitted once");
}

#[tokio::test]
async fn a_cluster_carries_many_orgs_and_heals_when_a_slot_moves_or_a_server_restarts() {
    let mut cluster = Cluster::start(0, &[]).await;
    let spread =
        Config { mode: Mode::Cluster, nodes: cluster.urls(), ingest: IngestConfig::default(), ..config("redis://ignored:1".into()) };
    let broker = start(spread, "n1");
    ready(&*broker).await;
    let mut notes = broker.control();
    broker.send_control(Some("n1"), roomcast::broker::ControlMessage("hello".into())).await.unwrap();
    assert!(notes.recv().await.is_some());
    let mut ears = Vec::new();
    for n in 0..12 {
        let org = org(&format!("org{n}"));
        ears.push((org.clone(), Ear::join(&*broker, &org).await));
    }
    for (org, ear) in &mut ears {
        publish(&broker, &format!("kpi:{org}"), "1").await;
        assert_eq!(data_of(&ear.entry().await), "1");
    }
    let slots: BTreeSet<String> =
        ears.iter().map(|(org, _)| cluster.servers[0].cli(&["CLUSTER", "KEYSLOT", &format!("rc:{{{org}}}")])).collect();
    assert_eq!(slots.len(), 12);
    crate::broker_contract::presence::all_promises(&*broker).await;
    let _ingest = broker.spawn_ingest();
    cluster.servers[0].cli(&["-c", "XADD", "rc:ingest", "*", "room", "kpi:org3", "event", "kpi:update", "data", "2"]);
    assert_eq!(data_of(&ears[3].1.entry().await), "2");

    cluster.move_slot_of("rc:{org5}");
    let (org, ear) = &mut ears[5];
    let position = publish_when_possible(&broker, &format!("kpi:{org}"), "3").await;
    assert!(position.seq >= 2);
    hears_again(&broker, ear, "kpi:org5", "4").await;
    collections::moves_with_its_log(&*broker, &cluster).await;

    let owner = cluster.owner_of("rc:{org7}");
    cluster.servers[owner].restart().await;
    let (org, ear) = &mut ears[7];
    ear.interrupted().await;
    hears_again(&broker, ear, &format!("kpi:{org}"), "5").await;
}
