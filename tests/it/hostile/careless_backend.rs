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
        (bus(&format!("- 1a kpi:acme kpi:update\n{}{}", "[".repeat(60_000), "]".repeat(60_000))), "brackets without end"),
        (log(&["h", "1a kpi:acme kpi:update", "d", &format!("{}1{}", "[".repeat(65), "]".repeat(65))]), "65 levels in the log"),
        (log(&["h", "1a kpi:acme kpi:update\nkpi:other", "d", "1"]), "a line end in a header"),
        (log(&["h", "1a kpi:acme kpi:update h={\"x\":1}", "d", "1"]), "a header that is no text"),
        (log(&["d", "1", "h", "1a kpi:acme kpi:update", "d", "{"]), "a field twice"),
        (vec!["PUBLISH".into(), "rc:control".into(), "hello".into()], "a note to all nodes that is none"),
        (vec!["PUBLISH".into(), "rc:control".into(), "[".repeat(100_000)], "a note of brackets"),
        (
            vec!["PUBLISH".into(), "rc:control".into(), r#"{"v":1,"id":"00000000-0000-0000-0000-000000000000","from":"x","question":{"connections":{"org":"a:b","user":null,"after":null,"limit":18446744073709551615}}}"#.into()],
            "a question about an org that cannot be",
        ),
        (
            vec!["PUBLISH".into(), "rc:control".into(), r#"{"v":1,"id":"00000000-0000-0000-0000-000000000000","from":"x\r\ny","question":{"connections":{"org":null,"user":null,"after":null,"limit":18446744073709551615}}}"#.into()],
            "a question for everything, from nobody",
        ),
        (vec!["XADD".into(), "rc:revocations".into(), "*".into(), "at_ms".into(), "soon".into(), "target".into(), "{".into()], "a revocation of nothing"),
        (vec!["HSET".into(), "rc:nodes".into(), "ghost".into(), "99999999999999 {\"id\":5}".into()], "a node that is none"),
        (vec!["HSET".into(), "rc:{acme}:conns".into(), "ghost".into(), "many".into()], "a count that is no number"),
        (vec!["ZADD".into(), "rc:orgs".into(), "1".into(), "a:b\r\n".into()], "an org that cannot be"),
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
    let brackets = format!("{}{}", "[".repeat(65), "]".repeat(65));
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
        (&["room", "kpi:acme", "event", "kpi:update", "data", "1", "evil\r\n", "x"], "a line end in a field's name"),
        (&["room", "kpi:acme", "event", "kpi:update", "data", "1", "checked", "1"], "an option that only calls have"),
        (&["room", "kpi:acme", "event", "kpi:update", "data", &brackets], "65 levels"),
        (&["room", "kpi:acme", "event", "kpi:update", "data", "1", "idempotency_key", "a\nb"], "a line end in a key"),
        (&["room", "kpi:acme", "event", "kpi:update", "data", "1", "sessions", "everybody"], "sessions that are none"),
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

#[tokio::test]
async fn entries_of_huge_size_stop_nothing_and_are_not_kept() {
    const HUGE: usize = 16 << 20;
    let redis = Redis::start(&[]).await;
    let stage = Stage::start(&[("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_BROKER__REDIS__URL", &redis.url())]).await;
    let mut reader = Reader { session: stage.session().await, publisher: stage.session().await, number: 0 };
    reader.session.command(&json!({"event": "subscribe", "id": "s", "data": {"rooms": ["kpi:acme"]}})).await;
    assert_eq!(reader.session.answer("s").await["event"], "subscribed");
    let huge = format!("\"{}\"", "x".repeat(HUGE));
    let add = |stream: &str, fields: &[&str]| {
        let mut command = redis::cmd("XADD");
        command.arg(stream).arg("*").arg(fields);
        command
    };
    for _ in 0..3 {
        let _: String = redis.ask(&add("rc:ingest", &["room", "kpi:acme", "event", "kpi:update", "data", &huge])).await;
    }
    let names: Vec<String> = (0..20_000).map(|n| format!("f{n}")).collect();
    let many: Vec<&str> = names.iter().flat_map(|name| [name.as_str(), "x"]).collect();
    let _: String = redis.ask(&add("rc:ingest", &many)).await;
    let _: String = redis.ask(&add("rc:ingest", &[&huge, "x"])).await;
    eventually("all are set aside", async || (redis.cli(&["XLEN", "rc:ingest:dead"]) == "5").then_some(())).await;
    let kept: usize = redis.cli(&["MEMORY", "USAGE", "rc:ingest:dead"]).parse().unwrap();
    assert!(kept < 256 << 10, "{kept} bytes of dead letters");
    assert!(redis.cli(&["XRANGE", "rc:ingest:dead", "-", "+"]).contains("at most 1048576 bytes"), "the reason is kept");
    reader.assert_next("after huge entries of the ingest stream").await;
    // On the bus and in the log nobody asked for the size before, so it is the reader's to refuse.
    for _ in 0..3 {
        let _: i64 = redis.ask(redis::cmd("PUBLISH").arg("rc:{acme}:bus").arg(format!("- 1a kpi:acme kpi:update\n{huge}"))).await;
        reader.assert_next("after a huge message on the bus").await;
        let newest = redis.cli(&["XREVRANGE", "rc:{acme}:log", "+", "-", "COUNT", "1"]);
        let id = format!("{}-*", newest.split('-').next().unwrap());
        let mut entry = redis::cmd("XADD");
        entry.arg("rc:{acme}:log").arg(id).arg(&["h", "1a kpi:acme kpi:update", "d", &huge]);
        let _: String = redis.ask(&entry).await;
        reader.assert_next("after a huge entry of the log").await;
    }
    drop(reader);
    // Each connection to Redis keeps the buffer of the largest answer that it got, with room to grow; a further such entry adds nothing.
    stage.end_holding(3 * 2 * HUGE as u64).await;
}

#[tokio::test]
async fn a_call_of_the_function_with_what_receivers_could_not_read_is_refused() {
    let redis = Redis::start(&[]).await;
    let stage = Stage::start(&[("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_BROKER__REDIS__URL", &redis.url())]).await;
    let call = |room: &str, data: &str| redis.cli(&["FCALL", "roomcast_publish", "1", "rc:{acme}", room, "kpi:update", data]);
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    for (room, data, reason) in [
        ("kpi:acme", nested(64), "64 levels"),
        ("kpi:acme", nested(900), "900 levels"),
        ("kpi:acme", "{".to_owned(), "half a value"),
        ("kpi:acme", format!("{{\"a\":{}}}", nested(63)), "64 levels of two kinds"),
        ("kpi:other", "1".to_owned(), "another org's room"),
        ("kpi:acme:*", "1".to_owned(), "a pattern"),
        ("kpi:acme\r\n", "1".to_owned(), "a line end"),
    ] {
        assert!(call(room, &data).contains("REFUSED"), "{reason}");
    }
    assert!(!call("kpi:acme", &nested(63)).contains("REFUSED"), "63 levels are fine");
    stage.end().await;
}

#[tokio::test]
async fn an_idempotency_key_that_holds_nonsense_is_no_publication_and_no_end() {
    let redis = Redis::start(&[]).await;
    let stage = Stage::start(&[("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_BROKER__REDIS__URL", &redis.url())]).await;
    let mut publisher = stage.session().await;
    let publish = |key: &str| json!({"event": "publish", "id": "p", "data": {"event": "kpi:update", "room": "kpi:acme", "data": 1, "idempotency_key": key}});
    redis.cli(&["SET", "rc:{acme}:idem:k", "nonsense"]);
    redis.cli(&["LPUSH", "rc:{acme}:idem:list", "x"]);
    for key in ["k", "list"] {
        publisher.command(&publish(key)).await;
        let answer = publisher.answer("p").await;
        assert_eq!(answer["data"]["code"], "BROKER_UNAVAILABLE", "{key}: {answer}");
    }
    publisher.command(&publish("another")).await;
    assert_eq!(publisher.answer("p").await["event"], "published");
    redis.cli(&["SET", "rc:{acme}:epoch", "banana"]);
    publisher.command(&publish("after the epoch broke")).await;
    let answer = publisher.answer("p").await;
    assert!(answer["event"] == "published" || answer["data"]["code"] == "BROKER_UNAVAILABLE", "{answer}");
    redis.cli(&["DEL", "rc:{acme}:epoch"]);
    publisher.command(&publish("mended")).await;
    assert_eq!(publisher.answer("p").await["event"], "published");
    stage.end().await;
}

#[tokio::test]
async fn a_publisher_with_the_keys_of_one_org_reaches_no_other() {
    let redis = Redis::start(&[]).await;
    let stage = Stage::start(&[("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_BROKER__REDIS__URL", &redis.url())]).await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/publishing.md")).unwrap();
    let user = page.lines().find(|line| line.starts_with("ACL SETUSER publisher-of-acme")).unwrap().replace(">…", ">pass");
    assert_eq!(redis.cli(&user.split(' ').collect::<Vec<_>>()), "OK");
    let call = |org: &str| {
        let (base, room) = (format!("rc:{{{org}}}"), format!("kpi:{org}"));
        let head = ["--no-auth-warning", "--user", "publisher-of-acme", "--pass", "pass"];
        redis.cli(&[&head[..], &["FCALL", "roomcast_publish", "1", &base, &room, "kpi:update", "1", "idempotency_key", "k"]].concat())
    };
    let published = call("acme");
    assert!(published.contains('-') && !published.contains("NOPERM"), "{published}");
    assert!(call("other").contains("NOPERM"), "{}", call("other"));
    let head = ["--no-auth-warning", "--user", "publisher-of-acme", "--pass", "pass"];
    for command in [
        &["PUBLISH", "rc:control", "x"][..],
        &["PUBLISH", "rc:{other}:bus", "x"],
        &["XADD", "rc:ingest", "*", "a", "b"],
        &["XADD", "rc:revocations", "*", "a", "b"],
    ] {
        assert!(redis.cli(&[&head[..], command].concat()).contains("NOPERM"), "{command:?}");
    }
    stage.end().await;
}
