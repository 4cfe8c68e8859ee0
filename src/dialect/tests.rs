//! What the dialects read and write, exact to the field.

use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::protocol::command::{Action, Address, CommandId, Publish};
use crate::protocol::filter::Document;
use crate::protocol::push::{Authenticated, Conflated, Gap, Manner, Reply};
use crate::protocol::{Code, EventName, GapReason, NewPublication, OrgId, Position, Publication, RoomSyntax, Selector, SessionId};

/// 2025-11-21T09:00:00.123456Z.
const TIME_US: u64 = 1_763_715_600_123_456;
const TIME: &str = "2025-11-21T09:00:00.123Z";
const TIME_MS: u64 = 1_763_715_600_123;

fn syntax() -> RoomSyntax {
    RoomSyntax::new(4, ["kpi", "alerts", "activity", "notifications", "telemetry", "chat", "sync"])
}

fn acme() -> OrgId {
    OrgId::parse("acme").unwrap()
}

fn dialect(name: &str) -> &'static Dialect {
    Dialect::named(name).unwrap()
}

fn publication(room: &str, event: &str, data: &Value, headers: Option<Value>) -> Publication {
    let (room, event) = (syntax().room(room).unwrap(), EventName::parse(event).unwrap());
    let new =
        NewPublication { headers: headers.map(|headers| headers.to_string().into()), ..NewPublication::new(room, event, data.to_string()) };
    new.placed(Some(Position { epoch: 1, seq: 42, check: TIME_US }), TIME_US)
}

/// What is written, `null` for nothing.
fn written(write: impl FnOnce(&mut BytesMut)) -> Value {
    let mut out = BytesMut::new();
    write(&mut out);
    if out.is_empty() { Value::Null } else { serde_json::from_slice(&out).unwrap() }
}

fn pushed(name: &str, push: &Push<'_>) -> Value {
    written(|out| (dialect(name).push)(push, out))
}

fn published(name: &str, room: &str, event: &str, data: &Value, headers: Option<Value>) -> Value {
    pushed(name, &Push::Publication { publication: &publication(room, event, data, headers), manner: Manner::PLAIN })
}

fn answered(name: &str, id: Option<CommandId>, reply: Reply) -> Value {
    written(|out| (dialect(name).answer)(&Answer { id, reply }, TIME_MS, out))
}

fn read(name: &str, message: &Value) -> Command {
    (dialect(name).read)(message.to_string().as_bytes()).unwrap()
}

fn refused(name: &str, message: &Value) -> Fault {
    (dialect(name).read)(message.to_string().as_bytes()).unwrap_err().fault
}

/// The room that a publish goes to, with the rest of it.
fn publishes(name: &str, message: &Value) -> (String, Publish) {
    let Action::Publish(publish) = read(name, message).action else { panic!("{message} is no publish") };
    let address = Address {
        channel: publish.channel.as_deref(),
        department_id: publish.department_id.as_deref(),
        queue_name: publish.queue_name.as_deref(),
        ..Address::default()
    };
    (address.room(&syntax(), &acme()).unwrap().to_string(), *publish)
}

fn rooms(selector: &Selector) -> Vec<String> {
    selector.wanted(&syntax(), &acme()).unwrap().iter().map(|wanted| wanted.pattern.to_string()).collect()
}

fn subscribes(name: &str, message: &Value) -> Vec<String> {
    let Action::Subscribe(subscribe) = read(name, message).action else { panic!("{message} is no subscribe") };
    rooms(&subscribe.selector)
}

fn unsubscribes(name: &str, message: &Value) -> Vec<String> {
    let Action::Unsubscribe(selector) = read(name, message).action else { panic!("{message} is no unsubscribe") };
    rooms(&selector)
}

fn pong() -> Reply {
    Reply::Pong { ts: TIME_MS, position: None }
}

fn error(code: Code) -> Reply {
    Reply::Error(Fault::new(code, "no"))
}

fn gap() -> Gap {
    Gap { from: None, to: Position { epoch: 1, seq: 7, check: TIME_US }, reason: GapReason::Trimmed }
}

