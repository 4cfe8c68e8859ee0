//! `/api/v2/ws`: warns of every `type` that it does not know.

use serde_json::{Value, json};

use super::{Nature, client::Client, world};
use crate::support::gateway::{Gateway, Token};
use crate::support::publishers::rest;

pub static API_V2: Nature = Nature {
    path: "/api/v2/ws",
    complaint: |message| {
        let known = ["subscribed", "unsubscribed", "alerts", "telemetry", "error"];
        let fine = message["type"].as_str().is_some_and(|kind| known.contains(&kind));
        (!fine).then(|| format!("unknown message type: {message}"))
    },
    final_closes: &[],
    ping: || None,
};

async fn publish(node: &Gateway, room: &str, event: &str, data: Value) {
    let body = json!({"event": event, "target": {"room": room}, "data": data});
    assert_eq!(rest(node, &Token::service().mint(), "/api/ws/broadcast", &body).await.0, 200);
}

#[tokio::test]
async fn api_v2_gets_the_alerts_and_devices_that_it_subscribed_to_also_after_a_reconnect() {
    let mut world = world(2).await;
    let first =
        vec![json!({"action": "subscribe", "type": "alerts"}), json!({"action": "subscribe", "type": "device", "device_id": "d-1"})];
    let client = Client::start(&API_V2, world.addresses(), Some(&Token::of("acme", "alice").mint()), first);
    let subscribed = client.hears("the device", |message| message["device_id"] == "d-1").await;
    assert_eq!(subscribed, json!({"type": "subscribed", "channel": "device", "device_id": "d-1"}));
    assert!(client.messages().contains(&json!({"type": "subscribed", "channel": "alerts"})));

    publish(&world.nodes[1], "alerts:acme:sales", "alert:triggered", json!({"text": "full"})).await;
    assert_eq!(client.hears_type("alerts").await, json!({"type": "alerts", "alerts": [{"text": "full"}]}));
    publish(&world.nodes[1], "telemetry:acme:d-2", "telemetry:update", json!({"metrics": {}})).await;
    publish(&world.nodes[1], "telemetry:acme:d-1", "telemetry:update", json!({"timestamp": 7, "metrics": {"t": 1}})).await;
    let telemetry = client.hears_type("telemetry").await;
    assert_eq!(telemetry, json!({"type": "telemetry", "device_id": "d-1", "data": {"timestamp": 7, "metrics": {"t": 1}}}));

    client.says(json!({"action": "unsubscribe", "type": "alerts"}));
    assert_eq!(client.hears_type("unsubscribed").await, json!({"type": "unsubscribed", "channel": "alerts"}));
    client.says(json!({"action": "subscribe", "type": "device", "device_id": "aa:bb"}));
    assert!(client.hears_type("error").await["message"].is_string());

    let before = client.messages().len();
    world.nodes[0].kill();
    client.is_connected_again(1).await;
    client.hears_after(before, "it is subscribed again", |message| message["device_id"] == "d-1").await;
    publish(&world.nodes[1], "telemetry:acme:d-1", "telemetry:update", json!({"timestamp": 8, "metrics": {}})).await;
    client.hears_after(before, "telemetry", |message| message["data"]["timestamp"] == 8).await;
}
