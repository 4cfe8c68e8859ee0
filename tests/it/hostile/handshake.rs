//! Requests that are no handshake, or a crooked one: a status, and never a session.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::client::{Client, Heard, frame, request, response_head, text, within};
use super::gateway::token;
use super::stage::Stage;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The proper request with one thing exchanged.
fn but(from: &str, to: &str) -> String {
    let proper = request("/ws", "");
    assert!(proper.contains(from), "{from:?}");
    proper.replacen(from, to, 1)
}

fn with(lines: &str) -> String {
    request("/ws", lines)
}

/// Input, expected status, reason.
fn refused() -> Vec<(String, &'static str, &'static str)> {
    let many = |count: usize| (0..count).fold(String::new(), |lines, n| format!("{lines}X-{n}: x\r\n"));
    let protocols = (0..17).map(|n| format!("p{n}")).collect::<Vec<_>>().join(", ");
    vec![
        ("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n".into(), "426", "asks for no upgrade"),
        (but("GET ", "POST "), "405", "another method"),
        (but("GET ", "HEAD "), "405", "another method that has no body"),
        (but("HTTP/1.1", "HTTP/1.0"), "400", "a version without upgrades"),
        (but("HTTP/1.1", "HTTP/9.9"), "400", "a version that does not exist"),
        (but("Version: 13", "Version: 12"), "426", "an old protocol"),
        (but("Version: 13", "Version: 13, 13"), "426", "a list for a version"),
        (but("Sec-WebSocket-Version: 13\r\n", ""), "426", "no version"),
        (with("Sec-WebSocket-Version: 13\r\n"), "400", "two versions"),
        (but(KEY, ""), "400", "no key"),
        (but("dGhlIHNhbXBsZSBub25jZQ==", "zzz"), "400", "a key that is no base64"),
        (but("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400", "a key that is too short"),
        (but("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZTE="), "400", "a key that is too long"),
        (with(KEY), "400", "two keys"),
        (but("Upgrade: websocket", "Upgrade: h2c"), "426", "another protocol"),
        (with("Upgrade: websocket\r\n"), "400", "two upgrades"),
        (but("Upgrade: websocket", "Upgrade: websocket, websocket"), "400", "the upgrade twice in one line"),
        (but("Upgrade: websocket\r\n", ""), "426", "no upgrade"),
        (but("Upgrade: websocket", "Upgrade: websocket2"), "426", "an upgrade that begins like ours"),
        (but("Version: 13", "Version: 0x0d"), "426", "the version in another notation"),
        (with("Sec-WebSocket-Version: 8\r\n"), "400", "a second, older version"),
        (but("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"), "400", "a key without its padding"),
        (but(KEY, "Sec-WebSocket-Key: \r\n"), "400", "an empty key"),
        (but("Connection: Upgrade", "Connection: keep-alive"), "426", "an upgrade that no hop would pass on"),
        (but("Host: 127.0.0.1\r\n", ""), "400", "no host"),
        (with("Host: other\r\n"), "400", "two hosts"),
        (with("Origin: https://evil.example\r\n"), "403", "a page of another site"),
        (with("Origin: http://127.0.0.1.evil.example\r\n"), "403", "a host that begins like ours"),
        (with("Origin: http://evil.example/127.0.0.1\r\n"), "403", "a path that ends like our host"),
        (with("Origin: null\r\n"), "403", "a sandboxed page"),
        (with("Origin: http://127.0.0.1@evil.example\r\n"), "403", "our host as user info"),
        (with("Origin: http://127.0.0.1\r\nOrigin: https://evil.example\r\n"), "400", "two origins"),
        (with("Origin: http://ex\u{e4}mple\r\n"), "400", "an origin that is not ASCII"),
        (with("Content-Length: 5\r\n") + "hello", "400", "a body"),
        (with("Content-Length: 5\r\nContent-Length: 6\r\n") + "hello", "400", "two lengths"),
        (with("Content-Length: -1\r\n"), "400", "a length that is none"),
        (with("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", "400", "a body in chunks"),
        (with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\nGET /ws HTTP/1.1\r\n\r\n", "400", "a smuggled request"),
        (with("Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n", "400", "an encoding that hides the end"),
        (with("Sec-WebSocket-Protocol: roomcast.v1,,x\r\n"), "400", "an empty protocol"),
        (with("Sec-WebSocket-Protocol: a b\r\n"), "400", "a protocol with a space"),
        (with("Sec-WebSocket-Protocol: x, x\r\n"), "400", "a protocol twice"),
        (with("Sec-WebSocket-Protocol: bearer.a, bearer.b\r\n"), "400", "two tokens"),
        (with("Sec-WebSocket-Protocol: bearer.\r\n"), "400", "an empty token"),
        (with(&format!("Sec-WebSocket-Protocol: {protocols}\r\n")), "400", "too many protocols"),
        (with("Authorization: Bearer\r\n"), "400", "a scheme without a token"),
        (with("Authorization: Bearer a b\r\n"), "400", "two tokens in one header"),
        (with("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), "400", "two credentials"),
        (with(&format!("X-Long: {}\r\n", "x".repeat(20_000))), "431", "a head beyond 16 KiB"),
        (with(&many(60)), "431", "more than 64 header lines"),
        (but("/ws", &format!("/{}", "x".repeat(20_000))), "431", "an endless address"),
        (but("/ws", "/other"), "404", "another path"),
        (but("/ws", "/ws/../ws"), "404", "a path that only a file system would shorten"),
        (but("/ws", "/w\0s"), "400", "a zero byte in the path"),
        (with("X-Zero: a\0b\r\n"), "400", "a zero byte in a header"),
        (with("X-Folded: a\r\n b\r\n"), "400", "a folded header"),
        (with("X Space: a\r\n"), "400", "a header name with a space"),
        (with("Content-Length : 0\r\n"), "400", "a space before the colon, which proxies read differently"),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n".into(), "400", "a TLS hello on a plain port"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), "", "HTTP/2 without asking; the library hangs up without a word"),
        ("hello\r\n\r\n".into(), "400", "no HTTP at all"),
    ]
}

#[tokio::test]
async fn a_crooked_handshake_gets_a_status_and_no_session() {
    let stage = Stage::start(&[]).await;
    for (input, status, reason) in refused() {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        let _ = socket.write_all(input.as_bytes()).await;
        let head = response_head(&mut socket).await;
        if status.is_empty() {
            assert!(head.is_empty(), "{reason}: {head}");
        } else {
            let got = head.split(' ').nth(1).unwrap_or_default();
            assert!(got.starts_with(status), "{reason}: expected {status}, got {head:?}");
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn a_socket_that_says_nothing_or_too_little_is_hung_up_on() {
    let stage = Stage::start(&[("ROOMCAST_SERVER__HEADER_TIMEOUT_MS", "600")]).await;
    let address = stage.gateway.address;
    let mut silent = Vec::new();
    for head in ["", "G", "GET /ws HTTP/1.1\r\n", "GET /ws HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        silent.push((head, socket));
    }
    // A client that drips its head byte by byte does not win time by that.
    let mut dripping = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = dripping.split();
    let mut sink = tokio::io::sink();
    let drip = async {
        for byte in request("/ws", &"X-Drip: x\r\n".repeat(50)).into_bytes() {
            if writer.write_u8(byte).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = within("the slow head is cut", tokio::io::copy(&mut reader, &mut sink)) => {}
        () = drip => {}
    }
    for (head, mut socket) in silent {
        let response = response_head(&mut socket).await;
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 408"), "{head:?}: {response}");
    }
    stage.end().await;
}

#[tokio::test]
async fn what_a_handshake_offers_in_vain_is_left_out_and_does_not_end_it() {
    let stage = Stage::start(&[]).await;
    for (lines, absent, reason) in [
        ("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n", "extensions", "a window that is not done"),
        ("Sec-WebSocket-Extensions: permessage-deflate; x=\"\r\n", "extensions", "a lone quote"),
        ("Sec-WebSocket-Extensions: ;;;,,,\r\n", "extensions", "nothing in many words"),
        ("Sec-WebSocket-Protocol: graphql-ws\r\n", "sec-websocket-protocol", "a protocol that is not spoken"),
        ("Cookie: token=x\r\n", "set-cookie", "a cookie, which nothing is configured to read"),
    ] {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        socket.write_all(request("/ws", lines).as_bytes()).await.unwrap();
        let head = response_head(&mut socket).await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101") && !head.contains(absent), "{reason}: {head}");
    }
    // A token in the address is not taken unless that is configured.
    let mut client = Client::open(&stage.gateway, &format!("/ws?token={}", token("alice", "acme", None)), "").await;
    client.send(&text(r#"{"event":"subscribe","id":"s","data":{"rooms":["kpi:acme"]}}"#)).await;
    assert_eq!(client.answer("s").await["data"]["code"], "UNAUTHORIZED");
    stage.end().await;
}

#[tokio::test]
async fn the_token_of_a_handshake_is_never_sent_back_nor_logged() {
    let stage = Stage::start(&[("ROOMCAST_WEBSOCKET__QUERY_TOKEN", "true")]).await;
    let secret = token("alice", "acme", None);
    for (path, lines) in [
        ("/ws".to_owned(), format!("Sec-WebSocket-Protocol: roomcast.v1, bearer.{secret}\r\n")),
        ("/ws".to_owned(), format!("Authorization: Bearer {secret}\r\n")),
        (format!("/ws?token={secret}"), String::new()),
    ] {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        socket.write_all(request(&path, &lines).as_bytes()).await.unwrap();
        let head = response_head(&mut socket).await;
        assert!(head.starts_with("HTTP/1.1 101") && !head.contains("bearer"), "{head}");
        let mut client = Client::open(&stage.gateway, &path, &lines).await;
        let Heard::Text(message) = client.heard().await else { panic!("no message") };
        assert!(message.contains("\"authenticated\"") && !message.contains(&secret), "{message}");
    }
    let signature = secret.rsplit('.').next().unwrap();
    assert!(!stage.gateway.log().contains(signature), "the log holds a token");
    stage.end().await;
}

/// Bytes right behind the request, the close code, the reason.
fn early() -> Vec<(Vec<u8>, u16, &'static str)> {
    let again = request("/ws", "").into_bytes();
    let crowd = [text(r#"{"event":"client:ping"}"#).repeat(900), frame(0x81, &[0xff])].concat();
    vec![
        (again, 1002, "a second handshake, pipelined"),
        (b"GET /api/ws/health HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 1002, "another request, smuggled behind the handshake"),
        (vec![0x81, 2, b'h', b'i'], 1002, "a frame without a mask"),
        (vec![0xff; 64 << 10], 1002, "more garbage than the request's buffer holds"),
        (frame(0x82, b"{}"), 1003, "a binary message"),
        (vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4], 1009, "the longest length"),
        (crowd, 1007, "nine hundred commands, then a broken text"),
    ]
}

#[tokio::test]
async fn whatever_comes_before_the_101_is_held_to_the_rules_of_what_comes_after_it() {
    let stage = Stage::start(&[]).await;
    for (bytes, code, reason) in early() {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        let (mut reader, mut writer) = socket.split();
        let sent = [request("/ws", "").into_bytes(), bytes].concat();
        let write = async {
            // The node may hang up in the middle of it.
            let _ = writer.write_all(&sent).await;
        };
        let mut heard = Vec::new();
        let (_, read) = within(reason, async { tokio::join!(write, tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut heard)) }).await;
        assert!(read.is_ok() || !heard.is_empty(), "{reason}");
        assert!(heard.starts_with(b"HTTP/1.1 101"), "{reason}");
        let closing = [&[3_u8][..], &code.to_be_bytes()[1..]].concat();
        assert!(heard.windows(2).any(|window| window == closing), "{reason}: no close {code}");
        assert_eq!(heard.windows(9).filter(|window| window == b"HTTP/1.1 ").count(), 1, "{reason}: a second answer");
    }
    // Commands that came early are nobody's: without credentials they do nothing.
    let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
    let publish = r#"{"event":"publish","id":"p","data":{"event":"kpi:update","room":"kpi:acme","data":1}}"#;
    socket.write_all(&[request("/ws", "").into_bytes(), text(publish)].concat()).await.unwrap();
    assert!(response_head(&mut socket).await.starts_with("HTTP/1.1 101"));
    assert_eq!(Client::over(socket).answer("p").await["data"]["code"], "UNAUTHORIZED");
    stage.end().await;
}

#[tokio::test]
async fn frames_sent_before_the_answer_to_the_handshake_are_not_lost() {
    let stage = Stage::start(&[]).await;
    let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
    let mut bytes = request("/ws", "").into_bytes();
    bytes.extend_from_slice(&text(r#"{"event":"client:ping","id":"early"}"#));
    socket.write_all(&bytes).await.unwrap();
    assert!(response_head(&mut socket).await.starts_with("HTTP/1.1 101"));
    let mut client = Client::over(socket);
    assert_eq!(client.answer("early").await["event"], "client:pong");
    stage.end().await;
}
