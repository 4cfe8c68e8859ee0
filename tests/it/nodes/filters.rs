//! Subscriptions with filters, and filters that tokens enforce.

use roomcast_loadtest::{Message, Options};
use serde_json::{Value, json};

use crate::support::gateway::Token;
use crate::support::world::{Person, World};

const ROOM: &str = "alerts:acme:sales";

async fn asks(person: &Person, event: &'static str, data: Value) -> Message {
    person.client.ask(event, data).await.expect("the connection stands")
}

async fn publishes(person: &Person, mark: &str, data: Value) -> String {
    let mut data = data;
    data["mark"] = json!(mark);
    match person.client.publish_with(ROOM, "alert:triggered", data, json!({ "headers": { "region": "eu" } })).await {
        roomcast_loadtest::Outcome::Acked { id: Some(id), .. } => id,
        other => panic!("{mark}: {other:?}"),
    }
}

#[tokio::test]
async fn what_does_not_pass_does_not_come_live_or_replayed() {
    let world = World::of(2).await;
    let bob = world.member("acme", "bob", 1, &[]).await;
    let begin = publishes(&bob, "before", json!({ "severity": 1 })).await;
    let alice = world.member("acme", "alice", 0, &[]).await;
    let filter = json!({ "rooms": ["alerts:acme"], "filter": "severity >= 3 and headers.region = eu" });
    assert_eq!(asks(&alice, "subscribe", filter.clone()).await.event, "subscribed");
    for (mark, severity) in [("two", json!(2)), ("three", json!(3)), ("text", json!("4")), ("none", Value::Null), ("five", json!(5))] {
        publishes(&bob, mark, json!({ "severity": severity })).await;
    }
    alice.receives("five").await;
    assert_eq!(alice.received(), ["three", "five"]);

    let late = world.member("acme", "late", 1, &[]).await;
    let mut since = filter;
    since["since"] = json!(begin);
    assert_eq!(asks(&late, "subscribe", since).await.event, "subscribed");
    late.receives("five").await;
    assert_eq!(late.received(), ["three", "five"]);
}

#[tokio::test]
async fn each_filter_is_a_subscription_of_its_own_and_what_passes_two_comes_once() {
    let world = World::of(1).await;
    let alice = world.member("acme", "alice", 0, &[]).await;
    let rooms = json!({ "rooms": [{ "room": ROOM, "filter": "n = 1" }, { "room": "alerts:acme", "filter": "n <= 2" }] });
    assert_eq!(asks(&alice, "subscribe", rooms).await.data["rooms"], json!([ROOM, "alerts:acme"]));
    publishes(&alice, "one", json!({ "n": 1 })).await;
    publishes(&alice, "two", json!({ "n": 2 })).await;

    let plain = asks(&alice, "unsubscribe", json!({ "rooms": ["alerts:acme"] })).await;
    assert_eq!(plain.data["code"], "ROOM_NOT_FOUND");
    let named = asks(&alice, "unsubscribe", json!({ "rooms": ["alerts:acme"], "filter": "N<=2" })).await;
    assert_eq!(named.data["code"], "ROOM_NOT_FOUND", "names of fields are case-sensitive");
    let named = asks(&alice, "unsubscribe", json!({ "rooms": ["alerts:acme"], "filter": "n<=2.0" })).await;
    assert_eq!(named.event, "unsubscribed");
    publishes(&alice, "two again", json!({ "n": 2 })).await;
    publishes(&alice, "one again", json!({ "n": 1 })).await;
    alice.receives("one again").await;
    assert_eq!(alice.received(), ["one", "two", "one again"]);
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_or_is_one_too_many_is_refused() {
    let world = World::on(crate::support::redis::Redis::start(&[]).await, 1, &[("HUB__FILTERS_MAX", "2")]).await;
    let alice = world.member("acme", "alice", 0, &[]).await;
    let refused = asks(&alice, "subscribe", json!({ "rooms": [ROOM], "filter": "severity >> 3" })).await;
    assert_eq!(refused.data["code"], "INVALID_MESSAGE");
    assert!(refused.data["message"].as_str().unwrap().contains("at byte 10, \"> 3\""), "{refused:?}");
    for (filter, code) in [("a = 1", Value::Null), ("a = 2", Value::Null), ("a = 3", json!("SUBSCRIPTION_FAILED")), ("a=1", Value::Null)] {
        let reply = asks(&alice, "subscribe", json!({ "rooms": [ROOM, "kpi:acme"], "filter": filter })).await;
        assert_eq!(reply.data["code"], code, "{filter}");
    }
}

#[tokio::test]
async fn what_a_token_enforces_cannot_be_got_round_and_follows_its_renewal() {
    let world = World::of(2).await;
    let bob = world.member("acme", "bob", 1, &[]).await;
    let holder = |filter: &str| Token::of("acme", "alice").granting(&[&format!("subscribe:alerts:acme where {filter}")]).mint();
    let alice = Person::meet("acme", &["alerts:acme"], Options::new([world.nodes[0].address], holder("n <= 2"))).await;
    let wide = asks(&alice, "subscribe", json!({ "rooms": ["alerts:acme"], "filter": "n >= 2 or not n exists" })).await;
    assert_eq!(wide.event, "subscribed");
    let begin = publishes(&bob, "one", json!({ "n": 1 })).await;
    publishes(&bob, "two", json!({ "n": 2 })).await;
    publishes(&bob, "three", json!({ "n": 3 })).await;
    publishes(&bob, "nothing", json!({})).await;
    publishes(&bob, "one again", json!({ "n": 1 })).await;
    alice.receives("one again").await;
    assert_eq!(alice.received(), ["one", "two", "one again"]);

    assert_eq!(alice.client.renew(&holder("n = 2")).await.unwrap().event, "authenticated");
    publishes(&bob, "one no more", json!({ "n": 1 })).await;
    publishes(&bob, "two still", json!({ "n": 2 })).await;
    alice.receives("two still").await;
    assert_eq!(alice.client.renew(&holder("n >= 2")).await.unwrap().event, "authenticated");
    publishes(&bob, "three now", json!({ "n": 3 })).await;
    alice.receives("three now").await;
    assert_eq!(alice.received(), ["one", "two", "one again", "two still", "three now"]);
    assert_eq!(alice.count("unsubscribed"), 0);

    // What was held back before is there for whoever asks for it.
    let since = json!({ "rooms": ["alerts:acme:sales"], "since": begin });
    assert_eq!(asks(&alice, "subscribe", since).await.event, "subscribed");
    alice.receives("three").await;
    assert_eq!(alice.client.renew(&holder("n = ")).await.unwrap().data["code"], "AUTH_FAILED");
    publishes(&bob, "three by the old token", json!({ "n": 3 })).await;
    alice.receives("three by the old token").await;
}
