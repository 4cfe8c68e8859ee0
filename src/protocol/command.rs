//! Commands: what a client may ask, read from one JSON message.
//!
//! Parsing is strict where a mistake would pass unnoticed (types, unknown commands, sizes) and lenient where protocols grow
//! (unknown fields of `data` are ignored).

mod ack;
pub mod history;
pub mod presence;
mod selector;
pub mod sync;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::ack::Ack;
use self::history::History;
use self::sync::{SyncSubscribe, SyncWrite};
use super::code::{Code, Fault};
use super::position::Position;
use super::publication::{DEPTH_MAX, IDEMPOTENCY_KEY_BYTES_MAX, Priority, Spelling, is_deeper_than, is_paired};
use super::room::{OrgId, RoomName, RoomSyntax};

pub use selector::{FILTERS_MAX, Named, Selector, Wanted};

/// Longest command id, in bytes of its JSON text.
const ID_BYTES_MAX: usize = 128;
/// Longest explanation of what is wrong with a message, in characters.
const MALFORMED_CHARS_MAX: usize = 200;
/// Whoever knows a position has what came before it.
const LATEST_OR_SINCE: &str = "latest and since exclude each other: latest is for rooms of which the client has nothing yet";
/// Most rooms and channels that one command may name.
pub const SELECTORS_MAX: usize = 256;

/// A client's own name for a command: a string or a number, sent back as it came.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CommandId(Box<str>);

impl CommandId {
    pub(crate) fn read(raw: &RawValue) -> Result<Option<Self>, Fault> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Ok(None),
            Some(b'"' | b'-' | b'0'..=b'9') if text.len() <= ID_BYTES_MAX => Ok(Some(Self(text.into()))),
            _ => Err(Fault::new(Code::InvalidMessage, "id must be a string or a number of at most 128 bytes")),
        }
    }

    /// The id as JSON text.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Serialize for CommandId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The text was one JSON value when it came in; it goes out letter for letter.
        let raw = RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl JsonSchema for CommandId {
    fn schema_name() -> Cow<'static, str> {
        "CommandId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A client's own name for a command, at most 128 bytes as JSON text. The reply has it letter for letter.",
            "type": ["string", "number"],
            // Two of the bytes are the quotes.
            "maxLength": ID_BYTES_MAX - 2,
        })
    }
}

/// One message from a client.
#[derive(Debug)]
pub struct Command {
    pub id: Option<CommandId>,
    pub action: Action,
}

/// What the client wants done.
#[derive(Debug)]
pub enum Action {
    Authenticate(Authenticate),
    Subscribe(Subscribe),
    /// The subscriptions to end, named as they were made.
    Unsubscribe(Selector),
    Publish(Box<Publish>),
    SyncSubscribe(SyncSubscribe),
    SyncWrite(Box<SyncWrite>),
    Presence(Box<presence::Presence>),
    History(History),
    Ack(Ack),
    Ping,
}

/// First command, or renewal on the open connection. May subscribe at the same stroke, so that one replay covers it all.
#[derive(JsonSchema)]
#[schemars(rename = "AuthenticateData")]
pub struct Authenticate {
    /// A JWT.
    pub token: String,
    #[schemars(flatten)]
    pub subscribe: Subscribe,
}

impl fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate").field("token", &"…").field("subscribe", &self.subscribe).finish()
    }
}

/// Which subscriptions to begin, and from where.
#[derive(Debug, Default, JsonSchema)]
#[schemars(rename = "SubscribeData")]
pub struct Subscribe {
    #[schemars(flatten)]
    pub selector: Selector,
    /// Replay what came after this position first. Without it delivery begins now.
    pub since: Option<Position>,
    /// Answer with the last publication of each event in each room first. Not together with `since`.
    #[schemars(default)]
    pub latest: bool,
}

/// The data of both, as it is spelled. Written out, because fields of fields (`flatten`) are read by way of copies of everything.
/// `Token` is a `String` where one must be there, and [`Ignored`] where it is a field that nobody knows.
#[derive(Deserialize)]
struct Entering<Token> {
    token: Token,
    #[serde(default)]
    rooms: Vec<Named>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    organization_id: Option<String>,
    #[serde(default)]
    department_id: Option<String>,
    #[serde(default)]
    queue_name: Option<String>,
    #[serde(default)]
    since: Option<Position>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    latest: bool,
}

/// Any value, or none: a field that is passed over.
type Ignored = Option<IgnoredAny>;

