//! Writes to collections that are malformed, too large, or ask for what is not theirs, through every door; and what a careless backend
//! puts in their place in Redis.

use serde_json::{Value, json};

use super::client::{Client, text};
use super::gateway::token;
use super::rest::{exchange, post};
use super::stage::Stage;
use crate::support::redis::Redis;
use crate::support::world::World;

fn write(with: &Value) -> String {
    let mut data = json!({"room": "sync:acme:tasks", "op": "put", "key": "a", "value": 1, "idempotency_key": "k"});
    data.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    json!({"event": "sync:write", "data": data}).to_string()
}

fn read(with: &Value) -> String {
    json!({"event": "sync:subscribe", "data": with}).to_string()
}

fn publish(event: &str) -> String {
    json!({"event": "publish", "data": {"event": event, "room": "sync:acme:tasks", "data": {"key": "a", "version": 1, "value": 1}}})
        .to_string()
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

/// Input, code, reason.
fn refused() -> Vec<(String, &'static str, &'static str)> {
    vec![
        (write(&json!({"room": "sync:other:tasks"})), "INVALID_ROOM", "another org"),
        (write(&json!({"room": "kpi:acme:tasks"})), "INVALID_ROOM", "another channel"),
        (write(&json!({"room": "sync:acme:**"})), "INVALID_ROOM", "a pattern"),
        (write(&json!({"room": "sync:{acme}:tasks"})), "INVALID_ROOM", "a hash tag of Redis"),
        (write(&json!({"room": "sync:acme:a\r\nb"})), "INVALID_ROOM", "a line end in a room"),
        (write(&json!({"room": 5})), "INVALID_MESSAGE", "a room that is a number"),
        (write(&json!({"op": "PUT"})), "INVALID_MESSAGE", "an operation in capitals"),
        (write(&json!({"op": ["put"]})), "INVALID_MESSAGE", "a list of operations"),
        (write(&json!({"key": ""})), "INVALID_MESSAGE", "an empty key"),
        (write(&json!({"key": 17})), "INVALID_MESSAGE", "a key that is a number"),
        (write(&json!({"key": "é".repeat(65)})), "INVALID_MESSAGE", "a key of 130 bytes"),
        (write(&json!({"value": "x".repeat(65_536)})), "INVALID_MESSAGE", "a value beyond 64 KiB"),
        (write(&json!({"value": 0})).replace("\"value\":0", &format!("\"value\":{}", nested(61))), "INVALID_MESSAGE", "61 levels"),
        (write(&json!({"value": 0})).replace("\"value\":0", "\"value\":\"\\ud800\""), "INVALID_MESSAGE", "half a surrogate pair"),
        (write(&json!({"value": 0})).replace("\"value\":0", "\"value\":NaN"), "INVALID_MESSAGE", "no number"),
        (write(&json!({"value": 0})).replace("\"value\":0", "\"value\":0,\"value\":1"), "INVALID_MESSAGE", "two values"),
        (write(&json!({"if_version": -1})), "INVALID_MESSAGE", "a negative version"),
        (write(&json!({"if_version": 1e300})), "INVALID_MESSAGE", "an endless version"),
        (write(&json!({"if_version": "1"})), "INVALID_MESSAGE", "a version that is text"),
        (write(&json!({"op": "insert", "if_version": 1})), "INVALID_MESSAGE", "an insert of a version"),
        (write(&json!({"if_version": u64::MAX})), "CONFLICT", "the greatest version"),
        (write(&json!({"idempotency_key": ""})), "INVALID_MESSAGE", "an empty idempotency key"),
        (write(&json!({"idempotency_key": "a\nb"})), "INVALID_MESSAGE", "a line end in it"),
        (write(&json!({"idempotency_key": null})), "INVALID_MESSAGE", "none"),
        (r#"{"event":"sync:write","data":["sync:acme","put","a",1]}"#.into(), "INVALID_MESSAGE", "data that is a list"),
        (r#"{"event":"sync:write"}"#.into(), "INVALID_MESSAGE", "no data"),
        (read(&json!({"room": "sync:other:tasks"})), "INVALID_ROOM", "reading another org"),
        (read(&json!({"room": "sync:acme:*"})), "INVALID_ROOM", "reading a pattern"),
        (read(&json!({"room": "sync:acme", "cursor": "x".repeat(129)})), "INVALID_MESSAGE", "a cursor of 129 bytes"),
        (read(&json!({"room": "sync:acme", "cursor": 5})), "INVALID_MESSAGE", "a cursor that is a number"),
        (publish("sync:insert"), "UNAUTHORIZED", "a change that nobody wrote"),
        (publish("sync:delete"), "UNAUTHORIZED", "a deletion that nobody wrote"),
        (publish("sync:"), "UNAUTHORIZED", "what such an event begins with"),
    ]
}

#[tokio::test]
async fn a_bad_write_is_answered_by_its_code_and_changes_nothing() {
    let stage = Stage::start(&[
        ("ROOMCAST_LIMITS__COMMANDS_PER_S", "10000"),
        ("ROOMCAST_LIMITS__COMMANDS_BURST", "10000"),
        ("ROOMCAST_ROOMS__EVENTS", "*"),
    ])
    .await;
    let mut client = stage.session().await;
    for (input, code, reason) in refused() {
        client.send(&text(&input)).await;
        let message = client.message().await;
        assert_eq!((&message["event"], &message["data"]["code"]), (&json!("error"), &json!(code)), "{reason}: {message}");
        assert!(message.to_string().len() < 1_000, "{reason}: what was sent comes back at length");
    }
    for room in ["sync:acme:tasks", "sync:acme"] {
        client.command(&json!({"event": "sync:subscribe", "id": "r", "data": {"room": room}})).await;
        let page = client.answer("r").await;
        assert_eq!((&page["event"], &page["data"]["items"]), (&json!("sync:snapshot"), &json!([])), "{page}");
    }
    stage.end().await;
}

#[tokio::test]
async fn rights_are_those_of_the_room() {
    let stage = Stage::start(&[]).await;
    let grants = ["subscribe:sync:acme:seen", "publish:sync:acme:written"];
    let mut client = Client::session(&stage.gateway, &token("bob", "acme", Some(&grants))).await;
    for (room, may_read, may_write) in
        [("seen", true, false), ("written", false, true), ("other", false, false), ("seen:below", true, false)]
    {
        let room = format!("sync:acme:{room}");
        client.command(&json!({"event": "sync:subscribe", "id": "r", "data": {"room": room}})).await;
        assert_eq!(client.answer("r").await["event"] == "sync:snapshot", may_read, "{room}");
        let data = json!({"room": room, "op": "put", "key": "a", "value": null, "idempotency_key": room});
        client.command(&json!({"event": "sync:write", "id": "w", "data": data})).await;
        assert_eq!(client.answer("w").await["event"] == "sync:written", may_write, "{room}");
    }
    let mut stranger = Client::open(&stage.gateway, "/ws", "").await;
    for command in [read(&json!({"room": "sync:acme"})), write(&json!({}))] {
        stranger.send(&text(&command)).await;
        assert_eq!(stranger.message().await["data"]["code"], "UNAUTHORIZED", "{command}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_bad_request_about_a_collection_gets_its_status_and_code() {
    let stage = Stage::start(&[]).await;
    let (write, change) = ("/api/ws/sync/write", "/api/ws/sync/change");
    let good = json!({"room": "sync:acme:tasks", "op": "put", "key": "a", "value": 1});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string()
    };
    let row = |table: &str, data: &Value| json!({"table": table, "event": "UPDATE", "data": data}).to_string();
    for (path, body, status, code, reason) in [
        (write, with("room", json!("sync:other:tasks")), 403, "UNAUTHORIZED", "another org"),
        (write, with("room", json!("kpi:acme")), 400, "INVALID_ROOM", "another channel"),
        (write, with("op", json!("upsert")), 400, "INVALID_MESSAGE", "no such operation"),
        (write, with("if_version", json!(1)), 409, "CONFLICT", "a version that nothing has"),
        (write, with("if_versoin", json!(1)), 400, "INVALID_MESSAGE", "a misspelt field"),
        (write, with("value", json!("x".repeat(70_000))), 400, "INVALID_MESSAGE", "a value beyond 64 KiB"),
        (write, with("value", json!(0)).replace("\"value\":0", &format!("\"value\":{}", nested(61))), 400, "INVALID_MESSAGE", "61 levels"),
        (change, row("tasks:x", &json!({"id": 1})), 400, "INVALID_ROOM", "a colon in a table"),
        (change, row("{acme}", &json!({"id": 1})), 400, "INVALID_ROOM", "a hash tag as a table"),
        (change, row("tasks", &json!({"no": 1})), 400, "INVALID_MESSAGE", "a row without its key"),
        (change, row("tasks", &json!([1])), 400, "INVALID_MESSAGE", "a row that is a list"),
        (change, json!({"table": "tasks", "event": "TRUNCATE", "data": {"id": 1}}).to_string(), 400, "INVALID_MESSAGE", "no such event"),
        (change, json!({"table": "tasks", "event": "DELETE"}).to_string(), 400, "INVALID_MESSAGE", "no row"),
        (
            change,
            json!({"type": "chat", "table": "tasks", "event": "DELETE", "data": {"id": 1}}).to_string(),
            400,
            "INVALID_MESSAGE",
            "another message",
        ),
        (
            "/api/ws/broadcast",
            json!({"event": "sync:insert", "target": {"room": "sync:acme:tasks"}, "data": 1}).to_string(),
            403,
            "UNAUTHORIZED",
            "a change that nobody wrote",
        ),
    ] {
        let (got, _, body) = exchange(&stage.gateway, post(path, &body).as_bytes()).await;
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{reason}: {body:.300}");
    }
    stage.end().await;
}

#[tokio::test]
async fn the_function_refuses_what_receivers_could_not_read() {
    let redis = Redis::start(&[]).await;
    let world = World::on(redis, 1, &[]).await;
    let deep = nested(61);
    let long = "x".repeat(129);
    let large = format!("\"{}\"", "x".repeat(65_536));
    for (args, says) in [
        (&["kpi:acme:tasks", "put", "a", "value", "1"][..], "channel sync"),
        (&["sync:other:tasks", "put", "a", "value", "1"], "another org"),
        (&["sync:acme:*", "put", "a", "value", "1"], "segment"),
        (&["sync:acme:tasks", "upsert", "a", "value", "1"], "op is"),
        (&["sync:acme:tasks", "put", "", "value", "1"], "1 to 128"),
        (&["sync:acme:tasks", "put", &long, "value", "1"], "1 to 128"),
        (&["sync:acme:tasks", "put", "a"], "needs a value"),
        (&["sync:acme:tasks", "put", "a", "value"], "pairs"),
        (&["sync:acme:tasks", "put", "a", "value", "{"], "one JSON value"),
        (&["sync:acme:tasks", "put", "a", "value", &deep], "levels"),
        (&["sync:acme:tasks", "put", "a", "value", &large], "at most 65536"),
        (&["sync:acme:tasks", "put", "a", "value", "1", "if_version", "-1"], "whole number"),
        (&["sync:acme:tasks", "put", "a", "value", "1", "if_version", "01"], "whole number"),
        (&["sync:acme:tasks", "insert", "a", "value", "1", "if_version", "1"], "no if_version"),
        (&["sync:acme:tasks", "put", "a", "value", "1", "idempotency_key", "a\nb"], "idempotency key"),
        (&["sync:acme:tasks", "put", "a", "value", "1", "priority", "low"], "no such option"),
        (&["sync:acme:tasks"], "arguments are"),
    ] {
        let answer = world.redis.cli(&[&["FCALL", "roomcast_sync", "1", "rc:{acme}"], args].concat());
        assert!(answer.contains("REFUSED") && answer.contains(says), "{args:?}: {answer}");
    }
    // What is no UTF-8 cannot be typed, but sent.
    for (key, value) in
        [(&b"\xff"[..], &b"1"[..]), (b"\xe0\x80\x80", b"1"), (b"\xc3", b"1"), (b"a", b"\"\xff\""), (b"a", b"\"\xed\xa0\x80\"")]
    {
        let mut call = redis::cmd("FCALL");
        call.arg("roomcast_sync").arg(1).arg("rc:{acme}").arg("sync:acme:tasks").arg("put").arg(key).arg("value").arg(value);
        assert!(world.redis.try_ask::<redis::Value>(&call).await.is_none(), "{key:?} {value:?}");
    }
    let published = world.redis.cli(&["FCALL", "roomcast_publish", "1", "rc:{acme}", "sync:acme:tasks", "sync:insert", "1"]);
    assert!(published.contains("REFUSED") && published.contains("roomcast_sync"), "{published}");
    assert_eq!(world.redis.cli(&["EXISTS", "rc:{acme}:log", "rc:{acme}:sync:items:sync:acme:tasks"]), "0", "nothing of it was done");
}

#[tokio::test]
async fn what_a_careless_backend_puts_into_a_collection_is_shown_to_nobody_and_can_be_mended() {
    let world = World::of(1).await;
    let alice = world.member("acme", "alice", 0, &[]).await;
    let room = json!({"room": "sync:acme:tasks"});
    let put = |key: &str, value: Value| {
        let data = json!({"room": "sync:acme:tasks", "op": "put", "key": key, "value": value, "idempotency_key": uuid::Uuid::new_v4()});
        alice.client.ask("sync:write", data)
    };
    assert_eq!(put("good", json!(1)).await.unwrap().event, "sync:written");
    for (key, stored) in [("a", "no version"), ("b", "7 {"), ("c", "7 NaN"), ("d", "x"), ("e", "99999999999999999999 1"), ("f", "7 1,2")] {
        world.redis.cli(&["HSET", "rc:{acme}:sync:items:sync:acme:tasks", key, stored]);
        world.redis.cli(&["ZADD", "rc:{acme}:sync:order:sync:acme:tasks", "0", key]);
    }
    world.redis.cli(&["ZADD", "rc:{acme}:sync:order:sync:acme:tasks", "0", "no item"]);
    // A page and more of what is not even a key.
    let mut keys = redis::cmd("ZADD");
    keys.arg("rc:{acme}:sync:order:sync:acme:tasks");
    (0..1_100_u32).for_each(|number| {
        keys.arg(0).arg([b"\x01\xff", &number.to_be_bytes()[..]].concat());
    });
    let _: usize = world.redis.ask(&keys).await;
    let page = alice.client.ask("sync:subscribe", room.clone()).await.unwrap();
    assert_eq!((page.event.as_str(), page.data["items"].as_array().unwrap().len()), ("sync:snapshot", 1), "{page:?}");
    for key in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(put(key, json!("mended")).await.unwrap().event, "sync:written", "{key}");
    }
    let page = alice.client.ask("sync:subscribe", room.clone()).await.unwrap();
    assert_eq!(page.data["items"].as_array().unwrap().len(), 7, "{page:?}");
    // A key of another type stops what needs it, and nothing else.
    world.redis.cli(&["SET", "rc:{acme}:sync:items:sync:acme:notes", "text"]);
    let data = json!({"room": "sync:acme:notes", "op": "put", "key": "a", "value": 1, "idempotency_key": "k"});
    let refused = alice.client.ask("sync:write", data).await.unwrap();
    assert_eq!(refused.data["code"], "BROKER_UNAVAILABLE", "{refused:?}");
    assert_eq!(put("still", json!(1)).await.unwrap().event, "sync:written");
}

#[tokio::test]
async fn a_user_that_may_not_do_all_of_a_write_does_nothing_of_it() {
    let world = World::of(1).await;
    let rights = ["ACL", "SETUSER", "half", "on", "nopass", "~rc:{acme}:*", "~rc:{acme}", "&rc:{acme}:bus", "+@all", "-zadd"];
    assert_eq!(world.redis.cli(&rights), "OK");
    let write = ["FCALL", "roomcast_sync", "1", "rc:{acme}", "sync:acme:tasks", "put", "a", "value", "1"];
    let denied = world.redis.cli(&[&["--user", "half", "--pass", "x", "--no-auth-warning"][..], &write[..]].concat());
    assert!(denied.contains("NOPERM"), "{denied}");
    assert_eq!(world.redis.cli(&["EXISTS", "rc:{acme}:log", "rc:{acme}:sync:items:sync:acme:tasks"]), "0");
}
