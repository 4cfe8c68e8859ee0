//! Bounds, leases, acknowledgements and secrets.

use roomcast::broker::redis::Config;
use roomcast::broker::{AckLevel, Broker, Health, LeaseOutcome, PublishError};

use super::{broker_on, config, publish, start};
use crate::broker_contract::{Ear, node, org, publication, ready};
use crate::support::eventually;
use crate::support::redis::Redis;

#[tokio::test]
async fn secrets_stay_out_of_errors_and_logs() {
    let server = Redis::start(&["--requirepass", "right"]).await;
    let config = config(format!("redis://:hunter2@127.0.0.1:{}", server.port));
    assert!(!format!("{config:?}").contains("hunter2"));
    let broker = start(config, "n1");
    let reason = eventually("the password is refused", || async {
        match broker.health() {
            Health::Degraded(reason) if reason.contains("AUTH") || reason.contains("uthentication") || reason.contains("WRONGPASS") => {
                Some(reason)
            }
            _ => None,
        }
    })
    .await;
    assert!(!reason.contains("hunter2"), "{reason}");
}

#[tokio::test]
async fn a_replica_acknowledgement_is_refused_without_a_replica() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let answer = broker.publish(&publication("kpi:acme", "1"), AckLevel::Replica).await;
    assert!(matches!(answer, Err(PublishError::Unavailable(_))), "{answer:?}");
    let _replica = Redis::start_replica(server.port).await;
    let answer = broker.publish(&publication("kpi:acme", "2"), AckLevel::Replica).await.unwrap();
    assert_eq!(answer.position.unwrap().seq, 2);
}

#[tokio::test]
async fn logs_are_trimmed_by_age_and_bytes_and_keep_the_newest() {
    let server = Redis::start(&[]).await;
    let trimming = Config { age_max_s: 1, bytes_max: 40_000, trim_interval_s: 1, ..config(server.url()) };
    let broker = start(trimming, "n1");
    ready(&*broker).await;
    let org = org("acme");
    let _ear = Ear::join(&*broker, &org).await;
    let large = format!("\"{}\"", "x".repeat(1_000));
    for _ in 0..99 {
        publish(&broker, "kpi:acme", &large).await;
    }
    let last = publish(&broker, "kpi:acme", "1").await;
    eventually("bytes are within their bound", || async { (broker.open(&org).await.ok()?.first_seq > 40).then_some(()) }).await;
    let state = eventually("age is within its bound", || async {
        let state = broker.open(&org).await.ok()?;
        (state.first_seq == 100).then_some(state)
    })
    .await;
    assert_eq!(state.last, last);
}

#[tokio::test]
async fn leases_of_a_dead_node_run_out() {
    let server = Redis::start(&[]).await;
    let short = Config { lease_ms: 600, ..config(server.url()) };
    let (dead, alive) = (start(short.clone(), "dead"), start(short, "alive"));
    ready(&*dead).await;
    ready(&*alive).await;
    dead.renew(&node("dead")).await.unwrap();
    assert_eq!(dead.lease_connection(&org("acme"), 1).await, LeaseOutcome::Granted);
    assert_eq!(alive.lease_connection(&org("acme"), 1).await, LeaseOutcome::Full);
    assert_eq!(alive.nodes().await.unwrap(), [node("dead")]);
    drop(dead);
    eventually("its place is free", || async { (alive.lease_connection(&org("acme"), 1).await == LeaseOutcome::Granted).then_some(()) })
        .await;
    eventually("it is off the registry", || async { alive.nodes().await.ok()?.is_empty().then_some(()) }).await;
}
