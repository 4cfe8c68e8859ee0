//! Encodings of what the server sends, one file each.

pub mod json;
pub mod msgpack;

use bytes::BytesMut;

use super::push::{Answer, Push};

/// How one kind of connection wants the server's messages as bytes, framing included.
///
/// The hub encodes each publication once per wire and shares the bytes between all sessions of that wire, so what is written
/// may depend on nothing but the arguments.
pub trait Wire: Send + Sync + 'static {
    /// Sessions with the same number share encoded bytes; below [`WIRES_MAX`].
    fn kind(&self) -> usize;

    /// Appends nothing where the client's language has no words for it.
    fn push(&self, push: &Push<'_>, out: &mut BytesMut);

    fn answer(&self, answer: &Answer, out: &mut BytesMut);

    /// Asks the client for a sign of life; nothing on wires that have no such message.
    fn ping(&self, out: &mut BytesMut);

    /// Whether its clients acknowledge, and understand what is said of publications that come once more or not at all.
    fn is_native(&self) -> bool {
        true
    }

    /// What the server says first, at this time in Unix milliseconds; mostly nothing.
    fn greet(&self, _now_ms: u64, _out: &mut BytesMut) {}
}

/// How many kinds of wire there can be.
pub const WIRES_MAX: usize = 16;
