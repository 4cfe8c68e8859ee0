//! ● permessage-deflate's compression (RFC 7692 section 7.2), every message by itself.
//!
//! The wires compress with this, once per publication; the assembler inflates with it. The deflater and the inflater belong
//! to the thread, not to connections: no context is taken over, so none need be kept.

use std::cell::RefCell;

use bytes::BytesMut;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What a flush ends with and the sender leaves out.
const FLUSH_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The left-out tail, then an empty final block: a message that stops inside a block then has no end of stream.
const FINAL_TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];
/// Most final blocks inside one message. Senders may set the bit (RFC 7692 section 7.2.3.5); each costs a reset.
const FINAL_BLOCKS_MAX: usize = 64;
/// Least room for output that a round of inflating begins with, in bytes.
const OUTPUT_BYTES_MIN: usize = 512;

thread_local! {
    // Level 1 takes a third of the time of level 6 and brings nearly as much on JSON.
    static DEFLATER: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(1), false));
    static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// Why a message could not be inflated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InflateError {
    #[error("the message is longer than allowed once it is inflated")]
    TooLong,
    #[error("the data is not deflate, or ends inside a block")]
    Malformed,
}

/// Appends the compressed payload to `out`. `false`, and `out` as it was: compressing brings nothing, send it plain.
pub fn compress(payload: &[u8], out: &mut BytesMut) -> bool {
    let start = out.len();
    let shorter = DEFLATER.with_borrow_mut(|deflater| {
        deflater.reset();
        run_deflater(deflater, payload, out)
    });
    if shorter && out.len() - start < payload.len() {
        return true;
    }
    out.truncate(start);
    false
}

/// `false` when the output would be longer than the input.
fn run_deflater(deflater: &mut Compress, payload: &[u8], out: &mut BytesMut) -> bool {
    let start = out.len();
    // One zeroed stretch as long as the input: more output than that is of no use.
    out.resize(start + payload.len() + FLUSH_TAIL.len(), 0);
    let status = deflater.compress(payload, &mut out[start..], FlushCompress::Sync);
    let produced = deflater.total_out() as usize;
    out.truncate(start + produced);
    // The flush is complete only when it left room (zlib's manual, deflate with Z_SYNC_FLUSH).
    let complete = status.is_ok() && deflater.total_in() == payload.len() as u64 && produced < payload.len() + FLUSH_TAIL.len();
    if !complete || !out.ends_with(&FLUSH_TAIL) {
        return false;
    }
    out.truncate(out.len() - FLUSH_TAIL.len());
    true
}

/// Appends the inflated payload to `out`, which stays within `bytes_max` whatever the data claims.
///
/// # Errors
/// `TooLong` as soon as there is one byte too many; `Malformed` for data that is not whole. `out` may hold a part then.
pub fn inflate(payload: &[u8], bytes_max: usize, out: &mut BytesMut) -> Result<(), InflateError> {
    INFLATER.with_borrow_mut(|inflater| {
        inflater.reset(false);
        let mut blocks = 0;
        let mut rest = payload;
        while !rest.is_empty() {
            let (taken, ended) = run_inflater(inflater, rest, bytes_max, out)?;
            rest = &rest[taken..];
            if ended {
                blocks += 1;
                inflater.reset(false);
            }
            if blocks > FINAL_BLOCKS_MAX {
                return Err(InflateError::Malformed);
            }
        }
        match run_inflater(inflater, &FINAL_TAIL, bytes_max, out)? {
            (taken, true) if taken == FINAL_TAIL.len() => Ok(()),
            _ => Err(InflateError::Malformed),
        }
    })
}

