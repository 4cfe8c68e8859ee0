//! ● `/ws/chat`: chat messages, and changes of database tables.
//!
//! Chat is the room `chat:<org>` with all below it, a table the room `sync:<org>:<table>`. Clients get both by themselves as far as they are
//! granted them; those that ask for tables get these, and no longer all.

mod condition;

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Dialect, Follows, unknown, writing};
use crate::protocol::command::{Action, Authenticate, CommandId, Publish, Subscribe, Unreadable, message, object};
use crate::protocol::push::{Answer, Push, Reply};
use crate::protocol::{Code, Command, Publication, Selector};

pub const DIALECT: Dialect = Dialect {
    name: "chat",
    path: "/ws/chat",
    events: &[MESSAGE, "database:*"],
    has_free_events: false,
    follows: Follows::Channels(&[CHAT, TABLES]),
    authenticates_by_message: true,
    read,
    push,
    answer,
    greet,
};

const CHAT: &str = "chat";
const TABLES: &str = "sync";
/// The event of what clients say.
const MESSAGE: &str = "chat:message";
/// The header that brings a message back to the client that sent it as its own.
const CLIENT_ID: &str = "clientId";

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "clientId")]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "sentAt")]
    sent_at: Option<&'a RawValue>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    table: Option<String>,
    #[serde(default)]
    filter: Option<String>,
}

/// What stands beside the type in some clients, and in the payload in others.
#[derive(Deserialize, Default)]
struct Inner {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    table: Option<String>,
    #[serde(default)]
    filter: Option<String>,
}

fn read(text: &[u8]) -> Result<Command, Unreadable> {
    let incoming: Incoming<'_> = message(text)?;
    let (mut id, payload) = (None, incoming.payload.unwrap_or(RawValue::NULL));
    let action = match &*incoming.r#type {
        "auth" => {
            let token = match (incoming.token, writing::text(payload)) {
                (Some(token), _) => Some(token),
                (None, Some(token)) => Some(token.into_owned()),
                (None, None) => inner(payload)?.token,
            };
            let token = token.ok_or_else(|| unknown("auth needs a token"))?;
            Action::Authenticate(Authenticate { token, subscribe: Subscribe::default() })
        }
        "ping" => {
            id = incoming.sent_at.map_or(Ok(None), CommandId::read)?;
            Action::Ping
        }
        "chat" => {
            let headers = incoming.client_id.map(|id| BTreeMap::from([(CLIENT_ID.to_owned(), id.into_owned())]));
            let publish = Publish { channel: Some(CHAT.to_owned()), headers, ..Publish::new(MESSAGE, payload.to_owned()) };
            Action::Publish(Box::new(publish))
        }
        change @ ("subscribe" | "unsubscribe") => {
            let inner = if incoming.table.is_some() {
                Inner { table: incoming.table, filter: incoming.filter, token: None }
            } else {
                inner(payload)?
            };
            let filter = inner.filter.as_deref().filter(|condition| !condition.trim().is_empty());
            let filter = filter
                .map(|condition| condition::filter(condition).ok_or_else(|| unknown("a filter is such as status=open")))
                .transpose()?;
            let table = inner.table.ok_or_else(|| unknown("name the table"))?;
            let selector = Selector { channels: vec![TABLES.to_owned()], department_id: Some(table), filter, ..Selector::default() };
            match change {
                "subscribe" => Action::Subscribe(Subscribe { selector, ..Subscribe::default() }),
                _ => Action::Unsubscribe(selector),
            }
        }
        _ => return Err(unknown("type must be auth, ping, chat, subscribe or unsubscribe")),
    };
    Ok(Command { id, action })
}

fn inner(payload: &RawValue) -> Result<Inner, Unreadable> {
    if payload.get() == "null" { Ok(Inner::default()) } else { Ok(object(&"payload", payload.get())?) }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Outgoing<'a> {
    System {
        payload: Text<'a>,
        timestamp: u64,
    },
    AuthResponse {
        payload: Verdict<'a>,
    },
    Pong {
        #[serde(rename = "sentAt")]
        sent_at: Option<&'a CommandId>,
        timestamp: u64,
    },
    Chat {
        payload: &'a RawValue,
        timestamp: u64,
        #[serde(rename = "clientId")]
        client_id: Option<Cow<'a, str>>,
    },
    DatabaseChange(Change<'a>),
    Error {
        payload: Text<'a>,
    },
}

#[derive(Serialize)]
struct Text<'a> {
    message: &'a str,
}

