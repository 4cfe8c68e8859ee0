//! One trace from a publisher, through Redis, to the fan-out of every node: told to a real OTLP receiver.

use std::sync::Arc;

use parking_lot::Mutex;
use roomcast_loadtest::{Client, Options};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::eventually;
use crate::support::gateway::{Gateway, Token};
use crate::support::redis::Redis;

const TRACE_ID: [u8; 16] = *b"\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Takes OTLP over HTTP and keeps the bodies.
struct Collector {
    endpoint: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&bodies);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, Arc::clone(&kept)));
            }
        });
        Self { endpoint, bodies }
    }

    /// How many exports hold both our trace id and a span of this name (both stand uncompressed in protobuf).
    fn exports_of(&self, name: &str) -> usize {
        let holds = |body: &[u8], what: &[u8]| body.windows(what.len()).any(|window| window == what);
        self.bodies.lock().iter().filter(|body| holds(body, &TRACE_ID) && holds(body, name.as_bytes())).count()
    }
}

async fn receive(mut stream: TcpStream, bodies: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
        let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok()).unwrap_or(0);
        if bytes.len() >= head + 4 + length {
            bodies.lock().push(bytes[head + 4..].to_vec());
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
            return;
        }
    }
}

#[tokio::test]
async fn a_publishers_trace_goes_on_through_redis_to_each_nodes_fan_out() {
    let (redis, collector) = (Redis::start(&[]).await, Collector::start().await);
    let url = redis.url();
    let settings =
        [("BROKER__KIND", "redis"), ("BROKER__REDIS__URL", url.as_str()), ("TELEMETRY__OTLP__ENDPOINT", collector.endpoint.as_str())];
    let nodes = [Gateway::start("n1", &settings).await, Gateway::start("n2", &settings).await];
    let client = |node: &Gateway| Client::start(Options::new(vec![node.address], Token::of("acme", "alice").mint()).rooms(["kpi:acme"]));
    let (publisher, listener) = (client(&nodes[0]), client(&nodes[1]));
    for client in [&publisher, &listener] {
        eventually("the client has its place in the log", async || client.position()).await;
    }
    let more = json!({ "headers": { "traceparent": TRACEPARENT } });
    publisher.publish_with("kpi:acme", "kpi:update", json!(1), more).await;

    eventually("the publish is traced", async || (collector.exports_of("publish") >= 1).then_some(())).await;
    eventually("both nodes' fan-outs are traced", async || (collector.exports_of("fan_out") >= 2).then_some(())).await;
}
