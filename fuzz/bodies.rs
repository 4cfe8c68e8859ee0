//! What the fuzzers check: one function for each door through which bytes come that anybody may have written. Each takes any
//! bytes, and panics when a property of the code behind the door does not hold.
//!
//! The targets in `fuzz_targets` hand them to libFuzzer; `tests/it/fuzzing.rs` runs them over seeds and mutations in every test
//! run, so that none of them rots.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use roomcast::auth::{self, AuthError, Secret, Verifier};
use roomcast::broker::ingest_entry::{self, Wish};
use roomcast::broker::presence::News;
use roomcast::broker::{Body, OrgEvent, envelope};
use roomcast::config::rooms;
use roomcast::dialect;
use roomcast::protocol::codec::{json, msgpack};
use roomcast::protocol::command::sync::SyncWrite;
use roomcast::protocol::command::{Action, Address, Command, Publish};
use roomcast::protocol::filter::FILTER_BYTES_MAX;
use roomcast::protocol::item::{CHANNEL, Item, ItemKey, ItemValue, Op, Snapshot, collection_room};
use roomcast::protocol::presence::Diff;
use roomcast::protocol::publication::{DEPTH_MAX, headers, is_deeper_than};
use roomcast::protocol::push::{Answer, Manner};
use roomcast::protocol::{
    CloseCode, CommandId, EventName, EventRules, Filter, NewPublication, OrgId, Pattern, Position, Publication, Push, Reply, RoomName,
    RoomSyntax, Selector,
};
use roomcast::transport::http_session::{Name, request};
use roomcast::transport::sse;
use roomcast::transport::websocket::{Assembler, Incoming, Limits, deflate};
use serde_json::value::RawValue;

/// A body by the name of its target.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 10] = [
    ("commands", commands),
    ("deflate", self::deflate),
    ("dialects", dialects),
    ("envelope", self::envelope),
    ("frames", frames),
    ("http", http),
    ("ingest", ingest),
    ("msgpack", self::msgpack),
    ("rooms", self::rooms),
    ("tokens", tokens),
];

/// The longest message in the limits that frames and deflate data are held to here.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// The largest amount of memory that an incomplete message may hold: a growing buffer doubles.
const HELD_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX + 1_024;
/// The longest data of an ingest entry.
const DATA_BYTES_MAX: usize = 2_048;
/// The time at which tokens are verified, in Unix seconds.
pub const NOW_S: u64 = 1_700_000_000;
/// What the tokens are signed with.
pub const SECRET: &str = "a secret for nothing but fuzzing tokens";

static SYNTAX: LazyLock<RoomSyntax> = LazyLock::new(|| rooms::Config::default().syntax());
static ACME: LazyLock<OrgId> = LazyLock::new(|| OrgId::parse("acme").expect("acme is a segment"));
static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let config = auth::Config { secret: Some(Secret::new(SECRET)), ..auth::Config::default() };
    Verifier::new(&config, SYNTAX.clone()).expect("the secret is long enough")
});

/// A connection's bytes: however they are split, the same is said; what is held for incomplete messages is bounded.
///
/// The first byte says how to split the rest, its top bit whether compression was agreed to.
pub fn frames(data: &[u8]) {
    let Some((first, stream)) = data.split_first() else { return };
    let limits = Limits { message_bytes_max: MESSAGE_BYTES_MAX, fragments_max: 8, deflate: first & 0x80 != 0 };
    let whole = said(limits, stream, stream.len().max(1));
    for piece_bytes in [usize::from(first & 0x7f).max(1), 1] {
        assert_eq!(said(limits, stream, piece_bytes), whole, "in pieces of {piece_bytes}");
    }
}

