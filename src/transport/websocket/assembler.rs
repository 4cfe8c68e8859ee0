//! ● From bytes as they come to whole messages, strictly (RFC 6455 sections 5 and 8.1, RFC 7692 section 7.2.2).
//!
//! The session's driver reads into a scratch buffer and feeds it here; a frame that is whole in the buffer is handed on
//! without a copy. Memory is held only while a frame or a message is incomplete, and never more than was received.

use bytes::BytesMut;

use super::deflate::{self, InflateError};
use super::frame::{self, CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Opcode, Violation};

/// One thing that the client said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    /// The code and reason, when the client gave any. Nothing is read after it.
    Close(Option<(u16, &'a str)>),
}

/// What one connection may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub message_bytes_max: usize,
    pub fragments_max: u32,
    /// Whether permessage-deflate was agreed to.
    pub deflate: bool,
}

impl Limits {
    /// A message that does not compress grows a little by deflating (5 bytes per stored block), so that much is let in.
    fn wire_bytes_max(&self, compressed: bool) -> u64 {
        let max = self.message_bytes_max as u64;
        if compressed { max + (max >> 10) + 64 } else { max }
    }
}

/// One connection's reader.
#[derive(Debug)]
pub struct Assembler {
    limits: Limits,
    ended: bool,
    partial: Option<Box<Partial>>,
}

impl Assembler {
    pub fn new(limits: Limits) -> Self {
        Self { limits, ended: false, partial: None }
    }

    /// Takes all of `input`, split from the stream in whatever way; unmasks in place. Calls `on` for each message and control
    /// frame, in order. After a close frame or a violation everything further is ignored.
    ///
    /// # Errors
    /// The close code to send: 1002 for broken framing, 1007 for text that is not UTF-8 and for deflate data that is not whole,
    /// 1009 for too long a message or too many fragments.
    pub fn feed(&mut self, input: &mut [u8], on: &mut dyn FnMut(Incoming<'_>)) -> Result<(), Violation> {
        let mut rest = input;
        while !rest.is_empty() && !self.ended {
            let mut closed = false;
            let mut watched = |incoming: Incoming<'_>| {
                closed |= matches!(incoming, Incoming::Close(_));
                on(incoming);
            };
            let taken = self.take(rest, &mut watched);
            if closed || taken.is_err() {
                self.end();
            }
            rest = &mut rest[taken?..];
        }
        Ok(())
    }

    /// Gives up what is unfinished; nothing more is read.
    pub fn end(&mut self) {
        (self.ended, self.partial) = (true, None);
    }

    /// Whether a frame or a message has begun and not ended.
    pub fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// Bytes of incomplete messages that this connection makes the node hold.
    pub fn held_bytes(&self) -> usize {
        self.partial
            .as_ref()
            .map_or(0, |partial| size_of::<Partial>() + partial.message.as_ref().map_or(0, |message| message.bytes.capacity()))
    }

