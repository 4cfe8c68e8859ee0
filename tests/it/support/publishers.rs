//! Publishers that are no clients: backends on Redis and on REST.

use roomcast_loadtest::ledger::Fate;
use serde_json::{Value, json};

use super::books::Books;
use super::gateway::Gateway;
use super::redis::Redis;

/// Publishes through Redis as a backend would.
pub async fn fcall(redis: &Redis, org: &str, room: &str, mark: &str) -> String {
    let data = json!({ "mark": mark }).to_string();
    let mut command = redis::cmd("FCALL");
    command.arg("roomcast_publish").arg(1).arg(format!("rc:{{{org}}}")).arg(room).arg("kpi:update").arg(data);
    let (position, _): (String, i64) = redis.ask(&command).await;
    position
}

/// Publishes `count` marked publications of `bytes` each through Redis, many per round trip, and books them.
pub async fn pour(redis: &Redis, books: &Books, org: &str, room: &str, name: &str, (count, bytes): (usize, usize)) {
    let filling = "x".repeat(bytes);
    let client = redis::Client::open(redis.url()).expect("our URL is well-formed");
    let mut connection = client.get_multiplexed_async_connection().await.expect("the test's Redis is up");
    let marks: Vec<String> = (0..count).map(|number| format!("{name}-{number}")).collect();
    for marks in marks.chunks(64) {
        let mut pipeline = redis::pipe();
        for mark in marks {
            let data = json!({ "mark": mark, "filling": filling }).to_string();
            pipeline.cmd("FCALL").arg("roomcast_publish").arg(1).arg(format!("rc:{{{org}}}")).arg(room).arg("kpi:update").arg(data);
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

/// A REST call; the answer's status and JSON.
pub async fn rest(node: &Gateway, token: &str, path: &str, body: &Value) -> (u16, Value) {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::TokioIo;
    let stream = tokio::net::TcpStream::connect(node.address).await.expect("the node listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
    tokio::spawn(connection);
    let request = http::Request::post(path)
        .header("host", node.address.to_string())
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(bytes::Bytes::from(body.to_string())))
        .expect("the request is well-formed");
    let response = sender.send_request(request).await.expect("it answers");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
