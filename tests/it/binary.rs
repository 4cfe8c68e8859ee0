//! `roomcast.v1.msgpack`, and bytes as data, by every door and to every kind of client.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use roomcast::protocol::codec::msgpack;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::hostile::client::{Client, DEFLATE, Heard, frame};
use crate::support::gateway::{Gateway, Token};
use crate::support::redis::Redis;
use crate::support::world::World;

/// What no text holds.
const BYTES: &[u8] = b"\x00\xff\xfe{\"\x80\n";

pub fn packed(json: &Value) -> Vec<u8> {
    let mut out = BytesMut::new();
    msgpack::from_json(json.to_string().as_bytes(), None, &mut out);
    out.to_vec()
}

pub fn unpacked(bytes: &[u8]) -> Value {
    serde_json::from_slice(&msgpack::to_json(bytes, 1 << 22).unwrap().json).unwrap()
}

/// A client that speaks MessagePack.
struct Binary(Client);

impl Binary {
    async fn enter(node: &Gateway, rooms: &[&str], since: Option<&str>, lines: &str) -> Self {
        let lines = format!("Sec-WebSocket-Protocol: roomcast.v1, roomcast.v1.msgpack\r\n{lines}");
        let mut client = Self(Client::open_at(node.address, "/ws", &lines).await);
        let data = json!({"token": Token::of("acme", "binary").mint(), "rooms": rooms, "since": since});
        client.says(&packed(&json!({"event": "authenticate", "id": 1, "data": data}))).await;
        assert_eq!(unpacked(&client.hears().await)["event"], "authenticated");
        client
    }

    async fn says(&mut self, bytes: &[u8]) {
        self.0.send(&frame(0x82, bytes)).await;
    }

    async fn hears(&mut self) -> Vec<u8> {
        loop {
            match self.0.heard().await {
                Heard::Binary(bytes) => return bytes,
                Heard::Ping(payload) => self.0.send(&frame(0x8a, &payload)).await,
                other => panic!("{other:?} is no binary message"),
            }
        }
    }

