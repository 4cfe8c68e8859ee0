//! Nodes and pub/sub connections that die under load: clients resume, and the ledger shows only zeros.

use std::time::Duration;

use crate::support::books::{Books, Load};
use crate::support::eventually;
use crate::support::world::{Person, World};

const ROOMS: [&str; 3] = ["kpi:acme:sales", "kpi:acme:sales:support", "backlog:acme:ops"];
const PAUSE: Duration = Duration::from_millis(3);
/// Acknowledged publications before and after whatever happens.
const SOME: usize = 150;

/// People on every node, with subscriptions of every kind.
async fn crowd(world: &World, per_node: usize) -> Vec<Person> {
    let kinds: [&[&str]; 4] = [&["kpi:acme"], &["*:acme:**"], &["kpi:acme:*:support", "backlog:acme"], &["kpi:acme:sales:support"]];
    let mut people = Vec::new();
    for index in 0..per_node * world.nodes.len() {
        let node = index % world.nodes.len();
        people.push(world.member("acme", &format!("user{index}"), node, kinds[index / world.nodes.len() % kinds.len()]).await);
    }
    people
}

async fn some_more(books: &Books) {
    let goal = books.acked() + SOME;
    eventually("publications go on", async || (books.acked() >= goal).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_killed_node_resume_on_others_and_miss_nothing() {
    let mut world = World::of(3).await;
    let books = Books::default();
    let people = crowd(&world, 8).await;
    // One publishes through the node that dies, one through another.
    let loads = [0, 1].map(|node| (node, format!("load{node}")));
    let mut running = Vec::new();
    for (node, name) in &loads {
        running.push(Load::start(&books, world.member("acme", name, *node, &[]).await, name, &ROOMS, PAUSE));
    }
    some_more(&books).await;
    let killed_us = books.now_us();
    world.nodes[0].kill();
    some_more(&books).await;
    for person in people.iter().step_by(3) {
        person.until("a second connection", |events| events.iter().any(|event| event.connection == 2).then_some(())).await;
    }
    some_more(&books).await;
    for load in running {
        load.stop().await;
    }

    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.gaps == 0, "{verdict}");
    assert!(verdict.wire_dup * 50 <= verdict.receipts, "at most 2 % come twice: {verdict}");
    let back_us = books.ledger(&people).back_us(killed_us, 1_000_000);
    assert!(back_us <= 10_000_000, "everyone was whole after {back_us} µs");
    let moved = people.iter().filter(|person| person.connections() > 1).count();
    assert_eq!(moved, 8, "those of the killed node moved, and nobody else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_when_redis_drops_the_pubsub_connections() {
    let world = World::of(3).await;
    let books = Books::default();
    let people = crowd(&world, 4).await;
    let load = Load::start(&books, world.member("acme", "load", 1, &[]).await, "load", &ROOMS, PAUSE);
    for _ in 0..3 {
        some_more(&books).await;
        let killed: usize = world.redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).parse().unwrap();
        assert!(killed >= 3, "every node has a pub/sub connection: {killed}");
    }
    some_more(&books).await;
    load.stop().await;

    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.gaps == 0 && verdict.wire_dup == 0, "{verdict}");
    assert!(people.iter().all(|person| person.connections() == 1), "all stay connected");
}
