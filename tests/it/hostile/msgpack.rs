//! Malformed MessagePack: an error in MessagePack, and the session goes on.

use serde_json::{Value, json};

use super::client::{Client, Heard, frame, text};
use super::gateway::token;
use super::stage::Stage;
use crate::binary::{packed, unpacked};

const MSGPACK: &str = "Sec-WebSocket-Protocol: roomcast.v1.msgpack\r\n";

/// The next message; pings are passed over.
async fn message(client: &mut Client) -> Value {
    loop {
        match client.heard().await {
            Heard::Binary(bytes) => return unpacked(&bytes),
            Heard::Ping(_) => {}
            other => panic!("expected a binary message, got {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messagepack_is_refused_and_the_session_goes_on() {
    let stage = Stage::start(&[]).await;
    let token = token("mallory", "acme", Some(&["subscribe:*:acme:**", "publish:*:acme:**"]));
    let mut client = Client::open(&stage.gateway, "/ws", MSGPACK).await;
    client.send(&frame(0x82, &packed(&json!({"event": "authenticate", "data": {"token": token}})))).await;
    assert_eq!(message(&mut client).await["event"], "authenticated");
    let deep = [b"\x82\xa5event\xa4ping\xa4data".to_vec(), vec![0x91; 200_000], vec![0xc0]].concat();
    let zeros = [&b"\x82\xa5event\xa4ping\xa4data\xdb\x00\x0f\x00\x00"[..], &vec![0; 0x000f_0000]].concat();
    for (bytes, why) in [
        (b"".to_vec(), "nothing"),
        (b"{\"event\":\"client:ping\"}".to_vec(), "JSON"),
        (b"\xdf\xff\xff\xff\xff\xa5event".to_vec(), "a map of four billion"),
        (b"\xdd\xff\xff\xff\xff".to_vec(), "a list of four billion"),
        (b"\x81\xa5event\xdb\xff\xff\xff\xff".to_vec(), "four gigabytes"),
        (b"\x82\xa5event\xa4ping\xa5event\xa4ping".to_vec(), "a field twice"),
        (b"\x81\xa5event\xa4\xff\xff\xff\xff".to_vec(), "no UTF-8"),
        (b"\x81\xa5event\xc4\x04ping".to_vec(), "bytes for a name"),
        (b"\x81\x01\x01".to_vec(), "a number for a key"),
        (b"\x82\xa5event\xa4ping\xa2id\xc3".to_vec(), "an id that is true"),
        (b"\x81\xa5event\xa4ping\x00".to_vec(), "something behind it"),
        (deep, "very deep"),
        (zeros, "what grows to six times its size as JSON"),
    ] {
        client.send(&frame(0x82, &bytes)).await;
        let answer = message(&mut client).await;
        assert_eq!((&answer["event"], &answer["data"]["code"]), (&json!("error"), &json!("INVALID_MESSAGE")), "{why}: {answer}");
        client.send(&frame(0x82, &packed(&json!({"event": "client:ping", "id": why})))).await;
        assert_eq!(message(&mut client).await["id"], why);
    }
    client.send(&text("{\"event\":\"client:ping\"}")).await;
    assert_eq!(client.closed().await.0, 1003, "text has no place among MessagePack");
    stage.end().await;
}