#[derive(Serialize)]
struct Verdict<'a> {
    success: bool,
    #[serde(rename = "userId")]
    user_id: Option<&'a str>,
    permissions: &'a [String],
}

/// Said twice: clients read `event` and `data`, their dashboard `eventType` and `new`.
#[derive(Serialize)]
struct Change<'a> {
    table: &'a str,
    event: &'static str,
    data: &'a RawValue,
    #[serde(rename = "eventType")]
    event_type: &'static str,
    new: &'a RawValue,
}

#[derive(Deserialize, Default)]
struct Headers<'a> {
    #[serde(borrow, default, rename = "clientId")]
    client_id: Option<Cow<'a, str>>,
}

fn push(push: &Push<'_>, out: &mut BytesMut) {
    match push {
        Push::Publication { publication, .. } => tell(publication, out),
        Push::Gap(gap) => {
            let timestamp = writing::ms_of(writing::time_of(&gap.to));
            let payload = Text { message: "messages may be missing; fetch the present state anew" };
            writing::write(&Outgoing::System { payload, timestamp }, out);
        }
        Push::Unsubscribed { fault, .. } => writing::write(&Outgoing::Error { payload: Text { message: &fault.message } }, out),
        _ => {}
    }
}

fn tell(publication: &Publication, out: &mut BytesMut) {
    let (data, timestamp) = (writing::data(publication), writing::ms_of(publication.time_us));
    if publication.room.channel() == CHAT {
        let Headers { client_id } = writing::headers(publication);
        writing::write(&Outgoing::Chat { payload: &data, timestamp, client_id }, out);
    } else if let Some(change) = change(publication, &data) {
        writing::write(&Outgoing::DatabaseChange(change), out);
    } else if writing::is_for_people(publication)
        && let Some(message) = notice(&data)
    {
        writing::write(&Outgoing::System { payload: Text { message: &message }, timestamp }, out);
    }
}

/// A row that changed, or an item of a collection, of which the value is the row.
fn change<'a>(publication: &'a Publication, data: &'a RawValue) -> Option<Change<'a>> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, rename = "key")]
        _key: &'a RawValue,
        #[serde(borrow, rename = "version")]
        _version: &'a RawValue,
        #[serde(borrow)]
        value: &'a RawValue,
    }
    let table = writing::segment(publication, 2).filter(|_| publication.room.channel() == TABLES)?;
    let (_, operation) = publication.event.as_str().split_once(':')?;
    let event = match operation {
        "insert" => "INSERT",
        "update" => "UPDATE",
        "delete" => "DELETE",
        _ => return None,
    };
    let item = serde_json::from_str::<Item<'_>>(data.get()).ok().filter(|_| data.get().starts_with('{'));
    let row = item.map_or(data, |item| item.value);
    Some(Change { table, event, data: row, event_type: event, new: row })
}

/// What is said to a whole org or to one user, where it is text or has one.
fn notice(data: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    writing::text(data).or_else(|| serde_json::from_str::<Said<'_>>(data.get()).ok().map(|said| said.message))
}

fn answer(answer: &Answer, _now_ms: u64, out: &mut BytesMut) {
    let nobody = Verdict { success: false, user_id: None, permissions: &[] };
    let said = match &answer.reply {
        Reply::Authenticated(authenticated) => {
            // A guest did not ask for credentials to be looked at, and may still show some.
            let Some(permissions) = &authenticated.permissions else { return };
            Outgoing::AuthResponse { payload: Verdict { success: true, user_id: Some(&authenticated.user_id), permissions } }
        }
        Reply::Error(fault) if fault.code == Code::AuthFailed => Outgoing::AuthResponse { payload: nobody },
        Reply::Error(fault) => Outgoing::Error { payload: Text { message: &fault.message } },
        Reply::Pong { ts, .. } => Outgoing::Pong { sent_at: answer.id.as_ref(), timestamp: *ts },
        _ => return,
    };
    writing::write(&said, out);
}

fn greet(now_ms: u64, out: &mut BytesMut) {
    let payload = Text { message: "connected; authenticate to take part" };
    writing::write(&Outgoing::System { payload, timestamp: now_ms }, out);
}
