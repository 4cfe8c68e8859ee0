//! Handshake requests, good and bad, by table.

use http::Request;

use super::*;

/// A browser's request; a change replaces a header, an empty value removes it, a leading `+` adds a second one.
fn request(changes: &[(&str, &str)]) -> Parts {
    let mut parts = Request::get("/ws")
        .header("Host", "node.example:8080")
        .header("Upgrade", "websocket")
        .header("Connection", "keep-alive, Upgrade")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    for (name, value) in changes {
        let name: HeaderName = name.parse().unwrap();
        match value.strip_prefix('+') {
            Some(second) => drop(parts.headers.append(name, second.parse().unwrap())),
            None if value.is_empty() => drop(parts.headers.remove(name)),
            None => drop(parts.headers.insert(name, value.parse().unwrap())),
        }
    }
    parts
}

fn judged(changes: &[(&str, &str)]) -> Result<Accepted, Refused> {
    accept(&request(changes), &Rules::new(&Config::default()).unwrap())
}

#[test]
fn a_plain_handshake_is_accepted_without_terms() {
    let accepted = judged(&[]).unwrap();
    assert_eq!((accepted.protocol, accepted.deflate, accepted.token), (None, None, None));
    for changes in [
        &[("Upgrade", "h2c, WebSocket")][..],
        &[("Connection", "UPGRADE")],
        &[("Connection", "keep-alive"), ("Connection", "+upgrade")],
        &[("Content-Length", "0")],
        &[("Origin", "http://node.example:8080")],
        &[("Authorization", "Basic abc")],
        &[("Sec-WebSocket-Protocol", "other")],
    ] {
        assert!(judged(changes).is_ok(), "{changes:?}");
    }
}

#[test]
fn what_is_wrong_is_refused_with_its_status() {
    for (status, changes) in [
        (426, &[("Upgrade", "")][..]),
        (426, &[("Upgrade", "websockets")]),
        (426, &[("Connection", "keep-alive")]),
        (426, &[("Sec-WebSocket-Version", "")]),
        (426, &[("Sec-WebSocket-Version", "8")]),
        (400, &[("Sec-WebSocket-Version", "+13")]),
        (400, &[("Sec-WebSocket-Key", "")]),
        (400, &[("Sec-WebSocket-Key", "zzz")]),
        (400, &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ")]),
        (400, &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZTE=")]),
        (400, &[("Sec-WebSocket-Key", "+dGhlIHNhbXBsZSBub25jZQ==")]),
        (400, &[("Host", "")]),
        (400, &[("Host", "+other.example")]),
        (400, &[("Content-Length", "5")]),
        (400, &[("Transfer-Encoding", "chunked")]),
        (403, &[("Origin", "https://evil.example")]),
        (403, &[("Origin", "null")]),
        (400, &[("Origin", "http://node.example:8080"), ("Origin", "+http://node.example:8080")]),
        (400, &[("Authorization", "Bearer")]),
        (400, &[("Authorization", "Bearer ")]),
        (400, &[("Authorization", "Bearer a b")]),
        (400, &[("Authorization", "Bearer a"), ("Authorization", "+Bearer b")]),
        (400, &[("Sec-WebSocket-Protocol", "roomcast.v1,")]),
        (400, &[("Sec-WebSocket-Protocol", "a b")]),
        (400, &[("Sec-WebSocket-Protocol", "roomcast.v1, roomcast.v1")]),
        (400, &[("Sec-WebSocket-Protocol", "bearer.")]),
        (400, &[("Sec-WebSocket-Protocol", "bearer.a, bearer.b")]),
        (400, &[("Sec-WebSocket-Protocol", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17")]),
    ] {
        assert_eq!(judged(changes).map_err(|refused| refused.status.as_u16()).err(), Some(status), "{changes:?}");
    }
}

#[test]
fn method_and_version_are_those_of_the_rfc() {
    let rules = Rules::new(&Config::default()).unwrap();
    let mut post = request(&[]);
    post.method = Method::POST;
    let refused = accept(&post, &rules).unwrap_err();
    assert_eq!(refused.status.as_u16(), 405);
    assert_eq!(refused.into_response().headers()[ALLOW], "GET");
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let mut other = request(&[]);
        other.version = version;
        assert_eq!(accept(&other, &rules).unwrap_err().status.as_u16(), 400);
    }
    let response = judged(&[("Sec-WebSocket-Version", "7")]).unwrap_err().into_response();
    assert_eq!(response.status().as_u16(), 426);
    assert_eq!(response.headers()[SEC_WEBSOCKET_VERSION], "13");
    assert_eq!(response.headers()[UPGRADE], "websocket");
}

#[test]
fn the_token_is_lifted_out_and_never_shown() {
    let accepted = judged(&[("Sec-WebSocket-Protocol", "roomcast.v1, bearer.aaa.bbb.ccc")]).unwrap();
    assert_eq!(accepted.protocol, Some(Subprotocol::RoomcastV1));
    assert_eq!(accepted.token.as_ref().map(Token::expose), Some("aaa.bbb.ccc"));
    assert!(!format!("{accepted:?}").contains("aaa"));

    let both = judged(&[("Sec-WebSocket-Protocol", "bearer.weak"), ("Authorization", "bearer strong")]).unwrap();
    assert_eq!((both.protocol, both.token.as_ref().map(Token::expose)), (None, Some("strong")));
}

#[test]
fn messagepack_is_preferred_where_it_is_offered() {
    let protocol = |offer| judged(&[("Sec-WebSocket-Protocol", offer)]).unwrap().protocol;
    assert_eq!(protocol("roomcast.v1, roomcast.v1.msgpack"), Some(Subprotocol::RoomcastV1Msgpack));
    assert_eq!(protocol("roomcast.v1.msgpack, bearer.a.b.c"), Some(Subprotocol::RoomcastV1Msgpack));
    assert_eq!(protocol("roomcast.v2, roomcast.v1"), Some(Subprotocol::RoomcastV1));
    assert_eq!(protocol("roomcast.v1.cbor"), None);
}

#[test]
fn compression_is_agreed_to_unless_it_is_off() {
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")];
    assert_eq!(judged(&offer).unwrap().deflate, Some(Deflate::Plain));
    let off = Rules::new(&Config { compression: false, ..Config::default() }).unwrap();
    assert_eq!(accept(&request(&offer), &off).unwrap().deflate, None);
}
