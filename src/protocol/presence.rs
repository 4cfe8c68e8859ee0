//! Presence: who is in a room, in which status, and with which small state. Pure.
//!
//! Commands, replies, pushes and the store (`broker::presence`) speak in these types. A member is a user, not a session; which
//! sessions stand behind one is the store's and the hub's to know.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::code::{Code, Fault};
use super::publication::{DEPTH_MAX, is_deeper_than, is_paired};
use super::room::{RoomName, check_segment};

/// The longest state, in bytes of its JSON text without the spaces between its parts.
pub const STATE_BYTES_MAX: usize = 1_024;
/// How deep a state may be nested: in a snapshot it lies four levels down.
const STATE_DEPTH_MAX: usize = DEPTH_MAX - 4;

/// The user part of a `user:` room, checked.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct UserId(Arc<str>);

impl UserId {
    /// # Errors
    /// `INVALID_ROOM` when it is no legal segment; nobody has such a user.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        check_segment(text)?;
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for UserId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for UserId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for UserId {
    fn schema_name() -> Cow<'static, str> {
        "UserId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A user, as in `authenticated`.", "type": "string" })
    }
}

/// How a member wants to be taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize, JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PresenceStatus")]
pub enum Status {
    #[default]
    Online,
    Away,
    Busy,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Busy => "busy",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Online, Self::Away, Self::Busy].into_iter().find(|status| status.as_str() == text)
    }
}

/// What a member tells of itself: one JSON value without spaces between its parts, `null` for none.
#[derive(Clone, Debug, Default)]
pub struct State(Option<Arc<RawValue>>);

impl State {
    /// Takes one JSON value as a client wrote it.
    ///
    /// # Errors
    /// `INVALID_MESSAGE` when it is too long or nested too deep.
    pub fn of(value: &RawValue) -> Result<Self, Fault> {
        let text = compact(value.get());
        if text.len() > STATE_BYTES_MAX {
            let why = format!("a presence state of {} bytes as JSON: at most {STATE_BYTES_MAX} are allowed", text.len());
            return Err(Fault::new(Code::InvalidMessage, why));
        }
        if is_deeper_than(STATE_DEPTH_MAX, text.as_bytes()) {
            return Err(Fault::new(Code::InvalidMessage, format!("a presence state is nested at most {STATE_DEPTH_MAX} levels deep")));
        }
        if text == "null" {
            return Ok(Self(None));
        }
        let value = RawValue::from_string(text).map_err(|_| Fault::new(Code::InvalidMessage, "the presence state is not JSON"))?;
        Ok(Self(Some(Arc::from(value))))
    }

    /// Reads what a node wrote into the store, where anybody may have written since.
    pub fn stored(text: &str) -> Option<Self> {
        let value = serde_json::from_str::<&RawValue>(text).ok()?;
        Self::of(value).ok().filter(|_| is_paired(text.as_bytes()))
    }

    pub fn as_json(&self) -> &str {
        self.0.as_deref().map_or("null", RawValue::get)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(<&RawValue>::deserialize(deserializer)?).map_err(|fault| serde::de::Error::custom(fault.message))
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

impl Serialize for State {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for State {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PresenceState".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Any JSON value, at most 1,024 bytes as JSON text; `null` for none." })
    }
}

/// Leaves out the spaces between the parts of a JSON text; those within strings stay.
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let keep = |character: char| {
        let kept = in_string || !matches!(character, ' ' | '\t' | '\r' | '\n');
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        kept
    };
    let mut keep = keep;
    json.chars().filter(|character| keep(*character)).collect()
}

/// A user in a room.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Member {
    pub user_id: UserId,
    pub status: Status,
    pub state: State,
}

impl Member {
    /// About how many bytes it takes in a message.
    pub fn cost_bytes(&self) -> usize {
        48 + self.user_id.0.len() + self.state.as_json().len()
    }
}

/// What changed in a room, by users. None is named twice.
#[derive(Clone, PartialEq, Debug, Default, Serialize, JsonSchema)]
pub struct Diff {
    pub joined: Vec<Arc<Member>>,
    pub updated: Vec<Arc<Member>>,
    pub left: Vec<UserId>,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.updated.is_empty() && self.left.is_empty()
    }
}

/// Who is in a room, from which diffs go on.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
#[schemars(rename = "PresenceSnapshotData")]
pub struct Snapshot {
    pub room: RoomName,
    /// The next diff of the room on this connection has this number plus 1.
    pub version: u64,
    pub members: Vec<Arc<Member>>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(json: &str) -> Result<State, Fault> {
        State::of(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_state_is_kept_without_the_spaces_between_its_parts() {
        assert_eq!(state("{ \"a\" :\t[1, 2 ],\r\n\"b c\\\" \":\" \\\\\" }").unwrap().as_json(), r#"{"a":[1,2],"b c\" ":" \\"}"#);
        assert_eq!(state(" null ").unwrap(), State::default());
        assert_eq!(serde_json::to_string(&state("null").unwrap()).unwrap(), "null");
    }

    #[test]
    fn a_state_has_a_full_length_and_a_full_depth() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert!(state(&text(STATE_BYTES_MAX)).is_ok());
        assert_eq!(state(&text(STATE_BYTES_MAX + 1)).unwrap_err().code, Code::InvalidMessage);
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(state(&nested(STATE_DEPTH_MAX)).is_ok());
        assert!(state(&nested(STATE_DEPTH_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn leaving_out_spaces_changes_no_value(text in "[\\[\\]{}\",:\\\\ \n0-9a-e]{0,24}") {
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&compact(&text)).unwrap(), value);
            }
        }

        #[test]
        fn whatever_stands_in_the_store_is_judged(text in ".{0,64}") {
            if let Some(state) = State::stored(&text) {
                prop_assert!(!state.as_json().contains('\n'));
                prop_assert!(serde_json::from_str::<serde_json::Value>(state.as_json()).is_ok());
            }
        }
    }
}
