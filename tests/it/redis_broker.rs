//! What only Redis can do to a broker: foreign publishers, crashes, failovers, several nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use redis::streams::StreamRangeReply;
use roomcast::broker::redis::{Config, IngestConfig, Mode, RedisBroker};
use roomcast::broker::{AckLevel, Body, Broker, Health, LeaseOutcome, OrgEvent, PageLimit, PublishError};
use roomcast::protocol::{GapReason, Position};

use crate::broker_contract::{Ear, data_of, node, org, publication, ready, syntax};
use crate::support::eventually;
use crate::support::redis::{Cluster, Proxy, Redis};

const ALL: PageLimit = PageLimit { entries: 1_000, bytes: 1 << 20 };

/// Timeouts short enough for tests, with the relations of the defaults.
fn config(url: String) -> Config {
    Config { url, watchdog_interval_ms: 200, command_timeout_ms: 1_000, reconnect_pause_max_ms: 200, ..Config::default() }
}

fn start(config: Config, node_id: &str) -> Arc<RedisBroker> {
    RedisBroker::start(config, syntax(), node_id).unwrap()
}

async fn broker_on(redis: &Redis) -> Arc<RedisBroker> {
    let broker = start(config(redis.url()), "n1");
    ready(&*broker).await;
    broker
}

async fn publish(broker: &RedisBroker, room: &str, data: &str) -> Position {
    broker.publish(&publication(room, data), AckLevel::Primary).await.unwrap().position.unwrap()
}

/// Publishes until it works; the answer is the first position.
async fn publish_when_possible(broker: &RedisBroker, room: &str, data: &str) -> Position {
    eventually("publishing works again", || async { broker.publish(&publication(room, data), AckLevel::Primary).await.ok()?.position })
        .await
}

#[tokio::test]
async fn what_redis_cli_publishes_is_heard() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let mut ear = Ear::join(&*broker, &org("acme")).await;
    let answer = server.cli(&[
        "FCALL",
        "roomcast_publish",
        "1",
        "rc:{acme}",
        "kpi:acme:sales:support",
        "kpi:update",
        "{\"v\":1}",
        "priority",
        "high",
        "idempotency_key",
        "k",
    ]);
    let (position, duplicate) = answer.split_once('\n').unwrap();
    let heard = ear.entry().await;
    assert_eq!((heard.position.to_string().as_str(), duplicate), (position, "0"));
    assert_eq!(data_of(&heard), "{\"v\":1}");
}

#[tokio::test]
async fn the_function_refuses_what_breaks_isolation_or_form() {
    let server = Redis::start(&[]).await;
    let broker = start(Config { data_bytes_max: 1_000, ..config(server.url()) }, "n1");
    ready(&*broker).await;
    let long = format!("\"{}\"", "x".repeat(999));
    for (args, why) in [
        (&["rc:{acme}", "kpi:other", "e", "1"][..], "another org"),
        (&["rc:acme", "kpi:acme", "e", "1"], "in braces"),
        (&["rc:{acme}", "kpi:org:acme", "e", "1"], "short form"),
        (&["rc:{acme}", "kpi:acme:a\nb", "e", "1"], "segment"),
        (&["rc:{acme}", "kpi", "e", "1"], "a room is"),
        (&["rc:{acme}", "user:acme", "e", "1"], "user:<org>:<user>"),
        (&["rc:{acme}", "kpi:acme", "e f", "1"], "event name"),
        (&["rc:{acme}", "kpi:acme", "e", "{"], "JSON"),
        (&["rc:{acme}", "kpi:acme", "e", &long], "at most"),
        (&["rc:{acme}", "kpi:acme", "e", "1", "colour", "red"], "no such option"),
        (&["rc:{acme}", "kpi:acme", "e", "1", "priority"], "pairs"),
        (&["rc:{acme}", "kpi:acme", "e", "1", "priority", "huge"], "priority"),
        (&["rc:{acme}", "kpi:acme", "e", "1", "headers", "{\"a\":\n\"b\"}"], "headers"),
        (&["rc:{acme}", "kpi:acme", "e", "1", "ttl_ms", "-1"], "ttl_ms"),
        (&["rc:{acme}", "kpi:acme", "e"], "arguments"),
    ] {
        let answer = server.cli(&[&["FCALL", "roomcast_publish", "1"], args].concat());
        assert!(answer.starts_with("REFUSED") && answer.contains(why), "{why}: {answer}");
    }
    assert_eq!(server.cli(&["EXISTS", "rc:{acme}:log"]), "0");
}

#[tokio::test]
async fn entries_written_past_the_function_are_malformed_and_never_data() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let org = org("acme");
    publish(&broker, "kpi:acme", "1").await;
    let epoch = server.cli(&["GET", "rc:{acme}:epoch"]);
    server.cli(&["XADD", "rc:{acme}:log", &format!("{epoch}-*"), "h", "5 kpi:other e", "d", "{}"]);
    server.cli(&["XADD", "rc:{acme}:log", &format!("{epoch}-*"), "hello", "world"]);
    // "checked" tells the function not to look; the node looks all the same.
    server.cli(&["FCALL", "roomcast_publish", "1", "rc:{acme}", "kpi:acme", "e", "},{", "checked", "1"]);
    publish(&broker, "kpi:acme", "2").await;
    let page = broker.read(&org, 1, ALL).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.position.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for malformed in &page.entries[1..4] {
        assert_eq!(malformed.body, Body::Malformed);
    }
    assert_eq!(data_of(&page.entries[4]), "2");
    // An id of Redis' own making uses up all numbers below the present: the log begins anew rather than never again.
    server.cli(&["XADD", "rc:{acme}:log", "*", "h", "", "d", ""]);
    let position = publish(&broker, "kpi:acme", "3").await;
    assert_ne!(position.epoch.to_string(), epoch);
    assert_eq!(position.seq, 1);
}

