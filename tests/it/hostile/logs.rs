//! Line ends, terminal escapes and forged lines in everything that a client or a backend can have logged: one event stays one line.
//!
//! The stage holds every line of the log against what a node writes; here the log is the text for people, which no quoting of JSON protects.

use roomcast::auth::Scope;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::client::{Client, Heard, close, frame, request as handshake, response_head, text};
use super::gateway::{service_token, token};
use super::rest::{bearer, exchange, request};
use super::stage::Stage;
use super::tokens::claims_with;
use crate::support::eventually;
use crate::support::redis::Redis;

/// Would be three lines in a careless log, the second a forged one, the third in red and with the screen cleared before it.
const FORGED: &str = "x\r\n2026-11-25T00:00:00.000000Z  INFO roomcast: forged\n\u{1b}[2J\u{1b}[31mred\u{7}\u{8}\u{9b}\u{202e}";
/// Everything is logged, by roomcast and by what it is made of.
const LOUD: [(&str, &str); 3] = [
    ("ROOMCAST_TELEMETRY__LOG__FORMAT", "pretty"),
    ("ROOMCAST_TELEMETRY__LOG__FILTER", "trace"),
    ("ROOMCAST_WEBSOCKET__QUERY_TOKEN", "true"),
];

/// Percent signs before every byte, so that it passes for a path.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

async fn send(stage: &Stage, bytes: &[u8]) {
    let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
    let _ = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    response_head(&mut socket).await;
}

#[tokio::test]
async fn no_field_of_a_request_writes_lines_into_the_log() {
    let stage = Stage::start(&LOUD).await;
    let raw = FORGED.replace(['\r', '\n'], " ");
    for input in [
        handshake(&format!("/ws/{}", escaped(FORGED)), ""),
        handshake(&format!("/ws?token={}", escaped(FORGED)), ""),
        handshake("/ws", &format!("Origin: http://{raw}\r\n")),
        handshake("/ws", &format!("Authorization: Bearer {raw}\r\n")),
        handshake("/ws", &format!("Sec-WebSocket-Protocol: {raw}\r\n")),
        handshake("/ws", &format!("User-Agent: {raw}\r\nX-Forwarded-For: {raw}\r\nCookie: {raw}\r\n")),
        request("GET", &format!("/api/ws/{}", escaped(FORGED)), &bearer("x"), ""),
        request("GET", &format!("/api/ws/connections/{}", escaped(FORGED)), &bearer(&service_token("acme", &[Scope::Connections])), ""),
        request(&raw, "/api/ws/stats", "", ""),
        request("GET", &format!("/{raw}"), "", ""),
        FORGED.to_owned(),
    ] {
        send(&stage, input.as_bytes()).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn no_name_in_a_token_writes_lines_into_the_log() {
    let stage = Stage::start(&LOUD).await;
    for claims in
        [json!({"sub": FORGED}), json!({"org": FORGED}), json!({"jti": FORGED}), json!({"iss": FORGED}), json!({"grants": [FORGED]})]
    {
        let mut client = Client::open(&stage.gateway, "/ws", "").await;
        client.command(&json!({"event": "authenticate", "id": "in", "data": {"token": claims_with(&claims)}})).await;
        client.answer("in").await;
    }
    // The name of a service need not be usable in rooms, and is logged with what it does.
    let forger = claims_with(&json!({"sub": FORGED, "scope": "roomcast:revoke roomcast:connections"}));
    let lines = format!("{}Content-Type: application/json\r\n", bearer(&forger));
    let revoke = request("POST", "/api/ws/revoke", &lines, &json!({"user_id": "nobody"}).to_string());
    assert_eq!(exchange(&stage.gateway, revoke.as_bytes()).await.0, 200);
    let victim = Client::session(&stage.gateway, &token("victim", "acme", None)).await;
    let list = exchange(&stage.gateway, request("GET", "/api/ws/connections", &bearer(&forger), "").as_bytes()).await.2;
    let id = serde_json::from_str::<serde_json::Value>(&list).unwrap()["connections"][0]["socket_id"].as_str().unwrap().to_owned();
    assert_eq!(
        exchange(&stage.gateway, request("DELETE", &format!("/api/ws/connections/{id}"), &bearer(&forger), "").as_bytes()).await.0,
        200
    );
    drop(victim);
    eventually("it is logged", async || stage.gateway.log().contains("disconnected a session").then_some(())).await;
    stage.end().await;
}

#[tokio::test]
async fn no_command_and_no_close_writes_lines_into_the_log() {
    let stage = Stage::start(&LOUD).await;
    let mut client = stage.session().await;
    for command in [
        json!({"event": FORGED}),
        json!({"event": "client:ping", "id": FORGED}),
        json!({"event": "subscribe", "data": {"rooms": [FORGED]}}),
        json!({"event": "subscribe", "data": {"channels": ["kpi"], "department_id": FORGED}}),
        json!({"event": "subscribe", "data": {"rooms": ["kpi:acme"], "since": FORGED}}),
        json!({"event": "publish", "data": {"event": FORGED, "room": "kpi:acme", "data": 1}}),
        json!({"event": "publish", "data": {"event": "kpi:update", "room": FORGED, "data": 1}}),
        json!({"event": "publish", "data": {"event": "kpi:update", "room": "kpi:acme", "data": FORGED, "headers": {"traceparent": FORGED}}}),
        json!({"event": "publish", "data": {"event": "kpi:update", "room": "kpi:acme", "data": 1, "idempotency_key": FORGED}}),
    ] {
        client.command(&command).await;
        client.message().await;
    }
    client.send(&text(FORGED)).await;
    client.message().await;
    client.send(&frame(0x89, FORGED.as_bytes())).await;
    assert!(matches!(client.heard().await, Heard::Pong(_)));
    client.send(&close(4000, FORGED.as_bytes())).await;
    client.closed().await;
    stage.end().await;
}

#[tokio::test]
async fn nothing_in_redis_writes_lines_into_the_log() {
    let redis = Redis::start(&[]).await;
    let url = redis.url();
    let variables = [&LOUD[..], &[("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_BROKER__REDIS__URL", &url)]].concat();
    let stage = Stage::start(&variables).await;
    let mut client = stage.session().await;
    client.command(&json!({"event": "subscribe", "id": "s", "data": {"rooms": ["kpi:acme"]}})).await;
    assert_eq!(client.answer("s").await["event"], "subscribed");
    redis.cli(&["PUBLISH", "rc:{acme}:bus", &format!("- 1a {FORGED} {FORGED}\n1")]);
    redis.cli(&["PUBLISH", "rc:control", FORGED]);
    let note = json!({"v": 1, "id": "00000000-0000-0000-0000-000000000000", "from": FORGED, "question": {"stats": {"org": null}}});
    redis.cli(&["PUBLISH", "rc:control", &note.to_string()]);
    redis.cli(&["XADD", "rc:ingest", "*", FORGED, FORGED]);
    redis.cli(&["XADD", "rc:ingest", "*", "room", FORGED, "event", FORGED, "data", FORGED]);
    eventually("they are set aside", async || (redis.cli(&["XLEN", "rc:ingest:dead"]) == "2").then_some(())).await;
    // An error of a script of somebody's own comes back as text, as any error of Redis does.
    redis.cli(&["SET", "rc:{acme}:idem:k", FORGED]);
    let publish =
        json!({"event": "publish", "id": "p", "data": {"event": "kpi:update", "room": "kpi:acme", "data": 1, "idempotency_key": "k"}});
    client.command(&publish).await;
    assert_eq!(client.answer("p").await["data"]["code"], "BROKER_UNAVAILABLE");
    stage.end().await;
}
