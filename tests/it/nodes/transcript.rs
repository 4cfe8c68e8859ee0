//! The transcript of the specification, typed by a raw client.

use roomcast_loadtest::socket::{Incoming, Reader, Writer, connect};
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Token};
use crate::support::redis::Redis;
use crate::transport_support::within;

struct Terminal {
    reader: Reader,
    writer: Writer,
}

impl Terminal {
    async fn types(&mut self, text: &str) {
        self.writer.text(text).await.unwrap();
    }

    async fn reads(&mut self) -> Value {
        loop {
            match within(self.reader.read()).await.unwrap() {
                Incoming::Text(text) => return serde_json::from_slice(&text).unwrap(),
                Incoming::Close(code, reason) => panic!("closed: {code} {reason}"),
                Incoming::Ping(_) | Incoming::Other => {}
            }
        }
    }
}

async fn the_transcript_works_on(node: &Gateway) {
    let (reader, writer) = within(connect(node.address, "/ws")).await.unwrap();
    let mut terminal = Terminal { reader, writer };
    let token = Token::of("org_123", "alice").mint();

    terminal.types(&format!(r#"{{"event":"authenticate","data":{{"token":"{token}"}}}}"#)).await;
    let reply = terminal.reads().await;
    assert_eq!((&reply["event"], &reply["data"]["user_id"]), (&json!("authenticated"), &json!("alice")));
    assert_eq!(reply["data"]["organization_id"], "org_123");

    let selector = r#"{"channels":["kpi"],"organization_id":"org_123","department_id":"dept_456","queue_name":"support"}"#;
    terminal.types(&format!(r#"{{"event":"subscribe","data":{selector}}}"#)).await;
    let reply = terminal.reads().await;
    assert_eq!((&reply["event"], &reply["data"]["rooms"]), (&json!("subscribed"), &json!(["kpi:org_123:dept_456:support"])));
    let since = reply["data"]["position"].as_str().unwrap().to_owned();

    terminal.types(r#"{"event":"client:ping"}"#).await;
    assert_eq!(terminal.reads().await["event"], "client:pong");

    let publish = r#"{"event":"publish","id":"p","data":{"event":"kpi:update","room":"kpi:org_123:dept_456:support","data":{"v":1}}}"#;
    terminal.types(publish).await;
    let (first, second) = (terminal.reads().await, terminal.reads().await);
    let (reply, publication) = if first["event"] == "published" { (first, second) } else { (second, first) };
    assert_eq!((&reply["event"], &reply["id"]), (&json!("published"), &json!("p")));
    assert_eq!((&publication["id"], &publication["data"]), (&reply["data"]["id"], &json!({ "v": 1 })));
    assert_eq!(publication["room"], "kpi:org_123:dept_456:support");

    terminal.types(&format!(r#"{{"event":"subscribe","id":7,"data":{{"rooms":["kpi:org_123:*"],"since":"{since}"}}}}"#)).await;
    let reply = terminal.reads().await;
    assert_eq!((&reply["event"], &reply["id"], &reply["data"]["rooms"]), (&json!("subscribed"), &json!(7), &json!(["kpi:org_123:*"])));

    terminal.types(r#"{"event":"dance","id":8}"#).await;
    // The replay for the new subscription may come before it: what the older one had already is not repeated.
    let reply = terminal.reads().await;
    assert_eq!((&reply["event"], &reply["id"], &reply["data"]["code"]), (&json!("error"), &json!(8), &json!("INVALID_MESSAGE")));
}

#[tokio::test]
async fn the_transcript_works_on_the_embedded_broker() {
    let node = Gateway::start("alone", &[]).await;
    the_transcript_works_on(&node).await;
}

#[tokio::test]
async fn the_transcript_works_on_redis() {
    let redis = Redis::start(&[]).await;
    let node = Gateway::start("n0", &[("BROKER__KIND", "redis"), ("BROKER__REDIS__URL", &redis.url())]).await;
    the_transcript_works_on(&node).await;
}
