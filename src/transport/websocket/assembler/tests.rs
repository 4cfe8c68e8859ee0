//! What the assembler promises: splitting changes nothing, violations have their codes, idle connections hold nothing.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::*;
use crate::protocol::CloseCode;

const LIMITS: Limits = Limits { message_bytes_max: 1_000, fragments_max: 8, deflate: true };

/// What was handed on, owned.
#[derive(Clone, PartialEq, Debug)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Incoming<'_>> for Said {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.into()),
            Incoming::Binary(bytes) => Self::Binary(bytes.into()),
            Incoming::Ping(bytes) => Self::Ping(bytes.into()),
            Incoming::Pong(bytes) => Self::Pong(bytes.into()),
            Incoming::Close(close) => Self::Close(close.map(|(code, reason)| (code, reason.into()))),
        }
    }
}

/// A client's frame: the first byte as it is, a masked payload.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x93, 0xf4];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 1_024);
    Compress::new(Compression::new(6), false).compress_vec(payload, &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

/// Feeds `bytes` in pieces that end at `cuts` (ascending).
fn fed(limits: Limits, bytes: &[u8], cuts: &[usize]) -> (Vec<Said>, Result<(), Violation>, Assembler) {
    let mut assembler = Assembler::new(limits);
    let (mut said, mut start) = (Vec::new(), 0);
    for end in cuts.iter().copied().chain([bytes.len()]) {
        let mut piece = bytes[start..end].to_vec();
        start = end;
        if let Err(violation) = assembler.feed(&mut piece, &mut |incoming| said.push(incoming.into())) {
            return (said, Err(violation), assembler);
        }
    }
    (said, Ok(()), assembler)
}

fn every_byte(bytes: &[u8]) -> Vec<usize> {
    (1..bytes.len()).collect()
}

/// Frames that are legal mostly: messages in fragments with control frames between, and now and then a wrong byte.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let text = "[aé€😀]{0,60}".prop_map(|text: String| text.into_bytes());
    let payload = prop_oneof![text, prop::collection::vec(any::<u8>(), 0..300)];
    let control = (prop_oneof![Just(0x89_u8), Just(0x8a)], prop::collection::vec(any::<u8>(), 0..125));
    let message =
        (prop_oneof![Just(1_u8), Just(2)], payload, prop::collection::vec(any::<prop::sample::Index>(), 0..4), control, any::<bool>());
    let spoiled = prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (prop::collection::vec(message, 1..5), spoiled).prop_map(|(messages, spoiled)| {
        let mut bytes = Vec::new();
        for (opcode, payload, cuts, (control, note), compressed) in messages {
            let payload = if compressed { deflated(&payload) } else { payload };
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            ends.sort_unstable();
            ends.push(payload.len());
            let (mut start, last) = (0, ends.len() - 1);
            for (index, end) in ends.into_iter().enumerate() {
                let opening = if index == 0 { opcode | if compressed { 0x40 } else { 0 } } else { 0 };
                bytes.extend(frame(opening | if index == last { 0x80 } else { 0 }, &payload[start..end]));
                start = end;
                bytes.extend(frame(control, &note));
            }
        }
        bytes.extend(frame(0x88, b"\x03\xe8bye"));
        bytes.extend(frame(0x81, b"too late"));
        if let Some((place, byte)) = spoiled {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

/// Conversations that are cut at every single place; each has some hundred.
const EVERY_SPLIT_CASES: u32 = 24;

proptest! {
    #![proptest_config(ProptestConfig { cases: EVERY_SPLIT_CASES, ..ProptestConfig::default() })]

    #[test]
    fn fed_in_two_pieces_cut_anywhere_gives_the_same_as_whole(bytes in conversation()) {
        let (whole, end, _) = fed(LIMITS, &bytes, &[]);
        for cut in every_byte(&bytes) {
            let (split, split_end, _) = fed(LIMITS, &bytes, &[cut]);
            prop_assert_eq!(&whole, &split, "cut at {}", cut);
            prop_assert_eq!(end.map_err(|violation| violation.close), split_end.map_err(|violation| violation.close));
        }
    }
}

proptest! {
    #[test]
    fn fed_in_any_split_gives_the_same_as_whole(
        bytes in conversation(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let (whole, end, _) = fed(LIMITS, &bytes, &[]);
        let (split, split_end, _) = fed(LIMITS, &bytes, &cuts);
        prop_assert_eq!(&whole, &split);
        prop_assert_eq!(end.map_err(|violation| violation.close), split_end.map_err(|violation| violation.close));
        let (single, single_end, _) = fed(LIMITS, &bytes, &every_byte(&bytes));
        prop_assert_eq!(&whole, &single);
        prop_assert_eq!(end.map_err(|violation| violation.close), single_end.map_err(|violation| violation.close));
    }

    #[test]
    fn any_bytes_are_judged_and_little_is_held(bytes in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let (_, _, assembler) = fed(LIMITS, &bytes, &[bytes.len() / 2]);
        prop_assert!(assembler.held_bytes() <= size_of::<Partial>() + 2 * LIMITS.message_bytes_max + 64);
    }
}

#[test]
fn messages_fragments_and_control_frames_come_in_order() {
    let bytes = [
        frame(0x01, "h€".as_bytes()),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x80, b"llo"),
        frame(0x82, &[0xff, 0x00]),
        frame(0xc1, &deflated(b"deflated deflated deflated")),
        frame(0x8a, b""),
        frame(0x88, b"\x03\xe8bye"),
        frame(0x83, b"ignored, though it is illegal"),
    ]
    .concat();
    let expected = [
        Said::Ping(b"ping".into()),
        Said::Text("h€llo".into()),
        Said::Binary(vec![0xff, 0x00]),
        Said::Text("deflated deflated deflated".into()),
        Said::Pong(Vec::new()),
        Said::Close(Some((1000, "bye".into()))),
    ];
    for cuts in [Vec::new(), every_byte(&bytes)] {
        let (said, end, assembler) = fed(LIMITS, &bytes, &cuts);
        assert_eq!((said.as_slice(), end), (&expected[..], Ok(())));
        assert_eq!(assembler.held_bytes(), 0);
    }
}

#[test]
fn every_violation_has_its_close_code() {
    use CloseCode::{InvalidPayload, MessageTooBig, ProtocolError};
    let plain = Limits { deflate: false, ..LIMITS };
    let cases: Vec<(&str, Limits, Vec<u8>, CloseCode)> = vec![
        ("no mask", LIMITS, vec![0x81, 0x02, b'h', b'i'], ProtocolError),
        ("RSV2", LIMITS, frame(0xa1, b"x"), ProtocolError),
        ("RSV3", LIMITS, frame(0x91, b"x"), ProtocolError),
        ("RSV1 without the extension", plain, frame(0xc1, b"x"), ProtocolError),
        ("RSV1 on a continuation", LIMITS, [frame(0x41, b"x"), frame(0xc0, b"x")].concat(), ProtocolError),
        ("RSV1 on a control frame", LIMITS, frame(0xc9, b"x"), ProtocolError),
        ("reserved opcode", LIMITS, frame(0x83, b"x"), ProtocolError),
        ("reserved control opcode", LIMITS, frame(0x8b, b"x"), ProtocolError),
        ("long ping", LIMITS, frame(0x89, &[0; 126]), ProtocolError),
        ("fragmented ping", LIMITS, frame(0x09, b"x"), ProtocolError),
        ("16-bit length too short", LIMITS, vec![0x82, 0x80 | 126, 0, 5, 0, 0, 0, 0], ProtocolError),
        ("64-bit length too short", LIMITS, vec![0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], ProtocolError),
        ("length with its top bit", LIMITS, vec![0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ProtocolError),
        ("continuation of nothing", LIMITS, frame(0x80, b"x"), ProtocolError),
        ("continuation after the end", LIMITS, [frame(0x81, b"x"), frame(0x80, b"x")].concat(), ProtocolError),
        ("second beginning", LIMITS, [frame(0x01, b"x"), frame(0x01, b"x")].concat(), ProtocolError),
        ("whole message inside another", LIMITS, [frame(0x01, b"x"), frame(0x82, b"x")].concat(), ProtocolError),
        ("half a close code", LIMITS, frame(0x88, b"\x03"), ProtocolError),
        ("close reason not UTF-8", LIMITS, frame(0x88, b"\x03\xe8\xff"), InvalidPayload),
        ("text not UTF-8", LIMITS, frame(0x81, b"a\xff"), InvalidPayload),
        ("surrogate", LIMITS, frame(0x81, b"\xed\xa0\x80"), InvalidPayload),
        ("text that ends inside a character", LIMITS, frame(0x81, b"a\xe2\x82"), InvalidPayload),
        ("fragments that end inside a character", LIMITS, [frame(0x01, b"\xe2\x82"), frame(0x80, b"")].concat(), InvalidPayload),
        ("inflated text not UTF-8", LIMITS, frame(0xc1, &deflated(b"a\xff")), InvalidPayload),
        ("deflate data cut off", LIMITS, frame(0xc2, &deflated(&[b'x'; 300])[..3]), InvalidPayload),
        ("too long", LIMITS, frame(0x82, &[0; 1_001]), MessageTooBig),
        ("too long in sum", LIMITS, [frame(0x02, &[0; 600]), frame(0x80, &[0; 401])].concat(), MessageTooBig),
        ("too long once inflated", LIMITS, frame(0xc2, &deflated(&[0; 1_001])), MessageTooBig),
        ("too many fragments", LIMITS, [frame(0x02, b""), frame(0x00, b"").repeat(8)].concat(), MessageTooBig),
    ];
    for (name, limits, bytes, close) in cases {
        for cuts in [Vec::new(), every_byte(&bytes)] {
            let (said, end, assembler) = fed(limits, &bytes, &cuts);
            assert_eq!(end.map_err(|violation| violation.close), Err(close), "{name}: {said:?}");
            assert!(assembler.ended && assembler.held_bytes() == 0, "{name}");
        }
    }
}

#[test]
fn what_is_just_within_the_limits_passes() {
    let noise: Vec<u8> = (0..1_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    for bytes in [
        frame(0x82, &noise),
        [frame(0x02, &noise[..400]), frame(0x80, &noise[400..])].concat(),
        frame(0xc2, &deflated(&noise)),
        [frame(0x02, &noise), frame(0x00, b"").repeat(6), frame(0x80, b"")].concat(),
    ] {
        assert_eq!(fed(LIMITS, &bytes, &[]).0, [Said::Binary(noise.clone())]);
        assert_eq!(fed(LIMITS, &bytes, &every_byte(&bytes)).0, [Said::Binary(noise.clone())]);
    }
}

#[test]
fn close_codes_are_judged_by_the_registry() {
    let mut accepted = Vec::new();
    for code in 0..=u16::MAX {
        let (said, end, _) = fed(LIMITS, &frame(0x88, &code.to_be_bytes()), &[]);
        match end {
            Ok(()) => {
                assert_eq!(said, [Said::Close(Some((code, String::new())))]);
                accepted.push(code);
            }
            Err(violation) => assert_eq!(violation.close, CloseCode::ProtocolError),
        }
    }
    let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
    assert_eq!(accepted, expected);
    assert_eq!(fed(LIMITS, &frame(0x88, b""), &[]).0, [Said::Close(None)]);
}

#[test]
fn impossible_text_fails_at_its_first_byte_within_an_unfinished_frame() {
    let whole = frame(0x01, b"ok \xf4\x90\x80\x80 and much more");
    let header = 6;
    let (_, before, _) = fed(LIMITS, &whole[..header + 4], &[2]);
    let (_, at, _) = fed(LIMITS, &whole[..header + 5], &[2]);
    assert_eq!((before, at.unwrap_err().close), (Ok(()), CloseCode::InvalidPayload));
}

#[test]
fn a_length_is_refused_before_a_byte_of_the_payload() {
    let announced = &frame(0x82, &[0; 1_001])[..8];
    for cuts in [Vec::new(), every_byte(announced)] {
        assert_eq!(fed(LIMITS, announced, &cuts).1.unwrap_err().close, CloseCode::MessageTooBig);
    }
    let giant = [0x82, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    assert_eq!(fed(LIMITS, &giant, &[]).1.unwrap_err().close, CloseCode::MessageTooBig);
}

#[test]
fn an_announced_length_alone_reserves_nothing() {
    let limits = Limits { message_bytes_max: 1 << 20, ..LIMITS };
    let announced = &frame(0x82, &[7; 1 << 20])[..20];
    let (_, end, assembler) = fed(limits, announced, &[]);
    assert_eq!(end, Ok(()));
    assert!(assembler.held_bytes() < 1_024, "{}", assembler.held_bytes());
}

#[test]
fn an_idle_connection_holds_nothing_and_is_small() {
    assert!(size_of::<Assembler>() <= 32, "{}", size_of::<Assembler>());
    let mut assembler = Assembler::new(LIMITS);
    let mut said = 0;
    for (bytes, partial) in [
        (frame(0x81, b"whole"), false),
        (frame(0x01, b"first"), true),
        (frame(0x80, b"second"), false),
        (frame(0x89, b"ping")[..3].to_vec(), true),
        (frame(0x89, b"ping")[3..].to_vec(), false),
    ] {
        assembler.feed(&mut bytes.clone(), &mut |_| said += 1).unwrap();
        assert_eq!((assembler.is_partial(), assembler.held_bytes() > 0), (partial, partial));
    }
    assert_eq!(said, 3);
}

#[test]
fn a_whole_frame_is_borrowed_from_the_buffer() {
    let mut bytes = frame(0x81, b"borrowed");
    let within = bytes.as_ptr_range();
    let mut seen = false;
    Assembler::new(LIMITS)
        .feed(&mut bytes, &mut |incoming| {
            let Incoming::Text(text) = incoming else { panic!("no text") };
            seen = within.contains(&text.as_ptr());
        })
        .unwrap();
    assert!(seen);
}
