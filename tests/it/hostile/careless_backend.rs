//! Malformed data written to our keys in Redis by a careless backend: skipped or set aside, never passed on, never a panic.

use serde_json::{Value, json};

use super::client::Client;
use super::stage::Stage;
use crate::support::eventually;
use crate::support::redis::Redis;

/// Arguments of redis-cli, and what is wrong with them. `EPOCH` stands for the log's.
fn careless() -> Vec<(Vec<String>, &'static str)> {
    let bus = |message: &str| vec!["PUBLISH".into(), "rc:{acme}:bus".into(), message.to_owned()];
    let log = |fields: &[&str]| {
        let head = ["XADD", "rc:{acme}:log", "EPOCH-*"];
        head.iter().chain(fields).map(ToString::to_string).collect::<Vec<_>>()
    };
    vec![
        (bus(""), "nothing"),
        (bus("hello"), "no line"),
        (bus("\n\n\n"), "empty lines"),
        (bus("{\"event\":\"kpi:update\"}\n1"), "JSON where the header belongs"),
        (bus("- \n1"), "an ephemeral publication of nothing"),
        (bus("- zz kpi:acme kpi:update\n1"), "a time that is no number"),
        (bus("- 1a kpi:other kpi:update\n1"), "another org's room on this org's bus"),
        (bus("- 1a kpi:* kpi:update\n1"), "a pattern for a room"),
        (bus("- 1a kpi:acme kpi:update\n{"), "half a value"),
        (bus("- 1a kpi:acme kpi:update\n1}{\"event\":\"forged\"}"), "a value that would end the frame's object"),
        (bus("- 1a kpi:acme kpi:update\n1 2"), "two values"),
        (bus("- 1a kpi:acme kpi:update p=huge\n1"), "a priority that does not exist"),
        (bus("- 1a kpi:acme kpi:update h={\n1"), "headers that are no object"),
        (bus("- 1a kpi:acme kpi:update s=x\n1"), "sessions that are none"),
        (bus(&format!("- 1a kpi:acme kpi:{}\n1", "x".repeat(50_000))), "an endless line"),
        (bus("ffffffffffffffffff-1 1a kpi:acme kpi:update\n1"), "an epoch that is too long"),
        (bus("EPOCHHEX-ffff 1a kpi:acme kpi:update\n1"), "a number far ahead, of an entry that the log has not"),
        (bus("1-1 1a kpi:acme kpi:update\n1"), "an entry of another log"),
        (log(&["x", "y"]), "an entry without header and data"),
        (log(&["h", "", "d", ""]), "an empty header"),
        (log(&["h", "1a kpi:other kpi:update", "d", "1"]), "another org's room in this org's log"),
        (log(&["h", "1a kpi:acme kpi:update", "d", "{"]), "half a value in the log"),
        (log(&["h", "banana kpi:acme kpi:update", "d", "1"]), "a check value that is no number"),
    ]
}

struct Reader {
    session: Client,
    publisher: Client,
    number: u64,
}

impl Reader {
    /// Publishes the next number and demands that nothing but places and gaps comes before it.
    async fn assert_next(&mut self, after: &str) {
        self.number += 1;
        let data = json!({"event": "kpi:update", "room": "kpi:acme", "data": self.number});
        self.publisher.command(&json!({"event": "publish", "id": "p", "data": data})).await;
        assert_eq!(self.publisher.answer("p").await["event"], "published", "{after}");
        loop {
            let message = self.session.message().await;
            match message["event"].as_str() {
                Some("gap" | "position") => {}
                _ => return assert_eq!(message["data"], self.number, "{after}: {message}"),
            }
        }
    }
}

