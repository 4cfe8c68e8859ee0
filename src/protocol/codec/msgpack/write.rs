//! From JSON text to MessagePack, in one pass and without a tree between them.

use bytes::{BufMut, BytesMut};

/// Appends one JSON value as MessagePack. `data` goes as `bin` in the place of the value of the outermost `data`. Whole numbers become the
/// shortest integer, all others 64-bit floats: one that exceeds those is infinite, as in JavaScript.
///
/// The text is one that was admitted as JSON; what is none is left out from where it ends to be.
pub fn from_json(json: &[u8], data: Option<&[u8]>, out: &mut BytesMut) {
    out.reserve(json.len());
    let mut open: Vec<Container> = Vec::new();
    let mut rest = json;
    // The key that comes next in the outermost map is followed by the bytes.
    let mut is_data = false;
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'{' | b'[' => {
                count(&mut open);
                open.push(Container { at: out.len(), is_map: *first == b'{', count: 0 });
                out.put_u8(0);
                rest = after;
            }
            b'}' | b']' => {
                if let Some(container) = open.pop() {
                    container.finish(out);
                }
                rest = after;
            }
            b'"' => {
                let end = end_of_text(after);
                let (raw, behind) = after.split_at(end);
                let is_key = behind.get(1..).unwrap_or_default().trim_ascii_start().first() == Some(&b':');
                is_data = data.is_some() && is_key && open.len() == 1 && raw == b"data";
                if !is_key {
                    count(&mut open);
                }
                text(raw, out);
                rest = behind.get(1..).unwrap_or_default();
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => rest = after,
            _ => {
                count(&mut open);
                let end = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'));
                let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
                match data.filter(|_| is_data) {
                    Some(data) => bin(data, out),
                    None => literal(word, out),
                }
                is_data = false;
                rest = behind;
            }
        }
    }
    while let Some(container) = open.pop() {
        container.finish(out);
    }
}

/// A list or a map whose end is still to come: its first byte is kept free.
struct Container {
    at: usize,
    is_map: bool,
    count: u32,
}

impl Container {
    /// Writes the header, for which long containers have to be moved.
    fn finish(self, out: &mut BytesMut) {
        let (short, two, four) = if self.is_map { (0x80, 0xde, 0xdf) } else { (0x90, 0xdc, 0xdd) };
        let mut header = [0; 5];
        let header = match self.count {
            count @ 0..=15 => {
                // Below 16, so it fits.
                out[self.at] = short | count as u8;
                return;
            }
            count @ 16..=0xffff => {
                header[0] = two;
                header[1..3].copy_from_slice(&(count as u16).to_be_bytes());
                &header[..3]
            }
            count => {
                header[0] = four;
                header[1..].copy_from_slice(&count.to_be_bytes());
                &header[..]
            }
        };
        let (more, end) = (header.len() - 1, out.len());
        out.put_bytes(0, more);
        out.copy_within(self.at + 1..end, self.at + header.len());
        out[self.at..self.at + header.len()].copy_from_slice(header);
    }
}

/// A value begins: in a map it is counted with its key.
fn count(open: &mut [Container]) {
    if let Some(container) = open.last_mut() {
        container.count = container.count.saturating_add(1);
    }
}

/// Where the text ends whose opening quote is passed.
fn end_of_text(json: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &json[at..]) {
        at += found;
        if json[at] == b'"' {
            return at;
        }
        at = (at + 2).min(json.len());
    }
    json.len()
}

fn text(raw: &[u8], out: &mut BytesMut) {
    if !raw.contains(&b'\\') {
        str_header(raw.len(), out);
        out.put_slice(raw);
        return;
    }
    let quoted = [b"\"", raw, b"\""].concat();
    let plain: String = serde_json::from_slice(&quoted).unwrap_or_default();
    str_header(plain.len(), out);
    out.put_slice(plain.as_bytes());
}

/// No text and no bytes are longer than the bound of a message, which is far below four gigabytes.
fn str_header(length: usize, out: &mut BytesMut) {
    match length {
        0..=31 => out.put_u8(0xa0 | length as u8),
        32..=0xff => out.put_slice(&[0xd9, length as u8]),
        0x100..=0xffff => {
            out.put_u8(0xda);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(0xdb);
            out.put_u32(length as u32);
        }
    }
}

fn bin(bytes: &[u8], out: &mut BytesMut) {
    match bytes.len() {
        length @ 0..=0xff => out.put_slice(&[0xc4, length as u8]),
        length @ 0x100..=0xffff => {
            out.put_u8(0xc5);
            out.put_u16(length as u16);
        }
        length => {
            out.put_u8(0xc6);
            out.put_u32(length as u32);
        }
    }
    out.put_slice(bytes);
}

fn literal(word: &[u8], out: &mut BytesMut) {
    match word {
        b"null" => out.put_u8(0xc0),
        b"false" => out.put_u8(0xc2),
        b"true" => out.put_u8(0xc3),
        word => number(str::from_utf8(word).unwrap_or_default(), out),
    }
}

fn number(text: &str, out: &mut BytesMut) {
    if text == "-0" {
        out.put_u8(0xcb);
        out.put_f64(-0.0);
    } else if let Ok(whole) = text.parse::<u64>() {
        unsigned(whole, out);
    } else if let Ok(whole) = text.parse::<i64>() {
        signed(whole, out);
    } else {
        out.put_u8(0xcb);
        out.put_f64(text.parse().unwrap_or(f64::NAN));
    }
}

fn unsigned(number: u64, out: &mut BytesMut) {
    match number {
        0..=0x7f => out.put_u8(number as u8),
        0x80..=0xff => out.put_slice(&[0xcc, number as u8]),
        0x100..=0xffff => {
            out.put_u8(0xcd);
            out.put_u16(number as u16);
        }
        0x1_0000..=0xffff_ffff => {
            out.put_u8(0xce);
            out.put_u32(number as u32);
        }
        _ => {
            out.put_u8(0xcf);
            out.put_u64(number);
        }
    }
}

/// Below zero: the others are unsigned.
fn signed(number: i64, out: &mut BytesMut) {
    if let Ok(short) = i8::try_from(number) {
        if short < -32 {
            out.put_u8(0xd0);
        }
        out.put_i8(short);
    } else if let Ok(short) = i16::try_from(number) {
        out.put_u8(0xd1);
        out.put_i16(short);
    } else if let Ok(short) = i32::try_from(number) {
        out.put_u8(0xd2);
        out.put_i32(short);
    } else {
        out.put_u8(0xd3);
        out.put_i64(number);
    }
}
