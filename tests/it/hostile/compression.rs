//! Bad deflate data and bombs: a close code, and never more memory than a message may have.

use flate2::{Compress, Compression, FlushCompress};

use super::client::{Client, DEFLATE, frame};
use super::gateway::token;
use super::stage::Stage;

const PING: &[u8] = br#"{"event":"client:ping"}"#;

/// A whole message as RFC 7692 sends it: without the tail of the flush.
fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 1_024);
    Compress::new(Compression::new(9), false).compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

/// The same with the final bit set, which senders may do (RFC 7692 section 7.2.3.4).
fn finished(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 1_024);
    Compress::new(Compression::new(9), false).compress_vec(payload, &mut out, FlushCompress::Finish).unwrap();
    out
}

/// A stored block, then the header of the empty block whose rest is left out (RFC 7692 section 7.2.3.3).
fn stored(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), payload, &[0]].concat()
}

/// A message whose second part refers to the first one's context, as an end that keeps its context would send it.
fn two_with_takeover() -> (Vec<u8>, Vec<u8>) {
    let mut deflater = Compress::new(Compression::new(9), false);
    let mut message = |payload: &[u8]| {
        let mut out = Vec::with_capacity(1_024);
        deflater.compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        out
    };
    (message(PING), message(PING))
}

async fn session(stage: &Stage) -> Client {
    let client = Client::session_with(&stage.gateway, &token("mallory", "acme", None), DEFLATE).await;
    assert!(client.deflated);
    client
}

#[tokio::test]
async fn bad_deflate_data_ends_its_connection_with_the_right_code() {
    let stage = Stage::start(&[]).await;
    let bomb = deflate(&vec![b' '; 64 << 20]);
    let (whole, empty_final) = (deflate(PING), [3, 0].repeat(100));
    let half = &whole[..whole.len() / 2];
    for (input, code, reason) in [
        (frame(0xc1, &bomb), 1009, "64 MiB of spaces in 64 KiB"),
        ([frame(0x41, &bomb[..1_000]), frame(0x80, &bomb[1_000..])].concat(), 1009, "a bomb in fragments"),
        (frame(0xc1, &deflate(&vec![b' '; (1 << 20) + 1])), 1009, "one byte more than allowed after inflating"),
        (frame(0xc1, &[0xff; 100]), 1007, "a block type that does not exist"),
        (frame(0xc1, half), 1007, "data that stops inside a block"),
        (frame(0xc1, &[0x00, 0x05, 0x00, 0x00, 0x00, 1, 2, 3, 4, 5]), 1007, "a stored block whose length contradicts itself"),
        (frame(0xc1, &[0x00, 0xff, 0xff, 0x00, 0x00, 1]), 1007, "a stored block longer than the message"),
        (frame(0xc1, &[0x63, 0x60, 0x60, 0x60, 0x05, 0x31, 0xff, 0xff, 0xff]), 1007, "garbage behind codes"),
        (frame(0xc1, b""), 1007, "no data at all, where an empty message has one byte"),
        (frame(0xc1, &[0x03, 0x02, 0x00]), 1007, "a distance beyond the beginning"),
        (frame(0xc1, &empty_final), 1007, "a hundred final blocks"),
        (frame(0xc1, &deflate(&[0xff, 0xfe])), 1007, "a text that is not UTF-8 once inflated"),
        (frame(0xc1, &two_with_takeover().1), 1007, "a reference to a message before, whose context nobody keeps"),
        (frame(0xc9, b""), 1002, "a compressed ping"),
        (frame(0xc8, b""), 1002, "a compressed close"),
        ([frame(0x41, &whole[..3]), frame(0xc0, &whole[3..])].concat(), 1002, "RSV1 on a continuation"),
        (frame(0xa1, &whole), 1002, "RSV2"),
        (frame(0xc2, &whole), 1003, "a binary message"),
    ] {
        let mut client = session(&stage).await;
        client.send(&input).await;
        let (closed, why) = client.closed().await;
        assert_eq!(closed, code, "{reason}: {why}");
    }
    stage.end().await;
}

#[tokio::test]
async fn a_hundred_bombs_in_a_row_cost_no_memory() {
    let stage = Stage::start(&[]).await;
    let bomb = frame(0xc1, &deflate(&vec![b'x'; 64 << 20]));
    for _ in 0..100 {
        let mut client = session(&stage).await;
        client.send(&bomb).await;
        assert_eq!(client.closed().await.0, 1009);
    }
    stage.end().await;
}

#[tokio::test]
async fn odd_but_legal_deflate_data_is_read() {
    let stage = Stage::start(&[]).await;
    let mut client = session(&stage).await;
    let (whole, halves) = (deflate(PING), PING.split_at(7));
    for (input, reason) in [
        (frame(0xc1, &whole), "the usual way"),
        (frame(0x81, PING), "a message that is not compressed"),
        (frame(0xc1, &stored(PING)), "a stored block"),
        (frame(0xc1, &[finished(PING), vec![0]].concat()), "a final block"),
        (frame(0xc1, &[stored(halves.0), vec![0, 0, 0xff, 0xff], stored(halves.1)].concat()), "two blocks"),
        (frame(0xc1, &[finished(halves.0), finished(halves.1), vec![0]].concat()), "a message that goes on after a final block"),
        (whole.iter().enumerate().flat_map(|(index, byte)| fragment(index, whole.len(), *byte)).collect(), "a fragment for each byte"),
        (frame(0xc1, &deflate(&[PING, &vec![b' '; (1 << 20) - PING.len()]].concat())), "exactly the allowed length"),
    ] {
        client.send(&input).await;
        assert_eq!(client.message().await["event"], "client:pong", "{reason}");
    }
    for (empty, reason) in [(&[0][..], "an empty message"), (&[3, 0, 0], "an empty final block")] {
        client.send(&frame(0xc1, empty)).await;
        assert_eq!(client.message().await["data"]["code"], "INVALID_MESSAGE", "{reason}");
    }
    stage.end().await;
}

fn fragment(index: usize, count: usize, byte: u8) -> Vec<u8> {
    let first = if index == 0 { 0x41 } else { 0 };
    frame(first | if index + 1 == count { 0x80 } else { 0 }, &[byte])
}
