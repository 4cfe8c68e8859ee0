//! How `tail` shows messages: a line each, coloured on a terminal, or JSON as it came.

use std::io::{ErrorKind, Write};

use serde_json::Value;

use crate::cli::connection::Message;

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const CYAN: &str = "\x1b[36m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[1;31m";

pub(super) struct View {
    json: bool,
    colours: bool,
}

impl View {
    pub fn new(json: bool, colours: bool) -> Self {
        Self { json, colours }
    }

    /// Shows one message; `false` when nobody reads any more.
    pub fn show(&mut self, message: &Message) -> std::io::Result<bool> {
        let line = if self.json { Some(message.text.clone()) } else { self.line(message) };
        match line.map_or(Ok(()), |line| writeln!(std::io::stdout().lock(), "{line}")) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    /// Says something about the connection, apart from what was received.
    pub fn note(&self, text: &str) -> std::io::Result<()> {
        writeln!(std::io::stderr().lock(), "{}", self.paint(DIM, text))
    }

    fn line(&self, message: &Message) -> Option<String> {
        if message.is_publication() {
            return Some(self.publication(message));
        }
        let data: Value = message.data.as_deref().and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default();
        let text = |name: &str| plain(data[name].as_str().unwrap_or("?"));
        match message.event.as_str() {
            "gap" => Some(self.paint(RED, &format!("GAP ({}) after {} up to {}", text("reason"), text("from"), text("to")))),
            "error" => Some(self.paint(RED, &format!("{}: {}", text("code"), text("message")))),
            "unsubscribed" => Some(self.paint(RED, &format!("unsubscribed: {}", text("message")))),
            "authenticated" => {
                let rooms: Vec<_> = data["rooms"].as_array().into_iter().flatten().filter_map(Value::as_str).map(plain).collect();
                Some(self.paint(DIM, &format!("connected as {} of {}: {}", text("user_id"), text("organization_id"), rooms.join(" "))))
            }
            _ => None,
        }
    }

    fn publication(&self, message: &Message) -> String {
        let time = message.ts.as_deref().and_then(|ts| ts.get(11..23)).map(plain).unwrap_or_default();
        let room = plain(message.room.as_deref().unwrap_or_default());
        let event = plain(&message.event);
        let data = plain(message.data.as_deref().map_or("", |data| data.get()));
        let priority = match message.priority.as_deref() {
            Some(priority @ ("high" | "urgent")) => format!(" {}", self.paint(RED, priority)),
            _ => String::new(),
        };
        let replayed = if message.replayed { self.paint(DIM, " replayed") } else { String::new() };
        format!("{} {} {}{priority}{replayed} {data}", self.paint(DIM, &time), self.paint(CYAN, &room), self.paint(YELLOW, &event))
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

/// Without control characters, with which a publisher could steer the reader's terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str, colours: bool) -> Option<String> {
        let mut message: Message = serde_json::from_str(json).unwrap();
        message.text = json.to_owned();
        View::new(false, colours).line(&message)
    }

    #[test]
    fn a_publication_is_one_line_and_cannot_steer_the_terminal() {
        let json =
            r#"{"event":"kpi:update","room":"kpi:acme","id":"1-2-3","ts":"2026-01-02T03:04:05.678Z","data":{"n":1},"priority":"high"}"#;
        assert_eq!(line(json, false).unwrap(), "03:04:05.678 kpi:acme kpi:update high {\"n\":1}");
        assert!(line(json, true).unwrap().contains(CYAN));
        let raw = "{\"event\":\"e\",\"room\":\"kpi:acme\",\"data\":\"\u{9b}31m\"}";
        assert!(!line(raw, false).unwrap().contains('\u{9b}'));
    }

    #[test]
    fn gaps_stand_out_and_positions_stay_quiet() {
        let gap = line(r#"{"event":"gap","data":{"from":"a","to":"b","reason":"trimmed"}}"#, false).unwrap();
        assert_eq!(gap, "GAP (trimmed) after a up to b");
        assert_eq!(line(r#"{"event":"position","data":{"position":"a"}}"#, false), None);
    }
}
