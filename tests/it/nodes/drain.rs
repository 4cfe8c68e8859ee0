//! A planned shutdown loses nothing and sends clients away one after another.

use std::time::{Duration, Instant};

use crate::support::books::{Books, Load};
use crate::support::eventually;
use crate::support::redis::Redis;
use crate::support::world::World;

const DRAIN: [(&str, &str); 4] =
    [("DRAIN__ANNOUNCE_MS", "300"), ("DRAIN__SPREAD_MS", "1000"), ("DRAIN__RETRY_AFTER_MS_MAX", "400"), ("DRAIN__DEADLINE_MS", "8000")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_node_sends_its_clients_to_others_and_nothing_is_lost() {
    let mut world = World::on(Redis::start(&[]).await, 3, &DRAIN).await;
    let books = Books::default();
    let mut people = Vec::new();
    for index in 0..30 {
        people.push(world.member("acme", &format!("user{index}"), index % 3, &["kpi:acme"]).await);
    }
    let publisher = world.member("acme", "load", 0, &[]).await;
    let load = Load::start(&books, publisher, "load", &["kpi:acme:sales"], Duration::from_millis(3));
    eventually("publications go on", async || (books.acked() >= 100).then_some(())).await;

    let asked = Instant::now();
    world.nodes[0].terminate();
    let status = world.nodes[0].exit().await;
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < Duration::from_millis(8_000), "within the deadline: {:?}", asked.elapsed());
    for person in people.iter().step_by(3) {
        let (code, reason) = person.is_closed().await;
        assert_eq!(code, 4_000);
        let wait_ms = reason["retry_after_ms"].as_u64().expect("the client is told how long to wait");
        assert!(wait_ms <= 400, "{wait_ms}");
        person
            .until("a second session", |events| {
                let again = |event: &&roomcast_loadtest::Event| event.connection > 1 && event.message().is_some();
                events.iter().find(again).map(|_| ())
            })
            .await;
    }
    let goal = books.acked() + 100;
    eventually("publications go on", async || (books.acked() >= goal).then_some(())).await;
    load.stop().await;

    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.gaps == 0, "{verdict}");
    let stayed = people.iter().filter(|person| person.is_still_connected()).count();
    assert_eq!(stayed, 20, "nobody else was sent away");
}
