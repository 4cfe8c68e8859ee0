//! ● The native protocol in WebSocket frames, ready to send: the hub writes these bytes to sockets as they are.
//!
//! Every wire makes whole frames out of pushes and answers and appends them, so that batches are one run of bytes.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::BytesMut;

use super::Config;
use super::deflate;
use super::frame::{self, Opcode};
use crate::protocol::Wire;
use crate::protocol::codec::json;
use crate::protocol::push::{Answer, Push};

/// [`Wire::kind`] of JSON text frames.
pub const JSON_KIND: usize = 0;
/// [`Wire::kind`] of JSON text frames, long ones deflated.
pub const JSON_DEFLATED_KIND: usize = 1;
/// The encoding buffer is given back when a message made it larger than this.
const SCRATCH_BYTES_KEPT: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A frame's header depends on the payload's length and on whether compressing pays, so both forms are made here first.
#[derive(Default)]
struct Scratch {
    plain: BytesMut,
    deflated: BytesMut,
}

/// JSON text frames; with a threshold, permessage-deflate for messages of at least that many bytes.
#[derive(Clone, Copy, Debug)]
struct JsonFrames {
    threshold_bytes: Option<usize>,
}

/// For connections without compression.
pub fn json() -> Arc<dyn Wire> {
    Arc::new(JsonFrames { threshold_bytes: None })
}

/// For connections that agreed to permessage-deflate.
pub fn json_deflated(config: &Config) -> Arc<dyn Wire> {
    Arc::new(JsonFrames { threshold_bytes: Some(config.compression_threshold_bytes) })
}

impl Wire for JsonFrames {
    fn kind(&self) -> usize {
        if self.threshold_bytes.is_some() { JSON_DEFLATED_KIND } else { JSON_KIND }
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        self.frame(out, |payload| json::push(push, payload));
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        self.frame(out, |payload| json::answer(answer, payload));
    }

    fn ping(&self, out: &mut BytesMut) {
        frame::ping(&[], out);
    }
}

impl JsonFrames {
    fn frame(self, out: &mut BytesMut, encode: impl FnOnce(&mut BytesMut)) {
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { plain, deflated } = scratch;
            plain.clear();
            deflated.clear();
            encode(plain);
            let long = self.threshold_bytes.is_some_and(|threshold_bytes| plain.len() >= threshold_bytes);
            if long && deflate::compress(plain, deflated) {
                frame::server_frame(Opcode::Text, true, deflated, out);
            } else {
                frame::server_frame(Opcode::Text, false, plain, out);
            }
            if plain.capacity() > SCRATCH_BYTES_KEPT {
                *scratch = Scratch::default();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::push::Reply;
    use crate::protocol::{Code, Fault};

    fn framed(wire: &dyn Wire, message: String) -> (BytesMut, BytesMut) {
        let answer = Answer { id: None, reply: Reply::Error(Fault::new(Code::InvalidMessage, message)) };
        let (mut out, mut text) = (BytesMut::from(&b"before"[..]), BytesMut::new());
        wire.answer(&answer, &mut out);
        json::answer(&answer, &mut text);
        (out.split_off(6), text)
    }

    #[test]
    fn a_frame_holds_the_json_as_text() {
        let (frame, text) = framed(json().as_ref(), "no".into());
        assert_eq!((frame[0], usize::from(frame[1])), (0x81, text.len()));
        assert_eq!(frame[2..], text[..]);
        assert_eq!(json().kind(), JSON_KIND);
    }

    #[test]
    fn only_long_messages_are_deflated() {
        let wire = json_deflated(&Config::default());
        assert_eq!(wire.kind(), JSON_DEFLATED_KIND);
        let (short, text) = framed(wire.as_ref(), "x".repeat(100));
        assert_eq!((short[0], short.len()), (0x81, text.len() + 2 + if text.len() > 125 { 2 } else { 0 }));
        let (long, text) = framed(wire.as_ref(), "x".repeat(100_000));
        assert_eq!(long[0], 0xc1);
        let mut inflated = BytesMut::new();
        deflate::inflate(&long[4..], text.len(), &mut inflated).unwrap();
        assert_eq!(inflated, text);
        assert_eq!(SCRATCH.with_borrow(|scratch| scratch.plain.capacity()), 0, "a large buffer is given back");
    }

    #[test]
    fn what_does_not_compress_is_sent_plain() {
        let noise: String = (0..2_000_u32).map(|n| char::from(b'!' + 2 + (n.wrapping_mul(2_654_435_761) >> 13) as u8 % 50)).collect();
        let tiny = json_deflated(&Config { compression_threshold_bytes: 1, ..Config::default() });
        let (frame, text) = framed(tiny.as_ref(), "ab".into());
        assert!(frame.len() <= text.len() + 2);
        let (frame, text) = framed(tiny.as_ref(), noise);
        assert!(frame.len() <= text.len() + 4);
    }
}