/// Everything that a connection says, and the close code of a violation.
fn said(limits: Limits, stream: &[u8], piece_bytes: usize) -> (Vec<String>, Option<CloseCode>) {
    let (mut assembler, mut heard) = (Assembler::new(limits), Vec::new());
    for piece in stream.chunks(piece_bytes) {
        let outcome = assembler.feed(&mut piece.to_vec(), &mut |incoming| {
            if let Incoming::Text(text) = incoming {
                assert!(text.len() <= MESSAGE_BYTES_MAX);
            } else if let Incoming::Binary(bytes) = incoming {
                assert!(bytes.len() <= MESSAGE_BYTES_MAX);
            }
            heard.push(format!("{incoming:?}"));
        });
        assert!(assembler.held_bytes() <= HELD_BYTES_MAX, "{} bytes are held", assembler.held_bytes());
        if let Err(violation) = outcome {
            assert_eq!(assembler.held_bytes(), 0, "nothing is held after a violation");
            return (heard, Some(violation.close));
        }
    }
    (heard, None)
}

/// Compressed messages: the output keeps to its bound, and what was inflated or is compressed here comes back the same.
pub fn deflate(data: &[u8]) {
    let mut inflated = BytesMut::new();
    if deflate::inflate(data, MESSAGE_BYTES_MAX, &mut inflated).is_ok() {
        assert!(inflated.len() <= MESSAGE_BYTES_MAX);
        comes_back(&inflated);
    }
    assert!(inflated.len() <= MESSAGE_BYTES_MAX + 1, "{} bytes came out", inflated.len());
    comes_back(data);
}

fn comes_back(plain: &[u8]) {
    let (mut compressed, mut inflated) = (BytesMut::new(), BytesMut::new());
    if deflate::compress(plain, &mut compressed) {
        assert!(compressed.len() < plain.len());
        deflate::inflate(&compressed, plain.len(), &mut inflated).expect("what was compressed here can be inflated");
        assert_eq!(inflated, plain);
    } else {
        assert!(compressed.is_empty());
    }
}

/// A client's message: whatever it says, the answer is one JSON object that carries the command's id.
pub fn commands(data: &[u8]) {
    let (id, reply) = match Command::parse(data) {
        Ok(command) => {
            carries_out(&command.action);
            (command.id, Reply::Published { id: None, duplicate: false })
        }
        Err(unreadable) => (unreadable.id, Reply::Error(unreadable.fault)),
    };
    let mut out = BytesMut::new();
    json::answer(&Answer { id: id.clone(), reply }, &mut out);
    let answer = object(&out);
    assert_eq!(answer.get("id").map(|id| id.get()), id.as_ref().map(CommandId::as_json));
}

/// A client's message in MessagePack: what it says as JSON is one object, that comes back the same, and it means the same as in JSON.
pub fn msgpack(data: &[u8]) {
    let Ok(read) = msgpack::to_json(data, MESSAGE_BYTES_MAX) else {
        assert!(msgpack::command(data, MESSAGE_BYTES_MAX).is_err());
        return;
    };
    object(&read.json);
    let mut again = BytesMut::new();
    msgpack::from_json(&read.json, None, &mut again);
    let back = msgpack::to_json(&again, MESSAGE_BYTES_MAX).expect("what was written here can be read");
    assert_eq!(back.json, read.json);
    match (msgpack::command(data, MESSAGE_BYTES_MAX), Command::parse(&read.json)) {
        (Ok(command), Ok(same)) => {
            assert_eq!(command.id, same.id);
            carries_out(&command.action);
        }
        (Err(refused), Err(same)) => assert_eq!(refused.fault, same.fault),
        (Err(_), Ok(_)) => assert!(read.data.is_some(), "only bytes where none may be are a reason of its own"),
        (Ok(_), Err(same)) => panic!("{:?} is refused as JSON alone", same.fault),
    }
}

fn carries_out(action: &Action) {
    match action {
        Action::Subscribe(subscribe) => are_canonical(&subscribe.selector),
        Action::Authenticate(authenticate) => are_canonical(&authenticate.subscribe.selector),
        Action::Unsubscribe(selector) => are_canonical(selector),
        Action::Publish(publish) => {
            let data = publish.data.get().as_bytes();
            assert!(envelope::is_data(data), "what a client may publish, nodes pass on");
            room_of(publish).iter().for_each(room_is_canonical);
        }
        Action::SyncSubscribe(asked) => {
            if let Ok(room) = collection_room(&asked.room, &SYNTAX, &ACME) {
                room_is_canonical(&room);
            }
        }
        Action::SyncWrite(asked) => is_an_item(asked),
        Action::Presence(presence) => {
            if let Ok(room) = presence.room(&SYNTAX, &ACME) {
                assert_eq!(room.org(), &*ACME);
                room_is_canonical(&room);
            }
        }
        Action::History(asked) => {
            SYNTAX.pattern_for(&ACME, &asked.room).iter().for_each(pattern_is_canonical);
            let _ = asked.filter.as_deref().map(Filter::parse);
        }
        Action::Ack(ack) => assert!(!ack.ids.is_empty()),
        Action::Ping => {}
    }
}

