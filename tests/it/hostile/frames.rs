//! Frames that break RFC 6455: a close code where the connection cannot go on, an answer where it can.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::client::{Client, Heard, close, frame, request, response_head, text};
use super::stage::Stage;

const MESSAGE_BYTES_MAX: usize = 1 << 20;
const PING: &str = r#"{"event":"client:ping"}"#;

/// The head of a masked frame that claims `length` bytes, in its 64-bit form.
fn claims(first: u8, length: u64) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat()
}

fn fragments(parts: &[&[u8]]) -> Vec<u8> {
    let last = parts.len() - 1;
    let one = |(index, part): (usize, &&[u8])| {
        let (fin, opcode) = (if index == last { 0x80 } else { 0 }, u8::from(index == 0));
        frame(fin | opcode, part)
    };
    parts.iter().enumerate().flat_map(one).collect()
}

/// Input, close code, reason.
fn fatal() -> Vec<(Vec<u8>, u16, String)> {
    let mut cases: Vec<(Vec<u8>, u16, &str)> = vec![
        (vec![0x81, 2, b'h', b'i'], 1002, "a frame without a mask"),
        (frame(0xc1, b"x"), 1002, "RSV1 without an extension"),
        (frame(0xa1, b"x"), 1002, "RSV2"),
        (frame(0x91, b"x"), 1002, "RSV3"),
        (frame(0xf1, b"x"), 1002, "all reserved bits"),
        (frame(0x89, &[b'x'; 126]), 1002, "a ping of 126 bytes"),
        (frame(0x8a, &[b'x'; 126]), 1002, "a pong of 126 bytes"),
        (frame(0x88, &[3; 126]), 1002, "a close of 126 bytes"),
        (frame(0x09, b"x"), 1002, "a fragmented ping"),
        (frame(0x08, &[3, 232]), 1002, "a fragmented close"),
        (frame(0xc9, b"x"), 1002, "a compressed ping"),
        (claims(0x81, 1 << 63), 1002, "a length of 2^63"),
        (claims(0x81, u64::MAX), 1002, "the longest length there is"),
        (claims(0x81, (1 << 63) - 1), 1009, "the longest legal length: told before a byte of it is stored"),
        (claims(0x81, MESSAGE_BYTES_MAX as u64 + 1), 1009, "one byte more than allowed, announced"),
        (vec![0x81, 0xfe, 0, 125, 1, 2, 3, 4], 1002, "125 in two bytes"),
        (claims(0x81, 0xffff), 1002, "65,535 in eight bytes"),
        (claims(0x81, 0), 1002, "0 in eight bytes"),
        (frame(0x80, b"x"), 1002, "a continuation of nothing"),
        (frame(0x00, b"x"), 1002, "an open continuation of nothing"),
        ([frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002, "a text inside a text"),
        ([frame(0x01, b"a"), frame(0x82, b"b")].concat(), 1002, "a binary message inside a text"),
        ([frame(0x01, b""), frame(0x00, b"").repeat(2_000)].concat(), 1009, "endless empty fragments"),
        ([frame(0x01, b" "), frame(0x00, b" ").repeat(2_000)].concat(), 1009, "endless fragments"),
        ([frame(0x01, &[b' '; 600_000]), frame(0x80, &[b' '; 600_000])].concat(), 1009, "fragments whose sum is too long"),
        (text(&" ".repeat(MESSAGE_BYTES_MAX + 1)), 1009, "one byte more than allowed, sent"),
        (frame(0x81, &[0xff]), 1007, "a byte that is in no UTF-8"),
        (frame(0x81, &[0xc0, 0x80]), 1007, "an overlong zero"),
        (frame(0x81, &[0xed, 0xa0, 0x80]), 1007, "a surrogate"),
        (frame(0x81, &[0xf4, 0x90, 0x80, 0x80]), 1007, "beyond the last code point"),
        (frame(0x81, &[b'a', 0xe2, 0x82]), 1007, "a text that ends inside a character"),
        (fragments(&[&[0xe2, 0x82], &[0x28]]), 1007, "a character broken over fragments"),
        (frame(0x01, &[0xf8]), 1007, "a broken text that has not ended"),
        (frame(0x82, b"{}"), 1003, "a binary message, which the JSON protocol has not"),
        (frame(0x82, b""), 1003, "an empty binary message"),
        (frame(0x88, &[3]), 1002, "a close with half a code"),
        (close(1000, &[0xff]), 1007, "a close reason that is not UTF-8"),
    ];
    let reserved = [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf].map(|opcode| (frame(0x80 | opcode, b""), 1002, "a reserved opcode"));
    let codes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map(|code| (close(code, b""), 1002, "a code not to be sent"));
    cases.extend(reserved);
    cases.extend(codes);
    cases.into_iter().map(|(input, code, reason)| (input, code, reason.to_owned())).collect()
}

#[tokio::test]
async fn a_broken_frame_ends_its_connection_with_the_right_code() {
    let stage = Stage::start(&[]).await;
    for (input, code, reason) in fatal() {
        let mut client = stage.session().await;
        client.send(&input).await;
        let (closed, why) = client.closed().await;
        assert_eq!(closed, code, "{reason}: {why}");
        let expected = if code == 1009 { "MESSAGE_TOO_LARGE" } else { "INVALID_MESSAGE" };
        assert_eq!(why, format!(r#"{{"code":"{expected}"}}"#), "{reason}");
        client.until_hung_up().await;
    }
    stage.end().await;
}

#[tokio::test]
async fn what_is_odd_but_legal_does_not_end_the_connection() {
    let stage = Stage::start(&[]).await;
    let mut client = stage.session().await;
    let padded = format!("{PING}{}", " ".repeat(MESSAGE_BYTES_MAX - PING.len()));
    let many: Vec<&[u8]> = PING.as_bytes().chunks(1).collect();
    for (input, reason) in [
        (text(&padded), "a message of exactly the allowed length"),
        (fragments(&many), "a fragment for each byte"),
        (fragments(&[PING.as_bytes(), b"", b""]), "empty fragments at the end"),
        (fragments(&[b"", b"", PING.as_bytes()]), "empty fragments at the beginning"),
        ([frame(0x8a, b"unasked"), text(PING)].concat(), "a pong that nobody asked for"),
        ([frame(0x8a, &[0; 125]), text(PING)].concat(), "the longest pong"),
        (fragments(&[br#"{"event":"client:ping","x":""#, &[0xc3], &[0xa9], br#""}"#]), "a character split over fragments"),
    ] {
        client.send(&input).await;
        assert_eq!(client.message().await["event"], "client:pong", "{reason}");
    }
    let halves = PING.as_bytes().split_at(5);
    client.send(&[frame(0x01, halves.0), frame(0x89, b"between"), frame(0x80, halves.1)].concat()).await;
    assert_eq!(client.heard().await, Heard::Pong(b"between".to_vec()));
    assert_eq!(client.message().await["event"], "client:pong");
    for byte in text(PING) {
        client.send(&[byte]).await;
    }
    assert_eq!(client.message().await["event"], "client:pong", "a frame in single bytes");
    stage.end().await;
}

#[tokio::test]
async fn a_close_is_answered_by_its_own_code_and_nothing_after_it_is_read() {
    let stage = Stage::start(&[]).await;
    for (code, reason) in [(1000, "done"), (1001, ""), (3000, "x"), (4000, ""), (4999, ""), (1012, "")] {
        let mut client = stage.session().await;
        client.send(&[close(code, reason.as_bytes()), text(PING), vec![0xff; 64]].concat()).await;
        assert_eq!(client.heard().await, Heard::Close(code, String::new()), "{code}");
        assert_eq!(client.heard().await, Heard::End, "{code}");
    }
    let mut client = stage.session().await;
    client.send(&frame(0x88, b"")).await;
    assert_eq!(client.heard().await, Heard::Close(1005, String::new()), "an empty close is answered by an empty one");
    stage.end().await;
}

#[tokio::test]
async fn connections_cut_off_anywhere_harm_nobody() {
    let stage = Stage::start(&[]).await;
    let whole = [request("/ws", "").into_bytes(), text(PING), frame(0x01, b"{"), claims(0x80, 1_000_000), vec![b' '; 5_000]].concat();
    let cuts = (1..whole.len()).step_by(17).chain(whole.len() - 5_030..whole.len() - 4_980);
    for cut in cuts {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        socket.write_all(&whole[..cut]).await.unwrap();
        if cut % 2 == 0 {
            socket.shutdown().await.unwrap();
        }
    }
    let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
    socket.write_all(&whole).await.unwrap();
    assert!(response_head(&mut socket).await.starts_with("HTTP/1.1 101"));
    Client::over(socket).reset();
    stage.end().await;
}
