//! Redis goes away and comes back, with its data and without.

use std::time::Duration;

use roomcast_loadtest::Outcome;
use roomcast_loadtest::ledger::Fate;
use serde_json::json;

use crate::support::books::{Books, Load};
use crate::support::eventually;
use crate::support::redis::Redis;
use crate::support::world::{Person, World, messages};

const ROOM: &str = "kpi:acme:sales";
const PAUSE: Duration = Duration::from_millis(3);

async fn people_on_every_node(world: &World) -> Vec<Person> {
    let mut people = Vec::new();
    for index in 0..2 * world.nodes.len() {
        people.push(world.member("acme", &format!("user{index}"), index % world.nodes.len(), &["kpi:acme"]).await);
    }
    people
}

async fn acked(books: &Books, more: usize) {
    let goal = books.acked() + more;
    eventually("publications go on", async || (books.acked() >= goal).then_some(())).await;
}

/// Publishes until it works.
async fn publishes_again(person: &Person, books: &Books, mark: &str) {
    eventually("publishing works again", async || {
        let key = json!({ "idempotency_key": mark });
        let outcome = person.client.publish_with(ROOM, "kpi:update", json!({ "mark": mark }), key).await;
        books.note(mark, ROOM, outcome.fate());
        matches!(outcome, Outcome::Acked { .. }).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_publishes_are_refused_and_afterwards_all_heals() {
    let redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let mut world = World::on(redis, 3, &[]).await;
    let books = Books::default();
    let people = people_on_every_node(&world).await;
    let load = Load::start(&books, world.member("acme", "load", 0, &[]).await, "load", &[ROOM], PAUSE);
    acked(&books, 200).await;
    world.redis.kill();
    for (number, person) in people.iter().enumerate() {
        let (mark, unavailable) = (format!("away-{number}"), Outcome::Refused("BROKER_UNAVAILABLE".to_owned()));
        assert_eq!(person.publish(ROOM, &mark).await, unavailable);
        books.note(&mark, ROOM, Fate::Refused);
    }
    world.redis.restart().await;
    acked(&books, 200).await;
    load.stop().await;

    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.gaps == 0 && verdict.wire_dup == 0, "{verdict}");
    assert!(people.iter().all(Person::is_still_connected), "sessions outlive Redis");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lost_everything_costs_each_client_one_gap() {
    let mut world = World::of(3).await;
    let books = Books::default();
    let mut people = people_on_every_node(&world).await;
    for number in 0..50 {
        let mark = format!("before-{number}");
        let id = people[0].publishes(ROOM, &mark).await;
        books.note(&mark, ROOM, Fate::Acked(id.parse().ok()));
    }
    assert!(books.settle(&people).await.is_clean());
    let away = people.pop().unwrap().leaves();

    world.redis.restart_empty(0).await;
    publishes_again(&people[1], &books, "after-0").await;
    for number in 1..50 {
        publishes_again(&people[number % people.len()], &books, &format!("after-{number}")).await;
    }
    people.push(world.welcome(away, 0).await);
    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean(), "{verdict}");
    for person in &people {
        let gaps: Vec<_> = messages(&person.events()).filter(|message| message.event == "gap").cloned().collect();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0].data["reason"], "log_lost");
        assert!(person.is_still_connected());
    }
}
