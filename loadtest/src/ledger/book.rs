//! From a client's journal to the ledger. Pure: the journal has the times.

use std::time::Instant;

use serde_json::Value;

use super::{ClientId, Gap, Ledger, Receipt};
use crate::journal::{Event, Message, What};
use crate::position::Position;

impl Ledger {
    /// Books all that a client received; publications are known by the field `mark` of their data. Times count from `zero`.
    pub fn book<S: Into<String>>(&mut self, org: &str, rooms: impl IntoIterator<Item = S>, events: &[Event], zero: Instant) -> ClientId {
        let client = self.client(org, rooms);
        for event in events {
            let What::Message { message, fresh } = &event.what else { continue };
            let at_ms = u64::try_from(event.at.saturating_duration_since(zero).as_millis()).unwrap_or(u64::MAX);
            if let Some(room) = &message.room {
                let mark = message.data["mark"].as_str().unwrap_or_default();
                let position = message.publication_id().and_then(|id| id.parse().ok());
                self.received(client, Receipt { mark, room, position, fresh: *fresh, at_ms });
            } else if let Some(gap) = gap(message) {
                self.gap(client, gap);
            }
        }
        client
    }
}

fn gap(message: &Message) -> Option<Gap> {
    let place = |value: &Value| value.as_str().and_then(|text| text.parse::<Position>().ok());
    let to = place(&message.data["to"]).filter(|_| message.event == "gap")?;
    Some(Gap { from: place(&message.data["from"]), to, replaced: message.data["reason"] == "fork" })
}
