//! Subscriptions with `latest`: what a dashboard sees when it opens, and that what follows joins on without a hole.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use roomcast_loadtest::{Event, Message, Options};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Token;
use crate::support::http::{Stream, ask};
use crate::support::proxy::Proxy;
use crate::support::publishers::fcall;
use crate::support::redis::Redis;
use crate::support::world::{Person, World, messages};

async fn opens(person: &Person, mut data: Value) -> Message {
    data["latest"] = json!(true);
    person.client.ask("subscribe", data).await.expect("the connection stands")
}

async fn publishes(person: &Person, room: &str, number: u64) {
    publishes_with(person, room, number, Value::Null).await;
}

async fn publishes_with(person: &Person, room: &str, number: u64, more: Value) {
    let key = json!({ "idempotency_key": format!("{room} {number}") });
    let mut options = key;
    if let (Value::Object(options), Value::Object(more)) = (&mut options, more) {
        options.extend(more);
    }
    eventually("it is published", async || {
        let answer = person.client.ask("publish", merged(room, number, &options)).await?;
        (answer.event == "published").then_some(())
    })
    .await;
}

fn merged(room: &str, number: u64, options: &Value) -> Value {
    let mut data = json!({ "room": room, "event": "kpi:update", "data": { "n": number } });
    for (name, value) in options.as_object().into_iter().flatten() {
        data[name] = value.clone();
    }
    data
}

/// Rooms with their numbers, in the order in which they stand there.
fn values(told: &Value) -> Vec<(String, u64)> {
    let shown = told["latest"]["publications"].as_array().unwrap_or_else(|| panic!("no values in {told}"));
    shown.iter().map(|value| (value["room"].as_str().unwrap().to_owned(), value["data"]["n"].as_u64().unwrap())).collect()
}

fn are(told: &Value, expected: &[(&str, u64)]) {
    let expected: Vec<_> = expected.iter().map(|(room, number)| ((*room).to_owned(), *number)).collect();
    assert_eq!(values(told), expected, "{told}");
}

#[tokio::test]
async fn a_dashboard_has_the_last_of_each_room_at_once_on_any_node() {
    let world = World::of(2).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    let eve = world.member("other", "eve", 1, &[]).await;
    for (room, number) in [("kpi:acme:sales", 1), ("kpi:acme:care:chat", 2), ("kpi:acme:sales", 3), ("chat:acme", 4), ("kpi:acme", 5)] {
        publishes(&bob, room, number).await;
    }
    publishes_with(&bob, "chat:acme", 6, json!({ "event": "kpi:computed" })).await;
    publishes(&eve, "kpi:other:sales", 99).await;
    for node in 0..2 {
        let alice = world.member("acme", "alice", node, &[]).await;
        let opened = opens(&alice, json!({ "rooms": ["kpi:acme", "kpi:acme:sales"] })).await;
        are(&opened.data, &[("kpi:acme:care:chat", 2), ("kpi:acme:sales", 3), ("kpi:acme", 5)]);
        assert_eq!(opened.data["latest"]["complete"], true);
        let newest = &opened.data["latest"]["publications"][2];
        assert!(newest["id"].is_string() && opened.data["position"].is_string());
        let again = opens(&alice, json!({ "rooms": ["kpi:acme:*:chat"], "filter": "n >= 2" })).await;
        are(&again.data, &[("kpi:acme:care:chat", 2)]);
        are(&opens(&alice, json!({ "rooms": ["kpi:acme:sales"], "filter": "n < 3" })).await.data, &[]);
        are(&opens(&alice, json!({ "rooms": ["chat:acme"] })).await.data, &[("chat:acme", 4), ("chat:acme", 6)]);
    }
    // What somebody sees who comes later is not what was there before.
    let early = world.member("acme", "early", 1, &[]).await;
    opens(&early, json!({ "rooms": ["kpi:acme"] })).await;
    publishes(&bob, "kpi:acme:sales", 6).await;
    let came = early.until("it comes live", |events| messages(events).find(|message| message.data["n"] == 6).cloned()).await;
    assert_eq!(came.room.as_deref(), Some("kpi:acme:sales"));
    let late = world.member("acme", "late", 1, &[]).await;
    are(&opens(&late, json!({ "rooms": ["kpi:acme:sales"] })).await.data, &[("kpi:acme:sales", 6)]);
}

