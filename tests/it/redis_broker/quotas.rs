//! Quotas over several nodes, and of backends that talk to Redis alone.

use std::time::Instant;

use redis::streams::StreamRangeReply;
use roomcast::broker::quota::QuotaStore;
use roomcast::broker::redis::Config;
use roomcast::broker::{AckLevel, Broker, PublishError};
use roomcast::limit::Quota;

use super::{ALL, config, start};
use crate::broker_contract::{Ear, data_of, org, publication, publication_of, ready};
use crate::support::eventually;
use crate::support::redis::Redis;

fn quota(publications_per_s: u32) -> Quota {
    Quota { publications_per_s, ..Quota::default() }
}

#[tokio::test]
async fn all_nodes_and_backends_draw_on_one_allowance() {
    let server = Redis::start(&[]).await;
    let metered = || Config { quota: quota(20), ..config(server.url()) };
    let nodes = [start(metered(), "n1"), start(metered(), "n2")];
    for node in &nodes {
        ready(&**node).await;
    }
    let (begun, mut passed, mut refused) = (Instant::now(), 0, [false; 2]);
    while refused != [true; 2] {
        for (node, refused) in nodes.iter().zip(&mut refused) {
            match node.publish(&publication("kpi:acme", "1"), AckLevel::Primary).await {
                Ok(_) => passed += 1,
                Err(PublishError::Exceeded(_)) => *refused = true,
                Err(other) => panic!("{other}"),
            }
        }
    }
    let most = 40.0 + 20.0 * begun.elapsed().as_secs_f64() + 1.0;
    assert!((40.0..=most).contains(&f64::from(passed)), "{passed} of {most}");
    let answer = eventually("a backend is refused too", async || {
        let answer = server.cli(&["FCALL", "roomcast_publish", "1", "rc:{acme}", "kpi:acme", "kpi:update", "1"]);
        answer.starts_with("LIMITED").then_some(answer)
    })
    .await;
    assert!(answer.starts_with("LIMITED publications 20 "), "{answer}");
    // A quota of its own is obeyed within a second, by all.
    nodes[0].set_quota(&org("acme"), &quota(0)).await.unwrap();
    eventually("there is no limit any more", async || {
        for _ in 0..100 {
            nodes[1].publish(&publication("kpi:acme", "1"), AckLevel::Primary).await.ok()?;
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_in_the_ingest_stream_waits_aside_and_holds_up_no_other_org() {
    let server = Redis::start(&[]).await;
    let metered = Config { quota: quota(100), ..config(server.url()) };
    let nodes = [start(metered.clone(), "n1"), start(metered, "n2")];
    for node in &nodes {
        ready(&**node).await;
    }
    let mut victim = Ear::join(&*nodes[0], &org("victim")).await;
    const FLOOD: usize = 400;
    let mut pipe = redis::pipe();
    for n in 0..FLOOD {
        pipe.cmd("XADD").arg("rc:ingest").arg("*").arg(&["room", "kpi:flood", "event", "kpi:update", "data", &n.to_string()]).ignore();
    }
    pipe.cmd("XADD").arg("rc:ingest").arg("*").arg(&["room", "kpi:victim", "event", "kpi:update", "data", "\"mine\""]).ignore();
    let mut connection = redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let () = pipe.query_async(&mut connection).await.unwrap();

    let mut consumers = vec![nodes[0].spawn_ingest()];
    let mine = victim.entry().await;
    assert_eq!(data_of(&mine), "\"mine\"");

    // Whoever takes over finds what waited, in its order.
    consumers.clear();
    consumers.push(nodes[1].spawn_ingest());
    eventually("the stream is empty", || async { (server.cli(&["XLEN", "rc:ingest"]) == "0").then_some(()) }).await;
    let page = nodes[0].read(&org("flood"), 1, ALL).await.unwrap();
    assert_eq!(page.entries.iter().map(data_of).collect::<Vec<_>>(), (0..FLOOD).map(|n| n.to_string()).collect::<Vec<_>>());
    let later = page.entries.iter().filter(|entry| publication_of(entry).time_us > publication_of(&mine).time_us).count();
    assert!((1..=FLOOD - 200).contains(&later), "the victim came past what waits: {later}");
    let dead: StreamRangeReply = server.ask(redis::cmd("XRANGE").arg("rc:ingest:dead").arg("-").arg("+")).await;
    assert!(dead.ids.is_empty());
}
