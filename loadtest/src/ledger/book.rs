//! From a client's journal to the ledger. Pure: the journal has the times.

use std::time::Instant;

use serde_json::Value;

use super::{ClientId, Gap, Ledger, Receipt, Turn};
use crate::journal::{Event, Message, What};
use crate::position::Position;

impl Ledger {
    /// Opens an account and books all that the client received; see [`Ledger::book_events`].
    pub fn book<S: Into<String>>(&mut self, org: &str, rooms: impl IntoIterator<Item = S>, events: &[Event], zero: Instant) -> ClientId {
        let client = self.client(org, rooms);
        self.book_events(client, events, zero);
        client
    }

    /// Books what a client received; publications are known by the field `mark` of their data. Times count from `zero`. Events that
    /// come later can be booked later.
    pub fn book_events(&mut self, client: ClientId, events: &[Event], zero: Instant) {
        for Event { at, connection, what } in events {
            let What::Message { message, fresh } = what else { continue };
            if let Some(room) = &message.room {
                let mark = message.data["mark"].as_str().unwrap_or_default();
                let position = message.publication_id().and_then(|id| id.parse().ok());
                let at_us = u64::try_from(at.saturating_duration_since(zero).as_micros()).unwrap_or(u64::MAX);
                self.received(client, Receipt { mark, room, position, fresh: *fresh, connection: *connection, at_us, turn: turn(message) });
            } else if let Some(gap) = gap(message) {
                self.gap(client, gap);
            } else if let Some(stretch) = stretch(message, "conflated") {
                let left_out = message.data["left_out"].as_u64().unwrap_or_default();
                self.conflated(client, stretch, usize::try_from(left_out).unwrap_or(usize::MAX));
            }
        }
    }
}

fn turn(message: &Message) -> Turn {
    match message {
        Message { redelivered: 1.., .. } => Turn::Redelivered,
        Message { overtook: true, .. } => Turn::Overtook,
        _ => Turn::InTurn,
    }
}

fn gap(message: &Message) -> Option<Gap> {
    stretch(message, "gap")
}

/// What a push with this event says of a part of the log.
fn stretch(message: &Message, event: &str) -> Option<Gap> {
    let place = |value: &Value| value.as_str().and_then(|text| text.parse::<Position>().ok());
    let to = place(&message.data["to"]).filter(|_| message.event == event)?;
    Some(Gap { from: place(&message.data["from"]), to, replaced: message.data["reason"] == "fork" })
}
