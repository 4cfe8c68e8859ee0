//! How publications are handed in at each of the doors, and what answers mean: bytes in, bytes out. Pure.

use super::scan::{self, PING};
use crate::resp;
use crate::socket::client_frame;
use crate::swarm::register::EVENT;

/// A door that publications go in by.
#[derive(Clone, Debug)]
pub enum Speech {
    /// The command `publish` on a session.
    WebSocket,
    /// `POST /api/ws/broadcast`, many on one connection, none waiting for the answer to the one before.
    Rest { host: String, token: String },
    /// The function `roomcast_publish`, or another of the same arguments.
    Fcall { function: String },
    /// `XADD` to the ingest stream.
    Ingest { stream: String },
}

/// An answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard<'a> {
    Acked,
    Refused(&'a [u8]),
    /// To be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// What concerns no publication.
    Nothing,
}

impl Speech {
    /// Appends the bytes that hand in `data` for `room`.
    pub(super) fn say(&self, room: &str, data: &str, out: &mut Vec<u8>) {
        match self {
            Self::WebSocket => {
                let command = format!(r#"{{"event":"publish","data":{{"event":"{EVENT}","room":"{room}","data":{data}}}}}"#);
                out.extend_from_slice(&client_frame(scan::TEXT, command.as_bytes()));
            }
            Self::Rest { host, token } => {
                let body = format!(r#"{{"event":"{EVENT}","target":{{"room":"{room}"}},"data":{data}}}"#);
                let head = format!(
                    "POST /api/ws/broadcast HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
                     Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(body.as_bytes());
            }
            Self::Fcall { function } => {
                let org = room.split(':').nth(1).unwrap_or_default();
                resp::command(&["FCALL", function, "1", &format!("rc:{{{org}}}"), room, EVENT, data], out);
            }
            Self::Ingest { stream } => resp::command(&["XADD", stream, "*", "room", room, "event", EVENT, "data", data], out),
        }
    }

    /// The first answer and how many bytes it takes up, once it is whole.
    pub(super) fn hear<'a>(&self, bytes: &'a [u8]) -> Option<(Heard<'a>, usize)> {
        match self {
            Self::WebSocket => {
                let (payload, used) = scan::frame(bytes)?;
                let heard = match bytes[0] & scan::OPCODE {
                    PING => Heard::Ping(payload),
                    _ if payload.starts_with(br#"{"event":"published""#) => Heard::Acked,
                    _ if payload.starts_with(br#"{"event":"error""#) => Heard::Refused(payload),
                    _ => Heard::Nothing,
                };
                Some((heard, used))
            }
            Self::Rest { .. } => response(bytes),
            Self::Fcall { .. } | Self::Ingest { .. } => {
                let used = resp::length(bytes)?;
                Some((if bytes[0] == b'-' { Heard::Refused(&bytes[..used]) } else { Heard::Acked }, used))
            }
        }
    }
}

/// An HTTP/1.1 response with a length (RFC 9112 section 6.3).
fn response(bytes: &[u8]) -> Option<(Heard<'_>, usize)> {
    let head = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap_or_default();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).find_map(|(_, value)| value.trim().parse().ok());
    let end = head.checked_add(length.unwrap_or(0_usize))?;
    let body = bytes.get(head..end)?;
    let acked = text.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
    Some((if acked { Heard::Acked } else { Heard::Refused(if body.is_empty() { &bytes[..head] } else { body }) }, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_once_they_are_whole() {
        let reply = |text: &str| [&[0x81, text.len() as u8][..], text.as_bytes()].concat();
        let published = reply(r#"{"event":"published","data":{}}"#);
        assert_eq!(Speech::WebSocket.hear(&published), Some((Heard::Acked, published.len())));
        assert_eq!(Speech::WebSocket.hear(&published[..9]), None);
        assert!(matches!(Speech::WebSocket.hear(&reply(r#"{"event":"error","data":{}}"#)), Some((Heard::Refused(_), _))));
        assert_eq!(Speech::WebSocket.hear(&[0x89, 1, b'p']), Some((Heard::Ping(b"p"), 3)));
    }

    #[test]
    fn responses_end_where_their_length_says() {
        let rest = Speech::Rest { host: "h".to_owned(), token: "t".to_owned() };
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 429";
        assert_eq!(rest.hear(answer), Some((Heard::Acked, answer.len() - b"HTTP/1.1 429".len())));
        let refused = b"HTTP/1.1 429 Too Many\r\ncontent-length: 1\r\n\r\nx";
        assert_eq!(rest.hear(refused), Some((Heard::Refused(b"x"), refused.len())));
        assert_eq!(rest.hear(&refused[..refused.len() - 1]), None);
    }

    #[test]
    fn a_call_names_the_org_of_the_room() {
        let mut out = Vec::new();
        Speech::Fcall { function: "roomcast_publish".to_owned() }.say("kpi:acme:sales", "1", &mut out);
        assert!(String::from_utf8_lossy(&out).contains("$9\r\nrc:{acme}\r\n"), "{}", String::from_utf8_lossy(&out));
    }
}
