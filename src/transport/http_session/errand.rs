//! ● What one node asks of the node that holds a session, and what becomes of it.
//!
//! The same questions are asked at home; [`super::sessions`] answers them either way. Answers that are long travel in pieces, because
//! notes between nodes are bounded.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::name::{NodeMark, Secret};

/// The longest piece of an answer that travels in one note, in bytes.
pub const PIECE_BYTES_MAX: usize = 256 << 10;

/// What a client asks of its session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// Commands: one JSON object, or an array of them.
    Post { session: Secret, number: Option<u64>, commands: String },
    /// What has come since `cursor`, waiting up to `wait_ms` for it; of the answer, what stands from byte `from` on.
    Poll { session: Secret, cursor: u64, wait_ms: u64, from: usize },
}

/// What became of an [`Errand`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The commands are the session's now, or were already.
    Taken,
    /// There are commands missing before these.
    Early,
    /// The session was busy for so long that nothing is known of the commands.
    Busy,
    /// These are no commands, or too many.
    Malformed,
    /// A piece of the answer to a poll, and whether more follows.
    Piece { text: String, more: bool },
    /// Nothing has come.
    Nothing,
    /// The cursor is none that can be answered.
    Lost,
    /// There is no such session, or no longer.
    Unknown,
}

/// Why an errand came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failed {
    /// There is no such node, or no longer: the session is gone with it.
    NoNode,
    /// Nothing is known of it: the node said nothing in time, or cannot be reached.
    NoAnswer,
}

/// The way of errands to other nodes, which the node provides.
pub type Carry = Box<dyn Fn(NodeMark, Errand) -> Pin<Box<dyn Future<Output = Result<Outcome, Failed>> + Send>> + Send + Sync>;

/// The piece of `answer` from byte `from` on.
pub fn piece(answer: &Bytes, from: usize) -> Outcome {
    let Ok(text) = str::from_utf8(answer) else { return Outcome::Lost };
    let Some(rest) = text.get(from..) else { return Outcome::Lost };
    let length = rest.floor_char_boundary(PIECE_BYTES_MAX);
    Outcome::Piece { text: rest[..length].to_owned(), more: length < rest.len() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_make_the_whole(unit in "\\PC{1,8}", count in 0usize..60_000) {
            let whole = Bytes::from(unit.repeat(count));
            let mut joined = String::new();
            loop {
                let Outcome::Piece { text, more } = piece(&whole, joined.len()) else { panic!("a piece") };
                prop_assert!(text.len() <= PIECE_BYTES_MAX);
                joined += &text;
                if !more {
                    break;
                }
            }
            prop_assert_eq!(joined.as_bytes(), &whole[..]);
        }
    }

    #[test]
    fn a_place_that_is_none_is_told() {
        assert_eq!(piece(&Bytes::from_static("ä".as_bytes()), 1), Outcome::Lost);
        assert_eq!(piece(&Bytes::from_static(b"a"), 2), Outcome::Lost);
    }
}
