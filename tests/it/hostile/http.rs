//! Sessions over plain HTTP: malformed requests, foreign pages, guessed names, bodies that do not come, and too many of everything.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{response_head, within};
use super::gateway::{Gateway, token};
use super::rest::{bearer, exchange, request};
use super::stage::Stage;
use crate::support::eventually;
use crate::support::http::{CURSOR, Event, NUMBER, SESSION, Stream, ask};

fn mallory() -> String {
    token("mallory", "acme", Some(&["subscribe:*:acme:**", "publish:*:acme:**"]))
}

fn enter() -> String {
    json!({ "event": "authenticate", "data": { "token": mallory(), "rooms": ["kpi:acme"] } }).to_string()
}

async fn status(gateway: &Gateway, request: &str) -> u16 {
    exchange(gateway, request.as_bytes()).await.0
}

#[tokio::test]
async fn requests_that_are_none_of_ours_are_refused_by_status_and_cost_nothing() {
    let stage = Stage::start(&[("ROOMCAST_HTTP__BODY_TIMEOUT_MS", "300")]).await;
    let gateway = &stage.gateway;
    let name = "0".repeat(48);
    let many = format!("[{}]", vec!["{}"; 257].join(","));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(99_999));
    for path in ["/sse", "/poll"] {
        for (lines, body, expected, why) in [
            ("", "", 400, "no body"),
            ("", "nonsense", 400, "no JSON"),
            ("", "{\"event\":", 400, "half a JSON"),
            ("", "\"authenticate\"", 400, "no object"),
            ("", &*deep, 400, "an array without an end"),
            ("", "[]", 400, "no command at all"),
            ("", &*many, 400, "too many commands"),
            ("", &*"x".repeat(300 << 10), 413, "more than strangers may send"),
            ("X-Roomcast-Session: x\r\n", "{}", 404, "never a name"),
            (&*format!("X-Roomcast-Session: {name}\r\n"), "{}", 404, "nobody's name"),
            (&*format!("X-Roomcast-Session: {name}\r\nX-Roomcast-Session: {name}\r\n"), "{}", 400, "two names"),
            (&*format!("X-Roomcast-Session: {name}\r\nX-Roomcast-Number: -1\r\n"), "{}", 400, "no number"),
            (&*format!("X-Roomcast-Session: {name}\r\nX-Roomcast-Number: 0\r\n"), "{}", 400, "before the first"),
            ("Authorization: Bearer\r\n", "{}", 400, "no token"),
            ("Authorization: Bearer a b\r\n", "{}", 400, "two tokens"),
            ("Origin: https://evil.example\r\n", "{}", 403, "a page of another site"),
            ("Origin: null\r\n", "{}", 403, "a page of nobody"),
        ] {
            assert_eq!(status(gateway, &request("POST", path, lines, body)).await, expected, "{path}: {why}");
        }
        for (lines, expected, why) in [
            ("", 401, "a GET brings its token along"),
            ("Authorization: Basic x\r\n", 401, "other schemes are not ours"),
            ("Origin: https://evil.example\r\n", 403, "a page of another site"),
        ] {
            assert_eq!(status(gateway, &request("GET", path, lines, "")).await, expected, "{path}: {why}");
        }
        for method in ["PUT", "DELETE", "HEAD", "PATCH", "TRACE"] {
            assert_eq!(status(gateway, &request(method, path, "", "")).await, 405, "{method} {path}");
        }
        let preflight = |origin| request("OPTIONS", path, &format!("Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n"), "");
        assert_eq!(status(gateway, &preflight("http://a")).await, 204, "the node's own host");
        assert_eq!(status(gateway, &preflight("https://evil.example")).await, 403);
        assert_eq!(status(gateway, &request("POST", &format!("{path}/{name}"), "", "{}")).await, 404, "names are no part of addresses");
    }
    // A body that does not come.
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    socket.write_all(b"POST /sse HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
    assert!(response_head(&mut socket).await.starts_with("HTTP/1.1 408 "));
    stage.end().await;
}

