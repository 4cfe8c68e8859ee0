//! How far a run is. Pure.

use serde::{Deserialize, Serialize};

/// Plain numbers, as of now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// "connecting", "measuring", "floor".
    pub phase: String,
    pub connections: u64,
    /// Receipts since the run began.
    pub deliveries: u64,
    /// Of the latency so far, in microseconds; 0 where none is measured.
    pub p99_us: u64,
    /// What is done of the phase, from 0 to 1; 0 where nobody knows.
    pub share: f64,
}

impl Status {
    /// Several agents as one: the slowest tells the phase and how far it is, the worst p99 stands for all.
    pub(crate) fn together(all: &[Self]) -> Self {
        let slowest = all.iter().min_by(|a, b| a.share.total_cmp(&b.share)).cloned().unwrap_or_default();
        Self {
            connections: all.iter().map(|status| status.connections).sum(),
            deliveries: all.iter().map(|status| status.deliveries).sum(),
            p99_us: all.iter().map(|status| status.p99_us).max().unwrap_or(0),
            ..slowest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_together_are_as_far_as_the_slowest() {
        let status =
            |phase: &str, deliveries, p99_us, share| Status { phase: phase.to_owned(), connections: 10, deliveries, p99_us, share };
        let together = Status::together(&[status("measuring", 5, 70, 0.9), status("connecting", 1, 20, 0.2)]);
        assert_eq!(together, Status { phase: "connecting".to_owned(), connections: 20, deliveries: 6, p99_us: 70, share: 0.2 });
    }
}
