//! The org, rooms and messages that the benchmarks work on.

use bytes::Bytes;
use roomcast::protocol::{EventName, NewPublication, OrgId, Pattern, Position, Publication, RoomName, RoomSyntax};

/// 2026-01-01, in microseconds.
pub const TIME_US: u64 = 1_767_225_600_000_000;

pub fn syntax() -> RoomSyntax {
    RoomSyntax::new(4, ["kpi", "backlog", "attendance", "alerts", "chat"])
}

pub fn org() -> OrgId {
    OrgId::parse("acme").expect("a legal org")
}

pub fn room(text: &str) -> RoomName {
    syntax().room(text).expect("a legal room")
}

pub fn pattern(text: &str) -> Pattern {
    syntax().pattern(text).expect("a legal pattern")
}

/// A JSON object of exactly `bytes` bytes (40 at least), of rows such as dashboards get.
pub fn data(bytes: usize) -> String {
    const ROW: &str = r#"{"agent":"a.smith","calls":12,"busy":0.75},"#;
    let mut text = r#"{"rows":["#.to_owned();
    while text.len() + ROW.len() + r#"{"note":""}]}"#.len() <= bytes {
        text.push_str(ROW);
    }
    let note = bytes - text.len() - r#"{"note":""}]}"#.len();
    text.push_str(&format!(r#"{{"note":"{}"}}]}}"#, "x".repeat(note)));
    text
}

pub fn new_publication(into: &str, data_bytes: usize) -> NewPublication {
    let event = EventName::parse("kpi:update").expect("a legal event");
    NewPublication::new(room(into), event, Bytes::from(data(data_bytes)))
}

/// As it is read back from its place in the log.
pub fn publication(into: &str, data_bytes: usize) -> Publication {
    let position = Position { epoch: TIME_US / 1_000, seq: 4_711, check: TIME_US };
    new_publication(into, data_bytes).placed(Some(position), TIME_US)
}
