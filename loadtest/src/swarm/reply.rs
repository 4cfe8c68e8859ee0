//! What members look for in replies and in the server's last word, without a parser. Pure.

use crate::position::Position;

/// Whether the first command was answered well.
pub(super) fn is_welcome(reply: &[u8]) -> bool {
    reply.starts_with(br#"{"event":"authenticated""#)
}

/// A position in a reply.
pub(super) fn position(payload: &[u8]) -> Option<Position> {
    let at = memchr::memmem::find(payload, br#""position":""#)? + br#""position":""#.len();
    let length = memchr::memchr(b'"', &payload[at..])?;
    std::str::from_utf8(&payload[at..at + length]).ok()?.parse().ok()
}

/// The server's last word.
pub(super) fn close(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            format!("closed with {} {}", u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason))
        }
        _ => "closed without a code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_in_replies() {
        let found = position(br#"{"event":"authenticated","data":{"rooms":[],"position":"1-2-3"}}"#);
        assert_eq!(found.map(|found| found.to_string()), Some("1-2-3".to_owned()));
        assert_eq!(position(br#"{"event":"authenticated","data":{"position":null}}"#), None);
    }

    #[test]
    fn the_last_word_is_readable() {
        assert_eq!(close(&[0x0f, 0xa1, b'{', b'}']), "closed with 4001 {}");
        assert_eq!(close(&[]), "closed without a code");
    }
}
