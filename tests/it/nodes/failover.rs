//! A replica is promoted that lacks the last entries and has written others under the same numbers.

use roomcast_loadtest::Outcome;
use roomcast_loadtest::ledger::Fate;
use serde_json::json;

use crate::support::books::Books;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::publishers::fcall;
use crate::support::redis::{Redis, free_port};
use crate::support::world::{Person, World, messages};

const ROOM: &str = "kpi:acme:sales";

async fn publishes(person: &Person, books: &Books, name: &str, count: usize) {
    for number in 0..count {
        let mark = format!("{name}-{number}");
        let id = eventually("the publication is acknowledged", async || {
            let key = json!({ "idempotency_key": mark });
            match person.client.publish_with(ROOM, "kpi:update", json!({ "mark": mark }), key).await {
                Outcome::Acked { id, .. } => id,
                _ => None,
            }
        })
        .await;
        books.note(&mark, ROOM, Fate::Acked(id.parse().ok()));
    }
}

/// Keeps replication from bringing what comes next: the replica is promoted while everyone still speaks to the old primary.
async fn promote(replica: &Redis) {
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_promoted_replica_lacks_is_admitted_to_everyone_who_may_miss_it() {
    let primary = Redis::start(&[]).await;
    let replica = Redis::start_replica(primary.port).await;
    let proxy = Proxy::start(primary.port).await;
    let other_way = Proxy::start(primary.port).await;
    let mut world = World::at(primary, &proxy.url(), 2, &[]).await;
    world.add_node_at(&other_way.url()).await;
    let books = Books::default();
    let mut people = Vec::new();
    for (node, name) in ["alice", "bob", "carol", "dave", "erin"].into_iter().enumerate() {
        people.push(world.member("acme", name, node % 3, &["kpi:acme"]).await);
    }
    publishes(&people[0], &books, "shared", 20).await;
    assert!(books.settle(&people).await.is_clean());
    eventually("the replica has it all", async || (replica.cli(&["XLEN", "rc:{acme}:log"]) == "20").then_some(())).await;

    // Erin goes before the loss, and carol's node is cut off; dave sees what will be lost, and goes too.
    let before = people.pop().unwrap().leaves();
    promote(&replica).await;
    other_way.lead_to(free_port());
    publishes(&people[0], &books, "lost", 10).await;
    assert!(books.settle([&people[0], &people[1], &people[3]]).await.is_clean());
    let after = people.pop().unwrap().leaves();
    for number in 0..15 {
        let mark = format!("other-{number}");
        let position = fcall(&replica, "acme", ROOM, &mark, 0).await;
        books.note(&mark, ROOM, Fate::Acked(position.parse().ok()));
    }
    proxy.lead_to(replica.port);
    other_way.lead_to(replica.port);
    publishes(&people[1], &books, "later", 20).await;
    people.push(world.welcome(before, 1).await);
    people.push(world.welcome(after, 2).await);

    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean(), "{verdict}");
    for (person, why) in [(&people[2], "was cut off during the loss"), (&people[3], "was away before the loss")] {
        let gaps: Vec<_> = messages(&person.events()).filter(|message| message.event == "gap").cloned().collect();
        assert!(gaps.iter().any(|gap| gap.data["reason"] == "fork"), "who {why} is told: {gaps:?}");
    }
    assert!(people[..3].iter().all(Person::is_still_connected), "sessions outlive the failover");
}
