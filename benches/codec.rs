//! From a client's text to a command, from a publication to its frame, and from what Redis holds to a publication.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use roomcast::broker::envelope;
use roomcast::hub::frames;
use roomcast::protocol::push::{Answer, Manner, Reply};
use roomcast::protocol::{Command, Wire};
use roomcast::transport::websocket::{Config, wire};

use crate::support::case::{Case, Subject};
use crate::support::material::{TIME_US, data, org, publication, syntax};

/// Messages in one run: one alone would be lost in the cost of calling.
const MESSAGES: u64 = 100;

pub const CASES: &[Case] = &[
    Case { name: "codec/parse_ping", unit: "command", units: MESSAGES, subject: || parsing(r#"{"event":"client:ping","id":7}"#.into()) },
    Case { name: "codec/parse_subscribe", unit: "command", units: MESSAGES, subject: || parsing(subscribe()) },
    Case { name: "codec/parse_publish_100", unit: "command", units: MESSAGES, subject: || parsing(publish(100)) },
    Case { name: "codec/parse_publish_1000", unit: "command", units: MESSAGES, subject: || parsing(publish(1_000)) },
    Case { name: "codec/answer_pong", unit: "answer", units: MESSAGES, subject: answering },
    Case { name: "codec/frame_100", unit: "publication", units: MESSAGES, subject: || framing(&wire::json, 100) },
    Case { name: "codec/frame_1000", unit: "publication", units: MESSAGES, subject: || framing(&wire::json, 1_000) },
    Case { name: "codec/frame_1000_deflated", unit: "publication", units: MESSAGES, subject: || framing(&deflated, 1_000) },
    Case { name: "codec/read_bus_100", unit: "entry", units: MESSAGES, subject: || reading_bus(100) },
    Case { name: "codec/read_bus_1000", unit: "entry", units: MESSAGES, subject: || reading_bus(1_000) },
];

fn subscribe() -> String {
    let rooms = r#""rooms":["kpi:acme:sales:support","backlog:acme:*:support","alerts:acme:**"]"#;
    format!(r#"{{"event":"subscribe","id":1,"data":{{{rooms},"since":"19b7684d000-2a-647b1a2e0c000"}}}}"#)
}

fn publish(data_bytes: usize) -> String {
    let data = data(data_bytes);
    format!(r#"{{"event":"publish","id":2,"data":{{"event":"kpi:update","room":"kpi:acme:sales:support","data":{data}}}}}"#)
}

fn parsing(text: String) -> Box<dyn Subject> {
    assert!(Command::parse(text.as_bytes()).is_ok(), "{text}");
    Box::new(move || {
        for _ in 0..MESSAGES {
            drop(black_box(Command::parse(black_box(text.as_bytes()))));
        }
    })
}

fn answering() -> Box<dyn Subject> {
    let wire = wire::json();
    let answer = Answer::new(None, Reply::Pong { ts: TIME_US / 1_000, position: None });
    Box::new(move || {
        for _ in 0..MESSAGES {
            let mut out = BytesMut::new();
            wire.answer(black_box(&answer), &mut out);
            drop(black_box(out));
        }
    })
}

fn deflated() -> std::sync::Arc<dyn Wire> {
    wire::json_deflated(&Config { compression_threshold_bytes: 1, ..Config::default() })
}

/// One frame per publication, as live delivery makes it once for all sessions of a wire.
fn framing(wire: &dyn Fn() -> std::sync::Arc<dyn Wire>, data_bytes: usize) -> Box<dyn Subject> {
    let (wire, publication) = (wire(), publication("kpi:acme:sales:support", data_bytes));
    Box::new(move || {
        for _ in 0..MESSAGES {
            drop(black_box(frames::encode(wire.as_ref(), black_box(&publication), Manner::PLAIN)));
        }
    })
}

/// The bytes are those that the publish function writes to an org's bus; writing them is Lua's work, inside of Redis.
fn reading_bus(data_bytes: usize) -> Box<dyn Subject> {
    let line = format!("19b7684d000-1267 {TIME_US:x} kpi:acme:sales:support kpi:update p=high t=60000\n");
    let (payload, org, syntax) = (Bytes::from(line + &data(data_bytes)), org(), syntax());
    assert!(envelope::bus_message(&payload, &org, &syntax).is_ok());
    Box::new(move || {
        for _ in 0..MESSAGES {
            drop(black_box(envelope::bus_message(black_box(&payload), &org, &syntax)));
        }
    })
}
