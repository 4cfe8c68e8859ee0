//! Finding frames, publications and numbers in bytes, without a parser: what it takes to check millions of publications a second. Pure.

use memchr::memmem::Finder;

use crate::position::Position;

/// Bit 0x40 of a frame's first byte: the payload is deflated (RFC 7692 section 6).
pub(super) const DEFLATED: u8 = 0x40;
pub(super) const OPCODE: u8 = 0x0f;
/// Opcodes (RFC 6455 section 5.2).
pub(super) const TEXT: u8 = 0x1;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

/// The payload of the first frame and how many bytes it takes up, once it is whole (servers do not mask).
pub(super) fn frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (head, length): (usize, usize) = match (bytes.get(1)? & 0x7f, bytes) {
        (126, [_, _, a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [_, _, a, b, c, d, e, f, g, h, ..]) => {
            (10, usize::try_from(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])).unwrap_or(usize::MAX))
        }
        (short @ 0..=125, _) => (2, usize::from(short)),
        _ => return None,
    };
    let end = head.checked_add(length)?;
    Some((bytes.get(head..end)?, end))
}

/// The whole number that `bytes` begin with, and what follows it.
pub(super) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = bytes[..digits].iter().try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    (digits > 0).then_some((value, &bytes[digits..]))
}

/// What the tool's publishers wrote into a publication's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marks {
    pub strand: u32,
    pub n: u64,
    /// When it was due, Unix microseconds.
    pub due_us: u64,
}

/// Finds marks.
pub(super) struct MarksFinder(Finder<'static>);

impl MarksFinder {
    pub fn new() -> Self {
        Self(Finder::new(br#""data":{"s":"#))
    }

    /// The marks of a publication; `None` for everything that no publisher of the tool wrote.
    pub fn find(&self, payload: &[u8]) -> Option<Marks> {
        let at = self.0.find(payload)? + self.0.needle().len();
        let (strand, rest) = number(&payload[at..])?;
        let (n, rest) = number(rest.strip_prefix(br#","n":"#)?)?;
        let (due_us, _) = number(rest.strip_prefix(br#","t":"#)?)?;
        Some(Marks { strand: u32::try_from(strand).ok()?, n, due_us })
    }
}

/// The position in a publication's `id`, where `rest` is what follows its room.
pub(super) fn id(rest: &[u8]) -> Option<Position> {
    let text = rest.strip_prefix(br#""id":""#)?;
    let length = memchr::memchr(b'"', text)?;
    Position::of_bytes(&text[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_once_they_are_whole() {
        assert_eq!(frame(b"\x81\x02hix"), Some((&b"hi"[..], 4)));
        assert_eq!(frame(b"\x81\x02h"), None);
        let long = [&[0x81, 126, 1, 0][..], &[b'x'; 256]].concat();
        assert_eq!(frame(&long), Some((&[b'x'; 256][..], 260)));
        assert_eq!(frame(&long[..3]), None);
        assert_eq!(frame(b""), None);
    }

    #[test]
    fn numbers_end_where_digits_do_and_do_not_wrap() {
        assert_eq!(number(b"42,\"t\""), Some((42, &b",\"t\""[..])));
        assert_eq!(number(b"x"), None);
        assert_eq!(number(b"99999999999999999999"), None);
    }

    #[test]
    fn marks_and_ids_are_read_from_publications_and_from_nothing_else() {
        let finder = MarksFinder::new();
        let payload = br#"{"event":"kpi:update","room":"kpi:acme","id":"1-2-3","ts":"now","data":{"s":4,"n":5,"t":6,"fill":""}}"#;
        assert_eq!(finder.find(payload), Some(Marks { strand: 4, n: 5, due_us: 6 }));
        assert_eq!(
            id(&payload[b"{\"event\":\"kpi:update\",\"room\":\"kpi:acme\",".len()..]),
            Some(Position { epoch: 1, seq: 2, check: 3 })
        );
        assert_eq!(finder.find(br#"{"event":"position","data":{"position":"1-2-3"}}"#), None);
    }
}