#[tokio::test]
async fn names_that_are_guessed_and_ids_that_are_known_open_nothing() {
    let stage = Stage::start(&[]).await;
    let at = stage.gateway.address;
    let mut victim = Stream::post(at, &serde_json::from_str(&enter()).unwrap()).await;
    let id = victim.until("authenticated").await["data"]["session_id"].as_str().unwrap().to_owned();
    let node = &victim.session[..16];
    let guesses =
        [id.clone(), format!("{id:0>48}"), format!("{node}{id}"), format!("{node}{}", "0".repeat(32)), victim.session.to_uppercase()];
    for guess in guesses.iter().filter(|guess| **guess != victim.session) {
        for path in ["/sse", "/poll"] {
            assert_eq!(ask(at, "POST", path, &[(SESSION, guess)], r#"{"event":"client:ping"}"#).await.status, 404, "{guess}");
        }
        assert_eq!(ask(at, "GET", "/poll", &[(SESSION, guess), (CURSOR, "0")], "").await.status, 404, "{guess}");
    }
    assert_eq!(ask(at, "GET", "/poll", &[(SESSION, &victim.session)], "").await.status, 404, "streams are not polled");
    assert_eq!(ask(at, "GET", "/sse", &[(SESSION, &victim.session)], "").await.status, 400, "nor joined");
    assert_eq!(
        ask(at, "POST", "/sse", &[(SESSION, &victim.session), (NUMBER, "1")], r#"{"event":"client:ping","id":1}"#).await.status,
        202
    );
    assert_eq!(victim.until("client:pong").await["id"], 1, "nobody else was heard");
    stage.end().await;
}

#[tokio::test]
async fn sessions_are_bounded_in_number_and_strangers_in_time() {
    let stage = Stage::start(&[("ROOMCAST_HTTP__SESSIONS_MAX", "3"), ("ROOMCAST_LIMITS__AUTH_TIMEOUT_MS", "700")]).await;
    let at = stage.gateway.address;
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(Stream::post(at, &json!({ "event": "client:ping" })).await);
    }
    for path in ["/sse", "/poll"] {
        let refused = ask(at, "POST", path, &[], &enter()).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, "5"), "{path}");
    }
    // A browser that is refused by status would never come back.
    let mut browser = Stream::get(at, "?rooms=kpi:acme", &mallory(), None).await;
    assert!(matches!(browser.event().await, Event::Close { code: 4003, .. }));
    assert_eq!((browser.event().await, browser.retry_ms), (Event::End, Some(5_000)));
    for stranger in &mut strangers {
        assert_eq!(stranger.event().await.message()["event"], "client:pong");
        assert!(matches!(stranger.event().await, Event::Close { code: 4501, .. }), "nothing authenticated in time");
    }
    let mut known = Stream::get(at, "?rooms=kpi:acme", &mallory(), None).await;
    known.until("authenticated").await;
    stage.end().await;
}

#[tokio::test]
async fn who_posts_nonsense_or_polls_everywhere_hurts_only_itself() {
    let stage = Stage::start(&[("ROOMCAST_SESSION__INVALID_COMMANDS_MAX", "300"), ("ROOMCAST_HTTP__POLL_WAIT_MS", "2000")]).await;
    let at = stage.gateway.address;
    let begun = ask(at, "POST", "/poll", &[], &enter()).await;
    let session = begun.header(SESSION).to_owned();
    let headers = [(SESSION, &*session), (CURSOR, "1")];
    let polls = (0..50).map(|_| ask(at, "GET", "/poll", &headers, ""));
    for answer in futures_util::future::join_all(polls).await {
        assert_eq!((answer.status, &answer.json()["messages"]), (200, &json!([])), "one of them waits, the others are sent back");
    }
    let nonsense = format!("[{}]", vec![r#"{"event":"nonsense"}"#; 256].join(","));
    let mut cursor = "1".to_owned();
    let closed = eventually("the session is closed", async || {
        let posted = ask(at, "POST", "/poll", &[(SESSION, &session)], &nonsense).await.status;
        assert!([202, 404, 503].contains(&posted), "{posted}");
        let answer = ask(at, "GET", "/poll", &[(SESSION, &session), (CURSOR, &cursor)], "").await.json();
        answer["cursor"].as_str().unwrap().clone_into(&mut cursor);
        answer["close"]["code"].as_u64()
    })
    .await;
    assert!([4_504, 4_004].contains(&closed), "{closed}");
    stage.end().await;
}

#[tokio::test]
async fn streams_whose_clients_vanish_are_over() {
    let stage = Stage::start(&[]).await;
    let at = stage.gateway.address;
    for way in 0..20 {
        let mut socket = TcpStream::connect(at).await.unwrap();
        let query = request("GET", "/sse?rooms=kpi:acme", &bearer(&mallory()), "");
        socket.write_all(&query.as_bytes()[..if way % 4 == 0 { query.len() - 1 } else { query.len() }]).await.unwrap();
        if way % 2 == 1 {
            let _ = within("the stream begins", socket.read_u8()).await;
        }
        if way % 3 == 0 {
            socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
    }
    eventually("only the two of the stage are left", async || {
        let metrics = ask(stage.gateway.internal_address().parse().unwrap(), "GET", "/metrics", &[], "").await.body;
        metrics.lines().any(|line| line == "roomcast_sessions 2").then_some(())
    })
    .await;
    stage.end().await;
}
