//! Event names and which of them a deployment accepts.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::code::{Code, Fault};

/// Longest event name, in bytes.
pub const EVENT_BYTES_MAX: usize = 128;

/// What a publication is about, e.g. `kpi:update`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventName(Arc<str>);

impl EventName {
    /// Checks form only; [`EventRules`] decides whether the deployment knows it.
    ///
    /// # Errors
    /// `INVALID_MESSAGE` when it is empty, longer than 128 bytes, or has other characters than `[A-Za-z0-9_.:-]`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
        if text.is_empty() || text.len() > EVENT_BYTES_MAX || !text.bytes().all(legal) {
            return Err(Fault::new(
                Code::InvalidMessage,
                "an event name is 1 to 128 characters of letters, digits and _ . : -, as in kpi:update",
            ));
        }
        Ok(Self(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventName({})", self.0)
    }
}

impl Serialize for EventName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The events that every deployment knows; configuration adds to them.
pub const BUILT_IN: [&str; 17] = [
    "kpi:update",
    "kpi:computed",
    "kpi:alert",
    "backlog:update",
    "backlog:snapshot",
    "backlog:alert",
    "attendance:update",
    "attendance:checkin",
    "attendance:checkout",
    "attendance:alert",
    "alert:triggered",
    "alert:acknowledged",
    "alert:resolved",
    "alert:escalated",
    "system:notification",
    "system:broadcast",
    "system:maintenance",
];

/// Events that tell the changes of collections begin with this. They come of writes alone, so that nobody makes a version up.
pub const OF_COLLECTIONS: &str = "sync:";

/// Which events may be published: the built-in ones and the configured ones, where a trailing `*` stands for any rest.
#[derive(Clone, Debug)]
pub struct EventRules {
    exact: Vec<Box<str>>,
    prefixes: Vec<Box<str>>,
}

impl EventRules {
    pub fn new<S: AsRef<str>>(configured: impl IntoIterator<Item = S>) -> Self {
        let mut rules = Self { exact: BUILT_IN.map(Box::from).to_vec(), prefixes: Vec::new() };
        for event in configured {
            match event.as_ref().strip_suffix('*') {
                Some(prefix) => rules.prefixes.push(prefix.into()),
                None => rules.exact.push(event.as_ref().into()),
            }
        }
        rules.exact.sort_unstable();
        rules
    }

    /// # Errors
    /// `INVALID_MESSAGE` when the name is malformed or not among the allowed ones, `UNAUTHORIZED` for those of collections.
    pub fn event(&self, text: &str) -> Result<EventName, Fault> {
        let event = EventName::parse(text)?;
        if text.starts_with(OF_COLLECTIONS) {
            return Err(Fault::new(Code::Unauthorized, format!("{text} is not published: write to the collection by sync:write")));
        }
        let known = self.exact.binary_search_by(|known| known.as_ref().cmp(text)).is_ok();
        if known || self.prefixes.iter().any(|prefix| text.starts_with(prefix.as_ref())) {
            return Ok(event);
        }
        Err(Fault::new(
            Code::InvalidMessage,
            format!("{text:?} is no known event; the configuration lists further ones under rooms.events"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_and_configured_events_pass_and_others_do_not() {
        let rules = EventRules::new(["order:*", "ping.me"]);
        for good in ["kpi:update", "order:", "order:new", "ping.me"] {
            assert!(rules.event(good).is_ok(), "{good}");
        }
        for bad in ["", "kpi:delete", "order", "kpi:update ", "a\nb", "client:ping"] {
            assert_eq!(rules.event(bad).unwrap_err().code, Code::InvalidMessage, "{bad:?}");
        }
        let everything = EventRules::new(["*"]);
        assert_eq!(everything.event("sync:insert").unwrap_err().code, Code::Unauthorized);
    }
}
