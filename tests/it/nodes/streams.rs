//! Server-sent events: the same sessions, with plain requests for commands, from any node.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::gateway::Token;
use crate::support::http::{Event, NUMBER, SESSION, Stream, ask};
use crate::support::publishers::{fcall, log_length};
use crate::support::redis::Redis;
use crate::support::world::World;
use crate::support::{eventually, within};

fn alice() -> String {
    Token::of("acme", "alice").mint()
}

fn enter(token: &str, rooms: &[&str]) -> Value {
    json!({ "event": "authenticate", "id": 1, "data": { "token": token, "rooms": rooms } })
}

async fn publish(world: &World, marks: std::ops::Range<usize>) -> Vec<String> {
    let marks: Vec<String> = marks.map(|number| format!("m{number}")).collect();
    for mark in &marks {
        fcall(&world.redis, "acme", "kpi:acme:sales", mark, 0).await;
    }
    marks
}

#[tokio::test]
async fn a_browser_comes_back_to_any_node_with_its_last_event_and_misses_nothing() {
    let world = World::of(2).await;
    let [first, second] = [world.nodes[0].address, world.nodes[1].address];
    let mut stream = Stream::get(first, "?rooms=kpi:acme", &alice(), None).await;
    for (name, value) in [("cache-control", "no-store"), ("x-accel-buffering", "no"), ("connection", "close")] {
        assert_eq!(stream.headers[name], value);
    }
    assert_eq!(stream.event().await.message()["event"], "authenticated");
    assert!(stream.retry_ms.is_some_and(|wait_ms| (2_000..=4_000).contains(&wait_ms)), "it is told when to come back");
    assert!(stream.last_id.is_some(), "a place to come back to, before anything was published");
    let before = stream.last_id.clone();
    let marks = publish(&world, 0..3).await;
    assert_eq!(stream.marks(2).await, marks[..2]);
    let last_id = stream.last_id.clone();
    drop(stream);
    eventually("the session ends with its connection", async || {
        (ask(first, "GET", "/api/ws/stats", &[("authorization", &format!("Bearer {}", Token::service().mint()))], "").await.json()["stats"]
            ["active_connections"]
            == 0)
            .then_some(())
    })
    .await;
    let more = publish(&world, 3..6).await;

    let mut again = Stream::get(second, "?rooms=kpi:acme", &alice(), last_id.as_deref()).await;
    assert_eq!(again.marks(4).await, [&marks[2..], &more[..]].concat());
    let mut from_the_start = Stream::get(second, &format!("?rooms=kpi%3Aacme&since={}", before.unwrap()), &alice(), None).await;
    assert_eq!(from_the_start.marks(6).await, [marks, more].concat());
}