#[tokio::test]
async fn what_is_no_state_of_a_room_is_not_told() {
    let world = World::of(1).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    for room in ["kpi:acme:a", "kpi:acme:b", "kpi:acme:c"] {
        publishes(&bob, room, 1).await;
    }
    publishes_with(&bob, "kpi:acme:a", 2, json!({ "log": false })).await;
    publishes_with(&bob, "kpi:acme:b", 3, json!({ "ttl_ms": 1 })).await;
    let bytes = json!({ "room": "kpi:acme:d", "event": "kpi:update", "data": "AAEC", "encoding": "base64" });
    assert_eq!(bob.client.ask("publish", bytes).await.unwrap().event, "published");
    let alice = world.member("acme", "alice", 0, &[]).await;
    let told = eventually("the short-lived one is over", async || {
        let told = opens(&alice, json!({ "rooms": ["kpi:acme"] })).await.data;
        (told["latest"]["publications"].as_array()?.len() == 3).then_some(told)
    })
    .await;
    let rooms: Vec<_> = told["latest"]["publications"].as_array().unwrap().iter().map(|value| value["room"].as_str().unwrap()).collect();
    assert_eq!(rooms, ["kpi:acme:a", "kpi:acme:c", "kpi:acme:d"], "of a room whose last one is over nothing older is told");
    assert_eq!(told["latest"]["publications"][0]["data"]["n"], 1);
    assert_eq!(told["latest"]["publications"][2]["encoding"], "base64");
}

#[tokio::test]
async fn it_needs_the_right_to_the_past_and_keeps_to_both_filters() {
    let world = World::of(1).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    for (room, number) in [("kpi:acme:a", 1), ("kpi:acme:b", 2), ("kpi:acme:c", 3), ("kpi:acme:d", 4)] {
        publishes(&bob, room, number).await;
    }
    let meets = async |grants: &[&str]| {
        let token = Token::of("acme", "alice").granting(grants).mint();
        Person::meet("acme", &[], Options::new([world.nodes[0].address], token)).await
    };
    let subscriber = meets(&["subscribe:kpi:acme"]).await;
    let refused = opens(&subscriber, json!({ "rooms": ["kpi:acme"] })).await;
    assert_eq!((refused.event.as_str(), refused.data["code"].as_str()), ("error", Some("UNAUTHORIZED")));
    let nothing = subscriber.client.ask("unsubscribe", json!({ "rooms": ["kpi:acme"] })).await.unwrap();
    assert_eq!(nothing.data["code"], "ROOM_NOT_FOUND", "it was not subscribed half");
    let reader = meets(&["subscribe:kpi:acme where n >= 2", "history:kpi:acme where n <= 3"]).await;
    are(&opens(&reader, json!({ "rooms": ["kpi:acme"] })).await.data, &[("kpi:acme:b", 2), ("kpi:acme:c", 3)]);
    are(&opens(&reader, json!({ "rooms": ["kpi:acme"], "filter": "n != 3" })).await.data, &[("kpi:acme:b", 2)]);
    let both = opens(&reader, json!({ "rooms": ["kpi:acme"], "since": "1-2-3" })).await;
    assert_eq!(both.data["code"], "INVALID_MESSAGE", "{both:?}");
    assert_eq!(opens(&reader, json!({ "rooms": ["kpi:other"] })).await.data["code"], "UNAUTHORIZED");
}

