//! Long polling through a balancer that sends every request to another node: nothing is lost with an answer, a request or a node.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Token;
use crate::support::http::{CURSOR, Poller, SESSION, ask};
use crate::support::publishers::fcall;
use crate::support::redis::Redis;
use crate::support::world::World;

fn alice() -> String {
    Token::of("acme", "alice").mint()
}

fn events(answer: &Value) -> Vec<&str> {
    answer["messages"].as_array().unwrap().iter().map(|message| message["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_answer_that_got_lost_comes_again_and_one_that_came_never_does() {
    let world = World::on(Redis::start(&[]).await, 2, &[("HTTP__POLL_WAIT_MS", "300")]).await;
    let [home, elsewhere] = [world.nodes[0].address, world.nodes[1].address];
    let bearer = format!("Bearer {}", alice());
    let begun = ask(home, "GET", "/poll?rooms=kpi:acme", &[("authorization", &bearer)], "").await;
    assert_eq!(begun.header("cache-control"), "no-store");
    let session = begun.header(SESSION).to_owned();
    let begun = begun.json();
    assert_eq!((events(&begun), begun["cursor"].as_str().unwrap()), (vec!["authenticated"], "1"));
    let poll = async |at, cursor: &str| ask(at, "GET", "/poll", &[(SESSION, &session), (CURSOR, cursor)], "").await;

    assert_eq!(poll(home, "0").await.json(), begun, "the first answer can get lost too");
    for at in [home, elsewhere] {
        let nothing = poll(at, "1").await.json();
        assert_eq!(nothing, json!({ "cursor": "1", "messages": [] }), "there is nothing to say");
        assert_eq!(poll(at, "0").await.status, 409, "what came is forgotten");
    }
    fcall(&world.redis, "acme", "kpi:acme", "m0", 0).await;
    let first = poll(elsewhere, "1").await.body;
    fcall(&world.redis, "acme", "kpi:acme", "m1", 0).await;
    for at in [home, elsewhere, home] {
        assert_eq!(poll(at, "1").await.body, first, "the same bytes");
    }
    let second = poll(home, "2").await.json();
    assert_eq!(second["messages"][0]["data"]["mark"], "m1");
    for (at, cursor) in [(home, "1"), (elsewhere, "2x"), (elsewhere, "7"), (home, "18446744073709551615")] {
        assert!([400, 409].contains(&poll(at, cursor).await.status), "{cursor}");
    }
    assert_eq!(poll(elsewhere, "3").await.json()["messages"], json!([]), "the session took no harm");
}

#[tokio::test]
async fn what_is_longer_than_a_note_between_nodes_comes_whole() {
    let world = World::of(2).await;
    let mut poller = Poller::new(world.addresses(), &alice(), &["kpi:acme"]);
    poller.poll().await;
    for number in 0..4 {
        fcall(&world.redis, "acme", "kpi:acme", &format!("m{number}"), 900_000).await;
    }
    while poller.marks.len() < 4 {
        poller.poll().await;
    }
    assert_eq!(poller.marks, ["m0", "m1", "m2", "m3"]);
    assert_eq!(poller.sessions, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_costs_those_who_poll_nothing() {
    let mut world = World::of(3).await;
    let mut pollers: Vec<Poller> = (0..6)
        .map(|turn| {
            let mut nodes = world.addresses();
            nodes.rotate_left(turn % 3);
            Poller::new(nodes, &alice(), &["kpi:acme"])
        })
        .collect();
    for poller in &mut pollers {
        poller.poll().await;
    }
    let polling: Vec<_> = pollers
        .into_iter()
        .map(|mut poller| {
            tokio::spawn(async move {
                while poller.marks.last().is_none_or(|mark| mark != "m299") {
                    poller.poll().await;
                }
                poller
            })
        })
        .collect();
    for number in 0..300 {
        fcall(&world.redis, "acme", "kpi:acme", &format!("m{number}"), 0).await;
        if number == 100 {
            world.nodes[0].kill();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut moved = 0;
    for polling in polling {
        let poller = tokio::time::timeout(Duration::from_secs(60), polling).await.expect("everybody gets the last one").unwrap();
        assert_eq!(poller.gaps, 0);
        assert!(poller.marks.iter().enumerate().all(|(number, mark)| *mark == format!("m{number}")), "{:?}", poller.marks);
        moved += usize::from(poller.sessions > 1);
    }
    assert_eq!(moved, 2, "those whose sessions were on the killed node, and nobody else");
}

#[tokio::test]
async fn who_does_not_poll_any_more_is_gone_soon_and_its_place_with_it() {
    let world = World::on(Redis::start(&[]).await, 1, &[("HTTP__POLL_IDLE_MS", "200"), ("LIMITS__CONNECTIONS_PER_ORG_MAX", "1")]).await;
    let at = world.nodes[0].address;
    let enter = json!({ "event": "authenticate", "data": { "token": alice() } }).to_string();
    let begun = ask(at, "POST", "/poll", &[], &enter).await;
    let full = ask(at, "POST", "/poll", &[], &enter).await.json();
    assert_eq!((events(&full), full["close"]["code"].as_u64()), (vec!["error"], Some(4003)), "the org has its full number");
    eventually("its place is free again", async || {
        (events(&ask(at, "POST", "/poll", &[], &enter).await.json()) == ["authenticated"]).then_some(())
    })
    .await;
    assert_eq!(ask(at, "GET", "/poll", &[(SESSION, begun.header(SESSION)), (CURSOR, "1")], "").await.status, 404);
}
