//! The fixtures against the protocol's own types: commands are read as the files say, replies and pushes are written as they
//! say, and nothing that the protocol has lacks a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use roomcast::config::rooms;
use roomcast::protocol::codec::{json, msgpack};
use roomcast::protocol::command::history::{HistoryPage, Shown};
use roomcast::protocol::command::presence::Presence;
use roomcast::protocol::command::{Action, Address, Wanted};
use roomcast::protocol::item::{Conflict, Item, ItemKey, ItemValue, Snapshot, collection_room};
use roomcast::protocol::latest::Latest;
use roomcast::protocol::presence::{Diff, Member, State, Status, UserId};
use roomcast::protocol::publication::Content;
use roomcast::protocol::push::{Answer, Authenticated, Conflated, Gap, Manner, Reply};
use roomcast::protocol::{
    Close, CloseCode, Code, Command, CommandId, EventName, Fault, GapReason, OrgId, Pattern, Position, Priority, Publication, Push,
    RoomName, RoomSyntax, Selector, SessionId,
};
use serde_json::{Value, json};

/// The files of one folder by name, without `.json`.
pub fn folder(name: &str) -> BTreeMap<String, Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let files = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read = files.map(|file| {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), value)
    });
    read.collect()
}

fn own() -> OrgId {
    OrgId::parse("acme").unwrap()
}

fn syntax() -> RoomSyntax {
    rooms::Config::default().syntax()
}

fn id_of(id: Option<&CommandId>) -> Value {
    id.map_or(Value::Null, |id| serde_json::from_str(id.as_json()).unwrap())
}

fn rooms_of(selector: &Selector) -> Value {
    if selector.is_empty() {
        return json!([]);
    }
    let spelled = |wanted: Wanted| match wanted.filter {
        None => json!(wanted.pattern),
        Some(filter) => json!({ "room": wanted.pattern, "filter": filter.as_str() }),
    };
    selector.wanted(&syntax(), &own()).unwrap().into_iter().map(spelled).collect()
}

/// What a command means to a session of the org `acme` under the default configuration.
fn meaning(command: &Command) -> Value {
    let id = id_of(command.id.as_ref());
    match &command.action {
        Action::Authenticate(authenticate) => json!({
            "command": "authenticate", "id": id, "token": authenticate.token,
            "rooms": rooms_of(&authenticate.subscribe.selector), "since": authenticate.subscribe.since,
        }),
        Action::Subscribe(subscribe) => {
            let mut meaning = json!({"command": "subscribe", "id": id, "rooms": rooms_of(&subscribe.selector), "since": subscribe.since});
            if subscribe.latest {
                meaning["latest"] = json!(true);
            }
            meaning
        }
        Action::Unsubscribe(selector) => json!({"command": "unsubscribe", "id": id, "rooms": rooms_of(selector)}),
        Action::Publish(publish) => {
            let address = Address {
                room: publish.room.as_deref(),
                channel: publish.channel.as_deref(),
                organization_id: publish.organization_id.as_deref(),
                department_id: publish.department_id.as_deref(),
                queue_name: publish.queue_name.as_deref(),
            };
            let mut meaning = json!({
                "command": "publish", "id": id, "room": address.room(&syntax(), &own()).unwrap(), "event": publish.event,
                "data": publish.data, "priority": publish.priority, "log": publish.log, "cascade": publish.cascade,
                "requires_ack": publish.requires_ack, "idempotency_key": publish.idempotency_key, "ttl_ms": publish.ttl_ms,
                "headers": publish.headers,
            });
            if let Some(encoding) = publish.encoding {
                meaning["encoding"] = json!(encoding);
            }
            meaning
        }
        Action::History(asked) => json!({
            "command": "history", "id": id, "room": syntax().pattern_for(&own(), &asked.room).unwrap(), "since": asked.since,
            "limit": asked.limit, "reverse": asked.reverse, "filter": asked.filter,
        }),
        Action::SyncSubscribe(asked) => {
            json!({"command": "sync:subscribe", "id": id, "room": collection_room(&asked.room, &syntax(), &own()).unwrap(), "cursor": asked.cursor})
        }
        Action::SyncWrite(asked) => json!({
            "command": "sync:write", "id": id, "room": collection_room(&asked.room, &syntax(), &own()).unwrap(), "op": asked.op,
            "key": asked.key, "value": asked.value, "if_version": asked.if_version, "idempotency_key": asked.idempotency_key,
        }),
        Action::Presence(presence) => presence_meaning(presence, &id),
        Action::Ack(ack) => json!({"command": "ack", "id": id, "ids": ack.ids}),
        Action::Ping => json!({"command": "ping", "id": id}),
    }
}

