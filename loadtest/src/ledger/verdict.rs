//! The ledger's figures.

use std::fmt;

/// What a run came to. The first six must be 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Verdict {
    /// Acknowledged, entitled, neither received nor inside a gap.
    pub silent: u64,
    /// Delivered before what stands earlier in the log.
    pub reorder: u64,
    /// Delivered into another org.
    pub cross: u64,
    /// Delivered twice in spite of the client's dedupe.
    pub dup: u64,
    /// Sent twice on one connection.
    pub twice: u64,
    /// Received, but never published by anyone who keeps books.
    pub stray: u64,
    /// Received twice by a client, before its dedupe.
    pub wire_dup: u64,
    pub gaps: u64,
    pub publishes: u64,
    pub acked: u64,
    pub refused: u64,
    pub unknown: u64,
    pub clients: u64,
    pub receipts: u64,
}

impl Verdict {
    /// Nothing lost silently, nothing out of order, nothing in the wrong org, nothing delivered or sent twice, nothing out of thin air.
    pub fn is_clean(&self) -> bool {
        self.silent + self.reorder + self.cross + self.dup + self.twice + self.stray == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} publications ({} acked, {} refused, {} unknown), {} clients, {} receipts",
            self.publishes, self.acked, self.refused, self.unknown, self.clients, self.receipts
        )?;
        write!(
            f,
            "silent {}, reorder {}, cross {}, dup {}, twice {}, stray {}; wire-dup {}, gaps {}",
            self.silent, self.reorder, self.cross, self.dup, self.twice, self.stray, self.wire_dup, self.gaps
        )
    }
}
