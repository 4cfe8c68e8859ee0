//! What the ledger counted. Pure.

use serde::{Deserialize, Serialize};

/// What the ledger counted over all receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub published: u64,
    pub received: u64,
    /// Never came, and inside no gap.
    pub lost: u64,
    /// Came a second time, or after a later one.
    pub behind: u64,
    /// Of a room or an org that the subscriber had not asked for.
    pub misrouted: u64,
    /// Losses that were admitted.
    pub gaps: u64,
    /// Connections that ended though the scenario did not end them.
    pub closed: u64,
    /// Publications that were refused.
    pub refused: u64,
}

impl Counts {
    pub fn is_clean(&self) -> bool {
        self.lost + self.behind + self.misrouted + self.gaps + self.closed + self.refused == 0
    }

    /// All counts under the names of their fields.
    pub fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("published", self.published),
            ("received", self.received),
            ("lost", self.lost),
            ("behind", self.behind),
            ("misrouted", self.misrouted),
            ("gaps", self.gaps),
            ("closed", self.closed),
            ("refused", self.refused),
        ]
    }

    /// What must not be, with its number, in words that go behind it.
    pub fn faults(&self) -> [(&'static str, u64); 6] {
        [
            ("lost", self.lost),
            ("repeated or out of order", self.behind),
            ("misrouted", self.misrouted),
            ("told as gaps", self.gaps),
            ("connections ended", self.closed),
            ("refused", self.refused),
        ]
    }

    pub fn add(&mut self, other: &Self) {
        self.published += other.published;
        self.received += other.received;
        self.lost += other.lost;
        self.behind += other.behind;
        self.misrouted += other.misrouted;
        self.gaps += other.gaps;
        self.closed += other.closed;
        self.refused += other.refused;
    }
}
