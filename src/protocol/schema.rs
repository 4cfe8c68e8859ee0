//! The JSON Schema of all that a client and a gateway say to each other: docs/protocol.schema.json, from which clients make their types.
//!
//! What a message holds is described where its type is written; here the parts become messages, each with its `event` and `id`.
//! No gateway that runs calls anything of this: the test that keeps the file current does.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::code::{Close, CloseCode};
use super::codec::json::{At, Changed, Ended, Expiring, PresenceEnded};
use super::command::history::History;
use super::command::presence::{Enter, InRoom, Update};
use super::command::sync::{SyncSubscribe, SyncWrite};
use super::command::{Ack, Authenticate, CommandId, Publish, Selector, Subscribe};
use super::position::Position;
use super::publication::{Priority, Spelling};
use super::push::{Conflated, Gap, Reply};
use super::room::RoomName;

/// Data of replies, by the kinds of [`Reply`] in their order: event, name, meaning.
const REPLIES: [(&str, &str, &str); 15] = [
    ("authenticated", "Authenticated", "Answers `authenticate`; comes without an `id` where the credentials came with the handshake."),
    ("subscribed", "Subscribed", "Answers `subscribe`."),
    ("unsubscribed", "Unsubscribed", "Answers `unsubscribe`: nothing more comes by these subscriptions."),
    ("published", "Published", "Answers `publish`."),
    ("acked", "Acked", "Answers an `ack` that had an `id`."),
    ("client:pong", "Pong", "Answers `client:ping`."),
    ("history", "HistoryPage", "Answers `history` with one page of the past."),
    ("sync:snapshot", "SyncSnapshot", "Answers `sync:subscribe` with one page of the collection."),
    ("sync:written", "SyncWritten", "Answers `sync:write`."),
    ("presence:entered", "PresenceEntered", "Answers `presence:enter`."),
    ("presence:updated", "PresenceUpdated", "Answers `presence:update`."),
    ("presence:left", "PresenceLeft", "Answers `presence:leave`."),
    (
        "presence:snapshot",
        "PresenceSnapshot",
        "Answers `presence:watch`: who is in the room. In a large room the next diffs bring the rest.",
    ),
    ("presence:unwatched", "PresenceUnwatched", "Answers `presence:unwatch`."),
    ("error", "Error", "Answers a command that was refused. It does not end the session, unless it answers the first credentials."),
];

/// The document as text.
pub fn document() -> String {
    let mut definitions = Map::new();
    for part in [commands(), replies(), pushes(), closes()] {
        for (name, schema) in part {
            let earlier = definitions.insert(name.clone(), schema.clone());
            assert!(earlier.is_none_or(|earlier| earlier == schema), "{name} would have two meanings in the schema of the protocol");
        }
    }
    let server = either("What the server sends. What is none of these is to be ignored.", ["Publication", "Reply", "Push"]);
    definitions.insert("ServerMessage".into(), server);
    let document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "roomcast.v1",
        "description": "The messages of docs/protocol.md. ClientMessage is what a client sends, ServerMessage what the server sends; \
                        CloseCode and CloseReason are what its close frames hold. Both sides ignore fields that they do not know.",
        "$defs": definitions,
    });
    format!("{document:#}\n")
}

