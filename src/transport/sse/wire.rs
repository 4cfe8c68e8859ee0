//! ● The native protocol as server-sent events, ready to send: the hub makes these bytes once for all sessions that get them.
//!
//! One event for each message, `data:` with its JSON; `id:` with the position up to which its reader has everything, wherever one is
//! known, so that a browser comes back with the right `Last-Event-ID` by itself.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::protocol::codec::json;
use crate::protocol::push::{Answer, Push, Reply};
use crate::protocol::{Close, Position, Wire};

/// [`Wire::kind`] of server-sent events.
pub const SSE_KIND: usize = 6;

#[derive(Clone, Copy, Debug)]
struct Events;

pub fn events() -> Arc<dyn Wire> {
    Arc::new(Events)
}

impl Wire for Events {
    fn kind(&self) -> usize {
        SSE_KIND
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        let id = match push {
            // What comes ahead of its turn or once more is no place to come back to.
            Push::Publication { publication, manner } => publication.position.filter(|_| !manner.overtook && manner.redelivered == 0),
            Push::Gap(gap) => Some(gap.to),
            Push::Position(position) => Some(*position),
            _ => None,
        };
        event(id, out, |out| json::push(push, out));
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        let id = match &answer.reply {
            Reply::Authenticated(authenticated) => authenticated.position,
            // Further subscriptions may begin at older places than the others stand at.
            _ => None,
        };
        event(id, out, |out| json::answer(answer, out));
    }

    /// A comment, which keeps proxies from thinking that nobody is there.
    fn ping(&self, out: &mut BytesMut) {
        out.put_slice(b": ping\n\n");
    }
}

fn event(id: Option<Position>, out: &mut BytesMut, encode: impl FnOnce(&mut BytesMut)) {
    if let Some(id) = id {
        out.put_slice(format!("id: {id}\n").as_bytes());
    }
    out.put_slice(b"data: ");
    let start = out.len();
    encode(out);
    // Publishers may lay out their JSON in lines. Between values a space says the same, and within strings there are no such bytes.
    let mut from = start;
    while let Some(found) = memchr::memchr2(b'\n', b'\r', &out[from..]) {
        out[from + found] = b' ';
        from += found + 1;
    }
    out.put_slice(b"\n\n");
}

/// What every stream begins with: how long to wait before coming back.
pub fn opening(retry_ms: u64) -> Bytes {
    format!("retry: {retry_ms}\n\n").into()
}

/// The last event, as a close frame would say it; `retry:` for browsers, which come back by themselves.
pub fn close(close: &Close) -> Bytes {
    let retry = close.retry_after_ms.map(|wait_ms| format!("retry: {wait_ms}\n")).unwrap_or_default();
    let data = serde_json::json!({ "code": close.code as u16, "reason": close.reason_text() });
    format!("{retry}event: close\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::push::{Gap, Manner};
    use crate::protocol::{CloseCode, Code, EventRules, Fault, GapReason, NewPublication, RoomSyntax};

    fn sent(make: impl FnOnce(&dyn Wire, &mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        make(events().as_ref(), &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn data_in_lines_cannot_end_an_event_or_begin_another() {
        let syntax = RoomSyntax::new(4, ["kpi"]);
        let room = syntax.room("kpi:acme").unwrap();
        let event = EventRules::new::<&str>([]).event("kpi:update").unwrap();
        let data = Bytes::from_static(b"{\r\n\"a\":1,\n\nevent: close\rdata:\n\"b\":\"x\\ny\"}");
        let position = Position { epoch: 1, seq: 2, check: 3 };
        let publication = NewPublication::new(room, event, data).placed(Some(position), 0);
        let text = sent(|wire, out| wire.push(&Push::Publication { publication: &publication, manner: Manner::PLAIN }, out));
        assert_eq!(text.matches(['\n', '\r']).count(), 3, "{text}");
        assert!(text.starts_with("id: 1-2-3\ndata: {\"event\":\"kpi:update\"") && text.ends_with("}\n\n"), "{text}");
        assert!(text.contains(r#""b":"x\ny""#), "{text}");
        for manner in [Manner::OVERTOOK, Manner { redelivered: 1, ..Manner::PLAIN }] {
            let text = sent(|wire, out| wire.push(&Push::Publication { publication: &publication, manner }, out));
            assert!(text.starts_with("data: "), "no place to come back to: {text}");
        }
    }

    #[test]
    fn errors_have_no_place_in_the_log() {
        let answer = Answer { id: None, reply: Reply::Error(Fault::new(Code::InvalidMessage, "no")) };
        assert!(sent(|wire, out| wire.answer(&answer, out)).starts_with("data: {\"event\":\"error\""));
        assert_eq!(sent(Wire::ping), ": ping\n\n");
    }

    #[test]
    fn a_stream_is_as_the_fixture_shows_it() {
        let room = RoomSyntax::new(4, ["kpi"]).room("kpi:acme").unwrap();
        let event = EventRules::new::<&str>([]).event("kpi:update").unwrap();
        let position = |seq| Position { epoch: 0x19a_a56d_6000, seq, check: 1_763_715_600_123_456 };
        let publication = NewPublication::new(room, event, "{\r\n \"v\": 1\n}").placed(Some(position(42)), 1_763_715_600_123_456);
        let push = |manner| Push::Publication { publication: &publication, manner };
        let gap = Gap { from: Some(position(42)), to: position(50), reason: GapReason::Trimmed };
        let mut out = BytesMut::from(&opening(2_871)[..]);
        let wire = events();
        wire.answer(&Answer::error(None, Fault::new(Code::InvalidMessage, "the message is not UTF-8")), &mut out);
        wire.push(&push(Manner::PLAIN), &mut out);
        wire.push(&push(Manner::OVERTOOK), &mut out);
        wire.ping(&mut out);
        wire.push(&Push::Gap(&gap), &mut out);
        wire.push(&Push::Position(position(51)), &mut out);
        out.extend_from_slice(&close(&Close::new(CloseCode::Drain).retry_after_ms(700)));
        assert_eq!(str::from_utf8(&out).unwrap(), include_str!("../../../fixtures/http/stream.txt"));
    }
}