/// A write that is accepted goes into the broadest message that there is of items, a page, as one object that everybody can read.
fn is_an_item(asked: &SyncWrite) {
    let (Ok(key), Some(Ok(value))) = (ItemKey::new(asked.key.as_str()), asked.value.clone().map(ItemValue::new)) else { return };
    let room = collection_room("sync:acme", &SYNTAX, &ACME).expect("it is a collection's");
    let position = Position { epoch: 1, seq: 1, check: 1 };
    let page = Snapshot { room, position, items: vec![Item { key, version: 1, value }], cursor: None };
    let mut out = BytesMut::new();
    json::answer(&Answer { id: None, reply: Reply::SyncSnapshot(page.into()) }, &mut out);
    assert!(!is_deeper_than(DEPTH_MAX, &out));
    object(&out);
}

fn room_of(publish: &Publish) -> Option<RoomName> {
    let address = Address {
        room: publish.room.as_deref(),
        channel: publish.channel.as_deref(),
        organization_id: publish.organization_id.as_deref(),
        department_id: publish.department_id.as_deref(),
        queue_name: publish.queue_name.as_deref(),
    };
    address.room(&SYNTAX, &ACME).ok()
}

/// A message in a dialect, which the first byte chooses: what is answered is one JSON object or nothing, and so is what the clients of every
/// dialect get to see of a publication.
pub fn dialects(data: &[u8]) {
    let Some((first, message)) = data.split_first() else { return };
    let dialect = &dialect::ALL[usize::from(*first) % dialect::ALL.len()];
    let (id, reply) = match (dialect.read)(message) {
        Ok(command) => {
            carries_out(&command.action);
            if let Action::Publish(publish) = &command.action {
                is_told_in_every_dialect(publish);
            }
            (command.id, Reply::Pong { ts: 1, position: None })
        }
        Err(unreadable) => (unreadable.id, Reply::Error(unreadable.fault)),
    };
    let mut out = BytesMut::new();
    (dialect.answer)(&Answer { id, reply }, 1, &mut out);
    assert!(out.is_empty() || object(&out).contains_key("type"));
}

fn is_told_in_every_dialect(publish: &Publish) {
    let (Some(room), Ok(event), Ok(headers)) = (room_of(publish), EventName::parse(&publish.event), headers(publish.headers.as_ref()))
    else {
        return;
    };
    let new = NewPublication { headers, ..NewPublication::new(room, event, publish.data.get().to_owned()) };
    let publication = new.placed(None, 1);
    for dialect in &dialect::ALL {
        let mut out = BytesMut::new();
        (dialect.push)(&Push::Publication { publication: &publication, manner: Manner::PLAIN }, &mut out);
        if !out.is_empty() {
            let message = object(&out);
            assert!(message.contains_key("type"));
            assert!(dialect.name != "command-center" || message["channel"].get().starts_with('"'));
        }
    }
}

fn are_canonical(selector: &Selector) {
    for wanted in selector.wanted(&SYNTAX, &ACME).iter().flatten() {
        pattern_is_canonical(&wanted.pattern);
        if let Some(filter) = &wanted.filter {
            // What is too long in its canonical form is not read again.
            assert!(Filter::parse(filter.as_str()).is_ok_and(|read| read == *filter) || filter.as_str().len() > FILTER_BYTES_MAX);
        }
    }
}

