//! `/ws/chat`: authenticates by a message, and shows changes of the database on a dashboard.

use serde_json::{Value, json};

use super::{Nature, client::Client, world};
use crate::support::gateway::Token;
use crate::support::publishers::rest;
use crate::support::world::World;

pub static CHAT: Nature = Nature {
    path: "/ws/chat",
    complaint: |message| {
        let fine = match message["type"].as_str() {
            Some("system") => message["payload"]["message"].is_string() && message["timestamp"].is_number(),
            Some("auth_response") => message["payload"]["success"].is_boolean(),
            Some("pong") => message["sentAt"] == 17 && message["timestamp"].is_number(),
            Some("chat") => message.get("payload").is_some() && message["timestamp"].is_number(),
            Some("database_change") => message["event"] == message["eventType"] && message["data"] == message["new"],
            Some("error") => message["payload"]["message"].is_string(),
            _ => false,
        };
        (!fine).then(|| format!("unreadable: {message}"))
    },
    final_closes: &[1000],
    ping: || Some(json!({"type": "ping", "sentAt": 17})),
};

fn alice(world: &World) -> Client {
    let auth = json!({"type": "auth", "token": Token::of("acme", "alice").mint()});
    Client::start(&CHAT, world.addresses(), None, vec![auth])
}

#[tokio::test]
async fn chat_greets_authenticates_and_exchanges_messages_with_native_clients() {
    let world = world(2).await;
    let native = world.member("acme", "bob", 1, &["chat:acme"]).await;
    let client = alice(&world);
    let verdict = client.hears_type("auth_response").await;
    assert_eq!((&verdict["payload"]["success"], &verdict["payload"]["userId"]), (&json!(true), &json!("alice")));
    assert!(verdict["payload"]["permissions"].as_array().unwrap().contains(&json!("publish:*:acme:**")), "{verdict}");
    assert_eq!(client.messages()[0]["type"], "system", "it is greeted first");
    client.hears_type("pong").await;

    client.says(json!({"type": "chat", "payload": {"mark": "ours"}, "clientId": "c-1"}));
    let message = native.receives("ours").await;
    assert_eq!((message.event.as_str(), message.room.as_deref()), ("chat:message", Some("chat:acme")));
    assert_eq!(client.hears_type("chat").await["clientId"], "c-1");
    native.publishes("chat:acme", "theirs").await;
    client.hears("a native message", |message| message["payload"]["mark"] == "theirs").await;
    client.says(json!({"type": "dance"}));
    client.hears_type("error").await;
}

#[tokio::test]
async fn chat_shows_changes_of_all_tables_until_it_asks_for_some() {
    let world = world(1).await;
    let client = alice(&world);
    client.hears_type("auth_response").await;
    let service = Token::service().mint();
    let change = async |table: &str, event: &str, row: &Value| {
        let body = json!({"event": event, "target": {"room": format!("sync:acme:{table}")}, "data": row});
        let (status, answer) = rest(&world.nodes[0], &service, "/api/ws/broadcast", &body).await;
        assert_eq!(status, 200, "{answer}");
    };
    let row = json!({"id": 1, "status": "open"});
    change("orders", "database:insert", &row).await;
    let shown = client.hears_type("database_change").await;
    let expected = json!({"type": "database_change", "table": "orders", "event": "INSERT", "data": row, "eventType": "INSERT", "new": row});
    assert_eq!(shown, expected);

    client.says(json!({"type": "subscribe", "table": "users"}));
    // Answered in order: when this is refused, the subscription is there.
    client.says(json!({"type": "dance"}));
    client.hears_type("error").await;
    change("orders", "database:update", &row).await;
    change("users", "database:delete", &json!({"id": 2})).await;
    let shown = client.hears("the table that it asked for", |message| message["table"] == "users").await;
    assert_eq!((&shown["event"], &shown["new"]), (&json!("DELETE"), &json!({"id": 2})));
    assert!(client.messages().iter().all(|message| message["event"] != "UPDATE"), "no longer all tables");

    client.says(json!({"type": "subscribe", "table": "tasks", "filter": "priority>2"}));
    let before = client.messages().len();
    client.says(json!({"type": "dance"}));
    client.hears_after(before, "the refusal behind it", |message| message["type"] == "error").await;
    for (id, priority) in [(1, 2), (2, 3), (3, 1), (4, 5)] {
        change("tasks", "database:update", &json!({"id": id, "priority": priority})).await;
    }
    client.hears("the last that meets the condition", |message| message["new"]["id"] == 4).await;
    let shown: Vec<_> =
        client.messages().iter().filter(|message| message["table"] == "tasks").map(|message| message["data"]["id"].clone()).collect();
    assert_eq!(shown, [2, 4]);
}