    fn take(&mut self, input: &mut [u8], on: &mut dyn FnMut(Incoming<'_>)) -> Result<usize, Violation> {
        let Some(partial) = &mut self.partial else {
            let taken = take_whole(input, &self.limits, on)?;
            if taken == 0 {
                self.partial = Some(Box::default());
            }
            return Ok(taken);
        };
        let taken = partial.take(input, &self.limits, on)?;
        if partial.is_empty() {
            self.partial = None;
        }
        Ok(taken)
    }
}

/// Hands on a frame that is a message by itself and lies whole in `input`; 0 when the next frame is none of that kind.
fn take_whole(input: &mut [u8], limits: &Limits, on: &mut dyn FnMut(Incoming<'_>)) -> Result<usize, Violation> {
    let Some(header) = frame::parse(input)? else { return Ok(0) };
    check_begin(&header, None, limits)?;
    let whole = usize::try_from(header.payload_bytes).ok().and_then(|payload| payload.checked_add(header.header_bytes));
    let Some(end) = whole.filter(|end| header.fin && *end <= input.len()) else { return Ok(0) };
    let payload = &mut input[header.header_bytes..end];
    fastwebsockets::unmask(payload, header.mask);
    if header.opcode.is_control() {
        deliver_control(header.opcode, payload, on)?;
    } else {
        deliver_message(header.opcode, header.compressed, payload, limits, on)?;
    }
    Ok(end)
}

/// Whether this frame may come now; before anything is allocated for it.
fn check_begin(header: &Header, open: Option<&Message>, limits: &Limits) -> Result<(), Violation> {
    if header.opcode.is_control() {
        return Ok(());
    }
    if header.compressed && !limits.deflate {
        return Err(Violation::protocol("RSV1 is set without an extension agreed to"));
    }
    match (header.opcode, open) {
        (Opcode::Continuation, None) => return Err(Violation::protocol("a continuation continues nothing")),
        (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::protocol("a message begins before the last one ended")),
        (_, Some(message)) if message.fragments >= limits.fragments_max => {
            return Err(Violation::too_big("the message has too many fragments"));
        }
        _ => {}
    }
    let (held, compressed) = open.map_or((0, header.compressed), |message| (message.bytes.len() as u64, message.compressed));
    if held.saturating_add(header.payload_bytes) > limits.wire_bytes_max(compressed) {
        return Err(Violation::too_big("the message is too long"));
    }
    Ok(())
}

fn deliver_message(
    opcode: Opcode,
    compressed: bool,
    payload: &[u8],
    limits: &Limits,
    on: &mut dyn FnMut(Incoming<'_>),
) -> Result<(), Violation> {
    let mut inflated = BytesMut::new();
    let payload = if compressed {
        deflate::inflate(payload, limits.message_bytes_max, &mut inflated).map_err(|error| match error {
            InflateError::TooLong => Violation::too_big("the message is too long after decompression"),
            InflateError::Malformed => Violation::payload("the compressed message is malformed or cut off"),
        })?;
        &inflated
    } else {
        payload
    };
    if opcode == Opcode::Text {
        on(Incoming::Text(str::from_utf8(payload).map_err(|_| Violation::payload("the text is not UTF-8"))?));
    } else {
        on(Incoming::Binary(payload));
    }
    Ok(())
}

fn deliver_control(opcode: Opcode, payload: &[u8], on: &mut dyn FnMut(Incoming<'_>)) -> Result<(), Violation> {
    on(match opcode {
        Opcode::Ping => Incoming::Ping(payload),
        Opcode::Pong => Incoming::Pong(payload),
        _ => Incoming::Close(parse_close(payload)?),
    });
    Ok(())
}

fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Violation::protocol("the close frame holds half a code")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    // RFC 6455 section 7.4 and the registry it set up, which since holds 1012 to 1014.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::protocol("the close code may not be sent"));
    }
    let reason = str::from_utf8(reason).map_err(|_| Violation::payload("the close reason is not UTF-8"))?;
    Ok(Some((code, reason)))
}

/// What has begun and not ended: part of a header, part of a frame, or a message between its fragments.
#[derive(Debug)]
struct Partial {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    frame: Option<Frame>,
    /// A control frame may come between fragments, so its payload is kept apart from the message's.
    control: [u8; CONTROL_BYTES_MAX],
    message: Option<Message>,
}

#[derive(Debug)]
struct Frame {
    header: Header,
    taken_bytes: u64,
}

#[derive(Debug)]
struct Message {
    opcode: Opcode,
    compressed: bool,
    fragments: u32,
    bytes: BytesMut,
    /// How much of a text is known to be whole UTF-8 characters.
    valid_bytes: usize,
}

impl Default for Partial {
    fn default() -> Self {
        Self { header: [0; HEADER_BYTES_MAX], header_bytes: 0, frame: None, control: [0; CONTROL_BYTES_MAX], message: None }
    }
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.header_bytes == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Takes at least one byte of `input`, at most to the end of a header or a payload.
    fn take(&mut self, input: &mut [u8], limits: &Limits, on: &mut dyn FnMut(Incoming<'_>)) -> Result<usize, Violation> {
        let Some(frame) = &mut self.frame else { return self.take_header(input, limits, on) };
        let left = frame.header.payload_bytes - frame.taken_bytes;
        let taken = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let chunk = &mut input[..taken];
        let mut mask = frame.header.mask;
        mask.rotate_left((frame.taken_bytes % 4) as usize);
        fastwebsockets::unmask(chunk, mask);
        if frame.header.opcode.is_control() {
            let start = frame.taken_bytes as usize;
            self.control[start..start + taken].copy_from_slice(chunk);
        } else if let Some(message) = &mut self.message {
            message.append(chunk)?;
        }
        frame.taken_bytes += taken as u64;
        if frame.taken_bytes == frame.header.payload_bytes {
            self.end_frame(limits, on)?;
        }
        Ok(taken)
    }

    fn take_header(&mut self, input: &[u8], limits: &Limits, on: &mut dyn FnMut(Incoming<'_>)) -> Result<usize, Violation> {
        for (index, byte) in input.iter().enumerate() {
            self.header[self.header_bytes] = *byte;
            self.header_bytes += 1;
            let Some(header) = frame::parse(&self.header[..self.header_bytes])? else { continue };
            self.header_bytes = 0;
            self.begin_frame(header, limits)?;
            if header.payload_bytes == 0 {
                self.end_frame(limits, on)?;
            }
            return Ok(index + 1);
        }
        Ok(input.len())
    }

    fn begin_frame(&mut self, header: Header, limits: &Limits) -> Result<(), Violation> {
        check_begin(&header, self.message.as_ref(), limits)?;
        if !header.opcode.is_control() {
            let (opcode, compressed) = (header.opcode, header.compressed);
            let fresh = || Message { opcode, compressed, fragments: 0, bytes: BytesMut::new(), valid_bytes: 0 };
            self.message.get_or_insert_with(fresh).fragments += 1;
        }
        self.frame = Some(Frame { header, taken_bytes: 0 });
        Ok(())
    }

    fn end_frame(&mut self, limits: &Limits, on: &mut dyn FnMut(Incoming<'_>)) -> Result<(), Violation> {
        let Some(Frame { header, taken_bytes }) = self.frame.take() else { return Ok(()) };
        if header.opcode.is_control() {
            return deliver_control(header.opcode, &self.control[..taken_bytes as usize], on);
        }
        match self.message.take_if(|_| header.fin) {
            Some(message) => deliver_message(message.opcode, message.compressed, &message.bytes, limits, on),
            None => Ok(()),
        }
    }
}

impl Message {
    /// Fails at the first byte that no UTF-8 text could have there, also in the middle of a frame.
    fn append(&mut self, chunk: &[u8]) -> Result<(), Violation> {
        self.bytes.extend_from_slice(chunk);
        if self.opcode != Opcode::Text || self.compressed {
            return Ok(());
        }
        match str::from_utf8(&self.bytes[self.valid_bytes..]) {
            Ok(text) => self.valid_bytes += text.len(),
            Err(error) if error.error_len().is_none() => self.valid_bytes += error.valid_up_to(),
            Err(_) => return Err(Violation::payload("the text is not UTF-8")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