fn commands() -> Map<String, Value> {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let authenticate = generator.subschema_for::<Authenticate>();
    let subscribe = one_named(generator.subschema_for::<Subscribe>(), "rooms", "channels", &json!({ "minItems": 1 }));
    let unsubscribe = one_named(generator.subschema_for::<Selector>(), "rooms", "channels", &json!({ "minItems": 1 }));
    let publish = one_named(generator.subschema_for::<Publish>(), "room", "channel", &json!({ "type": "string" }));
    let ack = generator.subschema_for::<Ack>();
    let messages = [
        ("AuthenticateCommand", "First command, or renewal of the token. May subscribe at the same stroke.", "authenticate", authenticate),
        ("SubscribeCommand", "Subscribes to all that it names, or to nothing.", "subscribe", subscribe),
        ("UnsubscribeCommand", "Ends subscriptions, which it names as they were made.", "unsubscribe", unsubscribe),
        ("PublishCommand", "Publishes one message.", "publish", publish),
        ("AckCommand", "The client has dealt with publications that ask for it. Answered only where it has an `id`.", "ack", ack),
        ("HistoryCommand", "Reads one page of the past.", "history", generator.subschema_for::<History>()),
    ];
    let spelled_once = [
        ("SyncSubscribeCommand", "Reads one page of a collection.", "sync:subscribe", generator.subschema_for::<SyncSubscribe>()),
        ("SyncWriteCommand", "Changes one item of a collection.", "sync:write", generator.subschema_for::<SyncWrite>()),
    ];
    let (enter, update, in_room) =
        (generator.subschema_for::<Enter>(), generator.subschema_for::<Update>(), generator.subschema_for::<InRoom>());
    let messages = messages.into_iter().chain([
        ("PresenceEnterCommand", "Enters a room, or tells anew how one is there.", "presence:enter", enter),
        ("PresenceUpdateCommand", "Tells anew how one is in a room.", "presence:update", update),
        ("PresenceLeaveCommand", "Leaves a room.", "presence:leave", in_room.clone()),
        ("PresenceWatchCommand", "Asks who is in a room, and to be told of changes.", "presence:watch", in_room.clone()),
        ("PresenceUnwatchCommand", "Asks to be told no more.", "presence:unwatch", in_room),
    ]);
    let messages: Vec<_> = messages.collect();
    let id = generator.subschema_for::<Option<CommandId>>();
    let every = messages.iter().chain(&spelled_once).map(|(name, ..)| *name).chain(["PingCommand"]);
    let mut named = Map::from_iter([("ClientMessage".to_owned(), either("What a client sends.", every))]);
    for (name, about, event, data) in &messages {
        let event = json!({ "enum": [event, format!("client:{event}")] });
        named.insert((*name).into(), message(about, &event, Some(&id), Some(data)));
    }
    for (name, about, event, data) in &spelled_once {
        named.insert((*name).into(), message(about, &json!({ "const": event }), Some(&id), Some(data)));
    }
    let ping = message("Asks for a sign of life.", &json!({ "enum": ["client:ping", "ping"] }), Some(&id), None);
    named.insert("PingCommand".into(), ping);
    named.extend(generator.take_definitions(true));
    named
}

fn replies() -> Map<String, Value> {
    let mut generator = writing();
    let kinds = Reply::json_schema(&mut generator);
    let kinds = kinds.get("anyOf").and_then(Value::as_array).expect("replies are an untagged enum");
    assert_eq!(kinds.len(), REPLIES.len(), "every kind of reply has its line in REPLIES");
    let id = generator.subschema_for::<CommandId>();
    let every = REPLIES.iter().map(|(_, name, _)| format!("{name}Reply"));
    let mut named = Map::from_iter([("Reply".to_owned(), either("The answer to a command, with its `id`.", every))]);
    let mut data = generator.take_definitions(true);
    for (kind, (event, name, about)) in kinds.iter().zip(REPLIES) {
        // A kind that is a type of its own is there already.
        data.entry(format!("{name}Data")).or_insert_with(|| kind.clone());
        let data = json_schema!({ "$ref": format!("#/$defs/{name}Data") });
        named.insert(format!("{name}Reply"), message(about, &json!({ "const": event }), Some(&id), Some(&data)));
    }
    named.extend(data);
    named
}

fn pushes() -> Map<String, Value> {
    let mut generator = writing();
    let messages = [
        ("GapPush", "Something within reach may be missing: fetch the present state anew.", "gap", generator.subschema_for::<Gap>()),
        (
            "ConflatedPush",
            "A slow session does not get some publications of low priority: later ones, which follow, took their place.",
            "conflated",
            generator.subschema_for::<Conflated>(),
        ),
        ("PositionPush", "Sent with the heartbeat to a session that nothing concerned.", "position", generator.subschema_for::<At>()),
        ("TokenExpiringPush", "Authenticate with a fresh token, or be closed.", "token:expiring", generator.subschema_for::<Expiring>()),
        (
            "UnsubscribedPush",
            "The server ended subscriptions. Unlike the reply it has a `code`.",
            "unsubscribed",
            generator.subschema_for::<Ended<'_>>(),
        ),
        (
            "PresenceDiffPush",
            "Who came to a watched room, told something else or went.",
            "presence:diff",
            generator.subschema_for::<Changed<'_>>(),
        ),
        (
            "PresenceEndedPush",
            "A renewed token no longer grants presence in the room: the session is in it no more and watches it no more.",
            "presence:ended",
            generator.subschema_for::<PresenceEnded<'_>>(),
        ),
    ];
    let every = messages.iter().map(|(name, ..)| name);
    let mut named = Map::from_iter([("Push".to_owned(), either("What the server sends unasked, publications aside.", every))]);
    for (name, about, event, data) in &messages {
        named.insert((*name).into(), message(about, &json!({ "const": event }), None, Some(data)));
    }
    named.insert("Publication".into(), publication(&mut generator).to_value());
    named.extend(generator.take_definitions(true));
    named
}

