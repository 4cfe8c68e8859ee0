//! ● The head of a request that came in one piece, and the response that switches protocols, as bytes (RFC 9112, RFC 6455 section 4.2.2).
//!
//! Nearly every handshake comes in one packet, and HTTP's state for a connection costs more than all the rest of it. What is not
//! plainly such a head is left to HTTP, which knows how to refuse it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::{Method, Request, Version};
use sha1::{Digest, Sha1};

use super::handshake::Accepted;

/// Most header lines that are looked at here.
const HEADERS_MAX: usize = 64;
/// Appended to the client's key before hashing (RFC 6455 section 1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Reads a whole head of a GET of HTTP/1.1 from the beginning of `bytes`: the head, and how long it is. `None` for everything else.
pub fn read(bytes: &[u8], headers_max: usize) -> Option<(Parts, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers[..headers_max.min(HEADERS_MAX)]);
    let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else { return None };
    if head.method != Some("GET") || head.version != Some(1) {
        return None;
    }
    let mut request = Request::get(head.path?).version(Version::HTTP_11).method(Method::GET);
    let into = request.headers_mut()?;
    for header in &*head.headers {
        into.append(HeaderName::from_bytes(header.name.as_bytes()).ok()?, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some((request.body(()).ok()?.into_parts().0, length))
}

/// The response to a handshake that was accepted.
pub fn switch(request: &Parts, accepted: &Accepted) -> String {
    let key = request.headers.get(SEC_WEBSOCKET_KEY).map_or(&[][..], HeaderValue::as_bytes);
    let key = STANDARD.encode(Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize());
    let mut response = String::with_capacity(256);
    for part in ["HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ", &key] {
        response.push_str(part);
    }
    let terms = [
        ("\r\nSec-WebSocket-Protocol: ", accepted.protocol.map(super::Subprotocol::as_str)),
        ("\r\nSec-WebSocket-Extensions: ", accepted.deflate.map(super::extension::Deflate::response)),
    ];
    for (name, value) in terms {
        if let Some(value) = value {
            response.push_str(name);
            response.push_str(value);
        }
    }
    response.push_str("\r\n\r\n");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /ws?x=1 HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX: 1\r\nx: 2\r\n\r\n";

    #[test]
    fn a_whole_head_is_read_and_what_follows_is_left() {
        let (parts, length) = read(format!("{GOOD}more").as_bytes(), 64).unwrap();
        assert_eq!((parts.uri.path(), parts.uri.query(), length), ("/ws", Some("x=1"), GOOD.len()));
        assert_eq!(parts.headers.get_all("x").iter().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn everything_else_is_left_to_http() {
        assert!(read(GOOD.as_bytes(), 3).is_none(), "more lines than are allowed");
        assert!(read(&GOOD.as_bytes()[..GOOD.len() - 1], 64).is_none(), "not whole");
        for (from, to) in [("GET", "POST"), ("1.1", "1.0"), ("Host", "Ho st"), ("/ws", " /ws"), ("\r\nX: 1", "\r\n X: 1")] {
            assert!(read(GOOD.replace(from, to).as_bytes(), 64).is_none(), "{to}");
        }
    }

    #[test]
    fn the_response_proves_that_the_key_was_read() {
        let (parts, _) = read(GOOD.as_bytes(), 64).unwrap();
        let accepted = Accepted { protocol: Some(super::super::Subprotocol::RoomcastV1), deflate: None, token: None };
        let response = switch(&parts, &accepted);
        // The example of RFC 6455 section 1.3.
        assert!(response.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{response}");
        assert!(response.ends_with("\r\nSec-WebSocket-Protocol: roomcast.v1\r\n\r\n"), "{response}");
    }
}
