//! The simplest wire: JSON texts, one a line.

use bytes::BytesMut;
use roomcast::protocol::codec::{Wire, json};
use roomcast::protocol::push::{Answer, Push};

pub struct Lines;

impl Wire for Lines {
    fn kind(&self) -> usize {
        0
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        json::push(push, out);
        out.extend_from_slice(b"\n");
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        json::answer(answer, out);
        out.extend_from_slice(b"\n");
    }

    fn ping(&self, _out: &mut BytesMut) {}
}