#[tokio::test]
async fn what_a_careless_backend_writes_reaches_nobody_and_stops_nothing() {
    let redis = Redis::start(&[]).await;
    let stage = Stage::start(&[("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_BROKER__REDIS__URL", &redis.url())]).await;
    let mut reader = Reader { session: stage.session().await, publisher: stage.session().await, number: 0 };
    reader.session.command(&json!({"event": "subscribe", "id": "s", "data": {"rooms": ["kpi:acme"]}})).await;
    assert_eq!(reader.session.answer("s").await["event"], "subscribed");
    reader.assert_next("to begin with").await;
    for (arguments, reason) in careless() {
        let newest = redis.cli(&["XREVRANGE", "rc:{acme}:log", "+", "-", "COUNT", "1"]);
        let epoch: u64 = newest.split('-').next().unwrap().parse().unwrap();
        let place = |text: String| text.replace("EPOCHHEX", &format!("{epoch:x}")).replace("EPOCH", &epoch.to_string());
        let arguments: Vec<String> = arguments.into_iter().map(place).collect();
        let answer = redis.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(!answer.contains("ERR"), "{reason}: {answer}");
        reader.assert_next(reason).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn what_the_ingest_stream_cannot_publish_is_set_aside_with_its_reason() {
    let redis = Redis::start(&[]).await;
    let stage = Stage::start(&[("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_BROKER__REDIS__URL", &redis.url())]).await;
    let mut dead = 0;
    for (fields, reason) in [
        (&["x", "y"][..], "nothing of a publication"),
        (&["room", "kpi:acme", "event", "kpi:update"], "no data"),
        (&["room", "kpi:acme", "event", "kpi:update", "data", "{"], "half a value"),
        (&["room", "kpi:*", "event", "kpi:update", "data", "1"], "a pattern for a room"),
        (&["room", "kpi:acme\r\nx", "event", "kpi:update", "data", "1"], "a line end in a room"),
        (&["room", "kpi:acme", "event", "", "data", "1"], "an empty event"),
        (&["room", "kpi:acme", "event", "kpi:update", "data", "1", "priority", "huge"], "a priority that does not exist"),
        (&["room", "kpi:acme", "event", "kpi:update", "data", "1", "ttl_ms", "soon"], "a time to live that is no number"),
        (&["room", "kpi:acme", "event", "kpi:update", "data", "1", "headers", "[]"], "headers that are no object"),
    ] {
        redis.cli(&[&["XADD", "rc:ingest", "*"][..], fields].concat());
        dead += 1;
        let expected = dead.to_string();
        eventually(reason, async || (redis.cli(&["XLEN", "rc:ingest:dead"]) == expected).then_some(())).await;
    }
    redis.cli(&["XADD", "rc:ingest", "*", "room", "kpi:acme", "event", "kpi:update", "data", "7"]);
    eventually("a good entry behind them is published", async || (redis.cli(&["XLEN", "rc:{acme}:log"]) == "1").then_some(())).await;
    stage.end().await;
}

#[tokio::test]
async fn keys_of_another_type_refuse_publications_until_they_are_gone() {
    let redis = Redis::start(&[]).await;
    let stage = Stage::start(&[("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_BROKER__REDIS__URL", &redis.url())]).await;
    let mut publisher = stage.session().await;
    let publish = json!({"event": "publish", "id": "p", "data": {"event": "kpi:update", "room": "kpi:acme", "data": 1}});
    publisher.command(&publish).await;
    assert_eq!(publisher.answer("p").await["event"], "published");
    for key in ["rc:{acme}:log", "rc:{acme}:epoch"] {
        redis.cli(&["DEL", key]);
        redis.cli(&["HSET", key, "not", "ours"]);
        publisher.command(&publish).await;
        let answer: Value = publisher.answer("p").await;
        assert!(["INTERNAL_ERROR", "BROKER_UNAVAILABLE"].contains(&answer["data"]["code"].as_str().unwrap_or_default()), "{key}: {answer}");
        redis.cli(&["DEL", key]);
        publisher.command(&publish).await;
        assert_eq!(publisher.answer("p").await["event"], "published", "{key}");
    }
    stage.end().await;
}