fn authenticated(permissions: Option<Vec<String>>) -> Reply {
    Reply::Authenticated(Authenticated {
        session_id: "019aa594-b580-7000-8000-000000000001".parse::<SessionId>().unwrap(),
        user_id: "alice".into(),
        organization_id: acme(),
        expires_at: 1,
        ping_interval_ms: 25_000,
        rooms: Vec::new(),
        position: None,
        latest: None,
        features: &[],
        permissions,
    })
}

#[test]
fn command_center_has_one_envelope_both_ways() {
    let name = "command-center";
    let sent = json!({"type": "event", "channel": "activity.created", "payload": {"a": 1}, "timestamp": "x", "id": "m-1"});
    let (room, publish) = publishes(name, &sent);
    assert_eq!((room.as_str(), publish.event.as_str(), publish.data.get()), ("activity:acme", "activity:created", r#"{"a":1}"#));
    let headers = json!(publish.headers.unwrap());
    assert_eq!(headers, json!({"type": "event", "id": "m-1"}));
    let received = published(name, "activity:acme", "activity:created", &json!({"a": 1}), Some(headers));
    assert_eq!(received, json!({"type": "event", "channel": "activity.created", "payload": {"a": 1}, "timestamp": TIME, "id": "m-1"}));
    let native = published(name, "kpi:acme:sales", "kpi:update", &json!(7), None);
    let id = Position { epoch: 1, seq: 42, check: TIME_US }.to_string();
    assert_eq!(native, json!({"type": "message", "channel": "kpi.update", "payload": 7, "timestamp": TIME, "id": id}));
    let to_all = published(name, "org:acme", "system:broadcast", &json!("hi"), None);
    assert_eq!(to_all["channel"], "system.broadcast");
}

#[test]
fn command_center_never_says_anything_without_a_channel_but_the_pong() {
    let name = "command-center";
    assert!(matches!(read(name, &json!({"type": "ping"})).action, Action::Ping));
    assert_eq!(answered(name, None, pong()), json!({"type": "pong"}));
    let said = [answered(name, None, error(Code::Unauthorized)), pushed(name, &Push::Gap(&gap()))];
    assert_eq!(
        said[0],
        json!({"type": "error", "channel": "system.error", "payload": {"code": "UNAUTHORIZED", "message": "no"}, "timestamp": TIME})
    );
    assert!(said.iter().all(|said| said["channel"].is_string()), "{said:?}");
    let conflated = Conflated { from: gap().to, to: gap().to, left_out: 3 };
    assert_eq!(pushed(name, &Push::Conflated(&conflated))["channel"], "system.conflated");
    let silent = [
        answered(name, None, authenticated(Some(Vec::new()))),
        answered(name, None, Reply::Published { id: None, duplicate: false }),
        pushed(name, &Push::Position(gap().to)),
        pushed(name, &Push::TokenExpiring { expires_at: 1 }),
    ];
    assert!(silent.iter().all(Value::is_null), "{silent:?}");
    for bad in [
        json!({"type": "x"}),
        json!({"type": "x", "channel": "activity"}),
        json!({"type": "pong", "channel": "a.b"}),
        json!({"channel": "a.b"}),
    ] {
        assert_eq!(refused(name, &bad).code, Code::InvalidMessage, "{bad}");
    }
}

proptest! {
    #[test]
    fn dotted_channels_lead_there_and_back(channel in "kpi|alerts|activity|notifications|chat", rest in "[a-z_.]{1,8}(:[a-z.]{1,4}){0,2}") {
        let message = json!({"type": "x", "channel": format!("{channel}.{rest}"), "payload": null});
        let (room, publish) = publishes("command-center", &message);
        let received = published("command-center", &room, &publish.event, &Value::Null, None);
        // Written out or not, the same event in the same channel.
        let (again, published) = publishes("command-center", &json!({"type": "x", "channel": received["channel"], "payload": null}));
        prop_assert_eq!((again, published.event), (room, publish.event));
        if !rest.contains(':') {
            prop_assert_eq!(&received["channel"], &message["channel"]);
        }
    }

    #[test]
    fn every_native_event_with_a_noun_has_a_dotted_channel_of_its_own(noun in "kpi|alert|alerts|activity", rest in "[a-z.]{1,8}(:[a-z]{0,4}){0,2}") {
        let event = format!("{noun}:{rest}");
        let dotted = published("command-center", "alerts:acme", &event, &Value::Null, None);
        let (room, publish) = publishes("command-center", &json!({"type": "x", "channel": dotted["channel"], "payload": null}));
        prop_assert_eq!((room.as_str(), publish.event), ("alerts:acme", event));
    }
}

#[test]
fn api_v2_subscribes_to_alerts_and_devices() {
    let name = "api-v2";
    assert_eq!(subscribes(name, &json!({"action": "subscribe", "type": "alerts"})), ["alerts:acme"]);
    assert_eq!(subscribes(name, &json!({"action": "subscribe", "type": "device", "device_id": "d-1"})), ["telemetry:acme:d-1"]);
    assert_eq!(unsubscribes(name, &json!({"action": "unsubscribe", "type": "device", "device_id": "d-1"})), ["telemetry:acme:d-1"]);
    let pattern = |text: &str| vec![syntax().pattern(text).unwrap()];
    let subscribed = |text: &str| answered(name, None, Reply::Subscribed { rooms: pattern(text), position: None, latest: None });
    assert_eq!(subscribed("alerts:acme"), json!({"type": "subscribed", "channel": "alerts"}));
    assert_eq!(subscribed("telemetry:acme:d-1"), json!({"type": "subscribed", "channel": "device", "device_id": "d-1"}));
    let unsubscribed = answered(name, None, Reply::Unsubscribed { rooms: pattern("telemetry:acme:d-1") });
    assert_eq!(unsubscribed, json!({"type": "unsubscribed", "channel": "device", "device_id": "d-1"}));
    for bad in [
        json!({"action": "subscribe", "type": "device"}),
        json!({"action": "subscribe", "type": "room"}),
        json!({"action": "dance", "type": "alerts"}),
        json!({"type": "alerts"}),
        json!([]),
    ] {
        assert_eq!(refused(name, &bad).code, Code::InvalidMessage, "{bad}");
    }
}

#[test]
fn api_v2_sends_alerts_and_telemetry_and_nothing_of_a_type_that_its_client_does_not_know() {
    let name = "api-v2";
    let one = published(name, "alerts:acme:sales", "alert:triggered", &json!({"id": 1}), None);
    assert_eq!(one, json!({"type": "alerts", "alerts": [{"id": 1}]}));
    assert_eq!(published(name, "alerts:acme", "alert:triggered", &json!([1, 2]), None), json!({"type": "alerts", "alerts": [1, 2]}));
    assert_eq!(published(name, "user:acme:alice", "alert:triggered", &json!(1), None)["type"], "alerts");
    let measured = published(name, "telemetry:acme:d-1", "telemetry:update", &json!({"timestamp": 5, "metrics": {"t": 20}}), None);
    assert_eq!(measured, json!({"type": "telemetry", "device_id": "d-1", "data": {"timestamp": 5, "metrics": {"t": 20}}}));
    let plain = published(name, "telemetry:acme:d-1", "telemetry:update", &json!({"t": 20}), None);
    assert_eq!(plain, json!({"type": "telemetry", "device_id": "d-1", "data": {"timestamp": TIME, "metrics": {"t": 20}}}));
    assert_eq!(answered(name, None, error(Code::Unauthorized)), json!({"type": "error", "message": "no"}));
    assert_eq!(pushed(name, &Push::Gap(&gap()))["type"], "error");
    let silent = [
        published(name, "org:acme", "system:broadcast", &json!("hi"), None),
        published(name, "telemetry:acme", "telemetry:update", &json!(1), None),
        answered(name, None, authenticated(Some(Vec::new()))),
        answered(name, None, pong()),
        pushed(name, &Push::Position(gap().to)),
        pushed(name, &Push::TokenExpiring { expires_at: 1 }),
    ];
    assert!(silent.iter().all(Value::is_null), "{silent:?}");
}

#[test]
fn chat_authenticates_by_a_message_and_says_who_is_there() {
    let name = "chat";
    for message in
        [json!({"type": "auth", "token": "t"}), json!({"type": "auth", "payload": {"token": "t"}}), json!({"type": "auth", "payload": "t"})]
    {
        let Action::Authenticate(authenticate) = read(name, &message).action else { panic!("{message}") };
        assert_eq!(authenticate.token, "t");
    }
    assert_eq!(refused(name, &json!({"type": "auth"})).code, Code::InvalidMessage);
    let welcome = answered(name, None, authenticated(Some(vec!["subscribe:*:acme:**".into()])));
    assert_eq!(
        welcome,
        json!({"type": "auth_response", "payload": {"success": true, "userId": "alice", "permissions": ["subscribe:*:acme:**"]}})
    );
    assert!(answered(name, None, authenticated(None)).is_null(), "a guest is told nothing");
    let refusal = answered(name, None, error(Code::AuthFailed));
    assert_eq!(refusal, json!({"type": "auth_response", "payload": {"success": false, "userId": null, "permissions": []}}));
    assert_eq!(answered(name, None, error(Code::RoomFull)), json!({"type": "error", "payload": {"message": "no"}}));
    let greeting = written(|out| (dialect(name).greet)(TIME_MS, out));
    assert!(greeting["type"] == "system" && greeting["payload"]["message"].is_string() && greeting["timestamp"] == TIME_MS, "{greeting}");
}

#[test]
fn chat_brings_messages_back_with_the_id_of_their_client() {
    let name = "chat";
    let (room, publish) = publishes(name, &json!({"type": "chat", "payload": {"text": "hi"}, "clientId": "c-1"}));
    assert_eq!((room.as_str(), publish.event.as_str(), publish.data.get()), ("chat:acme", "chat:message", r#"{"text":"hi"}"#));
    let received = published(name, "chat:acme", "chat:message", &json!({"text": "hi"}), Some(json!(publish.headers.unwrap())));
    assert_eq!(received, json!({"type": "chat", "payload": {"text": "hi"}, "timestamp": TIME_MS, "clientId": "c-1"}));
    assert_eq!(published(name, "chat:acme:lobby", "chat:message", &json!(1), None)["clientId"], Value::Null);
    let ping = read(name, &json!({"type": "ping", "sentAt": 17.5}));
    assert_eq!(answered(name, ping.id, pong()), json!({"type": "pong", "sentAt": 17.5, "timestamp": TIME_MS}));
    assert_eq!(published(name, "org:acme", "system:broadcast", &json!({"message": "hi"}), None)["payload"], json!({"message": "hi"}));
}

#[test]
fn chat_tells_of_changed_rows_in_both_spellings() {
    let name = "chat";
    assert_eq!(subscribes(name, &json!({"type": "subscribe", "table": "orders"})), ["sync:acme:orders"]);
    assert_eq!(unsubscribes(name, &json!({"type": "unsubscribe", "payload": {"table": "orders"}})), ["sync:acme:orders"]);
    for bad in [json!({"type": "subscribe"}), json!({"type": "subscribe", "table": "orders", "filter": "open"})] {
        assert_eq!(refused(name, &bad).code, Code::InvalidMessage, "{bad}");
    }
    let row = json!({"id": 1, "status": "open"});
    for (event, data) in [("sync:update", json!({"key": "1", "version": 3, "value": row})), ("database:update", row.clone())] {
        let change = published(name, "sync:acme:orders", event, &data, None);
        let expected =
            json!({"type": "database_change", "table": "orders", "event": "UPDATE", "data": row, "eventType": "UPDATE", "new": row});
        assert_eq!(change, expected, "{event}");
    }
    assert_eq!(published(name, "sync:acme:orders", "sync:delete", &json!({"key": "1", "version": 4}), None)["event"], "DELETE");
    assert!(published(name, "sync:acme:orders", "sync:touch", &row, None).is_null());
}

/// Whether a change with this row passes what a client of the chat asked for.
fn meets(condition: &str, row: &Value) -> bool {
    let message = json!({"type": "subscribe", "table": "orders", "filter": condition});
    let Action::Subscribe(subscribe) = read("chat", &message).action else { panic!("{message} is no subscribe") };
    let wanted = subscribe.selector.wanted(&syntax(), &acme()).unwrap();
    let filter = wanted[0].filter.as_ref().unwrap();
    let passes = |data: &Value| filter.passes(&Document::of(&publication("sync:acme:orders", "sync:update", data, None).into()));
    let item = json!({"key": "1", "version": 2, "value": row});
    assert_eq!(passes(row), passes(&item), "{condition} {row}: as a row or as an item");
    passes(row)
}

#[test]
fn conditions_of_the_chat_are_met_by_rows_and_items() {
    let row = json!({"status": "open", "n": 5, "text": "5", "flag": true, "it's": "a'b", "in": {"x": "y"}});
    for good in [
        "status=open",
        "status = open",
        "status!=closed",
        "n=5",
        "text=5",
        "n>4",
        "n<5.5",
        "n!=4",
        "flag=true",
        "status='open'",
        "it's=a'b",
        "in.x=y",
        "status>a",
    ] {
        assert!(meets(good, &row), "{good}");
    }
    for bad in [
        "status=closed",
        "status!=open",
        "n=4",
        "n>5",
        "n<5",
        "n!=5",
        "text!=5",
        "flag=false",
        "missing=1",
        "missing!=1",
        "n=five",
        "text='6'",
    ] {
        assert!(!meets(bad, &row), "{bad}");
    }
    for none in ["open", "=open", "", " "] {
        let message = json!({"type": "subscribe", "table": "orders", "filter": none});
        assert_eq!((dialect("chat").read)(message.to_string().as_bytes()).is_ok(), none.trim().is_empty(), "{none:?}");
    }
}

#[test]
fn channels_take_any_event_in_channels_of_any_name() {
    let name = "channels";
    assert_eq!(subscribes(name, &json!({"type": "subscribe", "payload": {"channel": "lobby"}})), ["chat:acme:lobby"]);
    assert_eq!(subscribes(name, &json!({"type": "subscribe", "payload": {"channel": "kpi:sales:support"}})), ["kpi:acme:sales:support"]);
    assert_eq!(unsubscribes(name, &json!({"type": "unsubscribe", "payload": {"channel": "lobby"}})), ["chat:acme:lobby"]);
    let sent = json!({"type": "channel_message", "payload": {"channel": "lobby", "event": "user:typing", "payload": [1]}});
    let (room, publish) = publishes(name, &sent);
    assert_eq!((room.as_str(), publish.event.as_str(), publish.data.get()), ("chat:acme:lobby", "user:typing", "[1]"));
    let received = published(name, "chat:acme:lobby", "user:typing", &json!([1]), None);
    assert_eq!(received, json!({"type": "user:typing", "payload": [1], "timestamp": TIME_MS}));
    let ping = read(name, &json!({"type": "ping", "payload": {"timestamp": 1_700_000_000_000_u64}}));
    assert_eq!(answered(name, ping.id, pong()), json!({"type": "pong", "timestamp": 1_700_000_000_000_u64}));
    let bare = read(name, &json!({"type": "ping"}));
    assert_eq!(answered(name, bare.id, pong()), json!({"type": "pong", "timestamp": TIME_MS}));
    let failed = answered(name, None, error(Code::InvalidRoom));
    assert_eq!(failed, json!({"type": "error", "payload": {"code": "INVALID_ROOM", "message": "no"}, "timestamp": TIME_MS}));
    for bad in [
        json!({"type": "channel_message", "payload": {"channel": "lobby", "event": "pong"}}),
        json!({"type": "channel_message", "payload": {"event": "x"}}),
        json!({"type": "subscribe", "payload": ["lobby"]}),
        json!({"type": "dance"}),
    ] {
        assert_eq!(refused(name, &bad).code, Code::InvalidMessage, "{bad}");
    }
}
