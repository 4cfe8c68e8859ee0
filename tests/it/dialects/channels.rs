//! `/ws/channels`: any event in channels of any name.

use serde_json::{Value, json};

use super::{Nature, client::Client, world};
use crate::hostile::client::{Client as Compressing, DEFLATE};
use crate::support::gateway::Token;
use crate::support::world::World;

pub static CHANNELS: Nature = Nature {
    path: "/ws/channels",
    complaint: |message| {
        let fine = message["type"].is_string() && message["timestamp"].is_number();
        (!fine).then(|| format!("unreadable: {message}"))
    },
    final_closes: &[1000],
    ping: || Some(json!({"type": "ping", "payload": {"timestamp": 17}})),
};

fn member(world: &World, node: usize, name: &str, channel: &str) -> Client {
    let mut addresses = world.addresses();
    addresses.rotate_left(node);
    let subscribe = json!({"type": "subscribe", "payload": {"channel": channel}});
    Client::start(&CHANNELS, addresses, Some(&Token::of("acme", name).mint()), vec![subscribe])
}

fn said(channel: &str, event: &str, payload: &Value) -> Value {
    json!({"type": "channel_message", "payload": {"channel": channel, "event": event, "payload": payload}})
}

#[tokio::test]
async fn channels_carry_free_events_between_clients_on_different_nodes_and_to_native_ones() {
    let world = world(2).await;
    let native = world.member("acme", "carol", 0, &["chat:acme:lobby", "kpi:acme"]).await;
    let (alice, bob) = (member(&world, 0, "alice", "lobby"), member(&world, 1, "bob", "lobby"));
    assert_eq!(alice.hears_type("pong").await["timestamp"], 17);
    bob.hears_type("pong").await;

    alice.says(said("lobby", "message", &json!({"mark": "hello"})));
    let heard = bob.hears_type("message").await;
    assert_eq!(heard["payload"], json!({"mark": "hello"}));
    let message = native.receives("hello").await;
    assert_eq!((message.event.as_str(), message.room.as_deref()), ("message", Some("chat:acme:lobby")));
    bob.says(said("lobby", "user:typing", &json!("bob")));
    assert_eq!(alice.hears_type("user:typing").await["payload"], "bob");
    native.publishes("chat:acme:lobby", "native").await;
    assert_eq!(alice.hears_type("kpi:update").await["payload"]["mark"], "native");

    alice.says(json!({"type": "subscribe", "payload": {"channel": "no such name"}}));
    assert_eq!(alice.hears_type("error").await["payload"]["code"], "INVALID_ROOM");
    alice.says(said("lobby", "pong", &Value::Null));
    alice.hears("the refusal of a forged pong", |message| message["payload"]["code"] == "INVALID_MESSAGE").await;
}

#[tokio::test]
async fn channels_are_taken_up_again_after_a_crash_of_the_node() {
    let mut world = world(2).await;
    let (alice, bob) = (member(&world, 0, "alice", "lobby"), member(&world, 1, "bob", "lobby"));
    alice.hears_type("pong").await;
    bob.hears_type("pong").await;
    let before = alice.messages().len();
    world.nodes[0].kill();
    alice.is_connected_again(1).await;
    alice.hears_after(before, "a pong behind the subscription", |message| message["type"] == "pong").await;
    bob.says(said("lobby", "message", &json!("again")));
    alice.hears("a message on the other node", |message| message["payload"] == "again").await;
}

#[tokio::test]
async fn long_messages_of_a_dialect_are_compressed_where_that_was_agreed_to() {
    let world = world(1).await;
    let token = Token::of("acme", "alice").mint();
    let mut raw = Compressing::open_at(world.nodes[0].address, &format!("{}?token={token}", CHANNELS.path), DEFLATE).await;
    assert!(raw.deflated);
    raw.command(&json!({"type": "subscribe", "payload": {"channel": "lobby"}})).await;
    let bob = member(&world, 0, "bob", "lobby");
    bob.hears_type("pong").await;
    let payload = json!("x".repeat(5_000));
    bob.says(said("lobby", "message", &payload));
    let received = raw.message().await;
    assert_eq!((&received["type"], &received["payload"]), (&json!("message"), &payload));
    assert_eq!(bob.hears_type("message").await["payload"], payload);
}
