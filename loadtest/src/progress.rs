//! What a scenario tells while it runs, and what it is told: a line on a terminal, lines in a log, or a coordinator that leads several
//! agents. Scenarios call [`Progress::tell`] once in each turn of their loop; it looks at the clock and does nothing more until something is
//! due, so that nothing is spent per delivery.

mod line;
mod status;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

pub use status::Status;

use crate::agent::Lead;
use line::Line;

/// How often a terminal is drawn anew, a coordinator told, and a line written to a log.
const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const LEAD_EVERY: Duration = Duration::from_millis(250);
const LOG_EVERY: Duration = Duration::from_secs(5);
/// Into how many steps the bar divides the run.
const STEPS: u64 = 1_000;

/// The run is to end now: its coordinator is gone, or another agent failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run was stopped: {0}")]
pub struct Stopped(pub String);

/// Between a scenario and whoever watches or leads it.
pub struct Progress {
    watcher: Watcher,
    line: Line,
    every: Duration,
    next: Instant,
}

enum Watcher {
    Nobody,
    Terminal(ProgressBar),
    Log(Box<dyn Write + Send>),
    Coordinator(Arc<Lead>),
}

impl Progress {
    /// To standard error: one line that changes on a terminal, one every few seconds otherwise, none if `quiet`.
    pub fn new(quiet: bool) -> Self {
        match (quiet, io::stderr().is_terminal()) {
            (true, _) => Self::to(Watcher::Nobody, LOG_EVERY),
            (false, true) => {
                let bar = ProgressBar::new(STEPS);
                if let Ok(style) = ProgressStyle::with_template("{bar:24.cyan} {msg}") {
                    bar.set_style(style);
                }
                Self::to(Watcher::Terminal(bar), TERMINAL_EVERY)
            }
            (false, false) => Self::to(Watcher::Log(Box::new(io::stderr())), LOG_EVERY),
        }
    }

    /// To the coordinator that leads this agent.
    pub(crate) fn led(lead: Arc<Lead>) -> Self {
        Self::to(Watcher::Coordinator(lead), LEAD_EVERY)
    }

    fn to(watcher: Watcher, every: Duration) -> Self {
        let now = Instant::now();
        Self { watcher, line: Line::new(now), every, next: now + every }
    }

    /// To be called in every turn of the scenario's loop, at least once a second. `status` is asked for only when something is due, a few
    /// times a second at most; it may walk through histograms.
    ///
    /// # Errors
    /// [`Stopped`] when the run must end: return it.
    pub fn tell(&mut self, status: impl FnOnce() -> Status) -> Result<(), Stopped> {
        self.tell_at(Instant::now(), status)
    }

    fn tell_at(&mut self, now: Instant, status: impl FnOnce() -> Status) -> Result<(), Stopped> {
        if now < self.next {
            return Ok(());
        }
        self.next = now + self.every;
        match &mut self.watcher {
            Watcher::Nobody => {}
            Watcher::Terminal(bar) => {
                let status = status();
                bar.set_position((status.share.clamp(0.0, 1.0) * STEPS as f64) as u64);
                bar.set_message(self.line.text(now, &status));
            }
            // A log that cannot be written is no reason to end the run.
            Watcher::Log(log) => drop(writeln!(log, "{}", self.line.text(now, &status()))),
            Watcher::Coordinator(lead) => {
                lead.check()?;
                lead.tell(status());
            }
        }
        Ok(())
    }

    /// Whether a coordinator leads this process.
    pub fn is_led(&self) -> bool {
        matches!(self.watcher, Watcher::Coordinator(_))
    }

    /// Says that all subscribers are connected, and whether everybody else's are too, so that publishing may begin. To be asked again
    /// between turns until it is `true` (connected sockets must be read meanwhile); alone, it is so at once.
    ///
    /// # Errors
    /// [`Stopped`] when the run must end.
    pub fn ready(&self) -> Result<bool, Stopped> {
        match &self.watcher {
            Watcher::Coordinator(lead) => lead.ready(),
            _ => Ok(true),
        }
    }

    /// Says how many publications there were, when the last one has been sent; the other agents learn it by
    /// [`published_elsewhere`](Self::published_elsewhere).
    pub fn published(&self, count: u64) {
        if let Watcher::Coordinator(lead) = &self.watcher {
            lead.published(count);
        }
    }

    /// How many publications the publishing agent has sent, once it has sent all: then, and not before, what is missing at the end is lost.
    pub fn published_elsewhere(&self) -> Option<u64> {
        match &self.watcher {
            Watcher::Coordinator(lead) => lead.published_elsewhere(),
            _ => None,
        }
    }

    /// What to add to this machine's Unix time, in microseconds, to have the time that all agents of the run share. Publications must
    /// be marked with the shared time and latencies taken by it: each machine's own clock is off by milliseconds.
    pub fn clock_offset_us(&self) -> i64 {
        match &self.watcher {
            Watcher::Coordinator(lead) => lead.clock_offset_us(),
            _ => 0,
        }
    }
}

impl Drop for Progress {
    /// Clears the line, so that the table has the terminal for itself.
    fn drop(&mut self) {
        if let Watcher::Terminal(bar) = &self.watcher {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_status_is_asked_for_only_when_a_line_is_due() {
        let (log, asked) = (Log::default(), Cell::new(0));
        let mut progress = Progress::to(Watcher::Log(Box::new(log.clone())), LOG_EVERY);
        let begun = progress.next - LOG_EVERY;
        for ms in 0..20_000 {
            let status = || {
                asked.set(asked.get() + 1);
                Status { connections: 1_000, ..Status::default() }
            };
            progress.tell_at(begun + Duration::from_millis(ms), status).unwrap();
        }
        assert_eq!(asked.get(), 3);
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.contains("1,000 connections")), "{text}");
    }

    #[test]
    fn alone_everybody_is_ready_and_nobody_publishes_elsewhere() {
        let progress = Progress::new(true);
        assert_eq!((progress.ready(), progress.published_elsewhere(), progress.clock_offset_us()), (Ok(true), None, 0));
    }
}