/// As [`super::codec::json::push`] writes it, piece by piece.
fn publication(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "One message of a room. What has a `room` is a publication, whatever its `event`.",
        "type": "object",
        "required": ["event", "room", "ts", "data"],
        "properties": {
            "event": { "description": "What it is about, such as `kpi:update`.", "type": "string" },
            "room": generator.subschema_for::<RoomName>(),
            "id": described(generator.subschema_for::<Position>(), "Its position; left out for an ephemeral one."),
            "ts": { "description": "When the log took it.", "type": "string", "format": "date-time" },
            "data": { "description": "Any JSON value, as it was published; a text in base64 where `encoding` says so." },
            "encoding": described(generator.subschema_for::<Spelling>(), "Left out unless the data are bytes; never there in MessagePack, which has them as they are."),
            "priority": described(generator.subschema_for::<Priority>(), "Left out when it is `medium`."),
            "headers": { "description": "`traceparent` among them.", "type": "object", "additionalProperties": { "type": "string" } },
            "cascade": flag("It reaches subscriptions on rooms below its own too."),
            "requires_ack": flag("As the publisher asked."),
            "replayed": flag("It comes from the log, for a subscription with an older position."),
            "overtook": flag("It comes before others that stand earlier in the log: do not keep its id as your position."),
            "conflated": count("So many earlier ones of the same room and event, all of low priority, were left out in its favour."),
            "redelivered": count("It was sent so often before and not acknowledged: do not keep its id as your position."),
        },
    })
}

fn closes() -> Map<String, Value> {
    let mut generator = writing();
    generator.subschema_for::<Close>();
    generator.subschema_for::<CloseCode>();
    generator.take_definitions(true)
}

/// Makes schemas of what the server writes, where every member that it never leaves out is required.
fn writing() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

fn message(about: &str, event: &Value, id: Option<&Schema>, data: Option<&Schema>) -> Value {
    let mut properties = Map::from_iter([("event".to_owned(), event.clone())]);
    properties.extend(id.map(|id| ("id".to_owned(), json!(id))));
    properties.extend(data.map(|data| ("data".to_owned(), json!(data))));
    let required = if data.is_some() { json!(["event", "data"]) } else { json!(["event"]) };
    json!({ "description": about, "type": "object", "required": required, "properties": properties })
}

fn either<S: AsRef<str>>(about: &str, names: impl IntoIterator<Item = S>) -> Value {
    let each: Vec<Value> = names.into_iter().map(|name| json!({ "$ref": format!("#/$defs/{}", name.as_ref()) })).collect();
    json!({ "description": about, "anyOf": each })
}

/// One of two members must be there and name something.
fn one_named(mut data: Schema, spelled: &str, composed: &str, something: &Value) -> Schema {
    let named = |member: &str| json!({ "required": [member], "properties": { member: something } });
    data.insert("anyOf".into(), json!([named(spelled), named(composed)]));
    data
}

fn described(mut schema: Schema, about: &str) -> Schema {
    schema.insert("description".into(), about.into());
    schema
}

/// A member that is left out when it says nothing.
fn flag(about: &str) -> Value {
    json!({ "description": about, "type": "boolean", "default": false })
}

/// As [`flag`], for what is counted from 1.
fn count(about: &str) -> Value {
    json!({ "description": about, "type": "integer", "minimum": 1 })
}
