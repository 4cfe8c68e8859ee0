//! Which subscriptions a command means: rooms spelled out or put together, each perhaps with a filter.

use std::collections::{HashMap, HashSet};
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{SELECTORS_MAX, address};
use crate::protocol::code::{Code, Fault};
use crate::protocol::filter::Filter;
use crate::protocol::pattern::Pattern;
use crate::protocol::room::{OrgId, RoomSyntax};

/// Most different filters that one command may hold: reading one takes time.
pub const FILTERS_MAX: usize = 64;

/// A subscription as a client names it: another filter on the same pattern makes another one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Wanted {
    pub pattern: Pattern,
    pub filter: Option<Filter>,
}

/// Which rooms are meant: spelled out in `rooms`, or put together from channels, org, department and queue.
#[derive(Debug, Default, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct Selector {
    /// Rooms or patterns, in short or long form, each perhaps with a filter of its own. At most 256 together with `channels`.
    #[serde(default)]
    #[schemars(length(max = SELECTORS_MAX))]
    pub rooms: Vec<Named>,
    /// Channels of the rooms to put together; `all` means every channel.
    #[serde(default)]
    #[schemars(length(max = SELECTORS_MAX))]
    pub channels: Vec<String>,
    /// The session's own org without one.
    #[serde(default)]
    pub organization_id: Option<String>,
    /// One segment of the room.
    #[serde(default)]
    pub department_id: Option<String>,
    /// Without a department it means the queue in every department.
    #[serde(default)]
    pub queue_name: Option<String>,
    /// Only what passes, for all rooms that have no filter of their own. At most 64 different ones fit into one command.
    #[serde(default)]
    #[schemars(with = "Option<Filter>")]
    pub filter: Option<String>,
}

/// A room or pattern, alone or with a filter.
#[derive(Debug, Clone, PartialEq, JsonSchema)]
#[schemars(untagged, rename = "NamedRoom")]
pub enum Named {
    Plain(String),
    Filtered {
        room: String,
        #[schemars(with = "Option<Filter>")]
        filter: Option<String>,
    },
}

impl Named {
    fn room(&self) -> &str {
        match self {
            Self::Plain(room) | Self::Filtered { room, .. } => room,
        }
    }

    fn filter(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Filtered { filter, .. } => filter.as_deref(),
        }
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Filtered {
            room: String,
            #[serde(default)]
            filter: Option<String>,
        }

        struct EitherForm;

        impl<'de> Visitor<'de> for EitherForm {
            type Value = Named;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a room as text, or an object with a room and a filter")
            }

            fn visit_str<E>(self, room: &str) -> Result<Named, E> {
                Ok(Named::Plain(room.to_owned()))
            }

            fn visit_string<E>(self, room: String) -> Result<Named, E> {
                Ok(Named::Plain(room))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Named, A::Error> {
                let Filtered { room, filter } = Filtered::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Named::Filtered { room, filter })
            }
        }

        deserializer.deserialize_any(EitherForm)
    }
}

impl Selector {
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.channels.is_empty()
    }

    /// The subscriptions that are meant, without doubles; `own` stands in where no organization is named.
    ///
    /// # Errors
    /// `INVALID_ROOM` for a malformed room, `INVALID_MESSAGE` for a malformed filter, or when nothing or too much is named.
    pub fn wanted(&self, syntax: &RoomSyntax, own: &OrgId) -> Result<Vec<Wanted>, Fault> {
        if self.is_empty() {
            return Err(Fault::new(Code::InvalidMessage, "name the rooms, or the channels, that you mean"));
        }
        if self.rooms.len() + self.channels.len() > SELECTORS_MAX {
            return Err(Fault::new(Code::InvalidMessage, "at most 256 rooms and channels fit into one command"));
        }
        let mut filters = Filters::default();
        let for_all = filters.read(self.filter.as_deref())?;
        let mut wanted = Vec::with_capacity(self.rooms.len() + self.channels.len());
        for named in &self.rooms {
            let pattern = syntax.pattern_for(own, named.room())?;
            let filter = filters.read(named.filter())?.or_else(|| for_all.clone());
            wanted.push(Wanted { pattern, filter });
        }
        let org = self.organization_id.as_deref().unwrap_or(own.as_str());
        for channel in &self.channels {
            let address = address(channel, org, self.department_id.as_deref(), self.queue_name.as_deref(), "*")?;
            wanted.push(Wanted { pattern: syntax.pattern_for(own, &address)?, filter: for_all.clone() });
        }
        let mut seen = HashSet::new();
        wanted.retain(|wanted| seen.insert(wanted.clone()));
        Ok(wanted)
    }
}

/// The filters of one command, each read once.
#[derive(Default)]
struct Filters<'a>(HashMap<&'a str, Filter>);

impl<'a> Filters<'a> {
    fn read(&mut self, text: Option<&'a str>) -> Result<Option<Filter>, Fault> {
        let Some(text) = text else { return Ok(None) };
        if let Some(known) = self.0.get(text) {
            return Ok(Some(known.clone()));
        }
        if self.0.len() == FILTERS_MAX {
            return Err(Fault::new(Code::InvalidMessage, format!("at most {FILTERS_MAX} different filters fit into one command")));
        }
        let filter = Filter::parse(text)?;
        self.0.insert(text, filter.clone());
        Ok(Some(filter))
    }
}
