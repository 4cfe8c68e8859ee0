//! The line that people read while a run goes on. Pure: the time is a parameter.

use std::time::{Duration, Instant};

use super::Status;
use crate::report::number::{amount, count, ms};

/// A phase must be so far before the time that is left can be guessed from it.
const GUESS_FROM: f64 = 0.03;

/// What the last line said, for rates and for guesses.
pub(super) struct Line {
    phase: String,
    phase_since: Instant,
    told_at: Instant,
    told_deliveries: u64,
}

impl Line {
    pub fn new(now: Instant) -> Self {
        Self { phase: String::new(), phase_since: now, told_at: now, told_deliveries: 0 }
    }

    /// The line for `status`; rates are those since the line before.
    pub fn text(&mut self, now: Instant, status: &Status) -> String {
        if status.phase != self.phase {
            self.phase.clone_from(&status.phase);
            self.phase_since = now;
        }
        let since = now.saturating_duration_since(self.told_at).as_secs_f64();
        let rate = status.deliveries.saturating_sub(self.told_deliveries) as f64 / since.max(0.001);
        (self.told_at, self.told_deliveries) = (now, status.deliveries);
        let mut parts = vec![format!("{}, {} connections", status.phase, count(status.connections))];
        if status.deliveries > 0 {
            parts.push(format!("{} deliveries, {}/s", count(status.deliveries), amount(rate.round())));
        }
        if status.p99_us > 0 {
            parts.push(format!("p99 {} ms", ms(status.p99_us)));
        }
        if let Some(left) = self.left(now, status.share) {
            parts.push(format!("{} s left", left.as_secs_f64().ceil()));
        }
        parts.join(", ").trim_start_matches(", ").to_owned()
    }

    /// As long as it took so far, in proportion.
    fn left(&self, now: Instant, share: f64) -> Option<Duration> {
        let spent = now.saturating_duration_since(self.phase_since).as_secs_f64();
        let can_be_guessed = (GUESS_FROM..=1.0).contains(&share) && spent > 0.0;
        can_be_guessed.then(|| Duration::from_secs_f64(spent * (1.0 - share) / share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let begun = Instant::now();
        let mut line = Line::new(begun);
        let status = |deliveries, share| Status { phase: "measuring".to_owned(), connections: 1_000, deliveries, p99_us: 2_500, share };
        assert_eq!(line.text(begun, &status(0, 0.0)), "measuring, 1,000 connections, p99 2.50 ms");
        let text = line.text(begun + Duration::from_secs(5), &status(10_000, 0.25));
        assert_eq!(text, "measuring, 1,000 connections, 10,000 deliveries, 2,000/s, p99 2.50 ms, 15 s left");
    }

    #[test]
    fn a_new_phase_begins_its_own_guess() {
        let begun = Instant::now();
        let mut line = Line::new(begun);
        let status = |phase: &str, share| Status { phase: phase.to_owned(), share, ..Status::default() };
        let _ = line.text(begun, &status("connecting", 0.5));
        let _ = line.text(begun + Duration::from_secs(60), &status("measuring", 0.0));
        assert!(line.text(begun + Duration::from_secs(62), &status("measuring", 0.5)).ends_with("2 s left"));
    }
}
