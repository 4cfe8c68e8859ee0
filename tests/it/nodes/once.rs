//! One log entry, whatever is retried and whoever dies in between.

use roomcast_loadtest::Outcome;
use serde_json::json;

use crate::support::eventually;
use crate::support::gateway::Token;
use crate::support::publishers::{log_length, rest, xadd};
use crate::support::world::World;

const ROOM: &str = "kpi:acme:sales";

#[tokio::test]
async fn a_key_used_twice_is_logged_once_through_whatever_door() {
    let world = World::of(2).await;
    let alice = world.member("acme", "alice", 0, &["kpi:acme"]).await;
    let bob = world.member("acme", "bob", 1, &["kpi:acme"]).await;
    let key = || json!({ "idempotency_key": "k" });
    let first = alice.client.publish_with(ROOM, "kpi:update", json!({ "mark": "once" }), key()).await;
    let Outcome::Acked { id: Some(id), duplicate: false } = first else { panic!("{first:?}") };
    let again = bob.client.publish_with(ROOM, "kpi:update", json!({ "mark": "twice" }), key()).await;
    assert_eq!(again, Outcome::Acked { id: Some(id.clone()), duplicate: true });

    let body = json!({ "event": "kpi:update", "target": { "room": ROOM }, "data": { "mark": "thrice" }, "idempotency_key": "k" });
    let (status, answer) = rest(&world.nodes[1], &Token::service().mint(), "/api/ws/broadcast", &body).await;
    assert_eq!((status, &answer["id"], &answer["duplicate"]), (200, &json!(id), &json!(true)), "{answer}");

    xadd(&world.redis, ROOM, "by ingest", &[("idempotency_key", "k")]).await;
    xadd(&world.redis, ROOM, "the end", &[]).await;
    alice.receives("the end").await;
    bob.receives("the end").await;
    assert_eq!(alice.received(), ["once", "the end"]);
    assert_eq!(bob.received(), ["once", "the end"]);
    assert_eq!(log_length(&world.redis, "acme").await, 2);
}

/// The moment between append and ack cannot be hit from outside, so Redis makes it: an ACL that lets the node append but neither
/// acknowledge nor delete holds the consumer right there until it is killed.
#[tokio::test]
async fn a_consumer_killed_between_append_and_ack_leaves_one_entry() {
    let mut world = World::of(1).await;
    let early = world.member("acme", "alice", 0, &["kpi:acme"]).await;
    world.redis.cli(&["ACL", "SETUSER", "default", "-xack", "-xdel"]);
    let marks: Vec<String> = (0..20).map(|number| format!("m{number}")).collect();
    for mark in &marks {
        xadd(&world.redis, ROOM, mark, &[]).await;
    }
    early.receives("m0").await;
    assert_eq!(world.redis.cli(&["XLEN", "rc:ingest"]), "20", "nothing of it could be acknowledged");
    world.nodes[0].kill();
    let away = early.leaves();
    world.redis.cli(&["ACL", "SETUSER", "default", "+xack", "+xdel"]);
    world.add_node().await;

    eventually("the stream is consumed", async || (world.redis.cli(&["XLEN", "rc:ingest"]) == "0").then_some(())).await;
    assert_eq!(log_length(&world.redis, "acme").await, marks.len());
    let back = world.welcome(away, 1).await;
    back.receives("m19").await;
    assert_eq!(back.received(), marks);
    assert_eq!(world.redis.cli(&["EXISTS", "rc:ingest:dead"]), "0");
}
