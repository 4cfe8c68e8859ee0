//! What all members of a swarm have received, how long it took, and what was wrong with it. Pure.

use hdrhistogram::Histogram;

use crate::report::{Counts, Latency};

/// Longest time that is told apart, in microseconds, and how exactly, in digits.
const TIME_MAX_US: u64 = 120_000_000;
const TIME_DIGITS: u8 = 3;
/// How many wrong things are kept to be looked at; the counts have all of them.
const EVIDENCE_MAX: usize = 8;
/// How much of a wrong message is kept, in bytes.
const EVIDENCE_BYTES_MAX: usize = 200;

/// A stretch of time that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Span {
    /// From when a publication was due until a member had read it.
    Delivery,
    /// The part of it up to the log, told once for each publication, and the rest; both by the clocks of this machine.
    ToLog,
    FromLog,
    /// What `Delivery` is for members that are set apart.
    Apart,
    /// From the first packet until the reply to the first command.
    Join,
    /// From the first packet of a return until nothing is missing.
    Whole,
    /// From when a publication was due until its publisher had the acknowledgement.
    Ack,
    /// By how much the tool itself was late: from when a publication was due until it was handed to the socket.
    Late,
}

const SPANS: [(Span, &str); 8] = [
    (Span::Delivery, "publish → socket"),
    (Span::ToLog, "publish → log"),
    (Span::FromLog, "log → socket"),
    (Span::Apart, "publish → socket, set apart"),
    (Span::Join, "connect → reply"),
    (Span::Whole, "reconnect → whole"),
    (Span::Ack, "publish → acknowledgement"),
    (Span::Late, "due → sent, by this tool"),
];

/// Counts, times and evidence.
pub struct Tally {
    pub counts: Counts,
    pub bytes: u64,
    times: [Histogram<u64>; SPANS.len()],
    /// Of `Delivery`, since somebody last took it.
    pub recent: Histogram<u64>,
    /// The first wrong things, in words.
    pub evidence: Vec<String>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, TIME_MAX_US, TIME_DIGITS).expect("the bounds are in order")
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: Counts::default(), bytes: 0, times: std::array::from_fn(|_| histogram()), recent: histogram(), evidence: Vec::new() }
    }
}

impl Tally {
    pub fn record(&mut self, span: Span, us: u64) {
        self.times[span as usize].saturating_record(us.max(1));
    }

    pub fn time(&self, span: Span) -> &Histogram<u64> {
        &self.times[span as usize]
    }

    /// Leaves out a span that means nothing in this run.
    pub fn forget(&mut self, span: Span) {
        self.times[span as usize].reset();
    }

    /// Keeps a wrong thing to be looked at, unless there are enough of them.
    pub fn show(&mut self, what: &str, payload: &[u8]) {
        if self.evidence.len() < EVIDENCE_MAX {
            let shown = String::from_utf8_lossy(&payload[..payload.len().min(EVIDENCE_BYTES_MAX)]);
            self.evidence.push(if shown.is_empty() { what.to_owned() } else { format!("{what}: {shown}") });
        }
    }

    /// Adds what another measurement came to.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.bytes += other.bytes;
        for (mine, others) in self.times.iter_mut().zip(&other.times) {
            // Both have the same bounds.
            let _ = mine.add(others);
        }
        let room = EVIDENCE_MAX.saturating_sub(self.evidence.len());
        self.evidence.extend(other.evidence.iter().take(room).cloned());
    }

    /// The stages that were measured; their names end with `of`.
    pub fn latencies(&self, of: &str) -> Vec<Latency> {
        let measured = SPANS.iter().filter(|(span, _)| !self.time(*span).is_empty());
        measured.map(|(span, title)| Latency::of(&format!("{title}{of}"), self.time(*span))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_span_has_its_place() {
        for (index, (span, _)) in SPANS.iter().enumerate() {
            assert_eq!(*span as usize, index, "{span:?}");
        }
    }

    #[test]
    fn measurements_add_up_and_only_measured_stages_are_told() {
        let (mut all, mut one) = (Tally::default(), Tally::default());
        one.record(Span::Delivery, 40);
        one.counts.received = 1;
        one.show("out of order", b"{}");
        all.add(&one);
        all.add(&one);
        let latencies = all.latencies(", floor");
        assert_eq!((latencies.len(), latencies[0].stage.as_str(), latencies[0].count), (1, "publish → socket, floor", 2));
        assert_eq!((all.counts.received, all.evidence.len()), (2, 2));
    }
}
