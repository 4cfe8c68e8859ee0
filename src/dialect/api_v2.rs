//! ● `/api/v2/ws`: alerts, and telemetry of devices.
//!
//! `alerts` is the room `alerts:<org>` with all below it, a device the room `telemetry:<org>:<device_id>`. The client warns of every
//! `type` that it does not know, so nothing is said beyond the five.

use std::borrow::Cow;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Dialect, Follows, says_nothing_first, unknown, writing};
use crate::protocol::command::{Action, Subscribe, Unreadable, message};
use crate::protocol::pattern::Step;
use crate::protocol::push::{Answer, Push, Reply};
use crate::protocol::{Command, Pattern, Publication, Selector};

pub const DIALECT: Dialect = Dialect {
    name: "api-v2",
    path: "/api/v2/ws",
    events: &["telemetry:*"],
    has_free_events: false,
    follows: Follows::Nothing,
    authenticates_by_message: false,
    read,
    push,
    answer,
    greet: says_nothing_first,
};

/// The channels behind the two kinds of subscription.
const ALERTS: &str = "alerts";
const TELEMETRY: &str = "telemetry";
/// What clients call a subscription to one device's telemetry.
const DEVICE: &str = "device";

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(default)]
    device_id: Option<String>,
}

fn read(text: &[u8]) -> Result<Command, Unreadable> {
    let Incoming { action, r#type, device_id } = message(text)?;
    let (channel, department_id) = match (&*r#type, device_id) {
        (ALERTS, _) => (ALERTS, None),
        (DEVICE, Some(device_id)) => (TELEMETRY, Some(device_id)),
        (DEVICE, None) => return Err(unknown("the type device needs a device_id")),
        _ => return Err(unknown("type must be alerts or device")),
    };
    let selector = Selector { channels: vec![channel.to_owned()], department_id, ..Selector::default() };
    let action = match &*action {
        "subscribe" => Action::Subscribe(Subscribe { selector, ..Subscribe::default() }),
        "unsubscribe" => Action::Unsubscribe(selector),
        _ => return Err(unknown("action must be subscribe or unsubscribe")),
    };
    Ok(Command { id: None, action })
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Outgoing<'a> {
    Subscribed(Named<'a>),
    Unsubscribed(Named<'a>),
    Alerts { alerts: Vec<&'a RawValue> },
    Telemetry { device_id: &'a str, data: Measured<'a> },
    Error { message: &'a str },
}

#[derive(Serialize)]
struct Named<'a> {
    channel: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Measured<'a> {
    timestamp: Cow<'a, RawValue>,
    metrics: &'a RawValue,
}

fn push(push: &Push<'_>, out: &mut BytesMut) {
    match push {
        Push::Publication { publication, .. } if is_alert(publication) => {
            let data = writing::data(publication);
            let alerts = serde_json::from_str(data.get()).unwrap_or_else(|_| vec![&*data]);
            writing::write(&Outgoing::Alerts { alerts }, out);
        }
        Push::Publication { publication, .. } if publication.room.channel() == TELEMETRY => {
            let Some(device_id) = writing::segment(publication, 2) else { return };
            let data = writing::data(publication);
            writing::write(&Outgoing::Telemetry { device_id, data: measured(&data, publication.time_us) }, out);
        }
        Push::Gap(_) => writing::write(&Outgoing::Error { message: "messages may be missing; fetch the present state anew" }, out),
        Push::Unsubscribed { fault, .. } => writing::write(&Outgoing::Error { message: &fault.message }, out),
        _ => {}
    }
}

/// An alert for a whole org or for one user is one too.
fn is_alert(publication: &Publication) -> bool {
    publication.room.channel() == ALERTS || (writing::is_for_people(publication) && publication.event.as_str().starts_with("alert:"))
}

/// The data where it has metrics; else it is the metrics itself, and their time is the publication's.
fn measured(data: &RawValue, time_us: u64) -> Measured<'_> {
    #[derive(Deserialize)]
    struct Full<'a> {
        #[serde(borrow, default)]
        timestamp: Option<&'a RawValue>,
        #[serde(borrow)]
        metrics: &'a RawValue,
    }
    let full = serde_json::from_str::<Full<'_>>(data.get()).ok().filter(|_| data.get().starts_with('{'));
    let metrics = full.as_ref().map_or(data, |full| full.metrics);
    let time = || serde_json::value::to_raw_value(&writing::text_of(time_us)).map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned);
    Measured { timestamp: full.and_then(|full| full.timestamp).map_or_else(time, Cow::Borrowed), metrics }
}

fn answer(answer: &Answer, _now_ms: u64, out: &mut BytesMut) {
    match &answer.reply {
        Reply::Subscribed { rooms, .. } => rooms.iter().for_each(|room| writing::write(&Outgoing::Subscribed(named(room)), out)),
        Reply::Unsubscribed { rooms } => rooms.iter().for_each(|room| writing::write(&Outgoing::Unsubscribed(named(room)), out)),
        Reply::Error(fault) => writing::write(&Outgoing::Error { message: &fault.message }, out),
        _ => {}
    }
}

/// The subscription as its client named it.
fn named(room: &Pattern) -> Named<'_> {
    let mut steps = room.steps();
    let channel = if steps.next() == Some(Step::Name(ALERTS)) { ALERTS } else { DEVICE };
    let device_id = steps.nth(1).map(|step| if let Step::Name(name) = step { name } else { "*" });
    Named { channel, device_id: device_id.filter(|_| channel == DEVICE) }
}