    /// The next publication whose data is these very bytes.
    async fn hears_bytes(&mut self, bytes: &[u8]) {
        let bin = [b"\xa4data\xc4", &[u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
        loop {
            let message = self.hears().await;
            if message.windows(bin.len()).any(|window| window == bin) {
                return;
            }
            assert_ne!(unpacked_event(&message), "error");
        }
    }
}

/// The event of a message in which bytes may stand anywhere.
fn unpacked_event(message: &[u8]) -> String {
    let after = message.windows(6).position(|window| window == b"\xa5event").map(|at| &message[at + 6..]).unwrap_or_default();
    let length = usize::from(after.first().copied().unwrap_or_default() & 0x1f);
    String::from_utf8_lossy(after.get(1..=length).unwrap_or_default()).into_owned()
}

fn publishing(bytes: &[u8]) -> Vec<u8> {
    let head = b"\x83\xa5event\xa7publish\xa2id\x07\xa4data\x83\xa5event\xaakpi:update\xa4room\xaekpi:acme:sales\xa4data\xc4";
    [&head[..], &[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A request with bytes for a body; the status and the answer.
async fn post(node: &Gateway, path: &str, body: &[u8]) -> (u16, Value) {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\nauthorization: Bearer {}\r\n\r\n",
        body.len(),
        Token::service().mint()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn bytes_go_through_every_door_to_clients_of_either_encoding_live_and_replayed() {
    let world = World::of(2).await;
    let mut binary = Binary::enter(&world.nodes[0], &["kpi:acme"], None, "").await;
    let person = world.member("acme", "json", 1, &["kpi:acme"]).await;
    let text = STANDARD.encode(BYTES);
    let room = "kpi:acme:sales";

    binary.says(&publishing(BYTES)).await;
    binary.hears_bytes(BYTES).await;
    let outcome = person.client.publish_with(room, "kpi:update", json!(text), json!({"encoding": "base64"})).await;
    assert!(format!("{outcome:?}").contains("Acked"), "{outcome:?}");
    binary.hears_bytes(BYTES).await;
    let service = Token::service().mint();
    let body = json!({"event": "kpi:update", "target": {"room": room}, "data": text, "encoding": "base64"});
    let (status, answer) = crate::support::publishers::rest(&world.nodes[1], &service, "/api/ws/broadcast", &body).await;
    assert_eq!(status, 200, "{answer}");
    binary.hears_bytes(BYTES).await;
    let (status, answer) = post(&world.nodes[1], "/api/ws/broadcast?event=kpi:update&room=kpi:acme:sales&priority=high", BYTES).await;
    assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
    binary.hears_bytes(BYTES).await;
    let mut call = redis::cmd("FCALL");
    call.arg("roomcast_publish").arg(1).arg("rc:{acme}").arg(room).arg("kpi:update").arg(BYTES).arg("bytes").arg("1");
    let _: (String, i64) = world.redis.ask(&call).await;
    binary.hears_bytes(BYTES).await;
    let mut add = redis::cmd("XADD");
    add.arg("rc:ingest").arg("*").arg("room").arg(room).arg("event").arg("kpi:update").arg("data").arg(BYTES).arg("bytes").arg("1");
    let _: String = world.redis.ask(&add).await;
    binary.hears_bytes(BYTES).await;

    let is_spelled = |message: &&roomcast_loadtest::Message| message.data == json!(text);
    person.until("six of them", |events| (crate::support::world::messages(events).filter(is_spelled).count() == 6).then_some(())).await;
    let answer = rest_get(&world.nodes[0], "/api/ws/log?organization_id=acme").await;
    let logged = answer["messages"].as_array().unwrap();
    assert_eq!(logged.len(), 6, "{answer}");
    assert!(logged.iter().all(|message| message["encoding"] == "base64" && message["data"] == text.as_str()), "{answer}");

    let since = logged[1]["id"].as_str().unwrap();
    let mut returned = Binary::enter(&world.nodes[1], &["kpi:acme"], Some(since), "").await;
    for _ in 2..6 {
        returned.hears_bytes(BYTES).await;
    }
}

async fn rest_get(node: &Gateway, path: &str) -> Value {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let token = Token::service().mint();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn messagepack_says_what_json_says_compressed_too_and_survives_a_drain() {
    let redis = Redis::start(&[]).await;
    let drain = [("DRAIN__ANNOUNCE_MS", "100"), ("DRAIN__SPREAD_MS", "100")];
    let world = World::on(redis, 2, &drain).await;
    let mut binary = Binary::enter(&world.nodes[0], &["kpi:acme"], None, DEFLATE).await;
    assert!(binary.0.deflated);
    let person = world.member("acme", "json", 1, &["kpi:acme"]).await;
    let data = json!({"mark": "long", "list": vec![json!({"n": 1.5, "s": "é", "nil": null, "big": u64::MAX, "low": -7}); 100]});
    person.client.publish("kpi:acme:sales", "kpi:update", data.clone()).await;
    let publication = unpacked(&binary.hears().await);
    assert_eq!(
        (&publication["event"], &publication["room"], &publication["data"]),
        (&json!("kpi:update"), &json!("kpi:acme:sales"), &data)
    );
    let id = publication["id"].as_str().unwrap();
    let message = person.receives("long").await;
    assert_eq!(message.publication_id(), Some(id));

    binary.says(&packed(&json!({"event": "subscribe", "id": "s", "data": {"rooms": ["chat:umbrella"]}}))).await;
    let refusal = unpacked(&binary.hears().await);
    assert_eq!((&refusal["id"], &refusal["data"]["code"]), (&json!("s"), &json!("UNAUTHORIZED")));
    world.nodes[0].terminate();
    assert_eq!(binary.0.closed().await.0, 4_000);
    person.publishes("kpi:acme:sales", "meanwhile").await;
    let mut again = Binary::enter(&world.nodes[1], &["kpi:acme"], Some(id), "").await;
    let missed = unpacked(&again.hears().await);
    // Replayed, or live where this node had not heard of it yet.
    assert_eq!(missed["data"]["mark"], "meanwhile");
}

#[tokio::test]
async fn what_is_no_base64_or_described_wrongly_is_refused() {
    let node = Gateway::start("alone", &[]).await;
    let service = Token::service().mint();
    for data in [json!("AA"), json!("*"), json!(1), json!({"a": 1})] {
        let body = json!({"event": "kpi:update", "target": {"room": "kpi:acme"}, "data": data, "encoding": "base64"});
        let (status, answer) = crate::support::publishers::rest(&node, &service, "/api/ws/broadcast", &body).await;
        assert_eq!((status, &answer["code"]), (400, &json!("INVALID_MESSAGE")), "{data}");
    }
    for query in ["", "?event=kpi:update&room=kpi:acme&color=red", "?event=no%20event&room=kpi:acme", "?event=kpi:update&room=kpi"] {
        let (status, answer) = post(&node, &format!("/api/ws/broadcast{query}"), BYTES).await;
        assert_eq!(status, 400, "{query} {answer}");
    }
    let (status, _) = post(&node, "/api/ws/broadcast?event=kpi:update&room=kpi:acme", &vec![0; (1 << 20) + 1]).await;
    assert_eq!(status, 413);
    let (status, answer) = post(&node, "/api/ws/broadcast?event=kpi:update&room=kpi:acme", b"").await;
    assert_eq!(status, 200, "no bytes at all are bytes too: {answer}");
}
