//! Backends that write with nothing but a Redis client, well or badly.

use roomcast::broker::redis::Config;
use roomcast::broker::{Body, Broker, Health};

use super::{ALL, broker_on, config, publish, start};
use crate::broker_contract::{Ear, data_of, org, ready};
use crate::support::redis::Redis;

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
    let ask =
        || as_publisher(&["FCALL", "roomcast_publish", "1", "rc:{acme}", "kpi:acme", "e", "1", "requires_ack", "1", "receipt_to", "alice"]);
    let asked = ask();
    let kept = |asked: &str| server.cli(&["EXISTS", &format!("rc:{{acme}}:receipt:{}", asked.lines().next().unwrap())]);
    assert_eq!(kept(&asked), "1", "{asked}");
    server.cli(&["ACL", "SETUSER", "publisher", "-hset"]);
    let length = server.cli(&["XLEN", "rc:{acme}:log"]);
    let asked = ask();
    assert_eq!((kept(&asked).as_str(), asked.lines().count()), ("0", 2), "it is published all the same: {asked}");
    assert_ne!(server.cli(&["XLEN", "rc:{acme}:log"]), length);
    assert!(as_publisher(&["XADD", "rc:ingest", "*", "room", "kpi:acme", "event", "e", "data", "1"]).contains('-'));
    assert!(as_publisher(&["FLUSHALL"]).starts_with("NOPERM"));
}