/// A publication from a client; the room may be put together like a subscription's.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "PublishData")]
pub struct Publish {
    /// A known event, such as `kpi:update`.
    pub event: String,
    /// Any JSON value, passed on as it is.
    #[schemars(with = "serde_json::Value")]
    pub data: Box<RawValue>,
    /// `base64`: the data are bytes, and `data` is their text.
    #[serde(default)]
    pub encoding: Option<Spelling>,
    /// Bytes that came as such, instead of `data`.
    #[serde(skip)]
    pub bytes: Option<Bytes>,
    /// A room, no pattern, in short or long form. Or name the channel.
    #[serde(default)]
    pub room: Option<String>,
    /// The channel of the room to put together.
    #[serde(default)]
    pub channel: Option<String>,
    /// The session's own org without one.
    #[serde(default)]
    pub organization_id: Option<String>,
    /// One segment of the room.
    #[serde(default)]
    pub department_id: Option<String>,
    /// Without a department it lies in the department `_`.
    #[serde(default)]
    pub queue_name: Option<String>,
    #[serde(default)]
    pub priority: Priority,
    /// `false`: ephemeral, only for who is connected, never replayed.
    #[serde(default = "yes")]
    pub log: bool,
    /// Also reaches subscriptions on rooms below.
    #[serde(default)]
    pub cascade: bool,
    /// Receivers acknowledge it, and the publisher gets receipts.
    #[serde(default)]
    pub requires_ack: bool,
    /// The same key in the same org is logged once, whatever is sent again.
    #[serde(default)]
    #[schemars(length(min = 1, max = IDEMPOTENCY_KEY_BYTES_MAX))]
    pub idempotency_key: Option<String>,
    /// Not worth replaying after this long.
    #[serde(default)]
    pub ttl_ms: Option<u64>,
    /// At most 4 KiB as JSON, `traceparent` among them.
    #[serde(default)]
    pub headers: Option<std::collections::BTreeMap<String, String>>,
}

fn yes() -> bool {
    true
}

impl Publish {
    /// A publication that says nowhere yet, logged and without options.
    pub fn new(event: impl Into<String>, data: Box<RawValue>) -> Self {
        Self {
            event: event.into(),
            data,
            encoding: None,
            bytes: None,
            room: None,
            channel: None,
            organization_id: None,
            department_id: None,
            queue_name: None,
            priority: Priority::default(),
            log: true,
            cascade: false,
            requires_ack: false,
            idempotency_key: None,
            ttl_ms: None,
            headers: None,
        }
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// A command that could not be read, with its id when that much was legible.
#[derive(Debug)]
pub struct Unreadable {
    pub id: Option<CommandId>,
    pub fault: Fault,
}

impl From<Fault> for Unreadable {
    fn from(fault: Fault) -> Self {
        Self { id: None, fault }
    }
}

impl Command {
    /// Reads one JSON text message: `{"event":…,"id":…,"data":{…}}`.
    ///
    /// # Errors
    /// `INVALID_MESSAGE`, saying what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, Unreadable> {
        let message: Message<'_> = message(json)?;
        let id = message.id.map_or(Ok(None), CommandId::read)?;
        match Action::parse(&message.event, message.data) {
            Ok(action) => Ok(Self { id, action }),
            Err(fault) => Err(Unreadable { id, fault }),
        }
    }
}

impl Action {
    fn parse(event: &str, data: Option<&RawValue>) -> Result<Self, Fault> {
        match event {
            "authenticate" | "client:authenticate" => {
                let (token, subscribe) = read::<Entering<String>>(event, data)?.split()?;
                Ok(Self::Authenticate(Authenticate { token, subscribe }))
            }
            "subscribe" | "client:subscribe" => {
                let (_, subscribe) = read::<Entering<Ignored>>(event, data)?.split()?;
                Ok(Self::Subscribe(subscribe))
            }
            "unsubscribe" | "client:unsubscribe" => read(event, data).map(Self::Unsubscribe),
            "publish" | "client:publish" => read(event, data).map(Box::new).map(Self::Publish),
            "ack" | "client:ack" => read::<Ack>(event, data)?.check().map(Self::Ack),
            "sync:subscribe" => read(event, data).map(Self::SyncSubscribe),
            "sync:write" => read(event, data).map(Box::new).map(Self::SyncWrite),
            "history" | "client:history" => read(event, data).map(Self::History),
            "ping" | "client:ping" => Ok(Self::Ping),
            _ => match presence::Presence::parse(event, data) {
                Some(presence) => presence.map(Box::new).map(Self::Presence),
                None => Err(Fault::new(
                    Code::InvalidMessage,
                    "event must name a command: authenticate, subscribe, unsubscribe, publish, ack, history, presence:…, sync:subscribe, sync:write or client:ping",
                )),
            },
        }
    }
}

/// Reads a client's whole message, of whatever dialect, as one JSON object within the bounds of all messages.
///
/// # Errors
/// `INVALID_MESSAGE`, saying what is wrong with it.
pub(crate) fn message<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Fault> {
    let text = str::from_utf8(json).map_err(|_| Fault::new(Code::InvalidMessage, "the message is not UTF-8"))?;
    // The data of a publication is passed on unread, so its nesting is measured here.
    if is_deeper_than(DEPTH_MAX, json) {
        return Err(Fault::new(Code::InvalidMessage, "the message is nested deeper than 64 levels"));
    }
    if !is_paired(json) {
        return Err(Fault::new(Code::InvalidMessage, "the message holds half a surrogate pair"));
    }
    object(&"message", text)
}

fn read<'a, T: Deserialize<'a>>(event: &str, data: Option<&'a RawValue>) -> Result<T, Fault> {
    let raw = data.map_or("{}", RawValue::get);
    object(&format_args!("data of {event}"), raw)
}

/// Reads a JSON object. Left to itself the library would also take an array, whose elements it reads as fields in their order.
pub(crate) fn object<'a, T: Deserialize<'a>>(what: &dyn fmt::Display, json: &'a str) -> Result<T, Fault> {
    let is_object = json.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    match serde_json::from_str(json) {
        Ok(value) if is_object => Ok(value),
        Ok(_) => Err(Fault::new(Code::InvalidMessage, format!("{what}: it must be a JSON object"))),
        Err(error) => Err(malformed(what, &error)),
    }
}

/// What the library says can quote the client's own value, however long, so it is cut.
fn malformed(what: &dyn fmt::Display, error: &serde_json::Error) -> Fault {
    let why: String = error.to_string().chars().take(MALFORMED_CHARS_MAX).collect();
    Fault::new(Code::InvalidMessage, format!("{what}: {why}"))
}

impl<Token> Entering<Token> {
    fn split(self) -> Result<(Token, Subscribe), Fault> {
        let Self { token, rooms, channels, organization_id, department_id, queue_name, since, filter, latest } = self;
        if latest && since.is_some() {
            return Err(Fault::new(Code::InvalidMessage, LATEST_OR_SINCE));
        }
        let selector = Selector { rooms, channels, organization_id, department_id, queue_name, filter };
        Ok((token, Subscribe { selector, since, latest }))
    }
}

/// Where to publish: spelled out, or put together.
#[derive(Debug, Default, Clone, Copy)]
pub struct Address<'a> {
    pub room: Option<&'a str>,
    pub channel: Option<&'a str>,
    pub organization_id: Option<&'a str>,
    pub department_id: Option<&'a str>,
    pub queue_name: Option<&'a str>,
}

