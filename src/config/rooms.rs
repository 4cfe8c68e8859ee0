//! Which rooms and events a deployment has; makes the syntax that all rooms, patterns and events are read with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::room::SYSTEM_CHANNELS;
use crate::protocol::{EventName, EventRules, OrgId, RoomSyntax};

/// Stands for every channel in a subscription, so no channel can have the name.
const EVERY_CHANNEL: &str = "all";

/// Settings of the section `rooms`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The channels, which are the first segments of rooms.
    pub channels: Vec<String>,
    /// Most segments of a room, channel and org included; from 4 to 8.
    pub segments_max: usize,
    /// Events that may be published besides the built-in ones; a final `*` stands for any rest.
    pub events: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let channels = [
            "kpi",
            "backlog",
            "attendance",
            "alerts",
            "notifications",
            "activity",
            "customer",
            "campaign",
            "ai",
            "system",
            "telemetry",
            "chat",
            "presence",
            "sync",
        ];
        Self { channels: channels.map(String::from).to_vec(), segments_max: 4, events: Vec::new() }
    }
}

impl Config {
    pub fn syntax(&self) -> RoomSyntax {
        RoomSyntax::new(self.segments_max, &self.channels)
    }

    /// The rules of the listed events and of those that the enabled dialects bring.
    pub fn event_rules(&self, brought: impl IntoIterator<Item = &'static str>) -> EventRules {
        let listed = self.events.iter().map(String::as_str);
        EventRules::new(listed.chain(brought.into_iter().map(|event| -> &str { event })))
    }
}

/// Whether the text can name a channel.
pub(super) fn is_channel(text: &str) -> bool {
    // A channel is a segment like an org, with the system's own words taken.
    OrgId::parse(text).is_ok() && text != EVERY_CHANNEL && !SYSTEM_CHANNELS.contains(&text)
}

/// Whether the text can stand in the list of events.
pub(super) fn is_event(text: &str) -> bool {
    match text.strip_suffix('*') {
        Some("") => true,
        Some(prefix) => EventName::parse(prefix).is_ok(),
        None => EventName::parse(text).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_the_rooms_and_events_of_the_specification() {
        let config = Config::default();
        assert!(config.syntax().room("kpi:acme:sales:support").is_ok());
        assert!(config.syntax().room("nope:acme").is_err());
        assert!(config.event_rules([]).event("kpi:update").is_ok());
        assert!(config.event_rules([]).event("order:new").is_err());
    }

    #[test]
    fn reserved_and_malformed_names_are_told_apart_from_good_ones() {
        assert!(is_channel("orders") && is_event("order:*") && is_event("*") && is_event("a.b"));
        for bad in ["", "org", "user", "all", "dept", "a:b", "*"] {
            assert!(!is_channel(bad), "{bad}");
        }
        assert!(!is_event("") && !is_event("a b") && !is_event("a*b"));
    }
}