/// Per room the last number that somebody saw. Of a room that they `had` before, what came meanwhile may be older than what they were told;
/// of all others each came once, and none was left out since the one that they were told.
fn follows(told: &Value, events: &[Event], had: Option<&str>) -> BTreeMap<String, u64> {
    let told: BTreeMap<String, u64> = values(told).into_iter().collect();
    let mut came = BTreeMap::<String, u64>::new();
    for message in messages(events) {
        let Some(room) = &message.room else {
            assert_ne!(message.event, "gap");
            continue;
        };
        let number = message.data["n"].as_u64().unwrap();
        let known = told.get(room).copied().unwrap_or_default();
        let follows = match came.insert(room.clone(), number) {
            Some(before) => number == before + 1,
            None => number == known + 1 || (had == Some(room) && number <= known),
        };
        assert!(follows, "{room}: a hole or a double before {number}, after {known} was told");
    }
    told.into_iter().chain(came).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_the_values_and_what_follows_is_neither_a_hole_nor_a_double() {
    const ROOMS: [&str; 3] = ["kpi:acme:a", "kpi:acme:b", "kpi:acme:c:x"];
    const EACH: u64 = 500;
    let world = World::of(2).await;
    let mut publishers = Vec::new();
    for (number, room) in ROOMS.into_iter().enumerate() {
        publishers.push((world.member("acme", &format!("publisher{number}"), number % 2, &[]).await, room));
    }
    let publishing = publishers.iter().map(|(publisher, room)| async move {
        for number in 1..=EACH {
            publishes(publisher, room, number).await;
        }
    });
    let opening = async {
        let mut opened = Vec::new();
        for number in 0..20 {
            let person = world.member("acme", &format!("user{number}"), number % 2, &[]).await;
            // Some have part of it before; that must not come again.
            let had = (number % 4 == 3).then_some(ROOMS[0]);
            let from = person.events().len();
            if let Some(had) = had {
                person.client.ask("subscribe", json!({ "rooms": [had] })).await.unwrap();
            }
            let told = opens(&person, json!({ "rooms": ["kpi:acme"] })).await.data;
            opened.push((person, told, from, had));
        }
        opened
    };
    let (_, opened) = tokio::join!(join_all(publishing), opening);
    let told_early = opened.iter().filter(|(_, told, ..)| values(told).iter().map(|(_, number)| number).sum::<u64>() < 3 * EACH).count();
    assert!(told_early > 10, "most opened while something was published: {told_early}");
    for (person, told, from, had) in &opened {
        let seen = person
            .until("all has come", |events| {
                Some(follows(told, &events[*from..], *had)).filter(|seen| seen.values().sum::<u64>() == 3 * EACH)
            })
            .await;
        assert_eq!(seen.len(), ROOMS.len());
    }
}

/// How often logs have been looked at or read, by Redis' own statistics.
fn looks(redis: &Redis) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let calls = |line: &str| line.split("calls=").nth(1)?.split(',').next()?.parse::<u64>().ok();
    stats.lines().filter(|line| line.starts_with("cmdstat_xrange:")).filter_map(calls).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_opens_at_once_costs_one_reading_per_node() {
    const CROWD: usize = 200;
    let world = World::on(Redis::start(&[]).await, 2, &[("LIMITS__CONNECTIONS_PER_ORG_MAX", "0")]).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    for number in 0..30 {
        publishes(&bob, &format!("kpi:acme:d{number}"), number).await;
    }
    let mut people = Vec::new();
    for number in 0..CROWD {
        people.push(world.member("acme", &format!("user{number}"), number % 2, &[]).await);
    }
    let before = looks(&world.redis);
    let opened = join_all(people.iter().map(|person| opens(person, json!({ "rooms": ["kpi:acme"] })))).await;
    assert!(opened.iter().all(|told| values(&told.data).len() == 30));
    for node in &world.nodes {
        let metrics = node.probe("/metrics").await.unwrap();
        assert!(metrics.lines().any(|line| line == "roomcast_latest_reads_total 1"), "one page for all on this node");
        assert!(metrics.lines().any(|line| line == "roomcast_latest_publications 30"), "{metrics}");
    }
    let looked = looks(&world.redis) - before;
    assert!(looked <= CROWD as u64 / 5, "{looked} looks at the log for {CROWD} who opened at once on 2 nodes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_nothing_is_half_made_and_a_new_log_begins_with_nothing() {
    let mut world = World::of(2).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    let people = [world.member("acme", "alice", 0, &[]).await, world.member("acme", "carol", 1, &[]).await];
    publishes(&bob, "kpi:acme:old", 1).await;
    publishes(&bob, "kpi:acme:both", 1).await;
    are(&opens(&people[0], json!({ "rooms": ["kpi:acme:old"] })).await.data, &[("kpi:acme:old", 1)]);
    world.redis.kill();
    for person in &people {
        let refused = opens(person, json!({ "rooms": ["kpi:acme"] })).await;
        assert_eq!(refused.data["code"], "BROKER_UNAVAILABLE", "{refused:?}");
        assert!(refused.data["retry_after_ms"].as_u64().is_some_and(|wait_ms| wait_ms > 0));
        let nothing = person.client.ask("unsubscribe", json!({ "rooms": ["kpi:acme"] })).await.unwrap();
        assert_eq!(nothing.data["code"], "ROOM_NOT_FOUND");
    }
    world.redis.restart_empty(0).await;
    publishes(&bob, "kpi:acme:both", 2).await;
    publishes(&bob, "kpi:acme:new", 3).await;
    for person in &people {
        let told = eventually("the rooms are told again", async || {
            let told = opens(person, json!({ "rooms": ["kpi:acme"] })).await;
            (told.event == "subscribed").then_some(told.data)
        })
        .await;
        are(&told, &[("kpi:acme:both", 2), ("kpi:acme:new", 3)]);
    }
}

#[tokio::test]
async fn beyond_its_bounds_a_node_tells_the_newest_and_that_there_are_more() {
    for (setting, most) in [("HUB__LATEST__PUBLICATIONS_MAX", "3"), ("HUB__LATEST__REPLY_PUBLICATIONS_MAX", "3")] {
        let world = World::on(Redis::start(&[]).await, 1, &[(setting, most)]).await;
        let bob = world.member("acme", "bob", 0, &[]).await;
        for (number, room) in ["kpi:acme:a", "kpi:acme:b", "kpi:acme:c", "kpi:acme:d", "kpi:acme:b"].into_iter().enumerate() {
            publishes(&bob, room, number as u64).await;
        }
        let told = opens(&bob, json!({ "rooms": ["kpi:acme"] })).await.data;
        are(&told, &[("kpi:acme:c", 2), ("kpi:acme:d", 3), ("kpi:acme:b", 4)]);
        assert_eq!(told["latest"]["complete"], false, "{setting}");
    }
}

#[tokio::test]
async fn the_first_command_streams_and_polls_bring_it_too() {
    let world = World::of(1).await;
    let (at, token) = (world.nodes[0].address, Token::of("acme", "alice").mint());
    fcall(&world.redis, "acme", "kpi:acme:sales", "m1", 0).await;
    fcall(&world.redis, "acme", "kpi:acme:sales", "m2", 0).await;
    let is_told = |told: &Value| {
        assert_eq!(told["event"], "authenticated", "{told}");
        let latest = &told["data"]["latest"];
        assert_eq!((&latest["publications"][0]["data"]["mark"], &latest["complete"]), (&json!("m2"), &json!(true)), "{told}");
    };
    let mut stream = Stream::get(at, "?rooms=kpi:acme&latest=true", &token, None).await;
    is_told(&stream.event().await.message());
    let poll = ask(at, "GET", "/poll?rooms=kpi:acme&latest=true", &[("authorization", &format!("Bearer {token}"))], "").await;
    is_told(&poll.json()["messages"][0]);
    let renewer = world.member("acme", "alice", 0, &[]).await;
    let data = json!({ "token": token, "rooms": ["kpi:acme"], "latest": true });
    is_told(&json!({ "event": "authenticated", "data": renewer.client.ask("authenticate", data).await.unwrap().data }));
    fcall(&world.redis, "acme", "kpi:acme:sales", "m3", 0).await;
    assert_eq!(stream.marks(1).await, ["m3"]);
    renewer.receives("m3").await;
    let last_id = stream.last_id.clone();
    drop(stream);
    fcall(&world.redis, "acme", "kpi:acme:sales", "m4", 0).await;
    let mut back = Stream::get(at, "?rooms=kpi:acme&latest=true", &token, last_id.as_deref()).await;
    assert!(back.event().await.message()["data"]["latest"].is_null(), "who comes back goes on from where it was");
    assert_eq!(back.marks(1).await, ["m4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_promoted_replica_lacks_is_told_no_more() {
    let primary = Redis::start(&[]).await;
    let replica = Redis::start_replica(primary.port).await;
    let proxy = Proxy::start(primary.port).await;
    let world = World::at(primary, &proxy.url(), 2, &[]).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    let people = [world.member("acme", "alice", 0, &[]).await, world.member("acme", "carol", 1, &[]).await];
    publishes(&bob, "kpi:acme:a", 1).await;
    publishes(&bob, "kpi:acme:b", 1).await;
    eventually("the replica has it all", async || (replica.cli(&["XLEN", "rc:{acme}:log"]) == "2").then_some(())).await;
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    publishes(&bob, "kpi:acme:a", 2).await;
    publishes(&bob, "kpi:acme:lost", 1).await;
    for person in &people {
        are(&opens(person, json!({ "rooms": ["kpi:acme"] })).await.data, &[("kpi:acme:b", 1), ("kpi:acme:a", 2), ("kpi:acme:lost", 1)]);
    }
    // Under the numbers of what is lost now stands something else.
    for mark in ["one", "two", "three"] {
        fcall(&replica, "acme", "chat:acme", mark, 0).await;
    }
    proxy.lead_to(replica.port);
    publishes(&bob, "kpi:acme:b", 2).await;
    for (node, name) in ["dave", "erin"].into_iter().enumerate() {
        let person = world.member("acme", name, node, &[]).await;
        let told = eventually("the rooms are told", async || {
            let told = opens(&person, json!({ "rooms": ["kpi:acme"] })).await;
            (told.event == "subscribed").then_some(told.data)
        })
        .await;
        are(&told, &[("kpi:acme:a", 1), ("kpi:acme:b", 2)]);
    }
    for person in &people {
        person.until("the loss is admitted", |events| messages(events).find(|message| message.event == "gap").cloned()).await;
    }
}
