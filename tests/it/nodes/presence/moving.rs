//! Presence while a slot of a Redis Cluster moves: leases, stays and news move along, and nobody is seen to leave.

use std::sync::Arc;

use super::*;
use crate::support::redis::Cluster;

/// Says it again until the broker, whose slot is under way, has it.
async fn says_at_last(person: &Person, event: &'static str, data: Value) {
    eventually(&format!("{event} is taken"), async || {
        let reply = person.is_answered(event, data.clone()).await;
        assert!(reply.event != "error" || reply.data["code"] == "BROKER_UNAVAILABLE", "{event}: {}", reply.data);
        (reply.event != "error").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_takes_those_who_are_present_along() {
    let cluster = Cluster::start(0, &[]).await;
    let nodes = format!("{:?}", cluster.urls());
    let settings = [("BROKER__REDIS__MODE", "cluster"), ("BROKER__REDIS__NODES", nodes.as_str())];
    let world = World::at(cluster, "redis://ignored:1", 2, &settings).await;
    let watchers = [world.member("acme", "watcher", 0, &[]).await, world.member("acme", "watcher", 1, &[]).await];
    let (alice, bob) = (world.member("acme", "alice", 0, &[]).await, world.member("acme", "bob", 1, &[]).await);
    let carol = world.member("acme", "carol", 1, &[]).await;
    for watcher in &watchers {
        watcher.watches().await;
    }
    for (person, course) in [(&alice, vec!["+alice"]), (&bob, vec!["+alice", "+bob"]), (&carol, vec!["+alice", "+bob", "+carol"])] {
        person.enters("online").await;
        for watcher in &watchers {
            watcher.sees_course(&course).await;
        }
    }

    // Carol goes on telling of herself while the keys move, and then for so long that leases would run out that did not move along, or were
    // not renewed where they are now.
    let world = Arc::new(world);
    let moving = tokio::task::spawn_blocking({
        let world = Arc::clone(&world);
        move || world.redis.move_slot_of("rc:{acme}:presence")
    });
    let (begun, mut told) = (Instant::now(), 0);
    while !moving.is_finished() || begun.elapsed() < LEASE {
        told += 1;
        says_at_last(&carol, "presence:update", json!({ "room": LOBBY, "state": told })).await;
    }
    moving.await.unwrap();
    assert!(told > 1, "she did tell");
    for watcher in &watchers {
        let last = json!({ "user_id": "carol", "status": "online", "state": told });
        watcher.until("what she told last", |events| (seen(events).updates.last() == Some(&last)).then_some(())).await;
    }

    // Who comes and goes now is seen, and nobody was seen to do so meanwhile.
    let dave = world.member("acme", "dave", 0, &[]).await;
    says_at_last(&dave, "presence:enter", json!({ "room": LOBBY })).await;
    for watcher in &watchers {
        watcher.sees(&["alice", "bob", "carol", "dave"]).await;
    }
    says_at_last(&bob, "presence:leave", json!({ "room": LOBBY })).await;
    for watcher in &watchers {
        watcher.sees_course(&["+alice", "+bob", "+carol", "+dave", "-bob"]).await;
    }
}
