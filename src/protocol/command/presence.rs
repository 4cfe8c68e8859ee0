//! The commands of presence as clients spell them.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::read;
use crate::protocol::code::{Code, Fault};
use crate::protocol::presence::{State, Status};
use crate::protocol::room::{OrgId, RoomName, RoomSyntax};

/// What a client wants with a room's presence.
#[derive(Debug)]
pub enum Presence {
    Enter(Enter),
    Update(Update),
    Leave(InRoom),
    Watch(InRoom),
    Unwatch(InRoom),
}

/// Enters a room, or tells anew how one is there.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "PresenceEnterData")]
pub struct Enter {
    /// One room of one's own org, no pattern, in short or long form.
    pub room: String,
    #[serde(default)]
    pub status: Status,
    #[serde(default)]
    pub state: State,
}

/// Tells anew how one is in a room. What is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "PresenceUpdateData")]
pub struct Update {
    /// One room of one's own org, no pattern, in short or long form.
    pub room: String,
    #[serde(default)]
    pub status: Option<Status>,
    #[serde(default, deserialize_with = "said")]
    #[schemars(with = "State")]
    pub state: Option<State>,
}

/// The room that is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "PresenceRoomData")]
pub struct InRoom {
    /// One room of one's own org, no pattern, in short or long form.
    pub room: String,
}

/// Tells `null`, which clears, from nothing, which leaves as it is.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<State>, D::Error> {
    State::deserialize(deserializer).map(Some)
}

impl Presence {
    /// `None` for another command.
    pub(super) fn parse(event: &str, data: Option<&RawValue>) -> Option<Result<Self, Fault>> {
        Some(match event.strip_prefix("client:").unwrap_or(event) {
            "presence:enter" => read(event, data).map(Self::Enter),
            "presence:update" => match read::<Update>(event, data) {
                Ok(Update { status: None, state: None, .. }) => {
                    Err(Fault::new(Code::InvalidMessage, format!("data of {event}: name the status, the state or both")))
                }
                read => read.map(Self::Update),
            },
            "presence:leave" => read(event, data).map(Self::Leave),
            "presence:watch" => read(event, data).map(Self::Watch),
            "presence:unwatch" => read(event, data).map(Self::Unwatch),
            _ => return None,
        })
    }

    /// The room that is meant.
    ///
    /// # Errors
    /// `INVALID_ROOM` for what is no room of the org `own`: a pattern, or a room of another org.
    pub fn room(&self, syntax: &RoomSyntax, own: &OrgId) -> Result<RoomName, Fault> {
        let room = match self {
            Self::Enter(Enter { room, .. }) | Self::Update(Update { room, .. }) => room,
            Self::Leave(InRoom { room }) | Self::Watch(InRoom { room }) | Self::Unwatch(InRoom { room }) => room,
        };
        if room.contains('*') || room.starts_with("all:") {
            return Err(Fault::new(Code::InvalidRoom, "presence is of one room: a pattern has none"));
        }
        let room = syntax.room(room)?;
        if room.org() == own {
            Ok(room)
        } else {
            Err(Fault::new(Code::InvalidRoom, "the room is of another organization than the session"))
        }
    }
}
