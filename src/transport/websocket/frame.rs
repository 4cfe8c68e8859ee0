//! ● Frame headers as bytes (RFC 6455 section 5.2): read strictly, written unmasked as servers do.
//!
//! The assembler parses with this; the wires and the driver write with it. Knows nothing of messages.

use bytes::{BufMut, BytesMut};

use crate::protocol::{Close, CloseCode};

/// Longest payload of a close, ping or pong frame.
pub const CONTROL_BYTES_MAX: usize = 125;
/// Longest header of a frame from a client: 2 bytes, a 64-bit length, the mask.
pub const HEADER_BYTES_MAX: usize = 14;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn parse(bits: u8) -> Option<Self> {
        [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong].into_iter().find(|opcode| *opcode as u8 == bits)
    }

    pub fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The peer broke the protocol: close with this code. The sentence is for logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Violation {
    pub close: CloseCode,
    pub why: &'static str,
}

impl Violation {
    pub(super) fn protocol(why: &'static str) -> Self {
        Self { close: CloseCode::ProtocolError, why }
    }

    pub(super) fn payload(why: &'static str) -> Self {
        Self { close: CloseCode::InvalidPayload, why }
    }

    pub(super) fn too_big(why: &'static str) -> Self {
        Self { close: CloseCode::MessageTooBig, why }
    }
}

/// A client's frame header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub fin: bool,
    /// RSV1: the message is compressed.
    pub compressed: bool,
    pub opcode: Opcode,
    pub mask: [u8; 4],
    pub payload_bytes: u64,
    /// How long the header itself is.
    pub header_bytes: usize,
}

/// Reads a header off the front of `bytes`; `None` when more bytes are needed. A wrong bit is told as soon as it is there.
///
/// # Errors
/// 1002 for reserved bits and opcodes, a missing mask, lengths that are not minimal or have the top bit, and control frames
/// that are fragmented, compressed or longer than 125 bytes.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Violation> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first & 0x30 != 0 {
        return Err(Violation::protocol("RSV2 or RSV3 is set"));
    }
    let opcode = Opcode::parse(first & 0x0f).ok_or(Violation::protocol("the opcode is reserved"))?;
    let (fin, compressed) = (first & 0x80 != 0, first & 0x40 != 0);
    if opcode.is_control() && (!fin || compressed) {
        return Err(Violation::protocol("a control frame is fragmented or compressed"));
    }
    if opcode == Opcode::Continuation && compressed {
        return Err(Violation::protocol("RSV1 is set on a continuation"));
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(Violation::protocol("the frame is not masked"));
    }
    if opcode.is_control() && usize::from(second & 0x7f) > CONTROL_BYTES_MAX {
        return Err(Violation::protocol("a control frame is longer than 125 bytes"));
    }
    let Some((payload_bytes, length_end)) = parse_length(second & 0x7f, bytes)? else { return Ok(None) };
    let Some(mask) = bytes.get(length_end..length_end + 4).and_then(|mask| mask.try_into().ok()) else { return Ok(None) };
    Ok(Some(Header { fin, compressed, opcode, mask, payload_bytes, header_bytes: length_end + 4 }))
}

/// The payload's length and where the mask begins.
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (length, length_end, least) = match short {
        126 => match bytes.get(2..4).and_then(|length| length.try_into().ok()) {
            Some(length) => (u64::from(u16::from_be_bytes(length)), 4, 126),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|length| length.try_into().ok()) {
            Some(length) => (u64::from_be_bytes(length), 10, 1 << 16),
            None => return Ok(None),
        },
        short => (u64::from(short), 2, 0),
    };
    if length >> 63 != 0 {
        return Err(Violation::protocol("the length has its top bit set"));
    }
    if length < least {
        return Err(Violation::protocol("the length is not in its shortest form"));
    }
    Ok(Some((length, length_end)))
}

