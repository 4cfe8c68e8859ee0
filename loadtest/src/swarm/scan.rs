//! Finding frames and numbers in bytes, without a parser: what it takes to check millions of publications a second. Pure.

/// The payload of the first frame and how many bytes it takes up, once it is whole (RFC 6455 section 5.2; servers do not mask).
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
    let text = std::str::from_utf8(&bytes[..digits]).ok()?;
    Some((text.parse().ok()?, &bytes[digits..]))
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
    fn numbers_end_where_digits_do() {
        assert_eq!(number(b"42,\"t\""), Some((42, &b",\"t\""[..])));
        assert_eq!(number(b"x"), None);
    }
}
