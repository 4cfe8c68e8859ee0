//! What a client lived through while nodes went and came, read from its journal. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::journal::{Event, Loss, What};

/// A session that ended, and the client in again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Away {
    pub ended: Instant,
    pub took: Duration,
    /// How long it was asked to stay away.
    pub asked: Duration,
    /// It ended without a close frame.
    pub torn: bool,
}

/// An attempt that came to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub at: Instant,
    pub cause: Cause,
}

/// Why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// No WebSocket came about.
    NotMade(Loss),
    /// There was one, and it was lost before the session began.
    Lost(Loss),
    /// It was closed before the session began, with this code and, in words, why.
    Closed(u16, String),
}

/// All of it, in order.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Moves {
    pub aways: Vec<Away>,
    pub failures: Vec<Failure>,
    /// When the session ended that the client has not yet followed by another.
    pub out_since: Option<Instant>,
}

impl Moves {
    pub fn of(events: &[Event]) -> Self {
        let mut moves = Self::default();
        let (mut is_open, mut is_in, mut end) = (false, false, None);
        for Event { at, what, .. } in events {
            let (asked, torn) = match what {
                What::Opened(_) => {
                    is_open = true;
                    continue;
                }
                What::Message { message, .. } if message.event == "authenticated" && !is_in => {
                    is_in = true;
                    if let Some((ended, asked, torn)) = end.take() {
                        moves.aways.push(Away { ended, took: *at - ended, asked, torn });
                    }
                    continue;
                }
                What::Message { .. } | What::Ping | What::Ended => continue,
                What::Closed { reason, .. } => (asked_to_wait(reason), false),
                What::Lost(_) => (Duration::ZERO, true),
            };
            if is_in {
                end = Some((*at, asked, torn));
            } else {
                let cause = match what {
                    What::Closed { code, reason } => Cause::Closed(*code, reason.clone()),
                    What::Lost(loss) if is_open => Cause::Lost(loss.clone()),
                    What::Lost(loss) => Cause::NotMade(loss.clone()),
                    _ => continue,
                };
                moves.failures.push(Failure { at: *at, cause });
            }
            (is_open, is_in) = (false, false);
        }
        moves.out_since = end.map(|(ended, ..)| ended);
        moves
    }
}

fn asked_to_wait(reason: &str) -> Duration {
    let reason: Value = serde_json::from_str(reason).unwrap_or_default();
    Duration::from_millis(reason["retry_after_ms"].as_u64().unwrap_or_default())
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotMade(loss @ Loss::Answered { asked_to_wait: true, .. }) => write!(f, "{loss}, by a node that takes no more for now"),
            Self::NotMade(loss @ Loss::Answered { status: 502..=504, .. }) => write!(f, "{loss}, by the balancer"),
            Self::NotMade(loss @ Loss::Answered { .. }) => write!(f, "{loss}, by a node"),
            Self::NotMade(loss) => write!(f, "{loss} while connecting"),
            Self::Lost(loss) => write!(f, "{loss} before the session began"),
            Self::Closed(code, _) => write!(f, "closed with {code} before the session began"),
        }
    }
}

/// Causes in words, each with how often it was there, the most frequent first.
pub fn told<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    failures.into_iter().for_each(|failure| *counts.entry(failure.cause.to_string()).or_default() += 1);
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words: Vec<String> = counts.iter().map(|(cause, count)| format!("{count} × {cause}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Message;

    fn events(whats: Vec<What>) -> Vec<Event> {
        let begun = Instant::now();
        let event = |(number, what)| Event { at: begun + Duration::from_secs(number), connection: 0, what };
        (0..).zip(whats).map(event).collect()
    }

    fn opened() -> What {
        What::Opened(([127, 0, 0, 1], 1).into())
    }

    fn authenticated() -> What {
        let message: Message = serde_json::from_str(r#"{"event":"authenticated"}"#).unwrap();
        What::Message { message, fresh: true }
    }

    fn closed(code: u16) -> What {
        What::Closed { code, reason: r#"{"retry_after_ms":1500}"#.to_owned() }
    }

    #[test]
    fn an_absence_lasts_from_the_end_of_a_session_to_the_next_one() {
        let moves = Moves::of(&events(vec![
            opened(),
            authenticated(),
            closed(4000),
            What::Lost(Loss::Refused),
            opened(),
            authenticated(),
            What::Ping,
            What::Lost(Loss::Reset),
        ]));
        let away = moves.aways[0];
        assert_eq!((away.took, away.asked, away.torn), (Duration::from_secs(3), Duration::from_millis(1_500), false));
        assert_eq!(moves.failures.len(), 1);
        assert!(moves.out_since.is_some(), "nobody was seen to come back from the second loss");
    }

    #[test]
    fn attempts_fail_before_during_and_after_the_handshake() {
        let answered = Loss::Answered { status: 503, asked_to_wait: false };
        let moves = Moves::of(&events(vec![
            What::Lost(answered.clone()),
            opened(),
            What::Lost(Loss::Ended),
            opened(),
            closed(4010),
            What::Lost(answered.clone()),
        ]));
        let causes: Vec<Cause> = moves.failures.iter().map(|failure| failure.cause.clone()).collect();
        assert_eq!(causes[..2], [Cause::NotMade(answered), Cause::Lost(Loss::Ended)]);
        assert!(matches!(causes[2], Cause::Closed(4010, _)));
        assert!(told(&moves.failures).starts_with("2 × HTTP 503, by the balancer, 1 × "), "{}", told(&moves.failures));
        assert_eq!((told(&[]), moves.aways.len(), moves.out_since), ("none".to_owned(), 0, None));
    }
}
