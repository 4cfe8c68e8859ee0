//! Commands that are malformed, or ask for what is not theirs: an error, and the session goes on.

use serde_json::{Value, json};

use super::client::{Client, text};
use super::gateway::token;
use super::stage::Stage;
use crate::fixtures::folder;

fn subscribe(room: &str) -> String {
    json!({"event": "subscribe", "data": {"rooms": [room]}}).to_string()
}

fn publish(with: &Value) -> String {
    let mut data = json!({"event": "kpi:update", "room": "kpi:acme", "data": 1});
    data.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    json!({"event": "publish", "data": data}).to_string()
}

/// Input, code, reason.
fn refused() -> Vec<(String, &'static str, &'static str)> {
    let (long, headers) = ("x".repeat(129), json!({"headers": {"x": "x".repeat(4_096)}}));
    let rooms: Vec<String> = (0..257).map(|n| format!("kpi:acme:{n}")).collect();
    vec![
        ("[".repeat(100_000), "INVALID_MESSAGE", "arrays within arrays"),
        ("{\"a\":".repeat(100_000), "INVALID_MESSAGE", "objects within objects"),
        (format!(r#"{{"event":"subscribe","data":{}1{}}}"#, "[".repeat(50_000), "]".repeat(50_000)), "INVALID_MESSAGE", "deep data"),
        (
            format!(r#"{{"event":"subscribe","data":{{"x":{}1{}}}}}"#, "[".repeat(500), "]".repeat(500)),
            "INVALID_MESSAGE",
            "a deep unknown field",
        ),
        (publish(&json!({"data": null})).replace("null", &format!("{}{}", "[".repeat(63), "]".repeat(63))), "INVALID_MESSAGE", "65 levels"),
        ("\u{feff}{\"event\":\"client:ping\"}".into(), "INVALID_MESSAGE", "a byte order mark"),
        (r#"{"event":"client:ping",}"#.into(), "INVALID_MESSAGE", "a comma too many"),
        (r"{'event':'client:ping'}".into(), "INVALID_MESSAGE", "single quotes"),
        (r#"{"event":"client:ping","id":NaN}"#.into(), "INVALID_MESSAGE", "no number"),
        (r#"{"event":"client:ping","id":01}"#.into(), "INVALID_MESSAGE", "a number that JSON has not"),
        (r#"{"event":"\ud800"}"#.into(), "INVALID_MESSAGE", "half a surrogate pair"),
        (
            r#"{"event":"publish","data":{"event":"kpi:update","room":"kpi:acme","data":"\ud83d"}}"#.into(),
            "INVALID_MESSAGE",
            "half a pair in data",
        ),
        (r#"{"event":"client:ping","id":"\ude00"}"#.into(), "INVALID_MESSAGE", "half a pair in an id"),
        (r#"{"event":"publish","data":["kpi:update","kpi:acme",1]}"#.into(), "INVALID_MESSAGE", "data that is a list"),
        (r#"["client:ping"]"#.into(), "INVALID_MESSAGE", "a command that is a list"),
        (r#"{"event":"client:ping","id":true}"#.into(), "INVALID_MESSAGE", "an id that is neither text nor number"),
        (format!(r#"{{"event":"client:ping","id":"{}"}}"#, "x".repeat(500_000)), "INVALID_MESSAGE", "an endless id"),
        (format!(r#"{{"event":"{}"}}"#, "x".repeat(500_000)), "INVALID_MESSAGE", "an endless command"),
        (format!(r#"{{"event":"subscribe","data":{{"rooms":"{}"}}}}"#, "x".repeat(500_000)), "INVALID_MESSAGE", "an endless wrong value"),
        ("null".into(), "INVALID_MESSAGE", "null"),
        ("5".into(), "INVALID_MESSAGE", "a number"),
        (r#"{"event":null}"#.into(), "INVALID_MESSAGE", "a command that is null"),
        (json!({"event": "subscribe", "data": {"rooms": rooms}}).to_string(), "INVALID_MESSAGE", "257 rooms at once"),
        (json!({"event": "subscribe", "data": {"rooms": [1]}}).to_string(), "INVALID_MESSAGE", "a room that is a number"),
        (
            json!({"event": "subscribe", "data": {"rooms": ["kpi:acme"], "since": 5}}).to_string(),
            "INVALID_MESSAGE",
            "a position that is a number",
        ),
        (
            json!({"event": "subscribe", "data": {"rooms": ["kpi:acme"], "since": "-1-1-1"}}).to_string(),
            "INVALID_MESSAGE",
            "a signed position",
        ),
        (
            json!({"event": "subscribe", "data": {"rooms": ["kpi:acme"], "since": "f".repeat(100)}}).to_string(),
            "INVALID_MESSAGE",
            "a long position",
        ),
        (subscribe(""), "INVALID_ROOM", "an empty room"),
        (subscribe("kpi"), "INVALID_ROOM", "a channel alone"),
        (subscribe("kpi:"), "INVALID_ROOM", "an empty org"),
        (subscribe("kpi::sales"), "INVALID_ROOM", "an empty segment"),
        (subscribe("kpi:acme:a:b:c"), "INVALID_ROOM", "five segments"),
        (subscribe("kpi:acme:a b"), "INVALID_ROOM", "a space"),
        (subscribe("kpi:acme:\u{0}"), "INVALID_ROOM", "a zero byte"),
        (subscribe("kpi:acme:a\r\n{\"level\":\"ERROR\"}"), "INVALID_ROOM", "a line for the log"),
        (subscribe("kpi:acme:\u{1b}[31m"), "INVALID_ROOM", "a terminal's escape"),
        (subscribe("kpi:acme:\u{202e}gro"), "INVALID_ROOM", "a change of direction"),
        (subscribe("kpi:acme:{acme}"), "INVALID_ROOM", "a hash tag of Redis"),
        (subscribe("kpi:*"), "INVALID_ROOM", "all orgs"),
        (subscribe("**"), "INVALID_ROOM", "everything"),
        (subscribe("*:*:**"), "INVALID_ROOM", "everything, spelled out"),
        (subscribe("kpi:acme:**:x"), "INVALID_ROOM", "a rest that is not the end"),
        (subscribe("kpi:acme:a*"), "INVALID_ROOM", "half a wildcard"),
        (subscribe("weather:acme"), "INVALID_ROOM", "a channel that is not configured"),
        (subscribe("user:acme:*"), "INVALID_ROOM", "all users"),
        (subscribe("org:acme:sales"), "INVALID_ROOM", "what is below an org's own room"),
        (subscribe("kpi:acme:dept"), "INVALID_ROOM", "a reserved word"),
        (subscribe(&format!("kpi:acme:{}", "x".repeat(65))), "INVALID_ROOM", "a segment of 65 bytes"),
        (subscribe(&"x".repeat(500_000)), "INVALID_ROOM", "an endless room"),
        (subscribe("kpi:other"), "UNAUTHORIZED", "a room of another org"),
        (subscribe("kpi:ACME"), "UNAUTHORIZED", "another org by its case"),
        (subscribe("*:other:**"), "UNAUTHORIZED", "everything of another org"),
        (subscribe("org:other"), "UNAUTHORIZED", "another org's own room"),
        (subscribe("user:acme:alice"), "UNAUTHORIZED", "another user's own room"),
        (subscribe("user:other:mallory"), "UNAUTHORIZED", "one's own name in another org"),
        (
            json!({"event": "subscribe", "data": {"channels": ["kpi"], "organization_id": "other"}}).to_string(),
            "UNAUTHORIZED",
            "another org by its field",
        ),
        (
            json!({"event": "subscribe", "data": {"channels": ["kpi:other"]}}).to_string(),
            "INVALID_ROOM",
            "a colon in a channel, that shifts the org",
        ),
        (
            json!({"event": "subscribe", "data": {"channels": ["kpi"], "department_id": "*:other"}}).to_string(),
            "INVALID_ROOM",
            "a colon in a department",
        ),
        (json!({"event": "unsubscribe", "data": {"rooms": ["kpi:acme:never"]}}).to_string(), "ROOM_NOT_FOUND", "no such subscription"),
        (json!({"event": "unsubscribe", "data": {"rooms": ["kpi:other"]}}).to_string(), "ROOM_NOT_FOUND", "no subscription of another org"),
        (publish(&json!({"room": "kpi:other"})), "UNAUTHORIZED", "publishing into another org"),
        (publish(&json!({"room": "org:acme"})), "UNAUTHORIZED", "publishing into the org's own room, which no wildcard grants"),
        (publish(&json!({"room": "user:acme:alice"})), "UNAUTHORIZED", "publishing into a user's own room"),
        (publish(&json!({"room": "kpi:acme:*"})), "INVALID_ROOM", "publishing into a pattern"),
        (publish(&json!({"room": "all:acme"})), "INVALID_ROOM", "publishing into all channels"),
        (publish(&json!({"event": "nope:nope"})), "INVALID_MESSAGE", "an event that is not configured"),
        (publish(&json!({"event": "kpi:update\r\n"})), "INVALID_MESSAGE", "a line end in an event"),
        (publish(&json!({"event": long})), "INVALID_MESSAGE", "an event of 129 bytes"),
        (publish(&json!({"event": ""})), "INVALID_MESSAGE", "an empty event"),
        (publish(&json!({"idempotency_key": long})), "INVALID_MESSAGE", "a key of 129 bytes"),
        (publish(&json!({"idempotency_key": ""})), "INVALID_MESSAGE", "an empty key"),
        (publish(&json!({"idempotency_key": "a\nb"})), "INVALID_MESSAGE", "a line end in a key"),
        (publish(&headers), "INVALID_MESSAGE", "headers beyond 4 KiB"),
        (publish(&json!({"headers": {"x": 1}})), "INVALID_MESSAGE", "a header that is a number"),
        (publish(&json!({"headers": []})), "INVALID_MESSAGE", "headers that are a list"),
        (publish(&json!({"ttl_ms": -1})), "INVALID_MESSAGE", "a negative time to live"),
        (publish(&json!({"ttl_ms": 1.5})), "INVALID_MESSAGE", "a broken time to live"),
        (publish(&json!({"priority": "URGENT"})), "INVALID_MESSAGE", "a priority in capitals"),
        (publish(&json!({"log": "yes"})), "INVALID_MESSAGE", "a flag that is text"),
        (r#"{"event":"publish","data":{"event":"kpi:update","room":"kpi:acme","data":1,"data":2}}"#.into(), "INVALID_MESSAGE", "two data"),
        (r#"{"event":"publish","data":{"event":"kpi:update","data":1}}"#.into(), "INVALID_MESSAGE", "no room"),
    ]
}

#[tokio::test]
async fn a_bad_command_is_answered_by_its_code_and_the_session_goes_on() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__COMMANDS_PER_S", "10000"), ("ROOMCAST_LIMITS__COMMANDS_BURST", "10000")]).await;
    let mut client = stage.session().await;
    for (input, code, reason) in refused() {
        client.send(&text(&input)).await;
        let message = client.message().await;
        assert_eq!((&message["event"], &message["data"]["code"]), (&json!("error"), &json!(code)), "{reason}: {message}");
        assert!(message.to_string().len() < 1_000, "{reason}: what was sent comes back at length");
    }
    client.assert_alive("after all bad commands").await;
    stage.end().await;
}

#[tokio::test]
async fn the_fixtures_of_refused_messages_are_refused_by_a_node_too() {
    let stage = Stage::start(&[]).await;
    let mut client = stage.session().await;
    for (name, fixture) in folder("refused") {
        client.send(&text(fixture["text"].as_str().unwrap())).await;
        let message = client.message().await;
        assert_eq!((&message["data"]["code"], message.get("id").unwrap_or(&Value::Null)), (&fixture["code"], &fixture["id"]), "{name}");
    }
    client.assert_alive("after the fixtures").await;
    stage.end().await;
}

#[tokio::test]
async fn without_credentials_nothing_is_to_be_had_and_the_connection_waits_for_them() {
    let stage = Stage::start(&[]).await;
    let mut client = Client::open(&stage.gateway, "/ws", "").await;
    for command in
        [subscribe("kpi:acme"), publish(&json!({})), json!({"event": "unsubscribe", "data": {"rooms": ["kpi:acme"]}}).to_string()]
    {
        client.send(&text(&command)).await;
        assert_eq!(client.message().await["data"]["code"], "UNAUTHORIZED", "{command}");
    }
    client.assert_alive("without credentials").await;
    client.command(&json!({"event": "authenticate", "data": {"token": token("late", "acme", None)}})).await;
    assert_eq!(client.message().await["event"], "authenticated");
    // The default grant is to listen, not to speak.
    client.send(&text(&publish(&json!({})))).await;
    assert_eq!(client.message().await["data"]["code"], "UNAUTHORIZED");
    stage.end().await;
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_session_as_it_was() {
    let stage = Stage::start(&[]).await;
    let mut client = stage.session().await;
    for (token, reason) in [
        (token("mallory", "other", None), "another org"),
        (token("alice", "acme", None), "another user"),
        ("not.a.token".to_owned(), "no token"),
        (String::new(), "an empty token"),
    ] {
        client.command(&json!({"event": "authenticate", "id": "again", "data": {"token": token}})).await;
        assert_eq!(client.answer("again").await["data"]["code"], "AUTH_FAILED", "{reason}");
        client.command(&json!({"event": "publish", "id": "still", "data": {"event": "kpi:update", "room": "kpi:acme", "data": 1}})).await;
        assert_eq!(client.answer("still").await["event"], "published", "{reason}");
    }
    stage.end().await;
}

#[tokio::test]
async fn first_credentials_that_want_too_much_are_sent_away() {
    let stage = Stage::start(&[]).await;
    let good = token("alice", "acme", None);
    for (rooms, code, reason) in
        [(json!(["kpi:other"]), "UNAUTHORIZED", "another org's room"), (json!(["nope:acme"]), "INVALID_ROOM", "no such channel")]
    {
        let mut client = Client::open(&stage.gateway, "/ws", "").await;
        client.command(&json!({"event": "authenticate", "id": "in", "data": {"token": good, "rooms": rooms}})).await;
        assert_eq!(client.answer("in").await["data"]["code"], code, "{reason}");
        assert_eq!(client.closed().await, (4503, format!(r#"{{"code":"{code}"}}"#)), "{reason}");
    }
    stage.end().await;
}