/// A room and a pattern, one a line: their canonical texts mean the same as they do, and reach agrees with itself.
pub fn rooms(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let rooms: Vec<RoomName> = text.lines().filter_map(|line| SYNTAX.room(line).ok()).collect();
    let patterns: Vec<Pattern> = text.lines().filter_map(|line| SYNTAX.pattern(line).ok()).collect();
    rooms.iter().for_each(room_is_canonical);
    patterns.iter().for_each(pattern_is_canonical);
    for pattern in &patterns {
        for room in &rooms {
            assert!(!pattern.matches(room) || pattern.org() == room.org(), "{pattern} reaches {room} of another org");
            assert!(!pattern.matches(room) || pattern.matches_at_or_below(room), "{pattern} {room}");
            let covering = patterns.iter().filter(|wide| wide.covers(pattern));
            covering.for_each(|wide| assert!(!pattern.matches(room) || wide.matches(room), "{wide} covers {pattern} but not {room}"));
        }
    }
}

fn room_is_canonical(room: &RoomName) {
    assert_eq!(SYNTAX.room(room.as_str()).as_ref(), Ok(room));
    assert_eq!(room.segments().nth(1), Some(room.org().as_str()));
    assert!(Pattern::of_room(room).matches(room));
}

fn pattern_is_canonical(pattern: &Pattern) {
    assert_eq!(SYNTAX.pattern(pattern.as_str()).as_ref(), Ok(pattern));
    assert_eq!(pattern.as_str().split(':').nth(1), Some(pattern.org().as_str()));
    assert!(pattern.covers(pattern));
}

/// A message on the bus of `acme`: what is taken for a publication is of that org, the log reads the same, and it goes into a
/// frame as one JSON object.
pub fn envelope(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    match envelope::bus_message(&payload, &ACME, &SYNTAX) {
        Ok(OrgEvent::Ephemeral(publication)) => fits_a_frame(&publication),
        Ok(OrgEvent::Entry(entry)) => {
            let header_end = data.iter().position(|byte| *byte == b'\n').expect("a readable message has a header line");
            let place_end = data.iter().position(|byte| *byte == b' ').expect("a readable message has a place");
            let header = &data[place_end + 1..header_end];
            let (epoch, seq) = (entry.position.epoch, entry.position.seq);
            let logged = envelope::log_entry(epoch, seq, header, payload.slice(header_end + 1..), &ACME, &SYNTAX);
            assert_eq!(logged, entry);
            if let Body::Publication(publication) = &entry.body {
                assert_eq!(publication.position, Some(entry.position));
                fits_a_frame(publication);
            }
        }
        Ok(OrgEvent::Presence(news)) => presence(&news),
        Ok(OrgEvent::Interrupted) | Err(_) => {}
    }
}

fn presence(news: &News) {
    assert_eq!(news.room.org(), &*ACME);
    let Some(changes) = news.read() else { return };
    assert_eq!(changes.len() as u64, news.count());
    let joined = changes.into_iter().filter_map(|(_, stay)| Some(stay?.member)).collect();
    let mut frame = BytesMut::new();
    let diff = Diff { joined, ..Diff::default() };
    json::push(&Push::PresenceDiff { room: &news.room, version: 1, diff: &diff }, &mut frame);
    object(&frame);
    assert!(!is_deeper_than(DEPTH_MAX, &frame));
}

fn fits_a_frame(publication: &Publication) {
    assert_eq!(publication.room.org(), &*ACME);
    room_is_canonical(&publication.room);
    let mut frame = BytesMut::new();
    json::push(&Push::Publication { publication, manner: Manner::REPLAYED }, &mut frame);
    let message = object(&frame);
    assert_eq!(message["room"].get(), format!("\"{}\"", publication.room));
    assert_eq!(message["event"].get(), format!("\"{}\"", publication.event));
    assert!(!is_deeper_than(DEPTH_MAX, &frame));
}

/// One JSON object by its members, whose values are left as they are: JSON sets no bounds to numbers, and programs do.
fn object(json: &[u8]) -> HashMap<String, Box<RawValue>> {
    serde_json::from_slice(json).expect("it is one JSON object")
}

