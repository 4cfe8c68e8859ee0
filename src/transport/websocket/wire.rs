//! ● The native protocol and its dialects in WebSocket frames, ready to send: the hub writes these bytes to sockets as they are.
//!
//! Every wire makes whole frames out of pushes and answers and appends them, so that batches are one run of bytes.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::BytesMut;

use super::Config;
use super::deflate;
use super::frame::{self, Opcode};
use crate::dialect::{self, Dialect};
use crate::protocol::Wire;
use crate::protocol::codec::{WIRES_MAX, json, msgpack};
use crate::protocol::push::{Answer, Push};

/// [`Wire::kind`] of JSON text frames; the next number is that of the same with long messages deflated, and so for every other encoding.
pub const JSON_KIND: usize = 0;
/// [`Wire::kind`] of MessagePack in binary frames.
pub const MSGPACK_KIND: usize = 2;
/// [`Wire::kind`] of the first dialect; each takes two numbers.
const DIALECTS_KIND: usize = 8;
const _: () = assert!(DIALECTS_KIND + 2 * dialect::ALL.len() <= WIRES_MAX);
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

/// How messages are put into bytes, before they are framed.
trait Encoding: Send + Sync + 'static {
    /// [`Wire::kind`] of its frames without compression.
    fn kind(&self) -> usize;
    fn push(&self, push: &Push<'_>, out: &mut BytesMut);
    fn answer(&self, answer: &Answer, out: &mut BytesMut);
    fn is_native(&self) -> bool {
        true
    }
    fn greet(&self, _now_ms: u64, _out: &mut BytesMut) {}

    /// What its frames are.
    fn opcode(&self) -> Opcode {
        Opcode::Text
    }
}

/// The native protocol as JSON.
struct Json;

impl Encoding for Json {
    fn kind(&self) -> usize {
        JSON_KIND
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        json::push(push, out);
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        json::answer(answer, out);
    }
}

/// The native protocol as MessagePack.
struct Msgpack;

impl Encoding for Msgpack {
    fn kind(&self) -> usize {
        MSGPACK_KIND
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        msgpack::push(push, out);
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        msgpack::answer(answer, out);
    }

    fn opcode(&self) -> Opcode {
        Opcode::Binary
    }
}

/// A dialect. Answers are told the time, because each is for one client alone.
struct Spoken {
    dialect: &'static Dialect,
    clock: fn() -> u64,
}

impl Encoding for Spoken {
    fn kind(&self) -> usize {
        DIALECTS_KIND + 2 * self.dialect.index()
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        (self.dialect.push)(push, out);
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        (self.dialect.answer)(answer, (self.clock)(), out);
    }

    fn is_native(&self) -> bool {
        false
    }

    fn greet(&self, now_ms: u64, out: &mut BytesMut) {
        (self.dialect.greet)(now_ms, out);
    }
}

/// Messages in frames of their own; with a threshold, permessage-deflate for messages of at least that many bytes.
struct Frames<E> {
    encoding: E,
    threshold_bytes: Option<usize>,
}

/// For connections without compression.
pub fn json() -> Arc<dyn Wire> {
    json_with(None)
}

/// For connections that agreed to permessage-deflate.
pub fn json_deflated(config: &Config) -> Arc<dyn Wire> {
    json_with(Some(config.compression_threshold_bytes))
}

/// For connections that agreed to permessage-deflate from so many bytes on, or did not.
pub fn json_with(threshold_bytes: Option<usize>) -> Arc<dyn Wire> {
    Arc::new(Frames { encoding: Json, threshold_bytes })
}

/// The same in MessagePack.
pub fn msgpack(threshold_bytes: Option<usize>) -> Arc<dyn Wire> {
    Arc::new(Frames { encoding: Msgpack, threshold_bytes })
}

/// For connections that speak a dialect, with the threshold of those that agreed to permessage-deflate. `clock` tells Unix milliseconds.
pub fn dialect(dialect: &'static Dialect, clock: fn() -> u64, threshold_bytes: Option<usize>) -> Arc<dyn Wire> {
    Arc::new(Frames { encoding: Spoken { dialect, clock }, threshold_bytes })
}

impl<E: Encoding> Wire for Frames<E> {
    fn kind(&self) -> usize {
        self.encoding.kind() + usize::from(self.threshold_bytes.is_some())
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        self.frame(out, |payload| self.encoding.push(push, payload));
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        self.frame(out, |payload| self.encoding.answer(answer, payload));
    }

    fn ping(&self, out: &mut BytesMut) {
        frame::ping(&[], out);
    }

    fn is_native(&self) -> bool {
        self.encoding.is_native()
    }

    fn greet(&self, now_ms: u64, out: &mut BytesMut) {
        self.frame(out, |payload| self.encoding.greet(now_ms, payload));
    }
}

impl<E: Encoding> Frames<E> {
    /// Nothing said is no frame.
    fn frame(&self, out: &mut BytesMut, encode: impl FnOnce(&mut BytesMut)) {
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { plain, deflated } = scratch;
            plain.clear();
            deflated.clear();
            encode(plain);
            if plain.is_empty() {
                return;
            }
            let opcode = self.encoding.opcode();
            let long = self.threshold_bytes.is_some_and(|threshold_bytes| plain.len() >= threshold_bytes);
            if long && deflate::compress(plain, deflated) {
                frame::server_frame(opcode, true, deflated, out);
            } else {
                frame::server_frame(opcode, false, plain, out);
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
        assert_eq!(wire.kind(), JSON_KIND + 1);
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
