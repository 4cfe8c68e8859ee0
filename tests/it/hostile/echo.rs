//! A conformance table of our own on the echo path, which runs on the session's very reader and writer.

use super::client::{Client, DEFLATE, Heard, close, frame};
use super::stage::Stage;

const ECHO: (&str, &str) = ("ROOMCAST_WEBSOCKET__ECHO_PATH", "/echo");

/// Printable bytes that do not repeat in short cycles.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|n| b'!' + u8::try_from((n * n + 7 * n) % 89).unwrap()).collect()
}

fn heard(opcode: u8, payload: &[u8]) -> Heard {
    if opcode == 1 { Heard::Text(String::from_utf8(payload.to_vec()).unwrap()) } else { Heard::Binary(payload.to_vec()) }
}

#[tokio::test]
async fn messages_of_every_size_and_chopping_come_back() {
    let stage = Stage::start(&[ECHO]).await;
    for lines in ["", DEFLATE] {
        let mut client = Client::open(&stage.gateway, "/echo", lines).await;
        for opcode in [1, 2] {
            for length in [0, 1, 125, 126, 127, 128, 1_023, 1_024, 65_535, 65_536, 65_537, 1 << 20] {
                let payload = noise(length);
                client.send(&frame(0x80 | opcode, &payload)).await;
                assert_eq!(client.heard().await, heard(opcode, &payload), "{length} bytes {lines}");
            }
            for (length, chop) in [(65_536, 997), (65_536, 1_024), (300, 1), (1 << 20, 16_384)] {
                let payload = noise(length);
                for piece in frame(0x80 | opcode, &payload).chunks(chop) {
                    client.send(piece).await;
                }
                assert_eq!(client.heard().await, heard(opcode, &payload), "{length} bytes in pieces of {chop}");
            }
            for (length, size) in [(65_536, 64), (65_536, 4_096), (100, 1), (1 << 20, 1_024)] {
                let (payload, mut first) = (noise(length), opcode);
                for (index, part) in payload.chunks(size).enumerate() {
                    let fin = if (index + 1) * size >= length { 0x80 } else { 0 };
                    client.send(&frame(fin | first, part)).await;
                    first = 0;
                }
                assert_eq!(client.heard().await, heard(opcode, &payload), "{length} bytes in fragments of {size}");
            }
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn pings_are_answered_in_their_order_and_between_fragments() {
    let stage = Stage::start(&[ECHO]).await;
    let mut client = Client::open(&stage.gateway, "/echo", "").await;
    for payload in [&b""[..], b"hello", &[0x00, 0xff, 0xfe, 0xfd, 0xfc], &[0xfe; 125]] {
        client.send(&frame(0x89, payload)).await;
        assert_eq!(client.heard().await, Heard::Pong(payload.to_vec()));
    }
    let pings: Vec<u8> = (0..10).flat_map(|n| frame(0x89, &[n])).collect();
    client.send(&pings).await;
    for n in 0..10 {
        assert_eq!(client.heard().await, Heard::Pong(vec![n]));
    }
    let parts = [frame(0x01, b"one "), frame(0x89, b"a"), frame(0x00, b"two "), frame(0x8a, b""), frame(0x89, b"b"), frame(0x80, b"three")];
    client.send(&parts.concat()).await;
    let order = [Heard::Pong(b"a".to_vec()), Heard::Pong(b"b".to_vec()), Heard::Text("one two three".into())];
    for expected in order {
        assert_eq!(client.heard().await, expected);
    }
    stage.end().await;
}

#[tokio::test]
async fn texts_are_checked_for_utf_8_wherever_they_are_cut() {
    let stage = Stage::start(&[ECHO]).await;
    let mut client = Client::open(&stage.gateway, "/echo", "").await;
    for text in ["κόσμε", "\u{0}", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}", "\u{d7ff}\u{e000}\u{fffd}", "\u{fffe}\u{fdd0}"]
    {
        for cut in 0..=text.len() {
            let (head, tail) = text.as_bytes().split_at(cut);
            client.send(&[frame(0x01, head), frame(0x80, tail)].concat()).await;
            assert_eq!(client.heard().await, Heard::Text(text.into()), "cut at {cut}");
        }
    }
    for bad in [
        &[0x80][..],
        &[0xbf],
        &[0xc0, 0xaf],
        &[0xc1, 0xbf],
        &[0xe0, 0x80, 0xaf],
        &[0xe0, 0x9f, 0xbf],
        &[0xed, 0xbf, 0xbf],
        &[0xf0, 0x80, 0x80, 0xaf],
        &[0xf5, 0x80, 0x80, 0x80],
        &[0xf8, 0x88, 0x80, 0x80, 0x80],
        &[0xfe],
        &[0xce],
        &[0xf0, 0x9f, 0x98],
        "κόσμε\u{d7ff}".as_bytes().split_last().unwrap().1,
    ] {
        for cut in 0..=bad.len() {
            let mut client = Client::open(&stage.gateway, "/echo", "").await;
            client.send(&[frame(0x01, &[b"ok", &bad[..cut]].concat()), frame(0x80, &bad[cut..])].concat()).await;
            assert_eq!(client.closed().await.0, 1007, "{bad:x?} cut at {cut}");
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn closes_are_answered_after_what_was_sent_before_them() {
    let stage = Stage::start(&[ECHO]).await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        let mut client = Client::open(&stage.gateway, "/echo", "").await;
        client.send(&[frame(0x81, b"first"), frame(0x89, b"second"), close(code, &[b'x'; 123])].concat()).await;
        assert_eq!(client.heard().await, Heard::Text("first".into()));
        assert_eq!(client.heard().await, Heard::Pong(b"second".to_vec()));
        assert_eq!(client.heard().await, Heard::Close(code, String::new()));
        assert_eq!(client.heard().await, Heard::End);
    }
    stage.end().await;
}

#[tokio::test]
async fn a_reader_that_is_slower_than_its_echo_gets_everything() {
    let stage = Stage::start(&[ECHO]).await;
    let mut client = Client::open(&stage.gateway, "/echo", "").await;
    let payload = noise(65_536);
    // Less than the node keeps for one client, so that it reads on although nothing is taken off.
    for _ in 0..48 {
        client.send(&frame(0x82, &payload)).await;
    }
    for _ in 0..48 {
        assert_eq!(client.heard().await, Heard::Binary(payload.clone()));
    }
    stage.end().await;
}