/// Inflates until the input or the stream ends; how much was taken, and whether the stream ended.
fn run_inflater(inflater: &mut Decompress, input: &[u8], bytes_max: usize, out: &mut BytesMut) -> Result<(usize, bool), InflateError> {
    let mut taken = 0;
    let mut room = input.len().saturating_mul(4).max(OUTPUT_BYTES_MIN);
    loop {
        let start = out.len();
        // One byte more than allowed, so that a message of exactly the allowed length is told from a longer one.
        let stretch = room.min(bytes_max.saturating_add(1).saturating_sub(start));
        if stretch == 0 {
            return Err(InflateError::TooLong);
        }
        out.resize(start + stretch, 0);
        let (in_before, out_before) = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress(&input[taken..], &mut out[start..], FlushDecompress::None).map_err(|_| InflateError::Malformed)?;
        taken += (inflater.total_in() - in_before) as usize;
        let produced = (inflater.total_out() - out_before) as usize;
        out.truncate(start + produced);
        if out.len() > bytes_max {
            return Err(InflateError::TooLong);
        }
        match status {
            Status::StreamEnd => return Ok((taken, true)),
            // Room was left over, so nothing more comes out of this input.
            _ if produced < stretch => return if taken == input.len() { Ok((taken, false)) } else { Err(InflateError::Malformed) },
            _ => room = room.saturating_mul(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inflated(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = BytesMut::new();
        inflate(payload, bytes_max, &mut out).map(|()| out.to_vec())
    }

    /// As another implementation would: one raw stream, flushed, its tail cut off.
    fn deflated_elsewhere(payload: &[u8], level: u32) -> Vec<u8> {
        let mut deflater = Compress::new(Compression::new(level), false);
        let mut out = Vec::with_capacity(payload.len() * 2 + 1_024);
        deflater.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&FLUSH_TAIL));
        out.truncate(out.len() - 4);
        out
    }

    fn inflated_elsewhere(payload: &[u8], bytes: usize) -> Vec<u8> {
        let mut inflater = Decompress::new(false);
        let mut out = Vec::with_capacity(bytes + 64);
        let whole = [payload, &FLUSH_TAIL].concat();
        inflater.decompress_vec(&whole, &mut out, FlushDecompress::Sync).unwrap();
        out
    }

    proptest! {
        #[test]
        fn what_others_deflate_is_inflated(payload in prop::collection::vec(0_u8..8, 0..5_000), level in 0_u32..=9) {
            let wire = deflated_elsewhere(&payload, level);
            prop_assert_eq!(inflated(&wire, payload.len()), Ok(payload.clone()));
            if !payload.is_empty() {
                prop_assert_eq!(inflated(&wire, payload.len() - 1), Err(InflateError::TooLong));
            }
        }

        #[test]
        fn what_is_compressed_others_inflate(payload in prop::collection::vec(0_u8..8, 0..5_000)) {
            let mut out = BytesMut::from(&b"before"[..]);
            if compress(&payload, &mut out) {
                prop_assert!(out.len() - 6 < payload.len());
                prop_assert_eq!(inflated_elsewhere(&out[6..], payload.len()), payload);
            } else {
                prop_assert_eq!(&out[..], b"before");
            }
        }

        #[test]
        fn any_bytes_are_judged_within_bounds(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = BytesMut::new();
            let _ = inflate(&payload, 1_000, &mut out);
            prop_assert!(out.len() <= 1_001);
        }
    }

    #[test]
    fn a_long_repetition_is_compressed_and_noise_is_not() {
        let mut out = BytesMut::new();
        assert!(compress(&[b'x'; 10_000], &mut out));
        assert!(out.len() < 200);
        let noise: Vec<u8> = (0..4_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(7).to_be_bytes()).collect();
        let wire = deflated_elsewhere(&noise, 1);
        assert_eq!(inflated(&wire, noise.len()).unwrap(), noise);
        out.clear();
        assert!(!compress(b"", &mut out) && out.is_empty());
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let wire = deflated_elsewhere(&vec![0; 50 << 20], 9);
        assert!(wire.len() < 100_000);
        let mut out = BytesMut::new();
        assert_eq!(inflate(&wire, 1 << 20, &mut out), Err(InflateError::TooLong));
        assert!(out.capacity() <= 4 << 20, "{}", out.capacity());
    }

    #[test]
    fn data_that_stops_inside_a_block_is_malformed() {
        let wire = deflated_elsewhere(&b"hello hello hello hello".repeat(20), 6);
        for cut in 1..wire.len() {
            assert_eq!(inflated(&wire[..cut], 10_000), Err(InflateError::Malformed), "{cut}");
        }
        assert!(inflated(&wire, 10_000).is_ok());
    }

    #[test]
    fn the_examples_of_rfc_7692_are_read() {
        let hello = Ok(b"Hello".to_vec());
        assert_eq!(inflated(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5), hello);
        assert_eq!(inflated(&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], 5), hello);
        assert_eq!(inflated(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], 5), hello);
        assert_eq!(inflated(&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], 5), hello);
        assert_eq!(inflated(&[0x00], 0), Ok(Vec::new()));
    }

    #[test]
    fn endless_final_blocks_are_refused() {
        assert_eq!(inflated(&[0x03, 0x00].repeat(1_000), 10), Err(InflateError::Malformed));
    }
}