#[tokio::test]
async fn publishing_works_where_functions_are_forbidden() {
    let server = Redis::start(&[]).await;
    server.cli(&["ACL", "SETUSER", "node", "on", ">secret", "~*", "&*", "+@all", "-function", "-fcall"]);
    let url = format!("redis://node:secret@127.0.0.1:{}", server.port);
    let broker = start(config(url), "n1");
    ready(&*broker).await;
    let mut ear = Ear::join(&*broker, &org("acme")).await;
    publish(&broker, "kpi:acme", "1").await;
    let sha = server.cli(&["GET", "rc:publish:sha"]);
    let answer = server.cli(&["EVALSHA", &sha, "1", "rc:{acme}", "kpi:acme", "kpi:update", "2"]);
    assert!(answer.ends_with("\n0"), "{answer}");
    assert_eq!((data_of(&ear.entry().await), data_of(&ear.entry().await)), ("1".into(), "2".into()));
    assert_eq!(broker.health(), Health::Ready);
}

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
    publish(&broker, "kpi:acme", "3").await;
    while data_of(&ear.entry().await) != "3" {}
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_begins_a_new_log() {
    let mut server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let mut ear = Ear::join(&*broker, &org("acme")).await;
    let before = publish(&broker, "kpi:acme", "1").await;
    ear.entry().await;
    assert_eq!(broker.lease_connection(&org("acme"), 1).await, LeaseOutcome::Granted);
    server.restart_empty().await;
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
    let replica = Redis::start_replica(&primary).await;
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
    let fence = loop {
        let entry = ear.entry().await;
        if matches!(entry.body, Body::Fence(GapReason::Fork)) {
            break entry;
        }
    };
    let page = broker.read(&org, 1, ALL).await.unwrap();
    assert_eq!(page.entries[0].position, kept);
    assert_eq!(page.entries[1].position.seq, lost.seq);
    assert_ne!(page.entries[1].position, lost, "the same number, another entry: {reused}");
    assert_eq!(page.entries[2], fence);
    assert_eq!(page.entries.len(), 3);
    // Another node that opens it adds no second one.
    let other = start(config(proxy.url()), "n2");
    ready(&*other).await;
    assert_eq!(other.open(&org).await.unwrap().last, fence.position);
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
    publish(&broker, "kpi:acme", "3").await;
    while data_of(&ear.entry().await) != "3" {}
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

#[tokio::test]
async fn the_documented_user_can_publish_and_little_else() {
    let server = Redis::start(&[]).await;
    let _broker = broker_on(&server).await;
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/publishing.md")).unwrap();
    let line = docs.lines().find(|line| line.starts_with("ACL SETUSER publisher")).unwrap();
    let args: Vec<String> =
        line.split(' ').map(|word| if word.starts_with('>') { ">secret".to_owned() } else { word.to_owned() }).collect();
    server.cli(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let as_publisher = |args: &[&str]| server.cli(&[&["--user", "publisher", "--pass", "secret", "--no-auth-warning"], args].concat());
    for _ in 0..2 {
        let answer = as_publisher(&["FCALL", "roomcast_publish", "1", "rc:{acme}", "kpi:acme", "e", "1", "idempotency_key", "k"]);
        assert_eq!(answer.lines().count(), 2, "{answer}");
    }
    assert!(as_publisher(&["XADD", "rc:ingest", "*", "room", "kpi:acme", "event", "e", "data", "1"]).contains('-'));
    assert!(as_publisher(&["FLUSHALL"]).starts_with("NOPERM"));
}

#[tokio::test]
async fn a_replica_acknowledgement_is_refused_without_a_replica() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    let answer = broker.publish(&publication("kpi:acme", "1"), AckLevel::Replica).await;
    assert!(matches!(answer, Err(PublishError::Unavailable(_))), "{answer:?}");
    let _replica = Redis::start_replica(&server).await;
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

#[tokio::test]
async fn sentinel_leads_to_the_promoted_primary() {
    let mut primary = Redis::start(&[]).await;
    let replica = Redis::start_replica(&primary).await;
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
    let mut cluster = Cluster::start().await;
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
    let _ingest = broker.spawn_ingest();
    cluster.servers[0].cli(&["-c", "XADD", "rc:ingest", "*", "room", "kpi:org3", "event", "kpi:update", "data", "2"]);
    assert_eq!(data_of(&ears[3].1.entry().await), "2");

    cluster.move_slot_of("rc:{org5}");
    let (org, ear) = &mut ears[5];
    let position = publish_when_possible(&broker, &format!("kpi:{org}"), "3").await;
    assert!(position.seq >= 2);
    hears_again(&broker, ear, "kpi:org5", "4").await;

    let owner = cluster.owner_of("rc:{org7}");
    cluster.servers[owner].restart().await;
    let (org, ear) = &mut ears[7];
    ear.interrupted().await;
    hears_again(&broker, ear, &format!("kpi:{org}"), "5").await;
}

/// Publishes until the feed brings it: what is published before a subscription is back is for the log to tell.
async fn hears_again(broker: &RedisBroker, ear: &mut Ear, room: &str, data: &str) {
    eventually("the feed goes on", async || {
        broker.publish(&publication(room, data), AckLevel::Primary).await.ok()?;
        let heard = tokio::time::timeout(std::time::Duration::from_millis(300), ear.next()).await.ok()?;
        matches!(heard, OrgEvent::Entry(entry) if matches!(&entry.body, Body::Publication(read) if read.data[..] == *data.as_bytes()))
            .then_some(())
    })
    .await;
}
