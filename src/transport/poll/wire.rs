//! ● The native protocol as elements of a JSON array: every message with a comma before it, so that what waits in a send queue becomes
//! an answer without being read again.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::protocol::codec::json;
use crate::protocol::push::{Answer, Push};
use crate::protocol::{Close, Wire};

/// [`Wire::kind`] of messages that are polled for.
pub const POLL_KIND: usize = 7;

#[derive(Clone, Copy, Debug)]
struct Elements;

pub fn elements() -> Arc<dyn Wire> {
    Arc::new(Elements)
}

impl Wire for Elements {
    fn kind(&self) -> usize {
        POLL_KIND
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        out.put_u8(b',');
        json::push(push, out);
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        out.put_u8(b',');
        json::answer(answer, out);
    }

    /// Polls are signs of life enough.
    fn ping(&self, _out: &mut BytesMut) {}
}

/// One answer: `{"cursor":"1","messages":[…],"close":{…}}`, of messages as this wire makes them.
pub fn batch(cursor: u64, messages: &[u8], close: Option<&Close>) -> Bytes {
    let mut out = BytesMut::with_capacity(messages.len() + 64);
    out.put_slice(format!("{{\"cursor\":\"{cursor}\",\"messages\":[").as_bytes());
    out.put_slice(messages.get(1..).unwrap_or_default());
    out.put_u8(b']');
    if let Some(close) = close {
        let close = serde_json::json!({ "code": close.code as u16, "reason": close.reason_text() });
        out.put_slice(format!(",\"close\":{close}").as_bytes());
    }
    out.put_u8(b'}');
    out.freeze()
}

/// Whether an answer that [`batch`] made is the last one of its session: a close stands at its end, where else the messages end.
pub fn is_last(answer: &[u8]) -> bool {
    answer.ends_with(b"}}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::{CloseCode, Code, Fault, Position};

    #[test]
    fn batches_are_json_whatever_is_in_them() {
        let wire = elements();
        for count in 0..3 {
            let mut messages = BytesMut::new();
            for number in 0..count {
                wire.answer(&Answer::error(None, Fault::new(Code::InvalidMessage, format!("{number}"))), &mut messages);
            }
            wire.ping(&mut messages);
            let close = Close::because(CloseCode::Drain, Code::InternalError);
            let value: Value = serde_json::from_slice(&batch(7, &messages, Some(&close))).unwrap();
            assert_eq!(value["cursor"], "7");
            assert_eq!(value["messages"].as_array().unwrap().len(), count);
            assert_eq!(value["close"], json!({ "code": 4000, "reason": "{\"code\":\"INTERNAL_ERROR\"}" }));
            let value: Value = serde_json::from_slice(&batch(7, &messages, None)).unwrap();
            assert!(value.get("close").is_none());
            assert!(is_last(&batch(7, &messages, Some(&close))) && !is_last(&batch(7, &messages, None)));
        }
    }

    #[test]
    fn an_answer_is_as_the_fixture_shows_it() {
        let (wire, mut messages) = (elements(), BytesMut::new());
        let position = Position { epoch: 0x19a_a56d_6000, seq: 51, check: 1_763_715_600_123_456 };
        wire.answer(&Answer::error(None, Fault::new(Code::InvalidMessage, "the message is not UTF-8")), &mut messages);
        wire.push(&Push::Position(position), &mut messages);
        let answer = batch(7, &messages, Some(&Close::new(CloseCode::Drain).retry_after_ms(700)));
        assert_eq!(str::from_utf8(&answer).unwrap(), include_str!("../../../fixtures/http/answer.json").trim_end());
    }
}
