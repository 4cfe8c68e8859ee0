//! ● `/ws/channels`: channels of any name, in which events of any name are exchanged.
//!
//! The channel `lobby` is the room `chat:<org>:lobby`; `kpi:sales` is `kpi:<org>:sales`, so that native rooms are within reach. Events are
//! taken as they are.

use std::borrow::Cow;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Dialect, Follows, says_nothing_first, unknown, writing};
use crate::protocol::command::{Action, CommandId, Publish, Subscribe, Unreadable, message, object};
use crate::protocol::push::{Answer, Push, Reply};
use crate::protocol::{Command, Selector};

pub const DIALECT: Dialect = Dialect {
    name: "channels",
    path: "/ws/channels",
    events: &[],
    has_free_events: true,
    follows: Follows::Nothing,
    authenticates_by_message: false,
    read,
    push,
    answer,
    greet: says_nothing_first,
};

/// Where channels without a colon live.
const CHANNEL: &str = "chat";
/// What the server says by itself: no client may speak in its name.
const RESERVED: [&str; 5] = ["pong", "error", "gap", "conflated", "receipt"];

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Timed<'a> {
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

fn read(text: &[u8]) -> Result<Command, Unreadable> {
    let Incoming { r#type, payload } = message(text)?;
    let payload = payload.map_or("{}", RawValue::get);
    let (mut id, what) = (None, format!("payload of {type:.32}"));
    let action = match &*r#type {
        "subscribe" => {
            let Named { channel } = object(&what, payload)?;
            Action::Subscribe(Subscribe { selector: selector(&channel), ..Subscribe::default() })
        }
        "unsubscribe" => {
            let Named { channel } = object(&what, payload)?;
            Action::Unsubscribe(selector(&channel))
        }
        "channel_message" => {
            let Sent { channel, event, payload } = object(&what, payload)?;
            if RESERVED.contains(&&*event) {
                return Err(unknown("the events pong, error, gap, conflated and receipt are the server's"));
            }
            let Selector { mut channels, department_id, queue_name, .. } = selector(&channel);
            let data = payload.unwrap_or(RawValue::NULL).to_owned();
            let publish = Publish { channel: channels.pop(), department_id, queue_name, ..Publish::new(event, data) };
            Action::Publish(Box::new(publish))
        }
        "ping" => {
            let Timed { timestamp } = object(&what, payload)?;
            // Comes back as it came, so that the client's own clock tells the way there and back.
            id = timestamp.map_or(Ok(None), CommandId::read)?;
            Action::Ping
        }
        _ => return Err(unknown("type must be subscribe, unsubscribe, channel_message or ping")),
    };
    Ok(Command { id, action })
}

/// What a channel's name means; colons too many are left in, and refused where rooms are made.
fn selector(name: &str) -> Selector {
    let own = |channel: &str, department: &str, queue: Option<&str>| Selector {
        channels: vec![channel.to_owned()],
        department_id: Some(department.to_owned()),
        queue_name: queue.map(str::to_owned),
        ..Selector::default()
    };
    let mut parts = name.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(channel), Some(department), queue) => own(channel, department, queue),
        _ => own(CHANNEL, name, None),
    }
}

#[derive(Serialize)]
struct Outgoing<'a, T> {
    r#type: &'a str,
    payload: T,
    timestamp: u64,
}

#[derive(Serialize)]
struct Pong<'a> {
    r#type: &'a str,
    timestamp: Stamp<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Stamp<'a> {
    Echoed(&'a CommandId),
    Told(u64),
}

fn push(push: &Push<'_>, out: &mut BytesMut) {
    match push {
        Push::Publication { publication, .. } => {
            let (payload, timestamp) = (writing::data(publication), writing::ms_of(publication.time_us));
            writing::write(&Outgoing { r#type: publication.event.as_str(), payload, timestamp }, out);
        }
        Push::Gap(gap) => tell("gap", gap, writing::ms_of(writing::time_of(&gap.to)), out),
        Push::Conflated(conflated) => tell("conflated", conflated, writing::ms_of(writing::time_of(&conflated.to)), out),
        _ => {}
    }
}

fn answer(answer: &Answer, now_ms: u64, out: &mut BytesMut) {
    match &answer.reply {
        Reply::Pong { ts, .. } => {
            let timestamp = answer.id.as_ref().map_or(Stamp::Told(*ts), Stamp::Echoed);
            writing::write(&Pong { r#type: "pong", timestamp }, out);
        }
        Reply::Error(fault) => tell("error", fault, now_ms, out),
        _ => {}
    }
}

/// What the server says for itself.
fn tell(r#type: &str, payload: &impl Serialize, timestamp: u64, out: &mut BytesMut) {
    writing::write(&Outgoing { r#type, payload, timestamp }, out);
}
