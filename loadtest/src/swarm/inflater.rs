//! Deflated publications (RFC 7692), each inflated once: servers that compress a publication once and share it send all members the same
//! bytes, and what is the same bytes says the same thing.

use std::hash::{DefaultHasher, Hasher};

use flate2::{Decompress, FlushDecompress, Status};

/// Messages that are remembered; a power of two, and more than are under way at a time.
const REMEMBERED_MAX: usize = 1_024;
/// Longest message after inflation.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The bytes that senders leave out at the end of every message (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Inflates messages, and remembers the latest.
pub(super) struct Inflater {
    raw: Decompress,
    remembered: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Inflater {
    pub fn new() -> Self {
        Self { raw: Decompress::new(false), remembered: vec![Default::default(); REMEMBERED_MAX] }
    }

    /// The message that `deflated` is; `None` when it is none.
    pub fn inflate(&mut self, deflated: &[u8]) -> Option<&[u8]> {
        let mut hasher = DefaultHasher::new();
        hasher.write(&deflated[..deflated.len().min(96)]);
        let (key, message) = &mut self.remembered[hasher.finish() as usize % REMEMBERED_MAX];
        if key != deflated {
            key.clear();
            message.clear();
            self.raw.reset(false);
            message.reserve(MESSAGE_BYTES_MAX);
            self.raw.decompress_vec(deflated, message, FlushDecompress::None).ok()?;
            let status = self.raw.decompress_vec(&TAIL, message, FlushDecompress::Sync).ok()?;
            let whole = self.raw.total_in() == (deflated.len() + TAIL.len()) as u64 && status != Status::StreamEnd;
            message.shrink_to_fit();
            if !whole {
                return None;
            }
            key.extend_from_slice(deflated);
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    fn deflated(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len() + 64);
        Compress::new(Compression::fast(), false).compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - TAIL.len());
        out
    }

    #[test]
    fn a_message_is_the_same_the_second_time_and_garbage_is_none() {
        let message = "kpi:update ".repeat(200);
        let deflated = deflated(message.as_bytes());
        let mut inflater = Inflater::new();
        for _ in 0..2 {
            assert_eq!(inflater.inflate(&deflated), Some(message.as_bytes()));
        }
        assert_eq!(inflater.inflate(&[0xff; 16]), None);
    }
}
