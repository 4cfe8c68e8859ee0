//! A look into positions, which are opaque to everybody but a judge: the ledger compares places in a log. Pure.

use std::fmt;
use std::str::FromStr;

/// A place in an org's log: which log, which number, and what tells this entry from another of the same number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    pub epoch: u64,
    pub seq: u64,
    /// The time of appending in microseconds; 0 where only the place is known.
    pub check: u64,
}

/// The text is no position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not three hexadecimal numbers with dashes between")]
pub struct NotAPosition;

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let mut parts = text.split('-').map(|part| u64::from_str_radix(part, 16).map_err(|_| NotAPosition));
        let mut next = || parts.next().unwrap_or(Err(NotAPosition));
        let position = Self { epoch: next()?, seq: next()?, check: next()? };
        if parts.next().is_some() { Err(NotAPosition) } else { Ok(position) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.epoch, self.seq, self.check)
    }
}

impl Position {
    /// Whether `next` may be delivered after this one. A lower number is in order only when it is the newer entry, because then
    /// another history took the place of the old one.
    pub fn precedes(self, next: Self) -> bool {
        self.epoch == next.epoch && (next.seq > self.seq || next.check > self.check)
    }
}