#[tokio::test]
async fn a_browser_is_told_by_status_why_no_stream_begins() {
    let world = World::of(1).await;
    let at = world.nodes[0].address;
    let bearer = format!("Bearer {}", alice());
    let status = async |path: &str, token: &str| {
        let answer = ask(at, "GET", path, &[("authorization", token)], "").await;
        (answer.status, answer.json()["data"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ask(at, "GET", "/sse", &[], "").await.status, 401);
    assert_eq!(status("/sse", "Bearer a.b.c").await, (401, "AUTH_FAILED".into()));
    assert_eq!(status("/sse?rooms=kpi:other", &bearer).await, (403, "UNAUTHORIZED".into()));
    assert_eq!(status("/sse?rooms=nowhere:acme", &bearer).await, (400, "INVALID_ROOM".into()));
    assert_eq!(ask(at, "GET", "/sse?since=nowhere", &[("authorization", &bearer)], "").await.status, 400);
    assert_eq!(ask(at, "GET", &format!("/sse?token={}", alice()), &[], "").await.status, 401, "addresses are not believed by default");
    assert_eq!(ask(at, "DELETE", "/sse", &[], "").await.status, 405);
}

#[tokio::test]
async fn commands_reach_their_session_through_any_node_once_and_in_their_order() {
    let world = World::of(3).await;
    let nodes = world.addresses();
    let mut stream = Stream::post(nodes[0], &enter(&alice(), &["kpi:acme"])).await;
    assert_eq!(stream.event().await.message()["event"], "authenticated");
    let session = stream.session.clone();
    let post = async |node: usize, number: &str, commands: &Value| {
        ask(nodes[node], "POST", "/sse", &[(SESSION, &session), (NUMBER, number)], &commands.to_string()).await.status
    };
    let says = |mark: &str| json!({ "event": "publish", "id": mark, "data": { "event": "kpi:update", "room": "kpi:acme:sales", "data": { "mark": mark } } });
    for number in 1..=6 {
        let mark = format!("m{number}");
        let commands = if number == 3 { json!([says(&mark), { "event": "client:ping", "id": "p" }]) } else { says(&mark) };
        for repeated in 0..3 {
            assert_eq!(post((number + repeated) % 3, &number.to_string(), &commands).await, 202, "{number}, the {repeated}. time");
        }
    }
    assert_eq!(stream.marks(6).await, ["m1", "m2", "m3", "m4", "m5", "m6"]);
    assert_eq!(log_length(&world.redis, "acme").await, 6, "what was repeated was not carried out again");

    for (node, at) in nodes.iter().enumerate() {
        assert_eq!(post(node, "9", &says("early")).await, 409, "7 and 8 are missing");
        assert_eq!(post(node, "0", &says("zero")).await, 400);
        assert_eq!(post(node, "7", &json!("nonsense")).await, 400);
        let stranger = format!("{}{}", &session[..16], "0".repeat(32));
        assert_eq!(ask(*at, "POST", "/sse", &[(SESSION, &stranger)], "{}").await.status, 404);
        assert_eq!(ask(*at, "POST", "/sse", &[(SESSION, &"f".repeat(48))], "{}").await.status, 404);
        assert_eq!(ask(*at, "POST", "/sse", &[(SESSION, "x")], "{}").await.status, 404);
    }
    // A long one is carried as well as a short one.
    let long = json!({ "event": "publish", "id": "long", "data": { "event": "kpi:update", "room": "kpi:acme", "data": { "mark": "long", "filling": "\"".repeat(400_000) } } });
    assert_eq!(post(1, "7", &long).await, 202);
    assert_eq!(stream.marks(1).await, ["long"]);
    assert_eq!(ask(nodes[1], "POST", "/sse", &[(SESSION, &session)], &"x".repeat(2 << 20)).await.status, 413);
}

#[tokio::test]
async fn the_client_library_is_told_by_the_stream_why_it_ends() {
    let mut world = World::of(1).await;
    let at = world.nodes[0].address;
    let mut refused = Stream::post(at, &enter("a.b.c", &[])).await;
    assert_eq!(refused.event().await.message()["data"]["code"], "AUTH_FAILED");
    assert_eq!(refused.event().await, Event::Close { code: 4500, reason: json!({ "code": "AUTH_FAILED" }) });
    assert_eq!(refused.event().await, Event::End);

    let mut stream = Stream::post(at, &enter(&alice(), &["kpi:acme"])).await;
    stream.until("authenticated").await;
    let (mut poller, session) = {
        let begun = ask(at, "POST", "/poll", &[], &enter(&alice(), &["kpi:acme"]).to_string()).await;
        (begun.json()["cursor"].as_str().unwrap().to_owned(), begun.header(SESSION).to_owned())
    };
    world.nodes[0].terminate();
    let Event::Close { code: 4000, reason } = stream.event().await else { panic!("a drain") };
    assert_eq!(stream.retry_ms, reason["retry_after_ms"].as_u64(), "browsers come back when they are meant to");
    assert_eq!(stream.event().await, Event::End);
    let last = loop {
        let told = ask(at, "GET", "/poll", &[(SESSION, &session), ("x-roomcast-cursor", &poller)], "").await;
        let answer = told.json();
        poller = answer["cursor"].as_str().unwrap().to_owned();
        assert_eq!(told.header("connection") == "close", answer.get("close").is_some(), "another connection may lead to another node");
        if answer.get("close").is_some() {
            break answer;
        }
    };
    assert_eq!(last["close"]["code"], 4000);
    assert!(world.nodes[0].exit().await.success());
}

#[tokio::test]
async fn a_stream_that_is_not_read_costs_a_bounded_queue_and_loses_nothing() {
    let world = World::on(Redis::start(&[]).await, 1, &[("HUB__QUEUE_BYTES_MAX", "65536"), ("HUB__TAIL_BYTES_MAX", "65536")]).await;
    let node = &world.nodes[0];
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = Stream::get(node.address, "?rooms=kpi:acme", &alice(), None).await;
        stream.until("authenticated").await;
        streams.push(stream);
    }
    let before = node.resident_bytes();
    let books = crate::support::books::Books::default();
    crate::support::publishers::pour(&world.redis, &books, "acme", "kpi:acme:sales", "m", (2_000, 4_000)).await;
    within(crate::support::DEADLINE, "the node has seen it all", async || {
        let metrics = node.probe("/metrics").await?;
        metrics.lines().any(|line| line.starts_with("roomcast_sessions_lagging 8")).then_some(())
    })
    .await;
    let grown = node.resident_bytes().saturating_sub(before);
    assert!(grown < 24 << 20, "8 sockets, queues of 64 KiB and what HTTP holds of each: {grown}");
    for marks in join_all(streams.iter_mut().map(|stream| stream.marks(2_000))).await {
        assert!((0..2_000).all(|number| marks[number] == format!("m-{number}")));
    }
}
