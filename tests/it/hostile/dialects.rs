//! The dialects' doors: whatever is said there wrongly is answered in the dialect's own words, and the session goes on.

use serde_json::{Value, json};

use super::client::{Client, frame, text};
use super::gateway::token;
use super::stage::Stage;

const ENABLED: (&str, &str) = ("ROOMCAST_DIALECTS__ENABLED", "command-center,api-v2,chat,channels");

/// Path, message, and what is asked whether the session goes on.
fn wrong() -> Vec<(&'static str, String)> {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let mut messages = Vec::new();
    for path in ["/ws/command-center", "/api/v2/ws", "/ws/chat", "/ws/channels"] {
        let anywhere =
            ["", "null", "[]", "[\"ping\"]", "{}", "\"ping\"", "{\"type\":7}", "{\"type\":\"a\",\"type\":\"b\"}", "{\"type\":\"\\ud800\"}"];
        messages.extend(anywhere.map(|message| (path, message.to_owned())));
        messages.push((path, "{\"type\":".repeat(50_000)));
        messages.push((path, json!({"type": "x".repeat(500_000)}).to_string()));
    }
    let channel = |name: &str, channel: &str| json!({"type": name, "payload": {"channel": channel, "event": "e"}}).to_string();
    messages.extend([
        ("/ws/command-center", json!({"type": "e", "channel": ".", "payload": 1}).to_string()),
        ("/ws/command-center", json!({"type": "e", "channel": "activity.a b", "payload": 1}).to_string()),
        ("/ws/command-center", json!({"type": "e", "channel": "org.system:broadcast", "payload": 1}).to_string()),
        ("/ws/command-center", json!({"type": "e", "channel": "activity:umbrella.created", "payload": 1}).to_string()),
        ("/ws/command-center", json!({"type": "x".repeat(5_000), "channel": "activity.created", "payload": 1}).to_string()),
        ("/ws/command-center", format!(r#"{{"type":"e","channel":"activity.created","payload":{deep}}}"#)),
        ("/api/v2/ws", json!({"action": "subscribe", "type": "device", "device_id": "d:umbrella"}).to_string()),
        ("/api/v2/ws", json!({"action": "subscribe", "type": "device", "device_id": ""}).to_string()),
        ("/api/v2/ws", json!({"action": "subscribe", "type": "device", "device_id": {"$ne": 1}}).to_string()),
        ("/ws/chat", json!({"type": "auth", "token": "a.b.c"}).to_string()),
        ("/ws/chat", json!({"type": "auth", "token": "x".repeat(100_000)}).to_string()),
        ("/ws/chat", json!({"type": "chat", "payload": 1, "clientId": "x".repeat(5_000)}).to_string()),
        ("/ws/chat", json!({"type": "ping", "sentAt": {"deep": []}}).to_string()),
        ("/ws/chat", json!({"type": "subscribe", "table": "orders:umbrella"}).to_string()),
        ("/ws/channels", channel("subscribe", "kpi:a:b:c")),
        ("/ws/channels", channel("subscribe", "lobby\r\n{\"level\":\"ERROR\"}")),
        ("/ws/channels", channel("channel_message", "user:alice")),
        ("/ws/channels", channel("channel_message", "no:such")),
        ("/ws/channels", json!({"type": "channel_message", "payload": {"channel": "lobby", "event": "a\u{0}b"}}).to_string()),
        ("/ws/channels", json!({"type": "channel_message", "payload": {"channel": "lobby", "event": "error"}}).to_string()),
    ]);
    messages
}

fn is_refusal(message: &Value) -> bool {
    message["type"] == "error" || (message["type"] == "auth_response" && message["payload"]["success"] == false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_wrongly_in_a_dialect_is_refused_in_its_own_words() {
    let stage = Stage::start(&[ENABLED]).await;
    let token = token("mallory", "acme", Some(&["subscribe:*:acme:**", "publish:*:acme:**"]));
    for (path, message) in wrong() {
        let mut client = Client::open(&stage.gateway, &format!("{path}?token={token}"), "").await;
        client.send(&text(&message)).await;
        // A second one shows that the session lives.
        for number in 0..2 {
            let shown: String = message.chars().take(200).collect();
            loop {
                let answer = client.message().await;
                if is_refusal(&answer) {
                    break;
                }
                let harmless = ["system", "auth_response"].iter().any(|kind| answer["type"] == *kind);
                assert!(harmless, "{path} {shown} {number}: {answer}");
            }
            client.send(&text("{\"type\":\"no such\"}")).await;
        }
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_messages_and_repeated_nonsense_end_a_dialects_session_with_a_close_after_which_it_may_know_better() {
    let stage = Stage::start(&[ENABLED, ("ROOMCAST_SESSION__INVALID_COMMANDS_MAX", "20")]).await;
    let token = token("mallory", "acme", None);
    for path in ["/ws/command-center", "/api/v2/ws", "/ws/chat", "/ws/channels"] {
        let mut client = Client::open(&stage.gateway, &format!("{path}?token={token}"), "").await;
        client.send(&frame(0x82, b"{\"type\":\"ping\"}")).await;
        assert_eq!(client.closed().await.0, 1003, "{path}");
        let mut client = Client::open(&stage.gateway, &format!("{path}?token={token}"), "").await;
        for _ in 0..30 {
            client.send(&text("{\"type\":\"no such\"}")).await;
        }
        assert_eq!(client.closed().await.0, 4504, "{path}");
    }
    stage.end().await;
}
