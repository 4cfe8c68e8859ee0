//! Where the fuzzers begin: what the fixtures and the documents show, and what once failed.

use serde_json::{Value, json};

use super::bodies::{NOW_S, SECRET};
use crate::fixtures::folder;

/// The seeds of a target; none for a name that is no target's.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "commands" => commands(),
        "deflate" => deflate(),
        "dialects" => dialects(),
        "envelope" => envelope(),
        "frames" => frames(),
        "http" => http(),
        "ingest" => ingest(),
        "msgpack" => msgpack(),
        "rooms" => rooms(),
        "tokens" => tokens(),
        _ => Vec::new(),
    }
}

fn commands() -> Vec<Vec<u8>> {
    let good = folder("commands").into_values().map(|fixture| fixture["wire"].to_string());
    let refused = folder("refused").into_values().map(|fixture| fixture["text"].as_str().unwrap().to_owned());
    let number = r#"{"event":"ping","id":4e4444}"#.to_owned();
    good.chain(refused).chain([number]).map(String::into_bytes).collect()
}

/// What clients of each dialect say, behind its number.
fn dialects() -> Vec<Vec<u8>> {
    let messages = [
        (0, r#"{"type":"ping"}"#),
        (0, r#"{"type":"event","channel":"activity.created","payload":{"a":[1]},"timestamp":"t","id":"m-1"}"#),
        (0, r#"{"type":"e","channel":"alerts.alert:triggered","payload":"\ud83d\ude00"}"#),
        (1, r#"{"action":"subscribe","type":"alerts"}"#),
        (1, r#"{"action":"unsubscribe","type":"device","device_id":"d-1"}"#),
        (2, r#"{"type":"auth","token":"a.b.c"}"#),
        (2, r#"{"type":"auth","payload":{"token":"a.b.c"}}"#),
        (2, r#"{"type":"ping","sentAt":17}"#),
        (2, r#"{"type":"chat","payload":{"message":"hi"},"clientId":"c-1"}"#),
        (2, r#"{"type":"subscribe","table":"orders","filter":"status!='op\\en'"}"#),
        (3, r#"{"type":"subscribe","payload":{"channel":"kpi:sales:support"}}"#),
        (3, r#"{"type":"channel_message","payload":{"channel":"sync:orders","event":"database:insert","payload":{"id":1}}}"#),
        (3, r#"{"type":"channel_message","payload":{"channel":"telemetry:d-1","event":"user:typing","payload":{"metrics":1}}}"#),
        (3, r#"{"type":"ping","payload":{"timestamp":1.5}}"#),
    ];
    messages.iter().map(|(number, message)| [&[*number][..], message.as_bytes()].concat()).collect()
}

/// The commands of the fixtures in MessagePack, and publications of bytes.
fn msgpack() -> Vec<Vec<u8>> {
    let packed = commands().into_iter().map(|json| {
        let mut out = bytes::BytesMut::new();
        roomcast::protocol::codec::msgpack::from_json(&json, None, &mut out);
        out.to_vec()
    });
    let bytes = b"\x82\xa5event\xa7publish\xa4data\x83\xa5event\xaakpi:update\xa4room\xa8kpi:acme\xa4data\xc4\x03\x00\xff\x01".to_vec();
    let numbers = b"\x82\xa5event\xabclient:ping\xa2id\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00".to_vec();
    packed.chain([bytes, numbers]).collect()
}

fn pushes() -> impl Iterator<Item = Value> {
    folder("pushes").into_values().map(|fixture| fixture["wire"].clone())
}

/// Raw messages, and compressed ones.
fn deflate() -> Vec<Vec<u8>> {
    let plain: Vec<Vec<u8>> = pushes().map(|push| push.to_string().repeat(3).into_bytes()).collect();
    plain.iter().map(|message| compressed(message)).chain(plain.clone()).collect()
}

fn compressed(message: &[u8]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    roomcast::transport::websocket::deflate::compress(message, &mut out);
    out.to_vec()
}

/// Publications as the function writes them, logged and ephemeral; a fence; news of presence.
fn envelope() -> Vec<Vec<u8>> {
    let options = [
        "",
        " p=urgent c a t=60000",
        " b",
        " s=019aa594b58070008000000000000001,019aa594b58070008000000000000002",
        " h={\"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"}",
    ];
    let header = |push: &Value, options: &str| {
        let (room, event) = (push["room"].as_str()?, push["event"].as_str()?);
        Some(format!("6441709d48640 {room} {event}{options}\n{}", push["data"]))
    };
    let headers = pushes().flat_map(|push| options.map(|options| header(&push, options))).flatten();
    let messages = headers.flat_map(|header| [format!("19aa56d6000-2a {header}"), format!("- {header}")]);
    let fence = "1-5 6441709d48640 ! fork\n".to_owned();
    let number = "1-6 6441709d48640 kpi:acme e\n0.6e666".to_owned();
    let deep = format!("1-7 6441709d48640 kpi:acme e\n{}{}", "[".repeat(64), "]".repeat(64));
    let stay = "019aa594b58070008000000000000001 8 00000000000000aa alice away {\"typing\":true}";
    let news = format!("~ chat:acme:lobby 7\n{stay}\n019aa594b58070008000000000000002\n");
    messages.chain([fence, number, deep, news]).map(String::into_bytes).collect()
}

/// What clients send, whole, in fragments with a ping between, and compressed; each for several ways of splitting.
fn frames() -> Vec<Vec<u8>> {
    let ends = [frame(0x89, b"ping"), frame(0x88, b"\x03\xe8bye")].concat();
    let mut seeds = Vec::new();
    for message in commands() {
        let (first, second) = message.split_at(message.len() / 2);
        let whole = frame(0x81, &message);
        let fragments = [frame(0x01, first), frame(0x8a, b""), frame(0x80, second)].concat();
        let deflated = compressed(&message.repeat(2));
        let (deflated_first, deflated_second) = deflated.split_at(deflated.len() / 2);
        let deflated = [frame(0x41, deflated_first), frame(0x80, deflated_second)].concat();
        let binary = frame(0xc2, &compressed(&message.repeat(2)));
        seeds.push([&[0x83][..], &whole, &fragments, &deflated, &binary, &ends].concat());
        seeds.push([&[0x07][..], &fragments, &whole, &ends].concat());
    }
    seeds
}

/// A client's frame, masked.
/// Queries, names of sessions and bodies.
fn http() -> Vec<Vec<u8>> {
    let commands: Vec<String> = folder("commands").into_values().take(6).map(|fixture| fixture["wire"].to_string()).collect();
    let bodies = [commands[0].clone(), format!("[{}]", commands[..3].join(", \r\n")), "[\n{\"a\":\n1},[],7]".to_owned()];
    let query = "rooms=kpi:acme,chat%3Aacme&rooms=*:acme:**&channels=kpi&queue_name=q&filter=a+%3E+1&since=1-2-3&token=t";
    let name = "0123456789abcdef0123456789abcdef0123456789abcdef";
    bodies.map(|body| format!("{query}\n{name}\n{body}").into_bytes()).to_vec()
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x93, 0xf4];
    let length = u16::try_from(payload.len()).unwrap();
    let mut bytes = match u8::try_from(length) {
        Ok(short @ 0..=125) => vec![first, 0x80 | short],
        _ => [&[first, 0x80 | 126][..], &length.to_be_bytes()].concat(),
    };
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn ingest() -> Vec<Vec<u8>> {
    let options = [
        "",
        "\nbytes=1",
        "\npriority=high\ncascade=1\nrequires_ack=0\nttl_ms=60000",
        "\nidempotency_key=order-7\nlog=0",
        "\nheaders={\"a\":\"b\"}\nsessions=019aa594-b580-7000-8000-000000000001",
    ];
    let entry = |push: &Value, options: &str| {
        let (room, event) = (push["room"].as_str()?, push["event"].as_str()?);
        Some(format!("room={room}\nevent={event}\ndata={}{options}", push["data"]).into_bytes())
    };
    let of_collections = [
        "room=sync:acme:tasks\nop=put\nkey=task-17\nvalue={\"done\":true}\nif_version=42\nidempotency_key=k",
        "room=sync:acme:tasks\nop=delete\nkey=task-17",
        "organization_id=acme\ntable=tasks\nevent=UPDATE\ndata={\"id\":17,\"done\":true}\nprimary_key=id,done",
        "organization_id=acme\ntable=tasks\nevent=DELETE\nold={\"id\":\"17\"}",
    ];
    let publications = pushes().flat_map(|push| options.map(|options| entry(&push, options))).flatten();
    publications.chain(of_collections.map(|entry| entry.as_bytes().to_vec())).collect()
}

/// Rooms and patterns of the documents, together, so that they are held against each other.
fn rooms() -> Vec<Vec<u8>> {
    let texts = [
        "kpi:acme\nkpi:acme:sales\nkpi:acme:sales:support\nkpi:acme:*:support\n*:acme:**\nkpi:acme:**",
        "kpi:org:acme:dept:sales:queue:support\nkpi:org:acme:queue:support\nkpi:acme:_:support\nkpi:org:acme:dept:sales",
        "all:acme\nall:acme:sales\nchat:acme:sales\nall:acme:sales:support\nchat:acme:sales:support",
        "org:acme\nuser:acme:alice\nuser:acme:*\n*:acme:alice\n*:umbrella:**\nkpi:*:sales",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// A genuine token, and claims to be signed, good and bad ones.
fn tokens() -> Vec<Vec<u8>> {
    let claims = json!({"sub": "alice", "org": "acme", "exp": NOW_S + 600, "iat": NOW_S, "nbf": NOW_S, "jti": "t1"});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let genuine = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    let mut seeds = vec![genuine.into_bytes(), b"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.".to_vec()];
    for (claim, value) in [
        ("iat", json!(NOW_S)),
        ("exp", json!(1.5e9)),
        ("grants", json!(["subscribe:kpi:acme", "publish:chat:acme:**", "*:*:umbrella:**"])),
        ("scope", json!("roomcast:admin roomcast:publish")),
        ("aud", json!(["a", 1])),
    ] {
        let mut claims = claims.clone();
        claims[claim] = value;
        seeds.push(format!("\n{claims}").into_bytes());
    }
    seeds
}