impl Address<'_> {
    /// # Errors
    /// `INVALID_ROOM` for a malformed room, `INVALID_MESSAGE` when neither room nor channel is given.
    pub fn room(&self, syntax: &RoomSyntax, own: &OrgId) -> Result<RoomName, Fault> {
        match (self.room, self.channel) {
            (Some(room), _) => syntax.room(room),
            (None, Some(channel)) => {
                let org = self.organization_id.unwrap_or(own.as_str());
                syntax.room(&address(channel, org, self.department_id, self.queue_name, super::room::NO_DEPARTMENT)?)
            }
            (None, None) => Err(Fault::new(Code::InvalidMessage, "name the room, or the channel, to publish into")),
        }
    }
}

/// Puts a room or pattern together. Each part is one segment: a colon inside would move the others, the org among them.
fn address(channel: &str, org: &str, department: Option<&str>, queue: Option<&str>, no_department: &str) -> Result<String, Fault> {
    for part in [Some(channel), Some(org), department, queue].into_iter().flatten() {
        if part.contains(':') {
            return Err(super::room::invalid(part, "a channel, organization, department or queue is one segment, without colons"));
        }
    }
    Ok(match (department, queue) {
        (None, None) => format!("{channel}:{org}"),
        (Some(department), None) => format!("{channel}:{org}:{department}"),
        (department, Some(queue)) => format!("{channel}:{org}:{}:{queue}", department.unwrap_or(no_department)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(json: &str) -> Vec<String> {
        let command = Command::parse(json.as_bytes()).unwrap();
        let Action::Subscribe(subscribe) = command.action else { panic!("not a subscribe") };
        let syntax = RoomSyntax::new(4, ["kpi", "backlog"]);
        let own = OrgId::parse("acme").unwrap();
        subscribe.selector.wanted(&syntax, &own).unwrap().iter().map(|wanted| wanted.pattern.to_string()).collect()
    }

    #[test]
    fn channels_are_put_together_with_org_department_and_queue() {
        let json =
            r#"{"event":"subscribe","data":{"channels":["kpi","backlog"],"organization_id":"acme","department_id":"d","queue_name":"q"}}"#;
        assert_eq!(patterns(json), ["kpi:acme:d:q", "backlog:acme:d:q"]);
        assert_eq!(patterns(r#"{"event":"subscribe","data":{"channels":["kpi"],"queue_name":"q"}}"#), ["kpi:acme:*:q"]);
        assert_eq!(patterns(r#"{"event":"subscribe","data":{"channels":["all"]}}"#), ["*:acme:**"]);
    }

    #[test]
    fn a_field_that_only_another_command_has_is_passed_over() {
        let with = |token: &str| format!(r#"{{"event":"subscribe","data":{{"token":{token},"rooms":["kpi:acme"]}}}}"#);
        for token in ["7", "null", "\"text\"", "{\"a\":[]}"] {
            assert_eq!(patterns(&with(token)), ["kpi:acme"], "{token}");
        }
    }

    #[test]
    fn a_filter_is_for_all_rooms_that_have_none_of_their_own() {
        let json = r#"{"event":"subscribe","data":{"rooms":["kpi:acme",{"room":"kpi:acme","filter":"b = 1"},{"room":"kpi:acme:x"},
            {"room":"kpi:acme","filter":"a=1"}],"channels":["backlog"],"filter":"a = 1"}}"#;
        let Action::Subscribe(subscribe) = Command::parse(json.as_bytes()).unwrap().action else { panic!("not a subscribe") };
        let wanted = subscribe.selector.wanted(&RoomSyntax::new(4, ["kpi", "backlog"]), &OrgId::parse("acme").unwrap()).unwrap();
        let named: Vec<_> = wanted.iter().map(|wanted| (wanted.pattern.as_str(), wanted.filter.as_ref().unwrap().as_str())).collect();
        assert_eq!(named, [("kpi:acme", "a = 1"), ("kpi:acme", "b = 1"), ("kpi:acme:x", "a = 1"), ("backlog:acme", "a = 1")]);
    }

    #[test]
    fn filters_that_one_command_may_hold_are_counted() {
        let with = |count: usize| {
            let rooms = (0..count).map(|number| Named::Filtered { room: "kpi:acme".into(), filter: Some(format!("a = {number}")) });
            let selector = Selector { rooms: rooms.collect(), ..Selector::default() };
            selector.wanted(&RoomSyntax::new(4, ["kpi"]), &OrgId::parse("acme").unwrap())
        };
        assert_eq!(with(FILTERS_MAX).unwrap().len(), FILTERS_MAX);
        assert_eq!(with(FILTERS_MAX + 1).unwrap_err().code, Code::InvalidMessage);
    }

    #[test]
    fn the_id_goes_back_letter_for_letter() {
        let command = Command::parse(br#"{"event":"client:ping","id":1.50}"#).unwrap();
        assert_eq!(serde_json::to_string(&command.id).unwrap(), "1.50");
        let broken = Command::parse(br#"{"event":"nope","id":"x"}"#).unwrap_err();
        assert_eq!(broken.id.unwrap().as_json(), "\"x\"");
    }

    #[test]
    fn a_part_of_an_address_cannot_move_the_others() {
        let (syntax, own) = (RoomSyntax::new(4, ["kpi"]), OrgId::parse("acme").unwrap());
        let good = Address { channel: Some("kpi"), department_id: Some("a"), queue_name: Some("b"), ..Address::default() };
        assert_eq!(good.room(&syntax, &own).unwrap().as_str(), "kpi:acme:a:b");
        let bad = [
            Address { channel: Some("kpi:other"), ..good },
            Address { organization_id: Some("other:x"), department_id: None, ..good },
            Address { department_id: Some("a:b"), queue_name: None, ..good },
            Address { queue_name: Some("b:"), ..good },
        ];
        for address in bad {
            assert_eq!(address.room(&syntax, &own).unwrap_err().code, Code::InvalidRoom, "{address:?}");
        }
    }

    #[test]
    fn arrays_are_no_objects() {
        for bad in [r#"["client:ping"]"#, r#" ["client:ping",1]"#, r#"{"event":"unsubscribe","data":[["kpi:acme"]]}"#] {
            assert_eq!(Command::parse(bad.as_bytes()).unwrap_err().fault.code, Code::InvalidMessage, "{bad}");
        }
    }

    #[test]
    fn an_explanation_does_not_give_back_what_was_sent_at_length() {
        let json = format!(r#"{{"event":"subscribe","data":{{"rooms":"{}"}}}}"#, "x".repeat(100_000));
        let fault = Command::parse(json.as_bytes()).unwrap_err().fault;
        assert!(fault.message.len() < 300 && fault.message.starts_with("data of subscribe: "), "{}", fault.message.len());
    }

    #[test]
    fn a_token_is_never_shown() {
        let command = Command::parse(br#"{"event":"authenticate","data":{"token":"secret.jwt.x"}}"#).unwrap();
        assert!(!format!("{command:?}").contains("secret"));
    }
}
