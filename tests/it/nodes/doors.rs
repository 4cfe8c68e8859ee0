//! Every way in leads to every subscriber on every node: once, in log order, and into no other org.

use roomcast_loadtest::ledger::Fate;
use serde_json::json;

use crate::support::books::Books;
use crate::support::gateway::Token;
use crate::support::publishers::{fcall, log_length, rest, xadd};
use crate::support::world::{Person, World};

/// Rounds of one publication through each door.
const ROUNDS: usize = 25;

#[tokio::test]
async fn what_enters_by_any_door_reaches_subscribers_on_every_node_once_and_in_log_order() {
    let world = World::of(3).await;
    let books = Books::default();
    let mut people = Vec::new();
    for (node, name) in ["alice", "bob", "carol"].into_iter().enumerate() {
        people.push(world.member("acme", name, node, &["kpi:acme"]).await);
    }
    let room = "kpi:acme:sales:support";
    for round in 0..ROUNDS {
        through_every_door(&world, &people[0], &books, "acme", room, round).await;
    }

    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.wire_dup == 0 && verdict.gaps == 0, "{verdict}");
    assert_eq!((verdict.acked, verdict.receipts), (4 * ROUNDS as u64, 3 * 4 * ROUNDS as u64), "{verdict}");
    assert_eq!(people[0].received(), people[1].received());
    assert_eq!(people[0].received(), people[2].received());
    assert_eq!(log_length(&world.redis, "acme").await, 4 * ROUNDS);
}

async fn through_every_door(world: &World, publisher: &Person, books: &Books, org: &str, room: &str, round: usize) {
    let mark = |door: &str| format!("{org}-{door}-{round}");
    let id = publisher.publishes(room, &mark("websocket")).await;
    books.note(&mark("websocket"), room, Fate::Acked(id.parse().ok()));

    let position = fcall(&world.redis, org, room, &mark("fcall"), 0).await;
    books.note(&mark("fcall"), room, Fate::Acked(position.parse().ok()));

    xadd(&world.redis, room, &mark("ingest"), &[]).await;
    books.note(&mark("ingest"), room, Fate::Acked(None));

    let body = json!({ "event": "kpi:update", "target": { "room": room }, "data": { "mark": mark("rest") } });
    let (status, answer) = rest(&world.nodes[0], &Token::service().mint(), "/api/ws/broadcast", &body).await;
    assert_eq!(status, 200, "{answer}");
    books.note(&mark("rest"), room, Fate::Acked(answer["id"].as_str().and_then(|id| id.parse().ok())));
}

#[tokio::test]
async fn ten_orgs_at_once_see_nothing_of_each_other() {
    let world = World::of(3).await;
    let books = Books::default();
    let orgs: Vec<String> = (0..10).map(|number| format!("org{number}")).collect();
    let mut people = Vec::new();
    for org in &orgs {
        for node in 0..3 {
            let rooms = [format!("kpi:{org}"), format!("*:{org}:**")];
            people.push(world.member(org, &format!("user{node}"), node, &[&rooms[0], &rooms[1]]).await);
        }
    }
    for round in 0..5 {
        let publishing = orgs.iter().enumerate().map(|(index, org)| {
            let (world, books, publisher) = (&world, &books, &people[index * 3]);
            async move { through_every_door(world, publisher, books, org, &format!("kpi:{org}:sales"), round).await }
        });
        futures_util::future::join_all(publishing).await;
    }
    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.wire_dup == 0 && verdict.gaps == 0, "{verdict}");
    assert_eq!((verdict.acked, verdict.receipts), (10 * 5 * 4, 3 * 10 * 5 * 4), "{verdict}");
}
