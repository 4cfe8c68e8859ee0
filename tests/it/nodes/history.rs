//! The command `history`, and the log over REST backwards.

use roomcast_loadtest::{Message, Options, Outcome};
use serde_json::{Value, json};

use crate::support::gateway::Token;
use crate::support::redis::Redis;
use crate::support::world::{Person, World};

async fn asks(person: &Person, data: Value) -> Message {
    person.client.ask("history", data).await.expect("the connection stands")
}

async fn publishes(person: &Person, room: &str, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        let outcome = person.client.publish(room, "kpi:update", json!({ "n": number })).await;
        assert!(matches!(outcome, Outcome::Acked { .. }), "{outcome:?}");
    }
}

fn numbers(page: &Message) -> Vec<u64> {
    page.data["publications"].as_array().unwrap().iter().map(|shown| shown["data"]["n"].as_u64().unwrap()).collect()
}

/// All pages until the end.
async fn pages(person: &Person, mut data: Value) -> Vec<Vec<u64>> {
    let mut all = Vec::new();
    loop {
        let page = asks(person, data.clone()).await;
        assert_eq!(page.event, "history", "{page:?}");
        all.push(numbers(&page));
        if page.data["end"] == json!(true) {
            return all;
        }
        data["since"] = page.data["next"].clone();
    }
}

#[tokio::test]
async fn the_past_of_a_room_comes_in_pages_from_either_end_on_any_node() {
    let world = World::of(2).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    publishes(&bob, "kpi:acme:sales", 1..=3).await;
    publishes(&bob, "chat:acme", 50..=52).await;
    publishes(&bob, "kpi:acme:sales", 4..=7).await;
    for node in 0..2 {
        let alice = world.member("acme", "alice", node, &[]).await;
        let room = "kpi:acme:sales";
        assert_eq!(pages(&alice, json!({ "room": room, "limit": 3 })).await, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
        let backwards = pages(&alice, json!({ "room": "kpi:acme", "limit": 4, "reverse": true })).await;
        assert_eq!(backwards, [vec![7, 6, 5, 4], vec![3, 2, 1]]);
        let some = pages(&alice, json!({ "room": "*:acme:**", "filter": "n >= 6", "reverse": true })).await;
        assert_eq!(some, [vec![7, 6, 52, 51, 50]]);
        assert_eq!(alice.received(), [""; 0], "nobody is subscribed by that");
    }
}

#[tokio::test]
async fn it_needs_a_right_of_its_own_and_keeps_to_the_filter_of_the_grant() {
    let world = World::of(1).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    publishes(&bob, "kpi:acme:sales", 1..=5).await;
    let with = |grants: &[&str]| Token::of("acme", "alice").granting(grants).mint();
    let meets = async |grants: &[&str]| Person::meet("acme", &[], Options::new([world.nodes[0].address], with(grants))).await;
    let subscriber = meets(&["subscribe:kpi:acme"]).await;
    assert_eq!(asks(&subscriber, json!({ "room": "kpi:acme" })).await.data["code"], "UNAUTHORIZED");
    let reader = meets(&["history:kpi:acme where n <= 2 or n = 5"]).await;
    assert_eq!(numbers(&asks(&reader, json!({ "room": "kpi:acme" })).await), [1, 2, 5]);
    assert_eq!(numbers(&asks(&reader, json!({ "room": "kpi:acme:sales", "filter": "n > 1" })).await), [2, 5]);
    for (data, code) in [
        (json!({ "room": "*:acme:**" }), "UNAUTHORIZED"),
        (json!({ "room": "kpi:other" }), "UNAUTHORIZED"),
        (json!({ "room": "kpi" }), "INVALID_ROOM"),
        (json!({ "room": "kpi:acme", "filter": "n >" }), "INVALID_MESSAGE"),
        (json!({ "room": "kpi:acme", "limit": 0 }), "INVALID_MESSAGE"),
    ] {
        assert_eq!(asks(&reader, data.clone()).await.data["code"], code, "{data}");
    }
}

#[tokio::test]
async fn what_the_log_no_longer_holds_is_told_and_answers_are_bounded() {
    let settings = [("BROKER__REDIS__ENTRIES_MAX", "5"), ("HUB__HISTORY_BYTES_MAX", "300")];
    let world = World::on(Redis::start(&[]).await, 1, &settings).await;
    let alice = world.member("acme", "alice", 0, &[]).await;
    publishes(&alice, "kpi:acme:sales", 1..=400).await;
    let backwards = pages(&alice, json!({ "room": "kpi:acme", "reverse": true })).await;
    assert!(backwards.iter().all(|page| page.len() <= 3), "{backwards:?}");
    let oldest = *backwards.concat().last().unwrap();
    assert!(oldest > 1, "Redis trims some");
    let last = asks(&alice, json!({ "room": "kpi:acme", "reverse": true })).await;
    assert_eq!(last.data["gaps"], json!([]), "the newest page says nothing of the other end");
    let mut data = json!({ "room": "kpi:acme", "reverse": true });
    let end = loop {
        let page = asks(&alice, data.clone()).await;
        if page.data["end"] == json!(true) {
            break page;
        }
        data["since"] = page.data["next"].clone();
    };
    assert_eq!(end.data["gaps"][0]["reason"], "trimmed");
}
