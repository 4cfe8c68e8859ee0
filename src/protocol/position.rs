//! A place in an org's log, as one string that is opaque to clients.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, BytesMut};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names one entry of one log: the log (`epoch`), the dense sequence number, and a check value of that very entry.
///
/// Two logs can hold different entries under one number (a promoted replica writes on where it lagged), so a number alone
/// proves nothing; the check value does. Epochs are compared for equality only, because clocks jump.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// Names the log: Unix milliseconds when it was begun.
    pub epoch: u64,
    /// Dense within the epoch, from 0.
    pub seq: u64,
    /// The entry's time of appending, Unix microseconds.
    pub check: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.epoch, self.seq, self.check)
    }
}

impl Position {
    /// Writes the same text as `Display`, faster: it stands in every frame.
    pub(in crate::protocol) fn write(&self, out: &mut BytesMut) {
        for (index, number) in [self.epoch, self.seq, self.check].into_iter().enumerate() {
            if index > 0 {
                out.put_u8(b'-');
            }
            let mut text = [0; 16];
            let start = hex(number, &mut text);
            out.put_slice(&text[start..]);
        }
    }
}

/// Writes lower-case hex without leading zeros to the end of `text`, and tells where it begins.
fn hex(mut number: u64, text: &mut [u8; 16]) -> usize {
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
        if number == 0 {
            return start;
        }
    }
}

/// The text is no position.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("this is no position: send back a string that the server gave as id or position, unchanged")]
pub struct NotAPosition;

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let mut parts = text.split('-').map(|part| {
            // `from_str_radix` would accept a sign.
            let plain = part.len() <= 16 && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if plain { u64::from_str_radix(part, 16).map_err(|_| NotAPosition) } else { Err(NotAPosition) }
        });
        let mut next = || parts.next().unwrap_or(Err(NotAPosition));
        let position = Self { epoch: next()?, seq: next()?, check: next()? };
        if parts.next().is_some() { Err(NotAPosition) } else { Ok(position) }
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Clients are told of no form, because they have nothing to do with it.
impl JsonSchema for Position {
    fn schema_name() -> Cow<'static, str> {
        "Position".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Names a place in an org's log. Opaque: keep it, hand it back, compare it for equality only.",
            "type": "string",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_back(epoch: u64, seq: u64, check: u64) {
            let position = Position { epoch, seq, check };
            prop_assert_eq!(position.to_string().parse(), Ok(position));
            let (mut written, text) = (BytesMut::new(), position.to_string());
            position.write(&mut written);
            prop_assert_eq!(&written[..], text.as_bytes());
        }

        #[test]
        fn any_text_is_judged_without_panic(text in ".{0,64}") {
            let _ = text.parse::<Position>();
        }
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for bad in ["", "1", "1-2", "1-2-3-4", "+1-2-3", "1-2-", "x-1-2", "11111111111111111-1-1", "A-1-1"] {
            assert_eq!(bad.parse::<Position>(), Err(NotAPosition), "{bad:?}");
        }
    }
}
