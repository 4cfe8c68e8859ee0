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
        Self::of_bytes(text.as_bytes()).ok_or(NotAPosition)
    }
}

/// The hexadecimal number up to the next dash, or to the end, and what follows that.
fn part(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| **byte != b'-').count();
    let value = bytes[..digits].iter().try_fold(0_u64, |value, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        // The four bits that go out at the top must be empty.
        (value >> 60 == 0).then_some(value << 4 | u64::from(digit))
    })?;
    (digits > 0).then(|| (value, bytes.get(digits + 1..).unwrap_or_default()))
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.epoch, self.seq, self.check)
    }
}

impl Position {
    /// From the bytes of its text, for those who look at millions a second.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = part(bytes)?;
        let (seq, rest) = part(rest)?;
        let (check, rest) = part(rest)?;
        (rest.is_empty() && !bytes.ends_with(b"-")).then_some(Self { epoch, seq, check })
    }

    /// Whether `next` may be delivered after this one. A lower number is in order only when it is the newer entry, because then
    /// another history took the place of the old one.
    pub fn precedes(self, next: Self) -> bool {
        self.epoch == next.epoch && (next.seq > self.seq || next.check > self.check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_three_numbers_and_nothing_else() {
        let position = Position { epoch: 0x1a, seq: 0, check: u64::MAX };
        assert_eq!(position.to_string().parse(), Ok(position));
        for text in ["", "1-2", "1-2-", "1-2-3-", "1-2-3-4", "1--3", "x-2-3", "1-2-10000000000000000", "+1-2-3"] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
    }
}