/// A request over HTTP, a line each: the query, the name of a session, and behind them the body. What a body is taken apart into is what was in
/// it; no data makes more or less than one event of a stream.
pub fn http(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (query, name, body) = (next(), next(), Bytes::copy_from_slice(next()));
    if let Ok(uri) = format!("/sse?{}", String::from_utf8_lossy(query)).parse::<::http::Uri>() {
        let head = ::http::Request::get(uri).body(()).expect("there is nothing else in it").into_parts().0;
        if let Ok(wishes) = request::wishes(&head) {
            are_canonical(&wishes.selector);
        }
    }
    let text = String::from_utf8_lossy(name);
    assert!(Name::parse(&text).is_none_or(|name| name.expose() == text));
    let Some(commands) = request::commands(&body, 4) else { return };
    assert!((1..=4).contains(&commands.len()));
    let joined = commands.iter().map(|command| str::from_utf8(command).expect("JSON is UTF-8")).collect::<Vec<_>>().join(",");
    assert!(serde_json::from_str::<Vec<Box<RawValue>>>(&format!("[{joined}]")).is_ok_and(|read| read.len() == commands.len()));
    for command in commands {
        let room = SYNTAX.room("kpi:acme").expect("it is a room");
        let event = EventRules::new(["*"]).event("kpi:update").expect("it is an event");
        let text = str::from_utf8(&command).expect("JSON is UTF-8").to_owned();
        let publication = NewPublication::new(room, event, text).placed(None, 1);
        let mut out = BytesMut::new();
        sse::wire::events().push(&Push::Publication { publication: &publication, manner: Manner::PLAIN }, &mut out);
        let event = out.strip_prefix(b"data: ").and_then(|event| event.strip_suffix(b"\n\n")).expect("it is one event");
        assert!(!event.iter().any(|byte| b"\r\n".contains(byte)));
        assert!(object(event).contains_key("data"));
    }
}

/// An ingest entry, `name=value` a line: what is accepted fits a frame.
pub fn ingest(data: &[u8]) {
    let fields = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let end = line.iter().position(|byte| *byte == b'=')?;
        Some((str::from_utf8(&line[..end]).ok()?, &line[end + 1..]))
    });
    let fields: HashMap<&str, &[u8]> = fields.collect();
    match ingest_entry::read(&fields, &SYNTAX, DATA_BYTES_MAX) {
        Ok(Wish::Publish(new)) => {
            assert!(new.data.len() <= DATA_BYTES_MAX);
            if new.room.org() == &*ACME {
                fits_a_frame(&new.placed(None, 1));
            }
        }
        Ok(Wish::Write(write)) => {
            assert_eq!(write.room.channel(), CHANNEL);
            room_is_canonical(&write.room);
            assert_eq!(write.value.is_none(), write.op == Op::Delete);
        }
        Err(_) => {}
    }
}

/// A token's text, or, behind a line feed, the claims of one that is signed here: nothing passes that was not signed, and what
/// passes is valid now and grants nothing of another org.
pub fn tokens(data: &[u8]) {
    let Some(claims) = data.strip_prefix(b"\n") else {
        let Ok(token) = str::from_utf8(data) else { return };
        if verified(token).is_ok() {
            let (signed, signature) = token.rsplit_once('.').expect("a token has a signature");
            assert_eq!(signature, sign(signed), "the signature of {token} is not ours");
        }
        return;
    };
    let signed = format!("eyJhbGciOiJIUzI1NiJ9.{}", URL_SAFE_NO_PAD.encode(claims));
    let token = format!("{signed}.{}", sign(&signed));
    if let Ok(principal) = verified(&token) {
        assert!(principal.expires_at_s() + auth::config::LEEWAY_MAX_S >= NOW_S);
        let other = OrgId::parse(if principal.org() == &*ACME { "umbrella" } else { "acme" }).expect("both are segments");
        assert!(principal.grant_subscribe(Pattern::of_org(&other)).is_err());
        principal.own_rooms().iter().for_each(|grant| assert_eq!(grant.org(), principal.org()));
    }
}

fn verified(token: &str) -> Result<auth::Principal, AuthError> {
    VERIFIER.verify(token, NOW_S).now_or_never().expect("nothing is fetched where no address for keys is configured")
}

/// The HS256 signature, in base64url.
pub fn sign(message: &str) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).expect("HS256 signs anything")
}
