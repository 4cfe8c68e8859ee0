//! Publishers that are no clients: backends on Redis and on REST.

use std::net::SocketAddr;
use std::time::Duration;

use redis::streams::StreamRangeReply;
use roomcast_loadtest::ledger::Fate;
use serde_json::{Value, json};

use super::books::Books;
use super::gateway::Gateway;
use super::redis::Redis;

/// How long a REST call may take.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes through Redis as a backend would, with a filling of so many bytes.
pub async fn fcall(redis: &Redis, org: &str, room: &str, mark: &str, filling_bytes: usize) -> String {
    let data = json!({ "mark": mark, "filling": "x".repeat(filling_bytes) }).to_string();
    let mut command = redis::cmd("FCALL");
    command.arg("roomcast_publish").arg(1).arg(format!("rc:{{{org}}}")).arg(room).arg("kpi:update").arg(data);
    let (position, _): (String, i64) = redis.ask(&command).await;
    position
}

/// Publishes `count` marked publications of `bytes` each through Redis, many per round trip, and books them.
pub async fn pour(redis: &Redis, books: &Books, org: &str, room: &str, name: &str, (count, bytes): (usize, usize)) {
    pour_as("medium", redis, books, org, room, name, (count, bytes)).await;
}

/// As [`pour`], of that priority.
pub async fn pour_as(priority: &str, redis: &Redis, books: &Books, org: &str, room: &str, name: &str, (count, bytes): (usize, usize)) {
    let filling = "x".repeat(bytes);
    let client = redis::Client::open(redis.url()).expect("our URL is well-formed");
    let mut connection = client.get_multiplexed_async_connection().await.expect("the test's Redis is up");
    let marks: Vec<String> = (0..count).map(|number| format!("{name}-{number}")).collect();
    for marks in marks.chunks(64) {
        let mut pipeline = redis::pipe();
        for mark in marks {
            let data = json!({ "mark": mark, "filling": filling }).to_string();
            let call = pipeline.cmd("FCALL").arg("roomcast_publish").arg(1).arg(format!("rc:{{{org}}}"));
            call.arg(room).arg("kpi:update").arg(data).arg("priority").arg(priority);
        }
        let answers: Vec<(String, i64)> = pipeline.query_async(&mut connection).await.expect("Redis takes them");
        for (mark, (position, _)) in marks.iter().zip(answers) {
            books.note(mark, room, Fate::Acked(position.parse().ok()));
        }
    }
}

/// Adds to the ingest stream as a backend would.
pub async fn xadd(redis: &Redis, room: &str, mark: &str, more: &[(&str, &str)]) -> String {
    let data = json!({ "mark": mark }).to_string();
    let mut command = redis::cmd("XADD");
    command.arg("rc:ingest").arg("*").arg("room").arg(room).arg("event").arg("kpi:update").arg("data").arg(data);
    for (name, value) in more {
        command.arg(name).arg(value);
    }
    redis.ask(&command).await
}

/// The numbers of entries that the org's log holds.
pub async fn log_length(redis: &Redis, org: &str) -> usize {
    redis.ask(redis::cmd("XLEN").arg(format!("rc:{{{org}}}:log"))).await
}

/// The marks of what stands in the org's log, in its order; fences have no data and so no mark.
pub async fn logged_marks(redis: &Redis, org: &str) -> Vec<String> {
    let key = format!("rc:{{{org}}}:log");
    let log: StreamRangeReply = redis.ask(redis::cmd("XRANGE").arg(key).arg("-").arg("+")).await;
    let data = log.ids.iter().map(|entry| entry.get::<String>("d").unwrap_or_default()).filter(|data| !data.is_empty());
    let marks = data.map(|data| {
        let data: Value = serde_json::from_str(&data).expect("data is JSON");
        data["mark"].as_str().expect("everything is marked").to_owned()
    });
    marks.collect()
}

/// A REST call that must be answered; the answer's status and JSON.
pub async fn rest(node: &Gateway, token: &str, path: &str, body: &Value) -> (u16, Value) {
    try_rest(node.address, token, path, body).await.expect("the node answers")
}

/// A REST call; `None` when no whole answer came in time.
pub async fn try_rest(node: SocketAddr, token: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    call(node, token, http::Method::POST, path, body.to_string()).await
}

/// Asks REST for something.
pub async fn try_get(node: SocketAddr, token: &str, path: &str) -> Option<(u16, Value)> {
    call(node, token, http::Method::GET, path, String::new()).await
}

async fn call(node: SocketAddr, token: &str, method: http::Method, path: &str, body: String) -> Option<(u16, Value)> {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::TokioIo;
    let asking = async {
        let stream = tokio::net::TcpStream::connect(node).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", node.to_string())
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(body)))
            .expect("the request is well-formed");
        let response = sender.send_request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    };
    tokio::time::timeout(REST_TIMEOUT, asking).await.ok()?
}
