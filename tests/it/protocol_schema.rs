//! The schema of the protocol against the fixtures: it takes every message that is well formed, knows every member that the server
//! writes, and refuses what is refused for its shape.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::fixtures::folder;

/// Refused for what the schema leaves open: the grammar of rooms, what is to be counted in bytes or asked of one operation and not of
/// another, and the form of positions, which is none of a client's business.
const BEYOND_SHAPE: [&str; 19] = [
    "ack-no-position",
    "filter-malformed",
    "latest-and-since",
    "presence-of-a-pattern",
    "presence-of-another-org",
    "presence-state-too-large",
    "presence-update-of-nothing",
    "publish-into-a-pattern",
    "since-no-position",
    "sync-subscribe-empty-cursor",
    "sync-subscribe-in-another-channel",
    "sync-subscribe-in-another-org",
    "sync-subscribe-to-a-pattern",
    "sync-write-insert-of-a-version",
    "sync-write-into-a-pattern",
    "sync-write-long-key",
    "sync-write-without-value",
    "unknown-channel",
    "wildcard-org",
];

/// One definition of the schema.
struct Definition {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Definition {
    fn new(name: &str) -> Self {
        Self::of(document(), name)
    }

    /// As [`Definition::new`], but what the schema does not name is refused too.
    fn closed(name: &str) -> Self {
        let mut document = document();
        for (_, schema) in document["$defs"].as_object_mut().unwrap() {
            if schema.get("properties").is_some() {
                schema["additionalProperties"] = json!(false);
            }
        }
        Self::of(document, name)
    }

    fn of(document: Value, name: &str) -> Self {
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.enable_format_assertions();
        compiler.add_resource("file:///protocol.schema.json", document).unwrap();
        let index = compiler.compile(&format!("file:///protocol.schema.json#/$defs/{name}"), &mut schemas);
        Self { index: index.unwrap_or_else(|error| panic!("{name}: {error}")), schemas }
    }

    fn fault(&self, value: &Value) -> Option<String> {
        self.schemas.validate(value, self.index).err().map(|error| format!("{error:#}"))
    }
}

fn document() -> Value {
    serde_json::from_str(&roomcast::protocol::schema::document()).unwrap()
}

fn holds(definition: &Definition, kind: &str, part: &str) {
    for (name, fixture) in folder(kind) {
        if let Some(fault) = definition.fault(&fixture[part]) {
            panic!("{kind}/{name}: {fault}");
        }
    }
}

#[test]
fn every_command_is_a_client_message() {
    holds(&Definition::closed("ClientMessage"), "commands", "wire");
}

#[test]
fn every_reply_push_and_error_is_a_server_message() {
    let server = Definition::closed("ServerMessage");
    for kind in ["replies", "pushes", "errors"] {
        holds(&server, kind, "wire");
    }
}

#[test]
fn replies_and_pushes_are_told_apart() {
    holds(&Definition::closed("Reply"), "replies", "wire");
    let (push, publication) = (Definition::closed("Push"), Definition::closed("Publication"));
    for (name, fixture) in folder("pushes") {
        let wire = &fixture["wire"];
        let is_publication = wire.get("room").is_some();
        assert_eq!((push.fault(wire).is_none(), publication.fault(wire).is_none()), (!is_publication, is_publication), "{name}");
    }
}

#[test]
fn every_close_is_one_of_the_schema() {
    holds(&Definition::closed("CloseCode"), "closes", "close_code");
    let reason = Definition::closed("CloseReason");
    for (name, fixture) in folder("closes").into_iter().filter(|(_, fixture)| !fixture["reason"].is_null()) {
        assert_eq!(reason.fault(&fixture["reason"]), None, "{name}");
    }
}

#[test]
fn what_is_refused_for_its_shape_is_refused_by_the_schema() {
    let client = Definition::new("ClientMessage");
    let well_shaped = |fixture: &Value| {
        let message = serde_json::from_str(fixture["text"].as_str().unwrap());
        message.is_ok_and(|message| client.fault(&message).is_none())
    };
    let refused = folder("refused");
    let open: Vec<&str> = refused.iter().filter(|(_, fixture)| well_shaped(fixture)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(open, BEYOND_SHAPE);
}

#[test]
fn unknown_members_are_ignored() {
    let message = json!({ "event": "subscribe", "data": { "rooms": ["kpi:acme"], "token": 7 }, "more": 1 });
    assert_eq!(Definition::new("ClientMessage").fault(&message), None);
    let message = json!({ "event": "position", "data": { "position": "1-2-3", "more": [] }, "more": 1 });
    assert_eq!(Definition::new("ServerMessage").fault(&message), None);
}