fn presence_meaning(presence: &Presence, id: &Value) -> Value {
    let room = presence.room(&syntax(), &own()).unwrap();
    let simple = |command: &str| json!({ "command": command, "id": id, "room": room });
    match presence {
        Presence::Enter(enter) => {
            json!({"command": "presence:enter", "id": id, "room": room, "status": enter.status, "state": enter.state})
        }
        Presence::Update(update) => {
            let mut meaning = simple("presence:update");
            if let Some(status) = update.status {
                meaning["status"] = json!(status);
            }
            if let Some(state) = &update.state {
                meaning["state"] = json!(state);
            }
            meaning
        }
        Presence::Leave(_) => simple("presence:leave"),
        Presence::Watch(_) => simple("presence:watch"),
        Presence::Unwatch(_) => simple("presence:unwatch"),
    }
}

#[test]
fn every_command_means_what_its_fixture_says() {
    let mut seen = BTreeSet::new();
    for (name, fixture) in folder("commands") {
        let command = Command::parse(fixture["wire"].to_string().as_bytes()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let meaning = meaning(&command);
        assert_eq!(meaning, fixture["meaning"], "{name}");
        seen.insert(meaning["command"].as_str().unwrap().to_owned());
    }
    // `meaning` names every action, so a new one must be added there and then here.
    let presence = ["enter", "leave", "unwatch", "update", "watch"].map(|name| format!("presence:{name}"));
    let every =
        ["ack", "authenticate", "history", "ping", "publish", "subscribe", "sync:subscribe", "sync:write", "unsubscribe"].map(String::from);
    assert_eq!(seen, every.into_iter().chain(presence).collect());
}

/// The message as MessagePack.
fn packed(json: &Value) -> BytesMut {
    let mut out = BytesMut::new();
    msgpack::from_json(json.to_string().as_bytes(), None, &mut out);
    out
}

/// What a message in MessagePack says, bytes aside.
fn unpacked(bytes: &[u8]) -> Value {
    serde_json::from_slice(&msgpack::to_json(bytes, MESSAGE_BYTES_MAX).unwrap().json).unwrap()
}

#[test]
fn every_command_means_the_same_in_messagepack() {
    for (name, fixture) in folder("commands") {
        let command = msgpack::command(&packed(&fixture["wire"]), MESSAGE_BYTES_MAX).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(meaning(&command), fixture["meaning"], "{name}");
    }
    for (name, fixture) in folder("refused") {
        // What is no JSON, or only as text, has no like in MessagePack.
        let Ok(message) = serde_json::from_str::<Value>(fixture["text"].as_str().unwrap()) else { continue };
        if name == "doubled-field" {
            continue;
        }
        let (id, fault) = match msgpack::command(&packed(&message), MESSAGE_BYTES_MAX) {
            Err(unreadable) => (unreadable.id, unreadable.fault),
            Ok(command) => (command.id.clone(), refusal(command).unwrap_or_else(|| panic!("{name}: it is accepted"))),
        };
        assert_eq!((json!(fault.code), id_of(id.as_ref())), (fixture["code"].clone(), fixture["id"].clone()), "{name}");
    }
}

#[test]
fn every_refused_message_is_refused_with_the_code_of_its_fixture() {
    for (name, fixture) in folder("refused") {
        let text = fixture["text"].as_str().unwrap();
        let (id, fault) = match Command::parse(text.as_bytes()) {
            Err(unreadable) => (unreadable.id, unreadable.fault),
            Ok(command) => (command.id.clone(), refusal(command).unwrap_or_else(|| panic!("{name}: it is accepted"))),
        };
        assert_eq!((json!(fault.code), id_of(id.as_ref())), (fixture["code"].clone(), fixture["id"].clone()), "{name}");
    }
}

/// What the grammar of rooms, and that of items, has against a command that could be read.
fn refusal(command: Command) -> Option<Fault> {
    match command.action {
        Action::Subscribe(subscribe) => subscribe.selector.wanted(&syntax(), &own()).err(),
        Action::Unsubscribe(selector) => selector.wanted(&syntax(), &own()).err(),
        Action::Publish(publish) => Address { room: publish.room.as_deref(), ..Address::default() }.room(&syntax(), &own()).err(),
        Action::History(asked) => syntax().pattern_for(&own(), &asked.room).err(),
        Action::SyncSubscribe(asked) => collection_room(&asked.room, &syntax(), &own()).and_then(|_| asked.after()).err(),
        Action::SyncWrite(asked) => collection_room(&asked.room, &syntax(), &own()).and_then(|room| asked.write(room)).err(),
        Action::Presence(presence) => presence.room(&syntax(), &own()).err(),
        Action::Authenticate(_) | Action::Ack(_) | Action::Ping => None,
    }
}

const MESSAGE_BYTES_MAX: usize = 1 << 20;
const TIME_US: u64 = 1_763_715_600_123_456;
const EPOCH: u64 = 1_763_712_000_000;
/// The version of an item that was changed with entry 44: the time of its appending.
const VERSION: u64 = 1_763_715_603_604_416;

fn at(seq: u64, check: u64) -> Position {
    Position { epoch: EPOCH, seq, check }
}

fn position() -> Position {
    at(42, TIME_US)
}

fn id(json: &str) -> Option<CommandId> {
    Command::parse(format!(r#"{{"event":"client:ping","id":{json}}}"#).as_bytes()).unwrap().id
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| syntax().pattern(text).unwrap()).collect()
}

fn authenticated(rooms: &[&str], position: Position) -> Reply {
    Reply::Authenticated(Authenticated {
        session_id: "019aa594-b580-7000-8000-000000000001".parse::<SessionId>().unwrap(),
        user_id: "alice".into(),
        organization_id: own(),
        expires_at: 1_763_719_200,
        ping_interval_ms: 25_000,
        rooms: patterns(rooms),
        position: Some(position),
        latest: None,
        features: &[],
        permissions: None,
    })
}

/// Where the log tells the last change of the task.
fn changed() -> Position {
    at(44, VERSION)
}

fn item_key(text: &str) -> ItemKey {
    ItemKey::new(text).unwrap()
}

fn task() -> Item {
    let value = ItemValue::read(br#"{"title":"Call back","done":true}"#.to_vec()).unwrap();
    Item { key: item_key("task-17"), version: VERSION, value }
}

fn snapshot(items: Vec<Item>, cursor: Option<&str>) -> Snapshot {
    let room = syntax().room("sync:acme:tasks").unwrap();
    Snapshot { room, position: changed(), items, cursor: cursor.map(item_key) }
}

/// A write that came after the deletion of what it is about.
fn deleted() -> Fault {
    let update = json!({"event": "sync:write", "data": {
        "room": "sync:acme:tasks", "op": "update", "key": "task-17", "value": 1, "if_version": TIME_US, "idempotency_key": "k",
    }});
    let command = Command::parse(update.to_string().as_bytes()).unwrap();
    let Action::SyncWrite(asked) = command.action else { panic!("it is a write") };
    let write = asked.write(syntax().room("sync:acme:tasks").unwrap()).unwrap();
    Conflict { current: None, deleted_version: Some(VERSION) }.fault(&write)
}

fn lobby() -> RoomName {
    syntax().room("chat:acme:lobby").unwrap()
}

fn member(user: &str, status: Status, state: &str) -> Arc<Member> {
    Arc::new(Member { user_id: UserId::parse(user).unwrap(), status, state: State::stored(state).unwrap() })
}

fn present() -> Reply {
    let members = vec![member("alice", Status::Away, r#"{"typing":true}"#), member("bob", Status::Busy, "null")];
    Reply::PresenceSnapshot(roomcast::protocol::presence::Snapshot { room: lobby(), version: (1 << 32) + 7, members })
}

/// A subscription that tells how its rooms stand.
fn standing() -> Answer {
    let latest = Latest { publications: Shown::of(&publication()).into_iter().collect(), complete: true };
    let subscribed = Reply::Subscribed { rooms: patterns(&["kpi:acme:sales"]), position: Some(position()), latest: None };
    Answer::new(id("15"), subscribed).with_latest(latest.into())
}

/// What the server says for each file of `replies`.
fn replies() -> Vec<(&'static str, Answer)> {
    let (earlier, next) = (at(41, TIME_US - 1_000_000), at(43, TIME_US + 2_000_000));
    let invalid = syntax().room("kpi").unwrap_err();
    let trimmed = Gap { from: None, to: at(41, 0), reason: GapReason::Trimmed };
    let publications = Shown::of(&publication()).into_iter().collect();
    let past = HistoryPage { publications, gaps: vec![trimmed], next: Some(position()), end: true };
    vec![
        ("history", Answer::new(id("13"), Reply::History(past))),
        ("authenticated", Answer::new(id("1"), authenticated(&["kpi:acme:sales", "chat:acme:*:support"], position()))),
        ("authenticated-by-handshake", Answer::new(None, authenticated(&[], earlier))),
        (
            "subscribed",
            Answer::new(
                id("2"),
                Reply::Subscribed { rooms: patterns(&["kpi:acme:sales", "alerts:acme:**"]), position: Some(earlier), latest: None },
            ),
        ),
        (
            "subscribed-catching-up",
            Answer::new(id("2"), Reply::Subscribed { rooms: patterns(&["kpi:acme:sales"]), position: None, latest: None }),
        ),
        ("subscribed-latest", standing()),
        ("unsubscribed", Answer::new(id("7"), Reply::Unsubscribed { rooms: patterns(&["kpi:acme:sales"]) })),
        ("published", Answer::new(id("8"), Reply::Published { id: Some(next), duplicate: false })),
        ("published-duplicate", Answer::new(id("9"), Reply::Published { id: Some(next), duplicate: true })),
        ("published-ephemeral", Answer::new(None, Reply::Published { id: None, duplicate: false })),
        ("presence-entered", Answer::new(id("11"), Reply::PresenceEntered { room: lobby() })),
        ("presence-updated", Answer::new(id("12"), Reply::PresenceUpdated { room: lobby() })),
        ("presence-left", Answer::new(id("14"), Reply::PresenceLeft { room: lobby() })),
        ("presence-snapshot", Answer::new(id("15"), present())),
        ("presence-unwatched", Answer::new(id("16"), Reply::PresenceUnwatched { room: lobby() })),
        ("acked", Answer::new(id("11"), Reply::Acked { count: 2 })),
        ("pong", Answer::new(id("10"), Reply::Pong { ts: TIME_US / 1_000, position: None })),
        ("sync-snapshot", Answer::new(id("13"), Reply::SyncSnapshot(snapshot(vec![task()], Some("task-17")).into()))),
        ("sync-snapshot-last", Answer::new(id("14"), Reply::SyncSnapshot(snapshot(Vec::new(), None).into()))),
        ("sync-written", Answer::new(id("16"), Reply::SyncWritten { key: task().key, version: task().version, id: Some(changed()) })),
        ("sync-written-nothing", Answer::new(id("17"), Reply::SyncWritten { key: item_key("task-19"), version: task().version, id: None })),
        ("conflict-deleted", Answer::error(id("16"), deleted())),
        ("error", Answer::error(id("\"sub-3\""), invalid)),
    ]
}

/// The file that shows a reply; here a new kind of reply demands one.
fn file_of_reply(reply: &Reply) -> &'static str {
    match reply {
        Reply::Authenticated(_) => "authenticated",
        Reply::Subscribed { .. } => "subscribed",
        Reply::Unsubscribed { .. } => "unsubscribed",
        Reply::Published { .. } => "published",
        Reply::Acked { .. } => "acked",
        Reply::Pong { .. } => "pong",
        Reply::History(_) => "history",
        Reply::SyncSnapshot(_) => "sync-snapshot",
        Reply::SyncWritten { .. } => "sync-written",
        Reply::PresenceEntered { .. } => "presence-entered",
        Reply::PresenceUpdated { .. } => "presence-updated",
        Reply::PresenceLeft { .. } => "presence-left",
        Reply::PresenceSnapshot(_) => "presence-snapshot",
        Reply::PresenceUnwatched { .. } => "presence-unwatched",
        Reply::Error(_) => "error",
    }
}

fn written(write: impl FnOnce(&mut BytesMut)) -> Value {
    let mut out = BytesMut::new();
    write(&mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn every_reply_is_written_as_its_fixture_says() {
    let (mut files, mut needed) = (folder("replies"), BTreeSet::new());
    for (name, answer) in replies() {
        let fixture = files.remove(name).unwrap_or_else(|| panic!("fixtures/replies/{name}.json is missing"));
        assert_eq!(written(|out| json::answer(&answer, out)), fixture["wire"], "{name}");
        let mut packed = BytesMut::new();
        msgpack::answer(&answer, &mut packed);
        assert_eq!(unpacked(&packed), fixture["wire"], "{name} in MessagePack");
        needed.insert(file_of_reply(&answer.reply));
    }
    assert!(files.is_empty(), "nothing is known of {:?}", files.keys());
    assert_eq!(needed.len(), 15, "every kind of reply has a fixture");
}

fn publication() -> Publication {
    Publication {
        position: Some(position()),
        time_us: TIME_US,
        room: syntax().room("kpi:acme:sales:support").unwrap(),
        event: EventName::parse("kpi:update").unwrap(),
        data: Bytes::from_static(br#"{"answered":12}"#),
        content: Content::Json,
        priority: Priority::Medium,
        cascade: false,
        requires_ack: false,
        ttl_ms: None,
        headers: None,
        sessions: Vec::new(),
    }
}

fn alert() -> Publication {
    Publication {
        position: Some(at(43, TIME_US + 2_000_000)),
        time_us: TIME_US + 2_000_000,
        room: syntax().room("alerts:acme:_:support").unwrap(),
        event: EventName::parse("alert:triggered").unwrap(),
        data: Bytes::from_static(br#"{"text":"queue is full"}"#),
        priority: Priority::Urgent,
        cascade: true,
        requires_ack: true,
        ttl_ms: Some(60_000),
        headers: Some(r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#.into()),
        ..publication()
    }
}

fn ephemeral() -> Publication {
    Publication { position: None, room: syntax().room("kpi:acme").unwrap(), data: Bytes::from_static(b"null"), ..publication() }
}

/// The file that shows a push; here a new kind of push demands one.
fn file_of_push(push: &Push<'_>) -> &'static str {
    match push {
        Push::Publication { manner: Manner::PLAIN, .. } => "publication",
        Push::Publication { manner: Manner { overtook: true, .. }, .. } => "publication-overtook",
        Push::Publication { manner: Manner { conflated: 1.., .. }, .. } => "publication-conflated",
        Push::Publication { manner: Manner { redelivered: 1.., .. }, .. } => "publication-redelivered",
        Push::Publication { .. } => "publication-replayed",
        Push::Conflated(_) => "conflated",
        Push::Gap(gap) => match gap.reason {
            GapReason::Trimmed => "gap-trimmed",
            GapReason::Fork => "gap-fork",
            GapReason::LogLost => "gap-log-lost",
            GapReason::Evicted => "gap-evicted",
            GapReason::Unreadable => "gap-unreadable",
        },
        Push::Position(_) => "position",
        Push::TokenExpiring { .. } => "token-expiring",
        Push::Unsubscribed { .. } => "unsubscribed",
        Push::PresenceDiff { .. } => "presence-diff",
        Push::PresenceEnded { .. } => "presence-ended",
    }
}

#[test]
fn every_push_is_written_as_its_fixture_says() {
    let (publication, alert, ephemeral) = (publication(), alert(), ephemeral());
    let cascade = Publication { room: syntax().room("kpi:acme").unwrap(), cascade: true, ..publication.clone() };
    let missed = Publication { position: alert.position, time_us: alert.time_us, ..publication.clone() };
    let fresh_log = Position { epoch: 1_763_715_500_000, seq: 0, check: 0 };
    let gap = |reason| Gap { from: Some(position()), to: if reason == GapReason::LogLost { fresh_log } else { at(49, 0) }, reason };
    let gaps = [GapReason::Trimmed, GapReason::Fork, GapReason::LogLost, GapReason::Evicted, GapReason::Unreadable].map(gap);
    let urgent = Publication { cascade: false, requires_ack: false, headers: None, ..alert.clone() };
    let low = Publication { priority: Priority::Low, ..missed.clone() };
    let unacknowledged = Publication { requires_ack: true, ..missed.clone() };
    let conflated = Conflated { from: position(), to: at(49, TIME_US + 2_000_000), left_out: 7 };
    let (ended, fault) = (patterns(&["kpi:acme:sales"]), Fault::new(Code::Unauthorized, "the renewed token no longer grants this"));
    let lobby = lobby();
    let diff = Diff {
        joined: vec![member("carol", Status::Online, "null")],
        updated: vec![member("alice", Status::Online, "null")],
        left: vec![UserId::parse("bob").unwrap()],
    };
    let mut pushes = vec![
        Push::PresenceDiff { room: &lobby, version: (1 << 32) + 8, diff: &diff },
        Push::PresenceEnded { room: &lobby, fault: &fault },
        Push::Publication { publication: &publication, manner: Manner::PLAIN },
        Push::Publication { publication: &missed, manner: Manner::REPLAYED },
        Push::Publication { publication: &urgent, manner: Manner::OVERTOOK },
        Push::Publication { publication: &low, manner: Manner { conflated: 3, ..Manner::PLAIN } },
        Push::Publication { publication: &unacknowledged, manner: Manner { redelivered: 1, ..Manner::PLAIN } },
        Push::Conflated(&conflated),
        Push::Position(at(50, TIME_US + 9_000_000)),
        Push::TokenExpiring { expires_at: 1_763_719_200 },
        Push::Unsubscribed { rooms: &ended, fault: &fault },
    ];
    pushes.extend(gaps.iter().map(Push::Gap));
    let mut named: Vec<(&str, Push<'_>)> = pushes.into_iter().map(|push| (file_of_push(&push), push)).collect();
    named.push(("publication-options", Push::Publication { publication: &alert, manner: Manner::PLAIN }));
    let change = Publication {
        position: Some(changed()),
        time_us: VERSION,
        room: syntax().room("sync:acme:tasks").unwrap(),
        event: EventName::parse("sync:update").unwrap(),
        data: serde_json::to_vec(&task()).unwrap().into(),
        ..publication.clone()
    };
    let deletion = Publication {
        event: EventName::parse("sync:delete").unwrap(),
        data: json!({ "key": "task-17", "version": VERSION }).to_string().into(),
        ..change.clone()
    };
    named.push(("publication-sync-update", Push::Publication { publication: &change, manner: Manner::PLAIN }));
    named.push(("publication-sync-delete", Push::Publication { publication: &deletion, manner: Manner::PLAIN }));
    named.push(("publication-cascade", Push::Publication { publication: &cascade, manner: Manner::PLAIN }));
    named.push(("publication-ephemeral", Push::Publication { publication: &ephemeral, manner: Manner::PLAIN }));
    let bytes = Publication { data: Bytes::from_static(b"\x00\x01\x02\xfd\xfe\xff"), content: Content::Bytes, ..publication.clone() };
    named.push(("publication-bytes", Push::Publication { publication: &bytes, manner: Manner::PLAIN }));
    let mut files = folder("pushes");
    for (name, push) in named {
        let fixture = files.remove(name).unwrap_or_else(|| panic!("fixtures/pushes/{name}.json is missing"));
        assert_eq!(written(|out| json::push(&push, out)), fixture["wire"], "{name}");
        let mut packed = BytesMut::new();
        msgpack::push(&push, &mut packed);
        if name == "publication-bytes" {
            let bin = [&b"\xa4data\xc4\x06"[..], &bytes.data].concat();
            assert!(packed.windows(bin.len()).any(|window| window == bin) && !packed.windows(8).any(|window| window == b"encoding"));
        } else {
            assert_eq!(unpacked(&packed), fixture["wire"], "{name} in MessagePack");
        }
    }
    assert!(files.is_empty(), "nothing is known of {:?}", files.keys());
}

#[test]
fn every_error_code_has_a_fixture() {
    let mut files = folder("errors");
    for code in Code::ALL {
        let name = code.as_str().to_ascii_lowercase().replace('_', "-");
        let fixture = files.remove(&name).unwrap_or_else(|| panic!("fixtures/errors/{name}.json is missing"));
        let data = &fixture["wire"]["data"];
        let mut fault = Fault::new(code, data["message"].as_str().unwrap().to_owned());
        fault.retry_after_ms = data["retry_after_ms"].as_u64();
        fault.conflict = data.get("current").map(|current| {
            let value = ItemValue::read(current["value"].to_string().into_bytes()).unwrap();
            let item = Item { key: item_key(current["key"].as_str().unwrap()), version: current["version"].as_u64().unwrap(), value };
            Box::new(Conflict { current: Some(item), deleted_version: None })
        });
        assert_eq!(written(|out| json::answer(&Answer::error(id("2"), fault), out)), fixture["wire"], "{name}");
        assert_eq!(fixture["http_status"], code.http_status(), "{name}");
    }
    assert!(files.is_empty(), "nothing is known of {:?}", files.keys());
}

#[test]
fn every_close_code_has_a_fixture() {
    let mut by_code: BTreeMap<u64, Value> =
        folder("closes").into_values().map(|fixture| (fixture["close_code"].as_u64().unwrap(), fixture)).collect();
    for code in CloseCode::ALL {
        let number = code as u16;
        let fixture = by_code.remove(&u64::from(number)).unwrap_or_else(|| panic!("no file in fixtures/closes is about {number}"));
        let named = fixture["reason"].get("code").map(|named| {
            let named = named.as_str().unwrap();
            Code::ALL.into_iter().find(|code| code.as_str() == named).unwrap_or_else(|| panic!("{named} is no error code"))
        });
        let close = Close { code, reason: named, retry_after_ms: fixture["reason"]["retry_after_ms"].as_u64() };
        let text = close.reason_text();
        let reason = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        assert_eq!(reason, fixture["reason"], "{number}");
        assert_eq!(fixture["reconnect"], number < 4_500, "{number}");
    }
    assert!(by_code.is_empty(), "the protocol has no {:?}", by_code.keys());
}