/// Appends the header of an unfragmented, unmasked frame, whose payload has to follow.
pub fn server_header(opcode: Opcode, compressed: bool, payload_bytes: usize, out: &mut BytesMut) {
    out.put_u8(0x80 | if compressed { 0x40 } else { 0 } | opcode as u8);
    match payload_bytes {
        0..=125 => out.put_u8(payload_bytes as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(payload_bytes as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(payload_bytes as u64);
        }
    }
}

/// Appends an unfragmented, unmasked frame. `compressed` says that the payload already is deflated.
pub fn server_frame(opcode: Opcode, compressed: bool, payload: &[u8], out: &mut BytesMut) {
    out.reserve(10 + payload.len());
    server_header(opcode, compressed, payload.len(), out);
    out.put_slice(payload);
}

/// Appends a ping; whatever exceeds 125 bytes of payload is cut off.
pub fn ping(payload: &[u8], out: &mut BytesMut) {
    server_frame(Opcode::Ping, false, cut(payload), out);
}

/// Appends a pong; whatever exceeds 125 bytes of payload is cut off.
pub fn pong(payload: &[u8], out: &mut BytesMut) {
    server_frame(Opcode::Pong, false, cut(payload), out);
}

/// Appends a close frame: the code, then the reason as JSON when there is one.
pub fn close(close: &Close, out: &mut BytesMut) {
    let reason = close.reason_text();
    debug_assert!(reason.len() <= CONTROL_BYTES_MAX - 2, "a reason fits a control frame");
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.put_u16(close.code as u16);
    payload.put_slice(reason.as_bytes());
    server_frame(Opcode::Close, false, cut(&payload), out);
}

/// Answers a client's close by its own code; `None` (it sent none) is answered by an empty close (RFC 6455 section 5.5.1).
pub fn close_echo(code: Option<u16>, out: &mut BytesMut) {
    match code {
        Some(code) => server_frame(Opcode::Close, false, &code.to_be_bytes(), out),
        None => server_frame(Opcode::Close, false, &[], out),
    }
}

fn cut(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Code;

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        for (payload_bytes, header) in [
            (0_usize, vec![0x82, 0]),
            (125, vec![0x82, 125]),
            (126, vec![0x82, 126, 0, 126]),
            (0xffff, vec![0x82, 126, 0xff, 0xff]),
            (0x1_0000, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = BytesMut::new();
            server_header(Opcode::Binary, false, payload_bytes, &mut out);
            assert_eq!(out[..], header[..]);
        }
        let mut out = BytesMut::new();
        server_frame(Opcode::Text, true, b"hi", &mut out);
        assert_eq!(out[..], [0xc1, 2, b'h', b'i']);
    }

    #[test]
    fn a_close_carries_its_code_and_json_reason() {
        let mut out = BytesMut::new();
        close(&Close::because(CloseCode::AuthFailed, Code::AuthFailed), &mut out);
        assert_eq!(out[..4], [0x88, 24, 0x11, 0x94]);
        assert_eq!(&out[4..], br#"{"code":"AUTH_FAILED"}"#);
        out.clear();
        ping(&[7; 200], &mut out);
        assert_eq!((out[0], out[1], out.len()), (0x89, 125, 127));
    }

    #[test]
    fn a_header_is_read_only_when_it_is_whole() {
        let bytes = [0x81, 0x80 | 126, 0, 200, 1, 2, 3, 4];
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut}");
        }
        let header = parse(&bytes).unwrap().unwrap();
        assert_eq!((header.payload_bytes, header.header_bytes, header.mask), (200, 8, [1, 2, 3, 4]));
    }

    #[test]
    fn every_wrong_bit_is_told_at_the_first_byte_that_shows_it() {
        let cases: [&[u8]; 13] = [
            &[0xa1],
            &[0x91],
            &[0x83],
            &[0x8b],
            &[0x09],
            &[0xc9],
            &[0xc0],
            &[0x81, 0x05],
            &[0x89, 0x80 | 126],
            &[0x88, 0x80 | 127],
            &[0x82, 0x80 | 126, 0, 125],
            &[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            &[0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in cases {
            assert_eq!(parse(bytes).unwrap_err().close, CloseCode::ProtocolError, "{bytes:x?}");
            assert_eq!(parse(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:x?}");
        }
    }
}
