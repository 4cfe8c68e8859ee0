//! `/ws/command-center`: subscribes to nothing and filters by itself, with wildcards.

use serde_json::{Value, json};

use super::{Nature, client::Client, world};
use crate::support::eventually;
use crate::support::gateway::Token;
use crate::support::publishers::rest;
use crate::support::world::messages;

pub static COMMAND_CENTER: Nature = Nature {
    path: "/ws/command-center",
    complaint: |message| {
        let fine = message["channel"].is_string() || *message == json!({"type": "pong"});
        (!fine).then(|| format!("channel.startsWith of undefined: {message}"))
    },
    final_closes: &[1000, 1001],
    ping: || Some(json!({"type": "ping"})),
};

/// The client's own filter: `activity.*`, `*`, or a channel as it is.
fn is_for(pattern: &str, message: &Value) -> bool {
    let channel = message["channel"].as_str().unwrap_or_default();
    pattern == "*" || channel == pattern || pattern.strip_suffix('*').is_some_and(|prefix| channel.starts_with(prefix))
}

#[tokio::test]
async fn command_center_gets_all_that_it_is_granted_and_is_heard_by_native_clients() {
    let world = world(2).await;
    let native = world.member("acme", "bob", 1, &["activity:acme"]).await;
    let client = Client::start(&COMMAND_CENTER, vec![world.nodes[0].address], Some(&Token::of("acme", "alice").mint()), vec![]);
    client.hears_type("pong").await;

    native.publishes("kpi:acme:sales", "native").await;
    let received = client.hears("the native publication", |message| is_for("kpi.*", message)).await;
    assert_eq!((&received["channel"], &received["payload"]), (&json!("kpi.update"), &json!({"mark": "native"})));
    assert!(is_for("*", &received) && received["timestamp"].is_string() && received["id"].is_string(), "{received}");

    let sent = json!({"type": "event", "channel": "activity.created", "payload": {"mark": "ours"}, "timestamp": "2025-11-21T09:00:00Z", "id": "m-1"});
    client.says(sent.clone());
    let message = native.receives("ours").await;
    assert_eq!((message.event.as_str(), message.room.as_deref()), ("activity:created", Some("activity:acme")));
    let echo = client.hears("its own message", |message| is_for("activity.*", message)).await;
    for field in ["type", "channel", "payload", "id"] {
        assert_eq!(echo[field], sent[field], "{field}");
    }
    let body = json!({"event": "system:broadcast", "target": {"organization_id": "acme"}, "data": "hello"});
    assert_eq!(rest(&world.nodes[1], &Token::service().mint(), "/api/ws/broadcast", &body).await.0, 200);
    client.hears("what is for the whole org", |message| is_for("system.broadcast", message)).await;
    assert_eq!(client.connections(), 1);
}

#[tokio::test]
async fn command_center_is_granted_no_more_than_its_token_says_and_told_of_errors_in_its_own_words() {
    let world = world(1).await;
    let native = world.member("acme", "bob", 0, &["kpi:acme"]).await;
    let stranger = world.member("umbrella", "eve", 0, &["kpi:umbrella"]).await;
    let token = Token::of("acme", "alice").granting(&["subscribe:activity:acme", "subscribe:kpi:acme:sales"]).mint();
    let client = Client::start(&COMMAND_CENTER, world.addresses(), Some(&token), vec![]);
    client.hears_type("pong").await;
    stranger.publishes("kpi:umbrella", "foreign").await;
    native.publishes("kpi:acme:support", "not granted").await;
    native.publishes("kpi:acme:sales", "granted").await;
    client.hears("what is granted", |message| message["payload"]["mark"] == "granted").await;
    assert_eq!(client.messages().iter().filter(|message| is_for("kpi.*", message)).count(), 1);
    for (message, code) in [
        (json!({"type": "event", "channel": "activity.created", "payload": 1}), "UNAUTHORIZED"),
        (json!({"type": "event", "payload": 1}), "INVALID_MESSAGE"),
        (json!({"type": "event", "channel": "kpi.unheard", "payload": 1}), "UNAUTHORIZED"),
        (json!({"type": "event", "channel": "nowhere.created", "payload": 1}), "INVALID_ROOM"),
    ] {
        let before = client.messages().len();
        client.says(message.clone());
        let error = client.hears_after(before, "an error", |message| message["type"] == "error").await;
        assert_eq!((&error["channel"], &error["payload"]["code"]), (&json!("system.error"), &json!(code)), "{message}");
    }
}

#[tokio::test]
async fn command_center_moves_to_another_node_when_its_own_is_drained() {
    let mut world = world(2).await;
    let native = world.member("acme", "bob", 1, &["activity:acme"]).await;
    let client = Client::start(&COMMAND_CENTER, world.addresses(), Some(&Token::of("acme", "alice").mint()), vec![]);
    client.hears_type("pong").await;
    world.nodes[0].terminate();
    assert!(world.nodes[0].exit().await.success());
    let (code, _) = client.is_closed().await;
    assert_eq!(code, 4_000, "neither 1000 nor 1001, after which it would stay away");
    client.is_connected_again(1).await;
    eventually("it hears of new publications", async || {
        native.publishes("activity:acme", "again").await;
        client.messages().iter().any(|message| message["payload"]["mark"] == "again").then_some(())
    })
    .await;
    assert!(messages(&native.events()).all(|message| message.event != "error"));
}
